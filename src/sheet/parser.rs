//! Who reads the tables of strangers: a process of its own, so that a file which exhausts memory or time costs one import
//! and not the node.
//!
//! Either this program starts itself once more, with an empty environment, or the system's service manager starts such a
//! process for every connection to a socket (`systemd/nqsync-parse.socket`), where it has no network and no files either.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    time::Duration,
};

use super::table::{Limits, SheetError, Table};
use super::worker::{Answer, Request, WORKER_ARGUMENT};
use crate::process;

/// Where a table is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parser {
    /// A child of this process, started from this program, which must call [`worker_main`](super::worker_main) for
    /// [`WORKER_ARGUMENT`].
    Program(PathBuf),
    /// A process behind this Unix socket.
    Socket(PathBuf),
}

impl Parser {
    /// The service behind the socket, if there is one, else a child started from `program`.
    pub fn of(socket: Option<&Path>, program: &Path) -> Parser {
        match socket {
            Some(socket) => Parser::Socket(socket.to_owned()),
            None => Parser::Program(program.to_owned()),
        }
    }

    /// Reads a file, up to the limit, and has it parsed; only this sheet of it, where one is named.
    pub fn parse(
        &self,
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
        let request = Request {
            name: name.clone(),
            sheet: sheet.map(str::to_owned),
            limits: limits.clone(),
        };
        let answer = match self {
            Parser::Program(program) => {
                ask_child(process::command(program, WORKER_ARGUMENT), &request, bytes)
            }
            Parser::Socket(socket) => ask_service(socket, &request, bytes),
        };
        match answer.map_err(|how| SheetError::Worker { file: name, how })? {
            Answer::Table(table) => Ok(table),
            Answer::Refused(message) => Err(SheetError::Refused { message }),
        }
    }
}

/// Asks a child; what went wrong is told as the end of a sentence about it.
fn ask_child(mut command: Command, request: &Request, bytes: Vec<u8>) -> Result<Answer, String> {
    let line = first_line(request)?;
    let mut child = command
        .spawn()
        .map_err(|error| format!("could not be started: {error}"))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("has no input or no output".to_owned());
    };
    let send = move || {
        input
            .write_all(&line)
            .and_then(|()| input.write_all(&bytes))
    };
    let answer = exchange(send, output, &request.limits);
    if answer.is_err() {
        // Whatever happened, nothing may be left running; an error means that it has ended by itself.
        let _ = child.kill();
    }
    let status = child
        .wait()
        .map_err(|error| format!("could not be awaited: {error}"))?;
    let answer = answer?;
    if !status.success() {
        return Err(process::ending(status));
    }
    understood(&answer)
}

/// Asks a process behind a socket. Whoever started it ends it when the connection is gone.
fn ask_service(socket: &Path, request: &Request, bytes: Vec<u8>) -> Result<Answer, String> {
    let line = first_line(request)?;
    let failed = |error: io::Error| {
        let socket = socket.display();
        format!("cannot be reached at {socket}: {error}. Is nqsync-parse.socket started?")
    };
    let mut input = UnixStream::connect(socket).map_err(failed)?;
    let output = input.try_clone().map_err(failed)?;
    let line_to_it = input.try_clone().map_err(failed)?;
    let send = move || {
        input.write_all(&line)?;
        input.write_all(&bytes)?;
        input.shutdown(Shutdown::Write)
    };
    let answer = exchange(send, output, &request.limits);
    // Also what another thread still writes or reads comes to its end; an error means that it has.
    let _ = line_to_it.shutdown(Shutdown::Both);
    match answer? {
        answer if answer.is_empty() => Err(
            "ended without an answer: it ran out of memory or time, could not cope with the file, or too many files were read at once (try again). See journalctl -u 'nqsync-parse@*'"
                .to_owned(),
        ),
        answer => understood(&answer),
    }
}

fn first_line(request: &Request) -> Result<Vec<u8>, String> {
    let mut line =
        serde_json::to_vec(request).map_err(|error| format!("got no request: {error}"))?;
    line.push(b'\n');
    Ok(line)
}

fn understood(answer: &[u8]) -> Result<Answer, String> {
    serde_json::from_slice(answer)
        .map_err(|error| format!("gave an answer that cannot be read: {error}"))
}

/// Hands over the request and collects the answer, within the limits of time and length.
fn exchange(
    send: impl FnOnce() -> io::Result<()> + Send + 'static,
    output: impl Read + Send + 'static,
    limits: &Limits,
) -> Result<Vec<u8>, String> {
    let (wall_s, most) = (limits.wall_s, limits.answer_bytes);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // A process that ended early breaks the pipe; how it ended tells more than this error would.
        let _ = send();
    });
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        // What was read up to a failure is judged by the exit status and by its form.
        let _ = output.take(most + 1).read_to_end(&mut answer);
        // The receiver is gone once time was up.
        let _ = sender.send(answer);
    });
    match receiver.recv_timeout(Duration::from_secs(wall_s)) {
        Err(_) => Err(format!("took longer than {wall_s} s and was ended")),
        Ok(answer) if answer.len() as u64 > most => {
            Err(format!("answered with more than {most} bytes"))
        }
        Ok(answer) => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limits: Limits) -> String {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        process::confine(&mut command);
        let request = Request {
            name: "plan.csv".to_owned(),
            sheet: None,
            limits,
        };
        match ask_child(command, &request, b"1,2\n".to_vec()) {
            Ok(_) => panic!("{script} gave an answer"),
            Err(how) => how,
        }
    }

    #[test]
    fn a_worker_that_is_killed_is_an_error_that_says_so() {
        let how = shell("kill -9 $$", Limits::default());
        assert!(how.contains("killed (signal 9)"), "{how}");
        let how = shell("exit 3", Limits::default());
        assert!(how.contains("exit status: 3"), "{how}");
    }

    #[test]
    fn a_worker_that_never_answers_is_ended() {
        let limits = Limits {
            wall_s: 0,
            ..Limits::default()
        };
        let how = shell("exec tail -f /dev/null", limits);
        assert!(how.contains("longer than 0 s"), "{how}");
    }

    #[test]
    fn an_answer_without_end_or_sense_is_refused() {
        let limits = Limits {
            answer_bytes: 1000,
            ..Limits::default()
        };
        let how = shell("exec cat /dev/zero", limits);
        assert!(how.contains("more than 1000 bytes"), "{how}");
        let how = shell("echo nonsense", Limits::default());
        assert!(how.contains("cannot be read"), "{how}");
    }

    #[test]
    fn a_worker_that_is_not_there_is_said() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        for (parser, words) in [
            (
                Parser::Program("/nonexistent/nqsync".into()),
                "could not be started",
            ),
            (
                Parser::Socket("/nonexistent/parse.sock".into()),
                "nqsync-parse.socket",
            ),
        ] {
            let error = parser
                .parse(file.path(), None, &Limits::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
