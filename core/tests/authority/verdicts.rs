//! Each verdict for itself: what is late, who continues whom, what arrived, and between whom a record travels.

use nqsync_core::model::Classification;
use nqsync_core::model::values::{Succession, SuccessionKind};
use nqsync_core::sync::scope::{assigned, ends, ends_are_fixed};

use super::*;

/// The tree after one unit was changed.
pub fn changed(which: UnitId, change: impl Fn(&mut UnitInfo)) -> Tree {
    Tree::new(tree().iter().cloned().map(|mut info| {
        if info.id == which {
            change(&mut info);
        }
        info
    }))
}

fn report(unit: UnitId, issuer: UnitId) -> Facts {
    Facts::Report {
        unit,
        issuer,
        task: Uuid::from_u128(50),
        period: "2026-03".to_owned(),
    }
}

fn arrival(unit: UnitId, issuer: UnitId) -> Facts {
    Facts::Arrival {
        unit,
        issuer,
        report: Uuid::from_u128(50),
        submission: "ab".to_owned(),
    }
}

#[test]
fn each_refusal_has_a_code_of_its_own() {
    let word = || "U1".to_owned();
    let all = [
        (Denied::OutOfScope, "out_of_scope"),
        (Denied::NotTheirs { owner: word() }, "not_theirs"),
        (
            Denied::NotTheOwner {
                unit: word(),
                owner: word(),
            },
            "not_the_owner",
        ),
        (Denied::ForeignPlace, "foreign_place"),
        (
            Denied::NotAbove {
                unit: word(),
                reviewer: word(),
            },
            "not_above",
        ),
        (
            Denied::NotBelow {
                unit: word(),
                issuer: word(),
            },
            "not_below",
        ),
    ];
    for (denied, code) in all {
        assert_eq!(denied.code(), code);
    }
}

#[test]
fn each_level_of_secrecy_is_shown_by_its_name() {
    let all = [
        (Classification::None, "none"),
        (Classification::Confidential, "Mật"),
        (Classification::Secret, "Tối mật"),
        (Classification::TopSecret, "Tuyệt mật"),
    ];
    for (level, name) in all {
        assert_eq!(level.to_string(), name);
    }
}

#[test]
fn what_waited_at_the_server_before_comes_late_and_only_from_there() {
    // The commune's unit has got another server, number 8; node 4 served it before.
    let moved = changed(COMMUNE, |info| {
        info.served_by = Some(node(8));
        info.served_before = vec![node(4)];
    });
    let before = LinkScope::of_child(&moved, node(4));
    assert!(before.was_below(COMMUNE) && !before.is_below(COMMUNE));
    assert!(!before.was_below(NEIGHBOUR) && !link(4).was_below(COMMUNE));
    let late = record(
        report(COMMUNE, PROVINCE),
        &[(COMMUNE, "progress", json!(1))],
    );
    assert_eq!(judge(&late, From::Below, &before, &moved, true), Ok(()));
    // It is not sent there, nor taken from a node that never served the unit, nor what both ends were at.
    assert_eq!(
        judge(&late, From::Above, &before, &moved, true),
        Err(Denied::OutOfScope)
    );
    let stranger = LinkScope::of_child(&moved, node(5));
    assert_eq!(
        judge(&late, From::Below, &stranger, &moved, true),
        Err(Denied::OutOfScope)
    );
    let inside = record(
        report(COMMUNE, DEPARTMENT),
        &[(COMMUNE, "progress", json!(1))],
    );
    assert_eq!(
        judge(&inside, From::Below, &before, &moved, true),
        Err(Denied::OutOfScope)
    );
    // A record whose owner was never there is not late, although it concerns the unit that was.
    let task = Facts::Task {
        issuer: PROVINCE,
        parent: None,
    };
    let lead = json!({ "units": [COMMUNE] });
    let theirs = record(task, &[(PROVINCE, "lead", lead)]);
    assert_eq!(
        judge(&theirs, From::Below, &before, &moved, true),
        Err(Denied::OutOfScope)
    );
    assert!(!before.admits_late(&Ends::Everywhere));
    assert!(before.admits_late(&Ends::Units(vec![COMMUNE, PROVINCE])));
    assert!(!before.admits_late(&Ends::Units(vec![COMMUNE, DEPARTMENT])));
    assert!(!before.admits_late(&Ends::Units(vec![PROVINCE, MINISTRY])));
}

#[test]
fn the_units_of_a_link_are_those_served_below_it() {
    let mut below: Vec<UnitId> = link(2).units_below().collect();
    below.sort_unstable();
    assert_eq!(below, [PROVINCE, COMMUNE, NEIGHBOUR, DEPARTMENT]);
}

#[test]
fn what_came_from_us_is_no_offence_unless_somebody_else_wrote_into_it() {
    let ours = record(
        report(NEIGHBOUR, PROVINCE),
        &[(NEIGHBOUR, "progress", json!(1))],
    );
    let from = |new| judge(&ours, From::Below, &link(4), &tree(), new);
    assert_eq!((from(false), from(true)), (Ok(()), Err(Denied::OutOfScope)));
    let foreign = record(
        report(NEIGHBOUR, PROVINCE),
        &[(COMMUNE, "progress", json!(1))],
    );
    let refused = judge(&foreign, From::Below, &link(4), &tree(), false);
    let named = Denied::NotTheOwner {
        unit: "U4".to_owned(),
        owner: "U5".to_owned(),
    };
    assert_eq!(refused, Err(named));
}

#[test]
fn a_record_of_a_unit_above_does_not_come_from_below() {
    let task = Facts::Task {
        issuer: PROVINCE,
        parent: None,
    };
    let task = record(task, &[(PROVINCE, "lead", json!({ "units": [COMMUNE] }))]);
    let refused = judge(&task, From::Below, &link(4), &tree(), true);
    let owner = "U2".to_owned();
    assert_eq!(refused, Err(Denied::NotTheirs { owner }));
    assert_eq!(judge(&task, From::Above, &link(4), &tree(), true), Ok(()));
}

#[test]
fn the_heir_of_a_unit_writes_for_it_from_the_day_on_and_as_soon_as_it_is_planned() {
    let by_heir = record(
        report(COMMUNE, MINISTRY),
        &[(NEIGHBOUR, "progress", json!(1))],
    );
    let judged = |tree: &Tree| judge(&by_heir, From::Below, &link(2), tree, true);
    assert!(matches!(judged(&tree()), Err(Denied::NotTheOwner { .. })));
    let gone = changed(COMMUNE, |info| info.heir = Some(NEIGHBOUR));
    assert_eq!(judged(&gone), Ok(()));
    let planned = |heir| {
        changed(COMMUNE, |info| {
            info.succession = Some(Succession {
                kind: SuccessionKind::Merge,
                from: "2030-01-01".parse().expect("a day"),
                successors: vec![heir],
                heir: Some(heir),
            });
        })
    };
    assert_eq!(judged(&planned(NEIGHBOUR)), Ok(()));
    let elsewhere = judged(&planned(FAR_COMMUNE));
    assert!(matches!(elsewhere, Err(Denied::NotTheOwner { .. })));
    // What it wrote itself, while it was there, stays.
    let before = record(
        report(COMMUNE, MINISTRY),
        &[(COMMUNE, "progress", json!(1))],
    );
    assert_eq!(judge(&before, From::Below, &link(2), &gone, true), Ok(()));
    // The record of a unit is written by the unit above it, which here is not the one it was born under.
    let placed = json!([{ "unit": PROVINCE }]);
    let unit = Facts::Unit { owner: MINISTRY };
    let mut own = record(unit.clone(), &[(PROVINCE, "parent", placed.clone())]);
    let known = changed(COMMUNE, |info| info.id = UnitId(own.key().id));
    assert_eq!(judge(&own, From::Below, &link(2), &known, true), Ok(()));
    own = record(unit, &[(OTHER_PROVINCE, "parent", placed)]);
    assert!(judge(&own, From::Below, &link(2), &known, true).is_err());
    // And by the heir of the one that it was born under, wherever it stands now.
    let born = Facts::Unit { owner: PROVINCE };
    let by_heir = record(born, &[(OTHER_PROVINCE, "name", json!("x"))]);
    let merged = Tree::new(tree().iter().cloned().map(|mut info| match info.id {
        PROVINCE => UnitInfo {
            heir: Some(OTHER_PROVINCE),
            ..info
        },
        COMMUNE => {
            info.id = UnitId(by_heir.key().id);
            info.parent = Some(MINISTRY);
            info
        }
        _ => info,
    }));
    assert_eq!(
        judge(&by_heir, From::Above, &link(3), &merged, false),
        Ok(())
    );
    let refused = judge(&by_heir, From::Below, &link(4), &tree(), false);
    assert!(matches!(refused, Err(Denied::NotTheOwner { .. })));
}

/// What a unit's own record says of its places.
pub fn places(list: &[(&str, UnitId)]) -> Value {
    let place = |(from, unit): &(&str, UnitId)| match *from {
        "" => json!({ "unit": unit }),
        from => json!({ "from": from, "unit": unit }),
    };
    list.iter().map(place).collect()
}

#[test]
fn whoever_stood_above_a_unit_once_has_written_into_its_record() {
    let unit = || Facts::Unit { owner: PROVINCE };
    let by = |author, list: &[(&str, UnitId)]| record(unit(), &[(author, "parent", places(list))]);
    let judged = |record: &Record, from| judge(record, from, &link(2), &tree(), true);
    // Moved away and back before anybody heard of it: the parent knows, and a child about those of its own branch.
    let back = by(COMMUNE, &[("", PROVINCE)]);
    assert_eq!(judged(&back, From::Below), Ok(()));
    let back = by(OTHER_PROVINCE, &[("", PROVINCE)]);
    assert_eq!(judged(&back, From::Above), Ok(()));
    assert!(matches!(
        judged(&back, From::Below),
        Err(Denied::NotTheOwner { .. })
    ));
    // The record tells that it was there.
    let was = [("", OTHER_PROVINCE), ("2026-05-01", PROVINCE)];
    assert_eq!(judged(&by(OTHER_PROVINCE, &was), From::Below), Ok(()));
    // What we hold of it was judged when it came.
    let by_judge = Judge {
        from: From::Below,
        scope: &link(2),
        tree: &tree(),
        today: date(2026, 11, 1),
        here: None,
    };
    let held = authority::judge(by_judge, &back, Some(&back), false);
    assert_eq!(held, Ok(()));
}

#[test]
fn who_continues_the_unit_above_writes_into_a_units_record() {
    // A unit of the commune was moved to the neighbour, which a commune of the other province continues.
    let told = changed(NEIGHBOUR, |info| info.heir = Some(FAR_COMMUNE));
    let office = told.get(DEPARTMENT).expect("a department").clone();
    let moved = UnitInfo {
        id: unit(99),
        parent: Some(NEIGHBOUR),
        ..office
    };
    let tree = Tree::new(told.iter().cloned().chain([moved]));
    let written_by = |author| {
        let place = places(&[("2026-01-01", COMMUNE), ("2026-02-01", NEIGHBOUR)]);
        let edits = [(COMMUNE, "parent", place), (author, "name", json!("x"))];
        let record = record(Facts::Unit { owner: COMMUNE }, &edits);
        let scope = LinkScope::of_child(&tree, node(4));
        judge(&record, From::Below, &scope, &tree, false)
    };
    assert_eq!(written_by(FAR_COMMUNE), Ok(()));
    let refused = written_by(OTHER_PROVINCE);
    assert!(
        matches!(refused, Err(Denied::NotTheOwner { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_unit_goes_only_where_its_author_serves_from_today_on() {
    let placed = |list: &[(&str, UnitId)], ours: Option<&Record>| {
        let unit = Facts::Unit { owner: COMMUNE };
        let record = record(unit, &[(COMMUNE, "parent", places(list))]);
        let by = Judge {
            from: From::Below,
            scope: &link(4),
            tree: &tree(),
            today: date(2026, 11, 1),
            here: None,
        };
        (authority::judge(by, &record, ours, true), record)
    };
    // A place of its own after a foreign one hides nothing, as long as that one is in force or to come.
    let hidden = [
        ("", COMMUNE),
        ("2026-05-01", FAR_COMMUNE),
        ("2099-01-01", COMMUNE),
    ];
    assert_eq!(placed(&hidden, None).0, Err(Denied::ForeignPlace));
    let to_come = [
        ("", COMMUNE),
        ("2027-05-01", FAR_COMMUNE),
        ("2099-01-01", COMMUNE),
    ];
    assert_eq!(placed(&to_come, None).0, Err(Denied::ForeignPlace));
    let past = [("", FAR_COMMUNE), ("2026-11-01", COMMUNE)];
    let (verdict, _) = placed(&past, None);
    assert_eq!(verdict, Ok(()));
    // A move that we planned ourselves comes back with whatever else is written.
    let (_, ours) = placed(&to_come, None);
    assert_eq!(placed(&to_come, Some(&ours)).0, Ok(()));
}

#[test]
fn a_unit_without_any_place_does_not_come_from_below() {
    let unit = || Facts::Unit { owner: COMMUNE };
    for edits in [
        vec![(COMMUNE, "code", json!("91"))],
        vec![(COMMUNE, "parent", json!([]))],
    ] {
        let refused = judge(
            &record(unit(), &edits),
            From::Below,
            &link(4),
            &tree(),
            true,
        );
        assert_eq!(refused, Err(Denied::ForeignPlace));
    }
}

#[test]
fn a_units_work_is_reviewed_by_its_issuer_and_by_those_who_stand_or_stood_above_it() {
    let period = |unit, reviewer, stage| Facts::Period {
        unit,
        reviewer,
        period: "2026-03".to_owned(),
        stage,
    };
    let evidence = |unit, reviewer| Facts::Evidence {
        unit,
        issuer: MINISTRY,
        task: Uuid::from_u128(50),
        period: "2026-03".to_owned(),
        reviewer,
    };
    let judged = |facts: Facts, child, tree: &Tree| {
        let owner = facts.owner().expect("an owner");
        let record = record(facts, &[(owner, "state", json!(1))]);
        let scope = LinkScope::of_child(tree, node(child));
        judge(&record, From::Below, &scope, tree, true)
    };
    let review = PeriodStage::Review;
    // A commune closes nobody's period: not its neighbour's, not its province's, not the ministry's.
    for unit in [NEIGHBOUR, FAR_COMMUNE, PROVINCE, MINISTRY] {
        let refused = judged(period(unit, COMMUNE, review), 4, &tree());
        assert!(matches!(refused, Err(Denied::NotAbove { .. })), "{unit:?}");
    }
    // Nor does it hand its own in to a neighbour, or its files.
    let submission = PeriodStage::Submission;
    let refused = judged(period(COMMUNE, NEIGHBOUR, submission), 4, &tree());
    assert!(matches!(refused, Err(Denied::NotAbove { .. })));
    assert_eq!(
        judged(period(COMMUNE, PROVINCE, submission), 4, &tree()),
        Ok(())
    );
    let refused = judged(evidence(COMMUNE, NEIGHBOUR), 4, &tree());
    assert!(matches!(refused, Err(Denied::NotAbove { .. })));
    for reviewer in [PROVINCE, MINISTRY] {
        assert_eq!(judged(evidence(COMMUNE, reviewer), 4, &tree()), Ok(()));
    }
    // What a province decided while the commune stood below it comes up when it has moved away.
    let elsewhere = changed(FAR_COMMUNE, |info| {
        info.places = vec![PROVINCE, OTHER_PROVINCE]
    });
    assert_eq!(
        judged(period(FAR_COMMUNE, PROVINCE, review), 2, &elsewhere),
        Ok(())
    );
    // Also about one that it continues by now, and not if neither ever stood there.
    let continued = |places: Vec<UnitId>| {
        changed(NEIGHBOUR, move |info| {
            info.heir = Some(FAR_COMMUNE);
            info.owner = MINISTRY;
            info.places = places.clone();
        })
    };
    let theirs = || period(NEIGHBOUR, PROVINCE, review);
    assert_eq!(judged(theirs(), 2, &continued(vec![PROVINCE])), Ok(()));
    let refused = judged(theirs(), 2, &continued(vec![MINISTRY]));
    assert!(
        matches!(refused, Err(Denied::NotAbove { .. })),
        "{refused:?}"
    );
    // Nobody reviews his own work but the topmost, which has nobody above.
    let refused = judged(period(COMMUNE, COMMUNE, review), 4, &tree());
    assert_eq!(refused, Err(Denied::OutOfScope));
    // A unit that is not known here: then the link alone decides.
    assert_eq!(
        judged(period(unit(77), PROVINCE, review), 2, &tree()),
        Ok(())
    );
}

#[test]
fn a_unit_is_continued_only_by_those_whom_its_author_serves() {
    let continued = |heir: UnitId, successors: &[UnitId], ours: Option<&Record>| {
        let planned = json!({
            "kind": "merge", "from": "2026-12-01", "successors": successors, "heir": heir,
        });
        let unit = Facts::Unit { owner: COMMUNE };
        let place = places(&[("", COMMUNE)]);
        let registers = [(COMMUNE, "parent", place), (COMMUNE, "succession", planned)];
        let record = record(unit, &registers);
        let by = Judge {
            from: From::Below,
            scope: &link(4),
            tree: &tree(),
            today: date(2026, 11, 1),
            here: None,
        };
        (authority::judge(by, &record, ours, true), record)
    };
    assert_eq!(continued(DEPARTMENT, &[DEPARTMENT], None).0, Ok(()));
    let foreign = Err(Denied::ForeignPlace);
    assert_eq!(continued(FAR_COMMUNE, &[FAR_COMMUNE], None).0, foreign);
    assert_eq!(continued(FAR_COMMUNE, &[], None).0, foreign);
    let (verdict, ours) = continued(DEPARTMENT, &[DEPARTMENT, FAR_COMMUNE], None);
    assert_eq!(verdict, foreign);
    let again = continued(DEPARTMENT, &[DEPARTMENT, FAR_COMMUNE], Some(&ours));
    assert_eq!(again.0, Ok(()));
}

#[test]
fn an_arrival_is_noted_by_a_unit_above_the_one_that_submitted_and_by_nobody_else() {
    let judged = |unit, by, from, child| {
        let noted = record(arrival(unit, MINISTRY), &[(by, "at", json!(1))]);
        judge(&noted, from, &link(child), &tree(), true)
    };
    assert_eq!(judged(COMMUNE, PROVINCE, From::Below, 2), Ok(()));
    assert_eq!(judged(COMMUNE, PROVINCE, From::Above, 4), Ok(()));
    // Not by itself, not by the one beside it, not by a unit that the same node serves.
    for by in [COMMUNE, NEIGHBOUR, FAR_COMMUNE] {
        let refused = judged(COMMUNE, by, From::Below, 2);
        assert!(matches!(refused, Err(Denied::NotTheOwner { .. })), "{by:?}");
    }
    let refused = judged(DEPARTMENT, COMMUNE, From::Below, 2);
    assert!(matches!(refused, Err(Denied::NotTheOwner { .. })));
    assert_eq!(judged(DEPARTMENT, PROVINCE, From::Below, 2), Ok(()));
    // What a unit above noted does not come from below it.
    let owner = String::new();
    let refused = judged(COMMUNE, PROVINCE, From::Below, 4);
    assert_eq!(
        refused,
        Err(Denied::NotTheirs {
            owner: owner.clone()
        })
    );
    let refused = judged(COMMUNE, MINISTRY, From::Below, 2);
    assert_eq!(refused, Err(Denied::NotTheirs { owner }));
    // Of a unit that nobody knows here, the link alone decides.
    let unknown = unit(77);
    let noted = record(arrival(unknown, MINISTRY), &[(PROVINCE, "at", json!(1))]);
    let refused = judge(&noted, From::Below, &link(2), &tree(), true);
    assert_eq!(refused, Err(Denied::OutOfScope));
}

#[test]
fn a_unit_with_a_place_that_cannot_be_read_is_not_placed() {
    let placed = |place: Value| {
        let facts = Facts::Unit { owner: COMMUNE };
        let record = record(facts, &[(COMMUNE, "parent", place)]);
        judge(&record, From::Below, &link(4), &tree(), true)
    };
    for unread in [json!([{}]), json!([{ "unit": "U4" }]), json!([7])] {
        assert_eq!(
            placed(unread.clone()),
            Err(Denied::ForeignPlace),
            "{unread}"
        );
    }
    // Where it was before is history.
    let moved = json!([{ "unit": FAR_COMMUNE }, { "unit": COMMUNE }]);
    assert_eq!(placed(moved), Ok(()));
}

#[test]
fn the_ends_of_a_record_are_those_who_write_it_and_those_who_need_it() {
    let of = |facts: Facts| match ends(&record(facts, &[]), &tree()) {
        Ends::Units(units) => units,
        Ends::Everywhere => vec![],
    };
    let (task, period) = (Uuid::from_u128(50), || "2026-03".to_owned());
    assert_eq!(of(Facts::Unit { owner: PROVINCE }), []);
    assert_eq!(of(report(COMMUNE, PROVINCE)), [COMMUNE, PROVINCE]);
    assert_eq!(of(arrival(COMMUNE, PROVINCE)), [COMMUNE, PROVINCE]);
    let evidence = Facts::Evidence {
        unit: COMMUNE,
        issuer: MINISTRY,
        task,
        period: period(),
        reviewer: PROVINCE,
    };
    assert_eq!(of(evidence), [COMMUNE, MINISTRY, PROVINCE]);
    let verdict = Facts::Verdict {
        reviewer: PROVINCE,
        unit: COMMUNE,
        issuer: MINISTRY,
        report: task,
        submission: period(),
    };
    assert_eq!(of(verdict), [PROVINCE, COMMUNE, MINISTRY]);
    let decision = Facts::Decision {
        decider: PROVINCE,
        proposer: COMMUNE,
        proposal: task,
    };
    assert_eq!(of(decision), [PROVINCE, COMMUNE]);
    let figure = Facts::Figure {
        unit: COMMUNE,
        definer: MINISTRY,
        indicator: task,
        period: period(),
    };
    assert_eq!(of(figure), [COMMUNE, MINISTRY]);
    let stage = PeriodStage::Submission;
    let state = Facts::Period {
        unit: COMMUNE,
        reviewer: PROVINCE,
        period: period(),
        stage,
    };
    assert_eq!(of(state), [COMMUNE, PROVINCE]);
    let rollup = Facts::Rollup {
        issuer: COMMUNE,
        period: period(),
        group: "III".to_owned(),
    };
    assert_eq!(of(rollup.clone()), [COMMUNE, MINISTRY]);
    let rootless = ends(&record(rollup, &[]), &Tree::default());
    assert_eq!(rootless, Ends::Units(vec![COMMUNE]));

    // Of an assignment every present sibling of every register counts, each unit once.
    let facts = Facts::Task {
        issuer: PROVINCE,
        parent: None,
    };
    let units = |named: &[UnitId]| json!({ "units": named, "text": "x" });
    let shared = record(
        facts,
        &[
            (PROVINCE, "lead", units(&[COMMUNE])),
            (PROVINCE, "lead", units(&[NEIGHBOUR, COMMUNE])),
            (PROVINCE, "coordinating", units(&[DEPARTMENT])),
            (PROVINCE, "assigned", json!({ "units": ["nobody", 7] })),
            (PROVINCE, "title", units(&[FAR_COMMUNE])),
        ],
    );
    assert_eq!(assigned(&shared), [COMMUNE, NEIGHBOUR, DEPARTMENT]);
    let named = Ends::Units(vec![COMMUNE, NEIGHBOUR, DEPARTMENT, PROVINCE]);
    assert_eq!(ends(&shared, &tree()), named);
}

#[test]
fn only_the_ends_of_what_is_assigned_or_counted_move() {
    let moving: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| !ends_are_fixed(*kind))
        .collect();
    let expected = [
        Kind::Unit,
        Kind::Task,
        Kind::Indicator,
        Kind::Directive,
        Kind::Rollup,
    ];
    assert_eq!(moving.len(), expected.len());
    assert!(expected.iter().all(|kind| moving.contains(kind)));
}
