//! The requests of a system that holds records.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nqsync_core::protocol::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::door::header_of;
use super::{Collection, Paging, Records, SHORT_LIFE, System};
use crate::adapter::simulate::faults::{Fault, cut};

/// Largest body taken, in bytes.
const LARGEST: usize = 256 << 20;

/// One kind of records of a system: what a handler is about.
#[derive(Clone)]
struct At {
    records: Records,
    of: &'static Collection,
}

/// What the system answers, and what the training adds.
pub fn router(records: &Records) -> Router {
    let mut router = Router::new()
        .route("/_control/items", get(control_items).post(control_add))
        .route("/_control/items/{id}", post(control_edit))
        .route("/_control/items/{id}/{decision}", post(control_decide))
        .route("/_control/fault", post(control_fault));
    if let Some(path) = records.0.system.auth.path() {
        router = router.route(path, post(login));
    }
    let mut router = router.with_state(records.clone());
    for of in records.0.system.collections {
        let (path, records) = (of.path, records.clone());
        let mut kind = Router::new()
            .route(path, get(list).post(create))
            .route(
                &format!("{path}/{{id}}"),
                get(fetch).patch(update).put(update),
            )
            .route(&format!("{path}/{{id}}/files"), post(file))
            .route(&format!("{path}/files"), post(loose_file))
            .route(&format!("{path}/{{id}}/attach"), post(attach));
        if !of.approved.is_empty() {
            kind = kind.route(
                &format!("{path}/{{id}}/decision/{{decision}}"),
                post(decide),
            );
        }
        router = router.merge(kind.with_state(At { records, of }));
    }
    router.layer(DefaultBodyLimit::max(LARGEST))
}

async fn login(State(records): State<Records>, headers: HeaderMap, body: Bytes) -> Response {
    let system = &records.0.system;
    let mut memory = records.memory();
    memory.reads += 1;
    let Some(user) = system.identified(&headers, &body) else {
        let text = "wrong name or secret";
        return system.envelope.error(StatusCode::UNAUTHORIZED, text);
    };
    let token = format!("token-{}-of-{user}", memory.tokens.len() + 1);
    let life = match memory.fault {
        Fault::TokenExpires => SHORT_LIFE,
        _ => usize::MAX,
    };
    memory.tokens.insert(token.clone(), (user, life));
    system.welcome(&token)
}

async fn list(
    State(at): State<At>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let fault = match at.records.gate(&headers, false) {
        Ok((fault, _)) => fault,
        Err(answer) => return *answer,
    };
    let System {
        envelope, paging, ..
    } = at.records.0.system;
    let mut items = at.asked_for(&query);
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
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let size = number("per_page")
        .or(number("limit"))
        .unwrap_or(50)
        .clamp(1, 1000);
    let from = match paging {
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
        return envelope.error(StatusCode::INTERNAL_SERVER_ERROR, "hỏng");
    }
    let mut page: Vec<Value> = items.into_iter().skip(from).take(size).collect();
    if fault == Fault::Reordered {
        page.reverse();
    }
    let next = Some(from + page.len()).filter(|next| *next < total);
    let mut answer = envelope.page(page, total, next);
    if let Some(next) = next.filter(|_| paging == Paging::Link) {
        let (path, page) = (at.of.path, next / size + 1);
        let link = format!("<{path}?page={page}&per_page={size}>; rel=\"next\"");
        if let Ok(link) = link.parse() {
            answer.headers_mut().insert(header::LINK, link);
        }
    }
    answer
}

impl At {
    /// The records of this kind that a query asks for: by the value of any field, and by when they were changed.
    fn asked_for(&self, query: &BTreeMap<String, String>) -> Vec<Value> {
        let known: Value = serde_json::from_str(self.of.new).unwrap_or_default();
        let fits = |value: &Value| {
            query.iter().all(|(name, wanted)| match &value[name] {
                _ if name == "updated_since" => value["updated_at"]
                    .as_str()
                    .is_some_and(|at| at >= wanted.as_str()),
                _ if known.get(name).is_none() => true,
                Value::String(text) => text == wanted,
                other => serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *other),
            })
        };
        let memory = self.records.memory();
        let items = memory.items.values();
        items
            .filter(|item| item.of.path == self.of.path && fits(&item.value))
            .map(|item| item.value.clone())
            .collect()
    }

    /// Who wants to write; the answer, where that cannot be.
    fn writer(&self, headers: &HeaderMap) -> Result<Fault, Box<Response>> {
        let (fault, user) = self.records.gate(headers, true)?;
        let System {
            approver, envelope, ..
        } = self.records.0.system;
        if approver == Some(user) {
            let text = "this account approves and enters nothing";
            return Err(Box::new(envelope.error(StatusCode::FORBIDDEN, text)));
        }
        Ok(fault)
    }
}

async fn fetch(State(at): State<At>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    if let Err(answer) = at.records.gate(&headers, false) {
        return *answer;
    }
    let memory = at.records.memory();
    let envelope = at.records.0.system.envelope;
    envelope.record(StatusCode::OK, memory.items.get(&id))
}

async fn create(State(at): State<At>, headers: HeaderMap, body: Bytes) -> Response {
    let fault = match at.writer(&headers) {
        Ok(fault) => fault,
        Err(answer) => return *answer,
    };
    let envelope = at.records.0.system.envelope;
    let Some(fields) = at.of.body(&headers, &body) else {
        return envelope.error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body");
    };
    let given = fields[at.of.required].as_str().unwrap_or_default();
    if given.trim().is_empty() {
        let text = format!("{} is missing", at.of.required);
        return envelope.error(StatusCode::UNPROCESSABLE_ENTITY, &text);
    }
    let now = at.records.now();
    let mut memory = at.records.memory();
    let key = header_of(&headers, "idempotency-key");
    let earlier = key.and_then(|key| memory.answered.get(key).copied());
    let id = match earlier {
        Some(id) => id,
        None => memory.add(at.of, &at.of.entered(fields), &now),
    };
    if let Some(key) = key {
        memory.answered.insert(key.to_owned(), id);
    }
    if fault == Fault::CutAfterWrite {
        return cut();
    }
    envelope.record(StatusCode::CREATED, memory.items.get(&id))
}

async fn update(
    State(at): State<At>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = match at.writer(&headers) {
        Ok(fault) => fault,
        Err(answer) => return *answer,
    };
    let envelope = at.records.0.system.envelope;
    let Some(fields) = at.of.body(&headers, &body) else {
        return envelope.error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body");
    };
    let now = at.records.now();
    let mut memory = at.records.memory();
    let based_on = header_of(&headers, "if-match");
    let version = memory
        .items
        .get(&id)
        .map(|item| item.value["version"].to_string());
    if based_on.is_some() && based_on != version.as_deref() {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    if memory.edit(id, &at.of.entered(fields), &now) && fault == Fault::CutAfterWrite {
        return cut();
    }
    envelope.record(StatusCode::OK, memory.items.get(&id))
}

/// `approve` or `send-back`, by the one account that may.
async fn decide(
    State(at): State<At>,
    Path((id, decision)): Path<(u64, String)>,
    headers: HeaderMap,
) -> Response {
    let user = match at.records.gate(&headers, true) {
        Ok((_, user)) => user,
        Err(answer) => return *answer,
    };
    let System {
        approver, envelope, ..
    } = at.records.0.system;
    if approver != Some(user) {
        let text = "only the approval account decides";
        return envelope.error(StatusCode::FORBIDDEN, text);
    }
    decided(&at.records, id, &decision)
}

fn decided(records: &Records, id: u64, decision: &str) -> Response {
    let envelope = records.0.system.envelope;
    let known = matches!(decision, "approve" | "send-back");
    if !known || !records.decide(id, decision == "approve") {
        return envelope.error(StatusCode::NOT_FOUND, "nothing waits there");
    }
    envelope.record(StatusCode::OK, records.memory().items.get(&id))
}

async fn file(
    State(at): State<At>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    keep_file(&at, Some(id), &headers, &body)
}

/// A file that belongs to nothing until `attach` says to what.
async fn loose_file(State(at): State<At>, headers: HeaderMap, body: Bytes) -> Response {
    keep_file(&at, None, &headers, &body)
}

fn keep_file(at: &At, item: Option<u64>, headers: &HeaderMap, body: &Bytes) -> Response {
    let fault = match at.writer(headers) {
        Ok(fault) => fault,
        Err(answer) => return *answer,
    };
    let envelope = at.records.0.system.envelope;
    let kind = header_of(headers, "content-type").unwrap_or_default();
    let Some((name, bytes)) = handed_over(kind, body) else {
        return envelope.error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body");
    };
    let mut memory = at.records.memory();
    if item.is_some_and(|id| !memory.items.contains_key(&id)) {
        return envelope.record(StatusCode::OK, None);
    }
    let key = header_of(headers, "idempotency-key");
    let known = key.and_then(|key| memory.files.iter().position(|file| file["key"] == key));
    let number = known.unwrap_or(memory.files.len()) + 1;
    if known.is_none() {
        let sha256 = hex(&Sha256::digest(&bytes));
        memory.files.push(json!({
            "item": item, "name": name, "size": bytes.len(), "sha256": sha256, "type": kind, "key": key,
        }));
    }
    if fault == Fault::CutAfterWrite {
        return cut();
    }
    let told = json!({ "file": format!("f{number}") });
    (StatusCode::CREATED, Json(told)).into_response()
}

/// Says to which item a file belongs that was handed over before: `{"file": "f1"}`, as it was answered then.
async fn attach(
    State(at): State<At>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> Response {
    let fault = match at.writer(&headers) {
        Ok(fault) => fault,
        Err(answer) => return *answer,
    };
    let mut memory = at.records.memory();
    let named = asked["file"]
        .as_str()
        .and_then(|name| name.strip_prefix('f'));
    let position = named.and_then(|number| number.parse::<usize>().ok()?.checked_sub(1));
    let known = memory.items.contains_key(&id);
    let Some(file) = position
        .and_then(|position| memory.files.get_mut(position))
        .filter(|_| known)
    else {
        return at.records.0.system.envelope.record(StatusCode::OK, None);
    };
    file["item"] = id.into();
    if fault == Fault::CutAfterWrite {
        return cut();
    }
    (StatusCode::OK, Json(json!({ "attached": id }))).into_response()
}

/// Name and bytes of a file: a part of a form, base64 in JSON, or the body itself.
fn handed_over(kind: &str, body: &[u8]) -> Option<(Option<String>, Vec<u8>)> {
    if kind == "application/json" {
        let given: Value = serde_json::from_slice(body).ok()?;
        let bytes = STANDARD.decode(given["content"].as_str()?).ok()?;
        return Some((given["name"].as_str().map(str::to_owned), bytes));
    }
    let Some((_, boundary)) = kind.split_once("boundary=") else {
        return Some((None, body.to_vec()));
    };
    let part = after(body, b"name=\"file\"")?;
    let head = &part[..find(part, b"\r\n\r\n")?];
    let name = String::from_utf8_lossy(after(head, b"filename=\"")?).into_owned();
    let bytes = after(part, b"\r\n\r\n")?;
    let end = find(bytes, format!("\r\n--{boundary}").as_bytes())?;
    let name = name.split('"').next().map(str::to_owned);
    Some((name, bytes[..end].to_vec()))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

fn after<'b>(bytes: &'b [u8], what: &[u8]) -> Option<&'b [u8]> {
    find(bytes, what).map(|at| &bytes[at + what.len()..])
}

async fn control_items(State(records): State<Records>) -> Json<Value> {
    Json(json!({ "items": records.items(), "files": records.files() }))
}

async fn control_add(State(records): State<Records>, Json(fields): Json<Value>) -> Json<Value> {
    Json(json!({ "id": records.add(fields) }))
}

async fn control_edit(
    State(records): State<Records>,
    Path(id): Path<u64>,
    Json(fields): Json<Value>,
) -> StatusCode {
    records.edit(id, fields);
    StatusCode::NO_CONTENT
}

async fn control_decide(
    State(records): State<Records>,
    Path((id, decision)): Path<(u64, String)>,
) -> Response {
    decided(&records, id, &decision)
}

async fn control_fault(State(records): State<Records>, Json(fault): Json<Fault>) -> StatusCode {
    records.fail(fault);
    StatusCode::NO_CONTENT
}
