//! The audit chain: who did what, in the same transaction as the deed, each entry hashed with the one before.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest as _, Sha256};

use super::{StoreError, Tx};

/// One act to be written down.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    /// When, by this node's clock.
    pub at: i64,
    /// Person, node or adapter.
    pub actor: &'a str,
    /// What was done, such as `task.add` or `batch.received`.
    pub act: &'a str,
    /// To what: a record, a node, a link.
    pub subject: &'a str,
    /// Details as JSON; never texts of records, file names or secrets.
    pub detail: serde_json::Value,
}

/// Appends an act to the chain.
pub fn append(tx: &Tx<'_>, act: &Act<'_>) -> Result<(), StoreError> {
    let connection = tx.connection();
    let previous = head(connection)?;
    let detail = act.detail.to_string();
    let hash = link(
        &previous,
        act.at,
        [act.actor, act.act, act.subject, &detail],
    );
    connection
        .prepare_cached(
            "INSERT INTO audit (at, actor, act, subject, detail, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![act.at, act.actor, act.act, act.subject, detail, previous, hash])?;
    Ok(())
}

/// How much has happened here: it grows with everything that people and adapters do and with every batch that a
/// neighbour brings, and with nothing else.
pub fn happened(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT (SELECT coalesce(max(number), 0) FROM audit) +
                    (SELECT coalesce(sum(CASE role WHEN 'upstream' THEN down_batch ELSE up_batch END), 0) FROM link)",
        )?
        .query_row([], |row| row.get(0))?)
}

/// Act of a deposit that is complete.
pub const DEPOSITED: &str = "deposit.complete";

/// Number of the last entry; 0 before the first.
pub fn last_number(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT coalesce(max(number), 0) FROM audit")?
        .query_row([], |row| row.get(0))?)
}

/// How many changes people and adapters made here after an entry; what a neighbour brings is held there as well.
pub fn changes_after(connection: &Connection, number: i64) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*) FROM audit WHERE number > ?1 AND actor <> 'nqsync' AND act <> 'batch.received'
                AND act <> 'deposit.received' AND act NOT LIKE 'backup%'",
        )?
        .query_row([number], |row| row.get(0))?)
}

/// The hash of the last entry; zeros before the first.
pub fn head(connection: &Connection) -> Result<[u8; 32], StoreError> {
    Ok(connection
        .prepare_cached("SELECT hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or([0; 32]))
}

/// An entry.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `audit`, documented with `Act`.
pub struct Entry {
    pub number: i64,
    pub at: i64,
    pub actor: String,
    pub act: String,
    pub subject: String,
    pub detail: String,
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        number: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        act: row.get(3)?,
        subject: row.get(4)?,
        detail: row.get(5)?,
    })
}

/// Which entries are asked for; an empty field asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Exactly this person, node or adapter.
    pub actor: Option<String>,
    /// Acts that begin so: `report_` or `report_submit`.
    pub act: Option<String>,
    /// Exactly this subject.
    pub subject: Option<String>,
    /// Not before this moment, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Most entries.
    pub limit: u32,
}

/// The newest entries that are asked for, newest first, and how many there are in all.
pub fn find(connection: &Connection, wanted: &Wanted) -> Result<(Vec<Entry>, i64), StoreError> {
    const FITS: &str =
        "(?1 IS NULL OR actor = ?1) AND (?2 IS NULL OR substr(act, 1, length(?2)) = ?2)
        AND (?3 IS NULL OR subject = ?3) AND (?4 IS NULL OR at >= ?4)";
    let fits = (
        wanted.actor.as_deref(),
        wanted.act.as_deref(),
        wanted.subject.as_deref(),
        wanted.since,
    );
    let total = connection
        .prepare_cached(&format!("SELECT count(*) FROM audit WHERE {FITS}"))?
        .query_row(fits, |row| row.get(0))?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT number, at, actor, act, subject, detail FROM audit WHERE {FITS} ORDER BY number DESC LIMIT ?5"
    ))?;
    let (actor, act, subject, since) = fits;
    let rows = statement.query_map(params![actor, act, subject, since, wanted.limit], entry)?;
    Ok((rows.collect::<Result<_, _>>()?, total))
}

/// Calls a function with each entry and its hash, oldest first, until one fails.
pub fn each<E: From<StoreError>>(
    connection: &Connection,
    mut with: impl FnMut(Entry, [u8; 32]) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = connection
        .prepare("SELECT number, at, actor, act, subject, detail, hash FROM audit ORDER BY number")
        .map_err(StoreError::from)?;
    let mut rows = statement.query([]).map_err(StoreError::from)?;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        let hash = row.get(6).map_err(StoreError::from)?;
        with(entry(row).map_err(StoreError::from)?, hash)?;
    }
    Ok(())
}

/// The hash of an entry over the one before it and its own fields.
pub fn link(previous: &[u8; 32], at: i64, fields: [&str; 4]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [&previous[..], &at.to_be_bytes()] {
        hasher.update(part);
    }
    for part in fields {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// The first entry that does not follow the one before it, or is not what was written.
pub fn first_broken(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT number, at, actor, act, subject, detail, previous, hash FROM audit ORDER BY number",
    )?;
    let mut rows = statement.query([])?;
    let mut before = [0; 32];
    while let Some(row) = rows.next()? {
        let text = |at| row.get::<_, String>(at);
        let (actor, act, subject, detail) = (text(2)?, text(3)?, text(4)?, text(5)?);
        let (previous, hash): ([u8; 32], [u8; 32]) = (row.get(6)?, row.get(7)?);
        let fields = [actor.as_str(), &act, &subject, &detail];
        if previous != before || hash != link(&previous, row.get(1)?, fields) {
            return Ok(Some(row.get(0)?));
        }
        before = hash;
    }
    Ok(None)
}
