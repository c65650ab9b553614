//! The unit files: as tight as the documentation says, and not tighter than the program needs.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use nqsync::adapter::mapping::{MapLimits, Mapper};
use support::machine::{Machine, SOON, until};
use support::strace;

const SERVICE: &str = "nqsync.service";
const WORKER: &str = "nqsync-parse@.service";

fn unit(name: &str) -> String {
    format!("{}/systemd/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What `systemd-analyze` says; none where it is not here.
fn analyze(args: &[&str]) -> Option<String> {
    let output = Command::new("systemd-analyze").args(args).output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            println!("not run: systemd-analyze is not here");
            None
        }
    }
}

#[test]
fn each_service_is_as_confined_as_the_documentation_says() {
    for (name, most) in [(SERVICE, 1.5), (WORKER, 0.5)] {
        let Some(said) = analyze(&["security", "--offline=true", &unit(name)]) else {
            return;
        };
        let score = said
            .split("exposure level for")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|score| score.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("{said}"));
        println!("{name}: {score}");
        assert!(score <= most, "{said}");
    }
}

/// The names that a unit's filter lets pass, with every group of them looked up.
fn allowed(name: &str) -> Option<BTreeSet<String>> {
    let text = fs::read_to_string(unit(name)).expect("a unit file");
    let mut calls = BTreeSet::new();
    for line in text.lines() {
        let Some(filter) = line.strip_prefix("SystemCallFilter=") else {
            continue;
        };
        let (listed, denied) = match filter.strip_prefix('~') {
            Some(listed) => (listed, true),
            None => (filter, false),
        };
        for word in listed.split_whitespace() {
            for call in members(word)? {
                if denied {
                    calls.remove(&call);
                } else {
                    calls.insert(call);
                }
            }
        }
    }
    assert!(calls.len() > 50, "{name} has a filter");
    Some(calls)
}

fn members(word: &str) -> Option<BTreeSet<String>> {
    if !word.starts_with('@') {
        return Some([word.to_owned()].into());
    }
    let mut calls = BTreeSet::new();
    let listed = analyze(&["syscall-filter", word])?;
    for line in listed.lines().skip(1).map(str::trim) {
        if line.starts_with('@') || line.starts_with(|c: char| c.is_ascii_lowercase()) {
            calls.extend(members(line)?);
        }
    }
    Some(calls)
}

/// A stand-in for the program, whose calls are written down and compared with what a unit lets pass.
struct Traced {
    unit: &'static str,
    folder: tempfile::TempDir,
    program: PathBuf,
    allowed: BTreeSet<String>,
}

impl Traced {
    /// None where the tools for it are not here.
    fn by(unit: &'static str) -> Option<Traced> {
        let allowed = allowed(unit)?;
        if !strace::usable() {
            return None;
        }
        let folder = tempfile::tempdir().expect("room");
        let program = folder.path().join("traced");
        // The process keeps its number, so that signals reach it.
        let line = format!(
            "#!/bin/sh\nexec strace -D -f -qq -o '{}' '{}' \"$@\"\n",
            folder.path().join("calls").display(),
            env!("CARGO_BIN_EXE_nqsync")
        );
        fs::write(&program, line).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it may run");
        Some(Traced {
            unit,
            folder,
            program,
            allowed,
        })
    }

    /// Everything that it called was let pass, but for what is not the unit's; `seen` was among it.
    fn was_let(&self, seen: &[&str], not_ours: &[&str]) {
        let text = fs::read_to_string(self.folder.path().join("calls")).expect("what strace saw");
        let calls = text.lines().filter_map(|line| {
            let (_, call) = line.split_once(' ')?;
            let (name, _) = call.trim_start().split_once('(')?;
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            (is_name && !name.is_empty()).then(|| name.to_owned())
        });
        let used: BTreeSet<String> = calls.collect();
        println!("{}: {} calls, {used:?}", self.unit, used.len());
        for call in seen {
            assert!(used.contains(*call), "strace did not see {call}");
        }
        let refused: Vec<_> = used
            .difference(&self.allowed)
            .filter(|call| !not_ours.contains(&call.as_str()))
            .collect();
        assert!(refused.is_empty(), "{} refuses {refused:?}", self.unit);
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn the_filter_lets_the_service_do_everything_it_does() {
    let Some(traced) = Traced::by(SERVICE) else {
        return;
    };
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let mut commune = Machine::child(&ministry, "24001", "commune");
    commune.program = Some(traced.program.clone());
    let url = format!("upstream.url=https://{}", ministry.address());
    let open = ["console.address=127.0.0.1:0", "metrics.address=127.0.0.1:0"];
    let service = commune.serve_with(&[&SOON[..], &[&url], &open].concat());
    commune.program = None;

    let line = [
        "task", "add", "--title", "Việc", "--lead", "24001", "--json",
    ];
    let task = ministry.run(&line).expect(0).json()["id"].clone();
    let task = task.as_str().expect("an id");
    commune.run(&["sync", "--wait"]).expect(0);
    fs::write(commune.at("photo.jpg"), vec![7; 300_000]).expect("a file");
    let photo = commune.at("photo.jpg");
    let photo = photo.to_str().expect("a name");
    for line in [
        &[
            "report", "set", task, "--result", "xong", "--status", "done",
        ][..],
        &["evidence", "add", task, photo],
        &["report", "submit", task],
        &["sync", "--wait"],
        &["verify", "--local"],
        &["status"],
    ] {
        let ran = commune.run(line);
        assert!([0, 4].contains(&ran.code), "{line:?}: {ran:?}");
    }
    let backup = commune.at("kept");
    commune
        .run(&["backup", backup.to_str().expect("a name")])
        .expect(0);
    for (what, path) in [
        ("the console is open", "/login"),
        ("the figures are open", "/metrics"),
    ] {
        let answer = get(&until(what, || address(&commune, what)), path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    service.stop();

    // SQLite hands its files to the owner of the database, but only as root; the service is not root.
    let not_ours = ["fchown"];
    traced.was_let(
        &["pwrite64", "fsync", "accept4", "connect", "recvfrom"],
        &not_ours,
    );
}

/// Where a page is served, as the log says.
fn address(machine: &Machine, what: &str) -> Option<String> {
    let log = fs::read_to_string(machine.at("log")).ok()?;
    let line = log.lines().find(|line| line.contains(what))?;
    let (_, rest) = line.split_once("http://")?;
    rest.split(['/', '"']).next().map(str::to_owned)
}

#[test]
fn the_filter_lets_the_children_of_the_service_map_records() {
    let Some(traced) = Traced::by(SERVICE) else {
        return;
    };
    let set = [("a".to_owned(), ".x".to_owned())].into();
    let programs = [("s".to_owned(), set)].into();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let value = runtime.block_on(async {
        let mapper = Mapper::start(&traced.program, programs, MapLimits::default()).await?;
        mapper.one("s", serde_json::json!({"x": 7})).await
    });
    assert_eq!(value.expect("a value"), 7);

    traced.was_let(&["prlimit64"], &[]);
}

#[test]
fn the_filter_lets_the_worker_read_a_table() {
    let Some(traced) = Traced::by(WORKER) else {
        return;
    };
    let workbook = traced.folder.path().join("plan.xlsx");
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (column, text) in (0u16..).zip(["STT", "Nhiệm vụ"]) {
        sheet.write(0, column, text).expect("a cell");
    }
    book.save(&workbook).expect("a workbook");
    let limits = nqsync::sheet::Limits {
        // The script and the tracer need some of their own.
        memory_bytes: 1 << 30,
        ..Default::default()
    };
    let table =
        nqsync::sheet::Parser::Program(traced.program.clone()).parse(&workbook, None, &limits);
    assert_eq!(table.expect("a table").rows.len(), 1);

    traced.was_let(&["prlimit64"], &[]);
}
