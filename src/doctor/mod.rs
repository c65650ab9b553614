//! What is most likely wrong with an installation, found by looking, each with what to do about it.
//!
//! `status` says what the node knows of itself. This looks from outside as well: at files and permissions, at the socket
//! and the port, and at every step of the way to the parent (name, line, key, answer), so that it also has something to
//! say where no service starts. It changes nothing.

mod files;
mod line;
mod service;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Lang;
use crate::clock::Clock;
use crate::config::Config;
use crate::text;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Looked at, and well.
    Ok,
    /// Works, and should be seen to.
    Warning,
    /// Does not work.
    Fault,
    /// Could not be looked at, because of a fault before it.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at: `config`, `data_dir`, `keys`, `clock`, `service`, `port`, `name`, `line`, `identity`, `answer`, …
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What it is in particular, stable for scripts, such as `name_unknown`; empty where all is well.
    pub code: String,
    /// What was seen.
    pub message: String,
    /// What to do; empty where nothing is to be done or the message says it.
    pub remedy: String,
}

impl Finding {
    /// Something that is well, or was not looked at.
    fn seen(check: &'static str, state: State, message: String) -> Finding {
        Finding {
            check,
            state,
            code: String::new(),
            message,
            remedy: String::new(),
        }
    }

    /// Something another part of the program has found and told in its own words, remedy included.
    pub fn told(check: &'static str, state: State, code: &str, message: String) -> Finding {
        Finding {
            code: code.to_owned(),
            ..Finding::seen(check, state, message)
        }
    }
}

/// Looks and keeps what was found, in one language.
pub struct Doctor<'c> {
    config: &'c Config,
    clock: Clock,
    lang: Lang,
    found: Vec<Finding>,
}

impl<'c> Doctor<'c> {
    /// For the node of this configuration.
    pub fn new(config: &'c Config, clock: Clock, lang: Lang) -> Doctor<'c> {
        Doctor {
            config,
            clock,
            lang,
            found: Vec::new(),
        }
    }

    /// Looks at everything that can be looked at from outside the store.
    pub async fn examine(mut self) -> Vec<Finding> {
        self.data_dir();
        self.keys();
        self.clock();
        let runs = self.service().await;
        self.port(runs).await;
        self.doors(runs).await;
        self.line().await;
        self.found
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default()
    }

    fn well(&mut self, check: &'static str, key: &str, args: &[(&str, &str)]) {
        let message = text::text(self.lang, key, args);
        self.found.push(Finding::seen(check, State::Ok, message));
    }

    fn skipped(&mut self, check: &'static str) {
        let message = text::text(self.lang, "doctor-skipped", &[]);
        self.found
            .push(Finding::seen(check, State::Skipped, message));
    }

    /// `code`: the sentence `doctor-<code>` and the remedy `doctor-<code>-remedy` of the catalogue.
    fn ill(&mut self, check: &'static str, state: State, code: &str, args: &[(&str, &str)]) {
        let key = format!("doctor-{code}");
        self.found.push(Finding {
            check,
            state,
            code: code.replace('-', "_"),
            message: text::text(self.lang, &key, args),
            remedy: text::text(self.lang, &format!("{key}-remedy"), args),
        });
    }

    fn fault(&mut self, check: &'static str, code: &str, args: &[(&str, &str)]) {
        self.ill(check, State::Fault, code, args);
    }

    fn warn(&mut self, check: &'static str, code: &str, args: &[(&str, &str)]) {
        self.ill(check, State::Warning, code, args);
    }
}

/// What a node says of itself, as findings: the problems of `status`. Some were seen from outside already.
pub fn of_status(status: &Value, seen: &[Finding]) -> Vec<Finding> {
    let problems = status["problems"].as_array();
    let problems = problems.into_iter().flatten();
    let mut found = Vec::new();
    for problem in problems {
        let code = problem["code"].as_str().unwrap_or_default();
        let from_outside = match code {
            "service_stopped" => "service",
            "upstream_down" | "upstream_refused" | "upstream_never" => "line",
            _ => "",
        };
        let known = |finding: &Finding| {
            finding.state == State::Fault
                && (finding.check == from_outside
                    || from_outside == "line"
                        && ["name", "identity", "answer"].contains(&finding.check))
        };
        if seen.iter().any(known) {
            continue;
        }
        let state = match code {
            "damaged" | "moved" | "cloned" | "disk_read_only" | "disk_nearly_full"
            | "upstream_refused" | "service_stopped" | "config_differs" => State::Fault,
            _ => State::Warning,
        };
        let message = problem["message"].as_str().unwrap_or_default().to_owned();
        found.push(Finding::told("status", state, code, message));
    }
    found
}

/// Findings as `--json` has them.
pub fn listed(findings: &[Finding]) -> Value {
    let count = |state: State| findings.iter().filter(|f| f.state == state).count();
    json!({
        "items": findings,
        "total": findings.len(),
        "faults": count(State::Fault),
        "warnings": count(State::Warning),
        "healthy": count(State::Fault) == 0,
    })
}
