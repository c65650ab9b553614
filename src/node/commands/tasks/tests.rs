use nqsync_core::model::Kind;
use serde_json::{Value, json};

use crate::api::{Command, Exit, TaskFields};
use crate::node::commands::desk::Desk;
use crate::node::commands::fixture::{COMMUNE, Fixture, MINISTRY, PROVINCE, WARD};

fn update(task: &Value, fields: TaskFields, token: Option<&Value>) -> Command {
    Command::TaskUpdate {
        task: task["id"].as_str().unwrap_or_default().to_owned(),
        fields,
        token: token.and_then(Value::as_str).map(str::to_owned),
    }
}

fn titled(title: &str) -> TaskFields {
    TaskFields {
        title: Some(title.to_owned()),
        ..TaskFields::default()
    }
}

#[tokio::test]
async fn a_task_says_which_of_the_six_clears_are_missing() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    assert_eq!(task["missing"], json!(["person", "product", "authority"]));
    assert_eq!(task["deadline"]["due"], "2026-06-30");
    assert_eq!(
        (&task["issuer"], &task["lead"]),
        (&json!("MIN"), &json!(["79"]))
    );
    assert_eq!(task["status"], "not_reported");
    assert_eq!(
        desk.no(Command::TaskAdd {
            fields: titled(" ")
        })
        .await
        .code,
        "task_needs_title"
    );
}

#[test]
fn a_unit_that_is_not_below_stays_a_name_and_gets_no_directive() {
    let fixture = Fixture::new();
    let named = || vec!["00123".to_owned(), "BNV".to_owned()];
    let fields = TaskFields {
        lead: Some(named()),
        coordinating: Some(vec!["79.VP".to_owned(), "Unit BNV".to_owned()]),
        ..titled("x")
    };
    let task = fixture.ask(Command::TaskAdd { fields }).expect("a task");
    assert!(task.notes[0].contains("BNV; Unit BNV"), "{:?}", task.notes);
    let task = task.data;
    assert_eq!(task["lead"], json!(["00123"]), "{task}");
    assert_eq!(task["lead_unresolved"], json!(["BNV"]), "{task}");
    assert_eq!(task["coordinating"], json!(["79.VP"]), "{task}");
    let directive = Command::DirectiveAdd {
        number: "1/KH".to_owned(),
        date: None,
        kind: None,
        summary: "x".to_owned(),
        units: named(),
        file: None,
    };
    assert_eq!(fixture.refused(directive), "unit_not_below");
}

#[test]
fn units_that_have_the_work_keep_it_when_the_form_says_them_again() {
    let fixture = Fixture::new();
    // Given by an earlier version: the ministry, and two offices with one code, of which the province's own stands highest.
    fixture.unit(7, "VP", "department", Some(PROVINCE), None);
    fixture.unit(8, "VP", "department", Some(COMMUNE), None);
    fixture.unit(9, "VP", "department", Some(WARD), None);
    let task = fixture.task(PROVINCE, 1, "I", &[MINISTRY, 8, 9]);
    let show = || Command::TaskShow {
        task: task.to_string(),
    };
    let before = fixture.data(show());
    assert_eq!(before["lead"], json!(["BNV", "VP", "VP"]));
    let held = fixture.record(task).shown("lead");
    let said_again = || serde_json::from_value(before["lead"].clone()).expect("codes");
    let save = |lead: Vec<String>, deadline: &str| {
        let fields = TaskFields {
            lead: Some(lead),
            deadline: Some(deadline.to_owned()),
            ..TaskFields::default()
        };
        let answer = fixture.ask(update(&before, fields, None)).expect("saved");
        assert_eq!(answer.data["lead_unresolved"], json!([]));
        answer.data["lead"].clone()
    };
    save(said_again(), "31/12/2026");
    let units = |value: Option<Value>| value.map(|value| value["units"].clone());
    let now = fixture.record(task).shown("lead");
    assert_eq!(units(now), units(held));
    let more = [said_again(), vec!["00123".to_owned()]].concat();
    assert_eq!(save(more, "1/12/2026"), json!(["BNV", "VP", "VP", "00123"]));

    // One code in two fields means in each the unit that stands there.
    let both = |lead: &str, coordinating: &str| TaskFields {
        lead: Some(vec![lead.to_owned()]),
        coordinating: Some(vec![coordinating.to_owned()]),
        ..titled("y")
    };
    let fields = both("79/VP", "79/00123/VP");
    let task = fixture.data(Command::TaskAdd { fields });
    let registers = || {
        let id = task["id"].as_str().and_then(|id| id.parse().ok());
        let record = fixture.record(id.expect("an id"));
        ["lead", "coordinating"].map(|register| units(record.shown(register)))
    };
    let given = registers();
    assert_ne!(given[0], given[1]);
    fixture.data(update(&task, both("VP", "VP"), None));
    assert_eq!(registers(), given);
}

#[tokio::test]
async fn a_day_that_does_not_exist_is_refused_and_words_are_kept() {
    let desk = Desk::new().await;
    let due = |text: &str| TaskFields {
        deadline: Some(text.to_owned()),
        ..titled("x")
    };
    let refused = desk
        .no(Command::TaskAdd {
            fields: due("31/02/2026"),
        })
        .await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Usage, "no_such_date")
    );
    let kept = desk
        .ok(Command::TaskAdd {
            fields: due("khi nào xong thì thôi"),
        })
        .await;
    assert_eq!(kept.data["deadline"]["kind"], "unread");
    assert_eq!(kept.data["deadline"]["text"], "khi nào xong thì thôi");
}

#[tokio::test]
async fn tasks_are_named_by_id_by_its_beginning_or_by_group_and_number() {
    let desk = Desk::new().await;
    let first = desk.task(&["79"]).await;
    let show = |task: &str| Command::TaskShow {
        task: task.to_owned(),
    };
    let id = first["id"].as_str().unwrap_or_default();
    assert_eq!(desk.ok(show(id)).await.data["id"], first["id"]);
    assert_eq!(desk.ok(show("ii/1.1")).await.data["id"], first["id"]);
    assert_eq!(desk.ok(show(&id[..13])).await.data["id"], first["id"]);
    assert_eq!(desk.no(show("II/9")).await.code, "unknown_task");
    assert_eq!(desk.no(show(&id[..3])).await.code, "unknown_task");
    // A second task with the number stays a task of its own; the number alone is then not enough.
    let second = desk.task(&["66"]).await;
    assert_ne!(first["id"], second["id"]);
    let refused = desk.no(show("II/1.1")).await;
    assert_eq!(refused.code, "ambiguous_ref");
    assert!(
        refused.data["candidates"]
            .as_str()
            .unwrap_or_default()
            .contains(id)
    );
    assert_eq!(desk.no(show(&id[..4])).await.code, "ambiguous_ref");
}

#[tokio::test]
async fn an_update_writes_only_what_changes() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let before = desk.load(&task["id"]).await;
    let same = desk.ok(update(&task, titled("Số hóa hồ sơ"), None)).await;
    assert_eq!(same.notes.len(), 2, "{:?}", same.notes);
    assert_eq!(desk.load(&task["id"]).await.digest, before.digest);
    desk.ok(update(
        &task,
        TaskFields {
            kpi: Some("100%".to_owned()),
            ..titled("Số hóa hồ sơ")
        },
        None,
    ))
    .await;
    let after = desk.load(&task["id"]).await.record;
    assert_eq!(after.edits().len(), 2);
    assert_eq!(
        after.edits().iter().map(|edit| edit.writes().len()).min(),
        Some(1)
    );
    assert_eq!(
        desk.no(update(&task, TaskFields::default(), None))
            .await
            .code,
        "nothing_given"
    );
}

#[tokio::test]
async fn a_form_saved_after_a_change_it_did_not_show_makes_a_conflict() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    desk.ok(update(&task, titled("Số hóa một"), None)).await;
    let late = desk
        .ok(update(&task, titled("Số hóa hai"), Some(&task["token"])))
        .await;
    assert_eq!(late.data["conflicts"], json!(["title"]));
    assert_eq!(late.data["title"], "Số hóa hai");
    let broken = desk
        .no(update(&task, titled("x"), Some(&json!("nonsense"))))
        .await;
    assert_eq!(broken.code, "bad_token");
}

#[tokio::test]
async fn only_the_issuer_changes_a_task() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let refused = desk
        .no_as("79", update(&task, titled("anders"), None))
        .await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Usage, "not_owner")
    );
    assert_eq!(desk.load(&task["id"]).await.record.edits().len(), 1);
}

#[tokio::test]
async fn withdrawing_needs_a_reason_and_stays_visible() {
    let desk = Desk::new().await;
    let task = desk.task(&["79"]).await;
    let withdraw = |reason: &str| Command::TaskWithdraw {
        task: task["id"].as_str().unwrap_or_default().to_owned(),
        reason: reason.to_owned(),
    };
    assert_eq!(desk.no(withdraw(" ")).await.code, "reason_needed");
    let gone = desk.ok(withdraw("giao trùng")).await.data;
    assert_eq!(
        (&gone["withdrawn"], &gone["status"]),
        (&json!(true), &json!("withdrawn"))
    );
    let list = Command::TaskList {
        unit: None,
        group: None,
        issuer: None,
        unresolved: false,
        period: None,
        narrowed: Default::default(),
    };
    assert_eq!(desk.ok(list).await.data["total"], 1);
}

#[tokio::test]
async fn a_retried_request_gets_the_first_answer() {
    let desk = Desk::new().await;
    let request = desk.request(
        None,
        Command::TaskAdd {
            fields: titled("một lần"),
        },
    );
    let first = crate::node::commands::execute(&desk.node, request.clone())
        .await
        .unwrap();
    let again = crate::node::commands::execute(&desk.node, request)
        .await
        .unwrap();
    assert_eq!(first.data["id"], again.data["id"]);
    let count = desk
        .with(|tx| Ok(crate::store::records::of_kind(tx.connection(), Kind::Task)?.len()))
        .await;
    assert_eq!(count, 1);
}

#[tokio::test]
async fn lists_follow_the_order_of_the_plan() {
    let desk = Desk::new().await;
    for (group, number) in [("IX", "1"), ("II", "2.10"), ("II", "2.9")] {
        let fields = TaskFields {
            group: Some(group.to_owned()),
            number: Some(number.to_owned()),
            lead: Some(vec!["79".to_owned()]),
            ..titled("x")
        };
        desk.ok(Command::TaskAdd { fields }).await;
    }
    let list = |unresolved| Command::TaskList {
        unit: Some("79".to_owned()),
        group: None,
        issuer: None,
        unresolved,
        period: Some("2026-03".to_owned()),
        narrowed: Default::default(),
    };
    let data = desk.ok(list(false)).await.data;
    let numbers: Vec<&Value> = data["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["number"])
        .collect();
    assert_eq!(numbers, ["2.9", "2.10", "1"]);
    assert_eq!(desk.ok(list(true)).await.data["total"], 0);
}
