//! A tracker of issues as there are many: pages, a login, records with states, files.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::channel::Channel;
use hyper::body::Frame;
use serde_json::{Value, json};

use super::faults::Fault;
use crate::clock::Clock;

/// Requests that a token lives for when it runs out early.
const SHORT_LIFE: usize = 3;
/// Largest body taken, in bytes.
const LARGEST: usize = 256 << 20;

/// How lists are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paging {
    /// `page` and `per_page`.
    #[default]
    Page,
    /// `offset` and `limit`.
    Offset,
    /// `cursor`.
    Cursor,
    /// The header `Link`.
    Link,
}

/// The tracker. Clones share one memory.
#[derive(Clone)]
pub struct Tracker(Arc<Inner>);

struct Inner {
    paging: Paging,
    /// Name and password, or nobody is asked.
    login: Option<(String, String)>,
    clock: Clock,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    items: BTreeMap<u64, Value>,
    next: u64,
    files: Vec<Value>,
    writes: usize,
    reads: usize,
    fault: Fault,
    token: Option<(String, usize)>,
    tokens: usize,
    /// Answers by idempotency key.
    answered: BTreeMap<String, u64>,
}

impl Tracker {
    /// An empty tracker.
    pub fn new(paging: Paging, login: Option<(&str, &str)>, clock: Clock) -> Tracker {
        Tracker(Arc::new(Inner {
            paging,
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
            clock,
            memory: Mutex::default(),
        }))
    }

    /// All records, by id.
    pub fn items(&self) -> Vec<Value> {
        self.memory().items.values().cloned().collect()
    }

    /// Files that were handed over.
    pub fn files(&self) -> Vec<Value> {
        self.memory().files.clone()
    }

    /// Requests that read and requests that wrote.
    pub fn requests(&self) -> (usize, usize) {
        let memory = self.memory();
        (memory.reads, memory.writes)
    }

    /// Adds a record as somebody on the tracker's own page would. Answers its id.
    pub fn add(&self, fields: Value) -> u64 {
        let now = self.now();
        self.memory().add(fields, now)
    }

    /// Edits a record as somebody on the tracker's own page would.
    pub fn edit(&self, id: u64, fields: Value) {
        let now = self.now();
        self.memory().edit(id, fields, now);
    }

    /// Takes a record away.
    pub fn remove(&self, id: u64) {
        self.memory().items.remove(&id);
    }

    /// Sets a fault.
    pub fn fail(&self, fault: Fault) {
        self.memory().fault = fault;
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/login", post(login))
            .route("/items", get(list).post(create))
            .route("/items/{id}", get(fetch).patch(update).put(update))
            .route("/items/{id}/files", post(file))
            .route("/_control/items", get(control_items).post(control_add))
            .route("/_control/items/{id}", post(control_edit))
            .route("/_control/fault", post(control_fault))
            .layer(axum::extract::DefaultBodyLimit::max(LARGEST))
            .with_state(self.clone())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = &self.0.memory;
        memory
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn now(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.0.clock.now_ms());
        at.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
    }

    /// What stands in the way of every request: faults that answer for all, and the login.
    fn gate(&self, headers: &HeaderMap, writes: bool) -> Result<Fault, Box<Response>> {
        let mut memory = self.memory();
        if writes {
            memory.writes += 1;
        } else {
            memory.reads += 1;
        }
        let fault = memory.fault;
        let sent = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let answer = match fault {
            Fault::Down => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
            Fault::Html => Some(axum::response::Html("<h1>Đăng nhập</h1>").into_response()),
            Fault::ErrorInside => {
                Some(Json(json!({ "error_code": 17, "message": "hỏng" })).into_response())
            }
            Fault::Endless => Some(endless()),
            Fault::Silent => Some(silent()),
            Fault::Redirect => {
                Some(Redirect::temporary("http://127.0.0.1:9/items").into_response())
            }
            Fault::EchoSecret => {
                let text = format!("bad request of {}", sent.unwrap_or_default());
                Some((StatusCode::BAD_REQUEST, text).into_response())
            }
            Fault::RateLimit if (memory.reads + memory.writes) % 2 == 1 => {
                let wait = [(header::RETRY_AFTER, "0")];
                Some((StatusCode::TOO_MANY_REQUESTS, wait).into_response())
            }
            _ => None,
        };
        if let Some(answer) = answer {
            return Err(Box::new(answer));
        }
        if self.0.login.is_some() {
            let known = memory
                .token
                .as_mut()
                .filter(|(token, _)| sent == Some(&format!("Bearer {token}")));
            let Some((_, left)) = known.filter(|(_, left)| *left > 0) else {
                return Err(Box::new(StatusCode::UNAUTHORIZED.into_response()));
            };
            *left -= 1;
        }
        Ok(fault)
    }
}

impl Memory {
    fn add(&mut self, fields: Value, now: String) -> u64 {
        self.next += 1;
        let id = self.next;
        let mut item = json!({ "id": id, "title": "", "state": "todo", "progress": 0, "note": "", "code": null });
        merge(&mut item, &fields);
        item["id"] = json!(id);
        item["updated_at"] = json!(now);
        item["version"] = json!(1);
        self.items.insert(id, item);
        id
    }

    fn edit(&mut self, id: u64, fields: Value, now: String) -> bool {
        let Some(item) = self.items.get_mut(&id) else {
            return false;
        };
        merge(item, &fields);
        item["id"] = json!(id);
        item["updated_at"] = json!(now);
        item["version"] = json!(item["version"].as_u64().unwrap_or(0) + 1);
        true
    }
}

fn merge(item: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        item[name] = value.clone();
    }
}

fn endless() -> Response {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        let chunk = Bytes::from_static(&[b' '; 65_536]);
        while sender.send(Frame::data(chunk.clone())).await.is_ok() {}
    });
    Response::new(Body::new(body))
}

/// One byte, and then nothing for as long as somebody waits.
fn silent() -> Response {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        let _ = sender.send(Frame::data(Bytes::from_static(b"["))).await;
        std::future::pending::<()>().await;
    });
    Response::new(Body::new(body))
}

/// An answer that is cut before its body.
fn cut() -> Response {
    let (sender, body) = Channel::<Bytes, std::io::Error>::new(2);
    sender.abort(std::io::Error::other("cut"));
    Response::new(Body::new(body))
}

async fn login(State(tracker): State<Tracker>, Json(given): Json<Value>) -> Response {
    let Some((user, password)) = &tracker.0.login else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut memory = tracker.memory();
    memory.reads += 1;
    if given["user"] != json!(user) || given["password"] != json!(password) {
        return (StatusCode::UNAUTHORIZED, "wrong name or password").into_response();
    }
    memory.tokens += 1;
    let token = format!("token-{}-of-{user}", memory.tokens);
    let life = if memory.fault == Fault::TokenExpires {
        SHORT_LIFE
    } else {
        usize::MAX
    };
    memory.token = Some((token.clone(), life));
    Json(json!({ "data": { "token": token } })).into_response()
}

async fn list(
    State(tracker): State<Tracker>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let fault = match tracker.gate(&headers, false) {
        Ok(fault) => fault,
        Err(answer) => return *answer,
    };
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let mut items = tracker.items();
    if let Some(since) = query.get("updated_since") {
        items.retain(|item| {
            item["updated_at"]
                .as_str()
                .is_some_and(|at| at >= since.as_str())
        });
    }
    match fault {
        Fault::Empty => items.clear(),
        Fault::Shrunken => items.truncate(items.len() / 2),
        Fault::IdTwice if items.len() > 1 => items[1]["id"] = items[0]["id"].clone(),
        Fault::SchemaChanged => items
            .iter_mut()
            .for_each(|item| *item = json!({ "ticket": item["id"] })),
        _ => {}
    }
    let total = items.len();
    let size = number("per_page")
        .or(number("limit"))
        .unwrap_or(50)
        .clamp(1, 1000);
    let from = match tracker.0.paging {
        Paging::Page | Paging::Link => number("page").unwrap_or(1).saturating_sub(1) * size,
        Paging::Offset => number("offset").unwrap_or(0),
        Paging::Cursor => number("cursor").unwrap_or(0),
    };
    let second = from >= size;
    let from = match fault {
        Fault::PageTwice => 0,
        Fault::PageMissing if second => from + size,
        _ => from,
    };
    if fault == Fault::ErrorInTheMiddle && second {
        return (StatusCode::INTERNAL_SERVER_ERROR, "hỏng").into_response();
    }
    let mut page: Vec<Value> = items.into_iter().skip(from).take(size).collect();
    if fault == Fault::Reordered {
        page.reverse();
    }
    let next = from + page.len();
    let more = next < total;
    let mut answer = Json(json!({
        "data": page, "total": total, "next": more.then(|| next.to_string()),
    }))
    .into_response();
    if more && tracker.0.paging == Paging::Link {
        let link = format!(
            "</items?page={}&per_page={size}>; rel=\"next\"",
            next / size + 1
        );
        if let Ok(link) = link.parse() {
            answer.headers_mut().insert(header::LINK, link);
        }
    }
    answer
}

async fn fetch(
    State(tracker): State<Tracker>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    if let Err(answer) = tracker.gate(&headers, false) {
        return *answer;
    }
    match tracker.memory().items.get(&id) {
        Some(item) => Json(json!({ "data": item })).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn create(
    State(tracker): State<Tracker>,
    headers: HeaderMap,
    Json(fields): Json<Value>,
) -> Response {
    let fault = match tracker.gate(&headers, true) {
        Ok(fault) => fault,
        Err(answer) => return *answer,
    };
    if fields["title"]
        .as_str()
        .unwrap_or_default()
        .trim()
        .is_empty()
    {
        let text = Json(json!({ "message": "title is missing" }));
        return (StatusCode::UNPROCESSABLE_ENTITY, text).into_response();
    }
    let now = tracker.now();
    let mut memory = tracker.memory();
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let earlier = key.and_then(|key| memory.answered.get(key).copied());
    let id = match earlier {
        Some(id) => id,
        None => memory.add(fields, now),
    };
    if let Some(key) = key {
        memory.answered.insert(key.to_owned(), id);
    }
    if fault == Fault::CutAfterWrite {
        return cut();
    }
    (
        StatusCode::CREATED,
        Json(json!({ "data": memory.items.get(&id) })),
    )
        .into_response()
}

async fn update(
    State(tracker): State<Tracker>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    Json(fields): Json<Value>,
) -> Response {
    let fault = match tracker.gate(&headers, true) {
        Ok(fault) => fault,
        Err(answer) => return *answer,
    };
    let now = tracker.now();
    let mut memory = tracker.memory();
    let based_on = headers
        .get(header::IF_MATCH)
        .and_then(|value| value.to_str().ok());
    let version = memory
        .items
        .get(&id)
        .map(|item| item["version"].to_string());
    if based_on.is_some() && based_on != version.as_deref() {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    if !memory.edit(id, fields, now) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if fault == Fault::CutAfterWrite {
        return cut();
    }
    Json(json!({ "data": memory.items.get(&id) })).into_response()
}

async fn file(
    State(tracker): State<Tracker>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(answer) = tracker.gate(&headers, true) {
        return *answer;
    }
    let mut memory = tracker.memory();
    let number = memory.files.len() + 1;
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    memory
        .files
        .push(json!({ "item": id, "size": body.len(), "type": kind }));
    (
        StatusCode::CREATED,
        Json(json!({ "file": format!("f{number}") })),
    )
        .into_response()
}

async fn control_items(State(tracker): State<Tracker>) -> Json<Value> {
    Json(json!({ "items": tracker.items(), "files": tracker.files() }))
}

async fn control_add(State(tracker): State<Tracker>, Json(fields): Json<Value>) -> Json<Value> {
    Json(json!({ "id": tracker.add(fields) }))
}

async fn control_edit(
    State(tracker): State<Tracker>,
    Path(id): Path<u64>,
    Json(fields): Json<Value>,
) -> StatusCode {
    tracker.edit(id, fields);
    StatusCode::NO_CONTENT
}

async fn control_fault(State(tracker): State<Tracker>, Json(fault): Json<Fault>) -> StatusCode {
    tracker.fail(fault);
    StatusCode::NO_CONTENT
}
