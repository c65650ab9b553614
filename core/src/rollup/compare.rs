//! Which numbers moved between two states of the same figures: what a restatement says of each of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::count::GroupRollup;
use super::indicator::IndicatorTotal;
use crate::model::UnitId;

/// One number, as it was and as it is. A missing side is null: the number was not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Its name, such as `tasks.by_status.completed_on_time`.
    pub number: String,
    /// The unit whose part it is, where it is not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// As it was.
    pub old: Value,
    /// As it is.
    pub new: Value,
}

/// The numbers of a group that moved, by name and unit. Equal rollups, and no others, have none.
pub fn compare(old: &GroupRollup, new: &GroupRollup) -> Vec<Moved> {
    differences(&numbers(old), &numbers(new))
}

/// The same for the total of an indicator.
pub fn compare_totals(old: &IndicatorTotal, new: &IndicatorTotal) -> Vec<Moved> {
    let of = |total: &IndicatorTotal| {
        let mut numbers = Numbers::new();
        // Remarks are words about values, not numbers.
        let mut value = serde_json::to_value(total).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("remarks");
        }
        flatten("", None, &value, &mut numbers);
        numbers
    };
    differences(&of(old), &of(new))
}

type Numbers = BTreeMap<(String, Option<UnitId>), Value>;

fn numbers(rollup: &GroupRollup) -> Numbers {
    let mut numbers = Numbers::new();
    let mut value = serde_json::to_value(rollup).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("units");
    }
    flatten("", None, &value, &mut numbers);
    for (unit, part) in &rollup.units {
        let part = serde_json::to_value(part).unwrap_or_default();
        flatten("units", Some(*unit), &part, &mut numbers);
    }
    numbers
}

fn flatten(name: &str, unit: Option<UnitId>, value: &Value, into: &mut Numbers) {
    let Value::Object(fields) = value else {
        into.insert((name.to_owned(), unit), value.clone());
        return;
    };
    for (field, value) in fields {
        let name = match name {
            "" => field.clone(),
            _ => format!("{name}.{field}"),
        };
        flatten(&name, unit, value, into);
    }
}

fn differences(old: &Numbers, new: &Numbers) -> Vec<Moved> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut moved = Vec::new();
    for key in names {
        let [before, after] = [old, new].map(|side| side.get(key).cloned().unwrap_or_default());
        if before != after {
            moved.push(Moved {
                number: key.0.clone(),
                unit: key.1,
                old: before,
                new: after,
            });
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::count::{Counts, UnitCoverage};
    use super::*;

    fn counts() -> impl Strategy<Value = Counts> {
        let states = prop::sample::select(vec!["completed_on_time", "in_progress", "not_reported"]);
        (prop::collection::btree_map(states, 0u32..4, 0..3), 0u32..3).prop_map(|(states, late)| {
            Counts {
                total: states.values().sum(),
                by_status: states
                    .into_iter()
                    .map(|(name, n)| (name.to_owned(), n))
                    .collect(),
                on_time: 0,
                late,
            }
        })
    }

    fn rollup() -> impl Strategy<Value = GroupRollup> {
        let part = (0u32..3, 0u32..3, prop::option::of(0i64..3)).prop_map(
            |(received, expected, as_of)| UnitCoverage {
                received,
                expected,
                as_of,
            },
        );
        let units = prop::collection::btree_map((1u128..4).prop_map(Uuid::from_u128), part, 0..4);
        (counts(), counts(), units, 0u32..2).prop_map(|(tasks, assignments, units, pending)| {
            let mut rollup = GroupRollup::empty(jiff::civil::date(2026, 3, 31));
            rollup.tasks = tasks;
            rollup.assignments = assignments;
            rollup.evidence_pending = pending;
            rollup.units = units.into_iter().map(|(id, p)| (UnitId(id), p)).collect();
            rollup.settle();
            rollup
        })
    }

    /// Puts the one side of every number that moved into the other state: nothing may be left of the difference.
    fn replaced(rollup: &GroupRollup, moved: &[Moved], side: fn(&Moved) -> &Value) -> GroupRollup {
        let mut value = serde_json::to_value(rollup).unwrap();
        for one in moved {
            let mut path: Vec<String> = one.number.split('.').map(str::to_owned).collect();
            if let Some(unit) = one.unit {
                path.insert(1, unit.to_string());
            }
            let last = path.pop().unwrap();
            let at = path.iter().fold(&mut value, |at, part| {
                if !at[part].is_object() {
                    at[part] = serde_json::json!({});
                }
                &mut at[part]
            });
            match side(one) {
                Value::Null => drop(at.as_object_mut().unwrap().remove(&last)),
                new => at[&last] = new.clone(),
            }
        }
        let units = value["units"].as_object_mut().unwrap();
        units.retain(|_, part| part.as_object().is_some_and(|part| !part.is_empty()));
        GroupRollup::parse(&value).unwrap()
    }

    proptest! {
        #[test]
        fn what_moved_is_the_whole_difference_in_both_directions(old in rollup(), new in rollup()) {
            let moved = compare(&old, &new);
            prop_assert_eq!(moved.is_empty(), old == new);
            prop_assert_eq!(&replaced(&old, &moved, |m| &m.new), &new);
            prop_assert_eq!(&replaced(&new, &moved, |m| &m.old), &old);
            let back = compare(&new, &old);
            prop_assert_eq!(back.len(), moved.len());
            for (there, back) in moved.iter().zip(&back) {
                prop_assert_eq!((&there.old, &there.new), (&back.new, &back.old));
                prop_assert_ne!(&there.old, &there.new);
            }
        }
    }

    #[test]
    fn the_total_of_an_indicator_names_what_moved_and_no_remarks() {
        let old = IndicatorTotal {
            value: Some("10".to_owned()),
            units_reported: 1,
            ..Default::default()
        };
        let new = IndicatorTotal {
            value: Some("12".to_owned()),
            remarks: vec![crate::rollup::Remark {
                unit: UnitId(Uuid::nil()),
                period: "2026-03".to_owned(),
                kind: crate::rollup::RemarkKind::Incomplete,
            }],
            ..old.clone()
        };
        let moved = compare_totals(&old, &new);
        assert_eq!(moved.len(), 1, "{moved:?}");
        assert_eq!(
            (moved[0].number.as_str(), &moved[0].old, &moved[0].new),
            ("value", &Value::from("10"), &Value::from("12"))
        );
    }
}
