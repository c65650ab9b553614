//! Which records may pass a link.
//!
//! A record has *ends*: the units that write it and those that need it. A link splits the node tree into what is
//! served below it and the rest; a record passes exactly when it has ends on both sides. So a commune's report
//! climbs to the task's issuer and no further, and never comes down to another commune.

use std::collections::HashSet;

use serde_json::Value;

use super::record::Record;
use crate::model::{Facts, Kind, NodeId, Tree, UnitId};

/// The ends of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Everybody holds it: the org units.
    Everywhere,
    /// The units named.
    Units(Vec<UnitId>),
}

/// One link, as the set of units served at or below its child.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkScope {
    below: HashSet<UnitId>,
    before: HashSet<UnitId>,
}

/// Registers of a task or indicator that name the units it is given to.
pub const ASSIGNED: [&str; 3] = ["lead", "coordinating", "assigned"];

impl LinkScope {
    /// The scope of the link whose child is `child`.
    pub fn of_child(tree: &Tree, child: NodeId) -> LinkScope {
        LinkScope {
            below: tree.served_at_or_below(child),
            before: tree.served_before(child),
        }
    }

    /// Whether the unit is served at or below the link's child.
    pub fn is_below(&self, unit: UnitId) -> bool {
        self.below.contains(&unit)
    }

    /// Whether the unit was served at or below the link's child before: what was written there then may still come.
    pub fn was_below(&self, unit: UnitId) -> bool {
        self.before.contains(&unit)
    }

    /// Whether a record may still come up that was written before its unit got another server.
    pub fn admits_late(&self, ends: &Ends) -> bool {
        match ends {
            Ends::Everywhere => false,
            Ends::Units(units) => {
                let late = |unit: &&UnitId| self.was_below(**unit);
                units.iter().any(|unit| late(&unit)) && !units.iter().all(|unit| late(&unit))
            }
        }
    }

    /// The units served at or below the link's child.
    pub fn units_below(&self) -> impl Iterator<Item = UnitId> + '_ {
        self.below.iter().copied()
    }

    /// Whether a record with these ends passes the link.
    pub fn admits(&self, ends: &Ends) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::thrown(crate::faults::Canary::SendEverything) {
            return true;
        }
        match ends {
            Ends::Everywhere => true,
            Ends::Units(units) => {
                let below = units.iter().filter(|unit| self.is_below(**unit)).count();
                below > 0 && below < units.len()
            }
        }
    }
}

/// Whether a record with these two ends is held at a node: it serves one of them, or the way between them leads
/// through it. What a node does not hold it must not judge.
pub fn is_held_at(tree: &Tree, node: NodeId, one: UnitId, other: UnitId) -> bool {
    match (side_of(tree, node, one), side_of(tree, node, other)) {
        (Some(one), Some(other)) => one != other || one == node,
        (one, other) => one.is_some() != other.is_some(),
    }
}

/// Seen from a node, where a unit served at or below it lies: the node itself, or the child of it on the way; `None`
/// for a unit elsewhere.
fn side_of(tree: &Tree, node: NodeId, unit: UnitId) -> Option<NodeId> {
    let mut side = node;
    for server in tree.line(unit).filter_map(|info| info.served_by) {
        if server == node {
            return Some(side);
        }
        side = server;
    }
    None
}

/// Whether the ends of a record of this kind follow from its facts alone, so that no edit ever moves them.
pub fn ends_are_fixed(kind: Kind) -> bool {
    match kind {
        Kind::Unit | Kind::Task | Kind::Indicator | Kind::Directive | Kind::Rollup => false,
        Kind::Report
        | Kind::Evidence
        | Kind::Verdict
        | Kind::Arrival
        | Kind::Proposal
        | Kind::Decision
        | Kind::Figure
        | Kind::Period => true,
    }
}

/// The ends of a record. Assignments count by every present sibling, so that a conflict reaches all concerned.
pub fn ends(record: &Record, tree: &Tree) -> Ends {
    let units = match record.facts() {
        Facts::Unit { .. } => return Ends::Everywhere,
        Facts::Task { issuer, .. }
        | Facts::Indicator { definer: issuer }
        | Facts::Directive { issuer } => {
            let mut units = assigned(record);
            units.push(*issuer);
            units
        }
        Facts::Report { unit, issuer, .. } => vec![*unit, *issuer],
        Facts::Evidence {
            unit,
            issuer,
            reviewer,
            ..
        } => vec![*unit, *issuer, *reviewer],
        Facts::Verdict {
            reviewer,
            unit,
            issuer,
            ..
        } => vec![*reviewer, *unit, *issuer],
        Facts::Arrival { unit, issuer, .. } => vec![*unit, *issuer],
        Facts::Proposal {
            proposer, owner, ..
        } => vec![*proposer, *owner],
        Facts::Decision {
            decider, proposer, ..
        } => vec![*decider, *proposer],
        Facts::Figure { unit, definer, .. } => vec![*unit, *definer],
        Facts::Period { unit, reviewer, .. } => vec![*unit, *reviewer],
        Facts::Rollup { issuer, .. } => match tree.root() {
            Some(root) => vec![*issuer, root],
            None => vec![*issuer],
        },
    };
    Ends::Units(units)
}

/// The units that any present sibling of the assigning registers names.
pub fn assigned(record: &Record) -> Vec<UnitId> {
    let mut units: Vec<UnitId> = ASSIGNED
        .iter()
        .flat_map(|register| {
            record
                .register(register)
                .siblings
                .into_iter()
                .map(|w| w.json())
        })
        .flat_map(|value| units_in(&value))
        .collect();
    units.sort_unstable();
    units.dedup();
    units
}

/// The unit ids under the key `units` of a register's value.
pub fn units_in(value: &Value) -> Vec<UnitId> {
    let list = value["units"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter()
        .filter_map(|unit| unit.as_str()?.parse().ok())
        .collect()
}
