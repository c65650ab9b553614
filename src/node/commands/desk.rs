//! A desk for tests: one node on a real store in a temporary folder, with a small tree of units.
//!
//! The ministry (`MIN`) and province `79` are served here, province `66` and what is below it by another node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use nqsync_core::model::{Facts, Key, Kind, NodeId, UnitId};
use nqsync_core::sync::{Author, Record};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Values, execute};
use crate::api::{Answer, Command, Failure, Lang, Outcome, Request};
use crate::clock::Clock;
use crate::node::{Node, Refusal, Settings};
use crate::store::{Store, StoreError, StoreOptions, Stored, Tx};

/// 15 March 2026, 09:00 in Vietnam.
const START_MS: i64 = 1_773_540_000_000;

pub(super) struct Desk {
    pub(super) node: Node,
    pub(super) dir: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    requests: AtomicU64,
}

impl Desk {
    pub(super) async fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            create: true,
            ..StoreOptions::new(dir.path().join("store"))
        };
        let clock = Arc::new(AtomicI64::new(START_MS));
        let ticking = clock.clone();
        let node = Node {
            store: Store::open(&options).unwrap(),
            clock: Clock::from_fn(move || ticking.load(Ordering::Relaxed)),
            settings: Settings::default(),
        };
        let desk = Desk {
            node,
            dir,
            clock,
            requests: AtomicU64::new(0),
        };
        desk.node
            .store
            .write(|tx| {
                plant(tx);
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        desk
    }

    pub(super) fn advance(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn request(&self, acting_for: Option<&str>, command: Command) -> Request {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        Request {
            request_id: format!("r{number}"),
            lang: Lang::Vi,
            person: "Lan".to_owned(),
            asker: Default::default(),
            acting_for: acting_for.map(str::to_owned),
            command,
        }
    }

    pub(super) async fn ask(&self, acting_for: Option<&str>, command: Command) -> Outcome {
        self.advance(1_000);
        execute(&self.node, self.request(acting_for, command)).await
    }

    /// A verb that must be carried out.
    pub(super) async fn ok(&self, command: Command) -> Answer {
        self.ask(None, command).await.unwrap()
    }

    /// A verb that must be refused.
    pub(super) async fn no(&self, command: Command) -> Failure {
        self.ask(None, command).await.unwrap_err()
    }

    pub(super) async fn no_as(&self, unit: &str, command: Command) -> Failure {
        self.ask(Some(unit), command).await.unwrap_err()
    }

    pub(super) async fn ok_as(&self, unit: &str, command: Command) -> Answer {
        self.ask(Some(unit), command).await.unwrap()
    }

    pub(super) async fn load(&self, id: &Value) -> Stored {
        let id: Uuid = serde_json::from_value(id.clone()).unwrap();
        let found = self.node.store.write(move |tx| tx.load(id)).await.unwrap();
        found.unwrap()
    }

    /// Does something to the store that no verb does.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> T {
        self.node.store.write(job).await.unwrap()
    }

    pub(super) async fn task(&self, lead: &[&str]) -> Value {
        let fields = crate::api::TaskFields {
            group: Some("II".to_owned()),
            number: Some("1.1".to_owned()),
            title: Some("Số hóa hồ sơ".to_owned()),
            lead: Some(lead.iter().map(|l| (*l).to_owned()).collect()),
            deadline: Some("30/06/2026".to_owned()),
            ..Default::default()
        };
        self.ok(Command::TaskAdd { fields }).await.data
    }

    pub(super) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

/// Writes a record as its first author does, past every rule.
pub(super) fn plant_record(tx: &mut Tx<'_>, facts: Facts, id: Uuid, values: Values) {
    let unit = facts.owner().unwrap();
    let key = Key {
        kind: facts.kind(),
        id: facts.natural_id().unwrap_or(id),
    };
    let mut record = Record::begin(facts, key);
    let author = Author {
        incarnation: tx.incarnation(0).unwrap(),
        unit,
        name: "setup",
        seal: None,
    };
    record.write(author, 0, values, None).unwrap();
    tx.save(&record, None, &[], None, 0).unwrap();
}

pub(super) fn unit_id(number: u128) -> UnitId {
    UnitId(Uuid::from_u128(0x1000 + number))
}

fn plant(tx: &mut Tx<'_>) {
    let (here, there) = (NodeId(Uuid::from_u128(1)), NodeId(Uuid::from_u128(2)));
    tx.set_meta("node", &here.to_string()).unwrap();
    tx.set_meta("unit", &unit_id(0).to_string()).unwrap();
    let units = [
        (0, "MIN", "Bộ Nội vụ", "ministry", None, Some(here)),
        (1, "66", "Tỉnh Đắk Lắk", "province", Some(0), Some(there)),
        (2, "79", "Thành phố Hồ Chí Minh", "province", Some(0), None),
        (3, "00123", "Xã Ea Kao", "commune", Some(1), None),
        (4, "27001", "Phường Bến Thành", "commune", Some(2), None),
    ];
    for (number, code, name, level, parent, server) in units {
        let owner = unit_id(parent.unwrap_or(number));
        let mut values = BTreeMap::from([
            ("code".to_owned(), json!(code)),
            ("name".to_owned(), json!(name)),
            ("level".to_owned(), json!(level)),
        ]);
        if let Some(parent) = parent {
            values.insert("parent".to_owned(), json!([{ "unit": unit_id(parent) }]));
        }
        if let Some(server) = server {
            values.insert("served_by".to_owned(), json!(server));
        }
        plant_record(tx, Facts::Unit { owner }, unit_id(number).0, values);
    }
    tx.settle_tree().unwrap();
    assert_eq!(
        tx.load(unit_id(4).0).unwrap().unwrap().record.key().kind,
        Kind::Unit
    );
}
