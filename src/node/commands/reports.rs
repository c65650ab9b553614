//! Reports: a unit's progress on a task in a period. Values are a draft until they are submitted as a version.

use nqsync_core::model::values::{Figures, Progress, Status, Submission};
use nqsync_core::model::{Facts, Kind, Tree, UnitId};
use nqsync_core::protocol::hex;
use nqsync_core::rollup::Decimal;
use nqsync_core::sync::{Record, scope};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::periods;
use super::refs::{self, Named};
use super::tasks::text_value;
use super::views::{
    View, evidence_of, hashes, listed, maybe, report_item, report_shown, typed, values_now,
};
use super::{Reading, Said, Values, Writing, resolve, sentence, token};
use crate::api::{Exit, ReportFields, ReportRef, ReportWait};
use crate::node::Refusal;
use crate::node::standings::Standings;
use crate::node::write::Acting;
use crate::sheet::records::parse_status;
use crate::sheet::{NumberStyle, parse_number_as};
use crate::store::Stored;
use crate::store::records::{self, Flags};
use crate::store::standings::Wait;

/// Remark on a report whose part is greater than its whole.
const NUMERATOR_ABOVE: &str = "numerator-above-denominator";

/// `report list`.
pub fn list(
    on: &Reading<'_>,
    task: Option<&str>,
    unit: Option<&str>,
    period: Option<&str>,
) -> Result<Said, Refusal> {
    let view = on.view();
    let found = about_tasks(on, Kind::Report, task, unit, period)?;
    let items = found.iter().map(|stored| report_item(&view, stored));
    Ok(Said::done(listed(items.collect::<Result<_, _>>()?)))
}

/// `report waiting`: what waits for somebody, the oldest period first.
pub fn waiting(
    on: &Reading<'_>,
    wait: ReportWait,
    offset: usize,
    limit: Option<usize>,
) -> Result<Said, Refusal> {
    let view = on.view();
    let of = match wait {
        ReportWait::Verdict => Wait::Verdict,
        ReportWait::Correction => Wait::Correction,
        ReportWait::Submission => Wait::Submission,
    };
    let mut places = Standings::of(on.connection, &on.tree)?.waiting(of)?;
    places.retain(|place| match wait {
        // Its own evidence is judged by others, and others' drafts are their affair.
        ReportWait::Verdict => place.unit != on.home,
        ReportWait::Submission => place.unit == on.home,
        ReportWait::Correction => true,
    });
    let mut items = Vec::new();
    let shown = places.iter().skip(offset);
    for place in shown.take(limit.unwrap_or(usize::MAX)) {
        let Some(stored) = records::load(on.connection, place.report)? else {
            continue;
        };
        let mut item = report_item(&view, &stored)?;
        if wait == ReportWait::Verdict {
            item["files"] = json!(super::evidence::with_other_uses(&view, &stored)?);
        }
        items.push(item);
    }
    Ok(Said::done(json!({ "total": places.len(), "items": items })))
}

/// Reports or evidence by task, unit (with those below it) and period.
pub fn about_tasks(
    on: &Reading<'_>,
    kind: Kind,
    task: Option<&str>,
    unit: Option<&str>,
    period: Option<&str>,
) -> Result<Vec<Stored>, Refusal> {
    let view = on.view();
    let unit = unit
        .map(|text| resolve(&on.tree, text, on.home))
        .transpose()?;
    let period = period
        .map(|text| refs::period(&view, Some(text)).map(|p| p.to_string()))
        .transpose()?;
    let mut found = match (task, &period, unit) {
        (Some(text), Some(period), _) => {
            let task = refs::task(&view, text)?.record.key().id;
            records::about_of(on.connection, kind, task, period)?
        }
        (Some(text), None, _) => {
            let task = refs::task(&view, text)?.record.key().id;
            records::about(on.connection, kind, task)?
        }
        (None, Some(period), Some(above)) => {
            let mut found = Vec::new();
            for unit in on.tree.subtree(above) {
                found.extend(records::owned_of(on.connection, kind, unit, period)?);
            }
            found
        }
        (None, ..) => records::of_kind(on.connection, kind)?,
    };
    found.retain(|stored| {
        let facts = stored.record.facts();
        !stored.record.is_deleted()
            && unit.is_none_or(|unit| facts.owner().is_some_and(|o| on.tree.is_within(o, unit)))
            && period
                .as_deref()
                .is_none_or(|period| facts.period() == Some(period))
    });
    found.sort_by_cached_key(|stored| {
        let facts = stored.record.facts();
        (
            facts.about(),
            facts.period().unwrap_or_default().to_owned(),
            facts.owner().map(|unit| on.tree.path(unit)),
            stored.record.key().id,
        )
    });
    Ok(found)
}

/// `report show`.
pub fn show(on: &Reading<'_>, report: &ReportRef) -> Result<Said, Refusal> {
    let view = on.view();
    let named = refs::report(&view, report, on.request.acting_for.as_deref())?;
    let stored = match &named.report {
        Some(stored) => stored.clone(),
        None => the_only_one(&view, report, &named)?,
    };
    Ok(Said::done(report_shown(&view, &stored)?))
}

/// Without a unit named, the one report on the task in the period, where there is only one.
pub fn the_only_one(view: &View<'_>, report: &ReportRef, named: &Named) -> Result<Stored, Refusal> {
    let mut found = Vec::new();
    if report.unit.is_none() {
        found = records::about(view.connection, Kind::Report, named.task.record.key().id)?;
        let period = named.period.to_string();
        found.retain(|stored| stored.record.facts().period() == Some(&period));
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(no_report(view.tree, named)),
    }
}

fn no_report(tree: &Tree, named: &Named) -> Refusal {
    let args = [
        ("task", refs::title(&named.task.record)),
        ("unit", tree.code(named.unit)),
        ("period", named.period.to_string()),
    ];
    Refusal::usage("unknown-report", args)
}

/// What a person may write about: the task was given to the unit, and the period is open.
pub fn check_open(view: &View<'_>, named: &Named) -> Result<(), Refusal> {
    let task = &named.task;
    let args = || {
        [
            ("task", refs::title(&task.record)),
            ("unit", view.tree.code(named.unit)),
            ("period", named.period.to_string()),
        ]
    };
    if named.report.is_none() && !was_assigned(view, task, named.unit)? {
        return Err(Refusal::usage("not-assigned", args()));
    }
    // What was begun before may be finished: it goes up as late.
    if named.report.is_none() && task.flags.has(Flags::LEFT) {
        return Err(Refusal::usage("task-given-elsewhere", args()));
    }
    if task.record.shown("withdrawn").is_some() {
        return Err(Refusal::usage("task-withdrawn", args()));
    }
    if periods::is_locked(view, named.unit, &named.period.to_string())? {
        return Err(Refusal::usage("period-closed", args()));
    }
    Ok(())
}

/// Whether the task is, or ever was, given to the unit.
fn was_assigned(view: &View<'_>, task: &Stored, unit: UnitId) -> Result<bool, Refusal> {
    // Replaced writes are in the history, or still in an edit of which another write is present.
    let history = records::history(view.connection, task.rec)?;
    let edits = task.record.edits().iter().chain(&history);
    Ok(edits.flat_map(|edit| edit.writes()).any(|write| {
        scope::ASSIGNED.contains(&write.register.as_ref())
            && scope::units_in(&write.json()).contains(&unit)
    }))
}

/// `report set`.
pub fn set(
    on: &mut Writing<'_, '_>,
    report: &ReportRef,
    fields: &ReportFields,
    typed_token: Option<&str>,
    submit: bool,
) -> Result<Said, Refusal> {
    let (named, acting) = begin(on, report)?;
    let (values, notes) = values_of(
        fields,
        named.report.as_ref().map(|s| &s.record),
        NumberStyle::Vietnamese,
    )?;
    if values.is_empty() && !submit {
        return Err(Refusal::usage("nothing-given", []));
    }
    let token = token(typed_token)?;
    let stored = write(on, &acting, named, values, token.as_ref())?;
    let mut said = if submit {
        submit_now(on, &acting, stored)?
    } else {
        let said = answer(on, &stored)?;
        match said.data["submitted"] == json!(false) || said.data["draft_changed"] == json!(true) {
            true => said.note("note-draft", [("task", report.task.clone())]),
            false => said,
        }
    };
    said.notes.splice(0..0, notes);
    Ok(said)
}

/// Finds the report to be written, and for whom; refuses what a person may not write.
fn begin(on: &Writing<'_, '_>, report: &ReportRef) -> Result<(Named, Acting), Refusal> {
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let named = refs::report(&view, report, on.request.acting_for.as_deref())?;
    let acting = on.acting_as(named.unit)?;
    check_open(&view, &named)?;
    Ok((named, acting))
}

/// Writes values into the draft, and keeps the remark on its figures in step with them.
pub fn write(
    on: &mut Writing<'_, '_>,
    acting: &Acting,
    mut named: Named,
    values: Values,
    token: Option<&nqsync_core::sync::Token>,
) -> Result<Stored, Refusal> {
    let touches_figures = values.contains_key("figures");
    let stored = match named.report.take() {
        Some(stored) => on.change(acting, stored, values, token)?.stored,
        None if values.values().all(Value::is_null) => {
            return Err(no_report(&on.tx.tree(), &named));
        }
        None => on.begin(acting, named.facts(), values)?.stored,
    };
    if touches_figures {
        let figures: Figures = typed(&stored.record, "figures");
        match excess(&figures) {
            Some(found) => {
                let text = sentence(
                    on.request.lang,
                    "word-remark-numerator-above-denominator",
                    &[("found", found)],
                );
                records::remark(on.tx.connection(), stored.rec, NUMERATOR_ABOVE, &text)?;
            }
            None => records::clear_remark(on.tx.connection(), stored.rec, NUMERATOR_ABOVE)?,
        }
    }
    Ok(stored)
}

fn answer(on: &Writing<'_, '_>, stored: &Stored) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let mut item = report_item(&on.view(&tree)?, stored)?;
    item["token"] = json!(stored.record.token().to_string());
    let mut said = Said::done(item);
    if let Some(found) = excess(&typed(&stored.record, "figures")) {
        said = said.note(
            "word-remark-numerator-above-denominator",
            [("found", found)],
        );
    }
    let conflicts = stored.record.conflicts();
    if !conflicts.is_empty() {
        said = said.note("note-conflict", [("registers", conflicts.join(", "))]);
    }
    Ok(said)
}

/// Numerator and denominator as text, where the part is greater than the whole.
fn excess(figures: &Figures) -> Option<String> {
    let (n, d) = (figures.numerator.as_ref()?, figures.denominator.as_ref()?);
    let (numerator, denominator): (Decimal, Decimal) = (n.parse().ok()?, d.parse().ok()?);
    (numerator.checked_cmp(denominator)? == std::cmp::Ordering::Greater).then(|| format!("{n}/{d}"))
}

type Notes = Vec<super::Note>;

/// The registers that the typed fields fill. Within a register, what is not typed stays as it is shown.
/// `style`: how one point with three digits after it is meant in figures.
pub fn values_of(
    fields: &ReportFields,
    now: Option<&Record>,
    style: NumberStyle,
) -> Result<(Values, Notes), Refusal> {
    let (mut values, mut notes) = (Values::new(), Notes::new());
    let texts = [
        ("result", &fields.result),
        ("difficulties", &fields.difficulties),
        ("next_steps", &fields.next_steps),
    ];
    for (register, typed) in texts {
        if let Some(text) = typed {
            values.insert(register.to_owned(), text_value(text));
        }
    }
    if fields.status.is_some() || fields.percent.is_some() {
        let shown: Option<Progress> = now.and_then(|record| maybe(record, "progress"));
        let progress = progress_of(fields, shown, &mut notes)?;
        values.insert("progress".to_owned(), json!(progress));
    }
    if fields.value.is_some() || fields.numerator.is_some() || fields.denominator.is_some() {
        let shown: Figures = now
            .map(|record| typed(record, "figures"))
            .unwrap_or_default();
        values.insert(
            "figures".to_owned(),
            figures_value(&figures_of(fields, shown, style)?),
        );
    }
    Ok((values, notes))
}

fn progress_of(
    fields: &ReportFields,
    shown: Option<Progress>,
    notes: &mut Notes,
) -> Result<Progress, Refusal> {
    let percent = match fields.percent.as_deref() {
        Some(text) => percent_of(text)?,
        None => shown.as_ref().and_then(|p| p.percent.clone()),
    };
    let status = match fields.status.as_deref() {
        Some(text) => status_of(text)?,
        None => shown.map_or_else(|| begun(percent.as_deref()), |p| p.status),
    };
    let unfinished = percent.as_deref().is_some_and(|p| p != "100");
    if status == Status::Completed && fields.percent.is_none() && unfinished {
        notes.push(("note-completed-percent", vec![]));
        return Ok(Progress {
            status,
            percent: Some("100".to_owned()),
        });
    }
    Ok(Progress { status, percent })
}

/// The status of a report that states only a percent.
fn begun(percent: Option<&str>) -> Status {
    match percent.and_then(|p| p.parse::<Decimal>().ok()) {
        Some(percent) if !percent.is_zero() => Status::InProgress,
        _ => Status::NotStarted,
    }
}

/// A status in the program's words or in Vietnamese.
pub fn status_of(text: &str) -> Result<Status, Refusal> {
    let unread = || Refusal::usage("bad-status", [("status", text.to_owned())]);
    let word = parse_status(text).ok_or_else(unread)?;
    serde_json::from_value(json!(word)).map_err(|_| unread())
}

fn percent_of(text: &str) -> Result<Option<String>, Refusal> {
    let Some(number) = number_of("percent", text, NumberStyle::Plain)? else {
        return Ok(None);
    };
    let range = |number: &str| -> Option<bool> {
        let value: Decimal = number.parse().ok()?;
        let (low, high) = (Decimal::from(0), Decimal::from(100));
        Some(value.checked_cmp(low)?.is_ge() && value.checked_cmp(high)?.is_le())
    };
    if range(&number) != Some(true) {
        return Err(Refusal::usage(
            "percent-range",
            [("percent", text.to_owned())],
        ));
    }
    Ok(Some(number))
}

fn number_of(field: &str, text: &str, style: NumberStyle) -> Result<Option<String>, Refusal> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let number = parse_number_as(text, style);
    number.map(Some).map_err(|_| {
        Refusal::usage(
            "not-a-number",
            [("field", field.to_owned()), ("text", text.to_owned())],
        )
    })
}

/// Figures as typed; a whole of zero is refused, a part above the whole is only remarked.
fn figures_of(
    fields: &ReportFields,
    mut figures: Figures,
    style: NumberStyle,
) -> Result<Figures, Refusal> {
    let parts = [
        ("value", &fields.value, &mut figures.value),
        ("numerator", &fields.numerator, &mut figures.numerator),
        ("denominator", &fields.denominator, &mut figures.denominator),
    ];
    for (field, typed, part) in parts {
        if let Some(text) = typed {
            *part = number_of(field, text, style)?;
        }
    }
    if let Some(text) = &figures.denominator {
        let whole: Option<Decimal> = text.parse().ok();
        let above_zero = whole
            .and_then(|d| d.checked_cmp(Decimal::from(0)))
            .is_some_and(|o| o.is_gt());
        if !above_zero {
            return Err(Refusal::usage(
                "bad-denominator",
                [("denominator", text.clone())],
            ));
        }
    }
    Ok(figures)
}

/// The `figures` register's value; null when there are none.
pub fn figures_value(figures: &Figures) -> Value {
    if *figures == Figures::default() {
        Value::Null
    } else {
        json!(figures)
    }
}

/// `report submit`.
pub fn submit(on: &mut Writing<'_, '_>, report: &ReportRef) -> Result<Said, Refusal> {
    let (mut named, acting) = begin(on, report)?;
    let Some(stored) = named.report.take() else {
        return Err(no_report(&on.tx.tree(), &named));
    };
    submit_now(on, &acting, stored)
}

fn submit_now(on: &mut Writing<'_, '_>, acting: &Acting, stored: Stored) -> Result<Said, Refusal> {
    let record = &stored.record;
    let Facts::Report {
        unit, task, period, ..
    } = record.facts()
    else {
        return Err(super::unknown_verb(on.request));
    };
    let conflicts = record.conflicts();
    if !conflicts.is_empty() {
        let args = [
            ("registers", conflicts.join(", ")),
            ("report", record.key().id.to_string()),
        ];
        return Err(Refusal::with(
            Exit::PersonNeeded,
            "report-in-conflict",
            args,
        ));
    }
    let Some(progress) = maybe::<Progress>(record, "progress") else {
        return Err(Refusal::usage("report-without-status", []));
    };
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    if progress.status == Status::Completed && evidence_of(&view, *task, *unit, None)?.is_empty() {
        return Err(Refusal::usage(
            "completed-without-evidence",
            [("unit", tree.code(*unit))],
        ));
    }
    let version = Submission {
        hash: String::new(),
        submitted_at: on.now_ms,
        progress,
        values: values_now(record),
        evidence: hashes(&evidence_of(&view, *task, *unit, Some(period))?),
    };
    let last: Option<Submission> = maybe(record, "submission");
    if last.is_some_and(|last| is_same(&last, &version)) {
        return Ok(answer(on, &stored)?.note("note-already-submitted", []));
    }
    let version = Submission {
        hash: hash_of(record.key().id, &version),
        ..version
    };
    let values = Values::from([
        ("submission".to_owned(), json!(version)),
        ("withdrawn_reason".to_owned(), Value::Null),
    ]);
    let saved = on.change(acting, stored, values, None)?;
    answer(on, &saved.stored)
}

fn is_same(a: &Submission, b: &Submission) -> bool {
    a.progress == b.progress && a.values == b.values && a.evidence == b.evidence
}

/// First half of the SHA-256 over everything else in the version and the report it belongs to.
fn hash_of(report: Uuid, version: &Submission) -> String {
    let content = json!({
        "report": report,
        "submitted_at": version.submitted_at,
        "progress": version.progress,
        "values": version.values,
        "evidence": version.evidence,
    });
    let full = Sha256::digest(content.to_string().as_bytes());
    hex(&full[..16])
}

/// `report withdraw`.
pub fn withdraw(
    on: &mut Writing<'_, '_>,
    report: &ReportRef,
    reason: &str,
) -> Result<Said, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    let (mut named, acting) = begin(on, report)?;
    let Some(stored) = named.report.take() else {
        return Err(no_report(&on.tx.tree(), &named));
    };
    if stored.record.shown("submission").is_none() {
        let args = [
            ("unit", on.tx.tree().code(named.unit)),
            ("period", named.period.to_string()),
        ];
        return Err(Refusal::usage("not-submitted", args));
    }
    let values = Values::from([
        ("submission".to_owned(), Value::Null),
        ("withdrawn_reason".to_owned(), json!(reason)),
    ]);
    let saved = on.change(&acting, stored, values, None)?;
    answer(on, &saved.stored)
}

#[cfg(test)]
mod tests;
