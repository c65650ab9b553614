//! Exchanging with an outside tracker: real HTTP, a real store, real mappings.

mod support;

use std::sync::atomic::Ordering;

use nqsync::adapter::cycle::{Mode, RunError};
use nqsync::adapter::engine::EngineError;
use nqsync::adapter::simulate::Fault;
use nqsync::api::{Command, Exit, Lang};
use serde_json::{Value, json};
use support::tracker::Desk;

#[tokio::test]
async fn our_tasks_are_created_there_once_and_a_run_without_changes_writes_nothing() {
    let desk = Desk::new(6).await;
    desk.report(2, "in_progress", "40", "Đã khảo sát").await;
    let first = desk.run_well().await;
    assert_eq!(first["created"], 6);
    let there = desk.there(2).pop().expect("the second");
    assert_eq!(
        (&there["state"], &there["progress"]),
        (&json!("doing"), &json!(40))
    );
    assert_eq!(there["note"], "Đã khảo sát");
    let (reads, writes) = desk.tracker.requests();
    let idle = desk.run_well().await;
    let (reads_after, writes_after) = desk.tracker.requests();
    assert_eq!((writes_after, &idle["unchanged"]), (writes, &json!(6)));
    assert_eq!(reads_after - reads, 3, "a login and two pages");
}

#[tokio::test]
async fn a_change_here_goes_there_and_a_change_there_comes_here_submitted_and_neither_comes_back() {
    let desk = Desk::new(3).await;
    desk.run_well().await;
    desk.report(1, "in_progress", "60", "Đo xong 2 máy").await;
    let id = desk.there(3)[0]["id"].as_u64().expect("an id");
    desk.tracker.edit(
        id,
        json!({ "state": "doing", "progress": 25, "note": "Ghi trên trang" }),
    );
    let ran = desk.run_well().await;
    assert_eq!((&ran["pushed"], &ran["pulled"]), (&json!(1), &json!(1)));
    assert_eq!(desk.there(1)[0]["progress"], 60);
    let shown = desk.shown(3).await;
    assert_eq!(
        (&shown["result"], &shown["percent"]),
        (&json!("Ghi trên trang"), &json!("25"))
    );
    assert_eq!(shown["submitted"], true);
    assert_eq!(shown["history"][0]["by"], "adapter:tracker");
    assert_eq!(shown["outside"][0]["id"], id.to_string());
    let writes = desk.tracker.requests().1;
    let rest = desk.run_well().await;
    assert_eq!((&rest["pulled"], &rest["pushed"]), (&json!(0), &json!(0)));
    assert_eq!(desk.tracker.requests().1, writes);
}

#[tokio::test]
async fn what_came_from_there_and_could_not_be_submitted_is_told_until_it_is() {
    let desk = Desk::new(2).await;
    desk.report(1, "in_progress", "40", "Đang làm").await;
    desk.run_well().await;
    let id = desk.there(1)[0]["id"].as_u64().expect("an id");
    // Nobody says completed without evidence.
    desk.tracker
        .edit(id, json!({ "state": "done", "progress": 100 }));
    for _ in 0..3 {
        let outcome = desk.run().await;
        let report = &outcome.streams[0].1;
        let told: Vec<(&str, &str)> = report
            .problems
            .iter()
            .map(|problem| (problem.key.as_str(), problem.code.as_str()))
            .collect();
        assert_eq!(
            (outcome.word(), told),
            ("partly", vec![("I/1", "not_submitted")])
        );
    }
    assert_eq!(desk.shown(1).await["draft_changed"], true);
    desk.evidence(1, "biên bản.pdf", b"%PDF-1.7\n").await;
    desk.submit(1).await;
    desk.run_well().await;
    let problems = desk.place.node.store.read(|connection| {
        nqsync::store::adapters::problems(connection, "tracker").map(|all| all.len())
    });
    assert_eq!(problems.await.expect("read"), 0);
}

#[tokio::test]
async fn a_field_changed_on_both_sides_is_a_conflict_and_its_decision_goes_there() {
    let desk = Desk::new(1).await;
    desk.report(1, "in_progress", "10", "gốc").await;
    desk.run_well().await;
    let id = desk.there(1)[0]["id"].as_u64().expect("an id");
    desk.report(1, "in_progress", "10", "sửa ở đây").await;
    desk.tracker.edit(id, json!({ "note": "sửa bên đó" }));
    let ran = desk.run().await;
    assert_eq!(ran.streams[0].1.conflicts, 1);
    let conflicts = desk.ask(Command::ConflictList).await.expect("a list").data;
    let conflict = conflicts["items"][0]["id"]
        .as_str()
        .expect("a conflict")
        .to_owned();
    let shown = desk
        .ask(Command::ConflictShow {
            conflict: conflict.clone(),
        })
        .await
        .expect("it")
        .data;
    let values: Vec<_> = shown["siblings"]
        .as_array()
        .expect("both")
        .iter()
        .map(|s| s["value"].clone())
        .collect();
    assert!(
        values.contains(&json!("sửa ở đây")) && values.contains(&json!("sửa bên đó")),
        "{shown:#}"
    );
    desk.run().await;
    assert_eq!(
        desk.there(1)[0]["note"],
        "sửa bên đó",
        "nothing is overwritten before a person decided"
    );
    let decide = Command::ConflictResolve {
        conflict,
        take: None,
        value: Some(json!("sửa ở đây")),
        reason: Some("đã gọi".into()),
        token: None,
    };
    desk.ask(decide).await.expect("a decision");
    desk.run_well().await;
    assert_eq!(desk.there(1)[0]["note"], "sửa ở đây");
    assert_eq!(desk.run_well().await["unchanged"], 1);
}

#[tokio::test]
async fn a_draft_goes_out_once_it_is_submitted_and_not_before() {
    let desk = Desk::new(2).await;
    desk.report(1, "in_progress", "10", "đã gửi").await;
    desk.draft(2, "5", "nháp").await;
    desk.run_well().await;
    desk.draft(1, "20", "đang soạn").await;
    let ran = desk.run_well().await;
    assert_eq!(
        (ran["pushed"].clone(), ran["pulled"].clone()),
        (json!(0), json!(0))
    );
    assert_eq!(desk.there(1)[0]["note"], "đã gửi");
    assert_eq!(desk.there(2)[0]["note"], "");
    desk.submit(1).await;
    desk.submit(2).await;
    assert_eq!(desk.run_well().await["pushed"], 2);
    assert_eq!(desk.there(1)[0]["note"], "đang soạn");
    assert_eq!(desk.there(1)[0]["progress"], 20);
    assert_eq!(desk.there(2)[0]["note"], "nháp");
    assert_eq!(desk.run_well().await["unchanged"], 2);
}

#[tokio::test]
async fn a_draft_is_sent_where_the_profile_says_so() {
    let desk = Desk::new(1).await;
    let text = desk.profile_text();
    desk.profile(&text.replace(
        "kind = \"progress\"",
        "kind = \"progress\"\nsends = \"draft\"",
    ));
    desk.draft(1, "5", "nháp").await;
    desk.run_well().await;
    assert_eq!(desk.there(1)[0]["note"], "nháp");
}

/// Whoever edited there has not seen the draft here: both values are kept, and nothing is submitted in a person's name.
#[tokio::test]
async fn an_edit_there_of_what_is_drafted_here_is_a_conflict() {
    let desk = Desk::new(1).await;
    desk.report(1, "in_progress", "10", "gốc").await;
    desk.run_well().await;
    let id = desk.there(1)[0]["id"].as_u64().expect("an id");
    desk.draft(1, "10", "đang soạn").await;
    // Another field is pushed meanwhile: what both sides have seen does not grow by the draft.
    desk.tracker.edit(id, json!({ "progress": 30 }));
    assert_eq!(
        desk.run().await.word(),
        "partly",
        "the draft is not submitted with it"
    );
    assert_eq!(desk.shown(1).await["submission"]["values"]["result"], "gốc");
    desk.tracker.edit(id, json!({ "note": "sửa bên đó" }));
    desk.run().await;
    let (_, voices) = desk.voices().await;
    assert!(
        voices.contains(&json!("đang soạn")) && voices.contains(&json!("sửa bên đó")),
        "{voices:?}"
    );
}

#[tokio::test]
async fn beside_an_open_conflict_a_new_outside_value_is_one_more_voice() {
    let desk = Desk::new(1).await;
    desk.report(1, "in_progress", "10", "gốc").await;
    desk.run_well().await;
    let id = desk.there(1)[0]["id"].as_u64().expect("an id");
    desk.report(1, "in_progress", "10", "sửa ở đây").await;
    desk.tracker.edit(id, json!({ "note": "sửa bên đó" }));
    desk.run().await;
    desk.tracker.edit(id, json!({ "note": "sửa lần nữa" }));
    desk.run().await;
    let (conflict, voices) = desk.voices().await;
    for value in ["sửa ở đây", "sửa lần nữa"] {
        assert!(voices.contains(&json!(value)), "{voices:?}");
    }
    let decide = Command::ConflictResolve {
        conflict,
        take: None,
        value: Some(json!("sửa lần nữa")),
        reason: Some("đã gọi".into()),
        token: None,
    };
    desk.ask(decide).await.expect("a decision");
    // Decided and not submitted yet: the version of before does not go over it, and that it waits is told.
    let outcome = desk.run().await;
    assert_eq!(outcome.streams[0].1.problems[0].code, "not_submitted");
    assert_eq!(desk.there(1)[0]["note"], "sửa lần nữa");
    desk.submit(1).await;
    assert_eq!(desk.run_well().await["unchanged"], 1);
}

/// The tracker keeps less than it was given: that is no edit of anybody, is not written again and again, and stays visible.
#[tokio::test]
async fn what_the_outside_made_something_else_of_is_written_once_and_told_for_as_long_as_it_differs()
 {
    let desk = Desk::new(1).await;
    let text = desk.profile_text();
    desk.profile(&text.replace(
        "result = { theirs = \".note\" }",
        "result = { theirs = \".note[:3]\" }",
    ));
    desk.report(1, "in_progress", "10", "dài quá").await;
    assert_eq!(desk.run().await.word(), "partly");
    let writes = desk.tracker.requests().1;
    for _ in 0..2 {
        let ran = desk.run_well().await;
        let said = ran["waiting"]["I/1"].as_str().unwrap_or_default();
        assert!(said.contains("dài quá"), "{ran:#}");
    }
    assert_eq!(desk.tracker.requests().1, writes);
    desk.report(1, "in_progress", "10", "dài").await;
    desk.run_well().await;
    assert_eq!(desk.run_well().await["waiting"], json!({}));
}

#[tokio::test]
async fn a_trial_tells_what_would_change_and_writes_nothing() {
    let desk = Desk::new(2).await;
    let trial = Mode {
        trial: true,
        ..Mode::default()
    };
    let outcome = desk.run_as(trial).await;
    assert_eq!(outcome.streams[0].1.created, 2, "what would be created");
    assert!(
        outcome.streams[0]
            .1
            .differences
            .iter()
            .any(|d| d.field == "title" && d.theirs.is_none())
    );
    assert_eq!(desk.tracker.requests().1, 0);
    assert_eq!(desk.run_well().await["created"], 2);
}

#[tokio::test]
async fn h5_an_empty_or_shrunken_listing_deletes_nothing_and_the_backlog_drains_when_it_is_right_again()
 {
    let desk = Desk::new(8).await;
    desk.run_well().await;
    for fault in [Fault::Down, Fault::Empty, Fault::Shrunken] {
        desk.tracker.fail(fault);
        desk.report(1, "in_progress", "30", &format!("{fault:?}"))
            .await;
        let writes = desk.tracker.requests().1;
        let outcome = desk.run().await;
        assert_eq!(
            (outcome.word(), outcome.exit()),
            ("failed", Exit::Unreachable),
            "{fault:?}"
        );
        assert_eq!(desk.tracker.items().len(), 8, "{fault:?}");
        assert_eq!(desk.tracker.requests().1, writes, "{fault:?}");
        let status = desk.ask(Command::Status).await.expect("a status").data;
        assert_eq!(status["adapters"][0]["outcome"], "failed");
        assert!(
            status["problems"].to_string().contains("tracker"),
            "{fault:?}"
        );
    }
    desk.tracker.fail(Fault::None);
    desk.run_well().await;
    assert_eq!(desk.there(1)[0]["note"], "Shrunken");
    assert_eq!(
        desk.ask(Command::Status).await.expect("a status").data["adapters"][0]["outcome"],
        "done"
    );
}

/// A week of hourly tries while people go on working here, then a day of empty lists, in virtual time.
#[tokio::test]
async fn h5_a_tracker_down_for_a_week_and_then_empty_loses_nothing_and_gets_the_backlog_when_it_is_right()
 {
    const HOUR_MS: i64 = 3_600_000;
    let desk = Desk::new(6).await;
    desk.run_well().await;
    let clock = &desk.place.clock_ms;
    let pass = |hours: i64| clock.fetch_add(hours * HOUR_MS, Ordering::SeqCst);
    pass(1);
    let down_at = clock.load(Ordering::SeqCst);
    for day in 1..=8 {
        let fault = if day <= 7 { Fault::Down } else { Fault::Empty };
        desk.tracker.fail(fault);
        let number = 1 + day % 3;
        desk.report(number, "in_progress", "30", &format!("ngày {day}"))
            .await;
        for _ in 0..3 {
            let outcome = desk.run().await;
            assert_eq!(outcome.exit(), Exit::Unreachable, "day {day}");
            pass(8);
        }
        let status = desk.ask(Command::Status).await.expect("a status").data;
        let since = status["adapters"][0]["not_well_since"]
            .as_str()
            .unwrap_or_default();
        let since: jiff::Timestamp = since.parse().expect("an instant");
        assert!(
            (since.as_millisecond() - down_at).abs() < HOUR_MS,
            "day {day}: {status:#}"
        );
    }
    desk.tracker.fail(Fault::None);
    let ran = desk.run_well().await;
    assert_eq!(
        (&ran["pushed"], &ran["missing"]),
        (&json!(3), &json!(0)),
        "{ran:#}"
    );
    for (number, note) in [(1, "ngày 6"), (2, "ngày 7"), (3, "ngày 8")] {
        assert_eq!(desk.there(number)[0]["note"], note);
        assert_eq!(desk.shown(number).await["result"], note);
    }
    assert_eq!(desk.tracker.items().len(), 6);
    let status = desk.ask(Command::Status).await.expect("a status").data;
    assert_eq!(
        status["adapters"][0]["not_well_since"],
        Value::Null,
        "{status:#}"
    );
    assert_eq!(desk.run_well().await["unchanged"], 6);
}

/// Each fault ends the run with a message that says what is wrong, changes nothing on either side, and leaves no trace.
#[tokio::test]
async fn h1_h3_h4_h6_h7_a_faulty_system_changes_nothing_and_is_told_by_name() {
    let desk = Desk::new(6).await;
    desk.run_well().await;
    let faults = [
        (Fault::Endless, "more than", Exit::Refused),
        (Fault::Silent, "took too long", Exit::Unreachable),
        (Fault::Redirect, "redirects elsewhere", Exit::Refused),
        (Fault::PageMissing, "a page is missing", Exit::Refused),
        (Fault::PageTwice, "comes again", Exit::Refused),
        (Fault::ErrorInTheMiddle, "500", Exit::Unreachable),
        (Fault::ErrorInside, "hỏng", Exit::Refused),
        (Fault::Html, "text/html", Exit::Refused),
        (Fault::EchoSecret, "***", Exit::Refused),
    ];
    desk.report(4, "in_progress", "70", "chờ").await;
    for (fault, says, exit) in faults {
        desk.tracker.fail(fault);
        let (before, writes) = (desk.tracker.items(), desk.tracker.requests().1);
        let outcome = desk.run().await;
        let data = outcome
            .data(Lang::En, "tracker", Mode::default())
            .to_string();
        assert!(data.contains(says), "{fault:?}: {data}");
        assert_eq!(outcome.exit(), exit, "{fault:?}: {data}");
        assert!(
            !data.contains("mat-khau-rieng") && !data.contains("token-"),
            "{fault:?}: {data}"
        );
        assert_eq!(
            (desk.tracker.items(), desk.tracker.requests().1),
            (before, writes),
            "{fault:?}"
        );
    }
    desk.tracker.fail(Fault::None);
    assert_eq!(desk.run_well().await["pushed"], 1);
}

#[tokio::test]
async fn h4_records_out_of_order_are_the_same_records_and_an_id_twice_is_told() {
    let desk = Desk::new(6).await;
    desk.run_well().await;
    desk.tracker.fail(Fault::Reordered);
    assert_eq!(desk.run_well().await["unchanged"], 6);
    desk.tracker.fail(Fault::IdTwice);
    let writes = desk.tracker.requests().1;
    desk.run().await;
    assert_eq!(desk.tracker.requests().1, writes);
    desk.tracker.fail(Fault::None);
    assert_eq!(desk.run_well().await["unchanged"], 6);
}

/// A tracker that was set up anew gives old ids to other records.
#[tokio::test]
async fn h4_ids_that_were_given_to_other_records_mix_nothing_up() {
    let desk = Desk::new(3).await;
    for number in 1..=3 {
        desk.report(number, "in_progress", "10", &format!("việc {number}"))
            .await;
    }
    desk.run_well().await;
    let before: Vec<Value> = (1..=3).map(|n| desk.there(n)[0].clone()).collect();
    let id = |n: usize| before[n - 1]["id"].as_u64().expect("an id");
    let content = |n: usize| {
        let record = &before[n - 1];
        json!({ "code": record["code"], "title": record["title"], "note": record["note"] })
    };
    desk.tracker.edit(id(1), content(2));
    desk.tracker.edit(id(2), content(1));
    let printer = json!({ "code": "", "title": "Máy in hỏng", "note": "hết mực" });
    desk.tracker.edit(id(3), printer);
    let writes = desk.tracker.requests().1;
    let outcome = desk.run().await;
    assert_eq!(outcome.word(), "partly");
    let problem = &outcome.streams[0].1.problems[0];
    assert!(
        problem.key == "I/3" && problem.code == "key_gone",
        "{problem:?}"
    );
    for number in 1..=3 {
        let report = desk.shown(number).await;
        assert_eq!(report["result"], format!("việc {number}"));
    }
    assert_eq!(desk.tracker.requests().1, writes);
    desk.report(1, "in_progress", "20", "việc 1 xong").await;
    desk.run().await;
    assert_eq!(desk.there(1)[0]["note"], "việc 1 xong");
    assert_eq!(desk.there(1)[0]["id"].as_u64(), Some(id(2)));
    assert_eq!(desk.there(2)[0]["note"], "việc 2");
}

#[tokio::test]
async fn h6_a_rate_limit_and_a_token_that_runs_out_only_cost_time() {
    let desk = Desk::new(5).await;
    desk.tracker.fail(Fault::TokenExpires);
    assert_eq!(desk.run_well().await["created"], 5);
    desk.tracker.fail(Fault::RateLimit);
    desk.report(5, "in_progress", "15", "x").await;
    assert_eq!(desk.run_well().await["pushed"], 1);
}

#[tokio::test]
async fn h6_fields_that_have_gone_are_problems_of_their_records_and_change_nothing() {
    let desk = Desk::new(3).await;
    desk.run_well().await;
    desk.tracker.fail(Fault::SchemaChanged);
    let outcome = desk.run().await;
    assert_ne!(outcome.word(), "done");
    let reports = Command::ReportList {
        task: None,
        unit: None,
        period: None,
    };
    assert_eq!(desk.ask(reports).await.expect("a list").data["total"], 0);
}

#[tokio::test]
async fn a_wrong_password_is_an_authentication_error_and_is_not_shown() {
    let desk = Desk::new(1).await;
    desk.secret("sai-mat-khau");
    let outcome = desk.run().await;
    assert!(matches!(
        outcome.error,
        Some(RunError::Outside(EngineError::Authentication(_)))
    ));
    let data = outcome
        .data(Lang::En, "tracker", Mode::default())
        .to_string();
    assert_eq!(outcome.exit(), Exit::Authentication);
    assert!(!data.contains("sai-mat-khau"), "{data}");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_asked_about_and_never_made_twice() {
    let desk = Desk::new(3).await;
    desk.tracker.fail(Fault::CutAfterWrite);
    let cut = desk.run().await;
    assert_eq!((cut.word(), cut.streams[0].1.in_doubt), ("failed", 1));
    assert_eq!(desk.tracker.items().len(), 1);
    desk.tracker.fail(Fault::None);
    let ran = desk.run_well().await;
    assert_eq!(ran["created"], 2);
    for number in 1..=3 {
        assert_eq!(desk.there(number).len(), 1);
    }
}

#[tokio::test]
async fn a_status_that_the_dictionary_lacks_leaves_its_record_alone_and_the_rest_goes_on() {
    let desk = Desk::new(3).await;
    desk.run_well().await;
    let id = |n: usize| desk.there(n)[0]["id"].as_u64().expect("an id");
    desk.tracker
        .edit(id(1), json!({ "state": "blocked", "note": "lạ" }));
    desk.tracker.edit(id(2), json!({ "note": "quen" }));
    let outcome = desk.run().await;
    assert_eq!((outcome.word(), outcome.exit()), ("partly", Exit::Partly));
    let problem = &outcome.streams[0].1.problems[0];
    assert!(
        problem.key == "I/1" && problem.text.contains("blocked"),
        "{problem:?}"
    );
    assert_eq!(desk.shown(2).await["result"], "quen");
}

#[tokio::test]
async fn a_mass_change_waits_for_a_person() {
    let desk = Desk::new(30).await;
    desk.run_well().await;
    for item in desk.tracker.items() {
        desk.tracker.edit(
            item["id"].as_u64().expect("an id"),
            json!({ "note": "đè hết" }),
        );
    }
    let held = desk.run().await;
    assert_eq!((held.word(), held.exit()), ("held", Exit::PersonNeeded));
    assert_eq!(held.streams[0].1.pulled, 0);
    let release = Mode {
        release: true,
        ..Mode::default()
    };
    assert_eq!(desk.run_as(release).await.streams[0].1.pulled, 30);
}

#[tokio::test]
async fn a_system_that_wants_the_latest_version_with_every_change_gets_it() {
    let desk = Desk::new(2).await;
    let text = desk.profile_text();
    let text = text.replace("[stream.http]", "fresh = true\n[stream.http]");
    desk.profile(&format!("{text}version_header = \"If-Match\"\n"));
    desk.run_well().await;
    for percent in ["10", "20"] {
        desk.report(1, "in_progress", percent, "x").await;
        assert_eq!(desk.run_well().await["pushed"], 1);
        assert_eq!(desk.there(1)[0]["progress"].to_string(), percent);
    }
}
