//! All nodes together: building the tree, exchanging, coming to rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;

use nqsync::api::{Answer, Command, Exit, Failure, Lang, Request};
use nqsync::link::{LinkError, Upstream};
use nqsync::node::commands;
use nqsync::store::links;
use nqsync::store::{LinkId, StoreError, queries};
use nqsync_core::model::UnitId;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

use super::enrolment::enrol;
use super::faults::Fault;
use super::ledger::Ledger;
use super::net::Net;
use super::place::{Level, Place, Sun};
use super::{Options, ledger};

/// A task as the people remember it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub id: Uuid,
    /// The node whose unit gave it.
    pub issuer: usize,
    /// The nodes whose units carry it out.
    pub leads: Vec<usize>,
    /// Withdrawn, or gone with a disk.
    pub over: bool,
}

/// Everything.
pub struct World {
    /// The nodes; the ministry is the first.
    pub places: Vec<Place>,
    /// What is between them.
    pub net: Arc<Net>,
    /// The true time.
    pub sun: Sun,
    /// The day.
    pub day: u32,
    /// What people were told is kept.
    pub ledger: Ledger,
    /// The tasks ever given.
    pub tasks: Vec<Task>,
    /// The proposals ever made, with the node that decides.
    pub proposals: Vec<(String, usize)>,
    /// Forms that were opened a while ago: node and task to token.
    pub forms: BTreeMap<(usize, Uuid), String>,
    /// Faults of machines, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// What must not be.
    pub broken: Vec<String>,
    /// Verbs carried out.
    pub writes: u64,
    /// What only an old copy of a disk took away.
    pub lost_with_disk: u64,
    /// What is asked for.
    pub options: Options,
    requests: u64,
    files: u64,
    marks: HashMap<usize, Marks>,
    trace: Sha256,
    /// Nodes whose disk went back at least once.
    pub went_back: BTreeSet<usize>,
    /// Records set aside when all came to rest.
    pub set_aside_at_end: u64,
    root: TempDir,
}

/// Positions of a link at both ends, and how often the ends found that they remember different pasts.
#[derive(Clone, Debug, Default)]
struct Marks {
    positions: [(u64, u64); 2],
    torn: [u64; 2],
    audited: [i64; 2],
}

/// How a session ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Everything was exchanged: how much, and whether both sides hold the same.
    Done(u64, Option<bool>),
    /// It broke.
    Cut(&'static str),
    /// The child died in it.
    Died,
}

impl World {
    /// Builds and enrols the nodes, and lets them come to know each other.
    pub async fn new(options: &Options) -> World {
        let shm = std::path::Path::new("/dev/shm");
        // Every commit syncs the disk; where memory will do, that costs nothing.
        let root = match shm.is_dir() {
            true => tempfile::tempdir_in(shm),
            false => tempfile::tempdir(),
        };
        let count = options.nodes.max(2);
        let mut world = World {
            places: Vec::new(),
            net: Net::new(options.seed, count, &options.faults),
            sun: Sun::new(),
            day: 0,
            ledger: Ledger::default(),
            tasks: Vec::new(),
            proposals: Vec::new(),
            forms: BTreeMap::new(),
            faults: BTreeMap::new(),
            broken: Vec::new(),
            writes: 0,
            lost_with_disk: 0,
            options: options.clone(),
            requests: 0,
            files: 0,
            marks: HashMap::new(),
            trace: Sha256::new(),
            went_back: BTreeSet::new(),
            set_aside_at_end: 0,
            root: root.expect("a temporary folder"),
        };
        let provinces = ((count - 1) / 4).max(1);
        for index in 0..count {
            let (level, parent) = match index {
                0 => (Level::Ministry, None),
                n if n <= provinces => (Level::Province, Some(0)),
                n => (Level::Commune, Some(1 + (n - provinces - 1) % provinces)),
            };
            world.add(index, level, parent).await;
        }
        world.rest().await;
        for place in &mut world.places {
            place.back_up();
        }
        world
    }

    async fn add(&mut self, index: usize, level: Level, parent: Option<usize>) {
        let code = match level {
            Level::Ministry => "BO".to_owned(),
            Level::Province => format!("{:02}", 10 + index),
            Level::Commune => format!("{:05}", 24_000 + index),
        };
        let home = self.root.path().join(index.to_string());
        let sun = self.sun.clone();
        // Setting a node up blocks, as it does on the command line.
        let made = tokio::task::spawn_blocking(move || {
            Place::new(home, index, &code, level, parent, &sun)
        });
        let mut place = made.await.expect("a new node");
        if let Some(parent) = parent {
            self.enrol(&mut place, parent).await;
        }
        place.wake().await;
        self.net.plug(index, place.port());
        self.places.push(place);
    }

    /// What an operator does with `unit add`, `node token` and `enrol`.
    async fn enrol(&mut self, place: &mut Place, parent: usize) {
        let level = match place.level {
            Level::Ministry => "ministry",
            Level::Province => "province",
            Level::Commune => "commune",
        };
        let added = self
            .ask(
                parent,
                None,
                Command::UnitAdd {
                    code: place.code.clone(),
                    name: format!("Đơn vị {}", place.code),
                    level: Some(level.to_owned()),
                    parent: None,
                    aliases: Vec::new(),
                },
            )
            .await
            .expect("a unit");
        let unit: UnitId = added.data["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("an id");
        let above = &self.places[parent];
        enrol(&self.net, &self.sun, above, place, unit).await;
    }

    /// One line of the trace.
    pub fn step(&mut self, line: impl Display) {
        let line = format!("{} {line}", self.day);
        if self.options.trace {
            println!("{line}");
        }
        self.trace.update(line.as_bytes());
        self.trace.update(b"\n");
    }

    /// The hash of the trace so far.
    pub fn trace(&self) -> String {
        let hash = self.trace.clone().finalize();
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Something that must not be.
    pub fn accuse(&mut self, words: String) {
        let day = self.day;
        self.broken.push(format!("day {day}: {words}"));
    }

    /// Counts a fault of a machine.
    pub fn happened(&mut self, fault: Fault) {
        *self.faults.entry(fault.name()).or_default() += 1;
    }

    /// A verb at a node, as a person gives it. What it wrote goes into the ledger.
    pub async fn ask(
        &mut self,
        at: usize,
        acting_for: Option<String>,
        command: Command,
    ) -> Result<Answer, Failure> {
        self.requests += 1;
        let request = Request {
            request_id: format!("simulated-{}", self.requests),
            lang: Lang::En,
            person: format!("An {at}"),
            asker: Default::default(),
            acting_for,
            command,
        };
        commands::execute(&self.places[at].node, request).await
    }

    /// The same for a verb that writes into the records named, and perhaps into new ones. Answers its data.
    pub async fn write(
        &mut self,
        at: usize,
        acting_for: Option<String>,
        named: &[Uuid],
        command: Command,
    ) -> Result<serde_json::Value, String> {
        let before = ledger::youngest(&self.places[at]).await;
        let answer = self
            .ask(at, acting_for, command)
            .await
            .map_err(|failure| failure.code)?;
        if answer.exit == Exit::PersonNeeded {
            return Err("held".to_owned());
        }
        self.writes += 1;
        let mut named = named.to_vec();
        named.extend(
            answer.data["id"]
                .as_str()
                .and_then(|id| Uuid::parse_str(id).ok()),
        );
        let entered = self
            .ledger
            .enter(&self.places[at], named, before, self.day)
            .await;
        let place = &mut self.places[at];
        place.note_incarnations().await;
        self.step(format_args!("{at} wrote {entered}"));
        Ok(answer.data)
    }

    /// A new file on somebody's machine.
    pub fn file(&mut self) -> String {
        self.files += 1;
        let path = self.root.path().join(format!("scan {}.pdf", self.files));
        std::fs::write(&path, format!("evidence number {}", self.files)).expect("a file");
        path.display().to_string()
    }

    /// Exchanges with the parent once, as the service does.
    pub async fn session(&mut self, child: usize) -> Ended {
        let upstream = self.places[child].upstream.clone().expect("a child");
        let net = self.net.clone();
        let ended = tokio::select! {
            biased;
            exchanged = exchange(&upstream) => match exchanged {
                Ok((moved, agrees)) => Ended::Done(moved, agrees),
                Err(error) => Ended::Cut(code_of(&error)),
            },
            () = net.death() => Ended::Died,
        };
        drop(upstream);
        if matches!(ended, Ended::Died) {
            self.happened(Fault::Crash);
            self.crash(child).await;
        }
        if let Some(parent) = self.net.take_fallen() {
            self.happened(Fault::Crash);
            self.crash(parent).await;
        }
        let said = match &ended {
            Ended::Done(moved, agrees) => format!("{child} exchanged {moved}, agrees {agrees:?}"),
            Ended::Cut(code) => format!("{child} was cut: {code}"),
            Ended::Died => format!("{child} died"),
        };
        self.step(said);
        if matches!(ended, Ended::Cut("refused")) {
            self.choose(child).await;
        }
        self.check_positions(child).await;
        ended
    }

    /// A disk that goes back to a copy of a life that was given up before looks like a second machine, and is held. The
    /// operator above knows that there is only one.
    async fn choose(&mut self, child: usize) {
        let parent = self.places[child].parent.expect("a child");
        let read = self.places[child]
            .node
            .store
            .read(queries::last_incarnation);
        let Some(newest) = read.await.expect("a read") else {
            return;
        };
        let command = Command::NodeAdopt {
            node: self.places[child].id().to_string(),
            incarnation: newest.to_string(),
        };
        let done = self.ask(parent, None, command).await.is_ok();
        self.step(format_args!(
            "{parent} chose the machine of {child}: {done}"
        ));
        // Both begin at new positions.
        self.marks.remove(&child);
    }

    /// Kills a node and starts it again.
    pub async fn crash(&mut self, at: usize) {
        self.places[at].note_incarnations().await;
        let net = self.net.clone();
        self.places[at].crash(&net).await;
    }

    /// Puts an old copy of its disk in the place of a node's disk.
    pub async fn restore(&mut self, at: usize, backup: usize) {
        self.went_back.insert(at);
        self.places[at].note_incarnations().await;
        let was_there = ledger::edits_at(&self.places[at]).await;
        let net = self.net.clone();
        self.places[at].restore(&net, backup).await;
        let mut still = std::collections::HashSet::new();
        for place in &self.places {
            still.extend(ledger::edits_at(place).await);
        }
        self.lost_with_disk += self.ledger.disk_went_back(&was_there, &still);
        let places = &self.places;
        self.marks
            .retain(|child, _| *child != at && places[*child].parent != Some(at));
    }

    /// Keeps a copy of a node's disk as it is. Answers its number.
    pub fn back_up(&mut self, at: usize) -> usize {
        self.places[at].back_up();
        self.places[at].backups.len() - 1
    }

    /// I4: within a pair of disks no position falls, unless both sides have noted why.
    async fn check_positions(&mut self, child: usize) {
        let parent = self.places[child].parent.expect("a child");
        let before = self.marks.get(&child).cloned();
        let known = before.clone().unwrap_or_default();
        let mut now = Marks::default();
        for (end, at, peer) in [(0, child, parent), (1, parent, child)] {
            let peer = self.places[peer].id();
            let since = known.audited[end];
            let read = self.places[at].node.store.read(move |c: &Connection| {
                let link = links::find(c, peer)?.expect("a neighbour");
                let row = links::row(c, link)?;
                let audited: i64 =
                    c.query_row("SELECT coalesce(max(number), 0) FROM audit", [], |row| row.get(0))?;
                let torn: i64 = c.query_row(
                    "SELECT count(*) FROM audit WHERE number > ?1 AND act IN ('link.torn', 'link.differs') AND subject = ?2",
                    rusqlite::params![since, link.0.to_string()],
                    |row| row.get(0),
                )?;
                Ok::<_, StoreError>(((row.up.batch, row.down.batch), torn as u64, audited))
            });
            let (positions, torn, audited) = read.await.expect("a read");
            now.positions[end] = positions;
            now.torn[end] = known.torn[end] + torn;
            now.audited[end] = audited;
        }
        let excused = |end: usize| now.torn[end] > known.torn[end];
        if before.is_some() {
            for end in 0..2 {
                let (was, is) = (known.positions[end], now.positions[end]);
                if (is.0 < was.0 || is.1 < was.1) && !excused(end) {
                    let words = format!(
                        "I4: link of node {child}, end {end}: positions fell from {was:?} to {is:?}"
                    );
                    self.accuse(words);
                }
            }
        }
        let reasons = [Fault::Restore, Fault::Delay];
        let may_tear = reasons
            .iter()
            .any(|fault| self.options.faults.contains(fault));
        if !may_tear && (excused(0) || excused(1)) {
            let words = format!(
                "I4: link of node {child}: torn, although no disk went back and nothing was late"
            );
            self.accuse(words);
        }
        self.marks.insert(child, now);
    }

    /// Counts rollups everywhere.
    pub async fn count(&self) {
        for place in &self.places {
            place.count().await;
        }
    }

    /// Exchanges up and down the tree until nothing moves any more and all agree. Answers whether that came.
    pub async fn rest(&mut self) -> bool {
        let mut up: Vec<usize> = (1..self.places.len()).collect();
        up.sort_by_key(|index| std::cmp::Reverse(*index));
        for round in 0..MAX_ROUNDS {
            let mut quiet = true;
            for child in up.iter().chain(up.iter().rev()) {
                self.count().await;
                match self.session(*child).await {
                    Ended::Done(0, Some(true)) => {}
                    _ => quiet = false,
                }
            }
            if self.release().await > 0 {
                quiet = false;
            }
            if quiet {
                self.step(format_args!("at rest after {round} rounds"));
                return true;
            }
        }
        for child in up {
            let differences = self.differences(child).await;
            let few: Vec<String> = differences.iter().take(3).cloned().collect();
            if !few.is_empty() {
                let count = differences.len();
                self.accuse(format!(
                    "I3: node {child} and its parent differ in {count} records: {}",
                    few.join(" | ")
                ));
            }
        }
        false
    }

    /// A person at every node lets pass what the brake holds. Answers how much.
    pub async fn release(&mut self) -> usize {
        let mut released = 0;
        for at in 0..self.places.len() {
            if self.places[at].away_until > self.day {
                continue;
            }
            let list = self.ask(at, None, Command::HoldList).await.expect("a list");
            let holds = list.data["items"].as_array().cloned().unwrap_or_default();
            for hold in holds.iter().filter(|hold| hold["state"] == "open") {
                let hold = hold["hold"].as_u64().expect("a number");
                let before = ledger::youngest(&self.places[at]).await;
                let done = self
                    .ask(at, None, Command::HoldRelease { hold, reason: None })
                    .await;
                released += usize::from(done.is_ok());
                self.ledger
                    .enter(&self.places[at], Vec::new(), before, self.day)
                    .await;
            }
        }
        if released > 0 {
            self.step(format_args!("released {released} holds"));
        }
        released
    }

    /// Everything goes over every link once more, both ways.
    pub async fn send_everything_again(&mut self) {
        for place in &self.places {
            let forgotten = place.node.store.write(|tx| {
                let all: Vec<LinkId> = tx.links().iter().map(|state| state.link).collect();
                for link in all {
                    links::forget(tx.connection(), link)?;
                    tx.wake(link);
                }
                Ok::<_, StoreError>(())
            });
            forgotten.await.expect("forgotten");
        }
    }
}

/// Rounds in which everything must come to rest: a record climbs and descends the tree in one, and what a person lets pass
/// or a rollup counts anew needs another.
const MAX_ROUNDS: usize = 12;

/// Everything once: up, down, files, comparison; opened again when the parent asks for that.
pub(super) async fn exchange(upstream: &Upstream) -> Result<(u64, Option<bool>), LinkError> {
    let before = upstream.progress().borrow().clone();
    let mut agrees = once(upstream).await;
    if let Err(LinkError::Reopen(_)) = agrees {
        agrees = once(upstream).await;
    }
    let agrees = agrees?;
    let now = upstream.progress().borrow().since(&before);
    let moved = now.sent
        + now.received
        + now.set_aside_here
        + now.set_aside_there
        + now.files_up
        + now.files_down;
    Ok((moved, agrees))
}

async fn once(upstream: &Upstream) -> Result<Option<bool>, LinkError> {
    upstream.open().await?;
    upstream.push().await?;
    upstream.drain().await?;
    upstream.push().await?;
    upstream.files().await?;
    upstream.compare().await
}

fn code_of(error: &LinkError) -> &'static str {
    match error {
        LinkError::Unreachable { .. } => "unreachable",
        LinkError::Busy { .. } => "busy",
        LinkError::Refused { .. } => "refused",
        LinkError::Reopen(_) => "reopen",
        LinkError::Impostor { .. } => "impostor",
        LinkError::Unreadable(_) => "unreadable",
        LinkError::BadFile(_) => "bad file",
        LinkError::Store(_) => "store",
        LinkError::Keys(_) => "keys",
        LinkError::Backup(_) => "backup",
    }
}
