//! Signatures of nodes under texts that others keep: heads of audits, and audits that were handed out.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{PublicKeyData, SigningKey};

use super::identity::NodeKey;

/// The key by which others check, as SubjectPublicKeyInfo in DER.
pub fn public(key: &NodeKey) -> Vec<u8> {
    key.pair().subject_public_key_info()
}

/// Signs a text with ECDSA P-256 and SHA-256; `None` where the cryptographic library refuses.
pub fn sign(key: &NodeKey, text: &str) -> Option<Vec<u8>> {
    key.pair().sign(text.as_bytes()).ok()
}

/// Whether the holder of a key signed a text.
pub fn is_true(public: &[u8], text: &str, signature: &[u8]) -> bool {
    covers(public, text.as_bytes(), signature)
}

/// The same of bytes that are no text.
pub(super) fn covers(public: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public)
        .verify(bytes, signature)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_true_for_its_key_and_text_only() {
        let (key, other) = (
            NodeKey::generate().expect("a key"),
            NodeKey::generate().expect("a key"),
        );
        let signature = sign(&key, "một văn bản").expect("signed");
        assert!(is_true(&public(&key), "một văn bản", &signature));
        assert!(!is_true(&public(&key), "một văn bản khác", &signature));
        assert!(!is_true(&public(&other), "một văn bản", &signature));
        assert!(!is_true(b"no key", "một văn bản", &signature));
    }
}
