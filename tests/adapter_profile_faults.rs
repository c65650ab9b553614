//! Profiles that are wrong about the system they describe: what they cost, and what is said.

mod support;

use nqsync::adapter::cycle::{Mode, RunError};
use nqsync::adapter::run::{self, NotBegun, Outcome};
use nqsync::api::{Command, Exit, Lang, ReportRef};
use serde_json::{Value, json};
use support::tracker::{Desk, PROFILE};

/// The desk's profile with a part replaced.
fn change(desk: &Desk, from: &str, to: &str) {
    let text = desk.profile_text();
    assert!(text.contains(from), "{from}");
    desk.profile(&text.replacen(from, to, 1));
}

async fn begun(desk: &Desk) -> Result<Outcome, NotBegun> {
    run::run(&desk.place.node, "tracker", Mode::default(), Lang::En).await
}

/// The problems of the only stream, as key and text.
fn problems(outcome: &Outcome) -> Vec<(String, String)> {
    let problems = outcome.streams[0].1.problems.iter();
    problems.map(|p| (p.key.clone(), p.text.clone())).collect()
}

#[tokio::test]
async fn an_expression_that_loops_or_gives_two_values_for_one_record_costs_that_record() {
    for (jq, expected) in [
        (
            "if .code == \"I/2\" then last(repeat(1)) else .note end",
            "used up its CPU time",
        ),
        (
            "if .code == \"I/2\" then (.note, .note) else .note end",
            "more than one value",
        ),
        (
            "if .code == \"I/2\" then (def f: [f]; f) else .note end",
            "went too deep",
        ),
    ] {
        let desk = Desk::new(3).await;
        desk.run_well().await;
        for item in desk.tracker.items() {
            desk.tracker.edit(
                item["id"].as_u64().expect("an id"),
                json!({ "note": "ghi bên đó" }),
            );
        }
        change(&desk, "theirs = \".note\"", &format!("theirs = '{jq}'"));
        let outcome = desk.run().await;
        assert_eq!(
            (outcome.word(), outcome.exit()),
            ("partly", Exit::Partly),
            "{jq}"
        );
        let found = problems(&outcome);
        let about: Vec<&String> = found
            .iter()
            .map(|(_, text)| text)
            .filter(|t| t.contains(expected))
            .collect();
        assert_eq!(about.len(), 1, "{jq}: {found:?}");
        assert!(
            about[0].contains("progress.theirs.fields.result")
                && about[0].contains("\"code\":\"I/2\""),
            "{found:?}"
        );
        for (number, result) in [(1, Some("ghi bên đó")), (2, None), (3, Some("ghi bên đó"))]
        {
            let report = ReportRef {
                task: format!("I/{number}"),
                unit: None,
                period: None,
            };
            let shown = desk.ask(Command::ReportShow { report }).await.ok();
            let shown = shown.map(|answer| answer.data["result"].clone());
            assert_eq!(shown, result.map(Value::from), "{jq}: {number}");
        }
    }
}

#[tokio::test]
async fn a_profile_whose_own_test_fails_exchanges_nothing() {
    let desk = Desk::new(2).await;
    let test = r#"
[[test]]
name = "percent is a number there"
stream = "progress"
theirs = '{"id": 1, "code": "I/1", "progress": 40}'
expect = '{"fields": {"percent": "41"}}'
"#;
    desk.profile(&(desk.profile_text() + test));
    let outcome = desk.run().await;
    assert_eq!(outcome.exit(), Exit::Configuration);
    assert!(
        matches!(
            &outcome.error,
            Some(RunError::Untested {
                failed: 1,
                all: 1,
                ..
            })
        ),
        "{:?}",
        outcome.error
    );
    assert_eq!(desk.tracker.requests(), (0, 0), "not even a login");
    // It may be looked at all the same.
    let trial = Mode {
        trial: true,
        ..Mode::default()
    };
    assert!(desk.run_as(trial).await.error.is_none());
    change(&desk, "\"41\"", "\"40\"");
    assert_eq!(desk.run_well().await["created"], 2);
}

#[tokio::test]
async fn a_profile_with_mistakes_is_refused_with_all_of_them_and_their_lines() {
    let desk = Desk::new(1).await;
    change(&desk, "dictionary = \"status\"", "dictionary = \"state\"");
    change(&desk, "theirs = \".note\"", "theirs = \".note |\"");
    let Err(NotBegun::Profile(errors)) = begun(&desk).await else {
        panic!("it began")
    };
    assert!(
        errors
            .to_string()
            .contains("names \"state\", which is not there"),
        "{errors}"
    );
    change(&desk, "dictionary = \"state\"", "dictionary = \"status\"");
    let outcome = desk.run().await;
    assert_eq!(outcome.exit(), Exit::Configuration);
    let Some(RunError::Profile(errors)) = outcome.error else {
        panic!("{:?}", outcome.error)
    };
    let line = desk
        .profile_text()
        .lines()
        .position(|l| l.contains(".note |"))
        .expect("the line")
        + 1;
    assert!(
        errors.to_string().contains(&format!(
            "tracker.toml:{line}: progress.theirs.fields.result: expected"
        )),
        "{errors}"
    );
    assert_eq!(desk.tracker.requests(), (0, 0));
}

/// Tasks that come from there, and a deadline that a clock in another zone tells.
fn tasks_profile(desk: &Desk) -> String {
    let head = desk.profile_text();
    let head = head.split("[[stream]]").next().expect("a head").to_owned();
    head + r#"
[units]
"DV1" = "BO"

[[stream]]
name = "tasks"
kind = "tasks"
key = { ours = ".task.ref", theirs = ".code" }
[stream.fields]
group = { theirs = '.code | split("/")[0]', direction = "in" }
number = { theirs = '.code | split("/")[1]', direction = "in" }
title = { theirs = ".title", direction = "in" }
deadline = { theirs = ".due // null", date = "iso", direction = "in" }
lead = { theirs = ".units", units = true, direction = "in" }
[stream.http]
list = { path = "/items", records = ".data" }
paging = { kind = "page", parameter = "page", limit_parameter = "per_page", limit = 4, total = ".total" }
"#
}

#[tokio::test]
async fn a_unit_that_we_do_not_have_is_told_with_its_line_and_nothing_is_exchanged() {
    let desk = Desk::new(0).await;
    desk.profile(&tasks_profile(&desk).replace(
        "\"DV1\" = \"BO\"",
        "\"DV1\" = \"BO\"\n\"DV9\" = \"KHONG-CO\"",
    ));
    change(&desk, "unit = \"BO\"", "unit = \"PHONG-LA\"");
    let item = json!({ "code": "V/1", "title": "Đo đạc", "units": "DV1", "due": null });
    desk.tracker.add(item);
    let outcome = desk.run().await;
    assert_eq!(outcome.exit(), Exit::Configuration);
    let said = run::said(Lang::En, outcome.error.as_ref().expect("an error"));
    let line = |word: &str| {
        desk.profile_text()
            .lines()
            .position(|l| l.contains(word))
            .expect("a line")
            + 1
    };
    for expected in [
        format!("tracker.toml:{}: unit: is \"PHONG-LA\"", line("PHONG-LA")),
        format!(
            "tracker.toml:{}: units.DV9: is \"KHONG-CO\"",
            line("KHONG-CO")
        ),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    assert_eq!(desk.tracker.requests(), (0, 0));
    change(&desk, "PHONG-LA", "BO");
    change(&desk, "KHONG-CO", "BO");
    let outcome = desk.run().await;
    assert_eq!(outcome.word(), "done", "{:?}", problems(&outcome));
    let task = desk
        .ask(Command::TaskShow { task: "V/1".into() })
        .await
        .expect("a task")
        .data;
    assert_eq!(
        (&task["title"], &task["lead"][0]),
        (&json!("Đo đạc"), &json!("BO")),
        "{task:#}"
    );
}

#[tokio::test]
async fn a_clock_in_another_zone_moves_no_deadline() {
    let desk = Desk::new(0).await;
    desk.profile(&tasks_profile(&desk));
    desk.tracker.add(
        json!({ "code": "V/1", "title": "Đo đạc", "units": "DV1", "due": "2026-12-30T17:30:00Z" }),
    );
    desk.tracker.add(json!({ "code": "V/2", "title": "Khảo sát", "units": "DV1", "due": "2026-12-31T01:00:00+09:00" }));
    let outcome = desk.run().await;
    assert_eq!(outcome.word(), "done", "{:?}", problems(&outcome));
    for (code, due) in [("V/1", "2026-12-31"), ("V/2", "2026-12-30")] {
        let task = desk
            .ask(Command::TaskShow { task: code.into() })
            .await
            .expect("a task")
            .data;
        assert!(task.to_string().contains(due), "{code}: {task:#}");
    }
}

#[test]
fn the_desks_profile_has_no_mistakes() {
    let profile = PROFILE.replace("\"BASE\"", "\"http://127.0.0.1:8080\"");
    nqsync::adapter::profile::parse(&profile).expect("a good profile");
}

#[tokio::test]
async fn a_field_that_two_adapters_decide_is_told_with_its_line_and_neither_runs_until_one_gives_way()
 {
    let desk = Desk::new(1).await;
    desk.run_well().await;
    let claims = "result = { theirs = \".note\" }";
    let reads = "result = { theirs = \".note\", direction = \"in\" }";
    let enabled = "enabled = true\nunit = \"BO\"";
    let other = desk.profile_text().replacen(claims, reads, 1);
    let test = "\n[[test]]\nname = \"an item\"\nstream = \"progress\"\ntheirs = '{\"id\": 1, \"code\": \"I/1\"}'\n\
                expect = '{\"id\": \"1\", \"key\": \"I/1\", \"fields\": {}}'\n";
    let other = other.replacen("unit = \"BO\"", enabled, 1) + test;
    let beside = desk.place.node.settings.adapters_dir.join("reader.toml");
    std::fs::write(&beside, &other).expect("a profile");
    let outcome = begun(&desk).await.expect("a run that begins");
    let Some(RunError::Profile(errors)) = &outcome.error else {
        panic!("{outcome:?}");
    };
    let said = errors.to_string();
    assert!(
        said.contains("reader") && said.contains("stream.progress.fields.result"),
        "{said}"
    );
    assert!(
        errors.problems[0].line > 1 && errors.problems.len() == 1,
        "{said}"
    );
    // Both ways on both sides is no claim: edits meet here, and a conflict is kept.
    std::fs::write(&beside, other.replacen(reads, claims, 1)).expect("a profile");
    desk.run_well().await;
    // Nor is a profile that nobody has enabled.
    std::fs::write(
        &beside,
        other.replacen("enabled = true", "enabled = false", 1),
    )
    .expect("a profile");
    desk.run_well().await;
}
