//! A raised ceiling is one person's edit of a file; what it opens can be made to need a second one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use super::support::machine::Machine;
use super::support::paired::isolate;
use super::{above, text};

/// An isolated node with two administrators, and the files of their passwords.
fn office() -> (Machine, [String; 2]) {
    let machine = Machine::ministry("BO");
    let files = ["an", "binh"].map(|name| {
        let file = machine.at(name);
        fs::write(&file, "một đàn cò trắng bay quanh\n").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
        let file = text(&json!(file));
        let line = ["user", "add", name, "--role", "administrator"];
        let line = [&line[..], &["--password-file", &file]].concat();
        machine.run(&line).expect(0);
        file
    });
    isolate(machine.path());
    (machine, files)
}

fn want_two(machine: &Machine) {
    let file = machine.at("config.toml");
    let written = fs::read_to_string(&file).expect("a configuration");
    let two = "\n[approval]\nacts = [\"ceiling\"]\n[log]";
    fs::write(&file, written.replacen("\n#[log]", two, 1)).expect("written");
}

const PREPARE: [&str; 4] = ["classification", "prepare", "confidential", "--json"];

#[test]
fn j4_a_raised_ceiling_brings_no_store_before_a_second_person_has_agreed() {
    let (mut machine, [an, binh]) = office();
    want_two(&machine);
    let store: PathBuf = machine.at("levels/confidential/store.db");
    let an = ["--login", "an", "--login-file", &an];
    let binh = ["--login", "binh", "--login-file", &binh];
    let why = ["--reason", "Quyết định 12"];
    let asks = [&PREPARE[..], &why, &an].concat();
    let nobody = machine.run(&[&PREPARE[..], &why].concat()).expect(12);
    assert_eq!(nobody.failure(), "approval_who");
    let silent = machine.run(&[&PREPARE[..], &an].concat()).expect(2);
    assert_eq!(silent.failure(), "reason_needed");
    // Neither is an override a way around the file.
    let set = ["--set", "approval.acts=[]"];
    let overridden = machine.run(&[&asks[..], &set].concat()).expect(2);
    assert_eq!(overridden.failure(), "ceiling_not_in_force");
    let variable = ("NQSYNC_APPROVAL_ACTS".to_owned(), "[]".to_owned());
    machine.env.push(variable);
    let overridden = machine.run(&asks).expect(2);
    assert_eq!(overridden.failure(), "ceiling_not_in_force");
    machine.env.clear();

    let number = machine.run(&asks).expect(7).json()["approval"].to_string();
    let again = machine.run(&asks).expect(7).json();
    assert_eq!(again["approval"].to_string(), number, "one request");
    let approve = ["approval", "approve", &number];
    let himself = machine.run(&[&approve[..], &an].concat());
    assert_ne!(himself.code, 0, "{himself:?}");
    // A backup brings no store either.
    let folder = text(&json!(machine.at("copy")));
    let restore = ["restore", &folder, "--json"];
    let refused = above(&machine, &restore).expect(7);
    assert_eq!(refused.failure(), "level_not_agreed");
    assert!(!store.exists());

    machine.run(&[&approve[..], &binh].concat()).expect(0);
    assert!(!store.exists(), "whoever asked makes it");
    let made = machine.run(&PREPARE).expect(0).json();
    assert_eq!((&made["created"], store.exists()), (&json!(true), true));
    above(&machine, &["task", "add", "--title", "x", "--lead", "BO"]).expect(0);
    above(&machine, &["backup", &folder]).expect(0);
    fs::remove_dir_all(machine.at("levels")).expect("gone");
    above(&machine, &restore).expect(0);
    // Another level is another decision.
    let file = machine.at("config.toml");
    let written = fs::read_to_string(&file).expect("a configuration");
    let raised = written.replace("ceiling = \"confidential\"", "ceiling = \"secret\"");
    assert_ne!(raised, written);
    fs::write(&file, raised).expect("written");
    let secret = ["classification", "prepare", "secret", "--json"];
    machine.run(&[&secret[..], &why, &an].concat()).expect(7);
    for (act, entries) in [("level.allowed", 1), ("node.ceiling", 2)] {
        let line = ["audit", "show", "--act", act, "--json"];
        let shown = machine.run(&line).expect(0).json();
        assert_eq!(shown["total"], entries, "{act}: {shown}");
    }
    machine.run(&["audit", "verify"]).expect(0);
}

#[test]
fn j4_a_service_of_before_lets_no_single_person_agree() {
    let (machine, [an, _]) = office();
    let service = machine.serve();
    want_two(&machine);
    let line = ["--reason", "x", "--login", "an", "--login-file", &an];
    let refused = machine.run(&[&PREPARE[..], &line].concat()).expect(2);
    assert_eq!(refused.failure(), "ceiling_not_in_force");
    assert!(!machine.at("levels").exists());
    service.stop();
}
