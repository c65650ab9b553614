//! Own work that was lost, coming home from those who still hold it.
//!
//! A node that went back to an old copy of its disk lacks writes of its own. Its parent and its children have them. From
//! above they are believed. From below a record of ours is believed when our own seal is on what is new in it. A node in
//! between, which went back as well, can tell neither: it sets the record aside and passes it on upwards, as something
//! *brought*, until it reaches a node that knows its own hand. From there it goes out again like anything else.

use nqsync_core::model::{Facts, UnitId};
use nqsync_core::protocol::{Line, parse_line};
use nqsync_core::sync::authority::From as Side;
use nqsync_core::sync::{Edit, Record};
use uuid::Uuid;

use super::receive::{Reason, admit, covered, holds, side_of};
use super::rollups;
use crate::store::links::{self, LinkId, Role};
use crate::store::{Rec, StoreError, Stored, Tx, quarantine};

/// What may help a record that is set aside.
#[derive(Debug, Default)]
pub struct Helps {
    /// The task it is about; when that comes, it is tried again.
    pub task: Option<Uuid>,
    /// The owner, where a seal says that the owner's node may know it.
    sealed_by: Option<UnitId>,
    /// It was passed on to us for that.
    pub brought: bool,
}

impl Helps {
    /// Of a record that arrived.
    pub fn of(record: &Record, brought: bool) -> Helps {
        let sealed = record.edits().iter().any(Edit::is_sealed);
        let task = match record.facts() {
            Facts::Report { task, .. } | Facts::Evidence { task, .. } => Some(*task),
            _ => None,
        };
        Helps {
            task,
            sealed_by: record.facts().owner().filter(|_| sealed),
            brought,
        }
    }

    /// Whether the node that may have written it is above.
    pub fn concerns_parent(&self, tx: &Tx<'_>) -> bool {
        let links = tx.links();
        let up = links.iter().find(|link| link.role == Role::Upstream);
        up.zip(self.sealed_by)
            .is_some_and(|(up, owner)| up.is_beyond(owner))
    }
}

/// Whether all that is new in a record from below was written here and lost, as after an old copy of our disk: our own
/// seal is on it.
pub fn our_own_again(
    tx: &Tx<'_>,
    side: Side,
    ours: Option<&Record>,
    incoming: &Record,
) -> Result<bool, StoreError> {
    let Some(seal) = tx.seal()?.filter(|_| side == Side::Below) else {
        return Ok(false);
    };
    let extent = ours.map(Record::extent).unwrap_or_default();
    let known = |edit: &Edit| ours.is_some_and(|ours| holds(ours, &extent, edit));
    let all = incoming
        .edits()
        .iter()
        .all(|edit| known(edit) || seal.made(incoming, edit));
    Ok(all)
}

/// Takes back what was written here and lost, from somebody who does not hold it: so it goes out again to all whom it
/// concerns.
pub fn bring_home(
    tx: &mut Tx<'_>,
    link: LinkId,
    incoming: Record,
    now_ms: i64,
) -> Result<Result<(), Reason>, StoreError> {
    let state = tx.link(link)?;
    let side = side_of(&state);
    let stored = tx.load(incoming.key().id)?;
    let same = |stored: &Stored| {
        stored.record.key() == incoming.key() && stored.record.facts() == incoming.facts()
    };
    let ours = stored.as_ref().map(|stored| &stored.record);
    let known = stored.as_ref().is_none_or(same) && our_own_again(tx, side, ours, &incoming)?;
    if !known || admit(&incoming, side, &state, &tx.tree(), false).is_err() {
        let reason = "the node of its owner does not know it as its own".to_owned();
        return Ok(Err(("not_theirs", reason)));
    }
    let mut joined = ours.cloned().unwrap_or_else(|| incoming.clone());
    let replaced = joined
        .join(&incoming)
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    let rec = tx.save(&joined, stored.as_ref(), &replaced.dropped, None, now_ms)?;
    links::tell_again(tx.connection(), link, rec)?;
    tx.wake(link);
    rollups::touched(tx, &joined, ours)?;
    Ok(Ok(()))
}

/// A state of a record that was set aside and that we hold now, from elsewhere, is set aside no more.
pub fn forget_what_came(tx: &mut Tx<'_>, rec: Rec, joined: &Record) -> Result<(), StoreError> {
    for item in quarantine::incoming_of(tx.connection(), joined.key().id)? {
        let came = item.body.as_deref().map(parse_line);
        if let Some(Ok(Line::Record(record) | Line::Brought(record))) = came
            && record.key() == joined.key()
            && covered(joined, &record)
        {
            quarantine::remove(tx.connection(), item.item)?;
            links::tell_again(tx.connection(), item.link, rec)?;
            tx.wake(item.link);
        }
    }
    Ok(())
}
