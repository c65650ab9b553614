//! Restatements: what came after a closing is taken in by a person, with a reason, as a new version of the figures.
//!
//! Until then every closed figure stays as it was. A version names each number that moved, in the figures of this node's
//! own units and in those received from below; with the rollups it goes up, and the unit above sees it waiting there.

use std::collections::{BTreeMap, BTreeSet};

use nqsync_core::calendar::Period;
use nqsync_core::model::values::{self, Submission, VerdictValue};
use nqsync_core::model::{Facts, Kind, UnitId};
use nqsync_core::rollup::{GroupRollup, IndicatorTotal, Moved, compare, compare_totals};
use nqsync_core::sync::Record;
use serde_json::{Value, json};
use uuid::Uuid;

use super::views::{View, maybe, time};
use super::{indicators, refs};
use crate::node::Refusal;
use crate::node::rollups::{self, Before, Closed, span_of};
use crate::store::closings::{self, Late, Restatement};
use crate::store::{StoreError, Tx, groups, records};

/// The consolidated figures of a period at this node.
#[derive(Debug, Default)]
pub struct Figures {
    rollups: BTreeMap<(UnitId, String), GroupRollup>,
    totals: BTreeMap<Uuid, (String, IndicatorTotal)>,
}

/// A number that moved, and whose it is.
#[derive(Clone, Debug)]
struct Line {
    whose: Whose,
    moved: Moved,
}

#[derive(Clone, Debug)]
enum Whose {
    Group(UnitId, String),
    Indicator(String),
}

impl Figures {
    /// As they are in force.
    pub fn in_force(view: &View<'_>, period: &Period) -> Result<Figures, Refusal> {
        let before = Before::of(view.connection, &period.to_string(), None)?;
        let mut closed = Closed::default();
        Figures::collect(view, period, &before, |issuer, group| {
            let (span, today) = (span_of(period), view.today());
            let closed = closed.is(view.connection, view.tree, issuer, *period)?;
            let whose = (issuer, group);
            rollups::present(view.connection, view.tree, whose, &span, today, closed)
        })
    }

    /// As they would be after a restatement: counted anew, with what waits for one unit.
    pub fn restated(
        view: &View<'_>,
        period: &Period,
        unit: Option<UnitId>,
    ) -> Result<Figures, Refusal> {
        let before = Before::of(view.connection, &period.to_string(), unit)?;
        Figures::collect(view, period, &before, |issuer, group| {
            let (span, today) = (span_of(period), view.today());
            let whose = (issuer, group);
            rollups::count(view.connection, view.tree, whose, &span, today, &before)
        })
    }

    fn collect(
        view: &View<'_>,
        period: &Period,
        before: &Before,
        mut count: impl FnMut(UnitId, &str) -> Result<GroupRollup, StoreError>,
    ) -> Result<Figures, Refusal> {
        let name = period.to_string();
        let mut figures = Figures::default();
        for issuer in groups::issuers(view.connection)? {
            if !view.serves(issuer) {
                continue;
            }
            let mut names: BTreeSet<String> = groups::of_issuer(view.connection, issuer)?
                .into_iter()
                .collect();
            names.extend(rollups::groups_in(view.connection, issuer, &name)?);
            for group in names {
                let rollup = count(issuer, &group)?;
                if rollup.tasks.total > 0 || rollup.assignments.total > 0 {
                    figures.rollups.insert((issuer, group), rollup);
                }
            }
        }
        for stored in groups::rollups(view.connection, &name)? {
            if let Facts::Rollup { issuer, group, .. } = stored.record.facts()
                && !view.serves(*issuer)
                && let Some(counted) = before.counted(&stored.record)
                && let Ok(rollup) = rollups::read(counted)
            {
                figures.rollups.insert((*issuer, group.clone()), rollup);
            }
        }
        figures.totals = indicators::totals(view, period, before)?;
        Ok(figures)
    }

    /// Some number is not the same.
    pub fn differs(&self, other: &Figures) -> bool {
        !self.lines(other).is_empty()
    }

    fn lines(&self, new: &Figures) -> Vec<Line> {
        let mut lines = Vec::new();
        let keys: BTreeSet<_> = self.rollups.keys().chain(new.rollups.keys()).collect();
        for key in keys {
            let (old, new) = (self.rollups.get(key), new.rollups.get(key));
            let Some(any) = old.or(new) else { continue };
            let none = GroupRollup::empty(any.evaluated_on);
            let whose = || Whose::Group(key.0, key.1.clone());
            lines.extend(line(
                whose,
                compare(old.unwrap_or(&none), new.unwrap_or(&none)),
            ));
        }
        let keys: BTreeSet<_> = self.totals.keys().chain(new.totals.keys()).collect();
        let none = (String::new(), IndicatorTotal::default());
        for key in keys {
            let old = self.totals.get(key).unwrap_or(&none);
            let new = new.totals.get(key).unwrap_or(&none);
            let code = if new.0.is_empty() { &old.0 } else { &new.0 };
            let whose = || Whose::Indicator(code.clone());
            lines.extend(line(whose, compare_totals(&old.1, &new.1)));
        }
        lines
    }
}

fn line(whose: impl Fn() -> Whose, moved: Vec<Moved>) -> impl Iterator<Item = Line> {
    moved.into_iter().map(move |moved| Line {
        whose: whose(),
        moved,
    })
}

/// A number that moved, as it is kept: units by their ids, which stay when codes change.
fn kept(line: &Line) -> Value {
    let mut value = json!(line.moved);
    match &line.whose {
        Whose::Group(issuer, group) => {
            value["issuer"] = json!(issuer);
            value["group"] = json!(group);
        }
        Whose::Indicator(code) => value["indicator"] = json!(code),
    }
    value
}

/// The same as it is shown: units by their codes.
fn shown(view: &View<'_>, kept: &Value) -> Value {
    let mut value = kept.clone();
    for name in ["issuer", "unit"] {
        if let Ok(unit) = serde_json::from_value::<UnitId>(value[name].take()) {
            value[name] = json!(view.tree.code(unit));
        }
    }
    value
}

fn shown_all(view: &View<'_>, kept: &Value) -> Vec<Value> {
    let lines = kept.as_array().into_iter().flatten();
    lines.map(|line| shown(view, line)).collect()
}

/// What waits for a unit; notes of arrivals only say when something else came.
fn waiting(view: &View<'_>, period: &Period, unit: UnitId) -> Result<Vec<Late>, StoreError> {
    let mut waiting = closings::waiting(view.connection, &period.to_string())?;
    waiting.retain(|late| late.unit == unit && late.kind != Kind::Arrival);
    Ok(waiting)
}

/// What waits for a unit, for people.
pub fn late_items(view: &View<'_>, period: &Period, unit: UnitId) -> Result<Vec<Value>, Refusal> {
    let mut items = Vec::new();
    for late in waiting(view, period, unit)? {
        let Some(now) = records::load(view.connection, late.record)? else {
            continue;
        };
        let mut item = about(view, &now.record)?;
        item["id"] = json!(late.record);
        item["kind"] = json!(now.record.key().kind);
        item["arrived"] = time(late.at);
        item["from"] = late.before.as_ref().map_or(Value::Null, says);
        item["to"] = says(&now.record);
        items.push(item);
    }
    Ok(items)
}

/// Whose record it is, of which period, and about what.
fn about(view: &View<'_>, record: &Record) -> Result<Value, Refusal> {
    let task = |id: Uuid| -> Result<String, StoreError> {
        let task = records::load(view.connection, id)?;
        Ok(task
            .map(|task| refs::title(&task.record))
            .unwrap_or_default())
    };
    let item = |unit: UnitId, period: Option<&str>, title: String| json!({ "unit": view.tree.code(unit), "period": period, "title": title });
    Ok(match record.facts() {
        Facts::Report {
            unit,
            task: id,
            period,
            ..
        } => item(*unit, Some(period), task(*id)?),
        Facts::Verdict { unit, report, .. } => {
            let of = groups::about_and_period(view.connection, *report)?;
            let (id, period) = of.unwrap_or_default();
            item(*unit, period.as_deref(), task(id)?)
        }
        Facts::Figure {
            unit,
            indicator,
            period,
            ..
        } => {
            let definition = records::load(view.connection, *indicator)?;
            let definition = definition.and_then(|stored| stored.record.shown("definition"));
            let definition = definition.unwrap_or_default();
            let text = |name: &str| definition[name].as_str().unwrap_or_default().to_owned();
            item(
                *unit,
                Some(period),
                format!("{} {}", text("code"), text("name")),
            )
        }
        Facts::Rollup {
            issuer,
            period,
            group,
        } => item(*issuer, Some(period), group.clone()),
        _ => json!({}),
    })
}

/// What is counted of a record, in short.
fn says(record: &Record) -> Value {
    match record.facts() {
        Facts::Report { .. } => maybe::<Submission>(record, "submission").map_or(Value::Null, |s| {
            json!({ "status": s.progress.status, "percent": s.progress.percent, "submission": s.hash })
        }),
        Facts::Verdict { .. } => maybe::<VerdictValue>(record, "verdict").map_or(Value::Null, |v| {
            json!({ "accepted": v.accepted, "reason": v.reason })
        }),
        Facts::Figure { .. } => {
            let figures: Option<values::Figures> = maybe(record, "figures");
            figures.map_or(Value::Null, |f| {
                json!({ "value": f.value, "numerator": f.numerator, "denominator": f.denominator })
            })
        }
        Facts::Rollup { .. } => {
            let versions = rollups::versions(record);
            let latest = versions.last();
            json!({
                "version": latest.map_or(json!(1), |version| version["version"].clone()),
                "reason": latest.map(|version| &version["reason"]),
                "by": latest.map(|version| &version["by"]),
            })
        }
        _ => Value::Null,
    }
}

/// The versions that units at and below one told of their own figures, each once, with the numbers of all groups.
pub fn told_by(view: &View<'_>, period: &Period, unit: UnitId) -> Result<Vec<Value>, Refusal> {
    let name = period.to_string();
    let before = Before::of(view.connection, &name, None)?;
    let mut told: BTreeMap<(UnitId, u64), Value> = BTreeMap::new();
    for stored in groups::rollups(view.connection, &name)? {
        let Facts::Rollup { issuer, group, .. } = stored.record.facts() else {
            continue;
        };
        if view.serves(*issuer) || !view.tree.is_within(*issuer, unit) {
            continue;
        }
        let counted = before.counted(&stored.record).map(rollups::versions);
        for version in rollups::versions(&stored.record) {
            let number = version["version"].as_u64().unwrap_or_default();
            let taken = counted.as_ref().is_some_and(|known| {
                known
                    .iter()
                    .any(|known| known["version"] == version["version"])
            });
            let item = told.entry((*issuer, number)).or_insert_with(|| {
                json!({
                    "issuer": view.tree.code(*issuer),
                    "version": number,
                    "at": version["at"].as_i64().map(time),
                    "by": version["by"],
                    "reason": version["reason"],
                    "taken_in": true,
                    "moved": [],
                })
            });
            if !taken {
                item["taken_in"] = json!(false);
            }
            let moved = version["moved"].as_array().into_iter().flatten();
            let moved = moved.map(|line| {
                let mut line = shown(view, line);
                line["issuer"] = json!(view.tree.code(*issuer));
                line["group"] = json!(group);
                line
            });
            if let Some(lines) = item["moved"].as_array_mut() {
                lines.extend(moved);
            }
        }
    }
    Ok(told.into_values().collect())
}

/// This node's versions of a period, for people.
pub fn versions(view: &View<'_>, period: &Period) -> Result<Vec<Value>, Refusal> {
    let restatements = closings::restatements(view.connection, &period.to_string())?;
    Ok(restatements.iter().map(|r| version_item(view, r)).collect())
}

fn version_item(view: &View<'_>, restatement: &Restatement) -> Value {
    json!({
        "version": restatement.version,
        "unit": view.tree.code(restatement.unit),
        "at": time(restatement.at),
        "by": restatement.by,
        "reason": restatement.reason,
        "moved": shown_all(view, &restatement.moved),
    })
}

/// The numbers that a restatement would move now.
pub fn would_move(
    view: &View<'_>,
    period: &Period,
    unit: Option<UnitId>,
) -> Result<Vec<Value>, Refusal> {
    let old = Figures::in_force(view, period)?;
    let new = Figures::restated(view, period, unit)?;
    let lines = old.lines(&new);
    Ok(lines.iter().map(|line| shown(view, &kept(line))).collect())
}

/// For whose sake, who and why.
pub struct Why<'a> {
    /// Whose late changes.
    pub unit: UnitId,
    /// The person.
    pub by: &'a str,
    /// The reason.
    pub reason: &'a str,
    /// When, ms since 1970.
    pub at: i64,
}

/// Makes a new version of what moved from the old figures to the new ones, and writes the rollups counted here.
/// Answers the version and the numbers as they are kept.
pub fn issue(
    tx: &mut Tx<'_>,
    period: &Period,
    (old, new): (&Figures, &Figures),
    why: &Why<'_>,
) -> Result<(u32, Value), Refusal> {
    let name = period.to_string();
    let lines = old.lines(new);
    let moved: Value = lines.iter().map(kept).collect();
    let before = closings::version(tx.connection(), &name)?;
    let version = before + 1;
    let mut by_group: BTreeMap<(UnitId, String), Vec<Moved>> = BTreeMap::new();
    for line in lines {
        if let Whose::Group(issuer, group) = line.whose {
            by_group
                .entry((issuer, group))
                .or_default()
                .push(line.moved);
        }
    }
    for (key, moved) in by_group {
        let (issuer, group) = (key.0, key.1.as_str());
        let (was, is) = (old.rollups.get(&key), new.rollups.get(&key));
        closings::keep(tx.connection(), (&name, before), (issuer, group), was, true)?;
        let Some(any) = was.or(is).filter(|_| tx.serves(issuer)) else {
            continue;
        };
        let none = GroupRollup::empty(any.evaluated_on);
        let told = json!({
            "version": version,
            "unit": why.unit,
            "at": why.at,
            "by": why.by,
            "reason": why.reason,
            "moved": moved,
        });
        let span = span_of(period);
        rollups::put_restated(
            tx,
            (issuer, group),
            &span,
            is.unwrap_or(&none),
            told,
            why.at,
        )?;
    }
    let restatement = Restatement {
        version,
        unit: why.unit,
        at: why.at,
        by: why.by.to_owned(),
        reason: why.reason.to_owned(),
        moved: moved.clone(),
    };
    closings::restate(tx.connection(), &name, &restatement)?;
    Ok((version, moved))
}

/// Keeps the figures in force before a period is opened again, to be compared with when it is closed again.
pub fn keep_all(tx: &Tx<'_>, period: &Period, figures: &Figures) -> Result<(), StoreError> {
    let name = period.to_string();
    let version = closings::version(tx.connection(), &name)?;
    for ((issuer, group), rollup) in &figures.rollups {
        let key = (*issuer, group.as_str());
        closings::keep(tx.connection(), (&name, version), key, Some(rollup), false)?;
    }
    for (indicator, (code, total)) in &figures.totals {
        let kept = (code.as_str(), total);
        closings::keep_total(tx.connection(), (&name, version), *indicator, kept)?;
    }
    Ok(())
}

/// The figures as the version in force had them when the period was opened again.
pub fn kept_figures(tx: &Tx<'_>, period: &Period) -> Result<Figures, StoreError> {
    let name = period.to_string();
    let version = closings::version(tx.connection(), &name)?;
    let former = closings::former(tx.connection(), &name, version)?;
    let rollups = former.into_iter().filter_map(|(key, r)| Some((key, r?)));
    Ok(Figures {
        rollups: rollups.collect(),
        totals: closings::former_totals(tx.connection(), &name, version)?,
    })
}
