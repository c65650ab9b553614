//! One field between their notation and ours: words, dates, numbers, units. Pure.
//!
//! Ours: status words of this program, dates as `yyyy-mm-dd`, numbers as plain decimal text, units by our codes.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use nqsync_core::calendar::fold;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::profile::{Field, Profile};
use crate::sheet::{NumberStyle, parse_number_as};

/// Most words of a dictionary that an error lists.
const LISTED: usize = 12;
/// An epoch above this is in milliseconds: in seconds it would be the year 5138.
const MILLISECONDS_ABOVE: i64 = 100_000_000_000;

/// A value that cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not {expected}")]
pub struct ConvertError {
    /// The value, as it was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

fn bad<T>(found: &str, expected: impl Into<String>) -> Result<T, ConvertError> {
    Err(ConvertError {
        found: found.chars().take(100).collect(),
        expected: expected.into(),
    })
}

/// Their value in our notation; empty where they have none.
pub fn inward(
    field: &Field,
    profile: &Profile,
    zone: &TimeZone,
    value: &Value,
) -> Result<String, ConvertError> {
    if field.units {
        let codes = units_of(value)?;
        let ours = codes.iter().map(|code| unit_inward(profile, code));
        return Ok(ours.collect::<Vec<_>>().join("; "));
    }
    let text = plain(value)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    if let Some(name) = &field.dictionary {
        return word_inward(profile, name, text);
    }
    if let Some(format) = &field.date {
        return date_inward(format, zone, text).map(|date| date.to_string());
    }
    match field.number.as_deref() {
        Some(style) => number_inward(style, text),
        None => Ok(text.nfc().collect()),
    }
}

/// Our value in their notation; null where we have none.
pub fn outward(field: &Field, profile: &Profile, ours: &str) -> Result<Value, ConvertError> {
    if field.units {
        let codes = ours
            .split(';')
            .map(str::trim)
            .filter(|code| !code.is_empty());
        return Ok(codes.map(|code| unit_outward(profile, code)).collect());
    }
    if ours.is_empty() {
        return Ok(Value::Null);
    }
    if let Some(name) = &field.dictionary {
        return word_outward(profile, name, ours).map(Value::from);
    }
    if let Some(format) = &field.date {
        return date_outward(format, ours);
    }
    match field.number.as_deref() {
        Some("vietnamese") => Ok(Value::from(ours.replace('.', ","))),
        Some(_) => serde_json::from_str(ours).or_else(|_| bad(ours, "a number")),
        None => Ok(Value::from(ours)),
    }
}

/// A value as text; a list is its parts, one on each line.
fn plain(value: &Value) -> Result<String, ConvertError> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Array(parts) => {
            let parts: Vec<String> = parts.iter().map(plain).collect::<Result<_, _>>()?;
            Ok(parts.join("\n"))
        }
        Value::Object(_) => bad(&value.to_string(), "a text, a number or a list of them"),
    }
}

fn word_inward(profile: &Profile, name: &str, text: &str) -> Result<String, ConvertError> {
    let words = profile
        .dictionary
        .get(name)
        .map(|d| d.0.as_slice())
        .unwrap_or_default();
    let folded = fold(text);
    match words.iter().find(|(theirs, _)| fold(theirs) == folded) {
        Some((_, ours)) => Ok(ours.clone()),
        None => bad(text, listed(name, words.iter().map(|(theirs, _)| theirs))),
    }
}

fn word_outward(profile: &Profile, name: &str, ours: &str) -> Result<String, ConvertError> {
    let words = profile
        .dictionary
        .get(name)
        .map(|d| d.0.as_slice())
        .unwrap_or_default();
    // Several of their words may mean one of ours: the first in the file is the one we write.
    match words.iter().find(|(_, word)| word == ours) {
        Some((theirs, _)) => Ok(theirs.clone()),
        None => bad(ours, listed(name, words.iter().map(|(_, word)| word))),
    }
}

fn listed<'w>(name: &str, words: impl Iterator<Item = &'w String>) -> String {
    let shown: Vec<&str> = words.take(LISTED).map(String::as_str).collect();
    format!("in the dictionary {name} ({})", shown.join(", "))
}

fn date_inward(format: &str, zone: &TimeZone, text: &str) -> Result<Date, ConvertError> {
    let found = match format {
        "dd/mm/yyyy" => Date::strptime("%d/%m/%Y", text)
            .ok()
            .or_else(|| instant(zone, text)),
        "iso" => instant(zone, text),
        "epoch" => text.parse().ok().and_then(|number: i64| {
            let ms = if number.abs() > MILLISECONDS_ABOVE {
                number
            } else {
                number * 1000
            };
            Some(
                Timestamp::from_millisecond(ms)
                    .ok()?
                    .to_zoned(zone.clone())
                    .date(),
            )
        }),
        "month" => month(text),
        pattern => Date::strptime(pattern, text).ok(),
    };
    found.map_or_else(|| bad(text, format!("a date written as {format}")), Ok)
}

/// A day, or the day that an instant is in our zone: a tracker's clock may run in another one.
fn instant(zone: &TimeZone, text: &str) -> Option<Date> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.to_zoned(zone.clone()).date());
    }
    let day = text.parse::<Date>().ok();
    day.or_else(|| text.parse::<DateTime>().ok().map(|at| at.date()))
}

/// `Tháng 3/2026`, `3/2026`: the first of the month.
fn month(text: &str) -> Option<Date> {
    let folded = fold(text);
    let digits = folded.strip_prefix("thang").unwrap_or(&folded).trim();
    let (month, year) = digits.split_once(['/', '-'])?;
    Date::new(year.trim().parse().ok()?, month.trim().parse().ok()?, 1).ok()
}

fn date_outward(format: &str, ours: &str) -> Result<Value, ConvertError> {
    let Ok(day) = ours.parse::<Date>() else {
        return bad(ours, "a date as yyyy-mm-dd");
    };
    let text = match format {
        "dd/mm/yyyy" => day.strftime("%d/%m/%Y").to_string(),
        "iso" => day.to_string(),
        "month" => format!("Tháng {}/{}", day.month(), day.year()),
        "epoch" => {
            let at = day
                .to_zoned(TimeZone::UTC)
                .map(|zoned| zoned.timestamp().as_second());
            return at
                .map(Value::from)
                .or_else(|_| bad(ours, "a day that a clock can show"));
        }
        pattern => day.strftime(pattern).to_string(),
    };
    Ok(Value::from(text))
}

fn number_inward(style: &str, text: &str) -> Result<String, ConvertError> {
    let style = match style {
        "vietnamese" => NumberStyle::Vietnamese,
        _ => NumberStyle::Plain,
    };
    let Ok(number) = parse_number_as(text, style) else {
        return bad(text, "a number");
    };
    // 60.0 and 60 are the same number, and no edit of anybody.
    Ok(match number.contains('.') {
        true => number
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => number,
    })
}

/// Codes of units: a list, or a text with `,` or `;` between.
fn units_of(value: &Value) -> Result<Vec<String>, ConvertError> {
    let text = plain(value)?;
    let parts = text.split([',', ';', '\n']).map(str::trim);
    Ok(parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect())
}

fn unit_inward(profile: &Profile, theirs: &str) -> String {
    let known = profile
        .units
        .iter()
        .find(|(code, _)| fold(code) == fold(theirs));
    known.map_or(theirs, |(_, ours)| ours).to_owned()
}

/// Their code of one of our units; our own where the profile has none.
pub fn unit_outward(profile: &Profile, ours: &str) -> String {
    let known = profile.units.iter().find(|(_, code)| *code == ours);
    known.map_or(ours, |(theirs, _)| theirs).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn profile() -> Profile {
        toml::from_str(
            r#"
            format = 1
            title = "t"
            engine = "http"
            [dictionary.status]
            "Đang thực hiện" = "in_progress"
            "Đang thực hiện trễ hạn" = "in_progress"
            "Hoàn thành" = "completed"
            [units]
            "X01" = "24001"
            "#,
        )
        .expect("a profile")
    }

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Ho_Chi_Minh").expect("bundled")
    }

    fn read(field: &Field, value: Value) -> Result<String, String> {
        inward(field, &profile(), &zone(), &value).map_err(|e| e.to_string())
    }

    fn field(set: impl FnOnce(&mut Field)) -> Field {
        let mut field = Field::default();
        set(&mut field);
        field
    }

    #[test]
    fn words_are_found_whatever_their_case_accents_and_spaces() {
        let status = field(|f| f.dictionary = Some("status".into()));
        assert_eq!(
            read(&status, json!("ĐANG  thuc hien")),
            Ok("in_progress".into())
        );
        let written = outward(&status, &profile(), "in_progress");
        assert_eq!(
            written,
            Ok(json!("Đang thực hiện")),
            "the first of the file"
        );
        let unknown = read(&status, json!("Treo")).unwrap_err();
        assert!(
            unknown.contains("Treo") && unknown.contains("Hoàn thành"),
            "{unknown}"
        );
    }

    #[test]
    fn dates_come_out_as_days_in_our_zone() {
        let date = |format: &str| field(|f| f.date = Some(format.into()));
        assert_eq!(
            read(&date("dd/mm/yyyy"), json!("05/03/2026")),
            Ok("2026-03-05".into())
        );
        assert_eq!(
            read(&date("iso"), json!("2026-03-04T18:30:00Z")),
            Ok("2026-03-05".into())
        );
        assert_eq!(
            read(&date("iso"), json!("2026-03-05")),
            Ok("2026-03-05".into())
        );
        assert_eq!(
            read(&date("month"), json!("Tháng 3/2026")),
            Ok("2026-03-01".into())
        );
        assert_eq!(
            read(&date("epoch"), json!(1_772_649_000)),
            Ok("2026-03-05".into())
        );
        assert_eq!(
            read(&date("epoch"), json!(1_772_649_000_000_i64)),
            Ok("2026-03-05".into())
        );
        assert!(read(&date("dd/mm/yyyy"), json!("31/02/2026")).is_err());
        let out = |format: &str| outward(&date(format), &profile(), "2026-03-05").expect("a date");
        assert_eq!(out("dd/mm/yyyy"), json!("05/03/2026"));
        assert_eq!(out("month"), json!("Tháng 3/2026"));
        assert_eq!(out("%Y%m%d"), json!("20260305"));
    }

    #[test]
    fn numbers_keep_their_value_and_lose_their_dress() {
        let number = |style: &str| field(|f| f.number = Some(style.into()));
        assert_eq!(
            read(&number("vietnamese"), json!("1.234,50")),
            Ok("1234.5".into())
        );
        assert_eq!(read(&number("plain"), json!(60.0)), Ok("60".into()));
        assert_eq!(
            outward(&number("plain"), &profile(), "60.5"),
            Ok(json!(60.5))
        );
        assert_eq!(
            outward(&number("vietnamese"), &profile(), "60.5"),
            Ok(json!("60,5"))
        );
    }

    #[test]
    fn units_are_translated_both_ways_and_unknown_codes_pass() {
        let units = field(|f| f.units = true);
        assert_eq!(read(&units, json!("x01, 24002")), Ok("24001; 24002".into()));
        assert_eq!(
            outward(&units, &profile(), "24001; 24002"),
            Ok(json!(["X01", "24002"]))
        );
    }

    #[test]
    fn nothing_is_nothing_in_both_directions() {
        for field in [
            Field::default(),
            field(|f| f.dictionary = Some("status".into())),
        ] {
            assert_eq!(read(&field, Value::Null), Ok(String::new()));
            assert_eq!(outward(&field, &profile(), ""), Ok(Value::Null));
        }
    }
}
