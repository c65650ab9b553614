//! How long to wait after a piece of a file, so that files leave room on a line shared with other work.

use std::time::Duration;

/// Most bytes sent at once on a line with a limit: what the limit allows in a second, but never so little that the
/// requests themselves fill the line.
pub fn piece(wanted: usize, bytes_per_s: u64) -> usize {
    match usize::try_from(bytes_per_s) {
        Ok(limit) if limit > 0 => wanted.min(limit.max(LEAST)),
        _ => wanted,
    }
}

/// Least bytes of a piece: below, the requests themselves fill the line.
pub const LEAST: usize = 16 * 1024;
/// A piece that went faster is followed by a larger one.
const FAST: Duration = Duration::from_secs(4);
/// A piece that went slower is followed by a smaller one.
pub const SLOW: Duration = Duration::from_secs(8);

/// The next piece after one of `last` bytes that took `took`. What a piece puts on the line stands before every record that
/// is written meanwhile; so pieces begin small and grow while the line carries them away quickly.
pub fn next(last: usize, took: Duration, most: usize) -> usize {
    let wanted = match took {
        took if took < FAST => last.saturating_mul(2),
        took if took > SLOW => last / 2,
        _ => last,
    };
    wanted.max(LEAST).min(most)
}

/// The pause after `bytes` that took `took`, so that the average is `bytes_per_s`; 0 is no limit.
pub fn pause(bytes: u64, bytes_per_s: u64, took: Duration) -> Duration {
    if bytes_per_s == 0 {
        return Duration::ZERO;
    }
    let ms = bytes.saturating_mul(1000) / bytes_per_s;
    Duration::from_millis(ms).saturating_sub(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_holds_whatever_the_line_gives() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(4096, 0, Duration::ZERO), Duration::ZERO);
        assert_eq!(pause(2048, 1024, Duration::ZERO), 2 * second);
        assert_eq!(pause(2048, 1024, second), second, "the way itself counts");
        assert_eq!(
            pause(2048, 1024, 5 * second),
            Duration::ZERO,
            "a slower line waits no more"
        );
        assert!(pause(u64::MAX, 1, Duration::ZERO) > second, "no overflow");
    }

    #[test]
    fn pieces_grow_on_a_quick_line_and_stay_small_on_a_thin_one() {
        let mut piece = LEAST;
        for _ in 0..10 {
            piece = next(piece, Duration::from_millis(5), 1 << 20);
        }
        assert_eq!(piece, 1 << 20);
        assert_eq!(next(piece, Duration::from_secs(20), 1 << 20), 512 << 10);
        assert_eq!(next(LEAST, Duration::from_secs(20), 1 << 20), LEAST);
        // 64 kbit/s with two seconds of delay.
        assert_eq!(next(LEAST, Duration::from_millis(4_048), 1 << 20), LEAST);
        assert_eq!(next(LEAST, Duration::ZERO, 4 << 10), 4 << 10);
    }

    #[test]
    fn pieces_fit_the_limit_but_are_never_tiny() {
        assert_eq!(piece(512 << 10, 0), 512 << 10);
        assert_eq!(piece(512 << 10, 64 << 10), 64 << 10);
        assert_eq!(piece(512 << 10, 1), 16 << 10);
        assert_eq!(piece(4 << 10, 64 << 10), 4 << 10);
    }
}
