//! A sheet as sparse rows of cells, whatever kind of file it came from.

use std::collections::BTreeMap;

use nqsync_core::model::Classification;
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{
    csv_table,
    remark::{Remark, RemarkCode, Severity},
    secrecy, xlsx,
};

/// How much of a file is read. Defaults suit plans and reports of a province with room to spare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Largest size of a workbook once unpacked, in bytes.
    pub unpacked_bytes: u64,
    /// Most entries in a workbook's archive.
    pub archive_entries: usize,
    /// Most rows with content.
    pub rows: usize,
    /// Most cells with content, over all rows.
    pub cells: usize,
    /// Largest cell, in bytes of UTF-8. Excel itself stops at 32,767 characters.
    pub cell_bytes: usize,
    /// Most remarks kept.
    pub remarks: usize,
    /// Largest answer of the parsing process, in bytes.
    pub answer_bytes: u64,
    /// Address space of the parsing process, in bytes.
    pub memory_bytes: u64,
    /// CPU time of the parsing process, in seconds.
    pub cpu_s: u64,
    /// Time the parsing process has in all, in seconds.
    pub wall_s: u64,
    /// The level of secrecy of the store it is read for. What states another one is left out.
    #[serde(default)]
    pub level: Classification,
}

impl Limits {
    /// The usual limits, for the store of a level of secrecy.
    pub fn at(level: Classification) -> Limits {
        Limits {
            level,
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 32 << 20,
            unpacked_bytes: 128 << 20,
            archive_entries: 2_000,
            rows: 100_000,
            cells: 1_000_000,
            cell_bytes: 128 << 10,
            remarks: 5_000,
            answer_bytes: 256 << 20,
            memory_bytes: 768 << 20,
            cpu_s: 30,
            wall_s: 60,
            level: Classification::None,
        }
    }
}

/// What kind of value a cell held. It decides how its text is read as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellKind {
    /// Text as somebody typed it.
    #[default]
    Text,
    /// A number of the workbook, written plainly (`.` before decimals).
    Number,
    /// A date of the workbook, written `dd/mm/yyyy`.
    Date,
}

/// One cell with content: composed (NFC) text without space around it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// What it was in the file.
    #[serde(default)]
    pub kind: CellKind,
    /// Whether the text is that of a merged cell which began in another row or column.
    #[serde(default)]
    pub continued: bool,
}

/// One row with content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Row {
    /// The number a spreadsheet program shows, from 1.
    pub number: u32,
    /// Whether the workbook hides it.
    #[serde(default)]
    pub hidden: bool,
    /// The cells with content by column, from 0, in order.
    pub cells: Vec<(u32, Cell)>,
}

impl Row {
    /// The cell in a column, if it has content.
    pub fn cell(&self, column: u32) -> Option<&Cell> {
        self.cells
            .binary_search_by_key(&column, |(at, _)| *at)
            .ok()
            .map(|at| &self.cells[at].1)
    }

    /// The cells that began in this row.
    pub(super) fn own_cells(&self) -> impl Iterator<Item = &(u32, Cell)> {
        self.cells.iter().filter(|(_, cell)| !cell.continued)
    }
}

/// The rows of one sheet, and what was remarkable in reading them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// The file's name as given.
    pub file: String,
    /// The sheet that was read, for a workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The rows with content, in order.
    pub rows: Vec<Row>,
    /// Remarks, with columns by letter.
    pub remarks: Vec<Remark>,
}

/// Why a file could not be read as a table at all.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// The file's name ends in nothing that is read here.
    #[error("{file}: this kind of file is not read; save it as .xlsx or as .csv in UTF-8")]
    Kind {
        /// The file's name.
        file: String,
    },
    /// Text in another encoding.
    #[error(
        "{file}, line {line}: byte {offset} (0x{byte:02x}) is not UTF-8; save the file again as \"CSV UTF-8\" or as .xlsx"
    )]
    Encoding {
        /// The file's name.
        file: String,
        /// The line the byte is on, from 1.
        line: usize,
        /// Where it is in the file, from 0.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// A workbook that is damaged or cut off.
    #[error("{file} is damaged or cut off ({detail}); copy or save it again")]
    Damaged {
        /// The file's name.
        file: String,
        /// What the reader met.
        detail: String,
    },
    /// A file above a limit.
    #[error("{file}: {what} is {found}, allowed are {allowed}")]
    TooLarge {
        /// The file's name.
        file: String,
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        allowed: u64,
    },
    /// A workbook without the sheet asked for.
    #[error("{file} has no sheet \"{wanted}\"; it has {present}")]
    NoSuchSheet {
        /// The file's name.
        file: String,
        /// The sheet asked for.
        wanted: String,
        /// The sheets there are.
        present: String,
    },
    /// A file without any content.
    #[error("{file} has no rows")]
    Empty {
        /// The file's name.
        file: String,
    },
    /// A document that is stamped as a state secret.
    #[error(
        "{file} is stamped {level}; nothing of it was taken. State secrets may not be drafted or stored on a computer connected \
         to a network (Law 117/2025/QH15)"
    )]
    Classified {
        /// The file's name.
        file: String,
        /// Its level.
        level: Classification,
    },
    /// A file that cannot be opened or read.
    #[error("cannot read {file}")]
    Io {
        /// The file's name.
        file: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The parsing process was ended or failed; nothing of the file was taken.
    #[error("{file}: the process reading it {how}; nothing was taken from it")]
    Worker {
        /// The file's name.
        file: String,
        /// How it ended.
        how: String,
    },
    /// What the parsing process refused, in its words.
    #[error("{message}")]
    Refused {
        /// The message.
        message: String,
    },
}

/// Reads a CSV file or one sheet of a workbook: the one named, else the first whose header is recognised.
pub fn read_workbook(
    name: &str,
    bytes: &[u8],
    sheet: Option<&str>,
    limits: &Limits,
) -> Result<Table, SheetError> {
    let size = bytes.len() as u64;
    if size > limits.file_bytes {
        let (file, what) = (name.to_owned(), "the file's size in bytes");
        return Err(SheetError::TooLarge {
            file,
            what,
            found: size,
            allowed: limits.file_bytes,
        });
    }
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let mut table = match extension.as_deref() {
        Some("csv" | "tsv" | "txt") => csv_table::read(name, bytes, limits)?,
        Some("xlsx") => xlsx::read(name, bytes, sheet, limits)?,
        _ => {
            return Err(SheetError::Kind {
                file: name.to_owned(),
            });
        }
    };
    secrecy::withhold(&mut table, limits.level)?;
    if table.rows.is_empty()
        && !table
            .remarks
            .iter()
            .any(|remark| remark.severity == Severity::Refused)
    {
        return Err(SheetError::Empty {
            file: name.to_owned(),
        });
    }
    Ok(table)
}

/// A column's letters as a spreadsheet program shows them: 0 is `A`, 27 is `AB`.
pub fn column_letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}

/// Gathers cells into a table under the limits, in any order of rows.
pub(super) struct Builder<'a> {
    table: Table,
    limits: &'a Limits,
    rows: BTreeMap<u32, Row>,
    refused: Vec<u32>,
    cells: usize,
    left_out: usize,
    full: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(file: &str, limits: &'a Limits) -> Self {
        let table = Table {
            file: file.to_owned(),
            ..Table::default()
        };
        Self {
            table,
            limits,
            rows: BTreeMap::new(),
            refused: Vec::new(),
            cells: 0,
            left_out: 0,
            full: false,
        }
    }

    /// Whether a limit was reached, so that reading on is of no use.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        if self.table.remarks.len() < self.limits.remarks {
            self.table.remarks.push(remark);
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn note(
        &mut self,
        code: RemarkCode,
        severity: Severity,
        row: u32,
        column: u32,
        found: &str,
    ) {
        let remark = Remark::new(&self.table.file, code, severity, found).at(row);
        self.remark(remark.in_column(column_letters(column)));
    }

    /// Adds a cell; `row` counts from 1, `column` from 0. Blank cells are dropped.
    pub(super) fn cell(&mut self, row: u32, column: u32, text: &str, kind: CellKind) {
        let text =
            text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}');
        if text.is_empty() || self.full {
            return;
        }
        if text.len() > self.limits.cell_bytes {
            let found = format!(
                "{} bytes, at most {}: {text:.40}",
                text.len(),
                self.limits.cell_bytes
            );
            self.note(
                RemarkCode::CellTooLarge,
                Severity::Refused,
                row,
                column,
                &found,
            );
            self.refuse(row);
            return;
        }
        self.cells += 1;
        if self.cells > self.limits.cells
            || (self.rows.len() >= self.limits.rows && !self.rows.contains_key(&row))
        {
            self.full = true;
            let found = format!(
                "at most {} rows and {} cells are read",
                self.limits.rows, self.limits.cells
            );
            let remark = Remark::new(
                &self.table.file,
                RemarkCode::TooManyRows,
                Severity::Refused,
                found,
            );
            self.remark(remark.at(row));
            return;
        }
        let composed = if is_nfc(text) {
            text.to_owned()
        } else {
            self.note(RemarkCode::NfdText, Severity::Note, row, column, text);
            text.nfc().collect()
        };
        let cell = Cell {
            text: composed,
            kind,
            continued: false,
        };
        let row = self.rows.entry(row).or_insert_with(|| Row {
            number: row,
            ..Row::default()
        });
        match row.cells.binary_search_by_key(&column, |(at, _)| *at) {
            Ok(at) => row.cells[at].1 = cell,
            Err(at) => row.cells.insert(at, (column, cell)),
        }
    }

    /// Leaves a row out; why is the caller's remark.
    pub(super) fn refuse(&mut self, row: u32) {
        self.refused.push(row);
    }

    /// Marks a row as hidden, if it has content.
    pub(super) fn hide(&mut self, number: u32) {
        if let Some(row) = self.rows.get_mut(&number) {
            row.hidden = true;
            let found = row
                .cells
                .first()
                .map(|(_, cell)| cell.text.clone())
                .unwrap_or_default();
            let remark = Remark::new(
                &self.table.file,
                RemarkCode::HiddenRow,
                Severity::Note,
                found,
            );
            self.remark(remark.at(number));
        }
    }

    /// Repeats the first cell of a merged area in the rows below it and, within its first row, to its right.
    ///
    /// Only rows that have content anyway are visited, so that an area of a million rows costs nothing.
    pub(super) fn merge(&mut self, first: (u32, u32), last: (u32, u32)) {
        const WIDEST: u32 = 64;
        let Some(anchor) = self.rows.get(&first.0).and_then(|row| row.cell(first.1)) else {
            return;
        };
        let copy = Cell {
            continued: true,
            ..anchor.clone()
        };
        let columns = first.1..=last.1.min(first.1.saturating_add(WIDEST));
        for row in self.rows.range_mut(first.0..=last.0).map(|(_, row)| row) {
            let wanted = if row.number == first.0 {
                columns.clone()
            } else {
                first.1..=first.1
            };
            for column in wanted {
                if self.cells >= self.limits.cells {
                    return;
                }
                if let Err(at) = row.cells.binary_search_by_key(&column, |(at, _)| *at) {
                    row.cells.insert(at, (column, copy.clone()));
                    self.cells += 1;
                }
            }
        }
    }

    pub(super) fn finish(mut self, sheet: Option<String>) -> Table {
        for row in &self.refused {
            self.rows.remove(row);
        }
        if self.left_out > 0 {
            let found = format!("{} more remarks are left out", self.left_out);
            let remark = Remark::new(
                &self.table.file,
                RemarkCode::RemarksLeftOut,
                Severity::Note,
                found,
            );
            self.table.remarks.push(remark);
        }
        self.table.remarks.sort_by_key(|remark| remark.row);
        Table {
            sheet,
            rows: self.rows.into_values().collect(),
            ..self.table
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_lettered_as_in_a_spreadsheet() {
        let letters: Vec<_> = [0, 25, 26, 701, 702, 16_383].map(column_letters).into();
        assert_eq!(letters, ["A", "Z", "AA", "ZZ", "AAA", "XFD"]);
    }

    #[test]
    fn an_oversized_cell_costs_its_row_and_no_other() {
        let limits = Limits::default();
        let mut builder = Builder::new("plan.csv", &limits);
        builder.cell(1, 0, "một", CellKind::Text);
        builder.cell(2, 0, "hai", CellKind::Text);
        builder.cell(2, 3, &"x".repeat(10 << 20), CellKind::Text);
        builder.cell(3, 0, "ba", CellKind::Text);
        let table = builder.finish(None);
        assert_eq!(
            table.rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            [1, 3]
        );
        let remark = &table.remarks[0];
        assert_eq!(
            (remark.row, remark.column.as_deref(), remark.severity),
            (Some(2), Some("D"), Severity::Refused)
        );
    }

    #[test]
    fn reading_stops_at_the_limit_on_rows_and_says_so() {
        let limits = Limits {
            rows: 2,
            ..Limits::default()
        };
        let mut builder = Builder::new("plan.csv", &limits);
        for row in 1..=3 {
            builder.cell(row, 0, "x", CellKind::Text);
        }
        assert!(builder.is_full());
        let table = builder.finish(None);
        assert_eq!(
            (table.rows.len(), table.remarks[0].code),
            (2, RemarkCode::TooManyRows)
        );
    }

    #[test]
    fn an_unknown_kind_of_file_is_refused_with_what_to_do() {
        let refusal = read_workbook("plan.xls", b"", None, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains("plan.xls") && refusal.contains(".xlsx"),
            "{refusal}"
        );
    }
}
