//! Requests made by hand: what a child could send that nqsync itself never would.

use std::collections::BTreeMap;
use std::sync::Arc;

use nqsync::clock::Clock;
use nqsync::daemon::setup;
use nqsync::store::{Store, StoreError, StoreOptions, links, queries};
use nqsync::trust::identity::NodeKey;
use nqsync::trust::tls::{ClientTimeouts, ClientTls, ParentPin, log_date_warning};
use nqsync_core::model::{Facts, NodeId, UnitId};
use nqsync_core::protocol::{
    Ack, BATCH_HEADER, BEFORE_HEADER, Hello, Mark, PREFIX, PROTOCOL, Pull, Welcome, hex,
    render_record, running_hash, unhex,
};
use nqsync_core::sync::{Author, Incarnation, Record};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::Place;
use super::machine::Machine;

/// One end of a link, driven by hand.
pub struct Raw {
    pub client: Client,
    pub url: String,
    pub hello: Hello,
    pub up: Mark,
    pub tls: Arc<ClientConfig>,
}

/// An HTTP client with this identity, pinned to the parent.
pub async fn client(
    child: &Place,
    identity: Option<(Vec<CertificateDer<'static>>, &NodeKey)>,
) -> Client {
    tls(child, identity)
        .await
        .http_client(&ClientTimeouts::default())
        .expect("a client")
}

async fn tls(
    child: &Place,
    identity: Option<(Vec<CertificateDer<'static>>, &NodeKey)>,
) -> ClientTls {
    let pin = ParentPin(child.meta("upstream_pin").await.parse().expect("a pin"));
    let clock = setup::trust_clock(&child.node.clock);
    ClientTls::new(identity, pin, clock, Arc::new(log_date_warning)).expect("tls")
}

impl Raw {
    /// With a child's own certificate, where that child stands.
    pub async fn of(child: &Place) -> Raw {
        let (chain, key) = nqsync::trust::renewal::held(child.dir.path())
            .expect("readable keys")
            .expect("enrolled");
        let tls = tls(child, Some((chain, &key))).await;
        let client = tls.http_client(&ClientTimeouts::default());
        let link = child.upstream.as_ref().expect("a child").link();
        let (row, chain) = child
            .node
            .store
            .read(move |c| Ok::<_, StoreError>((links::row(c, link)?, queries::chain(c, 64)?)))
            .await
            .expect("a read");
        let mark = nqsync::node::offer::mark;
        Raw {
            client: client.expect("a client"),
            tls: tls.config(),
            url: child.url.clone().expect("a child"),
            hello: Hello {
                authority: None,
                protocol: PROTOCOL,
                version: "test".into(),
                node: child.node.store.shown().node.expect("a node"),
                clock_ms: child.node.clock.now_ms(),
                chain,
                up: mark(&row.up),
                down: mark(&row.down),
                echo: None,
                audit: None,
            },
            up: mark(&row.up),
        }
    }

    /// The same for a machine whose service does not run.
    pub async fn at(machine: &Machine) -> Raw {
        let (chain, key) = nqsync::trust::renewal::held(machine.path())
            .expect("readable keys")
            .expect("enrolled");
        let store = Store::open(&StoreOptions::new(machine.path())).expect("its store");
        let shown = store.shown();
        let link = shown.links.first().expect("a parent").link;
        let read = store.read(move |c| {
            let pin = queries::meta(c, "upstream_pin")?;
            let url = queries::meta(c, "upstream_url")?;
            Ok::<_, StoreError>((pin, url, links::row(c, link)?, queries::chain(c, 64)?))
        });
        let (pin, url, row, past) = read.await.expect("a read");
        store.close();
        let pin = ParentPin(pin.expect("a pin").parse().expect("a pin"));
        let clock = Clock::system();
        let trusted = setup::trust_clock(&clock);
        let tls = ClientTls::new(
            Some((chain, &key)),
            pin,
            trusted,
            Arc::new(log_date_warning),
        );
        let tls = tls.expect("tls");
        let client = tls.http_client(&ClientTimeouts::default());
        let mark = nqsync::node::offer::mark;
        Raw {
            client: client.expect("a client"),
            tls: tls.config(),
            url: url.expect("an address"),
            hello: Hello {
                authority: None,
                protocol: PROTOCOL,
                version: "test".into(),
                node: shown.node.expect("a node"),
                clock_ms: clock.now_ms(),
                chain: past,
                up: mark(&row.up),
                down: mark(&row.down),
                echo: None,
                audit: None,
            },
            up: mark(&row.up),
        }
    }

    /// A connection of its own with the same identity, for whoever speaks HTTP/2 by hand.
    pub async fn connect(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut config = (*self.tls).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let address = self.url.trim_start_matches("https://").to_owned();
        let stream = TcpStream::connect(&address).await.expect("connected");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = "127.0.0.1".try_into().expect("a name");
        connector.connect(name, stream).await.expect("a handshake")
    }

    pub fn node(&self) -> NodeId {
        self.hello.node
    }

    pub fn request(&self, method: Method, endpoint: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{PREFIX}/{endpoint}", self.url))
    }

    /// Posts a body as it is; answers the status and the JSON that came back.
    pub async fn post(
        &self,
        endpoint: &str,
        body: impl Into<reqwest::Body>,
    ) -> (StatusCode, Value) {
        let request = self.request(Method::POST, endpoint).body(body);
        answer(request).await
    }

    /// Opens the session.
    pub async fn open(&mut self) -> Welcome {
        let body = serde_json::to_vec(&self.hello).expect("json");
        let (status, value) = self.post("open", body).await;
        assert_eq!(status, StatusCode::OK, "{value}");
        let welcome: Welcome = serde_json::from_value(value).expect("a welcome");
        assert!(!welcome.torn);
        self.up = welcome.up.clone();
        welcome
    }

    /// Pushes a body as the next batch.
    pub async fn push_body(&mut self, body: Vec<u8>) -> (StatusCode, Value) {
        self.push_at(self.up.batch + 1, body).await
    }

    /// Pushes a body as a batch of this number.
    pub async fn push_at(&self, number: u64, body: Vec<u8>) -> (StatusCode, Value) {
        let request = self
            .request(Method::POST, "push")
            .header(BATCH_HEADER, number)
            .header(BEFORE_HEADER, &self.up.hash)
            .body(body);
        answer(request).await
    }

    /// Pushes lines that the parent must be able to read as a batch.
    pub async fn push(&mut self, lines: &[String]) -> Ack {
        let (status, value) = self.push_body(pack(lines)).await;
        assert_eq!(status, StatusCode::OK, "{value}");
        let ack: Ack = serde_json::from_value(value).expect("an acknowledgement");
        self.up = ack.mark.clone();
        ack
    }

    /// Pushes one line and answers the code under which it was set aside, if it was.
    pub async fn push_one(&mut self, line: String) -> Option<String> {
        let ack = self.push(&[line]).await;
        ack.set_aside.into_iter().next().map(|aside| aside.code)
    }

    /// Everything the parent has for this child, acknowledged.
    pub async fn pull(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pull = Pull::default();
        loop {
            let request = self.request(Method::POST, "pull").json(&pull);
            let response = request.send().await.expect("an answer");
            if response.status() == StatusCode::NO_CONTENT {
                return lines;
            }
            assert_eq!(response.status(), StatusCode::OK);
            let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
            let number: u64 = header(BATCH_HEADER).parse().expect("a number");
            let before = unhex(&header(BEFORE_HEADER)).expect("a hash");
            let body = response.bytes().await.expect("a batch");
            let text = zstd::decode_all(&body[..]).expect("zstd");
            let text = String::from_utf8(text).expect("text");
            lines.extend(text.lines().map(str::to_owned));
            let mark = Mark {
                batch: number,
                hash: hex(&running_hash(&before, number, &body)),
                before: hex(&before),
            };
            pull.ack = Some(Ack {
                mark,
                set_aside: Vec::new(),
                unreadable: 0,
            });
        }
    }
}

/// Sends a request; answers the status and the JSON that came back.
pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body = response.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// A batch of lines.
pub fn pack(lines: &[String]) -> Vec<u8> {
    let text: String = lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect();
    zstd::bulk::compress(text.as_bytes(), 3).expect("zstd")
}

/// A record as anybody could author it: any facts, any unit. `number` makes its dots different from others'.
pub fn authored(
    number: u128,
    facts: Facts,
    unit: UnitId,
    values: BTreeMap<String, Value>,
) -> Record {
    let key = facts.key(Uuid::from_u128(
        0x0199_0000_0000_7000_8000_0000_0000_0000 + number,
    ));
    let mut record = Record::begin(facts, key);
    let author = Author {
        incarnation: Incarnation(number.to_be_bytes()),
        unit,
        name: "by hand",
        seal: None,
    };
    record
        .write(author, super::START_MS, values, None)
        .expect("writable");
    record
}

/// The same as a line.
pub fn line(number: u128, facts: Facts, unit: UnitId, values: BTreeMap<String, Value>) -> String {
    render_record(&authored(number, facts, unit, values))
}
