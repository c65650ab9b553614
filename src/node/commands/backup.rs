//! `backup`: a verified copy of the store, made while the service goes on.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value, json};

use nqsync_core::protocol::unhex;

use super::shared::answered_before;
use super::{Reading, Said, Writing, speak};
use crate::api::{Answer, Exit, Request};
use crate::node::sealed::{self, SealedError, keys};
use crate::node::{Node, Refusal, deposit};
use crate::store::backup::{self, BackupError, Checked, Manifest, Source};
use crate::store::blobs::hex;
use crate::store::restore::RestoreError;
use crate::store::{Role, StoreError};
use crate::trust::identity::NodeKey;
use crate::trust::vault;

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
            RestoreError::OtherLevel { found, here } => {
                let args = [("found", found.to_string()), ("here", here.to_string())];
                Refusal::usage("restore-other-level", args)
            }
        }
    }
}

impl From<SealedError> for Refusal {
    fn from(error: SealedError) -> Self {
        match error {
            SealedError::Store(error) => error.into(),
            SealedError::Backup(error) => error.into(),
            SealedError::NoKey { path, key } => {
                Refusal::usage("sealed-no-key", [("path", path), ("key", key)])
            }
            SealedError::OtherKey {
                path,
                wanted,
                given,
            } => {
                let args = [("path", path), ("wanted", wanted), ("given", given)];
                Refusal::with(Exit::Authentication, "sealed-other-key", args)
            }
            SealedError::Damaged { path, what } => {
                let args = [("path", path), ("what", what)];
                Refusal::with(Exit::Degraded, "sealed-damaged", args)
            }
            SealedError::Crypto(what) => {
                Refusal::with(Exit::Failed, "sealed-crypto", [("detail", what.to_owned())])
            }
        }
    }
}

/// Makes a backup in a new folder, sealed where this node has a recovery key. The writer thread goes on meanwhile.
pub async fn make(node: &Node, request: &Request, to: String) -> Result<Answer, Refusal> {
    if let Some(answer) = answered_before(node, request).await? {
        return Ok(answer);
    }
    let made_at = Timestamp::from_millisecond(node.clock.now_ms())
        .unwrap_or_default()
        .to_string();
    let source = Source {
        elsewhere: None,
        dir: node.store.dir().to_owned(),
        config: node.settings.config_file.clone(),
        adapters: Some(node.settings.adapters_dir.clone()),
        made_at,
    };
    let target = PathBuf::from(&to);
    let recovery = node.store.read(keys::of).await?;
    let key = recovery.map(|recovery| recovery.public);
    let public = key.clone();
    let made = tokio::task::spawn_blocking(move || match public {
        Some(public) => sealed::make(&source, &target, &public),
        None => Ok(backup::make(&source, &target)?),
    });
    let made = made.await;
    let manifest = made.map_err(|e| StoreError::Panicked(e.to_string()))??;
    let (worker, request) = (node.clone(), request.clone());
    node.store
        .write(move |tx| {
            tx.set_meta(LAST_AT, &manifest.made_at)?;
            tx.set_meta(LAST_TO, &to)?;
            let now_ms = worker.clock.now_ms();
            let said = said(&manifest, &to, key.as_deref());
            super::answer(tx, &request, said, "backup", now_ms)
        })
        .await
}

fn said(manifest: &Manifest, to: &str, public: Option<&[u8]>) -> Said {
    let mut data = facts(manifest, to);
    data["ok"] = json!(manifest.missing_files.is_empty());
    data["sealed"] = json!(public.is_some());
    let path = ("path", to.to_owned());
    let said = match public.map(vault::fingerprint) {
        Some(key) => {
            data["recovery_key"] = json!(key);
            let args = [path, ("key", key.to_string())];
            Said::done(data).note("note-backup-sealed", args)
        }
        None => Said::done(data).note("note-backup-made", [path]),
    };
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

/// Answers what a check of a backup found. It asks no node. A sealed one is looked into where its key is named.
pub fn checked(request: &Request, folder: &str, key: Option<&NodeKey>) -> Result<Answer, Refusal> {
    let path = folder.as_ref();
    if !sealed::is_sealed(path) {
        let said = looked(backup::check(path)?, folder);
        return Ok(speak(request.lang, said));
    }
    let said = match sealed::check(path, key)? {
        Some(checked) => looked(checked, folder),
        None => {
            let data = json!({ "folder": folder, "ok": true });
            Said::done(data).note("note-backup-sealed-whole", [])
        }
    };
    let mut said = said;
    said.data["sealed"] = json!(true);
    said.data["recovery_key"] = json!(sealed::sealed_for(path)?);
    Ok(speak(request.lang, said))
}

fn looked(checked: Checked, folder: &str) -> Said {
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
    said
}

/// Takes the public part of a recovery key.
pub fn set_key(on: &mut Writing<'_, '_>, public: &str, replace: bool) -> Result<Said, Refusal> {
    if let Some(known) = keys::of(on.tx.connection())?
        && !replace
    {
        let key = known.fingerprint().to_string();
        return Err(Refusal::usage("recovery-key-set", [("key", key)]));
    }
    let public = unhex(public).unwrap_or_default();
    if !keys::set(on.tx, &public)? {
        return Err(Refusal::usage("recovery-key-bad", []));
    }
    let key = vault::fingerprint(&public);
    Ok(Said::done(json!({ "recovery_key": key })).note("note-recovery-key", []))
}

/// Which recovery key opens the backups of this node.
pub fn show_key(on: &Reading<'_>) -> Result<Said, Refusal> {
    let known = keys::of(on.connection)?;
    let key = known.map(|recovery| recovery.fingerprint());
    let said = Said::done(json!({ "recovery_key": key }));
    Ok(match key {
        Some(_) => said,
        None => said.note("note-recovery-key-none", []),
    })
}

/// Has a backup deposited at the parent as soon as nothing else waits.
pub fn deposit(on: &mut Writing<'_, '_>, anyway: bool) -> Result<Said, Refusal> {
    if keys::of(on.tx.connection())?.is_none() {
        return Err(Refusal::usage("deposit-no-key", []));
    }
    let above = on.tx.links().iter().any(|link| link.role == Role::Upstream);
    if !above || on.node.settings.carried {
        return Err(Refusal::usage("deposit-no-parent", []));
    }
    deposit::want(on.tx, anyway)?;
    Ok(Said::done(json!({ "wanted": true })).note("note-deposit-wanted", []))
}
