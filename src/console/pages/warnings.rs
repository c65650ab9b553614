//! *Red warnings*: what stands, and saying why one needs no attention.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields, Sent};

/// Warnings on a page.
const PAGE: usize = 50;

/// Those that stand, or all.
pub async fn list(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = data(&console, &person, &asked).await;
    console
        .page(&person, "warnings", "warnings.html", data)
        .await
}

async fn data(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let page = super::page_of(asked);
    let list = Command::WarningList {
        unit: asked.text("unit"),
        kind: asked.text("kind"),
        all: asked.get("all").is_some(),
        offset: (page - 1).saturating_mul(PAGE),
        limit: Some(PAGE),
    };
    let mut data = console.read(person, list).await?;
    let units = console.read(person, super::all_units()).await?;
    data["names"] = super::names(&units);
    let total = data["total"].as_u64().unwrap_or(0) as usize;
    data["pages"] = json!(total.div_ceil(PAGE).max(1));
    data["page"] = json!(page);
    data["query"] = json!(super::query_of(asked, &["kind", "all"]));
    data["asked"] = json!({ "kind": asked.get("kind"), "all": asked.get("all").is_some() });
    Ok(data)
}

/// Silences one until a day, with a reason.
pub async fn silence(
    State(console): State<Arc<Console>>,
    Path(warning): Path<u64>,
    sent: Sent,
) -> Response {
    let text = |name: &str| sent.fields.text(name).unwrap_or_default();
    let command = Command::WarningSilence {
        warnings: vec![warning],
        reason: text("reason"),
        until: text("until"),
    };
    let outcome = console.ask(&sent.person, command).await;
    console.after(&sent.person, &outcome, "console-silenced", "/warnings")
}
