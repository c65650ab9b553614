//! Heads of audits that neighbours showed each other, so that a chain that was cut or written anew shows.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use super::links::LinkId;

/// The end of an audit, or one entry in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number; 0 before the first.
    pub number: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Whose audit was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Ours, by the neighbour.
    Ours,
    /// The neighbour's, by us.
    Theirs,
}

impl Whose {
    fn as_str(self) -> &'static str {
        match self {
            Whose::Ours => "ours",
            Whose::Theirs => "theirs",
        }
    }
}

/// One sight of an audit.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The link on which it was shown.
    pub link: LinkId,
    /// When, by the witness's clock: milliseconds since 1970.
    pub at: i64,
    /// What was shown.
    pub entry: Entry,
    /// The witness's key (SubjectPublicKeyInfo, DER) and signature, where it signed.
    pub signed: Option<(Vec<u8>, Vec<u8>)>,
}

/// The end of this node's audit.
pub fn head(connection: &Connection) -> Result<Entry, StoreError> {
    let found = connection
        .prepare_cached("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], entry_of)
        .optional()?;
    Ok(found.unwrap_or(Entry {
        number: 0,
        hash: [0; 32],
    }))
}

/// One entry of this node's audit.
pub fn entry(connection: &Connection, number: i64) -> Result<Option<Entry>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT number, hash FROM audit WHERE number = ?1")?
        .query_row([number], entry_of)
        .optional()?)
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        number: row.get(0)?,
        hash: row.get(1)?,
    })
}

const COLUMNS: &str = "link, at, number, hash, key, signature";

fn sight(row: &Row<'_>) -> rusqlite::Result<Sight> {
    let (key, signature): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(4)?, row.get(5)?);
    Ok(Sight {
        link: LinkId(row.get(0)?),
        at: row.get(1)?,
        entry: Entry {
            number: row.get(2)?,
            hash: row.get(3)?,
        },
        signed: key.zip(signature),
    })
}

/// The latest sights on a link, newest first.
pub fn latest(
    connection: &Connection,
    link: LinkId,
    whose: Whose,
    limit: usize,
) -> Result<Vec<Sight>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM witness WHERE link = ?1 AND whose = ?2 ORDER BY at DESC LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![link.0, whose.as_str(), limit as i64], sight)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All sights, oldest first.
pub fn all(connection: &Connection, whose: Whose) -> Result<Vec<Sight>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM witness WHERE whose = ?1 ORDER BY at, link"
    ))?;
    let rows = statement.query_map([whose.as_str()], sight)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps a sight. Of one day the latest stays.
pub fn put(connection: &Connection, whose: Whose, new: &Sight) -> Result<(), StoreError> {
    const DAY_MS: i64 = 86_400_000;
    let day = new.at.div_euclid(DAY_MS) * DAY_MS;
    connection
        .prepare_cached(
            "DELETE FROM witness WHERE link = ?1 AND whose = ?2 AND at >= ?3 AND at < ?3 + ?4 AND number <= ?5",
        )?
        .execute(params![new.link.0, whose.as_str(), day, DAY_MS, new.entry.number])?;
    let (key, signature) = match &new.signed {
        Some((key, signature)) => (Some(key), Some(signature)),
        None => (None, None),
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO witness (link, whose, at, number, hash, key, signature)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            new.link.0,
            whose.as_str(),
            new.at,
            new.entry.number,
            new.entry.hash,
            key,
            signature
        ])?;
    Ok(())
}

/// What was seen of the neighbour's audit until now belongs to one that it does not show any more.
pub fn set_former(connection: &Connection, link: LinkId) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE OR REPLACE witness SET whose = 'former' WHERE link = ?1 AND whose = 'theirs'",
        [link.0],
    )?;
    Ok(())
}

/// Notes, or takes back, that something is wrong with a neighbour's audit.
pub fn set_broken(
    connection: &Connection,
    link: LinkId,
    what: Option<&str>,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE link SET audit_broken = ?2 WHERE link = ?1",
        params![link.0, what],
    )?;
    Ok(())
}
