//! What is due and what came, at a node that serves a commune and the units above it.

use jiff::civil::date;
use jiff::tz::TimeZone;
use nqsync_core::calendar::Duty;
use nqsync_core::period::Step;

use super::super::desk::Desk;
use super::*;
use crate::api::{Command, ReportFields, ReportRef};
use crate::node::reminders;

const UNIT: &str = "27001";

fn percent(task: &Value, period: &str) -> Command {
    Command::ReportSet {
        report: ReportRef {
            task: task["id"].as_str().unwrap_or_default().to_owned(),
            unit: Some(UNIT.to_owned()),
            period: Some(period.to_owned()),
        },
        fields: ReportFields {
            status: Some("in_progress".to_owned()),
            percent: Some("40".to_owned()),
            ..Default::default()
        },
        token: None,
        submit: true,
    }
}

fn show(from: &str, to: &str) -> Command {
    Command::CalendarShow {
        unit: Some(UNIT.to_owned()),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
    }
}

/// Moves the desk's clock to noon of a day in Viet Nam.
fn go_to(desk: &Desk, day: Date) {
    let noon = day.at(12, 0, 0, 0).in_tz("Asia/Ho_Chi_Minh").unwrap();
    let ms = noon.timestamp().as_millisecond() - desk.node.clock.now_ms();
    desk.advance(ms);
}

/// A task that was given in February; it is March now.
async fn given_in_february(desk: &Desk, lead: &[&str]) -> Value {
    go_to(desk, date(2026, 2, 2));
    let task = desk.task(lead).await;
    go_to(desk, date(2026, 3, 15));
    task
}

fn duties(texts: &[&str]) -> Vec<Duty> {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let read = texts.iter().map(|text| Duty::parse(text, &zone).unwrap());
    read.collect()
}

/// Period, state, expected, received, on time and missing of every term.
fn told(data: &Value) -> Vec<(String, String, [u64; 4])> {
    let numbers = ["expected", "received", "on_time", "missing"];
    let term = |item: &Value| {
        (
            item["period"].as_str().unwrap().to_owned(),
            item["state"].as_str().unwrap().to_owned(),
            numbers.map(|name| item[name].as_u64().unwrap()),
        )
    };
    data["items"].as_array().unwrap().iter().map(term).collect()
}

#[tokio::test]
async fn a_term_tells_what_is_missing_then_what_came_late_and_what_in_time() {
    let desk = Desk::new().await;
    let task = given_in_february(&desk, &[UNIT]).await;
    let asked = show("2026-03-01", "2026-04-30");
    let term = |period: &str, state: &str, counts| (period.to_owned(), state.to_owned(), counts);
    assert_eq!(
        told(&desk.ok(asked.clone()).await.data),
        [
            term("2026-02", "missing", [1, 0, 0, 1]),
            term("2026-03", "open", [1, 0, 0, 1])
        ]
    );
    desk.ok(percent(&task, "2026-02")).await;
    desk.ok(percent(&task, "2026-03")).await;
    let data = desk.ok(asked).await.data;
    assert_eq!(
        told(&data),
        [
            term("2026-02", "late", [1, 1, 0, 0]),
            term("2026-03", "on_time", [1, 1, 1, 0])
        ]
    );
    let march = &data["items"][1];
    assert_eq!(march["due"], "2026-04-10T17:00:00Z");
    assert_eq!(march["last_day"], "2026-04-10");
    assert_eq!(march["consolidation_due"], "2026-04-14T17:00:00Z");
    assert_eq!(
        (
            &march["units_expected"],
            &march["units_complete"],
            &march["units_on_time"]
        ),
        (&json!(1), &json!(1), &json!(1))
    );
    let unit = &march["units"][0];
    assert_eq!(
        (&unit["unit"], &unit["state"], &unit["period_state"]),
        (&json!(UNIT), &json!("on_time"), &json!("open"))
    );
}

#[tokio::test]
async fn nobody_owes_a_report_of_a_month_that_was_over_when_the_task_was_given() {
    let desk = Desk::new().await;
    desk.task(&[UNIT]).await;
    let term = |period: &str, state: &str, counts| (period.to_owned(), state.to_owned(), counts);
    assert_eq!(
        told(&desk.ok(show("2026-03-01", "2026-04-30")).await.data),
        [
            term("2026-02", "nothing_due", [0, 0, 0, 0]),
            term("2026-03", "open", [1, 0, 0, 1])
        ]
    );
    let list = |period: &str| Command::PeriodList {
        unit: Some(UNIT.to_owned()),
        period: Some(period.to_owned()),
    };
    for (period, expected) in [("2026-02", 0), ("2026-03", 1)] {
        let unit = desk.ok(list(period)).await.data["items"][0].clone();
        assert_eq!(unit["expected"], expected, "{period}");
    }
}

#[tokio::test]
async fn without_days_it_is_a_month_around_today_for_everybody_near() {
    let desk = Desk::new().await;
    given_in_february(&desk, &[UNIT, "79"]).await;
    let asked = Command::CalendarShow {
        unit: None,
        from: None,
        to: None,
    };
    let data = desk.ok(asked).await.data;
    assert_eq!(
        (&data["from"], &data["to"]),
        (&json!("2026-02-12"), &json!("2026-04-15"))
    );
    assert_eq!(data["zone"], "Asia/Ho_Chi_Minh");
    let units = data["items"][0]["units"].as_array().unwrap();
    let codes: Vec<&Value> = units.iter().map(|unit| &unit["unit"]).collect();
    assert_eq!(codes, ["79", UNIT]);
}

#[tokio::test]
async fn a_stretch_that_cannot_be_shown_is_refused_with_the_reason() {
    let desk = Desk::new().await;
    for (from, to, code) in [
        ("2026-03-02", "2026-03-01", "bad_stretch"),
        ("2026-01-01", "2027-12-31", "bad_stretch"),
        ("31/02/2026", "2026-03-01", "bad_day"),
        ("2026-01-01", "9999-01-01", "bad_day"),
    ] {
        assert_eq!(desk.no(show(from, to)).await.code, code, "{from} {to}");
    }
}

#[tokio::test]
async fn regimes_of_the_configuration_are_in_force_for_those_they_name() {
    let mut desk = Desk::new().await;
    given_in_february(&desk, &[UNIT]).await;
    desk.node.settings.duties = duties(&["weekly", "ward_monthly for 66 99999", "monthly for 79"]);
    let answer = desk.ok(show("2026-03-09", "2026-04-10")).await;
    let found: Vec<(&str, &str, u64)> = answer.data["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let text = |name: &str| item[name].as_str().unwrap();
            (
                text("regime"),
                text("period"),
                item["expected"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("monthly", "2026-02", 1),
            ("weekly", "2026-W11", 1),
            ("weekly", "2026-W12", 1),
            // In force for the other province only.
            ("ward_monthly", "2026-03", 0),
            ("weekly", "2026-W13", 1),
            ("weekly", "2026-W14", 1),
            ("weekly", "2026-W15", 1),
            ("monthly", "2026-03", 1),
        ]
    );
    assert!(answer.notes[0].contains("99999"), "{:?}", answer.notes);
    // What `period list` names as the deadline is the same.
    let listed = Command::PeriodList {
        unit: None,
        period: Some("2026-03".to_owned()),
    };
    assert_eq!(desk.ok(listed).await.data["due"], "2026-03-19T17:00:00Z");
}

#[tokio::test]
async fn who_owes_a_report_is_named_before_and_after_the_deadline_until_it_comes_or_the_period_is_closed()
 {
    let mut desk = Desk::new().await;
    desk.node.settings.reminders = Reminders {
        before: vec![3, 0],
        after: vec![1],
    };
    let task = desk.task(&[UNIT]).await;
    desk.ok(percent(&task, "2026-02")).await;
    let stages = async |desk: &Desk, day: Date| -> Vec<(String, i64)> {
        go_to(desk, day);
        let data = desk.ok(Command::CalendarToday).await.data;
        assert_eq!(data["date"], day.to_string());
        let reminders = data["reminders"].as_array().unwrap();
        let stage = |r: &Value| {
            assert_eq!(r["owing"][0]["unit"], UNIT);
            (
                r["period"].as_str().unwrap().to_owned(),
                r["stage"].as_i64().unwrap(),
            )
        };
        reminders.iter().map(stage).collect()
    };
    let march = |stage: i64| vec![("2026-03".to_owned(), stage)];
    assert_eq!(stages(&desk, date(2026, 4, 6)).await, []);
    assert_eq!(stages(&desk, date(2026, 4, 7)).await, march(-3));
    assert_eq!(stages(&desk, date(2026, 4, 9)).await, march(-3));
    assert_eq!(stages(&desk, date(2026, 4, 10)).await, march(0));
    assert_eq!(stages(&desk, date(2026, 4, 11)).await, march(1));
    assert_eq!(stages(&desk, date(2026, 4, 20)).await, march(1));
    let close = Command::PeriodDecide {
        step: Step::Close,
        units: vec![UNIT.to_owned()],
        all: false,
        period: Some("2026-03".to_owned()),
        reason: None,
    };
    desk.ok_as("79", close).await;
    assert_eq!(stages(&desk, date(2026, 4, 20)).await, []);
    assert_eq!(
        stages(&desk, date(2026, 5, 7)).await,
        [("2026-04".to_owned(), -3)]
    );
    desk.ok(percent(&task, "2026-04")).await;
    assert_eq!(stages(&desk, date(2026, 5, 7)).await, []);
}

#[tokio::test]
async fn status_shows_the_last_count_and_nothing_is_written_while_it_stays_the_same() {
    let mut desk = Desk::new().await;
    desk.node.settings.reminders = Reminders {
        before: vec![3],
        after: vec![1],
    };
    let task = given_in_february(&desk, &[UNIT]).await;
    let shown = async |desk: &Desk| desk.ok(Command::Status).await.data["reminders"].clone();
    assert_eq!(shown(&desk).await, json!([]));
    reminders::refresh(&desk.node).await.unwrap();
    let first = shown(&desk).await;
    assert_eq!(
        (&first[0]["period"], &first[0]["units_owing"]),
        (&json!("2026-02"), &json!(1))
    );
    desk.advance(60_000);
    reminders::refresh(&desk.node).await.unwrap();
    assert_eq!(
        shown(&desk).await,
        first,
        "the same count was written again"
    );
    desk.ok(percent(&task, "2026-02")).await;
    reminders::refresh(&desk.node).await.unwrap();
    assert_eq!(shown(&desk).await, json!([]));
}
