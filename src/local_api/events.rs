//! What changes, as it happens: server-sent events.
//!
//! A listener sleeps until the store commits, then reads what was noted after its cursor; nothing is asked for again and
//! again. A comment now and then keeps the connection open, and finds out who has gone.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Frame;
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::LocalApi;
use super::call::Call;
use super::door::{self, Caller};
use super::problem::{Problem, of_store};
use crate::api::{Duty, Lang};
use crate::node::commands::views::time;
use crate::store::changes::{self, Change, Cursor};
use crate::t;

/// Changes read at once.
const AT_ONCE: usize = 500;
/// Longest silence on a connection.
const SILENCE: Duration = Duration::from_secs(15);
/// A listener that takes nothing for so long is let go; it comes back with its cursor.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events that wait for a listener.
const WAITING: usize = 32;

/// A record that changed.
#[derive(Serialize, JsonSchema)]
pub struct Changed {
    /// Its place; the same as the event's id.
    cursor: String,
    /// Kind of the record.
    kind: String,
    /// The record.
    id: String,
    /// What it is about, such as the task of a report.
    about: Option<String>,
    /// Its period.
    period: Option<String>,
    /// Code of the unit whose record it is.
    unit: Option<String>,
    /// The fields that changed; their values are asked for.
    fields: Vec<String>,
    /// When it was written here.
    #[schemars(with = "super::answers::Time")]
    at: serde_json::Value,
}

/// Begins to tell.
pub async fn stream(api: &Arc<LocalApi>, call: &Call<'_>) -> Result<Response, Problem> {
    let lang = call.caller.lang;
    let verb = || "events".to_owned();
    call.caller.must(api, Duty::Look, verb).await?;
    let Ok(slot) = api.listeners.clone().try_acquire_owned() else {
        let detail = t!(lang, "api-too-many-listeners");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Problem::new(status, "too_many_listeners", detail));
    };
    let asked = call.headers.get("last-event-id");
    let asked: Option<Cursor> = match asked {
        None => None,
        Some(text) => Some(cursor(lang, text.to_str().unwrap_or_default())?),
    };
    let store = &api.service.node.store;
    let begun = store.read(move |c| {
        let last = changes::last(c)?;
        Ok::<_, crate::store::StoreError>(match asked {
            Some(asked) if changes::stands(c, asked)? => (asked, "ready"),
            // What came between is not known any more: everything must be read anew.
            Some(_) => (last, "reset"),
            None => (last, "ready"),
        })
    });
    let (from, word) = begun.await.map_err(|error| of_store(lang, error))?;
    let (sender, body) = Channel::<Bytes, Infallible>::new(WAITING);
    let (api, caller) = (api.clone(), call.caller.clone());
    tokio::spawn(async move {
        let _slot = slot;
        let mut telling = Telling {
            api,
            caller,
            sender,
        };
        if telling.begin(from, word).await {
            telling.go_on(from).await;
        }
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    Ok((kind, Body::new(body)).into_response())
}

fn cursor(lang: Lang, text: &str) -> Result<Cursor, Problem> {
    text.trim().parse().map_err(|_| {
        let detail = t!(lang, "api-bad-cursor", text = text);
        Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", detail)
    })
}

struct Telling {
    api: Arc<LocalApi>,
    caller: Caller,
    sender: Sender<Bytes, Infallible>,
}

impl Telling {
    /// Says where it begins. Whether anybody listens.
    async fn begin(&mut self, from: Cursor, word: &str) -> bool {
        let text = format!("id: {from}\nevent: {word}\ndata: {{\"cursor\":\"{from}\"}}\n\n");
        self.send(text).await
    }

    /// Tells until somebody has gone: the listener, its right, or this service.
    async fn go_on(&mut self, mut from: Cursor) {
        let stop = self.api.stop.clone();
        let mut commits = self.api.service.node.store.commits();
        loop {
            commits.mark_unchanged();
            let store = &self.api.service.node.store;
            let read = move |c: &Connection| {
                // A listener that is slower than what is written may be so far behind that some of it is gone.
                match changes::stands(c, from)? {
                    true => changes::after(c, from, AT_ONCE).map(Ok),
                    false => changes::last(c).map(Err),
                }
            };
            let found = store.read(read).await;
            let welcome = door::is_welcome(&self.api, &self.caller).await;
            let (Ok(found), Ok(true)) = (found, welcome) else {
                return;
            };
            let found = match found {
                Ok(found) => found,
                Err(newest) => {
                    from = newest;
                    if !self.begin(from, "reset").await {
                        return;
                    }
                    continue;
                }
            };
            for change in &found {
                if !self.send(self.told(change)).await {
                    return;
                }
                from = change.cursor;
            }
            if found.len() == AT_ONCE {
                continue;
            }
            let goes_on = tokio::select! {
                () = stop.cancelled() => false,
                changed = commits.changed() => changed.is_ok(),
                () = tokio::time::sleep(SILENCE) => self.send(":\n\n".to_owned()).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn told(&self, change: &Change) -> String {
        let shown = self.api.service.node.store.shown();
        let changed = Changed {
            cursor: change.cursor.to_string(),
            kind: change
                .kind
                .map_or("unknown", |kind| kind.as_str())
                .to_owned(),
            id: change.record.to_string(),
            about: change.about.map(|about| about.to_string()),
            period: change.period.clone(),
            unit: change.owner.map(|owner| shown.tree.code(owner)),
            fields: change.fields.clone(),
            at: time(change.at),
        };
        let data = serde_json::to_string(&changed).unwrap_or_default();
        format!("id: {}\nevent: change\ndata: {data}\n\n", change.cursor)
    }

    async fn send(&mut self, text: String) -> bool {
        let sent = self.sender.send(Frame::data(Bytes::from(text)));
        matches!(tokio::time::timeout(PATIENCE, sent).await, Ok(Ok(())))
    }
}
