use nqsync_core::model::{Facts, PeriodStage};
use serde_json::{Value, json};

use crate::api::{Command, Exit, ReportFields, ReportRef};
use crate::node::commands::Values;
use crate::node::commands::desk::{Desk, plant_record, unit_id};

fn of(task: &Value, unit: &str) -> ReportRef {
    ReportRef {
        task: task["id"].as_str().unwrap_or_default().to_owned(),
        unit: Some(unit.to_owned()),
        period: None,
    }
}

fn set(report: ReportRef, fields: ReportFields) -> Command {
    Command::ReportSet {
        report,
        fields,
        token: None,
        submit: false,
    }
}

fn percent(text: &str) -> ReportFields {
    ReportFields {
        percent: Some(text.to_owned()),
        ..ReportFields::default()
    }
}

fn ratio(numerator: &str, denominator: &str) -> ReportFields {
    ReportFields {
        numerator: Some(numerator.to_owned()),
        denominator: Some(denominator.to_owned()),
        ..ReportFields::default()
    }
}

fn stated(status: &str) -> ReportFields {
    ReportFields {
        status: Some(status.to_owned()),
        ..ReportFields::default()
    }
}

#[tokio::test]
async fn percents_outside_0_to_100_are_refused() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    for bad in ["101", "-1", "−1", "100.1"] {
        let refused = desk.no(set(of(&task, "79"), percent(bad))).await;
        assert_eq!(
            (refused.exit, refused.code.as_str()),
            (Exit::Usage, "percent_range"),
            "{bad}"
        );
    }
    assert_eq!(
        desk.no(set(of(&task, "79"), percent("nhiều"))).await.code,
        "not_a_number"
    );
    let kept = desk.ok(set(of(&task, "79"), percent("45,5 %"))).await.data;
    assert_eq!(
        (&kept["percent"], &kept["stated_status"]),
        (&json!("45.5"), &json!("in_progress"))
    );
    assert_eq!(kept["period"], "2026-03");
    assert_eq!(kept["receipt"], "reached_issuer");
    let mut weekly = desk;
    weekly.node.settings.period = nqsync_core::calendar::PeriodKind::Week;
    let kept = weekly.ok(set(of(&task, "79"), percent("50"))).await;
    assert_eq!(kept.data["period"], "2026-W11", "reporting.period");
    let draft = &kept.notes[0];
    assert!(draft.contains("nqsync report submit"), "{draft}");
}

#[tokio::test]
async fn a_whole_of_zero_is_refused_and_a_part_above_the_whole_is_remarked() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    for whole in ["0", "-5", "0,0"] {
        let refused = desk.no(set(of(&task, "79"), ratio("1", whole))).await;
        assert_eq!(refused.code, "bad_denominator", "{whole}");
    }
    let kept = desk
        .ok(set(of(&task, "79"), ratio("2.274.905", "2.000.000")))
        .await;
    assert_eq!(kept.data["numerator"], "2274905");
    assert!(!kept.data["remark"].is_null());
    assert_eq!(kept.notes.len(), 2, "the remark, and that it is a draft");
    let mended = desk
        .ok(set(of(&task, "79"), ratio("2.274.905", "2.581.336")))
        .await;
    assert!(mended.data["remark"].is_null());
}

#[tokio::test]
async fn a_report_on_a_task_one_was_never_given_is_refused() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let refused = desk.no(set(of(&task, "27001"), percent("5"))).await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Usage, "not_assigned")
    );
    assert_eq!(
        desk.no(set(of(&task, "nowhere"), percent("5"))).await.code,
        "unknown_unit"
    );
}

#[tokio::test]
async fn a_unit_that_was_given_the_task_once_may_still_report() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let fields = crate::api::TaskFields {
        lead: Some(vec!["27001".to_owned()]),
        ..Default::default()
    };
    let id = task["id"].as_str().unwrap_or_default().to_owned();
    desk.ok(Command::TaskUpdate {
        task: id,
        fields,
        token: None,
    })
    .await;
    desk.ok(set(of(&task, "79"), percent("5"))).await;
}

#[tokio::test]
async fn writing_for_a_unit_served_elsewhere_has_to_be_said() {
    let desk = Desk::new().await;
    let task = desk.task(&["66"]).await;
    assert_eq!(
        desk.no(set(of(&task, "66"), percent("5"))).await.code,
        "needs_for"
    );
    let kept = desk
        .ok_as("66", set(of(&task, "66"), percent("5")))
        .await
        .data;
    assert_eq!(kept["unit"], "66");
    // Acting for one unit does not write for another.
    assert_eq!(
        desk.no_as("79", set(of(&task, "66"), percent("6")))
            .await
            .code,
        "not_owner"
    );
}

#[tokio::test]
async fn a_closed_period_takes_no_more_writing() {
    let desk = Desk::new().await;
    let task = desk.task(&["27001"]).await;
    desk.ok(set(of(&task, "27001"), percent("5"))).await;
    desk.with(|tx| {
        let facts = Facts::Period {
            unit: unit_id(4),
            reviewer: unit_id(2),
            period: "2026-03".to_owned(),
            stage: PeriodStage::Review,
        };
        let state = Values::from([("state".to_owned(), json!({ "state": "locked" }))]);
        plant_record(tx, facts, uuid::Uuid::nil(), state);
        Ok(())
    })
    .await;
    let refused = desk.no(set(of(&task, "27001"), percent("6"))).await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Usage, "period_closed")
    );
    let other = ReportRef {
        period: Some("2026-04".to_owned()),
        ..of(&task, "27001")
    };
    desk.ok(set(other, percent("6"))).await;
    let unread = ReportRef {
        period: Some("mùa xuân".to_owned()),
        ..of(&task, "27001")
    };
    assert_eq!(desk.no(set(unread, percent("6"))).await.code, "bad_period");
}

#[tokio::test]
async fn completed_is_submitted_only_with_evidence() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    desk.ok(set(of(&task, "79"), percent("40"))).await;
    let done = desk
        .ok(set(of(&task, "79"), stated("Hoàn thành")))
        .await
        .data;
    assert_eq!(
        (&done["stated_status"], &done["percent"]),
        (&json!("completed"), &json!("100"))
    );
    let submit = || Command::ReportSubmit {
        report: of(&task, "79"),
    };
    let refused = desk.no(submit()).await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Usage, "completed_without_evidence")
    );
    let path = desk.file("proof.pdf", b"%PDF proof");
    desk.ok(Command::EvidenceAdd {
        report: of(&task, "79"),
        path,
        note: None,
    })
    .await;
    let sent = desk.ok(submit()).await.data;
    assert_eq!(
        (&sent["status"], &sent["submitted"]),
        (&json!("completed_on_time"), &json!(true))
    );
    assert_eq!(
        (&sent["evidence"], &sent["draft_changed"]),
        (&json!(1), &json!(false))
    );
}

#[tokio::test]
async fn a_submission_is_a_version_and_equal_values_make_no_new_one() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let both = Command::ReportSet {
        report: of(&task, "79"),
        fields: percent("40"),
        token: None,
        submit: true,
    };
    desk.ok(both).await;
    let show = || Command::ReportShow {
        report: of(&task, "79"),
    };
    let first = desk.ok(show()).await.data;
    assert_eq!(first["submission"]["hash"].as_str().map(str::len), Some(32));
    desk.ok(Command::ReportSubmit {
        report: of(&task, "79"),
    })
    .await;
    assert_eq!(
        desk.ok(show()).await.data["submission"],
        first["submission"]
    );
    let draft = desk.ok(set(of(&task, "79"), percent("60"))).await.data;
    assert_eq!(
        (&draft["draft_changed"], &draft["status"]),
        (&json!(true), &json!("in_progress"))
    );
    desk.ok(Command::ReportSubmit {
        report: of(&task, "79"),
    })
    .await;
    assert_ne!(
        desk.ok(show()).await.data["submission"]["hash"],
        first["submission"]["hash"]
    );
}

#[tokio::test]
async fn a_submission_is_taken_back_with_a_reason() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let withdraw = |reason: &str| Command::ReportWithdraw {
        report: of(&task, "79"),
        reason: reason.to_owned(),
    };
    assert_eq!(desk.no(withdraw("nhầm")).await.code, "unknown_report");
    desk.ok(set(of(&task, "79"), percent("40"))).await;
    assert_eq!(desk.no(withdraw("nhầm")).await.code, "not_submitted");
    desk.ok(Command::ReportSubmit {
        report: of(&task, "79"),
    })
    .await;
    assert_eq!(desk.no(withdraw("")).await.code, "reason_needed");
    let back = desk.ok(withdraw("nhầm số liệu")).await.data;
    assert_eq!(
        (&back["submitted"], &back["status"]),
        (&json!(false), &json!("not_reported"))
    );
}

#[tokio::test]
async fn two_drafts_that_did_not_know_each_other_must_be_decided_before_submitting() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let form = desk.ok(set(of(&task, "79"), percent("40"))).await.data;
    desk.ok(set(of(&task, "79"), percent("50"))).await;
    let stale = Command::ReportSet {
        report: of(&task, "79"),
        fields: percent("45"),
        token: form["token"].as_str().map(str::to_owned),
        submit: false,
    };
    assert_eq!(desk.ok(stale).await.data["conflicts"], json!(["progress"]));
    let refused = desk
        .no(Command::ReportSubmit {
            report: of(&task, "79"),
        })
        .await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::PersonNeeded, "report_in_conflict")
    );
}

/// The periods of one task have reports of their own: what was seen of one says nothing about another.
#[tokio::test]
async fn a_form_of_one_period_is_not_taken_for_another() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let in_period = |period: &str| ReportRef {
        period: Some(period.to_owned()),
        ..of(&task, "79")
    };
    let february = desk.ok(set(in_period("2026-02"), percent("40"))).await.data;
    let before = desk.ok(set(in_period("2026-03"), percent("50"))).await.data;
    let mixed_up = Command::ReportSet {
        report: in_period("2026-03"),
        fields: percent("45"),
        token: february["token"].as_str().map(str::to_owned),
        submit: false,
    };
    assert_eq!(desk.no(mixed_up).await.code, "other_token");
    let show = Command::ReportShow {
        report: in_period("2026-03"),
    };
    let after = desk.ok(show).await.data;
    assert_eq!(
        (&after["token"], &after["conflicts"]),
        (&before["token"], &json!([]))
    );
}

#[tokio::test]
async fn words_nobody_knows_and_nothing_at_all_are_refused() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    assert_eq!(
        desk.no(set(of(&task, "79"), stated("tuyệt vời")))
            .await
            .code,
        "bad_status"
    );
    assert_eq!(
        desk.no(set(of(&task, "79"), ReportFields::default()))
            .await
            .code,
        "nothing_given"
    );
}
