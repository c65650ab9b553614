//! Acts that need two persons.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// How long one that was decided, or that nobody decided in time, stays to be looked at; the audit has it for ever.
pub const KEEP_MS: i64 = 400 * 24 * 3600 * 1000;

/// An act that somebody asked for.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `approval`, documented there.
pub struct Approval {
    pub approval: i64,
    pub act: String,
    pub subject: String,
    pub target: String,
    pub request: String,
    pub person: String,
    pub reason: String,
    pub at: i64,
    pub expires_at: i64,
    pub state: String,
    pub decided_at: Option<i64>,
    pub decided_by: Option<String>,
    pub decision: Option<String>,
}

impl Approval {
    /// Whether it waits for somebody at `now_ms`.
    pub fn is_open(&self, now_ms: i64) -> bool {
        self.state == "open" && now_ms < self.expires_at
    }

    /// Its state in the contract: one that nobody decided in time has expired.
    pub fn shown_state(&self, now_ms: i64) -> &str {
        match self.state == "open" && !self.is_open(now_ms) {
            true => "expired",
            false => &self.state,
        }
    }
}

const COLUMNS: &str =
    "approval, act, subject, target, request, person, reason, at, expires_at, state, decided_at,
    decided_by, decision";

fn approval(row: &Row<'_>) -> rusqlite::Result<Approval> {
    Ok(Approval {
        approval: row.get(0)?,
        act: row.get(1)?,
        subject: row.get(2)?,
        target: row.get(3)?,
        request: row.get(4)?,
        person: row.get(5)?,
        reason: row.get(6)?,
        at: row.get(7)?,
        expires_at: row.get(8)?,
        state: row.get(9)?,
        decided_at: row.get(10)?,
        decided_by: row.get(11)?,
        decision: row.get(12)?,
    })
}

/// Keeps what was asked for, under a new number. Those that are over for long go.
pub fn insert(connection: &Connection, asked: &Approval) -> Result<i64, StoreError> {
    connection.execute(
        "DELETE FROM approval WHERE coalesce(decided_at, expires_at) < ?1",
        [asked.at.saturating_sub(KEEP_MS)],
    )?;
    connection.execute(
        "INSERT INTO approval (act, subject, target, request, person, reason, at, expires_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'open')",
        params![
            asked.act,
            asked.subject,
            asked.target,
            asked.request,
            asked.person,
            asked.reason,
            asked.at,
            asked.expires_at
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// All of them, the latest first.
pub fn all(connection: &Connection) -> Result<Vec<Approval>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM approval ORDER BY approval DESC");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], approval)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Those that wait at `now_ms`, the oldest first.
pub fn open(connection: &Connection, now_ms: i64) -> Result<Vec<Approval>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM approval WHERE state = 'open' AND expires_at > ?1 ORDER BY approval"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([now_ms], approval)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One of them.
pub fn get(connection: &Connection, number: i64) -> Result<Option<Approval>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM approval WHERE approval = ?1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([number], approval)
        .optional()?)
}

/// Notes what the second person decided. `false`: it was decided before, and stays as it was.
pub fn decide(
    connection: &Connection,
    number: i64,
    state: &str,
    person: &str,
    reason: Option<&str>,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let changed = connection.execute(
        "UPDATE approval SET state = ?2, decided_by = ?3, decision = ?4, decided_at = ?5
         WHERE approval = ?1 AND state = 'open'",
        params![number, state, person, reason, now_ms],
    )?;
    Ok(changed == 1)
}
