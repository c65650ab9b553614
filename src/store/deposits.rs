//! Backups that children deposited: sealed pieces and a head for each node, in a folder of their own. Nothing here can be read
//! by this node.
//!
//! A deposit is complete when its head has its name; the one before counts until then. Pieces that no head needs go when
//! the next deposit is complete, and after a while when none was.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
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

/// What a file takes on a disk is a multiple of this, in bytes: a million small pieces fill one as large ones do.
const BLOCK: u64 = 4096;

/// Pieces that a quota has room for, however small they are.
pub fn most_pieces(quota: u64) -> u64 {
    quota / BLOCK
}

/// What bytes in a file take of a quota.
pub fn room(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(BLOCK)
}

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
    /// Bytes of its head.
    pub head_bytes: u64,
}

/// What pieces take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Their bytes.
    pub bytes: u64,
    /// What they take of a quota.
    pub room: u64,
}

/// Why a deposit cannot be made the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// So many of its pieces are not here.
    Lacking(usize),
    /// Its head is none.
    NoHead,
    /// Its head names a piece twice.
    Doubled,
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

    fn draft(&self) -> PathBuf {
        self.folder.join("next")
    }

    /// A new file for the head that is arriving: it grows there and not in memory. One that was cut before goes.
    pub fn begin_head(&self) -> Result<File, StoreError> {
        private_folder(&self.folder)?;
        let draft = self.draft();
        let _ = fs::remove_file(&draft);
        private_file(&draft)
    }

    /// Makes the deposit whose head has arrived the one that counts, and removes what it does not need. `Err`: why not;
    /// nothing was changed.
    pub fn complete(&self, at: i64) -> Result<Result<(), Unfit>, StoreError> {
        let draft = self.draft();
        let unreadable = || format!("read {}", draft.display());
        let mut file = File::open(&draft).map_err(io(unreadable()))?;
        let head = Head::read(BufReader::new(&mut file)).map_err(io(unreadable()))?;
        let fit = head.map_or(Err(Unfit::NoHead), |head| self.fit(head.names));
        let names = match fit {
            Ok(names) => names,
            Err(unfit) => {
                let _ = fs::remove_file(&draft);
                return Ok(Err(unfit));
            }
        };
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
        file.sync_all()
            .map_err(io(format!("sync {}", draft.display())))?;
        let path = self.folder.join(format!("{HEAD}{at}"));
        fs::rename(&draft, &path).map_err(io(format!("rename to {}", path.display())))?;
        sync_folder(&self.folder)?;
        for (_, path) in before {
            fs::remove_file(&path).map_err(io(format!("remove {}", path.display())))?;
        }
        self.sweep_but(&names, None)?;
        Ok(Ok(()))
    }

    /// The names in their order, where each stands for another piece that is here.
    fn fit(&self, mut names: Vec<Name>) -> Result<Vec<Name>, Unfit> {
        names.sort_unstable();
        if names.windows(2).any(|two| two[0] == two[1]) {
            return Err(Unfit::Doubled);
        }
        let lacking = names.iter().filter(|name| !self.piece(name).exists());
        match lacking.count() {
            0 => Ok(names),
            lacking => Err(Unfit::Lacking(lacking)),
        }
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
        let unreadable = || format!("read {}", path.display());
        let mut file = File::open(&path).map_err(io(unreadable()))?;
        let (mut hash, mut head_bytes, mut part) = (Sha256::new(), 0, [0; 16 << 10]);
        loop {
            let read = file.read(&mut part).map_err(io(unreadable()))?;
            if read == 0 {
                break;
            }
            hash.update(&part[..read]);
            head_bytes += read as u64;
        }
        Ok(Some(Complete {
            at,
            id: hash.finalize().into(),
            head_bytes,
        }))
    }

    /// The head of the deposit that counts.
    pub fn head(&self) -> Result<Option<File>, StoreError> {
        let Some((_, path)) = self.heads()?.pop() else {
            return Ok(None);
        };
        let file = File::open(&path).map_err(io(format!("read {}", path.display())))?;
        Ok(Some(file))
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

    /// What its pieces take, needed or not.
    pub fn used(&self) -> Result<Used, StoreError> {
        let mut used = Used::default();
        self.each(&mut |_, found| {
            used.bytes += found.len();
            used.room += room(found.len());
            Ok(())
        })?;
        Ok(used)
    }

    /// Removes pieces that the deposit that counts does not need; where an instant is named, those last asked for before it.
    pub fn sweep(&self, before: Option<SystemTime>) -> Result<usize, StoreError> {
        let what = || format!("the head in {}", self.folder.display());
        let mut needed = Vec::new();
        if let Some(file) = self.head()? {
            let head = Head::read(BufReader::new(file)).map_err(io(what()))?;
            needed = head.ok_or_else(|| StoreError::Damaged(what()))?.names;
            needed.sort_unstable();
        }
        self.sweep_but(&needed, before)
    }

    fn sweep_but(&self, needed: &[Name], before: Option<SystemTime>) -> Result<usize, StoreError> {
        let mut removed = 0;
        self.each(&mut |path, found| {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.and_then(parse_hex);
            let old = before.is_none_or(|before| found.modified().is_ok_and(|at| at < before));
            if old && name.is_none_or(|name| needed.binary_search(&name).is_err()) {
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

    fn complete(depot: &Depot, head: &[u8], at: i64) -> Result<(), Unfit> {
        let mut file = depot.begin_head().expect("room");
        file.write_all(head).expect("room");
        depot.complete(at).expect("read")
    }

    fn counts(depot: &Depot) -> (i64, Vec<u8>, Name) {
        let newest = depot.newest().expect("read").expect("one");
        let mut head = Vec::new();
        let file = depot.head().expect("read");
        file.expect("one").read_to_end(&mut head).expect("read");
        assert_eq!(newest.head_bytes, head.len() as u64);
        (newest.at, head, newest.id)
    }

    #[test]
    fn a_head_that_is_none_or_names_a_piece_twice_changes_nothing() {
        let (_dir, depot) = depot();
        let one = name(b"one");
        depot.keep(b"one").expect("room");
        complete(&depot, &head(&[one]), 5).expect("all there");
        let doubled = head(&[one, one]);
        assert_eq!(complete(&depot, &doubled, 6), Err(Unfit::Doubled));
        assert_eq!(complete(&depot, b"nothing", 6), Err(Unfit::NoHead));
        assert_eq!(counts(&depot).1, head(&[one]));
        assert!(!depot.draft().exists());
        let used = depot.used().expect("read");
        assert_eq!((used.bytes, used.room), (3, 4096));
        assert_eq!((room(0), room(4096), room(4097)), (4096, 4096, 8192));
    }

    #[test]
    fn a_deposit_counts_when_it_is_complete_and_the_one_before_until_then() {
        let (dir, depot) = depot();
        let (one, two, three) = (name(b"one"), name(b"two"), name(b"three"));
        assert_eq!(depot.lacking(&[one, two], NOW).expect("read"), [one, two]);
        depot.keep(b"one").expect("room");
        let first = head(&[one, two]);
        assert_eq!(complete(&depot, &first, 5), Err(Unfit::Lacking(1)));
        assert_eq!(depot.newest().expect("read"), None);
        depot.keep(b"two").expect("room");
        complete(&depot, &first, 5).expect("all there");
        // The next one: a piece stays, a piece comes, a piece goes, and not before it is complete.
        depot.keep(b"three").expect("room");
        assert!(
            depot
                .lacking(&[one, two, three], NOW)
                .expect("read")
                .is_empty()
        );
        assert_eq!(counts(&depot), (5, first.clone(), name(&first)));
        let second = head(&[two, three]);
        complete(&depot, &second, 5).expect("all there");
        assert_eq!(counts(&depot), (6, second.clone(), name(&second)));
        assert_eq!(depot.lacking(&[one, two, three], NOW).expect("read"), [one]);
        assert_eq!(depot.used().expect("read").bytes, 8);
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
        complete(&depot, &head(&[one, two]), 5).expect("all there");
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
