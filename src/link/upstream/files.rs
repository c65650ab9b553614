//! Files on their way, at the child's end: piece by piece, going on where a cut line left them.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nqsync_core::protocol::{LENGTH_HEADER, MAX_FILE_PIECE, OFFSET_HEADER};
use reqwest::{Method, Response, StatusCode};

use super::{LinkError, Upstream};
use crate::link::pace;
use crate::link::transport::Request;
use crate::node::session;
use crate::store::{LinkId, StoreError, blobs};

impl Upstream {
    /// Sends the files the parent needs and fetches those it has for us, piece by piece: a cut costs one piece, and
    /// records of other streams pass in between.
    pub async fn files(&self) -> Result<(), LinkError> {
        let _one = self.inner.files.lock().await;
        let link = self.inner.link;
        let store = self.inner.node.store.clone();
        let (up, down) = store
            .read(move |c| Ok::<_, StoreError>((blobs::due(c, link)?, blobs::missing(c, link)?)))
            .await?;
        for (id, size) in up {
            self.tried(id, self.send_file(id, size)).await?;
        }
        for (id, size) in down {
            self.tried(id, self.fetch_file(id, size)).await?;
        }
        self.note(|r| r.file = None);
        Ok(())
    }

    /// One bad file does not stop the others, nor the records: it is left alone until the service starts again.
    async fn tried(
        &self,
        id: blobs::BlobId,
        moving: impl Future<Output = Result<(), LinkError>>,
    ) -> Result<(), LinkError> {
        let bad_files = || {
            self.inner
                .bad_files
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if bad_files().contains(&id) {
            return Ok(());
        }
        let error = match moving.await {
            Err(LinkError::BadFile(reason)) => reason,
            other => return other,
        };
        tracing::error!(file = blobs::hex(&id), %error, "a file cannot be moved");
        bad_files().insert(id);
        Ok(())
    }

    async fn send_file(&self, id: blobs::BlobId, size: u64) -> Result<(), LinkError> {
        let store = self.inner.node.store.clone();
        let path = blobs::path(store.dir(), &id);
        let endpoint = self.endpoint(&format!("blob/{}", blobs::hex(&id)));
        let response = self
            .raw(Request::new(Method::HEAD, endpoint.clone()))
            .await?;
        if response.status() == StatusCode::NOT_FOUND {
            // The parent has not taken the record that names the file, or set it aside: nothing to send now.
            return Ok(());
        }
        if response.status() == StatusCode::CONFLICT {
            return Err(self.refusal(response).await);
        }
        let settings = &self.inner.node.settings;
        let bytes_per_s = settings.bandwidth_bytes_per_s;
        let most = pace::piece(settings.file_piece_bytes, bytes_per_s);
        let mut offset = offset_of(&response).unwrap_or(0);
        loop {
            let begun = Instant::now();
            self.note(|r| {
                r.phase = "blobs";
                r.file = Some((offset, size));
            });
            if offset >= size {
                break;
            }
            let piece_bytes = self.piece_bytes(most);
            let piece_path = path.clone();
            let piece = tokio::task::spawn_blocking(move || {
                blobs::read_piece(&piece_path, offset, piece_bytes)
            });
            let piece = piece
                .await
                .map_err(|e| StoreError::Panicked(e.to_string()))??;
            if piece.is_empty() {
                return Err(LinkError::BadFile(
                    "it is shorter here than noted".to_owned(),
                ));
            }
            let length = piece.len() as u64;
            let request = Request::new(Method::PATCH, endpoint.clone())
                .header(OFFSET_HEADER, offset)
                .body(piece);
            let response = self.raw(request).await?;
            let told = offset_of(&response);
            offset = match response.status() {
                status if status.is_success() => told.unwrap_or(offset + length),
                // With a position it tells where the parent is; without one, that the session is over.
                StatusCode::CONFLICT if told.is_some() => told.unwrap_or(0),
                StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => {
                    let refusal = self.refusal(response).await;
                    return Err(LinkError::BadFile(refusal.to_string()));
                }
                _ => return Err(self.refusal(response).await),
            };
            self.note(|r| r.bytes_up += length);
            self.carried(piece_bytes, length, begun.elapsed(), most);
            tokio::time::sleep(pace::pause(length, bytes_per_s, begun.elapsed())).await;
        }
        let link = self.inner.link;
        store
            .write(move |tx| blobs::settled(tx.connection(), link, &id))
            .await?;
        self.note(|r| r.files_up += 1);
        Ok(())
    }

    async fn fetch_file(&self, id: blobs::BlobId, size: u64) -> Result<(), LinkError> {
        let (node, link) = (self.inner.node.clone(), self.inner.link);
        let dir = node.store.dir().to_path_buf();
        let endpoint = self.endpoint(&format!("blob/{}", blobs::hex(&id)));
        let limit = node.settings.max_blob_bytes;
        if size > limit {
            return Err(LinkError::BadFile(format!(
                "it has {size} bytes; at most {limit} are allowed (sync.max_blob_bytes)"
            )));
        }
        // Whole already when a cut came between the last byte and the parent hearing of it.
        if !blobs::path(&dir, &id).exists() {
            let mut offset = blobs::partial_len(&dir, &id, link);
            while offset < size {
                let begun = Instant::now();
                let most = node.settings.file_piece_bytes;
                let asked = self.piece_bytes(most);
                let Some(piece) = self.fetch_piece(&endpoint, offset, asked).await? else {
                    return Ok(());
                };
                let length = self.keep_piece(id, piece).await?;
                offset += length;
                self.note(|r| {
                    r.phase = "blobs";
                    r.file = Some((offset, size));
                });
                self.carried(asked, length, begun.elapsed(), most);
                let bytes_per_s = node.settings.bandwidth_bytes_per_s;
                tokio::time::sleep(pace::pause(length, bytes_per_s, begun.elapsed())).await;
            }
            if size == 0 {
                drop(blobs::open_partial(&dir, &id, link)?);
            }
            verify(&dir, id, link).await?;
        }
        // Asking beyond the end says that the file is here; a parent that knows it already says "unknown".
        self.fetch_piece(&endpoint, size, 0).await?;
        session::note_file(&node, link, id, size).await?;
        self.note(|r| r.files_down += 1);
        Ok(())
    }

    /// Bytes of the next piece.
    pub(super) fn piece_bytes(&self, most: usize) -> usize {
        self.inner.piece_bytes.load(Ordering::Relaxed).min(most)
    }

    /// A piece has passed; only a whole one says what the line carries.
    pub(super) fn carried(&self, asked: usize, length: u64, took: Duration, most: usize) {
        if length as usize >= asked || took > pace::SLOW {
            let next = pace::next(asked, took, most);
            self.inner.piece_bytes.store(next, Ordering::Relaxed);
        }
    }

    async fn fetch_piece(
        &self,
        endpoint: &str,
        offset: u64,
        asked: usize,
    ) -> Result<Option<Vec<u8>>, LinkError> {
        let request = Request::new(Method::GET, endpoint.to_owned())
            .header(OFFSET_HEADER, offset)
            .header(LENGTH_HEADER, asked);
        let response = self.raw(request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.success(response).await?;
        self.body(response, MAX_FILE_PIECE).await.map(Some)
    }

    async fn keep_piece(&self, id: blobs::BlobId, piece: Vec<u8>) -> Result<u64, LinkError> {
        if piece.is_empty() {
            return Err(LinkError::BadFile("it ends early at the parent".to_owned()));
        }
        let (dir, link) = (self.inner.node.store.dir().to_path_buf(), self.inner.link);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = blobs::open_partial(&dir, &id, link)?;
            std::io::Write::write_all(&mut file, &piece)
                .map_err(blobs::io("write an arriving file"))?;
            Ok::<_, StoreError>(piece.len() as u64)
        });
        Ok(written
            .await
            .map_err(|e| StoreError::Panicked(e.to_string()))??)
    }
}

async fn verify(dir: &std::path::Path, id: blobs::BlobId, link: LinkId) -> Result<(), LinkError> {
    let dir = dir.to_path_buf();
    let verified = tokio::task::spawn_blocking(move || blobs::complete(&dir, &id, link));
    let verified = verified
        .await
        .map_err(|e| StoreError::Panicked(e.to_string()))?;
    match verified {
        Ok(_) => Ok(()),
        Err(blobs::BlobError::Store(error)) => Err(error.into()),
        Err(error) => Err(LinkError::BadFile(error.to_string())),
    }
}

fn offset_of(response: &Response) -> Option<u64> {
    response
        .headers()
        .get(OFFSET_HEADER)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
