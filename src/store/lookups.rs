//! Finding records by what a person typed, and counting for `status` and `sync --dry-run`.

use nqsync_core::model::{Kind, Lane};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::records::{self, COLUMNS, Stored};
use super::{LinkId, StoreError};

/// Fewest characters of an id that are looked at.
pub const MIN_PREFIX: usize = 4;

/// Records whose id begins with these hexadecimal digits, at most `limit`; of one kind or of all.
pub fn by_prefix(
    connection: &Connection,
    kind: Option<Kind>,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    let usable =
        (MIN_PREFIX..=32).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit());
    let bound = |fill: &str| {
        let padded: String = digits
            .chars()
            .chain(fill.repeat(32).chars())
            .take(32)
            .collect();
        Uuid::try_parse(&padded).ok()
    };
    let (Some(low), Some(high), true) = (bound("0"), bound("f"), usable) else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM record WHERE id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR kind = ?3) ORDER BY id LIMIT ?4"
    );
    let kind = kind.map(Kind::number);
    let values = params![low.as_bytes(), high.as_bytes(), kind, limit as i64];
    records::select(connection, &sql, values)
}

/// How many records have a mark set.
pub fn count_flagged(connection: &Connection, mark: i64) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM record WHERE flags <> 0 AND flags & ?1")?
        .query_row([mark], |row| row.get(0))?)
}

/// How many records of a kind are held.
pub fn count_kind(connection: &Connection, kind: Kind) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM record WHERE kind = ?1")?
        .query_row([kind.number()], |row| row.get(0))?)
}

/// What waits for a peer in one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Records.
    pub count: u64,
    /// Their bytes, before compression.
    pub bytes: u64,
}

/// What waits for a peer in a lane; notices that a record left the scope count as records without bytes.
pub fn waiting(connection: &Connection, link: LinkId, lane: Lane) -> Result<Waiting, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(CASE WHEN lr.scope = 1 THEN length(r.facts) + length(r.edits) END), 0)
             FROM link_record lr CROSS JOIN record r ON r.rec = lr.rec
             WHERE lr.link = ?1 AND lr.pending = 1 AND lr.lane = ?2",
        )?
        .query_row(params![link.0, lane as i64], |row| {
            Ok(Waiting {
                count: row.get(0)?,
                bytes: row.get(1)?,
            })
        })?)
}

/// What does not go over a link, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// All its ends are on one side: it stays here.
    pub one_side: u64,
    /// It left the scope.
    pub left_scope: u64,
    /// The peer set this very state aside.
    pub refused: u64,
}

/// Counts what does not go over a link.
pub fn withheld(connection: &Connection, link: LinkId) -> Result<Withheld, StoreError> {
    let known = |condition: &str| -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM link_record WHERE link = ?1 AND {condition}");
        Ok(connection
            .prepare_cached(&sql)?
            .query_row([link.0], |row| row.get(0))?)
    };
    Ok(Withheld {
        one_side: records::count(connection)?.saturating_sub(known("1")?),
        left_scope: known("scope <> 1")?,
        refused: known("scope = 1 AND refused = 1")?,
    })
}

/// How many receipts wait to be told to a peer.
pub fn receipts_waiting(connection: &Connection, link: LinkId) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM receipt_due WHERE link = ?1")?
        .query_row([link.0], |row| row.get(0))?)
}

/// A record in the scope of a link that travels to an issuer, with how far it got.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The record.
    pub stored: Stored,
    /// The peer joined its present state.
    pub accepted: bool,
}

/// The reports, evidence and indicator values of one unit that go over a link.
pub fn sent_by(
    connection: &Connection,
    link: LinkId,
    kinds: &[Kind],
    owner: nqsync_core::model::UnitId,
) -> Result<Vec<Sent>, StoreError> {
    let sql = format!(
        "SELECT {}, lr.pending = 0 AND lr.refused = 0 FROM record r JOIN link_record lr ON lr.rec = r.rec
         WHERE lr.link = ?1 AND lr.scope = 1 AND r.kind = ?2 AND r.owner = ?3",
        COLUMNS
            .split(", ")
            .map(|name| format!("r.{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut sent = Vec::new();
    for kind in kinds {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement
            .query_map(params![link.0, kind.number(), owner.0.as_bytes()], |row| {
                Ok((records::raw_row(row)?, row.get::<_, bool>(7)?))
            })?;
        for row in rows {
            let (raw, accepted) = row?;
            sent.push(Sent {
                stored: records::understand(raw)?,
                accepted,
            });
        }
    }
    Ok(sent)
}
