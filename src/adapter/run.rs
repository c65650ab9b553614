//! One run of one adapter: profile, mappings, engine, every stream, and the note of how it went.

use std::fs::File;
use std::path::PathBuf;

use nqsync_core::model::Classification;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Map, Value, json};

use super::claims::{self, Claimant, Clash};
use super::cycle::{self, Cycle, Mode, Report, RunError};
use super::delivery;
use super::engine::EngineError;
use super::engines::{self, Open};
use super::mapping::{MapError, MapLimits, Mapper, Programs};
use super::profile::{self, Loaded, Profile, ProfileErrors};
use super::self_test;
use crate::api::{Exit, Lang};
use crate::node::{Node, Refusal};
use crate::store::StoreError;
use crate::store::adapters::{self, Of};
use crate::text::text;

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// No profile of this name.
    #[error("there is no profile {path}")]
    Unknown {
        /// Where it would be.
        path: PathBuf,
    },
    /// The profile.
    #[error(transparent)]
    Profile(#[from] ProfileErrors),
    /// Another run of the same adapter goes on.
    #[error("a run of {0} goes on")]
    Busy(String),
    /// The mappings, the engine's settings or the store.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<StoreError> for NotBegun {
    fn from(error: StoreError) -> Self {
        NotBegun::Run(error.into())
    }
}

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    /// What each stream did.
    pub streams: Vec<(String, Report)>,
    /// Why it ended before its end.
    pub error: Option<RunError>,
}

impl Outcome {
    /// One word for lists and for the store.
    pub fn word(&self) -> &'static str {
        let reports = || self.streams.iter().map(|(_, report)| report);
        if self.error.is_some() {
            "failed"
        } else if reports().any(|report| report.held.is_some()) {
            "held"
        } else if reports().any(|report| !report.problems.is_empty() || report.in_doubt > 0) {
            "partly"
        } else {
            "done"
        }
    }

    /// Exit code of the process.
    pub fn exit(&self) -> Exit {
        match (&self.error, self.word()) {
            (Some(error), _) => exit_of(error),
            (None, "held") => Exit::PersonNeeded,
            (None, "partly") => Exit::Partly,
            _ => Exit::Done,
        }
    }

    /// As `--json` prints it and the store keeps it.
    pub fn data(&self, lang: Lang, name: &str, mode: Mode) -> Value {
        let mut streams = Map::new();
        for (stream, report) in &self.streams {
            let mut data = json!(report);
            let problem =
                |p: &adapters::Problem| json!({ "key": p.key, "code": p.code, "text": p.text });
            data["problems"] = report.problems.iter().map(problem).collect();
            streams.insert(stream.clone(), data);
        }
        let error = self.error.as_ref().map(|error| said(lang, error));
        json!({ "adapter": name, "trial": mode.trial, "outcome": self.word(), "streams": streams, "error": error })
    }
}

/// Exit code for an error: whether trying again may help, or somebody has to act.
pub fn exit_of(error: &RunError) -> Exit {
    match error {
        RunError::Outside(EngineError::Unreachable { .. }) | RunError::Shrunken { .. } => {
            Exit::Unreachable
        }
        RunError::Outside(EngineError::Authentication(_)) => Exit::Authentication,
        RunError::Outside(_) => Exit::Refused,
        RunError::Mapping(_) | RunError::Profile(_) | RunError::Untested { .. } => {
            Exit::Configuration
        }
        RunError::Refused(refusal) => refusal.exit,
        RunError::Store(_) => Exit::Failed,
    }
}

/// An error in words.
pub fn said(lang: Lang, error: &RunError) -> String {
    match error {
        RunError::Shrunken { known, seen } => {
            let (known, seen) = (known.to_string(), seen.to_string());
            text(
                lang,
                "adapter-shrunken",
                &[("known", &known), ("seen", &seen)],
            )
        }
        RunError::Untested { failed, all, first } => {
            let (failed, all) = (failed.to_string(), all.to_string());
            let args = [("failed", failed.as_str()), ("all", &all), ("first", first)];
            text(lang, "adapter-untested", &args)
        }
        RunError::Refused(refusal) => {
            let again = Refusal {
                exit: refusal.exit,
                code: refusal.code,
                args: refusal.args.clone(),
            };
            crate::node::commands::refuse(lang, again).message
        }
        other => other.to_string(),
    }
}

/// Loads the profile of an adapter.
pub fn load(node: &Node, name: &str) -> Result<Loaded, NotBegun> {
    let path = node.settings.adapters_dir.join(format!("{name}.toml"));
    if !is_name(name) || !path.exists() {
        return Err(NotBegun::Unknown { path });
    }
    let loaded = profile::load(&path)?;
    may_open(node, name, loaded.profile.ceiling.into()).map_err(RunError::from)?;
    Ok(loaded)
}

/// An adapter opens only stores at or below its ceiling, and only an isolated node has one that is above *none*.
pub(super) fn may_open(node: &Node, name: &str, ceiling: Classification) -> Result<(), Refusal> {
    let name = || ("name", name.to_owned());
    let shown = |level: Classification| ("ceiling", level.to_string());
    if !ceiling.may_pass(node.settings.ceiling) {
        let args = [name(), shown(ceiling)];
        return Err(Refusal::usage("adapter-ceiling-of-node", args));
    }
    let own = node.store.level();
    match own.may_leave(ceiling) && own.may_come_in(ceiling) {
        true => Ok(()),
        false => {
            let args = [name(), shown(ceiling), ("level", own.to_string())];
            Err(Refusal::usage("adapter-below-store", args))
        }
    }
}

/// What a system holds may be as high as its ceiling, so nothing of it becomes a record of a lower store.
pub(super) fn may_bring(node: &Node, name: &str, ceiling: Classification) -> Result<(), Refusal> {
    let own = node.store.level();
    if ceiling.may_pass(own) {
        return Ok(());
    }
    let args = [
        ("name", name.to_owned()),
        ("ceiling", ceiling.to_string()),
        ("level", own.to_string()),
    ];
    Err(Refusal::usage("adapter-above-store", args))
}

/// The names of all adapters of this node, sorted.
pub fn names(node: &Node) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(&node.settings.adapters_dir) else {
        return Vec::new();
    };
    let file_names = entries.flatten().map(|entry| entry.file_name());
    let stems =
        file_names.filter_map(|name| name.to_str()?.strip_suffix(".toml").map(str::to_owned));
    let mut names: Vec<String> = stems.filter(|name| is_name(name)).collect();
    names.sort();
    names
}

/// A name is part of file names and of the person that a change is by.
pub fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.len() <= 64 && name.chars().all(good)
}

/// Runs an adapter once.
pub async fn run(node: &Node, name: &str, mode: Mode, lang: Lang) -> Result<Outcome, NotBegun> {
    let loaded = load(node, name)?;
    let _alone = alone(node, name)?;
    let begun = match mode.trial {
        true => None,
        false => Some(begin(node, name).await?),
    };
    let outcome = streams(node, name, &loaded, mode, lang).await?;
    if let Some(run) = begun {
        end(node, name, run, &outcome, lang).await?;
    }
    Ok(outcome)
}

/// Whether a run of the adapter is going on, in whatever process.
pub fn is_running(node: &Node, name: &str) -> bool {
    matches!(alone(node, name), Err(NotBegun::Busy(_)))
}

/// Two runs of one adapter at once would both find a record missing and create it twice.
fn alone(node: &Node, name: &str) -> Result<Alone, NotBegun> {
    let dir = node.store.dir().join("adapters");
    let failed = |source: std::io::Error| StoreError::Io {
        what: format!("lock {}", dir.join(name).display()),
        source,
    };
    std::fs::create_dir_all(&dir).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(format!("{name}.lock")))
        .map_err(failed)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| NotBegun::Busy(name.to_owned()))?;
    Ok(Alone(file))
}

/// The lock of a run.
struct Alone(File);

impl Drop for Alone {
    fn drop(&mut self) {
        // Closing alone is not enough: a helping process that is just being started holds a copy until it has begun.
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "the lock of a run could not be given back");
        }
    }
}

async fn streams(
    node: &Node,
    name: &str,
    loaded: &Loaded,
    mode: Mode,
    lang: Lang,
) -> Result<Outcome, NotBegun> {
    let profile = &loaded.profile;
    let mut outcome = Outcome {
        streams: Vec::new(),
        error: None,
    };
    let open = Open {
        node,
        name,
        loaded,
        mode,
        lang,
    };
    let mapper = match ready(node, name, loaded, mode).await {
        Ok(mapper) => mapper,
        Err(error) => {
            outcome.error = Some(error);
            return Ok(outcome);
        }
    };
    let mut cycle = None;
    if profile
        .streams
        .iter()
        .any(|stream| stream.workbook.is_none())
    {
        let engine = match engines::open(&open, mapper.clone()).await {
            Ok(engine) => engine,
            Err(error) => {
                outcome.error = Some(error.into());
                return Ok(outcome);
            }
        };
        cycle = Some(Cycle {
            node,
            name,
            profile,
            mapper: mapper.clone(),
            engine,
            mode,
            lang,
        });
    }
    for stream in &profile.streams {
        let mut report = Report::default();
        let result = match &mut cycle {
            Some(cycle) if stream.workbook.is_none() => cycle.run_stream(stream, &mut report).await,
            _ => delivery::exchange(&open, &mapper, stream, &mut report).await,
        };
        if !mode.trial {
            keep_problems(node, name, &stream.name, &report).await?;
        }
        outcome.streams.push((stream.name.clone(), report));
        if let Err(error) = result {
            tracing::warn!(adapter = name, stream = stream.name, %error, "an adapter's run was cut");
            outcome.error = Some(error);
            break;
        }
    }
    Ok(outcome)
}

/// Every expression of a profile.
pub fn programs(profile: &Profile) -> Programs {
    let mut programs = cycle::programs(profile);
    programs.extend(engines::programs(profile));
    programs
}

/// Sees to it that the profile fits this node and means what its author thinks, and starts its mappings.
async fn ready(node: &Node, name: &str, loaded: &Loaded, mode: Mode) -> Result<Mapper, RunError> {
    let shown = node.store.shown();
    let is_unit = |text: &str| shown.tree.resolve(text, shown.unit).is_ok();
    profile::units_known(loaded, &is_unit)?;
    profile::claimed(loaded, &clashes(node, name, loaded))?;
    let programs = programs(&loaded.profile);
    let mapper = Mapper::start(&node.settings.program, programs, MapLimits::default()).await;
    let mapper = mapper.map_err(|error| unmapped(loaded, error))?;
    if !mode.trial {
        tested(loaded, &mapper, node).await?;
    }
    Ok(mapper)
}

/// Fields that an enabled adapter beside this one decides too. A profile that cannot be read decides nothing.
fn clashes(node: &Node, name: &str, loaded: &Loaded) -> Vec<Clash> {
    let shown = node.store.shown();
    let units = |profile: &Profile| {
        let unit = match &profile.unit {
            Some(text) => shown.tree.resolve(text, shown.unit).ok()?.id,
            None => shown.unit?,
        };
        Some((unit, shown.tree.subtree(unit).into_iter().collect()))
    };
    let Some(own) = units(&loaded.profile) else {
        return Vec::new();
    };
    let mine = Claimant {
        name,
        profile: &loaded.profile,
        units: own,
    };
    let mut found = Vec::new();
    for other in names(node).iter().filter(|other| *other != name) {
        let Ok(beside) = load(node, other) else {
            continue;
        };
        if let (true, Some(units)) = (beside.profile.enabled, units(&beside.profile)) {
            let theirs = Claimant {
                name: other,
                profile: &beside.profile,
                units,
            };
            found.extend(claims::clashes(&mine, &theirs));
        }
    }
    found
}

/// Why there is no mapper; an expression that is no jq is a mistake in the profile, with a line.
pub fn unmapped(loaded: &Loaded, error: MapError) -> RunError {
    match error {
        MapError::Misread(list) => RunError::Profile(profile::misread(loaded, &list)),
        other => other.into(),
    }
}

/// A profile whose own tests fail would write something else than its author meant.
async fn tested(loaded: &Loaded, mapper: &Mapper, node: &Node) -> Result<(), RunError> {
    let tests = self_test::run(&loaded.profile, mapper, &node.settings.zone).await?;
    let mut failed = tests.iter().filter(|test| !test.passed());
    match failed.next() {
        None => Ok(()),
        Some(first) => Err(RunError::Untested {
            first: first.name.clone(),
            failed: failed.count() + 1,
            all: tests.len(),
        }),
    }
}

async fn keep_problems(
    node: &Node,
    name: &str,
    stream: &str,
    report: &Report,
) -> Result<(), StoreError> {
    let (adapter, stream) = (name.to_owned(), stream.to_owned());
    let problems = report.problems.clone();
    node.store
        .write(move |tx| {
            let of = Of {
                adapter: &adapter,
                stream: &stream,
            };
            adapters::set_problems(tx.connection(), of, &problems)
        })
        .await
}

/// Notes that an adapter cannot be run as it is, so that `status` tells it like any other run that failed.
pub async fn note_not_begun(node: &Node, name: &str, error: &NotBegun) -> Result<(), StoreError> {
    let run = begin(node, name).await?;
    let at = node.clock.now_ms();
    let summary = json!({ "adapter": name, "outcome": "failed", "error": error.to_string() });
    node.store
        .write(move |tx| adapters::end_run(tx.connection(), run, at, "failed", &summary))
        .await
}

async fn begin(node: &Node, name: &str) -> Result<i64, StoreError> {
    let (adapter, at) = (name.to_owned(), node.clock.now_ms());
    node.store
        .write(move |tx| adapters::begin_run(tx.connection(), &adapter, at))
        .await
}

async fn end(
    node: &Node,
    name: &str,
    run: i64,
    outcome: &Outcome,
    lang: Lang,
) -> Result<(), StoreError> {
    let (word, at) = (outcome.word(), node.clock.now_ms());
    let summary = outcome.data(lang, name, Mode::default());
    node.store
        .write(move |tx| adapters::end_run(tx.connection(), run, at, word, &summary))
        .await
}
