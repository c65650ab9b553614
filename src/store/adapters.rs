//! What adapters remember: shadows, the outbox, runs and problems.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;

/// Runs kept of each adapter.
const KEPT_RUNS: i64 = 100;

/// Field values by name.
pub type Fields = BTreeMap<String, String>;

/// Names one stream of one adapter.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// The adapter.
    pub adapter: &'a str,
    /// Its stream.
    pub stream: &'a str,
}

/// What both sides had when they last agreed about one record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// Our natural key.
    pub key: String,
    /// The outside's id.
    pub id: String,
    /// The outside's version of it, where it has one.
    pub version: Option<String>,
    /// Our record, once it exists.
    pub record: Option<Uuid>,
    /// Our values then.
    pub ours: Fields,
    /// Theirs, in our notation.
    pub theirs: Fields,
    /// The token of our record then.
    pub token: String,
    /// When, in milliseconds since 1970.
    pub agreed_at: i64,
    /// Since when full listings lack it.
    pub missing_since: Option<i64>,
}

/// A write to the outside that was begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// Our natural key.
    pub key: String,
    /// The outside's id; `None`: it is being created.
    pub id: Option<String>,
    /// Its idempotency key.
    pub tried: String,
    /// The fields that were written, with our values.
    pub fields: Fields,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// A record that could not be exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The record's key, or the outside's id where it has none; empty: the stream as a whole.
    pub key: String,
    /// Which kind, stable.
    pub code: String,
    /// What happened, for people.
    pub text: String,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// When it began.
    pub began_at: i64,
    /// When it ended; `None`: it runs, or was cut by a crash.
    pub ended_at: Option<i64>,
    /// `done`, `partly`, `held`, `failed`.
    pub outcome: Option<String>,
    /// Counts and the error, as `adapter run --json` prints them.
    pub summary: Value,
}

/// How an adapter stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The adapter.
    pub adapter: String,
    /// When its last finished run began.
    pub ran_at: i64,
    /// How that ended.
    pub outcome: String,
    /// Since when no run was well; `None`: the last one was.
    pub bad_since: Option<i64>,
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Damaged(format!("adapter state: {e}")))
}

fn text(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Damaged(format!("adapter state: {e}")))
}

/// Shows every shadow of a stream, in the order of their keys: there may be too many to hold them all.
pub fn each_shadow(
    connection: &Connection,
    of: Of<'_>,
    mut show: impl FnMut(Shadow),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, id, version, record, ours, theirs, token, agreed_at, missing_since
         FROM adapter_shadow WHERE adapter = ?1 AND stream = ?2 ORDER BY key",
    )?;
    let rows = statement.query_map([of.adapter, of.stream], raw_shadow)?;
    for row in rows {
        show(understand(row?)?);
    }
    Ok(())
}

type RawShadow = (Shadow, String, String);

fn raw_shadow(row: &Row<'_>) -> rusqlite::Result<RawShadow> {
    let record: Option<[u8; 16]> = row.get(3)?;
    let shadow = Shadow {
        key: row.get(0)?,
        id: row.get(1)?,
        version: row.get(2)?,
        record: record.map(Uuid::from_bytes),
        ours: Fields::new(),
        theirs: Fields::new(),
        token: row.get(6)?,
        agreed_at: row.get(7)?,
        missing_since: row.get(8)?,
    };
    Ok((shadow, row.get(4)?, row.get(5)?))
}

fn understand((shadow, ours, theirs): RawShadow) -> Result<Shadow, StoreError> {
    Ok(Shadow {
        ours: json(&ours)?,
        theirs: json(&theirs)?,
        ..shadow
    })
}

/// Notes what both sides have now.
pub fn save_shadow(connection: &Connection, of: Of<'_>, shadow: &Shadow) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO adapter_shadow
             (adapter, stream, key, id, version, record, ours, theirs, token, agreed_at, missing_since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            of.adapter,
            of.stream,
            shadow.key,
            shadow.id,
            shadow.version,
            shadow.record.map(|id| *id.as_bytes()),
            text(&shadow.ours)?,
            text(&shadow.theirs)?,
            shadow.token,
            shadow.agreed_at,
            shadow.missing_since,
        ])?;
    Ok(())
}

/// Notes since when a record is missing outside, or that it is there again.
pub fn set_missing(
    connection: &Connection,
    of: Of<'_>,
    key: &str,
    since: Option<i64>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE adapter_shadow SET missing_since = ?4 WHERE adapter = ?1 AND stream = ?2 AND key = ?3",
        )?
        .execute(params![of.adapter, of.stream, key, since])?;
    Ok(())
}

/// Where our record was seen outside: adapter, the outside's id, and when both sides last agreed.
pub fn receipts(
    connection: &Connection,
    record: Uuid,
) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT adapter, id, agreed_at FROM adapter_shadow WHERE record = ?1 AND missing_since IS NULL ORDER BY adapter",
    )?;
    let rows = statement.query_map([record.as_bytes()], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The writes of a stream that were begun and not read back.
pub fn outbox(connection: &Connection, of: Of<'_>) -> Result<Vec<Begun>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, id, tried, fields, at FROM adapter_outbox WHERE adapter = ?1 AND stream = ?2 ORDER BY key",
    )?;
    let rows = statement.query_map([of.adapter, of.stream], |row| {
        let begun = Begun {
            key: row.get(0)?,
            id: row.get(1)?,
            tried: row.get(2)?,
            fields: Fields::new(),
            at: row.get(4)?,
        };
        Ok((begun, row.get::<_, String>(3)?))
    })?;
    rows.map(|row| {
        let (begun, fields) = row?;
        Ok(Begun {
            fields: json(&fields)?,
            ..begun
        })
    })
    .collect()
}

/// Notes that a write is about to be sent.
pub fn begin_write(connection: &Connection, of: Of<'_>, begun: &Begun) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO adapter_outbox (adapter, stream, key, id, tried, fields, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            of.adapter,
            of.stream,
            begun.key,
            begun.id,
            begun.tried,
            text(&begun.fields)?,
            begun.at
        ])?;
    Ok(())
}

/// Notes that it is known what became of a write.
pub fn end_write(connection: &Connection, of: Of<'_>, key: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM adapter_outbox WHERE adapter = ?1 AND stream = ?2 AND key = ?3",
        )?
        .execute([of.adapter, of.stream, key])?;
    Ok(())
}

/// The files of a stream that were handed over: key of the record and SHA-256 in hexadecimal.
pub fn files(
    connection: &Connection,
    of: Of<'_>,
) -> Result<BTreeSet<(String, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, sha256 FROM adapter_file WHERE adapter = ?1 AND stream = ?2",
    )?;
    let rows = statement.query_map([of.adapter, of.stream], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that a file was handed over.
pub fn save_file(
    connection: &Connection,
    of: Of<'_>,
    key: &str,
    sha256: &str,
    theirs: Option<&str>,
    at: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO adapter_file (adapter, stream, key, sha256, theirs, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![of.adapter, of.stream, key, sha256, theirs, at])?;
    Ok(())
}

/// Replaces the problems of a stream; one that stays keeps since when it is there.
pub fn set_problems(
    connection: &Connection,
    of: Of<'_>,
    problems: &[Problem],
) -> Result<(), StoreError> {
    let before: BTreeMap<(String, String), i64> = self::problems(connection, of.adapter)?
        .into_iter()
        .filter(|(stream, _)| stream == of.stream)
        .map(|(_, problem)| ((problem.key, problem.code), problem.since))
        .collect();
    connection
        .prepare_cached("DELETE FROM adapter_problem WHERE adapter = ?1 AND stream = ?2")?
        .execute([of.adapter, of.stream])?;
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO adapter_problem (adapter, stream, key, code, text, since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for problem in problems {
        let known = before.get(&(problem.key.clone(), problem.code.clone()));
        insert.execute(params![
            of.adapter,
            of.stream,
            problem.key,
            problem.code,
            problem.text,
            known.copied().unwrap_or(problem.since)
        ])?;
    }
    Ok(())
}

/// The problems of an adapter, with their streams.
pub fn problems(
    connection: &Connection,
    adapter: &str,
) -> Result<Vec<(String, Problem)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT stream, key, code, text, since FROM adapter_problem WHERE adapter = ?1 ORDER BY stream, key, code",
    )?;
    let rows = statement.query_map([adapter], |row| {
        let problem = Problem {
            key: row.get(1)?,
            code: row.get(2)?,
            text: row.get(3)?,
            since: row.get(4)?,
        };
        Ok((row.get(0)?, problem))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that a run begins.
pub fn begin_run(connection: &Connection, adapter: &str, at: i64) -> Result<i64, StoreError> {
    connection
        .prepare_cached("INSERT INTO adapter_run (adapter, began_at) VALUES (?1, ?2)")?
        .execute(params![adapter, at])?;
    let run = connection.last_insert_rowid();
    connection
        .prepare_cached(
            "DELETE FROM adapter_run WHERE adapter = ?1 AND run NOT IN
             (SELECT run FROM adapter_run WHERE adapter = ?1 ORDER BY run DESC LIMIT ?2)",
        )?
        .execute(params![adapter, KEPT_RUNS])?;
    Ok(run)
}

/// Notes how a run ended.
pub fn end_run(
    connection: &Connection,
    run: i64,
    at: i64,
    outcome: &str,
    summary: &Value,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE adapter_run SET ended_at = ?2, outcome = ?3, summary = ?4 WHERE run = ?1",
        )?
        .execute(params![run, at, outcome, summary.to_string()])?;
    Ok(())
}

/// The latest runs of an adapter, newest first.
pub fn runs(connection: &Connection, adapter: &str, limit: u32) -> Result<Vec<Run>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT began_at, ended_at, outcome, summary FROM adapter_run WHERE adapter = ?1 ORDER BY run DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![adapter, limit], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get::<_, Option<String>>(3)?,
        ))
    })?;
    rows.map(|row| {
        let (began_at, ended_at, outcome, summary) = row?;
        let summary = summary.as_deref().map(json).transpose()?;
        Ok(Run {
            began_at,
            ended_at,
            outcome,
            summary: summary.unwrap_or_default(),
        })
    })
    .collect()
}

/// Of every adapter that ever ran: how its last run ended, and since when no run was well.
pub fn standings(connection: &Connection) -> Result<Vec<Standing>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT last.adapter, last.began_at, last.outcome,
                (SELECT min(bad.began_at) FROM adapter_run bad WHERE bad.adapter = last.adapter AND bad.run >
                    (SELECT coalesce(max(good.run), 0) FROM adapter_run good
                     WHERE good.adapter = last.adapter AND good.outcome = 'done'))
         FROM adapter_run last
         WHERE last.run IN (SELECT max(run) FROM adapter_run WHERE ended_at IS NOT NULL GROUP BY adapter)
         ORDER BY last.adapter",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Standing {
            adapter: row.get(0)?,
            ran_at: row.get(1)?,
            outcome: row.get(2)?,
            bad_since: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Something an adapter keeps between runs.
pub fn state<T: DeserializeOwned>(
    connection: &Connection,
    adapter: &str,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let found: Option<String> = connection
        .prepare_cached("SELECT value FROM adapter_state WHERE adapter = ?1 AND name = ?2")?
        .query_row([adapter, name], |row| row.get(0))
        .optional()?;
    found.as_deref().map(json).transpose()
}

/// Keeps something between runs; `None` forgets it.
pub fn set_state<T: serde::Serialize>(
    connection: &Connection,
    adapter: &str,
    name: &str,
    value: Option<&T>,
) -> Result<(), StoreError> {
    match value {
        Some(value) => connection
            .prepare_cached(
                "INSERT OR REPLACE INTO adapter_state (adapter, name, value) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![adapter, name, text(value)?])?,
        None => connection
            .prepare_cached("DELETE FROM adapter_state WHERE adapter = ?1 AND name = ?2")?
            .execute([adapter, name])?,
    };
    Ok(())
}
