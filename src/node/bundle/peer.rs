//! The two ends of a link as a bundle needs them: which key signs and opens here, and which one is at the other end.

use std::path::Path;

use nqsync_core::model::NodeId;
use nqsync_core::protocol::unhex;
use rusqlite::Connection;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{BundleError, UPSTREAM_KEY};
use crate::node::parents;
use crate::store::links::{self, LinkId, Role};
use crate::store::nodes::{self, NodeRow};
use crate::store::witness::{self, Whose};
use crate::store::{StoreError, queries};
use crate::trust::authority::Authority;
use crate::trust::certificate;
use crate::trust::identity::{KeyError, NodeKey};
use crate::trust::pin::Pin;
use crate::trust::renewal;

/// A neighbour and the keys between us.
#[derive(Debug)]
pub struct Peer {
    /// The link.
    pub link: LinkId,
    /// Its node.
    pub node: NodeId,
    /// This node.
    pub own: NodeId,
    /// Its key: SubjectPublicKeyInfo, DER.
    pub public: Vec<u8>,
    /// The key by which it knows us: our own towards our parent, our authority's towards a child.
    pub key: NodeKey,
    /// Which of us is the parent.
    pub role: Role,
}

impl Peer {
    /// The neighbour at the other end of a link.
    pub fn at(connection: &Connection, dir: &Path, link: LinkId) -> Result<Peer, BundleError> {
        Peer::with(connection, dir, link, None)
    }

    /// The neighbour whose pinned key this is. Nobody else's word counts, and a revoked one's does not either.
    pub fn by_pin(connection: &Connection, dir: &Path, pin: &Pin) -> Result<Peer, BundleError> {
        let unknown = || BundleError::UnknownIssuer(*pin);
        let node = if parents::is_authority(connection, pin)? {
            queries::meta(connection, "upstream_node")?.and_then(|text| text.parse().ok())
        } else {
            let is_key =
                |row: &NodeRow| row.pin == *pin.as_bytes() || row.next_pin == Some(*pin.as_bytes());
            let mut enrolled = nodes::all(connection)?.into_iter();
            enrolled
                .find(|row| row.revoked_at.is_none() && is_key(row))
                .map(|row| row.node)
        };
        if node.is_none() && own_key(dir, pin).is_some() {
            return Err(BundleError::Own);
        }
        let link = links::find(connection, node.ok_or_else(unknown)?)?.ok_or_else(unknown)?;
        Peer::with(connection, dir, link, Some(pin))
    }

    fn with(
        connection: &Connection,
        dir: &Path,
        link: LinkId,
        pin: Option<&Pin>,
    ) -> Result<Peer, BundleError> {
        let row = links::row(connection, link)?;
        let own = queries::meta(connection, "node")?.and_then(|text| text.parse().ok());
        let own = own.ok_or_else(|| StoreError::NotInitialised(dir.display().to_string()))?;
        let no_key = |error: KeyError| BundleError::NoKey(error.to_string());
        let (public, key) = match row.role {
            Role::Upstream => {
                let held = renewal::held(dir).map_err(no_key)?;
                let held = held.ok_or_else(|| {
                    BundleError::NoKey("this node has not enrolled at the one above".to_owned())
                })?;
                let former = pin
                    .map(|pin| parents::former(connection, pin))
                    .transpose()?;
                let public = match former.flatten() {
                    Some(former) => former,
                    None => parents_key(connection, link)?,
                };
                (public, held.1)
            }
            Role::Downstream => {
                let authority = Authority::load(&dir.join("keys"))
                    .map_err(|error| BundleError::NoKey(error.to_string()))?;
                let known = nodes::authority_of(connection, row.node)?.map(Pin::from_bytes);
                let public = childs_key(connection, row.node, pin)?;
                (public, authority.into_key(known))
            }
        };
        Ok(Peer {
            link,
            node: row.node,
            own,
            public,
            key,
            role: row.role,
        })
    }

    /// Changes to the key that something was sealed for: it may have been on its way when this node took a new one.
    pub fn hold(&mut self, dir: &Path, pin: &str) -> bool {
        let pin = pin.parse::<Pin>();
        let Ok(pin) = pin else { return false };
        if self.key.pin() == pin {
            return true;
        }
        let held = match self.role {
            Role::Upstream => renewal::holder(dir, &pin),
            Role::Downstream => authority_key(dir, &pin),
        };
        let is_held = held.is_some();
        if let Some(key) = held {
            self.key = key;
        }
        is_held
    }
}

/// The key with this pin, if it is one by which a neighbour knows us.
pub fn own_key(dir: &Path, pin: &Pin) -> Option<NodeKey> {
    renewal::holder(dir, pin).or_else(|| authority_key(dir, pin))
}

/// The authority of this node with this pin: the one in force, or one before.
fn authority_key(dir: &Path, pin: &Pin) -> Option<NodeKey> {
    let authority = Authority::load(&dir.join("keys")).ok()?;
    Some(authority.into_key(Some(*pin))).filter(|key| key.pin() == *pin)
}

/// The key of the parent's authority: said at the enrolment, or with its word under our audit.
fn parents_key(connection: &Connection, link: LinkId) -> Result<Vec<u8>, BundleError> {
    let pinned = parents::pinned(connection)?;
    let told = queries::meta(connection, UPSTREAM_KEY)?.and_then(|text| unhex(&text));
    let signed = witness::latest(connection, link, Whose::Ours, 1)?;
    let signed = signed.into_iter().filter_map(|sight| sight.signed);
    let mut known = told.into_iter().chain(signed.map(|(key, _)| key));
    let found = known.find(|key| pinned == Some(Pin::of_spki(key)));
    found.ok_or_else(|| {
        let what = "the key of the node above is not known yet; one exchange over the line, or enrolling, brings it";
        BundleError::NoKey(what.to_owned())
    })
}

/// The key that a child uses, or the one that it has just shown.
fn childs_key(
    connection: &Connection,
    node: NodeId,
    pin: Option<&Pin>,
) -> Result<Vec<u8>, BundleError> {
    let keys = nodes::keys(connection, node)?;
    let no_key = |what: &str| BundleError::NoKey(format!("node {node} {what}"));
    let wanted = pin.map(|pin| *pin.as_bytes());
    let found = keys
        .iter()
        .find(|(key, _)| wanted.is_none_or(|wanted| wanted == *key));
    let (key, pem) = found.ok_or_else(|| no_key("is not enrolled here, or was revoked"))?;
    let chain = certificate::parse_chain(pem.as_bytes()).unwrap_or_default();
    let public = chain.first().and_then(spki);
    public
        .filter(|public| Pin::of_spki(public).as_bytes() == key)
        .ok_or_else(|| no_key("has no readable certificate here"))
}

fn spki(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.public_key().raw.to_vec())
}
