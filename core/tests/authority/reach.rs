//! To whom work passes, whom a name means, and what a sender may say of its own units: how far a key reaches.

use nqsync_core::model::TreeError;
use nqsync_core::model::values::{Succession, SuccessionKind};

use super::verdicts::{changed, places};
use super::*;

#[test]
fn work_is_given_only_to_those_below_what_the_node_of_its_issuer_serves() {
    let task = |issuer| Facts::Task {
        issuer,
        parent: None,
    };
    let given_in = |facts: Facts, units: &[UnitId], child, tree: &Tree, ours: Option<&Record>| {
        let owner = facts.owner().expect("an owner");
        let lead = json!({ "units": units });
        let scope = LinkScope::of_child(tree, node(child));
        let by = Judge {
            from: From::Below,
            scope: &scope,
            tree,
            today: date(2026, 11, 1),
            here: None,
        };
        authority::judge(by, &record(facts, &[(owner, "lead", lead)]), ours, true)
    };
    let given =
        |issuer, units: &[UnitId], child| given_in(task(issuer), units, child, &tree(), None);
    // A commune gives work to nobody beside or above it, nor does an office of it.
    for issuer in [COMMUNE, DEPARTMENT] {
        for unit in [NEIGHBOUR, PROVINCE, MINISTRY, FAR_COMMUNE] {
            let refused = given(issuer, &[DEPARTMENT, unit], 4);
            assert!(matches!(refused, Err(Denied::NotBelow { .. })), "{unit:?}");
        }
    }
    for facts in [
        Facts::Directive { issuer: COMMUNE },
        Facts::Indicator { definer: COMMUNE },
    ] {
        let refused = given_in(facts, &[NEIGHBOUR], 4, &tree(), None);
        assert!(matches!(refused, Err(Denied::NotBelow { .. })));
    }
    let refused = given(PROVINCE, &[FAR_COMMUNE], 2);
    assert!(matches!(refused, Err(Denied::NotBelow { .. })));
    // A unit that nobody here has heard of is no address: the task does not concern anybody beyond the sender.
    assert_eq!(given(PROVINCE, &[unit(77)], 2), Err(Denied::OutOfScope));
    assert_eq!(
        given(COMMUNE, &[DEPARTMENT, unit(77)], 4),
        Err(Denied::OutOfScope)
    );
    // One that stood there once has its work from then, and so have those below it; its former neighbours have none.
    let moved = changed(NEIGHBOUR, |info| {
        info.parent = Some(OTHER_PROVINCE);
        info.places = vec![PROVINCE, OTHER_PROVINCE];
    });
    let to = |unit| given_in(task(PROVINCE), &[unit], 2, &moved, None);
    assert_eq!(to(NEIGHBOUR), Ok(()));
    assert!(matches!(to(FAR_COMMUNE), Err(Denied::NotBelow { .. })));
    let office = changed(COMMUNE, |info| {
        info.parent = Some(OTHER_PROVINCE);
        info.places = vec![PROVINCE, OTHER_PROVINCE];
    });
    let to_an_office = given_in(task(PROVINCE), &[DEPARTMENT], 2, &office, None);
    assert_eq!(to_an_office, Ok(()));
    // What we hold was judged before.
    let ours = record(
        task(COMMUNE),
        &[(COMMUNE, "lead", json!({ "units": [NEIGHBOUR] }))],
    );
    let again = |units: &[UnitId]| given_in(task(COMMUNE), units, 4, &tree(), Some(&ours));
    assert_eq!(again(&[NEIGHBOUR]), Ok(()));
    assert!(matches!(
        again(&[NEIGHBOUR, PROVINCE]),
        Err(Denied::NotBelow { .. })
    ));
}

#[test]
fn an_office_directs_whom_the_unit_that_it_belongs_to_directs() {
    // The department as an office of the province, beside the communes; with a node of its own, it is still one.
    for served_by in [None, Some(node(6))] {
        let office = changed(DEPARTMENT, |info| {
            info.parent = Some(PROVINCE);
            info.owner = PROVINCE;
            info.served_by = served_by;
        });
        for unit in [DEPARTMENT, PROVINCE, COMMUNE, NEIGHBOUR] {
            assert!(office.ever_directs(DEPARTMENT, unit), "{unit:?}");
        }
        for unit in [MINISTRY, OTHER_PROVINCE, FAR_COMMUNE] {
            assert!(!office.ever_directs(DEPARTMENT, unit), "{unit:?}");
            assert!(office.ever_directs(MINISTRY, unit), "{unit:?}");
        }
        assert!(!office.ever_directs(COMMUNE, DEPARTMENT));
    }
    // What stood below, and what is to be continued below, at any depth.
    let moved = changed(COMMUNE, |info| {
        info.parent = Some(OTHER_PROVINCE);
        info.places = vec![PROVINCE, OTHER_PROVINCE];
    });
    for unit in [COMMUNE, DEPARTMENT] {
        assert!(moved.ever_directs(PROVINCE, unit) && moved.ever_directs(OTHER_PROVINCE, unit));
    }
    assert!(!moved.ever_directs(OTHER_PROVINCE, NEIGHBOUR));
    let planned = changed(FAR_COMMUNE, |info| {
        info.succession = Some(Succession {
            kind: SuccessionKind::Merge,
            from: date(2027, 1, 1),
            successors: vec![COMMUNE],
            heir: Some(COMMUNE),
        });
    });
    assert!(planned.ever_directs(PROVINCE, FAR_COMMUNE));
    assert_eq!(planned.predecessors(COMMUNE), [FAR_COMMUNE, COMMUNE]);
    assert_eq!(planned.predecessors(NEIGHBOUR), [NEIGHBOUR]);
    // Who continues an issuer gives its work to units of its own.
    let ended = changed(PROVINCE, |info| info.heir = Some(OTHER_PROVINCE));
    assert!(ended.ever_directs(PROVINCE, FAR_COMMUNE) && ended.ever_directs(PROVINCE, COMMUNE));
    assert!(!ended.ever_directs(COMMUNE, FAR_COMMUNE));
}

#[test]
fn a_unit_does_not_take_the_name_of_another_one_by_its_code() {
    let called = |text: &str, near, tree: &Tree| tree.resolve(text, near).map(|unit| unit.id);
    let taken = changed(DEPARTMENT, |info| info.code = "Unit 5".to_owned());
    for near in [None, Some(PROVINCE)] {
        assert_eq!(called("unit 5", near, &taken), Ok(NEIGHBOUR));
    }
    // Its own people mean it.
    assert_eq!(called("unit 5", Some(COMMUNE), &taken), Ok(DEPARTMENT));
    // Of two that stand alike neither is meant, and one that hangs below nothing is not the highest.
    let beside = changed(COMMUNE, |info| info.code = "Unit 5".to_owned());
    let both = beside.resolve("unit 5", Some(PROVINCE)).map(|unit| unit.id);
    assert!(matches!(both, Err(TreeError::Ambiguous { .. })), "{both:?}");
    let stray = changed(DEPARTMENT, |info| {
        info.code = "U5".to_owned();
        info.parent = None;
    });
    assert_eq!(called("U5", None, &stray), Ok(NEIGHBOUR));
}

#[test]
fn where_a_unit_stood_is_not_believed_of_whoever_wrote_it() {
    // The department says that it once stood below the neighbour, and its commune has written that.
    let claims = changed(DEPARTMENT, |info| info.places = vec![NEIGHBOUR, COMMUNE]);
    let judged = |facts: Facts, register| {
        let owner = facts.owner().expect("an owner");
        let given = json!({ "units": [DEPARTMENT] });
        let record = record(facts, &[(owner, register, given)]);
        let scope = LinkScope::of_child(&claims, node(4));
        judge(&record, From::Below, &scope, &claims, true)
    };
    let period = Facts::Period {
        unit: DEPARTMENT,
        reviewer: NEIGHBOUR,
        period: "2026-03".to_owned(),
        stage: PeriodStage::Submission,
    };
    let refused = judged(period, "state");
    assert!(
        matches!(refused, Err(Denied::NotAbove { .. })),
        "{refused:?}"
    );
    let up = Facts::Period {
        unit: DEPARTMENT,
        reviewer: PROVINCE,
        period: "2026-03".to_owned(),
        stage: PeriodStage::Submission,
    };
    assert_eq!(judged(up, "state"), Ok(()));
    // Where it stood is believed of one that somebody else began, and of one that is elsewhere by now.
    let came = changed(COMMUNE, |info| info.places = vec![OTHER_PROVINCE, PROVINCE]);
    let left = changed(NEIGHBOUR, |info| {
        info.parent = Some(OTHER_PROVINCE);
        info.places = vec![PROVINCE, OTHER_PROVINCE];
    });
    let period = |unit, reviewer, stage| Facts::Period {
        unit,
        reviewer,
        period: "2026-03".to_owned(),
        stage,
    };
    for (facts, child, tree) in [
        (
            period(COMMUNE, OTHER_PROVINCE, PeriodStage::Submission),
            4,
            &came,
        ),
        (period(NEIGHBOUR, PROVINCE, PeriodStage::Review), 2, &left),
        (
            period(NEIGHBOUR, PROVINCE, PeriodStage::Submission),
            3,
            &left,
        ),
    ] {
        let owner = facts.owner().expect("an owner");
        let record = record(facts, &[(owner, "state", json!(1))]);
        let scope = LinkScope::of_child(tree, node(child));
        assert_eq!(
            judge(&record, From::Below, &scope, tree, true),
            Ok(()),
            "{owner:?}"
        );
    }
}

#[test]
fn a_unit_is_served_by_a_node_of_its_own_or_one_of_its_branch() {
    let served_in = |server: NodeId, here, ours: Option<&Record>| {
        let tree = tree();
        let scope = LinkScope::of_child(&tree, node(4));
        let by = Judge {
            from: From::Below,
            scope: &scope,
            tree: &tree,
            today: date(2026, 11, 1),
            here,
        };
        let facts = Facts::Unit { owner: COMMUNE };
        let place = places(&[("2026-01-01", COMMUNE)]);
        let edits = [
            (COMMUNE, "parent", place),
            (COMMUNE, "served_by", json!(server)),
        ];
        authority::judge(by, &record(facts, &edits), ours, true)
    };
    for own in [node(99), node(4)] {
        assert_eq!(served_in(own, None, None), Ok(()));
    }
    for foreign in [node(5), node(2), node(1)] {
        assert_eq!(served_in(foreign, None, None), Err(Denied::ForeignPlace));
    }
    assert_eq!(served_in(node(2), Some(node(2)), None), Ok(()));
    let facts = || Facts::Unit { owner: COMMUNE };
    let ours = record(facts(), &[(PROVINCE, "served_by", json!(node(5)))]);
    assert_eq!(served_in(node(5), None, Some(&ours)), Ok(()));
    assert_eq!(
        served_in(node(7), None, Some(&ours)),
        Err(Denied::ForeignPlace)
    );
}
