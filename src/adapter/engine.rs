//! What the cycle asks of an engine, and how an engine says that something went wrong.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::profile::Stream;

/// Where a listing goes on: opaque to the cycle, kept on disk, so that a listing cut in the middle goes on where it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub Option<Value>);

/// What a listing covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// Everything there is: absence from it means something.
    Full,
    /// What changed since this instant (milliseconds since 1970, by the outside clock as far as it is known).
    Since(i64),
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records as the outside gives them, not mapped yet.
    pub records: Vec<Value>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Position>,
    /// How many records the outside says the whole listing has.
    pub total: Option<u64>,
    /// The outside clock when the page was made, where it tells (HTTP `Date`), in milliseconds since 1970.
    pub clock_ms: Option<i64>,
    /// What the page came from, where that is something people know: a file.
    pub source: Option<String>,
    /// What of it could not be read: a name for it, and why.
    pub refused: Vec<(String, String)>,
}

/// What a listing can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Always everything.
    Everything,
    /// Everything, or what changed since an instant.
    Changes,
    /// Only what is new; nothing follows from what it does not name.
    News,
}

/// What became of something that a run met, for those who look at where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Where it came from: [`Page::source`].
    pub source: Option<String>,
    /// In words.
    pub text: String,
    /// Whether it waits for a person.
    pub open: bool,
}

/// One record to be created or changed outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Our natural key of the record.
    pub key: String,
    /// The outside's id; `None` creates.
    pub id: Option<String>,
    /// What the profile's `write` mapping made.
    pub body: Value,
    /// The same for every try of the same write, for systems that take an idempotency key.
    pub idempotency_key: String,
    /// The version the outside record had when it was read, for systems that check it.
    pub version: Option<String>,
}

/// What became of one write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// The outside's id. `None`: the answer did not tell; it is looked up by its key.
    pub id: Option<String>,
    /// The record as the outside answered it, not mapped; `None`: it has to be read back.
    pub record: Option<Value>,
}

/// A file to be handed over with an outside record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Where its bytes are.
    pub path: PathBuf,
    /// Length in bytes.
    pub size: u64,
    /// Its name, safe to show and to send: no folders, no control characters.
    pub name: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// The same for every try.
    pub idempotency_key: String,
}

/// What went wrong outside, by what can be done about it. Messages name the stage and the address without its query,
/// and never hold secrets or what an outside system echoed of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Not reachable, too slow, overloaded: trying again may help.
    #[error("{message}")]
    Unreachable {
        /// What happened where.
        message: String,
        /// How long the outside asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The login or token was refused.
    #[error("{0}")]
    Authentication(String),
    /// This request was refused for good; others may be taken.
    #[error("{0}")]
    Refused(String),
    /// The answer is not what the profile says: no JSON, no such field, an unknown error code, a page twice.
    #[error("{0}")]
    Unexpected(String),
    /// A limit on time, bytes or rows was passed.
    #[error("{0}")]
    Limit(String),
    /// The profile does not allow it: a host that is not listed, a redirect.
    #[error("{0}")]
    NotAllowed(String),
    /// The outside record moved between reading and writing; read it again and merge again.
    #[error("{0}")]
    Moved(String),
}

impl EngineError {
    /// Whether the whole run should stop (the next write would end the same way), and not only this record.
    pub fn ends_the_run(&self) -> bool {
        !matches!(self, EngineError::Refused(_) | EngineError::Moved(_))
    }
}

/// An outside system that holds records with ids. Calls are made one after another; each has its own deadlines.
pub trait Engine: Send {
    /// What this stream's listing can tell.
    fn lists(&self, stream: &Stream) -> Lists {
        let _ = stream;
        Lists::Everything
    }

    /// How many writes are given to [`Engine::write`] at once. What a crash interrupts is asked about one by one.
    fn at_once(&self) -> usize {
        50
    }

    /// One page of a stream's listing, from `from` on.
    fn list(
        &mut self,
        stream: &Stream,
        span: &Span,
        from: &Position,
    ) -> impl Future<Output = Result<Page, EngineError>> + Send;

    /// One record by the outside's id; `None`: the outside says there is none.
    fn fetch(
        &mut self,
        stream: &Stream,
        id: &str,
    ) -> impl Future<Output = Result<Option<Value>, EngineError>> + Send;

    /// Records that may carry our key, asked before one is created. `None`: this system has no such look-up, so that a
    /// full listing has to answer.
    fn lookup(
        &mut self,
        stream: &Stream,
        key: &str,
    ) -> impl Future<Output = Result<Option<Vec<Value>>, EngineError>> + Send;

    /// Creates or changes one record.
    fn write_one(
        &mut self,
        stream: &Stream,
        write: &Write,
    ) -> impl Future<Output = Result<Written, EngineError>> + Send;

    /// Creates and changes records, in order. One result for each; after an error that ends the run the rest is left
    /// out, so that the answer may be shorter than the question.
    fn write(
        &mut self,
        stream: &Stream,
        writes: &[Write],
    ) -> impl Future<Output = Vec<Result<Written, EngineError>>> + Send {
        async move {
            let mut results = Vec::new();
            for write in writes {
                let result = self.write_one(stream, write).await;
                let ends = result.as_ref().is_err_and(EngineError::ends_the_run);
                results.push(result);
                if ends {
                    break;
                }
            }
            results
        }
    }

    /// Hands a file over for the record with the outside's id. Answers what the outside calls the file, if it tells.
    fn upload(
        &mut self,
        stream: &Stream,
        id: &str,
        file: &Upload,
    ) -> impl Future<Output = Result<Option<String>, EngineError>> + Send;

    /// A stream was exchanged and everything of it is on disk.
    fn done(
        &mut self,
        stream: &Stream,
        met: &[Remembered],
    ) -> impl Future<Output = Result<(), EngineError>> + Send {
        let _ = (stream, met);
        async { Ok(()) }
    }
}
