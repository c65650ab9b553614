//! `backup`: makes a backup, or checks one; the recovery key.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Output, written};
use super::screen::{Screen, at};
use super::{Caller, absolute, ask, failure, job, put};
use crate::api::{Command, Exit, Failure, Request};
use crate::node::commands::{backup, refuse};
use crate::t;
use crate::trust::files::FileError;
use crate::trust::identity::{KeyError, NodeKey};
use crate::trust::vault;
use nqsync_core::protocol::hex;

/// Make a verified backup in a new folder; the service may run meanwhile
///
/// It holds the database, the attachments, the keys and the configuration, and is read again before success is said. A backup
/// that was cut leaves FOLDER.unfinished, which the next one throws away. Once this node has a recovery key (`backup key new`) the
/// backup is sealed for it: nobody reads it without that key. Without one it is readable, private keys included: keep it where only
/// you can read it. Keep it on another disk either way. While a service runs, the service writes it.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  nqsync backup key new --out /media/safe/24001.recovery     once; then lock it away\n  nqsync backup /backup/nq-2026-03-31\n  nqsync backup --check /backup/nq-2026-03-31     can it be restored? exit 4 when not\n  nqsync backup /backup/today --json | jq .sha256"
)]
pub struct BackupArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The new folder; with --check one that is there
    #[arg(required = true)]
    folder: Option<PathBuf>,
    /// Only read a backup and compare it with its manifest; asks no node
    #[arg(long)]
    check: bool,
    /// With --check of a sealed backup: file of the recovery key, to look inside as well
    #[arg(long, value_name = "FILE", requires = "check")]
    key: Option<PathBuf>,
}

/// Verbs of `backup`.
#[derive(Debug, Subcommand)]
enum Verb {
    /// The recovery key, without which nobody opens a sealed backup: make, show
    #[command(subcommand)]
    Key(KeyVerb),
    /// Deposit a sealed backup at the node above now, not only once a day
    ///
    /// It needs a recovery key, and goes after everything else that waits; `status` tells when it is there. The node above cannot read it.
    #[command(
        after_help = "Examples:\n  nqsync backup deposit\n  nqsync backup deposit --anyway     this store is the right one, although an older copy of it was restored"
    )]
    Deposit {
        /// Also in the place of a deposit that this store does not know
        #[arg(long)]
        anyway: bool,
    },
}

/// Verbs of `backup key`.
#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Make a recovery key; backups are sealed for it from then on
    ///
    /// FILE is the only copy of the part that opens backups. The node keeps the other part and cannot open them: who loses FILE and
    /// the disk has lost both. Keep it in a safe, not on this machine.
    #[command(
        after_help = "Examples:\n  nqsync backup key new --out /media/safe/24001.recovery\n  nqsync backup key new --replace --out /media/safe/24001-b.recovery     the old file may be known to others; keep it for the old backups"
    )]
    New {
        /// The new file (mode 0600)
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Take the place of the recovery key that this node has
        #[arg(long)]
        replace: bool,
    },
    /// Show which recovery key opens the backups of this node
    #[command(after_help = "Example:\n  nqsync backup key show --json | jq .recovery_key")]
    Show,
}

pub(super) fn run(args: BackupArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    match args.verb {
        Some(Verb::Key(KeyVerb::New { out: file, replace })) => {
            return new_key(&file, replace, caller, out);
        }
        Some(Verb::Key(KeyVerb::Show)) => {
            return ask(job(Command::BackupKeyShow, show_key), caller, out);
        }
        Some(Verb::Deposit { anyway }) => {
            return ask(job(Command::BackupDeposit { anyway }, written), caller, out);
        }
        None => {}
    }
    let folder = absolute(&args.folder.unwrap_or_default(), caller.lang)?;
    let command = Command::Backup { to: folder.clone() };
    if !args.check {
        return ask(job(command, show), caller, out);
    }
    let key = args.key.map(|file| load_key(&file, caller)).transpose()?;
    let request = Request {
        request_id: caller.request_id.clone(),
        lang: caller.lang,
        person: caller.person.clone(),
        asker: Default::default(),
        acting_for: None,
        command,
    };
    let answer = backup::checked(&request, &folder, key.as_ref());
    let answer = answer.map_err(|r| refuse(caller.lang, r))?;
    out.answer(&answer, |data| show(data, &out.screen));
    Ok(answer.exit)
}

/// Makes a recovery key. The part that opens is written by this process and never reaches the node.
fn new_key(file: &Path, replace: bool, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let key = NodeKey::create(file).map_err(|error| bad_key(error, caller))?;
    let public = hex(&vault::public_part(&key));
    let done = put(Command::BackupKey { public, replace }, caller);
    let mut answer = done.inspect_err(|_| {
        // It opens nothing, and would be taken for one that does.
        let _ = std::fs::remove_file(file);
    })?;
    answer.data["written_to"] = json!(file);
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(answer.exit)
}

/// Reads a recovery key.
pub(super) fn load_key(file: &Path, caller: &Caller) -> Result<NodeKey, Failure> {
    NodeKey::load(file).map_err(|error| bad_key(error, caller))
}

fn bad_key(error: KeyError, caller: &Caller) -> Failure {
    let lang = caller.lang;
    let message = match &error {
        KeyError::File(FileError::Exists { path }) => {
            t!(lang, "err-recovery-file-exists", path = path.display())
        }
        KeyError::File(FileError::Damaged { path, reason }) => {
            let path = path.display();
            t!(lang, "err-recovery-file-bad", path = path, reason = reason)
        }
        KeyError::File(FileError::Exposed { path, .. }) => {
            t!(lang, "err-recovery-file-exposed", path = path.display())
        }
        KeyError::File(FileError::Io { path, source, .. }) => {
            let path = path.display();
            t!(lang, "err-recovery-file-bad", path = path, reason = source)
        }
        other => t!(lang, "err-sealed-crypto", detail = other),
    };
    failure(Exit::Usage, "recovery_file", message)
}

fn show_key(data: &Value, screen: &Screen) -> String {
    screen.facts(&[("label-recovery-key", screen.plain(at(data, "recovery_key")))])
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-folder", screen.plain(at(data, "folder"))),
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-node", screen.plain(at(data, "node"))),
        ("label-made-at", screen.time(at(data, "made_at"))),
        ("label-version", screen.plain(at(data, "version"))),
        ("label-records", screen.plain(at(data, "records"))),
        ("label-size", screen.bytes(at(data, "database_bytes"))),
        ("label-files", screen.plain(at(data, "files"))),
        ("label-sha256", screen.plain(at(data, "sha256"))),
        ("label-recovery-key", screen.plain(at(data, "recovery_key"))),
    ])
}
