//! Systems that hold records: one server, and a few words that say how each system differs.

mod door;
mod handlers;
pub mod systems;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

pub use self::door::Auth;
use self::door::form;
use super::faults::Fault;
use crate::clock::Clock;

/// Requests that a token lives for when it runs out early.
const SHORT_LIFE: usize = 3;

/// One system.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Its name: the folder under `adapters/`.
    pub name: &'static str,
    /// How requests say who sends them.
    pub auth: Auth,
    /// Who may log in, all with the same secret. The platforms' scheme knows applications and takes the first.
    pub users: &'static [&'static str],
    /// The password, key or secret.
    pub secret: &'static str,
    /// The user who approves what the others enter, and enters nothing.
    pub approver: Option<&'static str>,
    /// How answers are wrapped.
    pub envelope: Envelope,
    /// How lists are divided.
    pub paging: Paging,
    /// Its kinds of records.
    pub collections: &'static [Collection],
}

/// One kind of records.
#[derive(Clone, Copy, Debug)]
pub struct Collection {
    /// Path of the list.
    pub path: &'static str,
    /// A new record before anything is entered, as JSON.
    pub new: &'static str,
    /// The field without which no record is created.
    pub required: &'static str,
    /// Whether bodies are forms and not JSON.
    pub form: bool,
    /// Fields that count only once they are approved; they wait in `pending`.
    pub approved: &'static [&'static str],
}

/// How answers are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `{data, total, next}`.
    Data,
    /// `{error_code, message, result, total}`.
    Result,
    /// Records alone; how many there are is told by the header `X-Total-Count`.
    Bare,
}

/// How lists are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `page` and `per_page`.
    Page,
    /// `offset` and `limit`.
    Offset,
    /// `cursor`.
    Cursor,
    /// The header `Link`.
    Link,
}

/// A system with its memory. Clones share one memory.
#[derive(Clone)]
pub struct Records(Arc<Inner>);

struct Inner {
    system: System,
    clock: Clock,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    items: BTreeMap<u64, Item>,
    next: u64,
    files: Vec<Value>,
    writes: usize,
    reads: usize,
    fault: Fault,
    /// Whose a token is, and for how many requests it is good.
    tokens: BTreeMap<String, (&'static str, usize)>,
    /// Answers by idempotency key.
    answered: BTreeMap<String, u64>,
}

struct Item {
    of: &'static Collection,
    value: Value,
}

impl Records {
    /// The system, empty.
    pub fn new(system: System, clock: Clock) -> Records {
        Records(Arc::new(Inner {
            system,
            clock,
            memory: Mutex::default(),
        }))
    }

    /// What it is.
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// All records, by id.
    pub fn items(&self) -> Vec<Value> {
        let memory = self.memory();
        memory
            .items
            .values()
            .map(|item| item.value.clone())
            .collect()
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

    /// Adds a record of the first kind as somebody on the system's own page would. Answers its id.
    pub fn add(&self, fields: Value) -> u64 {
        let now = self.now();
        let first = &self.0.system.collections[0];
        self.memory().add(first, &fields, &now)
    }

    /// Edits a record as somebody on the system's own page would.
    pub fn edit(&self, id: u64, fields: Value) {
        let now = self.now();
        self.memory().edit(id, &fields, &now);
    }

    /// Takes a record away.
    pub fn remove(&self, id: u64) {
        self.memory().items.remove(&id);
    }

    /// Approves what waits in a record, or sends it back, as on the system's own page. Answers whether something waited.
    pub fn decide(&self, id: u64, approve: bool) -> bool {
        let now = self.now();
        self.memory().decide(id, approve, &now)
    }

    /// Sets a fault.
    pub fn fail(&self, fault: Fault) {
        self.memory().fault = fault;
    }

    /// Its routes.
    pub fn router(&self) -> Router {
        handlers::router(self)
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

    /// What stands in the way of every request: faults that answer for all, and the login. Answers who asks.
    fn gate(
        &self,
        headers: &HeaderMap,
        writes: bool,
    ) -> Result<(Fault, &'static str), Box<Response>> {
        let mut memory = self.memory();
        if writes {
            memory.writes += 1;
        } else {
            memory.reads += 1;
        }
        let fault = memory.fault;
        if let Some(answer) = fault.answer(memory.reads + memory.writes, headers) {
            return Err(Box::new(answer));
        }
        let System {
            auth,
            users,
            secret,
            envelope,
            ..
        } = self.0.system;
        let refused = || {
            let text = "not logged in";
            Err(Box::new(envelope.error(StatusCode::UNAUTHORIZED, text)))
        };
        let Some(shown) = self.0.system.shown(headers) else {
            return refused();
        };
        if auth.path().is_none() {
            let user = users.first().copied().unwrap_or_default();
            return if shown == secret {
                Ok((fault, user))
            } else {
                refused()
            };
        }
        match memory.tokens.get_mut(shown) {
            Some((user, left)) if *left > 0 => {
                *left -= 1;
                Ok((fault, *user))
            }
            _ => refused(),
        }
    }
}

impl Memory {
    fn add(&mut self, of: &'static Collection, fields: &Value, now: &str) -> u64 {
        self.next += 1;
        let id = self.next;
        let mut value: Value = serde_json::from_str(of.new).unwrap_or_default();
        merge(&mut value, fields);
        merge(
            &mut value,
            &json!({ "id": id, "updated_at": now, "version": 1 }),
        );
        self.items.insert(id, Item { of, value });
        id
    }

    fn edit(&mut self, id: u64, fields: &Value, now: &str) -> bool {
        let Some(Item { value, .. }) = self.items.get_mut(&id) else {
            return false;
        };
        merge(value, fields);
        let version = value["version"].as_u64().unwrap_or(0) + 1;
        merge(
            value,
            &json!({ "id": id, "updated_at": now, "version": version }),
        );
        true
    }

    fn decide(&mut self, id: u64, approve: bool, now: &str) -> bool {
        let pending = self
            .items
            .get(&id)
            .map(|item| item.value["pending"].clone());
        let Some(pending) = pending.filter(Value::is_object) else {
            return false;
        };
        let decided = json!({ "pending": null, "approved": true, "sent_back": !approve });
        self.edit(id, &decided, now);
        !approve || self.edit(id, &pending, now)
    }
}

impl Collection {
    /// What somebody entered, as it is kept: fields that need an approval wait.
    fn entered(&self, mut fields: Value) -> Value {
        let Some(given) = fields.as_object_mut().filter(|_| !self.approved.is_empty()) else {
            return fields;
        };
        let waiting: serde_json::Map<_, _> = self
            .approved
            .iter()
            .filter_map(|name| given.remove_entry(*name))
            .collect();
        if !waiting.is_empty() {
            fields["pending"] = Value::Object(waiting);
            fields["approved"] = json!(false);
            fields["sent_back"] = json!(false);
        }
        fields
    }

    /// The body of a request.
    fn body(&self, headers: &HeaderMap, body: &[u8]) -> Option<Value> {
        match self.form {
            true => form(headers, body).map(|given| json!(given)),
            false => serde_json::from_slice(body).ok().filter(Value::is_object),
        }
    }
}

impl Envelope {
    fn error(self, status: StatusCode, text: &str) -> Response {
        let told = match self {
            Envelope::Result => {
                json!({ "error_code": status.as_u16(), "message": text, "result": null })
            }
            Envelope::Data | Envelope::Bare => json!({ "message": text }),
        };
        (status, Json(told)).into_response()
    }

    fn record(self, status: StatusCode, record: Option<&Item>) -> Response {
        let Some(Item { value, .. }) = record else {
            return self.error(StatusCode::NOT_FOUND, "there is no such record");
        };
        let told = match self {
            Envelope::Data => json!({ "data": value }),
            Envelope::Result => json!({ "error_code": 0, "message": "", "result": value }),
            Envelope::Bare => value.clone(),
        };
        (status, Json(told)).into_response()
    }

    fn page(self, page: Vec<Value>, total: usize, next: Option<usize>) -> Response {
        let next = next.map(|next| next.to_string());
        match self {
            Envelope::Data => {
                Json(json!({ "data": page, "total": total, "next": next })).into_response()
            }
            Envelope::Result => {
                Json(json!({ "error_code": 0, "message": "", "result": page, "total": total }))
                    .into_response()
            }
            Envelope::Bare => ([("x-total-count", total.to_string())], Json(page)).into_response(),
        }
    }
}

/// Puts fields into a record, whole objects field by field.
fn merge(record: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) if record[name].is_object() => merge(&mut record[name], value),
            value => record[name] = value.clone(),
        }
    }
}
