//! What keys must be together: paths resolved, required keys there, no two settings that contradict each other.

use std::path::{Path, PathBuf};

use toml::Value;

use super::keys::{Fallback, KEYS, Kind, OPTIONAL_SECTIONS};
use super::layers::{KeyId, Layers, Written};
use super::problem::{Fault, Place, Problem};

/// Longest path of a Unix socket (`sun_path` less its final zero).
const SOCKET_PATH_MAX: usize = 107;

/// Fills in the defaults and checks everything that takes more than one key.
pub fn complete(layers: &mut Layers, file: &Path) {
    resolve_paths(layers, file);
    require(layers, file);
    fill(layers);
    contradictions(layers);
    super::ceilings::check(layers);
}

/// A relative path in the file counts from the file's folder, so that a whole node can be moved. In the environment
/// and in flags it would count from wherever the program was started, which under systemd is `/`: refused.
fn resolve_paths(layers: &mut Layers, file: &Path) {
    let base = std::path::absolute(file)
        .ok()
        .and_then(|f| f.parent().map(Path::to_owned))
        .unwrap_or_default();
    for key in KEYS.iter().filter(|k| k.kind == Kind::Path) {
        let id = (key.section, key.name);
        let Some(written) = layers.values.get_mut(&id) else {
            continue;
        };
        let path = PathBuf::from(written.value.as_str().unwrap_or_default());
        let in_file = matches!(written.place, Place::File { .. });
        if path.is_relative() && !in_file {
            refuse(
                layers,
                id,
                Fault::BadPath,
                "is a relative path",
                "write a path from the root, such as /srv/nqsync",
            );
            continue;
        }
        // Whoever reads the path in a message finds no `/./` in it.
        let full: PathBuf = base.join(path).components().collect();
        written.value = Value::String(full.to_string_lossy().into_owned());
    }
    check_folders(layers);
}

fn check_folders(layers: &mut Layers) {
    let data_dir = path_of(layers, ("node", "data_dir"));
    if let Some(dir) = &data_dir {
        if dir.exists() && !dir.is_dir() {
            refuse(
                layers,
                ("node", "data_dir"),
                Fault::BadPath,
                "is not a folder",
                "name a folder",
            );
        } else if !parent_exists(dir) {
            let hint = "create the folder above it, or correct the path";
            refuse(
                layers,
                ("node", "data_dir"),
                Fault::BadPath,
                "lies in a folder that does not exist",
                hint,
            );
        }
    }
    if let Some(socket) = path_of(layers, ("node", "socket")) {
        let in_data_dir = data_dir.is_some() && socket.parent() == data_dir.as_deref();
        if !in_data_dir && !parent_exists(&socket) {
            let hint = "create that folder, or leave the key out";
            refuse(
                layers,
                ("node", "socket"),
                Fault::BadPath,
                "lies in a folder that does not exist",
                hint,
            );
        }
    }
}

fn parent_exists(path: &Path) -> bool {
    path.parent().is_none_or(Path::is_dir)
}

/// The path a key holds, if it was not refused already.
fn path_of(layers: &Layers, id: KeyId) -> Option<PathBuf> {
    if layers.refused.contains(&id) {
        return None;
    }
    layers
        .values
        .get(&id)
        .and_then(|w| w.value.as_str())
        .map(PathBuf::from)
}

fn require(layers: &mut Layers, file: &Path) {
    for key in KEYS.iter().filter(|k| k.fallback == Fallback::Required) {
        let id = (key.section, key.name);
        let off = OPTIONAL_SECTIONS.contains(&key.section)
            && !layers.sections.contains_key(key.section)
            // Where bundles go by hand nobody is dialled.
            || id == ("upstream", "url") && goes_by_bundle(layers);
        if off || layers.values.contains_key(&id) || layers.refused.contains(&id) {
            continue;
        }
        layers.problems.push(Problem {
            place: Place::File {
                file: file.to_owned(),
                line: 1,
                column: 1,
            },
            key: key.path(),
            fault: Fault::Missing,
            found: None,
            message: "is missing".into(),
            expected: format!("write under [{}]: {}", key.section, example(key.name)),
        });
    }
}

fn goes_by_bundle(layers: &Layers) -> bool {
    let kind = layers.values.get(&("upstream", "kind"));
    kind.is_some_and(|kind| kind.value.as_str() == Some("bundle"))
}

fn example(name: &str) -> &'static str {
    match name {
        "unit" => "unit = \"00123\"",
        "level" => "level = \"commune\" (or \"province\", \"ministry\")",
        _ => "url = \"https://host:port\"",
    }
}

fn fill(layers: &mut Layers) {
    for key in KEYS {
        let id = (key.section, key.name);
        let off =
            OPTIONAL_SECTIONS.contains(&key.section) && !layers.sections.contains_key(key.section);
        if off || layers.values.contains_key(&id) {
            continue;
        }
        if let Some(value) = super::default_of(key) {
            layers.values.insert(
                id,
                Written {
                    value,
                    place: Place::Default,
                },
            );
        }
    }
    let socket = ("node", "socket");
    if let (false, Some(dir)) = (
        layers.values.contains_key(&socket),
        path_of(layers, ("node", "data_dir")),
    ) {
        let value = Value::String(dir.join("control.sock").to_string_lossy().into_owned());
        layers.values.insert(
            socket,
            Written {
                value,
                place: Place::Default,
            },
        );
    }
    if path_of(layers, socket).is_some_and(|p| p.as_os_str().len() > SOCKET_PATH_MAX) {
        let hint = format!(
            "a socket's path has at most {SOCKET_PATH_MAX} bytes; set node.socket to a shorter one"
        );
        refuse(layers, socket, Fault::BadPath, "is too long", &hint);
    }
}

/// Pairs of which the first may not exceed the second.
const AT_MOST: &[(KeyId, KeyId)] = &[
    (("sync", "backoff_min_s"), ("sync", "backoff_max_s")),
    (("sync", "batch_bytes"), ("sync", "max_batch_bytes")),
    (("sync", "max_record_bytes"), ("sync", "max_batch_bytes")),
    (("sync", "blob_chunk_bytes"), ("sync", "max_blob_bytes")),
    (
        ("listen", "max_connections_per_child"),
        ("listen", "max_connections"),
    ),
    (
        ("upstream", "connect_timeout_s"),
        ("upstream", "request_timeout_s"),
    ),
    (
        ("upstream", "long_poll_s"),
        ("upstream", "request_timeout_s"),
    ),
    (
        ("upstream", "probe_jitter_s"),
        ("upstream", "probe_interval_s"),
    ),
];

fn contradictions(layers: &mut Layers) {
    for (small, large) in AT_MOST {
        let number = |id| layers.values.get(id).and_then(|w| number(&w.value));
        if let (Some(a), Some(b)) = (number(small), number(large))
            && a > b
        {
            // Blame what a person wrote, not the default beside it.
            let by_hand = layers
                .values
                .get(small)
                .is_some_and(|w| w.place != Place::Default);
            let (blamed, word, other) = if by_hand {
                (small, "at most", large)
            } else {
                (large, "at least", small)
            };
            let other = format!(
                "it must be {word} {}.{}, {}",
                other.0,
                other.1,
                shown(layers, other)
            );
            refuse(
                layers,
                *blamed,
                Fault::Contradiction,
                "contradicts another key",
                &other,
            );
        }
    }
    for local in ["console", "api", "metrics"] {
        let local = (local, "address");
        let address = layers.values.get(&local).and_then(|w| w.value.as_str());
        if address.is_some_and(|address| !is_loopback(address)) {
            let hint =
                "there is no TLS here; use 127.0.0.1, and a web server with TLS for other machines";
            refuse(
                layers,
                local,
                Fault::BadAddress,
                "can be opened by other machines",
                hint,
            );
        }
    }
    let upstream = ("upstream", "url");
    if layers.sections.contains_key("upstream") {
        let is = |id, word| layers.values.get(&id).and_then(|w| w.value.as_str()) == Some(word);
        if is(("node", "level"), "ministry") {
            let hint = "the ministry has no upstream: remove [upstream], or correct node.level";
            refuse(
                layers,
                upstream,
                Fault::Contradiction,
                "contradicts node.level \"ministry\"",
                hint,
            );
        }
    }
}

/// Whether only this machine can connect to a `host:port`. A name could be anybody's tomorrow.
fn is_loopback(address: &str) -> bool {
    let parsed: Result<std::net::SocketAddr, _> = address.parse();
    parsed.is_ok_and(|address| address.ip().is_loopback())
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|i| i as f64))
}

fn shown(layers: &Layers, id: &KeyId) -> String {
    let key = super::keys::find(id.0, id.1);
    match (key, layers.values.get(id)) {
        (Some(key), Some(written)) => super::show::render(key, &written.value),
        _ => String::new(),
    }
}

pub(super) fn refuse(layers: &mut Layers, id: KeyId, fault: Fault, message: &str, expected: &str) {
    let found = Some(shown(layers, &id)).filter(|f| !f.is_empty());
    let written = layers.values.get(&id).map(|w| &w.place);
    // Of a default that is wrong here, what a person wrote is its section.
    let written = written.filter(|place| **place != Place::Default);
    let place = written
        .or_else(|| layers.sections.get(id.0))
        .cloned()
        .unwrap_or(Place::Default);
    layers.refused.insert(id);
    let (key, message, expected) = (
        format!("{}.{}", id.0, id.1),
        message.into(),
        expected.into(),
    );
    layers.problems.push(Problem {
        place,
        key,
        fault,
        found,
        message,
        expected,
    });
}
