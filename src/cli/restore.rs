//! `restore` and `adopt`: a store that comes back.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::output::Output;
use super::screen::{Screen, at};
use super::{Caller, Job, job, wiring};
use crate::api::{Adopt, Command, Exit, Failure};

/// Put a backup in the place of this node's store; the service must be stopped
///
/// The backup is read whole and compared with its manifest before anything is touched. A store that is in the way is moved aside
/// under a dated name, never deleted. A restore that was cut refuses to start; run the same line again. Afterwards the node
/// takes no new writes until it has met its parent once and has its lost writes back, or until `nqsync adopt --alone`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync restore /backup/nq-2026-03-31 --dir /srv/nq\n  nqsync restore /backup/nq-2026-03-31 --replace    the damaged store is kept aside\n  nqsync restore /backup/nq-2026-03-31 --dir /srv/new    a new machine: configuration and keys come from the backup"
)]
pub struct RestoreArgs {
    /// Folder of the backup
    folder: PathBuf,
    /// Move a store that is there aside
    #[arg(long)]
    replace: bool,
}

/// Say what became of this store, when it cannot know by itself
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  nqsync adopt --alone     no parent will come: people may write again"
)]
#[group(required = true, multiple = false)]
pub struct AdoptArgs {
    /// After a restore: open for writing without having met the parent
    #[arg(long)]
    alone: bool,
}

impl AdoptArgs {
    pub(super) fn job(&self) -> Job {
        job(Command::Adopt { how: Adopt::Alone }, |_, _| String::new())
    }
}

pub(super) fn run(args: &RestoreArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let answer = wiring::restore(&caller.place, &args.folder, args.replace, &caller.person)?;
    out.answer(&answer, |data| show(data, &out.screen));
    Ok(answer.exit)
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-folder", screen.plain(at(data, "folder"))),
        ("label-data-dir", screen.plain(at(data, "dir"))),
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-node", screen.plain(at(data, "node"))),
        ("label-made-at", screen.time(at(data, "made_at"))),
        ("label-records", screen.plain(at(data, "records"))),
        ("label-files", screen.plain(at(data, "files"))),
        ("label-aside", screen.plain(at(data, "aside"))),
    ])
}
