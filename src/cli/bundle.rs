//! `bundle`: carrying data on a medium, where no line may join two nodes.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed, num};
use super::node::seconds;
use super::screen::{Screen, at};
use super::{Caller, Job, absolute, job};
use crate::api::{Command, Failure};

/// Verbs of `bundle`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// Write what waits for a neighbour into a new bundle on a medium
    ///
    /// The bundle is a folder: signed with this node's key, sealed for the neighbour, numbered. It holds every record and
    /// file that the neighbour has not confirmed, and the receipts for its own bundles. So a bundle that is lost costs
    /// nothing but the way: the next one holds the same again, until a bundle with the receipt comes back.
    #[command(
        after_help = "Examples:\n  nqsync bundle export /media/usb                       for the node above\n  nqsync bundle export /media/usb --to 24001            for a node below\n  nqsync bundle export /srv/diode/out --one-way         nothing can come back\n  nqsync bundle export /media/usb --since 12            only what bundle 12 did not hold"
    )]
    Export {
        /// Folder on the medium; the bundle becomes a folder in it
        folder: PathBuf,
        /// The neighbour: its unit, or its node id [default: the node above]
        #[arg(long, value_name = "UNIT")]
        to: Option<String>,
        /// Build on this bundle: it must have arrived, or what follows waits there for it
        #[arg(long, value_name = "NUMBER")]
        since: Option<u64>,
        /// No answer can come back: none is expected, none is missed
        #[arg(long)]
        one_way: bool,
        /// How long the bundle may be taken in, such as 12h or 30d
        #[arg(long, default_value = "30d", value_parser = seconds)]
        expires: u64,
    },
    /// Take in the bundles on a medium, in the order of their numbers
    ///
    /// Each is refused whole when it is cut, changed, out of date, for somebody else or from nobody known here. Numbers that
    /// never came are named. A bundle that was half taken in when something stopped it goes on where it was.
    #[command(
        after_help = "Examples:\n  nqsync bundle import /media/usb\n  nqsync bundle import /media/usb --json | jq '.items[] | select(.missing != [])'"
    )]
    Import {
        /// The medium, or one bundle on it
        folder: PathBuf,
        /// Take in also what is out of date: where one of the two clocks is known to be wrong
        #[arg(long)]
        expired: bool,
    },
    /// Show the bundles on a medium, or without one those that went and came
    ///
    /// Every byte on the medium is compared with what was signed; exit 4 when one of them cannot be taken in. On the way out it
    /// tells whether a medium can be trusted.
    #[command(after_help = "Examples:\n  nqsync bundle show /media/usb\n  nqsync bundle show")]
    Show {
        /// The medium, or one bundle on it
        folder: Option<PathBuf>,
    },
}

impl Verb {
    pub(super) fn job(self, caller: &Caller) -> Result<Job, Failure> {
        let path = |folder: PathBuf| absolute(&folder, caller.lang);
        Ok(match self {
            Verb::Export {
                folder,
                to,
                since,
                one_way,
                expires,
            } => job(
                Command::BundleExport {
                    to,
                    folder: path(folder)?,
                    since,
                    one_way,
                    lasts_s: expires,
                },
                made,
            ),
            Verb::Import { folder, expired } => job(
                Command::BundleImport {
                    folder: path(folder)?,
                    expired,
                },
                taken,
            ),
            Verb::Show { folder } => job(
                Command::BundleShow {
                    folder: folder.map(path).transpose()?,
                },
                show,
            ),
        })
    }
}

pub(super) fn made(data: &Value, screen: &Screen) -> String {
    if at(data, "made") != &Value::Bool(true) {
        return String::new();
    }
    screen.facts(&[
        ("label-number", screen.plain(at(data, "number"))),
        ("label-peer", screen.plain(at(data, "to"))),
        ("label-folder", screen.plain(at(data, "folder"))),
        ("label-records", screen.plain(at(data, "records"))),
        ("label-files", screen.plain(at(data, "files"))),
        ("label-answers", screen.plain(at(data, "answers"))),
        ("label-size", screen.bytes(at(data, "bytes"))),
        ("label-expires", screen.time(at(data, "expires_at"))),
    ])
}

pub(super) fn taken(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            num("label-number", |b, s| s.plain(at(b, "number"))),
            col("label-unit", |b, s| s.plain(at(b, "from"))),
            col("label-state", |b, s| {
                s.word("word-bundle-", at(b, "outcome"))
            }),
            num("label-records", |b, s| s.plain(at(b, "records"))),
            num("label-files", |b, s| s.plain(at(b, "files"))),
            num("label-answers", |b, s| s.plain(at(b, "answers"))),
            col("label-missing-numbers", missing),
        ],
    )
}

fn missing(item: &Value, _: &Screen) -> String {
    let numbers = at(item, "missing").as_array().cloned().unwrap_or_default();
    let texts: Vec<String> = numbers.iter().map(Value::to_string).collect();
    texts.join(", ")
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let peer = |item: &Value, screen: &Screen| match item.get("peer") {
        Some(peer) => screen.plain(peer),
        None => screen.plain(at(item, "from")),
    };
    let when = |item: &Value, screen: &Screen| match item.get("at") {
        Some(when) => screen.time(when),
        None => screen.time(at(item, "made_at")),
    };
    listed(
        data,
        screen,
        None,
        &[
            num("label-number", |b, s| s.plain(at(b, "number"))),
            col("label-unit", peer),
            col("label-direction", |b, s| {
                s.word("word-direction-", at(b, "direction"))
            }),
            col("label-at", when),
            col("label-state", |b, s| {
                s.word("word-bundle-", at(b, "outcome"))
            }),
            col("label-missing-numbers", missing),
        ],
    )
}
