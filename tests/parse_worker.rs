//! A hostile file costs one import and not the program: this test is its own parsing process.
//!
//! It has no harness, because the parsing process must be a program that answers to the hidden argument.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::{env, fs, os::fd::OwnedFd, path::Path, thread};

use nqsync::sheet::{Limits, Parser, SheetError, Table, WORKER_ARGUMENT, worker_main};

fn main() {
    if env::args().nth(1).as_deref() == Some(WORKER_ARGUMENT) {
        std::process::exit(worker_main());
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = env::current_exe().expect("this test's path");
    let socket = folder.path().join("parse.sock");
    a_process_for_every_connection(&socket, &program);
    let child = Desk(folder.path(), Parser::Program(program));
    let service = Desk(folder.path(), Parser::Socket(socket));
    for desk in [&child, &service] {
        desk.a_table_comes_back_from_the_worker();
        desk.a_refusal_keeps_its_words();
        desk.a_file_above_the_limit_is_never_handed_over();
        desk.a_worker_without_time_is_ended();
    }
    child.a_worker_short_of_memory_is_an_error_that_says(&["out of memory"]);
    service.a_worker_short_of_memory_is_an_error_that_says(&["without an answer", "journalctl"]);
}

/// What `nqsync-parse.socket` has systemd do.
fn a_process_for_every_connection(socket: &Path, program: &Path) {
    let listener = UnixListener::bind(socket).expect("a socket");
    let program = program.to_owned();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let output = connection.try_clone().expect("a second end");
            let mut worker = Command::new(&program)
                .arg(WORKER_ARGUMENT)
                .env_clear()
                .stdin(OwnedFd::from(connection))
                .stdout(OwnedFd::from(output))
                .stderr(Stdio::null())
                .spawn()
                .expect("a worker");
            thread::spawn(move || worker.wait());
        }
    });
}

/// Who hands files over, and to whom.
struct Desk<'a>(&'a Path, Parser);

impl Desk<'_> {
    fn parse(&self, name: &str, bytes: &[u8], limits: &Limits) -> Result<Table, SheetError> {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("a written file");
        self.1.parse(&path, None, limits)
    }

    fn a_table_comes_back_from_the_worker(&self) {
        let bytes = "STT,Nhiệm vụ\n1,Lắp đèn\n".as_bytes();
        let table = self.parse("plan.csv", bytes, &Limits::default());
        assert_eq!(table.expect("a table").rows[1].cells[1].1.text, "Lắp đèn");
    }

    fn a_worker_short_of_memory_is_an_error_that_says(&self, words: &[&str]) {
        let limits = Limits {
            memory_bytes: 32 << 20,
            ..Limits::default()
        };
        let bytes = "1,2,3,4,5,6,7,8,9\n".repeat(100_000);
        let error = self
            .parse("plan.csv", bytes.as_bytes(), &limits)
            .expect_err("too little memory");
        assert!(matches!(error, SheetError::Worker { .. }), "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    fn a_refusal_keeps_its_words(&self) {
        let error = self
            .parse("plan.xlsx", b"PK\x03\x04", &Limits::default())
            .expect_err("a cut-off workbook");
        let words = "plan.xlsx is damaged or cut off";
        assert!(error.to_string().contains(words), "{error}");
    }

    fn a_file_above_the_limit_is_never_handed_over(&self) {
        let limits = Limits {
            file_bytes: 4,
            ..Limits::default()
        };
        let error = self
            .parse("plan.csv", b"1,2,3", &limits)
            .expect_err("a file above the limit");
        assert!(
            matches!(error, SheetError::TooLarge { allowed: 4, .. }),
            "{error}"
        );
    }

    fn a_worker_without_time_is_ended(&self) {
        let limits = Limits {
            wall_s: 0,
            ..Limits::default()
        };
        let error = self
            .parse("plan.csv", b"1,2\n", &limits)
            .expect_err("no time");
        assert!(error.to_string().contains("longer than 0 s"), "{error}");
    }
}
