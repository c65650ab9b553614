//! Stores that came back: until a restored node has met its parent it takes nothing new from people.
//!
//! What was written after the backup and sent is still held above. Written anew before it came back, it would become a
//! conflict of the owner with itself; so local writes wait for the first session after which both sides hold the same.

use super::{Node, Refusal};
use crate::store::restore::{RESTORED_AT, RESTORED_FROM, RESTORED_WAITS};
use crate::store::{LinkId, Role, StoreError, Tx, audit, links, nodes, queries};
use rusqlite::Connection;

/// Whether this store was restored and has not met its parent since.
pub fn waits(connection: &Connection) -> Result<bool, StoreError> {
    Ok(queries::meta(connection, RESTORED_WAITS)?.is_some_and(|whom| !whom.is_empty()))
}

/// When this store was restored, and when the backup it came from was made.
pub fn restored(connection: &Connection) -> Result<Option<(i64, String)>, StoreError> {
    let at = queries::meta(connection, RESTORED_AT)?.and_then(|text| text.parse().ok());
    let from = queries::meta(connection, RESTORED_FROM)?;
    Ok(at.zip(from))
}

/// Whether people, adapters and this node itself may write into records now.
pub fn may_write(connection: &Connection) -> Result<(), Refusal> {
    if waits(connection)? {
        let from = restored(connection)?.map(|(_, from)| from);
        let made = ("made", from.unwrap_or_default());
        return Err(Refusal::usage("restored-waiting", [made]));
    }
    Ok(())
}

/// Both sides of the way up hold the same now: what was lost is back.
pub async fn agreed(node: &Node) -> Result<(), StoreError> {
    if !node.store.read(waits).await? {
        return Ok(());
    }
    let now_ms = node.clock.now_ms();
    node.store
        .write(move |tx| open(tx, "nqsync", "store.recovered", now_ms))
        .await
}

/// Lets people write again.
pub fn open(tx: &mut Tx<'_>, actor: &str, act: &str, now_ms: i64) -> Result<(), StoreError> {
    tx.set_meta(RESTORED_WAITS, "")?;
    let act = audit::Act {
        at: now_ms,
        actor,
        act,
        subject: "",
        detail: serde_json::json!({}),
    };
    audit::append(tx, &act)
}

/// The children that a restored node has not compared itself with since.
pub fn not_asked(connection: &Connection) -> Result<Vec<LinkId>, StoreError> {
    if restored(connection)?.is_none() {
        return Ok(Vec::new());
    }
    let enrolled = nodes::all(connection)?;
    let rows = links::rows(connection)?;
    Ok(rows
        .into_iter()
        .filter(|row| row.role == Role::Downstream && row.agrees.is_none())
        .filter(|row| {
            let node = enrolled.iter().find(|node| node.node == row.node);
            node.is_some_and(|node| node.revoked_at.is_none())
        })
        .map(|row| row.link)
        .collect())
}
