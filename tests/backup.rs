//! A backup is whole or does not exist, whoever writes meanwhile and whenever the plug is pulled.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::machine::{Machine, copy_tree, killed_at};
use tempfile::TempDir;

/// A ministry with some records and one attachment.
fn ministry() -> Machine {
    let machine = Machine::ministry("BO");
    let paper = machine.at("ct12.pdf");
    fs::write(&paper, "Chỉ thị 12\n".repeat(1000)).expect("room");
    let paper = paper.to_str().expect("text").to_owned();
    machine.run(&["unit", "add", "66", "Tỉnh"]).expect(0);
    let add = ["directive", "add", "12/CT", "Số hoá", "--file", &paper];
    machine.run(&add).expect(0);
    machine
}

fn shelf() -> (TempDir, String) {
    let shelf = tempfile::tempdir().expect("room");
    let to = shelf.path().join("one").to_str().expect("text").to_owned();
    (shelf, to)
}

/// What is damaged, and how.
type Damage = (&'static str, fn(&Path));

/// The only attachment below a folder.
fn attachment(root: &Path) -> PathBuf {
    let mut found = Vec::new();
    for folder in fs::read_dir(root.join("blobs")).expect("blobs").flatten() {
        if folder.file_name() != "partial" {
            found.extend(fs::read_dir(folder.path()).expect("a folder").flatten());
        }
    }
    assert_eq!(found.len(), 1);
    found[0].path()
}

fn listed(machine: &Machine) -> Value {
    machine.run(&["unit", "list", "--json"]).expect(0).json()
}

#[test]
fn a_backup_is_made_while_the_service_writes_and_without_it_and_is_whole() {
    let machine = ministry();
    let (shelf, to) = shelf();
    let service = machine.serve();
    let made = machine.run(&["backup", &to, "--json"]).expect(0).json();
    assert_eq!(made["ok"], true);
    assert_eq!((&made["unit"], &made["files"]), (&"BO".into(), &1.into()));
    assert_eq!(made["missing_files"], serde_json::json!([]));
    let mode = fs::metadata(&to).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "it holds keys");
    for name in ["manifest.json", "keys/node.key", "settings/config.toml"] {
        let kept = fs::metadata(Path::new(&to).join(name)).expect(name);
        assert_eq!(kept.permissions().mode() & 0o077, 0, "{name}");
    }
    let one = Path::new(&to);
    assert!(!one.join("unfinished-backup").exists() && !one.join("store.db-wal").exists());
    assert!(!shelf.path().join("one.unfinished").exists());

    // A second one holds more; the first stays as it was, and nothing is written over it.
    machine.run(&["unit", "add", "67", "Tỉnh"]).expect(0);
    let two = shelf.path().join("two").to_str().expect("text").to_owned();
    let more = machine.run(&["backup", &two, "--json"]).expect(0).json();
    assert!(more["records"].as_i64() > made["records"].as_i64());
    let again = machine.run(&["backup", &to, "--json"]).expect(2);
    assert_eq!(again.failure(), "backup_in_the_way");
    service.stop();
    let three = shelf
        .path()
        .join("three")
        .to_str()
        .expect("text")
        .to_owned();
    let alone = machine.run(&["backup", &three, "--json"]).expect(0).json();
    assert_eq!(alone["records"], more["records"]);
    for folder in [&to, &two, &three] {
        let checked = machine.run(&["backup", "--check", folder, "--json"]);
        assert_eq!(checked.expect(0).json()["ok"], true);
    }
    let status = machine.run(&["status", "--json"]).json();
    assert_eq!(status["backup"]["last_to"], three.as_str());
}

#[test]
fn a_check_finds_every_kind_of_damage_and_asks_no_node() {
    let machine = ministry();
    let (shelf, to) = shelf();
    machine.run(&["backup", &to]).expect(0);
    let elsewhere = Machine::new();
    let check = |folder: &Path| {
        let folder = folder.to_str().expect("text");
        elsewhere.run(&["backup", "--check", folder, "--json"])
    };
    assert_eq!(check(Path::new(&to)).expect(0).json()["ok"], true);
    let damages: [Damage; 5] = [
        ("database", |folder| {
            let path = folder.join("store.db");
            let mut bytes = fs::read(&path).expect("a file");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).expect("room");
        }),
        ("short", |folder| {
            let file = fs::File::options()
                .write(true)
                .open(folder.join("store.db"));
            file.and_then(|file| file.set_len(4096)).expect("cut");
        }),
        ("key", |folder| {
            fs::remove_file(folder.join("keys/node.key")).expect("a key");
        }),
        ("attachment", |folder| {
            let path = attachment(folder);
            fs::remove_file(&path).expect("a file");
            fs::write(path, "something else").expect("room");
        }),
        ("attachment gone", |folder| {
            fs::remove_file(attachment(folder)).expect("a file");
        }),
    ];
    for (number, (what, damage)) in damages.into_iter().enumerate() {
        let copy = shelf.path().join(number.to_string());
        copy_tree(Path::new(&to), &copy);
        damage(&copy);
        let found = check(&copy).expect(4).json();
        assert_eq!(found["ok"], false, "{what}");
        let listed = if what.starts_with("attachment") {
            &found["bad_files"]
        } else {
            &found["damage"]
        };
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{what}: {found}");
    }
    let copy = shelf.path().join("headless");
    copy_tree(Path::new(&to), &copy);
    fs::remove_file(copy.join("manifest.json")).expect("a manifest");
    assert_eq!(check(&copy).expect(2).failure(), "not_a_backup");
}

#[test]
fn an_attachment_that_the_disk_has_lost_is_listed_and_stops_nothing() {
    let machine = ministry();
    let (_shelf, to) = shelf();
    fs::remove_file(attachment(machine.path())).expect("a file");
    let made = machine.run(&["backup", &to, "--json"]).expect(3).json();
    assert_eq!(made["ok"], false);
    assert_eq!(made["missing_files"].as_array().map(Vec::len), Some(1));
    // What was known to be missing when it was made is no damage of the copy.
    let checked = machine.run(&["backup", "--check", &to, "--json"]).expect(4);
    assert_eq!(checked.json()["damage"], serde_json::json!([]));
}

#[test]
fn a12_a_kill_in_the_middle_of_a_backup_leaves_nothing_that_looks_like_one() {
    let machine = ministry();
    let (shelf, to) = shelf();
    let before = listed(&machine);
    // A pipe in the place of the attachment: whoever reads it waits for this test.
    let blob = attachment(machine.path());
    let kept = fs::read(&blob).expect("a file");
    fs::remove_file(&blob).expect("a file");
    let made = std::process::Command::new("mkfifo").arg(&blob).status();
    assert!(made.expect("mkfifo").success());
    let mut child = machine.command(&["backup", &to]).spawn().expect("started");
    // Returns when the program has opened the other end: it is in the middle of its work.
    let pipe = fs::File::options().write(true).open(&blob);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    drop(pipe);
    fs::remove_file(&blob).expect("the pipe");
    fs::write(&blob, kept).expect("room");

    let unfinished = shelf.path().join("one.unfinished");
    assert!(unfinished.join("store.db").exists(), "it was in the middle");
    assert!(!Path::new(&to).exists());
    let left = unfinished.to_str().expect("text");
    let checked = machine
        .run(&["backup", "--check", left, "--json"])
        .expect(2);
    assert_eq!(checked.failure(), "not_a_backup");
    assert_eq!(listed(&machine), before);
    machine.run(&["backup", &to]).expect(0);
    assert!(!unfinished.exists(), "the next one has cleared it away");

    // At every change of a name or folder the program makes, one after the other.
    let mut cut = 0;
    for call in ["rename", "mkdir", "unlink", "link", "fsync"] {
        for number in 1.. {
            let to = shelf.path().join(format!("{call}{number}"));
            let target = to.to_str().expect("text");
            let Some(done) = killed_at(&machine, call, number, &["backup", target]) else {
                eprintln!("strace cannot be used here: the kill at every call is left out");
                return;
            };
            let checked = machine.run(&["backup", "--check", target, "--json"]);
            if checked.code == 0 {
                assert_eq!(checked.json()["ok"], true);
            } else {
                assert_eq!(checked.failure(), "not_a_backup", "{call} {number}");
                machine.run(&["backup", target]).expect(0);
            }
            if done {
                break;
            }
            cut += 1;
        }
    }
    assert!(cut > 10, "{cut} calls");
}
