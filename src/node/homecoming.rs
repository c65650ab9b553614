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

use super::receive::{Reason, admit, covered, side_of};
use super::rollups;
use crate::store::links::{self, LinkId, Role};
use crate::store::records::Flags;
use crate::store::{Rec, StoreError, Stored, Tx, leaving, quarantine};

/// What may help a record that is set aside.
#[derive(Debug, Default)]
pub struct Helps {
    /// The task or proposal it is about; when that comes, it is tried again.
    pub about: Option<Uuid>,
    /// The owner, where a seal says that the owner's node may know it.
    sealed_by: Option<UnitId>,
    /// It was passed on to us for that.
    pub brought: bool,
}

impl Helps {
    /// Of a record that arrived.
    pub fn of(record: &Record, brought: bool) -> Helps {
        let sealed = record.edits().iter().any(Edit::is_sealed);
        let about = match record.facts() {
            Facts::Report { .. }
            | Facts::Evidence { .. }
            | Facts::Decision { .. }
            | Facts::Proposal { .. } => record.facts().about(),
            _ => None,
        };
        Helps {
            about,
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

/// Whether all that a record from below adds to ours was written here and lost, as after an old copy of our disk: our own
/// seal is on it. What we hold is known by its bytes; a name that we gave out once may stand over anything.
pub fn our_own_again(
    tx: &Tx<'_>,
    side: Side,
    ours: Option<&Record>,
    joined: &Record,
) -> Result<bool, StoreError> {
    let Some(seal) = tx.seal()?.filter(|_| side == Side::Below) else {
        return Ok(false);
    };
    let held = |edit: &Edit| ours.is_some_and(|ours| ours.has(edit));
    let respelled = ours.is_some_and(|ours| ours.facts_raw() != joined.facts_raw());
    let known = |edit: &Edit| held(edit) || seal.made(joined, edit);
    Ok(!respelled && joined.edits().iter().all(known))
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
        stored.record.key() == incoming.key() && stored.record.same_facts(&incoming)
    };
    let left =
        |stored: &Stored| stored.flags.has(Flags::LEFT) && covered(&stored.record, &incoming);
    if stored.as_ref().is_some_and(|ours| same(ours) && left(ours)) {
        // Read-only here as well, and shown to our parent from here when that went back.
        return Ok(Ok(()));
    }
    let ours = stored.as_ref().map(|stored| &stored.record);
    let mut joined = ours.cloned().unwrap_or_else(|| incoming.clone());
    let replaced = joined.join(&incoming).ok();
    let known = our_own_again(tx, side, ours, &joined)?
        && admit(tx, &state, &incoming, ours, false)?.is_ok();
    let Some(replaced) = replaced.filter(|_| known) else {
        let reason = "the node of its owner does not know it as its own".to_owned();
        return Ok(Err(("not_theirs", reason)));
    };
    let rec = tx.save(&joined, stored.as_ref(), &replaced.dropped, None, now_ms)?;
    links::tell_again(tx.connection(), link, rec)?;
    tx.wake(link);
    rollups::touched(tx, &joined, ours)?;
    Ok(Ok(()))
}

/// A parent that went back to an old disk may lack what it had given to us and taken away again. We hold that read-only,
/// perhaps as the last one: it is shown what carries a seal from above.
pub fn bring_what_left(tx: &mut Tx<'_>, link: LinkId) -> Result<(), StoreError> {
    const PAGE: u32 = 500;
    let mut after = Rec(0);
    loop {
        let page = leaving::left_here(tx.connection(), link, after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.rec;
        for stored in &page {
            if Helps::of(&stored.record, true).concerns_parent(tx) {
                leaving::bring(tx.connection(), link, stored.rec, true)?;
            }
        }
    }
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
