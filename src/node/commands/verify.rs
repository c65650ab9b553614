//! `verify --local`: whether this store is what was written into it.

use serde_json::json;

use super::Said;
use crate::api::Exit;
use crate::node::health::{self, Looked};
use crate::node::{self, Node, Refusal};
use crate::store::blobs::{self, BlobId, hex};
use crate::store::{Store, StoreError, Tx, queries, standings};

/// Findings that are listed; the count is of all.
const LISTED: usize = 200;

/// What was found.
#[derive(Default)]
struct Found {
    database: Looked,
    bad_files: Vec<BlobId>,
    files: u64,
    /// Works whose standing was kept otherwise than it follows from the records.
    standings: usize,
}

/// Carries `verify` out on this store alone. Comparing with the parent is for the running service.
pub async fn here(node: &Node, local: bool, repair: bool) -> Result<Said, Refusal> {
    if !local {
        if let Some(damage) = node.store.damage() {
            return Err(StoreError::Unsound(damage.found.join("; ")).into());
        }
        let enrolled = node
            .store
            .read(|connection| queries::meta(connection, "upstream_node"))
            .await?;
        let code = match enrolled {
            Some(_) => "verify-needs-service",
            None => "verify-no-parent",
        };
        return Err(Refusal::usage(code, []));
    }
    let store = node.store.clone();
    let looked = tokio::task::spawn_blocking(move || look(&store)).await;
    let found = looked.map_err(|e| StoreError::Panicked(e.to_string()))??;
    health::conclude(node, &found.database).await?;
    if repair && !found.bad_files.is_empty() {
        health::fetch_again(node, found.bad_files.clone()).await?;
    }
    if repair && found.standings > 0 {
        let mark = |tx: &mut Tx<'_>| standings::mark_all(tx.connection());
        node.store.write(mark).await?;
    }
    Ok(said(&found, repair))
}

fn look(store: &Store) -> Result<Found, StoreError> {
    let mut found = Found {
        database: health::database(store)?,
        ..Found::default()
    };
    for (id, _) in store.read_blocking(blobs::all_present)? {
        found.files += 1;
        if !health::file_is_whole(store.dir(), &id)? {
            found.bad_files.push(id);
        }
    }
    // What cannot be read is damage, and is told as such.
    if found.database.damage.is_empty() {
        found.standings = store.read_blocking(|connection| {
            let tree = queries::load_tree(connection)?;
            node::standings::compare(connection, &tree).map(|differ| differ.len())
        })?;
    }
    Ok(found)
}

fn said(found: &Found, repair: bool) -> Said {
    let all = &found.database.damage;
    let whole = all.is_empty() && found.bad_files.is_empty() && found.standings == 0;
    let damage = &all[..all.len().min(LISTED)];
    let bad_files: Vec<String> = found.bad_files.iter().take(LISTED).map(hex).collect();
    let mut said = Said::done(json!({
        "ok": whole,
        "records": found.database.records,
        "files": found.files,
        "differ": all.len() + found.bad_files.len() + found.standings,
        "standings": found.standings,
        "damage": damage,
        "bad_files": bad_files,
    }));
    if whole {
        let args = [
            ("records", found.database.records.to_string()),
            ("files", found.files.to_string()),
        ];
        return said.note("note-verify-undamaged", args);
    }
    said.exit = Exit::Degraded;
    if !all.is_empty() {
        said = said.note("note-verify-damaged", [("found", all.join("; "))]);
    }
    if found.standings > 0 {
        let key = match repair {
            true => "note-verify-standings-again",
            false => "note-verify-standings",
        };
        said = said.note(key, [("count", found.standings.to_string())]);
    }
    if !found.bad_files.is_empty() {
        let key = if repair {
            "note-verify-files-again"
        } else {
            "note-verify-files"
        };
        said = said.note(key, [("count", found.bad_files.len().to_string())]);
    }
    said
}
