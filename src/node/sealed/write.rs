//! Sealing a backup's folder.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nqsync_core::protocol::ZSTD_LEVEL;
use nqsync_core::protocol::deposit::{Head, Name};

use super::{Entry, HEAD, PIECE, Root, SealedError, Tree, Work, piece_path, read};
use crate::store::StoreError;
use crate::store::backup::{self, Manifest, Source, io};
use crate::store::blobs::{self, hex};
use crate::trust::files::{self, Existing, Secrecy};
use crate::trust::vault::{self, Secret};

/// What the length of a sealed piece is a multiple of, but for what sealing adds: it should not tell too well what is in it.
const GRAIN: usize = 1024;

/// Takes a sealed piece.
pub type Sink<'a> = dyn FnMut(&Name, &[u8]) -> Result<(), StoreError> + 'a;

/// Where the contents of a piece are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Its first byte.
    pub offset: u64,
}

/// A folder that was sealed.
#[derive(Debug)]
pub struct Sealed {
    /// The head.
    pub head: Vec<u8>,
    /// Every piece, once.
    pub pieces: Vec<(Name, Place)>,
}

/// Makes a backup in the new folder `to` that only the recovery key opens.
pub fn make(source: &Source, to: &Path, public: &[u8]) -> Result<Manifest, SealedError> {
    let work = Work::begin(&source.dir)?;
    let plain = work.path().join("plain");
    let manifest = backup::make(source, &plain)?;
    // A secret of its own: whoever finds the one of another backup opens that one only.
    let secret = Secret::draw().ok_or(SealedError::Crypto("no random bytes"))?;
    backup::in_new_folder(to, |folder| {
        let sealed = seal(&plain, &secret, public, &mut |name, bytes| {
            put(&piece_path(folder, name), bytes)
        })?;
        let device = File::open(folder).map_err(io(format!("open {}", folder.display())))?;
        let synced = || rustix::fs::syncfs(&device).map_err(std::io::Error::from);
        synced().map_err(io(format!("sync {}", folder.display())))?;
        for (name, _) in &sealed.pieces {
            read::folder_piece(folder, name)?;
        }
        put(&folder.join(HEAD), &sealed.head)?;
        synced().map_err(io(format!("sync {}", folder.display())))?;
        Ok::<_, SealedError>(())
    })?;
    Ok(manifest)
}

/// Keeps a piece in a folder, unless it is there.
pub fn put_piece(folder: &Path, name: &Name, bytes: &[u8]) -> Result<(), StoreError> {
    let path = piece_path(folder, name);
    // One that was cut while it was written does not count.
    if read::folder_piece(folder, name).is_err() && path.exists() {
        fs::remove_file(&path).map_err(io(format!("remove {}", path.display())))?;
    }
    put(&path, bytes)
}

/// Keeps a head in a folder: from now on it is a sealed backup.
pub fn put_head(folder: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(HEAD);
    files::write(&path, bytes, Secrecy::Private, Existing::Replace).map_err(|error| {
        let what = format!("write {}", path.display());
        io(what)(std::io::Error::other(error))
    })
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        backup::private_folder(folder)?;
    }
    let mut file = backup::private_file(path)?;
    file.write_all(bytes)
        .map_err(io(format!("write {}", path.display())))
}

/// Seals the files of a folder. `sink` gets each piece as often as it is needed.
pub fn seal<'a>(
    plain: &Path,
    secret: &'a Secret,
    public: &[u8],
    sink: &'a mut Sink<'a>,
) -> Result<Sealed, SealedError> {
    let mut pieces = Pieces {
        secret,
        sink,
        seen: HashSet::new(),
        found: Vec::new(),
    };
    let mut tree = Tree::default();
    let mut paths = Vec::new();
    list(plain, &mut paths)?;
    paths.sort();
    for path in paths {
        let below = path.strip_prefix(plain).ok().and_then(Path::to_str);
        let below = below.ok_or_else(|| StoreError::Damaged(path.display().to_string()))?;
        let (bytes, names) = pieces.of_file(&path)?;
        tree.files.push(Entry {
            path: below.to_owned(),
            bytes,
            pieces: names,
        });
    }
    let text = serde_json::to_vec(&tree).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let list = plain.with_extension("tree");
    fs::write(&list, text).map_err(io(format!("write {}", list.display())))?;
    let (_, tree) = pieces.of_file(&list)?;
    let root = Root {
        secret: hex(secret.reveal()),
        tree,
    };
    let root = serde_json::to_vec(&root).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let root = vault::seal_for(public, &root);
    let head = Head {
        key: *vault::fingerprint(public).as_bytes(),
        root: root.ok_or(SealedError::Crypto("the recovery key cannot be used"))?,
        names: pieces.found.iter().map(|(name, _)| *name).collect(),
    };
    Ok(Sealed {
        head: head.render(),
        pieces: pieces.found,
    })
}

/// Seals one piece again, as it was sealed before.
pub fn sealed_piece(secret: &Secret, place: &Place) -> Result<(Name, Vec<u8>), SealedError> {
    let plain = blobs::read_piece(&place.file, place.offset, PIECE)?;
    secret
        .seal(&packed(&plain)?)
        .ok_or(SealedError::Crypto("a piece was refused"))
}

struct Pieces<'a> {
    secret: &'a Secret,
    sink: &'a mut Sink<'a>,
    seen: HashSet<Name>,
    found: Vec<(Name, Place)>,
}

impl Pieces<'_> {
    /// Length and pieces of a file.
    fn of_file(&mut self, path: &Path) -> Result<(u64, Vec<String>), SealedError> {
        let length = fs::metadata(path)
            .map_err(io(format!("look at {}", path.display())))?
            .len();
        let (mut offset, mut names) = (0, Vec::new());
        while offset < length {
            let place = Place {
                file: path.to_owned(),
                offset,
            };
            let (name, bytes) = sealed_piece(self.secret, &place)?;
            (self.sink)(&name, &bytes)?;
            names.push(hex(&name));
            if self.seen.insert(name) {
                self.found.push((name, place));
            }
            offset += PIECE as u64;
        }
        Ok((length, names))
    }
}

/// Contents as they are sealed: the length of what is compressed (u32, big endian), that, and zeros.
fn packed(plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let small = zstd::bulk::compress(plain, ZSTD_LEVEL).map_err(io("compress a piece"))?;
    let mut packed = (small.len() as u32).to_be_bytes().to_vec();
    packed.extend_from_slice(&small);
    packed.resize(packed.len().next_multiple_of(GRAIN), 0);
    Ok(packed)
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    let failed = || format!("read {}", folder.display());
    for entry in fs::read_dir(folder).map_err(io(failed()))? {
        let path = entry.map_err(io(failed()))?.path();
        match path.is_dir() {
            true => list(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}
