//! The command line: arguments become one [`Request`](api::Request), its answer becomes text or JSON and an exit code.
//!
//! Data goes to standard output, messages to standard error. Nothing is decided here that a node decides; nothing is
//! asked back from the person at the keyboard, every answer has a flag.

mod adapter;
mod approval;
mod args;
mod audit;
mod backup;
mod bundle;
mod calendar;
mod classification;
mod conflict;
mod connect;
mod demo;
mod directive;
mod doctor;
mod evidence;
mod export;
mod fleet;
mod hold;
mod import;
mod indicator;
mod list;
mod node;
mod output;
mod period;
pub mod place;
mod proposal;
mod quarantine;
mod report;
mod restore;
mod restoring;
mod rollup;
mod rollup_file;
mod score;
pub mod screen;
mod setup;
mod shell;
mod status;
mod sync;
mod task;
mod token;
mod unit;
mod user;
mod verify;
mod warning;
pub mod wiring;
mod workbook;

#[cfg(test)]
mod golden;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};
use serde_json::Value;

pub use args::Cli;
pub use connect::Local;
pub use sync::Progress;

use crate::api::{self, Asker, Command, Exit, Failure, Lang, Outcome};
use args::{Global, Verb};
use output::Output;
use place::Place;
use screen::Screen;

/// Turns the data of an answer into text for people.
type View = fn(&Value, &Screen) -> String;

/// A verb for the node, and how its answer is shown.
struct Job {
    command: Command,
    view: View,
}

fn job(command: Command, view: View) -> Job {
    Job { command, view }
}

/// What every verb needs to know about how it was called.
#[derive(Clone)]
struct Caller {
    /// The store that is meant.
    place: Place,
    /// The node itself, whose store is that of *none*.
    base: Place,
    /// The level of secrecy as it was typed.
    classification: Option<String>,
    lang: Lang,
    person: String,
    /// The password of that person, where one was given with `--login`.
    asker: Asker,
    acting_for: Option<String>,
    request_id: String,
}

/// Runs one command line and returns the exit code of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = Cli::command()
        .try_get_matches_from(&args)
        .and_then(|m| Cli::from_arg_matches(&m));
    match parsed {
        Ok(mut cli) => {
            cli.global.set = overrides(&args);
            run(cli).code()
        }
        Err(error) => refused(&error, args.iter().any(|a| a == "--json")).code(),
    }
}

/// Every `--set` in order. clap keeps only those on one side of the verb, and an override that is dropped without a word
/// would be worse than none; what is no pair was refused by it already.
fn overrides(args: &[OsString]) -> Vec<(String, String)> {
    let mut words = args
        .iter()
        .filter_map(|a| a.to_str())
        .take_while(|a| *a != "--");
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let pair = if word == "--set" {
            words.next()
        } else {
            word.strip_prefix("--set=")
        };
        found.extend(pair.and_then(|pair| args::pair(pair).ok()));
    }
    found
}

/// Help and version are answers; anything else is wrong usage.
fn refused(error: &clap::Error, json: bool) -> Exit {
    if !error.use_stderr() {
        // A closed pipe is the reader's choice.
        let _ = error.print();
        return Exit::Done;
    }
    if json {
        let message = error.render().to_string();
        output::print_failure(
            &failure(Exit::Usage, "usage", message.trim().to_owned()),
            Lang::En,
            true,
        );
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

fn run(cli: Cli) -> Exit {
    let (lang, json) = (lang(&cli.global), cli.global.json);
    let caller = match caller(cli.global, lang) {
        Ok(caller) => caller,
        Err(failure) => {
            output::print_failure(&failure, lang, json);
            return failure.exit;
        }
    };
    let out = Output {
        json,
        screen: Screen::of_stdout(caller.lang),
    };
    let done = at_its_level(caller.clone(), &cli.verb)
        .and_then(|caller| carry_out(cli.verb, &caller, &out));
    match done {
        Ok(exit) => exit,
        Err(failure) => {
            output::print_failure(&failure, caller.lang, json);
            failure.exit
        }
    }
}

/// The same caller at the store of the level that was typed.
fn at_its_level(caller: Caller, verb: &Verb) -> Result<Caller, Failure> {
    let Some(text) = &caller.classification else {
        return Ok(caller);
    };
    let level = classification::named(text, &caller)?;
    let place = caller.base.at(level)?;
    match verb {
        // A backup brings the store.
        Verb::Restore(_) => classification::may_come(&place, level, &caller)?,
        _ => classification::there(&place, level, &caller)?,
    }
    Ok(caller.in_place(place))
}

impl Caller {
    /// The same person at another store.
    fn in_place(&self, place: Place) -> Caller {
        Caller {
            place,
            ..self.clone()
        }
    }
}

fn carry_out(verb: Verb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    match verb {
        Verb::Init(args) => setup::init(args, caller, out),
        Verb::Run => wiring::run(&caller.place),
        Verb::Sync(args) => sync::sync(&args, caller, out),
        Verb::Restore(args) => restore::run(&args, caller, out),
        Verb::Adopt(args) => restore::adopt(args, caller, out),
        Verb::Verify(args) => ask(args.job(), caller, out),
        Verb::Backup(args) => backup::run(args, caller, out),
        Verb::Audit(verb) => audit::run(verb, caller, out),
        Verb::Bundle(verb) => ask(verb.job(caller)?, caller, out),
        Verb::Doctor(args) => doctor::run(&args, caller, out),
        Verb::Status => ask(job(Command::Status, status::show), caller, out),
        Verb::Fleet(verb) => fleet::run(verb, caller, out),
        Verb::Node(verb) => ask(verb.job(caller.lang)?, caller, out),
        Verb::Enrol(args) => setup::enrol(args, caller, out),
        Verb::Unit(verb) => ask(verb.job(), caller, out),
        Verb::Task(task::Verb::Lower { task, to, reason }) => {
            classification::lower((task, to, reason), caller, out)
        }
        Verb::Task(verb) => ask(verb.job(), caller, out),
        Verb::Classification(verb) => classification::run(verb, caller, out),
        Verb::Report(verb) => ask(verb.job(), caller, out),
        Verb::Evidence(verb) => ask(verb.job(caller.lang)?, caller, out),
        Verb::Indicator(verb) => ask(verb.job(), caller, out),
        Verb::Directive(verb) => ask(verb.job(caller.lang)?, caller, out),
        Verb::Proposal(verb) => ask(verb.job(), caller, out),
        Verb::Period(verb) => ask(verb.job(), caller, out),
        Verb::Calendar(verb) => ask(verb.job(), caller, out),
        Verb::Warning(verb) => ask(verb.job(), caller, out),
        Verb::Rollup(verb) => rollup::run(verb, caller, out),
        Verb::Score(verb) => score::run(verb, caller, out),
        Verb::Conflict(verb) => ask(verb.job(caller.lang)?, caller, out),
        Verb::Quarantine(verb) => ask(verb.job(), caller, out),
        Verb::Hold(verb) => ask(verb.job(), caller, out),
        Verb::Approval(verb) => ask(verb.job(), caller, out),
        Verb::User(verb) => ask(verb.job(caller.lang)?, caller, out),
        Verb::Token(verb) => ask(verb.job(), caller, out),
        Verb::Adapter(verb) => adapter::run(verb, caller, out),
        Verb::Export(args) => export::run(args, caller, out),
        Verb::Workbook(args) => workbook::run(args, caller, out),
        Verb::Import(args) => import::run(args, caller, out),
        Verb::Config(verb) => setup::config(verb, caller, out),
        Verb::Demo(args) => demo::run(args, caller, out),
        Verb::Completions(args) => shell::completions(args),
        Verb::Man(args) => shell::man(&args, caller.lang),
        Verb::ParseWorker => Ok(worker(crate::sheet::worker_main)),
        Verb::MapWorker => Ok(worker(crate::adapter::mapping::worker_main)),
    }
}

/// A child process that works for its parent.
fn worker(main: fn() -> i32) -> Exit {
    match main() {
        0 => Exit::Done,
        _ => Exit::Failed,
    }
}

/// Puts a verb to the node and shows its answer.
fn ask(job: Job, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let view = job.view;
    let answer = put(job.command, caller)?;
    out.answer(&answer, |data| view(data, &out.screen));
    Ok(answer.exit)
}

/// Puts a verb to the node.
fn put(command: Command, caller: &Caller) -> Outcome {
    let writes = command.writes();
    let request = api::Request {
        request_id: caller.request_id.clone(),
        lang: caller.lang,
        person: caller.person.clone(),
        asker: caller.asker.clone(),
        acting_for: caller.acting_for.clone(),
        command,
    };
    connect::Backend::connect(&caller.place, writes)?.execute(request)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

fn lang(global: &Global) -> Lang {
    match global.lang {
        Some(lang) => lang.into(),
        None => lang_of(
            ["LC_ALL", "LC_MESSAGES", "LANG"]
                .into_iter()
                .find_map(variable)
                .as_deref(),
        ),
    }
}

fn caller(global: Global, lang: Lang) -> Result<Caller, Failure> {
    let asker = match &global.login {
        Some(name) => user::login(name, global.login_file.as_deref(), lang)?,
        None => Asker::Local,
    };
    let config = global
        .config
        .or_else(|| global.dir.map(|dir| dir.join("config.toml")));
    let person = global
        .login
        .or(global.person)
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"));
    let base = Place {
        config,
        set: global.set,
        held_by: None,
        lang,
    };
    Ok(Caller {
        place: base.clone(),
        base,
        classification: global.classification,
        lang,
        person: person.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
        asker,
        acting_for: global.acting_for,
        request_id: global
            .request_id
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
    })
}

/// Vietnamese unless the locale says English, or says nothing about language at all (`C`, `POSIX`).
fn lang_of(locale: Option<&str>) -> Lang {
    let name = locale
        .unwrap_or("vi")
        .split(['_', '.', '@', '-'])
        .next()
        .unwrap_or_default();
    match name {
        "en" | "C" | "POSIX" => Lang::En,
        _ => Lang::Vi,
    }
}

fn failure(exit: Exit, code: &str, message: String) -> Failure {
    Failure {
        exit,
        code: code.into(),
        message,
        data: Value::Null,
    }
}

/// A path that means the same to another process.
fn absolute(path: &std::path::Path, lang: Lang) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).ok();
    let text = absolute.and_then(|path| path.into_os_string().into_string().ok());
    text.ok_or_else(|| {
        failure(
            Exit::Usage,
            "path",
            crate::t!(lang, "err-path", path = path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_incarnation_may_begin_with_a_hyphen() {
        let words = ["nqsync", "node", "adopt", "24001", "--incarnation", "-Hx3"];
        let parsed = Cli::command().try_get_matches_from(words);
        assert!(parsed.is_ok(), "{parsed:?}");
    }

    #[test]
    fn every_override_counts_on_both_sides_of_the_verb() {
        let words = [
            "nqsync",
            "--set",
            "a.b=1",
            "run",
            "--set=c.d= x",
            "--set",
            "a.b=2",
        ];
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let found = overrides(&words.map(OsString::from));
        assert_eq!(
            found,
            [pair("a.b", "1"), pair("c.d", " x"), pair("a.b", "2")]
        );
    }

    #[test]
    fn the_language_follows_the_locale() {
        for (locale, lang) in [
            (None, Lang::Vi),
            (Some("vi_VN.UTF-8"), Lang::Vi),
            (Some("fr_FR"), Lang::Vi),
            (Some("en_GB.UTF-8"), Lang::En),
            (Some("en"), Lang::En),
            (Some("C"), Lang::En),
            (Some("C.UTF-8"), Lang::En),
            (Some("POSIX"), Lang::En),
        ] {
            assert_eq!(lang_of(locale), lang, "{locale:?}");
        }
    }
}
