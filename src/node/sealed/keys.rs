//! The recovery key of a node: its public part, for which backups are sealed. The other part is in a safe, never here.

use rusqlite::Connection;

use super::SealedError;
use crate::store::blobs::{hex, parse_hex};
use crate::store::{StoreError, Tx, queries};
use crate::trust::pin::Pin;
use crate::trust::vault::{self, Secret};
use nqsync_core::protocol::unhex;

/// Fact of the store: the public part of the recovery key, SubjectPublicKeyInfo as hexadecimal digits.
const KEY: &str = "recovery_key";
/// Fact of the store: the secret of the deposited pieces, as hexadecimal digits. Kept, so that equal pieces stay equal.
const SECRET: &str = "recovery_secret";

/// For whom this node's backups are sealed.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The public part of the recovery key.
    pub public: Vec<u8>,
    /// The secret of the deposited pieces.
    pub secret: Secret,
}

impl Recovery {
    /// What tells the key from others.
    pub fn fingerprint(&self) -> Pin {
        vault::fingerprint(&self.public)
    }
}

/// The recovery key of this node, if it has one.
pub fn of(connection: &Connection) -> Result<Option<Recovery>, StoreError> {
    let public = queries::meta(connection, KEY)?.and_then(|text| unhex(&text));
    let secret = queries::meta(connection, SECRET)?.and_then(|text| parse_hex(&text));
    Ok(public.zip(secret).map(|(public, secret)| Recovery {
        public,
        secret: Secret::from_bytes(secret),
    }))
}

/// Seals for this key from now on, under another secret than before. `false`: that is no key one can seal for.
pub fn set(tx: &mut Tx<'_>, public: &[u8]) -> Result<bool, SealedError> {
    if vault::seal_for(public, b"").is_none() {
        return Ok(false);
    }
    let secret = Secret::draw().ok_or(SealedError::Crypto("no random bytes"))?;
    tx.set_meta(KEY, &nqsync_core::protocol::hex(public))?;
    tx.set_meta(SECRET, &hex(secret.reveal()))?;
    Ok(true)
}
