//! Adapters that run by themselves: each in a task of its own, so that a slow system delays nobody else.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::schedule;
use crate::adapter::cycle::{Mode, RunError};
use crate::adapter::engine::EngineError;
use crate::adapter::profile::Schedule;
use crate::adapter::run;
use crate::api::Lang;
use crate::link::backoff::Backoff;
use crate::node::Node;
use crate::store::{StoreError, audit};

/// How often the folder of profiles is looked at.
const LOOK: Duration = Duration::from_secs(15);
/// How long changes here are gathered before a run.
const GATHER: Duration = Duration::from_secs(3);
/// The first pause after a run that failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));

/// Keeps every enabled adapter running until told to stop; a profile that was changed takes effect by itself.
pub async fn keep(node: Node, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    let mut running: BTreeMap<String, (Option<SystemTime>, CancellationToken)> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.cancelled() => break,
            _ = look.tick() => {}
        }
        let names = run::names(&node);
        running.retain(|name, (_, token)| {
            let stays = names.contains(name);
            if !stays {
                token.cancel();
            }
            stays
        });
        for name in names {
            let written = written_at(&node.settings.adapters_dir.join(format!("{name}.toml")));
            if running.get(&name).is_some_and(|(at, _)| *at == written) {
                continue;
            }
            let token = stop.child_token();
            if let Some((_, old)) = running.insert(name.clone(), (written, token.clone())) {
                old.cancel();
            }
            tasks.spawn(keep_one(node.clone(), name, token));
        }
        // Ended tasks are taken off; their profiles are looked at again when they change.
        while tasks.try_join_next().is_some() {}
    }
    tasks.shutdown().await;
}

fn written_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
}

/// One adapter for as long as its profile stays as it is.
async fn keep_one(node: Node, name: String, stop: CancellationToken) {
    let schedule = match run::load(&node, &name) {
        Ok(loaded) if loaded.profile.enabled => loaded.profile.schedule,
        Ok(_) => return,
        Err(error) => {
            tracing::error!(adapter = name, %error, "the adapter's profile cannot be used");
            if let Err(error) = run::note_not_begun(&node, &name, &error).await {
                tracing::error!(adapter = name, %error, "this could not be noted");
            }
            return;
        }
    };
    tracing::info!(adapter = name, "the adapter runs by itself");
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut again = None;
    let mut seen = 0;
    loop {
        let due = tokio::select! {
            _ = stop.cancelled() => return,
            due = wait(&node, &schedule, again, &mut seen) => due,
        };
        if let Err(error) = due {
            tracing::error!(adapter = name, %error, "the adapter cannot wait for changes");
            return;
        }
        let ran = tokio::select! {
            // A run that is cut leaves its writes in the outbox; the next one asks what became of them.
            _ = stop.cancelled() => return,
            ran = run::run(&node, &name, Mode::default(), Lang::default()) => ran,
        };
        again = match ran {
            Ok(outcome) => match &outcome.error {
                None => {
                    backoff.reset();
                    None
                }
                Some(error) => Some(backoff.next(asked(error))),
            },
            Err(error) => {
                tracing::error!(adapter = name, %error, "the adapter did not run");
                Some(backoff.next(None))
            }
        };
        seen = happened(&node).await.unwrap_or(seen);
    }
}

fn asked(error: &RunError) -> Option<Duration> {
    match error {
        RunError::Outside(EngineError::Unreachable { retry_after, .. }) => *retry_after,
        _ => None,
    }
}

/// Waits for the schedule, for a change here, or for the next try after a failure, whichever comes first.
async fn wait(
    node: &Node,
    schedule: &Schedule,
    again: Option<Duration>,
    seen: &mut i64,
) -> Result<(), StoreError> {
    let now = node.clock.now_ms();
    let cron = schedule::pause(&schedule.cron, now, &node.settings.zone, Duration::ZERO);
    tokio::select! {
        _ = sleep_for(cron) => Ok(()),
        _ = sleep_for(again) => Ok(()),
        // After a failure its own pause counts: a system that is down is not asked at every change.
        changed = changes(node, seen), if schedule.on_change && again.is_none() => changed,
    }
}

async fn sleep_for(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Returns when something happened here that the last run has not seen.
async fn changes(node: &Node, seen: &mut i64) -> Result<(), StoreError> {
    let mut commits = node.store.commits();
    loop {
        commits.mark_unchanged();
        let now = happened(node).await?;
        if now != *seen {
            tokio::time::sleep(GATHER).await;
            *seen = happened(node).await?;
            return Ok(());
        }
        if commits.changed().await.is_err() {
            return Err(StoreError::Stopped);
        }
    }
}

async fn happened(node: &Node) -> Result<i64, StoreError> {
    node.store.read(audit::happened).await
}
