//! How long to wait before the next try. The only place that knows the crate behind it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Growing pauses between tries, reset by a success.
pub struct Backoff {
    least: Duration,
    most: Duration,
    pauses: ExponentialBackoff,
}

impl Backoff {
    /// Pauses from `least`, doubling up to `most`, spread so that 3,321 communes do not return together.
    pub fn new(least: Duration, most: Duration) -> Backoff {
        let most = most.max(least);
        let pauses = ExponentialBuilder::default()
            .with_min_delay(least)
            .with_max_delay(most)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build();
        Backoff {
            least,
            most,
            pauses,
        }
    }

    /// The next pause. `asked`: the peer named a time itself (`Retry-After`).
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        // The crate adds its jitter after the cap; the cap is meant to hold.
        let pause = self.pauses.next().unwrap_or(self.most).min(self.most);
        match asked {
            Some(asked) => asked + pause.min(self.least),
            None => pause,
        }
    }

    /// The line works again.
    pub fn reset(&mut self) {
        *self = Backoff::new(self.least, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_never_pass_the_cap_and_honour_what_the_peer_asks() {
        let most = Duration::from_secs(60);
        let mut backoff = Backoff::new(Duration::from_secs(1), most);
        for _ in 0..1000 {
            assert!(backoff.next(None) <= most);
        }
        let asked = Duration::from_secs(300);
        assert!(backoff.next(Some(asked)) >= asked);
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_secs(2));
    }
}
