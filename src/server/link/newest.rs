//! Of several requests for the same thing the last has the word: one before it may still hang on a line that is dead.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// The requests in progress, by what they are for.
pub(super) struct Newest<K>(Mutex<HashMap<K, Request>>);

struct Request {
    stop: CancellationToken,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<K> Default for Newest<K> {
    fn default() -> Self {
        Newest(Mutex::default())
    }
}

impl<K: Eq + Hash> Newest<K> {
    /// Tells the request before to end, if it still runs, and waits until it has. What is answered says when this one has
    /// to end in its turn, and that it runs.
    pub(super) async fn begin(&self, key: K) -> (CancellationToken, OwnedMutexGuard<()>) {
        let stop = CancellationToken::new();
        let turn = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Only this table holds the locks of requests that are over.
            held.retain(|_, request| Arc::strong_count(&request.turn) > 1);
            let turn = match held.get(&key) {
                Some(before) => {
                    before.stop.cancel();
                    before.turn.clone()
                }
                None => Arc::default(),
            };
            let request = Request {
                stop: stop.clone(),
                turn: turn.clone(),
            };
            held.insert(key, request);
            turn
        };
        (stop, turn.lock_owned().await)
    }
}
