//! Records set aside, here or at a peer.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::StoreError;
use super::links::LinkId;

/// A record set aside.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `quarantine`, documented there.
pub struct Item {
    pub item: i64,
    pub incoming: bool,
    pub link: LinkId,
    pub kind: String,
    pub record: Uuid,
    pub digest: Option<[u8; 16]>,
    pub code: String,
    pub reason: String,
    pub body: Option<String>,
    pub at: i64,
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let record: [u8; 16] = row.get(4)?;
    Ok(Item {
        item: row.get(0)?,
        incoming: row.get::<_, String>(1)? == "in",
        link: LinkId(row.get(2)?),
        kind: row.get(3)?,
        record: Uuid::from_bytes(record),
        digest: row.get(5)?,
        code: row.get(6)?,
        reason: row.get(7)?,
        body: row.get(8)?,
        at: row.get(9)?,
    })
}

const COLUMNS: &str = "item, direction, link, kind, record, digest, code, reason, body, at";

/// Sets a record aside; a newer state of the same record takes the older one's place.
pub fn put(connection: &Connection, new: &Item) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO quarantine (direction, link, kind, record, digest, code, reason, body, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (direction, link, record) DO UPDATE SET
                kind = ?3, digest = ?5, code = ?6, reason = ?7, body = ?8, at = ?9",
        )?
        .execute(params![
            if new.incoming { "in" } else { "out" },
            new.link.0,
            new.kind,
            new.record.as_bytes(),
            new.digest,
            new.code,
            new.reason,
            new.body,
            new.at
        ])?;
    Ok(())
}

/// Everything set aside.
pub fn all(connection: &Connection) -> Result<Vec<Item>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM quarantine ORDER BY item"))?;
    let rows = statement.query_map([], item)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One of them.
pub fn get(connection: &Connection, number: i64) -> Result<Option<Item>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM quarantine WHERE item = ?1"))?
        .query_row([number], item)
        .optional()?)
}

/// Takes one out of quarantine.
pub fn remove(connection: &Connection, number: i64) -> Result<(), StoreError> {
    connection.execute("DELETE FROM quarantine WHERE item = ?1", [number])?;
    Ok(())
}

/// The record was taken after all: nothing of it is set aside any more in that direction.
pub fn clear(
    connection: &Connection,
    link: LinkId,
    incoming: bool,
    record: Uuid,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "DELETE FROM quarantine WHERE direction = ?1 AND link = ?2 AND record = ?3",
        )?
        .execute(params![
            if incoming { "in" } else { "out" },
            link.0,
            record.as_bytes()
        ])?;
    Ok(())
}

/// How many records of a neighbour are set aside here.
pub fn count_incoming(connection: &Connection, link: LinkId) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM quarantine WHERE direction = 'in' AND link = ?1")?
        .query_row([link.0], |row| row.get(0))?)
}

/// How many are set aside here, and how many at peers; without those that wait in a hold here, which are counted there.
pub fn counts(connection: &Connection) -> Result<(u64, u64), StoreError> {
    Ok(connection.query_row(
        "SELECT count(*) FILTER (WHERE direction = 'in' AND code <> 'held'), count(*) FILTER (WHERE direction = 'out')
         FROM quarantine",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?)
}
