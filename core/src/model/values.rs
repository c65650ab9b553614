//! Typed values of registers. A value that does not fit its type is kept and passed on all the same; only people's
//! views and computations need the types.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::UnitId;

/// Level of an org unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrgLevel {
    /// The ministry or the central steering committee.
    Ministry,
    /// One of the 34 provinces.
    Province,
    /// Commune, ward or special zone.
    Commune,
    /// An office or department inside one of the others; usually without a server of its own.
    Department,
}

/// One entry of a unit's effective-dated place in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentSince {
    /// First day; absent means since ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// The unit above; absent for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
}

/// What became of a unit (`domain.md`: two tiers of local government since 1 July 2025).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    /// How it ended or changed.
    pub kind: SuccessionKind,
    /// First day of the new state.
    pub from: Date,
    /// Who continues; several after a split.
    #[serde(default)]
    pub successors: Vec<UnitId>,
    /// The one successor that inherits the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heir: Option<UnitId>,
}

impl Succession {
    /// Who inherits on a day, when the unit is gone by then. A unit that goes on under its own name is not gone.
    pub fn heir_on(&self, unit: UnitId, on: Date) -> Option<UnitId> {
        let gone = self.from <= on && self.ends(unit);
        self.heir.filter(|heir| gone && *heir != unit)
    }

    /// Whether the unit does not go on under its own name.
    pub fn ends(&self, unit: UnitId) -> bool {
        matches!(self.kind, SuccessionKind::Merge | SuccessionKind::Split)
            && !self.successors.contains(&unit)
    }
}

/// Kinds of succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum SuccessionKind {
    Rename,
    Move,
    Merge,
    Split,
}

/// Value of a task's `lead` and `coordinating` registers: the text as written, the units understood, and the names
/// that no known unit carries. No unit is ever invented.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// As written in the plan.
    #[serde(default)]
    pub text: String,
    /// Units understood.
    #[serde(default)]
    pub units: Vec<UnitId>,
    /// Names not understood, to be linked later by an alias.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<String>,
}

/// Value of a task's `group` register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Such as `III`.
    pub code: String,
    /// Its title.
    #[serde(default)]
    pub title: String,
}

/// Status of a report as its author states it. What people see and rollups count is derived from the submission, the
/// verdict and the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing done yet.
    NotStarted,
    /// Under way.
    InProgress,
    /// *chờ hoàn thiện*: evidence or content was sent back.
    AwaitingCorrection,
    /// *tiếp tục thực hiện*: goes on into the next period by its nature.
    Continuing,
    /// Done; needs evidence.
    Completed,
    /// No longer to be done.
    Cancelled,
}

/// Value of a report's `progress` register: status and percent mean something only together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The status.
    pub status: Status,
    /// 0 to 100, a decimal number as text; absent when not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<String>,
}

/// Value of a `figures` register: decimal numbers as text, exactly as reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The stated value or percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerator: Option<String>,
    /// Whole; never 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denominator: Option<String>,
}

/// Value of a report's `submission` register: the version that verdicts, arrivals and receipts name by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Hash over everything else in here, 32 hexadecimal digits.
    pub hash: String,
    /// When its author submitted, by the author's clock: milliseconds since 1970.
    pub submitted_at: i64,
    /// The status and percent submitted.
    pub progress: Progress,
    /// The other registers' values as submitted, by register name.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// SHA-256 of the evidence files, sorted.
    pub evidence: Vec<String>,
}

/// Value of a `file` register of evidence or a directive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Name as the author's system had it: data, escaped wherever shown, never used as a path.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the bytes, 64 hexadecimal digits: the blob's name.
    pub sha256: String,
}

/// Value of a proposal's `wish` register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// The value wanted.
    pub value: serde_json::Value,
    /// The value it was based on.
    #[serde(default)]
    pub base: serde_json::Value,
    /// What the proposer had been shown of the target register.
    pub base_context: crate::sync::Context,
    /// Why.
    pub reason: String,
    /// Open or withdrawn.
    pub open: bool,
}

/// Value of a decision's `decision` register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionValue {
    /// Accepted or rejected.
    pub accepted: bool,
    /// Why; a rejection always says.
    #[serde(default)]
    pub reason: String,
    /// The proposal's `wish` context as the decider was shown it.
    pub context: crate::sync::Context,
    /// What was answered.
    pub wish: Wish,
}

/// Value of a verdict's `verdict` register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictValue {
    /// Accepted or rejected.
    pub accepted: bool,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Value of an arrival's `received` register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// When, by the receiving node's clock: milliseconds since 1970.
    pub at: i64,
    /// How far the sender's clock was ahead of the receiver's in that session, in milliseconds.
    pub sender_ahead_ms: i64,
    /// Which node noted it.
    pub node: Uuid,
}

/// How an indicator adds up over time (`domain.md` §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverTime {
    /// Value as of the report: the latest counts.
    Cumulative,
    /// Value within the period: periods are summed.
    Discrete,
}

/// How an indicator adds up over units. Percents are never averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum Aggregation {
    Sum,
    RatioOfSums,
    Latest,
    Min,
    Max,
    WeightedMean,
}

/// Value of an indicator's `definition` register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorDefinition {
    /// Short code, unique at its definer.
    pub code: String,
    /// What is measured.
    pub name: String,
    /// Unit of measure as written.
    #[serde(default)]
    pub measure: String,
    /// Over periods.
    pub over_time: OverTime,
    /// Over units.
    pub aggregation: Aggregation,
}

/// Value of an indicator's `target` register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `>=`, `<=`, `=`, `>` or `<`.
    pub comparator: String,
    /// Decimal number as text.
    pub value: String,
}
