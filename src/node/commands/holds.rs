//! Mass changes that wait for a person: looking at them, letting them through, refusing them, taking them back.

use std::collections::BTreeMap;

use nqsync_core::sync::brake::{self, Change};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::nodes::peer_code;
use super::shared::{needed, time, title};
use super::{Reading, Said, Writing};
use crate::api::{Exit, Request};
use crate::node::write::Acting;
use crate::node::{Refusal, brake as grips, receive};
use crate::store::holds::{self, Held, Hold, KEEP_MS};
use crate::store::{StoreError, Stored, audit, quarantine, records};

/// Records of a hold that are listed; the counts are of all.
const MAX_LISTED: usize = 200;

/// `hold list`: those that wait first, then those that can still be undone.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let mut all = holds::all(on.connection)?;
    all.sort_by_key(|hold| hold.state != "open");
    let items: Vec<Value> = all
        .iter()
        .map(|hold| item(on, hold))
        .collect::<Result<_, Refusal>>()?;
    Ok(Said::done(super::views::listed(items)))
}

/// `hold show`: with its records, and what each would lose or has lost.
pub fn show(on: &Reading<'_>, number: u64) -> Result<Said, Refusal> {
    let hold = get(on.connection, number)?;
    let mut data = item(on, &hold)?;
    let held = holds::records(on.connection, hold.hold)?;
    let mut listed = Vec::new();
    for held in held.iter().take(MAX_LISTED) {
        let stored = records::load(on.connection, held.record)?;
        let name = match &stored {
            Some(stored) => title(on.connection, &stored.record)?,
            None => String::new(),
        };
        let owner = stored.and_then(|stored| stored.record.facts().owner());
        listed.push(json!({
            "kind": held.kind,
            "record": held.record,
            "title": name,
            "unit": owner.map(|unit| on.tree.code(unit)),
            "loss": held.loss,
            "changes": held.changes.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()),
        }));
    }
    data["total"] = data["records"].clone();
    data["items"] = json!(listed);
    Ok(Said::done(data))
}

fn item(on: &Reading<'_>, hold: &Hold) -> Result<Value, Refusal> {
    let from = match hold.link {
        Some(link) => Some(peer_code(on.connection, &on.tree, link)?),
        None => None,
    };
    let verb = hold
        .request
        .as_deref()
        .and_then(|text| serde_json::from_str::<Request>(text).ok());
    let can_undo = matches!(hold.state.as_str(), "released" | "passed");
    let until = hold.decided_at.unwrap_or(hold.at).saturating_add(KEEP_MS);
    Ok(json!({
        "hold": hold.hold,
        "state": hold.state,
        "from": from,
        "verb": verb.as_ref().map(|request| json!(request.command)["verb"].clone()),
        "person": verb.as_ref().map(|request| request.person.clone()),
        "at": time(hold.at),
        "removed": hold.tally.removed,
        "overwritten": hold.tally.overwritten,
        "of": hold.tally.of,
        "records": holds::count_records(on.connection, hold.hold)?,
        "decided_at": hold.decided_at.map(time),
        "decided_by": hold.decided_by,
        "reason": hold.reason,
        "undo_until": can_undo.then(|| time(until)),
    }))
}

fn get(connection: &Connection, number: u64) -> Result<Hold, Refusal> {
    let found = holds::get(connection, i64::try_from(number).unwrap_or(i64::MAX))?;
    found.ok_or_else(|| Refusal::usage("no-such-hold", [("hold", number.to_string())]))
}

pub(super) fn get_open(connection: &Connection, number: u64) -> Result<Hold, Refusal> {
    let hold = get(connection, number)?;
    if hold.state == "open" {
        return Ok(hold);
    }
    let args = [("hold", number.to_string()), ("state", hold.state)];
    Err(Refusal::usage("hold-decided", args))
}

/// A verb was stopped: it waits as a hold, and its caller is told so.
pub fn begin(on: &mut Writing<'_, '_>, stopped: &grips::Stopped) -> Result<Said, Refusal> {
    let request = serde_json::to_string(on.request)
        .map_err(|e| Refusal::with(Exit::Failed, "store", [("detail", e.to_string())]))?;
    let hold = holds::begin(
        on.tx.connection(),
        None,
        "open",
        &stopped.tally,
        Some(&request),
        on.now_ms,
    )?;
    grips::note(on.tx, hold, &stopped.lost)?;
    let tally = stopped.tally;
    let data = json!({ "hold": hold, "state": "open", "removed": tally.removed,
        "overwritten": tally.overwritten, "of": tally.of });
    let mut said = Said::done(data).note(
        "note-held",
        [
            ("hold", hold.to_string()),
            ("count", tally.losses().to_string()),
            ("of", tally.of.to_string()),
        ],
    );
    said.exit = Exit::PersonNeeded;
    Ok(said)
}

/// `hold release`: what waits is carried out after all.
pub fn release(on: &mut Writing<'_, '_>, number: u64) -> Result<Said, Refusal> {
    let hold = get_open(on.tx.connection(), number)?;
    let held = holds::records(on.tx.connection(), hold.hold)?;
    let mut refused = 0;
    let mut data = json!({ "hold": hold.hold, "state": "released" });
    match (hold.link, &hold.request) {
        (Some(link), _) => {
            let bodies: Vec<String> = held.into_iter().filter_map(|held| held.body).collect();
            let applied = receive::release(on.node, on.tx, link, &bodies)?;
            refused = applied.set_aside.len();
        }
        (None, Some(text)) => {
            let request: Request = serde_json::from_str(text)
                .map_err(|e| StoreError::Damaged(format!("hold {number}: {e}")))?;
            let said = super::verbs::write_verb(&mut Writing {
                node: on.node,
                tx: on.tx,
                now_ms: on.now_ms,
                request: &request,
                file: None,
            })?;
            data["result"] = said.data;
        }
        (None, None) => {}
    }
    let lost = on.tx.take_lost();
    holds::decide(
        on.tx.connection(),
        hold.hold,
        "released",
        &on.request.person,
        None,
        on.now_ms,
    )?;
    grips::note(on.tx, hold.hold, &lost)?;
    grips::forget(on.tx, hold.link)?;
    data["changed"] = json!(lost.len());
    data["refused"] = json!(refused);
    let args = [
        ("hold", hold.hold.to_string()),
        ("count", lost.len().to_string()),
    ];
    let mut said = Said::done(data).note("note-hold-released", args);
    if refused > 0 {
        said.exit = Exit::Partly;
    }
    Ok(said)
}

/// `hold refuse`: our state stays. What a neighbour sent stays set aside with the reason, for both to see.
pub fn refuse(on: &mut Writing<'_, '_>, number: u64, reason: &str) -> Result<Said, Refusal> {
    let reason = needed("reason-needed", Some(reason))?;
    let hold = get_open(on.tx.connection(), number)?;
    let held = holds::records(on.tx.connection(), hold.hold)?;
    if let Some(link) = hold.link {
        for held in &held {
            set_aside(on, link, held, &reason)?;
        }
    }
    holds::decide(
        on.tx.connection(),
        hold.hold,
        "refused",
        &on.request.person,
        Some(&reason),
        on.now_ms,
    )?;
    let data =
        json!({ "hold": hold.hold, "state": "refused", "records": held.len(), "reason": reason });
    let args = [
        ("hold", hold.hold.to_string()),
        ("count", held.len().to_string()),
    ];
    Ok(Said::done(data).note("note-hold-refused", args))
}

/// A record whose mass change was refused is an ordinary quarantined one: it can still be taken by itself.
fn set_aside(
    on: &Writing<'_, '_>,
    link: crate::store::LinkId,
    held: &Held,
    reason: &str,
) -> Result<(), StoreError> {
    quarantine::put(
        on.tx.connection(),
        &quarantine::Item {
            item: 0,
            incoming: true,
            link,
            kind: held.kind.clone(),
            record: held.record,
            digest: None,
            code: "mass_change_refused".to_owned(),
            reason: format!("a mass change that {} refused: {reason}", on.request.person),
            body: held.body.clone(),
            at: on.now_ms,
            to_parent: false,
            task: None,
        },
    )
}

/// What became of one record of an undo.
enum Undone {
    Restored,
    /// Somebody wrote since then; what they wrote stays.
    ChangedSince,
    /// The owner is not served at or below this node.
    Elsewhere,
    Nothing,
}

/// `hold undo`: every register that still shows what the mass change left shows again what it showed before.
pub fn undo(on: &mut Writing<'_, '_>, number: u64) -> Result<Said, Refusal> {
    let hold = get(on.tx.connection(), number)?;
    let decided = hold.decided_at.unwrap_or(hold.at);
    let args = |hold: Hold| [("hold", number.to_string()), ("state", hold.state)];
    if !matches!(hold.state.as_str(), "released" | "passed") {
        return Err(Refusal::usage("hold-not-done", args(hold)));
    }
    if decided.saturating_add(KEEP_MS) < on.now_ms {
        return Err(Refusal::usage("hold-too-old", args(hold)));
    }
    let (mut restored, mut since, mut elsewhere) = (0u64, 0u64, 0u64);
    for held in holds::records(on.tx.connection(), hold.hold)? {
        match put_back(on, &held)? {
            Undone::Restored => restored += 1,
            Undone::ChangedSince => since += 1,
            Undone::Elsewhere => elsewhere += 1,
            Undone::Nothing => {}
        }
    }
    // Putting back is no mass change of its own.
    on.tx.take_lost();
    holds::decide(
        on.tx.connection(),
        hold.hold,
        "undone",
        &on.request.person,
        None,
        on.now_ms,
    )?;
    let detail = json!({ "restored": restored, "changed_since": since, "elsewhere": elsewhere });
    let act = audit::Act {
        at: on.now_ms,
        actor: &on.request.person,
        act: "hold.undone",
        subject: &hold.hold.to_string(),
        detail: detail.clone(),
    };
    audit::append(on.tx, &act)?;
    let mut data = detail;
    data["hold"] = json!(hold.hold);
    data["state"] = json!("undone");
    let mut said = Said::done(data).note(
        "note-hold-undone",
        [
            ("restored", restored.to_string()),
            ("since", since.to_string()),
            ("elsewhere", elsewhere.to_string()),
        ],
    );
    if since + elsewhere > 0 {
        said.exit = Exit::Partly;
    }
    Ok(said)
}

fn put_back(on: &mut Writing<'_, '_>, held: &Held) -> Result<Undone, Refusal> {
    let Some(changes) = held.changes.as_deref() else {
        return Ok(Undone::Nothing);
    };
    let changes: BTreeMap<String, Change> = serde_json::from_str(changes)
        .map_err(|e| StoreError::Damaged(format!("record {}: {e}", held.record)))?;
    let Some(stored) = on.tx.load(held.record)? else {
        return Ok(Undone::Nothing);
    };
    let Some(acting) = owner_of(on, &stored)? else {
        return Ok(Undone::Elsewhere);
    };
    let (values, since) = brake::undo(&changes, &stored.record);
    if !values.is_empty() {
        on.change(&acting, stored, values, None)?;
    }
    Ok(match since.is_empty() {
        true => Undone::Restored,
        false => Undone::ChangedSince,
    })
}

/// For whom a record is put back, where its owner is served here or below.
fn owner_of(on: &Writing<'_, '_>, stored: &Stored) -> Result<Option<Acting>, Refusal> {
    let Some(unit) = on.tx.tree().writer(&stored.record) else {
        return Ok(None);
    };
    let acting = Acting {
        unit,
        person: on.request.person.clone(),
        now_ms: on.now_ms,
    };
    Ok(acting.check(on.tx).is_ok().then_some(acting))
}
