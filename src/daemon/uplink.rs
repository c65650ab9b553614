//! The way up, kept alive: schedule, local changes, connectivity, news from above, and an operator's word.
//!
//! While the line is down a bare TCP connect looks every few seconds whether it is back; back-off governs everything
//! that costs the parent something. A session ends only by an error or a shutdown.

use std::sync::Arc;
use std::time::Duration;

use nqsync_core::model::NodeId;
use rand::RngExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::interfaces::Interfaces;
use super::keys::Line;
use super::wishes::Wishes;
use super::{DaemonError, deposit, schedule};
use crate::api::Exit;
use crate::config::{Config, Loaded};
use crate::link::backoff::Backoff;
use crate::link::{LinkError, Report, Upstream};
use crate::node::offer::LINE_CEILING;
use crate::node::{Node, Refusal, branches, files, recovery};
use crate::store::links::{self, Role};
use crate::store::queries;
use crate::trust::pin::Pin;
use crate::trust::renewal::UPSTREAM_CERTIFICATE;
use crate::trust::tls::ClientTimeouts;

/// Pause before a session that was cut, or has to be opened again, is opened.
const REOPEN: Duration = Duration::from_millis(200);

/// Longest that a session goes on without a new greeting.
const SESSION: Duration = Duration::from_secs(24 * 3600);

/// Pauses between two comparisons while something still waits on one side.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);
/// The longest of them.
const SETTLE_PAUSE_MOST: Duration = Duration::from_secs(60);

/// What an operator's `sync` ended with.
#[derive(Clone, Debug)]
pub struct Synced {
    /// What was moved since the request.
    pub report: Report,
    /// Whether both sides hold the same; `None` while something still waits.
    pub agrees: Option<bool>,
}

/// Why an exchange that was asked for did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Whether trying again may help, or who has to act.
    pub exit: Exit,
    /// Stable code.
    pub code: String,
    /// What happened.
    pub message: String,
}

impl Cut {
    /// Nobody answers.
    pub fn unreachable(message: &str) -> Cut {
        Cut {
            exit: Exit::Unreachable,
            code: "unreachable".to_owned(),
            message: message.to_owned(),
        }
    }
}

impl From<&LinkError> for Cut {
    fn from(error: &LinkError) -> Cut {
        let (exit, code) = match error {
            LinkError::Refused { code, .. } if code == branches::CLONED => {
                (Exit::PersonNeeded, code.as_str())
            }
            LinkError::Refused { code, .. } => (Exit::Refused, code.as_str()),
            LinkError::Impostor { .. } => (Exit::Refused, "impostor"),
            LinkError::Keys(_) => (Exit::Failed, "keys"),
            LinkError::Backup(_) => (Exit::Failed, "backup"),
            LinkError::Store(error) => Refusal::of_store(error),
            LinkError::Unreachable { .. }
            | LinkError::Busy { .. }
            | LinkError::Reopen(_)
            | LinkError::Unreadable(_)
            | LinkError::BadFile(_) => (Exit::Unreachable, "unreachable"),
        };
        Cut {
            exit,
            code: code.replace('-', "_"),
            message: error.to_string(),
        }
    }
}

/// A request to exchange now; the answer comes when it is done or has failed.
pub type Wish = oneshot::Sender<Result<Synced, Cut>>;

/// What the rest of the service knows of the way up.
#[derive(Clone)]
pub struct Handle {
    /// Asks for an exchange now.
    pub wishes: mpsc::Sender<Wish>,
    /// Progress.
    pub progress: watch::Receiver<Report>,
    /// The way itself, for comparing.
    pub upstream: Upstream,
}

/// Starts keeping the way up alive, when this node has enrolled.
pub async fn start(
    node: &Node,
    loaded: &Loaded,
    config: watch::Receiver<Config>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Option<Handle>, DaemonError> {
    let dir = loaded.config.node.data_dir.clone();
    // Where no line may be, nothing is dialled.
    let above = node.store.level() > LINE_CEILING;
    if above || node.settings.carried || !dir.join(UPSTREAM_CERTIFICATE).exists() {
        return Ok(None);
    }
    let meta = |key: &'static str| {
        node.store
            .read(move |connection| queries::meta(connection, key))
    };
    let url = match &loaded.config.upstream {
        Some(upstream) if !upstream.url.is_empty() => Some(upstream.url.clone()),
        _ => meta("upstream_url").await?,
    };
    let (pin, parent) = (meta("upstream_pin").await?, meta("upstream_node").await?);
    let pin: Option<Pin> = pin.and_then(|text| text.parse().ok());
    let parent: Option<NodeId> = parent.and_then(|text| text.parse().ok());
    let (Some(url), Some(pin), Some(parent)) = (url, pin, parent) else {
        return Err(DaemonError::Trust(
            "the enrolment is incomplete; run `nqsync enrol` again".to_owned(),
        ));
    };
    let waits = Waits::of(&loaded.config);
    let Some(line) = Line::open(dir, pin, node.clock.clone(), waits.client)? else {
        return Ok(None);
    };
    let link = node
        .store
        .write(move |tx| links::ensure(tx.connection(), parent, Role::Upstream))
        .await?;
    let upstream = Upstream::new(node.clone(), url, line.clone(), link);
    let (wishes, queue) = mpsc::channel(16);
    let handle = Handle {
        wishes,
        progress: upstream.progress(),
        upstream: upstream.clone(),
    };
    let uplink = Uplink {
        node: node.clone(),
        upstream,
        line,
        config,
        wishes: Wishes::new(queue),
    };
    let stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            _ = stop.cancelled() => {}
            _ = uplink.keep() => {}
        }
    });
    Ok(Some(handle))
}

/// Waits taken from the configuration.
struct Waits {
    client: ClientTimeouts,
    long_poll_s: u64,
    probe: Duration,
    probe_jitter: Duration,
    connect: Duration,
}

impl Waits {
    fn of(config: &Config) -> Waits {
        let mut client = ClientTimeouts::default();
        let mut waits = Waits {
            long_poll_s: 50,
            probe: Duration::from_secs(5),
            probe_jitter: Duration::from_secs(1),
            connect: client.connect,
            client,
        };
        if let Some(upstream) = &config.upstream {
            client.connect = upstream.connect_timeout_s.into();
            client.read = upstream.request_timeout_s.into();
            // A connection on which nothing passes any more is given up before the requests on it are.
            client.ping = client.ping.min(client.read / 3);
            client.ping_reply = client.ping_reply.min(client.read / 3);
            let long_poll: Duration = upstream.long_poll_s.into();
            waits = Waits {
                long_poll_s: long_poll.as_secs(),
                probe: upstream.probe_interval_s.into(),
                probe_jitter: upstream.probe_jitter_s.into(),
                connect: client.connect,
                client,
            };
        }
        waits
    }
}

struct Uplink {
    node: Node,
    upstream: Upstream,
    line: Line,
    config: watch::Receiver<Config>,
    wishes: Wishes,
}

impl Uplink {
    async fn keep(&self) {
        let config = self.config.borrow().clone();
        let mut backoff = Backoff::new(
            config.sync.backoff_min_s.into(),
            config.sync.backoff_max_s.into(),
        );
        let interfaces = Interfaces::watch();
        loop {
            let (error, opened) = match self.upstream.open().await {
                Ok(torn) => {
                    backoff.reset();
                    self.note_success().await;
                    (self.followed_or_session(torn).await, true)
                }
                Err(error) => (self.other_key(error), false),
            };
            self.note_failure(&error).await;
            match &error {
                // A line that was there a moment ago is often back at once: a bad one is cut every few seconds.
                LinkError::Unreachable { .. } if opened => {
                    self.rest(REOPEN, interfaces.as_ref()).await;
                }
                LinkError::Unreachable { .. } => self.until_line_is_back(interfaces.as_ref()).await,
                LinkError::Reopen(_) => self.rest(REOPEN, interfaces.as_ref()).await,
                other => {
                    let pause = backoff.next(other.retry_after());
                    self.rest(pause, interfaces.as_ref()).await;
                }
            }
        }
    }

    /// A parent that took a new authority is met again under that one.
    async fn followed_or_session(&self, torn: bool) -> LinkError {
        match self.upstream.take_followed() {
            Some(pin) => match self.line.pin(pin) {
                Ok(()) => LinkError::Reopen("the parent has a new authority".to_owned()),
                Err(error) => error,
            },
            None => self.renewed_or_session(torn).await,
        }
    }

    /// What is due to be renewed comes first; where that fails, the exchange goes on with what is there: a certificate
    /// must never cut a line.
    async fn renewed_or_session(&self, torn: bool) -> LinkError {
        match self.line.renew(&self.upstream).await {
            Ok(true) => return LinkError::Reopen("a new certificate is in use".to_owned()),
            Ok(false) => {}
            Err(error @ LinkError::Unreachable { .. }) => return error,
            Err(error) => tracing::error!(%error, "the certificate is not renewed"),
        }
        self.session(torn).await
    }

    /// A parent that came back with an old copy of its disk knows the key before the one in use.
    fn other_key(&self, error: LinkError) -> LinkError {
        match &error {
            LinkError::Refused { code, .. } if code == "unknown_node" => {}
            _ => return error,
        }
        match self.line.change_key() {
            // The words of the parent stay; the next try is another one.
            Ok(_) => error,
            Err(failed) => failed,
        }
    }

    /// A session: everything at once, until something fails.
    async fn session(&self, torn: bool) -> LinkError {
        let result = tokio::try_join!(
            self.settle(torn),
            self.pulls(),
            self.pushes(),
            self.file_moves(),
            self.answer_wishes(),
            self.rosters(),
            deposit::keep(&self.node, &self.upstream, self.config.clone()),
            greet_again()
        );
        match result {
            Err(error) => error,
            Ok(_) => LinkError::Reopen("the session ended".to_owned()),
        }
    }

    /// After a restore, here or there, everything is compared at once: people wait for it, and so does whoever looks after
    /// the two.
    async fn settle(&self, torn: bool) -> Result<(), LinkError> {
        if !torn && !self.node.store.read(recovery::waits).await? {
            return Ok(());
        }
        let mut pause = SETTLE_PAUSE;
        while self.exchange().await?.is_none() {
            sleep(pause).await;
            pause = (pause * 2).min(SETTLE_PAUSE_MOST);
        }
        Ok(())
    }

    /// Has the parent keep who is enrolled here and who is cut off, and takes back what this node has forgotten of it.
    async fn rosters(&self) -> Result<(), LinkError> {
        let mut commits = self.node.store.commits();
        let mut settled = None;
        loop {
            let now = self.node.store.shown().children;
            if settled
                .as_ref()
                .is_none_or(|known| !Arc::ptr_eq(known, &now))
            {
                match self.upstream.settle_roster().await {
                    Err(error @ (LinkError::Unreachable { .. } | LinkError::Reopen(_))) => {
                        return Err(error);
                    }
                    // Records must not wait for it.
                    Err(error) => tracing::error!(%error, "the list of children is not kept above"),
                    Ok(()) => {}
                }
                settled = Some(now);
            }
            if commits.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn pulls(&self) -> Result<(), LinkError> {
        let mut wait_s = 0;
        loop {
            let came = self.upstream.pull(wait_s).await?;
            self.note_success().await;
            // After a batch the rest is taken at once; then the parent is asked to call.
            wait_s = if came {
                0
            } else {
                Waits::of(&self.config.borrow()).long_poll_s
            };
        }
    }

    async fn pushes(&self) -> Result<(), LinkError> {
        let mut news = self.node.store.link_news(self.upstream.link());
        let mut config = self.config.clone();
        loop {
            news.mark_unchanged();
            let began = Instant::now();
            self.upstream.push().await?;
            self.note_success().await;
            let (due, debounce) = {
                let config = config.borrow_and_update();
                let now = self.node.clock.now_ms();
                let sync = &config.sync;
                let due = schedule::pause(
                    &sync.schedule,
                    now,
                    &config.node.time_zone,
                    sync.jitter_s.into(),
                );
                (due, Duration::from(sync.debounce_ms))
            };
            tokio::select! {
                changed = news.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    // The first change goes at once; a burst is gathered.
                    sleep(debounce.saturating_sub(began.elapsed())).await;
                }
                _ = at(due) => drop(self.upstream.compare().await?),
                _ = config.changed() => {}
            }
        }
    }

    /// Files apart from records: where there is no room for files, here or there, records go on.
    async fn file_moves(&self) -> Result<(), LinkError> {
        let mut news = self.node.store.link_news(self.upstream.link());
        let config = self.config.borrow().clone();
        let mut backoff = Backoff::new(
            config.sync.backoff_min_s.into(),
            config.sync.backoff_max_s.into(),
        );
        loop {
            news.mark_unchanged();
            match self.upstream.files().await {
                Ok(()) => {
                    backoff.reset();
                    self.note_files(None).await;
                    if news.changed().await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) if files_wait(&error) => {
                    self.note_files(Some(error.to_string())).await;
                    sleep(backoff.next(error.retry_after())).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes since when files wait, and why; `None`: they pass.
    async fn note_files(&self, why: Option<String>) {
        if let Some(why) = &why {
            tracing::error!(error = %why, "files wait; records go on");
        }
        let now = self.node.clock.now_ms();
        let noted = files::note_waiting(&self.node, why, now).await;
        if let Err(error) = noted {
            tracing::error!(%error, "cannot note that files wait");
        }
    }

    async fn answer_wishes(&self) -> Result<(), LinkError> {
        while let Some(wish) = self.wishes.next().await {
            let before = self.upstream.progress().borrow().clone();
            let done = self.exchange().await;
            let answer = match &done {
                Ok(agrees) => {
                    let now = self.upstream.progress().borrow().clone();
                    Ok(Synced {
                        report: now.since(&before),
                        agrees: *agrees,
                    })
                }
                Err(error) => Err(Cut::from(error)),
            };
            // Whoever asked may have gone away.
            let _ = wish.send(answer);
            done?;
        }
        Ok(())
    }

    /// Everything once: up, down, files, comparison.
    async fn exchange(&self) -> Result<Option<bool>, LinkError> {
        self.upstream.push().await?;
        self.upstream.drain().await?;
        self.upstream.push().await?;
        match self.upstream.files().await {
            Err(error) if files_wait(&error) => self.note_files(Some(error.to_string())).await,
            done => done?,
        }
        self.note_success().await;
        self.upstream.compare().await
    }

    /// Looks with bare TCP connects whether the line is back; an interface that comes up or an operator ends the wait.
    async fn until_line_is_back(&self, interfaces: Option<&Interfaces>) {
        let Some(address) = host_and_port(self.upstream.url()) else {
            return;
        };
        loop {
            let waits = Waits::of(&self.config.borrow());
            let spread = waits
                .probe_jitter
                .mul_f64(rand::rng().random_range(0.0..=1.0));
            self.rest(waits.probe + spread, interfaces).await;
            if let Ok(Ok(_)) = timeout(waits.connect, TcpStream::connect(&address)).await {
                return;
            }
            let cut = Cut::unreachable("the parent cannot be reached");
            self.wishes.fail(&cut).await;
        }
    }

    /// Waits, unless an interface changes or an operator wants an exchange now.
    async fn rest(&self, pause: Duration, interfaces: Option<&Interfaces>) {
        tokio::select! {
            _ = sleep(pause) => {}
            _ = self.wishes.come() => {}
            _ = changed(interfaces) => {}
        }
    }

    async fn note_success(&self) {
        let (link, now) = (self.upstream.link(), self.node.clock.now_ms());
        let noted = self
            .node
            .store
            .write(move |tx| links::note_success(tx.connection(), link, now, None))
            .await;
        if let Err(error) = noted {
            tracing::error!(%error, "cannot note the contact");
        }
    }

    async fn note_failure(&self, error: &LinkError) {
        let text = error.to_string();
        if error.is_transient() {
            tracing::warn!(error = %text, "the exchange with the parent was cut");
        } else {
            tracing::error!(error = %text, "the parent does not take us; a person must act");
        }
        // A session that is only to be opened again is opened at once: who has not been served yet goes on waiting.
        if !matches!(error, LinkError::Reopen(_)) {
            self.wishes.fail(&Cut::from(error)).await;
        }
        let (link, now, refused) = (
            self.upstream.link(),
            self.node.clock.now_ms(),
            !error.is_transient(),
        );
        let noted = self
            .node
            .store
            .write(move |tx| links::note_failure(tx.connection(), link, now, &text, refused))
            .await;
        if let Err(error) = noted {
            tracing::error!(%error, "cannot note the failed contact");
        }
    }
}

/// A session on a good line would never end; what is told in a greeting (audits, renewals) is told once a day.
async fn greet_again() -> Result<(), LinkError> {
    sleep(SESSION).await;
    Err(LinkError::Reopen("a day has passed".to_owned()))
}

/// Whether only files are stopped by this: no room for them here or at the parent.
fn files_wait(error: &LinkError) -> bool {
    match error {
        LinkError::Busy { .. } => true,
        LinkError::Store(error) => !error.is_fatal(),
        _ => false,
    }
}

async fn at(due: Option<Duration>) {
    match due {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}

async fn changed(interfaces: Option<&Interfaces>) {
    match interfaces {
        Some(interfaces) => interfaces.changed().await,
        None => std::future::pending().await,
    }
}

fn host_and_port(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    Some(format!(
        "{}:{}",
        url.host_str()?,
        url.port_or_known_default()?
    ))
}
