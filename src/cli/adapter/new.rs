//! `adapter new`: a profile from a template, with what nobody can guess asked from the person at a terminal.

use std::fs::OpenOptions;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::profile_place;
use crate::adapter::profile;
use crate::adapter::run::is_name;
use crate::adapter::template::{self, Draft, Question, TEMPLATES, Unfit};
use crate::api::{Answer, Exit, Failure};
use crate::cli::output::{Output, say, write_stdout, written};
use crate::cli::screen::clean;
use crate::cli::{Caller, failure};
use crate::t;

/// Arguments of `adapter new`.
#[derive(Args, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct NewArgs {
    /// Name of the adapter: letters, digits, - and _
    name: String,
    /// The template: a system that is known here, or rest for any other with a JSON API
    #[arg(long, default_value = "rest", value_parser = clap::builder::PossibleValuesParser::new(TEMPLATES.iter().map(|t| t.name)))]
    template: String,
    /// Where to write the profile; - writes it to standard output [default: adapters.d/NAME.toml beside the configuration]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Makes a profile. `--set` means its keys here: there is no node to configure yet.
pub(super) fn new(args: &NewArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    if !is_name(&args.name) {
        let message = t!(caller.lang, "err-adapter-name", name = args.name);
        return Err(failure(Exit::Usage, "adapter_name", message));
    }
    let to = args
        .to
        .clone()
        .unwrap_or_else(|| profile_place(caller, &args.name));
    let on_stdout = to == Path::new("-");
    if !on_stdout && to.exists() {
        return Err(there_already(caller, &to));
    }
    let unfit = |error: Unfit| failure(Exit::Usage, "adapter_key", error.to_string());
    let found = template::find(&args.template).ok_or_else(|| {
        let message = t!(
            caller.lang,
            "err-adapter-template",
            template = args.template
        );
        failure(Exit::Usage, "adapter_template", message)
    })?;
    let mut draft = Draft::begin(found, &args.name).map_err(unfit)?;
    let given = &caller.place.set;
    let mut left = Vec::new();
    for question in draft.questions() {
        if given.iter().any(|(path, _)| same(path, &question.path)) {
            continue;
        }
        match asked(&question) {
            Some(answer) => draft.set(&question.path, &answer).map_err(unfit)?,
            None => left.push(question),
        }
    }
    for (path, value) in given {
        draft.set(path, value).map_err(unfit)?;
    }
    let text = draft.text();
    if let Err(problems) = profile::parse(&text) {
        let problems: Vec<String> = problems
            .iter()
            .map(|p| format!("{}: {}", p.key, p.message))
            .collect();
        return Err(failure(Exit::Usage, "adapter_key", problems.join("\n")));
    }
    if on_stdout {
        write_stdout(text.as_bytes());
        return Ok(Exit::Done);
    }
    save(&to, &text).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => there_already(caller, &to),
        _ => {
            let message = t!(
                caller.lang,
                "err-adapter-write",
                path = to.display(),
                reason = error
            );
            failure(Exit::Failed, "cannot_write", message)
        }
    })?;
    let mut notes = Vec::new();
    if !left.is_empty() {
        let keys: Vec<&str> = left.iter().map(|question| question.path.as_str()).collect();
        notes.push(t!(
            caller.lang,
            "note-adapter-defaults",
            keys = keys.join(", ")
        ));
    }
    notes.push(t!(caller.lang, "note-adapter-next", name = args.name));
    let answer = Answer {
        exit: Exit::Done,
        data: json!({ "name": args.name, "template": found.name, "file": to }),
        notes,
    };
    out.answer(&answer, |data| written(data, &out.screen));
    Ok(Exit::Done)
}

/// `stream.progress.x` and `stream.0.x` may be the same key; a question that was answered by its flag is not asked.
fn same(given: &str, asked: &str) -> bool {
    let parts = |path: &str| -> Vec<String> { path.split('.').map(str::to_owned).collect() };
    let (given, asked) = (parts(given), parts(asked));
    given.len() == asked.len()
        && given
            .iter()
            .zip(&asked)
            .all(|(g, a)| g == a || a.chars().all(|c| c.is_ascii_digit()))
}

/// The answer of the person at the terminal; none without one, or if the template's value is right.
fn asked(question: &Question) -> Option<String> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let mut stderr = anstream::stderr().lock();
    let prompt = format!("{} [{}]: ", clean(&question.text), clean(&question.default));
    // A terminal that cannot be written to has nobody in front of it.
    stderr
        .write_all(prompt.as_bytes())
        .and_then(|()| stderr.flush())
        .ok()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).ok()?;
    if read == 0 {
        say("");
    }
    Some(line.trim().to_owned()).filter(|answer| !answer.is_empty())
}

fn save(to: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(to)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn there_already(caller: &Caller, path: &Path) -> Failure {
    let message = t!(caller.lang, "err-adapter-there", path = path.display());
    failure(Exit::Usage, "adapter_there", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_list_is_the_same_by_name_and_by_number() {
        assert!(same(
            "stream.progress.http.list.path",
            "stream.0.http.list.path"
        ));
        assert!(same("title", "title"));
        assert!(!same("http.base_url", "http.base_urls"));
        assert!(!same("http", "http.base_url"));
    }
}
