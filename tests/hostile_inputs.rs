//! What a broken or hostile child sends to a running service: bodies without end or sense, connections that drip or hang,
//! floods, replays. Each is refused within its limits, while another child goes on.

#[path = "hostile_inputs/answers.rs"]
mod answers;
#[path = "hostile_inputs/bodies.rs"]
mod bodies;
#[path = "hostile_inputs/crowds.rs"]
mod crowds;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nqsync::cli::screen::clean;
use nqsync::store::records::Flags;
use nqsync::store::{StoreError, blobs, links};
use nqsync::trust::identity::NodeKey;
use nqsync::trust::token;
use nqsync_core::model::Facts;
use nqsync_core::protocol::{
    BATCH_HEADER, BEFORE_HEADER, EnrolRequest, MAX_BATCH_LINES, OFFSET_HEADER, Pull, render_record,
};
use nqsync_core::sync::{Author, Incarnation};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::files::noise;
use support::machine::{Machine, Service};
use support::raw::{Raw, answer, authored, client, pack};
use support::values;
use support::world::{World, progress, report_facts};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Never passes in a test that succeeds.
const LONG: Duration = Duration::from_secs(120);

/// What an attack may cost a service in memory, beyond what it had before.
const MOST_BYTES: u64 = 64 << 20;

/// A service with two children that do not run: what they could say is said by hand.
struct Site {
    service: Service,
    hostile: Raw,
    good: Raw,
    machines: [Machine; 3],
    /// How long the other child waits for an answer while nothing else goes on.
    pace: Duration,
}

impl Site {
    async fn new(set: &[&str]) -> Site {
        let parent = Machine::ministry("BO");
        let service = parent.serve_with(set);
        let one = Machine::child(&parent, "66", "province");
        let two = Machine::child(&parent, "68", "province");
        let (mut hostile, mut good) = (Raw::at(&one).await, Raw::at(&two).await);
        hostile.open().await;
        good.open().await;
        let mut waits = Vec::new();
        for _ in 0..20 {
            waits.push(serve(&good).await);
        }
        Site {
            service,
            hostile,
            good,
            machines: [parent, one, two],
            pace: middle(waits),
        }
    }

    /// A line of `/proc/PID/status` in bytes.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.service.pid()));
        let status = status.expect("a running service");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next());
        kib.expect("a size").parse::<u64>().expect("a number") << 10
    }

    /// The memory that the service has now; its peak is counted from here on.
    fn rest(&self) -> u64 {
        let file = format!("/proc/{}/clear_refs", self.service.pid());
        std::fs::write(file, "5").expect("a running service of ours");
        self.memory("VmRSS:")
    }

    /// Checks what an attack cost, since `rest`.
    fn cost_little(&self, before: u64, what: &str) {
        let more = self.memory("VmHWM:").saturating_sub(before);
        println!("{what}: {} MiB more", more >> 20);
        assert!(more <= MOST_BYTES, "{what}: {} MiB more", more >> 20);
    }

    /// Awaits `stage` while the other child goes on: none of its requests waits long, and most of them as little as before.
    async fn meanwhile<T>(&self, stage: impl Future<Output = T>) -> T {
        let mut stage = std::pin::pin!(timeout(LONG, stage));
        let mut waits = Vec::new();
        let ended = loop {
            let took = serve(&self.good).await;
            assert!(
                took < Duration::from_secs(10),
                "the other child waited {took:?}"
            );
            waits.push(took);
            tokio::select! {
                biased;
                ended = &mut stage => break ended.expect("ended by its deadline"),
                () = tokio::task::yield_now() => {}
            }
        };
        let (count, took) = (waits.len(), middle(waits));
        println!(
            "the other child: {:?} alone, {took:?} beside it, {count} times",
            self.pace
        );
        let most = self.pace * 10 + Duration::from_millis(250);
        assert!(count < 5 || took < most, "the other child waited {took:?}");
        ended
    }
}

fn middle(mut waits: Vec<Duration>) -> Duration {
    waits.sort_unstable();
    waits[waits.len() / 2]
}

/// One ordinary request, and how long it took.
async fn serve(raw: &Raw) -> Duration {
    let begin = Instant::now();
    let ours = json!({ "count": 0, "sum": "", "pending": true });
    let (status, answered) = raw.post("agree", ours.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answered}");
    begin.elapsed()
}

/// Reads until the other side closes, whichever way it does.
async fn until_closed(mut stream: impl AsyncRead + Unpin) {
    let mut buffer = vec![0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame of HTTP/2 (RFC 9113, 4.1) on the first stream.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    frame.extend_from_slice(payload);
    frame
}

/// Header fields as literals that enter no table (RFC 7541, 6.2.2).
fn fields(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in pairs {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_b8_each_stage_ends_by_its_deadline_while_another_child_goes_on() {
    let site = Site::new(&[
        "listen.handshake_timeout_s=0.5",
        "listen.header_timeout_s=0.5",
        "listen.request_timeout_s=1",
        "listen.body_idle_timeout_s=0.5",
    ])
    .await;
    let address = site.hostile.url.trim_start_matches("https://").to_owned();
    let before = site.rest();
    // No bytes at all.
    let silent = TcpStream::connect(&address).await.expect("connected");
    site.meanwhile(until_closed(silent)).await;
    // A greeting that is never finished.
    let mut half = TcpStream::connect(&address).await.expect("connected");
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.expect("sent");
    site.meanwhile(until_closed(half)).await;
    // A handshake, then nothing.
    let silent = site.hostile.connect().await;
    site.meanwhile(until_closed(silent)).await;
    // Headers that are never finished.
    let mut dripping = site.hostile.connect().await;
    let begun = [PREFACE, &frame(1, 0, &fields(&[(":method", "POST")]))].concat();
    dripping.write_all(&begun).await.expect("sent");
    site.meanwhile(until_closed(dripping)).await;
    // A body that is never finished: the request ends, by name.
    let (mut pipe, body) = tokio::io::duplex(64);
    pipe.write_all(b"{").await.expect("room");
    let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(body));
    let request = site.hostile.request(Method::POST, "agree").body(body);
    let (status, refused) = site.meanwhile(answer(request)).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::REQUEST_TIMEOUT, &json!("slow"))
    );
    // A batch whose body hangs gives its turn to the next one of the same child at once.
    let (mut pipe, body) = tokio::io::duplex(64);
    pipe.write_all(b"x").await.expect("room");
    let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(body));
    let request = site.hostile.request(Method::POST, "push");
    let request = request.header(BATCH_HEADER, 1).header(BEFORE_HEADER, "");
    let (status, refused) = site.meanwhile(answer(request.body(body))).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{refused}");
    drop(pipe);
    // A peer that takes nothing of an answer too large for the buffers, and answers every ping all the same.
    let title = nqsync_core::protocol::hex(&noise(1, 60_000));
    let add = [
        "task", "add", "--group", "I", "--number", "1", "--lead", "66",
    ];
    let add = [&add[..], &["--title", &title]].concat();
    site.machines[0].run(&add).expect(0);
    let stream = hyper_util::rt::TokioIo::new(site.hostile.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .initial_stream_window_size(16)
            .handshake(stream)
            .await
            .expect("a handshake");
    let connection = tokio::spawn(connection);
    let pull = serde_json::to_string(&Pull::default()).expect("json");
    let request = hyper::Request::post(format!("{}/link/v1/pull", site.hostile.url));
    let answered = sender.send_request(request.body(pull).expect("a request"));
    let unread = answered.await.expect("an answer");
    assert_eq!(unread.status(), StatusCode::OK);
    // Its connection ends although the answer is still held, unread.
    let ended = site.meanwhile(connection).await;
    assert!(ended.is_ok(), "{ended:?}");
    drop((unread, sender));
    site.cost_little(before, "slow peers");
    serve(&site.hostile).await;
}

/// The first frame that says what became of the stream: its kind, and the first byte of its payload.
async fn verdict(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u8)> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        let (kind, id) = (
            head[3],
            u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        );
        if kind == 7 || (id == 1 && matches!(kind, 1 | 3)) {
            return Some((kind, payload.first().copied().unwrap_or_default()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_requests_framed_in_two_ways_are_refused() {
    /// `:status 200`, the first field of an answer (RFC 7541, appendix A).
    const OK: u8 = 0x88;
    let site = Site::new(&[]).await;
    let body = json!({ "count": 0, "sum": "", "pending": true }).to_string();
    let length = body.len().to_string();
    let ask = async |extra: &[(&str, &str)]| {
        let mut stream = site.hostile.connect().await;
        let common = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "127.0.0.1"),
            (":path", "/link/v1/agree"),
        ];
        let block = fields(&[&common[..], extra].concat());
        let request = [PREFACE, &frame(1, 4, &block), &frame(0, 1, body.as_bytes())].concat();
        stream.write_all(&request).await.expect("sent");
        timeout(LONG, verdict(&mut stream))
            .await
            .expect("a verdict")
    };
    // Made by hand and right, it is answered: so what follows is refused for what it says.
    assert_eq!(ask(&[("content-length", &length)]).await, Some((1, OK)));
    for extra in [
        &[("content-length", "3")][..],
        &[("content-length", "900")],
        &[("transfer-encoding", "chunked")],
        &[
            ("content-length", &length),
            ("transfer-encoding", "chunked"),
        ],
        &[("connection", "keep-alive")],
        &[("content-length", "x")],
        &[("content-length", &length), ("Content-Length", "3")],
    ] {
        let found = ask(extra).await;
        assert_ne!(found, Some((1, OK)), "{extra:?}");
    }
    // HTTP/1.1, where two framings could be told apart wrongly, is not spoken.
    let mut stream = site.hostile.connect().await;
    let smuggled = "POST /link/v1/agree HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /";
    stream.write_all(smuggled.as_bytes()).await.expect("sent");
    let mut said = Vec::new();
    // However it ends: what was said before is what counts.
    let _ = timeout(LONG, stream.read_to_end(&mut said))
        .await
        .expect("closed");
    assert!(!said.windows(5).any(|part| part == b"HTTP/"), "{said:?}");
    serve(&site.good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_what_was_recorded_has_no_effect_a_second_time() {
    let world = World::new().await;
    let (province, other) = (&world.province, &world.other);
    let task = world.task_of(province, other.unit(), &[]).await;
    other.sync().await;
    let mut raw = Raw::of(other).await;
    raw.open().await;
    let facts = || report_facts(other.unit(), province.unit(), task);
    let first = authored(
        1,
        facts(),
        other.unit(),
        values([("progress", progress(10))]),
    );
    let id = first.key().id;
    let before = raw.up.clone();
    let body = pack(&[render_record(&first)]);
    let ack = raw.push(&[render_record(&first)]).await;
    assert!(ack.set_aside.is_empty(), "{:?}", ack.set_aside);
    let mut second = first.clone();
    let author = Author {
        incarnation: Incarnation([3; 16]),
        unit: other.unit(),
        name: "by hand",
        seal: None,
    };
    let newer = values([("progress", progress(20))]);
    second
        .write(author, support::START_MS, newer, None)
        .expect("writable");
    raw.push(&[render_record(&second)]).await;
    let held = province.digest(id).await;
    // The recorded batch, as it was and as the next one: refused, and joined without effect.
    let after = std::mem::replace(&mut raw.up, before);
    let (status, refused) = raw.push_at(raw.up.batch + 1, body.clone()).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::CONFLICT, &json!("position"))
    );
    raw.up = after;
    assert_eq!(raw.push_body(body).await.0, StatusCode::OK);
    assert_eq!(province.digest(id).await, held);

    // An enrolment code works once: another key with it is refused, also when it is late.
    let unit = province.add_unit("24003", "commune", None).await;
    let (text, _) = province.token("24003", unit).await;
    let secret = token::parse(&text).expect("a token").secret.reveal();
    let anonymous = client(other, None).await;
    let enrol = async |key: &NodeKey, node: u128, secret: &str| {
        let request = EnrolRequest {
            secret: secret.to_owned(),
            node: nqsync_core::model::NodeId(uuid::Uuid::from_u128(node)),
            csr: key.csr_pem().expect("a request"),
        };
        let url = format!("{}/link/v1/enrol", raw.url);
        answer(anonymous.post(url).json(&request)).await
    };
    let (mine, thief) = (
        NodeKey::generate().expect("a key"),
        NodeKey::generate().expect("a key"),
    );
    assert_eq!(enrol(&mine, 71, &secret).await.0, StatusCode::OK);
    let children = province.node.store.shown().children.len();
    let (status, refused) = enrol(&thief, 72, &secret).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::UNAUTHORIZED, &json!("token"))
    );
    let (text, _) = province.token("24003", unit).await;
    let secret = token::parse(&text).expect("a token").secret.reveal();
    province
        .clock_ms
        .fetch_add(3_600_001, std::sync::atomic::Ordering::SeqCst);
    let (status, refused) = enrol(&thief, 73, &secret).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::UNAUTHORIZED, &json!("token"))
    );
    assert_eq!(province.node.store.shown().children.len(), children);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_gaps_and_steps_back_are_asked_again_and_two_contents_of_one_number_are_both_kept() {
    let world = World::new().await;
    let (province, other) = (&world.province, &world.other);
    let task = world.task_of(province, other.unit(), &[]).await;
    other.sync().await;
    let mut raw = Raw::of(other).await;
    raw.open().await;
    let facts = || report_facts(other.unit(), province.unit(), task);
    let with = |percent| {
        let values = values([("progress", progress(percent))]);
        authored(1, facts(), other.unit(), values)
    };
    let (first, twin) = (with(10), with(20));
    let id = first.key().id;
    raw.push(&[render_record(&first)]).await;
    let held = province.digest(id).await;
    let (now, body) = (raw.up.clone(), pack(&[render_record(&twin)]));
    for number in [now.batch + 2, now.batch + 1_000, u64::MAX, now.batch, 0] {
        let (status, refused) = raw.push_at(number, body.clone()).await;
        assert_eq!(
            (status, &refused["code"]),
            (StatusCode::CONFLICT, &json!("position")),
            "batch {number}"
        );
        let said = refused["message"].to_string();
        assert!(said.contains(&format!("batch {}", now.batch + 1)), "{said}");
    }
    // The right number after another past.
    raw.up.hash = "ab".repeat(32);
    let (status, _) = raw.push_at(now.batch + 1, body.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(province.digest(id).await, held, "nothing was taken");
    // The same batch number with another content than before, claimed at the greeting, is told and costs nothing.
    let mut greeting = serde_json::to_value(&raw.hello).expect("json");
    greeting["up"] = json!({ "batch": now.batch, "hash": "cd".repeat(32), "before": now.before });
    let (status, welcome) = raw.post("open", greeting.to_string()).await;
    assert_eq!((status, &welcome["torn"]), (StatusCode::OK, &json!(true)));
    assert_eq!(province.digest(id).await, held);
    // One number in the record, two contents: nobody can say which is true, so both are kept and a person sees it.
    other.sync().await;
    let mut raw = Raw::of(other).await;
    raw.open().await;
    raw.push(&[render_record(&twin)]).await;
    let stored = province.stored(id).await;
    let view = stored.record.register("progress");
    let mut percents: Vec<Value> = view
        .siblings
        .iter()
        .map(|w| w.json()["percent"].clone())
        .collect();
    percents.sort_by_key(ToString::to_string);
    assert_eq!(percents, [json!("10"), json!("20")]);
    assert!(stored.flags.has(Flags::CONFLICT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_file_name_is_data_whatever_it_says() {
    let world = World::new().await;
    let (province, other) = (&world.province, &world.other);
    let task = world.task_of(province, other.unit(), &[]).await;
    other.sync().await;
    let mut raw = Raw::of(other).await;
    raw.open().await;
    let long = "x".repeat(4_000);
    let names = [
        "../../x",
        "/etc/passwd",
        "..\\..\\x",
        "CON",
        "NUL.txt",
        "",
        ".",
        long.as_str(),
        "bao-cao\u{202e}fdp.exe",
        "\u{1b}[2J\u{7}.pdf",
        "a\nb\r\tc",
        "\u{0}",
    ];
    for (number, name) in (1..).zip(names) {
        let bytes = noise(number, 100);
        let sha256 = blobs::hex(&sha(&bytes));
        let facts = Facts::Evidence {
            unit: other.unit(),
            issuer: province.unit(),
            task,
            period: "2026-03".into(),
            reviewer: province.unit(),
        };
        let file = json!({ "sha256": sha256, "size": 100, "name": name });
        let number = u128::from(number);
        let record = authored(number, facts, other.unit(), values([("file", file)]));
        assert_eq!(raw.push_one(render_record(&record)).await, None, "{name:?}");
        let request = raw.request(Method::PATCH, &format!("blob/{sha256}"));
        let request = request.header(OFFSET_HEADER, 0).body(bytes.clone());
        assert_eq!(answer(request).await.0, StatusCode::NO_CONTENT, "{name:?}");
        let id = blobs::parse_hex(&sha256).expect("a hash");
        assert!(
            province.file(id).await == Some(bytes),
            "{name:?}: stored by its hash"
        );
        // The name is kept as it came, and shown without effect.
        let stored = province.stored(record.key().id).await;
        let kept = stored.record.shown("file").expect("a file");
        assert_eq!(kept["name"], *name);
        let shown = clean(name);
        assert!(
            !shown.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{shown:?}"
        );
    }
    // Below the node's folder there is nothing with such a name, and nothing beside it.
    let mut folders = vec![province.dir.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name in ASCII");
            assert!(!names.contains(&name.as_str()) && name != "x", "{name:?}");
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

fn sha(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_version_of_any_length_is_kept_short_and_harmless() {
    let world = World::new().await;
    let mut raw = Raw::of(&world.other).await;
    raw.hello.version = format!("9.9\u{1b}[31m{}", "A".repeat(100_000));
    raw.open().await;
    let node = raw.node();
    let read = world.province.node.store.read(move |c| {
        let link = links::find(c, node)?.expect("a child");
        Ok::<_, StoreError>(links::row(c, link)?.version)
    });
    let kept = read.await.expect("a read").expect("a version");
    assert_eq!(kept, format!("9.9[31m{}", "A".repeat(57)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g12_a_flood_of_one_child_leaves_the_others_their_share() {
    /// Batches at a time, how often at least, and what the other child does meanwhile.
    const AT_ONCE: usize = 25;
    const ROUNDS: usize = 2;
    const SHARE: usize = 2;
    let world = World::new().await;
    let (province, commune) = (&world.province, &world.commune);
    let raw = Raw::of(&world.other).await;
    let flood = pack(&vec!["{}".to_owned(); MAX_BATCH_LINES]);
    let task = world.task().await;
    let has_share = AtomicBool::new(false);
    let flooding = async {
        let mut answered = 0;
        // On and on, until the other child has had its share.
        while answered < AT_ONCE * ROUNDS || !has_share.load(Ordering::Relaxed) {
            let (raw, flood) = (&raw, &flood);
            let batches = (0..AT_ONCE).map(|n| raw.push_at(n as u64 + 1, flood.clone()));
            for (status, refused) in futures_of(batches).await {
                // One is in work, and a later one takes the place of those that wait.
                assert!(
                    !status.is_server_error() || refused["code"] == "busy",
                    "{refused}"
                );
                answered += 1;
            }
        }
        answered
    };
    let mut flooding = std::pin::pin!(timeout(LONG, flooding));
    let mut reports = Vec::new();
    let answered = loop {
        let percent = reports.len() as u32 % 100 + 1;
        tokio::select! {
            biased;
            answered = &mut flooding => break answered.expect("each batch is answered, and the other child has its share"),
            report = async {
                commune.sync().await;
                let report = world.report(task, percent).await;
                commune.sync().await;
                report
            } => {
                assert!(province.holds(report).await);
                reports.push(report);
                has_share.store(reports.len() >= SHARE, Ordering::Relaxed);
            }
        }
    };
    assert!(answered >= AT_ONCE * ROUNDS && reports.len() >= SHARE);
    assert_eq!(commune.sync().await.agrees, Some(true));
    let kept = province.set_aside().await.len() as u64;
    assert!(kept <= nqsync::node::receive::MAX_SET_ASIDE_PER_LINK);
}

/// All of them at once.
async fn futures_of<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = all.map(|one| Some(Box::pin(one))).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        for slot in &mut waiting {
            if let Some(one) = slot
                && let std::task::Poll::Ready(output) = one.as_mut().poll(context)
            {
                done.push(output);
                *slot = None;
            }
        }
        match waiting.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done
}
