//! The authority of this node's parent: the pinned one, those that it had before, and how a new one takes their place.

use nqsync_core::model::NodeId;
use nqsync_core::protocol::succession::Succession;
use nqsync_core::protocol::unhex;
use rusqlite::Connection;
use serde_json::json;

use super::bundle::UPSTREAM_KEY;
use crate::store::{StoreError, Tx, audit, queries};
use crate::trust::pin::Pin;
use crate::trust::succession::{follow as steps, pin_of};

/// Fact of the store: the pin of the parent's authority.
pub const UPSTREAM_PIN: &str = "upstream_pin";
/// Fact of the store: how the parent's authorities followed each other, as far as this node has followed them; JSON.
pub const UPSTREAM_CHAIN: &str = "upstream_authorities";

/// The pinned authority of the parent.
pub fn pinned(connection: &Connection) -> Result<Option<Pin>, StoreError> {
    Ok(queries::meta(connection, UPSTREAM_PIN)?.and_then(|text| text.parse().ok()))
}

fn followed(connection: &Connection) -> Result<Vec<Succession>, StoreError> {
    let text = queries::meta(connection, UPSTREAM_CHAIN)?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// Whether a key is the authority of the parent, or was it: what it signed may have been on its way for long.
pub fn is_authority(connection: &Connection, pin: &Pin) -> Result<bool, StoreError> {
    Ok(pinned(connection)? == Some(*pin) || former(connection, pin)?.is_some())
}

/// A key that was the authority of the parent, as SubjectPublicKeyInfo.
pub fn former(connection: &Connection, pin: &Pin) -> Result<Option<Vec<u8>>, StoreError> {
    let chain = followed(connection)?;
    let found = chain.iter().find(|said| pin_of(&said.old) == Some(*pin));
    Ok(found.and_then(|said| unhex(&said.old)))
}

/// Takes the authority that follows the pinned one, if the chain leads to one. Answers the new pin.
pub fn follow(
    tx: &mut Tx<'_>,
    parent: NodeId,
    chain: &[Succession],
    now_ms: i64,
) -> Result<Option<Pin>, StoreError> {
    let Some(pin) = pinned(tx.connection())? else {
        return Ok(None);
    };
    let steps = steps(parent, pin, chain);
    let newest = steps
        .last()
        .and_then(|said| Some((said, pin_of(&said.new)?)));
    let Some((last, newest)) = newest else {
        return Ok(None);
    };
    let mut kept = followed(tx.connection())?;
    kept.extend(steps.iter().map(|said| (*said).clone()));
    let kept = serde_json::to_string(&kept).map_err(|e| StoreError::Damaged(e.to_string()))?;
    tx.set_meta(UPSTREAM_CHAIN, &kept)?;
    tx.set_meta(UPSTREAM_KEY, &last.new)?;
    tx.set_meta(UPSTREAM_PIN, &newest.to_string())?;
    tracing::warn!(%newest, "the parent has a new authority, on the word of the one before");
    let subject = parent.to_string();
    let act = audit::Act {
        at: now_ms,
        actor: &subject,
        act: "parent.authority",
        subject: &subject,
        detail: json!({ "before": pin.to_string(), "after": newest.to_string() }),
    };
    audit::append(tx, &act)?;
    Ok(Some(newest))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use uuid::Uuid;

    use super::*;
    use crate::node::commands::fixture::{Fixture, NOW};
    use crate::trust::identity::NodeKey;
    use crate::trust::{signature, succession};

    #[test]
    fn a_new_authority_is_followed_on_the_word_of_the_pinned_one_and_the_former_ones_are_remembered()
     {
        let office = Fixture::new();
        let parent = NodeId(Uuid::from_u128(101));
        let keys = [(); 3].map(|()| NodeKey::generate().expect("a key"));
        let now = jiff::Timestamp::from_millisecond(NOW).expect("a time");
        let said = |a: usize, b: usize| succession::say(parent, &keys[a], &keys[b], now);
        let (first, second) = (said(0, 1).expect("said"), said(1, 2).expect("said"));
        let pins = keys.each_ref().map(NodeKey::pin);
        let newest = nqsync_core::protocol::hex(&signature::public(&keys[2]));
        office
            .node
            .store
            .write_blocking(move |tx| {
                assert_eq!(
                    follow(tx, parent, from_ref(&first), NOW)?,
                    None,
                    "nothing is pinned"
                );
                tx.set_meta(UPSTREAM_PIN, &pins[0].to_string())?;
                assert_eq!(
                    follow(tx, parent, from_ref(&second), NOW)?,
                    None,
                    "a link is missing"
                );
                assert_eq!(follow(tx, parent, from_ref(&first), NOW)?, Some(pins[1]));
                assert_eq!(
                    follow(tx, parent, &[first.clone(), second], NOW)?,
                    Some(pins[2])
                );
                assert_eq!(follow(tx, parent, &[first], NOW)?, None, "never backwards");
                assert_eq!(pinned(tx.connection())?, Some(pins[2]));
                assert_eq!(tx.meta(UPSTREAM_KEY)?, Some(newest));
                for pin in &pins {
                    assert!(is_authority(tx.connection(), pin)?, "{pin}");
                }
                assert!(former(tx.connection(), &pins[2])?.is_none());
                assert!(!is_authority(tx.connection(), &Pin::from_bytes([7; 32]))?);
                Ok::<_, StoreError>(())
            })
            .expect("followed");
    }
}
