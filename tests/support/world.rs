//! A ministry, a province and two communes, enrolled and knowing each other's units.

use std::collections::BTreeMap;

use nqsync_core::model::{Facts, UnitId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Place, values};

/// Four nodes on three levels.
pub struct World {
    pub ministry: Place,
    pub province: Place,
    pub commune: Place,
    pub other: Place,
}

impl World {
    pub async fn new() -> World {
        let ministry = Place::ministry("BO").await;
        let unit = ministry.add_unit("66", "province", None).await;
        let province = Place::child(&ministry, "66", unit).await;
        let one = province.add_unit("24001", "commune", None).await;
        let two = province.add_unit("24002", "commune", None).await;
        let commune = Place::child(&province, "24001", one).await;
        let other = Place::child(&province, "24002", two).await;
        let world = World {
            ministry,
            province,
            commune,
            other,
        };
        world.settle().await;
        world
    }

    /// Exchanges until everything that travels has arrived everywhere: two rounds up and down the tree.
    pub async fn settle(&self) {
        for _ in 0..2 {
            self.commune.sync().await;
            self.other.sync().await;
            self.province.sync().await;
        }
        self.commune.sync().await;
        self.other.sync().await;
    }

    /// A task of the province, led by the first commune.
    pub async fn task(&self) -> Uuid {
        self.task_of(&self.province, self.commune.unit(), &[]).await
    }

    /// Tasks like that.
    pub async fn many_tasks(&self, count: usize) -> Vec<Uuid> {
        let (facts, values) = task(&self.province, self.commune.unit(), &[]);
        let issuer = &self.province;
        issuer
            .create_many(count, issuer.unit(), facts, values)
            .await
    }

    /// A task issued where `issuer` stands.
    pub async fn task_of(&self, issuer: &Place, lead: UnitId, coordinating: &[UnitId]) -> Uuid {
        let (facts, values) = task(issuer, lead, coordinating);
        issuer.create(issuer.unit(), facts, values).await
    }

    /// Reports of the first commune, each on a task of its own, held by the province as well.
    pub async fn many_reports(&self, count: usize) -> Vec<Uuid> {
        let mut tasks = Vec::new();
        for _ in 0..count {
            tasks.push(self.task().await);
        }
        self.commune.sync().await;
        let mut reports = Vec::new();
        for task in tasks {
            reports.push(self.report(task, 10).await);
        }
        self.commune.sync().await;
        reports
    }

    /// The facts of the first commune's report on a task of the province.
    pub fn report_facts(&self, task: Uuid) -> Facts {
        report_facts(self.commune.unit(), self.province.unit(), task)
    }

    /// The first commune's report on a task of the province, written there.
    pub async fn report(&self, task: Uuid, percent: u32) -> Uuid {
        let unit = self.commune.unit();
        let values = values([("progress", progress(percent))]);
        self.commune
            .create(unit, self.report_facts(task), values)
            .await
    }
}

fn task(issuer: &Place, lead: UnitId, coordinating: &[UnitId]) -> (Facts, BTreeMap<String, Value>) {
    let facts = Facts::Task {
        issuer: issuer.unit(),
        parent: None,
    };
    let values = values([
        ("title", json!("Số hoá hồ sơ")),
        ("lead", units("lead", &[lead])),
        ("coordinating", units("coordinating", coordinating)),
    ]);
    (facts, values)
}

pub fn report_facts(unit: UnitId, issuer: UnitId, task: Uuid) -> Facts {
    Facts::Report {
        unit,
        issuer,
        task,
        period: "2026-03".into(),
    }
}

pub fn progress(percent: u32) -> Value {
    json!({ "status": "in_progress", "percent": percent.to_string() })
}

pub fn units(text: &str, units: &[UnitId]) -> Value {
    json!({ "text": text, "units": units })
}

/// A unit that does not exist.
pub fn nobody() -> UnitId {
    UnitId(Uuid::from_u128(0xdead))
}
