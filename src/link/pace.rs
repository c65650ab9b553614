//! How long to wait after a piece of a file, so that files leave room on a line shared with other work.

use std::time::Duration;

/// Most bytes sent at once on a line with a limit: what the limit allows in a second, but never so little that the
/// requests themselves fill the line.
pub fn piece(wanted: usize, bytes_per_s: u64) -> usize {
    const LEAST: usize = 16 * 1024;
    match usize::try_from(bytes_per_s) {
        Ok(limit) if limit > 0 => wanted.min(limit.max(LEAST)),
        _ => wanted,
    }
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
    fn pieces_fit_the_limit_but_are_never_tiny() {
        assert_eq!(piece(512 << 10, 0), 512 << 10);
        assert_eq!(piece(512 << 10, 64 << 10), 64 << 10);
        assert_eq!(piece(512 << 10, 1), 16 << 10);
        assert_eq!(piece(4 << 10, 64 << 10), 4 << 10);
    }
}
