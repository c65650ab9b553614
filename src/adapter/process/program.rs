//! The program itself: started, asked, ended.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{Settings, error_of};
use crate::adapter::engine::EngineError;

/// Longest line of a program's standard error that is logged, and most lines of one run.
const LOGGED: (u64, usize) = (1_000, 200);

/// A running program; ended when it is dropped.
pub struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    wall: Duration,
    most: u64,
    name: String,
}

impl Program {
    /// Starts it.
    pub fn start(
        settings: &Settings,
        folder: Option<&Path>,
        adapter: &str,
    ) -> Result<Program, EngineError> {
        let Some((name, args)) = settings.command.split_first() else {
            return Err(EngineError::NotAllowed(
                "process.command is empty".to_owned(),
            ));
        };
        let failed = |what: String| EngineError::NotAllowed(format!("{name}: {what}"));
        let mut command = Command::new(name);
        command.args(args).env_clear();
        for kept in ["PATH", "LANG"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
            .envs(&settings.environment)
            .current_dir(folder.unwrap_or_else(|| Path::new(".")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|e| failed(format!("cannot be started: {e}")))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| failed("has no pipes".to_owned()))?;
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(log(errors, adapter.to_owned()));
        }
        Ok(Program {
            child,
            input,
            output: BufReader::new(output),
            wall: Duration::from_secs(settings.answer_timeout_s),
            most: settings.answer_bytes,
            name: name.clone(),
        })
    }

    /// One question and its answer. A program that failed once is not asked again.
    pub async fn ask(&mut self, question: &Value) -> Result<Value, EngineError> {
        let asked = question["ask"].as_str().unwrap_or_default().to_owned();
        let mut line = question.to_string().into_bytes();
        line.push(b'\n');
        let (name, wall) = (self.name.clone(), self.wall);
        let exchange = async {
            self.input.write_all(&line).await?;
            self.input.flush().await?;
            let mut answer = Vec::new();
            (&mut self.output)
                .take(self.most + 1)
                .read_until(b'\n', &mut answer)
                .await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = match timeout(wall, exchange).await {
            Ok(Ok(answer)) if answer.len() as u64 > self.most => {
                let text = format!("{name}: answers {asked} with more than {} bytes", self.most);
                return Err(self.ended(EngineError::Limit(text)));
            }
            Ok(Ok(answer)) if answer.is_empty() => return Err(self.gone(&asked).await),
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(self.gone(&asked).await),
            Err(_) => {
                let message = format!("{name}: does not answer {asked} in {} s", wall.as_secs());
                return Err(self.ended(EngineError::Unreachable {
                    message,
                    retry_after: None,
                }));
            }
        };
        let Ok(answer) = serde_json::from_slice::<Value>(&answer) else {
            let shown: String = String::from_utf8_lossy(&answer).chars().take(200).collect();
            let text = format!("{name}: answers {asked} with something that is no JSON: {shown}");
            return Err(self.ended(EngineError::Unexpected(text)));
        };
        match error_of(&answer) {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }

    fn ended(&mut self, error: EngineError) -> EngineError {
        // An error means that it has ended by itself.
        let _ = self.child.start_kill();
        error
    }

    /// It ended in the middle of a question.
    async fn gone(&mut self, asked: &str) -> EngineError {
        let how = match timeout(Duration::from_secs(1), self.child.wait()).await {
            Ok(Ok(status)) => crate::process::ending(status),
            _ => "closed its output".to_owned(),
        };
        self.ended(EngineError::Unreachable {
            message: format!("{}: ended at {asked}: it {how}", self.name),
            retry_after: None,
        })
    }
}

/// What a program says on its standard error.
async fn log(errors: ChildStderr, adapter: String) {
    let mut errors = BufReader::new(errors);
    for _ in 0..LOGGED.1 {
        let mut line = Vec::new();
        let read = (&mut errors)
            .take(LOGGED.0)
            .read_until(b'\n', &mut line)
            .await;
        if !read.is_ok_and(|read| read > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        tracing::info!(adapter, "{}", text.trim_end().escape_debug());
    }
    // The rest is read and dropped, so that the program does not block on a full pipe.
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
}
