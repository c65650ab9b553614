//! Files, content-addressed: a file's name is the SHA-256 of its bytes.
//!
//! A row says `present` only after the bytes were verified, synced and renamed into place, so a shown file is whole
//! or absent. Bytes that arrive from a peer grow in `partial/`, and a cut costs what had not reached the disk.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest as _, Sha256};

use super::StoreError;
pub(crate) use super::backup::io;
use super::links::LinkId;

/// SHA-256 of a file's bytes.
pub type BlobId = [u8; 32];

/// Bytes read or written at once.
const CHUNK: usize = 256 * 1024;

/// Why a file could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file changed while it was read.
    #[error("{0} changed while it was read; close it in other programs and add it again")]
    Changed(String),
    /// Larger than allowed.
    #[error("{name} has {size} bytes; at most {limit} are allowed (sync.max_blob_bytes)")]
    TooLarge {
        /// The file.
        name: String,
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Not a regular file.
    #[error("{0} is not a regular file")]
    NotAFile(String),
    /// The bytes received are not those announced.
    #[error("the bytes received do not have the announced SHA-256; they were thrown away")]
    Mismatch,
}

/// Lowercase hexadecimal digits of a blob's name.
pub fn hex(id: &BlobId) -> String {
    nqsync_core::protocol::hex(id)
}

/// Reads 64 hexadecimal digits, large or small: other programs write either.
pub fn parse_hex(text: &str) -> Option<BlobId> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok()
}

/// Where a whole file is.
pub fn path(dir: &Path, id: &BlobId) -> PathBuf {
    let name = hex(id);
    dir.join("blobs").join(&name[..2]).join(name)
}

/// Where a file grows while it arrives.
pub fn partial_path(dir: &Path, id: &BlobId, link: LinkId) -> PathBuf {
    dir.join("blobs")
        .join("partial")
        .join(format!("{}.{}", hex(id), link.0))
}

/// Copies a file of this machine into the store. Answers its name and length once the bytes are on disk.
pub fn take_in(dir: &Path, source: &Path, limit: u64) -> Result<(BlobId, u64), BlobError> {
    let shown = source.display().to_string();
    let before = fs::metadata(source).map_err(io(format!("read {shown}")))?;
    if !before.is_file() {
        return Err(BlobError::NotAFile(shown));
    }
    if before.len() > limit {
        return Err(BlobError::TooLarge {
            name: shown,
            size: before.len(),
            limit,
        });
    }
    let folder = dir.join("blobs").join("partial");
    fs::create_dir_all(&folder).map_err(io(format!("create {}", folder.display())))?;
    let temporary = folder.join(format!("new-{}", uuid::Uuid::new_v4()));
    let result = copy_hashed(source, &temporary, limit).and_then(|(id, size)| {
        let after = fs::metadata(source).map_err(io(format!("read {shown}")))?;
        let same = after.len() == before.len() && after.modified().ok() == before.modified().ok();
        if !same || size != before.len() {
            return Err(BlobError::Changed(shown.clone()));
        }
        place(dir, &temporary, &id)?;
        Ok((id, size))
    });
    if result.is_err() {
        // Nothing refers to the temporary file yet; if it cannot be removed now, the next start sweeps it.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn copy_hashed(source: &Path, target: &Path, limit: u64) -> Result<(BlobId, u64), BlobError> {
    let mut from = File::open(source).map_err(io(format!("open {}", source.display())))?;
    let mut to = File::create(target).map_err(io(format!("create {}", target.display())))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0u64;
    loop {
        let count = from
            .read(&mut buffer)
            .map_err(io(format!("read {}", source.display())))?;
        if count == 0 {
            break;
        }
        size += count as u64;
        if size > limit {
            return Err(BlobError::TooLarge {
                name: source.display().to_string(),
                size,
                limit,
            });
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])
            .map_err(io(format!("write {}", target.display())))?;
    }
    to.sync_all()
        .map_err(io(format!("sync {}", target.display())))?;
    Ok((hasher.finalize().into(), size))
}

/// Moves synced bytes to their final name and syncs the folders, so that the name survives a power cut.
fn place(dir: &Path, from: &Path, id: &BlobId) -> Result<(), StoreError> {
    let target = path(dir, id);
    let folder = target.parent().map(Path::to_path_buf).unwrap_or_default();
    fs::create_dir_all(&folder).map_err(io(format!("create {}", folder.display())))?;
    fs::rename(from, &target).map_err(io(format!("rename to {}", target.display())))?;
    for changed in [folder.as_path(), &dir.join("blobs")] {
        File::open(changed)
            .and_then(|f| f.sync_all())
            .map_err(io(format!("sync {}", changed.display())))?;
    }
    Ok(())
}

/// How many bytes of an arriving file are on disk already.
pub fn partial_len(dir: &Path, id: &BlobId, link: LinkId) -> u64 {
    fs::metadata(partial_path(dir, id, link))
        .map(|m| m.len())
        .unwrap_or(0)
}

/// Opens an arriving file for appending.
pub fn open_partial(dir: &Path, id: &BlobId, link: LinkId) -> Result<File, StoreError> {
    let target = partial_path(dir, id, link);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(io(format!("create {}", folder.display())))?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(&target)
        .map_err(io(format!("open {}", target.display())))
}

/// Reads a piece of a file.
pub fn read_piece(path: &Path, from: u64, length: usize) -> Result<Vec<u8>, StoreError> {
    use std::io::{Seek, SeekFrom};
    let what = || format!("read {}", path.display());
    let mut file = File::open(path).map_err(io(what()))?;
    file.seek(SeekFrom::Start(from)).map_err(io(what()))?;
    let mut piece = Vec::with_capacity(length);
    file.take(length as u64)
        .read_to_end(&mut piece)
        .map_err(io(what()))?;
    Ok(piece)
}

/// Verifies an arriving file that has all its bytes, and puts it in place. A mismatch throws it away.
/// Answers its length.
pub fn complete(dir: &Path, id: &BlobId, link: LinkId) -> Result<u64, BlobError> {
    let partial = partial_path(dir, id, link);
    let file = File::open(&partial).map_err(io(format!("open {}", partial.display())))?;
    file.sync_all()
        .map_err(io(format!("sync {}", partial.display())))?;
    let mut hasher = Sha256::new();
    let mut reader = std::io::BufReader::with_capacity(CHUNK, file);
    let mut buffer = vec![0; CHUNK];
    let mut size = 0u64;
    loop {
        let count = reader
            .read(&mut buffer)
            .map_err(io(format!("read {}", partial.display())))?;
        if count == 0 {
            break;
        }
        size += count as u64;
        hasher.update(&buffer[..count]);
    }
    let found: BlobId = hasher.finalize().into();
    if found != *id {
        fs::remove_file(&partial).map_err(io(format!("remove {}", partial.display())))?;
        return Err(BlobError::Mismatch);
    }
    place(dir, &partial, id)?;
    Ok(size)
}

/// Removes temporary copies that a crash left behind. Arriving files stay: they are resumed.
pub fn sweep(dir: &Path) -> Result<(), StoreError> {
    let folder = dir.join("blobs").join("partial");
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("new-") {
            fs::remove_file(entry.path())
                .map_err(io(format!("remove {}", entry.path().display())))?;
        }
    }
    Ok(())
}

/// The whole files on disk, whether or not a row names them.
pub fn on_disk(dir: &Path) -> Result<Vec<(BlobId, PathBuf)>, StoreError> {
    let root = dir.join("blobs");
    let mut found = Vec::new();
    for folder in fs::read_dir(&root).map_err(io(format!("read {}", root.display())))? {
        let folder = folder
            .map_err(io(format!("read {}", root.display())))?
            .path();
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(id) = name.and_then(parse_hex) {
                found.push((id, path));
            }
        }
    }
    Ok(found)
}

/// Notes a file that a record names: wanted, or present. The length of a present file is known; what a later record
/// says of it changes nothing.
pub fn note(
    connection: &Connection,
    id: &BlobId,
    size: u64,
    present: bool,
    at: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO blob (sha256, size, present, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (sha256) DO UPDATE SET present = 1, size = ?2 WHERE present = 0 AND ?3 = 1",
        )?
        .execute(params![id, size as i64, present, at])?;
    Ok(())
}

/// Length and presence of a file.
pub fn state(connection: &Connection, id: &BlobId) -> Result<Option<(u64, bool)>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT size, present FROM blob WHERE sha256 = ?1")?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))
        .optional()?)
}

/// Leaves a file to be sent to a neighbour.
pub fn owe(connection: &Connection, link: LinkId, id: &BlobId) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO blob_due (link, sha256) VALUES (?1, ?2)")?
        .execute(params![link.0, id])?;
    Ok(())
}

/// The files that a neighbour needs and that are here, smallest first.
pub fn due(connection: &Connection, link: LinkId) -> Result<Vec<(BlobId, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT b.sha256, b.size FROM blob_due d JOIN blob b ON b.sha256 = d.sha256
         WHERE d.link = ?1 AND d.told = 0 AND b.present = 1 ORDER BY b.size",
    )?;
    let rows = statement.query_map([link.0], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)? as u64))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether the neighbour may have this file: it was promised to it, now or before, or it brought the file itself. What holds
/// for a node holds for the one that takes its place.
pub fn is_due(connection: &Connection, link: LinkId, id: &BlobId) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "WITH same(link) AS (
                SELECT ?1 UNION
                SELECT l.link FROM link me JOIN node mine ON mine.node = me.node
                    JOIN node n ON n.unit = mine.unit JOIN link l ON l.node = n.node
                WHERE me.link = ?1)
             SELECT EXISTS (SELECT 1 FROM blob_due WHERE link IN same AND sha256 = ?2)
                OR EXISTS (SELECT 1 FROM blob_want WHERE link IN same AND sha256 = ?2 AND arrived = 1)",
        )?
        .query_row(params![link.0, id], |row| row.get(0))?)
}

/// The files that a neighbour has whole, as far as this store knows.
pub fn held_by(connection: &Connection, link: LinkId) -> Result<HashSet<BlobId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT sha256 FROM blob_due WHERE link = ?1 AND told = 1
         UNION SELECT sha256 FROM blob_want WHERE link = ?1 AND arrived = 1",
    )?;
    let rows = statement.query_map([link.0], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The neighbour has the whole file.
pub fn settled(connection: &Connection, link: LinkId, id: &BlobId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE blob_due SET told = 1 WHERE link = ?1 AND sha256 = ?2")?
        .execute(params![link.0, id])?;
    Ok(())
}

/// The neighbour may have lost what it confirmed: it is asked again about every file.
pub fn owe_again(connection: &Connection, link: LinkId) -> Result<(), StoreError> {
    connection.execute("UPDATE blob_due SET told = 0 WHERE link = ?1", [link.0])?;
    Ok(())
}

/// A file is not here after all: it is wanted again from every neighbour that brought it, and from the parent, which got our
/// own ones from us.
pub fn lost(connection: &Connection, id: &BlobId) -> Result<(), StoreError> {
    connection.execute("UPDATE blob SET present = 0 WHERE sha256 = ?1", [id])?;
    connection.execute("UPDATE blob_want SET arrived = 0 WHERE sha256 = ?1", [id])?;
    connection.execute(
        "INSERT OR IGNORE INTO blob_want (link, sha256, rec, size)
         SELECT l.link, b.sha256, 0, b.size FROM link l JOIN blob b ON b.sha256 = ?1
         WHERE l.role = 'upstream'",
        [id],
    )?;
    Ok(())
}

/// Every file that is here, with its length.
pub fn all_present(connection: &Connection) -> Result<Vec<(BlobId, u64)>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT sha256, size FROM blob WHERE present = 1 ORDER BY sha256")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Files present, files wanted, files owed to neighbours, and bytes present.
pub fn counts(connection: &Connection) -> Result<(u64, u64, u64, u64), StoreError> {
    Ok(connection.query_row(
        "SELECT count(*) FILTER (WHERE present = 1), count(*) FILTER (WHERE present = 0),
                (SELECT count(*) FROM blob_due d JOIN blob b ON b.sha256 = d.sha256
                    AND b.present = 1 AND d.told = 0),
                coalesce(sum(size) FILTER (WHERE present = 1), 0)
         FROM blob",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?)
}

/// Notes that a neighbour has to bring a file, because of a record it brought. The length is what that record says:
/// one neighbour's word never changes what another one's file may be.
pub fn want(
    connection: &Connection,
    link: LinkId,
    id: &BlobId,
    rec: super::Rec,
    size: u64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO blob_want (link, sha256, rec, size) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (link, sha256, rec) DO UPDATE SET size = ?4",
        )?
        .execute(params![link.0, id, rec.0, size as i64])?;
    Ok(())
}

/// Length of a file that a neighbour has to bring, and whether it did.
pub fn wanted(
    connection: &Connection,
    link: LinkId,
    id: &BlobId,
) -> Result<Option<(u64, bool)>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT max(size), max(arrived) FROM blob_want WHERE link = ?1 AND sha256 = ?2
             GROUP BY sha256",
        )?
        .query_row(params![link.0, id], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))
        })
        .optional()?)
}

/// The files a neighbour has to bring and has not.
pub fn missing(connection: &Connection, link: LinkId) -> Result<Vec<(BlobId, u64)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT sha256, max(size) FROM blob_want WHERE link = ?1 AND arrived = 0
         GROUP BY sha256 ORDER BY max(size)",
    )?;
    let rows = statement.query_map([link.0], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)? as u64))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The neighbour brought the file: it is verified and in place.
pub fn arrived(
    connection: &Connection,
    link: LinkId,
    id: &BlobId,
    size: u64,
    at: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE blob_want SET arrived = 1 WHERE link = ?1 AND sha256 = ?2")?
        .execute(params![link.0, id])?;
    connection
        .prepare_cached("UPDATE blob SET present = 1, at = ?2, size = ?3 WHERE sha256 = ?1")?
        .execute(params![id, at, size as i64])?;
    Ok(())
}

/// Files that the neighbour is asked for again, at most.
const ASKED_AGAIN: usize = 500;

/// The files that a neighbour brought or has to bring and that are not here.
pub fn asked_again(connection: &Connection, link: LinkId) -> Result<Vec<String>, StoreError> {
    let missing = missing(connection, link)?;
    Ok(missing
        .iter()
        .take(ASKED_AGAIN)
        .map(|(id, _)| hex(id))
        .collect())
}

/// A neighbour asks again for a file that it had confirmed.
pub fn owe_once_more(
    connection: &Connection,
    link: LinkId,
    id: &BlobId,
) -> Result<bool, StoreError> {
    let changed = connection
        .prepare_cached(
            "UPDATE blob_due SET told = 0 WHERE link = ?1 AND sha256 = ?2 AND told = 1",
        )?
        .execute(params![link.0, id])?;
    Ok(changed > 0)
}

/// The links that are owed a file.
pub fn owed_to(connection: &Connection, id: &BlobId) -> Result<Vec<LinkId>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT link FROM blob_due WHERE sha256 = ?1 AND told = 0")?;
    let rows = statement.query_map([id], |row| row.get(0).map(LinkId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
