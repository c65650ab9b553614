//! A program of somebody else, in another language, as an outside system.

mod support;

use std::process::Command;

use nqsync::adapter::cycle::Mode;
use nqsync::api::{Exit, Lang};
use serde_json::{Value, json};
use support::tracker::Desk;

/// Whether the sample's language is here; a machine without it says so.
fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: there is no python3 to run the sample program");
    }
    there
}

async fn desk(tasks: usize, program: &str) -> Desk {
    let desk = Desk::new(tasks).await;
    desk.profile(include_str!("../examples/adapters/tracker.toml"));
    let dir = &desk.place.node.settings.adapters_dir;
    std::fs::write(dir.join("tracker.py"), program).expect("a program");
    desk
}

fn records(desk: &Desk) -> Value {
    let file = desk.place.node.settings.adapters_dir.join("tracker.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("records")
}

#[tokio::test]
async fn a_program_in_another_language_exchanges_both_ways_and_rests() {
    if !python() {
        return;
    }
    let desk = desk(3, include_str!("../examples/adapters/tracker.py")).await;
    desk.report(1, "in_progress", "30", "Đã khảo sát").await;
    assert_eq!(desk.run_well().await["created"], 3);
    let mut there = records(&desk);
    let id = there
        .as_object()
        .expect("records")
        .iter()
        .find(|(_, r)| r["code"] == "I/2")
        .expect("the second")
        .0
        .clone();
    there[&id]["note"] = json!("ghi trong tệp");
    there[&id]["state"] = json!("doing");
    let file = desk.place.node.settings.adapters_dir.join("tracker.json");
    std::fs::write(&file, there.to_string()).expect("a file");
    assert_eq!(desk.run_well().await["pulled"], 1);
    assert_eq!(desk.shown(2).await["result"], "ghi trong tệp");
    let before = std::fs::metadata(&file)
        .expect("a file")
        .modified()
        .expect("a time");
    assert_eq!(desk.run_well().await["unchanged"], 3);
    assert_eq!(
        std::fs::metadata(&file)
            .expect("a file")
            .modified()
            .expect("a time"),
        before
    );
}

/// Each misbehaving program ends its run with a message that says what it did.
#[tokio::test]
async fn a_program_that_misbehaves_ends_its_run_and_is_told() {
    if !python() {
        return;
    }
    let greets =
        "import sys, json\nsys.stdin.readline()\nprint(json.dumps({'protocol': 1}), flush=True)\n";
    let cases = [
        (
            "print('xin chào', flush=True)".to_owned(),
            "no JSON",
            Exit::Refused,
        ),
        (
            "import sys; sys.exit(3)".to_owned(),
            "ended at hello",
            Exit::Unreachable,
        ),
        (
            "print('{\"protocol\": 9}', flush=True)".to_owned(),
            "protocol 9",
            Exit::Refused,
        ),
        (
            format!("{greets}sys.stdin.readline()\nsys.exit(1)"),
            "ended at list",
            Exit::Unreachable,
        ),
        (
            format!("{greets}sys.stdin.readline()\nprint('x' * 5000)"),
            "more than",
            Exit::Refused,
        ),
        (
            format!("{greets}sys.stdin.readline()\nsys.stdin.readline()"),
            "does not answer list in 1 s",
            Exit::Unreachable,
        ),
    ];
    for (program, says, exit) in cases {
        let desk = desk(1, &program).await;
        let limits = "[process]\nanswer_timeout_s = 1\nanswer_bytes = 4000\n";
        desk.profile(&desk.profile_text().replace("[process]\n", limits));
        let outcome = desk.run().await;
        let data = outcome
            .data(Lang::En, "tracker", Mode::default())
            .to_string();
        assert!(data.contains(says), "{program}: {data}");
        assert_eq!(outcome.exit(), exit, "{program}: {data}");
    }
}

#[tokio::test]
async fn a_program_is_not_run_for_another_user_than_the_one_who_could_name_it() {
    if !python() {
        return;
    }
    let desk = desk(1, include_str!("../examples/adapters/tracker.py")).await;
    let profile = desk.place.node.settings.adapters_dir.join("tracker.toml");
    if std::os::unix::fs::chown(&profile, Some(65_534), None).is_err() {
        println!("not run: only root can give a file to another user");
        return;
    }
    let outcome = desk.run().await;
    let data = outcome
        .data(Lang::En, "tracker", Mode::default())
        .to_string();
    assert!(data.contains("belongs to another user"), "{data}");
    assert!(!profile.with_file_name("tracker.json").exists());
}
