//! Whom a verb is put to: the running service over its control socket, or the store itself when no service runs.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use nqsync_core::model::Classification;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::place::Place;
use super::{failure, sync, wiring};
use crate::api::{Answer, Command, Exit, Failure, LEVEL_HEADER, Lang, Outcome, Request};
use crate::t;

/// How long the service may take to take the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one verb may take; the slowest is the import of a large table.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// How long a verb may take that reads or writes the whole store: as long as a slow disk needs.
const WHOLE_STORE_LIMIT: Duration = Duration::from_secs(12 * 3600);
/// How long a sync may be silent: the service sends progress at least every few seconds.
const SILENCE_LIMIT: Duration = Duration::from_secs(300);
/// Greatest answer taken, and greatest line of a stream.
const ANSWER_BYTES: usize = 256 << 20;

/// A node in this process.
pub trait Local {
    /// Carries the verb out.
    fn execute(&self, request: Request) -> Outcome;
}

/// Whom to ask.
pub enum Backend {
    /// The service, over a connection that has been taken already.
    Service(Service),
    /// This process.
    Local(Box<dyn Local>),
}

/// What the service answers, as it stands on the socket.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Ok(Answer),
    Failed(Failure),
}

/// A connection to the running service.
pub struct Service {
    runtime: tokio::runtime::Runtime,
    stream: UnixStream,
    level: Classification,
    lang: Lang,
}

impl Backend {
    /// The service when it answers, otherwise the store itself.
    pub fn connect(place: &Place, writes: bool) -> Result<Self, Failure> {
        match Service::connect(place)? {
            Some(service) => Ok(Backend::Service(service)),
            None => wiring::open_local(place, writes).map(Backend::Local),
        }
    }

    /// Carries a verb out.
    pub fn execute(self, request: Request) -> Outcome {
        match self {
            Backend::Service(service) => service.execute(&request),
            Backend::Local(local) => local.execute(request),
        }
    }
}

impl Service {
    /// `None` when no service listens there. Anything else that is wrong (no permission, no answer) is an error: the
    /// store must not be opened behind a service that is only slow.
    pub fn connect(place: &Place) -> Result<Option<Self>, Failure> {
        let node = place.load()?.config.node;
        Service::at(&node.socket, node.classification, place.lang)
    }

    fn at(socket: &Path, level: Classification, lang: Lang) -> Result<Option<Self>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| lost(lang, &e))?;
        let attempt = runtime.block_on(async {
            tokio::time::timeout(CONNECT_LIMIT, UnixStream::connect(socket)).await
        });
        match attempt {
            Ok(Ok(stream)) => Ok(Some(Service {
                runtime,
                stream,
                level,
                lang,
            })),
            Ok(Err(error))
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Ok(Err(error)) => {
                let message = t!(
                    lang,
                    "err-socket",
                    socket = socket.display(),
                    reason = error
                );
                Err(failure(Exit::Failed, "socket", message))
            }
            Err(_) => Err(lost(lang, &"timeout")),
        }
    }

    fn execute(self, request: &Request) -> Outcome {
        let lang = self.lang;
        let body = serde_json::to_vec(request).map_err(|e| lost(lang, &e))?;
        let stream = self.stream;
        let limit = match request.command {
            Command::Backup { .. } | Command::Verify { .. } => WHOLE_STORE_LIMIT,
            _ => ANSWER_LIMIT,
        };
        self.runtime.block_on(interruptible(lang, async {
            let answer = post(stream, "/v1/command", self.level, body, lang);
            let response = tokio::time::timeout(limit, answer)
                .await
                .map_err(|_| lost(lang, &"timeout"))??;
            let body = Limited::new(response, ANSWER_BYTES).collect();
            let body = tokio::time::timeout(limit, body)
                .await
                .map_err(|_| lost(lang, &"timeout"))?;
            match serde_json::from_slice(&body.map_err(|e| lost(lang, &e))?.to_bytes()) {
                Ok(Reply::Ok(answer)) => Ok(answer),
                Ok(Reply::Failed(failure)) => Err(failure),
                Err(error) => Err(lost(lang, &error)),
            }
        }))
    }

    /// Starts a session and hands its progress on, line by line, until it is done.
    pub fn sync(self, wait: bool, progress: &mut sync::Progress<'_>) -> Outcome {
        let lang = self.lang;
        let body = json!({ "wait": wait, "lang": lang })
            .to_string()
            .into_bytes();
        let stream = self.stream;
        self.runtime.block_on(interruptible(lang, async {
            let answer = post(stream, "/v1/sync", self.level, body, lang);
            let mut response = tokio::time::timeout(ANSWER_LIMIT, answer)
                .await
                .map_err(|_| lost(lang, &"timeout"))??;
            let mut pending = Vec::new();
            loop {
                let frame = tokio::time::timeout(SILENCE_LIMIT, response.frame()).await;
                let frame = frame.map_err(|_| lost(lang, &"timeout"))?;
                let Some(frame) = frame else {
                    // The last line may come without a line end.
                    return line(&pending, lang, progress)?
                        .unwrap_or_else(|| Err(lost(lang, &"EOF")));
                };
                let frame = frame.map_err(|e| lost(lang, &e))?;
                pending.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let rest = pending.split_off(end + 1);
                    if let Some(outcome) = line(&pending, lang, progress)? {
                        return outcome;
                    }
                    pending = rest;
                }
                if pending.len() > ANSWER_BYTES {
                    return Err(lost(lang, &"line too long"));
                }
            }
        }))
    }
}

/// One line of a sync stream: progress is handed on, the end is returned.
fn line(
    line: &[u8],
    lang: Lang,
    progress: &mut sync::Progress<'_>,
) -> Result<Option<Outcome>, Failure> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(line).map_err(|e| lost(lang, &e))?;
    match value.get("event").and_then(Value::as_str) {
        Some("progress") => progress(&value),
        Some("done") => {
            return serde_json::from_value(value)
                .map(|a| Some(Ok(a)))
                .map_err(|e| lost(lang, &e));
        }
        Some("failed") => {
            return serde_json::from_value(value)
                .map(|f| Some(Err(f)))
                .map_err(|e| lost(lang, &e));
        }
        _ if value.get("failed").is_some() || value.get("ok").is_some() => {
            let reply = serde_json::from_value(value).map_err(|e| lost(lang, &e))?;
            return Ok(Some(match reply {
                Reply::Ok(answer) => Ok(answer),
                Reply::Failed(failure) => Err(failure),
            }));
        }
        // An event of a newer service.
        _ => {}
    }
    Ok(None)
}

async fn post(
    stream: UnixStream,
    path: &str,
    level: Classification,
    body: Vec<u8>,
    lang: Lang,
) -> Result<Incoming, Failure> {
    let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|e| lost(lang, &e))?;
    tokio::spawn(connection);
    let request = hyper::Request::post(path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .header(LEVEL_HEADER, level.word())
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| lost(lang, &e))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|e| lost(lang, &e))?;
    Ok(response.into_body())
}

async fn interruptible(lang: Lang, work: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => {
            Err(failure(Exit::Interrupted, "interrupted", t!(lang, "err-interrupted")))
        }
    }
}

fn lost(lang: Lang, reason: &dyn std::fmt::Display) -> Failure {
    failure(
        Exit::Failed,
        "service_lost",
        t!(lang, "err-service-lost", reason = reason),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A service that gives one fixed answer, and returns the request it got.
    fn service(socket: &Path, answer: String) -> std::thread::JoinHandle<String> {
        let listener = UnixListener::bind(socket).expect("a socket in a new directory");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client comes");
            let mut got = Vec::new();
            let mut piece = [0; 4096];
            while !got.ends_with(b"}") {
                let read = stream.read(&mut piece).expect("a request");
                got.extend_from_slice(&piece[..read]);
            }
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            )
            .expect("room");
            String::from_utf8(got).expect("text")
        })
    }

    fn request() -> Request {
        Request {
            request_id: "r1".into(),
            lang: Lang::En,
            person: "lan".into(),
            asker: Default::default(),
            acting_for: None,
            command: Command::Status,
        }
    }

    fn connected(answer: &str) -> (tempfile::TempDir, std::thread::JoinHandle<String>, Service) {
        let dir = tempfile::tempdir().expect("room");
        let socket = dir.path().join("s");
        let thread = service(&socket, answer.into());
        let service = Service::at(&socket, Classification::None, Lang::En)
            .expect("it listens")
            .expect("it answers");
        (dir, thread, service)
    }

    #[test]
    fn a_verb_goes_over_the_socket_and_its_answer_comes_back() {
        let (_dir, thread, service) =
            connected(r#"{"ok":{"exit":"degraded","data":{"healthy":false}}}"#);
        let answer = service.execute(&request()).expect("answered");
        assert_eq!(answer.exit, Exit::Degraded);
        assert_eq!(answer.data["healthy"], false);
        let got = thread.join().expect("served");
        assert!(got.starts_with("POST /v1/command HTTP/1.1"), "{got}");
        assert!(got.contains(r#""verb":"status""#), "{got}");
    }

    #[test]
    fn a_failure_of_the_service_is_the_verbs_failure() {
        let (_dir, _thread, service) = connected(
            r#"{"failed":{"exit":"usage","code":"unknown_unit","message":"no such unit"}}"#,
        );
        let failure = service.execute(&request()).expect_err("refused");
        assert_eq!(
            (failure.exit, failure.code.as_str()),
            (Exit::Usage, "unknown_unit")
        );
    }

    #[test]
    fn a_sync_hands_progress_on_and_ends_with_done() {
        let (_dir, _thread, service) = connected(concat!(
            r#"{"event":"progress","phase":"push","done":1,"total":2,"bytes":10}"#,
            "\n",
            r#"{"event":"something_newer"}"#,
            "\n",
            r#"{"event":"done","exit":"partly","data":{"sent":2},"notes":["x"]}"#,
        ));
        let mut seen = Vec::new();
        let answer = service
            .sync(false, &mut |event| seen.push(event["phase"].to_string()))
            .expect("done");
        assert_eq!(seen, ["\"push\""]);
        assert_eq!(
            (answer.exit, answer.data["sent"].as_i64()),
            (Exit::Partly, Some(2))
        );
    }

    #[test]
    fn an_answer_that_breaks_off_is_a_failure_and_no_socket_is_no_service() {
        let (dir, _thread, service) = connected("{");
        assert_eq!(
            service.execute(&request()).expect_err("broken").code,
            "service_lost"
        );
        let none = Service::at(&dir.path().join("none"), Classification::None, Lang::En)
            .expect("nothing wrong");
        assert!(none.is_none());
    }
}
