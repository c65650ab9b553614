//! What is told, and that it is told once.

use super::*;
use crate::node::commands::fixture::{COMMUNE, Fixture, PROVINCE, WARD};
use crate::node::warnings as looking;
use crate::store::reminders::Reminder;

const DAY_MS: i64 = 24 * 3_600_000;

/// Two tasks that are overdue on 4 April at noon; the second one's warning has number 2.
fn overdue() -> Fixture {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.task(PROVINCE, 2, "I", &[WARD]);
    fixture.wait_ms(20 * DAY_MS);
    look(&fixture);
    fixture
}

fn look(fixture: &Fixture) {
    let node = fixture.node.clone();
    let store = &fixture.node.store;
    let looked = store.write_blocking(move |tx| looking::look(&node, tx));
    looked.unwrap();
}

fn telling(from_hour: i8) -> Telling {
    Telling {
        lang: Lang::En,
        from_hour,
        subject: "nqsync {unit}".to_owned(),
    }
}

fn run<T>(future: impl Future<Output = Result<T, StoreError>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future).unwrap()
}

fn due(fixture: &Fixture, channel: &'static str) -> Option<Notice> {
    run(next(&fixture.node, channel, &telling(7)))
}

fn taken(fixture: &Fixture, notice: &Notice) {
    run(note(&fixture.node, notice, Ok("250 taken".to_owned())));
}

fn remind(fixture: &Fixture, stage: i32) {
    let facts =
        json!({ "last_day": "2026-04-10", "units_owing": 1, "owing": [{ "unit": "00123" }] });
    let reminder = Reminder {
        regime: "monthly".to_owned(),
        period: "2026-03".to_owned(),
        stage,
        facts: facts.to_string(),
        as_of: 0,
    };
    let store = &fixture.node.store;
    store
        .write_blocking(move |tx| reminders::replace(tx.connection(), &[reminder]))
        .unwrap();
}

#[test]
fn everything_new_is_one_message_and_each_channel_is_told_once() {
    let fixture = overdue();
    remind(&fixture, -3);
    fixture.wait_ms(SETTLE_MS);
    let mail = due(&fixture, "email").expect("a message");
    assert_eq!(mail.subject, "nqsync 79");
    for part in [
        "79 Unit 79: 3 new.",
        "- Report due: month 2026-03, by 10/04/2026. 1 units have still to report: 00123",
        "- Red warning, overdue: 00123, I/1 Task 1 (due 31/03/2026)",
        "- Red warning, overdue: 00456, I/2 Task 2 (due 31/03/2026)",
    ] {
        let plain = mail.text.replace(['\u{2068}', '\u{2069}'], "");
        assert!(plain.contains(part), "{plain}");
    }
    let facts: Value = serde_json::from_str(&mail.entries).unwrap();
    assert_eq!(
        (&facts["total"], &facts["entries"][1]["warning"]["unit"]),
        (&json!(3), &json!("00123"))
    );
    taken(&fixture, &mail);
    assert_eq!(due(&fixture, "email"), None);
    let hook = due(&fixture, "webhook").expect("the other channel is told as well");
    assert_eq!(hook.text, mail.text);
    taken(&fixture, &hook);
    // The next reminder of the same deadline is another one.
    remind(&fixture, 0);
    let next = due(&fixture, "email").expect("a message");
    assert!(
        next.text.contains("2026-03") && !next.text.contains("Task 1"),
        "{}",
        next.text
    );
    taken(&fixture, &next);
    fixture.wait_ms(30 * DAY_MS);
    assert_eq!(due(&fixture, "email"), None);
}

#[test]
fn a_warning_is_told_once_it_has_stood_for_a_while_and_not_before_the_hour() {
    let fixture = overdue();
    assert_eq!(
        due(&fixture, "email"),
        None,
        "a first load may still clear it"
    );
    fixture.wait_ms(SETTLE_MS);
    // It is 12:15.
    assert_eq!(run(next(&fixture.node, "email", &telling(13))), None);
    fixture.wait_ms(45 * 60_000);
    assert!(run(next(&fixture.node, "email", &telling(13))).is_some());
}

#[test]
fn what_is_silenced_or_gone_is_not_told_and_what_comes_anew_is() {
    let fixture = overdue();
    let until = fixture.node.today();
    let silence = warnings::Silence {
        at: 0,
        by: "An".to_owned(),
        reason: "known".to_owned(),
        until,
    };
    let store = &fixture.node.store;
    store
        .write_blocking(move |tx| warnings::silence(tx.connection(), 1, &silence))
        .unwrap();
    let ward = uuid::Uuid::from_u128(0xa000_0000 << 96 | 2);
    fixture.report(ward, PROVINCE, WARD, "2026-04", "completed");
    look(&fixture);
    fixture.wait_ms(SETTLE_MS);
    assert_eq!(due(&fixture, "email"), None);
    fixture.report(ward, PROVINCE, WARD, "2026-04", "in_progress");
    look(&fixture);
    fixture.wait_ms(SETTLE_MS);
    let told = due(&fixture, "email").expect("a message");
    assert!(
        told.text.contains("Task 2") && !told.text.contains("Task 1"),
        "{}",
        told.text
    );
    taken(&fixture, &told);
    // The silence is over.
    fixture.wait_ms(DAY_MS);
    let told = due(&fixture, "email").expect("a message");
    assert!(
        told.text.contains("Task 1") && !told.text.contains("Task 2"),
        "{}",
        told.text
    );
}

#[test]
fn what_failed_is_tried_again_as_it_was_with_growing_pauses_and_status_says_so() {
    use crate::api::Command;
    let fixture = overdue();
    fixture.wait_ms(SETTLE_MS);
    let first = due(&fixture, "email").expect("a message");
    let problems = |fixture: &Fixture| fixture.data(Command::Status)["problems"].to_string();
    assert!(!problems(&fixture).contains("notice"));
    let mut waited = 0;
    for minutes in [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360] {
        let again = due(&fixture, "email").expect("it is tried again");
        assert_eq!((&again.text, &again.subject), (&first.text, &first.subject));
        assert_eq!(name_of(&again, "n"), name_of(&first, "n"));
        run(note(
            &fixture.node,
            &again,
            Err("mail:25: no answer".to_owned()),
        ));
        fixture.wait_ms(minutes * 60_000 - 1);
        assert_eq!(due(&fixture, "email"), None, "after {waited} minutes");
        fixture.wait_ms(1);
        waited += minutes;
    }
    assert!(problems(&fixture).contains("no answer"));
    let status = fixture.data(Command::Status);
    assert_eq!(
        (
            &status["notices"][0]["channel"],
            &status["notices"][0]["tries"]
        ),
        (&json!("email"), &json!(11))
    );
    let again = due(&fixture, "email").expect("it is tried again");
    taken(&fixture, &again);
    assert!(!problems(&fixture).contains("no answer"));
    assert_eq!(due(&fixture, "email"), None);
}

#[test]
fn what_was_told_of_a_warning_that_stands_is_never_forgotten() {
    let fixture = overdue();
    fixture.wait_ms(SETTLE_MS);
    let told = due(&fixture, "email").expect("a message");
    taken(&fixture, &told);
    let now = fixture.node.clock.now_ms();
    let store = &fixture.node.store;
    store
        .write_blocking(move |tx| notices::forget(tx.connection(), now + 1))
        .unwrap();
    assert_eq!(due(&fixture, "email"), None);
}
