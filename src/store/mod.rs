//! Everything that is on disk: one SQLite database, written by one thread, and a folder of blobs.
//!
//! Invariants: what [`Store::write`] answered is committed with `synchronous=FULL`; nothing in this process but
//! SQLite opens the database files; a second process is kept out by a lock file of our own, taken before SQLite
//! is touched. All SQL of the project is in this module.

pub mod adapters;
pub mod approvals;
pub mod audit;
pub mod backup;
mod beside;
pub mod blobs;
pub mod branches;
pub mod bundles;
pub mod changes;
pub mod closings;
pub mod compare;
pub mod deposits;
mod engine;
mod format;
pub mod groups;
mod health;
pub mod holds;
pub mod leaving;
pub mod links;
pub mod lookups;
pub mod nodes;
pub mod notices;
pub mod quarantine;
pub mod queries;
pub mod receipts;
pub mod records;
pub mod reminders;
pub mod restore;
pub mod rosters;
pub mod standings;
pub mod tokens;
mod tx;
pub mod users;
pub mod waiting;
pub mod warnings;
pub mod witness;

use nqsync_core::model::Classification;

pub use engine::{LockedBy, Store, StoreOptions};
pub use health::{Damage, Left};
pub use links::{LinkId, LinkRow, Role};
pub use records::{Rec, Stored};
pub use tx::{Assignment, LinkState, Lost, Shown, Tx, day_of};

/// Which program reads a store that this one does not.
fn wanted(version: Option<&str>) -> String {
    match version {
        Some(version) => format!("nqsync {version} or later"),
        None => "the newer nqsync that wrote it".to_owned(),
    }
}

/// Fact of the store: the level of secrecy that it was made for; none is written for *none*.
pub const LEVEL_KEY: &str = "classification";

/// What can go wrong with the store, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the directory.
    #[error(
        "{path} is in use by another nqsync (pid {pid}); stop it first, or talk to it through its socket"
    )]
    Locked {
        /// The directory.
        path: String,
        /// The process that holds it, as it wrote itself down.
        pid: String,
    },
    /// The store of one level of secrecy was opened as that of another.
    #[error(
        "{path} holds the store of the level {found}, and it was opened as that of {wanted}; nothing of it was read"
    )]
    OtherLevel {
        /// The directory.
        path: String,
        /// The level it was made for.
        found: Classification,
        /// The level it was opened for.
        wanted: Classification,
    },
    /// No store in this directory.
    #[error("{0} holds no nqsync store; run `nqsync init` first")]
    NotInitialised(String),
    /// The node does not know its unit yet.
    #[error("this node does not know its unit yet; run `nqsync enrol` first")]
    NotEnrolled,
    /// A restore was cut here.
    #[error(
        "a restore into {0} was cut; run the same `nqsync restore` again, it goes on where it stopped"
    )]
    HalfRestored(String),
    /// The linked SQLite has the WAL-reset defect.
    #[error(
        "SQLite {found} is linked; 3.51.3 or later is required, because earlier ones can corrupt a WAL database"
    )]
    OldSqlite {
        /// What is linked.
        found: String,
    },
    /// Written by a newer version.
    #[error(
        "this store has format {found}, this program knows up to {known}; install {}",
        wanted(.needed.as_deref())
    )]
    NewerStore {
        /// Format of the store.
        found: i64,
        /// Greatest format known here.
        known: i64,
        /// The version that knows it, where the store tells.
        needed: Option<String>,
    },
    /// No room: refused, nothing changed, reads go on.
    #[error("the disk is full; nothing was changed; free some space under {0} and try again")]
    Full(String),
    /// The file system has become read-only: refused, nothing changed, reads go on.
    #[error(
        "the file system of {0} is read-only; nothing was changed; look at the disk, then mount it for writing again"
    )]
    ReadOnlyDisk(String),
    /// The database is not what was written into it: nothing is taken in or sent.
    #[error("the store is damaged: {0}")]
    Unsound(String),
    /// The files of the store are no longer where they were opened.
    #[error(
        "the files of the store in {0} were deleted or replaced under the running program; nothing more is acknowledged"
    )]
    Gone(String),
    /// SQLite failed.
    #[error("the store failed: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// Data in the store cannot be read: never taken for a deletion.
    #[error("damaged data in the store: {0}")]
    Damaged(String),
    /// The file system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was done to which file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The writer has stopped after a failure it must not go on from; the service has to restart from disk.
    #[error("the store has stopped after a write failure; restart nqsync")]
    Stopped,
    /// A job panicked; its changes were rolled back.
    #[error("an internal error was caught and its changes rolled back: {0}")]
    Panicked(String),
    /// Without a backup no upgrade is begun.
    #[error(
        "the store has an older format and could not be backed up, so it was not upgraded and nothing was changed: {0}"
    )]
    NotBackedUp(String),
    /// Migration of the schema failed.
    #[error("cannot bring the store to this version's format: {0}")]
    Migration(#[from] rusqlite_migration::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => {
                StoreError::Full("the data directory".to_owned())
            }
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                StoreError::Unsound(error.to_string())
            }
            _ => StoreError::Sqlite(error),
        }
    }
}

impl StoreError {
    /// Whether going on could acknowledge what is not on disk: the process must restart from disk.
    pub fn is_fatal(&self) -> bool {
        match self {
            StoreError::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::SystemIoFailure)
            ),
            StoreError::Stopped | StoreError::Gone(_) | StoreError::Unsound(_) => true,
            _ => false,
        }
    }
}
