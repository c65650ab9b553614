//! The counting rules written a second time, the slow way: for each question look through everything.

use std::collections::{BTreeMap, BTreeSet};

use nqsync_core::model::UnitId;
use nqsync_core::model::values::Status;
use nqsync_core::rollup::{GroupInput, ReportFacts, TaskFacts};

#[derive(Default)]
pub struct Recount {
    pub tasks: BTreeMap<String, u32>,
    pub assignments: BTreeMap<String, u32>,
    pub received: u32,
    pub expected: u32,
    pub units_reported: u32,
}

/// From the least advanced to the most.
const ORDER: [&str; 9] = [
    "not_reported",
    "not_started",
    "awaiting_correction",
    "in_progress_late",
    "in_progress",
    "continuing",
    "completed_late",
    "completed_on_time",
    "cancelled",
];

pub fn recount(input: &GroupInput<'_>) -> Recount {
    let mut found = Recount::default();
    let mut missing: BTreeMap<UnitId, (u32, u32)> = BTreeMap::new();
    for task in input.tasks.iter().filter(|t| !t.withdrawn && !t.deleted) {
        let mut units: BTreeSet<UnitId> = task.lead.units.iter().copied().collect();
        units.extend(&task.coordinating.units);
        for unit in &units {
            let state = state(input, task, *unit, |_| true);
            *found.assignments.entry(state.to_owned()).or_default() += 1;
            let received = input.reports.iter().any(|r| {
                is_of(r, task, *unit)
                    && r.period.end >= input.period.start
                    && r.period.end <= input.period.end
            });
            let before = self::state(input, task, *unit, |r| r.period.end < input.period.start);
            let finished = ["completed_late", "completed_on_time", "cancelled"].contains(&before);
            let given_later = task.issued.is_some_and(|day| day > input.period.end);
            let expected =
                received || (!finished && !given_later && task.deadline_kind != "on_request");
            let of_unit = missing.entry(*unit).or_default();
            of_unit.0 += u32::from(received);
            of_unit.1 += u32::from(expected);
        }
        let place = |state: &str| ORDER.iter().position(|s| *s == state);
        let leads = task.lead.units.iter();
        let line = leads
            .map(|unit| state(input, task, *unit, |_| true))
            .min_by_key(|state| place(state))
            .unwrap_or("unresolved_lead");
        *found.tasks.entry(line.to_owned()).or_default() += 1;
    }
    for (received, expected) in missing.into_values() {
        found.received += received;
        found.expected += expected;
        found.units_reported += u32::from(expected > 0 && received == expected);
    }
    found
}

fn is_of(report: &ReportFacts, task: &TaskFacts, unit: UnitId) -> bool {
    report.task == task.id && report.unit == unit && !report.deleted && report.submission.is_some()
}

/// Months only: one report per month, so the latest is the one with the latest end.
fn state(
    input: &GroupInput<'_>,
    task: &TaskFacts,
    unit: UnitId,
    wanted: impl Fn(&ReportFacts) -> bool,
) -> &'static str {
    let mut reports: Vec<&ReportFacts> = input
        .reports
        .iter()
        .filter(|r| is_of(r, task, unit) && wanted(r) && r.period.end <= input.period.end)
        .collect();
    reports.sort_by_key(|r| r.period.end);
    let Some(latest) = reports.last() else {
        return "not_reported";
    };
    if is_rejected(input, task, latest) {
        return "awaiting_correction";
    }
    match latest.submission.as_ref().unwrap().progress.status {
        Status::NotStarted => "not_started",
        Status::AwaitingCorrection => "awaiting_correction",
        Status::Continuing => "continuing",
        Status::Cancelled => "cancelled",
        Status::InProgress => match task.due {
            Some(due) if due < input.evaluated_on => "in_progress_late",
            _ => "in_progress",
        },
        Status::Completed => {
            let mut since = *latest;
            for report in reports.iter().rev() {
                let status = report.submission.as_ref().unwrap().progress.status;
                if status != Status::Completed || is_rejected(input, task, report) {
                    break;
                }
                since = report;
            }
            completed(input, task, since)
        }
    }
}

fn completed(input: &GroupInput<'_>, task: &TaskFacts, since: &ReportFacts) -> &'static str {
    let submission = since.submission.as_ref().unwrap();
    let arrival = input
        .arrivals
        .iter()
        .find(|a| a.submission == submission.hash);
    let at = submission.submitted_at - arrival.map_or(0, |a| a.sender_ahead_ms);
    let midnight = |due: jiff::civil::Date| {
        let next = due.tomorrow().unwrap().in_tz("Asia/Ho_Chi_Minh").unwrap();
        next.timestamp().as_millisecond()
    };
    match task.due {
        Some(due) if at >= midnight(due) => "completed_late",
        _ => "completed_on_time",
    }
}

fn is_rejected(input: &GroupInput<'_>, task: &TaskFacts, report: &ReportFacts) -> bool {
    let hash = &report.submission.as_ref().unwrap().hash;
    let verdicts: Vec<_> = input
        .verdicts
        .iter()
        .filter(|v| v.report == report.id && v.submission == *hash)
        .collect();
    match verdicts.iter().find(|v| v.reviewer == task.issuer) {
        Some(issuers) => !issuers.accepted,
        None => verdicts.iter().any(|v| !v.accepted),
    }
}
