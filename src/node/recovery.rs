//! Stores that came back: until a restored node has met its parent it takes nothing new from people, and one that was
//! carried to another machine waits until somebody says so.
//!
//! What was written after the backup and sent is still held above. Written anew before it came back, it would become a
//! conflict of the owner with itself; so local writes wait for the first session after which both sides hold the same.

use std::path::Path;

use nqsync_core::protocol::hex;
use sha2::{Digest as _, Sha256};

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

/// Fact of the store: on which machine it was last opened, hashed.
const MACHINE: &str = "machine";
/// Fact of the store: on which other machine it was found, hashed; empty when on its own.
const FOUND_ON: &str = "machine_found";

/// Whether this store stands on another machine than the one that last had it, and nobody has said that it was moved.
pub fn moved(connection: &Connection) -> Result<bool, StoreError> {
    Ok(queries::meta(connection, FOUND_ON)?.is_some_and(|found| !found.is_empty()))
}

/// Looks on which machine the store is opened, and remembers the first. A machine without a name cannot be told from
/// another one and changes nothing. Only a hash is kept: the name itself is nobody's business.
pub async fn look_where_we_are(node: &Node) -> Result<(), StoreError> {
    let Some(here) = machine(&node.settings.machine_id_file) else {
        return Ok(());
    };
    let (known, found) = node
        .store
        .read(|c| Ok::<_, StoreError>((queries::meta(c, MACHINE)?, queries::meta(c, FOUND_ON)?)))
        .await?;
    let found_now = match &known {
        Some(known) if *known != here => here.as_str(),
        _ => "",
    };
    if known.is_some() && found.as_deref().unwrap_or_default() == found_now {
        return Ok(());
    }
    let (first, found_now) = (known.is_none(), found_now.to_owned());
    node.store
        .write(move |tx| {
            if first {
                tx.set_meta(MACHINE, &here)?;
            }
            tx.set_meta(FOUND_ON, &found_now)
        })
        .await
}

fn machine(file: &Path) -> Option<String> {
    let name = std::fs::read_to_string(file).ok()?;
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    let mut hasher = Sha256::new();
    hasher.update(b"nqsync machine ");
    hasher.update(name.as_bytes());
    Some(hex(&hasher.finalize()))
}

/// This store belongs on this machine from now on, wherever it was before.
pub fn is_here(tx: &mut Tx<'_>, machine_id_file: &Path) -> Result<(), StoreError> {
    let here = machine(machine_id_file).unwrap_or_default();
    tx.set_meta(MACHINE, &here)?;
    tx.set_meta(FOUND_ON, "")
}

/// A person says that the store was moved here: it goes on from here, in a new opening. Answers whether it was elsewhere
/// before.
pub fn settle_here(tx: &mut Tx<'_>, actor: &str, now_ms: i64) -> Result<bool, StoreError> {
    let Some(here) = tx.meta(FOUND_ON)?.filter(|found| !found.is_empty()) else {
        return Ok(false);
    };
    tx.set_meta(MACHINE, &here)?;
    tx.set_meta(FOUND_ON, "")?;
    // Told apart from whatever goes on at the old place.
    tx.draw_incarnation(now_ms)?;
    let act = audit::Act {
        at: now_ms,
        actor,
        act: "store.moved",
        subject: "",
        detail: serde_json::json!({}),
    };
    audit::append(tx, &act)?;
    Ok(true)
}

/// Whether people, adapters and this node itself may write into records now.
pub fn may_write(connection: &Connection) -> Result<(), Refusal> {
    if moved(connection)? {
        return Err(Refusal::usage("moved", []));
    }
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
