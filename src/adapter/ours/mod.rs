//! Our side as adapters see it: flat fields as text, and a token that says which state they were taken from.

mod apply;
mod load;
mod texts;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use crate::store::adapters::Fields;
pub use apply::{Applied, Change, apply, propose};
pub use load::{Scope, load, load_one};

use super::profile::StreamKind;

/// One of our records, or one that would come to be if the outside filled it (a report nobody began yet).
#[derive(Clone, Debug, PartialEq)]
pub struct Ours {
    /// What it is about; enough to find or begin it.
    pub about: About,
    /// The record's id; natural ids exist before the record does.
    pub record: Uuid,
    /// Whether the record exists.
    pub begun: bool,
    /// The record's token: handed back with a write, it says what the writer had seen. Empty for one not begun.
    pub token: String,
    /// The stream's own fields (`status`, `percent`, `result` …), values in our notation.
    pub fields: Fields,
    /// Of a report, the values of its latest submission.
    pub submitted: Option<Fields>,
    /// Whether the adapter's unit owns the record; otherwise edits from outside become proposals.
    pub owned: bool,
    /// Own fields that are in an open conflict.
    pub undecided: Vec<&'static str>,
    /// What expressions see: `{task, unit, period, evidence, fields}`.
    pub context: Value,
}

/// Names one of our records without its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A unit's progress on a task in a period.
    Report {
        /// The task.
        task: Uuid,
        /// Code of the unit.
        unit: String,
        /// The period.
        period: String,
    },
    /// A task; `None`: not there yet.
    Task(Option<Uuid>),
    /// Everything a unit submitted in a period.
    Texts {
        /// Code of the unit.
        unit: String,
        /// The period.
        period: String,
    },
    /// A unit's value of an indicator in a period.
    Figure {
        /// Code of the indicator.
        indicator: String,
        /// Code of the unit.
        unit: String,
        /// The period.
        period: String,
    },
    /// A directive; `None`: not there yet.
    Directive(Option<Uuid>),
}

/// A stream's own fields with the register that holds each.
pub fn own_fields(kind: StreamKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        StreamKind::Progress => &[
            ("status", "progress"),
            ("percent", "progress"),
            ("result", "result"),
            ("difficulties", "difficulties"),
            ("next_steps", "next_steps"),
            ("value", "figures"),
            ("numerator", "figures"),
            ("denominator", "figures"),
        ],
        StreamKind::Tasks => &[
            ("group", "group"),
            ("group_title", "group"),
            ("number", "number"),
            ("title", "title"),
            ("subtask", "subtask"),
            ("deliverable", "deliverable"),
            ("kpi", "kpi"),
            ("lead", "lead"),
            ("coordinating", "coordinating"),
            ("deadline", "deadline"),
            ("programme", "programme"),
            ("responsible", "person"),
            ("authority", "authority"),
        ],
        // Gathered from many records, so that no single register holds them.
        StreamKind::Texts => &[("result", ""), ("difficulties", ""), ("next_steps", "")],
        StreamKind::Indicators => &[
            ("value", "figures"),
            ("numerator", "figures"),
            ("denominator", "figures"),
        ],
        StreamKind::Directives => &[
            ("number", "number"),
            ("date", "date"),
            ("kind", "kind"),
            ("summary", "summary"),
            ("units", "assigned"),
        ],
    }
}

/// The register that holds a field.
pub fn register_of(kind: StreamKind, field: &str) -> Option<&'static str> {
    let found = own_fields(kind).iter().find(|(name, _)| *name == field);
    found.map(|(_, register)| *register)
}
