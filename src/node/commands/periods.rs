//! Reporting periods: the unit says that its reports are in, the unit above accepts or returns them, and closes the
//! period after consolidation. Both sides write a record of their own; the state is derived in [`nqsync_core::period`].

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use nqsync_core::calendar::{Period, due_of};
use nqsync_core::model::{Facts, Kind, PeriodStage, Tree, UnitId};
use nqsync_core::period::{ReviewValue, STATE, Standing, State, Step, SubmittedValue, standing};
use nqsync_core::protocol::hex;
use nqsync_core::rollup::{PeriodSpan, TaskFacts};
use nqsync_core::sync::{Edit, Record};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use self::restating::{begin_version, end_version, restatable};
pub use self::restating::{preview, restate};

use super::refs;
use super::restate;
use super::shared::time;
use super::views::{View, listed};
use super::{Reading, Said, Values, Writing, resolve};
use crate::api::Exit;
use crate::node::Refusal;
use crate::node::rollups::{self, closed};
use crate::node::standings::{OfPeriod, Standings, assigned, each_live_task};
use crate::store::closings;
use crate::store::{StoreError, Stored, audit, records};
use crate::text::word;

/// A unit's reports of a period, each with the hash of its submitted version.
type Versions = BTreeMap<Uuid, String>;

/// What was expected of a unit in a period, and what came.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) expected: u32,
    pub(super) received: u32,
    /// Received by the deadline, with the sender's clock put right as far as that was measured.
    pub(super) on_time: u32,
    /// The versions of the reports of this very period that are submitted now.
    versions: Versions,
}

/// A unit's period with its two records, as far as they are held here.
struct Held {
    unit: UnitId,
    /// Who decided, or else the unit above; the root reviews itself.
    reviewer: UnitId,
    period: Period,
    submission: Option<Stored>,
    review: Option<Stored>,
}

impl Held {
    fn load(view: &View<'_>, unit: UnitId, period: Period) -> Result<Held, StoreError> {
        // What was decided stays with who decided it: the unit may have moved since, or another one continue it.
        let above = view.tree.get(view.tree.present(unit));
        let mut held = Held {
            unit,
            reviewer: above.and_then(|info| info.parent).unwrap_or(unit),
            period,
            submission: None,
            review: None,
        };
        held.submission = held.record(view.connection, PeriodStage::Submission)?;
        held.review = held.record(view.connection, PeriodStage::Review)?;
        if let Some(review) = &held.review
            && let Facts::Period { reviewer, .. } = review.record.facts()
        {
            held.reviewer = *reviewer;
        }
        Ok(held)
    }

    fn facts(&self, stage: PeriodStage) -> Facts {
        Facts::Period {
            unit: self.unit,
            reviewer: self.reviewer,
            period: self.period.to_string(),
            stage,
        }
    }

    fn record(
        &self,
        connection: &Connection,
        stage: PeriodStage,
    ) -> Result<Option<Stored>, StoreError> {
        let id = self.facts(stage).natural_id();
        Ok(id
            .map(|id| records::load(connection, id))
            .transpose()?
            .flatten())
    }

    fn standing(&self) -> Standing {
        let (submission, review) = (self.submission.as_ref(), self.review.as_ref());
        standing(submission.map(|s| &s.record), review.map(|s| &s.record))
    }

    /// Who brought the period into its state, and when.
    fn last(&self, state: State) -> Option<Edit> {
        let stored = match state {
            State::Open => None,
            State::Submitted => self.submission.as_ref(),
            _ => self.review.as_ref(),
        };
        stored.and_then(|stored| author_of(&stored.record))
    }
}

fn author_of(record: &Record) -> Option<Edit> {
    let edits = record.register(STATE).edits;
    edits.first().map(|edit| (*edit).clone())
}

/// Whether the unit above closed the period, for the unit or for one it belongs to.
pub fn is_locked(view: &View<'_>, unit: UnitId, period: &str) -> Result<bool, Refusal> {
    let Ok(period) = period.parse::<Period>() else {
        return Ok(false);
    };
    let name = period.to_string();
    Ok(closed::is_locked(
        view.connection,
        view.tree,
        unit,
        &name,
        None,
    )?)
}

/// `period list`: the units served here and those directly below them, or those at and below one.
pub fn list(on: &Reading<'_>, period: Option<&str>, unit: Option<&str>) -> Result<Said, Refusal> {
    let view = on.view();
    let period = refs::period(&view, period)?;
    let under = unit
        .map(|text| resolve(&on.tree, text, on.home))
        .transpose()?;
    // Only what was submitted or decided is compared with the versions that are there.
    let tallies = match records::any_of(view.connection, Kind::Period, &period.to_string())? {
        true => tallies(&view, period)?,
        false => {
            let due = due_of(view.duties, &period);
            let of_one = tallies_of(&view, &[(period, due)])?;
            of_one.into_iter().next().unwrap_or_default()
        }
    };
    let mut items = Vec::new();
    for unit in concerned(&view, under) {
        let held = Held::load(&view, unit, period)?;
        let tally = tallies.get(&unit).cloned().unwrap_or_default();
        let gone = view.tree.get(unit).is_some_and(|info| info.heir.is_some());
        if gone && tally.expected == 0 && held.submission.is_none() && held.review.is_none() {
            continue;
        }
        items.push(item(&view, &held, &tally)?);
    }
    let mut data = listed(items);
    data["period"] = json!(period);
    data["due"] = json!(due_of(view.duties, &period).map(|at| at.to_string()));
    Ok(Said::done(data))
}

pub(super) fn concerned(view: &View<'_>, under: Option<UnitId>) -> Vec<UnitId> {
    let near = |unit: &UnitId| {
        let above = view.tree.get(*unit).and_then(|info| info.parent);
        view.serves(*unit) || above.is_some_and(|above| view.serves(above))
    };
    let mut units: Vec<UnitId> = match under {
        Some(under) => view.tree.subtree(under),
        None => view.tree.iter().map(|info| info.id).collect(),
    };
    units.retain(near);
    units.sort_by_cached_key(|unit| view.tree.path(*unit));
    units
}

/// `period show`.
pub fn show(on: &Reading<'_>, unit: Option<&str>, period: Option<&str>) -> Result<Said, Refusal> {
    let view = on.view();
    let period = refs::period(&view, period)?;
    let unit = match unit {
        Some(text) => resolve(&on.tree, text, on.home)?,
        None => on.asking()?,
    };
    let held = Held::load(&view, unit, period)?;
    let tally = tallies(&view, period)?.remove(&unit).unwrap_or_default();
    let mut shown = item(&view, &held, &tally)?;
    shown["changes"] = json!(changes(&held, &tally));
    shown["history"] = json!(history(&view, &held)?);
    shown["late"] = json!(restate::late_items(&view, &period, unit)?);
    shown["versions"] = json!(restate::versions(&view, &period)?);
    shown["versions_below"] = json!(restate::told_by(&view, &period, unit)?);
    shown["would_move"] = match restatable(&view, &held)? {
        true => json!(restate::would_move(&view, &period, Some(unit))?),
        false => json!([]),
    };
    let mut said = Said::done(shown);
    if let Some(count) = said.data["would_move"].as_array().map(Vec::len)
        && (count > 0
            || said.data["late"]
                .as_array()
                .is_some_and(|late| !late.is_empty()))
    {
        let args = [
            ("unit", view.tree.code(unit)),
            ("period", period.to_string()),
            ("numbers", count.to_string()),
        ];
        said = said.note("note-period-late", args);
    }
    Ok(said)
}

/// `period submit`: of the unit acted for.
pub fn submit(on: &mut Writing<'_, '_>, period: Option<&str>) -> Result<Said, Refusal> {
    let acting = on.acting(None)?;
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let period = refs::period(&view, period)?;
    let held = Held::load(&view, acting.unit, period)?;
    let now = check(&view, &held, Step::Submit)?;
    let tally = tallies(&view, period)?
        .remove(&held.unit)
        .unwrap_or_default();
    let reports = tally.versions.clone();
    let same = |value: &SubmittedValue| value.reports == reports;
    if now.state == State::Submitted && now.submitted.as_ref().is_some_and(same) {
        return Ok(Said::done(item(&view, &held, &tally)?).note("note-unchanged", []));
    }
    let value = SubmittedValue {
        state: "submitted".to_owned(),
        version: version_of(&reports, on.now_ms),
        at: on.now_ms,
        expected: tally.expected,
        received: tally.received,
        reports,
    };
    let facts = held.facts(PeriodStage::Submission);
    let values = Values::from([(STATE.to_owned(), json!(value))]);
    on.begin(&acting, facts, values)?;
    let said = answer(on, &held, &tally)?;
    let missing = tally.expected.saturating_sub(tally.received);
    Ok(match missing {
        0 => said,
        n => said.note("note-period-missing", [("missing", n.to_string())]),
    })
}

/// `period accept`, `return`, `close` and `reopen`: the unit above decides. Of several units, those that cannot take
/// the step are named and the others take it.
pub fn decide(
    on: &mut Writing<'_, '_>,
    step: Step,
    units: &[String],
    all: bool,
    period: Option<&str>,
    reason: Option<&str>,
) -> Result<Said, Refusal> {
    let reason = reason.unwrap_or_default().trim();
    if step.needs_reason() && reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    let tree = on.tx.tree();
    let home = on.tx.unit()?;
    let period = refs::period(&on.view(&tree)?, period)?;
    let units: Vec<UnitId> = match all {
        true => below(&tree, on.acting(None)?.unit),
        false => super::shared::units(&tree, units, home)?,
    };
    if units.is_empty() {
        return Err(Refusal::usage("period-no-unit", []));
    }
    // No decision moves them.
    let tallies = tallies(&on.view(&tree)?, period)?;
    let tally = |unit: &UnitId| tallies.get(unit).cloned().unwrap_or_default();
    if let [unit] = units.as_slice() {
        return decide_one(on, step, *unit, period, reason, &tally(unit));
    }
    let (mut items, mut refused) = (Vec::new(), Vec::new());
    for unit in units {
        match decide_one(on, step, unit, period, reason, &tally(&unit)) {
            Ok(said) => items.push(said.data),
            Err(refusal) if matches!(refusal.exit, Exit::Usage | Exit::PersonNeeded) => {
                refused.push(
                    json!({ "unit": tree.code(unit), "code": refusal.code.replace('-', "_") }),
                );
            }
            Err(refusal) => return Err(refusal),
        }
    }
    let count = refused.len();
    let mut said = Said::done(listed(items));
    said.data["refused"] = json!(refused);
    if count > 0 {
        said = said.note("note-period-refused", [("count", count.to_string())]);
        said.exit = Exit::Partly;
    }
    Ok(said)
}

/// The units directly below that are there today.
fn below(tree: &Tree, unit: UnitId) -> Vec<UnitId> {
    let children = tree.children(unit).iter().copied();
    children
        .filter(|child| tree.get(*child).is_some_and(|info| info.heir.is_none()))
        .collect()
}

fn decide_one(
    on: &mut Writing<'_, '_>,
    step: Step,
    unit: UnitId,
    period: Period,
    reason: &str,
    tally: &Tally,
) -> Result<Said, Refusal> {
    let Some(decided) = step.decision() else {
        return Err(super::unknown_verb(on.request));
    };
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let held = Held::load(&view, unit, period)?;
    let now = check(&view, &held, step)?;
    let reports = match step {
        Step::Close => tally.versions.clone(),
        _ => Versions::new(),
    };
    let value = ReviewValue {
        state: decided,
        reason: reason.to_owned(),
        version: now.submitted.map(|value| value.version).unwrap_or_default(),
        at: on.now_ms,
        reports,
        restated: None,
    };
    let acting = on.acting_as(held.reviewer)?;
    let facts = held.facts(PeriodStage::Review);
    let values = Values::from([(STATE.to_owned(), json!(value))]);
    let kept = begin_version(on, step, unit, period)?;
    let saved = on.begin(&acting, facts, values)?;
    end_version(on, step, (unit, period), kept, &acting.person)?;
    audit::append(
        on.tx,
        &audit::Act {
            at: on.now_ms,
            actor: &acting.person,
            act: "period.decided",
            subject: &saved.stored.record.key().id.to_string(),
            detail: json!({ "unit": unit, "period": period, "from": now.state, "to": decided, "reason": reason }),
        },
    )?;
    answer(on, &held, tally)
}

fn said_of(view: &View<'_>, held: &Held, state: State) -> [(&'static str, String); 3] {
    let name = state.as_str();
    let state = word(view.lang, "word-period-", name).unwrap_or_else(|| name.to_owned());
    [
        ("unit", view.tree.code(held.unit)),
        ("period", held.period.to_string()),
        ("state", state),
    ]
}

/// The step may be taken now.
fn check(view: &View<'_>, held: &Held, step: Step) -> Result<Standing, Refusal> {
    let now = held.standing();
    let args = || said_of(view, held, now.state);
    if held.period.start() > view.today() {
        return Err(Refusal::usage("period-not-begun", args()));
    }
    if now.in_conflict {
        let refusal = Refusal::with(Exit::PersonNeeded, "period-in-conflict", args());
        return Err(refusal);
    }
    if now.state.allows(step) {
        return Ok(now);
    }
    let code = match step {
        Step::Submit => "period-not-submitted",
        Step::Accept => "period-not-accepted",
        Step::Return => "period-not-returned",
        Step::Close => "period-not-closed",
        Step::Reopen => "period-not-reopened",
    };
    Err(Refusal::usage(code, args()))
}

fn answer(on: &Writing<'_, '_>, held: &Held, tally: &Tally) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let held = Held::load(&view, held.unit, held.period)?;
    Ok(Said::done(item(&view, &held, tally)?))
}

/// Names a submission: what is in it, and when it was made, so that the same reports submitted again are a new one.
fn version_of(reports: &Versions, at: i64) -> String {
    let digest = Sha256::digest(json!([reports, at]).to_string());
    hex(&digest[..16])
}

/// What was expected of each unit, and what came, from the tasks held here; with the versions that came.
fn tallies(view: &View<'_>, period: Period) -> Result<BTreeMap<UnitId, Tally>, StoreError> {
    let due = due_of(view.duties, &period);
    let standings = Standings::of(view.connection, view.tree)?;
    let span = rollups::span_of(&period);
    let mut versions: HashMap<Uuid, Vec<(UnitId, Uuid, String)>> = HashMap::new();
    for ((task, unit), report, hash) in standings.versions(&span)? {
        let of_task = versions.entry(task).or_default();
        of_task.push((unit, report, hash));
    }
    let mut tallying = Tallying::of(&standings, &span, due)?;
    each_live_task(view.connection, |task| {
        tallying.add(&task);
        let given: HashSet<UnitId> = assigned(&task).into_iter().collect();
        for (unit, report, hash) in versions.remove(&task.id).unwrap_or_default() {
            let is_given = given.contains(&unit);
            if let Some(tally) = tallying.tallies.get_mut(&unit).filter(|_| is_given) {
                tally.versions.insert(report, hash);
            }
        }
        Ok(())
    })?;
    Ok(tallying.tallies)
}

/// The same for several periods, each with its deadline, without the versions.
pub(super) fn tallies_of(
    view: &View<'_>,
    periods: &[(Period, Option<Timestamp>)],
) -> Result<Vec<BTreeMap<UnitId, Tally>>, StoreError> {
    if periods.is_empty() {
        return Ok(Vec::new());
    }
    let standings = Standings::of(view.connection, view.tree)?;
    let mut all = Vec::new();
    for (period, due) in periods {
        all.push(Tallying::of(&standings, &rollups::span_of(period), *due)?);
    }
    each_live_task(view.connection, |task| {
        all.iter_mut().for_each(|tallying| tallying.add(&task));
        Ok(())
    })?;
    Ok(all.into_iter().map(|tallying| tallying.tallies).collect())
}

/// Counts for one period what was expected of units, and what came, one task after the other.
struct Tallying {
    stood: OfPeriod,
    /// Until when reports are in time, ms since 1970.
    due: Option<i64>,
    tallies: BTreeMap<UnitId, Tally>,
}

impl Tallying {
    fn of(
        standings: &Standings<'_>,
        span: &PeriodSpan,
        due: Option<Timestamp>,
    ) -> Result<Tallying, StoreError> {
        Ok(Tallying {
            stood: standings.of_period(span)?,
            due: due.map(|at| at.as_millisecond()),
            tallies: BTreeMap::new(),
        })
    }

    fn add(&mut self, task: &TaskFacts) {
        for (unit, stood, owes) in self.stood.of(task) {
            let at = stood.filter(|stood| stood.came).map(|stood| stood.at);
            let in_time = at.is_some_and(|at| self.due.is_none_or(|due| at <= due));
            let tally = self.tallies.entry(unit).or_default();
            tally.expected += u32::from(owes.expected);
            tally.received += u32::from(owes.received);
            tally.on_time += u32::from(in_time);
        }
    }
}

/// Where a unit's period stands, and when it was submitted.
pub(super) fn state_of(
    view: &View<'_>,
    unit: UnitId,
    period: Period,
) -> Result<(State, Option<i64>), StoreError> {
    let now = Held::load(view, unit, period)?.standing();
    Ok((now.state, now.submitted.map(|value| value.at)))
}

/// Reports whose submitted version is not the one that the period was closed, or else submitted, with.
fn changes(held: &Held, tally: &Tally) -> Vec<Value> {
    let now = held.standing();
    let review = now.review.filter(|review| review.at > 0);
    let before = match (now.state, review, now.submitted) {
        (State::Locked, Some(review), _) => review.reports,
        (State::Locked, None, _) | (_, _, None) => return Vec::new(),
        (_, _, Some(submitted)) => submitted.reports,
    };
    let after = &tally.versions;
    let mut ids: Vec<&Uuid> = before.keys().chain(after.keys()).collect();
    ids.sort_unstable();
    ids.dedup();
    let moved = ids.into_iter().filter(|id| before.get(id) != after.get(id));
    moved
        .map(|id| json!({ "report": id, "from": before.get(id), "to": after.get(id) }))
        .collect()
}

fn history(view: &View<'_>, held: &Held) -> Result<Vec<Value>, StoreError> {
    let mut all: Vec<Edit> = Vec::new();
    for stored in held.submission.iter().chain(&held.review) {
        all.extend(stored.record.edits().iter().cloned());
        all.extend(records::history(view.connection, stored.rec)?);
    }
    all.sort_by_key(|edit| edit.stamp);
    let line = |edit: &Edit| {
        let write = edit
            .writes()
            .iter()
            .find(|w| w.register.as_ref() == STATE)?;
        let value = write.json();
        Some(json!({
            "state": value["state"],
            "reason": value["reason"],
            "version": value["restated"],
            "by": edit.by,
            "unit": view.tree.code(edit.unit),
            "at": time(edit.stamp.millis()),
        }))
    };
    Ok(all.iter().filter_map(line).collect())
}

fn item(view: &View<'_>, held: &Held, tally: &Tally) -> Result<Value, StoreError> {
    let now = held.standing();
    let last = held.last(now.state);
    let waits = matches!(now.state, State::Open | State::Returned | State::Reopened);
    let due = due_of(view.duties, &held.period);
    let reason = match now.state {
        State::Open | State::Submitted => String::new(),
        _ => now
            .review
            .as_ref()
            .map(|r| r.reason.clone())
            .unwrap_or_default(),
    };
    let info = view.tree.get(held.unit);
    let review = held.facts(PeriodStage::Review).natural_id();
    Ok(json!({
        "id": review,
        "unit": view.tree.code(held.unit),
        "unit_name": info.map(|info| info.name.as_str()),
        "above": view.tree.code(held.reviewer),
        "period": held.period,
        "state": now.state,
        "reason": reason,
        "since": last.as_ref().map(|edit| time(edit.stamp.millis())),
        "by": last.as_ref().map(|edit| edit.by.to_string()),
        "due": due.map(|at| at.to_string()),
        "overdue": waits && due.is_some_and(|at| at.as_millisecond() < view.now_ms),
        "expected": tally.expected,
        "received": tally.received,
        "on_time": tally.on_time,
        "submission": now.submitted.as_ref().map(|value| value.version.as_str()),
        "submitted_at": now.submitted.as_ref().map(|value| time(value.at)),
        "changed_since": changes(held, tally).len(),
        "late": closings::count(view.connection, held.unit, &held.period.to_string())?,
        "version": closings::version(view.connection, &held.period.to_string())?,
        "in_conflict": now.in_conflict,
    }))
}

#[cfg(test)]
mod late_tests;
mod restating;
#[cfg(test)]
mod tests;
