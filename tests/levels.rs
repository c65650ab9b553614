//! What is above *none*: refused on a networked node; on an isolated one in a store of its own, of which nothing outside that
//! store shows anything.

#[path = "levels/ceiling.rs"]
mod ceiling;
mod support;

use std::path::Path;
use std::sync::Mutex;

use nqsync::store::{Store, StoreError, StoreOptions};
use nqsync_core::model::{Classification, Facts, Key, Kind, UnitId};
use nqsync_core::sync::Record;
use serde_json::{Value, json};
use support::machine::{Machine, Ran, Service, until};
use support::medium::Medium;
use support::paired::{Base, MARK, isolate};
use support::promises;
use support::raw::authored;
use support::tracker::PROFILE;
use uuid::Uuid;

const AT: [&str; 2] = ["--classification", "confidential"];

/// A verb at the store of *Mật*.
fn above(machine: &Machine, args: &[&str]) -> Ran {
    machine.run(&[args, &AT].concat())
}

/// A verb at another folder than the node's own.
fn at_folder(dir: &Path, args: &[&str]) -> Ran {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nqsync"));
    command.env_clear().env("LANG", "en_US.UTF-8").args(args);
    let said = command.arg("--dir").arg(dir).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        code: said.status.code().expect("it ends"),
        out: text(&said.stdout),
        err: text(&said.stderr),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// Adds a task whose title nobody below the level may read.
fn secret_task(machine: &Machine, lead: &str) -> String {
    let title = format!("{MARK} một việc");
    let line = ["task", "add", "--title", &title, "--lead", lead, "--json"];
    text(&above(machine, &line).expect(0).json()["id"])
}

/// Every file below a folder, as bytes that may hold these letters. A socket is no file.
fn holds(dir: &Path, letters: &str, passed_over: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path == passed_over {
            continue;
        }
        if path.is_dir() {
            found.extend(holds(&path, letters, passed_over));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let letters = letters.as_bytes();
        if bytes.windows(letters.len()).any(|part| part == letters) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// A ministry whose service runs, and an isolated province below it that has a store for *Mật*.
fn isolated_province() -> (Machine, Service, Machine) {
    let ministry = Machine::ministry("BO");
    let service = ministry.serve();
    let province = Machine::child(&ministry, "66", "province");
    isolate(province.path());
    let made = province.run(&["classification", "prepare", "confidential", "--json"]);
    let made = made.expect(0).json();
    assert_eq!(
        (&made["created"], &made["units"]),
        (&json!(true), &json!(2))
    );
    (ministry, service, province)
}

#[test]
fn on_a_networked_node_every_verb_above_none_is_refused_with_the_law() {
    let machine = Machine::ministry("BO");
    for line in [
        &["task", "add", "--title", MARK, "--lead", "BO"][..],
        &["task", "list"],
        &["run"],
        &["classification", "prepare", "confidential"],
    ] {
        let refused = match line[0] {
            "classification" => machine.run(&[line, &["--json"]].concat()),
            _ => above(&machine, &[line, &["--json"]].concat()),
        };
        let refused = refused.expect(2);
        assert_eq!(refused.failure(), "above_ceiling", "{line:?}");
        assert!(refused.err.contains("117/2025/QH15"), "{refused:?}");
    }
    let nowhere = machine.at("levels");
    assert!(!nowhere.exists());
    assert_eq!(holds(machine.path(), MARK, &nowhere), Vec::<String>::new());
    // And no ceiling can be configured there.
    let check = ["config", "check", "--set", "node.ceiling=secret"];
    let refused = machine.run(&check).expect(78);
    assert!(refused.err.contains("117/2025/QH15"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_province_holds_it_and_nothing_outside_that_store_shows_any_of_it() {
    use nqsync::adapter::simulate::{self, Records, System, TRACKER};
    let system = System {
        users: &["minh"],
        secret: "mat-khau-rieng",
        ..TRACKER
    };
    let tracker = Records::new(system, nqsync::clock::Clock::system());
    let stop = tokio_util::sync::CancellationToken::new();
    let address = simulate::serve(tracker.router(), 0, stop.clone()).await;
    let base = format!("http://{}", address.expect("a port"));
    let seen = tracker.clone();
    let checked = tokio::task::spawn_blocking(move || nothing_shows(&base, &seen));
    checked.await.expect("it holds");
    stop.cancel();
}

fn nothing_shows(tracker: &str, there: &nqsync::adapter::simulate::Records) {
    let (ministry, _service, province) = isolated_province();
    let levels = province.at("levels");
    // A task for everybody, so that there is traffic to look at.
    let open = ["task", "add", "--title", "Việc công khai", "--lead", "66"];
    province
        .run(&[&open[..], &["--group", "I", "--number", "1"]].concat())
        .expect(0);
    ministry.run(&open).expect(0);
    let profile = PROFILE.replace("BASE", tracker).replace("\"BO\"", "\"66\"");
    let folder = province.at("adapters.d");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("tracker.toml"), profile).expect("a profile");
    let password = folder.join("password");
    std::fs::write(&password, "mat-khau-rieng").expect("a secret");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("a mode");

    // Typed while the service runs, with everything in its log; once with the service of the store above, too.
    let set = ["log.level=trace", "metrics.address=127.0.0.1:0"];
    let lower = province.begin(&set).ready();
    let task = secret_task(&province, "66");
    let serving = [&["run"][..], &AT].concat();
    let log = std::fs::read_to_string(province.at("log")).expect("a log");
    let upper = province.begin_as(&serving, &["log.level=trace"]).ready();
    let report = [
        "report",
        "set",
        &task,
        "--result",
        &format!("{MARK} kết quả"),
        "--submit",
    ];
    above(
        &province,
        &[&report[..], &["--status", "in_progress", "--percent", "40"]].concat(),
    )
    .expect(0);
    assert_eq!(
        above(&province, &["task", "list", "--json"])
            .expect(0)
            .json()["total"],
        1
    );
    let note = province.at("bien-ban.txt");
    std::fs::write(&note, format!("{MARK} biên bản")).expect("a file");
    let evidence = ["evidence", "add", &task, note.to_str().expect("text")];
    above(&province, &evidence).expect(0);
    std::fs::remove_file(&note).expect("removed");
    upper.stop();

    // What leaves: the line, an adapter, figures, reports of health, a backup, an export.
    province.run(&["sync", "--wait"]).expect(0);
    province.run(&["adapter", "run", "tracker"]).expect(0);
    let backup = tempfile::tempdir().expect("room");
    let to = backup.path().join("backup");
    let to = to.to_str().expect("text");
    province.run(&["backup", to]).expect(0);
    let export = backup.path().join("viec.csv");
    let line = [
        "export",
        export.to_str().expect("text"),
        "--as",
        "tasks",
        "--format",
        "csv",
    ];
    province.run(&line).expect(0);
    let (_, rest) = log
        .rsplit_once("the figures are open url=")
        .expect("it says where");
    let url = rest.split_whitespace().next().expect("an address");
    let figures = support::browser::Browser::at(url.trim_end_matches("/metrics"));
    let mut said = figures.get("/metrics").expect(200).text;
    for line in [
        &["status", "--json"][..],
        &["doctor", "--json"],
        &["audit", "show", "--json"],
        &["task", "list", "--json"],
        &["rollup", "show", "--json"],
        &["bundle", "show", "--json"],
        &["config", "show", "--all"],
    ] {
        let ran = province.run(line);
        said += &(ran.out + &ran.err);
    }
    lower.stop();
    let items = format!("{:?}", there.items());
    assert!(items.contains("Việc công khai"), "the adapter ran: {items}");
    for (what, text) in [
        ("what verbs and figures say", &said),
        ("the tracker", &items),
    ] {
        assert!(
            !text.contains(MARK) && !text.contains(&task),
            "{what}: {text}"
        );
        assert!(!text.contains("levels/"), "{what}: {text}");
    }
    for letters in [MARK, &task] {
        // The store above has it: this search would find it.
        assert!(
            !holds(&levels, letters, Path::new("")).is_empty(),
            "{letters}"
        );
        for dir in [province.path(), ministry.path(), backup.path()] {
            let found = holds(dir, letters, &levels);
            assert!(found.is_empty(), "{letters} stands in {found:?}");
        }
    }
    let listed = province
        .run(&["classification", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(listed["items"][0]["classification"], "confidential");
}

/// A ministry and a province, both isolated, whose stores for *Mật* know each other and reach each other by medium alone.
fn both_isolated() -> (Machine, Machine, Medium) {
    let (ministry, service, province) = isolated_province();
    service.stop();
    isolate(ministry.path());
    let prepare = ["classification", "prepare", "confidential"];
    ministry.run(&prepare).expect(0);
    let token = above(&ministry, &["node", "token", "66", "--json"]).expect(0);
    let token = text(&token.json()["token"]);
    let medium = Medium::new();
    let file = |name: &str| medium.path().join(name).to_str().expect("text").to_owned();
    let (request, answer) = (file("request"), file("answer"));
    above(
        &province,
        &["enrol", "--token", &token, "--request", &request],
    )
    .expect(0);
    above(&ministry, &["node", "admit", &request, &answer]).expect(0);
    above(
        &province,
        &["enrol", "--token", &token, "--answer", &answer],
    )
    .expect(0);
    (ministry, province, Medium::new())
}

#[test]
fn a_level_travels_by_bundle_between_its_stores_and_into_no_other() {
    let (ministry, province, medium) = both_isolated();
    let text = medium.text();
    let task = secret_task(&ministry, "66");
    let made = above(
        &ministry,
        &["bundle", "export", &text, "--to", "66", "--json"],
    );
    made.expect(0);
    assert_eq!(
        holds(medium.path(), MARK, Path::new("")),
        Vec::<String>::new(),
        "sealed"
    );
    // The store of none has no key for it, and keeps nothing of it.
    let wrong = province.run(&["bundle", "import", &text, "--json"]);
    assert_ne!(wrong.code, 0, "{wrong:?}");
    let levels = province.at("levels");
    assert_eq!(holds(province.path(), MARK, &levels), Vec::<String>::new());
    above(&province, &["bundle", "import", &text]).expect(0);
    let report = [
        "report",
        "set",
        &task,
        "--result",
        &format!("{MARK} xong"),
        "--submit",
    ];
    above(
        &province,
        &[&report[..], &["--status", "in_progress", "--percent", "70"]].concat(),
    )
    .expect(0);
    above(&province, &["bundle", "export", &text]).expect(0);
    above(&ministry, &["bundle", "import", &text]).expect(0);
    let shown = above(
        &ministry,
        &["report", "show", &task, "--unit", "66", "--json"],
    );
    assert_eq!(shown.expect(0).json()["result"], format!("{MARK} xong"));
    for machine in [&ministry, &province] {
        above(machine, &["audit", "verify"]).expect(0);
        let levels = machine.at("levels");
        assert_eq!(holds(machine.path(), MARK, &levels), Vec::<String>::new());
        let none = machine.run(&["task", "list", "--json"]).expect(0).json();
        assert_eq!(none["total"], 0);
    }
    // No line: neither can be told to open one.
    for set in ["listen.address=127.0.0.1:0", "upstream.kind=line"] {
        let refused = above(&province, &["config", "check", "--set", set]).expect(78);
        assert!(refused.err.contains("bundle"), "{refused:?}");
    }
}

#[test]
fn a_store_is_opened_as_its_own_level_alone_and_so_is_its_backup() {
    let (_ministry, service, mut province) = isolated_province();
    service.stop();
    let task = secret_task(&province, "66");
    let file = province.at("levels/confidential/config.toml");
    let right = std::fs::read_to_string(&file).expect("a configuration");
    let wrong = right.replace("classification = \"confidential\"", "#");
    std::fs::write(&file, wrong).expect("written");
    let refused = above(&province, &["task", "list", "--json"]).expect(6);
    assert_eq!(refused.failure(), "other_level_store");
    let options = StoreOptions {
        level: Classification::Confidential,
        ..StoreOptions::new(province.path())
    };
    let opened = Store::open(&options).map(drop);
    assert!(
        matches!(opened, Err(StoreError::OtherLevel { .. })),
        "{opened:?}"
    );
    std::fs::write(&file, &right).expect("written");
    let room = tempfile::tempdir().expect("room");
    let folder = |name: &str| room.path().join(name).to_str().expect("text").to_owned();
    let (low, high) = (folder("low"), folder("high"));
    province.run(&["backup", &low]).expect(0);
    above(&province, &["backup", &high]).expect(0);
    let refused = province
        .run(&["restore", &high, "--replace", "--json"])
        .expect(2);
    assert_eq!(refused.failure(), "restore_other_level");
    let refused = above(&province, &["restore", &low, "--replace", "--json"]).expect(2);
    assert_eq!(refused.failure(), "restore_other_level");
    above(&province, &["restore", &high, "--replace"]).expect(0);
    above(&province, &["task", "show", &task]).expect(0);
    // Its own configuration does not vouch for it, and neither do a backup's, a variable or what is overridden.
    let law = |ran: Ran, code: &str| {
        assert_eq!(ran.failure(), code);
        assert!(ran.err.contains("117/2025/QH15"), "{ran:?}");
    };
    let own = province.at("levels/confidential");
    for verb in [
        &["task", "list", "--json"][..],
        &["status", "--json"],
        &["run", "--json"],
    ] {
        law(at_folder(&own, verb).expect(2), "level_by_itself");
        let typed = [verb, &AT].concat();
        law(at_folder(&own, &typed).expect(2), "level_by_itself");
    }
    let new = room.path().join("new");
    let restored = at_folder(&new, &["restore", &high, "--json"]);
    law(restored.expect(2), "level_by_itself");
    assert!(!new.exists(), "something of it came here");
    std::fs::write(&file, right.replace("confidential", "top_secret")).expect("written");
    let other = above(&province, &["task", "list", "--json"]);
    law(other.expect(2), "level_by_itself");
    std::fs::write(&file, &right).expect("written");
    // A computer that is networked again opens it no more.
    let file = province.at("config.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let networked = text.replace("profile = \"isolated\"\nceiling = \"confidential\"\n", "");
    std::fs::write(&file, networked).expect("written");
    let set = [
        "--set",
        "node.profile=isolated",
        "--set",
        "node.ceiling=confidential",
    ];
    let list = ["task", "list", "--json"];
    law(above(&province, &list).expect(2), "above_ceiling");
    law(
        above(&province, &[&list[..], &set].concat()).expect(2),
        "above_ceiling",
    );
    let variables = [
        ("NQSYNC_NODE_PROFILE", "isolated"),
        ("NQSYNC_NODE_CEILING", "confidential"),
    ];
    province
        .env
        .extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    law(above(&province, &list).expect(2), "above_ceiling");
    province.env.clear();
    law(at_folder(&own, &list).expect(2), "level_by_itself");
    let back = ["restore", &high, "--replace", "--json"];
    law(above(&province, &back).expect(2), "above_ceiling");
}

#[test]
fn g9_lowering_a_level_is_an_authorised_audited_act_above_it_and_never_an_edit() {
    let (_ministry, service, province) = isolated_province();
    service.stop();
    let task = secret_task(&province, "66");
    // No edit changes a level, in neither direction, and no verb of the lower store reaches the task.
    for level in ["none", "secret"] {
        let line = ["task", "update", &task, "--title", "Thường", "--json"];
        let edit = province.run(&[&line[..], &["--classification", level]].concat());
        assert_ne!(edit.code, 0, "{edit:?}");
    }
    let lower = |to: &str, reason: &str| {
        let line = [
            "task", "lower", &task, "--to", to, "--reason", reason, "--json",
        ];
        above(&province, &line)
    };
    assert_eq!(
        lower("confidential", "Công văn 45").expect(2).failure(),
        "not_lower"
    );
    assert_eq!(lower("none", " ").expect(2).failure(), "reason_needed");
    // Who does not own it does not lower it, though it lies in his store.
    province
        .run(&["unit", "add", "24001", "Xã", "--level", "commune"])
        .expect(0);
    let again = ["classification", "prepare", "Mật", "--json"];
    assert_eq!(province.run(&again).expect(0).json()["changed"], 1);
    let line = [
        "task", "lower", &task, "--to", "none", "--reason", "x", "--for", "24001",
    ];
    let refused = above(&province, &[&line[..], &["--json"]].concat()).expect(2);
    assert_eq!(refused.failure(), "not_owner");
    let none = ["task", "list", "--json"];
    assert_eq!(province.run(&none).expect(0).json()["total"], 0);

    let made = lower("none", "Công văn 45 mật").expect(0).json();
    let new = text(&made["id"]);
    assert_ne!(new, task);
    // After a crash between the two stores it is repeated, and makes no second task.
    assert_eq!(
        text(&lower("none", "Công văn 45 mật").expect(0).json()["id"]),
        new
    );
    let list = province.run(&none).expect(0).json();
    assert_eq!(
        (&list["total"], &list["items"][0]["id"]),
        (&json!(1), &json!(new))
    );
    assert_eq!(list["items"][0]["title"], format!("{MARK} một việc"));
    // The store below names nothing of where it came from, nor why.
    let levels = province.at("levels");
    for letters in [&task[..], "Công văn 45"] {
        assert_eq!(
            holds(province.path(), letters, &levels),
            Vec::<String>::new()
        );
    }
    let told = |ran: Ran, act: &str| {
        let audit = ran.expect(0).json();
        let entries = audit["items"].as_array().expect("a list").clone();
        let found = entries.into_iter().find(|entry| entry["act"] == act);
        found.unwrap_or_else(|| panic!("no {act} in {audit}"))
    };
    let show = ["audit", "show", "--json"];
    let here = told(province.run(&show), "level.lowered_here");
    assert_eq!(
        (&here["subject"], &here["actor"]),
        (&json!(new), &json!("lan"))
    );
    let there = told(above(&province, &show), "level.lowered");
    assert_eq!(there["subject"], json!(task));
    let detail = there["detail"].to_string();
    for word in ["confidential", "none", &new, "Công văn 45"] {
        assert!(detail.contains(word), "{there}");
    }
    for ran in [
        province.run(&["audit", "verify"]),
        above(&province, &["audit", "verify"]),
    ] {
        ran.expect(0);
    }
}

#[test]
fn g9_where_two_persons_are_needed_a_level_is_lowered_when_the_second_one_has_approved() {
    let (_ministry, service, province) = isolated_province();
    service.stop();
    let task = secret_task(&province, "66");
    let word = |name: &str| {
        let file = province.at(name);
        std::fs::write(&file, "một đàn cò trắng bay quanh\n").expect("a file");
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&file, mode).expect("a mode");
        file.to_str().expect("text").to_owned()
    };
    let (an, binh) = (word("an"), word("binh"));
    for (name, file) in [("an", &an), ("binh", &binh)] {
        let line = [
            "user",
            "add",
            name,
            "--role",
            "administrator",
            "--password-file",
            file,
        ];
        above(&province, &line).expect(0);
    }
    let file = province.at("levels/confidential/config.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let two = "\n[approval]\nacts = [\"lowering\"]\n[log]";
    std::fs::write(&file, text.replacen("\n#[log]", two, 1)).expect("written");
    let none = || province.run(&["task", "list", "--json"]).expect(0).json()["total"].clone();
    let lower = |login: &[&str]| {
        let line = [
            "task",
            "lower",
            &task,
            "--to",
            "none",
            "--reason",
            "Công văn 45",
            "--json",
        ];
        above(&province, &[&line[..], login].concat())
    };
    let asks = ["--login", "an", "--login-file", &an];
    assert_ne!(lower(&[]).code, 0, "a name that is only said is nobody");
    let asked = lower(&asks).expect(7).json()["approval"].to_string();
    assert_eq!(none(), 0);
    let approve = ["approval", "approve", &asked];
    let himself = above(&province, &[&approve[..], &asks].concat());
    assert_ne!(himself.code, 0, "{himself:?}");
    let other = ["--login", "binh", "--login-file", &binh];
    above(&province, &[&approve[..], &other].concat()).expect(0);
    assert_eq!(none(), 0, "the one who asked finishes it");
    lower(&asks).expect(0);
    assert_eq!(none(), 1);
    // Another content is another decision.
    above(&province, &["task", "update", &task, "--kpi", "12"]).expect(0);
    lower(&asks).expect(7);
    assert_eq!(none(), 1);
}

#[test]
fn g9_a_copy_of_a_record_with_a_lower_label_is_another_record_in_whatever_spelling() {
    let facts = Facts::Task {
        issuer: UnitId(Uuid::from_u128(2)),
        parent: None,
    };
    let key = Key {
        kind: Kind::Task,
        id: Uuid::from_u128(7),
    };
    let authored = authored(
        1,
        facts,
        UnitId(Uuid::from_u128(2)),
        support::values([("title", json!("Việc"))]),
    );
    let plain = authored.facts_raw();
    let labelled = plain.replacen('{', r#"{"classification":"secret","#, 1);
    let record = |raw: &str| Record::new(key, raw, authored.edits().to_vec()).expect("a record");
    let mut held = record(&labelled);
    let spaced = plain.replacen('{', "{ ", 1);
    let none = plain.replacen('{', r#"{ "classification":"none","#, 1);
    for laundered in [plain, &spaced, &none] {
        assert!(held.join(&record(laundered)).is_err(), "{laundered}");
    }
    assert_eq!(held.facts_raw(), labelled);
}

#[test]
fn a_verb_for_one_store_is_not_carried_out_by_the_service_of_another() {
    let (_ministry, _service, mut province) = isolated_province();
    let base = province.serve();
    let socket = province.at("control.sock");
    let socket = socket.to_str().expect("text").to_owned();
    province.env.push(("NQSYNC_NODE_SOCKET".to_owned(), socket));
    let line = ["task", "add", "--title", "Bí mật", "--lead", "66", "--json"];
    let refused = above(&province, &line).expect(2);
    assert_eq!(refused.failure(), "other_service");
    let listed = province.run(&["task", "list", "--json"]).expect(0).json();
    assert_eq!(listed["total"], 0, "{listed}");
    base.stop();
    // And the other way round: the service of the level at the usual place.
    let mut command = province.command(&["run", "--classification", "confidential"]);
    let mut run = command
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let refused = until("its service", || {
        let ran = province.run(&["task", "list", "--json"]);
        (ran.code != 0).then_some(ran)
    });
    assert_eq!(refused.failure(), "other_service");
    run.kill().expect("it runs");
    run.wait().expect("it ends");
    province.env.clear();
    // Nor does a level enrol over a line.
    let refused = above(&province, &["enrol", "--token", "nq1.x", "--json"]).expect(2);
    assert_eq!(refused.failure(), "enrol_by_file");
}

#[test]
fn an_adapter_opens_only_stores_at_or_below_its_ceiling_and_only_an_isolated_node_has_one_above_none()
 {
    let (_ministry, service, province) = isolated_province();
    service.stop();
    let profile = |dir: &Path, ceiling: &str| {
        let folder = dir.join("adapters.d");
        std::fs::create_dir_all(&folder).expect("a folder");
        let text = PROFILE
            .replace("BASE", "http://127.0.0.1:9")
            .replace("\"BO\"", "\"66\"")
            .replacen("engine =", &format!("ceiling = {ceiling:?}\nengine ="), 1);
        std::fs::write(folder.join("tracker.toml"), text).expect("a profile");
        std::fs::write(folder.join("password"), "x").expect("a secret");
    };
    let run = ["adapter", "run", "tracker", "--json"];
    let said = |ran: Ran| ran.err;
    let levels = province.at("levels/confidential");
    profile(&levels, "none");
    assert!(said(above(&province, &run)).contains("nothing of it may go to that system"));
    profile(&levels, "secret");
    assert!(said(above(&province, &run)).contains("more than this node may hold"));
    profile(&levels, "confidential");
    let tried = said(above(&province, &run));
    assert!(
        !tried.contains("ceiling"),
        "it reaches for the system: {tried}"
    );
    profile(province.path(), "confidential");
    let tried = said(province.run(&run));
    assert!(!tried.contains("ceiling"), "{tried}");
    let networked = Machine::ministry("66");
    profile(networked.path(), "confidential");
    let refused = said(networked.run(&run));
    assert!(refused.contains("117/2025/QH15"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_above_the_ceiling_of_a_line_is_held_back_by_one_end_and_refused_by_the_other() {
    assert_eq!(
        promises::what_is_above_the_line_does_not_leave().await,
        Ok(())
    );
    assert_eq!(
        promises::what_is_above_the_line_is_not_taken_in().await,
        Ok(())
    );
}

/// The longer proof asks for more pairs.
fn pairs() -> u64 {
    match std::env::var("NQSYNC_PROOF").as_deref() {
        Ok("pairs") => 500,
        _ => 50,
    }
}

#[test]
fn runs_that_differ_only_above_the_ceiling_put_the_same_bytes_on_the_line() {
    const AT_ONCE: u64 = 4;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let base = runtime.block_on(Base::new());
    let differing = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let (base, differing) = (&base, &differing);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                for seed in (first..pairs()).step_by(AT_ONCE as usize) {
                    if let Err(words) = runtime.block_on(base.pair(seed)) {
                        differing.lock().expect("nobody panicked").push(words);
                    }
                }
            });
        }
    });
    let differing = differing.into_inner().expect("nobody panicked");
    println!("{} pairs of runs, {} differ", pairs(), differing.len());
    assert!(differing.is_empty(), "{}", differing[0]);
}
