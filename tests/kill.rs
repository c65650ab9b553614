//! Real services, killed with SIGKILL again and again at seeded moments, and a ledger of what they acknowledged that is
//! kept outside of them. `NQSYNC_SEED` chooses the moments, `NQSYNC_PROOF=kill` makes many more of them.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nqsync::api::{Command, Exit, Outcome, ReportFields, ReportRef, Request, TaskFields};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use support::control::{ask, request};
use support::machine::{Machine, Service, Starting};
use support::tap::{Down, Tap};

/// The longest that anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(30);
fn seed() -> u64 {
    let asked = std::env::var("NQSYNC_SEED").ok();
    asked.map_or(20_261_127, |text| text.parse().expect("a number"))
}

fn proof() -> bool {
    std::env::var("NQSYNC_PROOF").as_deref() == Ok("kill")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Commune,
    Province,
}

/// A commune and its province as processes, with a tapped line between them.
struct Site {
    commune: Machine,
    province: Machine,
    services: [Option<Service>; 2],
    line: Tap,
    /// A task of the province, led by the commune.
    task: String,
    _ministry: Machine,
}

impl Site {
    fn new() -> Site {
        let ministry = Machine::ministry("BO");
        let above = ministry.serve();
        let province = Machine::child(&ministry, "66", "province");
        let line = Tap::new();
        let commune = Machine::new();
        let init = ["init", "--unit", "24001", "--level", "commune"];
        commune.run(&init).expect(0);
        let mut site = Site {
            commune,
            province,
            services: [None, None],
            line,
            task: String::new(),
            _ministry: ministry,
        };
        site.start(Role::Province);
        site.province.run(&["sync", "--wait"]).expect(0);
        above.stop();
        let add = ["unit", "add", "24001", "Xã", "--level", "commune"];
        site.province.run(&add).expect(0);
        let url = site.line.url();
        let token = ["node", "token", "24001", "--url", &url, "--json"];
        let token = site.province.run(&token).expect(0).json()["token"].clone();
        let enrol = ["enrol", "--token", token.as_str().expect("a token")];
        site.commune.run(&enrol).expect(0);
        site.start(Role::Commune);
        let fields = task_fields("the first");
        let added = said(
            &site.province,
            &request("first", Command::TaskAdd { fields }),
        );
        let task = added.expect("a task").data["id"].clone();
        site.task = task.as_str().expect("an id").to_owned();
        site.sync();
        site
    }

    fn at(&self, role: Role) -> &Machine {
        match role {
            Role::Commune => &self.commune,
            Role::Province => &self.province,
        }
    }

    /// The province is back a moment after it was killed: nobody has to wait for the next look at the line.
    fn begin(&self, role: Role) -> Starting {
        let url = format!("upstream.url={}", self.line.url());
        let soon = [
            "sync.backoff_min_s=0.05",
            "upstream.probe_interval_s=0.1",
            "upstream.probe_jitter_s=0",
            &url,
        ];
        match role {
            Role::Commune => self.commune.begin(&soon),
            Role::Province => self.province.begin(&soon[..1]),
        }
    }

    /// Starts a service; answers how long it took to be ready.
    fn start(&mut self, role: Role) -> Duration {
        let began = Instant::now();
        let service = self.begin(role).ready();
        let took = began.elapsed();
        self.services[role as usize] = Some(service);
        if role == Role::Province {
            self.line.lead_to(Some(self.province.address()));
        }
        took
    }

    fn kill(&mut self, role: Role) {
        if role == Role::Province {
            self.line.lead_to(None);
        }
        self.services[role as usize].take().expect("it runs").kill();
    }

    /// Exchanges until both sides say that they hold the same.
    fn sync(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let ran = self.commune.run(&["sync", "--wait", "--json"]);
            if ran.code == 0 && ran.json()["agree"] == true {
                return;
            }
            assert!(Instant::now() < end, "they do not come to agree: {ran:?}");
        }
    }

    fn report(&self) -> ReportRef {
        ReportRef {
            task: self.task.clone(),
            unit: None,
            period: None,
        }
    }

    /// Batches that went up, as a side counts them.
    fn batches(&self, role: Role) -> u64 {
        batches(&look(self.at(role).path()), role)
    }
}

/// A connection that only reads, to a store in use by a service.
fn look(dir: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = Connection::open_with_flags(dir.join("store.db"), flags).expect("a store");
    found.busy_timeout(PATIENCE).expect("patience");
    found
}

/// What a killed service left on disk, looked at in a copy: the service itself has to recover from it.
fn left_behind(machine: &Machine) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("room");
    for name in ["store.db", "store.db-wal"] {
        if machine.at(name).exists() {
            fs::copy(machine.at(name), dir.path().join(name)).expect("room");
        }
    }
    let connection = Connection::open(dir.path().join("store.db")).expect("a store");
    (dir, connection)
}

fn batches(store: &Connection, role: Role) -> u64 {
    let link = match role {
        Role::Commune => "upstream",
        Role::Province => "downstream",
    };
    let sql = "SELECT coalesce(max(up_batch), 0) FROM link WHERE role = ?1";
    store
        .query_row(sql, [link], |row| row.get(0))
        .expect("its links")
}

/// Looks again and again until this holds. The moment is what counts here, so the look is never put off.
fn watch(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never seen: {what}");
        thread::yield_now();
    }
}

fn version(store: &Connection) -> i64 {
    store
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .expect("a version")
}

fn said(machine: &Machine, request: &Request) -> Outcome {
    ask(machine, request).heard().expect("the service answers")
}

fn task_fields(title: &str) -> TaskFields {
    TaskFields {
        title: Some(title.to_owned()),
        lead: Some(vec!["24001".to_owned()]),
        deadline: Some("31/12/2026".to_owned()),
        ..TaskFields::default()
    }
}

/// One write: what was asked where, and whether the service said that it is kept.
struct Write {
    at: Role,
    text: String,
    request: Request,
    kept: bool,
}

/// Everything that was asked, in order. A text names a write.
struct Ledger {
    writes: Vec<Write>,
    rng: StdRng,
}

impl Ledger {
    /// A new write, not asked yet: files and report values at the commune, tasks at the province.
    fn next(&mut self, site: &Site, at: Role) -> usize {
        let number = self.writes.len();
        let (text, command) = match at {
            Role::Province => {
                let text = format!("task {number}");
                let fields = task_fields(&text);
                (text, Command::TaskAdd { fields })
            }
            Role::Commune if self.rng.random_range(0..3) == 0 => {
                let text = format!("paper {number}");
                let path = site.commune.at(&text);
                fs::write(&path, &text).expect("room");
                let add = Command::EvidenceAdd {
                    report: site.report(),
                    path: path.to_str().expect("text").to_owned(),
                    note: None,
                };
                (text, add)
            }
            Role::Commune => {
                let text = format!("result {number}");
                let set = Command::ReportSet {
                    report: site.report(),
                    fields: ReportFields {
                        result: Some(text.clone()),
                        ..ReportFields::default()
                    },
                    token: None,
                    submit: false,
                };
                (text, set)
            }
        };
        self.writes.push(Write {
            at,
            text,
            request: request(&format!("request {number}"), command),
            kept: false,
        });
        number
    }

    /// A write that is answered.
    fn write(&mut self, site: &Site, at: Role) {
        let number = self.next(site, at);
        self.heard(number, said(site.at(at), &self.writes[number].request));
    }

    fn heard(&mut self, number: usize, outcome: Outcome) {
        let write = &mut self.writes[number];
        let answer = outcome.unwrap_or_else(|failure| panic!("{}: {failure:?}", write.text));
        assert_eq!(answer.exit, Exit::Done, "{}: {answer:?}", write.text);
        write.kept = true;
    }

    /// Asks again, under the same ids, for what was not answered.
    fn ask_again(&mut self, site: &Site, earlier: Option<&Value>) {
        for number in 0..self.writes.len() {
            let write = &self.writes[number];
            if write.kept {
                continue;
            }
            let outcome = said(site.at(write.at), &write.request);
            if let (Some(earlier), Ok(answer)) = (earlier, &outcome) {
                assert_eq!(&answer.data, earlier, "{}: the first answer", write.text);
            }
            self.heard(number, outcome);
        }
    }

    /// Every write is there once, at both nodes, and nothing else is.
    fn check(&self, site: &Site, seed: u64) {
        for machine in [&site.commune, &site.province] {
            let list = |args: &[&str]| {
                let ran = machine.run(&[args, &["--json"]].concat()).expect(0);
                ran.json()["items"].as_array().expect("a list").clone()
            };
            let mut found: BTreeMap<String, usize> = BTreeMap::new();
            let mut count = |items: Vec<Value>, field: &str| {
                for item in items {
                    let text = item[field].as_str().unwrap_or_default().to_owned();
                    *found.entry(text).or_default() += 1;
                }
            };
            let papers = list(&["evidence", "list"]);
            for paper in &papers {
                assert_eq!(paper["state"], "present", "seed {seed}: {paper}");
            }
            count(papers, "name");
            count(list(&["task", "list"]), "title");
            found.remove("the first");
            let of = |what: &str| {
                let kept = self.writes.iter().filter(move |write| write.kept);
                let texts = kept.map(|write| write.text.clone());
                texts
                    .filter(|text| text.starts_with(what))
                    .collect::<Vec<_>>()
            };
            let asked = [of("paper"), of("task")].concat();
            for text in &asked {
                let times = found.remove(text).unwrap_or(0);
                assert_eq!(times, 1, "seed {seed}: {text} at {:?}", machine.path());
            }
            assert!(found.is_empty(), "seed {seed}: nobody wrote {found:?}");
            if let Some(last) = of("result").last() {
                let show = ["report", "show", &site.task, "--unit", "24001", "--json"];
                let shown = machine.run(&show).expect(0).json();
                assert_eq!(shown["result"], last.as_str(), "seed {seed}");
            }
            assert!(list(&["quarantine", "list"]).is_empty(), "seed {seed}");
            assert!(list(&["conflict", "list"]).is_empty(), "seed {seed}");
        }
    }
}

/// When the plug is pulled.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// A commit is on disk, and its user has not been told.
    Committed(Role),
    /// The province has got bytes of a batch.
    Received,
    /// The province has committed a batch; its acknowledgement never leaves.
    Unheard,
    /// The commune has just got the acknowledgement.
    Heard,
    /// Some time after a request.
    Any(Role, Duration),
}

impl Moment {
    fn of(number: usize, rng: &mut StdRng) -> Moment {
        let role = [Role::Commune, Role::Province][number / 8 % 2];
        match number % 8 {
            0 => Moment::Committed(Role::Commune),
            1 => Moment::Committed(Role::Province),
            2 => Moment::Received,
            3 => Moment::Unheard,
            4 => Moment::Heard,
            _ => Moment::Any(role, Duration::from_micros(rng.random_range(0..40_000))),
        }
    }

    fn role(self) -> Role {
        match self {
            Moment::Committed(role) | Moment::Any(role, _) => role,
            Moment::Received | Moment::Unheard => Role::Province,
            Moment::Heard => Role::Commune,
        }
    }
}

/// How often a kill has truly struck where it should.
#[derive(Debug, Default)]
struct Struck {
    kills: usize,
    a1: usize,
    a2: usize,
    a3: usize,
    a4: usize,
}

impl Struck {
    /// How often the moment was met that was met least.
    fn least(&self) -> usize {
        self.a1.min(self.a2).min(self.a3).min(self.a4)
    }
}

/// One kill; answers what was kept of the write under way, if it was not answered.
fn strike(
    site: &mut Site,
    ledger: &mut Ledger,
    moment: Moment,
    struck: &mut Struck,
) -> Option<Value> {
    if !matches!(moment, Moment::Any(..) | Moment::Committed(_)) {
        site.sync();
    }
    let mut unheard = None;
    let before = site.line.passed();
    match moment {
        Moment::Committed(role) | Moment::Any(role, _) => {
            let store = look(site.at(role).path());
            let number = ledger.next(site, role);
            let known = version(&store);
            let asked = ask(site.at(role), &ledger.writes[number].request);
            match moment {
                Moment::Any(_, after) => thread::sleep(after),
                _ => watch("a commit", || version(&store) != known),
            }
            site.kill(role);
            match asked.heard() {
                Some(outcome) => ledger.heard(number, outcome),
                None => unheard = Some(number),
            }
        }
        Moment::Received => {
            ledger.write(site, Role::Commune);
            let batch = |passed: support::tap::Passed| passed.up > before.up + 200;
            assert!(
                site.line.wait(PATIENCE, batch),
                "{before:?}, then {:?}",
                site.line.passed()
            );
            site.kill(Role::Province);
            let (_dir, left) = left_behind(&site.province);
            let same = batches(&left, Role::Province) == site.batches(Role::Commune);
            struck.a2 += usize::from(same);
        }
        Moment::Unheard | Moment::Heard => {
            let known = site.batches(Role::Commune);
            let store = look(site.province.path());
            site.line.down(Down::Hold);
            ledger.write(site, Role::Commune);
            watch("a batch", || batches(&store, Role::Province) > known);
            drop(store);
            if matches!(moment, Moment::Unheard) {
                site.kill(Role::Province);
                site.line.down(Down::Lose);
                let (_dir, left) = left_behind(&site.province);
                let ahead = batches(&left, Role::Province) > site.batches(Role::Commune);
                struck.a3 += usize::from(ahead);
            } else {
                // The answer is on the line before it is let through.
                let held = |passed: support::tap::Passed| passed.read > passed.down;
                assert!(site.line.wait(PATIENCE, held), "no answer");
                let passed = site.line.passed().down;
                site.line.down(Down::Pass);
                site.line.wait(PATIENCE, |now| now.down > passed);
                site.kill(Role::Commune);
                let (_dir, left) = left_behind(&site.commune);
                let behind = batches(&left, Role::Commune) < site.batches(Role::Province);
                struck.a4 += usize::from(behind);
            }
        }
    }
    struck.kills += 1;
    let (_dir, left) = left_behind(site.at(moment.role()));
    let whole: String = left
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("readable");
    assert_eq!(whole, "ok", "{moment:?}");
    let id = ledger.writes[unheard?].request.request_id.clone();
    let sql = "SELECT answer FROM request WHERE id = ?1";
    let kept: Option<String> = left.query_row(sql, [id], |row| row.get(0)).ok();
    struck.a1 += usize::from(kept.is_some());
    let kept: Value = serde_json::from_str(&kept?).expect("JSON");
    Some(kept["data"].clone())
}

#[test]
fn a1_a2_a3_a4_whatever_moment_a_service_is_killed_at_what_it_acknowledged_is_there_once() {
    let (seed, kills) = (seed(), if proof() { 500 } else { 60 });
    let mut site = Site::new();
    let mut ledger = Ledger {
        writes: Vec::new(),
        rng: StdRng::seed_from_u64(seed),
    };
    let mut struck = Struck::default();
    // Whether a kill meets its moment is up to the machine: where it is busy, more of them are needed.
    for number in 0..4 * kills {
        if number >= kills && struck.least() >= kills / 30 {
            break;
        }
        for _ in 0..ledger.rng.random_range(0..3) {
            ledger.write(&site, Role::Commune);
            ledger.write(&site, Role::Province);
        }
        let moment = Moment::of(number, &mut ledger.rng);
        let earlier = strike(&mut site, &mut ledger, moment, &mut struck);
        site.line.down(Down::Pass);
        site.start(moment.role());
        ledger.ask_again(&site, earlier.as_ref());
    }
    site.sync();
    ledger.check(&site, seed);
    for role in [Role::Commune, Role::Province] {
        let store = look(site.at(role).path());
        let forks: i64 = store
            .query_row("SELECT sum(forks) FROM link", [], |row| row.get(0))
            .expect("its links");
        assert_eq!(forks, 0, "seed {seed}: a crash is no restore");
    }
    let writes = ledger.writes.len();
    let all = struck.kills;
    println!("seed {seed}, {all} kills, {writes} writes, none lost: {struck:?}");
    assert!(
        struck.least() >= kills / 30,
        "seed {seed}: one of the moments was hardly met: {struck:?}"
    );
}

#[test]
fn a14_ten_crashes_in_a_row_while_it_starts_cost_nothing_and_leave_nothing_behind() {
    let seed = seed();
    let mut site = Site::new();
    let mut ledger = Ledger {
        writes: Vec::new(),
        rng: StdRng::seed_from_u64(seed),
    };
    for _ in 0..20 {
        ledger.write(&site, Role::Commune);
        ledger.write(&site, Role::Province);
    }
    for role in [Role::Commune, Role::Province] {
        site.kill(role);
        let usual = site.start(role);
        ledger.write(&site, role);
        site.kill(role);
        let size = |machine: &Machine| -> u64 {
            let of = |name| fs::metadata(machine.at(name)).map_or(0, |meta| meta.len());
            of("store.db") + of("store.db-wal")
        };
        let before = size(site.at(role));
        let mut crashes = 0;
        for _ in 0..100 {
            let part = ledger.rng.random_range(0.02..0.95);
            let early = site.begin(role).kill_after(usual.mul_f64(part));
            crashes += usize::from(early);
            if crashes == 10 {
                break;
            }
        }
        assert_eq!(crashes, 10, "seed {seed}: it was ready too soon");
        let after = size(site.at(role));
        assert!(
            after <= before + (256 << 10),
            "{before} bytes became {after}"
        );
        let took = site.start(role);
        let most = usual * 3 + Duration::from_secs(2);
        assert!(
            took < most,
            "seed {seed}: ready after {took:?}, before {usual:?}"
        );
        println!("seed {seed}, {role:?}: ready after {usual:?}, after ten crashes {took:?}");
        ledger.write(&site, role);
    }
    site.sync();
    ledger.check(&site, seed);
}
