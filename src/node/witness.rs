//! Audits that watch each other: at each contact both ends of a link show how their audit ends. The parent signs what it
//! saw of the child's. A chain that was cut or written anew no longer holds what a neighbour has seen, and that shows at
//! the next contact, without anybody asking.

use nqsync_core::model::NodeId;
use nqsync_core::protocol::{AuditHead, AuditShown, Countersigned, hex, unhex};
use rusqlite::Connection;
use serde_json::json;

use super::parents;
use crate::store::links::LinkId;
use crate::store::witness::{self, Entry, Sight, Whose};
use crate::store::{StoreError, Tx, audit};
use crate::trust::identity::NodeKey;
use crate::trust::pin::Pin;
use crate::trust::signature;

/// How many of the entries that the peer saw are shown again.
const SHOWN_AGAIN: usize = 3;

/// What we show a peer of our audit: its end, and again what the peer has seen before. `asked`: an entry the peer names.
pub fn shown(
    connection: &Connection,
    link: LinkId,
    asked: Option<i64>,
) -> Result<AuditShown, StoreError> {
    let mut again = Vec::new();
    let seen = witness::latest(connection, link, Whose::Ours, SHOWN_AGAIN)?;
    let numbers = seen.iter().map(|sight| sight.entry.number);
    for number in numbers.chain(asked) {
        if let Some(entry) = witness::entry(connection, number)? {
            again.push(head(entry));
        }
    }
    let last = witness::latest(connection, link, Whose::Theirs, 1)?;
    Ok(AuditShown {
        head: head(witness::head(connection)?),
        again,
        seen: last.first().map(|sight| sight.entry.number),
    })
}

/// What a child shows after an exchange: nothing when its parent has seen the end already.
pub fn news(connection: &Connection, link: LinkId) -> Result<Option<AuditShown>, StoreError> {
    let seen = witness::latest(connection, link, Whose::Ours, 1)?;
    let end = witness::head(connection)?;
    match seen.first() {
        Some(sight) if sight.entry == end => Ok(None),
        _ => shown(connection, link, None).map(Some),
    }
}

/// The parent's answer to what we showed: its own audit, and its word on ours.
pub fn answered(
    tx: &mut Tx<'_>,
    link: LinkId,
    shown: &AuditShown,
    word: Option<&Countersigned>,
    torn: bool,
    now_ms: i64,
) -> Result<(), StoreError> {
    compare(tx, link, shown, (torn, true), now_ms)?;
    keep(tx, link, word)
}

/// Compares what a peer shows with what we have seen of its audit, and remembers it. `torn`: one side went back to an
/// old disk, which is told for itself and explains a shorter audit. `must_answer`: we asked for the entry we saw last.
pub fn compare(
    tx: &mut Tx<'_>,
    link: LinkId,
    theirs: &AuditShown,
    (torn, must_answer): (bool, bool),
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some(end) = entry(&theirs.head) else {
        return Ok(());
    };
    let seen = witness::latest(tx.connection(), link, Whose::Theirs, SHOWN_AGAIN)?;
    let shown_again = |number: i64| {
        theirs
            .again
            .iter()
            .chain([&theirs.head])
            .find(move |h| h.number == number)
    };
    let mut wrong = None;
    for (index, sight) in seen.iter().enumerate() {
        let number = sight.entry.number;
        if end.number < number {
            wrong = Some(("cut", number));
        } else if let Some(shown) = shown_again(number) {
            if entry(shown) != Some(sight.entry) {
                wrong = Some(("rewritten", number));
            }
        } else if must_answer && index == 0 && number > 0 {
            wrong = Some(("missing", number));
        }
    }
    if let Some((how, number)) = wrong {
        // It is kept, and what follows is compared with what is shown from now on.
        witness::set_former(tx.connection(), link)?;
        let what = json!({ "how": how, "number": number, "ends_at": end.number, "at": now_ms });
        audit::append(
            tx,
            &audit::Act {
                at: now_ms,
                actor: "nqsync",
                act: "audit.contradicts",
                subject: &link.0.to_string(),
                detail: json!({ "how": how, "number": number, "torn": torn }),
            },
        )?;
        if !torn {
            tracing::warn!(
                link = link.0,
                how,
                number,
                "a neighbour's audit is not what it was"
            );
            witness::set_broken(tx.connection(), link, Some(&what.to_string()))?;
        }
    }
    let sight = Sight {
        link,
        at: now_ms,
        entry: end,
        signed: None,
    };
    witness::put(tx.connection(), Whose::Theirs, &sight)
}

/// What a bundle shows of its issuer's audit, and a parent's word on ours. A bundle that was overtaken by the line shows
/// what is known already.
pub fn brought(
    tx: &mut Tx<'_>,
    link: LinkId,
    shown: &AuditShown,
    word: Option<&Countersigned>,
    torn: bool,
    now_ms: i64,
) -> Result<(), StoreError> {
    let last = witness::latest(tx.connection(), link, Whose::Theirs, 1)?;
    let overtaken = |sight: &Sight| shown.head.number < sight.entry.number;
    if torn || !last.first().is_some_and(overtaken) {
        compare(tx, link, shown, (torn, false), now_ms)?;
    }
    keep(tx, link, word)
}

/// The parent's word on the head of its child's audit that it has seen last.
pub fn word_on(
    connection: &Connection,
    link: LinkId,
    key: &NodeKey,
    nodes: (NodeId, NodeId),
    now_ms: i64,
) -> Result<Option<Countersigned>, StoreError> {
    let last = witness::latest(connection, link, Whose::Theirs, 1)?;
    let last = last.into_iter().next();
    Ok(last.and_then(|sight| countersign(key, nodes, &head(sight.entry), now_ms)))
}

/// The parent's word on the head that a child shows.
pub fn countersign(
    key: &NodeKey,
    (witness, of): (NodeId, NodeId),
    head: &AuditHead,
    at: i64,
) -> Option<Countersigned> {
    let signature = signature::sign(key, &Countersigned::text(witness, of, head, at))?;
    Some(Countersigned {
        head: head.clone(),
        at,
        key: hex(&signature::public(key)),
        signature: hex(&signature),
    })
}

/// Keeps the parent's word on our audit, if it said one. One that is not the pinned key's is no word.
fn keep(tx: &Tx<'_>, link: LinkId, word: Option<&Countersigned>) -> Result<(), StoreError> {
    let Some(word) = word else { return Ok(()) };
    let parts = unhex(&word.key)
        .zip(unhex(&word.signature))
        .zip(entry(&word.head));
    let Some(((key, signature), entry)) = parts else {
        return Ok(());
    };
    let parent = tx.link(link)?.peer;
    let text = Countersigned::text(parent, tx.node()?, &word.head, word.at);
    let known = parents::is_authority(tx.connection(), &Pin::of_spki(&key))?;
    if !known || !signature::is_true(&key, &text, &signature) {
        tracing::warn!(
            link = link.0,
            "what signs our audit is not the parent's pinned key"
        );
        return Ok(());
    }
    let sight = Sight {
        link,
        at: word.at,
        entry,
        signed: Some((key, signature)),
    };
    witness::put(tx.connection(), Whose::Ours, &sight)
}

/// An entry as it is said to a peer.
pub fn head(entry: Entry) -> AuditHead {
    AuditHead {
        number: entry.number,
        hash: hex(&entry.hash),
    }
}

fn entry(head: &AuditHead) -> Option<Entry> {
    let hash = unhex(&head.hash)?.try_into().ok()?;
    Some(Entry {
        number: head.number,
        hash,
    })
}
