//! Groups of tasks: which task counts where, and which rollups there are of them.

use nqsync_core::model::{Kind, UnitId};
use nqsync_core::rollup::read_task;
use nqsync_core::sync::Record;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::records::{self, COLUMNS, Rec, Stored};
use super::{StoreError, queries};

/// Notes in which group a task is counted.
pub(super) fn note(connection: &Connection, task: &Record) -> Result<(), StoreError> {
    let Some(facts) = read_task(task) else {
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT INTO task_group (task, issuer, grp) VALUES (?1, ?2, ?3)
             ON CONFLICT (task) DO UPDATE SET grp = ?3 WHERE grp <> ?3",
        )?
        .execute(params![
            facts.id.as_bytes(),
            facts.issuer.0.as_bytes(),
            facts.group
        ])?;
    Ok(())
}

/// Issuer and group of a task that is held here.
pub fn of_task(
    connection: &Connection,
    task: Uuid,
) -> Result<Option<(UnitId, String)>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT issuer, grp FROM task_group WHERE task = ?1")?
        .query_row([task.as_bytes()], |row| {
            let issuer: [u8; 16] = row.get(0)?;
            Ok((UnitId(Uuid::from_bytes(issuer)), row.get(1)?))
        })
        .optional()?)
}

/// The issuers of the tasks held here.
pub fn issuers(connection: &Connection) -> Result<Vec<UnitId>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT issuer FROM task_group ORDER BY issuer")?;
    let rows = statement.query_map([], |row| {
        let issuer: [u8; 16] = row.get(0)?;
        Ok(UnitId(Uuid::from_bytes(issuer)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The groups of an issuer's tasks.
pub fn of_issuer(connection: &Connection, issuer: UnitId) -> Result<Vec<String>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT grp FROM task_group WHERE issuer = ?1 ORDER BY grp")?;
    let rows = statement.query_map([issuer.0.as_bytes()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads the tasks of a group one after the other, in no order: there may be more of them than a small server should hold,
/// and to put them in order SQLite would hold them all.
pub fn each_task(
    connection: &Connection,
    issuer: UnitId,
    group: &str,
    mut each: impl FnMut(Stored) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task_group CROSS JOIN record ON id = task WHERE issuer = ?1 AND grp = ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![issuer.0.as_bytes(), group])?;
    while let Some(row) = rows.next()? {
        each(records::understand(records::raw_row(row)?)?)?;
    }
    Ok(())
}

/// The title of a group, from the first of its tasks that says one.
pub fn title(connection: &Connection, issuer: UnitId, group: &str) -> Result<String, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT rec FROM task_group CROSS JOIN record ON id = task WHERE issuer = ?1 AND grp = ?2 ORDER BY rec",
    )?;
    let rows = statement.query_map(params![issuer.0.as_bytes(), group], |row| row.get(0))?;
    for rec in rows {
        let stored = records::load_rec(connection, Rec(rec?))?;
        let shown = stored.and_then(|stored| stored.record.shown("group"));
        let title = shown.as_ref().and_then(|group| group["title"].as_str());
        if let Some(title) = title.filter(|title| !title.is_empty()) {
            return Ok(title.to_owned());
        }
    }
    Ok(String::new())
}

/// The periods that the tasks of a group were reported for.
pub fn reported_periods(
    connection: &Connection,
    issuer: UnitId,
    group: &str,
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT period FROM task_group CROSS JOIN record ON kind = ?3 AND about = task
         WHERE issuer = ?1 AND grp = ?2 AND period IS NOT NULL",
    )?;
    let issuer = issuer.0.as_bytes();
    let rows = statement.query_map(params![issuer, group, Kind::Report.number()], |row| {
        row.get(0)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The record that another one is about, and its period, without reading either.
pub fn about_and_period(
    connection: &Connection,
    id: Uuid,
) -> Result<Option<(Uuid, Option<String>)>, StoreError> {
    let found: Option<(Option<[u8; 16]>, Option<String>)> = connection
        .prepare_cached("SELECT about, period FROM record WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.and_then(|(about, period)| Some((Uuid::from_bytes(about?), period))))
}

/// The periods for which an issuer has rollups.
pub fn periods(connection: &Connection, issuer: UnitId) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT period FROM record WHERE kind = ?1 AND about = ?2 ORDER BY period",
    )?;
    let rows = statement.query_map(params![Kind::Rollup.number(), issuer.0.as_bytes()], |row| {
        row.get(0)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rollups of a period, of all issuers.
pub fn rollups(connection: &Connection, period: &str) -> Result<Vec<Stored>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM record WHERE kind = ?1 AND period = ?2 ORDER BY rec");
    records::select(connection, &sql, params![Kind::Rollup.number(), period])
}

/// The rollups of an issuer's groups in a period.
pub fn rollups_of(
    connection: &Connection,
    issuer: UnitId,
    period: &str,
) -> Result<Vec<Stored>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE kind = ?1 AND about = ?2 AND period = ?3 ORDER BY rec"
    );
    let issuer = issuer.0.as_bytes();
    records::select(
        connection,
        &sql,
        params![Kind::Rollup.number(), issuer, period],
    )
}

/// Marks every group of an issuer as touched.
pub fn mark_all(connection: &Connection, issuer: UnitId, period: &str) -> Result<(), StoreError> {
    for group in of_issuer(connection, issuer)? {
        queries::mark_dirty(connection, issuer, &group, period)?;
    }
    Ok(())
}
