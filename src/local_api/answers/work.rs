//! Tasks, reports, evidence.

use schemars::JsonSchema;
use serde_json::Value;

use super::Time;

/// A deadline as people write it.
#[derive(JsonSchema)]
pub struct Deadline {
    /// As written.
    pub text: Option<String>,
    /// How it is meant, such as `date` or `quarter`.
    pub kind: Option<String>,
    /// The last day, if one follows from it.
    pub due: Option<String>,
}

/// A task.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Task {
    pub id: String,
    /// The task it is a part of.
    pub parent: Option<String>,
    /// Section code.
    pub group: String,
    /// Section title.
    pub group_title: String,
    /// Number inside the section.
    pub number: String,
    pub title: String,
    pub subtask: String,
    /// Codes of the lead units.
    pub lead: Vec<String>,
    /// Names of lead units that are not known.
    pub lead_unresolved: Vec<String>,
    /// Codes of the coordinating units.
    pub coordinating: Vec<String>,
    /// Names of coordinating units that are not known.
    pub coordinating_unresolved: Vec<String>,
    pub deliverable: String,
    pub kpi: String,
    pub deadline: Deadline,
    /// Code of the unit that issued it.
    pub issuer: String,
    /// Derived status.
    pub status: String,
    /// Parts of the *6 rõ* that are left open.
    pub missing: Vec<String>,
    /// Its issuer took it from all units that report by way of this node.
    pub given_elsewhere: bool,
    pub withdrawn: bool,
    pub withdrawn_reason: Option<String>,
}

/// A task after a write.
#[derive(JsonSchema)]
pub struct TaskWritten {
    /// The task.
    #[schemars(flatten)]
    pub task: Task,
    /// Mark of this state, for `If-Match`.
    pub token: String,
    /// Fields with two or more values.
    pub conflicts: Vec<String>,
}

/// A task with everything about it.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct TaskShown {
    #[schemars(flatten)]
    pub task: Task,
    pub programme: String,
    pub responsible: String,
    pub authority: String,
    /// Who verifies evidence: `issuer` or `above`.
    pub reviewer: String,
    pub reports: Vec<Report>,
    /// How far it got towards each unit it is given to.
    pub receipts: Vec<Value>,
    /// Every value every field had, the latest first.
    pub history: Vec<Past>,
    /// Mark of this state, for `If-Match`.
    pub token: String,
    /// Fields with two or more values.
    pub conflicts: Vec<String>,
    pub proposals: Vec<Value>,
    /// Why it was kept although something is wrong with it.
    pub remark: Option<String>,
}

/// A value that a field has or had.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Past {
    /// The field.
    pub register: String,
    pub value: Value,
    /// Who wrote it.
    pub by: String,
    /// Code of the unit it was written for.
    pub unit: String,
    pub at: Time,
    /// Whether it is present.
    pub current: bool,
}

/// A report.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Report {
    pub id: String,
    /// Id of the task.
    pub task: String,
    pub task_title: Option<String>,
    /// Code of the unit that reports.
    pub unit: String,
    pub period: String,
    /// Derived status.
    pub status: String,
    /// Whether its evidence waits for a verdict.
    pub to_verify: bool,
    /// The status that the unit states.
    pub stated_status: Option<String>,
    pub percent: Option<String>,
    pub value: Option<String>,
    pub numerator: Option<String>,
    pub denominator: Option<String>,
    pub submitted: bool,
    pub submitted_at: Option<Time>,
    pub late: bool,
    /// Whether the draft is no longer what was submitted.
    pub draft_changed: bool,
    /// Number of evidence files.
    pub evidence: u64,
    /// Fields with two or more values.
    pub conflicts: Vec<String>,
    /// How far it got: `stored`, `accepted_upstream`, `reached_issuer`.
    pub receipt: String,
    /// Why it was kept although something is wrong with it.
    pub remark: Option<String>,
    pub result: String,
    pub difficulties: String,
    pub next_steps: String,
}

/// A report after a write.
#[derive(JsonSchema)]
pub struct ReportWritten {
    /// The report.
    #[schemars(flatten)]
    pub report: Report,
    /// Mark of this state, for `If-Match`.
    pub token: String,
}

/// A report with everything about it.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ReportShown {
    #[schemars(flatten)]
    pub report: Report,
    /// What was submitted last.
    pub submission: Option<Value>,
    pub withdrawn_reason: Option<String>,
    pub verdicts: Vec<Value>,
    /// When it reached the issuer.
    pub arrival: Option<Value>,
    /// Every value every field had, the latest first.
    pub history: Vec<Past>,
    /// Outside systems that hold it too.
    pub outside: Vec<Value>,
    /// Mark of this state, for `If-Match`.
    pub token: String,
}

/// A verdict, with the report as it stands after it.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Verdict {
    /// The report; `id` and `token` are those of the verdict.
    #[schemars(flatten)]
    pub report: ReportWritten,
    pub accepted: bool,
    pub reason: String,
    /// Id of the report.
    #[schemars(rename = "report")]
    pub of: String,
    /// Code of the unit whose verdict it is.
    pub reviewer: String,
    /// What was judged.
    pub submission: String,
}

/// An evidence file.
#[derive(JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Evidence {
    pub id: String,
    pub name: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    pub sha256: Option<String>,
    /// Code of the unit whose evidence it is.
    pub unit: String,
    /// Id of the task.
    pub task: String,
    pub period: String,
    /// Code of the unit that judges it.
    pub reviewer: String,
    /// Whether the bytes are here: `present`, `pending` or `elsewhere`.
    pub state: String,
    pub added_at: Option<Time>,
    pub note: String,
    pub removed: bool,
    /// How far it got: `stored`, `accepted_upstream`, `reached_issuer`.
    pub receipt: String,
    /// Mark of this state.
    pub token: String,
}
