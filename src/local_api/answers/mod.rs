//! What answers hold, for the document. The answers themselves are those of the verbs; a test holds each against this.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

mod decisions;
mod figures;
mod work;

pub use decisions::*;
pub use figures::*;
pub use work::*;

/// A moment in UTC, as RFC 3339 writes it.
pub struct Time;

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A part of a list, in the order of ids.
#[derive(JsonSchema)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u64,
    /// The `cursor` of the next part; null: this is the last one.
    pub next: Option<String>,
    /// What is to be known beside it, in sentences.
    pub notes: Vec<String>,
}

/// What a write came to.
#[derive(JsonSchema)]
pub struct Written<T> {
    /// `done`; `partly`: the rest was refused; `person_needed`: held until a person lets it through.
    pub outcome: String,
    /// What is to be known beside it, in sentences.
    pub notes: Vec<String>,
    /// What there is now.
    pub data: T,
}

/// A unit and the code it is known by.
#[derive(JsonSchema)]
pub struct Named {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// Health of this node. What is not described here is as `nqsync status --json` has it.
#[derive(JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct Status {
    /// Whether nothing needs a person.
    pub healthy: bool,
    /// Version of the program.
    pub version: String,
    /// This node.
    pub node: String,
    /// The unit it serves.
    pub unit: Named,
    /// `commune`, `province` or `ministry`.
    pub level: String,
    /// Records held here.
    pub records: u64,
    /// Fields with two or more values.
    pub conflicts: u64,
    /// What is wrong, since when, and what to do.
    pub problems: Vec<Value>,
    /// The way up, if there is one.
    pub upstream: Option<Value>,
    /// The nodes below.
    pub downstream: Vec<Value>,
}

/// A unit.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Unit {
    pub id: String,
    pub code: String,
    pub name: String,
    pub level: String,
    /// Code of the unit above.
    pub parent: Option<String>,
    /// Codes from the top to this unit.
    pub path: String,
    /// The node that serves it.
    pub served_by: Option<String>,
    /// Whether that is this node.
    pub served_here: bool,
    /// Further names.
    pub aliases: Vec<String>,
    /// By what it is or will be continued.
    pub succession: Option<Value>,
    /// Code of the unit above or the heir that was said and is not in force, because the unit would stand below itself.
    pub undone: Option<String>,
}

/// A unit with those below it.
#[derive(JsonSchema)]
pub struct UnitShown {
    /// The unit.
    #[schemars(flatten)]
    pub unit: Unit,
    /// Those directly below.
    pub children: Vec<Value>,
    /// Mark of this state.
    pub token: String,
}
