//! Two stores that should hold the same: what differs is named, and brought back into line.

mod support;

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::machine::Machine;

/// A ministry and a commune with reports, both running.
fn pair() -> (Machine, support::machine::Service, Machine, Vec<String>) {
    let ministry = Machine::ministry("BO");
    let above = ministry.serve();
    let commune = Machine::child(&ministry, "24001", "commune");
    let mut tasks = Vec::new();
    for number in 0..5 {
        let title = format!("Nhiệm vụ {number}");
        let line = [
            "task", "add", "--title", &title, "--lead", "24001", "--json",
        ];
        let id = ministry.run(&line).expect(0).json()["id"].clone();
        tasks.push(id.as_str().expect("an id").to_owned());
    }
    let below = commune.serve();
    commune.run(&["sync", "--wait"]).expect(0);
    for task in &tasks {
        let line = ["report", "set", task, "--result", "xong", "--percent", "50"];
        commune.run(&line).expect(0);
    }
    commune.run(&["sync", "--wait"]).expect(0);
    below.stop();
    (ministry, above, commune, tasks)
}

/// Makes a store believe of every report that its parent has it and has answered for it.
fn believe_in_vain(machine: &Machine) -> usize {
    let connection = Connection::open(machine.at("store.db")).expect("a closed store");
    connection
        .execute(
            "UPDATE link_record SET pending = 0, ours = (SELECT digest FROM record r WHERE r.rec = link_record.rec)
             WHERE pending = 1",
            [],
        )
        .expect("written")
}

#[test]
fn what_differs_is_named_with_its_side_and_repaired_from_either_side() {
    let (ministry, above, commune, tasks) = pair();
    let below = commune.serve();
    let same = commune.run(&["verify", "--json"]).expect(0).json();
    assert_eq!((&same["ok"], &same["differ"]), (&json!(true), &json!(0)));
    below.stop();

    // Written here, and wrongly taken for sent; and a task there, wrongly taken for delivered.
    let line = [
        "report",
        "set",
        &tasks[0],
        "--result",
        "sửa",
        "--percent",
        "60",
    ];
    commune.run(&line).expect(0);
    assert_eq!(believe_in_vain(&commune), 1);
    above.stop();
    let line = ["task", "add", "--title", "Mới", "--lead", "24001", "--json"];
    let fresh = ministry.run(&line).expect(0).json()["id"].clone();
    assert!(believe_in_vain(&ministry) >= 1);
    let again = ministry.serve();
    let address = address_of(&ministry);
    let below = commune.serve_with(&[&format!("upstream.url={address}")]);
    let found = commune.run(&["verify", "--json"]).expect(4).json();
    let items = found["items"].as_array().expect("a list");
    let sides: Vec<(&str, &str)> = items
        .iter()
        .filter_map(|item| Some((item["kind"].as_str()?, item["side"].as_str()?)))
        .collect();
    assert!(sides.contains(&("report", "both")), "{sides:?}");
    assert!(sides.contains(&("task", "there")), "{sides:?}");
    assert!(items.iter().any(|item| item["record"] == fresh));
    let still = commune.run(&["verify", "--json"]).expect(4).json();
    assert_eq!(still["differ"], found["differ"], "looking changes nothing");

    let mended = commune
        .run(&["verify", "--repair", "--json"])
        .expect(0)
        .json();
    assert_eq!(mended["differed_before"], found["differ"]);
    let shown = ministry.run(&["report", "show", &tasks[0], "--unit", "24001", "--json"]);
    assert!(shown.expect(0).out.contains("sửa"));
    let fresh = fresh.as_str().expect("an id");
    commune.run(&["task", "show", fresh]).expect(0);
    commune.run(&["verify"]).expect(0);
    let top = ministry.run(&["verify", "--json"]).expect(2);
    assert_eq!(top.failure(), "verify_no_parent");
    below.stop();
    again.stop();
    let stopped = commune.run(&["verify", "--json"]).expect(2);
    assert_eq!(stopped.failure(), "verify_needs_service");
}

/// Where a running ministry listens, as it wrote it down.
fn address_of(machine: &Machine) -> String {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(machine.at("store.db"), flags).expect("a store");
    connection
        .query_row(
            "SELECT value FROM meta WHERE key = 'listen_url'",
            [],
            |row| row.get(0),
        )
        .expect("an address")
}

#[test]
fn a_look_at_the_store_itself_finds_what_the_disk_has_changed() {
    let (_ministry, _above, commune, _) = pair();
    let whole = commune
        .run(&["verify", "--local", "--json"])
        .expect(0)
        .json();
    assert_eq!(whole["ok"], true);
    assert!(whole["records"].as_i64() > Some(10));
    let changes: [(&str, &str); 3] = [
        (
            "a record",
            "UPDATE record SET edits = replace(edits, 'xong', 'XONG') WHERE edits LIKE '%xong%'",
        ),
        (
            "the audit",
            "UPDATE audit SET actor = 'ai đó' WHERE number = 2",
        ),
        (
            "a row that is named",
            "DELETE FROM record WHERE kind = (SELECT min(kind) FROM record)",
        ),
    ];
    let kept = tempfile::tempdir().expect("room");
    support::machine::copy_tree(commune.path(), kept.path());
    for (what, sql) in changes {
        let connection = Connection::open(commune.at("store.db")).expect("a closed store");
        connection
            .pragma_update(None, "foreign_keys", false)
            .expect("a switch");
        assert!(connection.execute(sql, []).expect("written") > 0, "{what}");
        drop(connection);
        let found = commune
            .run(&["verify", "--local", "--json"])
            .expect(4)
            .json();
        assert!(
            !found["damage"].as_array().expect("a list").is_empty(),
            "{what}"
        );
        fs::copy(kept.path().join("store.db"), commune.at("store.db")).expect("put back");
        for beside in ["store.db-wal", "store.db-shm"] {
            // There only when the last look did not end in order.
            let _ = fs::remove_file(commune.at(beside));
        }
        commune.run(&["verify", "--local"]).expect(0);
    }
}

#[test]
fn a_damaged_attachment_is_found_kept_aside_and_fetched_again() {
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let child = Machine::child(&ministry, "66", "province");
    let paper = ministry.at("ct12.pdf");
    fs::write(&paper, "Chỉ thị 12\n".repeat(1000)).expect("room");
    let paper = paper.to_str().expect("text").to_owned();
    let add = [
        "directive",
        "add",
        "12/CT",
        "Số hoá",
        "--file",
        &paper,
        "--unit",
        "66",
    ];
    ministry.run(&add).expect(0);
    let _below = child.serve();
    child.run(&["sync", "--wait"]).expect(0);
    let blob = only_blob(child.path());
    fs::write(&blob, "hỏng").expect("room");
    let found = child.run(&["verify", "--local", "--json"]).expect(4).json();
    assert_eq!(found["bad_files"].as_array().map(Vec::len), Some(1));
    child.run(&["verify", "--local", "--repair"]).expect(4);
    child.run(&["sync", "--wait"]).expect(0);
    let status: Value = child.run(&["status", "--json"]).json();
    assert_eq!(status["blobs"]["missing"], 0, "{status}");
    child.run(&["verify", "--local"]).expect(0);
    assert_eq!(
        fs::read(only_blob(child.path())).expect("a file").len(),
        15_000
    );
}

fn only_blob(root: &Path) -> std::path::PathBuf {
    let folders = fs::read_dir(root.join("blobs")).expect("blobs").flatten();
    let files = folders.filter(|folder| folder.file_name() != "partial");
    let mut files =
        files.flat_map(|folder| fs::read_dir(folder.path()).expect("a folder").flatten());
    let whole = files.find(|file| file.path().extension().is_none());
    whole.expect("an attachment").path()
}
