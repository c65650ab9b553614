//! Rollups at this node: what a change touches, counting it anew, and proving the counts from scratch.
//!
//! Invariants: a rollup is written only where its issuer is served, and only when its bytes change; all groups of an
//! issuer have rollups of the same periods, so that no level adds a period in which half of the groups are missing.
//! A change of tasks or reports leaves marks; [`recompute`] reads the marked groups and no others. Closed figures
//! (`closed`) it leaves alone: only a restatement moves them.

pub mod closed;
pub mod load;
mod recount;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use nqsync_core::calendar::{Period, PeriodKind};
use nqsync_core::model::{Facts, PeriodStage, Tree, UnitId};
use nqsync_core::period::{State, standing};
use nqsync_core::rollup::{GroupRollup, NotCounted, PeriodSpan, read_task};
use nqsync_core::sync::Record;
use rusqlite::Connection;
use serde_json::Value;
use uuid::Uuid;

pub use closed::{Before, Closed};
pub use load::Inputs;
pub use recount::{Difference, Recount, recount};

use super::write::{self, Acting};
use super::{Node, Refusal, recovery, standings, warnings};
use crate::store::{StoreError, Stored, Tx, closings, groups, queries, records};

/// The register of a rollup record.
pub const REGISTER: &str = "rollup";
/// The register with the versions after the first: number, who, when, why, and the numbers that moved.
const RESTATED: &str = "restated";
/// Who writes rollups: no person does.
const AUTHOR: &str = "nqsync";
/// Begins a mark: the period it names was closed, and is counted for the last time.
const CLOSING: &str = "closing ";
/// Groups counted in one job of the writer, so that people's writes do not wait long behind a new month.
const GROUPS_PER_JOB: usize = 8;

/// Marks the groups that a saved record touches, and the task whose warnings it may change. `before` is its state before
/// the save.
pub fn touched(
    tx: &mut Tx<'_>,
    record: &Record,
    before: Option<&Record>,
) -> Result<(), StoreError> {
    warnings::touched(tx, record, before)?;
    standings::touched(tx, record, before)?;
    match record.facts() {
        Facts::Task { issuer, .. } => {
            for state in before.into_iter().chain([record]) {
                if let Some(task) = read_task(state) {
                    mark(tx, *issuer, &task.group, "")?;
                }
            }
            Ok(())
        }
        Facts::Report { task, period, .. } | Facts::Evidence { task, period, .. } => {
            mark_task(tx, *task, period)
        }
        Facts::Verdict { report, .. } | Facts::Arrival { report, .. } => {
            // Without the report there is nothing to count yet; it marks the group itself when it comes.
            match groups::about_and_period(tx.connection(), *report)? {
                Some((task, period)) => mark_task(tx, task, &period.unwrap_or_default()),
                None => Ok(()),
            }
        }
        Facts::Unit { .. } => {
            let same = |name: &str| record.shown(name) == before.and_then(|b| b.shown(name));
            if before.is_some() && !(same("parent") && same("succession")) {
                // Whose verdict counts, and who counts, follows from who is above whom and who continues whom.
                return groups::issuers(tx.connection())?
                    .into_iter()
                    .try_for_each(|issuer| groups::mark_all(tx.connection(), issuer, ""));
            }
            if same("served_by") {
                return Ok(());
            }
            adopt(tx, UnitId(record.key().id))
        }
        // One that returns to where it is counted, after a disk went back: what it counted may be gone with that disk.
        Facts::Rollup {
            issuer,
            period,
            group,
        } => mark(tx, *issuer, group, period),
        Facts::Period {
            unit,
            reviewer,
            period,
            stage: PeriodStage::Review,
        } => reviewed(tx, (*unit, *reviewer), period, record, before),
        _ => Ok(()),
    }
}

/// The unit above decided about a period. Open again, it is counted again; closed by somebody elsewhere, what came until
/// now is counted once more. Whoever closes here has counted before.
fn reviewed(
    tx: &Tx<'_>,
    (unit, reviewer): (UnitId, UnitId),
    period: &str,
    record: &Record,
    before: Option<&Record>,
) -> Result<(), StoreError> {
    let now = standing(None, Some(record));
    let was_locked = before.is_some_and(|b| standing(None, Some(b)).state == State::Locked);
    let mark = match (was_locked, now.state == State::Locked) {
        (true, false) => {
            // Wherever it was opened again, nothing waits here any more.
            let reason = now.review.map(|review| review.reason).unwrap_or_default();
            closings::reopen(tx.connection(), unit, period, &reason)?;
            period.to_owned()
        }
        (false, true) if !tx.serves(reviewer) => format!("{CLOSING}{period}"),
        _ => return Ok(()),
    };
    let (tree, connection) = (tx.tree(), tx.connection());
    for issuer in concerned(tx, unit)? {
        if !closed::is_closed(connection, &tree, issuer, period, Some(unit))? {
            groups::mark_all(connection, issuer, &mark)?;
        }
    }
    Ok(())
}

/// The issuers counted here that a unit's closing can concern.
fn concerned(tx: &Tx<'_>, unit: UnitId) -> Result<Vec<UnitId>, StoreError> {
    let tree = tx.tree();
    let mut issuers = groups::issuers(tx.connection())?;
    issuers.retain(|issuer| {
        tx.serves(*issuer) && (tree.is_within(*issuer, unit) || tree.is_within(unit, *issuer))
    });
    Ok(issuers)
}

/// Before a unit's period is closed here: figures that were only ever counted when somebody asked are written down, for what
/// is closed has to stand somewhere.
pub fn write_down(tx: &Tx<'_>, unit: UnitId, period: Period) -> Result<(), StoreError> {
    let name = period.to_string();
    for issuer in concerned(tx, unit)? {
        let connection = tx.connection();
        if !known_periods(connection, issuer)?.contains(&period)
            && !closed::is_closed(connection, &tx.tree(), issuer, &name, None)?
        {
            groups::mark_all(connection, issuer, &format!("{CLOSING}{name}"))?;
        }
    }
    Ok(())
}

/// A unit has another server: if that is this node, its issuers' groups are counted here from now on.
fn adopt(tx: &Tx<'_>, unit: UnitId) -> Result<(), StoreError> {
    let tree = tx.tree();
    for issuer in groups::issuers(tx.connection())? {
        if issuer == unit || tree.is_within(issuer, unit) {
            groups::mark_all(tx.connection(), issuer, "")?;
        }
    }
    Ok(())
}

fn mark_task(tx: &Tx<'_>, task: Uuid, period: &str) -> Result<(), StoreError> {
    match groups::of_task(tx.connection(), task)? {
        Some((issuer, group)) => mark(tx, issuer, &group, period),
        None => Ok(()),
    }
}

fn mark(tx: &Tx<'_>, issuer: UnitId, group: &str, period: &str) -> Result<(), StoreError> {
    if !tx.serves(issuer) {
        return Ok(());
    }
    tx.mark_dirty(issuer, group, period)
}

/// Marks every group counted here. On a new day more is overdue, and perhaps a new period has begun. Periods that were
/// closed before this node kept what comes late are kept from now on.
pub fn touch_all(_node: &Node, tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let connection = tx.connection();
    closings::adopt(connection, |record| match record.facts() {
        Facts::Period {
            unit,
            reviewer,
            period,
            stage: PeriodStage::Review,
        } if tx.serves(*reviewer) && standing(None, Some(record)).state == State::Locked => {
            Some((*unit, period.clone()))
        }
        _ => None,
    })?;
    for issuer in groups::issuers(tx.connection())? {
        if tx.serves(issuer) {
            groups::mark_all(tx.connection(), issuer, "")?;
        }
    }
    Ok(())
}

/// Counts one job's worth of what is marked; its commit calls for the next one. Where nothing is marked nothing is
/// written, so that a commit does not cause another for ever. It never waits until all is counted: while a first load
/// goes on that would be never, and the load would be the one to wait.
pub async fn refresh(node: &Node) -> Result<(), StoreError> {
    let marked = node.store.read(queries::any_dirty).await?;
    if !marked {
        return Ok(());
    }
    let worker = node.clone();
    node.store
        .write(move |tx| recompute(&worker, tx).map(drop))
        .await
}

/// Counts marked groups anew, at most [`GROUPS_PER_JOB`] of them, and writes the rollups whose bytes changed.
/// Answers how many groups were looked at: the caller goes on until that is 0.
pub fn recompute(node: &Node, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    if recovery::may_write(tx.connection()).is_err() {
        // The marks stay; what was published stands with its as-of until the lost reports are back.
        return Ok(0);
    }
    let today = node.today();
    let current = node.current_period();
    let mut marked: BTreeMap<(UnitId, String), Vec<queries::Dirty>> = BTreeMap::new();
    for dirty in queries::dirty(tx.connection())? {
        let key = (dirty.0, dirty.1.clone());
        marked.entry(key).or_default().push(dirty);
    }
    let now_ms = node.clock.now_ms();
    let mut closed = Closed::default();
    let mut done = 0;
    for ((issuer, group), marks) in marked.into_iter().take(GROUPS_PER_JOB) {
        if tx.serves(issuer) {
            let since: Vec<&str> = marks.iter().map(|mark| mark.2.as_str()).collect();
            let change = Change {
                issuer,
                group: &group,
                since: &since,
            };
            recompute_group(tx, &change, &mut closed, current, today, now_ms)?;
        }
        for dirty in &marks {
            queries::clear_dirty(tx.connection(), dirty)?;
        }
        done += 1;
    }
    Ok(done)
}

struct Change<'a> {
    issuer: UnitId,
    group: &'a str,
    /// The periods marked; empty text: all.
    since: &'a [&'a str],
}

fn recompute_group(
    tx: &mut Tx<'_>,
    change: &Change<'_>,
    closed: &mut Closed,
    current: Period,
    today: Date,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Change { issuer, group, .. } = *change;
    let tree = tx.tree();
    let known = known_periods(tx.connection(), issuer)?;
    let mut periods = known.clone();
    let reported = groups::reported_periods(tx.connection(), issuer, group)?;
    periods.extend(
        reported
            .iter()
            .filter_map(|text| text.parse::<Period>().ok()),
    );
    periods.extend([current, Period::containing(PeriodKind::Month, today)]);
    let closing = change
        .since
        .iter()
        .filter_map(|mark| mark.strip_prefix(CLOSING)?.parse().ok());
    let closing: BTreeSet<Period> = closing.collect();
    let since = change
        .since
        .iter()
        .filter(|mark| !mark.starts_with(CLOSING));
    let marked: Vec<Option<Period>> = since.map(|text| text.parse().ok()).collect();
    periods.extend(marked.iter().flatten().chain(&closing));
    // A mark without a period, or with one that nobody can place, stands for all of them.
    let counts = |period: &Period| {
        marked
            .iter()
            .any(|since| since.is_none_or(|since| since.end() <= period.end()))
            || !known.contains(period)
            || closing.contains(period)
    };
    // Those in which everything counts as it is are counted together.
    let (mut plain, mut others) = (Vec::new(), Vec::new());
    for period in periods.iter().filter(|period| counts(period)) {
        let last = closing.contains(period);
        if !last && closed.is(tx.connection(), &tree, issuer, *period)? {
            continue;
        }
        let span = span_of(period);
        let before = Before::of(tx.connection(), &span.name, None)?;
        let on = evaluated_on(&span, today);
        match before.is_empty() {
            true => plain.push((span, on)),
            false => others.push(((span, on), before)),
        }
    }
    let whose = (issuer, group);
    let counted = load::count(tx.connection(), &tree, whose, &Before::default(), &plain)?;
    let mut all: Vec<(PeriodSpan, GroupRollup)> = plain
        .into_iter()
        .map(|(span, _)| span)
        .zip(counted)
        .collect();
    for (one, before) in others {
        let counted = load::count(
            tx.connection(),
            &tree,
            whose,
            &before,
            std::slice::from_ref(&one),
        )?;
        all.extend(counted.into_iter().map(|rollup| (one.0.clone(), rollup)));
    }
    for (span, rollup) in &all {
        let written = put(tx, issuer, group, span, rollup, now_ms)?;
        if written && !known.iter().any(|period| period.to_string() == span.name) {
            // The other groups follow; each takes this period from its mark.
            groups::mark_all(tx.connection(), issuer, &span.name)?;
        }
    }
    Ok(())
}

/// Writes a rollup unless it is there already, byte for byte. Of a group that never had a task nothing is written.
fn put(
    tx: &mut Tx<'_>,
    issuer: UnitId,
    group: &str,
    span: &PeriodSpan,
    rollup: &GroupRollup,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let facts = facts_of(issuer, group, span);
    let value = to_json(rollup)?;
    let stored = facts
        .natural_id()
        .map(|id| tx.load(id))
        .transpose()?
        .flatten();
    match &stored {
        Some(stored) if stored.record.shown(REGISTER).as_ref() == Some(&value) => return Ok(false),
        None if rollup.tasks.total == 0 => return Ok(false),
        _ => {}
    }
    let acting = Acting {
        unit: tx.tree().present(issuer),
        person: AUTHOR.to_owned(),
        now_ms,
    };
    // This node serves the issuer, so a refusal can only mean that the store contradicts itself.
    write::create(
        tx,
        &acting,
        facts,
        [(REGISTER.to_owned(), value)].into(),
        None,
    )
    .map_err(|refusal| StoreError::Damaged(format!("a rollup cannot be written: {refusal:?}")))?;
    Ok(true)
}

/// Writes the figures of a new version, with what it says of itself.
pub fn put_restated(
    tx: &mut Tx<'_>,
    (issuer, group): (UnitId, &str),
    span: &PeriodSpan,
    rollup: &GroupRollup,
    version: Value,
    now_ms: i64,
) -> Result<(), Refusal> {
    let facts = facts_of(issuer, group, span);
    let stored = facts.natural_id().map(|id| tx.load(id)).transpose()?;
    let mut versions = stored.flatten().map_or(Vec::new(), |s| versions(&s.record));
    versions.push(version);
    let values = [
        (REGISTER.to_owned(), to_json(rollup)?),
        (RESTATED.to_owned(), Value::Array(versions)),
    ];
    let acting = Acting {
        unit: tx.tree().present(issuer),
        person: AUTHOR.to_owned(),
        now_ms,
    };
    write::create(tx, &acting, facts, values.into(), None)?;
    Ok(())
}

/// The groups that have a rollup in a period.
pub fn groups_in(
    connection: &Connection,
    issuer: UnitId,
    period: &str,
) -> Result<Vec<String>, StoreError> {
    let stored = groups::rollups_of(connection, issuer, period)?;
    let group = |stored: &Stored| match stored.record.facts() {
        Facts::Rollup { group, .. } => Some(group.clone()),
        _ => None,
    };
    Ok(stored.iter().filter_map(group).collect())
}

/// The versions of a rollup after the first, as its issuer's node told them.
pub fn versions(record: &Record) -> Vec<Value> {
    match record.shown(RESTATED) {
        Some(Value::Array(versions)) => versions,
        _ => Vec::new(),
    }
}

fn to_json(rollup: &GroupRollup) -> Result<Value, StoreError> {
    serde_json::to_value(rollup)
        .map_err(|e| StoreError::Damaged(format!("a rollup cannot be written: {e}")))
}

/// The rollup that is stored, if any.
pub fn stored(
    connection: &Connection,
    issuer: UnitId,
    group: &str,
    span: &PeriodSpan,
) -> Result<Option<GroupRollup>, StoreError> {
    let Some(id) = facts_of(issuer, group, span).natural_id() else {
        return Ok(None);
    };
    Ok(records::load(connection, id)?.and_then(|found| read(&found.record).ok()))
}

/// Reads a rollup record.
///
/// # Errors
/// [`NotCounted`], when another version wrote what must not be added here. The record is stored and passed on as it is.
pub fn read(record: &Record) -> Result<GroupRollup, NotCounted> {
    let value = record.shown(REGISTER).ok_or(NotCounted::Unreadable)?;
    GroupRollup::parse(&value)
}

/// The rollup of a group as it is now: the stored one, or counted here when none is stored or changes wait. Of `closed`
/// figures the stored one.
pub fn present(
    connection: &Connection,
    tree: &Tree,
    (issuer, group): (UnitId, &str),
    span: &PeriodSpan,
    today: Date,
    closed: bool,
) -> Result<GroupRollup, StoreError> {
    let waits = queries::dirty(connection)?
        .iter()
        .any(|mark| mark.0 == issuer && mark.1 == group);
    let stored = stored(connection, issuer, group, span)?;
    match stored {
        Some(rollup) if closed || !waits => Ok(rollup),
        // A group that began after the closing is in no closed figure.
        None if closed => Ok(GroupRollup::empty(evaluated_on(span, today))),
        _ => {
            let before = Before::of(connection, &span.name, None)?;
            count(connection, tree, (issuer, group), span, today, &before)
        }
    }
}

/// Counts a group anew from its records, as they are counted in the period.
pub fn count(
    connection: &Connection,
    tree: &Tree,
    whose: (UnitId, &str),
    span: &PeriodSpan,
    today: Date,
    before: &Before,
) -> Result<GroupRollup, StoreError> {
    let on = evaluated_on(span, today);
    let one = [(span.clone(), on)];
    let counted = load::count(connection, tree, whose, before, &one)?;
    Ok(counted
        .into_iter()
        .next()
        .unwrap_or_else(|| GroupRollup::empty(on)))
}

fn facts_of(issuer: UnitId, group: &str, span: &PeriodSpan) -> Facts {
    Facts::Rollup {
        issuer,
        period: span.name.clone(),
        group: group.to_owned(),
    }
}

fn known_periods(connection: &Connection, issuer: UnitId) -> Result<BTreeSet<Period>, StoreError> {
    let texts = groups::periods(connection, issuer)?;
    Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
}

/// Name and days of a period.
pub fn span_of(period: &Period) -> PeriodSpan {
    PeriodSpan {
        name: period.to_string(),
        start: period.start(),
        end: period.end(),
    }
}

/// The day that due days are compared with: a period that is over is judged as of its last day.
pub fn evaluated_on(span: &PeriodSpan, today: Date) -> Date {
    span.end.min(today)
}
