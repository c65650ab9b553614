use nqsync_core::model::Facts;
use nqsync_core::sync::Token;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::fixture::{COMMUNE, Fixture, MINISTRY, PROVINCE, unit};
use crate::api::Command;

/// Two places of the issuer wrote different titles, both based on the first.
fn in_conflict(fixture: &Fixture, issuer: u128) -> Uuid {
    let task = fixture.task(issuer, 1, "I", &[COMMUNE]);
    let seen = fixture.token_of(task);
    for (place, title) in [(11, "One"), (12, "Two")] {
        write_title(fixture, issuer, task, title, (seen.clone(), place));
    }
    task
}

fn write_title(
    fixture: &Fixture,
    issuer: u128,
    task: Uuid,
    title: &str,
    (seen, place): (Token, u8),
) {
    fixture.wait_ms(1000);
    let facts = Facts::Task {
        issuer: unit(issuer),
        parent: None,
    };
    let values = [("title", json!(title))];
    fixture.put_seeing(unit(issuer), facts, task, &values, Some(seen), place);
}

fn resolve(conflict: &str, take: Option<usize>, value: Option<Value>) -> Command {
    Command::ConflictResolve {
        conflict: conflict.to_owned(),
        take,
        value,
        reason: Some("checked".into()),
        token: None,
    }
}

#[test]
fn both_values_are_shown_with_what_they_were_based_on_until_the_owner_takes_one() {
    let fixture = Fixture::new();
    let task = in_conflict(&fixture, PROVINCE);
    let listed = fixture.data(Command::ConflictList);
    let item = &listed["items"][0];
    assert_eq!(
        (&item["register"], &item["values"], &item["unit"]),
        (&json!("title"), &json!(2), &json!("79"))
    );
    let id = item["id"].as_str().expect("an id").to_owned();
    let shown = fixture.data(Command::ConflictShow {
        conflict: id.clone(),
    });
    assert_eq!(shown["base"], "Task 1");
    let values: Vec<&Value> = shown["siblings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| &s["value"])
        .collect();
    assert_eq!(values, ["Two", "One"]);
    let resolved = fixture.data(resolve(&id, Some(2), None));
    assert_eq!(
        (&resolved["value"], &resolved["remaining"]),
        (&json!("One"), &json!(0))
    );
    assert_eq!(fixture.record(task).register("title").siblings.len(), 1);
    assert_eq!(
        fixture.refused(resolve(&id, Some(1), None)),
        "no_such_conflict"
    );
}

#[test]
fn what_was_chosen_before_another_value_came_is_refused() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let first = fixture.token_of(task);
    let write = |title, place| write_title(&fixture, PROVINCE, task, title, (first.clone(), place));
    write("One", 11);
    write("Two", 12);
    let shown = || {
        fixture.data(Command::ConflictShow {
            conflict: "1".into(),
        })
    };
    let take = |seen: &Value| Command::ConflictResolve {
        conflict: "1".into(),
        take: Some(1),
        value: None,
        reason: Some("checked".into()),
        token: seen["token"].as_str().map(str::to_owned),
    };
    let seen = shown();
    write("Three", 13);
    assert_eq!(fixture.refused(take(&seen)), "changed");
    assert_eq!(fixture.record(task).register("title").siblings.len(), 3);
    assert_eq!(fixture.data(take(&shown()))["value"], "Three");
}

#[test]
fn a_conflict_is_named_by_its_number_or_the_beginning_of_its_record() {
    let fixture = Fixture::new();
    let task = in_conflict(&fixture, PROVINCE);
    let prefix = task.to_string()[..6].to_owned();
    for name in [
        "1".to_owned(),
        prefix.clone(),
        format!("{prefix}:title"),
        format!("task:{task}:title"),
    ] {
        assert_eq!(
            fixture.data(Command::ConflictShow { conflict: name })["register"],
            "title"
        );
    }
    for name in ["2", "0", "a0", "ffff", "task:ffff:title", "a000:lead"] {
        let code = fixture.refused(Command::ConflictShow {
            conflict: name.into(),
        });
        assert_eq!(code, "no_such_conflict", "{name}");
    }
}

#[test]
fn another_value_can_be_written_and_only_one_way_of_settling_is_taken() {
    let fixture = Fixture::new();
    let task = in_conflict(&fixture, PROVINCE);
    assert_eq!(fixture.refused(resolve("1", None, None)), "take_or_value");
    assert_eq!(
        fixture.refused(resolve("1", Some(1), Some(json!("x")))),
        "take_or_value"
    );
    assert_eq!(
        fixture.refused(resolve("1", Some(3), None)),
        "no_such_choice"
    );
    fixture.data(resolve("1", None, Some(json!("Three"))));
    assert_eq!(fixture.record(task).shown("title"), Some(json!("Three")));
}

#[test]
fn only_the_owner_settles() {
    let fixture = Fixture::new();
    in_conflict(&fixture, MINISTRY);
    assert_eq!(fixture.refused(resolve("1", Some(1), None)), "not_owner");
}

#[test]
fn a_value_written_beside_a_deletion_can_be_kept_or_given_up() {
    for (take, kept) in [(1, true), (2, false)] {
        let fixture = Fixture::new();
        let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
        let seen = fixture.token_of(task);
        let facts = Facts::Task {
            issuer: unit(PROVINCE),
            parent: None,
        };
        let deletion = fixture.record(task).deletion("twice");
        let deletion: Vec<(&str, Value)> = deletion
            .iter()
            .map(|(k, v)| (k.as_str(), v.clone()))
            .collect();
        fixture.put_seeing(
            unit(PROVINCE),
            facts.clone(),
            task,
            &deletion,
            Some(seen),
            11,
        );
        let unseen = Some(Token::default());
        fixture.wait_ms(1000);
        fixture.put_seeing(
            unit(PROVINCE),
            facts,
            task,
            &[("kpi", json!("5 %"))],
            unseen,
            12,
        );
        let shown = fixture.data(Command::ConflictShow {
            conflict: "1".into(),
        });
        assert_eq!(shown["siblings"][0]["value"], "5 %");
        assert_eq!(shown["siblings"][1]["value"], Value::Null);
        fixture.data(resolve("1", Some(take), None));
        let record = fixture.record(task);
        assert_eq!(record.is_deleted(), !kept);
        assert_eq!(record.shown("kpi").is_some(), kept);
        assert!(record.conflicts().is_empty());
    }
}
