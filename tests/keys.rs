//! Keys over the years: renewed while everything is cut, stolen, and taken off the list by mistake.

mod support;

use serde_json::Value;
use support::machine::{Machine, SOON, copy_tree, until};
use support::pair::Pair;
use support::strace;

fn ask_for_key(pair: &Pair) {
    let line = ["node", "renew", "24001", "--reason", "đĩa cũ chưa xoá"];
    pair.ministry.run(&line).expect(0);
}

/// Another key than this one is in use.
fn replaced(pair: &Pair, pin: &Value) {
    until("a new key", || {
        let listed = pair.listed();
        (listed["key_asked"] == false && listed["pin"] != *pin).then_some(())
    });
}

fn revoke(pair: &Pair, more: &[&str]) {
    let line = ["node", "revoke", "24001", "--reason", "máy bị mất"];
    pair.ministry.run(&[&line, more].concat()).expect(0);
}

/// What a machine says of its way up.
fn is_refused(machine: &Machine) -> bool {
    machine.run(&["status", "--json"]).json()["upstream"]["state"] == "refused"
}

#[test]
fn a11_a_new_key_cut_at_each_of_its_steps_leaves_one_that_opens() {
    let mut pair = Pair::new();
    ask_for_key(&pair);
    replaced(&pair, &Value::Null);
    if !strace::usable() {
        return;
    }
    // The new key, the certificate before, the new certificate, the key before, the new key in its place.
    let steps = 5;
    let mut killed = 0;
    for step in 1..=steps {
        let before = pair.listed()["pin"].clone();
        let inject = format!("signal=SIGKILL:when={step}");
        let tracer = strace::attach(pair.below.as_ref().expect("it runs"), "rename", &inject);
        ask_for_key(&pair);
        let dead = until("an end", || {
            let dead = pair.below.as_mut().expect("it runs").ended().is_some();
            (dead || pair.listed()["pin"] != before).then_some(dead)
        });
        killed += usize::from(dead);
        drop(tracer);
        drop(pair.below.take());
        pair.serve_below(&[]);
        pair.passes(&format!("cắt ở bước {step}"));
        replaced(&pair, &before);
    }
    assert!(killed >= 3, "cut {killed} times only");
    pair.stop_all();
}

#[test]
fn a11_a_parent_that_came_back_with_an_old_disk_is_greeted_with_the_key_it_knows() {
    let mut pair = Pair::new();
    pair.passes("trước khi sao lưu");
    pair.stop_all();
    let kept = tempfile::tempdir().expect("room");
    copy_tree(pair.ministry.path(), kept.path());
    pair.above = Some(pair.ministry.serve());
    pair.serve_below(&[]);
    let old = pair.listed()["pin"].clone();
    ask_for_key(&pair);
    replaced(&pair, &old);
    pair.passes("với khoá mới");
    let new = pair.listed()["pin"].clone();
    pair.stop_all();

    let old_disk = Machine::new();
    copy_tree(kept.path(), old_disk.path());
    pair.ministry = old_disk;
    pair.above = Some(pair.ministry.serve());
    assert_eq!(pair.listed()["pin"], old);
    pair.serve_below(&[]);
    pair.passes("sau khi khôi phục");
    pair.arrives("sau khi khôi phục");
    until("the new key", || {
        (pair.listed()["pin"] == new).then_some(())
    });
    pair.stop_all();
}

#[test]
fn g7_a_stolen_key_is_noticed_and_opens_nothing_once_it_is_off_the_list() {
    let mut pair = Pair::new();
    pair.passes("của xã");
    pair.stop_below();
    let thief = Machine::new();
    copy_tree(pair.commune.path(), thief.path());
    pair.serve_below(&[]);
    pair.passes("vẫn của xã");
    let stolen = pair.serve(&thief, &[]);
    thief
        .run(&["report", "set", &pair.task, "--result", "của kẻ trộm"])
        .expect(0);
    // Two machines with one key: both are held until a person has looked.
    until("two machines", || {
        let clones = pair.ministry.run(&["node", "clones", "--json"]).json();
        (clones["items"][0]["state"] == "held").then_some(())
    });
    let status = pair.commune.run(&["status", "--json"]).json();
    let head = status["incarnation"].as_str().expect("an opening");
    let line = ["node", "adopt", "24001", "--incarnation", head];
    pair.ministry.run(&line).expect(0);
    pair.passes("lại của xã");
    until("refused", || is_refused(&thief).then_some(()));
    // Until it has another key, the node is cut off, with the session that is open.
    revoke(&pair, &[]);
    for machine in [&pair.commune, &thief] {
        until("refused", || is_refused(machine).then_some(()));
    }
    assert_eq!(pair.listed()["state"], "revoked");
    let line = ["report", "show", &pair.task, "--unit", "24001", "--json"];
    let shown = pair.ministry.run(&line).expect(0).json();
    assert_eq!(shown["result"], "lại của xã");
    stolen.stop();
    pair.stop_all();
}

#[test]
fn j5_a_node_revoked_by_mistake_comes_back_with_everything_it_wrote_meanwhile() {
    let mut pair = Pair::new();
    pair.passes("trước");
    // An open session ends at once.
    revoke(&pair, &[]);
    until("refused", || is_refused(&pair.commune).then_some(()));
    pair.report("trong lúc bị ngắt");
    let line = ["node", "renew", "24001", "--reason", "x", "--json"];
    let refused = pair.ministry.run(&line).expect(2);
    assert_eq!(refused.failure(), "node_is_revoked");
    revoke(&pair, &["--undo"]);
    pair.arrives("trong lúc bị ngắt");
    let status = pair.commune.run(&["status", "--json"]).json();
    assert_eq!(status["upstream"]["state"], "ok", "{status}");
    pair.stop_all();
}

#[test]
fn e2_a_child_that_a_restored_parent_has_forgotten_waits_until_a_person_lets_it_in() {
    let mut ministry = Machine::ministry("BO");
    let above = ministry.serve();
    let line = ["unit", "add", "24001", "Xã", "--level", "commune"];
    ministry.run(&line).expect(0);
    above.stop();
    let kept = tempfile::tempdir().expect("room");
    copy_tree(ministry.path(), kept.path());
    let above = ministry.serve();
    let commune = Machine::new();
    let line = ["init", "--unit", "24001", "--level", "commune"];
    commune.run(&line).expect(0);
    commune.enrol(&ministry, "24001");
    above.stop();

    ministry = Machine::new();
    copy_tree(kept.path(), ministry.path());
    let _above = ministry.serve();
    let url = format!("upstream.url=https://{}", ministry.address());
    let _below = commune.serve_with(&[&SOON[..], &[&url]].concat());
    let list = || ministry.run(&["node", "list", "--json"]).expect(0).json();
    let waits = until("a node that waits", || {
        list()["waiting"]
            .as_array()
            .and_then(|all| all.first().cloned())
    });
    assert_eq!(
        (&waits["state"], &list()["total"]),
        (&"waits".into(), &0.into())
    );
    let status = ministry.run(&["status", "--json"]).expect(4).json();
    let problems = status["problems"].as_array().expect("a list");
    assert!(
        problems.iter().any(|p| p["code"] == "node_waits"),
        "{status}"
    );
    until("a refusal", || is_refused(&commune).then_some(()));
    commune.run(&["sync", "--wait"]).expect(5);
    let shown = ministry.run(&["node", "list"]).expect(0).out;
    let pin = waits["pin"].as_str().expect("a fingerprint");
    assert!(shown.contains(pin), "{shown}");

    let unknown = ["node", "accept", &pin[..12], "--json"];
    assert_eq!(
        ministry.run(&unknown).expect(2).failure(),
        "waiting_needs_unit"
    );
    ministry
        .run(&["node", "accept", pin, "--unit", "24001"])
        .expect(0);
    until("an exchange", || {
        (commune.run(&["sync", "--wait"]).code == 0).then_some(())
    });
    let list = list();
    assert_eq!(
        (&list["waiting"], &list["items"][0]["unit"]),
        (&serde_json::json!([]), &"24001".into())
    );
}
