//! The issuing authority of a parent: it certifies its own server and its children.
//!
//! Each parent has a self-signed authority of its own, and each child pins the one above it. A parent may take a new one: the old
//! one signs for it, so that children follow (see [`super::succession`]), and stays here for those that have not yet.
//! What a child asks for in its request is never copied: the issuer takes the public key and writes the rest.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use nqsync_core::protocol::succession::Succession;
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
use super::{signature, succession};

/// Name of the authority's private key in the key folder.
pub const CA_KEY_FILE: &str = "ca.key";
/// Key and certificate of an authority that is to take the place of this one, until it has.
const NEXT_KEY_FILE: &str = "ca.next.key";
const NEXT_CERTIFICATE_FILE: &str = "ca.next.pem";
/// How the authorities followed each other: a JSON array of successions, the first one first.
const CHAIN_FILE: &str = "ca.chain";
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
    /// The old authority cannot sign for the new one.
    #[error("the authority cannot sign for the one that is to follow it")]
    Word,
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

/// A parent's issuing authority, with those that it took the place of.
#[derive(Debug)]
pub struct Authority {
    signer: Signer,
    pem: String,
    former: Vec<Signer>,
    chain: Vec<Succession>,
}

/// A key that certifies, and its own certificate.
#[derive(Debug)]
struct Signer {
    key: NodeKey,
    certificate: CertificateDer<'static>,
}

/// The authority of a running service: who holds it sees it change when a new one takes its place.
#[derive(Clone, Debug)]
pub struct Held(Arc<RwLock<Arc<Authority>>>);

impl Held {
    /// Holds an authority.
    pub fn new(authority: Authority) -> Held {
        Held(Arc::new(RwLock::new(Arc::new(authority))))
    }

    /// The one that is in force.
    pub fn now(&self) -> Arc<Authority> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    /// Another one is in force from now on.
    pub fn replace(&self, authority: Authority) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(authority);
    }
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

    /// The authority kept in the folder `keys`. What a change of it that was cut has left is put in place.
    pub fn load(keys: &Path) -> Result<Self, AuthorityError> {
        finish(keys)?;
        let key = NodeKey::load(&keys.join(CA_KEY_FILE))?;
        let path = keys.join(CA_CERTIFICATE_FILE);
        let certificate = certificate::load_chain(&path)?.swap_remove(0);
        let pem = String::from_utf8_lossy(&files::read_public(&path)?).into_owned();
        if let Some(certified) = Pin::of_certificate(&certificate)
            && certified != key.pin()
        {
            let key = key.pin();
            return Err(AuthorityError::Mismatch { certified, key });
        }
        let chain = load_chain(keys, &key.pin())?;
        let former = chain
            .iter()
            .filter_map(|said| succession::pin_of(&said.old))
            .filter_map(|pin| former(keys, &pin).transpose())
            .collect::<Result<_, AuthorityError>>()?;
        Ok(Self {
            signer: Signer { key, certificate },
            pem,
            former,
            chain,
        })
    }

    /// Takes a new authority for `node`, on the word of the one that is in force. A crash at any moment leaves one of the two
    /// in force, whole: the certificate says which, and is replaced in one step.
    pub fn rotate(keys: &Path, node: NodeId, now: Timestamp) -> Result<Self, AuthorityError> {
        let old = Self::load(keys)?;
        let next_key = keys.join(NEXT_KEY_FILE);
        let next = match NodeKey::load(&next_key) {
            Ok(key) => key,
            Err(_) => {
                files::remove(&next_key)?;
                NodeKey::create(&next_key)?
            }
        };
        let public = |path: &Path, content: &str| {
            files::write(path, content.as_bytes(), Secrecy::Public, Existing::Replace)
        };
        let pem = authority_params(node, now)?.self_signed(next.pair())?.pem();
        let next_certificate = keys.join(NEXT_CERTIFICATE_FILE);
        public(&next_certificate, &pem)?;
        let said = succession::say(node, old.key(), &next, now).ok_or(AuthorityError::Word)?;
        let chain = [&old.chain[..], &[said]].concat();
        let text = serde_json::to_string_pretty(&chain).map_err(|_| AuthorityError::Word)?;
        public(&keys.join(CHAIN_FILE), &text)?;
        public(&former_files(keys, &old.pin()).1, &old.pem)?;
        files::put_in_place(&next_certificate, &keys.join(CA_CERTIFICATE_FILE))?;
        Self::load(keys)
    }

    /// The key that signs what children keep: the one they pin.
    pub fn key(&self) -> &NodeKey {
        &self.signer.key
    }

    /// The key by which somebody knows this node: the authority with this pin. Who did not say knows the first one.
    pub fn into_key(mut self, known: Option<Pin>) -> NodeKey {
        let place = match known {
            None => (!self.former.is_empty()).then_some(0),
            Some(pin) => self
                .former
                .iter()
                .position(|former| former.key.pin() == pin),
        };
        match place {
            Some(place) => self.former.swap_remove(place).key,
            None => self.signer.key,
        }
    }

    /// What children pin and tokens carry.
    pub fn pin(&self) -> Pin {
        self.key().pin()
    }

    /// All authorities of this node that children may have pinned, the first one first.
    pub fn pins(&self) -> Vec<Pin> {
        let all = self.former.iter().chain([&self.signer]);
        all.map(|signer| signer.key.pin()).collect()
    }

    /// How they followed each other.
    pub fn successions(&self) -> &[Succession] {
        &self.chain
    }

    /// The authority's own certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The authority's own certificate: a server sends it after its own, so that children find the pinned key.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.signer.certificate
    }

    /// What a server shows to those who have pinned one or the other authority: for each its pin and the chain under it,
    /// the newest one first.
    pub fn server_chains(
        &self,
        key: &NodeKey,
        node: NodeId,
        names: &[String],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Vec<(Pin, Vec<CertificateDer<'static>>)>, AuthorityError> {
        let signers = [&self.signer].into_iter().chain(self.former.iter().rev());
        signers
            .map(|signer| {
                let params = server_params(node, names, now, lifetime)?;
                let pem = signer.issue(params, key.pair())?;
                let mut chain = certificate::parse_chain(pem.as_bytes()).ok_or(
                    AuthorityError::Request("its certificate cannot be read back"),
                )?;
                chain.push(signer.certificate.clone());
                Ok((signer.key.pin(), chain))
            })
            .collect()
    }

    /// The node that this authority certified with this certificate; `None` when it did not. Servers' certificates, its own
    /// among them, are not children's.
    pub fn certified(&self, shown: &CertificateDer<'_>) -> Option<NodeId> {
        let facts = certificate::read(shown)?;
        let mut all = self.former.iter().chain([&self.signer]);
        let ours = all.any(|a| certificate::is_signed_by(shown, &signature::public(&a.key)));
        facts
            .node
            .filter(|_| ours && !self.pins().contains(&facts.pin))
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
        let params = server_params(node, names, now, lifetime)?;
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
        Ok(Issued {
            pem: self.signer.issue(params, key)?,
            pin,
            not_after: now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
        })
    }
}

impl Signer {
    fn issue(
        &self,
        params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<String, AuthorityError> {
        let issuer = Issuer::from_ca_cert_der(&self.certificate, self.key.pair())?;
        Ok(params.signed_by(key, &issuer)?.pem())
    }
}

/// Where an authority is kept that another one took the place of: key and certificate.
fn former_files(keys: &Path, pin: &Pin) -> (PathBuf, PathBuf) {
    let name = &pin.to_string()[..16];
    let file = |end: &str| keys.join(format!("ca.{name}.{end}"));
    (file("key"), file("pem"))
}

/// An authority that another one took the place of. One that is lost costs those who have not followed yet, and nobody else.
fn former(keys: &Path, pin: &Pin) -> Result<Option<Signer>, AuthorityError> {
    let (key, certificate) = former_files(keys, pin);
    if !key.exists() || !certificate.exists() {
        tracing::error!(%pin, "a former authority is not here; who has pinned it cannot connect");
        return Ok(None);
    }
    Ok(Some(Signer {
        key: NodeKey::load(&key)?,
        certificate: certificate::load_chain(&certificate)?.swap_remove(0),
    }))
}

/// The certificate was switched: its key takes its place, and the one before is kept. Done again after a cut, it ends the same.
fn finish(keys: &Path) -> Result<(), AuthorityError> {
    let (key_path, next_path) = (keys.join(CA_KEY_FILE), keys.join(NEXT_KEY_FILE));
    if !next_path.exists() {
        return Ok(());
    }
    let certified = certificate::load_chain(&keys.join(CA_CERTIFICATE_FILE))?.swap_remove(0);
    let next = NodeKey::load(&next_path).ok().map(|key| key.pin());
    if next.is_none() || Pin::of_certificate(&certified) != next {
        // It was begun and never switched.
        return Ok(());
    }
    let old = NodeKey::load(&key_path)?;
    let raw = files::read_private(&key_path)?;
    let kept = former_files(keys, &old.pin()).0;
    files::write(&kept, &raw, Secrecy::Private, Existing::Replace)?;
    files::put_in_place(&next_path, &key_path)?;
    Ok(())
}

/// How the authorities followed each other up to the one in force: a step that was said and never taken is none.
fn load_chain(keys: &Path, now: &Pin) -> Result<Vec<Succession>, AuthorityError> {
    let path = keys.join(CHAIN_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let damaged = |_| FileError::Damaged {
        path: path.clone(),
        reason: "it is not what this node writes there".to_owned(),
    };
    let mut chain: Vec<Succession> =
        serde_json::from_slice(&files::read_public(&path)?).map_err(damaged)?;
    let is_now = |said: &Succession| succession::pin_of(&said.new) == Some(*now);
    chain.truncate(chain.iter().position(is_now).map_or(0, |last| last + 1));
    Ok(chain)
}

fn server_params(
    node: NodeId,
    names: &[String],
    now: Timestamp,
    lifetime: Duration,
) -> Result<CertificateParams, AuthorityError> {
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
    Ok(params)
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
mod tests;
