//! The real program, stopped at system calls: killed at the k-th one that writes, or told that the disk has failed or is
//! full. Needs strace. `NQSYNC_PROOF=syscalls` kills at every k instead of a sample.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nqsync::api::Exit;
use nqsync::node::rollups;
use nqsync::store::{groups, queries};
use nqsync_core::calendar::Period;
use rusqlite::Connection;
use serde_json::Value;
use support::control::{ask, task_to_add};
use support::machine::{Machine, copy_tree};
use support::strace;

/// Calls that change what is on disk.
const WRITES: &str = "pwrite64,write,fsync,fdatasync,rename,ftruncate,unlink,mkdir,link";
/// Kills of each verb, unless all are asked for.
const SAMPLE: usize = 14;
/// The longest that a service may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A verb that is killed, and how its effect is told from its absence.
struct Verb<'a> {
    name: &'a str,
    /// What is typed at a machine.
    line: &'a dyn Fn(&Machine) -> Vec<String>,
    /// Whether its effect is there whole; not at all is `false`, and anything else fails.
    whole: &'a dyn Fn(&Machine) -> bool,
    /// Whether it may be done again after it was done.
    again: bool,
}

impl Verb<'_> {
    /// Kills it at each k, or at a sample of them.
    fn killed_from(&self, base: &Machine) {
        let undisturbed = copy_of(base);
        let line = (self.line)(&undisturbed);
        let ran = strace::run(&undisturbed, &as_strs(&line), WRITES, None);
        assert!((self.whole)(&undisturbed), "{}: {ran:?}", self.name);
        let calls = ran.moments();
        assert!(calls.len() > 10, "{}: {calls:?}", self.name);
        let all = std::env::var("NQSYNC_PROOF").as_deref() == Ok("syscalls");
        let step = if all { 1 } else { calls.len().div_ceil(SAMPLE) };
        let (mut kills, mut done) = (0, 0);
        // Files that are written by hand are few, and a half one is seen at its own call only.
        let chosen = calls.iter().enumerate();
        let chosen = chosen.filter(|(place, (call, _))| place % step == 0 || call == "write");
        let chosen: Vec<_> = chosen.map(|(_, moment)| moment).collect();
        for (call, number) in &chosen {
            let what = format!("{} killed at {call} {number}", self.name);
            let machine = copy_of(base);
            let line = (self.line)(&machine);
            let line = as_strs(&line);
            let inject = format!("signal=SIGKILL:when={number}");
            let ran = strace::run(&machine, &line, call, Some(&inject));
            kills += usize::from(ran.killed);
            let whole = (self.whole)(&machine);
            intact(&machine, &what);
            done += usize::from(whole);
            assert!(whole || ran.code != 0, "{what}: success was said: {ran:?}");
            if !whole || self.again {
                let again = machine.run(&line);
                assert_eq!(again.code, 0, "{what}, then again: {again:?}");
            }
            assert!((self.whole)(&machine), "{what}, then again");
            intact(&machine, &what);
        }
        let taken = chosen.len();
        println!(
            "{}: {} calls, {kills} of {taken} kills struck, done after {done}",
            self.name,
            calls.len()
        );
        // What another thread does first may differ by a call or two from run to run.
        assert!(kills + 2 + taken / 20 >= taken, "{kills} kills of {taken}");
    }
}

fn as_strs(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

fn copy_of(machine: &Machine) -> Machine {
    let copy = Machine::new();
    copy_tree(machine.path(), copy.path());
    copy
}

/// The store, if there is one yet, has no damage that SQLite can find.
fn intact(machine: &Machine, what: &str) {
    let path = machine.at("store.db");
    if path.exists() {
        let found: String = Connection::open(path)
            .and_then(|store| store.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
            .unwrap_or_else(|error| error.to_string());
        assert_eq!(found, "ok", "{what}");
    }
}

fn items(machine: &Machine, line: &[&str]) -> Vec<Value> {
    let ran = machine.run(&[line, &["--json"]].concat()).expect(0);
    ran.json()["items"].as_array().expect("a list").clone()
}

/// One or none: nothing is there twice.
fn once<T>(found: &[T]) -> bool {
    assert!(found.len() < 2, "{} times", found.len());
    found.len() == 1
}

const TASK: [&str; 12] = [
    "task",
    "add",
    "--title",
    "Việc",
    "--lead",
    "BO",
    "--group",
    "III",
    "--number",
    "1",
    "--deadline",
    "31/12/2026",
];

/// A ministry that has to report to itself.
fn ministry() -> Machine {
    let machine = Machine::ministry("BO");
    machine.run(&TASK).expect(0);
    machine
}

#[test]
fn a_verb_killed_at_any_call_that_writes_is_done_or_not_and_can_be_done_again() {
    if !strace::usable() {
        return;
    }
    let init = ["init", "--unit", "BO", "--level", "ministry"];
    let begun = Verb {
        name: "init",
        line: &|_| words(&init),
        whole: &|machine| {
            let ran = machine.run(&["unit", "list", "--json"]);
            if ran.code != 0 {
                assert_eq!(ran.code, 10, "{ran:?}");
                return false;
            }
            ran.json()["total"] == 1
        },
        again: true,
    };
    begun.killed_from(&Machine::new());

    let added = Verb {
        name: "task add",
        line: &|_| words(&[&TASK[..], &["--request-id", "r1"]].concat()),
        whole: &|machine| once(&items(machine, &["task", "list"])),
        again: true,
    };
    added.killed_from(&Machine::ministry("BO"));

    let line = ["report", "set", "III/1", "--status", "in_progress"];
    let line = [&line[..], &["--percent", "40", "--submit"]].concat();
    let reported = Verb {
        name: "report set --submit",
        line: &|_| words(&line),
        whole: &|machine| {
            let ran = machine.run(&["report", "show", "III/1", "--json"]);
            if ran.code != 0 {
                assert_eq!(ran.failure(), "unknown_report");
                return false;
            }
            let shown = ran.json();
            assert!(!shown["submission"].is_null(), "half a report: {shown}");
            true
        },
        again: true,
    };
    reported.killed_from(&ministry());
}

#[test]
fn a7_a_file_or_a_table_killed_on_its_way_in_is_there_whole_or_not_at_all() {
    if !strace::usable() {
        return;
    }
    let base = ministry();
    let bytes = "Biên bản\n".repeat(50_000);
    fs::write(base.at("paper.txt"), &bytes).expect("room");
    let path = |machine: &Machine, name: &str| machine.at(name).to_str().expect("text").to_owned();
    let shown = Verb {
        name: "evidence add",
        line: &|machine| words(&["evidence", "add", "III/1", &path(machine, "paper.txt")]),
        whole: &|machine| {
            let found = items(machine, &["evidence", "list"]);
            if !once(&found) {
                return false;
            }
            let to = path(machine, "copy.txt");
            let id = found[0]["id"].as_str().expect("an id");
            machine.run(&["evidence", "get", id, &to]).expect(0);
            assert_eq!(fs::read_to_string(&to).expect("a copy"), bytes);
            fs::remove_file(to).expect("it is ours");
            true
        },
        again: true,
    };
    shown.killed_from(&base);

    let base = Machine::ministry("BO");
    let mut table =
        "STT,Nhiệm vụ chung,Nhiệm vụ cụ thể,Sản phẩm,KPI,Đơn vị chủ trì,Đơn vị phối hợp,Thời hạn\n"
            .to_owned();
    for row in 1..=40 {
        table += &format!("{row},Việc {row},,Báo cáo,,BO,,31/12/2026\n");
    }
    fs::write(base.at("plan.csv"), table).expect("room");
    let imported = Verb {
        name: "import",
        line: &|machine| words(&["import", &path(machine, "plan.csv"), "--as", "tasks"]),
        whole: &|machine| match items(machine, &["task", "list"]).len() {
            0 => false,
            40 => true,
            other => panic!("{other} rows of 40"),
        },
        again: true,
    };
    imported.killed_from(&base);
}

#[test]
fn a6_a_change_of_the_format_killed_at_any_call_leaves_the_old_one_or_the_new_one() {
    if !strace::usable() {
        return;
    }
    let base = Machine::new();
    let init = ["init", "--unit", "66", "--level", "province"];
    base.run(&init).expect(0);
    let format = |machine: &Machine| -> i64 {
        Connection::open(machine.at("store.db"))
            .and_then(|store| store.pragma_query_value(None, "user_version", |row| row.get(0)))
            .expect("a format")
    };
    let new = format(&base);
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0/store.db");
    fs::copy(sample, base.at("store.db")).expect("the sample store");
    let old = format(&base);
    assert!(old < new);
    let upgraded = Verb {
        name: "upgrade",
        line: &|_| words(&["unit", "list"]),
        whole: &|machine| {
            let found = format(machine);
            assert!(
                found == old || found == new,
                "format {found} between {old} and {new}"
            );
            found == new
        },
        again: true,
    };
    upgraded.killed_from(&base);
}

#[test]
fn a5_a_log_killed_on_its_way_into_the_database_costs_no_row() {
    if !strace::usable() {
        return;
    }
    let base = Machine::ministry("BO");
    let service = base.serve();
    for number in 0..30 {
        let kept = ask(&base, &task_to_add(number)).heard().expect("an answer");
        assert_eq!(kept.expect("kept").exit, Exit::Done);
    }
    service.kill();
    let log = fs::metadata(base.at("store.db-wal")).expect("a log");
    assert!(log.len() > 100_000, "everything is in the log alone");
    // The verb recovers the log, moves it into the database, and removes it at its end.
    let closed = Verb {
        name: "recover and close",
        line: &|_| words(&["unit", "list"]),
        whole: &|machine| {
            assert_eq!(titles(machine).len(), 30, "acknowledged rows");
            true
        },
        again: true,
    };
    closed.killed_from(&base);
}

#[test]
fn a12_a_backup_killed_at_any_call_that_writes_is_whole_or_none() {
    if !strace::usable() {
        return;
    }
    let base = ministry();
    let to = |machine: &Machine| machine.at("shelf").to_str().expect("text").to_owned();
    let kept = Verb {
        name: "backup",
        line: &|machine| words(&["backup", &to(machine)]),
        whole: &|machine| {
            let ran = machine.run(&["backup", "--check", &to(machine), "--json"]);
            if ran.code != 0 {
                assert_eq!(ran.failure(), "not_a_backup");
                return false;
            }
            ran.json()["ok"] == true
        },
        again: false,
    };
    kept.killed_from(&base);
}

fn titles(machine: &Machine) -> Vec<String> {
    let mut found: Vec<String> = items(machine, &["task", "list"])
        .iter()
        .map(|item| item["title"].as_str().unwrap_or_default().to_owned())
        .collect();
    found.sort();
    found
}

#[test]
fn d4_after_a_sync_of_the_disk_has_failed_nothing_is_acknowledged_and_the_service_ends() {
    if !strace::usable() {
        return;
    }
    let machine = Machine::ministry("BO");
    let mut service = machine.serve();
    for number in 0..3 {
        let kept = ask(&machine, &task_to_add(number))
            .heard()
            .expect("an answer");
        assert_eq!(kept.expect("kept").exit, Exit::Done);
    }
    let failing = strace::attach(&service, "fsync,fdatasync", "error=EIO:when=1+");
    for number in 3..6 {
        // Once it is ending it may take no question any more.
        if let Some(asked) = support::control::try_ask(&machine, &task_to_add(number))
            && let Some(outcome) = asked.heard()
        {
            let failure = outcome.expect_err("acknowledged after a failed sync");
            assert!(failure.message.contains("restart"), "{failure:?}");
        }
    }
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = service.ended() {
            break status;
        }
        assert!(Instant::now() < end, "it goes on after a failed sync");
        std::thread::yield_now();
    };
    assert!(
        !status.success(),
        "its manager must start it again: {status}"
    );
    drop(failing);
    let service = machine.serve();
    let found = titles(&machine);
    for kept in ["Việc 0", "Việc 1", "Việc 2"] {
        assert_eq!(found.iter().filter(|title| *title == kept).count(), 1);
    }
    // Under its old id what was refused is done once, whether or not it had reached the disk.
    for number in 3..6 {
        let kept = ask(&machine, &task_to_add(number))
            .heard()
            .expect("an answer");
        assert_eq!(kept.expect("kept").exit, Exit::Done);
    }
    let all: Vec<String> = (0..6).map(|number| format!("Việc {number}")).collect();
    assert_eq!(titles(&machine), all);
    service.stop();
    intact(&machine, "after a failed sync");
}

#[test]
fn d1_a_full_disk_refuses_writes_of_a_service_by_name_and_they_go_on_when_there_is_room() {
    if !strace::usable() {
        return;
    }
    let machine = Machine::ministry("BO");
    let service = machine.serve();
    let kept = ask(&machine, &task_to_add(0)).heard().expect("an answer");
    assert_eq!(kept.expect("kept").exit, Exit::Done);
    let full = strace::attach(&service, "pwrite64", "error=ENOSPC:when=1+");
    for number in 1..4 {
        let refused = ask(&machine, &task_to_add(number))
            .heard()
            .expect("an answer");
        let refused = refused.expect_err("no room");
        assert!(refused.message.contains("full"), "{refused:?}");
        assert_eq!(titles(&machine), ["Việc 0"], "reads go on");
    }
    drop(full);
    for number in 1..4 {
        let kept = ask(&machine, &task_to_add(number))
            .heard()
            .expect("an answer");
        assert_eq!(kept.expect("room again").exit, Exit::Done);
    }
    assert_eq!(titles(&machine), ["Việc 0", "Việc 1", "Việc 2", "Việc 3"]);
    service.stop();
    intact(&machine, "after a full disk");
}

/// What a store has of the rollup of its only group: the value as stored, whether a change of it waits to be counted, and
/// whether counting from the leaves gives the same bytes.
fn counted(machine: &Machine, about: &Value) -> (Value, bool, rollups::Recount) {
    let text = |name: &str| about[name].as_str().expect("a text");
    let store = Connection::open(machine.at("store.db")).expect("a store");
    // The service may commit between two reads; all of these are of one moment.
    store.execute_batch("BEGIN").expect("a snapshot");
    let period: Period = text("period").parse().expect("a period");
    let stored = groups::rollups(&store, text("period")).expect("read");
    assert_eq!(stored.len(), 1, "one group, one rollup");
    let value = stored[0].record.shown("rollup").expect("a value");
    let tree = queries::load_tree(&store).expect("units");
    let found = rollups::recount(
        &store,
        &tree,
        text("node").parse().expect("a node"),
        Some(&rollups::span_of(&period)),
        text("evaluated_on").parse().expect("a day"),
    );
    let waits = queries::any_dirty(&store).expect("read");
    (value, waits, found.expect("counted"))
}

#[test]
fn a10_a_service_killed_while_it_counts_has_the_old_rollup_and_its_mark_or_the_new_one() {
    if !strace::usable() {
        return;
    }
    let base = ministry();
    let settled = |machine: &Machine, about: &Value| {
        let end = Instant::now() + PATIENCE;
        loop {
            let (value, waits, found) = counted(machine, about);
            if !waits {
                assert!(found.same && found.compared == 1, "{found:?}");
                return value;
            }
            assert!(Instant::now() < end, "it does not come to rest");
            std::thread::yield_now();
        }
    };
    let service = base.serve();
    let about = support::machine::until("the first rollup", || {
        let shown = base.run(&["rollup", "show", "--recompute", "--json"]);
        let mut about = shown.expect(0).json();
        let is_counted = about["recomputed"]["compared"] == 1;
        about["node"] = base.run(&["status", "--json"]).json()["node"].clone();
        is_counted.then_some(about)
    });
    service.stop();
    let old = settled(&base, &about);
    assert_eq!(old["coverage"]["reports_received"], 0);

    let report = ["report", "set", "III/1", "--status", "in_progress"];
    let report = [&report[..], &["--percent", "40", "--submit"]].concat();
    let (mut before, mut after, mut done) = (0, 0, false);
    for number in 1..200 {
        let machine = copy_of(&base);
        let mut service = machine.serve();
        let inject = format!("signal=SIGKILL:when={number}");
        let killing = strace::attach(&service, "pwrite64", &inject);
        let answered = machine.run(&report).code == 0;
        let end = Instant::now() + PATIENCE;
        let killed = loop {
            if service.ended().is_some() {
                break true;
            }
            if answered && !counted(&machine, &about).1 {
                break false;
            }
            assert!(Instant::now() < end, "neither killed nor at rest");
            std::thread::yield_now();
        };
        service.kill();
        drop(killing);
        let (value, waits, found) = counted(&machine, &about);
        let what = format!("killed at {number}: {value}, {found:?}");
        if waits {
            // The report is there, and that it is to be counted was committed with it.
            assert!(value == old && found.pending == 1, "{what}");
            before += 1;
        } else {
            assert!(found.same && found.compared == 1, "{what}");
            let counted_anew = value != old;
            assert!(counted_anew || !answered, "{what}: the report is gone");
            after += usize::from(counted_anew);
        }
        intact(&machine, &what);
        let service = machine.serve();
        machine.run(&report).expect(0);
        let new = settled(&machine, &about);
        assert_eq!(new["coverage"]["reports_received"], 1);
        assert!(
            new["as_of"]["newest"].is_i64(),
            "its as-of is of the same count"
        );
        service.stop();
        if !killed {
            done = true;
            break;
        }
    }
    println!("{before} kills before the count was committed, {after} after it");
    assert!(done && before > 0, "{before} before, {after} after");
}
