//! The story: assignment, reports, a cut line, a conflict, a proposal, the rollup.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::place::Place;
use super::relay::Relay;
use super::{DemoError, RETURN_LIMIT, VISITOR, recount};
use crate::api::Lang;
use crate::t;

const UNITS: &str = include_str!("../../examples/data/units.csv");
const MINISTRY_PLAN: &str = include_str!("../../examples/data/ministry-plan.csv");
const PROVINCE_PLANS: [(&str, &str); 2] = [
    (
        "66",
        include_str!("../../examples/data/province-66-plan.csv"),
    ),
    (
        "75",
        include_str!("../../examples/data/province-75-plan.csv"),
    ),
];
const COMMUNES: [(&str, [&str; 3]); 2] = [
    ("66", ["24001", "24002", "24003"]),
    ("75", ["26001", "26002", "26003"]),
];

/// What was told.
pub struct Told {
    /// Checks that did not hold.
    pub failed: Vec<String>,
    nodes: Vec<Place>,
    line: Relay,
    rollup: Value,
    tasks: u64,
    conflicts: u64,
    began: Instant,
}

struct Story<'a> {
    lang: Lang,
    base: PathBuf,
    say: &'a mut dyn FnMut(&str),
    nodes: Vec<Place>,
    failed: Vec<String>,
    step: u32,
}

/// Tells the whole story in a folder.
pub fn tell(lang: Lang, base: &Path, say: &mut dyn FnMut(&str)) -> Result<Told, DemoError> {
    let began = Instant::now();
    std::fs::create_dir_all(base).map_err(|source| DemoError::Process {
        what: format!("create {}", base.display()),
        source,
    })?;
    let mut story = Story {
        lang,
        base: base.to_owned(),
        say,
        nodes: Vec::new(),
        failed: Vec::new(),
        step: 0,
    };
    let line = story.set_up()?;
    let tasks = story.assign()?;
    story.report()?;
    story.cut_off(&line)?;
    let conflicts = story.conflict(&line)?;
    story.propose()?;
    let rollup = story.roll_up()?;
    let Story { nodes, failed, .. } = story;
    Ok(Told {
        failed,
        nodes,
        line,
        rollup,
        tasks,
        conflicts,
        began,
    })
}

impl Story<'_> {
    fn title(&mut self, key: &str) {
        self.step += 1;
        let text = format!("{}. {}", self.step, crate::text::text(self.lang, key, &[]));
        (self.say)(&text);
    }

    fn tell(&mut self, text: String) {
        (self.say)(&format!("   {text}"));
    }

    fn check(&mut self, holds: bool, text: String) {
        if holds {
            self.tell(format!("✓ {text}"));
        } else {
            self.tell(format!("✗ {text}"));
            self.failed.push(text);
        }
    }

    fn at(&self, code: &str) -> Result<&Place, DemoError> {
        let found = self.nodes.iter().find(|place| place.code == code);
        found.ok_or_else(|| DemoError::Lacks(format!("node {code}")))
    }

    fn file(&self, name: &str, text: &str) -> Result<String, DemoError> {
        let path = self.base.join(name);
        std::fs::write(&path, text).map_err(|source| DemoError::Process {
            what: format!("write {}", path.display()),
            source,
        })?;
        Ok(path.display().to_string())
    }

    /// Nine nodes, enrolled with one-time tokens. Answers the line of the first commune, which can be cut.
    fn set_up(&mut self) -> Result<Relay, DemoError> {
        self.title("demo-set-up");
        let mut ministry = Place::init(&self.base, "BO", "ministry", "Bộ")?;
        ministry.start()?;
        let units = self.file("units.csv", UNITS)?;
        ministry.ask(&["import", &units, "--as", "units"])?;
        self.nodes.push(ministry);
        let mut line = None;
        for (province, communes) in COMMUNES {
            self.enrol("BO", province, "province", None)?;
            self.at(province)?.sync()?;
            for commune in communes {
                let relay = match line {
                    None => Some(Relay::to(&self.address_of(province)?).map_err(|source| {
                        DemoError::Process {
                            what: "open the line that will be cut".to_owned(),
                            source,
                        }
                    })?),
                    Some(_) => None,
                };
                self.enrol(province, commune, "commune", relay.as_ref())?;
                line = line.or(relay);
            }
        }
        let count = self.nodes.len();
        self.check(count == 9, t!(self.lang, "demo-nodes", count = count));
        line.ok_or_else(|| DemoError::Lacks("the line that will be cut".to_owned()))
    }

    fn address_of(&self, parent: &str) -> Result<String, DemoError> {
        let child = COMMUNES
            .iter()
            .find(|(code, _)| *code == parent)
            .map(|(_, communes)| communes[0]);
        let answer = self
            .at(parent)?
            .ask(&["node", "token", child.unwrap_or("66")])?;
        let url = answer["url"]
            .as_str()
            .ok_or_else(|| DemoError::Lacks("the parent's address".to_owned()))?;
        Ok(url.trim_start_matches("https://").to_owned())
    }

    fn enrol(
        &mut self,
        parent: &str,
        code: &str,
        level: &str,
        line: Option<&Relay>,
    ) -> Result<(), DemoError> {
        let answer = self.at(parent)?.ask(&["node", "token", code])?;
        let lacks = |what: &str| DemoError::Lacks(format!("{what} for {code}"));
        let token = answer["token"].as_str().ok_or_else(|| lacks("a token"))?;
        let url = match line {
            Some(relay) => format!("https://{}", relay.address()),
            None => answer["url"]
                .as_str()
                .ok_or_else(|| lacks("an address"))?
                .to_owned(),
        };
        let mut place = Place::init(&self.base, code, level, code)?;
        place.ask(&["enrol", "--upstream", &url, "--token", token])?;
        place.start()?;
        self.nodes.push(place);
        Ok(())
    }

    /// From the top down: provinces first when things come down, communes first when things go up.
    fn sync_down(&self) -> Result<(), DemoError> {
        self.nodes
            .iter()
            .skip(1)
            .try_for_each(|place| place.sync().map(drop))
    }

    fn sync_up(&self) -> Result<(), DemoError> {
        let (provinces, communes): (Vec<_>, Vec<_>) = self
            .nodes
            .iter()
            .skip(1)
            .partition(|place| place.code.len() == 2);
        communes
            .iter()
            .chain(&provinces)
            .try_for_each(|place| place.sync().map(drop))
    }

    /// The ministry's plan and the provinces' own plans reach the communes; receipts come back.
    fn assign(&mut self) -> Result<u64, DemoError> {
        self.title("demo-assign");
        let plan = self.file("ministry-plan.csv", MINISTRY_PLAN)?;
        let mut tasks = imported(&self.at("BO")?.ask(&["import", &plan, "--as", "tasks"])?);
        for (province, text) in PROVINCE_PLANS {
            let plan = self.file(&format!("province-{province}-plan.csv"), text)?;
            tasks += imported(
                &self
                    .at(province)?
                    .ask(&["import", &plan, "--as", "tasks"])?,
            );
        }
        self.sync_down()?;
        self.sync_up()?;
        for (_, communes) in COMMUNES {
            for commune in communes {
                let own = self.at(commune)?.list(&["task", "list"])?.len();
                self.check(
                    own > 0,
                    t!(self.lang, "demo-tasks-arrived", unit = commune, count = own),
                );
            }
        }
        let mut told = 0;
        for task in self.at("BO")?.list(&["task", "list", "--issuer", "BO"])? {
            let id = text(&task, "id")?;
            let shown = self.at("BO")?.ask(&["task", "show", &id])?;
            told += shown["receipts"].as_array().map_or(0, Vec::len);
        }
        self.check(told > 0, t!(self.lang, "demo-receipts", count = told));
        Ok(tasks)
    }

    /// Every unit that carries out a task reports on it; what is completed comes with a file.
    fn report(&mut self) -> Result<(), DemoError> {
        self.title("demo-report");
        let evidence = self.file("evidence.txt", "Biên bản nghiệm thu, có chữ ký và dấu.\n")?;
        let (mut reports, mut files) = (0, 0);
        let mut turn = 0;
        for place in self.nodes.iter().filter(|place| place.code.len() == 5) {
            for task in place.list(&["task", "list"])? {
                let id = text(&task, "id")?;
                let (status, percent) = [
                    ("completed", "100"),
                    ("in_progress", "60"),
                    ("continuing", "50"),
                ][if turn % 4 == 3 { 1 } else { turn % 3 }];
                turn += 1;
                if status == "completed" {
                    place.ask(&["evidence", "add", &id, &evidence])?;
                    files += 1;
                }
                let set = [
                    "report",
                    "set",
                    &id,
                    "--status",
                    status,
                    "--percent",
                    percent,
                    "--result",
                    "Đã làm theo kế hoạch",
                    "--submit",
                ];
                place.ask(&set)?;
                reports += 1;
            }
        }
        self.sync_up()?;
        self.sync_down()?;
        let held = self.at("66")?.list(&["report", "list"])?.len()
            + self.at("75")?.list(&["report", "list"])?.len();
        self.check(
            held >= reports,
            t!(self.lang, "demo-reports", count = reports),
        );
        let mut present = 0;
        for code in ["BO", "66", "75"] {
            let listed = self.at(code)?.list(&["evidence", "list"])?;
            present += listed
                .iter()
                .filter(|item| item["state"] == "present")
                .count();
        }
        self.check(
            present >= files,
            t!(self.lang, "demo-evidence", count = files),
        );
        Ok(())
    }

    /// The first commune loses its line, works on, and comes back by itself.
    fn cut_off(&mut self, line: &Relay) -> Result<(), DemoError> {
        self.title("demo-cut-off");
        line.cut();
        let task = self.task_of("24001", "66")?;
        let commune = self.at("24001")?;
        commune.ask(&[
            "report",
            "set",
            &task,
            "--next-steps",
            "Làm việc khi mất đường truyền",
            "--submit",
        ])?;
        let (exit, status, _) = commune.try_ask(&["status"])?;
        let honest = exit == 4 && status["upstream"]["state"] != "ok";
        self.check(honest, t!(self.lang, "demo-honest"));
        line.restore();
        let began = Instant::now();
        let arrived = self.wait_until(|story| {
            let report = story
                .at("66")?
                .ask(&["report", "show", &task, "--unit", "24001"])?;
            Ok(report["next_steps"] == "Làm việc khi mất đường truyền")
        })?;
        let seconds = format!("{:.1}", began.elapsed().as_secs_f64());
        self.check(arrived, t!(self.lang, "demo-returned", seconds = seconds));
        Ok(())
    }

    fn wait_until(
        &self,
        holds: impl Fn(&Self) -> Result<bool, DemoError>,
    ) -> Result<bool, DemoError> {
        let began = Instant::now();
        while began.elapsed() < RETURN_LIMIT {
            if holds(self)? {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(false)
    }

    fn task_of(&self, unit: &str, issuer: &str) -> Result<String, DemoError> {
        let tasks = self.at(unit)?.list(&["task", "list", "--issuer", issuer])?;
        text(
            tasks
                .first()
                .ok_or_else(|| DemoError::Lacks(format!("a task of {issuer} at {unit}")))?,
            "id",
        )
    }

    /// The commune's server and the commune's officer at the province write the same field without seeing each other.
    fn conflict(&mut self, line: &Relay) -> Result<u64, DemoError> {
        self.title("demo-conflict");
        let task = self.task_of("24001", "66")?;
        line.cut();
        self.at("24001")?
            .ask(&["report", "set", &task, "--result", "Theo máy chủ của xã"])?;
        self.at("66")?.ask(&[
            "report",
            "set",
            &task,
            "--unit",
            "24001",
            "--for",
            "24001",
            "--result",
            "Theo cán bộ đi công tác",
        ])?;
        line.restore();
        self.wait_until(|story| Ok(!story.at("66")?.list(&["conflict", "list"])?.is_empty()))?;
        self.sync_down()?;
        let seen = [
            self.at("24001")?.list(&["conflict", "list"])?,
            self.at("66")?.list(&["conflict", "list"])?,
        ];
        let (both, elsewhere) = (
            seen.iter().all(|items| items.len() == 1),
            self.at("24002")?.list(&["conflict", "list"])?.len(),
        );
        self.check(both && elsewhere == 0, t!(self.lang, "demo-conflict-seen"));
        let conflict = seen[0].first().map(|item| text(item, "id")).transpose()?;
        let conflict = conflict.ok_or_else(|| DemoError::Lacks("the conflict".to_owned()))?;
        let shown = self.at("24001")?.ask(&["conflict", "show", &conflict])?;
        for sibling in shown["siblings"].as_array().into_iter().flatten() {
            let (value, by) = (
                sibling["value"].to_string(),
                sibling["by"].as_str().unwrap_or_default(),
            );
            self.tell(format!("{}: {value} ({by})", sibling["n"]));
        }
        self.at("24001")?.ask(&[
            "conflict",
            "resolve",
            &conflict,
            "--take",
            "1",
            "--reason",
            "Số liệu đã đối chiếu",
        ])?;
        self.sync_up()?;
        let left = self.at("24001")?.list(&["conflict", "list"])?.len()
            + self.at("66")?.list(&["conflict", "list"])?.len();
        self.check(left == 0, t!(self.lang, "demo-conflict-resolved"));
        // Drafts are not counted; what was agreed on is submitted again.
        self.at("24001")?.ask(&["report", "submit", &task])?;
        self.sync_up()?;
        Ok(1)
    }

    /// A commune wishes for another deadline; the province, which owns the task, decides.
    fn propose(&mut self) -> Result<(), DemoError> {
        self.title("demo-proposal");
        let task = self.task_of("24002", "66")?;
        let (refused, _, _) =
            self.at("24002")?
                .try_ask(&["task", "update", &task, "--deadline", "30/11/2026"])?;
        self.check(refused == 2, t!(self.lang, "demo-not-owner"));
        self.at("24002")?.ask(&[
            "proposal",
            "make",
            &task,
            "deadline",
            "30/11/2026",
            "--reason",
            "Chờ kinh phí",
        ])?;
        self.sync_up()?;
        let open = self.at("66")?.list(&["proposal", "list"])?;
        let others = self.at("24003")?.list(&["proposal", "list"])?.len();
        self.check(
            open.len() == 1 && others == 0,
            t!(self.lang, "demo-proposal-arrived"),
        );
        let proposal = open.first().map(|item| text(item, "id")).transpose()?;
        let proposal = proposal.ok_or_else(|| DemoError::Lacks("the proposal".to_owned()))?;
        self.at("66")?
            .ask(&["proposal", "accept", &proposal, "--reason", "Đồng ý"])?;
        self.sync_down()?;
        let answered = self.at("24002")?.list(&["proposal", "list"])?;
        let accepted = answered.iter().any(|item| item["state"] == "accepted");
        let shown = self.at("24002")?.ask(&["task", "show", &task])?;
        let moved = shown["deadline"]["due"] == "2026-11-30";
        self.check(accepted && moved, t!(self.lang, "demo-proposal-accepted"));
        self.sync_up()
    }

    /// The ministry's numbers, with their coverage, against a count from all leaves.
    fn roll_up(&mut self) -> Result<Value, DemoError> {
        self.title("demo-rollup");
        let counted = recount::from_leaves(&self.nodes)?;
        self.wait_until(|story| {
            story.sync_up()?;
            Ok(recount::agrees(
                &story.at("BO")?.ask(&["rollup", "show", "--by", "issuer"])?,
                &counted,
            ))
        })?;
        let rollup = self
            .at("BO")?
            .ask(&["rollup", "show", "--by", "issuer", "--recompute"])?;
        for (issuer, count) in &counted {
            let line = t!(
                self.lang,
                "demo-issuer",
                issuer = issuer,
                tasks = count.tasks,
                completed = count.completed
            );
            self.tell(line);
        }
        self.check(
            recount::agrees(&rollup, &counted),
            t!(self.lang, "demo-rollup-agrees"),
        );
        let same = rollup["recomputed"]["same"] == Value::Bool(true);
        self.check(same, t!(self.lang, "demo-rollup-recomputed"));
        let coverage = &rollup["coverage"];
        let line = t!(
            self.lang,
            "demo-coverage",
            received = coverage["reports_received"],
            expected = coverage["reports_expected"],
            as_of = rollup["as_of"]["newest"].as_str().unwrap_or("-")
        );
        self.tell(line);
        Ok(rollup)
    }
}

impl Told {
    /// What `--json` prints.
    pub fn summary(&self) -> Value {
        let elapsed_ms = self.began.elapsed().as_millis() as u64;
        let bytes: u64 = self
            .nodes
            .iter()
            .filter_map(|place| stored_bytes(&place.dir).ok())
            .sum();
        json!({
            "nodes": self.nodes.len(),
            "tasks": self.tasks,
            "rollup": self.rollup,
            "conflicts": self.conflicts,
            "verified": self.failed.is_empty(),
            "failed": self.failed,
            "bytes": { "stored": bytes, "first_commune_line": self.line.bytes() },
            "elapsed_ms": elapsed_ms,
        })
    }

    /// Lets one person into the consoles of all nodes. Answers the password, which is new each time, and a line for each
    /// console.
    pub fn let_people_in(&self, base: &Path) -> Result<(String, Vec<String>), DemoError> {
        let secret: [u8; 12] = rand::random();
        let password = BASE64_URL_SAFE_NO_PAD.encode(secret);
        let file = base.join("password");
        std::fs::write(&file, &password).map_err(|source| DemoError::Process {
            what: format!("write {}", file.display()),
            source,
        })?;
        let path = file.display().to_string();
        let mut lines = Vec::new();
        for place in &self.nodes {
            let role = ["--role", "administrator", "--password-file", &path];
            place.ask(&[&["user", "add", VISITOR], &role[..]].concat())?;
            let url = place.ask(&["status"])?["console"].clone();
            let url = url.as_str().unwrap_or_default().to_owned();
            lines.push(format!("   {}: {url}", place.code));
        }
        // The hash is in the stores; nobody needs the file.
        let _ = std::fs::remove_file(&file);
        Ok((password, lines))
    }

    /// Leaves the services running until the process is told to end, by Ctrl-C or as `kill` and a service manager do it.
    pub fn wait_for_the_end(&self) {
        let signals = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = signals {
            runtime.block_on(async {
                // Without a way to hear of the end there is nothing to wait for.
                let Ok(mut terminate) = signal(SignalKind::terminate()) else {
                    return;
                };
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            });
        }
    }

    /// Ends every service in an orderly way, communes first.
    pub fn stop(mut self) {
        self.nodes.iter_mut().rev().for_each(Place::stop);
    }
}

fn stored_bytes(dir: &Path) -> std::io::Result<u64> {
    let files = ["store.db", "store.db-wal"]
        .iter()
        .map(|name| dir.join(name));
    Ok(files
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|meta| meta.len())
        .sum())
}

fn imported(answer: &Value) -> u64 {
    answer["created"].as_u64().unwrap_or(0)
}

fn text(item: &Value, field: &str) -> Result<String, DemoError> {
    item[field]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| DemoError::Lacks(format!("{field:?} in an answer")))
}
