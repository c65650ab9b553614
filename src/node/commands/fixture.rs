//! A province's node on a real store, with the units above and below it, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use nqsync_core::model::{Facts, NodeId, UnitId};
use nqsync_core::sync::{Author, Incarnation, Record, Token};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::api::{Command, Failure, Lang, Outcome, Request};
use crate::clock::Clock;
use crate::node::{Node, Refusal, Settings, rollups};
use crate::store::{Store, StoreOptions};

/// 15 March 2026, noon in Viet Nam.
pub const NOW: i64 = 1_773_550_800_000;
pub const MINISTRY: u128 = 1;
pub const PROVINCE: u128 = 2;
pub const COMMUNE: u128 = 3;
pub const WARD: u128 = 4;
pub const OFFICE: u128 = 5;
pub const HERE: u128 = 102;

pub fn unit(n: u128) -> UnitId {
    UnitId(Uuid::from_u128(n))
}

pub struct Fixture {
    pub node: Node,
    now: Arc<AtomicI64>,
    count: AtomicI64,
    _dir: TempDir,
}

impl Fixture {
    pub fn new() -> Fixture {
        let dir = TempDir::new().expect("a directory");
        let mut options = StoreOptions::new(dir.path());
        options.create = true;
        let store = Store::open(&options).expect("a store");
        let now = Arc::new(AtomicI64::new(NOW));
        let ticking = now.clone();
        let clock = Clock::from_fn(move || ticking.load(Ordering::SeqCst));
        let node = Node {
            store,
            clock,
            settings: Settings::default(),
        };
        let fixture = Fixture {
            node,
            now,
            count: AtomicI64::new(0),
            _dir: dir,
        };
        fixture
            .node
            .store
            .write_blocking(|tx| {
                tx.set_meta("node", &Uuid::from_u128(HERE).to_string())?;
                tx.set_meta("unit", &unit(PROVINCE).to_string())
            })
            .expect("an identity");
        fixture.unit(MINISTRY, "BNV", "ministry", None, Some(101));
        fixture.unit(PROVINCE, "79", "province", Some(MINISTRY), Some(HERE));
        fixture.unit(COMMUNE, "00123", "commune", Some(PROVINCE), Some(103));
        fixture.unit(WARD, "00456", "commune", Some(PROVINCE), Some(104));
        fixture.unit(OFFICE, "79.VP", "department", Some(PROVINCE), None);
        fixture
    }

    pub fn unit(&self, n: u128, code: &str, level: &str, parent: Option<u128>, node: Option<u128>) {
        let owner = unit(parent.unwrap_or(n));
        let mut values = vec![
            ("code", json!(code)),
            ("name", json!(format!("Unit {code}"))),
            ("level", json!(level)),
            (
                "parent",
                json!([{ "unit": parent.map(|p| unit(p).to_string()) }]),
            ),
        ];
        if let Some(node) = node {
            values.push(("served_by", json!(NodeId(Uuid::from_u128(node)))));
        }
        self.put(owner, Facts::Unit { owner }, Uuid::from_u128(n), &values);
    }

    /// Moves the clock on.
    pub fn wait_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    /// Puts a state into the store as if it had come from the owner's own place.
    pub fn put(&self, owner: UnitId, facts: Facts, id: Uuid, values: &[(&str, Value)]) -> Uuid {
        self.put_seeing(owner, facts, id, values, None, 7)
    }

    /// [`Fixture::put`] by an author who had been shown what `token` says, at place number `place`.
    pub fn put_seeing(
        &self,
        owner: UnitId,
        facts: Facts,
        id: Uuid,
        values: &[(&str, Value)],
        token: Option<Token>,
        place: u8,
    ) -> Uuid {
        let key = facts.key(id);
        let values: BTreeMap<String, Value> = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let now = self.node.clock.now_ms();
        self.node
            .store
            .write_blocking(move |tx| -> Result<(), Refusal> {
                let before = tx.load(key.id)?;
                let mut record = match &before {
                    Some(stored) => stored.record.clone(),
                    None => Record::begin(facts, key),
                };
                let author = Author {
                    incarnation: Incarnation([place; 16]),
                    unit: owner,
                    name: "person",
                    seal: None,
                };
                let replaced = record
                    .write(author, now, values, token.as_ref())
                    .expect("a write");
                tx.save(&record, before.as_ref(), &replaced.dropped, None, now)?;
                rollups::touched(tx, &record, before.as_ref().map(|b| &b.record))?;
                Ok(())
            })
            .expect("saved");
        key.id
    }

    /// A task of an issuer for some leads.
    pub fn task(&self, issuer: u128, number: u128, group: &str, leads: &[u128]) -> Uuid {
        let leads: Vec<UnitId> = leads.iter().map(|n| unit(*n)).collect();
        let id = Uuid::from_u128(0xa000_0000 << 96 | number);
        let values = [
            ("title", json!(format!("Task {number}"))),
            ("number", json!(number.to_string())),
            (
                "group",
                json!({ "code": group, "title": format!("Group {group}") }),
            ),
            ("lead", json!({ "text": "", "units": leads })),
            (
                "deadline",
                json!({ "text": "31/3/2026", "kind": "date", "due": "2026-03-31" }),
            ),
        ];
        self.put(
            unit(issuer),
            Facts::Task {
                issuer: unit(issuer),
                parent: None,
            },
            id,
            &values,
        )
    }

    /// A submitted report.
    pub fn report(&self, task: Uuid, issuer: u128, by: u128, period: &str, status: &str) -> Uuid {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let submission = json!({
            "hash": format!("{count:032x}"),
            "submitted_at": self.node.clock.now_ms(),
            "progress": { "status": status, "percent": "50" },
            "values": {},
            "evidence": [],
        });
        let facts = Facts::Report {
            unit: unit(by),
            issuer: unit(issuer),
            task,
            period: period.to_owned(),
        };
        self.put(unit(by), facts, Uuid::nil(), &[("submission", submission)])
    }

    /// Counts everything that is marked; answers in how many rounds.
    pub fn recompute(&self) -> usize {
        let mut rounds = 0;
        loop {
            let node = self.node.clone();
            let done = self
                .node
                .store
                .write_blocking(move |tx| rollups::recompute(&node, tx))
                .expect("counted");
            if done == 0 {
                return rounds;
            }
            rounds += 1;
            assert!(rounds < 50, "counting does not come to rest");
        }
    }

    /// Asks the node, as the province unless `acting_for` is said.
    pub fn ask_as(&self, acting_for: Option<&str>, command: Command) -> Outcome {
        self.request(&Uuid::new_v4().to_string(), acting_for, command)
    }

    /// The data of an answer to a request with a known id.
    pub fn ask_once(&self, request_id: &str, command: Command) -> Value {
        let answer = self.request(request_id, None, command);
        answer.expect("an answer").data
    }

    fn request(&self, request_id: &str, acting_for: Option<&str>, command: Command) -> Outcome {
        let request = Request {
            request_id: request_id.to_owned(),
            lang: Lang::En,
            person: "An".to_owned(),
            asker: Default::default(),
            acting_for: acting_for.map(str::to_owned),
            command,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(super::execute(&self.node, request))
    }

    pub fn ask(&self, command: Command) -> Outcome {
        self.ask_as(None, command)
    }

    /// The data of an answer that must succeed.
    pub fn data(&self, command: Command) -> Value {
        self.ask(command).expect("an answer").data
    }

    /// The code of a refusal.
    pub fn refused(&self, command: Command) -> String {
        let failure: Failure = self.ask(command).expect_err("a refusal");
        failure.code
    }

    pub fn token_of(&self, id: Uuid) -> Token {
        self.record(id).token()
    }

    pub fn record(&self, id: Uuid) -> Record {
        let load = |c: &rusqlite::Connection| crate::store::records::load(c, id);
        let found = self.node.store.read_blocking(load).expect("read");
        found.expect("a record").record
    }
}
