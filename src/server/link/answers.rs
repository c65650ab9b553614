//! Answers that a child has not taken yet, and how many of them this node keeps for it.
//!
//! A child that asks on all its connections and reads nothing would have each answer kept until its time is up. So the
//! answers of one child share a budget, whichever endpoint they come from, and large ones are made one after the other.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::{Child, Reply, busy};
use crate::store::LinkId;

/// Answers that are kept for one child, in full batches: after cuts of the line each of its other connections may still
/// hold one, and one is on its way. Who only lost its line does not meet this limit.
const BATCHES: u32 = 5;
/// The smallest that a full batch counts as, in KiB: lists of children are as large.
const BATCH_KIB: u32 = 4 << 10;
/// What an answer costs at least, in KiB: those that are smaller are as cheap as the request itself.
const LEAST_KIB: u32 = 1;
/// What an answer of unknown length costs, in KiB: it is read from the disk as it goes.
const STREAMED_KIB: u32 = 64;

/// The answers under way, by child.
pub(super) struct Answers {
    batch_kib: u32,
    under_way: Mutex<HashMap<LinkId, Under>>,
}

#[derive(Clone)]
struct Under {
    kept: Arc<Semaphore>,
    making: Arc<tokio::sync::Mutex<()>>,
}

/// That a large answer is being made. It goes along into what a thread of its own does: a request that is taken back does
/// not end that.
pub(super) type Making = OwnedMutexGuard<()>;

impl Answers {
    /// Room for the answers of each child, where a batch has so many bytes at most.
    pub(super) fn new(batch_bytes: usize) -> Answers {
        let kib = u32::try_from(batch_bytes >> 10).unwrap_or(u32::MAX);
        // What a semaphore can count, far above what a configuration may say.
        let batch_kib = kib.clamp(BATCH_KIB, 1 << 26);
        Answers {
            batch_kib,
            under_way: Mutex::default(),
        }
    }

    fn of(&self, link: LinkId) -> Under {
        let mut all = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let under = all.entry(link).or_insert_with(|| Under {
            kept: Arc::new(Semaphore::new((self.batch_kib * BATCHES) as usize)),
            making: Arc::default(),
        });
        under.clone()
    }

    /// A turn to make an answer that may be large. Nothing that waits for the child happens in it, so it comes soon; where
    /// there is hardly room for what would be made, the work is spared.
    pub(super) async fn turn(&self, child: Child) -> Result<Making, Reply> {
        let under = self.of(child.link);
        let making = under.making.lock_owned().await;
        match under.kept.available_permits() <= self.batch_kib as usize {
            true => Err(untaken(child)),
            false => Ok(making),
        }
    }

    /// The same answer, which counts as kept until it was handed over or given up; where the child has let too many pile
    /// up it is thrown away and the child hears that it is to come back.
    pub(super) fn keep(&self, child: Child, response: Response) -> Result<Response, Reply> {
        let size = response.body().size_hint();
        let kib = match size.exact() {
            Some(0) => return Ok(response),
            Some(bytes) => u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX),
            None => STREAMED_KIB,
        };
        // One that is larger than all may be together passes beside small ones.
        let kib = kib.clamp(LEAST_KIB, self.batch_kib * (BATCHES - 1));
        let Ok(permit) = self.of(child.link).kept.try_acquire_many_owned(kib) else {
            return Err(untaken(child));
        };
        Ok(response.map(|inner| {
            Body::new(Kept {
                inner,
                _until_gone: permit,
            })
        }))
    }
}

fn untaken(child: Child) -> Reply {
    let message = "this node has not taken the answers to its last requests; read them first";
    busy(message, child.link.0.unsigned_abs())
}

/// An answer in the budget of its child. It leaves it when it is dropped: at its end somebody may still hold its bytes.
struct Kept {
    inner: Body,
    _until_gone: OwnedSemaphorePermit,
}

impl hyper::body::Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
