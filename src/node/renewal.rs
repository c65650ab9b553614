//! Renewal at the parent: a child gets a new certificate in time, and a new key when a person asks for one.
//!
//! The parent judges what is due, because its clock is the one that is looked after. The key stays as long as nobody asks:
//! trust is the pinned key, and a child that comes back with an old copy of its disk still has that one. A new key takes
//! the place of the old one only when the child has shown that it uses it, so that a line cut at any moment leaves one of
//! the two that opens.

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use nqsync_core::protocol::{Renew, Renewed};
use serde_json::json;

use super::Node;
use crate::store::nodes::{self, NodeRow};
use crate::store::{StoreError, Tx, audit};
use crate::trust::authority::{Authority, NODE_LIFETIME, request_pin};
use crate::trust::certificate;
use crate::trust::pin::Pin;

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The request cannot be read, or asks for what is not given.
    #[error("{0}")]
    Request(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A child has come with this key. Answers what it is to have renewed.
pub fn met(
    tx: &mut Tx<'_>,
    node: NodeId,
    key: &Pin,
    now_ms: i64,
) -> Result<Option<Renew>, StoreError> {
    let Some(mut row) = nodes::one(tx.connection(), node)? else {
        return Ok(None);
    };
    if row.next_pin.as_ref() == Some(key.as_bytes()) {
        nodes::take_next_key(tx.connection(), node)?;
        // The list of who may connect is kept with the tree.
        tx.tree_has_changed();
        note(tx, &row, "node.key_replaced", key, now_ms)?;
        row = nodes::one(tx.connection(), node)?.unwrap_or(row);
    }
    Ok(due(&row, now_ms))
}

fn due(row: &NodeRow, now_ms: i64) -> Option<Renew> {
    if row.key_asked {
        return Some(Renew::Key);
    }
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let chain = certificate::parse_chain(row.certificate.as_bytes())?;
    let facts = certificate::read(&chain[0])?;
    let lifetime = facts.not_after.duration_since(facts.not_before);
    let passed = now.duration_since(facts.not_before) > lifetime / 3;
    (passed || facts.date_remark(now).is_some()).then_some(Renew::Certificate)
}

/// Certifies the key that a child has, or the one it wants to take.
pub async fn renew(
    node: &Node,
    authority: &Authority,
    child: NodeId,
    csr: &str,
) -> Result<Renewed, RenewError> {
    let request = |error: &dyn std::fmt::Display| RenewError::Request(error.to_string());
    let key = request_pin(csr).map_err(|e| request(&e))?;
    let now_ms = node.clock.now_ms();
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let issued = authority
        .sign_csr(csr, child, now, NODE_LIFETIME)
        .map_err(|e| request(&e))?;
    let certificate = issued.pem.clone();
    let kept = node
        .store
        .write(move |tx| keep(tx, child, &key, &issued.pem, now_ms));
    if !kept.await? {
        return Err(RenewError::Request(
            "the key of the request is another node's".to_owned(),
        ));
    }
    Ok(Renewed { certificate })
}

/// `false`: the key belongs to somebody else, or the child to nobody.
fn keep(
    tx: &mut Tx<'_>,
    child: NodeId,
    key: &Pin,
    certificate: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let all = nodes::all(tx.connection())?;
    let is_key =
        |row: &NodeRow| row.pin == *key.as_bytes() || row.next_pin == Some(*key.as_bytes());
    let Some(row) = all.iter().find(|row| row.node == child) else {
        return Ok(false);
    };
    if all.iter().any(|other| other.node != child && is_key(other)) {
        return Ok(false);
    }
    if row.pin == *key.as_bytes() {
        nodes::set_certificate(tx.connection(), child, certificate)?;
        note(tx, row, "node.certificate_renewed", key, now_ms)?;
    } else {
        nodes::set_next_key(tx.connection(), child, key.as_bytes(), certificate)?;
        tx.tree_has_changed();
        note(tx, row, "node.key_certified", key, now_ms)?;
    }
    Ok(true)
}

fn note(tx: &Tx<'_>, row: &NodeRow, act: &str, key: &Pin, now_ms: i64) -> Result<(), StoreError> {
    let subject = row.node.to_string();
    let act = audit::Act {
        at: now_ms,
        actor: &subject,
        act,
        subject: &subject,
        detail: json!({ "pin": key.to_string() }),
    };
    audit::append(tx, &act)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::identity::NodeKey;

    fn row(authority: &Authority, issued: &str, key_asked: bool) -> NodeRow {
        let node = NodeId(uuid::Uuid::from_u128(7));
        let key = NodeKey::generate().expect("a key");
        let csr = key.csr_pem().expect("a request");
        let at = issued.parse().expect("a time");
        let signed = authority.sign_csr(&csr, node, at, NODE_LIFETIME);
        NodeRow {
            node,
            unit: nqsync_core::model::UnitId(uuid::Uuid::from_u128(1)),
            pin: *key.pin().as_bytes(),
            certificate: signed.expect("signed").pem,
            enrolled_at: 0,
            revoked_at: None,
            reason: None,
            next_pin: None,
            key_asked,
            keys_before: 0,
            decisions: 0,
        }
    }

    #[test]
    fn a_certificate_is_due_after_a_third_of_its_life_and_whenever_its_dates_do_not_fit() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = "2026-01-01T00:00:00Z".parse().expect("a time");
        let authority = Authority::create(folder.path(), NodeId(uuid::Uuid::from_u128(1)), at);
        let authority = authority.expect("an authority");
        let ms = |text: &str| text.parse::<Timestamp>().expect("a time").as_millisecond();
        let fresh = row(&authority, "2026-03-01T00:00:00Z", false);
        for (now, expected) in [
            ("2026-03-01T00:00:00Z", None),
            ("2026-03-30T00:00:00Z", None),
            ("2026-03-31T00:00:00Z", Some(Renew::Certificate)),
            // Long expired: it renews at any age.
            ("2031-01-01T00:00:00Z", Some(Renew::Certificate)),
            // Issued when this clock ran ahead.
            ("2026-02-01T00:00:00Z", Some(Renew::Certificate)),
        ] {
            assert_eq!(due(&fresh, ms(now)), expected, "{now}");
        }
        let asked = row(&authority, "2026-03-01T00:00:00Z", true);
        assert_eq!(due(&asked, ms("2026-03-01T00:00:00Z")), Some(Renew::Key));
    }
}
