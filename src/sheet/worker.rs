//! Parsing in a process of its own: a file that exhausts memory or time costs one import and not the node.
//!
//! The parent reads the file, up to the limit, and starts this program with [`WORKER_ARGUMENT`]. The request is one
//! line of JSON on the child's input, followed by the bytes of the file; the answer is JSON on its output. The child
//! limits its own memory and CPU time before it reads anything, gets an empty environment, and opens no file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command},
    sync::mpsc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::table::{Limits, SheetError, Table, read_workbook};
use crate::process;

/// The hidden argument by which this program becomes a parsing process.
pub const WORKER_ARGUMENT: &str = "parse-worker";

/// Longest first line of a request, in bytes.
const REQUEST_BYTES: u64 = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Request {
    name: String,
    sheet: Option<String>,
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Table(Table),
    Refused(String),
}

/// Reads `path` in a process started from `exe`, which must call [`worker_main`] for [`WORKER_ARGUMENT`].
pub fn parse_isolated(
    exe: &Path,
    path: &Path,
    sheet: Option<&str>,
    limits: &Limits,
) -> Result<Table, SheetError> {
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let failed = |source| SheetError::Io {
        file: path.display().to_string(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limits.file_bytes + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > limits.file_bytes {
        let (what, found) = ("the file's size in bytes", bytes.len() as u64);
        return Err(SheetError::TooLarge {
            file: name,
            what,
            found,
            allowed: limits.file_bytes,
        });
    }
    let command = process::command(exe, WORKER_ARGUMENT);
    let request = Request {
        name,
        sheet: sheet.map(str::to_owned),
        limits: limits.clone(),
    };
    ask(command, request, bytes)
}

/// The parsing process: reads one request from standard input, answers on standard output, returns the exit code.
///
/// To be called before anything else is set up, in particular before threads and the runtime.
pub fn worker_main() -> i32 {
    match serve(
        &mut BufReader::new(io::stdin().lock()),
        &mut io::stdout().lock(),
        limit_self,
    ) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{WORKER_ARGUMENT}: {error}");
            1
        }
    }
}

fn serve(
    input: &mut impl BufRead,
    output: &mut impl Write,
    limit: impl FnOnce(&Limits) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    input.take(REQUEST_BYTES).read_until(b'\n', &mut line)?;
    let request: Request = serde_json::from_slice(&line)?;
    limit(&request.limits)?;
    let mut bytes = Vec::new();
    input
        .take(request.limits.file_bytes + 1)
        .read_to_end(&mut bytes)?;
    let answer = match read_workbook(
        &request.name,
        &bytes,
        request.sheet.as_deref(),
        &request.limits,
    ) {
        Ok(table) => Answer::Table(table),
        Err(error) => Answer::Refused(error.to_string()),
    };
    let mut output = io::BufWriter::new(output);
    serde_json::to_writer(&mut output, &answer)?;
    output.flush()
}

fn limit_self(limits: &Limits) -> io::Result<()> {
    process::limit_self(limits.memory_bytes)?;
    process::limit_cpu(limits.cpu_s)
}

fn ask(mut command: Command, request: Request, bytes: Vec<u8>) -> Result<Table, SheetError> {
    let Request {
        ref name,
        ref limits,
        ..
    } = request;
    let (name, wall_s, most) = (name.clone(), limits.wall_s, limits.answer_bytes);
    let failed = |how: String| SheetError::Worker {
        file: name.clone(),
        how,
    };
    let mut line =
        serde_json::to_vec(&request).map_err(|error| failed(format!("got no request: {error}")))?;
    line.push(b'\n');
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    let answer = exchange(&mut child, line, bytes, most, Duration::from_secs(wall_s));
    // Whatever happened, nothing may be left running; a child that has ended is not harmed.
    let timed_out = answer.is_none();
    if timed_out
        || answer
            .as_ref()
            .is_some_and(|answer| answer.len() as u64 > most)
    {
        // An error means that it has ended by itself.
        let _ = child.kill();
    }
    let status = child
        .wait()
        .map_err(|error| failed(format!("could not be awaited: {error}")))?;
    let Some(answer) = answer else {
        return Err(failed(format!("took longer than {wall_s} s and was ended")));
    };
    if answer.len() as u64 > most {
        return Err(failed(format!("answered with more than {most} bytes")));
    }
    if !status.success() {
        return Err(failed(process::ending(status)));
    }
    match serde_json::from_slice(&answer) {
        Ok(Answer::Table(table)) => Ok(table),
        Ok(Answer::Refused(message)) => Err(SheetError::Refused { message }),
        Err(error) => Err(failed(format!(
            "gave an answer that cannot be read: {error}"
        ))),
    }
}

/// Hands over the request and collects the answer, at most one byte more than allowed; none when time is up.
fn exchange(
    child: &mut Child,
    line: Vec<u8>,
    bytes: Vec<u8>,
    most: u64,
    wall: Duration,
) -> Option<Vec<u8>> {
    let (mut input, output) = (child.stdin.take()?, child.stdout.take()?);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // A child that ended early breaks the pipe; its exit status tells more than this error would.
        let _ = input
            .write_all(&line)
            .and_then(|()| input.write_all(&bytes));
    });
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        // What was read up to a failure is judged by the exit status and by its form.
        let _ = output.take(most + 1).read_to_end(&mut answer);
        // The receiver is gone once time was up.
        let _ = sender.send(answer);
    });
    receiver.recv_timeout(wall).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &[u8] = "STT,Nhiệm vụ\n1,Làm\n".as_bytes();

    fn request(limits: Limits) -> Request {
        Request {
            name: "plan.csv".to_owned(),
            sheet: None,
            limits,
        }
    }

    fn shell(script: &str, limits: Limits) -> Result<Table, SheetError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        process::confine(&mut command);
        ask(command, request(limits), PLAN.to_vec())
    }

    fn served(name: &str, bytes: &[u8]) -> Answer {
        let request = Request {
            name: name.to_owned(),
            ..request(Limits::default())
        };
        let mut input = serde_json::to_vec(&request).unwrap();
        input.push(b'\n');
        input.extend_from_slice(bytes);
        let mut output = Vec::new();
        serve(&mut input.as_slice(), &mut output, |_| Ok(())).unwrap();
        serde_json::from_slice(&output).unwrap()
    }

    #[test]
    fn a_table_passes_through_the_protocol_unchanged() {
        let expected = read_workbook("plan.csv", PLAN, None, &Limits::default()).unwrap();
        assert!(matches!(served("plan.csv", PLAN), Answer::Table(table) if table == expected));
        assert!(
            matches!(served("plan.xlsx", PLAN), Answer::Refused(message) if message.contains("plan.xlsx"))
        );
    }

    #[test]
    fn a_worker_that_is_killed_is_an_error_that_says_so() {
        let error = shell("kill -9 $$", Limits::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("plan.csv") && error.contains("killed (signal 9)"),
            "{error}"
        );
        let error = shell("exit 3", Limits::default()).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_worker_that_never_answers_is_ended() {
        let error = shell(
            "exec tail -f /dev/null",
            Limits {
                wall_s: 0,
                ..Limits::default()
            },
        )
        .unwrap_err();
        assert!(error.to_string().contains("longer than 0 s"), "{error}");
    }

    #[test]
    fn an_answer_without_end_or_sense_is_refused() {
        let error = shell(
            "exec cat /dev/zero",
            Limits {
                answer_bytes: 1000,
                ..Limits::default()
            },
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("more than 1000 bytes"),
            "{error}"
        );
        let error = shell("echo nonsense", Limits::default()).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_said() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        let exe = Path::new("/nonexistent/nqsync");
        let error = parse_isolated(exe, file.path(), None, &Limits::default()).unwrap_err();
        assert!(
            error.to_string().contains("could not be started"),
            "{error}"
        );
    }
}
