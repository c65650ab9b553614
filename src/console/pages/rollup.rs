//! *Rollup*: how many tasks stand where, with what is missing beside every total, down to single units.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure, RollupBy};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields};

/// The rollup of a period.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = data(&console, &person, &asked).await;
    console.page(&person, "rollup", "rollup.html", data).await
}

async fn data(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let by = match asked.get("by") {
        Some("unit") => RollupBy::Unit,
        Some("issuer") => RollupBy::Issuer,
        _ => RollupBy::Group,
    };
    let show = Command::RollupShow {
        period: asked.text("period"),
        unit: asked.text("unit"),
        by,
        recompute: false,
        version: asked.get("version").and_then(|n| n.parse().ok()),
    };
    let rollup = console.read(person, show).await?;
    let indicators = Command::IndicatorList {
        period: asked.text("period"),
        unit: asked.text("unit"),
    };
    let indicators = console.read(person, indicators).await?;
    let units = console.read(person, super::all_units()).await?;
    Ok(json!({
        "rollup": rollup,
        "indicators": indicators["items"],
        "units": units["items"],
        "by": by,
        "asked": { "period": asked.get("period"), "unit": asked.get("unit") },
    }))
}
