//! `score`: units by points and place, with the numbers behind each point.

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::list::{Col, col, num, tabled};
use super::output::{Output, write_stdout};
use super::screen::{Screen, at, items};
use super::{Caller, put};
use crate::api::{Command, Exit, Failure};
use crate::sheet::inert::inert;
use crate::t;

/// Verbs of `score`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// Show how units score in a period, and in which place
    ///
    /// Criteria, weights and classifications are in scoring.toml beside the configuration. What has no basis, because nothing
    /// was due, is no zero: its weight leaves what could be reached.
    #[command(
        after_help = "Examples:\n  nqsync score show\n  nqsync score show --period 2026-03 --unit 26548\n  nqsync score show --period 2026-03 --format csv > xep-loai.csv"
    )]
    Show {
        /// The reporting period [default: the current one]
        #[arg(long)]
        period: Option<String>,
        /// Only this unit and those below it; places stay those among all
        #[arg(long)]
        unit: Option<String>,
        /// How it is written
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
}

/// How scores are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Table,
    Json,
    Csv,
}

pub(super) fn run(verb: Verb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let Verb::Show {
        period,
        unit,
        format,
    } = verb;
    let answer = put(Command::ScoreShow { period, unit }, caller)?;
    match format {
        Format::Table => out.answer(&answer, |data| show(data, &out.screen)),
        Format::Json => Output {
            json: true,
            screen: out.screen.clone(),
        }
        .answer(&answer, |_| String::new()),
        Format::Csv => write_stdout(csv(&answer.data).as_bytes()),
    }
    Ok(answer.exit)
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let rows = items(data, "items");
    let titles = items(data, "criteria.criterion");
    let columns: Vec<Col> = vec![
        num("label-rank", |r, s| s.plain(at(r, "rank"))),
        col("label-unit", |r, s| s.plain(at(r, "unit"))),
        col("label-name", |r, s| s.plain(at(r, "unit_name"))),
        num("label-points", |r, s| s.decimal(at(r, "points"))),
        num("label-of-most", |r, s| s.decimal(at(r, "most"))),
        num("label-percent", |r, s| s.decimal(at(r, "percent"))),
        col("label-grade", grade),
        col("label-score-lines", lines),
    ];
    let mut text = format!(
        "{} {}\n",
        screen.plain(at(data, "criteria.title")),
        screen.plain(at(data, "period"))
    );
    text += &tabled(rows, screen, None, &columns);
    for one in titles {
        text += &format!(
            "{}: {}\n",
            screen.plain(at(one, "code")),
            screen.plain(at(one, "title"))
        );
    }
    text
}

fn grade(row: &Value, screen: &Screen) -> String {
    match at(row, "rank").is_null() {
        true => t!(screen.lang, "score-no-basis"),
        false => screen.plain(at(row, "grade")),
    }
}

/// The numbers behind each point: `1: 9/10 = 36`.
fn lines(row: &Value, screen: &Screen) -> String {
    let each = items(row, "lines").iter().map(|line| {
        let points = match at(line, "points").is_null() {
            true => "–".to_owned(),
            false => screen.decimal(at(line, "points")),
        };
        format!(
            "{}: {}/{} = {points}",
            screen.plain(at(line, "code")),
            screen.plain(at(line, "reached")),
            screen.plain(at(line, "of"))
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

/// One line for each unit and criterion, with its place and score in every line.
fn csv(data: &Value) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = [
        "period",
        "unit",
        "unit_name",
        "rank",
        "points",
        "most",
        "percent",
        "grade",
        "criterion",
        "reached",
        "of",
        "criterion_points",
        "criterion_most",
    ];
    let text = |value: &Value| match value {
        Value::String(text) => inert(text).into_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).into()];
    for row in items(data, "items") {
        for line in items(row, "lines") {
            let mut cells = vec![text(at(data, "period"))];
            let own = [
                "unit",
                "unit_name",
                "rank",
                "points",
                "most",
                "percent",
                "grade",
            ];
            cells.extend(own.map(|name| text(at(row, name))));
            cells.extend(
                ["code", "reached", "of", "points", "most"].map(|name| text(at(line, name))),
            );
            rows.push(cells);
        }
    }
    for row in rows {
        // Into memory, where nothing fails.
        let _ = writer.write_record(row);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
