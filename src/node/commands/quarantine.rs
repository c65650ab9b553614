//! Records set aside, here or at a peer: looking at them, trying again, giving up.

use nqsync_core::model::Tree;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::nodes::peer_code;
use super::shared::{needed, time};
use super::{Reading, Said, Writing};
use crate::api::Exit;
use crate::node::brake::HELD;
use crate::node::{Refusal, receive};
use crate::store::quarantine::{self, Item};
use crate::store::{StoreError, audit, links, records};

/// Everything set aside.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let items: Vec<Value> = quarantine::all(on.connection)?
        .iter()
        .map(|item| shown(on.connection, &on.tree, item))
        .collect::<Result<_, StoreError>>()?;
    Ok(Said::done(super::views::listed(items)))
}

/// One of them, with its content.
pub fn show(on: &Reading<'_>, item: u64) -> Result<Said, Refusal> {
    let item = get(on.connection, item)?;
    let mut data = shown(on.connection, &on.tree, &item)?;
    let parsed = item
        .body
        .as_deref()
        .map(|body| serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())));
    data["body"] = parsed.unwrap_or_default();
    Ok(Said::done(data))
}

fn shown(connection: &Connection, tree: &Tree, item: &Item) -> Result<Value, StoreError> {
    Ok(json!({
        "item": item.item,
        "direction": if item.incoming { "in" } else { "out" },
        "peer": peer_code(connection, tree, item.link)?,
        "kind": item.kind,
        "record": item.record,
        "code": item.code,
        "reason": item.reason,
        "at": time(item.at),
    }))
}

fn get(connection: &Connection, number: u64) -> Result<Item, Refusal> {
    let found = quarantine::get(connection, i64::try_from(number).unwrap_or(i64::MAX))?;
    found.ok_or_else(|| Refusal::usage("no-such-item", [("item", number.to_string())]))
}

/// Part of a mass change is decided with the whole of it.
fn not_held(item: &Item) -> Result<(), Refusal> {
    if item.incoming && item.code == HELD {
        let args = [
            ("item", item.item.to_string()),
            ("reason", item.reason.clone()),
        ];
        return Err(Refusal::usage("item-held", args));
    }
    Ok(())
}

/// Tries again: takes a record in after all, or offers it to the peer once more.
pub fn retry(on: &mut Writing<'_, '_>, number: u64) -> Result<Said, Refusal> {
    let item = get(on.tx.connection(), number)?;
    not_held(&item)?;
    let peer = peer_code(on.tx.connection(), &on.tx.tree(), item.link)?;
    let mut data = json!({ "item": item.item, "record": item.record, "peer": peer });
    if !item.incoming {
        let Some(stored) = on.tx.load(item.record)? else {
            return Err(Refusal::usage(
                "no-such-item",
                [("item", number.to_string())],
            ));
        };
        links::offer_again(on.tx.connection(), item.link, stored.rec)?;
        quarantine::remove(on.tx.connection(), item.item)?;
        on.tx.wake(item.link);
        data["result"] = json!("offered");
        return Ok(Said::done(data).note("note-quarantine-offered", [("peer", peer)]));
    }
    if receive::retry(on.node, on.tx, &item)? {
        quarantine::clear(on.tx.connection(), item.link, true, item.record)?;
        data["result"] = json!("taken");
        return Ok(Said::done(data).note("note-quarantine-taken", []));
    }
    let reason =
        quarantine::get(on.tx.connection(), item.item)?.map_or(item.reason, |now| now.reason);
    data["result"] = json!("refused");
    let mut said = Said::done(data).note("note-quarantine-refused", [("reason", reason)]);
    said.exit = Exit::Partly;
    Ok(said)
}

/// Gives one up for good; what it was and why stays in the audit log.
pub fn drop_item(on: &mut Writing<'_, '_>, number: u64, reason: &str) -> Result<Said, Refusal> {
    let reason = needed("reason-needed", Some(reason))?;
    let item = get(on.tx.connection(), number)?;
    not_held(&item)?;
    quarantine::remove(on.tx.connection(), item.item)?;
    let held = records::load(on.tx.connection(), item.record)?.is_some();
    audit::append(
        on.tx,
        &audit::Act {
            at: on.now_ms,
            actor: &on.request.person,
            act: "quarantine.dropped",
            subject: &item.record.to_string(),
            detail: json!({ "kind": item.kind, "code": item.code, "incoming": item.incoming, "reason": reason }),
        },
    )?;
    let data =
        json!({ "item": item.item, "record": item.record, "dropped": true, "held_here": held });
    Ok(Said::done(data).note("note-quarantine-dropped", [("item", number.to_string())]))
}
