//! Enrolment at the parent: a one-time token buys a certificate for one unit's server.

use nqsync_core::model::{Facts, Kind, NodeId};
use nqsync_core::protocol::{EnrolRequest, Enrolled, hex, render_record};
use nqsync_core::sync::Record;
use serde_json::value::RawValue;

use super::Node;
use crate::store::links::{self, Role};
use crate::store::nodes::{self, NodeRow};
use crate::store::{StoreError, Tx, audit, records};
use crate::trust::authority::{Authority, NODE_LIFETIME, request_pin};
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
    let now_ms = node.clock.now_ms();
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let secret = TokenSecret::parse(&request.secret).ok_or(TokenError::Unknown)?;
    let pin = request_pin(&request.csr).map_err(|e| AdmitError::Request(e.to_string()))?;
    let issued = authority
        .sign_csr(&request.csr, request.node, now, NODE_LIFETIME)
        .map_err(|e| AdmitError::Request(e.to_string()))?;
    let key = hex(&signature::public(authority.key()));
    let store = node.store.clone();
    store
        .write(move |tx| {
            let row = nodes::token(tx.connection(), &secret.hash())?.ok_or(TokenError::Unknown)?;
            let used = row.used.and_then(|(at, by)| {
                Some(TokenUse {
                    at: jiff::Timestamp::from_millisecond(at).ok()?,
                    by: crate::trust::pin::Pin::from_bytes(by),
                })
            });
            let known = TokenRecord {
                hash: row.hash,
                unit: tx.tree().code(row.unit),
                expires_at: jiff::Timestamp::from_millisecond(row.expires_at).unwrap_or_default(),
                used,
            };
            let entry = NodeRow {
                node: request.node,
                unit: row.unit,
                pin: *pin.as_bytes(),
                certificate: issued.pem.clone(),
                enrolled_at: now_ms,
                revoked_at: None,
                reason: None,
                next_pin: None,
                key_asked: false,
            };
            if token::check(&known, &secret, pin, now)? == Grant::First {
                nodes::use_token(tx.connection(), &row.hash, now_ms, pin.as_bytes())?;
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
                authority: Some(key.clone()),
                unit: entry.unit,
                units,
            })
        })
        .await
}

/// The new node serves its unit from now on: one write, and a link whose first load begins. A copy of the node that serves
/// it already comes in as one that served it before: what it has not sent is taken as late, and it writes nothing new.
fn join_tree(tx: &mut Tx<'_>, entry: &NodeRow, now_ms: i64) -> Result<(), StoreError> {
    let beside = served_by_another_child(tx, entry)?;
    nodes::insert(tx.connection(), entry)?;
    links::ensure(tx.connection(), entry.node, Role::Downstream)?;
    tx.tree_has_changed();
    let stored = tx
        .load(entry.unit.0)?
        .ok_or_else(|| StoreError::Damaged("the unit of a token is gone".to_owned()))?;
    let owner = stored.record.facts().owner().unwrap_or(entry.unit);
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
    let subject = entry.node.to_string();
    let detail = serde_json::json!({ "unit": entry.unit });
    let act = audit::Act {
        at: now_ms,
        actor: "nqsync",
        act: "node.enrolled",
        subject: &subject,
        detail,
    };
    audit::append(tx, &act)
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
    let mut record = Record::begin(facts, key);
    let author = tx.author(unit, "nqsync", now_ms)?;
    record
        .write(author, now_ms, values, None)
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    tx.save(&record, None, &[], None, now_ms)?;
    Ok(())
}
