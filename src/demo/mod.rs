//! Three levels on loopback, from sample data to the ministry's rollup: nine real processes with real certificates,
//! driven through the same verbs that people type.
//!
//! The parts: `place` is one node, `relay` a line that can be cut, `story` the steps in order, `recount` adds the
//! ministry's numbers up again from the leaves.

mod place;
mod recount;
mod relay;
mod story;

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::api::{Answer, Exit, Failure, Lang, Outcome};
use crate::t;

/// Why the demonstration could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A process could not be started or reached.
    #[error("{what}: {source}")]
    Process {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A service ended at once, or never answered.
    #[error("the service of {code} did not start: {log}")]
    NotStarted {
        /// The node's unit.
        code: String,
        /// What it wrote.
        log: String,
    },
    /// A verb failed.
    #[error("at {unit}, `{verb}` ended with {code}: {said}")]
    Verb {
        /// The node's unit.
        unit: String,
        /// What was typed.
        verb: String,
        /// Exit code.
        code: i32,
        /// What it said.
        said: String,
    },
    /// An answer lacks what the story needs.
    #[error("an answer lacks {0}")]
    Lacks(String),
}

/// Runs the demonstration; `say` gets each step as a line for people. With `keep` the nodes' folders stay there; with
/// `serve` the services go on until the process is interrupted.
pub fn run(lang: Lang, keep: Option<&Path>, serve: bool, say: &mut dyn FnMut(&str)) -> Outcome {
    let scratch = std::env::temp_dir().join(format!("nqsync-demo-{}", std::process::id()));
    let base = keep.unwrap_or(&scratch);
    let told = story::tell(lang, base, say);
    let outcome = match told {
        Ok(told) => {
            if serve {
                match told.let_people_in(base) {
                    Ok((password, consoles)) => {
                        say(&t!(lang, "demo-login", user = VISITOR, password = password));
                        consoles.iter().for_each(|line| say(line));
                    }
                    Err(error) => say(&error.to_string()),
                }
                say(&t!(lang, "demo-serving", dir = base.display()));
                told.wait_for_the_end();
            }
            let (verified, failed) = (told.failed.is_empty(), told.failed.join("; "));
            let data = told.summary();
            told.stop();
            match verified {
                true => Ok(Answer {
                    exit: Exit::Done,
                    data,
                    notes: vec![t!(lang, "demo-verified")],
                }),
                false => Err(failure(t!(lang, "err-demo-check", checks = failed), data)),
            }
        }
        Err(error) => Err(failure(t!(lang, "err-demo", reason = error), json!({}))),
    };
    if keep.is_none() {
        // The system clears its temporary folder if this does not work.
        let _ = std::fs::remove_dir_all(&scratch);
    }
    outcome
}

fn failure(message: String, data: serde_json::Value) -> Failure {
    Failure {
        exit: Exit::Failed,
        code: "demo".to_owned(),
        message,
        data,
    }
}

/// Who may look at the consoles of nodes that go on running.
const VISITOR: &str = "demo";

/// The longest that a change may take to arrive after a line is back.
const RETURN_LIMIT: Duration = Duration::from_secs(10);
