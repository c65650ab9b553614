//! The mapping process as its parent sees it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::worker::WORKER_ARGUMENT;
use crate::process::ending;

/// Most bytes of one line of an answer.
const LINE_BYTES: u64 = 64 << 20;

/// One line of the process's answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Everything is compiled.
    Ready,
    /// This expression is no jq.
    Compile {
        /// Its set.
        set: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// The values of one input.
    Values(BTreeMap<String, Value>),
    /// An expression failed on one input.
    Failed {
        /// Its name.
        name: String,
        /// What went wrong.
        message: String,
    },
}

/// The running process; ended when it is dropped.
pub struct Child {
    process: tokio::process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    timed_out: bool,
}

impl Child {
    /// Starts it with an empty environment.
    pub fn start(exe: &Path) -> io::Result<Child> {
        let mut process = Command::new(exe)
            .arg(WORKER_ARGUMENT)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("has no pipes"))?;
        Ok(Child {
            process,
            input,
            output: BufReader::new(output),
            timed_out: false,
        })
    }

    /// Hands an order over.
    pub async fn send(&mut self, order: &Value) -> io::Result<()> {
        let mut line = order.to_string().into_bytes();
        line.push(b'\n');
        self.input.write_all(&line).await?;
        self.input.flush().await
    }

    /// The next line of its answer; `None`: it ended, took too long, or said something else.
    pub async fn line(&mut self, wall: Duration) -> Option<Line> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.output).take(LINE_BYTES);
        let Ok(read) = timeout(wall, limited.read_until(b'\n', &mut bytes)).await else {
            self.timed_out = true;
            return None;
        };
        read.ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Ends it, and tells how it had ended.
    pub async fn end(&mut self) -> String {
        if self.timed_out {
            // An error means that it has just ended by itself.
            let _ = self.process.start_kill();
            return "took too long and was ended".to_owned();
        }
        match timeout(Duration::from_secs(1), self.process.wait()).await {
            Ok(Ok(status)) => ending(status),
            Ok(Err(error)) => format!("could not be awaited: {error}"),
            Err(_) => {
                let _ = self.process.start_kill();
                "gave an answer that cannot be read".to_owned()
            }
        }
    }
}
