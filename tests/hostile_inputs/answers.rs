//! Answers that a child asks for and does not take.

use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nqsync_core::protocol::PREFIX;
use nqsync_core::protocol::roster::{Kept, MAX_ROSTER};
use reqwest::StatusCode;
use serde_json::{Value, json};
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
