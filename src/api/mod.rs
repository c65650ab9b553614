//! The command contract: what the command line asks of a node, and what it answers.
//!
//! One [`Request`] is one verb. It is executed by `node::commands` inside the running service, over its control
//! socket, or in the calling process on the store itself when no service runs. The answer's `data` is what
//! `--json` prints, so its fields are stable: snake_case, only ever added to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod acts;
mod asker;
mod command;
pub mod exit;
pub mod roles;

pub use acts::Act;
pub use asker::{Asker, Secret};
pub use command::Command;
pub use exit::Exit;
pub use roles::{Duty, Role};

/// Language of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lang {
    /// Vietnamese.
    #[default]
    Vi,
    /// English.
    En,
}

/// Header of a request at the control socket: the level of secrecy of the store that is meant, *none* where it is missing. A
/// socket can be named by mistake; what is meant for one store must not be kept by another.
pub const LEVEL_HEADER: &str = "nqsync-level";

/// A verb with everything it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// A retry with the same id gets the first result again (crash between commit and answer).
    pub request_id: String,
    /// Language of messages in the answer.
    pub lang: Lang,
    /// The person at the keyboard, written into every change.
    pub person: String,
    /// How much is known of that person.
    #[serde(default, skip_serializing_if = "Asker::says_nothing")]
    pub asker: Asker,
    /// The unit acted for, as typed; `None`: the unit this node serves.
    #[serde(default)]
    pub acting_for: Option<String>,
    /// The verb.
    pub command: Command,
}

/// What stands before an adapter's name where a person's would stand.
const ADAPTER: &str = "adapter:";

/// The author of what an adapter writes.
pub fn adapter_author(name: &str) -> String {
    format!("{ADAPTER}{name}")
}

impl Request {
    /// Whether an adapter asks, and nobody reads what is said besides the result.
    pub fn is_by_adapter(&self) -> bool {
        self.person.starts_with(ADAPTER)
    }
}

/// What a verb answers when it was carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Exit code of the process: done, done in part, degraded, a person must decide.
    pub exit: Exit,
    /// What `--json` prints.
    pub data: Value,
    /// Sentences for people, in the request's language.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Why a verb was not carried out: nothing was changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Exit code of the process.
    pub exit: Exit,
    /// Stable code, such as `unknown_unit`.
    pub code: String,
    /// What happened, where, and what to do, in the request's language.
    pub message: String,
    /// Details for machines.
    #[serde(default)]
    pub data: Value,
}

/// Result of a verb.
pub type Outcome = Result<Answer, Failure>;

/// A partial update: register values as typed; absent fields stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskFields {
    /// Section code, such as `III`.
    pub group: Option<String>,
    /// Section title.
    pub group_title: Option<String>,
    /// Number inside the section.
    pub number: Option<String>,
    /// Column 1: the general task.
    pub title: Option<String>,
    /// Column 2.
    pub subtask: Option<String>,
    /// Column 3: the mandatory deliverable.
    pub deliverable: Option<String>,
    /// Column 4: the quantitative KPI.
    pub kpi: Option<String>,
    /// Column 5: codes, names or aliases of the lead unit(s).
    pub lead: Option<Vec<String>>,
    /// Column 6: codes, names or aliases of the coordinating units.
    pub coordinating: Option<Vec<String>>,
    /// Column 7: the deadline as people write it.
    pub deadline: Option<String>,
    /// Programme the task belongs to.
    pub programme: Option<String>,
    /// Responsible person (one of the *6 rõ*).
    pub responsible: Option<String>,
    /// Deciding authority or legal basis (one of the *6 rõ*).
    pub authority: Option<String>,
    /// Id of the task this one is a part of; only when adding.
    pub parent: Option<String>,
    /// Level of secrecy as typed; it must be that of the store.
    pub classification: Option<String>,
    /// Who verifies evidence: `issuer` (default) or `above` (the unit above the executor).
    pub reviewer: Option<String>,
}

/// Values of a report as typed; absent fields stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReportFields {
    /// `not_started`, `in_progress`, `completed`, `continuing`, `cancelled`, or the Vietnamese words.
    pub status: Option<String>,
    /// 0 to 100.
    pub percent: Option<String>,
    /// What was achieved.
    pub result: Option<String>,
    /// Difficulties.
    pub difficulties: Option<String>,
    /// Next steps.
    pub next_steps: Option<String>,
    /// Numerator, plain or Vietnamese notation.
    pub numerator: Option<String>,
    /// Denominator.
    pub denominator: Option<String>,
    /// Stated value or percent.
    pub value: Option<String>,
}

/// Names one report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportRef {
    /// Task id, a unique beginning of it, or `GROUP/NUMBER` where that is unique.
    pub task: String,
    /// Unit as typed; `None`: the unit acted for.
    #[serde(default)]
    pub unit: Option<String>,
    /// Reporting period as typed; `None`: the current one.
    #[serde(default)]
    pub period: Option<String>,
}

/// What to import a table as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum ImportKind {
    Tasks,
    Reports,
    Indicators,
    Units,
}

/// What became of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopt {
    /// It was restored, and no parent will come.
    Alone,
    /// It was carried to this machine, and the old one is off.
    Moved,
}

/// Dimension of a rollup's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum RollupBy {
    #[default]
    Group,
    Unit,
    Issuer,
}

/// A part of a long list of tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Narrowed {
    /// Words in the texts of a task, in any order; accents and case do not matter.
    pub text: Option<String>,
    /// Derived status, such as `in_progress_late`.
    pub status: Option<String>,
    /// Only those due by this day, the soonest first.
    #[serde(default)]
    pub due_by: Option<String>,
    /// Only those of which something is still to be done.
    #[serde(default)]
    pub open: bool,
    /// Tasks left out at the beginning.
    pub offset: usize,
    /// Most tasks answered; the total is of all.
    pub limit: Option<usize>,
    /// In the order of their ids, and only those after this one: a list that changes meanwhile is read without gaps.
    pub after: Option<uuid::Uuid>,
}

/// A list that may be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongList {
    /// As `task list` has them.
    Tasks,
    /// As `report list` has those of a period.
    Reports,
}

/// For what a submitted report waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportWait {
    /// A reviewer's verdict on its evidence; those of other units than this node's own.
    Verdict,
    /// Its unit's correction.
    Correction,
    /// Being submitted again, because its draft was changed since; those of this node's own unit.
    Submission,
}

/// Which entries of the audit are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Person, node or adapter.
    pub actor: Option<String>,
    /// Beginning of the act's name.
    pub act: Option<String>,
    /// Record, node or link.
    pub subject: Option<String>,
    /// A day, or a moment as RFC 3339 writes it.
    pub since: Option<String>,
    /// Most entries.
    pub limit: Option<u32>,
}
