//! *Adapters*: outside systems, their last runs, what would change, and exchanging now.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{encoded, status_of};
use crate::api::{Command, Failure, Secret};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields, Sent};

/// What stands before the path of a key in the name of its field, and before the ending of a secret's file.
const KEY: &str = "key:";
const SECRET: &str = "secret:";

/// All of them.
pub async fn list(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = console.read(&person, Command::AdapterList).await;
    console
        .page(&person, "adapters", "adapters.html", data)
        .await
}

/// One of them.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(name): Path<String>,
) -> Response {
    let data = shown(&console, &person, name, Value::Null).await;
    console
        .page(&person, "adapters", "adapter.html", data)
        .await
}

async fn shown(
    console: &Console,
    person: &Person,
    name: String,
    trial: Value,
) -> Result<Value, Failure> {
    let adapter = console.read(person, Command::AdapterShow { name }).await?;
    Ok(json!({ "adapter": adapter, "trial": trial }))
}

/// The systems that can be connected, or the questions of the one that was chosen.
pub async fn fresh(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(query): Asked,
) -> Response {
    let Some(template) = query.text("template") else {
        let data = console.read(&person, Command::AdapterTemplates).await;
        return console
            .page(&person, "adapters", "adapter_new.html", data)
            .await;
    };
    let form = Command::AdapterTemplate { template };
    asked(&console, &person, form, &Fields::default(), None).await
}

/// Connects a system.
pub async fn add(State(console): State<Arc<Console>>, sent: Sent) -> Response {
    let template = sent.fields.text("template").unwrap_or_default();
    let name = sent.fields.text("name").unwrap_or_default();
    let form = Command::AdapterTemplate {
        template: template.clone(),
    };
    set(&console, &sent, name, Some(template), form).await
}

/// What was answered when a system was connected.
pub async fn settings(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(name): Path<String>,
) -> Response {
    let form = Command::AdapterSettings { name };
    asked(&console, &person, form, &Fields::default(), None).await
}

/// Changes it.
pub async fn change(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Response {
    let form = Command::AdapterSettings { name: name.clone() };
    set(&console, &sent, name, None, form).await
}

/// A form, with what was typed into it when it was refused: but for secrets, which no page shows.
async fn asked(
    console: &Console,
    person: &Person,
    form: Command,
    typed: &Fields,
    refused: Option<&Failure>,
) -> Response {
    let form = console.read(person, form).await;
    let data = form.map(|mut form| {
        for question in form["questions"].as_array_mut().into_iter().flatten() {
            let field = format!("{KEY}{}", question["key"].as_str().unwrap_or_default());
            if let Some(value) = typed.raw(&field) {
                question["value"] = value.into();
            }
            question["field"] = field.into();
        }
        if let Some(name) = typed.raw("name") {
            form["name"] = name.into();
        }
        json!({ "form": form, "error": refused.map(|failure| &failure.message) })
    });
    let page = console
        .page(person, "adapters", "adapter_form.html", data)
        .await;
    match refused {
        Some(failure) => (status_of(failure.exit), page).into_response(),
        None => page,
    }
}

async fn set(
    console: &Console,
    sent: &Sent,
    name: String,
    template: Option<String>,
    form: Command,
) -> Response {
    let keys = sent.fields.under(KEY);
    let keys = keys.map(|(key, text)| (key.to_owned(), text.trim().to_owned()));
    let secrets = sent.fields.under(SECRET);
    let secrets = secrets.map(|(ending, text)| (ending.to_owned(), Secret::new(text.to_owned())));
    let command = Command::AdapterSet {
        name: name.clone(),
        template,
        keys: keys.collect(),
        secrets: secrets.collect(),
        enabled: None,
    };
    let outcome = console.ask(&sent.person, command).await;
    match &outcome {
        Ok(_) => {
            let next = format!("/adapters/{}", encoded(&name));
            console.after(&sent.person, &outcome, "console-adapter-set", &next)
        }
        Err(failure) => asked(console, &sent.person, form, &sent.fields, Some(failure)).await,
    }
}

/// Tries without writing, exchanges, lets pass what the brake holds, or has the service run it by itself.
pub async fn run(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Response {
    let person = &sent.person;
    let next = format!("/adapters/{}", encoded(&name));
    if sent.fields.get("do") == Some("check") {
        let check = Command::AdapterCheck { name: name.clone() };
        let outcome = console.ask(person, check).await;
        let Ok(answer) = &outcome else {
            // Beside the way to its settings.
            return console.after(person, &outcome, "", &next);
        };
        let data = shown(&console, person, name, answer.data.clone()).await;
        return console.page(person, "adapters", "adapter.html", data).await;
    }
    let enabled = match sent.fields.get("do") {
        Some("enable") => Some(true),
        Some("disable") => Some(false),
        _ => None,
    };
    let (command, done) = match enabled {
        Some(_) => {
            let command = Command::AdapterSet {
                name,
                template: None,
                keys: BTreeMap::new(),
                secrets: BTreeMap::new(),
                enabled,
            };
            (command, "console-adapter-set")
        }
        None => {
            let command = Command::AdapterRun {
                name,
                dry_run: false,
                release: sent.fields.get("do") == Some("release"),
            };
            (command, "console-adapter-done")
        }
    };
    let outcome = console.ask(person, command).await;
    console.after(person, &outcome, done, &next)
}
