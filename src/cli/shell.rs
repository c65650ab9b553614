//! `completions` and `man`: made from the same definitions as the help.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::write_stdout;
use super::{Cli, failure};
use crate::api::{Exit, Failure, Lang};
use crate::t;

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  nqsync completions bash > /etc/bash_completion.d/nqsync")]
pub struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Write manual pages, one for each verb
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  nqsync man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Directory to write them to; made if it is not there
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

pub(super) fn completions(args: CompletionArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nqsync", &mut script);
    write_stdout(&script);
    Ok(Exit::Done)
}

pub(super) fn man(args: &ManArgs, lang: Lang) -> Result<Exit, Failure> {
    let written = std::fs::create_dir_all(&args.to)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.to));
    written.map(|()| Exit::Done).map_err(|error| {
        let message = t!(
            lang,
            "err-cannot-write",
            path = args.to.display(),
            reason = error
        );
        failure(Exit::Failed, "cannot_write", message)
    })
}
