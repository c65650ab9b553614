//! Verbs put to a running service over its control socket, in two steps: the question, and the answer if it comes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nqsync::api::{Answer, Command, Failure, Lang, Outcome, Request, TaskFields};
use serde_json::Value;

use super::machine::Machine;

/// A question that is under way.
pub struct Asked(UnixStream);

/// A request by its id.
pub fn request(id: &str, command: Command) -> Request {
    Request {
        request_id: id.to_owned(),
        lang: Lang::En,
        person: "lan".to_owned(),
        asker: Default::default(),
        acting_for: None,
        command,
    }
}

/// A task to be added, which is kept under the number's request id.
pub fn task_to_add(number: u64) -> Request {
    let fields = TaskFields {
        title: Some(format!("Việc {number}")),
        lead: Some(vec!["BO".to_owned()]),
        deadline: Some("31/12/2026".to_owned()),
        ..TaskFields::default()
    };
    request(&format!("r{number}"), Command::TaskAdd { fields })
}

/// Hands a request to the service of a machine.
pub fn ask(machine: &Machine, request: &Request) -> Asked {
    try_ask(machine, request).expect("a service that takes a request")
}

/// The same where the service may be gone.
pub fn try_ask(machine: &Machine, request: &Request) -> Option<Asked> {
    ask_over(dial(machine)?, request)
}

/// A connection on which nothing was asked yet.
pub fn dial(machine: &Machine) -> Option<UnixStream> {
    UnixStream::connect(machine.at("control.sock")).ok()
}

/// Hands a request over on a connection.
pub fn ask_over(mut stream: UnixStream, request: &Request) -> Option<Asked> {
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).expect("a limit");
    let body = serde_json::to_string(request).expect("JSON");
    let head = "POST /v1/command HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length:";
    write!(stream, "{head} {}\r\n\r\n{body}", body.len()).ok()?;
    Some(Asked(stream))
}

impl Asked {
    /// The answer; `None` when the service ended before it had said it whole.
    pub fn heard(mut self) -> Option<Outcome> {
        let mut bytes = Vec::new();
        // A reset is an end like any other.
        let _ = self.0.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).ok()?;
        let (_, body) = text.split_once("\r\n\r\n")?;
        let mut said: Value = serde_json::from_str(body).ok()?;
        Some(match said.get_mut("ok") {
            Some(answer) => Ok(serde_json::from_value::<Answer>(answer.take()).expect("an answer")),
            None => {
                let failed = said["failed"].take();
                Err(serde_json::from_value::<Failure>(failed).expect("a failure"))
            }
        })
    }
}
