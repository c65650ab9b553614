//! What this side of a link holds, for a child that compares record by record.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use nqsync_core::protocol::{Compare, Holdings, MAX_OFFERED, hex};

use super::{Child, Hub, Reply, small};
use crate::store::{StoreError, compare};

pub(super) async fn compare(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Json<Holdings>, Reply> {
    let asked: Compare = small(&hub, body).await?;
    let store = hub.inner.node.store.clone();
    if !asked.offer.is_empty() {
        let offer = asked.offer.into_iter().take(MAX_OFFERED);
        let offer: Vec<_> = offer.collect();
        store
            .write(move |tx| {
                for id in offer {
                    compare::offer_again(tx.connection(), child.link, id)?;
                }
                tx.wake(child.link);
                Ok::<_, StoreError>(())
            })
            .await?;
        return Ok(Json(Holdings::default()));
    }
    let _making = hub.inner.answers.turn(child).await?;
    let holdings = store
        .read(move |connection| match asked.bucket {
            None => Ok::<_, StoreError>(Holdings {
                buckets: compare::buckets(connection, child.link)?
                    .into_iter()
                    .map(|(bucket, count, sum)| (bucket, count, hex(&sum)))
                    .collect(),
                records: Vec::new(),
            }),
            Some(bucket) => Ok(Holdings {
                buckets: Vec::new(),
                records: compare::bucket(connection, child.link, bucket)?
                    .into_iter()
                    .map(|held| (held.id, held.kind.to_string(), hex(&held.digest.0)))
                    .collect(),
            }),
        })
        .await?;
    Ok(Json(holdings))
}
