//! The service: wiring of tasks, timers and signals, and an orderly way out.

mod adapters;
pub mod anew;
pub mod comeback;
pub mod control;
mod deposit;
pub mod enrol_file;
pub mod evidence;
pub mod housekeeping;
mod interfaces;
mod keys;
pub mod listener;
pub mod metrics;
pub mod notify;
pub mod schedule;
mod scrub;
pub mod service;
pub mod setup;
pub mod uplink;
mod verify;
mod wishes;

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::service::Service;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::console;
use crate::local_api;
use crate::node::{Node, Settings, health, recovery};
use crate::store::{Left, Store, StoreError};

/// How long tasks may take to end after a signal before the service ends without them.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// How often it is looked whether the store's files still stand where they were opened.
const STANDS: Duration = Duration::from_secs(5);

/// How often the service manager is told that we are alive, unless it says how long it waits.
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
    raise_open_files();
    if node.store.left() == Left::Touched || node.store.damage().is_some() {
        // Before anybody hears anything from it.
        tracing::warn!("the database was touched while no service ran; looking through it");
        scrub::database(&node).await?;
    }
    loop {
        if node.store.damage().is_none() {
            // Of a way back that is over.
            comeback::forget_fetched(store.dir())?;
            housekeeping::begin(&node).await?;
            let said = &loaded.config.node;
            health::compare_with_parents_view(&node, &said.unit, said.level.as_str()).await?;
        }
        if !settled_here(&node, &loaded, &mut terminate, &mut interrupt).await? {
            return Ok(());
        }
        let signals = (&mut hangup, &mut terminate, &mut interrupt);
        match work(&node, &loaded, &reload, signals).await? {
            Ended::Told => return Ok(()),
            Ended::Damaged => {}
        }
    }
}

/// Why the service stopped working.
enum Ended {
    /// By a signal.
    Told,
    /// The store was found damaged.
    Damaged,
}

/// A parent has a connection and more for each of its thousands of children; systems allow few open files unless asked.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(OPEN_FILES, |most| most.min(OPEN_FILES)));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, maximum }) {
        tracing::warn!(%error, "cannot allow more open files");
    }
}

/// Open files that are asked for; what the unit file allows.
const OPEN_FILES: u64 = 16_384;

async fn work(
    node: &Node,
    loaded: &Loaded,
    reload: &Reload,
    (hangup, terminate, interrupt): (&mut Signal, &mut Signal, &mut Signal),
) -> Result<Ended, DaemonError> {
    let store = node.store.clone();
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let config = watch::Sender::new(loaded.config.clone());
    let bound = listener::start(node, &loaded.config, &stop, &tasks).await?;
    let uplink = uplink::start(node, loaded, config.subscribe(), &stop, &tasks).await?;
    let service = Service::new(node, uplink);
    control::start(service.clone(), &loaded.config, &stop, &tasks).await?;
    open_api(service.clone(), &loaded.config, &stop, &tasks).await;
    open_metrics(service.clone(), &loaded.config, &stop, &tasks).await;
    open_console(service, &loaded.config, &stop, &tasks).await;
    tasks.spawn(housekeeping::keep(node.clone(), stop.clone()));
    tasks.spawn(adapters::keep(node.clone(), stop.clone()));
    tasks.spawn(notify::keep(node.clone(), stop.clone()));
    let interval = loaded.config.store.scrub_interval_s.into();
    tasks.spawn(scrub::keep(node.clone(), interval, stop.clone()));
    let address = bound.map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(unit = %loaded.config.node.unit, address, version = env!("CARGO_PKG_VERSION"), "nqsync is running");
    notify(&[sd_notify::NotifyState::Ready]);
    let (mut stopped, mut damage) = (store.stopped(), store.damage_news());
    let mut watchdog = tokio::time::interval(watchdog_pause());
    let mut stands = tokio::time::interval(STANDS);
    let outcome = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(Ended::Told),
            _ = interrupt.recv() => break Ok(Ended::Told),
            _ = stopped.wait_for(|stopped| *stopped) => break Err(StoreError::Stopped.into()),
            _ = damage.wait_for(Option::is_some) => break Ok(Ended::Damaged),
            _ = watchdog.tick() => notify(&[sd_notify::NotifyState::Watchdog]),
            _ = stands.tick() => {
                if let Err(error) = store.check() {
                    tracing::error!(%error, "the service ends");
                    break Err(error.into());
                }
            }
            _ = hangup.recv() => take_over(reload, &config),
        }
    };
    if !matches!(outcome, Ok(Ended::Damaged)) {
        notify(&[sd_notify::NotifyState::Stopping]);
    }
    tracing::info!("stopping");
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(SHUTDOWN, tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end in time; what they had acknowledged is on disk");
    }
    outcome
}

/// Opens the local API over TCP. Without it the exchange goes on, and the control socket has it too.
async fn open_api(
    service: Service,
    config: &Config,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let Some(api) = &config.api else {
        return;
    };
    match local_api::start(service, api, stop, tasks).await {
        Ok(address) => tracing::info!(url = %format!("http://{address}/"), "the local API is open"),
        Err(error) => {
            let wanted = &api.address;
            tracing::error!(wanted, %error, "the local API cannot be opened; choose another api.address, or stop what uses it");
        }
    }
}

/// Opens the figures for monitoring. Without them the exchange goes on.
async fn open_metrics(
    service: Service,
    config: &Config,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let Some(metrics) = &config.metrics else {
        return;
    };
    match metrics::start(service, metrics, stop, tasks).await {
        Ok(address) => {
            tracing::info!(url = %format!("http://{address}/metrics"), "the figures are open")
        }
        Err(error) => {
            let wanted = &metrics.address;
            tracing::error!(wanted, %error, "the figures cannot be opened; choose another metrics.address, or stop what uses it");
        }
    }
}

/// Opens the pages for people. Without them the exchange goes on: what is wrong is said in the log and by `doctor`.
async fn open_console(
    service: Service,
    config: &Config,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let store = service.node.store.clone();
    let mut url = String::new();
    if let Some(console) = &config.console {
        match console::start(service, console, &config.node.time_zone, stop, tasks).await {
            Ok(address) => url = format!("http://{address}/"),
            Err(error) => {
                let wanted = &console.address;
                tracing::error!(wanted, %error, "the console cannot be opened; choose another console.address, or stop what uses it");
            }
        }
    }
    if !url.is_empty() {
        tracing::info!(url, "the console is open");
    }
    let noted = store.write_anyway(move |tx| tx.set_meta("console_url", &url));
    if let Err(error) = noted.await {
        tracing::debug!(%error, "the console's address is not in status");
    }
}

/// Waits while the store is damaged, or stands on a machine it does not know: only the control socket is open, so that
/// people can look, and say `adopt --moved`. `false`: told to stop meanwhile.
async fn settled_here(
    node: &Node,
    loaded: &Loaded,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) -> Result<bool, DaemonError> {
    let (mut commits, mut damage) = (node.store.commits(), node.store.damage_news());
    if node.store.damage().is_some() {
        tracing::error!("this store is damaged: nothing is exchanged until it is restored");
    } else if node.store.read(recovery::moved).await? {
        tracing::error!(
            "this store was last on another machine: nothing is exchanged until `nqsync adopt --moved`"
        );
    } else {
        return Ok(true);
    }
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    control::start(Service::new(node, None), &loaded.config, &stop, &tasks).await?;
    notify(&[sd_notify::NotifyState::Ready]);
    let mut watchdog = tokio::time::interval(watchdog_pause());
    let goes_on = loop {
        tokio::select! {
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break false,
            _ = watchdog.tick() => notify(&[sd_notify::NotifyState::Watchdog]),
            changed = commits.changed() => {
                let damaged = node.store.damage().is_some();
                if changed.is_err() || (!damaged && !node.store.read(recovery::moved).await?) {
                    break changed.is_ok();
                }
            }
            changed = damage.changed() => {
                if changed.is_err() || node.store.damage().is_none() {
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
fn take_over(reload: &Reload, config: &watch::Sender<Config>) {
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

/// Three words within the time that the service manager waits for one.
fn watchdog_pause() -> Duration {
    let patience = sd_notify::watchdog_enabled();
    patience.map_or(WATCHDOG, |patience| WATCHDOG.min(patience / 3))
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}
