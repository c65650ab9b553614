//! `period`: a unit's reporting period, submitted by the unit and decided by the unit above.

use clap::{Args, Subcommand};
use nqsync_core::period::Step;
use serde_json::Value;

use super::list::{Col, col, listed, num, section, tabled};
use super::output::written;
use super::screen::{Screen, at, items};
use super::{Job, job};
use crate::api::Command;

/// Verbs of `period`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List the units here and directly below: what was due and came, where the period stands, since when, by whom
    #[command(
        after_help = "Examples:\n  nqsync period list --period 2026-03\n  nqsync period list --json | jq '.items[] | select(.overdue)'"
    )]
    List {
        /// Only this unit and those below it
        #[arg(long)]
        unit: Option<String>,
        #[command(flatten)]
        when: When,
    },
    /// Show one unit's period with its history, and what changed since it was submitted or closed
    #[command(after_help = "Example:\n  nqsync period show 26548 --period 2026-03")]
    Show {
        /// Unit: code, name or alias [default: the unit acted for]
        unit: Option<String>,
        #[command(flatten)]
        when: When,
    },
    /// Say that the reports of the unit acted for are in
    ///
    /// It may be said again after a correction; the unit above then answers the new submission.
    #[command(after_help = "Example:\n  nqsync period submit --period 2026-03")]
    Submit {
        #[command(flatten)]
        when: When,
    },
    /// Accept what a unit below submitted
    #[command(after_help = "Example:\n  nqsync period accept 26548 --period 2026-03")]
    Accept {
        #[command(flatten)]
        whose: Whose,
        /// A remark for the unit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Return what a unit below submitted, to be corrected
    #[command(
        after_help = "Example:\n  nqsync period return 26548 --period 2026-03 --reason \"III/12 does not add up\""
    )]
    Return {
        #[command(flatten)]
        whose: Whose,
        /// What is to be corrected; the unit reads it
        #[arg(long)]
        reason: String,
    },
    /// Close the period of units below, after consolidation: nobody writes into it any more
    #[command(
        after_help = "Examples:\n  nqsync period close 26548 --period 2026-03\n  nqsync period close --all --period 2026-03"
    )]
    Close {
        #[command(flatten)]
        whose: Whose,
        /// A remark for the units
        #[arg(long)]
        reason: Option<String>,
    },
    /// Open a closed period again
    #[command(
        after_help = "Example:\n  nqsync period reopen 26548 --period 2026-03 --reason \"wrong annex\""
    )]
    Reopen {
        #[command(flatten)]
        whose: Whose,
        /// Why; it is kept in the audit
        #[arg(long)]
        reason: String,
    },
}

/// Which period.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct When {
    /// Reporting period: 2026-W12, 2026-03, 2026-Q2, 2026 [default: the current one]
    #[arg(long)]
    period: Option<String>,
}

/// Whose period, and which.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct Whose {
    /// Units: codes, names or aliases
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    units: Vec<String>,
    /// All units directly below
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    when: When,
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List { unit, when } => job(
                Command::PeriodList {
                    unit,
                    period: when.period,
                },
                list,
            ),
            Verb::Show { unit, when } => job(
                Command::PeriodShow {
                    unit,
                    period: when.period,
                },
                show,
            ),
            Verb::Submit { when } => job(
                Command::PeriodSubmit {
                    period: when.period,
                },
                written,
            ),
            Verb::Accept { whose, reason } => decide(Step::Accept, whose, reason),
            Verb::Return { whose, reason } => decide(Step::Return, whose, Some(reason)),
            Verb::Close { whose, reason } => decide(Step::Close, whose, reason),
            Verb::Reopen { whose, reason } => decide(Step::Reopen, whose, Some(reason)),
        }
    }
}

fn decide(step: Step, whose: Whose, reason: Option<String>) -> Job {
    let Whose { units, all, when } = whose;
    job(
        Command::PeriodDecide {
            step,
            units,
            all,
            period: when.period,
            reason,
        },
        decided,
    )
}

fn columns() -> [Col; 7] {
    [
        col("label-unit", |p, s| s.plain(at(p, "unit"))),
        num("label-period-expected", |p, s| s.plain(at(p, "expected"))),
        num("label-received", |p, s| s.plain(at(p, "received"))),
        num("label-period-on-time", |p, s| s.plain(at(p, "on_time"))),
        col("label-state", state),
        col("label-since", |p, s| s.time(at(p, "since"))),
        col("label-by", |p, s| s.plain(at(p, "by"))),
    ]
}

/// The state with what a person must know beside it.
fn state(period: &Value, screen: &Screen) -> String {
    let mut words = vec![screen.word("word-period-", at(period, "state"))];
    if at(period, "overdue") == true {
        words.push(screen.label("word-late"));
    }
    if at(period, "in_conflict") == true {
        words.push(screen.label("word-in-conflict"));
    }
    if at(period, "changed_since").as_u64().unwrap_or(0) > 0 {
        words.push(screen.label("word-draft-changed"));
    }
    words.join(", ")
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    let due = format!(
        "{}: {}\n",
        screen.label("label-due"),
        screen.time(at(data, "due"))
    );
    due + &listed(data, screen, None, &columns())
}

fn show(data: &Value, screen: &Screen) -> String {
    let shown = written(data, screen);
    let history = [
        col("label-state", |h, s| s.word("word-period-", at(h, "state"))),
        col("label-unit", |h, s| s.plain(at(h, "unit"))),
        col("label-by", |h, s| s.plain(at(h, "by"))),
        col("label-at", |h, s| s.time(at(h, "at"))),
        col("label-reason", |h, s| s.plain(at(h, "reason"))),
    ];
    let lines = items(data, "history");
    let table = match lines.is_empty() {
        true => String::new(),
        false => tabled(lines, screen, None, &history),
    };
    shown + &section(screen, "label-history", &table)
}

/// One decision, or a table of several.
fn decided(data: &Value, screen: &Screen) -> String {
    if data.get("items").is_some() {
        return listed(data, screen, None, &columns());
    }
    written(data, screen)
}
