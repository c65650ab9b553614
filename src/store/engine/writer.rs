//! The one thread that writes: it takes the jobs that wait together into one transaction, and tells each when that is on disk.

use std::sync::atomic::Ordering;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Finish, Inner, Job, Signals, lock};
use crate::store::tx::{Committed, Tx, WriterState};
use crate::store::{StoreError, health};

/// A change as a job of the writer: `answer` is told when its commit is on disk, or why it is not.
pub(super) fn wrap<T, E, F>(job: F, answer: oneshot::Sender<Result<T, E>>) -> Job
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
{
    Box::new(move |tx| {
        let result = match tx.savepoint(job) {
            Ok(inner) => inner,
            Err(error) => Err(E::from(error)),
        };
        Box::new(move |commit: Result<(), &StoreError>| {
            let result = match commit {
                Ok(()) => result,
                Err(StoreError::Full(what)) => Err(StoreError::Full(what.clone()).into()),
                Err(StoreError::ReadOnlyDisk(what)) => {
                    Err(StoreError::ReadOnlyDisk(what.clone()).into())
                }
                Err(_) => Err(StoreError::Stopped.into()),
            };
            // Whoever asked may have gone away; the change is on disk all the same.
            let _ = answer.send(result);
        })
    })
}

/// The writer: commits what is queued until nobody can queue any more, or the disk fails.
pub(super) fn write_loop(
    connection: Connection,
    mut queue: mpsc::Receiver<Job>,
    mut state: WriterState,
    max: usize,
    inner: &std::sync::Weak<Inner>,
) {
    let mut known = version(&connection);
    while let Some(first) = queue.blocking_recv() {
        let Some(strong) = inner.upgrade() else {
            return;
        };
        let mut finishes = Vec::new();
        let found = version(&connection);
        if std::mem::replace(&mut known, found) != found {
            tracing::error!("another program has written into the database; looking through it");
            strong.suspected.notify_one();
        }
        let outcome = commit_group(
            &connection,
            &mut queue,
            &mut state,
            first,
            max,
            &mut finishes,
        );
        let outcome = outcome
            .and_then(|committed| {
                if strong.files.stand() {
                    Ok(committed)
                } else {
                    Err(StoreError::Gone(strong.dir.display().to_string()))
                }
            })
            .map_err(|error| strong.of_the_disk(error));
        drop(strong);
        let fatal = outcome.as_ref().is_err_and(|error| error.is_fatal());
        if let Err(error) = &outcome {
            tracing::error!(%error, fatal, "a commit failed");
            if let Ok(fresh) = WriterState::load(&connection, state.chance.clone()) {
                state = fresh;
            }
        }
        let told = outcome.as_ref().map(|_| ());
        let Some(inner) = inner.upgrade() else { return };
        *lock(&inner.shown) = state.shown();
        finishes.into_iter().for_each(|finish| finish(told));
        if let Ok(committed) = outcome {
            inner.signals.tell(&committed);
        } else if fatal {
            // After a failed fsync the page is already marked clean: retrying would acknowledge what is not on disk.
            lock(&inner.jobs).take();
            inner.signals.stopped.send_replace(true);
            return;
        }
    }
}

/// One commit for as many jobs as are waiting: a commit costs a sync of the disk, a job hardly anything.
fn commit_group(
    connection: &Connection,
    queue: &mut mpsc::Receiver<Job>,
    state: &mut WriterState,
    first: Job,
    max: usize,
    finishes: &mut Vec<Finish>,
) -> Result<Committed, StoreError> {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        let error = StoreError::from(error);
        finishes.push(Box::new(|_| drop(first)));
        return Err(error);
    }
    let mut tx = Tx::new(connection, state);
    let mut next = Some(first);
    while let Some(job) = next {
        finishes.push(job(&mut tx));
        if connection.is_autocommit() {
            // Out of room in the middle of a job, SQLite has undone the whole transaction, the jobs before included.
            return Err(StoreError::Full("the data directory".to_owned()));
        }
        next = if finishes.len() < max {
            queue.try_recv().ok()
        } else {
            None
        };
    }
    let committed = tx.finish();
    #[cfg(feature = "faults")]
    if crate::faults::thrown(crate::faults::Canary::AckBeforeCommit) {
        connection.execute_batch("ROLLBACK")?;
        return Ok(committed);
    }
    match connection.execute_batch("COMMIT") {
        Ok(()) => Ok(committed),
        Err(error) => {
            // When COMMIT itself has rolled back there is nothing left to undo.
            let _ = connection.execute_batch("ROLLBACK");
            Err(error.into())
        }
    }
}

/// Changes when another program has written into the database.
fn version(connection: &Connection) -> Option<i64> {
    connection
        .prepare_cached("PRAGMA data_version")
        .and_then(|mut asked| asked.query_row([], |row| row.get(0)))
        .ok()
}

impl Inner {
    /// A write that failed because the file system takes nothing at all has left nothing half done: SQLite has rolled it
    /// back, and reads go on. Any other failure of the disk stays what it is.
    fn of_the_disk(&self, error: StoreError) -> StoreError {
        let failed = matches!(&error, StoreError::Full(_)) || error.is_fatal();
        let gone = matches!(&error, StoreError::Gone(_) | StoreError::Stopped);
        if failed && !gone && health::is_read_only(&self.dir) {
            self.read_only.store(true, Ordering::Relaxed);
            return StoreError::ReadOnlyDisk(self.dir.display().to_string());
        }
        error
    }
}

impl Signals {
    fn tell(&self, committed: &Committed) {
        self.commits.send_modify(|n| *n += 1);
        let mut links = lock(&self.links);
        for link in &committed.links {
            links
                .entry(*link)
                .or_insert_with(|| watch::Sender::new(0))
                .send_modify(|n| *n += 1);
        }
    }
}
