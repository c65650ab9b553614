//! Backups that children deposited: sealed pieces and a head for each node, in a folder of their own. Nothing here can be read
//! by this node.
//!
//! A deposit is complete when its head has its name; the one before counts until then. Pieces that no head needs go when
//! the next deposit is complete, and after a while when none was.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nqsync_core::model::NodeId;
use nqsync_core::protocol::deposit::{Head, MAX_PIECE, Name};
use sha2::{Digest as _, Sha256};

use super::StoreError;
use super::backup::{io, private_file, private_folder, sync_folder};
use super::blobs::{hex, parse_hex, read_piece};

/// Folder of the deposits, below that of the store.
const DEPOSITS: &str = "deposits";
/// Beginning of a head's name; the instant it was complete follows.
const HEAD: &str = "head-";
/// How long a piece is kept that no head needs: a deposit that was cut goes on with it.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Looks at one piece.
type Look<'a> = dyn FnMut(&Path, &fs::Metadata) -> Result<(), StoreError> + 'a;

/// What one node deposited.
#[derive(Clone, Debug)]
pub struct Depot {
    folder: PathBuf,
}

/// A complete deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// When it was complete, in milliseconds since 1970.
    pub at: i64,
    /// SHA-256 of its head.
    pub id: [u8; 32],
    /// Its head.
    pub head: Vec<u8>,
}

/// Bytes that are free where the deposits lie; `None` where the system does not say.
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some(found.f_bavail * found.f_frsize)
}

/// Every node that has deposited something here.
pub fn nodes(dir: &Path) -> Result<Vec<NodeId>, StoreError> {
    let Ok(entries) = fs::read_dir(dir.join(DEPOSITS)) else {
        return Ok(Vec::new());
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect())
}

impl Depot {
    /// That of a node, in the directory of a store.
    pub fn of(dir: &Path, node: NodeId) -> Depot {
        Depot {
            folder: dir.join(DEPOSITS).join(node.to_string()),
        }
    }

    fn pieces(&self) -> PathBuf {
        self.folder.join("pieces")
    }

    fn piece(&self, name: &Name) -> PathBuf {
        let name = hex(name);
        self.pieces().join(&name[..2]).join(name)
    }

    /// Those of the names whose pieces are not here. The others are kept for a while from `now` on, also when no head needs
    /// them yet.
    pub fn lacking(&self, names: &[Name], now: SystemTime) -> Result<Vec<Name>, StoreError> {
        let mut lacking = Vec::new();
        for name in names {
            let path = self.piece(name);
            match File::options().append(true).open(&path) {
                Ok(file) => file
                    .set_modified(now)
                    .map_err(io(format!("touch {}", path.display())))?,
                Err(_) => lacking.push(*name),
            }
        }
        Ok(lacking)
    }

    /// Keeps a piece under its name. It is on disk for good when the deposit is complete.
    pub fn keep(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.piece(&Sha256::digest(bytes).into());
        if path.exists() {
            return Ok(());
        }
        let draft = path.with_added_extension("tmp");
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        // Left by a crash.
        let _ = fs::remove_file(&draft);
        private_file(&draft)?
            .write_all(bytes)
            .map_err(io(format!("write {}", draft.display())))?;
        fs::rename(&draft, &path).map_err(io(format!("rename to {}", path.display())))
    }

    /// A piece, as it stands on the disk.
    pub fn read(&self, name: &Name) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.piece(name);
        match path.exists() {
            true => read_piece(&path, 0, MAX_PIECE).map(Some),
            false => Ok(None),
        }
    }

    /// Makes a deposit the one that counts, and removes what it does not need. `Err`: how many pieces are not here; nothing
    /// was changed.
    pub fn complete(
        &self,
        head: &[u8],
        names: &[Name],
        at: i64,
    ) -> Result<Result<(), usize>, StoreError> {
        let lacking = names.iter().filter(|name| !self.piece(name).exists());
        match lacking.count() {
            0 => {}
            lacking => return Ok(Err(lacking)),
        }
        private_folder(&self.folder)?;
        // The pieces first: a head promises them.
        let shown = self.folder.display().to_string();
        let device = File::open(&self.folder).map_err(io(format!("open {shown}")))?;
        rustix::fs::syncfs(&device)
            .map_err(std::io::Error::from)
            .map_err(io(format!("sync {shown}")))?;
        let before = self.heads()?;
        // Two in one millisecond must not be one.
        let newest = before.iter().map(|(at, _)| *at + 1).max();
        let at = newest.map_or(at, |newest| at.max(newest));
        let draft = self.folder.join("next");
        let _ = fs::remove_file(&draft);
        let mut file = private_file(&draft)?;
        file.write_all(head)
            .and_then(|()| file.sync_all())
            .map_err(io(format!("write {}", draft.display())))?;
        let path = self.folder.join(format!("{HEAD}{at}"));
        fs::rename(&draft, &path).map_err(io(format!("rename to {}", path.display())))?;
        sync_folder(&self.folder)?;
        for (_, path) in before {
            fs::remove_file(&path).map_err(io(format!("remove {}", path.display())))?;
        }
        self.sweep(None)?;
        Ok(Ok(()))
    }

    fn heads(&self) -> Result<Vec<(i64, PathBuf)>, StoreError> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Ok(Vec::new());
        };
        let mut heads: Vec<(i64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let at = name.to_str()?.strip_prefix(HEAD)?.parse().ok()?;
                Some((at, entry.path()))
            })
            .collect();
        heads.sort();
        Ok(heads)
    }

    /// The deposit that counts.
    pub fn newest(&self) -> Result<Option<Complete>, StoreError> {
        let Some((at, path)) = self.heads()?.pop() else {
            return Ok(None);
        };
        let head = fs::read(&path).map_err(io(format!("read {}", path.display())))?;
        let id = Sha256::digest(&head).into();
        Ok(Some(Complete { at, id, head }))
    }

    fn each(&self, look: &mut Look<'_>) -> Result<(), StoreError> {
        let Ok(folders) = fs::read_dir(self.pieces()) else {
            return Ok(());
        };
        for folder in folders.flatten() {
            let failed = || format!("read {}", folder.path().display());
            for entry in fs::read_dir(folder.path()).map_err(io(failed()))? {
                let entry = entry.map_err(io(failed()))?;
                let found = entry.metadata().map_err(io(failed()))?;
                look(&entry.path(), &found)?;
            }
        }
        Ok(())
    }

    /// Bytes of its pieces, needed or not.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        self.each(&mut |_, found| {
            bytes += found.len();
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Removes pieces that the deposit that counts does not need; where an instant is named, those last asked for before it.
    pub fn sweep(&self, before: Option<SystemTime>) -> Result<usize, StoreError> {
        let newest = self.newest()?;
        let head = newest
            .as_ref()
            .and_then(|complete| Head::parse(&complete.head));
        if newest.is_some() && head.is_none() {
            let what = format!("the head in {}", self.folder.display());
            return Err(StoreError::Damaged(what));
        }
        let needed: HashSet<Name> = head
            .map(|head| head.names)
            .unwrap_or_default()
            .into_iter()
            .collect();
        let mut removed = 0;
        self.each(&mut |path, found| {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.and_then(parse_hex);
            let old = before.is_none_or(|before| found.modified().is_ok_and(|at| at < before));
            if old && !name.is_some_and(|name| needed.contains(&name)) {
                fs::remove_file(path).map_err(io(format!("remove {}", path.display())))?;
                removed += 1;
            }
            Ok(())
        })?;
        Ok(removed)
    }

    /// Removes pieces whose bytes are no longer those of their names, so that the next deposit brings them again, and those
    /// that nothing has needed for long. Answers how many were damaged.
    pub fn look_through(&self, now_ms: i64) -> Result<usize, StoreError> {
        let mut damaged = 0;
        self.each(&mut |path, _| {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.and_then(parse_hex) else {
                return Ok(());
            };
            let bytes = read_piece(path, 0, MAX_PIECE + 1)?;
            if name != <[u8; 32]>::from(Sha256::digest(&bytes)) {
                damaged += 1;
                fs::remove_file(path).map_err(io(format!("remove {}", path.display())))?;
            }
            Ok(())
        })?;
        let now = UNIX_EPOCH + Duration::from_millis(now_ms.max(0) as u64);
        self.sweep(now.checked_sub(KEPT))?;
        Ok(damaged)
    }

    /// Removes everything. `false`: there was nothing.
    pub fn remove(&self) -> Result<bool, StoreError> {
        if !self.folder.exists() {
            return Ok(false);
        }
        let shown = self.folder.display().to_string();
        fs::remove_dir_all(&self.folder).map_err(io(format!("remove {shown}")))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depot() -> (tempfile::TempDir, Depot) {
        let dir = tempfile::tempdir().expect("room");
        let depot = Depot::of(dir.path(), NodeId(uuid::Uuid::from_u128(7)));
        (dir, depot)
    }

    fn name(bytes: &[u8]) -> Name {
        Sha256::digest(bytes).into()
    }

    fn head(names: &[Name]) -> Vec<u8> {
        let head = Head {
            key: [1; 32],
            root: b"root".to_vec(),
            names: names.to_vec(),
        };
        head.render()
    }

    const NOW: SystemTime = UNIX_EPOCH;

    #[test]
    fn a_deposit_counts_when_it_is_complete_and_the_one_before_until_then() {
        let (dir, depot) = depot();
        let (one, two, three) = (name(b"one"), name(b"two"), name(b"three"));
        assert_eq!(depot.lacking(&[one, two], NOW).expect("read"), [one, two]);
        depot.keep(b"one").expect("room");
        let first = head(&[one, two]);
        assert_eq!(
            depot.complete(&first, &[one, two], 5).expect("read"),
            Err(1)
        );
        assert_eq!(depot.newest().expect("read"), None);
        depot.keep(b"two").expect("room");
        depot
            .complete(&first, &[one, two], 5)
            .expect("room")
            .expect("all there");
        // The next one: a piece stays, a piece comes, a piece goes, and not before it is complete.
        depot.keep(b"three").expect("room");
        assert!(
            depot
                .lacking(&[one, two, three], NOW)
                .expect("read")
                .is_empty()
        );
        let counts = depot.newest().expect("read").expect("one");
        assert_eq!((counts.at, counts.head), (5, first));
        let second = head(&[two, three]);
        depot
            .complete(&second, &[two, three], 5)
            .expect("room")
            .expect("all there");
        let counts = depot.newest().expect("read").expect("one");
        assert_eq!(
            (counts.at, counts.head, counts.id),
            (6, second.clone(), name(&second))
        );
        assert_eq!(depot.lacking(&[one, two, three], NOW).expect("read"), [one]);
        assert_eq!(depot.bytes().expect("read"), 8);
        assert_eq!(nodes(dir.path()).expect("read").len(), 1);
        assert!(depot.remove().expect("room") && !depot.remove().expect("room"));
    }

    #[test]
    fn a_damaged_piece_is_asked_for_again_and_what_a_cut_left_goes_after_a_week() {
        let (_dir, depot) = depot();
        let (one, two) = (name(b"one"), name(b"two"));
        for bytes in [&b"one"[..], b"two", b"cut"] {
            depot.keep(bytes).expect("room");
        }
        depot
            .complete(&head(&[one, two]), &[one, two], 5)
            .expect("room")
            .expect("all there");
        depot.keep(b"cut").expect("room");
        let day = Duration::from_secs(24 * 3600);
        let then = UNIX_EPOCH + 100 * day;
        depot
            .lacking(&[name(b"cut"), one, two], then)
            .expect("touched");
        fs::write(depot.piece(&two), "twx").expect("room");
        let later = |days: u32| 100 * 86_400_000 + i64::from(days) * 86_400_000;
        assert_eq!(depot.look_through(later(6)).expect("read"), 1);
        assert_eq!(
            depot
                .lacking(&[name(b"cut"), one, two], then)
                .expect("read"),
            [two]
        );
        assert_eq!(depot.look_through(later(8)).expect("read"), 0);
        assert_eq!(
            depot.lacking(&[name(b"cut"), one], then).expect("read"),
            [name(b"cut")]
        );
    }
}
