//! *Evidence*: files that wait for a verdict, looking at one, adding one from a browser.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::reports::named;
use super::{encoded, report_path, status_of};
use crate::api::{Command, Exit, Failure, Outcome, ReportRef, ReportWait};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::door;
use crate::console::form::{Asked, Fields, Sent, TOKEN};
use crate::daemon::evidence::{Incoming, NotTaken};
use crate::t;

/// Reports on one page.
const PAGE: usize = 25;
/// Longest silence of a browser that sends a file.
const SILENCE: Duration = Duration::from_secs(60);
/// Greatest text field beside a file.
const TEXT_BYTES: usize = 16 * 1024;
/// Pictures and documents that a browser may show by itself, without any right.
const SHOWN_INLINE: [(&str, &str); 5] = [
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("txt", "text/plain; charset=utf-8"),
];

/// What waits for a verdict here, with its files; and files that were handed in more than once.
pub async fn desk(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = waiting(&console, &person, &asked).await;
    console
        .page(&person, "evidence", "evidence.html", data)
        .await
}

async fn waiting(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let page = super::page_of(asked);
    let waiting = Command::ReportWaiting {
        wait: ReportWait::Verdict,
        offset: (page - 1).saturating_mul(PAGE),
        limit: Some(PAGE),
    };
    let mut found = console.read(person, waiting).await?;
    let total = found["total"].as_u64().unwrap_or(0) as usize;
    let waiting: Vec<Value> = found["items"]
        .as_array_mut()
        .map(std::mem::take)
        .unwrap_or_default()
        .into_iter()
        .map(|mut report| {
            let files = report["files"].take();
            json!({ "path": path_of(&report), "report": report, "files": files })
        })
        .collect();
    let units = console.read(person, super::all_units()).await?;
    Ok(json!({
        "waiting": waiting,
        "total": total,
        "page": page,
        "pages": total.div_ceil(PAGE).max(1),
        "names": super::names(&units),
    }))
}

fn path_of(report: &Value) -> String {
    let text = |name: &str| report[name].as_str().unwrap_or_default();
    report_path(text("task"), text("unit"), text("period"))
}

/// The bytes of a file.
pub async fn file(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(id): Path<String>,
) -> Response {
    match open(&console, &person, &id).await {
        Ok(response) => response,
        Err(failure) => {
            let status = status_of(failure.exit);
            let page = console.page(&person, "evidence", "", Err(failure)).await;
            (status, page).into_response()
        }
    }
}

async fn open(console: &Console, person: &Person, id: &str) -> Result<Response, Failure> {
    let asking = person.request(Command::Status);
    let Some((found, file)) = console.service.evidence(asking, id).await? else {
        return Err(refused(t!(person.lang(), "console-file-not-here")));
    };
    let name = found["name"].as_str().unwrap_or("file");
    let ending = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    let inline = SHOWN_INLINE
        .iter()
        .find(|(known, _)| Some(*known) == ending.as_deref());
    let (way, kind) = match inline {
        Some((_, kind)) => ("inline", *kind),
        None => ("attachment", "application/octet-stream"),
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("{way}; filename*=UTF-8''{}", encoded(name)),
        ),
        (header::CONTENT_SECURITY_POLICY, policy(kind).to_owned()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// What a file may do in the browser: nothing. A PDF's viewer does not start in a sandbox; it is one itself.
fn policy(kind: &str) -> &'static str {
    match kind {
        "application/pdf" => {
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        }
        _ => "sandbox; default-src 'none'; frame-ancestors 'none'",
    }
}

fn refused(message: String) -> Failure {
    Failure {
        exit: Exit::Usage,
        code: "console".to_owned(),
        message,
        data: Value::Null,
    }
}

/// Adds a file to a report.
pub async fn attach(
    State(console): State<Arc<Console>>,
    person: Person,
    Path(path): Path<(String, String, String)>,
    form: Multipart,
) -> Response {
    let outcome = match receive(&console, &person, form).await {
        Ok(upload) => hand_in(&console, &person, &path, upload).await,
        Err(Refused::Foreign) => return door::foreign_form(&console, &person),
        Err(Refused::Said(failure)) => Err(failure),
    };
    let next = report_path(&path.0, &path.1, &path.2);
    console.after(&person, &outcome, "console-evidence-added", &next)
}

/// What a browser sent.
struct Upload {
    file: Incoming,
    name: String,
    note: Option<String>,
}

enum Refused {
    /// No page of this session made the form.
    Foreign,
    Said(Failure),
}

/// Takes the form in; the bytes go into a file of their own. The form's own token comes before them.
async fn receive(
    console: &Console,
    person: &Person,
    mut form: Multipart,
) -> Result<Upload, Refused> {
    let cut = |detail: String| {
        let message = t!(person.lang(), "console-upload-cut", detail = detail);
        Refused::Said(refused(message))
    };
    let (mut note, mut known) = (None, false);
    loop {
        let next = tokio::time::timeout(SILENCE, form.next_field()).await;
        let next = next.map_err(|error| cut(error.to_string()))?;
        let Some(field) = next.map_err(|error| cut(error.body_text()))? else {
            return Err(cut(String::new()));
        };
        match field.name() {
            Some(TOKEN) => {
                let text = small(field).await.map_err(cut)?;
                known = door::same(&text, &person.form_token);
            }
            Some("note") => {
                let text = small(field).await.map_err(cut)?;
                note = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            }
            Some("file") if !known => return Err(Refused::Foreign),
            Some("file") => {
                let name = field.file_name().unwrap_or_default().to_owned();
                if name.is_empty() {
                    let message = t!(person.lang(), "console-no-file");
                    return Err(Refused::Said(refused(message)));
                }
                let file = store(console, person, field).await?;
                return Ok(Upload { file, name, note });
            }
            _ => {}
        }
    }
}

/// A short text field.
async fn small(mut field: Field<'_>) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(&mut field).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > TEXT_BYTES {
            return Err("a text is too long".to_owned());
        }
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

async fn piece(field: &mut Field<'_>) -> Result<Option<bytes::Bytes>, String> {
    let piece = tokio::time::timeout(SILENCE, field.chunk()).await;
    piece
        .map_err(|error| error.to_string())?
        .map_err(|error| error.body_text())
}

async fn store(
    console: &Console,
    person: &Person,
    mut field: Field<'_>,
) -> Result<Incoming, Refused> {
    let said = |message: String| Refused::Said(refused(message));
    let failed =
        |error: std::io::Error| said(t!(person.lang(), "console-upload-failed", detail = error));
    let mut file = Incoming::begin(&console.service).await.map_err(failed)?;
    loop {
        let next = piece(&mut field).await;
        let next = next.map_err(|e| said(t!(person.lang(), "console-upload-cut", detail = e)))?;
        let Some(bytes) = next else { return Ok(file) };
        file.write(&bytes).await.map_err(|error| match error {
            NotTaken::TooLarge(limit) => {
                let limit = person.shown.bytes(&json!(limit));
                said(t!(person.lang(), "console-upload-large", limit = limit))
            }
            other => said(t!(person.lang(), "console-upload-failed", detail = other)),
        })?;
    }
}

async fn hand_in(
    console: &Console,
    person: &Person,
    path: &(String, String, String),
    upload: Upload,
) -> Outcome {
    let name = last_part(&upload.name);
    let taken = upload.file.take_in(&console.service, name).await;
    let file = taken
        .map_err(|error| refused(t!(person.lang(), "console-upload-failed", detail = error)))?;
    let report: ReportRef = named(path);
    let command = Command::EvidenceAdd {
        report,
        path: String::new(),
        note: upload.note,
    };
    console.ask_with(person, Some(&path.1), command, file).await
}

/// Some browsers send a whole path.
fn last_part(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or(name).to_owned()
}

/// Takes a file back.
pub async fn remove(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    sent: Sent,
) -> Response {
    let command = Command::EvidenceRemove {
        evidence: id,
        reason: sent.fields.text("reason").unwrap_or_default(),
    };
    let outcome = console.ask(&sent.person, command).await;
    let next = match &outcome {
        Ok(answer) => path_of(&answer.data),
        Err(_) => sent
            .fields
            .get("back")
            .filter(|back| back.starts_with("/tasks/"))
            .unwrap_or("/tasks")
            .to_owned(),
    };
    console.after(&sent.person, &outcome, "console-evidence-removed", &next)
}
