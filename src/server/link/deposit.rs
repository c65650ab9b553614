//! Backups that children deposit: pieces and heads that this node cannot read, and what a child may have back.

use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use nqsync_core::model::NodeId;
use nqsync_core::protocol::deposit::{
    Deposited, Deposits, Fetch, Head, MAX_ASKED, MAX_HEAD, MAX_PIECES, parse_names, pieces,
    put_piece, render_names,
};
use nqsync_core::protocol::hex;

use super::{Child, Hub, Reply, refuse, small, whole};
use crate::store::blobs::parse_hex;
use crate::store::deposits::{Depot, free_bytes};
use crate::store::{StoreError, audit, nodes};

/// Carries out what touches the disk, off the runtime.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Reply> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| StoreError::Panicked(e.to_string()))
        .and_then(|done| done)
        .map_err(Reply::from)
}

fn unreadable(what: &str) -> Reply {
    refuse(StatusCode::BAD_REQUEST, "unreadable", what)
}

impl Hub {
    fn depot(&self, node: NodeId) -> Depot {
        Depot::of(self.inner.node.store.dir(), node)
    }

    /// The nodes whose deposits a child may have: its own, and those of the nodes that were enrolled for its unit before.
    async fn depots_of(&self, child: Child) -> Result<Vec<NodeId>, Reply> {
        let store = &self.inner.node.store;
        Ok(store
            .read(move |connection| nodes::of_same_unit(connection, child.node))
            .await?)
    }

    /// Bytes that a child has deposited; counted once, then kept up to date.
    async fn deposited(&self, child: Child) -> Result<u64, Reply> {
        if let Some(bytes) = self.deposit_bytes().get(&child.link) {
            return Ok(*bytes);
        }
        let depot = self.depot(child.node);
        let bytes = on_disk(move || depot.bytes()).await?;
        self.deposit_bytes().insert(child.link, bytes);
        Ok(bytes)
    }
}

/// What is held for the nodes of the child's unit.
pub(super) async fn list(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
) -> Result<Json<Deposits>, Reply> {
    let mut deposits = Vec::new();
    for node in hub.depots_of(child).await? {
        let depot = hub.depot(node);
        let found = on_disk(move || Ok((depot.newest()?, depot.bytes()?))).await?;
        if let (Some(newest), bytes) = found {
            deposits.push(Deposited {
                node,
                at: newest.at,
                id: hex(&newest.id),
                bytes: bytes + newest.head.len() as u64,
            });
        }
    }
    deposits.sort_by_key(|deposit| std::cmp::Reverse(deposit.at));
    Ok(Json(Deposits { deposits }))
}

/// Which of the pieces are not here.
pub(super) async fn lacking(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Vec<u8>, Reply> {
    let body = whole(&hub, body, MAX_ASKED * 32).await?;
    let names = parse_names(&body).ok_or_else(|| unreadable("a name is cut"))?;
    let now_ms = hub.inner.node.clock.now_ms().max(0) as u64;
    let depot = hub.depot(child.node);
    let now = UNIX_EPOCH + Duration::from_millis(now_ms);
    let lacking = on_disk(move || depot.lacking(&names, now)).await?;
    Ok(render_names(&lacking))
}

/// Takes pieces in, under the names that their bytes have.
pub(super) async fn take(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<StatusCode, Reply> {
    let quota = hub.inner.node.settings.deposit_quota_bytes;
    if quota == 0 {
        let message = "this node keeps no backups of the nodes below it (deposit.quota_bytes = 0)";
        return Err(refuse(StatusCode::FORBIDDEN, "no_deposits", message));
    }
    let (_stop, _turn) = hub.inner.deposits.begin(child.link).await;
    let body = whole(&hub, body, MAX_PIECES).await?;
    let used = hub.deposited(child).await? + body.len() as u64;
    if used > quota {
        let message = format!(
            "the backup of this node needs {used} bytes and more here, of which {quota} are allowed; the administrator \
             of this level can allow more (deposit.quota_bytes)"
        );
        return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "quota", message));
    }
    let depot = hub.depot(child.node);
    let (dir, least) = (
        hub.inner.node.store.dir().to_owned(),
        hub.inner.node.settings.min_free_bytes,
    );
    let taken = on_disk(move || {
        if free_bytes(&dir).is_some_and(|free| free < least.saturating_add(body.len() as u64)) {
            return Ok(None);
        }
        let Some(found) = pieces(&body) else {
            return Ok(Some(false));
        };
        found.into_iter().try_for_each(|piece| depot.keep(piece))?;
        Ok(Some(true))
    });
    match taken.await? {
        Some(true) => {
            // Some may have been here already: counted twice for a while, which errs on the safe side.
            hub.deposit_bytes().insert(child.link, used);
            Ok(StatusCode::NO_CONTENT)
        }
        Some(false) => Err(unreadable("a piece is cut or too long")),
        None => Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "no_room",
            "the disk of the parent is nearly full, so it takes no backups now; its operator sees it in status",
        )),
    }
}

/// Makes a deposit the one that counts.
pub(super) async fn complete(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Json<Deposited>, Reply> {
    let (_stop, _turn) = hub.inner.deposits.begin(child.link).await;
    let body = whole(&hub, body, MAX_HEAD).await?;
    let head = Head::parse(&body).ok_or_else(|| unreadable("no head of a sealed backup"))?;
    let node = &hub.inner.node;
    let (depot, now_ms) = (hub.depot(child.node), node.clock.now_ms());
    let held = on_disk(move || match depot.complete(&body, &head.names, now_ms)? {
        Ok(()) => Ok(Ok((depot.newest()?, depot.bytes()?))),
        Err(lacking) => Ok(Err(lacking)),
    });
    let (newest, bytes) = match held.await? {
        Ok((Some(newest), bytes)) => (newest, bytes),
        Ok((None, _)) => return Err(StoreError::Damaged("a head has gone".to_owned()).into()),
        Err(lacking) => {
            let message = format!("{lacking} pieces are not here; ask again which");
            return Err(refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "incomplete",
                message,
            ));
        }
    };
    hub.deposit_bytes().insert(child.link, bytes);
    let id = hex(&newest.id);
    let subject = id.clone();
    node.store
        .write(move |tx| {
            let act = audit::Act {
                at: now_ms,
                actor: &child.node.to_string(),
                act: "deposit.received",
                subject: &subject,
                detail: serde_json::json!({ "bytes": bytes }),
            };
            audit::append(tx, &act)
        })
        .await?;
    Ok(Json(Deposited {
        node: child.node,
        at: newest.at,
        id,
        bytes,
    }))
}

/// Gives a head back, or pieces, as many as fit; at least one where there is one.
pub(super) async fn fetch(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Vec<u8>, Reply> {
    let asked: Fetch = small(&hub, body).await?;
    let unknown = || {
        let message = "there is no such deposit of your unit here";
        refuse(StatusCode::GONE, "no_deposit", message)
    };
    if !hub.depots_of(child).await?.contains(&asked.node) {
        return Err(unknown());
    }
    let depot = hub.depot(asked.node);
    if asked.names.is_empty() {
        let newest = on_disk(move || depot.newest()).await?;
        return newest.map(|newest| newest.head).ok_or_else(unknown);
    }
    let making = hub.inner.answers.turn(child).await?;
    on_disk(move || {
        let _making = making;
        let mut body = Vec::new();
        for name in asked.names.iter().filter_map(|name| parse_hex(name)) {
            // One that is not here any more is an empty one: whoever asked knows it by its length.
            let piece = depot.read(&name)?.unwrap_or_default();
            if !body.is_empty() && body.len() + piece.len() + 4 > MAX_PIECES {
                break;
            }
            put_piece(&mut body, &piece);
        }
        Ok(body)
    })
    .await
}
