//! The writing transaction: what a job on the writer thread may do, and what it leaves to be sent.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use nqsync_core::model::{Classification, Kind, NodeId, Tree, UnitId};
use nqsync_core::sync::brake::{self, Change, Loss};
use nqsync_core::sync::scope::{self, Ends, LinkScope};
use nqsync_core::sync::{Author, Digest, Edit, Incarnation, Record, SealKey};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::engine::panic_text;
use super::links::{self, LinkId, Role};
use super::records::{self, Flags, Rec, Stored};
use super::{LEVEL_KEY, StoreError, branches, changes, closings, groups, nodes, queries, warnings};
use crate::chance::Chance;

/// Fact of the store: the key of this node's seals.
const SEAL_KEY: &str = "seal_key";

/// What the writer keeps in memory and shows to everybody: the tree, the neighbours, who this node is.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The unit tree.
    pub tree: Arc<Tree>,
    /// The neighbours.
    pub links: Arc<Vec<LinkState>>,
    /// The downstream nodes that may connect, by the pin of their key.
    pub children: Arc<HashMap<[u8; 32], NodeId>>,
    /// The children whose copies wait for a person: nothing is exchanged with them.
    pub held: Arc<HashSet<LinkId>>,
    /// This node, once it is set up.
    pub node: Option<NodeId>,
    /// The unit this node was set up for.
    pub unit: Option<UnitId>,
    /// The level of secrecy of everything in the store.
    pub level: Classification,
}

/// One neighbour as the writer needs it for every record.
#[derive(Clone, Debug)]
pub struct LinkState {
    /// Its row.
    pub link: LinkId,
    /// The node at the other end.
    pub peer: NodeId,
    /// Upstream or downstream.
    pub role: Role,
    /// What may pass.
    pub scope: Arc<LinkScope>,
}

impl LinkState {
    /// Whether a unit is served on the peer's side of this link.
    pub fn is_beyond(&self, unit: UnitId) -> bool {
        self.scope.is_below(unit) == (self.role == Role::Downstream)
    }
}

/// What the writer keeps in memory between transactions; always a function of the database.
pub struct WriterState {
    incarnation: Option<Incarnation>,
    node: Option<NodeId>,
    unit: Option<UnitId>,
    level: Classification,
    pub(super) chance: Chance,
    tree: Arc<Tree>,
    links: Arc<Vec<LinkState>>,
    /// For every unit the places in `links` of those with the unit below: a hub has thousands of links, a record
    /// passes a few.
    routes: Arc<HashMap<UnitId, Vec<usize>>>,
    children: Arc<HashMap<[u8; 32], NodeId>>,
    held: Arc<HashSet<LinkId>>,
}

/// What a commit changed, for those who wait.
pub(super) struct Committed {
    pub(super) links: BTreeSet<LinkId>,
}

/// A transaction on the writer thread.
pub struct Tx<'a> {
    connection: &'a Connection,
    state: &'a mut WriterState,
    news: BTreeSet<LinkId>,
    tree_changed: bool,
    assignments: RefCell<HashMap<Uuid, Option<Rc<Assignment>>>>,
    /// Rollup groups marked by the job under way. A batch touches the same few again and again.
    marked: RefCell<HashSet<(UnitId, String, String)>>,
    /// What the job under way took away or overwrote.
    lost: Vec<Lost>,
}

/// A record that lost something in this transaction, for the brake.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The record.
    pub record: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// How.
    pub loss: Loss,
    /// What its registers showed before and show now.
    pub changes: BTreeMap<String, Change>,
}

/// A task as the judgement of its reports needs it. A batch brings thousands of reports on few tasks.
#[derive(Debug)]
pub struct Assignment {
    /// The task's row.
    pub rec: Rec,
    /// Who gave it.
    pub issuer: UnitId,
    /// The group it is counted in.
    pub group: String,
    /// Who is assigned now.
    pub units: Vec<UnitId>,
}

impl WriterState {
    pub(super) fn shown(&self) -> Shown {
        Shown {
            tree: self.tree.clone(),
            links: self.links.clone(),
            children: self.children.clone(),
            held: self.held.clone(),
            node: self.node,
            unit: self.unit,
            level: self.level,
        }
    }

    pub(super) fn load(connection: &Connection, chance: Chance) -> Result<WriterState, StoreError> {
        let tree = Arc::new(queries::load_tree(connection)?);
        let node = queries::meta(connection, "node")?.and_then(|text| text.parse().ok());
        let unit = queries::meta(connection, "unit")?.and_then(|text| text.parse().ok());
        let level = queries::level(connection)?;
        let links = Arc::new(link_states(connection, &tree, node)?);
        let children = nodes::all(connection)?
            .into_iter()
            .filter(|row| row.revoked_at.is_none());
        let keys = children.flat_map(|row| {
            let next = row.next_pin.map(|pin| (pin, row.node));
            std::iter::once((row.pin, row.node)).chain(next)
        });
        let children = Arc::new(keys.collect());
        Ok(WriterState {
            incarnation: None,
            node,
            unit,
            level,
            chance,
            tree,
            routes: Arc::new(routes(&links)),
            links,
            children,
            held: Arc::new(branches::held(connection)?),
        })
    }
}

/// Whether a record goes up only because it was written here before its unit got another server.
fn is_late(link: &LinkState, record: &Record, ends: &Ends) -> bool {
    let owner = record.facts().owner();
    link.role == Role::Upstream
        && owner.is_some_and(|owner| link.scope.was_below(owner))
        && link.scope.admits_late(ends)
}

/// The day of an instant. Weeks decide whether a period is settled, so the zone does not matter.
pub fn day_of(now_ms: i64) -> Date {
    let instant = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.to_zoned(TimeZone::UTC).date()
}

fn routes(links: &[LinkState]) -> HashMap<UnitId, Vec<usize>> {
    let mut routes: HashMap<UnitId, Vec<usize>> = HashMap::new();
    for (place, link) in links.iter().enumerate() {
        for unit in link.scope.units_below() {
            routes.entry(unit).or_default().push(place);
        }
    }
    routes
}

fn link_states(
    connection: &Connection,
    tree: &Tree,
    node: Option<NodeId>,
) -> Result<Vec<LinkState>, StoreError> {
    let mut states = Vec::new();
    for (link, peer, role) in links::all(connection)? {
        let child = match role {
            Role::Downstream => Some(peer),
            Role::Upstream => node,
        };
        let scope = child
            .map(|child| LinkScope::of_child(tree, child))
            .unwrap_or_default();
        states.push(LinkState {
            link,
            peer,
            role,
            scope: Arc::new(scope),
        });
    }
    Ok(states)
}

impl<'a> Tx<'a> {
    pub(super) fn new(connection: &'a Connection, state: &'a mut WriterState) -> Tx<'a> {
        Tx {
            connection,
            state,
            news: BTreeSet::new(),
            tree_changed: false,
            assignments: RefCell::default(),
            marked: RefCell::default(),
            lost: Vec::new(),
        }
    }

    /// Runs a job so that its failure, or its panic, undoes its own changes and nothing else.
    pub(super) fn savepoint<T, E>(
        &mut self,
        job: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError>
    where
        E: From<StoreError>,
    {
        // The job before may have counted what it found marked.
        self.marked.get_mut().clear();
        self.lost.clear();
        self.connection.execute_batch("SAVEPOINT job")?;
        let incarnation = self.state.incarnation;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let value = job(self)?;
            self.settle_tree()?;
            Ok::<T, E>(value)
        }))
        .unwrap_or_else(|panic| Err(E::from(StoreError::Panicked(panic_text(panic.as_ref())))));
        if result.is_ok() {
            self.connection.execute_batch("RELEASE job")?;
        } else {
            self.connection
                .execute_batch("ROLLBACK TO job; RELEASE job")?;
            self.state.incarnation = incarnation;
            self.assignments.get_mut().clear();
            self.reload()?;
        }
        Ok(result)
    }

    pub(super) fn finish(self) -> Committed {
        Committed { links: self.news }
    }

    /// The connection, for the queries of this module tree.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// The unit tree as this transaction sees it.
    pub fn tree(&self) -> Arc<Tree> {
        self.state.tree.clone()
    }

    /// The neighbours.
    pub fn links(&self) -> Arc<Vec<LinkState>> {
        self.state.links.clone()
    }

    /// One neighbour.
    pub fn link(&self, link: LinkId) -> Result<LinkState, StoreError> {
        let found = self
            .state
            .links
            .iter()
            .find(|state| state.link == link)
            .cloned();
        found.ok_or_else(|| StoreError::Damaged(format!("link {} is gone", link.0)))
    }

    /// This node.
    pub fn node(&self) -> Result<NodeId, StoreError> {
        self.state
            .node
            .ok_or_else(|| StoreError::NotInitialised("this directory".to_owned()))
    }

    /// The unit this node was set up for; [`StoreError::NotEnrolled`] until it knows it.
    pub fn unit(&self) -> Result<UnitId, StoreError> {
        self.state.unit.ok_or(StoreError::NotEnrolled)
    }

    /// The level of secrecy of everything in the store.
    pub fn level(&self) -> Classification {
        self.state.level
    }

    /// Where ids come from.
    pub fn chance(&self) -> &Chance {
        &self.state.chance
    }

    /// Whether this node itself (not one below it) serves the unit.
    pub fn serves(&self, unit: UnitId) -> bool {
        self.state.node.is_some() && self.state.tree.server_of(unit) == self.state.node
    }

    /// The incarnation of this opening; drawn at its first write, naming its predecessor.
    pub fn incarnation(&mut self, now_ms: i64) -> Result<Incarnation, StoreError> {
        match self.state.incarnation {
            Some(incarnation) => Ok(incarnation),
            None => self.draw_incarnation(now_ms),
        }
    }

    /// Whoever writes for a unit at this node, under the incarnation of this opening. Where others are below, what is
    /// written carries a seal: they may have to bring it back one day.
    pub fn author<'n>(
        &mut self,
        unit: UnitId,
        name: &'n str,
        now_ms: i64,
    ) -> Result<Author<'n>, StoreError> {
        let parent = self
            .state
            .links
            .iter()
            .any(|link| link.role == Role::Downstream);
        let seal = match parent {
            true => Some(self.draw_seal()?),
            false => None,
        };
        Ok(Author {
            incarnation: self.incarnation(now_ms)?,
            unit,
            name,
            seal,
        })
    }

    /// The key of this node's seals, if it ever made one.
    pub fn seal(&self) -> Result<Option<SealKey>, StoreError> {
        let stored = self.meta(SEAL_KEY)?;
        Ok(stored.as_deref().and_then(SealKey::from_text))
    }

    /// The key of this node's seals. It is drawn once, as early as possible: a backup without it brings back a node
    /// that does not know its own hand.
    pub fn draw_seal(&mut self) -> Result<SealKey, StoreError> {
        if let Some(seal) = self.seal()? {
            return Ok(seal);
        }
        let seal = SealKey::new(rand::random());
        self.set_meta(SEAL_KEY, &seal.to_text())?;
        Ok(seal)
    }

    /// Begins a new incarnation, whatever this opening has written before.
    pub fn draw_incarnation(&mut self, now_ms: i64) -> Result<Incarnation, StoreError> {
        let fresh = Incarnation(*self.state.chance.id().as_bytes());
        let predecessor = queries::last_incarnation(self.connection)?.map(|i| i.0.to_vec());
        self.connection
            .prepare_cached(
                "INSERT INTO incarnation (incarnation, predecessor, drawn_at) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![fresh.0, predecessor, now_ms])?;
        self.state.incarnation = Some(fresh);
        Ok(fresh)
    }

    /// Loads a record.
    pub fn load(&self, id: uuid::Uuid) -> Result<Option<Stored>, StoreError> {
        records::load(self.connection, id)
    }

    /// A task as the judgement of its reports needs it; remembered within the transaction.
    pub fn assignment(&self, task: Uuid) -> Result<Option<Rc<Assignment>>, StoreError> {
        if let Some(known) = self.assignments.borrow().get(&task) {
            return Ok(known.clone());
        }
        let loaded = self
            .load(task)?
            .filter(|stored| stored.record.key().kind == Kind::Task);
        let found = loaded.and_then(|stored| {
            let group = stored.record.shown("group").unwrap_or_default();
            Some(Rc::new(Assignment {
                rec: stored.rec,
                issuer: stored.record.facts().owner()?,
                group: group["code"].as_str().unwrap_or_default().to_owned(),
                units: scope::assigned(&stored.record),
            }))
        });
        self.assignments.borrow_mut().insert(task, found.clone());
        Ok(found)
    }

    /// Marks a rollup group as touched, once per job.
    pub fn mark_dirty(&self, issuer: UnitId, group: &str, period: &str) -> Result<(), StoreError> {
        let mark = (issuer, group.to_owned(), period.to_owned());
        if self.marked.borrow_mut().insert(mark) {
            queries::mark_dirty(self.connection, issuer, group, period)?;
        }
        Ok(())
    }

    /// Saves a record's new state, its history, and what it leaves to be sent. `from` is the link it came by with the
    /// digest of the state the peer sent.
    pub fn save(
        &mut self,
        record: &Record,
        before: Option<&Stored>,
        dropped: &[Edit],
        from: Option<(LinkId, Digest)>,
        now_ms: i64,
    ) -> Result<Rec, StoreError> {
        let digest = record.digest();
        let mut flags = Flags::of(record);
        let rec = match before {
            None => {
                self.note_late(record, None, now_ms)?;
                let rec = records::insert(self.connection, record, digest, flags)?;
                changes::note(self.connection, rec, None, record, now_ms)?;
                rec
            }
            Some(stored) => {
                flags.keep_local(stored.flags);
                if stored.flags.has(Flags::LEFT) && record.key().kind == Kind::Task {
                    // It is back.
                    warnings::mark(self.connection, record.key().id)?;
                }
                if stored.digest != digest || stored.flags != flags {
                    // A new digest over what a disk or a hand has changed would make that ours, and it would travel.
                    records::as_written(stored)?;
                    self.note_loss(&stored.record, record, now_ms);
                    self.note_late(record, Some(&stored.record), now_ms)?;
                    records::update(self.connection, stored.rec, record, digest, flags)?;
                    records::keep_history(self.connection, stored.rec, dropped, now_ms)?;
                    let before = Some(&stored.record);
                    changes::note(self.connection, stored.rec, before, record, now_ms)?;
                }
                stored.rec
            }
        };
        self.offer(rec, record, digest, before.is_none(), from)?;
        match record.key().kind {
            Kind::Unit => self.tree_changed = true,
            Kind::Task => {
                self.assignments.get_mut().remove(&record.key().id);
                groups::note(self.connection, record)?;
            }
            _ => {}
        }
        Ok(rec)
    }

    fn note_late(
        &self,
        record: &Record,
        before: Option<&Record>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let whose = (self.state.tree.as_ref(), self.state.node);
        closings::note(self.connection, whose, record, before, now_ms)
    }

    fn note_loss(&mut self, before: &Record, after: &Record, now_ms: i64) {
        if let Some(loss) = brake::loss(before, after, day_of(now_ms)) {
            self.lost.push(Lost {
                record: after.key().id,
                kind: after.key().kind,
                loss,
                changes: brake::changes(before, after),
            });
        }
    }

    /// What this job took away or overwrote so far; asked for once.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.lost)
    }

    /// Brings the link rows of one record up to date.
    fn offer(
        &mut self,
        rec: Rec,
        record: &Record,
        digest: Digest,
        is_new: bool,
        from: Option<(LinkId, Digest)>,
    ) -> Result<(), StoreError> {
        let links = self.state.links.clone();
        if links.is_empty() {
            return Ok(());
        }
        let ends = scope::ends(record, &self.state.tree);
        let lane = record.key().kind.lane();
        for place in self.places(record.key().kind, &ends, is_new) {
            let link = &links[place];
            let theirs = from
                .filter(|(source, _)| *source == link.link)
                .map(|(_, digest)| digest);
            let admitted = link.scope.admits(&ends);
            let pending = links::note_state(
                self.connection,
                link.link,
                rec,
                digest,
                theirs,
                (admitted, is_late(link, record, &ends)),
                lane,
                is_new,
            )?;
            if pending {
                self.news.insert(link.link);
            }
        }
        Ok(())
    }

    /// The places of the links that a record may pass, or whose peer has to hear that it no longer does. A link that
    /// admits a record has one of its ends below; where no edit moves the ends, no other link ever knew of it.
    fn places(&self, kind: Kind, ends: &Ends, is_new: bool) -> Vec<usize> {
        #[cfg(feature = "faults")]
        if crate::faults::thrown(crate::faults::Canary::SendEverything) {
            return (0..self.state.links.len()).collect();
        }
        match ends {
            Ends::Units(units) if is_new || scope::ends_are_fixed(kind) => {
                let routes = &self.state.routes;
                let mut places: Vec<usize> = units
                    .iter()
                    .flat_map(|unit| routes.get(unit).map(Vec::as_slice).unwrap_or_default())
                    .copied()
                    .collect();
                places.sort_unstable();
                places.dedup();
                places
            }
            _ => (0..self.state.links.len()).collect(),
        }
    }

    /// Whether anything is set aside, here or at a peer; nearly always not, and then thousands of look-ups are saved.
    pub fn anything_set_aside(&self) -> Result<bool, StoreError> {
        let any = "SELECT EXISTS (SELECT 1 FROM quarantine)";
        Ok(self
            .connection
            .prepare_cached(any)?
            .query_row([], |row| row.get(0))?)
    }

    /// Tells those who wait on a link that there is something for it.
    pub fn wake(&mut self, link: LinkId) {
        self.news.insert(link);
    }

    /// Loads tree, links and identity anew from the database.
    pub fn reload(&mut self) -> Result<(), StoreError> {
        let incarnation = self.state.incarnation;
        *self.state = WriterState::load(self.connection, self.state.chance.clone())?;
        self.state.incarnation = incarnation;
        self.tree_changed = false;
        Ok(())
    }

    /// After units or neighbours changed: the tree anew, and for every link whose units changed, what now passes it.
    pub fn settle_tree(&mut self) -> Result<(), StoreError> {
        if !self.tree_changed {
            return Ok(());
        }
        let before = self.state.links.clone();
        let root_before = self.state.tree.root();
        self.reload()?;
        let root_moved = root_before != self.state.tree.root();
        for link in self.state.links.clone().iter() {
            let old = before.iter().find(|state| state.link == link.link);
            if root_moved || old.is_none_or(|state| *state.scope != *link.scope) {
                self.rescope(link)?;
            }
        }
        Ok(())
    }

    /// Marks that units or neighbours changed in this transaction.
    pub fn tree_has_changed(&mut self) {
        self.tree_changed = true;
    }

    /// Walks every record once for one link: what entered its scope becomes pending, what left it is announced.
    fn rescope(&mut self, link: &LinkState) -> Result<(), StoreError> {
        let mut after = Rec(0);
        loop {
            let page = records::page(self.connection, after, 500)?;
            let Some(last) = page.last() else { break };
            after = last.rec;
            for stored in page.iter().filter(|stored| !stored.flags.has(Flags::LEFT)) {
                let ends = scope::ends(&stored.record, &self.state.tree);
                let admitted = link.scope.admits(&ends);
                let lane = stored.record.key().kind.lane();
                links::note_state(
                    self.connection,
                    link.link,
                    stored.rec,
                    stored.digest,
                    None,
                    (admitted, is_late(link, &stored.record, &ends)),
                    lane,
                    false,
                )?;
            }
        }
        self.news.insert(link.link);
        Ok(())
    }

    /// Reads one fact about the store.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        queries::meta(self.connection, key)
    }

    /// Writes one fact about the store.
    pub fn set_meta(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
            .execute(params![key, value])?;
        if key == LEVEL_KEY {
            self.state.level = value.parse().map_err(StoreError::Damaged)?;
        }
        if matches!(key, "node" | "unit") {
            self.tree_changed = true;
        }
        Ok(())
    }

    /// The answer given to a request id before, if any.
    pub fn earlier_answer(&self, request: &str) -> Result<Option<String>, StoreError> {
        queries::earlier_answer(self.connection, request)
    }

    /// Keeps the answer to a request id; answers older than `KEEP_MS` go.
    pub fn keep_answer(
        &mut self,
        request: &str,
        answer: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        const KEEP_MS: i64 = 7 * 24 * 3600 * 1000;
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO request (id, at, answer) VALUES (?1, ?2, ?3)")?
            .execute(params![request, now_ms, answer])?;
        self.connection
            .prepare_cached("DELETE FROM request WHERE at < ?1")?
            .execute([now_ms - KEEP_MS])?;
        Ok(())
    }
}
