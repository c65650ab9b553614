//! A key's fingerprint: the one thing two nodes compare to know each other.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// SHA-256 of a key's SubjectPublicKeyInfo; shown, stored and sent as 64 lowercase hexadecimal digits.
///
/// The key and not the certificate is pinned, so a renewed certificate changes nothing for the other side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin([u8; 32]);

/// Why a text is not a [`Pin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read a key fingerprint: expected 64 hexadecimal digits, found {found} characters")]
pub struct PinError {
    /// Length of the text, in characters.
    pub found: usize,
}

impl Pin {
    /// The pin of a DER encoded SubjectPublicKeyInfo.
    pub fn of_spki(spki_der: &[u8]) -> Self {
        Self(Sha256::digest(spki_der).into())
    }

    /// The pin of a certificate's key; `None` when the bytes are no certificate.
    pub fn of_certificate(der: &CertificateDer<'_>) -> Option<Self> {
        super::certificate::read(der).map(|facts| facts.pin)
    }

    /// A pin kept elsewhere as bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for storing.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let error = PinError {
            found: text.chars().count(),
        };
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(error)
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_shown_as_lowercase_hex_and_read_back() {
        let pin = Pin::of_spki(b"key");
        let text = pin.to_string();
        assert_eq!(
            text,
            "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
        );
        assert_eq!(text.parse::<Pin>(), Ok(pin));
        assert_eq!("2c70".parse::<Pin>(), Err(PinError { found: 4 }));
        assert!("é".repeat(32).parse::<Pin>().is_err());
    }
}
