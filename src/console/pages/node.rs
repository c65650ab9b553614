//! *This node*: links, queues, clocks, certificates, versions, disk, and everything that is wrong.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;

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
