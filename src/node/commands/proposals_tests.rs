use nqsync_core::model::{Facts, Kind};
use nqsync_core::sync::Token;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::fixture::{COMMUNE, Fixture, MINISTRY, PROVINCE, unit};
use crate::api::Command;

fn make(task: Uuid, value: &str, reason: &str) -> Command {
    Command::ProposalMake {
        task: task.to_string(),
        field: "deadline".into(),
        value: value.into(),
        reason: reason.into(),
    }
}

fn decide(id: &Value, accept: bool, reason: Option<&str>) -> Command {
    Command::ProposalDecide {
        proposal: id.as_str().expect("an id").to_owned(),
        accept,
        reason: reason.map(str::to_owned),
        token: None,
    }
}

/// A proposal of the commune for the province's task, as it arrives over the link.
fn arrived(fixture: &Fixture, task: Uuid, due: &str, seeing: Option<Token>) -> Uuid {
    let target = fixture.record(task);
    let wish = json!({
        "value": { "text": due, "kind": "date", "due": due },
        "base": target.shown("deadline"),
        "base_context": target.register("deadline").context(),
        "reason": "floods",
        "open": true,
    });
    let facts = Facts::Proposal {
        proposer: unit(COMMUNE),
        owner: unit(PROVINCE),
        target_kind: Kind::Task,
        target: task,
        register: "deadline".into(),
    };
    fixture.put_seeing(
        unit(COMMUNE),
        facts,
        Uuid::nil(),
        &[("wish", wish)],
        seeing,
        3,
    )
}

fn list(fixture: &Fixture) -> Vec<Value> {
    let data = fixture.data(Command::ProposalList { open_only: false });
    data["items"].as_array().expect("a list").clone()
}

#[test]
fn a_wish_for_a_deadline_stays_a_proposal_until_the_issuer_decides() {
    let fixture = Fixture::new();
    let task = fixture.task(MINISTRY, 1, "I", &[PROVINCE]);
    let made = fixture.data(make(task, "15/4/2026", "floods"));
    assert_eq!(made["state"], "open");
    assert_eq!(made["value"]["due"], "2026-04-15");
    assert_eq!(
        (&made["proposer"], &made["owner"]),
        (&json!("79"), &json!("BNV"))
    );
    assert_eq!(
        fixture.record(task).shown("deadline").expect("a deadline")["due"],
        "2026-03-31"
    );
    let again = fixture
        .ask(make(task, "15/4/2026", "floods"))
        .expect("an answer");
    assert_eq!(again.data["at"], made["at"]);
    assert_eq!(
        fixture.refused(decide(&made["id"], true, None)),
        "not_decider"
    );
    let id = made["id"].as_str().expect("an id").to_owned();
    let withdrawn = fixture.data(Command::ProposalWithdraw {
        proposal: id,
        reason: None,
    });
    assert_eq!(withdrawn["state"], "withdrawn");
    assert_eq!(
        fixture.data(Command::ProposalList { open_only: true })["items"],
        json!([])
    );
    // Making it again opens it again.
    assert_eq!(
        fixture.data(make(task, "15/4/2026", "floods"))["state"],
        "open"
    );
}

#[test]
fn a_wish_that_was_changed_since_it_was_read_is_not_accepted() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let id = arrived(&fixture, task, "2026-04-15", None);
    let accept = |seen: &Value| Command::ProposalDecide {
        proposal: id.to_string(),
        accept: true,
        reason: None,
        token: seen["token"].as_str().map(str::to_owned),
    };
    let seen = list(&fixture).remove(0);
    fixture.wait_ms(1000);
    arrived(&fixture, task, "2027-04-15", Some(fixture.token_of(id)));
    assert_eq!(fixture.refused(accept(&seen)), "changed");
    let seen = list(&fixture).remove(0);
    assert_eq!(seen["state"], "open");
    fixture.data(accept(&seen));
    let deadline = fixture.record(task).shown("deadline").expect("a deadline");
    assert_eq!(deadline["due"], "2027-04-15");
}

#[test]
fn accepting_writes_the_value_and_answers_in_one_transaction() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let id = json!(arrived(&fixture, task, "2026-04-15", None));
    let accepted = fixture.data(decide(&id, true, None));
    assert_eq!(accepted["state"], "accepted");
    let record = fixture.record(task);
    assert_eq!(
        record.shown("deadline").expect("a deadline")["due"],
        "2026-04-15"
    );
    assert!(record.conflicts().is_empty());
    assert_eq!(fixture.data(decide(&id, true, None))["state"], "accepted");
    assert_eq!(
        fixture.refused(decide(&id, false, Some("no"))),
        "proposal_answered"
    );
}

#[test]
fn rejecting_needs_a_reason_and_a_changed_wish_is_open_again() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let proposal = arrived(&fixture, task, "2026-04-15", None);
    let id = json!(proposal);
    assert_eq!(
        fixture.refused(decide(&id, false, Some(" "))),
        "reason_needed"
    );
    let rejected = fixture.data(decide(&id, false, Some("no time")));
    assert_eq!(
        (&rejected["state"], &rejected["decision_reason"]),
        (&json!("rejected"), &json!("no time"))
    );
    let seen = fixture.token_of(proposal);
    arrived(&fixture, task, "2026-04-15", Some(seen.clone()));
    assert_eq!(
        list(&fixture)[0]["state"],
        "rejected",
        "an equal wish says nothing new"
    );
    arrived(&fixture, task, "2026-05-01", Some(seen));
    assert_eq!(list(&fixture)[0]["state"], "open");
}

#[test]
fn opposite_decisions_are_a_conflict() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let proposal = arrived(&fixture, task, "2026-04-15", None);
    fixture.data(decide(&json!(proposal), false, Some("no")));
    let facts = Facts::Decision {
        decider: unit(PROVINCE),
        proposer: unit(COMMUNE),
        proposal,
    };
    let id = facts.natural_id().expect("natural");
    let mut other = fixture.record(id).shown("decision").expect("a decision");
    other["accepted"] = json!(true);
    let unseen = Some(Token::default());
    fixture.put_seeing(unit(PROVINCE), facts, id, &[("decision", other)], unseen, 9);
    assert_eq!(list(&fixture)[0]["state"], "conflict");
    assert_eq!(
        fixture.data(decide(&json!(proposal), true, None))["state"],
        "accepted"
    );
}

#[test]
fn what_cannot_be_proposed_is_refused_with_a_reason() {
    let fixture = Fixture::new();
    let own = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let task = fixture.task(MINISTRY, 2, "I", &[PROVINCE]);
    assert_eq!(fixture.refused(make(own, "15/4/2026", "x")), "proposal_own");
    assert_eq!(
        fixture.refused(make(task, "31/2/2026", "x")),
        "no_such_date"
    );
    assert_eq!(fixture.refused(make(task, "blue", "x")), "bad_deadline");
    assert_eq!(
        fixture.refused(make(task, "15/4/2026", "")),
        "reason_needed"
    );
    let field = |field: &str, value: &str| Command::ProposalMake {
        task: task.to_string(),
        field: field.into(),
        value: value.into(),
        reason: "x".into(),
    };
    assert_eq!(fixture.refused(field("colour", "red")), "unknown_field");
    assert_eq!(fixture.refused(field("lead", "nobody")), "unknown_unit");
    assert_eq!(
        fixture.refused(field("title", "Task 2")),
        "proposal_same_value"
    );
}
