//! *Adapters*: outside systems, their last runs, what would change, and exchanging now.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{encoded, status_of};
use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::Sent;

/// All of them.
pub async fn list(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = console.read(&person, Command::AdapterList).await;
    console
        .page(&person, "adapters", "adapters.html", data)
        .await
}

/// One of them.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(name): Path<String>,
) -> Response {
    let data = shown(&console, &person, name, Value::Null).await;
    console
        .page(&person, "adapters", "adapter.html", data)
        .await
}

async fn shown(
    console: &Console,
    person: &Person,
    name: String,
    trial: Value,
) -> Result<Value, Failure> {
    let adapter = console.read(person, Command::AdapterShow { name }).await?;
    Ok(json!({ "adapter": adapter, "trial": trial }))
}

/// Tries without writing, exchanges, or lets pass what the brake holds.
pub async fn run(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Response {
    let person = &sent.person;
    if sent.fields.get("do") == Some("check") {
        let check = Command::AdapterCheck { name: name.clone() };
        let data = match console.ask(person, check).await {
            Ok(answer) => shown(&console, person, name, answer.data).await,
            Err(failure) => Err(failure),
        };
        let status = data.as_ref().err().map(|failure| status_of(failure.exit));
        let page = console.page(person, "adapters", "adapter.html", data).await;
        return (status.unwrap_or_default(), page).into_response();
    }
    let command = Command::AdapterRun {
        name: name.clone(),
        dry_run: false,
        release: sent.fields.get("do") == Some("release"),
    };
    let outcome = console.ask(person, command).await;
    let next = format!("/adapters/{}", encoded(&name));
    console.after(person, &outcome, "console-adapter-done", &next)
}
