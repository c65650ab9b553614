//! Where the command line meets the rest of the program. One function per outside need, so that wiring a part is
//! changing one function here; until then it answers `not_built`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::connect::Local;
use super::place::Place;
use super::{failure, sync::Progress};
use crate::api::{Exit, Failure, ImportKind, Lang, Outcome};
use crate::t;

/// What `init` is told.
#[derive(Clone, Debug)]
pub struct Init {
    /// The new node's directory.
    pub dir: PathBuf,
    /// Code of the unit it serves.
    pub unit: String,
    /// Its name, where there is no parent to tell it.
    pub name: Option<String>,
    /// `commune`, `province` or `ministry`.
    pub level: String,
    /// Address for downstream nodes.
    pub listen: Option<String>,
    /// The node above.
    pub upstream: Option<String>,
}

/// What `demo` is told.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Directory to keep afterwards.
    pub keep: Option<PathBuf>,
    /// Go on running when everything was shown.
    pub serve: bool,
}

/// The node itself, in this process, while no service runs.
pub fn open_local(place: &Place, _writes: bool) -> Result<Box<dyn Local>, Failure> {
    Err(not_built(place.lang, "open_local"))
}

/// Makes a new node.
pub fn init(place: &Place, _init: &Init) -> Outcome {
    Err(not_built(place.lang, "init"))
}

/// Runs the service until it is told to stop.
pub fn run(place: &Place) -> Result<Exit, Failure> {
    Err(not_built(place.lang, "run"))
}

/// Enrols this node at its parent.
pub fn enrol(place: &Place, _upstream: &str, _token: &str) -> Outcome {
    Err(not_built(place.lang, "enrol"))
}

/// Shows three levels on loopback; `say` gets each step as a line for people.
pub fn demo(place: &Place, _demo: &Demo, _say: &mut dyn FnMut(&str)) -> Outcome {
    Err(not_built(place.lang, "demo"))
}

/// A sync session in this process while no service runs.
pub fn sync_local(place: &Place, _wait: bool, _progress: &mut Progress<'_>) -> Outcome {
    Err(failure(
        Exit::Failed,
        "service_not_running",
        t!(place.lang, "err-service-not-running"),
    ))
}

/// A table file as rows with remarks, read by a process of its own under limits. `known` says whether a text names a unit.
pub fn read_table(
    lang: Lang,
    _path: &Path,
    _kind: ImportKind,
    _sheet: Option<&str>,
    _known: &dyn Fn(&str) -> bool,
) -> Result<Value, Failure> {
    Err(not_built(lang, "read_table"))
}

/// The child process that reads a table file for its parent.
pub fn parse_worker() -> Exit {
    Exit::Failed
}

fn not_built(lang: Lang, part: &str) -> Failure {
    failure(
        Exit::Failed,
        "not_built",
        t!(lang, "err-not-built", part = part),
    )
}
