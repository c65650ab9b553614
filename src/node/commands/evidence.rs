//! Evidence files, and the reviewer's verdict on what was submitted.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use nqsync_core::model::values::{FileRef, Submission, VerdictValue};
use nqsync_core::model::{Facts, Kind, Tree, UnitId};
use nqsync_core::sync::Record;
use serde_json::{Value, json};

use super::refs::{self, Named};
use super::reports::{about_tasks, check_open, the_only_one};
use super::tasks::text_value;
use super::views::{View, evidence_item, evidence_of, listed, maybe, merge, report_item, text_of};
use super::{Reading, Said, Values, Writing};
use crate::api::{Exit, ReportRef};
use crate::node::Refusal;
use crate::node::write::Acting;
use crate::store::{Stored, blobs, standings};

/// `evidence list`.
pub fn list(
    on: &Reading<'_>,
    task: Option<&str>,
    unit: Option<&str>,
    period: Option<&str>,
) -> Result<Said, Refusal> {
    let view = on.view();
    let found = about_tasks(on, Kind::Evidence, task, unit, period)?;
    let items = found.iter().map(|stored| evidence_item(&view, stored));
    Ok(Said::done(listed(items.collect::<Result<_, _>>()?)))
}

/// The files of a report, each with what else the same bytes were handed in for.
pub fn with_other_uses(view: &View<'_>, report: &Stored) -> Result<Vec<Value>, Refusal> {
    let Facts::Report {
        task, unit, period, ..
    } = report.record.facts()
    else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for stored in evidence_of(view, *task, *unit, Some(period))? {
        let mut item = evidence_item(view, &stored)?;
        let file: Option<FileRef> = maybe(&stored.record, "file");
        let id = file.and_then(|file| blobs::parse_hex(&file.sha256));
        let mut also = Vec::new();
        for other in match &id {
            Some(id) => standings::naming_file(view.connection, id)?,
            None => Vec::new(),
        } {
            let named: Option<FileRef> = maybe(&other.record, "file");
            let same = named.and_then(|file| blobs::parse_hex(&file.sha256)) == id;
            if same && other.rec != stored.rec && !other.record.is_deleted() {
                also.push(evidence_item(view, &other)?);
            }
        }
        item["also"] = json!(also);
        files.push(item);
    }
    Ok(files)
}

/// `evidence show`: one piece, by its id.
pub fn show(on: &Reading<'_>, evidence: &str) -> Result<Said, Refusal> {
    let view = on.view();
    let stored = refs::evidence(&view, evidence)?;
    Ok(Said::done(evidence_item(&view, &stored)?))
}

/// `evidence get`: a copy under a name that is still free.
pub fn get(on: &Reading<'_>, evidence: &str, to: &str) -> Result<Said, Refusal> {
    let view = on.view();
    let stored = refs::evidence(&view, evidence)?;
    let item = evidence_item(&view, &stored)?;
    let file: Option<FileRef> = maybe(&stored.record, "file");
    let id = file.and_then(|file| blobs::parse_hex(&file.sha256));
    let (Some(id), "present") = (id, item["state"].as_str().unwrap_or_default()) else {
        return Err(Refusal::usage(
            "file-not-here",
            [("evidence", evidence.to_owned())],
        ));
    };
    copy_out(&blobs::path(on.node.store.dir(), &id), Path::new(to)).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::AlreadyExists => "file-exists",
            _ => "file-unwritable",
        };
        Refusal::usage(
            code,
            [("path", to.to_owned()), ("detail", error.to_string())],
        )
    })?;
    let mut data = item;
    data["written_to"] = json!(to);
    Ok(Said::done(data))
}

/// Never overwrites; half a file is not left behind.
fn copy_out(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = File::options().write(true).create_new(true).open(to)?;
    let copied = io::copy(&mut source, &mut target).and_then(|_| target.sync_all());
    if copied.is_err() {
        // The copy's own error is what the person has to know.
        let _ = fs::remove_file(to);
    }
    copied
}

/// Refuses before a large file is copied what would be refused afterwards.
pub fn check_add(on: &Reading<'_>, report: &ReportRef) -> Result<(), Refusal> {
    let view = on.view();
    let named = refs::report(&view, report, on.request.acting_for.as_deref())?;
    check_open(&view, &named)
}

/// `evidence add`. The file was taken in before the transaction began.
pub fn add(
    on: &mut Writing<'_, '_>,
    report: &ReportRef,
    note: Option<&str>,
) -> Result<Said, Refusal> {
    let Some(taken) = on.file else {
        return Err(Refusal::usage("file-refused", [("detail", String::new())]));
    };
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let named = refs::report(&view, report, on.request.acting_for.as_deref())?;
    check_open(&view, &named)?;
    let sha256 = blobs::hex(&taken.id);
    let known = evidence_of(
        &view,
        named.task.record.key().id,
        named.unit,
        Some(&named.period.to_string()),
    )?;
    let twin = known
        .into_iter()
        .find(|s| maybe::<FileRef>(&s.record, "file").is_some_and(|file| file.sha256 == sha256));
    let acting = on.acting_as(named.unit)?;
    blobs::note(on.tx.connection(), &taken.id, taken.size, true, on.now_ms)?;
    let file = FileRef {
        name: taken.name.clone(),
        size: taken.size,
        sha256,
    };
    let mut values = Values::from([("file".to_owned(), json!(file))]);
    if let Some(note) = note {
        values.insert("note".to_owned(), text_value(note));
    }
    let Some(stored) = twin else {
        let saved = on.begin(&acting, facts_of(&named, reviewer(&tree, &named)), values)?;
        return answer(on, &saved.stored);
    };
    // The same bytes for the same report are one piece of evidence, under the name they first had.
    values.remove("file");
    let saved = on.change(&acting, stored, values, None)?;
    Ok(answer(on, &saved.stored)?.note("note-evidence-known", []))
}

/// Who looks at the file: the issuer, or the unit above the executor where the task says so.
fn reviewer(tree: &Tree, named: &Named) -> UnitId {
    let issuer = refs::issuer(&named.task.record);
    if text_of(&named.task.record, "reviewer") == "above" {
        return tree
            .get(named.unit)
            .and_then(|info| info.parent)
            .unwrap_or(issuer);
    }
    issuer
}

fn facts_of(named: &Named, reviewer: UnitId) -> Facts {
    Facts::Evidence {
        unit: named.unit,
        issuer: refs::issuer(&named.task.record),
        task: named.task.record.key().id,
        period: named.period.to_string(),
        reviewer,
    }
}

fn answer(on: &Writing<'_, '_>, stored: &Stored) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    Ok(Said::done(evidence_item(&on.view(&tree)?, stored)?))
}

/// `evidence remove`.
pub fn remove(on: &mut Writing<'_, '_>, evidence: &str, reason: &str) -> Result<Said, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let stored = refs::evidence(&view, evidence)?;
    let Facts::Evidence {
        unit, task, period, ..
    } = stored.record.facts().clone()
    else {
        return Err(super::unknown_verb(on.request));
    };
    if stored.record.is_deleted() {
        return Ok(answer(on, &stored)?.note("note-unchanged", []));
    }
    let report = ReportRef {
        task: task.to_string(),
        unit: Some(unit.to_string()),
        period: Some(period),
    };
    check_open(&view, &refs::report(&view, &report, None)?)?;
    let acting = on.acting_as(unit)?;
    let values = stored.record.deletion(reason);
    let saved = on.change(&acting, stored, values, None)?;
    answer(on, &saved.stored)
}

/// `evidence accept` and `evidence reject`: the verdict on the version submitted last.
pub fn judge(
    on: &mut Writing<'_, '_>,
    report: &ReportRef,
    accepted: bool,
    reason: Option<&str>,
    token: Option<&str>,
) -> Result<Said, Refusal> {
    let reason = reason.unwrap_or_default().trim();
    if !accepted && reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    let stored = judged(on, report)?;
    super::shared::decided_on(&stored.record, token)?;
    let Facts::Report {
        unit,
        issuer,
        task,
        period,
    } = stored.record.facts().clone()
    else {
        return Err(super::unknown_verb(on.request));
    };
    let submission = version_of(&stored.record)?;
    let acting = judge_for(on, unit, issuer)?;
    let facts = Facts::Verdict {
        reviewer: acting.unit,
        unit,
        issuer,
        report: stored.record.key().id,
        submission: submission.hash.clone(),
    };
    let value = VerdictValue {
        accepted,
        reason: reason.to_owned(),
    };
    let saved = on.begin(
        &acting,
        facts,
        Values::from([("verdict".to_owned(), json!(value))]),
    )?;
    let tree = on.tx.tree();
    let mut item = report_item(&on.view(&tree)?, &stored)?;
    merge(
        &mut item,
        json!({
            "id": saved.stored.record.key().id,
            "report": stored.record.key().id,
            "task": task,
            "period": period,
            "reviewer": tree.code(acting.unit),
            "accepted": accepted,
            "reason": reason,
            "submission": submission.hash,
            "token": saved.stored.record.token().to_string(),
        }),
    );
    Ok(Said::done(item))
}

/// The report to be judged. `--for` names the judge here, not the reporting unit.
fn judged(on: &Writing<'_, '_>, report: &ReportRef) -> Result<Stored, Refusal> {
    let tree = on.tx.tree();
    let view: View<'_> = on.view(&tree)?;
    let named = refs::report(&view, report, None)?;
    match &named.report {
        Some(stored) if report.unit.is_some() => Ok(stored.clone()),
        _ => the_only_one(&view, report, &named),
    }
}

fn version_of(report: &Record) -> Result<Submission, Refusal> {
    let versions = report.register("submission");
    if report.conflicts().contains(&"submission") {
        let args = [
            ("registers", "submission".to_owned()),
            ("report", report.key().id.to_string()),
        ];
        return Err(Refusal::with(
            Exit::PersonNeeded,
            "report-in-conflict",
            args,
        ));
    }
    let shown = versions
        .siblings
        .first()
        .and_then(|write| serde_json::from_value(write.json()).ok());
    let args = || {
        [
            ("unit", String::new()),
            (
                "period",
                report.facts().period().unwrap_or_default().to_owned(),
            ),
        ]
    };
    shown.ok_or_else(|| Refusal::usage("not-submitted", args()))
}

/// The judge: the issuer, or the unit above the one that reports.
fn judge_for(on: &Writing<'_, '_>, unit: UnitId, issuer: UnitId) -> Result<Acting, Refusal> {
    let tree = on.tx.tree();
    let above = tree.get(unit).and_then(|info| info.parent);
    let judges: Vec<UnitId> = std::iter::once(issuer).chain(above).collect();
    let served = judges.iter().copied().find(|judge| on.tx.serves(*judge));
    let acting = on.acting(served)?;
    if !judges.contains(&acting.unit) {
        let names: Vec<String> = judges.iter().map(|judge| tree.code(*judge)).collect();
        let args = [
            ("unit", tree.code(acting.unit)),
            ("reviewers", names.join(", ")),
        ];
        return Err(Refusal::usage("not-reviewer", args));
    }
    Ok(acting)
}

#[cfg(test)]
mod tests;
