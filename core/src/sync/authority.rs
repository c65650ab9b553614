//! Who may say what: the one function that judges a record that arrives over a link.
//!
//! A child may bring what its subtree owns, and nothing else; the parent is believed for everything outside our own
//! subtree and for writes that our own units made elsewhere. Identity comes from the certificate, never from the body.

use super::record::Record;
use super::scope::{Ends, LinkScope, ends};
use crate::model::{Facts, Tree, UnitId};

/// From which side a record arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// From a child: the scope is that child's link.
    Below,
    /// From the parent: the scope is our own link.
    Above,
}

/// Why a record is set aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The record has no business on this link.
    #[error("this record does not concern both sides of the link")]
    OutOfScope,
    /// Its owner is not served below the sender.
    #[error("it belongs to unit {owner}, which the sending node does not serve")]
    NotTheirs {
        /// The owner's code.
        owner: String,
    },
    /// An edit speaks for another unit than the owner.
    #[error("an edit speaks for unit {unit}; only its owner {owner} writes into this record")]
    NotTheOwner {
        /// The unit the edit claims.
        unit: String,
        /// The owner's code.
        owner: String,
    },
    /// A unit record would place a unit outside the sender's subtree.
    #[error("a unit can only be placed under a unit that its author serves")]
    ForeignPlace,
}

impl Denied {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Denied::OutOfScope => "out_of_scope",
            Denied::NotTheirs { .. } => "not_theirs",
            Denied::NotTheOwner { .. } => "not_the_owner",
            Denied::ForeignPlace => "foreign_place",
        }
    }
}

/// Judges an arriving record. `new_to_us` says whether it brings any write we have not seen: a peer that returns what
/// it got from us says nothing new and is no offender.
pub fn judge(
    record: &Record,
    from: From,
    scope: &LinkScope,
    tree: &Tree,
    new_to_us: bool,
) -> Result<(), Denied> {
    let owner = record.facts().owner();
    for edit in record.edits() {
        if !speaks_for(tree, edit.unit, owner, record) {
            let owner = owner.map(|unit| tree.code(unit)).unwrap_or_default();
            return Err(Denied::NotTheOwner {
                unit: tree.code(edit.unit),
                owner,
            });
        }
    }
    if !new_to_us {
        return Ok(());
    }
    let ends = ends(record, tree);
    // Work that waited at a node which lost the unit meanwhile is late, not wrong.
    let late = from == From::Below
        && owner.is_some_and(|owner| scope.was_below(owner))
        && scope.admits_late(&ends);
    if !scope.admits(&ends) && !late {
        return Err(Denied::OutOfScope);
    }
    if from == From::Above {
        return Ok(());
    }
    let theirs = match (owner, record.facts()) {
        (Some(owner), _) => {
            late || scope.is_below(owner)
                || tree.writer(record).is_some_and(|unit| scope.is_below(unit))
        }
        (None, Facts::Arrival { unit, .. }) => {
            scope.is_below(*unit) && record.edits().iter().all(|edit| scope.is_below(edit.unit))
        }
        (None, _) => false,
    };
    if !theirs {
        let owner = owner.map(|unit| tree.code(unit)).unwrap_or_default();
        return Err(Denied::NotTheirs { owner });
    }
    if ends == Ends::Everywhere && !placed_below(record, scope) {
        return Err(Denied::ForeignPlace);
    }
    Ok(())
}

/// Whether an edit's unit is the owner, its successor, or (for an arrival) a unit above the one that submitted.
fn speaks_for(tree: &Tree, unit: UnitId, owner: Option<UnitId>, record: &Record) -> bool {
    match (owner, record.facts()) {
        (Some(owner), _) => {
            // The day may have come at the writer already, and not here yet.
            let planned = tree.get(owner).and_then(|info| info.succession.as_ref());
            unit == owner
                || tree.writer(record) == Some(unit)
                || tree.present(owner) == unit
                || planned.is_some_and(|planned| planned.heir == Some(unit))
        }
        (
            None,
            Facts::Arrival {
                unit: submitter, ..
            },
        ) => {
            // Units above may not be known here yet; then the link's own rules must do. Whoever serves the submitting
            // unit itself does not note when its own submission arrived.
            tree.get(*submitter).is_none()
                || (tree.is_within(*submitter, unit)
                    && tree.server_of(unit) != tree.server_of(*submitter))
        }
        (None, _) => false,
    }
}

/// Whether every place a unit record gives its unit is below the link's child.
fn placed_below(record: &Record, scope: &LinkScope) -> bool {
    let places = record
        .register("parent")
        .siblings
        .into_iter()
        .map(|write| write.json());
    // Where it was before is history: it may have come from another branch.
    places
        .filter_map(|value| value.as_array()?.last().cloned())
        .all(|place| {
            place["unit"]
                .as_str()
                .and_then(|unit| unit.parse().ok())
                .is_some_and(|unit| scope.is_below(unit))
        })
}
