//! The issuing authority of a parent: it certifies its own server and its children.
//!
//! In this first form each parent has a self-signed authority of its own, and each child pins the one above it.
//! What a child asks for in its request is never copied: the issuer takes the public key and writes the rest.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use uuid::Uuid;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::certificate;
use super::files::{self, Existing, FileError, Secrecy};
use super::identity::{KeyError, NodeKey, node_urn};
use super::pin::Pin;
use super::signature;

/// Name of the authority's private key in the key folder.
pub const CA_KEY_FILE: &str = "ca.key";
/// Name of the authority's own certificate in the key folder.
pub const CA_CERTIFICATE_FILE: &str = "ca.pem";
/// Validity of a node's certificate unless told otherwise.
pub const NODE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
/// Validity of the authority's own certificate. It only has to outlive the installation: children pin its key.
pub const CA_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// How far before its issue a certificate is valid, so that a child whose clock is a little slow gets no warning.
const BACKDATE: Duration = Duration::from_secs(24 * 3600);
/// Largest certificate request that is looked at, in bytes; ours have about 400.
const MAX_CSR_BYTES: usize = 8 * 1024;

/// Why a certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of the authority cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key cannot be made or loaded.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// `ca.key` and `ca.pem` do not belong together.
    #[error(
        "ca.pem certifies key {certified}, but ca.key is {key}; restore the pair from one backup"
    )]
    Mismatch {
        /// Pin in the certificate.
        certified: Pin,
        /// Pin of the key file.
        key: Pin,
    },
    /// The child's request cannot be accepted; asking again with the same bytes will not help.
    #[error("cannot accept the certificate request: {0}")]
    Request(&'static str),
    /// A server name is neither a host name nor an address.
    #[error("cannot certify the server name {name:?}: it is neither a host name nor an IP address")]
    Name {
        /// The name as it was given.
        name: String,
    },
    /// The cryptographic library refused.
    #[error("cannot sign a certificate")]
    Crypto(#[from] rcgen::Error),
}

/// A certificate that was just issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, PEM.
    pub pem: String,
    /// Pin of the key it certifies: what the parent puts on its list.
    pub pin: Pin,
    /// End of validity; renewal is due at two thirds of it.
    pub not_after: Timestamp,
}

/// A parent's issuing authority.
#[derive(Debug)]
pub struct Authority {
    key: NodeKey,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// Make the authority of `node` in the folder `keys`; refused when it has a certificate already.
    ///
    /// A key without its certificate is what a crash between the two leaves; it is taken up again.
    pub fn create(keys: &Path, node: NodeId, now: Timestamp) -> Result<Self, AuthorityError> {
        let key_path = keys.join(CA_KEY_FILE);
        let certificate_path = keys.join(CA_CERTIFICATE_FILE);
        if certificate_path.symlink_metadata().is_ok() {
            return Err(FileError::Exists {
                path: certificate_path,
            }
            .into());
        }
        let key = match key_path.symlink_metadata() {
            Ok(_) => NodeKey::load(&key_path)?,
            Err(_) => NodeKey::create(&key_path)?,
        };
        let pem = authority_params(node, now)?.self_signed(key.pair())?.pem();
        files::write(
            &certificate_path,
            pem.as_bytes(),
            Secrecy::Public,
            Existing::Keep,
        )?;
        Self::load(keys)
    }

    /// The authority kept in the folder `keys`.
    pub fn load(keys: &Path) -> Result<Self, AuthorityError> {
        let key = NodeKey::load(&keys.join(CA_KEY_FILE))?;
        let path = keys.join(CA_CERTIFICATE_FILE);
        let certificate = certificate::load_chain(&path)?.swap_remove(0);
        let pem = String::from_utf8_lossy(&files::read_public(&path)?).into_owned();
        match Pin::of_certificate(&certificate) {
            Some(certified) if certified != key.pin() => Err(AuthorityError::Mismatch {
                certified,
                key: key.pin(),
            }),
            _ => Ok(Self {
                key,
                certificate,
                pem,
            }),
        }
    }

    /// The key that signs what children keep: the one they pin.
    pub fn key(&self) -> &NodeKey {
        &self.key
    }

    /// What children pin and tokens carry.
    pub fn pin(&self) -> Pin {
        self.key.pin()
    }

    /// The authority's own certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The authority's own certificate: a server sends it after its own, so that children find the pinned key.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The node that this authority certified with this certificate; `None` when it did not. Servers' certificates, its own
    /// among them, are not children's.
    pub fn certified(&self, shown: &CertificateDer<'_>) -> Option<NodeId> {
        let facts = certificate::read(shown)?;
        let ours = certificate::is_signed_by(shown, &signature::public(&self.key));
        facts.node.filter(|_| ours && facts.pin != self.pin())
    }

    /// Certify this node's own key for serving TLS under `names` (host names and IP addresses).
    pub fn issue_server_cert(
        &self,
        key: &NodeKey,
        node: NodeId,
        names: &[String],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, AuthorityError> {
        let mut params = node_params(node, now, lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => {
                    let host = name
                        .clone()
                        .try_into()
                        .map_err(|_| AuthorityError::Name { name: name.clone() })?;
                    SanType::DnsName(host)
                }
            });
        }
        self.sign(params, key.pair(), key.pin(), now, lifetime)
    }

    /// Certify a child's key as `node`. The request gives the public key and proof that the child holds it;
    /// names, usages and dates are this authority's own.
    pub fn sign_csr(
        &self,
        csr_pem: &str,
        node: NodeId,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, AuthorityError> {
        let (request, pin) = read_request(csr_pem)?;
        let mut params = node_params(node, now, lifetime)?;
        // Never ServerAuth: with it, a child could stand in for its parent before the other children.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, &request.public_key, pin, now, lifetime)
    }

    fn sign(
        &self,
        params: CertificateParams,
        key: &impl PublicKeyData,
        pin: Pin,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, AuthorityError> {
        let issuer = Issuer::from_ca_cert_der(&self.certificate, self.key.pair())?;
        let pem = params.signed_by(key, &issuer)?.pem();
        Ok(Issued {
            pem,
            pin,
            not_after: now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
        })
    }
}

/// Pin of the key in a request whose self-signature is in order.
pub fn request_pin(csr_pem: &str) -> Result<Pin, AuthorityError> {
    read_request(csr_pem).map(|(_, pin)| pin)
}

fn read_request(csr_pem: &str) -> Result<(CertificateSigningRequestParams, Pin), AuthorityError> {
    if csr_pem.len() > MAX_CSR_BYTES {
        return Err(AuthorityError::Request("it is larger than 8 KiB"));
    }
    let unreadable = AuthorityError::Request("it is not a PEM certificate request");
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
        .map_err(|_| AuthorityError::Request("it is not a PEM certificate request"))?;
    let Ok((_, raw)) = X509CertificationRequest::from_der(&der) else {
        return Err(unreadable);
    };
    let pin = Pin::of_spki(raw.certification_request_info.subject_pki.raw);
    let request = CertificateSigningRequestParams::from_der(&der).map_err(|error| match error {
        rcgen::Error::InvalidCertificationRequestSignature => {
            AuthorityError::Request("its signature does not fit its key")
        }
        rcgen::Error::UnsupportedExtension => {
            AuthorityError::Request("it asks for an extension that is never given")
        }
        _ => AuthorityError::Request("it is not a PEM certificate request"),
    })?;
    // rcgen takes the key's algorithm from the signature's, so a P-384 key would come out as a broken P-256 one.
    let same_key = Pin::of_spki(&request.public_key.subject_public_key_info()) == pin;
    if !same_key || *PublicKeyData::algorithm(&request.public_key) != PKCS_ECDSA_P256_SHA256 {
        return Err(AuthorityError::Request("its key is not ECDSA P-256"));
    }
    Ok((request, pin))
}

fn authority_params(node: NodeId, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut params = node_params(node, now, CA_LIFETIME)?;
    params
        .distinguished_name
        .push(DnType::CommonName, format!("nqsync authority {node}"));
    // Zero: a child's certificate can never issue another one.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

fn node_params(
    node: NodeId,
    now: Timestamp,
    lifetime: Duration,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("nqsync node {node}"));
    params.subject_alt_names = vec![SanType::URI(node_urn(node).try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    // rcgen's default serial is a hash of the key, so each renewal would have the number of the one before.
    params.serial_number = Some(SerialNumber::from_slice(Uuid::new_v4().as_bytes()));
    let (from, until) = (now.saturating_sub(BACKDATE), now.saturating_add(lifetime));
    params.not_before =
        rcgen::date_time_ymd(1970, 1, 1) + since_1970(from.unwrap_or(Timestamp::MIN));
    params.not_after =
        rcgen::date_time_ymd(1970, 1, 1) + since_1970(until.unwrap_or(Timestamp::MAX));
    Ok(params)
}

/// Certificates are dated between 1970 and 9999 whatever a broken clock says.
fn since_1970(at: Timestamp) -> Duration {
    const LAST_SECOND: u64 = 253_402_300_799;
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0).min(LAST_SECOND))
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use x509_parser::prelude::{GeneralName, X509Certificate};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T05:00:00Z".parse().expect("a time")
    }

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    fn authority(folder: &Path) -> Authority {
        Authority::create(folder, node(1), now()).expect("an authority")
    }

    #[test]
    fn a_request_gets_its_key_certified_and_none_of_its_wishes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = KeyPair::generate().expect("a key");
        let wishes = vec!["tinh-79.example".to_owned(), "10.0.0.1".to_owned()];
        let mut params = CertificateParams::new(wishes).expect("names");
        params
            .subject_alt_names
            .push(SanType::URI(node_urn(node(99)).try_into().expect("ASCII")));
        params
            .distinguished_name
            .push(DnType::CommonName, "the ministry");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let csr = params
            .serialize_request(&child)
            .and_then(|csr| csr.pem())
            .expect("a request");

        let node = node(7);
        let issued = authority(folder.path())
            .sign_csr(&csr, node, now(), NODE_LIFETIME)
            .expect("issued");
        assert_eq!(issued.pin, Pin::of_spki(&child.subject_public_key_info()));
        assert_eq!(request_pin(&csr).ok(), Some(issued.pin));

        let chain = certificate::parse_chain(issued.pem.as_bytes()).expect("PEM");
        let (_, certificate) = X509Certificate::from_der(&chain[0]).expect("a certificate");
        let names = certificate
            .subject_alternative_name()
            .expect("readable")
            .expect("present");
        assert_eq!(
            names.value.general_names,
            [GeneralName::URI(&node_urn(node))]
        );
        assert_eq!(
            certificate.subject().to_string(),
            format!("CN=nqsync node {node}")
        );
        assert!(!certificate.is_ca());
        let usage = certificate
            .key_usage()
            .expect("readable")
            .expect("present")
            .value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        let purposes = certificate
            .extended_key_usage()
            .expect("readable")
            .expect("present")
            .value;
        assert!(purposes.client_auth && !purposes.server_auth);
        let facts = certificate::read(&chain[0]).expect("facts");
        assert_eq!((facts.pin, facts.node), (issued.pin, Some(node)));
        assert_eq!(
            facts.not_after,
            "2027-02-20T05:00:00Z".parse().expect("a time")
        );
        assert_eq!(facts.not_after, issued.not_after);
        assert_eq!(
            facts.not_before,
            "2026-11-21T05:00:00Z".parse().expect("a time")
        );
    }

    #[test]
    fn a_request_that_was_tampered_with_or_has_another_kind_of_key_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = authority(folder.path());
        let refusal = |csr: &str| {
            let error = authority
                .sign_csr(csr, node(7), now(), NODE_LIFETIME)
                .expect_err("refused");
            error.to_string()
        };
        let request = |pair: &KeyPair| {
            CertificateParams::default()
                .serialize_request(pair)
                .expect("a request")
        };

        let honest = request(&KeyPair::generate().expect("a key"));
        let mut bytes = honest.der().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let tampered = pem_of(&bytes);
        assert!(
            refusal(&tampered).contains("signature does not fit"),
            "{}",
            refusal(&tampered)
        );

        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
        assert!(refusal(&request(&p384).pem().expect("PEM")).contains("not ECDSA P-256"));
        let mixed = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        assert!(refusal(&request(&mixed).pem().expect("PEM")).contains("not ECDSA P-256"));
        assert!(refusal("hello").contains("not a PEM certificate request"));
        assert!(refusal(&"x".repeat(9000)).contains("larger than 8 KiB"));
    }

    fn pem_of(der: &[u8]) -> String {
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = body
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            lines.join("\n")
        )
    }

    #[test]
    fn an_authority_is_the_same_after_a_restart_and_a_crash_between_its_files_is_healed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = authority(folder.path());
        assert_eq!(
            Authority::load(folder.path()).expect("loaded").pin(),
            made.pin()
        );
        assert!(Authority::create(folder.path(), node(1), now()).is_err());
        std::fs::remove_file(folder.path().join(CA_CERTIFICATE_FILE)).expect("removed");
        assert_eq!(authority(folder.path()).pin(), made.pin());

        let other = tempfile::tempdir().expect("a temporary folder");
        authority(other.path());
        std::fs::copy(
            other.path().join(CA_CERTIFICATE_FILE),
            folder.path().join(CA_CERTIFICATE_FILE),
        )
        .expect("copied");
        let mixed_up = Authority::load(folder.path());
        assert!(
            matches!(mixed_up, Err(AuthorityError::Mismatch { .. })),
            "{mixed_up:?}"
        );
    }

    #[test]
    fn a_clock_far_in_the_past_or_future_still_issues() {
        for clock in [
            "1901-01-01T00:00:00Z",
            "2079-06-01T00:00:00Z",
            "9999-12-30T00:00:00Z",
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let now = clock.parse().expect("a time");
            let authority = Authority::create(folder.path(), node(1), now).expect(clock);
            let csr = NodeKey::generate()
                .and_then(|key| key.csr_pem())
                .expect("a request");
            authority
                .sign_csr(&csr, node(2), now, NODE_LIFETIME)
                .expect(clock);
        }
    }

    #[test]
    fn a_server_certificate_has_its_names_and_a_bad_name_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = authority(folder.path());
        let key = NodeKey::generate().expect("a key");
        let issue = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            authority.issue_server_cert(&key, node(1), &names, now(), NODE_LIFETIME)
        };
        assert_eq!(
            issue(&["tinh-79.example", "::1", "10.0.0.1"])
                .expect("issued")
                .pin,
            key.pin()
        );
        let message = issue(&["sở y tế"]).expect_err("refused").to_string();
        assert!(message.contains("sở y tế"), "{message}");
    }
}
