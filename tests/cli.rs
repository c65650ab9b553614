//! The command line seen from outside, without a node: help, usage, exit codes, and where output goes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;

use assert_cmd::Command;
use serde_json::{Value, json};

/// The program, in a directory without a node and a locale that says English.
fn nqsync() -> Command {
    let mut command = Command::cargo_bin("nqsync").expect("it is built");
    command
        .env_clear()
        .env("LANG", "en_US.UTF-8")
        .env("USER", "lan");
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(args: &[&str]) -> Ran {
    let output = nqsync().args(args).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes text");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

#[test]
fn every_verb_of_the_contract_has_help_with_an_example() {
    let groups = [
        (
            "init run sync status verify backup restore adopt enrol import demo completions man",
            "",
        ),
        ("node", "list token show clones adopt revoke"),
        ("unit", "list show add rename move merge split serve alias"),
        ("task", "list show add update withdraw"),
        ("report", "list show set submit withdraw"),
        ("evidence", "add list get remove accept reject"),
        ("indicator", "list define set"),
        ("directive", "list add show"),
        ("proposal", "list make withdraw accept reject"),
        (
            "period",
            "list show submit accept return close restate reopen",
        ),
        ("rollup", "show"),
        ("conflict", "list show resolve"),
        ("quarantine", "list show retry drop"),
        ("hold", "list show release refuse undo"),
        ("config", "check show schema"),
        ("fleet", "offer show install"),
        ("adapter", "list show check run simulate new test schema"),
    ];
    for (names, verbs) in groups {
        for name in names.split(' ') {
            let inner: Vec<&str> = verbs.split(' ').filter(|v| !v.is_empty()).collect();
            let lines = if inner.is_empty() {
                vec![vec![name]]
            } else {
                inner.iter().map(|v| vec![name, v]).collect()
            };
            for mut line in lines {
                line.push("--help");
                let ran = run(&line);
                assert_eq!(ran.code, 0, "{line:?}: {}", ran.err);
                assert!(
                    ran.out.contains("Example"),
                    "{line:?} teaches nothing:\n{}",
                    ran.out
                );
                assert!(ran.out.contains("--json"), "{line:?}:\n{}", ran.out);
            }
        }
    }
    let top = run(&["--help"]);
    assert!(
        top.out.contains("Exit codes") && !top.out.contains("parse-worker"),
        "{}",
        top.out
    );
}

#[test]
fn wrong_usage_is_exit_2_and_says_so_on_standard_error() {
    for line in [
        "",
        "nonsense",
        "task",
        "task show",
        "report withdraw III/12",
        "conflict resolve report:1:result",
        "conflict resolve report:1:result --take 1 --value x",
        "conflict resolve report:1:result --take 0",
        "import plan.xlsx",
        "import plan.xlsx --as poems",
        "rollup show --format xlsx",
        "node token 26548 --expires soon",
        "unit rename 26548",
        "quarantine drop 7",
        "status --set nonsense",
        "status --config a.toml --dir b",
        "init --unit 1 --level commune",
        "evidence add III/12 no-such-file.pdf",
        "import no-such-file.xlsx --as tasks",
    ] {
        let ran = run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, 2, "{line:?}: {}", ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{line:?}");
    }
}

#[test]
fn with_json_every_failure_is_one_json_document_on_standard_error() {
    for (line, code, name) in [
        ("--json task show", 2, "usage"),
        (
            "evidence add III/12 no-such-file.pdf --json",
            2,
            "cannot_read",
        ),
        ("status --json --dir no-such-node", 10, "not_initialised"),
    ] {
        let ran = run(&line.split(' ').collect::<Vec<_>>());
        let error: Value = serde_json::from_str(&ran.err).expect("JSON");
        assert_eq!(error["error"]["exit"], code, "{line}: {}", ran.err);
        assert_eq!(error["error"]["code"], name, "{line}: {}", ran.err);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""));
    }
}

#[test]
fn init_makes_private_folders_and_tells_the_next_step() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("room");
    for (level, next) in [
        ("ministry", "nqsync node token"),
        ("commune", "nqsync enrol --token -"),
    ] {
        let dir = parent.path().join(level);
        let path = dir.to_str().expect("text");
        let ran = run(&["init", "--unit", "26548", "--level", level, "--dir", path]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err.contains(next) && ran.err.contains(path),
            "{}",
            ran.err
        );
        assert!(ran.out.contains("Data directory:"), "{}", ran.out);
        for (name, mode) in [
            ("", 0o700),
            ("keys", 0o700),
            ("config.toml", 0o640),
            ("keys/node.key", 0o600),
        ] {
            let found = std::fs::metadata(dir.join(name)).expect(name).permissions();
            assert_eq!(found.mode() & 0o777 & !mode, 0, "{name} {:o}", found.mode());
        }
    }
}

#[test]
fn enrol_needs_no_address_where_the_token_has_one() {
    let dir = tempfile::tempdir().expect("room");
    let path = dir.path().to_str().expect("text");
    assert_eq!(
        run(&["init", "--unit", "1", "--level", "commune", "--dir", path]).code,
        0
    );
    let ran = run(&["enrol", "--token", "nonsense", "--dir", path, "--json"]);
    let error: Value = serde_json::from_str(&ran.err).expect("JSON");
    assert_eq!(
        (ran.code, &error["error"]["code"]),
        (2, &json!("token")),
        "{}",
        ran.err
    );
}

#[test]
fn a_directory_without_a_node_is_exit_10_and_a_wrong_configuration_78() {
    let dir = tempfile::tempdir().expect("room");
    let path = dir.path().to_str().expect("text");
    assert_eq!(run(&["status", "--dir", path]).code, 10);
    assert_eq!(run(&["--dir", path, "task", "list"]).code, 10);
    std::fs::write(
        dir.path().join("config.toml"),
        "[node]\nunit = 5\nlevle = \"commune\"\n",
    )
    .expect("room");
    for line in [["config", "check"], ["task", "list"]] {
        let ran = run(&[&line[..], &["--dir", path]].concat());
        assert_eq!(ran.code, 78, "{}", ran.err);
        // All problems at once, with their lines.
        assert!(
            ran.err.contains("config.toml:2") && ran.err.contains("config.toml:3"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn messages_follow_lang_and_colours_never_go_into_a_pipe() {
    let vietnamese = run(&["--lang", "vi", "status", "--dir", "no-such-node"]);
    assert!(vietnamese.err.starts_with("Lỗi:"), "{}", vietnamese.err);
    let english = run(&["status", "--dir", "no-such-node"]);
    assert!(english.err.starts_with("Error:"), "{}", english.err);
    assert!(!english.err.contains('\x1b'));
}

#[test]
fn completions_and_man_pages_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("quarantine"), "{shell}");
    }
    let dir = tempfile::tempdir().expect("room");
    assert_eq!(run(&["man", dir.path().to_str().expect("text")]).code, 0);
    for page in ["nqsync.1", "nqsync-report-set.1"] {
        assert!(dir.path().join(Path::new(page)).exists(), "{page}");
    }
}

#[test]
fn the_schema_needs_no_node() {
    let ran = run(&["config", "schema"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let schema: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert!(schema["properties"]["node"].is_object());
}

/// A directory with the configuration of a node.
fn configured() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("room");
    let config = "[node]\nunit = \"26548\"\nlevel = \"commune\"\ndata_dir = \".\"\n[upstream]\nurl = \"https://127.0.0.1:7457\"\n";
    std::fs::write(dir.path().join("config.toml"), config).expect("room");
    dir
}

/// A node's directory with a service that answers one verb, and what it was asked.
fn served(answer: Value) -> (tempfile::TempDir, JoinHandle<Value>) {
    let dir = configured();
    let listener = UnixListener::bind(dir.path().join("control.sock")).expect("a new socket");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).expect("a head") > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let answer = answer.to_string();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .expect("room");
        serde_json::from_slice(&body).expect("a JSON request")
    });
    (dir, thread)
}

fn run_in(dir: &tempfile::TempDir, line: &[&str]) -> Ran {
    run(&[line, &["--dir", dir.path().to_str().expect("text")]].concat())
}

#[test]
fn a_verb_carries_who_for_whom_and_its_id_to_the_service() {
    let (dir, service) =
        served(json!({ "ok": { "exit": "done", "data": { "id": "x" }, "notes": ["noted"] } }));
    let line = [
        "report",
        "set",
        "III/12",
        "--percent",
        "-1",
        "--submit",
        "--for",
        "PV01",
        "--request-id",
        "r7",
    ];
    let ran = run_in(&dir, &line);
    assert_eq!((ran.code, ran.err.as_str()), (0, "noted\n"));
    let request = service.join().expect("served");
    assert_eq!(request["request_id"], "r7");
    assert_eq!(
        (&request["person"], &request["acting_for"]),
        (&json!("lan"), &json!("PV01"))
    );
    assert_eq!(request["command"]["verb"], "report_set");
    assert_eq!(request["command"]["fields"]["percent"], "-1");
    assert_eq!(request["command"]["submit"], true);
}

#[test]
fn the_answers_exit_code_is_the_process_and_json_stands_alone_on_standard_output() {
    let (dir, _service) = served(
        json!({ "ok": { "exit": "degraded", "data": { "healthy": false }, "notes": ["why"] } }),
    );
    let ran = run_in(&dir, &["status", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (4, "why\n"));
    assert_eq!(
        serde_json::from_str::<Value>(&ran.out).expect("JSON"),
        json!({ "healthy": false })
    );
}

#[test]
fn a_refusal_of_the_node_comes_through_with_its_code() {
    let refusal =
        json!({ "exit": "person_needed", "code": "open_conflict", "message": "resolve it first" });
    let (dir, _service) = served(json!({ "failed": refusal }));
    let ran = run_in(&dir, &["report", "submit", "III/12", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (7, ""));
    let error: Value = serde_json::from_str(&ran.err).expect("JSON");
    assert_eq!(error["error"]["code"], "open_conflict");
}

#[test]
fn a_sync_without_a_service_says_how_to_start_one() {
    let dir = configured();
    let ran = run_in(&dir, &["sync"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("nqsync run"), "{}", ran.err);
}

#[test]
fn a_rollup_goes_to_a_workbook_or_to_csv() {
    let data = json!({ "period": "2026-03", "tasks": { "total": 2, "by_status": { "continuing": 2 } },
        "rows": [{ "key": "I", "label": "A", "tasks": { "total": 2, "by_status": { "continuing": 2 } } }] });
    let answer = json!({ "ok": { "exit": "done", "data": data } });
    let (dir, _service) = served(answer.clone());
    let ran = run_in(&dir, &["rollup", "show", "--format", "csv"]);
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
    let (dir, _service) = served(answer);
    let file = dir.path().join("r.xlsx");
    let path = file.to_str().expect("text");
    let ran = run_in(
        &dir,
        &["rollup", "show", "--format", "xlsx", "--output", path],
    );
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(std::fs::read(&file).expect("written").starts_with(b"PK"));
}
