//! A store on a machine it does not know does nothing by itself.

mod support;

use serde_json::json;
use support::machine::{Machine, copy_tree};

/// The same program on a machine of this name.
fn on_machine(machine: &mut Machine, name: &str) {
    let file = machine.at("machine-id");
    std::fs::write(&file, format!("{name}\n")).expect("room");
    let value = file.to_str().expect("text").to_owned();
    machine.env = vec![("NQSYNC_NODE_MACHINE_ID_FILE".into(), value)];
}

fn problems(machine: &Machine) -> String {
    machine.run(&["status", "--json"]).json()["problems"].to_string()
}

#[test]
fn e6_a_directory_on_a_new_machine_goes_on_only_when_somebody_says_that_it_was_moved() {
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let mut old = Machine::child(&ministry, "66", "province");
    on_machine(&mut old, "may-cu");
    let below = old.serve();
    old.run(&["sync", "--wait"]).expect(0);
    old.run(&["unit", "add", "24001", "Xã"]).expect(0);
    old.run(&["sync", "--wait"]).expect(0);
    assert!(!problems(&old).contains("moved"));
    below.stop();

    let mut new = Machine::new();
    copy_tree(old.path(), new.path());
    on_machine(&mut new, "may-moi");
    let below = new.serve();
    let listed = new.run(&["unit", "list", "--json"]).expect(0).json();
    assert_eq!(listed["total"], 3, "reading works");
    let refused = new.run(&["unit", "add", "24002", "Xã", "--json"]);
    assert_eq!(refused.expect(2).failure(), "moved");
    assert!(problems(&new).contains("\"moved\""));
    let ran = new.run(&["sync", "--wait", "--json"]);
    assert_ne!(ran.code, 0, "nothing is exchanged: {ran:?}");
    let before = new.run(&["status", "--json"]).json()["incarnation"].clone();
    new.run(&["adopt", "--moved"]).expect(0);
    // The running service goes on by itself; whoever asks in the moment between is told to ask again.
    let mut tries = 0;
    while new.run(&["sync", "--wait"]).code != 0 {
        tries += 1;
        assert!(tries < 200, "it never goes on");
    }
    let after = new.run(&["status", "--json"]).json();
    assert_ne!(after["incarnation"], before, "a new opening");
    assert!(!after["problems"].to_string().contains("moved"));
    new.run(&["unit", "add", "24002", "Xã"]).expect(0);
    new.run(&["sync", "--wait"]).expect(0);
    let again = new.run(&["adopt", "--moved", "--json"]).expect(2);
    assert_eq!(again.failure(), "not_moved");
    below.stop();
    // On the machine it now knows it starts without a word.
    let below = new.serve();
    new.run(&["sync", "--wait"]).expect(0);
    below.stop();
}

#[test]
fn e11_a_backup_of_a_production_node_at_a_test_site_exchanges_nothing_and_adopted_it_is_held() {
    let shelf = tempfile::tempdir().expect("room");
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let mut live = Machine::child(&ministry, "66", "province");
    on_machine(&mut live, "san-xuat");
    let below = live.serve();
    live.run(&["unit", "add", "24001", "Xã"]).expect(0);
    live.run(&["sync", "--wait"]).expect(0);
    let to = shelf.path().join("one").to_str().expect("text").to_owned();
    live.run(&["backup", &to]).expect(0);
    live.run(&["unit", "add", "24002", "Xã"]).expect(0);
    live.run(&["sync", "--wait"]).expect(0);

    let mut test = Machine::new();
    on_machine(&mut test, "thu-nghiem");
    test.run(&["restore", &to]).expect(0);
    let site = test.serve();
    assert_ne!(test.run(&["sync", "--wait"]).code, 0);
    let refused = test.run(&["unit", "add", "99999", "Thử", "--json"]);
    assert_eq!(refused.expect(2).failure(), "moved");
    live.run(&["sync", "--wait"]).expect(0);
    let clones = ministry.run(&["node", "clones", "--json"]).json();
    assert_eq!(clones["total"], json!(0), "the parent never heard of it");

    // Somebody adopts it all the same: the parent sees two machines and stops both.
    test.run(&["adopt", "--moved"]).expect(0);
    let mut tries = 0;
    loop {
        test.run(&["sync", "--wait"]);
        live.run(&["sync", "--wait"]);
        if problems(&ministry).contains("\"cloned\"") {
            break;
        }
        tries += 1;
        assert!(tries < 200, "it is never noticed");
    }
    let held = live.run(&["status", "--json"]).expect(4).json();
    assert_eq!(held["upstream"]["state"], "refused", "{held}");
    site.stop();
    below.stop();
}
