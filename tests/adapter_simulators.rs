//! The systems to train on: they start by name, fail on demand, and keep the rules that their pages tell.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nqsync::adapter::simulate::{self, Fault, Paging, System, TRACKER};
use serde_json::{Value, json};
use support::outside::{Bench, CASES, case};
use support::tracker::Desk;

#[test]
fn every_simulator_starts_by_its_name_and_says_how_it_is_used() {
    for case in CASES {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nqsync"))
            .args(["--lang", "en", "adapter", "simulate", case.name])
            .args(["--port", "0", "--fault", "down"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut address = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut address).expect("a line");
        let messages = child.stderr.take().expect("its messages");
        let mut lines = BufReader::new(messages).lines();
        let mut said = String::new();
        while !said.contains("Users that it knows") {
            let line = lines.next().expect("another message");
            said += &(line.expect("text") + "\n");
        }
        child.kill().expect("an end");
        child.wait().expect("its end");
        assert!(
            address.starts_with("http://127.0.0.1:"),
            "{}: {address}{said}",
            case.name
        );
        let base = format!(
            "--template {} --set http.base_url={}",
            case.name,
            address.trim()
        );
        assert!(said.contains(&base), "{said}");
        let clock = nqsync::clock::Clock::system();
        let simulator = simulate::named(case.name, clock).expect("a simulator");
        for (ending, _) in simulator.secrets() {
            assert!(said.contains(&format!("NAME.{ending}")), "{said}");
        }
    }
}

#[tokio::test]
async fn h5_every_simulator_fails_on_demand_and_nothing_is_changed_on_either_side() {
    for case in CASES {
        let (bench, name) = (Bench::new(*case, 1).await, case.name);
        if case.begins_there {
            bench.run_well().await;
        }
        bench.set(1, "41").await;
        bench.run_well().await;
        bench.approve();
        bench.set(1, "42").await;
        for fault in [Fault::Down, Fault::Html, Fault::ErrorInside, Fault::Empty] {
            bench.outside.fail(fault);
            let outcome = bench.run().await;
            assert_eq!(
                outcome.word(),
                "failed",
                "{name}, {fault:?}: {:?}",
                outcome.streams
            );
            assert_eq!(bench.there(1), ["41"], "{name}, {fault:?}");
            assert_eq!(bench.here(1).await, "42", "{name}, {fault:?}");
        }
        bench.outside.fail(Fault::CutAfterWrite);
        bench.run().await;
        bench.outside.fail(Fault::None);
        bench.run().await;
        bench.approve();
        assert_eq!(bench.there(1), ["42"], "{name}");
        bench.assert_rest("after the faults").await;
    }
}

/// What a run says of the item that waits.
fn waiting(ran: &Value) -> &Value {
    &ran["streams"]["progress"]["waiting"]
}

#[tokio::test]
async fn what_waits_for_an_approval_is_told_until_it_counts_and_is_written_once() {
    let bench = Bench::new(case("resolution-tracker"), 1).await;
    bench.set(1, "41").await;
    let ran = bench.run_well().await;
    let waits = waiting(&ran)["I/1"]
        .as_str()
        .expect("what waits")
        .to_owned();
    assert!(waits.contains("content, percent, state"), "{waits}");
    let record = bench.records().items().remove(0);
    assert_eq!(
        (
            &record["approved"],
            &record["content"],
            &record["pending"]["content"]
        ),
        (&json!(false), &json!(""), &json!("41"))
    );
    let writes = bench.writes();
    let again = bench.run_well().await;
    assert_eq!(
        (bench.writes(), &waiting(&again)["I/1"]),
        (writes, &json!(waits))
    );
    assert_eq!(
        bench.here(1).await,
        "41",
        "what waits there takes nothing away here"
    );

    let shown = bench.shown().await;
    let listed = json!([{ "stream": "progress", "key": "I/1", "text": waits }]);
    assert_eq!(shown["waiting"], listed);

    assert!(bench.records().decide(1, false));
    let back = bench.run_well().await;
    let text = waiting(&back)["I/1"].as_str().expect("what came back");
    assert!(text.contains("bị trả lại"), "{text}");
    assert_eq!(
        bench.writes(),
        writes,
        "an entry that came back is not sent again by itself"
    );

    bench.set(1, "43").await;
    bench.run_well().await;
    assert!(bench.records().decide(1, true));
    let approved = bench.run_well().await;
    assert_eq!(
        (waiting(&approved), bench.there(1)),
        (&json!({}), vec!["43".to_owned()])
    );
    assert_eq!(bench.shown().await["waiting"], json!([]));
}

#[tokio::test]
async fn only_the_approval_account_approves_and_it_enters_nothing() {
    let bench = Bench::new(case("resolution-tracker"), 1).await;
    bench.set(1, "41").await;
    bench.run_well().await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", bench.url);
    let mut answers = Vec::new();
    for user in ["entry2", "approval"] {
        let login = json!({ "user": user, "password": "demo" });
        let sent = client.post(url("/login")).json(&login).send().await;
        let told: Value = sent.expect("an answer").json().await.expect("JSON");
        let token = told["data"]["token"].as_str().expect("a token").to_owned();
        let requests = [
            client
                .patch(url("/entries/1"))
                .json(&json!({ "content": "42" })),
            client.post(url("/entries/1/decision/approve")),
        ];
        for request in requests {
            let answer = request.bearer_auth(&token).send().await.expect("an answer");
            answers.push((user, answer.status().as_u16()));
        }
    }
    assert_eq!(
        answers,
        [
            ("entry2", 200),
            ("entry2", 403),
            ("approval", 403),
            ("approval", 200)
        ]
    );
    assert_eq!(bench.there(1), ["42"]);
}

#[tokio::test]
async fn the_platform_wants_its_whole_header_with_the_token_and_with_every_request() {
    use base64::Engine as _;
    let bench = Bench::new(case("lgsp"), 0).await;
    let client = reqwest::Client::new();
    let header = |fields: &[&str]| {
        let fields = fields
            .iter()
            .map(|name| ((*name).to_owned(), json!("demo")));
        let text = Value::Object(fields.collect()).to_string();
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let all = [
        "AccessKey",
        "SecretKey",
        "AppName",
        "PartnerCode",
        "PartnerCodeCus",
    ];
    let whole = header(&all);
    let form = [("grant_type", "client_credentials")];
    let ask = |header: &str| {
        let request = client.post(format!("{}/token", bench.url));
        request.header("lgspaccesstoken", header).form(&form).send()
    };
    for missing in 0..all.len() {
        let mut fields = all.to_vec();
        fields.remove(missing);
        let answer = ask(&header(&fields)).await.expect("an answer");
        assert_eq!(answer.status(), 401, "without {}", all[missing]);
    }
    let told: Value = ask(&whole)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let token = told["access_token"].as_str().expect("a token").to_owned();
    let list = || client.get(format!("{}/task-service/v1/tasks", bench.url));
    let with = [
        (list().bearer_auth(&token), 401),
        (list().header("lgspaccesstoken", &whole), 401),
        (
            list().bearer_auth(&token).header("lgspaccesstoken", &whole),
            200,
        ),
    ];
    for (request, expected) in with {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), expected);
        let told: Value = answer.json().await.expect("JSON");
        let code = if expected == 200 { 0 } else { expected };
        assert_eq!(told["error_code"], code);
    }
}

#[tokio::test]
async fn a_task_that_the_leadership_gives_becomes_ours_once_and_follows_its_changes_there() {
    let bench = Bench::new(case("leadership-tasks"), 3).await;
    let given = json!({
        "title": "Rà soát camera", "deadline": "31/12/2026", "given_by": "Phó Giám đốc",
    });
    bench.records().edit(2, given);
    bench.run_well().await;
    let task = bench.task("LD/2").await;
    assert_eq!(
        (&task["title"], &task["authority"], &task["deadline"]["due"]),
        (
            &json!("Rà soát camera"),
            &json!("Phó Giám đốc"),
            &json!("2026-12-31")
        ),
        "{task:#}"
    );
    assert_eq!(task["reports"], json!([]), "nobody reported on it yet");
    bench
        .records()
        .edit(2, json!({ "title": "Rà soát 52 camera" }));
    bench.run_well().await;
    assert_eq!(bench.task("LD/2").await["title"], "Rà soát 52 camera");

    // What we change ourselves stays here, and a task of ours is not entered there.
    bench.retitle("LD/1", "Tên ở đây").await;
    bench.add_task("I", 9).await;
    let before = bench.records().items();
    bench.run_well().await;
    assert_eq!(bench.records().items(), before);
    assert_eq!(bench.task("LD/1").await["title"], "Tên ở đây");
    assert_eq!(bench.count_here().await, (4, 0));
}

#[tokio::test]
async fn a_list_is_read_whole_however_it_is_divided() {
    let by_page = "paging = { kind = \"page\", parameter = \"page\", limit_parameter = \"per_page\", limit = 4, total = \".total\" }";
    let ways = [
        (Paging::Page, by_page),
        (
            Paging::Offset,
            "paging = { kind = \"offset\", parameter = \"offset\", limit_parameter = \"limit\", limit = 4, total = \".total\" }",
        ),
        (
            Paging::Cursor,
            "paging = { kind = \"cursor\", parameter = \"cursor\", limit_parameter = \"limit\", limit = 4, next = \".next\" }",
        ),
        (
            Paging::Link,
            "paging = { kind = \"link\", limit_parameter = \"per_page\", limit = 4 }",
        ),
    ];
    for (paging, line) in ways {
        let desk = Desk::beside(System { paging, ..TRACKER }, 9).await;
        let profile = desk.profile_text();
        assert!(profile.contains(by_page), "{profile}");
        desk.profile(&profile.replace(by_page, line));
        assert_eq!(desk.run_well().await["created"], 9, "{paging:?}");
        let again = desk.run_well().await;
        let counts = ["listed", "unchanged", "pages"].map(|name| again[name].as_u64());
        assert_eq!(counts, [Some(9), Some(9), Some(3)], "{paging:?}");
    }
}
