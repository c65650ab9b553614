//! Evidence files as they come to and go from the running service: uploads, and the bytes of one that is held here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::service::Service;
use crate::api::{Command, Exit, Failure, Request};
use crate::node::commands::TakenFile;
use crate::store::StoreError;
use crate::store::blobs::{self, BlobError};

/// A file that is being uploaded. Whatever becomes of it, nothing is left of it outside the store.
pub struct Incoming {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

/// Why a piece was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// The file is greater than this.
    TooLarge(u64),
    /// The disk.
    Disk(std::io::Error),
    /// The store.
    Store(BlobError),
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotTaken::TooLarge(limit) => write!(f, "more than {limit} bytes"),
            NotTaken::Disk(error) => error.fmt(f),
            NotTaken::Store(error) => error.fmt(f),
        }
    }
}

impl From<std::io::Error> for NotTaken {
    fn from(error: std::io::Error) -> Self {
        NotTaken::Disk(error)
    }
}

/// Where files lie that are still coming in, in the data directory.
const FOLDER: &str = "incoming";

/// Removes what a crash left of files that were coming in: nobody can go on with one.
pub fn sweep(dir: &Path) -> Result<(), StoreError> {
    let folder = dir.join(FOLDER);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::Io {
            what: format!("remove {}", folder.display()),
            source: error,
        }),
        _ => Ok(()),
    }
}

impl Incoming {
    /// Begins one.
    pub async fn begin(service: &Service) -> std::io::Result<Incoming> {
        let folder = service.node.store.dir().join(FOLDER);
        tokio::fs::create_dir_all(&folder).await?;
        let path = folder.join(Uuid::new_v4().to_string());
        Ok(Incoming {
            file: File::create_new(&path).await?,
            path,
            size: 0,
            limit: service.node.settings.max_blob_bytes,
        })
    }

    /// Takes a piece.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), NotTaken> {
        self.size += piece.len() as u64;
        if self.size > self.limit {
            return Err(NotTaken::TooLarge(self.limit));
        }
        Ok(self.file.write_all(piece).await?)
    }

    /// Takes the whole into the store, under its name.
    pub async fn take_in(mut self, service: &Service, name: String) -> Result<TakenFile, NotTaken> {
        self.file.flush().await?;
        let (dir, limit) = (service.node.store.dir().to_owned(), self.limit);
        let source = self.path.clone();
        let taken = tokio::task::spawn_blocking(move || blobs::take_in(&dir, &source, limit)).await;
        let taken = taken.map_err(std::io::Error::other)?;
        let (id, size) = taken.map_err(NotTaken::Store)?;
        Ok(TakenFile { id, size, name })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Service {
    /// What is known of an evidence file, and its bytes if they are here. `request`: who asks.
    pub async fn evidence(
        &self,
        request: Request,
        id: &str,
    ) -> Result<Option<(Value, File)>, Failure> {
        let command = Command::EvidenceShow {
            evidence: id.to_owned(),
        };
        let found = match self.execute(Request { command, ..request }).await {
            Ok(answer) => Some(answer.data),
            Err(failure) if failure.exit == Exit::Usage => None,
            Err(failure) => return Err(failure),
        };
        // Only the whole id, and nothing that was taken back.
        let found = found.filter(|file| {
            file["id"] == *id && file["state"] == "present" && file["removed"] == false
        });
        let hash = found
            .as_ref()
            .and_then(|file| blobs::parse_hex(file["sha256"].as_str()?));
        let (Some(found), Some(hash)) = (found, hash) else {
            return Ok(None);
        };
        let path = blobs::path(self.node.store.dir(), &hash);
        match File::open(&path).await {
            Ok(file) => Ok(Some((found, file))),
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "an evidence file cannot be opened");
                Ok(None)
            }
        }
    }
}
