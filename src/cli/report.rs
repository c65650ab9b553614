//! `report`: a unit's progress on a task in a period.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::args::ReportArgs;
use super::list::{Col, col, listed, num, section, tabled};
use super::output::written;
use super::proposal::shown;
use super::screen::{Screen, at, items};
use super::{Job, job, task};
use crate::api::{Command, ReportFields};

/// Verbs of `report`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List reports
    #[command(
        after_help = "Examples:\n  nqsync report list --period 2026-03\n  nqsync report list --task III/12"
    )]
    List {
        /// Only of this task
        #[arg(long)]
        task: Option<String>,
        /// Only of this unit
        #[arg(long)]
        unit: Option<String>,
        /// Only of this period [default: the current one]
        #[arg(long)]
        period: Option<String>,
    },
    /// Show one report with its submission, verdicts, arrival, history and token
    #[command(
        after_help = "Example:\n  nqsync report show III/12 --unit 26548 --period 2026-03\n  nqsync report show III/12 --json | jq -r .token"
    )]
    Show {
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Write values into the draft; what is not named stays as it is
    #[command(
        after_help = "Examples:\n  nqsync report set III/12 --status in_progress --percent 40 --result \"Đã khảo sát\"\n  nqsync report set III/12 --numerator 2.274.905 --denominator 2.581.336\n  nqsync report set III/12 --status completed --percent 100 --submit"
    )]
    Set {
        #[command(flatten)]
        report: ReportArgs,
        #[command(flatten)]
        fields: FieldArgs,
        /// The token of `report show`: a change made since then becomes a conflict, never an overwrite
        #[arg(long)]
        token: Option<String>,
        /// Submit at once
        #[arg(long)]
        submit: bool,
    },
    /// Submit the present values
    #[command(after_help = "Example:\n  nqsync report submit III/12 --period 2026-03")]
    Submit {
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Take the submission back; the values stay as a draft
    #[command(after_help = "Example:\n  nqsync report withdraw III/12 --reason \"wrong figures\"")]
    Withdraw {
        #[command(flatten)]
        report: ReportArgs,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// The values of a report; an empty text clears one.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct FieldArgs {
    /// not_started, in_progress, completed, continuing, cancelled, or the Vietnamese words
    #[arg(long)]
    status: Option<String>,
    /// 0 to 100
    #[arg(long, allow_hyphen_values = true)]
    percent: Option<String>,
    /// What was achieved
    #[arg(long)]
    result: Option<String>,
    /// Difficulties
    #[arg(long)]
    difficulties: Option<String>,
    /// Next steps
    #[arg(long)]
    next_steps: Option<String>,
    /// Part, plain or as 2.274.905
    #[arg(long, allow_hyphen_values = true)]
    numerator: Option<String>,
    /// Whole, never 0
    #[arg(long, allow_hyphen_values = true)]
    denominator: Option<String>,
    /// Stated value
    #[arg(long, allow_hyphen_values = true)]
    value: Option<String>,
}

impl From<FieldArgs> for ReportFields {
    fn from(args: FieldArgs) -> ReportFields {
        ReportFields {
            status: args.status,
            percent: args.percent,
            result: args.result,
            difficulties: args.difficulties,
            next_steps: args.next_steps,
            numerator: args.numerator,
            denominator: args.denominator,
            value: args.value,
        }
    }
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List { task, unit, period } => {
                job(Command::ReportList { task, unit, period }, list)
            }
            Verb::Show { report } => job(
                Command::ReportShow {
                    report: report.into(),
                },
                show,
            ),
            Verb::Set {
                report,
                fields,
                token,
                submit,
            } => job(
                Command::ReportSet {
                    report: report.into(),
                    fields: fields.into(),
                    token,
                    submit,
                },
                written,
            ),
            Verb::Submit { report } => job(
                Command::ReportSubmit {
                    report: report.into(),
                },
                written,
            ),
            Verb::Withdraw { report, reason } => job(
                Command::ReportWithdraw {
                    report: report.into(),
                    reason,
                },
                written,
            ),
        }
    }
}

/// Columns of a report where the task is known.
pub(super) fn columns() -> Vec<Col> {
    vec![
        col("label-unit", |r, s| s.plain(at(r, "unit"))),
        col("label-period", |r, s| s.plain(at(r, "period"))),
        col("label-status", state),
        num("label-percent", |r, s| s.plain(at(r, "percent"))),
        col("label-submitted", |r, s| s.time(at(r, "submitted_at"))),
        num("label-evidence", |r, s| s.plain(at(r, "evidence"))),
        col("label-receipt", |r, s| {
            s.word("word-receipt-", at(r, "receipt"))
        }),
    ]
}

/// The derived status with what a person must know beside it: late, edited since, in conflict.
fn state(report: &Value, screen: &Screen) -> String {
    let mut words = vec![screen.word("word-status-", at(report, "status"))];
    let says_late = at(report, "status")
        .as_str()
        .is_some_and(|status| status.ends_with("_late"));
    if at(report, "late") == true && !says_late {
        words.push(screen.label("word-late"));
    }
    if at(report, "draft_changed") == true {
        words.push(screen.label("word-draft-changed"));
    }
    if !items(report, "conflicts").is_empty() {
        words.push(screen.label("word-in-conflict"));
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    let mut columns = vec![col("label-task", |r: &Value, s: &Screen| {
        s.plain(at(r, "task_title"))
    })];
    columns.extend(self::columns());
    listed(data, screen, None, &columns)
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let figures = [at(data, "numerator"), at(data, "denominator")].map(|v| screen.plain(v));
    let mut shown = screen.facts(&[
        ("label-id", screen.plain(at(data, "id"))),
        ("label-task", screen.plain(at(data, "task_title"))),
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-period", screen.plain(at(data, "period"))),
        ("label-status", state(data, screen)),
        (
            "label-stated",
            screen.word("word-status-", at(data, "stated_status")),
        ),
        ("label-percent", screen.plain(at(data, "percent"))),
        (
            "label-figures",
            if figures[0].is_empty() {
                String::new()
            } else {
                figures.join(" / ")
            },
        ),
        ("label-result", screen.plain(at(data, "result"))),
        ("label-difficulties", screen.plain(at(data, "difficulties"))),
        ("label-next-steps", screen.plain(at(data, "next_steps"))),
        ("label-submitted", screen.time(at(data, "submitted_at"))),
        ("label-evidence", evidence(at(data, "evidence"), screen)),
        ("label-arrival", arrival(at(data, "arrival"), screen)),
        (
            "label-receipt",
            screen.word("word-receipt-", at(data, "receipt")),
        ),
        ("label-conflicts", conflicts(data, screen)),
        ("label-remark", screen.plain(at(data, "remark"))),
        ("label-outside", outside(data, screen)),
    ]);
    let verdicts = items(data, "verdicts");
    if !verdicts.is_empty() {
        let columns = [
            col("label-unit", |v, s| {
                s.plain(first(v, &["reviewer", "unit"]))
            }),
            col("label-verdict", verdict),
            col("label-reason", |v, s| s.plain(at(v, "reason"))),
            col("label-at", |v, s| s.time(at(v, "at"))),
        ];
        shown += &section(
            screen,
            "label-verdicts",
            &tabled(verdicts, screen, None, &columns),
        );
    }
    shown + &task::history(data, screen)
}

/// How many files, or which.
fn evidence(evidence: &Value, screen: &Screen) -> String {
    match evidence {
        Value::Array(files) => files
            .iter()
            .map(|file| shown(file, screen))
            .collect::<Vec<_>>()
            .join(", "),
        count => screen.plain(count),
    }
}

fn arrival(arrival: &Value, screen: &Screen) -> String {
    screen.time(first(arrival, &["received_at", "at"]))
}

/// Outside systems that hold the report: where, under which id, and when both sides were last seen to agree.
fn outside(data: &Value, screen: &Screen) -> String {
    let one = |seen: &Value| {
        let (name, id) = (
            screen.plain(at(seen, "adapter")),
            screen.plain(at(seen, "id")),
        );
        format!("{name} {id} ({})", screen.time(at(seen, "agreed_at")))
    };
    let all: Vec<String> = items(data, "outside").iter().map(one).collect();
    all.join("; ")
}

fn conflicts(data: &Value, screen: &Screen) -> String {
    items(data, "conflicts")
        .iter()
        .map(|r| screen.word("word-register-", r))
        .collect::<Vec<_>>()
        .join(", ")
}

fn verdict(verdict: &Value, screen: &Screen) -> String {
    match at(verdict, "accepted").as_bool() {
        Some(true) => screen.label("word-verdict-accepted"),
        Some(false) => screen.label("word-verdict-rejected"),
        None => screen.word("word-verdict-", first(verdict, &["verdict", "state"])),
    }
}

/// The first of these fields that is there; a value that is no object stands for itself.
fn first<'a>(value: &'a Value, names: &[&str]) -> &'a Value {
    if !value.is_object() {
        return value;
    }
    names
        .iter()
        .map(|name| at(value, name))
        .find(|v| !v.is_null())
        .unwrap_or(&Value::Null)
}
