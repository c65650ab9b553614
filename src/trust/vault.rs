//! Sealing of backups: pieces under keys of their own, and the one secret behind all of them for a recovery key.
//!
//! A piece is sealed the same way each time, so that what has not changed need not be sent again. Its key comes from its
//! contents through HMAC-SHA-256 under a random secret, so no key ever seals two different contents, which is what
//! AES-256-GCM asks for; and who does not hold the secret cannot compare a piece with contents that he guesses. What is seen
//! from outside is the number of pieces, their lengths, and which of them are new.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use sha2::{Digest as _, Sha256};

use super::identity::NodeKey;
use super::pin::Pin;
use super::{sealing, signature};

/// A sealed piece's name: the SHA-256 of its sealed bytes, so that whoever keeps it can check it.
pub type Name = [u8; 32];

/// Bytes that a sealed piece has more than its contents: what its key comes from, and the tag of AES-GCM.
pub const OVERHEAD: usize = 32 + 16;
/// Bound into what a recovery key opens, and into every piece.
const INFO: &[u8] = b"nqsync sealed backup 1\n";

/// The secret under which the pieces of a node's backups are sealed.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one; `None` where the system gives no random bytes.
    pub fn draw() -> Option<Secret> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Secret(bytes))
    }

    /// The secret that was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Secret {
        Secret(bytes)
    }

    /// For whoever keeps it: the store, and what a recovery key opens.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, what: &[u8], from: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, &self.0));
        context.update(what);
        context.update(from);
        let mut derived = [0; 32];
        derived.copy_from_slice(context.sign().as_ref());
        derived
    }

    /// The key that seals one content and no other one.
    fn key(&self, origin: &[u8; 32]) -> Option<LessSafeKey> {
        let key = self.derive(b"nqsync piece key\n", origin);
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?))
    }

    /// Seals a piece; equal contents give equal bytes. `None` where the cryptographic library refuses.
    pub fn seal(&self, plain: &[u8]) -> Option<(Name, Vec<u8>)> {
        let origin = self.derive(b"nqsync piece\n", plain);
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.extend_from_slice(plain);
        // This key seals this content alone, so one nonce is enough.
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        self.key(&origin)?
            .seal_in_place_append_tag(nonce, Aad::from(INFO), &mut sealed)
            .ok()?;
        sealed.splice(0..0, origin);
        Some((name_of(&sealed), sealed))
    }

    /// Opens a piece; `None` when it was sealed under another secret, or changed.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (origin, rest) = sealed.split_first_chunk::<32>()?;
        let mut plain = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let length = self
            .key(origin)?
            .open_in_place(nonce, Aad::from(INFO), &mut plain)
            .ok()?
            .len();
        plain.truncate(length);
        Some(plain)
    }
}

/// The name of a sealed piece.
pub fn name_of(sealed: &[u8]) -> Name {
    Sha256::digest(sealed).into()
}

/// Seals for the holder of a recovery key, given its public part; `None` when that is no such key.
pub fn seal_for(public: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    sealing::seal(public, INFO, b"", plain)
}

/// Opens what was sealed for a recovery key; `None` when it was not, or was changed.
pub fn open_with(key: &NodeKey, sealed: &[u8]) -> Option<Vec<u8>> {
    sealing::open(key, INFO, b"", sealed)
}

/// The public part of a recovery key, as the node keeps it.
pub fn public_part(key: &NodeKey) -> Vec<u8> {
    signature::public(key)
}

/// The fingerprint of a recovery key, which tells it from others and nothing else.
pub fn fingerprint(public: &[u8]) -> Pin {
    Pin::of_spki(public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_are_sealed_alike_under_one_secret_and_under_no_other() {
        let (secret, other) = (
            Secret::draw().expect("random"),
            Secret::draw().expect("random"),
        );
        let (name, sealed) = secret.seal(b"noi dung").expect("sealed");
        assert_eq!(
            secret.seal(b"noi dung").expect("sealed"),
            (name, sealed.clone())
        );
        assert_eq!(name, name_of(&sealed));
        assert_eq!(sealed.len(), b"noi dung".len() + OVERHEAD);
        let elsewhere = other.seal(b"noi dung").expect("sealed");
        assert_ne!(elsewhere.0, name);
        assert_ne!(
            elsewhere.1[..32],
            sealed[..32],
            "nothing of it can be compared"
        );
        let more = secret.seal(b"noi dunh").expect("sealed");
        assert_ne!(more.1[..32], sealed[..32], "another content, another key");
        assert_eq!(secret.open(&sealed).as_deref(), Some(&b"noi dung"[..]));
        assert_eq!(other.open(&sealed), None);
    }

    #[test]
    fn a_piece_that_was_changed_or_cut_does_not_open() {
        let secret = Secret::draw().expect("random");
        let (_, sealed) = secret.seal(b"noi dung").expect("sealed");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(secret.open(&changed), None, "byte {at}");
        }
        for length in 0..sealed.len() {
            assert_eq!(secret.open(&sealed[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn only_the_recovery_key_opens_what_was_sealed_for_it() {
        let (key, other) = (
            NodeKey::generate().expect("a key"),
            NodeKey::generate().expect("a key"),
        );
        let sealed = seal_for(&public_part(&key), b"bi mat").expect("sealed");
        assert_eq!(open_with(&key, &sealed).as_deref(), Some(&b"bi mat"[..]));
        assert_eq!(open_with(&other, &sealed), None);
        assert_ne!(
            fingerprint(&public_part(&key)),
            fingerprint(&public_part(&other))
        );
    }
}
