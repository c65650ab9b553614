//! Messages to people about warnings and reminders, and what each channel was told.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// A message that waits or was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Columns of the table `notice`, documented there.
pub struct Notice {
    pub number: i64,
    pub channel: String,
    pub subject: String,
    pub text: String,
    pub entries: String,
    pub made_at: i64,
    pub tries: u32,
    pub next_at: i64,
    pub failing_since: Option<i64>,
    pub error: Option<String>,
    pub sent_at: Option<i64>,
    pub answer: Option<String>,
}

/// What a new message says.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `notice`, documented there.
pub struct Draft<'d> {
    pub channel: &'d str,
    pub subject: &'d str,
    pub text: &'d str,
    pub entries: &'d str,
}

const COLUMNS: &str = "number, channel, subject, text, entries, made_at, tries, next_at, failing_since, error, \
    sent_at, answer";

fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        number: row.get(0)?,
        channel: row.get(1)?,
        subject: row.get(2)?,
        text: row.get(3)?,
        entries: row.get(4)?,
        made_at: row.get(5)?,
        tries: row.get(6)?,
        next_at: row.get(7)?,
        failing_since: row.get(8)?,
        error: row.get(9)?,
        sent_at: row.get(10)?,
        answer: row.get(11)?,
    })
}

/// The message of a channel that waits to be sent.
pub fn waiting(connection: &Connection, channel: &str) -> Result<Option<Notice>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM notice WHERE channel = ?1 AND sent_at IS NULL");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([channel], notice).optional()?)
}

/// The latest message of every channel.
pub fn latest(connection: &Connection) -> Result<Vec<Notice>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notice WHERE number IN (SELECT max(number) FROM notice GROUP BY channel)
         ORDER BY channel"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], notice)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a channel was told of something, or is being told.
pub fn was_told(connection: &Connection, channel: &str, entry: &str) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM notice_entry WHERE channel = ?1 AND entry = ?2)",
        )?
        .query_row([channel, entry], |row| row.get(0))?)
}

/// Begins a message that tells of these entries; it is due at once.
pub fn begin(
    connection: &Connection,
    draft: &Draft<'_>,
    entries: &[String],
    now_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO notice (channel, subject, text, entries, made_at, next_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![
            draft.channel,
            draft.subject,
            draft.text,
            draft.entries,
            now_ms
        ])?;
    let number = connection.last_insert_rowid();
    let mut statement = connection
        .prepare_cached("INSERT INTO notice_entry (channel, entry, notice) VALUES (?1, ?2, ?3)")?;
    for entry in entries {
        statement.execute(params![draft.channel, entry, number])?;
    }
    Ok(())
}

/// The other side took a message.
pub fn sent(
    connection: &Connection,
    number: i64,
    answer: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE notice SET sent_at = ?2, answer = ?3, failing_since = NULL, error = NULL
             WHERE number = ?1",
        )?
        .execute(params![number, now_ms, answer])?;
    Ok(())
}

/// A message could not be sent; it is tried again at `next_at`.
pub fn failed(
    connection: &Connection,
    number: i64,
    error: &str,
    next_at: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE notice SET tries = tries + 1, error = ?2, next_at = ?3,
             failing_since = coalesce(failing_since, ?4) WHERE number = ?1",
        )?
        .execute(params![number, error, next_at, now_ms])?;
    Ok(())
}

/// Forgets messages sent before a moment. What is told of a warning that still stands stays, or it would be told again.
pub fn forget(connection: &Connection, before_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM notice_entry WHERE notice IN (SELECT number FROM notice WHERE sent_at < ?1)
             AND entry NOT IN (SELECT 'warning/' || number FROM warning WHERE cleared_at IS NULL)",
        )?
        .execute([before_ms])?;
    connection
        .prepare_cached(
            "DELETE FROM notice WHERE sent_at < ?1
             AND number NOT IN (SELECT notice FROM notice_entry)",
        )?
        .execute([before_ms])?;
    Ok(())
}
