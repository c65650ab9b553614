//! `score show`: the units of this node and those directly below, scored by the criteria of the configuration.
//!
//! Every figure is counted as rollups count it: of a closed period what was closed, whatever came since.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use nqsync_core::calendar::{Period, due_of};
use nqsync_core::model::UnitId;
use nqsync_core::scoring::{Criteria, Measure, Score, Shares, score};
use serde_json::{Value, json};

use super::assignments::{Assignment, Assignments};
use super::periods::concerned;
use super::{Reading, Said, indicators, refs, resolve};
use crate::api::Exit;
use crate::node::rollups::{self, Before};
use crate::node::standings::each_live_task;
use crate::node::{Refusal, scoring};
use crate::store::closings;

/// `score show`.
pub fn show(on: &Reading<'_>, period: Option<&str>, unit: Option<&str>) -> Result<Said, Refusal> {
    let view = on.view();
    let period = refs::period(&view, period)?;
    let criteria =
        scoring::criteria(on.node.settings.scoring_file.as_deref()).map_err(|detail| {
            Refusal::with(Exit::Configuration, "bad-criteria", [("detail", detail)])
        })?;
    let under = unit
        .map(|text| resolve(&on.tree, text, on.home))
        .transpose()?;
    // Places are among all; who asks about some sees the same places.
    let scores = score(&criteria, &shares(on, &period)?);
    let mut shown: Vec<&Score> = scores.iter().collect();
    shown.retain(|score| {
        let info = on.tree.get(score.unit);
        let gone = info.is_some_and(|info| info.heir.is_some());
        under.is_none_or(|above| on.tree.is_within(score.unit, above))
            && !(gone && score.percent.is_none())
    });
    shown.sort_by_cached_key(|score| (Reverse(score.percent), on.tree.path(score.unit)));
    let each = shown.into_iter();
    let items: Vec<Value> = each.map(|score| item(on, &criteria, score)).collect();
    let ranked = scores.iter().filter(|score| score.rank.is_some()).count();
    let without = items.iter().filter(|item| item["rank"].is_null()).count();
    let late = closings::count_all(on.connection, Some(&period.to_string()))?;
    let mut said = Said::done(json!({
        "period": period,
        "criteria": criteria,
        "evaluated_on": rollups::evaluated_on(&rollups::span_of(&period), view.today()),
        "ranked": ranked,
        "without_basis": without,
        "late": late,
        "total": items.len(),
        "items": items,
    }));
    if without > 0 {
        said = said.note("note-score-without-basis", [("count", without.to_string())]);
    }
    if late > 0 {
        let args = [("late", late.to_string()), ("period", period.to_string())];
        said = said.note("note-rollup-late", args);
    }
    Ok(said)
}

/// What each unit reached of what in a period.
fn shares(on: &Reading<'_>, period: &Period) -> Result<BTreeMap<UnitId, Shares>, Refusal> {
    let view = on.view();
    let units = concerned(&view, None);
    let mut shares: BTreeMap<UnitId, Shares> =
        units.iter().map(|unit| (*unit, Shares::new())).collect();
    let before = Before::of(on.connection, &period.to_string(), None)?;
    let span = rollups::span_of(period);
    let on_day = rollups::evaluated_on(&span, view.today());
    let due = due_of(view.duties, period).map(|at| at.as_millisecond());
    let over = due.map_or(view.today() > span.end, |due| view.now_ms > due);
    let counted = Assignments::of(on.connection, &on.tree, &span, on_day, &before)?;
    each_live_task(on.connection, |task| {
        for one in counted.of_task(task)? {
            if let Some(shares) = shares.get_mut(&one.unit) {
                count(shares, &one, due, over);
            }
        }
        Ok(())
    })?;
    for (unit, reached) in indicators::reached_by_units(&view, period, &before)? {
        if let Some(shares) = shares.get_mut(&unit) {
            let share = shares.entry(Measure::IndicatorsReached).or_default();
            share.count(reached);
        }
    }
    Ok(shares)
}

/// `due`: when reports have to be in, ms since 1970; `over`: that time is over, so that what has not come is missing.
fn count(shares: &mut Shares, one: &Assignment, due: Option<i64>, over: bool) {
    let mut count = |measure, reached| shares.entry(measure).or_default().count(reached);
    if one.leads && (one.late || one.on_time()) {
        count(Measure::TasksOnTime, !one.late);
    }
    if let Some(accepted) = one.accepted {
        count(Measure::EvidenceAccepted, accepted);
    }
    if one.due.received || (one.due.expected && over) {
        let in_time = one.at.is_some_and(|at| due.is_none_or(|due| at <= due));
        count(Measure::ReportsOnTime, one.due.received && in_time);
    }
}

fn item(on: &Reading<'_>, criteria: &Criteria, score: &Score) -> Value {
    let info = on.tree.get(score.unit);
    let lines = score.lines.iter().zip(&criteria.criteria);
    let lines: Vec<Value> = lines
        .map(|(line, criterion)| {
            json!({
                "code": line.code,
                "title": criterion.title,
                "reached": line.share.reached,
                "of": line.share.of,
                "points": line.points.map(hundredths),
                "most": hundredths(line.most),
            })
        })
        .collect();
    json!({
        "unit": on.tree.code(score.unit),
        "unit_name": info.map(|info| info.name.as_str()),
        "rank": score.rank,
        "points": score.percent.map(|_| hundredths(score.points)),
        "most": score.percent.map(|_| hundredths(score.most)),
        "percent": score.percent.map(hundredths),
        "grade": score.grade,
        "lines": lines,
    })
}

/// A number of hundredths as a decimal, without zeros at its end.
fn hundredths(number: u64) -> String {
    match (number / 100, number % 100) {
        (whole, 0) => whole.to_string(),
        (whole, part) if part % 10 == 0 => format!("{whole}.{}", part / 10),
        (whole, part) => format!("{whole}.{part:02}"),
    }
}
