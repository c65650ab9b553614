//! Which files a record asks for, and which neighbour is owed them.
//!
//! An evidence file goes to the unit that reviews it and no further; a directive's file goes down with the directive.

use nqsync_core::model::{Facts, UnitId};
use nqsync_core::sync::Record;
use nqsync_core::sync::scope;

use super::Node;
use crate::store::blobs::{self, BlobId};
use crate::store::{LinkId, Rec, Role, StoreError, Tx, audit, queries};

/// The file a record names: its SHA-256, its length, and the units that need its bytes.
pub(super) fn file_of(record: &Record) -> Option<(BlobId, u64, Vec<UnitId>)> {
    let readers = match record.facts() {
        Facts::Evidence { reviewer, .. } => vec![*reviewer],
        Facts::Directive { .. } => scope::assigned(record),
        _ => return None,
    };
    let file = record.shown("file")?;
    let id = blobs::parse_hex(file["sha256"].as_str()?)?;
    Some((id, file["size"].as_u64()?, readers))
}

/// Notes what a record's file means here: wanted from the neighbour it came by, owed to the neighbours whose side
/// needs it.
pub fn follow(
    tx: &mut Tx<'_>,
    from: Option<LinkId>,
    rec: Rec,
    record: &Record,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some((id, size, readers)) = file_of(record) else {
        return Ok(());
    };
    let mut needed_here = readers.iter().any(|unit| tx.serves(*unit));
    for state in tx.links().iter() {
        let needed_beyond = readers.iter().any(|unit| state.is_beyond(*unit));
        if needed_beyond && from != Some(state.link) {
            blobs::owe(tx.connection(), state.link, &id)?;
            tx.wake(state.link);
            needed_here = true;
        }
    }
    if let Some(from) = from.filter(|_| needed_here) {
        blobs::note(tx.connection(), &id, size, false, now_ms)?;
        blobs::want(tx.connection(), from, &id, rec, size)?;
        if tx.link(from)?.role == Role::Upstream {
            tx.wake(from);
        }
    }
    Ok(())
}

/// Facts of the store: since when files to and from the parent wait, in milliseconds since 1970, and why.
const WAITING: [&str; 2] = ["files_wait_since", "files_wait_why"];

/// Notes that files wait, or that they pass again. Only a change is written down.
pub async fn note_waiting(node: &Node, why: Option<String>, now_ms: i64) -> Result<(), StoreError> {
    if node.store.read(waiting).await?.is_some() == why.is_some() {
        return Ok(());
    }
    node.store
        .write(move |tx| {
            let (act, since, why) = match why {
                Some(why) => ("files.wait", now_ms.to_string(), why),
                None => ("files.pass", String::new(), String::new()),
            };
            tx.set_meta(WAITING[0], &since)?;
            tx.set_meta(WAITING[1], &why)?;
            let act = audit::Act {
                at: now_ms,
                actor: "nqsync",
                act,
                subject: "",
                detail: serde_json::json!({}),
            };
            audit::append(tx, &act)
        })
        .await
}

/// Since when files wait, and why.
pub fn waiting(connection: &rusqlite::Connection) -> Result<Option<(i64, String)>, StoreError> {
    let since = queries::meta(connection, WAITING[0])?.and_then(|text| text.parse().ok());
    let why = queries::meta(connection, WAITING[1])?;
    Ok(since.zip(why))
}
