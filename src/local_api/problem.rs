//! Why a request was not carried out, as RFC 9457 has it, in the language that was asked for.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::api::{Exit, Failure, Lang};
use crate::store::StoreError;
use crate::{t, text};

/// The media type of what is told.
pub const MEDIA: &str = "application/problem+json";

/// What is not carried out because of something that is not there.
const ABSENT: [&str; 10] = [
    "unknown_unit",
    "unknown_task",
    "unknown_report",
    "unknown_evidence",
    "no_such_record",
    "no_such_conflict",
    "no_such_indicator",
    "no_such_warning",
    "file_not_here",
    "no_operation",
];

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    data: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem as it is sent.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Told {
    /// Names the kind of problem: `urn:nqsync:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What happened, where, and what to do.
    detail: String,
    /// Stable code, such as `unknown_unit`; the same as commands have.
    code: String,
    /// Details for programs, by name.
    data: Value,
}

impl Problem {
    /// One that is found here; what commands refuse comes from a [`Failure`].
    pub fn new(status: StatusCode, code: &str, detail: String) -> Problem {
        Problem {
            status,
            code: code.to_owned(),
            detail,
            data: Value::Null,
            headers: Vec::new(),
        }
    }

    /// A header beside it.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// The answer.
    pub fn response(self, lang: Lang) -> Response {
        let status = self.status.as_u16();
        let title = text::word(lang, "api-status-", &status.to_string());
        let told = Told {
            kind: format!("urn:nqsync:problem:{}", self.code),
            title: title.unwrap_or_default(),
            status,
            detail: self.detail,
            code: self.code,
            data: self.data,
        };
        let mut response = (self.status, Json(told)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA));
        headers.extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value)),
        );
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        let status = match failure.exit {
            _ if ABSENT.contains(&failure.code.as_str()) => StatusCode::NOT_FOUND,
            _ if failure.code == "changed" => StatusCode::PRECONDITION_FAILED,
            Exit::Usage => StatusCode::BAD_REQUEST,
            Exit::Authentication => StatusCode::FORBIDDEN,
            Exit::Unreachable => StatusCode::BAD_GATEWAY,
            Exit::Refused | Exit::PersonNeeded => StatusCode::CONFLICT,
            Exit::Locked | Exit::NotInitialised => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem {
            status,
            code: failure.code,
            detail: failure.message,
            data: failure.data,
            headers: Vec::new(),
        }
    }
}

/// A store that cannot be read or written.
pub fn of_store(lang: Lang, error: StoreError) -> Problem {
    tracing::error!(%error, "the local API cannot use the store");
    crate::node::commands::refuse(lang, error.into()).into()
}

/// There is nothing at this address.
pub fn not_found(lang: Lang) -> Response {
    let detail = t!(lang, "api-no-operation");
    Problem::new(StatusCode::NOT_FOUND, "no_operation", detail).response(lang)
}

/// There is something at this address, for another method.
pub fn not_allowed(lang: Lang) -> Response {
    let detail = t!(lang, "api-no-operation");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_operation", detail).response(lang)
}
