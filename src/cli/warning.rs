//! `warning`: red warnings about tasks, and saying why one needs no attention.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed};
use super::output::written;
use super::screen::{Screen, at};
use super::{Job, job};
use crate::api::Command;
use crate::t;

/// Verbs of `warning`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List red warnings: overdue, at less than half of where the calendar says, or judged insufficient
    ///
    /// Shown is the work whose reports pass this node: its own, and that of the units below.
    #[command(
        after_help = "Examples:\n  nqsync warning list\n  nqsync warning list --unit 26548 --kind overdue\n  nqsync warning list --json | jq '.items[] | select(.silenced | not)'"
    )]
    List {
        /// Only of this unit and those below it
        #[arg(long)]
        unit: Option<String>,
        /// Only this kind: overdue, behind, insufficient
        #[arg(long)]
        kind: Option<String>,
        /// Also those that stand no longer, for about a year
        #[arg(long)]
        all: bool,
    },
    /// Show one with where the work stands
    #[command(after_help = "Example:\n  nqsync warning show 12")]
    Show {
        /// Its number in `warning list`
        warning: u64,
    },
    /// Say why warnings need no attention, and until when
    ///
    /// They stay in the list, marked, and are not counted or sent. It holds at this node only; the level above still sees
    /// them. A warning that stands no longer and comes anew is a new one.
    #[command(
        after_help = "Example:\n  nqsync warning silence 12 13 --until 2026-04-30 --reason \"new deadline asked for in 57/CV\""
    )]
    Silence {
        /// Their numbers in `warning list`
        #[arg(required = true)]
        warnings: Vec<u64>,
        /// Why; it is kept in the audit
        #[arg(long)]
        reason: String,
        /// The last day on which it holds, such as 15/3/2026 or 2026-03-15
        #[arg(long, value_name = "DATE")]
        until: String,
    },
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List { unit, kind, all } => {
                let whole = Command::WarningList {
                    unit,
                    kind,
                    all,
                    offset: 0,
                    limit: None,
                };
                job(whole, list)
            }
            Verb::Show { warning } => job(Command::WarningShow { warning }, written),
            Verb::Silence {
                warnings,
                reason,
                until,
            } => job(
                Command::WarningSilence {
                    warnings,
                    reason,
                    until,
                },
                list,
            ),
        }
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            // Written without marks between thousands: this is what the other verbs take.
            col("label-ref", |w, _| at(w, "warning").to_string()),
            col("label-warning", |w, s| {
                s.word("word-warning-", at(w, "kind"))
            }),
            col("label-unit", |w, s| s.plain(at(w, "unit"))),
            col("label-task", |w, s| s.plain(at(w, "task_title"))),
            col("label-due", |w, s| s.time(at(w, "due"))),
            col("label-since", |w, s| s.time(at(w, "raised_at"))),
            col("label-state", state),
        ],
    )
}

fn state(warning: &Value, screen: &Screen) -> String {
    if !at(warning, "cleared_at").is_null() {
        return screen.label("word-warning-cleared");
    }
    match at(warning, "silenced") == true {
        true => t!(
            screen.lang,
            "warning-silenced",
            until = screen.time(at(warning, "until")),
            by = screen.plain(at(warning, "silenced_by"))
        ),
        false => String::new(),
    }
}

/// The counts in one line.
pub(super) fn counts(counts: &Value, screen: &Screen) -> String {
    if counts.is_null() {
        return String::new();
    }
    let n = |name: &str| screen.plain(at(counts, name));
    t!(
        screen.lang,
        "status-warnings",
        open = n("open"),
        overdue = n("by_kind.overdue"),
        behind = n("by_kind.behind"),
        insufficient = n("by_kind.insufficient"),
        silenced = n("silenced"),
    )
}
