//! Mappings: jq, in a process of its own.
//!
//! A mapping is written by an administrator or a vendor, so it may loop, recurse without end or ask for all memory.
//! It costs the record it was run on, and nothing else: the process is ended and another one goes on with the next record.

mod child;
mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

pub use worker::{WORKER_ARGUMENT, worker_main};

use child::{Child, Line};

/// Expressions by name, by set: one set is evaluated on one input at once.
pub type Programs = BTreeMap<String, BTreeMap<String, String>>;

/// Inputs handed over at once.
const TOGETHER: usize = 256;
/// Most characters of an input that an error shows.
const SHOWN: usize = 200;

/// Limits of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapLimits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// CPU time of one process in all, in seconds.
    pub cpu_s: u64,
    /// Wall time for one input, in milliseconds.
    pub wall_ms: u64,
}

impl Default for MapLimits {
    fn default() -> Self {
        MapLimits {
            memory_bytes: 512 << 20,
            cpu_s: 600,
            wall_ms: 5_000,
        }
    }
}

/// A mapping that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// One expression on one input.
    #[error("{set} {name}: {message}; expression: {source_text}; input: {input}")]
    Expression {
        /// The set: stream and direction.
        set: String,
        /// Name of the expression.
        name: String,
        /// Its text.
        source_text: String,
        /// The input, shortened.
        input: String,
        /// What went wrong.
        message: String,
    },
    /// An expression that is no jq.
    #[error("{set} {name}: {message}; expression: {source_text}")]
    Compile {
        /// The set.
        set: String,
        /// Name of the expression.
        name: String,
        /// Its text.
        source_text: String,
        /// What is wrong with it.
        message: String,
    },
    /// One input ended the process.
    #[error("{set}: the mapping {how}; input: {input}")]
    Ended {
        /// The set.
        set: String,
        /// How it ended.
        how: String,
        /// The input, shortened.
        input: String,
    },
    /// The process cannot be used at all.
    #[error("the mapping process {0}")]
    Process(String),
}

/// Evaluates mappings. Cheap to clone; one process does the work of all clones.
#[derive(Clone)]
pub struct Mapper(Arc<Shared>);

struct Shared {
    exe: PathBuf,
    programs: Programs,
    limits: MapLimits,
    child: Mutex<Option<Child>>,
}

impl Mapper {
    /// Starts the process from `exe`, which must call [`worker_main`] for [`WORKER_ARGUMENT`], and compiles everything.
    pub async fn start(
        exe: &Path,
        programs: Programs,
        limits: MapLimits,
    ) -> Result<Mapper, MapError> {
        let shared = Shared {
            exe: exe.to_owned(),
            programs,
            limits,
            child: Mutex::new(None),
        };
        let child = shared.begin().await?;
        *shared.child.lock().await = Some(child);
        Ok(Mapper(Arc::new(shared)))
    }

    /// Every expression of a set on every input: values by name for each input, or the first expression that failed.
    pub async fn map(
        &self,
        set: &str,
        inputs: Vec<Value>,
    ) -> Result<Vec<Result<BTreeMap<String, Value>, MapError>>, MapError> {
        let mut results = Vec::with_capacity(inputs.len());
        let mut place = self.0.child.lock().await;
        while results.len() < inputs.len() {
            let begin = results.len();
            let end = inputs.len().min(begin + TOGETHER);
            let child = match &mut *place {
                Some(child) => child,
                None => place.insert(self.0.begin().await?),
            };
            let ended = self
                .0
                .some(child, set, &inputs[begin..end], &mut results)
                .await;
            if let Some(how) = ended {
                // The one without an answer is the one that ended the process.
                let input = shorten(inputs.get(results.len()).unwrap_or(&Value::Null));
                let set = set.to_owned();
                results.push(Err(MapError::Ended { set, how, input }));
                *place = None;
            }
        }
        Ok(results)
    }

    /// A set with a single expression on one input.
    pub async fn one(&self, set: &str, input: Value) -> Result<Value, MapError> {
        let result = self.map(set, vec![input]).await?.pop();
        let values =
            result.unwrap_or_else(|| Err(MapError::Process("gave no answer".to_owned())))?;
        Ok(values.into_values().next().unwrap_or_default())
    }
}

impl Shared {
    async fn begin(&self) -> Result<Child, MapError> {
        let mut child = Child::start(&self.exe).map_err(|e| MapError::Process(e.to_string()))?;
        let wall = Duration::from_millis(self.limits.wall_ms);
        let order = serde_json::json!({ "programs": self.programs, "limits": self.limits });
        let answered = async {
            child.send(&order).await.ok()?;
            child.line(wall).await
        };
        match answered.await {
            Some(Line::Ready) => Ok(child),
            Some(Line::Compile { set, name, message }) => Err(MapError::Compile {
                source_text: self.source(&set, &name),
                set,
                name,
                message,
            }),
            _ => Err(MapError::Process(child.end().await)),
        }
    }

    /// Some inputs; `Some` says how the process ended before it had answered all of them.
    async fn some(
        &self,
        child: &mut Child,
        set: &str,
        inputs: &[Value],
        results: &mut Vec<Result<BTreeMap<String, Value>, MapError>>,
    ) -> Option<String> {
        let order = serde_json::json!({ "set": set, "inputs": inputs });
        if child.send(&order).await.is_err() {
            return Some(child.end().await);
        }
        let wall = Duration::from_millis(self.limits.wall_ms);
        for input in inputs {
            match child.line(wall).await {
                Some(Line::Values(values)) => results.push(Ok(values)),
                Some(Line::Failed { name, message }) => results.push(Err(MapError::Expression {
                    set: set.to_owned(),
                    source_text: self.source(set, &name),
                    name,
                    input: shorten(input),
                    message,
                })),
                _ => return Some(child.end().await),
            }
        }
        None
    }

    fn source(&self, set: &str, name: &str) -> String {
        let found = self.programs.get(set).and_then(|set| set.get(name));
        found.cloned().unwrap_or_default()
    }
}

/// An input on one line, shortened.
fn shorten(input: &Value) -> String {
    let text = input.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
