//! Finding the header row below title rows, and which column means what.
//!
//! Spellings are compared without case, accents, spaces, bracketed parts and column numbers. A whole heading is tried
//! before a part of one, over all columns, so that a vague heading never takes the place of an exact one.

use nqsync_core::calendar::fold;

use super::{
    names::squeeze,
    plan, records,
    remark::{Remark, RemarkCode, Severity},
    table::{Row, Table, column_letters},
};

/// How far down the header is looked for.
const SEARCHED_ROWS: usize = 60;
/// A longer cell is a text, not a heading.
const HEADING_CHARS: usize = 90;

/// The headings that mean a field.
pub(super) struct Schema<'s, F> {
    /// Whole headings.
    pub(super) whole: &'s [(F, &'s [&'s str])],
    /// Parts of headings, by falling priority; a field already found is passed over.
    pub(super) part: &'s [(F, &'s str)],
    /// Whether the fields found make a header.
    pub(super) enough: fn(&[F]) -> bool,
}

/// A header: where it is, and what its columns mean.
pub(super) struct Header<F> {
    /// Index of the first row after the header.
    pub(super) body: usize,
    columns: Vec<(u32, F, String)>,
    unused: Vec<(u32, String, bool)>,
    row: u32,
    skipped: usize,
}

impl<F: Copy + PartialEq> Header<F> {
    /// The first row that is a header by this schema.
    pub(super) fn find(table: &Table, schema: &Schema<'_, F>) -> Option<Self> {
        (0..table.rows.len().min(SEARCHED_ROWS)).find_map(|at| Self::at(table, at, schema))
    }

    /// The column of a field.
    pub(super) fn column(&self, field: F) -> Option<u32> {
        self.columns
            .iter()
            .find(|(_, f, _)| *f == field)
            .map(|(column, ..)| *column)
    }

    /// The rows of the header itself.
    pub(super) fn rows<'t>(&self, table: &'t Table) -> &'t [Row] {
        &table.rows[self.skipped..self.body]
    }

    /// The columns that have a meaning.
    pub(super) fn columns(&self) -> impl Iterator<Item = u32> {
        self.columns.iter().map(|(column, ..)| *column)
    }

    /// A field's heading as written.
    pub(super) fn heading(&self, field: F) -> Option<&str> {
        self.columns
            .iter()
            .find(|(_, f, _)| *f == field)
            .map(|(.., heading)| heading.as_str())
    }

    /// The text a row has for a field; empty where it has none.
    pub(super) fn text<'a>(&self, row: &'a Row, field: F) -> &'a str {
        self.column(field)
            .and_then(|column| row.cell(column))
            .map_or("", |cell| cell.text.as_str())
    }

    /// The table's remarks with headings in place of letters, and those on the header itself.
    pub(super) fn remarks(&self, table: &Table) -> Vec<Remark> {
        let mut remarks = table.remarks.clone();
        for remark in &mut remarks {
            let named = |column: &String| {
                self.columns
                    .iter()
                    .find(|(at, ..)| column_letters(*at) == *column)
                    .map(|(.., heading)| heading.clone())
            };
            if let Some(heading) = remark.column.as_ref().and_then(named) {
                remark.column = Some(heading);
            }
        }
        let note =
            |code, found: &str| Remark::new(&table.file, code, Severity::Note, found).at(self.row);
        let headings: Vec<_> = self
            .columns
            .iter()
            .map(|(.., heading)| heading.as_str())
            .collect();
        remarks.push(note(RemarkCode::HeaderRow, &headings.join(" | ")));
        if self.skipped > 0 {
            remarks.push(note(
                RemarkCode::SkippedRow,
                &format!("{} rows above the header", self.skipped),
            ));
        }
        for (column, heading, duplicate) in &self.unused {
            let code = if *duplicate {
                RemarkCode::DuplicateColumn
            } else {
                RemarkCode::UnknownColumn
            };
            remarks.push(note(code, heading).in_column(column_letters(*column)));
        }
        remarks
    }

    fn at(table: &Table, at: usize, schema: &Schema<'_, F>) -> Option<Self> {
        let row = &table.rows[at];
        let one = headings(row, None);
        let below = table
            .rows
            .get(at + 1)
            .filter(|next| next.number == row.number + 1);
        // A title right above a header of one row adds no column to it; taken as a part of it, it would spoil the
        // heading it stands over.
        let below_alone = below.map_or(0, |next| assign(&headings(next, None), schema).len());
        let two = below.map(|next| headings(next, Some(row)));
        let columns = assign(&one, schema);
        let fields = |columns: &[(u32, F, String)]| {
            columns
                .iter()
                .map(|(_, field, _)| *field)
                .collect::<Vec<_>>()
        };
        let both = two.map(|two| {
            let lower = assign(&two, schema);
            let split = lower
                .iter()
                .any(|(column, ..)| stands_over_several(row, *column));
            let kept: Vec<_> = one
                .iter()
                .filter(|(c, _)| !two.iter().any(|(d, _)| c == d))
                .cloned()
                .collect();
            (assign(&[kept, two].concat(), schema), split)
        });
        let (columns, rows) = match both {
            Some((both, true)) if both.len() > columns.len().max(below_alone) => (both, 2),
            _ => (columns, 1),
        };
        if !(schema.enough)(&fields(&columns)) {
            return None;
        }
        let unused = one
            .iter()
            .filter(|(column, _)| !columns.iter().any(|(taken, ..)| taken == column))
            .filter(|(column, _)| row.cell(*column).is_some_and(|cell| !cell.continued))
            .map(|(column, heading)| {
                let alone = assign(&[(*column, heading.clone())], schema);
                (*column, heading.clone(), !alone.is_empty())
            })
            .collect();
        Some(Self {
            body: at + rows,
            columns,
            unused,
            row: row.number,
            skipped: at,
        })
    }
}

/// Whether any kind of table is recognised by its header.
pub(super) fn is_recognised(table: &Table) -> bool {
    Header::find(table, &plan::SCHEMA).is_some() || records::is_recognised(table)
}

/// Whether the heading below this cell of an upper row is one of several: the cell is empty, or part of a merged one.
fn stands_over_several(row: &Row, column: u32) -> bool {
    let Some(cell) = row.cell(column).filter(|cell| !cell.continued) else {
        return true;
    };
    let right = row.cell(column + 1);
    right.is_some_and(|right| right.continued && right.text == cell.text)
}

/// The headings of a row. In the second row of a header, a heading comes with the one it stands under.
fn headings(row: &Row, above: Option<&Row>) -> Vec<(u32, String)> {
    let short = |text: &str| text.chars().count() <= HEADING_CHARS;
    row.own_cells()
        .filter(|(_, cell)| short(&cell.text))
        .map(|(column, cell)| {
            let group = above
                .and_then(|above| above.cell(*column))
                .map_or("", |cell| cell.text.as_str());
            let group = if group == cell.text || !short(group) {
                ""
            } else {
                group
            };
            (*column, squeeze(&format!("{group} {}", cell.text)))
        })
        .collect()
}

fn assign<F: Copy + PartialEq>(
    headings: &[(u32, String)],
    schema: &Schema<'_, F>,
) -> Vec<(u32, F, String)> {
    let keys: Vec<_> = headings
        .iter()
        .map(|(column, heading)| (*column, heading, key(heading)))
        .collect();
    let mut found: Vec<(u32, F, String)> = Vec::new();
    let mut take = |column: u32, field: F, heading: &String| {
        if !found.iter().any(|(c, f, _)| *c == column || *f == field) {
            found.push((column, field, heading.clone()));
        }
    };
    for (column, heading, key) in &keys {
        for (field, _) in schema
            .whole
            .iter()
            .filter(|(_, words)| words.contains(&key.as_str()))
        {
            take(*column, *field, heading);
        }
    }
    for (field, part) in schema.part {
        for (column, heading, _) in keys.iter().filter(|(.., key)| contains_words(key, part)) {
            take(*column, *field, heading);
        }
    }
    found.sort_by_key(|(column, ..)| *column);
    found
}

fn contains_words(key: &str, part: &str) -> bool {
    format!(" {key} ").contains(&format!(" {part} "))
}

/// A heading reduced for comparison: "Đơn vị chủ trì (5)" and `DON_VI  chu-tri` are alike.
pub(super) fn key(heading: &str) -> String {
    let mut depth = 0_usize;
    let mut key = String::new();
    for c in fold(heading).chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            c if depth == 0 && c.is_alphanumeric() => key.push(c),
            _ if depth == 0 => key.push(' '),
            _ => {}
        }
    }
    squeeze(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_compared_by_their_words() {
        assert_eq!(key("ĐƠN VỊ\nChủ trì (5)"), "don vi chu tri");
        assert_eq!(key("lead_unit"), "lead unit");
        assert!(contains_words("ma dv chu tri", "chu tri"));
        assert!(!contains_words("chi tiet", "chi tie"));
    }
}
