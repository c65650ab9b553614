//! A record: its immutable facts and the edits that are still needed to know its state.
//!
//! Invariant: the state is a function of the *set* of edits that reached it; no order, grouping or repetition of
//! arrivals changes a byte of it. An edit stays as long as at least one of its writes is present.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::context::{Context, Dot, Incarnation, Token};
use super::edit::{Edit, EditDraft, EditError, Write};
use super::hlc::Stamp;
use super::seal::SealKey;
use crate::model::{Classification, Facts, FactsError, Key};

/// The register that says whether a record was deleted.
pub const LIFE: &str = "life";
/// Register with the reason of the last decision about a conflict of this record. It is a remark: two of them contradict nobody.
pub const RESOLVED: &str = "resolved";

/// First half of the SHA-256 over a record's key, facts and edits: equal digests mean equal bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Digest(pub [u8; 16]);

/// One record as this node holds it.
#[derive(Clone, Debug)]
pub struct Record {
    key: Key,
    facts: Facts,
    facts_raw: Box<str>,
    edits: Vec<Edit>,
}

/// Why something is not a record, or two things are not the same record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The facts do not fit the kind.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// An edit cannot be read.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A record without any edit says nothing.
    #[error("a record without edits")]
    Empty,
    /// Facts never change; whoever sends other facts under the same id means another record.
    #[error("the facts differ from those this record was born with")]
    OtherFacts,
    /// Dots are counted per record: what was seen of another one says nothing about this one.
    #[error("the token is of another record")]
    OtherToken,
}

/// One register as people see it.
#[derive(Debug)]
pub struct RegisterView<'a> {
    /// Present siblings, the shown one first, then by dot.
    pub siblings: Vec<&'a Write>,
    /// Stamps and authors beside the siblings, in the same order.
    pub edits: Vec<&'a Edit>,
}

/// What a join did.
#[derive(Debug, Default)]
pub struct Replaced {
    /// Edits that none of the present writes needs any more, for the history.
    pub dropped: Vec<Edit>,
    /// Whether the state differs from before.
    pub changed: bool,
}

impl Record {
    /// A record from its parts. Edits may come in any order and number; facts are checked against the key.
    pub fn new(key: Key, facts_raw: &str, edits: Vec<Edit>) -> Result<Record, RecordError> {
        let facts = Facts::parse(key, facts_raw)?;
        if edits.is_empty() {
            return Err(RecordError::Empty);
        }
        let mut record = Record {
            key,
            facts,
            facts_raw: facts_raw.into(),
            edits,
        };
        record.settle();
        Ok(record)
    }

    /// A record as its first author begins it, before the first edit is added with [`Record::write`].
    pub fn begin(facts: Facts, key: Key) -> Record {
        Record::begin_at(facts, key, Classification::None)
    }

    /// The same at a level of secrecy. It is one of the facts, so that nobody can lower it in a record that has it.
    pub fn begin_at(facts: Facts, key: Key, level: Classification) -> Record {
        let plain = facts.to_json();
        let facts_raw = match (level, plain.strip_prefix('{')) {
            (Classification::None, _) | (_, None) => plain.into(),
            (_, Some(rest)) => {
                let comma = if rest == "}" { "" } else { "," };
                format!("{{\"classification\":\"{}\"{comma}{rest}", level.word()).into()
            }
        };
        Record {
            key,
            facts,
            facts_raw,
            edits: Vec::new(),
        }
    }

    /// Kind and id.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The facts it was born with.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The facts as authored.
    pub fn facts_raw(&self) -> &str {
        &self.facts_raw
    }

    /// Its level of secrecy.
    pub fn level(&self) -> Classification {
        Classification::of_facts(&self.facts_raw)
    }

    /// Whether two copies were born with the same facts; two levels are two records, whoever sends them.
    pub fn same_facts(&self, other: &Record) -> bool {
        self.facts == other.facts
            && (self.facts_raw == other.facts_raw || self.level() == other.level())
    }

    /// The edits needed to know the state, in canonical order.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Takes in everything another copy holds.
    pub fn join(&mut self, other: &Record) -> Result<Replaced, RecordError> {
        if other.key != self.key || !self.same_facts(other) {
            return Err(RecordError::OtherFacts);
        }
        let before: Vec<[u8; 16]> = self.edits.iter().map(|e| *e.hash()).collect();
        let respelled = other.facts_raw < self.facts_raw;
        for edit in &other.edits {
            if !self.edits.iter().any(|mine| mine.order() == edit.order()) {
                self.edits.push(edit.clone());
            }
        }
        #[cfg(feature = "faults")]
        if crate::faults::thrown(crate::faults::Canary::DeleteByAbsence) {
            self.edits
                .retain(|mine| other.edits.iter().any(|edit| mine.order() == edit.order()));
        }
        if respelled {
            // The same facts in two spellings: every node settles on the same one.
            self.facts_raw = other.facts_raw.clone();
        }
        let dropped = self.settle();
        let changed = respelled
            || before.len() != self.edits.len()
            || self
                .edits
                .iter()
                .zip(&before)
                .any(|(edit, hash)| edit.hash() != hash);
        Ok(Replaced { dropped, changed })
    }

    /// Adds a new edit by the owner: values by register, and the contexts its author was shown (`None`: a command
    /// typed without a form, which takes the present context). A token of another record is an error.
    pub fn write(
        &mut self,
        by: Author<'_>,
        now_ms: i64,
        values: BTreeMap<String, Value>,
        token: Option<&Token>,
    ) -> Result<Replaced, RecordError> {
        let present = self.token();
        let token = token.unwrap_or(&present);
        if token.of.is_some_and(|of| of != self.key.id) {
            return Err(RecordError::OtherToken);
        }
        let greatest = self.greatest_counter(by.incarnation);
        #[cfg(feature = "faults")]
        let greatest = match crate::faults::thrown(crate::faults::Canary::ReuseDot) {
            true => 0,
            false => greatest,
        };
        let first = greatest
            .checked_add(1)
            .ok_or(EditError::Counter(u64::from(greatest) + 1))?;
        let draft = EditDraft {
            incarnation: by.incarnation,
            first,
            stamp: Stamp::next(now_ms, self.greatest_stamp()),
            unit: by.unit,
            by: by.name.to_owned(),
            writes: values
                .into_iter()
                .map(|(register, value)| {
                    let seen = token.of(&register);
                    (register, (value, seen))
                })
                .collect(),
        };
        let seal = by.seal.map(|seal| (seal, self.key, &self.facts));
        self.edits.push(Edit::author(&draft, seal)?);
        let dropped = self.settle();
        Ok(Replaced {
            dropped,
            changed: true,
        })
    }

    /// The values of a deletion: the empty value in every register that has siblings, and the reason in `life`.
    pub fn deletion(&self, reason: &str) -> BTreeMap<String, Value> {
        let mut values: BTreeMap<String, Value> = self
            .registers()
            .map(|name| (name.to_owned(), Value::Null))
            .collect();
        values.insert(
            LIFE.to_owned(),
            serde_json::json!({ "deleted": true, "reason": reason }),
        );
        values
    }

    /// Whether the shown value of `life` says deleted.
    pub fn is_deleted(&self) -> bool {
        self.shown(LIFE)
            .is_some_and(|life| life["deleted"] == Value::Bool(true))
    }

    /// Names of all registers, sorted.
    pub fn registers(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self
            .edits
            .iter()
            .flat_map(|e| e.writes())
            .map(|w| w.register.as_ref())
            .collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }

    /// The present siblings of a register.
    pub fn register(&self, name: &str) -> RegisterView<'_> {
        let mut found: Vec<(&Write, &Edit)> = self
            .edits
            .iter()
            .flat_map(|edit| edit.writes().iter().map(move |write| (write, edit)))
            .filter(|(write, _)| write.register.as_ref() == name)
            .collect();
        let all: Vec<&Write> = found.iter().map(|(write, _)| *write).collect();
        found.retain(|(write, _)| !all.iter().any(|other| supersedes(other, write)));
        // The latest stamp is shown, then the smallest dot, then (a clone's twin) the smallest hash.
        found.sort_by(|(a, ea), (b, eb)| {
            eb.stamp
                .cmp(&ea.stamp)
                .then(a.dot.cmp(&b.dot))
                .then(ea.hash().cmp(eb.hash()))
        });
        let (siblings, edits) = found.into_iter().unzip();
        RegisterView { siblings, edits }
    }

    /// The shown value of a register; `None` when there is none or it is empty.
    pub fn shown(&self, name: &str) -> Option<Value> {
        self.register(name)
            .siblings
            .first()
            .filter(|w| !w.is_empty())
            .map(|w| w.json())
    }

    /// The registers in which people must decide between two or more different values.
    pub fn conflicts(&self) -> Vec<&str> {
        if self.key.kind.later_replaces_earlier() || self.edits.len() < 2 {
            return Vec::new();
        }
        let deleted = self.is_deleted();
        self.registers()
            .filter(|name| *name != RESOLVED)
            .filter(|name| {
                let view = self.register(name);
                let different = view
                    .siblings
                    .iter()
                    .skip(1)
                    .any(|w| !w.same_value(view.siblings[0]));
                different
                    || (deleted && *name != LIFE && view.siblings.iter().any(|w| !w.is_empty()))
            })
            .collect()
    }

    /// Whether this very edit is present here, byte for byte.
    pub fn has(&self, edit: &Edit) -> bool {
        self.edits.iter().any(|held| held.hash() == edit.hash())
    }

    /// The contexts of all registers, to be handed out with a form and handed back with what was typed.
    pub fn token(&self) -> Token {
        let contexts = self
            .registers()
            .map(|name| (name.to_owned(), self.register(name).context()));
        Token {
            of: Some(self.key.id),
            seen: contexts.collect(),
        }
    }

    /// The greatest counter per incarnation over the whole record: what a receipt vouches for.
    pub fn extent(&self) -> Context {
        let mut extent = Context::default();
        for write in self.edits.iter().flat_map(|e| e.writes()) {
            extent.insert(write.dot);
            extent.extend(&write.seen);
        }
        extent
    }

    /// The greatest stamp in the record.
    pub fn greatest_stamp(&self) -> Option<Stamp> {
        self.edits.iter().map(|e| e.stamp).max()
    }

    /// The digest of the state.
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(self.key.kind.as_str().as_bytes());
        hasher.update(self.key.id.as_bytes());
        hasher.update(self.facts_raw.as_bytes());
        for edit in &self.edits {
            hasher.update(b"\n");
            hasher.update(edit.hash());
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize()[..16]);
        Digest(half)
    }

    fn greatest_counter(&self, incarnation: Incarnation) -> u32 {
        self.extent().greatest(incarnation)
    }

    /// Drops the edits none of whose writes is present, and puts the rest in canonical order.
    fn settle(&mut self) -> Vec<Edit> {
        self.edits.sort_by_key(Edit::order);
        self.edits.dedup_by_key(|edit| edit.order());
        #[cfg(feature = "faults")]
        if crate::faults::thrown(crate::faults::Canary::ClockDecides) {
            let latest = self.edits.iter().map(|edit| edit.stamp).max();
            self.edits.retain(|edit| Some(edit.stamp) == latest);
        }
        if self.edits.len() < 2 {
            return Vec::new();
        }
        let mut by_register: HashMap<&str, Vec<&Write>> = HashMap::new();
        for write in self.edits.iter().flat_map(|e| e.writes()) {
            by_register
                .entry(write.register.as_ref())
                .or_default()
                .push(write);
        }
        let keep: Vec<bool> = self
            .edits
            .iter()
            .map(|edit| {
                edit.writes().iter().any(|write| {
                    !by_register[write.register.as_ref()]
                        .iter()
                        .any(|other| supersedes(other, write))
                })
            })
            .collect();
        let mut keep = keep.into_iter();
        let (kept, dropped) = std::mem::take(&mut self.edits)
            .into_iter()
            .partition(|_| keep.next().unwrap_or(true));
        self.edits = kept;
        dropped
    }
}

/// Who writes: the opening of the store, the owning unit and the name people will see.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The current opening of the store.
    pub incarnation: Incarnation,
    /// The owner of the record.
    pub unit: crate::model::UnitId,
    /// Person, node or adapter.
    pub name: &'a str,
    /// What the node knows its own writes by when they come back to it from below; none where nobody is below.
    pub seal: Option<SealKey>,
}

/// Whether `present` replaces `other` in one register. Only a write that is itself held here can replace one: a
/// context alone removes nothing, or a truncated message could erase a value.
fn supersedes(present: &Write, other: &Write) -> bool {
    // Two writes that each claim to have seen the other can only be forged; they must not erase each other.
    present.dot != other.dot
        && present.seen.contains(other.dot)
        && !other.seen.contains(present.dot)
}

impl RegisterView<'_> {
    /// The union of the siblings' dots and of what they had seen: what an author is shown by showing this register.
    pub fn context(&self) -> Context {
        let mut context: Context = self.siblings.iter().map(|w| w.dot).collect();
        self.siblings.iter().for_each(|w| context.extend(&w.seen));
        context
    }

    /// The dots of the present siblings.
    pub fn dots(&self) -> Vec<Dot> {
        self.siblings.iter().map(|w| w.dot).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Digest {
    /// Reads 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Digest> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Digest)
    }
}
