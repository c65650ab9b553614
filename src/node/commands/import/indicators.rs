//! Rows of a table of indicators: definitions by the acting unit, and its own figures.

use nqsync_core::model::values::{Aggregation, Figures, IndicatorDefinition, OverTime, Target};
use nqsync_core::model::{Facts, Kind, UnitId, folded};
use serde_json::json;
use uuid::Uuid;

use super::{Plan, Row, Step, as_owner, differing};
use crate::node::Refusal;
use crate::node::commands::reports::figures_value;
use crate::node::commands::views::{View, maybe};
use crate::node::commands::{Values, Writing, refs};
use crate::node::write::Acting;
use crate::sheet::records::{IndicatorRow, Records};
use crate::store::{Stored, records};

/// What a row says of an indicator.
pub(super) struct Planned {
    known: Option<Stored>,
    definer: UnitId,
    definition: Values,
    figure: Option<Figure>,
}

struct Figure {
    unit: UnitId,
    period: String,
    known: bool,
    values: Values,
}

pub(super) fn plan(
    view: &View<'_>,
    acting: UnitId,
    table: Records<IndicatorRow>,
) -> Result<Plan, Refusal> {
    let mut plan = Plan::begin(view, &table.remarks);
    let held = records::of_kind(view.connection, Kind::Indicator)?;
    for row in &table.rows {
        let planned = plan_row(view, acting, &held, row)?;
        let empty = planned.definition.is_empty() && planned.figure.is_none();
        let step = match (&planned.known, empty) {
            (Some(stored), true) => Step::Keep(Some(stored.record.key().id)),
            _ => Step::Indicator(Box::new(planned)),
        };
        let item = json!({
            "row": row.row,
            "code": row.code,
            "name": row.name,
            "group": row.group,
            "action": step.action(),
        });
        plan.rows.push(Row {
            item,
            step,
            memory: None,
        });
    }
    Ok(plan)
}

fn plan_row(
    view: &View<'_>,
    acting: UnitId,
    held: &[Stored],
    row: &IndicatorRow,
) -> Result<Planned, Refusal> {
    let known = held.iter().find(|stored| is_same(stored, row)).cloned();
    let definer = known
        .as_ref()
        .and_then(|s| s.record.facts().owner())
        .unwrap_or(acting);
    let definition = match &known {
        // Somebody else's indicator is not redefined by whoever reports on it.
        Some(_) if definer != acting => Values::new(),
        Some(stored) => differing(stored, &Values::new(), definition(row, Some(stored))),
        None => definition(row, None),
    };
    let mut planned = Planned {
        known,
        definer,
        definition,
        figure: None,
    };
    let figures = figures_of(row);
    if figures != Figures::default() {
        let period = match row.period {
            Some(period) => period,
            None => refs::period(view, None)?,
        };
        planned.figure = figure(view, acting, &planned, period.to_string(), &figures)?;
    }
    Ok(planned)
}

/// The figure to be written; `None` when it says so already.
fn figure(
    view: &View<'_>,
    unit: UnitId,
    planned: &Planned,
    period: String,
    figures: &Figures,
) -> Result<Option<Figure>, Refusal> {
    let mut values = Values::from([("figures".to_owned(), figures_value(figures))]);
    let mut known = false;
    if let Some(stored) = &planned.known {
        let facts = facts_of(unit, planned.definer, stored.record.key().id, &period);
        let id = facts.natural_id().unwrap_or_default();
        if let Some(held) = records::load(view.connection, id)? {
            known = true;
            values = differing(&held, &Values::new(), values);
        }
    }
    Ok((!values.is_empty()).then_some(Figure {
        unit,
        period,
        known,
        values,
    }))
}

fn facts_of(unit: UnitId, definer: UnitId, indicator: Uuid, period: &str) -> Facts {
    Facts::Figure {
        unit,
        definer,
        indicator,
        period: period.to_owned(),
    }
}

/// By code where both have one, else by name.
fn is_same(stored: &Stored, row: &IndicatorRow) -> bool {
    let Some(known) = maybe::<IndicatorDefinition>(&stored.record, "definition") else {
        return false;
    };
    if known.code.is_empty() || row.code.is_empty() {
        return folded(&known.name) == folded(&row.name);
    }
    folded(&known.code) == folded(&row.code)
}

fn definition(row: &IndicatorRow, known: Option<&Stored>) -> Values {
    let is_ratio = row.denominator.is_some();
    let drafted = IndicatorDefinition {
        code: row.code.clone(),
        name: row.name.clone(),
        measure: row.unit.clone(),
        over_time: if row.kind == "discrete" {
            OverTime::Discrete
        } else {
            OverTime::Cumulative
        },
        aggregation: if is_ratio {
            Aggregation::RatioOfSums
        } else {
            Aggregation::Sum
        },
    };
    let shown = known.and_then(|stored| maybe::<IndicatorDefinition>(&stored.record, "definition"));
    let definition = match shown {
        // A table of figures says nothing about how an indicator adds up.
        Some(shown) => IndicatorDefinition {
            over_time: if row.kind.is_empty() {
                shown.over_time
            } else {
                drafted.over_time
            },
            aggregation: shown.aggregation,
            measure: if row.unit.is_empty() {
                shown.measure
            } else {
                drafted.measure
            },
            code: if row.code.is_empty() {
                shown.code
            } else {
                drafted.code
            },
            name: drafted.name,
        },
        None => drafted,
    };
    let mut values = Values::from([("definition".to_owned(), json!(definition))]);
    if let Some(value) = &row.target {
        let comparator = if row.comparator.is_empty() {
            ">="
        } else {
            &row.comparator
        };
        let target = Target {
            comparator: comparator.to_owned(),
            value: value.clone(),
        };
        values.insert("target".to_owned(), json!(target));
    }
    values
}

fn figures_of(row: &IndicatorRow) -> Figures {
    let is_ratio = row.denominator.is_some();
    Figures {
        value: if is_ratio {
            row.stated_percent.clone()
        } else {
            row.stated_percent.clone().or(row.numerator.clone())
        },
        numerator: row.numerator.clone().filter(|_| is_ratio),
        denominator: row.denominator.clone(),
    }
}

impl Planned {
    pub(super) fn action(&self) -> &'static str {
        let new_figure = self.figure.as_ref().is_some_and(|figure| !figure.known);
        if self.known.is_none() || (new_figure && self.definition.is_empty()) {
            "created"
        } else {
            "updated"
        }
    }

    /// Writes definition and figure; answers the indicator's id.
    pub(super) fn write(&self, on: &mut Writing<'_, '_>, acting: &Acting) -> Result<Uuid, Refusal> {
        let id = match &self.known {
            Some(stored) => {
                if !self.definition.is_empty() {
                    on.change(
                        &as_owner(acting, self.definer),
                        stored.clone(),
                        self.definition.clone(),
                        None,
                    )?;
                }
                stored.record.key().id
            }
            None => {
                let facts = Facts::Indicator {
                    definer: acting.unit,
                };
                on.begin(acting, facts, self.definition.clone())?
                    .stored
                    .record
                    .key()
                    .id
            }
        };
        if let Some(figure) = &self.figure {
            let facts = facts_of(figure.unit, self.definer, id, &figure.period);
            on.begin(&as_owner(acting, figure.unit), facts, figure.values.clone())?;
        }
        Ok(id)
    }
}
