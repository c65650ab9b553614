//! A sheet of a workbook to a table, read cell by cell: a cell at XFD1048576 costs one cell.

use std::{collections::HashSet, io::Cursor};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};

use super::{
    guard::{Archive, damaged},
    header,
    remark::{Remark, RemarkCode, Severity},
    table::{Builder, CellKind, Limits, SheetError, Table},
};

/// Merged areas beyond this number are not looked at.
const MERGED_AREAS: usize = 50_000;

type Workbook<'a> = Xlsx<Cursor<&'a [u8]>>;

pub(super) fn read(
    name: &str,
    bytes: &[u8],
    wanted: Option<&str>,
    limits: &Limits,
) -> Result<Table, SheetError> {
    let mut archive = Archive::open(name, bytes, limits)?;
    let mut workbook: Workbook<'_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|error| damaged(name, &error))?;
    let mut first = None;
    for sheet in candidates(name, &workbook, wanted)? {
        let table = read_sheet(name, &mut workbook, &mut archive, &sheet, limits)?;
        if wanted.is_some() || header::is_recognised(&table) {
            return Ok(table);
        }
        if first
            .as_ref()
            .is_none_or(|first: &Table| first.rows.is_empty())
        {
            first = Some(table);
        }
    }
    first.ok_or_else(|| damaged(name, &"it has no sheets"))
}

/// The sheet asked for, else the visible worksheets, else all of them.
fn candidates(
    name: &str,
    workbook: &Workbook<'_>,
    wanted: Option<&str>,
) -> Result<Vec<String>, SheetError> {
    let sheets = || {
        workbook
            .sheets_metadata()
            .iter()
            .filter(|sheet| sheet.typ == SheetType::WorkSheet)
    };
    let Some(wanted) = wanted else {
        let visible: Vec<_> = sheets()
            .filter(|s| s.visible == SheetVisible::Visible)
            .map(|s| s.name.clone())
            .collect();
        return Ok(if visible.is_empty() {
            sheets().map(|s| s.name.clone()).collect()
        } else {
            visible
        });
    };
    let key = nqsync_core::calendar::fold(wanted);
    match sheets().find(|sheet| nqsync_core::calendar::fold(&sheet.name) == key) {
        Some(sheet) => Ok(vec![sheet.name.clone()]),
        None => Err(SheetError::NoSuchSheet {
            file: name.to_owned(),
            wanted: wanted.to_owned(),
            present: sheets()
                .map(|sheet| format!("\"{}\"", sheet.name))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

fn read_sheet(
    name: &str,
    workbook: &mut Workbook<'_>,
    archive: &mut Archive<'_>,
    sheet: &str,
    limits: &Limits,
) -> Result<Table, SheetError> {
    let failed = |error: XlsxError| damaged(name, &error);
    let mut builder = Builder::new(name, limits);
    builder.remark(Remark::new(
        name,
        RemarkCode::ReadAs,
        Severity::Note,
        format!("XLSX, sheet {sheet}"),
    ));
    let percents = percent_cells(workbook, sheet, limits).map_err(failed)?;
    let mut reader = workbook.worksheet_cells_reader(sheet).map_err(failed)?;
    while let Some(record) = reader.next_cell_with_formula_metadata().map_err(failed)? {
        let (row, column) = (record.pos.0.saturating_add(1), record.pos.1);
        let percent = percents.contains(&record.pos);
        let value = value(&record.value, percent);
        if record.formula.is_some() && !matches!(record.value, DataRef::Error(_)) {
            let (code, severity) = match &value {
                Some(_) => (RemarkCode::Formula, Severity::Note),
                None => (RemarkCode::FormulaWithoutValue, Severity::Missing),
            };
            builder.note(
                code,
                severity,
                row,
                column,
                value.as_ref().map_or("", |(text, _)| text.as_ref()),
            );
        }
        match (&record.value, value) {
            (DataRef::Error(error), _) => {
                builder.note(
                    RemarkCode::CellError,
                    Severity::Missing,
                    row,
                    column,
                    &error.to_string(),
                );
            }
            (_, Some((text, kind))) => builder.cell(row, column, &text, kind),
            (_, None) => {}
        }
        if builder.is_full() {
            break;
        }
    }
    drop(reader);
    for area in workbook
        .merge_cells_by_sheet_name(sheet)
        .map_err(failed)?
        .into_iter()
        .take(MERGED_AREAS)
    {
        let (first, last) = (area.start, area.end);
        builder.merge(
            (first.0.saturating_add(1), first.1),
            (last.0.saturating_add(1), last.1),
        );
    }
    for row in archive.hidden_rows(sheet)? {
        builder.hide(row);
    }
    Ok(builder.finish(Some(sheet.to_owned())))
}

/// The cells shown as percents: a cell that shows 45 % holds 0.45.
fn percent_cells(
    workbook: &mut Workbook<'_>,
    sheet: &str,
    limits: &Limits,
) -> Result<HashSet<(u32, u32)>, XlsxError> {
    let mut reader = workbook.worksheet_cells_reader(sheet)?;
    let shows_percent: Vec<bool> = reader
        .styles()
        .iter()
        .map(|style| {
            style
                .number_format
                .as_ref()
                .is_some_and(|format| format.format_code.contains('%'))
        })
        .collect();
    let mut found = HashSet::new();
    if !shows_percent.contains(&true) {
        return Ok(found);
    }
    while let Some((row, column, style)) = reader.next_style_id()? {
        if shows_percent.get(style) == Some(&true) && found.len() < limits.cells {
            found.insert((row, column));
        }
    }
    Ok(found)
}

/// A cell's value as a person sees it: dates `dd/mm/yyyy`, numbers plainly, percents with their sign.
fn value<'a>(
    value: &'a DataRef<'_>,
    percent: bool,
) -> Option<(std::borrow::Cow<'a, str>, CellKind)> {
    Some(match value {
        DataRef::Empty | DataRef::Error(_) => return None,
        DataRef::String(text) => (text.as_str().into(), CellKind::Text),
        DataRef::SharedString(text) => ((*text).into(), CellKind::Text),
        DataRef::Bool(truth) => (truth.to_string().into(), CellKind::Text),
        DataRef::Int(number) if percent => (format!("{number}00%").into(), CellKind::Number),
        DataRef::Int(number) => (number.to_string().into(), CellKind::Number),
        DataRef::Float(number) => (decimal(*number, percent).into(), CellKind::Number),
        DataRef::DateTime(moment) if moment.is_duration() => {
            (decimal(moment.as_f64(), false).into(), CellKind::Number)
        }
        DataRef::DateTime(moment) => {
            let (year, month, day, ..) = moment.to_ymd_hms_milli();
            (
                format!("{day:02}/{month:02}/{year:04}").into(),
                CellKind::Date,
            )
        }
        DataRef::DateTimeIso(text) => match text
            .get(..10)
            .and_then(|day| day.parse::<jiff::civil::Date>().ok())
        {
            Some(day) => (day.strftime("%d/%m/%Y").to_string().into(), CellKind::Date),
            None => (text.as_str().into(), CellKind::Text),
        },
        DataRef::DurationIso(text) => (text.as_str().into(), CellKind::Text),
    })
}

/// A number as Excel keeps it: 15 significant digits, so that 0.1 + 0.2 reads 0.3; shifted and signed for a percent.
fn decimal(number: f64, percent: bool) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    let scientific = format!("{:.14e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or(0) + if percent { 2 } else { 0 };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let point = usize::try_from(exponent + 1).unwrap_or(0);
    let sign = if number < 0.0 { "-" } else { "" };
    let unsigned = if digits.is_empty() {
        "0".to_owned()
    } else if exponent < 0 {
        format!(
            "0.{}{digits}",
            "0".repeat((-exponent - 1).unsigned_abs() as usize)
        )
    } else if digits.len() <= point {
        format!("{digits}{}", "0".repeat(point - digits.len()))
    } else {
        format!("{}.{}", &digits[..point], &digits[point..])
    };
    format!("{sign}{unsigned}{}", if percent { "%" } else { "" })
}

#[cfg(test)]
mod tests {
    use rust_xlsxwriter::{Format, Formula, Workbook as Writer};

    use super::*;
    use crate::sheet::read_workbook;

    fn table(writer: &mut Writer) -> Table {
        let bytes = writer.save_to_buffer().unwrap();
        read_workbook("plan.xlsx", &bytes, None, &Limits::default()).expect("a readable workbook")
    }

    fn text(table: &Table, row: u32, column: u32) -> Option<&str> {
        table
            .rows
            .iter()
            .find(|r| r.number == row)?
            .cell(column)
            .map(|cell| cell.text.as_str())
    }

    fn codes(table: &Table) -> Vec<(RemarkCode, Option<u32>)> {
        table
            .remarks
            .iter()
            .map(|remark| (remark.code, remark.row))
            .collect()
    }

    #[test]
    fn values_are_read_as_a_person_sees_them() {
        let mut writer = Writer::new();
        let sheet = writer.add_worksheet();
        let date = Format::new().set_num_format("dd/mm/yyyy");
        let percent = Format::new().set_num_format("0.00%");
        sheet.write_string(0, 0, " Phòng\nA ").unwrap();
        sheet.write_number_with_format(0, 1, 46_096, &date).unwrap();
        sheet
            .write_number_with_format(0, 2, 0.8812, &percent)
            .unwrap();
        sheet.write_number(0, 3, 0.1 + 0.2).unwrap();
        sheet.write_number(0, 4, 140_000_000_000_f64).unwrap();
        sheet
            .write_formula(0, 5, Formula::new("=1+1").set_result("2"))
            .unwrap();
        let table = table(&mut writer);
        let read: Vec<_> = (0..6)
            .map(|column| text(&table, 1, column).unwrap())
            .collect();
        assert_eq!(
            read,
            [
                "Phòng\nA",
                "15/03/2026",
                "88.12%",
                "0.3",
                "140000000000",
                "2"
            ]
        );
        assert!(codes(&table).contains(&(RemarkCode::Formula, Some(1))));
    }

    #[test]
    fn a_cell_in_the_last_corner_costs_one_cell() {
        let mut writer = Writer::new();
        let sheet = writer.add_worksheet();
        sheet.write_string(0, 0, "đầu").unwrap();
        sheet.write_string(1_048_575, 16_383, "cuối").unwrap();
        let table = table(&mut writer);
        assert_eq!(table.rows.len(), 2);
        assert_eq!(text(&table, 1_048_576, 16_383), Some("cuối"));
    }

    #[test]
    fn merged_areas_continue_only_into_rows_that_exist() {
        let mut writer = Writer::new();
        let sheet = writer.add_worksheet();
        sheet
            .merge_range(0, 0, 5_000, 0, "chung", &Format::new())
            .unwrap();
        sheet
            .merge_range(0, 1, 0, 2, "rộng", &Format::new())
            .unwrap();
        sheet.write_string(2, 1, "riêng").unwrap();
        let table = table(&mut writer);
        assert_eq!(table.rows.len(), 2);
        assert_eq!(
            (text(&table, 3, 0), text(&table, 1, 2)),
            (Some("chung"), Some("rộng"))
        );
        assert!(table.rows[1].cell(0).unwrap().continued);
    }

    #[test]
    fn hidden_rows_are_read_and_remarked() {
        let mut writer = Writer::new();
        writer.add_worksheet().set_name("Bìa").unwrap();
        let sheet = writer.add_worksheet().set_name("Kế hoạch").unwrap();
        sheet.write_string(0, 0, "một").unwrap();
        sheet.write_string(1, 0, "hai").unwrap();
        sheet.set_row_hidden(1).unwrap();
        let table = table(&mut writer);
        assert_eq!(table.sheet.as_deref(), Some("Kế hoạch"));
        assert!(!table.rows[0].hidden && table.rows[1].hidden);
        assert!(codes(&table).contains(&(RemarkCode::HiddenRow, Some(2))));
    }

    #[test]
    fn a_sheet_is_found_by_its_name_and_a_missing_one_is_said() {
        let mut writer = Writer::new();
        writer
            .add_worksheet()
            .set_name("Một")
            .unwrap()
            .write_string(0, 0, "1")
            .unwrap();
        writer
            .add_worksheet()
            .set_name("Hai")
            .unwrap()
            .write_string(0, 0, "2")
            .unwrap();
        let bytes = writer.save_to_buffer().unwrap();
        let read = |sheet| read_workbook("plan.xlsx", &bytes, Some(sheet), &Limits::default());
        assert_eq!(text(&read("hai").unwrap(), 1, 0), Some("2"));
        let refusal = read("Ba").unwrap_err().to_string();
        assert!(
            refusal.contains("\"Ba\"") && refusal.contains("\"Một\", \"Hai\""),
            "{refusal}"
        );
    }

    #[test]
    fn a_workbook_cut_off_anywhere_is_refused() {
        let mut writer = Writer::new();
        writer.add_worksheet().write_string(0, 0, "một").unwrap();
        let bytes = writer.save_to_buffer().unwrap();
        for kept in [0, 1, 30, bytes.len() / 2, bytes.len() - 1] {
            let refusal =
                read_workbook("plan.xlsx", &bytes[..kept], None, &Limits::default()).unwrap_err();
            assert!(
                matches!(refusal, SheetError::Damaged { .. }),
                "{kept}: {refusal}"
            );
        }
    }

    #[test]
    fn a_workbook_that_unpacks_too_far_is_refused_before_parsing() {
        let mut writer = Writer::new();
        let sheet = writer.add_worksheet();
        for row in 0..2_000 {
            sheet.write_number(row, 0, 1).unwrap();
        }
        let bytes = writer.save_to_buffer().unwrap();
        let limits = Limits {
            unpacked_bytes: 20_000,
            ..Limits::default()
        };
        let refusal = read_workbook("plan.xlsx", &bytes, None, &limits)
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("unpacked size"), "{refusal}");
    }

    #[test]
    fn decimals_are_written_out_exactly() {
        let written: Vec<_> = [0.0, -1.5, 1e15, 1.25e-7, 100.0]
            .map(|n| decimal(n, false))
            .into();
        assert_eq!(
            written,
            ["0", "-1.5", "1000000000000000", "0.000000125", "100"]
        );
        let percents: Vec<_> = [0.45, 1.0, 0.0005, 0.99999]
            .map(|n| decimal(n, true))
            .into();
        assert_eq!(percents, ["45%", "100%", "0.05%", "99.999%"]);
    }
}
