//! What both ends of a link do when they meet: compare chains and positions, and afterwards compare what they hold.

use nqsync_core::protocol::{Agreement, CHAIN_SHOWN, Hello, Mark, Standing, Welcome, hex};
use nqsync_core::sync::Incarnation;
use rusqlite::Connection;

use super::{Node, homecoming, offer, receive};
use crate::store::blobs::{self, BlobError, BlobId};
use crate::store::links::{self, Contact, Direction, LinkId, Position, Role};
use crate::store::{StoreError, Tx, audit, quarantine, queries};

/// What a peer said of itself.
#[derive(Clone, Debug)]
pub struct Greeting {
    version: String,
    clock_ms: i64,
    chain: Vec<Incarnation>,
    up: Mark,
    down: Mark,
    torn: bool,
}

impl Greeting {
    /// The child's greeting.
    pub fn of_child(hello: &Hello) -> Greeting {
        Greeting {
            version: hello.version.clone(),
            clock_ms: hello.clock_ms,
            chain: hello.chain.clone(),
            up: hello.up.clone(),
            down: hello.down.clone(),
            torn: false,
        }
    }

    /// The parent's answer.
    pub fn of_parent(welcome: &Welcome) -> Greeting {
        Greeting {
            version: welcome.version.clone(),
            clock_ms: welcome.clock_ms,
            chain: welcome.chain.clone(),
            up: welcome.up.clone(),
            down: welcome.down.clone(),
            torn: welcome.torn,
        }
    }
}

/// What meeting a peer settled.
#[derive(Clone, Debug)]
pub struct Met {
    /// Our latest openings, newest first.
    pub chain: Vec<Incarnation>,
    /// Where batches up go on.
    pub up: Mark,
    /// Where batches down go on.
    pub down: Mark,
    /// The two do not remember the same past: everything in scope is offered again.
    pub torn: bool,
}

/// Compares what a peer remembers with what we remember, and notes the contact.
pub fn meet(node: &Node, tx: &mut Tx<'_>, link: LinkId, peer: Greeting) -> Result<Met, StoreError> {
    let now = node.clock.now_ms();
    let row = links::row(tx.connection(), link)?;
    let child = row.role == Role::Downstream;
    // The child sends up and the parent receives; downwards it is the other way round.
    let (up_sender, up_receiver) = if child {
        (&peer.up, &offer::mark(&row.up))
    } else {
        (&offer::mark(&row.up), &peer.up)
    };
    let (down_sender, down_receiver) = if child {
        (&offer::mark(&row.down), &peer.down)
    } else {
        (&peer.down, &offer::mark(&row.down))
    };
    let up = Mark::standing(up_sender, up_receiver);
    let down = Mark::standing(down_sender, down_receiver);
    let forked = row
        .peer_head
        .is_some_and(|head| !peer.chain.is_empty() && !peer.chain.contains(&head));
    let torn = peer.torn || forked || up == Standing::Torn || down == Standing::Torn;
    let (up, down) = if torn {
        if forked || !peer.torn {
            // Also without a fork: a copy made and brought back under one opening shows in the positions alone.
            links::note_fork(tx.connection(), link, now)?;
        }
        tear(tx, link, forked, now)?;
        (Mark::default(), Mark::default())
    } else {
        // The receiver's memory is the truth: it is on its disk. A lost acknowledgement costs a resend.
        (up_receiver.clone(), down_receiver.clone())
    };
    links::set_position(tx.connection(), link, Direction::Up, &offer::position(&up))?;
    links::set_position(
        tx.connection(),
        link,
        Direction::Down,
        &offer::position(&down),
    )?;
    let contact = Contact {
        at: now,
        peer_head: peer.chain.first().copied(),
        clock_ahead_ms: Some(peer.clock_ms.saturating_sub(now)),
        version: Some(peer.version),
    };
    links::note_contact(tx.connection(), link, &contact)?;
    Ok(Met {
        chain: queries::chain(tx.connection(), CHAIN_SHOWN)?,
        up,
        down,
        torn,
    })
}

/// Gives up what is known of a peer that remembers another past: everything is offered again.
pub fn tear(tx: &mut Tx<'_>, link: LinkId, forked: bool, now_ms: i64) -> Result<(), StoreError> {
    tracing::warn!(
        link = link.0,
        forked,
        "the peer remembers another past; offering everything again"
    );
    links::forget(tx.connection(), link)?;
    receive::owe_receipts(tx, link)?;
    if tx.link(link)?.role == Role::Upstream {
        quarantine::show_parent_again(tx.connection())?;
        homecoming::bring_what_left(tx, link)?;
        // The parent says of each file whether it has it; a child asks for what it misses.
        blobs::owe_again(tx.connection(), link)?;
    }
    tx.wake(link);
    let act = audit::Act {
        at: now_ms,
        actor: "nqsync",
        act: "link.torn",
        subject: &link.0.to_string(),
        detail: serde_json::json!({ "forked": forked }),
    };
    audit::append(tx, &act)
}

/// Our side of the comparison after a session.
pub fn agreement(connection: &Connection, link: LinkId) -> Result<Agreement, StoreError> {
    let (count, sum) = links::agreement(connection, link)?;
    Ok(Agreement {
        count,
        sum: hex(&sum),
        pending: links::has_due(connection, link)?,
    })
}

/// Shortest time between two exchanges of everything because both sides differ, in milliseconds.
const EXCHANGE_AGAIN_MS: i64 = 6 * 3_600_000;

/// What comparing with the parent found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Both hold the same.
    Same,
    /// Something came or was written meanwhile, so that the difference means nothing.
    Moved,
    /// They differ, and the next session exchanges everything.
    Unsettled,
    /// They still differ after everything was exchanged.
    Differs,
}

/// Settles the comparison of two sides that had nothing to send. A disk that went back by a single batch looks like a lost
/// acknowledgement when the two meet; only here it shows. Then the positions are given up, so that the next meeting is
/// torn and everything is offered again: at once when both had agreed before, else no more than every
/// [`EXCHANGE_AGAIN_MS`], because a difference that stays must not fill the line.
pub fn compared(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    ours: &Agreement,
    theirs: &Agreement,
) -> Result<Compared, StoreError> {
    let now = node.clock.now_ms();
    if ours == theirs {
        links::note_success(tx.connection(), link, now, Some(true))?;
        return Ok(Compared::Same);
    }
    if agreement(tx.connection(), link)? != *ours {
        return Ok(Compared::Moved);
    }
    let differed = links::row(tx.connection(), link)?.agrees == Some(false);
    links::note_success(tx.connection(), link, now, Some(false))?;
    let key = format!("exchanged_again_{}", link.0);
    let last = tx.meta(&key)?.and_then(|text| text.parse::<i64>().ok());
    // A clock that was put back must not keep it from happening.
    let lately = last.is_some_and(|last| (last..last + EXCHANGE_AGAIN_MS).contains(&now));
    if differed && lately {
        return Ok(Compared::Differs);
    }
    tx.set_meta(&key, &now.to_string())?;
    links::note_fork(tx.connection(), link, now)?;
    // No batch ends with this hash, so that neither side takes it for a position of its own.
    let nowhere = after(0, Vec::new(), vec![0xff]);
    links::set_position(tx.connection(), link, Direction::Up, &nowhere)?;
    links::set_position(tx.connection(), link, Direction::Down, &nowhere)?;
    let act = audit::Act {
        at: now,
        actor: "nqsync",
        act: "link.differs",
        subject: &link.0.to_string(),
        detail: serde_json::json!({ "ours": ours.count, "theirs": theirs.count }),
    };
    audit::append(tx, &act)?;
    Ok(Compared::Unsettled)
}

/// An arriving file has all its bytes: verify, put in place, note, and wake the links that wait for it.
pub async fn finish_blob(node: &Node, link: LinkId, id: BlobId) -> Result<(), BlobError> {
    let store = node.store.clone();
    let dir = store.dir().to_path_buf();
    let verified = tokio::task::spawn_blocking(move || blobs::complete(&dir, &id, link));
    let size = verified
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))??;
    Ok(note_file(node, link, id, size).await?)
}

/// Notes a file that is verified and in place, and wakes the links that wait for it.
pub async fn note_file(node: &Node, link: LinkId, id: BlobId, size: u64) -> Result<(), StoreError> {
    let now = node.clock.now_ms();
    node.store
        .write(move |tx| file_arrived(tx, link, id, size, now))
        .await
}

/// The same, in a transaction that does more.
pub fn file_arrived(
    tx: &mut Tx<'_>,
    link: LinkId,
    id: BlobId,
    size: u64,
    now_ms: i64,
) -> Result<(), StoreError> {
    blobs::arrived(tx.connection(), link, &id, size, now_ms)?;
    for owed in blobs::owed_to(tx.connection(), &id)? {
        tx.wake(owed);
    }
    let subject = blobs::hex(&id);
    let act = audit::Act {
        at: now_ms,
        actor: "nqsync",
        act: "file.received",
        subject: &subject,
        detail: serde_json::json!({ "link": link.0 }),
    };
    audit::append(tx, &act)
}

/// The position after a batch was taken in.
pub fn after(number: u64, before: Vec<u8>, hash: Vec<u8>) -> Position {
    Position {
        batch: number,
        hash,
        before,
    }
}
