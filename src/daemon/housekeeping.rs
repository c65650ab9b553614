//! What the node does by itself: rollups after changes, the turn of the day, leftovers of crashes.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::evidence;
use crate::node::commands::approvals;
use crate::node::sealed;
use crate::node::{Node, recovery, reminders, rollups, standings, warnings};
use crate::store::{StoreError, blobs};

/// How often the date is looked at.
const DAY_CHECK: Duration = Duration::from_secs(60);
/// How often it is counted who still owes a report.
const REMIND: Duration = Duration::from_secs(600);
/// Recomputing may take at most one part in this many of the time.
const SHARE: u32 = 4;

/// Before anything else runs: sweep, and tell the store what day it is.
pub async fn begin(node: &Node) -> Result<(), StoreError> {
    if node.store.damage().is_some() {
        // It is only looked at.
        return Ok(());
    }
    let dir = node.store.dir().to_path_buf();
    let swept = move || {
        sealed::sweep(&dir)?;
        evidence::sweep(&dir)?;
        blobs::sweep(&dir)
    };
    tokio::task::spawn_blocking(swept)
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))??;
    recovery::look_where_we_are(node).await?;
    approvals::note_policy(node).await?;
    turn_day(node).await
}

/// Units change by date, and a task becomes overdue by date.
async fn turn_day(node: &Node) -> Result<(), StoreError> {
    let today = node.today().to_string();
    let worker = node.clone();
    node.store
        .write(move |tx| {
            let before = tx.meta("today")?;
            let day = before.as_deref().and_then(|text| text.parse().ok());
            warnings::begin_day(&worker, tx, day)?;
            if before.as_deref() == Some(today.as_str()) {
                return Ok(());
            }
            tx.set_meta("today", &today)?;
            let former = tx.tree();
            tx.tree_has_changed();
            tx.settle_tree()?;
            if !tx.tree().stands_like(&former) {
                standings::units_moved(tx)?;
            }
            rollups::touch_all(&worker, tx)
        })
        .await
}

/// Keeps rollups up to date until told to stop.
pub async fn keep(node: Node, stop: CancellationToken) {
    let mut commits = node.store.commits();
    let mut day = tokio::time::interval(DAY_CHECK);
    let mut remind = tokio::time::interval(REMIND);
    commits.mark_changed();
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = day.tick() => {
                if let Err(error) = turn_day(&node).await {
                    tracing::error!(%error, "cannot turn the day");
                }
            }
            _ = remind.tick() => {
                if let Err(error) = reminders::refresh(&node).await {
                    tracing::error!(%error, "cannot count who owes a report; status shows the last count");
                }
            }
            changed = commits.changed() => {
                if changed.is_err() {
                    return;
                }
                let began = Instant::now();
                if let Err(error) = standings::refresh(&node).await {
                    tracing::error!(%error, "cannot note where work stands; pages count it when they are asked");
                }
                if let Err(error) = rollups::refresh(&node).await {
                    tracing::error!(%error, "cannot recompute rollups; they stand with their as-of");
                }
                if let Err(error) = warnings::refresh(&node).await {
                    tracing::error!(%error, "cannot look for red warnings; those known stand");
                }
                // A first load touches the same groups again and again: the pause grows with the work.
                let pause = began.elapsed() * (SHARE - 1);
                tokio::select! {
                    _ = stop.cancelled() => return,
                    _ = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}
