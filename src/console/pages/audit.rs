//! *Audit*: who did what, and whether nobody changed it since.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{AuditFilter, Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields};

/// Entries on the page.
const SHOWN: u32 = 200;

/// The newest entries that fit.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = data(&console, &person, &asked).await;
    console.page(&person, "audit", "audit.html", data).await
}

async fn data(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let filter = AuditFilter {
        actor: asked.text("actor"),
        act: asked.text("act"),
        subject: asked.text("subject"),
        since: asked.text("since"),
        limit: Some(SHOWN),
    };
    let entries = console.read(person, Command::AuditShow { filter }).await?;
    let whole = match asked.get("verify") {
        Some(_) => console.read(person, Command::AuditVerify).await?,
        None => Value::Null,
    };
    Ok(json!({
        "entries": entries,
        "whole": whole,
        "asked": {
            "actor": asked.get("actor"), "act": asked.get("act"),
            "subject": asked.get("subject"), "since": asked.get("since"),
        },
    }))
}
