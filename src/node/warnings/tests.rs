//! Warnings kept step by step, beside warnings judged from nothing.

use jiff::ToSpan;
use nqsync_core::model::UnitId;
use nqsync_core::rollup::WarningKind;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};

use super::*;
use crate::node::commands::fixture::{COMMUNE, Fixture, MINISTRY, PROVINCE, WARD, unit};
use crate::store::queries;

const DAY_MS: i64 = 24 * 3_600_000;

/// Looks until nothing is marked; answers at how many tasks.
fn look_all(fixture: &Fixture) -> usize {
    let mut all = 0;
    loop {
        let node = fixture.node.clone();
        let store = &fixture.node.store;
        let looked = store.write_blocking(move |tx| look(&node, tx)).unwrap();
        if looked == 0 {
            return all;
        }
        all += looked;
        assert!(all < 500, "looking does not come to rest");
    }
}

/// A day passes.
fn next_day(fixture: &Fixture, days: i64) {
    let before = fixture.node.today();
    fixture.wait_ms(days * DAY_MS);
    let node = fixture.node.clone();
    let store = &fixture.node.store;
    store
        .write_blocking(move |tx| begin_day(&node, tx, Some(before)))
        .unwrap();
}

fn standing(fixture: &Fixture) -> BTreeSet<Warning> {
    let open = fixture.node.store.read_blocking(warnings::open).unwrap();
    open.into_iter().map(|raised| raised.warning).collect()
}

/// What the rules say of every task held, asked one by one without marks or days to wake on.
fn from_nothing(fixture: &Fixture) -> BTreeSet<Warning> {
    let node = fixture.node.clone();
    fixture
        .node
        .store
        .read_blocking(move |connection| {
            let tree = queries::load_tree(connection)?;
            let at = Looking {
                tree: &tree,
                here: NodeId(Uuid::from_u128(crate::node::commands::fixture::HERE)),
                today: node.today(),
                current: node.current_period(),
            };
            let mut found = BTreeSet::new();
            for stored in records::of_kind(connection, nqsync_core::model::Kind::Task)? {
                let id = stored.record.key().id;
                found.extend(judge(connection, &at, id, stored)?.warnings);
            }
            Ok::<_, StoreError>(found)
        })
        .unwrap()
}

fn kinds(fixture: &Fixture, of: u128) -> Vec<WarningKind> {
    let all = standing(fixture).into_iter();
    let of = all.filter(|warning| warning.unit == Some(unit(of)));
    of.map(|warning| warning.kind).collect()
}

#[test]
fn the_three_rules_raise_a_warning_and_what_is_mended_clears_it() {
    use WarningKind::{Behind, Insufficient, Overdue};
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    look_all(&fixture);
    assert_eq!(
        kinds(&fixture, COMMUNE),
        [],
        "silence is no progress to judge"
    );
    submit(&fixture, task, "2026-03", "in_progress", Some("10"));
    look_all(&fixture);
    assert_eq!(kinds(&fixture, COMMUNE), [Behind]);
    let report = submit(&fixture, task, "2026-03", "completed", Some("100"));
    look_all(&fixture);
    assert_eq!(kinds(&fixture, COMMUNE), []);
    reject(&fixture, report, COMMUNE);
    look_all(&fixture);
    assert_eq!(kinds(&fixture, COMMUNE), [Insufficient]);
    next_day(&fixture, 17);
    look_all(&fixture);
    assert_eq!(kinds(&fixture, COMMUNE), [Overdue, Insufficient]);
    submit(&fixture, task, "2026-03", "completed", Some("100"));
    look_all(&fixture);
    assert_eq!(kinds(&fixture, COMMUNE), []);
    let rows = fixture.node.store.read_blocking(warnings::all).unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|raised| raised.cleared_at.is_some()));
}

#[test]
fn a_task_is_looked_at_when_it_is_written_or_its_day_has_come_and_not_otherwise() {
    let fixture = Fixture::new();
    let first = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    for number in 2..20 {
        fixture.task(PROVINCE, number, "I", &[WARD]);
    }
    next_day(&fixture, 0);
    assert_eq!(look_all(&fixture), 19);
    assert_eq!(look_all(&fixture), 0);
    submit(&fixture, first, "2026-03", "in_progress", Some("50"));
    assert_eq!(look_all(&fixture), 1);
    for _ in 0..16 {
        next_day(&fixture, 1);
        assert_eq!(look_all(&fixture), 0, "{}", fixture.node.today());
    }
    // 1 April: all are overdue.
    next_day(&fixture, 1);
    assert_eq!(look_all(&fixture), 19);
    assert_eq!(standing(&fixture).len(), 19);
    next_day(&fixture, 1);
    assert_eq!(look_all(&fixture), 0);
    // The clock was ahead and is put right: nothing is overdue any more.
    next_day(&fixture, -3);
    look_all(&fixture);
    assert_eq!(standing(&fixture), BTreeSet::new());
}

#[test]
fn other_rules_have_every_task_looked_at_again() {
    let mut fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    next_day(&fixture, 0);
    assert_eq!(look_all(&fixture), 1);
    next_day(&fixture, 0);
    assert_eq!(look_all(&fixture), 0);
    fixture.node.settings.period = nqsync_core::calendar::PeriodKind::Quarter;
    next_day(&fixture, 0);
    assert_eq!(look_all(&fixture), 1);
}

#[test]
fn only_work_whose_reports_pass_this_node_is_judged() {
    let fixture = Fixture::new();
    // The ministry's task for itself, for this province and for a commune below: reports of the ministry stay there.
    fixture.task(MINISTRY, 1, "I", &[MINISTRY, PROVINCE, COMMUNE]);
    // A commune's task for itself is not this node's to judge, though a ward above names it.
    fixture.task(COMMUNE, 2, "I", &[COMMUNE]);
    next_day(&fixture, 20);
    look_all(&fixture);
    let warned: Vec<Option<UnitId>> = standing(&fixture).iter().map(|w| w.unit).collect();
    assert_eq!(warned, [Some(unit(PROVINCE)), Some(unit(COMMUNE))]);
}

#[test]
fn a_report_of_a_longer_period_counts_from_the_day_its_period_is_reached() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let facts = Facts::Task {
        issuer: unit(PROVINCE),
        parent: None,
    };
    let due = json!({ "text": "30/9/2026", "kind": "date", "due": "2026-09-30" });
    fixture.put(unit(PROVINCE), facts, task, &[("deadline", due)]);
    submit(&fixture, task, "2026-Q2", "in_progress", Some("0"));
    next_day(&fixture, 0);
    look_all(&fixture);
    // It is March; a report on the quarter that begins in April says nothing of March.
    assert_eq!(standing(&fixture), BTreeSet::new());
    while fixture.node.today() < jiff::civil::date(2026, 5, 31) {
        next_day(&fixture, 1);
        assert_eq!(look_all(&fixture), 0, "{}", fixture.node.today());
    }
    next_day(&fixture, 1);
    assert_eq!(look_all(&fixture), 1);
    assert_eq!(kinds(&fixture, COMMUNE), [WarningKind::Behind]);
}

/// A submitted report with a percent.
fn submit(
    fixture: &Fixture,
    task: Uuid,
    period: &str,
    status: &str,
    percent: Option<&str>,
) -> Uuid {
    let submission = json!({
        "hash": format!("{:032x}", Uuid::new_v4().as_u128()),
        "submitted_at": fixture.node.clock.now_ms(),
        "progress": { "status": status, "percent": percent },
        "values": {},
        "evidence": [],
    });
    put_submission(fixture, task, COMMUNE, period, submission)
}

fn put_submission(
    fixture: &Fixture,
    task: Uuid,
    by: u128,
    period: &str,
    submission: Value,
) -> Uuid {
    let facts = Facts::Report {
        unit: unit(by),
        issuer: unit(PROVINCE),
        task,
        period: period.to_owned(),
    };
    fixture.put(unit(by), facts, Uuid::nil(), &[("submission", submission)])
}

/// The issuer's verdict on what was submitted last.
fn reject(fixture: &Fixture, report: Uuid, of: u128) {
    let submission = fixture.record(report).shown("submission").unwrap();
    let facts = Facts::Verdict {
        reviewer: unit(PROVINCE),
        unit: unit(of),
        issuer: unit(PROVINCE),
        report,
        submission: submission["hash"].as_str().unwrap().to_owned(),
    };
    let verdict = json!({ "accepted": false, "reason": "no seal" });
    fixture.put(unit(PROVINCE), facts, Uuid::nil(), &[("verdict", verdict)]);
}

/// What may happen at a node.
#[derive(Clone, Debug)]
enum Event {
    Days(i64),
    Task(u128, u128, i64),
    Report(u128, usize, u8, &'static str),
    Reject(usize),
    Withdraw(u128),
}

fn any_event() -> impl Strategy<Value = Event> {
    let status = prop::sample::select(vec![
        "not_started",
        "in_progress",
        "completed",
        "continuing",
    ]);
    let lead = prop::sample::select(vec![COMMUNE, WARD, PROVINCE]);
    prop_oneof![
        3 => (1i64..25).prop_map(Event::Days),
        1 => (-9i64..0).prop_map(Event::Days),
        3 => (1u128..6, lead.clone(), -30i64..200).prop_map(|(n, lead, due)| Event::Task(n, lead, due)),
        4 => (1u128..6, 0usize..4, 0u8..101, status).prop_map(|(n, p, percent, s)| Event::Report(n, p, percent, s)),
        2 => (0usize..6).prop_map(Event::Reject),
        1 => (1u128..6).prop_map(Event::Withdraw),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 40, rng_seed: RngSeed::Fixed(20261128), ..Config::default() })]

    #[test]
    fn step_by_step_the_warnings_are_those_judged_from_nothing(events in prop::collection::vec(any_event(), 1..30)) {
        const PERIODS: [&str; 4] = ["2026-03", "2026-Q2", "2026-05", "2026"];
        let fixture = Fixture::new();
        let task_facts = || Facts::Task { issuer: unit(PROVINCE), parent: None };
        let id = |number: u128| Uuid::from_u128(0xa000_0000 << 96 | number);
        let mut leads = std::collections::BTreeMap::new();
        let mut reports = Vec::new();
        next_day(&fixture, 0);
        for event in events {
            match event {
                Event::Days(days) => next_day(&fixture, days),
                Event::Task(number, lead, due) => {
                    fixture.task(PROVINCE, number, "I", &[lead]);
                    let due = fixture.node.today().saturating_add(due.days());
                    let deadline = json!({ "text": due, "kind": "date", "due": due });
                    fixture.put(unit(PROVINCE), task_facts(), id(number), &[("deadline", deadline)]);
                    leads.insert(number, lead);
                }
                Event::Report(number, period, percent, status) => {
                    let by = leads.get(&number).copied().unwrap_or(COMMUNE);
                    let submission = json!({
                        "hash": format!("{:032x}", reports.len() + 1),
                        "submitted_at": fixture.node.clock.now_ms(),
                        "progress": { "status": status, "percent": percent.to_string() },
                        "values": {},
                        "evidence": [],
                    });
                    let report = put_submission(&fixture, id(number), by, PERIODS[period], submission);
                    reports.push((report, by));
                }
                Event::Reject(which) => {
                    if let Some((report, by)) = reports.get(which) {
                        reject(&fixture, *report, *by);
                    }
                }
                Event::Withdraw(number) if leads.contains_key(&number) => {
                    let withdrawn = json!({ "reason": "given twice" });
                    fixture.put(unit(PROVINCE), task_facts(), id(number), &[("withdrawn", withdrawn)]);
                }
                Event::Withdraw(_) => {}
            }
            look_all(&fixture);
            prop_assert_eq!(standing(&fixture), from_nothing(&fixture));
        }
    }
}
