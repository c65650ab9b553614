//! `init`, `enrol` and `config`: what makes a node, before there is anything to ask it.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::output::{Output, written};
use super::screen::clean;
use super::{Caller, failure, wiring};
use crate::api::{Answer, Exit, Failure};
use crate::{config, t};

/// Longest token read from standard input.
const TOKEN_BYTES: u64 = 64 * 1024;

/// Make a new node: DIR/config.toml, store and keys
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync init --unit TW --level ministry --name \"Bộ Công an\" --dir /srv/ministry --listen 0.0.0.0:7457\n  nqsync init --unit 26548 --level commune --dir /srv/commune"
)]
pub struct InitArgs {
    /// Code of the unit this node serves
    #[arg(long)]
    unit: String,
    /// Level of that unit
    #[arg(long, value_enum)]
    level: Level,
    /// Name of that unit; needed where no parent tells it
    #[arg(long)]
    name: Option<String>,
    /// Address and port on which nodes below reach this one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Address of the node above; `nqsync enrol` comes next
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Commune,
    Province,
    Ministry,
}

/// Enrol this node at its parent with a token made there
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync enrol --token TOKEN --dir /srv/commune\n  nqsync enrol --token - < token.txt                         not seen by others on this machine\n  nqsync enrol --upstream https://10.1.2.3:7457 --token -    at another address than the token says\n  nqsync enrol --token - --request /media/usb/24001.request    no line: the answer comes back as a file\n  nqsync enrol --token - --answer /media/usb/24001.answer"
)]
pub struct EnrolArgs {
    /// Address of the parent [default: upstream.url of the configuration, else the one in the token]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// The token of `nqsync node token`; - reads it from standard input
    #[arg(long)]
    token: String,
    /// No line: write a request for `nqsync node admit` into this new file instead
    #[arg(long, value_name = "FILE", conflicts_with = "answer")]
    request: Option<PathBuf>,
    /// No line: the answer that `nqsync node admit` wrote
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
}

/// Verbs of `config`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum ConfigVerb {
    /// Check the configuration and tell every problem with its line
    #[command(after_help = "Example:\n  nqsync config check --config /etc/nqsync/config.toml")]
    Check,
    /// Show the configuration in force
    #[command(after_help = "Example:\n  nqsync config show --all")]
    Show {
        /// Defaults too, with where each value comes from
        #[arg(long)]
        all: bool,
    },
    /// Print the JSON schema of the configuration
    #[command(after_help = "Example:\n  nqsync config schema > nqsync.schema.json")]
    Schema,
}

pub(super) fn init(args: InitArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let dir = caller
        .place
        .config
        .as_ref()
        .and_then(|config| config.parent());
    let Some(dir) = dir else {
        return Err(failure(
            Exit::Usage,
            "no_dir",
            t!(caller.lang, "err-init-dir"),
        ));
    };
    let level = match args.level {
        Level::Commune => "commune",
        Level::Province => "province",
        Level::Ministry => "ministry",
    };
    let init = wiring::Init {
        dir: dir.to_owned(),
        unit: args.unit,
        name: args.name,
        level: level.into(),
        listen: args.listen,
        upstream: args.upstream,
    };
    let answer = wiring::init(&caller.place, &init)?;
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(answer.exit)
}

pub(super) fn enrol(args: EnrolArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let token = token(args.token, caller)?;
    let answer = match (&args.request, &args.answer) {
        (Some(file), _) => wiring::enrol_request(&caller.place, &token, file)?,
        (None, file) => wiring::enrol(
            &caller.place,
            args.upstream.as_deref(),
            &token,
            file.as_deref(),
        )?,
    };
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(answer.exit)
}

/// A token as it was given; `-` stands for standard input, where others on this machine do not see it.
pub(super) fn token(given: String, caller: &Caller) -> Result<String, Failure> {
    let token = if given == "-" {
        token_of_stdin(caller)?
    } else {
        given
    };
    Ok(token.trim().to_owned())
}

fn token_of_stdin(caller: &Caller) -> Result<String, Failure> {
    let mut token = String::new();
    std::io::stdin()
        .take(TOKEN_BYTES)
        .read_to_string(&mut token)
        .map_err(|error| {
            let message = t!(caller.lang, "err-cannot-read", path = "-", reason = error);
            failure(Exit::Usage, "cannot_read", message)
        })?;
    Ok(token)
}

pub(super) fn config(verb: ConfigVerb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let (data, text) = match verb {
        ConfigVerb::Check => {
            let file = caller.place.load()?.file;
            let text = t!(
                caller.lang,
                "cli-config-ok",
                file = clean(&file.display().to_string())
            );
            (json!({ "ok": true, "file": file }), text)
        }
        ConfigVerb::Show { all } => {
            let shown = config::show(&caller.place.load()?, all, all);
            (shown.json, shown.text)
        }
        ConfigVerb::Schema => {
            let schema = config::schema();
            let text = format!("{schema:#}");
            (schema, text)
        }
    };
    let answer = Answer {
        exit: Exit::Done,
        data,
        notes: Vec::new(),
    };
    out.answer(&answer, |_| {
        text.lines().map(|line| clean(line) + "\n").collect()
    });
    Ok(Exit::Done)
}
