//! `verify`: whether two levels hold the same, and whether this store is undamaged.

use clap::Args;
use serde_json::Value;

use super::list::{col, listed};
use super::screen::{Screen, at};
use super::{Job, job};
use crate::api::Command;

/// Compare with the node above record by record; exit 4 when something differs
///
/// What waits is exchanged first. Two equal stores cost a few kilobytes. Records that one side has set aside (`quarantine list`) are
/// not compared. --repair makes both sides offer again what differs, and compares once more. --local reads this store
/// alone: SQLite's own check, every record's digest, the chain of the audit, every attachment's SHA-256.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync verify                     with the node above; the service must run\n  nqsync verify --repair            and offer again what differs\n  nqsync verify --local             is this disk well?\n  nqsync verify --local --repair    attachments that are damaged are fetched again"
)]
pub struct VerifyArgs {
    /// Only this store, without the line
    #[arg(long)]
    local: bool,
    /// Mark what differs to be sent or fetched again
    #[arg(long)]
    repair: bool,
}

impl VerifyArgs {
    pub(super) fn job(&self) -> Job {
        let command = Command::Verify {
            local: self.local,
            repair: self.repair,
        };
        job(command, if self.local { local } else { compared })
    }
}

fn compared(data: &Value, screen: &Screen) -> String {
    if at(data, "differ") == 0 {
        return screen.facts(&[("label-records", screen.plain(at(data, "records")))]);
    }
    listed(
        data,
        screen,
        None,
        &[
            col("label-kind", |d, s| s.word("word-kind-", at(d, "kind"))),
            col("label-record", |d, s| s.plain(at(d, "record"))),
            col("label-side", |d, s| s.word("word-holder-", at(d, "side"))),
        ],
    )
}

fn local(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-records", screen.plain(at(data, "records"))),
        ("label-files", screen.plain(at(data, "files"))),
        ("label-differ", screen.plain(at(data, "differ"))),
    ])
}
