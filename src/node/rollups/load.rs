//! A group's records, read for counting.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use nqsync_core::calendar::Period;
use nqsync_core::model::{Kind, Tree, UnitId};
use nqsync_core::rollup::{
    ArrivalFacts, Counting, Due, GroupInput, GroupRollup, PeriodSpan, ReportFacts, Standing,
    TaskFacts, VerdictFacts, add, derive_all, fold, read_arrival, read_report, read_task,
    read_verdict,
};
use rusqlite::Connection;
use uuid::Uuid;

use super::closed::Before;
use super::span_of;
use crate::node::standings::assigned;
use crate::store::records::{self, Flags};
use crate::store::{StoreError, Stored, groups, queries};

/// Reads the tasks of a group as counting needs them, one after the other, but for those that were taken from all who report
/// by way of this node.
pub fn each_task(
    connection: &Connection,
    issuer: UnitId,
    group: &str,
    mut each: impl FnMut(TaskFacts) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let today = queries::today(connection)?;
    groups::each_task(connection, issuer, group, |stored| {
        let here = !stored.flags.has(Flags::LEFT);
        match read_task(&stored.record).filter(|_| here) {
            Some(mut task) => {
                task.doubt_clock(today);
                each(task)
            }
            None => Ok(()),
        }
    })
}

/// Counts a group as of some periods, each on its day: one task after the other, each record as it is counted.
pub fn count(
    connection: &Connection,
    tree: &Tree,
    (issuer, group): (UnitId, &str),
    before: &Before,
    periods: &[(PeriodSpan, Date)],
) -> Result<Vec<GroupRollup>, StoreError> {
    let counting = periods.iter().map(|(_, on)| Counting::on(*on));
    let mut counting: Vec<Counting> = counting.collect();
    each_task(connection, issuer, group, |task| {
        let inputs = Inputs::of_task(connection, tree, task, before)?;
        for (counting, (span, on)) in counting.iter_mut().zip(periods) {
            counting.add(&inputs.input(span, *on));
        }
        Ok(())
    })?;
    Ok(counting.into_iter().map(Counting::done).collect())
}

/// Counts of a group only what some units do: tasks by those among their leads, assignments of these units alone. What
/// others reported is not read.
pub fn count_for(
    connection: &Connection,
    tree: &Tree,
    (issuer, group): (UnitId, &str),
    before: &Before,
    (span, on): (&PeriodSpan, Date),
    among: &dyn Fn(UnitId) -> bool,
) -> Result<GroupRollup, StoreError> {
    let (mut led, mut helped) = (Counting::on(on), Counting::on(on));
    each_task(connection, issuer, group, |mut task| {
        task.lead.units.retain(|unit| among(*unit));
        task.coordinating.units.retain(|unit| among(*unit));
        let mut inputs = Inputs::default();
        for unit in assigned(&task) {
            let reports = records::about_by(connection, Kind::Report, task.id, unit)?;
            inputs.add(connection, tree, &reports, before)?;
        }
        let counting = match (&*task.lead.units, &*task.coordinating.units) {
            ([], []) => return Ok(()),
            ([], _) => &mut helped,
            _ => {
                // Names nobody knows are somebody else's; what these units do is known.
                task.lead.unresolved.clear();
                &mut led
            }
        };
        inputs.tasks.push(task);
        counting.add(&inputs.input(span, on));
        Ok(())
    })?;
    let (led, mut helped) = (led.done(), helped.done());
    // Tasks that these units only help with are not theirs; the assignments are.
    let none = GroupRollup::empty(on);
    helped.tasks = none.tasks;
    helped.unresolved_lead = 0;
    helped.warnings = none.warnings;
    Ok(sum([&led, &helped]).unwrap_or(led))
}

/// Tasks with everything that was reported and noted about them.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The tasks.
    pub tasks: Vec<TaskFacts>,
    reports: Vec<ReportFacts>,
    verdicts: Vec<VerdictFacts>,
    arrivals: Vec<ArrivalFacts>,
}

impl Inputs {
    /// Reads what belongs to these tasks, each record as it is counted.
    pub fn of_tasks(
        connection: &Connection,
        tree: &Tree,
        tasks: &[Stored],
        before: &Before,
    ) -> Result<Inputs, StoreError> {
        let today = queries::today(connection)?;
        let mut inputs = Inputs::default();
        for mut task in tasks.iter().filter_map(|stored| read_task(&stored.record)) {
            task.doubt_clock(today);
            inputs.add_task(connection, tree, task, before)?;
        }
        Ok(inputs)
    }

    /// Reads what belongs to one task that was read before.
    pub fn of_task(
        connection: &Connection,
        tree: &Tree,
        task: TaskFacts,
        before: &Before,
    ) -> Result<Inputs, StoreError> {
        let mut inputs = Inputs::default();
        inputs.add_task(connection, tree, task, before)?;
        Ok(inputs)
    }

    fn add_task(
        &mut self,
        connection: &Connection,
        tree: &Tree,
        task: TaskFacts,
        before: &Before,
    ) -> Result<(), StoreError> {
        let reports = records::about(connection, Kind::Report, task.id)?;
        self.add(connection, tree, &reports, before)?;
        self.tasks.push(task);
        Ok(())
    }

    /// Reads what one unit reported on a task.
    pub fn of_work(
        connection: &Connection,
        tree: &Tree,
        task: TaskFacts,
        reports: &[Stored],
    ) -> Result<Inputs, StoreError> {
        let mut inputs = Inputs::default();
        inputs.add(connection, tree, reports, &Before::default())?;
        inputs.tasks.push(task);
        Ok(inputs)
    }

    fn add(
        &mut self,
        connection: &Connection,
        tree: &Tree,
        reports: &[Stored],
        before: &Before,
    ) -> Result<(), StoreError> {
        for report in reports {
            let span = |text: &str| text.parse::<Period>().ok().map(|p| span_of(&p));
            let Some(facts) = before
                .counted(&report.record)
                .and_then(|report| read_report(report, span))
            else {
                continue;
            };
            let verdicts = records::about(connection, Kind::Verdict, facts.id)?;
            let verdicts = verdicts
                .iter()
                .filter_map(|v| read_verdict(before.counted(&v.record)?, tree));
            self.verdicts.extend(verdicts);
            let arrivals = records::about(connection, Kind::Arrival, facts.id)?;
            let arrivals = arrivals
                .iter()
                .filter_map(|a| read_arrival(before.counted(&a.record)?));
            self.arrivals.extend(arrivals);
            self.reports.push(facts);
        }
        Ok(())
    }

    /// The periods of the reports.
    pub fn periods(&self) -> BTreeSet<Period> {
        let names = self.reports.iter().map(|report| &report.period.name);
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// Counts the group.
    pub fn fold(&self, span: &PeriodSpan, evaluated_on: Date) -> GroupRollup {
        fold(&self.input(span, evaluated_on))
    }

    /// Where every assigned unit stands with every task.
    pub fn standings(
        &self,
        span: &PeriodSpan,
        evaluated_on: Date,
    ) -> BTreeMap<(Uuid, UnitId), (Standing, Due)> {
        derive_all(&self.input(span, evaluated_on))
    }

    /// Asks something about all the tasks.
    pub fn ask<T>(
        &self,
        span: &PeriodSpan,
        evaluated_on: Date,
        question: impl Fn(&GroupInput<'_>) -> T,
    ) -> T {
        question(&self.input(span, evaluated_on))
    }

    fn input<'a>(&'a self, period: &'a PeriodSpan, evaluated_on: Date) -> GroupInput<'a> {
        GroupInput {
            period,
            evaluated_on,
            tasks: &self.tasks,
            reports: &self.reports,
            verdicts: &self.verdicts,
            arrivals: &self.arrivals,
        }
    }
}

/// Rollups added for showing; `None` when there are none. The caller shows the issuers apart beside the sum.
pub fn sum<'a>(rollups: impl IntoIterator<Item = &'a GroupRollup>) -> Option<GroupRollup> {
    use nqsync_core::model::values::OrgLevel;
    let all: Vec<(OrgLevel, &GroupRollup)> = rollups
        .into_iter()
        .map(|rollup| (OrgLevel::Ministry, rollup))
        .collect();
    let totals = add(&all).by_level;
    totals.into_values().next().map(|level| level.total)
}
