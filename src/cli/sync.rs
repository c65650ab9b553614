//! `sync`: a session now, with live progress.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::connect::Service;
use super::output::{Output, say};
use super::screen::{Screen, at, number};
use super::{Caller, Job, ask, failure, job};
use crate::api::{Command, Exit, Failure};
use crate::t;

/// Takes each event of a session as it comes.
pub type Progress<'a> = dyn FnMut(&Value) + 'a;

/// Synchronise with the node above now, through the running service
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync sync                 one session now\n  nqsync sync --wait          until everything here has reached the node above\n  nqsync sync --dry-run       what would go, what is withheld and why"
)]
pub struct SyncArgs {
    /// Wait until everything has gone, evidence files too, and the line is back if it is down
    #[arg(long)]
    wait: bool,
    /// Tell what would go, send nothing
    #[arg(long)]
    dry_run: bool,
    /// With the node above; the only link there is, for scripts
    #[arg(long)]
    upstream: bool,
}

pub(super) fn sync(args: &SyncArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    if args.dry_run {
        let preview: Job = job(Command::SyncPreview, preview);
        return ask(preview, caller, out);
    }
    let mut shown = Shown::new(out);
    let mut progress = |event: &Value| shown.progress(event, &out.screen);
    let service = Service::connect(&caller.place.socket()?, caller.lang)?;
    let outcome = match service {
        Some(service) => service.sync(args.wait, &mut progress),
        None => Err(failure(
            Exit::Failed,
            "service_not_running",
            t!(caller.lang, "err-service-not-running"),
        )),
    };
    shown.bar.finish_and_clear();
    let answer = outcome?;
    out.answer(&answer, |data| show(data, &out.screen));
    Ok(answer.exit)
}

/// A bar on a terminal; otherwise one line whenever a phase begins or ends.
struct Shown {
    bar: ProgressBar,
    last: Option<String>,
}

impl Shown {
    fn new(out: &Output) -> Self {
        let bar = match std::io::stderr().is_terminal() && !out.json {
            true => ProgressBar::new(0),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{spinner} {msg:30} [{bar:24}] {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Shown { bar, last: None }
    }

    fn progress(&mut self, event: &Value, screen: &Screen) {
        let phase = screen.word("word-phase-", at(event, "phase"));
        let (done, total) = (number(event, "done"), number(event, "total"));
        let bytes = screen.bytes(at(event, "bytes"));
        if !self.bar.is_hidden() {
            self.bar.set_length(total.unsigned_abs());
            self.bar.set_position(done.unsigned_abs());
            self.bar.set_message(format!("{phase} {bytes}"));
        } else if self.last.as_ref() != Some(&phase) || done == total {
            let (done, total) = (screen.count(done), screen.count(total));
            say(&t!(
                screen.lang,
                "cli-sync-progress",
                phase = phase,
                done = done,
                total = total,
                bytes = bytes
            ));
            self.last = Some(phase);
        }
    }
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-sent", screen.plain(at(data, "sent"))),
        ("label-received", screen.plain(at(data, "received"))),
        ("label-quarantined", screen.plain(at(data, "quarantined"))),
        ("label-bytes-up", screen.bytes(at(data, "bytes_up"))),
        ("label-bytes-down", screen.bytes(at(data, "bytes_down"))),
        ("label-pending", screen.plain(at(data, "pending"))),
        ("label-agree", screen.plain(at(data, "agree"))),
    ])
}

/// What would go: the numbers by name, and what is withheld with its reason.
pub(super) fn preview(data: &Value, screen: &Screen) -> String {
    let counts = ["records", "bytes", "blobs", "blob_bytes"];
    let mut text = screen.facts(&[
        ("label-records", screen.plain(at(data, counts[0]))),
        ("label-bytes-up", screen.bytes(at(data, counts[1]))),
        ("label-evidence", screen.plain(at(data, counts[2]))),
        ("label-size", screen.bytes(at(data, counts[3]))),
    ]);
    let withheld = super::screen::items(data, "withheld");
    if !withheld.is_empty() {
        let columns = [
            super::list::col("label-kind", |w, s| s.word("word-kind-", at(w, "kind"))),
            super::list::col("label-id", |w, s| s.plain(at(w, "record"))),
            super::list::col("label-reason", |w, s| s.plain(at(w, "reason"))),
        ];
        let table = super::list::tabled(withheld, screen, None, &columns);
        text += &super::list::section(screen, "label-withheld", &table);
    }
    if text.is_empty() {
        super::output::written(data, screen)
    } else {
        text
    }
}
