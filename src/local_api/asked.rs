//! What requests carry: behind `?`, and as JSON.
//!
//! The names are those of the commands' flags. A name that is not known is refused: a misspelt filter that is passed over
//! would answer with everything, and a misspelt field would be lost.

use nqsync_core::period;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{ReportFields, RollupBy};

/// Nothing.
#[derive(Deserialize, JsonSchema)]
pub struct Nothing {}

/// Which units.
#[derive(Deserialize, JsonSchema)]
pub struct Units {
    /// Only those at and below this one: code, name or alias.
    pub under: Option<String>,
}

/// Which tasks.
#[derive(Deserialize, JsonSchema)]
pub struct Tasks {
    /// Given to this unit or one below it.
    pub unit: Option<String>,
    /// Section of the plan: its code or title.
    pub group: Option<String>,
    /// Issued by this unit.
    pub issuer: Option<String>,
    /// Only those whose lead unit is not known.
    #[serde(default)]
    pub unresolved: bool,
    /// The period whose end the status is for; without it the present one.
    pub period: Option<String>,
    /// Words in the texts of a task, in any order; accents and case do not matter.
    pub text: Option<String>,
    /// Derived status, such as `in_progress_late`.
    pub status: Option<String>,
}

/// Which reports, or which evidence.
#[derive(Deserialize, JsonSchema)]
pub struct OfTask {
    /// Task: its id, the beginning of it, or GROUP/NUMBER.
    pub task: Option<String>,
    /// Unit: code, name or alias.
    pub unit: Option<String>,
    /// Reporting period: 2026-03, 2026-Q2, 2026.
    pub period: Option<String>,
}

/// Which indicators or periods.
#[derive(Deserialize, JsonSchema)]
pub struct InPeriod {
    /// Reporting period; without it the present one.
    pub period: Option<String>,
    /// Unit: code, name or alias.
    pub unit: Option<String>,
}

/// Which rollup.
#[derive(Deserialize, JsonSchema)]
pub struct Rollups {
    /// Reporting period; without it the present one.
    pub period: Option<String>,
    /// Unit; without it everything that this node sees.
    pub unit: Option<String>,
    /// What the rows are about.
    #[serde(default)]
    pub by: RollupBy,
    /// An earlier version of closed figures.
    pub version: Option<u32>,
}

/// Which proposals.
#[derive(Deserialize, JsonSchema)]
pub struct Proposals {
    /// Only those that were not answered yet.
    #[serde(default)]
    pub open: bool,
}

/// Which red warnings.
#[derive(Deserialize, JsonSchema)]
pub struct Warnings {
    /// About work of this unit or one below it.
    pub unit: Option<String>,
    /// `overdue`, `behind` or `insufficient`.
    pub kind: Option<String>,
    /// Also those that are over.
    #[serde(default)]
    pub all: bool,
}

/// What comes with the bytes of a file.
#[derive(Deserialize, JsonSchema)]
pub struct File {
    /// Name of the file.
    pub name: String,
    /// What it shows.
    pub note: Option<String>,
}

/// Values of a report; what is left out stays as it is.
#[derive(Deserialize, JsonSchema)]
pub struct Report {
    /// The values.
    #[serde(flatten)]
    pub fields: ReportFields,
    /// Whether to submit it in the same transaction.
    #[serde(default)]
    pub submit: bool,
}

/// Why.
#[derive(Deserialize, JsonSchema)]
pub struct Because {
    /// The reason.
    pub reason: String,
}

/// Why, if there is something to say.
#[derive(Deserialize, JsonSchema)]
pub struct Perhaps {
    /// The reason.
    pub reason: Option<String>,
}

/// A yes or no.
#[derive(Deserialize, JsonSchema)]
pub struct Decision {
    /// Whether it is accepted.
    pub accept: bool,
    /// The reason; a no needs one.
    pub reason: Option<String>,
}

/// How a conflict is settled: by `take` or by `value`.
#[derive(Deserialize, JsonSchema)]
pub struct Settled {
    /// Which of the values, counted from 1.
    pub take: Option<usize>,
    /// Another value.
    pub value: Option<Value>,
    /// Why.
    pub reason: Option<String>,
}

/// A wish to change a task that is owned elsewhere.
#[derive(Deserialize, JsonSchema)]
pub struct Wished {
    /// Task: its id, the beginning of it, or GROUP/NUMBER.
    pub task: String,
    /// Field, such as `deadline`.
    pub field: String,
    /// The value that is asked for.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// What the unit above decides about a period.
#[derive(Deserialize, JsonSchema)]
pub struct PeriodDecision {
    /// The decision.
    pub step: Step,
    /// Codes, names or aliases of units directly below.
    #[serde(default)]
    pub units: Vec<String>,
    /// All units directly below.
    #[serde(default)]
    pub all: bool,
    /// Why; needed for `return` and `reopen`.
    pub reason: Option<String>,
}

/// A decision about a period.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The reports are right.
    Accept,
    /// A correction is asked for.
    Return,
    /// Nothing changes any more.
    Close,
    /// It may change again.
    Reopen,
}

impl From<Step> for period::Step {
    fn from(step: Step) -> period::Step {
        match step {
            Step::Accept => period::Step::Accept,
            Step::Return => period::Step::Return,
            Step::Close => period::Step::Close,
            Step::Reopen => period::Step::Reopen,
        }
    }
}

/// A new indicator.
#[derive(Deserialize, JsonSchema)]
pub struct Indicator {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What it is measured in, such as %.
    pub measure: Option<String>,
    /// `cumulative` (the latest value counts) or `discrete` (the periods are summed).
    #[serde(default = "cumulative")]
    pub over_time: String,
    /// Over units: `sum`, `ratio_of_sums`, `latest`, `min`, `max` or `weighted_mean`.
    #[serde(default = "sum")]
    pub aggregation: String,
    /// `>=`, `<=`, `=`, `>` or `<`.
    pub comparator: Option<String>,
    /// The value to be reached.
    pub target: Option<String>,
    /// Codes, names or aliases of the units concerned.
    pub units: Vec<String>,
}

fn cumulative() -> String {
    "cumulative".to_owned()
}

fn sum() -> String {
    "sum".to_owned()
}

/// A unit's value in a period; what is left out stays as it is.
#[derive(Deserialize, JsonSchema)]
pub struct Figure {
    /// The value, plain or as 2.274.905,5.
    pub value: Option<String>,
    /// Part.
    pub numerator: Option<String>,
    /// Whole, never 0.
    pub denominator: Option<String>,
}
