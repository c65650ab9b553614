//! Levels of secrecy: what a store may hold, how its units come up from below, and how a level is lowered.
//!
//! A store holds one level. What is above *none* lies in a store of its own, which is a whole node's store: nothing here
//! reads two of them. What goes between them goes through the hands of the person at the keyboard: units up, and a task
//! whose level was lowered down.

use nqsync_core::model::values::{Assigned, Group};
use nqsync_core::model::{Classification, Facts, Kind, NodeId, Tree, UnitId};
use nqsync_core::protocol::{Line, hex, parse_line, render_record};
use nqsync_core::sync::Record;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::tasks::{not_issuer, values_of};
use super::views::{group_of, maybe, text_of};
use super::{Reading, Said, Values, Writing, refs};
use crate::api::{Act, Command, TaskFields};
use crate::node::{Node, Refusal, rollups, write};
use crate::store::{StoreError, audit, queries, records};

/// Register of a task that was lowered: to which level, under which id there, the hash of what was lowered, and why.
const LOWERED: &str = "lowered";

/// Refuses a level that this store does not hold, before anything of the record is kept. A word that names no level may mean
/// one; nothing stated is the level of the store.
pub(super) fn admit(node: &Node, stated: Option<&str>) -> Result<(), Refusal> {
    let text = stated.unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(());
    }
    let own = node.store.level();
    match Classification::named(text) {
        Some(level) if level == own => Ok(()),
        #[cfg(feature = "faults")]
        Some(_) if crate::faults::thrown(crate::faults::Canary::LeakyCeiling) => Ok(()),
        Some(level) => Err(elsewhere(level, own, node.settings.ceiling)),
        None => Err(unknown(text)),
    }
}

/// Why a level is refused in the store of another one.
fn elsewhere(level: Classification, own: Classification, ceiling: Classification) -> Refusal {
    if level.may_pass(ceiling) {
        let args = [
            ("level", level.to_string()),
            ("word", level.word().to_owned()),
            ("own", own.to_string()),
        ];
        return Refusal::usage("other-level", args);
    }
    above(level, ceiling)
}

/// Why a level is above what this computer may hold.
pub fn above(level: Classification, ceiling: Classification) -> Refusal {
    let level = ("level", level.to_string());
    match ceiling {
        Classification::None => Refusal::usage("above-ceiling", [level]),
        _ => Refusal::usage(
            "above-node-ceiling",
            [level, ("ceiling", ceiling.to_string())],
        ),
    }
}

/// What the law forbids here: that somebody tried stands in the audit.
pub(super) const FORBIDDEN: [&str; 2] = ["above-ceiling", "above-node-ceiling"];

/// The refusal of a word that names no level.
pub fn unknown(text: &str) -> Refusal {
    Refusal::usage("unknown-classification", [("text", text.to_owned())])
}

/// What the store of a higher level gets from this one: who this node is, and the units.
pub(super) fn units_for_above(on: &Reading<'_>) -> Result<Said, Refusal> {
    let units = records::of_kind(on.connection, Kind::Unit)?;
    let units: Vec<String> = units
        .iter()
        .map(|stored| render_record(&stored.record))
        .collect();
    let level = queries::level(on.connection)?;
    Ok(Said::done(
        json!({ "node": on.here, "unit": on.home, "level": level.word(), "units": units }),
    ))
}

/// The level that was named; none has no store of its own.
pub(super) fn level_named(text: &str) -> Result<Classification, Refusal> {
    let level = Classification::named(text).ok_or_else(|| unknown(text))?;
    match level {
        Classification::None => Err(Refusal::usage("no-store-of-its-own", [])),
        level => Ok(level),
    }
}

/// Whether two persons have agreed that this computer holds the level.
pub(super) fn is_allowed(
    connection: &Connection,
    level: Classification,
) -> Result<bool, StoreError> {
    Ok(queries::meta(connection, &allowed_key(level))?.is_some())
}

fn allowed_key(level: Classification) -> String {
    format!("level_allowed_{}", level.word())
}

/// The same, for the verb that makes the store.
pub(super) fn allowed(on: &Reading<'_>, level: &str) -> Result<Said, Refusal> {
    let level = level_named(level)?;
    let allowed = is_allowed(on.connection, level)?;
    Ok(Said::done(
        json!({ "classification": level.word(), "allowed": allowed }),
    ))
}

/// Writes down that two persons have agreed. A service that was started before the configuration asked for two would let one
/// alone do this, so it does not do it at all.
pub(super) fn allow(on: &mut Writing<'_, '_>, level: &str) -> Result<Said, Refusal> {
    let level = level_named(level)?;
    let settings = &on.node.settings;
    if !settings.approval_acts.contains(&Act::Ceiling) || !level.may_pass(settings.ceiling) {
        return Err(Refusal::usage("ceiling-not-in-force", []));
    }
    let person = &on.request.person;
    on.tx.set_meta(&allowed_key(level), person)?;
    let act = audit::Act {
        at: on.now_ms,
        actor: person,
        act: "level.allowed",
        subject: level.word(),
        detail: json!({}),
    };
    audit::append(on.tx, &act)?;
    Ok(Said::done(
        json!({ "classification": level.word(), "allowed": true }),
    ))
}

/// Takes in the units of the store below, as they are now. Up only: nothing of this store is answered.
pub(super) fn take_units(
    on: &mut Writing<'_, '_>,
    node: NodeId,
    unit: UnitId,
    lines: &[String],
) -> Result<Said, Refusal> {
    let level = on.tx.level();
    let unreadable = |detail: String| Refusal::usage("units-unreadable", [("detail", detail)]);
    if level == Classification::None || on.tx.node()? != node {
        let detail = "these units are of another node, or this is no store above none".to_owned();
        return Err(unreadable(detail));
    }
    let mut changed = 0;
    for line in lines {
        let record = match parse_line(line) {
            Ok(Line::Record(record)) if record.key().kind == Kind::Unit => record,
            Ok(_) => return Err(unreadable("not a unit".to_owned())),
            Err(bad) => return Err(unreadable(bad.reason)),
        };
        if !record.level().may_come_in(level) {
            return Err(above(record.level(), level));
        }
        changed += usize::from(take_unit(on, &record)?);
    }
    on.tx.set_meta("unit", &unit.to_string())?;
    on.tx.tree_has_changed();
    Ok(Said::done(
        json!({ "classification": level.word(), "units": lines.len(), "changed": changed }),
    ))
}

fn take_unit(on: &mut Writing<'_, '_>, record: &Record) -> Result<bool, Refusal> {
    let now_ms = on.now_ms;
    let Some(stored) = on.tx.load(record.key().id)? else {
        on.tx.save(record, None, &[], None, now_ms)?;
        rollups::touched(on.tx, record, None)?;
        return Ok(true);
    };
    let mut joined = stored.record.clone();
    let replaced = joined
        .join(record)
        .map_err(|error| StoreError::Damaged(error.to_string()))?;
    if replaced.changed {
        on.tx
            .save(&joined, Some(&stored), &replaced.dropped, None, now_ms)?;
        rollups::touched(on.tx, &joined, Some(&stored.record))?;
    }
    Ok(replaced.changed)
}

/// The task of a request to lower it, for whoever is to approve it: its id, and everything it says. Only a whole id names the
/// same task tomorrow.
pub(super) fn to_be_lowered(connection: &Connection, task: &str) -> Result<(Uuid, Value), Refusal> {
    let id: Option<Uuid> = task.parse().ok();
    let stored = id.map(|id| records::load(connection, id)).transpose()?;
    let stored = stored
        .flatten()
        .filter(|s| s.record.key().kind == Kind::Task);
    let stored =
        stored.ok_or_else(|| Refusal::usage("unknown-task", [("task", task.to_owned())]))?;
    Ok((stored.record.key().id, json!(stored.digest.to_string())))
}

/// Whether a request only finishes what was decided, approved where two are needed, and written down here: to lower the very
/// content that stands there to the same level.
pub(super) fn is_decided(on: &Writing<'_, '_>) -> Result<bool, Refusal> {
    let Command::TaskLower { task, to, .. } = &on.request.command else {
        return Ok(false);
    };
    let Some(to) = Classification::named(to) else {
        return Ok(false);
    };
    let tree = on.tx.tree();
    let stored = refs::task(&on.view(&tree)?, task)?;
    let fields = fields_of(&tree, &stored.record);
    Ok(decided(&stored.record, to, &fields).is_some())
}

/// Under which id a task is made below, if that was decided for this content and level.
fn decided(record: &Record, to: Classification, fields: &TaskFields) -> Option<Uuid> {
    let before = record.shown(LOWERED)?;
    let same = before["to"] == json!(to.word()) && before["of"] == json!(hash(fields));
    let id = before["as"].as_str().filter(|_| same)?;
    id.parse().ok()
}

fn hash(fields: &TaskFields) -> String {
    hex(&Sha256::digest(json!(fields).to_string()))
}

/// Who may lower a level; where two persons are needed, `approvals` asks for the second one before.
fn may_lower(on: &Writing<'_, '_>, issuer: UnitId, tree: &Tree) -> Result<write::Acting, Refusal> {
    let acting = on.acting_as(issuer)?;
    match acting.unit == issuer {
        true => Ok(acting),
        false => Err(not_issuer(tree, issuer, acting.unit)),
    }
}

/// `task lower` in the store that holds the task: decides, writes down who, why and to what, and hands out what the store
/// below is to get. The id there is drawn here once, so that whoever repeats the verb makes no second task.
pub(super) fn lower(
    on: &mut Writing<'_, '_>,
    task: &str,
    to: &str,
    reason: &str,
) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let own = on.tx.level();
    let to = Classification::named(to).ok_or_else(|| unknown(to))?;
    if to >= own {
        let args = [("level", to.to_string()), ("own", own.to_string())];
        return Err(Refusal::usage("not-lower", args));
    }
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    let stored = refs::task(&on.view(&tree)?, task)?;
    let acting = may_lower(on, refs::issuer(&stored.record), &tree)?;
    let fields = fields_of(&tree, &stored.record);
    let record = stored.record.key().id;
    if let Some(id) = decided(&stored.record, to, &fields) {
        let data = json!({ "id": record, "to": to.word(), "as": id, "fields": fields });
        return Ok(Said::done(data));
    }
    let id = on.tx.chance().id_at(on.now_ms);
    let value = json!({ "to": to.word(), "as": id, "of": hash(&fields), "reason": reason });
    on.change(
        &acting,
        stored,
        Values::from([(LOWERED.to_owned(), value)]),
        None,
    )?;
    let act = audit::Act {
        at: on.now_ms,
        actor: &on.request.person,
        act: "level.lowered",
        subject: &record.to_string(),
        detail: json!({ "from": own.word(), "to": to.word(), "as": id, "reason": reason }),
    };
    audit::append(on.tx, &act)?;
    Ok(Said::done(
        json!({ "id": record, "to": to.word(), "as": id, "fields": fields }),
    ))
}

/// `task lower` in the store below: a task of its own, that names nothing above.
pub(super) fn take_lowered(
    on: &mut Writing<'_, '_>,
    id: Uuid,
    fields: &TaskFields,
) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let acting = on.acting(None)?;
    if let Some(stored) = on.tx.load(id)? {
        return Ok(Said::done(
            json!({ "id": stored.record.key().id, "created": false }),
        ));
    }
    let values = values_of(&tree, acting.unit, fields, None)?;
    let facts = Facts::Task {
        issuer: acting.unit,
        parent: None,
    };
    let saved = on.begin_as(&acting, facts, id, values)?;
    let act = audit::Act {
        at: on.now_ms,
        actor: &on.request.person,
        act: "level.lowered_here",
        subject: &id.to_string(),
        detail: json!({}),
    };
    audit::append(on.tx, &act)?;
    Ok(Said::done(
        json!({ "id": saved.stored.record.key().id, "created": true }),
    ))
}

/// A task as it would be typed. Units go by the names that people know them by: an id of a unit that exists only above would
/// be a trace of it.
fn fields_of(tree: &Tree, record: &Record) -> TaskFields {
    let text = |register: &str| Some(text_of(record, register)).filter(|text| !text.is_empty());
    let units = |register: &str| {
        let assigned: Assigned = maybe(record, register)?;
        let codes = assigned.units.iter().map(|unit| tree.code(*unit));
        Some(codes.chain(assigned.unresolved.iter().cloned()).collect())
    };
    let group: Group = group_of(record);
    let deadline = record.shown("deadline").unwrap_or_default();
    let word = |value: &Value| value.as_str().map(str::to_owned);
    TaskFields {
        group: Some(group.code).filter(|code| !code.is_empty()),
        group_title: Some(group.title).filter(|title| !title.is_empty()),
        number: text("number"),
        title: text("title"),
        subtask: text("subtask"),
        deliverable: text("deliverable"),
        kpi: text("kpi"),
        lead: units("lead"),
        coordinating: units("coordinating"),
        deadline: word(&deadline["text"]),
        programme: text("programme"),
        responsible: text("person"),
        authority: text("authority"),
        parent: None,
        classification: None,
        reviewer: record.shown("reviewer").as_ref().and_then(word),
    }
}
