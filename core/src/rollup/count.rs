//! What a rollup says.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::status::Standing;
use crate::model::UnitId;

/// Version of the counting rules. Every rollup carries the one it was made by. It goes up with every change of what a
/// number means, so that what newer rules made is never added to what ours made.
pub const RULES: u32 = 1;

/// Why a rollup that another node made is in no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCounted {
    /// Made by rules that are not known here, see [`RULES`]: an upgrade of this node will count it.
    UnknownVersion(u64),
    /// It does not even say by which rules, or is not what these rules make.
    Unreadable,
}

impl NotCounted {
    /// Its name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            NotCounted::UnknownVersion(_) => "unknown_version",
            NotCounted::Unreadable => "unreadable",
        }
    }

    /// The version of the rules, where that is what is not known.
    pub fn version(self) -> Option<u64> {
        match self {
            NotCounted::UnknownVersion(version) => Some(version),
            NotCounted::Unreadable => None,
        }
    }
}

/// The line of tasks whose lead is missing or not understood.
pub const UNRESOLVED_LEAD: &str = "unresolved_lead";

/// How many, and in which state. The lines of `by_status` add up to `total`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub total: u32,
    /// By derived state, and [`UNRESOLVED_LEAD`].
    pub by_status: BTreeMap<String, u32>,
    /// Completed on time, or under way and not past the due day.
    pub on_time: u32,
    /// Completed late, or open past the due day.
    pub late: u32,
}

/// Whose reports are in these numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Units all of whose expected reports arrived.
    pub units_reported: u32,
    /// Units that had to report.
    pub units_expected: u32,
    /// Reports of the period that arrived.
    pub reports_received: u32,
    /// Reports that had to arrive.
    pub reports_expected: u32,
    /// Nothing is missing, everything could be read, and of every task it is known who has to report.
    pub complete: bool,
}

/// One unit's part in the coverage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitCoverage {
    /// Reports that arrived.
    pub received: u32,
    /// Reports that had to arrive.
    pub expected: u32,
    /// The latest submission counted, ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<i64>,
}

/// Tasks with a red warning, by kind; a task can be in more than one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warnings {
    /// Open past the due day.
    pub overdue: u32,
    /// At less than half of where the calendar says it should be.
    pub behind: u32,
    /// Rejected after the evidence was looked at.
    pub insufficient: u32,
}

/// From when the numbers are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// Of the units that reported, the one that did so longest ago: ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<i64>,
    /// The latest submission of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<i64>,
}

/// The counts of one issuer's tasks of one group in one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRollup {
    /// Each task once, by its lead's progress.
    pub tasks: Counts,
    /// Each task × assigned unit.
    pub assignments: Counts,
    /// Tasks of which it is not known who leads them.
    pub unresolved_lead: u32,
    /// Whose reports are in.
    pub coverage: Coverage,
    /// Red warnings, of tasks.
    pub warnings: Warnings,
    /// Assignments completed, whose evidence no reviewer has looked at yet.
    pub evidence_pending: u32,
    /// Assignments whose on time or late is not final yet.
    pub provisional: u32,
    /// Assignments whose report was submitted differently at two places.
    pub in_conflict: u32,
    /// Tasks and reports in these numbers of which something is written in a form that is not known here.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_read: u32,
    /// Part of each assigned unit.
    pub units: BTreeMap<UnitId, UnitCoverage>,
    /// From when.
    pub as_of: AsOf,
    /// The day that due days were compared with.
    pub evaluated_on: Date,
    /// Version of the rules, see [`RULES`].
    pub version: u32,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

impl GroupRollup {
    /// Reads what another node counted.
    ///
    /// # Errors
    /// [`NotCounted`], where its numbers must not be added to ours. The version is looked at first: numbers of other
    /// rules may well have the same form.
    pub fn parse(value: &Value) -> Result<GroupRollup, NotCounted> {
        let version = value["version"].as_u64().ok_or(NotCounted::Unreadable)?;
        if !(1..=u64::from(RULES)).contains(&version) {
            return Err(NotCounted::UnknownVersion(version));
        }
        GroupRollup::deserialize(value).map_err(|_| NotCounted::Unreadable)
    }

    /// Nothing counted yet.
    pub fn empty(evaluated_on: Date) -> GroupRollup {
        GroupRollup {
            tasks: Counts::default(),
            assignments: Counts::default(),
            unresolved_lead: 0,
            coverage: Coverage::default(),
            warnings: Warnings::default(),
            evidence_pending: 0,
            provisional: 0,
            in_conflict: 0,
            not_read: 0,
            units: BTreeMap::new(),
            as_of: AsOf::default(),
            evaluated_on,
            version: RULES,
        }
    }

    /// Coverage and as-of follow from the units' parts.
    pub(super) fn settle(&mut self) {
        let mut coverage = Coverage::default();
        let mut as_of = AsOf::default();
        for unit in self.units.values() {
            coverage.reports_received += unit.received;
            coverage.reports_expected += unit.expected;
            coverage.units_expected += u32::from(unit.expected > 0);
            coverage.units_reported +=
                u32::from(unit.expected > 0 && unit.received >= unit.expected);
            if let Some(at) = unit.as_of {
                as_of.oldest = Some(as_of.oldest.map_or(at, |oldest| oldest.min(at)));
                as_of.newest = as_of.newest.max(Some(at));
            }
        }
        coverage.complete = coverage.reports_received >= coverage.reports_expected
            && self.unresolved_lead == 0
            && self.not_read == 0;
        self.coverage = coverage;
        self.as_of = as_of;
    }
}

impl Counts {
    /// Counts one standing.
    pub(super) fn count(&mut self, standing: &Standing) {
        use super::status::Derived;
        self.count_as(standing.derived.as_str());
        let late = standing.overdue || standing.derived == Derived::CompletedLate;
        let on_time = matches!(
            standing.derived,
            Derived::CompletedOnTime | Derived::InProgress
        );
        self.late += u32::from(late);
        self.on_time += u32::from(on_time && !late);
    }

    /// Counts one under a name.
    pub(super) fn count_as(&mut self, name: &str) {
        self.total += 1;
        *self.by_status.entry(name.to_owned()).or_default() += 1;
    }

    /// Adds others of the same measure.
    pub(super) fn add(&mut self, other: &Counts) {
        self.total = self.total.saturating_add(other.total);
        self.on_time = self.on_time.saturating_add(other.on_time);
        self.late = self.late.saturating_add(other.late);
        for (name, count) in &other.by_status {
            let mine = self.by_status.entry(name.clone()).or_default();
            *mine = mine.saturating_add(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_known_rules_made_is_read() {
        let made = GroupRollup::empty(jiff::civil::date(2026, 3, 31));
        let mut value = serde_json::to_value(&made).expect("JSON");
        assert_eq!(GroupRollup::parse(&value), Ok(made));
        value["a newer field"] = json!(7);
        assert!(GroupRollup::parse(&value).is_ok(), "more is no harm");
        for version in [0, u64::from(RULES) + 1, u64::MAX] {
            value["version"] = json!(version);
            let read = GroupRollup::parse(&value);
            assert_eq!(read, Err(NotCounted::UnknownVersion(version)));
        }
        for version in [json!(null), json!("1"), json!(-1), json!(1.5)] {
            value["version"] = version;
            assert_eq!(GroupRollup::parse(&value), Err(NotCounted::Unreadable));
        }
        let other = json!({ "version": RULES, "tasks": 3 });
        assert_eq!(GroupRollup::parse(&other), Err(NotCounted::Unreadable));
        assert_eq!(GroupRollup::parse(&json!(3)), Err(NotCounted::Unreadable));
    }
}
