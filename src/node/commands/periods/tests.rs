//! The verbs of reporting periods, at a node that serves both sides.

use serde_json::json;

use super::super::desk::Desk;
use super::*;
use crate::api::{Command, ReportFields, ReportRef};

const UNIT: &str = "27001";
const ABOVE: &str = "79";

fn percent(task: &Value, value: &str) -> Command {
    Command::ReportSet {
        report: ReportRef {
            task: task["id"].as_str().unwrap_or_default().to_owned(),
            unit: Some(UNIT.to_owned()),
            period: Some("2026-03".to_owned()),
        },
        fields: ReportFields {
            status: Some("in_progress".to_owned()),
            percent: Some(value.to_owned()),
            ..Default::default()
        },
        token: None,
        submit: true,
    }
}

fn march() -> Option<String> {
    Some("2026-03".to_owned())
}

fn submit() -> Command {
    Command::PeriodSubmit { period: march() }
}

fn step(step: Step, reason: Option<&str>) -> Command {
    Command::PeriodDecide {
        step,
        units: vec![UNIT.to_owned()],
        all: false,
        period: march(),
        reason: reason.map(str::to_owned),
    }
}

fn show() -> Command {
    Command::PeriodShow {
        unit: Some(UNIT.to_owned()),
        period: march(),
    }
}

#[tokio::test]
async fn a_period_is_submitted_returned_corrected_accepted_closed_and_reopened() {
    let desk = Desk::new().await;
    let task = desk.task(&[UNIT]).await;
    desk.ok(percent(&task, "40")).await;
    let sent = desk.ok_as(UNIT, submit()).await.data;
    assert_eq!(
        (
            &sent["state"],
            &sent["expected"],
            &sent["received"],
            &sent["on_time"]
        ),
        (&json!("submitted"), &json!(1), &json!(1), &json!(1))
    );
    // The same again says nothing new.
    let again = desk.ok_as(UNIT, submit()).await.data;
    assert_eq!(again["submission"], sent["submission"]);
    // A submission that nobody answered is not closed over.
    assert_eq!(
        desk.no(step(Step::Close, None)).await.code,
        "period_not_closed"
    );
    assert_eq!(
        desk.no(step(Step::Return, None)).await.code,
        "reason_needed"
    );
    let back = desk
        .ok(step(Step::Return, Some("III/12 does not add up")))
        .await
        .data;
    assert_eq!(
        (&back["state"], &back["reason"]),
        (&json!("returned"), &json!("III/12 does not add up"))
    );
    desk.ok(percent(&task, "45")).await;
    assert_eq!(desk.ok(show()).await.data["changed_since"], 1);
    let corrected = desk.ok_as(UNIT, submit()).await.data;
    assert_ne!(corrected["submission"], sent["submission"]);
    assert_eq!(
        (&corrected["state"], &corrected["reason"]),
        (&json!("submitted"), &json!(""))
    );
    assert_eq!(
        desk.ok(step(Step::Accept, None)).await.data["state"],
        "accepted"
    );
    assert_eq!(
        desk.ok(step(Step::Close, None)).await.data["state"],
        "locked"
    );
    assert_eq!(desk.no(percent(&task, "50")).await.code, "period_closed");
    assert_eq!(
        desk.no_as(UNIT, submit()).await.code,
        "period_not_submitted"
    );
    let open = desk.ok(step(Step::Reopen, Some("wrong annex"))).await.data;
    assert_eq!(open["state"], "reopened");
    desk.ok(percent(&task, "50")).await;
    let shown = desk.ok(show()).await.data;
    let states: Vec<&Value> = shown["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|h| &h["state"])
        .collect();
    assert_eq!(
        states,
        [
            "submitted",
            "returned",
            "submitted",
            "accepted",
            "locked",
            "reopened"
        ]
    );
    assert_eq!(shown["changed_since"], 1);
}

#[tokio::test]
async fn only_the_unit_submits_and_only_the_unit_above_decides() {
    let desk = Desk::new().await;
    let task = desk.task(&[UNIT]).await;
    desk.ok(percent(&task, "40")).await;
    desk.ok_as(UNIT, submit()).await;
    assert_eq!(
        desk.no_as(UNIT, step(Step::Accept, None)).await.code,
        "not_owner"
    );
    assert_eq!(
        desk.no_as("MIN", step(Step::Accept, None)).await.code,
        "not_owner"
    );
    assert_eq!(
        desk.ok_as(ABOVE, step(Step::Accept, None)).await.data["state"],
        "accepted"
    );
}

#[tokio::test]
async fn of_several_units_those_that_cannot_be_closed_are_named() {
    let desk = Desk::new().await;
    let all = |step| Command::PeriodDecide {
        step,
        units: vec![],
        all: true,
        period: march(),
        reason: None,
    };
    desk.ok_as(ABOVE, Command::PeriodSubmit { period: march() })
        .await;
    let closed = desk.ok(all(Step::Close)).await;
    assert_eq!(closed.exit, Exit::Partly);
    assert_eq!(closed.data["items"][0]["unit"], "66");
    assert_eq!(
        closed.data["refused"],
        json!([{ "unit": ABOVE, "code": "period_not_closed" }])
    );
}

#[tokio::test]
async fn c5_the_deadline_is_that_of_the_declared_calendar_and_data_is_in_utc() {
    let desk = Desk::new().await;
    let list = Command::PeriodList {
        unit: None,
        period: march(),
    };
    let listed = desk.ok(list).await.data;
    // Before the 11th in Viet Nam.
    assert_eq!(listed["due"], "2026-04-10T17:00:00Z");
    assert!(
        listed["items"]
            .as_array()
            .is_some_and(|items| items.iter().all(|i| i["overdue"] == false))
    );
    let future = Command::PeriodSubmit {
        period: Some("2026-04".to_owned()),
    };
    assert_eq!(desk.no(future.clone()).await.code, "period_not_begun");
    // 31 March, 18:00 in UTC: in Viet Nam April has begun.
    desk.advance(1_774_980_000_000 - 1_773_540_000_000);
    assert_eq!(desk.ok(future).await.data["state"], "submitted");
}

#[tokio::test]
async fn the_root_closes_figures_that_were_only_counted_when_somebody_asked() {
    let desk = Desk::new().await;
    desk.task(&[UNIT]).await;
    let january = Some("2026-01".to_owned());
    let show = || Command::RollupShow {
        period: january.clone(),
        unit: None,
        by: crate::api::RollupBy::Group,
        recompute: false,
        version: None,
    };
    let before = desk.ok(show()).await.data;
    assert_eq!(before["tasks"]["total"], 1);
    let close = Command::PeriodDecide {
        step: Step::Close,
        units: vec!["MIN".to_owned()],
        all: false,
        period: january.clone(),
        reason: None,
    };
    desk.ok(close).await;
    desk.task(&[UNIT]).await;
    let after = desk.ok(show()).await.data;
    assert_eq!(
        (&after["tasks"], &after["closed"]),
        (&before["tasks"], &json!(true))
    );
}
