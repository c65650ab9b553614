//! When this node deposits its sealed backup at its parent: once a day, when a recovery key was made, and when a person asks.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::Config;
use crate::link::upstream::deposit::Outcome;
use crate::link::{LinkError, Upstream};
use crate::node::{Node, deposit};

/// Pause after a change in the store before it is looked again whether one is due.
const LOOK: Duration = Duration::from_secs(1);

/// Deposits whenever it is due, for as long as the session lasts. What is wrong with a deposit stops nothing else.
pub async fn keep(
    node: &Node,
    upstream: &Upstream,
    mut config: watch::Receiver<Config>,
) -> Result<(), LinkError> {
    let mut commits = node.store.commits();
    loop {
        commits.mark_unchanged();
        let interval = config.borrow_and_update().deposit.interval_s.into();
        let now_ms = node.clock.now_ms();
        let pause = node
            .store
            .read(move |c| deposit::pause(c, interval, now_ms))
            .await?;
        if pause == Some(Duration::ZERO) {
            attempt(node, upstream).await?;
            continue;
        }
        let due = async {
            match pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            _ = config.changed() => {}
            changed = commits.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        }
    }
}

async fn attempt(node: &Node, upstream: &Upstream) -> Result<(), LinkError> {
    let (code, message) = match upstream.deposit().await {
        Ok(Outcome::Complete) => {
            tracing::info!("the sealed backup of this node is deposited at the parent");
            return Ok(());
        }
        Ok(Outcome::Not(code, message)) => (code, message),
        Err(LinkError::Backup(message)) => ("backup".to_owned(), message),
        Err(LinkError::Store(error)) if !error.is_fatal() => {
            ("store".to_owned(), error.to_string())
        }
        Err(error) => return Err(error),
    };
    tracing::warn!(code, message, "no backup was deposited at the parent");
    Ok(deposit::note_trouble(node, &code, message).await?)
}
