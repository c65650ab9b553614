//! The workbook of a period, to be kept or printed; `nqsync workbook` writes the same.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::status_of;
use crate::api::{Exit, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields};
use crate::node::commands::views::time;
use crate::official::{self, Sources};
use crate::t;

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Makes it and hands it out.
pub async fn get(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    match made(&console, &person, &asked).await {
        Ok((name, bytes)) => {
            let headers = [
                (header::CONTENT_TYPE, XLSX.to_owned()),
                (
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{name}\""),
                ),
            ];
            (headers, bytes).into_response()
        }
        Err(failure) => {
            let status = status_of(failure.exit);
            let page = console.page(&person, "rollup", "", Err(failure)).await;
            (status, page).into_response()
        }
    }
}

async fn made(
    console: &Console,
    person: &Person,
    asked: &Fields,
) -> Result<(String, Vec<u8>), Failure> {
    let mut answers: [Value; 7] = Default::default();
    let questions = official::questions(asked.get("period"), asked.get("unit"));
    for (answer, question) in answers.iter_mut().zip(questions) {
        *answer = console.read(person, question).await?;
    }
    let sources = Sources::from(answers);
    let name = sources.file_name();
    let (shown, now) = (person.shown.clone(), time(console.now_ms()));
    let made = tokio::task::spawn_blocking(move || {
        let now = now.as_str().unwrap_or_default();
        official::workbook(&sources, now, &shown).and_then(|mut book| book.save_to_buffer())
    });
    let failed = |reason: String| Failure {
        exit: Exit::Failed,
        code: "workbook".to_owned(),
        message: t!(person.lang(), "console-workbook-failed", reason = reason),
        data: Value::Null,
    };
    let bytes = made.await.map_err(|error| failed(error.to_string()))?;
    Ok((name, bytes.map_err(|error| failed(error.to_string()))?))
}
