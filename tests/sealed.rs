//! Backups that only the recovery key opens.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::machine::Machine;
use tempfile::TempDir;

const SECRET: &str = "Việc không ai được đọc";

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("text")
}

/// A ministry with a task and a file, its recovery key, and a backup sealed for it.
fn sealed(shelf: &TempDir) -> (Machine, String, String) {
    let machine = Machine::ministry("BO");
    machine.run(&["task", "add", "--title", SECRET]).expect(0);
    let paper = text(machine.at("ct12.pdf"));
    fs::write(&paper, "Chỉ thị 12\n".repeat(20_000)).expect("room");
    let add = ["directive", "add", "12/CT", "Số hoá", "--file", &paper];
    machine.run(&add).expect(0);
    fs::remove_file(&paper).expect("removed");
    let key = text(shelf.path().join("recovery"));
    machine
        .run(&["backup", "key", "new", "--out", &key])
        .expect(0);
    let to = text(shelf.path().join("one"));
    let made = machine.run(&["backup", &to, "--json"]).expect(0).json();
    assert_eq!(made["sealed"], true);
    assert_eq!(made["files"], 1);
    (machine, key, to)
}

/// Whether a text stands readable in any file of a folder.
fn is_anywhere(folder: &Path, text: &str) -> bool {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries
        .into_iter()
        .any(|entry| match entry.path().is_dir() {
            true => is_anywhere(&entry.path(), text),
            false => {
                let bytes = fs::read(entry.path()).expect("a file");
                bytes
                    .windows(text.len())
                    .any(|part| part == text.as_bytes())
            }
        })
}

/// Folders in which something readable was left.
fn left_readable(machine: &Machine) -> usize {
    let entries = fs::read_dir(machine.path()).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("sealing-")).count()
}

fn titles(machine: &Machine) -> String {
    machine.run(&["task", "list", "--json"]).expect(0).out
}

#[test]
fn a_backup_with_a_recovery_key_is_read_by_nobody_without_it_and_comes_back_with_it() {
    let shelf = tempfile::tempdir().expect("room");
    let (machine, key, backup) = sealed(&shelf);
    let mode = fs::metadata(&key).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(is_anywhere(machine.path(), SECRET), "the search finds");
    for secret in [SECRET, "PRIVATE KEY", "Chỉ thị 12", "node.key"] {
        assert!(!is_anywhere(Path::new(&backup), secret), "{secret}");
    }
    assert_eq!(left_readable(&machine), 0);
    // The node itself cannot open what it made: the key is not there.
    assert!(!is_anywhere(
        machine.path(),
        fs::read_to_string(&key)
            .expect("a key")
            .lines()
            .nth(1)
            .expect("a line")
    ));

    let check = |more: &[&str]| {
        let line = [&["backup", "--check", &backup, "--json"][..], more].concat();
        machine.run(&line)
    };
    let outside = check(&[]).expect(0).json();
    assert_eq!(
        (&outside["ok"], &outside["sealed"]),
        (&true.into(), &true.into())
    );
    assert!(
        outside["records"].is_null(),
        "that cannot be seen: {outside}"
    );
    let inside = check(&["--key", &key]).expect(0).json();
    assert_eq!((&inside["ok"], &inside["files"]), (&true.into(), &1.into()));
    let shown = machine
        .run(&["backup", "key", "show", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["recovery_key"], inside["recovery_key"]);

    let new = Machine::new();
    let refused = new.run(&["restore", &backup, "--json"]).expect(2);
    assert_eq!(refused.failure(), "sealed_no_key");
    let other = text(shelf.path().join("other"));
    machine
        .run(&["backup", "key", "new", "--out", &other])
        .expect(2);
    assert!(
        !Path::new(&other).exists(),
        "a key that opens nothing is not left"
    );
    let replace = ["backup", "key", "new", "--replace", "--out", &other];
    machine.run(&replace).expect(0);
    let refused = new.run(&["restore", &backup, "--key", &other, "--json"]);
    assert_eq!(refused.expect(12).failure(), "sealed_other_key");
    assert!(!new.at("config.toml").exists() && !new.at("store.db").exists());

    new.run(&["restore", &backup, "--key", &key]).expect(0);
    assert_eq!(left_readable(&new), 0);
    assert!(titles(&new).contains(SECRET));
    let node = |machine: &Machine| machine.run(&["status", "--json"]).json()["node"].clone();
    assert_eq!(node(&new), node(&machine));
    let blobs = new.run(&["status", "--json"]).json()["blobs"].clone();
    assert_eq!(
        (&blobs["present"], &blobs["missing"]),
        (&1.into(), &0.into())
    );
    new.run(&["verify", "--local"]).expect(0);
    new.serve().stop();
}

#[test]
fn without_a_recovery_key_a_backup_stays_readable_and_says_so() {
    let shelf = tempfile::tempdir().expect("room");
    let machine = Machine::ministry("BO");
    let to = text(shelf.path().join("one"));
    let made = machine.run(&["backup", &to]).expect(0);
    assert!(
        made.err.contains("readable") && made.err.contains("backup key new"),
        "{made:?}"
    );
    assert!(Path::new(&to).join("store.db").exists());
    let shown = machine
        .run(&["backup", "key", "show", "--json"])
        .expect(0)
        .json();
    assert!(shown["recovery_key"].is_null());
    let key = text(shelf.path().join("recovery"));
    machine
        .run(&["backup", "key", "new", "--out", &key])
        .expect(0);
    let refused = machine.run(&["restore", &to, "--replace", "--key", &key, "--json"]);
    assert_eq!(refused.expect(2).failure(), "not_sealed");
    let again = ["backup", "key", "new", "--replace", "--out", &key, "--json"];
    assert_eq!(machine.run(&again).expect(2).failure(), "recovery_file");
    machine.run(&["restore", &to, "--replace"]).expect(0);
}

#[test]
fn a_sealed_backup_that_was_changed_or_cut_is_told_and_nothing_is_restored_from_it() {
    let shelf = tempfile::tempdir().expect("room");
    let (machine, key, backup) = sealed(&shelf);
    let mut pieces = Vec::new();
    for folder in fs::read_dir(Path::new(&backup).join("pieces"))
        .expect("pieces")
        .flatten()
    {
        let found = fs::read_dir(folder.path()).expect("a folder").flatten();
        pieces.extend(found.map(|entry| entry.path()));
    }
    pieces.sort();
    assert!(pieces.len() > 3, "{pieces:?}");
    let head = Path::new(&backup).join("backup.sealed");
    let mut files = 0;
    for path in pieces.iter().chain([&head]) {
        let whole = fs::read(path).expect("a file");
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for bad in [Some(changed), Some(whole[..middle].to_vec()), None] {
            match &bad {
                Some(bytes) => fs::write(path, bytes).expect("room"),
                None if *path == head => continue,
                None => fs::remove_file(path).expect("removed"),
            }
            let refused = machine.run(&["restore", &backup, "--key", &key, "--replace", "--json"]);
            match refused.code {
                4 => assert_eq!(refused.failure(), "sealed_damaged", "{path:?}"),
                // An attachment costs itself.
                3 => files += 1,
                // A name in the head is for whoever keeps the pieces: only a look from outside sees a change of it.
                code => assert_eq!((code, path), (0, &head)),
            }
            assert_eq!(left_readable(&machine), 0);
            let checked = machine.run(&["backup", "--check", &backup, "--json"]);
            assert_eq!(checked.code, 4, "{path:?} {checked:?}");
        }
        fs::write(path, whole).expect("room");
    }
    assert!(files > 0, "the attachment has pieces of its own");
    assert!(titles(&machine).contains(SECRET));
    let checked = ["backup", "--check", &backup, "--key", &key];
    machine.run(&checked).expect(0);
}

#[test]
fn a2_a_sealed_backup_that_is_killed_leaves_nothing_that_looks_whole_and_nothing_readable() {
    let shelf = tempfile::tempdir().expect("room");
    let (machine, key, _) = sealed(&shelf);
    for (call, number) in [
        ("rename", 1),
        ("rename", 2),
        ("fsync", 3),
        ("syncfs", 1),
        ("syncfs", 2),
    ] {
        let to = text(shelf.path().join(format!("{call}-{number}")));
        let Some(done) = support::machine::killed_at(&machine, call, number, &["backup", &to])
        else {
            eprintln!("strace cannot be used here: the kill is left out");
            return;
        };
        assert!(!done, "{call} {number}");
        assert!(!Path::new(&to).exists(), "{call} {number}");
        // The next opening of the store sweeps what was readable.
        machine.run(&["backup", &to]).expect(0);
        assert_eq!(left_readable(&machine), 0);
        let checked = ["backup", "--check", &to, "--key", &key];
        machine.run(&checked).expect(0);
    }
}
