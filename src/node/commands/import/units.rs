//! Rows of a table of units to units, those above before those below.

use std::collections::HashMap;

use nqsync_core::model::values::OrgLevel;
use nqsync_core::model::{UnitId, UnitInfo, folded};
use serde_json::{Value, json};

use super::{Above, Plan, Row, Step};
use crate::node::Refusal;
use crate::node::commands::units::{below, check_free, check_level, checked_code, parse_level};
use crate::node::commands::views::View;
use crate::node::commands::{Values, resolve};
use crate::sheet::records::{Records, UnitRow};
use crate::store::records;

/// What an earlier row of the file is, for those below it.
#[derive(Clone, Copy)]
struct Placed {
    above: Above,
    level: OrgLevel,
}

pub(super) fn plan(
    view: &View<'_>,
    acting: UnitId,
    source: &str,
    table: Records<UnitRow>,
) -> Result<Plan, Refusal> {
    let mut plan = Plan::begin(view, &table.remarks);
    let codes: HashMap<String, usize> = table
        .rows
        .iter()
        .enumerate()
        .map(|(at, row)| (folded(&row.code), at))
        .collect();
    let mut placed: HashMap<usize, Placed> = HashMap::new();
    let mut waiting: Vec<usize> = (0..table.rows.len()).collect();
    loop {
        let mut later = Vec::new();
        // One level per round: rows whose unit above is of this round wait for the next one.
        let ready = placed.clone();
        let before = waiting.len();
        for at in waiting {
            let row = &table.rows[at];
            let parent = match codes
                .get(&folded(&row.parent))
                .filter(|p| !row.parent.is_empty() && **p != at)
            {
                Some(parent) => match ready.get(parent) {
                    Some(parent) => Ok(*parent),
                    None => {
                        later.push(at);
                        continue;
                    }
                },
                None => parent_of(view, acting, row),
            };
            match parent.and_then(|parent| place(view, source, row, parent)) {
                Ok((row, found)) => {
                    let index = plan.rows.len();
                    placed.insert(
                        at,
                        found.unwrap_or(Placed {
                            above: Above::Row(index),
                            level: level_in(&row),
                        }),
                    );
                    plan.rows.push(row);
                }
                Err(refusal) => plan.refuse(view, row.row, &row.code, &refusal),
            }
        }
        waiting = later;
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    for at in waiting {
        let row = &table.rows[at];
        let refusal = Refusal::usage("parent-refused", [("parent", row.parent.clone())]);
        plan.refuse(view, row.row, &row.code, &refusal);
    }
    Ok(plan)
}

fn level_in(row: &Row) -> OrgLevel {
    serde_json::from_value(row.item["level"].clone()).unwrap_or(OrgLevel::Department)
}

/// The unit above a row, among the units known here.
fn parent_of(view: &View<'_>, acting: UnitId, row: &UnitRow) -> Result<Placed, Refusal> {
    let unit = match row.parent.as_str() {
        "" => acting,
        text => resolve(view.tree, text, acting)?,
    };
    let level = view
        .tree
        .get(unit)
        .map_or(OrgLevel::Department, |info| info.level);
    Ok(Placed {
        above: Above::Known(unit),
        level,
    })
}

/// What becomes of a row. Answers also where it is in the tree, when it is there already.
fn place(
    view: &View<'_>,
    source: &str,
    row: &UnitRow,
    parent: Placed,
) -> Result<(Row, Option<Placed>), Refusal> {
    let code = checked_code(&row.code)?;
    let level = match row.level.as_str() {
        "" => None,
        text => Some(
            parse_level(text)
                .ok_or_else(|| Refusal::usage("bad-level", [("level", text.to_owned())]))?,
        ),
    };
    if let Some(info) = known(view, row, &code, parent, level) {
        let step = update(view, row, info)?;
        let item = item_of(row, info.level, step.action());
        let found = Placed {
            above: Above::Known(info.id),
            level: info.level,
        };
        return Ok((
            Row {
                item,
                step,
                memory: None,
            },
            Some(found),
        ));
    }
    let level = level.unwrap_or_else(|| below(parent.level));
    check_level(level, parent.level)?;
    if let Above::Known(unit) = parent.above {
        if !view.serves(unit) {
            return Err(Refusal::usage(
                "unit-elsewhere",
                [("unit", view.tree.code(unit))],
            ));
        }
        check_free(view.tree, &code, level, unit, None)?;
    } else {
        // Under a unit that is not born yet, no department of that code can be.
        check_free(view.tree, &code, level, UnitId(uuid::Uuid::nil()), None)?;
    }
    let mut aliases = row.aliases.clone();
    if !row.short_name.is_empty() && folded(&row.short_name) != folded(&row.name) {
        aliases.push(row.short_name.clone());
    }
    let mut values = Values::from([
        ("code".to_owned(), json!(code)),
        ("name".to_owned(), json!(row.name)),
        ("level".to_owned(), json!(level)),
    ]);
    if !aliases.is_empty() {
        values.insert("aliases".to_owned(), json!(aliases));
    }
    let item = item_of(row, level, "created");
    let memory = Some((code, source.as_bytes().to_vec()));
    Ok((
        Row {
            item,
            step: Step::Unit(parent.above, values),
            memory,
        },
        None,
    ))
}

/// The unit that the row means, when it is known: by its code, and for a department by the unit above as well.
fn known<'v>(
    view: &View<'v>,
    row: &UnitRow,
    code: &str,
    parent: Placed,
    level: Option<OrgLevel>,
) -> Option<&'v UnitInfo> {
    let under = |info: &UnitInfo| match parent.above {
        Above::Known(unit) => info.parent == Some(unit),
        Above::Row(_) => false,
    };
    let mut found = view.tree.with_code(code).filter(|info| {
        let fits = level.is_none_or(|level| level == info.level);
        fits && (under(info) || row.parent.is_empty())
    });
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        (first, _) => first.filter(|info| under(info)),
    }
}

/// Name and further aliases of a known unit, where this node writes it.
fn update(view: &View<'_>, row: &UnitRow, info: &UnitInfo) -> Result<Step, Refusal> {
    let keep = Ok(Step::Keep(Some(info.id.0)));
    let Some(stored) = records::load(view.connection, info.id.0)? else {
        return keep;
    };
    let mut values = Values::new();
    if row.name != info.name {
        values.insert("name".to_owned(), json!(row.name));
    }
    let mut aliases = info.aliases.clone();
    for alias in row
        .aliases
        .iter()
        .chain(Some(&row.short_name).filter(|name| !name.is_empty()))
    {
        let carried = aliases.iter().chain([&info.name, &row.name]);
        if !carried
            .into_iter()
            .any(|known| folded(known) == folded(alias))
        {
            aliases.push(alias.clone());
        }
    }
    if aliases != info.aliases {
        values.insert("aliases".to_owned(), json!(aliases));
    }
    if values.is_empty() {
        return keep;
    }
    if !view.serves(info.owner) {
        return Err(Refusal::usage(
            "unit-elsewhere",
            [("unit", view.tree.code(info.owner))],
        ));
    }
    Ok(Step::Update(Box::new(stored), values))
}

fn item_of(row: &UnitRow, level: OrgLevel, action: &str) -> Value {
    json!({
        "row": row.row,
        "code": row.code,
        "name": row.name,
        "level": level,
        "parent": row.parent,
        "action": action,
    })
}
