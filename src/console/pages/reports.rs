//! One report: writing it, submitting it, taking it back, and the reviewer's verdict.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::report_path;
use crate::api::{Command, Failure, ReportFields, ReportRef};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Fields, Sent};

/// What an address names.
type Named = Path<(String, String, String)>;

/// The report of an address.
pub fn named(path: &(String, String, String)) -> ReportRef {
    ReportRef {
        task: path.0.clone(),
        unit: Some(path.1.clone()),
        period: Some(path.2.clone()),
    }
}

/// The page of a report, also of one that is not begun.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(path): Named,
) -> Response {
    let data = data(&console, &person, &path, None, None).await;
    console.page(&person, "tasks", "report.html", data).await
}

async fn data(
    console: &Console,
    person: &Person,
    path: &(String, String, String),
    typed: Option<Value>,
    error: Option<&str>,
) -> Result<Value, Failure> {
    let page = Command::TaskPage {
        task: path.0.clone(),
        period: Some(path.2.clone()),
    };
    let task = console.read(person, page).await?;
    let show = Command::ReportShow {
        report: named(path),
    };
    let report = match console.read(person, show).await {
        Ok(report) => report,
        // Not begun yet: an empty form.
        Err(failure) if failure.code == "unknown_report" => Value::Null,
        Err(failure) => return Err(failure),
    };
    let evidence = Command::EvidenceList {
        task: task["id"].as_str().map(str::to_owned),
        unit: Some(path.1.clone()),
        period: Some(path.2.clone()),
    };
    let evidence = console.read(person, evidence).await?;
    let show = Command::UnitShow {
        unit: path.1.clone(),
    };
    let unit = console.read(person, show).await?;
    let values = typed.unwrap_or_else(|| values_of(&report));
    Ok(json!({
        "task": task,
        "report": report,
        "values": values,
        "evidence": evidence["items"],
        "unit": unit,
        "period": path.2,
        "path": report_path(&path.0, &path.1, &path.2),
        "error": error,
    }))
}

/// The names of the form's fields, as the verb has them.
const FIELDS: [&str; 8] = [
    "status",
    "percent",
    "result",
    "difficulties",
    "next_steps",
    "numerator",
    "denominator",
    "value",
];

fn values_of(report: &Value) -> Value {
    let mut values: serde_json::Map<String, Value> = FIELDS
        .map(|name| (name.to_owned(), report[name].clone()))
        .into_iter()
        .collect();
    values.insert("status".to_owned(), report["stated_status"].clone());
    values.insert("token".to_owned(), report["token"].clone());
    Value::Object(values)
}

fn typed(fields: &Fields) -> Value {
    let names = FIELDS.iter().chain(&["token"]);
    Value::Object(
        names
            .map(|name| ((*name).to_owned(), json!(fields.raw(name))))
            .collect(),
    )
}

/// Saves the draft, and submits it when that button was pressed.
pub async fn save(State(console): State<Arc<Console>>, Path(path): Named, sent: Sent) -> Response {
    let text = |name: &str| sent.fields.raw(name).map(|text| text.trim().to_owned());
    let submit = sent.fields.get("submit").is_some();
    let command = Command::ReportSet {
        report: named(&path),
        fields: ReportFields {
            // No status was chosen yet: nothing is said of it.
            status: sent.fields.text("status"),
            percent: text("percent"),
            result: text("result"),
            difficulties: text("difficulties"),
            next_steps: text("next_steps"),
            numerator: text("numerator"),
            denominator: text("denominator"),
            value: text("value"),
        },
        token: sent.fields.text("token"),
        submit,
    };
    let outcome = console.ask_for(&sent.person, Some(&path.1), command).await;
    let next = report_path(&path.0, &path.1, &path.2);
    let done = match submit {
        true => "console-submitted",
        false => "console-draft-saved",
    };
    match &outcome {
        Ok(_) => console.after(&sent.person, &outcome, done, &next),
        Err(failure) => {
            let values = typed(&sent.fields);
            let data = data(
                &console,
                &sent.person,
                &path,
                Some(values),
                Some(&failure.message),
            );
            let data = data.await;
            let page = console.page(&sent.person, "tasks", "report.html", data);
            (super::status_of(failure.exit), page.await).into_response()
        }
    }
}

/// Takes the submission back.
pub async fn withdraw(
    State(console): State<Arc<Console>>,
    Path(path): Named,
    sent: Sent,
) -> Response {
    let command = Command::ReportWithdraw {
        report: named(&path),
        reason: sent.fields.text("reason").unwrap_or_default(),
    };
    let outcome = console.ask_for(&sent.person, Some(&path.1), command).await;
    let next = report_path(&path.0, &path.1, &path.2);
    console.after(&sent.person, &outcome, "console-withdrawn", &next)
}

/// The reviewer's verdict on what was submitted last.
pub async fn judge(State(console): State<Arc<Console>>, Path(path): Named, sent: Sent) -> Response {
    let accepted = sent.fields.get("verdict") == Some("accept");
    let command = Command::EvidenceVerdict {
        report: named(&path),
        accepted,
        reason: sent.fields.text("reason"),
        token: None,
    };
    let outcome = console.ask(&sent.person, command).await;
    let done = match accepted {
        true => "console-evidence-accepted",
        false => "console-evidence-rejected",
    };
    let next = match sent.fields.get("back") {
        Some("evidence") => "/evidence".to_owned(),
        _ => report_path(&path.0, &path.1, &path.2),
    };
    console.after(&sent.person, &outcome, done, &next)
}
