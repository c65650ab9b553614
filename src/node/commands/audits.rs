//! `audit`: who did what, whether the chain is whole, and handing it out.

pub mod file;

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use nqsync_core::protocol::Countersigned;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::nodes::{peer_code, this};
use super::shared::{needed, time};
use super::{Reading, Said, Writing};
use crate::api::{AuditFilter, Exit};
use crate::node::{Refusal, witness as words};
use crate::store::witness::{self, Sight, Whose};
use crate::store::{StoreError, audit, links};
use crate::trust::signature;

/// Entries that are listed where nothing else is asked for.
pub const LISTED: u32 = 50;

/// `audit show`: the newest entries that fit, newest first.
pub fn show(on: &Reading<'_>, filter: &AuditFilter) -> Result<Said, Refusal> {
    let since = filter.since.as_deref().map(moment).transpose()?;
    let wanted = audit::Wanted {
        actor: filter.actor.clone(),
        act: filter.act.clone(),
        subject: filter.subject.clone(),
        since,
        limit: filter.limit.unwrap_or(LISTED),
    };
    let (entries, total) = audit::find(on.connection, &wanted)?;
    let items: Vec<Value> = entries.iter().map(item).collect();
    Ok(Said::done(json!({ "items": items, "total": total })))
}

fn item(entry: &audit::Entry) -> Value {
    json!({
        "number": entry.number,
        "at": time(entry.at),
        "actor": entry.actor,
        "act": entry.act,
        "subject": entry.subject,
        "detail": serde_json::from_str::<Value>(&entry.detail).unwrap_or_default(),
    })
}

/// A day, or a moment as RFC 3339 writes it, in milliseconds since 1970.
fn moment(text: &str) -> Result<i64, Refusal> {
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        day.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|at| at.timestamp())
    };
    let at = text.parse::<Timestamp>().ok().or_else(day);
    at.map(Timestamp::as_millisecond)
        .ok_or_else(|| Refusal::usage("not-a-moment", [("text", text.to_owned())]))
}

/// `audit verify`: the chain, and what neighbours have signed of it.
pub fn verify(on: &Reading<'_>) -> Result<Said, Refusal> {
    let mut wrong = Vec::new();
    if let Some(number) = audit::first_broken(on.connection)? {
        wrong.push(json!({ "entry": number, "how": "rewritten" }));
    }
    let head = witness::head(on.connection)?;
    let (mut signed, mut up_to) = (0u64, None);
    for sight in witness::all(on.connection, Whose::Ours)? {
        let by = peer_code(on.connection, &on.tree, sight.link)?;
        match judge(on.connection, &sight)? {
            Some(how) => wrong.push(json!({
                "entry": sight.entry.number, "how": how, "seen_by": by, "seen_at": time(sight.at),
            })),
            None => {
                signed += 1;
                up_to = Some((sight.entry.number, sight.at, by));
            }
        }
    }
    let broken = !wrong.is_empty();
    let first = wrong.first().map(|item| item["entry"].to_string());
    let mut said = Said::done(json!({
        "ok": !broken,
        "entries": head.number,
        "head": words::head(head).hash,
        "countersigned": signed,
        "countersigned_up_to": up_to.as_ref().map(|(number, ..)| number),
        "countersigned_at": up_to.as_ref().map(|(_, at, _)| time(*at)),
        "countersigned_by": up_to.as_ref().map(|(.., by)| by),
        "wrong": wrong,
    }));
    if broken {
        said = said.note("note-audit-broken", [("entry", first.unwrap_or_default())]);
        said.exit = Exit::Degraded;
        return Ok(said);
    }
    let number = up_to.map_or(0, |(number, ..)| number);
    let args = [
        ("entries", head.number.to_string()),
        ("signed", number.to_string()),
    ];
    Ok(said.note("note-audit-whole", args))
}

/// What contradicts a sight of our audit that a neighbour signed.
fn judge(connection: &Connection, sight: &Sight) -> Result<Option<&'static str>, StoreError> {
    let (witness, own) = (
        links::row(connection, sight.link)?.node,
        this(connection)?.unwrap_or(NodeId(uuid::Uuid::nil())),
    );
    if let Some((key, by)) = &sight.signed {
        let text = Countersigned::text(witness, own, &words::head(sight.entry), sight.at);
        if !signature::is_true(key, &text, by) {
            return Ok(Some("signature"));
        }
    }
    let ours = witness::entry(connection, sight.entry.number)?;
    Ok(match ours {
        _ if sight.entry.number == 0 => None,
        None => Some("cut"),
        Some(entry) if entry != sight.entry => Some("rewritten"),
        Some(_) => None,
    })
}

/// `audit accept`: a person has looked into a neighbour's audit that contradicted what was seen of it, or knows why it
/// remembers another past.
pub fn accept(on: &mut Writing<'_, '_>, peer: &str, reason: &str) -> Result<Said, Refusal> {
    let reason = needed("reason-needed", Some(reason))?;
    let tree = on.tx.tree();
    for row in links::rows(on.tx.connection())? {
        let code = peer_code(on.tx.connection(), &tree, row.link)?;
        let named = code == peer || row.node.to_string() == peer;
        let forks = row.forks - row.forks_seen;
        if !named || (row.audit_broken.is_none() && forks == 0) {
            continue;
        }
        witness::set_broken(on.tx.connection(), row.link, None)?;
        links::forks_are_seen(on.tx.connection(), row.link)?;
        audit::append(
            on.tx,
            &audit::Act {
                at: on.now_ms,
                actor: &on.request.person,
                act: "audit.accepted",
                subject: &row.node.to_string(),
                detail: json!({ "reason": reason, "what": row.audit_broken, "forks": forks }),
            },
        )?;
        let data = json!({ "peer": code, "accepted": true });
        return Ok(Said::done(data).note("note-audit-accepted", [("peer", code)]));
    }
    Err(Refusal::usage(
        "audit-nothing-wrong",
        [("peer", peer.to_owned())],
    ))
}
