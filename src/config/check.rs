//! Whether one value fits its key. Values from the file, the environment and flags meet here.

use std::collections::BTreeSet;

use nqsync_core::calendar::{Duty, EXPECTED_DUTY};
use toml::Value;

use super::hosts;
use super::keys::{Key, Kind};
use super::problem::Fault;
use super::units::{EXPECTED_SIZE, Size};

/// Why a value does not fit. The caller knows the place and the key.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    pub fault: Fault,
    pub found: String,
    pub message: String,
    pub expected: String,
}

pub fn misfit(
    fault: Fault,
    found: impl Into<String>,
    message: impl Into<String>,
    expected: impl Into<String>,
) -> Misfit {
    Misfit {
        fault,
        found: found.into(),
        message: message.into(),
        expected: expected.into(),
    }
}

/// The value in its one stored form (sizes in bytes), or why it does not fit. `written` is how it stands in the source.
pub fn check(key: &Key, value: &Value, written: &str) -> Result<Value, Misfit> {
    match key.kind {
        Kind::Unit => unit(value, written),
        Kind::Choice(allowed) => choice(value, written, allowed),
        Kind::Path => text(value, written, "a path in quotes").cloned(),
        Kind::Zone => zone(value, written),
        Kind::Whole { min, max } => whole(key, value, written, min, max),
        Kind::Seconds { min, max } => seconds(value, written, min, max),
        Kind::Size { min, max } => size(value, written, min, max),
        Kind::Url => hosts::url(value, written),
        Kind::Address => hosts::address(value, written),
        Kind::Names => hosts::names(value, written),
        Kind::Schedule => schedule(value, written),
        Kind::Regimes => regimes(value, written),
        Kind::Days => days(value, written),
        Kind::Words(allowed) => words(value, written, allowed),
    }
}

/// A value as it would be written in TOML, from the text of a variable or flag. Lists may be TOML, or parts divided
/// by `;` (a comma is part of many cron expressions).
pub fn value_of_text(key: &Key, text: &str) -> Result<Value, Misfit> {
    let is_toml = text.trim_start().starts_with('[');
    let value = match key.kind {
        Kind::Names | Kind::Schedule | Kind::Regimes | Kind::Days | Kind::Words(_) if is_toml => {
            parse_toml(text)?
        }
        Kind::Names | Kind::Words(_) => list_of(text.split([';', ','])),
        Kind::Schedule | Kind::Regimes => list_of(text.split(';')),
        Kind::Days => numbers_of(text),
        Kind::Whole { .. } => text
            .parse()
            .map_or_else(|_| Value::String(text.into()), Value::Integer),
        Kind::Seconds { .. } => text
            .parse()
            .map_or_else(|_| Value::String(text.into()), Value::Float),
        _ => Value::String(text.into()),
    };
    Ok(value)
}

fn parse_toml(text: &str) -> Result<Value, Misfit> {
    text.parse().map_err(|e: toml::de::Error| {
        misfit(
            Fault::Syntax,
            quoted(text),
            format!("cannot be read: {}", e.message()),
            "write a TOML list",
        )
    })
}

fn list_of<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::Array(
        parts
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .map(|p| Value::String(p.into()))
            .collect(),
    )
}

/// Whole numbers divided by `,` or `;`; what is none stays text, so that it is told as it was written.
fn numbers_of(text: &str) -> Value {
    let parts = text.split([',', ';']).map(str::trim);
    let number = |part: &str| match part.parse() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::String(part.into()),
    };
    Value::Array(parts.filter(|part| !part.is_empty()).map(number).collect())
}

/// Text as it would stand in TOML, cut short where it is long.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 120;
    let short: String = text.chars().take(LONGEST).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", short.escape_debug())
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "is text",
        Value::Integer(_) | Value::Float(_) => "is a number",
        Value::Boolean(_) => "is true or false",
        Value::Datetime(_) => "is a date",
        Value::Array(_) => "is a list",
        Value::Table(_) => "is a table",
    }
}

fn text<'v>(value: &'v Value, written: &str, expected: &str) -> Result<&'v Value, Misfit> {
    match value.as_str() {
        Some(text) if text.trim().is_empty() => Err(misfit(
            Fault::NotAllowed,
            written,
            "is empty",
            format!("write {expected}"),
        )),
        Some(text) if text.contains(char::is_control) => Err(misfit(
            Fault::NotAllowed,
            written,
            "holds a control character",
            format!("write {expected}"),
        )),
        Some(_) => Ok(value),
        None => Err(misfit(
            Fault::WrongType,
            written,
            type_name(value),
            format!("write {expected}"),
        )),
    }
}

pub fn as_text<'v>(value: &'v Value, written: &str, expected: &str) -> Result<&'v str, Misfit> {
    text(value, written, expected).map(|v| v.as_str().unwrap_or_default())
}

fn unit(value: &Value, written: &str) -> Result<Value, Misfit> {
    if matches!(value, Value::Integer(_) | Value::Float(_)) {
        let hint = format!("a unit code is text: write it in quotes, unit = \"{written}\"");
        return Err(misfit(Fault::WrongType, written, "is a number", hint));
    }
    let code = as_text(
        value,
        written,
        "the unit's code in quotes, such as \"00123\"",
    )?;
    if code.contains(char::is_whitespace) {
        return Err(misfit(
            Fault::NotAllowed,
            written,
            "holds a space",
            "write the code alone, without the name",
        ));
    }
    Ok(Value::String(code.into()))
}

fn choice(value: &Value, written: &str, allowed: &[&str]) -> Result<Value, Misfit> {
    let list = allowed
        .iter()
        .map(|a| format!("\"{a}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let word = as_text(value, written, &format!("one of {list}"))?;
    if allowed.contains(&word) {
        return Ok(value.clone());
    }
    Err(misfit(
        Fault::NotAllowed,
        written,
        "is not known",
        format!("allowed are {list}"),
    ))
}

fn zone(value: &Value, written: &str) -> Result<Value, Misfit> {
    let expected = "an IANA time zone such as \"Asia/Ho_Chi_Minh\"";
    let name = as_text(value, written, expected)?;
    match jiff::tz::TimeZone::get(name) {
        Ok(_) => Ok(value.clone()),
        Err(_) => Err(misfit(
            Fault::NotAllowed,
            written,
            "is not a known time zone",
            format!("write {expected}"),
        )),
    }
}

fn whole(key: &Key, value: &Value, written: &str, min: u64, max: u64) -> Result<Value, Misfit> {
    let unit = if key.name.ends_with("_ms") {
        " of milliseconds, without a unit"
    } else {
        ""
    };
    let number = match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        // So large that no integer of TOML holds it.
        Value::Float(number) if number.is_infinite() => None,
        other => {
            let expected = format!("a whole number{unit}");
            return Err(not_a_number(other, written, &expected));
        }
    };
    match number {
        Some(n) if (min..=max).contains(&n) => Ok(value.clone()),
        _ => Err(misfit(
            Fault::OutOfRange,
            written,
            "is out of range",
            format!("allowed are {min} to {max}"),
        )),
    }
}

fn seconds(value: &Value, written: &str, min: f64, max: f64) -> Result<Value, Misfit> {
    let number = match value {
        Value::Integer(n) => *n as f64,
        Value::Float(n) => *n,
        other => {
            return Err(not_a_number(
                other,
                written,
                "a number of seconds, without a unit",
            ));
        }
    };
    // A comparison that is false for NaN, which TOML can write.
    if !(min..=max).contains(&number) {
        return Err(misfit(
            Fault::OutOfRange,
            written,
            "is out of range",
            format!("allowed are {min} to {max} seconds"),
        ));
    }
    Ok(Value::Float(number))
}

/// Text that starts with a number had a unit put behind it: another fault than a wrong type.
fn not_a_number(value: &Value, written: &str, expected: &str) -> Misfit {
    let has_unit = value
        .as_str()
        .is_some_and(|t| t.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    let (fault, message) = match (has_unit, value) {
        (true, _) => (Fault::WrongUnit, "is not a plain number"),
        (false, Value::Float(_)) => (Fault::WrongType, "is not a whole number"),
        (false, other) => (Fault::WrongType, type_name(other)),
    };
    misfit(fault, written, message, format!("write {expected}"))
}

fn size(value: &Value, written: &str, min: u64, max: u64) -> Result<Value, Misfit> {
    let size = match value {
        Value::Integer(n) => u64::try_from(*n).ok().map(Size),
        Value::String(text) => match Size::parse(text) {
            Ok(size) => Some(size),
            Err(expected) => {
                return Err(misfit(
                    Fault::WrongUnit,
                    written,
                    "is not a size",
                    format!("allowed are {expected}"),
                ));
            }
        },
        other => {
            return Err(misfit(
                Fault::WrongType,
                written,
                type_name(other),
                format!("write {EXPECTED_SIZE}"),
            ));
        }
    };
    match size
        .filter(|s| (min..=max).contains(&s.0))
        .and_then(|s| i64::try_from(s.0).ok())
    {
        Some(bytes) => Ok(Value::Integer(bytes)),
        None => {
            let range = format!("allowed are {} to {}", Size(min), Size(max));
            Err(misfit(Fault::OutOfRange, written, "is out of range", range))
        }
    }
}

pub fn items<'v>(value: &'v Value, written: &str, expected: &str) -> Result<&'v [Value], Misfit> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(misfit(
            Fault::WrongType,
            written,
            type_name(other),
            format!("write {expected}"),
        )),
    }
}

fn schedule(value: &Value, written: &str) -> Result<Value, Misfit> {
    let expected = "a list of cron expressions, such as [\"*/30 * * * *\", \"0 9 * * THU\"]";
    for item in items(value, written, expected)? {
        let rule = as_text(item, &item.to_string(), expected)?;
        if let Err(error) = super::units::CronRule::try_from(rule.to_owned()) {
            let message = format!("is not a cron expression ({})", error.trim_end_matches('.'));
            return Err(misfit(
                Fault::BadSchedule,
                quoted(rule),
                message,
                format!("write {expected}"),
            ));
        }
    }
    Ok(value.clone())
}

fn regimes(value: &Value, written: &str) -> Result<Value, Misfit> {
    let expected = "a list of regimes, such as [\"weekly\", \"ward: month before 20\"]";
    let mut names = BTreeSet::new();
    for item in items(value, written, expected)? {
        let text = as_text(item, &item.to_string(), expected)?;
        let refused = |message: String| {
            let hint = format!("write {EXPECTED_DUTY}");
            misfit(Fault::NotAllowed, quoted(text), message, hint)
        };
        let duty = Duty::parse(text, &jiff::tz::TimeZone::UTC)
            .map_err(|error| refused(format!("is no regime: {error}")))?;
        if !names.insert(duty.regime.name) {
            return Err(refused("names a regime twice".to_owned()));
        }
    }
    Ok(value.clone())
}

fn words(value: &Value, written: &str, allowed: &[&str]) -> Result<Value, Misfit> {
    let known = allowed.iter().map(|word| format!("\"{word}\""));
    let expected = format!("a list of any of {}", known.collect::<Vec<_>>().join(", "));
    for item in items(value, written, &expected)? {
        choice(item, &item.to_string(), allowed)?;
    }
    Ok(value.clone())
}

/// A deadline further away than this is nothing to be reminded of.
const MOST_DAYS: i64 = 60;

fn days(value: &Value, written: &str) -> Result<Value, Misfit> {
    let expected = "a list of days, such as [3, 1, 0]";
    for item in items(value, written, expected)? {
        let Some(days) = item.as_integer() else {
            return Err(not_a_number(item, &item.to_string(), expected));
        };
        if !(0..=MOST_DAYS).contains(&days) {
            let hint = format!("allowed are 0 to {MOST_DAYS}");
            return Err(misfit(
                Fault::OutOfRange,
                days.to_string(),
                "is out of range",
                hint,
            ));
        }
    }
    Ok(value.clone())
}
