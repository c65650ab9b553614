//! Looking at warnings, and silencing them.

use super::super::fixture::{COMMUNE, Fixture, PROVINCE, WARD};
use super::*;
use crate::api::{AuditFilter, Command};
use crate::node;

const DAY_MS: i64 = 24 * 3_600_000;

fn look(fixture: &Fixture) {
    let worker = fixture.node.clone();
    let store = &fixture.node.store;
    let looked = store.write_blocking(move |tx| {
        node::warnings::begin_day(&worker, tx, None)?;
        node::warnings::look(&worker, tx)
    });
    looked.unwrap();
}

fn list(fixture: &Fixture, unit: Option<&str>, kind: Option<&str>, all: bool) -> Value {
    fixture.data(Command::WarningList {
        unit: unit.map(str::to_owned),
        kind: kind.map(str::to_owned),
        all,
        offset: 0,
        limit: None,
    })
}

fn silence(warnings: &[u64], reason: &str, until: &str) -> Command {
    Command::WarningSilence {
        warnings: warnings.to_vec(),
        reason: reason.to_owned(),
        until: until.to_owned(),
    }
}

fn numbers(data: &Value) -> Vec<u64> {
    let items = data["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["warning"].as_u64().unwrap())
        .collect()
}

/// Two tasks, on 4 April, four days after both were due.
fn overdue() -> Fixture {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.task(PROVINCE, 2, "I", &[WARD]);
    fixture.wait_ms(20 * DAY_MS);
    look(&fixture);
    fixture
}

#[test]
fn warnings_are_listed_by_unit_and_kind_and_counted() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    assert_eq!(list(&fixture, None, None, false)["pending"], true);
    let fixture = overdue();
    let all = list(&fixture, None, None, false);
    assert_eq!((&all["total"], &all["pending"]), (&json!(2), &json!(false)));
    assert_eq!(
        all["counts"],
        json!({ "open": 2, "silenced": 0, "by_kind": { "overdue": 2, "behind": 0, "insufficient": 0 } })
    );
    let first = &all["items"][0];
    assert_eq!(
        (&first["unit"], &first["kind"], &first["due"]),
        (&json!("00123"), &json!("overdue"), &json!("2026-03-31"))
    );
    assert_eq!(list(&fixture, Some("00456"), None, false)["total"], 1);
    assert_eq!(
        list(&fixture, Some("79"), Some("overdue"), false)["total"],
        2
    );
    assert_eq!(list(&fixture, None, Some("behind"), false)["total"], 0);
    let shown = fixture.data(Command::WarningShow {
        warning: numbers(&all)[0],
    });
    assert_eq!(
        (&shown["status"], &shown["task_title"]),
        (&json!("not_reported"), &json!("I/1 Task 1"))
    );
    assert_eq!(
        fixture.refused(Command::WarningShow { warning: 99 }),
        "no_such_warning"
    );
    let unknown = Command::WarningList {
        unit: None,
        kind: Some("red".to_owned()),
        all: false,
        offset: 0,
        limit: None,
    };
    assert_eq!(fixture.refused(unknown), "unknown_warning_kind");
    assert_eq!(fixture.data(Command::Status)["warnings"]["open"], 2);
    let second = fixture.data(Command::WarningList {
        unit: None,
        kind: None,
        all: false,
        offset: 1,
        limit: Some(1),
    });
    let whole = list(&fixture, None, None, false);
    assert_eq!(second["items"], json!([whole["items"][1]]));
    assert_eq!(
        (&second["total"], &second["counts"]),
        (&whole["total"], &whole["counts"])
    );
}

#[test]
fn a_warning_is_silenced_with_a_reason_until_a_day_and_the_audit_has_it() {
    let fixture = overdue();
    let [first, second] = numbers(&list(&fixture, None, None, false))[..] else {
        panic!()
    };
    for (command, code) in [
        (silence(&[first], " ", "2026-04-30"), "reason_needed"),
        (silence(&[first], "asked for", "2026-04-03"), "bad_until"),
        (silence(&[first], "asked for", "2027-06-01"), "bad_until"),
        (silence(&[first], "asked for", "soon"), "bad_day"),
        (
            silence(&[first, 99], "asked for", "2026-04-30"),
            "no_such_warning",
        ),
    ] {
        assert_eq!(fixture.refused(command), code);
    }
    assert_eq!(
        list(&fixture, None, None, false)["counts"]["silenced"],
        0,
        "all or none"
    );
    let said = fixture.data(silence(&[first], "asked for a new deadline", "2026-04-06"));
    assert_eq!(
        (
            &said["items"][0]["silenced"],
            &said["items"][0]["silenced_by"]
        ),
        (&json!(true), &json!("An"))
    );
    let listed = list(&fixture, None, None, false);
    assert_eq!(listed["total"], 2, "it stays in the list");
    assert_eq!(
        (&listed["counts"]["open"], &listed["counts"]["silenced"]),
        (&json!(1), &json!(1))
    );
    let filter = AuditFilter {
        act: Some("warning.silenced".to_owned()),
        ..Default::default()
    };
    let audit = fixture.data(Command::AuditShow { filter });
    assert_eq!(
        audit["items"][0]["detail"]["reason"],
        "asked for a new deadline"
    );
    assert_eq!(
        (
            &audit["items"][0]["actor"],
            &audit["items"][0]["detail"]["until"]
        ),
        (&json!("An"), &json!("2026-04-06"))
    );
    // The last day counts, the day after does not.
    fixture.wait_ms(2 * DAY_MS);
    assert_eq!(list(&fixture, None, None, false)["counts"]["silenced"], 1);
    fixture.wait_ms(DAY_MS);
    assert_eq!(list(&fixture, None, None, false)["counts"]["open"], 2);
    assert_ne!(first, second);
}

#[test]
fn a_warning_that_comes_anew_is_not_silenced() {
    let fixture = overdue();
    let number = numbers(&list(&fixture, Some("00123"), None, false))[0];
    fixture.data(silence(&[number], "known", "2026-12-31"));
    let task = list(&fixture, Some("00123"), None, false)["items"][0]["task"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    fixture.report(task, PROVINCE, COMMUNE, "2026-04", "completed");
    look(&fixture);
    assert_eq!(list(&fixture, Some("00123"), None, false)["total"], 0);
    assert_eq!(
        fixture.refused(silence(&[number], "known", "2026-12-31")),
        "warning_cleared"
    );
    fixture.report(task, PROVINCE, COMMUNE, "2026-04", "in_progress");
    look(&fixture);
    let again = list(&fixture, Some("00123"), None, false);
    assert_ne!(numbers(&again), [number]);
    assert_eq!(again["items"][0]["silenced"], false);
    assert_eq!(list(&fixture, Some("00123"), None, true)["total"], 2);
}
