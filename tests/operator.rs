//! What operators get wrong: another parent, a configuration of another node, a key that others can read, alarms that
//! nobody looks at, a disk without a backup.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nqsync::api::{Command, ReportFields, ReportRef, RollupBy};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use support::machine::{Machine, until};
use support::world::World;

/// The longest that anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn read(machine: &Machine, sql: &str) -> String {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(machine.at("store.db"), flags).expect("a store");
    store.busy_timeout(PATIENCE).expect("patience");
    store.query_row(sql, [], |row| row.get(0)).expect("a value")
}

fn meta(machine: &Machine, key: &str) -> String {
    read(
        machine,
        &format!("SELECT value FROM meta WHERE key = '{key}'"),
    )
}

fn problem(machine: &Machine, code: &str) -> Option<String> {
    let status = machine.run(&["status", "--json"]).json();
    let problems = status["problems"].as_array().expect("a list").clone();
    let found = problems.iter().find(|problem| problem["code"] == code);
    found.map(|problem| problem["message"].as_str().expect("a text").to_owned())
}

#[test]
fn j1_a_wrong_parent_hears_nothing_and_both_fingerprints_are_shown() {
    let (right, wrong) = (Machine::ministry("BO"), Machine::ministry("BX"));
    let (above, beside) = (right.serve(), wrong.serve());
    let pins = [meta(&right, "ca_pin"), meta(&wrong, "ca_pin")];
    let elsewhere = meta(&wrong, "listen_url");
    let before = read(&wrong, "SELECT count(*) || '' FROM audit");

    // The address of another node, with a token of the right one; and the other way round.
    let unit = ["unit", "add", "24001", "Xã", "--level", "commune"];
    right.run(&unit).expect(0);
    let commune = Machine::new();
    let init = ["init", "--unit", "24001", "--level", "commune"];
    commune.run(&init).expect(0);
    let token = right.run(&["node", "token", "24001", "--json"]).expect(0);
    let token = token.json()["token"].as_str().expect("a token").to_owned();
    let enrol = ["enrol", "--token", &token, "--upstream", &elsewhere];
    let refused = commune.run(&enrol);
    assert_ne!(refused.code, 0);
    for pin in &pins {
        assert!(refused.err.contains(pin), "{pin}: {refused:?}");
    }
    assert!(refused.err.contains("nothing was sent"), "{refused:?}");
    commune.run(&["enrol", "--token", &token]).expect(0);

    // Enrolled, with work that waits, and then led to the wrong place.
    let task = [
        "task", "add", "--title", "Việc", "--lead", "24001", "--json",
    ];
    let task = right.run(&task).expect(0).json()["id"].clone();
    let below = commune.serve();
    commune.run(&["sync", "--wait"]).expect(0);
    below.stop();
    let report = [
        "report",
        "set",
        task.as_str().expect("an id"),
        "--result",
        "xong",
    ];
    commune.run(&report).expect(0);
    let below = commune.serve_with(&[&format!("upstream.url={elsewhere}")]);
    let told = until("the alarm", || problem(&commune, "upstream_refused"));
    for pin in &pins {
        assert!(told.contains(pin), "{pin}: {told}");
    }
    let status = commune.run(&["status", "--json"]).expect(4).json();
    assert_eq!(status["upstream"]["pending_up"], 1, "it waits");
    assert_eq!(
        read(&wrong, "SELECT count(*) || '' FROM audit"),
        before,
        "nothing was done there"
    );
    assert_eq!(read(&wrong, "SELECT count(*) || '' FROM link"), "0");
    below.stop();
    let below = commune.serve();
    commune.run(&["sync", "--wait"]).expect(0);
    assert!(problem(&commune, "upstream_refused").is_none());
    below.stop();
    above.stop();
    beside.stop();
}

#[test]
fn e12_a_configuration_of_another_unit_or_level_is_told_and_the_parents_view_holds() {
    let ministry = Machine::ministry("BO");
    let above = ministry.serve();
    let commune = Machine::child(&ministry, "24001", "commune");
    let other = ["unit", "add", "24002", "Xã khác", "--level", "commune"];
    ministry.run(&other).expect(0);
    let tasks: Vec<String> = ["24001", "24002"]
        .iter()
        .map(|unit| {
            let line = ["task", "add", "--title", "Việc", "--lead", unit, "--json"];
            let id = ministry.run(&line).expect(0).json()["id"].clone();
            id.as_str().expect("an id").to_owned()
        })
        .collect();
    let file = commune.at("config.toml");
    let right = fs::read_to_string(&file).expect("a configuration");
    let wrong = right
        .replace("unit = \"24001\"", "unit = \"24002\"")
        .replace("level = \"commune\"", "level = \"province\"");
    assert_ne!(right, wrong);
    fs::write(&file, wrong).expect("room");
    let doctor = ["doctor", "--no-adapters", "--json"];
    let seen = commune.run(&doctor).expect(4).json();
    let seen = seen["items"].as_array().expect("a list");
    assert!(
        seen.iter().any(|found| found["code"] == "config_differs"),
        "before the service has run"
    );
    let below = commune.serve();
    commune.run(&["sync", "--wait"]).expect(0);
    let told = problem(&commune, "config_differs").expect("an alarm");
    for said in ["24002", "24001", "province", "commune"] {
        assert!(told.contains(said), "{told}");
    }
    let entries = "SELECT count(*) || '' FROM audit WHERE act = 'config.differs'";
    assert_eq!(read(&commune, entries), "1");
    let status = commune.run(&["status", "--json"]).expect(4).json();
    assert_eq!(status["unit"]["code"], "24001", "the parent's view");
    assert_eq!(status["level"], "commune");
    // What is of the other unit neither comes nor goes.
    let held = commune.run(&["task", "list", "--json"]).expect(0).json();
    assert_eq!(held["items"].as_array().map(Vec::len), Some(1));
    let foreign = ["report", "set", &tasks[1], "--result", "không phải của ta"];
    assert_ne!(commune.run(&foreign).code, 0);
    commune
        .run(&["report", "set", &tasks[0], "--result", "xong"])
        .expect(0);
    commune.run(&["sync", "--wait"]).expect(0);
    let shown = |unit: &str, task: &str| {
        let line = ["report", "show", task, "--unit", unit, "--json"];
        let ran = ministry.run(&line);
        (ran.code == 0).then(|| ran.json()["result"].clone())
    };
    assert_eq!(shown("24001", &tasks[0]), Some(json!("xong")));
    let other = shown("24002", &tasks[1]).filter(|result| !result.is_null());
    assert_eq!(other, None, "nothing was written for the other unit");
    let aside = ministry
        .run(&["quarantine", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(aside["items"].as_array().map(Vec::len), Some(0));
    below.stop();
    fs::write(&file, right).expect("room");
    let below = commune.serve();
    assert!(problem(&commune, "config_differs").is_none(), "mended");
    below.stop();
    above.stop();
}

#[test]
fn a_node_that_knows_no_unit_yet_says_so_to_whoever_reads_or_writes() {
    let province = Machine::new();
    let init = ["init", "--unit", "24", "--level", "province"];
    province.run(&init).expect(0);
    let verbs: [&[&str]; 4] = [
        &["task", "list", "--json"],
        &["unit", "add", "24001", "Xã", "--level", "commune", "--json"],
        &["task", "add", "--title", "Họp", "--group", "I", "--json"],
        &["period", "close", "2026-11", "--json"],
    ];
    for verb in verbs {
        assert_eq!(province.run(verb).expect(10).failure(), "not_enrolled");
    }
}

#[test]
fn j7_a_key_that_others_can_read_is_not_used() {
    let ministry = Machine::ministry("BO");
    let above = ministry.serve();
    let commune = Machine::child(&ministry, "24001", "commune");
    above.stop();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    };
    for (machine, name) in [
        (&commune, "keys/node.key"),
        (&ministry, "keys/node.key"),
        (&ministry, "keys/ca.key"),
    ] {
        let key = machine.at(name);
        let found = fs::metadata(&key).expect("a key").permissions().mode();
        assert_eq!(found & 0o777, 0o600, "{name} as it is made");
        for open in [0o644, 0o640, 0o604] {
            mode(&key, open);
            let refused = machine.refuses_to_serve();
            assert_ne!(refused.code, 0, "{name} with mode {open:o}");
            assert!(refused.err.contains(name), "it names the file: {refused:?}");
            assert!(refused.err.contains("chmod 600"), "{refused:?}");
        }
        mode(&key, 0o600);
        machine.serve().stop();
    }
    // A copy of a key is no more open than the key.
    let shelf = ministry.at("shelf");
    let line = ["backup", shelf.to_str().expect("text")];
    ministry.run(&line).expect(0);
    let found = fs::metadata(&shelf).expect("a folder").permissions().mode();
    assert_eq!(found & 0o077, 0, "the folder of a backup");
}

/// Whether these letters stand in any file of a directory.
fn is_anywhere(dir: &std::path::Path, text: &str) -> bool {
    let entries = std::fs::read_dir(dir).expect("a folder").flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_anywhere(&path, text);
        }
        // A socket is no file.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[test]
fn what_states_a_level_of_secrecy_is_refused_with_the_law_and_nothing_of_it_is_kept() {
    let machine = Machine::ministry("BO");
    let service = machine.serve();
    let add = |level: &str| {
        let line = [
            "task",
            "add",
            "--title",
            "Chuyện kín đáo",
            "--lead",
            "BO",
            "--json",
        ];
        machine.run(&[&line[..], &["--classification", level]].concat())
    };
    for (level, code) in [
        ("Mật", "above_ceiling"),
        ("TUYỆT MẬT", "above_ceiling"),
        ("đặc biệt", "unknown_classification"),
    ] {
        let refused = add(level).expect(2);
        assert_eq!(refused.failure(), code, "{level}");
        assert_eq!(
            refused.err.contains("117/2025/QH15"),
            code == "above_ceiling"
        );
    }
    add("không").expect(0);
    let line = ["task", "list", "--json"];
    let task = machine.run(&line).expect(0).json()["items"][0]["id"].clone();
    let task = task.as_str().expect("an id");
    let line = [
        "task",
        "update",
        task,
        "--title",
        "Chuyện kín hơn",
        "--json",
    ];
    let refused = machine.run(&[&line[..], &["--classification", "Mật"]].concat());
    assert_eq!(refused.expect(2).failure(), "above_ceiling");

    // In a table the row is refused and the others are taken; a stamped document is refused whole.
    let outside = tempfile::tempdir().expect("room");
    let plan = outside.path().join("ke-hoach.csv");
    let rows = "STT,Nhiệm vụ,Chủ trì,Độ mật\n1,Việc công khai,BO,\n2,Việc bưng bít,BO,Tối mật\n";
    std::fs::write(&plan, rows).expect("room");
    let plan = plan.to_str().expect("a path");
    let ran = machine.run(&["import", plan, "--as", "tasks"]).expect(3);
    assert!(ran.out.contains("117/2025/QH15") || ran.err.contains("117/2025/QH15"));
    std::fs::write(plan, format!("TỐI MẬT,,,\n{rows}")).expect("room");
    let ran = machine.run(&["import", plan, "--as", "tasks", "--json"]);
    assert!(ran.expect(2).err.contains("117/2025/QH15"));
    let list = machine.run(&["task", "list", "--json"]).expect(0).out;
    assert!(
        list.contains("Việc công khai") && !list.contains("bưng bít"),
        "{list}"
    );

    service.stop();
    for secret in ["Chuyện kín hơn", "Việc bưng bít"] {
        assert!(!is_anywhere(machine.path(), secret), "{secret}");
    }
    assert!(
        is_anywhere(machine.path(), "Việc công khai"),
        "the search finds"
    );
}

#[test]
fn e8_a_lost_disk_without_a_backup_costs_what_was_never_sent_and_the_new_node_is_filled_from_above()
{
    let ministry = Machine::ministry("BO");
    let above = ministry.serve();
    let commune = Machine::child(&ministry, "24001", "commune");
    let add = [
        "task", "add", "--title", "Việc", "--lead", "24001", "--json",
    ];
    let task = ministry.run(&add).expect(0).json()["id"].clone();
    let task = task.as_str().expect("an id");
    let below = commune.serve();
    commune.run(&["sync", "--wait"]).expect(0);
    let set = |machine: &Machine, percent: &str| {
        let report = ["report", "set", task, "--status", "in_progress"];
        let values = ["--percent", percent, "--submit"];
        machine.run(&[&report[..], &values].concat()).expect(0);
    };
    let percent = |machine: &Machine| {
        let show = ["report", "show", task, "--unit", "24001", "--json"];
        machine.run(&show).expect(0).json()["percent"].clone()
    };
    set(&commune, "40");
    commune.run(&["sync", "--wait"]).expect(0);
    below.kill();
    set(&commune, "70");
    let status = commune.run(&["status", "--json"]).json();
    assert_eq!(status["backup"]["only_here"], 1, "what a lost disk costs");
    let incarnation = status["incarnation"].clone();
    let listed = |machine: &Machine| machine.run(&["node", "list", "--json"]).expect(0).json();
    let old = listed(&ministry)["items"][0].clone();
    // The disk is gone, and the key with it.
    drop(commune);

    let again = Machine::new();
    let init = ["init", "--unit", "24001", "--level", "commune"];
    again.run(&init).expect(0);
    let token = ["node", "token", "24001", "--json"];
    let refused = ministry.run(&token).expect(2);
    assert_eq!(refused.failure(), "unit_served_elsewhere");
    let lost = old["node"].as_str().expect("an id");
    let revoke = ["node", "revoke", lost, "--reason", "hỏng đĩa"];
    ministry.run(&revoke).expect(0);
    again.enrol(&ministry, "24001");
    let below = again.serve();
    again.run(&["sync", "--wait"]).expect(0);
    assert_eq!(percent(&again), "40", "all that had been sent");
    assert!(again.run(&["status", "--json"]).json()["incarnation"] != incarnation);

    // The parent says which node was lost and until when it had heard of it: what came later is the loss.
    let list = listed(&ministry);
    let items = list["items"].as_array().expect("a list");
    let by_state = |state: &str| {
        let found = items.iter().find(|item| item["state"] == state);
        found.unwrap_or_else(|| panic!("{state}: {list:#}"))
    };
    let (gone, new) = (by_state("revoked"), by_state("ok"));
    assert_eq!(gone["node"], old["node"]);
    assert!(gone["last_contact_at"].is_string(), "{gone:#}");
    assert!(new["node"] != old["node"] && new["pin"] != old["pin"]);

    set(&again, "80");
    again.run(&["sync", "--wait"]).expect(0);
    assert_eq!(percent(&ministry), "80", "and goes on");
    for machine in [&again, &ministry] {
        let conflicts = machine.run(&["conflict", "list", "--json"]).json();
        assert_eq!(conflicts["items"], json!([]));
    }
    let rollup = ministry.run(&["rollup", "show", "--recompute", "--json"]);
    let rollup = rollup.expect(0).json();
    assert_eq!(rollup["tasks"]["total"], 1);
    assert_eq!(rollup["coverage"]["reports_received"], 1);
    below.stop();
    above.stop();
}

/// Whether coverage and as-of stand beside a total.
fn is_stated(total: &Value) -> bool {
    let counts = ["reports_received", "reports_expected"];
    let coverage = &total["coverage"];
    counts.iter().all(|name| coverage[name].is_u64())
        && coverage["complete"].is_boolean()
        && ["oldest", "newest"]
            .iter()
            .all(|end| total["as_of"].get(end).is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j9_who_looks_at_no_alarm_sees_stale_children_and_coverage_and_as_of_beside_every_total() {
    let world = World::new().await;
    let (province, commune) = (&world.province, &world.commune);
    let lead = vec!["24001".to_owned(), "24002".to_owned()];
    let fields = nqsync::api::TaskFields {
        title: Some("Việc".into()),
        lead: Some(lead),
        ..Default::default()
    };
    let task = province.data(Command::TaskAdd { fields }).await;
    let task = task["id"].as_str().expect("an id").to_owned();
    world.settle().await;
    // One commune reports a month later; the other is not heard of any more, and nobody cares.
    for place in [province, commune, &world.ministry] {
        let month = 30 * 24 * 3_600_000;
        place.clock_ms.fetch_add(month, Ordering::SeqCst);
    }
    let report = Command::ReportSet {
        report: ReportRef {
            task,
            unit: None,
            period: Some("2026-04".into()),
        },
        fields: ReportFields {
            status: Some("in_progress".into()),
            percent: Some("50".into()),
            ..ReportFields::default()
        },
        token: None,
        submit: true,
    };
    commune.data(report).await;
    commune.sync().await;
    province.recompute().await;
    province.sync().await;

    let nodes = province.data(Command::NodeList).await;
    let nodes = nodes["items"].as_array().expect("a list");
    let state = |code: &str| {
        let node = nodes.iter().find(|node| node["unit"] == code);
        let node = node.expect("a child");
        let at = node["last_contact_at"].as_str().expect("a time");
        (node["state"].clone(), at[..7].to_owned())
    };
    assert_eq!(state("24001"), (json!("ok"), "2026-04".into()));
    assert_eq!(state("24002"), (json!("down"), "2026-03".into()));
    assert!(province.has_problem("downstream_down").await);

    for (place, all) in [
        (
            province,
            &[RollupBy::Group, RollupBy::Unit, RollupBy::Issuer][..],
        ),
        (&world.ministry, &[RollupBy::Group, RollupBy::Issuer][..]),
    ] {
        for by in all {
            let show = Command::RollupShow {
                period: Some("2026-04".into()),
                unit: None,
                by: *by,
                recompute: false,
                version: None,
            };
            let shown = place.data(show).await;
            assert!(is_stated(&shown), "{shown:#}");
            assert_eq!(shown["coverage"]["units_reported"], 1);
            assert_eq!(shown["coverage"]["units_expected"], 2);
            assert_eq!(shown["coverage"]["complete"], false);
            for list in ["rows", "issuers"] {
                let list = shown[list].as_array().expect("a list");
                assert!(!list.is_empty() && list.iter().all(is_stated), "{shown:#}");
            }
            if matches!(by, RollupBy::Unit) {
                let rows = shown["rows"].as_array().expect("a list");
                let newest = |code: &str| {
                    let row = rows.iter().find(|row| row["key"] == code);
                    row.expect("a unit")["as_of"]["newest"].clone()
                };
                assert!(newest("24001").is_string(), "{shown:#}");
                assert!(newest("24002").is_null(), "no report, so no as-of");
            }
        }
    }
}

#[test]
fn a_table_of_several_megabytes_is_imported_while_the_service_runs() {
    let ministry = Machine::ministry("BO");
    let _service = ministry.serve();
    let mut table = String::from(
        "STT,Nhiệm vụ chung,Nhiệm vụ cụ thể,Sản phẩm,KPI,Đơn vị chủ trì,Đơn vị phối hợp,Thời hạn\n",
    );
    table.push_str("I,Việc chung,,,,,,\n");
    let long = "dài ".repeat(600);
    for n in 1..=1500 {
        table.push_str(&format!("{n},Việc {n},{long},,,BO,,31/12/2026\n"));
    }
    let file = ministry.at("plan.csv");
    fs::write(&file, table).expect("written");
    let path = file.to_str().expect("text");
    let ran = ministry.run(&["import", path, "--as", "tasks", "--json"]);
    assert_eq!(ran.expect(0).json()["created"], 1500);
}
