//! Enrolling where no line joins this node and its parent: a request goes there as a file, and its answer comes back.

use std::path::Path;

use nqsync_core::model::NodeId;
use nqsync_core::protocol::enrolment::{Answered, Asked, FORM, MAX_ANSWER};
use nqsync_core::protocol::{Enrolled, unhex};

use super::DaemonError;
use super::setup::{self, EnrolError};
use crate::clock::Clock;
use crate::config::Config;
use crate::node::bundle::medium;
use crate::store::{Store, StoreError};
use crate::trust::certificate;
use crate::trust::files::{self, Existing, Secrecy};
use crate::trust::identity::{NODE_KEY, NodeKey};
use crate::trust::pin::Pin;
use crate::trust::signature;
use crate::trust::token::Token;

/// Writes a request under a token into a new file. Answers this node.
pub fn request(config: &Config, text: &str, file: &Path) -> Result<NodeId, EnrolError> {
    let token = setup::token_for(config, text)?;
    let dir = &config.node.data_dir;
    let (node, store) = this_node(config)?;
    store.close();
    let key = NodeKey::load(&dir.join(NODE_KEY)).map_err(setup::trust)?;
    let csr = key.csr_pem().map_err(setup::trust)?;
    let asked = Asked::new(token.unit, node, csr, &token.secret.hash());
    let text = serde_json::to_vec_pretty(&asked).map_err(setup::trust)?;
    files::write(file, &text, Secrecy::Public, Existing::Keep).map_err(setup::trust)?;
    Ok(node)
}

/// Takes the answer in, which makes this node a child.
pub async fn answer(
    config: &Config,
    clock: &Clock,
    url: Option<&str>,
    text: &str,
    file: &Path,
) -> Result<(NodeId, String), EnrolError> {
    let token = setup::token_for(config, text)?;
    let url = setup::parent_url(config, url, token.url.as_deref())?;
    let (node, store) = this_node(config)?;
    let enrolled = read(config, &token, node, file).inspect_err(|_| store.close())?;
    setup::enrolled(config, clock, store, &token, &url, enrolled).await
}

fn this_node(config: &Config) -> Result<(NodeId, Store), EnrolError> {
    let store = Store::open(&setup::store_options(config)).map_err(DaemonError::from)?;
    let shown = config.node.data_dir.display().to_string();
    match store.shown().node {
        Some(node) => Ok((node, store)),
        None => {
            store.close();
            Err(DaemonError::from(StoreError::NotInitialised(shown)).into())
        }
    }
}

/// Reads an answer and proves that the parent of the token gave it to this node and its key.
fn read(config: &Config, token: &Token, node: NodeId, file: &Path) -> Result<Enrolled, EnrolError> {
    let bad = |what: &str| EnrolError::Answer(what.to_owned());
    let raw = medium::read_file(file, MAX_ANSWER).map_err(|e| bad(&e.to_string()))?;
    let no_answer = |_| bad("it is no answer to an enrolment, or it is cut");
    let answered: Answered = serde_json::from_slice(&raw).map_err(no_answer)?;
    if answered.nqsync_enrolled != FORM {
        return Err(bad("it is of another version; upgrade the older node"));
    }
    let key = unhex(&answered.key).unwrap_or_default();
    if Pin::of_spki(&key) != token.parent {
        return Err(bad("it is not of the parent that the token names"));
    }
    let enrolled = answered.enrolled.get();
    let signed = unhex(&answered.signature).unwrap_or_default();
    if !signature::is_true(&key, &Answered::text(node, enrolled), &signed) {
        return Err(bad("it was changed, or it is for another node"));
    }
    let enrolled: Enrolled = serde_json::from_str(enrolled).map_err(no_answer)?;
    let own = NodeKey::load(&config.node.data_dir.join(NODE_KEY)).map_err(setup::trust)?;
    let chain = certificate::parse_chain(enrolled.certificate.as_bytes()).unwrap_or_default();
    match chain.first().and_then(Pin::of_certificate) == Some(own.pin()) {
        true => Ok(enrolled),
        false => Err(bad("it is for another key than the one of this node")),
    }
}
