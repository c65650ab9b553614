//! `bundle`: carrying data on a medium, where no line may join two nodes.

use std::path::{Path, PathBuf};

use nqsync_core::protocol::bundle::{Header, Standing};
use serde_json::{Value, json};

use super::nodes::{self, peer_code};
use super::shared::{answered_before, time};
use super::{Note, Reading, Said, answer, unknown_verb};
use crate::api::{Answer, Command, Exit, Lang, Request};
use crate::node::bundle::export::{Exported, Order, export};
use crate::node::bundle::import::{Looked, Outcome, Proved, import, own, prove};
use crate::node::bundle::medium::{self, MediumError};
use crate::node::bundle::{BundleError, ONE_AT_A_TIME};
use crate::node::{Node, Refusal, recovery};
use crate::store::bundles::{self, Remembered};
use crate::store::{LinkId, Role, StoreError, links, queries};
use crate::text;

/// A bundle may be on its way for at least an hour and at most two years.
const LASTS_S: std::ops::RangeInclusive<u64> = 3600..=2 * 366 * 86_400;
/// Numbers of bundles that are listed.
const LISTED: usize = 100;

impl From<BundleError> for Refusal {
    fn from(error: BundleError) -> Self {
        let detail = [("detail", error.to_string())];
        match error {
            BundleError::Store(error) => error.into(),
            BundleError::Medium(MediumError::InTheWay(_)) => {
                Refusal::usage("bundle-in-the-way", detail)
            }
            BundleError::Medium(_) => Refusal::with(Exit::Failed, "bundle-medium", detail),
            _ => Refusal::usage("bundle", detail),
        }
    }
}

/// Makes a bundle, or takes bundles in. Both read and write files for long, so neither runs on the writer thread.
pub async fn carry_out(node: &Node, request: &Request) -> Result<Answer, Refusal> {
    let _one = ONE_AT_A_TIME.lock().await;
    if let Some(answer) = answered_before(node, request).await? {
        return Ok(answer);
    }
    let (worker, asked) = (node.clone(), request.clone());
    let done = tokio::task::spawn_blocking(move || match &asked.command {
        Command::BundleExport { .. } => make(&worker, &asked).map(|said| (said, "bundle_export")),
        Command::BundleImport { folder, expired } => {
            take_in(&worker, &asked, folder, *expired).map(|said| (said, "bundle_import"))
        }
        _ => Err(unknown_verb(&asked)),
    });
    let (said, verb) = done
        .await
        .unwrap_or_else(|error| Err(StoreError::Panicked(error.to_string()).into()))?;
    let (worker, request) = (node.clone(), request.clone());
    node.store
        .write(move |tx| answer(tx, &request, said, verb, worker.clock.now_ms()))
        .await
}

fn make(node: &Node, request: &Request) -> Result<Said, Refusal> {
    let Command::BundleExport {
        to,
        folder,
        since,
        one_way,
        lasts_s,
    } = &request.command
    else {
        return Err(unknown_verb(request));
    };
    if !LASTS_S.contains(lasts_s) {
        return Err(Refusal::usage("bundle-lasts", []));
    }
    let (link, peer, base) = node.store.read_blocking(|connection| {
        if recovery::moved(connection)? {
            return Err(Refusal::usage("moved", []));
        }
        let (link, peer) = neighbour(connection, to.as_deref())?;
        let made = bundles::made_for(connection, link)?;
        let base = match since {
            None => None,
            Some(number) => {
                let known = made
                    .iter()
                    .find(|made| made.at.number == *number && made.placed);
                let given = ("number", number.to_string());
                let known = known.ok_or_else(|| Refusal::usage("bundle-since", [given]))?;
                Some(known.at.clone())
            }
        };
        Ok((link, peer, base))
    })?;
    let order = Order {
        link,
        folder: PathBuf::from(folder),
        base,
        one_way: *one_way,
        lasts_ms: (*lasts_s as i64).saturating_mul(1000),
        person: request.person.clone(),
    };
    match export(node, &order)? {
        Some(exported) => Ok(exported_said(&exported, &peer)),
        None => {
            let data = json!({ "to": peer, "made": false });
            Ok(Said::done(data).note("note-bundle-nothing", [("peer", peer)]))
        }
    }
}

fn exported_said(exported: &Exported, peer: &str) -> Said {
    let withheld: Vec<Value> = exported
        .withheld
        .iter()
        .map(|(kind, id)| json!({ "kind": kind, "id": id }))
        .collect();
    let folder = exported.folder.display().to_string();
    let data = json!({
        "made": true,
        "to": peer,
        "number": exported.at.number,
        "hash": exported.at.hash,
        "base": exported.base.number,
        "folder": folder,
        "records": exported.records,
        "files": exported.files,
        "answers": exported.answers,
        "bytes": exported.bytes,
        "expires_at": time(exported.expires_at),
        "withheld": withheld,
        "without_name": exported.without_name,
    });
    let args = [
        ("number", exported.at.number.to_string()),
        ("peer", peer.to_owned()),
        ("folder", folder),
        ("records", exported.records.to_string()),
        ("files", exported.files.to_string()),
    ];
    let mut said = Said::done(data).note("note-bundle-made", args);
    if !exported.without_name.is_empty() {
        let numbers = [("numbers", listed(&exported.without_name))];
        said = said.note("note-bundle-without-name", numbers);
    }
    if !withheld.is_empty() {
        let count = [("count", withheld.len().to_string())];
        said = said.note("note-bundle-withheld", count);
        said.exit = Exit::Partly;
    }
    said
}

/// The neighbour that was typed; without a name the one above.
fn neighbour(
    connection: &rusqlite::Connection,
    typed: Option<&str>,
) -> Result<(LinkId, String), Refusal> {
    let tree = queries::load_tree(connection)?;
    let rows = links::rows(connection)?;
    let above = rows.iter().find(|row| row.role == Role::Upstream);
    let link = match typed {
        None => {
            let above = above.ok_or_else(|| Refusal::usage("bundle-to-whom", []))?;
            above.link
        }
        Some(typed) => {
            let code = above
                .map(|row| peer_code(connection, &tree, row.link))
                .transpose()?;
            match (above, code) {
                (Some(row), Some(code)) if code == typed.trim() => row.link,
                _ => {
                    let row = nodes::find(connection, &tree, typed)?;
                    let missing = || StoreError::Damaged(format!("no link to {}", row.node));
                    links::find(connection, row.node)?.ok_or_else(missing)?
                }
            }
        }
    };
    Ok((link, peer_code(connection, &tree, link)?))
}

fn listed(numbers: &[u64]) -> String {
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    texts.join(", ")
}

fn take_in(node: &Node, request: &Request, folder: &str, expired: bool) -> Result<Said, Refusal> {
    node.store
        .read_blocking(|connection| match recovery::moved(connection)? {
            true => Err(Refusal::usage("moved", [])),
            false => Ok(()),
        })?;
    let looked = import(node, Path::new(folder), &request.person, expired)?;
    if looked.is_empty() {
        return Err(Refusal::usage("bundle-none", [("path", folder.to_owned())]));
    }
    let mut items = Vec::new();
    let mut notes = Vec::new();
    let (mut refused, mut incomplete) = (0, false);
    for bundle in &looked {
        let peer = match bundle.from {
            Some((link, _)) => node
                .store
                .read_blocking(|c| peer_code(c, &queries::load_tree(c)?, link))?,
            None => String::new(),
        };
        let (item, note, partly) = told(request.lang, bundle, &peer);
        refused += usize::from(matches!(bundle.outcome, Outcome::Refused(_)));
        incomplete |= partly;
        items.push(item);
        notes.extend(note);
    }
    let mut said = Said::done(json!({ "folder": folder, "total": items.len(), "items": items }));
    said.notes = notes;
    said.exit = match refused {
        0 if !incomplete => Exit::Done,
        n if n == looked.len() => Exit::Usage,
        _ => Exit::Partly,
    };
    Ok(said)
}

/// What became of one bundle: as data, in words, and whether something of it did not come in.
fn told(lang: Lang, bundle: &Looked, peer: &str) -> (Value, Vec<Note>, bool) {
    let number = bundle.from.map(|(_, number)| number);
    let shown = number.map_or_else(|| bundle.name.clone(), |number| number.to_string());
    let mut item = json!({ "bundle": bundle.name, "from": peer, "number": number });
    let args = |more: Vec<(&'static str, String)>| {
        let named = [("number", shown.clone()), ("peer", peer.to_owned())];
        named.into_iter().chain(more).collect::<Vec<_>>()
    };
    let mut notes = Vec::new();
    let mut partly = false;
    match &bundle.outcome {
        Outcome::Taken(taken) => {
            item["outcome"] = json!("taken");
            for (name, count) in [
                ("records", taken.lines),
                ("changed", taken.changed),
                ("set_aside", taken.set_aside),
                ("files", taken.files),
                ("answers", taken.answers),
            ] {
                item[name] = json!(count);
            }
            item["missing"] = json!(taken.missing);
            item["torn"] = json!(taken.torn);
            let counts = vec![
                ("records", taken.lines.to_string()),
                ("files", taken.files.to_string()),
            ];
            notes.push(("note-bundle-taken", args(counts)));
            if !taken.missing.is_empty() {
                let missing = ("missing", listed(&taken.missing));
                notes.push(("note-bundle-healed", args(vec![missing])));
            }
            if taken.torn {
                notes.push(("note-bundle-torn", args(Vec::new())));
            }
            if taken.set_aside > 0 {
                let count = ("count", taken.set_aside.to_string());
                notes.push(("note-bundle-set-aside", args(vec![count])));
                partly = true;
            }
        }
        Outcome::Own => item["outcome"] = json!("own"),
        Outcome::Repeat => {
            item["outcome"] = json!("repeat");
            notes.push(("note-bundle-repeat", args(Vec::new())));
        }
        Outcome::Late => {
            item["outcome"] = json!("late");
            notes.push(("note-bundle-late", args(Vec::new())));
        }
        Outcome::Waits(missing) => {
            item["outcome"] = json!("waits");
            item["missing"] = json!(missing);
            let missing = ("missing", listed(missing));
            notes.push(("note-bundle-waits", args(vec![missing])));
            partly = true;
        }
        Outcome::Refused(error) => {
            item["outcome"] = json!("refused");
            item["code"] = json!(error.code());
            item["reason"] = json!(error.to_string());
            let why = text::word(lang, "word-bundle-", error.code());
            let why = why.unwrap_or_else(|| error.to_string());
            let args = vec![
                ("bundle", bundle.name.clone()),
                ("why", why),
                ("detail", error.to_string()),
            ];
            notes.push(("note-bundle-refused", args));
        }
    }
    (item, notes, partly)
}

/// `bundle show`: what is on a medium, or what went and came.
pub fn show(on: &Reading<'_>, folder: Option<&str>) -> Result<Said, Refusal> {
    match folder {
        Some(folder) => on_medium(on, folder),
        None => went_and_came(on),
    }
}

fn on_medium(on: &Reading<'_>, folder: &str) -> Result<Said, Refusal> {
    let (mut items, mut whole) = (Vec::new(), true);
    let found = medium::bundles(Path::new(folder)).map_err(BundleError::from)?;
    for (name, path) in found {
        let looked = match prove(on.node, &path) {
            Ok(proved) => proved
                .check_segments(on.node)
                .map(|()| proved_item(on, &name, &proved)),
            Err(BundleError::Own) => own(on.node, &path).map(|header| Ok(own_item(&name, &header))),
            Err(error) => Err(error),
        };
        items.push(match looked {
            Ok(item) => item?,
            Err(BundleError::Store(error)) => return Err(error.into()),
            Err(error) => {
                whole = false;
                json!({ "bundle": name, "outcome": "refused", "code": error.code(),
                    "reason": error.to_string() })
            }
        });
    }
    if items.is_empty() {
        return Err(Refusal::usage("bundle-none", [("path", folder.to_owned())]));
    }
    let data = json!({ "folder": folder, "total": items.len(), "items": items });
    let mut said = Said::done(data);
    if !whole {
        said = said.note("note-bundle-not-whole", []);
        said.exit = Exit::Degraded;
    }
    Ok(said)
}

fn own_item(name: &str, header: &Header) -> Value {
    json!({
        "bundle": name,
        "number": header.number,
        "base": header.base.number,
        "made_at": time(header.made_at),
        "expires_at": time(header.expires_at),
        "outcome": "own",
    })
}

fn proved_item(on: &Reading<'_>, name: &str, proved: &Proved) -> Result<Value, Refusal> {
    let remembered = Remembered::load(on.connection, proved.peer.link)?;
    let (stands, missing) = match proved.standing(&remembered) {
        Standing::Take { missing_from } => {
            let missing = remembered.missing_before(missing_from, proved.at.number, LISTED);
            ("new", missing)
        }
        Standing::Repeat => ("repeat", Vec::new()),
        Standing::Late => ("late", Vec::new()),
        Standing::Waits { .. } => ("waits", Vec::new()),
        Standing::Torn => ("torn", Vec::new()),
    };
    let header = &proved.header;
    let sealed: u64 = header.segments.iter().map(|segment| segment.bytes).sum();
    Ok(json!({
        "bundle": name,
        "from": peer_code(on.connection, &on.tree, proved.peer.link)?,
        "number": header.number,
        "base": header.base.number,
        "hash": proved.at.hash,
        "made_at": time(header.made_at),
        "expires_at": time(header.expires_at),
        "expired": header.expires_at < on.now_ms,
        "answer_expected": header.answer,
        "segments": header.segments.len(),
        "bytes": sealed,
        "outcome": stands,
        "missing": missing,
    }))
}

fn went_and_came(on: &Reading<'_>) -> Result<Said, Refusal> {
    let mut items = Vec::new();
    for row in links::rows(on.connection)? {
        let peer = peer_code(on.connection, &on.tree, row.link)?;
        for made in bundles::made_for(on.connection, row.link)? {
            items.push(json!({
                "direction": "out",
                "peer": peer,
                "number": made.at.number,
                "hash": made.at.hash,
                "at": time(made.made_at),
                "outcome": match (made.placed, made.answered_at, made.answer) {
                    (_, Some(_), _) => "answered",
                    (false, None, _) => "without_name",
                    (true, None, true) => "unanswered",
                    (true, None, false) => "no_answer_expected",
                },
                "answered_at": made.answered_at.map(time),
            }));
        }
        let remembered = Remembered::load(on.connection, row.link)?;
        let came = bundles::came_from(on.connection, row.link)?;
        let last = came.iter().map(|bundle| bundle.at.number).max();
        for bundle in came.iter().rev().take(LISTED).rev() {
            items.push(json!({
                "direction": "in",
                "peer": peer,
                "number": bundle.at.number,
                "hash": bundle.at.hash,
                "at": time(bundle.came_at),
                "outcome": bundle.state,
            }));
        }
        for number in remembered.missing_before(1, last.unwrap_or(0), LISTED) {
            items.push(
                json!({ "direction": "in", "peer": peer, "number": number, "at": Value::Null,
                "outcome": "missing" }),
            );
        }
    }
    Ok(Said::done(json!({ "total": items.len(), "items": items })))
}
