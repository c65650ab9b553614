//! Looking through the whole store now and then: the database, every file, and files that nobody names.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::node::{Node, health};
use crate::store::deposits::{self, Depot};
use crate::store::{Left, StoreError, blobs, queries};

/// Fact of the store: when it was last looked through to the end, in milliseconds since 1970.
const DONE_AT: &str = "scrubbed_at";
/// Reading files may take at most one part in this many of the time.
const SHARE: u32 = 4;
/// How often files that nobody names are looked for.
const SWEEP: Duration = Duration::from_secs(6 * 3600);
/// Pause before a scrub that failed is tried again.
const AGAIN: Duration = Duration::from_secs(600);

/// Looks through the store every `interval`, after a crash, and when somebody asks for it, until told to stop or until
/// damage is found.
pub async fn keep(node: Node, interval: Duration, stop: CancellationToken) {
    let scrubs = async {
        if node.store.left() != Left::Unsealed {
            until_due(&node, interval).await;
        }
        loop {
            match pass(&node).await {
                Ok(()) => until_due(&node, interval).await,
                Err(error) => {
                    tracing::error!(%error, "cannot look through the store");
                    sleep(AGAIN).await;
                }
            }
        }
    };
    let sweeps = async {
        loop {
            if let Err(error) = health::sweep_strays(&node).await {
                tracing::error!(%error, "cannot look for files that nobody names");
            }
            sleep(SWEEP).await;
        }
    };
    tokio::select! {
        _ = stop.cancelled() => {}
        () = scrubs => {}
        () = sweeps => {}
    }
}

/// Waits until the next scrub is due, or somebody asks for one.
async fn until_due(node: &Node, interval: Duration) {
    let read = node.store.read(|c| queries::meta(c, DONE_AT)).await;
    let last = read
        .ok()
        .flatten()
        .and_then(|text| text.parse::<i64>().ok());
    let now = node.clock.now_ms();
    let pause = match last {
        // A clock that was put back must not put the scrub off for years.
        Some(last) if last <= now => {
            interval.saturating_sub(Duration::from_millis((now - last) as u64))
        }
        _ => Duration::ZERO,
    };
    tokio::select! {
        () = sleep(pause) => {}
        () = node.store.suspected() => {}
    }
}

/// Looks through what children deposited: a damaged piece goes, so that the next deposit brings it again.
async fn deposits(node: &Node) -> Result<(), StoreError> {
    let (dir, now_ms) = (node.store.dir().to_owned(), node.clock.now_ms());
    for child in deposits::nodes(&dir)? {
        let began = Instant::now();
        let depot = Depot::of(&dir, child);
        let looked = tokio::task::spawn_blocking(move || depot.look_through(now_ms)).await;
        let damaged = looked.map_err(|e| StoreError::Panicked(e.to_string()))??;
        if damaged > 0 {
            tracing::error!(%child, damaged, "pieces of a deposited backup were damaged on this disk");
        }
        sleep(began.elapsed() * (SHARE - 1)).await;
    }
    Ok(())
}

/// Looks at the database alone. Damage is told and marked.
pub async fn database(node: &Node) -> Result<(), StoreError> {
    let store = node.store.clone();
    let looked = tokio::task::spawn_blocking(move || health::database(&store)).await;
    let found = looked.map_err(|e| StoreError::Panicked(e.to_string()))??;
    health::conclude(node, &found).await
}

async fn pass(node: &Node) -> Result<(), StoreError> {
    database(node).await?;
    if node.store.damage().is_some() {
        return Ok(());
    }
    for (id, _) in node.store.read(blobs::all_present).await? {
        let began = Instant::now();
        let store = node.store.clone();
        let looked =
            tokio::task::spawn_blocking(move || health::file_is_whole(store.dir(), &id)).await;
        if !looked.map_err(|e| StoreError::Panicked(e.to_string()))?? {
            tracing::error!(
                file = blobs::hex(&id),
                "a file is damaged; it is fetched again"
            );
            health::fetch_again(node, vec![id]).await?;
        }
        sleep(began.elapsed() * (SHARE - 1)).await;
    }
    deposits(node).await?;
    let now = node.clock.now_ms().to_string();
    node.store.write(move |tx| tx.set_meta(DONE_AT, &now)).await
}
