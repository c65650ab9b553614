//! Everybody returns at once to one real parent. `NQSYNC_PROOF=herd` makes it the 3,321 communes of a country, within a
//! minute; `NQSYNC_HERD` another number.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use nqsync::api::{Command, TaskFields};
use nqsync::clock::Clock;
use nqsync::daemon::setup;
use nqsync::link::backoff::Backoff;
use nqsync::trust::certificate::parse_chain;
use nqsync::trust::identity::{NodeKey, new_node_id};
use nqsync::trust::tls::{ClientTimeouts, ClientTls, ParentPin, log_date_warning};
use nqsync::trust::token;
use nqsync_core::model::{Facts, UnitId};
use nqsync_core::protocol::{
    Ack, BATCH_HEADER, BEFORE_HEADER, EnrolRequest, Enrolled, Hello, Mark, PREFIX, PROTOCOL,
    Refused, Welcome,
};
use nqsync_core::sync::Incarnation;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, RequestBuilder, StatusCode};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use support::control::{ask, request};
use support::machine::{Machine, Service};
use support::raw::{line, pack};
use support::values;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// One commune: an identity, a report that waits, and its own connection.
struct Child {
    client: Client,
    hello: Hello,
    report: String,
}

/// What the way of one child came to.
struct Served {
    waited: Duration,
    tries: u32,
    /// The connection stays open, as that of a service does.
    _client: Client,
}

fn carried_out(machine: &Machine, id: &str, command: Command) -> serde_json::Value {
    let answer = ask(machine, &request(id, command)).heard();
    answer.expect("an answer").expect("carried out").data
}

fn read(machine: &Machine, sql: &str) -> String {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(machine.at("store.db"), flags).expect("a store");
    store
        .busy_timeout(Duration::from_secs(60))
        .expect("patience");
    store.query_row(sql, [], |row| row.get(0)).expect("a value")
}

/// Enrols as many communes, all assigned to one task.
async fn communes(ministry: &Machine, url: &str, count: u128) -> Vec<Child> {
    let mut units = Vec::new();
    for number in 0..count {
        let code = format!("C{number}");
        let add = Command::UnitAdd {
            code: code.clone(),
            name: code.clone(),
            level: Some("commune".to_owned()),
            parent: None,
            aliases: Vec::new(),
        };
        let unit = carried_out(ministry, &format!("unit {number}"), add);
        let id: Uuid = serde_json::from_value(unit["id"].clone()).expect("an id");
        units.push((code, UnitId(id)));
    }
    let fields = TaskFields {
        title: Some("Việc chung".to_owned()),
        lead: Some(vec!["C0".to_owned()]),
        coordinating: Some(units[1..].iter().map(|(code, _)| code.clone()).collect()),
        ..TaskFields::default()
    };
    let task = carried_out(ministry, "task", Command::TaskAdd { fields });
    let task: Uuid = serde_json::from_value(task["id"].clone()).expect("an id");
    let issuer: Uuid = read(ministry, "SELECT value FROM meta WHERE key = 'unit'")
        .parse()
        .expect("an id");
    let pin: nqsync::trust::pin::Pin =
        read(ministry, "SELECT value FROM meta WHERE key = 'ca_pin'")
            .parse()
            .expect("a pin");
    let clock = Clock::system();
    let tls = |identity: Option<(Vec<_>, &NodeKey)>| {
        let trusted = setup::trust_clock(&clock);
        let tls = ClientTls::new(
            identity,
            ParentPin(pin),
            trusted,
            Arc::new(log_date_warning),
        );
        let client = tls.expect("tls").http_client(&ClientTimeouts::default());
        client.expect("a client")
    };
    let mut children = Vec::new();
    for (number, (code, unit)) in (1..).zip(units) {
        let mint = Command::NodeToken {
            unit: code,
            expires_s: 86_400,
            url: None,
        };
        let said = carried_out(ministry, &format!("token {number}"), mint);
        let token = token::parse(said["token"].as_str().expect("a token")).expect("a token");
        let key = NodeKey::generate().expect("a key");
        let now = jiff::Timestamp::from_millisecond(clock.now_ms()).expect("a time");
        let node = new_node_id(&mut rand::rng(), now);
        let enrol = EnrolRequest {
            secret: token.secret.reveal(),
            node,
            csr: key.csr_pem().expect("a request"),
        };
        // A stranger's connection has a short life, so each of them has its own.
        let stranger = tls(None);
        let sent = stranger.post(format!("{url}{PREFIX}/enrol")).json(&enrol);
        let answer = sent.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let enrolled: Enrolled = answer.json().await.expect("an enrolment");
        let chain = parse_chain(enrolled.certificate.as_bytes()).expect("a certificate");
        let facts = Facts::Report {
            unit,
            issuer: UnitId(issuer),
            task,
            period: "2026-11".to_owned(),
        };
        let progress = json!({ "status": "in_progress", "percent": "40" });
        let report = line(number, facts, unit, values([("progress", progress)]));
        let mark = Mark {
            batch: 0,
            hash: "00".to_owned(),
            before: "00".to_owned(),
        };
        children.push(Child {
            client: tls(Some((chain, &key))),
            hello: Hello {
                authority: None,
                protocol: PROTOCOL,
                version: "test".to_owned(),
                node,
                clock_ms: clock.now_ms(),
                chain: vec![Incarnation(number.to_be_bytes())],
                up: mark.clone(),
                down: mark,
                echo: None,
                audit: None,
            },
            report,
        });
    }
    children
}

/// One request; `Err` with how long the parent asks to wait, if it does.
async fn try_one<T: serde::de::DeserializeOwned>(
    request: RequestBuilder,
) -> Result<T, Option<Duration>> {
    let answer = request.send().await.map_err(|_| None)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|_| None)?;
    if status.is_success() {
        return Ok(serde_json::from_slice(&body).expect("what was asked for"));
    }
    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::CONFLICT];
    let said = String::from_utf8_lossy(&body);
    assert!(busy.contains(&status), "{status}: {said}");
    let refused: Refused = serde_json::from_slice(&body).expect("a refusal");
    Err(refused.retry_after_s.map(Duration::from_secs))
}

impl Child {
    async fn try_once(&self, url: &str) -> Result<(), Option<Duration>> {
        let open = self.client.post(format!("{url}{PREFIX}/open"));
        let welcome: Welcome = try_one(open.json(&self.hello)).await?;
        if welcome.up.batch > 0 {
            // Its acknowledgement was lost with the connection.
            return Ok(());
        }
        let push = self
            .client
            .post(format!("{url}{PREFIX}/push"))
            .header(BATCH_HEADER, 1)
            .header(BEFORE_HEADER, &welcome.up.hash)
            .header("nq-session", &welcome.session)
            .body(pack(std::slice::from_ref(&self.report)));
        let ack: Ack = try_one(push).await?;
        assert!(ack.set_aside.is_empty(), "{:?}", ack.set_aside);
        Ok(())
    }

    /// Tries with the pauses of the service until its report is acknowledged.
    async fn returns(self, url: String, after: Duration) -> Served {
        sleep(after).await;
        let began = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        let mut tries = 1;
        while let Err(asked) = self.try_once(&url).await {
            tries += 1;
            sleep(backoff.next(asked)).await;
        }
        Served {
            waited: began.elapsed(),
            tries,
            _client: self.client,
        }
    }
}

/// The most memory that the process ever had, in KiB.
fn peak(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).expect("its state");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|text| text.split_whitespace().next());
    size.and_then(|size| size.parse().ok()).expect("a size")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_when_all_children_return_at_once_each_is_served_and_what_was_acknowledged_is_kept() {
    let proof = std::env::var("NQSYNC_PROOF").as_deref() == Ok("herd");
    let asked = std::env::var("NQSYNC_HERD").ok();
    let asked = asked.map(|text| text.parse().expect("a number"));
    let count: u128 = asked.unwrap_or(if proof { 3_321 } else { 60 });
    let window_ms = if proof { 60_000 } else { 300 };
    // A connection for each of them.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, most).expect("more files");
    let ministry = Machine::ministry("BO");
    let service = ministry.serve();
    let url = read(&ministry, "SELECT value FROM meta WHERE key = 'listen_url'");
    let began = Instant::now();
    let children = communes(&ministry, &url, count).await;
    println!("{count} communes enrolled in {:?}", began.elapsed());
    let before = peak(&service);
    let mut rng = StdRng::seed_from_u64(11);
    let herd: Vec<_> = children
        .into_iter()
        .map(|child| {
            let after = Duration::from_millis(rng.random_range(0..window_ms));
            tokio::spawn(child.returns(url.clone(), after))
        })
        .collect();
    let (mut waited, mut tries, mut open) = (Vec::new(), BTreeMap::new(), Vec::new());
    for child in herd {
        let served = child.await.expect("no panic");
        waited.push(served.waited);
        *tries.entry(served.tries).or_insert(0) += 1;
        open.push(served);
    }
    waited.sort();
    let (median, last) = (waited[waited.len() / 2], waited[waited.len() - 1]);
    let peak_kib = peak(&service);
    println!(
        "{count} children within {window_ms} ms: half served within {median:?}, all within {last:?}; \
         tries {tries:?}; greatest memory of the parent {peak_kib} KiB, {before} before"
    );
    assert!(last < Duration::from_secs(600), "{last:?}");
    assert!(
        peak_kib < before + 64 * 1024 + 128 * count as u64,
        "{peak_kib} KiB"
    );
    // The plug is pulled the moment the last one was told.
    service.kill();
    drop(open);
    let service = ministry.serve();
    let kept = read(
        &ministry,
        "SELECT count(*) || '' FROM record WHERE period = '2026-11' AND edits LIKE '%by hand%'",
    );
    assert_eq!(kept, count.to_string(), "acknowledged and kept");
    service.stop();
}
