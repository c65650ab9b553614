//! Sealed backups: a backup's folder as sealed pieces and one head, which the recovery key opens.
//!
//! A folder that is sealed, and a deposit at the parent, have the same form. Everything goes through memory piece by piece. What is
//! readable stands only in a folder of its own inside the data directory, for as long as it is needed.
//!
//! Deliberately absent: padding to hide how large a store is, and hiding from the parent which pieces are new.

pub mod keys;
mod read;
mod write;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nqsync_core::protocol::deposit::Name;
use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::store::backup::{self, BackupError};
use crate::store::blobs::hex;

pub use read::{Opened, check, folder_piece, is_sealed, manifest, open_folder, sealed_for};
pub use write::{Place, Sealed, make, put_head, put_piece, seal, sealed_piece};

/// Name of the head, written last.
pub const HEAD: &str = "backup.sealed";
/// Folder of the pieces.
const PIECES: &str = "pieces";
/// Bytes of contents in one piece. Pages of a database are changed where they stand, so equal parts stay equal.
const PIECE: usize = 64 << 10;
/// Greatest contents of a piece that are read.
const MAX_PLAIN: usize = 1 << 20;
/// Beginning of the names of folders that hold readable parts for a while.
const WORK: &str = "sealing-";

/// Why a backup was not sealed, or could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// The store or the disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no backup to be sealed, or what was opened is none.
    #[error(transparent)]
    Backup(BackupError),
    /// It is sealed, and no key was named.
    #[error("{path} is sealed for recovery key {key}; name the file of that key")]
    NoKey {
        /// The folder.
        path: String,
        /// Fingerprint of the key that opens it.
        key: String,
    },
    /// Another key.
    #[error("{path} is sealed for recovery key {wanted}, and this is key {given}")]
    OtherKey {
        /// The folder.
        path: String,
        /// Fingerprint of the key that opens it.
        wanted: String,
        /// Fingerprint of the key that was named.
        given: String,
    },
    /// Changed, cut, or not all there.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The folder.
        path: String,
        /// What was found.
        what: String,
    },
    /// The cryptographic library refused.
    #[error("cannot seal: {0}")]
    Crypto(&'static str),
}

impl From<BackupError> for SealedError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => SealedError::Store(error),
            other => SealedError::Backup(other),
        }
    }
}

/// What the recovery key opens.
#[derive(Serialize, Deserialize)]
struct Root {
    /// The secret of the pieces, as hexadecimal digits.
    secret: String,
    /// The pieces that hold the list of files.
    tree: Vec<String>,
}

/// The files of a sealed backup.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tree {
    files: Vec<Entry>,
}

/// One file of a sealed backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the backup's folder.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Its pieces in order, as hexadecimal digits.
    pub pieces: Vec<String>,
}

/// Where a piece is, below the folder that holds pieces.
pub fn piece_path(folder: &Path, name: &Name) -> PathBuf {
    let name = hex(name);
    folder.join(PIECES).join(&name[..2]).join(name)
}

/// A folder of this node's own for what is readable, removed when it is done with.
#[derive(Debug)]
pub struct Work {
    path: PathBuf,
    _in_use: File,
}

/// Held open and locked while such a folder is needed.
const IN_USE: &str = "in-use";

impl Work {
    /// Makes one inside a data directory.
    pub fn begin(dir: &Path) -> Result<Work, StoreError> {
        let path = dir.join(format!("{WORK}{}", uuid::Uuid::new_v4()));
        backup::private_folder(&path)?;
        let in_use = backup::private_file(&path.join(IN_USE))?;
        let locked = in_use.try_lock().map_err(std::io::Error::from);
        locked.map_err(backup::io(format!("lock {}", path.display())))?;
        Ok(Work {
            path,
            _in_use: in_use,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays is swept at the next start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what a crash left readable.
pub fn sweep(dir: &Path) -> Result<(), StoreError> {
    let shown = dir.display();
    let entries = fs::read_dir(dir).map_err(backup::io(format!("read {shown}")))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            let path = entry.path();
            let in_use = File::open(path.join(IN_USE));
            if in_use.is_ok_and(|file| file.try_lock().is_err()) {
                continue;
            }
            fs::remove_dir_all(&path).map_err(backup::io(format!("remove {}", path.display())))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
