//! I5: a rollup is the sum of its leaves, counted once more in the plainest way: over tasks and reports as they are on
//! the disk, without the fold.

use std::collections::{BTreeMap, BTreeSet};

use nqsync_core::model::UnitId;
use serde_json::Value;

use super::oracles::{Disk, Held};
use super::reference;

fn value(held: &Held, register: &str) -> Value {
    let present = reference::present(held.edits.iter().map(String::as_str));
    reference::shown(&present, register)
}

/// Compares every rollup of the node's own unit with what its tasks and reports say. Answers the differences.
pub fn check(disk: &Disk, unit: UnitId, at: usize) -> Vec<String> {
    let own = unit.to_string();
    let mut words = Vec::new();
    for held in disk
        .values()
        .filter(|held| held.kind == "rollup" && held.facts["issuer"] == *own)
    {
        let period = held.facts["period"].as_str().unwrap_or_default();
        let group = held.facts["group"].as_str().unwrap_or_default();
        let stored = value(held, "rollup");
        let counted = count(disk, &own, group, period);
        for (what, path, number) in counted {
            let found = path.iter().fold(&stored, |value, key| &value[*key]);
            let found = match found {
                Value::Null => 0,
                other => other.as_u64().unwrap_or(u64::MAX),
            };
            if found != number {
                words.push(format!("I5: node {at}, group {group}, period {period}: {what} is {found}, the leaves say {number}"));
            }
        }
    }
    words
}

type Counted = Vec<(&'static str, Vec<&'static str>, u64)>;

fn count(disk: &Disk, issuer: &str, group: &str, period: &str) -> Counted {
    let mut tasks = 0;
    let mut by_status: BTreeMap<String, u64> = BTreeMap::new();
    let mut assignments = 0;
    for (id, task) in disk
        .iter()
        .filter(|(_, held)| held.kind == "task" && held.facts["issuer"] == *issuer)
    {
        let in_group = value(task, "group")["code"].as_str().unwrap_or_default() == group;
        if !in_group
            || !value(task, "withdrawn").is_null()
            || value(task, "life")["deleted"] == true
        {
            continue;
        }
        tasks += 1;
        let lead = value(task, "lead");
        let units: BTreeSet<String> =
            serde_json::from_value(lead["units"].clone()).unwrap_or_default();
        for unit in units {
            assignments += 1;
            let status = latest(disk, &id.to_string(), &unit, period);
            *by_status.entry(status).or_default() += 1;
        }
    }
    let of = |name: &str| by_status.get(name).copied().unwrap_or(0);
    vec![
        ("the number of tasks", vec!["tasks", "total"], tasks),
        (
            "the number of assignments",
            vec!["assignments", "total"],
            assignments,
        ),
        (
            "assignments not reported",
            vec!["assignments", "by_status", "not_reported"],
            of("none"),
        ),
        (
            "assignments not begun",
            vec!["assignments", "by_status", "not_started"],
            of("not_started"),
        ),
    ]
}

/// The status in the latest submission for periods up to this one.
fn latest(disk: &Disk, task: &str, unit: &str, period: &str) -> String {
    let reports = disk.values().filter(|held| {
        held.kind == "report"
            && held.facts["task"] == *task
            && held.facts["unit"] == *unit
            && held.facts["period"].as_str().is_some_and(|of| of <= period)
    });
    let submitted = reports.filter_map(|held| {
        let version = value(held, "submission");
        let status = version["progress"]["status"].as_str()?.to_owned();
        Some((held.facts["period"].as_str()?.to_owned(), status))
    });
    submitted
        .max()
        .map_or_else(|| "none".to_owned(), |(_, status)| status)
}
