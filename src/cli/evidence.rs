//! `evidence`: the files that prove progress, and the reviewer's verdict on a submission.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::args::ReportArgs;
use super::list::{col, listed, num};
use super::output::written;
use super::screen::{Screen, at, items, short_ids};
use super::{Job, absolute, failure, job};
use crate::api::{Command, Exit, Failure, Lang};
use crate::t;

/// Verbs of `evidence`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// Add a file to a report
    #[command(
        after_help = "Example:\n  nqsync evidence add III/12 bao-cao.pdf --note \"signed 12/03/2026\""
    )]
    Add {
        /// Task: its id, the beginning of it, or GROUP/NUMBER
        task: String,
        /// The file
        file: PathBuf,
        /// Unit that reports [default: the unit acted for]
        #[arg(long)]
        unit: Option<String>,
        /// Reporting period [default: the current one]
        #[arg(long)]
        period: Option<String>,
        /// A remark kept with the file
        #[arg(long)]
        note: Option<String>,
    },
    /// List evidence and where its bytes are
    #[command(after_help = "Example:\n  nqsync evidence list --task III/12")]
    List {
        /// Only of this task
        #[arg(long)]
        task: Option<String>,
        /// Only of this unit
        #[arg(long)]
        unit: Option<String>,
        /// Only of this period
        #[arg(long)]
        period: Option<String>,
    },
    /// Write the bytes of an evidence file to a path
    #[command(after_help = "Example:\n  nqsync evidence get 0192f3c8 /tmp/bao-cao.pdf")]
    Get {
        /// Its id, or the beginning of it
        evidence: String,
        /// Where to write it
        to: PathBuf,
    },
    /// Take evidence back
    #[command(after_help = "Example:\n  nqsync evidence remove 0192f3c8 --reason \"wrong file\"")]
    Remove {
        /// Its id, or the beginning of it
        evidence: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// As reviewer: accept the evidence of a report's latest submission
    #[command(
        after_help = "Example:\n  nqsync evidence accept III/12 --unit 26548 --period 2026-03"
    )]
    Accept {
        #[command(flatten)]
        report: ReportArgs,
        /// A remark
        #[arg(long)]
        reason: Option<String>,
    },
    /// As reviewer: send it back; the task then waits for correction
    #[command(
        after_help = "Example:\n  nqsync evidence reject III/12 --unit 26548 --reason \"not signed\""
    )]
    Reject {
        #[command(flatten)]
        report: ReportArgs,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

impl Verb {
    pub(super) fn job(self, lang: Lang) -> Result<Job, Failure> {
        Ok(match self {
            Verb::Add {
                task,
                file,
                unit,
                period,
                note,
            } => {
                let path = readable(&file, lang)?;
                let report = ReportArgs { task, unit, period }.into();
                job(Command::EvidenceAdd { report, path, note }, written)
            }
            Verb::List { task, unit, period } => {
                job(Command::EvidenceList { task, unit, period }, list)
            }
            Verb::Get { evidence, to } => job(
                Command::EvidenceGet {
                    evidence,
                    to: absolute(&to, lang)?,
                },
                written,
            ),
            Verb::Remove { evidence, reason } => {
                job(Command::EvidenceRemove { evidence, reason }, written)
            }
            Verb::Accept { report, reason } => job(
                Command::EvidenceVerdict {
                    report: report.into(),
                    accepted: true,
                    reason,
                    token: None,
                },
                written,
            ),
            Verb::Reject { report, reason } => {
                let reason = Some(reason);
                job(
                    Command::EvidenceVerdict {
                        report: report.into(),
                        accepted: false,
                        reason,
                        token: None,
                    },
                    written,
                )
            }
        })
    }
}

/// The path for the node to read; a slip of the pen is told here, without asking the node.
pub(super) fn readable(file: &std::path::Path, lang: Lang) -> Result<String, Failure> {
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_file() => absolute(file, lang),
        Ok(_) => Err(failure(
            Exit::Usage,
            "not_a_file",
            t!(lang, "err-not-a-file", path = file.display()),
        )),
        Err(error) => {
            let message = t!(
                lang,
                "err-cannot-read",
                path = file.display(),
                reason = error
            );
            Err(failure(Exit::Usage, "cannot_read", message))
        }
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        Some(short_ids(items(data, "items"), "id")),
        &[
            col("label-file", |e, s| s.plain(at(e, "name"))),
            num("label-size", |e, s| s.bytes(at(e, "size"))),
            col("label-unit", |e, s| s.plain(at(e, "unit"))),
            col("label-period", |e, s| s.plain(at(e, "period"))),
            col("label-state", |e, s| s.word("word-blob-", at(e, "state"))),
            col("label-added", |e, s| s.time(at(e, "added_at"))),
        ],
    )
}
