//! Sealing for one recipient, with HPKE (RFC 9180: DHKEM P-256, HKDF-SHA256, AES-256-GCM) as rustls carries it.
//!
//! It is sealed for the key that the enrolment pinned, so that a medium needs no further key and no further trust. HPKE
//! says nothing about who sealed: the signature over the envelope does, and the signing key's pin is bound into `info`, so
//! that nobody can pass what another one sealed off as his own.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_P256_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};

use super::identity::NodeKey;

/// Length of an encapsulated key: an uncompressed point of P-256.
const POINT: usize = 65;

/// Seals for the holder of a key (SubjectPublicKeyInfo, DER); `None` when that is no key of P-256.
pub fn seal(public: &[u8], info: &[u8], aad: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let key = HpkePublicKey(point_of(public)?);
    let (encapsulated, sealed) = SUITE.seal(info, aad, plain, &key).ok()?;
    Some([encapsulated.0, sealed].concat())
}

/// Opens what was sealed for a key under the same `info` and `aad`; `None` when it was not, or was changed.
pub fn open(key: &NodeKey, info: &[u8], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (encapsulated, sealed) = sealed.split_at_checked(POINT)?;
    let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
    SUITE
        .open(&encapsulated, info, aad, sealed, &secret_of(key)?)
        .ok()
}

/// The point in a SubjectPublicKeyInfo: of P-256 it stands at the end, uncompressed.
fn point_of(public: &[u8]) -> Option<Vec<u8>> {
    use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
    let (_, info) = SubjectPublicKeyInfo::from_der(public).ok()?;
    let point = info.subject_public_key.data.to_vec();
    (point.len() == POINT).then_some(point)
}

fn secret_of(key: &NodeKey) -> Option<HpkePrivateKey> {
    let der = key.private_der();
    let private = PrivateKey::from_private_key_der(&ECDH_P256, der.secret_der()).ok()?;
    let scalar: EcPrivateKeyBin<'static> = private.as_be_bytes().ok()?;
    Some(HpkePrivateKey::from(scalar.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::super::signature::public;
    use super::*;

    #[test]
    fn only_the_recipient_opens_it_and_only_where_it_was_meant_for() {
        let (key, other) = (
            NodeKey::generate().expect("a key"),
            NodeKey::generate().expect("a key"),
        );
        let sealed = seal(&public(&key), b"from A", b"1", b"noi dung").expect("sealed");
        assert_eq!(sealed.len(), b"noi dung".len() + POINT + 16);
        let opened = open(&key, b"from A", b"1", &sealed);
        assert_eq!(opened.as_deref(), Some(&b"noi dung"[..]));
        assert_eq!(open(&other, b"from A", b"1", &sealed), None);
        assert_eq!(open(&key, b"from B", b"1", &sealed), None);
        assert_eq!(open(&key, b"from A", b"2", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, b"from A", b"1", &changed), None, "byte {at}");
        }
        for length in [0, 64, 65, sealed.len() - 1] {
            assert_eq!(open(&key, b"from A", b"1", &sealed[..length]), None);
        }
        assert_eq!(seal(b"no key", b"", b"", b""), None);
    }
}
