//! Wishes about records that another unit owns, and the owner's answers.
//!
//! Nothing is stored about whether a proposal is open: it follows from the wish, the decision, and what the decider
//! had been shown of the wish.

use nqsync_core::model::values::{DecisionValue, Wish};
use nqsync_core::model::{Facts, Kind, Tree};
use nqsync_core::sync::Record;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::fields::{self, Field};
use super::shared::{self, needed, saved, time};
use super::{Reading, Said, Writing, refs};
use crate::node::Refusal;
use crate::node::write::{self, Acting};
use crate::store::{Stored, records};

const WISH: &str = "wish";
const DECISION: &str = "decision";

/// Where a proposal stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To be decided.
    Open,
    /// Taken back by the proposer.
    Withdrawn,
    /// Answered: the value was written.
    Accepted(String),
    /// Answered with a reason.
    Rejected(String),
    /// Two places of the owner answered differently.
    Conflict,
}

impl Standing {
    fn name(&self) -> &'static str {
        match self {
            Standing::Open => "open",
            Standing::Withdrawn => "withdrawn",
            Standing::Accepted(_) => "accepted",
            Standing::Rejected(_) => "rejected",
            Standing::Conflict => "conflict",
        }
    }

    fn needs_an_answer(&self) -> bool {
        matches!(self, Standing::Open | Standing::Conflict)
    }
}

/// Derives where a proposal stands. A decision answers what its decider was shown; it is open again only if a present
/// wish outside that differs in value, base or reason.
pub fn standing(proposal: &Record, decision: Option<&Record>) -> Standing {
    let wishes: Vec<_> = proposal.register(WISH).siblings;
    let read = |json: Value| serde_json::from_value::<Wish>(json).ok();
    let shown = wishes.first().and_then(|wish| read(wish.json()));
    let answers: Vec<DecisionValue> = decision
        .map(|record| record.register(DECISION).siblings)
        .unwrap_or_default()
        .iter()
        .filter_map(|write| serde_json::from_value(write.json()).ok())
        .collect();
    let Some(answer) = answers.first() else {
        return match shown {
            Some(wish) if wish.open => Standing::Open,
            _ => Standing::Withdrawn,
        };
    };
    let new = wishes
        .iter()
        .filter(|write| !answer.context.contains(write.dot))
        .filter_map(|write| read(write.json()))
        .any(|wish| wish.open && !same_wish(&wish, &answer.wish));
    if new {
        Standing::Open
    } else if answers
        .iter()
        .any(|other| other.accepted != answer.accepted)
    {
        Standing::Conflict
    } else if answer.accepted {
        Standing::Accepted(answer.reason.clone())
    } else {
        Standing::Rejected(answer.reason.clone())
    }
}

fn same_wish(a: &Wish, b: &Wish) -> bool {
    a.value == b.value && a.base == b.base && a.reason == b.reason
}

/// Proposals made by units served here, or to be decided by them.
pub fn list(on: &Reading<'_>, open_only: bool) -> Result<Said, Refusal> {
    let here = on.tree.server_of(on.home);
    let mut items = Vec::new();
    for stored in records::of_kind(on.connection, Kind::Proposal)? {
        let Facts::Proposal {
            proposer, owner, ..
        } = stored.record.facts()
        else {
            continue;
        };
        if ![proposer, owner]
            .iter()
            .any(|unit| on.tree.server_of(**unit) == here)
        {
            continue;
        }
        let state = state_of(on.connection, &stored.record)?;
        if !open_only || state.needs_an_answer() {
            items.push(item(on.connection, &on.tree, &stored.record, &state)?);
        }
    }
    Ok(Said::done(super::views::listed(items)))
}

/// How many wait for an answer of a unit served here.
pub fn count_open(on: &Reading<'_>) -> Result<u64, Refusal> {
    let here = on.tree.server_of(on.home);
    let mut count = 0;
    for stored in records::of_kind(on.connection, Kind::Proposal)? {
        if let Facts::Proposal { owner, .. } = stored.record.facts()
            && on.tree.server_of(*owner) == here
            && state_of(on.connection, &stored.record)?.needs_an_answer()
        {
            count += 1;
        }
    }
    Ok(count)
}

fn state_of(connection: &Connection, proposal: &Record) -> Result<Standing, Refusal> {
    let decisions = records::about(connection, Kind::Decision, proposal.key().id)?;
    Ok(standing(
        proposal,
        decisions.first().map(|stored| &stored.record),
    ))
}

fn item(
    connection: &Connection,
    tree: &Tree,
    proposal: &Record,
    state: &Standing,
) -> Result<Value, Refusal> {
    let Facts::Proposal {
        proposer,
        owner,
        target,
        register,
        ..
    } = proposal.facts()
    else {
        return Ok(Value::Null);
    };
    let wish = shown_wish(proposal)?;
    let target_record = records::load(connection, *target)?;
    let title = match &target_record {
        Some(stored) => shared::title(connection, &stored.record)?,
        None => String::new(),
    };
    let current = target_record.and_then(|stored| stored.record.shown(register));
    let view = proposal.register(WISH);
    let edit = view.edits.first();
    let decision_reason = match state {
        Standing::Accepted(reason) | Standing::Rejected(reason) => Some(reason.clone()),
        _ => None,
    };
    Ok(json!({
        "id": proposal.key().id,
        "token": proposal.token().to_string(),
        "target": target,
        "target_title": title,
        "field": register,
        "value": wish.value,
        "base": wish.base,
        "current": current,
        "reason": wish.reason,
        "proposer": tree.code(*proposer),
        "owner": tree.code(*owner),
        "by": edit.map(|edit| edit.by.clone()),
        "state": state.name(),
        "decision_reason": decision_reason,
        "at": edit.map(|edit| time(edit.stamp.millis())),
    }))
}

fn shown_wish(proposal: &Record) -> Result<Wish, Refusal> {
    let shown = proposal
        .shown(WISH)
        .and_then(|json| serde_json::from_value(json).ok());
    shown.ok_or_else(|| {
        Refusal::usage(
            "proposal-unreadable",
            [("id", proposal.key().id.to_string())],
        )
    })
}

/// Makes a proposal, or changes an own one. An equal one is left as it is.
pub fn make(
    on: &mut Writing<'_, '_>,
    task: &str,
    field: &str,
    value: &str,
    reason: &str,
) -> Result<Said, Refusal> {
    let acting = on.acting(None)?;
    let reason = needed("reason-needed", Some(reason))?;
    let tree = on.tx.tree();
    let target = refs::task(&on.view(&tree)?, task)?;
    let field = Field::parse(field)?;
    let Some(owner) = target.record.facts().owner() else {
        return Err(Refusal::usage("unknown-task", [("task", task.to_owned())]));
    };
    if owner == acting.unit {
        return Err(Refusal::usage("proposal-own", [("unit", tree.code(owner))]));
    }
    let present = target.record.shown(field.register());
    let value = field.read(&tree, owner, value, &target.record)?;
    if present.as_ref() == Some(&value) {
        return Err(Refusal::usage(
            "proposal-same-value",
            [("field", field.register().to_owned())],
        ));
    }
    let wish = Wish {
        value,
        base: present.unwrap_or_default(),
        base_context: target.record.register(field.register()).context(),
        reason,
        open: true,
    };
    let facts = Facts::Proposal {
        proposer: acting.unit,
        owner,
        target_kind: Kind::Task,
        target: target.record.key().id,
        register: field.register().to_owned(),
    };
    let earlier = facts
        .natural_id()
        .map(|id| on.tx.load(id))
        .transpose()?
        .flatten();
    if let Some(earlier) = &earlier {
        let before = shown_wish(&earlier.record)?;
        if before.open && same_wish(&before, &wish) {
            return Ok(said(on, &earlier.record)?.note("note-proposal-unchanged", []));
        }
    }
    let values = [(WISH.to_owned(), to_json(&wish)?)].into();
    let written = write::create(on.tx, &acting, facts, values, None)?;
    saved(on, &written, earlier.as_ref().map(|stored| &stored.record))?;
    let owner = tree.code(owner);
    Ok(said(on, &written.record)?.note("note-proposal-made", [("owner", owner)]))
}

/// Takes an own proposal back.
pub fn withdraw(
    on: &mut Writing<'_, '_>,
    proposal: &str,
    reason: Option<&str>,
) -> Result<Said, Refusal> {
    let stored = shared::require(on.tx.connection(), Kind::Proposal, proposal)?;
    let acting = acting_as_owner(on, &stored)?;
    let mut wish = shown_wish(&stored.record)?;
    match state_of(on.tx.connection(), &stored.record)? {
        Standing::Withdrawn => {
            return Ok(said(on, &stored.record)?.note("note-proposal-unchanged", []));
        }
        Standing::Open => {}
        answered => {
            let state = answered.name().to_owned();
            return Err(Refusal::usage("proposal-answered", [("state", state)]));
        }
    }
    wish.open = false;
    if let Some(reason) = reason.map(str::trim).filter(|reason| !reason.is_empty()) {
        wish.reason = reason.to_owned();
    }
    let before = stored.record.clone();
    let values = [(WISH.to_owned(), to_json(&wish)?)].into();
    let written = write::update(on.tx, &acting, stored, values, None)?;
    saved(on, &written, Some(&before))?;
    said(on, &written.record)
}

/// Answers a proposal. Accepting writes the value into the target in the same transaction.
pub fn decide(
    on: &mut Writing<'_, '_>,
    proposal: &str,
    accept: bool,
    reason: Option<&str>,
    token: Option<&str>,
) -> Result<Said, Refusal> {
    let stored = shared::require(on.tx.connection(), Kind::Proposal, proposal)?;
    shared::decided_on(&stored.record, token)?;
    let Facts::Proposal {
        proposer,
        owner,
        target,
        register,
        ..
    } = stored.record.facts().clone()
    else {
        return Err(Refusal::usage(
            "proposal-unreadable",
            [("id", proposal.to_owned())],
        ));
    };
    let reason = match accept {
        true => reason.unwrap_or_default().trim().to_owned(),
        false => needed("reason-needed", reason)?,
    };
    let served = on.tx.serves(owner).then_some(owner);
    let acting = on.acting(served)?;
    if acting.unit != owner {
        return Err(not_decider(on, &acting, owner));
    }
    let state = state_of(on.tx.connection(), &stored.record)?;
    match (&state, accept) {
        (Standing::Accepted(_), true) | (Standing::Rejected(_), false) => {
            return Ok(said(on, &stored.record)?.note("note-proposal-unchanged", []));
        }
        (Standing::Withdrawn, _) | (Standing::Accepted(_), false) => {
            let state = state.name().to_owned();
            return Err(Refusal::usage("proposal-answered", [("state", state)]));
        }
        _ => {}
    }
    let wish = shown_wish(&stored.record)?;
    let answer = DecisionValue {
        accepted: accept,
        reason,
        context: stored.record.register(WISH).context(),
        wish: wish.clone(),
    };
    let facts = Facts::Decision {
        decider: owner,
        proposer,
        proposal: stored.record.key().id,
    };
    let values = [(DECISION.to_owned(), to_json(&answer)?)].into();
    let written = write::create(on.tx, &acting, facts, values, None)?;
    saved(on, &written, None)?;
    let mut moved = false;
    if accept {
        moved = apply(on, &acting, target, &register, &wish)?;
    }
    let answered = said(on, &stored.record)?;
    Ok(match (accept, moved) {
        (true, true) => answered.note("note-proposal-base-moved", [("field", register)]),
        (true, false) => answered.note("note-proposal-accepted", [("field", register)]),
        (false, _) => answered.note(
            "note-proposal-rejected",
            [("proposer", on.tx.tree().code(proposer))],
        ),
    })
}

/// Writes an accepted value. Answers whether the target had moved on since the proposal was made.
fn apply(
    on: &mut Writing<'_, '_>,
    acting: &Acting,
    target: uuid::Uuid,
    register: &str,
    wish: &Wish,
) -> Result<bool, Refusal> {
    let Some(target) = on.tx.load(target)? else {
        return Err(Refusal::usage(
            "unknown-task",
            [("task", target.to_string())],
        ));
    };
    let before = target.record.clone();
    let present = before.shown(register).unwrap_or_default();
    let settled = before.register(register).siblings.len() == 1;
    if present == wish.value && settled {
        return Ok(false);
    }
    let values = [(register.to_owned(), wish.value.clone())].into();
    let written = write::update(on.tx, acting, target, values, None)?;
    saved(on, &written, Some(&before))?;
    Ok(present != wish.base)
}

/// The proposer's own place: the unit it was made for, when that is served here or named with `--for`.
fn acting_as_owner(on: &Writing<'_, '_>, stored: &Stored) -> Result<Acting, Refusal> {
    let owner = stored.record.facts().owner();
    let served = owner.filter(|unit| on.tx.serves(*unit));
    on.acting(served)
}

fn not_decider(
    on: &Writing<'_, '_>,
    acting: &Acting,
    owner: nqsync_core::model::UnitId,
) -> Refusal {
    let tree = on.tx.tree();
    Refusal::usage(
        "not-decider",
        [
            ("owner", tree.code(owner)),
            ("unit", tree.code(acting.unit)),
        ],
    )
}

fn said(on: &Writing<'_, '_>, proposal: &Record) -> Result<Said, Refusal> {
    let connection = on.tx.connection();
    let state = state_of(connection, proposal)?;
    Ok(Said::done(item(
        connection,
        &on.tx.tree(),
        proposal,
        &state,
    )?))
}

fn to_json(value: &impl serde::Serialize) -> Result<Value, Refusal> {
    fields::to_json(value)
}

#[cfg(test)]
#[path = "proposals_tests.rs"]
mod tests;
