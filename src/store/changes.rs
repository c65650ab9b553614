//! The order in which records changed here, for programs that follow what happens (the local API's events).
//!
//! A row is written in the transaction of the change, so that nobody hears of what was not kept. Only the newest rows are
//! kept: a cursor that is older, or of another history of this store (it was restored), is told from one that is good.

use std::fmt;
use std::str::FromStr;

use nqsync_core::model::{Kind, UnitId};
use nqsync_core::sync::Record;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::StoreError;
use super::records::Rec;

/// Rows that are kept; some 8 MiB.
const KEPT: i64 = 100_000;
/// Old rows are removed so many at a time.
const TRIM_EVERY: i64 = 1024;

/// A place in the order of changes.
///
/// The moment stands in it because numbers alone repeat after a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    number: i64,
    at: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.at)
    }
}

impl FromStr for Cursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Cursor, Self::Err> {
        let (number, at) = text.split_once('-').unwrap_or((text, ""));
        Ok(Cursor {
            number: number.parse()?,
            at: at.parse()?,
        })
    }
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its place; what comes later is after it.
    pub cursor: Cursor,
    /// When, in milliseconds.
    pub at: i64,
    /// Kind of the record; `None`: one that this version does not know.
    pub kind: Option<Kind>,
    /// The record.
    pub record: Uuid,
    /// What it is about: the task of a report.
    pub about: Option<Uuid>,
    /// Its period, if it has one.
    pub period: Option<String>,
    /// The unit whose record it is.
    pub owner: Option<UnitId>,
    /// The registers that changed.
    pub fields: Vec<String>,
}

/// Notes that a record changed.
pub(super) fn note(
    connection: &Connection,
    rec: Rec,
    before: Option<&Record>,
    after: &Record,
    now_ms: i64,
) -> Result<(), StoreError> {
    let changed = |name: &&str| {
        before.is_none_or(|before| before.register(name).dots() != after.register(name).dots())
    };
    let fields: Vec<&str> = after.registers().filter(changed).collect();
    connection
        .prepare_cached("INSERT INTO change (at, rec, fields) VALUES (?1, ?2, ?3)")?
        .execute(params![now_ms, rec.0, fields.join(" ")])?;
    let number = connection.last_insert_rowid();
    if number % TRIM_EVERY == 0 {
        connection
            .prepare_cached("DELETE FROM change WHERE number <= ?1")?
            .execute([number - KEPT])?;
    }
    Ok(())
}

/// The place of the newest change.
pub fn last(connection: &Connection) -> Result<Cursor, StoreError> {
    let found = connection
        .prepare_cached("SELECT number, at FROM change ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(Cursor {
                number: row.get(0)?,
                at: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Whether everything after a place is still known, and the place is one of this history.
pub fn stands(connection: &Connection, cursor: Cursor) -> Result<bool, StoreError> {
    if cursor == Cursor::default() {
        let oldest: Option<i64> = connection
            .prepare_cached("SELECT min(number) FROM change")?
            .query_row([], |row| row.get(0))?;
        return Ok(oldest.is_none_or(|oldest| oldest == 1));
    }
    let at: Option<i64> = connection
        .prepare_cached("SELECT at FROM change WHERE number = ?1")?
        .query_row([cursor.number], |row| row.get(0))
        .optional()?;
    Ok(at == Some(cursor.at))
}

/// The changes after a place, oldest first, at most `limit`.
pub fn after(
    connection: &Connection,
    cursor: Cursor,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.number, c.at, c.fields, r.kind, r.id, r.about, r.period, r.owner
         FROM change c JOIN record r ON r.rec = c.rec WHERE c.number > ?1 ORDER BY c.number LIMIT ?2",
    )?;
    let rows = statement.query_map(params![cursor.number, limit as i64], |row| {
        let at = row.get(1)?;
        let fields: String = row.get(2)?;
        Ok(Change {
            cursor: Cursor {
                number: row.get(0)?,
                at,
            },
            at,
            kind: Kind::from_number(row.get(3)?),
            record: Uuid::from_bytes(row.get(4)?),
            about: row.get::<_, Option<[u8; 16]>>(5)?.map(Uuid::from_bytes),
            period: row.get(6)?,
            owner: row
                .get::<_, Option<[u8; 16]>>(7)?
                .map(|unit| UnitId(Uuid::from_bytes(unit))),
            fields: fields.split_whitespace().map(str::to_owned).collect(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
