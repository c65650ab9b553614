//! Preparing a batch for a peer, and taking in its acknowledgement.

use nqsync_core::model::{Classification, Key, Kind, NodeId, Tree, UnitId};
use nqsync_core::protocol::{
    Ack, Receipt, SetAside, ZSTD_LEVEL, hex, render_brought, render_left, render_receipt,
    render_record, running_hash,
};
use nqsync_core::sync::scope::{Ends, ends};
use nqsync_core::sync::{Context, Digest, Incarnation};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Node, receive};
use crate::store::links::{self, Direction, Due, LinkId, Position, Role};
use crate::store::{Rec, StoreError, Tx, leaving, quarantine, queries, receipts, records};

/// A batch ready to be sent, with what to note when the peer answers for it.
#[derive(Debug)]
pub struct Batch {
    /// Its number.
    pub number: u64,
    /// Running hash before it.
    pub before: Vec<u8>,
    /// zstd of NDJSON.
    pub body: Vec<u8>,
    /// Bytes before compression.
    pub plain_bytes: usize,
    /// What it holds.
    pub contents: Contents,
    /// Where the next batch of the same round begins: (lane, row).
    pub until: (i64, i64),
    /// The newest opening of this store.
    pub head: Option<Incarnation>,
}

/// What a batch holds and the peer answers for. Of a bundle it is kept until the receipt comes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Records and announcements.
    pub sent: Vec<Sent>,
    /// Receipts.
    pub receipts: Vec<(Rec, UnitId)>,
    /// Items set aside here that the parent is to look at, because they may be lost work of a unit above, or of which the
    /// child is to hear that they left its scope.
    pub brought: Vec<i64>,
}

/// One record in a batch.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    rec: Rec,
    id: Uuid,
    kind: Kind,
    /// `None`: the announcement that it left the peer's scope.
    digest: Option<Digest>,
    /// Units whose node is the peer and of whose receipt the owner, farther away, must hear.
    relay: Vec<UnitId>,
    extent: Option<Context>,
    /// It left our scope, and was only shown.
    #[serde(default)]
    brought: bool,
}

impl Sent {
    /// Which record in which state.
    pub fn state(&self) -> (Rec, Option<Digest>) {
        (self.rec, self.digest)
    }
}

/// What a batch is prepared for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The link.
    pub link: LinkId,
    /// The node at its other end.
    pub peer: NodeId,
    /// Ourselves.
    pub node: NodeId,
    /// Largest batch the peer takes, in bytes before compression.
    pub batch_bytes: usize,
    /// Begin after this (lane, row): what is before is under way in another batch.
    pub after: (i64, i64),
}

/// The highest level of secrecy that a line carries. What is above it goes on media (`bundle`).
pub const LINE_CEILING: Classification = Classification::None;

/// Prepares the next batch for a peer on a line; `None` when nothing waits. Reads only, so it runs beside the writer.
pub fn prepare(
    node: &Node,
    connection: &Connection,
    tree: &Tree,
    mut target: Target,
    position: &Position,
) -> Result<Option<Batch>, StoreError> {
    // A store of this level holds nothing above it; what is in it all the same must not leave.
    let mut above = |due: &Due| !due.level().may_leave(LINE_CEILING);
    loop {
        let batch = prepare_but(node, connection, tree, target, position, &mut above)?;
        match batch {
            Some(batch) if batch.plain_bytes == 0 && batch.until != target.after => {
                target.after = batch.until;
            }
            Some(batch) if batch.plain_bytes == 0 => return Ok(None),
            batch => return Ok(batch),
        }
    }
}

/// The same without what `leave_out` says. A batch may come out empty while more waits behind its end.
pub fn prepare_but(
    node: &Node,
    connection: &Connection,
    tree: &Tree,
    target: Target,
    position: &Position,
    leave_out: &mut dyn FnMut(&Due) -> bool,
) -> Result<Option<Batch>, StoreError> {
    let limit = target.batch_bytes.min(node.settings.batch_bytes);
    let due = links::due(
        connection,
        target.link,
        target.after,
        node.settings.batch_records,
        limit.saturating_mul(2),
    )?;
    let owed = receipts::due(connection, target.link, node.settings.batch_records)?;
    let brought = match links::row(connection, target.link)?.role {
        Role::Upstream => quarantine::to_parent(connection, node.settings.batch_records, limit)?,
        Role::Downstream => quarantine::gone(connection, target.link, node.settings.batch_records)?,
    };
    if due.is_empty() && owed.is_empty() && brought.is_empty() {
        return Ok(None);
    }
    let mut text = String::with_capacity(limit.min(1 << 20));
    let mut batch = Batch {
        number: position.batch + 1,
        before: position.hash.clone(),
        body: Vec::new(),
        plain_bytes: 0,
        contents: Contents {
            sent: Vec::with_capacity(due.len()),
            ..Contents::default()
        },
        until: target.after,
        head: queries::last_incarnation(connection)?,
    };
    let held = &mut batch.contents;
    for (lane, item) in &due {
        if leave_out(item) {
            batch.until = (*lane, item.rec().0);
            continue;
        }
        if let Due::Record(stored) | Due::Brought(stored) = item
            && let Err(error) = records::as_written(stored)
        {
            tracing::error!(%error, "not sent; the whole store is looked through");
            node.store.suspect();
            return Err(error);
        }
        let (line, sent) = render(item, tree, target);
        if !held.sent.is_empty() && text.len() + line.len() > limit {
            break;
        }
        text.push_str(&line);
        text.push('\n');
        batch.until = (*lane, sent.rec.0);
        held.sent.push(sent);
    }
    for receipt in owed {
        let line = render_receipt(&Receipt {
            id: receipt.id,
            unit: receipt.unit,
            extent: receipt.extent,
            at: receipt.at,
        });
        let line = line.map_err(|e| StoreError::Damaged(e.to_string()))?;
        if !held.sent.is_empty() && text.len() + line.len() > limit {
            break;
        }
        text.push_str(&line);
        text.push('\n');
        held.receipts.push((receipt.rec, receipt.unit));
    }
    for item in brought {
        let line = match item.to_parent {
            true => render_brought(&item.body.unwrap_or_default()),
            false => render_gone(&item)?,
        };
        if !text.is_empty() && text.len() + line.len() > limit {
            break;
        }
        // The answer names records: one that goes for itself goes alone.
        if held.sent.iter().all(|sent| sent.id != item.record) {
            text.push_str(&line);
            text.push('\n');
            held.brought.push(item.item);
        }
    }
    batch.plain_bytes = text.len();
    batch.body =
        zstd::bulk::compress(text.as_bytes(), ZSTD_LEVEL).map_err(|source| StoreError::Io {
            what: "compress a batch".to_owned(),
            source,
        })?;
    Ok(Some(batch))
}

fn render_gone(item: &quarantine::Item) -> Result<String, StoreError> {
    let kind: Kind = item.kind.parse().map_err(StoreError::Damaged)?;
    Ok(render_left(Key {
        kind,
        id: item.record,
    }))
}

fn render(item: &Due, tree: &Tree, target: Target) -> (String, Sent) {
    match item {
        Due::Left(rec, id, kind) => {
            let key = Key {
                kind: *kind,
                id: *id,
            };
            let sent = Sent {
                rec: *rec,
                id: *id,
                kind: *kind,
                digest: None,
                relay: Vec::new(),
                extent: None,
                brought: false,
            };
            (render_left(key), sent)
        }
        Due::Record(stored) => {
            let record = &stored.record;
            let relay = relay_units(record, tree, target);
            let extent = (!relay.is_empty()).then(|| record.extent());
            let sent = Sent {
                rec: stored.rec,
                id: record.key().id,
                kind: record.key().kind,
                digest: Some(stored.digest),
                relay,
                extent,
                brought: false,
            };
            (render_record(record), sent)
        }
        Due::Brought(stored) => {
            let record = &stored.record;
            let sent = Sent {
                rec: stored.rec,
                id: record.key().id,
                kind: record.key().kind,
                digest: Some(stored.digest),
                relay: Vec::new(),
                extent: None,
                brought: true,
            };
            (render_brought(&render_record(record)), sent)
        }
    }
}

/// The ends that the peer itself serves, when the owner is served neither here nor there.
fn relay_units(record: &nqsync_core::sync::Record, tree: &Tree, target: Target) -> Vec<UnitId> {
    let Some(owner) = record.facts().owner() else {
        return Vec::new();
    };
    let server = tree.server_of(owner);
    if server == Some(target.node) || server == Some(target.peer) {
        return Vec::new();
    }
    match ends(record, tree) {
        Ends::Everywhere => Vec::new(),
        Ends::Units(units) => units
            .into_iter()
            .filter(|unit| tree.server_of(*unit) == Some(target.peer))
            .collect(),
    }
}

impl Batch {
    /// How many records and announcements it holds.
    pub fn records(&self) -> usize {
        self.contents.sent.len()
    }

    /// The position after this batch.
    pub fn position(&self) -> Position {
        let hash = running_hash(&self.before, self.number, &self.body).to_vec();
        Position {
            batch: self.number,
            hash,
            before: self.before.clone(),
        }
    }
}

/// Notes the peer's answer for a batch: joined or set aside, on its disk either way.
pub fn acknowledged(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    batch: &Batch,
    ack: &Ack,
) -> Result<(), StoreError> {
    answered(node, tx, link, &batch.contents, &ack.set_aside)?;
    let direction = match tx.link(link)?.role {
        Role::Upstream => Direction::Up,
        Role::Downstream => Direction::Down,
    };
    links::set_position(tx.connection(), link, direction, &batch.position())
}

/// Notes the peer's answer for what it was sent: it is on its disk, or set aside there.
pub fn answered(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    contents: &Contents,
    set_aside: &[SetAside],
) -> Result<(), StoreError> {
    let now_ms = node.clock.now_ms();
    let role = tx.link(link)?.role;
    for sent in &contents.sent {
        let Some(digest) = sent.digest else {
            leaving::left_announced(tx.connection(), link, sent.rec)?;
            continue;
        };
        if sent.brought {
            // Where the parent knew its hand and it concerns us again, it comes down from there.
            leaving::bring(tx.connection(), link, sent.rec, false)?;
            continue;
        }
        let refused = set_aside.iter().find(|aside| aside.id == sent.id);
        links::answered(tx.connection(), link, sent.rec, digest, refused.is_some())?;
        match refused {
            Some(aside) => quarantine::put(
                tx.connection(),
                &quarantine::Item {
                    item: 0,
                    incoming: false,
                    link,
                    kind: sent.kind.to_string(),
                    record: sent.id,
                    digest: Some(digest.0),
                    code: aside.code.clone(),
                    reason: aside.reason.clone(),
                    body: None,
                    at: now_ms,
                    to_parent: false,
                    task: None,
                },
            )?,
            None => quarantine::clear(tx.connection(), link, false, sent.id)?,
        }
        if let (None, Some(extent)) = (refused, &sent.extent) {
            let stored = records::load_rec(tx.connection(), sent.rec)?;
            for unit in &sent.relay {
                if receipts::note(tx.connection(), sent.rec, *unit, extent, now_ms)?
                    && let Some(stored) = &stored
                {
                    receive::relay_receipt(tx, sent.rec, &stored.record, *unit)?;
                }
            }
        }
    }
    receipts::told(tx.connection(), link, &contents.receipts)?;
    for item in &contents.brought {
        match role {
            // Where the parent knew it, it comes down from there.
            Role::Upstream => quarantine::shown_to_parent(tx.connection(), *item)?,
            Role::Downstream => quarantine::remove(tx.connection(), *item)?,
        }
    }
    let with_file = |sent: &Sent| sent.kind == Kind::Evidence;
    if role == Role::Upstream && contents.sent.iter().any(with_file) {
        // Asked before it held the record, the parent did not know the file; now it does.
        tx.wake(link);
    }
    Ok(())
}

/// A position as it is said to a peer.
pub fn mark(position: &Position) -> nqsync_core::protocol::Mark {
    nqsync_core::protocol::Mark {
        batch: position.batch,
        hash: hex(&position.hash),
        before: hex(&position.before),
    }
}

/// A peer's position, as it is kept.
pub fn position(mark: &nqsync_core::protocol::Mark) -> Position {
    let bytes = |text: &str| nqsync_core::protocol::unhex(text).unwrap_or_default();
    Position {
        batch: mark.batch,
        hash: bytes(&mark.hash),
        before: bytes(&mark.before),
    }
}
