//! Opening the store, the writer thread with group commit, and the pool of readers.

mod writer;

use std::any::Any;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use nqsync_core::model::Classification;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot, watch};

use super::format::{back_up_before_upgrade, migrate};
use super::health::{self, Damage, Files, Left};
use super::tx::{Shown, Tx, WriterState};
use super::{LinkId, StoreError, queries, restore};
use crate::chance::Chance;
use writer::{wrap, write_loop};

/// Oldest SQLite without the WAL-reset defect.
const MIN_SQLITE: i32 = 3_051_003;

/// Whether an SQLite, by the number of its version, is without the WAL-reset defect.
fn is_sound(version: i32) -> bool {
    version >= MIN_SQLITE
}

/// Tries for the lock of a directory, and the pause between two: together a quarter of a second.
const LOCK_TRIES: u32 = 10;
/// See [`LOCK_TRIES`].
const LOCK_PAUSE: Duration = Duration::from_millis(25);
/// Jobs waiting for the writer; further callers wait.
const QUEUE: usize = 4096;
/// Pages of SQLite's cache per connection, in KiB: small, a commune node idles under 48 MiB.
const CACHE_KIB: i64 = 4096;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Directory of the database, the blobs and the lock.
    pub dir: PathBuf,
    /// Create the store when there is none.
    pub create: bool,
    /// Read-only connections.
    pub readers: usize,
    /// Most jobs in one commit.
    pub group_commit_max: usize,
    /// Pages in the WAL before SQLite moves them into the database.
    pub wal_checkpoint_pages: u32,
    /// When it is opened, RFC 3339, for the backup before an upgrade.
    pub opened_at: String,
    /// The level of secrecy it is opened for. A store of another level is not opened.
    pub level: Classification,
    /// Where ids come from.
    pub chance: Chance,
}

impl StoreOptions {
    /// Defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>) -> StoreOptions {
        StoreOptions {
            dir: dir.into(),
            create: false,
            readers: 2,
            group_commit_max: 256,
            wal_checkpoint_pages: 16_000,
            opened_at: String::new(),
            level: Classification::None,
            chance: Chance::system(),
        }
    }
}

type Finish = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;
type Job = Box<dyn FnOnce(&mut Tx<'_>) -> Finish + Send>;

/// The store of one node. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    chance: Chance,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
    readers: Mutex<Vec<Connection>>,
    reader_slots: tokio::sync::Semaphore,
    signals: Signals,
    shown: Mutex<Shown>,
    lock: Mutex<Option<File>>,
    files: Files,
    left: Mutex<Left>,
    damage: watch::Sender<Option<Arc<Damage>>>,
    /// Somebody has a reason to look through the whole store.
    suspected: tokio::sync::Notify,
    files_lost: watch::Sender<u64>,
    /// The file system has become read-only under the running store.
    read_only: AtomicBool,
}

/// What changed, for those who wait.
struct Signals {
    commits: watch::Sender<u64>,
    links: Mutex<HashMap<LinkId, watch::Sender<u64>>>,
    stopped: watch::Sender<bool>,
}

/// Which process holds a directory, if any.
pub type LockedBy = Option<String>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while holding one of these short locks leaves plain values behind, never half a change.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Store {
    /// Opens the store, brings its format up to date and starts the writer.
    pub fn open(options: &StoreOptions) -> Result<Store, StoreError> {
        if !is_sound(rusqlite::version_number()) {
            return Err(StoreError::OldSqlite {
                found: rusqlite::version().to_owned(),
            });
        }
        let path = options.dir.join("store.db");
        if options.create {
            create_dir(&options.dir)?;
        }
        if restore::is_half(&options.dir) {
            return Err(StoreError::HalfRestored(options.dir.display().to_string()));
        }
        if !options.create && !path.exists() {
            return Err(StoreError::NotInitialised(
                options.dir.display().to_string(),
            ));
        }
        let lock_file = take_lock(&options.dir)?;
        create_dir(&options.dir.join("blobs"))?;
        let left = if path.exists() {
            health::left(&options.dir)
        } else {
            Left::Sealed
        };
        let mut connection = Connection::open(&path)?;
        if let Some(found) = queries::made_for(&connection)?
            && found != options.level
        {
            return Err(StoreError::OtherLevel {
                path: options.dir.display().to_string(),
                found,
                wanted: options.level,
            });
        }
        prepare(&connection, options.wal_checkpoint_pages)?;
        back_up_before_upgrade(&connection, options)?;
        migrate(&mut connection)?;
        let readers = (0..options.readers.max(1))
            .map(|_| open_reader(&path))
            .collect::<Result<Vec<_>, _>>()?;
        let state = WriterState::load(&connection, options.chance.clone())?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let inner = Arc::new(Inner {
            dir: options.dir.clone(),
            chance: options.chance.clone(),
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(None),
            reader_slots: tokio::sync::Semaphore::new(readers.len()),
            readers: Mutex::new(readers),
            signals: Signals {
                commits: watch::Sender::new(0),
                links: Mutex::new(HashMap::new()),
                stopped: watch::Sender::new(false),
            },
            shown: Mutex::default(),
            lock: Mutex::new(Some(lock_file)),
            files: Files::of(&options.dir)?,
            left: Mutex::new(left),
            damage: watch::Sender::new(health::mark(&options.dir).map(Arc::new)),
            suspected: tokio::sync::Notify::new(),
            files_lost: watch::Sender::new(0),
            read_only: AtomicBool::new(false),
        });
        *lock(&inner.shown) = state.shown();
        let max = options.group_commit_max.max(1);
        let weak = Arc::downgrade(&inner);
        let handle = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_loop(connection, queue, state, max, &weak))
            .map_err(|source| StoreError::Io {
                what: "start the writer thread".to_owned(),
                source,
            })?;
        *lock(&inner.writer) = Some(handle);
        Ok(Store { inner })
    }

    /// The directory of the store.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The level of secrecy of everything in here.
    pub fn level(&self) -> Classification {
        lock(&self.inner.shown).level
    }

    /// Where ids come from.
    pub fn chance(&self) -> &Chance {
        &self.inner.chance
    }

    /// Runs a job on the writer and answers when its changes are on disk. `Err` from the job rolls back its changes
    /// only; other jobs of the same commit are not touched.
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.is_whole()?;
        self.write_anyway(job).await
    }

    /// [`Store::write`] also into a store that was found damaged: for saying so in its audit.
    pub(crate) async fn write_anyway<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let sender = lock(&self.inner.jobs).clone().ok_or(StoreError::Stopped)?;
        sender
            .send(wrap(job, answer))
            .await
            .map_err(|_| StoreError::Stopped)?;
        drop(sender);
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Stopped.into()))
    }

    /// [`Store::write`] for callers outside the async runtime.
    pub fn write_blocking<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.is_whole()?;
        let (answer, answered) = oneshot::channel();
        let sender = lock(&self.inner.jobs).clone().ok_or(StoreError::Stopped)?;
        sender
            .blocking_send(wrap(job, answer))
            .map_err(|_| StoreError::Stopped)?;
        drop(sender);
        answered
            .blocking_recv()
            .unwrap_or_else(|_| Err(StoreError::Stopped.into()))
    }

    /// Runs a query on a read-only connection, on a thread that may block.
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let store = self.clone();
        let _slot = self
            .inner
            .reader_slots
            .acquire()
            .await
            .map_err(|_| StoreError::Stopped)?;
        tokio::task::spawn_blocking(move || store.read_blocking(query))
            .await
            .unwrap_or_else(|panic| Err(StoreError::Panicked(panic.to_string()).into()))
    }

    /// [`Store::read`] on the calling thread.
    pub fn read_blocking<T, E, F>(&self, query: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&Connection) -> Result<T, E>,
    {
        let pooled = lock(&self.inner.readers).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => open_reader(&self.inner.dir.join("store.db"))?,
        };
        // One snapshot for the whole query, so that an answer never mixes two states.
        connection
            .execute_batch("BEGIN")
            .map_err(StoreError::from)?;
        let result = catch_unwind(AssertUnwindSafe(|| query(&connection)));
        if connection.execute_batch("COMMIT").is_ok() {
            lock(&self.inner.readers).push(connection);
        }
        result.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(panic.as_ref())).into()))
    }

    /// Tree, neighbours and identity as of the last commit.
    pub fn shown(&self) -> Shown {
        lock(&self.inner.shown).clone()
    }

    /// Ticks with every commit.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.signals.commits.subscribe()
    }

    /// Ticks when a link has something new to send.
    pub fn link_news(&self, link: LinkId) -> watch::Receiver<u64> {
        lock(&self.inner.signals.links)
            .entry(link)
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe()
    }

    /// Turns true when the writer has stopped for good.
    pub fn stopped(&self) -> watch::Receiver<bool> {
        self.inner.signals.stopped.subscribe()
    }

    fn is_whole(&self) -> Result<(), StoreError> {
        match self.damage() {
            Some(damage) => Err(StoreError::Unsound(damage.found.join("; "))),
            None => Ok(()),
        }
    }

    /// What was found wrong with this store, if anything: then it takes nothing new.
    pub fn damage(&self) -> Option<Arc<Damage>> {
        self.inner.damage.borrow().clone()
    }

    /// Changes when damage is found, or found to be gone.
    pub fn damage_news(&self) -> watch::Receiver<Option<Arc<Damage>>> {
        self.inner.damage.subscribe()
    }

    /// From now on this store takes nothing new, also after a restart.
    pub fn set_damage(&self, damage: Damage) {
        if let Err(error) = health::set_mark(self.dir(), &damage) {
            // It holds for this process all the same, and the next one finds the damage again.
            tracing::error!(%error, "cannot mark the store as damaged");
        }
        self.inner.damage.send_replace(Some(Arc::new(damage)));
    }

    /// The whole store was looked through and nothing was found wrong.
    pub fn vouch(&self) -> Result<(), StoreError> {
        *lock(&self.inner.left) = Left::Sealed;
        if self.damage().is_some() {
            health::clear_mark(self.dir())?;
            self.inner.damage.send_replace(None);
        }
        Ok(())
    }

    /// How the store was left before this opening, unless it was looked through since.
    pub fn left(&self) -> Left {
        *lock(&self.inner.left)
    }

    /// Asks for the whole store to be looked through soon.
    pub fn suspect(&self) {
        self.inner.suspected.notify_one();
    }

    /// Returns when somebody has asked for that.
    pub async fn suspected(&self) {
        self.inner.suspected.notified().await;
    }

    /// Tells those who keep connections open that neighbours have to bring files again.
    pub fn tell_files_lost(&self) {
        self.inner.files_lost.send_modify(|n| *n += 1);
    }

    /// Ticks when that is so.
    pub fn files_lost(&self) -> watch::Receiver<u64> {
        self.inner.files_lost.subscribe()
    }

    /// Whether the file system has become read-only: reads go on, writes are refused.
    pub fn is_read_only(&self) -> bool {
        self.inner.read_only.load(Ordering::Relaxed)
    }

    /// Looks whether the store can go on: its files still stand where they were opened, and a disk that took nothing for a
    /// while has not come back. After that it must be opened anew.
    pub fn check(&self) -> Result<(), StoreError> {
        if !self.inner.files.database_stands() {
            return Err(StoreError::Gone(self.dir().display().to_string()));
        }
        if self.is_read_only() && !health::is_read_only(self.dir()) {
            return Err(StoreError::Stopped);
        }
        Ok(())
    }

    /// Finishes the jobs already queued, closes the database and ends the writer thread.
    pub fn close(&self) {
        // The writer goes last: only a connection that may write moves the write-ahead log into the database.
        lock(&self.inner.readers).clear();
        lock(&self.inner.jobs).take();
        if let Some(writer) = lock(&self.inner.writer).take() {
            // A writer that panicked has already told its callers that it stopped.
            let _ = writer.join();
        }
        if let Some(_held) = lock(&self.inner.lock).take()
            && !*self.inner.signals.stopped.borrow()
            && self.inner.files.database_stands()
        {
            health::seal(self.dir(), self.left());
        }
    }
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_owned())
}

fn prepare(connection: &Connection, checkpoint_pages: u32) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    #[cfg(feature = "faults")]
    if crate::faults::thrown(crate::faults::Canary::NoSync) {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", checkpoint_pages)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB * 4)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn create_dir(dir: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(dir).map_err(|source| StoreError::Io {
        what: format!("create {}", dir.display()),
        source,
    })
}

/// Whether the lock was taken. A helping process that another thread is just starting shares all open files, and with them
/// a lock that was given up meanwhile, until it becomes its own program: that is over in a moment.
fn lock_patiently(file: &File) -> bool {
    for _ in 0..LOCK_TRIES {
        if file.try_lock().is_ok() {
            return true;
        }
        thread::sleep(LOCK_PAUSE);
    }
    file.try_lock().is_ok()
}

/// Takes the directory's lock before SQLite is touched; the kernel gives it back however the process ends.
pub(super) fn take_lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let io = |source| StoreError::Io {
        what: format!("lock {}", path.display()),
        source,
    };
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    if !lock_patiently(&file) {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        return Err(StoreError::Locked {
            path: dir.display().to_string(),
            pid: pid.trim().to_owned(),
        });
    }
    file.set_len(0).map_err(io)?;
    write!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d14_an_sqlite_with_the_defect_is_refused_and_the_linked_one_has_it_not() {
        for old in [3_007_000, 3_044_006, 3_050_004, 3_051_000, 3_051_002] {
            assert!(!is_sound(old), "{old}");
        }
        for new in [3_051_003, 3_052_000, 4_000_000] {
            assert!(is_sound(new), "{new}");
        }
        // Asked of the library itself, not of the headers it was built with.
        assert!(is_sound(rusqlite::version_number()));
        let bundled = rusqlite::version();
        let parts: Vec<i32> = bundled.split('.').filter_map(|p| p.parse().ok()).collect();
        let number = parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2];
        assert_eq!(number, rusqlite::version_number(), "{bundled}");
        let refused = StoreError::OldSqlite {
            found: "3.51.2".to_owned(),
        };
        assert!(refused.to_string().contains("3.51.3"));
    }

    #[test]
    fn only_an_orderly_end_that_nobody_touched_is_taken_for_one() {
        let dir = tempfile::tempdir().expect("room");
        let open = || {
            Store::open(&StoreOptions {
                create: true,
                ..StoreOptions::new(dir.path())
            })
            .expect("a store")
        };
        let store = open();
        assert_eq!(store.left(), Left::Sealed);
        store.close();
        let store = open();
        assert_eq!(store.left(), Left::Sealed);
        drop(store);
        let store = open();
        assert_eq!(store.left(), Left::Unsealed);
        store.vouch().expect("looked through");
        store.close();
        let other = Connection::open(dir.path().join("store.db")).expect("a store");
        other
            .execute("INSERT INTO meta (key, value) VALUES ('x', 'y')", [])
            .expect("written");
        drop(other);
        for _ in 0..2 {
            let store = open();
            assert_eq!(store.left(), Left::Touched, "until it is looked through");
            store.close();
        }
    }

    #[test]
    fn an_orderly_end_leaves_everything_in_the_database_file() {
        let dir = tempfile::tempdir().expect("room");
        let options = StoreOptions {
            create: true,
            ..StoreOptions::new(dir.path())
        };
        let store = Store::open(&options).expect("a new store");
        store
            .write_blocking(|tx| tx.set_meta("note", "kept"))
            .expect("a write");
        store
            .read_blocking(|connection| crate::store::queries::meta(connection, "note"))
            .expect("a reader that has looked");
        assert!(dir.path().join("store.db-wal").exists());
        store.close();
        assert!(!dir.path().join("store.db-wal").exists());
    }
}
