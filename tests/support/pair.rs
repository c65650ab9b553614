//! Two real machines: a ministry, and a commune that has enrolled there, with a task, in agreement.

use serde_json::Value;

use super::machine::{Machine, SOON, Service, until};

pub struct Pair {
    pub ministry: Machine,
    pub above: Option<Service>,
    pub commune: Machine,
    pub below: Option<Service>,
    /// Id of the task.
    pub task: String,
}

impl Pair {
    pub fn new() -> Pair {
        let ministry = Machine::ministry("BO");
        let above = ministry.serve();
        let commune = Machine::child(&ministry, "24001", "commune");
        let line = [
            "task", "add", "--title", "Việc", "--lead", "24001", "--json",
        ];
        let task = ministry.run(&line).expect(0).json()["id"].clone();
        let mut pair = Pair {
            ministry,
            above: Some(above),
            commune,
            below: None,
            task: task.as_str().expect("an id").to_owned(),
        };
        pair.serve_below(&[]);
        pair.commune.run(&["sync", "--wait"]).expect(0);
        pair
    }

    /// Starts the service of the commune, or of a copy of it, with overrides of the configuration.
    pub fn serve(&self, machine: &Machine, set: &[&str]) -> Service {
        let url = format!("upstream.url=https://{}", self.ministry.address());
        machine.serve_with(&[&SOON[..], &[&url], set].concat())
    }

    pub fn serve_below(&mut self, set: &[&str]) {
        self.below = Some(self.serve(&self.commune, set));
    }

    pub fn stop_below(&mut self) {
        self.below.take().expect("it runs").stop();
    }

    pub fn stop_all(&mut self) {
        self.stop_below();
        self.above.take().expect("it runs").stop();
    }

    pub fn report(&self, result: &str) {
        let line = ["report", "set", &self.task, "--result", result];
        self.commune.run(&line).expect(0);
    }

    /// What the ministry shows of the commune's report.
    pub fn shown_above(&self) -> String {
        let line = ["report", "show", &self.task, "--unit", "24001", "--json"];
        let ran = self.ministry.run(&line);
        match ran.code {
            0 => ran.json()["result"].as_str().unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }

    pub fn arrives(&self, result: &str) {
        until(result, || (self.shown_above() == result).then_some(()));
    }

    /// A report of the commune, written now, is shown above.
    pub fn passes(&self, result: &str) {
        self.report(result);
        self.arrives(result);
    }

    /// The commune as the ministry lists it.
    pub fn listed(&self) -> Value {
        let line = ["node", "show", "24001", "--json"];
        self.ministry.run(&line).expect(0).json()
    }
}
