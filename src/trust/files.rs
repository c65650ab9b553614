//! Key and certificate files: whole or absent after a crash, and private keys readable by their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Largest key or certificate file that is read, in bytes; real ones have about 1,000.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Why a key or certificate file cannot be used, by what the operator can do about it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Others on this machine can read the private key, so it may be known to them.
    #[error(
        "{} can be read by other users (mode {mode:04o}); if nobody else used this machine, run: chmod 600 {}; \
         otherwise make a new key and enrol again", path.display(), path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a key already, and replacing it would cut this node off.
    #[error("{} exists already; it is not overwritten, because others know this node by it", path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The content is not what the name promises.
    #[error("{} is damaged: {reason}; restore it from a backup, or make a new key and enrol again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Mode 0600: a private key.
    Private,
    /// Mode 0644: a certificate.
    Public,
}

/// What to do when the file is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse with [`FileError::Exists`].
    Keep,
    /// Replace it in one step; a crash leaves the old or the new file.
    Replace,
}

/// Write a file so that after a crash it is whole or absent: temporary file, fsync, rename, fsync of the folder.
///
/// The folder is made (mode 0700) when it is missing. One process owns the folder (the store's lock), so the
/// look before the rename is no race.
pub fn write(
    path: &Path,
    content: &[u8],
    secrecy: Secrecy,
    existing: Existing,
) -> Result<(), FileError> {
    let failed = |action| {
        move |source| FileError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    if existing == Existing::Keep && path.symlink_metadata().is_ok() {
        return Err(FileError::Exists {
            path: path.to_owned(),
        });
    }
    make_private_folder(folder_of(path)).map_err(failed("make the folder of"))?;

    let temporary = path.with_added_extension("tmp");
    // Left by a crash; create_new below must not inherit its mode.
    remove(&temporary)?;
    let mode = match secrecy {
        Secrecy::Private => 0o600,
        Secrecy::Public => 0o644,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed("create"))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(failed("write"))?;
    put_in_place(&temporary, path)
}

/// Give a file another name in the same folder; a crash leaves it under one of the two.
pub fn put_in_place(from: &Path, to: &Path) -> Result<(), FileError> {
    let failed = |action| {
        move |source| FileError::Io {
            action,
            path: to.to_owned(),
            source,
        }
    };
    fs::rename(from, to).map_err(failed("put in place"))?;
    File::open(folder_of(to))
        .and_then(|folder| folder.sync_all())
        .map_err(failed("make durable the folder of"))
}

/// Remove a file that may not be there.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(FileError::Io {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    let parent = path.parent();
    parent
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Read a certificate file.
pub fn read_public(path: &Path) -> Result<Vec<u8>, FileError> {
    read_open(path, |_| Ok(()))
}

/// Read a private key file, refusing one that others can read.
pub fn read_private(path: &Path) -> Result<Vec<u8>, FileError> {
    read_open(path, |file| {
        // The mode is asked of the opened file, so it cannot be another file's.
        let metadata = file.metadata().map_err(|source| FileError::Io {
            action: "read the permissions of",
            path: path.to_owned(),
            source,
        })?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(FileError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        Ok(())
    })
}

fn read_open(
    path: &Path,
    check: impl FnOnce(&File) -> Result<(), FileError>,
) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    check(&file)?;
    let mut content = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(failed)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("it is larger than {MAX_FILE_BYTES} bytes");
        return Err(FileError::Damaged {
            path: path.to_owned(),
            reason,
        });
    }
    Ok(content)
}

/// Make a folder, and those above it that are missing, for the owner alone (mode 0700). One that is there stays as it is.
pub fn make_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_private_and_a_draft_left_by_a_crash_does_not_matter() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keys/node.key");
        fs::create_dir(folder.path().join("keys")).expect("keys/");
        fs::write(folder.path().join("keys/node.key.tmp"), "half").expect("an old draft");
        write(&path, b"secret", Secrecy::Private, Existing::Keep).expect("written");
        assert_eq!(
            fs::metadata(&path).expect("metadata").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read_private(&path).expect("read"), b"secret");
        assert!(!folder.path().join("keys/node.key.tmp").exists());
        let again = write(&path, b"other", Secrecy::Private, Existing::Keep);
        assert!(matches!(again, Err(FileError::Exists { .. })), "{again:?}");
        write(&path, b"other", Secrecy::Private, Existing::Replace).expect("replaced");
        assert_eq!(read_private(&path).expect("read"), b"other");
    }

    #[test]
    fn a_file_that_is_far_too_large_is_not_read_into_memory() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ca.pem");
        File::create(&path)
            .and_then(|file| file.set_len(1 << 40))
            .expect("a sparse file");
        assert!(matches!(read_public(&path), Err(FileError::Damaged { .. })));
    }
}
