//! The weekly outline of a national tracker: two units' texts land in the right rows, and nothing of anybody else is lost.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nqsync::adapter::cycle::Mode;
use nqsync::adapter::run::{self, Outcome};
use nqsync::adapter::simulate::{self, Outline};
use nqsync::api::{Command, Lang, ReportFields, ReportRef, Request, TaskFields};
use nqsync::node::commands;
use serde_json::{Value, json};
use support::Place;
use tokio_util::sync::CancellationToken;

/// A province with two communes whose reports it holds, beside the outline it fills.
struct Province {
    place: Place,
    outline: Outline,
    stop: CancellationToken,
}

impl Province {
    async fn new() -> Province {
        let mut place = Place::ministry("66").await;
        place.node.settings.program = PathBuf::from(env!("CARGO_BIN_EXE_nqsync"));
        let outline = Outline::new(Outline::sample(), "phien-lam-viec");
        let stop = CancellationToken::new();
        let address = simulate::serve(outline.router(), 0, stop.clone())
            .await
            .expect("a port");
        let dir = place.node.settings.adapters_dir.clone();
        std::fs::create_dir_all(&dir).expect("a folder");
        let profile = include_str!("../adapters/theodoinq/profile.toml");
        let base = format!("http://{address}/report_api");
        let profile = profile.replace("https://theodoinq.example/report_api", &base);
        std::fs::write(dir.join("theodoinq.toml"), profile).expect("a profile");
        let token = dir.join("theodoinq.token");
        std::fs::write(&token, "phien-lam-viec\n").expect("a token");
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        let province = Province {
            place,
            outline,
            stop,
        };
        for (code, name) in [("24001", "Xã Suối Mây"), ("24002", "Xã Đồi Thông")] {
            let add = Command::UnitAdd {
                code: code.into(),
                name: name.into(),
                level: Some("commune".into()),
                parent: None,
                aliases: vec![],
            };
            province.ask(add, None).await;
            let fields = TaskFields {
                group: Some("I".into()),
                number: Some(code.into()),
                title: Some(format!("Việc của {name}")),
                lead: Some(vec![code.into()]),
                ..TaskFields::default()
            };
            province.ask(Command::TaskAdd { fields }, None).await;
        }
        province
    }

    async fn ask(&self, command: Command, acting_for: Option<&str>) -> Value {
        let request = Request {
            request_id: uuid::Uuid::new_v4().to_string(),
            lang: Lang::En,
            person: "hoa".into(),
            asker: Default::default(),
            acting_for: acting_for.map(str::to_owned),
            command,
        };
        commands::execute(&self.place.node, request)
            .await
            .expect("a verb that works")
            .data
    }

    async fn report(&self, unit: &str, result: &str, next: &str, submit: bool) {
        let command = Command::ReportSet {
            report: ReportRef {
                task: format!("I/{unit}"),
                unit: Some(unit.into()),
                period: None,
            },
            fields: ReportFields {
                status: Some("in_progress".into()),
                result: Some(result.into()),
                next_steps: Some(next.into()),
                ..ReportFields::default()
            },
            token: None,
            submit,
        };
        self.ask(command, Some(unit)).await;
    }

    async fn run(&self) -> Outcome {
        let run = run::run(&self.place.node, "theodoinq", Mode::default(), Lang::En);
        run.await.expect("a run that begins")
    }

    fn content(&self, row: usize) -> String {
        self.outline.rows()[row]["idxContent"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Drop for Province {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn two_units_texts_land_in_the_right_rows_and_the_rest_goes_back_as_it_came() {
    let province = Province::new().await;
    let before = province.outline.rows();
    province
        .report("24001", "Lắp 3 trạm", "Nghiệm thu", true)
        .await;
    province
        .report("24002", "Tập huấn < 40 người", "", true)
        .await;
    let ran = province.run().await;
    assert_eq!(
        ran.word(),
        "done",
        "{:#}",
        ran.data(Lang::En, "theodoinq", Mode::default())
    );
    let results = province.content(1);
    assert!(
        results.starts_with(before[1]["idxContent"].as_str().expect("a text")),
        "{results}"
    );
    assert!(
        results.contains("<p><strong>Xã Suối Mây</strong></p><p>Lắp 3 trạm</p>"),
        "{results}"
    );
    assert!(
        results.contains("<p>Tập huấn &lt; 40 người</p>"),
        "{results}"
    );
    // The third row has another idxId than the profile says: it is found by its code.
    assert_eq!(
        province.content(3),
        "<p><strong>Xã Suối Mây</strong></p><p>Nghiệm thu</p>"
    );
    assert_eq!(province.outline.rows()[0], before[0]);
    let plain = province.outline.rows()[1]["idxContentRaw"]
        .as_str()
        .expect("a text")
        .to_owned();
    assert!(
        plain.ends_with("Xã Suối Mây\nLắp 3 trạm\nXã Đồi Thông\nTập huấn < 40 người\n"),
        "{plain}"
    );
    let (puts, refused) = province.outline.puts();
    assert_eq!(
        (puts, refused),
        (1, vec![]),
        "one write, with exactly the documented headers and fields"
    );
    province.run().await;
    assert_eq!(
        province.outline.puts().0,
        1,
        "nothing changed, nothing is written"
    );
}

#[tokio::test]
async fn a_draft_is_nobodys_word_and_does_not_go_out() {
    let province = Province::new().await;
    province.report("24001", "nháp", "", false).await;
    province.run().await;
    assert_eq!(province.outline.puts().0, 0);
}

#[tokio::test]
async fn a_row_edited_on_the_page_meanwhile_is_kept() {
    let province = Province::new().await;
    province.report("24001", "Lắp 3 trạm", "", true).await;
    // Between our reading and our writing somebody adds a paragraph of another department.
    let edited = "<p><strong>Sở Đồng Xanh</strong></p><p>Sửa lúc 9 giờ.</p>";
    province.outline.edit_in_between(1, json!(edited));
    province.run().await;
    let content = province.content(1);
    assert_eq!(
        content,
        format!("{edited}<p><strong>Xã Suối Mây</strong></p><p>Lắp 3 trạm</p>")
    );
}

#[tokio::test]
async fn a_units_own_part_edited_on_the_page_is_kept_and_told() {
    let province = Province::new().await;
    province.report("24001", "Lắp 3 trạm", "", true).await;
    province.run().await;
    let edited = "<p><strong>Xã Suối Mây</strong></p><p>Lắp 3 trạm, đã nghiệm thu</p>";
    province.outline.edit(1, json!(edited));
    province.report("24001", "Lắp 4 trạm", "", true).await;
    let outcome = province.run().await;
    assert_eq!(province.content(1), edited);
    let problems = &outcome.streams[0].1.problems;
    assert!(
        problems
            .iter()
            .any(|p| p.code == "edited_there" && p.text.contains("nghiệm thu")),
        "{problems:?}"
    );
    // The person enters it here as well: both sides say the same again.
    province
        .report("24001", "Lắp 3 trạm, đã nghiệm thu", "", true)
        .await;
    assert_eq!(province.run().await.word(), "done");
}

#[tokio::test]
async fn a_part_edited_between_reading_and_writing_is_compared_again() {
    let province = Province::new().await;
    province.report("24001", "Lắp 3 trạm", "", true).await;
    let edited = "<p><strong>Xã Suối Mây</strong></p><p>Ghi thẳng trên trang</p>";
    province.outline.edit_in_between(1, json!(edited));
    let outcome = province.run().await;
    assert!(
        outcome.streams[0]
            .1
            .problems
            .iter()
            .any(|p| p.code == "moved")
    );
    assert_eq!(province.content(1), edited);
    let again = province.run().await;
    assert!(
        again.streams[0]
            .1
            .problems
            .iter()
            .any(|p| p.code == "edited_there")
    );
    assert_eq!(province.content(1), edited);
}

#[tokio::test]
async fn a_session_that_ran_out_is_said_and_nothing_is_written() {
    let province = Province::new().await;
    province.report("24001", "Lắp 3 trạm", "", true).await;
    let token = province
        .place
        .node
        .settings
        .adapters_dir
        .join("theodoinq.token");
    std::fs::write(&token, "het-han").expect("a token");
    let outcome = province.run().await;
    assert_eq!(outcome.exit(), nqsync::api::Exit::Authentication);
    assert_eq!(province.outline.puts().0, 0);
}
