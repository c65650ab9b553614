//! The parent's side: one mapping process, asked from here and replaced when an expression has ended it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::worker::{Answer, Opening, Question, WORKER_ARGUMENT};
use super::{MapError, MapLimits, Programs, shown};
use crate::process;

/// So many inputs of one call may end the process; then the expression is at fault and not the input.
const MOST_DEATHS: usize = 5;

/// Bytes of questions written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Maps records by a profile's expressions. Clones share one process and take turns.
#[derive(Clone)]
pub struct Mapper {
    inner: Arc<Inner>,
}

struct Inner {
    exe: PathBuf,
    programs: Programs,
    limits: MapLimits,
    /// The process, when one is ready. It is taken out while it is asked, so that a call that is given up in the middle
    /// leaves no answers behind for the next.
    process: Mutex<Option<Process>>,
}

struct Process {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What asking came to: an answer for each of the first inputs, and how the process ended if it did.
#[derive(Default)]
struct Asked {
    answers: Vec<Answer>,
    /// The expression announced last, for the input that has no answer.
    at: Option<usize>,
    ended: Option<String>,
}

/// Why there are no more answers.
enum End {
    /// The process has closed its output.
    Closed,
    /// Waiting longer is no use.
    Because(String),
}

/// The set that is asked: its number and its expressions.
struct Set<'a> {
    name: &'a str,
    number: usize,
    expressions: &'a BTreeMap<String, String>,
}

impl Mapper {
    /// Starts `exe`, which must call [`worker_main`](super::worker_main) for [`WORKER_ARGUMENT`], and has it compile
    /// everything.
    pub async fn start(
        exe: &Path,
        programs: Programs,
        limits: MapLimits,
    ) -> Result<Mapper, MapError> {
        let inner = Inner {
            exe: exe.to_owned(),
            programs,
            limits,
            process: Mutex::new(None),
        };
        let process = inner.start().await?;
        *inner.process.lock().await = Some(process);
        Ok(Mapper {
            inner: Arc::new(inner),
        })
    }

    /// Every expression of a set on every input: for each input its values by name, or why one expression has none.
    pub async fn map(
        &self,
        set: &str,
        inputs: Vec<Value>,
    ) -> Result<Vec<Result<BTreeMap<String, Value>, MapError>>, MapError> {
        self.inner.map(self.inner.set(set)?, &inputs).await
    }

    /// The value of a set with a single expression.
    pub async fn one(&self, set: &str, input: Value) -> Result<Value, MapError> {
        let mut outcomes = self.map(set, vec![input]).await?;
        let values = outcomes.pop().ok_or_else(nonsense)??;
        values.into_values().next().ok_or_else(nonsense)
    }
}

fn nonsense() -> MapError {
    MapError::Worker("gave an answer that cannot be read".to_owned())
}

impl Inner {
    fn set(&self, name: &str) -> Result<Set<'_>, MapError> {
        let found = self
            .programs
            .iter()
            .enumerate()
            .find(|(_, (n, _))| *n == name);
        let (number, (name, expressions)) =
            found.ok_or_else(|| MapError::NoSuchSet(name.to_owned()))?;
        Ok(Set {
            name,
            number,
            expressions,
        })
    }

    async fn start(&self) -> Result<Process, MapError> {
        let failed = |error| MapError::Worker(format!("could not be started: {error}"));
        let mut child = Command::from(process::command(&self.exe, WORKER_ARGUMENT))
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(MapError::Worker("has no pipes".to_owned()));
        };
        let mut process = Process {
            child,
            questions,
            answers: BufReader::new(answers),
        };
        let opening = Opening {
            limits: self.limits.clone(),
            programs: self.programs.clone(),
        };
        let mut line = serde_json::to_vec(&opening).map_err(|_| nonsense())?;
        line.push(b'\n');
        let asked = process.ask(&line, 1, &self.limits).await;
        match (asked.answers.into_iter().next(), asked.ended) {
            (Some(Answer::Ready), _) => Ok(process),
            (Some(Answer::Misread(misread)), _) => Err(MapError::Misread(misread)),
            (_, Some(how)) => Err(MapError::Worker(format!("{how} before the first record"))),
            _ => Err(nonsense()),
        }
    }

    async fn map(
        &self,
        set: Set<'_>,
        inputs: &[Value],
    ) -> Result<Vec<Result<BTreeMap<String, Value>, MapError>>, MapError> {
        let mut slot = self.process.lock().await;
        let mut outcomes = Vec::with_capacity(inputs.len());
        let mut deaths = 0;
        // After a death the guilty input is asked again alone and carefully, which tells the expression.
        let mut careful = false;
        while let Some(input) = inputs.get(outcomes.len()) {
            let mut process = match slot.take() {
                Some(process) => process,
                None => self.start().await?,
            };
            let rest = &inputs[outcomes.len()..];
            let asked = if careful {
                process
                    .ask_all(&set, &rest[..1], true, &self.limits)
                    .await?
            } else {
                process.ask_all(&set, rest, false, &self.limits).await?
            };
            for (answer, input) in asked.answers.into_iter().zip(rest) {
                outcomes.push(outcome(&set, answer, input)?);
                careful = false;
            }
            let Some(how) = asked.ended else {
                *slot = Some(process);
                continue;
            };
            if !careful {
                careful = true;
                continue;
            }
            careful = false;
            let error = failed(&set, asked.at, input, format!("the mapping process {how}"));
            deaths += 1;
            if deaths == MOST_DEATHS {
                let last = Box::new(error);
                return Err(MapError::GaveUp { deaths, last });
            }
            outcomes.push(Err(error));
        }
        Ok(outcomes)
    }
}

fn outcome(
    set: &Set<'_>,
    answer: Answer,
    input: &Value,
) -> Result<Result<BTreeMap<String, Value>, MapError>, MapError> {
    match answer {
        Answer::Values(values) if values.len() == set.expressions.len() => {
            Ok(Ok(set.expressions.keys().cloned().zip(values).collect()))
        }
        Answer::Failed(number, message) => Ok(Err(failed(set, number, input, message))),
        _ => Err(nonsense()),
    }
}

fn failed(set: &Set<'_>, number: Option<usize>, input: &Value, message: String) -> MapError {
    let expression = number.and_then(|number| set.expressions.iter().nth(number));
    MapError::Failed {
        set: set.name.to_owned(),
        name: expression.map(|(name, _)| name.clone()),
        expression: expression.map(|(_, source)| source.clone()),
        input: shown(input),
        message,
    }
}

impl Process {
    async fn ask_all(
        &mut self,
        set: &Set<'_>,
        inputs: &[Value],
        careful: bool,
        limits: &MapLimits,
    ) -> Result<Asked, MapError> {
        let mut asked = Asked::default();
        let mut lines = Vec::new();
        let mut count = 0;
        for (number, input) in inputs.iter().enumerate() {
            let question = Question {
                set: set.number,
                careful,
                input,
            };
            serde_json::to_writer(&mut lines, &question).map_err(|_| nonsense())?;
            lines.push(b'\n');
            count += 1;
            if lines.len() < CHUNK_BYTES && number + 1 < inputs.len() {
                continue;
            }
            let part = self.ask(&lines, count, limits).await;
            asked.answers.extend(part.answers);
            (asked.at, asked.ended) = (part.at, part.ended);
            if asked.ended.is_some() {
                break;
            }
            lines.clear();
            count = 0;
        }
        Ok(asked)
    }

    /// Writes lines and reads the answers to `count` questions in them, both at once: neither end waits for the other
    /// with a full pipe.
    async fn ask(&mut self, lines: &[u8], count: usize, limits: &MapLimits) -> Asked {
        let (questions, answers) = (&mut self.questions, &mut self.answers);
        let writing = async {
            // A process that has ended breaks the pipe; how it ended tells more than this error would.
            let _ = questions.write_all(lines).await;
            std::future::pending::<Infallible>().await
        };
        let (mut asked, end) = tokio::select! {
            read = read_answers(answers, count, limits) => read,
            never = writing => match never {},
        };
        asked.ended = match end {
            None => None,
            Some(End::Closed) => Some(match self.child.wait().await {
                Ok(status) => process::ending(status),
                Err(error) => format!("could not be awaited: {error}"),
            }),
            Some(End::Because(how)) => {
                // An error means that it has ended by itself.
                let _ = self.child.kill().await;
                Some(how)
            }
        };
        asked
    }
}

/// Reads until `count` questions are answered, or there is no use in going on.
async fn read_answers(
    answers: &mut BufReader<ChildStdout>,
    count: usize,
    limits: &MapLimits,
) -> (Asked, Option<End>) {
    let mut asked = Asked::default();
    let mut line = Vec::new();
    while asked.answers.len() < count {
        line.clear();
        let mut limited = (&mut *answers).take(limits.answer_bytes);
        let reading = limited.read_until(b'\n', &mut line);
        let end = match timeout(Duration::from_secs(limits.wall_s), reading).await {
            Err(_) => End::Because(format!(
                "took longer than {} s and was ended",
                limits.wall_s
            )),
            Ok(Err(_)) => End::Closed,
            // Nothing, or a line that the end of the process has cut off.
            Ok(Ok(read)) if !line.ends_with(b"\n") && (read as u64) < limits.answer_bytes => {
                End::Closed
            }
            Ok(Ok(_)) => match serde_json::from_slice(&line) {
                Ok(Answer::At(number)) => {
                    asked.at = Some(number);
                    continue;
                }
                Ok(answer) => {
                    asked.answers.push(answer);
                    asked.at = None;
                    continue;
                }
                Err(_) => End::Because("gave an answer that cannot be read".to_owned()),
            },
        };
        return (asked, Some(end));
    }
    (asked, None)
}
