//! What a run did, or would do.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::adapter::engine::Remembered;
use crate::store::adapters::Problem;

/// Differences kept of one run; the counts are always whole.
const KEPT: usize = 500;

/// Where a difference is to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Their value is written here.
    Here,
    /// Our value is written there.
    There,
    /// Both changed: their value is kept beside ours until a person decides.
    Conflict,
    /// Their value becomes a proposal to the owner.
    Proposal,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Stream.
    pub stream: String,
    /// Our natural key.
    pub key: String,
    /// The field, by our name.
    pub field: String,
    /// Which way it goes.
    pub side: Side,
    /// Our value.
    pub ours: String,
    /// Theirs, in our notation; `None`: the record is created there.
    pub theirs: Option<String>,
}

/// A change of many records at once that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Records that would change here.
    pub here: usize,
    /// Records that would change there.
    pub there: usize,
    /// Records both sides know.
    pub known: usize,
}

/// What one stream did, or would do in a trial.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Records listed outside.
    pub listed: usize,
    /// Requests for pages.
    pub pages: usize,
    /// Listed records that carry none of our keys.
    pub foreign: usize,
    /// Records where both sides said the same.
    pub unchanged: usize,
    /// Records changed or begun here.
    pub pulled: usize,
    /// Records changed there.
    pub pushed: usize,
    /// Records created there.
    pub created: usize,
    /// Fields changed on both sides.
    pub conflicts: usize,
    /// Proposals made.
    pub proposed: usize,
    /// Known records that the outside no longer lists.
    pub missing: usize,
    /// Files handed over.
    pub files: usize,
    /// Writes of which it is not known whether they arrived; the next run asks.
    pub in_doubt: usize,
    /// Records of which something waits for somebody there, such as an approval: key and the profile's words for it.
    pub waiting: BTreeMap<String, String>,
    /// A mass change that waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Records that could not be exchanged.
    #[serde(skip)]
    pub problems: Vec<Problem>,
    /// Where the records that are being read come from.
    #[serde(skip)]
    pub source: Option<String>,
    /// Where records came from, by key.
    #[serde(skip)]
    sources: BTreeMap<String, String>,
}

impl Report {
    /// Keeps a difference for people to see.
    pub fn differs(&mut self, difference: Difference) {
        if self.differences.len() < KEPT {
            self.differences.push(difference);
        }
    }

    /// Notes what a record waits for, in place of what was known of it.
    pub fn waits(&mut self, key: &str, text: Option<&str>) {
        self.waiting.remove(key);
        self.waiting
            .extend(text.map(|text| (key.to_owned(), text.to_owned())));
    }

    /// Notes a record that could not be exchanged.
    pub fn problem(&mut self, key: &str, code: &str, text: impl Into<String>, since: i64) {
        self.came_from_here(key);
        self.problems.push(Problem {
            key: key.to_owned(),
            code: code.to_owned(),
            text: text.into(),
            since,
        });
    }

    /// Remembers where a record came from.
    pub fn came_from_here(&mut self, key: &str) {
        if let Some(source) = &self.source {
            self.sources.insert(key.to_owned(), source.clone());
        }
    }

    /// What was met, with where it came from: what could not be exchanged, and what differed, cell by cell.
    pub fn met(&self) -> Vec<Remembered> {
        let problems = self.problems.iter().map(|problem| Remembered {
            source: self.sources.get(&problem.key).cloned(),
            text: format!("{}: {}", problem.key, problem.text),
            open: true,
        });
        let differences = self.differences.iter().map(|found| {
            let there = found.theirs.as_deref().unwrap_or_default();
            let sign = match found.side {
                Side::Here => "<-",
                Side::There => "->",
                Side::Conflict => "<>",
                Side::Proposal => "?",
            };
            Remembered {
                source: self.sources.get(&found.key).cloned(),
                text: format!(
                    "{}, {}: {} {sign} {there}",
                    found.key, found.field, found.ours
                ),
                open: found.side == Side::Conflict,
            }
        });
        problems.chain(differences).collect()
    }
}
