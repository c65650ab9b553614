//! The state of a unit's reporting period, derived from its two records: the unit's own, and that of the unit above.
//!
//! Nothing is stored about which state it is: it follows from what both sides wrote. A decision names the submitted
//! version that it answers, so one about another version counts as none; a closed period stays closed whatever is
//! submitted. Two places that decide without knowing of each other are a conflict like in any register, and as long as
//! one of them closed the period it counts as closed: what is frozen must not move by accident.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::sync::Record;

/// The register of both records.
pub const STATE: &str = "state";

/// Value of the unit's own record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedValue {
    /// Always `submitted`.
    pub state: String,
    /// Names this submission: 32 hexadecimal digits.
    #[serde(default)]
    pub version: String,
    /// When, by the unit's clock: ms since 1970.
    #[serde(default)]
    pub at: i64,
    /// Reports that had to be in it.
    #[serde(default)]
    pub expected: u32,
    /// Reports that are in it.
    #[serde(default)]
    pub received: u32,
    /// The reports, each with the hash of the version that was submitted.
    #[serde(default)]
    pub reports: BTreeMap<Uuid, String>,
}

/// What the unit above decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// The submission is right.
    Accepted,
    /// The submission is to be corrected.
    Returned,
    /// Closed, after consolidation (`domain.md` §3).
    Locked,
    /// Open again after it was closed.
    Reopened,
}

/// Value of the record of the unit above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewValue {
    /// The decision.
    pub state: Decided,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The submission it was made about; empty when nothing was submitted yet.
    #[serde(default)]
    pub version: String,
    /// When, by the decider's clock: ms since 1970.
    #[serde(default)]
    pub at: i64,
    /// When closing: the reports as they were then, each with the hash of its submitted version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reports: BTreeMap<Uuid, String>,
    /// When what came after the closing was taken in: the version of the decider's figures that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<u32>,
}

/// Where a period stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was submitted.
    Open,
    /// Waits for the unit above.
    Submitted,
    /// The unit above accepted what was submitted last.
    Accepted,
    /// The unit above wants what was submitted last corrected.
    Returned,
    /// Takes no more values.
    Locked,
    /// Was closed, and takes values again.
    Reopened,
}

/// What somebody wants to do with a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The unit says that its reports are in.
    Submit,
    /// The unit above agrees.
    Accept,
    /// The unit above asks for a correction.
    Return,
    /// The unit above closes the period.
    Close,
    /// The unit above opens it again.
    Reopen,
}

/// What is known of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub state: State,
    /// What was submitted last.
    pub submitted: Option<SubmittedValue>,
    /// What the unit above said last, whether or not it still counts.
    pub review: Option<ReviewValue>,
    /// Two places wrote differently without knowing of each other.
    pub in_conflict: bool,
}

impl State {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Submitted => "submitted",
            State::Accepted => "accepted",
            State::Returned => "returned",
            State::Locked => "locked",
            State::Reopened => "reopened",
        }
    }

    /// Whether a step may follow. A period can be closed without a submission, but not over one that nobody answered.
    pub fn allows(self, step: Step) -> bool {
        match step {
            Step::Submit => self != State::Locked,
            Step::Accept => matches!(self, State::Submitted | State::Returned),
            Step::Return => matches!(self, State::Submitted | State::Accepted),
            Step::Close => !matches!(self, State::Submitted | State::Locked),
            Step::Reopen => self == State::Locked,
        }
    }
}

impl Step {
    /// Whether the reporting unit itself takes the step; all others are the unit's above.
    pub fn is_by_unit(self) -> bool {
        self == Step::Submit
    }

    /// Whether it needs a reason that the other side reads.
    pub fn needs_reason(self) -> bool {
        matches!(self, Step::Return | Step::Reopen)
    }

    /// What the unit above writes; `None` for the unit's own step.
    pub fn decision(self) -> Option<Decided> {
        match self {
            Step::Submit => None,
            Step::Accept => Some(Decided::Accepted),
            Step::Return => Some(Decided::Returned),
            Step::Close => Some(Decided::Locked),
            Step::Reopen => Some(Decided::Reopened),
        }
    }
}

/// Derives where a period stands from its two records, as far as they are known.
pub fn standing(submission: Option<&Record>, review: Option<&Record>) -> Standing {
    let submitted = submission.and_then(read_submitted);
    let decisions: Vec<ReviewValue> = review
        .map(|record| record.register(STATE).siblings)
        .unwrap_or_default()
        .iter()
        .filter_map(|write| serde_json::from_value(write.json()).ok())
        .collect();
    let closing = decisions.iter().find(|d| d.state == Decided::Locked);
    let review_shown = closing.or(decisions.first()).cloned();
    let disputed = |record: Option<&Record>| record.is_some_and(|r| r.conflicts().contains(&STATE));
    Standing {
        state: state(submitted.as_ref(), review_shown.as_ref()),
        submitted,
        review: review_shown,
        in_conflict: disputed(submission) || disputed(review),
    }
}

fn read_submitted(record: &Record) -> Option<SubmittedValue> {
    let value: SubmittedValue = serde_json::from_value(record.shown(STATE)?).ok()?;
    (value.state == "submitted").then_some(value)
}

fn state(submitted: Option<&SubmittedValue>, review: Option<&ReviewValue>) -> State {
    let version = submitted.map(|value| value.version.as_str());
    let waits = if submitted.is_some() {
        State::Submitted
    } else {
        State::Open
    };
    let Some(review) = review else { return waits };
    let answers = version.unwrap_or_default() == review.version;
    match review.state {
        Decided::Locked => State::Locked,
        Decided::Accepted if answers && submitted.is_some() => State::Accepted,
        Decided::Returned if answers && submitted.is_some() => State::Returned,
        Decided::Reopened if answers => State::Reopened,
        _ => waits,
    }
}
