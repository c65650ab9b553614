//! The engine `process`: a program in any language that speaks JSON lines. See `docs/adapter-process.md`.

mod program;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::program::Program;
use super::engine::{Engine, EngineError, Lists, Page, Position, Span, Upload, Write, Written};
use super::engines::Open;
use super::profile::Stream;

/// The version of the protocol.
const PROTOCOL: u64 = 1;

/// `[process]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments; started in the folder of the profile.
    pub command: Vec<String>,
    /// Until one answer, in seconds.
    #[serde(default = "minute")]
    pub answer_timeout_s: u64,
    /// Longest line of an answer, in bytes.
    #[serde(default = "line")]
    pub answer_bytes: u64,
    /// Its environment, besides `PATH` and `LANG`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

fn minute() -> u64 {
    60
}

fn line() -> u64 {
    32 << 20
}

/// The engine.
pub struct Process {
    program: Program,
    changes: bool,
}

/// A program is run for whoever could change the profile; so it is not run for somebody else, such as root for the service.
fn may_name_programs(profile: &Path) -> Result<(), EngineError> {
    let own = rustix::process::geteuid().as_raw();
    let owner = std::fs::metadata(profile).map(|meta| meta.uid());
    match owner {
        Ok(uid) if uid == own || uid == 0 => Ok(()),
        _ => Err(EngineError::NotAllowed(format!(
            "{} belongs to another user, and its program is run for that user or for root only; run this as that user \
             (sudo -u)",
            profile.display()
        ))),
    }
}

impl Process {
    /// Starts the program and greets it.
    pub async fn open(open: &Open<'_>) -> Result<Process, EngineError> {
        let Some(settings) = &open.loaded.profile.process else {
            let text = "engine = \"process\" needs a table [process]".to_owned();
            return Err(EngineError::NotAllowed(text));
        };
        may_name_programs(&open.loaded.file)?;
        let folder = open.loaded.file.parent();
        let mut program = Program::start(settings, folder, open.name)?;
        let hello = json!({ "ask": "hello", "protocol": PROTOCOL, "adapter": open.name });
        let answer = program.ask(&hello).await?;
        if answer["protocol"] != json!(PROTOCOL) {
            let text = format!(
                "the program speaks protocol {}, this is {PROTOCOL}",
                answer["protocol"]
            );
            return Err(EngineError::Unexpected(text));
        }
        Ok(Process {
            program,
            changes: answer["changes"] == json!(true),
        })
    }
}

/// The records of an answer; null: there is no such list.
fn records(answer: &Value) -> Result<Option<Vec<Value>>, EngineError> {
    match &answer["records"] {
        Value::Array(records) => Ok(Some(records.clone())),
        Value::Null => Ok(None),
        other => Err(EngineError::Unexpected(format!(
            "the program's records are {other}"
        ))),
    }
}

impl Engine for Process {
    fn lists(&self, _: &Stream) -> Lists {
        match self.changes {
            true => Lists::Changes,
            false => Lists::Everything,
        }
    }

    async fn list(
        &mut self,
        stream: &Stream,
        span: &Span,
        from: &Position,
    ) -> Result<Page, EngineError> {
        let since = match span {
            Span::Since(since) => Some(*since),
            Span::Full => None,
        };
        let question =
            json!({ "ask": "list", "stream": stream.name, "since": since, "from": from.0 });
        let answer = self.program.ask(&question).await?;
        let Some(records) = records(&answer)? else {
            let text = "the program answers a list without records".to_owned();
            return Err(EngineError::Unexpected(text));
        };
        let next = answer.get("next").filter(|next| !next.is_null()).cloned();
        if next.is_some() && next == from.0 {
            let text = "the program's listing goes round in circles".to_owned();
            return Err(EngineError::Unexpected(text));
        }
        Ok(Page {
            records,
            next: next.map(|next| Position(Some(next))),
            total: answer["total"].as_u64(),
            clock_ms: answer["clock_ms"].as_i64(),
            ..Page::default()
        })
    }

    async fn fetch(&mut self, stream: &Stream, id: &str) -> Result<Option<Value>, EngineError> {
        let question = json!({ "ask": "fetch", "stream": stream.name, "id": id });
        let answer = self.program.ask(&question).await?;
        Ok(answer
            .get("record")
            .filter(|record| record.is_object())
            .cloned())
    }

    async fn lookup(
        &mut self,
        stream: &Stream,
        key: &str,
    ) -> Result<Option<Vec<Value>>, EngineError> {
        let question = json!({ "ask": "lookup", "stream": stream.name, "key": key });
        records(&self.program.ask(&question).await?)
    }

    async fn write_one(&mut self, stream: &Stream, write: &Write) -> Result<Written, EngineError> {
        let question = json!({
            "ask": "write", "stream": stream.name, "id": write.id, "key": write.key, "body": write.body,
            "idempotency_key": write.idempotency_key, "version": write.version,
        });
        let answer = self.program.ask(&question).await?;
        Ok(Written {
            id: super::cycle::text_of(&answer["id"]).or_else(|| write.id.clone()),
            record: answer
                .get("record")
                .filter(|record| record.is_object())
                .cloned(),
        })
    }

    async fn upload(
        &mut self,
        stream: &Stream,
        id: &str,
        file: &Upload,
    ) -> Result<Option<String>, EngineError> {
        let question = json!({
            "ask": "upload", "stream": stream.name, "id": id, "path": file.path, "name": file.name, "size": file.size,
            "sha256": file.sha256, "idempotency_key": file.idempotency_key,
        });
        let answer = self.program.ask(&question).await?;
        Ok(super::cycle::text_of(&answer["file"]))
    }
}

/// What an answer says went wrong, if it does.
fn error_of(answer: &Value) -> Option<EngineError> {
    let kind = answer.get("error")?.as_str().unwrap_or_default();
    let message = answer["message"]
        .as_str()
        .unwrap_or("without a message")
        .to_owned();
    Some(match kind {
        "unreachable" => EngineError::Unreachable {
            message,
            retry_after: answer["retry_after_s"].as_u64().map(Duration::from_secs),
        },
        "authentication" => EngineError::Authentication(message),
        "refused" => EngineError::Refused(message),
        "moved" => EngineError::Moved(message),
        _ => EngineError::Unexpected(message),
    })
}
