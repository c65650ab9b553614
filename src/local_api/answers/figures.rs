//! Indicators, rollups, red warnings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::Time;

/// An indicator with its values in a period.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Indicator {
    pub id: String,
    pub code: String,
    pub name: String,
    pub measure: Option<String>,
    /// Code of the unit that defined it.
    pub definer: Option<String>,
    /// `cumulative` or `discrete`.
    pub over_time: String,
    /// How it adds up over units.
    pub aggregation: String,
    pub target: Option<Value>,
    pub period: String,
    /// Codes of the units concerned.
    pub units: Vec<String>,
    pub values: Vec<Figure>,
    /// Values that came after the period was closed.
    pub late: u64,
    /// All units together.
    pub total: Value,
    /// Whether the target is reached.
    pub reached: Option<bool>,
}

/// A unit's value in a period.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Figure {
    pub id: String,
    /// Code of the unit.
    pub unit: String,
    pub period: String,
    pub value: Option<String>,
    pub numerator: Option<String>,
    pub denominator: Option<String>,
    /// The percent that follows from part and whole.
    pub ratio: Option<String>,
    pub reached: Option<bool>,
    /// What is odd about it.
    pub remarks: Vec<Value>,
    /// Whether it has two or more values.
    pub conflict: bool,
    /// Mark of this state, for `If-Match`.
    pub token: String,
    pub at: Option<Time>,
}

/// A value after a write.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct FigureWritten {
    pub id: String,
    /// Code of the indicator.
    pub code: String,
    /// Code of the unit.
    pub unit: String,
    pub period: String,
    pub value: Option<String>,
    pub numerator: Option<String>,
    pub denominator: Option<String>,
    /// The percent that follows from part and whole.
    pub ratio: Option<String>,
    /// What is odd about it.
    pub remarks: Vec<Value>,
    /// Whether it has two or more values.
    pub conflict: bool,
    /// Mark of this state, for `If-Match`.
    pub token: String,
}

/// A new indicator.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct IndicatorWritten {
    pub id: String,
    pub code: String,
    /// How many units it concerns.
    pub units: u64,
}

/// Counts of tasks or assignments.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub total: u64,
    /// How many have which derived status.
    pub by_status: BTreeMap<String, u64>,
    pub on_time: u64,
    pub late: u64,
}

/// What is missing from counts.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Coverage {
    pub units_reported: u64,
    pub units_expected: u64,
    pub reports_received: u64,
    pub reports_expected: u64,
    /// Nothing is missing, and everything could be read.
    pub complete: bool,
}

/// Of when counts are.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct AsOf {
    pub oldest: Option<Time>,
    pub newest: Option<Time>,
}

/// Counts with coverage and as-of.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Rollup {
    pub period: String,
    pub evaluated_on: String,
    pub tasks: Counts,
    pub assignments: Counts,
    pub coverage: Coverage,
    pub as_of: AsOf,
    pub unresolved_lead: u64,
    pub evidence_pending: u64,
    pub provisional: u64,
    pub in_conflict: u64,
    /// Red warnings by kind.
    pub warnings: BTreeMap<String, u64>,
    /// What the rows are: `group`, `unit` or `issuer`.
    pub by: String,
    /// The same by that.
    pub rows: Vec<RollupRow>,
    /// Whose numbers these are.
    pub issuers: Vec<Value>,
    /// Whose numbers are in none of these, and why.
    pub not_counted: Vec<Value>,
    pub recomputed: Value,
    pub version: u64,
    pub latest_version: u64,
    /// Whether the period is closed.
    pub closed: bool,
    /// Records that came after the closing and wait to be taken in.
    pub late: u64,
}

/// A row of a rollup.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RollupRow {
    /// Code of the group, unit or issuer.
    pub key: String,
    pub label: String,
    /// Code of the unit that issued the tasks.
    pub issuer: String,
    pub tasks: Counts,
    pub assignments: Counts,
    pub coverage: Coverage,
    pub as_of: AsOf,
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub unresolved_lead: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub evidence_pending: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub provisional: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub in_conflict: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<BTreeMap<String, u64>>,
}

/// A red warning.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Warning {
    /// Its number.
    pub warning: u64,
    pub kind: String,
    /// Id of the task.
    pub task: String,
    pub task_title: Option<String>,
    pub issuer: Option<String>,
    pub unit: Option<String>,
    pub unit_name: Option<String>,
    pub due: Option<String>,
    pub raised_at: Time,
    pub cleared_at: Option<Time>,
    pub silenced: bool,
    pub silenced_by: Option<String>,
    pub silenced_at: Option<Time>,
    pub reason: Option<String>,
    pub until: Option<String>,
}
