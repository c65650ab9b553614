//! Tasks: written by their issuer, and by nobody else.

use jiff::civil::Date;
use nqsync_core::calendar::{DeadlineKind, DeadlineRemark, fold, parse_deadline, roman};
use nqsync_core::model::values::{Assigned, Group};
use nqsync_core::model::{Facts, Kind, Tree, UnitId, folded};
use nqsync_core::sync::Record;
use nqsync_core::sync::scope::{self, assigned, units_in};
use serde_json::{Value, json};

use super::views::{
    GIVEN_ELSEWHERE, View, evidence_item, group_of, maybe, missing, report_item, span, task_alone,
    task_item, task_listed, task_shown, task_status, text_of,
};
use super::{Reading, Said, Values, Writing, refs, resolve, secrecy, shared, token};
use crate::api::{Command, Narrowed, TaskFields};
use crate::node::Refusal;
use crate::node::standings::Standings;
use crate::store::{Stored, records};

/// `task list`.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let Command::TaskList {
        unit,
        group,
        issuer,
        unresolved,
        period,
        narrowed,
    } = &on.request.command
    else {
        return Err(super::unknown_verb(on.request));
    };
    let view = on.view();
    let named = |text: &Option<String>| -> Result<Option<UnitId>, Refusal> {
        text.as_deref()
            .map(|text| resolve(&on.tree, text, on.home))
            .transpose()
    };
    let (unit, issuer) = (named(unit)?, named(issuer)?);
    let day = match period {
        Some(text) => Some(span(&refs::period(&view, Some(text))?).end),
        None => None,
    };
    let due_by = narrowed.due_by.as_deref().map(shared::day).transpose()?;
    let words = fold(narrowed.text.as_deref().unwrap_or_default());
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut tasks = records::of_kind(on.connection, Kind::Task)?;
    tasks.retain(|stored| {
        let record = &stored.record;
        let under = |unit| {
            scope::assigned(record)
                .iter()
                .any(|u| on.tree.is_within(*u, unit))
        };
        !record.is_deleted()
            && unit.is_none_or(under)
            && issuer.is_none_or(|issuer| refs::issuer(record) == issuer)
            && group
                .as_deref()
                .is_none_or(|group| is_in_group(record, group))
            && (!*unresolved || has_unresolved(record))
            && words.iter().all(|word| has_word(record, word))
            && due_by.is_none_or(|day| due_of(record).is_some_and(|due| due <= day))
    });
    let standings = Standings::of(on.connection, &on.tree)?;
    if narrowed.status.is_some() || narrowed.open {
        let mut fit = Vec::new();
        for stored in tasks {
            let status = task_status(&view, &standings, &stored, day)?;
            let is_meant = narrowed.status.as_deref().is_none_or(|s| s == status);
            if is_meant && !(narrowed.open && DONE.contains(&status)) {
                fit.push(stored);
            }
        }
        tasks = fit;
    }
    match (narrowed.after, due_by) {
        (Some(_), _) => tasks.sort_by_key(|stored| stored.record.key().id),
        (None, Some(_)) => tasks.sort_by_cached_key(|s| (due_of(&s.record), order(&s.record))),
        (None, None) => tasks.sort_by_cached_key(|stored| order(&stored.record)),
    }
    let all = tasks.len();
    tasks.retain(|stored| {
        narrowed
            .after
            .is_none_or(|after| stored.record.key().id > after)
    });
    let shown = |stored: &Stored| task_listed(&view, &standings, stored, day);
    let mut said = part(narrowed, tasks.len(), |range| {
        tasks[range].iter().map(shown).collect()
    })?;
    said.data["total"] = json!(all);
    Ok(said)
}

/// States of tasks of which nothing more is to be done.
const DONE: [&str; 5] = [
    "completed_on_time",
    "completed_late",
    "cancelled",
    "withdrawn",
    GIVEN_ELSEWHERE,
];

fn due_of(record: &Record) -> Option<Date> {
    record.shown("deadline")?["due"].as_str()?.parse().ok()
}

/// A list of which some may be left out; the total is of all.
fn part(
    narrowed: &Narrowed,
    total: usize,
    items: impl FnOnce(std::ops::Range<usize>) -> Result<Vec<Value>, Refusal>,
) -> Result<Said, Refusal> {
    let from = narrowed.offset.min(total);
    let to = from.saturating_add(narrowed.limit.unwrap_or(total));
    let items = items(from..to.min(total))?;
    Ok(Said::done(json!({ "total": total, "items": items })))
}

/// Whether a word stands in one of the texts of a task.
fn has_word(record: &Record, word: &str) -> bool {
    const TEXTS: [&str; 5] = ["title", "subtask", "deliverable", "kpi", "number"];
    TEXTS
        .iter()
        .any(|register| fold(&text_of(record, register)).contains(word))
        || fold(&group_of(record).code) == word
}

/// `task show`.
pub fn show(on: &Reading<'_>, task: &str) -> Result<Said, Refusal> {
    let view = on.view();
    let stored = refs::task(&view, task)?;
    Ok(Said::done(task_shown(&view, &stored)?))
}

/// `task page`: a task, and those of its reports and files that are of one period.
pub fn page(on: &Reading<'_>, task: &str, period: Option<&str>) -> Result<Said, Refusal> {
    let view = on.view();
    let stored = refs::task(&view, task)?;
    let id = stored.record.key().id;
    let periods = records::periods_about(on.connection, Kind::Report, id)?;
    let period = match period {
        Some(text) => refs::period(&view, Some(text))?.to_string(),
        // What came last is what a person looks for first.
        None => match periods.iter().filter_map(|(name, _)| last_day(name)).max() {
            Some((_, name)) => name.to_owned(),
            None => refs::period(&view, None)?.to_string(),
        },
    };
    let mut data = task_alone(&view, &stored)?;
    let mut reports = records::about_of(on.connection, Kind::Report, id, &period)?;
    reports.sort_by_cached_key(|s| s.record.facts().owner().map(|unit| on.tree.path(unit)));
    let reports = reports.iter().filter(|s| !s.record.is_deleted());
    let reports = reports.map(|stored| report_item(&view, stored));
    data["reports"] = json!(reports.collect::<Result<Vec<_>, _>>()?);
    let files = records::about_of(on.connection, Kind::Evidence, id, &period)?;
    let files = files.iter().filter(|s| !s.record.is_deleted());
    let files = files.map(|stored| evidence_item(&view, stored));
    data["files"] = json!(files.collect::<Result<Vec<_>, _>>()?);
    data["period"] = json!(period);
    data["periods"] = json!(
        periods
            .iter()
            .map(|(name, count)| json!({ "period": name, "reports": count }))
            .collect::<Vec<_>>()
    );
    Ok(Said::done(data))
}

fn last_day(period: &str) -> Option<(Date, &str)> {
    super::views::span_of(period).map(|span| (span.end, period))
}

fn is_in_group(record: &Record, text: &str) -> bool {
    let (group, wanted) = (group_of(record), fold(text));
    fold(&group.code) == wanted || fold(&group.title) == wanted
}

fn has_unresolved(record: &Record) -> bool {
    let lead: Option<Assigned> = maybe(record, "lead");
    lead.is_none_or(|lead| lead.units.is_empty() || !lead.unresolved.is_empty())
}

/// Tasks in the order of a plan: issuer, section (`II` before `IX`), number (`2.9` before `2.10`), birth. In bytes that sort
/// so: a long list is put in order by them, and each is small.
pub(super) fn order(record: &Record) -> Box<[u8]> {
    let section = group_of(record).code;
    let section = roman(&section).map_or(section, |number| number.to_string());
    let mut key = refs::issuer(record).0.as_bytes().to_vec();
    numbered(&section, &mut key);
    numbered(&text_of(record, "number"), &mut key);
    key.extend(record.key().id.as_bytes());
    key.into()
}

/// Adds a text ordered by the numbers in it: parts that are numbers before others.
fn numbered(text: &str, key: &mut Vec<u8>) {
    for part in text.split(['.', '-', '/', ' ']) {
        let (number, words) = match part.parse::<u64>() {
            Ok(number) => (number, ""),
            Err(_) => (u64::MAX, part),
        };
        // What goes on sorts after what ends; of two numbers the one with fewer bytes is less.
        let bytes = number.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        key.extend([1, 8 - zeros as u8]);
        key.extend(&bytes[zeros..]);
        key.extend(words.as_bytes());
        key.push(0);
    }
    key.push(0);
    key.extend(text.as_bytes());
    key.push(0);
}

/// `task add`.
pub fn add(on: &mut Writing<'_, '_>, fields: &TaskFields) -> Result<Said, Refusal> {
    let acting = on.acting(None)?;
    let tree = on.tx.tree();
    let parent = match &fields.parent {
        Some(text) => Some(refs::task(&on.view(&tree)?, text)?.record.key().id),
        None => None,
    };
    secrecy::admit(on.node, fields.classification.as_deref())?;
    let values = values_of(&tree, acting.unit, fields, None)?;
    let text = |name: &str| values.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("title").is_empty() && text("subtask").is_empty() {
        return Err(Refusal::usage("task-needs-title", []));
    }
    // It is told to people who type. A system keeps its records apart by its own keys, and may bring thousands at once,
    // each of which would have to be held against all others.
    let twins = match on.request.is_by_adapter() {
        true => 0,
        false => twins(on, acting.unit, &values)?,
    };
    let saved = on.begin(
        &acting,
        Facts::Task {
            issuer: acting.unit,
            parent,
        },
        values,
    )?;
    let mut said = answer(on, &saved.stored)?;
    if twins > 0 {
        let record = &saved.stored.record;
        let number = format!("{}/{}", group_of(record).code, text_of(record, "number"));
        said = said.note("note-shared-number", [("number", number)]);
    }
    Ok(said)
}

/// How many live tasks of the issuer carry the same number in the same group. They stay separate tasks.
fn twins(on: &Writing<'_, '_>, issuer: UnitId, values: &Values) -> Result<usize, Refusal> {
    let number = values
        .get("number")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if number.is_empty() {
        return Ok(0);
    }
    let code = values
        .get("group")
        .map(|group| fold(group["code"].as_str().unwrap_or_default()));
    let tasks = records::of_kind(on.tx.connection(), Kind::Task)?;
    let same = tasks.iter().filter(|stored| {
        let record = &stored.record;
        refs::issuer(record) == issuer
            && record.shown("withdrawn").is_none()
            && fold(&text_of(record, "number")) == fold(number)
            && fold(&group_of(record).code) == code.clone().unwrap_or_default()
    });
    Ok(same.count())
}

/// `task update`.
pub fn update(
    on: &mut Writing<'_, '_>,
    task: &str,
    fields: &TaskFields,
    typed_token: Option<&str>,
) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let stored = refs::task(&on.view(&tree)?, task)?;
    if fields.parent.is_some() {
        return Err(Refusal::usage("parent-fixed", []));
    }
    let issuer = refs::issuer(&stored.record);
    let acting = on.acting_as(issuer)?;
    secrecy::admit(on.node, fields.classification.as_deref())?;
    let values = values_of(&tree, issuer, fields, Some(&stored.record))?;
    if values.is_empty() {
        return Err(Refusal::usage("nothing-given", []));
    }
    if acting.unit != issuer {
        return Err(not_issuer(&tree, issuer, acting.unit));
    }
    let token = token(typed_token)?;
    let saved = on.change(&acting, stored, values, token.as_ref())?;
    let said = answer(on, &saved.stored)?;
    Ok(if saved.changed {
        said
    } else {
        said.note("note-unchanged", [])
    })
}

pub(super) fn not_issuer(tree: &Tree, issuer: UnitId, unit: UnitId) -> Refusal {
    let args = [
        ("kind", "task".to_owned()),
        ("owner", tree.code(issuer)),
        ("unit", tree.code(unit)),
    ];
    Refusal::usage("not-owner", args)
}

/// `task withdraw`.
pub fn withdraw(on: &mut Writing<'_, '_>, task: &str, reason: &str) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let stored = refs::task(&on.view(&tree)?, task)?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    let issuer = refs::issuer(&stored.record);
    let acting = on.acting_as(issuer)?;
    if acting.unit != issuer {
        return Err(not_issuer(&tree, issuer, acting.unit));
    }
    let values = Values::from([("withdrawn".to_owned(), json!({ "reason": reason }))]);
    let saved = on.change(&acting, stored, values, None)?;
    answer(on, &saved.stored)
}

fn answer(on: &Writing<'_, '_>, stored: &Stored) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let mut said = Said::done(task_answer(&view, stored)?);
    let unresolved: Vec<String> = ["lead", "coordinating"]
        .iter()
        .filter_map(|register| maybe::<Assigned>(&stored.record, register))
        .flat_map(|assigned| assigned.unresolved)
        .collect();
    if !unresolved.is_empty() {
        said = said.note("note-lead-unresolved", [("names", unresolved.join("; "))]);
    }
    let deadline = stored.record.shown("deadline").unwrap_or_default();
    if deadline["kind"] == json!(DeadlineKind::Unread) {
        let text = deadline["text"].as_str().unwrap_or_default().to_owned();
        said = said.note("note-deadline-unread", [("text", text)]);
    }
    let open = missing(&stored.record);
    if !open.is_empty() {
        said = said.note("note-missing-clear", [("parts", open.join(", "))]);
    }
    let conflicts = stored.record.conflicts();
    if !conflicts.is_empty() {
        said = said.note("note-conflict", [("registers", conflicts.join(", "))]);
    }
    Ok(said)
}

/// What a write answers about a task.
fn task_answer(view: &View<'_>, stored: &Stored) -> Result<Value, Refusal> {
    let mut item = task_item(view, stored)?;
    item["token"] = json!(stored.record.token().to_string());
    item["conflicts"] = json!(stored.record.conflicts());
    Ok(item)
}

/// The registers that the typed fields fill. An empty text empties its register.
pub fn values_of(
    tree: &Tree,
    issuer: UnitId,
    fields: &TaskFields,
    now: Option<&Record>,
) -> Result<Values, Refusal> {
    let mut values = Values::new();
    let texts = [
        ("number", &fields.number),
        ("title", &fields.title),
        ("subtask", &fields.subtask),
        ("deliverable", &fields.deliverable),
        ("kpi", &fields.kpi),
        ("programme", &fields.programme),
        ("person", &fields.responsible),
        ("authority", &fields.authority),
    ];
    for (register, typed) in texts {
        if let Some(text) = typed {
            values.insert(register.to_owned(), text_value(text));
        }
    }
    if fields.group.is_some() || fields.group_title.is_some() {
        let shown = now.map(group_of).unwrap_or_default();
        let part = |typed: &Option<String>, shown: String| {
            typed.as_deref().map_or(shown, |t| nfc(t.trim()))
        };
        let group = Group {
            code: part(&fields.group, shown.code),
            title: part(&fields.group_title, shown.title),
        };
        values.insert("group".to_owned(), group_value(&group));
    }
    for (register, typed) in [
        ("lead", &fields.lead),
        ("coordinating", &fields.coordinating),
    ] {
        if let Some(names) = typed {
            let held = Held::of(now, register);
            let units = assign(tree, issuer, &names.join("; "), names, &held);
            values.insert(register.to_owned(), assigned_value(&units));
        }
    }
    if let Some(text) = &fields.deadline {
        values.insert("deadline".to_owned(), deadline_value(text)?);
    }
    if let Some(reviewer) = &fields.reviewer {
        let known = ["issuer", "above"].contains(&reviewer.as_str());
        if !known {
            return Err(Refusal::usage(
                "bad-reviewer",
                [("reviewer", reviewer.clone())],
            ));
        }
        values.insert("reviewer".to_owned(), json!(reviewer));
    }
    Ok(values)
}

/// Composed accents, so that equal texts have equal bytes.
fn nfc(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc().collect()
}

/// A text register's value; null for an empty text.
pub fn text_value(text: &str) -> Value {
    match text.trim() {
        "" => Value::Null,
        text => Value::String(nfc(text)),
    }
}

/// The `group` register's value; null for an empty group.
pub fn group_value(group: &Group) -> Value {
    if group.code.is_empty() && group.title.is_empty() {
        Value::Null
    } else {
        json!(group)
    }
}

/// An assigning register's value; null when nobody is named.
pub fn assigned_value(assigned: &Assigned) -> Value {
    if assigned.units.is_empty() && assigned.unresolved.is_empty() {
        Value::Null
    } else {
        json!(assigned)
    }
}

/// Units that have the work of a task already: they keep it.
#[derive(Default)]
pub struct Held {
    /// In the register that is written: there their codes are as good as ids.
    here: Vec<UnitId>,
    /// In any.
    all: Vec<UnitId>,
}

impl Held {
    /// Of a register of a task; nobody for one that is new.
    pub fn of(task: Option<&Record>, register: &str) -> Held {
        let shown = task.and_then(|task| task.shown(register));
        Held {
            here: shown.map(|value| units_in(&value)).unwrap_or_default(),
            all: task.map(assigned).unwrap_or_default(),
        }
    }
}

/// The units that names mean to an issuer. What no unit is called that it can give work to, or more than one, stays a name.
pub fn assign(tree: &Tree, issuer: UnitId, text: &str, names: &[String], held: &Held) -> Assigned {
    let mut assigned = Assigned {
        text: nfc(text.trim()),
        ..Assigned::default()
    };
    for name in names
        .iter()
        .map(|name| nfc(name.trim()))
        .filter(|name| !name.is_empty())
    {
        let is_left = |unit: &UnitId| !assigned.units.contains(unit);
        let is_called = |unit: &UnitId| folded(&tree.code(*unit)) == folded(&name);
        let mut left = held.here.iter().copied().filter(is_left);
        match left
            .find(is_called)
            .or_else(|| meant(tree, issuer, &name, &held.all))
        {
            Some(unit) if assigned.units.contains(&unit) => {}
            Some(unit) => assigned.units.push(unit),
            None if assigned.unresolved.contains(&name) => {}
            None => assigned.unresolved.push(name),
        }
    }
    assigned
}

/// The unit that a name means to `issuer`, if that one can give it work, or it has it already.
pub fn meant(tree: &Tree, issuer: UnitId, name: &str, held: &[UnitId]) -> Option<UnitId> {
    // An office means what the unit means that it belongs to.
    let unit = tree.resolve(name, Some(tree.body_of(issuer))).ok()?.id;
    (held.contains(&unit) || tree.ever_directs(issuer, unit)).then_some(unit)
}

/// The `deadline` register's value. A day that does not exist is refused where a person types it; words that are not
/// understood are kept as words.
fn deadline_value(text: &str) -> Result<Value, Refusal> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let deadline = parse_deadline(text.trim());
    if deadline.remark == Some(DeadlineRemark::NoSuchDate) {
        return Err(Refusal::usage("no-such-date", [("text", text.to_owned())]));
    }
    Ok(json!({ "text": nfc(&deadline.text), "kind": deadline.kind, "due": deadline.due }))
}

#[cfg(test)]
mod tests;
