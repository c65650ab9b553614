//! `approval`: acts that need two persons.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed};
use super::output::written;
use super::screen::{Screen, at};
use super::{Job, job};
use crate::api::Command;

/// Verbs of `approval`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List acts that wait for a second person, then those that were decided
    #[command(after_help = "Example:\n  nqsync approval list")]
    List,
    /// Show one: who asked for what, when and why, and until when it waits
    #[command(after_help = "Example:\n  nqsync approval show 3")]
    Show {
        /// Its number in `approval list`
        approval: u64,
    },
    /// Approve one; it is carried out as it was asked for
    ///
    /// It takes a user with the role approver or administrator who did not ask for it: say who with --login.
    #[command(after_help = "Example:\n  nqsync approval approve 3 --login binh")]
    Approve {
        /// Its number in `approval list`
        approval: u64,
        /// What is to be remembered of the decision
        #[arg(long)]
        reason: Option<String>,
    },
    /// Refuse one; nothing is done
    #[command(
        after_help = "Example:\n  nqsync approval refuse 3 --reason \"the wrong node\" --login binh"
    )]
    Refuse {
        /// Its number in `approval list`
        approval: u64,
        /// Why; kept in the audit and shown to the one who asked
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List => job(Command::ApprovalList, list),
            Verb::Show { approval } => job(Command::ApprovalShow { approval }, show),
            Verb::Approve { approval, reason } => {
                job(Command::ApprovalApprove { approval, reason }, written)
            }
            Verb::Refuse { approval, reason } => {
                job(Command::ApprovalRefuse { approval, reason }, written)
            }
        }
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            col("label-ref", |a, _| at(a, "approval").to_string()),
            col("label-state", |a, s| {
                s.word("word-approval-", at(a, "state"))
            }),
            col("label-act", |a, s| s.word("word-act-", at(a, "act"))),
            col("label-subject", subject),
            col("label-asked-by", |a, s| s.plain(at(a, "asked_by"))),
            col("label-reason", |a, s| s.plain(at(a, "reason"))),
            col("label-expires", |a, s| s.time(at(a, "expires_at"))),
        ],
    )
}

/// The unit where it is about one: people know those, and not the ids of nodes.
fn subject(approval: &Value, screen: &Screen) -> String {
    match at(approval, "unit").is_null() {
        true => screen.plain(at(approval, "subject")),
        false => screen.plain(at(approval, "unit")),
    }
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-ref", at(data, "approval").to_string()),
        (
            "label-state",
            screen.word("word-approval-", at(data, "state")),
        ),
        ("label-act", screen.word("word-act-", at(data, "act"))),
        ("label-subject", screen.plain(at(data, "subject"))),
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-command", screen.plain(at(data, "command"))),
        ("label-asked-by", screen.plain(at(data, "asked_by"))),
        ("label-at", screen.time(at(data, "at"))),
        ("label-reason", screen.plain(at(data, "reason"))),
        ("label-expires", screen.time(at(data, "expires_at"))),
        ("label-target-changed", screen.plain(at(data, "changed"))),
        ("label-decided-by", screen.plain(at(data, "decided_by"))),
        ("label-decided-at", screen.time(at(data, "decided_at"))),
        ("label-decision", screen.plain(at(data, "decision"))),
    ])
}
