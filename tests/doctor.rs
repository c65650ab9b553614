//! Installations broken in the ways they break: each fault is named, with what to do, by a command that changes nothing.

mod support;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;
use serde_json::Value;
use support::machine::{Machine, Service};

/// A ministry that runs and a commune that has enrolled there; neither has a service of its own running but the ministry.
fn pair() -> (Machine, Service, Machine) {
    let ministry = Machine::ministry("BO");
    let above = ministry.serve();
    let commune = Machine::child(&ministry, "24001", "commune");
    for machine in [&ministry, &commune] {
        // The folder was made by hand, before `init`.
        fs::set_permissions(machine.path(), Permissions::from_mode(0o700)).expect("chmod");
    }
    (ministry, above, commune)
}

/// The findings of a state, as `check code`.
fn found(report: &Value, state: &str) -> Vec<String> {
    let items = report["items"].as_array().expect("findings");
    let of_state = items.iter().filter(|item| item["state"] == state);
    let names = of_state.map(|item| {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        // Nobody is left alone with a fault: what to do is told beside it, or in it.
        let told = text("remedy").len() + text("message").len();
        assert!(state == "ok" || told > 40, "{item}");
        format!("{} {}", text("check"), text("code"))
    });
    names.collect()
}

/// What does not work, and that both languages say it.
#[track_caller]
fn faults(machine: &Machine, more: &[&str]) -> Vec<String> {
    let line = [&["doctor", "--json"], more].concat();
    let ran = machine.run(&line);
    let faults = found(&ran.json(), "fault");
    assert_eq!(ran.code, if faults.is_empty() { 0 } else { 4 }, "{ran:?}");
    let shown = machine.run(&[&["doctor", "--lang", "vi"], more].concat());
    assert!(shown.out.contains("Không hoạt động:"), "{shown:?}");
    assert!(!shown.out.contains("doctor-"), "{shown:?}");
    faults
}

#[test]
fn a_pair_in_good_health_is_told_so() {
    let (ministry, above, commune) = pair();
    let below = commune.serve();
    commune.run(&["sync", "--wait"]).expect(0);
    for machine in [&ministry, &commune] {
        let ran = machine.run(&["doctor", "--json"]).expect(0);
        let report = ran.json();
        assert_eq!(found(&report, "fault"), [""; 0]);
        assert_eq!(found(&report, "warning"), [""; 0]);
        let well = found(&report, "ok");
        for check in ["config", "data_dir", "keys", "service"] {
            assert!(well.contains(&format!("{check} ")), "{check}: {well:?}");
        }
    }
    let well = found(&commune.run(&["doctor", "--json"]).json(), "ok");
    for check in ["name", "line", "identity", "answer"] {
        assert!(well.contains(&format!("{check} ")), "{check}: {well:?}");
    }
    below.stop();
    above.stop();
}

#[test]
fn a_configuration_that_is_wrong_is_told_with_its_line() {
    let machine = Machine::ministry("BO");
    let file = machine.at("config.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, format!("{text}\n[stroe]\nreaders = 4\n")).expect("room");
    let ran = machine.run(&["doctor", "--json"]).expect(4);
    assert_eq!(found(&ran.json(), "fault"), ["config configuration"]);
    assert!(ran.out.contains("stroe"), "{ran:?}");
    fs::remove_file(&file).expect("removed");
    assert_eq!(faults(&machine, &[]), ["config not_initialised"]);
}

#[test]
fn files_that_are_gone_open_to_others_or_of_another_version_are_named() {
    let machine = Machine::ministry("BO");
    let key = machine.at("keys/node.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("chmod");
    let ran = machine.run(&["doctor", "--json"]).expect(4);
    assert!(found(&ran.json(), "fault").contains(&"keys key_unusable".to_owned()));
    assert!(ran.out.contains("chmod 600"), "{ran:?}");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("chmod");

    fs::set_permissions(machine.path(), Permissions::from_mode(0o755)).expect("chmod");
    let ran = machine.run(&["doctor", "--json"]);
    assert_eq!(
        found(&ran.json(), "warning"),
        ["data_dir dir_open_to_others"]
    );
    fs::set_permissions(machine.path(), Permissions::from_mode(0o700)).expect("chmod");

    let store = Connection::open(machine.at("store.db")).expect("a store");
    store
        .pragma_update(None, "user_version", 999)
        .expect("written");
    drop(store);
    let faults_of_version = faults(&machine, &[]);
    assert!(
        faults_of_version.iter().any(|f| f.starts_with("store ")),
        "{faults_of_version:?}"
    );

    fs::rename(&key, machine.at("keys/elsewhere")).expect("moved");
    assert!(faults(&machine, &[]).contains(&"keys key_missing".to_owned()));
    fs::remove_file(machine.at("store.db")).expect("removed");
    assert!(faults(&machine, &[]).contains(&"data_dir not_initialised".to_owned()));
}

#[test]
fn a_service_that_is_missing_and_a_port_that_is_taken_are_told() {
    let (ministry, above, commune) = pair();
    assert_eq!(faults(&commune, &[]), ["service service_stopped"]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let set = format!("listen.address={address}");
    let line = ["--set", &set];
    above.stop();
    let at_ministry = faults(&ministry, &line);
    assert!(
        at_ministry.contains(&"port port_in_use".to_owned()),
        "{at_ministry:?}"
    );
    let elsewhere = faults(&ministry, &["--set", "listen.address=192.0.2.1:7457"]);
    assert!(
        elsewhere.contains(&"port port_not_here".to_owned()),
        "{elsewhere:?}"
    );
}

#[test]
fn every_step_of_the_way_to_the_parent_is_told_apart() {
    let (ministry, above, commune) = pair();
    let below = commune.serve();
    let at = |url: &str| faults(&commune, &["--set", &format!("upstream.url={url}")]);

    assert_eq!(
        at("https://no-such-parent.invalid:7457"),
        ["name name_unknown"]
    );

    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("its address");
    drop(nobody);
    assert_eq!(at(&format!("https://{address}")), ["line line_refused"]);

    let other = Machine::ministry("KHAC");
    let impostor = other.serve();
    let address = other.address();
    assert_eq!(at(&format!("https://{address}")), ["identity other_parent"]);
    impostor.stop();

    let line = ["node", "revoke", "24001", "--reason", "thử"];
    ministry.run(&line).expect(0);
    let faults_of_revoked = faults(&commune, &[]);
    assert!(
        faults_of_revoked.contains(&"answer not_on_the_list".to_owned()),
        "{faults_of_revoked:?}"
    );
    below.stop();
    above.stop();
}

#[test]
fn a_node_that_never_enrolled_and_adapters_that_do_not_get_through_are_told() {
    let machine = Machine::new();
    let line = ["init", "--unit", "24001", "--level", "commune"];
    machine.run(&line).expect(0);
    assert_eq!(faults(&machine, &[]), ["keys not_enrolled"]);

    let ministry = Machine::ministry("BO");
    fs::create_dir_all(ministry.at("adapters.d")).expect("room");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/adapters/tracker/profile.toml");
    let text = fs::read_to_string(shipped).expect("a profile");
    let unit = text
        .lines()
        .find(|line| line.starts_with("unit = "))
        .expect("a unit");
    let text = text
        .replace(unit, "unit = \"BO\"")
        .replace("enabled = false", "enabled = true");
    fs::write(ministry.at("adapters.d/tracker.toml"), text).expect("room");
    fs::write(
        ministry.at("adapters.d/nham.toml"),
        "format = 1\ntytle = 3\n",
    )
    .expect("room");
    let all = faults(&ministry, &[]);
    assert!(
        all.contains(&"adapter adapter_profile".to_owned()),
        "{all:?}"
    );
    // Its password has not been written down yet.
    assert_eq!(
        all.iter().filter(|f| f.starts_with("adapter ")).count(),
        2,
        "{all:?}"
    );
    let without = faults(&ministry, &["--no-adapters"]);
    assert!(
        !without.iter().any(|f| f.starts_with("adapter ")),
        "{without:?}"
    );
}
