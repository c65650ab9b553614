//! Where the work of units on tasks stands, as it was derived from their reports.

use jiff::civil::Date;
use nqsync_core::model::{Kind, UnitId};
use nqsync_core::rollup::{After, Derived};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::StoreError;
use super::blobs::BlobId;
use super::records::{self, Stored};

/// `until` of the latest row: sorts after every day.
const LAST: &str = "~";

/// Bits of `marks`, see the migration; the others stand where they are written.
const REJECTED: i64 = 1;
/// See [`REJECTED`].
const ACCEPTED: i64 = 16;

/// A unit's work on a task.
pub type Pair = (Uuid, UnitId);

/// Task and unit of a mark, as the migration has them.
type Mark = (Vec<u8>, Vec<u8>);

/// What a submitted report waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A reviewer's verdict.
    Verdict,
    /// Its unit: it was returned, or says itself that something is to be corrected.
    Correction,
    /// Being submitted again: its draft differs from what was submitted.
    Submission,
}

impl Wait {
    fn bit(self) -> i64 {
        match self {
            Wait::Verdict => 1,
            Wait::Correction => 2,
            Wait::Submission => 4,
        }
    }
}

/// One submitted report, and what stood after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The task.
    pub task: Uuid,
    /// Whose work.
    pub unit: UnitId,
    /// What stood.
    pub after: After,
    /// The last day of the next one's period; `None`: this is the latest.
    pub until: Option<Date>,
    /// What the report waits for.
    pub waits: Vec<Wait>,
}

/// Where one unit's work on a task stands at the end of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stood {
    /// The task and the unit.
    pub of: Pair,
    /// The version that counts is of a report for this period, not of an earlier one.
    pub came: bool,
    /// When that version was submitted, ms since 1970.
    pub at: i64,
    /// The state, as if the due day had not come.
    pub derived: Derived,
    /// A reviewer sent it back.
    pub rejected: bool,
    /// A reviewer accepted its evidence.
    pub accepted: bool,
}

impl Kept {
    /// Whether it tells where the work stood at the end of this day.
    pub fn tells(&self, day: Date) -> bool {
        self.after.ends <= day && self.until.is_none_or(|until| until > day)
    }

    /// The same in short, at the end of a period that begins on `first`.
    pub fn stood(&self, first: Date) -> Stood {
        Stood {
            of: (self.task, self.unit),
            came: self.after.ends >= first,
            at: self.after.at,
            derived: self.after.derived,
            rejected: self.after.rejected,
            accepted: self.after.accepted,
        }
    }

    /// Its place in lists: by period, task, unit.
    fn place(&self) -> Place {
        Place {
            ends: self.after.ends.to_string(),
            task: self.task,
            unit: self.unit,
            report: self.after.report,
        }
    }
}

/// A place in the list of what waits, to go on from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Last day of the period.
    pub ends: String,
    /// The task.
    pub task: Uuid,
    /// The unit.
    pub unit: UnitId,
    /// The report.
    pub report: Uuid,
}

/// Replaces the rows of a unit's work on a task.
pub fn replace(connection: &Connection, of: Pair, rows: &[Kept]) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM standing WHERE task = ?1 AND unit = ?2")?
        .execute(params![of.0.as_bytes(), of.1.0.as_bytes()])?;
    for row in rows {
        let after = &row.after;
        let state = Derived::ALL.iter().position(|s| *s == after.derived);
        let marks = [
            after.rejected,
            after.provisional,
            after.evidence_pending,
            after.in_conflict,
            after.accepted,
        ];
        let marks = marks
            .iter()
            .rev()
            .fold(0, |all, set| all << 1 | i64::from(*set));
        let waits: i64 = row.waits.iter().map(|wait| wait.bit()).sum();
        connection
            .prepare_cached(
                "INSERT INTO standing (task, unit, report, starts, ends, until, at, state, marks, waits, percent, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                of.0.as_bytes(),
                of.1.0.as_bytes(),
                after.report.as_bytes(),
                after.starts.to_string(),
                after.ends.to_string(),
                row.until.map_or(LAST.to_owned(), |day| day.to_string()),
                after.at,
                state.unwrap_or_default() as i64,
                marks,
                waits,
                after.percent,
                after.hash,
            ])?;
    }
    Ok(())
}

const COLUMNS: &str =
    "task, unit, report, starts, ends, until, at, state, marks, waits, percent, hash";

fn kept(row: &Row<'_>) -> rusqlite::Result<Option<Kept>> {
    let day = |text: String| text.parse::<Date>().ok();
    let (Some(starts), Some(ends)) = (day(row.get(3)?), day(row.get(4)?)) else {
        return Ok(None);
    };
    let Some(derived) = state(row.get(7)?) else {
        return Ok(None);
    };
    let marks: i64 = row.get(8)?;
    let waits: i64 = row.get(9)?;
    let all = [Wait::Verdict, Wait::Correction, Wait::Submission];
    Ok(Some(Kept {
        task: id(row, 0)?,
        unit: UnitId(id(row, 1)?),
        after: After {
            report: id(row, 2)?,
            hash: row.get(11)?,
            starts,
            ends,
            at: row.get(6)?,
            derived,
            percent: row.get(10)?,
            rejected: marks & REJECTED != 0,
            provisional: marks & 2 != 0,
            evidence_pending: marks & 4 != 0,
            in_conflict: marks & 8 != 0,
            accepted: marks & ACCEPTED != 0,
        },
        until: day(row.get(5)?),
        waits: all.into_iter().filter(|w| waits & w.bit() != 0).collect(),
    }))
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

fn select(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Kept>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM standing WHERE {condition}");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(values, kept)?;
    rows.map(|row| row?.ok_or_else(damaged)).collect()
}

/// Everything that is kept of a task's work, or of all tasks'.
pub fn all(connection: &Connection, task: Option<Uuid>) -> Result<Vec<Kept>, StoreError> {
    let order = "ORDER BY task, unit, ends, at, starts, hash";
    match task {
        Some(task) => select(connection, &format!("task = ?1 {order}"), [task.as_bytes()]),
        None => select(connection, &format!("TRUE {order}"), []),
    }
}

/// What is kept of one work, the earliest report first.
pub fn of_work(connection: &Connection, of: Pair) -> Result<Vec<Kept>, StoreError> {
    select(
        connection,
        "task = ?1 AND unit = ?2 ORDER BY ends, at, starts, hash",
        params![of.0.as_bytes(), of.1.0.as_bytes()],
    )
}

/// The states of the work on a task at the end of a day, as if the due day had not come; `None`: by the latest reports.
pub fn states(
    connection: &Connection,
    task: Uuid,
    day: Option<Date>,
) -> Result<Vec<(UnitId, Derived)>, StoreError> {
    let (condition, day) = match day {
        None => ("until = '~' AND ?2 = ''", String::new()),
        Some(day) => ("ends <= ?2 AND until > ?2", day.to_string()),
    };
    let sql = format!("SELECT unit, state FROM standing WHERE task = ?1 AND {condition}");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![task.as_bytes(), day], |row| {
        Ok((UnitId(id(row, 0)?), state(row.get(1)?)))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (unit, state) = row?;
        found.push((unit, state.ok_or_else(damaged)?));
    }
    Ok(found)
}

fn state(number: usize) -> Option<Derived> {
    Derived::ALL.get(number).copied()
}

fn damaged() -> StoreError {
    StoreError::Damaged("a row of standings".to_owned())
}

/// Where all work stands at the end of a period, whatever the kinds of the reports' periods.
pub fn stood(connection: &Connection, first: Date, last: Date) -> Result<Vec<Stood>, StoreError> {
    // Of the two ends of a row the later one leaves less to look at: people ask about what is recent.
    let mut statement = connection.prepare_cached(
        "SELECT task, unit, ends >= ?1, at, state, marks FROM standing INDEXED BY standing_by_until
         WHERE until > ?2 AND ends <= ?2",
    )?;
    let rows = statement.query_map([first.to_string(), last.to_string()], |row| {
        let marks: i64 = row.get(5)?;
        let derived = state(row.get(4)?);
        Ok(derived.map(|derived| {
            Ok::<_, rusqlite::Error>(Stood {
                of: (id(row, 0)?, UnitId(id(row, 1)?)),
                came: row.get(2)?,
                at: row.get(3)?,
                derived,
                rejected: marks & REJECTED != 0,
                accepted: marks & ACCEPTED != 0,
            })
        }))
    })?;
    let mut found = Vec::new();
    for row in rows {
        found.push(row?.ok_or_else(damaged)??);
    }
    Ok(found)
}

/// The work that was finished before a day.
pub fn finished(connection: &Connection, before: Date) -> Result<Vec<Pair>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT task, unit FROM standing WHERE state >= 6 AND until >= ?1 AND ends < ?1",
    )?;
    let rows = statement.query_map([before.to_string()], |row| {
        Ok((id(row, 0)?, UnitId(id(row, 1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The submitted versions of the reports of exactly this period: whose work, the report and its version's hash.
pub fn versions(
    connection: &Connection,
    first: Date,
    last: Date,
) -> Result<Vec<(Pair, Uuid, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT task, unit, report, hash FROM standing WHERE ends = ?2 AND starts = ?1",
    )?;
    let rows = statement.query_map([first.to_string(), last.to_string()], |row| {
        Ok(((id(row, 0)?, UnitId(id(row, 1)?)), id(row, 2)?, row.get(3)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Places of the reports that wait, all of them: what waits is little beside what is kept.
pub fn waiting(connection: &Connection, wait: Wait) -> Result<Vec<Place>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT ends, task, unit, report FROM standing WHERE waits <> 0 AND waits & ?1
         ORDER BY ends, task, unit, report",
    )?;
    let rows = statement.query_map([wait.bit()], |row| {
        Ok(Place {
            ends: row.get(0)?,
            task: id(row, 1)?,
            unit: UnitId(id(row, 2)?),
            report: id(row, 3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The same of rows that are not in the table.
pub fn waiting_among<'a>(
    rows: impl Iterator<Item = &'a Kept>,
    wait: Wait,
) -> impl Iterator<Item = Place> {
    rows.filter(move |row| row.waits.contains(&wait))
        .map(Kept::place)
}

/// Something was written about a unit's work on a task.
pub fn mark(connection: &Connection, task: Uuid, unit: UnitId) -> Result<(), StoreError> {
    mark_bytes(connection, task.as_bytes(), unit.0.as_bytes())
}

/// Something changed that all reports on a task are judged by.
pub fn mark_task(connection: &Connection, task: Uuid) -> Result<(), StoreError> {
    mark_bytes(connection, task.as_bytes(), &[])
}

/// Something changed that all reports are judged by.
pub fn mark_all(connection: &Connection) -> Result<(), StoreError> {
    mark_bytes(connection, &[], &[])
}

fn mark_bytes(connection: &Connection, task: &[u8], unit: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO standing_mark (task, unit) VALUES (?1, ?2)")?
        .execute(params![task, unit])?;
    Ok(())
}

/// The work that is marked, each once.
pub fn marked(connection: &Connection) -> Result<Vec<Pair>, StoreError> {
    let mut pairs = Vec::new();
    for (task, unit) in marks(connection, i64::MAX)? {
        pairs.extend(reaches(connection, &task, &unit)?);
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

/// The same of one task.
pub fn marked_of(connection: &Connection, task: Uuid) -> Result<Vec<Pair>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT task, unit FROM standing_mark WHERE task IN (?1, x'')")?;
    let rows = statement.query_map([task.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let marks: Vec<Mark> = rows.collect::<Result<_, _>>()?;
    let mut pairs = Vec::new();
    for (_, unit) in marks {
        pairs.extend(reaches(connection, task.as_bytes(), &unit)?);
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

/// Whether a work is marked.
pub fn is_marked(connection: &Connection, of: Pair) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM standing_mark WHERE task IN (?1, x'') AND unit IN (?2, x''))",
        )?
        .query_row(params![of.0.as_bytes(), of.1.0.as_bytes()], |row| row.get(0))?)
}

/// Whether any work is marked.
pub fn any_marked(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM standing_mark)")?
        .query_row([], |row| row.get(0))?)
}

/// Takes some of the marks, at most `limit`, so that what they reach can be derived anew. A mark that reaches more becomes
/// one for each.
pub fn take_marks(connection: &Connection, limit: usize) -> Result<Vec<Pair>, StoreError> {
    let wide: Vec<Mark> = marks(connection, limit as i64)?
        .into_iter()
        .filter(|(_, unit)| unit.is_empty())
        .collect();
    for (task, unit) in &wide {
        for (task, unit) in reaches(connection, task, unit)? {
            mark(connection, task, unit)?;
        }
        unmark(connection, task, unit)?;
    }
    let mut taken = Vec::new();
    for (task, unit) in marks(connection, limit as i64)? {
        unmark(connection, &task, &unit)?;
        taken.extend(reaches(connection, &task, &unit)?);
    }
    Ok(taken)
}

fn unmark(connection: &Connection, task: &[u8], unit: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM standing_mark WHERE task = ?1 AND unit = ?2")?
        .execute([task, unit])?;
    Ok(())
}

fn marks(connection: &Connection, limit: i64) -> Result<Vec<Mark>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT task, unit FROM standing_mark ORDER BY task, unit LIMIT ?1")?;
    let rows = statement.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All work that was ever reported on, or has evidence.
pub fn works(connection: &Connection) -> Result<Vec<Pair>, StoreError> {
    reaches(connection, &[], &[])
}

/// The work that a mark stands for.
fn reaches(connection: &Connection, task: &[u8], unit: &[u8]) -> Result<Vec<Pair>, StoreError> {
    if let (Ok(task), Ok(unit)) = (Uuid::from_slice(task), Uuid::from_slice(unit)) {
        return Ok(vec![(task, UnitId(unit))]);
    }
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT about, owner FROM record
         WHERE kind IN (?1, ?2) AND (?3 = x'' OR about = ?3) AND about IS NOT NULL AND owner IS NOT NULL",
    )?;
    let kinds = [Kind::Report.number(), Kind::Evidence.number()];
    let rows = statement.query_map(params![kinds[0], kinds[1], task], |row| {
        Ok((id(row, 0)?, UnitId(id(row, 1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that a piece of evidence names a file.
pub fn note_file(connection: &Connection, file: &BlobId, record: Uuid) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO evidence_file (sha256, record) VALUES (?1, ?2)")?
        .execute(params![file, record.as_bytes()])?;
    Ok(())
}

/// Evidence that named a file when it was last looked at; whether it still does is for the caller to see.
pub fn naming_file(connection: &Connection, file: &BlobId) -> Result<Vec<Stored>, StoreError> {
    let sql = format!(
        "SELECT {} FROM record WHERE id IN (SELECT record FROM evidence_file WHERE sha256 = ?1) ORDER BY rec",
        records::COLUMNS
    );
    records::select(connection, &sql, [file])
}
