//! `audit`: who did what, and whether that was left as it was written.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed, num};
use super::output::{Output, written};
use super::screen::{Screen, at};
use super::{Caller, absolute, ask, job};
use crate::api::{AuditFilter, Command, Exit, Failure, Request};
use crate::node::commands::{audits, refuse};

/// Verbs of `audit`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// Show the newest entries, all or those that fit
    #[command(
        after_help = "Examples:\n  nqsync audit show --act report_ --since 2026-03-01\n  nqsync audit show --actor lan --limit 200 --json"
    )]
    Show {
        /// Person, node or adapter
        #[arg(long)]
        actor: Option<String>,
        /// Beginning of the act's name, such as `report_` or `quarantine.dropped`
        #[arg(long)]
        act: Option<String>,
        /// Record, node or link the act was about
        #[arg(long)]
        subject: Option<String>,
        /// Not before this day or moment: 2026-03-01 or 2026-03-01T07:00:00Z
        #[arg(long)]
        since: Option<String>,
        /// Most entries
        #[arg(long, default_value_t = audits::LISTED)]
        limit: u32,
    },
    /// Check that the audit is whole, here or in an exported file; exit 4 and where when it is not
    ///
    /// Each entry is hashed with the one before it. At each contact the node above signs how far the audit went, so an end
    /// that was cut off shows as well. A file is checked without any node; compare the key it names with
    /// `nqsync node show` at the level above.
    #[command(
        after_help = "Examples:\n  nqsync audit verify\n  nqsync audit verify audit-24001.ndjson"
    )]
    Verify {
        /// A file that `audit export` wrote
        file: Option<PathBuf>,
    },
    /// Write the whole audit to a new file for inspection, signed with this node's key
    #[command(after_help = "Example:\n  nqsync audit export audit-24001.ndjson")]
    Export {
        /// The new file
        file: PathBuf,
    },
    /// Say that a neighbour's audit that contradicted what was seen of it, or its other past, has been looked into
    ///
    /// `status` shows `audit_contradicts` and `restored_or_cloned` until then. What was seen stays kept.
    #[command(
        after_help = "Example:\n  nqsync audit accept 24001 --reason \"restored from the backup of 3 March, by telephone\""
    )]
    Accept {
        /// The neighbour: code of its unit, or node id
        peer: String,
        /// What was found; kept in the audit
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn run(verb: Verb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    match verb {
        Verb::Show {
            actor,
            act,
            subject,
            since,
            limit,
        } => {
            let filter = AuditFilter {
                actor,
                act,
                subject,
                since,
                limit: Some(limit),
            };
            ask(job(Command::AuditShow { filter }, show), caller, out)
        }
        Verb::Verify { file: None } => ask(job(Command::AuditVerify, verified), caller, out),
        Verb::Verify { file: Some(file) } => check(&absolute(&file, caller.lang)?, caller, out),
        Verb::Export { file } => {
            let to = absolute(&file, caller.lang)?;
            ask(job(Command::AuditExport { to }, written), caller, out)
        }
        Verb::Accept { peer, reason } => ask(
            job(Command::AuditAccept { peer, reason }, written),
            caller,
            out,
        ),
    }
}

fn check(file: &str, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let request = Request {
        request_id: caller.request_id.clone(),
        lang: caller.lang,
        person: caller.person.clone(),
        asker: Default::default(),
        acting_for: None,
        command: Command::AuditVerify,
    };
    let answer = audits::file::checked(&request, file).map_err(|r| refuse(caller.lang, r))?;
    out.answer(&answer, |data| checked(data, &out.screen));
    Ok(answer.exit)
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            num("label-number", |e, s| s.plain(at(e, "number"))),
            col("label-at", |e, s| s.time(at(e, "at"))),
            col("label-by", |e, s| s.plain(at(e, "actor"))),
            col("label-act", |e, s| s.plain(at(e, "act"))),
            col("label-subject", |e, s| s.plain(at(e, "subject"))),
        ],
    )
}

pub(super) fn verified(data: &Value, screen: &Screen) -> String {
    let mut text = screen.facts(&[
        ("label-entries", screen.plain(at(data, "entries"))),
        (
            "label-signed-up-to",
            screen.plain(at(data, "countersigned_up_to")),
        ),
        (
            "label-signed-by",
            screen.plain(at(data, "countersigned_by")),
        ),
        ("label-at", screen.time(at(data, "countersigned_at"))),
    ]);
    let wrong = at(data, "wrong").as_array().map_or(&[][..], Vec::as_slice);
    for item in wrong {
        text += &format!(
            "{} {}: {}\n",
            screen.label("label-number"),
            screen.plain(at(item, "entry")),
            screen.word("word-audit-", at(item, "how")),
        );
    }
    text
}

pub(super) fn checked(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-node", screen.plain(at(data, "node"))),
        ("label-made-at", screen.time(at(data, "exported_at"))),
        ("label-entries", screen.plain(at(data, "entries"))),
        (
            "label-countersigned",
            screen.plain(at(data, "countersigned")),
        ),
        ("label-key", screen.plain(at(data, "key"))),
    ])
}
