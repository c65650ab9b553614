//! Who may say what: the one function that judges a record that arrives over a link.
//!
//! A child may bring what its subtree owns, and nothing else; the parent is believed for everything outside our own
//! subtree and for writes that our own units made elsewhere. Identity comes from the certificate, never from the body.

use jiff::civil::Date;

use super::edit::Edit;
use super::record::Record;
use super::scope::{Ends, LinkScope, assigned, ends};
use crate::model::values::{ParentSince, Succession};
use crate::model::{Facts, NodeId, Tree, UnitId};

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
    /// A unit record would place a unit outside the sender's subtree, let one from outside continue it, or give it to a node
    /// that serves others.
    #[error(
        "a unit can only be placed under, continued by, or served together with units that its author serves"
    )]
    ForeignPlace,
    /// It says who reviews a unit's work, and that one never stood above the unit.
    #[error(
        "unit {reviewer} neither issued the work nor stands above {unit}, so it does not review it"
    )]
    NotAbove {
        /// The unit's code.
        unit: String,
        /// The code of the one named as its reviewer.
        reviewer: String,
    },
    /// Work is given to a unit that its issuer has no say over.
    #[error("{issuer} gives work to {unit}, which neither stands nor stood below it")]
    NotBelow {
        /// The code of the one it is given to.
        unit: String,
        /// The issuer's code.
        issuer: String,
    },
}

impl Denied {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Denied::OutOfScope => "out_of_scope",
            Denied::NotTheirs { .. } => "not_theirs",
            Denied::NotTheOwner { .. } => "not_the_owner",
            Denied::ForeignPlace => "foreign_place",
            Denied::NotAbove { .. } => "not_above",
            Denied::NotBelow { .. } => "not_below",
        }
    }
}

/// Who judges a record, and by what.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// From which side the record arrives.
    pub from: From,
    /// The link that it comes by.
    pub scope: &'a LinkScope,
    /// The units known here.
    pub tree: &'a Tree,
    /// The day on which units stand where `tree` says.
    pub today: Date,
    /// The node that judges.
    pub here: Option<NodeId>,
}

impl Judge<'_> {
    /// Whether a unit stands above another, or did. That a unit which the sender began once stood below others, the sender may
    /// have made up.
    fn stood_above(&self, above: UnitId, unit: UnitId) -> bool {
        let began = self.tree.get(unit).map(|info| info.owner);
        let theirs = |unit| self.scope.is_below(unit);
        match !theirs(above) && theirs(unit) && began.is_some_and(theirs) {
            true => above != unit && self.tree.is_within(unit, above),
            false => self.tree.ever_above(above, unit),
        }
    }
}

/// Judges an arriving record. `ours` is what is held of it here: an edit that we hold was judged when it came.
/// `new_to_us` says whether it brings any write we have not seen: a peer that returns what it got from us says nothing new
/// and is no offender.
pub fn judge(
    by: Judge<'_>,
    record: &Record,
    ours: Option<&Record>,
    new_to_us: bool,
) -> Result<(), Denied> {
    let Judge {
        from, scope, tree, ..
    } = by;
    let owner = record.facts().owner();
    let is_held = |edit: &Edit| ours.is_some_and(|ours| ours.has(edit));
    for edit in record.edits().iter().filter(|edit| !is_held(edit)) {
        if !speaks_for(by, edit.unit, owner, record) {
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
    let ends = match from {
        From::Below => known_ends(record, tree),
        From::Above => ends(record, tree),
    };
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
    if let Some((unit, reviewer)) = reviewed(record.facts())
        && tree.get(unit).is_some()
        && !by.stood_above(reviewer, unit)
    {
        return Err(Denied::NotAbove {
            unit: tree.code(unit),
            reviewer: tree.code(reviewer),
        });
    }
    if let Facts::Task { issuer, .. }
    | Facts::Directive { issuer }
    | Facts::Indicator { definer: issuer } = record.facts()
        && let Some(outside) = given_beyond(tree, *issuer, record, ours)
    {
        return Err(Denied::NotBelow {
            unit: tree.code(outside),
            issuer: tree.code(*issuer),
        });
    }
    let is_right = || {
        placed_below(by, record, ours)
            && continued_below(scope, record, ours)
            && served_below(by, record, ours)
    };
    if ends == Ends::Everywhere && !is_right() {
        return Err(Denied::ForeignPlace);
    }
    Ok(())
}

/// The ends of a record from below, without those units that nobody here has heard of and that work or a wish is addressed to:
/// an address that was made up would carry it past everybody.
fn known_ends(record: &Record, tree: &Tree) -> Ends {
    let addressed = matches!(
        record.facts(),
        Facts::Task { .. }
            | Facts::Directive { .. }
            | Facts::Indicator { .. }
            | Facts::Proposal { .. }
    );
    match ends(record, tree) {
        Ends::Units(mut units) if addressed => {
            units.retain(|unit| tree.get(*unit).is_some());
            Ends::Units(units)
        }
        ends => ends,
    }
}

/// A unit that work is given to and that its issuer has no say over. To whom it is given as we hold it was judged before: a unit
/// may have moved since.
fn given_beyond(
    tree: &Tree,
    issuer: UnitId,
    record: &Record,
    ours: Option<&Record>,
) -> Option<UnitId> {
    let known = ours.map(assigned).unwrap_or_default();
    let mut given = assigned(record).into_iter();
    given.find(|unit| {
        tree.get(*unit).is_some() && !known.contains(unit) && !tree.ever_directs(issuer, *unit)
    })
}

/// Whose work is reviewed, and by whom, where that is not for its issuer: ids of reviews do not name the reviewer, so that
/// whoever came first with one would keep the right one out.
fn reviewed(facts: &Facts) -> Option<(UnitId, UnitId)> {
    match facts {
        Facts::Period { unit, reviewer, .. } => Some((*unit, *reviewer)),
        Facts::Evidence {
            unit,
            reviewer,
            issuer,
            ..
        }
        | Facts::Verdict {
            unit,
            reviewer,
            issuer,
            ..
        } if reviewer != issuer => Some((*unit, *reviewer)),
        _ => None,
    }
}

/// Whether an edit's unit is the owner, its successor, or (for an arrival) a unit above the one that submitted.
fn speaks_for(by: Judge<'_>, unit: UnitId, owner: Option<UnitId>, record: &Record) -> bool {
    let tree = by.tree;
    match (owner, record.facts()) {
        (Some(owner), facts) => {
            // The day may have come at the writer already, and not here yet.
            let planned = tree.get(owner).and_then(|info| info.succession.as_ref());
            unit == owner
                || tree.writer(record) == Some(unit)
                || tree.present(owner) == unit
                || planned.is_some_and(|planned| planned.heir == Some(unit))
                || (matches!(facts, Facts::Unit { .. }) && held_the_pen(by, unit, record))
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

/// Whether a unit may once have stood above the one whose record it is. Who writes into a unit's record follows from its place,
/// which moves; where it stood when an edit was written may never have been heard of here. The parent decides about places
/// and is believed; a child about those below it, and about those that the record itself tells of.
fn held_the_pen(by: Judge<'_>, unit: UnitId, record: &Record) -> bool {
    by.from == From::Above
        || by.scope.is_below(unit)
        || places(record).any(|place| place.unit == Some(unit))
}

/// Every place that a unit's record gives it, in all values that stand beside each other.
fn places(record: &Record) -> impl Iterator<Item = ParentSince> {
    let values = record.register("parent").siblings.into_iter();
    let lists = values.map(|write| serde_json::from_value::<Vec<ParentSince>>(write.json()));
    lists.flat_map(Result::unwrap_or_default)
}

/// Whether every place that a record gives its unit, from today on, is below the link's child. Where it was before is
/// history: it may have come from another branch. So may a place that we gave it ourselves.
fn placed_below(by: Judge<'_>, record: &Record, ours: Option<&Record>) -> bool {
    let known: Vec<ParentSince> = ours.map(|ours| places(ours).collect()).unwrap_or_default();
    let values = record.register("parent").siblings.into_iter();
    let mut lists = values.map(|write| serde_json::from_value::<Vec<ParentSince>>(write.json()));
    let mut any = false;
    let all = lists.all(|list| {
        any = true;
        // A unit without a place would be nobody's.
        let Some(list) = list.ok().filter(|list| !list.is_empty()) else {
            return false;
        };
        let is_past = |at: usize| {
            let mut later = list.iter().skip(at + 1);
            later.any(|next| next.from.is_none_or(|from| from <= by.today))
        };
        let is_right = |(at, place): (usize, &ParentSince)| {
            place.unit.is_some_and(|unit| by.scope.is_below(unit))
                || is_past(at)
                || known.contains(place)
        };
        list.iter().enumerate().all(is_right)
    });
    any && all
}

/// Whether whoever continues a unit is below the link's child, or known here as its heir.
fn continued_below(scope: &LinkScope, record: &Record, ours: Option<&Record>) -> bool {
    let known: Vec<Succession> = ours
        .map(|ours| successions(ours).collect())
        .unwrap_or_default();
    successions(record).all(|planned| {
        let mut heirs = planned.successors.iter().chain(&planned.heir);
        heirs.all(|heir| scope.is_below(*heir)) || known.contains(&planned)
    })
}

/// Whether a unit is served by a node of its own or one of the sender's: one that serves others would get what is written for
/// the unit. A unit may be given back to us, and what we gave ourselves is known.
fn served_below(by: Judge<'_>, record: &Record, ours: Option<&Record>) -> bool {
    let known: Vec<NodeId> = ours.map(|ours| servers(ours).collect()).unwrap_or_default();
    servers(record).all(|server| {
        let mut units = by.tree.iter();
        by.here == Some(server)
            || known.contains(&server)
            || units.all(|unit| unit.served_by != Some(server) || by.scope.is_below(unit.id))
    })
}

fn servers(record: &Record) -> impl Iterator<Item = NodeId> {
    let values = record.register("served_by").siblings.into_iter();
    values.filter_map(|write| serde_json::from_value(write.json()).ok())
}

fn successions(record: &Record) -> impl Iterator<Item = Succession> {
    let values = record.register("succession").siblings.into_iter();
    values.filter_map(|write| serde_json::from_value(write.json()).ok())
}
