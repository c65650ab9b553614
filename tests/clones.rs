//! Two live machines with one identity: noticed, held, decided by a person; what either has not sent arrives.

mod support;

use serde_json::{Value, json};
use support::Place;
use support::machine::{Machine, Ran, copy_tree};
use support::promises::idle;
use support::world::{World, progress};

/// Exchanges until the answer fits. A session that is open ends by itself when the other side has moved, and what the first
/// tries say depends on which of the two notices first.
#[track_caller]
fn sync_until(machine: &Machine, fits: impl Fn(&Ran) -> bool) -> Ran {
    let mut last = None;
    for _ in 0..60 {
        let ran = machine.run(&["sync", "--wait", "--json"]);
        if fits(&ran) {
            return ran;
        }
        last = Some(ran);
    }
    panic!("it never fits: {last:#?}");
}

#[track_caller]
fn synced(machine: &Machine) {
    sync_until(machine, |ran| ran.code == 0);
}

#[track_caller]
fn refused(machine: &Machine, words: &str) {
    let ran = sync_until(machine, |ran| ran.err.contains(words));
    assert_ne!(ran.code, 0);
}

fn report(machine: &Machine, task: &str, text: &str) {
    let line = ["report", "set", task, "--result", text, "--percent", "50"];
    machine.run(&line).expect(0);
}

fn head(machine: &Machine) -> String {
    let status = machine.run(&["status", "--json"]).json();
    status["incarnation"].as_str().expect("an opening").into()
}

#[test]
fn e5_two_live_copies_are_held_a_person_chooses_and_the_others_unsent_work_arrives() {
    let ministry = Machine::ministry("BO");
    let _above = ministry.serve();
    let one = Machine::child(&ministry, "24001", "commune");
    let mut tasks = Vec::new();
    for title in ["Số hoá", "Trực tuyến", "Đào tạo"] {
        let line = ["task", "add", "--title", title, "--lead", "24001", "--json"];
        let id = ministry.run(&line).expect(0).json()["id"].clone();
        tasks.push(id.as_str().expect("an id").to_owned());
    }
    let below = one.serve();
    synced(&one);
    report(&one, &tasks[0], "trước khi sao chép");
    synced(&one);
    below.stop();
    let two = Machine::new();
    copy_tree(one.path(), two.path());

    // Both run. The copy looks like a restored store at first; then the first one shows itself again.
    let below_one = one.serve();
    report(&one, &tasks[1], "máy thứ nhất");
    synced(&one);
    let below_two = two.serve();
    report(&two, &tasks[2], "máy thứ hai");
    synced(&two);
    refused(&one, "two machines use this node's identity");
    refused(&two, "two machines use this node's identity");

    // Work goes on at both, and both say what is wrong; so does the parent.
    report(&one, &tasks[1], "máy thứ nhất, đang bị giữ");
    report(&two, &tasks[0], "máy thứ hai, đang bị giữ");
    for machine in [&one, &two] {
        let status = machine.run(&["status", "--json"]).expect(4).json();
        assert_eq!(status["upstream"]["state"], "refused", "{status}");
    }
    let status = ministry.run(&["status", "--json"]).expect(4).json();
    assert!(status["problems"].to_string().contains("\"cloned\""));
    let clones = ministry.run(&["node", "clones", "--json"]).expect(0).json();
    assert_eq!(
        (&clones["total"], &clones["items"][0]["state"]),
        (&json!(1), &json!("held"))
    );
    let machines = clones["items"][0]["machines"].as_array().expect("a list");
    let heads: Vec<&Value> = machines.iter().map(|machine| &machine["head"]).collect();
    for machine in [&one, &two] {
        assert!(heads.contains(&&json!(head(machine))), "{machines:?}");
    }
    let shown = ministry.run(&["node", "show", "24001", "--json"]).expect(0);
    assert_eq!(shown.json()["branches"].as_array().map(Vec::len), Some(2));

    // A name that fits neither changes nothing.
    let line = [
        "node",
        "adopt",
        "24001",
        "--incarnation",
        "nobody",
        "--json",
    ];
    assert_eq!(
        ministry.run(&line).expect(2).failure(),
        "no_such_incarnation"
    );
    let chosen = head(&one);
    let line = ["node", "adopt", "24001", "--incarnation", &chosen];
    ministry.run(&line).expect(0);
    synced(&one);
    refused(&two, "another machine goes on");
    synced(&one);

    // The other one enrols anew and brings what it has not sent; the unit stays where it is.
    below_two.stop();
    let token = ministry
        .run(&["node", "token", "24001", "--json"])
        .expect(0);
    let token = token.json()["token"].as_str().expect("a token").to_owned();
    let before = two.run(&["status", "--json"]).json()["node"].clone();
    two.run(&["adopt", "--new", "--token", &token]).expect(0);
    let after = two.run(&["status", "--json"]).json()["node"].clone();
    assert_ne!(before, after);
    let below_two = two.serve();
    synced(&two);
    synced(&one);
    for (task, text) in [
        (&tasks[0], "máy thứ hai, đang bị giữ"),
        (&tasks[1], "máy thứ nhất, đang bị giữ"),
        (&tasks[2], "máy thứ hai"),
    ] {
        for machine in [&ministry, &one] {
            let line = ["report", "show", task, "--unit", "24001", "--json"];
            let shown = machine.run(&line).expect(0);
            assert!(shown.out.contains(text), "{text}: {}", shown.out);
        }
    }
    let aside = ministry.run(&["quarantine", "list", "--json"]).json();
    assert_eq!(aside["total"], 0, "{aside}");
    let line = [
        "report",
        "set",
        &tasks[0],
        "--result",
        "không được",
        "--json",
    ];
    two.run(&line).expect(2);
    report(&one, &tasks[0], "máy thứ nhất đi tiếp");
    synced(&one);
    below_one.stop();
    below_two.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_restored_again_and_again_is_no_copy_and_a_third_machine_is_held_as_well() {
    let mut world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    let report = world.report(task, 10).await;
    world.settle().await;
    world.commune.shut().await;
    let copy = world.commune.copy();
    let unit = world.commune.unit();
    for round in 0..3 {
        world.commune.start().await;
        world.commune.find(&world.province).await;
        world.commune.sync().await;
        let value = progress(20 + round);
        let set = world.commune.set(report, unit, [("progress", value)], None);
        set.await.expect("written");
        assert_eq!(world.commune.sync().await.agrees, Some(true), "{round}");
        if round < 2 {
            world.commune.shut().await;
            world.commune.put_back(&copy);
        }
    }
    assert!(!world.province.has_problem("cloned").await);
    assert!(world.province.has_problem("restored_or_cloned").await);

    // Two more machines from the same old copy: each draws an opening of its own.
    let mut second = world.commune.twin(&copy).await;
    second.find(&world.province).await;
    let set = second.set(report, unit, [("progress", progress(70))], None);
    set.await.expect("written");
    second.sync().await;
    let held = world.commune.refused_sync().await;
    assert!(held.to_string().contains("two machines"), "{held}");
    let mut third = world.commune.twin(&copy).await;
    third.find(&world.province).await;
    let set = third.set(report, unit, [("progress", progress(90))], None);
    set.await.expect("written");
    for machine in [&second, &third, &world.commune] {
        let held = machine.refused_sync().await;
        assert!(!held.is_transient() && held.to_string().contains("two machines"));
    }
    let data = world.province.data(nqsync::api::Command::NodeClones).await;
    let machines = data["items"][0]["machines"].as_array().expect("a list");
    let waiting = machines.iter().filter(|m| m["state"] == "clone");
    assert_eq!(waiting.count(), 3, "{machines:?}");
    let chosen = newest(&third).await;
    let command = nqsync::api::Command::NodeAdopt {
        node: "24001".into(),
        incarnation: chosen,
    };
    world.province.data(command).await;
    assert_eq!(third.sync().await.agrees, Some(true));
    for machine in [&second, &world.commune] {
        let refused = machine.refused_sync().await;
        assert!(refused.to_string().contains("another machine goes on"));
    }
    assert_eq!(third.sync().await.agrees, Some(true), "undisturbed");
    idle(&third, &world.province).await.expect("idle");
}

async fn newest(place: &Place) -> String {
    let status = place.data(nqsync::api::Command::Status).await;
    status["incarnation"].as_str().expect("an opening").into()
}
