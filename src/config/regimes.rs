//! Checking `[[reporting.regimes]]`: tables, not single values, so they have fields of their own.

use toml::Value;

use super::check::{Misfit, misfit};
use super::keys::{PERIOD_KINDS, nearest};
use super::model::{PeriodKind, Regime};
use super::problem::Fault;

/// What a regime looks like.
pub const EXPECTED: &str = "write tables with name, kind, due_day and, if wanted, due_in (last, next), due_time (HH:MM), consolidate_day";

const FIELDS: &[&str] = &[
    "name",
    "kind",
    "due_day",
    "due_in",
    "due_time",
    "consolidate_day",
];

/// The regimes as they were written, or the first that does not fit.
pub fn check(value: &Value, written: &str) -> Result<Value, Misfit> {
    let Value::Array(tables) = value else {
        return Err(misfit(
            Fault::WrongType,
            written,
            "is not a list of tables",
            EXPECTED,
        ));
    };
    for (i, table) in tables.iter().enumerate() {
        one(table).map_err(|m| Misfit {
            message: format!("in regime {}: {}", i + 1, m.message),
            ..m
        })?;
    }
    Ok(value.clone())
}

fn one(value: &Value) -> Result<(), Misfit> {
    let Value::Table(table) = value else {
        return Err(misfit(
            Fault::WrongType,
            value.to_string(),
            "is not a table",
            EXPECTED,
        ));
    };
    if let Some(unknown) = table.keys().find(|k| !FIELDS.contains(&k.as_str())) {
        let hint = match nearest(unknown, FIELDS.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => EXPECTED.to_owned(),
        };
        return Err(misfit(Fault::UnknownKey, unknown, "is not known", hint));
    }
    let regime: Regime = table.clone().try_into().map_err(|e: toml::de::Error| {
        misfit(Fault::WrongType, "", e.message().trim_end(), hint(table))
    })?;
    let days = if regime.kind == PeriodKind::Week {
        1..=7
    } else {
        1..=31
    };
    for day in [Some(regime.due_day), regime.consolidate_day]
        .into_iter()
        .flatten()
    {
        if !days.contains(&day) {
            let range = format!("allowed are {} to {}", days.start(), days.end());
            return Err(misfit(
                Fault::OutOfRange,
                day.to_string(),
                "is not a day there",
                range,
            ));
        }
    }
    Ok(())
}

fn hint(table: &toml::Table) -> String {
    match table.get("kind").and_then(Value::as_str) {
        Some(kind) if !PERIOD_KINDS.contains(&kind) => {
            format!("kinds are {}", PERIOD_KINDS.join(", "))
        }
        _ => EXPECTED.to_owned(),
    }
}
