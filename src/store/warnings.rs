//! Red warnings, the tasks to look at again, and the days on which to do so.

use std::collections::BTreeSet;

use jiff::civil::Date;
use nqsync_core::model::UnitId;
use nqsync_core::rollup::{Warning, WarningKind};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::StoreError;

/// A warning with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Its number at this node.
    pub number: i64,
    /// What it says, about whom.
    pub warning: Warning,
    /// Since when it stands, ms since 1970.
    pub raised_at: i64,
    /// When it was seen to be so no longer.
    pub cleared_at: Option<i64>,
    /// Who said that it needs no attention.
    pub silence: Option<Silence>,
}

/// Why a warning needs no attention, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When it was said.
    pub at: i64,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub until: Date,
}

impl Raised {
    /// Whether somebody said that it needs no attention today.
    pub fn is_silenced(&self, today: Date) -> bool {
        self.silence.as_ref().is_some_and(|s| today <= s.until)
    }
}

const COLUMNS: &str =
    "number, task, unit, kind, raised_at, cleared_at, silenced_at, silenced_by, reason, until";

fn raised(row: &Row<'_>) -> rusqlite::Result<(Raised, String)> {
    let task: [u8; 16] = row.get(1)?;
    let unit: Vec<u8> = row.get(2)?;
    let kind: String = row.get(3)?;
    let silence = match (row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?) {
        (Some(at), Some(by), Some(reason), Some::<String>(until)) => Some(Silence {
            at,
            by,
            reason,
            // A day that cannot be read silences nothing.
            until: until.parse().unwrap_or(Date::MIN),
        }),
        _ => None,
    };
    let raised = Raised {
        number: row.get(0)?,
        warning: Warning {
            task: Uuid::from_bytes(task),
            unit: Uuid::from_slice(&unit).ok().map(UnitId),
            kind: WarningKind::Overdue,
        },
        raised_at: row.get(4)?,
        cleared_at: row.get(5)?,
        silence,
    };
    Ok((raised, kind))
}

fn with_kind((mut raised, kind): (Raised, String)) -> Result<Raised, StoreError> {
    let known = WarningKind::ALL.into_iter().find(|k| k.as_str() == kind);
    raised.warning.kind =
        known.ok_or_else(|| StoreError::Damaged(format!("a warning of kind {kind}")))?;
    Ok(raised)
}

fn select(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Raised>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM warning WHERE {condition} ORDER BY number");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(values, raised)?;
    rows.map(|row| with_kind(row?)).collect()
}

/// The warnings that stand.
pub fn open(connection: &Connection) -> Result<Vec<Raised>, StoreError> {
    select(connection, "cleared_at IS NULL", [])
}

/// Those that stand, and those that were seen to stand no longer.
pub fn all(connection: &Connection) -> Result<Vec<Raised>, StoreError> {
    select(connection, "TRUE", [])
}

/// One of them.
pub fn get(connection: &Connection, number: i64) -> Result<Option<Raised>, StoreError> {
    Ok(select(connection, "number = ?1", [number])?.pop())
}

/// Says why a warning needs no attention.
pub fn silence(connection: &Connection, number: i64, silence: &Silence) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE warning SET silenced_at = ?2, silenced_by = ?3, reason = ?4, until = ?5
             WHERE number = ?1",
        )?
        .execute(params![
            number,
            silence.at,
            silence.by,
            silence.reason,
            silence.until.to_string()
        ])?;
    Ok(())
}

/// The warnings about a task are these: others are cleared, new ones raised, the rest stands as it is.
pub fn settle(
    connection: &Connection,
    task: Uuid,
    warnings: &BTreeSet<Warning>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let before = select(
        connection,
        "task = ?1 AND cleared_at IS NULL",
        [task.as_bytes()],
    )?;
    for raised in before.iter().filter(|r| !warnings.contains(&r.warning)) {
        connection
            .prepare_cached("UPDATE warning SET cleared_at = ?2 WHERE number = ?1")?
            .execute(params![raised.number, now_ms])?;
    }
    for warning in warnings {
        if before.iter().any(|raised| raised.warning == *warning) {
            continue;
        }
        let unit = warning.unit.map(|unit| unit.0.as_bytes().to_vec());
        connection
            .prepare_cached(
                "INSERT INTO warning (task, unit, kind, raised_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                warning.task.as_bytes(),
                unit.unwrap_or_default(),
                warning.kind.as_str(),
                now_ms
            ])?;
    }
    Ok(())
}

/// Forgets what was cleared before a moment.
pub fn forget(connection: &Connection, before_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM warning WHERE cleared_at < ?1")?
        .execute([before_ms])?;
    Ok(())
}

/// A task is to be looked at again.
pub fn mark(connection: &Connection, task: Uuid) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO warning_mark (task) VALUES (?1)")?
        .execute([task.as_bytes()])?;
    Ok(())
}

/// All tasks are to be looked at again.
pub fn mark_all(connection: &Connection) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO warning_mark (task) VALUES (x'')")?
        .execute([])?;
    Ok(())
}

/// The tasks whose day has come are to be looked at again.
pub fn wake(connection: &Connection, today: Date) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO warning_mark (task) SELECT task FROM warning_watch WHERE wakes <= ?1",
        )?
        .execute([today.to_string()])?;
    Ok(())
}

/// When a task is to be looked at though nobody writes; `None`: never.
pub fn watch(connection: &Connection, task: Uuid, wakes: Option<Date>) -> Result<(), StoreError> {
    match wakes {
        Some(day) => connection
            .prepare_cached(
                "INSERT INTO warning_watch (task, wakes) VALUES (?1, ?2)
                 ON CONFLICT (task) DO UPDATE SET wakes = ?2",
            )?
            .execute(params![task.as_bytes(), day.to_string()])?,
        None => connection
            .prepare_cached("DELETE FROM warning_watch WHERE task = ?1")?
            .execute([task.as_bytes()])?,
    };
    Ok(())
}

/// Some of the tasks to look at again. A mark for all of them becomes one for each.
pub fn marked(connection: &Connection, limit: usize) -> Result<Vec<Uuid>, StoreError> {
    let all = connection
        .prepare_cached("DELETE FROM warning_mark WHERE task = x''")?
        .execute([])?;
    if all > 0 {
        connection.execute(
            "INSERT OR IGNORE INTO warning_mark (task) SELECT task FROM task_group",
            [],
        )?;
    }
    let mut statement =
        connection.prepare_cached("SELECT task FROM warning_mark ORDER BY task LIMIT ?1")?;
    let rows = statement.query_map([limit as i64], |row| row.get(0).map(Uuid::from_bytes))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A task was looked at.
pub fn unmark(connection: &Connection, task: Uuid) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM warning_mark WHERE task = ?1")?
        .execute([task.as_bytes()])?;
    Ok(())
}

/// Whether a task waits to be looked at.
pub fn any_marked(connection: &Connection) -> Result<bool, StoreError> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM warning_mark LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}
