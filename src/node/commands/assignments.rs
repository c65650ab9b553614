//! One unit's work on one task, as rollups count it in a period: what pages by unit and scores are made from.

use std::collections::HashSet;

use jiff::civil::Date;
use nqsync_core::model::{Tree, UnitId};
use nqsync_core::rollup::{Derived, Due, PeriodSpan, TaskFacts};
use rusqlite::Connection;

use crate::node::rollups::{Before, Inputs};
use crate::node::standings::{OfPeriod, Standings};
use crate::store::StoreError;

/// One unit's work on one task.
pub(super) struct Assignment {
    pub(super) unit: UnitId,
    /// It leads the task.
    pub(super) leads: bool,
    pub(super) derived: Derived,
    /// Overdue, or completed after the due day.
    pub(super) late: bool,
    pub(super) due: Due,
    /// What a reviewer said of the version that counts: accepted as completed, or sent back.
    pub(super) accepted: Option<bool>,
    /// When that version was submitted, with the sender's clock put right as far as that was measured: ms since 1970.
    pub(super) at: Option<i64>,
}

impl Assignment {
    /// Counted as on time.
    pub(super) fn on_time(&self) -> bool {
        let on_time = matches!(self.derived, Derived::CompletedOnTime | Derived::InProgress);
        on_time && !self.late
    }
}

/// Reads assignments as they are counted in one period.
pub(super) struct Assignments<'a> {
    connection: &'a Connection,
    tree: &'a Tree,
    span: &'a PeriodSpan,
    on_day: Date,
    /// What came after closings, and counts as it was.
    before: &'a Before,
    kept: OfPeriod,
}

impl<'a> Assignments<'a> {
    /// Of a period, by what is known on a day.
    pub(super) fn of(
        connection: &'a Connection,
        tree: &'a Tree,
        span: &'a PeriodSpan,
        on_day: Date,
        before: &'a Before,
    ) -> Result<Assignments<'a>, StoreError> {
        Ok(Assignments {
            connection,
            tree,
            span,
            on_day,
            before,
            kept: Standings::of(connection, tree)?.of_period(span)?,
        })
    }

    /// Those of a task that is carried out, from what is kept where nothing came after a closing.
    pub(super) fn of_task(&self, task: TaskFacts) -> Result<Vec<Assignment>, StoreError> {
        if !task.is_live() {
            return Ok(Vec::new());
        }
        if !self.before.is_empty() {
            return self.counted(task);
        }
        let leads: HashSet<UnitId> = task.lead.units.iter().copied().collect();
        let each = self.kept.of(&task).into_iter();
        Ok(each
            .map(|(unit, stood, due)| {
                let derived = stood.map_or(Derived::NotReported, |stood| stood.derived);
                let (derived, overdue) = derived.on(task.due, self.on_day);
                let judged = stood.filter(|stood| stood.accepted || stood.rejected);
                Assignment {
                    unit,
                    leads: leads.contains(&unit),
                    late: overdue || derived == Derived::CompletedLate,
                    derived,
                    due,
                    accepted: judged.map(|stood| stood.accepted),
                    at: stood.map(|stood| stood.at),
                }
            })
            .collect())
    }

    fn counted(&self, task: TaskFacts) -> Result<Vec<Assignment>, StoreError> {
        let leads: HashSet<UnitId> = task.lead.units.iter().copied().collect();
        let inputs = Inputs::of_task(self.connection, self.tree, task, self.before)?;
        let standings = inputs.standings(self.span, self.on_day);
        let each = standings.into_iter();
        Ok(each
            .map(|((_, unit), (standing, due))| {
                let completed = matches!(
                    standing.derived,
                    Derived::CompletedLate | Derived::CompletedOnTime
                );
                let accepted = completed && !standing.evidence_pending;
                Assignment {
                    unit,
                    leads: leads.contains(&unit),
                    late: standing.overdue || standing.derived == Derived::CompletedLate,
                    derived: standing.derived,
                    due,
                    accepted: (accepted || standing.rejected).then_some(accepted),
                    at: standing.as_of,
                }
            })
            .collect())
    }
}
