//! A whole country in one process: one ministry, its provinces and all their communes, for some days without faults. The
//! communes sleep when they are not in use: their stores would not all fit into memory.

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
    /// Days.
    pub days: u32,
    /// Decides in which order communes work, and who has no line on a day.
    pub seed: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Reports whose author was told that they are kept, and which the ministry, the province and the author hold as told.
    pub reports: usize,
    /// Days on which a commune had no line, all communes together.
    pub away: usize,
    /// Links whose two ends hold the same at the end.
    pub agreeing: usize,
    /// What must not be.
    pub broken: Vec<String>,
    /// How long each part took.
    pub times: Vec<(&'static str, f64)>,
    /// Bytes on all disks.
    pub disk_bytes: u64,
}

/// What somebody was told is kept.
struct Told {
    report: Uuid,
    commune: usize,
    province: usize,
    said: String,
}

/// Everybody.
struct Country {
    net: Arc<Net>,
    sun: Sun,
    ministry: Place,
    provinces: Vec<Place>,
    communes: Vec<Asleep>,
    requests: u64,
    told: Vec<Told>,
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
    for day in 1..=size.days {
        country.day(day).await;
        lap("day");
    }
    let agreeing = country.close_books().await;
    lap("comparing");
    Seen {
        reports: country.told.len(),
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
            told: Vec::new(),
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
        self.communes.shuffle(&mut self.rng);
        for commune in std::mem::take(&mut self.communes) {
            if self.rng.random_ratio(1, 7) {
                self.away += 1;
                self.communes.push(commune);
                continue;
            }
            let task = tasks[commune.parent - 1].clone();
            let awake = self.work(commune, day, task).await;
            self.communes.push(awake.sleep());
        }
        self.provinces_exchange().await;
    }

    /// What one commune does on a day.
    async fn work(&mut self, commune: Asleep, day: u32, task: String) -> Place {
        let place = Place::resume(&commune, &self.sun, &self.net).await;
        self.exchanged(&place).await;
        let said = format!("xã {} ngày {day}", place.code);
        let set = Command::ReportSet {
            report: ReportRef {
                task,
                unit: None,
                period: Some("2026-03".to_owned()),
            },
            fields: ReportFields {
                status: Some("in_progress".to_owned()),
                percent: Some((day % 100).to_string()),
                result: Some(said.clone()),
                ..ReportFields::default()
            },
            token: None,
            submit: true,
        };
        self.requests += 1;
        match ask(&place, self.requests, set).await {
            Ok(data) => {
                let id = data["id"].as_str().and_then(|id| id.parse().ok());
                self.told.push(Told {
                    report: id.expect("an id"),
                    commune: commune.index,
                    province: commune.parent,
                    said,
                });
            }
            Err(code) => self
                .broken
                .push(format!("commune {} was refused: {code}", place.code)),
        }
        self.exchanged(&place).await;
        place
    }

    /// Exchanges; answers whether both sides hold the same.
    async fn exchanged(&mut self, place: &Place) -> bool {
        let upstream = place.upstream.as_ref().expect("a way up");
        match exchange(upstream).await {
            Ok((_, agrees)) => agrees == Some(true),
            Err(error) => {
                self.broken.push(format!("{}: {error}", place.code));
                false
            }
        }
    }

    /// Everybody exchanges once more, and what was told is looked for on every disk of its way. Answers how many links
    /// agree.
    async fn close_books(&mut self) -> usize {
        let mut agreeing = 0;
        for commune in std::mem::take(&mut self.communes) {
            let place = Place::resume(&commune, &self.sun, &self.net).await;
            if self.exchanged(&place).await {
                agreeing += 1;
            } else {
                self.broken
                    .push(format!("commune {} and its province differ", place.code));
            }
            let words = look(&place, &self.told, |told| told.commune == commune.index).await;
            self.broken.extend(words);
            self.communes.push(place.sleep());
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
        let mut words = look(&self.ministry, &self.told, |_| true).await;
        for province in &self.provinces {
            words.extend(look(province, &self.told, |told| told.province == province.index).await);
        }
        words.extend(rollups::check(
            &disk_of(&self.ministry).await,
            self.ministry.unit,
            0,
        ));
        self.broken.extend(words);
        agreeing
    }
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

/// Whether a disk holds what was told of the reports that belong there. Read from the bytes, without the merge.
async fn look(place: &Place, told: &[Told], belongs: impl Fn(&Told) -> bool) -> Vec<String> {
    let wanted: Vec<(Uuid, String)> = told
        .iter()
        .filter(|told| belongs(told))
        .map(|told| (told.report, told.said.clone()))
        .collect();
    let index = place.index;
    let read = place.node.store.read(move |c: &Connection| {
        let mut words = Vec::new();
        for (report, said) in wanted {
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
