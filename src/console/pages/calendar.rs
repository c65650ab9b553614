//! *Calendar*: what is due, for whom, until when, and what of it came.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields};

/// The calendar of some days.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = data(&console, &person, &asked).await;
    console
        .page(&person, "calendar", "calendar.html", data)
        .await
}

async fn data(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let show = Command::CalendarShow {
        unit: asked.text("unit"),
        from: asked.text("from"),
        to: asked.text("to"),
    };
    let units = console.read(person, super::all_units()).await?;
    Ok(json!({
        "calendar": console.read(person, show).await?,
        "reminders": console.read(person, Command::CalendarToday).await?,
        "names": super::names(&units),
        "units": units["items"],
        "asked": { "unit": asked.get("unit"), "from": asked.get("from"), "to": asked.get("to") },
    }))
}
