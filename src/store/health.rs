//! What a store finds out about itself: damage, a directory that is gone, somebody else who wrote, and how it was left.
//!
//! A damaged store is marked by a file beside it, because its own tables are not to be trusted any more. While the mark
//! is there nothing is written, and the service exchanges nothing.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{StoreError, backup};

/// Name of the mark of a damaged store.
const MARK: &str = "damaged.json";
/// Name of the seal that an orderly end leaves.
const SEAL: &str = "sealed";
/// File that is made and removed to learn whether anything can be written.
const PROBE: &str = "probe";

/// What was found wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// When it was found, in milliseconds since 1970.
    pub at: i64,
    /// The findings, for people.
    pub found: Vec<String>,
}

/// How a store was left before it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// In order, and nobody has touched its file since.
    Sealed,
    /// Without an end: a crash, or a power cut.
    Unsealed,
    /// In order, and somebody has touched its file since.
    Touched,
}

/// The mark of a damaged store, if there is one. One that cannot be read is a mark as well.
pub(super) fn mark(dir: &Path) -> Option<Damage> {
    let text = fs::read_to_string(dir.join(MARK)).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|_| Damage {
        at: 0,
        found: vec![text],
    }))
}

/// Leaves the mark.
pub(super) fn set_mark(dir: &Path, damage: &Damage) -> Result<(), StoreError> {
    let text = serde_json::to_string(damage).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let draft = dir.join("damaged.draft");
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(backup::io(format!("write {}", draft.display())))?;
    fs::rename(&draft, dir.join(MARK)).map_err(backup::io(format!("write {MARK}")))?;
    backup::sync_folder(dir)
}

/// Takes the mark away.
pub(super) fn clear_mark(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_file(dir.join(MARK)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(backup::io(format!("remove {MARK}"))(error))
        }
        _ => backup::sync_folder(dir),
    }
}

/// The database file as it was opened: whether that very file still stands under its name. Nothing is opened for this;
/// only SQLite may do that.
pub(super) struct Files {
    database: PathBuf,
    log: PathBuf,
    opened: (u64, u64),
}

impl Files {
    pub(super) fn of(dir: &Path) -> Result<Files, StoreError> {
        let database = dir.join(backup::DATABASE);
        let found = fs::metadata(&database)
            .map_err(backup::io(format!("look at {}", database.display())))?;
        Ok(Files {
            log: dir.join("store.db-wal"),
            database,
            opened: (found.dev(), found.ino()),
        })
    }

    /// After a commit its log stands beside the database; what was committed into files without a name is lost with the
    /// process.
    pub(super) fn stand(&self) -> bool {
        self.database_stands() && self.log.exists()
    }

    pub(super) fn database_stands(&self) -> bool {
        fs::metadata(&self.database).is_ok_and(|found| (found.dev(), found.ino()) == self.opened)
    }
}

fn seal_of(dir: &Path) -> Option<String> {
    let found = fs::metadata(dir.join(backup::DATABASE)).ok()?;
    let (ino, size) = (found.ino(), found.size());
    Some(format!(
        "{ino} {size} {}.{:09}",
        found.mtime(),
        found.mtime_nsec()
    ))
}

/// How the store was left. The seal is broken by looking: only an orderly end leaves another.
pub(super) fn left(dir: &Path) -> Left {
    let path = dir.join(SEAL);
    let Ok(seal) = fs::read_to_string(&path) else {
        return Left::Unsealed;
    };
    // If it stays, the file it speaks of has changed by the next time, and is looked at then.
    let _ = fs::remove_file(&path);
    if Some(seal) == seal_of(dir) {
        Left::Sealed
    } else {
        Left::Touched
    }
}

/// Leaves the seal of an orderly end. A store whose file somebody had touched, and that nobody has looked through since,
/// stays one that was touched. Without the seal the store is only looked through once more.
pub(super) fn seal(dir: &Path, left: Left) {
    let text = match left {
        Left::Sealed => seal_of(dir),
        Left::Touched => Some("touched".to_owned()),
        Left::Unsealed => None,
    };
    if let Some(text) = text {
        let _ = fs::write(dir.join(SEAL), text);
    }
}

/// Whether the file system takes nothing at all.
pub(super) fn is_read_only(dir: &Path) -> bool {
    let probe = dir.join(PROBE);
    match File::create(&probe) {
        Ok(_) => {
            let _ = fs::remove_file(&probe);
            false
        }
        Err(error) => error.kind() == ErrorKind::ReadOnlyFilesystem,
    }
}
