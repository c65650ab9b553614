//! Tables of other systems: rows by columns that a profile names, whatever stands around them. Pure.
//!
//! A row is taken whole, as a JSON object, or remarked with its number. A row without a key is no record: titles, sums and
//! signatures have none. A row whose key is that of a merged cell above continues the record above it.

use std::collections::{BTreeMap, HashSet};

use nqsync_core::calendar::fold;
use serde_json::{Map, Value, json};

use super::header::{Header, Schema, key};
use super::names::is_blank;
use super::remark::{Remark, RemarkCode, Severity};
use super::table::{Cell, CellKind, Row, Table};

/// Members of a row's object that are not columns.
pub const RESERVED: [&str; 5] = ["id", "row", "file", "sheet", "months"];

/// A column: its name in expressions, and the headings it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its headings; in a header of two rows, the upper one followed by the lower one.
    pub headings: Vec<String>,
    /// Whether it is part of what names a record.
    pub is_key: bool,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The records, in the order of the sheet.
    pub records: Vec<Value>,
    /// What was remarkable; one that refuses names the row that was not taken.
    pub remarks: Vec<Remark>,
}

/// Which column of the profile a heading means. Columns of the key come first.
#[derive(Clone, Copy, PartialEq)]
struct Slot {
    at: usize,
    keys: usize,
}

/// A header by the columns of a profile.
struct Found<'c> {
    header: Header<Slot>,
    /// Columns of the key first.
    ordered: Vec<&'c Column>,
    keys: usize,
}

impl<'c> Found<'c> {
    /// `Err`: no row has the headings of all key columns, with what was looked for.
    fn in_table(table: &Table, columns: &'c [Column]) -> Result<Self, String> {
        let keys = columns.iter().filter(|column| column.is_key);
        let others = columns.iter().filter(|column| !column.is_key);
        let ordered: Vec<&Column> = keys.clone().chain(others).collect();
        let keys = keys.count();
        let folded: Vec<Vec<String>> = ordered
            .iter()
            .map(|column| column.headings.iter().map(|text| key(text)).collect())
            .collect();
        let words: Vec<Vec<&str>> = folded
            .iter()
            .map(|texts| texts.iter().map(String::as_str).collect())
            .collect();
        let whole: Vec<(Slot, &[&str])> = words
            .iter()
            .enumerate()
            .map(|(at, words)| (Slot { at, keys }, words.as_slice()))
            .collect();
        let schema = Schema {
            whole: &whole,
            part: &[],
            enough: |found| {
                let keys = found.first().map_or(1, |slot| slot.keys);
                found.iter().filter(|slot| slot.at < slot.keys).count() == keys
            },
        };
        match Header::find(table, &schema) {
            Some(header) => Ok(Found {
                header,
                ordered,
                keys,
            }),
            None => {
                let wanted = ordered[..keys].iter();
                let wanted: Vec<String> = wanted.map(|c| c.headings.join(" / ")).collect();
                Err(wanted.join(", "))
            }
        }
    }

    /// Where the header ends. Rows that only continue its merged cells belong to it.
    fn body(&self, table: &Table) -> usize {
        let slot = Slot {
            at: 0,
            keys: self.keys,
        };
        let Some(key) = self.header.column(slot) else {
            return self.header.body;
        };
        let below = &table.rows[self.header.body..];
        let heading = self.header.rows(table).last().and_then(|row| row.cell(key));
        let goes_on = |row: &&Row| {
            let cell = row.cell(key).filter(|cell| cell.continued);
            cell.is_some_and(|cell| heading.is_some_and(|heading| heading.text == cell.text))
        };
        self.header.body + below.iter().take_while(goes_on).count()
    }

    fn head<'t>(&self, table: &'t Table) -> &'t [Row] {
        let begin = self.header.body - self.header.rows(table).len();
        &table.rows[begin..self.body(table)]
    }

    /// Place, name, and whether it belongs to the key.
    fn columns(&self) -> Vec<(u32, &'c str, bool)> {
        let places = self.ordered.iter().enumerate().filter_map(|(at, column)| {
            let slot = Slot {
                at,
                keys: self.keys,
            };
            Some((
                self.header.column(slot)?,
                column.name.as_str(),
                column.is_key,
            ))
        });
        places.collect()
    }
}

/// Where rows go in a table that is to be filled.
pub(super) struct Room<'c> {
    /// The columns by their place.
    pub(super) columns: Vec<(u32, &'c str)>,
    /// Number of the first row below the header.
    pub(super) first: u32,
    /// How many rows are free there; `None`: nothing stands below.
    pub(super) free: Option<u32>,
}

/// Where rows go below the header that has all key columns. `Err`: as in [`read`].
pub(super) fn room<'c>(table: &Table, columns: &'c [Column]) -> Result<Room<'c>, String> {
    let found = Found::in_table(table, columns)?;
    let last = found.head(table).last().map_or(0, |row| row.number);
    let mut below = table.rows[found.body(table)..].iter().peekable();
    let numbering = below.next_if(|row| row.number == last + 1 && is_numbering(row));
    let first = numbering.map_or(last, |row| row.number) + 1;
    let columns = found.columns().into_iter().map(|(at, name, _)| (at, name));
    Ok(Room {
        columns: columns.collect(),
        first,
        free: below.next().map(|row| row.number - first),
    })
}

/// Reads the rows below the header that has all key columns. `year`: of month columns that do not tell theirs.
/// `Err`: no such header, with what was looked for.
pub fn read(table: &Table, columns: &[Column], year: i16) -> Result<Rows, String> {
    let found = Found::in_table(table, columns)?;
    let reading = Reading {
        table,
        columns: found.columns(),
        months: months(table, found.head(table), year),
    };
    let of_month = |remark: &Remark| {
        remark.code == RemarkCode::UnknownColumn && month_in(&remark.found).is_some()
    };
    let mut rows = Rows {
        remarks: found.header.remarks(table),
        ..Rows::default()
    };
    rows.remarks.retain(|remark| !of_month(remark));
    let there = |name: &str| reading.columns.iter().any(|(_, named, _)| *named == name);
    for column in found.ordered.iter().filter(|column| !there(&column.name)) {
        let headings = column.headings.join(" / ");
        let code = RemarkCode::MissingColumn;
        rows.remarks
            .push(Remark::new(&table.file, code, Severity::Missing, headings));
    }
    reading.read(&table.rows[found.body(table)..], &mut rows);
    Ok(rows)
}

struct Reading<'t> {
    table: &'t Table,
    /// Place, name, and whether it belongs to the key.
    columns: Vec<(u32, &'t str, bool)>,
    months: Vec<(u32, String)>,
}

impl Reading<'_> {
    fn read(&self, body: &[Row], rows: &mut Rows) {
        let mut seen = HashSet::new();
        for row in body {
            if is_numbering(row) {
                continue;
            }
            if self.continues(row) {
                if let Some(above) = rows.records.last_mut() {
                    self.add_to(above, row);
                }
                continue;
            }
            let Some(id) = self.id(row) else {
                rows.remarks
                    .push(self.remark(row, RemarkCode::SkippedRow, Severity::Note));
                continue;
            };
            if !seen.insert(id.clone()) {
                rows.remarks
                    .push(self.remark(row, RemarkCode::DuplicateCode, Severity::Refused));
                continue;
            }
            rows.records.push(self.record(row, id));
        }
    }

    fn remark(&self, row: &Row, code: RemarkCode, severity: Severity) -> Remark {
        let texts: Vec<&str> = row
            .own_cells()
            .map(|(_, cell)| cell.text.as_str())
            .collect();
        Remark::new(&self.table.file, code, severity, texts.join(" | ")).at(row.number)
    }

    /// The texts of the key columns; `None`: one of them says nothing.
    fn id(&self, row: &Row) -> Option<String> {
        let keys = self.columns.iter().filter(|(.., is_key)| *is_key);
        let texts: Option<Vec<&str>> = keys
            .map(|(at, ..)| {
                let text = row.cell(*at)?.text.as_str();
                (!is_blank(text)).then_some(text)
            })
            .collect();
        Some(texts?.join("|"))
    }

    /// Whether every cell of the key is that of a merged cell which began above.
    fn continues(&self, row: &Row) -> bool {
        let mut keys = self.columns.iter().filter(|(.., is_key)| *is_key);
        keys.all(|(at, ..)| row.cell(*at).is_some_and(|cell| cell.continued))
    }

    fn record(&self, row: &Row, id: String) -> Value {
        let mut record = Map::new();
        for (at, name, _) in &self.columns {
            record.insert((*name).to_owned(), row.cell(*at).map_or(Value::Null, value));
        }
        if !self.months.is_empty() {
            let cells = self
                .months
                .iter()
                .map(|(at, month)| (month.clone(), row.cell(*at).map_or(Value::Null, value)));
            record.insert("months".to_owned(), cells.collect());
        }
        record.insert("id".to_owned(), json!(id));
        record.insert("row".to_owned(), json!(row.number));
        record.insert("file".to_owned(), json!(self.table.file));
        record.insert("sheet".to_owned(), json!(self.table.sheet));
        Value::Object(record)
    }

    /// The texts of a row that continues the one above, each on a line of its own.
    fn add_to(&self, above: &mut Value, row: &Row) {
        let own = |at: &u32| row.cell(*at).filter(|cell| !cell.continued);
        for (at, name, _) in &self.columns {
            let Some(cell) = own(at) else { continue };
            let before = match &above[*name] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            above[*name] = match before {
                Some(before) => json!(format!("{before}\n{}", cell.text)),
                None => value(cell),
            };
        }
    }
}

fn value(cell: &Cell) -> Value {
    let number = (cell.kind == CellKind::Number)
        .then(|| cell.text.parse::<serde_json::Number>().ok())
        .flatten();
    number.map_or_else(|| Value::from(cell.text.as_str()), Value::Number)
}

/// A row that only numbers the columns: (1), (2), (3).
fn is_numbering(row: &Row) -> bool {
    let numbers = row.cells.iter().map(|(_, cell)| {
        let text = cell.text.trim_matches(['(', ')', '[', ']']);
        text.parse::<u32>().ok()
    });
    let numbers: Option<Vec<u32>> = numbers.collect();
    numbers.is_some_and(|all| all.len() > 1 && all.windows(2).all(|pair| pair[1] == pair[0] + 1))
}

/// The columns of months, each as `yyyy-mm`. A year stands in the heading, above it, or above the table.
fn months(table: &Table, head: &[Row], year: i16) -> Vec<(u32, String)> {
    let above = table
        .rows
        .iter()
        .take_while(|row| Some(row.number) < head.first().map(|r| r.number));
    let titles: Vec<&Cell> = above
        .flat_map(|row| row.cells.iter().map(|(_, cell)| cell))
        .collect();
    let year = titles
        .iter()
        .find_map(|cell| year_in(&cell.text))
        .unwrap_or(year);
    let mut found = BTreeMap::new();
    for (place, row) in head.iter().enumerate() {
        for (at, cell) in row.own_cells() {
            let over = head[..place]
                .iter()
                .find_map(|row| year_in(&row.cell(*at)?.text));
            if let Some((month, own)) = month_in(&cell.text) {
                let year = own.or(over).unwrap_or(year);
                found.insert(*at, format!("{year:04}-{month:02}"));
            }
        }
    }
    found.into_iter().collect()
}

/// `Năm 2026`, `NĂM HỌC 2026`: the year after the word.
fn year_in(text: &str) -> Option<i16> {
    let folded = fold(text);
    let (_, rest) = folded.split_once("nam ")?;
    let year: i16 = rest.split_whitespace().find_map(|word| word.parse().ok())?;
    (1990..2200).contains(&year).then_some(year)
}

/// `Tháng 3`, `T3`, `Tháng 03/2026`, `3/2026`: the month, and the year where it is told.
fn month_in(text: &str) -> Option<(i8, Option<i16>)> {
    let folded = fold(text);
    let named = folded
        .strip_prefix("thang")
        .or_else(|| folded.strip_prefix('t'));
    let rest = named.unwrap_or(&folded).trim();
    let (month, year) = match rest.split_once(['/', '-']) {
        Some((month, year)) => (month, Some(year.trim().parse::<i16>().ok()?)),
        None => (rest, None),
    };
    let month: i8 = month.trim().parse().ok()?;
    // A bare number is a number of a column, not a month.
    let is_month = (1..=12).contains(&month) && (named.is_some() || year.is_some());
    is_month.then_some((month, year))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Limits, read_workbook};

    fn columns() -> Vec<Column> {
        let column = |name: &str, headings: &[&str], is_key| Column {
            name: name.to_owned(),
            headings: headings.iter().map(|text| (*text).to_owned()).collect(),
            is_key,
        };
        vec![
            column("status", &["Trạng thái"], false),
            column("title", &["Tên nhiệm vụ", "Nhiệm vụ"], true),
            column("units", &["Đơn vị thực hiện"], false),
        ]
    }

    fn table(text: &str) -> Table {
        read_workbook("a.csv", text.as_bytes(), None, &Limits::default()).expect("a table")
    }

    #[test]
    fn rows_are_found_between_titles_and_signatures_with_their_months() {
        let text = "DANH SÁCH NHIỆM VỤ NĂM 2026,,,,\nĐơn vị:,Phòng A,,,\nTÊN  NHIỆM VỤ,Trạng Thái,Tháng 1,T2,Ghi chú\n(1),(2),(3),(4),(5)\n\
                    Lắp đèn,Đang thực hiện,50%,,x\nVá đường,,,đạt,\n,NGƯỜI LẬP,,,\n";
        let rows = read(&table(text), &columns(), 2020).expect("a header");
        assert_eq!(rows.records.len(), 2, "{rows:?}");
        let first = &rows.records[0];
        assert_eq!(
            (&first["id"], &first["status"]),
            (&json!("Lắp đèn"), &json!("Đang thực hiện"))
        );
        assert_eq!(
            first["months"],
            json!({ "2026-01": "50%", "2026-02": null })
        );
        assert_eq!(rows.records[1]["months"]["2026-02"], "đạt");
        let missing = rows
            .remarks
            .iter()
            .find(|r| r.code == RemarkCode::MissingColumn);
        assert_eq!(missing.map(|r| r.found.as_str()), Some("Đơn vị thực hiện"));
    }

    /// As office programs save it: the key spans both rows of the header, the status stands below the left end of a merged cell.
    #[test]
    fn a_heading_below_the_left_end_of_a_merged_one_is_found_though_the_first_row_has_the_key() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        let plain = rust_xlsxwriter::Format::new();
        sheet
            .write_string(0, 0, "KẾT QUẢ NĂM 2026")
            .expect("written");
        for (place, text) in [
            ((2, 0, 3, 0), "TT"),
            ((2, 1, 3, 1), "Nhiệm vụ"),
            ((2, 2, 2, 4), "Kết quả"),
        ] {
            let (top, left, bottom, right) = place;
            sheet
                .merge_range(top, left, bottom, right, text, &plain)
                .expect("merged");
        }
        for (at, text) in (2..).zip(["Trạng thái", "Tháng 10", "Tháng 11"]) {
            sheet.write_string(3, at, text).expect("written");
        }
        for (at, text) in (0..).zip(["1", "Lắp đèn", "Đang thực hiện", "", "45%"]) {
            sheet.write_string(4, at, text).expect("written");
        }
        let bytes = book.save_to_buffer().expect("a workbook");
        let table = read_workbook("a.xlsx", &bytes, None, &Limits::default()).expect("a table");
        let columns: Vec<Column> = columns()
            .into_iter()
            .map(|column| match column.name.as_str() {
                "status" => Column {
                    headings: vec!["Kết quả Trạng thái".to_owned()],
                    ..column
                },
                _ => column,
            })
            .collect();
        let rows = read(&table, &columns, 2026).expect("a header");
        assert_eq!(rows.records.len(), 1, "{rows:?}");
        assert_eq!(rows.records[0]["status"], "Đang thực hiện");
        assert_eq!(rows.records[0]["months"]["2026-11"], "45%");
    }

    #[test]
    fn a_key_that_stands_twice_costs_its_second_row() {
        let rows = read(
            &table("Nhiệm vụ,Trạng thái\nA,x\nB,y\nA,z\n"),
            &columns(),
            2026,
        )
        .expect("a header");
        assert_eq!(rows.records.len(), 2);
        let refused: Vec<_> = rows
            .remarks
            .iter()
            .filter(|r| r.severity == Severity::Refused)
            .collect();
        assert_eq!((refused.len(), refused[0].row), (1, Some(4)));
    }

    #[test]
    fn a_table_without_the_key_is_told_with_what_was_looked_for() {
        let error = read(&table("a,b\n1,2\n"), &columns(), 2026).expect_err("no header");
        assert_eq!(error, "Tên nhiệm vụ / Nhiệm vụ");
    }

    #[test]
    fn months_are_read_as_people_write_them() {
        assert_eq!(month_in("Tháng 03/2026"), Some((3, Some(2026))));
        assert_eq!(month_in("T12"), Some((12, None)));
        assert_eq!(month_in("7/2025"), Some((7, Some(2025))));
        assert_eq!(month_in("7"), None);
        assert_eq!(month_in("Tháng 13"), None);
    }
}
