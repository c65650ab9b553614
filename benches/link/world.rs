//! A parent and a child, set up once and copied for every round.

use std::path::{Path, PathBuf};

use nqsync::node::Node;
use nqsync::node::write::{Acting, create};
use nqsync_core::model::{Facts, UnitId};
use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::data::{Report, TASKS};
use super::nodes::{Service, copy, free_port, nqsync, open, token};
use super::relay::Relay;

/// Records written in one transaction while a world is prepared.
const BATCH: usize = 1_000;
/// Small children of W4.
pub const CROWD: usize = 100;
/// Tasks that the small children report on.
pub const CROWD_TASKS: usize = 4;

/// A parent with one large child and many small ones, at rest.
pub struct World {
    dir: PathBuf,
    /// Records of the large child.
    pub records: usize,
    /// Where the parent listens.
    pub parent_port: u16,
    /// The way between the large child and the parent.
    pub relay: Relay,
    /// The parent's unit.
    pub issuer: UnitId,
    /// The large child's unit.
    pub unit: UnitId,
    /// The small children's units.
    pub crowd: Vec<UnitId>,
    /// Tasks of the large child.
    pub tasks: Vec<Uuid>,
    /// Tasks of the small children.
    pub crowd_tasks: Vec<Uuid>,
}

/// The directories of one round.
pub struct Round {
    pub parent: PathBuf,
    pub child: PathBuf,
    dir: PathBuf,
}

impl Drop for Round {
    fn drop(&mut self) {
        // The whole folder goes at the end in any case.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Which child a round is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The large child with everything to be sent.
    Loaded,
    /// The large child before it wrote anything.
    Empty,
    /// The small children.
    Crowd,
}

impl World {
    /// Sets everything up with the command line, and writes what the children will send.
    pub fn build(runtime: &Runtime, dir: &Path, records: usize) -> World {
        let parent_port = free_port();
        let relay = Relay::to(parent_port);
        relay.set_open(true);
        let parent = dir.join("parent");
        let address = format!("127.0.0.1:{parent_port}");
        nqsync(
            &parent,
            &[
                "init", "--unit", "BO", "--level", "ministry", "--name", "Bộ", "--listen", &address,
            ],
        );
        // Its authority is made when it listens for the first time.
        Service::start(&parent).stop();
        let node = open(&parent);
        let issuer = node.store.shown().unit.expect("a unit");
        let unit = add_unit(&node, issuer, "26000");
        let crowd: Vec<UnitId> = (0..CROWD)
            .map(|i| add_unit(&node, issuer, &format!("27{i:03}")))
            .collect();
        let tasks = add_tasks(&node, issuer, &[unit], TASKS.min(records));
        let crowd_tasks = add_tasks(&node, issuer, &crowd, CROWD_TASKS);
        let tokens: Vec<String> = std::iter::once(token(&node, "26000", unit))
            .chain((0..CROWD).map(|i| token(&node, &format!("27{i:03}"), crowd[i])))
            .collect();
        node.store.close();
        let world = World {
            dir: dir.to_owned(),
            records,
            parent_port,
            relay,
            issuer,
            unit,
            crowd,
            tasks,
            crowd_tasks,
        };
        world.enrol(&parent, &tokens);
        world.write_reports(runtime);
        world
    }

    fn enrol(&self, parent: &Path, tokens: &[String]) {
        let service = Service::start(parent);
        let empty = self.dir.join("empty");
        let url = format!("https://127.0.0.1:{}", self.relay.port);
        nqsync(&empty, &["init", "--unit", "26000", "--level", "commune"]);
        nqsync(
            &empty,
            &["enrol", "--upstream", &url, "--token", &tokens[0]],
        );
        for (index, token) in tokens[1..].iter().enumerate() {
            let dir = self.dir.join("crowd").join(index.to_string());
            nqsync(
                &dir,
                &[
                    "init",
                    "--unit",
                    &format!("27{index:03}"),
                    "--level",
                    "commune",
                ],
            );
            nqsync(
                &dir,
                &["enrol", "--upstream", &self.parent_url(), "--token", token],
            );
        }
        // Last, so that it holds every unit and only its own records are left to be sent.
        let child = Service::start(&empty);
        child.settle();
        child.stop();
        service.stop();
    }

    fn write_reports(&self, runtime: &Runtime) {
        let loaded = self.dir.join("loaded");
        copy(&self.dir.join("empty"), &loaded);
        let node = open(&loaded);
        let written = write_reports(
            &node,
            self.unit,
            self.issuer,
            &self.tasks,
            0..self.records,
            0,
        );
        runtime.block_on(written);
        node.store.close();
    }

    /// Where the parent is, without the relay.
    pub fn parent_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.parent_port)
    }

    /// Fresh copies for one round.
    pub fn round(&self, of: Of) -> Round {
        let dir = self.dir.join("round");
        let child = dir.join("child");
        let source = match of {
            Of::Loaded => "loaded",
            Of::Empty => "empty",
            Of::Crowd => "crowd",
        };
        copy(&self.dir.join("parent"), &dir.join("parent"));
        copy(&self.dir.join(source), &child);
        Round {
            parent: dir.join("parent"),
            child,
            dir,
        }
    }
}

fn acting(node: &Node, unit: UnitId) -> Acting {
    Acting {
        unit,
        person: super::PERSON.to_owned(),
        now_ms: node.clock.now_ms(),
    }
}

fn add_unit(node: &Node, issuer: UnitId, code: &str) -> UnitId {
    let values = [
        ("code", json!(code)),
        ("name", json!(format!("Xã {code}"))),
        ("level", json!("commune")),
        ("parent", json!([{ "unit": issuer }])),
    ];
    let values = values.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let acting = acting(node, issuer);
    let id = node.store.write_blocking(move |tx| {
        let written = create(tx, &acting, Facts::Unit { owner: issuer }, values, None);
        written.map(|written| written.record.key().id)
    });
    UnitId(id.expect("a unit"))
}

fn add_tasks(node: &Node, issuer: UnitId, units: &[UnitId], count: usize) -> Vec<Uuid> {
    let (acting, units) = (acting(node, issuer), units.to_vec());
    let ids = node.store.write_blocking(move |tx| {
        (0..count)
            .map(|number| {
                let values = [
                    (
                        "title",
                        json!(format!("Nhiệm vụ số {number} về chuyển đổi số")),
                    ),
                    (
                        "group",
                        json!({ "code": GROUPS[number % GROUPS.len()], "title": "Nhóm nhiệm vụ" }),
                    ),
                    ("number", json!(number.to_string())),
                    ("lead", json!({ "text": "xã", "units": units })),
                ];
                let values = values.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
                let facts = Facts::Task {
                    issuer,
                    parent: None,
                };
                create(tx, &acting, facts, values, None).map(|written| written.record.key().id)
            })
            .collect()
    });
    let ids: Result<Vec<Uuid>, nqsync::node::Refusal> = ids;
    ids.expect("tasks")
}

const GROUPS: [&str; 8] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII"];

/// Writes reports with these numbers; a later version changes the ones there are.
pub async fn write_reports(
    node: &Node,
    unit: UnitId,
    issuer: UnitId,
    tasks: &[Uuid],
    numbers: impl IntoIterator<Item = usize>,
    version: u64,
) {
    let numbers: Vec<usize> = numbers.into_iter().collect();
    for batch in numbers.chunks(BATCH) {
        let (batch, tasks, acting) = (batch.to_vec(), tasks.to_vec(), acting(node, unit));
        let written = node.store.write(move |tx| {
            for number in batch {
                let report = Report::numbered(number, version, tasks.len());
                create(
                    tx,
                    &acting,
                    report.facts(unit, issuer, &tasks),
                    report.values(),
                    None,
                )?;
            }
            Ok::<(), nqsync::node::Refusal>(())
        });
        written.await.expect("reports");
    }
}
