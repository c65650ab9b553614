//! What a backup takes beside the database and the attachments: keys, configuration, profiles.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::backup::{KEYS, SETTINGS, Source, io, private_file, private_folder};

/// Readings until two are the same; a change of the keys takes a few.
const READINGS: u32 = 1000;
/// A file's place in the backup, and what it holds.
type Kept = (String, Vec<u8>);

/// All of it as it stood at one moment.
pub(super) fn read(source: &Source) -> Result<Vec<Kept>, StoreError> {
    read_with(source, |path| fs::read(path))
}

fn read_with(
    source: &Source,
    mut file: impl FnMut(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Vec<Kept>, StoreError> {
    settled(|| read_once(source, &mut file))
}

/// Writes one of them into a backup.
pub(super) fn write(target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(folder) = target.parent() {
        private_folder(folder)?;
    }
    let mut copy = private_file(target)?;
    copy.write_all(bytes)
        .and_then(|()| copy.sync_all())
        .map_err(io(format!("write {}", target.display())))
}

/// Reads until two readings in a row are the same: then both are what stood there at the moment between them. A key and its
/// certificate change one after the other, and whoever reads them meanwhile may have one of each.
fn settled<T: PartialEq>(mut read: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut before = read()?;
    for _ in 0..READINGS {
        let now = read()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    let kind = std::io::ErrorKind::ResourceBusy;
    Err(io("read the keys, which change all the time")(kind.into()))
}

/// Keys, configuration and profiles: where each goes, and what it holds. One that is taken away meanwhile is not there.
fn read_once(
    source: &Source,
    file: &mut impl FnMut(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Vec<Kept>, StoreError> {
    let mut read = Vec::new();
    for (path, below) in kept_beside(source)? {
        match file(&path) {
            Ok(bytes) => read.push((below, bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(format!("read {}", path.display()))(error)),
        }
    }
    Ok(read)
}

/// Keys, configuration and profiles: where each is, and where it goes.
fn kept_beside(source: &Source) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let mut kept = Vec::new();
    let folders = [
        (Some(source.dir.join(KEYS)), KEYS.to_owned(), None),
        (
            source.adapters.clone(),
            format!("{SETTINGS}/adapters.d"),
            Some("toml"),
        ),
    ];
    for (folder, below, ending) in folders {
        let Some(folder) = folder else { continue };
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry
                .map_err(io(format!("read {}", folder.display())))?
                .path();
            let fits = ending.is_none_or(|ending| path.extension().is_some_and(|e| e == ending));
            // A draft that a crash left is nobody's key.
            let draft = path.extension().is_some_and(|e| e == "tmp");
            if let Some(name) = path.file_name().and_then(|name| name.to_str())
                && fits
                && !draft
                && path.is_file()
            {
                let below = format!("{below}/{name}");
                kept.push((path, below));
            }
        }
    }
    if let Some(config) = source.config.clone().filter(|path| path.is_file()) {
        kept.push((config, format!("{SETTINGS}/config.toml")));
    }
    kept.sort();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_changes_between_two_files_is_read_whole() {
        use crate::trust::authority::{Authority, CA_CERTIFICATE_FILE};
        let dir = tempfile::tempdir().expect("a folder");
        let (keys, copy) = (dir.path().join(KEYS), dir.path().join("copy"));
        private_folder(&keys).expect("a folder");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let node = nqsync_core::model::NodeId(uuid::Uuid::from_u128(1));
        let old = Authority::create(&keys, node, now).expect("an authority");
        let source = Source {
            elsewhere: None,
            dir: dir.path().to_owned(),
            config: None,
            adapters: None,
            made_at: String::new(),
        };
        let mut changed = false;
        // Its key was read, its certificate is next.
        let read = read_with(&source, |path| {
            if path.ends_with(CA_CERTIFICATE_FILE) && !changed {
                changed = true;
                Authority::rotate(&keys, node, now).expect("another one");
            }
            fs::read(path)
        });
        for (below, bytes) in read.expect("read") {
            write(&copy.join(below), &bytes).expect("written");
        }
        let copied = Authority::load(&copy.join(KEYS)).expect("a whole one");
        assert!(changed && copied.pin() != old.pin());
        assert_eq!(copied.pins().len(), 2, "the former one as well");
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let mut readings = ["old key, new certificate", "new", "new", "never"].into_iter();
        let read = settled(|| Ok(readings.next().expect("not so often")));
        assert_eq!(read.expect("settled"), "new");
        assert_eq!(readings.next(), Some("never"));
        let mut number = 0;
        let never = settled(|| {
            number += 1;
            Ok(number)
        });
        assert!(matches!(never, Err(StoreError::Io { .. })), "{never:?}");
    }
}
