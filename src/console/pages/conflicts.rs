//! *Conflicts*: values that two places wrote without having seen each other, side by side, and choosing one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::encoded;
use crate::api::Command;
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::Sent;

/// All open conflicts.
pub async fn list(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = console.read(&person, Command::ConflictList).await;
    console
        .page(&person, "conflicts", "conflicts.html", data)
        .await
}

/// One conflict.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(conflict): Path<String>,
) -> Response {
    let data = console
        .read(&person, Command::ConflictShow { conflict })
        .await;
    let data = data.map(|conflict| json!({ "conflict": conflict }));
    console
        .page(&person, "conflicts", "conflict.html", data)
        .await
}

/// Settles one with the value that was pressed.
pub async fn resolve(
    State(console): State<Arc<Console>>,
    Path(conflict): Path<String>,
    sent: Sent,
) -> Response {
    let typed = sent.fields.text("value");
    let command = Command::ConflictResolve {
        conflict: conflict.clone(),
        take: sent.fields.get("take").and_then(|take| take.parse().ok()),
        value: typed.map(Value::String),
        reason: sent.fields.text("reason"),
        token: sent.fields.text("token"),
    };
    let outcome = console.ask(&sent.person, command).await;
    let next = match &outcome {
        Ok(_) => "/conflicts".to_owned(),
        Err(_) => format!("/conflicts/{}", encoded(&conflict)),
    };
    console.after(&sent.person, &outcome, "console-conflict-settled", &next)
}
