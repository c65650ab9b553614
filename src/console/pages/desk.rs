//! *To decide*: mass changes that were held, records set aside, and what other units ask for.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::Sent;

const PATH: &str = "/desk";

/// All three lists.
pub async fn show(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = data(&console, &person).await;
    console.page(&person, "desk", "desk.html", data).await
}

async fn data(console: &Console, person: &Person) -> Result<Value, Failure> {
    let proposals = Command::ProposalList { open_only: false };
    Ok(json!({
        "holds": console.read(person, Command::HoldList).await?["items"],
        "quarantine": console.read(person, Command::QuarantineList).await?["items"],
        "proposals": console.read(person, proposals).await?["items"],
    }))
}

/// Releases, refuses or takes back a mass change.
pub async fn hold(
    State(console): State<Arc<Console>>,
    Path(hold): Path<u64>,
    sent: Sent,
) -> Response {
    let command = match sent.fields.get("do") {
        Some("release") => Command::HoldRelease {
            hold,
            reason: sent.fields.text("reason"),
        },
        Some("undo") => Command::HoldUndo { hold },
        _ => Command::HoldRefuse {
            hold,
            reason: sent.fields.text("reason").unwrap_or_default(),
        },
    };
    let outcome = console.ask(&sent.person, command).await;
    console.after(&sent.person, &outcome, "console-decided", PATH)
}

/// Tries a record again, or gives it up.
pub async fn quarantine(
    State(console): State<Arc<Console>>,
    Path(item): Path<u64>,
    sent: Sent,
) -> Response {
    let command = match sent.fields.get("do") {
        Some("retry") => Command::QuarantineRetry { item },
        _ => Command::QuarantineDrop {
            item,
            reason: sent.fields.text("reason").unwrap_or_default(),
        },
    };
    let outcome = console.ask(&sent.person, command).await;
    console.after(&sent.person, &outcome, "console-decided", PATH)
}

/// Answers what another unit asks for, or takes an own wish back.
pub async fn proposal(
    State(console): State<Arc<Console>>,
    Path(proposal): Path<String>,
    sent: Sent,
) -> Response {
    let reason = sent.fields.text("reason");
    let command = match sent.fields.get("do") {
        Some("withdraw") => Command::ProposalWithdraw { proposal, reason },
        decision => Command::ProposalDecide {
            proposal,
            accept: decision == Some("accept"),
            reason,
            token: None,
        },
    };
    let outcome = console.ask(&sent.person, command).await;
    console.after(&sent.person, &outcome, "console-decided", PATH)
}
