//! *Units*: every unit with its last contact, what was due and what came, and why something is late: the unit, the line
//! or this node.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields};

/// The tree.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = data(&console, &person, &asked).await;
    console.page(&person, "tree", "tree.html", data).await
}

async fn data(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let units = console.read(person, super::all_units()).await?;
    let nodes = console.read(person, Command::NodeList).await?;
    let home = console.home().await;
    let period = Command::PeriodList {
        unit: home["code"].as_str().map(str::to_owned),
        period: asked.text("period"),
    };
    let periods = console.read(person, period).await?;
    let by = |list: &Value, field: &str| -> HashMap<String, Value> {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let keyed = items
            .into_iter()
            .filter_map(|item| Some((item[field].as_str()?.to_owned(), item)));
        keyed.collect()
    };
    let (nodes_by_id, periods_by_unit) = (by(&nodes, "node"), by(&periods, "unit"));
    let mut rows = Vec::new();
    let mut listed: Vec<&Value> = units["items"].as_array().into_iter().flatten().collect();
    listed.sort_by_key(|unit| unit["path"].as_str().unwrap_or_default().to_owned());
    for unit in listed {
        let code = unit["code"].as_str().unwrap_or_default();
        let node = unit["served_by"]
            .as_str()
            .and_then(|id| nodes_by_id.get(id));
        let period = periods_by_unit.get(code);
        let depth = unit["path"]
            .as_str()
            .unwrap_or_default()
            .matches('/')
            .count();
        rows.push(json!({
            "unit": unit,
            "depth": depth.min(6),
            "node": node,
            "period": period,
            "why_late": period.and_then(|period| why_late(period, node)),
        }));
    }
    Ok(json!({
        "rows": rows,
        "period": periods["period"],
        "due": periods["due"],
        "asked": asked.get("period"),
    }))
}

/// Why a unit's reports are not in after the deadline; `None` where nothing is late. What was written before the line
/// failed may wait there: then it is not yet the unit's fault.
fn why_late(period: &Value, node: Option<&Value>) -> Option<&'static str> {
    if period["overdue"] != true {
        return None;
    }
    let Some(node) = node else {
        return Some("unit");
    };
    match node["state"].as_str() {
        Some("ok" | "carried") => Some("unit"),
        Some("revoked" | "refused") => Some("parent"),
        _ => Some("line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_laid_to_the_unit_only_when_its_node_is_heard() {
        let late = json!({ "overdue": true });
        let node = |state: &str| json!({ "state": state });
        assert_eq!(why_late(&json!({ "overdue": false }), None), None);
        assert_eq!(why_late(&late, None), Some("unit"));
        assert_eq!(why_late(&late, Some(&node("ok"))), Some("unit"));
        assert_eq!(why_late(&late, Some(&node("silent"))), Some("line"));
        assert_eq!(why_late(&late, Some(&node("down"))), Some("line"));
        assert_eq!(why_late(&late, Some(&node("revoked"))), Some("parent"));
    }
}
