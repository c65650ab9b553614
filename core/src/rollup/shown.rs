//! Adding rollups, for showing only. Nothing here is sent up or stored.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::count::GroupRollup;
use crate::model::values::OrgLevel;

/// The sum of some rollups whose issuers are of one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LevelTotal {
    /// How many rollups are in it.
    pub rollups: u32,
    /// The day the oldest of them was evaluated on; `total.evaluated_on` is the newest.
    pub evaluated_from: Date,
    /// The sum. `version` is the lowest of them.
    pub total: GroupRollup,
}

/// Totals by the level of the issuers, never added into one number: a ministry's task and the provincial
/// tasks made from it are the same work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShownTotals {
    /// By level.
    pub by_level: BTreeMap<OrgLevel, LevelTotal>,
}

/// Adds rollups of one period, each with the level of its issuer.
pub fn add(rollups: &[(OrgLevel, &GroupRollup)]) -> ShownTotals {
    let mut totals = ShownTotals::default();
    for (level, rollup) in rollups {
        let found = totals.by_level.entry(*level).or_insert_with(|| LevelTotal {
            rollups: 0,
            evaluated_from: rollup.evaluated_on,
            total: GroupRollup {
                version: rollup.version,
                ..GroupRollup::empty(rollup.evaluated_on)
            },
        });
        found.rollups += 1;
        found.evaluated_from = found.evaluated_from.min(rollup.evaluated_on);
        found.total.absorb(rollup);
    }
    totals
        .by_level
        .values_mut()
        .for_each(|level| level.total.settle());
    totals
}

impl GroupRollup {
    fn absorb(&mut self, other: &GroupRollup) {
        self.tasks.add(&other.tasks);
        self.assignments.add(&other.assignments);
        let sums = [
            (&mut self.unresolved_lead, other.unresolved_lead),
            (&mut self.warnings.overdue, other.warnings.overdue),
            (&mut self.warnings.behind, other.warnings.behind),
            (&mut self.warnings.insufficient, other.warnings.insufficient),
            (&mut self.evidence_pending, other.evidence_pending),
            (&mut self.provisional, other.provisional),
            (&mut self.in_conflict, other.in_conflict),
            (&mut self.not_read, other.not_read),
        ];
        for (mine, theirs) in sums {
            *mine = mine.saturating_add(theirs);
        }
        // A unit with tasks in several groups is one unit: coverage is counted anew from the units.
        for (unit, theirs) in &other.units {
            let mine = self.units.entry(*unit).or_default();
            mine.received = mine.received.saturating_add(theirs.received);
            mine.expected = mine.expected.saturating_add(theirs.expected);
            mine.as_of = mine.as_of.max(theirs.as_of);
        }
        self.evaluated_on = self.evaluated_on.max(other.evaluated_on);
        self.version = self.version.min(other.version);
    }
}
