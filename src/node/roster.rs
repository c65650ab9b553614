//! Enrolments and revocations, copied one level up: a parent whose disk went back has them back from its own parent.
//!
//! The copy is signed by this node's authority, so the node above can keep it and cannot add to it. What comes back is joined
//! with what is here; only when it was taken in does a newer copy take its place above.

use std::collections::HashMap;
use std::path::Path;

use nqsync_core::model::NodeId;
use nqsync_core::protocol::roster::{self, Entry, KeyState, Revocation, Roster, signed_text};
use nqsync_core::protocol::{hex, unhex};
use rusqlite::Connection;
use serde_json::json;

use crate::store::links::{self, Role};
use crate::store::nodes::{self, NodeRow};
use crate::store::{StoreError, Tx, audit, waiting};
use crate::trust::authority::Authority;
use crate::trust::pin::Pin;
use crate::trust::signature;

/// The children of this node.
pub fn own(connection: &Connection) -> Result<Vec<Entry>, StoreError> {
    Ok(nodes::all(connection)?.iter().map(entry).collect())
}

fn entry(row: &NodeRow) -> Entry {
    Entry {
        node: row.node,
        unit: row.unit,
        enrolled_at: row.enrolled_at,
        key: KeyState {
            number: row.keys_before,
            pin: hex(&row.pin),
            certificate: row.certificate.clone(),
        },
        revocation: Revocation {
            number: row.decisions,
            at: row.revoked_at,
            reason: row.reason.clone(),
        },
    }
}

fn row(entry: &Entry) -> Option<NodeRow> {
    Some(NodeRow {
        node: entry.node,
        unit: entry.unit,
        pin: unhex(&entry.key.pin)?.try_into().ok()?,
        certificate: entry.key.certificate.clone(),
        enrolled_at: entry.enrolled_at,
        revoked_at: entry.revocation.at,
        reason: entry.revocation.reason.clone(),
        next_pin: None,
        key_asked: false,
        keys_before: entry.key.number,
        decisions: entry.revocation.number,
    })
}

/// A text as the node above keeps it. `None`: this node has no authority, or it cannot sign.
pub fn signed(keys: &Path, node: NodeId, text: String) -> Option<Roster> {
    let authority = Authority::load(keys).ok()?;
    let signature = signature::sign(authority.key(), &signed_text(node, &text))?;
    Some(Roster {
        key: hex(&signature::public(authority.key())),
        signature: hex(&signature),
        text,
    })
}

/// What the node above gave back, if it is what this node's authority signed.
pub fn verified(keys: &Path, node: NodeId, kept: &Roster) -> Option<Vec<Entry>> {
    let authority = Authority::load(keys).ok()?;
    let (key, seal) = (unhex(&kept.key)?, unhex(&kept.signature)?);
    let ours = authority.pins().contains(&Pin::of_spki(&key));
    if !ours || !signature::is_true(&key, &signed_text(node, &kept.text), &seal) {
        return None;
    }
    roster::parse(&kept.text).ok()
}

/// A child that is on no list here, and yet a person may have said that it stays out.
fn as_refused(connection: &Connection, kept: &Entry) -> Result<Entry, StoreError> {
    let mut entry = kept.clone();
    let waiting = waiting::all(connection)?.into_iter();
    let mut refused = waiting.filter(|key| key.node == kept.node && key.refused_at.is_some());
    if let (Some(key), None) = (refused.next(), kept.revocation.at) {
        entry.revocation = Revocation {
            number: kept.revocation.number + 1,
            at: key.refused_at,
            reason: key.reason,
        };
    }
    Ok(entry)
}

/// Joins what came back with what is here. Answers how many children that changed.
pub fn take_back(tx: &mut Tx<'_>, kept: &[Entry], now_ms: i64) -> Result<usize, StoreError> {
    let here = own(tx.connection())?;
    let here: HashMap<NodeId, Entry> = here.into_iter().map(|e| (e.node, e)).collect();
    let mut changed = 0;
    for kept in kept {
        let (joined, known) = match here.get(&kept.node) {
            Some(ours) => (roster::join(ours, kept), true),
            None => (as_refused(tx.connection(), kept)?, false),
        };
        if here.get(&kept.node) == Some(&joined) {
            continue;
        }
        let Some(row) = row(&joined) else { continue };
        nodes::set(tx.connection(), &row)?;
        if !known {
            links::ensure(tx.connection(), row.node, Role::Downstream)?;
            waiting::remove(tx.connection(), row.node)?;
        }
        changed += 1;
        let subject = row.node.to_string();
        let act = audit::Act {
            at: now_ms,
            actor: "nqsync",
            act: "node.recovered",
            subject: &subject,
            detail: json!({ "known": known, "pin": hex(&row.pin), "revoked": row.revoked_at.is_some() }),
        };
        audit::append(tx, &act)?;
    }
    if changed > 0 {
        // The list of who may connect is kept with the tree.
        tx.tree_has_changed();
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use nqsync_core::model::UnitId;
    use uuid::Uuid;

    use super::*;
    use crate::node::commands::fixture::{COMMUNE, Fixture, NOW, WARD, unit};

    fn child(node: u128, of: u128) -> NodeRow {
        NodeRow {
            node: NodeId(Uuid::from_u128(node)),
            unit: UnitId(unit(of).0),
            pin: [node as u8; 32],
            certificate: format!("certificate of {node}"),
            enrolled_at: NOW,
            revoked_at: None,
            reason: None,
            next_pin: None,
            key_asked: false,
            keys_before: 0,
            decisions: 0,
        }
    }

    fn on(
        office: &Fixture,
        work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) {
        office.node.store.write_blocking(work).expect("written");
    }

    fn all(office: &Fixture) -> Vec<Entry> {
        office.node.store.read_blocking(own).expect("read")
    }

    #[test]
    fn what_an_old_disk_has_forgotten_comes_back_and_nothing_of_it_is_taken_away() {
        let office = Fixture::new();
        on(&office, |tx| {
            nodes::insert(tx.connection(), &child(103, COMMUNE))
        });
        let old = all(&office);
        // Later: another child, another key and a revocation.
        on(&office, |tx| {
            nodes::insert(tx.connection(), &child(104, WARD))?;
            let first = NodeId(Uuid::from_u128(103));
            nodes::set_next_key(tx.connection(), first, &[9; 32], "another")?;
            nodes::take_next_key(tx.connection(), first)?;
            nodes::set_revoked(tx.connection(), first, Some(NOW + 1), "stolen")
        });
        let kept = all(&office);
        assert_eq!((kept[0].key.number, kept[0].revocation.number), (1, 1));

        let back = Fixture::new();
        on(&back, |tx| {
            nodes::insert(tx.connection(), &child(103, COMMUNE))
        });
        assert_eq!(all(&back), old);
        let copy = kept.clone();
        on(&back, move |tx| {
            // A key that the old disk had certified, and that nobody is to come in with any more.
            let first = NodeId(Uuid::from_u128(103));
            nodes::set_next_key(tx.connection(), first, &[8; 32], "suspected")?;
            assert_eq!(take_back(tx, &copy, NOW)?, 2);
            assert_eq!(take_back(tx, &copy, NOW)?, 0, "once is enough");
            Ok(())
        });
        assert_eq!(all(&back), kept);
        let rows = back.node.store.read_blocking(nodes::all).expect("read");
        assert!(rows.iter().all(|row| row.next_pin.is_none()), "{rows:?}");
        let shown = back.node.store.shown();
        let listed: Vec<_> = shown.children.values().collect();
        assert_eq!(
            listed,
            [&NodeId(Uuid::from_u128(104))],
            "who is cut off stays so"
        );
        assert_eq!(shown.links.len(), 1, "the new one has a link");
        // An old copy takes nothing away.
        on(&office, move |tx| {
            assert_eq!(take_back(tx, &old, NOW)?, 0);
            Ok(())
        });
        assert_eq!(all(&office), kept);
    }

    #[test]
    fn whom_a_person_has_refused_stays_out_when_the_list_says_otherwise() {
        let office = Fixture::new();
        on(&office, |tx| {
            nodes::insert(tx.connection(), &child(103, COMMUNE))
        });
        let kept = all(&office);
        let back = Fixture::new();
        on(&back, move |tx| {
            let seen = waiting::Waiting {
                pin: [103; 32],
                node: NodeId(Uuid::from_u128(103)),
                certificate: String::new(),
                first_at: NOW,
                last_at: NOW,
                refused_at: None,
                refused_by: None,
                reason: None,
            };
            assert!(waiting::note(tx.connection(), &seen)?);
            waiting::refuse(tx.connection(), &seen.pin, "lan", "stolen", NOW + 5)?;
            assert_eq!(take_back(tx, &kept, NOW)?, 1);
            Ok(())
        });
        let revocation = all(&back)[0].revocation.clone();
        assert_eq!(
            (
                revocation.number,
                revocation.at,
                revocation.reason.as_deref()
            ),
            (1, Some(NOW + 5), Some("stolen"))
        );
        assert!(back.node.store.shown().children.is_empty(), "not served");
    }

    #[test]
    fn only_what_this_nodes_authority_signed_for_this_node_is_taken_back() {
        let (keys, others) = (
            tempfile::tempdir().expect("a folder"),
            tempfile::tempdir().expect("a folder"),
        );
        let (node, other) = (NodeId(Uuid::from_u128(1)), NodeId(Uuid::from_u128(2)));
        let at = jiff::Timestamp::from_millisecond(NOW).expect("a time");
        Authority::create(keys.path(), node, at).expect("an authority");
        Authority::create(others.path(), other, at).expect("an authority");
        let entries = vec![entry(&child(103, COMMUNE))];
        let text = roster::render(&entries);
        let kept = signed(keys.path(), node, text.clone()).expect("signed");
        assert_eq!(verified(keys.path(), node, &kept), Some(entries));
        assert_eq!(verified(keys.path(), other, &kept), None, "of another node");
        assert_eq!(
            verified(others.path(), node, &kept),
            None,
            "of another authority"
        );
        let foreign = signed(others.path(), node, text.clone()).expect("signed");
        assert_eq!(verified(keys.path(), node, &foreign), None);
        let changed = Roster {
            text: text.replace("103", "104"),
            ..kept.clone()
        };
        assert_eq!(verified(keys.path(), node, &changed), None);
        assert_eq!(signed(Path::new("/nowhere"), node, text), None);
    }
}
