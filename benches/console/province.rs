//! A province's store, made as fast as the write path allows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::civil::{Date, date};
use nqsync::api::{Command, Lang, Request, TaskFields};
use nqsync::clock::Clock;
use nqsync::node::write::{self, Acting};
use nqsync::node::{Node, Refusal, Settings, commands, rollups, standings, warnings};
use nqsync::store::{Store, StoreError, StoreOptions, Tx};
use nqsync_core::calendar::{Period, PeriodKind};
use nqsync_core::model::{Facts, Key, NodeId, UnitId};
use nqsync_core::sync::{Author, Record};
use serde_json::{Value, json};
use uuid::Uuid;

/// Records in one transaction.
const TOGETHER: usize = 5_000;
/// Groups that the tasks are in.
const GROUPS: [&str; 4] = ["I", "II", "III", "IV"];

/// How large it is: `cargo bench --bench console -- --communes 170 --tasks 200 --periods 12`.
#[derive(Clone, Copy)]
pub struct Size {
    pub communes: usize,
    pub tasks: usize,
    pub periods: usize,
    /// Tasks of a workbook that is measured instead; 0: none.
    pub workbook: usize,
}

impl Size {
    pub fn read() -> Result<Size, String> {
        let mut size = Size {
            communes: 170,
            tasks: 200,
            periods: 12,
            workbook: 0,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let field = match argument.as_str() {
                // Cargo says this to every benchmark.
                "--bench" => continue,
                "--communes" => &mut size.communes,
                "--tasks" => &mut size.tasks,
                "--periods" => &mut size.periods,
                "--workbook" => &mut size.workbook,
                other => {
                    return Err(format!(
                        "{other:?}: only --communes N, --tasks N, --periods N and --workbook N are known"
                    ));
                }
            };
            let value = arguments.next().and_then(|text| text.parse().ok());
            *field = value
                .filter(|number| *number > 0)
                .ok_or(format!("{argument} needs a number above 0"))?;
        }
        size.periods = size.periods.min(12);
        Ok(size)
    }
}

pub struct Province {
    pub node: Node,
    pub size: Size,
    pub tasks: Vec<Uuid>,
    pub period: Period,
    pub dir: tempfile::TempDir,
}

/// Unit 0 is the ministry, 1 the province, the communes follow.
fn unit(number: usize) -> UnitId {
    UnitId(Uuid::from_u128(0x7000_0000 + number as u128))
}

pub fn code(commune: usize) -> String {
    format!("{:05}", 26_000 + commune)
}

fn month(number: usize) -> Period {
    let day = date(2026, number as i8 + 1, 1);
    Period::containing(PeriodKind::Month, day)
}

/// Noon at the end of a day.
fn noon(day: Date) -> i64 {
    let zoned = day.at(12, 0, 0, 0).in_tz("Asia/Ho_Chi_Minh");
    zoned.expect("a day").timestamp().as_millisecond()
}

impl Province {
    pub async fn make(size: Size, out: &mut String) -> Province {
        let dir = tempfile::Builder::new()
            .prefix("console")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder");
        let options = StoreOptions {
            create: true,
            ..StoreOptions::new(dir.path().join("store"))
        };
        let now = Arc::new(AtomicI64::new(noon(date(2026, 1, 2))));
        let ticking = now.clone();
        let node = Node {
            store: Store::open(&options).expect("a store"),
            clock: Clock::from_fn(move || ticking.load(Ordering::Relaxed)),
            settings: Settings {
                service: true,
                ..Settings::default()
            },
        };
        let began = Instant::now();
        plant(&node, size).await;
        let tasks = issue(&node, size).await;
        let mut written = 0;
        for number in 0..size.periods {
            now.store(noon(month(number).end()) - 86_400_000, Ordering::Relaxed);
            written += report(&node, size, &tasks, number).await;
        }
        let last = month(size.periods - 1);
        now.store(noon(last.end()), Ordering::Relaxed);
        let loaded = began.elapsed();
        eprintln!("{written} records in {loaded:?} …");
        let settled = settle(&node).await;
        let bytes = std::fs::metadata(dir.path().join("store/store.db"));
        let _ = writeln!(
            out,
            "{} communes x {} tasks x {} periods: {written} records in {:.1} s ({:.0}/s), derived tables after it {settled}; {} MB\n",
            size.communes,
            size.tasks,
            size.periods,
            loaded.as_secs_f64(),
            written as f64 / loaded.as_secs_f64(),
            bytes.map_or(0, |file| file.len() / 1_000_000),
        );
        Province {
            node,
            size,
            tasks,
            period: last,
            dir,
        }
    }

    /// What a verb answers.
    pub async fn ask(&self, command: Command) -> Value {
        ask(&self.node, command).await
    }
}

pub async fn ask(node: &Node, command: Command) -> Value {
    let request = Request {
        request_id: Uuid::new_v4().to_string(),
        lang: Lang::Vi,
        person: "an".to_owned(),
        asker: Default::default(),
        acting_for: None,
        command,
    };
    let answer = commands::execute(node, request).await;
    answer.expect("an answer").data
}

/// The tree. The province serves its communes: that is the larger store, and every verb may be tried in it.
async fn plant(node: &Node, size: Size) {
    let planted = node.store.write(move |tx| {
        let here = NodeId(Uuid::from_u128(1));
        tx.set_meta("node", &here.to_string())?;
        tx.set_meta("unit", &unit(1).to_string())?;
        tx.set_meta("today", "2026-01-02")?;
        let mut one = |number: usize, code: String, level: &str, above: usize| {
            let mut values = BTreeMap::from([
                ("code".to_owned(), json!(code)),
                ("name".to_owned(), json!(format!("Đơn vị {code}"))),
                ("level".to_owned(), json!(level)),
            ]);
            if number > 0 {
                values.insert("parent".to_owned(), json!([{ "unit": unit(above) }]));
            }
            if number == 1 {
                values.insert("served_by".to_owned(), json!(here));
            }
            let owner = unit(above);
            let facts = Facts::Unit { owner };
            let key = Key {
                kind: facts.kind(),
                id: unit(number).0,
            };
            let mut record = Record::begin(facts, key);
            let author = Author {
                incarnation: tx.incarnation(0)?,
                unit: owner,
                name: "setup",
                seal: None,
            };
            record.write(author, 0, values, None).expect("a unit");
            tx.save(&record, None, &[], None, 0).map(drop)
        };
        one(0, "BO".to_owned(), "ministry", 0)?;
        one(1, "66".to_owned(), "province", 0)?;
        for commune in 0..size.communes {
            one(commune + 2, code(commune), "commune", 1)?;
        }
        tx.settle_tree()
    });
    planted.await.expect("a tree");
}

async fn issue(node: &Node, size: Size) -> Vec<Uuid> {
    let lead: Vec<String> = (0..size.communes).map(code).collect();
    let mut tasks = Vec::new();
    for number in 0..size.tasks {
        let fields = TaskFields {
            group: Some(GROUPS[number * GROUPS.len() / size.tasks].to_owned()),
            group_title: Some("Nhóm nhiệm vụ".to_owned()),
            number: Some(format!("{}", number + 1)),
            title: Some(format!(
                "Số hóa hồ sơ, kết quả giải quyết thủ tục hành chính, phần {number}"
            )),
            deliverable: Some("Báo cáo kết quả kèm biên bản nghiệm thu".to_owned()),
            lead: Some(lead.clone()),
            deadline: Some(format!("15/{}/2026", 1 + number % 12)),
            ..TaskFields::default()
        };
        let task = ask(node, Command::TaskAdd { fields }).await;
        tasks.push(task["id"].as_str().expect("an id").parse().expect("an id"));
    }
    tasks
}

/// One job's worth of what the service derives.
type Part = fn(&Node, &mut Tx<'_>) -> Result<usize, StoreError>;

/// One record that is to be written.
type Draft = (UnitId, Facts, BTreeMap<String, Value>);

/// A month's reports: in the last one three of five came. A third of the work is completed at some time, with evidence that
/// mostly was looked at.
async fn report(node: &Node, size: Size, tasks: &[Uuid], number: usize) -> usize {
    let period = month(number).to_string();
    let at = node.clock.now_ms();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut written = 0;
    for commune in 0..size.communes {
        for (place, task) in tasks.iter().enumerate() {
            let mix = commune * 31 + place * 17;
            if number + 1 == size.periods && mix % 5 > 2 {
                continue;
            }
            let done = mix.is_multiple_of(3) && number >= mix % 12;
            drafts.extend(one_report(unit(commune + 2), *task, &period, done, mix, at));
            if drafts.len() >= TOGETHER {
                written += save(node, std::mem::take(&mut drafts)).await;
            }
        }
    }
    written + save(node, drafts).await
}

fn one_report(by: UnitId, task: Uuid, period: &str, done: bool, mix: usize, at: i64) -> Vec<Draft> {
    let issuer = unit(1);
    let facts = Facts::Report {
        unit: by,
        issuer,
        task,
        period: period.to_owned(),
    };
    let report = facts.natural_id().expect("a natural key");
    let hash = Uuid::new_v5(&report, b"version").simple().to_string();
    let status = if done { "completed" } else { "in_progress" };
    let percent = if done { 100 } else { 10 + mix % 80 };
    let progress = json!({ "status": status, "percent": percent.to_string() });
    let result = "Đã rà soát, số hóa và nhập dữ liệu hồ sơ của các thôn; đang đối chiếu với bản giấy trước khi nghiệm thu.";
    let file = Uuid::new_v5(&report, b"file")
        .simple()
        .to_string()
        .repeat(2);
    let values = json!({ "result": result });
    let evidence: Vec<&str> = if done { vec![&file] } else { Vec::new() };
    let submission = json!({
        "hash": hash, "submitted_at": at, "progress": progress, "values": values, "evidence": evidence,
    });
    let mut drafts = vec![(
        by,
        facts,
        BTreeMap::from([
            ("progress".to_owned(), progress),
            ("result".to_owned(), json!(result)),
            ("submission".to_owned(), submission),
        ]),
    )];
    if done {
        let file = json!({ "name": "bien-ban.pdf", "size": 150_000, "sha256": file });
        let facts = Facts::Evidence {
            unit: by,
            issuer,
            task,
            period: period.to_owned(),
            reviewer: issuer,
        };
        drafts.push((by, facts, BTreeMap::from([("file".to_owned(), file)])));
    }
    // One in ten is still to be looked at, one in twenty was sent back.
    if done && !mix.is_multiple_of(10) {
        let facts = Facts::Verdict {
            reviewer: issuer,
            unit: by,
            issuer,
            report,
            submission: hash,
        };
        let verdict = json!({ "accepted": mix % 20 != 1, "reason": "mờ" });
        drafts.push((
            issuer,
            facts,
            BTreeMap::from([("verdict".to_owned(), verdict)]),
        ));
    }
    drafts
}

async fn save(node: &Node, drafts: Vec<Draft>) -> usize {
    let (count, now_ms) = (drafts.len(), node.clock.now_ms());
    let saved = node.store.write(move |tx| {
        for (unit, facts, values) in drafts {
            let acting = Acting {
                unit,
                person: "cán bộ".to_owned(),
                now_ms,
            };
            let written = write::create(tx, &acting, facts, values, None)?;
            rollups::touched(tx, &written.record, None)?;
        }
        Ok::<_, Refusal>(())
    });
    saved.await.expect("saved");
    count
}

/// Everything the service derives by itself.
async fn settle(node: &Node) -> String {
    let today = node.today().to_string();
    let set = node.store.write(move |tx| tx.set_meta("today", &today));
    set.await.expect("a day");
    let mut told = Vec::new();
    let parts: [(&str, Part); 3] = [
        ("standings", |_, tx| standings::settle(tx, 4096)),
        ("rollups", rollups::recompute),
        ("warnings", warnings::look),
    ];
    for (name, part) in parts {
        let began = Instant::now();
        loop {
            let worker = node.clone();
            let done = node.store.write(move |tx| part(&worker, tx)).await;
            if done.expect("derived") == 0 {
                break;
            }
        }
        eprintln!("{name} in {:?} …", began.elapsed());
        told.push(format!("{name} {:.1} s", began.elapsed().as_secs_f64()));
    }
    told.join(", ")
}
