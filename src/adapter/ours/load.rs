//! Reading our side, a page at a time: a node may hold tens of thousands of tasks, an adapter needs few of them at once.

use nqsync_core::calendar::{Deadline, Period};
use nqsync_core::model::values::{Assigned, Figures, FileRef, Group, Progress, Submission};
use nqsync_core::model::{Classification, Facts, Kind, UnitId};
use nqsync_core::sync::{Record, scope};
use serde_json::{Value, json};

use super::{About, Fields, Ours, own_fields};
use crate::adapter::profile::StreamKind;
use crate::node::Refusal;
use crate::node::commands::refs::{Named, is_asked_for};
use crate::node::commands::views::{View, evidence_of, group_of, maybe, text_of, typed};
use crate::store::records::{self, Rec, Stored};

/// The registers of a report that are texts.
const TEXTS: [&str; 3] = ["result", "difficulties", "next_steps"];

/// What an adapter's stream is about.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What is exchanged.
    pub kind: StreamKind,
    /// The unit the adapter acts for, or the node's own.
    pub unit: UnitId,
    /// Whether units below are meant too.
    pub subtree: bool,
    /// The reporting period.
    pub period: Period,
    /// The highest level of secrecy that may be shown to whom it is read for.
    pub ceiling: Classification,
}

impl Scope {
    /// Whether a record may be shown at all.
    pub fn admits(&self, record: &Record) -> bool {
        record.level().may_leave(self.ceiling)
    }

    /// Whether the stream is about a unit.
    pub fn covers(&self, view: &View<'_>, unit: UnitId) -> bool {
        unit == self.unit || (self.subtree && view.tree.is_within(unit, self.unit))
    }
}

/// One page of our records after a row number, and where the next one begins.
pub fn load(
    view: &View<'_>,
    scope: &Scope,
    after: Rec,
    limit: u32,
) -> Result<(Vec<Ours>, Option<Rec>), Refusal> {
    if scope.kind == StreamKind::Texts {
        return Ok((super::texts::load(view, scope)?, None));
    }
    let kind = match scope.kind {
        StreamKind::Progress | StreamKind::Tasks => Kind::Task,
        StreamKind::Indicators => Kind::Indicator,
        StreamKind::Directives => Kind::Directive,
        StreamKind::Texts => Kind::Report,
    };
    let page = records::page_of_kind(view.connection, kind, after, limit)?;
    let next = (page.len() == limit as usize).then(|| page.last().map_or(after, |last| last.rec));
    let mut found = Vec::new();
    for stored in page {
        if stored.record.is_deleted() || !scope.admits(&stored.record) {
            continue;
        }
        match scope.kind {
            StreamKind::Progress => reports(view, scope, &stored, &mut found)?,
            StreamKind::Tasks => found.extend(task(view, scope, &stored)),
            StreamKind::Indicators => figures(view, scope, &stored, &mut found)?,
            StreamKind::Directives => found.extend(directive(view, scope, &stored)),
            StreamKind::Texts => {}
        }
    }
    Ok((found, next))
}

/// One of our records as it is now; `None`: it is gone, or no longer in the stream.
pub fn load_one(view: &View<'_>, scope: &Scope, about: &About) -> Result<Option<Ours>, Refusal> {
    let mut found = Vec::new();
    match about {
        About::Report { task, .. } => {
            if let Some(stored) = records::load(view.connection, *task)?
                && scope.admits(&stored.record)
            {
                reports(view, scope, &stored, &mut found)?;
            }
        }
        About::Task(Some(id)) => {
            let stored = records::load(view.connection, *id)?;
            let stored = stored.filter(|stored| scope.admits(&stored.record));
            found.extend(stored.and_then(|stored| task(view, scope, &stored)));
        }
        About::Figure { .. } => {
            for stored in records::of_kind(view.connection, Kind::Indicator)? {
                if !scope.admits(&stored.record) {
                    continue;
                }
                figures(view, scope, &stored, &mut found)?;
            }
        }
        About::Directive(Some(id)) => {
            let stored = records::load(view.connection, *id)?;
            let stored = stored.filter(|stored| scope.admits(&stored.record));
            found.extend(stored.and_then(|stored| directive(view, scope, &stored)));
        }
        About::Texts { .. } => found = super::texts::load(view, scope)?,
        About::Task(None) | About::Directive(None) => {}
    }
    Ok(found.into_iter().find(|ours| ours.about == *about))
}

/// A task's reports in the period, begun or not, of the units the stream is about.
fn reports(
    view: &View<'_>,
    scope: &Scope,
    task: &Stored,
    found: &mut Vec<Ours>,
) -> Result<(), Refusal> {
    if !is_asked_for(task) {
        return Ok(());
    }
    for unit in scope::assigned(&task.record) {
        if scope.covers(view, unit) {
            found.push(report(view, scope, task, unit)?);
        }
    }
    Ok(())
}

fn report(view: &View<'_>, scope: &Scope, task: &Stored, unit: UnitId) -> Result<Ours, Refusal> {
    let named = Named {
        task: task.clone(),
        unit,
        period: scope.period,
        report: None,
    };
    let id = named.facts().natural_id().unwrap_or_default();
    let stored = records::load(view.connection, id)?;
    let stored = stored.filter(|stored| !stored.record.is_deleted());
    let record = stored.as_ref().map(|stored| &stored.record);
    let mut fields = Fields::new();
    if let Some(record) = record {
        let progress: Option<Progress> = maybe(record, "progress");
        put_progress(&mut fields, progress);
        for name in TEXTS {
            put(&mut fields, name, &text_of(record, name));
        }
        put_figures(&mut fields, typed(record, "figures"));
    }
    let task_id = task.record.key().id;
    let files = evidence_of(view, task_id, unit, Some(&scope.period.to_string()))?;
    let files = files
        .iter()
        .filter_map(|stored| maybe::<FileRef>(&stored.record, "file"));
    let submitted = record.and_then(|r| maybe::<Submission>(r, "submission"));
    let context = json!({
        "task": task_context(view, &task.record),
        "unit": unit_context(view, unit),
        "period": period_context(&scope.period),
        "evidence": files.map(|f| json!({ "name": f.name, "size": f.size, "sha256": f.sha256 })).collect::<Vec<_>>(),
        "submitted": submitted.is_some(),
        "fields": fields,
    });
    let submitted = submitted.map(|version| {
        let mut fields = Fields::new();
        put_progress(&mut fields, Some(version.progress));
        for name in TEXTS {
            let text = version.values.get(name).and_then(Value::as_str);
            put(&mut fields, name, text.unwrap_or_default());
        }
        let figures = version.values.get("figures").cloned();
        let figures = figures.and_then(|value| serde_json::from_value(value).ok());
        put_figures(&mut fields, figures.unwrap_or_default());
        fields
    });
    Ok(Ours {
        about: About::Report {
            task: task_id,
            unit: view.tree.code(unit),
            period: scope.period.to_string(),
        },
        record: id,
        begun: record.is_some(),
        owned: true,
        token: record.map(|r| r.token().to_string()).unwrap_or_default(),
        undecided: undecided(StreamKind::Progress, record),
        submitted,
        fields,
        context,
    })
}

fn task(view: &View<'_>, scope: &Scope, stored: &Stored) -> Option<Ours> {
    let record = &stored.record;
    let Facts::Task { issuer, .. } = record.facts() else {
        return None;
    };
    let ours = scope.covers(view, *issuer)
        || scope::assigned(record)
            .iter()
            .any(|unit| scope.covers(view, *unit));
    if !ours || !is_asked_for(stored) {
        return None;
    }
    let context = task_context(view, record);
    let mut fields = Fields::new();
    for (name, _) in own_fields(StreamKind::Tasks) {
        let text = match &context[*name] {
            Value::Array(units) => {
                let names: Vec<&str> = units.iter().filter_map(Value::as_str).collect();
                names.join("; ")
            }
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        put(&mut fields, name, &text);
    }
    Some(Ours {
        about: About::Task(Some(record.key().id)),
        record: record.key().id,
        begun: true,
        owned: scope.covers(view, *issuer),
        token: record.token().to_string(),
        undecided: undecided(StreamKind::Tasks, Some(record)),
        submitted: None,
        context: json!({ "task": context, "unit": unit_context(view, scope.unit),
            "period": period_context(&scope.period), "fields": fields }),
        fields,
    })
}

fn figures(
    view: &View<'_>,
    scope: &Scope,
    stored: &Stored,
    found: &mut Vec<Ours>,
) -> Result<(), Refusal> {
    let Some(definer) = stored.record.facts().owner() else {
        return Ok(());
    };
    let definition = stored.record.shown("definition").unwrap_or_default();
    let code = definition["code"].as_str().unwrap_or_default();
    let assigned = stored.record.shown("assigned").unwrap_or_default();
    for unit in scope::units_in(&assigned) {
        if !scope.covers(view, unit) {
            continue;
        }
        let facts = Facts::Figure {
            unit,
            definer,
            indicator: stored.record.key().id,
            period: scope.period.to_string(),
        };
        let id = facts.natural_id().unwrap_or_default();
        let figure = records::load(view.connection, id)?;
        let record = figure.as_ref().map(|stored| &stored.record);
        let mut fields = Fields::new();
        if let Some(record) = record {
            put_figures(&mut fields, typed(record, "figures"));
        }
        found.push(Ours {
            about: About::Figure {
                indicator: code.to_owned(),
                unit: view.tree.code(unit),
                period: scope.period.to_string(),
            },
            record: id,
            begun: record.is_some(),
            owned: true,
            token: record.map(|r| r.token().to_string()).unwrap_or_default(),
            undecided: undecided(StreamKind::Indicators, record),
            submitted: None,
            context: json!({ "indicator": definition, "unit": unit_context(view, unit),
                "period": period_context(&scope.period), "fields": fields }),
            fields,
        });
    }
    Ok(())
}

fn directive(view: &View<'_>, scope: &Scope, stored: &Stored) -> Option<Ours> {
    let record = &stored.record;
    if !record
        .facts()
        .owner()
        .is_some_and(|issuer| scope.covers(view, issuer))
    {
        return None;
    }
    let assigned = record.shown("assigned").unwrap_or_default();
    let units: Vec<String> = scope::units_in(&assigned)
        .iter()
        .map(|u| view.tree.code(*u))
        .collect();
    let mut fields = Fields::new();
    for name in ["number", "date", "kind", "summary"] {
        put(&mut fields, name, &text_of(record, name));
    }
    put(&mut fields, "units", &units.join("; "));
    Some(Ours {
        about: About::Directive(Some(record.key().id)),
        record: record.key().id,
        begun: true,
        owned: true,
        token: record.token().to_string(),
        undecided: undecided(StreamKind::Directives, Some(record)),
        submitted: None,
        context: json!({ "unit": unit_context(view, scope.unit), "period": period_context(&scope.period),
            "fields": fields }),
        fields,
    })
}

fn put(fields: &mut Fields, name: &str, text: &str) {
    if !text.is_empty() {
        fields.insert(name.to_owned(), text.to_owned());
    }
}

fn put_progress(fields: &mut Fields, progress: Option<Progress>) {
    if let Some(progress) = progress {
        let status = json!(progress.status);
        put(fields, "status", status.as_str().unwrap_or_default());
        put(fields, "percent", &progress.percent.unwrap_or_default());
    }
}

fn put_figures(fields: &mut Fields, figures: Figures) {
    for (name, part) in [
        ("value", figures.value),
        ("numerator", figures.numerator),
        ("denominator", figures.denominator),
    ] {
        put(fields, name, &part.unwrap_or_default());
    }
}

fn undecided(kind: StreamKind, record: Option<&Record>) -> Vec<&'static str> {
    let Some(record) = record else {
        return Vec::new();
    };
    let conflicts = record.conflicts();
    own_fields(kind)
        .iter()
        .filter(|(_, register)| conflicts.contains(register))
        .map(|(name, _)| *name)
        .collect()
}

fn task_context(view: &View<'_>, record: &Record) -> Value {
    let group: Group = group_of(record);
    let deadline: Option<Deadline> = maybe(record, "deadline");
    let assigned = |register: &str| -> Vec<String> {
        let assigned: Assigned = typed(record, register);
        assigned
            .units
            .iter()
            .map(|unit| view.tree.code(*unit))
            .collect()
    };
    let number = text_of(record, "number");
    let issuer = record.facts().owner();
    json!({
        "id": record.key().id,
        "ref": format!("{}/{number}", group.code),
        "group": group.code,
        "group_title": group.title,
        "number": number,
        "title": text_of(record, "title"),
        "subtask": text_of(record, "subtask"),
        "deliverable": text_of(record, "deliverable"),
        "kpi": text_of(record, "kpi"),
        "lead": assigned("lead"),
        "coordinating": assigned("coordinating"),
        "deadline": deadline.as_ref().map(|d| d.text.clone()).unwrap_or_default(),
        "due": deadline.and_then(|d| d.due).map(|due| due.to_string()),
        "programme": text_of(record, "programme"),
        "responsible": text_of(record, "person"),
        "authority": text_of(record, "authority"),
        "issuer": issuer.map(|unit| unit_context(view, unit)),
    })
}

pub(super) fn unit_context(view: &View<'_>, unit: UnitId) -> Value {
    let name = view.tree.get(unit).map(|info| info.name.clone());
    json!({ "code": view.tree.code(unit), "name": name.unwrap_or_default() })
}

pub(super) fn period_context(period: &Period) -> Value {
    json!({ "id": period.to_string(), "start": period.start(), "end": period.end() })
}
