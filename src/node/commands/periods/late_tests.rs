//! What comes after a closing: it waits, it is named, and a person takes it in.

use serde_json::{Value, json};
use uuid::Uuid;

use nqsync_core::model::{Facts, UnitId};
use nqsync_core::period::Step;

use super::super::fixture::{COMMUNE, Fixture, MINISTRY, PROVINCE, WARD, unit};
use crate::api::{Command, RollupBy};

const MARCH: &str = "2026-03";

fn decide(step: Step, who: &str, reason: Option<&str>) -> Command {
    Command::PeriodDecide {
        step,
        units: vec![who.to_owned()],
        all: false,
        period: Some(MARCH.to_owned()),
        reason: reason.map(str::to_owned),
    }
}

fn restate(who: &str, preview: bool) -> Command {
    Command::PeriodRestate {
        period: MARCH.to_owned(),
        unit: Some(who.to_owned()),
        reason: "annex 2 was wrong".to_owned(),
        preview,
    }
}

fn period(fixture: &Fixture, who: &str) -> Value {
    fixture.data(Command::PeriodShow {
        unit: Some(who.to_owned()),
        period: Some(MARCH.to_owned()),
    })
}

fn rollup(fixture: &Fixture, version: Option<u32>) -> Value {
    fixture.data(Command::RollupShow {
        period: Some(MARCH.to_owned()),
        unit: None,
        by: RollupBy::Group,
        recompute: version.is_none(),
        version,
    })
}

/// The counts of a rollup, without what is said about versions.
fn counts(rollup: &Value) -> Value {
    let names = [
        "tasks",
        "assignments",
        "coverage",
        "warnings",
        "evidence_pending",
        "as_of",
        "rows",
    ];
    names.iter().map(|name| rollup[*name].clone()).collect()
}

fn number<'a>(moved: &'a Value, name: &str) -> &'a Value {
    let mut lines = moved.as_array().into_iter().flatten();
    lines
        .find(|line| line["number"] == name)
        .unwrap_or(&Value::Null)
}

/// Two communes with a task each, both reported as in progress; the first one's month is closed.
fn half_closed() -> (Fixture, [Uuid; 2]) {
    let fixture = Fixture::new();
    let tasks = [
        fixture.task(PROVINCE, 1, "I", &[COMMUNE]),
        fixture.task(PROVINCE, 2, "I", &[WARD]),
    ];
    fixture.report(tasks[0], PROVINCE, COMMUNE, MARCH, "in_progress");
    fixture.report(tasks[1], PROVINCE, WARD, MARCH, "in_progress");
    fixture.data(decide(Step::Close, "00123", None));
    fixture.recompute();
    (fixture, tasks)
}

#[test]
fn a_late_report_waits_while_those_of_open_units_count() {
    let (fixture, tasks) = half_closed();
    let before = rollup(&fixture, None);
    fixture.report(tasks[0], PROVINCE, COMMUNE, MARCH, "completed");
    fixture.recompute();
    let waiting = rollup(&fixture, None);
    assert_eq!(counts(&waiting), counts(&before));
    assert_eq!(
        (&waiting["late"], &waiting["recomputed"]["same"]),
        (&json!(1), &json!(true))
    );
    fixture.report(tasks[1], PROVINCE, WARD, MARCH, "completed");
    fixture.recompute();
    assert_eq!(
        rollup(&fixture, None)["tasks"]["by_status"],
        json!({ "in_progress": 1, "completed_on_time": 1 })
    );

    let shown = period(&fixture, "00123");
    let late = &shown["late"][0];
    assert_eq!(
        (
            &late["kind"],
            &late["unit"],
            &late["from"]["status"],
            &late["to"]["status"]
        ),
        (
            &json!("report"),
            &json!("00123"),
            &json!("in_progress"),
            &json!("completed")
        )
    );
    assert_eq!(shown["late"].as_array().map(Vec::len), Some(1));
    let line = number(&shown["would_move"], "tasks.by_status.completed_on_time");
    assert_eq!(
        (&line["issuer"], &line["group"], &line["old"], &line["new"]),
        (&json!("79"), &json!("I"), &json!(1), &json!(2))
    );
    assert_eq!(period(&fixture, "00456")["late"], json!([]));
    assert_eq!(fixture.data(Command::Status)["late"], 1);
}

#[test]
fn a_restatement_names_old_and_new_and_the_earlier_version_stays_as_it_was() {
    let (fixture, tasks) = half_closed();
    fixture.data(decide(Step::Close, "00456", None));
    let first = rollup(&fixture, None);
    assert_eq!(
        (&first["closed"], &first["version"]),
        (&json!(true), &json!(1))
    );
    fixture.report(tasks[0], PROVINCE, COMMUNE, MARCH, "completed");
    fixture.recompute();
    let preview = fixture.data(restate("00123", true));
    assert_eq!(counts(&rollup(&fixture, None)), counts(&first));

    let done = fixture.data(restate("00123", false));
    assert_eq!(
        (&done["version"], &done["moved"]),
        (&json!(2), &preview["moved"])
    );
    fixture.recompute();
    let second = rollup(&fixture, None);
    assert_eq!(
        second["tasks"]["by_status"],
        json!({ "in_progress": 1, "completed_on_time": 1 })
    );
    assert_eq!(
        (&second["late"], &second["version"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(second["recomputed"]["same"], true);
    assert_eq!(counts(&rollup(&fixture, Some(1))), counts(&first));
    assert_eq!(counts(&rollup(&fixture, Some(2))), counts(&second));

    let shown = period(&fixture, "00123");
    let version = &shown["versions"][0];
    assert_eq!(
        (
            &version["version"],
            &version["by"],
            &version["reason"],
            &version["unit"]
        ),
        (
            &json!(2),
            &json!("An"),
            &json!("annex 2 was wrong"),
            &json!("00123")
        )
    );
    let line = number(&version["moved"], "tasks.by_status.in_progress");
    assert_eq!((&line["old"], &line["new"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&shown["state"], &shown["late"]),
        (&json!("locked"), &json!([]))
    );
    // Nothing waits any more: the same again is no new version.
    assert_eq!(fixture.data(restate("00123", false))["version"], 2);
    // What the rollup tells the level above.
    let facts = Facts::Rollup {
        issuer: unit(PROVINCE),
        period: MARCH.to_owned(),
        group: "I".to_owned(),
    };
    let told = fixture
        .record(facts.natural_id().expect("natural"))
        .shown("restated");
    let told = told.expect("told");
    assert_eq!(
        (&told[0]["version"], &told[0]["reason"]),
        (&json!(2), &json!("annex 2 was wrong"))
    );
    assert_eq!(
        number(&told[0]["moved"], "tasks.by_status.completed_on_time")["new"],
        1
    );
}

#[test]
fn closed_figures_are_moved_by_no_new_task_either() {
    let (fixture, _) = half_closed();
    fixture.data(decide(Step::Close, "00456", None));
    let closed = rollup(&fixture, None);
    fixture.task(PROVINCE, 3, "I", &[COMMUNE]);
    fixture.task(PROVINCE, 4, "II", &[COMMUNE]);
    fixture.recompute();
    let after = rollup(&fixture, None);
    assert_eq!(counts(&after), counts(&closed));
    assert_eq!(
        (&after["closed"], &after["late"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(after["recomputed"]["same"], true);
    // The next restatement will say so.
    let preview = fixture.data(restate("00123", true));
    let line = number(&preview["moved"], "tasks.by_status.not_reported");
    assert_eq!((&line["group"], &line["old"]), (&json!("I"), &Value::Null));
}

#[test]
fn a_late_verdict_is_listed_and_waits() {
    let (fixture, tasks) = half_closed();
    let about = Facts::Report {
        unit: unit(COMMUNE),
        issuer: unit(PROVINCE),
        task: tasks[0],
        period: MARCH.to_owned(),
    };
    let report = about.natural_id().expect("natural");
    let submission = fixture.record(report).shown("submission").expect("one")["hash"].clone();
    let before = rollup(&fixture, None);
    let facts = Facts::Verdict {
        reviewer: unit(PROVINCE),
        unit: unit(COMMUNE),
        issuer: unit(PROVINCE),
        report,
        submission: submission.as_str().unwrap_or_default().to_owned(),
    };
    let verdict = json!({ "accepted": false, "reason": "blurred scan" });
    fixture.put(unit(PROVINCE), facts, Uuid::nil(), &[("verdict", verdict)]);
    fixture.recompute();
    assert_eq!(counts(&rollup(&fixture, None)), counts(&before));
    let shown = period(&fixture, "00123");
    let late = &shown["late"][0];
    assert_eq!(
        (
            &late["kind"],
            &late["from"],
            &late["to"]["accepted"],
            &late["to"]["reason"]
        ),
        (
            &json!("verdict"),
            &Value::Null,
            &json!(false),
            &json!("blurred scan")
        )
    );
    let line = number(&shown["would_move"], "warnings.insufficient");
    assert_eq!((&line["old"], &line["new"]), (&json!(0), &json!(1)));
}

#[test]
fn a_late_indicator_value_is_not_in_the_total_until_it_is_taken_in() {
    let fixture = Fixture::new();
    let indicator = Uuid::from_u128(0xb1);
    let definer = unit(PROVINCE);
    let values = [
        (
            "definition",
            json!({ "code": "CT1", "name": "Records online", "measure": "records",
            "over_time": "discrete", "aggregation": "sum" }),
        ),
        ("assigned", json!({ "units": [unit(COMMUNE), unit(WARD)] })),
    ];
    fixture.put(definer, Facts::Indicator { definer }, indicator, &values);
    let figure = |of: UnitId, value: &str| {
        let facts = Facts::Figure {
            unit: of,
            definer,
            indicator,
            period: MARCH.to_owned(),
        };
        let figures = json!({ "value": value, "numerator": null, "denominator": null });
        fixture.put(of, facts, Uuid::nil(), &[("figures", figures)])
    };
    let total = || {
        let list = fixture.data(Command::IndicatorList {
            period: Some(MARCH.to_owned()),
            unit: None,
        });
        list["items"][0].clone()
    };
    figure(unit(COMMUNE), "10");
    fixture.data(decide(Step::Close, "00123", None));
    figure(unit(COMMUNE), "12");
    figure(unit(WARD), "5");
    assert_eq!(
        (&total()["total"]["value"], &total()["late"]),
        (&json!("15"), &json!(1))
    );
    let shown = period(&fixture, "00123");
    assert_eq!(shown["late"][0]["title"], "CT1 Records online");
    let done = fixture.data(restate("00123", false));
    let line = number(&done["moved"], "value");
    assert_eq!(
        (&line["indicator"], &line["old"], &line["new"]),
        (&json!("CT1"), &json!("15"), &json!("17"))
    );
    assert_eq!(
        (&total()["total"]["value"], &total()["late"]),
        (&json!("17"), &json!(0))
    );
    // Opened again and closed again, it says what moved as well.
    fixture.data(decide(Step::Reopen, "00123", Some("wrong annex")));
    figure(unit(COMMUNE), "20");
    assert_eq!(total()["total"]["value"], "25");
    fixture.data(decide(Step::Close, "00123", None));
    let shown = period(&fixture, "00123");
    let line = number(&shown["versions"][1]["moved"], "value");
    assert_eq!((&line["old"], &line["new"]), (&json!("17"), &json!("25")));
}

#[test]
fn a_period_closed_again_after_it_was_open_says_what_moved() {
    let (fixture, tasks) = half_closed();
    fixture.data(decide(Step::Close, "00456", None));
    let first = rollup(&fixture, None);
    fixture.data(decide(Step::Reopen, "00123", Some("wrong annex")));
    fixture.report(tasks[0], PROVINCE, COMMUNE, MARCH, "completed");
    fixture.recompute();
    assert_eq!(
        rollup(&fixture, None)["tasks"]["by_status"]["completed_on_time"],
        1
    );
    fixture.data(decide(Step::Close, "00123", None));
    let shown = period(&fixture, "00123");
    let version = &shown["versions"][0];
    assert_eq!(
        (&version["version"], &version["reason"]),
        (&json!(2), &json!("wrong annex"))
    );
    let line = number(&version["moved"], "tasks.by_status.completed_on_time");
    assert_eq!((&line["old"], &line["new"]), (&Value::Null, &json!(1)));
    assert_eq!(counts(&rollup(&fixture, Some(1))), counts(&first));
}

#[test]
fn what_a_unit_below_restates_is_seen_waiting_and_is_restated_in_turn() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[WARD]);
    fixture.recompute();
    let own = Facts::Rollup {
        issuer: unit(PROVINCE),
        period: MARCH.to_owned(),
        group: "I".to_owned(),
    };
    let mut value = fixture
        .record(own.natural_id().expect("natural"))
        .shown("rollup")
        .expect("one");
    let below = || Facts::Rollup {
        issuer: unit(COMMUNE),
        period: MARCH.to_owned(),
        group: "X".to_owned(),
    };
    fixture.put(
        unit(COMMUNE),
        below(),
        Uuid::nil(),
        &[("rollup", value.clone())],
    );
    fixture.data(decide(Step::Close, "00123", None));
    let first = rollup(&fixture, None);
    value["tasks"]["total"] = json!(4);
    let moved = json!([{ "number": "tasks.total", "old": 1, "new": 4 }]);
    let told =
        json!([{ "version": 2, "at": 0, "by": "Bình", "reason": "annex 1", "moved": moved }]);
    let restated = [("rollup", value), ("restated", told)];
    fixture.put(unit(COMMUNE), below(), Uuid::nil(), &restated);
    fixture.put(unit(COMMUNE), below(), Uuid::nil(), &restated);
    fixture.recompute();
    assert_eq!(counts(&rollup(&fixture, None)), counts(&first));
    let shown = period(&fixture, "00123");
    let version = &shown["versions_below"][0];
    assert_eq!(
        (
            &version["issuer"],
            &version["version"],
            &version["by"],
            &version["taken_in"]
        ),
        (&json!("00123"), &json!(2), &json!("Bình"), &json!(false))
    );
    assert_eq!(version["moved"][0]["old"], 1);
    let line = number(&shown["would_move"], "tasks.total");
    assert_eq!(
        (&line["issuer"], &line["old"], &line["new"]),
        (&json!("00123"), &json!(1), &json!(4))
    );
    fixture.data(restate("00123", false));
    let shown = period(&fixture, "00123");
    assert_eq!(shown["versions_below"][0]["taken_in"], true);
    assert_eq!(rollup(&fixture, None)["tasks"]["total"], 5);
    assert_eq!(counts(&rollup(&fixture, Some(1))), counts(&first));
}

#[test]
fn only_closed_periods_are_restated_and_an_unknown_version_is_named() {
    let (fixture, _) = half_closed();
    assert_eq!(
        fixture.refused(restate("00456", false)),
        "period_not_restated"
    );
    assert_eq!(
        fixture.refused(restate("00456", true)),
        "period_not_restated"
    );
    let version = Command::RollupShow {
        period: Some(MARCH.to_owned()),
        unit: None,
        by: RollupBy::Group,
        recompute: false,
        version: Some(7),
    };
    assert_eq!(fixture.refused(version), "rollup_no_version");
}

#[test]
fn a_past_period_stays_with_who_decided_it_when_its_unit_moves_or_ends() {
    let day =
        |n: u128| json!([{ "unit": unit(PROVINCE) }, { "unit": unit(n), "from": "2026-03-15" }]);
    let ended = json!({ "kind": "merged", "from": "2026-03-15", "successors": [unit(WARD)], "heir": unit(WARD) });
    for change in [("parent", day(MINISTRY)), ("succession", ended)] {
        let fixture = Fixture::new();
        fixture.data(decide(Step::Close, "00123", None));
        let owner = unit(PROVINCE);
        fixture.put(
            owner,
            Facts::Unit { owner },
            unit(COMMUNE).0,
            std::slice::from_ref(&change),
        );
        let shown = period(&fixture, "00123");
        assert_eq!(
            (&shown["state"], &shown["above"]),
            (&json!("locked"), &json!("79")),
            "{change:?}"
        );
        let open = fixture.data(decide(Step::Reopen, "00123", Some("wrong annex")));
        assert_eq!(open["state"], "reopened");
    }
}

#[test]
fn figures_that_nobody_had_written_down_stay_too_when_the_level_above_closes_them() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.recompute();
    let january = || {
        let show = Command::RollupShow {
            period: Some("2026-01".to_owned()),
            unit: None,
            by: RollupBy::Group,
            recompute: false,
            version: None,
        };
        fixture.data(show)
    };
    let before = january();
    assert_eq!(
        (&before["tasks"]["total"], &before["closed"]),
        (&json!(1), &json!(false))
    );
    let review = Facts::Period {
        unit: unit(PROVINCE),
        reviewer: unit(MINISTRY),
        period: "2026-01".to_owned(),
        stage: nqsync_core::model::PeriodStage::Review,
    };
    fixture.put(
        unit(MINISTRY),
        review,
        Uuid::nil(),
        &[("state", json!({ "state": "locked" }))],
    );
    fixture.recompute();
    fixture.task(PROVINCE, 2, "I", &[COMMUNE]);
    fixture.recompute();
    assert_eq!(counts(&january()), counts(&before));
    assert_eq!(january()["closed"], true);
    // The unit's own figures: it says itself when they move.
    let own = |preview| Command::PeriodRestate {
        period: "2026-01".to_owned(),
        unit: None,
        reason: "a task was missing".to_owned(),
        preview,
    };
    let done = fixture.data(own(false));
    let line = number(&done["moved"], "tasks.total");
    assert_eq!((&line["old"], &line["new"]), (&json!(1), &json!(2)));
    assert_eq!(january()["tasks"]["total"], 2);
}
