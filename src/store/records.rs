//! Records as rows: facts and edits exactly as authored.

use nqsync_core::model::{Key, Kind, UnitId};
use nqsync_core::sync::{Digest, Edit, Record};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{StoreError, warnings};

/// Row number of a record; local, never leaves the node.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Rec(pub i64);

/// Local marks of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub i64);

impl Flags {
    /// An open conflict.
    pub const CONFLICT: i64 = 1;
    /// The shown `life` says deleted.
    pub const DELETED: i64 = 2;
    /// Read-only here: it left our scope.
    pub const LEFT: i64 = 4;
    /// Kept with a remark.
    pub const REMARK: i64 = 8;

    /// The marks that follow from the record itself.
    pub fn of(record: &Record) -> Flags {
        let conflict = if record.conflicts().is_empty() {
            0
        } else {
            Flags::CONFLICT
        };
        let deleted = if record.is_deleted() {
            Flags::DELETED
        } else {
            0
        };
        Flags(conflict | deleted)
    }

    /// Keeps the marks that do not follow from the record. One that is written again is back in scope.
    pub(super) fn keep_local(&mut self, before: Flags) {
        self.0 |= before.0 & Flags::REMARK;
    }

    /// Whether a mark is set.
    pub fn has(self, mark: i64) -> bool {
        self.0 & mark != 0
    }
}

/// A record with what the store knows of it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Row number.
    pub rec: Rec,
    /// The record.
    pub record: Record,
    /// Digest of its state.
    pub digest: Digest,
    /// Local marks.
    pub flags: Flags,
}

pub(super) const COLUMNS: &str = "rec, kind, id, facts, edits, digest, flags";

/// The columns of a row before they are understood.
pub(super) type RawRow = (i64, i64, Uuid, String, String, [u8; 16], i64);

pub(super) fn raw_row(row: &Row<'_>) -> rusqlite::Result<RawRow> {
    let id: [u8; 16] = row.get(2)?;
    Ok((
        row.get(0)?,
        row.get(1)?,
        Uuid::from_bytes(id),
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
    ))
}

pub(super) fn understand(raw: RawRow) -> Result<Stored, StoreError> {
    let (rec, kind, id, facts, edits, digest, flags) = raw;
    let damaged = |what: String| StoreError::Damaged(format!("record {id}: {what}"));
    let kind = Kind::from_number(kind).ok_or_else(|| damaged(format!("unknown kind {kind}")))?;
    let edits: Vec<Edit> = edits
        .split('\n')
        .map(Edit::parse)
        .collect::<Result<_, _>>()
        .map_err(|e| damaged(e.to_string()))?;
    let record =
        Record::new(Key { kind, id }, &facts, edits).map_err(|e| damaged(e.to_string()))?;
    Ok(Stored {
        rec: Rec(rec),
        record,
        digest: Digest(digest),
        flags: Flags(flags),
    })
}

/// Whether a record is what was written: its digest is of what stands there now. Asked before a record is sent or written
/// on, so that what a disk or a hand has changed stays where it is.
pub fn as_written(stored: &Stored) -> Result<(), StoreError> {
    if stored.record.digest() == stored.digest {
        return Ok(());
    }
    let key = stored.record.key();
    let what = format!("{} {} is not what was written", key.kind, key.id);
    Err(StoreError::Unsound(what))
}

/// Loads one record by its id.
pub fn load(connection: &Connection, id: Uuid) -> Result<Option<Stored>, StoreError> {
    let sql = const_format(&["SELECT ", COLUMNS, " FROM record WHERE id = ?1"]);
    let raw = connection
        .prepare_cached(&sql)?
        .query_row([id.as_bytes()], raw_row)
        .optional()?;
    raw.map(understand).transpose()
}

/// Loads one record by its row number.
pub fn load_rec(connection: &Connection, rec: Rec) -> Result<Option<Stored>, StoreError> {
    let sql = const_format(&["SELECT ", COLUMNS, " FROM record WHERE rec = ?1"]);
    let raw = connection
        .prepare_cached(&sql)?
        .query_row([rec.0], raw_row)
        .optional()?;
    raw.map(understand).transpose()
}

/// Records after a row number, in order.
pub fn page(connection: &Connection, after: Rec, limit: u32) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE rec > ?1 ORDER BY rec LIMIT ?2",
    ]);
    select(connection, &sql, params![after.0, limit])
}

/// All records of a kind.
pub fn of_kind(connection: &Connection, kind: Kind) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE kind = ?1 ORDER BY rec",
    ]);
    select(connection, &sql, params![kind.number()])
}

/// Reads the records of a kind one after the other, in no order: there may be more of them than a small server should hold,
/// and to put them in order SQLite would hold them all.
pub fn each_of_kind(
    connection: &Connection,
    kind: Kind,
    mut each: impl FnMut(Stored) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = const_format(&["SELECT ", COLUMNS, " FROM record WHERE kind = ?1"]);
    let mut statement = connection.prepare_cached(&sql)?;
    for row in statement.query_map(params![kind.number()], raw_row)? {
        each(understand(row?)?)?;
    }
    Ok(())
}

/// What a kind's records of one period are about, whose they are, and their ids; without deleted ones.
pub fn of_period(
    connection: &Connection,
    kind: Kind,
    period: &str,
) -> Result<Vec<(Uuid, UnitId, Uuid)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT about, owner, id FROM record
         WHERE kind = ?1 AND period = ?2 AND about IS NOT NULL AND owner IS NOT NULL AND NOT flags & ?3",
    )?;
    let rows = statement.query_map(params![kind.number(), period, Flags::DELETED], |row| {
        let id = |column| row.get(column).map(Uuid::from_bytes);
        Ok((id(0)?, UnitId(id(1)?), id(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Records of a kind after a row number, in order.
pub fn page_of_kind(
    connection: &Connection,
    kind: Kind,
    after: Rec,
    limit: u32,
) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE rec > ?1 AND kind = ?2 ORDER BY rec LIMIT ?3",
    ]);
    select(connection, &sql, params![after.0, kind.number(), limit])
}

/// The records of a kind that are about another one: the reports of a task, the verdicts of a report, …
pub fn about(connection: &Connection, kind: Kind, about: Uuid) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE kind = ?1 AND about = ?2 ORDER BY rec",
    ]);
    select(connection, &sql, params![kind.number(), about.as_bytes()])
}

/// Those of them that one unit owns: a task of the ministry has thousands of reports.
pub fn about_by(
    connection: &Connection,
    kind: Kind,
    about: Uuid,
    owner: UnitId,
) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE kind = ?1 AND about = ?2 AND owner = ?3 ORDER BY rec",
    ]);
    select(
        connection,
        &sql,
        params![kind.number(), about.as_bytes(), owner.0.as_bytes()],
    )
}

/// Those of them that are of one period.
pub fn about_of(
    connection: &Connection,
    kind: Kind,
    about: Uuid,
    period: &str,
) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE kind = ?1 AND about = ?2 AND period = ?3 ORDER BY rec",
    ]);
    select(
        connection,
        &sql,
        params![kind.number(), about.as_bytes(), period],
    )
}

/// The records of a kind that a unit owns, of one period.
pub fn owned_of(
    connection: &Connection,
    kind: Kind,
    owner: UnitId,
    period: &str,
) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE kind = ?1 AND owner = ?2 AND period = ?3 ORDER BY rec",
    ]);
    select(
        connection,
        &sql,
        params![kind.number(), owner.0.as_bytes(), period],
    )
}

/// Whether there is a record of a kind and a period.
pub fn any_of(connection: &Connection, kind: Kind, period: &str) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM record WHERE kind = ?1 AND period = ?2)")?
        .query_row(params![kind.number(), period], |row| row.get(0))?)
}

/// The periods of the records of a kind about another one, with how many there are of each.
pub fn periods_about(
    connection: &Connection,
    kind: Kind,
    about: Uuid,
) -> Result<Vec<(String, u32)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT period, count(*) FROM record WHERE kind = ?1 AND about = ?2 AND period IS NOT NULL
         GROUP BY period ORDER BY period",
    )?;
    let rows = statement.query_map(params![kind.number(), about.as_bytes()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The records of a kind whose ids lie between two, at most `limit`: for the beginning of an id that was typed.
pub fn between(
    connection: &Connection,
    kind: Kind,
    low: Uuid,
    high: Uuid,
    limit: u32,
) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE id BETWEEN ?1 AND ?2 AND kind = ?3 ORDER BY id LIMIT ?4",
    ]);
    select(
        connection,
        &sql,
        params![low.as_bytes(), high.as_bytes(), kind.number(), limit],
    )
}

/// Records with a mark set.
pub fn flagged(connection: &Connection, mark: i64) -> Result<Vec<Stored>, StoreError> {
    let sql = const_format(&[
        "SELECT ",
        COLUMNS,
        " FROM record WHERE flags <> 0 AND flags & ?1 ORDER BY rec",
    ]);
    select(connection, &sql, params![mark])
}

/// The edits of a record that nothing present needs any more.
pub fn history(connection: &Connection, rec: Rec) -> Result<Vec<Edit>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT edit FROM history WHERE rec = ?1 ORDER BY replaced_at")?;
    let rows = statement.query_map([rec.0], |row| row.get::<_, String>(0))?;
    let mut edits = Vec::new();
    for row in rows {
        edits.push(Edit::parse(&row?).map_err(|e| StoreError::Damaged(format!("history: {e}")))?);
    }
    Ok(edits)
}

/// Number of records held.
pub fn count(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row("SELECT count(*) FROM record", [], |row| row.get(0))?)
}

pub(super) fn select(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Stored>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, raw_row)?;
    rows.map(|row| understand(row?)).collect()
}

pub(super) fn const_format(parts: &[&str]) -> String {
    parts.concat()
}

pub(super) fn insert(
    connection: &Connection,
    record: &Record,
    digest: Digest,
    flags: Flags,
) -> Result<Rec, StoreError> {
    let facts = record.facts();
    connection
        .prepare_cached(
            "INSERT INTO record (kind, id, about, period, owner, facts, edits, digest, flags)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            record.key().kind.number(),
            record.key().id.as_bytes(),
            facts.about().map(Uuid::into_bytes),
            facts.period(),
            facts.owner().map(|unit| unit.0.into_bytes()),
            record.facts_raw(),
            edits_text(record),
            digest.0,
            flags.0
        ])?;
    Ok(Rec(connection.last_insert_rowid()))
}

pub(super) fn update(
    connection: &Connection,
    rec: Rec,
    record: &Record,
    digest: Digest,
    flags: Flags,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE record SET facts = ?2, edits = ?3, digest = ?4, flags = ?5 WHERE rec = ?1",
        )?
        .execute(params![
            rec.0,
            record.facts_raw(),
            edits_text(record),
            digest.0,
            flags.0
        ])?;
    Ok(())
}

pub(super) fn keep_history(
    connection: &Connection,
    rec: Rec,
    dropped: &[Edit],
    now_ms: i64,
) -> Result<(), StoreError> {
    for edit in dropped {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO history (rec, hash, edit, replaced_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![rec.0, edit.hash(), edit.raw(), now_ms])?;
    }
    Ok(())
}

/// Adds a remark to a record that was kept although it breaks a domain rule.
pub fn remark(connection: &Connection, rec: Rec, code: &str, text: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO remark (rec, code, text) VALUES (?1, ?2, ?3)
             ON CONFLICT (rec, code) DO UPDATE SET text = ?3",
        )?
        .execute(params![rec.0, code, text])?;
    connection
        .prepare_cached("UPDATE record SET flags = flags | ?2 WHERE rec = ?1")?
        .execute(params![rec.0, Flags::REMARK])?;
    Ok(())
}

/// Takes a remark away again, once its reason is gone.
pub fn clear_remark(connection: &Connection, rec: Rec, code: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM remark WHERE rec = ?1 AND code = ?2")?
        .execute(params![rec.0, code])?;
    connection
        .prepare_cached(
            "UPDATE record SET flags = flags & ~?2
             WHERE rec = ?1 AND NOT EXISTS (SELECT 1 FROM remark WHERE remark.rec = ?1)",
        )?
        .execute(params![rec.0, Flags::REMARK])?;
    Ok(())
}

/// The remarks of a record: code and text.
pub fn remarks(connection: &Connection, rec: Rec) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT code, text FROM remark WHERE rec = ?1")?;
    let rows = statement.query_map([rec.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Marks a record as gone from our scope, until it is written again. Whoever was warned about such a task is asked for it
/// no more.
pub fn set_left(connection: &Connection, rec: Rec) -> Result<(), StoreError> {
    let sql =
        "UPDATE record SET flags = flags | ?2 WHERE rec = ?1 AND NOT flags & ?2 RETURNING kind, id";
    let marked = connection
        .prepare_cached(sql)?
        .query_row(params![rec.0, Flags::LEFT], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?))
        })
        .optional()?;
    match marked {
        Some((kind, id)) if Kind::from_number(kind) == Some(Kind::Task) => {
            warnings::mark(connection, Uuid::from_bytes(id))
        }
        _ => Ok(()),
    }
}

pub(super) fn edits_text(record: &Record) -> String {
    let edits = record.edits();
    let mut text = String::with_capacity(edits.iter().map(|e| e.raw().len() + 1).sum());
    for (index, edit) in edits.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(edit.raw());
    }
    text
}
