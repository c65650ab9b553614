//! `classification`: the stores of an isolated node for what is above *none*; and `task lower`, which goes between two of them.
//!
//! A store of a level is a node's store like any other, in a folder of its own with its own configuration and keys. Only this
//! file deals with two of them, by putting verbs to each.

use std::path::Path;

use clap::Subcommand;
use nqsync_core::model::{Classification, NodeId};
use serde_json::{Value, json};

use super::list::{col, tabled};
use super::output::{Output, written};
use super::place::{LEVELS, Place};
use super::screen::{Screen, at};
use super::{Caller, failure, put, wiring};
use crate::api::{Answer, Asker, Command, Exit, Failure, Outcome, TaskFields};
use crate::node::Refusal;
use crate::node::commands::{refuse, secrecy};
use crate::t;

/// Verbs of `classification`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// Make the store of a level, or bring the units of the one that is there up to date
    ///
    /// The store gets a folder, a database, a key and an audit of its own below the data directory, and the units as this node
    /// knows them. Units go up only.
    /// Where [approval] of the configuration names ceiling, a new store waits for a second user of this node: the first one
    /// asks with --login and --reason, and gives the verb again when the other one has approved.
    #[command(
        after_help = "Examples:\n  nqsync classification prepare confidential --dir /srv/province\n  nqsync classification prepare confidential --reason \"Quyết định 12\" --login an.nguyen\n  nqsync task add --title \"...\" --lead PV01 --classification confidential --dir /srv/province"
    )]
    Prepare {
        /// confidential (Mật), secret (Tối mật) or top_secret (Tuyệt mật)
        level: String,
        /// Why this computer is to hold it, for the second person
        #[arg(long)]
        reason: Option<String>,
    },
    /// List the stores above none on this node
    #[command(after_help = "Example:\n  nqsync classification list")]
    List,
}

pub(super) fn run(verb: Verb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let answer = match verb {
        Verb::Prepare { level, reason } => prepare(&level, reason, caller)?,
        Verb::List => return list(caller, out),
    };
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(answer.exit)
}

/// The level that was typed.
pub(super) fn named(text: &str, caller: &Caller) -> Result<Classification, Failure> {
    Classification::named(text).ok_or_else(|| refuse(caller.lang, secrecy::unknown(text)))
}

/// Whether a store of this level may not come to this computer yet, because a second person has to agree first. One that is
/// there has come before.
pub(super) fn waits_for_another(
    place: &Place,
    level: Classification,
    caller: &Caller,
) -> Result<bool, Failure> {
    let store = place.file().with_file_name("store.db");
    if store.exists() || !caller.base.wants_two_for_a_level()? {
        return Ok(false);
    }
    let level = level.word().to_owned();
    let at_the_node = caller.in_place(caller.base.clone());
    let known = put(Command::LevelAllowed { level }, &at_the_node)?;
    Ok(known.data["allowed"] != true)
}

/// A backup brings the store of a level: the second person is asked for by `prepare`.
pub(super) fn may_come(
    place: &Place,
    level: Classification,
    caller: &Caller,
) -> Result<(), Failure> {
    if level == Classification::None || !waits_for_another(place, level, caller)? {
        return Ok(());
    }
    let args = [
        ("level", level.to_string()),
        ("word", level.word().to_owned()),
    ];
    let (exit, code) = (Exit::PersonNeeded, "level-not-agreed");
    Err(refuse(caller.lang, Refusal::with(exit, code, args)))
}

fn prepare(level: &str, reason: Option<String>, caller: &Caller) -> Outcome {
    let level = named(level, caller)?;
    if level == Classification::None {
        let message = t!(caller.lang, "err-no-store-of-its-own");
        return Err(failure(Exit::Usage, "no_store_of_its_own", message));
    }
    let place = caller.base.at(level)?;
    if waits_for_another(&place, level, caller)? {
        let allow = Command::LevelAllow {
            level: level.word().to_owned(),
            reason: reason.unwrap_or_default(),
        };
        return put(allow, caller);
    }
    let below = put(Command::UnitsForAbove, caller)?.data;
    let node: Option<NodeId> = below["node"].as_str().and_then(|id| id.parse().ok());
    let unit = below["unit"].as_str().and_then(|id| id.parse().ok());
    let (Some(node), Some(unit)) = (node, unit) else {
        let message = t!(caller.lang, "err-no-units-below");
        return Err(failure(Exit::NotInitialised, "not_initialised", message));
    };
    let made = wiring::prepare_level(&caller.base, &place, level, node)?;
    let units = below["units"].as_array().into_iter().flatten();
    let units = units.filter_map(|line| line.as_str().map(str::to_owned));
    let command = Command::UnitsFromBelow {
        node,
        unit,
        units: units.collect(),
    };
    let taken = put(command, &caller.in_place(place.clone()))?;
    let file = place.file();
    let dir = file.parent().unwrap_or(Path::new("."));
    Ok(Answer {
        exit: Exit::Done,
        data: json!({ "classification": level.word(), "dir": dir, "created": made,
            "units": taken.data["units"], "changed": taken.data["changed"] }),
        notes: vec![t!(
            caller.lang,
            "note-level-prepared",
            level = level.to_string(),
            word = level.word()
        )],
    })
}

fn list(caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let config = caller.base.load()?.config;
    let dirs = Classification::ABOVE_NONE.map(|level| {
        let dir = config.node.data_dir.join(LEVELS).join(level.word());
        (level, dir)
    });
    let items: Vec<Value> = dirs
        .into_iter()
        .filter(|(_, dir)| dir.join("store.db").exists())
        .map(|(level, dir)| {
            json!({ "classification": level.word(), "dir": dir,
                "may_be_opened": level.may_pass(config.node.ceiling) })
        })
        .collect();
    let data =
        json!({ "ceiling": config.node.ceiling.word(), "total": items.len(), "items": items });
    let answer = Answer {
        exit: Exit::Done,
        data,
        notes: Vec::new(),
    };
    out.answer(&answer, |data| shown(data, &out.screen));
    Ok(answer.exit)
}

fn shown(data: &Value, screen: &Screen) -> String {
    let rows = super::screen::items(data, "items");
    if rows.is_empty() {
        return format!("{}\n", t!(screen.lang, "cli-empty"));
    }
    let columns = [
        col("label-classification", |item, _| {
            text(item, "classification")
        }),
        col("label-folder", |item, _| text(item, "dir")),
    ];
    tabled(rows, screen, None, &columns)
}

fn text(item: &Value, name: &str) -> String {
    super::screen::clean(at(item, name).as_str().unwrap_or_default())
}

/// `task lower`: decided in the store that holds the task, then made in the store of the lower level. Whoever repeats it after
/// a crash between the two finishes it.
pub(super) fn lower(
    (task, to, reason): (String, String, String),
    caller: &Caller,
    out: &Output,
) -> Result<Exit, Failure> {
    let level = named(&to, caller)?;
    // Before anything is decided: a decision that cannot be carried out helps nobody.
    let below = caller.base.at(level)?;
    there(&below, level, caller)?;
    let own = below.load()?.config.node.classification;
    if own != level {
        let args = [
            ("level", level.to_string()),
            ("word", level.word().to_owned()),
            ("own", own.to_string()),
        ];
        return Err(refuse(caller.lang, Refusal::usage("other-level", args)));
    }
    let task = put(Command::TaskShow { task }, caller)?.data;
    let task = at(&task, "id").as_str().unwrap_or_default().to_owned();
    let answer = put(Command::TaskLower { task, to, reason }, caller)?;
    if answer.exit == Exit::PersonNeeded {
        // Whoever asked gives the verb again once another one has approved it.
        out.answer(&answer, |data| written(data, &out.screen));
        return Ok(answer.exit);
    }
    let decided = answer.data;
    let fields: TaskFields = serde_json::from_value(decided["fields"].clone()).unwrap_or_default();
    let id = decided["as"].as_str().and_then(|id| id.parse().ok());
    let lowered = Command::TaskLowered {
        id: id.unwrap_or_default(),
        fields,
    };
    let mut to_below = caller.in_place(below);
    // Users are of a store: who proved to be one above is nobody there. Nothing that both stores keep may join the two.
    to_below.asker = Asker::Local;
    to_below.request_id = uuid::Uuid::new_v4().to_string();
    let mut answer = put(lowered, &to_below)?;
    answer.data["to"] = json!(level.word());
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(answer.exit)
}

/// The store of a level has to be there.
pub(super) fn there(place: &Place, level: Classification, caller: &Caller) -> Result<(), Failure> {
    if level == Classification::None || place.file().exists() {
        return Ok(());
    }
    let message = t!(
        caller.lang,
        "err-no-level-store",
        level = level.to_string(),
        word = level.word()
    );
    Err(failure(Exit::NotInitialised, "not_initialised", message))
}
