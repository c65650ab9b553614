//! Enrolments and revocations of a child, kept for it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use nqsync_core::protocol::roster::{Keep, Kept, MAX_ROSTER, hash};

use super::{Child, Hub, Reply, busy, refuse, whole};
use crate::store::{StoreError, audit, rosters};

/// Keeps a newer one in the place of the one that the child has taken in.
pub(super) async fn keep(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Json<Kept>, Reply> {
    let (stop, _ours) = hub.inner.rosters.begin(child.link).await;
    let arrived = stop.run_until_cancelled(whole(&hub, body, MAX_ROSTER));
    let number = child.link.0.unsigned_abs();
    let replaced = || busy("a later list of this node took its place", number);
    let bytes = arrived.await.ok_or_else(replaced)??;
    let keep: Keep = serde_json::from_slice(&bytes).map_err(|e| {
        let message = format!("cannot read the request: {e}");
        refuse(StatusCode::BAD_REQUEST, "unreadable", message)
    })?;
    let node = hub.inner.node.clone();
    let store = node.store.clone();
    let kept = store
        .write(move |tx| {
            let here = rosters::hash_of(tx.connection(), child.link)?;
            let now = hash(&keep.roster.text);
            if here != keep.replaces && here != now {
                return Ok(None);
            }
            if here != now {
                let now_ms = node.clock.now_ms();
                rosters::put(tx.connection(), child.link, &keep.roster, now_ms)?;
                let subject = child.node.to_string();
                let act = audit::Act {
                    at: now_ms,
                    actor: &subject,
                    act: "roster.kept",
                    subject: &subject,
                    detail: serde_json::json!({ "hash": now }),
                };
                audit::append(tx, &act)?;
            }
            Ok::<_, StoreError>(Some(Kept { hash: now }))
        })
        .await?;
    kept.map(Json).ok_or_else(|| {
        let message = "another list of children is kept here than the one that this one takes the place of; open the session again";
        refuse(StatusCode::CONFLICT, "roster", message)
    })
}

/// Gives back what is kept.
pub(super) async fn fetch(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
) -> Result<Response, Reply> {
    let _making = hub.inner.answers.turn(child).await?;
    let store = &hub.inner.node.store;
    let kept = store
        .read(move |connection| rosters::of(connection, child.link))
        .await?;
    Ok(match kept {
        Some(roster) => {
            // At once as large as it becomes: growing would hold it three times over.
            let mut json = Vec::with_capacity(roster.text.len() + (roster.text.len() >> 2) + 1024);
            serde_json::to_writer(&mut json, &roster)
                .map_err(|e| StoreError::Damaged(e.to_string()))?;
            ([(CONTENT_TYPE, "application/json")], json).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    })
}
