//! *This node*: links, queues, clocks, certificates, versions, disk, and everything that is wrong.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::Sent;

/// Health on one page.
pub async fn show(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = data(&console, &person).await;
    console.page(&person, "node", "node.html", data).await
}

async fn data(console: &Console, person: &Person) -> Result<Value, Failure> {
    let status = console.read(person, Command::Status).await?;
    let nodes = console.read(person, Command::NodeList).await?;
    let bundles = Command::BundleShow { folder: None };
    let bundles = console.read(person, bundles).await?;
    Ok(json!({ "status": status, "nodes": nodes, "bundles": bundles["items"] }))
}

/// Lets a node in that is on no list, or leaves it a stranger.
pub async fn waiting(
    State(console): State<Arc<Console>>,
    Path(pin): Path<String>,
    sent: Sent,
) -> Response {
    let command = match sent.fields.get("do") {
        Some("accept") => Command::NodeAccept {
            node: pin,
            unit: None,
        },
        _ => Command::NodeRefuse {
            node: pin,
            reason: sent.fields.text("reason").unwrap_or_default(),
        },
    };
    let outcome = console.ask(&sent.person, command).await;
    console.after(&sent.person, &outcome, "console-decided", "/node")
}
