//! Batches that come up from a child.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use nqsync_core::protocol::{Ack, BATCH_HEADER, BEFORE_HEADER, HEAD_HEADER, unhex};
use nqsync_core::sync::Incarnation;

use super::{Child, Hub, Reply, busy, refuse, turn, whole};
use crate::node::{offer, receive};
use crate::store::links::{self, Contact, Direction};
use crate::store::{StoreError, audit};

/// Takes a batch in, and acknowledges it when that is on disk.
pub(super) async fn push(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Ack>, Reply> {
    let (number, before) = batch_headers(&headers)?;
    let head = headers.get(HEAD_HEADER).and_then(|v| v.to_str().ok());
    let head: Option<Incarnation> = head.and_then(|text| text.parse().ok());
    let busy = |message: &str| busy(message, number);
    let (stop, _ours) = hub.inner.pushes.begin(child.link).await;
    let limits = hub.inner.limits;
    let arrived = stop.run_until_cancelled(async {
        let crowded = || busy("many nodes are sending at once; try again shortly");
        let slot = turn(&hub).await.ok_or_else(crowded)?;
        Ok::<_, Reply>((slot, whole(&hub, body, limits.batch_bytes).await?))
    });
    let replaced = || busy("a later batch of this node took its place");
    let (_slot, body) = arrived.await.ok_or_else(replaced)??;
    let node = hub.inner.node.clone();
    let record_bytes = node.settings.max_record_bytes;
    let unpacked = tokio::task::spawn_blocking(move || {
        receive::unpack(&body, number, before, limits.batch_bytes, record_bytes)
    });
    let (lines, position) = unpacked
        .await
        .map_err(|e| refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed", e.to_string()))?
        .map_err(|refused| {
            let too_large = refused.code == "too_large";
            let status = if too_large {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::BAD_REQUEST
            };
            Reply(status, refused)
        })?;
    let store = node.store.clone();
    let outcome = store
        .write(move |tx| {
            let row = links::row(tx.connection(), child.link)?;
            if row.up.batch + 1 != position.batch || row.up.hash != position.before {
                return Ok(Err(row.up));
            }
            let ahead = row.clock_ahead_ms.unwrap_or(0);
            let applied = receive::apply(&node, tx, child.link, lines, ahead)?;
            links::set_position(tx.connection(), child.link, Direction::Up, &position)?;
            links::note_success(tx.connection(), child.link, node.clock.now_ms(), None)?;
            if head.is_some() && head != row.peer_head {
                let contact = Contact {
                    at: node.clock.now_ms(),
                    peer_head: head,
                    ..Contact::default()
                };
                links::note_contact(tx.connection(), child.link, &contact)?;
            }
            let act = audit::Act {
                at: node.clock.now_ms(),
                actor: &child.node.to_string(),
                act: "batch.received",
                subject: &child.link.0.to_string(),
                detail: serde_json::json!({ "batch": position.batch, "lines": applied.lines,
                    "changed": applied.changed, "set_aside": applied.set_aside.len() }),
            };
            audit::append(tx, &act)?;
            Ok::<_, StoreError>(Ok((applied, position)))
        })
        .await?;
    match outcome {
        Ok((applied, position)) => Ok(Json(Ack {
            mark: offer::mark(&position),
            set_aside: applied.set_aside,
            unreadable: applied.unreadable,
        })),
        Err(expected) => Err(refuse(
            StatusCode::CONFLICT,
            "position",
            format!(
                "batch {} was expected next; open the session again",
                expected.batch + 1
            ),
        )),
    }
}

fn batch_headers(headers: &HeaderMap) -> Result<(u64, Vec<u8>), Reply> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = text(BATCH_HEADER).and_then(|value| value.parse().ok());
    let before = text(BEFORE_HEADER).and_then(unhex);
    match (number, before) {
        (Some(number), Some(before)) => Ok((number, before)),
        _ => Err(refuse(
            StatusCode::BAD_REQUEST,
            "unreadable",
            format!("a batch needs the headers {BATCH_HEADER} and {BEFORE_HEADER}"),
        )),
    }
}
