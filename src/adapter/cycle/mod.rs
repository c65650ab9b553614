//! One cycle for every engine that knows records: list, map, compare, write, read back, remember.
//!
//! Nothing is written before everything was listed and compared, so that the brakes see the whole. What is written there is
//! noted in the outbox first and struck out when it was read back: after a crash in between, the outside is asked.

mod brake;
mod compare;
mod files;
pub(super) mod mapped;
mod mine;
mod packed;
mod plan;
mod pull;
mod push;
mod report;
mod round;
mod theirs;

use std::collections::BTreeMap;

use serde_json::Value;

pub use compare::First;
pub(crate) use mapped::text_of;
pub use report::{Difference, Held, Report, Side};

use super::engine::{Engine, EngineError};
use super::mapping::{MapError, Mapper, Programs};
use super::ours::Scope;
use super::profile::{Profile, ProfileErrors, Stream};
use crate::api::{Command, Lang, Request};
use crate::node::commands::surroundings;
use crate::node::commands::views::View;
use crate::node::{Node, Refusal};
use crate::store::StoreError;

/// How a run is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Write nothing on either side, tell what would change.
    pub trial: bool,
    /// List no more than one page.
    pub one_page: bool,
    /// A person has seen the mass change and lets it through.
    pub release: bool,
}

/// Why a run ended before its end. What was done until then stays done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The outside.
    #[error(transparent)]
    Outside(#[from] EngineError),
    /// The mappings.
    #[error(transparent)]
    Mapping(#[from] MapError),
    /// The profile: it does not fit this node, or holds expressions that are no jq.
    #[error(transparent)]
    Profile(#[from] ProfileErrors),
    /// The profile's own tests: it would write something else than its author meant.
    #[error("{failed} of the profile's own {all} tests fail; first: {first}")]
    Untested {
        /// So many fail.
        failed: usize,
        /// So many there are.
        all: usize,
        /// Name of the first that fails.
        first: String,
    },
    /// Our store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A verb of ours, whole and not for one record.
    #[error("{0:?}")]
    Refused(Box<Refusal>),
    /// A full listing lost too many known records to be believed.
    #[error("{known} records are known, {seen} are listed")]
    Shrunken {
        /// Known before.
        known: usize,
        /// Of these, listed now.
        seen: usize,
    },
}

/// One run of one adapter.
pub struct Cycle<'a, E> {
    /// The node.
    pub node: &'a Node,
    /// Name of the adapter.
    pub name: &'a str,
    /// Its profile.
    pub profile: &'a Profile,
    /// Its mappings, compiled.
    pub mapper: Mapper,
    /// The outside.
    pub engine: E,
    /// How it is meant.
    pub mode: Mode,
    /// Language of messages.
    pub lang: Lang,
}

/// The programs of a profile's mappings, as [`Mapper`] takes them.
pub fn programs(profile: &Profile) -> Programs {
    let mut programs = Programs::new();
    let of_records = profile.streams.iter().filter(|s| s.workbook.is_none());
    for stream in of_records {
        let mut theirs = BTreeMap::from([
            (
                "id".to_owned(),
                stream.id.clone().unwrap_or_else(|| ".id".to_owned()),
            ),
            ("key".to_owned(), stream.key.theirs.clone()),
        ]);
        let mut ours = BTreeMap::from([("key".to_owned(), stream.key.ours.clone())]);
        if let Some(version) = &stream.version {
            theirs.insert("version".to_owned(), version.clone());
        }
        if let Some(waits) = &stream.waits {
            theirs.insert("waits".to_owned(), waits.clone());
        }
        for (name, rule) in &stream.fields {
            theirs.extend(rule.theirs.clone().map(|jq| (field(name), jq)));
            ours.extend(rule.ours.clone().map(|jq| (field(name), jq)));
        }
        let mut add = |part: &str, expressions| programs.insert(set(stream, part), expressions);
        add("theirs", theirs);
        add("ours", ours);
        for (part, jq) in [
            ("only", &stream.only),
            ("create", &stream.write.create),
            ("update", &stream.write.update),
        ] {
            if let Some(jq) = jq {
                add(part, BTreeMap::from([(part.to_owned(), jq.clone())]));
            }
        }
    }
    programs
}

/// Name of a stream's set of expressions.
pub(super) fn set(stream: &Stream, part: &str) -> String {
    format!("{}.{part}", stream.name)
}

/// Name of a field's expression in its set.
fn field(name: &str) -> String {
    format!("fields.{name}")
}

pub(super) fn is_true(values: &BTreeMap<String, Value>) -> bool {
    !values
        .values()
        .any(|v| matches!(v, Value::Null | Value::Bool(false)))
}

impl<E: Engine> Cycle<'_, E> {
    fn now_ms(&self) -> i64 {
        self.node.clock.now_ms()
    }

    fn say(&self, key: &str, args: &[(&str, &str)]) -> String {
        crate::text::text(self.lang, key, args)
    }

    fn scope(&self, stream: &Stream) -> Result<Scope, RunError> {
        scope_of(self.node, self.profile, stream)
    }

    /// Reads from one snapshot of our store.
    async fn read<T, F>(&self, query: F) -> Result<T, RunError>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        let (node, lang) = (self.node.clone(), self.lang);
        let read = self.node.store.read(move |connection| {
            let request = asking(lang);
            query(&surroundings(&node, connection, &request)?.view())
        });
        Ok(read.await?)
    }
}

/// The unit that a stream acts for, and the period.
pub(super) fn scope_of(node: &Node, profile: &Profile, stream: &Stream) -> Result<Scope, RunError> {
    let shown = node.store.shown();
    let home = shown.unit.ok_or(StoreError::NotEnrolled)?;
    let unit = match &profile.unit {
        Some(text) => crate::node::commands::resolve(&shown.tree, text, home)?,
        None => home,
    };
    Ok(Scope {
        kind: stream.kind,
        unit,
        subtree: stream.subtree,
        period: node.current_period(),
        ceiling: profile.ceiling.into(),
    })
}

/// The request that stands for an adapter's own reading; it names no verb that would be carried out.
fn asking(lang: Lang) -> Request {
    Request {
        request_id: String::new(),
        lang,
        person: String::new(),
        asker: Default::default(),
        acting_for: None,
        command: Command::Status,
    }
}
