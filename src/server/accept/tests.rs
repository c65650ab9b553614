//! Real TLS over loopback: who reaches a handler, and as whom.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::Extension;
use axum::routing::get;
use jiff::Timestamp;
use nqsync_core::model::NodeId;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::trust::authority::{Authority, NODE_LIFETIME};
use crate::trust::certificate::{DateRemark, parse_chain};
use crate::trust::identity::NodeKey;
use crate::trust::pin::Pin;
use crate::trust::tls::{
    ClientTimeouts, ClientTls, Clock, DateWarning, OnDate, ParentPin, PinStore, log_date_warning,
    pin_mismatch,
};

const PARENT: NodeId = NodeId(Uuid::from_u128(1));
const CHILD: NodeId = NodeId(Uuid::from_u128(2));
/// Long enough never to pass in a test, so that nothing depends on it.
const LONG: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Listed(Mutex<HashMap<Pin, NodeId>>);

impl PinStore for Listed {
    fn node_of(&self, pin: &Pin) -> Option<NodeId> {
        self.0
            .lock()
            .expect("no test panics with the list")
            .get(pin)
            .copied()
    }
}

impl Listed {
    fn enrol(&self, pin: Pin, node: NodeId) {
        self.0
            .lock()
            .expect("no test panics with the list")
            .insert(pin, node);
    }

    fn revoke(&self, pin: Pin) {
        self.0
            .lock()
            .expect("no test panics with the list")
            .remove(&pin);
    }
}

/// Collected date warnings.
type Warnings = Arc<Mutex<Vec<DateWarning>>>;

struct Parent {
    authority: Authority,
    listed: Arc<Listed>,
    warnings: Warnings,
    connections: Connections,
    counts: Arc<AcceptCounts>,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    _keys: TempDir,
}

struct Child {
    key: NodeKey,
    chain: Vec<CertificateDer<'static>>,
}

fn now() -> Timestamp {
    "2026-11-22T05:00:00Z".parse().expect("a time")
}

fn clock() -> Clock {
    Arc::new(now)
}

fn collect(warnings: &Warnings) -> OnDate {
    let warnings = warnings.clone();
    Arc::new(move |warning| warnings.lock().expect("not poisoned").push(*warning))
}

fn limits() -> AcceptLimits {
    AcceptLimits {
        handshake: LONG,
        first_request: LONG,
        idle: LONG,
        stranger: LONG,
        ..AcceptLimits::default()
    }
}

fn routes() -> Router {
    Router::new()
        .route(
            "/who",
            get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }),
        )
        .route(
            "/panic",
            get(|| async { panic!("a bug in a handler") as String }),
        )
        .route(
            "/from",
            get(|ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.ip().to_string() }),
        )
}

async fn parent_with(limits: AcceptLimits, router: Router) -> Parent {
    let keys = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::create(keys.path(), PARENT, now()).expect("an authority");
    let key = NodeKey::generate().expect("a key");
    let issued = authority
        .issue_server_cert(
            &key,
            PARENT,
            &["localhost".to_owned()],
            now(),
            NODE_LIFETIME,
        )
        .expect("a server certificate");
    let mut chain = parse_chain(issued.pem.as_bytes()).expect("PEM");
    chain.push(authority.certificate().clone());
    let (listed, warnings) = (Arc::new(Listed::default()), Warnings::default());
    let tls = ServerTls::new(chain, &key, listed.clone(), clock())
        .expect("a TLS configuration")
        .with_date_warnings(collect(&warnings));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let acceptor = Acceptor::new(tls, limits);
    let (connections, counts) = (acceptor.connections(), acceptor.counts());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(acceptor.serve(listener, router, shutdown.clone()));
    Parent {
        authority,
        listed,
        warnings,
        connections,
        counts,
        address,
        shutdown,
        serving,
        _keys: keys,
    }
}

async fn parent() -> Parent {
    parent_with(limits(), routes()).await
}

impl Parent {
    /// A child certified at `issued_at`, not yet on the list.
    fn certify(&self, node: NodeId, issued_at: Timestamp) -> Child {
        let key = NodeKey::generate().expect("a key");
        let csr = key.csr_pem().expect("a request");
        let issued = self
            .authority
            .sign_csr(&csr, node, issued_at, NODE_LIFETIME)
            .expect("issued");
        Child {
            chain: parse_chain(issued.pem.as_bytes()).expect("PEM"),
            key,
        }
    }

    fn enrol(&self, issued_at: Timestamp) -> Child {
        let child = self.certify(CHILD, issued_at);
        self.listed.enrol(child.key.pin(), CHILD);
        child
    }

    fn tls(&self, child: Option<&Child>) -> ClientTls {
        let identity = child.map(|child| (child.chain.clone(), &child.key));
        ClientTls::new(
            identity,
            ParentPin(self.authority.pin()),
            clock(),
            Arc::new(log_date_warning),
        )
        .expect("TLS")
    }

    fn client(&self, child: Option<&Child>) -> reqwest::Client {
        self.tls(child)
            .http_client(&ClientTimeouts::default())
            .expect("a client")
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    async fn ask(&self, client: &reqwest::Client, path: &str) -> String {
        let response = client.get(self.url(path)).send().await.expect("a reply");
        assert_eq!(response.version(), reqwest::Version::HTTP_2);
        response.text().await.expect("a body")
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(LONG, self.serving)
            .await
            .expect("ended in time")
            .expect("no panic");
    }
}

#[tokio::test]
async fn an_enrolled_child_reaches_the_handler_as_itself() {
    let parent = parent().await;
    let child = parent.enrol(now());
    let client = parent.client(Some(&child));
    let expected = Peer::Node {
        node: CHILD,
        pin: child.key.pin(),
    };
    assert_eq!(parent.ask(&client, "/who").await, format!("{expected:?}"));
    assert_eq!(parent.ask(&client, "/from").await, "127.0.0.1");
    assert_eq!(
        (parent.connections.count(CHILD), parent.connections.nodes()),
        (1, vec![CHILD])
    );
    assert!(parent.warnings.lock().expect("not poisoned").is_empty());
    parent.stop().await;
}

#[tokio::test]
async fn a_key_that_is_not_listed_is_unknown_and_none_at_all_is_anonymous() {
    let parent = parent().await;
    let stranger = parent.certify(CHILD, now());
    let answer = parent.ask(&parent.client(Some(&stranger)), "/who").await;
    assert_eq!(answer, format!("{:?}", Peer::Unknown(stranger.key.pin())));
    assert_eq!(parent.ask(&parent.client(None), "/who").await, "Anonymous");
    assert!(parent.connections.nodes().is_empty());
    parent.stop().await;
}

#[tokio::test]
async fn a_certificate_shown_without_its_key_does_not_connect() {
    let parent = parent().await;
    let (child, thief) = (parent.enrol(now()), NodeKey::generate().expect("a key"));
    let mut config = (*parent.tls(None).config()).clone();
    let signing = config
        .crypto_provider()
        .key_provider
        .load_private_key(thief.private_der())
        .expect("a signing key");
    // Not checked against each other on purpose: this is what an honest library refuses to send.
    let stolen = rustls::sign::CertifiedKey::new(child.chain, signing);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(stolen));
    let stream = TcpStream::connect(parent.address).await.expect("connected");
    let name = "localhost".try_into().expect("a name");
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("a client believes itself connected before the server has judged it");
    let answer = timeout(LONG, stream.read(&mut [0; 16]))
        .await
        .expect("refused in time");
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(parent.counts.handshakes_failed.load(Ordering::Relaxed), 1);
    assert_eq!(parent.counts.served.load(Ordering::Relaxed), 0);
    parent.stop().await;
}

#[tokio::test]
async fn b9_a_server_with_another_key_is_refused_with_both_fingerprints() {
    let (pinned, other) = (parent().await, parent().await);
    let child = pinned.enrol(now());
    let error = pinned
        .client(Some(&child))
        .get(other.url("/who"))
        .send()
        .await
        .expect_err("refused");
    let mismatch = pin_mismatch(&error).expect("the pin is the cause");
    assert_eq!(mismatch.pinned, pinned.authority.pin());
    assert_eq!(mismatch.presented.last(), Some(&other.authority.pin()));
    let text = mismatch.to_string();
    for pin in [pinned.authority.pin(), other.authority.pin()] {
        assert!(text.contains(&pin.to_string()), "{text}");
    }
    assert_eq!(other.counts.served.load(Ordering::Relaxed), 0);
    pinned.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn another_child_cannot_pose_as_the_parent() {
    let parent = parent().await;
    let sibling = parent.enrol(now());
    let mut chain = sibling.chain.clone();
    chain.push(parent.authority.certificate().clone());
    let tls =
        ServerTls::new(chain, &sibling.key, Arc::new(Listed::default()), clock()).expect("TLS");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://{}/who", listener.local_addr().expect("an address"));
    let shutdown = CancellationToken::new();
    let serving =
        tokio::spawn(Acceptor::new(tls, limits()).serve(listener, routes(), shutdown.clone()));
    let error = parent
        .client(None)
        .get(url)
        .send()
        .await
        .expect_err("refused");
    assert!(
        error.is_connect() && format!("{error:?}").contains("Purpose"),
        "{error:?}"
    );
    shutdown.cancel();
    serving.await.expect("no panic");
    parent.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_of_a_listed_key_works_with_a_warning() {
    let parent = parent().await;
    let issued_at = "2010-01-01T00:00:00Z".parse().expect("a time");
    let child = parent.enrol(issued_at);
    let answer = parent.ask(&parent.client(Some(&child)), "/who").await;
    assert!(answer.starts_with("Node"), "{answer}");
    let warnings = parent.warnings.lock().expect("not poisoned").clone();
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        (warnings[0].pin, warnings[0].node),
        (child.key.pin(), Some(CHILD))
    );
    assert!(
        matches!(warnings[0].remark, DateRemark::Expired { .. }),
        "{}",
        warnings[0]
    );
    parent.stop().await;
}

#[tokio::test]
async fn c6_a_child_whose_clock_is_wrong_still_reaches_its_parent_and_is_warned() {
    let parent = parent().await;
    let child = parent.enrol(now());
    for (clock, early) in [
        ("1969-06-01T00:00:00Z", true),
        ("2079-06-01T00:00:00Z", false),
    ] {
        let warnings = Warnings::default();
        let wrong: Timestamp = clock.parse().expect("a time");
        let identity = Some((child.chain.clone(), &child.key));
        let pinned = ParentPin(parent.authority.pin());
        let tls = ClientTls::new(
            identity,
            pinned,
            Arc::new(move || wrong),
            collect(&warnings),
        )
        .expect("TLS");
        let client = tls
            .http_client(&ClientTimeouts::default())
            .expect("a client");
        assert!(parent.ask(&client, "/who").await.starts_with("Node"));
        let warnings = warnings.lock().expect("not poisoned").clone();
        assert!(!warnings.is_empty());
        for warning in warnings {
            assert_eq!(
                matches!(warning.remark, DateRemark::NotYetValid { .. }),
                early,
                "{warning}"
            );
        }
    }
    parent.stop().await;
}

#[tokio::test]
async fn a_silent_client_delays_nobody_and_is_dropped_at_its_deadline() {
    let parent = parent_with(
        AcceptLimits {
            handshake: Duration::from_millis(300),
            ..limits()
        },
        routes(),
    )
    .await;
    let child = parent.enrol(now());
    let mut silent = TcpStream::connect(parent.address).await.expect("connected");
    assert!(
        parent
            .ask(&parent.client(Some(&child)), "/who")
            .await
            .starts_with("Node")
    );
    let ended = timeout(LONG, silent.read(&mut [0; 16]))
        .await
        .expect("dropped in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert_eq!(parent.counts.handshakes_failed.load(Ordering::Relaxed), 1);
    parent.stop().await;
}

#[tokio::test]
async fn a_crowd_that_takes_every_place_keeps_no_child_out_and_throws_none_out() {
    const PLACES: usize = 8;
    let few = AcceptLimits {
        connections: PLACES,
        ..limits()
    };
    let parent = parent_with(few, routes()).await;
    let child = parent.enrol(now());
    let (inside, coming) = (parent.client(Some(&child)), parent.client(Some(&child)));
    assert!(parent.ask(&inside, "/who").await.starts_with("Node"));
    let mut crowd = Vec::new();
    for _ in 0..3 * PLACES {
        crowd.push(TcpStream::connect(parent.address).await.expect("connected"));
    }
    let asked = timeout(LONG / 2, parent.ask(&coming, "/who"));
    assert!(
        asked
            .await
            .expect("before a handshake is late")
            .starts_with("Node")
    );
    assert!(parent.ask(&inside, "/who").await.starts_with("Node"));
    let counted = (parent.connections.count(CHILD), &parent.counts.served);
    assert_eq!((counted.0, counted.1.load(Ordering::Relaxed)), (2, 2));
    // Those who came first have given way.
    let ended = timeout(LONG / 2, crowd[0].read(&mut [0; 16])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    parent.stop().await;
}

#[tokio::test]
async fn a_crowd_that_idles_after_its_handshakes_gives_way_to_whoever_comes() {
    let few = AcceptLimits {
        strangers: 2,
        ..limits()
    };
    let parent = parent_with(few, routes()).await;
    let child = parent.client(Some(&parent.enrol(now())));
    assert!(parent.ask(&child, "/who").await.starts_with("Node"));
    let connector = tokio_rustls::TlsConnector::from(parent.tls(None).config());
    let mut idle = Vec::new();
    for _ in 0..3 {
        let stream = TcpStream::connect(parent.address).await.expect("connected");
        let name = "localhost".try_into().expect("a name");
        idle.push(connector.connect(name, stream).await.expect("a handshake"));
    }
    let mut rest = Vec::new();
    let ended = timeout(LONG / 2, idle[0].read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the first has given way");
    assert_eq!(parent.ask(&parent.client(None), "/who").await, "Anonymous");
    assert!(parent.ask(&child, "/who").await.starts_with("Node"));
    parent.stop().await;
}

#[tokio::test]
async fn a_client_that_is_silent_after_its_handshake_is_dropped_at_its_deadline() {
    let short = AcceptLimits {
        first_request: Duration::from_millis(100),
        drain: Duration::from_millis(100),
        ..limits()
    };
    let parent = parent_with(short, routes()).await;
    let stream = TcpStream::connect(parent.address).await.expect("connected");
    let name = "localhost".try_into().expect("a name");
    let connector = tokio_rustls::TlsConnector::from(parent.tls(None).config());
    let mut silent = connector.connect(name, stream).await.expect("a handshake");
    let mut rest = Vec::new();
    // What the server says first (its settings) is of no interest; that it ends is.
    let ended = timeout(LONG, silent.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "dropped in time");
    parent.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_speak_tls_gets_no_answer() {
    let parent = parent().await;
    let mut plain = TcpStream::connect(parent.address).await.expect("connected");
    plain
        .write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = timeout(LONG, plain.read_to_end(&mut answer))
        .await
        .expect("closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(parent.counts.handshakes_failed.load(Ordering::Relaxed), 1);
    parent.stop().await;
}

#[tokio::test]
async fn a16_a_panic_in_a_handler_ends_one_request_and_not_the_connection() {
    let parent = parent().await;
    let client = parent.client(None);
    let response = client
        .get(parent.url("/panic"))
        .send()
        .await
        .expect("a reply");
    assert_eq!(
        response.status(),
        reqwest::StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(parent.ask(&client, "/who").await, "Anonymous");
    assert_eq!(parent.counts.panics.load(Ordering::Relaxed), 1);
    assert_eq!(
        parent.counts.served.load(Ordering::Relaxed),
        1,
        "one connection for both"
    );
    parent.stop().await;
}

/// A route that answers only when told to, and says when it was entered.
fn waiting(entered: &Arc<Notify>, release: &Arc<Notify>) -> Router {
    let (entered, release) = (entered.clone(), release.clone());
    let handler = move || async move {
        entered.notify_one();
        release.notified().await;
        "done"
    };
    routes().route("/wait", get(handler))
}

#[tokio::test]
async fn revoking_a_node_ends_its_open_connections_and_requests_at_once() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let parent = parent_with(limits(), waiting(&entered, &release)).await;
    let child = parent.enrol(now());
    let client = parent.client(Some(&child));
    let poll = tokio::spawn(client.get(parent.url("/wait")).send());
    entered.notified().await;
    parent.listed.revoke(child.key.pin());
    assert_eq!(parent.connections.close(CHILD), 1);
    let ended = timeout(LONG, poll)
        .await
        .expect("ended at once")
        .expect("no panic");
    assert!(ended.is_err(), "{ended:?}");
    let answer = parent.ask(&client, "/who").await;
    assert_eq!(answer, format!("{:?}", Peer::Unknown(child.key.pin())));
    assert_eq!(parent.connections.count(CHILD), 0);
    parent.stop().await;
}

#[tokio::test]
async fn shutdown_lets_a_request_in_progress_end_and_takes_no_new_connection() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let parent = parent_with(
        AcceptLimits {
            drain: LONG,
            ..limits()
        },
        waiting(&entered, &release),
    )
    .await;
    let child = parent.enrol(now());
    let client = parent.client(Some(&child));
    let poll = tokio::spawn(client.get(parent.url("/wait")).send());
    entered.notified().await;
    parent.shutdown.cancel();
    release.notify_one();
    let reply = poll.await.expect("no panic").expect("a reply");
    assert_eq!(reply.text().await.expect("a body"), "done");
    let url = parent.url("/who");
    parent.stop().await;
    assert!(
        client
            .get(url)
            .send()
            .await
            .expect_err("nobody listens")
            .is_connect()
    );
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_request_beyond_the_drain_time() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let parent = parent_with(
        AcceptLimits {
            drain: Duration::from_millis(50),
            ..limits()
        },
        waiting(&entered, &release),
    )
    .await;
    let poll = tokio::spawn(parent.client(None).get(parent.url("/wait")).send());
    entered.notified().await;
    parent.stop().await;
    assert!(poll.await.expect("no panic").is_err());
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_the_next_request_opens_another() {
    let short = AcceptLimits {
        idle: Duration::from_millis(20),
        ..limits()
    };
    let parent = parent_with(short, routes()).await;
    let child = parent.enrol(now());
    let client = parent.client(Some(&child));
    parent.ask(&client, "/who").await;
    let gone = async {
        while parent.connections.count(CHILD) > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, gone).await.expect("closed");
    assert!(parent.ask(&client, "/who").await.starts_with("Node"));
    parent.stop().await;
}

#[tokio::test]
async fn one_address_cannot_take_all_places_while_a_known_node_still_connects() {
    let parent = parent_with(
        AcceptLimits {
            per_address: 2,
            per_node: 1,
            ..limits()
        },
        routes(),
    )
    .await;
    let child = parent.enrol(now());
    // A known node gives its place as a stranger back, so it does not count against its address.
    assert!(
        parent
            .ask(&parent.client(Some(&child)), "/who")
            .await
            .starts_with("Node")
    );
    let _first = TcpStream::connect(parent.address).await.expect("connected");
    let second = parent.client(None);
    assert_eq!(parent.ask(&second, "/who").await, "Anonymous");
    let mut third = TcpStream::connect(parent.address).await.expect("connected");
    let ended = timeout(LONG, third.read(&mut [0; 16]))
        .await
        .expect("turned away");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert_eq!(parent.counts.turned_away.load(Ordering::Relaxed), 1);
    parent.stop().await;
}

#[tokio::test]
async fn a_stranger_cannot_stay_by_keeping_a_request_open() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let short = Duration::from_millis(50);
    let limits = AcceptLimits {
        stranger: short,
        drain: short,
        ..limits()
    };
    let parent = parent_with(limits, waiting(&entered, &release)).await;
    let poll = tokio::spawn(parent.client(None).get(parent.url("/wait")).send());
    let ended = timeout(LONG, poll)
        .await
        .expect("ended in time")
        .expect("no panic");
    assert!(ended.is_err(), "{ended:?}");
    parent.stop().await;
}
