//! `indicator`: figures to be reached, and the units' values.

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::list::{Col, col, listed, num};
use super::output::written;
use super::screen::{Screen, at, items};
use super::{Job, job};
use crate::api::Command;

/// Verbs of `indicator`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List indicators with their values
    #[command(after_help = "Example:\n  nqsync indicator list --period 2026-03 --unit 26548")]
    List {
        /// Values of this period [default: the current one]
        #[arg(long)]
        period: Option<String>,
        /// Values of this unit
        #[arg(long)]
        unit: Option<String>,
    },
    /// Define an indicator for units below
    #[command(
        after_help = "Example:\n  nqsync indicator define CT01 \"Tỷ lệ hồ sơ số hoá\" --measure % --aggregation ratio \\\n    --over-time cumulative --comparator \">=\" --target 80"
    )]
    Define {
        /// Its code
        code: String,
        /// Its name
        name: String,
        /// What it is measured in, such as %
        #[arg(long)]
        measure: Option<String>,
        /// How it adds up over time: the latest value counts, or the periods are summed
        #[arg(long, value_enum, default_value_t = OverTime::Cumulative)]
        over_time: OverTime,
        /// How it adds up over units
        #[arg(long, value_enum, default_value_t = Aggregation::Sum)]
        aggregation: Aggregation,
        /// >=, <=, =, > or <
        #[arg(long)]
        comparator: Option<String>,
        /// The value to be reached
        #[arg(long)]
        target: Option<String>,
        /// Units concerned; several with ; or by repeating
        #[arg(
            long = "unit",
            value_name = "UNIT",
            value_delimiter = ';',
            required = true
        )]
        units: Vec<String>,
    },
    /// Set a unit's value in a period
    #[command(after_help = "Examples:\n  nqsync indicator set CT01 --numerator 2.274.905 --denominator 2.581.336\n  nqsync indicator set CT02 --value 17 --period 2026-03", group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Set {
        /// Its code or id
        indicator: String,
        /// Whose value [default: the unit acted for]
        #[arg(long)]
        unit: Option<String>,
        /// Reporting period [default: the current one]
        #[arg(long)]
        period: Option<String>,
        /// The value, plain or as 2.274.905,5
        #[arg(long, group = "what", allow_hyphen_values = true)]
        value: Option<String>,
        /// Part
        #[arg(long, group = "what", allow_hyphen_values = true)]
        numerator: Option<String>,
        /// Whole, never 0
        #[arg(long, group = "what", allow_hyphen_values = true)]
        denominator: Option<String>,
        /// The token of `indicator list`: a change made since then becomes a conflict, never an overwrite
        #[arg(long)]
        token: Option<String>,
    },
}

/// How values add up over periods.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum OverTime {
    Cumulative,
    Discrete,
}

/// How values add up over units.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Aggregation {
    Sum,
    #[value(alias = "ratio")]
    RatioOfSums,
    Latest,
    Min,
    Max,
    WeightedMean,
}

/// The name a value has on the command line.
fn name_of(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|v| v.get_name().to_owned())
        .unwrap_or_default()
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List { period, unit } => job(Command::IndicatorList { period, unit }, list),
            Verb::Define {
                code,
                name,
                measure,
                over_time,
                aggregation,
                comparator,
                target,
                units,
            } => {
                let (over_time, aggregation) = (name_of(over_time), name_of(aggregation));
                let command = Command::IndicatorDefine {
                    code,
                    name,
                    measure,
                    over_time,
                    aggregation,
                    comparator,
                    target,
                    units,
                };
                job(command, written)
            }
            Verb::Set {
                indicator,
                unit,
                period,
                value,
                numerator,
                denominator,
                token,
            } => {
                let command = Command::IndicatorSet {
                    indicator,
                    unit,
                    period,
                    value,
                    numerator,
                    denominator,
                    token,
                };
                job(command, written)
            }
        }
    }
}

/// One line for each value; an indicator without values has one of its own.
pub(super) fn list(data: &Value, screen: &Screen) -> String {
    let mut lines = Vec::new();
    for indicator in items(data, "items") {
        let values = items(indicator, "values");
        let line = |value: &Value| serde_json::json!({ "indicator": indicator, "value": value });
        match values {
            [] => lines.push(line(indicator)),
            values => lines.extend(values.iter().map(line)),
        }
    }
    let total = at(data, "total").clone();
    listed(
        &serde_json::json!({ "items": lines, "total": total }),
        screen,
        None,
        &columns(),
    )
}

fn columns() -> [Col; 6] {
    [
        col("label-code", |l, s| s.plain(at(l, "indicator.code"))),
        col("label-name", |l, s| s.plain(at(l, "indicator.name"))),
        col("label-target", target),
        col("label-unit", |l, s| s.plain(at(l, "value.unit"))),
        col("label-period", |l, s| s.plain(at(l, "value.period"))),
        num("label-value", value),
    ]
}

fn target(line: &Value, screen: &Screen) -> String {
    let parts =
        ["comparator", "target", "measure"].map(|name| screen.plain(&line["indicator"][name]));
    parts.join(" ").trim().to_owned()
}

fn value(line: &Value, screen: &Screen) -> String {
    let [value, part, whole] =
        ["value", "numerator", "denominator"].map(|n| screen.plain(&line["value"][n]));
    match (value.is_empty(), part.is_empty()) {
        (_, true) => value,
        (true, false) => format!("{part} / {whole}"),
        (false, false) => format!("{value} ({part} / {whole})"),
    }
}
