//! `verify --local`: whether this store is what was written into it.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::Said;
use crate::api::Exit;
use crate::node::{Node, Refusal};
use crate::store::blobs::{self, BlobId, hex};
use crate::store::{Rec, Store, StoreError, audit, backup, queries, records};

/// Records read at once.
const PAGE: u32 = 500;
/// Findings that are listed; the count is of all.
const LISTED: usize = 200;

/// What was found.
#[derive(Default)]
struct Found {
    damage: Vec<String>,
    bad_files: Vec<BlobId>,
    records: u64,
    files: u64,
}

/// Carries `verify` out on this store alone. Comparing with the parent is for the running service.
pub async fn here(node: &Node, local: bool, repair: bool) -> Result<Said, Refusal> {
    if !local {
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
    if repair && !found.bad_files.is_empty() {
        let (bad, dir) = (found.bad_files.clone(), node.store.dir().to_owned());
        node.store
            .write(move |tx| {
                for id in &bad {
                    put_aside(&blobs::path(&dir, id))?;
                    blobs::lost(tx.connection(), id)?;
                }
                for state in tx.links().iter() {
                    tx.wake(state.link);
                }
                Ok::<_, StoreError>(())
            })
            .await?;
    }
    Ok(said(&found, repair))
}

/// A damaged file is kept for whoever looks into the disk; under its own name it would be taken for whole.
fn put_aside(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let aside = path.with_added_extension("damaged");
    fs::rename(path, aside).map_err(|source| StoreError::Io {
        what: format!("move {} aside", path.display()),
        source,
    })
}

fn look(store: &Store) -> Result<Found, StoreError> {
    let mut found = Found {
        damage: store.read_blocking(backup::findings)?,
        ..Found::default()
    };
    if let Some(number) = store.read_blocking(audit::first_broken)? {
        found.damage.push(format!(
            "entry {number} of the audit does not follow the one before"
        ));
    }
    let mut after = Rec(0);
    loop {
        let page = store.read_blocking(|connection| records::page(connection, after, PAGE));
        let page = match page {
            Ok(page) => page,
            Err(StoreError::Damaged(what)) => {
                // What stands behind it cannot be told from here; the page before was good.
                found.damage.push(what);
                break;
            }
            Err(error) => return Err(error),
        };
        let Some(last) = page.last() else { break };
        after = last.rec;
        for stored in &page {
            found.records += 1;
            if stored.record.digest() != stored.digest {
                let key = stored.record.key();
                found
                    .damage
                    .push(format!("{} {} is not what was written", key.kind, key.id));
            }
        }
    }
    for (id, _) in store.read_blocking(blobs::all_present)? {
        found.files += 1;
        let path = blobs::path(store.dir(), &id);
        if path.exists() && backup::is_blob(&path, &id)? {
            continue;
        }
        found.bad_files.push(id);
    }
    Ok(found)
}

fn said(found: &Found, repair: bool) -> Said {
    let whole = found.damage.is_empty() && found.bad_files.is_empty();
    let damage = &found.damage[..found.damage.len().min(LISTED)];
    let bad_files: Vec<String> = found.bad_files.iter().take(LISTED).map(hex).collect();
    let mut said = Said::done(json!({
        "ok": whole,
        "records": found.records,
        "files": found.files,
        "differ": found.damage.len() + found.bad_files.len(),
        "damage": damage,
        "bad_files": bad_files,
    }));
    if whole {
        let args = [
            ("records", found.records.to_string()),
            ("files", found.files.to_string()),
        ];
        return said.note("note-verify-undamaged", args);
    }
    said.exit = Exit::Degraded;
    if !found.damage.is_empty() {
        said = said.note("note-verify-damaged", [("found", found.damage.join("; "))]);
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
