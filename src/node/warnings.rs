//! Red warnings at this node, kept beside the records so that they can be listed, counted and silenced.
//!
//! Invariants: a warning follows from the records held here and the day ([`nqsync_core::rollup::list_warnings`]); only
//! work whose reports pass this node is judged, so the level above sees the same of its subtree without being told.
//! A task is looked at when something about it was written, and on the day [`next_change`] names; never all of them
//! because a day has passed. Who silences a warning does so at this node only: nothing is hidden from anybody else.

use std::collections::BTreeSet;

use jiff::civil::Date;
use nqsync_core::calendar::Period;
use nqsync_core::model::{Facts, NodeId, Tree};
use nqsync_core::rollup::{GroupInput, Warning, next_change};
use nqsync_core::sync::{Record, scope};
use rusqlite::Connection;
use uuid::Uuid;

use super::rollups::{self, Before, Inputs};
use super::{Node, recovery};
use crate::store::records::{self, Flags};
use crate::store::{StoreError, Stored, Tx, groups, warnings};

/// Tasks looked at in one job of the writer, so that people's writes do not wait long behind a first load.
const TASKS_PER_JOB: usize = 64;
/// How long a warning that stands no longer is remembered.
const KEEP_MS: i64 = 400 * 24 * 3_600_000;
/// The name of what warnings were last judged by, among the facts about the store.
const RULES: &str = "warning_rules";
/// Counted up when the rules themselves change, so that everything is looked at again after the upgrade.
const RULES_VERSION: u32 = 1;

/// Marks the task that a saved record is about. `before` is the record before the save.
pub fn touched(tx: &Tx<'_>, record: &Record, before: Option<&Record>) -> Result<(), StoreError> {
    let connection = tx.connection();
    match record.facts() {
        Facts::Task { .. } => warnings::mark(connection, record.key().id),
        Facts::Report { task, .. } => warnings::mark(connection, *task),
        Facts::Verdict { report, .. } | Facts::Arrival { report, .. } => {
            // Without the report there is nothing to judge yet; it marks its task itself when it comes.
            match groups::about_and_period(connection, *report)? {
                Some((task, _)) => warnings::mark(connection, task),
                None => Ok(()),
            }
        }
        Facts::Unit { .. } => {
            let same = |name: &str| record.shown(name) == before.and_then(|b| b.shown(name));
            match same("parent") && same("succession") && same("served_by") {
                true => Ok(()),
                // Whose verdict counts, and whose work is judged here, follows from the tree.
                false => warnings::mark_all(connection),
            }
        }
        _ => Ok(()),
    }
}

/// A day begins, or the service: tasks whose day has come are looked at again, or all of them where the rules are
/// others than last time or the clock went back.
pub fn begin_day(node: &Node, tx: &mut Tx<'_>, before: Option<Date>) -> Result<(), StoreError> {
    let (kind, zone) = (node.settings.period, node.settings.zone.iana_name());
    let rules = format!("{RULES_VERSION}/{kind:?}/{}", zone.unwrap_or_default());
    let today = node.today();
    if tx.meta(RULES)?.as_deref() != Some(rules.as_str()) {
        tx.set_meta(RULES, &rules)?;
        warnings::mark_all(tx.connection())?;
    }
    if before == Some(today) {
        return Ok(());
    }
    if before.is_some_and(|before| before > today) {
        warnings::mark_all(tx.connection())?;
    }
    warnings::wake(tx.connection(), today)?;
    warnings::forget(tx.connection(), node.clock.now_ms() - KEEP_MS)
}

/// Looks at some of the tasks that are marked; its commit calls for the next ones. Writes nothing where none is.
pub async fn refresh(node: &Node) -> Result<(), StoreError> {
    let waits = node
        .store
        .read(|connection| {
            // A restored node lacks reports that were sent before: what it has would raise warnings about them.
            let may = recovery::may_write(connection).is_ok();
            Ok::<_, StoreError>(may && warnings::any_marked(connection)?)
        })
        .await?;
    if !waits {
        return Ok(());
    }
    let worker = node.clone();
    node.store
        .write(move |tx| look(&worker, tx).map(drop))
        .await
}

/// Looks at some of the tasks that are marked. Answers how many.
pub fn look(node: &Node, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    let now_ms = node.clock.now_ms();
    let (tree, here) = (tx.tree(), tx.node()?);
    let at = Looking {
        tree: &tree,
        here,
        today: node.today(),
        current: node.current_period(),
    };
    let tasks = warnings::marked(tx.connection(), TASKS_PER_JOB)?;
    for task in &tasks {
        let stored = records::load(tx.connection(), *task)?;
        let judged = match stored {
            Some(stored) if !stored.flags.has(Flags::LEFT) => {
                judge(tx.connection(), &at, *task, stored)?
            }
            // Nobody here is asked for it any more.
            _ => Judged::default(),
        };
        warnings::settle(tx.connection(), *task, &judged.warnings, now_ms)?;
        warnings::watch(tx.connection(), *task, judged.next)?;
        warnings::unmark(tx.connection(), *task)?;
    }
    Ok(tasks.len())
}

/// From where and on which day tasks are looked at.
struct Looking<'l> {
    tree: &'l Tree,
    here: NodeId,
    today: Date,
    current: Period,
}

/// What a task's warnings are, and when that may change by itself.
#[derive(Default)]
struct Judged {
    warnings: BTreeSet<Warning>,
    next: Option<Date>,
}

fn judge(
    connection: &Connection,
    at: &Looking<'_>,
    task: Uuid,
    stored: Stored,
) -> Result<Judged, StoreError> {
    let Facts::Task { issuer, .. } = *stored.record.facts() else {
        return Err(StoreError::Damaged(format!("{task} is no task")));
    };
    let inputs = Inputs::of_tasks(connection, at.tree, &[stored], &Before::default())?;
    let span = rollups::span_of(&at.current);
    let asked = |input: &GroupInput<'_>| {
        (
            nqsync_core::rollup::list_warnings(input),
            next_change(input),
        )
    };
    let (all, changes) = inputs.ask(&span, at.today, asked);
    let is_judged = |warning: &Warning| match warning.unit {
        Some(unit) => scope::is_held_at(at.tree, at.here, unit, issuer),
        None => at.tree.server_of(issuer) == Some(at.here),
    };
    let longer = inputs.periods().into_iter();
    let longer = longer.filter(|period| period.end() > span.end);
    let counted_from = longer.map(|period| counted_from(&at.current, &period));
    Ok(Judged {
        warnings: all.into_iter().filter(is_judged).collect(),
        next: counted_from.chain(changes).min(),
    })
}

/// The first day on which the current period reaches to the end of a longer one, so that its report counts.
fn counted_from(current: &Period, longer: &Period) -> Date {
    let reaching = Period::containing(current.kind(), longer.end());
    match reaching.end() < longer.end() {
        true => reaching.next().start(),
        false => reaching.start(),
    }
}

#[cfg(test)]
mod tests;
