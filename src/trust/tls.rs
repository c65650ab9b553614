//! TLS between two nodes: version 1.3 only, HTTP/2 only, and keys instead of certificate authorities.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, ServerConfig};
use rustls_pki_types::{CertificateDer, UnixTime};
use tracing::warn;

use super::certificate::{self, DateRemark};
use super::identity::NodeKey;
use super::pin::Pin;
use super::verifier::{AnyHeldKey, PinnedParent};

/// The one application protocol: HTTP/2.
const ALPN_H2: &[u8] = b"h2";
/// How a client says which authority of its parent it has pinned, beside the protocol that it speaks: a parent that took a new
/// one shows a certificate under the one that is trusted at the other end. What follows is the beginning of the pin.
const ALPN_PINNED: &[u8] = b"nqsync-pinned/";
/// Digits of the pin that are said: enough to tell a few authorities from each other.
const PINNED_DIGITS: usize = 16;

/// Where the time comes from; the daemon's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Who is told about a certificate whose dates do not fit the clock.
pub type OnDate = Arc<dyn Fn(&DateWarning) + Send + Sync>;

/// The list of keys a parent trusts.
pub trait PinStore: Send + Sync {
    /// The node this key belongs to; `None` for a key that was never enrolled or was revoked.
    fn node_of(&self, pin: &Pin) -> Option<NodeId>;

    /// A key that is not on the list has shown this certificate, and proved that it is held.
    fn unlisted(&self, _certificate: &CertificateDer<'_>) {}
}

/// Who is at the other end of a connection, as far as TLS can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A node on the list, which proved that it holds its key.
    Node {
        /// Its id.
        node: NodeId,
        /// Its key.
        pin: Pin,
    },
    /// It holds this key, and the key is not on the list (never enrolled, or revoked).
    Unknown(Pin),
    /// It showed no certificate: a node about to enrol, or a stranger.
    Anonymous,
}

/// A certificate whose dates do not fit the clock. It is used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateWarning {
    /// Its key.
    pub pin: Pin,
    /// The node named in it.
    pub node: Option<NodeId>,
    /// What is wrong.
    pub remark: DateRemark,
}

/// The parent a child pinned at enrolment: the key of the parent's authority, or of its server certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentPin(pub Pin);

/// The server at the parent's address is not the pinned parent. Nothing was sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinMismatch {
    /// What this node has pinned.
    pub pinned: Pin,
    /// The keys of the chain the server showed, its own first.
    pub presented: Vec<Pin>,
}

/// Why TLS cannot be set up from the keys and certificates at hand.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificate and key do not fit, or the chain is unusable.
    #[error(
        "cannot use this node's certificate for TLS; check that it was issued for the key beside it"
    )]
    Certificate(#[source] rustls::Error),
    /// The HTTP client could not be built.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// The serving side: configuration, the list of children, and who hears about wrong dates.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    slot: Arc<CertificateSlot>,
    pins: Arc<dyn PinStore>,
    clock: Clock,
    on_date: OnDate,
}

/// The connecting side. One value belongs to one parent: it also remembers that parent's TLS sessions.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: ClientConfig,
}

/// How long a client waits for what.
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// TCP connect and TLS handshake together.
    pub connect: Duration,
    /// Longest silence while a reply is awaited or read. A long poll must be answered sooner than this.
    pub read: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// Pause between HTTP/2 pings on an open connection.
    pub ping: Duration,
    /// Longest wait for the answer to a ping; then the connection is given up.
    pub ping_reply: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            read: Duration::from_secs(90),
            idle: Duration::from_secs(300),
            ping: Duration::from_secs(20),
            ping_reply: Duration::from_secs(20),
        }
    }
}

impl ServerTls {
    /// Serve under `chain` (the server certificate, then the authority's own) with this node's key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: &NodeKey,
        pins: Arc<dyn PinStore>,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let provider = provider();
        let only = Shown {
            under: None,
            certified: certified(chain, key, &provider)?,
        };
        let slot = Arc::new(CertificateSlot(RwLock::new(vec![only])));
        let algorithms = provider.signature_verification_algorithms;
        let mut config =
            ServerConfig::builder_with_details(provider, Arc::new(ClockTime(clock.clone())))
                .with_protocol_versions(&[&TLS13])
                .map_err(TlsError::Certificate)?
                .with_client_cert_verifier(Arc::new(AnyHeldKey { algorithms }))
                .with_cert_resolver(slot.clone());
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            slot,
            pins,
            clock,
            on_date: Arc::new(log_date_warning),
        })
    }

    /// Tell `on_date` about wrong dates instead of only the log.
    pub fn with_date_warnings(self, on_date: OnDate) -> Self {
        Self { on_date, ..self }
    }

    /// Serve new connections under these certificates, one for each authority that children may have pinned; open ones
    /// stay. Who does not say what they have pinned is shown the first.
    pub fn replace_certificates(
        &self,
        chains: Vec<(Pin, Vec<CertificateDer<'static>>)>,
        key: &NodeKey,
    ) -> Result<(), TlsError> {
        let provider = provider();
        let renewed = chains.into_iter().map(|(pin, chain)| {
            Ok(Shown {
                under: Some(pin.to_string()),
                certified: certified(chain, key, &provider)?,
            })
        });
        let renewed = renewed.collect::<Result<_, TlsError>>()?;
        *self.slot.0.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// The rustls configuration.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Who showed these certificates in a handshake that succeeded. Warns when the dates of a listed key are wrong.
    pub fn identify(&self, presented: Option<&[CertificateDer<'_>]>) -> Peer {
        let leaf = presented.and_then(|chain| chain.first());
        let Some((leaf, facts)) = leaf.and_then(|leaf| Some((leaf, certificate::read(leaf)?)))
        else {
            return Peer::Anonymous;
        };
        let Some(node) = self.pins.node_of(&facts.pin) else {
            self.pins.unlisted(leaf);
            return Peer::Unknown(facts.pin);
        };
        if let Some(remark) = facts.date_remark((self.clock)()) {
            (self.on_date)(&DateWarning {
                pin: facts.pin,
                node: Some(node),
                remark,
            });
        }
        Peer::Node {
            node,
            pin: facts.pin,
        }
    }

    /// Whether the list still says what it said when `peer` was identified.
    pub fn still_holds(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Node { node, pin } => self.pins.node_of(pin) == Some(*node),
            Peer::Unknown(pin) => self.pins.node_of(pin).is_none(),
            Peer::Anonymous => true,
        }
    }
}

impl ClientTls {
    /// Connect to one parent, with this node's certificate, or with none to enrol.
    pub fn new(
        identity: Option<(Vec<CertificateDer<'static>>, &NodeKey)>,
        parent: ParentPin,
        clock: Clock,
        on_date: OnDate,
    ) -> Result<Self, TlsError> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Arc::new(PinnedParent {
            parent,
            algorithms,
            on_date,
        });
        let builder = ClientConfig::builder_with_details(provider, Arc::new(ClockTime(clock)))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Certificate)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key.private_der())
                .map_err(TlsError::Certificate)?,
            None => builder.with_no_client_auth(),
        };
        let pinned = parent.0.to_string();
        let pinned = [ALPN_PINNED, &pinned.as_bytes()[..PINNED_DIGITS]].concat();
        config.alpn_protocols = vec![ALPN_H2.to_vec(), pinned];
        Ok(Self { config })
    }

    /// The rustls configuration.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::new(self.config.clone())
    }

    /// An HTTP/2 client for this parent: no proxy from the environment, no redirects, every wait bounded.
    pub fn http_client(&self, timeouts: &ClientTimeouts) -> Result<reqwest::Client, TlsError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.config.clone())
            .https_only(true)
            .http2_prior_knowledge()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.read)
            .pool_idle_timeout(timeouts.idle)
            .pool_max_idle_per_host(1)
            .http2_keep_alive_interval(timeouts.ping)
            .http2_keep_alive_timeout(timeouts.ping_reply)
            .http2_keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .build()
            .map_err(TlsError::Client)
    }
}

/// Write a date warning to the log.
pub fn log_date_warning(warning: &DateWarning) {
    warn!(pin = %warning.pin, "{warning}");
}

/// The pin mismatch behind an error of the HTTP client or of TLS, if that is its cause.
pub fn pin_mismatch<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a PinMismatch> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) =
            error.downcast_ref()
        {
            return other.0.downcast_ref();
        }
        // An io::Error hides the error it was made from: its source() is that error's source.
        next = match error
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref())
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

impl fmt::Display for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let presented: Vec<_> = self.presented.iter().map(Pin::to_string).collect();
        write!(
            f,
            "this server is not the upstream node that was pinned at enrolment: pinned key {}, the server showed {}; \
             nothing was sent; a device on the line answers in its place, the address is wrong, or it was set up anew",
            self.pinned,
            presented.join(", ")
        )
    }
}

impl StdError for PinMismatch {}

impl fmt::Display for DateWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "the certificate of node {node} is {}", self.remark),
            None => write!(f, "the certificate of key {} is {}", self.pin, self.remark),
        }
    }
}

/// The certificates shown to the next client; replaced when they are renewed.
#[derive(Debug)]
struct CertificateSlot(RwLock<Vec<Shown>>);

/// A certificate, and the pin of the authority that it is under.
#[derive(Debug)]
struct Shown {
    under: Option<String>,
    certified: Arc<CertifiedKey>,
}

impl ResolvesServerCert for CertificateSlot {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let said = hello.alpn().into_iter().flatten();
        let pinned = said.filter_map(|said| said.strip_prefix(ALPN_PINNED));
        let pinned: Vec<&[u8]> = pinned.filter(|said| said.len() == PINNED_DIGITS).collect();
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |shown: &&Shown| {
            let under = shown.under.as_deref().unwrap_or_default().as_bytes();
            pinned.iter().any(|said| under.starts_with(said))
        };
        let shown = all.iter().find(is_meant).or(all.first());
        shown.map(|shown| shown.certified.clone())
    }
}

/// The injected clock, as rustls asks for it.
struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        // A dead clock battery may say 1969; that must not end the handshake.
        let seconds = u64::try_from((self.0)().as_second()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &NodeKey,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    CertifiedKey::from_der(chain, key.private_der(), provider)
        .map(Arc::new)
        .map_err(TlsError::Certificate)
}
