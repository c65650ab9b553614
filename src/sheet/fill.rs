//! Filling a workbook of somebody else: rows are put below its header, everything else goes back byte for byte.
//!
//! Blank rows below the header are used first, with their formats. If there are too few, what stands below (sums,
//! signatures) moves down.

use std::collections::BTreeMap;
use std::io::Write;

use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};
use serde_json::Value;

use super::guard::Archive;
use super::layout::{self, Column, Room};
use super::table::{Limits, column_letters, read_workbook};

/// A workbook with `rows` below its header, by the names of `columns`. `Err`: why the template cannot be filled.
pub fn fill(
    name: &str,
    template: &[u8],
    sheet: Option<&str>,
    columns: &[Column],
    rows: &[&Value],
) -> Result<Vec<u8>, String> {
    let table = read_workbook(name, template, sheet, &Limits::default());
    let table = table.map_err(|error| error.to_string())?;
    let room = layout::room(&table, columns)
        .map_err(|wanted| format!("{name} has no row with the headings {wanted}"))?;
    let failed = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let mut archive =
        Archive::open(name, template, &Limits::default()).map_err(|error| error.to_string())?;
    let sheet = table.sheet.as_deref().unwrap_or_default();
    let part = archive.part_of(sheet).map_err(|error| error.to_string())?;
    let part = part.ok_or_else(|| failed(&format!("has no part for the sheet \"{sheet}\"")))?;
    let xml = archive.part(&part).map_err(|error| error.to_string())?;
    let filled = Filling::new(&room, rows).rewrite(&xml);
    let filled = filled.map_err(|error| failed(&error))?;
    archive
        .with_part(&part, &filled)
        .map_err(|error| error.to_string())
}

/// The attributes of an element by their local names.
fn attributes(element: &BytesStart<'_>) -> Result<BTreeMap<String, String>, String> {
    let read = element.attributes().map(|attribute| {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let name = attribute.key.local_name().as_ref().to_owned();
        let value = unescape(&attribute.value).map_err(|e| e.to_string())?;
        Ok((name, value.into_owned()))
    });
    read.collect()
}

struct Filling<'f> {
    room: &'f Room<'f>,
    rows: &'f [&'f Value],
    /// First row that stays below ours, as the template numbers it.
    below: u32,
    /// How far it moves down.
    shift: u32,
    /// Styles of the first free row, by column.
    styles: BTreeMap<u32, String>,
    /// Prefix of the sheet's elements, with its colon.
    prefix: String,
    put: bool,
}

impl<'f> Filling<'f> {
    fn new(room: &'f Room<'f>, rows: &'f [&'f Value]) -> Self {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        Filling {
            room,
            rows,
            below: room.free.map_or(u32::MAX, |free| room.first + free),
            shift: room.free.map_or(0, |free| count.saturating_sub(free)),
            styles: BTreeMap::new(),
            prefix: String::new(),
            put: false,
        }
    }

    fn rewrite(mut self, xml: &str) -> Result<Vec<u8>, String> {
        let mut reader = Reader::from_str(xml);
        let mut writer = Writer::new(Vec::with_capacity(xml.len()));
        let mut dropped = false;
        // What a formula came to before the rows were there: left out, so that whoever opens the workbook computes it.
        let (mut is_formula, mut stale) = (false, false);
        loop {
            let event = reader.read_event().map_err(|e| e.to_string())?;
            let mut copy = event.clone();
            match &event {
                Event::Eof => return Ok(writer.into_inner()),
                Event::Start(element) | Event::Empty(element) => {
                    let empty = matches!(event, Event::Empty(_));
                    match element.local_name().as_ref() {
                        "sheetData" => {
                            self.prefix = element
                                .name()
                                .as_ref()
                                .trim_end_matches("sheetData")
                                .to_owned();
                            if empty {
                                self.open_data(&mut writer)?;
                                continue;
                            }
                        }
                        "row" => {
                            let number = attributes(element)?.get("r").and_then(|r| r.parse().ok());
                            let number: u32 = number.ok_or("a row without a number")?;
                            dropped = (self.room.first..self.below).contains(&number) && !empty;
                            if number >= self.below && !self.put {
                                self.put_rows(&mut writer)?;
                            }
                            if (self.room.first..self.below).contains(&number) {
                                continue;
                            }
                            if number >= self.below && self.shift > 0 {
                                copy = moved(
                                    element,
                                    &[("r", (number + self.shift).to_string())],
                                    empty,
                                );
                            }
                        }
                        "c" => {
                            is_formula = false;
                            let attributes = attributes(element)?;
                            let (column, row) = attributes
                                .get("r")
                                .and_then(|place| cell_place(place))
                                .ok_or("a cell without a place")?;
                            if row == self.room.first
                                && let Some(style) = attributes.get("s")
                            {
                                self.styles.insert(column, style.clone());
                            }
                            if row >= self.below && self.shift > 0 {
                                let place = place(column, row + self.shift);
                                copy = moved(element, &[("r", place)], empty);
                            }
                        }
                        "f" if self.shift > 0 && self.put => {
                            return Err("there are formulas below the table, and too few free rows above them; add free rows".to_owned());
                        }
                        "f" => is_formula = true,
                        "v" if is_formula => {
                            stale = !empty;
                            continue;
                        }
                        "mergeCell" if self.shift > 0 => {
                            let range = attributes(element)?.remove("ref").unwrap_or_default();
                            if let Some(range) = self.moved_range(&range) {
                                copy = moved(element, &[("ref", range)], empty);
                            }
                        }
                        // It may be absent, and would be wrong.
                        "dimension" => continue,
                        _ => {}
                    }
                }
                Event::End(element) => match element.local_name().as_ref() {
                    "sheetData" if !self.put => self.put_rows(&mut writer)?,
                    "dimension" => continue,
                    "v" if stale => {
                        stale = false;
                        continue;
                    }
                    "row" if dropped => {
                        dropped = false;
                        continue;
                    }
                    _ => {}
                },
                _ => {}
            }
            if !dropped && !stale {
                writer.write_event(copy).map_err(|e| e.to_string())?;
            }
        }
    }

    /// A sheet without any row.
    fn open_data(&mut self, writer: &mut Writer<Vec<u8>>) -> Result<(), String> {
        let name = format!("{}sheetData", self.prefix);
        raw(writer, &format!("<{name}>"))?;
        self.put_rows(writer)?;
        raw(writer, &format!("</{name}>"))
    }

    fn put_rows(&mut self, writer: &mut Writer<Vec<u8>>) -> Result<(), String> {
        self.put = true;
        let named: BTreeMap<u32, &str> = self.room.columns.iter().copied().collect();
        let columns: Vec<u32> = named.keys().chain(self.styles.keys()).copied().collect();
        let columns: std::collections::BTreeSet<u32> = columns.into_iter().collect();
        let prefix = &self.prefix;
        for (row, number) in self.rows.iter().zip(self.room.first..) {
            let mut text = format!("<{prefix}row r=\"{number}\">");
            for column in &columns {
                let value = named.get(column).map_or(&Value::Null, |name| &row[*name]);
                let style = self.styles.get(column);
                let style = style.map_or_else(String::new, |style| {
                    format!(" s=\"{}\"", escape(style.as_str()))
                });
                let at = format!("<{prefix}c r=\"{}\"{style}", place(*column, number));
                text += &match value {
                    Value::Null => format!("{at}/>"),
                    Value::Number(value) => {
                        format!("{at}><{prefix}v>{value}</{prefix}v></{prefix}c>")
                    }
                    value => {
                        let inner = shown(value);
                        let inner = escape(inner.as_str());
                        format!(
                            "{at} t=\"inlineStr\"><{prefix}is><{prefix}t xml:space=\"preserve\">{inner}</{prefix}t></{prefix}is></{prefix}c>"
                        )
                    }
                };
            }
            raw(writer, &format!("{text}</{prefix}row>"))?;
        }
        Ok(())
    }

    /// A merged area that lies below our rows, moved; `None`: it stays.
    fn moved_range(&self, range: &str) -> Option<String> {
        let (from, to) = range.split_once(':')?;
        let ((left, top), (right, bottom)) = (cell_place(from)?, cell_place(to)?);
        (top >= self.below).then(|| {
            format!(
                "{}:{}",
                place(left, top + self.shift),
                place(right, bottom + self.shift)
            )
        })
    }
}

/// The same element with other values for some attributes.
fn moved<'e>(element: &BytesStart<'e>, values: &[(&str, String)], empty: bool) -> Event<'e> {
    let mut changed = element.clone();
    changed.clear_attributes();
    for attribute in element.attributes().flatten() {
        let value = values
            .iter()
            .find(|(name, _)| *name == attribute.key.as_ref());
        match value {
            Some((name, value)) => changed.push_attribute((*name, value.as_str())),
            None => changed.push_attribute(attribute),
        }
    }
    match empty {
        true => Event::Empty(changed),
        false => Event::Start(changed),
    }
}

fn raw(writer: &mut Writer<Vec<u8>>, text: &str) -> Result<(), String> {
    writer
        .get_mut()
        .write_all(text.as_bytes())
        .map_err(|e| e.to_string())
}

/// `B7`: column 1, row 7.
fn cell_place(text: &str) -> Option<(u32, u32)> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let (letters, row) = text.split_at(digits);
    let mut column: u32 = 0;
    for letter in letters.bytes() {
        let value = u32::from(letter.to_ascii_uppercase().checked_sub(b'A')?) + 1;
        column = column.checked_mul(26)?.checked_add(value)?;
    }
    Some((column.checked_sub(1)?, row.parse().ok()?))
}

fn place(column: u32, row: u32) -> String {
    format!("{}{row}", column_letters(column))
}

/// A value as the text of a cell; a list has a line for each part.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(shown).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rust_xlsxwriter::{Format, Workbook};
    use serde_json::json;

    use super::*;

    fn columns() -> Vec<Column> {
        let column = |name: &str, heading: &str, is_key| Column {
            name: name.to_owned(),
            headings: vec![heading.to_owned()],
            is_key,
        };
        vec![
            column("title", "Tên nhiệm vụ", true),
            column("percent", "Tỷ lệ", false),
        ]
    }

    /// Title, header in row 3, two free rows with formats, a merged signature in row 6.
    fn template() -> Vec<u8> {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.set_name("Biểu 1").expect("a name");
        sheet.write_string(0, 0, "BIỂU TỔNG HỢP").expect("written");
        for (at, heading) in (0..).zip(["STT", "Tên nhiệm vụ", "Tỷ lệ"]) {
            sheet.write_string(2, at, heading).expect("written");
        }
        let boxed = Format::new().set_bold();
        for row in [3, 4] {
            for column in 0..3 {
                sheet.write_blank(row, column, &boxed).expect("written");
            }
        }
        sheet
            .merge_range(5, 0, 5, 2, "THỦ TRƯỞNG ĐƠN VỊ", &boxed)
            .expect("merged");
        book.save_to_buffer().expect("a workbook")
    }

    fn filled(rows: &[Value]) -> crate::sheet::Table {
        let rows: Vec<&Value> = rows.iter().collect();
        let bytes =
            fill("mau.xlsx", &template(), Some("Biểu 1"), &columns(), &rows).expect("filled");
        read_workbook("mau.xlsx", &bytes, None, &Limits::default()).expect("a workbook")
    }

    fn texts(table: &crate::sheet::Table, number: u32) -> Vec<String> {
        let row = table.rows.iter().find(|row| row.number == number);
        let cells = row.into_iter().flat_map(|row| &row.cells);
        cells.map(|(_, cell)| cell.text.clone()).collect()
    }

    #[test]
    fn free_rows_are_filled_and_nothing_else_moves() {
        let table = filled(&[json!({ "title": "Lắp <đèn> & điện", "percent": 62.5 })]);
        assert_eq!(texts(&table, 1), ["BIỂU TỔNG HỢP"]);
        assert_eq!(texts(&table, 4), ["Lắp <đèn> & điện", "62.5"]);
        assert_eq!(texts(&table, 6)[0], "THỦ TRƯỞNG ĐƠN VỊ");
    }

    #[test]
    fn what_stands_below_moves_down_when_there_are_more_rows_than_room() {
        let rows: Vec<Value> = (1..=5)
            .map(|n| json!({ "title": format!("Việc {n}"), "percent": n }))
            .collect();
        let table = filled(&rows);
        assert_eq!(texts(&table, 8), ["Việc 5", "5"]);
        assert_eq!(texts(&table, 9)[0], "THỦ TRƯỞNG ĐƠN VỊ");
        let last = &table.rows.last().expect("rows").cells;
        assert_eq!(last.len(), 3, "still merged: {last:?}");
    }

    #[test]
    fn a_formula_above_the_table_does_not_keep_what_it_came_to_in_the_empty_template() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.set_name("Biểu 1").expect("a name");
        let sum = rust_xlsxwriter::Formula::new("=COUNTA(A3:A9)").set_result("0");
        sheet.write_formula(0, 3, sum).expect("written");
        for (at, heading) in (0..).zip(["Tên nhiệm vụ", "Tỷ lệ"]) {
            sheet.write_string(1, at, heading).expect("written");
        }
        let template = book.save_to_buffer().expect("a workbook");
        let row = json!({ "title": "Lắp đèn", "percent": 5 });
        let bytes =
            fill("mau.xlsx", &template, Some("Biểu 1"), &columns(), &[&row]).expect("filled");
        let table = read_workbook("mau.xlsx", &bytes, None, &Limits::default()).expect("it");
        let codes: Vec<_> = table.remarks.iter().map(|remark| remark.code).collect();
        assert!(
            codes.contains(&crate::sheet::RemarkCode::FormulaWithoutValue),
            "{codes:?}"
        );
        assert_eq!(texts(&table, 3), ["Lắp đèn", "5"]);
    }

    #[test]
    fn a_template_without_the_headings_is_refused_with_what_was_looked_for() {
        let other = vec![Column {
            name: "x".to_owned(),
            headings: vec!["Mã".to_owned()],
            is_key: true,
        }];
        let error = fill("mau.xlsx", &template(), None, &other, &[]).expect_err("no header");
        assert!(error.contains("Mã"), "{error}");
    }
}
