//! Units that two people, each without hearing of the other, put below one another or let continue one another: once both
//! records are known, neither would stand anywhere.
//!
//! Every node that holds the same records undoes the same of it: what takes effect last, of one day that of the greater id.
//! The unit stays where it would be without it, and is marked, so that people see it and say what is to be.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::civil::Date;

use super::ids::UnitId;
use super::tree::UnitInfo;

/// Undoes what closes a loop, and marks the units whose place or heir it was.
pub(super) fn undo(units: &mut BTreeMap<UnitId, UnitInfo>) {
    if !any(units) {
        return;
    }
    let mut order: Vec<(Date, UnitId)> =
        units.values().map(|unit| (since(unit), unit.id)).collect();
    order.sort_unstable();
    let mut above: HashMap<UnitId, UnitId> = HashMap::new();
    for (_, id) in order {
        let Some(unit) = units.get_mut(&id) else {
            continue;
        };
        let Some(wanted) = stands_below(unit) else {
            continue;
        };
        if !reaches(&above, wanted, id) {
            above.insert(id, wanted);
            continue;
        }
        unit.undone = Some(wanted);
        if unit.heir.take().is_some() {
            // It goes on, and may be given another future.
            unit.succession = None;
        }
        // Where it stood; else where it was born, which no move changes; else nowhere.
        let places = [unit.parent, Some(unit.owner)].into_iter().flatten();
        let mut free = places.filter(|place| *place != id && !reaches(&above, *place, id));
        unit.parent = free.next();
        above.extend(unit.parent.map(|place| (id, place)));
    }
}

/// Below whom a unit stands: whoever continues it, else the unit above.
fn stands_below(unit: &UnitInfo) -> Option<UnitId> {
    unit.heir.or(unit.parent)
}

/// The day since which it stands there.
fn since(unit: &UnitInfo) -> Date {
    let day = match (&unit.heir, &unit.succession) {
        (Some(_), Some(planned)) => Some(planned.from),
        _ => unit.placed,
    };
    day.unwrap_or(Date::MIN)
}

/// Whether the way up from a unit leads past another.
fn reaches(above: &HashMap<UnitId, UnitId>, from: UnitId, to: UnitId) -> bool {
    std::iter::successors(Some(from), |unit| above.get(unit).copied()).any(|unit| unit == to)
}

/// Whether the way up from some unit never ends.
fn any(units: &BTreeMap<UnitId, UnitInfo>) -> bool {
    let mut ending: HashSet<UnitId> = HashSet::new();
    for unit in units.values() {
        let mut way = HashSet::new();
        let mut next = Some(unit);
        while let Some(unit) = next.filter(|unit| !ending.contains(&unit.id)) {
            if !way.insert(unit.id) {
                return true;
            }
            next = stands_below(unit).and_then(|above| units.get(&above));
        }
        ending.extend(way);
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};
    use uuid::Uuid;

    use super::*;
    use crate::model::values::{OrgLevel, Succession, SuccessionKind};

    const UNITS: u8 = 8;

    fn id(number: u8) -> UnitId {
        UnitId(Uuid::from_u128(number.into()))
    }

    /// Unit `number` below `place` since a day, and continued by `heir` from a day on.
    fn unit(number: u8, place: Option<(u8, i8)>, heir: Option<(u8, i8)>) -> UnitInfo {
        let day = |month: i8| Date::constant(2026, month, 1);
        UnitInfo {
            id: id(number),
            // Whoever is born under another has the greater number here.
            owner: id(number.saturating_sub(1)),
            code: format!("U{number}"),
            name: String::new(),
            level: OrgLevel::Department,
            parent: place.map(|(place, _)| id(place)),
            served_by: None,
            aliases: Vec::new(),
            served_before: Vec::new(),
            succession: heir.map(|(heir, month)| Succession {
                kind: SuccessionKind::Merge,
                from: day(month),
                successors: vec![id(heir)],
                heir: Some(id(heir)),
            }),
            heir: heir.map(|(heir, _)| id(heir)),
            places: Vec::new(),
            placed: place.map(|(_, month)| day(month)),
            undone: None,
        }
    }

    type Said = Option<(u8, i8)>;

    fn any_units() -> impl Strategy<Value = Vec<(Said, Said)>> {
        let said = || prop::option::weighted(0.6, (0..UNITS, 1i8..12));
        prop::collection::vec(
            (said(), prop::option::weighted(0.3, (0..UNITS, 1i8..12))),
            8,
        )
        .prop_map(move |units| units.into_iter().collect())
    }

    fn settled(units: &[(Said, Said)]) -> BTreeMap<UnitId, UnitInfo> {
        let number = |at: usize| u8::try_from(at).expect("a small number");
        let all = units.iter().enumerate();
        let mut all = all
            .map(|(at, (place, heir))| (id(number(at)), unit(number(at), *place, *heir)))
            .collect();
        undo(&mut all);
        all
    }

    proptest! {
        #![proptest_config(Config { cases: 2_000, rng_seed: RngSeed::Fixed(20_261_129), ..Config::default() })]

        #[test]
        fn no_unit_stands_below_itself_and_only_what_closed_a_loop_is_undone(units in any_units()) {
            let after = settled(&units);
            prop_assert!(!super::any(&after));
            let mut again = after.clone();
            undo(&mut again);
            let shape = |units: &BTreeMap<UnitId, UnitInfo>| -> Vec<_> {
                units.values().map(|unit| (unit.parent, unit.heir, unit.undone)).collect()
            };
            prop_assert_eq!(shape(&again), shape(&after), "done once, done for good");
            for (at, (place, heir)) in units.iter().enumerate() {
                let unit = &after[&id(u8::try_from(at).expect("a small number"))];
                let said = heir.or(*place).map(|(other, _)| id(other));
                match unit.undone {
                    Some(undone) => prop_assert_eq!(Some(undone), said),
                    None => prop_assert_eq!(stands_below(unit), said),
                }
            }
        }
    }

    #[test]
    fn of_two_that_continue_each_other_the_earlier_word_stands() {
        let after = settled(&[
            (None, None),
            (Some((0, 1)), Some((2, 7))),
            (Some((0, 1)), Some((1, 5))),
        ]);
        let (first, second) = (&after[&id(1)], &after[&id(2)]);
        assert_eq!((second.heir, second.undone), (Some(id(1)), None));
        assert_eq!((first.heir, first.parent), (None, Some(id(0))));
        assert_eq!(
            (first.undone, first.succession.is_none()),
            (Some(id(2)), true)
        );
    }

    #[test]
    fn of_two_put_below_each_other_the_later_goes_where_it_was_born() {
        let after = settled(&[(None, None), (Some((2, 3)), None), (Some((1, 3)), None)]);
        assert_eq!(after[&id(1)].parent, Some(id(2)));
        // It was born below the first, which stands below it: so it stands nowhere, and still has what is below it.
        assert_eq!(
            (after[&id(2)].parent, after[&id(2)].undone),
            (None, Some(id(1)))
        );
    }
}
