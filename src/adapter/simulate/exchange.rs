//! A gateway of the document exchange: documents wait for an organisation until it says that it received them.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The gateway. Clones share one memory.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    /// The organisation that is served, and its token.
    organisation: String,
    token: String,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// Documents that wait: id and text.
    waiting: Vec<(String, String)>,
    /// Status messages, by the document they are about.
    statuses: Vec<(String, String)>,
    /// Documents that were sent: id there, own id, text.
    sent: Vec<(String, String, String)>,
    reads: usize,
    breaks_after: bool,
    refuses: bool,
}

impl Exchange {
    /// A gateway for one organisation.
    pub fn new(organisation: &str, token: &str) -> Exchange {
        Exchange(Arc::new(Inner {
            organisation: organisation.to_owned(),
            token: token.to_owned(),
            memory: Mutex::default(),
        }))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = &self.0.memory;
        memory
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Somebody sends a document to the organisation. Answers its id.
    pub fn send(&self, text: &str) -> String {
        let mut memory = self.memory();
        let id = format!("V{}", memory.waiting.len() + 1);
        memory.waiting.push((id.clone(), text.to_owned()));
        id
    }

    /// Status messages that came: the document they are about, and their text.
    pub fn statuses(&self) -> Vec<(String, String)> {
        self.memory().statuses.clone()
    }

    /// Texts of the documents that the organisation sent.
    pub fn sent(&self) -> Vec<String> {
        let memory = self.memory();
        memory.sent.iter().map(|(.., text)| text.clone()).collect()
    }

    /// Documents that were fetched.
    pub fn reads(&self) -> usize {
        self.memory().reads
    }

    /// Whether it takes a document and then does not say so.
    pub fn break_after(&self, on: bool) {
        self.memory().breaks_after = on;
    }

    /// Whether it answers 200 with an error inside.
    pub fn refuse(&self, on: bool) {
        self.memory().refuses = on;
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/edocs/getReceivedEdocList", get(received))
            .route("/edocs/getSentEdocList", get(sent))
            .route("/edocs/getEdoc", get(document))
            .route("/edocs/newedoc", post(new))
            .route("/edocs/status/update", post(status))
            .route("/_control/send", post(control_send))
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(self.clone())
    }

    /// What stands in the way of every request: the token, and the headers that every request has.
    fn gate(&self, headers: &HeaderMap, kind: &str) -> Result<(), Box<Response>> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("authorization") != Some(&format!("Bearer {}", self.0.token)) {
            return Err(Box::new(StatusCode::UNAUTHORIZED.into_response()));
        }
        let fits = text("organizationid") == Some(&self.0.organisation)
            && text("servicetype") == Some("eDoc")
            && text("messagetype") == Some(kind);
        if !fits {
            return Err(Box::new(failure("headers")));
        }
        if self.memory().refuses {
            return Err(Box::new(failure("maintenance")));
        }
        Ok(())
    }
}

fn failure(why: &str) -> Response {
    Json(json!({ "status": "FAIL", "errorCode": "1", "errorDesc": why })).into_response()
}

fn good(data: Value) -> Response {
    Json(json!({ "status": "OK", "errorCode": "0", "data": data })).into_response()
}

async fn received(State(exchange): State<Exchange>, headers: HeaderMap) -> Response {
    if let Err(refused) = exchange.gate(&headers, "edoc") {
        return *refused;
    }
    let memory = exchange.memory();
    let done = |id: &str| memory.statuses.iter().any(|(of, _)| of == id);
    let waiting = memory.waiting.iter().filter(|(id, _)| !done(id));
    good(
        waiting
            .map(|(id, _)| json!({ "docId": id, "serviceType": "eDoc" }))
            .collect(),
    )
}

async fn sent(State(exchange): State<Exchange>, headers: HeaderMap) -> Response {
    if let Err(refused) = exchange.gate(&headers, "edoc") {
        return *refused;
    }
    let memory = exchange.memory();
    let items = memory.sent.iter();
    good(
        items
            .map(|(id, own, _)| json!({ "docId": id, "documentId": own }))
            .collect(),
    )
}

async fn document(State(exchange): State<Exchange>, headers: HeaderMap) -> Response {
    if let Err(refused) = exchange.gate(&headers, "edoc") {
        return *refused;
    }
    let wanted = headers.get("docid").and_then(|value| value.to_str().ok());
    let mut memory = exchange.memory();
    memory.reads += 1;
    let found = memory
        .waiting
        .iter()
        .find(|(id, _)| Some(id.as_str()) == wanted);
    match found {
        Some((_, text)) => good(json!(STANDARD.encode(text))),
        None => failure("no such document"),
    }
}

/// The text between the first pair of tags with this name.
fn inside<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<edXML:{name}>"))?;
    Some(rest.split_once(&format!("</edXML:{name}>"))?.0)
}

async fn new(State(exchange): State<Exchange>, headers: HeaderMap, body: String) -> Response {
    if let Err(refused) = exchange.gate(&headers, "edoc") {
        return *refused;
    }
    let Some(own) = inside(&body, "DocumentId") else {
        return failure("no DocumentId");
    };
    let mut memory = exchange.memory();
    let id = format!("S{}", memory.sent.len() + 1);
    memory.sent.push((id.clone(), own.to_owned(), body.clone()));
    if memory.breaks_after {
        return StatusCode::GATEWAY_TIMEOUT.into_response();
    }
    Json(json!({ "status": "OK", "docId": id })).into_response()
}

async fn status(State(exchange): State<Exchange>, headers: HeaderMap, body: String) -> Response {
    if let Err(refused) = exchange.gate(&headers, "status") {
        return *refused;
    }
    let wanted = headers.get("docid").and_then(|value| value.to_str().ok());
    let mut memory = exchange.memory();
    memory
        .statuses
        .push((wanted.unwrap_or_default().to_owned(), body));
    good(Value::Null)
}

async fn control_send(State(exchange): State<Exchange>, body: String) -> Response {
    good(json!(exchange.send(&body)))
}

/// A directive as a province sends it.
pub fn sample_directive(number: &str, date: &str, subject: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<edXML xmlns=\"http://www.mic.gov.vn/TBT/QCVN_102_2016\">\
         <edXML:edXMLEnvelope xmlns:edXML=\"http://www.mic.gov.vn/TBT/QCVN_102_2016\"><edXML:edXMLHeader><edXML:MessageHeader>\
         <edXML:From><edXML:OrganId>000.00.00.H19</edXML:OrganId><edXML:OrganName>UBND tỉnh Mẫu</edXML:OrganName></edXML:From>\
         <edXML:To><edXML:OrganId>000.01.00.H19</edXML:OrganId></edXML:To>\
         <edXML:Code><edXML:CodeNumber>{number}</edXML:CodeNumber><edXML:CodeNotation>KH-UBND</edXML:CodeNotation></edXML:Code>\
         <edXML:PromulgationInfo><edXML:Place>Mẫu</edXML:Place><edXML:PromulgationDate>{date}</edXML:PromulgationDate></edXML:PromulgationInfo>\
         <edXML:DocumentType><edXML:Type>2</edXML:Type><edXML:TypeName>Kế hoạch</edXML:TypeName></edXML:DocumentType>\
         <edXML:Subject>{subject}</edXML:Subject><edXML:DocumentId>d-{number}</edXML:DocumentId>\
         </edXML:MessageHeader></edXML:edXMLHeader></edXML:edXMLEnvelope></edXML>"
    )
}
