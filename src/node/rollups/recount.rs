//! Proof: every rollup of this node counted once more from the leaves, and compared byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use nqsync_core::model::{Kind, NodeId, Tree, UnitId};
use nqsync_core::rollup::{GroupRollup, PeriodSpan, read_task};
use rusqlite::Connection;
use serde::Serialize;

use super::closed::{Before, Closed};
use super::load::Inputs;
use super::{evaluated_on, known_periods, span_of, stored};
use crate::store::{StoreError, Stored, queries, records};

/// Most differences that are listed; one is enough for a person to look.
const MAX_LISTED: usize = 50;

/// What counting from scratch found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Recount {
    /// Every stored rollup has the bytes that were counted now.
    pub same: bool,
    /// Rollups compared.
    pub compared: u64,
    /// Groups left out, because changes to them wait to be counted.
    pub pending: u64,
    /// Rollups left out, because their figures are closed and changes to them wait for a restatement.
    pub closed: u64,
    /// Where they differ.
    pub differences: Vec<Difference>,
}

/// One rollup that is not what it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Whose tasks.
    pub issuer: UnitId,
    /// The group.
    pub group: String,
    /// The period.
    pub period: String,
    /// What is stored.
    pub stored: Option<GroupRollup>,
    /// What it should be.
    pub counted: GroupRollup,
}

/// Counts the rollups of the issuers this node serves from the tasks and reports alone: of one period, or of all.
/// A stored rollup is compared as of the day it was evaluated on.
pub fn recount(
    connection: &Connection,
    tree: &Tree,
    node: NodeId,
    period: Option<&PeriodSpan>,
    today: Date,
) -> Result<Recount, StoreError> {
    let waiting: BTreeSet<(UnitId, String)> = queries::dirty(connection)?
        .into_iter()
        .map(|(issuer, group, _)| (issuer, group))
        .collect();
    let mut found = Recount::default();
    let mut closed = Closed::default();
    for ((issuer, group), tasks) in groups_from_scratch(connection, tree, node)? {
        if waiting.contains(&(issuer, group.clone())) {
            found.pending += 1;
            continue;
        }
        let inputs = Inputs::of_tasks(connection, tree, &tasks, &Before::default())?;
        let spans = match period {
            Some(span) => vec![span.clone()],
            None => known_periods(connection, issuer)?
                .iter()
                .map(span_of)
                .collect(),
        };
        for span in spans {
            let before = Before::of(connection, &span.name, None)?;
            let counted = match before.is_empty() {
                true => None,
                false => Some(Inputs::of_tasks(connection, tree, &tasks, &before)?),
            };
            let inputs = counted.as_ref().unwrap_or(&inputs);
            let closed = match span.name.parse() {
                Ok(period) => closed.is(connection, tree, issuer, period)?,
                Err(_) => false,
            };
            let whose = (issuer, group.as_str());
            compare(connection, &mut found, whose, inputs, &span, today, closed)?;
        }
    }
    found.same = found.differences.is_empty();
    found.differences.truncate(MAX_LISTED);
    Ok(found)
}

fn compare(
    connection: &Connection,
    found: &mut Recount,
    (issuer, group): (UnitId, &str),
    inputs: &Inputs,
    span: &PeriodSpan,
    today: Date,
    closed: bool,
) -> Result<(), StoreError> {
    let stored = stored(connection, issuer, group, span)?;
    let on = match &stored {
        Some(rollup) => rollup.evaluated_on,
        None => evaluated_on(span, today),
    };
    let counted = inputs.fold(span, on);
    let materialised = known_periods(connection, issuer)?
        .iter()
        .any(|period| period.to_string() == span.name);
    // A period that nobody reported on has no rollups at all; a missing one among others is a fault.
    if stored.is_none() && (!materialised || counted.tasks.total == 0) {
        return Ok(());
    }
    if closed && stored.as_ref() != Some(&counted) {
        found.closed += 1;
        return Ok(());
    }
    found.compared += 1;
    if stored.as_ref() != Some(&counted) {
        found.differences.push(Difference {
            issuer,
            group: group.to_owned(),
            period: span.name.clone(),
            stored,
            counted,
        });
    }
    Ok(())
}

type Groups = BTreeMap<(UnitId, String), Vec<Stored>>;

/// All groups with their tasks, told from the tasks themselves; and groups that lost all tasks but have a rollup.
fn groups_from_scratch(
    connection: &Connection,
    tree: &Tree,
    node: NodeId,
) -> Result<Groups, StoreError> {
    let mut groups = Groups::new();
    let ours = |issuer| tree.server_of(issuer) == Some(node);
    for stored in records::of_kind(connection, Kind::Task)? {
        let Some(task) = read_task(&stored.record).filter(|task| ours(task.issuer)) else {
            continue;
        };
        groups
            .entry((task.issuer, task.group))
            .or_default()
            .push(stored);
    }
    for stored in records::of_kind(connection, Kind::Rollup)? {
        use nqsync_core::model::Facts;
        if let Facts::Rollup { issuer, group, .. } = stored.record.facts()
            && ours(*issuer)
        {
            groups.entry((*issuer, group.clone())).or_default();
        }
    }
    Ok(groups)
}
