//! Exported records as a table for people, with a mark in each row by which it is known when it comes back.

use nqsync_core::protocol::hex;
use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, ProtectionOptions, Workbook, XlsxError};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::Lang;
use crate::sheet::inert::inert;
use crate::sheet::replica::MARK;
use crate::text::text;

/// Headings of the columns, in the catalogue.
pub const HEADINGS: &str = "word-export-";

/// Row of the field names, hidden from people; the heading stands below it.
const NAMES_ROW: u32 = 4;

/// A table with its heading. The first columns say what a row is about, then come the fields, then the mark.
pub struct Grid {
    title: String,
    about: Vec<String>,
    /// Columns that only tell.
    fixed: Vec<String>,
    /// Columns to be filled: name and heading.
    fields: Vec<(String, String)>,
    mark: String,
    rows: Vec<GridRow>,
}

struct GridRow {
    fixed: Vec<String>,
    cells: Vec<String>,
    mark: String,
}

impl Grid {
    /// What an export answered, in the reader's language.
    pub fn of(data: &Value, lang: Lang) -> Grid {
        let label = |key: &str| text(lang, key, &[]);
        let kind = data["kind"].as_str().unwrap_or_default();
        let fixed: &[&str] = match kind {
            "reports" => &["label-ref", "label-task", "label-unit", "label-deadline"],
            "indicators" => &["label-ref", "label-name", "label-unit"],
            _ => &[],
        };
        let names = items(&data["fields"]).iter().filter_map(Value::as_str);
        let heading = |name: &str| label(&format!("{HEADINGS}{}", name.replace('_', "-")));
        let fields: Vec<(String, String)> =
            names.map(|name| (name.to_owned(), heading(name))).collect();
        let row = |row: &Value| GridRow {
            fixed: told(kind, row),
            cells: fields
                .iter()
                .map(|(name, _)| shown(&row["cells"][name]))
                .collect(),
            mark: shown(&row["mark"]),
        };
        let unit = unit(&data["unit"]);
        Grid {
            title: label(&format!("{HEADINGS}title-{kind}")),
            about: vec![
                unit,
                format!("{}: {}", label("label-period"), shown(&data["period"])),
            ],
            fixed: fixed.iter().map(|key| label(key)).collect(),
            rows: items(&data["rows"]).iter().map(row).collect(),
            fields,
            mark: label(&format!("{HEADINGS}mark")),
        }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The same for the same content, whenever and wherever it is made.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        let mut add = |text: &str| {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        };
        self.about.iter().for_each(|text| add(text));
        for row in &self.rows {
            row.fixed
                .iter()
                .chain(&row.cells)
                .for_each(|text| add(text));
        }
        hex(&hasher.finalize())
    }

    /// As a workbook.
    pub fn xlsx(&self) -> Result<Vec<u8>, XlsxError> {
        let boxed = Format::new()
            .set_border(FormatBorder::Thin)
            .set_text_wrap()
            .set_align(FormatAlign::Top);
        let told = boxed.clone().set_background_color("F2F2F2");
        // A text format keeps what is typed as it is typed: no dates made of numbers, no lost zeros.
        let open = boxed.clone().set_unlocked().set_num_format("@");
        let head = boxed
            .clone()
            .set_bold()
            .set_align(FormatAlign::Center)
            .set_align(FormatAlign::VerticalCenter);
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write_with_format(
            0,
            0,
            &self.title,
            &Format::new().set_bold().set_font_size(14),
        )?;
        for (row, text) in (1..).zip(&self.about) {
            sheet.write_string(row, 0, text)?;
        }
        let first = self.fixed.len() as u16;
        let mark = first + self.fields.len() as u16;
        for (column, (name, heading)) in (first..).zip(&self.fields) {
            sheet.write_string(NAMES_ROW, column, name)?;
            sheet.write_with_format(NAMES_ROW + 1, column, heading, &head)?;
            sheet.set_column_width(column, if wide(name) { 40 } else { 14 })?;
        }
        for (column, heading) in (0..).zip(&self.fixed) {
            sheet.write_with_format(NAMES_ROW + 1, column, heading, &head)?;
            sheet.set_column_width(column, if column == 1 { 45 } else { 14 })?;
        }
        sheet.write_string(NAMES_ROW, mark, MARK)?;
        sheet.write_string(NAMES_ROW + 1, mark, &self.mark)?;
        sheet.set_row_hidden(NAMES_ROW)?;
        sheet.set_column_hidden(mark)?;
        for (row, content) in (NAMES_ROW + 2..).zip(&self.rows) {
            for (column, text) in (0..).zip(&content.fixed) {
                sheet.write_string_with_format(row, column, text, &told)?;
            }
            for (column, text) in (first..).zip(&content.cells) {
                sheet.write_string_with_format(row, column, text, &open)?;
            }
            sheet.write_string(row, mark, &content.mark)?;
        }
        sheet.set_freeze_panes(NAMES_ROW + 2, first.min(2))?;
        sheet
            .set_landscape()
            .set_paper_size(9)
            .set_print_fit_to_pages(1, 0);
        sheet.set_repeat_rows(NAMES_ROW + 1, NAMES_ROW + 1)?;
        // Without a password: it keeps the marks from slips, not from people.
        sheet.protect_with_options(&ProtectionOptions {
            format_columns: true,
            format_rows: true,
            sort: true,
            use_autofilter: true,
            ..ProtectionOptions::default()
        });
        workbook.save_to_buffer()
    }

    /// As CSV in UTF-8.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        // Spreadsheet programs take a CSV file for UTF-8 only by this mark.
        let mut writer = csv::WriterBuilder::new()
            .flexible(true)
            .from_writer("\u{feff}".as_bytes().to_vec());
        let blank = || self.fixed.iter().map(|_| "");
        let names = self.fields.iter().map(|(name, _)| name.as_str());
        writer.write_record(blank().chain(names).chain([MARK]))?;
        let headings = self.fields.iter().map(|(_, heading)| heading.as_str());
        let fixed = self.fixed.iter().map(String::as_str);
        writer.write_record(fixed.chain(headings).chain([self.mark.as_str()]))?;
        for row in &self.rows {
            let cells = row.fixed.iter().chain(&row.cells).map(|cell| inert(cell));
            writer.write_record(
                cells
                    .chain([row.mark.as_str().into()])
                    .map(|cell| cell.into_owned()),
            )?;
        }
        writer
            .into_inner()
            .map_err(|error| error.into_error().into())
    }
}

/// Fields that hold sentences.
fn wide(name: &str) -> bool {
    matches!(
        name,
        "result" | "difficulties" | "next_steps" | "title" | "subtask" | "deliverable" | "kpi"
    )
}

/// What a row is about, for the people who fill it.
fn told(kind: &str, row: &Value) -> Vec<String> {
    match kind {
        "reports" => {
            let (title, subtask) = (shown(&row["task"]["title"]), shown(&row["task"]["subtask"]));
            let task = if subtask.is_empty() { title } else { subtask };
            vec![
                shown(&row["task"]["ref"]),
                task,
                unit(&row["unit"]),
                shown(&row["task"]["deadline"]),
            ]
        }
        "indicators" => vec![
            shown(&row["indicator"]["code"]),
            shown(&row["indicator"]["name"]),
            unit(&row["unit"]),
        ],
        _ => Vec::new(),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn unit(unit: &Value) -> String {
    format!("{} ({})", shown(&unit["name"]), shown(&unit["code"]))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
