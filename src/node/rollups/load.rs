//! A group's records, read for counting.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use nqsync_core::calendar::Period;
use nqsync_core::model::{Kind, Tree, UnitId};
use nqsync_core::rollup::{
    ArrivalFacts, Due, GroupInput, GroupRollup, PeriodSpan, ReportFacts, Standing, TaskFacts,
    VerdictFacts, add, derive_all, fold, read_arrival, read_report, read_task, read_verdict,
};
use rusqlite::Connection;
use uuid::Uuid;

use super::closed::Before;
use super::span_of;
use crate::node::standings::assigned;
use crate::store::{StoreError, Stored, groups, queries, records};

/// Tasks as counting needs them.
pub fn facts_of(connection: &Connection, tasks: &[Stored]) -> Result<Vec<TaskFacts>, StoreError> {
    let today = queries::today(connection)?;
    let tasks = tasks.iter().filter_map(|stored| read_task(&stored.record));
    Ok(tasks
        .map(|mut task| {
            task.doubt_clock(today);
            task
        })
        .collect())
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
    /// Reads a group, each record as it is counted.
    pub fn of_group(
        connection: &Connection,
        tree: &Tree,
        issuer: UnitId,
        group: &str,
        before: &Before,
    ) -> Result<Inputs, StoreError> {
        let tasks = groups::tasks(connection, issuer, group)?;
        Inputs::of_tasks(connection, tree, &tasks, before)
    }

    /// Reads what belongs to these tasks.
    pub fn of_tasks(
        connection: &Connection,
        tree: &Tree,
        tasks: &[Stored],
        before: &Before,
    ) -> Result<Inputs, StoreError> {
        Inputs::of_facts(connection, tree, facts_of(connection, tasks)?, before)
    }

    /// The same of tasks that were read before.
    pub fn of_facts(
        connection: &Connection,
        tree: &Tree,
        tasks: Vec<TaskFacts>,
        before: &Before,
    ) -> Result<Inputs, StoreError> {
        let mut inputs = Inputs::default();
        for task in tasks {
            let reports = records::about(connection, Kind::Report, task.id)?;
            inputs.add(connection, tree, &reports, before)?;
            inputs.tasks.push(task);
        }
        Ok(inputs)
    }

    /// Reads of a group only what some units reported: enough for [`Inputs::fold_for`] about the same units.
    pub fn of_units(
        connection: &Connection,
        tree: &Tree,
        (issuer, group): (UnitId, &str),
        before: &Before,
        among: &dyn Fn(UnitId) -> bool,
    ) -> Result<Inputs, StoreError> {
        let mut inputs = Inputs::default();
        let tasks = groups::tasks(connection, issuer, group)?;
        for task in facts_of(connection, &tasks)? {
            for unit in assigned(&task).into_iter().filter(|unit| among(*unit)) {
                let reports = records::about_by(connection, Kind::Report, task.id, unit)?;
                inputs.add(connection, tree, &reports, before)?;
            }
            inputs.tasks.push(task);
        }
        Ok(inputs)
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
        fold(&self.input(span, evaluated_on, &self.tasks))
    }

    /// Where every assigned unit stands with every task.
    pub fn standings(
        &self,
        span: &PeriodSpan,
        evaluated_on: Date,
    ) -> BTreeMap<(Uuid, UnitId), (Standing, Due)> {
        derive_all(&self.input(span, evaluated_on, &self.tasks))
    }

    /// Counts only what some units do: tasks by those among their leads, assignments of these units alone.
    pub fn fold_for(
        &self,
        span: &PeriodSpan,
        evaluated_on: Date,
        among: &dyn Fn(UnitId) -> bool,
    ) -> GroupRollup {
        let mut led = Vec::new();
        let mut helped = Vec::new();
        for task in &self.tasks {
            let mut task = task.clone();
            task.lead.units.retain(|unit| among(*unit));
            task.coordinating.units.retain(|unit| among(*unit));
            if !task.lead.units.is_empty() {
                // Names nobody knows are somebody else's; what these units do is known.
                task.lead.unresolved.clear();
                led.push(task);
            } else if !task.coordinating.units.is_empty() {
                helped.push(task);
            }
        }
        let led = fold(&self.input(span, evaluated_on, &led));
        let mut helped = fold(&self.input(span, evaluated_on, &helped));
        // Tasks that these units only help with are not theirs; the assignments are.
        let none = GroupRollup::empty(evaluated_on);
        helped.tasks = none.tasks;
        helped.unresolved_lead = 0;
        helped.warnings = none.warnings;
        sum([&led, &helped]).unwrap_or(led)
    }

    /// Asks something about all the tasks.
    pub fn ask<T>(
        &self,
        span: &PeriodSpan,
        evaluated_on: Date,
        question: impl Fn(&GroupInput<'_>) -> T,
    ) -> T {
        question(&self.input(span, evaluated_on, &self.tasks))
    }

    fn input<'a>(
        &'a self,
        period: &'a PeriodSpan,
        evaluated_on: Date,
        tasks: &'a [TaskFacts],
    ) -> GroupInput<'a> {
        GroupInput {
            period,
            evaluated_on,
            tasks,
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
