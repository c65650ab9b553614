//! `import`: a table from a spreadsheet, read in this process, understood and stored by the node.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

use super::list::{col, section, tabled};
use super::screen::{Screen, at, items};
use super::{Caller, evidence, put, task, wiring};
use crate::adapter::workbook::grid::HEADINGS;
use crate::api::{Command, Exit, Failure, ImportKind};
use crate::sheet::replica;
use crate::t;

use super::output::Output;

/// Import a plan, reports, indicators or units from XLSX or CSV
///
/// Finds the header row below title rows, accepts variants of the headers, merged and continued cells. What was not
/// understood is told by row and column. Importing the same file again changes nothing. A file that `export` wrote is
/// recognised: exactly the cells that were edited are taken.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync import ke-hoach.xlsx --as tasks --dry-run     what would be read, and what not\n  nqsync import ke-hoach.xlsx --as tasks --sheet \"Phụ lục 1\"\n  nqsync import don-vi.csv --as units"
)]
pub struct ImportArgs {
    /// The file
    file: PathBuf,
    /// What its rows are
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Kind,
    /// The sheet [default: the one that looks like a plan]
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Read and tell, change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Tasks,
    Reports,
    Indicators,
    Units,
}

impl From<Kind> for ImportKind {
    fn from(kind: Kind) -> ImportKind {
        match kind {
            Kind::Tasks => ImportKind::Tasks,
            Kind::Reports => ImportKind::Reports,
            Kind::Indicators => ImportKind::Indicators,
            Kind::Units => ImportKind::Units,
        }
    }
}

pub(super) fn run(args: ImportArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    evidence::readable(&args.file, caller.lang)?;
    let kind = args.kind.into();
    let source = args
        .file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let table = wiring::parse_table(&caller.place, &args.file, args.sheet.as_deref())?;
    if let Some(returned) = replica::returned(&table) {
        let command = Command::ImportEdits {
            source,
            rows: json!(returned),
            dry_run: args.dry_run,
        };
        let answer = put(command, caller)?;
        out.answer(&answer, |data| returned_rows(data, &out.screen));
        return Ok(answer.exit);
    }
    let names = unit_names(caller)?;
    let known = |text: &str| names.contains(&folded(text));
    let table = wiring::read_table(caller.lang, &args.file, &table, kind, &known)?;
    let answer = put(
        Command::Import {
            kind,
            source,
            table,
            dry_run: args.dry_run,
        },
        caller,
    )?;
    out.answer(&answer, |data| show(data, &out.screen));
    Ok(answer.exit)
}

/// Every code, name and alias of the units: they tell whether a comma in a cell stands between two units or inside the
/// name of one.
fn unit_names(caller: &Caller) -> Result<HashSet<String>, Failure> {
    let data = put(Command::UnitList { under: None }, caller)?.data;
    let mut names = HashSet::new();
    for unit in items(&data, "items") {
        let own = [at(unit, "code"), at(unit, "name")];
        let all = own
            .into_iter()
            .chain(items(unit, "aliases"))
            .filter_map(Value::as_str);
        names.extend(all.map(folded));
    }
    Ok(names)
}

/// A name without what people write differently: composition, case, spaces.
fn folded(text: &str) -> String {
    let words = text.nfc().collect::<String>().to_lowercase();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let mut text = String::new();
    let rows = items(data, "items");
    if !rows.is_empty() {
        let columns = [
            col("label-row", |r, _| at(r, "row").to_string()),
            col("label-group", |r, s| s.plain(at(r, "group"))),
            col("label-number", |r, s| s.plain(at(r, "number"))),
            col("label-action", |r, s| {
                s.word("word-import-", at(r, "action"))
            }),
            col("label-lead", task::lead),
            col("label-deadline", |r, s| {
                if at(r, "deadline").is_object() {
                    task::deadline(r, s)
                } else {
                    s.time(at(r, "deadline"))
                }
            }),
        ];
        text += &tabled(rows, screen, None, &columns);
    }
    let remarks = items(data, "remarks");
    if !remarks.is_empty() {
        let columns = [
            col("label-row", |r, s| row(at(r, "row"), s)),
            col("label-column", |r, s| s.plain(at(r, "column"))),
            col("label-severity", |r, s| {
                s.word("word-severity-", at(r, "severity"))
            }),
            col("label-found", |r, s| s.plain(at(r, "found"))),
            col("label-remark", |r, s| s.plain(at(r, "message"))),
        ];
        text += &section(
            screen,
            "label-remarks",
            &tabled(remarks, screen, None, &columns),
        );
    }
    let n = |name: &str| screen.plain(at(data, name));
    let summary = t!(
        screen.lang,
        "cli-import-summary",
        source = n("source"),
        rows = n("rows"),
        created = n("created"),
        updated = n("updated"),
        unchanged = n("unchanged"),
        refused = n("refused"),
    );
    text += &format!("\n{summary}\n");
    if at(data, "dry_run") == true {
        text += &format!("{}\n", t!(screen.lang, "cli-dry-run"));
    }
    text
}

/// What became of the cells of a workbook that came back.
fn returned_rows(data: &Value, screen: &Screen) -> String {
    let mut text = String::new();
    let rows = items(data, "items");
    if !rows.is_empty() {
        let columns = [
            col("label-row", |r, _| at(r, "row").to_string()),
            col("label-field", |r, s| {
                let name = at(r, "field")
                    .as_str()
                    .unwrap_or_default()
                    .replace('_', "-");
                s.label(&format!("{HEADINGS}{name}"))
            }),
            col("label-action", |r, s| {
                s.word("word-cell-", at(r, "outcome"))
            }),
            col("label-adapter-ours", |r, s| s.plain(at(r, "here"))),
            col("label-found", |r, s| s.plain(at(r, "cell"))),
            col("label-reason", |r, s| s.plain(at(r, "reason"))),
        ];
        text += &tabled(rows, screen, None, &columns);
    }
    let numbers = |name: &str| {
        let numbers: Vec<String> = items(data, name)
            .iter()
            .map(|value| screen.plain(value))
            .collect();
        numbers.join(", ")
    };
    for (key, name) in [
        ("cli-rows-untraced", "untraced"),
        ("cli-columns-lost", "lost_columns"),
    ] {
        if !items(data, name).is_empty() {
            text += &format!(
                "{}\n",
                crate::text::text(screen.lang, key, &[("which", &numbers(name))])
            );
        }
    }
    let n = |name: &str| screen.plain(at(data, name));
    let summary = t!(
        screen.lang,
        "cli-returned-summary",
        source = n("source"),
        rows = n("rows"),
        edited = n("edited"),
        same = n("same"),
        conflict = n("conflict"),
        refused = n("refused"),
    );
    text += &format!("\n{summary}\n");
    if at(data, "dry_run") == true {
        text += &format!("{}\n", t!(screen.lang, "cli-dry-run"));
    }
    text
}

fn row(row: &Value, screen: &Screen) -> String {
    if row.is_number() {
        row.to_string()
    } else {
        screen.plain(row)
    }
}
