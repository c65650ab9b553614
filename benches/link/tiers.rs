//! W3 over three tiers: three real services, set up with the command line alone, and one report that changes.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::nodes::{Service, asked, free_port, nqsync};

/// Changes measured in a round.
pub const CHANGES: usize = 20;
/// Between two changes: longer than the services gather a burst.
const REST: Duration = Duration::from_millis(600);
/// Between two looks at the ministry's rollup.
const LOOK: Duration = Duration::from_millis(1);
/// Longest that one change may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the report says in turn.
const STATUSES: [&str; 2] = ["in_progress", "continuing"];

/// Ministry, province and commune.
pub struct Tiers {
    ministry: Service,
    _province: Service,
    commune: Service,
    number: usize,
}

impl Tiers {
    /// Three enrolled services, and a task of the province for the commune.
    pub fn start(dir: &Path) -> Tiers {
        let at = |name: &str| dir.join(name);
        let (ministry_dir, province_dir, commune_dir) = (at("m"), at("p"), at("c"));
        let ministry = hub(&ministry_dir, "BO", "ministry", free_port(), None);
        nqsync(
            &ministry_dir,
            &["unit", "add", "66", "Tỉnh", "--level", "province"],
        );
        let province = hub(
            &province_dir,
            "66",
            "province",
            free_port(),
            Some(&ministry_dir),
        );
        nqsync(
            &province_dir,
            &["unit", "add", "24001", "Xã", "--level", "commune"],
        );
        nqsync(
            &commune_dir,
            &["init", "--unit", "24001", "--level", "commune"],
        );
        enrol(&commune_dir, "24001", &province_dir);
        let commune = Service::start(&commune_dir);
        let task = [
            "task",
            "add",
            "--group",
            "I",
            "--number",
            "1",
            "--title",
            "Số hoá hồ sơ",
            "--lead",
            "24001",
        ];
        nqsync(&province_dir, &task);
        // The exchange begins with what waits above.
        commune.sync().last();
        Tiers {
            ministry,
            _province: province,
            commune,
            number: 0,
        }
    }

    /// The times of some changes, from the commune's command until the ministry's rollup shows it.
    pub fn round(&mut self) -> Vec<Duration> {
        let mut times: Vec<Duration> = (0..CHANGES).map(|_| self.change()).collect();
        times.sort_unstable();
        times
    }

    fn change(&mut self) -> Duration {
        std::thread::sleep(REST);
        let status = STATUSES[self.number % STATUSES.len()];
        self.number += 1;
        let set = json!({ "verb": "report_set", "report": { "task": "I/1" },
            "fields": { "status": status, "percent": self.number.min(99).to_string() }, "token": null, "submit": true });
        let show = json!({ "verb": "rollup_show", "period": null, "unit": null, "by": "group", "recompute": false });
        let began = Instant::now();
        let answer = self.commune.command(&set);
        assert!(
            answer["ok"].is_object(),
            "the report was not taken: {answer}"
        );
        loop {
            let shown: Value = self.ministry.command(&show);
            if shown["ok"]["data"]["assignments"]["by_status"][status] == 1 {
                return began.elapsed();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "the ministry never showed it: {shown}"
            );
            std::thread::sleep(LOOK);
        }
    }
}

fn hub(dir: &Path, unit: &str, level: &str, port: u16, parent: Option<&Path>) -> Service {
    let address = format!("127.0.0.1:{port}");
    nqsync(
        dir,
        &[
            "init", "--unit", unit, "--level", level, "--name", unit, "--listen", &address,
        ],
    );
    if let Some(parent) = parent {
        enrol(dir, unit, parent);
    }
    Service::start(dir)
}

fn enrol(dir: &Path, unit: &str, parent: &Path) {
    let token = asked(parent, &["node", "token", unit]);
    let (text, url) = (token["token"].as_str(), token["url"].as_str());
    let (text, url) = text.zip(url).expect("a token");
    nqsync(dir, &["enrol", "--upstream", url, "--token", text]);
}
