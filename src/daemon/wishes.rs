//! Requests of operators to exchange now, on their way to the uplink.

use std::collections::VecDeque;

use tokio::sync::{Mutex, mpsc};

use super::uplink::{Cut, Wish};

/// The receiving end. A wish that ended a wait stays first in line until somebody answers it.
pub struct Wishes(Mutex<Inner>);

struct Inner {
    queue: mpsc::Receiver<Wish>,
    first: VecDeque<Wish>,
}

impl Wishes {
    /// Wishes that come by a channel.
    pub fn new(queue: mpsc::Receiver<Wish>) -> Wishes {
        let first = VecDeque::new();
        Wishes(Mutex::new(Inner { queue, first }))
    }

    /// The next wish; `None` when nobody can wish any more.
    pub async fn next(&self) -> Option<Wish> {
        let mut inner = self.0.lock().await;
        match inner.first.pop_front() {
            Some(wish) => Some(wish),
            None => inner.queue.recv().await,
        }
    }

    /// Returns when there is a wish to answer.
    pub async fn come(&self) {
        let mut inner = self.0.lock().await;
        if !inner.first.is_empty() {
            return;
        }
        match inner.queue.recv().await {
            Some(wish) => inner.first.push_back(wish),
            None => std::future::pending().await,
        }
    }

    /// Answers every wish there is with a failure.
    pub async fn fail(&self, cut: &Cut) {
        let mut inner = self.0.lock().await;
        while let Ok(wish) = inner.queue.try_recv() {
            inner.first.push_back(wish);
        }
        for wish in inner.first.drain(..) {
            // Whoever asked may have gone away.
            let _ = wish.send(Err(cut.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wish_that_ended_a_wait_is_answered_and_not_forgotten() {
        let (wish, queue) = mpsc::channel(4);
        let wishes = Wishes::new(queue);
        let (answer, answered) = tokio::sync::oneshot::channel();
        wish.send(answer).await.expect("room");
        wishes.come().await;
        wishes.come().await;
        let cut = Cut::unreachable("the line is down");
        wishes.fail(&cut).await;
        assert_eq!(answered.await.expect("an answer").unwrap_err(), cut);
    }
}
