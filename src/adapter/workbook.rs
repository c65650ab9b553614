//! Records as rows for a workbook, and the edits that come back with it.

pub mod grid;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use nqsync_core::sync::Token;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::ours::{self, About, Applied, Change, Fields, Ours, Scope, own_fields, register_of};
use super::profile::StreamKind;
use crate::api::{Answer, Exit, Failure, ImportKind, Lang, Outcome, Request};
use crate::node::commands::views::View;
use crate::node::commands::{self, refuse, resolve, surroundings};
use crate::node::{Node, Refusal};
use crate::sheet::records::parse_status;
use crate::sheet::replica::{Base, Edited, Returned, hash};
use crate::store::{Rec, StoreError, audit};

/// Records read at once.
const PAGE: u32 = 500;
/// Rows given to the writer at once: they share its commits.
const AT_ONCE: usize = 128;

/// Which records to export.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// What the rows are.
    pub kind: ImportKind,
    /// The unit; default: the node's own.
    pub unit: Option<&'a str>,
    /// The reporting period; default: the current one.
    pub period: Option<&'a str>,
    /// Whether the units below are in it too.
    pub subtree: bool,
}

fn stream_kind(kind: ImportKind) -> Result<StreamKind, Refusal> {
    match kind {
        ImportKind::Reports => Ok(StreamKind::Progress),
        ImportKind::Tasks => Ok(StreamKind::Tasks),
        ImportKind::Indicators => Ok(StreamKind::Indicators),
        ImportKind::Units => Err(Refusal::usage("export-units", [])),
    }
}

/// Records as rows, each with the mark of what it was made from.
pub async fn export(node: &Node, request: &Request, asked: &Asked<'_>) -> Outcome {
    let lang = request.lang;
    let rows = rows(node, request, asked)
        .await
        .map_err(|refusal| refuse(lang, refusal))?;
    Ok(Answer {
        exit: Exit::Done,
        data: rows,
        notes: Vec::new(),
    })
}

async fn rows(node: &Node, request: &Request, asked: &Asked<'_>) -> Result<Value, Refusal> {
    let kind = stream_kind(asked.kind)?;
    let shown = node.store.shown();
    let home = shown.unit.ok_or(StoreError::NotEnrolled)?;
    let unit = asked
        .unit
        .map_or(Ok(home), |text| resolve(&shown.tree, text, home))?;
    let period = match asked.period {
        Some(text) => text
            .parse()
            .map_err(|_| Refusal::usage("bad-period", [("period", text.to_owned())]))?,
        None => node.current_period(),
    };
    let scope = Scope {
        kind,
        unit,
        subtree: asked.subtree,
        period,
        ceiling: node.store.level(),
    };
    let (mut rows, mut after) = (Vec::new(), Some(Rec(0)));
    while let Some(from) = after {
        let (worker, asked, scope) = (node.clone(), request.clone(), scope.clone());
        let read = node.store.read(move |connection| {
            let on = surroundings(&worker, connection, &asked)?;
            ours::load(&on.view(), &scope, from, PAGE)
        });
        let (page, next) = read.await?;
        rows.extend(page.into_iter().map(|ours| row(kind, request.lang, ours)));
        after = next;
    }
    rows.sort_by_key(|row| row["order"].as_str().unwrap_or_default().to_owned());
    let fields: Vec<&str> = own_fields(kind).iter().map(|(name, _)| *name).collect();
    Ok(json!({
        "kind": asked.kind,
        "unit": { "code": shown.tree.code(unit), "name": shown.tree.get(unit).map(|u| u.name.clone()) },
        "period": period.to_string(),
        "fields": fields,
        "total": rows.len(),
        "rows": rows,
    }))
}

fn row(kind: StreamKind, lang: Lang, ours: Ours) -> Value {
    let cells: BTreeMap<&str, String> = own_fields(kind)
        .iter()
        .map(|(name, _)| (*name, cell(lang, name, &ours.fields)))
        .collect();
    let hashes = cells
        .iter()
        .map(|(name, text)| ((*name).to_owned(), hash(text)));
    let base = Base {
        about: json!(ours.about),
        token: ours.token,
        cells: hashes.collect(),
    };
    let task = &ours.context["task"];
    let number = |text: &Value| format!("{:0>6}", text.as_str().unwrap_or_default());
    json!({
        "order": format!("{} {} {}", task["group"].as_str().unwrap_or_default(), number(&task["number"]), ours.record),
        "task": task, "indicator": ours.context["indicator"], "unit": ours.context["unit"],
        "cells": cells, "mark": base.mark(), "record": ours.record, "begun": ours.begun,
    })
}

/// A field as it stands in a cell: status words in the reader's language, everything else as it is.
fn cell(lang: Lang, name: &str, fields: &Fields) -> String {
    let text = fields.get(name).cloned().unwrap_or_default();
    match name == "status" && !text.is_empty() {
        true => crate::text::text(
            lang,
            &format!("word-status-{}", text.replace('_', "-")),
            &[],
        ),
        false => text,
    }
}

/// A cell that came back, in the words in which it goes out: a status may be typed in others.
fn as_shown(lang: Lang, name: &str, text: &str) -> String {
    let status = (name == "status").then(|| parse_status(text)).flatten();
    match status {
        Some(status) => cell(
            lang,
            name,
            &Fields::from([(name.to_owned(), status.to_owned())]),
        ),
        None => text.to_owned(),
    }
}

/// What one cell that came back means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It says what our record says now.
    Same,
    /// It is written.
    Edited,
    /// Our record changed too: both values are kept until somebody decides.
    Conflict,
}

/// Edits of a workbook that came back: told cell by cell, and written unless it is a trial.
pub async fn take_back(taking: Taking, source: &str, returned: Returned) -> Outcome {
    let (mut items, mut jobs) = (Vec::new(), JoinSet::new());
    let total = returned.edited.len();
    let mut joined =
        |item: Option<Result<Result<Vec<Value>, StoreError>, _>>| -> Result<(), Failure> {
            let failed = |error: StoreError| refuse(taking.lang, error.into());
            let rows = item.unwrap_or(Ok(Ok(Vec::new())));
            let rows = rows
                .map_err(|e: tokio::task::JoinError| failed(StoreError::Panicked(e.to_string())))?;
            items.extend(rows.map_err(failed)?);
            Ok(())
        };
    for edited in returned.edited {
        if jobs.len() >= AT_ONCE {
            joined(jobs.join_next().await)?;
        }
        let taking = taking.clone();
        jobs.spawn(async move { taking.row(edited).await });
    }
    while !jobs.is_empty() {
        joined(jobs.join_next().await)?;
    }
    items.sort_by_key(|item| (item["row"].as_u64(), item["field"].to_string()));
    let count = |outcome: &str| {
        items
            .iter()
            .filter(|item| item["outcome"] == outcome)
            .count()
    };
    let refused = count("refused");
    let data = json!({
        "source": source, "dry_run": taking.trial, "rows": total + returned.unchanged, "unchanged": returned.unchanged,
        "edited": count("edited"), "same": count("same"), "conflict": count("conflict"), "refused": refused,
        "untraced": returned.untraced, "lost_columns": returned.lost_columns, "items": items,
    });
    let whole = refused == 0 && returned.untraced.is_empty();
    Ok(Answer {
        exit: if whole { Exit::Done } else { Exit::Partly },
        data,
        notes: Vec::new(),
    })
}

/// How a workbook that came back is taken.
#[derive(Clone)]
pub struct Taking {
    /// The node.
    pub node: Node,
    /// Language of what is told.
    pub lang: Lang,
    /// Who brings it.
    pub person: String,
    /// The unit acted for where a row names none.
    pub acting_for: Option<String>,
    /// Tell only.
    pub trial: bool,
    /// Whether reports are submitted as well.
    pub submit: bool,
    /// Codes of the units it may speak for; `None`: all that the node's own rules allow.
    pub units: Option<Arc<HashSet<String>>>,
}

impl Taking {
    /// One row: what became of each of its edited cells.
    async fn row(&self, edited: Edited) -> Result<Vec<Value>, StoreError> {
        let Ok(about) = serde_json::from_value::<About>(edited.base.about.clone()) else {
            return Ok(vec![self.refused(&edited, "", "unreadable mark")]);
        };
        if let Some(unit) = self.stranger(&about) {
            let message = crate::text::text(self.lang, "adapter-not-for-unit", &[("unit", unit)]);
            return Ok(vec![self.refused(&edited, "", &message)]);
        }
        let judged = match self.judge(&about, &edited).await {
            Ok(judged) => judged,
            Err(refusal) => {
                let message = refuse(self.lang, refusal).message;
                return Ok(vec![self.refused(&edited, "", &message)]);
            }
        };
        let write = judged
            .iter()
            .filter(|(_, verdict, _)| *verdict != Verdict::Same);
        let fields: Fields = write
            .map(|(field, _, _)| (field.clone(), edited.cells[field].clone()))
            .collect();
        let mut note = None;
        if !self.trial && !fields.is_empty() {
            match self.write(about, fields, &edited).await {
                Ok(applied) => note = applied.not_submitted,
                Err(refusal) => {
                    let message = refuse(self.lang, refusal).message;
                    return Ok(judged
                        .iter()
                        .map(|(field, _, _)| self.refused(&edited, field, &message))
                        .collect());
                }
            }
        }
        Ok(judged
            .into_iter()
            .map(|(field, verdict, now)| {
                let outcome = match verdict {
                    Verdict::Same => "same",
                    Verdict::Edited => "edited",
                    Verdict::Conflict => "conflict",
                };
                json!({ "row": edited.row, "field": field, "outcome": outcome, "here": now, "cell": edited.cells[&field], "note": note })
            })
            .collect())
    }

    /// The unit of a row that this workbook may not speak for: a mark can be forged.
    fn stranger<'a>(&self, about: &'a About) -> Option<&'a str> {
        let unit = match about {
            About::Report { unit, .. } | About::Figure { unit, .. } => unit,
            About::Task(_) | About::Texts { .. } | About::Directive(_) => return None,
        };
        let allowed = self.units.as_ref()?;
        (!allowed.contains(unit)).then_some(unit)
    }

    fn refused(&self, edited: &Edited, field: &str, why: &str) -> Value {
        let cell = edited.cells.get(field);
        json!({ "row": edited.row, "field": field, "outcome": "refused", "reason": why, "cell": cell })
    }

    /// Each edited cell against what our record says now.
    async fn judge(
        &self,
        about: &About,
        edited: &Edited,
    ) -> Result<Vec<(String, Verdict, String)>, Refusal> {
        let (kind, unit) = match about {
            About::Report { unit, .. } => (StreamKind::Progress, Some(unit.clone())),
            About::Figure { unit, .. } => (StreamKind::Indicators, Some(unit.clone())),
            _ => (StreamKind::Tasks, None),
        };
        let (node, about, lang) = (self.node.clone(), about.clone(), self.lang);
        // The tree that the writer keeps: one row of fifty thousand must not read all units again.
        let shown = self.node.store.shown();
        let home = shown.unit.ok_or(StoreError::NotEnrolled)?;
        let here = shown.node.ok_or(StoreError::NotEnrolled)?;
        let read = self.node.store.read(move |connection| {
            let unit = unit.map_or(Ok(home), |unit| resolve(&shown.tree, &unit, home))?;
            let period = match &about {
                About::Report { period, .. } | About::Figure { period, .. } => period.parse().ok(),
                _ => None,
            };
            let scope = Scope {
                kind,
                unit,
                subtree: true,
                period: period.unwrap_or_else(|| node.current_period()),
                ceiling: node.store.level(),
            };
            let view = View {
                connection,
                tree: &shown.tree,
                home,
                here,
                zone: &node.settings.zone,
                period: node.settings.period,
                duties: &node.settings.duties,
                now_ms: node.clock.now_ms(),
                lang,
            };
            ours::load_one(&view, &scope, &about)
        });
        let now = read.await?.ok_or_else(|| Refusal::usage("row-gone", []))?;
        let shown = |field: &str| cell(self.lang, field, &now.fields);
        let moved = |field: &String| edited.base.cells.get(field) != Some(&hash(&shown(field)));
        let judge = |(field, text): (&String, &String)| {
            let register = register_of(kind, field);
            // What means something only together with another cell moved when that one did.
            let others = edited
                .base
                .cells
                .keys()
                .filter(|other| register_of(kind, other) == register);
            let verdict = match (
                hash(&as_shown(self.lang, field, text)) == hash(&shown(field)),
                others.into_iter().any(moved),
            ) {
                (true, _) => Verdict::Same,
                (false, true) => Verdict::Conflict,
                (false, false) => Verdict::Edited,
            };
            (field.clone(), verdict, shown(field))
        };
        Ok(edited.cells.iter().map(judge).collect())
    }

    async fn write(
        &self,
        about: About,
        fields: Fields,
        edited: &Edited,
    ) -> Result<Applied, Refusal> {
        let unit = match &about {
            About::Report { unit, .. } | About::Figure { unit, .. } => Some(unit.clone()),
            _ => self.acting_for.clone(),
        };
        let token = match edited.base.token.is_empty() {
            true => Token::default().to_string(),
            false => edited.base.token.clone(),
        };
        let change = Change {
            about,
            fields,
            token: Some(token),
            submit: self.submit,
            acting_for: unit,
            author: self.person.clone(),
        };
        let (node, lang) = (self.node.clone(), self.lang);
        self.node
            .store
            .write(move |tx| {
                let applied = ours::apply(&node, tx, &change, lang)?;
                let act = audit::Act {
                    at: node.clock.now_ms(),
                    actor: &change.author,
                    act: "workbook.edited",
                    subject: &applied.record.to_string(),
                    detail: json!({ "fields": change.fields.keys().collect::<Vec<_>>() }),
                };
                audit::append(tx, &act)?;
                Ok::<_, Refusal>(applied)
            })
            .await
    }
}

/// The rows of a returned workbook, as the command line hands them over.
pub fn read_rows(lang: Lang, rows: &Value) -> Result<Returned, Failure> {
    Returned::deserialize(rows).map_err(|error| {
        let refusal = Refusal::usage("bad-json", [("reason", error.to_string())]);
        commands::refuse(lang, refusal)
    })
}
