//! Facts about the store itself, the unit tree, the rollup's marks and the rows of imported files.

use std::path::Path;

use jiff::civil::Date;
use nqsync_core::model::{Classification, Kind, Tree, UnitId, UnitInfo};
use nqsync_core::sync::Incarnation;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

use super::{LEVEL_KEY, StoreError, records};

/// One fact about the store.
pub fn meta(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

/// The level of secrecy that the store was made for.
pub fn level(connection: &Connection) -> Result<Classification, StoreError> {
    let word = meta(connection, LEVEL_KEY)?;
    word.map_or(Ok(Classification::None), |word| {
        word.parse().map_err(StoreError::Damaged)
    })
}

/// The same of a database of any version, before anything is done to it; `None`: no node was made in it yet.
pub(super) fn made_for(connection: &Connection) -> Result<Option<Classification>, StoreError> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'meta'";
    let tables: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    if tables == 0 || meta(connection, "node")?.is_none() {
        return Ok(None);
    }
    level(connection).map(Some)
}

/// A fact of a store that somebody else may have open, or that does not open: only looked at.
pub fn meta_on_disk(dir: &Path, key: &str) -> Result<Option<String>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    meta(
        &Connection::open_with_flags(dir.join("store.db"), flags)?,
        key,
    )
}

/// The day the store was told (`meta.today`, kept by the service); without one, the end of all days.
pub fn today(connection: &Connection) -> Result<Date, StoreError> {
    let today = meta(connection, "today")?.and_then(|text| text.parse().ok());
    Ok(today.unwrap_or(Date::MAX))
}

/// The unit tree as it is on the day the store was told.
pub fn load_tree(connection: &Connection) -> Result<Tree, StoreError> {
    let today = today(connection)?;
    let units = records::of_kind(connection, Kind::Unit)?;
    Ok(Tree::new(units.iter().filter_map(|stored| {
        UnitInfo::read(&stored.record, today)
    })))
}

/// The answer given to a request id before, if any.
pub fn earlier_answer(
    connection: &Connection,
    request: &str,
) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT answer FROM request WHERE id = ?1")?
        .query_row([request], |row| row.get(0))
        .optional()?)
}

/// A request that was answered before and whose id begins so, if any. The beginning holds no `~`.
pub fn answered_request(
    connection: &Connection,
    beginning: &str,
) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT id FROM request WHERE id >= ?1 AND id < ?1 || '~' LIMIT 1")?
        .query_row([beginning], |row| row.get(0))
        .optional()?)
}

/// The latest incarnation of this store.
pub fn last_incarnation(connection: &Connection) -> Result<Option<Incarnation>, StoreError> {
    Ok(chain(connection, 1)?.into_iter().next())
}

/// The latest incarnations of this store, newest first.
pub fn chain(connection: &Connection, limit: u32) -> Result<Vec<Incarnation>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT incarnation FROM incarnation ORDER BY number DESC LIMIT ?1")?;
    let rows = statement.query_map([limit], |row| row.get::<_, [u8; 16]>(0).map(Incarnation))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A rollup group to recompute: issuer, group, and the period (empty: every period computed so far).
pub type Dirty = (UnitId, String, String);

/// Marks a rollup group as touched.
pub fn mark_dirty(
    connection: &Connection,
    issuer: UnitId,
    group: &str,
    period: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO dirty (issuer, grp, period) VALUES (?1, ?2, ?3)")?
        .execute(params![issuer.0.as_bytes(), group, period])?;
    Ok(())
}

/// The rollup groups that were touched.
pub fn dirty(connection: &Connection) -> Result<Vec<Dirty>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT issuer, grp, period FROM dirty")?;
    let rows = statement.query_map([], |row| {
        let issuer: [u8; 16] = row.get(0)?;
        Ok((UnitId(Uuid::from_bytes(issuer)), row.get(1)?, row.get(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether any rollup group was touched.
pub fn any_dirty(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM dirty)")?
        .query_row([], |row| row.get(0))?)
}

/// Takes a mark away.
pub fn clear_dirty(connection: &Connection, mark: &Dirty) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM dirty WHERE issuer = ?1 AND grp = ?2 AND period = ?3")?
        .execute(params![mark.0.0.as_bytes(), mark.1, mark.2])?;
    Ok(())
}

/// The record that a row of an imported file became, and the hash of what the row said then.
pub fn import_row(
    connection: &Connection,
    source: &str,
    row_key: &str,
) -> Result<Option<(Uuid, Vec<u8>)>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT record, content FROM import_row WHERE source = ?1 AND row_key = ?2",
        )?
        .query_row([source, row_key], |row| {
            let id: [u8; 16] = row.get(0)?;
            Ok((Uuid::from_bytes(id), row.get(1)?))
        })
        .optional()?)
}

/// Notes which record a row of an imported file became.
pub fn set_import_row(
    connection: &Connection,
    source: &str,
    row_key: &str,
    record: Uuid,
    content: &[u8],
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO import_row (source, row_key, record, content) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (source, row_key) DO UPDATE SET record = ?3, content = ?4",
        )?
        .execute(params![source, row_key, record.as_bytes(), content])?;
    Ok(())
}
