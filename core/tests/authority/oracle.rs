//! A second judge, written apart from the one in force and from its tables: units are paths, and who stands below whom is a
//! matter of how a path begins. Both judge random records over random links, and must say the same of each.

use nqsync_core::model::values::OrgLevel;
use nqsync_core::model::{Facts, NodeId, Tree, UnitId, UnitInfo};
use nqsync_core::sync::authority::From;
use nqsync_core::sync::scope::LinkScope;
use nqsync_core::sync::{Author, Incarnation, Record};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{any_facts_of, judge};

/// A unit: its path by who serves it, each digit a unit of its line, and the node that serves it, if one of its own.
struct Place {
    path: &'static str,
    node: Option<u8>,
    /// Nodes that served it before.
    formerly: &'static [u8],
    /// The unit that continues it; it stands below that one.
    heir: Option<u8>,
}

const fn place(path: &'static str, node: u8) -> Place {
    Place {
        path,
        node: Some(node),
        formerly: &[],
        heir: None,
    }
}

/// A ministry, two provinces, communes below both, a department, a commune that got another node, one that another commune
/// continues, and an office of the ministry without a node.
const PLACES: [Place; 9] = [
    place("1", 1),
    place("12", 2),
    place("13", 3),
    place("124", 4),
    Place {
        formerly: &[4],
        ..place("125", 5)
    },
    Place {
        node: None,
        ..place("1246", 0)
    },
    place("137", 7),
    Place {
        node: None,
        formerly: &[8],
        heir: Some(4),
        ..place("1248", 0)
    },
    Place {
        node: None,
        ..place("19", 0)
    },
];

fn number(place: &Place) -> u8 {
    place.path.bytes().last().expect("a digit") - b'0'
}

fn of(unit: UnitId) -> &'static Place {
    let number = u8::try_from(unit.0.as_u128()).expect("a small number");
    let found = PLACES.iter().find(|place| self::number(place) == number);
    found.expect("one of the units")
}

fn id(number: u8) -> UnitId {
    UnitId(Uuid::from_u128(number.into()))
}

fn node(number: u8) -> NodeId {
    NodeId(Uuid::from_u128(0x100 + u128::from(number)))
}

fn tree() -> Tree {
    Tree::new(PLACES.iter().map(|place| {
        let above = place.path.as_bytes()[..place.path.len() - 1].last();
        let above = above.map(|digit| id(digit - b'0'));
        UnitInfo {
            id: id(number(place)),
            owner: above.unwrap_or(id(number(place))),
            code: format!("U{}", place.path),
            name: format!("unit {}", place.path),
            level: match (place.path.len(), place.node, place.heir) {
                (_, None, None) => OrgLevel::Department,
                (1, ..) => OrgLevel::Ministry,
                (2, ..) => OrgLevel::Province,
                _ => OrgLevel::Commune,
            },
            // Whoever is continued was beside its heir; the tree moves it below.
            parent: match place.heir {
                Some(_) => Some(id(2)),
                None => above,
            },
            served_by: place.node.map(node),
            aliases: Vec::new(),
            served_before: place.formerly.iter().map(|n| node(*n)).collect(),
            succession: None,
            heir: place.heir.map(id),
            places: Vec::new(),
            placed: None,
            undone: None,
        }
    }))
}

/// Whether a unit stands at or below a place that the node serves.
fn is_below(child: u8, unit: UnitId) -> bool {
    PLACES
        .iter()
        .any(|place| place.node == Some(child) && of(unit).path.starts_with(place.path))
}

/// Whether it stood there, and stands there no more: at the node itself, or at one that is below it now.
fn was_below(child: u8, unit: UnitId) -> bool {
    let below = PLACES
        .iter()
        .filter(|place| place.node.is_some() && is_below(child, id(number(place))));
    let nodes: Vec<u8> = below
        .filter_map(|place| place.node)
        .chain([child])
        .collect();
    let stood = PLACES.iter().any(|place| {
        let here = place.formerly.iter().any(|former| nodes.contains(former));
        here && of(unit).path.starts_with(place.path)
    });
    stood && !is_below(child, unit)
}

/// Who holds the pen of a unit today.
fn pen(unit: UnitId) -> UnitId {
    of(unit).heir.map_or(unit, id)
}

fn server(unit: UnitId) -> u8 {
    let line = PLACES.iter().filter(|p| of(unit).path.starts_with(p.path));
    let nearest = line
        .filter(|p| p.node.is_some())
        .max_by_key(|p| p.path.len());
    nearest
        .and_then(|p| p.node)
        .expect("the ministry serves all")
}

/// Whether a unit stands at or below another, or, if that one is an office, at or below the unit that it belongs to.
fn is_led_by(leader: UnitId, unit: UnitId) -> bool {
    let leader = of(leader);
    let office = leader.node.is_none() && leader.heir.is_none();
    let end = leader.path.len() - usize::from(office);
    of(unit).path.starts_with(&leader.path[..end])
}

fn above(unit: UnitId) -> Option<UnitId> {
    let path = of(pen(unit)).path;
    let digit = path.as_bytes()[..path.len() - 1].last()?;
    Some(id(digit - b'0'))
}

/// What arrives: who owns it by its facts, whom it concerns, who wrote into it, and where it puts a unit.
struct Arriving {
    owner: Option<UnitId>,
    submitter: Option<UnitId>,
    /// The unit whose own record it is.
    about: Option<UnitId>,
    /// `None`: everybody.
    concerns: Option<Vec<UnitId>>,
    authors: Vec<UnitId>,
    puts_under: Vec<UnitId>,
    /// Who reviews whose work, where that is not for its issuer.
    reviews: Option<(UnitId, UnitId)>,
    /// Who gives work, and to whom.
    issuer: Option<UnitId>,
    given: Vec<UnitId>,
}

fn is_right(arriving: &Arriving, from: From, child: u8, new: bool) -> bool {
    let writes_for = arriving.owner.map(|owner| {
        let above = arriving.about.and_then(above);
        [owner, pen(owner), pen(above.unwrap_or(owner))]
    });
    let may_write = |author: UnitId| match (writes_for, arriving.submitter) {
        (Some(pens), _) => {
            // Who stood above a unit once, the parent knows, a child of its own branch, and the record by its places.
            let stood = from == From::Above
                || is_below(child, author)
                || arriving.puts_under.contains(&author);
            pens.contains(&author) || (arriving.about.is_some() && stood)
        }
        (None, Some(submitter)) => {
            of(submitter).path.starts_with(of(author).path) && server(author) != server(submitter)
        }
        (None, None) => false,
    };
    if !arriving.authors.iter().all(|author| may_write(*author)) {
        return false;
    }
    if !new {
        return true;
    }
    let upwards = from == From::Below;
    let some_and_not_all = |inside: &dyn Fn(UnitId) -> bool, units: &[UnitId]| {
        let count = units.iter().filter(|unit| inside(**unit)).count();
        count != 0 && count != units.len()
    };
    let is_late = match (&arriving.concerns, arriving.owner) {
        (Some(units), Some(owner)) if upwards && was_below(child, owner) => {
            some_and_not_all(&|unit| was_below(child, unit), units)
        }
        _ => false,
    };
    let passes = match &arriving.concerns {
        None => true,
        Some(units) => some_and_not_all(&|unit| is_below(child, unit), units),
    };
    if !passes && !is_late {
        return false;
    }
    if !upwards {
        return true;
    }
    let is_theirs = match (writes_for, arriving.submitter) {
        (Some([owner, _, writer]), _) => {
            is_late || is_below(child, owner) || is_below(child, writer)
        }
        (None, Some(submitter)) => {
            is_below(child, submitter) && arriving.authors.iter().all(|a| is_below(child, *a))
        }
        (None, None) => false,
    };
    let is_placed = arriving
        .puts_under
        .iter()
        .all(|place| is_below(child, *place));
    let is_placed = is_placed && !arriving.puts_under.is_empty();
    // Nobody reviews a unit but those on the way up from it; the topmost reviews itself.
    let may_review = |(reviewer, unit): (UnitId, UnitId)| {
        let (above, below) = (of(reviewer).path, of(unit).path);
        below.starts_with(above) && (above != below || above == "1")
    };
    let may_direct = |leader: UnitId| arriving.given.iter().all(|unit| is_led_by(leader, *unit));
    is_theirs
        && arriving.issuer.is_none_or(may_direct)
        && arriving.reviews.is_none_or(may_review)
        && (arriving.concerns.is_some() || is_placed)
}

fn any_unit() -> impl Strategy<Value = UnitId> + Clone {
    select(
        PLACES
            .iter()
            .map(|place| id(number(place)))
            .collect::<Vec<_>>(),
    )
}

type Edit = (UnitId, &'static str, UnitId);

/// The record, and what the second judge is told of it.
fn made(facts: Facts, about: UnitId, edits: &[Edit]) -> (Record, Arriving) {
    let key = facts.key(about.0);
    let mut record = Record::begin(facts, key);
    for (number, (author, register, named)) in edits.iter().enumerate() {
        let value = match *register {
            "parent" => json!([{ "unit": named }]),
            _ => json!({ "units": [named] }),
        };
        let by = Author {
            incarnation: Incarnation([number as u8; 16]),
            unit: *author,
            name: "an officer",
            seal: None,
        };
        let values = [((*register).to_owned(), value)].into();
        let written = record.write(by, 0, values, Some(&Default::default()));
        written.expect("a small edit");
    }
    let named = |registers: &[&str]| -> Vec<UnitId> {
        let fits = edits
            .iter()
            .filter(|(_, register, _)| registers.contains(register));
        fits.map(|(.., unit)| *unit).collect()
    };
    let given_to = |issuer: UnitId| {
        let mut units = named(&["lead"]);
        units.sort_unstable();
        units.dedup();
        units.push(issuer);
        Some(units)
    };
    let facts: Value = serde_json::from_str(record.facts_raw()).expect("facts");
    let unit_in = |name: &str| -> UnitId {
        let text = facts[name].as_str().expect("a unit");
        text.parse().expect("an id")
    };
    let concerns = match record.facts() {
        Facts::Unit { .. } => None,
        Facts::Task { issuer, .. } | Facts::Directive { issuer } => given_to(*issuer),
        Facts::Indicator { definer } => given_to(*definer),
        Facts::Rollup { issuer, .. } => Some(vec![*issuer, id(1)]),
        Facts::Report { .. } | Facts::Arrival { .. } => {
            Some(["unit", "issuer"].map(unit_in).to_vec())
        }
        Facts::Evidence { .. } | Facts::Verdict { .. } => {
            Some(["unit", "issuer", "reviewer"].map(unit_in).to_vec())
        }
        Facts::Proposal { .. } => Some(["proposer", "owner"].map(unit_in).to_vec()),
        Facts::Decision { .. } => Some(["decider", "proposer"].map(unit_in).to_vec()),
        Facts::Figure { .. } => Some(["unit", "definer"].map(unit_in).to_vec()),
        Facts::Period { .. } => Some(["unit", "reviewer"].map(unit_in).to_vec()),
    };
    let submitter = match record.facts() {
        Facts::Arrival { unit, .. } => Some(*unit),
        _ => None,
    };
    let reviews = match record.facts() {
        Facts::Period { .. } => Some((unit_in("reviewer"), unit_in("unit"))),
        Facts::Evidence { .. } | Facts::Verdict { .. } => {
            let reviewer = unit_in("reviewer");
            (reviewer != unit_in("issuer")).then(|| (reviewer, unit_in("unit")))
        }
        _ => None,
    };
    let issuer = match record.facts() {
        Facts::Task { issuer, .. } | Facts::Directive { issuer } => Some(*issuer),
        Facts::Indicator { definer } => Some(*definer),
        _ => None,
    };
    let is_unit = matches!(record.facts(), Facts::Unit { .. });
    let arriving = Arriving {
        issuer,
        given: named(&["lead"]),
        owner: record.facts().owner(),
        submitter,
        about: is_unit.then_some(about),
        concerns,
        authors: edits.iter().map(|(author, ..)| *author).collect(),
        puts_under: named(&["parent"]),
        reviews,
    };
    (record, arriving)
}

proptest! {
    #![proptest_config(Config { cases: 5_000, rng_seed: RngSeed::Fixed(20_261_128), ..Config::default() })]

    #[test]
    fn two_judges_who_do_not_know_each_other_say_the_same_of_every_record(
        facts in any_facts_of(any_unit()),
        about in any_unit(),
        // Half of the records are written by whom they belong to, or hardly any would be right.
        honest in prop::bool::ANY,
        edits in prop::collection::vec((any_unit(), select(vec!["lead", "parent", "note"]), any_unit()), 1..3),
        child in select(vec![2u8, 3, 4, 5, 7, 8]),
        from in select(vec![From::Below, From::Above]),
        new in prop::bool::weighted(0.9),
    ) {
        let mut edits = edits;
        if let Some(owner) = facts.owner().filter(|_| honest) {
            edits.iter_mut().for_each(|edit| edit.0 = owner);
        }
        let (record, arriving) = made(facts, about, &edits);
        let tree = tree();
        let scope = LinkScope::of_child(&tree, node(child));
        let judged = judge(&record, from, &scope, &tree, new);
        let expected = is_right(&arriving, from, child, new);
        prop_assert_eq!(judged.is_ok(), expected, "{:?} over the link of {}: {:?}", record.facts(), child, judged);
    }
}
