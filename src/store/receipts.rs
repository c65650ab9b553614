//! Receipts: how far records got, and whom that has to be told.

use nqsync_core::model::UnitId;
use nqsync_core::sync::Context;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::StoreError;
use super::links::LinkId;
use super::records::Rec;

/// Notes that the node serving `unit` holds `extent` of a record. Answers whether that is news.
pub fn note(
    connection: &Connection,
    rec: Rec,
    unit: UnitId,
    extent: &Context,
    at: i64,
) -> Result<bool, StoreError> {
    let known: Option<String> = connection
        .prepare_cached("SELECT extent FROM receipt WHERE rec = ?1 AND unit = ?2")?
        .query_row(params![rec.0, unit.0.as_bytes()], |row| row.get(0))
        .optional()?;
    let mut merged: Context = known
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if known.is_some() && merged.covers(extent) {
        return Ok(false);
    }
    merged.extend(extent);
    let text = serde_json::to_string(&merged).map_err(|e| StoreError::Damaged(e.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO receipt (rec, unit, extent, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (rec, unit) DO UPDATE SET extent = ?3, at = ?4",
        )?
        .execute(params![rec.0, unit.0.as_bytes(), text, at])?;
    Ok(true)
}

/// Leaves a receipt to be told to a neighbour.
pub fn owe(
    connection: &Connection,
    link: LinkId,
    rec: Rec,
    unit: UnitId,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO receipt_due (link, rec, unit) VALUES (?1, ?2, ?3)")?
        .execute(params![link.0, rec.0, unit.0.as_bytes()])?;
    Ok(())
}

/// All receipts held: the record, its owner, and the unit whose node holds it.
pub fn held(connection: &Connection) -> Result<Vec<(Rec, UnitId, UnitId)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT p.rec, r.owner, p.unit FROM receipt p JOIN record r ON r.rec = p.rec
         WHERE r.owner IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| {
        let (owner, unit): ([u8; 16], [u8; 16]) = (row.get(1)?, row.get(2)?);
        let unit_id = |bytes| UnitId(Uuid::from_bytes(bytes));
        Ok((Rec(row.get(0)?), unit_id(owner), unit_id(unit)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One receipt to be told.
#[derive(Clone, Debug)]
pub struct Owed {
    /// The record's row.
    pub rec: Rec,
    /// The record's id.
    pub id: Uuid,
    /// The unit whose node holds it.
    pub unit: UnitId,
    /// What it holds.
    pub extent: Context,
    /// Since when.
    pub at: i64,
}

/// Receipts to be told to a neighbour.
pub fn due(connection: &Connection, link: LinkId, limit: usize) -> Result<Vec<Owed>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT d.rec, rec.id, d.unit, r.extent, r.at FROM receipt_due d
         JOIN receipt r ON r.rec = d.rec AND r.unit = d.unit JOIN record rec ON rec.rec = d.rec
         WHERE d.link = ?1 LIMIT ?2",
    )?;
    let rows = statement.query_map(params![link.0, limit as i64], |row| {
        let (id, unit): ([u8; 16], [u8; 16]) = (row.get(1)?, row.get(2)?);
        let extent: String = row.get(3)?;
        Ok(Owed {
            rec: Rec(row.get(0)?),
            id: Uuid::from_bytes(id),
            unit: UnitId(Uuid::from_bytes(unit)),
            extent: serde_json::from_str(&extent).unwrap_or_default(),
            at: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The neighbour knows these receipts.
pub fn told(
    connection: &Connection,
    link: LinkId,
    told: &[(Rec, UnitId)],
) -> Result<(), StoreError> {
    for (rec, unit) in told {
        connection
            .prepare_cached("DELETE FROM receipt_due WHERE link = ?1 AND rec = ?2 AND unit = ?3")?
            .execute(params![link.0, rec.0, unit.0.as_bytes()])?;
    }
    Ok(())
}

/// The receipts of a record: unit, extent, since when.
pub fn of(connection: &Connection, rec: Rec) -> Result<Vec<(UnitId, Context, i64)>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT unit, extent, at FROM receipt WHERE rec = ?1 ORDER BY at")?;
    let rows = statement.query_map([rec.0], |row| {
        let unit: [u8; 16] = row.get(0)?;
        let extent: String = row.get(1)?;
        Ok((
            UnitId(Uuid::from_bytes(unit)),
            serde_json::from_str(&extent).unwrap_or_default(),
            row.get(2)?,
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
