//! What people decide: conflicts, proposals, periods.

use schemars::JsonSchema;
use serde_json::Value;

use super::Time;

/// A field with two or more values.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Conflict {
    pub id: String,
    /// Its place in the list.
    pub n: u64,
    /// Kind of the record.
    pub kind: String,
    /// Id of the record.
    pub record: String,
    /// The field.
    pub register: String,
    pub title: String,
    pub unit: Option<String>,
    /// How many values it has.
    pub values: u64,
    pub since: Option<Time>,
}

/// A conflict with what is needed to settle it.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ConflictShown {
    pub id: String,
    pub kind: String,
    /// Id of the record.
    pub record: String,
    /// The field.
    pub register: String,
    pub title: String,
    pub unit: Option<String>,
    pub since: Option<Time>,
    /// The value that all of them were based on.
    pub base: Value,
    pub siblings: Vec<Sibling>,
    /// Mark of this state, for `If-Match`.
    pub token: String,
}

/// One of the values.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Sibling {
    /// Its number, for `take`.
    pub n: u64,
    pub value: Value,
    /// Who wrote it.
    pub by: String,
    pub unit: String,
    pub at: Time,
    pub dot: Option<String>,
}

/// A conflict that was settled.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Settled {
    pub id: String,
    pub kind: String,
    pub record: String,
    pub register: String,
    pub value: Value,
    /// How many conflicts are left here.
    pub remaining: u64,
}

/// A wish to change what another unit owns.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Proposal {
    pub id: String,
    /// Mark of this state, for `If-Match`.
    pub token: String,
    /// Id of the record.
    pub target: String,
    pub target_title: Option<String>,
    pub field: String,
    pub value: Value,
    /// What the field had when it was asked for.
    pub base: Value,
    /// What it has now.
    pub current: Value,
    pub reason: String,
    pub proposer: String,
    pub owner: String,
    pub by: Option<String>,
    /// `open`, `accepted`, `rejected` or `withdrawn`.
    pub state: String,
    pub decision_reason: Option<String>,
    pub at: Option<Time>,
}

/// Where a unit's reports of a period stand.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Period {
    pub id: String,
    pub period: String,
    pub unit: String,
    pub unit_name: String,
    /// Code of the unit above.
    pub above: Option<String>,
    /// `open`, `submitted`, `returned`, `accepted`, `locked`, …
    pub state: String,
    pub since: Option<Time>,
    pub by: Option<String>,
    pub reason: String,
    pub due: Option<Time>,
    pub overdue: bool,
    pub submission: Option<String>,
    pub submitted_at: Option<Time>,
    pub expected: u64,
    pub received: u64,
    pub on_time: u64,
    /// What came after the closing.
    pub late: Value,
    pub changed_since: u64,
    pub in_conflict: bool,
    pub version: u64,
}

/// A unit's period with its history.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PeriodShown {
    #[schemars(flatten)]
    pub period: Period,
    pub changes: Vec<Value>,
    pub history: Vec<Value>,
    pub versions: Vec<Value>,
    pub versions_below: Vec<Value>,
    pub would_move: Vec<Value>,
}

/// What a decision came to: of one unit its period, of several a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum PeriodsDecided {
    /// Where the one unit's reports stand.
    One(Box<Period>),
    /// Those that took the step, and those that could not.
    Several(Decided),
}

/// Units that took a step, and those that could not.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Decided {
    pub items: Vec<Period>,
    pub total: u64,
    /// Units that cannot take the step.
    pub refused: Vec<Value>,
}
