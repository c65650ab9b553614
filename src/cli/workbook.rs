//! `workbook`: the papers of a period as an office files them.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::screen::at;
use super::{Caller, export, failure, put};
use crate::api::{Exit, Failure};
use crate::clock::Clock;
use crate::node::commands::views::time;
use crate::official::{self, Begun, Problem};
use crate::t;
use crate::text::shown::Shown;

/// Write the workbook of a period: consolidated table, tasks, progress, indicators, and who has reported
///
/// It has a title block and a place for the signatures, prints on A4, and is for reading; a workbook that is filled in and comes back is
/// what `export` writes. The console gives out the same one.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync workbook thang-3.xlsx --period 2026-03\n  nqsync workbook 24001.xlsx --unit 24001"
)]
pub struct WorkbookArgs {
    /// The new file
    file: PathBuf,
    /// The reporting period [default: the current one]
    #[arg(long)]
    period: Option<String>,
    /// This unit and those below it [default: all that this node sees]
    #[arg(long)]
    unit: Option<String>,
    /// Replace the file if it is there
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn run(args: WorkbookArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let path = args.file.display();
    if args.file.exists() && !args.overwrite {
        let message = t!(caller.lang, "err-export-there", path = path);
        return Err(failure(Exit::Usage, "cannot_write", message));
    }
    let mut ask = |question| put(question, caller).map(|answer| answer.data);
    let [status, indicators] = official::first(args.period.as_deref(), args.unit.as_deref());
    let clock = Clock::system();
    let now = || time(clock.now_ms()).as_str().unwrap_or_default().to_owned();
    let asked = now();
    let begun = Begun::of(ask(status)?, ask(indicators)?, args.unit.as_deref(), &asked);
    let period = begun.period().to_owned();
    // Papers tell the office's time, whatever the terminal's is.
    let shown = Shown {
        lang: caller.lang,
        zone: caller.place.load()?.config.node.time_zone,
    };
    let mut bytes = Vec::new();
    let written = match begun.write(&mut ask, &now, &shown, &mut bytes) {
        Ok(complete) => export::write(&args.file, &bytes)
            .map(|()| complete)
            .map_err(|error| error.to_string()),
        Err(Problem::Refused(failure)) => return Err(failure),
        Err(Problem::Made(reason)) => Err(reason),
    };
    let complete = written.map_err(|reason| {
        let message = t!(
            caller.lang,
            "err-cannot-write",
            path = path,
            reason = reason
        );
        failure(Exit::Failed, "cannot_write", message)
    })?;
    let answer = crate::api::Answer {
        exit: Exit::Done,
        data: json!({ "file": args.file, "period": period, "complete": complete }),
        notes: Vec::new(),
    };
    out.answer(&answer, |data| {
        let file = out.screen.plain(at(data, "file"));
        format!("{}\n", t!(caller.lang, "cli-workbook", file = file))
    });
    Ok(Exit::Done)
}
