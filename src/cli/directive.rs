//! `directive`: the documents tasks rest on.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed};
use super::output::written;
use super::screen::{Screen, at, items, short_ids};
use super::{Job, evidence, job, task};
use crate::api::{Command, Failure, Lang};

/// Verbs of `directive`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List directive documents
    #[command(after_help = "Example:\n  nqsync directive list")]
    List,
    /// Add a directive document for units below
    #[command(
        after_help = "Example:\n  nqsync directive add 12/CT-UBND \"Về đẩy mạnh số hoá hồ sơ\" --date 15/03/2026 --file ct12.pdf"
    )]
    Add {
        /// Its number and sign
        number: String,
        /// What it is about
        summary: String,
        /// Its date
        #[arg(long)]
        date: Option<String>,
        /// Its kind, such as "Chỉ thị"
        #[arg(long)]
        kind: Option<String>,
        /// Units it goes to; several with ; or by repeating [default: none, it stays here]
        #[arg(long = "unit", value_name = "UNIT", value_delimiter = ';')]
        units: Vec<String>,
        /// The document itself
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Show one directive
    #[command(after_help = "Example:\n  nqsync directive show 12/CT-UBND")]
    Show {
        /// Its number, its id or the beginning of it
        directive: String,
    },
}

impl Verb {
    pub(super) fn job(self, lang: Lang) -> Result<Job, Failure> {
        Ok(match self {
            Verb::List => job(Command::DirectiveList, list),
            Verb::Show { directive } => job(Command::DirectiveShow { directive }, show),
            Verb::Add {
                number,
                summary,
                date,
                kind,
                units,
                file,
            } => {
                let file = file
                    .map(|file| evidence::readable(&file, lang))
                    .transpose()?;
                job(
                    Command::DirectiveAdd {
                        number,
                        date,
                        kind,
                        summary,
                        units,
                        file,
                    },
                    written,
                )
            }
        })
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        Some(short_ids(items(data, "items"), "id")),
        &[
            col("label-number", |d, s| s.plain(at(d, "number"))),
            col("label-date", |d, s| s.time(at(d, "date"))),
            col("label-kind", |d, s| s.plain(at(d, "kind"))),
            col("label-summary", |d, s| s.plain(at(d, "summary"))),
            col("label-issuer", |d, s| s.plain(at(d, "issuer"))),
        ],
    )
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let facts = screen.facts(&[
        ("label-id", screen.plain(at(data, "id"))),
        ("label-number", screen.plain(at(data, "number"))),
        ("label-date", screen.time(at(data, "date"))),
        ("label-kind", screen.plain(at(data, "kind"))),
        ("label-summary", screen.plain(at(data, "summary"))),
        ("label-issuer", screen.plain(at(data, "issuer"))),
        ("label-units", screen.plain(at(data, "units"))),
        ("label-file", screen.plain(at(data, "file.name"))),
    ]);
    facts + &task::history(data, screen)
}
