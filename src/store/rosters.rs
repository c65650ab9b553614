//! The enrolments and revocations of our children, as each has us keep its own: text that we do not look into.

use nqsync_core::protocol::roster::{Roster, hash};
use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::links::LinkId;

/// What a child has us keep.
pub fn of(connection: &Connection, link: LinkId) -> Result<Option<Roster>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT body, signed_by, signature FROM roster WHERE link = ?1")?;
    let kept = statement.query_row([link.0], |row| {
        Ok(Roster {
            text: row.get(0)?,
            key: row.get(1)?,
            signature: row.get(2)?,
        })
    });
    Ok(kept.optional()?)
}

/// By which it is known; empty when nothing is kept.
pub fn hash_of(connection: &Connection, link: LinkId) -> Result<String, StoreError> {
    let kept = of(connection, link)?;
    Ok(kept.map(|roster| hash(&roster.text)).unwrap_or_default())
}

/// Keeps another one.
pub fn put(
    connection: &Connection,
    link: LinkId,
    roster: &Roster,
    now_ms: i64,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT OR REPLACE INTO roster (link, body, signed_by, signature, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![link.0, roster.text, roster.key, roster.signature, now_ms],
    )?;
    Ok(())
}
