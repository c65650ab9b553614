//! Our side as adapters see it: flat fields as text, and a token that says which state they were taken from.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

/// Field values by name. A missing name is an empty field.
pub type Fields = BTreeMap<String, String>;

/// One of our records, or one that would come to be if the outside filled it (a report nobody began yet).
#[derive(Clone, Debug, PartialEq)]
pub struct Ours {
    /// The stream's natural key.
    pub key: String,
    /// The record's id; natural ids exist before the record does.
    pub record: Uuid,
    /// The record's token: handed back with a write, it says what the writer had seen.
    pub token: String,
    /// The stream's own fields (`status`, `percent`, `result` …), values in our notation.
    pub fields: Fields,
    /// What expressions see: `{key, fields, task, unit, period, evidence}`.
    pub context: Value,
}
