//! Answers on their way: a peer that stops reading is noticed, however alive it looks otherwise.
//!
//! HTTP/2 keeps answering pings for a program that no longer reads. Its answers would stay in memory for ever, and with
//! them its place. So each answer is handed over in pieces, and the connection ends when none is taken for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Largest piece, in bytes: on the thinnest line (64 kbit/s) one takes two seconds.
const PIECE: usize = 16 * 1024;

/// An answer in pieces.
struct Pieces {
    inner: Body,
    rest: Bytes,
    taken: Arc<Notify>,
    _sent: DropGuard,
}

/// The same answer; `connection` ends when the peer takes no piece of it for `patience`.
pub(super) fn watched(
    body: Body,
    patience: Duration,
    connection: &CancellationToken,
    tasks: &TaskTracker,
) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let (sent, taken) = (CancellationToken::new(), Arc::new(Notify::new()));
    let (over, news, connection) = (sent.clone(), taken.clone(), connection.clone());
    tasks.spawn(async move {
        let waited = over.run_until_cancelled(async {
            while timeout(patience, news.notified()).await.is_ok() {}
        });
        if waited.await.is_some() {
            tracing::info!("a peer stopped reading an answer; its connection is closed");
            connection.cancel();
        }
    });
    Body::new(Pieces {
        inner: body,
        rest: Bytes::new(),
        taken,
        _sent: sent.drop_guard(),
    })
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.taken.notify_one();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let length = self.rest.len().min(PIECE);
        // A copy: what the connection has not written yet must not hold the whole answer.
        let piece = Bytes::copy_from_slice(&self.rest.split_to(length));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
