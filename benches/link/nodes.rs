//! Nodes: directories set up with the command line, services as real processes, and stores opened while they rest.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nqsync::clock::Clock;
use nqsync::config::Loaded;
use nqsync::daemon::setup;
use nqsync::link::Upstream;
use nqsync::node::Node;
use nqsync::store::links::{self, Role};
use nqsync::store::nodes::{self, TokenRow};
use nqsync::store::{Store, StoreError, queries};
use nqsync::trust::tls::{ClientTimeouts, ClientTls, ParentPin, log_date_warning};
use nqsync::trust::token;
use nqsync_core::model::UnitId;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_nqsync");
/// Longest that a service may take to open its socket.
const START: Duration = Duration::from_secs(60);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Runs one command of the program to its end.
pub fn nqsync(dir: &Path, args: &[&str]) {
    run(dir, args);
}

/// What a command of the program answers.
pub fn asked(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_slice(&run(dir, args)).expect("an answer in JSON")
}

fn run(dir: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new(PROGRAM)
        .args(args)
        .arg("--json")
        .arg("--dir")
        .arg(dir)
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "nqsync {args:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A running service.
pub struct Service {
    process: Child,
    dir: PathBuf,
}

impl Service {
    /// Starts the service of a directory and waits until it answers.
    pub fn start(dir: &Path) -> Service {
        let log = std::fs::File::create(dir.join("service.log")).expect("a log file");
        let process = Command::new(PROGRAM)
            .arg("run")
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let service = Service {
            process,
            dir: dir.to_owned(),
        };
        let began = Instant::now();
        while UnixStream::connect(service.socket()).is_err() {
            assert!(began.elapsed() < START, "{} does not start", dir.display());
            std::thread::sleep(Duration::from_millis(2));
        }
        service
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// Asks for an exchange; the lines tell how it goes.
    pub fn sync(&self) -> impl Iterator<Item = Value> + use<> {
        self.post("/v1/sync", &serde_json::json!({ "wait": true }))
    }

    /// Puts one verb to the service.
    pub fn command(&self, verb: &Value) -> Value {
        let request = serde_json::json!({ "request_id": uuid::Uuid::new_v4(), "lang": "en",
            "person": super::PERSON, "command": verb });
        self.post("/v1/command", &request)
            .next()
            .expect("an answer")
    }

    fn post(&self, path: &str, body: &Value) -> impl Iterator<Item = Value> + use<> {
        let mut stream = UnixStream::connect(self.socket()).expect("the control socket");
        let body = body.to_string();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines
            .filter(|line| line.starts_with('{'))
            .filter_map(|line| serde_json::from_str(&line).ok())
    }

    /// One exchange to its end; both sides must agree afterwards.
    pub fn settle(&self) {
        let last = self.sync().last().expect("an answer");
        assert_eq!(last["data"]["agree"], true, "after an exchange: {last}");
    }

    /// A figure of the process in KiB, such as `VmHWM`.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("a running process");
        let line = status.lines().find(|line| line.starts_with(field));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .expect("a figure")
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(&self.process.id().to_string())
    }

    /// Ends the service in order.
    pub fn stop(mut self) {
        self.terminate();
    }

    fn terminate(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        if let Some(pid) = Pid::from_raw(self.process.id() as i32) {
            // It may have ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// Processor time of a process; `self` for this one.
pub fn cpu_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    // The name may hold spaces; everything after its bracket is numbers. Ticks are 10 ms.
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a name")..]
        .split_whitespace()
        .collect();
    let ticks: u64 = [12, 13]
        .iter()
        .map(|i| fields[*i].parse::<u64>().unwrap_or(0))
        .sum();
    Duration::from_millis(10 * ticks)
}

/// The configuration of a directory.
pub fn configuration(dir: &Path) -> Loaded {
    nqsync::config::load(&dir.join("config.toml"), std::iter::empty(), &[])
        .expect("a configuration")
}

/// A node in this process, on the store of a service that is not running.
pub fn open(dir: &Path) -> Node {
    let loaded = configuration(dir);
    Node {
        store: Store::open(&setup::store_options(&loaded.config)).expect("its store"),
        clock: Clock::system(),
        settings: setup::settings(&loaded),
    }
}

/// A token for a unit below. The node must have listened once.
pub fn token(node: &Node, code: &str, unit: UnitId) -> String {
    let pin = node
        .store
        .read_blocking(|connection| queries::meta(connection, "ca_pin"))
        .expect("a store");
    let pin = pin.and_then(|pin| pin.parse().ok()).expect("a pin");
    let now_ms = node.clock.now_ms();
    let expires_at = now_ms + 3_600_000;
    let expires = jiff::Timestamp::from_millisecond(expires_at).expect("a time");
    let (text, record) = token::mint(&mut rand::rng(), code, None, pin, expires);
    let row = TokenRow {
        hash: record.hash,
        unit,
        created_at: now_ms,
        expires_at,
        used: None,
    };
    node.store
        .write_blocking(move |tx| nodes::insert_token(tx.connection(), &row))
        .expect("a token");
    text
}

/// The way up of a node in this process.
pub async fn upstream(dir: &Path, node: &Node, url: &str) -> Upstream {
    let (chain, key) = nqsync::trust::renewal::held(dir)
        .expect("keys")
        .expect("enrolled");
    let meta = |key: &'static str| async move {
        let value = node
            .store
            .read(move |connection| queries::meta(connection, key))
            .await;
        value.expect("a store").expect("an enrolment")
    };
    let pin = ParentPin(meta("upstream_pin").await.parse().expect("a pin"));
    let parent = meta("upstream_node").await.parse().expect("a node id");
    let tls = ClientTls::new(
        Some((chain, &key)),
        pin,
        setup::trust_clock(&node.clock),
        Arc::new(log_date_warning),
    );
    let client = tls.and_then(|tls| tls.http_client(&ClientTimeouts::default()));
    let link = node
        .store
        .write(move |tx| links::ensure(tx.connection(), parent, Role::Upstream))
        .await;
    let link = link.map_err(|e: StoreError| e).expect("a link");
    Upstream::new(
        node.clone(),
        url.to_owned(),
        client.expect("a client"),
        link,
    )
}

/// Copies a directory of a node that rests.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a file type") {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), &target).expect("a copy")),
            _ => {}
        }
    }
}
