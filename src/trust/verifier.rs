//! The two certificate rules, as rustls asks for them. TLS itself proves that the peer holds its key.

use std::fmt;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::{self, CertificateFacts};
use super::pin::Pin;
use super::tls::{DateWarning, OnDate, ParentPin, PinMismatch};

const UNREADABLE: Error = Error::InvalidCertificate(CertificateError::BadEncoding);

/// The parent's rule: any readable certificate whose key the child proves to hold.
///
/// Who the key belongs to is looked up after the handshake, so that a child that was taken off the list is told
/// so in words; a TLS alert would leave its operator guessing.
#[derive(Debug)]
pub(super) struct AnyHeldKey {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyHeldKey {
    fn client_auth_mandatory(&self) -> bool {
        // The enrolment endpoint is for nodes that have no certificate yet.
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        certificate::read(end_entity)
            .map(|_| ClientCertVerified::assertion())
            .ok_or(UNREADABLE)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The child's rule: the pinned key itself, or a server certificate issued directly by it.
///
/// Host names are not compared: the pinned authority certifies one server, its own node, and communes reach it
/// by addresses that change.
pub(super) struct PinnedParent {
    pub(super) parent: ParentPin,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) on_date: OnDate,
}

impl PinnedParent {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let leaf_facts = certificate::read(leaf).ok_or(UNREADABLE)?;
        let parent = self.parent.0;
        if leaf_facts.pin == parent {
            self.warn(&leaf_facts, now);
            return Ok(());
        }
        let facts: Vec<_> = others.iter().filter_map(certificate::read).collect();
        let issuer = others
            .iter()
            .find(|der| Pin::of_certificate(der) == Some(parent));
        let Some(issuer) = issuer else {
            let presented = std::iter::once(&leaf_facts)
                .chain(&facts)
                .map(|facts| facts.pin)
                .collect();
            return Err(other(PinMismatch {
                pinned: parent,
                presented,
            }));
        };
        let mut roots = RootCertStore::empty();
        roots.add(issuer.clone().into_owned())?;
        // The path is judged at the certificate's own start, so signature, usage and constraints count and dates
        // do not; the server usage keeps another child of this parent from posing as the parent.
        let start = u64::try_from(leaf_facts.not_before.as_second()).unwrap_or(0);
        let start = UnixTime::since_unix_epoch(std::time::Duration::from_secs(start));
        let leaf = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &[], start, self.algorithms.all)?;
        self.warn(&leaf_facts, now);
        facts
            .iter()
            .filter(|facts| facts.pin == parent)
            .for_each(|facts| self.warn(facts, now));
        Ok(())
    }

    fn warn(&self, facts: &CertificateFacts, now: UnixTime) {
        let now = i64::try_from(now.as_secs())
            .ok()
            .and_then(|s| Timestamp::from_second(s).ok());
        if let Some(remark) = facts.date_remark(now.unwrap_or(Timestamp::MAX)) {
            (self.on_date)(&DateWarning {
                pin: facts.pin,
                node: facts.node,
                remark,
            });
        }
    }
}

impl ServerCertVerifier for PinnedParent {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for PinnedParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedParent")
            .field("parent", &self.parent)
            .finish_non_exhaustive()
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(std::sync::Arc::new(
        error,
    ))))
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3 is spoken between nodes".to_owned())
}
