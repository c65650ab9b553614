//! Units that move, merge, split, or get another server: from a day on, and never by a new id.

use jiff::civil::Date;
use nqsync_core::model::values::{ParentSince, Succession, SuccessionKind};
use nqsync_core::model::{NodeId, Tree, UnitId};
use serde_json::json;

use super::units::{answer, check_level, load, save};
use super::views::typed;
use super::{Said, Values, Writing, resolve, shared};
use crate::node::Refusal;

/// The first day of a new state: as typed, else today.
fn day(on: &Writing<'_, '_>, from: Option<&str>) -> Result<Date, Refusal> {
    match from {
        None => Ok(on.node.today()),
        Some(text) => shared::day(text),
    }
}

fn pair(tree: &Tree, unit: UnitId, other: UnitId) -> [(&'static str, String); 2] {
    [("unit", tree.code(unit)), ("other", tree.code(other))]
}

/// A unit that is gone, or going, has no further future of its own.
fn goes_on(tree: &Tree, unit: UnitId) -> Result<(), Refusal> {
    match tree.get(unit).and_then(|info| info.succession.as_ref()) {
        Some(planned) => {
            let heir = planned.heir.unwrap_or(unit);
            Err(Refusal::usage("unit-succeeded", pair(tree, unit, heir)))
        }
        None => Ok(()),
    }
}

/// A unit goes to one of those below this node; where it leaves them, the node above both has to say so.
fn is_reached(on: &Writing<'_, '_>, tree: &Tree, unit: UnitId) -> Result<(), Refusal> {
    if tree.served_at_or_below(on.tx.node()?).contains(&unit) {
        return Ok(());
    }
    let args = [("unit", tree.code(unit))];
    Err(Refusal::usage("unit-beyond", args))
}

/// `unit move`.
pub fn change_place(
    on: &mut Writing<'_, '_>,
    unit: &str,
    to: &str,
    from: Option<&str>,
) -> Result<Said, Refusal> {
    let from = day(on, from)?;
    let (stored, id) = load(on, unit)?;
    let tree = on.tx.tree();
    let above = resolve(&tree, to, on.tx.unit()?)?;
    goes_on(&tree, id)?;
    goes_on(&tree, above)?;
    is_reached(on, &tree, above)?;
    if tree.is_within(above, id) {
        return Err(Refusal::usage("unit-in-itself", pair(&tree, id, above)));
    }
    if let (Some(info), Some(other)) = (tree.get(id), tree.get(above)) {
        check_level(info.level, other.level)?;
    }
    let mut places: Vec<ParentSince> = typed(&stored.record, "parent");
    // A move planned for a later day stands.
    places.retain(|place| place.from != Some(from));
    places.push(ParentSince {
        from: Some(from),
        unit: Some(above),
    });
    places.sort_by_key(|place| place.from);
    let mut values = Values::from([("parent".to_owned(), json!(places))]);
    if tree.get(id).is_some_and(|info| info.undone.is_some()) {
        // Whoever says where it stands decides against what could not be in force.
        values.insert("succession".to_owned(), json!(null));
    }
    let later = places.iter().find(|place| place.from > Some(from));
    let later = later.map(|place| {
        let to = place.unit.map(|unit| tree.code(unit));
        let day = place.from.map(|day| day.to_string());
        [
            ("unit", tree.code(id)),
            ("other", to.unwrap_or_default()),
            ("from", day.unwrap_or_default()),
        ]
    });
    let saved = save(on, stored, values)?;
    on.tx.settle_tree()?;
    let said = answer(on, &saved, 0)?;
    Ok(match later {
        Some(args) => said.note("note-unit-moves-later", args),
        None => said,
    })
}

/// `unit merge`: each of the units is continued by `into`, which inherits its records.
pub fn merge(
    on: &mut Writing<'_, '_>,
    units: &[String],
    into: &str,
    from: Option<&str>,
) -> Result<Said, Refusal> {
    let heir = resolve(&on.tx.tree(), into, on.tx.unit()?)?;
    let mut last = None;
    for unit in units {
        last = Some(succeed(
            on,
            unit,
            SuccessionKind::Merge,
            &[heir],
            heir,
            from,
        )?);
    }
    last.ok_or_else(|| Refusal::usage("nothing-given", []))
}

/// `unit split`: several continue the unit; one of them inherits its records.
pub fn split(
    on: &mut Writing<'_, '_>,
    unit: &str,
    into: &[String],
    heir: &str,
    from: Option<&str>,
) -> Result<Said, Refusal> {
    let (tree, home) = (on.tx.tree(), on.tx.unit()?);
    let successors = shared::units(&tree, into, home)?;
    let heir = resolve(&tree, heir, home)?;
    if !successors.contains(&heir) {
        return Err(Refusal::usage(
            "heir-no-successor",
            [("heir", tree.code(heir))],
        ));
    }
    succeed(on, unit, SuccessionKind::Split, &successors, heir, from)
}

fn succeed(
    on: &mut Writing<'_, '_>,
    unit: &str,
    kind: SuccessionKind,
    successors: &[UnitId],
    heir: UnitId,
    from: Option<&str>,
) -> Result<Said, Refusal> {
    let from = day(on, from)?;
    let (stored, id) = load(on, unit)?;
    let tree = on.tx.tree();
    goes_on(&tree, id)?;
    for successor in successors {
        let splits_off = kind == SuccessionKind::Split && *successor == id;
        if !splits_off {
            goes_on(&tree, *successor)?;
            is_reached(on, &tree, *successor)?;
        }
        let into_itself = kind == SuccessionKind::Merge && *successor == id;
        // What belongs to a unit goes where it goes; it cannot go into what belongs to it.
        if into_itself || (*successor != id && tree.is_within(*successor, id)) {
            return Err(Refusal::usage(
                "unit-in-itself",
                pair(&tree, id, *successor),
            ));
        }
    }
    let succession = Succession {
        kind,
        from,
        successors: successors.to_vec(),
        heir: Some(heir),
    };
    let values = Values::from([("succession".to_owned(), json!(succession))]);
    let saved = save(on, stored, values)?;
    on.tx.settle_tree()?;
    let args = [
        ("unit", tree.code(id)),
        ("heir", tree.code(heir)),
        ("from", from.to_string()),
    ];
    Ok(answer(on, &saved, 0)?.note("note-unit-succeeded", args))
}

/// `unit serve`: another node serves the unit; without one, the node of the unit above does.
pub fn serve(on: &mut Writing<'_, '_>, unit: &str, node: Option<&str>) -> Result<Said, Refusal> {
    let (stored, id) = load(on, unit)?;
    let tree = on.tx.tree();
    let next: Option<NodeId> = match node {
        None => None,
        Some(text) => Some(match text.parse() {
            Ok(node) => node,
            Err(_) => {
                let server = resolve(&tree, text, on.tx.unit()?)?;
                tree.server_of(server)
                    .ok_or_else(|| Refusal::usage("unit-unserved", [("unit", tree.code(server))]))?
            }
        }),
    };
    let mut before: Vec<NodeId> = typed(&stored.record, "served_before");
    before.extend(tree.get(id).and_then(|info| info.served_by));
    before.retain(|node| Some(*node) != next);
    before.sort_unstable();
    before.dedup();
    let values = Values::from([
        ("served_by".to_owned(), json!(next)),
        ("served_before".to_owned(), json!(before)),
    ]);
    let saved = save(on, stored, values)?;
    on.tx.settle_tree()?;
    answer(on, &saved, 0)
}
