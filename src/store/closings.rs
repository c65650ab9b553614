//! Periods closed here: what came late, and the versions of the figures.
//!
//! Invariant: nothing that comes is held back from its record. What is kept beside it is the record as it was counted, from
//! the first change after the closing until somebody takes the change in; so the past is never rebuilt from clocks.

use std::collections::{BTreeMap, HashMap};

use nqsync_core::model::{Facts, Key, Kind, NodeId, Tree, UnitId};
use nqsync_core::rollup::{GroupRollup, IndicatorTotal};
use nqsync_core::sync::{Edit, Record};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;
use uuid::Uuid;

use super::records::{self, edits_text};
use super::{StoreError, groups};

/// A unit's period as it was closed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Which version of it counts.
    pub version: u32,
    /// It is not open again.
    pub closed: bool,
    /// Why it was reopened; empty while it never was.
    pub reason: String,
}

/// A change that waits.
#[derive(Clone, Debug)]
pub struct Late {
    /// Whose period was closed.
    pub unit: UnitId,
    /// The record that changed.
    pub record: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// As it is counted; `None`: it was not there.
    pub before: Option<Record>,
    /// When the first change came, ms since 1970.
    pub at: i64,
}

/// A version of this node's figures of a period.
#[derive(Clone, Debug)]
pub struct Restatement {
    /// Its number; what was closed first is version 1.
    pub version: u32,
    /// Whose late changes it took in.
    pub unit: UnitId,
    /// When, ms since 1970.
    pub at: i64,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Which numbers moved: a list of objects.
    pub moved: Value,
}

/// Notes that a unit's period is closed, for the first time or again.
pub fn close(connection: &Connection, unit: UnitId, period: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO closing (unit, period) VALUES (?1, ?2)
             ON CONFLICT (unit, period) DO UPDATE SET closed = 1, reason = ''",
        )?
        .execute(params![unit.0.as_bytes(), period])?;
    Ok(())
}

/// Notes that it is open again: what waited counts, and what comes counts.
pub fn reopen(
    connection: &Connection,
    unit: UnitId,
    period: &str,
    reason: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE closing SET closed = 0, version = version + 1, reason = ?3
             WHERE unit = ?1 AND period = ?2 AND closed = 1",
        )?
        .execute(params![unit.0.as_bytes(), period, reason])?;
    Ok(())
}

/// What waits for a unit's period counts from now on.
pub fn take_in(connection: &Connection, unit: UnitId, period: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE closing SET version = version + 1 WHERE unit = ?1 AND period = ?2")?
        .execute(params![unit.0.as_bytes(), period])?;
    Ok(())
}

/// How a unit's period was closed here, if it was.
pub fn of(
    connection: &Connection,
    unit: UnitId,
    period: &str,
) -> Result<Option<Closing>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT version, closed, reason FROM closing WHERE unit = ?1 AND period = ?2",
        )?
        .query_row(params![unit.0.as_bytes(), period], |row| {
            Ok(Closing {
                version: row.get(0)?,
                closed: row.get(1)?,
                reason: row.get(2)?,
            })
        })
        .optional()?)
}

/// Keeps a record as it was counted, where a change of it comes after a closing. `node` counts its own issuers' rollups
/// itself; they are not what somebody sent.
pub(super) fn note(
    connection: &Connection,
    (tree, node): (&Tree, Option<NodeId>),
    record: &Record,
    before: Option<&Record>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some((unit, register)) = counted(record.facts()) else {
        return Ok(());
    };
    if record.key().kind == Kind::Rollup && tree.server_of(unit) == node {
        return Ok(());
    }
    let closings = nearest(connection, tree, unit)?;
    if closings.is_empty() || says(Some(record), register) == says(before, register) {
        return Ok(());
    }
    let Some(of) = period_of(connection, record.facts())? else {
        return Ok(());
    };
    for (closed, period, version) in closings {
        if !concerns(record.key().kind, &of, &period) {
            continue;
        }
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO late (unit, period, version, record, kind, facts, edits, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                closed.0.as_bytes(),
                period,
                version,
                record.key().id.as_bytes(),
                record.key().kind.number(),
                record.facts_raw(),
                before.map(edits_text),
                now_ms
            ])?;
    }
    Ok(())
}

/// Whose period a record belongs to, and the register that is counted.
fn counted(facts: &Facts) -> Option<(UnitId, &'static str)> {
    match facts {
        Facts::Report { unit, .. } => Some((*unit, "submission")),
        Facts::Verdict { unit, .. } => Some((*unit, "verdict")),
        Facts::Arrival { unit, .. } => Some((*unit, "received")),
        Facts::Figure { unit, .. } => Some((*unit, "figures")),
        Facts::Rollup { issuer, .. } => Some((*issuer, "rollup")),
        _ => None,
    }
}

/// What counting reads of a record: a draft changes nothing.
fn says(record: Option<&Record>, register: &str) -> (bool, Vec<Value>) {
    let Some(record) = record else {
        return (false, Vec::new());
    };
    let siblings = record.register(register).siblings;
    let values: Vec<Value> = siblings.iter().map(|write| write.json()).collect();
    // Deleting what said nothing changes nothing either.
    (record.is_deleted() && !values.is_empty(), values)
}

fn period_of(connection: &Connection, facts: &Facts) -> Result<Option<String>, StoreError> {
    match facts {
        Facts::Verdict { report, .. } | Facts::Arrival { report, .. } => {
            let found = groups::about_and_period(connection, *report)?;
            Ok(found.and_then(|(_, period)| period))
        }
        _ => Ok(facts.period().map(str::to_owned)),
    }
}

/// Whether a record of one period is counted in another: what was reported before still says where a task stands.
fn concerns(kind: Kind, of: &str, closed: &str) -> bool {
    use nqsync_core::calendar::Period;
    let (Ok(of), Ok(closed)) = (of.parse::<Period>(), closed.parse::<Period>()) else {
        return false;
    };
    match kind {
        Kind::Rollup => of == closed,
        _ => of.end() <= closed.end(),
    }
}

/// The closings that bind a unit: its own, else that of the nearest unit above it, period by period.
fn nearest(
    connection: &Connection,
    tree: &Tree,
    unit: UnitId,
) -> Result<Vec<(UnitId, String, u32)>, StoreError> {
    let mut found: Vec<(UnitId, String, u32)> = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT period, version FROM closing WHERE unit = ?1 AND closed = 1")?;
    for info in tree.line(unit) {
        let rows = statement.query_map([info.id.0.as_bytes()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        })?;
        for row in rows {
            let (period, version) = row?;
            if !found.iter().any(|(_, known, _)| *known == period) {
                found.push((info.id, period, version));
            }
        }
    }
    Ok(found)
}

/// Whether any unit's period is closed here; mostly not, and then nobody has to look further.
pub fn any(connection: &Connection, period: &str) -> Result<bool, StoreError> {
    let any = "SELECT EXISTS (SELECT 1 FROM closing WHERE period = ?1 AND closed = 1)";
    let mut statement = connection.prepare_cached(any)?;
    Ok(statement.query_row([period], |row| row.get(0))?)
}

/// How many records wait for a unit's period. Notes of arrivals only say when something else came.
pub fn count(connection: &Connection, unit: UnitId, period: &str) -> Result<usize, StoreError> {
    let count: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM late
             JOIN closing ON closing.unit = late.unit AND closing.period = late.period
             WHERE late.unit = ?1 AND late.period = ?2 AND late.version = closing.version
               AND closed = 1 AND kind <> ?3",
        )?
        .query_row(
            params![unit.0.as_bytes(), period, Kind::Arrival.number()],
            |row| row.get(0),
        )?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// How many wait for all units together, in a period or in all of them.
pub fn count_all(connection: &Connection, period: Option<&str>) -> Result<usize, StoreError> {
    let count: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM late
             JOIN closing ON closing.unit = late.unit AND closing.period = late.period
             WHERE (?1 IS NULL OR late.period = ?1) AND late.version = closing.version
               AND closed = 1 AND kind <> ?2",
        )?
        .query_row(params![period, Kind::Arrival.number()], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// What waits in a period, the earliest first.
pub fn waiting(connection: &Connection, period: &str) -> Result<Vec<Late>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT late.unit, record, kind, facts, edits, at FROM late
         JOIN closing ON closing.unit = late.unit AND closing.period = late.period
         WHERE late.period = ?1 AND late.version = closing.version AND closed = 1
         ORDER BY at, record",
    )?;
    let rows = statement.query_map([period], raw)?;
    rows.map(|row| understand(row?)).collect()
}

type Raw = ([u8; 16], [u8; 16], i64, String, Option<String>, i64);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
    ))
}

fn understand((unit, record, kind, facts, edits, at): Raw) -> Result<Late, StoreError> {
    let id = Uuid::from_bytes(record);
    let damaged = |what: String| StoreError::Damaged(format!("late change of {id}: {what}"));
    let kind = Kind::from_number(kind).ok_or_else(|| damaged(format!("unknown kind {kind}")))?;
    let read = |edits: String| {
        let edits: Result<Vec<Edit>, _> = edits.split('\n').map(Edit::parse).collect();
        let edits = edits.map_err(|e| damaged(e.to_string()))?;
        Record::new(Key { kind, id }, &facts, edits).map_err(|e| damaged(e.to_string()))
    };
    Ok(Late {
        unit: UnitId(Uuid::from_bytes(unit)),
        record: id,
        kind,
        before: edits.map(read).transpose()?,
        at,
    })
}

/// The records of a period that are counted otherwise than they stand, without what waits for one unit.
pub fn before(
    connection: &Connection,
    period: &str,
    without: Option<UnitId>,
) -> Result<HashMap<Uuid, Option<Record>>, StoreError> {
    let mut before = HashMap::new();
    for late in waiting(connection, period)? {
        if Some(late.unit) != without {
            // Of two closings the earlier one knows what was counted.
            before.entry(late.record).or_insert(late.before);
        }
    }
    Ok(before)
}

/// The versions of a period after the first.
pub fn restatements(connection: &Connection, period: &str) -> Result<Vec<Restatement>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT version, unit, at, by, reason, moved FROM restatement WHERE period = ?1
         ORDER BY version",
    )?;
    let rows = statement.query_map([period], |row| {
        let unit: [u8; 16] = row.get(1)?;
        let moved: String = row.get(5)?;
        Ok(Restatement {
            version: row.get(0)?,
            unit: UnitId(Uuid::from_bytes(unit)),
            at: row.get(2)?,
            by: row.get(3)?,
            reason: row.get(4)?,
            moved: serde_json::from_str(&moved).unwrap_or_default(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The version in force.
pub fn version(connection: &Connection, period: &str) -> Result<u32, StoreError> {
    Ok(connection
        .prepare_cached("SELECT coalesce(max(version), 1) FROM restatement WHERE period = ?1")?
        .query_row([period], |row| row.get(0))?)
}

/// Adds a version.
pub fn restate(
    connection: &Connection,
    period: &str,
    restatement: &Restatement,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO restatement (period, version, unit, at, by, reason, moved)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            period,
            restatement.version,
            restatement.unit.0.as_bytes(),
            restatement.at,
            restatement.by,
            restatement.reason,
            restatement.moved.to_string()
        ])?;
    Ok(())
}

/// Whether a unit's period is open again that was closed before.
pub fn any_reopened(connection: &Connection, period: &str) -> Result<bool, StoreError> {
    let any = "SELECT EXISTS (SELECT 1 FROM closing WHERE period = ?1 AND closed = 0)";
    let mut statement = connection.prepare_cached(any)?;
    Ok(statement.query_row([period], |row| row.get(0))?)
}

/// Nothing moved: what was kept of the version in force says nothing.
pub fn forget_kept(connection: &Connection, period: &str) -> Result<(), StoreError> {
    let version = version(connection, period)?;
    for table in ["former_rollup", "former_total"] {
        let sql = format!("DELETE FROM {table} WHERE period = ?1 AND version = ?2");
        let mut statement = connection.prepare_cached(&sql)?;
        statement.execute(params![period, version])?;
    }
    Ok(())
}

/// Keeps what a version has before a later one has something else; `again`: in place of what was kept before.
pub fn keep(
    connection: &Connection,
    (period, version): (&str, u32),
    (issuer, group): (UnitId, &str),
    rollup: Option<&GroupRollup>,
    again: bool,
) -> Result<(), StoreError> {
    let text = rollup
        .map(serde_json::to_string)
        .transpose()
        .map_err(|e| StoreError::Damaged(format!("a rollup cannot be written: {e}")))?;
    connection
        .prepare_cached(
            "INSERT INTO former_rollup (period, version, issuer, grp, rollup)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET rollup = ?5 WHERE ?6",
        )?
        .execute(params![
            period,
            version,
            issuer.0.as_bytes(),
            group,
            text,
            again
        ])?;
    Ok(())
}

/// Keeps the total of an indicator, once.
pub fn keep_total(
    connection: &Connection,
    (period, version): (&str, u32),
    indicator: Uuid,
    (code, total): (&str, &IndicatorTotal),
) -> Result<(), StoreError> {
    let text = serde_json::to_string(total)
        .map_err(|e| StoreError::Damaged(format!("a total cannot be written: {e}")))?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO former_total (period, version, indicator, code, total)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![period, version, indicator.as_bytes(), code, text])?;
    Ok(())
}

/// The totals that were kept, by indicator, each with its code.
pub fn former_totals(
    connection: &Connection,
    period: &str,
    version: u32,
) -> Result<BTreeMap<Uuid, (String, IndicatorTotal)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT indicator, code, total FROM former_total WHERE period = ?1 AND version = ?2",
    )?;
    let rows = statement.query_map(params![period, version], |row| {
        let indicator: [u8; 16] = row.get(0)?;
        let text: String = row.get(2)?;
        Ok((Uuid::from_bytes(indicator), row.get::<_, String>(1)?, text))
    })?;
    let mut totals = BTreeMap::new();
    for row in rows {
        let (indicator, code, text) = row?;
        let total = serde_json::from_str(&text)
            .map_err(|e| StoreError::Damaged(format!("an earlier total: {e}")))?;
        totals.insert(indicator, (code, total));
    }
    Ok(totals)
}

/// What is otherwise in an earlier version than in the one in force; `None`: it was not there.
pub fn former(
    connection: &Connection,
    period: &str,
    version: u32,
) -> Result<HashMap<(UnitId, String), Option<GroupRollup>>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT issuer, grp, rollup FROM former_rollup WHERE period = ?1 AND version >= ?2
         ORDER BY version",
    )?;
    let rows = statement.query_map(params![period, version], |row| {
        let issuer: [u8; 16] = row.get(0)?;
        Ok((
            UnitId(Uuid::from_bytes(issuer)),
            row.get::<_, String>(1)?,
            row.get::<_, Option<String>>(2)?,
        ))
    })?;
    let mut former = HashMap::new();
    for row in rows {
        let (issuer, group, text) = row?;
        let read = |text: String| {
            serde_json::from_str(&text)
                .map_err(|e| StoreError::Damaged(format!("an earlier rollup: {e}")))
        };
        let rollup = text.map(read).transpose()?;
        former.entry((issuer, group)).or_insert(rollup);
    }
    Ok(former)
}

/// Closings that were made before this node kept track of them: from now on what comes is late.
pub fn adopt(
    connection: &Connection,
    is_closed: impl Fn(&Record) -> Option<(UnitId, String)>,
) -> Result<(), StoreError> {
    for stored in records::of_kind(connection, Kind::Period)? {
        if let Some((unit, period)) = is_closed(&stored.record) {
            connection
                .prepare_cached("INSERT OR IGNORE INTO closing (unit, period) VALUES (?1, ?2)")?
                .execute(params![unit.0.as_bytes(), period])?;
        }
    }
    Ok(())
}
