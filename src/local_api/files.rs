//! Evidence files: their bytes as the body of a request or an answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::asked::File;
use super::call::{Call, Numbered, to_its_end};
use super::operations::Wrong;
use super::problem::Problem;
use crate::api::{Command, Duty, ReportRef};
use crate::daemon::evidence::{Incoming, NotTaken};
use crate::node::commands::execute_with_file;
use crate::store::blobs::hex;
use crate::t;

/// Longest silence of somebody who sends a file.
const SILENCE: Duration = Duration::from_secs(60);

/// Adds the file that is the body.
pub async fn upload(call: &Call<'_>, mut body: Body) -> Result<Response, Problem> {
    let (api, lang) = (call.api, call.caller.lang);
    let verb = || "evidence_add".to_owned();
    call.caller.must(api, Duty::Work, verb).await?;
    let asked = axum::extract::Query::<File>::try_from_uri(&call.uri);
    let asked = asked.map_err(|rejection| call.wrong(Wrong::Query(rejection.body_text())))?;
    let failed = |detail: String| {
        let detail = t!(lang, "console-upload-failed", detail = detail);
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, "upload_failed", detail)
    };
    let mut incoming = Incoming::begin(&api.service)
        .await
        .map_err(|error| failed(error.to_string()))?;
    loop {
        let cut = |detail: String| {
            let detail = t!(lang, "console-upload-cut", detail = detail);
            Problem::new(StatusCode::BAD_REQUEST, "upload_cut", detail)
        };
        let frame = tokio::time::timeout(SILENCE, body.frame()).await;
        let frame = frame.map_err(|error| cut(error.to_string()))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| cut(error.to_string()))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        incoming.write(&piece).await.map_err(|error| match error {
            NotTaken::TooLarge(limit) => {
                let detail = t!(lang, "api-too-large", bytes = limit);
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
            }
            other => failed(other.to_string()),
        })?;
    }
    let name = asked.0.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let file = incoming.take_in(&api.service, name.to_owned()).await;
    let file = file.map_err(|error| failed(error.to_string()))?;
    let Numbered {
        request_id,
        reserved,
        ..
    } = call.request_id(hex(&file.id).as_bytes()).await?;
    let report: ReportRef = call.named.report();
    let acting_for = report.unit.clone();
    let command = Command::EvidenceAdd {
        report,
        path: String::new(),
        note: asked.0.note,
    };
    let asking = call.asking(request_id, acting_for, command);
    let node = api.service.node.clone();
    let work = async move { execute_with_file(&node, asking, file).await };
    call.shaped(to_its_end(reserved, work).await?)
}

/// The bytes of a file.
pub async fn download(call: &Call<'_>) -> Result<Response, Problem> {
    let (api, lang) = (call.api, call.caller.lang);
    let verb = || "evidence".to_owned();
    call.caller.must(api, Duty::Look, verb).await?;
    let id = call.named.part("evidence");
    let asking = call.asking(Uuid::new_v4().to_string(), None, Command::Status);
    let Some((known, file)) = call.api.service.evidence(asking, &id).await? else {
        let detail = t!(lang, "console-file-not-here");
        return Err(Problem::new(StatusCode::NOT_FOUND, "file_not_here", detail));
    };
    let name = known["name"].as_str().unwrap_or("file");
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename*=UTF-8''{name}"),
        ),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
