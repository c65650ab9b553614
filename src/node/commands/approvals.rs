//! Acts that need two persons: the first asks, another one approves or refuses, and the act is carried out exactly as it
//! was asked for, once, if what it is about has not changed meanwhile.
//!
//! Invariant: both persons are users of this node who proved it by their passwords, and they are not the same, nor has the
//! one who asks made the other. A name that is only said counts for neither of them.
//!
//! An act is gated at the one place where verbs are carried out, by [`Act::of`]; a new one needs a line there and an arm
//! in [`target`]. A verb that is carried out elsewhere, as on a store of its own, calls [`ask`] in its transaction.

use nqsync_core::model::Classification;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::shared::{needed, time};
use super::{Reading, Said, Writing, holds, nodes, secrecy, verbs, views};
use crate::api::{Act, Command, Duty, Exit, Request, Role, roles};
use crate::node::{Node, Refusal, recovery};
use crate::store::approvals::{self, Approval};
use crate::store::users::{self, UserRow};
use crate::store::{StoreError, audit, queries};

/// Most acts that wait at a time: nobody reads more, and a list that grows is a list that hides.
const MOST_OPEN: usize = 100;

/// `approval list`: those that wait first.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let mut all = approvals::all(on.connection)?;
    all.sort_by_key(|asked| !asked.is_open(on.now_ms));
    let items = all.iter().map(|asked| item(on, asked));
    let items = items.collect::<Result<_, Refusal>>()?;
    Ok(Said::done(views::listed(items)))
}

/// `approval show`: with the verb as it would be carried out, and whether what it is about is still the same.
pub fn show(on: &Reading<'_>, number: u64) -> Result<Said, Refusal> {
    let asked = get(on.connection, number)?;
    let mut data = item(on, &asked)?;
    let command = request_of(&asked)?.command;
    data["command"] = json!(command);
    if asked.is_open(on.now_ms) {
        let now = target(on.connection, &command);
        data["changed"] = json!(now.map_or(true, |now| now.mark != asked.target));
    }
    Ok(Said::done(data))
}

fn item(on: &Reading<'_>, asked: &Approval) -> Result<Value, Refusal> {
    let unit = match asked.act.as_str() {
        "revocation" => nodes::find(on.connection, &on.tree, &asked.subject)
            .ok()
            .map(|row| on.tree.code(row.unit)),
        _ => None,
    };
    Ok(json!({
        "approval": asked.approval,
        "act": asked.act,
        "verb": request_of(asked)?.command.verb(),
        "subject": asked.subject,
        "unit": unit,
        "state": asked.shown_state(on.now_ms),
        "asked_by": asked.person,
        "reason": asked.reason,
        "at": time(asked.at),
        "expires_at": time(asked.expires_at),
        "decided_at": asked.decided_at.map(time),
        "decided_by": asked.decided_by,
        "decision": asked.decision,
    }))
}

fn get(connection: &Connection, number: u64) -> Result<Approval, Refusal> {
    let found = approvals::get(connection, i64::try_from(number).unwrap_or(i64::MAX))?;
    found.ok_or_else(|| Refusal::usage("no-such-approval", [("approval", number.to_string())]))
}

fn request_of(asked: &Approval) -> Result<Request, StoreError> {
    serde_json::from_str(&asked.request)
        .map_err(|e| StoreError::Damaged(format!("approval {}: {e}", asked.approval)))
}

/// Has an act wait for a second person where the configuration says so. `None`: it needs none and goes on.
pub fn ask(on: &mut Writing<'_, '_>) -> Result<Option<Said>, Refusal> {
    let act = Act::of(&on.request.command);
    let Some(act) = act.filter(|act| on.node.settings.approval_acts.contains(act)) else {
        return Ok(None);
    };
    if secrecy::is_decided(on)? {
        return Ok(None);
    }
    let person = &on.request.person;
    if on.request.asker.role().is_none() {
        return Err(unproved(act));
    }
    let reason = needed("reason-needed", reason(&on.request.command))?;
    let users = users::all(on.tx.connection())?;
    let may_approve =
        |user: &UserRow| Role::named(&user.role).is_some_and(|r| r.may(Duty::Approve));
    let others = users.iter().filter(|user| user.name != *person);
    let mut others = others.filter(|user| may_approve(user)).peekable();
    let act_named = ("act", act.as_str().to_owned());
    if others.peek().is_none() {
        return Err(Refusal::with(
            Exit::PersonNeeded,
            "approval-nobody",
            [act_named],
        ));
    }
    if others.all(|user| user.hands.contains(person)) {
        let name = ("name", person.clone());
        let (exit, code) = (Exit::PersonNeeded, "approval-nobody-else");
        return Err(Refusal::with(exit, code, [act_named, name]));
    }
    let target = target(on.tx.connection(), &on.request.command)?;
    let open = approvals::open(on.tx.connection(), on.now_ms)?;
    let command = json!(target.command);
    for known in &open {
        if known.target == target.mark && json!(request_of(known)?.command) == command {
            return Ok(Some(waits(known)));
        }
    }
    if open.len() >= MOST_OPEN {
        return Err(Refusal::usage(
            "approval-too-many",
            [("most", MOST_OPEN.to_string())],
        ));
    }
    let kept = Request {
        command: target.command,
        ..on.request.clone()
    };
    let lasts = on.node.settings.approval_lasts_ms;
    let mut asked = Approval {
        approval: 0,
        act: act.as_str().to_owned(),
        subject: target.subject,
        target: target.mark,
        request: serde_json::to_string(&kept).map_err(|e| StoreError::Damaged(e.to_string()))?,
        person: person.clone(),
        reason,
        at: on.now_ms,
        expires_at: on.now_ms.saturating_add(lasts),
        state: "open".to_owned(),
        decided_at: None,
        decided_by: None,
        decision: None,
    };
    asked.approval = approvals::insert(on.tx.connection(), &asked)?;
    Ok(Some(waits(&asked)))
}

/// What the first person is told.
fn waits(asked: &Approval) -> Said {
    let data = json!({
        "id": asked.subject,
        "approval": asked.approval,
        "act": asked.act,
        "state": "open",
        "asked_by": asked.person,
        "reason": asked.reason,
        "expires_at": time(asked.expires_at),
    });
    let number = ("approval", asked.approval.to_string());
    let until = ("until", time(asked.expires_at));
    let mut said = Said::done(data).note("note-approval-waits", [number, until]);
    said.exit = Exit::PersonNeeded;
    said
}

fn reason(command: &Command) -> Option<&str> {
    match command {
        Command::NodeRevoke { reason, .. } => Some(reason),
        Command::HoldRelease { reason, .. } => reason.as_deref(),
        Command::NodeRotateAuthority { reason } => Some(reason),
        Command::TaskLower { reason, .. } => Some(reason),
        Command::LevelAllow { reason, .. } => Some(reason),
        _ => None,
    }
}

/// What an act is about.
struct Target {
    /// The verb with everything in it that could mean something else later.
    command: Command,
    /// What it is about, for people and for the audit.
    subject: String,
    /// A fingerprint of that: another one means that it has changed.
    mark: String,
}

fn target(connection: &Connection, command: &Command) -> Result<Target, Refusal> {
    let mut command = command.clone();
    let (subject, facts) = match &mut command {
        Command::NodeRevoke { node, undo, .. } => {
            let tree = queries::load_tree(connection)?;
            let row = nodes::find(connection, &tree, node)?;
            *node = row.node.to_string();
            let is = json!([row.unit, row.pin, row.next_pin, row.revoked_at, undo]);
            (row.node.to_string(), is)
        }
        Command::HoldRelease { hold, .. } => {
            let of = holds::get_open(connection, *hold)?;
            let records = crate::store::holds::records(connection, of.hold)?;
            let records = records
                .iter()
                .map(|held| json!([held.record, held.kind, held.loss, held.body, held.changes]));
            let is = json!([of.request, records.collect::<Vec<_>>()]);
            (of.hold.to_string(), is)
        }
        Command::NodeRotateAuthority { .. } => {
            let now = queries::meta(connection, "ca_pin")?.unwrap_or_default();
            (now.clone(), json!(now))
        }
        Command::TaskLower { task, .. } => {
            let (id, is) = secrecy::to_be_lowered(connection, task)?;
            (id.to_string(), is)
        }
        Command::LevelAllow { level, .. } => {
            let known = secrecy::level_named(level)?;
            *level = known.word().to_owned();
            let before = secrecy::is_allowed(connection, known)?;
            (level.clone(), json!([level, before]))
        }
        _ => return Err(Refusal::usage("approval-none", [])),
    };
    let hash = Sha256::digest(json!([command_without_reason(&command), facts]).to_string());
    Ok(Target {
        command,
        subject,
        mark: crate::store::blobs::hex(&hash.into()),
    })
}

/// Why is not what.
fn command_without_reason(command: &Command) -> Value {
    let mut command = json!(command);
    if let Some(fields) = command.as_object_mut() {
        fields.remove("reason");
    }
    command
}

/// Why somebody cannot be the second person of an act; `None`: they can.
fn unfit(asked: &Approval, decider: &UserRow, role: Role) -> Option<&'static str> {
    if decider.name == asked.person {
        return Some("approval-same-person");
    }
    if !role.may(Duty::Approve) {
        return Some("approval-not-approver");
    }
    // Who asks must not be able to make the one who approves, or to take that one's place with a new password: neither before
    // asking nor after.
    if decider.hands.contains(&asked.person) {
        return Some("approval-made-user");
    }
    (decider.changed_at >= asked.at).then_some("approval-new-user")
}

/// The act that is to be decided, and whether the one who decides is fit to.
fn decidable(on: &Writing<'_, '_>, number: u64) -> Result<Approval, Refusal> {
    let asked = get(on.tx.connection(), number)?;
    let number = ("approval", number.to_string());
    if !asked.is_open(on.now_ms) {
        let state = ("state", asked.shown_state(on.now_ms).to_owned());
        return Err(Refusal::usage("approval-decided", [number, state]));
    }
    let known = on.request.asker.role();
    let user = users::one(on.tx.connection(), &on.request.person)?;
    let (Some(role), Some(user)) = (known, user) else {
        return Err(Refusal::with(
            Exit::Authentication,
            "approval-login",
            [number],
        ));
    };
    match unfit(&asked, &user, role) {
        Some(why) => Err(Refusal::with(
            Exit::Authentication,
            why,
            [number, ("name", user.name), ("asker", asked.person)],
        )),
        None => Ok(asked),
    }
}

/// `approval approve`: the act is carried out, in the name of the one who asked.
pub fn approve(
    on: &mut Writing<'_, '_>,
    number: u64,
    reason: Option<&str>,
) -> Result<Said, Refusal> {
    let asked = decidable(on, number)?;
    let request = request_of(&asked)?;
    let number = ("approval", number.to_string());
    let still_may = users::one(on.tx.connection(), &asked.person)?
        .and_then(|user| Role::named(&user.role))
        .is_some_and(|role| role.may(roles::duty(&request.command)));
    if !still_may {
        let name = ("name", asked.person);
        return Err(Refusal::usage("approval-asker-gone", [number, name]));
    }
    let now = target(on.tx.connection(), &request.command);
    if !now.is_ok_and(|now| now.mark == asked.target) {
        return Err(Refusal::usage("approval-changed", [number]));
    }
    if request.command.authors() {
        recovery::may_write(on.tx.connection())?;
    }
    conclude(on, &asked, "approved", reason)?;
    let mut said = verbs::write_verb(&mut Writing {
        node: on.node,
        tx: on.tx,
        now_ms: on.now_ms,
        request: &request,
        file: None,
    })?;
    // Two persons have looked at it: it is no mass change that a third one would have to.
    on.tx.take_lost();
    let act = audit::Act {
        at: on.now_ms,
        actor: &asked.person,
        act: &request.command.verb(),
        subject: &asked.subject,
        detail: json!({ "request": request.request_id, "exit": said.exit, "approval": asked.approval,
            "approved_by": on.request.person }),
    };
    audit::append(on.tx, &act)?;
    if let Some(data) = said.data.as_object_mut() {
        let decided = decided(on, &asked, "approved", reason);
        data.extend(decided.as_object().cloned().unwrap_or_default());
    }
    Ok(said.note("note-approval-approved", [number]))
}

/// `approval refuse`: nothing is done.
pub fn refuse(on: &mut Writing<'_, '_>, number: u64, reason: &str) -> Result<Said, Refusal> {
    let reason = needed("reason-needed", Some(reason))?;
    let asked = decidable(on, number)?;
    conclude(on, &asked, "refused", Some(&reason))?;
    let data = decided(on, &asked, "refused", Some(&reason));
    let number = ("approval", number.to_string());
    Ok(Said::done(data).note("note-approval-refused", [number]))
}

fn conclude(
    on: &Writing<'_, '_>,
    asked: &Approval,
    state: &str,
    reason: Option<&str>,
) -> Result<(), Refusal> {
    let (connection, person) = (on.tx.connection(), &on.request.person);
    if approvals::decide(connection, asked.approval, state, person, reason, on.now_ms)? {
        return Ok(());
    }
    let number = ("approval", asked.approval.to_string());
    let state = ("state", asked.state.clone());
    Err(Refusal::usage("approval-decided", [number, state]))
}

fn decided(on: &Writing<'_, '_>, asked: &Approval, state: &str, reason: Option<&str>) -> Value {
    json!({
        "id": asked.subject,
        "approval": asked.approval,
        "act": asked.act,
        "approval_state": state,
        "asked_by": asked.person,
        "decided_by": on.request.person,
        "decision": reason,
    })
}

/// Fact of the store: the acts that need two persons, as the configuration last said.
const POLICY: &str = "approval_acts";
/// Fact of the store: the level of secrecy that this computer may hold, as the configuration last said.
const CEILING: &str = "node_ceiling";

/// Keeps in the audit that the configuration asks for two persons for other acts than before, or lets this computer hold
/// another level. Who owns the machine can change that; nobody can do it unseen.
pub async fn note_policy(node: &Node) -> Result<(), StoreError> {
    let acts = node.settings.approval_acts.iter().map(|act| act.as_str());
    let acts = acts.collect::<Vec<_>>().join(" ");
    note_change(node, (POLICY, ""), "approval.policy", acts).await?;
    let (none, ceiling) = (Classification::None.word(), node.settings.ceiling.word());
    note_change(node, (CEILING, none), "node.ceiling", ceiling.to_owned()).await
}

async fn note_change(
    node: &Node,
    (key, unset): (&'static str, &'static str),
    act: &'static str,
    now: String,
) -> Result<(), StoreError> {
    let known = node.store.read(move |c| queries::meta(c, key)).await?;
    let before = known.unwrap_or_else(|| unset.to_owned());
    if before == now {
        return Ok(());
    }
    let at = node.clock.now_ms();
    node.store
        .write(move |tx| {
            tx.set_meta(key, &now)?;
            let act = audit::Act {
                at,
                actor: "nqsync",
                act,
                subject: "",
                detail: json!({ "before": before, "after": now }),
            };
            audit::append(tx, &act)
        })
        .await
}

/// Whoever asks for an act of two persons has to be one of the users.
fn unproved(act: Act) -> Refusal {
    let act = ("act", act.as_str().to_owned());
    Refusal::with(Exit::Authentication, "approval-who", [act])
}

#[cfg(test)]
#[path = "approvals_tests.rs"]
mod tests;
