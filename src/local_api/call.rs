//! Carrying a request out: who asks, what it says, the verb, and what is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinError;
use uuid::Uuid;

use super::door::{self, Caller};
use super::keys::Reserved;
use super::operations::{Ask, Base, Does, Named, Operation, Shape, Wrong};
use super::problem::{Problem, of_store};
use super::{LocalApi, document, events, files};
use crate::api::{Answer, Asker, Command, Exit, Outcome, Request as Asking, roles};
use crate::node::Refusal;
use crate::node::commands::refuse;
use crate::store::blobs::hex;
use crate::store::queries;
use crate::t;

/// Greatest body that is JSON.
const BODY_BYTES: usize = 256 * 1024;
/// Time for a whole body to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Entries of a part of a list where nothing else is asked for, and at most.
const PART: (usize, usize) = (100, 1000);
/// The header by which a write can be repeated safely.
pub const KEY: &str = "idempotency-key";
/// Longest such key.
const KEY_BYTES: usize = 255;

/// A request whose caller is known.
pub struct Call<'a> {
    /// What it comes to.
    pub api: &'a LocalApi,
    /// What kind it is.
    pub operation: &'static Operation,
    /// Who asks.
    pub caller: Caller,
    /// What stands in the address.
    pub named: Named,
    /// What stands behind `?` and is not common to many kinds.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    common: BTreeMap<String, String>,
}

/// Answers a request.
pub async fn answer(
    api: &std::sync::Arc<LocalApi>,
    operation: &'static Operation,
    request: Request,
) -> Response {
    let lang = door::lang(request.headers());
    match carried_out(api, operation, request).await {
        Ok(response) => response,
        Err(problem) => problem.response(lang),
    }
}

async fn carried_out(
    api: &std::sync::Arc<LocalApi>,
    operation: &'static Operation,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = door::caller(api, &parts.headers).await?;
    let call = Call::read(api, operation, caller, &mut parts).await?;
    let build = match &operation.does {
        Does::Ask(build) => build,
        Does::Upload => return files::upload(&call, body).await,
        Does::Download => return files::download(&call).await,
        Does::Events => return events::stream(api, &call).await,
    };
    let body = call.json(body).await?;
    let ask = build(&call.named, &call.uri, &body).map_err(|wrong| call.wrong(wrong))?;
    let (duty, verb) = (roles::duty(&ask.command), || ask.command.verb());
    call.caller.must(api, duty, verb).await?;
    let Numbered {
        request_id,
        repeated,
        reserved,
    } = call.request_id(&body).await?;
    let Ask {
        command,
        acting_for,
        base,
    } = ask;
    if !repeated {
        call.is_present(base).await?;
    }
    let acting_for = acting_for.or_else(|| call.common("for"));
    let command = call.narrowed(command)?;
    let asking = call.asking(request_id, acting_for, command);
    let service = api.service.clone();
    let work = async move { service.execute(asking).await };
    call.shaped(to_its_end(reserved, work).await?)
}

/// A request with the id of its own.
pub struct Numbered {
    /// The id.
    pub request_id: String,
    /// Whether it was answered before.
    pub repeated: bool,
    /// The key it came under, if any.
    pub reserved: Option<Reserved>,
}

/// Carries a request out in a task of its own: a caller who goes away lets go of the key only when it is done.
pub async fn to_its_end(
    reserved: Option<Reserved>,
    work: impl Future<Output = Outcome> + Send + 'static,
) -> Outcome {
    let Some(reserved) = reserved else {
        return work.await;
    };
    let task = tokio::spawn(async move {
        let outcome = work.await;
        drop(reserved);
        outcome
    });
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(outcome) => outcome,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The service stops, and nobody waits for this any more.
        Err(Err(_)) => std::future::pending().await,
    }
}

impl<'a> Call<'a> {
    async fn read(
        api: &'a LocalApi,
        operation: &'static Operation,
        caller: Caller,
        parts: &mut Parts,
    ) -> Result<Call<'a>, Problem> {
        let bad = |code: &str, detail: String| Problem::new(StatusCode::BAD_REQUEST, code, detail);
        let path = RawPathParams::from_request_parts(parts, &()).await;
        let path = path.map_err(|rejection| bad("bad_query", rejection.body_text()))?;
        let path = path.iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
        let (own, common) = document::parameters(operation);
        let mut asked = form_urlencoded::Serializer::new(String::from("/?"));
        let mut known = BTreeMap::new();
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        for (name, value) in pairs {
            if common.contains(&&*name) {
                known.insert(name.into_owned(), value.into_owned());
            } else if own.iter().any(|own| *own == *name) {
                asked.append_pair(&name, &value);
            } else {
                let detail = t!(caller.lang, "api-unknown-name", name = name);
                return Err(bad("unknown_name", detail));
            }
        }
        let uri = asked.finish().parse();
        let uri =
            uri.map_err(|_| bad("bad_query", t!(caller.lang, "api-bad-query", detail = "")))?;
        let mark = parts.headers.get(header::IF_MATCH);
        // What is no text is the mark of nothing.
        let mark = mark.map(|mark| String::from_utf8_lossy(mark.as_bytes()).into_owned());
        let mark = mark.map(|mark| mark.trim().trim_matches('"').to_owned());
        Ok(Call {
            api,
            operation,
            caller,
            named: Named {
                path: path.collect(),
                mark: mark.filter(|mark| mark != "*"),
            },
            uri,
            headers: parts.headers.clone(),
            common: known,
        })
    }

    /// What stands behind `?` under a name that is common to many kinds.
    fn common(&self, name: &str) -> Option<String> {
        self.common.get(name).cloned()
    }

    /// The body, if it is JSON whose fields are known.
    async fn json(&self, body: axum::body::Body) -> Result<Bytes, Problem> {
        let lang = self.caller.lang;
        let Some(schema) = self.operation.body else {
            return Ok(Bytes::new());
        };
        let read = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, BODY_BYTES)).await;
        let Ok(read) = read else {
            let detail = t!(lang, "api-slow");
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", detail));
        };
        let body = read.map_err(|_| {
            let detail = t!(lang, "api-too-large", bytes = BODY_BYTES);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        })?;
        if body.is_empty() {
            return Ok(body);
        }
        let kind = self.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = t!(lang, "api-not-json");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "not_json", detail));
        }
        let read: Value = serde_json::from_slice(&body)
            .map_err(|error| self.wrong(Wrong::Body(error.to_string())))?;
        let known = document::properties(schema);
        let unknown = read
            .as_object()
            .and_then(|fields| fields.keys().find(|name| !known.contains(*name)));
        match unknown {
            Some(name) => {
                let detail = t!(lang, "api-unknown-name", name = name);
                Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "unknown_name",
                    detail,
                ))
            }
            None => Ok(body),
        }
    }

    pub fn wrong(&self, wrong: Wrong) -> Problem {
        let lang = self.caller.lang;
        let (code, detail) = match wrong {
            Wrong::Query(detail) => ("bad_query", t!(lang, "api-bad-query", detail = detail)),
            Wrong::Body(detail) => ("bad_body", t!(lang, "api-bad-body", detail = detail)),
        };
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Refuses a write that is based on a state which is not the present one. Between this look and the write somebody may
    /// write all the same: the mark goes into the verb, and then both values stay, as a conflict.
    async fn is_present(&self, base: Base) -> Result<(), Problem> {
        if !self.headers.contains_key(header::IF_MATCH) {
            return Ok(());
        }
        let present = match base {
            Base::Shown(present) => present,
            Base::Verb => return Ok(()),
            Base::Unseen => {
                let detail = t!(self.caller.lang, "api-no-mark");
                return Err(Problem::new(StatusCode::BAD_REQUEST, "no_mark", detail));
            }
        };
        let asking = self.asking(Uuid::new_v4().to_string(), None, present.command);
        let shown = match self.api.service.execute(asking).await {
            Ok(answer) => (present.mark)(&answer.data),
            Err(failure) if failure.code == "unknown_report" => None,
            Err(failure) => return Err(failure.into()),
        };
        let stands = match &self.named.mark {
            Some(mark) => shown.as_ref() == Some(mark),
            None => shown.is_some(),
        };
        if stands {
            return Ok(());
        }
        Err(refuse(self.caller.lang, Refusal::usage("changed", [])).into())
    }

    /// The id under which the answer is kept for a repetition, and whether this is one. The key is this request's until what is
    /// reserved is let go.
    ///
    /// It is the caller's own: another one's key never answers with what was said to the first. What was asked stands in it,
    /// so that a key under which something else was asked is told from a repetition.
    pub async fn request_id(&self, body: &[u8]) -> Result<Numbered, Problem> {
        let lang = self.caller.lang;
        let key = match self.headers.get(KEY) {
            Some(key) if self.operation.writes() => key.as_bytes(),
            _ => {
                return Ok(Numbered {
                    request_id: Uuid::new_v4().to_string(),
                    repeated: false,
                    reserved: None,
                });
            }
        };
        if key.is_empty() || key.len() > KEY_BYTES {
            let detail = t!(lang, "api-bad-key", most = KEY_BYTES);
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_key", detail));
        }
        let digest = |parts: &[&[u8]]| {
            let mut digest = Sha256::new();
            for part in parts {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
            hex(&digest.finalize().into())
        };
        let beginning = format!("api:{}:", digest(&[self.caller.person.as_bytes(), key]));
        let path = self.named.path.values().map(String::as_bytes);
        let query = self.uri.query().unwrap_or_default().as_bytes();
        let acting = self.common("for").unwrap_or_default();
        let asked: Vec<&[u8]> = [self.operation.id.as_bytes(), query, acting.as_bytes(), body]
            .into_iter()
            .chain(path)
            .collect();
        let id = format!("{beginning}{}", digest(&asked));
        let reserved = Some(self.api.keys.reserve(&beginning).await);
        let store = &self.api.service.node.store;
        let earlier = store.read(move |c| queries::answered_request(c, &beginning));
        match earlier.await.map_err(|error| of_store(lang, error))? {
            Some(earlier) if earlier != id => {
                let detail = t!(lang, "api-other-request");
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Err(Problem::new(status, "other_request", detail))
            }
            earlier => Ok(Numbered {
                request_id: id,
                repeated: earlier.is_some(),
                reserved,
            }),
        }
    }

    /// A request to the node, as commands make it.
    pub fn asking(
        &self,
        request_id: String,
        acting_for: Option<String>,
        command: Command,
    ) -> Asking {
        Asking {
            request_id,
            lang: self.caller.lang,
            person: self.caller.person.clone(),
            // A program is no person: it is neither the first nor the second of an act that needs two.
            asker: Asker::Local,
            acting_for,
            command,
        }
    }

    /// How many entries of a list are wanted.
    fn limit(&self) -> Result<usize, Problem> {
        let (usual, most) = PART;
        let Some(text) = self.common("limit") else {
            return Ok(usual);
        };
        let limit = text.parse().ok().filter(|n| (1..=most).contains(n));
        limit.ok_or_else(|| {
            let detail = format!("limit: 1 – {most}");
            self.wrong(Wrong::Query(detail))
        })
    }

    /// Tasks are many, and where each stands is derived: only those of the part are looked at.
    fn narrowed(&self, mut command: Command) -> Result<Command, Problem> {
        if let Command::TaskList { narrowed, .. } = &mut command {
            let after = match self.common("cursor") {
                Some(text) => text
                    .parse()
                    .map_err(|error: uuid::Error| self.wrong(Wrong::Query(error.to_string())))?,
                None => Uuid::nil(),
            };
            narrowed.after = Some(after);
            // One more tells whether there is a next part.
            narrowed.limit = Some(self.limit()? + 1);
        }
        Ok(command)
    }

    /// The answer as HTTP.
    pub fn shaped(&self, answer: Answer) -> Result<Response, Problem> {
        let Answer { exit, data, notes } = answer;
        match self.operation.shape {
            // The mark is that of the record and not of all that is shown with it: it is for writes, and spares no reading.
            Shape::Item => Ok((etag(&data), Json(data)).into_response()),
            Shape::List => {
                let (mut items, total) = entries(data);
                let limit = self.limit()?;
                let cursor = self.common("cursor").unwrap_or_default();
                items.retain(|(id, _)| *id > cursor);
                let more = items.len() > limit;
                items.truncate(limit);
                let next = items.last().filter(|_| more).map(|(id, _)| id.clone());
                let items: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
                let page = json!({ "items": items, "total": total, "next": next, "notes": notes });
                Ok(Json(page).into_response())
            }
            Shape::Written | Shape::Created => {
                let status = match exit {
                    // It waits: nothing of it is done.
                    Exit::PersonNeeded => StatusCode::ACCEPTED,
                    _ if self.operation.shape == Shape::Created => StatusCode::CREATED,
                    _ => StatusCode::OK,
                };
                let mark = etag(&data);
                let written = json!({ "outcome": exit, "notes": notes, "data": data });
                Ok((status, mark, Json(written)).into_response())
            }
        }
    }
}

fn etag(data: &Value) -> Option<[(HeaderName, HeaderValue); 1]> {
    let mark = data["token"].as_str()?;
    let value = HeaderValue::from_str(&format!("\"{mark}\"")).ok()?;
    Some([(header::ETAG, value)])
}

/// The entries of a list with what orders them, in that order; and how many there are in all.
fn entries(mut data: Value) -> (Vec<(String, Value)>, Value) {
    let items = match data["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let key = |item: &Value| match item["id"].as_str() {
        Some(id) => id.to_owned(),
        // Red warnings have numbers.
        None => format!("{:020}", item["warning"].as_u64().unwrap_or_default()),
    };
    let mut items: Vec<(String, Value)> = items.into_iter().map(|i| (key(&i), i)).collect();
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    (items, data["total"].take())
}
