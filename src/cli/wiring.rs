//! Where the command line meets the rest of the program: one function per outside need.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nqsync_core::model::{Classification, NodeId};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::connect::Local;
use super::failure;
use super::place::Place;
use crate::adapter::verbs::execute;
use crate::api::{Exit, Failure, ImportKind, Lang, Outcome, Request};
use crate::clock::Clock;
use crate::config::{self, Config, Level};
use crate::daemon::enrol_file;
use crate::daemon::setup::{self, EnrolError};
use crate::daemon::{self, DaemonError};
use crate::node::commands::refuse;
use crate::node::login::{self, Logins};
use crate::node::{Node, Refusal};
use crate::sheet::{self, Limits, Parser, SheetError, Table};
use crate::store::{Store, StoreError};
use crate::trust::files::make_private_folder;
use crate::{demo, t, telemetry};

/// Address of a parent that is reached by bundles alone, where no other is known: the key must be there, and nobody dials it.
const NEVER_DIALLED: &str = "https://by-bundle.invalid:7457";

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

/// The node in this process, on the store itself.
struct Here {
    runtime: Runtime,
    node: Node,
}

impl Local for Here {
    fn execute(&self, request: Request) -> Outcome {
        self.runtime.block_on(async {
            // The store is this person's alone: nobody else tries passwords beside them.
            let request = login::prove(&self.node, &Logins::default(), request).await?;
            execute(&self.node, request).await
        })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.node.store.close();
    }
}

/// The node itself, in this process, while no service runs. Reading takes the lock too: it keeps a service from
/// starting half-way through.
pub fn open_local(place: &Place, _writes: bool) -> Result<Box<dyn Local>, Failure> {
    let loaded = place.load()?;
    let runtime = runtime(place)?;
    let store = Store::open(&setup::store_options(&loaded.config)).map_err(|e| stored(place, e))?;
    let node = Node {
        store,
        clock: Clock::system(),
        settings: setup::settings(&loaded),
    };
    let begun = runtime.block_on(daemon::housekeeping::begin(&node));
    begun.map_err(|e| stored(place, e))?;
    Ok(Box::new(Here { runtime, node }))
}

/// Carries something out that needs a runtime and no node.
pub fn block_on<T>(place: &Place, work: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(runtime(place)?.block_on(work))
}

pub(super) fn runtime(place: &Place) -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| {
            stored(
                place,
                StoreError::Io {
                    what: "start the runtime".to_owned(),
                    source: e,
                },
            )
        })
}

pub(super) fn stored(place: &Place, error: StoreError) -> Failure {
    refuse(place.lang, Refusal::from(error))
}

fn started(place: &Place, error: DaemonError) -> Failure {
    match error {
        DaemonError::Store(error) => stored(place, error),
        other => failure(
            Exit::Failed,
            "not_started",
            t!(place.lang, "err-not-started", reason = other),
        ),
    }
}

/// Makes a new node: configuration, keys, store.
pub fn init(place: &Place, init: &Init) -> Outcome {
    let file = init.dir.join("config.toml");
    let cannot_write = |e: std::io::Error| {
        let reason = e.to_string();
        failure(
            Exit::Failed,
            "cannot_write",
            t!(
                place.lang,
                "err-cannot-write",
                path = file.display(),
                reason = reason
            ),
        )
    };
    make_private_folder(&init.dir).map_err(cannot_write)?;
    let existed = file.exists();
    if !existed {
        write_config(&file, &first_config(init)).map_err(cannot_write)?;
    }
    let place = Place {
        config: Some(file.clone()),
        ..place.clone()
    };
    let made = place.load().and_then(|loaded| {
        same_node(&place, &loaded.config, init)?;
        let node = setup::init(&loaded.config, &Clock::system(), init.name.as_deref());
        node.map_err(|e| started(&place, e))
            .map(|node| (node, loaded.config))
    });
    let (node, config) = made.inspect_err(|_| {
        if !existed {
            // A configuration that was refused must not stand in the way of the next try.
            let _ = std::fs::remove_file(&file);
        }
    })?;
    Ok(crate::api::Answer {
        exit: Exit::Done,
        data: json!({ "node": node, "unit": config.node.unit, "level": config.node.level.as_str(),
            "dir": init.dir, "config": file, "created": !existed }),
        notes: next_step(&place, &config, &init.dir).into_iter().collect(),
    })
}

/// Makes the store of a level of secrecy for a node that is there; `false`: it was there already. Its own configuration says
/// which level it is, and that no line leads to or from it.
pub fn prepare_level(
    base: &Place,
    place: &Place,
    level: Classification,
    node: NodeId,
) -> Result<bool, Failure> {
    let config = base.load()?.config;
    let file = place.file();
    let cannot_write = |e: std::io::Error| {
        let (path, reason) = (file.display(), e);
        let message = t!(base.lang, "err-cannot-write", path = path, reason = reason);
        failure(Exit::Failed, "cannot_write", message)
    };
    let dir = file.parent().unwrap_or(Path::new("."));
    for folder in dir.parent().into_iter().chain([dir]) {
        make_private_folder(folder).map_err(cannot_write)?;
    }
    if !file.exists() {
        write_config(&file, &level_config(&config, level)).map_err(cannot_write)?;
    }
    let made = !dir.join("store.db").exists();
    let own = place.load()?.config;
    setup::init_as(&own, &Clock::system(), None, Some(node)).map_err(|e| started(place, e))?;
    Ok(made)
}

fn level_config(config: &Config, level: Classification) -> String {
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    let node = &config.node;
    let zone = node.time_zone.iana_name().unwrap_or("Asia/Ho_Chi_Minh");
    let mut set = vec![
        ("node.unit", quoted(&node.unit)),
        ("node.level", quoted(node.level.as_str())),
        ("node.data_dir", quoted(".")),
        (
            "node.machine_id_file",
            quoted(&node.machine_id_file.to_string_lossy()),
        ),
        ("node.profile", quoted("isolated")),
        ("node.ceiling", quoted(level.word())),
        ("node.classification", quoted(level.word())),
        ("node.time_zone", quoted(zone)),
    ];
    if node.level != Level::Ministry {
        let url = config
            .upstream
            .as_ref()
            .map(|upstream| upstream.url.as_str());
        set.push(("upstream.url", quoted(url.unwrap_or(NEVER_DIALLED))));
        set.push(("upstream.kind", quoted("bundle")));
    }
    let set: Vec<(&str, &str)> = set
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    config::sample(node.level, &set)
}

/// A configuration holds no secret, but whom it names is nobody's business but the node's group. Killed on the way it is
/// whole or absent: half of one would stand in the way of the next try.
pub(super) fn write_config(file: &Path, text: &str) -> std::io::Result<()> {
    let draft = file.with_added_extension("new");
    // Left by a crash; it must not lend its mode.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&draft)?;
    made.write_all(text.as_bytes())?;
    made.sync_all()?;
    std::fs::rename(&draft, file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// What a person does after `init`; nothing where the node is enrolled already.
fn next_step(place: &Place, config: &Config, dir: &Path) -> Option<String> {
    let shown = dir.display();
    if config.node.level == Level::Ministry {
        return Some(t!(place.lang, "note-next-at-the-top", dir = shown));
    }
    let enrolled = config.node.data_dir.join(setup::UPSTREAM_CERTIFICATE);
    (!enrolled.exists()).then(|| t!(place.lang, "note-next-below", dir = shown))
}

fn same_node(place: &Place, config: &Config, init: &Init) -> Result<(), Failure> {
    if config.node.unit == init.unit && config.node.level.as_str() == init.level {
        return Ok(());
    }
    Err(failure(
        Exit::Usage,
        "other_node",
        t!(
            place.lang,
            "err-other-node",
            dir = init.dir.display(),
            unit = config.node.unit
        ),
    ))
}

fn first_config(init: &Init) -> String {
    let level = match init.level.as_str() {
        "ministry" => Level::Ministry,
        "province" => Level::Province,
        _ => Level::Commune,
    };
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    let mut set = vec![
        ("node.unit", quoted(&init.unit)),
        ("node.level", quoted(&init.level)),
        ("node.data_dir", quoted(".")),
    ];
    if let Some(address) = &init.listen {
        set.push(("listen.address", quoted(address)));
        let host = address
            .rsplit_once(':')
            .map_or(address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if !matches!(host, "0.0.0.0" | "::" | "") {
            set.push(("listen.names", format!("[{}]", quoted(host))));
        }
    }
    if let Some(url) = &init.upstream {
        set.push(("upstream.url", quoted(url)));
    }
    let set: Vec<(&str, &str)> = set
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    config::sample(level, &set)
}

/// Runs the service until it is told to stop.
pub fn run(place: &Place) -> Result<Exit, Failure> {
    let loaded = place.load()?;
    let filter = std::env::var("NQSYNC_LOG").ok();
    telemetry::init(&loaded.config.log, filter.as_deref())
        .map_err(|e| failure(Exit::Configuration, "log", e.to_string()))?;
    let again = place.clone();
    let reload: daemon::Reload = Box::new(move || again.load().ok());
    runtime(place)?
        .block_on(daemon::run(loaded, Clock::system(), reload))
        .map(|()| Exit::Done)
        .map_err(|e| started(place, e))
}

/// Writes a request to be enrolled into a file.
pub fn enrol_request(place: &Place, token: &str, file: &Path) -> Outcome {
    let config = place.load()?.config;
    let asked = enrol_file::request(&config, token, file);
    let node = asked.map_err(|error| not_enrolled(place, error))?;
    let shown = file.display();
    Ok(crate::api::Answer {
        exit: Exit::Done,
        data: json!({ "node": node, "unit": config.node.unit, "written_to": file }),
        notes: vec![t!(place.lang, "note-enrol-request", path = shown)],
    })
}

/// Enrols this node at its parent, whose answer may have come as a file.
pub fn enrol(place: &Place, upstream: Option<&str>, token: &str, answer: Option<&Path>) -> Outcome {
    let config = place.load()?.config;
    let (runtime, clock) = (runtime(place)?, Clock::system());
    let enrolled = match answer {
        None if config.node.classification > Classification::None => {
            let level = config.node.classification.to_string();
            return Err(refuse(
                place.lang,
                Refusal::usage("enrol-by-file", [("level", level)]),
            ));
        }
        None => runtime.block_on(setup::enrol(&config, &clock, upstream, token)),
        Some(file) => {
            let taken = enrol_file::answer(&config, &clock, upstream, token, file);
            runtime.block_on(taken)
        }
    };
    let (parent, url) = enrolled.map_err(|error| not_enrolled(place, error))?;
    Ok(crate::api::Answer {
        exit: Exit::Done,
        data: json!({ "parent": parent, "upstream": url, "unit": config.node.unit }),
        notes: vec![t!(
            place.lang,
            "note-enrolled",
            unit = config.node.unit,
            url = url
        )],
    })
}

pub(super) fn not_enrolled(place: &Place, error: EnrolError) -> Failure {
    match error {
        EnrolError::Local(error) => started(place, error),
        other => {
            let (exit, code) = match &other {
                EnrolError::Unreachable { .. } => (Exit::Unreachable, "unreachable"),
                EnrolError::Impostor { .. } => (Exit::Authentication, "impostor"),
                EnrolError::Refused(_) => (Exit::Authentication, "token_refused"),
                EnrolError::Answer(_) => (Exit::Authentication, "answer_refused"),
                _ => (Exit::Usage, "token"),
            };
            failure(exit, code, t!(place.lang, "err-enrol", reason = other))
        }
    }
}

/// Enrols this store under a new identity.
pub fn adopt_new(place: &Place, upstream: Option<&str>, token: &str, person: &str) -> Outcome {
    let config = place.load()?.config;
    let clock = Clock::system();
    let adopted = runtime(place)?.block_on(daemon::anew::adopt_new(
        &config, &clock, upstream, token, person,
    ));
    let (node, parent) = adopted.map_err(|error| not_enrolled(place, error))?;
    Ok(crate::api::Answer {
        exit: Exit::Done,
        data: json!({ "adopted": "new", "node": node, "parent": parent, "unit": config.node.unit }),
        notes: vec![t!(place.lang, "note-adopted-new", unit = config.node.unit)],
    })
}

/// Shows three levels on loopback; `say` gets each step as a line for people.
pub fn demo(place: &Place, demo: &Demo, say: &mut dyn FnMut(&str)) -> Outcome {
    demo::run(place.lang, demo.keep.as_deref(), demo.serve, say)
}

/// A table file as it stands, read by a process of its own under limits.
/// Rows that state another level of secrecy than that of the store are left out there.
pub fn parse_table(place: &Place, path: &Path, sheet: Option<&str>) -> Result<Table, Failure> {
    let unreadable = |reason: String| cannot_read(place.lang, path, &reason);
    let program = std::env::current_exe().map_err(|e| unreadable(e.to_string()))?;
    let config = place.load()?.config;
    Parser::of(setup::parse_socket(&config), &program)
        .parse(path, sheet, &Limits::at(config.node.classification))
        .map_err(|e: SheetError| unreadable(e.to_string()))
}

/// A table as rows with remarks. `known` says whether a text names a unit.
pub fn read_table(
    lang: Lang,
    path: &Path,
    table: &Table,
    kind: ImportKind,
    known: &dyn Fn(&str) -> bool,
) -> Result<Value, Failure> {
    let read = match kind {
        ImportKind::Tasks => serde_json::to_value(sheet::read_plan(table, known)),
        ImportKind::Reports => serde_json::to_value(sheet::records::read_reports(table)),
        ImportKind::Indicators => serde_json::to_value(sheet::records::read_indicators(table)),
        ImportKind::Units => serde_json::to_value(sheet::records::read_units(table)),
    };
    read.map_err(|e| cannot_read(lang, path, &e.to_string()))
}

fn cannot_read(lang: Lang, path: &Path, reason: &str) -> Failure {
    let message = t!(
        lang,
        "err-cannot-read",
        path = path.display(),
        reason = reason
    );
    failure(Exit::Usage, "cannot_read", message)
}
