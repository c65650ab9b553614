//! Batches that go down to a child, which asks for them and waits a while where there are none.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nqsync_core::protocol::{Ack, BATCH_HEADER, BEFORE_HEADER, MAX_WAIT_S, Pull, hex};
use tokio::time::{Instant, timeout_at};

use super::{Child, Hub, Reply, acknowledging, refuse};
use crate::node::offer;
use crate::store::links;

/// Settles the batch before, if the child acknowledges one, and answers with the next, or with nothing after the wait.
pub(super) async fn pull(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Response, Reply> {
    let pull: Pull = acknowledging(&hub, &child, body).await?;
    if let Some(ack) = pull.ack {
        settle(&hub, child, ack).await?;
    }
    let deadline = Instant::now() + Duration::from_secs(pull.wait_s.min(MAX_WAIT_S));
    let store = &hub.inner.node.store;
    let mut news = store.link_news(child.link);
    loop {
        news.mark_unchanged();
        if let Some(batch) = prepare(&hub, child).await? {
            return Ok(batch);
        }
        match timeout_at(deadline, news.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn settle(hub: &Hub, child: Child, ack: Ack) -> Result<(), Reply> {
    let batch = hub.under_way().remove(&child.link);
    let Some(batch) = batch.filter(|batch| hex(&batch.position().hash) == ack.mark.hash) else {
        let store = &hub.inner.node.store;
        let row = store
            .read(move |connection| links::row(connection, child.link))
            .await?;
        if hex(&row.down.hash) == ack.mark.hash {
            // Settled before; the child gave up waiting for the answer.
            return Ok(());
        }
        return Err(refuse(
            StatusCode::CONFLICT,
            "position",
            "this batch was not sent in this session; open the session again",
        ));
    };
    let node = hub.inner.node.clone();
    let store = node.store.clone();
    store
        .write(move |tx| offer::acknowledged(&node, tx, child.link, &batch, &ack))
        .await?;
    Ok(())
}

async fn prepare(hub: &Hub, child: Child) -> Result<Option<Response>, Reply> {
    let node = hub.inner.node.clone();
    let shown = node.store.shown();
    let Some(own) = shown.node else {
        return Ok(None);
    };
    let target = offer::Target {
        link: child.link,
        peer: child.node,
        node: own,
        batch_bytes: hub.inner.limits.batch_bytes,
        after: (-1, 0),
    };
    let _making = hub.inner.answers.turn(child).await?;
    let store = node.store.clone();
    let batch = store
        .read(move |connection| {
            if !links::has_due(connection, child.link)? {
                return Ok(None);
            }
            let row = links::row(connection, child.link)?;
            offer::prepare(&node, connection, &shown.tree, target, &row.down)
        })
        .await?;
    let Some(batch) = batch else { return Ok(None) };
    let headers = [
        (BATCH_HEADER, batch.number.to_string()),
        (BEFORE_HEADER, hex(&batch.before)),
    ];
    let response = (headers, batch.body.clone()).into_response();
    hub.under_way().insert(child.link, Arc::new(batch));
    Ok(Some(response))
}
