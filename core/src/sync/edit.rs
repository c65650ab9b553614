//! An edit: what one author did to one record at one moment, as immutable bytes.
//!
//! ```json
//! {"i":"7Q…","n":3,"t":"019a…","u":"<unit>","by":"name","w":{"progress":{"v":{"status":"completed"},"s":{"7Q…":1}}}}
//! ```
//!
//! `w` holds one write per register. Their dots are `n`, `n + 1`, … in the order of the register names. `s` is
//! the register's context as the author was shown it and is left out when empty. A [seal](super::seal) may stand at the
//! end. Fields this version does not know stay in the bytes, which are what is stored, forwarded and hashed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::context::{Context, Dot, Incarnation};
use super::hlc::Stamp;
use super::seal::SealKey;
use crate::model::{Facts, Key, UnitId};

/// Most registers one edit may write; the widest record of the model has fewer than twenty.
pub const MAX_WRITES_PER_EDIT: usize = 64;
/// Longest name of a register, in bytes.
pub const MAX_REGISTER_NAME: usize = 64;

/// An edit as received or authored.
#[derive(Clone, Debug)]
pub struct Edit {
    raw: Box<str>,
    hash: [u8; 16],
    /// The opening of the author's store.
    pub incarnation: Incarnation,
    /// The counter of the first write.
    pub first: u32,
    /// When, by the author's clock; never altered by anybody.
    pub stamp: Stamp,
    /// The unit on whose behalf the author wrote.
    pub unit: UnitId,
    /// The person, node or adapter that wrote.
    pub by: String,
    writes: Vec<Write>,
}

/// One value put into one register.
#[derive(Clone, Debug)]
pub struct Write {
    /// Name of the register.
    pub register: Box<str>,
    /// The name of this write.
    pub dot: Dot,
    /// The value as authored; JSON `null` is the empty value.
    pub value: Box<RawValue>,
    /// The register's context as its author was shown it. Never contains the write's own dot.
    pub seen: Context,
}

/// What the author of a new edit decides; dots and bytes follow from it.
#[derive(Clone, Debug)]
pub struct EditDraft {
    /// The current opening of the store.
    pub incarnation: Incarnation,
    /// The counter of the first write: one more than the greatest this opening used in the record.
    pub first: u32,
    /// See [`Stamp::next`].
    pub stamp: Stamp,
    /// The owning unit.
    pub unit: UnitId,
    /// The person, node or adapter.
    pub by: String,
    /// Values and what had been seen, by register.
    pub writes: BTreeMap<String, (serde_json::Value, Context)>,
}

/// Why bytes are not an edit.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The bytes are not JSON of the edit's shape.
    #[error("not a readable edit: {0}")]
    Shape(#[from] serde_json::Error),
    /// An edit writes between one register and [`MAX_WRITES_PER_EDIT`].
    #[error("an edit with {0} writes; between 1 and {MAX_WRITES_PER_EDIT} are allowed")]
    Writes(usize),
    /// Counters start at 1 and fit 32 bits.
    #[error("counter {0} is out of range")]
    Counter(u64),
    /// The name of a register is empty or too long.
    #[error("register name of {0} bytes; 1 to {MAX_REGISTER_NAME} are allowed")]
    Name(usize),
    /// A write claims to have seen itself.
    #[error("the write to {0:?} claims to have seen itself")]
    SeesItself(String),
}

#[derive(Deserialize)]
struct WireEdit<'a> {
    i: Incarnation,
    n: u64,
    t: Stamp,
    u: UnitId,
    by: String,
    #[serde(borrow)]
    w: BTreeMap<std::borrow::Cow<'a, str>, WireWrite>,
}

#[derive(Deserialize)]
struct WireWrite {
    v: Box<RawValue>,
    #[serde(default)]
    s: Context,
}

#[derive(Serialize)]
struct WireDraft<'a> {
    i: Incarnation,
    n: u32,
    t: Stamp,
    u: UnitId,
    by: &'a str,
    w: BTreeMap<&'a str, WireDraftWrite<'a>>,
}

#[derive(Serialize)]
struct WireDraftWrite<'a> {
    v: &'a serde_json::Value,
    #[serde(skip_serializing_if = "Context::is_empty")]
    s: &'a Context,
}

impl Edit {
    /// Reads an edit, keeping its bytes.
    pub fn parse(raw: &str) -> Result<Edit, EditError> {
        let wire: WireEdit<'_> = serde_json::from_str(raw)?;
        let count = wire.w.len();
        if count == 0 || count > MAX_WRITES_PER_EDIT {
            return Err(EditError::Writes(count));
        }
        let first = u32::try_from(wire.n)
            .ok()
            .filter(|n| *n > 0 && n.checked_add(count as u32).is_some());
        let first = first.ok_or(EditError::Counter(wire.n))?;
        let mut writes = Vec::with_capacity(count);
        for (index, (register, write)) in wire.w.into_iter().enumerate() {
            if register.is_empty() || register.len() > MAX_REGISTER_NAME {
                return Err(EditError::Name(register.len()));
            }
            let dot = Dot {
                incarnation: wire.i,
                counter: first + index as u32,
            };
            if write.s.contains(dot) {
                return Err(EditError::SeesItself(register.into_owned()));
            }
            writes.push(Write {
                register: register.into(),
                dot,
                value: write.v,
                seen: write.s,
            });
        }
        Ok(Edit {
            hash: hash_of(raw),
            raw: raw.into(),
            incarnation: wire.i,
            first,
            stamp: wire.t,
            unit: wire.u,
            by: wire.by,
            writes,
        })
    }

    /// Writes a new edit of a record down, with a seal where its author has one.
    pub fn author(
        draft: &EditDraft,
        seal: Option<(SealKey, Key, &Facts)>,
    ) -> Result<Edit, EditError> {
        let wire = WireDraft {
            i: draft.incarnation,
            n: draft.first,
            t: draft.stamp,
            u: draft.unit,
            by: &draft.by,
            w: draft
                .writes
                .iter()
                .map(|(register, (value, seen))| {
                    (register.as_str(), WireDraftWrite { v: value, s: seen })
                })
                .collect(),
        };
        let unsealed = serde_json::to_string(&wire)?;
        match seal {
            Some((seal, key, facts)) => Edit::parse(&seal.seal(key, facts, &unsealed)),
            None => Edit::parse(&unsealed),
        }
    }

    /// The bytes as authored.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Whether a seal stands at the end; whose, and whether it is a true one, is another matter.
    pub fn is_sealed(&self) -> bool {
        super::seal::is_there(&self.raw)
    }

    /// First half of the SHA-256 of the bytes: tells two different edits under one dot apart.
    pub fn hash(&self) -> &[u8; 16] {
        &self.hash
    }

    /// The writes, in the order of the register names.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The canonical order of edits in a record.
    pub(super) fn order(&self) -> (Incarnation, u32, [u8; 16]) {
        (self.incarnation, self.first, self.hash)
    }
}

impl Write {
    /// The value as a JSON tree.
    pub fn json(&self) -> serde_json::Value {
        // A `RawValue` was parsed once already; only a nesting deeper than serde_json's own limit could fail.
        serde_json::from_str(self.value.get()).unwrap_or(serde_json::Value::Null)
    }

    /// Whether people would call the two values the same: the order of an object's keys does not matter to them.
    pub fn same_value(&self, other: &Write) -> bool {
        let parse = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
        self.value.get() == other.value.get()
            || parse(&self.value).is_some_and(|value| Some(value) == parse(&other.value))
    }

    /// Whether this is the empty value.
    pub fn is_empty(&self) -> bool {
        self.value.get() == "null"
    }
}

fn hash_of(raw: &str) -> [u8; 16] {
    let full = Sha256::digest(raw.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&full[..16]);
    half
}
