//! Health of this node on one screen, and what a sync would do. Nothing is called well that was not seen to be well.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use nqsync_core::model::{Kind, Lane, UnitId, UnitInfo};
use nqsync_core::protocol::PROTOCOL;
use nqsync_core::sync::Record;
use serde_json::{Value, json};

use super::nodes::{self, contact_state, peer_code};
use super::shared::time;
use super::{Reading, Said, backup, conflicts, proposals, waiting, warnings};
use crate::api::{Exit, Lang};
use crate::node::bundle::ANSWER_DUE_MS;
use crate::node::deposit::Standing;
use crate::node::notices::UNUSABLE;
use crate::node::sealed::keys;
use crate::node::{Refusal, files, health, recovery};
use crate::store::links::Due;
use crate::store::lookups::{self, Sent};
use crate::store::{
    LinkId, LinkRow, Role, StoreError, adapters, approvals, blobs, branches, bundles, holds, links,
    notices, quarantine, queries, receipts, records, reminders,
};
use crate::trust::renewal;

/// Records listed by a preview; counts and bytes are of all.
const PREVIEW_RECORDS: usize = 200;
/// What they may have in all: the list shows names, and reads whole records for them.
const PREVIEW_BYTES: usize = 16 << 20;
/// Every lane of records.
const LANES: [Lane; 3] = [Lane::Units, Lane::Assignments, Lane::Reports];
/// A clock that is off by more is shown as a problem; it loses nothing, but dates look wrong.
const CLOCK_OFF_MS: i64 = 10 * 60 * 1000;

/// What is not well, since when.
struct Problems {
    lang: Lang,
    found: Vec<Value>,
}

impl Problems {
    /// `key`: the sentence in the catalogue, whose name is also the problem's code. `detail`: how many, or which peer,
    /// or what the peer said.
    fn add(&mut self, key: &'static str, detail: impl Into<String>, since: Option<i64>) {
        let code = key.trim_start_matches("problem-").replace('-', "_");
        let since = since.map(time);
        let shown = since.clone().unwrap_or_else(|| "-".to_owned());
        let args = [("detail", detail.into()), ("since", shown)];
        let message = super::sentence(self.lang, key, &args);
        self.found
            .push(json!({ "code": code, "message": message, "since": since }));
    }
}

/// `status`.
pub fn show(on: &Reading<'_>) -> Result<Said, Refusal> {
    let mut problems = Problems {
        lang: on.request.lang,
        found: Vec::new(),
    };
    let rows = links::rows(on.connection)?;
    let upstream_row = rows.iter().find(|row| row.role == Role::Upstream);
    let upstream = upstream(on, upstream_row, &mut problems)?;
    let downstream = downstream(on, &rows, &mut problems)?;
    let conflicts = conflicts::count(on.connection)?;
    if conflicts > 0 {
        problems.add("problem-conflicts", conflicts.to_string(), None);
    }
    let undone = undone_units(on);
    if !undone.is_empty() {
        problems.add("problem-unit-undone", undone.join("; "), None);
    }
    let (set_aside_here, set_aside_there) = quarantine::counts(on.connection)?;
    if set_aside_here + set_aside_there > 0 {
        let oldest = quarantine::oldest_at(on.connection)?;
        problems.add(
            "problem-quarantine",
            (set_aside_here + set_aside_there).to_string(),
            oldest,
        );
    }
    let (holds_open, records_held, held_since) = holds::waiting(on.connection)?;
    if holds_open > 0 {
        problems.add("problem-held", records_held.to_string(), held_since);
    }
    let (waiting, waiting_since) = waiting::count(on.connection)?;
    if waiting > 0 {
        problems.add("problem-node-waits", waiting.to_string(), waiting_since);
    }
    let approvals = approvals::open(on.connection, on.now_ms)?;
    let approvals_since = approvals.first().map(|asked| asked.at);
    if !approvals.is_empty() {
        problems.add(
            "problem-approval",
            approvals.len().to_string(),
            approvals_since,
        );
    }
    let bundles = carried(on, &mut problems)?;
    restored(on, &mut problems)?;
    own_health(on, &mut problems)?;
    let (present, missing, owed, bytes) = blobs::counts(on.connection)?;
    if missing > 0 {
        problems.add("problem-files-missing", missing.to_string(), None);
    }
    let adapters = adapters(on, &mut problems)?;
    let notices = told(on, &mut problems)?;
    let disk = disk(on, &mut problems);
    if !on.node.settings.service && (upstream_row.is_some() || !downstream.is_empty()) {
        problems.add("problem-service-stopped", String::new(), None);
    }
    let only_here = links::only_here(on.connection, upstream_row.map(|row| row.link))?;
    let backup = backups(on, upstream_row, only_here, &mut problems)?;
    let home = on.tree.get(on.home);
    let healthy = problems.found.is_empty();
    let data = json!({
        "node": nodes::this(on.connection)?,
        "unit": { "code": on.tree.code(on.home), "name": home.map(|unit| unit.name.clone()) },
        "level": home.map(|unit| unit.level),
        "version": env!("CARGO_PKG_VERSION"),
        "data_dir": on.node.store.dir().display().to_string(),
        "running": on.node.settings.service,
        "console": console(on)?,
        "incarnation": queries::last_incarnation(on.connection)?.map(|i| i.to_string()),
        "records": records::count(on.connection)?,
        "upstream": upstream,
        "downstream": downstream,
        "conflicts": conflicts,
        "quarantine": { "here": set_aside_here, "at_peers": set_aside_there },
        "holds": { "open": holds_open, "records": records_held, "since": held_since.map(time) },
        "nodes_waiting": { "count": waiting, "since": waiting_since.map(time) },
        "approvals": { "open": approvals.len(), "since": approvals_since.map(time) },
        "proposals_open": proposals::count_open(on)?,
        "blobs": { "present": present, "missing": missing, "pending_up": owed, "bytes": bytes },
        "receipts": receipts(on, upstream_row)?,
        "bundles": bundles,
        "adapters": adapters,
        "late": crate::store::closings::count_all(on.connection, None)?,
        "reminders": reminded(on)?,
        "warnings": warnings::counts(on)?,
        "notices": notices,
        "disk": disk,
        "backup": backup,
        "problems": problems.found,
        "healthy": healthy,
    });
    let mut said = Said::done(data);
    if !healthy {
        said.exit = Exit::Degraded;
    }
    Ok(said)
}

fn upstream(
    on: &Reading<'_>,
    row: Option<&LinkRow>,
    problems: &mut Problems,
) -> Result<Value, Refusal> {
    let url = queries::meta(on.connection, "upstream_url")?;
    if url.is_none() && row.is_none() {
        return Ok(Value::Null);
    }
    let state = match on.node.settings.carried {
        true => "carried",
        false => contact_state(row, on.now_ms),
    };
    let error = row.and_then(|row| row.last_error.clone());
    let since = row.and_then(|row| row.last_success_at.or(row.last_attempt_at));
    let key = match state {
        "refused" => "problem-upstream-refused",
        "never" => "problem-upstream-never",
        _ => "problem-upstream-down",
    };
    if !["ok", "carried"].contains(&state) {
        let what = error.clone().unwrap_or_else(|| state.to_owned());
        problems.add(key, what, since);
    }
    if let Some(row) = row {
        note_link(
            Some(row),
            &peer_code(on.connection, &on.tree, row.link)?,
            &HashSet::new(),
            problems,
        );
    }
    let mut data = json!({
        "url": url,
        "state": state,
        "error": error,
        "next_attempt_at": null,
        "protocol": PROTOCOL.newest,
    });
    let (pending_up, quarantined) = match row {
        Some(row) => (
            links::due_count(on.connection, row.link)?,
            lookups::withheld(on.connection, row.link)?.refused,
        ),
        None => (0, 0),
    };
    data["node"] = json!(row.map(|row| row.node));
    let own = renewal::looked_at(on.node.store.dir()).ok().flatten();
    data["own_pin"] = json!(own.map(|(_, key)| key.pin()));
    data["last_success_at"] = json!(row.and_then(|row| row.last_success_at).map(time));
    data["last_attempt_at"] = json!(row.and_then(|row| row.last_attempt_at).map(time));
    data["last_contact_at"] = json!(row.and_then(|row| row.last_contact_at).map(time));
    data["clock_offset_ms"] = json!(row.and_then(|row| row.clock_ahead_ms));
    data["version"] = json!(row.and_then(|row| row.version.clone()));
    data["agrees"] = json!(row.and_then(|row| row.agrees));
    data["pending_up"] = json!(pending_up);
    // What the parent holds for us is known only to it; a session that went through has fetched it.
    data["pending_down"] = Value::Null;
    data["quarantined_up"] = json!(quarantined);
    Ok(data)
}

fn downstream(
    on: &Reading<'_>,
    rows: &[LinkRow],
    problems: &mut Problems,
) -> Result<Vec<Value>, Refusal> {
    let mut all = Vec::new();
    let held = branches::held(on.connection)?;
    for node in crate::store::nodes::all(on.connection)? {
        let row = rows.iter().find(|row| row.node == node.node);
        let mut item = nodes::item(on.connection, &on.tree, &node, on.now_ms)?;
        let refused = match row {
            Some(row) => lookups::withheld(on.connection, row.link)?.refused,
            None => 0,
        };
        item["quarantined"] = json!(refused);
        if item["state"] == "down" || item["state"] == "refused" {
            let since = row.and_then(|row| row.last_contact_at);
            let code = on.tree.code(node.unit);
            problems.add("problem-downstream-down", code, since);
        }
        if node.revoked_at.is_none() {
            note_link(row, &on.tree.code(node.unit), &held, problems);
        }
        all.push(item);
    }
    Ok(all)
}

/// Units below this node's own whose place or heir is not in force because each would stand below the other.
fn undone_units(on: &Reading<'_>) -> Vec<String> {
    let told = |unit: &UnitInfo| {
        let other = on.tree.code(unit.undone?);
        let above = unit.parent.unwrap_or(unit.id);
        let ours = on.view().serves(above) || on.view().serves(unit.owner);
        ours.then(|| format!("{} → {other}", unit.code))
    };
    on.tree.iter().filter_map(told).collect()
}

/// Bundles without a receipt, and those that wait for one before them.
fn carried(on: &Reading<'_>, problems: &mut Problems) -> Result<Value, Refusal> {
    let (unanswered, waiting) = (
        bundles::unanswered(on.connection)?,
        bundles::waiting(on.connection)?,
    );
    let oldest = unanswered.iter().map(|made| made.made_at).min();
    for made in &unanswered {
        if on.now_ms.saturating_sub(made.made_at) > ANSWER_DUE_MS {
            let peer = peer_code(on.connection, &on.tree, made.link)?;
            problems.add("problem-bundle-unanswered", peer, Some(made.made_at));
        }
    }
    let links: BTreeSet<LinkId> = waiting.iter().map(|bundle| bundle.link).collect();
    for link in links {
        let since = waiting.iter().filter(|bundle| bundle.link == link);
        let since = since.map(|bundle| bundle.came_at).min();
        let peer = peer_code(on.connection, &on.tree, link)?;
        problems.add("problem-bundle-waits", peer, since);
    }
    Ok(json!({ "unanswered_since": oldest.map(time), "waiting": waiting.len() }))
}

/// What the store knows to be wrong with itself.
fn own_health(on: &Reading<'_>, problems: &mut Problems) -> Result<(), Refusal> {
    if let Some(damage) = on.node.store.damage() {
        problems.add("problem-damaged", damage.found.join("; "), Some(damage.at));
    }
    if on.node.store.is_read_only() {
        problems.add("problem-disk-read-only", String::new(), None);
    }
    if let Some((since, why)) = files::waiting(on.connection)? {
        problems.add("problem-files-wait", why, Some(since));
    }
    let differs = queries::meta(on.connection, health::DIFFERS)?.unwrap_or_default();
    if !differs.is_empty() {
        problems.add("problem-config-differs", differs, None);
    }
    Ok(())
}

/// Whom a restored node has not met since.
fn restored(on: &Reading<'_>, problems: &mut Problems) -> Result<(), Refusal> {
    if recovery::moved(on.connection)? {
        problems.add("problem-moved", String::new(), None);
    }
    let Some((at, from)) = recovery::restored(on.connection)? else {
        return Ok(());
    };
    if recovery::waits(on.connection)? {
        problems.add("problem-restored-waiting", from, Some(at));
        return Ok(());
    }
    let mut children = Vec::new();
    for link in recovery::not_asked(on.connection)? {
        children.push(peer_code(on.connection, &on.tree, link)?);
    }
    if !children.is_empty() {
        problems.add("problem-restored-children", children.join(", "), Some(at));
    }
    Ok(())
}

/// What a link says beside its state: clocks, forks, disagreement.
fn note_link(row: Option<&LinkRow>, peer: &str, held: &HashSet<LinkId>, problems: &mut Problems) {
    let Some(row) = row else { return };
    if row.clock_ahead_ms.is_some_and(|ms| ms.abs() > CLOCK_OFF_MS) {
        problems.add("problem-clock-off", peer, row.last_contact_at);
    }
    if row.agrees == Some(false) {
        problems.add("problem-disagreement", peer, row.last_success_at);
    }
    if let Some(what) = &row.audit_broken {
        let what: Value = serde_json::from_str(what).unwrap_or_default();
        problems.add("problem-audit-contradicts", peer, what["at"].as_i64());
    }
    if held.contains(&row.link) {
        problems.add("problem-cloned", peer, row.last_contact_at);
    } else if row.forks > row.forks_seen {
        problems.add("problem-restored-or-cloned", peer, row.forked_at);
    }
}

/// How far the reports, evidence and values of the units served here got, each in its present state.
fn receipts(on: &Reading<'_>, upstream: Option<&LinkRow>) -> Result<Value, Refusal> {
    let (mut stored, mut accepted, mut reached) = (0u64, 0u64, 0u64);
    if let Some(row) = upstream {
        let here = nodes::this(on.connection)?;
        for unit in on
            .tree
            .iter()
            .filter(|unit| on.tree.server_of(unit.id) == here)
        {
            let kinds = [Kind::Report, Kind::Evidence, Kind::Figure];
            for Sent {
                stored: record,
                accepted: taken,
            } in lookups::sent_by(on.connection, row.link, &kinds, unit.id)?
            {
                stored += 1;
                accepted += u64::from(taken);
                reached += u64::from(has_reached(on, &record)?);
            }
        }
    }
    Ok(json!({ "stored": stored, "accepted_upstream": accepted, "reached_issuer": reached }))
}

fn has_reached(on: &Reading<'_>, stored: &crate::store::Stored) -> Result<bool, StoreError> {
    let Some(issuer) = issuer_of(&stored.record) else {
        return Ok(false);
    };
    if let Some(server) = on.tree.server_of(issuer)
        && links::held_by_neighbour(on.connection, server, stored.rec)?
    {
        return Ok(true);
    }
    let extent = stored.record.extent();
    let reached = receipts::of(on.connection, stored.rec)?;
    Ok(reached
        .iter()
        .any(|(unit, held, _)| *unit == issuer && held.covers(&extent)))
}

fn issuer_of(record: &Record) -> Option<UnitId> {
    use nqsync_core::model::Facts;
    match record.facts() {
        Facts::Report { issuer, .. } | Facts::Evidence { issuer, .. } => Some(*issuer),
        Facts::Figure { definer, .. } => Some(*definer),
        _ => None,
    }
}

/// The last message of every channel to people, and why one cannot be sent.
fn told(on: &Reading<'_>, problems: &mut Problems) -> Result<Vec<Value>, Refusal> {
    let unusable = queries::meta(on.connection, UNUSABLE)?.unwrap_or_default();
    if !unusable.is_empty() {
        problems.add("problem-notify-file", unusable, None);
    }
    let mut items = Vec::new();
    for notice in notices::latest(on.connection)? {
        if let Some(error) = &notice.error {
            let what = format!("{}: {error}", notice.channel);
            problems.add("problem-notice", what, notice.failing_since);
        }
        items.push(json!({
            "channel": notice.channel,
            "made_at": time(notice.made_at),
            "sent_at": notice.sent_at.map(time),
            "tries": notice.tries,
            "next_at": notice.sent_at.is_none().then(|| time(notice.next_at)),
            "error": notice.error,
            "answer": notice.answer,
        }));
    }
    Ok(items)
}

/// Deadlines near or missed, as they were counted last. They are about people's work: the node is well.
fn reminded(on: &Reading<'_>) -> Result<Vec<Value>, Refusal> {
    let mut items = Vec::new();
    for reminder in reminders::all(on.connection)? {
        let mut item: Value = serde_json::from_str(&reminder.facts)
            .map_err(|e| StoreError::Damaged(format!("a reminder cannot be read: {e}")))?;
        item["as_of"] = json!(time(reminder.as_of));
        items.push(item);
    }
    Ok(items)
}

/// Adapters whose profile is still there, by how their last run ended.
fn adapters(on: &Reading<'_>, problems: &mut Problems) -> Result<Vec<Value>, Refusal> {
    let mut items = Vec::new();
    for standing in adapters::standings(on.connection)? {
        let profile = format!("{}.toml", standing.adapter);
        if !on.node.settings.adapters_dir.join(profile).exists() {
            continue;
        }
        if standing.outcome != "done" {
            problems.add("problem-adapter", &standing.adapter, standing.bad_since);
        }
        items.push(json!({
            "name": standing.adapter,
            "ran_at": time(standing.ran_at),
            "outcome": standing.outcome,
            "not_well_since": standing.bad_since.map(time),
        }));
    }
    Ok(items)
}

/// Where people reach the pages, while the service has them open.
fn console(on: &Reading<'_>) -> Result<Option<String>, StoreError> {
    let url = queries::meta(on.connection, "console_url")?;
    Ok(url.filter(|url| on.node.settings.service && !url.is_empty()))
}

/// What a lost disk would cost: everything that is only here, or what is younger than the last deposit.
fn backups(
    on: &Reading<'_>,
    upstream: Option<&LinkRow>,
    only_here: u64,
    problems: &mut Problems,
) -> Result<Value, Refusal> {
    let lang = on.request.lang;
    let key = keys::of(on.connection)?.map(|recovery| recovery.fingerprint());
    let standing = Standing::of(on.connection)?;
    let mut files_only_here = blobs::all_present(on.connection)?;
    if let Some(row) = upstream {
        let held = blobs::held_by(on.connection, row.link)?;
        files_only_here.retain(|(id, _)| !held.contains(id));
    }
    let files_only_here = files_only_here.len();
    let younger = match standing.at {
        Some(_) => Some(standing.younger(on.connection)?),
        None => None,
    };
    let mut note = match standing.at.zip(younger) {
        Some((at, younger)) => {
            crate::t!(lang, "status-deposited", at = time(at), count = younger)
        }
        None => {
            let (count, files) = (only_here, files_only_here);
            crate::t!(lang, "status-only-here", count = count, files = files)
        }
    };
    match &standing.trouble {
        None => {}
        Some(trouble) if trouble.code == "unsupported" => {
            note = format!("{note}; {}", crate::t!(lang, "status-deposit-unsupported"));
        }
        Some(trouble) if trouble.code == "newer" => {
            problems.add("problem-deposit-newer", String::new(), Some(trouble.at));
        }
        Some(trouble) => {
            problems.add(
                "problem-deposit-refused",
                &trouble.message,
                Some(trouble.at),
            );
        }
    }
    if key.is_none() && upstream.is_some() {
        note = format!("{note}; {}", crate::t!(lang, "status-deposit-no-key"));
    }
    let interval = on.node.settings.deposit_interval_ms;
    let old = standing
        .at
        .filter(|at| on.now_ms.saturating_sub(*at) > interval.saturating_mul(3));
    if let Some(at) = old.filter(|_| interval > 0 && standing.trouble.is_none()) {
        problems.add("problem-deposit-old", String::new(), Some(at));
    }
    Ok(json!({
        "deposited": standing.at.is_some(),
        "deposited_at": standing.at.map(time),
        "younger": younger,
        "trouble": standing.trouble.as_ref().map(|trouble| &trouble.code),
        "recovery_key": key,
        "only_here": only_here,
        "files_only_here": files_only_here,
        "note": note,
        "last_at": queries::meta(on.connection, backup::LAST_AT)?,
        "last_to": queries::meta(on.connection, backup::LAST_TO)?,
    }))
}

fn disk(on: &Reading<'_>, problems: &mut Problems) -> Value {
    let room = |dir: &Path| {
        let found = rustix::fs::statvfs(dir).ok()?;
        let (free, total) = (
            found.f_bavail * found.f_frsize,
            found.f_blocks * found.f_frsize,
        );
        Some((free, total))
    };
    let dir = on.node.store.dir();
    let Some((free, total)) = room(dir) else {
        return Value::Null;
    };
    // Attachments may lie on a disk of their own.
    let all = [Some((free, total)), room(&dir.join("blobs"))];
    let least = all.into_iter().flatten().min().unwrap_or((free, total));
    // The store refuses writes when the disk is full; this warns before.
    if least.0 < on.node.settings.min_free_bytes || least.0 < least.1 / 50 {
        problems.add(
            "problem-disk-nearly-full",
            (least.0 >> 20).to_string(),
            None,
        );
    }
    json!({ "free_bytes": free, "total_bytes": total })
}

/// `sync --dry-run`: what would go, what stays, and why.
pub fn preview(on: &Reading<'_>) -> Result<Said, Refusal> {
    let rows = links::rows(on.connection)?;
    let mut listed = Vec::new();
    let mut counts = serde_json::Map::new();
    let (mut bytes, mut receipts) = (0, 0);
    let (mut files, mut file_bytes) = (0, 0);
    for row in &rows {
        for lane in LANES {
            let waiting = lookups::waiting(on.connection, row.link, lane)?;
            let name = json!(lane).as_str().unwrap_or_default().to_owned();
            let before = counts.get(&name).and_then(Value::as_u64).unwrap_or(0);
            counts.insert(name, json!(before + waiting.count));
            bytes += waiting.bytes;
        }
        receipts += lookups::receipts_waiting(on.connection, row.link)?;
        for (_, size) in blobs::due(on.connection, row.link)? {
            files += 1;
            file_bytes += size;
        }
        let room = PREVIEW_RECORDS.saturating_sub(listed.len());
        let peer = peer_code(on.connection, &on.tree, row.link)?;
        for (lane, due) in links::due(on.connection, row.link, (-1, -1), room, PREVIEW_BYTES)? {
            listed.push(due_item(&due, lane, &peer));
        }
    }
    let upstream = rows
        .iter()
        .find(|row| row.role == Role::Upstream)
        .or(rows.first());
    let withheld = match upstream {
        Some(row) => lookups::withheld(on.connection, row.link)?,
        None => lookups::Withheld {
            one_side: records::count(on.connection)?,
            ..Default::default()
        },
    };
    let reasons: Vec<Value> = [
        ("one_side_only", withheld.one_side),
        ("left_scope", withheld.left_scope),
        ("quarantined_at_peer", withheld.refused),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(reason, count)| json!({ "reason": reason, "count": count }))
    .collect();
    Ok(Said::done(json!({
        "records": listed,
        "counts": counts,
        "bytes": bytes,
        "withheld": reasons,
        "quarantined": withheld.refused,
        "receipts": receipts,
        "blobs": { "count": files, "bytes": file_bytes },
    })))
}

fn due_item(due: &Due, lane: i64, peer: &str) -> Value {
    let lane = LANES.into_iter().find(|known| *known as i64 == lane);
    match due {
        Due::Record(stored) | Due::Brought(stored) => {
            let record = &stored.record;
            let edits: usize = record.edits().iter().map(|edit| edit.raw().len()).sum();
            json!({
                "kind": record.key().kind,
                "id": record.key().id,
                "lane": lane,
                "bytes": record.facts_raw().len() + edits,
                "to": peer,
            })
        }
        Due::Left(_, id, kind) => {
            json!({ "kind": kind, "id": id, "lane": lane, "bytes": 0, "left_scope": true, "to": peer })
        }
    }
}
