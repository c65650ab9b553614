//! What several verbs share: names of records and units as people type and see them, instants as data carries them.

use jiff::Timestamp;
use jiff::civil::Date;
use nqsync_core::calendar::{DeadlineKind, Period, parse_deadline};
use nqsync_core::model::{Facts, Kind, Tree, UnitId};
use nqsync_core::sync::Record;
use rusqlite::Connection;
use serde_json::Value;

use super::Writing;
use crate::api::{Answer, Request};
use crate::node::write::Written;
use crate::node::{Node, Refusal, files, rollups};
use crate::store::{StoreError, Stored, lookups, queries, records};

/// What follows from a record written by a person here: the file it names, the rollups it touches.
pub(super) fn saved(
    on: &mut Writing<'_, '_>,
    written: &Written,
    before: Option<&Record>,
) -> Result<(), StoreError> {
    files::follow(on.tx, None, written.rec, &written.record, on.now_ms)?;
    rollups::touched(on.tx, &written.record, before)
}

/// An instant as data carries it: RFC 3339 in UTC.
pub(super) fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// When the record was last written, by its author's clock.
pub(super) fn written_at(record: &Record) -> Option<String> {
    record.greatest_stamp().map(|stamp| time(stamp.millis()))
}

/// The text of a register.
pub(super) fn text(record: &Record, register: &str) -> String {
    match record.shown(register) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// A period as typed; without one, the current one of the kind that the configuration names.
pub(super) fn period(node: &Node, typed: Option<&str>) -> Result<Period, Refusal> {
    match typed {
        None => Ok(node.current_period()),
        Some(typed) => typed
            .parse()
            .map_err(|_| Refusal::usage("bad-period", [("period", typed.to_owned())])),
    }
}

/// The record of a kind whose id, or a unique beginning of it, was typed.
pub(super) fn by_id(
    connection: &Connection,
    kind: Kind,
    typed: &str,
) -> Result<Option<Stored>, Refusal> {
    let mut found = lookups::by_prefix(connection, Some(kind), typed.trim(), 2)?;
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        _ => Err(Refusal::usage("ambiguous-id", [("id", typed.to_owned())])),
    }
}

/// [`by_id`], or the refusal that there is none.
pub(super) fn require(connection: &Connection, kind: Kind, typed: &str) -> Result<Stored, Refusal> {
    let found = by_id(connection, kind, typed)?;
    found.ok_or_else(|| {
        Refusal::usage(
            "no-such-record",
            [("kind", kind.to_string()), ("id", typed.to_owned())],
        )
    })
}

/// What people call a record: its title, or that of the task it is about.
pub(super) fn title(connection: &Connection, record: &Record) -> Result<String, StoreError> {
    for register in ["title", "name", "summary", "number"] {
        let found = text(record, register);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    if let Some(Value::Object(definition)) = record.shown("definition") {
        let name = definition.get("name").and_then(Value::as_str);
        return Ok(name.unwrap_or_default().to_owned());
    }
    match record.facts() {
        Facts::Unit { .. } | Facts::Rollup { .. } | Facts::Period { .. } => Ok(String::new()),
        facts => match facts.about() {
            Some(about) => match records::load(connection, about)? {
                Some(stored) => title(connection, &stored.record),
                None => Ok(String::new()),
            },
            None => Ok(String::new()),
        },
    }
}

/// Units as typed, in order, without repeats.
pub(super) fn units(tree: &Tree, typed: &[String], near: UnitId) -> Result<Vec<UnitId>, Refusal> {
    let mut found = Vec::new();
    for text in typed {
        let unit = super::resolve(tree, text, near)?;
        if !found.contains(&unit) {
            found.push(unit);
        }
    }
    Ok(found)
}

/// A day as people write it: `2026-03-15` or `15/3/2026`.
pub fn day(typed: &str) -> Result<Date, Refusal> {
    let typed = typed.trim();
    if let Ok(day) = typed.parse() {
        return Ok(day);
    }
    let read = parse_deadline(typed);
    match (read.kind, read.due) {
        (DeadlineKind::Date, Some(day)) => Ok(day),
        _ => Err(Refusal::usage("bad-day", [("day", typed.to_owned())])),
    }
}

/// A text that must say something.
pub(super) fn needed(code: &'static str, text: Option<&str>) -> Result<String, Refusal> {
    match text.map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Refusal::usage(code, [])),
    }
}

/// The answer that was given to this very request before, for a verb that does its work outside the writer thread.
pub(super) async fn answered_before(
    node: &Node,
    request: &Request,
) -> Result<Option<Answer>, Refusal> {
    let asked = request.request_id.clone();
    let earlier = node
        .store
        .read(move |connection| queries::earlier_answer(connection, &asked))
        .await?;
    Ok(earlier.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Refuses a decision that was made about another state of a record than the present one. A value that was written
/// meanwhile stays beside one that is written; a decision has no such second place.
pub fn decided_on(record: &Record, token: Option<&str>) -> Result<(), Refusal> {
    match token {
        Some(token) if record.token().to_string() != token => Err(Refusal::usage("changed", [])),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
