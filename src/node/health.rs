//! Looking through a store: whether its database is what was written into it, whether its files are whole, and which
//! files nobody names.
//!
//! A damaged database is told, marked, and from then on neither written nor sent. A damaged file costs itself: it is put
//! aside and fetched again.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::{Node, recovery};
use crate::store::blobs::{self, BlobId, hex};
use crate::store::{Damage, Rec, Store, StoreError, audit, backup, queries, records};

/// Records read at once.
const PAGE: u32 = 500;
/// Findings that are kept; the audit has the count of all.
const KEPT: usize = 20;
/// A file that no row names may belong to a write that is under way; after this time it does not.
const STRAY_AFTER: Duration = Duration::from_secs(3600);
/// How long the files of a restored store are kept that its database does not know: records that come back from the
/// neighbours may name them.
const KEPT_AFTER_RESTORE_MS: i64 = 30 * 24 * 3_600_000;

/// What looking through the database found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// What is wrong, for people.
    pub damage: Vec<String>,
    /// Records read.
    pub records: u64,
    /// Whether SQLite itself finds nothing wrong, so that an audit entry can still be written.
    pub sound: bool,
}

/// Looks through the database: SQLite's own check, the chain of the audit, every record's digest.
pub fn database(store: &Store) -> Result<Looked, StoreError> {
    let damage = store.read_blocking(backup::findings)?;
    let mut found = Looked {
        sound: damage.is_empty(),
        damage,
        ..Looked::default()
    };
    match store.read_blocking(audit::first_broken) {
        Ok(None) => {}
        Ok(Some(number)) => found.damage.push(format!(
            "entry {number} of the audit does not follow the one before"
        )),
        Err(error) => unreadable(&mut found, error)?,
    }
    let mut after = Rec(0);
    loop {
        let page = store.read_blocking(|connection| records::page(connection, after, PAGE));
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                // What stands behind it cannot be told from here; the page before was good.
                unreadable(&mut found, error)?;
                break;
            }
        };
        let Some(last) = page.last() else { break };
        after = last.rec;
        for stored in &page {
            found.records += 1;
            if let Err(StoreError::Unsound(what)) = records::as_written(stored) {
                found.damage.push(what);
            }
        }
    }
    Ok(found)
}

fn unreadable(found: &mut Looked, error: StoreError) -> Result<(), StoreError> {
    match error {
        StoreError::Damaged(what) | StoreError::Unsound(what) => found.damage.push(what),
        StoreError::Sqlite(error) => found.damage.push(error.to_string()),
        other => return Err(other),
    }
    Ok(())
}

/// Takes in what was found: damage is told and marked; where there is none, an earlier mark goes.
pub async fn conclude(node: &Node, found: &Looked) -> Result<(), StoreError> {
    if found.damage.is_empty() {
        let was = node.store.damage().is_some();
        node.store.vouch()?;
        if was {
            tracing::info!("nothing is wrong with the store any more");
            note(node, "store.sound", json!({})).await?;
        }
        return Ok(());
    }
    if node.store.damage().is_some() {
        return Ok(());
    }
    tracing::error!(
        findings = found.damage.len(),
        first = found.damage.first(),
        "the store is damaged: nothing is written or exchanged until it is restored"
    );
    node.store.set_damage(Damage {
        at: node.clock.now_ms(),
        found: found.damage.iter().take(KEPT).cloned().collect(),
    });
    if found.sound {
        let detail = json!({ "findings": found.damage.len() });
        note(node, "store.damaged", detail).await?;
    }
    Ok(())
}

async fn note(node: &Node, act: &'static str, detail: serde_json::Value) -> Result<(), StoreError> {
    let at = node.clock.now_ms();
    node.store
        .write_anyway(move |tx| {
            let act = audit::Act {
                at,
                actor: "nqsync",
                act,
                subject: "",
                detail,
            };
            audit::append(tx, &act)
        })
        .await
}

/// Whether a file that is noted as present is here with the bytes of its name.
pub fn file_is_whole(dir: &Path, id: &BlobId) -> Result<bool, StoreError> {
    let path = blobs::path(dir, id);
    Ok(path.exists() && backup::is_blob(&path, id)?)
}

/// Files that are damaged or gone are put aside and wanted again, from the neighbours that have them.
pub async fn fetch_again(node: &Node, bad: Vec<BlobId>) -> Result<(), StoreError> {
    let (dir, at) = (node.store.dir().to_owned(), node.clock.now_ms());
    node.store
        .write(move |tx| {
            for id in &bad {
                put_aside(&blobs::path(&dir, id))?;
                blobs::lost(tx.connection(), id)?;
                let subject = hex(id);
                let act = audit::Act {
                    at,
                    actor: "nqsync",
                    act: "file.damaged",
                    subject: &subject,
                    detail: json!({}),
                };
                audit::append(tx, &act)?;
            }
            for state in tx.links().iter() {
                tx.wake(state.link);
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    node.store.tell_files_lost();
    Ok(())
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

/// Removes files that no row names: of writes that were refused, or that a crash cut before their row. Answers how many.
pub async fn sweep_strays(node: &Node) -> Result<usize, StoreError> {
    let restored = node.store.read(recovery::restored).await?;
    let now_ms = node.clock.now_ms();
    if restored.is_some_and(|(at, _)| now_ms - at < KEPT_AFTER_RESTORE_MS) {
        return Ok(0);
    }
    let store = node.store.clone();
    // The times of files are of the same clock.
    let now = Duration::from_millis(now_ms.max(0) as u64);
    let swept = tokio::task::spawn_blocking(move || {
        let mut removed = 0;
        for (id, path) in blobs::on_disk(store.dir())? {
            let modified = fs::metadata(&path).and_then(|found| found.modified()).ok();
            let since_1970 = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let age = since_1970.map(|at| now.saturating_sub(at));
            if age.is_none_or(|age| age < STRAY_AFTER)
                || store.read_blocking(|c| blobs::state(c, &id))?.is_some()
            {
                continue;
            }
            fs::remove_file(&path).map_err(|source| StoreError::Io {
                what: format!("remove {}", path.display()),
                source,
            })?;
            removed += 1;
        }
        Ok::<_, StoreError>(removed)
    });
    let removed = swept
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))??;
    if removed > 0 {
        tracing::info!(removed, "removed files that no record names");
        note(node, "files.swept", json!({ "removed": removed })).await?;
    }
    Ok(removed)
}

/// Fact of the store: what the configuration says of this node otherwise than the parent does; empty when nothing.
pub const DIFFERS: &str = "config_differs";

/// What a configuration says of a node otherwise than the parent's view (`unit`, `level`) does; empty when nothing.
pub fn differences(unit: &str, level: &str, said_unit: &str, said_level: &str) -> String {
    let mut differs = Vec::new();
    if !unit.eq_ignore_ascii_case(said_unit) {
        differs.push(format!("node.unit = {said_unit:?}, not {unit:?}"));
    }
    if level != said_level {
        differs.push(format!("node.level = {said_level:?}, not {level:?}"));
    }
    differs.join("; ")
}

/// The parent says which unit this node serves and at what level it is. A configuration that says otherwise, as one of
/// another node or of another time does, changes nothing, and is told.
pub async fn compare_with_parents_view(
    node: &Node,
    said_unit: &str,
    said_level: &str,
) -> Result<(), StoreError> {
    let shown = node.store.shown();
    let Some(info) = shown.unit.and_then(|unit| shown.tree.get(unit)) else {
        return Ok(());
    };
    let level = json!(info.level);
    let level = level.as_str().unwrap_or_default();
    let differs = differences(&info.code, level, said_unit, said_level);
    let known = node.store.read(|c| queries::meta(c, DIFFERS)).await?;
    if known.unwrap_or_default() == differs {
        return Ok(());
    }
    let at = node.clock.now_ms();
    if !differs.is_empty() {
        tracing::error!(%differs, "the configuration is of another node; the parent's view holds");
    }
    node.store
        .write(move |tx| {
            tx.set_meta(DIFFERS, &differs)?;
            let act = audit::Act {
                at,
                actor: "nqsync",
                act: "config.differs",
                subject: "",
                detail: json!({ "differs": differs }),
            };
            audit::append(tx, &act)
        })
        .await
}
