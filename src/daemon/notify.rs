//! Telling people: each channel of `notify.toml` is served by itself, so that a mail server that is down delays no other.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::adapter::notify::Channels;
use crate::node::notices::UNUSABLE;
use crate::node::{Node, notices};
use crate::store::{StoreError, queries};

/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_secs(20);

/// Tells people until told to stop. The file is read at every look: a change of it takes effect by itself.
pub async fn keep(node: Node, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let told = tokio::select! {
            // What is cut here waits, and is sent again under the same name.
            _ = stop.cancelled() => return,
            told = round(&node) => told,
        };
        if let Err(error) = told {
            tracing::error!(%error, "people cannot be told of warnings and reminders");
        }
    }
}

/// Looks once, and sends what is to be sent now.
pub async fn round(node: &Node) -> Result<(), StoreError> {
    let Some(file) = node.settings.notify_file.clone() else {
        return Ok(());
    };
    let path = file.clone();
    let loaded = tokio::task::spawn_blocking(move || Channels::load(&path))
        .await
        .unwrap_or_else(|error| Err(error.to_string()));
    let unusable = loaded.as_ref().err().cloned().unwrap_or_default();
    note_unusable(node, unusable).await?;
    let Ok(Some(channels)) = loaded else {
        return Ok(());
    };
    let here = node.store.read(|c| queries::meta(c, "node")).await?;
    let here = here.unwrap_or_default();
    let telling = channels.telling();
    let one = async |channel: &'static str| {
        let Some(notice) = notices::next(node, channel, &telling).await? else {
            return Ok(());
        };
        let sent = channels.send(&file, &notice, &here).await;
        if let Err(error) = &sent {
            tracing::warn!(channel, %error, "a notice could not be sent; it is tried again");
        }
        notices::note(node, &notice, sent.map_err(|error| error.to_string())).await
    };
    let (mail, webhook) = match channels.names()[..] {
        [first, second] => tokio::join!(one(first), one(second)),
        [only] => (one(only).await, Ok(())),
        _ => (Ok(()), Ok(())),
    };
    mail.and(webhook)
}

async fn note_unusable(node: &Node, why: String) -> Result<(), StoreError> {
    let known = node.store.read(|c| queries::meta(c, UNUSABLE)).await?;
    if known.unwrap_or_default() == why {
        return Ok(());
    }
    if !why.is_empty() {
        tracing::error!(why, "nobody can be told of warnings and reminders");
    }
    node.store
        .write(move |tx| tx.set_meta(UNUSABLE, &why))
        .await
}
