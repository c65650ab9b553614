//! Two runs of an isolated province that differ only above the ceiling of its line: what passes on the line must be the same,
//! byte for byte.
//!
//! Both begin from copies of the same disks, with the same ids to be drawn and the same times; every request and answer is
//! written down above TLS. In the second run somebody works in the store above, and types what belongs there at the store below.

use std::path::Path;
use std::process::Command as Process;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use nqsync::api::{Command, Lang, ReportFields, ReportRef, Request as Asked, TaskFields};
use nqsync::chance::Chance;
use nqsync::clock::Clock;
use nqsync::config::load;
use nqsync::daemon::setup;
use nqsync::link::Upstream;
use nqsync::link::transport::{Answering, Broken, Request, Transport};
use nqsync::node::commands::execute;
use nqsync::node::{Node, Settings, rollups};
use nqsync::server::link::{Hub, HubLimits};
use nqsync::store::{Role, Store, StoreOptions, queries};
use nqsync::trust::authority::{Authority, Held};
use nqsync::trust::tls::Peer;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Response;
use tempfile::TempDir;
use tower::ServiceExt;

use super::promises::Kept;
use super::{Place, START_MS, copy_all};

/// What only somebody above the ceiling may ever read.
pub const MARK: &str = "K7Q2-chuyen-an";
const DAY_MS: i64 = 86_400_000;
const LEVEL: &str = "levels/confidential";

/// The disks that every run begins with.
pub struct Base {
    ministry: TempDir,
    province: TempDir,
}

/// A node of one run, whose time the run sets.
struct Running {
    node: Node,
    now_ms: Arc<AtomicI64>,
    asked: u64,
}

/// The line, and everything that passed on it.
struct Wire {
    port: Router,
    peer: Peer,
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Base {
    /// A ministry, and an isolated province below it with a store for *Mật*.
    pub async fn new() -> Base {
        let mut ministry = Place::ministry("BO").await;
        let unit = ministry.add_unit("66", "province", None).await;
        let mut province = Place::child(&ministry, "66", unit).await;
        province.add_unit("24001", "commune", None).await;
        province.sync().await;
        province.shut().await;
        ministry.shut().await;
        isolate(province.dir.path());
        let prepared = Process::new(env!("CARGO_BIN_EXE_nqsync"))
            .args(["classification", "prepare", "confidential", "--dir"])
            .arg(province.dir.path())
            .output()
            .expect("it starts");
        assert!(prepared.status.success(), "{prepared:?}");
        Base {
            ministry: ministry.copy(),
            province: province.copy(),
        }
    }

    /// One run: the same below the ceiling for the same seed; above it what `above` says, or nothing.
    async fn run(&self, seed: u64, above: Option<u64>) -> Vec<u8> {
        let (upper, lower) = (copied(&self.ministry), copied(&self.province));
        let mut ministry = Running::at(upper.path(), seed);
        let mut province = Running::at(lower.path(), seed + 1);
        let mut hidden = above.map(|_| Running::at(&lower.path().join(LEVEL), seed + 2));
        let mut hidden_rng = above.map(StdRng::seed_from_u64);
        let (upstream, passed) = line(&ministry, upper.path(), &province);
        let mut rng = StdRng::seed_from_u64(seed);
        for round in 0..3 {
            let time = START_MS + (round + 1) * DAY_MS;
            let places = [Some(&ministry), Some(&province), hidden.as_ref()];
            for place in places.into_iter().flatten() {
                place.now_ms.store(time, Ordering::SeqCst);
            }
            if let (Some(hidden), Some(rng)) = (&mut hidden, &mut hidden_rng) {
                work_above(&mut province, hidden, rng).await;
            }
            work_below(&mut ministry, &mut province, &mut rng).await;
            count(&province.node).await;
            session(&upstream).await;
        }
        drop(upstream);
        for place in [Some(ministry), Some(province), hidden]
            .into_iter()
            .flatten()
        {
            place.node.store.close();
        }
        let passed = passed.lock().expect("nobody panicked").clone();
        without_signatures(&passed)
    }

    /// The promise for one pair; for a canary, with disks of its own.
    pub async fn one() -> Kept {
        Base::new().await.pair(1).await
    }

    /// The promise for one pair.
    pub async fn pair(&self, seed: u64) -> Kept {
        let plain = self.run(seed, None).await;
        let other = self.run(seed, Some(seed ^ 0x5eed)).await;
        let at = plain.iter().zip(&other).position(|(a, b)| a != b);
        if plain.is_empty() {
            return Err("nothing passed on the line".to_owned());
        }
        if at.is_none() && plain.len() == other.len() {
            return Ok(());
        }
        let at = at.unwrap_or(plain.len().min(other.len()));
        let near = |bytes: &[u8]| {
            let (from, to) = (at.saturating_sub(300), (at + 200).min(bytes.len()));
            String::from_utf8_lossy(&bytes[from.min(to)..to]).into_owned()
        };
        Err(format!(
            "seed {seed}: what passes on the line differs at byte {at} of {} and {}:\n{}\n--- and ---\n{}",
            plain.len(),
            other.len(),
            near(&plain),
            near(&other)
        ))
    }
}

/// Makes a node isolated, with a ceiling.
pub fn isolate(dir: &Path) {
    let file = dir.join("config.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let isolated = "[node]\nprofile = \"isolated\"\nceiling = \"confidential\"\n";
    std::fs::write(&file, text.replacen("[node]\n", isolated, 1)).expect("written");
}

fn copied(from: &TempDir) -> TempDir {
    let to = tempfile::tempdir().expect("room");
    copy_all(from.path(), to.path());
    to
}

impl Running {
    fn at(dir: &Path, seed: u64) -> Running {
        let loaded = load(&dir.join("config.toml"), std::iter::empty(), &[]).expect("valid");
        let options = StoreOptions {
            readers: 1,
            chance: Chance::seeded(seed),
            ..setup::store_options(&loaded.config)
        };
        let now_ms = Arc::new(AtomicI64::new(START_MS + DAY_MS));
        let time = now_ms.clone();
        Running {
            node: Node {
                store: Store::open(&options).expect("its store"),
                clock: Clock::from_fn(move || time.load(Ordering::SeqCst)),
                settings: Settings {
                    batch_records: 3,
                    ..setup::settings(&loaded)
                },
            },
            now_ms,
            asked: seed * 1000,
        }
    }

    async fn ask(&mut self, command: Command) -> Option<serde_json::Value> {
        self.asked += 1;
        let request = Asked {
            request_id: format!("request-{}", self.asked),
            lang: Lang::Vi,
            person: "lan".to_owned(),
            asker: Default::default(),
            acting_for: None,
            command,
        };
        execute(&self.node, request)
            .await
            .ok()
            .map(|answer| answer.data)
    }

    async fn task(&mut self, title: String, lead: &str, level: Option<&str>) -> Option<String> {
        let fields = TaskFields {
            title: Some(title),
            lead: Some(vec![lead.to_owned()]),
            classification: level.map(str::to_owned),
            ..TaskFields::default()
        };
        let made = self.ask(Command::TaskAdd { fields }).await?;
        Some(made["id"].as_str()?.to_owned())
    }

    async fn report(&mut self, task: String, result: String) {
        let report = ReportRef {
            task,
            unit: None,
            period: None,
        };
        let fields = ReportFields {
            result: Some(result),
            status: Some("in_progress".to_owned()),
            ..ReportFields::default()
        };
        let set = Command::ReportSet {
            report,
            fields,
            token: None,
            submit: true,
        };
        self.ask(set).await;
    }
}

/// What both runs have in common.
async fn work_below(ministry: &mut Running, province: &mut Running, rng: &mut StdRng) {
    let number: u32 = rng.random_range(1..1000);
    let given = ministry.task(format!("Việc {number}"), "66", None).await;
    assert!(given.is_some(), "the ministry gives a task");
    for _ in 0..rng.random_range(1..3) {
        let own = province
            .task(format!("Việc riêng {number}"), "66", None)
            .await;
        let own = own.expect("the province has a task of its own");
        province.report(own, format!("Kết quả {number}")).await;
    }
    let list = Command::TaskList {
        unit: None,
        group: None,
        issuer: Some("BO".to_owned()),
        unresolved: false,
        period: None,
        narrowed: Default::default(),
    };
    let held = province.ask(list).await.expect("a list");
    for task in held["items"].as_array().into_iter().flatten() {
        let id = task["id"].as_str().expect("an id").to_owned();
        province.report(id, format!("Đã làm {number}")).await;
    }
}

/// What only the second run has: work in the store above, and what belongs there typed at the store below.
async fn work_above(below: &mut Running, above: &mut Running, rng: &mut StdRng) {
    let before = below.asked;
    for _ in 0..rng.random_range(1..4) {
        let number: u32 = rng.random_range(1..1000);
        let title = format!("{MARK} {number}");
        below.task(title.clone(), "24001", Some("Mật")).await;
        let made = above.task(title, "66", Some("Mật")).await;
        let made = made.expect("the store above takes it");
        above.report(made, format!("{MARK} kết quả {number}")).await;
    }
    // The next request below has the same id in both runs.
    below.asked = before;
}

fn line(above: &Running, dir: &Path, below: &Running) -> (Upstream, Arc<Mutex<Vec<u8>>>) {
    let authority = Authority::load(&dir.join("keys")).expect("an authority");
    let hub = Hub::new(
        above.node.clone(),
        HubLimits::default(),
        Some(Held::new(authority)),
    );
    let shown = below.node.store.shown();
    let node = shown.node.expect("a node");
    let children = above.node.store.shown().children;
    let (pin, _) = children
        .iter()
        .find(|(_, child)| **child == node)
        .expect("enrolled");
    let passed = Arc::new(Mutex::new(Vec::new()));
    let wire = Wire {
        port: hub.router(),
        peer: Peer::Node {
            node,
            pin: nqsync::trust::pin::Pin::from_bytes(*pin),
        },
        passed: passed.clone(),
    };
    let up = shown.links.iter().find(|link| link.role == Role::Upstream);
    let link = up.expect("a link up").link;
    let url = "paired://parent".to_owned();
    (Upstream::new(below.node.clone(), url, wire, link), passed)
}

/// What the service does after changes: rollups go up as well.
async fn count(node: &Node) {
    while node.store.read(queries::any_dirty).await.expect("a read") {
        rollups::refresh(node).await.expect("counted");
    }
}

async fn session(upstream: &Upstream) {
    upstream.open().await.expect("opened");
    upstream.push().await.expect("pushed");
    upstream.drain().await.expect("pulled");
    upstream.push().await.expect("pushed");
    upstream.files().await.expect("no files");
    assert_eq!(upstream.compare().await.expect("compared"), Some(true));
}

impl Wire {
    fn note(&self, head: &str, body: &[u8]) {
        let mut passed = self.passed.lock().expect("nobody panicked");
        passed.extend_from_slice(head.as_bytes());
        passed.extend_from_slice(body);
        passed.push(b'\n');
    }

    async fn carry(&self, request: Request) -> Result<Response, Broken> {
        let head = format!("{} {} {:?}\n", request.method, request.url, request.headers);
        self.note(&head, &request.body);
        let mut builder = axum::http::Request::builder()
            .method(request.method.clone())
            .uri(request.url.trim_start_matches("paired://parent"))
            .extension(self.peer);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let request = builder.body(Body::from(request.body))?;
        let response = self.port.clone().oneshot(request).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let mut headers = head.headers.clone();
        // Of the body that follows; a signature in it is not always as long.
        headers.remove(axum::http::header::CONTENT_LENGTH);
        self.note(&format!("{} {headers:?}\n", head.status), &bytes);
        let response = axum::http::Response::from_parts(head, bytes);
        Ok(Response::from(response))
    }
}

impl Transport for Wire {
    fn send(&self, request: Request) -> Answering<'_> {
        Box::pin(self.carry(request))
    }
}

/// A signature is another one each time, whatever is signed: its digits say nothing, and cannot be had twice. What is signed
/// stands beside it.
fn without_signatures(bytes: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b"\"signature\":\"";
    let (mut kept, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some(at) = rest.windows(FIELD.len()).position(|part| part == FIELD) {
        let (before, after) = rest.split_at(at + FIELD.len());
        kept.extend_from_slice(before);
        let digits = after.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        rest = &after[digits..];
    }
    kept.extend_from_slice(rest);
    kept
}
