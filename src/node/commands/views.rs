//! Records as the answers show them.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use nqsync_core::calendar::{Deadline, Duty, Period, PeriodKind};
use nqsync_core::model::values::{
    Assigned, Figures, FileRef, Group, Progress, Submission, VerdictValue, Wish,
};
use nqsync_core::model::{Facts, Kind, NodeId, Tree, UnitId};
use nqsync_core::rollup::{self, Derived, PeriodSpan, ReportFacts, Standing, UNRESOLVED_LEAD};
use nqsync_core::sync::{Edit, Record, scope};
use rusqlite::Connection;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::Lang;
use crate::clock::date_of;
use crate::node::Refusal;
use crate::node::standings::{self, Standings};
use crate::store::records::{self, Flags};
use crate::store::{Role, Stored, adapters, blobs, links, receipts};

/// What listings need: a snapshot, or the state a transaction has reached.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The store.
    pub connection: &'a Connection,
    /// The unit tree.
    pub tree: &'a Tree,
    /// The unit this node was set up for.
    pub home: UnitId,
    /// This node.
    pub here: NodeId,
    /// Zone of periods and deadlines.
    pub zone: &'a TimeZone,
    /// Kind of period meant where none is named.
    pub period: PeriodKind,
    /// The regimes by which reports are due here.
    pub duties: &'a [Duty],
    /// Now.
    pub now_ms: i64,
    /// Language of sentences.
    pub lang: Lang,
}

impl View<'_> {
    /// Today, in the zone of periods and deadlines.
    pub fn today(&self) -> Date {
        date_of(self.now_ms, self.zone)
    }

    /// Whether this node itself serves the unit.
    pub fn serves(&self, unit: UnitId) -> bool {
        self.tree.server_of(unit) == Some(self.here)
    }

    fn codes(&self, units: &[UnitId]) -> Vec<String> {
        units.iter().map(|unit| self.tree.code(*unit)).collect()
    }
}

/// An instant as RFC 3339; null for one no calendar holds.
pub fn time(ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(ms).map_or(Value::Null, |at| Value::String(at.to_string()))
}

/// A register's shown value in its type; the default when there is none or it does not fit.
pub fn typed<T: DeserializeOwned + Default>(record: &Record, register: &str) -> T {
    maybe(record, register).unwrap_or_default()
}

/// A register's shown value in its type.
pub fn maybe<T: DeserializeOwned>(record: &Record, register: &str) -> Option<T> {
    serde_json::from_value(record.shown(register)?).ok()
}

/// A text register; empty when there is none.
pub fn text_of(record: &Record, register: &str) -> String {
    typed(record, register)
}

/// A task's group.
pub fn group_of(record: &Record) -> Group {
    typed(record, "group")
}

/// A list answer.
pub fn listed(items: Vec<Value>) -> Value {
    json!({ "total": items.len(), "items": items })
}

/// A unit.
pub fn unit_item(view: &View<'_>, unit: UnitId) -> Value {
    let Some(info) = view.tree.get(unit) else {
        return json!({ "id": unit });
    };
    json!({
        "id": info.id,
        "code": info.code,
        "name": info.name,
        "level": info.level,
        "parent": info.parent.map(|parent| view.tree.code(parent)),
        "path": view.tree.path(unit),
        "served_by": view.tree.server_of(unit),
        "served_here": view.serves(unit),
        "aliases": info.aliases,
        "succession": info.succession.as_ref().map(|planned| json!({
            "kind": planned.kind,
            "from": planned.from,
            "successors": planned.successors.iter().map(|u| view.tree.code(*u)).collect::<Vec<_>>(),
            "heir": planned.heir.map(|heir| view.tree.code(heir)),
            "in_force": info.heir.is_some(),
        })),
        "undone": info.undone.map(|other| view.tree.code(other)),
    })
}

/// Where a unit stands with a task by the reports up to the end of a period.
fn stood(
    view: &View<'_>,
    (task, unit): (Uuid, UnitId),
    due: Option<Date>,
    end: Date,
) -> Result<Standing, Refusal> {
    let rows = standings::work(view.connection, view.tree, (task, unit))?;
    let told = rows.iter().rfind(|row| row.after.ends <= end);
    let today = view.today();
    Ok(told.map_or_else(
        || Standing::silent(due, today),
        |row| row.after.on(due, today),
    ))
}

/// A period by its canonical text.
pub fn span_of(text: &str) -> Option<PeriodSpan> {
    text.parse().ok().map(|period: Period| span(&period))
}

/// First and last day of a period.
pub fn span(period: &Period) -> PeriodSpan {
    PeriodSpan {
        name: period.to_string(),
        start: period.start(),
        end: period.end(),
    }
}

/// The parts of the *6 rõ* that a task leaves open: person, work, time, responsibility, product, authority.
pub fn missing(record: &Record) -> Vec<&'static str> {
    let empty = |register: &str| text_of(record, register).trim().is_empty();
    let lead: Assigned = typed(record, "lead");
    let deadline: Option<Deadline> = maybe(record, "deadline");
    let parts = [
        ("person", empty("person")),
        ("work", empty("title") && empty("subtask")),
        ("time", deadline.is_none_or(|d| d.text.trim().is_empty())),
        ("responsibility", lead.units.is_empty()),
        ("product", empty("deliverable")),
        ("authority", empty("authority")),
    ];
    parts
        .into_iter()
        .filter(|(_, open)| *open)
        .map(|(part, _)| part)
        .collect()
}

/// State of a task that its issuer took from all units that report by way of this node.
pub const GIVEN_ELSEWHERE: &str = "given_elsewhere";

/// A task's state at the end of a day, or by the latest reports: of several leads the least advanced decides.
pub fn task_status(
    view: &View<'_>,
    standings: &Standings<'_>,
    stored: &Stored,
    day: Option<Date>,
) -> Result<&'static str, Refusal> {
    if stored.flags.has(Flags::LEFT) {
        return Ok(GIVEN_ELSEWHERE);
    }
    let Some(task) = rollup::read_task(&stored.record) else {
        return Ok("");
    };
    if !task.is_live() {
        return Ok("withdrawn");
    }
    if !task.has_resolved_lead() {
        return Ok(UNRESOLVED_LEAD);
    }
    let states = standings.states(task.id, day)?;
    let leads = task.lead.units.iter();
    let least = leads
        .map(|unit| match states.get(unit) {
            Some(state) => state.on(task.due, view.today()).0,
            None => Derived::NotReported,
        })
        .min();
    Ok(least.unwrap_or(Derived::NotReported).as_str())
}

/// A task by itself, as it stands by the latest reports.
pub fn task_item(view: &View<'_>, stored: &Stored) -> Result<Value, Refusal> {
    let standings = Standings::of_tasks(view.connection, view.tree, stored.record.key().id)?;
    task_listed(view, &standings, stored, None)
}

/// A task in a list, as it stands at the end of a day or by the latest reports.
pub fn task_listed(
    view: &View<'_>,
    standings: &Standings<'_>,
    stored: &Stored,
    day: Option<Date>,
) -> Result<Value, Refusal> {
    let record = &stored.record;
    let Facts::Task { issuer, parent } = record.facts() else {
        return Ok(Value::Null);
    };
    let group = group_of(record);
    let lead: Assigned = typed(record, "lead");
    let coordinating: Assigned = typed(record, "coordinating");
    let withdrawn = record.shown("withdrawn");
    Ok(json!({
        "id": record.key().id,
        "parent": parent,
        "group": group.code,
        "group_title": group.title,
        "number": text_of(record, "number"),
        "title": text_of(record, "title"),
        "subtask": text_of(record, "subtask"),
        "lead": view.codes(&lead.units),
        "lead_unresolved": lead.unresolved,
        "coordinating": view.codes(&coordinating.units),
        "coordinating_unresolved": coordinating.unresolved,
        "deliverable": text_of(record, "deliverable"),
        "kpi": text_of(record, "kpi"),
        "deadline": deadline_of(record),
        "issuer": view.tree.code(*issuer),
        "status": task_status(view, standings, stored, day)?,
        "missing": missing(record),
        "given_elsewhere": stored.flags.has(Flags::LEFT),
        "withdrawn": withdrawn.is_some(),
        "withdrawn_reason": withdrawn.map(|w| w["reason"].clone()),
    }))
}

fn deadline_of(record: &Record) -> Value {
    let deadline = record.shown("deadline").unwrap_or_default();
    json!({ "text": deadline["text"], "kind": deadline["kind"], "due": deadline["due"] })
}

/// A task with everything about it.
pub fn task_shown(view: &View<'_>, stored: &Stored) -> Result<Value, Refusal> {
    let id = stored.record.key().id;
    let mut item = task_alone(view, stored)?;
    let mut reports = Vec::new();
    for report in records::about(view.connection, Kind::Report, id)? {
        reports.push(report_item(view, &report)?);
    }
    item["reports"] = json!(reports);
    Ok(item)
}

/// The same without its reports.
pub fn task_alone(view: &View<'_>, stored: &Stored) -> Result<Value, Refusal> {
    let record = &stored.record;
    let id = record.key().id;
    let mut item = task_item(view, stored)?;
    let proposals = records::about(view.connection, Kind::Proposal, id)?;
    let more = json!({
        "programme": text_of(record, "programme"),
        "responsible": text_of(record, "person"),
        "authority": text_of(record, "authority"),
        "reviewer": maybe::<String>(record, "reviewer").unwrap_or_else(|| "issuer".to_owned()),
        "receipts": task_receipts(view, stored)?,
        "history": history(view, stored)?,
        "token": record.token().to_string(),
        "conflicts": record.conflicts(),
        "proposals": proposals.iter().filter_map(|p| proposal_line(view, p)).collect::<Vec<_>>(),
        "remark": remark(view, stored)?,
    });
    merge(&mut item, more);
    Ok(item)
}

fn proposal_line(view: &View<'_>, stored: &Stored) -> Option<Value> {
    let Facts::Proposal {
        proposer, register, ..
    } = stored.record.facts()
    else {
        return None;
    };
    let wish: Wish = maybe(&stored.record, "wish")?;
    Some(json!({
        "id": stored.record.key().id,
        "unit": view.tree.code(*proposer),
        "field": register,
        "value": wish.value,
        "reason": wish.reason,
        "open": wish.open,
    }))
}

/// How far a task got towards each unit it is given to.
/// Whether the node that serves an end of the record is a neighbour and has acknowledged its present state.
fn neighbour_holds(
    view: &View<'_>,
    server: Option<NodeId>,
    stored: &Stored,
) -> Result<bool, Refusal> {
    match server {
        Some(node) => Ok(links::held_by_neighbour(view.connection, node, stored.rec)?),
        None => Ok(false),
    }
}

fn task_receipts(view: &View<'_>, stored: &Stored) -> Result<Vec<Value>, Refusal> {
    let reached = receipts::of(view.connection, stored.rec)?;
    let extent = stored.record.extent();
    let mut shown = Vec::new();
    for unit in scope::assigned(&stored.record) {
        let server = view.tree.server_of(unit);
        let arrived = reached
            .iter()
            .find(|(by, held, _)| view.tree.server_of(*by) == server && held.covers(&extent));
        let (stage, at) = match arrived {
            _ if view.serves(unit) => ("reached_unit", Value::Null),
            Some((_, _, at)) => ("reached_unit", time(*at)),
            None if neighbour_holds(view, server, stored)? => ("reached_unit", Value::Null),
            None => ("stored", Value::Null),
        };
        shown.push(json!({ "unit": view.tree.code(unit), "stage": stage, "at": at }));
    }
    Ok(shown)
}

/// How far a record got towards the unit that issued what it answers.
pub fn receipt(view: &View<'_>, stored: &Stored, issuer: UnitId) -> Result<&'static str, Refusal> {
    let server = view.tree.server_of(issuer);
    let extent = stored.record.extent();
    let reached = view.serves(issuer)
        || receipts::of(view.connection, stored.rec)?
            .iter()
            .any(|(unit, held, _)| view.tree.server_of(*unit) == server && held.covers(&extent))
        || neighbour_holds(view, server, stored)?;
    if reached {
        return Ok("reached_issuer");
    }
    for link in links::rows(view.connection)? {
        if link.role == Role::Upstream
            && links::accepted_by_peer(view.connection, link.link, stored.rec)?
        {
            return Ok("accepted_upstream");
        }
    }
    Ok("stored")
}

/// The live evidence of a unit on a task, of one period or of all.
pub fn evidence_of(
    view: &View<'_>,
    task: Uuid,
    unit: UnitId,
    period: Option<&str>,
) -> Result<Vec<Stored>, Refusal> {
    let mut found = records::about_by(view.connection, Kind::Evidence, task, unit)?;
    found.retain(|stored| {
        period.is_none_or(|period| stored.record.facts().period() == Some(period))
            && !stored.record.is_deleted()
    });
    Ok(found)
}

/// SHA-256 of evidence files, sorted, each once.
pub fn hashes(evidence: &[Stored]) -> Vec<String> {
    let files = evidence
        .iter()
        .filter_map(|s| maybe::<FileRef>(&s.record, "file"));
    let mut hashes: Vec<String> = files.map(|file| file.sha256).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// A report's registers that a submission carries besides its progress.
pub const SUBMITTED: [&str; 4] = ["figures", "result", "difficulties", "next_steps"];

/// A report's live values as a submission would carry them.
pub fn values_now(record: &Record) -> serde_json::Map<String, Value> {
    let values = SUBMITTED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), record.shown(name)?)));
    values.collect()
}

/// A report in a list.
pub fn report_item(view: &View<'_>, stored: &Stored) -> Result<Value, Refusal> {
    let record = &stored.record;
    let Facts::Report {
        unit,
        issuer,
        task,
        period,
    } = record.facts()
    else {
        return Ok(Value::Null);
    };
    let task_record = records::load(view.connection, *task)?.map(|s| s.record);
    let standing = report_standing(view, record, task_record.as_ref(), *unit)?;
    let progress: Option<Progress> = maybe(record, "progress");
    let figures: Figures = typed(record, "figures");
    let submission: Option<Submission> = maybe(record, "submission");
    let evidence = hashes(&evidence_of(view, *task, *unit, Some(period))?);
    let draft_changed = submission.as_ref().is_some_and(|version| {
        Some(&version.progress) != progress.as_ref()
            || version.values != values_now(record)
            || version.evidence != evidence
    });
    let late = standing.as_ref().is_some_and(|s| {
        s.overdue || matches!(s.derived, Derived::CompletedLate | Derived::InProgressLate)
    });
    Ok(json!({
        "id": record.key().id,
        "task": task,
        "task_title": task_record.as_ref().map(super::refs::title),
        "unit": view.tree.code(*unit),
        "period": period,
        "status": standing.as_ref().map_or(Derived::NotReported, |s| s.derived).as_str(),
        "to_verify": standing.is_some_and(|s| s.evidence_pending),
        "stated_status": progress.as_ref().map(|p| p.status),
        "percent": progress.and_then(|p| p.percent),
        "value": figures.value,
        "numerator": figures.numerator,
        "denominator": figures.denominator,
        "submitted": submission.is_some(),
        "submitted_at": submission.map(|s| time(s.submitted_at)),
        "late": late,
        "draft_changed": draft_changed,
        "evidence": evidence.len(),
        "conflicts": record.conflicts(),
        "receipt": receipt(view, stored, *issuer)?,
        "remark": remark(view, stored)?,
        "result": text_of(record, "result"),
        "difficulties": text_of(record, "difficulties"),
        "next_steps": text_of(record, "next_steps"),
    }))
}

/// Where a report's unit stands by this report; `None` while it is not submitted.
fn report_standing(
    view: &View<'_>,
    record: &Record,
    task: Option<&Record>,
    unit: UnitId,
) -> Result<Option<Standing>, Refusal> {
    let Some(ReportFacts {
        task: id,
        period,
        submission: Some(_),
        ..
    }) = rollup::read_report(record, span_of)
    else {
        return Ok(None);
    };
    let due = task.and_then(rollup::read_task).and_then(|task| task.due);
    stood(view, (id, unit), due, period.end).map(Some)
}

/// A report with everything about it.
pub fn report_shown(view: &View<'_>, stored: &Stored) -> Result<Value, Refusal> {
    let record = &stored.record;
    let mut item = report_item(view, stored)?;
    let submission: Option<Submission> = maybe(record, "submission");
    let hash = submission.as_ref().map(|s| s.hash.clone());
    let mut verdicts = Vec::new();
    for verdict in records::about(view.connection, Kind::Verdict, record.key().id)? {
        verdicts.extend(verdict_line(view, &verdict.record, hash.as_deref()));
    }
    let arrivals = records::about(view.connection, Kind::Arrival, record.key().id)?;
    let arrival = arrivals
        .iter()
        .filter_map(|stored| rollup::read_arrival(&stored.record))
        .find(|arrival| Some(&arrival.submission) == hash.as_ref());
    let more = json!({
        "submission": submission.map(|s| json!({
            "hash": s.hash,
            "submitted_at": time(s.submitted_at),
            "progress": s.progress,
            "values": s.values,
            "evidence": s.evidence,
        })),
        "withdrawn_reason": maybe::<String>(record, "withdrawn_reason"),
        "verdicts": verdicts,
        "arrival": arrival.map(|a| json!({
            "received_at": time(a.at),
            "sender_ahead_ms": a.sender_ahead_ms,
        })),
        "history": history(view, stored)?,
        "outside": outside(view, record.key().id)?,
        "token": record.token().to_string(),
    });
    merge(&mut item, more);
    Ok(item)
}

/// Outside systems that hold the record too: under which id, and when both sides were last seen to agree.
fn outside(view: &View<'_>, record: Uuid) -> Result<Vec<Value>, Refusal> {
    let seen = adapters::receipts(view.connection, record)?;
    let seen = seen.into_iter().map(|(adapter, id, agreed_at)| {
        json!({ "adapter": adapter, "id": id, "agreed_at": time(agreed_at) })
    });
    Ok(seen.collect())
}

fn verdict_line(view: &View<'_>, record: &Record, shown: Option<&str>) -> Option<Value> {
    let Facts::Verdict {
        reviewer,
        submission,
        ..
    } = record.facts()
    else {
        return None;
    };
    let verdict: VerdictValue = maybe(record, "verdict")?;
    let at = record
        .register("verdict")
        .edits
        .first()
        .map(|edit| edit.stamp.millis());
    Some(json!({
        "id": record.key().id,
        "unit": view.tree.code(*reviewer),
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "at": at.map(time),
        "submission": submission,
        "current": shown == Some(submission),
    }))
}

/// One piece of evidence.
pub fn evidence_item(view: &View<'_>, stored: &Stored) -> Result<Value, Refusal> {
    let record = &stored.record;
    let Facts::Evidence {
        unit,
        task,
        period,
        reviewer,
        issuer,
    } = record.facts()
    else {
        return Ok(Value::Null);
    };
    let file: Option<FileRef> = maybe(record, "file");
    let id = file
        .as_ref()
        .and_then(|file| blobs::parse_hex(&file.sha256));
    let state = match id
        .map(|id| blobs::state(view.connection, &id))
        .transpose()?
        .flatten()
    {
        Some((_, true)) => "present",
        Some((_, false)) => "pending",
        None => "elsewhere",
    };
    let added_at = record
        .register("file")
        .edits
        .first()
        .map(|edit| edit.stamp.millis());
    Ok(json!({
        "id": record.key().id,
        "name": file.as_ref().map(|f| f.name.as_str()),
        "size": file.as_ref().map(|f| f.size),
        "sha256": file.as_ref().map(|f| f.sha256.as_str()),
        "unit": view.tree.code(*unit),
        "task": task,
        "period": period,
        "reviewer": view.tree.code(*reviewer),
        "state": state,
        "added_at": added_at.map(time),
        "note": text_of(record, "note"),
        "removed": record.is_deleted(),
        "receipt": receipt(view, stored, *issuer)?,
        "token": record.token().to_string(),
    }))
}

/// Every value every register had, the latest first.
pub fn history(view: &View<'_>, stored: &Stored) -> Result<Vec<Value>, Refusal> {
    let mut edits: Vec<Edit> = records::history(view.connection, stored.rec)?;
    edits.extend(stored.record.edits().iter().cloned());
    let mut known = HashSet::new();
    edits.retain(|edit| known.insert(*edit.hash()));
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.stamp));
    let mut lines = Vec::new();
    for edit in &edits {
        for write in edit.writes() {
            let present = stored
                .record
                .register(&write.register)
                .dots()
                .contains(&write.dot);
            lines.push(json!({
                "register": write.register,
                "value": named_units(view, write.json()),
                "by": edit.by,
                "unit": view.tree.code(edit.unit),
                "at": time(edit.stamp.millis()),
                "current": present,
            }));
        }
    }
    Ok(lines)
}

/// An assigning register's value with codes in place of ids.
fn named_units(view: &View<'_>, mut value: Value) -> Value {
    let units = scope::units_in(&value);
    if !units.is_empty() {
        value["units"] = json!(view.codes(&units));
    }
    value
}

/// What was remarked on a record that was kept all the same.
fn remark(view: &View<'_>, stored: &Stored) -> Result<Option<String>, Refusal> {
    let remarks = records::remarks(view.connection, stored.rec)?;
    let texts: Vec<String> = remarks.into_iter().map(|(_, text)| text).collect();
    Ok((!texts.is_empty()).then(|| texts.join("; ")))
}

/// Adds the fields of one object to another.
pub fn merge(item: &mut Value, more: Value) {
    if let (Some(item), Value::Object(more)) = (item.as_object_mut(), more) {
        item.extend(more);
    }
}
