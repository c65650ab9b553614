//! *Tasks*: finding them, one with everything about it, and the form that issues or changes one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::encoded;
use crate::api::{Command, Failure, Narrowed, TaskFields};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields, Sent};

/// Tasks on one page.
const PAGE: usize = 50;
/// What the list can be narrowed by, as it stands in the address.
const FILTER: [&str; 7] = [
    "unit",
    "group",
    "issuer",
    "period",
    "text",
    "status",
    "unresolved",
];

/// The verb that lists what is to be done by a day, the soonest first.
pub fn due_by(day: Date, limit: usize) -> Command {
    Command::TaskList {
        unit: None,
        group: None,
        issuer: None,
        unresolved: false,
        period: None,
        narrowed: Narrowed {
            due_by: Some(day.to_string()),
            open: true,
            limit: Some(limit),
            ..Narrowed::default()
        },
    }
}

/// The list with its filter.
pub async fn list(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = listed(&console, &person, &asked).await;
    console.page(&person, "tasks", "tasks.html", data).await
}

async fn listed(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let page = super::page_of(asked);
    let found = Command::TaskList {
        unit: asked.text("unit"),
        group: asked.text("group"),
        issuer: asked.text("issuer"),
        unresolved: asked.get("unresolved").is_some(),
        period: asked.text("period"),
        narrowed: Narrowed {
            text: asked.text("text"),
            status: asked.text("status"),
            offset: (page - 1).saturating_mul(PAGE),
            limit: Some(PAGE),
            ..Narrowed::default()
        },
    };
    let found = console.read(person, found).await?;
    let units = console.read(person, super::all_units()).await?;
    let total = found["total"].as_u64().unwrap_or(0) as usize;
    Ok(json!({
        "items": found["items"],
        "total": total,
        "page": page,
        "pages": total.div_ceil(PAGE).max(1),
        "names": super::names(&units),
        "units": units["items"],
        "asked": {
            "unit": asked.get("unit"), "group": asked.get("group"), "issuer": asked.get("issuer"),
            "period": asked.get("period"), "text": asked.get("text"), "status": asked.get("status"),
            "unresolved": asked.get("unresolved").is_some(),
        },
        "query": super::query_of(asked, &FILTER),
    }))
}

/// One task.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(task): Path<String>,
    Asked(asked): Asked,
) -> Response {
    let data = shown(&console, &person, &task, &asked).await;
    console.page(&person, "tasks", "task.html", data).await
}

async fn shown(
    console: &Console,
    person: &Person,
    task: &str,
    asked: &Fields,
) -> Result<Value, Failure> {
    let page = Command::TaskPage {
        task: task.to_owned(),
        period: asked.text("period"),
    };
    let task = console.read(person, page).await?;
    let units = console.read(person, super::all_units()).await?;
    let period = console.service.node.current_period().to_string();
    let served = |code: &Value| {
        let units = units["items"].as_array().map(Vec::as_slice);
        let units = units.unwrap_or_default();
        units
            .iter()
            .any(|unit| unit["code"] == *code && unit["served_here"] == true)
    };
    let reporting: Vec<&Value> = ["lead", "coordinating"]
        .into_iter()
        .filter_map(|part| task[part].as_array())
        .flatten()
        .filter(|code| served(code))
        .collect();
    let is_own = served(&task["issuer"]);
    Ok(json!({
        "names": super::names(&units),
        "reporting": reporting,
        "is_own": is_own,
        "period": period,
        "evidence": task["files"],
        "task": task,
    }))
}

/// The form for a new task.
pub async fn blank(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = form(&console, &person, None, &Value::Null, None).await;
    console.page(&person, "tasks", "task_form.html", data).await
}

/// The form for a change.
pub async fn edit(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(task): Path<String>,
) -> Response {
    let data = async {
        let page = Command::TaskPage {
            task: task.clone(),
            period: None,
        };
        let now = console.read(&person, page).await?;
        form(&console, &person, Some(&task), &values_of(&now), None).await
    };
    let data = data.await;
    console.page(&person, "tasks", "task_form.html", data).await
}

async fn form(
    console: &Console,
    person: &Person,
    task: Option<&str>,
    values: &Value,
    error: Option<&str>,
) -> Result<Value, Failure> {
    let units = console.read(person, super::all_units()).await?;
    Ok(json!({
        "id": task,
        "values": values,
        "units": units["items"],
        "error": error,
    }))
}

/// A task's values as the form shows them.
fn values_of(task: &Value) -> Value {
    let lines = |part: &str, open: &str| {
        let texts = [&task[part], &task[open]].into_iter();
        let texts = texts.filter_map(Value::as_array).flatten();
        let texts: Vec<&str> = texts.filter_map(Value::as_str).collect();
        texts.join("\n")
    };
    json!({
        "group": task["group"], "group_title": task["group_title"], "number": task["number"],
        "title": task["title"], "subtask": task["subtask"], "deliverable": task["deliverable"],
        "kpi": task["kpi"], "deadline": task["deadline"]["text"], "programme": task["programme"],
        "responsible": task["responsible"], "authority": task["authority"],
        "reviewer": task["reviewer"], "token": task["token"],
        "lead": lines("lead", "lead_unresolved"),
        "coordinating": lines("coordinating", "coordinating_unresolved"),
    })
}

/// What was typed, so that nobody types it twice when it is refused.
fn typed(fields: &Fields) -> Value {
    const NAMES: [&str; 15] = [
        "group",
        "group_title",
        "number",
        "title",
        "subtask",
        "deliverable",
        "kpi",
        "deadline",
        "programme",
        "responsible",
        "authority",
        "reviewer",
        "token",
        "lead",
        "coordinating",
    ];
    let pairs = NAMES.map(|name| (name.to_owned(), json!(fields.raw(name))));
    Value::Object(pairs.into_iter().collect())
}

/// The fields of the form. What was emptied is emptied.
fn fields_of(fields: &Fields) -> TaskFields {
    let text = |name: &str| fields.raw(name).map(|text| text.trim().to_owned());
    TaskFields {
        group: text("group"),
        group_title: text("group_title"),
        number: text("number"),
        title: text("title"),
        subtask: text("subtask"),
        deliverable: text("deliverable"),
        kpi: text("kpi"),
        lead: fields.raw("lead").map(|_| fields.lines("lead")),
        coordinating: fields
            .raw("coordinating")
            .map(|_| fields.lines("coordinating")),
        deadline: text("deadline"),
        programme: text("programme"),
        responsible: text("responsible"),
        authority: text("authority"),
        parent: fields.text("parent"),
        classification: fields.text("classification"),
        reviewer: fields.text("reviewer"),
    }
}

/// Issues a task.
pub async fn add(State(console): State<Arc<Console>>, sent: Sent) -> Response {
    let fields = fields_of(&sent.fields);
    let outcome = console.ask(&sent.person, Command::TaskAdd { fields }).await;
    match &outcome {
        Ok(answer) => {
            let id = answer.data["id"].as_str().unwrap_or_default();
            let next = format!("/tasks/{}", encoded(id));
            console.after(&sent.person, &outcome, "console-task-issued", &next)
        }
        Err(failure) => again(&console, &sent, None, failure).await,
    }
}

/// Changes a task.
pub async fn update(
    State(console): State<Arc<Console>>,
    Path(task): Path<String>,
    sent: Sent,
) -> Response {
    let command = Command::TaskUpdate {
        task: task.clone(),
        fields: fields_of(&sent.fields),
        token: sent.fields.text("token"),
    };
    let outcome = console.ask(&sent.person, command).await;
    let next = format!("/tasks/{}", encoded(&task));
    match &outcome {
        Ok(_) => console.after(&sent.person, &outcome, "console-saved", &next),
        Err(failure) => again(&console, &sent, Some(&task), failure).await,
    }
}

async fn again(console: &Console, sent: &Sent, task: Option<&str>, failure: &Failure) -> Response {
    let values = typed(&sent.fields);
    let data = form(console, &sent.person, task, &values, Some(&failure.message)).await;
    let page = console.page(&sent.person, "tasks", "task_form.html", data);
    (super::status_of(failure.exit), page.await).into_response()
}

/// Withdraws a task.
pub async fn withdraw(
    State(console): State<Arc<Console>>,
    Path(task): Path<String>,
    sent: Sent,
) -> Response {
    let command = Command::TaskWithdraw {
        task: task.clone(),
        reason: sent.fields.text("reason").unwrap_or_default(),
    };
    let outcome = console.ask(&sent.person, command).await;
    let next = format!("/tasks/{}", encoded(&task));
    console.after(&sent.person, &outcome, "console-saved", &next)
}

/// Asks the owner of a task for another value of one of its fields.
pub async fn propose(
    State(console): State<Arc<Console>>,
    Path(task): Path<String>,
    sent: Sent,
) -> Response {
    let text = |name: &str| sent.fields.text(name).unwrap_or_default();
    let command = Command::ProposalMake {
        task: task.clone(),
        field: text("field"),
        value: text("value"),
        reason: text("reason"),
    };
    let outcome = console.ask(&sent.person, command).await;
    console.tell(&sent.person, &outcome, "console-proposed");
    Redirect::to(&format!("/tasks/{}", encoded(&task))).into_response()
}
