//! The configuration of one node: TOML, checked as a whole before anything starts.
//!
//! Built-in default < file < environment (`NQSYNC_<SECTION>_<KEY>`) < flags (`--set section.key=value`). Everything that
//! is wrong is reported at once, with its place and what is allowed: serde would stop at the first problem, so the
//! document is walked against the key table, and serde only turns the checked result into types.
//!
//! Deliberately absent: secrets. They come from files or systemd credentials and never stand in the configuration.

mod ceilings;
mod check;
mod hosts;
pub mod keys;
mod layers;
mod model;
mod problem;
mod rules;
mod sample;
mod show;
mod units;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

pub use model::{
    Api, Config, Console, Level, Listen, Log, LogFormat, Metrics, Node, Parse, Profile, Reporting,
    Store, Sync, Upstream, UpstreamKind,
};
pub use problem::{ConfigErrors, Fault, Place, Problem};
pub use sample::sample;
pub use show::{Shown, schema, show};
pub use units::{CronRule, Millis, Seconds, Size};

use keys::{Fallback, KEYS, Key};
use layers::{KeyId, Layers, Written};

/// Where the configuration is looked for when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/nqsync/config.toml";

/// A configuration, and where each value of it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// The file it was read from.
    pub file: PathBuf,
    values: BTreeMap<KeyId, Written>,
}

/// The file to read: `--config`, else `NQSYNC_CONFIG`, else [`DEFAULT_PATH`].
pub fn path(flag: Option<&Path>, variable: Option<&str>) -> PathBuf {
    match (flag, variable.filter(|v| !v.is_empty())) {
        (Some(flag), _) => flag.to_owned(),
        (None, Some(variable)) => PathBuf::from(variable),
        (None, None) => PathBuf::from(DEFAULT_PATH),
    }
}

/// Reads and checks everything. `overrides` are pairs of key path (`sync.debounce_ms`) and value.
pub fn load(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
    overrides: &[(String, String)],
) -> Result<Loaded, ConfigErrors> {
    let text = match std::fs::read(path) {
        Ok(bytes) => text_of(path, bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ConfigErrors::missing(path));
        }
        Err(error) => {
            let message = format!("cannot be read: {error}");
            return Err(unreadable(path, 1, &message, ""));
        }
    };
    read(path, &text, env, overrides)
}

/// The same for the text of a file. `path` is where it stands: relative folders in it start there.
pub fn read(
    path: &Path,
    text: &str,
    env: impl Iterator<Item = (String, String)>,
    overrides: &[(String, String)],
) -> Result<Loaded, ConfigErrors> {
    let mut layers = Layers::default();
    layers.add_file(path, text);
    layers.add_env(env);
    layers.add_overrides(overrides);
    // After a syntax error nobody knows what the rest of the file says: what seems missing may be there.
    if !layers.problems.iter().any(|p| p.fault == Fault::Syntax) {
        rules::complete(&mut layers, path);
    }
    if !layers.problems.is_empty() {
        return Err(ConfigErrors {
            problems: layers.problems,
            file_missing: false,
        });
    }
    let config = typed(&layers).map_err(|e| unreadable(path, 1, e.message(), ""))?;
    Ok(Loaded {
        config,
        file: path.to_owned(),
        values: layers.values,
    })
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigErrors> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        unreadable(path, line, "is not UTF-8 text", "save it again as UTF-8")
    })
}

fn unreadable(path: &Path, line: usize, message: &str, expected: &str) -> ConfigErrors {
    let problem = Problem {
        place: Place::File {
            file: path.to_owned(),
            line,
            column: 1,
        },
        key: String::new(),
        fault: Fault::Unreadable,
        found: None,
        message: message.into(),
        expected: expected.into(),
    };
    ConfigErrors {
        problems: vec![problem],
        file_missing: false,
    }
}

fn typed(layers: &Layers) -> Result<Config, toml::de::Error> {
    let mut document = Table::new();
    for ((section, name), written) in &layers.values {
        let table = document
            .entry(*section)
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(table) = table {
            table.insert((*name).into(), written.value.clone());
        }
    }
    Config::deserialize(Value::Table(document))
}

/// The default of a key in its stored form, where it has one that depends on no other key.
fn default_of(key: &Key) -> Option<Value> {
    let Fallback::Value(literal) = key.fallback else {
        return None;
    };
    let value: Value = literal.parse().ok()?;
    check::check(key, &value, literal).ok()
}

/// Every key with its written value or default, in the order of the table; keys of sections that are off have none.
fn entries(loaded: &Loaded) -> impl Iterator<Item = (&'static Key, Option<&Written>)> {
    KEYS.iter()
        .map(|key| (key, loaded.values.get(&(key.section, key.name))))
}
