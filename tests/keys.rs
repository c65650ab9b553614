//! Keys over the years: renewed while everything is cut, stolen, and taken off the list by mistake.

mod support;

use std::time::{Duration, Instant};

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

/// Revokes the commune; its open session ends within the time that is promised.
fn cut_off(pair: &Pair) {
    let begin = Instant::now();
    revoke(pair, &[]);
    until("refused", || is_refused(&pair.commune).then_some(()));
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
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
    cut_off(&pair);
    until("refused", || is_refused(&thief).then_some(()));
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
    cut_off(&pair);
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
    commune.run(&["sync", "--wait"]).expect(6);
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

/// The units of the nodes that a machine has on its list, those that are cut off with a mark.
fn enrolled(machine: &Machine) -> Vec<String> {
    let list = machine.run(&["node", "list", "--json"]).expect(0).json();
    let items = list["items"].as_array().expect("a list").iter();
    let mut all: Vec<String> = items
        .map(|node| {
            let cut_off = if node["revoked_at"].is_null() {
                ""
            } else {
                "!"
            };
            format!("{cut_off}{}", node["unit"].as_str().expect("a unit"))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn e2_enrolments_and_revocations_that_a_parent_has_lost_come_back_from_its_own_parent() {
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let mut province = Machine::child(&ministry, "75", "province");
    let serve = |machine: &Machine, parent: &Machine| {
        let url = format!("upstream.url=https://{}", parent.address());
        machine.serve_with(&[&SOON[..], &[&url]].concat())
    };
    let middle = serve(&province, &ministry);
    province.run(&["sync", "--wait"]).expect(0);
    let first = Machine::child(&province, "26001", "commune");
    middle.stop();
    let kept = tempfile::tempdir().expect("room");
    copy_tree(province.path(), kept.path());

    // After the backup: another commune, and the first one is cut off.
    let middle = serve(&province, &ministry);
    let second = Machine::child(&province, "26002", "commune");
    let cut = ["node", "revoke", "26001", "--reason", "máy bị mất"];
    province.run(&cut).expect(0);
    // How many lists go up before the last one depends on how the three changes fall together.
    until("the copy above", || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = rusqlite::Connection::open_with_flags(ministry.at("store.db"), flags).ok()?;
        let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let kept = store.query_row("SELECT body FROM roster", [], read).ok()?;
        kept.contains("máy bị mất").then_some(())
    });
    // The unit of the second one as well: a record that never went up is lost with the disk.
    province.run(&["sync", "--wait"]).expect(0);
    middle.stop();
    assert_eq!(enrolled(&province), ["!26001", "26002"]);

    province = Machine::new();
    copy_tree(kept.path(), province.path());
    assert_eq!(enrolled(&province), ["26001"], "what the old disk knows");
    let _middle = serve(&province, &ministry);
    until("the list from above", || {
        (enrolled(&province) == ["!26001", "26002"]).then_some(())
    });
    let _second = serve(&second, &province);
    until("an exchange", || {
        (second.run(&["sync", "--wait"]).code == 0).then_some(())
    });
    let _first = serve(&first, &province);
    until("a refusal", || is_refused(&first).then_some(()));
    let list = province.run(&["node", "list", "--json"]).expect(0).json();
    assert_eq!(
        list["waiting"],
        serde_json::json!([]),
        "no person was needed"
    );
    let audit = ["audit", "show", "--act", "node.recovered", "--json"];
    assert_eq!(province.run(&audit).json()["total"], 2);
}

fn rotate(machine: &Machine) -> String {
    let line = ["node", "rotate-authority", "--reason", "hằng năm", "--json"];
    let done = machine.run(&line).expect(0).json();
    done["authority_pin"].as_str().expect("a pin").to_owned()
}

/// The pinned authority of a child, as its audit tells of the last change.
fn followed(commune: &Machine) -> Option<Value> {
    let line = ["audit", "show", "--act", "parent.authority", "--json"];
    let audit = commune.run(&line).expect(0).json();
    Some(audit["items"].get(0)?["detail"]["after"].clone())
}

#[test]
fn children_follow_a_new_authority_while_they_work_and_when_they_were_away_over_several() {
    let mut pair = Pair::new();
    let certificate = pair.listed()["certificate"].clone();
    let first = rotate(&pair.ministry);
    until("the new authority", || {
        (followed(&pair.commune)? == first.as_str()).then_some(())
    });
    pair.passes("dưới khoá mới");
    until("what it knows", || {
        (pair.listed()["knows_authority"] == true).then_some(())
    });
    assert_eq!(pair.listed()["certificate"], certificate, "it stays good");
    // Signed by the new one, and believed.
    let verify = ["audit", "verify", "--json"];
    pair.commune.run(&["sync", "--wait"]).expect(0);
    pair.commune.run(&verify).expect(0);

    // Away meanwhile, over two changes and a restart above.
    pair.stop_below();
    rotate(&pair.ministry);
    pair.above.take().expect("it runs").stop();
    let last = rotate(&pair.ministry);
    pair.above = Some(pair.ministry.serve());
    assert_eq!(pair.listed()["knows_authority"], false);
    pair.serve_below(&[]);
    until("the newest authority", || {
        (followed(&pair.commune)? == last.as_str()).then_some(())
    });
    pair.passes("sau hai lần đổi");

    // A new one enrols under the newest, and the service was told of it while it ran.
    let ward = Machine::child(&pair.ministry, "24002", "commune");
    let _ward = pair.serve(&ward, &[]);
    until("an exchange", || {
        (ward.run(&["sync", "--wait"]).code == 0).then_some(())
    });
    assert_eq!(followed(&ward), None, "it pinned the newest at once");
}

#[test]
fn a_bundle_made_before_and_after_a_new_authority_is_taken_in_both_ways() {
    let mut pair = Pair::new();
    pair.stop_all();
    let medium = tempfile::tempdir().expect("room");
    let place = |name: &str| medium.path().join(name).to_str().expect("text").to_owned();
    let down = |folder: &str| {
        std::fs::create_dir(folder).expect("a folder");
        let line = ["bundle", "export", folder, "--to", "24001", "--one-way"];
        pair.ministry.run(&line).expect(0);
    };
    let add = |title: &str| {
        let line = ["task", "add", "--title", title, "--lead", "24001"];
        pair.ministry.run(&line).expect(0);
    };
    let (before, after, later) = (place("before"), place("after"), place("later"));
    add("trước");
    down(&before);
    let newest = rotate(&pair.ministry);
    add("sau");
    down(&after);
    // What teaches the new authority comes first; what was under way before is still good.
    pair.commune.run(&["bundle", "import", &after]).expect(0);
    assert_eq!(followed(&pair.commune), Some(newest.into()));
    let looked = pair.commune.run(&["bundle", "import", &before, "--json"]);
    assert!(!looked.out.contains("refused"), "{looked:?}");
    // The parent has heard nothing of it and still signs with the old one.
    add("sau nữa");
    down(&later);
    pair.commune.run(&["bundle", "import", &later]).expect(0);
    let tasks = pair.commune.run(&["task", "list", "--json"]).json();
    assert_eq!(tasks["total"], 4, "{tasks}");

    pair.report("lên bằng gói");
    let up = place("up");
    std::fs::create_dir(&up).expect("a folder");
    pair.commune.run(&["bundle", "export", &up]).expect(0);
    pair.ministry.run(&["bundle", "import", &up]).expect(0);
    assert_eq!(pair.shown_above(), "lên bằng gói");
    assert_eq!(
        pair.listed()["knows_authority"],
        true,
        "it was sealed for the new one"
    );
}

#[test]
fn j4_a_new_authority_takes_two_persons_where_the_configuration_says_so() {
    let ministry = Machine::ministry("BO");
    let acts = ["--set", "approval.acts=authority"];
    let line = ["node", "rotate-authority", "--reason", "x", "--json"];
    let refused = ministry.run(&[&line[..], &acts].concat());
    // Before the service ran once there is no authority; who asks is looked at first.
    assert_eq!(refused.expect(12).failure(), "approval_who");
    assert_eq!(ministry.run(&line).expect(2).failure(), "no_listen");
}
