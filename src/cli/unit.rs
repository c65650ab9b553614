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
    /// Put a unit below another one, from a day on
    #[command(after_help = "Example:\n  nqsync unit move 26548 --to 79 --from 2026-07-01 --for 75")]
    Move {
        /// Code, name or alias
        unit: String,
        /// The unit above it from then on
        #[arg(long, value_name = "UNIT")]
        to: String,
        /// First day [default: today]
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
    },
    /// Let a unit be continued by another one, which inherits its records and queued work
    #[command(
        after_help = "Example:\n  nqsync unit merge 26548 26551 --into 26560 --from 2026-07-01"
    )]
    Merge {
        /// The units that end: codes, names or aliases
        #[arg(required = true)]
        units: Vec<String>,
        /// The unit that goes on
        #[arg(long, value_name = "UNIT")]
        into: String,
        /// First day of the new state [default: today]
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
    },
    /// Let a unit be continued by several; one of them inherits its records
    #[command(
        after_help = "Example:\n  nqsync unit split 26548 --into 26570 --into 26571 --heir 26570 --from 2026-07-01"
    )]
    Split {
        /// The unit that is split
        unit: String,
        /// A unit that goes on; given for each
        #[arg(long, value_name = "UNIT", required = true)]
        into: Vec<String>,
        /// The one that inherits the records
        #[arg(long, value_name = "UNIT")]
        heir: String,
        /// First day of the new state [default: today]
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
    },
    /// Hand a unit to another node; the former one may then only read it
    #[command(
        after_help = "Examples:\n  nqsync unit serve 26548 --node 26560\n  nqsync unit serve 26548"
    )]
    Serve {
        /// Code, name or alias
        unit: String,
        /// The node's id, or a unit that it serves [default: the node of the unit above]
        #[arg(long)]
        node: Option<String>,
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
            Verb::Move { unit, to, from } => job(Command::UnitMove { unit, to, from }, written),
            Verb::Merge { units, into, from } => {
                job(Command::UnitMerge { units, into, from }, written)
            }
            Verb::Split {
                unit,
                into,
                heir,
                from,
            } => job(
                Command::UnitSplit {
                    unit,
                    into,
                    heir,
                    from,
                },
                written,
            ),
            Verb::Serve { unit, node } => job(Command::UnitServe { unit, node }, written),
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
        ("label-undone", screen.plain(at(data, "undone"))),
        ("label-path", screen.plain(at(data, "path"))),
        ("label-served-by", screen.plain(at(data, "served_by"))),
        ("label-aliases", screen.plain(at(data, "aliases"))),
        ("label-id", screen.plain(at(data, "id"))),
    ])
}
