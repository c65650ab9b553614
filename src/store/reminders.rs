//! Deadlines of which a person is reminded, as they were counted last.

use rusqlite::{Connection, params};

use super::StoreError;

/// One deadline with those who owe something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// The regime's code.
    pub regime: String,
    /// The period, as it is written.
    pub period: String,
    /// The reminder in force, in days from the last day.
    pub stage: i32,
    /// What was expected and came, and who owes something: JSON.
    pub facts: String,
    /// When it was counted, ms since 1970.
    pub as_of: i64,
}

/// All of them.
pub fn all(connection: &Connection) -> Result<Vec<Reminder>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT regime, period, stage, facts, as_of FROM reminder ORDER BY regime, period",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Reminder {
            regime: row.get(0)?,
            period: row.get(1)?,
            stage: row.get(2)?,
            facts: row.get(3)?,
            as_of: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Replaces all of them.
pub fn replace(connection: &Connection, reminders: &[Reminder]) -> Result<(), StoreError> {
    connection.execute("DELETE FROM reminder", [])?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO reminder (regime, period, stage, facts, as_of) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for reminder in reminders {
        statement.execute(params![
            reminder.regime,
            reminder.period,
            reminder.stage,
            reminder.facts,
            reminder.as_of
        ])?;
    }
    Ok(())
}
