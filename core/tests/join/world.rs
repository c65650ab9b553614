//! A few places that keep copies of one record: they write from fresh and from stale forms, exchange states,
//! restart, and are restored from backups. Beside each copy the reference is kept, by the same steps.

use std::collections::{BTreeMap, BTreeSet};

use nqsync_core::model::{Facts, Key, Kind, UnitId};
use nqsync_core::sync::{Author, Incarnation, LIFE, Record, Token};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::reference::{RefDot, RefToken, Reference, Sibling};

/// Registers that the steps write; few, so that collisions happen.
pub const REGISTERS: [&str; 3] = ["note", "progress", "result"];
/// Places of one record.
pub const PLACES: usize = 3;
/// The owner of the record.
pub const OWNER: UnitId = UnitId(Uuid::from_u128(7));
/// Clocks: right, a dead battery, the same again, and decades ahead.
const CLOCKS: [i64; 4] = [1_763_000_000_000, 0, 1_763_000_000_000, 3_400_000_000_000];

/// What happens at one place.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody saves values, from a form (`stale`: the one opened earlier).
    Write {
        at: usize,
        registers: u8,
        value: u8,
        clock: usize,
        stale: bool,
    },
    /// Somebody deletes the record, from a form.
    Delete { at: usize, stale: bool },
    /// Somebody opens a form and leaves it open.
    Open { at: usize },
    /// The state of another place arrives.
    Merge { at: usize, from: usize },
    /// The store is closed and opened again.
    Restart { at: usize },
    /// A backup is taken.
    Backup { at: usize },
    /// The backup is put back; that is an opening too.
    Restore { at: usize },
}

/// One copy of the record.
#[derive(Clone)]
pub struct Place {
    pub record: Record,
    pub reference: Reference,
    pub incarnation: u8,
    issued: u32,
    form: (Token, RefToken),
    backup: (Record, Reference),
}

/// All copies, and everything ever written.
pub struct World {
    pub places: Vec<Place>,
    openings: u8,
}

/// Any step; writes and merges are the frequent ones.
pub fn any_step() -> impl Strategy<Value = Step> {
    let at = 0..PLACES;
    prop_oneof![
        6 => (at.clone(), 1u8..8, 0u8..4, 0..CLOCKS.len(), any::<bool>()).prop_map(
            |(at, registers, value, clock, stale)| Step::Write { at, registers, value, clock, stale }
        ),
        1 => (at.clone(), any::<bool>()).prop_map(|(at, stale)| Step::Delete { at, stale }),
        2 => at.clone().prop_map(|at| Step::Open { at }),
        4 => (at.clone(), at.clone()).prop_map(|(at, from)| Step::Merge { at, from }),
        1 => at.clone().prop_map(|at| Step::Restart { at }),
        1 => at.clone().prop_map(|at| Step::Backup { at }),
        1 => at.prop_map(|at| Step::Restore { at }),
    ]
}

/// A history of up to `most` steps.
pub fn history(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 0..most)
}

/// The record before its first write.
pub fn blank() -> Record {
    let facts = Facts::Task {
        issuer: OWNER,
        parent: None,
    };
    let key = Key {
        kind: Kind::Task,
        id: Uuid::from_u128(1),
    };
    Record::begin(facts, key)
}

/// The incarnation with that small number.
pub fn incarnation(number: u8) -> Incarnation {
    Incarnation([number; 16])
}

/// Who writes in that opening.
pub fn author(number: u8) -> Author<'static> {
    Author {
        incarnation: incarnation(number),
        unit: OWNER,
        name: "an officer",
        seal: None,
    }
}

/// Values for a write.
pub fn values<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The value with that small number; the first is the empty one.
fn value_of(number: u8) -> Value {
    match number {
        0 => Value::Null,
        n => serde_json::json!({ "n": n }),
    }
}

impl World {
    /// Lives through a history.
    pub fn after(steps: &[Step]) -> World {
        let place = |incarnation| Place {
            record: blank(),
            reference: Reference::default(),
            incarnation,
            issued: 0,
            form: Default::default(),
            backup: (blank(), Reference::default()),
        };
        let mut world = World {
            places: (1..=PLACES as u8).map(place).collect(),
            openings: PLACES as u8,
        };
        steps.iter().for_each(|step| world.step(step));
        world
    }

    /// One more step.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Write {
                at,
                registers,
                value,
                clock,
                stale,
            } => {
                let chosen = (0..REGISTERS.len()).filter(|i| registers & (1 << i) != 0);
                let values = chosen.map(|i| (REGISTERS[i].to_owned(), value_of(value)));
                self.places[at].write(values.collect(), CLOCKS[clock], stale);
            }
            Step::Delete { at, stale } => {
                let values = self.places[at].record.deletion("entered twice");
                self.places[at].write(values, CLOCKS[0], stale);
            }
            Step::Open { at } => {
                let place = &mut self.places[at];
                place.form = (place.record.token(), place.reference.token());
            }
            Step::Merge { at, from } => {
                let (record, reference) = {
                    let from = &self.places[from];
                    (from.record.clone(), from.reference.clone())
                };
                let to = &mut self.places[at];
                to.record.join(&record).expect("the same record");
                to.reference.join(&reference);
            }
            Step::Restart { at } => self.reopen(at),
            Step::Backup { at } => {
                let place = &mut self.places[at];
                place.backup = (place.record.clone(), place.reference.clone());
            }
            Step::Restore { at } => {
                let place = &mut self.places[at];
                (place.record, place.reference) = place.backup.clone();
                self.reopen(at);
            }
        }
    }

    /// A number for an opening that nobody has used.
    pub fn reopen(&mut self, at: usize) {
        self.openings += 1;
        self.places[at].incarnation = self.openings;
        self.places[at].issued = 0;
    }
}

impl Place {
    fn write(&mut self, values: BTreeMap<String, Value>, now_ms: i64, stale: bool) {
        let fresh = self.reference.token();
        let shown = if stale { &self.form.1 } else { &fresh };
        let numbered = values.iter().zip(self.issued + 1..);
        let siblings: Vec<Sibling> = numbered
            .map(|((register, value), counter)| Sibling {
                register: register.clone(),
                dot: (self.incarnation, counter),
                value: value.to_string(),
                seen: shown.get(register).cloned().unwrap_or_default(),
            })
            .collect();
        self.issued += siblings.len() as u32;
        self.reference.write(siblings);
        let token = stale.then_some(&self.form.0);
        self.record
            .write(author(self.incarnation), now_ms, values, token)
            .expect("a small edit");
    }

    /// Whether the record's siblings are those of the reference, register by register.
    pub fn agrees(&self) -> Result<(), TestCaseError> {
        let names: BTreeSet<String> = self.record.registers().map(str::to_owned).collect();
        prop_assert_eq!(&names, &self.reference.registers());
        for name in REGISTERS.into_iter().chain([LIFE]) {
            prop_assert_eq!(present(&self.record, name), self.reference.present(name));
        }
        Ok(())
    }
}

/// Dots and values of the present siblings, by dot.
pub fn present(record: &Record, register: &str) -> Vec<(RefDot, String)> {
    let siblings = record.register(register).siblings;
    let mut found: Vec<(RefDot, String)> = siblings
        .iter()
        .map(|w| {
            (
                (w.dot.incarnation.0[0], w.dot.counter),
                w.json().to_string(),
            )
        })
        .collect();
    found.sort();
    found
}

/// Everything that is stored and sent of a record.
pub fn bytes(record: &Record) -> (String, Vec<String>, String) {
    let edits = record.edits().iter().map(|e| e.raw().to_owned()).collect();
    (
        record.facts_raw().to_owned(),
        edits,
        record.digest().to_string(),
    )
}

/// The join, as a new record.
pub fn joined(a: &Record, b: &Record) -> Record {
    let mut joined = a.clone();
    joined.join(b).expect("the same record");
    joined
}
