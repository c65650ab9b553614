//! Scores of units on a real store: the numbers behind them are those of rollups and periods.

use nqsync_core::model::Facts;
use nqsync_core::period::Step;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{COMMUNE, Fixture, PROVINCE, WARD, unit};
use crate::api::{Command, Exit, RollupBy};

fn scores(fixture: &Fixture, period: &str, unit: Option<&str>) -> Value {
    fixture.data(Command::ScoreShow {
        period: Some(period.to_owned()),
        unit: unit.map(str::to_owned),
    })
}

fn of<'v>(scores: &'v Value, code: &str) -> &'v Value {
    let items = scores["items"].as_array().expect("units");
    items
        .iter()
        .find(|item| item["unit"] == code)
        .expect("a unit")
}

fn line(item: &Value, code: &str) -> (u64, u64) {
    let lines = item["lines"].as_array().expect("lines");
    let line = lines
        .iter()
        .find(|line| line["code"] == code)
        .expect("a line");
    let number = |name: &str| line[name].as_u64().expect("a number");
    (number("reached"), number("of"))
}

fn judge(fixture: &Fixture, report: Uuid, by: u128, accepted: bool) {
    let version = fixture
        .record(report)
        .shown("submission")
        .expect("a version");
    let facts = Facts::Verdict {
        reviewer: unit(PROVINCE),
        unit: unit(by),
        issuer: unit(PROVINCE),
        report,
        submission: version["hash"].as_str().expect("a hash").to_owned(),
    };
    let verdict = json!({ "accepted": accepted, "reason": "mờ" });
    fixture.put(unit(PROVINCE), facts, Uuid::nil(), &[("verdict", verdict)]);
}

#[test]
fn scores_say_for_every_point_what_rollups_and_periods_count() {
    let fixture = Fixture::new();
    let tasks: Vec<Uuid> = (1..=4)
        .map(|number| fixture.task(PROVINCE, number, "I", &[COMMUNE, WARD]))
        .collect();
    for task in &tasks[..3] {
        let report = fixture.report(*task, PROVINCE, COMMUNE, "2026-03", "completed");
        judge(&fixture, report, COMMUNE, true);
    }
    let sent_back = fixture.report(tasks[0], PROVINCE, WARD, "2026-03", "completed");
    judge(&fixture, sent_back, WARD, false);
    fixture.report(tasks[1], PROVINCE, WARD, "2026-03", "in_progress");
    // After the due day, 31 March.
    fixture.wait_ms(20 * 86_400_000);
    fixture.report(tasks[3], PROVINCE, COMMUNE, "2026-03", "completed");

    let found = scores(&fixture, "2026-03", None);
    let (commune, ward) = (of(&found, "00123"), of(&found, "00456"));
    let rollup = fixture.data(Command::RollupShow {
        period: Some("2026-03".to_owned()),
        unit: None,
        by: RollupBy::Unit,
        recompute: false,
        version: None,
    });
    let periods = fixture.data(Command::PeriodList {
        unit: None,
        period: Some("2026-03".to_owned()),
    });
    for (code, item) in [("00123", commune), ("00456", ward)] {
        let rows = rollup["rows"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["key"] == code).expect("a row");
        let number = |name: &str| row["tasks"][name].as_u64().expect("a count");
        let (on_time, late) = (number("on_time"), number("late"));
        assert_eq!(line(item, "1"), (on_time, on_time + late), "{code}");
        let listed = periods["items"].as_array().expect("units");
        let listed = listed
            .iter()
            .find(|one| one["unit"] == code)
            .expect("a unit");
        let number = |name: &str| listed[name].as_u64().expect("a count");
        assert_eq!(
            line(item, "4"),
            (number("on_time"), number("received")),
            "{code}"
        );
    }
    assert_eq!(
        line(commune, "1"),
        (3, 4),
        "one was completed after its due day"
    );
    assert_eq!((line(commune, "2"), line(ward, "2")), ((3, 3), (0, 1)));
    // 20 of 40, 20 and 20; 40, 0 and 20.
    assert_eq!((&commune["rank"], &ward["rank"]), (&json!(1), &json!(1)));
    assert_eq!(commune["lines"][2]["points"], Value::Null, "no indicator");
    let office = of(&found, "79.VP");
    assert_eq!(
        (&office["rank"], &office["points"], &office["grade"]),
        (&json!(null), &json!(null), &json!(null))
    );
    // What was sent back, and what was not begun, is neither on time nor late before the due day.
    assert_eq!((line(ward, "1"), line(ward, "4")), ((1, 1), (2, 2)));
    assert_eq!(found["ranked"], 2);
    // Who asks about one unit sees the same place.
    let alone = scores(&fixture, "2026-03", Some("00456"));
    assert_eq!(
        (alone["total"].as_u64(), of(&alone, "00456")),
        (Some(1), ward)
    );
    // Until the deadline of the reports what has not come is not missing.
    fixture.wait_ms(60 * 86_400_000);
    let over = scores(&fixture, "2026-03", None);
    let (commune, ward) = (of(&over, "00123"), of(&over, "00456"));
    assert_eq!(line(ward, "4"), (2, 4));
    assert_eq!((&commune["rank"], &ward["rank"]), (&json!(1), &json!(2)));
}

#[test]
fn scores_of_a_closed_period_stay_until_a_person_restates_it() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let report = fixture.report(task, PROVINCE, COMMUNE, "2026-03", "completed");
    judge(&fixture, report, COMMUNE, true);
    let close = Command::PeriodDecide {
        step: Step::Close,
        units: vec!["00123".to_owned()],
        all: false,
        period: Some("2026-03".to_owned()),
        reason: None,
    };
    fixture.data(close);
    let closed = scores(&fixture, "2026-03", None);
    assert_eq!(line(of(&closed, "00123"), "2"), (1, 1));
    fixture.report(task, PROVINCE, COMMUNE, "2026-03", "in_progress");
    let late = scores(&fixture, "2026-03", None);
    assert_eq!(late["items"], closed["items"]);
    assert_eq!((&closed["late"], &late["late"]), (&json!(0), &json!(1)));
    fixture.data(Command::PeriodRestate {
        period: "2026-03".to_owned(),
        unit: Some("00123".to_owned()),
        reason: "it was not completed".to_owned(),
        preview: false,
    });
    let restated = scores(&fixture, "2026-03", None);
    assert_eq!(line(of(&restated, "00123"), "2"), (0, 0));
}

#[test]
fn criteria_that_cannot_be_used_are_named_and_nothing_is_scored() {
    let mut fixture = Fixture::new();
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("scoring.toml");
    std::fs::write(&file, "title = \"x\"\n[[criterion]]\ncode = 1\n").expect("written");
    fixture.node.settings.scoring_file = Some(file);
    let show = Command::ScoreShow {
        period: None,
        unit: None,
    };
    let refused = fixture.ask(show).expect_err("a refusal");
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Configuration, "bad_criteria")
    );
    assert!(
        refused.message.contains("scoring.toml: line 3"),
        "{}",
        refused.message
    );
}
