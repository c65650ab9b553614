//! Only the owner's writes enter a record, whoever brings them and whatever they claim.

#[path = "authority/oracle.rs"]
mod oracle;

use jiff::civil::date;
use nqsync_core::model::values::OrgLevel;
use nqsync_core::model::{Facts, Kind, NodeId, PeriodStage, Tree, UnitId, UnitInfo};
use nqsync_core::sync::authority::{self, Denied, From, Judge};
use nqsync_core::sync::scope::{Ends, LinkScope, is_held_at};
use nqsync_core::sync::{Author, Incarnation, Record};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};
use uuid::Uuid;

#[path = "authority/reach.rs"]
mod reach;
#[path = "authority/verdicts.rs"]
mod verdicts;

const fn unit(number: u8) -> UnitId {
    UnitId(Uuid::from_u128(number as u128))
}

fn node(number: u8) -> NodeId {
    NodeId(Uuid::from_u128(0x100 + u128::from(number)))
}

/// The ministry; two provinces; two communes and a department in the first province, one commune in the second.
const MINISTRY: UnitId = unit(1);
const PROVINCE: UnitId = unit(2);
const OTHER_PROVINCE: UnitId = unit(3);
const COMMUNE: UnitId = unit(4);
const NEIGHBOUR: UnitId = unit(5);
const DEPARTMENT: UnitId = unit(6);
const FAR_COMMUNE: UnitId = unit(7);
/// Unit, the unit above, and whether a node serves it.
const UNITS: [(UnitId, UnitId, bool); 7] = [
    (MINISTRY, MINISTRY, true),
    (PROVINCE, MINISTRY, true),
    (OTHER_PROVINCE, MINISTRY, true),
    (COMMUNE, PROVINCE, true),
    (NEIGHBOUR, PROVINCE, true),
    (DEPARTMENT, COMMUNE, false),
    (FAR_COMMUNE, OTHER_PROVINCE, true),
];

fn tree() -> Tree {
    Tree::new(
        UNITS
            .into_iter()
            .zip(1u8..)
            .map(|((id, above, served), number)| UnitInfo {
                id,
                owner: above,
                code: format!("U{number}"),
                name: format!("unit {number}"),
                level: match number {
                    1 => OrgLevel::Ministry,
                    2 | 3 => OrgLevel::Province,
                    6 => OrgLevel::Department,
                    _ => OrgLevel::Commune,
                },
                parent: (above != id).then_some(above),
                served_by: served.then(|| node(number)),
                aliases: Vec::new(),
                served_before: Vec::new(),
                succession: None,
                heir: None,
                places: Vec::new(),
                placed: None,
                undone: None,
            }),
    )
}

/// The link between a unit's node and the node above it.
fn link(child: u8) -> LinkScope {
    LinkScope::of_child(&tree(), node(child))
}

/// The verdict on 1 November 2026 about a record of which nothing is held.
fn judge(
    record: &Record,
    from: From,
    scope: &LinkScope,
    tree: &Tree,
    new_to_us: bool,
) -> Result<(), Denied> {
    let by = Judge {
        from,
        scope,
        tree,
        today: date(2026, 11, 1),
        here: None,
    };
    authority::judge(by, record, None, new_to_us)
}

fn record(facts: Facts, edits: &[(UnitId, &str, Value)]) -> Record {
    let key = facts.key(Uuid::from_u128(99));
    let mut record = Record::begin(facts, key);
    for (unit, register, value) in edits {
        let by = Author {
            incarnation: Incarnation([9; 16]),
            unit: *unit,
            name: "an officer",
            seal: None,
        };
        let values = [((*register).to_owned(), value.clone())].into();
        // An empty token: the writes stand side by side, and none of them drops out of the record.
        record
            .write(by, 0, values, Some(&Default::default()))
            .expect("a small edit");
    }
    record
}

fn any_unit() -> impl Strategy<Value = UnitId> + Clone {
    select(UNITS.map(|(unit, ..)| unit).to_vec())
}

fn any_facts() -> impl Strategy<Value = Facts> {
    any_facts_of(any_unit())
}

fn any_facts_of(unit: impl Strategy<Value = UnitId> + Clone) -> impl Strategy<Value = Facts> {
    let kind = select(Kind::ALL.to_vec());
    (kind, unit.clone(), unit.clone(), unit).prop_map(|(kind, a, b, c)| {
        let (id, text) = (Uuid::from_u128(50), || "2026-03".to_owned());
        match kind {
            Kind::Unit => Facts::Unit { owner: a },
            Kind::Task => Facts::Task {
                issuer: a,
                parent: None,
            },
            Kind::Report => Facts::Report {
                unit: a,
                issuer: b,
                task: id,
                period: text(),
            },
            Kind::Evidence => Facts::Evidence {
                unit: a,
                issuer: b,
                task: id,
                period: text(),
                reviewer: c,
            },
            Kind::Verdict => Facts::Verdict {
                reviewer: a,
                unit: b,
                issuer: c,
                report: id,
                submission: text(),
            },
            Kind::Arrival => Facts::Arrival {
                unit: a,
                issuer: b,
                report: id,
                submission: text(),
            },
            Kind::Proposal => Facts::Proposal {
                proposer: a,
                owner: b,
                target_kind: Kind::Task,
                target: id,
                register: text(),
            },
            Kind::Decision => Facts::Decision {
                decider: a,
                proposer: b,
                proposal: id,
            },
            Kind::Indicator => Facts::Indicator { definer: a },
            Kind::Figure => Facts::Figure {
                unit: a,
                definer: b,
                indicator: id,
                period: text(),
            },
            Kind::Directive => Facts::Directive { issuer: a },
            Kind::Period => Facts::Period {
                unit: a,
                reviewer: b,
                period: text(),
                stage: if a < c {
                    PeriodStage::Submission
                } else {
                    PeriodStage::Review
                },
            },
            Kind::Rollup => Facts::Rollup {
                issuer: a,
                period: text(),
                group: String::new(),
            },
        }
    })
}

proptest! {
    #![proptest_config(Config { cases: 4_000, rng_seed: RngSeed::Fixed(20_261_122), ..Config::default() })]

    #[test]
    fn only_the_owners_writes_enter_a_record(
        facts in any_facts(),
        authors in prop::collection::vec((any_unit(), select(vec!["lead", "parent", "note"]), any_unit()), 1..4),
        child in 2u8..8,
        from in select(vec![From::Below, From::Above]),
        new_to_us: bool,
    ) {
        let tree = tree();
        let edits: Vec<(UnitId, &str, Value)> = authors
            .into_iter()
            .map(|(author, register, named)| match register {
                "parent" => (author, register, json!([{ "unit": named }])),
                _ => (author, register, json!({ "units": [named] })),
            })
            .collect();
        let record = record(facts, &edits);
        let scope = link(child);
        if judge(&record, from, &scope, &tree, new_to_us).is_ok() {
            for edit in record.edits() {
                match record.facts() {
                    Facts::Arrival { unit, .. } => prop_assert!(tree.is_within(*unit, edit.unit)),
                    // Whoever stood above a unit once has written into its record.
                    Facts::Unit { .. } => {}
                    facts => prop_assert_eq!(facts.owner(), Some(edit.unit)),
                }
                if from == From::Below && new_to_us {
                    prop_assert!(scope.is_below(edit.unit), "a child speaks for units it does not serve");
                }
            }
        }
    }

    #[test]
    fn nothing_crosses_a_link_that_does_not_concern_both_sides(facts in any_facts(), child in 2u8..8) {
        let Some(owner) = facts.owner() else { return Ok(()) };
        let everywhere = facts.kind() == Kind::Unit;
        let record = record(facts, &[(owner, "note", json!(1))]);
        let scope = link(child);
        for from in [From::Below, From::Above] {
            if !everywhere && judge(&record, from, &scope, &tree(), true).is_ok() {
                let raw: Value = serde_json::from_str(record.facts_raw()).expect("facts");
                let mut named: Vec<UnitId> = raw
                    .as_object()
                    .expect("an object")
                    .values()
                    .filter_map(|value| value.as_str()?.parse().ok())
                    .collect();
                if matches!(record.facts(), Facts::Rollup { .. }) {
                    named.push(MINISTRY);
                }
                prop_assert!(named.iter().any(|unit| scope.is_below(*unit)));
                prop_assert!(named.iter().any(|unit| !scope.is_below(*unit)));
            }
        }
    }
}

#[test]
fn a_communes_write_to_a_tasks_deadline_is_refused_and_its_proposal_is_not() {
    let facts = Facts::Task {
        issuer: PROVINCE,
        parent: None,
    };
    let lead = json!({ "units": [COMMUNE] });
    let task = record(
        facts,
        &[
            (PROVINCE, "lead", lead),
            (COMMUNE, "deadline", json!("later")),
        ],
    );
    let refused = judge(&task, From::Below, &link(4), &tree(), true);
    assert!(matches!(refused, Err(Denied::NotTheOwner { .. })));

    let facts = Facts::Proposal {
        proposer: COMMUNE,
        owner: PROVINCE,
        target_kind: Kind::Task,
        target: task.key().id,
        register: "deadline".to_owned(),
    };
    let proposal = record(facts, &[(COMMUNE, "wish", json!("later"))]);
    assert_eq!(
        judge(&proposal, From::Below, &link(4), &tree(), true),
        Ok(())
    );
    // It never comes down to another commune, and nobody else can make it.
    let elsewhere = judge(&proposal, From::Above, &link(5), &tree(), true);
    assert_eq!(elsewhere, Err(Denied::OutOfScope));
    assert!(judge(&proposal, From::Below, &link(5), &tree(), true).is_err());
}

#[test]
fn a_node_that_claims_to_be_the_owner_is_refused_by_the_link_it_comes_over() {
    let report = |unit| Facts::Report {
        unit,
        issuer: MINISTRY,
        task: Uuid::from_u128(50),
        period: "2026-03".to_owned(),
    };
    let forged = record(report(NEIGHBOUR), &[(NEIGHBOUR, "progress", json!(1))]);
    let refused = judge(&forged, From::Below, &link(4), &tree(), true);
    assert!(refused.is_err());
    assert_eq!(judge(&forged, From::Below, &link(5), &tree(), true), Ok(()));
    // On its way up it passes the province's link, and no other province's.
    assert_eq!(judge(&forged, From::Below, &link(2), &tree(), true), Ok(()));
    assert!(judge(&forged, From::Below, &link(3), &tree(), true).is_err());
    // A department without a server speaks through the commune's node.
    let from_department = record(report(DEPARTMENT), &[(DEPARTMENT, "progress", json!(1))]);
    assert_eq!(
        judge(&from_department, From::Below, &link(4), &tree(), true),
        Ok(())
    );
}

#[test]
fn a_unit_is_placed_only_below_its_author_and_a_stray_one_never_becomes_the_root() {
    let facts = Facts::Unit { owner: COMMUNE };
    let placed = |place| {
        let record = record(
            facts.clone(),
            &[(COMMUNE, "parent", json!([{ "unit": place }]))],
        );
        judge(&record, From::Below, &link(4), &tree(), true)
    };
    assert_eq!(placed(COMMUNE), Ok(()));
    assert_eq!(placed(DEPARTMENT), Ok(()));
    assert_eq!(placed(PROVINCE), Err(Denied::ForeignPlace));
    assert_eq!(placed(FAR_COMMUNE), Err(Denied::ForeignPlace));

    let stray = UnitInfo {
        id: unit(0),
        owner: COMMUNE,
        parent: None,
        served_by: None,
        ..tree().get(DEPARTMENT).unwrap().clone()
    };
    let with_stray = Tree::new(tree().iter().cloned().chain([stray]));
    assert_eq!(with_stray.root(), Some(MINISTRY));
}

/// What a node holds is what enters it: something it serves is named, or the record passes one of its links.
#[test]
fn a_record_is_held_where_one_of_its_ends_is_served_or_where_it_passes() {
    let tree = tree();
    let nodes = UNITS.iter().zip(1u8..).filter(|(unit, _)| unit.2);
    for number in nodes.map(|(_, number)| number) {
        let here = node(number);
        let links: Vec<LinkScope> = UNITS
            .iter()
            .zip(1u8..)
            .filter(|((id, above, served), child)| {
                *served
                    && (*child == number || (id != above && tree.server_of(*above) == Some(here)))
            })
            .map(|(_, child)| LinkScope::of_child(&tree, node(child)))
            .collect();
        for (one, ..) in UNITS {
            for (other, ..) in UNITS {
                let served = [one, other].map(|unit| tree.server_of(unit) == Some(here));
                let ends = Ends::Units(vec![one, other]);
                let held = served.contains(&true) || links.iter().any(|link| link.admits(&ends));
                let found = is_held_at(&tree, here, one, other);
                assert_eq!(found, held, "node {number}: {one:?} {other:?}");
            }
        }
    }
}
