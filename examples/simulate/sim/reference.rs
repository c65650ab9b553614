//! Records and their merge written once more, straight from the wire format and the words of the design. Shares no code
//! with the core, so that it can judge it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// One write of an edit.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Register.
    pub register: String,
    /// Opening and counter.
    pub dot: (String, u64),
    /// Value.
    pub value: Value,
    /// Greatest counter seen, by opening.
    pub seen: BTreeMap<String, u64>,
    /// Stamp of its edit.
    pub stamp: String,
}

impl Write {
    fn has_seen(&self, dot: &(String, u64)) -> bool {
        self.seen
            .get(&dot.0)
            .is_some_and(|greatest| dot.1 <= *greatest)
    }

    fn replaces(&self, other: &Write) -> bool {
        self.register == other.register
            && self.dot != other.dot
            && self.has_seen(&other.dot)
            && !other.has_seen(&self.dot)
    }
}

/// Reads the writes of an edit as it is on the wire.
pub fn writes_of(raw: &str) -> Vec<Write> {
    let edit: Value = serde_json::from_str(raw).expect("an edit is JSON");
    let opening = edit["i"].as_str().expect("an opening").to_owned();
    let first = edit["n"].as_u64().expect("a counter");
    let stamp = edit["t"].as_str().expect("a stamp").to_owned();
    let writes: BTreeMap<String, Value> =
        serde_json::from_value(edit["w"].clone()).expect("writes by register");
    let numbered = writes.into_iter().zip(first..);
    numbered
        .map(|((register, write), counter)| Write {
            register,
            dot: (opening.clone(), counter),
            value: write["v"].clone(),
            seen: serde_json::from_value(write["s"].clone()).unwrap_or_default(),
            stamp: stamp.clone(),
        })
        .collect()
}

/// The writes that none of the others has replaced.
pub fn present<'a>(edits: impl IntoIterator<Item = &'a str>) -> Vec<Write> {
    let all: Vec<Write> = edits.into_iter().flat_map(writes_of).collect();
    let standing = all
        .iter()
        .filter(|write| !all.iter().any(|other| other.replaces(write)));
    let mut standing: Vec<Write> = standing.cloned().collect();
    standing.sort_by(|a, b| (&a.register, &a.dot).cmp(&(&b.register, &b.dot)));
    standing.dedup_by(|a, b| a.register == b.register && a.dot == b.dot && a.value == b.value);
    standing
}

/// Names of the writes, for comparing two copies.
pub fn dots(writes: &[Write]) -> BTreeSet<(String, String, u64)> {
    let name = |write: &Write| (write.register.clone(), write.dot.0.clone(), write.dot.1);
    writes.iter().map(name).collect()
}

/// The value people are shown: of the present ones the latest stamp, then the smallest dot.
pub fn shown(writes: &[Write], register: &str) -> Value {
    let mut found: Vec<&Write> = writes.iter().filter(|w| w.register == register).collect();
    // Openings are compared as the bytes they stand for, and base64url text does not sort like them; equal stamps do not
    // occur on the virtual clock.
    found.sort_by(|a, b| b.stamp.cmp(&a.stamp).then(a.dot.1.cmp(&b.dot.1)));
    found
        .first()
        .map(|write| write.value.clone())
        .unwrap_or_default()
}

/// Whether any of these edits has seen the dot of the write in its register, or is it.
pub fn accounts_for<'a>(edits: impl IntoIterator<Item = &'a str>, write: &Write) -> bool {
    edits.into_iter().flat_map(writes_of).any(|held| {
        held.register == write.register && (held.dot == write.dot || held.has_seen(&write.dot))
    })
}

/// The units that write a record or need it, from its facts and present values; `None`: everybody.
pub fn ends(kind: &str, facts: &Value, present: &[Write], root: &str) -> Option<BTreeSet<String>> {
    let named = |names: &[&str]| -> BTreeSet<String> {
        let units = names.iter().filter_map(|name| facts[*name].as_str());
        units.map(str::to_owned).collect()
    };
    Some(match kind {
        "unit" => return None,
        "task" => {
            let mut units = named(&["issuer"]);
            for write in present
                .iter()
                .filter(|w| w.register == "lead" || w.register == "coordinating")
            {
                let list = write.value["units"].as_array().cloned().unwrap_or_default();
                units.extend(
                    list.iter()
                        .filter_map(|unit| unit.as_str().map(str::to_owned)),
                );
            }
            units
        }
        "report" | "arrival" => named(&["unit", "issuer"]),
        "evidence" | "verdict" => named(&["unit", "issuer", "reviewer"]),
        "proposal" => named(&["proposer", "owner"]),
        "decision" => named(&["decider", "proposer"]),
        "rollup" => {
            let mut units = named(&["issuer"]);
            units.insert(root.to_owned());
            units
        }
        other => panic!("the simulator makes no {other}"),
    })
}
