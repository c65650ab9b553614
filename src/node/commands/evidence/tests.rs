use serde_json::{Value, json};

use crate::api::{Command, Exit, ReportFields, ReportRef};
use crate::node::commands::desk::Desk;
use crate::store::blobs;

fn of(task: &Value, unit: &str) -> ReportRef {
    ReportRef {
        task: task["id"].as_str().unwrap_or_default().to_owned(),
        unit: Some(unit.to_owned()),
        period: None,
    }
}

fn add(task: &Value, unit: &str, path: &str) -> Command {
    Command::EvidenceAdd {
        report: of(task, unit),
        path: path.to_owned(),
        note: None,
    }
}

#[tokio::test]
async fn a_file_added_twice_is_one_piece_of_evidence_and_comes_back_byte_for_byte() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let path = desk.file("../báo cáo.pdf".trim_start_matches("../"), b"bytes");
    let first = desk.ok(add(&task, "79", &path)).await.data;
    assert_eq!(
        (&first["name"], &first["state"]),
        (&json!("báo cáo.pdf"), &json!("present"))
    );
    let again = desk.ok(add(&task, "79", &path)).await;
    assert_eq!((&again.data["id"], again.notes.len()), (&first["id"], 1));
    let to = desk.dir.path().join("copy.pdf").display().to_string();
    let get = || Command::EvidenceGet {
        evidence: first["id"].as_str().unwrap_or_default()[..13].to_owned(),
        to: to.clone(),
    };
    desk.ok(get()).await;
    assert_eq!(std::fs::read(&to).unwrap(), b"bytes");
    assert_eq!(desk.no(get()).await.code, "file_exists");
}

#[tokio::test]
async fn what_would_be_refused_is_refused_before_the_file_is_copied() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let path = desk.file("x.pdf", b"bytes");
    assert_eq!(
        desk.no(add(&task, "27001", &path)).await.code,
        "not_assigned"
    );
    let id = blobs::parse_hex("277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9");
    assert!(!blobs::path(desk.node.store.dir(), &id.unwrap()).exists());
    assert_eq!(
        desk.no(add(&task, "79", "/no/such/file")).await.code,
        "file_unreadable"
    );
    let folder = desk.dir.path().display().to_string();
    assert_eq!(
        desk.no(add(&task, "79", &folder)).await.code,
        "file_refused"
    );
}

#[tokio::test]
async fn evidence_is_taken_back_with_a_reason() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let path = desk.file("x.pdf", b"bytes");
    let added = desk.ok(add(&task, "79", &path)).await.data;
    let remove = |reason: &str| Command::EvidenceRemove {
        evidence: added["id"].as_str().unwrap_or_default().to_owned(),
        reason: reason.to_owned(),
    };
    assert_eq!(desk.no(remove("")).await.code, "reason_needed");
    desk.ok(remove("nhầm tệp")).await;
    let list = Command::EvidenceList {
        task: None,
        unit: None,
        period: None,
    };
    assert_eq!(desk.ok(list).await.data["total"], 0);
    assert!(desk.load(&added["id"]).await.record.is_deleted());
}

#[tokio::test]
async fn the_issuer_or_the_unit_above_judges_and_a_rejection_says_why() {
    let desk = Desk::new().await;
    let task = desk.task(&["27001"]).await;
    let verdict = |accepted: bool, reason: Option<&str>| Command::EvidenceVerdict {
        report: of(&task, "27001"),
        accepted,
        reason: reason.map(str::to_owned),
        token: None,
    };
    assert_eq!(desk.no(verdict(true, None)).await.code, "unknown_report");
    let path = desk.file("x.pdf", b"bytes");
    desk.ok(add(&task, "27001", &path)).await;
    let fields = ReportFields {
        status: Some("completed".to_owned()),
        ..Default::default()
    };
    let submit = |fields| Command::ReportSet {
        report: of(&task, "27001"),
        fields,
        token: None,
        submit: true,
    };
    desk.ok(submit(fields)).await;
    assert_eq!(desk.no(verdict(false, None)).await.code, "reason_needed");
    // What was read is not what is submitted by now.
    let seen = desk
        .ok(Command::ReportShow {
            report: of(&task, "27001"),
        })
        .await
        .data;
    let fields = ReportFields {
        result: Some("khác".to_owned()),
        ..Default::default()
    };
    desk.ok(submit(fields)).await;
    let late = Command::EvidenceVerdict {
        report: of(&task, "27001"),
        accepted: true,
        reason: None,
        token: seen["token"].as_str().map(str::to_owned),
    };
    assert_eq!(desk.no(late).await.code, "changed");
    let refused = desk.no_as("27001", verdict(true, None)).await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Usage, "not_reviewer")
    );
    let judged = desk.ok(verdict(false, Some("thiếu chữ ký"))).await.data;
    assert_eq!(
        (&judged["reviewer"], &judged["status"]),
        (&json!("MIN"), &json!("awaiting_correction"))
    );
    let above = desk.ok_as("79", verdict(true, None)).await.data;
    // The issuer's verdict prevails over that of the unit above.
    assert_eq!(above["status"], "awaiting_correction");
    let shown = desk
        .ok(Command::ReportShow {
            report: of(&task, "27001"),
        })
        .await
        .data;
    assert_eq!(shown["verdicts"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        desk.ok(verdict(true, None)).await.data["status"],
        "completed_on_time"
    );
}

#[tokio::test]
async fn a_task_may_name_the_unit_above_as_its_reviewer() {
    let desk = Desk::new().await;
    let task = desk.task(&["27001"]).await;
    let fields = crate::api::TaskFields {
        reviewer: Some("above".to_owned()),
        ..Default::default()
    };
    let id = task["id"].as_str().unwrap_or_default().to_owned();
    desk.ok(Command::TaskUpdate {
        task: id,
        fields,
        token: None,
    })
    .await;
    let path = desk.file("x.pdf", b"bytes");
    assert_eq!(
        desk.ok(add(&task, "27001", &path)).await.data["reviewer"],
        "79"
    );
}
