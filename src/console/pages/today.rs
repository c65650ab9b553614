//! *Today*: what needs a person at this node.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::ToSpan;
use serde_json::{Value, json};

use crate::api::{Command, Failure, ReportWait};
use crate::console::Console;
use crate::console::ask::Person;

/// Entries of each list that are shown; the count is of all.
const SHOWN: usize = 8;
/// A deadline this near is shown, in days.
const SOON_DAYS: i32 = 14;

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
    let waiting = |wait| Command::ReportWaiting {
        wait,
        offset: 0,
        limit: Some(SHOWN),
    };
    let to_verify = console.read(person, waiting(ReportWait::Verdict)).await?;
    let returned = console
        .read(person, waiting(ReportWait::Correction))
        .await?;
    let drafts = console
        .read(person, waiting(ReportWait::Submission))
        .await?;
    let today = console.service.node.clock.today(&console.zone);
    let soon = today.saturating_add(SOON_DAYS.days());
    let deadlines = super::tasks::due_by(soon, SHOWN);
    let deadlines = console.read(person, deadlines).await?;
    let period = Command::PeriodList {
        unit: None,
        period: None,
    };
    let period = console.read(person, period).await?;
    let units = console.read(person, super::all_units()).await?;
    let home = status["unit"]["code"].clone();
    Ok(json!({
        "status": status,
        "names": super::names(&units),
        "deadlines": deadlines,
        "to_verify": to_verify,
        "returned": returned,
        "drafts": drafts,
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
