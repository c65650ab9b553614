//! The fold: one group's tasks, and what was reported about them, into counts.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::count::{GroupRollup, UNRESOLVED_LEAD};
use super::input::{ArrivalFacts, PeriodSpan, ReportFacts, TaskFacts, VerdictFacts};
use super::status::{After, Standing, Submitted, after, derive};
use crate::model::UnitId;

/// Kind of deadline of a task that is reported only when somebody asks.
const ON_REQUEST: &str = "on_request";

/// Everything one rollup is made of. Reports, verdicts and arrivals may hold more than these tasks need; the rest is
/// passed over. Order does not matter.
#[derive(Clone, Copy, Debug)]
pub struct GroupInput<'a> {
    /// The period counted.
    pub period: &'a PeriodSpan,
    /// The day that due days are compared with.
    pub evaluated_on: Date,
    /// Tasks of one issuer and group.
    pub tasks: &'a [TaskFacts],
    /// Reports about them, of any period.
    pub reports: &'a [ReportFacts],
    /// Verdicts about those.
    pub verdicts: &'a [VerdictFacts],
    /// Arrivals of those.
    pub arrivals: &'a [ArrivalFacts],
}

/// Whether a unit's report on a task is due in the period, and came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// It had to come: the task was given by the end of the period, the work was not finished before it, and the task is
    /// not one reported on request. What came without having to is counted as expected too, so that coverage never
    /// exceeds the whole.
    pub expected: bool,
    /// A report was submitted whose period ends within this one.
    pub received: bool,
}

impl Due {
    /// Of a task in a period with this last day; `finished`: the unit was done with it before the period began.
    pub fn of(task: &TaskFacts, last_day: Date, finished: bool, received: bool) -> Due {
        // Nobody owes a report of a time in which there was no task.
        let begun = task.issued.is_none_or(|issued| issued <= last_day);
        let owed = begun && !finished && task.deadline_kind != ON_REQUEST;
        Due {
            expected: owed || received,
            received,
        }
    }
}

/// A red warning (*cảnh báo đỏ*) about one unit's work on one task.
///
/// The programme's planning documents (2025–2026) name three, each raised automatically: the task is overdue; it is at
/// less than 50 % of where the calendar says it should be; it was judged of insufficient quality after its evidence was
/// verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The task.
    pub task: Uuid,
    /// Who is warned about; `None` when it is not known who leads the task.
    pub unit: Option<UnitId>,
    /// Which one.
    pub kind: WarningKind,
}

/// Kinds of red warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// Open past the due day.
    Overdue,
    /// At less than half of where the calendar says it should be.
    Behind,
    /// Rejected after the evidence was looked at.
    Insufficient,
}

impl WarningKind {
    /// All kinds.
    pub const ALL: [WarningKind; 3] = [
        WarningKind::Overdue,
        WarningKind::Behind,
        WarningKind::Insufficient,
    ];

    /// The name in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            WarningKind::Overdue => "overdue",
            WarningKind::Behind => "behind",
            WarningKind::Insufficient => "insufficient",
        }
    }
}

/// Counts a group.
pub fn fold(input: &GroupInput<'_>) -> GroupRollup {
    let mut counting = Counting::on(input.evaluated_on);
    counting.add(input);
    counting.done()
}

/// Counts a group whose tasks come in parts, so that nobody has to hold all of them at a time.
#[derive(Debug)]
pub struct Counting(GroupRollup);

impl Counting {
    /// Begins with nothing.
    pub fn on(evaluated_on: Date) -> Counting {
        Counting(GroupRollup::empty(evaluated_on))
    }

    /// Counts some of the tasks. With them comes everything about them, and none of them comes again in another part; the
    /// period and the day are the same in all parts.
    pub fn add(&mut self, input: &GroupInput<'_>) {
        let rollup = &mut self.0;
        let index = Index::of(input);
        let mut seen = HashSet::new();
        for task in input
            .tasks
            .iter()
            .filter(|t| t.is_live() && seen.insert(t.id))
        {
            count(rollup, &index, task);
        }
    }

    /// All parts were there.
    pub fn done(mut self) -> GroupRollup {
        self.0.settle();
        self.0
    }
}

fn count(rollup: &mut GroupRollup, index: &Index<'_>, task: &TaskFacts) {
    let standings = index.standings(task);
    rollup.not_read += u32::from(task.unread);
    for (unit, (standing, due)) in &standings {
        rollup.not_read += index.unread(task, *unit);
        rollup.assignments.count(standing);
        rollup.evidence_pending += u32::from(standing.evidence_pending);
        rollup.provisional += u32::from(standing.provisional);
        rollup.in_conflict += u32::from(standing.in_conflict);
        let part = rollup.units.entry(*unit).or_default();
        part.expected += u32::from(due.expected);
        part.received += u32::from(due.received);
        part.as_of = part.as_of.max(standing.as_of);
    }
    if task.has_resolved_lead() {
        let leads = task
            .lead
            .units
            .iter()
            .filter_map(|unit| standings.get(unit));
        let least = leads
            .map(|(standing, _)| standing)
            .min_by_key(|s| s.derived);
        least.into_iter().for_each(|s| rollup.tasks.count(s));
    } else {
        rollup.tasks.count_as(UNRESOLVED_LEAD);
        rollup.tasks.late += u32::from(is_past_due(task, index.evaluated_on));
        rollup.unresolved_lead += 1;
    }
    let warned = warnings_of(task, &standings, index.evaluated_on);
    let has = |kind| {
        u32::from(
            warned
                .iter()
                .any(|w| w.kind == kind && is_led_by(task, w.unit)),
        )
    };
    rollup.warnings.overdue += has(WarningKind::Overdue);
    rollup.warnings.behind += has(WarningKind::Behind);
    rollup.warnings.insufficient += has(WarningKind::Insufficient);
}

/// Where every assigned unit stands with every live task, and whether its report is due and came.
pub fn derive_all(input: &GroupInput<'_>) -> BTreeMap<(Uuid, UnitId), (Standing, Due)> {
    let index = Index::of(input);
    let live = input.tasks.iter().filter(|t| t.is_live());
    live.flat_map(|task| {
        let standings = index.standings(task).into_iter();
        standings.map(|(unit, found)| ((task.id, unit), found))
    })
    .collect()
}

/// Where the work stands after each version that was submitted, by task and unit, the earliest first. Of the period only
/// the end counts, and of the tasks also those that nobody carries out any more.
pub fn steps(input: &GroupInput<'_>) -> BTreeMap<(Uuid, UnitId), Vec<After>> {
    let index = Index::of(input);
    let mut found = BTreeMap::new();
    for task in input.tasks {
        let reports = index.reports.keys();
        for (_, unit) in reports.filter(|(of, _)| *of == task.id) {
            let mut submitted = index.submitted(task, *unit);
            submitted.sort_by(|a, b| a.order().cmp(&b.order()));
            let steps = (1..=submitted.len()).filter_map(|count| after(task, &submitted[..count]));
            found.insert((task.id, *unit), steps.collect());
        }
    }
    found
}

/// The red warnings of all assigned units, by task.
pub fn list_warnings(input: &GroupInput<'_>) -> Vec<Warning> {
    let index = Index::of(input);
    let live = input.tasks.iter().filter(|t| t.is_live());
    let mut warnings: Vec<Warning> = live
        .flat_map(|task| warnings_of(task, &index.standings(task), input.evaluated_on))
        .collect();
    warnings.sort_unstable();
    warnings.dedup();
    warnings
}

type Standings = BTreeMap<UnitId, (Standing, Due)>;

fn warnings_of(task: &TaskFacts, standings: &Standings, evaluated_on: Date) -> Vec<Warning> {
    let warning = |unit, kind| Warning {
        task: task.id,
        unit,
        kind,
    };
    let mut warnings = Vec::new();
    if !task.has_resolved_lead() && is_past_due(task, evaluated_on) {
        warnings.push(warning(None, WarningKind::Overdue));
    }
    for (unit, (standing, _)) in standings {
        let kinds = [
            (standing.overdue, WarningKind::Overdue),
            (standing.behind, WarningKind::Behind),
            (standing.rejected, WarningKind::Insufficient),
        ];
        let raised = kinds.into_iter().filter(|(raised, _)| *raised);
        warnings.extend(raised.map(|(_, kind)| warning(Some(*unit), kind)));
    }
    warnings
}

fn is_past_due(task: &TaskFacts, evaluated_on: Date) -> bool {
    task.due.is_some_and(|due| due < evaluated_on)
}

/// A task is warned about through its leads; what a coordinating unit owes is listed, and not counted on the task.
fn is_led_by(task: &TaskFacts, unit: Option<UnitId>) -> bool {
    unit.is_none_or(|unit| task.lead.units.contains(&unit))
}

/// The inputs, found by what they are about.
struct Index<'a> {
    period: &'a PeriodSpan,
    evaluated_on: Date,
    reports: HashMap<(Uuid, UnitId), Vec<&'a ReportFacts>>,
    verdicts: HashMap<(Uuid, &'a str), Vec<&'a VerdictFacts>>,
    arrivals: HashMap<(&'a str, UnitId), &'a ArrivalFacts>,
}

impl<'a> Index<'a> {
    fn of(input: &GroupInput<'a>) -> Index<'a> {
        let mut index = Index {
            period: input.period,
            evaluated_on: input.evaluated_on,
            reports: HashMap::new(),
            verdicts: HashMap::new(),
            arrivals: HashMap::new(),
        };
        for report in input.reports.iter().filter(|r| !r.deleted) {
            let of_task = index.reports.entry((report.task, report.unit));
            of_task.or_default().push(report);
        }
        for verdict in input.verdicts {
            let of_version = (verdict.report, verdict.submission.as_str());
            index.verdicts.entry(of_version).or_default().push(verdict);
        }
        for arrival in input.arrivals {
            let of_version = (arrival.submission.as_str(), arrival.unit);
            let earliest = index.arrivals.entry(of_version).or_insert(arrival);
            if (arrival.at, arrival.sender_ahead_ms) < (earliest.at, earliest.sender_ahead_ms) {
                *earliest = arrival;
            }
        }
        index
    }

    /// Where each assigned unit stands; a unit that both leads and coordinates is one assignment.
    fn standings(&self, task: &TaskFacts) -> Standings {
        let units = task.lead.units.iter().chain(&task.coordinating.units);
        units
            .map(|unit| (*unit, self.standing(task, *unit)))
            .collect()
    }

    fn standing(&self, task: &TaskFacts, unit: UnitId) -> (Standing, Due) {
        let mut submitted = self.submitted(task, unit);
        submitted.sort_by(|a, b| a.order().cmp(&b.order()));
        let standing = derive(task, &submitted, self.evaluated_on);
        let before = submitted.partition_point(|s| s.report.period.end < self.period.start);
        let earlier = derive(task, &submitted[..before], self.evaluated_on);
        let finished = earlier.derived.is_finished();
        let due = Due::of(task, self.period.end, finished, before < submitted.len());
        (standing, due)
    }

    /// Reports for periods up to this one of which nothing is known but that they were submitted.
    fn unread(&self, task: &TaskFacts, unit: UnitId) -> u32 {
        let reports = self.reports.get(&(task.id, unit));
        let reports = reports.map(Vec::as_slice).unwrap_or_default().iter();
        let unread = reports.filter(|r| r.unread && r.period.end <= self.period.end);
        unread.count() as u32
    }

    /// The versions submitted for periods up to this one.
    fn submitted(&self, task: &TaskFacts, unit: UnitId) -> Vec<Submitted<'a>> {
        let reports = self.reports.get(&(task.id, unit));
        let reports = reports.map(Vec::as_slice).unwrap_or_default();
        let known = reports.iter().filter(|r| r.period.end <= self.period.end);
        known
            .filter_map(|report| {
                let version = report.submission.as_ref()?;
                Some(Submitted {
                    report,
                    version,
                    verdict: self.verdict(task.issuer, report, &version.hash),
                    arrival: self.arrivals.get(&(version.hash.as_str(), unit)).copied(),
                })
            })
            .collect()
    }

    /// The verdict that counts: the issuer's, else of those of the units above a rejection, else an acceptance. What
    /// anybody else says about the report, the unit itself included, does not count.
    fn verdict(
        &self,
        issuer: UnitId,
        report: &ReportFacts,
        hash: &str,
    ) -> Option<&'a VerdictFacts> {
        let verdicts = self.verdicts.get(&(report.id, hash))?;
        let counts =
            |v: &&&VerdictFacts| v.unit == report.unit && (v.reviewer == issuer || v.from_above);
        let rank = |v: &&&VerdictFacts| (v.reviewer != issuer, v.accepted, v.reviewer);
        verdicts.iter().filter(counts).min_by_key(rank).copied()
    }
}
