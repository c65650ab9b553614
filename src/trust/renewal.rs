//! The keys and certificates of a child, so that it can connect whenever a renewal is cut.
//!
//! The certificate says which key is in use: `upstream.pem` is replaced in one step, and that is the switch. Until the
//! parent has seen the new key, the one before is kept with its certificate: a parent that came back with an old copy of
//! its disk knows only that one.

use std::path::Path;

use rustls_pki_types::CertificateDer;

use super::certificate;
use super::files::{self, Existing, FileError, Secrecy};
use super::identity::{KeyError, NODE_KEY, NodeKey};
use super::pin::Pin;

/// File of the certificate that the parent issued.
pub const UPSTREAM_CERTIFICATE: &str = "keys/upstream.pem";
/// A key that is to be certified.
const RENEWED_KEY: &str = "keys/renewed.key";
/// Certificate of a key that the parent does not know any more, and is asked to certify again.
const RENEWED_CERTIFICATE: &str = "keys/renewed.pem";
/// The key before.
const BEFORE_KEY: &str = "keys/before.key";
/// Its certificate.
const BEFORE_CERTIFICATE: &str = "keys/before.pem";

/// A chain and the key of its first certificate.
pub type Held = (Vec<CertificateDer<'static>>, NodeKey);

/// What this node shows to its parent; `None` before it has enrolled. What a renewal that was cut left is put in place.
pub fn held(dir: &Path) -> Result<Option<Held>, KeyError> {
    let Some((held, from)) = find(dir)? else {
        return Ok(None);
    };
    // The certificate was switched; the key it is for takes its place, and the other one changes places with it.
    match from {
        RENEWED_KEY => change_places(dir, RENEWED_KEY, BEFORE_KEY)?,
        BEFORE_KEY => change_places(dir, BEFORE_KEY, RENEWED_KEY)?,
        _ => {}
    }
    Ok(Some(held))
}

/// The same, and everything stays where it is: for whoever only looks.
pub fn looked_at(dir: &Path) -> Result<Option<Held>, KeyError> {
    Ok(find(dir)?.map(|(held, _)| held))
}

fn find(dir: &Path) -> Result<Option<(Held, &'static str)>, KeyError> {
    let path = dir.join(UPSTREAM_CERTIFICATE);
    if !path.exists() {
        return Ok(None);
    }
    let chain = certificate::load_chain(&path)?;
    let certified = Pin::of_certificate(&chain[0]);
    let key = NodeKey::load(&dir.join(NODE_KEY))?;
    if certified.is_none_or(|pin| pin == key.pin()) {
        return Ok(Some(((chain, key), NODE_KEY)));
    }
    for from in [RENEWED_KEY, BEFORE_KEY] {
        match NodeKey::load(&dir.join(from)) {
            Ok(key) if certified == Some(key.pin()) => return Ok(Some(((chain, key), from))),
            _ => {}
        }
    }
    Err(FileError::Damaged {
        path,
        reason: "it is for a key that is not here".to_owned(),
    }
    .into())
}

/// `node.key` goes to `aside`, `from` becomes `node.key`. Done again after a cut, it ends the same.
fn change_places(dir: &Path, from: &str, aside: &str) -> Result<(), KeyError> {
    let key = files::read_private(&dir.join(NODE_KEY))?;
    files::write(&dir.join(aside), &key, Secrecy::Private, Existing::Replace)?;
    files::put_in_place(&dir.join(from), &dir.join(NODE_KEY))?;
    Ok(())
}

/// The key that a new certificate is to be asked for: a new one when `fresh`, or when one was begun and not finished.
pub fn asked_for(dir: &Path, fresh: bool) -> Result<NodeKey, KeyError> {
    let path = dir.join(RENEWED_KEY);
    if path.exists() {
        // Half a file is not possible; one that is damaged all the same is of no use to anybody.
        if let Ok(key) = NodeKey::load(&path) {
            return Ok(key);
        }
        files::remove(&path)?;
    }
    if fresh {
        return NodeKey::create(&path);
    }
    NodeKey::load(&dir.join(NODE_KEY))
}

/// The key with this pin among those that are here: one that came for an older key can still be opened.
pub fn holder(dir: &Path, pin: &Pin) -> Option<NodeKey> {
    let all = [NODE_KEY, BEFORE_KEY, RENEWED_KEY].into_iter();
    all.filter_map(|name| NodeKey::load(&dir.join(name)).ok())
        .find(|key| key.pin() == *pin)
}

/// Whether a new key was begun that the parent does not know yet.
pub fn is_begun(dir: &Path) -> bool {
    dir.join(RENEWED_KEY).exists()
}

/// Takes a certificate that the parent issued for [`asked_for`]'s key into use; with a new key, the one before is kept.
pub fn take(dir: &Path, pem: &str) -> Result<(), KeyError> {
    let key = NodeKey::load(&dir.join(NODE_KEY))?;
    let certified =
        certificate::parse_chain(pem.as_bytes()).and_then(|chain| Pin::of_certificate(&chain[0]));
    if certified != Some(key.pin()) {
        keep(dir, BEFORE_CERTIFICATE)?;
    }
    switch(dir, pem.as_bytes())?;
    files::remove(&dir.join(RENEWED_CERTIFICATE))?;
    Ok(())
}

/// Changes to the other key that is here, because the parent does not know the one in use: to the one before, or back.
/// `false`: there is no other.
pub fn change_key(dir: &Path) -> Result<bool, KeyError> {
    for (to, aside) in [
        (BEFORE_CERTIFICATE, RENEWED_CERTIFICATE),
        (RENEWED_CERTIFICATE, BEFORE_CERTIFICATE),
    ] {
        let path = dir.join(to);
        if path.exists() {
            let pem = files::read_public(&path)?;
            keep(dir, aside)?;
            switch(dir, &pem)?;
            files::remove(&path)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets every key but the one in use: this node goes on under another name.
pub fn forget_others(dir: &Path) -> Result<(), FileError> {
    [
        RENEWED_KEY,
        RENEWED_CERTIFICATE,
        BEFORE_KEY,
        BEFORE_CERTIFICATE,
    ]
    .iter()
    .try_for_each(|name| files::remove(&dir.join(name)))
}

fn keep(dir: &Path, aside: &str) -> Result<(), FileError> {
    let pem = files::read_public(&dir.join(UPSTREAM_CERTIFICATE))?;
    files::write(&dir.join(aside), &pem, Secrecy::Public, Existing::Replace)
}

fn switch(dir: &Path, pem: &[u8]) -> Result<(), KeyError> {
    let path = dir.join(UPSTREAM_CERTIFICATE);
    files::write(&path, pem, Secrecy::Public, Existing::Replace)?;
    held(dir).map(|_| ())
}
