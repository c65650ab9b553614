//! The audit: shown, proved, handed out; and what neighbours notice of one that was changed.

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use nqsync::api::{Command, Lang, Request};
use nqsync::node::commands::audits::file::checked;
use nqsync::store::audit::{self, Act};
use serde_json::{Value, json};
use support::Place;
use support::machine::Machine;
use support::world::World;

/// What a check of an exported file says: line and how, or nothing.
fn found(path: &Path) -> Option<(u64, String)> {
    let request = Request {
        request_id: "1".to_owned(),
        lang: Lang::En,
        person: "inspector".to_owned(),
        asker: Default::default(),
        acting_for: None,
        command: Command::AuditVerify,
    };
    let path = path.to_str().expect("text");
    let answer = checked(&request, path).expect("readable").data;
    let line = answer["line"].as_u64()?;
    Some((line, answer["how"].as_str()?.to_owned()))
}

#[test]
fn an_exported_audit_tells_the_line_of_every_changed_byte_and_a_missing_end() {
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let commune = Machine::child(&ministry, "24001", "commune");
    let below = commune.serve();
    for title in ["Số hoá", "Trực tuyến"] {
        let line = ["task", "add", "--title", title, "--lead", "24001", "--json"];
        let task = ministry.run(&line).expect(0).json()["id"].clone();
        commune.run(&["sync", "--wait"]).expect(0);
        let task = task.as_str().expect("an id");
        let line = ["report", "set", task, "--result", "xong", "--percent", "50"];
        commune.run(&line).expect(0);
        commune.run(&["sync", "--wait"]).expect(0);
    }
    let shown = commune.run(&["audit", "show", "--act", "report_", "--json"]);
    let shown = shown.expect(0).json();
    assert_eq!(shown["total"], 2, "{shown}");
    let verified = commune.run(&["audit", "verify", "--json"]).expect(0).json();
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(verified["countersigned_by"], "BO", "{verified}");
    let up_to = verified["countersigned_up_to"].as_i64().expect("a number");
    assert!(up_to > 0 && up_to <= verified["entries"].as_i64().expect("a number"));

    let folder = tempfile::tempdir().expect("room");
    let path = folder.path().join("audit.ndjson");
    let name = path.to_str().expect("text");
    commune.run(&["audit", "export", name]).expect(0);
    commune.run(&["audit", "export", name]).expect(2);
    drop(below);
    let whole = commune.run(&["audit", "verify", name, "--json"]);
    let whole = whole.expect(0).json();
    assert_eq!((&whole["ok"], &whole["line"]), (&json!(true), &Value::Null));
    assert!(whole["countersigned"].as_u64() > Some(0), "{whole}");

    let bytes = fs::read(&path).expect("the file");
    let copy = folder.path().join("copy.ndjson");
    for at in (0..bytes.len()).step_by(23).chain([bytes.len() - 1]) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&copy, &changed).expect("room");
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        let (found, how) = found(&copy).unwrap_or_else(|| panic!("byte {at} is not noticed"));
        assert_eq!((found, how.as_str()), (line, "changed"), "byte {at}");
    }
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = ends.map(|(at, _)| at + 1).collect();
    for (lines, end) in ends.iter().enumerate().take(ends.len() - 1) {
        fs::write(&copy, &bytes[..*end]).expect("room");
        assert_eq!(found(&copy), Some((lines as u64 + 2, "cut".to_owned())));
    }
    let refused = commune.run(&["audit", "verify", copy.to_str().expect("text")]);
    assert_eq!(refused.code, 4, "{refused:?}");
}

/// Takes the newest entries away, as somebody with the file in his hands could, and leaves a chain that holds.
fn cut(place: &Place, entries: i64) {
    let path = place.node.store.dir().join("store.db");
    let connection = rusqlite::Connection::open(path).expect("the file");
    let gone = connection.execute(
        "DELETE FROM audit WHERE number > (SELECT max(number) FROM audit) - ?1",
        [entries],
    );
    assert_eq!(gone.expect("done"), entries as usize);
}

/// Things happen at a node.
async fn happens(place: &Place, times: usize) {
    for number in 0..times {
        let write = place.node.store.write(move |tx| {
            let act = Act {
                at: number as i64,
                actor: "lan",
                act: "something",
                subject: "",
                detail: json!({ "number": number }),
            };
            audit::append(tx, &act)
        });
        write.await.expect("written");
    }
}

const CONTRADICTS: &str = "audit_contradicts";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g13_a_parent_that_cuts_or_rewrites_its_audit_is_found_out_by_its_child() {
    let mut world = World::new().await;
    happens(&world.province, 5).await;
    world.settle().await;
    world.commune.sync().await;
    assert!(!world.commune.has_problem(CONTRADICTS).await);
    world.province.shut().await;
    cut(&world.province, 3);
    world.province.start().await;
    // It goes on and soon has more entries than before: those that the child saw are other ones now.
    happens(&world.province, 9).await;
    world.commune.find(&world.province).await;
    world.commune.sync().await;
    assert!(world.commune.has_problem(CONTRADICTS).await);
    explained(&world.commune, &world.province).await;
    for _ in 0..3 {
        a_day_later(&world);
        happens(&world.province, 2).await;
        world.commune.sync().await;
        assert!(!world.commune.has_problem(CONTRADICTS).await, "settled");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_was_put_back_is_told_as_that_and_not_as_an_audit_that_somebody_changed() {
    let mut world = World::new().await;
    let task = world.task().await;
    happens(&world.commune, 5).await;
    world.settle().await;
    world.commune.shut().await;
    let copy = world.commune.copy();
    world.commune.start().await;
    world.commune.find(&world.province).await;
    world.report(task, 10).await;
    happens(&world.commune, 9).await;
    world.settle().await;
    a_day_later(&world);
    world.commune.sync().await;
    world.commune.shut().await;
    world.commune.put_back(&copy);
    world.commune.start().await;
    world.commune.find(&world.province).await;
    for _ in 0..4 {
        world.commune.sync().await;
        assert!(!world.province.has_problem(CONTRADICTS).await);
        a_day_later(&world);
        // Until it has more entries than were ever seen of it, under numbers that were seen with other ones.
        happens(&world.commune, 4).await;
    }
    assert!(world.province.has_problem("restored_or_cloned").await);
    explained(&world.province, &world.commune).await;
    assert!(!world.province.has_problem("restored_or_cloned").await);
    // Only what there was has been explained.
    world.commune.shut().await;
    world.commune.put_back(&copy);
    world.commune.start().await;
    world.commune.find(&world.province).await;
    world.commune.sync().await;
    assert!(world.province.has_problem("restored_or_cloned").await);
}

/// A person at one end knows why the other end is not what it was.
async fn explained(at: &Place, of: &Place) {
    let accept = Command::AuditAccept {
        peer: of.node.store.shown().node.expect("a node").to_string(),
        reason: "hỏi qua điện thoại".to_owned(),
    };
    at.data(accept).await;
}

/// What is seen on one day makes room for what is seen later on it.
fn a_day_later(world: &World) {
    for place in [&world.province, &world.commune] {
        place.clock_ms.fetch_add(86_400_000, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_whose_audit_is_shorter_than_its_parent_has_seen_is_named_above() {
    let mut world = World::new().await;
    happens(&world.commune, 5).await;
    world.settle().await;
    world.commune.sync().await;
    assert!(!world.province.has_problem(CONTRADICTS).await);
    world.commune.shut().await;
    cut(&world.commune, 2);
    world.commune.start().await;
    world.commune.find(&world.province).await;
    let verified = world.commune.data(Command::AuditVerify).await;
    assert_eq!(verified["wrong"][0]["how"], "cut", "{verified}");
    world.commune.sync().await;
    assert!(world.province.has_problem(CONTRADICTS).await);
}
