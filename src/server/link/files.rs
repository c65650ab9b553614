//! Files on their way, at the parent's end: where an arriving one goes on, its bytes, and a directive's file going down.
//!
//! What is asked of one child's files never depends on another child's: offsets and partial files are per link.

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use nqsync_core::protocol::{LENGTH_HEADER, OFFSET_HEADER, Refused};
use tokio::time::timeout;

use super::{BUSY_RETRY_S, Child, Hub, Reply, refuse};
use crate::node::session;
use crate::store::deposits::free_bytes;
use crate::store::{StoreError, blobs};

/// A file that a child has to bring, or a refusal that tells nothing about files of others.
async fn wanted(
    hub: &Hub,
    child: Child,
    sha256: &str,
) -> Result<(blobs::BlobId, u64, bool), Reply> {
    let unknown = || {
        refuse(
            StatusCode::NOT_FOUND,
            "unknown_file",
            "no record of yours asks for this file",
        )
    };
    let id = blobs::parse_hex(sha256).ok_or_else(unknown)?;
    let store = &hub.inner.node.store;
    let found = store
        .read(move |connection| blobs::wanted(connection, child.link, &id))
        .await?;
    found
        .map(|(size, arrived)| (id, size, arrived))
        .ok_or_else(unknown)
}

pub(super) async fn blob_offset(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    Path(sha256): Path<String>,
) -> Result<Response, Reply> {
    let (id, size, arrived) = wanted(&hub, child, &sha256).await?;
    let (_stop, _turn) = hub.inner.uploads.begin((child.link, id)).await;
    let offset = on_disk(&hub, child, id, size, arrived).await?;
    let headers = [
        (OFFSET_HEADER, offset.to_string()),
        (LENGTH_HEADER, size.to_string()),
    ];
    Ok((StatusCode::OK, headers).into_response())
}

/// How many bytes of an arriving file are here. When a stop came between the last byte and the verification, that is
/// made up for first: whoever hears the whole length sends nothing more.
async fn on_disk(
    hub: &Hub,
    child: Child,
    id: blobs::BlobId,
    size: u64,
    arrived: bool,
) -> Result<u64, Reply> {
    if arrived {
        return Ok(size);
    }
    let dir = hub.inner.node.store.dir();
    if size == 0 {
        drop(blobs::open_partial(dir, &id, child.link)?);
    }
    let have = blobs::partial_len(dir, &id, child.link);
    if have >= size {
        finish_blob(hub, child, id).await?;
    }
    Ok(have)
}

pub(super) async fn take_blob(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    mut body: Body,
) -> Result<Response, Reply> {
    let (id, size, arrived) = wanted(&hub, child, &sha256).await?;
    let limit = hub.inner.node.settings.max_blob_bytes;
    if size > limit {
        let message = format!("a file may have {limit} bytes; the record announces {size}");
        return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
    }
    let (stop, _turn) = hub.inner.uploads.begin((child.link, id)).await;
    let dir = hub.inner.node.store.dir().to_path_buf();
    let offset: Option<u64> = headers
        .get(OFFSET_HEADER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok());
    let have = on_disk(&hub, child, id, size, arrived).await?;
    if offset != Some(have) || arrived {
        let refused = refuse(
            StatusCode::CONFLICT,
            "position",
            format!("the file goes on at byte {have}"),
        );
        let mut response = refused.into_response();
        response
            .headers_mut()
            .insert(OFFSET_HEADER, HeaderValue::from(have));
        return Ok(response);
    }
    // The last room is for records: the evidence of one child must not keep the reports of all out.
    let least = hub.inner.node.settings.min_free_bytes;
    let needed = least.saturating_add(size.saturating_sub(have));
    if free_bytes(&dir).is_some_and(|free| free < needed) {
        let refused = Refused {
            retry_after_s: Some(BUSY_RETRY_S),
            ..Refused::new(
                "store",
                "the parent's disk is nearly full, so files wait; its operator has been told",
            )
        };
        return Err(Reply(StatusCode::SERVICE_UNAVAILABLE, refused));
    }
    let mut file = blobs::open_partial(&dir, &id, child.link)?;
    let mut have = have;
    loop {
        let next = timeout(hub.inner.limits.body_idle, body.frame());
        let frame = stop.run_until_cancelled(next).await;
        let Some(Ok(Some(Ok(frame)))) = frame else {
            match frame {
                Some(Ok(None)) => break,
                _ => {
                    return Err(refuse(
                        StatusCode::REQUEST_TIMEOUT,
                        "cut",
                        "the file's bytes stopped coming",
                    ));
                }
            }
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        have += data.len() as u64;
        if have > size {
            return Err(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "more bytes than the record announced",
            ));
        }
        file = append(file, data).await?;
    }
    if have == size {
        finish_blob(&hub, child, id).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(OFFSET_HEADER, have.to_string())]).into_response())
}

pub(super) async fn append(mut file: std::fs::File, data: Bytes) -> Result<std::fs::File, Reply> {
    let written = tokio::task::spawn_blocking(move || {
        std::io::Write::write_all(&mut file, &data).map_err(blobs::io("write an arriving file"))?;
        Ok::<_, StoreError>(file)
    });
    written
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))
        .and_then(|r| r)
        .map_err(Reply::from)
}

async fn finish_blob(hub: &Hub, child: Child, id: blobs::BlobId) -> Result<(), Reply> {
    let node = hub.inner.node.clone();
    let store = node.store.clone();
    match session::finish_blob(&node, child.link, id).await {
        Ok(()) => Ok(()),
        Err(blobs::BlobError::Store(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, dir = %store.dir().display(), "an arriving file was thrown away");
            Err(refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "mismatch",
                error.to_string(),
            ))
        }
    }
}

/// A directive's file on its way down, from a byte on.
pub(super) async fn send_blob(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    let unknown = || {
        refuse(
            StatusCode::NOT_FOUND,
            "unknown_file",
            "this file is not for you, or not here yet",
        )
    };
    let id = blobs::parse_hex(&sha256).ok_or_else(unknown)?;
    let store = hub.inner.node.store.clone();
    let (owed, state) = store
        .read(move |connection| {
            Ok::<_, StoreError>((
                blobs::is_due(connection, child.link, &id)?,
                blobs::state(connection, &id)?,
            ))
        })
        .await?;
    let Some((size, true)) = state.filter(|_| owed) else {
        return Err(unknown());
    };
    let from: u64 = headers
        .get(OFFSET_HEADER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok())
        .unwrap_or(0);
    if from >= size {
        // The child says that it has the whole file, verified.
        store
            .write(move |tx| blobs::settled(tx.connection(), child.link, &id))
            .await?;
        return Ok(([(LENGTH_HEADER, size.to_string())], Vec::<u8>::new()).into_response());
    }
    let path = blobs::path(store.dir(), &id);
    // A child on a thin line asks for less.
    let asked = headers
        .get(LENGTH_HEADER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok())
        .filter(|asked| *asked > 0)
        .unwrap_or(usize::MAX);
    let length = hub.inner.node.settings.file_piece_bytes.min(asked);
    let making = hub.inner.answers.turn(child).await?;
    let piece = tokio::task::spawn_blocking(move || {
        let _making = making;
        blobs::read_piece(&path, from, length)
    });
    let piece = piece
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))
        .and_then(|r| r)?;
    Ok(([(LENGTH_HEADER, size.to_string())], piece).into_response())
}
