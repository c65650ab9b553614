//! Tasks, reports, verdicts and arrivals to count, written by hand or drawn at random.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use nqsync_core::model::UnitId;
use nqsync_core::model::values::{Assigned, Progress, Status, Submission};
use nqsync_core::rollup::*;
use proptest::prelude::*;
use uuid::Uuid;

/// A unit above those that report.
pub const PROVINCE: UnitId = UnitId(Uuid::from_u128(2));
pub const ISSUER: UnitId = UnitId(Uuid::from_u128(1));
/// 20 March 2026, noon in Viet Nam.
pub const NOON: i64 = 1_773_982_800_000;

pub fn unit(number: u8) -> UnitId {
    UnitId(Uuid::from_u128(0x100 + u128::from(number)))
}

pub fn month(number: i8) -> PeriodSpan {
    let start = date(2026, number, 1);
    PeriodSpan {
        name: format!("2026-{number:02}"),
        start,
        end: start.last_of_month(),
    }
}

pub fn assigned(units: &[u8]) -> Assigned {
    Assigned {
        units: units.iter().copied().map(unit).collect(),
        ..Assigned::default()
    }
}

pub fn task(number: u8, lead: &[u8], coordinating: &[u8]) -> TaskFacts {
    TaskFacts {
        id: Uuid::from_u128(0x200 + u128::from(number)),
        issuer: ISSUER,
        parent: None,
        group: "III".to_owned(),
        lead: assigned(lead),
        coordinating: assigned(coordinating),
        due: Some(date(2026, 3, 31)),
        deadline_kind: "date".to_owned(),
        issued: None,
        withdrawn: false,
        deleted: false,
        unread: false,
    }
}

pub fn report(task: &TaskFacts, by: u8, period: i8, status: Status) -> ReportFacts {
    let submission = Submission {
        hash: format!("{}-{by}-{period}", task.id),
        submitted_at: NOON,
        progress: Progress {
            status,
            percent: None,
        },
        values: Default::default(),
        evidence: Vec::new(),
    };
    ReportFacts {
        id: Uuid::new_v5(&task.id, submission.hash.as_bytes()),
        task: task.id,
        unit: unit(by),
        period: month(period),
        submission: Some(submission),
        submissions_in_conflict: false,
        deleted: false,
        unread: false,
    }
}

pub fn verdict(report: &ReportFacts, reviewer: UnitId, accepted: bool) -> VerdictFacts {
    VerdictFacts {
        report: report.id,
        submission: report.submission.as_ref().unwrap().hash.clone(),
        unit: report.unit,
        reviewer,
        from_above: reviewer == PROVINCE,
        accepted,
        reason: "the page with the seal is missing".to_owned(),
    }
}

pub fn arrival(report: &ReportFacts, sender_ahead_ms: i64) -> ArrivalFacts {
    ArrivalFacts {
        submission: report.submission.as_ref().unwrap().hash.clone(),
        unit: report.unit,
        at: NOON,
        sender_ahead_ms,
    }
}

/// Everything that a fold of March takes.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    pub tasks: Vec<TaskFacts>,
    pub reports: Vec<ReportFacts>,
    pub verdicts: Vec<VerdictFacts>,
    pub arrivals: Vec<ArrivalFacts>,
}

impl Inputs {
    pub fn fold(&self, period: i8, evaluated_on: Date) -> GroupRollup {
        self.with(&month(period), evaluated_on, fold)
    }

    pub fn march(&self) -> GroupRollup {
        self.fold(3, date(2026, 4, 1))
    }

    pub fn with<T>(
        &self,
        period: &PeriodSpan,
        evaluated_on: Date,
        ask: impl FnOnce(&GroupInput<'_>) -> T,
    ) -> T {
        ask(&GroupInput {
            period,
            evaluated_on,
            tasks: &self.tasks,
            reports: &self.reports,
            verdicts: &self.verdicts,
            arrivals: &self.arrivals,
        })
    }

    pub fn add(&mut self, task: TaskFacts, by: u8, status: Status) {
        self.reports.push(report(&task, by, 3, status));
        self.tasks.push(task);
    }
}

pub fn any_report() -> impl Strategy<Value = (u8, u8, i8, Option<Status>, i64)> {
    let status = prop::option::weighted(
        0.9,
        prop::sample::select(vec![
            Status::NotStarted,
            Status::InProgress,
            Status::AwaitingCorrection,
            Status::Continuing,
            Status::Completed,
            Status::Completed,
            Status::Cancelled,
        ]),
    );
    (0u8..4, 0u8..4, 1i8..6, status, -20i64..40)
}

prop_compose! {
    /// Four tasks of four units, and what may happen around them.
    pub fn any_inputs()(
        assignments in prop::collection::vec((0u8..16, 0u8..16, any::<bool>(), 0u8..5), 4),
        issued in prop::collection::vec(prop::option::of(0i32..150), 4),
        reports in prop::collection::vec(any_report(), 0..24),
        notes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<bool>()), 0..12),
    ) -> Inputs {
        let set = |bits: u8| (0..4).filter(|i| bits & (1 << i) != 0).collect::<Vec<u8>>();
        let mut inputs = Inputs::default();
        for (number, (lead, coordinating, has_due, kind)) in assignments.into_iter().enumerate() {
            let mut task = task(number as u8, &set(lead), &set(coordinating));
            task.due = task.due.filter(|_| has_due);
            task.withdrawn = kind == 1;
            task.issued = issued[number].map(|days| date(2026, 1, 1).saturating_add(days.days()));
            if kind == 2 {
                task.deadline_kind = "on_request".to_owned();
            }
            inputs.tasks.push(task);
        }
        for (of, by, period, status, days) in reports {
            let mut report = report(&inputs.tasks[usize::from(of)], by, period, status.unwrap_or(Status::NotStarted));
            // One record per task, unit and period: the last one said stands.
            inputs.reports.retain(|r| r.id != report.id);
            if let Some(submission) = report.submission.as_mut() {
                submission.submitted_at += days * 86_400_000;
            }
            report.submission = report.submission.filter(|_| status.is_some());
            inputs.reports.push(report);
        }
        let submitted: Vec<ReportFacts> =
            inputs.reports.iter().filter(|r| r.submission.is_some()).cloned().collect();
        for (which, what, good) in notes.into_iter().filter(|_| !submitted.is_empty()) {
            let of = which.get(&submitted);
            match what {
                0 => inputs.arrivals.push(arrival(of, if good { 0 } else { 86_400_000 })),
                1 => inputs.verdicts.push(verdict(of, ISSUER, good)),
                _ => inputs.verdicts.push(verdict(of, PROVINCE, good)),
            }
        }
        // One verdict per version and reviewer, one arrival per version.
        inputs.verdicts.sort_by_key(|v| (v.submission.clone(), v.reviewer));
        inputs.verdicts.dedup_by_key(|v| (v.submission.clone(), v.reviewer));
        inputs.arrivals.sort_by_key(|a| a.submission.clone());
        inputs.arrivals.dedup_by_key(|a| a.submission.clone());
        inputs
    }
}
