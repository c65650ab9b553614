//! The workbook of a period, to be kept or printed; `nqsync workbook` writes the same.
//!
//! It goes out while it is made: a province's has more rows than a small server should hold.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use tokio::runtime::Handle;
use tracing::warn;

use super::status_of;
use crate::api::{Command, Failure};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields};
use crate::node::commands::views::time;
use crate::official::{self, Begun, Problem};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// Bytes that are sent at a time.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait for a slow reader before the making of more waits too.
const WAITING: usize = 4;

/// Makes it and hands it out.
pub async fn get(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    match begun(&console, &person, &asked).await {
        Ok(begun) => {
            let headers = [
                (header::CONTENT_TYPE, XLSX.to_owned()),
                (
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{}\"", begun.file_name()),
                ),
            ];
            (headers, sent(console, person, begun)).into_response()
        }
        Err(failure) => {
            let status = status_of(failure.exit);
            let page = console.page(&person, "rollup", "", Err(failure)).await;
            (status, page).into_response()
        }
    }
}

async fn begun(console: &Console, person: &Person, asked: &Fields) -> Result<Begun, Failure> {
    let [status, indicators] = official::first(asked.get("period"), asked.get("unit"));
    let at = now(console);
    let status = console.read(person, status).await?;
    let indicators = console.read(person, indicators).await?;
    Ok(Begun::of(status, indicators, asked.get("unit"), &at))
}

fn now(console: &Console) -> String {
    time(console.now_ms())
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn sent(console: Arc<Console>, person: Person, begun: Begun) -> Body {
    let (sender, body) = Channel::<Bytes, io::Error>::new(WAITING);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut pipe = Pipe {
            sender,
            handle: handle.clone(),
            held: Vec::new(),
        };
        let mut ask = |command: Command| handle.block_on(console.read(&person, command));
        if let Err(problem) = begun.write(&mut ask, &|| now(&console), &person.shown, &mut pipe) {
            let reason = match problem {
                Problem::Refused(failure) => failure.message,
                Problem::Made(reason) => reason,
            };
            // The browser is told that the file is not whole: what was sent is no workbook.
            warn!(%reason, "a workbook could not be sent to its end");
            pipe.sender.abort(io::Error::other(reason));
        }
    });
    Body::new(body)
}

/// Into the answer, in chunks.
struct Pipe {
    sender: Sender<Bytes, io::Error>,
    handle: Handle,
    held: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = Bytes::from(std::mem::take(&mut self.held));
        if chunk.is_empty() {
            return Ok(());
        }
        let sent = self.handle.block_on(self.sender.send_data(chunk));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader has gone"))
    }
}
