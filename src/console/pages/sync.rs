//! *Exchange now*: what would go, and how it goes while it goes.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use crate::api::{Command, Duty, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::Sent;
use crate::console::session::Flash;
use crate::daemon::service::{Exchange, Step};
use crate::t;

/// The exchange that somebody asked for last, and what it came to.
#[derive(Default)]
pub struct Running(Mutex<Last>);

#[derive(Default)]
struct Last {
    begun: bool,
    progress: Value,
    ended: Option<Value>,
}

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> Value {
        let state = self.lock();
        json!({
            "running": state.begun && state.ended.is_none(),
            "progress": state.progress,
            "ended": state.ended,
        })
    }
}

/// What waits, and the exchange that goes on.
pub async fn show(State(console): State<Arc<Console>>, person: Person) -> Response {
    let data = data(&console, &person).await;
    console.page(&person, "node", "sync.html", data).await
}

async fn data(console: &Console, person: &Person) -> Result<Value, Failure> {
    let preview = console.read(person, Command::SyncPreview).await?;
    Ok(json!({
        "preview": preview,
        "exchange": console.running.shown(),
        "has_upstream": console.service.has_upstream(),
    }))
}

/// Begins an exchange; its page tells how it goes.
pub async fn begin(State(console): State<Arc<Console>>, sent: Sent) -> Response {
    let person = &sent.person;
    if !person.may(Duty::Operate) {
        let outcome = Err(console.not_covered(person, "sync").await);
        return console.after(person, &outcome, "", "/sync");
    }
    let busy = {
        let mut state = console.running.lock();
        let busy = state.begun && state.ended.is_none();
        if !busy {
            *state = Last {
                begun: true,
                ..Last::default()
            };
        }
        busy
    };
    if busy {
        return Redirect::to("/sync").into_response();
    }
    match console.service.exchange().await {
        Some(exchange) => {
            tokio::spawn(follow(console.clone(), exchange));
        }
        None => {
            console.running.lock().ended = Some(json!({ "failed": "" }));
            let text = t!(person.lang(), "console-no-upstream");
            let flash = Flash {
                kind: "failed",
                text,
            };
            console.sessions.tell(&person.token, flash);
        }
    }
    Redirect::to("/sync").into_response()
}

async fn follow(console: Arc<Console>, mut exchange: Exchange) {
    let ended = loop {
        match exchange.next().await {
            Step::Progress(report) => console.running.lock().progress = json!(report),
            Step::Ended(Some(Ok(synced))) => {
                break json!({ "report": synced.report, "agrees": synced.agrees });
            }
            Step::Ended(Some(Err(cut))) => break json!({ "failed": cut.message }),
            Step::Ended(None) => break json!({ "failed": "" }),
        }
    };
    console.running.lock().ended = Some(ended);
}
