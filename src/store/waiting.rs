//! Keys that our authority certified and that are on no list here.

use nqsync_core::model::NodeId;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::StoreError;

/// Most keys that are kept, those that were refused too. Each is one that this node's own authority certified, so more of
/// them than children it ever had is an attack, or a lost authority.
pub const MOST: usize = 256;

/// One of them.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `waiting_key`, documented there.
pub struct Waiting {
    pub pin: [u8; 32],
    pub node: NodeId,
    pub certificate: String,
    pub first_at: i64,
    pub last_at: i64,
    pub refused_at: Option<i64>,
    pub refused_by: Option<String>,
    pub reason: Option<String>,
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    let node: [u8; 16] = row.get(1)?;
    Ok(Waiting {
        pin: row.get(0)?,
        node: NodeId(Uuid::from_bytes(node)),
        certificate: row.get(2)?,
        first_at: row.get(3)?,
        last_at: row.get(4)?,
        refused_at: row.get(5)?,
        refused_by: row.get(6)?,
        reason: row.get(7)?,
    })
}

/// All of them, those that came first before the others.
pub fn all(connection: &Connection) -> Result<Vec<Waiting>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT pin, node, certificate, first_at, last_at, refused_at, refused_by, reason FROM waiting_key
         ORDER BY first_at, pin",
    )?;
    let rows = statement.query_map([], waiting)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that a key has shown itself. `false`: there is no room for another one.
pub fn note(connection: &Connection, seen: &Waiting) -> Result<bool, StoreError> {
    let known = connection.execute(
        "UPDATE waiting_key SET last_at = ?2 WHERE pin = ?1",
        params![seen.pin, seen.last_at],
    )?;
    if known == 1 {
        return Ok(true);
    }
    let count: usize =
        connection.query_row("SELECT count(*) FROM waiting_key", [], |row| row.get(0))?;
    if count >= MOST {
        return Ok(false);
    }
    connection.execute(
        "INSERT INTO waiting_key (pin, node, certificate, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            seen.pin,
            seen.node.0.as_bytes(),
            seen.certificate,
            seen.first_at,
            seen.last_at
        ],
    )?;
    Ok(true)
}

/// A person has refused a key. It stays listed, so that it does not wait again.
pub fn refuse(
    connection: &Connection,
    pin: &[u8; 32],
    person: &str,
    reason: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE waiting_key SET refused_at = ?2, refused_by = ?3, reason = ?4 WHERE pin = ?1",
        params![pin, now_ms, person, reason],
    )?;
    Ok(())
}

/// A key waits no more: its node is on the list.
pub fn remove(connection: &Connection, node: NodeId) -> Result<(), StoreError> {
    let node = node.0.as_bytes();
    connection.execute("DELETE FROM waiting_key WHERE node = ?1", [node])?;
    Ok(())
}
