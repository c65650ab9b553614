//! The mass-change brake at this node: what waits for a person, and what can be undone. The decision itself is
//! `core/sync/brake`; here are the counts it needs and what becomes of the records.
//!
//! Invariants: a record held is a record set aside, with its line and its reason, and everything else of the batch goes
//! on; as long as its hold is open no later state of it that loses something passes either. A verb held has changed
//! nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use nqsync_core::sync::Record;
use nqsync_core::sync::brake::{self, Loss, Tally};
use serde_json::json;
use uuid::Uuid;

use super::Node;
use super::receive::admit;
use crate::store::links::{self, LinkId};
use crate::store::{LinkState, Lost, StoreError, Tx, audit, day_of, holds};

/// Code under which a held record is set aside, here and at the sender.
pub const HELD: &str = "held";
/// Source of what is lost by verbs given here.
const HERE: i64 = 0;
/// Losses of one minute are kept as one number.
const MINUTE_MS: i64 = 60_000;

/// Which records of a batch are held.
#[derive(Debug, Default)]
pub struct Grip {
    hold: Option<i64>,
    records: HashMap<Uuid, Loss>,
    waiting: HashSet<Uuid>,
    /// When each record that loses something was written so.
    written: HashMap<Uuid, i64>,
    /// What was written before this moment counts no more.
    since: i64,
}

impl Grip {
    /// The hold in which a record has to wait.
    pub fn holds(&self, record: Uuid) -> Option<(i64, Loss)> {
        Some((self.hold?, *self.records.get(&record)?))
    }
}

/// Looks at a batch before any of it is taken in.
pub fn grip<'a>(
    node: &Node,
    tx: &mut Tx<'_>,
    link: &LinkState,
    records: impl Iterator<Item = &'a Record>,
) -> Result<Grip, StoreError> {
    let limits = &node.settings.brake;
    let now_ms = node.clock.now_ms();
    let open = match holds::any_open(tx.connection())? {
        true => holds::open_of(tx.connection(), link.link)?,
        false => None,
    };
    // Nobody can have written before the last comparison what had not come by then.
    let heard = links::row(tx.connection(), link.link)?.compared_at;
    let heard = heard.map_or(now_ms, |at| at.min(now_ms));
    let window_ms = node.settings.brake_window_ms;
    let since = heard - window_ms;
    let recent = holds::losses_since(tx.connection(), link.link.0, since)?;
    let most = records.size_hint().1.unwrap_or(usize::MAX) as u64;
    let lately: u64 = recent.iter().map(|(_, tally)| tally.losses()).sum();
    let mut grip = Grip {
        since,
        ..Grip::default()
    };
    if open.is_none() && lately.saturating_add(most) < limits.at_least {
        return Ok(grip);
    }
    let (mut ids, mut coming) = (Vec::new(), Vec::new());
    for record in records {
        if let Some(loss) = would_lose(tx, link, record, now_ms)? {
            let stamp = record
                .greatest_stamp()
                .map_or(now_ms, |stamp| stamp.millis());
            let written = (stamp - stamp.rem_euclid(MINUTE_MS)).clamp(heard, now_ms);
            grip.written.insert(record.key().id, written);
            ids.push(record.key().id);
            coming.push((written, loss));
        }
    }
    // What a subtree holds is counted only when it decides something: that looks at all of it.
    if open.is_none() && lately.saturating_add(coming.len() as u64) < limits.at_least {
        return Ok(grip);
    }
    let waiting: HashSet<Uuid> = match &open {
        Some(hold) => {
            let held = holds::records(tx.connection(), hold.hold)?;
            held.into_iter().map(|held| held.record).collect()
        }
        None => HashSet::new(),
    };
    #[cfg(feature = "faults")]
    if crate::faults::thrown(crate::faults::Canary::NoBrake) {
        return Ok(grip);
    }
    let of = subtree(tx, Some(link))?;
    let too_many = brake::too_many(limits, of, window_ms, &recent, &coming);
    let mut held = Tally {
        of,
        ..Tally::default()
    };
    for ((record, (_, loss)), too_many) in ids.into_iter().zip(coming).zip(too_many) {
        if too_many {
            held.count(loss);
        }
        // Few as they are, later states of what waits already wait with it.
        if too_many || waiting.contains(&record) {
            grip.records.insert(record, loss);
        }
    }
    grip.waiting = waiting;
    grip.hold = match open {
        Some(hold) => Some(hold.hold),
        None if held.losses() > 0 => {
            let connection = tx.connection();
            let link = Some(link.link);
            Some(holds::begin(connection, link, "open", &held, None, now_ms)?)
        }
        None => None,
    };
    Ok(grip)
}

/// What a record would lose here, were it taken in. What may not come by this link is set aside for that, and is no part of
/// a mass change.
fn would_lose(
    tx: &Tx<'_>,
    link: &LinkState,
    incoming: &Record,
    now_ms: i64,
) -> Result<Option<Loss>, StoreError> {
    let Some(stored) = tx.load(incoming.key().id)? else {
        return Ok(None);
    };
    if stored.digest == incoming.digest()
        || admit(tx, link, incoming, Some(&stored.record), true)?.is_err()
    {
        return Ok(None);
    }
    let mut joined = stored.record.clone();
    Ok(match joined.join(incoming) {
        Ok(_) => brake::loss(&stored.record, &joined, day_of(now_ms)),
        // Another record under the same id is refused for that.
        Err(_) => None,
    })
}

/// How many records there are that the other side, or a person here, may change.
fn subtree(tx: &Tx<'_>, link: Option<&LinkState>) -> Result<u64, StoreError> {
    let owners = holds::population(tx.connection(), link.map(|link| link.link))?;
    let counts = owners.into_iter().filter(|(owner, _)| match link {
        Some(link) => link.is_beyond(*owner),
        None => tx.serves(*owner),
    });
    Ok(counts.map(|(_, count)| count).sum())
}

/// Puts a record into its hold instead of taking it in. Answers the reason for both sides.
pub fn keep(
    tx: &mut Tx<'_>,
    (hold, loss): (i64, Loss),
    record: &Record,
    line: &str,
) -> Result<String, StoreError> {
    holds::put(
        tx.connection(),
        hold,
        &holds::Held {
            record: record.key().id,
            kind: record.key().kind.to_string(),
            loss: json!(loss).as_str().unwrap_or_default().to_owned(),
            body: Some(line.to_owned()),
            changes: None,
        },
    )?;
    Ok(format!(
        "part of a mass change that waits for a person of the receiving node (hold {hold})"
    ))
}

/// After a batch: what it lost within the limits counts towards the next one's, and what waited and loses nothing any
/// more has left its hold.
pub fn settle(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    grip: &Grip,
    taken: &HashSet<Uuid>,
) -> Result<(), StoreError> {
    let now_ms = node.clock.now_ms();
    let mut lost: BTreeMap<i64, Tally> = BTreeMap::new();
    for one in tx.take_lost() {
        let written = grip.written.get(&one.record).copied();
        let tally = lost.entry(written.unwrap_or(now_ms)).or_default();
        tally.count(one.loss);
    }
    for (at_ms, tally) in &lost {
        holds::note_lost(tx.connection(), link.0, tally, *at_ms, grip.since)?;
    }
    let Some(hold) = grip.hold else {
        return Ok(());
    };
    for record in grip.waiting.intersection(taken) {
        if !grip.records.contains_key(record) {
            holds::take_out(tx.connection(), hold, *record)?;
        }
    }
    recount(node, tx, hold)
}

/// Brings the counts of a hold in step with its records; one that nothing waits in any more is over.
fn recount(node: &Node, tx: &mut Tx<'_>, hold: i64) -> Result<(), StoreError> {
    let Some(found) = holds::get(tx.connection(), hold)? else {
        return Ok(());
    };
    let mut tally = Tally {
        of: found.tally.of,
        ..Tally::default()
    };
    let held = holds::records(tx.connection(), hold)?;
    let losses = held
        .iter()
        .filter_map(|held| serde_json::from_value(json!(held.loss)).ok());
    losses.for_each(|loss| tally.count(loss));
    holds::set_tally(tx.connection(), hold, &tally)?;
    let now_ms = node.clock.now_ms();
    if held.is_empty() {
        let reason = Some("the sender took it back");
        holds::decide(tx.connection(), hold, "refused", "nqsync", reason, now_ms)?;
    }
    let detail = json!({ "link": found.link.map(|link| link.0), "removed": tally.removed,
        "overwritten": tally.overwritten, "of": tally.of });
    let act = audit::Act {
        at: now_ms,
        actor: "nqsync",
        act: "hold.held",
        subject: &hold.to_string(),
        detail,
    };
    audit::append(tx, &act)
}

/// What a verb given here lost, when it is too much to go on without asking.
pub fn of_verb(node: &Node, tx: &mut Tx<'_>) -> Result<Result<(), Stopped>, StoreError> {
    let lost = tx.take_lost();
    if lost.is_empty() {
        return Ok(Ok(()));
    }
    let now_ms = node.clock.now_ms();
    let since = now_ms - node.settings.brake_window_ms;
    let mut own = Tally::default();
    lost.iter().for_each(|lost| own.count(lost.loss));
    let mut tally = holds::lost_since(tx.connection(), HERE, since)?;
    lost.iter().for_each(|lost| tally.count(lost.loss));
    if tally.losses() >= node.settings.brake.at_least {
        // What this verb deleted is of the subtree, too.
        let deleted = lost.iter().filter(|lost| lost.changes.contains_key("life"));
        tally.of = subtree(tx, None)? + deleted.count() as u64;
    }
    #[cfg(feature = "faults")]
    let free = crate::faults::thrown(crate::faults::Canary::NoBrake);
    #[cfg(not(feature = "faults"))]
    let free = false;
    if !free && brake::holds(&node.settings.brake, &tally) {
        own.of = tally.of;
        return Ok(Err(Stopped { lost, tally: own }));
    }
    holds::note_lost(tx.connection(), HERE, &own, now_ms, since)?;
    if own.losses() >= node.settings.brake.at_least {
        own.of = tally.of;
        let hold = holds::begin(tx.connection(), None, "passed", &own, None, now_ms)?;
        note(tx, hold, &lost)?;
    }
    Ok(Ok(()))
}

/// A verb that was stopped: nothing of it is done.
#[derive(Debug)]
pub struct Stopped {
    /// What it would have lost.
    pub lost: Vec<Lost>,
    /// In numbers.
    pub tally: Tally,
}

/// Keeps what a change did to each record, so that it can be undone.
pub fn note(tx: &Tx<'_>, hold: i64, lost: &[Lost]) -> Result<(), StoreError> {
    for lost in lost {
        holds::put(
            tx.connection(),
            hold,
            &holds::Held {
                record: lost.record,
                kind: lost.kind.to_string(),
                loss: json!(lost.loss).as_str().unwrap_or_default().to_owned(),
                body: None,
                changes: Some(json!(lost.changes).to_string()),
            },
        )?;
    }
    Ok(())
}

/// A person let the changes of a source through; counting begins anew.
pub fn forget(tx: &Tx<'_>, link: Option<LinkId>) -> Result<(), StoreError> {
    holds::forget_lost(tx.connection(), link.map_or(HERE, |link| link.0))
}
