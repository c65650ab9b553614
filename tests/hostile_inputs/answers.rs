//! Answers that a child asks for and does not take.

use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nqsync_core::protocol::PREFIX;
use nqsync_core::protocol::deposit::{Head, Name, put_piece};
use nqsync_core::protocol::roster::{Kept, MAX_ROSTER};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{LONG, Site, serve};

/// Connections that a child may have.
const CONNECTIONS: usize = 4;
/// Requests that each may have under way.
const REQUESTS: usize = 32;

/// Everything that the hostile child may ask at a time, none of whose answers it takes: how many there were of each status.
/// They are there until this is dropped.
struct Untaken {
    answers: Vec<Response<Incoming>>,
    _connections: JoinSet<()>,
}

impl Untaken {
    async fn of(site: &Site, endpoint: &str, body: &Value) -> Untaken {
        let (mut connections, mut asking) = (JoinSet::new(), JoinSet::new());
        for _ in 0..CONNECTIONS {
            let stream = TokioIo::new(site.hostile.connect().await);
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(0);
            let (sender, connection) = builder.handshake(stream).await.expect("HTTP/2");
            connections.spawn(async move {
                // However it ends is well.
                let _ = connection.await;
            });
            for _ in 0..REQUESTS {
                let mut sender = sender.clone();
                let request = Request::post(format!("{}{PREFIX}/{endpoint}", site.hostile.url));
                let body = http_body_util::Full::new(Bytes::from(body.to_string()));
                let request = request.body(body).expect("a request");
                asking.spawn(async move { sender.send_request(request).await.expect("an answer") });
            }
        }
        let answers = timeout(LONG, asking.join_all()).await.expect("in time");
        Untaken {
            answers,
            _connections: connections,
        }
    }

    fn with(&self, status: StatusCode) -> usize {
        let with = self.answers.iter().filter(|a| a.status() == status);
        with.count()
    }
}

/// Asks until the parent is not busy any more.
async fn until_taken(site: &Site, endpoint: &str, body: &Value) {
    let asking = async {
        while site.hostile.post(endpoint, body.to_string()).await.0
            == StatusCode::SERVICE_UNAVAILABLE
        {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    timeout(LONG, asking).await.expect("its turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g12_answers_that_a_child_does_not_take_cost_little_memory_and_nobody_else_a_moment() {
    let mut site = Site::new(&[]).await;
    let welcome = site.hostile.open().await;
    let roster = json!({ "text": "x".repeat(MAX_ROSTER - 4096), "key": "00", "signature": "00" });
    let keep = json!({ "replaces": welcome.roster, "roster": roster });
    let (status, kept) = site.hostile.post("roster/keep", keep.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    serde_json::from_value::<Kept>(kept).expect("kept");

    let (before, nothing) = (site.rest(), json!({}));
    let untaken = Untaken::of(&site, "roster/fetch", &nothing);
    let untaken = site.meanwhile(untaken).await;
    let (given, busy) = (
        untaken.with(StatusCode::OK),
        untaken.with(StatusCode::SERVICE_UNAVAILABLE),
    );
    assert_eq!(given + busy, CONNECTIONS * REQUESTS);
    assert!((1..10).contains(&given), "{given} are kept");
    serve(&site.good).await;
    site.cost_little(before, "lists of children that are not taken");
    drop(untaken);
    until_taken(&site, "roster/fetch", &nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g12_heads_of_deposits_cost_little_memory_whatever_they_name() {
    /// Names in a head that is as large as the quota has pieces for.
    const NAMES: usize = 520_000;
    let site = Site::new(&[]).await;
    let mut piece = Vec::new();
    put_piece(&mut piece, b"");
    let (status, refused) = site.hostile.post("deposit/pieces", piece).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{refused}");
    let name: Name = Sha256::digest(b"").into();
    let of = |names: Vec<Name>| {
        let (key, root) = ([7; 32], b"root".to_vec());
        Head { key, root, names }.render()
    };

    let before = site.rest();
    let doubled = of(vec![name; NAMES]);
    for _ in 0..3 {
        let asked = site.hostile.post("deposit/complete", doubled.clone());
        let (status, refused) = site.meanwhile(asked).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    }
    let foreign = (0..NAMES as u32).map(|n| Sha256::digest(n.to_be_bytes()).into());
    let lacking = of(foreign.collect());
    let asked = site.hostile.post("deposit/complete", lacking);
    let (status, refused) = site.meanwhile(asked).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let larger = of(vec![name; 2 * NAMES]);
    let asked = site.hostile.request(Method::POST, "deposit/complete");
    // The answer comes before the body is over; then the stream may be reset under the sender.
    if let Ok(answered) = site.meanwhile(asked.body(larger).send()).await {
        assert_eq!(answered.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    site.cost_little(before, "heads that name what is not there, or twice");

    let (status, held) = site.hostile.post("deposit/complete", of(vec![name])).await;
    assert_eq!(status, StatusCode::OK, "{held}");
    let before = site.rest();
    let asked = json!({ "node": site.hostile.node() });
    for endpoint in ["deposit/list", "deposit/fetch"] {
        let untaken = Untaken::of(&site, endpoint, &asked);
        let untaken = site.meanwhile(untaken).await;
        assert!(untaken.with(StatusCode::OK) > 0, "{endpoint}");
    }
    site.cost_little(before, "deposits that are not taken");
    serve(&site.good).await;
}
