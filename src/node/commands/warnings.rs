//! Red warnings: looking at them, and saying why one needs no attention.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use nqsync_core::model::UnitId;
use nqsync_core::rollup::WarningKind;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::refs::title;
use super::shared::{self, time};
use super::views::{View, listed};
use super::{Reading, Said, Writing, resolve};
use crate::api::Command;
use crate::node::Refusal;
use crate::node::rollups::{self, Before, Inputs};
use crate::store::warnings::{self, Raised, Silence};
use crate::store::{StoreError, audit, records};

/// Longest silence: whoever means longer looks again after a year.
const MOST_DAYS: i32 = 366;

/// `warning list`: those that stand, the silenced ones marked; with `all` also those that stand no longer.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let Command::WarningList {
        unit,
        kind,
        all,
        offset,
        limit,
    } = &on.request.command
    else {
        return Err(super::unknown_verb(on.request));
    };
    let view = on.view();
    let under = unit
        .as_deref()
        .map(|text| resolve(&on.tree, text, on.home))
        .transpose()?;
    let kind = kind.as_deref().map(kind_named).transpose()?;
    let found = match *all {
        true => warnings::all(on.connection)?,
        false => warnings::open(on.connection)?,
    };
    let meant = |raised: &Raised| {
        let unit = raised.warning.unit;
        under.is_none_or(|under| unit.is_some_and(|unit| on.tree.is_within(unit, under)))
            && kind.is_none_or(|kind| kind == raised.warning.kind)
    };
    let mut found: Vec<Raised> = found.into_iter().filter(meant).collect();
    let path = |unit: Option<UnitId>| unit.map(|unit| on.tree.path(unit)).unwrap_or_default();
    found.sort_by_cached_key(|raised| (path(raised.warning.unit), raised.number));
    let items: Vec<Value> = found
        .iter()
        .skip(*offset)
        .take(limit.unwrap_or(usize::MAX))
        .map(|raised| item(&view, raised))
        .collect::<Result<_, StoreError>>()?;
    let mut data = listed(items);
    data["total"] = json!(found.len());
    data["counts"] = counted(&found, view.today());
    let pending = warnings::any_marked(on.connection)?;
    data["pending"] = json!(pending);
    let said = Said::done(data);
    Ok(match pending {
        // The service looks at once; without it what was written since is not judged yet.
        true => said.note("note-warnings-pending", []),
        false => said,
    })
}

/// `warning show`: with where the work stands.
pub fn show(on: &Reading<'_>, number: u64) -> Result<Said, Refusal> {
    let view = on.view();
    let raised = get(on.connection, number)?;
    let mut data = item(&view, &raised)?;
    let task = records::load(on.connection, raised.warning.task)?;
    let inputs = Inputs::of_tasks(on.connection, &on.tree, task.as_slice(), &Before::default())?;
    let span = rollups::span_of(&on.node.current_period());
    let standings = inputs.standings(&span, view.today());
    let about = raised.warning.unit.map(|unit| (raised.warning.task, unit));
    if let Some((standing, _)) = about.and_then(|about| standings.get(&about)) {
        data["status"] = json!(standing.derived);
        data["as_of"] = json!(standing.as_of.map(time));
    }
    Ok(Said::done(data))
}

/// `warning silence`: all of them or none.
pub fn silence(
    on: &mut Writing<'_, '_>,
    numbers: &[u64],
    reason: &str,
    until: &str,
) -> Result<Said, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refusal::usage("reason-needed", []));
    }
    let tree = on.tx.tree();
    let today = on.view(&tree)?.today();
    let until = last_day(today, until)?;
    let person = on.request.person.clone();
    for number in numbers {
        let raised = get(on.tx.connection(), *number)?;
        if raised.cleared_at.is_some() {
            let args = [("warning", number.to_string())];
            return Err(Refusal::usage("warning-cleared", args));
        }
        let silence = Silence {
            at: on.now_ms,
            by: person.clone(),
            reason: reason.to_owned(),
            until,
        };
        warnings::silence(on.tx.connection(), raised.number, &silence)?;
        audit::append(
            on.tx,
            &audit::Act {
                at: on.now_ms,
                actor: &person,
                act: "warning.silenced",
                subject: &raised.warning.task.to_string(),
                detail: json!({ "warning": raised.number, "unit": raised.warning.unit, "kind": raised.warning.kind,
                    "reason": reason, "until": until }),
            },
        )?;
    }
    let view = on.view(&tree)?;
    let mut items = Vec::new();
    for number in numbers {
        items.push(item(&view, &get(view.connection, *number)?)?);
    }
    Ok(Said::done(listed(items)))
}

/// How many stand, silenced or not, by kind.
pub fn counts(on: &Reading<'_>) -> Result<Value, StoreError> {
    Ok(counted(&warnings::open(on.connection)?, on.view().today()))
}

fn counted(found: &[Raised], today: Date) -> Value {
    let open = found.iter().filter(|raised| raised.cleared_at.is_none());
    let mut by_kind: BTreeMap<&str, u32> = WarningKind::ALL.map(|kind| (kind.as_str(), 0)).into();
    let (mut loud, mut silenced) = (0, 0);
    for raised in open {
        match raised.is_silenced(today) {
            true => silenced += 1,
            false => {
                loud += 1;
                *by_kind.entry(raised.warning.kind.as_str()).or_default() += 1;
            }
        }
    }
    json!({ "open": loud, "silenced": silenced, "by_kind": by_kind })
}

fn kind_named(text: &str) -> Result<WarningKind, Refusal> {
    let known = WarningKind::ALL.into_iter();
    known
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| Refusal::usage("unknown-warning-kind", [("kind", text.to_owned())]))
}

fn last_day(today: Date, text: &str) -> Result<Date, Refusal> {
    let day = shared::day(text)?;
    let latest = today.saturating_add(MOST_DAYS.days());
    if !(today..=latest).contains(&day) {
        let args = [
            ("until", day.to_string()),
            ("first", today.to_string()),
            ("last", latest.to_string()),
        ];
        return Err(Refusal::usage("bad-until", args));
    }
    Ok(day)
}

fn get(connection: &Connection, number: u64) -> Result<Raised, Refusal> {
    let found = warnings::get(connection, i64::try_from(number).unwrap_or(i64::MAX))?;
    found.ok_or_else(|| Refusal::usage("no-such-warning", [("warning", number.to_string())]))
}

fn item(view: &View<'_>, raised: &Raised) -> Result<Value, StoreError> {
    let warning = &raised.warning;
    let task = records::load(view.connection, warning.task)?.map(|stored| stored.record);
    let issuer = task.as_ref().and_then(|task| task.facts().owner());
    let deadline = task.as_ref().and_then(|task| task.shown("deadline"));
    let info = warning.unit.and_then(|unit| view.tree.get(unit));
    let silence = raised.silence.as_ref();
    Ok(json!({
        "warning": raised.number,
        "kind": warning.kind,
        "task": warning.task,
        "task_title": task.as_ref().map(title),
        "issuer": issuer.map(|unit| view.tree.code(unit)),
        "unit": warning.unit.map(|unit| view.tree.code(unit)),
        "unit_name": info.map(|info| info.name.as_str()),
        "due": deadline.map(|value| value["due"].clone()),
        "raised_at": time(raised.raised_at),
        "cleared_at": raised.cleared_at.map(time),
        "silenced": raised.is_silenced(view.today()),
        "silenced_by": silence.map(|s| s.by.as_str()),
        "silenced_at": silence.map(|s| time(s.at)),
        "reason": silence.map(|s| s.reason.as_str()),
        "until": silence.map(|s| s.until),
    }))
}

#[cfg(test)]
mod tests;
