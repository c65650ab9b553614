//! Rows as a workbook or as CSV. Pure.

use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, Workbook, XlsxError};
use serde_json::Value;

use super::settings::ColumnSettings;
use crate::sheet::fill::shown;
use crate::sheet::inert::inert;

/// Characters that a column may be wide.
const WIDEST: usize = 60;

/// The heading that is written for a column.
pub fn heading(column: &ColumnSettings) -> &str {
    column.headings.first().map_or("", String::as_str)
}

/// A workbook with one header row.
pub fn xlsx(
    sheet_name: Option<&str>,
    columns: &[ColumnSettings],
    rows: &[&Value],
) -> Result<Vec<u8>, XlsxError> {
    let boxed = Format::new()
        .set_border(FormatBorder::Thin)
        .set_text_wrap()
        .set_align(FormatAlign::Top);
    let head = boxed.clone().set_bold().set_align(FormatAlign::Center);
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    if let Some(name) = sheet_name {
        sheet.set_name(name)?;
    }
    for (at, column) in (0..).zip(columns) {
        let texts = rows.iter().map(|row| shown(&row[&column.name]));
        let longest = texts
            .map(|text| text.chars().count())
            .chain([heading(column).chars().count()]);
        let width = longest.max().unwrap_or_default().clamp(8, WIDEST);
        sheet.set_column_width(at, width as f64 + 2.0)?;
        sheet.write_string_with_format(0, at, heading(column), &head)?;
        for (number, row) in (1..).zip(rows) {
            match &row[&column.name] {
                Value::Number(value) if value.as_f64().is_some() => {
                    let value = value.as_f64().unwrap_or_default();
                    sheet.write_number_with_format(number, at, value, &boxed)?;
                }
                value => {
                    sheet.write_string_with_format(number, at, shown(value), &boxed)?;
                }
            }
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    workbook.save_to_buffer()
}

/// CSV in UTF-8, with the mark by which spreadsheet programs know it. It holds no cell that they would compute.
pub fn csv(columns: &[ColumnSettings], rows: &[&Value]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    let head = columns
        .iter()
        .map(|column| inert(heading(column)).into_owned());
    writer.write_record(head)?;
    for row in rows {
        let cells = columns.iter().map(|column| shown(&row[&column.name]));
        writer.write_record(cells.map(|cell| inert(&cell).into_owned()))?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}
