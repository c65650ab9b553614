//! `doctor`: what is most likely wrong with this installation, and what to do.

use clap::Args;
use serde_json::Value;

use super::output::Output;
use super::screen::{Screen, at, items};
use super::{Caller, put, wiring};
use crate::api::{Answer, Command, Exit, Failure, Lang};
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{Doctor, Finding, State, listed, of_status};
use crate::node::health::{DIFFERS, differences};
use crate::t;

/// Look for what is most likely wrong, and say what to do; exit 4 when something does not work
///
/// Looks at the configuration, the data directory and its permissions, keys and certificate, the clock, the service, the port,
/// and each step of the way to the node above: its name, the line, its key, its answer. Then at what the node knows of itself
/// (as `status`), and at each enabled adapter: its profile, its login, its units. Nothing is changed.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nqsync doctor\n  nqsync doctor --no-adapters          without asking outside systems\n  nqsync doctor --json | jq '.items[] | select(.state == \"fault\")'"
)]
pub struct DoctorArgs {
    /// Do not ask the systems that adapters exchange with
    #[arg(long)]
    no_adapters: bool,
}

pub(super) fn run(args: &DoctorArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let findings = findings(args, caller)?;
    let data = listed(&findings);
    let faulty = findings.iter().any(|f| f.state == State::Fault);
    let answer = Answer {
        exit: if faulty { Exit::Degraded } else { Exit::Done },
        data,
        notes: Vec::new(),
    };
    out.answer(&answer, |data| show(data, &out.screen));
    Ok(answer.exit)
}

fn findings(args: &DoctorArgs, caller: &Caller) -> Result<Vec<Finding>, Failure> {
    let lang = caller.lang;
    let loaded = match caller.place.load() {
        Ok(loaded) => loaded,
        // Without a configuration it is not known where anything else is.
        Err(failure) => return Ok(vec![of_failure("config", failure)]),
    };
    let file = t!(lang, "doctor-config-ok", file = loaded.file.display());
    let mut found = vec![Finding::told("config", State::Ok, "", file)];
    let looking = Doctor::new(&loaded.config, Clock::system(), lang).examine();
    found.extend(wiring::block_on(&caller.place, looking)?);
    // Without a store, or a unit in it, the node knows nothing of itself.
    let silent = |f: &Finding| f.check == "data_dir" || f.code == "not_enrolled";
    if found.iter().any(|f| f.state == State::Fault && silent(f)) {
        return Ok(found);
    }
    match put(Command::Status, caller) {
        Ok(answer) => {
            found.extend(of_status(&answer.data, &found));
            found.extend(of_another_node(&loaded.config, &answer.data, &found, lang));
        }
        Err(failure) => {
            found.push(of_failure("store", failure));
            return Ok(found);
        }
    }
    if !args.no_adapters {
        found.extend(adapters(caller));
    }
    Ok(found)
}

/// The service notes this when it starts; where it does not run, nobody has.
fn of_another_node(
    config: &Config,
    status: &Value,
    found: &[Finding],
    lang: Lang,
) -> Option<Finding> {
    let (unit, level) = (status["unit"]["code"].as_str()?, status["level"].as_str()?);
    let said = &config.node;
    let detail = differences(unit, level, &said.unit, said.level.as_str());
    if detail.is_empty() || found.iter().any(|f| f.code == DIFFERS) {
        return None;
    }
    let message = t!(lang, "problem-config-differs", detail = detail);
    Some(Finding::told("status", State::Fault, DIFFERS, message))
}

/// Every profile, and what stands against an exchange through those that are enabled.
fn adapters(caller: &Caller) -> Vec<Finding> {
    let list = match put(Command::AdapterList, caller) {
        Ok(answer) => answer.data,
        Err(failure) => return vec![of_failure("adapter", failure)],
    };
    let mut found = Vec::new();
    for item in items(&list, "items") {
        let name = item["name"].as_str().unwrap_or_default().to_owned();
        if item["valid"] != true {
            let error = item["error"].as_str().unwrap_or_default();
            let message = t!(caller.lang, "doctor-adapter", name = name, reason = error);
            found.push(Finding::told(
                "adapter",
                State::Fault,
                "adapter_profile",
                message,
            ));
            continue;
        }
        if item["enabled"] != true {
            continue;
        }
        if item["insecure"] == true {
            let message = t!(caller.lang, "doctor-adapter-insecure", name = name);
            let remedy = t!(caller.lang, "doctor-adapter-insecure-remedy");
            let code = "adapter_insecure";
            found.push(Finding {
                remedy,
                ..Finding::told("adapter", State::Warning, code, message)
            });
        }
        let checked = put(Command::AdapterCheck { name: name.clone() }, caller);
        found.push(match checked {
            Ok(answer) if answer.exit == Exit::Done => {
                let message = t!(caller.lang, "doctor-adapter-ok", name = name);
                Finding::told("adapter", State::Ok, "", message)
            }
            Ok(answer) => {
                let reason = answer.notes.join(" ");
                let message = t!(caller.lang, "doctor-adapter", name = name, reason = reason);
                Finding::told("adapter", State::Warning, "adapter_problems", message)
            }
            Err(failure) => of_failure("adapter", failure),
        });
    }
    found
}

/// A verb that was not carried out says what is wrong and what to do in its own words.
fn of_failure(check: &'static str, failure: Failure) -> Finding {
    Finding::told(check, State::Fault, &failure.code, failure.message)
}

/// What does not work comes first: it is what the person came for.
fn show(data: &Value, screen: &Screen) -> String {
    let mut text = String::new();
    for (state, colour) in [
        ("fault", "\x1b[1;31m"),
        ("warning", "\x1b[33m"),
        ("skipped", "\x1b[2m"),
        ("ok", "\x1b[32m"),
    ] {
        for item in items(data, "items").iter().filter(|i| i["state"] == state) {
            let word = screen.word("word-doctor-", at(item, "state"));
            let check = screen.word("word-check-", at(item, "check"));
            let message = screen.plain(at(item, "message"));
            text += &format!("{colour}{word}\x1b[0m  {check}: {message}\n");
            let remedy = screen.plain(at(item, "remedy"));
            if !remedy.is_empty() {
                text += &format!("    → {remedy}\n");
            }
        }
    }
    let count = |name: &str| screen.plain(at(data, name));
    text + &t!(
        screen.lang,
        "doctor-summary",
        faults = count("faults"),
        warnings = count("warnings"),
        total = count("total"),
    ) + "\n"
}
