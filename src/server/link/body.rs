//! What a child sends, read within limits of bytes, time and memory.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use nqsync_core::protocol::{MAX_ENROL_BODY, MAX_SMALL_BODY, Pull, Refused, SET_ASIDE_BYTES};
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::{Child, Hub, Reply, refuse};

/// The longest a sender that heard `busy` is asked to wait, in seconds; spread, so that they do not return together.
pub(super) const BUSY_RETRY_S: u64 = 4;

/// Batches that may wait for their turn: what they hold meanwhile is bounded by HTTP/2's windows, because a body is
/// read when its turn has come.
pub(super) const WAITING: usize = 128;
/// Longest that a batch waits for its turn before its sender hears `busy`; well below the senders' own patience.
const TURN: Duration = Duration::from_secs(20);

pub(super) async fn whole(hub: &Hub, body: Body, limit: usize) -> Result<Bytes, Reply> {
    let too_large = || {
        let message = format!("a body here may have {limit} bytes");
        refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    // What announces itself as too large is not read first.
    if HttpBody::size_hint(&body).lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout(hub.inner.limits.body, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(refuse(StatusCode::BAD_REQUEST, "cut", error.to_string())),
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "slow",
            "the body took too long to arrive",
        )),
    }
}

pub(super) async fn small<T: DeserializeOwned>(hub: &Hub, body: Body) -> Result<T, Reply> {
    read_json(&whole(hub, body, MAX_SMALL_BODY).await?)
}

/// A body that grows with what was set aside of a batch. Large ones are read one after the other, like batches.
pub(super) async fn acknowledging(hub: &Hub, child: &Child, body: Body) -> Result<Pull, Reply> {
    if HttpBody::size_hint(&body).lower() <= MAX_SMALL_BODY as u64 {
        return small(hub, body).await;
    }
    let number = child.link.0.unsigned_abs();
    let crowded = || {
        busy(
            "many nodes are acknowledging at once; try again shortly",
            number,
        )
    };
    let _turn = turn(hub).await.ok_or_else(crowded)?;
    let records = hub.inner.node.settings.batch_records;
    let limit = MAX_SMALL_BODY.saturating_add(records.saturating_mul(SET_ASIDE_BYTES));
    let limit = limit.min(hub.inner.limits.batch_bytes);
    read_json(&whole(hub, body, limit).await?)
}

/// What a stranger may say.
pub(super) async fn from_anybody<T: DeserializeOwned>(hub: &Hub, body: Body) -> Result<T, Reply> {
    read_json(&whole(hub, body, MAX_ENROL_BODY).await?)
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(bytes).map_err(|e| {
        refuse(
            StatusCode::BAD_REQUEST,
            "unreadable",
            format!("cannot read the request: {e}"),
        )
    })
}

/// Come back soon; not all at the same second, by a number that differs from child to child.
pub(super) fn busy(message: &str, number: u64) -> Reply {
    let refused = Refused {
        retry_after_s: Some(1 + number % BUSY_RETRY_S),
        ..Refused::new("busy", message)
    };
    Reply(StatusCode::SERVICE_UNAVAILABLE, refused)
}

/// A turn to have a batch taken in; `None` when too many wait, or the wait is too long. Coming back costs a child
/// seconds, waiting in line only as long as the others take.
pub(super) async fn turn(hub: &Hub) -> Option<SemaphorePermit<'_>> {
    if let Ok(slot) = hub.inner.slots.try_acquire() {
        return Some(slot);
    }
    let _place = hub.inner.waiting.try_acquire().ok()?;
    timeout(TURN, hub.inner.slots.acquire()).await.ok()?.ok()
}
