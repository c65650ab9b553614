//! The power that goes, and memory that is not there. `NQSYNC_PROOF=power` cuts the power a hundred times.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nqsync::api::{Command, Exit, TaskFields};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use support::control::{request, task_to_add, try_ask};
use support::disks::Disk;
use support::machine::{Machine, ran};
use support::strace::missing;

/// The longest that anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn titles(machine: &Machine) -> Vec<String> {
    let list = machine.run(&["task", "list", "--json"]).expect(0).json();
    let items = list["items"].as_array().expect("a list").iter();
    let mut found: Vec<String> = items
        .map(|item| item["title"].as_str().unwrap_or_default().to_owned())
        .collect();
    found.sort();
    found
}

/// Asks for one write after the other until nobody answers any more; the numbers of those that were acknowledged, as they
/// are heard.
fn writes(machine: &Machine, from: u64, heard: &std::sync::mpsc::Sender<u64>) {
    for number in from.. {
        let Some(asked) = try_ask(machine, &task_to_add(number)) else {
            return;
        };
        match asked.heard() {
            Some(Ok(answer)) if answer.exit == Exit::Done => {
                if heard.send(number).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

#[test]
fn a13_what_was_acknowledged_before_the_power_went_is_there_when_it_is_back() {
    let proof = std::env::var("NQSYNC_PROOF").as_deref() == Ok("power");
    let cuts = if proof { 100 } else { 4 };
    let seed: u64 = std::env::var("NQSYNC_SEED").map_or(13, |text| text.parse().expect("a number"));
    println!("NQSYNC_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let machine = Machine::new();
    let Some(disk) = Disk::image(machine.path()) else {
        return;
    };
    let init = ["init", "--unit", "BO", "--level", "ministry"];
    machine.run(&init).expect(0);
    let (mut kept, mut next) = (BTreeSet::new(), 0);
    for cut in 0..cuts {
        // Every third time the log is moved into the database again and again.
        let small_log = ["store.wal_checkpoint_pages=100"];
        let service = machine.serve_with(if cut % 3 == 0 { &small_log } else { &[] });
        let (heard, acknowledged) = std::sync::mpsc::channel();
        let wait = Duration::from_micros(rng.random_range(0..150_000));
        thread::scope(|scope| {
            scope.spawn(|| writes(&machine, next, &heard));
            // One write at least, so that each cut has something to lose.
            kept.extend(acknowledged.recv_timeout(PATIENCE));
            thread::sleep(wait);
            // What is heard later may have been said by a disk that was off already.
            kept.extend(acknowledged.try_iter());
            disk.cut_power();
            service.kill();
        });
        next += 10_000;
        disk.back();
        let found = titles(&machine);
        for number in &kept {
            let title = format!("Việc {number}");
            let times = found.iter().filter(|found| **found == title).count();
            assert_eq!(times, 1, "seed {seed}, cut {cut}: {title}");
        }
        let store = Connection::open(machine.at("store.db")).expect("a store");
        let sound: String = store
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("an answer");
        assert_eq!(sound, "ok", "seed {seed}, cut {cut}");
        drop(store);
        machine.run(&["verify", "--local"]).expect(0);
    }
    println!("{cuts} cuts, {} acknowledged writes, none lost", kept.len());
    assert!(kept.len() >= cuts);
}

#[test]
fn a15_a_service_without_memory_loses_nothing_that_it_acknowledged() {
    let machine = Machine::ministry("BO");
    let mut service = machine.serve();
    let (heard, acknowledged) = std::sync::mpsc::channel();
    let pid = service.pid();
    let size = fs::read_to_string(format!("/proc/{pid}/status")).expect("its state");
    let size = size.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size = size.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let most = size.expect("its size") * 1024 + (24 << 20);
    let limited = |most: String| {
        let mut command = Process::new("prlimit");
        command
            .arg(format!("--pid={pid}"))
            .arg(format!("--as={most}"));
        command.status().is_ok_and(|status| status.success())
    };
    if !limited(format!("{most}:unlimited")) {
        missing("prlimit is missing here");
        return;
    }
    for number in 0..5 {
        let kept = try_ask(&machine, &task_to_add(number)).and_then(|asked| asked.heard());
        if kept.is_some_and(|kept| kept.is_ok()) {
            heard.send(number).expect("ours");
        }
    }
    // Larger and larger, until there is no memory for it.
    let end = Instant::now() + PATIENCE;
    for number in 5.. {
        let fields = TaskFields {
            title: Some("x".repeat(1 << 20 << (number - 5).min(5))),
            ..TaskFields::default()
        };
        let large = request(&format!("large {number}"), Command::TaskAdd { fields });
        // It may be ending already.
        let _ = try_ask(&machine, &large).and_then(|asked| asked.heard());
        if let Some(status) = service.ended() {
            println!("it ended with {status}");
            break;
        }
        if number > 12 {
            // It bore that as well; the system's own way is a kill.
            service.kill();
            break;
        }
        assert!(Instant::now() < end);
    }
    let service = machine.serve();
    let found = titles(&machine);
    for number in acknowledged.try_iter() {
        assert!(found.contains(&format!("Việc {number}")), "{number}");
    }
    for number in 0..5 {
        let kept = try_ask(&machine, &task_to_add(number)).and_then(|asked| asked.heard());
        assert_eq!(kept.expect("an answer").expect("kept").exit, Exit::Done);
    }
    let found = titles(&machine);
    let small = found.iter().filter(|title| title.starts_with("Việc"));
    assert_eq!(small.count(), 5, "each of them once");
    machine.run(&["verify", "--local"]).expect(0);
    service.stop();
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("the processes");
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    })
    .collect()
}

#[test]
fn a15_a_parsing_worker_that_is_killed_fails_its_job_with_a_reason_and_nothing_else() {
    let machine = Machine::ministry("BO");
    let service = machine.serve();
    let mut table =
        "STT,Nhiệm vụ chung,Nhiệm vụ cụ thể,Sản phẩm,KPI,Đơn vị chủ trì,Đơn vị phối hợp,Thời hạn\n"
            .to_owned();
    for row in 1..=60_000 {
        table += &format!("{row},Việc {row},,Báo cáo,,BO,,31/12/2026\n");
    }
    let path = machine.at("plan.csv");
    fs::write(&path, table).expect("room");
    let line = [
        "import",
        path.to_str().expect("text"),
        "--as",
        "tasks",
        "--json",
    ];
    let mut import = machine.command(&line);
    import.stdout(Stdio::piped()).stderr(Stdio::piped());
    let import = import.spawn().expect("it starts");
    let end = Instant::now() + PATIENCE;
    // As the system does it to the one that asks for too much.
    let worker = loop {
        if let Some(pid) = children(import.id()).first() {
            break *pid;
        }
        assert!(Instant::now() < end, "no worker was seen");
        thread::yield_now();
    };
    let pid = rustix::process::Pid::from_raw(worker).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    let output = import.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("signal 9"), "the reason: {said}");
    assert!(titles(&machine).is_empty(), "nothing of it was taken");
    let again = ran(machine.command(&["task", "add", "--title", "Việc", "--lead", "BO"]));
    assert_eq!(again.code, 0, "the service goes on: {again:?}");
    service.stop();
}
