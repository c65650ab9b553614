//! `backup`: a verified copy of the store, made while the service goes on.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::shared::answered_before;
use super::{Said, speak};
use crate::api::{Answer, Exit, Request};
use crate::node::{Node, Refusal};
use crate::store::StoreError;
use crate::store::backup::{self, BackupError, Manifest, Source};
use crate::store::blobs::hex;
use crate::store::restore::RestoreError;

/// Fact of the store: when the last backup was made, RFC 3339.
pub const LAST_AT: &str = "backup_at";
/// Fact of the store: where the last backup is.
pub const LAST_TO: &str = "backup_to";

impl From<BackupError> for Refusal {
    fn from(error: BackupError) -> Self {
        let detail = [("detail", error.to_string())];
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::InTheWay(path) => Refusal::usage("backup-in-the-way", [("path", path)]),
            BackupError::UnderWay(path) => Refusal::usage("backup-under-way", [("path", path)]),
            BackupError::NotABackup { path, reason } => {
                Refusal::usage("not-a-backup", [("path", path), ("reason", reason)])
            }
            BackupError::Damaged { .. } => Refusal::with(Exit::Degraded, "backup-damaged", detail),
        }
    }
}

impl From<RestoreError> for Refusal {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Store(error) => error.into(),
            RestoreError::Backup(error) => error.into(),
            RestoreError::Damaged(found) => {
                Refusal::with(Exit::Degraded, "restore-damaged", [("found", found)])
            }
            RestoreError::InTheWay(dir) => Refusal::usage("restore-in-the-way", [("dir", dir)]),
            RestoreError::OtherUnit { found, here } => {
                Refusal::usage("restore-other-unit", [("found", found), ("here", here)])
            }
        }
    }
}

/// Makes a backup in a new folder. The writer thread goes on meanwhile.
pub async fn make(node: &Node, request: &Request, to: String) -> Result<Answer, Refusal> {
    if let Some(answer) = answered_before(node, request).await? {
        return Ok(answer);
    }
    let made_at = Timestamp::from_millisecond(node.clock.now_ms())
        .unwrap_or_default()
        .to_string();
    let source = Source {
        dir: node.store.dir().to_owned(),
        config: node.settings.config_file.clone(),
        adapters: Some(node.settings.adapters_dir.clone()),
        made_at,
    };
    let target = PathBuf::from(&to);
    let made = tokio::task::spawn_blocking(move || backup::make(&source, &target)).await;
    let manifest = made.map_err(|e| StoreError::Panicked(e.to_string()))??;
    let (worker, request) = (node.clone(), request.clone());
    node.store
        .write(move |tx| {
            tx.set_meta(LAST_AT, &manifest.made_at)?;
            tx.set_meta(LAST_TO, &to)?;
            let now_ms = worker.clock.now_ms();
            let said = said(&manifest, &to);
            super::answer(tx, &request, said, "backup", now_ms)
        })
        .await
}

fn said(manifest: &Manifest, to: &str) -> Said {
    let mut data = facts(manifest, to);
    data["ok"] = json!(manifest.missing_files.is_empty());
    let said = Said::done(data).note("note-backup-made", [("path", to.to_owned())]);
    match manifest.missing_files.len() {
        0 => said,
        missing => {
            let mut said = said.note("note-backup-files", [("count", missing.to_string())]);
            said.exit = Exit::Partly;
            said
        }
    }
}

/// A manifest as `--json` prints it.
pub fn facts(manifest: &Manifest, folder: &str) -> Value {
    json!({
        "folder": folder,
        "node": manifest.node,
        "unit": manifest.unit,
        "incarnation": manifest.incarnation,
        "made_at": manifest.made_at,
        "version": manifest.version,
        "sha256": manifest.database.sha256,
        "database_bytes": manifest.database.bytes,
        "records": manifest.records,
        "files": manifest.files,
        "file_bytes": manifest.file_bytes,
        "missing_files": manifest.missing_files,
    })
}

/// Answers what a check of a backup found. It asks no node.
pub fn checked(request: &Request, folder: &str) -> Result<Answer, Refusal> {
    let checked = backup::check(folder.as_ref())?;
    let mut data = facts(&checked.manifest, folder);
    data["ok"] = json!(checked.is_whole());
    data["damage"] = json!(checked.damage);
    data["bad_files"] = json!(checked.bad_files.iter().map(hex).collect::<Vec<_>>());
    let mut said = Said::done(data);
    said = if !checked.damage.is_empty() {
        let found = checked.damage.join("; ");
        said.note("note-backup-damaged", [("found", found)])
    } else if !checked.bad_files.is_empty() {
        said.note(
            "note-backup-files",
            [("count", checked.bad_files.len().to_string())],
        )
    } else {
        said.note("note-backup-whole", [])
    };
    if !checked.is_whole() {
        said.exit = Exit::Degraded;
    }
    Ok(speak(request.lang, said))
}
