//! The verbs of bundles on the real program: with services that dial nobody, and killed at system calls that write.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use super::support::files::noise;
use super::support::machine::{Machine, copy_tree};
use super::support::medium::Medium;
use super::support::strace;

/// A ministry and its commune as they stand on two machines without a line, with something to carry.
struct Pair {
    ministry: Machine,
    commune: Machine,
}

impl Pair {
    fn new() -> Pair {
        let ministry = Machine::ministry("BO");
        let above = ministry.serve();
        let commune = Machine::child(&ministry, "24001", "commune");
        let below = commune.serve();
        let line = ["task", "add", "--title", "Số hoá", "--lead", "24001"];
        let place = ["--group", "III", "--number", "1"];
        ministry.run(&[&line[..], &place].concat()).expect(0);
        commune.run(&["sync", "--wait"]).expect(0);
        below.stop();
        above.stop();
        let proof = commune.at("phieu.txt");
        fs::write(&proof, noise(3, 300_000)).expect("room");
        let proof = proof.to_str().expect("text");
        commune.run(&["evidence", "add", "III/1", proof]).expect(0);
        let line = ["report", "set", "III/1", "--percent", "50"];
        commune.run(&line).expect(0);
        Pair { ministry, commune }
    }
}

fn copy_of(machine: &Machine) -> Machine {
    let copy = Machine::new();
    copy_tree(machine.path(), copy.path());
    copy
}

/// Calls that change what is on a disk.
const WRITES: &str = "pwrite64,write,fsync,fdatasync,rename,mkdir,ftruncate,unlink";

/// About so many moments to kill at, with every one of the rare calls; all there are with `NQSYNC_PROOF=syscalls`.
fn moments(undisturbed: &strace::Traced, count: usize) -> Vec<(String, usize)> {
    let all = undisturbed.moments();
    let every = std::env::var("NQSYNC_PROOF").as_deref() == Ok("syscalls");
    let step = if every {
        1
    } else {
        all.len().div_ceil(count).max(1)
    };
    let rare = |call: &str| ["rename", "mkdir"].contains(&call);
    let chosen = all.iter().enumerate();
    chosen
        .filter(|(place, (call, _))| place % step == 0 || rare(call))
        .map(|(_, moment)| moment.clone())
        .collect()
}

/// The bundles on a medium that have their names.
fn named(medium: &Path) -> Vec<String> {
    let entries = fs::read_dir(medium).expect("a folder");
    let names = entries.map(|e| {
        e.expect("an entry")
            .file_name()
            .into_string()
            .expect("text")
    });
    let mut names: Vec<String> = names
        .filter(|name| !name.ends_with(".unfinished"))
        .collect();
    names.sort();
    names
}

#[test]
fn a8_killed_at_any_step_of_an_export_no_bundle_has_its_name_that_is_not_whole() {
    if !strace::usable() {
        return;
    }
    let pair = Pair::new();
    let medium = Medium::new();
    let text = medium.text();
    let line = ["bundle", "export", &text];
    let undisturbed = copy_of(&pair.commune);
    let ran = strace::run(&undisturbed, &line, WRITES, None);
    assert_eq!(ran.code, 0, "{ran:?}");
    let (mut killed, mut consumed) = (0, 0);
    for (call, number) in moments(&ran, 12) {
        let what = format!("killed at {call} {number}");
        let commune = copy_of(&pair.commune);
        let ministry = copy_of(&pair.ministry);
        let medium = Medium::new();
        let text = medium.text();
        let line = ["bundle", "export", &text, "--json"];
        let inject = format!("signal=SIGKILL:when={number}");
        let ran = strace::run(&commune, &line, &call, Some(&inject));
        killed += usize::from(ran.killed);
        let before = named(medium.path());
        if !before.is_empty() {
            // It has its name: it is whole.
            let taken = ministry.run(&["bundle", "import", &text, "--json"]);
            assert_eq!(taken.code, 0, "{what}: {taken:?}");
        }
        let again = commune.run(&line);
        assert_eq!(again.code, 0, "{what}: {again:?}");
        let again = again.json();
        let unnamed = again["without_name"].as_array().expect("a list").len();
        consumed += unnamed;
        let expected = 1 + before.len() + unnamed;
        assert_eq!(
            again["number"], expected,
            "{what}: no number twice: {again}"
        );
        let taken = ministry.run(&["bundle", "import", &text, "--json"]);
        assert_eq!(taken.code, 0, "{what}: {taken:?}");
        let evidence = ministry.run(&["evidence", "list", "--json"]).expect(0);
        assert_eq!(evidence.json()["items"][0]["state"], "present", "{what}");
    }
    println!("{killed} kills; {consumed} numbers without a bundle, each told");
    assert!(
        killed > 6 && consumed > 0,
        "{killed} kills, {consumed} consumed"
    );
}

#[test]
fn a9_killed_at_any_step_of_an_import_the_same_import_finishes_it() {
    if !strace::usable() {
        return;
    }
    let pair = Pair::new();
    let medium = Medium::new();
    let text = medium.text();
    pair.commune.run(&["bundle", "export", &text]).expect(0);
    let line = ["bundle", "import", &text];
    let undisturbed = copy_of(&pair.ministry);
    let ran = strace::run(&undisturbed, &line, WRITES, None);
    assert_eq!(ran.code, 0, "{ran:?}");
    let held = |machine: &Machine| -> (Value, Value) {
        let reports = machine.run(&["report", "list", "--json"]).expect(0).json();
        let files = machine
            .run(&["evidence", "list", "--json"])
            .expect(0)
            .json();
        let file = &files["items"][0];
        (
            reports["items"][0]["percent"].clone(),
            json!([file["sha256"], file["state"]]),
        )
    };
    let whole = held(&undisturbed);
    assert_eq!(whole.0, "50");
    let mut killed = 0;
    for (call, number) in moments(&ran, 12) {
        let what = format!("killed at {call} {number}");
        let ministry = copy_of(&pair.ministry);
        let inject = format!("signal=SIGKILL:when={number}");
        let ran = strace::run(&ministry, &line, &call, Some(&inject));
        killed += usize::from(ran.killed);
        let again = ministry.run(&["bundle", "import", &text, "--json"]);
        assert_eq!(again.code, 0, "{what}: {again:?}");
        assert_eq!(held(&ministry), whole, "{what}");
        let third = ministry
            .run(&["bundle", "import", &text, "--json"])
            .expect(0);
        assert_eq!(third.json()["items"][0]["outcome"], "repeat", "{what}");
        let verified = ministry.run(&["audit", "verify"]);
        assert_eq!(verified.code, 0, "{what}: {verified:?}");
    }
    println!("{killed} kills");
    assert!(killed > 6, "{killed} kills");
}

#[test]
fn ib7_a_medium_that_fails_while_it_is_written_leaves_no_bundle_and_the_next_one_is_whole() {
    if !strace::usable() {
        return;
    }
    let pair = Pair::new();
    let medium = Medium::new();
    let text = medium.text();
    let line = ["bundle", "export", &text, "--json"];
    let mut failed = 0;
    for (call, number) in [("write", 2), ("write", 4), ("rename", 1), ("mkdir", 1)] {
        let inject = format!("error=EIO:when={number}");
        let ran = strace::run(&pair.commune, &line, call, Some(&inject));
        failed += usize::from(ran.code == 1 && ran.said.contains("bundle_medium"));
        assert_eq!(ran.code == 0, !named(medium.path()).is_empty(), "{ran:?}");
        if ran.code == 0 {
            pair.ministry.run(&["bundle", "import", &text]).expect(0);
            let name = named(medium.path()).remove(0);
            fs::remove_dir_all(medium.path().join(name)).expect("removed");
        }
    }
    assert!(failed > 1, "{failed} failed");
    pair.commune.run(&line).expect(0);
    assert_eq!(named(medium.path()).len(), 1);
    let taken = pair.ministry.run(&["bundle", "import", &text, "--json"]);
    assert_eq!(taken.expect(0).json()["items"][0]["outcome"], "taken");
}

#[test]
fn services_that_dial_nobody_are_well_and_carry_everything_by_bundle() {
    let pair = Pair::new();
    let below = pair
        .commune
        .serve_with(&["upstream.url=https://127.0.0.1:1", "upstream.kind=bundle"]);
    let above = pair.ministry.serve();
    let status = |machine: &Machine| machine.run(&["status", "--json"]).json();
    let medium = Medium::new();
    let text = medium.text();
    pair.commune.run(&["bundle", "export", &text]).expect(0);
    let shown = pair.ministry.run(&["bundle", "show", &text, "--json"]);
    assert_eq!(shown.expect(0).json()["items"][0]["outcome"], "new");
    pair.ministry.run(&["bundle", "import", &text]).expect(0);
    let to = ["bundle", "export", &text, "--to", "24001"];
    pair.ministry.run(&to).expect(0);
    pair.commune.run(&["bundle", "import", &text]).expect(0);
    let here = status(&pair.commune);
    assert_eq!(here["healthy"], true, "{here}");
    assert_eq!(here["upstream"]["state"], "carried");
    assert_eq!(here["upstream"]["pending_up"], 0);
    assert_eq!(
        here["upstream"]["last_attempt_at"],
        here["upstream"]["last_success_at"]
    );
    let line = [
        "doctor",
        "--json",
        "--set",
        "upstream.url=https://127.0.0.1:1",
    ];
    let looked = pair
        .commune
        .run(&[&line[..], &["--set", "upstream.kind=bundle"]].concat());
    let looked = looked.expect(0).json();
    let steps = looked["items"].as_array().expect("findings").iter();
    let line: Vec<_> = steps.filter(|item| item["check"] == "line").collect();
    assert!(line.len() == 1 && line[0]["state"] == "ok", "{looked}");
    let there = status(&pair.ministry);
    assert_eq!(there["downstream"][0]["state"], "carried", "{there}");
    let asked = pair.commune.run(&["sync", "--wait", "--json"]);
    assert_eq!(asked.failure(), "no_upstream");
    below.stop();
    above.stop();

    // A medium that went bad shows before it is carried anywhere.
    let name = named(medium.path()).remove(0);
    let path = medium.path().join(name).join("000001");
    let mut bytes = fs::read(&path).expect("a segment");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("written");
    for machine in [&pair.commune, &pair.ministry] {
        let shown = machine.run(&["bundle", "show", &text, "--json"]).expect(4);
        let items = shown.json()["items"].clone();
        let refused = items.as_array().expect("a list").iter();
        let refused = refused.filter(|item| item["code"] == "damaged").count();
        assert_eq!(refused, 1, "{items}");
    }
}

#[test]
fn a_node_that_never_had_a_line_enrols_and_works_by_files_alone() {
    let ministry = Machine::ministry("BO");
    let listens_once = ministry.serve();
    let add = ["unit", "add", "24001", "Xã", "--level", "commune"];
    ministry.run(&add).expect(0);
    let token = ministry.run(&["node", "token", "24001", "--json"]);
    let token = token.expect(0).json()["token"].clone();
    let token = token.as_str().expect("a token");
    listens_once.stop();
    let commune = Machine::new();
    let init = ["init", "--unit", "24001", "--level", "commune"];
    commune.run(&init).expect(0);
    let medium = Medium::new();
    let file = |name: &str| medium.path().join(name).to_str().expect("text").to_owned();
    let (request, answer) = (file("request"), file("answer"));
    let ask = ["enrol", "--token", token, "--request", &request];
    commune.run(&ask).expect(0);
    let sent = fs::read_to_string(&request).expect("a request");

    // What was changed on the way, or made without the token, is admitted by nobody.
    let other = Machine::new();
    other.run(&init).expect(0);
    let node: Value = serde_json::from_str(&sent).expect("json");
    let forged = file("forged");
    let changed = sent.replace(
        node["node"].as_str().expect("an id"),
        &Uuid::nil().to_string(),
    );
    fs::write(&forged, changed).expect("written");
    let admit = ["node", "admit", &forged, &answer, "--json"];
    assert_eq!(ministry.run(&admit).expect(12).failure(), "not_admitted");
    fs::write(&forged, &sent[..sent.len() / 2]).expect("written");
    assert_eq!(ministry.run(&admit).expect(2).failure(), "not_admitted");
    assert!(!Path::new(&answer).exists());

    ministry
        .run(&["node", "admit", &request, &answer])
        .expect(0);
    let given = fs::read_to_string(&answer).expect("an answer");
    // The answer is for this node and of this parent; a changed one is nothing.
    let take = |machine: &Machine, file: &str| {
        let line = ["enrol", "--token", token, "--answer", file, "--json"];
        machine.run(&line)
    };
    let refused = take(&other, &answer).expect(12);
    assert_eq!(refused.failure(), "answer_refused");
    let bent = file("bent");
    fs::write(&bent, given.replacen("Bộ", "Sở", 1)).expect("written");
    assert_eq!(take(&commune, &bent).expect(12).failure(), "answer_refused");
    take(&commune, &answer).expect(0);
    // Asked for and admitted once more, as after a lost medium.
    let second = file("second");
    ministry
        .run(&["node", "admit", &request, &second])
        .expect(0);
    take(&commune, &second).expect(0);

    let line = ["task", "add", "--title", "Số hoá", "--lead", "24001"];
    ministry.run(&line).expect(0);
    let text = medium.text();
    ministry
        .run(&["bundle", "export", &text, "--to", "24001"])
        .expect(0);
    commune.run(&["bundle", "import", &text]).expect(0);
    let tasks = commune.run(&["task", "list", "--json"]).expect(0).json();
    assert_eq!(tasks["total"], 1, "{tasks}");
    commune.run(&["bundle", "export", &text]).expect(0);
    ministry.run(&["bundle", "import", &text]).expect(0);
    let shown = ministry.run(&["node", "list", "--json"]).expect(0).json();
    assert_eq!(shown["items"][0]["state"], "carried", "{shown}");
}
