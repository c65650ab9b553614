//! Enrolment at the parent: a one-time token buys a certificate for one unit's server.

use nqsync_core::model::{Facts, Kind, NodeId};
use nqsync_core::protocol::enrolment::{Asked, FORM};
use nqsync_core::protocol::{EnrolRequest, Enrolled, hex, render_record};
use nqsync_core::sync::Record;
use serde_json::value::RawValue;

use super::Node;
use crate::store::links::{self, Role};
use crate::store::nodes::{self, NodeRow};
use crate::store::{StoreError, Tx, audit, records};
use crate::trust::authority::{Authority, AuthorityError, NODE_LIFETIME, request_pin};
use crate::trust::pin::Pin;
use crate::trust::signature;
use crate::trust::token::{self, Grant, TokenError, TokenRecord, TokenSecret, TokenUse};

/// Why a node was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request cannot be read.
    #[error("{0}")]
    Request(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Enrols a child, or answers again to one whose first answer was lost.
pub async fn admit(
    node: &Node,
    authority: &Authority,
    request: EnrolRequest,
) -> Result<Enrolled, AdmitError> {
    let secret = TokenSecret::parse(&request.secret).ok_or(TokenError::Unknown)?;
    let asking = Asking::certify(node, authority, request.node, &request.csr)?;
    node.store
        .write(move |tx| asking.admit(tx, &secret.hash()))
        .await
}

/// The same for a request that came as a file.
pub fn admit_file(
    node: &Node,
    authority: &Authority,
    asked: &Asked,
) -> Result<Enrolled, AdmitError> {
    if asked.nqsync_enrolment != FORM {
        let what = "it is of another version; upgrade the older node";
        return Err(AdmitError::Request(what.to_owned()));
    }
    let tokens = node.store.read_blocking(nodes::tokens)?;
    let token = tokens.iter().find(|token| asked.is_under(&token.hash));
    let hash = token.ok_or(TokenError::Unknown)?.hash;
    let asking = Asking::certify(node, authority, asked.node, &asked.csr)?;
    node.store.write_blocking(move |tx| asking.admit(tx, &hash))
}

/// A node that asks to be enrolled, with the certificate that it gets if its token is good.
struct Asking {
    node: NodeId,
    pin: Pin,
    certificate: String,
    authority: String,
    now_ms: i64,
}

impl Asking {
    fn certify(
        node: &Node,
        authority: &Authority,
        child: NodeId,
        csr: &str,
    ) -> Result<Asking, AdmitError> {
        let now_ms = node.clock.now_ms();
        let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
        let request = |error: AuthorityError| AdmitError::Request(error.to_string());
        let issued = authority
            .sign_csr(csr, child, now, NODE_LIFETIME)
            .map_err(request)?;
        Ok(Asking {
            node: child,
            pin: request_pin(csr).map_err(request)?,
            certificate: issued.pem,
            authority: hex(&signature::public(authority.key())),
            now_ms,
        })
    }

    fn admit(self, tx: &mut Tx<'_>, hash: &[u8; 32]) -> Result<Enrolled, AdmitError> {
        let now_ms = self.now_ms;
        let instant = |ms| jiff::Timestamp::from_millisecond(ms);
        let row = nodes::token(tx.connection(), hash)?.ok_or(TokenError::Unknown)?;
        let used = row.used.and_then(|(at, by)| {
            Some(TokenUse {
                at: instant(at).ok()?,
                by: Pin::from_bytes(by),
            })
        });
        let known = TokenRecord {
            hash: row.hash,
            unit: tx.tree().code(row.unit),
            expires_at: instant(row.expires_at).unwrap_or_default(),
            used,
        };
        let entry = NodeRow {
            node: self.node,
            unit: row.unit,
            pin: *self.pin.as_bytes(),
            certificate: self.certificate,
            enrolled_at: now_ms,
            revoked_at: None,
            reason: None,
            next_pin: None,
            key_asked: false,
            keys_before: 0,
            decisions: 0,
        };
        let now = instant(now_ms).unwrap_or_default();
        if token::check(&known, hash, self.pin, now)? == Grant::First {
            nodes::use_token(tx.connection(), &row.hash, now_ms, self.pin.as_bytes())?;
            join_tree(tx, &entry, now_ms)?;
        }
        let units = records::of_kind(tx.connection(), Kind::Unit)?;
        let lines = units
            .iter()
            .map(|stored| RawValue::from_string(render_record(&stored.record)));
        let units = lines
            .collect::<Result<_, _>>()
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        Ok(Enrolled {
            certificate: entry.certificate,
            parent: tx.node()?,
            authority: Some(self.authority),
            unit: entry.unit,
            units,
        })
    }
}

/// The new node serves its unit from now on: one write, and a link whose first load begins. A copy of the node that serves
/// it already comes in as one that served it before: what it has not sent is taken as late, and it writes nothing new.
pub(super) fn join_tree(tx: &mut Tx<'_>, entry: &NodeRow, now_ms: i64) -> Result<(), StoreError> {
    let beside = served_by_another_child(tx, entry)?;
    nodes::insert(tx.connection(), entry)?;
    links::ensure(tx.connection(), entry.node, Role::Downstream)?;
    tx.tree_has_changed();
    let stored = tx
        .load(entry.unit.0)?
        .ok_or_else(|| StoreError::Damaged("the unit of a token is gone".to_owned()))?;
    let owner = stored.record.facts().owner().unwrap_or(entry.unit);
    let subject = entry.node.to_string();
    let act = audit::Act {
        at: now_ms,
        actor: "nqsync",
        act: "node.enrolled",
        subject: &subject,
        detail: serde_json::json!({ "unit": entry.unit }),
    };
    audit::append(tx, &act)?;
    if stored.record.shown("served_by") == Some(serde_json::json!(entry.node)) {
        // The tree knew more than the list, as after an old copy of the disk.
        return Ok(());
    }
    let author = tx.author(owner, "nqsync", now_ms)?;
    let mut record = stored.record.clone();
    let values = if beside {
        let shown = stored.record.shown("served_before");
        let before: Option<Vec<NodeId>> = shown.and_then(|v| serde_json::from_value(v).ok());
        let mut before = before.unwrap_or_default();
        before.push(entry.node);
        [("served_before".to_owned(), serde_json::json!(before))]
    } else {
        [("served_by".to_owned(), serde_json::json!(entry.node))]
    };
    let replaced = record
        .write(author, now_ms, values.into(), None)
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    tx.save(&record, Some(&stored), &replaced.dropped, None, now_ms)?;
    Ok(())
}

/// Whether another child of ours that is in force serves the unit.
fn served_by_another_child(tx: &Tx<'_>, entry: &NodeRow) -> Result<bool, StoreError> {
    let server = tx.tree().server_of(entry.unit);
    let enrolled = nodes::all(tx.connection())?;
    Ok(enrolled
        .iter()
        .any(|row| Some(row.node) == server && row.node != entry.node && row.revoked_at.is_none()))
}

/// A root unit for a new store: it owns itself and is served here.
pub fn root_unit(
    tx: &mut Tx<'_>,
    unit: nqsync_core::model::UnitId,
    values: std::collections::BTreeMap<String, serde_json::Value>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let facts = Facts::Unit { owner: unit };
    let key = facts.key(unit.0);
    let mut record = Record::begin_at(facts, key, tx.level());
    let author = tx.author(unit, "nqsync", now_ms)?;
    record
        .write(author, now_ms, values, None)
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    tx.save(&record, None, &[], None, now_ms)?;
    Ok(())
}
