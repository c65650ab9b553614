//! How values become what a person reads: by language and zone, and so that nothing in them can steer a terminal.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::{text, word};
use crate::api::Lang;

/// For whom values are shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Language of labels and words.
    pub lang: Lang,
    /// Zone in which instants are shown.
    pub zone: TimeZone,
}

impl Shown {
    /// The label of a key without arguments.
    pub fn label(&self, key: &str) -> String {
        text(self.lang, key, &[])
    }

    /// The word for a value of a closed list; a value from a newer version is shown as it came.
    pub fn word(&self, family: &str, value: &Value) -> String {
        match value.as_str() {
            Some(value) => word(self.lang, family, value).unwrap_or_else(|| clean(value)),
            None => self.plain(value),
        }
    }

    /// Any value in one line.
    pub fn plain(&self, value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::Bool(true) => self.label("word-yes"),
            Value::Bool(false) => self.label("word-no"),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => self.count(whole),
                None => number.to_string(),
            },
            Value::String(text) => clean(text),
            Value::Array(items) => items
                .iter()
                .map(|i| self.plain(i))
                .collect::<Vec<_>>()
                .join(", "),
            Value::Object(_) => clean(&value.to_string()),
        }
    }

    /// An instant (RFC 3339, or milliseconds since 1970) as `dd/mm/yyyy HH:MM` here; a date as `dd/mm/yyyy`.
    pub fn time(&self, value: &Value) -> String {
        self.instant(value, "%d/%m/%Y %H:%M")
    }

    /// The same with the second, where minutes do not tell two instants apart.
    pub fn second(&self, value: &Value) -> String {
        self.instant(value, "%d/%m/%Y %H:%M:%S")
    }

    fn instant(&self, value: &Value, format: &str) -> String {
        let instant = match value {
            Value::String(text) => match text.parse::<Timestamp>() {
                Ok(instant) => Some(instant),
                Err(_) => return self.date(text),
            },
            Value::Number(ms) => ms
                .as_i64()
                .and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            _ => None,
        };
        match instant {
            Some(instant) => {
                let here = instant.to_zoned(self.zone.clone());
                here.strftime(format).to_string()
            }
            None => self.plain(value),
        }
    }

    fn date(&self, text: &str) -> String {
        match text.parse::<Date>() {
            Ok(date) => date.strftime("%d/%m/%Y").to_string(),
            Err(_) => clean(text),
        }
    }

    /// A count with the language's mark between thousands.
    pub fn count(&self, number: i64) -> String {
        let mark = if self.lang == Lang::Vi { '.' } else { ',' };
        let digits = number.unsigned_abs().to_string();
        let mut shown = String::from(if number < 0 { "-" } else { "" });
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                shown.push(mark);
            }
            shown.push(digit);
        }
        shown
    }

    /// A decimal of an answer, with the mark of the language.
    pub fn decimal(&self, value: &Value) -> String {
        let text = self.plain(value);
        match self.lang {
            Lang::Vi => text.replace('.', ","),
            Lang::En => text,
        }
    }

    /// The name of a number in a rollup in words: what is counted, and of which state.
    pub fn number_name(&self, name: &Value) -> String {
        let name = name.as_str().unwrap_or_default();
        let (of, rest) = name.split_once('.').unwrap_or((name, ""));
        let word = |family, value: &str| self.word(family, &Value::from(value));
        let what = word("word-number-", of);
        match rest.strip_prefix("by_status.") {
            Some(state) => format!("{what}: {}", word("word-status-", state)),
            None if rest.is_empty() => what,
            None => format!("{what}: {}", word("word-number-", rest)),
        }
    }

    /// A size in a unit people read.
    pub fn bytes(&self, value: &Value) -> String {
        let Some(bytes) = value.as_u64() else {
            return self.plain(value);
        };
        let mut size = bytes as f64;
        let mut unit = "B";
        for next in ["KiB", "MiB", "GiB", "TiB"] {
            if size < 1024.0 {
                break;
            }
            (size, unit) = (size / 1024.0, next);
        }
        let number = if unit == "B" {
            format!("{bytes}")
        } else {
            format!("{size:.1}")
        };
        let number = if self.lang == Lang::Vi {
            number.replace('.', ",")
        } else {
            number
        };
        format!("{number} {unit}")
    }
}

/// Text of a record made harmless: composed (NFC), in one line, and whatever could move the cursor, colour the screen
/// or reverse the direction of writing is spelled out.
pub fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.nfc() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if c.is_control() || is_steering(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Direction marks, isolates and line separators: invisible, and they change what the rest of the line looks like.
fn is_steering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
