//! *Periods*: what was due and came; submitting one's own, and deciding on those of the units below.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use nqsync_core::period::Step;
use serde_json::{Value, json};

use super::encoded;
use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Sent};

/// The units here and directly below.
pub async fn list(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let list = Command::PeriodList {
        unit: asked.text("unit"),
        period: asked.text("period"),
    };
    let data = console.read(&person, list).await.map(|mut data| {
        data["asked"] = json!(asked.get("period"));
        data
    });
    console.page(&person, "periods", "periods.html", data).await
}

/// One unit's period with its history.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Path((period, unit)): Path<(String, String)>,
) -> Response {
    let data = shown(&console, &person, &period, &unit).await;
    console.page(&person, "periods", "period.html", data).await
}

async fn shown(
    console: &Console,
    person: &Person,
    period: &str,
    unit: &str,
) -> Result<Value, Failure> {
    let show = Command::PeriodShow {
        unit: Some(unit.to_owned()),
        period: Some(period.to_owned()),
    };
    let shown = console.read(person, show).await?;
    let reports = Command::ReportList {
        task: None,
        unit: Some(unit.to_owned()),
        period: Some(period.to_owned()),
    };
    let reports = console.read(person, reports).await?;
    Ok(json!({ "period": shown, "reports": reports["items"] }))
}

/// Says that the reports of this node's unit are in.
pub async fn submit(State(console): State<Arc<Console>>, sent: Sent) -> Response {
    let command = Command::PeriodSubmit {
        period: sent.fields.text("period"),
    };
    let outcome = console.ask(&sent.person, command).await;
    let next = match sent.fields.get("period") {
        Some(period) => format!("/periods?period={}", encoded(period)),
        None => "/periods".to_owned(),
    };
    console.after(&sent.person, &outcome, "console-period-submitted", &next)
}

/// What the unit above decides about one, or the new figures of a closed one.
pub async fn decide(
    State(console): State<Arc<Console>>,
    Path((period, unit)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let next = format!("/periods/{}/{}", encoded(&period), encoded(&unit));
    if sent.fields.get("step") == Some("restate") {
        let command = Command::PeriodRestate {
            period,
            unit: Some(unit),
            reason: sent.fields.text("reason").unwrap_or_default(),
            preview: false,
        };
        let outcome = console.ask(&sent.person, command).await;
        return console.after(&sent.person, &outcome, "console-restated", &next);
    }
    let step = match sent.fields.get("step") {
        Some("accept") => Step::Accept,
        Some("return") => Step::Return,
        Some("close") => Step::Close,
        _ => Step::Reopen,
    };
    let command = Command::PeriodDecide {
        step,
        units: vec![unit.clone()],
        all: false,
        period: Some(period.clone()),
        reason: sent.fields.text("reason"),
    };
    let outcome = console.ask(&sent.person, command).await;
    console.after(&sent.person, &outcome, "console-period-decided", &next)
}
