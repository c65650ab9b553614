//! Writing for an owner: the one way in which values enter records at this node.

use std::collections::BTreeMap;

use nqsync_core::model::{Facts, Key, Kind, UnitId};
use nqsync_core::sync::{Record, RecordError, Token};
use serde_json::Value;
use uuid::Uuid;

use super::{Refusal, recovery};
use crate::store::{Rec, Stored, Tx};

/// For whom, and by whom, a verb writes.
#[derive(Clone, Debug)]
pub struct Acting {
    /// The unit acted for.
    pub unit: UnitId,
    /// The person at the keyboard.
    pub person: String,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
}

/// A record after a write.
#[derive(Debug)]
pub struct Written {
    /// Its row.
    pub rec: Rec,
    /// Its present state.
    pub record: Record,
    /// Whether it is a new one.
    pub created: bool,
}

impl Acting {
    /// The unit acted for must be served here or below: a person may act for a unit from another place of the same
    /// branch, never for a stranger.
    pub fn check(&self, tx: &Tx<'_>) -> Result<(), Refusal> {
        let (tree, node) = (tx.tree(), tx.node()?);
        // For a unit that is gone its heir speaks.
        let ours = tree
            .line(self.unit)
            .any(|info| info.served_by == Some(node));
        if ours {
            Ok(())
        } else {
            Err(Refusal::usage(
                "not-our-unit",
                [("unit", tree.code(self.unit))],
            ))
        }
    }
}

/// Begins a record, or adds to the one its natural key already names.
pub fn create(
    tx: &mut Tx<'_>,
    acting: &Acting,
    facts: Facts,
    values: BTreeMap<String, Value>,
    token: Option<&Token>,
) -> Result<Written, Refusal> {
    // By the given clock, so that ids are ordered by birth and tests are repeatable in time.
    let drawn = tx.chance().id_at(acting.now_ms);
    create_as(tx, acting, facts, drawn, values, token)
}

/// The same under an id that was drawn before.
pub fn create_as(
    tx: &mut Tx<'_>,
    acting: &Acting,
    facts: Facts,
    drawn: Uuid,
    values: BTreeMap<String, Value>,
    token: Option<&Token>,
) -> Result<Written, Refusal> {
    let key = facts.key(drawn);
    match tx.load(key.id)? {
        Some(stored) => update(tx, acting, stored, values, token),
        None => begin(tx, acting, facts, key, values),
    }
}

fn begin(
    tx: &mut Tx<'_>,
    acting: &Acting,
    facts: Facts,
    key: Key,
    values: BTreeMap<String, Value>,
) -> Result<Written, Refusal> {
    let mut record = Record::begin_at(facts, key, tx.level());
    own(tx, acting, &record)?;
    let replaced = put(tx, acting, &mut record, values, None)?;
    let rec = tx.save(&record, None, &replaced, None, acting.now_ms)?;
    Ok(Written {
        rec,
        record,
        created: true,
    })
}

/// Writes values into a record that is held here. Without a token the author has seen the present state.
pub fn update(
    tx: &mut Tx<'_>,
    acting: &Acting,
    stored: Stored,
    values: BTreeMap<String, Value>,
    token: Option<&Token>,
) -> Result<Written, Refusal> {
    own(tx, acting, &stored.record)?;
    let mut record = stored.record.clone();
    let dropped = put(tx, acting, &mut record, values, token)?;
    let rec = tx.save(&record, Some(&stored), &dropped, None, acting.now_ms)?;
    Ok(Written {
        rec,
        record,
        created: false,
    })
}

fn put(
    tx: &mut Tx<'_>,
    acting: &Acting,
    record: &mut Record,
    values: BTreeMap<String, Value>,
    token: Option<&Token>,
) -> Result<Vec<nqsync_core::sync::Edit>, Refusal> {
    let author = tx.author(acting.unit, &acting.person, acting.now_ms)?;
    #[cfg(feature = "faults")]
    let token = token.filter(|_| !crate::faults::thrown(crate::faults::Canary::ForgetSeen));
    let replaced =
        record
            .write(author, acting.now_ms, values, token)
            .map_err(|error| match error {
                RecordError::OtherToken => Refusal::usage("other-token", []),
                error => Refusal::usage("unwritable", [("detail", error.to_string())]),
            })?;
    Ok(replaced.dropped)
}

/// Only the owner's writes enter a record; everybody else proposes.
fn own(tx: &Tx<'_>, acting: &Acting, record: &Record) -> Result<(), Refusal> {
    acting.check(tx)?;
    recovery::may_write(tx.connection())?;
    let (tree, facts) = (tx.tree(), record.facts());
    let allowed = match facts.owner() {
        Some(owner) => {
            let named = facts.kind() != Kind::Unit && owner == acting.unit;
            // A unit that nobody has placed yet is written by the one it is born under.
            named || tree.writer(record) == Some(acting.unit)
        }
        // An arrival is noted by any unit above the one that submitted.
        None => true,
    };
    if allowed {
        return Ok(());
    }
    let owner = tree
        .writer(record)
        .map(|unit| tree.code(unit))
        .unwrap_or_default();
    Err(Refusal::usage(
        "not-owner",
        [
            ("kind", facts.kind().to_string()),
            ("owner", owner),
            ("unit", tree.code(acting.unit)),
        ],
    ))
}
