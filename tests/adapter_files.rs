//! Evidence files go over once each with the record they belong to, in whatever way the system takes them.

mod support;

use nqsync::api::Command;
use serde_json::{Value, json};
use support::tracker::Desk;

const BYTES: &[u8] = b"%PDF-1.7\r\n\r\nbi\xc3\xaan b\xe1\xba\xa3n\x00\xff";

/// A desk whose tracker takes files in this way, and a report with a file.
async fn desk_with_file(upload: &str) -> Desk {
    let desk = Desk::new(2).await;
    let text = desk.profile_text();
    let text = text.replace(
        "kind = \"progress\"\n",
        "kind = \"progress\"\nfiles = true\n",
    );
    let header = "idempotency_header = \"Idempotency-Key\"";
    desk.profile(&format!("{text}{header}\n[stream.http.upload]\n{upload}\n"));
    desk.report(1, "in_progress", "40", "xem biên bản").await;
    desk.evidence(1, "biên bản.pdf", BYTES).await;
    desk
}

fn files_of(desk: &Desk) -> Vec<Value> {
    let kept = |file: &Value| json!([file["item"], file["name"], file["size"]]);
    desk.tracker.files().iter().map(kept).collect()
}

#[tokio::test]
async fn a_file_goes_over_once_in_every_way_and_arrives_whole() {
    let sha256 = {
        use sha2::Digest as _;
        nqsync_core::protocol::hex(&sha2::Sha256::digest(BYTES))
    };
    let ways = [
        (
            "kind = \"multipart\"\npath = \"/items/{id}/files\"",
            json!("biên bản.pdf"),
        ),
        ("kind = \"raw\"\npath = \"/items/{id}/files\"", Value::Null),
        (
            "kind = \"base64\"\npath = \"/items/{id}/files\"\nbody = \"{name: .name, content: .base64}\"",
            json!("biên bản.pdf"),
        ),
        // First the bytes, then what they belong to.
        (
            concat!(
                "kind = \"multipart\"\npath = \"/items/files\"\ntoken = \".file\"\n",
                "attach = { path = \"/items/{id}/attach\", body = \"{file: .token}\" }"
            ),
            json!("biên bản.pdf"),
        ),
    ];
    for (upload, name) in ways {
        let desk = desk_with_file(upload).await;
        let ran = desk.run_well().await;
        assert_eq!(
            (&ran["created"], &ran["files"]),
            (&json!(2), &json!(1)),
            "{upload}"
        );
        let id = &desk.there(1)[0]["id"];
        assert_eq!(
            files_of(&desk),
            [json!([id, name, BYTES.len()])],
            "{upload}"
        );
        assert_eq!(desk.tracker.files()[0]["sha256"], sha256, "{upload}");
        let writes = desk.tracker.requests().1;
        assert_eq!(desk.run_well().await["files"], 0, "{upload}");
        assert_eq!(desk.tracker.requests().1, writes, "{upload}");
    }
}

#[tokio::test]
async fn a_file_whose_answer_was_lost_is_sent_again_under_the_same_key_and_kept_once() {
    use nqsync::adapter::simulate::Fault;
    let desk = desk_with_file("kind = \"multipart\"\npath = \"/items/{id}/files\"").await;
    let upload = "files = true\n";
    let with_files = desk.profile_text();
    desk.profile(&with_files.replace(upload, ""));
    desk.run_well().await;
    assert_eq!(desk.tracker.files(), [] as [Value; 0], "not asked for");

    desk.profile(&with_files);
    desk.tracker.fail(Fault::CutAfterWrite);
    assert_eq!(desk.run().await.word(), "failed");
    assert_eq!(desk.tracker.files().len(), 1);
    desk.tracker.fail(Fault::None);
    assert_eq!(desk.run_well().await["files"], 1);
    assert_eq!(desk.tracker.files().len(), 1);
}

#[tokio::test]
async fn a_file_cut_off_between_its_bytes_and_its_record_is_there_once_and_attached() {
    use nqsync::adapter::simulate::Fault;
    let desk = desk_with_file(concat!(
        "kind = \"multipart\"\npath = \"/items/files\"\ntoken = \".file\"\n",
        "attach = { path = \"/items/{id}/attach\", body = \"{file: .token}\" }"
    ))
    .await;
    let with_files = desk.profile_text();
    desk.profile(&with_files.replace("files = true\n", ""));
    desk.run_well().await;
    desk.profile(&with_files);
    desk.tracker.fail(Fault::CutAfterWrite);
    assert_eq!(desk.run().await.word(), "failed");
    assert_eq!(files_of(&desk)[0][0], Value::Null, "the bytes alone");
    desk.tracker.fail(Fault::None);
    assert_eq!(desk.run_well().await["files"], 1);
    let id = desk.there(1)[0]["id"].clone();
    assert_eq!(files_of(&desk), [json!([id, "biên bản.pdf", BYTES.len()])]);
}

#[tokio::test]
async fn a_record_that_is_gone_there_is_told_and_neither_deleted_here_nor_created_again() {
    let desk = Desk::new(10).await;
    desk.run_well().await;
    desk.tracker
        .remove(desk.there(3)[0]["id"].as_u64().expect("an id"));
    for _ in 0..2 {
        let outcome = desk.run().await;
        let report = &outcome.streams[0].1;
        assert_eq!(
            (outcome.word(), report.missing, report.created),
            ("partly", 1, 0)
        );
        assert_eq!(
            (desk.tracker.items().len(), report.problems[0].key.as_str()),
            (9, "I/3")
        );
    }
    let task = "I/3".to_owned();
    desk.ask(Command::TaskShow { task })
        .await
        .expect("it is still here");
}
