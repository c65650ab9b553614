//! Nodes for tests: real stores in temporary folders, real certificates, real TLS on loopback, ports chosen by the
//! system. Nothing sleeps; whatever has to happen is awaited.

#![allow(dead_code)] // Each test file uses its own part.

pub mod browser;
pub mod console;
pub mod control;
pub mod deposits;
pub mod disks;
pub mod files;
pub mod folders;
pub mod machine;
pub mod medium;
pub mod office;
pub mod outside;
pub mod pair;
pub mod paired;
pub mod programs;
pub mod promises;
pub mod raw;
pub mod relay;
pub mod schema;
pub mod stopping;
pub mod strace;
pub mod tap;
pub mod tracker;
pub mod webdriver;
pub mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use nqsync::clock::Clock;
use nqsync::config::{Config, Level, Loaded};
use nqsync::daemon::uplink::{self, Synced};
use nqsync::daemon::{listener, setup};
use nqsync::link::{LinkError, Upstream};
use nqsync::node::write::{Acting, create, update};
use nqsync::node::{Node, Refusal};
use nqsync::store::links::{self, Role};
use nqsync::store::nodes::{self, TokenRow};
use nqsync::store::receipts;
use nqsync::store::{Store, StoreError, Stored, quarantine, queries, records};
use nqsync::trust::token;
use nqsync_core::model::{Facts, Kind, UnitId};
use nqsync_core::sync::{Context, Digest, Token};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// 22 March 2026, 03:00 UTC.
pub const START_MS: i64 = 1_774_148_400_000;

/// One node of a test.
pub struct Place {
    pub node: Node,
    pub loaded: Loaded,
    pub clock_ms: Arc<AtomicI64>,
    pub upstream: Option<Upstream>,
    url: Option<String>,
    config: Option<watch::Sender<Config>>,
    stop: CancellationToken,
    tasks: TaskTracker,
    pub dir: TempDir,
}

/// Register values from pairs.
pub fn values<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Writes a configuration for a node and reads it back.
pub fn configure(dir: &Path, unit: &str, level: Level) -> Loaded {
    let file = dir.join("config.toml");
    let mut text = format!(
        "[node]\nunit = {unit:?}\nlevel = {:?}\ndata_dir = \".\"\n",
        level.as_str()
    );
    if level != Level::Commune {
        text.push_str("[sync]\nmax_batch_bytes = \"8 MiB\"\nblob_chunk_bytes = \"256 KiB\"\n[listen]\naddress = \"127.0.0.1:0\"\nnames = [\"127.0.0.1\"]\n");
    }
    std::fs::write(&file, text).expect("a writable temporary folder");
    nqsync::config::load(&file, std::iter::empty(), &[]).expect("a valid configuration")
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

impl Place {
    /// The topmost node.
    pub async fn ministry(code: &str) -> Place {
        Place::begin(code, Level::Ministry).await.open().await
    }

    async fn begin(code: &str, level: Level) -> Place {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let loaded = configure(dir.path(), code, level);
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        let ticking = clock_ms.clone();
        let clock = Clock::from_fn(move || ticking.fetch_add(1, Ordering::SeqCst));
        let (config, init_clock) = (loaded.config.clone(), clock.clone());
        tokio::task::spawn_blocking(move || setup::init(&config, &init_clock, None))
            .await
            .expect("no panic")
            .expect("a new node");
        let store = Store::open(&setup::store_options(&loaded.config)).expect("its store");
        let node = Node {
            store,
            clock,
            settings: setup::settings(&loaded),
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Place {
            node,
            loaded,
            clock_ms,
            upstream: None,
            url: None,
            config: None,
            stop,
            tasks,
            dir,
        }
    }

    async fn open(self) -> Place {
        self.listen().await;
        self
    }

    async fn listen(&self) {
        listener::start(&self.node, &self.loaded.config, &self.stop, &self.tasks)
            .await
            .expect("listening");
    }

    /// Stops the node; its folder may be copied or replaced now.
    pub async fn shut(&mut self) {
        self.upstream = None;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.node.store.close();
    }

    /// Starts it again from its folder, listening at a new address: children must [`Place::find`] it.
    pub async fn start(&mut self) {
        (self.stop, self.tasks) = (CancellationToken::new(), TaskTracker::new());
        self.node.store =
            Store::open(&setup::store_options(&self.loaded.config)).expect("its store");
        if let Some(url) = self.url.clone() {
            self.connect(&url).await;
        }
        if self.loaded.config.listen.is_some() {
            self.listen().await;
        }
    }

    /// Runs the service's own way up, to a parent at this address.
    pub async fn serve_at(&mut self, url: &str) {
        self.upstream = None;
        let address = url.to_owned();
        let told = self
            .node
            .store
            .write(move |tx| tx.set_meta("upstream_url", &address));
        told.await.expect("written");
        let (sender, config) = watch::channel(self.loaded.config.clone());
        self.config = Some(sender);
        uplink::start(&self.node, &self.loaded, config, &self.stop, &self.tasks)
            .await
            .expect("started")
            .expect("enrolled");
    }

    /// Connects to a parent that moved to another address.
    pub async fn find(&mut self, parent: &Place) {
        let url = parent.meta("listen_url").await;
        self.connect(&url).await;
    }

    /// Where this node listens.
    pub async fn url(&self) -> String {
        self.meta("listen_url").await
    }

    async fn meta(&self, key: &'static str) -> String {
        let found = self
            .node
            .store
            .read(move |c| queries::meta(c, key))
            .await
            .expect("a read");
        found.expect(key)
    }

    /// A copy of the store's folder while the node is shut.
    pub fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("a temporary folder");
        copy_all(self.dir.path(), copy.path());
        copy
    }

    /// A second machine that was set up from a copy of this one's folder. It must [`Place::find`] its parent.
    pub async fn twin(&self, copy: &TempDir) -> Place {
        let dir = tempfile::tempdir().expect("a temporary folder");
        copy_all(copy.path(), dir.path());
        let file = dir.path().join("config.toml");
        let loaded = nqsync::config::load(&file, std::iter::empty(), &[]).expect("valid");
        let store = Store::open(&setup::store_options(&loaded.config)).expect("its store");
        Place {
            node: Node {
                store,
                clock: self.node.clock.clone(),
                settings: setup::settings(&loaded),
            },
            loaded,
            clock_ms: self.clock_ms.clone(),
            upstream: None,
            url: None,
            config: None,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            dir,
        }
    }

    /// Puts a copy back in the place of the present folder while the node is shut.
    pub fn put_back(&self, copy: &TempDir) {
        for entry in std::fs::read_dir(self.dir.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.expect("removed");
        }
        copy_all(copy.path(), self.dir.path());
    }

    /// Writes into a record held here, for its owner.
    pub async fn set<const N: usize>(
        &self,
        id: Uuid,
        unit: UnitId,
        pairs: [(&str, Value); N],
        token: Option<Token>,
    ) -> Result<Uuid, Refusal> {
        let acting = self.acting(unit);
        let values = values(pairs);
        self.node
            .store
            .write(move |tx| {
                let stored = tx.load(id)?.expect("held here");
                update(tx, &acting, stored, values, token.as_ref()).map(|w| w.record.key().id)
            })
            .await
    }

    /// The same values into many records, in one transaction.
    pub async fn set_all<const N: usize>(
        &self,
        ids: Vec<Uuid>,
        unit: UnitId,
        pairs: [(&str, Value); N],
    ) {
        let (acting, values) = (self.acting(unit), values(pairs));
        let written = self.node.store.write(move |tx| {
            for id in ids {
                let stored = tx.load(id)?.expect("held here");
                update(tx, &acting, stored, values.clone(), None)?;
            }
            Ok::<_, Refusal>(())
        });
        written.await.expect("written");
    }

    /// The same, with any number of values.
    pub async fn put_values(
        &self,
        id: Uuid,
        unit: UnitId,
        values: BTreeMap<String, Value>,
    ) -> Result<Uuid, Refusal> {
        let acting = self.acting(unit);
        self.node
            .store
            .write(move |tx| {
                let stored = tx.load(id)?.expect("held here");
                update(tx, &acting, stored, values, None).map(|w| w.record.key().id)
            })
            .await
    }

    fn acting(&self, unit: UnitId) -> Acting {
        Acting {
            unit,
            person: "test".into(),
            now_ms: self.node.clock.now_ms(),
        }
    }

    /// A record held here.
    pub async fn stored(&self, id: Uuid) -> Stored {
        let read = self.node.store.read(move |c| records::load(c, id)).await;
        read.expect("a read").expect("held here")
    }

    /// Everything set aside, here or at a neighbour.
    pub async fn set_aside(&self) -> Vec<quarantine::Item> {
        let read = self.node.store.read(|connection| {
            let all = quarantine::all(connection)?.into_iter();
            // A list leaves the content out.
            let whole = all.map(|item| quarantine::get(connection, item.item));
            whole.filter_map(Result::transpose).collect()
        });
        let found: Result<_, StoreError> = read.await;
        found.expect("a read")
    }

    /// The receipts of a record.
    pub async fn receipts(&self, id: Uuid) -> Vec<(UnitId, Context)> {
        let rec = self.stored(id).await.rec;
        let found = self.node.store.read(move |c| receipts::of(c, rec)).await;
        let found = found.expect("a read").into_iter();
        found.map(|(unit, extent, _)| (unit, extent)).collect()
    }

    /// The neighbour's row.
    pub async fn link_to(&self, other: &Place) -> links::LinkRow {
        let node = other.node.store.shown().node.expect("a node");
        self.node
            .store
            .read(move |c| {
                let link = links::find(c, node)?.expect("a neighbour");
                links::row(c, link)
            })
            .await
            .expect("a read")
    }

    /// A child of another node, enrolled with a token like any other.
    pub async fn child(parent: &Place, code: &str, unit: UnitId) -> Place {
        let level = match parent.loaded.config.node.level {
            Level::Ministry => Level::Province,
            _ => Level::Commune,
        };
        let mut place = Place::begin(code, level).await;
        let (text, url) = parent.token(code, unit).await;
        place.node.store.close();
        setup::enrol(&place.loaded.config, &place.node.clock, Some(&url), &text)
            .await
            .expect("enrolled");
        let store = Store::open(&setup::store_options(&place.loaded.config)).expect("its store");
        place.node.store = store;
        place.connect(&url).await;
        if level == Level::Commune {
            place
        } else {
            place.open().await
        }
    }

    /// Builds the way to the parent without keeping it alive: the test decides when to exchange.
    pub async fn connect(&mut self, url: &str) {
        self.connect_over(url, |client| client).await;
    }

    /// The same over something that stands between the client and the line.
    pub async fn connect_over<T: nqsync::link::transport::Transport>(
        &mut self,
        url: &str,
        over: impl FnOnce(reqwest::Client) -> T,
    ) {
        use nqsync::trust::tls::{ClientTimeouts, ClientTls, ParentPin, log_date_warning};
        let (chain, key) = nqsync::trust::renewal::held(self.dir.path())
            .expect("readable keys")
            .expect("enrolled");
        let (pin, parent) = self
            .node
            .store
            .read(|c| {
                Ok::<_, StoreError>((
                    queries::meta(c, "upstream_pin")?,
                    queries::meta(c, "upstream_node")?,
                ))
            })
            .await
            .expect("the parent's identity");
        let pin = ParentPin(pin.expect("a pin").parse().expect("a pin"));
        let tls = ClientTls::new(
            Some((chain, &key)),
            pin,
            setup::trust_clock(&self.node.clock),
            Arc::new(log_date_warning),
        );
        let client = tls
            .expect("tls")
            .http_client(&ClientTimeouts::default())
            .expect("a client");
        let parent = parent.expect("a parent").parse().expect("a node id");
        let link = self
            .node
            .store
            .write(move |tx| links::ensure(tx.connection(), parent, Role::Upstream))
            .await
            .expect("a link");
        self.url = Some(url.to_owned());
        self.upstream = Some(Upstream::new(
            self.node.clone(),
            url.to_owned(),
            over(client),
            link,
        ));
    }

    /// A token for a unit below, and where we listen.
    pub async fn token(&self, code: &str, unit: UnitId) -> (String, String) {
        let url = self.meta("listen_url").await;
        let pin = self.meta("ca_pin").await.parse().expect("a pin");
        let expires_ms = self.node.clock.now_ms() + 3_600_000;
        let expires = jiff::Timestamp::from_millisecond(expires_ms).expect("a time");
        let (text, record) = token::mint(&mut rand::rng(), code, Some(&url), pin, expires);
        let row = TokenRow {
            hash: record.hash,
            unit,
            created_at: self.node.clock.now_ms(),
            expires_at: expires_ms,
            used: None,
        };
        self.node
            .store
            .write(move |tx| nodes::insert_token(tx.connection(), &row))
            .await
            .expect("a token");
        (text, url)
    }

    /// The unit this node serves.
    pub fn unit(&self) -> UnitId {
        self.node.store.shown().unit.expect("a unit")
    }

    /// Adds a unit under another one, by default under our own.
    pub async fn add_unit(&self, code: &str, level: &str, under: Option<UnitId>) -> UnitId {
        let owner = under.unwrap_or_else(|| self.unit());
        let id = self
            .create(
                owner,
                Facts::Unit { owner },
                values([
                    ("code", json!(code)),
                    ("name", json!(format!("Đơn vị {code}"))),
                    ("level", json!(level)),
                    ("parent", json!([{ "unit": owner }])),
                ]),
            )
            .await;
        UnitId(id)
    }

    /// Writes a new record, or into the one its natural key names.
    pub async fn create(
        &self,
        unit: UnitId,
        facts: Facts,
        values: BTreeMap<String, Value>,
    ) -> Uuid {
        self.try_create(unit, facts, values)
            .await
            .expect("a record")
    }

    /// The same, when a refusal is expected.
    pub async fn try_create(
        &self,
        unit: UnitId,
        facts: Facts,
        values: BTreeMap<String, Value>,
    ) -> Result<Uuid, Refusal> {
        let acting = self.acting(unit);
        self.node
            .store
            .write(move |tx| {
                create(tx, &acting, facts, values, None).map(|written| written.record.key().id)
            })
            .await
    }

    /// The same record so many times over, in one transaction.
    pub async fn create_many(
        &self,
        count: usize,
        unit: UnitId,
        facts: Facts,
        values: BTreeMap<String, Value>,
    ) -> Vec<Uuid> {
        let acting = self.acting(unit);
        let written = self.node.store.write(move |tx| {
            let one = |_| {
                let written = create(tx, &acting, facts.clone(), values.clone(), None)?;
                Ok::<_, Refusal>(written.record.key().id)
            };
            (0..count).map(one).collect::<Result<Vec<Uuid>, _>>()
        });
        written.await.expect("records")
    }

    /// One whole exchange with the parent; opened again when the parent asks for that, as the service does.
    pub async fn sync(&self) -> Synced {
        self.settled_sync().await.expect("an exchange")
    }

    /// The same, when a refusal is expected.
    pub async fn refused_sync(&self) -> LinkError {
        self.settled_sync().await.expect_err("a refusal")
    }

    async fn settled_sync(&self) -> Result<Synced, LinkError> {
        for _ in 0..4 {
            match self.try_sync().await {
                Err(LinkError::Reopen(_)) => {}
                settled => return settled,
            }
        }
        self.try_sync().await
    }

    /// Records up and down; files stay.
    pub async fn sync_records(&self) {
        let upstream = self.upstream.as_ref().expect("a child");
        upstream.open().await.expect("a session");
        upstream.push().await.expect("pushed");
        while upstream.pull(0).await.expect("a pull") {}
    }

    /// One try, whatever comes of it.
    pub async fn try_sync(&self) -> Result<Synced, LinkError> {
        let upstream = self.upstream.as_ref().expect("a child");
        let before = upstream.progress().borrow().clone();
        upstream.open().await?;
        upstream.push().await?;
        while upstream.pull(0).await? {}
        upstream.push().await?;
        upstream.files().await?;
        let agrees = upstream.compare().await?;
        let now = upstream.progress().borrow().clone();
        Ok(Synced {
            report: now.since(&before),
            agrees,
        })
    }

    /// Whether the record is held here.
    pub async fn holds(&self, id: Uuid) -> bool {
        self.node
            .store
            .read(move |c| records::load(c, id))
            .await
            .expect("a read")
            .is_some()
    }

    /// The digest of a record held here.
    pub async fn digest(&self, id: Uuid) -> Option<Digest> {
        self.node
            .store
            .read(move |c| records::load(c, id))
            .await
            .expect("a read")
            .map(|s| s.digest)
    }

    /// How many records of a kind are held here.
    pub async fn count(&self, kind: Kind) -> usize {
        self.node
            .store
            .read(move |c| records::of_kind(c, kind))
            .await
            .expect("a read")
            .len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
