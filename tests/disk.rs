//! The real program on disks that are full, read-only, slow, damaged, or taken away, with its alarms.

#[path = "disk/room.rs"]
mod room;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nqsync::api::{Command, Exit, ReportFields, ReportRef};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use support::control::{ask, ask_over, dial, request, task_to_add};
use support::disks::Disk;
use support::machine::{Machine, Ran, until};
use support::pair::Pair;
use support::strace;

/// The longest that anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn status(machine: &Machine) -> Value {
    machine.run(&["status", "--json"]).json()
}

fn has_problem(machine: &Machine, code: &str) -> bool {
    let status = status(machine);
    let problems = status["problems"].as_array().expect("a list");
    let found = problems.iter().any(|problem| problem["code"] == code);
    assert!(!found || status["healthy"] == false, "{status}");
    found
}

/// How often the audit tells of an act.
fn told(machine: &Machine, act: &str) -> usize {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(machine.at("store.db"), flags).expect("a store");
    store.busy_timeout(PATIENCE).expect("patience");
    let sql = "SELECT count(*) FROM audit WHERE act = ?1";
    store.query_row(sql, [act], |row| row.get(0)).expect("read")
}

fn add_file(pair: &Pair, name: &str, bytes: &[u8]) -> Ran {
    let path = pair.commune.at(name);
    fs::write(&path, bytes).expect("room");
    let path = path.to_str().expect("text");
    let line = ["evidence", "add", &pair.task, path, "--json"];
    pair.commune.run(&line)
}

/// The state of the only piece of evidence as a machine shows it.
fn evidence(machine: &Machine) -> Value {
    let list = machine
        .run(&["evidence", "list", "--json"])
        .expect(0)
        .json();
    list["items"][0]["state"].clone()
}

/// Where the file of an evidence lies.
fn file_of(machine: &Machine) -> PathBuf {
    let list = machine
        .run(&["evidence", "list", "--json"])
        .expect(0)
        .json();
    let name = list["items"][0]["sha256"]
        .as_str()
        .expect("a name")
        .to_owned();
    machine.at("blobs").join(&name[..2]).join(name)
}

#[test]
fn d2_no_room_for_files_lets_records_pass_and_the_file_waits_and_is_told() {
    let mut pair = Pair::new();
    pair.stop_below();
    pair.above.take().expect("it runs").stop();
    let Some(above) = Disk::small(&pair.ministry.at("blobs"), "size=128k") else {
        return;
    };
    pair.above = Some(pair.ministry.serve());
    pair.serve_below(&[]);
    let bytes = vec![7u8; 700_000];
    add_file(&pair, "paper", &bytes).expect(0);
    until("the alarm", || {
        has_problem(&pair.commune, "files_wait").then_some(())
    });
    for result in ["một", "hai", "ba"] {
        pair.report(result);
        pair.arrives(result);
    }
    assert_eq!(evidence(&pair.ministry), "pending");
    assert!(has_problem(&pair.ministry, "disk_nearly_full"));
    assert!(has_problem(&pair.ministry, "files_missing"));
    assert_eq!(told(&pair.commune, "files.wait"), 1, "told once");
    above.remount("size=4m");
    until("the file", || {
        (evidence(&pair.ministry) == "present").then_some(())
    });
    assert_eq!(fs::read(file_of(&pair.ministry)).expect("a file"), bytes);
    until("the end of the alarm", || {
        (!has_problem(&pair.commune, "files_wait")).then_some(())
    });
    pair.stop_below();
    pair.above.take().expect("it runs").stop();
}

/// Adds a task and hears that it is kept.
fn keep(machine: &Machine, number: u64) -> Value {
    let kept = ask(machine, &task_to_add(number))
        .heard()
        .expect("an answer");
    let kept = kept.expect("kept");
    assert_eq!(kept.exit, Exit::Done);
    kept.data["id"].clone()
}

fn count(machine: &Machine) -> usize {
    let list = machine.run(&["task", "list", "--json"]).expect(0).json();
    list["items"].as_array().expect("a list").len()
}

#[test]
fn d3_no_inodes_or_no_open_files_refuse_what_needs_them_and_nothing_else() {
    let machine = Machine::ministry("BO");
    let Some(disk) = Disk::small(&machine.at("blobs"), "size=4m,nr_inodes=2") else {
        return;
    };
    let service = machine.serve();
    let id = keep(&machine, 0);
    let id = id.as_str().expect("an id");
    fs::write(machine.at("paper"), "Biên bản").expect("room");
    let paper = machine.at("paper");
    let add = [
        "evidence",
        "add",
        id,
        paper.to_str().expect("text"),
        "--json",
    ];
    let refused = machine.run(&add).expect(1);
    assert_eq!(refused.failure(), "disk_full");
    assert!(has_problem(&machine, "disk_nearly_full"), "it is told");
    keep(&machine, 1);
    assert_eq!(count(&machine), 2);
    disk.remount("size=4m,nr_inodes=200");

    let open = || {
        let files = fs::read_dir(format!("/proc/{}/fd", service.pid()));
        files.expect("its files").count()
    };
    let limit = |files: usize| {
        let pid = format!("--pid={}", service.pid());
        let files = format!("--nofile={files}:16384");
        let ran = std::process::Command::new("prlimit")
            .args([pid, files])
            .status();
        ran.is_ok_and(|status| status.success())
    };
    if !limit(open() + 64) {
        strace::missing("prlimit is missing here");
        return;
    }
    // One more is the connection of whoever asks. The one before may be just closing, and leaves a place too many.
    let refused = (0..50).map(|_| {
        assert!(limit(open() + 1));
        machine.run(&add)
    });
    let mut refused = refused.filter(|ran| ran.code != 0);
    let refused = refused.next().expect("no room for its file").expect(1);
    assert!(refused.err.contains("Too many open files"), "{refused:?}");
    keep(&machine, 2);
    assert_eq!(count(&machine), 3, "reads and writes go on");
    assert!(limit(open()), "fewer still");
    // Nobody is let in now; whoever has asked waits and is answered when there is room.
    let asked = ask(&machine, &task_to_add(3));
    assert!(limit(open() + 64), "room again");
    let kept = asked.heard().expect("an answer").expect("kept");
    assert_eq!(kept.exit, Exit::Done);
    machine.run(&add).expect(0);
    assert_eq!(count(&machine), 4);
    service.stop();
}

/// Changes a text wherever it stands in a file, as a disk does that forgets a bit.
fn flip(path: &Path, from: &str, to: &str) -> usize {
    let mut bytes = fs::read(path).expect("a file");
    assert_eq!(from.len(), to.len());
    let mut places = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            places += 1;
        }
    }
    let before = fs::metadata(path)
        .expect("a file")
        .modified()
        .expect("a time");
    fs::write(path, bytes).expect("room");
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.set_modified(before).expect("a time");
    places
}

/// A service that stands still because its store is damaged: it says so, takes nothing, and sends nothing.
fn stands_still(pair: &Pair) {
    until("the alarm", || {
        let ran = pair.commune.run(&["status", "--json"]);
        (ran.code == 4 && ran.json()["running"] == true && ran.out.contains("\"damaged\""))
            .then_some(())
    });
    let write = ["report", "set", &pair.task, "--result", "khác", "--json"];
    let refused = pair.commune.run(&write).expect(7);
    assert_eq!(refused.failure(), "store_damaged");
    assert!(
        refused.err.contains("restore"),
        "it says what to do: {refused:?}"
    );
    pair.commune.run(&["task", "list"]).expect(0);
}

#[test]
fn d5_bits_flipped_in_the_database_are_noticed_told_and_never_sent() {
    let mut pair = Pair::new();
    pair.report("dau-hieu-0");
    pair.arrives("dau-hieu-0");
    pair.stop_below();
    pair.report("dau-hieu-1");
    // The disk forgets a bit, and nothing tells of it but the row itself.
    let store = pair.commune.at("store.db");
    assert!(flip(&store, "dau-hieu-1", "dau-hieu-3") > 0);
    pair.serve_below(&[]);
    stands_still(&pair);
    assert_eq!(told(&pair.commune, "store.damaged"), 1);
    assert_eq!(pair.shown_above(), "dau-hieu-0", "what is damaged stays");
    pair.below.take().expect("it runs").kill();
    // Also after a restart; the verb without a service says the same.
    pair.commune.run(&["task", "list"]).expect(0);
    let found = pair.commune.run(&["verify", "--local", "--json"]).expect(4);
    assert!(found.json()["differ"].as_u64() > Some(0));
    pair.serve_below(&[]);
    stands_still(&pair);
    pair.stop_below();
    // A disk that is mended is looked at and believed again.
    assert!(flip(&store, "dau-hieu-3", "dau-hieu-1") > 0);
    pair.serve_below(&[]);
    pair.arrives("dau-hieu-1");
    assert!(!has_problem(&pair.commune, "damaged"));
    pair.stop_below();

    // A page whose structure is gone.
    let mut bytes = fs::read(&store).expect("a store");
    let pages = bytes.len() / 4096;
    for page in pages / 2..pages {
        bytes[page * 4096..page * 4096 + 64].fill(0xa5);
    }
    fs::write(&store, bytes).expect("room");
    let found = pair.commune.run(&["verify", "--local", "--json"]);
    assert_ne!(found.code, 0, "{found:?}");
    pair.above.take().expect("it runs").stop();
}

#[test]
fn d6_a_file_damaged_on_disk_is_found_told_and_fetched_again_from_either_side() {
    let mut pair = Pair::new();
    let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    add_file(&pair, "paper", &bytes).expect(0);
    until("the file", || {
        (evidence(&pair.ministry) == "present").then_some(())
    });
    pair.stop_below();
    pair.above.take().expect("it runs").stop();

    // The parent's copy loses a bit; only the child has the file still.
    let above = file_of(&pair.ministry);
    let mut damaged = bytes.clone();
    damaged[77_777] ^= 4;
    fs::write(&above, &damaged).expect("room");
    pair.above = Some(pair.ministry.serve_with(&["store.scrub_interval_s=0.2"]));
    until("the alarm", || {
        has_problem(&pair.ministry, "files_missing").then_some(())
    });
    assert_eq!(evidence(&pair.ministry), "pending", "not shown as whole");
    assert_eq!(told(&pair.ministry, "file.damaged"), 1);
    pair.serve_below(&["store.scrub_interval_s=0.2"]);
    until("the file again", || {
        (evidence(&pair.ministry) == "present").then_some(())
    });
    assert_eq!(fs::read(&above).expect("a file"), bytes);

    // While both are connected: a file cut short above, then one at the child.
    for machine in [&pair.ministry, &pair.commune] {
        let path = file_of(machine);
        let file = fs::File::options().write(true).open(&path).expect("a file");
        file.set_len(50_000).expect("shorter");
        until("the file once more", || {
            (fs::read(&path).ok()? == bytes).then_some(())
        });
        until("shown", || (evidence(machine) == "present").then_some(()));
        assert!(told(machine, "file.damaged") >= 1);
    }
    pair.stop_below();
    pair.above.take().expect("it runs").stop();
}

#[test]
fn d8_a_file_system_that_turns_read_only_refuses_writes_and_goes_on_reading() {
    let machine = Machine::new();
    let Some(disk) = Disk::image(machine.path()) else {
        return;
    };
    let init = ["init", "--unit", "BO", "--level", "ministry"];
    machine.run(&init).expect(0);
    let service = machine.serve();
    keep(&machine, 0);
    disk.remount("abort");
    for number in 1..3 {
        let refused = ask(&machine, &task_to_add(number))
            .heard()
            .expect("an answer");
        let refused = refused.expect_err("nothing can be written");
        assert_eq!(refused.code, "disk_read_only", "{refused:?}");
        assert_eq!(count(&machine), 1, "reads go on");
    }
    assert!(has_problem(&machine, "disk_read_only"));
    service.kill();
    disk.back();
    let service = machine.serve();
    assert!(!has_problem(&machine, "disk_read_only"));
    for number in 0..3 {
        keep(&machine, number);
    }
    assert_eq!(count(&machine), 3);
    service.stop();
}

#[test]
fn d9_on_a_disk_a_hundred_times_slower_everybody_is_served_and_the_watchdog_is_fed() {
    if !strace::usable() {
        return;
    }
    let mut machine = Machine::ministry("BO");
    machine.env.push(("WATCHDOG_USEC".into(), "600000".into()));
    let (service, alive) = machine.begin(&[]).ready_and_heard();
    let slow = strace::attach(&service, "fsync,fdatasync", "delay_enter=300000");
    let asked: Vec<_> = (0..40).map(|n| ask(&machine, &task_to_add(n))).collect();
    let answers: Vec<_> = asked
        .into_iter()
        .map(|asked| std::thread::spawn(move || asked.heard()))
        .collect();
    let mut fed = 0;
    let mut word = [0; 512];
    // The system would end it after this time without a word.
    alive
        .set_read_timeout(Some(Duration::from_millis(600)))
        .expect("a limit");
    while answers.iter().any(|answer| !answer.is_finished()) || fed < 5 {
        let length = alive.recv(&mut word).expect("it says that it is alive");
        let word = String::from_utf8_lossy(&word[..length]).into_owned();
        fed += usize::from(word.contains("WATCHDOG=1"));
    }
    for answer in answers {
        let kept = answer.join().expect("no panic").expect("an answer");
        assert_eq!(kept.expect("kept").exit, Exit::Done);
    }
    drop(slow);
    assert_eq!(count(&machine), 40);
    service.stop();
}

#[test]
fn d10_a_disk_that_lies_about_its_syncs_is_found_out_at_the_next_contact() {
    if !strace::usable() {
        return;
    }
    let pair = Pair::new();
    let child = Machine::new();
    let Some(disk) = Disk::image(child.path()) else {
        return;
    };
    pair.ministry
        .run(&["unit", "add", "66", "Tỉnh", "--level", "province"])
        .expect(0);
    let init = ["init", "--unit", "66", "--level", "province", "--listen"];
    child.run(&[&init[..], &["127.0.0.1:0"]].concat()).expect(0);
    child.enrol(&pair.ministry, "66");
    let service = child.serve();
    child.run(&["sync", "--wait"]).expect(0);
    service.stop();
    rustix::fs::sync();
    let service = child.serve();
    let lying = strace::attach(&service, "fsync,fdatasync", "retval=0");
    child.run(&["unit", "add", "26001", "Xã"]).expect(0);
    child.run(&["sync", "--wait"]).expect(0);
    let units = |machine: &Machine| {
        machine.run(&["unit", "list", "--json"]).expect(0).json()["total"].clone()
    };
    let before = units(&child);
    assert_eq!(units(&pair.ministry), before);
    disk.cut_power();
    service.kill();
    drop(lying);
    disk.back();
    assert_ne!(units(&child), before, "the disk did lie");
    let service = child.serve();
    until("what was lost", || {
        child.run(&["sync", "--wait"]);
        (units(&child) == before).then_some(())
    });
    assert!(has_problem(&pair.ministry, "restored_or_cloned"));
    assert!(told(&pair.ministry, "link.torn") + told(&pair.ministry, "link.differs") > 0);
    service.stop();
}

#[test]
fn d12_nobody_but_sqlite_opens_the_database_in_the_process() {
    if !strace::usable() {
        return;
    }
    let machine = Machine::ministry("BO");
    let service = machine.serve();
    let seen = tempfile::NamedTempFile::new().expect("room");
    let listening = strace::listen(&service, "open,openat,openat2", seen.path());
    let id = keep(&machine, 0);
    fs::write(machine.at("paper"), "Biên bản").expect("room");
    let paper = machine.at("paper").to_str().expect("text").to_owned();
    let shelf = machine.at("shelf").to_str().expect("text").to_owned();
    let add = ["evidence", "add", id.as_str().expect("an id"), &paper];
    machine.run(&add).expect(0);
    machine.run(&["backup", &shelf]).expect(0);
    machine.run(&["verify", "--local"]).expect(0);
    machine.run(&["status"]);
    drop(listening);
    service.stop();
    let mut calls: Vec<String> = fs::read_to_string(seen.path())
        .expect("what strace saw")
        .lines()
        .map(str::to_owned)
        .collect();
    // Opening and closing whole, as a verb without a service does it.
    for line in [&["task", "list"][..], &["verify", "--local"]] {
        let ran = strace::run(&machine, line, "open,openat,openat2", None);
        calls.extend(ran.calls().iter().cloned());
    }
    let names = ["store.db", "store.db-wal", "store.db-shm"];
    let names = names.map(|name| format!("\"{}\"", machine.at(name).display()));
    let opens: Vec<&String> = calls
        .iter()
        .filter(|call| names.iter().any(|name| call.contains(name)))
        .collect();
    assert!(opens.len() >= 6, "{} opens were seen", opens.len());
    for call in opens {
        // SQLite follows no link to its files; the standard library knows nothing of that.
        assert!(call.contains("O_NOFOLLOW"), "not SQLite: {call}");
    }
}

#[test]
fn d13_a_hand_in_the_database_is_noticed_running_or_stopped_and_nothing_of_it_travels() {
    let edits = [
        "UPDATE record SET edits = replace(edits, 'xong', 'XONG') WHERE edits LIKE '%xong%'",
        "UPDATE audit SET actor = 'ai' WHERE number = 1",
    ];
    let mut pair = Pair::new();
    pair.report("xong");
    pair.arrives("xong");
    pair.stop_below();
    let kept = tempfile::tempdir().expect("room");
    support::machine::copy_tree(pair.commune.path(), kept.path());
    for edit in edits {
        for running in [false, true] {
            if running {
                pair.serve_below(&[]);
            }
            let hand = Connection::open(pair.commune.at("store.db")).expect("a store");
            hand.busy_timeout(PATIENCE).expect("patience");
            assert_eq!(hand.execute(edit, []).expect("written"), 1, "{edit}");
            drop(hand);
            if running {
                // The next write of the service meets what it has not written itself.
                let line = ["report", "set", &pair.task, "--percent", "30", "--json"];
                let ran = pair.commune.run(&line);
                // Kept, refused, asked while the socket is opened again, or just before the old one was closed.
                let unheard = ran.code == 1 && ran.err.contains("service_lost");
                assert!([0, 7, 11].contains(&ran.code) || unheard, "{ran:?}");
                // A write on top would make what the hand wrote look like ours, and it would travel.
                assert!(ran.code != 0 || edit.contains("audit"), "{ran:?}");
            } else {
                pair.serve_below(&[]);
            }
            stands_still(&pair);
            assert_eq!(pair.shown_above(), "xong", "{edit}");
            assert!(told(&pair.commune, "store.damaged") >= 1);
            pair.below.take().expect("it runs").kill();
            for name in [
                "store.db",
                "store.db-wal",
                "store.db-shm",
                "damaged.json",
                "sealed",
            ] {
                // Some of them may not be there.
                let _ = fs::remove_file(pair.commune.at(name));
            }
            // What a stopped service leaves may still have its log.
            for name in ["store.db", "store.db-wal", "sealed"] {
                let kept = kept.path().join(name);
                if kept.exists() {
                    fs::copy(kept, pair.commune.at(name)).expect("room");
                }
            }
        }
    }
    pair.above.take().expect("it runs").stop();
}

#[test]
fn j2_a_directory_deleted_under_a_service_ends_it_and_takes_nothing_away_above() {
    let mut pair = Pair::new();
    pair.report("xong");
    pair.arrives("xong");
    let line = dial(&pair.commune).expect("a connection");
    // All of it but what says why it ended.
    for entry in fs::read_dir(pair.commune.path())
        .expect("a folder")
        .flatten()
    {
        if entry.file_name() == "log" {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.expect("removed");
    }
    let fields = ReportFields {
        result: Some("mất".to_owned()),
        ..ReportFields::default()
    };
    let report = ReportRef {
        task: pair.task.clone(),
        unit: None,
        period: None,
    };
    let set = Command::ReportSet {
        report,
        fields,
        token: None,
        submit: false,
    };
    if let Some(Some(outcome)) = ask_over(line, &request("late", set)).map(|asked| asked.heard()) {
        outcome.expect_err("acknowledged into files that have no name any more");
    }
    let mut service = pair.below.take().expect("it runs");
    let status = until("its end", || service.ended());
    assert!(!status.success(), "its manager must know: {status}");
    let log = fs::read_to_string(pair.commune.at("log")).expect("a log");
    assert!(log.contains("deleted or replaced"), "{log}");
    assert_eq!(pair.shown_above(), "xong");
    let tasks = pair
        .ministry
        .run(&["task", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(tasks["items"].as_array().map(Vec::len), Some(1));
    let holds = pair
        .ministry
        .run(&["hold", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(holds["items"].as_array().map(Vec::len), Some(0));
    pair.above.take().expect("it runs").stop();
}

#[test]
fn a7_a_file_that_no_record_names_goes_and_one_of_a_write_under_way_stays() {
    let machine = Machine::ministry("BO");
    let service = machine.serve();
    let id = keep(&machine, 0);
    let paper = machine.at("paper");
    fs::write(&paper, "Biên bản").expect("room");
    let paper = paper.to_str().expect("text").to_owned();
    machine
        .run(&["evidence", "add", id.as_str().expect("an id"), &paper])
        .expect(0);
    let named = file_of(&machine);
    service.stop();
    let added = fs::metadata(&named).and_then(|found| found.modified());
    let long_ago = added.expect("a time") - Duration::from_secs(2 * 3600);
    let stray = |digit: char, at: Option<SystemTime>| {
        let name: String = std::iter::repeat_n(digit, 64).collect();
        let folder = machine.at("blobs").join(&name[..2]);
        fs::create_dir_all(&folder).expect("room");
        let path = folder.join(name);
        fs::write(&path, "left by a crash").expect("room");
        if let Some(at) = at {
            let file = fs::File::options().write(true).open(&path).expect("a file");
            file.set_modified(at).expect("a time");
        }
        path
    };
    let (old, fresh) = (stray('a', Some(long_ago)), stray('b', None));
    let file = fs::File::options()
        .write(true)
        .open(&named)
        .expect("a file");
    file.set_modified(long_ago).expect("a time");
    let service = machine.serve();
    until("it goes", || (!old.exists()).then_some(()));
    assert!(fresh.exists(), "its row may be on its way");
    assert!(named.exists());
    until("it is told", || {
        (told(&machine, "files.swept") == 1).then_some(())
    });
    service.stop();
}
