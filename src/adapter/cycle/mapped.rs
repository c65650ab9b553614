//! Between records and expressions: what a stream's mappings are given, and what their values mean. Pure.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::compare::{self, value};
use crate::adapter::convert::{self, ConvertError};
use crate::adapter::ours::Fields;
use crate::adapter::profile::{Profile, Stream};

/// What the expressions of a stream's fields found in an outside record, in our notation.
pub fn fields_of_theirs(
    stream: &Stream,
    profile: &Profile,
    zone: &TimeZone,
    values: &BTreeMap<String, Value>,
) -> Result<Fields, ConvertError> {
    let mut fields = Fields::new();
    for (name, field) in &stream.fields {
        if let Some(value) = values.get(&super::field(name)) {
            let text = convert::inward(name, field, profile, zone, value)?;
            compare::set(&mut fields, name, &text);
        }
    }
    Ok(fields)
}

/// Every field of one of our records: its own ones, and those that expressions compute.
pub fn fields_of_ours(stream: &Stream, own: &Fields, values: &BTreeMap<String, Value>) -> Fields {
    let mut fields = Fields::new();
    for name in stream.fields.keys() {
        let text = match values.get(&super::field(name)) {
            Some(value) => text_of(value).unwrap_or_default(),
            None => value(own, name).to_owned(),
        };
        compare::set(&mut fields, name, &text);
    }
    fields
}

/// What the expression of a body is given, but for the outside record: our record's context with its values in their
/// notation.
pub fn body_input(
    stream: &Stream,
    profile: &Profile,
    zone: &TimeZone,
    context: Value,
    body: Body<'_>,
) -> Result<Value, ConvertError> {
    let mut values = Map::new();
    for (name, field) in &stream.fields {
        let ours = body
            .changed
            .get(name)
            .map_or_else(|| value(body.fields, name), String::as_str);
        let converted = convert::outward(name, field, profile, zone, ours)?;
        values.insert(name.clone(), converted);
    }
    let mut input = context;
    input["key"] = json!(body.key);
    input["fields"] = Value::Object(values);
    input["changed"] = json!(body.changed.keys().collect::<Vec<_>>());
    input["id"] = json!(body.id);
    Ok(input)
}

/// What a body is made of, in our notation.
pub struct Body<'a> {
    /// The record's key.
    pub key: &'a str,
    /// The outside's id, once there is one.
    pub id: Option<String>,
    /// Every field.
    pub fields: &'a Fields,
    /// Those to be written.
    pub changed: &'a Fields,
}

/// A key or an id: a text or a number; nothing else names a record.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
