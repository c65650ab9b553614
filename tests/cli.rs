//! The command line seen from outside, without a node: help, usage, exit codes, and where output goes.

use std::path::Path;

use assert_cmd::Command;

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
        ("init run sync status enrol import demo completions man", ""),
        ("node", "list token show revoke"),
        ("unit", "list show add rename alias"),
        ("task", "list show add update withdraw"),
        ("report", "list show set submit withdraw"),
        ("evidence", "add list get remove accept reject"),
        ("indicator", "list define set"),
        ("directive", "list add show"),
        ("proposal", "list make withdraw accept reject"),
        ("rollup", "show"),
        ("conflict", "list show resolve"),
        ("quarantine", "list show retry drop"),
        ("config", "check show schema"),
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
        let error: serde_json::Value = serde_json::from_str(&ran.err).expect("JSON");
        assert_eq!(error["error"]["exit"], code, "{line}: {}", ran.err);
        assert_eq!(error["error"]["code"], name, "{line}: {}", ran.err);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""));
    }
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
    let schema: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert!(schema["properties"]["node"].is_object());
}
