//! Reading certificates: the few facts nqsync looks at.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use nqsync_core::model::NodeId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::files::{self, FileError};
use super::identity::NODE_URN;
use super::pin::Pin;
use super::signature;

/// Most certificates in one PEM file; real files hold two.
const MAX_CHAIN: usize = 8;

/// What nqsync looks at in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Fingerprint of its key.
    pub pin: Pin,
    /// The node named in it, if any. Only a statement of the issuer: identity follows from the pin.
    pub node: Option<NodeId>,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
}

/// How a certificate's dates disagree with a clock. Either may be wrong; the message names both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateRemark {
    /// The clock stands before the certificate's start: most often this clock is wrong.
    NotYetValid {
        /// Start of the certificate's validity.
        not_before: Timestamp,
        /// The clock it was compared with.
        now: Timestamp,
    },
    /// The certificate has ended: renewal did not happen, or this clock runs ahead.
    Expired {
        /// End of the certificate's validity.
        not_after: Timestamp,
        /// The clock it was compared with.
        now: Timestamp,
    },
}

impl CertificateFacts {
    /// What is to be said about the dates at `now`; `None` when they are in order.
    pub fn date_remark(&self, now: Timestamp) -> Option<DateRemark> {
        if now < self.not_before {
            Some(DateRemark::NotYetValid {
                not_before: self.not_before,
                now,
            })
        } else if now > self.not_after {
            Some(DateRemark::Expired {
                not_after: self.not_after,
                now,
            })
        } else {
            None
        }
    }
}

impl fmt::Display for DateRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetValid { not_before, now } => {
                write!(
                    f,
                    "valid only from {not_before}, while the clock here says {now}; check the clock"
                )
            }
            Self::Expired { not_after, now } => {
                write!(
                    f,
                    "expired at {not_after}, while the clock here says {now}; check the clock, then the renewal"
                )
            }
        }
    }
}

/// The facts of one certificate; `None` when the bytes are no certificate.
pub fn read(der: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let validity = certificate.validity();
    Some(CertificateFacts {
        pin: Pin::of_spki(certificate.public_key().raw),
        node: named_node(&certificate),
        not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
        not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
    })
}

/// The certificates of a PEM text, in order; `None` when one is unreadable, or when there is none or too many.
pub fn parse_chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .take(MAX_CHAIN + 1)
        .collect::<Result<_, _>>()
        .ok()?;
    let usable =
        (1..=MAX_CHAIN).contains(&chain.len()) && chain.iter().all(|der| read(der).is_some());
    usable.then_some(chain)
}

/// A certificate as PEM text.
pub fn to_pem(der: &CertificateDer<'_>) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy);
    let body: String = lines.map(|line| format!("{line}\n")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
}

/// Whether the holder of a key signed a certificate. Only that: not what it says of itself, and not its dates.
pub fn is_signed_by(der: &CertificateDer<'_>, public: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let signed: &[u8] = certificate.tbs_certificate.as_ref();
    signature::covers(public, signed, &certificate.signature_value.data)
}

/// The certificates of a PEM file, in order.
pub fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let reason = "it holds no readable certificate in PEM".to_owned();
    parse_chain(&files::read_public(path)?).ok_or(FileError::Damaged {
        path: path.to_owned(),
        reason,
    })
}

fn named_node(certificate: &X509Certificate<'_>) -> Option<NodeId> {
    let names = certificate.subject_alternative_name().ok()??;
    names
        .value
        .general_names
        .iter()
        .find_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(NODE_URN)?.parse().ok(),
            _ => None,
        })
}
