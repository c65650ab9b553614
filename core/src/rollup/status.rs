//! The derived state of one unit's work on one task: what people see and rollups count.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::decimal::Decimal;
use super::input::{ArrivalFacts, PeriodSpan, ReportFacts, TaskFacts, VerdictFacts};
use crate::model::values::{Status, Submission};

/// Periods and deadlines are in the zone of the reporting regimes.
pub(super) const ZONE: &str = "Asia/Ho_Chi_Minh";

/// Derived states, from the least advanced to the most: of several leads the least one decides for the task.
///
/// *Cancelled* comes last, so that a lead whose part was cancelled never hides the others' progress; a task
/// counts as cancelled only when all its leads say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Derived {
    /// Nothing was ever submitted, or it was withdrawn.
    NotReported,
    /// Submitted as not started.
    NotStarted,
    /// *chờ hoàn thiện*: the submitted version was rejected, or says so itself.
    AwaitingCorrection,
    /// Under way after the due day.
    InProgressLate,
    /// Under way.
    InProgress,
    /// *tiếp tục thực hiện*.
    Continuing,
    /// Completed after the due day.
    CompletedLate,
    /// Completed by the end of the due day, or without one.
    CompletedOnTime,
    /// No longer to be done.
    Cancelled,
}

/// Where one unit stands with one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The derived state.
    pub derived: Derived,
    /// Open after the due day.
    pub overdue: bool,
    /// At less than half of where the calendar says it should be.
    pub behind: bool,
    /// The latest version was rejected.
    pub rejected: bool,
    /// On time or late is not final, because no arrival was noted yet.
    pub provisional: bool,
    /// Completed, and no reviewer has looked at the evidence yet.
    pub evidence_pending: bool,
    /// The version that counts is one of several concurrent ones.
    pub in_conflict: bool,
    /// When the version that counts was submitted, by the receiver's clock where it is known: ms since 1970.
    pub as_of: Option<i64>,
}

/// One submitted version with what others noted about it.
pub(super) struct Submitted<'a> {
    pub report: &'a ReportFacts,
    pub version: &'a Submission,
    pub verdict: Option<&'a VerdictFacts>,
    pub arrival: Option<&'a ArrivalFacts>,
}

impl Derived {
    /// All states, in their order.
    pub const ALL: [Derived; 9] = [
        Derived::NotReported,
        Derived::NotStarted,
        Derived::AwaitingCorrection,
        Derived::InProgressLate,
        Derived::InProgress,
        Derived::Continuing,
        Derived::CompletedLate,
        Derived::CompletedOnTime,
        Derived::Cancelled,
    ];

    /// The name in JSON and in rollups.
    pub fn as_str(self) -> &'static str {
        match self {
            Derived::NotReported => "not_reported",
            Derived::NotStarted => "not_started",
            Derived::AwaitingCorrection => "awaiting_correction",
            Derived::InProgressLate => "in_progress_late",
            Derived::InProgress => "in_progress",
            Derived::Continuing => "continuing",
            Derived::CompletedLate => "completed_late",
            Derived::CompletedOnTime => "completed_on_time",
            Derived::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more is expected: completed or cancelled.
    pub fn is_finished(self) -> bool {
        self >= Derived::CompletedLate
    }

    /// The state on a day, of one kept as if the due day had not come; and whether it is overdue then.
    pub fn on(self, due: Option<Date>, day: Date) -> (Derived, bool) {
        let past_due = due.is_some_and(|due| due < day);
        let derived = match self {
            Derived::InProgress if past_due => Derived::InProgressLate,
            other => other,
        };
        (derived, past_due && derived.is_open())
    }

    /// Whether the due day still matters. What *continues* does so by its nature, also past a due day.
    fn is_open(self) -> bool {
        self < Derived::Continuing
    }
}

impl Submitted<'_> {
    fn is_rejected(&self) -> bool {
        self.verdict.is_some_and(|v| !v.accepted)
    }

    fn is_completed(&self) -> bool {
        self.version.progress.status == Status::Completed && !self.is_rejected()
    }

    /// When it was submitted, with the sender's clock put right as far as that was measured.
    fn at(&self) -> i64 {
        let ahead = self.arrival.map_or(0, |a| a.sender_ahead_ms);
        self.version.submitted_at.saturating_sub(ahead)
    }

    /// Later versions sort after earlier ones: by period, then by time.
    pub(super) fn order(&self) -> (Date, i64, Date, &str) {
        let PeriodSpan { start, end, .. } = self.report.period;
        (end, self.at(), start, &self.version.hash)
    }
}

/// Where a unit stands with a task after one of the versions it submitted, whatever day it is: what can be kept beside the
/// records. What a day changes is added by [`After::on`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The report whose version came last.
    pub report: Uuid,
    /// Hash of that version.
    pub hash: String,
    /// First day of its period.
    pub starts: Date,
    /// Last day of its period.
    pub ends: Date,
    /// When it was submitted, with the sender's clock put right as far as that was measured: ms since 1970.
    pub at: i64,
    /// The state, as if the due day had not come: never [`Derived::InProgressLate`].
    pub derived: Derived,
    /// Percent done, where one was given or nothing was begun.
    pub percent: Option<String>,
    /// See [`Standing::rejected`].
    pub rejected: bool,
    /// See [`Standing::provisional`].
    pub provisional: bool,
    /// See [`Standing::evidence_pending`].
    pub evidence_pending: bool,
    /// See [`Standing::in_conflict`].
    pub in_conflict: bool,
    /// A reviewer looked at the version that counts and accepted it.
    pub accepted: bool,
}

impl After {
    /// Where the unit stands on a day, with a task due on another.
    pub fn on(&self, due: Option<Date>, day: Date) -> Standing {
        let (derived, overdue) = self.derived.on(due, day);
        Standing {
            derived,
            overdue,
            behind: derived.is_open() && !overdue && self.is_behind(due, day).unwrap_or(false),
            rejected: self.rejected,
            provisional: self.provisional,
            evidence_pending: self.evidence_pending,
            in_conflict: self.in_conflict,
            as_of: Some(self.at),
        }
    }

    /// Red warning (b): less than half of the share of the time that has passed. A task carries no first day, so the
    /// time runs from 1 January of the due year. A version without a percent, unless not started, is not judged, and
    /// neither is silence: the coverage names it.
    fn is_behind(&self, due: Option<Date>, day: Date) -> Option<bool> {
        let due = due?;
        let percent: Decimal = self.percent.as_ref()?.parse().ok()?;
        let start = Date::new(due.year(), 1, 1).ok()?;
        let days = |until: Date| (until - start).get_days();
        let (total, passed) = (days(due), days(day.min(due)));
        // percent < 50 % of (passed / total × 100 %), without dividing.
        let have = percent.checked_mul(Decimal::from(i64::from(total)))?;
        let half_due = Decimal::from(50 * i64::from(passed));
        Some(have.checked_cmp(half_due)? == std::cmp::Ordering::Less)
    }
}

impl Standing {
    /// Where a unit stands that never submitted anything.
    pub fn silent(due: Option<Date>, day: Date) -> Standing {
        Standing {
            derived: Derived::NotReported,
            overdue: due.is_some_and(|due| due < day),
            behind: false,
            rejected: false,
            provisional: false,
            evidence_pending: false,
            in_conflict: false,
            as_of: None,
        }
    }
}

/// Derives the state from the versions submitted so far, the earliest first.
pub(super) fn derive(
    task: &TaskFacts,
    submitted: &[Submitted<'_>],
    evaluated_on: Date,
) -> Standing {
    match after(task, submitted) {
        Some(after) => after.on(task.due, evaluated_on),
        None => Standing::silent(task.due, evaluated_on),
    }
}

/// What the versions submitted so far, the earliest first, come to; `None` without any.
pub(super) fn after(task: &TaskFacts, submitted: &[Submitted<'_>]) -> Option<After> {
    let latest = submitted.last()?;
    // Whoever completed in March and says so again in April has completed in March.
    let repeated = submitted.iter().rev().take_while(|s| s.is_completed());
    let done = repeated.last().unwrap_or(latest);
    let progress = &latest.version.progress;
    let derived = match progress.status {
        _ if latest.is_rejected() => Derived::AwaitingCorrection,
        Status::NotStarted => Derived::NotStarted,
        Status::InProgress => Derived::InProgress,
        Status::AwaitingCorrection => Derived::AwaitingCorrection,
        Status::Continuing => Derived::Continuing,
        Status::Completed if is_late(done.at(), task.due) => Derived::CompletedLate,
        Status::Completed => Derived::CompletedOnTime,
        Status::Cancelled => Derived::Cancelled,
    };
    let nothing_begun = (progress.status == Status::NotStarted).then(|| "0".to_owned());
    Some(After {
        report: latest.report.id,
        hash: latest.version.hash.clone(),
        starts: latest.report.period.start,
        ends: latest.report.period.end,
        at: latest.at(),
        derived,
        percent: progress.percent.clone().or(nothing_begun),
        rejected: latest.is_rejected(),
        provisional: latest.is_completed() && task.due.is_some() && done.arrival.is_none(),
        evidence_pending: latest.is_completed() && latest.verdict.is_none(),
        in_conflict: latest.report.submissions_in_conflict,
        accepted: latest.is_completed() && latest.verdict.is_some_and(|v| v.accepted),
    })
}

/// Whether a moment lies after the end of the due day.
fn is_late(at_ms: i64, due: Option<Date>) -> bool {
    let Some(due) = due else { return false };
    let local = jiff::Timestamp::from_millisecond(at_ms)
        .and_then(|at| at.in_tz(ZONE))
        .map(|at| at.date());
    match local {
        Ok(day) => day > due,
        // A clock beyond the calendar's end (year 9999) is late, one before its beginning is not.
        Err(_) => at_ms > 0,
    }
}
