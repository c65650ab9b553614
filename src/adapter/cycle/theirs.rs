//! The outside's side of a stream: pages of records, mapped and converted into our notation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mapped::{fields_of_theirs, text_of};
use super::report::Report;
use super::{Cycle, RunError};
use crate::adapter::engine::Engine;
use crate::adapter::ours::Fields;
use crate::adapter::profile::Stream;

/// One outside record, understood.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Theirs {
    /// Its id there.
    pub id: String,
    /// The key of ours that it carries.
    pub key: Option<String>,
    /// Its version there.
    pub version: Option<String>,
    /// What of it does not count there yet, in words for people.
    pub waits: Option<String>,
    /// Its values in our notation.
    pub fields: Fields,
    /// As it came; null once nothing is to be written there.
    pub raw: Value,
}

impl<E: Engine> Cycle<'_, E> {
    /// Understands a page. What cannot be understood is one problem each and stops nothing else.
    pub(super) async fn understand(
        &self,
        stream: &Stream,
        records: Vec<Value>,
        report: &mut Report,
    ) -> Result<Vec<Theirs>, RunError> {
        let records = self.belonging(stream, records, report).await?;
        let set = super::set(stream, "theirs");
        let mapped = self.mapper.map(&set, records.clone()).await?;
        let mut found = Vec::new();
        for (raw, values) in records.into_iter().zip(mapped) {
            let name = raw["id"].to_string();
            match values {
                Ok(values) => found.extend(self.convert(stream, raw, values, report)),
                Err(error) => {
                    report.problem(&name, "mapping_theirs", error.to_string(), self.now_ms());
                }
            }
        }
        Ok(found)
    }

    /// Those of the records that the profile's `only` lets through.
    async fn belonging(
        &self,
        stream: &Stream,
        records: Vec<Value>,
        report: &mut Report,
    ) -> Result<Vec<Value>, RunError> {
        if stream.only.is_none() {
            return Ok(records);
        }
        let mapped = self
            .mapper
            .map(&super::set(stream, "only"), records.clone())
            .await?;
        let mut kept = Vec::new();
        for (raw, values) in records.into_iter().zip(mapped) {
            match values {
                Ok(values) if super::is_true(&values) => kept.push(raw),
                Ok(_) => report.foreign += 1,
                Err(error) => {
                    let name = raw["id"].to_string();
                    report.problem(&name, "mapping_only", error.to_string(), self.now_ms());
                }
            }
        }
        Ok(kept)
    }

    fn convert(
        &self,
        stream: &Stream,
        raw: Value,
        values: BTreeMap<String, Value>,
        report: &mut Report,
    ) -> Option<Theirs> {
        let take = |name: &str| values.get(name).and_then(text_of);
        let (id, key, version) = (take("id"), take("key"), take("version"));
        let waits = take("waits");
        let Some(id) = id else {
            let text = self.say("adapter-no-id", &[("stream", &stream.name)]);
            report.problem(
                key.as_deref().unwrap_or_default(),
                "no_id",
                text,
                self.now_ms(),
            );
            return None;
        };
        let zone = &self.node.settings.zone;
        let fields = match fields_of_theirs(stream, self.profile, zone, &values) {
            Ok(fields) => fields,
            Err(error) => {
                // One value that cannot be read leaves the whole record alone: half of it might mean something else.
                let name = key.unwrap_or(id);
                let text = format!("{name}: {error}");
                report.problem(&name, "unreadable_value", text, self.now_ms());
                return None;
            }
        };
        report.waits(key.as_deref().unwrap_or(&id), waits.as_deref());
        Some(Theirs {
            id,
            key,
            version,
            waits,
            fields,
            raw,
        })
    }
}
