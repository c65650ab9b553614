use std::collections::BTreeSet;

use nqsync_core::model::NodeId;
use nqsync_core::sync::brake::Tally;
use uuid::Uuid;

use super::super::fixture::{COMMUNE, Fixture, NOW, unit};
use super::*;
use crate::api::{Asker, AuditFilter, Failure, Lang, Outcome};
use crate::store::nodes as rows;

const CHILD: u128 = 103;
const DAY_MS: i64 = 86_400_000;

/// A node where both acts need two persons, with a child and these users.
fn office(users: &[(&str, Role)]) -> Fixture {
    let mut office = Fixture::new();
    office.node.settings.approval_acts = BTreeSet::from(Act::ALL);
    let child = rows::NodeRow {
        node: NodeId(Uuid::from_u128(CHILD)),
        unit: unit(COMMUNE),
        pin: [3; 32],
        certificate: String::new(),
        enrolled_at: NOW - DAY_MS,
        revoked_at: None,
        reason: None,
        next_pin: None,
        key_asked: false,
        keys_before: 0,
        decisions: 0,
    };
    let store = &office.node.store;
    let made = store.write_blocking(move |tx| rows::insert(tx.connection(), &child));
    made.expect("a child");
    for (name, role) in users {
        set_user(&office, name, *role, NOW - DAY_MS);
    }
    office
}

fn set_user(office: &Fixture, name: &str, role: Role, changed_at: i64) {
    let user = UserRow {
        name: name.to_owned(),
        role: role.as_str().to_owned(),
        secret: String::new(),
        added_at: NOW - DAY_MS,
        changed_at,
        hands: Vec::new(),
    };
    let put = move |tx: &mut crate::store::Tx<'_>| users::put(tx.connection(), &user);
    office.node.store.write_blocking(put).expect("a user");
}

fn ask_as(office: &Fixture, person: &str, asker: Asker, command: Command) -> Outcome {
    let request = Request {
        request_id: Uuid::new_v4().to_string(),
        lang: Lang::En,
        person: person.to_owned(),
        asker,
        acting_for: None,
        command,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(super::super::execute(&office.node, request))
}

/// Somebody who proved the role.
fn by(office: &Fixture, person: &str, role: Role, command: Command) -> Outcome {
    ask_as(office, person, Asker::Known(role), command)
}

fn revoke() -> Command {
    Command::NodeRevoke {
        node: "00123".to_owned(),
        reason: "stolen".to_owned(),
        undo: false,
    }
}

fn approve(approval: u64) -> Command {
    Command::ApprovalApprove {
        approval,
        reason: None,
    }
}

fn is_revoked(office: &Fixture) -> bool {
    let child = NodeId(Uuid::from_u128(CHILD));
    let row = office.node.store.read_blocking(|c| rows::one(c, child));
    row.expect("read").expect("a child").revoked_at.is_some()
}

/// The number under which an act waits now.
fn number(outcome: Outcome) -> u64 {
    let answer = outcome.expect("it waits");
    assert_eq!(answer.exit, Exit::PersonNeeded, "{answer:?}");
    answer.data["approval"].as_u64().expect("a number")
}

fn code(outcome: Outcome) -> String {
    let failure: Failure = outcome.expect_err("a refusal");
    failure.code
}

const PEOPLE: &[(&str, Role)] = &[
    ("an", Role::Administrator),
    ("binh", Role::Approver),
    ("chi", Role::Operator),
];

#[test]
fn j4_an_act_of_two_persons_is_done_once_by_another_ones_word_and_both_stand_in_the_audit() {
    let office = office(PEOPLE);
    let asked = number(by(&office, "an", Role::Administrator, revoke()));
    assert!(!is_revoked(&office), "not before the second person");
    // Asked for again, it is the same request.
    assert_eq!(
        number(by(&office, "an", Role::Administrator, revoke())),
        asked
    );
    let shown = office.data(Command::ApprovalShow { approval: asked });
    assert_eq!(shown["asked_by"], "an");
    assert_eq!(shown["reason"], "stolen");
    assert_eq!(shown["unit"], "00123");
    assert_eq!(shown["changed"], false);
    assert_eq!(shown["command"]["node"], Uuid::from_u128(CHILD).to_string());
    let status = office.data(Command::Status);
    assert_eq!(status["approvals"]["open"], 1);
    let told = status["problems"].as_array().expect("a list").iter();
    assert!(told.clone().any(|p| p["code"] == "approval"), "{status}");

    let same = by(&office, "an", Role::Administrator, approve(asked));
    assert_eq!(code(same), "approval_same_person");
    let operator = by(&office, "chi", Role::Operator, approve(asked));
    assert_eq!(code(operator), "approval_not_approver");
    let said = ask_as(&office, "binh", Asker::Local, approve(asked));
    assert_eq!(code(said), "approval_login", "a name alone proves nothing");
    assert!(!is_revoked(&office));

    let done = by(&office, "binh", Role::Approver, approve(asked)).expect("done");
    assert_eq!(done.exit, Exit::Done);
    assert_eq!(done.data["asked_by"], "an");
    assert_eq!(done.data["decided_by"], "binh");
    assert!(is_revoked(&office));
    let again = by(&office, "binh", Role::Approver, approve(asked));
    assert_eq!(code(again), "approval_decided");

    let audit = office.data(Command::AuditShow {
        filter: AuditFilter::default(),
    });
    let entries = audit["items"].as_array().expect("entries");
    let act = entries
        .iter()
        .find(|e| e["act"] == "node_revoke")
        .expect("the act");
    assert_eq!(act["actor"], "an");
    assert_eq!(act["detail"]["approved_by"], "binh");
    let yes = entries
        .iter()
        .find(|e| e["act"] == "approval_approve")
        .expect("the yes");
    assert_eq!(yes["actor"], "binh");
    assert_eq!(yes["detail"]["asked_by"], "an");
    assert_eq!(yes["detail"]["approval"], asked);
}

#[test]
fn j4_who_asks_is_proved_and_somebody_else_has_to_be_there_to_approve() {
    let office = office(&[("an", Role::Administrator)]);
    let only_said = ask_as(&office, "an", Asker::Local, revoke());
    assert_eq!(code(only_said), "approval_who");
    let alone = by(&office, "an", Role::Administrator, revoke());
    assert_eq!(code(alone), "approval_nobody");
    set_user(&office, "chi", Role::Operator, NOW - DAY_MS);
    let alone = by(&office, "an", Role::Administrator, revoke());
    assert_eq!(
        code(alone),
        "approval_nobody",
        "an operator approves nothing"
    );
    assert!(!is_revoked(&office));
    // Where the configuration does not name the act, one person is enough.
    let mut office = office;
    office.node.settings.approval_acts.remove(&Act::Revocation);
    ask_as(&office, "an", Asker::Local, revoke()).expect("done");
    assert!(is_revoked(&office));
}

#[test]
fn j4_what_has_changed_since_it_was_asked_for_is_not_done() {
    let office = office(PEOPLE);
    let asked = number(by(&office, "an", Role::Administrator, revoke()));
    // The node has taken another key meanwhile.
    let child = NodeId(Uuid::from_u128(CHILD));
    let store = &office.node.store;
    let changed = store.write_blocking(move |tx| {
        rows::set_next_key(tx.connection(), child, &[9; 32], "")?;
        rows::take_next_key(tx.connection(), child)
    });
    changed.expect("another key");
    let shown = office.data(Command::ApprovalShow { approval: asked });
    assert_eq!(shown["changed"], true);
    let late = by(&office, "binh", Role::Approver, approve(asked));
    assert_eq!(code(late), "approval_changed");
    assert!(!is_revoked(&office));
    // Asked for anew it is another request.
    let anew = number(by(&office, "an", Role::Administrator, revoke()));
    assert_ne!(anew, asked);
    by(&office, "binh", Role::Approver, approve(anew)).expect("done");
    assert!(is_revoked(&office));
}

#[test]
fn j4_an_act_that_nobody_decides_in_time_or_that_is_refused_is_never_done() {
    let office = office(PEOPLE);
    let asked = number(by(&office, "an", Role::Administrator, revoke()));
    let no = |reason: &str| Command::ApprovalRefuse {
        approval: asked,
        reason: reason.to_owned(),
    };
    assert_eq!(
        code(by(&office, "binh", Role::Approver, no(" "))),
        "reason_needed"
    );
    assert_eq!(
        code(by(&office, "an", Role::Administrator, no("mine"))),
        "approval_same_person"
    );
    let refused = by(&office, "binh", Role::Approver, no("the wrong node")).expect("refused");
    assert_eq!(refused.exit, Exit::Done);
    let shown = office.data(Command::ApprovalShow { approval: asked });
    assert_eq!(shown["state"], "refused");
    assert_eq!(shown["decision"], "the wrong node");
    assert_eq!(
        code(by(&office, "binh", Role::Approver, approve(asked))),
        "approval_decided"
    );

    let late = number(by(&office, "an", Role::Administrator, revoke()));
    office.wait_ms(office.node.settings.approval_lasts_ms);
    let shown = office.data(Command::ApprovalShow { approval: late });
    assert_eq!(shown["state"], "expired");
    assert_eq!(
        code(by(&office, "binh", Role::Approver, approve(late))),
        "approval_decided"
    );
    assert_eq!(office.data(Command::Status)["approvals"]["open"], 0);
    assert!(!is_revoked(&office));
}

#[test]
fn j4_nobody_makes_the_one_who_approves_after_asking_and_who_asked_must_still_be_entitled() {
    let office = office(PEOPLE);
    let asked = number(by(&office, "an", Role::Administrator, revoke()));
    office.wait_ms(1000);
    set_user(&office, "moi", Role::Approver, NOW + 500);
    let made = by(&office, "moi", Role::Approver, approve(asked));
    assert_eq!(code(made), "approval_new_user");
    set_user(&office, "an", Role::Operator, NOW + 600);
    let gone = by(&office, "binh", Role::Approver, approve(asked));
    assert_eq!(code(gone), "approval_asker_gone");
    assert!(!is_revoked(&office));
}

#[test]
fn a_hold_that_grew_since_its_release_was_asked_for_is_asked_for_anew() {
    let office = office(PEOPLE);
    let held = |record: u128| crate::store::holds::Held {
        record: Uuid::from_u128(record),
        kind: "task".to_owned(),
        loss: "removed".to_owned(),
        body: Some("{}".to_owned()),
        changes: None,
    };
    let alias = Request {
        request_id: "held".to_owned(),
        lang: Lang::En,
        person: "chi".to_owned(),
        asker: Asker::Local,
        acting_for: None,
        command: Command::UnitAlias {
            unit: "00123".to_owned(),
            alias: "Xã Một".to_owned(),
        },
    };
    let text = serde_json::to_string(&alias).expect("JSON");
    let first = held(1);
    let begun = office.node.store.write_blocking(move |tx| {
        let (connection, tally) = (tx.connection(), Tally::default());
        let hold = crate::store::holds::begin(connection, None, "open", &tally, Some(&text), NOW)?;
        crate::store::holds::put(connection, hold, &first)?;
        Ok::<_, StoreError>(hold)
    });
    let hold = begun.expect("a hold").unsigned_abs();
    let release = |reason: Option<&str>| Command::HoldRelease {
        hold,
        reason: reason.map(str::to_owned),
    };
    let silent = by(&office, "chi", Role::Operator, release(None));
    assert_eq!(code(silent), "reason_needed");
    let asked = number(by(
        &office,
        "chi",
        Role::Operator,
        release(Some("as planned")),
    ));
    let second = held(2);
    let grown = office
        .node
        .store
        .write_blocking(move |tx| crate::store::holds::put(tx.connection(), hold as i64, &second));
    grown.expect("more came");
    let late = by(&office, "binh", Role::Approver, approve(asked));
    assert_eq!(code(late), "approval_changed");
    let anew = number(by(
        &office,
        "chi",
        Role::Operator,
        release(Some("all of it")),
    ));
    let done = by(&office, "binh", Role::Approver, approve(anew)).expect("done");
    assert_eq!(done.data["approval_state"], "approved");
    let shown = office.data(Command::HoldShow { hold });
    assert_eq!(
        (&shown["state"], &shown["decided_by"]),
        (&json!("released"), &json!("chi"))
    );
    let unit = office.data(Command::UnitShow {
        unit: "Xã Một".to_owned(),
    });
    assert_eq!(
        unit["code"], "00123",
        "the verb that was held is carried out"
    );
}

#[test]
fn another_policy_stands_in_the_audit_and_an_unchanged_one_does_not() {
    let mut office = office(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let mut noted = |acts: &[Act]| {
        office.node.settings.approval_acts = acts.iter().copied().collect();
        runtime.block_on(note_policy(&office.node)).expect("noted");
        let filter = AuditFilter {
            act: Some("approval.policy".to_owned()),
            ..AuditFilter::default()
        };
        let audit = office.data(Command::AuditShow { filter });
        let latest = audit["items"][0]["detail"].clone();
        (
            audit["total"].as_u64().expect("a count"),
            latest["after"].clone(),
        )
    };
    assert_eq!(noted(&[]).0, 0);
    assert_eq!(
        noted(&[Act::Release, Act::Revocation]),
        (1, json!("revocation release"))
    );
    assert_eq!(noted(&[Act::Revocation, Act::Release]).0, 1);
    assert_eq!(noted(&[]), (2, json!("")));
}

#[test]
fn only_so_many_acts_wait_at_a_time() {
    let office = office(PEOPLE);
    let fill = office.node.store.write_blocking(|tx| {
        for n in 0..MOST_OPEN {
            let known = Approval {
                approval: 0,
                act: "revocation".to_owned(),
                subject: n.to_string(),
                target: n.to_string(),
                request: serde_json::to_string(&Request {
                    request_id: String::new(),
                    lang: Lang::En,
                    person: "an".to_owned(),
                    asker: Asker::Local,
                    acting_for: None,
                    command: revoke(),
                })
                .expect("JSON"),
                person: "an".to_owned(),
                reason: "x".to_owned(),
                at: NOW,
                expires_at: NOW + DAY_MS,
                state: "open".to_owned(),
                decided_at: None,
                decided_by: None,
                decision: None,
            };
            approvals::insert(tx.connection(), &known)?;
        }
        Ok::<_, StoreError>(())
    });
    fill.expect("many");
    let more = by(&office, "an", Role::Administrator, revoke());
    assert_eq!(code(more), "approval_too_many");
    office.wait_ms(DAY_MS);
    number(by(&office, "an", Role::Administrator, revoke()));
}

#[test]
fn who_may_be_the_second_person() {
    let asked = Approval {
        approval: 1,
        act: "revocation".to_owned(),
        subject: String::new(),
        target: String::new(),
        request: String::new(),
        person: "an".to_owned(),
        reason: String::new(),
        at: 1000,
        expires_at: 2000,
        state: "open".to_owned(),
        decided_at: None,
        decided_by: None,
        decision: None,
    };
    let user = |name: &str, changed_at, hands: &[&str]| UserRow {
        name: name.to_owned(),
        role: String::new(),
        secret: String::new(),
        added_at: 0,
        changed_at,
        hands: hands.iter().map(|one| (*one).to_owned()).collect(),
    };
    for role in Role::ALL {
        let may = matches!(role, Role::Approver | Role::Administrator);
        let binh = user("binh", 999, &["dung"]);
        assert_eq!(unfit(&asked, &binh, role).is_none(), may, "{role:?}");
        let an = user("an", 999, &[]);
        assert_eq!(unfit(&asked, &an, role), Some("approval-same-person"));
    }
    for (changed_at, fits) in [(999, true), (1000, false), (1001, false)] {
        let binh = user("binh", changed_at, &[]);
        let why = unfit(&asked, &binh, Role::Approver);
        assert_eq!(why.is_none(), fits, "{changed_at}");
    }
    let made = unfit(&asked, &user("binh", 1, &["dung", "an"]), Role::Approver);
    assert_eq!(made, Some("approval-made-user"));
    assert!(asked.is_open(1999) && !asked.is_open(2000));
}

/// Somebody sets the password of a user, or adds one.
fn makes(office: &Fixture, person: &str, name: &str) {
    let secret = crate::trust::password::hash(name, "mat khau rat rieng 7").expect("a hash");
    let name = name.to_owned();
    let there = office.data(Command::UserList)["items"].clone();
    let there = there.as_array().expect("a list").iter();
    let command = match there.clone().any(|user| user["name"] == name.as_str()) {
        true => Command::UserPassword { name, secret },
        false => Command::UserAdd {
            name,
            role: Role::Approver,
            secret,
        },
    };
    by(office, person, Role::Administrator, command).expect("done");
}

#[test]
fn who_asks_has_not_made_the_second_person_and_holds_no_password_of_theirs() {
    let people = [("an", Role::Administrator), ("dung", Role::Administrator)];
    let office = office(&people);
    makes(&office, "an", "binh");
    makes(&office, "an", "giup");
    by(
        &office,
        "an",
        Role::Administrator,
        Command::UserRole {
            name: "giup".into(),
            role: Role::Administrator,
        },
    )
    .expect("done");
    // By somebody whom the first one made, and who is taken away afterwards.
    makes(&office, "giup", "chi");
    let command = Command::UserRemove {
        name: "giup".into(),
    };
    by(&office, "an", Role::Administrator, command).expect("done");
    office.wait_ms(DAY_MS);
    let asked = number(by(&office, "an", Role::Administrator, revoke()));
    for made in ["binh", "chi"] {
        let refused = by(&office, made, Role::Approver, approve(asked));
        assert_eq!(code(refused), "approval_made_user", "{made}");
    }
    // A new password of one's own may be the first one's doing; that of another administrator is not.
    makes(&office, "binh", "binh");
    makes(&office, "dung", "chi");
    office.wait_ms(DAY_MS);
    let refuse = Command::ApprovalRefuse {
        approval: asked,
        reason: "once more".to_owned(),
    };
    by(&office, "dung", Role::Administrator, refuse).expect("refused");
    let asked = number(by(&office, "an", Role::Administrator, revoke()));
    let refused = by(&office, "binh", Role::Approver, approve(asked));
    assert_eq!(code(refused), "approval_made_user");
    by(&office, "chi", Role::Approver, approve(asked)).expect("done");
    assert!(is_revoked(&office));
}

#[test]
fn nobody_is_asked_where_everybody_else_was_made_by_the_one_who_asks() {
    let office = office(&[("an", Role::Administrator)]);
    makes(&office, "an", "binh");
    let refused = by(&office, "an", Role::Administrator, revoke());
    assert_eq!(code(refused), "approval_nobody_else");
}
