//! The reporting calendar: what is due, for whom, until when, and what of it came.
//!
//! Regimes come from the configuration; what is expected follows from the tasks held here, as in `period list`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use nqsync_core::calendar::{Came, Duty, Reminders, Term, around, terms};
use nqsync_core::model::UnitId;
use nqsync_core::period::State;
use serde_json::{Value, json};

use super::periods::{Tally, concerned, state_of, tallies_of};
use super::shared::{self, time};
use super::views::{View, listed};
use super::{Reading, Said, resolve};
use crate::node::Refusal;
use crate::store::StoreError;

/// Days shown before and after today where none are named.
const AROUND_DAYS: i32 = 31;
/// Longest stretch asked for at once: a year and what hangs over.
const MOST_DAYS: i32 = 400;
/// Units named by a reminder; all are counted.
const MOST_NAMED: usize = 200;

/// A deadline of which somebody is reminded, with those who owe something.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    /// The regime's code.
    pub regime: String,
    /// Its period and deadlines.
    pub term: Term,
    /// The reminder in force, in days from the last day.
    pub stage: i32,
    /// What was expected and came, and who owes something; without any time of day, so that the same is the same.
    pub facts: Value,
}

/// A regime's term with what is known of every unit.
struct Row<'v> {
    duty: &'v Duty,
    term: Term,
    units: Vec<(UnitId, Came)>,
}

/// `calendar show`.
pub fn show(
    on: &Reading<'_>,
    unit: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Said, Refusal> {
    let view = on.view();
    let (from, to) = stretch(view.today(), from, to)?;
    let under = unit
        .map(|text| resolve(&on.tree, text, on.home))
        .transpose()?;
    let mut due: Vec<(&Duty, Term)> = Vec::new();
    for duty in view.duties {
        let of_regime = terms(&duty.regime, from, to);
        due.extend(of_regime.into_iter().map(|term| (duty, term)));
    }
    due.sort_by_key(|(_, term)| term.due);
    let mut items = Vec::new();
    for row in rows(&view, due, under)? {
        items.push(item(&view, &row)?);
    }
    let mut data = listed(items);
    data["from"] = json!(from);
    data["to"] = json!(to);
    data["zone"] = json!(view.zone.iana_name());
    let said = Said::done(data);
    let unknown = unknown_units(&view);
    Ok(match unknown.is_empty() {
        true => said,
        false => said.note("note-calendar-unknown", [("units", unknown.join(", "))]),
    })
}

/// `calendar today`: what a person is reminded of, counted now, and the next deadline of every regime.
pub fn today(on: &Reading<'_>) -> Result<Said, Refusal> {
    let view = on.view();
    let today = view.today();
    let owed = owed(&view, &on.node.settings.reminders)?;
    let reminders: Vec<Value> = owed.iter().map(Owed::shown).collect();
    let mut coming = Vec::new();
    for duty in view.duties {
        if let (_, Some(term)) = around(&duty.regime, today) {
            coming.push(json!({
                "regime": duty.regime.name,
                "period": term.period,
                "due": term.due.to_string(),
                "last_day": term.last_day,
                "days_left": (term.last_day - today).get_days(),
            }));
        }
    }
    Ok(Said::done(json!({
        "date": today,
        "zone": view.zone.iana_name(),
        "reminders": reminders,
        "next": coming,
    })))
}

/// The deadlines of which people are reminded today. A period that was closed is nobody's debt any more.
pub fn owed(view: &View<'_>, reminders: &Reminders) -> Result<Vec<Owed>, StoreError> {
    let today = view.today();
    let mut stages = Vec::new();
    let mut due: Vec<(&Duty, Term)> = Vec::new();
    for duty in view.duties {
        let (before, next) = around(&duty.regime, today);
        for (term, is_over) in [(before, true), (next, false)] {
            let Some(term) = term else { continue };
            let stage = reminders.in_force(term.last_day, today);
            // Once the day is over, only a reminder for after it is in force.
            let Some(stage) = stage.filter(|stage| !is_over || *stage > 0) else {
                continue;
            };
            stages.push(stage);
            due.push((duty, term));
        }
    }
    let mut found = Vec::new();
    for (row, stage) in rows(view, due, None)?.into_iter().zip(stages) {
        let mut owing = Vec::new();
        for (unit, came) in row.units.iter().filter(|(_, came)| came.missing() > 0) {
            if state_of(view, *unit, row.term.period)?.0 != State::Locked {
                owing.push((*unit, *came));
            }
        }
        if owing.is_empty() {
            continue;
        }
        let named = owing.iter().take(MOST_NAMED);
        let named: Vec<Value> = named
            .map(|(unit, came)| {
                json!({ "unit": view.tree.code(*unit), "unit_name": name(view, *unit), "missing": came.missing() })
            })
            .collect();
        let mut facts = sums(&row);
        facts["units_owing"] = json!(owing.len());
        facts["owing"] = json!(named);
        found.push(Owed {
            regime: row.duty.regime.name.clone(),
            term: row.term,
            stage,
            facts,
        });
    }
    Ok(found)
}

impl Owed {
    /// As the answers show it.
    pub fn shown(&self) -> Value {
        let mut shown = self.facts.clone();
        shown["regime"] = json!(self.regime);
        shown["period"] = json!(self.term.period);
        shown["stage"] = json!(self.stage);
        shown["due"] = json!(self.term.due.to_string());
        shown["last_day"] = json!(self.term.last_day);
        shown
    }
}

/// From when to when, with the usual days around today where nothing is said.
fn stretch(today: Date, from: Option<&str>, to: Option<&str>) -> Result<(Date, Date), Refusal> {
    let day = |text: &str| {
        let bad = || Refusal::usage("bad-day", [("day", text.to_owned())]);
        let day = shared::day(text)?;
        // Periods lie in these years.
        (1901..=2998)
            .contains(&day.year())
            .then_some(day)
            .ok_or_else(bad)
    };
    let (from, to) = (from.map(day).transpose()?, to.map(day).transpose()?);
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from, to),
        (Some(from), None) => (from, from.saturating_add((2 * AROUND_DAYS).days())),
        (None, Some(to)) => (to.saturating_sub((2 * AROUND_DAYS).days()), to),
        (None, None) => (
            today.saturating_sub(AROUND_DAYS.days()),
            today.saturating_add(AROUND_DAYS.days()),
        ),
    };
    let length = (to - from).get_days();
    if !(0..=MOST_DAYS).contains(&length) {
        let args = [
            ("from", from.to_string()),
            ("to", to.to_string()),
            ("most", MOST_DAYS.to_string()),
        ];
        return Err(Refusal::usage("bad-stretch", args));
    }
    Ok((from, to))
}

fn rows<'v>(
    view: &'v View<'_>,
    due: Vec<(&'v Duty, Term)>,
    under: Option<UnitId>,
) -> Result<Vec<Row<'v>>, StoreError> {
    let periods: Vec<_> = due
        .iter()
        .map(|(_, term)| (term.period, Some(term.due)))
        .collect();
    let tallies = tallies_of(view, &periods)?;
    let near = concerned(view, under);
    Ok(due
        .into_iter()
        .zip(tallies)
        .map(|((duty, term), tallies)| Row {
            units: whose(view, duty, &near, &tallies),
            duty,
            term,
        })
        .collect())
}

/// The units near this node for which the regime is in force.
fn whose(
    view: &View<'_>,
    duty: &Duty,
    near: &[UnitId],
    tallies: &BTreeMap<UnitId, Tally>,
) -> Vec<(UnitId, Came)> {
    let named: Vec<UnitId> = duty
        .units
        .iter()
        .filter_map(|code| resolve(view.tree, code, view.home).ok())
        .collect();
    let holds = |unit: UnitId| {
        duty.units.is_empty() || named.iter().any(|above| view.tree.is_within(unit, *above))
    };
    let came = |unit: &UnitId| {
        let tally = tallies.get(unit);
        tally.map_or(Came::default(), |tally| Came {
            expected: tally.expected,
            received: tally.received,
            on_time: tally.on_time,
        })
    };
    let near = near.iter().filter(|unit| holds(**unit));
    near.map(|unit| (*unit, came(unit))).collect()
}

/// Codes in the configuration that no unit here has.
fn unknown_units(view: &View<'_>) -> Vec<String> {
    let mut unknown: Vec<String> = view
        .duties
        .iter()
        .flat_map(|duty| &duty.units)
        .filter(|code| resolve(view.tree, code, view.home).is_err())
        .cloned()
        .collect();
    unknown.dedup();
    unknown
}

fn item(view: &View<'_>, row: &Row<'_>) -> Result<Value, StoreError> {
    let now = Timestamp::from_millisecond(view.now_ms).unwrap_or(Timestamp::MAX);
    let due = row.term.due;
    let mut units = Vec::new();
    for (unit, came) in &row.units {
        let (state, submitted_at) = state_of(view, *unit, row.term.period)?;
        if came.expected == 0 && state == State::Open {
            continue;
        }
        units.push(json!({
            "unit": view.tree.code(*unit),
            "unit_name": name(view, *unit),
            "expected": came.expected,
            "received": came.received,
            "on_time": came.on_time,
            "late": came.late(),
            "missing": came.missing(),
            "state": came.judged(due, now),
            "period_state": state,
            "submitted_at": submitted_at.map(time),
        }));
    }
    let mut item = sums(row);
    item["regime"] = json!(row.duty.regime.name);
    item["period"] = json!(row.term.period);
    item["due"] = json!(due.to_string());
    item["last_day"] = json!(row.term.last_day);
    item["consolidation_due"] = json!(row.term.consolidation.map(|at| at.to_string()));
    item["state"] = json!(total(row).judged(due, now));
    item["units"] = json!(units);
    Ok(item)
}

fn total(row: &Row<'_>) -> Came {
    row.units
        .iter()
        .fold(Came::default(), |sum, (_, came)| Came {
            expected: sum.expected + came.expected,
            received: sum.received + came.received,
            on_time: sum.on_time + came.on_time,
        })
}

fn sums(row: &Row<'_>) -> Value {
    let total = total(row);
    let expected = row.units.iter().filter(|(_, came)| came.expected > 0);
    let complete = expected.clone().filter(|(_, came)| came.missing() == 0);
    let on_time = complete.clone().filter(|(_, came)| came.late() == 0);
    json!({
        "expected": total.expected,
        "received": total.received,
        "on_time": total.on_time,
        "late": total.late(),
        "missing": total.missing(),
        "units_expected": expected.count(),
        "units_complete": complete.count(),
        "units_on_time": on_time.count(),
    })
}

fn name(view: &View<'_>, unit: UnitId) -> Option<String> {
    view.tree.get(unit).map(|info| info.name.clone())
}

#[cfg(test)]
mod tests;
