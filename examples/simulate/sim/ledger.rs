//! What people were told is kept: the ledger that every node is held to.

use std::collections::{BTreeSet, HashMap, HashSet};

use nqsync::store::{StoreError, queries, records};
use nqsync_core::model::Kind;
use rusqlite::Connection;
use uuid::Uuid;

use super::place::Place;

/// One edit of a person, acknowledged.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it was written.
    pub node: usize,
    /// The record.
    pub record: Uuid,
    /// Its kind.
    pub kind: &'static str,
    /// The edit, as written.
    pub raw: String,
    /// When.
    pub day: u32,
    /// An old copy of a disk came back, and nobody else had it: the one loss that is allowed.
    pub lost: bool,
}

/// All acknowledged edits, in order.
#[derive(Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    known: HashSet<String>,
    of_record: HashMap<Uuid, Vec<usize>>,
}

/// Kinds that nodes write by themselves.
pub fn is_computed(kind: Kind) -> bool {
    matches!(kind, Kind::Rollup | Kind::Arrival | Kind::Unit)
}

/// The row number of the youngest record.
pub async fn youngest(place: &Place) -> i64 {
    let read = place.node.store.read(|connection: &Connection| {
        connection
            .query_row("SELECT coalesce(max(rec), 0) FROM record", [], |row| {
                row.get(0)
            })
            .map_err(StoreError::from)
    });
    read.await.expect("a read")
}

impl Ledger {
    /// Enters what a verb wrote: into the records named and those about them, and into those younger than `after`.
    pub async fn enter(&mut self, place: &Place, named: Vec<Uuid>, after: i64, day: u32) -> usize {
        let read = place.node.store.read(move |connection: &Connection| {
            let mut statement =
                connection.prepare_cached("SELECT id FROM record WHERE rec > ?1")?;
            let young = statement.query_map([after], |row| row.get::<_, [u8; 16]>(0))?;
            let young: Vec<[u8; 16]> = young.collect::<Result<_, _>>()?;
            let own = queries::last_incarnation(connection)?;
            let mut ids: BTreeSet<Uuid> = young.into_iter().map(Uuid::from_bytes).collect();
            let mut about = connection.prepare_cached("SELECT id FROM record WHERE about = ?1")?;
            for id in named {
                let rows = about.query_map([id.as_bytes()], |row| row.get::<_, [u8; 16]>(0))?;
                for row in rows {
                    ids.insert(Uuid::from_bytes(row?));
                }
                ids.insert(id);
            }
            let mut found = Vec::new();
            for id in ids {
                let Some(stored) = records::load(connection, id)? else {
                    continue;
                };
                let key = stored.record.key();
                for edit in stored.record.edits() {
                    if Some(edit.incarnation) == own && !is_computed(key.kind) {
                        found.push((id, key.kind.as_str(), edit.raw().to_owned()));
                    }
                }
            }
            Ok::<_, StoreError>(found)
        });
        let mut entered = 0;
        for (record, kind, raw) in read.await.expect("a read") {
            if !self.known.insert(raw.clone()) {
                continue;
            }
            self.of_record
                .entry(record)
                .or_default()
                .push(self.entries.len());
            self.entries.push(Entry {
                node: place.index,
                record,
                kind,
                raw,
                day,
                lost: false,
            });
            entered += 1;
        }
        entered
    }

    /// Everything entered.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The records written by people.
    pub fn records(&self) -> Vec<Uuid> {
        let mut seen = HashSet::new();
        let ids = self.entries.iter().map(|entry| entry.record);
        ids.filter(|id| seen.insert(*id)).collect()
    }

    /// What was entered about one record.
    pub fn of(&self, record: Uuid) -> impl Iterator<Item = &Entry> {
        let places = self
            .of_record
            .get(&record)
            .map(Vec::as_slice)
            .unwrap_or_default();
        places.iter().map(|place| &self.entries[*place])
    }

    /// Whether a person wrote this edit.
    pub fn knows(&self, raw: &str) -> bool {
        self.known.contains(raw)
    }

    /// A disk went back: what was on it, and is nowhere now, is gone, and nobody is to blame.
    pub fn disk_went_back(
        &mut self,
        was_there: &HashSet<String>,
        still_somewhere: &HashSet<String>,
    ) -> u64 {
        let mut lost = 0;
        for entry in &mut self.entries {
            let gone = was_there.contains(&entry.raw) && !still_somewhere.contains(&entry.raw);
            if gone && !entry.lost {
                entry.lost = true;
                lost += 1;
            }
        }
        lost
    }
}

/// All edits on a disk, those in the history included. Of a record that left the scope only the copy counts: that is what
/// its author is shown when he lost it.
pub async fn edits_at(place: &Place) -> HashSet<String> {
    let read = place.node.store.read(|connection: &Connection| {
        let mut found = HashSet::new();
        let mut after = records::Rec(0);
        loop {
            let page = records::page(connection, after, 500)?;
            let Some(last) = page.last() else { break };
            after = last.rec;
            for stored in &page {
                found.extend(
                    stored
                        .record
                        .edits()
                        .iter()
                        .map(|edit| edit.raw().to_owned()),
                );
            }
        }
        let mut statement = connection.prepare_cached(
            "SELECT h.edit FROM history h JOIN record r ON r.rec = h.rec WHERE NOT r.flags & 4",
        )?;
        let history = statement.query_map([], |row| row.get::<_, String>(0))?;
        for edit in history {
            found.insert(edit?);
        }
        Ok::<_, StoreError>(found)
    });
    read.await.expect("a read")
}
