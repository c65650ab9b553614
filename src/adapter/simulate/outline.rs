//! The outline of a national tracker: strict about headers and fields, as its public interface is described.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use super::faults::{Fault, cut};

const FIELDS: [&str; 12] = [
    "id",
    "idxId",
    "idxCode",
    "idxName",
    "parentId",
    "idxOrder",
    "idxContent",
    "idxContentRaw",
    "idxContentKeyword",
    "idxContentSynthetic",
    "updateTime",
    "updateUser",
];

/// The outline. Clones share one memory.
#[derive(Clone)]
pub struct Outline(Arc<Mutex<Memory>>);

struct Memory {
    rows: Vec<Value>,
    token: String,
    puts: usize,
    refused: Vec<String>,
    /// Content to be put into a row just before the second reading of the next write: somebody edits the page.
    between: Option<(usize, Value)>,
    gets: usize,
    fault: Fault,
    requests: usize,
}

/// The query of a request.
#[derive(Deserialize)]
struct Asked {
    grant_id: Option<i64>,
    action: Option<String>,
}

impl Outline {
    /// An outline with these rows; `token` is the session that may edit it.
    pub fn new(rows: Vec<Value>, token: &str) -> Outline {
        Outline(Arc::new(Mutex::new(Memory {
            rows,
            token: token.to_owned(),
            puts: 0,
            refused: Vec::new(),
            between: None,
            gets: 0,
            fault: Fault::None,
            requests: 0,
        })))
    }

    /// Sets a fault. An outline has neither pages nor records of its own, so that faults of lists empty or halve its rows.
    pub fn fail(&self, fault: Fault) {
        self.memory().fault = fault;
    }

    /// The rows of the sample outline.
    pub fn sample() -> Vec<Value> {
        let text = include_str!("../../../adapters/theodoinq/fixtures/outline.json");
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The rows as they stand.
    pub fn rows(&self) -> Vec<Value> {
        self.memory().rows.clone()
    }

    /// How often it was written, and why writes were refused.
    pub fn puts(&self) -> (usize, Vec<String>) {
        let memory = self.memory();
        (memory.puts, memory.refused.clone())
    }

    /// Edits a row's content as somebody on the page would.
    pub fn edit(&self, row: usize, content: Value) {
        self.memory().rows[row]["idxContent"] = content;
    }

    /// Edits a row's content after the next reading, while a write is being prepared.
    pub fn edit_in_between(&self, row: usize, content: Value) {
        let mut memory = self.memory();
        memory.gets = 0;
        memory.between = Some((row, content));
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/report_api/api/rp_objidx_data", get(read).put(write))
            .route("/_control/rows", get(control_rows))
            .route("/_control/rows/{row}", post(control_edit))
            .route("/_control/fault", post(control_fault))
            .with_state(self.clone())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Memory {
    /// What the fault that is set answers in place of the outline.
    fn answered(&mut self, headers: &HeaderMap) -> Option<Response> {
        self.requests += 1;
        self.fault.answer(self.requests, headers)
    }

    /// What is wrong with a request's headers and query.
    fn objection(&self, headers: &HeaderMap, asked: &Asked) -> Option<(StatusCode, &'static str)> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = format!("Bearer {}", self.token);
        let session = text("authorization") == Some(&bearer)
            || text("cookie").is_some_and(|cookie| cookie.contains(&self.token));
        if !session {
            return Some((StatusCode::UNAUTHORIZED, "no session"));
        }
        if text("accept") != Some("application/json, text/plain, */*") {
            return Some((StatusCode::NOT_ACCEPTABLE, "accept"));
        }
        if text("x-check-auth") != Some("true") {
            return Some((StatusCode::FORBIDDEN, "x-check-auth"));
        }
        if asked.grant_id.is_none() || asked.action.as_deref() != Some("input") {
            return Some((StatusCode::BAD_REQUEST, "grant_id or action"));
        }
        let known = [
            "accept",
            "x-check-auth",
            "authorization",
            "cookie",
            "host",
            "content-type",
            "content-length",
        ];
        let other = headers.keys().any(|name| !known.contains(&name.as_str()));
        other.then_some((
            StatusCode::BAD_REQUEST,
            "a header that the page does not send",
        ))
    }
}

async fn read(
    State(outline): State<Outline>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let mut memory = outline.memory();
    if let Some(answer) = memory.answered(&headers) {
        return answer;
    }
    if let Some((status, what)) = memory.objection(&headers, &asked) {
        memory.refused.push(what.to_owned());
        return (status, what).into_response();
    }
    memory.gets += 1;
    if memory.gets == 2
        && let Some((row, content)) = memory.between.take()
    {
        memory.rows[row]["idxContent"] = content;
    }
    let shown = match memory.fault {
        Fault::Empty => 0,
        Fault::Shrunken => memory.rows.len() / 2,
        _ => memory.rows.len(),
    };
    Json(&memory.rows[..shown]).into_response()
}

async fn write(
    State(outline): State<Outline>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    Json(rows): Json<Vec<Value>>,
) -> Response {
    let mut memory = outline.memory();
    if let Some(answer) = memory.answered(&headers) {
        return answer;
    }
    let mut objection = memory.objection(&headers, &asked);
    let expected: BTreeSet<&str> = FIELDS.into_iter().collect();
    let exact = |row: &Value| {
        let fields = row
            .as_object()
            .map(|row| row.keys().map(String::as_str).collect());
        fields.is_some_and(|fields: BTreeSet<&str>| fields == expected)
    };
    if objection.is_none() && !rows.iter().all(exact) {
        objection = Some((StatusCode::BAD_REQUEST, "the fields of a row"));
    }
    if objection.is_none() && rows.len() != memory.rows.len() {
        objection = Some((StatusCode::BAD_REQUEST, "not all rows"));
    }
    if headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        != Some("application/json")
    {
        objection = objection.or(Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type")));
    }
    if let Some((status, what)) = objection {
        memory.refused.push(what.to_owned());
        return (status, what).into_response();
    }
    memory.rows = rows;
    memory.puts += 1;
    if memory.fault == Fault::CutAfterWrite {
        return cut();
    }
    StatusCode::OK.into_response()
}

async fn control_rows(State(outline): State<Outline>) -> Json<Vec<Value>> {
    Json(outline.rows())
}

async fn control_edit(
    State(outline): State<Outline>,
    axum::extract::Path(row): axum::extract::Path<usize>,
    Json(content): Json<Value>,
) -> StatusCode {
    if row >= outline.rows().len() {
        return StatusCode::NOT_FOUND;
    }
    outline.edit(row, content);
    StatusCode::NO_CONTENT
}

async fn control_fault(State(outline): State<Outline>, Json(fault): Json<Fault>) -> StatusCode {
    outline.fail(fault);
    StatusCode::NO_CONTENT
}
