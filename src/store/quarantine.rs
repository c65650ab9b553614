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
    pub to_parent: bool,
    pub task: Option<Uuid>,
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
        to_parent: row.get::<_, i64>(10)? == TO_PARENT,
        task: row.get::<_, Option<[u8; 16]>>(11)?.map(Uuid::from_bytes),
    })
}

const COLUMNS: &str =
    "item, direction, link, kind, record, digest, code, reason, body, at, brought, task";
/// The same without what was sent: a list of thousands must not cost what they weigh.
const BUT_BODIES: &str =
    "item, direction, link, kind, record, digest, code, reason, NULL, at, brought, task";
/// Value of `brought`: to be shown to the parent.
const TO_PARENT: i64 = 1;

/// Sets a record aside; a newer state of the same record takes the older one's place.
pub fn put(connection: &Connection, new: &Item) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO quarantine (direction, link, kind, record, digest, code, reason, body, at, brought, task)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (direction, link, record) DO UPDATE SET
                kind = ?3, digest = ?5, code = ?6, reason = ?7, body = ?8, at = ?9,
                brought = CASE WHEN brought = 2 AND body IS ?8 THEN 2 ELSE ?10 END, task = ?11",
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
            new.at,
            i64::from(new.to_parent),
            new.task.as_ref().map(Uuid::as_bytes)
        ])?;
    Ok(())
}

/// Everything set aside, without the bodies.
pub fn all(connection: &Connection) -> Result<Vec<Item>, StoreError> {
    let sql = format!("SELECT {BUT_BODIES} FROM quarantine ORDER BY item");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], item)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What waits for a task.
pub fn waiting_for(connection: &Connection, task: Uuid) -> Result<Vec<Item>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine WHERE task = ?1 AND direction = 'in' ORDER BY item"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([task.as_bytes()], item)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// States of one record that neighbours sent and that are set aside here.
pub fn incoming_of(connection: &Connection, record: Uuid) -> Result<Vec<Item>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE record = ?1 AND direction = 'in'");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([record.as_bytes()], item)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is to be shown to the parent: no more than so many, nor much more than so many bytes.
pub fn to_parent(
    connection: &Connection,
    limit: usize,
    bytes: usize,
) -> Result<Vec<Item>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM quarantine WHERE brought = {TO_PARENT} ORDER BY item LIMIT ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut held = 0;
    let mut found = Vec::new();
    for one in statement.query_map([limit as i64], item)? {
        let one = one?;
        held += one.body.as_ref().map_or(0, String::len);
        found.push(one);
        if held >= bytes {
            break;
        }
    }
    Ok(found)
}

/// The parent has seen it, and answered; unless it has said meanwhile, on the way down, what became of it.
pub fn shown_to_parent(connection: &Connection, item: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE quarantine SET brought = 2 WHERE item = ?1 AND brought = 1")?
        .execute([item])?;
    Ok(())
}

/// What is set aside of a child's and has left that child's scope, as the parent says.
pub fn gone(connection: &Connection, link: LinkId, limit: usize) -> Result<Vec<Item>, StoreError> {
    let sql = format!(
        "SELECT {BUT_BODIES} FROM quarantine WHERE link = ?1 AND brought = 3 ORDER BY item LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![link.0, limit as i64], item)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The parent says that a record which is set aside here does not concern this branch any more. Answers the links whose
/// peers have to hear it.
pub fn note_gone(connection: &Connection, record: Uuid) -> Result<Vec<LinkId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE quarantine SET brought = 3 WHERE record = ?1 AND direction = 'in' AND brought IN (1, 2) RETURNING link",
    )?;
    let rows = statement.query_map([record.as_bytes()], |row| Ok(LinkId(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The parent may not remember what it was shown.
pub fn show_parent_again(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("UPDATE quarantine SET brought = 1 WHERE brought = 2", [])?;
    Ok(())
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

/// Since when the oldest of them is set aside.
pub fn oldest_at(connection: &Connection) -> Result<Option<i64>, StoreError> {
    Ok(connection.query_row("SELECT min(at) FROM quarantine", [], |row| row.get(0))?)
}

/// How many records of a neighbour are set aside here, and how many bytes they have.
pub fn of_peer(connection: &Connection, link: LinkId) -> Result<(u64, u64), StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(octet_length(body)), 0) FROM quarantine
             WHERE direction = 'in' AND link = ?1",
        )?
        .query_row([link.0], |row| Ok((row.get(0)?, row.get(1)?)))?)
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
