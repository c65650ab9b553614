//! `export`: records as a workbook that can come back, as CSV, or as JSON.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::Output;
use super::screen::at;
use super::{Caller, failure, put};
use crate::adapter::workbook::grid::Grid;
use crate::api::{Command, Exit, Failure, ImportKind};
use crate::t;

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
    let grid = Grid::of(&answer.data, caller.lang);
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
    answer.data = serde_json::json!({ "file": args.file, "rows": grid.rows(), "kind": kind });
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
pub(super) fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    std::fs::write(&part, bytes)?;
    std::fs::rename(&part, file)
}
