//! Our side of a stream: every record by its natural key, light enough for tens of thousands.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use nqsync_core::model::values::FileRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::compare::value;
use super::mapped::{fields_of_ours, text_of};
use super::packed::Packed;
use super::report::Report;
use super::{Cycle, RunError};
use crate::adapter::engine::Engine;
use crate::adapter::mapping::MapError;
use crate::adapter::ours::{self, About, Fields, Ours};
use crate::adapter::profile::{Sends, Stream, StreamKind};
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
    /// Own fields that hold something else than what may go out, with their values: drafts of people.
    pub drafts: Fields,
    /// Registers of these fields: what stands in them was agreed with nobody.
    pub apart: Vec<String>,
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
        let page: Vec<Sent> = page
            .into_iter()
            .map(|ours| sent(stream.sends, ours))
            .collect();
        let page = page.into_iter();
        let (page, drafts): (Vec<Ours>, Vec<Fields>) =
            page.map(|sent| (sent.ours, sent.drafts)).unzip();
        let contexts = page.iter().map(|ours| ours.context.clone()).collect();
        let mapped = self
            .mapper
            .map(&super::set(stream, "ours"), contexts)
            .await?;
        let mut found = Vec::new();
        for ((ours, drafts), values) in page.into_iter().zip(drafts).zip(mapped) {
            match values.and_then(|values| self.key_and_fields(stream, &ours, values)) {
                Ok(Some((key, fields))) => {
                    found.push((key, self.mine(stream, ours, fields, drafts)));
                }
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

    fn mine(&self, stream: &Stream, ours: Ours, fields: Fields, drafts: Fields) -> Mine {
        let unit = match &ours.about {
            About::Report { unit, .. } | About::Figure { unit, .. } | About::Texts { unit, .. } => {
                Some(unit.clone())
            }
            About::Task(_) | About::Directive(_) => self.profile.unit.clone(),
        };
        let files = ours.context.get("evidence").cloned().unwrap_or_default();
        Mine {
            apart: apart(stream.kind, &ours.undecided, &drafts),
            drafts,
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

/// One of our records with the values that may go out.
pub struct Sent {
    /// The record.
    pub ours: Ours,
    /// Its fields that hold something else, with their values.
    pub drafts: Fields,
}

/// What of a record may go out: of a report what was submitted, unless the stream sends drafts too.
pub fn sent(sends: Sends, mut ours: Ours) -> Sent {
    let mut drafts = Fields::new();
    if matches!(ours.about, About::Report { .. }) && sends == Sends::Submitted {
        ours.begun = ours.submitted.is_some();
        let submitted = ours.submitted.take().unwrap_or_default();
        let now = std::mem::replace(&mut ours.fields, submitted);
        for (name, _) in ours::own_fields(StreamKind::Progress) {
            if value(&now, name) != value(&ours.fields, name) {
                drafts.insert((*name).to_owned(), value(&now, name).to_owned());
            }
        }
        ours.context["fields"] = serde_json::json!(ours.fields);
    }
    Sent { ours, drafts }
}

/// The registers of fields that are in conflict or hold a draft.
pub fn apart(kind: StreamKind, undecided: &[&str], drafts: &Fields) -> Vec<String> {
    let names = undecided
        .iter()
        .copied()
        .chain(drafts.keys().map(String::as_str));
    let registers = names.filter_map(|name| ours::register_of(kind, name));
    let registers: BTreeSet<&str> = registers.collect();
    registers.into_iter().map(str::to_owned).collect()
}

impl From<Refusal> for RunError {
    fn from(refusal: Refusal) -> Self {
        RunError::Refused(Box::new(refusal))
    }
}
