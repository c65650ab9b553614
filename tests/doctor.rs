//! Installations broken in the ways they break: each fault is named, with what to do, by a command that changes nothing.

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use nqsync::api::Lang;
use nqsync::clock::Clock;
use nqsync::config;
use nqsync::doctor::{Doctor, Finding, State};
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
    // What goes readable over the net is told for as long as it does, and refused where nobody said so.
    let open = fs::read_to_string(ministry.at("adapters.d/tracker.toml")).expect("a profile");
    let (before, _) = open.split_once("base_url = ").expect("an address");
    let line = before.lines().count();
    let open = open.replacen("http://127.0.0.1:8080", "http://192.0.2.1:9", 1);
    let file = ministry.at("adapters.d/tracker.toml");
    fs::write(&file, &open).expect("room");
    let told = |code: &str| {
        let all = ministry.run(&["doctor", "--json"]).json();
        let all = all["items"].as_array().cloned().unwrap_or_default();
        let of = all.into_iter().find(|item| item["code"] == code);
        of.map(|item| item["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(told("adapter_insecure"), None);
    fs::remove_file(ministry.at("adapters.d/nham.toml")).expect("gone");
    let refused = told("adapter_profile").expect("refused");
    let place = format!("tracker.toml:{}: http.base_url:", line + 1);
    assert!(refused.contains(&place), "{refused}");
    let meant = open.replacen("base_url = ", "insecure = true\nbase_url = ", 1);
    fs::write(&file, meant).expect("room");
    assert_eq!(told("adapter_profile"), None);
    assert!(told("adapter_insecure").is_some_and(|said| said.contains("tracker")));
    let without = faults(&ministry, &["--no-adapters"]);
    assert!(
        !without.iter().any(|f| f.starts_with("adapter ")),
        "{without:?}"
    );
}

/// What is found at a machine whose clock says so, in both languages; nothing of it is a key of the catalogue.
fn looked(machine: &Machine, set: &[(&str, String)], now_ms: i64) -> Vec<Finding> {
    let set: Vec<(String, String)> = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    let file = machine.at("config.toml");
    let loaded = config::load(&file, std::iter::empty(), &set).expect("a configuration");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let look = |lang| {
        let clock = Clock::from_fn(move || now_ms);
        runtime.block_on(Doctor::new(&loaded.config, clock, lang).examine())
    };
    let (vietnamese, english) = (look(Lang::Vi), look(Lang::En));
    let ill = |all: &[Finding]| -> Vec<Finding> {
        let ill = all
            .iter()
            .filter(|f| matches!(f.state, State::Fault | State::Warning));
        ill.cloned().collect()
    };
    let (vietnamese, english) = (ill(&vietnamese), ill(&english));
    assert_eq!(vietnamese.len(), english.len());
    for (one, other) in vietnamese.iter().zip(&english) {
        assert_eq!(one.code, other.code);
        assert_ne!((&one.message, &one.remedy), (&other.message, &other.remedy));
        for finding in [one, other] {
            let text = format!("{} {}", finding.message, finding.remedy);
            assert!(text.len() > 40 && !text.contains("doctor-"), "{finding:?}");
        }
    }
    english
}

fn codes(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.code.as_str()).collect()
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_clock_that_is_wrong_and_a_certificate_that_is_over_are_told() {
    let (_ministry, above, commune) = pair();
    let below = commune.serve();
    let now_ms = Clock::system().now_ms();
    assert_eq!(codes(&looked(&commune, &[], now_ms)), [""; 0]);
    let battery = looked(&commune, &[], 0);
    assert!(
        codes(&battery).contains(&"clock_in_the_past"),
        "{battery:?}"
    );
    let ahead = looked(&commune, &[], now_ms + HOUR_MS);
    assert_eq!(codes(&ahead), ["clock_beside_parent"]);
    assert!(
        ahead[0].message.contains("59") || ahead[0].message.contains("60"),
        "{ahead:?}"
    );
    let years = looked(&commune, &[], now_ms + 10 * 365 * 24 * HOUR_MS);
    assert!(codes(&years).contains(&"certificate_dates"), "{years:?}");
    below.stop();
    above.stop();
}

/// Takes every connection, and does what it is told with it.
fn answering<L: Send + 'static, S>(
    listener: L,
    accept: impl Fn(&L) -> std::io::Result<S> + Send + 'static,
    say: impl Fn(S) + Send + 'static,
) {
    std::thread::spawn(move || {
        while let Ok(stream) = accept(&listener) {
            say(stream);
        }
    });
}

#[test]
fn something_else_at_the_parents_address_and_another_service_at_the_socket_are_told() {
    let (_ministry, above, commune) = pair();
    let web = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = web.local_addr().expect("its address");
    answering(
        web,
        |l| l.accept().map(|(s, _)| s),
        |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        },
    );
    let url = format!("https://{address}");
    let found = looked(&commune, &[("upstream.url", url)], Clock::system().now_ms());
    assert_eq!(codes(&found), ["service_stopped", "no_tls"]);

    // A service that was not started again after an upgrade, and one that hangs.
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"version\":\"0.0.9\"}",
            "other_version_runs",
        ),
        ("", "service_silent"),
    ] {
        let socket = commune.at("control.sock");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).expect("a socket");
        answering(
            listener,
            |l| l.accept().map(|(s, _)| s),
            move |mut stream| {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(answer.as_bytes());
            },
        );
        let found = looked(&commune, &[], Clock::system().now_ms());
        assert_eq!(codes(&found), [expected]);
    }
    above.stop();
}

#[test]
fn somebody_without_the_right_to_the_files_is_told_whose_they_are() {
    let machine = Machine::ministry("BO");
    let running = machine.serve();
    for (file, mode) in [("", 0o755), ("config.toml", 0o644)] {
        fs::set_permissions(machine.at(file), Permissions::from_mode(mode)).expect("chmod");
    }
    let mut line = machine.command(&["doctor", "--json"]);
    if rustix::process::geteuid().is_root() {
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        other
            .arg(line.get_program())
            .args(line.get_args())
            .env_clear()
            .env("LANG", "en_US.UTF-8");
        line = other;
    } else {
        fs::set_permissions(machine.path(), Permissions::from_mode(0o500)).expect("chmod");
    }
    let ran = support::machine::ran(line);
    fs::set_permissions(machine.path(), Permissions::from_mode(0o700)).expect("chmod");
    let ran = ran.expect(4);
    let faults = found(&ran.json(), "fault");
    assert!(
        faults.contains(&"data_dir dir_not_writable".to_owned()),
        "{faults:?}"
    );
    if rustix::process::geteuid().is_root() {
        assert!(
            faults.contains(&"service socket_denied".to_owned()),
            "{faults:?}"
        );
        assert!(
            ran.out.contains("65534") && ran.out.contains("chown"),
            "{ran:?}"
        );
    }
    running.stop();
}

#[test]
fn doors_that_are_taken_a_full_disk_and_a_store_on_another_machine_are_told() {
    let machine = Machine::ministry("BO");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    for section in ["console", "api", "metrics"] {
        let set = format!("{section}.address={address}");
        let found = faults(&machine, &["--set", &set]);
        assert!(found.contains(&"port door_taken".to_owned()), "{found:?}");
    }
    let set = format!("console.address={address}");
    let running = machine.serve_with(&[&set]);
    drop(taken);
    let found = faults(&machine, &["--set", &set]);
    assert_eq!(found, ["port door_closed"], "the service runs without it");
    running.stop();

    let free = rustix::fs::statvfs(machine.path()).expect("a disk");
    // More than this cannot be asked for.
    assert!(
        free.f_bavail * free.f_frsize < 1 << 40,
        "a disk of this size is never full"
    );
    let found = faults(&machine, &["--set", "store.min_free_bytes=1024 GiB"]);
    assert!(
        found.contains(&"status disk_nearly_full".to_owned()),
        "{found:?}"
    );

    let other = machine.at("machine-id");
    fs::write(&other, "0123456789abcdef0123456789abcdef\n").expect("room");
    let set = format!("node.machine_id_file={}", other.display());
    let found = faults(&machine, &["--set", &set]);
    assert!(found.contains(&"status moved".to_owned()), "{found:?}");
}

#[test]
fn a_store_that_is_damaged_and_a_data_folder_that_is_not_there_are_told() {
    let (_ministry, above, machine) = pair();
    let elsewhere = format!("node.data_dir={}", machine.at("not-mounted").display());
    let found = faults(&machine, &["--set", &elsewhere]);
    assert!(
        found.contains(&"data_dir dir_missing".to_owned()),
        "{found:?}"
    );
    let file = machine.at("store.db");
    let bytes = fs::read(&file).expect("a store");
    fs::write(&file, [&[0u8; 4096], &bytes[4096..]].concat()).expect("room");
    let found = faults(&machine, &[]);
    assert!(
        found.iter().any(|fault| fault.starts_with("store ")),
        "{found:?}"
    );
    // Cut in the middle: who reads the remedies must not enrol again for it.
    fs::write(&file, &bytes[..8192]).expect("room");
    for side in ["store.db-wal", "store.db-shm"] {
        let _ = fs::remove_file(machine.at(side));
    }
    let found = faults(&machine, &["--no-adapters"]);
    assert_eq!(found, ["service service_stopped", "store store_damaged"]);
    above.stop();
}

#[test]
fn an_adapter_that_is_not_let_in_or_names_a_unit_nobody_knows_is_told() {
    let mut simulator = Command::new(env!("CARGO_BIN_EXE_nqsync"))
        .args([
            "--lang", "en", "adapter", "simulate", "tracker", "--port", "0",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut base = String::new();
    let out = simulator.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut base).expect("a line");
    let machine = Machine::ministry("BO");
    fs::create_dir_all(machine.at("adapters.d")).expect("room");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/adapters/tracker/profile.toml");
    let text = fs::read_to_string(shipped).expect("a profile");
    let text = text
        .replace("enabled = false", "enabled = true")
        .replace("http://127.0.0.1:8080", base.trim());
    let write = |name: &str, text: &str| {
        let file = machine.at(&format!("adapters.d/{name}"));
        fs::write(&file, text).expect("room");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("chmod");
    };
    write("tracker.password", "wrong");
    write("tracker.toml", &text);
    let ran = machine.run(&["doctor", "--json"]).expect(4);
    let said = |ran: &support::machine::Ran| {
        let report = ran.json();
        let all = report["items"].as_array().expect("findings").clone();
        let of = all.into_iter().find(|item| item["check"] == "adapter");
        of.expect("a finding about the adapter")
    };
    let unknown = said(&ran);
    assert_eq!(unknown["state"], "fault", "{unknown}");
    assert!(
        unknown["message"].as_str().expect("text").contains("24001"),
        "{unknown}"
    );
    write(
        "tracker.toml",
        &text.replace("unit = \"24001\"", "unit = \"BO\""),
    );
    let ran = machine.run(&["doctor", "--json"]).expect(4);
    let refused = said(&ran);
    assert_eq!(refused["state"], "fault", "{refused}");
    assert!(
        refused["message"].as_str().expect("text").contains("login"),
        "{refused}"
    );
    let _ = simulator.kill();
    let _ = simulator.wait();
}
