//! The judges. Each knows only what is on the disks, what people were told is kept, and the words of the design.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use nqsync::store::records::{self, Flags};
use nqsync::store::{StoreError, blobs};
use rusqlite::Connection;
use serde_json::Value;
use uuid::Uuid;

use super::faults::Fault;
use super::place::Place;
use super::reference::{self, Write};
use super::rollups;
use super::world::World;

/// A record as it is on one disk.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its kind.
    pub kind: &'static str,
    /// Its facts.
    pub facts: Value,
    /// Its edits as on the wire.
    pub edits: Vec<String>,
    /// Edits in its history.
    pub history: Vec<String>,
    /// Its digest.
    pub digest: [u8; 16],
    /// Read-only: it left the scope.
    pub left: bool,
}

/// All records of one disk.
pub type Disk = HashMap<Uuid, Held>;

/// Reads a whole disk.
pub async fn disk(world: &World, at: usize) -> Disk {
    disk_of(&world.places[at]).await
}

/// The same of a node by itself.
pub async fn disk_of(place: &Place) -> Disk {
    let read = place.node.store.read(|connection: &Connection| {
        let mut disk = Disk::new();
        let mut after = records::Rec(0);
        loop {
            let page = records::page(connection, after, 500)?;
            let Some(last) = page.last() else { break };
            after = last.rec;
            for stored in &page {
                let raw = |edit: &nqsync_core::sync::Edit| edit.raw().to_owned();
                let history = records::history(connection, stored.rec)?;
                let held = Held {
                    kind: stored.record.key().kind.as_str(),
                    facts: serde_json::from_str(stored.record.facts_raw()).expect("facts are JSON"),
                    edits: stored.record.edits().iter().map(raw).collect(),
                    history: history.iter().map(raw).collect(),
                    digest: stored.digest.0,
                    left: stored.flags.has(Flags::LEFT),
                };
                disk.insert(stored.record.key().id, held);
            }
        }
        Ok::<_, StoreError>(disk)
    });
    read.await.expect("a read")
}

/// Everything an oracle looks at.
pub struct Evidence {
    disks: Vec<Disk>,
    /// Records set aside: by node, those it refused.
    refused: Vec<HashSet<Uuid>>,
    /// Records set aside anywhere, with code and reason.
    aside: BTreeMap<Uuid, (String, String)>,
    unit_node: HashMap<String, usize>,
    root: String,
}

async fn gather(world: &World) -> Evidence {
    let mut found = Evidence {
        disks: Vec::new(),
        refused: Vec::new(),
        aside: BTreeMap::new(),
        unit_node: HashMap::new(),
        root: world.places[0].unit.to_string(),
    };
    for place in &world.places {
        found.unit_node.insert(place.unit.to_string(), place.index);
        found.disks.push(disk(world, place.index).await);
        found.refused.push(HashSet::new());
    }
    for at in 0..world.places.len() {
        for item in world.set_aside(at).await {
            let who = match item.incoming {
                true => Some(at),
                false => world.neighbour(at, item.link),
            };
            if let Some(who) = who {
                found.refused[who].insert(item.record);
            }
            let list = if item.incoming { "in" } else { "out" };
            let reason = format!(
                "{} {} refused by node {who:?}, in the list {list} of node {at}: {}",
                item.kind, item.code, item.reason
            );
            found.aside.insert(item.record, (item.code, reason));
        }
    }
    found
}

/// The nodes on the paths between the ends of a record.
fn holders(world: &World, evidence: &Evidence, ends: Option<&BTreeSet<String>>) -> BTreeSet<usize> {
    let all: BTreeSet<usize> = (0..world.places.len()).collect();
    let Some(ends) = ends else { return all };
    let nodes: Vec<usize> = ends
        .iter()
        .filter_map(|unit| evidence.unit_node.get(unit).copied())
        .collect();
    let up = |mut at: usize| {
        let mut line = vec![at];
        while let Some(parent) = world.places[at].parent {
            line.push(parent);
            at = parent;
        }
        line
    };
    let lines: Vec<Vec<usize>> = nodes.iter().map(|node| up(*node)).collect();
    // Below the lowest node that is above all of them.
    let common: Vec<usize> = match lines.split_first() {
        Some((first, rest)) => {
            let shared = first
                .iter()
                .filter(|at| rest.iter().all(|line| line.contains(at)));
            shared.copied().collect()
        }
        None => return BTreeSet::new(),
    };
    let top = common.first().copied().unwrap_or(0);
    let parts = lines
        .iter()
        .flat_map(|line| line.iter().take_while(|at| **at != top).copied());
    let mut holders: BTreeSet<usize> = parts.collect();
    holders.insert(top);
    holders
}

/// The nodes from one to another, both included.
fn path(world: &World, from: usize, to: usize) -> Vec<usize> {
    let up = |mut at: usize| {
        let mut line = vec![at];
        while let Some(parent) = world.places[at].parent {
            line.push(parent);
            at = parent;
        }
        line
    };
    let (a, b) = (up(from), up(to));
    let meet = a.iter().find(|at| b.contains(at)).copied().unwrap_or(0);
    let mut path: Vec<usize> = a.iter().take_while(|at| **at != meet).copied().collect();
    path.push(meet);
    let down: Vec<usize> = b.iter().take_while(|at| **at != meet).copied().collect();
    path.extend(down.into_iter().rev());
    path
}

/// Looks at everything after the nodes came to rest. Answers the disks.
pub async fn judge(world: &mut World) -> Vec<Disk> {
    for place in &mut world.places {
        place.note_incarnations().await;
    }
    let evidence = gather(world).await;
    let mut words = Vec::new();
    records_of_people(world, &evidence, &mut words);
    computed_records(world, &evidence, &mut words);
    nothing_invented(world, &evidence, &mut words);
    files_are_whole(world, &evidence, &mut words);
    // A task may have gone with a disk, and what reports on it then waits for a person. Nothing else may be refused.
    let went_back = world.options.faults.contains(&Fault::Restore);
    let wrong = evidence
        .aside
        .iter()
        .filter(|(_, (code, _))| !went_back || code != "not_assigned");
    for (record, (_, reason)) in wrong {
        let held = held_at(&evidence, *record);
        words.push(format!(
            "I1: {record} (held at {held:?}) was set aside: {reason}"
        ));
    }
    for at in 0..world.places.len() {
        let place = &world.places[at];
        words.extend(rollups::check(&evidence.disks[at], place.unit, at));
    }
    world.set_aside_at_end = evidence.aside.len() as u64;
    let count: usize = evidence.disks.iter().map(HashMap::len).sum();
    let (aside, written) = (evidence.aside.len(), world.ledger.entries().len());
    world.step(format_args!(
        "judged {count} records, {aside} aside, {written} written"
    ));
    words.into_iter().for_each(|words| world.accuse(words));
    evidence.disks
}

/// I1, I3, I11: on every node of its way a record is what the merge of all that was acknowledged makes of it. Where a
/// record was set aside, each edit is applied, replaced, or set aside on the way.
fn records_of_people(world: &World, evidence: &Evidence, words: &mut Vec<String>) {
    for record in world.ledger.records() {
        let mut edits: Vec<&str> = Vec::new();
        for entry in world.ledger.of(record) {
            let survives = !entry.lost
                || evidence
                    .disks
                    .iter()
                    .filter_map(|disk| disk.get(&record))
                    .filter(|held| !held.left)
                    .any(|held| {
                        held.edits.contains(&entry.raw) || held.history.contains(&entry.raw)
                    });
            if survives {
                edits.push(&entry.raw);
            }
        }
        if edits.is_empty() {
            continue;
        }
        let Some(first) = evidence.disks.iter().find_map(|disk| disk.get(&record)) else {
            words.push(format!(
                "I1: record {record} is nowhere, and was acknowledged"
            ));
            continue;
        };
        let present = reference::present(edits.iter().copied());
        let ends = reference::ends(first.kind, &first.facts, &present, &evidence.root);
        let holders = holders(world, evidence, ends.as_ref());
        if evidence.aside.contains_key(&record) {
            for entry in world.ledger.of(record).filter(|entry| !entry.lost) {
                for at in &holders {
                    if !accounted_for(world, evidence, &entry.raw, record, entry.node, *at) {
                        words.push(format!(
                            "I1: an edit of {} {record} of day {} at node {} is neither applied, replaced nor set aside at node {at}",
                            entry.kind, entry.day, entry.node
                        ));
                    }
                }
            }
            continue;
        }
        for at in holders {
            match evidence.disks[at].get(&record) {
                None => words.push(format!(
                    "I1: {} {record} is missing at node {at} of {ends:?}, held at {:?}; edits of (day, node, lost) {:?}",
                    first.kind,
                    held_at(evidence, record),
                    world
                        .ledger
                        .of(record)
                        .map(|e| (e.day, e.node, e.lost))
                        .collect::<Vec<_>>()
                )),
                Some(held) => compare(world, first.kind, record, at, held, &present, words),
            }
        }
    }
}

/// Where a record is, and whether it left the scope there.
fn held_at(evidence: &Evidence, record: Uuid) -> Vec<(usize, bool)> {
    let disks = evidence.disks.iter().enumerate();
    disks
        .filter_map(|(at, disk)| Some((at, disk.get(&record)?.left)))
        .collect()
}

fn compare(
    world: &World,
    kind: &str,
    record: Uuid,
    at: usize,
    held: &Held,
    expected: &[Write],
    words: &mut Vec<String>,
) {
    let found = reference::present(held.edits.iter().map(String::as_str));
    let (have, want) = (reference::dots(&found), reference::dots(expected));
    for (register, opening, counter) in want.difference(&have) {
        let by = world
            .ledger
            .of(record)
            .find(|entry| entry.raw.contains(opening.as_str()))
            .map(|entry| (entry.day, entry.node));
        words.push(format!(
            "I1: {kind} {record} at node {at} lacks a value of {register} (opening {opening} no. {counter}, day and node {by:?})"
        ));
    }
    for (register, opening, counter) in have.difference(&want) {
        words.push(format!(
            "I11: {kind} {record} at node {at} shows a value of {register} that was replaced or never written (opening {opening} no. {counter})"
        ));
    }
    let same = |write: &Write| {
        expected
            .iter()
            .any(|other| other.dot == write.dot && other.value == write.value)
    };
    for write in found
        .iter()
        .filter(|write| want.contains(&(write.register.clone(), write.dot.0.clone(), write.dot.1)))
    {
        if !same(write) {
            words.push(format!("I2: {kind} {record} at node {at}: another value under the name of one that was written"));
        }
    }
}

fn accounted_for(
    world: &World,
    evidence: &Evidence,
    raw: &str,
    record: Uuid,
    origin: usize,
    at: usize,
) -> bool {
    let on_the_way = path(world, origin, at);
    let refused = |node: &usize| evidence.refused[*node].contains(&record);
    // To a disk that went back it would return from anywhere; whoever does not believe that sets it aside.
    let returning = world.went_back.contains(&at) && evidence.aside.contains_key(&record);
    if on_the_way.iter().any(refused) || returning {
        return true;
    }
    let Some(held) = evidence.disks[at].get(&record) else {
        return false;
    };
    let known: Vec<&str> = held
        .edits
        .iter()
        .chain(&held.history)
        .map(String::as_str)
        .collect();
    reference::writes_of(raw)
        .iter()
        .all(|write| reference::accounts_for(known.iter().copied(), write))
}

/// I3 for what nodes compute: all that see it hold the same bytes.
fn computed_records(world: &World, evidence: &Evidence, words: &mut Vec<String>) {
    let people: HashSet<Uuid> = world.ledger.records().into_iter().collect();
    let mut ids: Vec<Uuid> = evidence
        .disks
        .iter()
        .flat_map(|disk| disk.keys().copied())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids
        .into_iter()
        .filter(|id| !evidence.aside.contains_key(id))
    {
        let copies = || {
            evidence
                .disks
                .iter()
                .enumerate()
                .filter_map(|(at, disk)| Some((at, disk.get(&id)?)))
        };
        let Some((_, first)) = copies().next() else {
            continue;
        };
        let all: Vec<&str> = copies()
            .flat_map(|(_, held)| held.edits.iter().map(String::as_str))
            .collect();
        let present = reference::present(all);
        let ends = reference::ends(first.kind, &first.facts, &present, &evidence.root);
        let holders = holders(world, evidence, ends.as_ref());
        let digests: BTreeSet<[u8; 16]> = copies()
            .filter(|(at, held)| holders.contains(at) && !held.left)
            .map(|(_, held)| held.digest)
            .collect();
        if digests.len() > 1 {
            words.push(format!(
                "I3: {} {id} has {} different states among the nodes {holders:?}",
                first.kind,
                digests.len()
            ));
        }
        let missing: Vec<usize> = holders
            .iter()
            .copied()
            .filter(|at| !evidence.disks[*at].contains_key(&id))
            .collect();
        if !people.contains(&id) && !missing.is_empty() {
            words.push(format!(
                "I3: {} {id} is missing at the nodes {missing:?}",
                first.kind
            ));
        }
    }
}

/// I2: whatever is on a disk was written by somebody, under an opening of his own store, and one name means one content.
fn nothing_invented(world: &World, evidence: &Evidence, words: &mut Vec<String>) {
    let mut openings: HashMap<String, usize> = HashMap::new();
    for place in &world.places {
        openings.extend(
            place
                .incarnations
                .iter()
                .map(|opening| (opening.to_string(), place.index)),
        );
    }
    let mut content: HashMap<(Uuid, String, u64), &str> = HashMap::new();
    for (at, disk) in evidence.disks.iter().enumerate() {
        for (id, held) in disk {
            for raw in held.edits.iter().chain(&held.history) {
                let computed = matches!(held.kind, "unit" | "rollup" | "arrival");
                if !computed && !world.ledger.knows(raw) {
                    words.push(format!(
                        "I2: {} {id} at node {at} holds an edit that nobody wrote: {raw}",
                        held.kind
                    ));
                }
                for write in reference::writes_of(raw) {
                    let name = (*id, write.dot.0.clone(), write.dot.1);
                    if content.insert(name, raw).is_some_and(|other| other != raw) {
                        words.push(format!("I2: two edits of {} {id} bear one name", held.kind));
                    }
                    if !openings.contains_key(&write.dot.0) {
                        words.push(format!(
                            "I2: {} {id} has an edit of an opening that no node had",
                            held.kind
                        ));
                    }
                }
            }
        }
    }
}

/// I10: where evidence is reviewed its file is whole.
fn files_are_whole(world: &World, evidence: &Evidence, words: &mut Vec<String>) {
    use sha2::{Digest, Sha256};
    for disk in &evidence.disks {
        for (id, held) in disk.iter().filter(|(_, held)| held.kind == "evidence") {
            let present = reference::present(held.edits.iter().map(String::as_str));
            let file = reference::shown(&present, "file");
            let reviewer = held.facts["reviewer"]
                .as_str()
                .and_then(|unit| evidence.unit_node.get(unit));
            let (Some(name), Some(at)) =
                (file["sha256"].as_str().and_then(blobs::parse_hex), reviewer)
            else {
                continue;
            };
            if !evidence.disks[*at].contains_key(id) || evidence.aside.contains_key(id) {
                continue;
            }
            let bytes = std::fs::read(blobs::path(&world.places[*at].dir(), &name));
            let somewhere = world
                .places
                .iter()
                .any(|place| blobs::path(&place.dir(), &name).exists());
            if !somewhere && !world.went_back.is_empty() {
                // The bytes went with a disk, as an edit may.
                continue;
            }
            let whole = bytes.is_ok_and(|bytes| Sha256::digest(&bytes)[..] == name[..]);
            let text =
                format!("I10: the file of evidence {id} is not whole at its reviewer, node {at}");
            if !whole && !words.contains(&text) {
                words.push(text);
            }
        }
    }
}

/// I9: everything was sent once more, and no record changed.
pub async fn check_nothing_moved(world: &mut World, before: &[Disk]) {
    for (at, was) in before.iter().enumerate() {
        let is = disk(world, at).await;
        let moved = is
            .iter()
            .filter(|(id, held)| was.get(id).is_none_or(|w| w.digest != held.digest))
            .map(|(id, held)| format!("{} {id}", held.kind))
            .collect::<Vec<_>>();
        let gone = was.keys().filter(|id| !is.contains_key(id)).count();
        if moved.len() + gone > 0 {
            world.accuse(format!(
                "I9: sending everything again changed {moved:?} and removed {gone} records at node {at}"
            ));
        }
    }
}
