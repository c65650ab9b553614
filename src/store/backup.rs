//! Backups: a verified copy of the database, the files and the keys, in a folder of its own.
//!
//! The database is copied by SQLite itself from one snapshot, so the service may go on writing; the file of a running
//! store is never copied. The folder gets its name only when everything in it was written, synced and read again:
//! whatever has that name and a manifest is whole.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nqsync_core::model::Classification;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::blobs::{self, BlobId, hex};
use super::engine::open_reader;
use super::format::known_format;
use super::{LinkId, StoreError, beside, queries};

/// Name of the manifest, written last.
pub const MANIFEST: &str = "manifest.json";
/// Name of the database, here and in a store.
pub const DATABASE: &str = "store.db";
/// Folder of the keys, here and in a store.
pub const KEYS: &str = "keys";
/// Folder of the configuration and the adapters' profiles as they were.
pub const SETTINGS: &str = "settings";
/// Format of the folder that this version writes; it reads no newer one.
const FORMAT: u32 = 1;
/// Held open and locked while a backup is being written; what it stands in may be thrown away.
const MARKER: &str = "unfinished-backup";
/// Pages copied between two looks at the disk.
const PAGES: std::ffi::c_int = 2_000;
/// Bytes read or written at once.
const CHUNK: usize = 256 * 1024;
/// Longest manifest that is read.
const MANIFEST_BYTES: u64 = 64 << 20;
/// Lines of SQLite's own check that are kept.
const MAX_FINDINGS: usize = 20;

/// Why there is no backup, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store or the disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder is not empty.
    #[error("{0} is not an empty or new folder; name another one")]
    InTheWay(String),
    /// Somebody is writing a backup to the same folder.
    #[error("a backup to {0} is being written already")]
    UnderWay(String),
    /// No backup, or not all of one.
    #[error("{path} is no complete backup: {reason}")]
    NotABackup {
        /// The folder.
        path: String,
        /// What is missing.
        reason: String,
    },
    /// The copy does not read back as what was written.
    #[error("the copy of the database in {path} is damaged: {finding}")]
    Damaged {
        /// The folder.
        path: String,
        /// What SQLite or the hash says.
        finding: String,
    },
}

/// One file of a backup beside the attachments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Path below the backup's folder.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lowercase hexadecimal digits.
    pub sha256: String,
}

/// What a backup holds, as its last file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the folder.
    pub format: u32,
    /// Version of the program that made it.
    pub version: String,
    /// When, RFC 3339.
    pub made_at: String,
    /// Node id.
    pub node: Option<String>,
    /// Code of the unit the node serves.
    pub unit: Option<String>,
    /// Level of secrecy of the store.
    #[serde(default)]
    pub classification: Classification,
    /// The last opening of the store that had written.
    pub incarnation: Option<String>,
    /// Format of the database.
    pub store_format: i64,
    /// The database.
    pub database: Part,
    /// Records in it.
    pub records: u64,
    /// Attachments in the folder.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Attachments that the database has and the disk had not, by SHA-256.
    pub missing_files: Vec<String>,
    /// Attachments that were left out because another level has them, by SHA-256.
    #[serde(default)]
    pub elsewhere: Vec<String>,
    /// Keys, certificates, configuration, profiles.
    pub parts: Vec<Part>,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The manifest.
    pub manifest: Manifest,
    /// What is wrong with the database, the keys or the settings: such a backup cannot be used.
    pub damage: Vec<String>,
    /// Attachments that are missing or changed; the rest can be used.
    pub bad_files: Vec<BlobId>,
}

impl Checked {
    /// Whether everything is as it was written.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.bad_files.is_empty()
    }
}

/// What is to be copied.
#[derive(Clone, Debug)]
pub struct Source {
    /// Directory of the store.
    pub dir: PathBuf,
    /// Configuration file, kept beside the data.
    pub config: Option<PathBuf>,
    /// Folder of the adapters' profiles.
    pub adapters: Option<PathBuf>,
    /// When, RFC 3339.
    pub made_at: String,
    /// The neighbour whose files are left out, because it gives them back.
    pub elsewhere: Option<LinkId>,
}

/// A failure of the file system, by what a person can do about it.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> StoreError {
    let what = what.into();
    move |source| match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::Full(what)
        }
        std::io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnlyDisk(what),
        _ => StoreError::Io { what, source },
    }
}

/// Makes a backup in `to`, which must be new or empty. Beside it, `to` with the ending `.unfinished` holds what is
/// written so far; one that a crash left is thrown away by the next try.
pub fn make(source: &Source, to: &Path) -> Result<Manifest, BackupError> {
    in_new_folder(to, |work| fill(source, work))
}

/// Makes a folder that has its name only when everything in it was written.
pub(crate) fn in_new_folder<T, E: From<BackupError>>(
    to: &Path,
    fill: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let shown = to.display().to_string();
    if to.symlink_metadata().is_ok() && !is_empty_folder(to) {
        return Err(BackupError::InTheWay(shown).into());
    }
    let work = to.with_added_extension("unfinished");
    let marker = begin(&work)?;
    let done = fill(&work).and_then(|made| {
        put_in_place(&work, to)?;
        Ok(made)
    });
    if done.is_err() {
        // The next try throws it away as well.
        let _ = fs::remove_dir_all(&work);
    }
    drop(marker);
    done
}

fn put_in_place(work: &Path, to: &Path) -> Result<(), BackupError> {
    // An empty folder may be replaced in one step; anything else would be refused here.
    fs::rename(work, to).map_err(io(format!("rename to {}", to.display())))?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))?;
    fs::remove_file(to.join(MARKER)).map_err(io(format!("remove {MARKER}")))?;
    Ok(())
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Makes the folder to work in, and keeps everybody else out of it.
fn begin(work: &Path) -> Result<File, BackupError> {
    let shown = work.display().to_string();
    if work.exists() {
        let left = File::options().write(true).open(work.join(MARKER));
        // Only what carries our mark is ours to remove.
        let left = left.map_err(|_| BackupError::InTheWay(shown.clone()))?;
        if left.try_lock().is_err() {
            return Err(BackupError::UnderWay(shown));
        }
        fs::remove_dir_all(work).map_err(io(format!("remove {shown}")))?;
    }
    private_folder(work)?;
    let path = work.join(MARKER);
    let marker = private_file(&path)?;
    if marker.try_lock().is_err() {
        return Err(BackupError::UnderWay(shown));
    }
    Ok(marker)
}

pub(crate) fn private_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io(format!("create {}", path.display())))
}

pub(crate) fn private_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io(format!("create {}", path.display())))
}

pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(io(format!("sync {}", path.display())))
}

fn fill(source: &Source, work: &Path) -> Result<Manifest, BackupError> {
    let database = work.join(DATABASE);
    // The database first: every attachment it calls present is on disk already, and none is ever changed.
    copy_database(&source.dir.join(DATABASE), &database)?;
    let (found, mut manifest) = describe(&database, &source.made_at)?;
    if let Some(finding) = integrity(&database)?.into_iter().next() {
        return Err(BackupError::Damaged {
            path: work.display().to_string(),
            finding,
        });
    }
    let elsewhere = match source.elsewhere {
        Some(link) => blobs::held_by(&open_copy(&database)?, link)?,
        None => HashSet::new(),
    };
    for (id, size) in found {
        if elsewhere.contains(&id) {
            manifest.elsewhere.push(hex(&id));
            continue;
        }
        let target = blobs::path(work, &id);
        if bring(&blobs::path(&source.dir, &id), &target)? && is_blob(&target, &id)? {
            manifest.files += 1;
            manifest.file_bytes += size;
        } else {
            if target.exists() {
                fs::remove_file(&target).map_err(io(format!("remove {}", target.display())))?;
            }
            manifest.missing_files.push(hex(&id));
        }
    }
    for (below, bytes) in beside::read(source)? {
        beside::write(&work.join(&below), &bytes)?;
        manifest.parts.push(part(work, &below)?);
    }
    sync_tree(work)?;
    let text =
        serde_json::to_string_pretty(&manifest).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let draft = work.join("manifest.draft");
    let mut file = private_file(&draft)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io(format!("write {}", draft.display())))?;
    fs::rename(&draft, work.join(MANIFEST)).map_err(io("rename the manifest"))?;
    sync_folder(work)?;
    Ok(manifest)
}

/// Copies a database from one snapshot, whoever writes meanwhile. The copy needs no other file beside it.
pub(super) fn copy_database(source: &Path, target: &Path) -> Result<(), StoreError> {
    drop(private_file(target)?);
    let from = open_reader(source)?;
    from.execute_batch("BEGIN")?;
    // The snapshot begins with the first read.
    queries::meta(&from, "node")?;
    let mut to = Connection::open(target)?;
    {
        let backup = Backup::new(&from, &mut to)?;
        loop {
            match backup.step(PAGES)? {
                StepResult::Done => break,
                StepResult::More => {}
                other => {
                    let what = format!("copying the database stopped: {other:?}");
                    return Err(StoreError::Damaged(what));
                }
            }
        }
    }
    to.pragma_update(None, "journal_mode", "DELETE")?;
    to.close().map_err(|(_, error)| error)?;
    from.execute_batch("COMMIT")?;
    File::open(target)
        .and_then(|file| file.sync_all())
        .map_err(io(format!("sync {}", target.display())))
}

fn open_copy(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// What SQLite says is wrong with a database that nobody has open; empty when nothing is.
pub fn integrity(path: &Path) -> Result<Vec<String>, StoreError> {
    findings(&open_copy(path)?)
}

/// The same over an open connection.
pub fn findings(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let asked = connection.prepare("PRAGMA integrity_check(20)");
    let said = asked.and_then(|mut statement| {
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    match said {
        Ok(lines) => found.extend(lines.into_iter().filter(|line| line != "ok")),
        // A page that cannot be read at all ends the check itself.
        Err(error) => found.push(error.to_string()),
    }
    let asked = connection.prepare("PRAGMA foreign_key_check");
    let said = asked.and_then(|mut statement| {
        let rows = statement.query_map([], |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            Ok(format!(
                "a row of {table} names a row of {parent} that is not there"
            ))
        })?;
        rows.take(MAX_FINDINGS).collect::<Result<Vec<_>, _>>()
    });
    match said {
        Ok(lines) => found.extend(lines),
        Err(error) => found.push(error.to_string()),
    }
    Ok(found)
}

/// The attachments that are there, and the manifest but for what the disk has to say.
fn describe(database: &Path, made_at: &str) -> Result<(Vec<(BlobId, u64)>, Manifest), BackupError> {
    let connection = open_copy(database)?;
    let root = database.parent().unwrap_or(Path::new("."));
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: made_at.to_owned(),
        node: queries::meta(&connection, "node")?,
        unit: queries::meta(&connection, "unit_code")?,
        classification: queries::level(&connection)?,
        incarnation: queries::last_incarnation(&connection)?.map(|i| i.to_string()),
        store_format: count("PRAGMA user_version").map_err(StoreError::from)?,
        database: part(root, DATABASE)?,
        records: count("SELECT count(*) FROM record").map_err(StoreError::from)? as u64,
        files: 0,
        file_bytes: 0,
        missing_files: Vec::new(),
        elsewhere: Vec::new(),
        parts: Vec::new(),
    };
    Ok((blobs::all_present(&connection)?, manifest))
}

pub(super) fn copy_private(from: &Path, target: &Path) -> Result<(), StoreError> {
    if let Some(folder) = target.parent() {
        private_folder(folder)?;
    }
    let mut source = File::open(from).map_err(io(format!("open {}", from.display())))?;
    let mut copy = private_file(target)?;
    std::io::copy(&mut source, &mut copy)
        .and_then(|_| copy.sync_all())
        .map_err(io(format!("copy {}", from.display())))
}

/// Brings an attachment: the same bytes under a second name where the file system allows it, otherwise a copy. `false`
/// when there is none.
pub(super) fn bring(from: &Path, target: &Path) -> Result<bool, StoreError> {
    if !from.exists() {
        return Ok(false);
    }
    if let Some(folder) = target.parent() {
        private_folder(folder)?;
    }
    // An attachment is never written again, so that two names for it are as good as two copies against everything but
    // the loss of the disk itself.
    if fs::hard_link(from, target).is_err() {
        copy_private(from, target)?;
    }
    Ok(true)
}

/// Whether a file holds the bytes that its name says.
pub fn is_blob(path: &Path, id: &BlobId) -> Result<bool, StoreError> {
    Ok(hash(path)?.1 == *id)
}

/// Length and SHA-256 of a file.
pub(super) fn hash(path: &Path) -> Result<(u64, [u8; 32]), StoreError> {
    let failed = || format!("read {}", path.display());
    let mut file = File::open(path).map_err(io(failed()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer).map_err(io(failed()))?;
        if count == 0 {
            return Ok((bytes, hasher.finalize().into()));
        }
        bytes += count as u64;
        hasher.update(&buffer[..count]);
    }
}

fn part(root: &Path, below: &str) -> Result<Part, StoreError> {
    let (bytes, sha256) = hash(&root.join(below))?;
    Ok(Part {
        path: below.to_owned(),
        bytes,
        sha256: hex(&sha256),
    })
}

/// Syncs every folder, so that no name is lost in a power cut; the files are synced one by one.
pub(super) fn sync_tree(folder: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(folder).map_err(io(format!("read {}", folder.display())))?;
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Reads a manifest.
pub fn manifest(folder: &Path) -> Result<Manifest, BackupError> {
    let not = |reason: String| BackupError::NotABackup {
        path: folder.display().to_string(),
        reason,
    };
    let file = File::open(folder.join(MANIFEST)).map_err(|e| not(format!("{MANIFEST}: {e}")))?;
    let mut text = String::new();
    file.take(MANIFEST_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| not(format!("{MANIFEST}: {e}")))?;
    let read: Manifest =
        serde_json::from_str(&text).map_err(|e| not(format!("{MANIFEST}: {e}")))?;
    if read.format > FORMAT {
        return Err(not(format!(
            "it has format {}, this program knows up to {FORMAT}; use nqsync {} or later",
            read.format, read.version
        )));
    }
    let known = known_format();
    if read.store_format > known {
        let newer = StoreError::NewerStore {
            found: read.store_format,
            known,
            needed: Some(read.version),
        };
        return Err(newer.into());
    }
    Ok(read)
}

/// Reads a whole backup and compares it with its manifest.
pub fn check(folder: &Path) -> Result<Checked, BackupError> {
    let manifest = manifest(folder)?;
    let mut damage = Vec::new();
    for part in [&manifest.database].into_iter().chain(&manifest.parts) {
        let path = folder.join(&part.path);
        match hash(&path) {
            Ok((bytes, found)) if bytes == part.bytes && hex(&found) == part.sha256 => {}
            Ok((bytes, _)) => damage.push(format!(
                "{}: its bytes are not those of the backup ({bytes} bytes, {} were written)",
                part.path, part.bytes
            )),
            Err(error) => damage.push(error.to_string()),
        }
    }
    let mut bad_files = Vec::new();
    let database = folder.join(DATABASE);
    if damage.is_empty() {
        damage.extend(integrity(&database)?);
    }
    if damage.is_empty() {
        for (id, _) in blobs::all_present(&open_copy(&database)?)? {
            let path = blobs::path(folder, &id);
            if manifest.elsewhere.contains(&hex(&id)) {
                continue;
            }
            if !path.exists() || !is_blob(&path, &id)? {
                bad_files.push(id);
            }
        }
    }
    Ok(Checked {
        manifest,
        damage,
        bad_files,
    })
}
