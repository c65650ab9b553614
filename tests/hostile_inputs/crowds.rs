//! Many at a time: connections that never say a word, strangers and a child whose bodies hang.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nqsync_core::protocol::PREFIX;
use reqwest::StatusCode;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::{Site, serve, until_closed};

/// Half-open connections.
const HALF_OPEN: usize = 5_000;
/// How long a crowd goes on; each request has a deadline of three seconds.
const ATTACK: Duration = Duration::from_secs(5);

/// Addresses that they come from: enough that the limit of each keeps none of the parent's places free.
const ADDRESSES: usize = 25;

/// A connection from another address than that of the good child: one address has its own limit.
async fn from_elsewhere(site: &Site, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let address = format!("127.0.0.{}:0", 2 + number % ADDRESSES);
    socket
        .bind(address.parse().expect("an address"))
        .expect("free");
    let address = site.hostile.url.trim_start_matches("https://");
    let address = address.parse().expect("an address");
    socket.connect(address).await.expect("connected")
}

#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

async fn greeted(tcp: TcpStream, mut config: ClientConfig) -> Option<TlsStream<TcpStream>> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "127.0.0.1".try_into().expect("a name");
    connector.connect(name, tcp).await.ok()
}

/// A body that begins and never ends.
struct Hanging(Option<Bytes>);

impl Body for Hanging {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

/// A crowd whose requests hang: where to, and how many were heard until their deadline.
struct Crowd {
    url: String,
    requests: usize,
    begun: Bytes,
    heard: AtomicUsize,
}

impl Crowd {
    fn new(site: &Site, endpoint: &str, bytes: usize) -> Arc<Crowd> {
        Arc::new(Crowd {
            url: format!("{}{PREFIX}/{endpoint}", site.hostile.url),
            requests: 32,
            begun: vec![b' '; bytes].into(),
            heard: AtomicUsize::new(0),
        })
    }

    /// As many requests as one connection may have, none of which ends by itself.
    async fn hang(self: Arc<Crowd>, stream: TlsStream<TcpStream>) {
        let stream = TokioIo::new(stream);
        let builder = http2::Builder::new(TokioExecutor::new());
        let Ok((sender, connection)) = builder.handshake(stream).await else {
            return;
        };
        let mut all = JoinSet::new();
        all.spawn(async move {
            // However it ends is well: the other side may close it at any time.
            let _ = connection.await;
        });
        for _ in 0..self.requests {
            let (mut sender, crowd) = (sender.clone(), self.clone());
            let body = Hanging(Some(self.begun.clone()));
            let request = hyper::Request::post(&self.url).body(body);
            let request = request.expect("a request");
            all.spawn(async move {
                let answer = sender.send_request(request).await;
                if answer.is_ok_and(|answer| answer.status() == StatusCode::REQUEST_TIMEOUT) {
                    crowd.heard.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        drop(sender);
        while all.join_next().await.is_some() {}
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_g12_crowds_that_hang_cost_little_memory_and_nobody_else_a_moment() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("as many files as this user may open");
    let site = Site::new(&[
        "listen.handshake_timeout_s=1",
        "listen.request_timeout_s=3",
        "listen.body_idle_timeout_s=3",
    ])
    .await;

    let before = site.rest();
    let crowd = async {
        let mut closed = JoinSet::new();
        for number in 0..HALF_OPEN {
            closed.spawn(until_closed(from_elsewhere(&site, number).await));
        }
        closed.join_all().await.len()
    };
    assert_eq!(site.meanwhile(crowd).await, HALF_OPEN, "all were closed");
    site.cost_little(before, "5,000 half-open connections");

    // Strangers who begin to enrol, as many at a time as one address may have.
    let before = site.rest();
    let mut config = (*site.hostile.tls).clone();
    config.client_auth_cert_resolver = Arc::new(Nobody);
    let crowd = Crowd::new(&site, "enrol", 15 << 10);
    let larger = Crowd::new(&site, "enrol", 250 << 10);
    let attack = async {
        let mut strangers = JoinSet::new();
        for number in 0..256 {
            let crowd = [&crowd, &larger][number % 2].clone();
            let (tcp, config) = (from_elsewhere(&site, 0).await, config.clone());
            strangers.spawn(async move {
                if let Some(stream) = greeted(tcp, config).await {
                    crowd.hang(stream).await;
                }
            });
        }
        timeout(ATTACK, strangers.join_all()).await.is_ok()
    };
    site.meanwhile(attack).await;
    assert!(crowd.heard() > 256, "{} were heard", crowd.heard());
    site.cost_little(before, "strangers whose bodies hang");

    // One child, on all its connections, with the largest lists of children that it may have kept.
    let before = site.rest();
    let crowd = Crowd::new(&site, "roster/keep", (4 << 20) - 1);
    let attack = async {
        let mut connections = JoinSet::new();
        for _ in 0..4 {
            let tcp = from_elsewhere(&site, 0).await;
            let stream = greeted(tcp, (*site.hostile.tls).clone()).await;
            connections.spawn(crowd.clone().hang(stream.expect("a known node")));
        }
        timeout(ATTACK, connections.join_all()).await.is_ok()
    };
    site.meanwhile(attack).await;
    assert!(crowd.heard() > 0, "none was heard");
    site.cost_little(before, "a child whose bodies hang");
    serve(&site.good).await;
}
