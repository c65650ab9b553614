//! A commune that deposits its sealed backup at its ministry.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::machine::{Machine, Service, until};

pub const OWN: &str = "Việc riêng của xã";

pub fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("text")
}

pub fn status(machine: &Machine) -> Value {
    machine.run(&["status", "--json"]).json()
}

pub fn problems(machine: &Machine) -> String {
    status(machine)["problems"].to_string()
}

pub fn done(machine: &Machine, line: &[&str]) -> Value {
    machine.run(&[line, &["--json"]].concat()).expect(0).json()
}

/// Files below a folder, by path, with their inode: a file that was written again has another one.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        match entry.path().is_dir() {
            true => found.append(&mut files(&entry.path())),
            // A draft may have got its name meanwhile.
            false => found.extend(entry.metadata().map(|m| (entry.path(), m.ino()))),
        }
    }
    found
}

pub fn is_anywhere(folder: &Path, text: &str) -> bool {
    files(folder).keys().any(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

/// Tries come soon after each other.
pub const SOON: &[&str] = &["sync.backoff_min_s=0.05", "sync.backoff_max_s=0.2"];

/// A ministry and a commune below it, both running, and the commune's recovery key.
pub struct Pair {
    pub ministry: Machine,
    pub above: Service,
    pub commune: Machine,
    pub below: Service,
    pub shelf: TempDir,
}

impl Pair {
    pub fn new(set: &[&str]) -> Pair {
        let shelf = tempfile::tempdir().expect("room");
        let ministry = Machine::ministry("BO");
        let above = ministry.serve_with(set);
        let commune = Machine::child(&ministry, "24001", "commune");
        let below = commune.serve_with(SOON);
        Pair {
            ministry,
            above,
            commune,
            below,
            shelf,
        }
    }

    pub fn key(&self) -> String {
        text(self.shelf.path().join("recovery"))
    }

    pub fn make_key(&self) {
        done(
            &self.commune,
            &["backup", "key", "new", "--out", &self.key()],
        );
    }

    /// The commune's service ends in this way, and begins anew.
    pub fn below_again(self, end: fn(Service), set: &[&str]) -> Pair {
        end(self.below);
        let below = self.commune.serve_with(set);
        Pair { below, ..self }
    }

    /// The same of the ministry's.
    pub fn above_again(self, end: fn(Service), set: &[&str]) -> Pair {
        end(self.above);
        let above = self.ministry.serve_with(set);
        Pair { above, ..self }
    }

    /// Where the ministry keeps what its children deposited.
    pub fn deposits(&self) -> PathBuf {
        self.ministry.at("deposits")
    }
}

/// A task of the commune for itself, which nobody above ever sees, with a draft and a file.
pub fn own_work(commune: &Machine, file: &[u8]) -> String {
    let add = ["task", "add", "--title", OWN, "--lead", "24001"];
    let task = done(commune, &add)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let set = [
        "report",
        "set",
        &task,
        "--status",
        "in_progress",
        "--percent",
        "35",
    ];
    done(commune, &set);
    let path = commune.at("rieng.bin");
    fs::write(&path, file).expect("room");
    done(commune, &["evidence", "add", &task, &text(path.clone())]);
    fs::remove_file(path).expect("removed");
    task
}

/// Has everything that is here now deposited.
pub fn deposited(machine: &Machine) -> Value {
    let before = status(machine)["backup"]["deposited_at"].clone();
    done(machine, &["backup", "deposit"]);
    until("a deposit", || {
        let now = status(machine)["backup"].clone();
        (now["deposited"] == true && now["deposited_at"] != before).then_some(now)
    })
}

/// A new machine that enrols for the unit of one that is lost.
pub fn replacement(ministry: &Machine, lost: &str) -> Machine {
    let again = Machine::new();
    done(&again, &["init", "--unit", "24001", "--level", "commune"]);
    done(ministry, &["node", "revoke", lost, "--reason", "hỏng đĩa"]);
    again.enrol(ministry, "24001");
    again
}

pub fn percent(machine: &Machine, task: &str) -> Value {
    done(machine, &["report", "show", task, "--unit", "24001"])["percent"].clone()
}

pub fn bytes_of_evidence(machine: &Machine, task: &str) -> Vec<u8> {
    let listed = done(machine, &["evidence", "list", "--task", task]);
    let id = listed["items"][0]["id"].as_str().expect("an id").to_owned();
    let to = machine.at(&format!("out-{id}"));
    done(machine, &["evidence", "get", &id, &text(to.clone())]);
    fs::read(to).expect("a file")
}
