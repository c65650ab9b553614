//! One field between their notation and ours: words, dates, numbers, units. Pure.
//!
//! Ours: status words of this program, dates as `yyyy-mm-dd`, numbers as plain decimal text, units by our codes.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;
use nqsync_core::calendar::fold;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::html;
use super::mapping::shortened;
use super::profile::{Field, Profile};
use crate::sheet::{NumberStyle, parse_number_as};

/// Most characters of a value that an error shows.
const LONGEST_FOUND: usize = 100;
/// Most words of a dictionary that an error lists.
const LISTED: usize = 12;
/// An epoch above this is in milliseconds: in seconds it would be the year 5138.
const MILLISECONDS_ABOVE: i64 = 100_000_000_000;

/// A value that cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: \"{found}\" is not {expected}")]
pub struct ConvertError {
    /// The field.
    pub field: String,
    /// The value, as it was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// A value that does not fit, before its field is known.
#[derive(Debug, PartialEq)]
struct Misfit {
    found: String,
    expected: String,
}

impl Misfit {
    fn at(self, field: &str) -> ConvertError {
        ConvertError {
            field: field.to_owned(),
            found: self.found,
            expected: self.expected,
        }
    }
}

fn bad<T>(found: &str, expected: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit {
        found: shortened(found, LONGEST_FOUND),
        expected: expected.into(),
    })
}

/// Their value of the field `name` in our notation; empty where they have none.
pub fn inward(
    name: &str,
    field: &Field,
    profile: &Profile,
    zone: &TimeZone,
    value: &Value,
) -> Result<String, ConvertError> {
    converted_inward(field, profile, zone, value).map_err(|misfit| misfit.at(name))
}

/// Our value of the field `name` in their notation; null where we have none.
pub fn outward(
    name: &str,
    field: &Field,
    profile: &Profile,
    zone: &TimeZone,
    ours: &str,
) -> Result<Value, ConvertError> {
    converted_outward(field, profile, zone, ours).map_err(|misfit| misfit.at(name))
}

fn converted_inward(
    field: &Field,
    profile: &Profile,
    zone: &TimeZone,
    value: &Value,
) -> Result<String, Misfit> {
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
        Some(style) => number_inward(style, value, text),
        None if field.html => Ok(html::to_text(text)),
        None => Ok(text.nfc().collect()),
    }
}

fn converted_outward(
    field: &Field,
    profile: &Profile,
    zone: &TimeZone,
    ours: &str,
) -> Result<Value, Misfit> {
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
        return date_outward(format, zone, ours);
    }
    match field.number.as_deref() {
        Some(style) => number_outward(style, ours),
        None if field.html => Ok(Value::from(html::from_text(ours))),
        None => Ok(Value::from(ours)),
    }
}

/// A value as text; a list is its parts, one on each line.
fn plain(value: &Value) -> Result<String, Misfit> {
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

fn word_inward(profile: &Profile, name: &str, text: &str) -> Result<String, Misfit> {
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

fn word_outward(profile: &Profile, name: &str, ours: &str) -> Result<String, Misfit> {
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

fn date_inward(format: &str, zone: &TimeZone, text: &str) -> Result<Date, Misfit> {
    let found = match format {
        "dd/mm/yyyy" => Date::strptime("%d/%m/%Y", text)
            .ok()
            .or_else(|| instant(zone, text)),
        "iso" => instant(zone, text),
        "epoch" | "epoch_ms" => epoch(format, zone, text),
        "month" => month(text),
        pattern => patterned(pattern, zone, text),
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

/// The same by a pattern: one with an offset tells an instant, any other a day.
fn patterned(pattern: &str, zone: &TimeZone, text: &str) -> Option<Date> {
    let parts = BrokenDownTime::parse(pattern, text).ok()?;
    match parts.offset() {
        Some(_) => Some(parts.to_timestamp().ok()?.to_zoned(zone.clone()).date()),
        None => parts.to_date().ok(),
    }
}

/// The day of an instant counted since 1970; parts of a second do not matter.
fn epoch(format: &str, zone: &TimeZone, text: &str) -> Option<Date> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let number: i64 = whole.parse().ok()?;
    let in_seconds = format == "epoch" && number.abs() < MILLISECONDS_ABOVE;
    let at = match in_seconds {
        true => Timestamp::from_second(number),
        false => Timestamp::from_millisecond(number),
    };
    Some(at.ok()?.to_zoned(zone.clone()).date())
}

/// `Tháng 3/2026`, `3/2026`: the first of the month.
fn month(text: &str) -> Option<Date> {
    let folded = fold(text);
    let digits = folded.strip_prefix("thang").unwrap_or(&folded).trim();
    let (month, year) = digits.split_once(['/', '-'])?;
    Date::new(year.trim().parse().ok()?, month.trim().parse().ok()?, 1).ok()
}

fn date_outward(format: &str, zone: &TimeZone, ours: &str) -> Result<Value, Misfit> {
    let Ok(day) = ours.parse::<Date>() else {
        return bad(ours, "a date as yyyy-mm-dd");
    };
    let beyond = || Misfit {
        found: ours.to_owned(),
        expected: "a day that a clock can show".to_owned(),
    };
    // The day begins in our zone, so that it is the same day when it is read back.
    let begins = || day.to_zoned(zone.clone()).map_err(|_| beyond());
    let text = match format {
        "dd/mm/yyyy" => day.strftime("%d/%m/%Y").to_string(),
        "iso" => day.to_string(),
        "month" => format!("Tháng {}/{}", day.month(), day.year()),
        "epoch" => return Ok(Value::from(begins()?.timestamp().as_second())),
        "epoch_ms" => return Ok(Value::from(begins()?.timestamp().as_millisecond())),
        pattern => strtime::format(pattern, &begins()?).map_err(|_| beyond())?,
    };
    Ok(Value::from(text))
}

fn number_inward(style: &str, value: &Value, text: &str) -> Result<String, Misfit> {
    // A number of JSON is written plainly, whatever their people write.
    let style = match (style, value) {
        ("vietnamese", Value::String(_)) => NumberStyle::Vietnamese,
        _ => NumberStyle::Plain,
    };
    let expected = match style {
        NumberStyle::Vietnamese => "a number written as 1.234,5",
        _ => "a number written as 1234.5",
    };
    let Ok(number) = parse_number_as(text, style) else {
        return bad(text, expected);
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

fn number_outward(style: &str, ours: &str) -> Result<Value, Misfit> {
    match style {
        "vietnamese" => Ok(Value::from(ours.replace('.', ","))),
        _ => match serde_json::from_str(ours) {
            Ok(Value::Number(number)) => Ok(Value::Number(number)),
            _ => bad(ours, "a number"),
        },
    }
}

/// Codes of units: a list, or a text with `,` or `;` between.
fn units_of(value: &Value) -> Result<Vec<String>, Misfit> {
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
        inward("x", field, &profile(), &zone(), &value).map_err(|e| e.to_string())
    }

    fn write(field: &Field, ours: &str) -> Result<Value, String> {
        outward("x", field, &profile(), &zone(), ours).map_err(|e| e.to_string())
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
        // The first of the file.
        assert_eq!(write(&status, "in_progress"), Ok(json!("Đang thực hiện")));
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
        let out = |format: &str| write(&date(format), "2026-03-05").expect("a date");
        assert_eq!(out("dd/mm/yyyy"), json!("05/03/2026"));
        assert_eq!(out("month"), json!("Tháng 3/2026"));
        assert_eq!(out("%Y%m%d"), json!("20260305"));
    }

    #[test]
    fn a_clock_in_another_zone_tells_the_day_that_it_is_here() {
        let date = |format: &str| field(|f| f.date = Some(format.into()));
        for value in [
            "2026-03-04T17:00:00Z",
            "2026-03-04T09:00:00-08:00",
            "2026-03-05T23:59:59+07:00",
        ] {
            assert_eq!(
                read(&date("iso"), json!(value)),
                Ok("2026-03-05".into()),
                "{value}"
            );
        }
        let stamped = date("%d/%m/%Y %H:%M %z");
        assert_eq!(
            read(&stamped, json!("04/03/2026 18:30 +0000")),
            Ok("2026-03-05".into())
        );
        assert_eq!(
            write(&stamped, "2026-03-05"),
            Ok(json!("05/03/2026 00:00 +0700"))
        );
        // Without an offset it is the day that it says.
        assert_eq!(
            read(&date("iso"), json!("2026-03-04T18:30:00")),
            Ok("2026-03-04".into())
        );
    }

    #[test]
    fn a_day_that_was_written_is_the_same_day_when_it_is_read_back() {
        for zone in ["Asia/Ho_Chi_Minh", "America/Lima", "UTC"] {
            let zone = TimeZone::get(zone).expect("bundled");
            for format in [
                "dd/mm/yyyy",
                "iso",
                "epoch",
                "epoch_ms",
                "%Y.%m.%d",
                "%Y-%m-%dT%H:%M:%S%:z",
            ] {
                let date = field(|f| f.date = Some(format.into()));
                let there = outward("x", &date, &profile(), &zone, "2026-03-05").expect("written");
                let back = inward("x", &date, &profile(), &zone, &there);
                assert_eq!(
                    back,
                    Ok("2026-03-05".into()),
                    "{format} in {zone:?}: {there}"
                );
            }
        }
    }

    #[test]
    fn html_there_is_plain_text_here() {
        let html = field(|f| f.html = true);
        let read = read(
            &html,
            json!("<p>Đã lắp <b>120</b> đèn &amp; cột</p><p>Còn lại: 3</p>"),
        );
        assert_eq!(read, Ok("Đã lắp 120 đèn & cột\nCòn lại: 3".into()));
        let written = write(&html, "Đã lắp 120 đèn & cột\nCòn lại: <3");
        assert_eq!(
            written,
            Ok(json!(
                "<p>Đã lắp 120 đèn &amp; cột</p><p>Còn lại: &lt;3</p>"
            ))
        );
    }

    #[test]
    fn an_error_names_the_field_the_value_and_what_was_expected() {
        let status = field(|f| f.dictionary = Some("status".into()));
        let error = inward("status", &status, &profile(), &zone(), &json!("Treo")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "status: \"Treo\" is not in the dictionary status (Đang thực hiện, Đang thực hiện trễ hạn, Hoàn thành)"
        );
        let error = read(&Field::default(), json!({"a": 1})).unwrap_err();
        assert!(error.contains("a text, a number or a list"), "{error}");
    }

    #[test]
    fn numbers_keep_their_value_and_lose_their_dress() {
        let number = |style: &str| field(|f| f.number = Some(style.into()));
        assert_eq!(
            read(&number("vietnamese"), json!("1.234,50")),
            Ok("1234.5".into())
        );
        assert_eq!(read(&number("plain"), json!(60.0)), Ok("60".into()));
        assert_eq!(write(&number("plain"), "60.5"), Ok(json!(60.5)));
        assert_eq!(write(&number("vietnamese"), "60.5"), Ok(json!("60,5")));
        // A number of JSON is plain in itself: 60.5 is not 605.
        assert_eq!(read(&number("vietnamese"), json!(60.5)), Ok("60.5".into()));
        assert!(read(&number("plain"), json!("nhiều")).is_err());
        assert!(write(&number("plain"), "\"60\"").is_err());
    }

    #[test]
    fn units_are_translated_both_ways_and_unknown_codes_pass() {
        let units = field(|f| f.units = true);
        assert_eq!(read(&units, json!("x01, 24002")), Ok("24001; 24002".into()));
        assert_eq!(write(&units, "24001; 24002"), Ok(json!(["X01", "24002"])));
    }

    #[test]
    fn nothing_is_nothing_in_both_directions() {
        for field in [
            Field::default(),
            field(|f| f.dictionary = Some("status".into())),
        ] {
            assert_eq!(read(&field, Value::Null), Ok(String::new()));
            assert_eq!(write(&field, ""), Ok(Value::Null));
        }
    }
}
