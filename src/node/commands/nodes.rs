//! Downstream nodes: who is enrolled here, tokens for new ones, and cutting one off.

use jiff::Timestamp;
use nqsync_core::model::{Classification, NodeId, Tree, UnitId};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::shared::{needed, time};
use super::{Reading, Said, Writing, clones, waiting};
use crate::node::Refusal;
use crate::node::bundle::ANSWER_DUE_MS;
use crate::store::blobs::hex;
use crate::store::branches::{self, State};
use crate::store::deposits::Depot;
use crate::store::nodes::{self, NodeRow, TokenRow};
use crate::store::{LinkId, LinkRow, StoreError, bundles, links, queries};
use crate::trust::certificate;
use crate::trust::pin::Pin;
use crate::trust::token;

/// A token lives at least a minute and at most thirty days: long enough to travel by courier to an island.
const TOKEN_LIFE_S: std::ops::RangeInclusive<u64> = 60..=30 * 24 * 3600;
/// A neighbour that was not heard of for so long is shown as down, even if the last attempt did not fail: sessions are
/// due at least daily.
const SILENT_AFTER_MS: i64 = 26 * 3600 * 1000;

/// A child whose service runs asks for news at least every minute; one not heard of for so long is away. That is no
/// problem in itself: half of the sites connect now and then.
const AWAY_AFTER_MS: i64 = 3 * 60 * 1000;

/// How contact with a neighbour stands. `ok` is said only when the last attempt went through.
pub fn contact_state(row: Option<&LinkRow>, now_ms: i64) -> &'static str {
    let Some(row) = row else { return "never" };
    let fresh = |at: i64| now_ms.saturating_sub(at) <= SILENT_AFTER_MS;
    match row.last_success_at.max(row.last_contact_at) {
        _ if row.refused => "refused",
        None if row.last_error.is_some() => "down",
        None => "never",
        Some(_) if row.last_error.is_some() => "down",
        Some(at) if fresh(at) => "ok",
        Some(_) => "down",
    }
}

/// How contact stands with a neighbour that was last heard of by bundle; `None`: it was not.
fn carried_state(
    connection: &Connection,
    row: Option<&LinkRow>,
    now_ms: i64,
) -> Result<Option<&'static str>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let last = bundles::last_taken_at(connection, row.link)?;
    let last = last.filter(|at| row.last_contact_at.is_none_or(|heard| heard <= *at));
    Ok(
        last.map(|at| match now_ms.saturating_sub(at) <= ANSWER_DUE_MS {
            true => "carried",
            false => "down",
        }),
    )
}

/// The code of the unit at the other end of a link.
pub fn peer_code(connection: &Connection, tree: &Tree, link: LinkId) -> Result<String, StoreError> {
    let node = links::row(connection, link)?.node;
    let enrolled = nodes::all(connection)?
        .into_iter()
        .find(|row| row.node == node);
    let unit = match enrolled {
        Some(row) => Some(row.unit),
        None => tree
            .iter()
            .find(|unit| unit.served_by == Some(node))
            .map(|unit| unit.id),
    };
    Ok(unit.map_or_else(|| node.to_string(), |unit| tree.code(unit)))
}

/// Downstream nodes and open tokens.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let items: Vec<Value> = nodes::all(on.connection)?
        .iter()
        .map(|row| item(on.connection, &on.tree, row, on.now_ms))
        .collect::<Result<_, StoreError>>()?;
    let tokens: Vec<Value> = nodes::open_tokens(on.connection, on.now_ms)?
        .iter()
        .map(|token| {
            json!({
                "unit": on.tree.code(token.unit),
                "created_at": time(token.created_at),
                "expires_at": time(token.expires_at),
            })
        })
        .collect();
    let waiting = waiting::listed(on.connection, &on.tree)?;
    Ok(Said::done(
        json!({ "total": items.len(), "items": items, "tokens": tokens, "waiting": waiting }),
    ))
}

/// One downstream node.
pub fn show(on: &Reading<'_>, typed: &str) -> Result<Said, Refusal> {
    let row = find(on.connection, &on.tree, typed)?;
    let mut data = item(on.connection, &on.tree, &row, on.now_ms)?;
    data["branches"] = clones::of(on, links::find(on.connection, row.node)?)?;
    let depot = Depot::of(on.node.store.dir(), row.node);
    data["deposit"] = match depot.newest()? {
        Some(newest) => json!({ "at": time(newest.at), "bytes": depot.used()?.bytes }),
        None => Value::Null,
    };
    data["certificate"] = Value::String(row.certificate);
    Ok(Said::done(data))
}

/// One downstream node as data.
pub fn item(
    connection: &Connection,
    tree: &Tree,
    row: &NodeRow,
    now_ms: i64,
) -> Result<Value, StoreError> {
    let link = links::find(connection, row.node)?;
    let state = link.map(|link| links::row(connection, link)).transpose()?;
    let pending = link
        .map(|link| links::due_count(connection, link))
        .transpose()?;
    let contact = match row.revoked_at {
        Some(_) => "revoked",
        None => match carried_state(connection, state.as_ref(), now_ms)? {
            Some(carried) => carried,
            None => contact_state(state.as_ref(), now_ms),
        },
    };
    let last_contact = state.as_ref().and_then(|state| state.last_contact_at);
    let away = last_contact.is_none_or(|at| now_ms.saturating_sub(at) > AWAY_AFTER_MS);
    let contact = if contact == "ok" && away {
        "silent"
    } else {
        contact
    };
    Ok(json!({
        "node": row.node,
        "unit": tree.code(row.unit),
        "name": tree.get(row.unit).map(|unit| unit.name.clone()),
        "enrolled_at": time(row.enrolled_at),
        "last_contact_at": last_contact.map(time),
        "version": state.as_ref().and_then(|state| state.version.clone()),
        "state": contact,
        "pin": hex(&row.pin),
        "certificate_until": certificate_end(&row.certificate),
        "key_asked": row.key_asked,
        "knows_authority": knows_authority(connection, row)?,
        "clock_offset_ms": state.as_ref().and_then(|state| state.clock_ahead_ms),
        "pending": pending.unwrap_or(0),
        "last_error": state.as_ref().and_then(|state| state.last_error.clone()),
        "forks": state.as_ref().map_or(0, |state| state.forks),
        "revoked_at": row.revoked_at.map(time),
        "reason": row.reason,
    }))
}

/// Whether a node has shown that it knows the authority that is in force; one that has not yet follows at its next contact.
fn knows_authority(connection: &Connection, row: &NodeRow) -> Result<bool, StoreError> {
    let now: Option<Pin> = queries::meta(connection, "ca_pin")?.and_then(|text| text.parse().ok());
    let known = nodes::authority_of(connection, row.node)?.map(Pin::from_bytes);
    Ok(known.is_some() && known == now)
}

pub(super) fn certificate_end(pem: &str) -> Option<String> {
    let chain = certificate::parse_chain(pem.as_bytes())?;
    Some(time(
        certificate::read(&chain[0])?.not_after.as_millisecond(),
    ))
}

/// A node by its id, a unique beginning of it, or the unit it serves.
pub(super) fn find(connection: &Connection, tree: &Tree, typed: &str) -> Result<NodeRow, Refusal> {
    let typed = typed.trim();
    let unit = tree.resolve(typed, None).ok().map(|unit| unit.id);
    let mut found = nodes::all(connection)?;
    let prefix = typed.to_ascii_lowercase();
    found.retain(|row| {
        let by_id = prefix.len() >= 4 && row.node.to_string().starts_with(&prefix);
        by_id || Some(row.unit) == unit
    });
    if found.len() > 1 {
        // Of several enrolments of one unit those in force come first: the server was replaced.
        let in_force = found.iter().filter(|row| row.revoked_at.is_none()).count();
        if in_force == 1 {
            found.retain(|row| row.revoked_at.is_none());
        }
    }
    match found.len() {
        0 => Err(Refusal::usage("no-such-node", [("node", typed.to_owned())])),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let ids: Vec<String> = found.iter().map(|row| row.node.to_string()).collect();
            let node = ("node", typed.to_owned());
            Err(Refusal::usage(
                "ambiguous-node",
                [node, ("ids", ids.join(", "))],
            ))
        }
    }
}

/// A one-time token with which the server of a unit below enrols here. Only the hash of its secret is kept.
pub fn token(
    on: &mut Writing<'_, '_>,
    typed: &str,
    expires_s: u64,
    url: Option<&str>,
) -> Result<Said, Refusal> {
    let (tree, home) = (on.tx.tree(), on.tx.unit()?);
    let unit = super::resolve(&tree, typed, home)?;
    let code = tree.code(unit);
    if unit == home || !tree.is_within(unit, home) {
        return Err(Refusal::usage(
            "unit-not-below",
            [("unit", code), ("home", tree.code(home))],
        ));
    }
    if !on.tx.serves(unit) && !is_free(on, unit)? {
        let node = tree
            .server_of(unit)
            .map(|node| node.to_string())
            .unwrap_or_default();
        return Err(Refusal::usage(
            "unit-served-elsewhere",
            [("unit", code), ("node", node)],
        ));
    }
    if !TOKEN_LIFE_S.contains(&expires_s) {
        let most = (TOKEN_LIFE_S.end() / 86_400).to_string();
        return Err(Refusal::usage(
            "bad-token-life",
            [("seconds", expires_s.to_string()), ("most", most)],
        ));
    }
    let url = match url {
        Some(url) => Some(url.to_owned()),
        // Nobody dials into a store above none: its nodes enrol by file.
        None if on.tx.level() > Classification::None => None,
        None => {
            let listens = on.tx.meta("listen_url")?;
            Some(listens.ok_or_else(|| Refusal::usage("no-listen", []))?)
        }
    };
    let pin: Option<Pin> = on.tx.meta("ca_pin")?.and_then(|text| text.parse().ok());
    let pin = pin.ok_or_else(|| Refusal::usage("no-listen", []))?;
    let expires_ms = on.now_ms.saturating_add(expires_s as i64 * 1000);
    let expires_at = Timestamp::from_millisecond(expires_ms)
        .map_err(|e| Refusal::usage("unwritable", [("detail", e.to_string())]))?;
    let (text, record) = token::mint(&mut rand::rng(), &code, url.as_deref(), pin, expires_at);
    nodes::insert_token(
        on.tx.connection(),
        &TokenRow {
            hash: record.hash,
            unit,
            created_at: on.now_ms,
            expires_at: expires_ms,
            used: None,
        },
    )?;
    let data = json!({ "token": text, "unit": code, "expires_at": time(expires_ms), "url": url });
    Ok(Said::done(data).note("note-token", [("unit", code), ("until", time(expires_ms))]))
}

/// Whether a unit that a child of ours serves may have another node: that child is cut off and to be replaced, or it had
/// a copy, which enrols beside it to bring what it has not sent.
fn is_free(on: &Writing<'_, '_>, unit: UnitId) -> Result<bool, StoreError> {
    let Some(server) = on.tx.tree().server_of(unit) else {
        return Ok(false);
    };
    let children = nodes::all(on.tx.connection())?;
    let is_cut_off = |row: &NodeRow| row.node == server && row.revoked_at.is_some();
    if children.iter().any(is_cut_off) {
        return Ok(true);
    }
    // A store above none knows from below which nodes serve, before any of them has enrolled in it.
    if on.tx.level() > Classification::None && children.iter().all(|row| row.node != server) {
        return Ok(true);
    }
    let Some(link) = links::find(on.tx.connection(), server)? else {
        return Ok(false);
    };
    let known = branches::of(on.tx.connection(), link)?;
    Ok(known.iter().any(|branch| branch.state == State::Refused))
}

/// Has a node take a new key at its next contact; the one it has opens nothing from then on.
pub fn renew(on: &mut Writing<'_, '_>, typed: &str, reason: &str) -> Result<Said, Refusal> {
    needed("reason-needed", Some(reason))?;
    let tree = on.tx.tree();
    let row = find(on.tx.connection(), &tree, typed)?;
    if row.revoked_at.is_some() {
        return Err(Refusal::usage(
            "node-is-revoked",
            [("unit", tree.code(row.unit))],
        ));
    }
    nodes::ask_for_key(on.tx.connection(), row.node)?;
    // A session that is open ends, so that the child greets again and hears of it.
    on.tx.tree_has_changed();
    let row = current(on.tx.connection(), row.node)?;
    let data = item(on.tx.connection(), &tree, &row, on.now_ms)?;
    Ok(Said::done(data).note("note-node-renews", [("unit", tree.code(row.unit))]))
}

/// Cuts a node off at once, or takes that back.
pub fn revoke(
    on: &mut Writing<'_, '_>,
    typed: &str,
    reason: &str,
    undo: bool,
) -> Result<Said, Refusal> {
    let reason = needed("reason-needed", Some(reason))?;
    let tree = on.tx.tree();
    let row = find(on.tx.connection(), &tree, typed)?;
    let at = if undo { None } else { Some(on.now_ms) };
    if row.revoked_at.is_some() != at.is_some() {
        nodes::set_revoked(on.tx.connection(), row.node, at, &reason)?;
        // The list of who may connect is kept with the tree.
        on.tx.tree_has_changed();
    }
    let row = current(on.tx.connection(), row.node)?;
    let mut data = item(on.tx.connection(), &tree, &row, on.now_ms)?;
    data["id"] = json!(row.node);
    let unit = tree.code(row.unit);
    let key = if undo {
        "note-node-restored"
    } else {
        "note-node-revoked"
    };
    Ok(Said::done(data).note(key, [("unit", unit)]))
}

/// Throws away what a node that is cut off had deposited here.
pub fn drop_deposit(on: &mut Writing<'_, '_>, typed: &str, reason: &str) -> Result<Said, Refusal> {
    needed("reason-needed", Some(reason))?;
    let row = find(on.tx.connection(), &on.tx.tree(), typed)?;
    let node = ("node", row.node.to_string());
    if row.revoked_at.is_none() {
        return Err(Refusal::usage("deposit-in-force", [node]));
    }
    if !Depot::of(on.node.store.dir(), row.node).remove()? {
        return Err(Refusal::usage("deposit-none", [node]));
    }
    Ok(Said::done(json!({ "id": row.node })).note("note-deposit-dropped", [node]))
}

pub(super) fn current(connection: &Connection, node: NodeId) -> Result<NodeRow, Refusal> {
    nodes::one(connection, node)?
        .ok_or_else(|| Refusal::usage("no-such-node", [("node", node.to_string())]))
}

/// This node's id, as the store has it.
pub fn this(connection: &Connection) -> Result<Option<NodeId>, StoreError> {
    Ok(queries::meta(connection, "node")?.and_then(|text| text.parse().ok()))
}
