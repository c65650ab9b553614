//! Rows of a plan to tasks.

use std::collections::HashSet;

use nqsync_core::model::values::Group;
use nqsync_core::model::{Facts, UnitId};
use nqsync_core::sync::Record;
use serde_json::{Value, json};

use super::{Plan, Row, Step, differing};
use crate::node::Refusal;
use crate::node::commands::Values;
use crate::node::commands::tasks::{Held, assign, assigned_value, group_value, text_value};
use crate::node::commands::views::View;
use crate::sheet::{PlanRow, PlanSheet};
use crate::store::{Stored, queries, records};

pub(super) fn plan(
    view: &View<'_>,
    issuer: UnitId,
    source: &str,
    sheet: PlanSheet,
) -> Result<Plan, Refusal> {
    let mut plan = Plan::begin(view, &sheet.remarks);
    let mut keys = HashSet::new();
    for row in &sheet.rows {
        if !keys.insert(row.row_key.as_str()) {
            let refusal = Refusal::usage("row-twice", [("row", row.row.to_string())]);
            plan.refuse(view, row.row, &row.title, &refusal);
            continue;
        }
        let content = PlanRow {
            row: 0,
            ..row.clone()
        };
        let content = serde_json::to_vec(&content).unwrap_or_default();
        let known = known(view, source, &row.row_key)?;
        let held = known.as_ref().map(|(stored, _)| stored.record.clone());
        let held = held.as_ref();
        let after = values_of(view, issuer, row, held);
        remark_names(view, &mut plan, row, &after);
        let step = match known {
            None => {
                let mut values = after;
                values.retain(|_, value| !value.is_null());
                Step::Create(
                    Box::new(Facts::Task {
                        issuer,
                        parent: None,
                    }),
                    values,
                )
            }
            Some((stored, _)) if stored.record.facts().owner() != Some(issuer) => {
                let owner = stored
                    .record
                    .facts()
                    .owner()
                    .map(|unit| view.tree.code(unit));
                let args = [
                    ("kind", "task".to_owned()),
                    ("owner", owner.unwrap_or_default()),
                    ("unit", view.tree.code(issuer)),
                ];
                plan.refuse(
                    view,
                    row.row,
                    &row.title,
                    &Refusal::usage("not-owner", args),
                );
                continue;
            }
            Some((stored, before)) => {
                let before = before
                    .map(|old| values_of(view, issuer, &old, held))
                    .unwrap_or_default();
                let values = differing(&stored, &before, after);
                match values.is_empty() {
                    true => Step::Keep(Some(stored.record.key().id)),
                    false => Step::Update(Box::new(stored), values),
                }
            }
        };
        let item = item_of(view, issuer, row, held, step.action());
        plan.rows.push(Row {
            item,
            step,
            memory: Some((row.row_key.clone(), content)),
        });
    }
    Ok(plan)
}

/// The task that the row became before, and what the row said then.
fn known(
    view: &View<'_>,
    source: &str,
    key: &str,
) -> Result<Option<(Stored, Option<PlanRow>)>, Refusal> {
    let Some((id, content)) = queries::import_row(view.connection, source, key)? else {
        return Ok(None);
    };
    let stored = records::load(view.connection, id)?;
    Ok(stored.map(|stored| (stored, serde_json::from_slice(&content).ok())))
}

fn values_of(view: &View<'_>, issuer: UnitId, row: &PlanRow, held: Option<&Record>) -> Values {
    let group = Group {
        code: row.group_code.clone(),
        title: row.group_title.clone(),
    };
    let units = |register, text: &str, names: &[String]| {
        assign(view.tree, issuer, text, names, &Held::of(held, register))
    };
    let lead = units("lead", &row.lead_text, &row.lead_names);
    let coordinating = units(
        "coordinating",
        &row.coordinating_text,
        &row.coordinating_names,
    );
    let deadline = match row.deadline.text.trim() {
        "" => Value::Null,
        text => json!({ "text": text, "kind": row.deadline.kind, "due": row.deadline.due }),
    };
    let texts = [
        ("number", &row.number),
        ("title", &row.title),
        ("subtask", &row.subtask),
        ("deliverable", &row.deliverable),
        ("kpi", &row.kpi),
        ("programme", &row.programme),
        ("person", &row.person),
        ("authority", &row.authority),
    ];
    let mut values: Values = texts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text_value(text)))
        .collect();
    values.insert("group".to_owned(), group_value(&group));
    values.insert("lead".to_owned(), assigned_value(&lead));
    values.insert("coordinating".to_owned(), assigned_value(&coordinating));
    values.insert("deadline".to_owned(), deadline);
    values
}

/// Names that no known unit carries: the row is taken with its text, to be linked later by an alias.
fn remark_names(view: &View<'_>, plan: &mut Plan, row: &PlanRow, values: &Values) {
    for (register, code) in [
        ("lead", "unknown_lead"),
        ("coordinating", "unknown_coordinating"),
    ] {
        let names = values[register]["unresolved"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for name in names.iter().filter_map(Value::as_str) {
            plan.note(view, row.row, register, code, name);
        }
    }
}

fn item_of(
    view: &View<'_>,
    issuer: UnitId,
    row: &PlanRow,
    held: Option<&Record>,
    action: &str,
) -> Value {
    let had = Held::of(held, "lead");
    let lead = assign(view.tree, issuer, &row.lead_text, &row.lead_names, &had);
    let codes: Vec<String> = lead
        .units
        .iter()
        .map(|unit| view.tree.code(*unit))
        .collect();
    json!({
        "row": row.row,
        "number": row.number,
        "group": row.group_code,
        "title": row.title,
        "subtask": row.subtask,
        "action": action,
        "lead": codes,
        "lead_unresolved": lead.unresolved,
        "deadline": { "text": row.deadline.text, "kind": row.deadline.kind, "due": row.deadline.due },
    })
}
