//! The configuration as the program uses it: every default filled in, every value checked.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use nqsync_core::calendar::PeriodKind;
use nqsync_core::model::Classification;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Act;

use super::units::{CronRule, Millis, Seconds, Size};

/// Everything one node is told.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[node]`.
    pub node: Node,
    /// `[listen]`, where there are downstream nodes.
    #[schemars(with = "Listen")]
    pub listen: Option<Listen>,
    /// `[upstream]`, absent at the ministry.
    #[schemars(with = "Upstream")]
    pub upstream: Option<Upstream>,
    /// `[console]`, where people use a browser.
    #[schemars(with = "Console")]
    pub console: Option<Console>,
    /// `[api]`, where programs use the local API over TCP.
    #[schemars(with = "Api")]
    pub api: Option<Api>,
    /// `[metrics]`, where figures are collected.
    #[schemars(with = "Metrics")]
    pub metrics: Option<Metrics>,
    /// `[parse]`, where a service of its own reads tables from outside.
    #[schemars(with = "Parse")]
    pub parse: Option<Parse>,
    /// `[sync]`.
    pub sync: Sync,
    /// `[store]`.
    pub store: Store,
    /// `[reporting]`.
    pub reporting: Reporting,
    /// `[brake]`.
    pub brake: Brake,
    /// `[approval]`.
    pub approval: Approval,
    /// `[deposit]`.
    pub deposit: Deposit,
    /// `[log]`.
    pub log: Log,
}

/// A level of government.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Commune, ward or special zone.
    Commune,
    /// Province.
    Province,
    /// Ministry or central steering committee.
    Ministry,
}

impl Level {
    /// As it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Commune => "commune",
            Level::Province => "province",
            Level::Ministry => "ministry",
        }
    }
}

/// Whether a computer may hold state secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Joined to a network: it holds none.
    Networked,
    /// On its own, as the law asks for: it may hold what its ceiling allows.
    Isolated,
}

/// `[node]`; each field is the key of that name in `keys::KEYS`, as in the structures below.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Node {
    pub unit: String,
    pub level: Level,
    pub data_dir: PathBuf,
    pub socket: PathBuf,
    pub machine_id_file: PathBuf,
    pub profile: Profile,
    #[schemars(with = "String")]
    pub ceiling: Classification,
    #[schemars(with = "String")]
    pub classification: Classification,
    #[serde(with = "jiff::fmt::serde::tz::required")]
    #[schemars(with = "String")]
    pub time_zone: TimeZone,
}

/// `[listen]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Listen {
    pub address: String,
    pub names: Vec<String>,
    pub max_connections: usize,
    pub max_connections_per_child: usize,
    pub handshake_timeout_s: Seconds,
    pub header_timeout_s: Seconds,
    pub body_idle_timeout_s: Seconds,
    pub request_timeout_s: Seconds,
    pub max_concurrent_batches: usize,
}

/// How the parent is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamKind {
    /// Over a line.
    Line,
    /// By bundles on media alone.
    Bundle,
}

/// `[upstream]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Upstream {
    /// Empty where bundles go by hand and no address was written.
    #[serde(default)]
    pub url: String,
    pub kind: UpstreamKind,
    #[schemars(with = "String")]
    pub ceiling: Classification,
    pub connect_timeout_s: Seconds,
    pub request_timeout_s: Seconds,
    pub long_poll_s: Seconds,
    pub probe_interval_s: Seconds,
    pub probe_jitter_s: Seconds,
}

/// `[console]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Console {
    pub address: String,
    pub names: Vec<String>,
    pub idle_logout_s: Seconds,
}

/// `[parse]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Parse {
    pub socket: PathBuf,
}

/// `[api]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Api {
    pub address: String,
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Metrics {
    pub address: String,
}

/// `[sync]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Sync {
    #[schemars(with = "Vec<String>")]
    pub schedule: Vec<CronRule>,
    pub jitter_s: Seconds,
    pub debounce_ms: Millis,
    pub batch_records: usize,
    pub batch_bytes: Size,
    pub max_batch_bytes: Size,
    pub blob_chunk_bytes: Size,
    pub max_blob_bytes: Size,
    pub max_record_bytes: Size,
    pub bandwidth_bytes_per_s: Size,
    pub backoff_min_s: Seconds,
    pub backoff_max_s: Seconds,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Store {
    pub readers: usize,
    pub group_commit_max: usize,
    pub wal_checkpoint_pages: u32,
    pub min_free_bytes: Size,
    pub scrub_interval_s: Seconds,
}

/// `[brake]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Brake {
    pub at_least: u64,
    pub removed_percent: u64,
    pub overwritten_percent: u64,
    pub window_s: Seconds,
}

/// `[approval]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Approval {
    #[schemars(with = "Vec<String>")]
    pub acts: Vec<Act>,
    pub lasts_s: Seconds,
}

/// `[deposit]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Deposit {
    pub interval_s: Seconds,
    pub quota_bytes: Size,
}

/// `[reporting]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Reporting {
    #[schemars(with = "String")]
    pub period: PeriodKind,
    pub regimes: Vec<String>,
    pub remind_before_days: Vec<u16>,
    pub remind_after_days: Vec<u16>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the key table documents every key, once")]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}
