//! How data becomes lines and tables of a terminal.

use std::io::IsTerminal;
use std::ops::Deref;

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::api::Lang;
pub use crate::text::shown::{Shown, clean};

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
    /// Language and zone.
    pub shown: Shown,
    /// Columns.
    pub width: u16,
    /// A line below headings; off when the output goes into a file or another program.
    pub ruled: bool,
}

impl Deref for Screen {
    type Target = Shown;

    fn deref(&self) -> &Shown {
        &self.shown
    }
}

impl Screen {
    /// The standard output of this process.
    pub fn of_stdout(lang: Lang) -> Self {
        let ruled = std::io::stdout().is_terminal();
        let known = if ruled { Table::new().width() } else { None };
        let width = known.unwrap_or(PLAIN_WIDTH).max(MIN_WIDTH);
        Screen {
            shown: Shown {
                lang,
                zone: TimeZone::system(),
            },
            width,
            ruled,
        }
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
