//! A rollup for other programs: CSV, and a workbook as an office files it.

use std::path::Path;

use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, Workbook, XlsxError};
use serde_json::Value;

use super::rollup::{below, grid};
use super::screen::{Screen, at, items, number};
use crate::sheet::inert::inert;
use crate::t;

/// Fixed names for programs: one line for each row, then the total under the key `total`. Coverage, as-of and how many
/// rollups are in no number stand in every line, so that no figure is read without them.
const CSV_STATES: [&str; 10] = [
    "completed_on_time",
    "completed_late",
    "in_progress",
    "in_progress_late",
    "continuing",
    "awaiting_correction",
    "not_started",
    "not_reported",
    "cancelled",
    "unresolved_lead",
];

/// The rollup as CSV with a header line.
pub fn csv(data: &Value, screen: &Screen) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut head = vec!["period", "key", "label", "issuer", "total"];
    head.extend(CSV_STATES);
    head.extend([
        "on_time",
        "late",
        "assignments",
        "units_reported",
        "units_expected",
        "as_of_oldest",
        "as_of_newest",
        "not_counted",
    ]);
    writer.write_record(&head)?;
    for row in items(data, "rows") {
        writer.write_record(line(data, row, screen, None))?;
    }
    writer.write_record(line(data, data, screen, Some("total")))?;
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

fn line(data: &Value, row: &Value, screen: &Screen, key: Option<&str>) -> Vec<String> {
    let text = |value: &Value| {
        if value.is_string() {
            inert(&screen.plain(value)).into_owned()
        } else {
            String::new()
        }
    };
    let count = |path: &str| number(row, path).to_string();
    let key = key
        .map(str::to_owned)
        .unwrap_or_else(|| text(at(row, "key")));
    let mut line = vec![
        text(at(data, "period")),
        key,
        text(at(row, "label")),
        text(at(row, "issuer")),
    ];
    line.push(count("tasks.total"));
    line.extend(
        CSV_STATES
            .iter()
            .map(|state| count(&format!("tasks.by_status.{state}"))),
    );
    line.extend(["tasks.on_time", "tasks.late", "assignments.total"].map(count));
    let coverage = if at(row, "coverage").is_object() {
        at(row, "coverage")
    } else {
        at(data, "coverage")
    };
    line.extend(
        ["units_reported", "units_expected"].map(|name| number(coverage, name).to_string()),
    );
    let as_of = if at(row, "as_of").is_object() {
        at(row, "as_of")
    } else {
        at(data, "as_of")
    };
    line.extend(["oldest", "newest"].map(|name| text(at(as_of, name))));
    line.push(items(data, "not_counted").len().to_string());
    line
}

/// The rollup as a workbook: title, table with a total line, and below it coverage and as-of.
pub fn xlsx(data: &Value, screen: &Screen, path: &Path) -> Result<(), XlsxError> {
    workbook(data, screen)?.save(path)
}

fn workbook(data: &Value, screen: &Screen) -> Result<Workbook, XlsxError> {
    let grid = grid(data, screen, false);
    let boxed = Format::new().set_border(FormatBorder::Thin);
    let bold = boxed.clone().set_bold();
    let head = bold
        .clone()
        .set_text_wrap()
        .set_align(FormatAlign::Center)
        .set_align(FormatAlign::VerticalCenter);
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let title = t!(
        screen.lang,
        "cli-rollup-title",
        period = screen.plain(at(data, "period"))
    );
    sheet.write_with_format(0, 0, title, &Format::new().set_bold().set_font_size(14))?;
    sheet.set_column_width(0, 48)?.set_landscape();
    let mut row = 2;
    for (column, text) in (0..).zip(&grid.head) {
        sheet.write_with_format(row, column, text, &head)?;
    }
    let last = grid.rows.len();
    for (index, (label, numbers)) in grid.rows.into_iter().chain([grid.total]).enumerate() {
        let format = if index == last { &bold } else { &boxed };
        row += 1;
        sheet.write_string_with_format(row, 0, &label, &format.clone().set_text_wrap())?;
        for (column, number) in (1..).zip(numbers) {
            sheet.write_number_with_format(row, column, number as f64, format)?;
        }
    }
    row += 1;
    for (label, value) in below(data, screen)
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    {
        row += 1;
        sheet.write_string(row, 0, screen.label(label))?;
        sheet.write_string(row, 1, &value)?;
    }
    Ok(workbook)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::golden::{rollup, screen};
    use calamine::{Data, Reader, Xlsx};

    #[test]
    fn the_csv_has_a_total_line_that_the_rows_add_up_to() {
        let csv = csv(&rollup(), &screen()).expect("in memory");
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let totals: Vec<u32> = reader
            .records()
            .map(|r| r.expect("a line")[4].parse().expect("a number"))
            .collect();
        let (total, rows) = totals.split_last().expect("lines");
        assert_eq!(*total, rows.iter().sum::<u32>());
        assert_eq!(*total, 36);
    }

    #[test]
    fn what_is_not_counted_is_told_on_the_screen_in_the_csv_and_in_the_workbook() {
        let mut data = rollup();
        let none = csv(&data, &screen()).expect("in memory");
        data["not_counted"] = serde_json::json!([{ "issuer": "24002", "name": "Xã", "level": "commune", "group": "II",
            "reason": "unknown_version", "version": 2 }]);
        let shown = crate::cli::rollup::show(&data, &screen());
        let reason = screen().word("word-not-counted-", &"unknown_version".into());
        assert!(shown.contains("24002"), "{shown}");
        let first = reason.split(' ').next().expect("a word");
        assert!(shown.contains(first), "{shown}");
        let some = csv(&data, &screen()).expect("in memory");
        for (bytes, count) in [(none, "0"), (some, "1")] {
            let mut reader = csv::Reader::from_reader(bytes.as_slice());
            let lines: Vec<_> = reader.records().map(|r| r.expect("a line")).collect();
            assert!(
                lines
                    .iter()
                    .all(|line| line.iter().next_back() == Some(count))
            );
        }
        let told = below(&data, &screen());
        assert!(told.contains(&("label-not-counted", "1".to_owned())));
    }

    #[test]
    fn a_label_is_never_a_formula() {
        let mut data = rollup();
        data["rows"][0]["label"] = "=HYPERLINK(\"x\")".into();
        let csv = String::from_utf8(csv(&data, &screen()).expect("in memory")).expect("text");
        assert!(csv.contains("'=HYPERLINK"), "{csv}");
    }

    #[test]
    fn the_workbook_reads_back_with_total_coverage_and_as_of() {
        let bytes = workbook(&rollup(), &screen())
            .and_then(|mut w| w.save_to_buffer())
            .expect("in memory");
        let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
        let sheet = book
            .worksheet_range_at(0)
            .expect("a sheet")
            .expect("readable");
        let cells: Vec<&Data> = sheet.used_cells().map(|(_, _, cell)| cell).collect();
        assert!(cells.contains(&&Data::Float(36.0)));
        for label in ["label-coverage", "label-as-of"] {
            assert!(
                cells.contains(&&Data::String(screen().label(label))),
                "{label}"
            );
        }
    }
}
