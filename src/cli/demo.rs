//! `demo`: three levels on loopback.

use std::path::PathBuf;

use clap::Args;

use super::output::{Output, say, written};
use super::screen::clean;
use super::{Caller, wiring};
use crate::api::{Exit, Failure};

/// Show three levels on this machine: one ministry, two provinces, six communes
///
/// Separate processes with real certificates: assignments down, reports and evidence up, a line cut, a conflict, a
/// proposal, and the ministry's rollup checked against a recomputation from all leaves. Nothing is left running.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync demo\n  nqsync demo --keep /tmp/three-levels --serve\n  nqsync demo --json"
)]
pub struct DemoArgs {
    /// Keep the nodes' directories here
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Go on running afterwards, until interrupted; tells how to open each node's console
    #[arg(long)]
    serve: bool,
}

pub(super) fn run(args: DemoArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let demo = wiring::Demo {
        keep: args.keep,
        serve: args.serve,
    };
    let answer = wiring::demo(&caller.place, &demo, &mut |step| say(&clean(step)))?;
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(answer.exit)
}
