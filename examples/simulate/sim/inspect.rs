//! Looking into the nodes: what the links know, what waits, what was set aside. Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};

use nqsync::store::links::{self, Role};
use nqsync::store::{LinkId, LinkRow, StoreError, quarantine};
use rusqlite::Connection;
use uuid::Uuid;

use super::world::World;

impl World {
    /// How many batches went up and down a link, as the child knows and as the parent knows.
    pub async fn positions(&self, child: usize) -> [(u64, u64); 2] {
        let parent = self.places[child].parent.expect("a child");
        let mut positions = [(0, 0); 2];
        for (end, at, peer) in [(0, child, parent), (1, parent, child)] {
            let row = self.link(at, peer).await;
            positions[end] = (row.up.batch, row.down.batch);
        }
        positions
    }

    /// How far a node measured another one's clock to be ahead.
    pub async fn clock_ahead_ms(&self, at: usize, peer: usize) -> i64 {
        self.link(at, peer).await.clock_ahead_ms.unwrap_or(0)
    }

    async fn link(&self, at: usize, peer: usize) -> LinkRow {
        let peer = self.places[peer].id();
        let read = self.places[at].node.store.read(move |c: &Connection| {
            let link = links::find(c, peer)?.expect("a neighbour");
            links::row(c, link)
        });
        read.await.expect("a read")
    }

    /// How much waits at a child for its parent.
    pub async fn due(&self, child: usize) -> u64 {
        let parent = self.places[child].parent.expect("a child");
        let link = self.link(child, parent).await.link;
        let read = self.places[child]
            .node
            .store
            .read(move |c: &Connection| links::due_count(c, link));
        read.await.expect("a read")
    }

    /// How many entries the audit of a node has.
    pub async fn audited(&self, at: usize) -> i64 {
        let read = self.places[at].node.store.read(|c: &Connection| {
            c.query_row("SELECT count(*) FROM audit", [], |row| row.get(0))
                .map_err(StoreError::from)
        });
        read.await.expect("a read")
    }

    /// What a child and its parent compare, where it is not the same: record, and what each holds of it.
    pub async fn differences(&self, child: usize) -> Vec<String> {
        let parent = self.places[child].parent.expect("a child");
        let mut ends = Vec::new();
        for (at, peer) in [(child, parent), (parent, child)] {
            let peer = self.places[peer].id();
            let read = self.places[at].node.store.read(move |c: &Connection| {
                let link = links::find(c, peer)?.expect("a neighbour");
                // All that is known on the link, in the order of what matters for the comparison.
                let mut statement = c.prepare(
                    "SELECT r.id, r.kind, r.digest, r.flags, lr.scope, lr.refused, lr.pending,
                        (SELECT q.code FROM quarantine q
                         WHERE q.link = lr.link AND q.direction = 'in' AND q.record = r.id)
                     FROM link_record lr JOIN record r ON r.rec = lr.rec WHERE lr.link = ?1",
                )?;
                let rows = statement.query_map([link.0], |row| {
                    let (id, digest): ([u8; 16], [u8; 16]) = (row.get(0)?, row.get(2)?);
                    let (scope, refused): (i64, i64) = (row.get(4)?, row.get(5)?);
                    let code: Option<String> = row.get(7)?;
                    let compared = scope == 1 && refused == 0 && code.is_none();
                    let said = format!(
                        "kind {} flags {} scope {scope} refused {refused} pending {} aside {code:?} digest {:02x}{:02x}",
                        row.get::<_, i64>(1)?,
                        row.get::<_, i64>(3)?,
                        row.get::<_, i64>(6)?,
                        digest[0],
                        digest[1]
                    );
                    Ok((Uuid::from_bytes(id), (compared.then_some(digest), said)))
                })?;
                rows.collect::<Result<BTreeMap<_, _>, _>>().map_err(StoreError::from)
            });
            ends.push(read.await.expect("a read"));
        }
        let (above, below) = (
            ends.pop().unwrap_or_default(),
            ends.pop().unwrap_or_default(),
        );
        let ids: BTreeSet<&Uuid> = above.keys().chain(below.keys()).collect();
        let compared = |end: &BTreeMap<Uuid, (Option<[u8; 16]>, String)>, id: &Uuid| {
            end.get(id).and_then(|(digest, _)| *digest)
        };
        let said = |end: &BTreeMap<Uuid, (Option<[u8; 16]>, String)>, id: &Uuid| {
            end.get(id)
                .map_or("unknown".to_owned(), |(_, said)| said.clone())
        };
        let differing = ids
            .into_iter()
            .filter(|id| compared(&above, id) != compared(&below, id));
        differing
            .map(|id| {
                format!(
                    "{id}: node {child} {}; node {parent} {}",
                    said(&below, id),
                    said(&above, id)
                )
            })
            .collect()
    }

    /// Everything set aside at a node.
    pub async fn set_aside(&self, at: usize) -> Vec<quarantine::Item> {
        self.places[at]
            .node
            .store
            .read(quarantine::all)
            .await
            .expect("a read")
    }

    /// The node at the other end of a link.
    pub fn neighbour(&self, at: usize, link: LinkId) -> Option<usize> {
        let shown = self.places[at].node.store.shown();
        let state = shown.links.iter().find(|state| state.link == link)?;
        match state.role {
            Role::Upstream => self.places[at].parent,
            Role::Downstream => {
                let peer = state.peer;
                let found = self.places.iter().find(|place| place.id() == peer)?;
                Some(found.index)
            }
        }
    }
}
