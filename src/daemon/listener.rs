//! The parent's listener: certificate, allow-list, accept loop.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DaemonError, setup};
use crate::clock::Clock;
use crate::config::{Config, Listen};
use crate::node::offer::LINE_CEILING;
use crate::node::{Node, waiting};
use crate::server::accept::{AcceptLimits, Acceptor};
use crate::server::connections::Connections;
use crate::server::link::{Hub, HubLimits};
use crate::store::{Role, Store, StoreError, audit, blobs, nodes};
use crate::trust::authority::{Authority, Held, NODE_LIFETIME};
use crate::trust::identity::NodeKey;
use crate::trust::pin::Pin;
use crate::trust::tls::{PinStore, ServerTls};

/// The keys that may connect, as of the last commit.
struct AllowList {
    store: Store,
    authority: Held,
    unlisted: mpsc::Sender<(NodeId, CertificateDer<'static>)>,
}

/// Unlisted keys that may wait to be looked at; further ones come again with their next attempt.
const UNLISTED: usize = 64;

impl PinStore for AllowList {
    fn node_of(&self, pin: &Pin) -> Option<NodeId> {
        self.store.shown().children.get(pin.as_bytes()).copied()
    }

    fn unlisted(&self, shown: &CertificateDer<'_>) {
        if let Some(node) = self.authority.now().certified(shown) {
            // Nothing waits for this; a full queue costs the stranger its place, not us our memory.
            let _ = self.unlisted.try_send((node, shown.clone().into_owned()));
        }
    }
}

/// Writes down who has come with a key under our authority that is on no list.
async fn note_unlisted(
    node: Node,
    mut unlisted: mpsc::Receiver<(NodeId, CertificateDer<'static>)>,
    stop: CancellationToken,
) {
    while let Some(Some((child, shown))) = stop.run_until_cancelled(unlisted.recv()).await {
        waiting::came(&node, child, shown).await;
    }
}

/// Starts listening when the configuration says so. Answers the address.
pub async fn start(
    node: &Node,
    config: &Config,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Option<SocketAddr>, DaemonError> {
    let Some(listen) = &config.listen else {
        return Ok(None);
    };
    let trust = |error: &dyn std::fmt::Display| DaemonError::Trust(error.to_string());
    let dir = &config.node.data_dir;
    let own = node
        .store
        .shown()
        .node
        .ok_or_else(|| StoreError::NotInitialised(dir.display().to_string()))?;
    if node.store.level() > LINE_CEILING {
        let level = node.store.level();
        return Err(DaemonError::Trust(format!(
            "no line leads into a store of the level {level}; it goes by bundle"
        )));
    }
    let keys = dir.join("keys");
    let authority = authority(dir, own, &node.clock)?;
    let key = NodeKey::load(&dir.join(setup::NODE_KEY)).map_err(|e| trust(&e))?;
    let authority = Held::new(authority);
    let serving = Serving {
        store: node.store.clone(),
        keys,
        authority: authority.clone(),
        key,
        node: own,
        names: listen.names.clone(),
        clock: node.clock.clone(),
    };
    let (unlisted, came) = mpsc::channel(UNLISTED);
    let allowed = Arc::new(AllowList {
        store: node.store.clone(),
        authority: authority.clone(),
        unlisted,
    });
    tasks.spawn(note_unlisted(node.clone(), came, stop.clone()));
    let (_, newest) = serving.chains()?.swap_remove(0);
    let clock = setup::trust_clock(&node.clock);
    let tls =
        ServerTls::new(newest, &serving.key, allowed.clone(), clock).map_err(|e| trust(&e))?;
    serving.certify(&tls).await?;
    let bind = |source| DaemonError::Listen {
        address: listen.address.clone(),
        source,
    };
    let listener = TcpListener::bind(&listen.address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    note_address(node, listen, address, &authority.now()).await?;
    let hub = Hub::new(node.clone(), hub_limits(config, listen), Some(authority));
    let serving = Arc::new(serving);
    let acceptor = Acceptor::new(tls.clone(), accept_limits(listen));
    tasks.spawn(keep_certified(serving.clone(), tls.clone(), stop.clone()));
    let children = Children {
        hub: hub.clone(),
        connections: acceptor.connections(),
    };
    tasks.spawn(ask_for_files(
        node.store.clone(),
        children.clone(),
        stop.clone(),
    ));
    tasks.spawn(follow(serving, tls, children, stop.clone()));
    tasks.spawn(note_heard(hub.clone(), stop.clone()));
    let (router, stop) = (hub.router(), stop.clone());
    tasks.spawn(async move { acceptor.serve(listener, router, stop).await });
    Ok(Some(address))
}

/// What the own certificate is issued from.
struct Serving {
    store: Store,
    keys: PathBuf,
    authority: Held,
    key: NodeKey,
    node: NodeId,
    names: Vec<String>,
    clock: Clock,
}

impl Serving {
    /// Certificates of today, each with its authority's own after it: children find the key there that they pinned.
    fn chains(&self) -> Result<Vec<(Pin, Vec<CertificateDer<'static>>)>, DaemonError> {
        let now = Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
        self.authority
            .now()
            .server_chains(&self.key, self.node, &self.names, now, NODE_LIFETIME)
            .map_err(setup::trust)
    }

    /// Serves under certificates of today. Children of earlier versions do not say what they have pinned: while one that is
    /// enrolled has not shown that it knows the newest authority, they are shown the oldest that somebody needs.
    async fn certify(&self, tls: &ServerTls) -> Result<(), DaemonError> {
        let mut chains = self.chains()?;
        let known = self.store.read(nodes::authorities).await?;
        let oldest = chains.iter().rposition(|(pin, _)| {
            let is_first = chains.last().is_some_and(|(first, _)| first == pin);
            known.contains(&Some(*pin.as_bytes())) || (is_first && known.contains(&None))
        });
        if let Some(place) = oldest {
            let first = chains.remove(place);
            chains.insert(0, first);
        }
        tls.replace_certificates(chains, &self.key)
            .map_err(setup::trust)
    }

    /// The authority is another one than that of the files: it was changed while the service runs.
    fn take_over(&self) -> Result<bool, DaemonError> {
        let found = Authority::load(&self.keys).map_err(setup::trust)?;
        let changed = found.pin() != self.authority.now().pin();
        if changed {
            tracing::warn!(pin = %found.pin(), "a new authority is in force");
            self.authority.replace(found);
        }
        Ok(changed)
    }
}

/// How often a service that is never restarted gives itself a new certificate.
const CERTIFIED_EVERY: Duration = Duration::from_secs(24 * 3600);

async fn keep_certified(serving: Arc<Serving>, tls: ServerTls, stop: CancellationToken) {
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = tokio::time::sleep(CERTIFIED_EVERY) => {}
        }
        if let Err(error) = serving.certify(&tls).await {
            tracing::error!(%error, "the certificate that children see is not renewed");
        }
    }
}

/// The authority of this node for those below it; made when it is needed first.
pub(super) fn authority(dir: &Path, own: NodeId, clock: &Clock) -> Result<Authority, DaemonError> {
    let keys = dir.join("keys");
    match Authority::load(&keys) {
        Ok(authority) => Ok(authority),
        Err(_) if !keys.join("ca.pem").exists() => {
            let now = Timestamp::from_millisecond(clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
            Authority::create(&keys, own, now).map_err(setup::trust)
        }
        Err(error) => Err(setup::trust(error)),
    }
}

/// Tokens tell children where we are and which authority to pin.
async fn note_address(
    node: &Node,
    listen: &Listen,
    address: SocketAddr,
    authority: &Authority,
) -> Result<(), StoreError> {
    let host = match listen.names.first() {
        Some(name) if name.contains(':') => format!("[{name}]"),
        Some(name) => name.clone(),
        None => address.ip().to_string(),
    };
    let url = format!("https://{host}:{}", address.port());
    let pin = authority.pin().to_string();
    let at = node.clock.now_ms();
    node.store
        .write(move |tx| {
            tx.set_meta("listen_url", &url)?;
            let before = tx.meta("ca_pin")?.filter(|before| *before != pin);
            if let Some(before) = before {
                // Changed by a verb that was cut before its commit, or with the files of another backup.
                let act = audit::Act {
                    at,
                    actor: "nqsync",
                    act: "authority.found",
                    subject: &pin,
                    detail: serde_json::json!({ "before": before }),
                };
                audit::append(tx, &act)?;
            }
            tx.set_meta("ca_pin", &pin)
        })
        .await
}

fn hub_limits(config: &Config, listen: &Listen) -> HubLimits {
    HubLimits {
        batch_bytes: config.sync.max_batch_bytes.bytes() as usize,
        batches: listen.max_concurrent_batches,
        body: listen.request_timeout_s.into(),
        body_idle: listen.body_idle_timeout_s.into(),
    }
}

fn accept_limits(listen: &Listen) -> AcceptLimits {
    AcceptLimits {
        connections: listen.max_connections,
        per_node: listen.max_connections_per_child,
        handshake: listen.handshake_timeout_s.into(),
        first_request: listen.header_timeout_s.into(),
        reading: listen.body_idle_timeout_s.into(),
        ..AcceptLimits::default()
    }
}

/// How often it is written down when each child was last heard.
const HEARD_EVERY: Duration = Duration::from_secs(30);

async fn note_heard(hub: Hub, stop: CancellationToken) {
    let mut every = tokio::time::interval(HEARD_EVERY);
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        if let Err(error) = hub.note_heard().await {
            tracing::error!(%error, "cannot note when the children were heard");
        }
    }
}

/// The children that are connected.
#[derive(Clone)]
struct Children {
    hub: Hub,
    connections: Connections,
}

impl Children {
    /// Has a child greet again, and hear what it is told then.
    fn greet_again(&self, child: NodeId) {
        self.hub.end_session(child);
        self.connections.close(child);
    }

    fn all_greet_again(&self) {
        self.hub.end_sessions();
        for child in self.connections.nodes() {
            self.connections.close(child);
        }
    }
}

/// A child hears when its session opens which files it has to bring again; so the sessions of those that have to are
/// opened again.
async fn ask_for_files(store: Store, children: Children, stop: CancellationToken) {
    let mut lost = store.files_lost();
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            changed = lost.changed() => if changed.is_err() { return },
        }
        for state in store.shown().links.iter() {
            let link = state.link;
            let asked = store.read(move |c| blobs::asked_again(c, link)).await;
            if state.role == Role::Downstream && asked.is_ok_and(|files| !files.is_empty()) {
                children.greet_again(state.peer);
            }
        }
    }
}

/// A revocation takes effect on open connections too, and so does its undoing, and a key that another one has replaced. A
/// child that is to take a new key has to greet again to hear of it.
async fn follow(
    serving: Arc<Serving>,
    tls: ServerTls,
    children: Children,
    stop: CancellationToken,
) {
    let store = serving.store.clone();
    let mut commits = store.commits();
    let mut known = store.shown().children;
    let mut asked = HashSet::new();
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            changed = commits.changed() => if changed.is_err() { return },
        }
        let now = store.shown().children;
        if Arc::ptr_eq(&known, &now) {
            continue;
        }
        match serving.take_over() {
            Ok(false) => {}
            Ok(true) => {
                if let Err(error) = serving.certify(&tls).await {
                    tracing::error!(%error, "the new authority certifies nothing");
                }
                // Children hear of it when they greet.
                children.all_greet_again();
            }
            Err(error) => tracing::error!(%error, "the authority cannot be read again"),
        }
        let gone = known.keys().filter(|pin| !now.contains_key(*pin));
        let come = now.keys().filter(|pin| !known.contains_key(*pin));
        gone.chain(come)
            .for_each(|pin| children.connections.close_key(&Pin::from_bytes(*pin)));
        known = now;
        match store.read(nodes::asked_for_key).await {
            Ok(now) => {
                now.difference(&asked)
                    .for_each(|child| children.greet_again(*child));
                asked = now;
            }
            Err(error) => tracing::error!(%error, "cannot tell who is to take a new key"),
        }
    }
}
