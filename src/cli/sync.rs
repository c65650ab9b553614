//! `sync`: a session now, with live progress.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::connect::Service;
use super::list::{col, num, section, tabled};
use super::output::{Output, say};
use super::screen::{Screen, at, items, number, short_ids};
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
    let service = Service::connect(&caller.place)?;
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
        } else if self.last.as_ref() != Some(&phase) || (total > 0 && done == total) {
            say(&line(event, screen));
            self.last = Some(phase);
        }
    }
}

/// One event as a line. Only of a file under way is the whole known, in bytes; records are counted as they go.
fn line(event: &Value, screen: &Screen) -> String {
    let done = match at(event, "total").as_u64() {
        Some(_) => format!(
            "{}/{}",
            screen.bytes(at(event, "done")),
            screen.bytes(at(event, "total"))
        ),
        None => screen.plain(at(event, "done")),
    };
    t!(
        screen.lang,
        "cli-sync-progress",
        phase = screen.word("word-phase-", at(event, "phase")),
        done = done,
        bytes = screen.bytes(at(event, "bytes"))
    )
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    if at(data, "begun") == &Value::Bool(true) {
        return format!("{}\n", screen.label("cli-sync-begun"));
    }
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

/// What would go, and what is withheld with its reason.
pub(super) fn preview(data: &Value, screen: &Screen) -> String {
    let records = items(data, "records");
    let counts = at(data, "counts").as_object();
    let waiting = counts.map_or(0, |c| c.values().filter_map(Value::as_i64).sum());
    let mut text = screen.facts(&[
        ("label-records", screen.count(waiting)),
        ("label-bytes-up", screen.bytes(at(data, "bytes"))),
        ("label-receipts", screen.plain(at(data, "receipts"))),
        ("label-files", screen.plain(at(data, "blobs.count"))),
        ("label-size", screen.bytes(at(data, "blobs.bytes"))),
    ]);
    if !records.is_empty() {
        let columns = [
            col("label-kind", |r, s| s.word("word-kind-", at(r, "kind"))),
            col("label-lane", |r, s| s.word("word-lane-", at(r, "lane"))),
            num("label-size", |r, s| s.bytes(at(r, "bytes"))),
            col("label-to", |r, s| s.plain(at(r, "to"))),
        ];
        let ids = short_ids(records, "id");
        text += &format!("\n{}", tabled(records, screen, Some(ids), &columns));
    }
    let unlisted = waiting - records.len() as i64;
    if unlisted > 0 {
        text += &format!(
            "{}\n",
            t!(screen.lang, "cli-more", n = screen.count(unlisted))
        );
    }
    let withheld = items(data, "withheld");
    if !withheld.is_empty() {
        let columns = [
            col("label-reason", |w, s| {
                s.word("word-withheld-", at(w, "reason"))
            }),
            num("label-records", |w, s| s.plain(at(w, "count"))),
        ];
        let table = tabled(withheld, screen, None, &columns);
        text += &section(screen, "label-withheld", &table);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Lang;

    fn english() -> Screen {
        super::super::golden::screen_in(Lang::En)
    }

    #[test]
    fn progress_counts_records_and_measures_files() {
        let pull = json!({ "phase": "pull", "done": 5, "total": null, "bytes": 1946 });
        assert_eq!(line(&pull, &english()), "Receiving: 5, 1.9 KiB");
        let file = json!({ "phase": "blobs", "done": 1024, "total": 2048, "bytes": 9 });
        assert_eq!(
            line(&file, &english()),
            "Evidence files: 1.0 KiB/2.0 KiB, 9 B"
        );
        for phase in ["open", "push", "pull", "blobs", "compare"] {
            let shown = line(
                &json!({ "phase": phase, "done": 0, "bytes": 0 }),
                &english(),
            );
            assert!(!shown.starts_with(phase), "{shown}");
        }
    }

    #[test]
    fn a_session_that_nobody_waits_for_is_said_to_begin() {
        let text = show(&json!({ "begun": true }), &english());
        assert!(text.contains("nqsync status"), "{text}");
    }

    #[test]
    fn a_dry_run_is_a_table_with_totals_and_reasons() {
        let preview_of = json!({
            "records": [
                { "kind": "unit", "id": "0192f3c8-8a1b-7c3d-9e00-000000000009", "lane": "units", "bytes": 200, "to": "75" },
                { "kind": "task", "id": "5f0c1111-2222-5333-8444-555566667777", "lane": "assignments", "bytes": 2048, "to": "75" },
            ],
            "counts": { "units": 1, "assignments": 3, "reports": 0 }, "bytes": 4000, "receipts": 2,
            "withheld": [{ "reason": "one_side_only", "count": 7 }], "blobs": { "count": 1, "bytes": 5000 },
        });
        let text = preview(&preview_of, &english());
        for shown in [
            "5f0c1111",
            "assignments",
            "2.0 KiB",
            "2 more",
            "stays on one side",
            "Files",
        ] {
            assert!(text.contains(shown), "{shown}\n{text}");
        }
        for raw in ['{', '"', '_'] {
            assert!(!text.contains(raw), "{text}");
        }
    }
}
