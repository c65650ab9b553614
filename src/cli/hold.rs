//! `hold`: mass changes that wait for a person, and those that can be undone.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed, num};
use super::output::written;
use super::screen::{Screen, at};
use super::{Job, job};
use crate::api::Command;

/// Verbs of `hold`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List mass changes: those that wait, and those of the last 30 days
    #[command(after_help = "Example:\n  nqsync hold list")]
    List,
    /// Show one with its records
    #[command(after_help = "Example:\n  nqsync hold show 3")]
    Show {
        /// Its number in `hold list`
        hold: u64,
    },
    /// Let one through
    ///
    /// Records of a neighbour are taken in; a verb given here is carried out as it was given.
    #[command(after_help = "Example:\n  nqsync hold release 3")]
    Release {
        /// Its number in `hold list`
        hold: u64,
        /// Why; needed where two persons have to agree
        #[arg(long)]
        reason: Option<String>,
    },
    /// Refuse one; this node keeps what it has
    #[command(after_help = "Example:\n  nqsync hold refuse 3 --reason \"wrong file imported\"")]
    Refuse {
        /// Its number in `hold list`
        hold: u64,
        /// Why; kept in the audit and shown beside each record
        #[arg(long)]
        reason: String,
    },
    /// Take one back within 30 days
    ///
    /// What somebody wrote since then stays. Records owned above this node are taken back there.
    #[command(after_help = "Example:\n  nqsync hold undo 3")]
    Undo {
        /// Its number in `hold list`
        hold: u64,
    },
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List => job(Command::HoldList, list),
            Verb::Show { hold } => job(Command::HoldShow { hold }, show),
            Verb::Release { hold, reason } => job(Command::HoldRelease { hold, reason }, written),
            Verb::Refuse { hold, reason } => job(Command::HoldRefuse { hold, reason }, written),
            Verb::Undo { hold } => job(Command::HoldUndo { hold }, written),
        }
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            col("label-ref", |h, _| at(h, "hold").to_string()),
            col("label-state", |h, s| s.word("word-hold-", at(h, "state"))),
            col("label-peer", source),
            num("label-removed", |h, s| s.plain(at(h, "removed"))),
            num("label-overwritten", |h, s| s.plain(at(h, "overwritten"))),
            num("label-of-records", |h, s| s.plain(at(h, "of"))),
            col("label-at", |h, s| s.time(at(h, "at"))),
        ],
    )
}

/// The neighbour, or the verb given here.
fn source(hold: &Value, screen: &Screen) -> String {
    match at(hold, "from").is_null() {
        true => screen.plain(at(hold, "verb")),
        false => screen.plain(at(hold, "from")),
    }
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let mut text = screen.facts(&[
        ("label-ref", at(data, "hold").to_string()),
        ("label-state", screen.word("word-hold-", at(data, "state"))),
        ("label-peer", source(data, screen)),
        ("label-by", screen.plain(at(data, "person"))),
        ("label-at", screen.time(at(data, "at"))),
        ("label-removed", screen.plain(at(data, "removed"))),
        ("label-overwritten", screen.plain(at(data, "overwritten"))),
        ("label-of-records", screen.plain(at(data, "of"))),
        ("label-decided-by", screen.plain(at(data, "decided_by"))),
        ("label-decided-at", screen.time(at(data, "decided_at"))),
        ("label-reason", screen.plain(at(data, "reason"))),
        ("label-undo-until", screen.time(at(data, "undo_until"))),
    ]);
    text += "\n";
    text += &listed(
        data,
        screen,
        None,
        &[
            col("label-kind", |r, s| s.word("word-kind-", at(r, "kind"))),
            col("label-unit", |r, s| s.plain(at(r, "unit"))),
            col("label-title", |r, s| s.plain(at(r, "title"))),
            col("label-loss", |r, s| s.word("word-loss-", at(r, "loss"))),
        ],
    );
    text
}
