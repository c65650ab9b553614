//! What people type to name a task, a piece of evidence or a period.

use std::collections::HashMap;

use nqsync_core::calendar::{Period, fold};
use nqsync_core::model::{Facts, Kind, UnitId};
use nqsync_core::sync::{Record, scope};
use uuid::Uuid;

use super::resolve;
use super::views::{View, group_of, text_of};
use crate::api::ReportRef;
use crate::node::Refusal;
use crate::store::records::Flags;
use crate::store::records::{self, Stored};

/// Fewest characters of an id that name a record.
const MIN_PREFIX: usize = 4;
/// Candidates named in a refusal.
const MAX_NAMED: usize = 10;

/// The task of which the id, its beginning, or `GROUP/NUMBER` was typed.
pub fn task(view: &View<'_>, text: &str) -> Result<Stored, Refusal> {
    let mut found = by_id(view, Kind::Task, text)?;
    if found.is_empty() && text.contains('/') {
        found = Tasks::load(view)?.grouped(view, text)?;
    }
    only(found, text, "task", |stored| title(&stored.record))
}

/// The evidence of which the id or its beginning was typed.
pub fn evidence(view: &View<'_>, text: &str) -> Result<Stored, Refusal> {
    let found = by_id(view, Kind::Evidence, text)?;
    only(found, text, "evidence", |stored| {
        stored.record.key().id.to_string()
    })
}

fn only(
    mut found: Vec<Stored>,
    text: &str,
    kind: &'static str,
    name: impl Fn(&Stored) -> String,
) -> Result<Stored, Refusal> {
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => {
            let code = if kind == "task" {
                "unknown-task"
            } else {
                "unknown-evidence"
            };
            Err(Refusal::usage(code, [(kind, text.to_owned())]))
        }
        (Some(last), _) => {
            found.push(last);
            let named = found.iter().take(MAX_NAMED);
            let named = named.map(|s| format!("{} ({})", s.record.key().id, name(s)));
            let args = [
                ("ref", text.to_owned()),
                ("count", found.len().to_string()),
                ("candidates", named.collect::<Vec<_>>().join("; ")),
            ];
            Err(Refusal::usage("ambiguous-ref", args))
        }
    }
}

fn by_id(view: &View<'_>, kind: Kind, text: &str) -> Result<Vec<Stored>, Refusal> {
    let typed = text.trim().to_ascii_lowercase();
    if let Ok(id) = Uuid::parse_str(&typed) {
        let found = records::load(view.connection, id)?;
        return Ok(found
            .into_iter()
            .filter(|s| s.record.key().kind == kind)
            .collect());
    }
    let digits: String = typed.chars().filter(|c| *c != '-').collect();
    let is_prefix = digits.len() >= MIN_PREFIX && digits.len() < 32;
    if !is_prefix || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let bound = |fill: char| {
        let padded: String = digits
            .chars()
            .chain(std::iter::repeat(fill))
            .take(32)
            .collect();
        Uuid::parse_str(&padded).unwrap_or_default()
    };
    let limit = MAX_NAMED as u32 + 1;
    Ok(records::between(
        view.connection,
        kind,
        bound('0'),
        bound('f'),
        limit,
    )?)
}

/// Where the tasks are by the numbers that people name them with. A table with thousands of rows looks them up in one of
/// these; one that is read anew for each row takes time with the square of them.
pub struct Tasks {
    by_number: HashMap<String, Vec<Uuid>>,
    by_group: HashMap<String, Vec<Uuid>>,
}

impl Tasks {
    /// As the store has them now.
    pub fn load(view: &View<'_>) -> Result<Tasks, Refusal> {
        let (mut by_number, mut by_group) = (HashMap::new(), HashMap::new());
        for stored in records::of_kind(view.connection, Kind::Task)? {
            let (id, number) = (stored.record.key().id, text_of(&stored.record, "number"));
            if !number.is_empty() {
                let grouped = fold(&format!("{}/{number}", group_of(&stored.record).code));
                push(&mut by_group, grouped, id);
            }
            push(&mut by_number, fold(&number), id);
        }
        Ok(Tasks {
            by_number,
            by_group,
        })
    }

    /// The task by id, or `GROUP/NUMBER`.
    pub fn task(&self, view: &View<'_>, text: &str) -> Result<Stored, Refusal> {
        let mut found = by_id(view, Kind::Task, text)?;
        if found.is_empty() {
            found = self.grouped(view, text)?;
        }
        only(found, text, "task", |stored| title(&stored.record))
    }

    /// Those whose group and number were typed. One that was withdrawn or given to others counts only when no other is meant.
    fn grouped(&self, view: &View<'_>, text: &str) -> Result<Vec<Stored>, Refusal> {
        let mut found = loaded(view, self.by_group.get(&fold(text)))?;
        if found.iter().any(is_asked_for) {
            found.retain(is_asked_for);
        }
        Ok(found)
    }

    /// Those assigned to a unit that carry a number, in whatever group: how reports in tables name them.
    pub fn given_to(
        &self,
        view: &View<'_>,
        unit: UnitId,
        number: &str,
    ) -> Result<Vec<Stored>, Refusal> {
        let mut found = loaded(view, self.by_number.get(&fold(number)))?;
        found.retain(|stored| {
            stored.record.shown("withdrawn").is_none()
                && scope::assigned(&stored.record).contains(&unit)
        });
        if found.iter().any(is_asked_for) {
            found.retain(is_asked_for);
        }
        Ok(found)
    }
}

/// Whether the issuer still asks for a task here.
pub fn is_asked_for(task: &Stored) -> bool {
    task.record.shown("withdrawn").is_none() && !task.flags.has(Flags::LEFT)
}

fn push(map: &mut HashMap<String, Vec<Uuid>>, key: String, id: Uuid) {
    map.entry(key).or_default().push(id);
}

fn loaded(view: &View<'_>, ids: Option<&Vec<Uuid>>) -> Result<Vec<Stored>, Refusal> {
    let mut found = Vec::new();
    for id in ids.into_iter().flatten() {
        found.extend(records::load(view.connection, *id)?);
    }
    Ok(found)
}

/// A task in a few words, for sentences.
pub fn title(record: &Record) -> String {
    let (title, subtask) = (text_of(record, "title"), text_of(record, "subtask"));
    let text = if subtask.is_empty() { title } else { subtask };
    let group = group_of(record);
    format!(
        "{}/{} {}",
        group.code,
        text_of(record, "number"),
        text.chars().take(60).collect::<String>()
    )
}

/// The period that was typed, else the current one of the kind that the configuration names.
pub fn period(view: &View<'_>, text: Option<&str>) -> Result<Period, Refusal> {
    match text {
        None => Ok(Period::containing(view.period, view.today())),
        Some(text) => text
            .parse()
            .map_err(|_| Refusal::usage("bad-period", [("period", text.to_owned())])),
    }
}

/// A report as named, whether or not it exists yet.
pub struct Named {
    /// The task.
    pub task: Stored,
    /// Who reports.
    pub unit: UnitId,
    /// For when.
    pub period: Period,
    /// The report, when it was begun.
    pub report: Option<Stored>,
}

impl Named {
    /// The facts of the report.
    pub fn facts(&self) -> Facts {
        Facts::Report {
            unit: self.unit,
            issuer: issuer(&self.task.record),
            task: self.task.record.key().id,
            period: self.period.to_string(),
        }
    }
}

/// Who gave a task.
pub fn issuer(task: &Record) -> UnitId {
    match task.facts() {
        Facts::Task { issuer, .. } => *issuer,
        // Only tasks are asked; the facts of a record follow its kind.
        _ => UnitId(task.key().id),
    }
}

/// Finds the report. Without a unit: the one acted for if it is assigned, else the only assigned one served here.
pub fn report(
    view: &View<'_>,
    named: &ReportRef,
    acting_for: Option<&str>,
) -> Result<Named, Refusal> {
    let task = self::task(view, &named.task)?;
    let unit = match named.unit.as_deref().or(acting_for) {
        Some(text) => resolve(view.tree, text, view.home)?,
        None => own_unit(view, &task.record),
    };
    let period = self::period(view, named.period.as_deref())?;
    let mut found = Named {
        task,
        unit,
        period,
        report: None,
    };
    if let Some(id) = found.facts().natural_id() {
        found.report = records::load(view.connection, id)?;
    }
    Ok(found)
}

fn own_unit(view: &View<'_>, task: &Record) -> UnitId {
    let assigned = scope::assigned(task);
    let mut here = assigned.iter().filter(|unit| view.serves(**unit));
    match (assigned.contains(&view.home), here.next(), here.next()) {
        (false, Some(only), None) => *only,
        _ => view.home,
    }
}
