//! Neighbours, and per neighbour and record what both sides know of each other's state.

use nqsync_core::model::{Classification, Lane, NodeId};
use nqsync_core::sync::{Digest, Incarnation};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::StoreError;
use super::records::{self, COLUMNS, Flags, Rec, Stored};

/// Row number of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub i64);

/// Which end of a link the neighbour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The neighbour is our parent.
    Upstream,
    /// The neighbour is one of our children.
    Downstream,
}

/// A position in the batches of one direction: how many, their running hash, and the hash before the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Number of the last batch.
    pub batch: u64,
    /// Running hash after it.
    pub hash: Vec<u8>,
    /// Running hash before it.
    pub before: Vec<u8>,
}

/// Everything kept about a neighbour.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `link`, documented there.
pub struct LinkRow {
    pub link: LinkId,
    pub node: NodeId,
    pub role: Role,
    pub up: Position,
    pub down: Position,
    pub peer_head: Option<Incarnation>,
    pub last_attempt_at: Option<i64>,
    pub last_contact_at: Option<i64>,
    pub last_success_at: Option<i64>,
    pub last_error: Option<String>,
    pub refused: bool,
    pub clock_ahead_ms: Option<i64>,
    pub version: Option<String>,
    pub agrees: Option<bool>,
    /// When both ends last compared what they hold, milliseconds since 1970.
    pub compared_at: Option<i64>,
    pub forks: i64,
    /// How many of them a person has looked into.
    pub forks_seen: i64,
    /// When the latest was noticed, milliseconds since 1970.
    pub forked_at: Option<i64>,
    /// What is wrong with the neighbour's audit, as JSON.
    pub audit_broken: Option<String>,
}

/// A direction of travel, seen from the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Child to parent.
    Up,
    /// Parent to child.
    Down,
}

/// One thing waiting to be sent.
#[derive(Clone, Debug)]
pub enum Due {
    /// A record's present state.
    Record(Box<Stored>),
    /// A record that left our scope, for a parent whose disk went back and may lack it.
    Brought(Box<Stored>),
    /// The record left the peer's scope.
    Left(Rec, Uuid, nqsync_core::model::Kind),
}

impl Due {
    /// The record's row.
    pub fn rec(&self) -> Rec {
        match self {
            Due::Record(stored) | Due::Brought(stored) => stored.rec,
            Due::Left(rec, ..) => *rec,
        }
    }

    /// The level of secrecy of what it says. That something left says nothing of what it was.
    pub fn level(&self) -> Classification {
        match self {
            Due::Record(stored) | Due::Brought(stored) => stored.record.level(),
            Due::Left(..) => Classification::None,
        }
    }
}

fn position(row: &Row<'_>, at: usize) -> rusqlite::Result<Position> {
    Ok(Position {
        batch: row.get::<_, i64>(at)? as u64,
        hash: row.get(at + 1)?,
        before: row.get(at + 2)?,
    })
}

fn link_row(row: &Row<'_>) -> rusqlite::Result<LinkRow> {
    let node: [u8; 16] = row.get(1)?;
    let role: String = row.get(2)?;
    let head: Option<[u8; 16]> = row.get(9)?;
    Ok(LinkRow {
        link: LinkId(row.get(0)?),
        node: NodeId(Uuid::from_bytes(node)),
        role: if role == "upstream" {
            Role::Upstream
        } else {
            Role::Downstream
        },
        up: position(row, 3)?,
        down: position(row, 6)?,
        peer_head: head.map(Incarnation),
        last_attempt_at: row.get(10)?,
        last_contact_at: row.get(11)?,
        last_success_at: row.get(12)?,
        last_error: row.get(13)?,
        refused: row.get::<_, i64>(14)? != 0,
        clock_ahead_ms: row.get(15)?,
        version: row.get(16)?,
        agrees: row.get::<_, Option<i64>>(17)?.map(|n| n != 0),
        forks: row.get(18)?,
        forks_seen: row.get(19)?,
        forked_at: row.get(20)?,
        audit_broken: row.get(21)?,
        compared_at: row.get(22)?,
    })
}

const LINK_COLUMNS: &str = "link, node, role, up_batch, up_hash, up_before, down_batch, down_hash, down_before,
    peer_head, last_attempt_at, last_contact_at, last_success_at, last_error, refused, clock_ahead_ms, version,
    agrees, forks, forks_seen, forked_at, audit_broken, compared_at";

/// All neighbours with everything kept about them.
pub fn rows(connection: &Connection) -> Result<Vec<LinkRow>, StoreError> {
    let sql = format!("SELECT {LINK_COLUMNS} FROM link ORDER BY link");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], link_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One neighbour.
pub fn row(connection: &Connection, link: LinkId) -> Result<LinkRow, StoreError> {
    let sql = format!("SELECT {LINK_COLUMNS} FROM link WHERE link = ?1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([link.0], link_row)?)
}

/// The neighbour with this node id.
pub fn find(connection: &Connection, node: NodeId) -> Result<Option<LinkId>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT link FROM link WHERE node = ?1")?
        .query_row([node.0.as_bytes()], |row| row.get(0).map(LinkId))
        .optional()?)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<(LinkId, NodeId, Role)>, StoreError> {
    Ok(rows(connection)?
        .into_iter()
        .map(|row| (row.link, row.node, row.role))
        .collect())
}

/// Adds a neighbour, or finds the one there is. An upstream under a new node id takes the old one's place.
pub fn ensure(connection: &Connection, node: NodeId, role: Role) -> Result<LinkId, StoreError> {
    if let Some(link) = find(connection, node)? {
        return Ok(link);
    }
    let role = match role {
        Role::Upstream => "upstream",
        Role::Downstream => "downstream",
    };
    if role == "upstream"
        && let Some(link) = connection
            .prepare_cached("SELECT link FROM link WHERE role = 'upstream'")?
            .query_row([], |row| row.get(0).map(LinkId))
            .optional()?
    {
        connection.execute(
            "UPDATE link SET node = ?2, up_batch = 0, up_hash = x'00', up_before = x'00', down_batch = 0,
                down_hash = x'00', down_before = x'00', peer_head = NULL, last_contact_at = NULL,
                last_success_at = NULL, compared_at = NULL, last_error = NULL, refused = 0, clock_ahead_ms = NULL, version = NULL,
                agrees = NULL
             WHERE link = ?1",
            params![link.0, node.0.as_bytes()],
        )?;
        connection.execute(
            "DELETE FROM quarantine WHERE direction = 'out' AND link = ?1",
            [link.0],
        )?;
        forget(connection, link)?;
        return Ok(link);
    }
    connection.execute(
        "INSERT INTO link (node, role) VALUES (?1, ?2)",
        params![node.0.as_bytes(), role],
    )?;
    Ok(LinkId(connection.last_insert_rowid()))
}

/// Notes the present digest of a record against what the peer answered for and what it last showed us. `late`: it is out
/// of scope only because we no longer serve its unit. Answers whether the record is now waiting to be sent.
#[allow(clippy::too_many_arguments)] // One row's columns; a struct would only rename them.
pub(super) fn note_state(
    connection: &Connection,
    link: LinkId,
    rec: Rec,
    digest: Digest,
    theirs: Option<Digest>,
    (admitted, late): (bool, bool),
    lane: Lane,
    is_new: bool,
) -> Result<bool, StoreError> {
    let lane = lane as i64;
    let known = if is_new {
        None
    } else {
        load_state(connection, link, rec)?
    };
    let Some((ours, known_theirs, scope)) = known else {
        if !admitted {
            // The peer showed what does not concern it any more, as from an old copy of its disk.
            if theirs.is_some() && !is_new {
                connection
                    .prepare_cached(
                        "INSERT INTO link_record (link, rec, scope, lane, pending) VALUES (?1, ?2, 2, 0, 1)",
                    )?
                    .execute(params![link.0, rec.0])?;
                return Ok(true);
            }
            return Ok(false);
        }
        let pending = theirs != Some(digest);
        connection
            .prepare_cached(
                "INSERT INTO link_record (link, rec, theirs, lane, pending) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![link.0, rec.0, theirs.map(|d| d.0), lane, pending])?;
        return Ok(pending);
    };
    if !admitted && theirs.is_none() {
        // In scope before: the peer is told once, without content. What is on its way from the peer still counts.
        if scope == 1 && late && Some(digest) != ours && Some(digest) != known_theirs {
            // Written here before we lost the unit, and not sent yet: it still goes to the parent, as late, and is read-only
            // from now on.
            records::set_left(connection, rec)?;
            return Ok(true);
        }
        if scope == 1 {
            // Also where nothing is known to have been exchanged: either side may have gone back to an old disk meanwhile.
            announce_left(connection, link, rec)?;
        }
        return Ok(scope != 0);
    }
    if !admitted {
        if scope == 0 {
            announce_left(connection, link, rec)?;
        }
        return Ok(scope == 0);
    }
    let theirs = theirs.or(known_theirs);
    let pending = Some(digest) != ours && Some(digest) != theirs;
    connection
        .prepare_cached(
            "UPDATE link_record SET scope = 1, theirs = ?3, lane = ?4, pending = ?5,
                refused = CASE WHEN ?5 THEN 0 ELSE refused END
             WHERE link = ?1 AND rec = ?2",
        )?
        .execute(params![link.0, rec.0, theirs.map(|d| d.0), lane, pending])?;
    Ok(pending)
}

/// The peer is to be told that the record left its scope.
fn announce_left(connection: &Connection, link: LinkId, rec: Rec) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link_record SET scope = 2, pending = 1, ours = NULL, theirs = NULL, refused = 0, lane = 0
             WHERE link = ?1 AND rec = ?2",
        )?
        .execute(params![link.0, rec.0])?;
    Ok(())
}

type State = (Option<Digest>, Option<Digest>, i64);

fn load_state(
    connection: &Connection,
    link: LinkId,
    rec: Rec,
) -> Result<Option<State>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT ours, theirs, scope FROM link_record WHERE link = ?1 AND rec = ?2")?
        .query_row(params![link.0, rec.0], |row| {
            let digest = |bytes: Option<[u8; 16]>| bytes.map(Digest);
            Ok((digest(row.get(0)?), digest(row.get(1)?), row.get(2)?))
        })
        .optional()?)
}

/// Whether the record ever was, or is, in the scope of the link.
pub fn ever_in_scope(connection: &Connection, link: LinkId, rec: Rec) -> Result<bool, StoreError> {
    Ok(load_state(connection, link, rec)?.is_some())
}

/// What waits for a peer, assignments first, at most `limit` things after `skip` (row, for a second batch prepared
/// while the first is under way).
pub fn due(
    connection: &Connection,
    link: LinkId,
    after: (i64, i64),
    limit: usize,
    bytes: usize,
) -> Result<Vec<(i64, Due)>, StoreError> {
    let columns: Vec<String> = COLUMNS
        .split(", ")
        .map(|name| format!("r.{name}"))
        .collect();
    let sql = format!(
        "SELECT {}, lr.scope, lr.lane FROM link_record lr CROSS JOIN record r ON r.rec = lr.rec
         WHERE lr.link = ?1 AND lr.pending = 1 AND (lr.lane, lr.rec) > (?2, ?3)
         ORDER BY lr.lane, lr.rec LIMIT ?4",
        columns.join(", ")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![link.0, after.0, after.1, limit as i64], |row| {
        Ok((
            records::raw_row(row)?,
            row.get::<_, i64>(7)?,
            row.get::<_, i64>(8)?,
        ))
    })?;
    let mut due = Vec::new();
    let mut held = 0;
    for row in rows {
        // Thousands that each have the greatest size would fill the memory before a batch is cut from them.
        if held >= bytes {
            break;
        }
        let (raw, scope, lane) = row?;
        held += raw.3.len() + raw.4.len();
        let stored = records::understand(raw)?;
        let item = match scope {
            2 => Due::Left(stored.rec, stored.record.key().id, stored.record.key().kind),
            0 => Due::Brought(Box::new(stored)),
            _ => Due::Record(Box::new(stored)),
        };
        due.push((lane, item));
    }
    Ok(due)
}

/// Number of things that wait for a peer, up to `cap`.
pub fn due_count(connection: &Connection, link: LinkId) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM link_record WHERE link = ?1 AND pending = 1")?
        .query_row([link.0], |row| row.get(0))?)
}

/// Whether anything waits for a peer.
pub fn has_due(connection: &Connection, link: LinkId) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM link_record WHERE link = ?1 AND pending = 1)
                OR EXISTS (SELECT 1 FROM receipt_due WHERE link = ?1)
                OR EXISTS (SELECT 1 FROM quarantine WHERE link = ?1 AND brought = 3)
                OR (EXISTS (SELECT 1 FROM quarantine WHERE brought = 1)
                    AND (SELECT role FROM link WHERE link = ?1) = 'upstream')",
        )?
        .query_row([link.0], |row| row.get(0))?)
}

/// The peer answered for this very state: joined it, or set it aside. A record that left our scope has then gone to it
/// for the last time.
pub fn answered(
    connection: &Connection,
    link: LinkId,
    rec: Rec,
    digest: Digest,
    refused: bool,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link_record SET ours = ?3, refused = ?4,
                scope = CASE WHEN (SELECT r.flags & ?5 AND r.digest = ?3 FROM record r WHERE r.rec = link_record.rec)
                    THEN 0 ELSE scope END,
                pending = (SELECT r.digest FROM record r WHERE r.rec = link_record.rec) IS NOT ?3
                    AND (SELECT r.digest FROM record r WHERE r.rec = link_record.rec) IS NOT theirs
             WHERE link = ?1 AND rec = ?2 AND scope = 1",
        )?
        .execute(params![link.0, rec.0, digest.0, refused, Flags::LEFT])?;
    Ok(())
}

/// A peer whose state of a record was refused is told where that record stands: it gets ours, or hears that it has left
/// its scope, which it may have heard before, of a record that it did not hold then.
pub fn tell_again(connection: &Connection, link: LinkId, rec: Rec) -> Result<(), StoreError> {
    offer_again(connection, link, rec)?;
    connection
        .prepare_cached(
            "INSERT INTO link_record (link, rec, scope, lane, pending) VALUES (?1, ?2, 2, 0, 1)
             ON CONFLICT DO UPDATE SET scope = 2, lane = 0, pending = 1
             WHERE scope = 0 AND NOT (SELECT r.flags & ?3 FROM record r WHERE r.rec = excluded.rec)",
        )?
        .execute(params![link.0, rec.0, Flags::LEFT])?;
    Ok(())
}

/// Forgets what the peer answered for and showed: everything in scope is offered again, and that a record left the scope
/// is said again, because an old disk does not know it.
pub fn forget(connection: &Connection, link: LinkId) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE link_record SET ours = NULL, theirs = NULL, refused = 0, pending = 1 WHERE link = ?1 AND scope = 1",
        [link.0],
    )?;
    connection.execute(
        "UPDATE link_record SET scope = 2, pending = 1, lane = 0
         WHERE link = ?1 AND scope = 0 AND NOT (SELECT r.flags & ?2 FROM record r WHERE r.rec = link_record.rec)",
        params![link.0, Flags::LEFT],
    )?;
    Ok(())
}

/// A link under a new identity of ours: positions begin at nothing, and no record has to take leave of the peer.
pub fn begin_first(connection: &Connection, link: LinkId) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE link SET up_batch = 0, up_hash = x'00', up_before = x'00', down_batch = 0, down_hash = x'00',
            down_before = x'00', last_error = NULL, refused = 0, agrees = NULL
         WHERE link = ?1",
        [link.0],
    )?;
    connection.execute(
        "UPDATE link_record SET scope = 0, pending = 0 WHERE link = ?1 AND scope = 2",
        [link.0],
    )?;
    Ok(())
}

/// The peer holds the present state after all.
pub fn accepted(connection: &Connection, link: LinkId, rec: Rec) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link_record SET refused = 0 WHERE link = ?1 AND rec = ?2 AND refused = 1",
        )?
        .execute(params![link.0, rec.0])?;
    Ok(())
}

/// Whether the neighbouring node `node` answered for the present state of a record without setting it aside. Its own
/// acknowledgement is the receipt; no further one is sent over a single hop.
pub fn held_by_neighbour(
    connection: &Connection,
    node: NodeId,
    rec: Rec,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM link l JOIN link_record lr ON lr.link = l.link
             WHERE l.node = ?1 AND lr.rec = ?2 AND lr.pending = 0 AND lr.refused = 0 AND lr.scope = 1)",
        )?
        .query_row(params![node.0.as_bytes(), rec.0], |row| row.get(0))?)
}

/// How many records exist at no neighbour above: what a lost disk would take with it. Where records are missing from a
/// damaged store, what is said of them still counts on the other side.
pub fn only_here(connection: &Connection, upstream: Option<LinkId>) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT max(0, (SELECT count(*) FROM record)
                - (SELECT count(*) FROM link_record WHERE link = ?1 AND pending = 0 AND refused = 0 AND scope = 1))",
        )?
        .query_row([upstream.map_or(0, |link| link.0)], |row| row.get(0))?)
}

/// Offers one record to the peer again, for `quarantine retry`.
pub fn offer_again(connection: &Connection, link: LinkId, rec: Rec) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE link_record SET ours = NULL, refused = 0, pending = 1 WHERE link = ?1 AND rec = ?2 AND scope = 1",
        params![link.0, rec.0],
    )?;
    Ok(())
}

/// Sets a direction's position.
pub fn set_position(
    connection: &Connection,
    link: LinkId,
    direction: Direction,
    position: &Position,
) -> Result<(), StoreError> {
    let sql = match direction {
        Direction::Up => {
            "UPDATE link SET up_batch = ?2, up_hash = ?3, up_before = ?4 WHERE link = ?1"
        }
        Direction::Down => {
            "UPDATE link SET down_batch = ?2, down_hash = ?3, down_before = ?4 WHERE link = ?1"
        }
    };
    connection.prepare_cached(sql)?.execute(params![
        link.0,
        position.batch as i64,
        position.hash,
        position.before
    ])?;
    Ok(())
}

/// What a contact taught about the peer.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // Columns of the table `link`, documented there.
pub struct Contact {
    pub at: i64,
    pub peer_head: Option<Incarnation>,
    pub clock_ahead_ms: Option<i64>,
    pub version: Option<String>,
}

/// Characters of a peer's version that are kept. It is text of another node, and each list of nodes shows it.
const VERSION_CHARS: usize = 64;

/// A version as it is kept: cut rather than refused, because what is said for people must not end a session.
fn shown_version(version: &str) -> String {
    let printable = version.chars().filter(char::is_ascii_graphic);
    printable.take(VERSION_CHARS).collect()
}

/// Notes a contact.
pub fn note_contact(
    connection: &Connection,
    link: LinkId,
    contact: &Contact,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link SET last_contact_at = ?2, peer_head = coalesce(?3, peer_head),
                clock_ahead_ms = coalesce(?4, clock_ahead_ms), version = coalesce(?5, version)
             WHERE link = ?1",
        )?
        .execute(params![
            link.0,
            contact.at,
            contact.peer_head.map(|i| i.0),
            contact.clock_ahead_ms,
            contact.version.as_deref().map(shown_version)
        ])?;
    Ok(())
}

/// Notes an attempt that failed, in words for the operator; `refused`: trying again will not help.
pub fn note_failure(
    connection: &Connection,
    link: LinkId,
    at: i64,
    error: &str,
    refused: bool,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link SET last_attempt_at = ?2, last_error = ?3, refused = ?4 WHERE link = ?1",
        )?
        .execute(params![link.0, at, error, refused])?;
    Ok(())
}

/// Notes a session that went through; `agrees`: both sides were compared, and hold the same.
pub fn note_success(
    connection: &Connection,
    link: LinkId,
    at: i64,
    agrees: Option<bool>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link SET last_attempt_at = ?2, last_contact_at = ?2, last_success_at = ?2, last_error = NULL,
                refused = 0, agrees = coalesce(?3, agrees), compared_at = iif(?3 IS NULL, compared_at, ?2)
             WHERE link = ?1",
        )?
        .execute(params![link.0, at, agrees])?;
    Ok(())
}

/// Counts a fork of the peer's incarnation chain: its disk went back, which is told by itself and explains that its audit
/// is not what it was.
pub fn note_fork(connection: &Connection, link: LinkId, now_ms: i64) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE link SET forks = forks + 1, forked_at = ?2, audit_broken = NULL WHERE link = ?1",
        params![link.0, now_ms],
    )?;
    Ok(())
}

/// A person has looked into every fork there was.
pub fn forks_are_seen(connection: &Connection, link: LinkId) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE link SET forks_seen = forks WHERE link = ?1",
        [link.0],
    )?;
    Ok(())
}

/// Order-independent digest over what both sides should hold alike: the records in scope that neither side set
/// aside. A walk over the link's index, so it is asked for only when a session moved something.
pub fn agreement(connection: &Connection, link: LinkId) -> Result<(u64, [u8; 16]), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.digest FROM link_record lr JOIN record r ON r.rec = lr.rec
         WHERE lr.link = ?1 AND lr.scope = 1 AND lr.refused = 0
           AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.link = lr.link AND q.direction = 'in' AND q.record = r.id)",
    )?;
    let mut sum = [0u8; 16];
    let mut count = 0;
    let mut rows = statement.query([link.0])?;
    while let Some(row) = rows.next()? {
        let digest: [u8; 16] = row.get(0)?;
        sum.iter_mut().zip(digest).for_each(|(a, b)| *a ^= b);
        count += 1;
    }
    Ok((count, sum))
}

/// Whether the peer answered for the present state of a record without setting it aside.
pub fn accepted_by_peer(
    connection: &Connection,
    link: LinkId,
    rec: Rec,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM link_record WHERE link = ?1 AND rec = ?2 AND pending = 0 AND refused = 0 AND scope = 1)",
        )?
        .query_row(params![link.0, rec.0], |row| row.get(0))?)
}
