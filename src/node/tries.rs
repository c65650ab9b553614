//! Wrong passwords by name: after a few of them each further try waits.
//!
//! Invariant: a try is counted before its password is looked at. Counted afterwards, two hundred tries at the same moment
//! were all let through.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wrong passwords for one name before it must wait.
const FREE_TRIES: u32 = 5;
/// Longest wait after wrong passwords.
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// Names that are watched for wrong passwords; beyond it the oldest is forgotten.
const MOST_NAMES: usize = 10_000;
/// Refusals of one kind that are worth a line in the audit in one minute: whoever tries a lot must not fill the disk.
pub const NOTED_IN_A_MINUTE: u32 = 20;

/// The tries of all names.
#[derive(Debug, Default)]
pub struct Tries(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    names: HashMap<String, Tried>,
    refused: Minute,
}

/// How many refusals there were in the present minute.
#[derive(Debug, Default)]
pub struct Minute {
    number: i64,
    count: u32,
}

impl Minute {
    /// Counts one more. Answers how many there were in this minute.
    pub fn count(&mut self, now_ms: i64) -> u32 {
        let number = now_ms.div_euclid(60_000);
        if self.number != number {
            *self = Minute { number, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// Tries of one name that were not right, or not yet.
#[derive(Debug)]
struct Tried {
    count: u32,
    last_ms: i64,
}

impl Tried {
    /// How long to wait for the next try, in milliseconds; after five each further one doubles the wait.
    fn wait_ms(&self, now_ms: i64) -> i64 {
        let Some(beyond) = self.count.checked_sub(FREE_TRIES) else {
            return 0;
        };
        let wait = Duration::from_secs(1 << beyond.min(20)).min(LONGEST_WAIT);
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        // A clock that was set back must not make the wait longer.
        (wait - (now_ms - self.last_ms).abs()).max(0)
    }
}

impl Tries {
    /// Counts a try. Refused with the seconds to wait where the name must wait first; such a one is not counted.
    pub fn begin(&self, name: &str, now_ms: i64) -> Result<(), u64> {
        let mut inner = self.inner();
        let wait_ms = inner
            .names
            .get(name)
            .map_or(0, |tried| tried.wait_ms(now_ms));
        if wait_ms > 0 {
            return Err(u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000));
        }
        if inner.names.len() >= MOST_NAMES && !inner.names.contains_key(name) {
            let oldest = inner.names.iter().min_by_key(|(_, tried)| tried.last_ms);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                inner.names.remove(&oldest);
            }
        }
        let tried = inner.names.entry(name.to_owned()).or_insert(Tried {
            count: 0,
            last_ms: now_ms,
        });
        tried.count += 1;
        tried.last_ms = now_ms;
        Ok(())
    }

    /// The password was right: this try was none, and those before are forgotten.
    pub fn right(&self, name: &str) {
        self.inner().names.remove(name);
    }

    /// The password was wrong. Answers whether it is to be kept in the audit.
    pub fn wrong(&self, now_ms: i64) -> bool {
        self.inner().refused.count(now_ms) <= NOTED_IN_A_MINUTE
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding it leaves whole values behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_cost_more_and_more_time_and_only_that_name() {
        let tries = Tries::default();
        for _ in 0..5 {
            assert_eq!(tries.begin("an", 0), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(tries.begin("an", 0), Err(1), "a refused try costs nothing");
        }
        assert_eq!(tries.begin("an", 1000), Ok(()));
        assert_eq!(tries.begin("an", 1000), Err(2));
        assert_eq!(tries.begin("binh", 1000), Ok(()));
        let mut now_ms = 1000;
        for _ in 0..40 {
            now_ms += 900_000;
            assert_eq!(tries.begin("an", now_ms), Ok(()));
        }
        assert_eq!(tries.begin("an", now_ms), Err(900));
        assert_eq!(tries.begin("an", now_ms - 86_400_000), Ok(()));
        tries.right("an");
        assert_eq!(tries.begin("an", now_ms), Ok(()));
    }

    #[test]
    fn whoever_guesses_many_names_does_not_fill_the_audit() {
        let tries = Tries::default();
        let noted = |now_ms| (0..100).filter(|_| tries.wrong(now_ms)).count();
        assert_eq!(noted(0), 20);
        assert_eq!(noted(59_999), 0);
        assert_eq!(noted(60_000), 20);
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let tries = Tries::default();
        for n in 0..MOST_NAMES as i64 + 10 {
            assert_eq!(tries.begin(&format!("n{n}"), n), Ok(()));
        }
        assert_eq!(tries.inner().names.len(), MOST_NAMES);
        assert!(!tries.inner().names.contains_key("n0"));
    }
}
