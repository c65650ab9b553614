//! *Scores*: units by points and place, with the numbers behind each point.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::api::Command;
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::Asked;

/// The scores of a period.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let show = Command::ScoreShow {
        period: asked.text("period"),
        unit: asked.text("unit"),
    };
    let data = console.read(&person, show).await.map(|mut data| {
        data["asked"] = json!(asked.get("period"));
        data
    });
    console.page(&person, "scores", "scores.html", data).await
}
