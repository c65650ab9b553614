//! What both sides of a link should hold alike, in buckets, so that two equal stores cost little to compare.
//!
//! A bucket is the last byte of a record's id: ids are random there, whether they were drawn or made from a natural key.

use nqsync_core::model::Kind;
use nqsync_core::sync::Digest;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::StoreError;
use super::links::LinkId;

/// The records that [`super::links::agreement`] compares.
const ALIKE: &str = "FROM link_record lr JOIN record r ON r.rec = lr.rec
     WHERE lr.link = ?1 AND lr.scope = 1 AND lr.refused = 0
       AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.link = lr.link AND q.direction = 'in' AND q.record = r.id)";

/// One record as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// The digest of its state.
    pub digest: Digest,
}

fn held(row: &Row<'_>) -> rusqlite::Result<(Uuid, i64, Digest)> {
    let (id, digest): ([u8; 16], [u8; 16]) = (row.get(0)?, row.get(2)?);
    Ok((Uuid::from_bytes(id), row.get(1)?, Digest(digest)))
}

fn understand((id, kind, digest): (Uuid, i64, Digest)) -> Result<Held, StoreError> {
    let kind = Kind::from_number(kind)
        .ok_or_else(|| StoreError::Damaged(format!("record {id} has the unknown kind {kind}")))?;
    Ok(Held { id, kind, digest })
}

/// Per bucket that is not empty: which, how many records, and the XOR of their digests.
pub fn buckets(
    connection: &Connection,
    link: LinkId,
) -> Result<Vec<(u8, u64, [u8; 16])>, StoreError> {
    let mut found = vec![(0u64, [0u8; 16]); 256];
    let mut statement =
        connection.prepare_cached(&format!("SELECT r.id, r.kind, r.digest {ALIKE}"))?;
    let mut rows = statement.query([link.0])?;
    while let Some(row) = rows.next()? {
        let (id, _, digest) = held(row)?;
        let (count, sum) = &mut found[usize::from(bucket_of(id))];
        *count += 1;
        sum.iter_mut().zip(digest.0).for_each(|(a, b)| *a ^= b);
    }
    let numbered = (0..=u8::MAX).zip(found);
    Ok(numbered
        .filter(|(_, (count, _))| *count > 0)
        .map(|(bucket, (count, sum))| (bucket, count, sum))
        .collect())
}

/// The bucket of a record.
fn bucket_of(id: Uuid) -> u8 {
    id.as_bytes()[15]
}

/// The records of one bucket, by id.
pub fn bucket(connection: &Connection, link: LinkId, bucket: u8) -> Result<Vec<Held>, StoreError> {
    let sql =
        format!("SELECT r.id, r.kind, r.digest {ALIKE} AND substr(r.id, 16, 1) = ?2 ORDER BY r.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![link.0, [bucket]], held)?;
    rows.map(|row| understand(row?)).collect()
}

/// Leaves a record to be sent again, whatever the peer said of it before. Answers whether it passes the link at all.
pub fn offer_again(connection: &Connection, link: LinkId, id: Uuid) -> Result<bool, StoreError> {
    let told = connection
        .prepare_cached(
            "UPDATE link_record SET ours = NULL, theirs = NULL, refused = 0, pending = 1
             WHERE link = ?1 AND scope = 1 AND rec = (SELECT rec FROM record WHERE id = ?2)",
        )?
        .execute(params![link.0, id.as_bytes()])?;
    Ok(told > 0)
}
