//! A copy of a node that a person did not choose enrols anew: another key, another name, the same store.
//!
//! What it has not sent goes up as late work of a node that served the unit before; the unit itself stays with the
//! machine that was chosen. Cut anywhere, the same line with the same token finishes it.

use std::path::Path;

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use nqsync_core::protocol::{EnrolRequest, Enrolled};

use super::DaemonError;
use super::setup::{self, EnrolError, NODE_KEY, UPSTREAM_CERTIFICATE};
use crate::clock::Clock;
use crate::config::Config;
use crate::node::{Node, receive};
use crate::store::links::{self, Role};
use crate::store::{Store, StoreError, Tx, audit, queries};
use crate::trust::files::{self, Existing, Secrecy};
use crate::trust::identity::{NodeKey, new_node_id};
use crate::trust::{renewal, token};

/// The new key until it takes the old one's place.
const NEXT_KEY: &str = "keys/next.key";
/// Its certificate.
const NEXT_CERTIFICATE: &str = "keys/next.pem";
/// Fact of the store: the new node id until everything is in place.
const NEXT_NODE: &str = "next_node";

/// Enrols this store under a new identity. Answers the new node id and the parent.
pub async fn adopt_new(
    config: &Config,
    clock: &Clock,
    url: Option<&str>,
    text: &str,
    person: &str,
) -> Result<(NodeId, NodeId), EnrolError> {
    let token = token::parse(text)?;
    let here = &config.node.unit;
    if token.unit != *here {
        return Err(EnrolError::OtherUnit {
            token: token.unit,
            node: here.clone(),
        });
    }
    let url = setup::parent_url(config, url, token.url.as_deref())?;
    let dir = config.node.data_dir.clone();
    let store = Store::open(&setup::store_options(config)).map_err(DaemonError::from)?;
    let next = next_node(&store, clock).await?;
    let key = match NodeKey::load(&dir.join(NEXT_KEY)) {
        Ok(key) => key,
        Err(_) => NodeKey::create(&dir.join(NEXT_KEY)).map_err(setup::trust)?,
    };
    let request = EnrolRequest {
        secret: token.secret.reveal(),
        node: next,
        csr: key.csr_pem().map_err(setup::trust)?,
    };
    let enrolled = setup::ask(&url, token.parent, clock, &request).await?;
    let certificate = enrolled.certificate.as_bytes();
    let path = dir.join(NEXT_CERTIFICATE);
    files::write(&path, certificate, Secrecy::Public, Existing::Replace).map_err(setup::trust)?;
    let handle = Node {
        store: store.clone(),
        clock: clock.clone(),
        settings: setup::limits(config),
    };
    let (parent, actor) = (enrolled.parent, person.to_owned());
    let old = store.shown().node;
    store
        .write(move |tx| settle(&handle, tx, next, enrolled, &actor))
        .await
        .map_err(DaemonError::from)?;
    put_keys_in_place(&dir, old).map_err(DaemonError::from)?;
    store
        .write(|tx| tx.set_meta(NEXT_NODE, ""))
        .await
        .map_err(DaemonError::from)?;
    store.close();
    Ok((next, parent))
}

/// The id of the next node: drawn once, so that a try that was cut is the same node's again.
async fn next_node(store: &Store, clock: &Clock) -> Result<NodeId, DaemonError> {
    let drawn = store
        .read(|connection| queries::meta(connection, NEXT_NODE))
        .await?;
    if let Some(node) = drawn.and_then(|text| text.parse().ok()) {
        return Ok(node);
    }
    let now = Timestamp::from_millisecond(clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
    let node = new_node_id(&mut rand::rng(), now);
    store
        .write(move |tx| tx.set_meta(NEXT_NODE, &node.to_string()))
        .await?;
    Ok(node)
}

/// The parent's units come first: in them this node is one that served the unit before, so that what was not sent stays to
/// be sent when the scope is drawn anew.
fn settle(
    node: &Node,
    tx: &mut Tx<'_>,
    next: NodeId,
    enrolled: Enrolled,
    actor: &str,
) -> Result<(), StoreError> {
    let link = links::ensure(tx.connection(), enrolled.parent, Role::Upstream)?;
    let lines = enrolled.units.iter();
    let lines = lines.map(|line| receive::line(line.get())).collect();
    receive::apply(node, tx, link, lines, 0)?;
    tx.set_meta("node", &next.to_string())?;
    tx.settle_tree()?;
    // The parent knows nothing yet of this node: there is nothing to take leave of.
    links::begin_first(tx.connection(), link)?;
    let act = audit::Act {
        at: node.clock.now_ms(),
        actor,
        act: "store.adopted_new",
        subject: &next.to_string(),
        detail: serde_json::json!({}),
    };
    audit::append(tx, &act)
}

/// The old key is kept aside; whoever wants it back knows where it is.
fn put_keys_in_place(dir: &Path, old: Option<NodeId>) -> Result<(), StoreError> {
    let rename = |from: &str, to: &str| {
        let (from, to) = (dir.join(from), dir.join(to));
        let what = format!("move {} to {}", from.display(), to.display());
        std::fs::rename(from, to).map_err(|source| StoreError::Io { what, source })
    };
    if !dir.join(NEXT_KEY).exists() {
        return Ok(());
    }
    if let Some(old) = old {
        let aside = format!("keys/node-{old}.key");
        if !dir.join(&aside).exists() {
            rename(NODE_KEY, &aside)?;
        }
    }
    renewal::forget_others(dir).map_err(|error| StoreError::Io {
        what: "forget the other keys".to_owned(),
        source: std::io::Error::other(error),
    })?;
    rename(NEXT_CERTIFICATE, UPSTREAM_CERTIFICATE)?;
    rename(NEXT_KEY, NODE_KEY)
}
