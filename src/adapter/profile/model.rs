//! The profile as the file has it. Every table refuses keys it does not know.

use std::collections::BTreeMap;

use nqsync_core::model::Classification;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::adapter::cycle::First;
use crate::adapter::{delivery, document, edxml, http, process, tabular};
use crate::config::CronRule;

/// One outside system.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Version of this format; 1.
    pub format: u32,
    /// What people call the system.
    pub title: String,
    /// How it is reached.
    pub engine: EngineKind,
    /// The unit the adapter acts for: code, name or alias. Without one, edits made outside become proposals.
    pub unit: Option<String>,
    /// Whether the service runs it. A profile whose own tests fail is not run.
    #[serde(default)]
    pub enabled: bool,
    /// When it runs by itself.
    #[serde(default)]
    pub schedule: Schedule,
    /// When it stops and asks a person.
    #[serde(default)]
    pub brake: Brake,
    /// Greatest classification that may reach this system.
    #[serde(default)]
    pub ceiling: Ceiling,
    /// Words of theirs and ours, by dictionary: `[dictionary.status] "Đang thực hiện" = "in_progress"`.
    #[serde(default)]
    pub dictionary: BTreeMap<String, Dictionary>,
    /// Their codes of units, and ours.
    #[serde(default)]
    pub units: BTreeMap<String, String>,
    /// The engines `http` and `document`: where the system is, and who we are to it.
    pub http: Option<http::Settings>,
    /// The engine `document`: the outline and its rows.
    pub document: Option<document::Settings>,
    /// The engine `process`: the program.
    pub process: Option<process::Settings>,
    /// The engine `edxml`: who we are on the document exchange.
    pub edxml: Option<edxml::Settings>,
    /// The engine `email`: the mail server, and who writes to whom.
    pub email: Option<delivery::MailSettings>,
    /// The engine `tabular`: the folders.
    pub tabular: Option<tabular::Settings>,
    /// What is exchanged.
    #[serde(default, rename = "stream")]
    pub streams: Vec<Stream>,
    /// Inputs with the outcome that the mappings must give.
    #[serde(default, rename = "test")]
    pub tests: Vec<MappingTest>,
}

/// Their words and ours, in the order of the file: the first of theirs for a word of ours is the one that is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Dictionary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = Dictionary;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("their words with ours, such as \"Hoàn thành\" = \"completed\"")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Dictionary, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Dictionary(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl JsonSchema for Dictionary {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dictionary".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, String>::json_schema(generator)
    }
}

/// How a system is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// JSON over HTTP, record by record.
    Http,
    /// A document with rows, read and written as a whole.
    Document,
    /// A program that speaks NDJSON on its standard input and output.
    Process,
    /// Tables (XLSX, CSV) in drop folders.
    Tabular,
    /// Workbooks by mail.
    Email,
    /// Documents by a gateway of the national document exchange.
    Edxml,
}

/// A level of secrecy.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ceiling {
    /// Not classified.
    #[default]
    None,
    /// *Mật*.
    Confidential,
    /// *Tối mật*.
    Secret,
    /// *Tuyệt mật*.
    TopSecret,
}

impl From<Ceiling> for Classification {
    fn from(ceiling: Ceiling) -> Classification {
        match ceiling {
            Ceiling::None => Classification::None,
            Ceiling::Confidential => Classification::Confidential,
            Ceiling::Secret => Classification::Secret,
            Ceiling::TopSecret => Classification::TopSecret,
        }
    }
}

/// When an adapter runs by itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Cron rules in the node's time zone.
    #[schemars(with = "Vec<String>")]
    pub cron: Vec<CronRule>,
    /// After a change here, gathered for a few seconds.
    pub on_change: bool,
}

/// Limits on what one run may change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Brake {
    /// Greatest share of the records both sides know that one run may change on one side, 0 to 1.
    pub share: f64,
    /// Fewer changes than this are never held.
    pub at_least: u32,
    /// A listing that lost more than this share of the known records is not believed, 0 to 1.
    pub shrink: f64,
}

impl Default for Brake {
    fn default() -> Self {
        Brake {
            share: 0.5,
            at_least: 20,
            shrink: 0.2,
        }
    }
}

/// What one stream exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Tasks: outside ones become tasks issued by the adapter's unit.
    Tasks,
    /// Progress of the adapter's unit on its tasks: one outside record for each task.
    Progress,
    /// What a unit submitted in the period, as one text for each of `result`, `difficulties` and `next_steps`: one
    /// outside record for each unit. Outwards only.
    Texts,
    /// Indicator values.
    Indicators,
    /// Directive documents.
    Directives,
}

/// One kind of records exchanged with the system.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its name inside the profile.
    pub name: String,
    /// What is exchanged.
    pub kind: StreamKind,
    /// Whether reports of all units below the adapter's unit are exchanged too.
    #[serde(default)]
    pub subtree: bool,
    /// What makes an outside record and one of ours the same. Not for workbooks of ours.
    #[serde(default)]
    pub key: KeyRule,
    /// jq on an outside record: its id there. Default `.id`.
    pub id: Option<String>,
    /// jq on an outside record: its version, where it has one that changes with every edit.
    pub version: Option<String>,
    /// jq on an outside record: whether it is one of this stream's at all.
    pub only: Option<String>,
    /// jq on an outside record: what of it was entered and does not count yet, such as one that waits for an approval, in
    /// words for people; null: nothing. A write that waits is told as such and not as one that was not taken.
    pub waits: Option<String>,
    /// Fields, by our name. Not for workbooks of ours, which have all.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// How bodies to be written are made.
    #[serde(default)]
    pub write: WriteRule,
    /// Which of our values go there: those of a report's latest submission, or also what is a draft yet.
    #[serde(default)]
    pub sends: Sends,
    /// Whether a report filled from outside is submitted as well, so that rollups count it. What cannot be submitted
    /// yet (completed, but no evidence) stays a draft and is listed.
    #[serde(default = "yes")]
    pub submit: bool,
    /// Whether evidence files are handed over too.
    #[serde(default)]
    pub files: bool,
    /// The engine `http`: its requests.
    pub http: Option<http::StreamSettings>,
    /// The engine `tabular`: its tables.
    pub tabular: Option<tabular::StreamSettings>,
    /// Whole workbooks of ours instead of records, for the engines `tabular` and `email`.
    pub workbook: Option<delivery::StreamSettings>,
    /// Whose value counts where both sides have one and never agreed before.
    #[serde(default)]
    pub first: First,
}

/// Which values of a report leave this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sends {
    /// Those that its unit submitted: a draft is nobody's word yet.
    #[default]
    Submitted,
    /// Those that stand in it now, submitted or not.
    Draft,
}

/// The natural key, both ways.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRule {
    /// jq on our record.
    pub ours: String,
    /// jq on an outside record; null where it has none of our keys.
    pub theirs: String,
}

/// Which way a field travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// From here to there; edits made there are put back.
    Out,
    /// From here to there; what people edited there is kept and told, and our value waits.
    Offer,
    /// From there to here.
    In,
    /// From here to there; an edit made there becomes a proposal to the owner of the record.
    Propose,
}

/// One field.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Field {
    /// jq on an outside record: the value there. Absent: not readable there, so only written.
    pub theirs: Option<String>,
    /// jq on our record, for what is not one of the stream's own fields, such as `.task.title`.
    pub ours: Option<String>,
    /// Which way it travels.
    pub direction: Direction,
    /// Name of the dictionary that translates it.
    pub dictionary: Option<String>,
    /// How a date is written there: `dd/mm/yyyy`, `iso`, `month` (Tháng 3/2026), `epoch` (seconds), `epoch_ms`, or strftime.
    pub date: Option<String>,
    /// How a number is written there: `plain` or `vietnamese`.
    pub number: Option<String>,
    /// Whether it is HTML there and plain text here.
    pub html: bool,
    /// Whether it names units: a list or a text with `,` or `;` between, translated by `[units]`.
    pub units: bool,
}

/// How bodies are made: jq on `{key, fields, changed, task, unit, period, external}`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WriteRule {
    /// Body of a new record; absent: none is ever created there.
    pub create: Option<String>,
    /// Body of a change; absent: nothing is ever changed there.
    pub update: Option<String>,
    /// Whether a record is fetched anew just before it is changed, for systems that want its latest version with every
    /// change, or whose list does not tell everything that a change must send. Needs a way to fetch one record.
    pub fresh: bool,
}

/// A mapping test.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingTest {
    /// What it shows.
    pub name: String,
    /// The stream.
    pub stream: String,
    /// An outside record, as JSON text.
    pub theirs: Option<String>,
    /// One of our records, as JSON text.
    pub ours: Option<String>,
    /// The expected outcome, as JSON text: `{id, key, fields}` for an outside record, the body for one of ours.
    pub expect: String,
}

fn yes() -> bool {
    true
}
