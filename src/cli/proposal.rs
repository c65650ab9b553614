//! `proposal`: wishes to change what another unit owns, and the owner's answers.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed};
use super::output::written;
use super::screen::{Screen, at, items, short_ids};
use super::{Job, job};
use crate::api::Command;

/// Verbs of `proposal`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List proposals made here or to be decided here
    #[command(after_help = "Example:\n  nqsync proposal list --open")]
    List {
        /// Only those nobody has answered
        #[arg(long)]
        open: bool,
    },
    /// Propose another value for a field of a task that another unit issued
    #[command(
        after_help = "Example:\n  nqsync proposal make III/12 deadline 30/06/2026 --reason \"flood in March\""
    )]
    Make {
        /// Task: its id, the beginning of it, or GROUP/NUMBER
        task: String,
        /// The field, such as deadline
        field: String,
        /// The value wished for
        value: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Withdraw an own proposal
    #[command(after_help = "Example:\n  nqsync proposal withdraw 0192f3c8")]
    Withdraw {
        /// Its id, or the beginning of it
        proposal: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Accept a proposal; this also writes the value
    #[command(after_help = "Example:\n  nqsync proposal accept 0192f3c8")]
    Accept {
        /// Its id, or the beginning of it
        proposal: String,
        /// A remark for the proposing unit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Reject a proposal
    #[command(
        after_help = "Example:\n  nqsync proposal reject 0192f3c8 --reason \"the date is fixed by the ministry\""
    )]
    Reject {
        /// Its id, or the beginning of it
        proposal: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List { open } => job(Command::ProposalList { open_only: open }, list),
            Verb::Make {
                task,
                field,
                value,
                reason,
            } => job(
                Command::ProposalMake {
                    task,
                    field,
                    value,
                    reason,
                },
                written,
            ),
            Verb::Withdraw { proposal, reason } => {
                job(Command::ProposalWithdraw { proposal, reason }, written)
            }
            Verb::Accept { proposal, reason } => job(
                Command::ProposalDecide {
                    proposal,
                    accept: true,
                    reason,
                    token: None,
                },
                written,
            ),
            Verb::Reject { proposal, reason } => job(
                Command::ProposalDecide {
                    proposal,
                    accept: false,
                    reason: Some(reason),
                    token: None,
                },
                written,
            ),
        }
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        Some(short_ids(items(data, "items"), "id")),
        &[
            col("label-task", |p, s| s.plain(at(p, "target_title"))),
            col("label-field", |p, s| {
                s.word("word-register-", at(p, "field"))
            }),
            col("label-wish", change),
            col("label-reason", |p, s| s.plain(at(p, "reason"))),
            col("label-proposer", |p, s| s.plain(at(p, "proposer"))),
            col("label-state", answer),
        ],
    )
}

fn change(proposal: &Value, screen: &Screen) -> String {
    let [base, value] = ["base", "value"].map(|name| shown(at(proposal, name), screen));
    if base.is_empty() {
        value
    } else {
        format!("{base} → {value}")
    }
}

/// A register's value for people: a composite one by what was written, the words of its parts otherwise.
pub(super) fn shown(value: &Value, screen: &Screen) -> String {
    let part = |name: &str| screen.plain(at(value, name));
    let has = |name: &str| value.get(name).is_some_and(|v| !v.is_null());
    if has("text") {
        part("text")
    } else if has("status") {
        let status = screen.word("word-status-", at(value, "status"));
        if has("percent") {
            format!("{status}, {} %", part("percent"))
        } else {
            status
        }
    } else if has("numerator") {
        let ratio = format!("{} / {}", part("numerator"), part("denominator"));
        if has("value") {
            format!("{} ({ratio})", part("value"))
        } else {
            ratio
        }
    } else if has("title") {
        format!("{} {}", part("code"), part("title"))
            .trim()
            .to_owned()
    } else if has("name") {
        part("name")
    } else {
        screen.plain(value)
    }
}

fn answer(proposal: &Value, screen: &Screen) -> String {
    let state = screen.word("word-proposal-", at(proposal, "state"));
    let reason = screen.plain(at(proposal, "decision_reason"));
    if reason.is_empty() {
        state
    } else {
        format!("{state}: {reason}")
    }
}
