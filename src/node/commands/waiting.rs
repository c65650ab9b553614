//! Keys that this node's authority certified and that are on no list here: what is shown of them, and a person's word.

use nqsync_core::model::Tree;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::nodes::{certificate_end, current, item};
use super::shared::{needed, time};
use super::{Said, Writing, resolve};
use crate::node::{Refusal, enrolment, waiting as unlisted};
use crate::store::blobs::hex;
use crate::store::nodes::NodeRow;
use crate::store::waiting::{self, Waiting};
use crate::store::{StoreError, nodes};

/// Those that wait, and those that were refused.
pub fn listed(connection: &Connection, tree: &Tree) -> Result<Vec<Value>, StoreError> {
    let all = waiting::all(connection)?;
    Ok(all.iter().map(|waiting| shown(tree, waiting)).collect())
}

/// How many wait, and since when the first does.
pub fn count(connection: &Connection) -> Result<(usize, Option<i64>), StoreError> {
    let all = waiting::all(connection)?;
    let open = all.iter().filter(|waiting| waiting.refused_at.is_none());
    let since = open.clone().map(|waiting| waiting.first_at).min();
    Ok((open.count(), since))
}

fn shown(tree: &Tree, waiting: &Waiting) -> Value {
    let unit = unlisted::unit_of(tree, waiting.node);
    json!({
        "node": waiting.node,
        "unit": unit.map(|unit| tree.code(unit)),
        "name": unit.and_then(|unit| tree.get(unit)).map(|unit| unit.name.clone()),
        "pin": hex(&waiting.pin),
        "state": if waiting.refused_at.is_some() { "refused" } else { "waits" },
        "since": time(waiting.first_at),
        "last_at": time(waiting.last_at),
        "certificate_until": certificate_end(&waiting.certificate),
        "refused_at": waiting.refused_at.map(time),
        "refused_by": waiting.refused_by,
        "reason": waiting.reason,
    })
}

/// One of them by its node's id, its key's fingerprint, a unique beginning of either, or the unit.
fn find(connection: &Connection, tree: &Tree, typed: &str) -> Result<Waiting, Refusal> {
    let typed = typed.trim();
    let unit = tree.resolve(typed, None).ok().map(|unit| unit.id);
    let prefix = typed.to_ascii_lowercase();
    let mut found = waiting::all(connection)?;
    found.retain(|waiting| {
        let begins = |text: String| prefix.len() >= 4 && text.starts_with(&prefix);
        let by_unit = unit.is_some() && unlisted::unit_of(tree, waiting.node) == unit;
        begins(waiting.node.to_string()) || begins(hex(&waiting.pin)) || by_unit
    });
    match found.len() {
        0 => Err(Refusal::usage(
            "no-such-waiting",
            [("node", typed.to_owned())],
        )),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let pins: Vec<String> = found.iter().map(|waiting| hex(&waiting.pin)).collect();
            let node = ("node", typed.to_owned());
            Err(Refusal::usage(
                "ambiguous-waiting",
                [node, ("pins", pins.join(", "))],
            ))
        }
    }
}

/// `node accept`: it is on the list from now on, as if it had enrolled with a token.
pub fn accept(on: &mut Writing<'_, '_>, typed: &str, unit: Option<&str>) -> Result<Said, Refusal> {
    let (tree, home) = (on.tx.tree(), on.tx.unit()?);
    let waiting = find(on.tx.connection(), &tree, typed)?;
    if nodes::one(on.tx.connection(), waiting.node)?.is_some() {
        let node = ("node", waiting.node.to_string());
        return Err(Refusal::usage("waiting-is-known", [node]));
    }
    let unit = match unit {
        Some(typed) => resolve(&tree, typed, home)?,
        None => unlisted::unit_of(&tree, waiting.node).ok_or_else(|| {
            let node = ("node", waiting.node.to_string());
            Refusal::usage("waiting-needs-unit", [node])
        })?,
    };
    if unit == home || !tree.is_within(unit, home) {
        let args = [("unit", tree.code(unit)), ("home", tree.code(home))];
        return Err(Refusal::usage("unit-not-below", args));
    }
    let entry = NodeRow {
        node: waiting.node,
        unit,
        pin: waiting.pin,
        certificate: waiting.certificate,
        enrolled_at: on.now_ms,
        revoked_at: None,
        reason: None,
        next_pin: None,
        key_asked: false,
        keys_before: 0,
        decisions: 0,
    };
    enrolment::join_tree(on.tx, &entry, on.now_ms)?;
    waiting::remove(on.tx.connection(), entry.node)?;
    let row = current(on.tx.connection(), entry.node)?;
    let mut data = item(on.tx.connection(), &on.tx.tree(), &row, on.now_ms)?;
    data["id"] = json!(row.node);
    let unit = ("unit", on.tx.tree().code(unit));
    Ok(Said::done(data).note("note-node-accepted", [unit]))
}

/// `node refuse`: it stays a stranger, and does not wait any more.
pub fn refuse(on: &mut Writing<'_, '_>, typed: &str, reason: &str) -> Result<Said, Refusal> {
    let reason = needed("reason-needed", Some(reason))?;
    let tree = on.tx.tree();
    let found = find(on.tx.connection(), &tree, typed)?;
    let (connection, person) = (on.tx.connection(), &on.request.person);
    waiting::refuse(connection, &found.pin, person, &reason, on.now_ms)?;
    let again = find(on.tx.connection(), &tree, &hex(&found.pin))?;
    let mut data = shown(&tree, &again);
    data["id"] = json!(found.node);
    let node = ("node", found.node.to_string());
    Ok(Said::done(data).note("note-node-refused", [node]))
}

#[cfg(test)]
mod tests {
    use nqsync_core::model::NodeId;
    use uuid::Uuid;

    use super::super::fixture::{COMMUNE, Fixture, NOW};
    use super::*;
    use crate::api::Command;
    use crate::node::waiting::came;
    use crate::trust::authority::{Authority, NODE_LIFETIME};
    use crate::trust::certificate;
    use crate::trust::identity::NodeKey;

    const CHILD: u128 = 103;

    struct Office {
        fixture: Fixture,
        authority: Authority,
        _keys: tempfile::TempDir,
    }

    impl Office {
        fn new() -> Office {
            let keys = tempfile::tempdir().expect("a folder");
            let at = jiff::Timestamp::from_millisecond(NOW).expect("a time");
            let authority = Authority::create(keys.path(), NodeId(Uuid::from_u128(102)), at);
            Office {
                fixture: Fixture::new(),
                authority: authority.expect("an authority"),
                _keys: keys,
            }
        }

        /// Somebody comes with a new key that the authority certified for this node.
        fn comes(&self, node: u128) -> String {
            let key = NodeKey::generate().expect("a key");
            let csr = key.csr_pem().expect("a request");
            let at = jiff::Timestamp::from_millisecond(NOW).expect("a time");
            let node = NodeId(Uuid::from_u128(node));
            let issued = self.authority.sign_csr(&csr, node, at, NODE_LIFETIME);
            let chain = certificate::parse_chain(issued.expect("issued").pem.as_bytes());
            let shown = chain.expect("a chain").swap_remove(0);
            assert_eq!(self.authority.certified(&shown), Some(node));
            self.again(node, shown);
            key.pin().to_string()
        }

        fn again(&self, node: NodeId, shown: rustls_pki_types::CertificateDer<'static>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(came(&self.fixture.node, node, shown));
        }

        fn list(&self) -> Value {
            self.fixture.data(Command::NodeList)
        }

        fn accept(&self, node: &str, unit: Option<&str>) -> Command {
            Command::NodeAccept {
                node: node.to_owned(),
                unit: unit.map(str::to_owned),
            }
        }
    }

    #[test]
    fn a_key_under_our_authority_that_is_on_no_list_waits_and_a_person_lets_it_in() {
        let office = Office::new();
        let pin = office.comes(CHILD);
        let list = office.list();
        assert_eq!(list["items"], json!([]), "it is not one of ours");
        let waits = &list["waiting"][0];
        assert_eq!(
            (&waits["pin"], &waits["state"]),
            (&json!(pin), &json!("waits"))
        );
        assert_eq!(
            (&waits["unit"], &waits["since"]),
            (&json!("00123"), &json!(time(NOW)))
        );
        let status = office.fixture.data(Command::Status);
        let problems = status["problems"].as_array().expect("a list");
        let told = problems.iter().find(|p| p["code"] == "node_waits");
        assert_eq!(told.expect("it is told")["since"], time(NOW));

        let accept = office.accept("00123", None);
        assert_eq!(office.fixture.data(accept)["pin"], json!(pin));
        let list = office.list();
        assert_eq!((&list["total"], &list["waiting"]), (&json!(1), &json!([])));
        let children = office.fixture.node.store.shown().children;
        assert_eq!(children.len(), 1, "it may connect from now on");
        assert_eq!(list["items"][0]["unit"], "00123");
    }

    #[test]
    fn a_node_that_the_tree_does_not_know_needs_its_unit_said_and_one_below_this_node() {
        let office = Office::new();
        let pin = office.comes(999);
        let short = &pin[..8];
        let refused = |unit| office.fixture.refused(office.accept(short, unit));
        assert_eq!(refused(None), "waiting_needs_unit");
        for outside in ["79", "BNV"] {
            assert_eq!(refused(Some(outside)), "unit_not_below", "{outside}");
        }
        let done = office.fixture.data(office.accept(short, Some("00123")));
        assert_eq!(done["node"], json!(Uuid::from_u128(999)));
        let unit = office.fixture.record(Uuid::from_u128(COMMUNE));
        assert_eq!(unit.shown("served_by"), Some(json!(Uuid::from_u128(999))));
    }

    #[test]
    fn who_is_refused_waits_no_more_and_who_is_known_never_waits() {
        let office = Office::new();
        let pin = office.comes(CHILD);
        let refuse = |reason: &str| Command::NodeRefuse {
            node: pin.clone(),
            reason: reason.to_owned(),
        };
        assert_eq!(office.fixture.refused(refuse(" ")), "reason_needed");
        let refused = office.fixture.data(refuse("nobody knows it"));
        assert_eq!(
            (&refused["state"], &refused["refused_by"]),
            (&json!("refused"), &json!("An"))
        );
        let status = office.fixture.data(Command::Status);
        let problems = status["problems"].as_array().expect("a list");
        assert!(
            problems.iter().all(|p| p["code"] != "node_waits"),
            "{status}"
        );
        // Taken back.
        office.fixture.data(office.accept(&pin, None));
        assert_eq!(
            office.fixture.refused(office.accept(&pin, None)),
            "no_such_waiting"
        );
        // A copy with an older key, and a node that was cut off, are known; they are told so and do not wait.
        office.comes(CHILD);
        assert_eq!(office.list()["waiting"], json!([]));
        let revoke = Command::NodeRevoke {
            node: "00123".to_owned(),
            reason: "stolen".to_owned(),
            undo: false,
        };
        office.fixture.data(revoke);
        office.comes(CHILD);
        assert_eq!(office.list()["waiting"], json!([]));
    }

    #[test]
    fn only_so_many_keys_are_kept_and_another_authoritys_never() {
        let office = Office::new();
        let other = Office::new();
        let key = NodeKey::generate().expect("a key");
        let at = jiff::Timestamp::from_millisecond(NOW).expect("a time");
        let csr = key.csr_pem().expect("a request");
        let node = NodeId(Uuid::from_u128(CHILD));
        let issued = other.authority.sign_csr(&csr, node, at, NODE_LIFETIME);
        let chain = certificate::parse_chain(issued.expect("issued").pem.as_bytes());
        assert_eq!(
            office.authority.certified(&chain.expect("a chain")[0]),
            None
        );

        let fill = office.fixture.node.store.write_blocking(|tx| {
            for n in 0..waiting::MOST {
                let mut pin = [0; 32];
                pin[..8].copy_from_slice(&n.to_be_bytes());
                let seen = Waiting {
                    pin,
                    node: NodeId(Uuid::from_u128(5000 + n as u128)),
                    certificate: String::new(),
                    first_at: NOW,
                    last_at: NOW,
                    refused_at: None,
                    refused_by: None,
                    reason: None,
                };
                assert!(waiting::note(tx.connection(), &seen)?);
            }
            Ok::<_, StoreError>(())
        });
        fill.expect("many");
        let pin = office.comes(CHILD);
        let list = office.list();
        let waiting = list["waiting"].as_array().expect("a list");
        assert_eq!(waiting.len(), waiting::MOST);
        assert!(waiting.iter().all(|w| w["pin"] != json!(pin)));
    }
}
