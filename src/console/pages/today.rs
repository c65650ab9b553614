//! *Today*: what needs a person at this node.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;

/// Entries of each list that are shown; the count is of all.
const SHOWN: usize = 8;
/// A deadline this near is shown, in days.
const SOON_DAYS: i64 = 14;

/// The first page.
pub async fn show(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = data(&console, &person).await;
    console.page(&person, "today", "today.html", data).await
}

async fn data(console: &Console, person: &Person) -> Result<Value, Failure> {
    let status = console.read(person, Command::Status).await?;
    let conflicts = console.read(person, Command::ConflictList).await?;
    let holds = console.read(person, Command::HoldList).await?;
    let approvals = console.read(person, Command::ApprovalList).await?;
    let quarantine = console.read(person, Command::QuarantineList).await?;
    let proposals = Command::ProposalList { open_only: true };
    let proposals = console.read(person, proposals).await?;
    let reports = Command::ReportList {
        task: None,
        unit: None,
        period: None,
    };
    let reports = console.read(person, reports).await?;
    let tasks = console.read(person, super::tasks::all()).await?;
    let period = Command::PeriodList {
        unit: None,
        period: None,
    };
    let period = console.read(person, period).await?;
    let units = console.read(person, super::all_units()).await?;
    let home = status["unit"]["code"].clone();
    let today = console.service.node.clock.today(&console.zone);
    let near = |task: &Value| -> bool {
        let due = task["deadline"]["due"]
            .as_str()
            .and_then(|d| d.parse().ok());
        let done = matches!(
            task["status"].as_str(),
            Some("completed_on_time" | "completed_late" | "cancelled" | "withdrawn")
        );
        let days = due.map(|due: jiff::civil::Date| (due - today).get_days());
        !done && days.is_some_and(|days| i64::from(days) <= SOON_DAYS)
    };
    let own_issue = |report: &Value| report["to_verify"] == true && report["unit"] != home;
    let returned = |report: &Value| report["status"] == "awaiting_correction";
    let drafts = |report: &Value| report["unit"] == home && report["draft_changed"] == true;
    Ok(json!({
        "status": status,
        "names": super::names(&units),
        "deadlines": some(&tasks, near),
        "to_verify": some(&reports, own_issue),
        "returned": some(&reports, returned),
        "drafts": some(&reports, drafts),
        "conflicts": some(&conflicts, |_| true),
        "holds": some(&holds, |hold| hold["state"] == "open"),
        "approvals": some(&approvals, |asked| asked["state"] == "open"),
        "quarantine": some(&quarantine, |_| true),
        "proposals": some(&proposals, |proposal| proposal["owner"] == home),
        "period": period,
        "today": today.to_string(),
    }))
}

/// The first entries of a list that fit, and how many there are.
fn some(list: &Value, fits: impl Fn(&Value) -> bool) -> Value {
    let items = list["items"].as_array().map(Vec::as_slice);
    let fit: Vec<&Value> = items
        .unwrap_or_default()
        .iter()
        .filter(|i| fits(i))
        .collect();
    json!({ "total": fit.len(), "items": &fit[..fit.len().min(SHOWN)] })
}
