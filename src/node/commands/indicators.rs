//! Indicators and their values: what was reported, what it comes to, and whether the target is reached.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use nqsync_core::calendar::Period;
use nqsync_core::model::values::{Aggregation, Figures, IndicatorDefinition, OverTime, Target};
use nqsync_core::model::{Facts, Kind, Tree, UnitId};
use nqsync_core::rollup::{
    Decimal, FigureFacts, IndicatorTotal, RemarkKind, aggregate, remark_figures,
};
use nqsync_core::sync::{Record, scope};
use rusqlite::Connection;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fields::to_json;
use super::shared::{self, needed, saved, time};
use super::views::View;
use super::{Reading, Said, Writing};
use crate::api::Command;
use crate::node::rollups::{self, Before};
use crate::node::{Refusal, write};
use crate::sheet::parse_number;
use crate::store::{StoreError, Stored, records};

/// Digits after the point of a computed percent.
const PLACES: u32 = 4;
const COMPARATORS: [&str; 5] = [">=", "<=", "=", ">", "<"];

struct Indicator {
    stored: Stored,
    definition: IndicatorDefinition,
    target: Option<Target>,
    units: Vec<UnitId>,
}

fn read(stored: Stored) -> Option<Indicator> {
    let definition = typed(&stored.record, "definition")?;
    Some(Indicator {
        definition,
        target: typed(&stored.record, "target"),
        units: scope::assigned(&stored.record),
        stored,
    })
}

fn typed<T: DeserializeOwned>(record: &Record, register: &str) -> Option<T> {
    serde_json::from_value(record.shown(register)?).ok()
}

fn all(connection: &Connection) -> Result<Vec<Indicator>, Refusal> {
    let mut found: Vec<Indicator> = records::of_kind(connection, Kind::Indicator)?
        .into_iter()
        .filter(|stored| !stored.record.is_deleted())
        .filter_map(read)
        .collect();
    found.sort_by(|a, b| a.definition.code.cmp(&b.definition.code));
    Ok(found)
}

/// Indicators with the values of a period: those assigned to, or reported by, the units at and below one.
pub fn list(on: &Reading<'_>, period: Option<&str>, unit: Option<&str>) -> Result<Said, Refusal> {
    let period = shared::period(on.node, period)?;
    let before = Before::of(on.connection, &period.to_string(), None)?;
    let among = match unit {
        Some(text) => Some(super::resolve(&on.tree, text, on.home)?),
        None => None,
    };
    let wanted = |unit: UnitId| among.is_none_or(|above| on.tree.is_within(unit, above));
    let mut items = Vec::new();
    for indicator in all(on.connection)? {
        if among.is_some() && !indicator.units.iter().any(|unit| wanted(*unit)) {
            continue;
        }
        items.push(item(on, &indicator, &period, &before, &wanted)?);
    }
    Ok(Said::done(
        json!({ "period": period, "total": items.len(), "items": items }),
    ))
}

/// A value that is counted in a period.
struct Counted {
    unit: UnitId,
    period: Period,
    figures: Figures,
    record: Record,
}

/// The values of an indicator that are counted in a period, and how many others came after its closing.
fn counted(
    connection: &Connection,
    indicator: &Indicator,
    period: &Period,
    before: &Before,
    wanted: &dyn Fn(UnitId) -> bool,
) -> Result<(Vec<Counted>, usize), StoreError> {
    let (mut values, mut late) = (Vec::new(), 0);
    let id = indicator.stored.record.key().id;
    for stored in records::about(connection, Kind::Figure, id)? {
        let Facts::Figure {
            unit, period: of, ..
        } = stored.record.facts()
        else {
            continue;
        };
        let Ok(of) = of.parse::<Period>() else {
            continue;
        };
        let counts = match indicator.definition.over_time {
            OverTime::Cumulative => of.end() <= period.end(),
            OverTime::Discrete => period.contains(&of),
        };
        if !counts || !wanted(*unit) {
            continue;
        }
        let counted = before.counted(&stored.record);
        let changed = counted.is_none_or(|r| r.digest() != stored.digest);
        late += usize::from(changed);
        let Some(record) = counted else { continue };
        if let Some(figures) = typed(record, "figures") {
            values.push(Counted {
                unit: *unit,
                period: of,
                figures,
                record: record.clone(),
            });
        }
    }
    Ok((values, late))
}

fn total(
    tree: &Tree,
    indicator: &Indicator,
    values: &[Counted],
    wanted: &dyn Fn(UnitId) -> bool,
) -> Result<IndicatorTotal, Refusal> {
    let figures: Vec<FigureFacts> = values
        .iter()
        .map(|value| FigureFacts {
            unit: value.unit,
            period: rollups::span_of(&value.period),
            figures: value.figures.clone(),
        })
        .collect();
    let assigned = indicator.units.iter().copied();
    let expected: Vec<UnitId> = assigned.filter(|unit| wanted(*unit)).collect();
    let code = indicator.definition.code.clone();
    aggregate(&indicator.definition, &figures, &expected, tree)
        .map_err(|_| Refusal::usage("indicator-overflow", [("code", code)]))
}

/// Of every indicator with a target, each unit it is expected of, and whether that unit reached it: by its own figures of the
/// period. What was not reported is not reached.
pub(super) fn reached_by_units(
    view: &View<'_>,
    period: &Period,
    before: &Before,
) -> Result<Vec<(UnitId, bool)>, Refusal> {
    let mut found = Vec::new();
    for indicator in all(view.connection)? {
        let Some(target) = &indicator.target else {
            continue;
        };
        let (values, _) = counted(view.connection, &indicator, period, before, &|_| true)?;
        let mut of_unit: BTreeMap<UnitId, Vec<Counted>> = BTreeMap::new();
        for value in values {
            of_unit.entry(value.unit).or_default().push(value);
        }
        for unit in &indicator.units {
            let own = of_unit.remove(unit).unwrap_or_default();
            let total = total(view.tree, &indicator, &own, &|of| of == *unit)?;
            let value = total.value.as_deref();
            let is_reached = value.and_then(|value| reached(Some(target), value));
            found.push((*unit, is_reached == Some(true)));
        }
    }
    Ok(found)
}

/// The totals of a period by indicator, each with its code.
pub(super) fn totals(
    view: &View<'_>,
    period: &Period,
    before: &Before,
) -> Result<BTreeMap<Uuid, (String, IndicatorTotal)>, Refusal> {
    let mut totals = BTreeMap::new();
    for indicator in all(view.connection)? {
        let (values, _) = counted(view.connection, &indicator, period, before, &|_| true)?;
        // One without a total has no number that could move.
        if let Ok(total) = total(view.tree, &indicator, &values, &|_| true) {
            let id = indicator.stored.record.key().id;
            totals.insert(id, (indicator.definition.code, total));
        }
    }
    Ok(totals)
}

fn item(
    on: &Reading<'_>,
    indicator: &Indicator,
    period: &Period,
    before: &Before,
    wanted: &dyn Fn(UnitId) -> bool,
) -> Result<Value, Refusal> {
    let definition = &indicator.definition;
    let (counted, late) = counted(on.connection, indicator, period, before, wanted)?;
    let values: Vec<Value> = counted
        .iter()
        .map(|one| {
            value(
                on,
                indicator,
                one.unit,
                &one.period,
                &one.figures,
                &one.record,
            )
        })
        .collect();
    let total = total(&on.tree, indicator, &counted, wanted)?;
    let reached = total
        .value
        .as_deref()
        .and_then(|value| reached(indicator.target.as_ref(), value));
    let record = &indicator.stored.record;
    Ok(json!({
        "id": record.key().id,
        "code": definition.code,
        "name": definition.name,
        "measure": definition.measure,
        "definer": record.facts().owner().map(|unit| on.tree.code(unit)),
        "over_time": definition.over_time,
        "aggregation": definition.aggregation,
        "target": indicator.target,
        "period": period,
        "units": indicator.units.iter().map(|unit| on.tree.code(*unit)).collect::<Vec<_>>(),
        "values": values,
        "late": late,
        "total": to_json(&total)?,
        "reached": reached,
    }))
}

fn value(
    on: &Reading<'_>,
    indicator: &Indicator,
    unit: UnitId,
    period: &Period,
    figures: &Figures,
    record: &Record,
) -> Value {
    let ratio = ratio(figures);
    let measured = match indicator.definition.aggregation {
        Aggregation::RatioOfSums => ratio.clone().or_else(|| figures.value.clone()),
        _ => figures.value.clone().or_else(|| ratio.clone()),
    };
    let reached = measured
        .as_deref()
        .and_then(|value| reached(indicator.target.as_ref(), value));
    json!({
        "id": record.key().id,
        "unit": on.tree.code(unit),
        "period": period,
        "value": figures.value,
        "numerator": figures.numerator,
        "denominator": figures.denominator,
        "ratio": ratio,
        "reached": reached,
        "remarks": remark_figures(figures),
        "conflict": !record.conflicts().is_empty(),
        "token": record.token().to_string(),
        "at": record.greatest_stamp().map(|stamp| time(stamp.millis())),
    })
}

/// The percent computed from part and whole.
fn ratio(figures: &Figures) -> Option<String> {
    let part: Decimal = figures.numerator.as_deref()?.parse().ok()?;
    let whole: Decimal = figures.denominator.as_deref()?.parse().ok()?;
    let (_, rounded) = part
        .checked_mul(Decimal::from(100))?
        .checked_div(whole, PLACES)?;
    Some(rounded.to_string())
}

fn reached(target: Option<&Target>, value: &str) -> Option<bool> {
    let target = target?;
    let (value, goal): (Decimal, Decimal) = (value.parse().ok()?, target.value.parse().ok()?);
    let order = value.checked_cmp(goal)?;
    Some(match target.comparator.as_str() {
        ">=" => order != Ordering::Less,
        "<=" => order != Ordering::Greater,
        "=" => order == Ordering::Equal,
        ">" => order == Ordering::Greater,
        "<" => order == Ordering::Less,
        _ => return None,
    })
}

/// A new indicator for units below.
pub fn define(on: &mut Writing<'_, '_>, command: &Command) -> Result<Said, Refusal> {
    let Command::IndicatorDefine {
        code,
        name,
        measure,
        over_time,
        aggregation,
        comparator,
        target,
        units,
    } = command
    else {
        return Err(super::unknown_verb(on.request));
    };
    let acting = on.acting(None)?;
    let definition = IndicatorDefinition {
        code: needed("indicator-needs-code", Some(code))?,
        name: needed("indicator-needs-name", Some(name))?,
        measure: measure.clone().unwrap_or_default(),
        over_time: choice("over_time", over_time, "cumulative, discrete")?,
        aggregation: choice(
            "aggregation",
            aggregation,
            "sum, ratio_of_sums, latest, min, max, weighted_mean",
        )?,
    };
    let tree = on.tx.tree();
    let assigned = shared::units(&tree, units, acting.unit)?;
    if assigned.is_empty() {
        return Err(Refusal::usage("indicator-needs-units", []));
    }
    if let Some(outside) = assigned
        .iter()
        .find(|unit| !tree.is_within(**unit, acting.unit))
    {
        let home = ("home", tree.code(acting.unit));
        return Err(Refusal::usage(
            "unit-not-below",
            [("unit", tree.code(*outside)), home],
        ));
    }
    let taken = all(on.tx.connection())?.into_iter().any(|other| {
        other.definition.code == definition.code
            && other.stored.record.facts().owner() == Some(acting.unit)
    });
    if taken {
        return Err(Refusal::usage(
            "indicator-exists",
            [("code", definition.code)],
        ));
    }
    let mut values = BTreeMap::from([
        ("definition".to_owned(), to_json(&definition)?),
        ("assigned".to_owned(), json!({ "units": assigned })),
    ]);
    if let Some(target) = read_target(comparator.as_deref(), target.as_deref())? {
        values.insert("target".to_owned(), to_json(&target)?);
    }
    let facts = Facts::Indicator {
        definer: acting.unit,
    };
    let written = write::create(on.tx, &acting, facts, values, None)?;
    saved(on, &written, None)?;
    let id = written.record.key().id;
    let data = json!({ "id": id, "code": definition.code, "units": assigned.len() });
    Ok(Said::done(data).note("note-indicator-defined", [("code", definition.code)]))
}

fn choice<T: DeserializeOwned>(
    field: &'static str,
    typed: &str,
    allowed: &'static str,
) -> Result<T, Refusal> {
    let name = typed.trim().to_ascii_lowercase().replace('-', "_");
    serde_json::from_value(Value::String(name)).map_err(|_| {
        Refusal::usage(
            "bad-choice",
            [
                ("field", field.to_owned()),
                ("found", typed.to_owned()),
                ("allowed", allowed.to_owned()),
            ],
        )
    })
}

fn read_target(comparator: Option<&str>, value: Option<&str>) -> Result<Option<Target>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    let comparator = match comparator.map(str::trim) {
        None | Some("≥") => ">=",
        Some("≤") => "<=",
        Some(typed) => COMPARATORS
            .into_iter()
            .find(|known| *known == typed)
            .ok_or_else(|| {
                Refusal::usage(
                    "bad-choice",
                    [
                        ("field", "comparator".to_owned()),
                        ("found", typed.to_owned()),
                        ("allowed", COMPARATORS.join(" ")),
                    ],
                )
            })?,
    };
    Ok(Some(Target {
        comparator: comparator.to_owned(),
        value: number("target", value)?,
    }))
}

/// A number as people write it, to plain decimal text that can be counted with.
fn number(field: &'static str, typed: &str) -> Result<String, Refusal> {
    let bad = || {
        Refusal::usage(
            "bad-number",
            [("field", field.to_owned()), ("found", typed.to_owned())],
        )
    };
    let plain = parse_number(typed).map_err(|_| bad())?;
    plain.parse::<Decimal>().map_err(|_| bad())?;
    Ok(plain)
}

/// A unit's value in a period. Fields that are not named stay as they are.
pub fn set(on: &mut Writing<'_, '_>, command: &Command) -> Result<Said, Refusal> {
    let Command::IndicatorSet {
        indicator,
        unit,
        period,
        value,
        numerator,
        denominator,
        token,
    } = command
    else {
        return Err(super::unknown_verb(on.request));
    };
    let (tree, home) = (on.tx.tree(), on.tx.unit()?);
    let wanted = unit
        .as_deref()
        .map(|text| super::resolve(&tree, text, home))
        .transpose()?;
    let acting = on.acting(wanted.filter(|unit| on.tx.serves(*unit)))?;
    let unit = wanted.unwrap_or(acting.unit);
    let period = shared::period(on.node, period.as_deref())?;
    let found = find(on.tx.connection(), indicator)?;
    let code = found.definition.code.clone();
    let continued = |assigned: &UnitId| {
        let mut successors = tree.successors(*assigned).into_iter();
        successors.any(|(successor, _)| successor == unit)
    };
    if !found.units.contains(&unit) && !found.units.iter().any(continued) {
        return Err(Refusal::usage(
            "indicator-not-assigned",
            [("code", code), ("unit", tree.code(unit))],
        ));
    }
    if super::periods::is_locked(&on.view(&tree)?, unit, &period.to_string())? {
        return Err(Refusal::usage(
            "indicator-period-closed",
            [
                ("code", code),
                ("unit", tree.code(unit)),
                ("period", period.to_string()),
            ],
        ));
    }
    let Some(definer) = found.stored.record.facts().owner() else {
        return Err(Refusal::usage(
            "no-such-indicator",
            [("indicator", indicator.clone())],
        ));
    };
    let facts = Facts::Figure {
        unit,
        definer,
        indicator: found.stored.record.key().id,
        period: period.to_string(),
    };
    let before = facts
        .natural_id()
        .map(|id| on.tx.load(id))
        .transpose()?
        .flatten();
    let mut figures: Figures = before
        .as_ref()
        .and_then(|stored| typed(&stored.record, "figures"))
        .unwrap_or_default();
    let parts = [
        ("value", value, &mut figures.value),
        ("numerator", numerator, &mut figures.numerator),
        ("denominator", denominator, &mut figures.denominator),
    ];
    for (field, typed, place) in parts {
        if let Some(typed) = typed {
            *place = Some(number(field, typed)?);
        }
    }
    let remarks = check(&figures)?;
    let token = super::token(token.as_deref())?;
    let values = [("figures".to_owned(), to_json(&figures)?)].into();
    let written = write::create(on.tx, &acting, facts, values, token.as_ref())?;
    saved(on, &written, before.as_ref().map(|stored| &stored.record))?;
    let conflict = !written.record.conflicts().is_empty();
    let data = json!({
        "id": written.record.key().id,
        "code": code,
        "unit": tree.code(unit),
        "period": period,
        "value": figures.value,
        "numerator": figures.numerator,
        "denominator": figures.denominator,
        "ratio": ratio(&figures),
        "remarks": remarks,
        "conflict": conflict,
        "token": written.record.token().to_string(),
    });
    let mut said = Said::done(data);
    for remark in remarks {
        said = match remark {
            RemarkKind::NumeratorAboveDenominator => said.note("note-figure-above-whole", []),
            RemarkKind::CutOff { computed } | RemarkKind::Differs { computed } => {
                said.note("note-figure-differs", [("computed", computed)])
            }
            _ => said,
        };
    }
    Ok(said)
}

/// What binds where a person writes: something is stated, part and whole come together, and the whole is not 0.
fn check(figures: &Figures) -> Result<Vec<RemarkKind>, Refusal> {
    if figures.numerator.is_some() != figures.denominator.is_some() {
        return Err(Refusal::usage("figures-incomplete", []));
    }
    if figures.value.is_none() && figures.numerator.is_none() {
        return Err(Refusal::usage("figures-empty", []));
    }
    let remarks = remark_figures(figures);
    if remarks.contains(&RemarkKind::ZeroDenominator) {
        return Err(Refusal::usage("zero-denominator", []));
    }
    Ok(remarks)
}

/// An indicator by its code, its id, or a unique beginning of that.
fn find(connection: &Connection, wanted: &str) -> Result<Indicator, Refusal> {
    let mut by_code = all(connection)?;
    by_code.retain(|indicator| indicator.definition.code == wanted.trim());
    match by_code.len() {
        1 => return Ok(by_code.swap_remove(0)),
        0 => {}
        _ => return Err(Refusal::usage("ambiguous-id", [("id", wanted.to_owned())])),
    }
    let found = shared::by_id(connection, Kind::Indicator, wanted)?.and_then(read);
    found.ok_or_else(|| Refusal::usage("no-such-indicator", [("indicator", wanted.to_owned())]))
}
