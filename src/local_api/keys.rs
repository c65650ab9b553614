//! Idempotency keys whose request is being carried out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Which keys are in use: of two requests under one key the second waits until the first is answered, so that it is told from a
/// repetition by what is kept, and not by who came first to look.
#[derive(Default)]
pub struct Keys(Mutex<HashMap<String, Weak<Turn<()>>>>);

/// As long as it is held, nobody else carries anything out under that key.
pub type Reserved = OwnedMutexGuard<()>;

impl Keys {
    /// Waits for a key.
    pub async fn reserve(&self, key: &str) -> Reserved {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(key).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            turns.insert(key.to_owned(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_had_by_one_at_a_time_and_forgotten_afterwards() {
        let keys = Keys::default();
        let first = keys.reserve("a").await;
        keys.reserve("b").await;
        let second = keys.reserve("a");
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("it does not wait"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        drop(second.await);
        keys.reserve("c").await;
        let left = keys.0.lock().expect("not poisoned").len();
        assert_eq!(left, 1, "nothing of the former ones is kept");
    }
}
