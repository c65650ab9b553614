//! A whole country in one process: one ministry, its provinces and all their communes, for some days without faults. The
//! communes sleep when they are not in use: their stores would not all fit into memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nqsync::api::{Command, Lang, ReportFields, ReportRef, Request, TaskFields};
use nqsync::node::{Settings, commands};
use nqsync::store::{StoreError, records};
use nqsync_core::model::UnitId;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::enrolment::enrol;
use super::net::Net;
use super::oracles::disk_of;
use super::place::{Asleep, Level, Place, Sun};
use super::reference;
use super::rollups;
use super::world::exchange;

/// How large, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Provinces.
    pub provinces: usize,
    /// Communes, spread over them.
    pub communes: usize,
    /// Days of each run.
    pub days: u32,
    /// Decides in which order communes work, and who has no line on a day.
    pub seed: u64,
    /// How many runs, each with the next seed. The first one founds the country, and each lives on with what the one before
    /// left behind.
    pub seeds: u64,
}

/// Communes that are awake at the same time.
const AWAKE: usize = 4;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Reports whose author was told that they are kept, and which the ministry, the province and the author hold as told.
    pub reports: usize,
    /// Days on which a commune had no line, all communes together.
    pub away: usize,
    /// Links whose two ends hold the same at the end of a run, all runs together.
    pub agreeing: usize,
    /// What must not be.
    pub broken: Vec<String>,
    /// How long each part took.
    pub times: Vec<(&'static str, f64)>,
    /// Bytes on all disks.
    pub disk_bytes: u64,
}

/// What somebody was told is kept: the result that a report says.
type Told = (Uuid, String);

/// Everybody.
struct Country {
    net: Arc<Net>,
    sun: Sun,
    ministry: Place,
    provinces: Vec<Place>,
    communes: Vec<Asleep>,
    requests: u64,
    /// By the province and the commune that reports.
    told: HashMap<(usize, usize), Vec<Told>>,
    away: usize,
    broken: Vec<String>,
    root: TempDir,
    rng: StdRng,
}

/// Builds the country, lets the days pass, and compares what everybody holds.
pub async fn run(size: Size) -> Seen {
    let mut times = Vec::new();
    let mut began = Instant::now();
    let mut lap = |what| {
        times.push((what, began.elapsed().as_secs_f64()));
        began = Instant::now();
    };
    let mut country = Country::found(size).await;
    lap("founding");
    let (mut today, mut agreeing) = (0, 0);
    for seed in size.seed..size.seed + size.seeds {
        country.rng = StdRng::seed_from_u64(seed);
        for _ in 0..size.days {
            today += 1;
            country.day(today).await;
            lap("day");
        }
        agreeing += country.close_books().await;
        lap("comparing");
    }
    Seen {
        reports: country.told.values().map(Vec::len).sum(),
        away: country.away,
        agreeing,
        disk_bytes: bytes_below(country.root.path()),
        broken: country.broken,
        times,
    }
}

impl Country {
    async fn found(size: Size) -> Country {
        let shm = Path::new("/dev/shm");
        // Every commit syncs the disk; where memory will do, that costs nothing. A whole country needs a disk.
        let root = match size.communes < 100 && shm.is_dir() {
            true => tempfile::tempdir_in(shm),
            false => tempfile::tempdir(),
        };
        let root = root.expect("a temporary folder");
        let sun = Sun::new();
        let net = Net::new(1, 1 + size.provinces + size.communes, &[]);
        let ministry = new_place(root.path(), 0, "BO", Level::Ministry, None, &sun).await;
        net.plug(0, ministry.port());
        let mut country = Country {
            net,
            sun,
            ministry,
            provinces: Vec::new(),
            communes: Vec::new(),
            requests: 0,
            told: HashMap::new(),
            away: 0,
            broken: Vec::new(),
            root,
            rng: StdRng::seed_from_u64(size.seed),
        };
        for number in 1..=size.provinces {
            let code = format!("{number:02}");
            let place = country.settle(number, code, Level::Province, 0).await;
            country.net.plug(number, place.port());
            country.provinces.push(place);
        }
        country.provinces_exchange().await;
        for number in 0..size.communes {
            let province = 1 + number % size.provinces;
            let code = format!("{:05}", 10_000 + number);
            let index = 1 + size.provinces + number;
            let place = country.settle(index, code, Level::Commune, province).await;
            country.communes.push(place.sleep());
        }
        country.provinces_exchange().await;
        country
    }

    /// A new unit with a node of its own, enrolled at the node above.
    async fn settle(&mut self, index: usize, code: String, level: Level, parent: usize) -> Place {
        let home = self.root.path().to_owned();
        let mut place = new_place(&home, index, &code, level, Some(parent), &self.sun).await;
        let word = match level {
            Level::Province => "province",
            _ => "commune",
        };
        let add = Command::UnitAdd {
            code: code.clone(),
            name: format!("Đơn vị {code}"),
            level: Some(word.to_owned()),
            parent: None,
            aliases: Vec::new(),
        };
        self.requests += 1;
        let above = match parent {
            0 => &self.ministry,
            number => &self.provinces[number - 1],
        };
        let unit = ask(above, self.requests, add).await.expect("a unit");
        let unit: UnitId = unit["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        enrol(&self.net, &self.sun, above, &mut place, unit).await;
        place.wake().await;
        place
    }

    /// Every province with the ministry until nothing moves any more.
    async fn provinces_exchange(&mut self) {
        loop {
            let mut moved = 0;
            for province in &self.provinces {
                province.count().await;
                let upstream = province.upstream.as_ref().expect("a way up");
                match exchange(upstream).await {
                    Ok((some, _)) => moved += some,
                    Err(error) => {
                        self.broken
                            .push(format!("province {}: {error}", province.code));
                    }
                }
            }
            self.ministry.count().await;
            if moved == 0 || !self.broken.is_empty() {
                return;
            }
        }
    }

    /// The ministry gives each province's communes a task; each that has a line on this day reports on it, and all of it
    /// climbs. One commune in seven stays away, and gets its task the next time it comes.
    async fn day(&mut self, day: u32) {
        self.sun.rise(day);
        self.ministry.wake().await;
        for province in &self.provinces {
            province.wake().await;
        }
        let mut tasks = Vec::new();
        for number in 1..=self.provinces.len() {
            let below = self
                .communes
                .iter()
                .filter(|commune| commune.parent == number);
            let fields = TaskFields {
                group: Some("I".to_owned()),
                title: Some(format!("Nhiệm vụ ngày {day} của tỉnh {number}")),
                lead: Some(below.map(|commune| commune.code.clone()).collect()),
                deadline: Some("31/12/2026".to_owned()),
                ..TaskFields::default()
            };
            self.requests += 1;
            let add = Command::TaskAdd { fields };
            let task = ask(&self.ministry, self.requests, add)
                .await
                .expect("a task");
            tasks.push(task["id"].as_str().expect("an id").to_owned());
        }
        self.provinces_exchange().await;
        // Not the order in which they came home the day before.
        self.communes.sort_unstable_by_key(|commune| commune.index);
        self.communes.shuffle(&mut self.rng);
        let mut awake = JoinSet::new();
        for commune in std::mem::take(&mut self.communes) {
            if self.rng.random_ratio(1, 7) {
                self.away += 1;
                self.communes.push(commune);
                continue;
            }
            self.requests += 1;
            let work = Work {
                day,
                task: tasks[commune.parent - 1].clone(),
                number: self.requests,
            };
            let (sun, net) = (self.sun.clone(), self.net.clone());
            awake.spawn(async move { work.done(commune, &sun, &net).await });
            while awake.len() >= AWAKE {
                self.came_home(awake.join_next().await);
            }
        }
        while let Some(home) = awake.join_next().await {
            self.came_home(Some(home));
        }
        self.provinces_exchange().await;
    }

    /// A commune that has done its work, what it was told is kept, and what went wrong.
    fn came_home(&mut self, home: Option<Joined<(Asleep, Result<Told, String>)>>) {
        let Some(home) = home else { return };
        let (commune, told) = home.expect("no panic");
        let way = (commune.parent, commune.index);
        match told {
            Ok(told) => self.told.entry(way).or_default().push(told),
            Err(words) => self.broken.push(words),
        }
        self.communes.push(commune);
    }

    /// Everybody exchanges once more, and what was told is looked for on every disk of its way. Answers how many links
    /// agree.
    async fn close_books(&mut self) -> usize {
        let mut agreeing = 0;
        let mut awake = JoinSet::new();
        for commune in std::mem::take(&mut self.communes) {
            let told = self.told.get(&(commune.parent, commune.index));
            let told = told.cloned().unwrap_or_default();
            let (sun, net) = (self.sun.clone(), self.net.clone());
            awake.spawn(async move { compared(commune, told, &sun, &net).await });
            if awake.len() >= AWAKE {
                agreeing += self.was_compared(awake.join_next().await);
            }
        }
        while let Some(home) = awake.join_next().await {
            agreeing += self.was_compared(Some(home));
        }
        self.provinces_exchange().await;
        for number in 0..self.provinces.len() {
            let upstream = self.provinces[number].upstream.clone().expect("a way up");
            match exchange(&upstream).await {
                Ok((0, Some(true))) => agreeing += 1,
                other => self
                    .broken
                    .push(format!("province {}: {other:?}", number + 1)),
            }
        }
        let told_in = |province: Option<usize>| -> Vec<Told> {
            let ways = self.told.iter();
            let here = ways.filter(|((of, _), _)| province.is_none_or(|number| number == *of));
            here.flat_map(|(_, told)| told).cloned().collect()
        };
        let mut words = look(&self.ministry, told_in(None)).await;
        for province in &self.provinces {
            words.extend(look(province, told_in(Some(province.index))).await);
        }
        words.extend(rollups::check(
            &disk_of(&self.ministry).await,
            self.ministry.unit,
            0,
        ));
        self.broken.extend(words);
        agreeing
    }

    fn was_compared(&mut self, home: Option<Joined<(Asleep, Vec<String>)>>) -> usize {
        let Some(home) = home else { return 0 };
        let (commune, words) = home.expect("no panic");
        let agrees = usize::from(words.is_empty());
        self.communes.push(commune);
        self.broken.extend(words);
        agrees
    }
}

/// How a commune's task ended.
type Joined<T> = Result<T, tokio::task::JoinError>;

/// What one commune does on a day.
struct Work {
    day: u32,
    task: String,
    number: u64,
}

impl Work {
    /// The commune fetches its task, reports on it, and sends the report up.
    async fn done(
        self,
        commune: Asleep,
        sun: &Sun,
        net: &Arc<Net>,
    ) -> (Asleep, Result<Told, String>) {
        let place = Place::resume(&commune, sun, net).await;
        let told = self.told(&place).await;
        (place.sleep(), told)
    }

    async fn told(self, place: &Place) -> Result<Told, String> {
        exchanged(place).await?;
        let said = format!("xã {} ngày {}", place.code, self.day);
        let set = Command::ReportSet {
            report: ReportRef {
                task: self.task,
                unit: None,
                period: Some("2026-03".to_owned()),
            },
            fields: ReportFields {
                status: Some("in_progress".to_owned()),
                percent: Some((self.day % 100).to_string()),
                result: Some(said.clone()),
                ..ReportFields::default()
            },
            token: None,
            submit: true,
        };
        let refused = |code: String| format!("commune {} was refused: {code}", place.code);
        let data = ask(place, self.number, set).await.map_err(refused)?;
        let id = data["id"].as_str().and_then(|id| id.parse().ok());
        exchanged(place).await?;
        Ok((id.expect("an id"), said))
    }
}

/// Exchanges; answers whether both sides hold the same.
async fn exchanged(place: &Place) -> Result<bool, String> {
    let upstream = place.upstream.as_ref().expect("a way up");
    let agrees = exchange(upstream).await.map(|(_, agrees)| agrees);
    let agrees = agrees.map_err(|error| format!("{}: {error}", place.code))?;
    Ok(agrees == Some(true))
}

/// Whether a commune holds what its province holds, and what it was told.
async fn compared(
    commune: Asleep,
    told: Vec<Told>,
    sun: &Sun,
    net: &Arc<Net>,
) -> (Asleep, Vec<String>) {
    let place = Place::resume(&commune, sun, net).await;
    let mut words = look(&place, told).await;
    match exchanged(&place).await {
        Ok(true) => {}
        Ok(false) => words.push(format!("commune {} and its province differ", place.code)),
        Err(error) => words.push(error),
    }
    (place.sleep(), words)
}

async fn new_place(
    root: &Path,
    index: usize,
    code: &str,
    level: Level,
    parent: Option<usize>,
    sun: &Sun,
) -> Place {
    let (home, code, sun) = (root.join(index.to_string()), code.to_owned(), sun.clone());
    // Setting a node up blocks, as it does on the command line.
    let made =
        tokio::task::spawn_blocking(move || Place::new(home, index, &code, level, parent, &sun));
    let mut place = made.await.expect("a new node");
    place.node.settings = Settings {
        service: true,
        ..Settings::default()
    };
    place
}

/// A verb at a node, as a person gives it. Answers its data.
async fn ask(place: &Place, number: u64, command: Command) -> Result<Value, String> {
    let request = Request {
        request_id: format!("country-{number}"),
        lang: Lang::En,
        person: format!("An {}", place.index),
        asker: Default::default(),
        acting_for: None,
        command,
    };
    let answer = commands::execute(&place.node, request).await;
    answer
        .map(|answer| answer.data)
        .map_err(|failure| failure.code)
}

/// Whether a disk holds what was told. Read from the bytes, without the merge.
async fn look(place: &Place, told: Vec<Told>) -> Vec<String> {
    let index = place.index;
    let read = place.node.store.read(move |c: &Connection| {
        let mut words = Vec::new();
        for (report, said) in told {
            let stored = records::load(c, report)?;
            let edits = stored.iter().flat_map(|stored| stored.record.edits());
            let present = reference::present(edits.map(|edit| edit.raw()));
            let found = reference::shown(&present, "result");
            if found != said.as_str() {
                words.push(format!(
                    "report {report} at node {index} says {found}, its author {said}"
                ));
            }
        }
        Ok::<_, StoreError>(words)
    });
    read.await.expect("a read")
}

/// How many bytes all files below a folder have.
fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a folder").flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
