//! Taking in what a peer sent: one transaction per batch, one verdict per record.
//!
//! A record that cannot be taken is set aside with its reason on both sides; it never stops the rest. Receiving the
//! same batch twice changes nothing.

mod ceiling;
mod concern;
mod lines;
mod receipts;

use std::collections::HashSet;

use nqsync_core::model::{Facts, Key, Kind};
use nqsync_core::protocol::{BadLine, Line, SetAside};
use nqsync_core::sync::authority::{Denied, From as Side, Judge, judge};
use nqsync_core::sync::{Context, Edit, Record};
use serde_json::json;
use uuid::Uuid;

pub use self::ceiling::within;
pub use self::lines::{Incoming, decode, line, unpack};
pub use self::receipts::{owe_receipts, relay_receipt};

use self::lines::read_line;
use self::receipts::note_receipt;
use super::brake::{self, Grip, HELD};
use super::homecoming::{Helps, bring_home, forget_what_came, our_own_again};
use super::{Node, files, rollups};
use crate::store::links::{self, LinkId, Role};
use crate::store::records;
use crate::store::{LinkState, StoreError, Stored, Tx, leaving, quarantine, queries};

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Applied {
    /// Records set aside.
    pub set_aside: Vec<SetAside>,
    /// Lines without a readable name.
    pub unreadable: u32,
    /// Records whose state changed here.
    pub changed: usize,
    /// Lines in the batch.
    pub lines: usize,
    /// The records that were taken in.
    taken: HashSet<Uuid>,
    /// Tasks and proposals that changed here: reports and decisions may have waited for one.
    awaited: Vec<Uuid>,
    /// How many records of this neighbour are set aside here in all; counted when the first one is.
    held_aside: Option<(u64, u64)>,
}

/// Most records of one neighbour that are kept aside. Further ones are refused with their reason all the same, and stay
/// where they are: at the sender, who can offer them again.
pub const MAX_SET_ASIDE_PER_LINK: u64 = 10_000;
/// The same in bytes; the last one may exceed it.
pub const MAX_BYTES_ASIDE_PER_LINK: u64 = 32 << 20;

/// Levels of units that one batch may begin, each below the one before; no government has as many.
const MOST_ROUNDS: usize = 6;

/// Takes a batch in. The caller moves the link's position in the same transaction.
pub fn apply(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    lines: Vec<Incoming>,
    sender_ahead_ms: i64,
) -> Result<Applied, StoreError> {
    let applied = apply_knowing(node, tx, link, lines, sender_ahead_ms, None)?;
    let (aside, unreadable) = (applied.set_aside.len(), applied.unreadable);
    if aside > 0 || unreadable > 0 {
        // Once per batch: what a broken neighbour sends must not fill the log.
        let first = applied.set_aside.first().map_or("", |item| &item.code);
        tracing::warn!(
            link = link.0,
            aside,
            unreadable,
            first,
            "set records of a neighbour aside"
        );
    }
    Ok(applied)
}

/// The same, knowing how much of this neighbour is set aside already.
fn apply_knowing(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    lines: Vec<Incoming>,
    sender_ahead_ms: i64,
    held_aside: Option<(u64, u64)>,
) -> Result<Applied, StoreError> {
    // Whoever sent it has its own check, which may be broken.
    let (lines, above) = within(lines, tx.level());
    let state = tx.link(link)?;
    let records = lines.iter().filter_map(|incoming| match &incoming.line {
        Ok(Line::Record(record)) => Some(record),
        _ => None,
    });
    let grip = brake::grip(node, tx, &state, records)?;
    let begun = Applied {
        held_aside,
        ..Applied::default()
    };
    let mut applied = apply_but(node, tx, link, lines, sender_ahead_ms, &grip, begun)?;
    if !above.is_empty() {
        tracing::warn!(
            link = link.0,
            refused = above.len(),
            "refused records above the level of this store"
        );
        applied.lines += above.len();
        applied.set_aside.extend(above);
    }
    brake::settle(node, tx, link, &grip, &applied.taken)?;
    let awaited = match tx.anything_set_aside()? {
        true => applied.awaited.as_slice(),
        false => &[],
    };
    // Counted once for all of one link, which may be ten thousand.
    let mut held: Option<(LinkId, (u64, u64))> = None;
    for record in awaited {
        for item in quarantine::waiting_for(tx.connection(), *record)? {
            let known = held.filter(|(link, _)| *link == item.link);
            let (_, now) = try_again(node, tx, &item, known.map(|(_, held)| held))?;
            held = now.map(|now| (item.link, now));
        }
    }
    Ok(applied)
}

/// Codes of what is tried again when what it is about comes.
const WAITS: [&str; 3] = ["not_assigned", "not_asked", "beside"];

/// Kinds that others wait for.
fn is_awaited(kind: Kind) -> bool {
    matches!(kind, Kind::Task | Kind::Proposal)
}

/// Takes a batch in, but for the records that the brake holds.
fn apply_but(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    lines: Vec<Incoming>,
    sender_ahead_ms: i64,
    grip: &Grip,
    mut applied: Applied,
) -> Result<Applied, StoreError> {
    applied.lines = lines.len();
    let way = Way {
        link,
        now_ms: node.clock.now_ms(),
        sender_ahead_ms,
        grip,
    };
    let is_unit = |incoming: &Incoming| matches!(&incoming.line, Ok(Line::Record(record)) if record.key().kind == Kind::Unit);
    let (mut units, others): (Vec<Incoming>, Vec<Incoming>) = lines.into_iter().partition(is_unit);
    // A unit may stand below another one of this batch, whichever comes first. Each round walks over the whole store.
    let mut rounds = 0;
    loop {
        rounds += 1;
        let count = units.len();
        let mut refused = Vec::new();
        for incoming in units {
            match take_line(tx, &way, incoming, &mut applied)? {
                Some(held) if held.bad.code == HELD => set_aside(tx, &way, &held, &mut applied)?,
                other => refused.extend(other),
            }
        }
        tx.settle_tree()?;
        if refused.len() == count || rounds == MOST_ROUNDS {
            for refused in refused {
                set_aside(tx, &way, &refused, &mut applied)?;
            }
            break;
        }
        let most = node.settings.max_record_bytes;
        let again = refused.iter().map(|refused| read_line(&refused.text, most));
        units = again.collect();
    }
    for incoming in others {
        if let Some(refused) = take_line(tx, &way, incoming, &mut applied)? {
            set_aside(tx, &way, &refused, &mut applied)?;
        }
    }
    tx.settle_tree()?;
    Ok(applied)
}

/// By which link a batch came, when, and what the brake holds of it.
struct Way<'a> {
    link: LinkId,
    now_ms: i64,
    sender_ahead_ms: i64,
    grip: &'a Grip,
}

/// A line that was not taken, and what would help.
struct NotTaken {
    bad: BadLine,
    text: Box<str>,
    helps: Helps,
}

/// Takes one line in, or says why not.
fn take_line(
    tx: &mut Tx<'_>,
    way: &Way<'_>,
    incoming: Incoming,
    applied: &mut Applied,
) -> Result<Option<NotTaken>, StoreError> {
    let Way { link, now_ms, .. } = *way;
    let mut helps = Helps::default();
    let named = |key: Key, (code, reason): Reason| BadLine {
        kind: key.kind.to_string(),
        id: Some(key.id),
        code,
        reason,
    };
    let verdict = match incoming.line {
        Ok(Line::Record(record)) => {
            let key = record.key();
            helps = Helps::of(&record, false);
            let verdict = match way.grip.holds(key.id) {
                Some(held) => Err((HELD, brake::keep(tx, held, &record, &incoming.text)?)),
                None => take(tx, link, record, now_ms, way.sender_ahead_ms)?,
            };
            if verdict.is_ok() {
                applied.taken.insert(key.id);
            }
            if is_awaited(key.kind) && verdict.as_ref().is_ok_and(|changed| *changed) {
                applied.awaited.push(key.id);
            }
            verdict
                .map(|changed| applied.changed += usize::from(changed))
                .map_err(|reason| named(key, reason))
        }
        Ok(Line::Brought(record)) => {
            let key = record.key();
            helps = Helps::of(&record, true);
            tx.settle_tree()?;
            let home = bring_home(tx, link, record, now_ms)?;
            if is_awaited(key.kind) && home.is_ok() {
                applied.awaited.push(key.id);
            }
            home.map_err(|reason| named(key, reason))
        }
        Ok(Line::Left(key)) => note_left(tx, link, key.id).map(Ok)?,
        Ok(Line::Receipt(receipt)) => note_receipt(tx, link, &receipt).map(Ok)?,
        Err(bad) => Err(bad),
    };
    let text = incoming.text;
    Ok(verdict.err().map(|bad| NotTaken { bad, text, helps }))
}

fn set_aside(
    tx: &mut Tx<'_>,
    way: &Way<'_>,
    NotTaken { bad, text, helps }: &NotTaken,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let Way { link, now_ms, .. } = *way;
    #[cfg(feature = "faults")]
    if crate::faults::thrown(crate::faults::Canary::SilentReject) {
        return Ok(());
    }
    let Some(id) = bad.id else {
        applied.unreadable += 1;
        return Ok(());
    };
    tracing::debug!(record = %id, code = bad.code, "set a record aside");
    let to_parent = bad.code == "not_theirs" && helps.concerns_parent(tx);
    if helps.brought && !to_parent {
        // The sender keeps it.
        applied.set_aside.push(SetAside {
            id,
            code: bad.code.to_owned(),
            reason: bad.reason.clone(),
        });
        return Ok(());
    }
    let held = match applied.held_aside {
        Some(held) => held,
        None => quarantine::of_peer(tx.connection(), link)?,
    };
    // What is held keeps its line with its hold.
    let body = (bad.code != HELD).then(|| text.to_string());
    let bytes = body.as_ref().map_or(0, |body| body.len() as u64);
    // Work that the parent may have lost goes on to it from here, and its sender does not offer it again.
    let has_room = bytes == 0 || to_parent || held.1 < MAX_BYTES_ASIDE_PER_LINK;
    applied.held_aside = Some((held.0 + 1, held.1 + bytes));
    if held.0 < MAX_SET_ASIDE_PER_LINK && has_room {
        quarantine::put(
            tx.connection(),
            &quarantine::Item {
                item: 0,
                incoming: true,
                link,
                kind: bad.kind.clone(),
                record: id,
                digest: None,
                code: bad.code.to_owned(),
                reason: bad.reason.clone(),
                body,
                at: now_ms,
                to_parent,
                task: helps.about.filter(|_| WAITS.contains(&bad.code)),
            },
        )?;
        if to_parent && let Some(up) = tx.links().iter().find(|up| up.role == Role::Upstream) {
            tx.wake(up.link);
        }
    }
    applied.set_aside.push(SetAside {
        id,
        code: bad.code.to_owned(),
        reason: bad.reason.clone(),
    });
    Ok(())
}

/// The reason a record is set aside: stable code and sentence.
pub(super) type Reason = (&'static str, String);

/// Joins one record, or says why not. Answers whether our state changed.
fn take(
    tx: &mut Tx<'_>,
    link: LinkId,
    incoming: Record,
    now_ms: i64,
    sender_ahead_ms: i64,
) -> Result<Result<bool, Reason>, StoreError> {
    let state = tx.link(link)?;
    let side = side_of(&state);
    let stored = tx.load(incoming.key().id)?;
    let incoming_digest = incoming.digest();
    let (joined, dropped, changed) = match &stored {
        None => (incoming, Vec::new(), true),
        Some(stored) if stored.digest == incoming_digest => (incoming, Vec::new(), false),
        Some(stored) => {
            let mut joined = stored.record.clone();
            if stored.record.key() != incoming.key() || !stored.record.same_facts(&incoming) {
                // Judged as if it were new first: only who may bring such a record learns that its id is taken.
                let judged = admit(tx, &state, &incoming, None, true)?;
                return Ok(Err(match judged {
                    Err(denied) => (denied.code(), denied.to_string()),
                    Ok(()) => (
                        "other_facts",
                        "the same id already names a record with other facts".to_owned(),
                    ),
                }));
            }
            match joined.join(&incoming) {
                Ok(replaced) => {
                    let news = replaced.changed || !covered(&stored.record, &incoming);
                    // The verdict is about what arrived, so its edits are judged as they came.
                    if let Err(denied) = admit(tx, &state, &incoming, Some(&stored.record), news)?
                        && !our_own_again(tx, side, Some(&stored.record), &joined)?
                    {
                        return Ok(Err((denied.code(), denied.to_string())));
                    }
                    (joined, replaced.dropped, replaced.changed)
                }
                Err(error) => return Ok(Err(("other_facts", error.to_string()))),
            }
        }
    };
    if stored.is_none() {
        if let Err(denied) = admit(tx, &state, &joined, None, true)?
            && !our_own_again(tx, side, None, &joined)?
        {
            return Ok(Err((denied.code(), denied.to_string())));
        }
        if let Some(reason) = concern::unfounded(tx, &joined, link, side)? {
            return Ok(Err(reason));
        }
    }
    let from = Some((link, incoming_digest));
    #[cfg(feature = "faults")]
    let from = from.filter(|_| !crate::faults::thrown(crate::faults::Canary::Echo));
    let rec = tx.save(&joined, stored.as_ref(), &dropped, from, now_ms)?;
    if tx.anything_set_aside()? {
        quarantine::clear(tx.connection(), link, true, joined.key().id)?;
        forget_what_came(tx, rec, &joined)?;
        if joined.digest() == incoming_digest {
            // The peer holds what we hold: whatever it refused of this record before, it has it now.
            quarantine::clear(tx.connection(), link, false, joined.key().id)?;
            links::accepted(tx.connection(), link, rec)?;
        }
    }
    if changed {
        let written = Stored {
            rec,
            digest: joined.digest(),
            flags: records::Flags::of(&joined),
            record: joined,
        };
        after_join(tx, link, &written, stored.as_ref(), now_ms, sender_ahead_ms)?;
    } else if owner_is_there(&state, &joined) {
        // Known from elsewhere, as after an old copy of our disk: the bytes still come from the owner's side.
        files::follow(tx, Some(link), rec, &joined, now_ms)?;
    }
    Ok(Ok(changed))
}

fn owner_is_there(link: &LinkState, record: &Record) -> bool {
    let owner = record.facts().owner();
    owner.is_some_and(|owner| link.is_beyond(owner))
}

pub(super) fn side_of(link: &LinkState) -> Side {
    match link.role {
        Role::Downstream => Side::Below,
        Role::Upstream => Side::Above,
    }
}

/// Whether a record, of which we hold `ours`, may come by this link.
pub(super) fn admit(
    tx: &Tx<'_>,
    link: &LinkState,
    record: &Record,
    ours: Option<&Record>,
    new_to_us: bool,
) -> Result<Result<(), Denied>, StoreError> {
    #[cfg(feature = "faults")]
    if crate::faults::thrown(crate::faults::Canary::TrustEverybody) {
        return Ok(Ok(()));
    }
    let by = Judge {
        from: side_of(link),
        scope: &link.scope,
        tree: &tx.tree(),
        today: queries::today(tx.connection())?,
        here: tx.node().ok(),
    };
    Ok(judge(by, record, ours, new_to_us))
}

/// Whether every edit that arrived is one we hold or held.
pub(super) fn covered(ours: &Record, incoming: &Record) -> bool {
    let extent = ours.extent();
    incoming
        .edits()
        .iter()
        .all(|edit| holds(ours, &extent, edit))
}

fn holds(ours: &Record, extent: &Context, edit: &Edit) -> bool {
    ours.has(edit) || edit.writes().iter().all(|write| extent.contains(write.dot))
}

/// What else follows from a record's new state.
fn after_join(
    tx: &mut Tx<'_>,
    link: LinkId,
    stored: &Stored,
    before: Option<&Stored>,
    now_ms: i64,
    sender_ahead_ms: i64,
) -> Result<(), StoreError> {
    files::follow(tx, Some(link), stored.rec, &stored.record, now_ms)?;
    rollups::touched(tx, &stored.record, before.map(|b| &b.record))?;
    if stored.record.key().kind == Kind::Report {
        note_arrival(tx, link, &stored.record, now_ms, sender_ahead_ms)?;
    }
    Ok(())
}

/// The first node above the reporting one notes when a submission reached it, with the measured clock offset, as a
/// record of its own that travels with the report.
fn note_arrival(
    tx: &mut Tx<'_>,
    link: LinkId,
    report: &Record,
    now_ms: i64,
    sender_ahead_ms: i64,
) -> Result<(), StoreError> {
    let Facts::Report { unit, issuer, .. } = report.facts() else {
        return Ok(());
    };
    let state = tx.link(link)?;
    let served_there =
        tx.tree().server_of(*unit) == Some(state.peer) || state.scope.was_below(*unit);
    if state.role != Role::Downstream || !served_there {
        return Ok(());
    }
    let submitted = report.shown("submission");
    let Some(submission) = submitted.as_ref().and_then(|s| s["hash"].as_str()) else {
        return Ok(());
    };
    let facts = Facts::Arrival {
        unit: *unit,
        issuer: *issuer,
        report: report.key().id,
        submission: submission.to_owned(),
    };
    let key = facts.key(report.key().id);
    if tx.load(key.id)?.is_some() {
        return Ok(());
    }
    let (node, home) = (tx.node()?, tx.unit()?);
    let author = tx.author(home, "nqsync", now_ms)?;
    let value = json!({ "at": now_ms, "sender_ahead_ms": sender_ahead_ms, "node": node });
    let mut record = Record::begin_at(facts, key, tx.level());
    record
        .write(
            author,
            now_ms,
            [("received".to_owned(), value)].into(),
            None,
        )
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    tx.save(&record, None, &[], None, now_ms)?;
    rollups::touched(tx, &record, None)
}

/// A neighbour on the owner's side told that a record left our scope: it is read-only here from now on, and whoever
/// got it from us is told too.
fn note_left(tx: &mut Tx<'_>, link: LinkId, id: uuid::Uuid) -> Result<(), StoreError> {
    let state = tx.link(link)?;
    if state.role == Role::Upstream {
        for child in quarantine::note_gone(tx.connection(), id)? {
            tx.wake(child);
        }
    }
    let Some(stored) = tx.load(id)? else {
        return Ok(());
    };
    let owner = stored.record.facts().owner();
    if state.role == Role::Downstream && !owner.is_some_and(|unit| state.is_beyond(unit)) {
        return Ok(());
    }
    leaving::left_by_peer(tx.connection(), link, stored.rec)?;
    // Refused or not: it is not ours to send any more, and where it belongs they know it.
    quarantine::clear(tx.connection(), link, false, id)?;
    records::set_left(tx.connection(), stored.rec)?;
    for other in tx.links().iter().filter(|other| other.link != link) {
        if leaving::leave(tx.connection(), other.link, stored.rec)? {
            tx.wake(other.link);
        }
    }
    Ok(())
}

/// Takes in records that a person let go. Answers what became of them; those still refused are set aside for their own
/// reason.
pub fn release(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    bodies: &[String],
) -> Result<Applied, StoreError> {
    let lines: Vec<Incoming> = bodies
        .iter()
        .map(|body| read_line(body, node.settings.max_record_bytes))
        .collect();
    let ahead = links::row(tx.connection(), link)?
        .clock_ahead_ms
        .unwrap_or(0);
    let applied = apply_but(
        node,
        tx,
        link,
        lines,
        ahead,
        &Grip::default(),
        Applied::default(),
    )?;
    for record in &applied.taken {
        quarantine::clear(tx.connection(), link, true, *record)?;
        if let Some(stored) = tx.load(*record)? {
            // The peer still believes it refused; our state going back tells it.
            links::offer_again(tx.connection(), link, stored.rec)?;
        }
    }
    tx.wake(link);
    Ok(applied)
}

/// Tries a record again that was set aside here. Answers whether it was taken.
pub fn retry(node: &Node, tx: &mut Tx<'_>, item: &quarantine::Item) -> Result<bool, StoreError> {
    try_again(node, tx, item, None).map(|(taken, _)| taken)
}

/// The same, knowing how much of its neighbour is set aside, if that is known; answers with how much is now.
fn try_again(
    node: &Node,
    tx: &mut Tx<'_>,
    item: &quarantine::Item,
    held_aside: Option<(u64, u64)>,
) -> Result<(bool, Option<(u64, u64)>), StoreError> {
    let Some(body) = &item.body else {
        return Ok((false, held_aside));
    };
    let incoming = read_line(body, node.settings.max_record_bytes);
    let ahead = links::row(tx.connection(), item.link)?
        .clock_ahead_ms
        .unwrap_or(0);
    let applied = apply_knowing(node, tx, item.link, vec![incoming], ahead, held_aside)?;
    let taken = applied.set_aside.is_empty() && applied.unreadable == 0;
    if taken && let Some(stored) = tx.load(item.record)? {
        // The peer still believes it refused; our state going back tells it.
        links::offer_again(tx.connection(), item.link, stored.rec)?;
        tx.wake(item.link);
    }
    Ok((taken, applied.held_aside))
}
