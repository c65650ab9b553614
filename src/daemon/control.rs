//! The control socket: the command line talks to the running service here. Only this user may connect.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::channel::Channel;
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::DaemonError;
use super::service::{Service, Step};
use super::uplink::{Cut, Synced};
use crate::api::{Exit, LEVEL_HEADER, Request};
use crate::config::Config;
use crate::local_api::{self, LocalApi};
use crate::node::commands::refuse;
use crate::node::{Refusal, recovery};

/// Greatest request; what the command line takes as an answer.
const REQUEST_BYTES: usize = 256 << 20;

/// Opens the socket.
pub async fn start(
    service: Service,
    config: &Config,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(), DaemonError> {
    let path = config.node.socket.clone();
    let listener = bind(&path).map_err(|source| DaemonError::Socket {
        path: path.display().to_string(),
        source,
    })?;
    let router = Router::new()
        .route("/v1/health", get(health))
        .route("/v1/command", post(command))
        .route("/v1/sync", post(sync))
        // A large table comes as one request; who may connect could fill the memory of this machine anyway.
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(service.clone())
        .merge(local_api::router(LocalApi::on_socket(service, stop)));
    let (own, stop) = (place_of(&path), stop.clone());
    tasks.spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the control socket failed");
        }
        // Another service may stand at this path by now, if our folder was taken away and made anew. A socket file left
        // behind would only be replaced at the next start.
        if place_of(&path) == own {
            let _ = std::fs::remove_file(&path);
        }
    });
    Ok(())
}

/// Which file stands at a path.
fn place_of(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The store's lock is held already, so a socket file in the way is a dead one.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

async fn command(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Json<Value> {
    let meant = headers.get(LEVEL_HEADER).map(|level| level.as_bytes());
    let own = service.node.store.level();
    let outcome = match meant.unwrap_or(b"none") == own.word().as_bytes() {
        true => service.execute(request).await,
        false => {
            let detail = String::from_utf8_lossy(meant.unwrap_or(b"none")).into_owned();
            let args = [("own", own.to_string()), ("meant", detail)];
            Err(refuse(request.lang, Refusal::usage("other-service", args)))
        }
    };
    Json(match outcome {
        Ok(answer) => json!({ "ok": answer }),
        Err(failure) => json!({ "failed": failure }),
    })
}

/// Exchanges now and tells how it goes, line by line.
async fn sync(State(service): State<Service>, Json(wish): Json<Value>) -> Response {
    if let Some(done) = no_way_up(&service).await {
        return format!("{done}\n").into_response();
    }
    let (mut sender, body) = Channel::<Bytes, std::convert::Infallible>::new(32);
    let wait = wish["wait"].as_bool().unwrap_or(true);
    tokio::spawn(async move {
        let Some(mut exchange) = service.exchange().await else {
            return;
        };
        if !wait {
            let _ = send(
                &mut sender,
                &json!({ "event": "done", "exit": Exit::Done, "data": { "begun": true },
                "notes": [] }),
            )
            .await;
            return;
        }
        let ended = loop {
            let now = match exchange.next().await {
                Step::Ended(ended) => break ended,
                Step::Progress(now) => now,
            };
            let (done, total) = now
                .file
                .map_or((now.sent + now.received, None), |(d, t)| (d, Some(t)));
            let line = json!({ "event": "progress", "phase": now.phase, "done": done, "total": total,
                "bytes": now.bytes_up + now.bytes_down });
            if send(&mut sender, &line).await.is_err() {
                return;
            }
        };
        let _ = send(&mut sender, &done_line(ended)).await;
    });
    Response::new(Body::new(body))
}

/// Why nothing can be exchanged as this node stands now, if that is so.
async fn no_way_up(service: &Service) -> Option<Value> {
    if service.has_upstream() {
        return None;
    }
    let store = &service.node.store;
    if let Some(damage) = store.damage() {
        let found = damage.found.join("; ");
        let message = format!("the store is damaged, and nothing is exchanged: {found}");
        return Some(failed(Exit::PersonNeeded, "store_damaged", &message));
    }
    if store.read(recovery::moved).await.unwrap_or_default() {
        let message = "this store was last on another machine, and nothing is exchanged until `nqsync adopt --moved`";
        return Some(failed(Exit::PersonNeeded, "moved", message));
    }
    let message = "this node has no line to a node above; enrol it first, or see upstream.kind";
    Some(failed(Exit::Failed, "no_upstream", message))
}

fn done_line(ended: Option<Result<Synced, Cut>>) -> Value {
    match ended {
        Some(Ok(synced)) => {
            let report = &synced.report;
            let quarantined = report.set_aside_there + report.set_aside_here;
            let exit = if quarantined > 0 {
                Exit::Partly
            } else {
                Exit::Done
            };
            json!({ "event": "done", "exit": exit, "notes": [], "data": {
                "sent": report.sent, "received": report.received, "quarantined": quarantined,
                "bytes_up": report.bytes_up, "bytes_down": report.bytes_down, "files_up": report.files_up,
                "files_down": report.files_down, "agree": synced.agrees,
                "pending": synced.agrees.is_none() } })
        }
        Some(Err(cut)) => failed(cut.exit, &cut.code, &cut.message),
        None => failed(
            Exit::Unreachable,
            "cut",
            "the exchange was cut; it goes on by itself when the line is back",
        ),
    }
}

fn failed(exit: Exit, code: &str, message: &str) -> Value {
    json!({ "event": "failed", "exit": exit, "code": code, "message": message, "data": {} })
}

async fn send(
    sender: &mut http_body_util::channel::Sender<Bytes, std::convert::Infallible>,
    line: &Value,
) -> Result<(), ()> {
    sender
        .send(Frame::data(Bytes::from(format!("{line}\n"))))
        .await
        .map_err(|_| ())
}
