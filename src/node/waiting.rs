//! Keys under our authority that are on no list here: a person decides about them.
//!
//! That happens to a parent that went back to an old copy of its disk, whose children of later are strangers to it. What
//! our authority signed proves that the key was enrolled here once; it does not prove that it was not revoked since, which
//! the old disk has forgotten as well. So nothing is served on that proof alone.

use nqsync_core::model::{NodeId, Tree, UnitId};
use rustls_pki_types::CertificateDer;
use serde_json::json;

use super::Node;
use crate::store::nodes;
use crate::store::waiting::{self, Waiting};
use crate::store::{StoreError, Tx, audit};
use crate::trust::certificate;

/// A key that keeps trying is noted again after this time.
const NOTED_EVERY_MS: i64 = 10 * 60 * 1000;

/// Somebody has come with a key that our authority certified for `child` and that is on no list. Nothing else is known of
/// them: who was cut off, or has another key now, is known, and is only refused.
pub async fn came(node: &Node, child: NodeId, shown: CertificateDer<'static>) {
    let Some(facts) = certificate::read(&shown) else {
        return;
    };
    let now_ms = node.clock.now_ms();
    let seen = Waiting {
        pin: *facts.pin.as_bytes(),
        node: child,
        certificate: certificate::to_pem(&shown),
        first_at: now_ms,
        last_at: now_ms,
        refused_at: None,
        refused_by: None,
        reason: None,
    };
    let looked = {
        let pin = seen.pin;
        node.store.read(move |connection| {
            let known = waiting::all(connection)?.into_iter().find(|w| w.pin == pin);
            let lately = known.is_some_and(|w| now_ms.saturating_sub(w.last_at) < NOTED_EVERY_MS);
            Ok::<_, StoreError>(lately || nodes::one(connection, child)?.is_some())
        })
    };
    let noted = match looked.await {
        Ok(true) => return,
        Ok(false) => node.store.write(move |tx| note(tx, &seen)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = noted {
        tracing::error!(%error, "cannot note that an unknown key under our authority waits");
    }
}

fn note(tx: &mut Tx<'_>, seen: &Waiting) -> Result<(), StoreError> {
    let known = waiting::all(tx.connection())?;
    let is_known = known.iter().any(|w| w.pin == seen.pin);
    if !waiting::note(tx.connection(), seen)? {
        tracing::error!(node = %seen.node, "too many unknown keys wait already; this one is not listed");
        return Ok(());
    }
    if is_known {
        return Ok(());
    }
    tracing::warn!(node = %seen.node, "a node that our authority certified is on no list here; it waits for a person");
    let subject = seen.node.to_string();
    let pin = crate::store::blobs::hex(&seen.pin);
    let act = audit::Act {
        at: seen.first_at,
        actor: "nqsync",
        act: "node.waits",
        subject: &subject,
        detail: json!({ "pin": pin }),
    };
    audit::append(tx, &act)
}

/// The unit that a node serves or served, as far as the tree tells.
pub fn unit_of(tree: &Tree, node: NodeId) -> Option<UnitId> {
    let serves = tree.iter().find(|unit| unit.served_by == Some(node));
    serves.map(|unit| unit.id)
}
