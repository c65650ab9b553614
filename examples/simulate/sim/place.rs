//! One node: its disk, its clock, its store when it runs, and what a crash or an old copy makes of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use nqsync::clock::Clock;
use nqsync::daemon::{housekeeping, setup};
use nqsync::link::Upstream;
use nqsync::node::{Node, Settings, rollups};
use nqsync::server::link::{Hub, HubLimits};
use nqsync::store::links::{self, Role};
use nqsync::store::{Store, StoreOptions, queries};
use nqsync::trust::authority::{Authority, Held};
use nqsync_core::model::{NodeId, UnitId};
use nqsync_core::sync::Incarnation;

use super::net::{Net, Wire};

/// Where a node stands in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The root.
    Ministry,
    /// Has communes below it.
    Province,
    /// A leaf.
    Commune,
}

/// One node.
pub struct Place {
    /// Its number.
    pub index: usize,
    /// Code of its unit.
    pub code: String,
    /// Its level.
    pub level: Level,
    /// The node above.
    pub parent: Option<usize>,
    /// The unit it serves.
    pub unit: UnitId,
    /// It, while it runs.
    pub node: Node,
    /// Its way up.
    pub upstream: Option<Upstream>,
    /// How far its clock is ahead, in milliseconds.
    pub ahead_ms: Arc<AtomicI64>,
    /// Off until this day.
    pub away_until: u32,
    /// Its clock is wrong until this day.
    pub clock_until: u32,
    /// Its line is cut until this day.
    pub cut_until: u32,
    /// Copies of its disk, oldest first.
    pub backups: Vec<PathBuf>,
    /// All openings it ever had; a restored disk forgets some.
    pub incarnations: Vec<Incarnation>,
    home: PathBuf,
    generation: u32,
}

/// A commune that is not in use: of a whole country not all stores can be open at once.
pub struct Asleep {
    /// Its number.
    pub index: usize,
    /// Code of its unit.
    pub code: String,
    /// The node above.
    pub parent: usize,
    home: PathBuf,
}

/// The virtual clock of everybody: each reading is a millisecond later than the one before, so that no two are alike.
#[derive(Clone)]
pub struct Sun {
    now_ms: Arc<AtomicI64>,
    tick_ms: Arc<AtomicI64>,
}

/// 22 March 2026, 03:00 UTC.
const START_MS: i64 = 1_774_148_400_000;
const DAY_MS: i64 = 86_400_000;

impl Sun {
    /// Before the first day.
    pub fn new() -> Sun {
        Sun {
            now_ms: Arc::new(AtomicI64::new(START_MS)),
            tick_ms: Arc::new(AtomicI64::new(1)),
        }
    }

    /// The morning of a day.
    pub fn rise(&self, day: u32) {
        self.now_ms
            .store(START_MS + i64::from(day) * DAY_MS, Ordering::SeqCst);
    }

    /// Time stands still, or goes on.
    pub fn stand_still(&self, still: bool) {
        self.tick_ms.store(i64::from(!still), Ordering::SeqCst);
    }

    /// The true time.
    pub fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn clock(&self, ahead_ms: Arc<AtomicI64>) -> Clock {
        let sun = self.clone();
        Clock::from_fn(move || {
            let tick_ms = sun.tick_ms.load(Ordering::SeqCst);
            sun.now_ms.fetch_add(tick_ms, Ordering::SeqCst) + ahead_ms.load(Ordering::SeqCst)
        })
    }
}

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        readers: 1,
        wal_checkpoint_pages: 200,
        ..StoreOptions::new(dir)
    }
}

impl Place {
    /// A new node on an empty disk.
    pub fn new(
        home: PathBuf,
        index: usize,
        code: &str,
        level: Level,
        parent: Option<usize>,
        sun: &Sun,
    ) -> Place {
        let dir = home.join("0");
        std::fs::create_dir_all(&dir).expect("room for a simulated disk");
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let clock = sun.clock(ahead_ms.clone());
        let word = match level {
            Level::Ministry => "ministry",
            Level::Province => "province",
            Level::Commune => "commune",
        };
        let file = dir.join("config.toml");
        let text = format!("[node]\nunit = {code:?}\nlevel = {word:?}\ndata_dir = \".\"\n");
        std::fs::write(&file, text).expect("a writable disk");
        let loaded = nqsync::config::load(&file, std::iter::empty(), &[]).expect("a configuration");
        setup::init(&loaded.config, &clock, None).expect("a new node");
        let store = Store::open(&options(&dir)).expect("its store");
        let unit = store.shown().unit.unwrap_or(UnitId(uuid::Uuid::nil()));
        let settings = Settings {
            service: true,
            // Small ones, so that a session has several batches and can be cut between them.
            batch_records: 3 + index % 4,
            ..Settings::default()
        };
        Place {
            index,
            code: code.to_owned(),
            level,
            parent,
            unit,
            node: Node {
                store,
                clock,
                settings,
            },
            upstream: None,
            ahead_ms,
            away_until: 0,
            clock_until: 0,
            cut_until: 0,
            backups: Vec::new(),
            incarnations: Vec::new(),
            home,
            generation: 0,
        }
    }

    /// A node that was put to sleep wakes up, with the batches of a service, and finds its parent again.
    pub async fn resume(asleep: &Asleep, sun: &Sun, net: &Arc<Net>) -> Place {
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let store = Store::open(&options(&asleep.home.join("0"))).expect("its store");
        let shown = store.shown();
        let up = shown.links.iter().find(|link| link.role == Role::Upstream);
        let parent = up.expect("a link up").peer;
        let mut place = Place {
            index: asleep.index,
            code: asleep.code.clone(),
            level: Level::Commune,
            parent: Some(asleep.parent),
            unit: shown.unit.expect("a unit"),
            node: Node {
                store,
                clock: sun.clock(ahead_ms.clone()),
                settings: Settings {
                    service: true,
                    ..Settings::default()
                },
            },
            upstream: None,
            ahead_ms,
            away_until: 0,
            clock_until: 0,
            cut_until: 0,
            backups: Vec::new(),
            incarnations: Vec::new(),
            home: asleep.home.clone(),
            generation: 0,
        };
        place.wake().await;
        place.connect(net, parent).await;
        place
    }

    /// Closes the store, so that the node costs nothing but its disk.
    pub fn sleep(self) -> Asleep {
        self.node.store.close();
        Asleep {
            index: self.index,
            code: self.code,
            parent: self.parent.expect("a child"),
            home: self.home,
        }
    }

    /// The present disk.
    pub fn dir(&self) -> PathBuf {
        self.home.join(self.generation.to_string())
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.node.store.shown().node.expect("a node")
    }

    /// The endpoints its children talk to.
    pub fn port(&self) -> Option<Router> {
        if self.level == Level::Commune {
            return None;
        }
        let keys = self.dir().join("keys");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let authority = match Authority::load(&keys) {
            Ok(authority) => authority,
            Err(_) => Authority::create(&keys, self.id(), now).expect("an authority"),
        };
        let hub = Hub::new(
            self.node.clone(),
            HubLimits::default(),
            Some(Held::new(authority)),
        );
        Some(hub.router())
    }

    /// Builds the way up.
    pub async fn connect(&mut self, net: &Arc<Net>, parent: NodeId) {
        let link = self
            .node
            .store
            .write(move |tx| links::ensure(tx.connection(), parent, Role::Upstream))
            .await
            .expect("a link");
        let wire = Wire {
            net: net.clone(),
            child: self.index,
        };
        self.upstream = Some(Upstream::new(
            self.node.clone(),
            "sim://parent".to_owned(),
            wire,
            link,
        ));
    }

    /// The machine dies, and starts again from what was on the disk at that moment.
    pub async fn crash(&mut self, net: &Arc<Net>) {
        let image = self.image();
        self.begin_from(image, net).await;
    }

    /// The disk is replaced by an old copy.
    pub async fn restore(&mut self, net: &Arc<Net>, backup: usize) {
        let image = self.next_dir();
        copy_disk(&self.backups[backup], &image);
        self.begin_from(image, net).await;
    }

    /// Keeps a copy of the disk as it is.
    pub fn back_up(&mut self) {
        let to = self.home.join(format!("backup-{}", self.backups.len()));
        copy_disk(&self.dir(), &to);
        self.backups.push(to);
    }

    fn next_dir(&self) -> PathBuf {
        self.home.join((self.generation + 1).to_string())
    }

    /// What a crash leaves: the files as they are, the write-ahead log included. Nothing writes meanwhile.
    fn image(&self) -> PathBuf {
        let to = self.next_dir();
        copy_disk(&self.dir(), &to);
        to
    }

    async fn begin_from(&mut self, image: PathBuf, net: &Arc<Net>) {
        net.plug(self.index, None);
        let parent = self.upstream.take().is_some().then(|| {
            let shown = self.node.store.shown();
            let up = shown.links.iter().find(|link| link.role == Role::Upstream);
            up.expect("a link up").peer
        });
        let old = self.dir();
        self.node.store.close();
        std::fs::remove_dir_all(old).expect("an old disk");
        self.generation += 1;
        self.node.store = Store::open(&options(&image)).expect("a store that opens after a crash");
        self.wake().await;
        if let Some(parent) = parent {
            self.connect(net, parent).await;
        }
        net.plug(self.index, self.port());
    }

    /// What the service does when it starts, and when a day turns.
    pub async fn wake(&self) {
        housekeeping::begin(&self.node).await.expect("a day");
    }

    /// Counts rollups until nothing is marked.
    pub async fn count(&self) {
        while self
            .node
            .store
            .read(queries::any_dirty)
            .await
            .expect("a read")
        {
            rollups::refresh(&self.node).await.expect("counted");
        }
    }

    /// Notes the openings of the present store.
    pub async fn note_incarnations(&mut self) {
        let chain = self.node.store.read(|c| queries::chain(c, 4)).await;
        for incarnation in chain.expect("a read") {
            if !self.incarnations.contains(&incarnation) {
                self.incarnations.push(incarnation);
            }
        }
    }
}

/// Copies a disk, but for what a machine that starts makes anew.
fn copy_disk(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if name == "lock" || name == "store.db-shm" {
            continue;
        }
        let target = to.join(&name);
        if entry.path().is_dir() {
            copy_disk(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
