//! This node's own key and id.
//!
//! The id is random and made once at `init`. It is never the unit's code: communes merge and are served by other
//! nodes, while a node stays what it is.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use rand::CryptoRng;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::files::{self, Existing, FileError, Secrecy};
use super::pin::Pin;

/// The node's key, below the directory of its store.
pub const NODE_KEY: &str = "keys/node.key";

/// What stands before the node id in a certificate's subject alternative name.
pub const NODE_URN: &str = "urn:nqsync:node:";

/// The name of a node in certificates: `urn:nqsync:node:<uuid>`.
pub fn node_urn(node: NodeId) -> String {
    format!("{NODE_URN}{node}")
}

/// A new node id: version 7, so ids sort by the time `init` ran.
pub fn new_node_id(rng: &mut impl CryptoRng, now: Timestamp) -> NodeId {
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    NodeId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// Why there is no usable node key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The cryptographic library refused.
    #[error("cannot make a key or a certificate request")]
    Crypto(#[from] rcgen::Error),
}

/// An ECDSA P-256 key: of this node, or of its issuing authority.
pub struct NodeKey {
    pair: KeyPair,
}

impl NodeKey {
    /// A new key that is kept nowhere yet.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self {
            pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
        })
    }

    /// A new key, written to `path` (PEM, mode 0600); an existing file is never overwritten.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = Self::generate()?;
        files::write(
            path,
            key.pair.serialize_pem().as_bytes(),
            Secrecy::Private,
            Existing::Keep,
        )?;
        Ok(key)
    }

    /// The key kept at `path`; refused when others can read the file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let content = files::read_private(path)?;
        let damaged = |reason: &str| FileError::Damaged {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let pem = std::str::from_utf8(&content).map_err(|_| damaged("it is not text"))?;
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| damaged("it holds no ECDSA P-256 private key in PEM (PKCS #8)"))?;
        Ok(Self { pair })
    }

    /// The fingerprint others know this key by.
    pub fn pin(&self) -> Pin {
        Pin::of_spki(&self.pair.subject_public_key_info())
    }

    /// A certificate request with this key and nothing else: the issuer writes every name itself.
    pub fn csr_pem(&self) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&self.pair)?.pem()?)
    }

    /// The private key as TLS takes it.
    pub fn private_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey")
            .field("pin", &self.pin())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_the_same_after_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keys/node.key");
        let made = NodeKey::create(&path).expect("made");
        assert_eq!(NodeKey::load(&path).expect("loaded").pin(), made.pin());
        assert!(matches!(
            NodeKey::create(&path),
            Err(KeyError::File(FileError::Exists { .. }))
        ));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("node.key");
        NodeKey::create(&path).expect("made");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
        let message = NodeKey::load(&path).expect_err("refused").to_string();
        assert!(
            message.contains("mode 0644") && message.contains("chmod 600"),
            "{message}"
        );
    }

    #[test]
    fn a_damaged_key_file_is_named_and_its_content_is_not_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("node.key");
        files::write(
            &path,
            b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0",
            Secrecy::Private,
            Existing::Keep,
        )
        .expect("written");
        let message = NodeKey::load(&path).expect_err("refused").to_string();
        assert!(
            message.contains("node.key is damaged") && !message.contains("c2VjcmV0"),
            "{message}"
        );
    }

    #[test]
    fn a_node_id_is_random_and_carries_the_time_of_init() {
        let now: Timestamp = "2026-11-22T05:00:00Z".parse().expect("a time");
        let (one, two) = (
            new_node_id(&mut rand::rng(), now),
            new_node_id(&mut rand::rng(), now),
        );
        assert_ne!(one, two);
        assert_eq!(one.0.get_version_num(), 7);
        let (seconds, _) = one.0.get_timestamp().expect("version 7").to_unix();
        assert_eq!(i64::try_from(seconds), Ok(now.as_second()));
        assert_eq!(node_urn(one), format!("urn:nqsync:node:{one}"));
    }
}
