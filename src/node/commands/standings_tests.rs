//! What is kept of where work stands, against a plain recount from the records.

use std::collections::BTreeMap;

use nqsync_core::calendar::Period;
use nqsync_core::model::{Facts, Kind, NodeId, UnitId};
use nqsync_core::rollup::{Derived, GroupInput, GroupRollup, TaskFacts, fold};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rusqlite::Connection;
use serde_json::json;
use uuid::Uuid;

use super::fixture::{COMMUNE, Fixture, HERE, MINISTRY, PROVINCE, WARD, unit};
use super::periods::tallies_of;
use super::views::View;
use crate::api::Lang;
use crate::node::rollups::{self, Before, Inputs};
use crate::node::standings::{self, Standings};
use crate::store::standings::Wait;
use crate::store::{StoreError, queries, records};

const PERIODS: [&str; 5] = ["2026-01", "2026-02", "2026-03", "2026-Q1", "2026-W10"];
const STATUSES: [&str; 6] = [
    "not_started",
    "in_progress",
    "awaiting_correction",
    "continuing",
    "completed",
    "completed",
];
const UNITS: [u128; 2] = [COMMUNE, WARD];

/// What somebody does: which, and about which task, unit and period.
type Act = (u8, usize, usize, usize, usize, bool);

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (
        0u8..9,
        0usize..3,
        0usize..2,
        0usize..PERIODS.len(),
        0usize..STATUSES.len(),
        any::<bool>(),
    );
    prop::collection::vec(act, 1..24)
}

fn carry_out(fixture: &Fixture, tasks: &[Uuid], act: Act) {
    let (what, task, by, period, status, good) = act;
    let (task, by, period) = (tasks[task], UNITS[by], PERIODS[period]);
    fixture.wait_ms(3_600_000 * (1 + status as i64 * 40));
    let facts = Facts::Report {
        unit: unit(by),
        issuer: unit(PROVINCE),
        task,
        period: period.to_owned(),
    };
    let report = facts.natural_id().expect("a natural key");
    let is_there = |id: Uuid| {
        let found = fixture
            .node
            .store
            .read_blocking(move |c| records::load(c, id));
        found.expect("read")
    };
    match what {
        0..4 => {
            fixture.report(task, PROVINCE, by, period, STATUSES[status]);
        }
        4 | 5 => {
            let Some(version) = is_there(report).and_then(|s| s.record.shown("submission")) else {
                return;
            };
            let reviewer = if status % 2 == 0 { PROVINCE } else { MINISTRY };
            let facts = Facts::Verdict {
                reviewer: unit(reviewer),
                unit: unit(by),
                issuer: unit(PROVINCE),
                report,
                submission: version["hash"].as_str().expect("a hash").to_owned(),
            };
            let verdict = json!({ "accepted": good, "reason": "mờ" });
            fixture.put(unit(reviewer), facts, Uuid::nil(), &[("verdict", verdict)]);
        }
        // A draft is changed, a version taken back, a deadline moved, and what is marked is derived.
        6 if is_there(report).is_some() => {
            let values = match good {
                true => [("result", json!("khác"))],
                false => [("submission", json!(null))],
            };
            fixture.put(unit(by), facts, Uuid::nil(), &values);
        }
        7 => {
            let due = format!("2026-0{}-15", 1 + status);
            let deadline = json!({ "text": due, "kind": "date", "due": due });
            let facts = Facts::Task {
                issuer: unit(PROVINCE),
                parent: None,
            };
            fixture.put(unit(PROVINCE), facts, task, &[("deadline", deadline)]);
        }
        _ => {
            let settle = move |tx: &mut crate::store::Tx<'_>| standings::settle(tx, 1 + status);
            fixture.node.store.write_blocking(settle).expect("derived");
        }
    }
}

type Told = BTreeMap<UnitId, (u32, u32, u32)>;

/// Expected, received and on time by unit, from the records alone.
fn plain(connection: &Connection, view: &View<'_>, period: Period) -> Result<Told, StoreError> {
    let mut told = Told::new();
    let due = nqsync_core::calendar::due_of(view.duties, &period).map(|at| at.as_millisecond());
    let span = rollups::span_of(&period);
    for task in records::of_kind(connection, Kind::Task)? {
        let inputs = Inputs::of_tasks(connection, view.tree, &[task], &Before::default())?;
        for ((_, unit), (standing, came)) in inputs.standings(&span, view.today()) {
            let in_time = standing
                .as_of
                .is_some_and(|at| due.is_none_or(|due| at <= due));
            let one = told.entry(unit).or_default();
            one.0 += u32::from(came.expected);
            one.1 += u32::from(came.received);
            one.2 += u32::from(came.received && in_time);
        }
    }
    Ok(told)
}

/// What some units do, counted from the records of all.
fn plainly_for(input: &GroupInput<'_>, among: &dyn Fn(UnitId) -> bool) -> GroupRollup {
    let (mut led, mut helped) = (Vec::new(), Vec::new());
    for task in input.tasks {
        let mut task = task.clone();
        task.lead.units.retain(|unit| among(*unit));
        task.coordinating.units.retain(|unit| among(*unit));
        if !task.lead.units.is_empty() {
            task.lead.unresolved.clear();
            led.push(task);
        } else if !task.coordinating.units.is_empty() {
            helped.push(task);
        }
    }
    let of = |tasks: &[TaskFacts]| fold(&GroupInput { tasks, ..*input });
    let (led, helped) = (of(&led), of(&helped));
    let none = GroupRollup::empty(input.evaluated_on);
    let assignments = GroupRollup {
        tasks: none.tasks,
        unresolved_lead: 0,
        warnings: none.warnings,
        ..helped
    };
    rollups::load::sum([&led, &assignments]).expect("two of them")
}

/// The reports that wait, from the records alone.
fn plainly_waiting(connection: &Connection, view: &View<'_>, wait: Wait) -> Vec<Uuid> {
    let mut found = Vec::new();
    for stored in records::of_kind(connection, Kind::Report).expect("read") {
        let Facts::Report {
            task, unit, period, ..
        } = stored.record.facts()
        else {
            continue;
        };
        if stored.record.shown("submission").is_none() {
            continue;
        }
        let record = records::load(connection, *task)
            .expect("read")
            .expect("a task");
        let inputs = Inputs::of_tasks(connection, view.tree, &[record], &Before::default());
        let mut inputs = inputs.expect("read");
        // Also whoever the task was never given to is told where their report stands.
        inputs.tasks[0].lead.units = vec![*unit];
        let span = super::views::span_of(period).expect("a period");
        let standings = inputs.standings(&span, view.today());
        let Some((standing, _)) = standings.get(&(*task, *unit)) else {
            continue;
        };
        let waits = match wait {
            Wait::Verdict => standing.evidence_pending,
            Wait::Correction => standing.derived == Derived::AwaitingCorrection,
            Wait::Submission => standings::draft_differs(&stored.record, &[]),
        };
        if waits {
            found.push(stored.record.key().id);
        }
    }
    found.sort_unstable();
    found
}

fn check(fixture: &Fixture) -> Result<(), TestCaseError> {
    let node = fixture.node.clone();
    let checked = fixture.node.store.read_blocking(move |connection| {
        let tree = queries::load_tree(connection)?;
        let view = View {
            connection,
            tree: &tree,
            home: unit(PROVINCE),
            here: NodeId(Uuid::from_u128(HERE)),
            zone: &node.settings.zone,
            period: node.settings.period,
            duties: &node.settings.duties,
            now_ms: node.clock.now_ms(),
            lang: Lang::En,
        };
        let standings = Standings::of(connection, &tree)?;
        let mut wrong = Vec::new();
        for text in PERIODS {
            let period: Period = text.parse().expect("a period");
            let due = nqsync_core::calendar::due_of(view.duties, &period);
            let kept = tallies_of(&view, &[(period, due)])?.remove(0);
            let kept: Told = kept
                .into_iter()
                .map(|(unit, tally)| (unit, (tally.expected, tally.received, tally.on_time)))
                .collect();
            let plain = plain(connection, &view, period)?;
            if kept != plain {
                wrong.push(format!("{text}: {kept:?} is {plain:?}"));
            }
            let end = period.end();
            for task in records::of_kind(connection, Kind::Task)? {
                let id = task.record.key().id;
                let inputs = Inputs::of_tasks(connection, &tree, &[task], &Before::default())?;
                let span = rollups::span_of(&period);
                let states = standings.states(id, Some(end))?;
                let due = inputs.tasks[0].due;
                let of_period = standings.of_period(&span)?;
                let kept = of_period.of(&inputs.tasks[0]);
                for ((_, unit), (standing, due_then)) in inputs.standings(&span, view.today()) {
                    let told = states.get(&unit).map(|state| state.on(due, view.today()));
                    let plain = standing.as_of.map(|_| (standing.derived, standing.overdue));
                    let one = kept.iter().find(|(of, ..)| *of == unit);
                    let stood =
                        one.map(|(_, stood, due)| (stood.map(|s| (s.at, s.rejected)), *due));
                    let then = standing.as_of.map(|at| (at, standing.rejected));
                    if told != plain || stood != Some((then, due_then)) {
                        wrong.push(format!("{text} {unit}: {told:?} {stood:?} is {standing:?}"));
                    }
                }
            }
        }
        for (text, by) in PERIODS.iter().flat_map(|text| UNITS.map(|by| (text, by))) {
            // One task after the other, and what is read for one unit, against the same from all the records at once.
            let period: Period = text.parse().expect("a period");
            let (span, among) = (rollups::span_of(&period), |of| of == unit(by));
            let (whose, before) = ((unit(PROVINCE), "I"), Before::default());
            let tasks = records::of_kind(connection, Kind::Task)?;
            let all = Inputs::of_tasks(connection, &tree, &tasks, &before)?;
            let on = view.today();
            let group =
                rollups::load::count(connection, &tree, whose, &before, &[(span.clone(), on)])?;
            if group != [all.fold(&span, on)] {
                wrong.push(format!("{text}: {group:?} is {:?}", all.fold(&span, on)));
            }
            let plain = all.ask(&span, on, |input| plainly_for(input, &among));
            let own =
                rollups::load::count_for(connection, &tree, whose, &before, (&span, on), &among)?;
            if own != plain {
                wrong.push(format!("{text} of {by}: {own:?} is {plain:?}"));
            }
        }
        for wait in [Wait::Verdict, Wait::Correction, Wait::Submission] {
            let mut kept: Vec<Uuid> = standings
                .waiting(wait)?
                .iter()
                .map(|place| place.report)
                .collect();
            kept.sort_unstable();
            let plain = plainly_waiting(connection, &view, wait);
            if kept != plain {
                wrong.push(format!("{wait:?}: {kept:?} is {plain:?}"));
            }
        }
        let differ = standings::compare(connection, &tree)?;
        if !differ.is_empty() {
            wrong.push(format!("kept otherwise: {differ:?}"));
        }
        Ok::<_, StoreError>(wrong)
    });
    let wrong = checked.expect("read");
    prop_assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 24, rng_seed: RngSeed::Fixed(20_261_128), ..Config::default() })]

    #[test]
    fn what_is_kept_of_where_work_stands_is_what_the_records_say(acts in acts()) {
        let fixture = Fixture::new();
        let tasks: Vec<Uuid> = (1..=3u128)
            .map(|n| fixture.task(PROVINCE, n, "I", &UNITS[..1 + n as usize % 2]))
            .collect();
        let given = Facts::Task { issuer: unit(PROVINCE), parent: None };
        let helps = json!({ "text": "", "units": [unit(WARD)] });
        fixture.put(unit(PROVINCE), given, tasks[1], &[("coordinating", helps)]);
        let half = acts.len() / 2;
        for (at, act) in acts.into_iter().enumerate() {
            carry_out(&fixture, &tasks, act);
            if at == half {
                check(&fixture)?;
            }
        }
        check(&fixture)?;
        let settle = |tx: &mut crate::store::Tx<'_>| standings::settle(tx, 4096);
        fixture.node.store.write_blocking(settle).expect("derived");
        let left = fixture.node.store.read_blocking(crate::store::standings::any_marked);
        prop_assert!(!left.expect("read"), "all was derived");
        check(&fixture)?;
    }
}

#[test]
fn a_row_that_a_hand_changed_is_found_and_derived_again() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.report(task, PROVINCE, COMMUNE, "2026-03", "completed");
    let settle = |tx: &mut crate::store::Tx<'_>| standings::settle(tx, 64);
    fixture.node.store.write_blocking(settle).expect("derived");
    let compare = |fixture: &Fixture| {
        let found = fixture.node.store.read_blocking(|connection| {
            let tree = queries::load_tree(connection)?;
            standings::compare(connection, &tree)
        });
        found.expect("compared")
    };
    assert_eq!(compare(&fixture), []);
    let spoil = |tx: &mut crate::store::Tx<'_>| {
        tx.connection()
            .execute("UPDATE standing SET state = 0", [])?;
        Ok::<_, StoreError>(())
    };
    fixture.node.store.write_blocking(spoil).expect("changed");
    assert_eq!(compare(&fixture), [(task, unit(COMMUNE))]);
    let again = |tx: &mut crate::store::Tx<'_>| {
        crate::store::standings::mark_all(tx.connection())?;
        standings::settle(tx, 64)
    };
    fixture.node.store.write_blocking(again).expect("derived");
    assert_eq!(compare(&fixture), []);
}

#[test]
fn from_the_day_on_which_a_unit_moves_the_new_unit_above_is_heard() {
    let fixture = Fixture::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let turn_day = || {
        let begun = runtime.block_on(crate::daemon::housekeeping::begin(&fixture.node));
        begun.expect("a day");
        let settle = |tx: &mut crate::store::Tx<'_>| standings::settle(tx, 64);
        fixture.node.store.write_blocking(settle).expect("derived");
    };
    turn_day();
    let task = fixture.task(PROVINCE, 1, "I", &[WARD]);
    let report = fixture.report(task, PROVINCE, WARD, "2026-03", "completed");
    let stored = fixture.record(report);
    let version = stored.shown("submission").expect("submitted");
    let facts = Facts::Verdict {
        reviewer: unit(COMMUNE),
        unit: unit(WARD),
        issuer: unit(PROVINCE),
        report,
        submission: version["hash"].as_str().expect("a hash").to_owned(),
    };
    let verdict = json!({ "accepted": false, "reason": "mờ" });
    fixture.put(unit(COMMUNE), facts, Uuid::nil(), &[("verdict", verdict)]);
    let owner = unit(PROVINCE);
    let places = json!([{ "unit": owner }, { "unit": unit(COMMUNE), "from": "2026-03-20" }]);
    let id = Uuid::from_u128(WARD);
    fixture.put(owner, Facts::Unit { owner }, id, &[("parent", places)]);
    turn_day();
    check(&fixture).expect("as the records say");
    let states = || {
        let read = move |connection: &Connection| {
            let tree = queries::load_tree(connection)?;
            Standings::of(connection, &tree)?.states(task, None)
        };
        let states = fixture.node.store.read_blocking(read).expect("read");
        states[&unit(WARD)]
    };
    let before = states();
    fixture.wait_ms(6 * 86_400_000);
    turn_day();
    check(&fixture).expect("as the records say, on the day of the move");
    assert_ne!(states(), before, "whom nobody heard before is heard now");
}
