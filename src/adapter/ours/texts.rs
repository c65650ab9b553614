//! What a unit submitted in a period, gathered from its reports into one text for each field.

use std::collections::BTreeMap;

use nqsync_core::model::values::Submission;
use nqsync_core::model::{Facts, Kind, UnitId};
use serde_json::json;

use super::load::{period_context, unit_context};
use super::{About, Fields, Ours, Scope};
use crate::node::Refusal;
use crate::node::commands::refs;
use crate::node::commands::views::{View, maybe};
use crate::store::records;

const NAMES: [&str; 3] = ["result", "difficulties", "next_steps"];

/// One record for each unit of the scope, whether it submitted anything or not.
pub fn load(view: &View<'_>, scope: &Scope) -> Result<Vec<Ours>, Refusal> {
    let mut texts = submitted(view, scope)?;
    let units = view
        .tree
        .iter()
        .map(|unit| unit.id)
        .filter(|unit| scope.covers(view, *unit));
    let mut found = Vec::new();
    for unit in units {
        let mut fields = Fields::new();
        for (name, mut lines) in texts.remove(&unit).unwrap_or_default() {
            lines.sort();
            // A unit with one task needs no headings; with several, each line says which task it is about.
            let alone = lines.len() == 1;
            let line = |(task, text): &(String, String)| match alone {
                true => text.clone(),
                false => format!("- {task}: {text}"),
            };
            fields.insert(
                name.to_owned(),
                lines.iter().map(line).collect::<Vec<_>>().join("\n"),
            );
        }
        let code = view.tree.code(unit);
        found.push(Ours {
            about: About::Texts {
                unit: code,
                period: scope.period.to_string(),
            },
            record: unit.0,
            begun: true,
            owned: true,
            token: String::new(),
            undecided: Vec::new(),
            submitted: None,
            context: json!({ "unit": unit_context(view, unit), "period": period_context(&scope.period),
                "fields": fields }),
            fields,
        });
    }
    Ok(found)
}

type Texts = BTreeMap<&'static str, Vec<(String, String)>>;

/// Task and text by field, by unit; only what was submitted: a draft is nobody's word yet.
fn submitted(view: &View<'_>, scope: &Scope) -> Result<BTreeMap<UnitId, Texts>, Refusal> {
    let period = scope.period.to_string();
    let mut found: BTreeMap<UnitId, Texts> = BTreeMap::new();
    for stored in records::of_kind(view.connection, Kind::Report)? {
        if !scope.admits(&stored.record) {
            continue;
        }
        let Facts::Report { unit, task, .. } = stored.record.facts() else {
            continue;
        };
        if stored.record.facts().period() != Some(&period) || !scope.covers(view, *unit) {
            continue;
        }
        let Some(submission) = maybe::<Submission>(&stored.record, "submission") else {
            continue;
        };
        let title = match records::load(view.connection, *task)? {
            Some(task) => refs::title(&task.record),
            None => String::new(),
        };
        let values = json!(submission.values);
        for name in NAMES {
            if let Some(text) = values[name].as_str().filter(|text| !text.trim().is_empty()) {
                let texts = found.entry(*unit).or_default();
                texts
                    .entry(name)
                    .or_default()
                    .push((title.clone(), normal(text)));
            }
        }
    }
    Ok(found)
}

/// One line for each paragraph, so that a text reads back as it was written.
fn normal(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}
