//! Rows of a table of progress to report drafts; submitting them stays a person's act.

use nqsync_core::model::UnitId;
use serde_json::{Value, json};

use super::{Plan, Row, Step, differing};
use crate::api::ReportFields;
use crate::node::Refusal;
use crate::node::commands::refs::{self, Named, Tasks};
use crate::node::commands::reports::{check_open, values_of};
use crate::node::commands::views::View;
use crate::node::commands::{Values, resolve};
use crate::sheet::NumberStyle;
use crate::sheet::records::{Records, ReportRow};
use crate::store::{Stored, records};

pub(super) fn plan(
    view: &View<'_>,
    acting: UnitId,
    asked: bool,
    table: Records<ReportRow>,
) -> Result<Plan, Refusal> {
    let mut plan = Plan::begin(view, &table.remarks);
    let tasks = Tasks::load(view)?;
    for row in &table.rows {
        match plan_row(view, &tasks, (acting, asked), row) {
            Ok(planned) => plan.rows.push(planned),
            Err(refusal) => plan.refuse(view, row.row, &row.task, &refusal),
        }
    }
    Ok(plan)
}

fn plan_row(
    view: &View<'_>,
    tasks: &Tasks,
    (acting, asked): (UnitId, bool),
    row: &ReportRow,
) -> Result<Row, Refusal> {
    let unit = match row.unit.as_str() {
        "" => acting,
        text => resolve(view.tree, text, acting)?,
    };
    if asked && unit != acting {
        let args = [
            ("kind", "report".to_owned()),
            ("owner", view.tree.code(unit)),
            ("unit", view.tree.code(acting)),
        ];
        return Err(Refusal::usage("not-owner", args));
    }
    if !asked && !view.serves(unit) {
        return Err(Refusal::usage(
            "needs-for",
            [("unit", view.tree.code(unit))],
        ));
    }
    let named = named(view, tasks, row, unit)?;
    check_open(view, &named)?;
    let values = values(row, named.report.as_ref())?;
    let period = named.period;
    let step = match (&named.report, values.is_empty()) {
        (Some(stored), true) => Step::Keep(Some(stored.record.key().id)),
        (None, true) => return Err(Refusal::usage("nothing-given", [])),
        _ => Step::Report(Box::new(named), values),
    };
    let item = json!({
        "row": row.row,
        "task": row.task,
        "unit": view.tree.code(unit),
        "period": period,
        "action": step.action(),
    });
    Ok(Row {
        item,
        step,
        memory: None,
    })
}

fn named(view: &View<'_>, tasks: &Tasks, row: &ReportRow, unit: UnitId) -> Result<Named, Refusal> {
    let period = match row.period {
        Some(period) => period,
        None => refs::period(view, None)?,
    };
    let mut named = Named {
        task: task_of(view, tasks, row, unit)?,
        unit,
        period,
        report: None,
    };
    if let Some(id) = named.facts().natural_id() {
        named.report = records::load(view.connection, id)?;
    }
    Ok(named)
}

/// The task by id or `GROUP/NUMBER`, else by its number alone among those given to the unit.
fn task_of(
    view: &View<'_>,
    tasks: &Tasks,
    row: &ReportRow,
    unit: UnitId,
) -> Result<Stored, Refusal> {
    let mut numbered = tasks.given_to(view, unit, &row.task)?;
    match (numbered.pop(), numbered.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => tasks.task(view, &row.task),
    }
}

/// The registers that the row's filled cells change. An empty cell says nothing.
fn values(row: &ReportRow, stored: Option<&Stored>) -> Result<Values, Refusal> {
    let text = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
    let fields = ReportFields {
        status: row.status.clone(),
        percent: row.percent.clone(),
        result: text(&row.result),
        difficulties: text(&row.difficulties),
        next_steps: text(&row.next_steps),
        numerator: row.numerator.clone(),
        denominator: row.denominator.clone(),
        value: None,
    };
    let (mut values, _) = values_of(&fields, stored.map(|s| &s.record), NumberStyle::Plain)?;
    values.retain(|_, value| *value != Value::Null);
    Ok(match stored {
        Some(stored) => differing(stored, &Values::new(), values),
        None => values,
    })
}
