//! The service: wiring of tasks, timers and signals, and an orderly way out.

mod adapters;
pub mod anew;
pub mod control;
pub mod housekeeping;
mod interfaces;
pub mod listener;
pub mod schedule;
pub mod setup;
pub mod uplink;
mod verify;
mod wishes;

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Loaded;
use crate::node::{Node, Settings, recovery};
use crate::store::{Store, StoreError};

/// How long tasks may take to end after a signal before the service ends without them.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// How often the service manager is told that we are alive.
const WATCHDOG: Duration = Duration::from_secs(15);

/// Why the service cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys or certificates.
    #[error("{0}")]
    Trust(String),
    /// The address to listen on.
    #[error(
        "cannot listen on {address}: {source}; choose another listen.address, or stop what uses it"
    )]
    Listen {
        /// As configured.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The control socket.
    #[error("cannot open the control socket {path}: {source}")]
    Socket {
        /// As configured.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Signals cannot be watched.
    #[error("cannot watch signals: {0}")]
    Signals(std::io::Error),
}

/// Re-reads the configuration; `None` when it cannot be read now, and the old one stays.
pub type Reload = Box<dyn Fn() -> Option<Loaded> + Send + Sync>;

/// Runs the service until it is told to stop.
pub async fn run(loaded: Loaded, clock: Clock, reload: Reload) -> Result<(), DaemonError> {
    let store = Store::open(&setup::store_options(&loaded.config))?;
    let result = serve(store.clone(), loaded, clock, reload).await;
    let closing = store.clone();
    // Joining the writer thread blocks, so it is done off the runtime.
    let _ = tokio::task::spawn_blocking(move || closing.close()).await;
    result
}

async fn serve(
    store: Store,
    loaded: Loaded,
    clock: Clock,
    reload: Reload,
) -> Result<(), DaemonError> {
    let node = Node {
        store: store.clone(),
        clock,
        settings: Settings {
            service: true,
            ..setup::settings(&loaded)
        },
    };
    // Watched before anybody is told that we are there: whoever is told may send one at once.
    let mut hangup = signal(SignalKind::hangup()).map_err(DaemonError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    housekeeping::begin(&node).await?;
    if !settled_here(&node, &loaded, &mut terminate, &mut interrupt).await? {
        return Ok(());
    }
    let config = watch::Sender::new(loaded.config.clone());
    let bound = listener::start(&node, &loaded.config, &stop, &tasks).await?;
    let uplink = uplink::start(&node, &loaded, config.subscribe(), &stop, &tasks).await?;
    control::start(&node, &loaded.config, uplink, &stop, &tasks).await?;
    tasks.spawn(housekeeping::keep(node.clone(), stop.clone()));
    tasks.spawn(adapters::keep(node.clone(), stop.clone()));
    let address = bound.map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(unit = %loaded.config.node.unit, address, version = env!("CARGO_PKG_VERSION"), "nqsync is running");
    notify(&[sd_notify::NotifyState::Ready]);
    let mut stopped = store.stopped();
    let mut watchdog = tokio::time::interval(WATCHDOG);
    let outcome = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            _ = stopped.wait_for(|stopped| *stopped) => break Err(StoreError::Stopped.into()),
            _ = watchdog.tick() => notify(&[sd_notify::NotifyState::Watchdog]),
            _ = hangup.recv() => take_over(&reload, &config),
        }
    };
    notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping");
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(SHUTDOWN, tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end in time; what they had acknowledged is on disk");
    }
    outcome
}

/// Waits while the store stands on a machine it does not know: only the control socket is open, so that people can look and
/// say `adopt --moved`. `false`: told to stop meanwhile.
async fn settled_here(
    node: &Node,
    loaded: &Loaded,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) -> Result<bool, DaemonError> {
    let mut commits = node.store.commits();
    if !node.store.read(recovery::moved).await? {
        return Ok(true);
    }
    tracing::error!(
        "this store was last on another machine: nothing is exchanged until `nqsync adopt --moved`"
    );
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    control::start(node, &loaded.config, None, &stop, &tasks).await?;
    notify(&[sd_notify::NotifyState::Ready]);
    let mut watchdog = tokio::time::interval(WATCHDOG);
    let goes_on = loop {
        tokio::select! {
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break false,
            _ = watchdog.tick() => notify(&[sd_notify::NotifyState::Watchdog]),
            changed = commits.changed() => {
                if changed.is_err() || !node.store.read(recovery::moved).await? {
                    break changed.is_ok();
                }
            }
        }
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(goes_on)
}

/// A new configuration takes effect for schedules and waits; addresses and directories need a restart.
fn take_over(reload: &Reload, config: &watch::Sender<crate::config::Config>) {
    notify(&[sd_notify::NotifyState::Reloading]);
    match reload() {
        Some(loaded) => {
            config.send_replace(loaded.config);
            tracing::info!("the configuration was read again");
        }
        None => tracing::error!("the new configuration is invalid; the old one stays in force"),
    }
    notify(&[sd_notify::NotifyState::Ready]);
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}
