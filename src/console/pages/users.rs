//! *Users*: who may come in and as what, and one's own password.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::{Command, Duty, Exit, Failure, Outcome, Role};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::door;
use crate::console::form::{Fields, Sent};
use crate::node::login::Refused;
use crate::t;
use crate::trust::password::{self, Unfit};

/// Everybody.
pub async fn list(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = console.read(&person, Command::UserList).await;
    let data = data.map(|users| {
        let roles = Role::ALL.map(Role::as_str);
        json!({ "users": users["items"], "roles": roles })
    });
    console.page(&person, "users", "users.html", data).await
}

/// Somebody new.
pub async fn add(State(console): State<Arc<Console>>, sent: Sent) -> Response {
    let outcome = added(&console, &sent).await;
    console.after(&sent.person, &outcome, "console-user-added", "/users")
}

async fn added(console: &Console, sent: &Sent) -> Outcome {
    allowed(console, &sent.person, "user_add").await?;
    let name = sent.fields.text("name").unwrap_or_default();
    let secret = new_secret(console, &sent.person, &name, &sent.fields).await?;
    let role = role(&sent.fields);
    let command = Command::UserAdd { name, role, secret };
    console.ask(&sent.person, command).await
}

fn role(fields: &Fields) -> Role {
    let named = fields.get("role").and_then(Role::named);
    named.unwrap_or(Role::Viewer)
}

/// Another role or password for somebody, or taking them away.
pub async fn change(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Response {
    let outcome = changed(&console, &sent, name).await;
    console.after(&sent.person, &outcome, "console-saved", "/users")
}

async fn changed(console: &Console, sent: &Sent, name: String) -> Outcome {
    let command = match sent.fields.get("do") {
        Some("role") => Command::UserRole {
            name,
            role: role(&sent.fields),
        },
        Some("remove") => Command::UserRemove { name },
        _ => {
            allowed(console, &sent.person, "user_password").await?;
            let secret = new_secret(console, &sent.person, &name, &sent.fields).await?;
            Command::UserPassword { name, secret }
        }
    };
    console.ask(&sent.person, command).await
}

/// Before a password is hashed, which costs time.
async fn allowed(console: &Console, person: &Person, verb: &str) -> Result<(), Failure> {
    match person.may(Duty::Administer) {
        true => Ok(()),
        false => Err(console.not_covered(person, verb).await),
    }
}

async fn new_secret(
    console: &Console,
    person: &Person,
    name: &str,
    fields: &Fields,
) -> Result<String, Failure> {
    let typed = fields.raw("password").unwrap_or_default().to_owned();
    if fields.raw("again") != Some(&typed) {
        return Err(failure(t!(person.lang(), "err-password-differs")));
    }
    let Some(place) = console.service.logins.line.enter() else {
        return Err(failure(door::why_refused(person.lang(), Refused::Busy)));
    };
    let hashed = place.hash(name.to_owned(), typed).await;
    let hashed = hashed.map_err(|error| failure(error.to_string()))?;
    hashed.map_err(|unfit| {
        failure(match unfit {
            Unfit::Length => t!(
                person.lang(),
                "err-password-length",
                least = password::MIN_CHARS
            ),
            Unfit::Guessable => t!(person.lang(), "err-password-guessable"),
            Unfit::System(detail) => {
                t!(person.lang(), "err-password-not-read", detail = detail)
            }
        })
    })
}

fn failure(message: String) -> Failure {
    Failure {
        exit: Exit::Usage,
        code: "password".to_owned(),
        message,
        data: Value::Null,
    }
}

/// The page for one's own password.
pub async fn own(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = Ok(json!({ "own": true }));
    console.page(&person, "users", "users.html", data).await
}

/// One's own new password; the old one is asked for, so that an unwatched screen is not enough.
pub async fn own_password(State(console): State<Arc<Console>>, sent: Sent) -> Response {
    let outcome = changed_own(&console, &sent).await;
    let next = match outcome {
        // Every session of theirs ends with the old password, this one too.
        Ok(_) => "/login",
        Err(_) => "/password",
    };
    console.after(&sent.person, &outcome, "console-saved", next)
}

async fn changed_own(console: &Console, sent: &Sent) -> Outcome {
    let person = &sent.person;
    let service = &console.service;
    let old = sent.fields.raw("old").unwrap_or_default().to_owned();
    let checked = service
        .logins
        .check(&service.node, door::SUBJECT, &person.name, old)
        .await
        .map_err(|error| failure(error.to_string()))?;
    if let Err(refused) = checked {
        return Err(failure(door::why_refused(person.lang(), refused)));
    }
    let secret = new_secret(console, person, &person.name, &sent.fields).await?;
    let name = person.name.clone();
    console
        .ask_own(person, Command::UserPassword { name, secret })
        .await
}
