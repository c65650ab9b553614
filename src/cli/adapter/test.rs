//! `adapter test`: a profile's own tests, without a node and without reaching anything.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::profile_place;
use crate::adapter::cycle::RunError;
use crate::adapter::mapping::{MapLimits, Mapper};
use crate::adapter::profile::{self, Loaded};
use crate::adapter::run::{self, NotBegun};
use crate::adapter::self_test::{self, Tested};
use crate::api::{Answer, Exit, Failure};
use crate::cli::output::Output;
use crate::cli::screen::{Screen, at, items};
use crate::cli::{Caller, failure, wiring};
use crate::t;

/// The zone of a profile that is tried away from any node.
const ZONE: &str = "Asia/Ho_Chi_Minh";

/// Arguments of `adapter test`.
#[derive(Args, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct TestArgs {
    /// Name of the adapter, or a profile's file such as ./profile.toml
    name: String,
}

pub(super) fn test(args: &TestArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let file = match is_file(&args.name) {
        true => PathBuf::from(&args.name),
        false => profile_place(caller, &args.name),
    };
    let refused = |error: NotBegun| not_begun(caller, &args.name, error);
    if !file.exists() {
        return Err(refused(NotBegun::Unknown { path: file }));
    }
    let loaded = profile::load(&file).map_err(|errors| refused(errors.into()))?;
    let zone = zone(caller);
    let tests = wiring::block_on(&caller.place, tested(&loaded, &zone))?;
    let tests = tests.map_err(|error| match error {
        RunError::Profile(errors) => refused(errors.into()),
        other => refused(other.into()),
    })?;
    let failed = tests.iter().filter(|test| !test.passed()).count();
    let mut notes = Vec::new();
    let exit = match (tests.len(), failed) {
        (0, _) => {
            notes.push(t!(caller.lang, "note-adapter-no-test", name = args.name));
            Exit::Failed
        }
        (all, 0) => {
            notes.push(t!(caller.lang, "note-adapter-tests-pass", count = all));
            Exit::Done
        }
        (all, failed) => {
            notes.push(t!(
                caller.lang,
                "note-adapter-tests-fail",
                failed = failed,
                count = all
            ));
            Exit::Failed
        }
    };
    let shown = |test: &Tested| {
        let mut shown = json!(test);
        shown["passed"] = json!(test.passed());
        shown
    };
    let answer = Answer {
        exit,
        data: json!({
            "file": file, "passed": tests.len() - failed, "failed": failed,
            "items": tests.iter().map(shown).collect::<Vec<_>>(),
        }),
        notes,
    };
    out.answer(&answer, |data| show(data, &out.screen));
    Ok(exit)
}

async fn tested(loaded: &Loaded, zone: &TimeZone) -> Result<Vec<Tested>, RunError> {
    let program = std::env::current_exe().unwrap_or_default();
    let programs = run::programs(&loaded.profile);
    let mapper = Mapper::start(&program, programs, MapLimits::default()).await;
    let mapper = mapper.map_err(|error| run::unmapped(loaded, error))?;
    let tests = self_test::run(&loaded.profile, &mapper, zone).await;
    tests.map_err(|error| run::unmapped(loaded, error))
}

fn is_file(name: &str) -> bool {
    name.contains('/')
        || Path::new(name)
            .extension()
            .is_some_and(|ending| ending == "toml")
}

/// The node's zone, where there is a node.
fn zone(caller: &Caller) -> TimeZone {
    match caller.place.load() {
        Ok(loaded) => loaded.config.node.time_zone,
        Err(_) => TimeZone::get(ZONE).unwrap_or(TimeZone::UTC),
    }
}

fn not_begun(caller: &Caller, name: &str, error: NotBegun) -> Failure {
    let (exit, code, message) = match &error {
        NotBegun::Unknown { path } => (
            Exit::Usage,
            "adapter_unknown",
            t!(
                caller.lang,
                "err-adapter-unknown",
                name = name,
                path = path.display()
            ),
        ),
        NotBegun::Profile(problems) => (
            Exit::Configuration,
            "adapter_profile",
            t!(
                caller.lang,
                "err-adapter-profile",
                problems = problems.to_string()
            ),
        ),
        other => (
            Exit::Failed,
            "adapter_test",
            t!(caller.lang, "err-adapter-run", name = name, reason = other),
        ),
    };
    failure(exit, code, message)
}

fn show(data: &Value, screen: &Screen) -> String {
    let mut text = String::new();
    for test in items(data, "items") {
        let passed = test["passed"] == true;
        let word = screen.label(if passed {
            "word-test-passed"
        } else {
            "word-test-failed"
        });
        text += &format!("{word}  {}\n", screen.plain(at(test, "name")));
        if let Some(error) = test["error"].as_str() {
            text += &format!("    {}\n", screen.plain(&json!(error)));
        }
        for difference in items(test, "differences") {
            let value = |name: &str| match &difference[name] {
                Value::Null => screen.label("word-nothing"),
                value => screen.plain(&json!(value.to_string())),
            };
            text += &format!("    {}\n", screen.plain(at(difference, "path")));
            text += &format!(
                "      - {} ({})\n",
                value("expected"),
                screen.label("label-expected")
            );
            text += &format!("      + {} ({})\n", value("got"), screen.label("label-got"));
        }
    }
    text
}
