//! `restore` and `adopt`: a store that comes back.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde_json::Value;

use super::output::{Output, say, written};
use super::screen::{Screen, at};
use super::{Caller, ask, backup, job, restoring, setup, wiring};
use crate::api::{Adopt, Command, Exit, Failure};
use crate::daemon::comeback::Wanted;
use crate::t;
use nqsync_core::model::NodeId;

/// Put a backup in the place of this node's store; the service must be stopped
///
/// The backup is read whole and compared with its manifest before anything is touched; a sealed one is opened with --key. A store that is in the way is moved aside
/// under a dated name, never deleted. A restore that was cut refuses to start; run the same line again. Afterwards the node
/// takes no new writes until it has met its parent once and has its lost writes back, or until `nqsync adopt --alone`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync restore /backup/nq-2026-03-31 --dir /srv/nq\n  nqsync restore /backup/nq-2026-03-31 --dir /srv/nq --key /media/safe/24001.recovery    a sealed one\n  nqsync restore --from-parent --key /media/safe/24001.recovery    the machine is lost: after init and enrol on the new one\n  nqsync restore /backup/nq-2026-03-31 --replace    the damaged store is kept aside\n  nqsync restore /backup/nq-2026-03-31 --dir /srv/new    a new machine: configuration and keys come from the backup"
)]
pub struct RestoreArgs {
    /// Folder of the backup
    #[arg(
        required_unless_present = "from_parent",
        conflicts_with = "from_parent"
    )]
    folder: Option<PathBuf>,
    /// Fetch the sealed backup that the lost machine of this unit deposited at the node above; this one has enrolled already
    #[arg(long, requires = "key")]
    from_parent: bool,
    /// With --from-parent: the node whose backup is wanted, where the node above holds several [default: the newest of another machine]
    #[arg(long, value_name = "NODE", requires = "from_parent")]
    of: Option<uuid::Uuid>,
    /// File of the recovery key, for a backup that is sealed
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Move a store that is there aside; with --from-parent also one that holds work of its own
    #[arg(long)]
    replace: bool,
}

/// Say what became of this store, when it cannot know by itself
///
/// After a restore a node waits for its parent: --alone opens it without. A store found on another machine exchanges nothing and
/// takes nothing new until --moved. Of two machines with one identity the one that was not
/// chosen enrols again with --new: a new key and a new name, the same store. What it has not sent goes up; the unit
/// stays with the other machine.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync adopt --alone                        no parent will come: people may write again\n  nqsync adopt --moved                        carried to this machine, the old one is off\n  nqsync adopt --new --token - < token.txt     the other machine goes on; the service must be stopped"
)]
#[command(group(ArgGroup::new("how").required(true).args(["alone", "moved", "new"])))]
pub struct AdoptArgs {
    /// After a restore: open for writing without having met the parent
    #[arg(long)]
    alone: bool,
    /// The store was moved to this machine, and the old one is off
    #[arg(long)]
    moved: bool,
    /// After a copy: enrol this store under a new identity
    #[arg(long, requires = "token")]
    new: bool,
    /// With --new: a token of `nqsync node token` for this unit; - reads it from standard input
    #[arg(long)]
    token: Option<String>,
    /// With --new: address of the parent [default: upstream.url of the configuration, else the one in the token]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
}

pub(super) fn adopt(args: AdoptArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let how = if args.moved {
        Adopt::Moved
    } else {
        Adopt::Alone
    };
    let Some(token) = args.token.filter(|_| args.new) else {
        let quiet = |_: &Value, _: &Screen| String::new();
        return ask(job(Command::Adopt { how }, quiet), caller, out);
    };
    let token = setup::token(token, caller)?;
    let upstream = args.upstream.as_deref();
    let answer = wiring::adopt_new(&caller.place, upstream, &token, &caller.person)?;
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(answer.exit)
}

pub(super) fn run(args: &RestoreArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let key = args.key.as_deref();
    let key = key.map(|file| backup::load_key(file, caller)).transpose()?;
    let answer = match (&args.folder, &key) {
        (None, Some(key)) => {
            let wanted = Wanted {
                of: args.of.map(NodeId),
                replace: args.replace,
            };
            let mut progress = |done: usize, of: usize| {
                if !out.json {
                    say(&t!(caller.lang, "restore-fetching", done = done, of = of));
                }
            };
            restoring::from_parent(&caller.place, key, wanted, &caller.person, &mut progress)?
        }
        (folder, key) => restoring::restore(
            &caller.place,
            folder.as_deref().unwrap_or(Path::new("")),
            key.as_ref(),
            args.replace,
            &caller.person,
        )?,
    };
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
