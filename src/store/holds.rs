//! Mass changes that wait for a person, and those that can be undone.

use std::collections::HashMap;

use nqsync_core::model::{Kind, UnitId};
use nqsync_core::sync::brake::Tally;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::StoreError;
use super::links::LinkId;
use super::records::Flags;

/// How long a mass change can be undone.
pub const KEEP_MS: i64 = 30 * 24 * 3600 * 1000;

/// Kinds whose records make up a subtree, as far as the brake counts. Units are everybody's, rollups are computed.
const COUNTED: [Kind; 8] = [
    Kind::Task,
    Kind::Report,
    Kind::Evidence,
    Kind::Verdict,
    Kind::Decision,
    Kind::Indicator,
    Kind::Figure,
    Kind::Directive,
];

/// One mass change.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `hold`, documented there.
pub struct Hold {
    pub hold: i64,
    pub link: Option<LinkId>,
    pub at: i64,
    pub state: String,
    pub tally: Tally,
    pub request: Option<String>,
    pub decided_at: Option<i64>,
    pub decided_by: Option<String>,
    pub reason: Option<String>,
}

/// One record of it.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `hold_record`, documented there.
pub struct Held {
    pub record: Uuid,
    pub kind: String,
    pub loss: String,
    pub body: Option<String>,
    pub changes: Option<String>,
}

const COLUMNS: &str = "hold, link, at, state, removed, overwritten, of_records, request, decided_at, decided_by, reason";

fn hold(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let link: Option<i64> = row.get(1)?;
    Ok(Hold {
        hold: row.get(0)?,
        link: link.map(LinkId),
        at: row.get(2)?,
        state: row.get(3)?,
        tally: Tally {
            removed: row.get::<_, i64>(4)?.unsigned_abs(),
            overwritten: row.get::<_, i64>(5)?.unsigned_abs(),
            of: row.get::<_, i64>(6)?.unsigned_abs(),
        },
        request: row.get(7)?,
        decided_at: row.get(8)?,
        decided_by: row.get(9)?,
        reason: row.get(10)?,
    })
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Begins a hold. Those that can no longer be undone go.
pub fn begin(
    connection: &Connection,
    link: Option<LinkId>,
    state: &str,
    tally: &Tally,
    request: Option<&str>,
    now_ms: i64,
) -> Result<i64, StoreError> {
    let old = "SELECT hold FROM hold WHERE state <> 'open' AND coalesce(decided_at, at) < ?1";
    connection.execute(
        &format!("DELETE FROM hold_record WHERE hold IN ({old})"),
        [now_ms - KEEP_MS],
    )?;
    connection.execute(
        "DELETE FROM hold WHERE state <> 'open' AND coalesce(decided_at, at) < ?1",
        [now_ms - KEEP_MS],
    )?;
    connection.execute(
        "INSERT INTO hold (link, at, state, removed, overwritten, of_records, request)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            link.map(|link| link.0),
            now_ms,
            state,
            number(tally.removed),
            number(tally.overwritten),
            number(tally.of),
            request
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// What a hold counts now.
pub fn set_tally(connection: &Connection, hold: i64, tally: &Tally) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE hold SET removed = ?2, overwritten = ?3, of_records = ?4 WHERE hold = ?1",
        params![
            hold,
            number(tally.removed),
            number(tally.overwritten),
            number(tally.of)
        ],
    )?;
    Ok(())
}

/// Puts a record into a hold; a newer state of it takes the older one's place.
pub fn put(connection: &Connection, hold: i64, held: &Held) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO hold_record (hold, record, kind, loss, body, changes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (hold, record) DO UPDATE SET loss = ?4, body = ?5, changes = ?6",
        )?
        .execute(params![
            hold,
            held.record.as_bytes(),
            held.kind,
            held.loss,
            held.body,
            held.changes
        ])?;
    Ok(())
}

/// Takes a record out of a hold: its next state loses nothing any more.
pub fn take_out(connection: &Connection, hold: i64, record: Uuid) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM hold_record WHERE hold = ?1 AND record = ?2")?
        .execute(params![hold, record.as_bytes()])?;
    Ok(())
}

/// All of them, the latest first.
pub fn all(connection: &Connection) -> Result<Vec<Hold>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM hold ORDER BY hold DESC"))?;
    let rows = statement.query_map([], hold)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One of them.
pub fn get(connection: &Connection, number: i64) -> Result<Option<Hold>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM hold WHERE hold = ?1"))?
        .query_row([number], hold)
        .optional()?)
}

/// The open hold of a neighbour, if any, with what it counts.
pub fn open_of(connection: &Connection, link: LinkId) -> Result<Option<Hold>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM hold WHERE state = 'open' AND link = ?1 ORDER BY hold LIMIT 1"
    );
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([link.0], hold)
        .optional()?)
}

/// The records of a hold.
pub fn records(connection: &Connection, number: i64) -> Result<Vec<Held>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT record, kind, loss, body, changes FROM hold_record WHERE hold = ?1 ORDER BY record",
    )?;
    let rows = statement.query_map([number], |row| {
        let record: [u8; 16] = row.get(0)?;
        Ok(Held {
            record: Uuid::from_bytes(record),
            kind: row.get(1)?,
            loss: row.get(2)?,
            body: row.get(3)?,
            changes: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many records a hold has.
pub fn count_records(connection: &Connection, number: i64) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM hold_record WHERE hold = ?1")?
        .query_row([number], |row| row.get(0))?)
}

/// Notes what a person decided.
pub fn decide(
    connection: &Connection,
    number: i64,
    state: &str,
    person: &str,
    reason: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE hold SET state = ?2, decided_at = ?3, decided_by = ?4, reason = ?5 WHERE hold = ?1",
        params![number, state, now_ms, person, reason],
    )?;
    if state == "refused" || state == "released" {
        connection.execute(
            "UPDATE hold_record SET body = NULL WHERE hold = ?1",
            [number],
        )?;
    }
    Ok(())
}

/// Open holds, their records, and since when the oldest waits.
pub fn waiting(connection: &Connection) -> Result<(u64, u64, Option<i64>), StoreError> {
    Ok(connection.query_row(
        "SELECT count(*),
                (SELECT count(*) FROM hold_record hr JOIN hold h ON h.hold = hr.hold WHERE h.state = 'open'),
                min(at)
         FROM hold WHERE state = 'open'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?)
}

/// Whether any hold is open; nearly always none is.
pub fn any_open(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM hold WHERE state = 'open')")?
        .query_row([], |row| row.get(0))?)
}

/// What a source lost since then, and forgets what is older.
pub fn lost_since(connection: &Connection, source: i64, since: i64) -> Result<Tally, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT coalesce(sum(removed), 0), coalesce(sum(overwritten), 0) FROM brake_count
             WHERE source = ?1 AND at >= ?2",
        )?
        .query_row([source, since], |row| {
            Ok(Tally {
                removed: row.get::<_, i64>(0)?.unsigned_abs(),
                overwritten: row.get::<_, i64>(1)?.unsigned_abs(),
                of: 0,
            })
        })?)
}

/// The same, each by its moment.
pub fn losses_since(
    connection: &Connection,
    source: i64,
    since: i64,
) -> Result<Vec<(i64, Tally)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT at, removed, overwritten FROM brake_count WHERE source = ?1 AND at >= ?2",
    )?;
    let rows = statement.query_map([source, since], |row| {
        let tally = Tally {
            removed: row.get::<_, i64>(1)?.unsigned_abs(),
            overwritten: row.get::<_, i64>(2)?.unsigned_abs(),
            of: 0,
        };
        Ok((row.get(0)?, tally))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes what a source lost at a moment, and forgets what is older than `since`.
pub fn note_lost(
    connection: &Connection,
    source: i64,
    tally: &Tally,
    at_ms: i64,
    since: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM brake_count WHERE source = ?1 AND at < ?2")?
        .execute([source, since])?;
    connection
        .prepare_cached(
            "INSERT INTO brake_count (source, at, removed, overwritten) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            source,
            at_ms,
            number(tally.removed),
            number(tally.overwritten)
        ])?;
    Ok(())
}

/// A person let a source go on: what it lost so far counts no more.
pub fn forget_lost(connection: &Connection, source: i64) -> Result<(), StoreError> {
    connection.execute("DELETE FROM brake_count WHERE source = ?1", [source])?;
    Ok(())
}

/// How many records of each owner are there, not deleted: those that passed a link, or all that are held.
pub fn population(
    connection: &Connection,
    link: Option<LinkId>,
) -> Result<HashMap<UnitId, u64>, StoreError> {
    let kinds: Vec<String> = COUNTED
        .iter()
        .map(|kind| kind.number().to_string())
        .collect();
    let kinds = kinds.join(", ");
    let passed = match link {
        Some(link) => format!(
            "AND EXISTS (SELECT 1 FROM link_record lr WHERE lr.link = {} AND lr.rec = r.rec AND lr.scope = 1)",
            link.0
        ),
        None => String::new(),
    };
    let sql = format!(
        "SELECT r.owner, count(*) FROM record r
         WHERE r.kind IN ({kinds}) AND r.owner IS NOT NULL AND NOT r.flags & {} {passed} GROUP BY r.owner",
        Flags::DELETED
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        let owner: [u8; 16] = row.get(0)?;
        Ok((UnitId(Uuid::from_bytes(owner)), row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
