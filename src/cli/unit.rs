//! `unit`: the org units this node knows.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed};
use super::output::written;
use super::screen::{Screen, at};
use super::{Job, job};
use crate::api::Command;

/// Verbs of `unit`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List units, all or one with everything below it
    #[command(after_help = "Examples:\n  nqsync unit list\n  nqsync unit list --under 75")]
    List {
        /// Only this unit and those below it
        #[arg(long, value_name = "UNIT")]
        under: Option<String>,
    },
    /// Show one unit
    #[command(after_help = "Example:\n  nqsync unit show 26548")]
    Show {
        /// Code, name or alias
        unit: String,
    },
    /// Add a unit below one that is owned here
    #[command(
        after_help = "Example:\n  nqsync unit add 26548 \"Phường Trấn Biên\" --level commune --parent 75 --alias \"Trấn Biên\""
    )]
    Add {
        /// Its code; text, so 00123 keeps its zeros
        code: String,
        /// Its name
        name: String,
        /// ministry, province, commune or department
        #[arg(long)]
        level: Option<String>,
        /// The unit above [default: the unit acted for]
        #[arg(long, value_name = "UNIT")]
        parent: Option<String>,
        /// Another name under which plans mention it; may be repeated
        #[arg(long = "alias", value_name = "NAME")]
        aliases: Vec<String>,
    },
    /// Give a unit another code or name
    #[command(after_help = "Example:\n  nqsync unit rename 26548 --name \"Phường Trấn Biên\"", group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Rename {
        /// Code, name or alias
        unit: String,
        /// The new code
        #[arg(long, group = "what")]
        code: Option<String>,
        /// The new name
        #[arg(long, group = "what")]
        name: Option<String>,
    },
    /// Add a name under which plans mention a unit; tasks whose lead was unresolved are linked
    #[command(after_help = "Example:\n  nqsync unit alias PV01 \"Phòng Tham mưu\"")]
    Alias {
        /// Code, name or alias
        unit: String,
        /// The further name
        alias: String,
    },
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List { under } => job(Command::UnitList { under }, list),
            Verb::Show { unit } => job(Command::UnitShow { unit }, show),
            Verb::Add {
                code,
                name,
                level,
                parent,
                aliases,
            } => job(
                Command::UnitAdd {
                    code,
                    name,
                    level,
                    parent,
                    aliases,
                },
                written,
            ),
            Verb::Rename { unit, code, name } => {
                job(Command::UnitRename { unit, code, name }, written)
            }
            Verb::Alias { unit, alias } => job(Command::UnitAlias { unit, alias }, written),
        }
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            col("label-code", |u, s| s.plain(at(u, "code"))),
            col("label-name", |u, s| s.plain(at(u, "name"))),
            col("label-level", |u, s| s.word("word-level-", at(u, "level"))),
            col("label-parent", |u, s| s.plain(at(u, "parent"))),
            col("label-served-by", served),
            col("label-aliases", |u, s| s.plain(at(u, "aliases"))),
        ],
    )
}

/// The node's id as far as it tells nodes apart.
fn served(unit: &Value, screen: &Screen) -> String {
    screen
        .plain(at(unit, "served_by"))
        .chars()
        .take(8)
        .collect()
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-code", screen.plain(at(data, "code"))),
        ("label-name", screen.plain(at(data, "name"))),
        ("label-level", screen.word("word-level-", at(data, "level"))),
        ("label-parent", screen.plain(at(data, "parent"))),
        ("label-path", screen.plain(at(data, "path"))),
        ("label-served-by", screen.plain(at(data, "served_by"))),
        ("label-aliases", screen.plain(at(data, "aliases"))),
        ("label-id", screen.plain(at(data, "id"))),
    ])
}
