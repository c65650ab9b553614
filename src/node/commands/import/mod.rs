//! Tables from files, already read row by row, to records. A bad row costs itself and nothing else.
//!
//! Planning reads and decides, for a dry run as for the import itself; only then is anything written. A row is known
//! again by file and row key; of a row that changed only what the file changed is written, so that what people wrote
//! since stays.

mod indicators;
mod reports;
mod tasks;
mod units;

use std::collections::HashMap;

use nqsync_core::model::{Facts, UnitId};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::refs::Named;
use super::views::View;
use super::{Reading, Said, Values, Writing, sentence};
use crate::api::{Exit, ImportKind};
use crate::node::Refusal;
use crate::node::write::Acting;
use crate::sheet::{Remark, Severity};
use crate::store::{Stored, queries};

/// What an import would do, row by row.
#[derive(Default)]
struct Plan {
    /// Rows that were understood, in the order in which they are written.
    rows: Vec<Row>,
    /// What is remarkable, about rows and about the file.
    remarks: Vec<Value>,
    /// Where in `remarks` those of a row are.
    of_row: HashMap<u32, Vec<usize>>,
    /// Rows refused here or while the table was read.
    refused: usize,
}

/// One row.
struct Row {
    /// What the answer says of it.
    item: Value,
    /// What is to be done.
    step: Step,
    /// Row key and content to be remembered for the next import of the file.
    memory: Option<(String, Vec<u8>)>,
}

/// What is to be done with a row.
enum Step {
    /// The record is as the row says.
    Keep(Option<Uuid>),
    /// A new record of the acting unit.
    Create(Box<Facts>, Values),
    /// A new unit, under one that exists or is created by an earlier row.
    Unit(Above, Values),
    /// Registers of a record to be changed, for its owner.
    Update(Box<Stored>, Values),
    /// A report's draft.
    Report(Box<Named>, Values),
    /// An indicator with its definition, and a unit's figure of it.
    Indicator(Box<indicators::Planned>),
}

/// The unit above a new one.
#[derive(Clone, Copy)]
enum Above {
    Known(UnitId),
    Row(usize),
}

impl Step {
    fn action(&self) -> &'static str {
        match self {
            Step::Keep(_) => "unchanged",
            Step::Create(..) | Step::Unit(..) => "created",
            Step::Update(..) => "updated",
            Step::Report(named, _) if named.report.is_none() => "created",
            Step::Report(..) => "updated",
            Step::Indicator(planned) => planned.action(),
        }
    }
}

impl Plan {
    /// A plan that begins with what was remarked while the table was read.
    fn begin(view: &View<'_>, remarks: &[Remark]) -> Plan {
        let mut plan = Plan::default();
        for remark in remarks {
            let code = json!(remark.code);
            let message = remarked(view, code.as_str().unwrap_or_default(), &remark.found);
            plan.refused +=
                usize::from(remark.severity == Severity::Refused && remark.row.is_some());
            if let Some(row) = remark.row {
                let place = plan.remarks.len();
                plan.of_row.entry(row).or_default().push(place);
            }
            plan.remarks.push(json!({
                "row": remark.row,
                "column": remark.column,
                "code": code,
                "severity": remark.severity,
                "found": remark.found,
                "message": message,
            }));
        }
        plan
    }

    /// Sets a row aside with its reason.
    fn refuse(&mut self, view: &View<'_>, row: u32, found: &str, refusal: &Refusal) {
        self.refused += 1;
        self.remarks.push(json!({
            "row": row,
            "column": null,
            "code": refusal.code.replace('-', "_"),
            "severity": Severity::Refused,
            "found": found,
            "message": sentence(view.lang, &format!("err-{}", refusal.code), &refusal.args),
        }));
    }

    /// Remarks something about a row that is taken.
    fn note(&mut self, view: &View<'_>, row: u32, column: &str, code: &str, found: &str) {
        // Reading the table may have said it already, quoting no more than the beginning.
        let quotes = |r: &Value| {
            let quoted = r["found"].as_str().map(|text| text.trim_end_matches('…'));
            quoted.is_some_and(|quoted| !quoted.is_empty() && found.starts_with(quoted))
        };
        let places = self.of_row.entry(row).or_default();
        let mut said = places.iter().filter_map(|place| self.remarks.get(*place));
        if said.any(|remark| remark["code"] == json!(code) && quotes(remark)) {
            return;
        }
        places.push(self.remarks.len());
        self.remarks.push(json!({
            "row": row,
            "column": column,
            "code": code,
            "severity": Severity::Missing,
            "found": found,
            "message": remarked(view, code, found),
        }));
    }

    fn answer(mut self, kind: ImportKind, source: &str, dry_run: bool) -> Said {
        self.remarks
            .sort_by_key(|remark| remark["row"].as_u64().unwrap_or_default());
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for row in &self.rows {
            *counts.entry(row.step.action()).or_default() += 1;
        }
        let of = |action: &str| counts.get(action).copied().unwrap_or_default();
        let exit = match (self.rows.is_empty(), self.refused) {
            (true, _) => Exit::Usage,
            (false, 0) => Exit::Done,
            (false, _) => Exit::Partly,
        };
        let mut said = Said::done(json!({
            "source": source,
            "kind": kind,
            "rows": self.rows.len() + self.refused,
            "created": of("created"),
            "updated": of("updated"),
            "unchanged": of("unchanged"),
            "refused": self.refused,
            "dry_run": dry_run,
            "remarks": self.remarks,
            "items": self.rows.into_iter().map(|row| row.item).collect::<Vec<_>>(),
        }));
        said.exit = exit;
        said
    }
}

/// What a remark says to people.
fn remarked(view: &View<'_>, code: &str, found: &str) -> String {
    let key = ["word-remark-", &code.replace('_', "-")].concat();
    sentence(view.lang, &key, &[("found", found.to_owned())])
}

/// `import --dry-run`.
pub fn preview(
    on: &Reading<'_>,
    kind: ImportKind,
    source: &str,
    table: &Value,
) -> Result<Said, Refusal> {
    let asked = on.request.acting_for.is_some();
    let plan = plan(&on.view(), on.asking()?, asked, kind, source, table)?;
    Ok(plan.answer(kind, source, true))
}

/// `import`.
pub fn import(
    on: &mut Writing<'_, '_>,
    kind: ImportKind,
    source: &str,
    table: &Value,
) -> Result<Said, Refusal> {
    let acting = on.acting(None)?;
    let tree = on.tx.tree();
    let asked = on.request.acting_for.is_some();
    let mut plan = plan(&on.view(&tree)?, acting.unit, asked, kind, source, table)?;
    apply(on, &acting, source, &mut plan)?;
    if kind == ImportKind::Units {
        super::units::link(on)?;
    }
    Ok(plan.answer(kind, source, false))
}

/// Decides what each row becomes. `asked`: the acting unit was named with `--for`.
fn plan(
    view: &View<'_>,
    acting: UnitId,
    asked: bool,
    kind: ImportKind,
    source: &str,
    table: &Value,
) -> Result<Plan, Refusal> {
    match kind {
        ImportKind::Tasks => tasks::plan(view, acting, source, read(table)?),
        ImportKind::Units => units::plan(view, acting, source, read(table)?),
        ImportKind::Reports => reports::plan(view, acting, asked, read(table)?),
        ImportKind::Indicators => indicators::plan(view, acting, read(table)?),
    }
}

fn read<T: DeserializeOwned>(table: &Value) -> Result<T, Refusal> {
    T::deserialize(table)
        .map_err(|error| Refusal::usage("table-unreadable", [("detail", error.to_string())]))
}

fn apply(
    on: &mut Writing<'_, '_>,
    acting: &Acting,
    source: &str,
    plan: &mut Plan,
) -> Result<(), Refusal> {
    let mut units: Vec<Option<UnitId>> = vec![None; plan.rows.len()];
    let mut unsettled = Vec::new();
    for at in 0..plan.rows.len() {
        let row = &mut plan.rows[at];
        let id = match &row.step {
            Step::Keep(id) => *id,
            Step::Create(facts, values) => {
                let saved = on.begin(acting, (**facts).clone(), values.clone())?;
                Some(saved.stored.record.key().id)
            }
            Step::Update(stored, values) => {
                let owner = stored.record.facts().owner().unwrap_or(acting.unit);
                let saved = on.change(
                    &as_owner(acting, owner),
                    (**stored).clone(),
                    values.clone(),
                    None,
                )?;
                Some(saved.stored.record.key().id)
            }
            Step::Report(named, values) => {
                let acting = as_owner(acting, named.unit);
                let named = Named {
                    task: named.task.clone(),
                    unit: named.unit,
                    period: named.period,
                    report: named.report.clone(),
                };
                Some(
                    super::reports::write(on, &acting, named, values.clone(), None)?
                        .record
                        .key()
                        .id,
                )
            }
            Step::Unit(above, values) => {
                let parent = match above {
                    Above::Known(unit) => Some(*unit),
                    Above::Row(row) => units[*row],
                };
                let parent = parent.unwrap_or(acting.unit);
                // The tree is read anew once per level, not once per unit.
                if unsettled.contains(&parent) {
                    on.tx.settle_tree()?;
                    unsettled.clear();
                }
                let mut values = values.clone();
                values.insert("parent".to_owned(), json!([{ "unit": parent }]));
                let saved = on.begin(
                    &as_owner(acting, parent),
                    Facts::Unit { owner: parent },
                    values,
                )?;
                let id = saved.stored.record.key().id;
                unsettled.push(UnitId(id));
                units[at] = Some(UnitId(id));
                Some(id)
            }
            Step::Indicator(planned) => Some(planned.write(on, acting)?),
        };
        row.item["id"] = json!(id);
        if let (Some(id), Some((key, content))) = (id, &row.memory) {
            queries::set_import_row(on.tx.connection(), source, key, id, content)?;
        }
    }
    on.tx.settle_tree()?;
    Ok(())
}

/// The same person, for the owner of a record whose planning made sure that it is served here or was asked for.
fn as_owner(acting: &Acting, owner: UnitId) -> Acting {
    Acting {
        unit: owner,
        ..acting.clone()
    }
}

/// Those of the new values that the file changed and that are not shown already.
fn differing(stored: &Stored, before: &Values, after: Values) -> Values {
    let mut values = after;
    let conflicts = stored.record.conflicts();
    values.retain(|name, value| {
        before.get(name) != Some(value)
            && !conflicts.contains(&name.as_str())
            && stored.record.shown(name).unwrap_or_default() != *value
    });
    values
}

#[cfg(test)]
mod tests;
