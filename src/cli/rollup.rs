//! `rollup`: counts of tasks, the table a standing office prints, and the same as CSV or a workbook.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::list::section;
use super::output::{Output, say, write_stdout};
use super::rollup_file;
use super::screen::{Screen, at, items, number};
use super::{Caller, failure, put};
use crate::api::{Command, Exit, Failure, RollupBy};
use crate::t;

/// Verbs of `rollup`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// Show counts of tasks and assignments with coverage and as-of
    #[command(
        disable_version_flag = true,
        after_help = "Examples:\n  nqsync rollup show\n  nqsync rollup show --period 2026-Q1 --by unit\n  nqsync rollup show --format xlsx --output tong-hop.xlsx\n  nqsync rollup show --recompute        and compare with a recomputation from nothing\n  nqsync rollup show --period 2026-03 --version 1        as it was before it was restated"
    )]
    Show {
        /// Reporting period: 2026-03, 2026-Q2, 2026 [default: the current one]
        #[arg(long)]
        period: Option<String>,
        /// Only this unit and those below it
        #[arg(long)]
        unit: Option<String>,
        /// What the rows are
        #[arg(long, value_enum, default_value_t = By::Group)]
        by: By,
        /// How it is written; --json is short for json
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// File for xlsx
        #[arg(long, value_name = "FILE", required_if_eq("format", "xlsx"))]
        output: Option<PathBuf>,
        /// Compute everything anew and compare
        #[arg(long)]
        recompute: bool,
        /// An earlier version of closed figures, exactly as it was; `period show` lists the versions
        #[arg(long, value_name = "N", conflicts_with_all = ["unit", "recompute"])]
        version: Option<u32>,
    },
}

/// Rows of a rollup.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum By {
    Group,
    Unit,
    Issuer,
}

/// How a rollup is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Table,
    Json,
    Csv,
    Xlsx,
}

pub(super) fn run(verb: Verb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let Verb::Show {
        period,
        unit,
        by,
        format,
        output,
        recompute,
        version,
    } = verb;
    let by = match by {
        By::Group => RollupBy::Group,
        By::Unit => RollupBy::Unit,
        By::Issuer => RollupBy::Issuer,
    };
    let answer = put(
        Command::RollupShow {
            period,
            unit,
            by,
            recompute,
            version,
        },
        caller,
    )?;
    let data = &answer.data;
    match format {
        Format::Json => Output {
            json: true,
            screen: out.screen.clone(),
        }
        .answer(&answer, |_| String::new()),
        Format::Table => out.answer(&answer, |data| show(data, &out.screen)),
        Format::Csv => {
            let csv =
                rollup_file::csv(data, &out.screen).map_err(|e| unwritable(caller, "-", &e))?;
            write_stdout(&csv);
            answer.notes.iter().for_each(|note| say(note));
        }
        Format::Xlsx => {
            let path = output.unwrap_or_default();
            let shown = path.display().to_string();
            rollup_file::xlsx(data, &out.screen, &path)
                .map_err(|e| unwritable(caller, &shown, &e))?;
            answer.notes.iter().for_each(|note| say(note));
            say(&t!(caller.lang, "cli-written", path = shown));
        }
    }
    Ok(answer.exit)
}

fn unwritable(caller: &Caller, path: &str, error: &dyn std::fmt::Display) -> Failure {
    failure(
        Exit::Failed,
        "cannot_write",
        t!(caller.lang, "err-cannot-write", path = path, reason = error),
    )
}

/// The states in the order an office prints them; whether the column stands even when it is empty.
const STATES: [(&str, bool); 10] = [
    ("completed_on_time", true),
    ("completed_late", true),
    ("in_progress", true),
    ("in_progress_late", false),
    ("continuing", true),
    ("awaiting_correction", true),
    ("not_started", false),
    ("not_reported", true),
    ("cancelled", false),
    ("unresolved_lead", false),
];

/// A rollup as head and numbers, for the screen, CSV and workbooks alike. The states of a row add up to its total.
pub(super) struct Grid {
    pub head: Vec<String>,
    pub rows: Vec<(String, Vec<i64>)>,
    pub total: (String, Vec<i64>),
}

/// The grid of a rollup. States that only a newer node knows get a column each, at the end.
pub(super) fn grid(data: &Value, screen: &Screen, short: bool) -> Grid {
    let all = |name: &str| {
        let in_rows = items(data, "rows")
            .iter()
            .any(|row| number(at(row, "tasks.by_status"), name) != 0);
        in_rows || number(at(data, "tasks.by_status"), name) != 0
    };
    let mut states: Vec<&str> = STATES
        .iter()
        .filter(|(n, always)| *always || all(n))
        .map(|(n, _)| *n)
        .collect();
    let named = at(data, "tasks.by_status").as_object();
    let unknown = named.into_iter().flatten().map(|(name, _)| name.as_str());
    states.extend(unknown.filter(|name| !STATES.iter().any(|(known, _)| known == name)));

    let family = if short {
        "word-column-"
    } else {
        "word-status-"
    };
    let what = match at(data, "by").as_str() {
        Some("unit") => "label-unit",
        Some("issuer") => "label-issuer",
        _ => "label-group",
    };
    let mut head = vec![screen.label(what), screen.label("label-total")];
    head.extend(
        states
            .iter()
            .map(|name| screen.word(family, &Value::from(*name))),
    );
    let numbers = |counts: &Value| {
        let mut numbers = vec![number(counts, "total")];
        numbers.extend(
            states
                .iter()
                .map(|name| number(at(counts, "by_status"), name)),
        );
        numbers
    };
    let rows = items(data, "rows")
        .iter()
        .map(|row| (label(row, screen), numbers(at(row, "tasks"))));
    Grid {
        head,
        rows: rows.collect(),
        total: (screen.label("label-sum"), numbers(at(data, "tasks"))),
    }
}

fn label(row: &Value, screen: &Screen) -> String {
    let [key, label] = ["key", "label"].map(|name| screen.plain(at(row, name)));
    match (key.is_empty(), label.is_empty() || label == key) {
        (true, true) => screen.label("word-no-group"),
        (_, true) => key,
        (true, false) => label,
        (false, false) => format!("{key}. {label}"),
    }
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let grid = grid(data, screen, true);
    let cells = |(label, numbers): (String, Vec<i64>)| {
        let mut cells = vec![label];
        cells.extend(numbers.into_iter().map(|n| screen.count(n)));
        cells
    };
    let mut rows: Vec<Vec<String>> = grid.rows.into_iter().map(cells).collect();
    rows.push(cells(grid.total));
    let period = t!(
        screen.lang,
        "cli-rollup-title",
        period = screen.plain(at(data, "period"))
    );
    let mut text = format!("{period}\n\n{}\n", screen.numbers(&grid.head, rows));
    text += &screen.facts(&below(data, screen));
    text += &issuers(items(data, "issuers"), screen);
    text += &not_counted(items(data, "not_counted"), screen);
    text + &recomputed(at(data, "recomputed"), screen)
}

/// What always stands below the numbers: whose they are, how complete, and as of when.
pub(super) fn below(data: &Value, screen: &Screen) -> Vec<(&'static str, String)> {
    vec![
        ("label-figures-version", version(data, screen)),
        ("label-coverage", coverage(at(data, "coverage"), screen)),
        ("label-as-of", as_of(at(data, "as_of"), screen)),
        ("label-evaluated-on", screen.time(at(data, "evaluated_on"))),
        ("label-on-time", on_time(at(data, "tasks"), screen)),
        (
            "label-assignments",
            screen.plain(at(data, "assignments.total")),
        ),
        ("label-unresolved", some(data, "unresolved_lead", screen)),
        ("label-warnings", warnings(at(data, "warnings"), screen)),
        (
            "label-evidence-pending",
            some(data, "evidence_pending", screen),
        ),
        (
            "label-not-counted",
            match items(data, "not_counted").len() {
                0 => String::new(),
                n => screen.plain(&Value::from(n)),
            },
        ),
    ]
}

/// Which version of closed figures this is, and how much waits; empty while nothing is closed.
fn version(data: &Value, screen: &Screen) -> String {
    let n = |name: &str| number(data, name);
    if at(data, "closed") != true && n("latest_version") < 2 && n("late") == 0 {
        return String::new();
    }
    t!(
        screen.lang,
        "cli-figures-version",
        version = screen.count(n("version")),
        latest = screen.count(n("latest_version")),
        late = screen.count(n("late")),
    )
}

/// A number that is only worth a line when it is not 0.
fn some(data: &Value, path: &str, screen: &Screen) -> String {
    match at(data, path) {
        Value::Object(counts) => match counts.get("total").and_then(Value::as_i64).unwrap_or(0) {
            0 => String::new(),
            n => screen.count(n),
        },
        value if value.as_i64() == Some(0) => String::new(),
        value => screen.plain(value),
    }
}

pub(super) fn coverage(coverage: &Value, screen: &Screen) -> String {
    let n = |name: &str| screen.count(number(coverage, name));
    let counted = t!(
        screen.lang,
        "cli-coverage",
        units = n("units_reported"),
        units_of = n("units_expected"),
        reports = n("reports_received"),
        reports_of = n("reports_expected"),
    );
    let complete = at(coverage, "complete") == true;
    let word = screen.label(if complete {
        "word-complete"
    } else {
        "word-incomplete"
    });
    format!("{counted}; {word}")
}

fn as_of(as_of: &Value, screen: &Screen) -> String {
    let [oldest, newest] = ["oldest", "newest"].map(|name| screen.time(at(as_of, name)));
    match (oldest.is_empty(), newest.is_empty()) {
        (true, true) => screen.label("word-nothing-yet"),
        (false, false) if oldest != newest => format!("{oldest} – {newest}"),
        (true, false) => newest,
        _ => oldest,
    }
}

fn on_time(tasks: &Value, screen: &Screen) -> String {
    let [on_time, late] = ["on_time", "late"].map(|name| screen.count(number(tasks, name)));
    t!(screen.lang, "cli-on-time", on_time = on_time, late = late)
}

fn warnings(warnings: &Value, screen: &Screen) -> String {
    let kinds = ["overdue", "behind", "insufficient"];
    let shown = kinds
        .iter()
        .filter(|kind| number(warnings, kind) > 0)
        .map(|kind| {
            let word = screen.word("word-warning-", &Value::from(*kind));
            format!("{word} {}", screen.count(number(warnings, kind)))
        });
    shown.collect::<Vec<_>>().join(", ")
}

/// Levels are shown apart, never added without saying so.
fn issuers(issuers: &[Value], screen: &Screen) -> String {
    if issuers.len() < 2 {
        return String::new();
    }
    let head = [
        "label-issuer",
        "label-level",
        "label-total",
        "label-coverage",
        "label-as-of",
    ];
    let rows = issuers.iter().map(|issuer| {
        let coverage = at(issuer, "coverage");
        vec![
            screen.plain(at(issuer, "issuer")),
            screen.word("word-level-", at(issuer, "level")),
            screen.plain(at(issuer, "tasks.total")),
            format!(
                "{}/{}",
                number(coverage, "reports_received"),
                number(coverage, "reports_expected")
            ),
            if at(issuer, "as_of").is_object() {
                as_of(at(issuer, "as_of"), screen)
            } else {
                screen.time(at(issuer, "as_of"))
            },
        ]
    });
    let head = head.map(|label| screen.label(label));
    section(
        screen,
        "label-issuers",
        &screen.table(&head, rows.collect(), &[2, 3], &[]),
    )
}

/// Rollups from below that no number here contains.
fn not_counted(left: &[Value], screen: &Screen) -> String {
    if left.is_empty() {
        return String::new();
    }
    let head = [
        "label-issuer",
        "label-level",
        "label-group",
        "label-reason",
        "label-version",
    ];
    let rows = left.iter().map(|left| {
        vec![
            screen.plain(at(left, "issuer")),
            screen.word("word-level-", at(left, "level")),
            screen.plain(at(left, "group")),
            screen.word("word-not-counted-", at(left, "reason")),
            screen.plain(at(left, "version")),
        ]
    });
    let head = head.map(|label| screen.label(label));
    section(
        screen,
        "label-not-counted",
        &screen.table(&head, rows.collect(), &[4], &[]),
    )
}

fn recomputed(recomputed: &Value, screen: &Screen) -> String {
    match at(recomputed, "same").as_bool() {
        None => String::new(),
        Some(true) => format!("\n{}\n", screen.label("cli-recomputed-same")),
        Some(false) => {
            let differences = items(recomputed, "differences").iter();
            let lines = differences
                .map(|d| format!("  {}\n", screen.plain(d)))
                .collect::<String>();
            format!("\n{}\n{lines}", screen.label("cli-recomputed-differs"))
        }
    }
}
