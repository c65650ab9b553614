//! The mass-change brake: what counts as a loss, and how much of it a person is asked about.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use nqsync_core::model::{Facts, UnitId};
use nqsync_core::sync::brake::{Limits, Loss, Tally, changes, holds, loss, too_many, undo};
use nqsync_core::sync::{Author, Incarnation, Record};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const UNIT: UnitId = UnitId(Uuid::from_u128(7));
const TODAY: Date = date(2026, 6, 1);

fn write(record: &mut Record, place: u8, values: Value) {
    let by = Author {
        incarnation: Incarnation([place; 16]),
        unit: UNIT,
        name: "an officer",
        seal: None,
    };
    let values: BTreeMap<String, Value> = serde_json::from_value(values).expect("an object");
    record.write(by, 0, values, None).expect("a write");
}

fn begun(facts: Facts, values: Value) -> Record {
    let key = facts.key(Uuid::from_u128(1));
    let mut record = Record::begin(facts, key);
    write(&mut record, 1, values);
    record
}

fn task(values: Value) -> Record {
    let facts = Facts::Task {
        issuer: UNIT,
        parent: None,
    };
    begun(facts, values)
}

fn report(period: &str) -> Record {
    let facts = Facts::Report {
        unit: UNIT,
        issuer: UNIT,
        task: Uuid::nil(),
        period: period.to_owned(),
    };
    begun(facts, json!({ "progress": { "status": "in_progress" } }))
}

fn then(before: &Record, values: Value) -> Record {
    let mut after = before.clone();
    write(&mut after, 1, values);
    after
}

#[test]
fn deleting_withdrawing_and_emptying_take_away_and_bringing_back_does_not() {
    let before = task(json!({ "title": "a", "number": "1" }));
    let mut deleted = before.clone();
    let values = deleted.deletion("no longer");
    write(&mut deleted, 1, json!(values));
    let withdrawn = then(&before, json!({ "withdrawn": { "reason": "given twice" } }));
    let emptied = then(&before, json!({ "number": null }));
    for after in [&deleted, &withdrawn, &emptied] {
        assert_eq!(loss(&before, after, TODAY), Some(Loss::Removed));
    }
    let back = then(&withdrawn, json!({ "withdrawn": null }));
    assert_eq!(loss(&withdrawn, &back, TODAY), None);
    let explained = then(&withdrawn, json!({ "withdrawn_reason": "x" }));
    assert_eq!(loss(&withdrawn, &explained, TODAY), None);
    let filled = then(&before, json!({ "kpi": "90 %" }));
    assert_eq!(loss(&before, &filled, TODAY), None);
    assert_eq!(loss(&before, &before.clone(), TODAY), None);
}

#[test]
fn a_value_in_conflict_is_not_lost() {
    let before = task(json!({ "title": "a" }));
    let mut there = before.clone();
    let mut here = before.clone();
    write(&mut here, 1, json!({ "title": "b" }));
    write(&mut there, 2, json!({ "title": "c" }));
    assert_eq!(loss(&before, &there, TODAY), Some(Loss::Overwritten));
    let mut joined = here.clone();
    joined.join(&there).expect("the same record");
    assert_eq!(loss(&here, &joined, TODAY), None);
}

#[test]
fn a_report_may_change_while_its_period_is_reported_on_and_not_long_after() {
    let change = json!({ "progress": { "status": "completed" } });
    for (period, found) in [
        ("2026-06", None),
        ("2026-05", None),
        ("2026-03", Some(Loss::Overwritten)),
    ] {
        let before = report(period);
        let after = then(&before, change.clone());
        assert_eq!(loss(&before, &after, TODAY), found, "{period}");
    }
    let before = report("2026-06");
    let after = then(&before, json!({ "progress": null }));
    assert_eq!(loss(&before, &after, TODAY), Some(Loss::Removed));
}

#[test]
fn what_was_written_since_survives_an_undo() {
    let before = task(json!({ "title": "a", "number": "1" }));
    let withdrawn = then(
        &before,
        json!({ "withdrawn": { "reason": "r" }, "title": "b", "kpi": "90 %" }),
    );
    let changed = changes(&before, &withdrawn);
    assert_eq!(changed.len(), 3);
    let now = then(&withdrawn, json!({ "title": "c" }));
    let (values, since) = undo(&changed, &now);
    assert_eq!(since, ["title"]);
    let now = then(&now, json!(values));
    assert_eq!(now.shown("withdrawn"), None);
    assert_eq!(now.shown("kpi"), None);
    assert_eq!(now.shown("title"), Some(json!("c")));
}

#[test]
fn a_few_changes_are_never_held_and_a_share_above_the_limit_always() {
    let limits = Limits::default();
    let tally = |removed, overwritten, of| Tally {
        removed,
        overwritten,
        of,
    };
    assert!(!holds(&limits, &tally(19, 0, 19)), "too few");
    assert!(holds(&limits, &tally(20, 0, 20)));
    assert!(!holds(&limits, &tally(20, 0, 100)), "exactly the share");
    assert!(holds(&limits, &tally(21, 0, 100)));
    assert!(!holds(&limits, &tally(0, 50, 100)));
    assert!(holds(&limits, &tally(0, 51, 100)));
    assert!(holds(&limits, &tally(20, 31, 100)), "together");
    assert!(holds(&limits, &tally(20, 0, 0)), "of nothing known");
}

proptest! {
    #[test]
    fn more_losses_never_let_go_and_a_larger_subtree_never_takes_hold(
        removed in 0u64..500, overwritten in 0u64..500, of in 0u64..2000, more in 1u64..100
    ) {
        let limits = Limits::default();
        let tally = Tally { removed, overwritten, of };
        let held = holds(&limits, &tally);
        let worse = [Tally { removed: removed + more, ..tally }, Tally { overwritten: overwritten + more, ..tally }];
        for worse in worse {
            prop_assert!(!held || holds(&limits, &worse));
        }
        let wider = Tally { of: of + more, ..tally };
        prop_assert!(held || !holds(&limits, &wider));
        prop_assert!(removed + overwritten >= limits.at_least || !held);
    }
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn what_was_written_day_by_day_is_no_mass_change_when_it_comes_at_once() {
    let limits = Limits::default();
    let daily: Vec<(i64, Loss)> = (0..100)
        .map(|day| (day * 24 * HOUR_MS, Loss::Removed))
        .collect();
    assert!(!too_many(&limits, 100, HOUR_MS, &[], &daily).contains(&true));
    let mut with_a_bad_hour = daily.clone();
    with_a_bad_hour.extend((0..21).map(|n| (50 * 24 * HOUR_MS + n, Loss::Removed)));
    let found = too_many(&limits, 100, HOUR_MS, &[], &with_a_bad_hour);
    let held: Vec<usize> = (0..found.len()).filter(|at| found[*at]).collect();
    // The one of that day goes with the twenty-one of its hour.
    assert_eq!(held, [vec![50], (100..121).collect()].concat());
}

proptest! {
    #[test]
    fn what_is_held_is_what_lies_in_a_window_with_too_much(
        before in proptest::collection::vec((0i64..50, 0u64..4, 0u64..4), 0..12),
        coming in proptest::collection::vec((0i64..50, any::<bool>()), 0..40),
        window_ms in 0i64..30,
        of in 1u64..60,
    ) {
        let limits = Limits { at_least: 3, removed_percent: 20, overwritten_percent: 50 };
        let before: Vec<(i64, Tally)> = before
            .into_iter()
            .map(|(at, removed, overwritten)| (at, Tally { removed, overwritten, of: 0 }))
            .collect();
        let coming: Vec<(i64, Loss)> = coming
            .into_iter()
            .map(|(at, gone)| (at, if gone { Loss::Removed } else { Loss::Overwritten }))
            .collect();
        let sum_until = |end: i64| {
            let mut sum = Tally { of, ..Tally::default() };
            let inside = |at: i64| at <= end && at >= end - window_ms;
            for (_, tally) in before.iter().filter(|(at, _)| inside(*at)) {
                sum.removed += tally.removed;
                sum.overwritten += tally.overwritten;
            }
            coming.iter().filter(|(at, _)| inside(*at)).for_each(|(_, loss)| sum.count(*loss));
            sum
        };
        let ends: Vec<i64> = (0..50).filter(|end| {
            let somebody = before.iter().any(|(at, _)| at == end) || coming.iter().any(|(at, _)| at == end);
            somebody && holds(&limits, &sum_until(*end))
        }).collect();
        let expected: Vec<bool> = coming
            .iter()
            .map(|(at, _)| ends.iter().any(|end| at <= end && *at >= end - window_ms))
            .collect();
        prop_assert_eq!(too_many(&limits, of, window_ms, &before, &coming), expected);
    }
}
