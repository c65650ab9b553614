//! Putting a backup in the place of a store: all of it, or nothing that starts.
//!
//! Everything is copied beside the store first. Then a marker is written, the old store moves aside under a dated name,
//! and the new one moves in. While the marker is there no store opens; doing the same restore again finishes it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nqsync_core::model::Classification;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::backup::{self, BackupError, DATABASE, KEYS, Manifest, io};
use super::blobs::{self, BlobId};
use super::engine::take_lock;
use super::{StoreError, queries};

/// Stands in the directory from the first change until everything is in place.
pub const MARKER: &str = "restoring.json";
/// Where the copy is put together.
const STAGING: &str = "restore.unfinished";
/// Stands there when everything is together.
const STAGED: &str = "staged";
/// What makes a store: the first three are the database, which moves first and comes last.
const PARTS: [&str; 5] = [DATABASE, "store.db-wal", "store.db-shm", "blobs", KEYS];

/// Fact of the store: when it was restored, in milliseconds since 1970.
pub const RESTORED_AT: &str = "restored_at";
/// Fact of the store: when the backup it came from was made, RFC 3339.
pub const RESTORED_FROM: &str = "restored_from";
/// Fact of the store: whom a restored store waits for before people may write, `upstream` or empty.
pub const RESTORED_WAITS: &str = "restored_waits";

/// Why nothing was restored. Nothing was changed, except where a half restore is said.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store, its lock or the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No backup.
    #[error(transparent)]
    Backup(BackupError),
    /// The backup cannot be used.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// There is a store, and nobody said that it may be replaced.
    #[error("{0} holds a store")]
    InTheWay(String),
    /// The backup is of another unit's node.
    #[error("the backup is of unit {found}, this directory is for {here}")]
    OtherUnit {
        /// Unit in the backup.
        found: String,
        /// Unit in the configuration.
        here: String,
    },
    /// The backup is of a store of another level of secrecy.
    #[error("the backup is of a store of the level {found}, this directory is for {here}")]
    OtherLevel {
        /// Level of the backup.
        found: Classification,
        /// Level in the configuration.
        here: Classification,
    },
}

impl From<BackupError> for RestoreError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => RestoreError::Store(error),
            other => RestoreError::Backup(other),
        }
    }
}

/// What is to be restored.
#[derive(Clone, Debug)]
pub struct Order {
    /// Folder of the backup.
    pub from: PathBuf,
    /// Directory of the store.
    pub dir: PathBuf,
    /// Code of the unit that the configuration names.
    pub unit: String,
    /// Level of secrecy that the configuration names.
    pub level: Classification,
    /// A store that is there may be moved aside.
    pub replace: bool,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
    /// Now, as a part of a file's name.
    pub stamp: String,
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// Where the old store is now.
    pub aside: Option<PathBuf>,
    /// Attachments the backup has not.
    pub missing: Vec<BlobId>,
    /// Whether the node stays read-only until it has met its parent.
    pub waits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// The old store moves aside.
    Aside,
    /// What stands in the directory is of the backup.
    Place,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress {
    phase: Phase,
    /// Folder of the old store, below the directory.
    aside: String,
}

/// Restores a backup.
pub fn restore(order: &Order) -> Result<Restored, RestoreError> {
    restore_with(order, &|_| Ok(()))
}

/// Restores a backup. `finish` gets the folder of the new store, which has not taken the place of the old one yet.
pub fn restore_with(
    order: &Order,
    finish: &dyn Fn(&Path) -> Result<(), StoreError>,
) -> Result<Restored, RestoreError> {
    let checked = backup::check(&order.from)?;
    if !checked.damage.is_empty() {
        return Err(RestoreError::Damaged(checked.damage.join("; ")));
    }
    let found = checked.manifest.unit.clone().unwrap_or_default();
    if found != order.unit {
        let here = order.unit.clone();
        return Err(RestoreError::OtherUnit { found, here });
    }
    fits_level(&checked.manifest, order.level)?;
    backup::private_folder(&order.dir)?;
    let lock = take_lock(&order.dir)?;
    let begun = progress(&order.dir)?;
    let stands = PARTS.iter().any(|name| order.dir.join(name).exists());
    if begun.is_none() && stands && !order.replace {
        return Err(RestoreError::InTheWay(order.dir.display().to_string()));
    }
    let staging = order.dir.join(STAGING);
    let missing = stage(order, &checked.manifest, &staging)?;
    let waits = mark(
        &staging.join(DATABASE),
        &missing,
        order.now_ms,
        &checked.manifest,
    )?;
    finish(&staging)?;
    File::create(staging.join(STAGED)).map_err(io(format!("write {STAGED}")))?;
    backup::sync_tree(&staging)?;
    let begun_now = begun.is_none();
    let mut progress = begun.unwrap_or_else(|| Progress {
        phase: Phase::Aside,
        aside: format!("replaced-{}", order.stamp),
    });
    let mut number = 1;
    while begun_now && order.dir.join(&progress.aside).exists() {
        number += 1;
        progress.aside = format!("replaced-{}-{number}", order.stamp);
    }
    if progress.phase == Phase::Place {
        // Of an earlier try that had more.
        for name in PARTS.iter().filter(|name| !staging.join(name).exists()) {
            remove(&order.dir.join(name))?;
        }
    }
    swap(&order.dir, &staging, &mut progress)?;
    let aside = order.dir.join(&progress.aside);
    drop(lock);
    Ok(Restored {
        manifest: checked.manifest,
        aside: aside.exists().then_some(aside),
        missing,
        waits,
    })
}

/// Refuses a backup of another level of secrecy than a directory is for.
pub fn fits_level(manifest: &Manifest, here: Classification) -> Result<(), RestoreError> {
    let found = manifest.classification;
    match found == here {
        true => Ok(()),
        false => Err(RestoreError::OtherLevel { found, here }),
    }
}

/// Goes on with a restore that was cut when everything was together already, without the backup it came from. `false`: none
/// was.
pub fn resume(dir: &Path) -> Result<bool, StoreError> {
    if !is_half(dir) || !dir.join(STAGING).join(STAGED).exists() {
        return Ok(false);
    }
    let lock = take_lock(dir)?;
    let Some(mut progress) = progress(dir)? else {
        return Ok(false);
    };
    swap(dir, &dir.join(STAGING), &mut progress)?;
    drop(lock);
    Ok(true)
}

fn marker(dir: &Path) -> PathBuf {
    dir.join(MARKER)
}

/// Whether a restore was cut in this directory.
pub(super) fn is_half(dir: &Path) -> bool {
    marker(dir).exists()
}

fn progress(dir: &Path) -> Result<Option<Progress>, StoreError> {
    let path = marker(dir);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(io(format!("read {}", path.display())))?;
    let read = serde_json::from_str(&text);
    read.map(Some)
        .map_err(|e| StoreError::Damaged(format!("{}: {e}", path.display())))
}

fn note(dir: &Path, progress: &Progress) -> Result<(), StoreError> {
    let text = serde_json::to_string(progress).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let draft = dir.join("restoring.draft");
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(io(format!("write {}", draft.display())))?;
    fs::rename(&draft, marker(dir)).map_err(io("rename the marker"))?;
    backup::sync_folder(dir)
}

/// Copies the backup beside the store. Answers the attachments it has not.
fn stage(order: &Order, manifest: &Manifest, staging: &Path) -> Result<Vec<BlobId>, StoreError> {
    // The word that it is whole goes before anything of it does.
    if staging.exists() {
        remove(&staging.join(STAGED))?;
        backup::sync_folder(staging)?;
    }
    remove(staging)?;
    backup::private_folder(staging)?;
    for folder in ["blobs", KEYS] {
        backup::private_folder(&staging.join(folder))?;
    }
    backup::copy_private(&order.from.join(DATABASE), &staging.join(DATABASE))?;
    let kept = manifest.parts.iter().map(|part| &part.path);
    for below in kept.filter(|path| Path::new(path).starts_with(KEYS)) {
        backup::copy_private(&order.from.join(below), &staging.join(below))?;
    }
    let connection = Connection::open(staging.join(DATABASE))?;
    let mut missing = Vec::new();
    for (id, _) in blobs::all_present(&connection)? {
        let target = blobs::path(staging, &id);
        let there = backup::bring(&blobs::path(&order.from, &id), &target)?;
        if there && backup::hash(&target)?.1 == id {
            continue;
        }
        remove(&target)?;
        missing.push(id);
    }
    Ok(missing)
}

/// Tells the copy that it was restored. What it remembers of its neighbours' positions is of another life: it is
/// replaced by what nobody can have, so that both sides compare everything at the next contact.
fn mark(
    database: &Path,
    missing: &[BlobId],
    now_ms: i64,
    manifest: &Manifest,
) -> Result<bool, StoreError> {
    let mut connection = Connection::open(database)?;
    let waits = queries::meta(&connection, "upstream_node")?.is_some();
    let tx = connection.transaction()?;
    for (key, value) in [
        (RESTORED_AT, now_ms.to_string()),
        (RESTORED_FROM, manifest.made_at.clone()),
        (
            RESTORED_WAITS,
            if waits { "upstream" } else { "" }.to_owned(),
        ),
    ] {
        tx.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, value],
        )?;
    }
    tx.execute(
        "UPDATE link SET up_batch = 0, up_hash = randomblob(32), up_before = randomblob(32),
            down_batch = 0, down_hash = randomblob(32), down_before = randomblob(32), agrees = NULL",
        [],
    )?;
    for id in missing {
        blobs::lost(&tx, id)?;
    }
    tx.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(database)
        .and_then(|file| file.sync_all())
        .map_err(io(format!("sync {}", database.display())))?;
    Ok(waits)
}

/// The old store out, the new one in. Every step is done again from the marker when it was cut.
fn swap(dir: &Path, staging: &Path, progress: &mut Progress) -> Result<(), StoreError> {
    note(dir, progress)?;
    let aside = dir.join(&progress.aside);
    if progress.phase == Phase::Aside {
        for name in PARTS.iter().filter(|name| dir.join(name).exists()) {
            backup::private_folder(&aside)?;
            rename(&dir.join(name), &aside.join(name))?;
        }
        if aside.exists() {
            backup::sync_folder(&aside)?;
        }
        backup::sync_folder(dir)?;
        progress.phase = Phase::Place;
        note(dir, progress)?;
    }
    for name in PARTS.iter().rev() {
        let new = staging.join(name);
        // One that is not there any more has its place already.
        if new.exists() {
            // Of an earlier try, and of the same backup.
            remove(&dir.join(name))?;
            rename(&new, &dir.join(name))?;
        }
    }
    backup::sync_folder(dir)?;
    fs::remove_file(marker(dir)).map_err(io("remove the marker"))?;
    backup::sync_folder(dir)?;
    remove(staging)
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(io(format!("move {} to {}", from.display(), to.display())))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(io(format!("remove {}", path.display())))
}
