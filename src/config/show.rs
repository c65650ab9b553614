//! `config show` and `config schema`.

use schemars::generate::SchemaSettings;
use serde_json::{Map, json};
use toml::Value;

use super::keys::{Fallback, KEYS, Key, Kind, OPTIONAL_SECTIONS, SECTIONS};
use super::layers::Written;
use super::model::Config;
use super::problem::Place;
use super::units::Size;
use super::{Loaded, entries};

/// What `config show` prints: once for people, once for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// TOML that loads again.
    pub text: String,
    /// The same by section and key; with origins, each key is `{value, origin}`.
    pub json: serde_json::Value,
}

/// The configuration as it holds. `effective` adds the defaults to what was written; `origin` says for each key where it
/// comes from. Nothing needs masking: no key holds a secret, and a login in the URL is refused.
pub fn show(loaded: &Loaded, effective: bool, origin: bool) -> Shown {
    let mut text = String::new();
    let mut json = Map::new();
    for (section, _) in SECTIONS {
        let keys: Vec<_> = entries(loaded)
            .filter(|(key, _)| key.section == *section)
            .filter_map(|(key, written)| written.map(|w| (key, w)))
            .filter(|(_, written)| effective || written.place != Place::Default)
            .collect();
        if keys.is_empty() {
            continue;
        }
        text += &format!("{}[{section}]\n", if text.is_empty() { "" } else { "\n" });
        let mut object = Map::new();
        for (key, written) in keys {
            text += &line(key, written, origin);
            object.insert(key.name.into(), entry(key, written, origin));
        }
        json.insert((*section).into(), object.into());
    }
    Shown {
        text,
        json: json.into(),
    }
}

fn line(key: &Key, written: &Written, origin: bool) -> String {
    let value = render(key, &written.value);
    if origin {
        format!("{} = {value}  # {}\n", key.name, written.place)
    } else {
        format!("{} = {value}\n", key.name)
    }
}

fn entry(key: &Key, written: &Written, origin: bool) -> serde_json::Value {
    let value = json_of(key, &written.value);
    if origin {
        json!({ "value": value, "origin": written.place })
    } else {
        value
    }
}

/// A stored value as people write it in the file.
pub fn render(key: &Key, value: &Value) -> String {
    match (key.kind, value) {
        (Kind::Size { .. }, Value::Integer(0)) => "0".into(),
        (Kind::Size { .. }, Value::Integer(bytes)) => format!("\"{}\"", Size(bytes.unsigned_abs())),
        (Kind::Seconds { .. }, Value::Float(seconds)) => format!("{seconds}"),
        _ => value.to_string(),
    }
}

fn json_of(key: &Key, value: &Value) -> serde_json::Value {
    match (key.kind, value) {
        (Kind::Seconds { .. }, Value::Float(seconds)) if seconds.fract() == 0.0 => {
            json!(*seconds as i64)
        }
        _ => serde_json::to_value(value).unwrap_or_default(),
    }
}

/// The JSON schema of the file: its shape from the types, what is said about each key from the key table.
pub fn schema() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value();
    schema["title"] = json!("nqsync configuration of one node");
    schema["required"] = json!(["node"]);
    for (section, doc) in SECTIONS {
        let object = &mut schema["properties"][section];
        object["description"] = json!(doc);
        let required = KEYS
            .iter()
            .filter(|k| k.section == *section && k.fallback == Fallback::Required);
        object["required"] = required.map(|k| json!(k.name)).collect();
    }
    for key in KEYS {
        let property = &mut schema["properties"][key.section]["properties"][key.name];
        *property = key_schema(key);
    }
    schema
}

fn key_schema(key: &Key) -> serde_json::Value {
    let mut schema = match key.kind {
        Kind::Choice(allowed) => json!({ "type": "string", "enum": allowed }),
        Kind::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Seconds { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Size { min, max } => json!({ "anyOf": [
            { "type": "integer", "minimum": min, "maximum": max },
            { "type": "string", "pattern": "^[0-9_]+ ?(B|KiB|MiB|GiB)?$" },
        ] }),
        Kind::Url => json!({ "type": "string", "pattern": "^https://[^/@?#]+/?$" }),
        Kind::Unit => json!({ "type": "string", "pattern": "^\\S+$" }),
        Kind::Names => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Kind::Schedule | Kind::Regimes => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Words(allowed) => {
            json!({ "type": "array", "items": { "type": "string", "enum": allowed } })
        }
        Kind::Days => {
            json!({ "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 60 } })
        }
        Kind::Path | Kind::Zone | Kind::Address => json!({ "type": "string" }),
    };
    schema["description"] = json!(format!("{} When to change it: {}", key.doc, key.why));
    if let Some(default) =
        super::default_of(key).filter(|_| !OPTIONAL_SECTIONS.contains(&key.section))
    {
        schema["default"] = json_of(key, &default);
    }
    schema
}
