//! One session with the parent: open, push, pull, files, compare.
//!
//! Every wait is bounded by the client's timeouts. No transaction is open during a request. A session holds no state
//! that matters: whatever is cut is done again from the store.

mod compare;
pub mod deposit;
mod files;
mod renew;
mod requests;
mod roster;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nqsync_core::protocol::{
    Ack, Agree, BATCH_HEADER, BEFORE_HEADER, HEAD_HEADER, Hello, PROTOCOL, Pull, Renew, SetAside,
    Welcome, hex, unhex,
};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use tokio::sync::{Mutex, watch};

use super::pace;
use super::transport::{Request, Transport};
use crate::node::offer::{self, Batch, Target};
use crate::node::session::Compared;
use crate::node::{Node, parents, receive, recovery, session, witness};
use crate::store::links::{self, Direction, Position};
use crate::store::{LinkId, StoreError, blobs, queries};
use crate::trust::pin::Pin;

pub use compare::Difference;
pub use requests::chain_of;

/// What went wrong on the way to the parent, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection, or it broke: trying again may help.
    #[error("cannot reach {url}: {detail}")]
    Unreachable {
        /// The parent's address.
        url: String,
        /// What the network said.
        detail: String,
    },
    /// The parent is busy and says when to come back.
    #[error("the parent is busy; it asks to wait {retry_after_s} s")]
    Busy {
        /// Seconds.
        retry_after_s: u64,
    },
    /// The parent refuses; a person has to act.
    #[error("the parent refuses: {message}")]
    Refused {
        /// Stable code.
        code: String,
        /// The parent's words.
        message: String,
    },
    /// Positions moved: open the session again.
    #[error("the session has to be opened again: {0}")]
    Reopen(String),
    /// What answers is not our parent.
    #[error("what answers at {url} is not our parent: {detail}")]
    Impostor {
        /// The parent's address.
        url: String,
        /// Both fingerprints.
        detail: String,
    },
    /// The parent's answer cannot be understood.
    #[error("cannot understand the parent's answer: {0}")]
    Unreadable(String),
    /// One file cannot be moved; the others can.
    #[error("a file cannot be moved: {0}")]
    BadFile(String),
    /// This node cannot make the backup that it is to deposit.
    #[error("no backup can be made: {0}")]
    Backup(String),
    /// The own keys or certificates cannot be used.
    #[error("cannot renew the certificate of this node: {0}")]
    Keys(String),
    /// The own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LinkError {
    /// Whether trying again, without anybody acting, may help.
    pub fn is_transient(&self) -> bool {
        match self {
            LinkError::Unreachable { .. } | LinkError::Busy { .. } | LinkError::Reopen(_) => true,
            LinkError::Unreadable(_) | LinkError::BadFile(_) => true,
            LinkError::Store(error) => !error.is_fatal(),
            LinkError::Keys(_) | LinkError::Backup(_) => false,
            LinkError::Refused { .. } | LinkError::Impostor { .. } => false,
        }
    }

    /// How long the parent asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            LinkError::Busy { retry_after_s } => Some(Duration::from_secs(*retry_after_s)),
            _ => None,
        }
    }
}

/// What a session moved; watched by whoever wants to see progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `open`, `push`, `pull`, `blobs`, `compare`.
    pub phase: &'static str,
    /// Records sent up.
    pub sent: u64,
    /// Records taken in from above.
    pub received: u64,
    /// Records the parent set aside.
    pub set_aside_there: u64,
    /// Records set aside here.
    pub set_aside_here: u64,
    /// Bytes sent, compressed.
    pub bytes_up: u64,
    /// Bytes received, compressed.
    pub bytes_down: u64,
    /// Files sent whole.
    pub files_up: u64,
    /// Files received whole.
    pub files_down: u64,
    /// Bytes of the file under way that are done, and its length.
    pub file: Option<(u64, u64)>,
}

impl Report {
    /// What was moved after an earlier report.
    pub fn since(&self, earlier: &Report) -> Report {
        Report {
            phase: self.phase,
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
            set_aside_there: self.set_aside_there - earlier.set_aside_there,
            set_aside_here: self.set_aside_here - earlier.set_aside_here,
            bytes_up: self.bytes_up - earlier.bytes_up,
            bytes_down: self.bytes_down - earlier.bytes_down,
            files_up: self.files_up - earlier.files_up,
            files_down: self.files_down - earlier.files_down,
            file: self.file,
        }
    }
}

/// The way to the parent.
#[derive(Clone)]
pub struct Upstream {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    url: String,
    transport: Box<dyn Transport>,
    link: LinkId,
    report: watch::Sender<Report>,
    /// Batch size the parent stated.
    batch_bytes: std::sync::atomic::AtomicUsize,
    /// Batch size that the line has carried: after a batch that did not pass the next is smaller.
    carried_bytes: std::sync::atomic::AtomicUsize,
    /// Bytes of a file that the line carries away quickly.
    piece_bytes: std::sync::atomic::AtomicUsize,
    // One batch under way per direction: positions are counted.
    pushing: Mutex<()>,
    pulling: Mutex<Option<Ack>>,
    files: Mutex<()>,
    /// How many want everything there is now.
    draining: watch::Sender<u32>,
    bad_files: std::sync::Mutex<HashSet<blobs::BlobId>>,
    /// Name of the session under way, as the parent gave it.
    session: std::sync::Mutex<String>,
    /// What the parent asked to be said back at the next greeting.
    echo: std::sync::Mutex<String>,
    /// What the parent wants renewed.
    renew: std::sync::Mutex<Option<Renew>>,
    /// The parent's new authority, which this node has pinned since this line was begun.
    followed: std::sync::Mutex<Option<Pin>>,
    /// By which the list of our children is known that the parent keeps. None: it keeps none, being of an earlier version.
    roster: std::sync::Mutex<Option<String>>,
}

impl Upstream {
    /// A way to the parent at `url`, carried by an already pinned client, or by whatever else.
    pub fn new(node: Node, url: String, transport: impl Transport, link: LinkId) -> Upstream {
        let batch_bytes = node.settings.batch_bytes.into();
        Upstream {
            inner: Arc::new(Inner {
                node,
                url,
                transport: Box::new(transport),
                link,
                report: watch::Sender::new(Report::default()),
                batch_bytes,
                carried_bytes: usize::MAX.into(),
                piece_bytes: pace::LEAST.into(),
                pushing: Mutex::new(()),
                pulling: Mutex::new(None),
                files: Mutex::new(()),
                draining: watch::Sender::new(0),
                bad_files: std::sync::Mutex::default(),
                session: std::sync::Mutex::default(),
                echo: std::sync::Mutex::default(),
                renew: std::sync::Mutex::default(),
                followed: std::sync::Mutex::default(),
                roster: std::sync::Mutex::default(),
            }),
        }
    }

    /// The link's row in the store.
    pub fn link(&self) -> LinkId {
        self.inner.link
    }

    /// Where the parent is.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Progress, for whoever watches.
    pub fn progress(&self) -> watch::Receiver<Report> {
        self.inner.report.subscribe()
    }

    fn note(&self, change: impl FnOnce(&mut Report)) {
        self.inner.report.send_modify(change);
    }

    /// Greets the parent and settles where both directions go on. Answers whether the two do not remember the same past,
    /// so that everything is offered again.
    pub async fn open(&self) -> Result<bool, LinkError> {
        self.note(|r| r.phase = "open");
        let mut under_way = self.inner.pulling.lock().await;
        let node = self.inner.node.clone();
        let link = self.inner.link;
        let clock_ms = node.clock.now_ms();
        let echo = std::mem::take(&mut *self.echo());
        let hello = node
            .store
            .read(move |connection| {
                let row = links::row(connection, link)?;
                let shown_node =
                    queries::meta(connection, "node")?.and_then(|text| text.parse().ok());
                Ok::<_, StoreError>(Hello {
                    protocol: PROTOCOL,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    node: shown_node
                        .ok_or_else(|| StoreError::NotInitialised("this directory".to_owned()))?,
                    clock_ms,
                    chain: queries::chain(connection, nqsync_core::protocol::CHAIN_SHOWN)?,
                    up: offer::mark(&row.up),
                    down: offer::mark(&row.down),
                    echo: Some(echo),
                    audit: Some(witness::shown(connection, link, None)?),
                    authority: parents::pinned(connection)?.map(|pin| pin.to_string()),
                })
            })
            .await?;
        let welcome: Welcome = self.ask("open", &hello).await?;
        self.inner
            .batch_bytes
            .store(welcome.limits.batch_bytes, Relaxed);
        *under_way = None;
        *self.session() = welcome.session.clone();
        *self.renew() = welcome.renew;
        *self.roster() = welcome.roster.clone();
        let greeting = session::Greeting::of_parent(&welcome);
        let store = node.store.clone();
        let (met, pin) = store
            .write(move |tx| {
                for id in welcome
                    .wanted
                    .iter()
                    .filter_map(|hex| blobs::parse_hex(hex))
                {
                    if blobs::owe_once_more(tx.connection(), link, &id)? {
                        tx.wake(link);
                    }
                }
                let met = session::meet(&node, tx, link, greeting)?;
                let now_ms = node.clock.now_ms();
                let pin = parents::follow(tx, welcome.node, &welcome.authorities, now_ms)?;
                if let Some(shown) = &welcome.audit {
                    let word = welcome.countersigned.as_ref();
                    witness::answered(tx, link, shown, word, met.torn, now_ms)?;
                }
                Ok::<_, StoreError>((met, pin))
            })
            .await?;
        if pin.is_some() {
            *self.followed() = pin;
        }
        Ok(met.torn)
    }

    /// Sends everything that waits. While one batch is on its way the next is prepared.
    pub async fn push(&self) -> Result<(), LinkError> {
        let _one = self.inner.pushing.lock().await;
        self.note(|r| r.phase = "push");
        let link = self.inner.link;
        let mut position = self
            .inner
            .node
            .store
            .read(move |connection| links::row(connection, link))
            .await?
            .up;
        let mut next = self.prepare((-1, 0), &position).await?;
        while let Some(batch) = next {
            position = batch.position();
            let (sent, following) =
                tokio::join!(self.send(&batch), self.prepare(batch.until, &position));
            if let Err(LinkError::Unreachable { .. }) = &sent {
                self.line_failed(batch.plain_bytes);
            }
            let ack = sent?;
            self.line_passed(batch.plain_bytes);
            self.note(|r| {
                r.sent += (batch.records() - ack.set_aside.len().min(batch.records())) as u64;
                r.set_aside_there += ack.set_aside.len() as u64;
                r.bytes_up += batch.body.len() as u64;
            });
            let node = self.inner.node.clone();
            let store = node.store.clone();
            store
                .write(move |tx| offer::acknowledged(&node, tx, link, &batch, &ack))
                .await?;
            next = match following? {
                // Receipts ride along in every batch; alone they would be sent twice.
                Some(batch) if batch.records() > 0 => Some(batch),
                _ => self.prepare((-1, 0), &position).await?,
            };
        }
        Ok(())
    }

    /// A batch did not pass: the next one is smaller. One record goes whatever the size; where large packets vanish on the
    /// way, it passes when it fits a small one.
    fn line_failed(&self, plain_bytes: usize) {
        const LEAST: usize = 1024;
        let less = (plain_bytes / 4).max(LEAST);
        self.inner.carried_bytes.store(less, Relaxed);
    }

    /// A batch passed: what was made small grows again, slowly, because each try too large costs a timeout.
    fn line_passed(&self, plain_bytes: usize) {
        let now = self.inner.carried_bytes.load(Relaxed);
        if now != usize::MAX && plain_bytes >= now / 2 {
            let more = now.saturating_add(now / 8);
            let whole = more >= self.inner.batch_bytes.load(Relaxed);
            let more = if whole { usize::MAX } else { more };
            self.inner.carried_bytes.store(more, Relaxed);
        }
    }

    async fn prepare(
        &self,
        after: (i64, i64),
        position: &Position,
    ) -> Result<Option<Batch>, StoreError> {
        let node = self.inner.node.clone();
        let shown = node.store.shown();
        let link = self.inner.link;
        let peer = shown
            .links
            .iter()
            .find(|state| state.link == link)
            .map(|state| state.peer);
        let (Some(peer), Some(own)) = (peer, shown.node) else {
            return Ok(None);
        };
        let carried = self.inner.carried_bytes.load(Relaxed);
        let batch_bytes = self.inner.batch_bytes.load(Relaxed).min(carried);
        let target = Target {
            link,
            peer,
            node: own,
            batch_bytes,
            after,
        };
        let position = position.clone();
        let store = node.store.clone();
        store
            .read(move |connection| {
                offer::prepare(&node, connection, &shown.tree, target, &position)
            })
            .await
    }

    async fn send(&self, batch: &Batch) -> Result<Ack, LinkError> {
        let request = Request::new(Method::POST, self.endpoint("push"))
            .header(BATCH_HEADER, batch.number)
            .header(BEFORE_HEADER, hex(&batch.before))
            .body(batch.body.clone());
        let request = match batch.head {
            Some(head) => request.header(HEAD_HEADER, head.to_string()),
            None => request,
        };
        let ack: Ack = self.read_json(self.checked(request).await?).await?;
        if ack.mark.hash != hex(&batch.position().hash) {
            return Err(LinkError::Reopen(
                "the parent acknowledged another batch".to_owned(),
            ));
        }
        Ok(ack)
    }

    /// Asks for one batch, waiting up to `wait_s` for news; answers whether one came. The acknowledgement of the batch
    /// before rides along.
    pub async fn pull(&self, wait_s: u64) -> Result<bool, LinkError> {
        let mut under_way = self.inner.pulling.lock().await;
        self.pull_one(&mut under_way, wait_s).await
    }

    /// Takes everything there is now. A pull that waits for news gives way, and none begins meanwhile.
    pub async fn drain(&self) -> Result<(), LinkError> {
        self.inner.draining.send_modify(|n| *n += 1);
        let mut under_way = self.inner.pulling.lock().await;
        self.inner.draining.send_modify(|n| *n -= 1);
        while self.pull_one(&mut under_way, 0).await? {}
        Ok(())
    }

    async fn pull_one(&self, under_way: &mut Option<Ack>, wait_s: u64) -> Result<bool, LinkError> {
        let pull = Pull {
            ack: under_way.clone(),
            wait_s,
        };
        let request = self.post("pull", &pull)?;
        let mut draining = self.inner.draining.subscribe();
        let response = tokio::select! {
            response = self.checked(request) => response?,
            // Only the wait is given up; what was asked twice is answered twice.
            _ = draining.wait_for(|n| *n > 0), if wait_s > 0 => return Ok(false),
        };
        *under_way = None;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(false);
        }
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let number: Option<u64> = header(BATCH_HEADER).and_then(|v| v.parse().ok());
        let before = header(BEFORE_HEADER).and_then(unhex);
        let (Some(number), Some(before)) = (number, before) else {
            return Err(LinkError::Unreadable(
                "a batch without its number".to_owned(),
            ));
        };
        let limit = self.inner.node.settings.max_batch_bytes;
        let body = self.body(response, limit).await?;
        self.note(|r| {
            r.phase = "pull";
            r.bytes_down += body.len() as u64;
        });
        *under_way = Some(self.take(number, before, body, limit).await?);
        Ok(true)
    }

    async fn take(
        &self,
        number: u64,
        before: Vec<u8>,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Ack, LinkError> {
        let node = self.inner.node.clone();
        let link = self.inner.link;
        let record_bytes = node.settings.max_record_bytes;
        let unpacked = tokio::task::spawn_blocking(move || {
            receive::unpack(&body, number, before, limit, record_bytes)
        });
        let (lines, position) = unpacked
            .await
            .map_err(|e| LinkError::Unreadable(e.to_string()))?
            .map_err(|refused| LinkError::Unreadable(refused.message))?;
        let store = node.store.clone();
        let taken = store
            .write(move |tx| {
                let row = links::row(tx.connection(), link)?;
                if row.down.batch + 1 != position.batch || row.down.hash != position.before {
                    return Ok(None);
                }
                let ahead = row.clock_ahead_ms.unwrap_or(0);
                let applied = receive::apply(&node, tx, link, lines, ahead)?;
                links::set_position(tx.connection(), link, Direction::Down, &position)?;
                Ok::<_, StoreError>(Some((applied, position)))
            })
            .await?;
        let Some((applied, position)) = taken else {
            return Err(LinkError::Reopen(
                "the parent's batch does not follow the last one".to_owned(),
            ));
        };
        self.note(|r| {
            r.received += (applied.lines - applied.set_aside.len()) as u64;
            r.set_aside_here += applied.set_aside.len() as u64;
        });
        Ok(Ack {
            mark: offer::mark(&position),
            set_aside: applied
                .set_aside
                .into_iter()
                .map(SetAside::shortened)
                .collect(),
            unreadable: applied.unreadable,
        })
    }

    /// Compares what both sides hold, and notes that; `None` while something still waits. When they differ the session has to be opened
    /// again now and then, and everything is exchanged anew.
    pub async fn compare(&self) -> Result<Option<bool>, LinkError> {
        self.note(|r| r.phase = "compare");
        let link = self.inner.link;
        let node = self.inner.node.clone();
        let store = node.store.clone();
        let said = store
            .read(move |connection| {
                Ok::<_, StoreError>(Agree {
                    holds: session::agreement(connection, link)?,
                    audit: witness::news(connection, link)?,
                    countersigned: None,
                })
            })
            .await?;
        let answer: Agree = self.ask("agree", &said).await?;
        let (ours, theirs) = (said.holds, answer.holds);
        if let Some(shown) = answer.audit {
            let (now_ms, word) = (node.clock.now_ms(), answer.countersigned);
            store
                .write(move |tx| witness::answered(tx, link, &shown, word.as_ref(), false, now_ms))
                .await?;
        }
        if ours.pending || theirs.pending {
            return Ok(None);
        }
        let here = node.clone();
        let compared = store
            .write(move |tx| session::compared(&here, tx, link, &ours, &theirs))
            .await?;
        match compared {
            Compared::Same => {
                recovery::agreed(&node).await?;
                Ok(Some(true))
            }
            Compared::Moved => Ok(None),
            Compared::Differs => Ok(Some(false)),
            Compared::Unsettled => Err(LinkError::Reopen(
                "both sides hold different records, so everything is exchanged again".to_owned(),
            )),
        }
    }

    /// The parent's new authority, if it has said one since this was asked last.
    pub fn take_followed(&self) -> Option<Pin> {
        self.followed().take()
    }

    fn followed(&self) -> std::sync::MutexGuard<'_, Option<Pin>> {
        self.inner
            .followed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn session(&self) -> std::sync::MutexGuard<'_, String> {
        self.inner
            .session
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn echo(&self) -> std::sync::MutexGuard<'_, String> {
        self.inner
            .echo
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
