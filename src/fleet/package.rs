//! A signed package: the label, then the package as dpkg takes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nqsync_core::fleet::{Label, LabelError, MAGIC, MAX_LABEL};
use nqsync_core::protocol::{hex, unhex};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::trust::identity::NodeKey;
use crate::trust::pin::Pin;
use crate::trust::signature;

/// Why a signed package cannot be made or is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No signed package.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// Signed by somebody else.
    #[error("it is signed by the key {found}, and packages are taken from {wanted} only")]
    Stranger {
        /// Who signed.
        found: Pin,
        /// Whose packages are taken.
        wanted: Pin,
    },
    /// The signature is not that of its label.
    #[error("its signature is not true")]
    Signature,
    /// The bytes are not those that were signed.
    #[error("its bytes are not those that were signed")]
    Changed,
    /// The cryptographic library refused.
    #[error("it cannot be signed")]
    Unsigned,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    let path = path.to_owned();
    move |source| PackageError::Io { path, source }
}

/// Writes a package with its label to a new file, which the service reads when it takes the offer in.
pub fn sign(deb: &Path, version: &str, key: &NodeKey, to: &Path) -> Result<Label, PackageError> {
    let mut from = File::open(deb).map_err(at(deb))?;
    let mut hasher = Sha256::new();
    let bytes = copy(&mut from, &mut hasher).map_err(at(deb))?;
    let mut label = Label {
        version: version.to_owned(),
        bytes,
        sha256: hex(&hasher.finalize()),
        key: hex(&signature::public(key)),
        signature: String::new(),
    };
    let signed = signature::sign(key, &label.text()).ok_or(PackageError::Unsigned)?;
    label.signature = hex(&signed);
    from.seek(SeekFrom::Start(0)).map_err(at(deb))?;
    let mut file = new_file(to, 0o644).map_err(at(to))?;
    file.write_all(label.render().as_bytes())
        .and_then(|()| copy(&mut from, &mut file))
        .and_then(|_| file.sync_all())
        .map_err(at(to))?;
    Ok(label)
}

/// The label of a signed package, when the holder of the key signed it. Of the package itself nothing is read.
pub fn label(file: &Path, signer: Pin) -> Result<Label, PackageError> {
    begin(file, signer).map(|(label, _)| label)
}

/// Copies the package out of a signed one. `to` has its name when every byte was compared with what was signed.
pub fn unpack(file: &Path, signer: Pin, to: &Path) -> Result<Label, PackageError> {
    let (label, mut from) = begin(file, signer)?;
    let draft = to.with_added_extension("draft");
    let _ = fs::remove_file(&draft);
    let copied = copy_checked(&mut from, &label, &draft).and_then(|()| {
        let placed = fs::rename(&draft, to);
        placed.map_err(at(to))
    });
    if copied.is_err() {
        // Also when the disk was full: what is left of it must not keep it so.
        let _ = fs::remove_file(&draft);
    }
    copied.map(|()| label)
}

fn copy_checked(from: &mut File, label: &Label, draft: &Path) -> Result<(), PackageError> {
    let mut copied = new_file(draft, 0o600).map_err(at(draft))?;
    let mut tee = Tee(Sha256::new(), &mut copied);
    // One byte more tells that there is more; who owns the file could make it endless.
    let mut from = from.take(label.bytes.saturating_add(1));
    let bytes = copy(&mut from, &mut tee).map_err(at(draft))?;
    let found = hex(&tee.0.finalize());
    if bytes != label.bytes || found != label.sha256 {
        return Err(PackageError::Changed);
    }
    copied.sync_all().map_err(at(draft))
}

fn begin(path: &Path, signer: Pin) -> Result<(Label, File), PackageError> {
    // The file is another user's: a link could lead anywhere, and a pipe would be waited on for ever.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut open = OpenOptions::new();
    let file = open.read(true).custom_flags(flags).open(path);
    let mut file = file.map_err(at(path))?;
    if !file.metadata().map_err(at(path))?.is_file() {
        return Err(LabelError::Magic.into());
    }
    let mut head = Vec::new();
    let most = (MAGIC.len() + MAX_LABEL) as u64;
    (&mut file)
        .take(most)
        .read_to_end(&mut head)
        .map_err(at(path))?;
    let (label, begins) = Label::parse(&head)?;
    let parts = unhex(&label.key).zip(unhex(&label.signature));
    let (key, signed) = parts.ok_or(LabelError::Label)?;
    let found = Pin::of_spki(&key);
    if found != signer {
        return Err(PackageError::Stranger {
            found,
            wanted: signer,
        });
    }
    if !signature::is_true(&key, &label.text(), &signed) {
        return Err(PackageError::Signature);
    }
    file.seek(SeekFrom::Start(begins as u64))
        .map_err(at(path))?;
    Ok((label, file))
}

fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// `std::io::copy` into anything that takes bytes.
fn copy(from: &mut impl Read, to: &mut impl Sink) -> io::Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(bytes);
        }
        bytes += count as u64;
        to.put(&buffer[..count])?;
    }
}

trait Sink {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.update(bytes);
        Ok(())
    }
}

impl Sink for File {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

/// Hashes what it writes.
struct Tee<'a>(Sha256, &'a mut File);

impl Sink for Tee<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.update(bytes);
        self.1.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_key_signed_comes_out_and_byte_for_byte() {
        let dir = tempfile::tempdir().expect("a folder");
        let (deb, signed, out) = (
            dir.path().join("a.deb"),
            dir.path().join("a.signed"),
            dir.path().join("out.deb"),
        );
        let content = b"!<arch>\n".repeat(100_000);
        fs::write(&deb, &content).expect("written");
        let key = NodeKey::generate().expect("a key");
        let made = sign(&deb, "0.2.1-1", &key, &signed).expect("signed");
        assert_eq!(unpack(&signed, key.pin(), &out).expect("taken"), made);
        assert_eq!(fs::read(&out).expect("there"), content);

        let other = NodeKey::generate().expect("a key");
        let stranger = unpack(&signed, other.pin(), &dir.path().join("x"));
        assert!(matches!(stranger, Err(PackageError::Stranger { .. })));
        let whole = fs::read(&signed).expect("read");
        let changed = dir.path().join("changed");
        let refused = |bytes: &[u8]| {
            fs::write(&changed, bytes).expect("written");
            unpack(&changed, key.pin(), &dir.path().join("y"))
        };
        let mut last = whole.clone();
        *last.last_mut().expect("bytes") ^= 1;
        assert!(matches!(refused(&last), Err(PackageError::Changed)));
        let longer = [&whole[..], b"x"].concat();
        assert!(matches!(refused(&longer), Err(PackageError::Changed)));
        let text = String::from_utf8_lossy(&whole[..MAX_LABEL]).into_owned();
        let at = text.find("0.2.1-1").expect("its version");
        let mut version = whole.clone();
        version[at] = b'9';
        assert!(matches!(refused(&version), Err(PackageError::Signature)));
        assert!(matches!(refused(&content), Err(PackageError::Label(_))));
        let label = super::label(&signed, key.pin());
        assert_eq!(label.expect("read").version, "0.2.1-1");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&signed, &link).expect("linked");
        let led = unpack(&link, key.pin(), &dir.path().join("y"));
        assert!(matches!(led, Err(PackageError::Io { .. })), "{led:?}");
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).expect("a pipe");
        let waits = unpack(&pipe, key.pin(), &dir.path().join("y"));
        assert!(matches!(waits, Err(PackageError::Label(_))), "{waits:?}");
        assert!(!dir.path().join("y").exists() && !dir.path().join("y.draft").exists());
    }
}
