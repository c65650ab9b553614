//! Our side of a stream: every record by its natural key, light enough for tens of thousands.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use nqsync_core::model::values::FileRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::mapped::{fields_of_ours, text_of};
use super::packed::Packed;
use super::report::Report;
use super::{Cycle, RunError};
use crate::adapter::engine::Engine;
use crate::adapter::mapping::MapError;
use crate::adapter::ours::{self, About, Fields, Ours};
use crate::adapter::profile::Stream;
use crate::node::Refusal;
use crate::store::Rec;

/// Records read and mapped at once.
const PAGE: u32 = 500;

/// One of our records without what only bodies need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mine {
    /// What it is about.
    pub about: About,
    /// Its id.
    pub record: Uuid,
    /// Whether it exists.
    pub begun: bool,
    /// Its token.
    pub token: String,
    /// Every field of the stream, own and computed, in our notation.
    pub fields: Fields,
    /// Own fields in an open conflict.
    pub undecided: Vec<String>,
    /// Code of the unit it is written for.
    pub unit: Option<String>,
    /// Whether the adapter's unit may change it; otherwise edits from outside become proposals.
    pub owned: bool,
    /// Its evidence files.
    pub files: Vec<FileRef>,
}

/// Our records by natural key.
pub type ByKey = BTreeMap<String, Packed<Mine>>;

impl<E: Engine> Cycle<'_, E> {
    /// Everything of ours that the stream is about.
    pub(super) async fn load_mine(
        &self,
        stream: &Stream,
        report: &mut Report,
    ) -> Result<ByKey, RunError> {
        let (mut found, mut twice) = (ByKey::new(), Vec::new());
        let mut after = Some(Rec(0));
        while let Some(from) = after {
            let scope = self.scope(stream)?;
            let (page, next) = self
                .read(move |view| ours::load(view, &scope, from, PAGE))
                .await?;
            after = next;
            for (key, mine) in self.keyed(stream, page, report).await? {
                match found.entry(key) {
                    Entry::Vacant(place) => {
                        place.insert(Packed::new(&mine));
                    }
                    Entry::Occupied(place) => twice.push(place.key().clone()),
                }
            }
        }
        for key in twice {
            // Which of them is meant cannot be known, so neither is exchanged.
            found.remove(&key);
            let text = self.say("adapter-twice-here", &[("key", &key)]);
            report.problem(&key, "twice_here", text, self.now_ms());
        }
        Ok(found)
    }

    /// One of our records as it is now, with its context for the making of a body.
    pub(super) async fn reload(
        &self,
        stream: &Stream,
        about: About,
    ) -> Result<Option<(Mine, Value)>, RunError> {
        let scope = self.scope(stream)?;
        let ours = self
            .read(move |view| ours::load_one(view, &scope, &about))
            .await?;
        let Some(ours) = ours else { return Ok(None) };
        let context = ours.context.clone();
        let mut found = self
            .keyed(stream, vec![ours], &mut Report::default())
            .await?;
        Ok(found.pop().map(|(_, mine)| (mine, context)))
    }

    async fn keyed(
        &self,
        stream: &Stream,
        page: Vec<Ours>,
        report: &mut Report,
    ) -> Result<Vec<(String, Mine)>, RunError> {
        let contexts = page.iter().map(|ours| ours.context.clone()).collect();
        let mapped = self
            .mapper
            .map(&super::set(stream, "ours"), contexts)
            .await?;
        let mut found = Vec::new();
        for (ours, values) in page.into_iter().zip(mapped) {
            match values.and_then(|values| self.key_and_fields(stream, &ours, values)) {
                Ok(Some((key, fields))) => found.push((key, self.mine(ours, fields))),
                Ok(None) => {}
                Err(error) => {
                    let name = ours.record.to_string();
                    report.problem(&name, "mapping_ours", error.to_string(), self.now_ms());
                }
            }
        }
        Ok(found)
    }

    fn key_and_fields(
        &self,
        stream: &Stream,
        ours: &Ours,
        values: BTreeMap<String, Value>,
    ) -> Result<Option<(String, Fields)>, MapError> {
        let Some(key) = values.get("key").and_then(text_of) else {
            return Ok(None);
        };
        Ok(Some((key, fields_of_ours(stream, &ours.fields, &values))))
    }

    fn mine(&self, ours: Ours, fields: Fields) -> Mine {
        let unit = match &ours.about {
            About::Report { unit, .. } | About::Figure { unit, .. } | About::Texts { unit, .. } => {
                Some(unit.clone())
            }
            About::Task(_) | About::Directive(_) => self.profile.unit.clone(),
        };
        let files = ours.context.get("evidence").cloned().unwrap_or_default();
        Mine {
            // What our own loader wrote is a list of file references, or nothing.
            files: serde_json::from_value(files).unwrap_or_default(),
            about: ours.about,
            record: ours.record,
            begun: ours.begun,
            token: ours.token,
            fields,
            undecided: ours.undecided.into_iter().map(str::to_owned).collect(),
            unit,
            owned: ours.owned,
        }
    }
}

impl From<Refusal> for RunError {
    fn from(refusal: Refusal) -> Self {
        RunError::Refused(Box::new(refusal))
    }
}
