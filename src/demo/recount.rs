//! The ministry's numbers once more, added up from what each leaf holds: nothing here uses the rollup code.

use std::collections::BTreeMap;

use serde_json::Value;

use super::DemoError;
use super::place::Place;

/// Counts of one issuer's tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tasks in all.
    pub tasks: u64,
    /// Those whose every lead has submitted them as completed.
    pub completed: u64,
}

/// Counts by issuer: the tasks from the issuer's own list, what became of them from the leaves' own reports.
pub fn from_leaves(nodes: &[Place]) -> Result<BTreeMap<String, Count>, DemoError> {
    let mut said: BTreeMap<(String, String), String> = BTreeMap::new();
    for place in nodes {
        for report in place.list(&["report", "list", "--unit", &place.code])? {
            if report["submitted"] == Value::Bool(true) {
                let field = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
                said.insert((field("task"), field("unit")), field("stated_status"));
            }
        }
    }
    let mut counts = BTreeMap::new();
    for place in nodes.iter().filter(|place| place.code.len() == 2) {
        let count: &mut Count = counts.entry(place.code.clone()).or_default();
        for task in place.list(&["task", "list", "--issuer", &place.code])? {
            let id = task["id"].as_str().unwrap_or_default().to_owned();
            let leads: Vec<&str> = task["lead"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let done = |unit: &&str| {
                said.get(&(id.clone(), (*unit).to_owned()))
                    .is_some_and(|status| status == "completed")
            };
            let unresolved = task["lead_unresolved"]
                .as_array()
                .is_some_and(|names| !names.is_empty());
            count.tasks += 1;
            count.completed +=
                u64::from(!leads.is_empty() && !unresolved && leads.iter().all(done));
        }
    }
    Ok(counts)
}

/// Whether a rollup's rows by issuer say the same.
pub fn agrees(rollup: &Value, counted: &BTreeMap<String, Count>) -> bool {
    let rows = rollup["issuers"].as_array().cloned().unwrap_or_default();
    counted.iter().all(|(issuer, count)| {
        rows.iter()
            .find(|row| row["issuer"] == issuer.as_str())
            .is_some_and(|row| {
                let status = |name: &str| row["tasks"]["by_status"][name].as_u64().unwrap_or(0);
                row["tasks"]["total"].as_u64() == Some(count.tasks)
                    && status("completed_on_time") + status("completed_late") == count.completed
            })
    })
}
