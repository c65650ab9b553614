//! Registers in which two or more different values are present, and settling them.
//!
//! Settling is an ordinary write of the owner that has seen every sibling; nothing else removes one.

use std::collections::BTreeMap;

use nqsync_core::model::Kind;
use nqsync_core::sync::{Dot, Edit, LIFE, RESOLVED, Record, Write};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::fields::Field;
use super::shared::{self, saved, time};
use super::{Reading, Said, Writing};
use crate::node::Refusal;
use crate::node::write;
use crate::store::records::{self, Flags};
use crate::store::{StoreError, Stored, audit, lookups};

/// One of the values a person chooses between.
struct Choice<'a> {
    value: Value,
    edit: &'a Edit,
    dot: Option<Dot>,
}

/// All open conflicts.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let mut items = Vec::new();
    for (stored, register) in open(on.connection)? {
        let n = items.len() + 1;
        let choices = choices(&stored.record, &register);
        let owner = stored.record.facts().owner();
        items.push(json!({
            "n": n,
            "id": name(&stored.record, &register),
            "kind": stored.record.key().kind,
            "record": stored.record.key().id,
            "register": register,
            "title": shared::title(on.connection, &stored.record)?,
            "unit": owner.map(|unit| on.tree.code(unit)),
            "values": choices.len(),
            "since": since(&choices),
        }));
    }
    Ok(Said::done(super::views::listed(items)))
}

/// How many there are.
pub fn count(connection: &Connection) -> Result<u64, StoreError> {
    lookups::count_flagged(connection, Flags::CONFLICT)
}

/// One conflict with everything needed to decide it.
pub fn show(on: &Reading<'_>, conflict: &str) -> Result<Said, Refusal> {
    let (stored, register) = find(on.connection, conflict)?;
    let record = &stored.record;
    let choices = choices(record, &register);
    let siblings: Vec<Value> = choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            json!({
                "n": index + 1,
                "value": choice.value,
                "by": choice.edit.by,
                "unit": on.tree.code(choice.edit.unit),
                "at": time(choice.edit.stamp.millis()),
                "dot": choice.dot.map(|dot| format!("{}:{}", dot.incarnation, dot.counter)),
            })
        })
        .collect();
    let owner = record.facts().owner();
    Ok(Said::done(json!({
        "id": name(record, &register),
        "kind": record.key().kind,
        "record": record.key().id,
        "register": register,
        "title": shared::title(on.connection, record)?,
        "unit": owner.map(|unit| on.tree.code(unit)),
        "since": since(&choices),
        "base": base(on.connection, &stored, &register)?,
        "siblings": siblings,
        "token": record.token().to_string(),
    })))
}

/// Settles a conflict with one of its values, or with another.
pub fn resolve(
    on: &mut Writing<'_, '_>,
    conflict: &str,
    (take, value): (Option<usize>, Option<&Value>),
    reason: Option<&str>,
    token: Option<&str>,
) -> Result<Said, Refusal> {
    let (stored, register) = find(on.tx.connection(), conflict)?;
    // Another value may have come since: then the numbers mean others.
    shared::decided_on(&stored.record, token)?;
    let record = stored.record.clone();
    let id = name(&record, &register);
    let writer = on.tx.tree().writer(&record);
    let served = writer.filter(|unit| on.tx.serves(*unit));
    let acting = on.acting(served)?;
    let chosen = match (take, value) {
        (Some(take), None) => taken(&record, &register, take)?,
        (None, Some(value)) => typed(on, &record, &register, value)?,
        _ => return Err(Refusal::usage("take-or-value", [("conflict", id)])),
    };
    let mut values: BTreeMap<String, Value> = [(register.clone(), chosen.clone())].into();
    if record.is_deleted() && register != LIFE && !chosen.is_null() {
        // A value that stays brings its record back.
        values.insert(LIFE.to_owned(), Value::Null);
    }
    // The reason of an earlier decision is not that of this one.
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_some() || record.shown(RESOLVED).is_some() {
        values.insert(RESOLVED.to_owned(), json!(reason));
    }
    let written = write::update(on.tx, &acting, stored, values, None)?;
    saved(on, &written, Some(&record))?;
    let detail = json!({ "register": register, "take": take, "reason": reason });
    audit::append(
        on.tx,
        &audit::Act {
            at: on.now_ms,
            actor: &acting.person,
            act: "conflict.resolved",
            subject: &record.key().id.to_string(),
            detail,
        },
    )?;
    let remaining = count(on.tx.connection())?;
    let data = json!({
        "id": id,
        "kind": record.key().kind,
        "record": record.key().id,
        "register": register,
        "value": chosen,
        "remaining": remaining,
    });
    Ok(Said::done(data).note(
        "note-conflict-resolved",
        [("remaining", remaining.to_string())],
    ))
}

fn taken(record: &Record, register: &str, take: usize) -> Result<Value, Refusal> {
    let choices = choices(record, register);
    let chosen = take.checked_sub(1).and_then(|index| choices.get(index));
    chosen.map(|choice| choice.value.clone()).ok_or_else(|| {
        let count = ("count", choices.len().to_string());
        Refusal::usage("no-such-choice", [("take", take.to_string()), count])
    })
}

/// Text typed for a task's field is read as the owner's own; everything else is the register's JSON as it is.
fn typed(
    on: &Writing<'_, '_>,
    record: &Record,
    register: &str,
    value: &Value,
) -> Result<Value, Refusal> {
    let (Kind::Task, Value::String(text)) = (record.key().kind, value) else {
        return Ok(value.clone());
    };
    let (Some(field), Some(owner)) = (Field::of_register(register), record.facts().owner()) else {
        return Ok(value.clone());
    };
    field.read(&on.tx.tree(), owner, text, record)
}

fn name(record: &Record, register: &str) -> String {
    format!("{}:{}:{register}", record.key().kind, record.key().id)
}

/// Records and registers in conflict, in the order in which they are numbered.
fn open(connection: &Connection) -> Result<Vec<(Stored, String)>, StoreError> {
    let mut found = Vec::new();
    for stored in records::flagged(connection, Flags::CONFLICT)? {
        let registers: Vec<String> = stored
            .record
            .conflicts()
            .into_iter()
            .map(str::to_owned)
            .collect();
        found.extend(
            registers
                .into_iter()
                .map(|register| (stored.clone(), register)),
        );
    }
    Ok(found)
}

/// The conflict that was typed: its id, its number in the list, or the unique beginning of a record's id, with
/// `:register` where the record has several.
fn find(connection: &Connection, typed: &str) -> Result<(Stored, String), Refusal> {
    let typed = typed.trim();
    let unknown = || Refusal::usage("no-such-conflict", [("conflict", typed.to_owned())]);
    let mut all = open(connection)?;
    if typed.len() < lookups::MIN_PREFIX
        && let Ok(number) = typed.parse::<usize>()
    {
        let index = number.checked_sub(1).filter(|index| *index < all.len());
        return index
            .map(|index| all.swap_remove(index))
            .ok_or_else(unknown);
    }
    let mut parts: Vec<&str> = typed.split(':').collect();
    if parts.len() > 1 && parts[0].parse::<Kind>().is_ok() {
        parts.remove(0);
    }
    let (id, register) = (parts[0].replace('-', "").to_ascii_lowercase(), parts.get(1));
    if id.len() < lookups::MIN_PREFIX || parts.len() > 2 {
        return Err(unknown());
    }
    all.retain(|(stored, name)| {
        stored.record.key().id.simple().to_string().starts_with(&id)
            && register.is_none_or(|wanted| name == wanted)
    });
    match all.len() {
        0 => Err(unknown()),
        1 => Ok(all.swap_remove(0)),
        _ => Err(Refusal::usage(
            "ambiguous-conflict",
            [("conflict", typed.to_owned())],
        )),
    }
}

/// What a person chooses between: the different values, the shown one first; equal ones count as one.
fn choices<'a>(record: &'a Record, register: &str) -> Vec<Choice<'a>> {
    let view = record.register(register);
    let mut choices: Vec<Choice<'a>> = Vec::new();
    for (write, edit) in view.siblings.iter().zip(&view.edits) {
        let value = write.json();
        if choices.iter().all(|choice| choice.value != value) {
            choices.push(Choice {
                value,
                edit,
                dot: Some(write.dot),
            });
        }
    }
    let has_empty = choices.iter().any(|choice| choice.value.is_null());
    if record.is_deleted() && register != LIFE && !has_empty {
        // Written beside a deletion: the other side wants the value gone.
        if let Some(edit) = record.register(LIFE).edits.first().copied() {
            choices.push(Choice {
                value: Value::Null,
                edit,
                dot: None,
            });
        }
    }
    choices
}

/// When the second of the values was written: until then nobody had anything to decide.
fn since(choices: &[Choice<'_>]) -> Option<String> {
    let mut stamps: Vec<i64> = choices.iter().map(|c| c.edit.stamp.millis()).collect();
    stamps.sort_unstable();
    stamps.get(1).map(|ms| time(*ms))
}

/// The latest value that every sibling's author had seen.
fn base(
    connection: &Connection,
    stored: &Stored,
    register: &str,
) -> Result<Option<Value>, StoreError> {
    let siblings = stored.record.register(register).siblings;
    let common = |write: &Write| {
        siblings
            .iter()
            .all(|sibling| sibling.seen.contains(write.dot))
    };
    let history = records::history(connection, stored.rec)?;
    let all = history.iter().chain(stored.record.edits());
    let seen_by_all = all.flat_map(|edit| {
        let of_register = edit
            .writes()
            .iter()
            .filter(|w| w.register.as_ref() == register);
        of_register.map(move |write| (edit.stamp, write))
    });
    let latest = seen_by_all
        .filter(|(_, write)| common(write))
        .max_by_key(|(stamp, write)| (*stamp, write.dot));
    Ok(latest.map(|(_, write)| write.json()))
}

#[cfg(test)]
#[path = "conflicts_tests.rs"]
mod tests;
