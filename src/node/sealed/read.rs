//! Opening a sealed backup, and looking whether it is whole.

use std::fs;
use std::io::{Read, Write};
use std::path::{Component, Path};

use nqsync_core::protocol::deposit::{Head, MAX_HEAD, MAX_PIECE, Name};
use sha2::{Digest as _, Sha256};

use super::{Entry, HEAD, MAX_PLAIN, Root, SealedError, Tree, piece_path};
use crate::store::backup::{self, Checked, MANIFEST, Manifest, io};
use crate::store::blobs::{self, BlobId, hex, parse_hex};
use crate::trust::identity::NodeKey;
use crate::trust::pin::Pin;
use crate::trust::vault::{self, Secret};

/// Brings a sealed piece.
pub type Fetch<'a> = dyn FnMut(&Name) -> Result<Vec<u8>, SealedError> + 'a;

/// A sealed backup that was opened.
pub struct Opened {
    shown: String,
    secret: Secret,
    tree: Tree,
}

#[cfg(test)]
impl Opened {
    /// Calls every file the same.
    pub(super) fn rename_all(&mut self, path: &str) {
        for entry in &mut self.tree.files {
            entry.path = path.to_owned();
        }
    }
}

/// Whether a folder holds a sealed backup.
pub fn is_sealed(folder: &Path) -> bool {
    folder.join(HEAD).exists()
}

/// Fingerprint of the recovery key that a folder is sealed for.
pub fn sealed_for(folder: &Path) -> Result<Pin, SealedError> {
    Ok(Pin::from_bytes(head(folder)?.key))
}

fn head(folder: &Path) -> Result<Head, SealedError> {
    let path = folder.join(HEAD);
    let failed = || format!("read {}", path.display());
    let mut bytes = Vec::new();
    let file = fs::File::open(&path).map_err(io(failed()))?;
    let mut file = file.take(MAX_HEAD as u64 + 1);
    file.read_to_end(&mut bytes).map_err(io(failed()))?;
    Head::parse(&bytes).ok_or_else(|| damaged(folder, format!("{HEAD} is changed or cut")))
}

fn damaged(folder: &Path, what: impl Into<String>) -> SealedError {
    SealedError::Damaged {
        path: folder.display().to_string(),
        what: what.into(),
    }
}

/// A piece that a folder holds, when it is the one that its name says.
pub fn folder_piece(folder: &Path, name: &Name) -> Result<Vec<u8>, SealedError> {
    let path = piece_path(folder, name);
    if !path.exists() {
        return Err(damaged(folder, format!("piece {} is missing", hex(name))));
    }
    let bytes = blobs::read_piece(&path, 0, MAX_PIECE + 1)?;
    match vault::name_of(&bytes) == *name {
        true => Ok(bytes),
        false => Err(damaged(folder, format!("piece {} was changed", hex(name)))),
    }
}

/// Opens a sealed backup's folder.
pub fn open_folder(folder: &Path, key: &NodeKey) -> Result<Opened, SealedError> {
    let head = head(folder)?;
    let mut fetch = |name: &Name| folder_piece(folder, name);
    Opened::new(folder.display().to_string(), &head, key, &mut fetch)
}

impl Opened {
    /// Opens what a head speaks of.
    fn new(
        shown: String,
        head: &Head,
        key: &NodeKey,
        fetch: &mut Fetch<'_>,
    ) -> Result<Opened, SealedError> {
        let (wanted, given) = (Pin::from_bytes(head.key), key.pin());
        if wanted != given {
            return Err(SealedError::OtherKey {
                path: shown,
                wanted: wanted.to_string(),
                given: given.to_string(),
            });
        }
        let bad = |what: &str| SealedError::Damaged {
            path: shown.clone(),
            what: what.to_owned(),
        };
        let root = vault::open_with(key, &head.root).ok_or_else(|| bad("its head was changed"))?;
        let root: Root = serde_json::from_slice(&root).map_err(|e| bad(&e.to_string()))?;
        let secret = parse_hex(&root.secret).ok_or_else(|| bad("its secret is none"))?;
        let mut opened = Opened {
            shown: shown.clone(),
            secret: Secret::from_bytes(secret),
            tree: Tree::default(),
        };
        let mut text = Vec::new();
        opened.pieces(&root.tree, fetch, &mut |plain| {
            text.extend_from_slice(plain);
            Ok(())
        })?;
        opened.tree = serde_json::from_slice(&text).map_err(|e| bad(&e.to_string()))?;
        Ok(opened)
    }

    /// The files in it.
    pub fn files(&self) -> &[Entry] {
        &self.tree.files
    }

    fn damaged(&self, what: impl Into<String>) -> SealedError {
        SealedError::Damaged {
            path: self.shown.clone(),
            what: what.into(),
        }
    }

    fn pieces(
        &self,
        names: &[String],
        fetch: &mut Fetch<'_>,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), SealedError>,
    ) -> Result<(), SealedError> {
        for text in names {
            let bad = || self.damaged(format!("piece {text} does not open"));
            let name = parse_hex(text).ok_or_else(bad)?;
            let packed = self.secret.open(&fetch(&name)?).ok_or_else(bad)?;
            sink(&unpacked(&packed).ok_or_else(bad)?)?;
        }
        Ok(())
    }

    /// Reads one file, piece by piece.
    pub fn read(
        &self,
        entry: &Entry,
        fetch: &mut Fetch<'_>,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), SealedError>,
    ) -> Result<(), SealedError> {
        let mut length = 0;
        self.pieces(&entry.pieces, fetch, &mut |plain| {
            length += plain.len() as u64;
            sink(plain)
        })?;
        match length == entry.bytes {
            true => Ok(()),
            false => Err(self.damaged(format!("{} has another length", entry.path))),
        }
    }

    /// Writes the files that are wanted into a folder, readable for their owner alone. An attachment that does not open is
    /// left out: the rest can be used without it.
    pub fn write_out(
        &self,
        to: &Path,
        wanted: &dyn Fn(&str) -> bool,
        fetch: &mut Fetch<'_>,
    ) -> Result<(), SealedError> {
        for entry in self.files().iter().filter(|entry| wanted(&entry.path)) {
            let below = Path::new(&entry.path);
            if !below
                .components()
                .all(|c| matches!(c, Component::Normal(_)))
            {
                return Err(self.damaged(format!("{} is no path below a folder", entry.path)));
            }
            let path = to.join(below);
            if let Some(folder) = path.parent() {
                backup::private_folder(folder)?;
            }
            let mut file = backup::private_file(&path)?;
            let failed = || format!("write {}", path.display());
            let read = self.read(entry, fetch, &mut |plain| {
                Ok(file.write_all(plain).map_err(io(failed()))?)
            });
            match read {
                Err(SealedError::Damaged { .. }) if blob_of(&entry.path).is_some() => {
                    fs::remove_file(&path).map_err(io(failed()))?;
                }
                other => {
                    other?;
                    file.sync_all().map_err(io(failed()))?;
                }
            }
        }
        Ok(())
    }
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = packed.split_first_chunk::<4>()?;
    let small = rest.get(..u32::from_be_bytes(*length) as usize)?;
    zstd::bulk::decompress(small, MAX_PLAIN).ok()
}

/// Reads a whole sealed backup. Without a key only whether every piece is as it was written; with it every file is compared
/// with the manifest inside.
pub fn check(folder: &Path, key: Option<&NodeKey>) -> Result<Option<Checked>, SealedError> {
    let Some(key) = key else {
        for name in &head(folder)?.names {
            folder_piece(folder, name)?;
        }
        return Ok(None);
    };
    let opened = open_folder(folder, key)?;
    let mut fetch = |name: &Name| folder_piece(folder, name);
    let manifest = manifest(&opened, &mut fetch)?;
    let (mut damage, mut bad_files) = (Vec::new(), Vec::new());
    for entry in opened.files().iter().filter(|e| e.path != MANIFEST) {
        let mut hasher = Sha256::new();
        let read = opened.read(entry, &mut fetch, &mut |plain| {
            hasher.update(plain);
            Ok(())
        });
        let found: BlobId = hasher.finalize().into();
        match (blob_of(&entry.path), read) {
            (_, Err(SealedError::Store(error))) => return Err(error.into()),
            (Some(id), read) if read.is_err() || found != id => bad_files.push(id),
            (Some(_), _) => {}
            (None, Err(error)) => damage.push(format!("{}: {error}", entry.path)),
            (None, Ok(())) => {
                let mut parts = [&manifest.database].into_iter().chain(&manifest.parts);
                let same = |p: &backup::Part| p.path == entry.path && p.sha256 == hex(&found);
                if !parts.any(same) {
                    damage.push(format!(
                        "{}: its bytes are not those of the backup",
                        entry.path
                    ));
                }
            }
        }
    }
    for part in [&manifest.database].into_iter().chain(&manifest.parts) {
        if !opened.files().iter().any(|entry| entry.path == part.path) {
            damage.push(format!("{} is missing", part.path));
        }
    }
    Ok(Some(Checked {
        manifest,
        damage,
        bad_files,
    }))
}

/// The list of what a sealed backup holds.
pub fn manifest(opened: &Opened, fetch: &mut Fetch<'_>) -> Result<Manifest, SealedError> {
    let entry = opened.files().iter().find(|e| e.path == MANIFEST);
    let entry = entry.ok_or_else(|| opened.damaged("it holds no manifest"))?;
    let mut text = Vec::new();
    opened.read(entry, fetch, &mut |plain| {
        text.extend_from_slice(plain);
        Ok(())
    })?;
    serde_json::from_slice(&text).map_err(|e| opened.damaged(e.to_string()))
}

/// The attachment that a path of a backup names.
fn blob_of(path: &str) -> Option<BlobId> {
    let name = path.strip_prefix("blobs/")?.rsplit('/').next()?;
    parse_hex(name)
}
