//! `quarantine`: records set aside, here or at a peer, each with its reason.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed};
use super::output::written;
use super::screen::{Screen, at, clean};
use super::{Job, job};
use crate::api::Command;

/// Verbs of `quarantine`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List what was set aside
    #[command(after_help = "Example:\n  nqsync quarantine list")]
    List,
    /// Show one record with its content
    #[command(after_help = "Example:\n  nqsync quarantine show 7")]
    Show {
        /// Its number in `quarantine list`
        item: u64,
    },
    /// Try one again, after its reason was removed
    #[command(after_help = "Example:\n  nqsync quarantine retry 7")]
    Retry {
        /// Its number in `quarantine list`
        item: u64,
    },
    /// Give one up for good
    #[command(after_help = "Example:\n  nqsync quarantine drop 7 --reason \"test record\"")]
    Drop {
        /// Its number in `quarantine list`
        item: u64,
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List => job(Command::QuarantineList, list),
            Verb::Show { item } => job(Command::QuarantineShow { item }, show),
            Verb::Retry { item } => job(Command::QuarantineRetry { item }, written),
            Verb::Drop { item, reason } => job(Command::QuarantineDrop { item, reason }, written),
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
            col("label-ref", |q, _| at(q, "item").to_string()),
            col("label-direction", |q, s| {
                s.word("word-direction-", at(q, "direction"))
            }),
            col("label-peer", |q, s| {
                s.plain(at(q, "peer")).chars().take(8).collect()
            }),
            col("label-kind", |q, s| s.word("word-kind-", at(q, "kind"))),
            col("label-reason", |q, s| s.plain(at(q, "reason"))),
            col("label-at", |q, s| s.time(at(q, "at"))),
        ],
    )
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let mut text = screen.facts(&[
        ("label-ref", at(data, "item").to_string()),
        (
            "label-direction",
            screen.word("word-direction-", at(data, "direction")),
        ),
        ("label-peer", screen.plain(at(data, "peer"))),
        ("label-kind", screen.word("word-kind-", at(data, "kind"))),
        ("label-id", screen.plain(at(data, "record"))),
        ("label-error", screen.plain(at(data, "code"))),
        ("label-reason", screen.plain(at(data, "reason"))),
        ("label-at", screen.time(at(data, "at"))),
    ]);
    let body = at(data, "body");
    if !body.is_null() {
        text += &format!("\n{}\n", screen.label("label-content"));
        let content = body
            .as_str()
            .map(str::to_owned)
            .unwrap_or_else(|| format!("{body:#}"));
        content
            .lines()
            .for_each(|line| text += &format!("{}\n", clean(line)));
    }
    text
}
