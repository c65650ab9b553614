//! Backups that children deposit: pieces and heads that this node cannot read, and what a child may have back.

use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use nqsync_core::model::NodeId;
use nqsync_core::protocol::deposit::{
    Deposited, Deposits, Fetch, MAX_ASKED, MAX_PIECES, most_head, parse_names, pieces, put_piece,
    render_names,
};
use nqsync_core::protocol::hex;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use super::files::append;
use super::{Child, Hub, Reply, busy, refuse, small, whole};
use crate::store::blobs::parse_hex;
use crate::store::deposits::{Depot, Unfit, free_bytes, most_pieces, room};
use crate::store::{StoreError, audit, nodes};

/// Bytes of a head that are read at a time.
const READ: usize = 16 << 10;

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

    /// What a child has deposited takes of its quota; counted once, then kept up to date.
    async fn deposited(&self, child: Child) -> Result<u64, Reply> {
        if let Some(used) = self.deposit_bytes().get(&child.link) {
            return Ok(*used);
        }
        let depot = self.depot(child.node);
        let used = on_disk(move || Ok(depot.used()?.room)).await?;
        self.deposit_bytes().insert(child.link, used);
        Ok(used)
    }

    /// What a child may deposit; a refusal where it may nothing.
    fn quota(&self) -> Result<u64, Reply> {
        match self.inner.node.settings.deposit_quota_bytes {
            0 => {
                let message =
                    "this node keeps no backups of the nodes below it (deposit.quota_bytes = 0)";
                Err(refuse(StatusCode::FORBIDDEN, "no_deposits", message))
            }
            quota => Ok(quota),
        }
    }

    /// Whether so many bytes leave what the disk has to keep free for records.
    fn has_room(&self, bytes: u64) -> bool {
        let least = self.inner.node.settings.min_free_bytes;
        let free = free_bytes(self.inner.node.store.dir());
        free.is_none_or(|free| free >= least.saturating_add(bytes))
    }
}

fn over_quota(used: u64, quota: u64) -> Reply {
    let message = format!(
        "the backup of this node needs {used} bytes and more here, of which {quota} are allowed; the administrator \
         of this level can allow more (deposit.quota_bytes)"
    );
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "quota", message)
}

fn no_room() -> Reply {
    let message = "the disk of the parent is nearly full, so it takes no backups now; its operator sees it in status";
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "no_room", message)
}

/// What is held for the nodes of the child's unit.
pub(super) async fn list(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
) -> Result<Json<Deposits>, Reply> {
    // One after the other: each reads a whole head.
    let _making = hub.inner.answers.turn(child).await?;
    let mut deposits = Vec::new();
    for node in hub.depots_of(child).await? {
        let depot = hub.depot(node);
        let found = on_disk(move || Ok((depot.newest()?, depot.used()?.bytes))).await?;
        if let (Some(newest), bytes) = found {
            deposits.push(Deposited {
                node,
                at: newest.at,
                id: hex(&newest.id),
                bytes: bytes + newest.head_bytes,
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
    let quota = hub.quota()?;
    let (_stop, _turn) = hub.inner.deposits.begin(child.link).await;
    let body = whole(&hub, body, MAX_PIECES).await?;
    let found = pieces(&body).ok_or_else(|| unreadable("a piece is cut or too long"))?;
    let new: u64 = found.iter().map(|piece| room(piece.len() as u64)).sum();
    let used = hub.deposited(child).await? + new;
    if used > quota {
        return Err(over_quota(used, quota));
    }
    if !hub.has_room(new) {
        return Err(no_room());
    }
    let depot = hub.depot(child.node);
    let found: Vec<Bytes> = found.iter().map(|piece| body.slice_ref(piece)).collect();
    // Before they are: a request that is taken back meanwhile does not end that. Some may have been here already, and are
    // counted twice until the deposit is complete, which errs on the safe side.
    hub.deposit_bytes().insert(child.link, used);
    on_disk(move || found.iter().try_for_each(|piece| depot.keep(piece))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a head in, onto the disk: as many children as like may be at that, and a head may be large.
async fn take_head(depot: &Depot, mut body: Body, most: usize) -> Result<(), Reply> {
    let (beginning, mut have) = (depot.clone(), 0);
    let mut file = on_disk(move || beginning.begin_head()).await?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| refuse(StatusCode::BAD_REQUEST, "cut", e.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        have += data.len();
        if have > most {
            let message = format!("a head here may have {most} bytes");
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "quota", message));
        }
        file = append(file, data).await?;
    }
    Ok(())
}

/// Makes a deposit the one that counts.
pub(super) async fn complete(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Json<Deposited>, Reply> {
    let quota = hub.quota()?;
    let (stop, turn) = hub.inner.deposits.begin(child.link).await;
    // Each piece takes room, so a head that names more than there is room for is none of pieces that are here.
    let most = most_head(most_pieces(quota));
    let announced = HttpBody::size_hint(&body);
    // Counted anew: what came twice was counted twice.
    let counted = hub.depot(child.node);
    let used = on_disk(move || Ok(counted.used()?.room)).await?;
    let used = used.saturating_add(announced.lower());
    if used > quota {
        return Err(over_quota(used, quota));
    }
    if !hub.has_room(announced.upper().unwrap_or(most as u64)) {
        return Err(no_room());
    }
    let node = &hub.inner.node;
    let (depot, now_ms) = (hub.depot(child.node), node.clock.now_ms());
    let taken = timeout(hub.inner.limits.body, take_head(&depot, body, most));
    match stop.run_until_cancelled(taken).await {
        Some(Ok(taken)) => taken?,
        Some(Err(_)) => {
            let message = "the head took too long to arrive";
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, "slow", message));
        }
        None => {
            let message = "a later request about this node's deposit took its place";
            return Err(busy(message, child.link.0.unsigned_abs()));
        }
    }
    let held = on_disk(move || {
        let _turn = turn;
        match depot.complete(now_ms)? {
            Ok(()) => Ok(Ok((depot.newest()?, depot.used()?))),
            Err(unfit) => Ok(Err(unfit)),
        }
    });
    let (newest, used) = match held.await? {
        Ok((Some(newest), used)) => (newest, used),
        Ok((None, _)) => return Err(StoreError::Damaged("a head has gone".to_owned()).into()),
        Err(Unfit::NoHead) => return Err(unreadable("no head of a sealed backup")),
        Err(Unfit::Doubled) => return Err(unreadable("a head that names a piece twice")),
        Err(Unfit::Lacking(lacking)) => {
            let message = format!("{lacking} pieces are not here; ask again which");
            return Err(refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "incomplete",
                message,
            ));
        }
    };
    hub.deposit_bytes().insert(child.link, used.room);
    let bytes = used.bytes;
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
) -> Result<Response, Reply> {
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
        // From the disk as it goes: a head may be as large as several other answers.
        let head = on_disk(move || depot.head()).await?.ok_or_else(unknown)?;
        let bytes = ReaderStream::with_capacity(tokio::fs::File::from_std(head), READ);
        return Ok(Body::from_stream(bytes).into_response());
    }
    let making = hub.inner.answers.turn(child).await?;
    let found = on_disk(move || {
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
    });
    Ok(found.await?.into_response())
}
