//! Whether a record that came from below is about something that is known here and concerns those who say it.

use nqsync_core::model::Facts;
use nqsync_core::sync::Record;
use nqsync_core::sync::authority::From as Side;
use nqsync_core::sync::scope::{Ends, assigned, ends};

use super::Reason;
use crate::store::links::{self, LinkId};
use crate::store::{StoreError, Tx};

/// Why a record that is seen for the first time is set aside, if what it is about does not bear it.
pub(super) fn unfounded(
    tx: &Tx<'_>,
    record: &Record,
    link: LinkId,
    side: Side,
) -> Result<Option<Reason>, StoreError> {
    if side == Side::Above {
        return Ok(None);
    }
    if let Some(reason) = never_assigned(tx, record, link)? {
        return Ok(Some(reason));
    }
    match never_asked(tx, record)? {
        None => between_strangers(tx, record),
        reason => Ok(reason),
    }
}

/// A report or evidence for a task that was never given to its unit is set aside; one for a task taken away meanwhile
/// is late, not wrong. Whether the task is there, somebody else's, or unknown is not told: the words are the same.
fn never_assigned(
    tx: &Tx<'_>,
    record: &Record,
    link: LinkId,
) -> Result<Option<Reason>, StoreError> {
    let (Facts::Report {
        unit, issuer, task, ..
    }
    | Facts::Evidence {
        unit, issuer, task, ..
    }) = record.facts()
    else {
        return Ok(None);
    };
    let reason =
        "its unit was never assigned to such a task of this issuer, as far as is known here";
    let never = Ok(Some(("not_assigned", reason.to_owned())));
    let Some(held) = tx.assignment(*task)? else {
        return never;
    };
    if held.issuer != *issuer {
        return never;
    }
    let assigned = held.units.contains(unit) || held.issuer == *unit;
    if assigned || links::ever_in_scope(tx.connection(), link, held.rec)? {
        return Ok(None);
    }
    // On a link where either side went back to an old disk, nobody can say what never was.
    if links::row(tx.connection(), link)?.forks > 0 {
        return Ok(None);
    }
    never
}

/// A wish, a verdict, an arrival or a figure between two units of which neither stands above the other is set aside, unless what it
/// is about is held here and concerns both: a unit may have moved since, or continue one that had the work.
fn between_strangers(tx: &Tx<'_>, record: &Record) -> Result<Option<Reason>, StoreError> {
    let (one, other) = match record.facts() {
        Facts::Verdict { issuer, unit, .. } | Facts::Arrival { issuer, unit, .. } => (issuer, unit),
        Facts::Figure { definer, unit, .. } => (definer, unit),
        Facts::Proposal {
            owner, proposer, ..
        } => (owner, proposer),
        _ => return Ok(None),
    };
    let tree = tx.tree();
    let is_wish = matches!(record.facts(), Facts::Proposal { .. });
    let related = tree.is_within(*other, *one) || (is_wish && tree.is_within(*one, *other));
    if related {
        return Ok(None);
    }
    let (one, other) = (tree.predecessors(*one), tree.predecessors(*other));
    let about = record.facts().about().map(|id| tx.load(id)).transpose()?;
    let concerned = about.flatten().is_some_and(|held| {
        let held = &held.record;
        match (record.facts(), held.facts()) {
            (Facts::Figure { .. }, Facts::Indicator { definer }) => {
                let given = assigned(held);
                one.contains(definer) && given.iter().any(|unit| other.contains(unit))
            }
            (Facts::Verdict { .. } | Facts::Arrival { .. }, Facts::Report { unit, issuer, .. }) => {
                one.contains(issuer) && other.contains(unit)
            }
            (Facts::Proposal { .. }, facts) => {
                let is_asked = facts.owner().is_some_and(|owner| one.contains(&owner));
                let Ends::Units(units) = ends(held, &tree) else {
                    return false;
                };
                is_asked && units.iter().any(|unit| other.contains(unit))
            }
            _ => false,
        }
    });
    let reason = "its units stand beside each other, and no work between them is known here";
    Ok((!concerned).then(|| ("beside", reason.to_owned())))
}

/// A decision about a proposal that was not made to its author is set aside: its id names the proposal alone, and who comes
/// first with it would keep the right answer out. The words are the same for a proposal that is not known here.
fn never_asked(tx: &Tx<'_>, record: &Record) -> Result<Option<Reason>, StoreError> {
    let Facts::Decision {
        decider,
        proposer,
        proposal,
    } = record.facts()
    else {
        return Ok(None);
    };
    let asked = tx.load(*proposal)?.is_some_and(|stored| {
        matches!(stored.record.facts(), Facts::Proposal { proposer: by, owner, .. } if by == proposer && owner == decider)
    });
    let reason = "no such proposal was made to its unit, as far as is known here";
    Ok((!asked).then(|| ("not_asked", reason.to_owned())))
}
