//! `export`: records as a workbook that can come back, as CSV, or as JSON.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, ProtectionOptions, Workbook, XlsxError};
use serde_json::Value;

use super::output::Output;
use super::screen::{Screen, at, items};
use super::{Caller, failure, put};
use crate::api::{Command, Exit, Failure, ImportKind};
use crate::sheet::replica::MARK;
use crate::t;

/// Headings of the columns, in the catalogue.
pub(super) const HEADINGS: &str = "word-export-";

/// Row of the field names, hidden from people; the heading stands below it.
const NAMES_ROW: u32 = 4;

/// Write reports, tasks or indicators into a file that people fill and `import` takes back
///
/// Every row carries what it was made from. When the file comes back, exactly the cells that were edited are taken; a
/// cell that was edited on both sides becomes a conflict with both values.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync export bao-cao.xlsx --as reports\n  nqsync export bao-cao.xlsx --as reports --unit 24001 --period 2026-11\n  nqsync import bao-cao.xlsx --as reports --dry-run     when it comes back\n  nqsync export - --as tasks --format csv"
)]
pub struct ExportArgs {
    /// The file; - for standard output, where it is CSV or JSON
    file: PathBuf,
    /// What its rows are
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Kind,
    /// The form [default: by the file's name, else xlsx]
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// This unit and those below it [default: the node's own]
    #[arg(long)]
    unit: Option<String>,
    /// The reporting period [default: the current one]
    #[arg(long)]
    period: Option<String>,
    /// Replace the file if it is there
    #[arg(long)]
    overwrite: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Tasks,
    Reports,
    Indicators,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Xlsx,
    Csv,
    Json,
}

pub(super) fn run(args: ExportArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let by_name = args
        .file
        .extension()
        .and_then(|ending| Form::from_str(ending.to_str()?, true).ok());
    let form = args.format.or(by_name).unwrap_or(Form::Xlsx);
    let to_stdout = args.file.as_os_str() == "-";
    let bad = |key: &str| {
        let message = crate::text::text(
            caller.lang,
            key,
            &[("path", &args.file.display().to_string())],
        );
        failure(Exit::Usage, "cannot_write", message)
    };
    if to_stdout && form == Form::Xlsx {
        return Err(bad("err-export-stdout"));
    }
    if !to_stdout && args.file.exists() && !args.overwrite {
        return Err(bad("err-export-there"));
    }
    let kind = match args.kind {
        Kind::Tasks => ImportKind::Tasks,
        Kind::Reports => ImportKind::Reports,
        Kind::Indicators => ImportKind::Indicators,
    };
    let command = Command::Export {
        kind,
        unit: args.unit.clone(),
        period: args.period.clone(),
    };
    let mut answer = put(command, caller)?;
    let failed = |reason: String| {
        let path = args.file.display();
        let message = t!(
            caller.lang,
            "err-cannot-write",
            path = path,
            reason = reason
        );
        failure(Exit::Failed, "cannot_write", message)
    };
    let grid = Grid::of(&answer.data, &out.screen);
    let bytes = match form {
        Form::Xlsx => grid.xlsx().map_err(|e| failed(e.to_string()))?,
        Form::Csv => grid.csv().map_err(|e| failed(e.to_string()))?,
        Form::Json => format!("{:#}\n", answer.data).into_bytes(),
    };
    if to_stdout {
        print!("{}", String::from_utf8_lossy(&bytes));
        return Ok(answer.exit);
    }
    write(&args.file, &bytes).map_err(|e| failed(e.to_string()))?;
    answer.data = serde_json::json!({ "file": args.file, "rows": grid.rows.len(), "kind": kind });
    out.answer(&answer, |data| {
        let (rows, file) = (
            out.screen.plain(at(data, "rows")),
            out.screen.plain(at(data, "file")),
        );
        format!(
            "{}\n",
            t!(caller.lang, "cli-exported", rows = rows, file = file)
        )
    });
    Ok(answer.exit)
}

/// Whole or not at all: a half-written workbook must not be sent to anybody.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    std::fs::write(&part, bytes)?;
    std::fs::rename(&part, file)
}

/// A table with its heading. The first columns say what a row is about, then come the fields, then the mark.
struct Grid {
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
    fn of(data: &Value, screen: &Screen) -> Grid {
        let kind = data["kind"].as_str().unwrap_or_default();
        let fixed: &[&str] = match kind {
            "reports" => &["label-ref", "label-task", "label-unit", "label-deadline"],
            "indicators" => &["label-ref", "label-name", "label-unit"],
            _ => &[],
        };
        let names = items(data, "fields").iter().filter_map(Value::as_str);
        let heading = |name: &str| screen.label(&format!("{HEADINGS}{}", name.replace('_', "-")));
        let fields: Vec<(String, String)> =
            names.map(|name| (name.to_owned(), heading(name))).collect();
        let row = |row: &Value| GridRow {
            fixed: told(kind, row),
            cells: fields
                .iter()
                .map(|(name, _)| row["cells"][name].as_str().unwrap_or_default().to_owned())
                .collect(),
            mark: row["mark"].as_str().unwrap_or_default().to_owned(),
        };
        let unit = format!(
            "{} ({})",
            screen.plain(&data["unit"]["name"]),
            screen.plain(&data["unit"]["code"])
        );
        Grid {
            title: screen.label(&format!("{HEADINGS}title-{kind}")),
            about: vec![
                unit,
                format!(
                    "{}: {}",
                    screen.label("label-period"),
                    screen.plain(&data["period"])
                ),
            ],
            fixed: fixed.iter().map(|label| screen.label(label)).collect(),
            rows: items(data, "rows").iter().map(row).collect(),
            fields,
            mark: screen.label(&format!("{HEADINGS}mark")),
        }
    }

    fn xlsx(&self) -> Result<Vec<u8>, XlsxError> {
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

    fn csv(&self) -> Result<Vec<u8>, csv::Error> {
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
            let cells = row.fixed.iter().chain(&row.cells).chain([&row.mark]);
            writer.write_record(cells)?;
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
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let unit = format!(
        "{} ({})",
        text(&row["unit"]["name"]),
        text(&row["unit"]["code"])
    );
    match kind {
        "reports" => {
            let (title, subtask) = (text(&row["task"]["title"]), text(&row["task"]["subtask"]));
            let task = if subtask.is_empty() { title } else { subtask };
            vec![
                text(&row["task"]["ref"]),
                task,
                unit,
                text(&row["task"]["deadline"]),
            ]
        }
        "indicators" => vec![
            text(&row["indicator"]["code"]),
            text(&row["indicator"]["name"]),
            unit,
        ],
        _ => Vec::new(),
    }
}
