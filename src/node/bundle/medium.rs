//! Files on a medium: folders with fixed names, numbered files in them, and nothing else that is looked at.
//!
//! A bundle is written under a name that nobody reads, and gets its own name when everything in it is on the medium. When
//! one is read, no name comes from the medium: the envelope is `000000`, its segments follow by number, and whatever is not
//! a regular file is refused unopened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nqsync_core::model::NodeId;
use rustix::fs::OFlags;

/// What a folder ends with while it is written.
const UNFINISHED: &str = ".unfinished";
/// What every folder begins with.
const PREFIX: &str = "nqsync-";
/// Most bundles looked at on one medium.
const MAX_BUNDLES: usize = 10_000;

/// What is wrong with a medium.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// The file system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A link, a device, a pipe or a folder where a file has to be.
    #[error("{0} is not a regular file")]
    NotAFile(String),
    /// Larger than it may be.
    #[error("{name} has more than {limit} bytes")]
    TooLarge {
        /// The file.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// A bundle of this name is there.
    #[error("{0} is there already")]
    InTheWay(String),
}

impl MediumError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            MediumError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "missing_file"
            }
            MediumError::Io { .. } => "medium",
            MediumError::NotAFile(_) => "not_a_file",
            MediumError::TooLarge { .. } => "too_large",
            MediumError::InTheWay(_) => "in_the_way",
        }
    }
}

fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> MediumError {
    let what = what.into();
    |source| MediumError::Io { what, source }
}

/// The file with this number; 0 is the envelope.
fn numbered(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:06}"))
}

/// The beginning of the names of all bundles from one node to another. Ids end at random, so that the ends tell them apart.
fn prefix(from: NodeId, to: NodeId) -> String {
    let end = |node: NodeId| node.to_string().split_off(28);
    format!("{PREFIX}{}-{}-", end(from), end(to))
}

/// The name of a bundle.
pub fn name(from: NodeId, to: NodeId, number: u64) -> String {
    format!("{}{number:06}", prefix(from, to))
}

/// Whether a bundle of this number has its name in a folder.
pub fn is_there(folder: &Path, from: NodeId, to: NodeId, number: u64) -> bool {
    folder.join(name(from, to, number)).is_dir()
}

/// A bundle that is being written. Dropped before it is finished, it is removed.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    draft: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Draft {
    /// Begins a bundle in a folder. What an earlier try between the same two nodes left unfinished goes first.
    pub fn begin(
        folder: &Path,
        from: NodeId,
        to: NodeId,
        number: u64,
    ) -> Result<Draft, MediumError> {
        let shown = folder.display();
        if !fs::metadata(folder)
            .map_err(io(format!("read {shown}")))?
            .is_dir()
        {
            let source = io::ErrorKind::NotADirectory.into();
            let what = format!("write into {shown}");
            return Err(MediumError::Io { what, source });
        }
        sweep(folder, &prefix(from, to))?;
        let target = folder.join(name(from, to, number));
        if target.symlink_metadata().is_ok() {
            return Err(MediumError::InTheWay(target.display().to_string()));
        }
        let draft = target.with_added_extension(&UNFINISHED[1..]);
        fs::create_dir(&draft).map_err(io(format!("create {}", draft.display())))?;
        Ok(Draft {
            folder: folder.to_owned(),
            draft,
            target,
            finished: false,
        })
    }

    /// Writes a numbered file and waits until it is on the medium.
    pub fn write(&self, number: usize, bytes: &[u8]) -> Result<(), MediumError> {
        let path = numbered(&self.draft, number);
        let written = || {
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        written().map_err(io(format!("write {}", path.display())))
    }

    /// Everything is written: its names are made durable, so that only the last step is left.
    pub fn settle(&self) -> Result<(), MediumError> {
        sync_folder(&self.draft)
    }

    /// Gives the bundle its name, in one step.
    pub fn finish(&mut self) -> Result<PathBuf, MediumError> {
        let shown = self.target.display().to_string();
        fs::rename(&self.draft, &self.target).map_err(io(format!("rename to {shown}")))?;
        self.finished = true;
        sync_folder(&self.folder)?;
        Ok(self.target.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // The medium may be gone; what stays there has no name that anybody reads.
            let _ = remove_draft(&self.draft);
        }
    }
}

fn sync_folder(folder: &Path) -> Result<(), MediumError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io(format!("sync {}", folder.display())))
}

fn sweep(folder: &Path, prefix: &str) -> Result<(), MediumError> {
    let unreadable = || io(format!("read {}", folder.display()));
    for entry in fs::read_dir(folder).map_err(unreadable())? {
        let entry = entry.map_err(unreadable())?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        if name.starts_with(prefix) && name.ends_with(UNFINISHED) {
            remove_draft(&entry.path()).map_err(io(format!("remove {name}")))?;
        }
    }
    Ok(())
}

/// Removes numbered files and their folder; anything else in it keeps it there.
fn remove_draft(draft: &Path) -> io::Result<()> {
    if !draft.symlink_metadata()?.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(draft)? {
        let entry = entry?;
        let name = entry.file_name();
        let numbered = name
            .to_str()
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if numbered && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(draft)
}

/// The bundles in a folder: itself, or the folders in it that have the name of one. Answers each with the name to show.
pub fn bundles(folder: &Path) -> Result<Vec<(String, PathBuf)>, MediumError> {
    let unreadable = || io(format!("read {}", folder.display()));
    if numbered(folder, 0).symlink_metadata().is_ok() {
        let name = folder.file_name().unwrap_or_default();
        return Ok(vec![(
            name.to_string_lossy().into_owned(),
            folder.to_owned(),
        )]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable())? {
        let name = entry.map_err(unreadable())?.file_name();
        let Some(name) = name.to_str().filter(|name| is_name(name)) else {
            continue;
        };
        found.push((name.to_owned(), folder.join(name)));
        if found.len() > MAX_BUNDLES {
            let name = folder.display().to_string();
            let limit = MAX_BUNDLES as u64;
            return Err(MediumError::TooLarge { name, limit });
        }
    }
    found.sort();
    Ok(found)
}

fn is_name(name: &str) -> bool {
    let parts: Vec<&str> = name
        .strip_prefix(PREFIX)
        .unwrap_or_default()
        .split('-')
        .collect();
    let id = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number =
        |text: &str| (6..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    matches!(parts[..], [from, to, n] if id(from) && id(to) && number(n))
}

/// One bundle on a medium.
#[derive(Debug)]
pub struct Bundle {
    folder: PathBuf,
}

impl Bundle {
    /// The bundle in a folder, which has to be one and no link to one.
    pub fn open(folder: &Path) -> Result<Bundle, MediumError> {
        let found = folder.symlink_metadata();
        let found = found.map_err(io(format!("read {}", folder.display())))?;
        match found.is_dir() {
            true => Ok(Bundle {
                folder: folder.to_owned(),
            }),
            false => Err(MediumError::NotAFile(folder.display().to_string())),
        }
    }

    /// A numbered file that is open, with its length.
    pub fn file(&self, number: usize) -> Result<(File, u64), MediumError> {
        open_regular(&numbered(&self.folder, number), format!("{number:06}"))
    }

    /// Reads a numbered file of at most so many bytes.
    pub fn read(&self, number: usize, limit: u64) -> Result<Vec<u8>, MediumError> {
        read_open(self.file(number)?, format!("{number:06}"), limit)
    }
}

/// Reads a regular file of at most so many bytes.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, MediumError> {
    let shown = path.display().to_string();
    read_open(open_regular(path, shown.clone())?, shown, limit)
}

/// Opens a regular file, with its length. A link is not followed, and a pipe does not keep us waiting.
fn open_regular(path: &Path, shown: String) -> Result<(File, u64), MediumError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path);
    let file = match opened {
        // A link is told so by this error; a device without a driver and a socket by the other.
        Err(error) if path.symlink_metadata().is_ok_and(|found| !found.is_file()) => {
            tracing::debug!(%error, "not opened");
            return Err(MediumError::NotAFile(shown));
        }
        opened => opened.map_err(io(format!("read {shown}")))?,
    };
    let found = file.metadata().map_err(io(format!("read {shown}")))?;
    match found.is_file() {
        true => Ok((file, found.len())),
        false => Err(MediumError::NotAFile(shown)),
    }
}

fn read_open(
    (file, length): (File, u64),
    name: String,
    limit: u64,
) -> Result<Vec<u8>, MediumError> {
    let mut bytes = Vec::with_capacity(length.min(limit) as usize);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(io(format!("read {name}")))?;
    match bytes.len() as u64 > limit {
        true => Err(MediumError::TooLarge { name, limit }),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ib7_only_names_of_ours_are_looked_at() {
        for good in [
            "nqsync-0a1b2c3d-99999999-000001",
            "nqsync-0a1b2c3d-99999999-1234567",
        ] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "..",
            "nqsync-0a1b2c3d-99999999-000001.unfinished",
            "nqsync-0a1b2c3d-99999999-../../x",
            "nqsync-0a1b2c3d-99999999-",
            "nqsync-0a1b2c3-99999999-000001",
            "nqsync-0a1b2c3d-99999999-000001-2",
            "Nqsync-0a1b2c3d-99999999-000001",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
        let node = |n: u128| NodeId(uuid::Uuid::from_u128(n));
        assert!(is_name(&name(node(7), node(u128::MAX), 12)));
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing_and_an_old_one_makes_room() {
        let folder = tempfile::tempdir().expect("room");
        let node = |n: u128| NodeId(uuid::Uuid::from_u128(n));
        let begin = || Draft::begin(folder.path(), node(1), node(2), 3);
        let draft = begin().expect("begun");
        draft.write(0, b"half").expect("written");
        drop(draft);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let left = begin().expect("begun");
        left.write(0, b"half").expect("written");
        // As a crash would leave it.
        std::mem::forget(left);
        assert!(bundles(folder.path()).expect("readable").is_empty());
        let mut whole = begin().expect("begun");
        whole.write(0, b"whole").expect("written");
        whole.settle().expect("settled");
        whole.finish().expect("finished");
        let found = bundles(folder.path()).expect("readable");
        assert_eq!(found.len(), 1);
        assert!(matches!(begin(), Err(MediumError::InTheWay(_))));
        let bundle = Bundle::open(&found[0].1).expect("a bundle");
        assert_eq!(bundle.read(0, 5).expect("read"), b"whole");
        assert!(matches!(
            bundle.read(0, 4),
            Err(MediumError::TooLarge { .. })
        ));
    }
}
