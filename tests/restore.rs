//! A restore is all or nothing, brings back what was sent after the backup, and asks before anything new is written.

mod support;

use std::fs;
use std::path::Path;

use nqsync::store::backup::{self, Source};
use nqsync::store::restore::{self, Order};
use serde_json::{Value, json};
use support::Place;
use support::machine::{Machine, killed_at};
use support::promises::idle;
use support::values;
use support::world::{World, progress, report_facts};
use tempfile::TempDir;
use uuid::Uuid;

/// A backup of a node of a test, while it runs.
fn back_up(place: &Place, shelf: &TempDir, name: &str) -> std::path::PathBuf {
    let to = shelf.path().join(name);
    let source = Source {
        elsewhere: None,
        dir: place.dir.path().to_owned(),
        config: None,
        adapters: None,
        made_at: "2026-03-22T03:00:00Z".into(),
    };
    backup::make(&source, &to).expect("a backup");
    to
}

/// Restores a node that was shut, and starts it again.
async fn bring_back(place: &mut Place, from: &Path) -> restore::Restored {
    place.shut().await;
    let order = Order {
        from: from.to_owned(),
        dir: place.dir.path().to_owned(),
        level: Default::default(),
        unit: place.loaded.config.node.unit.clone(),
        replace: true,
        now_ms: place.node.clock.now_ms(),
        stamp: "20260322T030000Z".into(),
    };
    let restored = restore::restore(&order).expect("restored");
    place.start().await;
    restored
}

async fn try_report(
    world: &World,
    report: Uuid,
    text: &str,
) -> Result<Uuid, nqsync::node::Refusal> {
    let unit = world.commune.unit();
    let value = json!(text);
    let set = world.commune.set(report, unit, [("result", value)], None);
    set.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_child_is_read_only_until_its_lost_writes_are_back() {
    let mut world = World::new().await;
    let shelf = tempfile::tempdir().expect("room");
    let task = world.task().await;
    world.settle().await;
    let report = world.report(task, 10).await;
    world.settle().await;
    let backup = back_up(&world.commune, &shelf, "one");
    // After the backup, in the same opening of the store: one batch more, as after a lost acknowledgement.
    let unit = world.commune.unit();
    let changed = world
        .commune
        .set(report, unit, [("progress", progress(80))], None);
    changed.await.expect("written");
    world.settle().await;
    let digest = world.commune.digest(report).await;

    let restored = bring_back(&mut world.commune, &backup).await;
    assert!(restored.waits && restored.missing.is_empty());
    assert_ne!(
        world.commune.digest(report).await,
        digest,
        "the disk is old"
    );
    let refused = try_report(&world, report, "vội")
        .await
        .expect_err("too early");
    assert_eq!(refused.code, "restored-waiting");
    assert!(world.commune.has_problem("restored_waiting").await);
    world.commune.find(&world.province).await;
    assert_eq!(world.commune.sync().await.agrees, Some(true));
    assert_eq!(world.commune.digest(report).await, digest, "it is back");
    assert!(!world.commune.has_problem("restored_waiting").await);
    try_report(&world, report, "sau đó")
        .await
        .expect("open again");
    world.settle().await;
    let stored = world.province.stored(report).await.record;
    assert_eq!(stored.shown("result"), Some(json!("sau đó")));
    assert!(stored.conflicts().is_empty());
    assert!(world.province.set_aside().await.is_empty());
    idle(&world.commune, &world.province).await.expect("idle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e3_a_child_and_its_parent_both_restored_end_with_the_union_of_what_either_holds() {
    let mut world = World::new().await;
    let shelf = tempfile::tempdir().expect("room");
    let task = world
        .task_of(&world.ministry, world.commune.unit(), &[])
        .await;
    world.settle().await;
    let of_parent = back_up(&world.province, &shelf, "province");
    // Only the child's backup has this one …
    let facts = report_facts(world.commune.unit(), world.ministry.unit(), task);
    let values = values([("progress", progress(15))]);
    let unit = world.commune.unit();
    let report = world.commune.create(unit, facts, values).await;
    let of_child = back_up(&world.commune, &shelf, "commune");
    world.settle().await;
    // … and only the ministry this one.
    let later = world
        .task_of(&world.ministry, world.commune.unit(), &[])
        .await;
    world.settle().await;
    bring_back(&mut world.province, &of_parent).await;
    bring_back(&mut world.commune, &of_child).await;
    assert!(!world.province.holds(report).await && !world.province.holds(later).await);
    assert!(!world.commune.holds(later).await);

    world.province.find(&world.ministry).await;
    world.commune.find(&world.province).await;
    world.other.find(&world.province).await;
    world.settle().await;
    for id in [task, report, later] {
        let digest = world.ministry.digest(id).await;
        assert!(digest.is_some());
        assert_eq!(world.province.digest(id).await, digest);
        assert_eq!(world.commune.digest(id).await, digest);
    }
    assert_eq!(world.commune.sync().await.agrees, Some(true));
    assert_eq!(world.province.sync().await.agrees, Some(true));
    assert!(world.province.set_aside().await.is_empty());
    for place in [&world.province, &world.commune] {
        assert!(!place.has_problem("restored_waiting").await);
    }
    assert!(!world.province.has_problem("restored_children").await);
    idle(&world.commune, &world.province).await.expect("idle");
    idle(&world.province, &world.ministry).await.expect("idle");
}

/// A ministry with a directive whose file is stored, and its backup.
fn ministry(shelf: &TempDir) -> (Machine, String) {
    let machine = Machine::ministry("BO");
    let paper = machine.at("ct12.pdf");
    fs::write(&paper, "Chỉ thị 12\n".repeat(1000)).expect("room");
    let paper = paper.to_str().expect("text").to_owned();
    let add = ["directive", "add", "12/CT", "Số hoá", "--file", &paper];
    machine.run(&add).expect(0);
    let to = shelf.path().join("one").to_str().expect("text").to_owned();
    machine.run(&["backup", &to]).expect(0);
    machine.run(&["unit", "add", "66", "Tỉnh"]).expect(0);
    (machine, to)
}

fn units(machine: &Machine) -> i64 {
    let listed = machine.run(&["unit", "list", "--json"]).expect(0).json();
    listed["total"].as_i64().expect("a count")
}

#[test]
fn j3_a_restore_over_a_running_service_is_refused_and_so_is_one_over_a_store_without_a_word() {
    let shelf = tempfile::tempdir().expect("room");
    let (machine, backup) = ministry(&shelf);
    let service = machine.serve();
    let refused = machine.run(&["restore", &backup, "--replace", "--json"]);
    assert_eq!(refused.expect(11).failure(), "store_locked");
    assert_eq!(units(&machine), 2, "nothing was touched");
    service.stop();
    let refused = machine.run(&["restore", &backup, "--json"]).expect(2);
    assert_eq!(refused.failure(), "restore_in_the_way");
    assert_eq!(units(&machine), 2);

    let done = machine.run(&["restore", &backup, "--replace", "--json"]);
    let done = done.expect(0).json();
    assert_eq!(done["waits_for_parent"], false, "nobody is above");
    assert_eq!(units(&machine), 1, "as it was at the backup");
    let aside = Path::new(done["aside"].as_str().expect("a folder"));
    assert!(aside.join("store.db").exists() && aside.join("keys/node.key").exists());
    machine.run(&["unit", "add", "67", "Tỉnh"]).expect(0);
    machine.serve().stop();

    // A damaged backup and one of another unit touch nothing either.
    let other = Machine::ministry("KHAC");
    let refused = other.run(&["restore", &backup, "--replace", "--json"]);
    assert_eq!(refused.expect(2).failure(), "restore_other_unit");
    let database = Path::new(&backup).join("store.db");
    let mut bytes = fs::read(&database).expect("a file");
    bytes[5000] ^= 1;
    fs::write(&database, bytes).expect("room");
    let refused = machine.run(&["restore", &backup, "--replace", "--json"]);
    assert_eq!(refused.expect(4).failure(), "restore_damaged");
    assert_eq!(units(&machine), 2);
}

#[test]
fn on_a_new_machine_configuration_keys_and_files_come_from_the_backup() {
    let shelf = tempfile::tempdir().expect("room");
    let (machine, backup) = ministry(&shelf);
    let new = Machine::new();
    new.run(&["restore", &backup]).expect(0);
    let node = |machine: &Machine| machine.run(&["status", "--json"]).json()["node"].clone();
    assert_eq!(node(&new), node(&machine));
    let key = |machine: &Machine| fs::read(machine.at("keys/node.key")).expect("a key");
    assert_eq!(key(&new), key(&machine));
    new.serve().stop();
    let blobs = new.run(&["status", "--json"]).json()["blobs"].clone();
    assert_eq!(
        (&blobs["present"], &blobs["missing"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn e7_a_database_restored_without_its_files_asks_for_them_again() {
    let shelf = tempfile::tempdir().expect("room");
    let (machine, backup) = ministry(&shelf);
    fs::remove_dir_all(Path::new(&backup).join("blobs")).expect("files");
    let done = machine.run(&["restore", &backup, "--replace", "--json"]);
    let done = done.expect(3).json();
    assert_eq!(done["missing_files"].as_array().map(Vec::len), Some(1));
    let status = machine.run(&["status", "--json"]).json();
    assert_eq!(status["blobs"]["missing"], 1);
    let problems = status["problems"].as_array().expect("a list");
    let named = problems.iter().any(|p| p["code"] == "files_missing");
    assert!(named, "it is said: {status}");
    machine.serve().stop();
}

#[test]
fn e7_files_that_another_level_has_are_fetched_from_there_again() {
    let shelf = tempfile::tempdir().expect("room");
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let child = Machine::child(&ministry, "66", "province");
    let paper = ministry.at("ct12.pdf");
    fs::write(&paper, "Chỉ thị 12\n".repeat(1000)).expect("room");
    let paper = paper.to_str().expect("text").to_owned();
    let add = ["directive", "add", "12/CT", "Số hoá", "--file", &paper];
    ministry
        .run(&[&add[..], &["--unit", "66"]].concat())
        .expect(0);
    let below = child.serve();
    child.run(&["sync", "--wait"]).expect(0);
    let files = |machine: &Machine| {
        let blobs = machine.run(&["status", "--json"]).json()["blobs"].clone();
        (blobs["present"].clone(), blobs["missing"].clone())
    };
    assert_eq!(files(&child), (json!(1), json!(0)));
    let to = shelf.path().join("one").to_str().expect("text").to_owned();
    child.run(&["backup", &to]).expect(0);
    below.stop();
    fs::remove_dir_all(Path::new(&to).join("blobs")).expect("files");
    child.run(&["restore", &to, "--replace"]).expect(3);
    assert_eq!(files(&child), (json!(0), json!(1)));
    let below = child.serve();
    child.run(&["sync", "--wait"]).expect(0);
    assert_eq!(files(&child), (json!(1), json!(0)));
    below.stop();

    // The reverse: a file that no record names does no harm, and is kept.
    let stray = child.at("blobs/ab/stray");
    fs::create_dir_all(child.at("blobs/ab")).expect("room");
    fs::write(&stray, "x").expect("room");
    child.serve().stop();
    assert!(stray.exists());
}

#[test]
fn a12_a_kill_anywhere_in_a_restore_leaves_the_old_store_or_one_that_refuses_to_start() {
    let shelf = tempfile::tempdir().expect("room");
    let (machine, backup) = ministry(&shelf);
    let kept = shelf.path().join("kept");
    support::machine::copy_tree(machine.path(), &kept);
    let line = ["restore", backup.as_str(), "--replace"];
    let (mut cut, mut half) = (0, 0);
    for call in ["rename", "mkdir", "unlink", "link", "fsync"] {
        for number in 1.. {
            let Some(done) = killed_at(&machine, call, number, &line) else {
                eprintln!("strace cannot be used here: the kill at every call is left out");
                return;
            };
            if done {
                break;
            }
            cut += 1;
            let asked = machine.run(&["unit", "list", "--json"]);
            match asked.code {
                // Before the first change, or after the last.
                0 => assert!((1..=2).contains(&asked.json()["total"].as_i64().expect("a count"))),
                _ => {
                    half += 1;
                    assert_eq!(asked.failure(), "half_restored", "{call} {number}");
                    let run = machine.refuses_to_serve();
                    assert_eq!(run.code, 10, "{run:?}");
                }
            }
            machine.run(&line).expect(0);
            assert_eq!(units(&machine), 1, "{call} {number}");
            assert!(!machine.at("restore.unfinished").exists());
            // What was there before the first try is in one of the folders kept aside.
            let aside = fs::read_dir(machine.path()).expect("a folder").flatten();
            let old = aside.filter(|entry| {
                let name = entry.file_name();
                name.to_string_lossy().starts_with("replaced-")
                    && entry.path().join("store.db").exists()
            });
            assert!(old.count() >= 1, "{call} {number}");
            clear(machine.path());
            support::machine::copy_tree(&kept, machine.path());
        }
    }
    assert!(cut > 20 && half > 3, "{cut} cuts, {half} of them half-way");
}

fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let removed = if entry.path().is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        removed.expect("removed");
    }
}

#[test]
fn a_restored_child_of_real_processes_opens_with_its_parent_or_alone() {
    let shelf = tempfile::tempdir().expect("room");
    let ministry = Machine::ministry("BO");
    let above = ministry.serve();
    let child = Machine::child(&ministry, "66", "province");
    let below = child.serve();
    child.run(&["sync", "--wait"]).expect(0);
    let to = shelf.path().join("one").to_str().expect("text").to_owned();
    child.run(&["backup", &to]).expect(0);
    child.run(&["unit", "add", "24001", "Xã"]).expect(0);
    child.run(&["sync", "--wait"]).expect(0);
    below.kill();
    let done = child
        .run(&["restore", &to, "--replace", "--json"])
        .expect(0);
    assert_eq!(done.json()["waits_for_parent"], true);
    let refused = child.run(&["unit", "add", "24002", "Xã", "--json"]);
    assert_eq!(refused.expect(2).failure(), "restored_waiting");
    assert_eq!(units(&child), 2);

    let below = child.serve();
    child.run(&["sync", "--wait"]).expect(0);
    assert_eq!(units(&child), 3, "the unit added after the backup is back");
    child.run(&["unit", "add", "24002", "Xã"]).expect(0);
    below.stop();
    above.stop();
    child.run(&["restore", &to, "--replace"]).expect(0);
    child.run(&["unit", "add", "24003", "Xã"]).expect(2);
    child.run(&["adopt", "--alone"]).expect(0);
    child.run(&["unit", "add", "24003", "Xã"]).expect(0);
    let again = child.run(&["adopt", "--alone", "--json"]).expect(2);
    assert_eq!(again.failure(), "nothing_to_adopt");
    let status: Value = child.run(&["status", "--json"]).json();
    let problems = status["problems"].to_string();
    assert!(!problems.contains("restored_waiting"), "{problems}");
}

#[test]
fn d7_a_write_ahead_log_that_is_lost_costs_nothing_that_was_sent() {
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let child = Machine::child(&ministry, "66", "province");
    let below = child.serve();
    child.run(&["sync", "--wait"]).expect(0);
    child.run(&["unit", "add", "24001", "Xã"]).expect(0);
    child.run(&["sync", "--wait"]).expect(0);
    // An orderly end moves everything into the database; what follows is in the log alone.
    below.stop();
    let below = child.serve();
    child.run(&["unit", "add", "24002", "Xã"]).expect(0);
    child.run(&["sync", "--wait"]).expect(0);
    let lost = child.run(&["status", "--json"]).json()["incarnation"].clone();
    below.kill();
    assert!(child.at("store.db-wal").exists());
    fs::remove_file(child.at("store.db-wal")).expect("a log");
    assert_eq!(units(&child), 3, "the last unit is gone");

    let below = child.serve();
    let mut tries = 0;
    while units(&child) != 4 {
        // A session under way may have to be opened again first.
        child.run(&["sync", "--wait"]);
        tries += 1;
        assert!(tries < 50, "it does not come back");
    }
    child.run(&["unit", "add", "24003", "Xã"]).expect(0);
    child.run(&["sync", "--wait"]).expect(0);
    let fresh = child.run(&["status", "--json"]).json()["incarnation"].clone();
    assert_ne!(fresh, lost, "no dot is used twice");
    assert_eq!(units(&ministry), 5);
    let status = ministry.run(&["status", "--json"]).json();
    let problems = status["problems"].to_string();
    assert!(
        problems.contains("restored_or_cloned"),
        "somebody is told: {problems}"
    );
    below.stop();
}
