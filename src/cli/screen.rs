//! How data becomes what a person sees: width, language, zone, and nothing in the data may steer the terminal.

use std::io::IsTerminal;

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use crate::api::Lang;
use crate::text::{text, word};

/// Width when no terminal tells one: what a printed page and an old console hold.
const PLAIN_WIDTH: u16 = 80;
/// Width of a column of counts: a syllable of its heading, or 99.999, and a gap.
const NUMBER_WIDTH: u16 = 7;
/// Longest word that is kept in one piece: a date, or a commune's node.
const WORD_WIDTH: usize = 10;
/// Narrower than this nothing is readable.
const MIN_WIDTH: u16 = 40;

/// What is known about the place where text will be shown.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Language of labels and words.
    pub lang: Lang,
    /// Columns.
    pub width: u16,
    /// Zone in which instants are shown.
    pub zone: TimeZone,
    /// A line below headings; off when the output goes into a file or another program.
    pub ruled: bool,
}

impl Screen {
    /// The standard output of this process.
    pub fn of_stdout(lang: Lang) -> Self {
        let ruled = std::io::stdout().is_terminal();
        let known = if ruled { Table::new().width() } else { None };
        let width = known.unwrap_or(PLAIN_WIDTH).max(MIN_WIDTH);
        Screen {
            lang,
            width,
            zone: TimeZone::system(),
            ruled,
        }
    }

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
            Some(instant) => instant
                .to_zoned(self.zone.clone())
                .strftime("%d/%m/%Y %H:%M")
                .to_string(),
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

    /// `label  value` lines; empty values are left out.
    pub fn facts(&self, facts: &[(&str, String)]) -> String {
        let mut table = self.bare();
        for (label, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            table.add_row(vec![format!("{}:", self.label(label)), value.clone()]);
        }
        if table.row_count() == 0 {
            String::new()
        } else {
            trimmed(&table)
        }
    }

    /// A table. The columns named in `right` are numbers; those in `whole` are typed again elsewhere, so they are
    /// never broken.
    pub fn table(
        &self,
        head: &[String],
        rows: Vec<Vec<String>>,
        right: &[usize],
        whole: &[usize],
    ) -> String {
        let mut table = self.bare();
        table.set_header(head.to_vec());
        table.add_rows(rows);
        let words = longest_words(&table);
        let widths = table.column_max_content_widths();
        let natural = widths.iter().fold(0u16, |sum, width| {
            sum.saturating_add(width.saturating_add(2))
        });
        // Only where something must break anyway does it matter where.
        let fits = natural > self.width && words.iter().sum::<u16>() <= self.width;
        for (at, column) in table.column_iter_mut().enumerate() {
            if right.contains(&at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if whole.contains(&at) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            } else if fits {
                let word = words.get(at).copied().unwrap_or_default();
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(word)));
            }
        }
        trimmed(&table)
    }

    /// A table of one column of text and many narrow ones of numbers; the text gets what they leave.
    pub fn numbers(&self, head: &[String], rows: Vec<Vec<String>>) -> String {
        let mut table = self.bare();
        table.set_header(head.to_vec());
        table.add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
            column.set_padding((0, 1));
            column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(NUMBER_WIDTH)));
        }
        trimmed(&table)
    }

    fn bare(&self) -> Table {
        let mut table = Table::new();
        // At most a line below the heading: borders would cost the columns that Vietnamese words need.
        let ruled = LineStyle::none().fill('─');
        let style = TableStyle::new();
        table.load_style(if self.ruled {
            style.header_separator(ruled)
        } else {
            style
        });
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width);
        table
    }
}

/// For each column the width, gap included, at which no date and no ordinary word breaks.
fn longest_words(table: &Table) -> Vec<u16> {
    let mut longest = Vec::new();
    for row in table.header().into_iter().chain(table.row_iter()) {
        for (at, cell) in row.cell_iter().enumerate() {
            let words = cell.content();
            let word = words
                .split_whitespace()
                .map(|w| w.chars().count())
                .max()
                .unwrap_or(0);
            longest.resize(longest.len().max(at + 1), 0);
            longest[at] = longest[at].max(word.min(WORD_WIDTH) as u16 + 2);
        }
    }
    longest
}

fn trimmed(table: &Table) -> String {
    let mut shown = String::new();
    for line in table.lines() {
        let line = line.strip_prefix([' ', '─']).unwrap_or(&line);
        shown.push_str(line.trim_end());
        shown.push('\n');
    }
    shown
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

/// A field inside nested objects, `a.b.c`; null where something is missing.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// The elements of a field that is a list.
pub fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path)
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A whole number, 0 where there is none.
pub fn number(value: &Value, path: &str) -> i64 {
    at(value, path).as_i64().unwrap_or(0)
}

/// How ids are written in a list: as far as they are needed to tell them apart there, at least eight characters.
pub fn short_ids(items: &[Value], field: &str) -> Vec<String> {
    let ids: Vec<&str> = items
        .iter()
        .map(|i| at(i, field).as_str().unwrap_or(""))
        .collect();
    let mut sorted: Vec<&str> = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let common = |a: &str, b: &str| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let needed = sorted
        .windows(2)
        .map(|pair| common(pair[0], pair[1]) + 1)
        .max()
        .unwrap_or(0)
        .max(8);
    let short = |id: &&str| clean(&id.chars().take(needed).collect::<String>());
    ids.iter()
        .map(short)
        .map(|id| id.trim_end_matches('-').to_owned())
        .collect()
}
