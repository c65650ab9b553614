//! *Two persons*: acts that wait for a second person, and what became of the others.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use crate::api::Command;
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::Sent;

const PATH: &str = "/approvals";

/// All of them.
pub async fn list(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = console.read(&person, Command::ApprovalList).await;
    let data = data.map(|list| json!({ "approvals": list["items"] }));
    console.page(&person, "desk", "approvals.html", data).await
}

/// One of them, to be decided.
pub async fn show(
    State(console): State<Arc<Console>>,
    Path(approval): Path<u64>,
    person: Person,
) -> Response {
    let data = console
        .read(&person, Command::ApprovalShow { approval })
        .await;
    let data = data.map(|approval| json!({ "approval": approval }));
    console.page(&person, "desk", "approval.html", data).await
}

/// The second person's yes or no.
pub async fn decide(
    State(console): State<Arc<Console>>,
    Path(approval): Path<u64>,
    sent: Sent,
) -> Response {
    let reason = sent.fields.text("reason");
    let command = match sent.fields.get("do") {
        Some("approve") => Command::ApprovalApprove { approval, reason },
        _ => Command::ApprovalRefuse {
            approval,
            reason: reason.unwrap_or_default(),
        },
    };
    let outcome = console.ask(&sent.person, command).await;
    let next = match outcome {
        Ok(_) => PATH.to_owned(),
        Err(_) => format!("{PATH}/{approval}"),
    };
    console.after(&sent.person, &outcome, "console-decided", &next)
}
