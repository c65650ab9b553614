//! `backup`: makes a backup, or checks one.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::output::Output;
use super::screen::{Screen, at};
use super::{Caller, absolute, ask, job};
use crate::api::{Command, Exit, Failure, Request};
use crate::node::commands::{backup, refuse};

/// Make a verified backup in a new folder; the service may run meanwhile
///
/// The folder holds the database, the attachments, the keys and the configuration, and a manifest that is written last. It is
/// read again before success is said. A backup that was cut leaves FOLDER.unfinished, which the next one throws away. The folder
/// holds private keys: keep it where only you can read it, and on another disk. While a service runs, the service writes it.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync backup /backup/nq-2026-03-31\n  nqsync backup --check /backup/nq-2026-03-31     can it be restored? exit 4 when not\n  nqsync backup /backup/today --json | jq .sha256"
)]
pub struct BackupArgs {
    /// The new folder; with --check one that is there
    folder: PathBuf,
    /// Only read a backup and compare it with its manifest; asks no node
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &BackupArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let folder = absolute(&args.folder, caller.lang)?;
    let command = Command::Backup { to: folder.clone() };
    if !args.check {
        return ask(job(command, show), caller, out);
    }
    let request = Request {
        request_id: caller.request_id.clone(),
        lang: caller.lang,
        person: caller.person.clone(),
        acting_for: None,
        command,
    };
    let answer = backup::checked(&request, &folder).map_err(|r| refuse(caller.lang, r))?;
    out.answer(&answer, |data| show(data, &out.screen));
    Ok(answer.exit)
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
    ])
}
