//! `period restate`: what came after a closing counts from now on, as a new version of the figures. And what closing and
//! reopening do for versions.

use nqsync_core::calendar::Period;
use nqsync_core::model::{PeriodStage, UnitId};
use nqsync_core::period::{Decided, ReviewValue, STATE, State, Step};
use serde_json::json;

use super::super::restate::{self, Figures};
use super::super::views::View;
use super::super::{Reading, Said, Values, Writing, refs, resolve};
use super::{Held, said_of, tallies};
use crate::node::Refusal;
use crate::node::rollups::{self, closed};
use crate::store::closings::{self, Closing};
use crate::store::{StoreError, audit};

/// Whether what came late for the unit can be taken in here: its period was closed here, or it is counted here and closed
/// by whoever is above it.
pub(super) fn restatable(view: &View<'_>, held: &Held) -> Result<bool, StoreError> {
    let name = held.period.to_string();
    let here = closings::of(view.connection, held.unit, &name)?;
    let served = view.serves(held.unit)
        && closed::is_closed(view.connection, view.tree, held.unit, &name, None)?;
    Ok(here.is_some_and(|closing| closing.closed) || served)
}

/// `period restate`, and what it would do.
pub fn preview(on: &Reading<'_>, period: &str, unit: Option<&str>) -> Result<Said, Refusal> {
    let view = on.view();
    let period = refs::period(&view, Some(period))?;
    let unit = match unit {
        Some(text) => resolve(&on.tree, text, on.home)?,
        None => on.asking()?,
    };
    let held = Held::load(&view, unit, period)?;
    check_restate(&view, &held)?;
    let version = closings::version(view.connection, &period.to_string())?;
    Ok(Said::done(json!({
        "unit": view.tree.code(unit),
        "period": period,
        "preview": true,
        "version": version + 1,
        "late": restate::late_items(&view, &period, unit)?,
        "moved": restate::would_move(&view, &period, Some(unit))?,
    })))
}

fn check_restate(view: &View<'_>, held: &Held) -> Result<(), Refusal> {
    if restatable(view, held)? {
        return Ok(());
    }
    let state = held.standing().state;
    let code = match state {
        State::Locked => "period-restate-elsewhere",
        _ => "period-not-restated",
    };
    Err(Refusal::usage(code, said_of(view, held, state)))
}

/// `period restate`: what came after the closing counts from now on, as a new version of the figures.
pub fn restate(
    on: &mut Writing<'_, '_>,
    period: &str,
    unit: Option<&str>,
    reason: &str,
) -> Result<Said, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    settle(on)?;
    let tree = on.tx.tree();
    let view = on.view(&tree)?;
    let period = refs::period(&view, Some(period))?;
    let unit = match unit {
        Some(text) => resolve(&tree, text, view.home)?,
        None => on.acting(None)?.unit,
    };
    let held = Held::load(&view, unit, period)?;
    check_restate(&view, &held)?;
    let name = period.to_string();
    let closing = closings::of(view.connection, unit, &name)?.filter(|closing| closing.closed);
    let owner = closing.as_ref().map_or(unit, |_| held.reviewer);
    let acting = on.acting_as(owner)?;
    acting.check(on.tx)?;
    if acting.unit != tree.present(owner) {
        let args = [
            ("kind", "period".to_owned()),
            ("owner", tree.code(owner)),
            ("unit", tree.code(acting.unit)),
        ];
        return Err(Refusal::usage("not-owner", args));
    }
    let late = restate::late_items(&view, &period, unit)?;
    let old = Figures::in_force(&view, &period)?;
    let new = Figures::restated(&view, &period, Some(unit))?;
    let moved = restate::would_move(&view, &period, Some(unit))?;
    let version = closings::version(view.connection, &name)?;
    let mut data = json!({
        "unit": tree.code(unit),
        "period": period,
        "preview": false,
        "version": version,
        "late": late,
        "moved": moved,
    });
    if late.is_empty() && moved.is_empty() {
        return Ok(Said::done(data).note("note-unchanged", []));
    }
    let tally = tallies(&view, period)?.remove(&unit).unwrap_or_default();
    let reports = tally.versions;
    let submitted = held.standing().submitted;
    let why = restate::Why {
        unit,
        by: &acting.person,
        reason,
        at: on.now_ms,
    };
    let (version, kept) = restate::issue(on.tx, &period, (&old, &new), &why)?;
    let mut subject = unit.to_string();
    if closing.is_some() {
        closings::take_in(on.tx.connection(), unit, &name)?;
        let value = ReviewValue {
            state: Decided::Locked,
            reason: reason.to_owned(),
            version: submitted.map(|value| value.version).unwrap_or_default(),
            at: on.now_ms,
            reports,
            restated: Some(version),
        };
        let facts = held.facts(PeriodStage::Review);
        let values = Values::from([(STATE.to_owned(), json!(value))]);
        let saved = on.begin(&acting, facts, values)?;
        subject = saved.stored.record.key().id.to_string();
    }
    audit::append(
        on.tx,
        &audit::Act {
            at: on.now_ms,
            actor: &acting.person,
            act: "period.restated",
            subject: &subject,
            detail: json!({ "unit": unit, "period": period, "version": version, "reason": reason, "moved": kept }),
        },
    )?;
    data["version"] = json!(version);
    let args = [
        ("version", version.to_string()),
        ("numbers", moved.len().to_string()),
        ("period", name),
    ];
    Ok(Said::done(data).note("note-period-restated", args))
}

/// Counts all that is marked, so that what came before counts before.
fn settle(on: &mut Writing<'_, '_>) -> Result<(), StoreError> {
    while rollups::recompute(on.node, on.tx)? > 0 {}
    Ok(())
}

/// Before a period is closed or opened again: what came until now is counted, and what is in force is kept for the next
/// version. Answers how the period was closed before.
pub(super) fn begin_version(
    on: &mut Writing<'_, '_>,
    step: Step,
    unit: UnitId,
    period: Period,
) -> Result<Option<Closing>, Refusal> {
    if !matches!(step, Step::Close | Step::Reopen) {
        return Ok(None);
    }
    if step == Step::Close {
        rollups::write_down(on.tx, unit, period)?;
    }
    settle(on)?;
    if step == Step::Reopen {
        let figures = in_force(on, period)?;
        restate::keep_all(on.tx, &period, &figures)?;
    }
    Ok(closings::of(on.tx.connection(), unit, &period.to_string())?)
}

/// After a period was closed. Closed again after it was open, a new version says which numbers moved meanwhile.
pub(super) fn end_version(
    on: &mut Writing<'_, '_>,
    step: Step,
    (unit, period): (UnitId, Period),
    before: Option<Closing>,
    person: &str,
) -> Result<(), Refusal> {
    if step != Step::Close {
        return Ok(());
    }
    let name = period.to_string();
    closings::close(on.tx.connection(), unit, &name)?;
    let Some(reopened) = before.filter(|closing| !closing.closed) else {
        return Ok(());
    };
    let figures = in_force(on, period)?;
    let kept = restate::kept_figures(on.tx, &period)?;
    let why = restate::Why {
        unit,
        by: person,
        reason: &reopened.reason,
        at: on.now_ms,
    };
    let moved = kept.differs(&figures);
    if moved {
        restate::issue(on.tx, &period, (&kept, &figures), &why)?;
    }
    match (closings::any_reopened(on.tx.connection(), &name)?, moved) {
        // The others, too, will be compared when they are closed again.
        (true, true) => restate::keep_all(on.tx, &period, &figures)?,
        (false, false) => closings::forget_kept(on.tx.connection(), &name)?,
        _ => {}
    }
    Ok(())
}

fn in_force(on: &Writing<'_, '_>, period: Period) -> Result<Figures, Refusal> {
    let tree = on.tx.tree();
    Figures::in_force(&on.view(&tree)?, &period)
}
