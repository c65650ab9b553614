//! `cargo bench --bench adapters`: how fast and how lean an adapter is, beside a bare loop with the same reads and writes.
//!
//! A1 the first full exchange of a tracker's tasks, A2 a run in which nothing changed, A3 the first hand-over of as many
//! reports, A4 a workbook of as many rows read as a trial, A5 a workbook made to exhaust whoever reads it. The adapter is the
//! real program as a process of its own; the tracker is its simulator in this process, over loopback.

mod sheets;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nqsync::adapter::simulate::{self, Records, TRACKER};
use nqsync::clock::Clock;
use nqsync::sheet::{Limits, Parser, SheetError};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const PROGRAM: &str = env!("CARGO_BIN_EXE_nqsync");
/// Records in a page of the tracker.
const PAGE: usize = 500;
/// Rows of the floor in one transaction: what the adapter's writer gathers.
const TOGETHER: usize = 128;

const PROFILE: &str = r#"
format = 1
title = "bench"
engine = "http"
unit = "BO"
[brake]
share = 1.0
[http]
base_url = "BASE"
auth = { kind = "login", path = "/login", user = "demo", password = { file = "bench.password" }, token = ".data.token" }
[dictionary.status]
todo = "not_started"
doing = "in_progress"
done = "completed"
"#;

/// The tracker's records are tasks that begin there.
const TASKS: &str = r#"
[[stream]]
name = "tasks"
kind = "tasks"
version = ".version"
key = { ours = '"\(.fields.group)/\(.fields.number)"', theirs = '"V/\(.code)"' }
[stream.fields]
group = { theirs = '"V"', direction = "in" }
number = { theirs = ".code", direction = "in" }
title = { theirs = ".title", direction = "in" }
deliverable = { theirs = ".note", direction = "in" }
[stream.http]
list = { path = "/items", records = ".data" }
paging = { kind = "page", parameter = "page", limit_parameter = "per_page", limit = 500, total = ".total" }
[[test]]
name = "a task"
stream = "tasks"
theirs = '{"id":3,"code":"7","title":"Lắp mạng","note":"x","version":2}'
expect = '{"id":"3","key":"V/7","fields":{"group":"V","number":"7","title":"Lắp mạng","deliverable":"x"}}'
"#;

/// Our reports are handed over to it, as drafts: a table that is imported submits nothing.
const REPORTS: &str = r#"
[[stream]]
name = "progress"
kind = "progress"
sends = "draft"
version = ".version"
key = { ours = ".task.ref", theirs = ".code" }
[stream.fields]
status = { theirs = ".state", dictionary = "status" }
percent = { theirs = ".progress", number = "plain" }
result = { theirs = ".note" }
[stream.write]
create = '{code: .key, title: .task.title, state: (.fields.status // "todo"), progress: (.fields.percent // 0), note: (.fields.result // "")}'
update = '{state: (.fields.status // "todo"), progress: (.fields.percent // 0), note: (.fields.result // "")}'
[stream.http]
list = { path = "/items", records = ".data" }
paging = { kind = "page", parameter = "page", limit_parameter = "per_page", limit = 500, total = ".total" }
get = { path = "/items/{id}", records = ".data" }
create = { path = "/items", records = ".data" }
update = { path = "/items/{id}", method = "PATCH", records = ".data" }
[[test]]
name = "an issue"
stream = "progress"
theirs = '{"id":3,"code":"I/1","state":"doing","progress":40,"note":"x"}'
expect = '{"id":"3","key":"I/1","fields":{"status":"in_progress","percent":"40","result":"x"}}'
"#;

struct Options {
    records: usize,
    json: PathBuf,
}

impl Options {
    fn read() -> Result<Options, String> {
        let mut options = Options {
            records: 20_000,
            json: PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                .with_file_name("bench")
                .join("adapters.json"),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                // Cargo says this to every benchmark.
                "--bench" => {}
                "--records" => {
                    let text = value()?;
                    let number = text
                        .parse()
                        .map_err(|_| format!("{text:?} is not a number"))?;
                    options.records = number;
                }
                "--json" => options.json = value()?.into(),
                other => {
                    return Err(format!(
                        "{other:?}: only --records N and --json FILE are known"
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// One figure, what it stands beside, and its budget.
struct Line {
    what: &'static str,
    ours: f64,
    measure: &'static str,
    beside: Option<f64>,
    budget: Option<f64>,
}

fn main() -> Result<(), String> {
    let options = Options::read()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let mut lines = Vec::new();
    first_tasks(&runtime, options.records, &mut lines);
    first_reports(&runtime, options.records, &mut lines);
    workbooks(options.records, &mut lines);
    println!("{}", table(options.records, &lines));
    let figures: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({ "what": line.what, "value": line.ours, "measure": line.measure, "beside": line.beside,
                "budget": line.budget, "kept": line.kept() })
        })
        .collect();
    let folder = options
        .json
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| std::fs::write(&options.json, format!("{:#}\n", json!(figures))))
        .map_err(|e| format!("{}: {e}", options.json.display()))?;
    match lines.iter().all(|line| line.kept() != Some(false)) {
        true => Ok(()),
        false => Err("a budget is not kept".to_owned()),
    }
}

impl Line {
    fn kept(&self) -> Option<bool> {
        self.budget.map(|budget| self.ours <= budget)
    }
}

fn table(records: usize, lines: &[Line]) -> String {
    let mut text = format!("adapters: {records} records, pages of {PAGE}, loopback\n\n");
    let _ = writeln!(
        text,
        "{:<58}{:>12}{:>12}{:>8}{:>12}",
        "", "nqsync", "bare loop", "ratio", "budget"
    );
    for line in lines {
        let beside = line
            .beside
            .map(|base| format!("{base:.2}"))
            .unwrap_or_default();
        let ratio = line
            .beside
            .map(|base| format!("{:.2}", line.ours / base))
            .unwrap_or_default();
        let budget = match (line.budget, line.kept()) {
            (Some(budget), Some(kept)) => format!("<= {budget} {}", if kept { "ok" } else { "NO" }),
            _ => String::new(),
        };
        let ours = format!("{:.2} {}", line.ours, line.measure);
        let _ = writeln!(
            text,
            "{:<58}{ours:>12}{beside:>12}{ratio:>8}{budget:>12}",
            line.what
        );
    }
    text
}

/// A node of a ministry with a profile for the tracker.
struct Node(tempfile::TempDir);

impl Node {
    fn new(base: &str, streams: &str) -> Node {
        let node = Node(tempfile::tempdir().expect("a folder"));
        node.run(&[
            "init",
            "--unit",
            "BO",
            "--level",
            "ministry",
            "--name",
            "Bộ mẫu",
        ]);
        let adapters = node.0.path().join("adapters.d");
        std::fs::create_dir_all(&adapters).expect("a folder");
        let profile = PROFILE.replace("BASE", base) + streams;
        std::fs::write(adapters.join("bench.toml"), profile).expect("a profile");
        let secret = adapters.join("bench.password");
        std::fs::write(&secret, "demo").expect("a secret");
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        node
    }

    fn run(&self, args: &[&str]) -> Value {
        self.measured(args).0
    }

    /// Runs one verb. Answers what it said, how long it took, and its greatest memory in MiB.
    fn measured(&self, args: &[&str]) -> (Value, Duration, f64) {
        let began = Instant::now();
        let mut child = Command::new(PROGRAM)
            .args(args)
            .args(["--json", "--dir"])
            .arg(self.0.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let mut out = child.stdout.take().expect("a pipe");
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut out, &mut text).map(|_| text)
        });
        let mut peak = 0.0_f64;
        let ended = loop {
            peak = peak.max(peak_mib(&status));
            if let Some(ended) = child.try_wait().expect("a child") {
                break ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = began.elapsed();
        let text = reading.join().expect("a reader").expect("an answer");
        assert!(
            ended.success(),
            "nqsync {args:?} ended with {ended}: {text}"
        );
        (serde_json::from_str(&text).unwrap_or_default(), took, peak)
    }
}

/// Greatest memory of a process so far.
fn peak_mib(status: &Path) -> f64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// The tracker with so many records, and its address.
fn tracker(
    runtime: &tokio::runtime::Runtime,
    records: usize,
) -> (Records, String, CancellationToken) {
    let tracker = Records::new(TRACKER, Clock::system());
    for number in 1..=records {
        tracker.add(json!({ "code": number.to_string(), "title": format!("Nhiệm vụ số {number} của kế hoạch"),
            "note": format!("Sản phẩm {number}: báo cáo kết quả thực hiện") }));
    }
    let stop = CancellationToken::new();
    let address = runtime.block_on(simulate::serve(tracker.router(), 0, stop.clone()));
    (
        tracker,
        format!("http://{}", address.expect("a port")),
        stop,
    )
}

fn first_tasks(runtime: &tokio::runtime::Runtime, records: usize, lines: &mut Vec<Line>) {
    let (tracker, base, stop) = tracker(runtime, records);
    let node = Node::new(&base, TASKS);
    let floor = runtime.block_on(bare_reading(&base));
    let (said, took, peak) = node.measured(&["adapter", "run", "bench"]);
    assert_eq!(said["streams"]["tasks"]["pulled"], records, "{said:#}");
    lines.push(Line {
        what: "A1 first exchange of a tracker's tasks",
        ours: took.as_secs_f64(),
        measure: "s",
        beside: Some(floor.as_secs_f64()),
        budget: Some(60.0),
    });
    lines.push(Line {
        what: "   greatest memory",
        ours: peak,
        measure: "MiB",
        beside: None,
        budget: Some(128.0),
    });
    let before = tracker.requests();
    let (said, took, _) = node.measured(&["adapter", "run", "bench"]);
    assert_eq!(said["streams"]["tasks"]["unchanged"], records, "{said:#}");
    let after = tracker.requests();
    lines.push(Line {
        what: "A2 nothing changed: time",
        ours: took.as_secs_f64(),
        measure: "s",
        beside: None,
        budget: None,
    });
    lines.push(Line {
        what: "   reads (pages and the login)",
        ours: (after.0 - before.0) as f64,
        measure: "",
        beside: None,
        budget: Some(records.div_ceil(PAGE) as f64 + 2.0),
    });
    lines.push(Line {
        what: "   writes there",
        ours: (after.1 - before.1) as f64,
        measure: "",
        beside: None,
        budget: Some(0.0),
    });
    stop.cancel();
}

/// The same reads, and the same number of rows in SQLite, by a bare loop.
async fn bare_reading(base: &str) -> Duration {
    let (http, token) = logged_in(base).await;
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let mut rows = Vec::new();
    for page in 1.. {
        let url = format!("{base}/items?page={page}&per_page={PAGE}");
        let answer: Value = http
            .get(url)
            .bearer_auth(&token)
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        let records = answer["data"].as_array().cloned().unwrap_or_default();
        if records.is_empty() {
            break;
        }
        rows.extend(records);
    }
    let mut connection = Connection::open(folder.path().join("floor.db")).expect("a database");
    connection
        .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE record (id INTEGER PRIMARY KEY, body TEXT)")
        .expect("a table");
    for part in rows.chunks(TOGETHER) {
        let tx = connection.transaction().expect("a transaction");
        for row in part {
            tx.execute("INSERT INTO record (body) VALUES (?1)", [row.to_string()])
                .expect("a row");
        }
        tx.commit().expect("committed");
    }
    began.elapsed()
}

async fn logged_in(base: &str) -> (reqwest::Client, String) {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let login = json!({ "user": "demo", "password": "demo" });
    let answer: Value = http
        .post(format!("{base}/login"))
        .json(&login)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let token = answer["data"]["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    (http, token)
}

fn first_reports(runtime: &tokio::runtime::Runtime, records: usize, lines: &mut Vec<Line>) {
    let (_, base, stop) = tracker(runtime, 0);
    let node = Node::new(&base, REPORTS);
    let tasks = node.0.path().join("tasks.csv");
    std::fs::write(&tasks, sheets::plan(records)).expect("a file");
    node.run(&["import", tasks.to_str().expect("a path"), "--as", "tasks"]);
    let reports = node.0.path().join("reports.csv");
    std::fs::write(&reports, sheets::reports(records)).expect("a file");
    node.run(&[
        "import",
        reports.to_str().expect("a path"),
        "--as",
        "reports",
    ]);
    let floor = runtime.block_on(bare_writing(&base, records));
    let (other, base, end) = tracker(runtime, 0);
    let profile = node.0.path().join("adapters.d/bench.toml");
    std::fs::write(profile, PROFILE.replace("BASE", &base) + REPORTS).expect("a profile");
    let (said, took, peak) = node.measured(&["adapter", "run", "bench"]);
    assert_eq!(said["streams"]["progress"]["created"], records, "{said:#}");
    assert_eq!(other.items().len(), records);
    lines.push(Line {
        what: "A3 first hand-over of reports, each read back",
        ours: took.as_secs_f64(),
        measure: "s",
        beside: Some(floor.as_secs_f64()),
        budget: Some(60.0),
    });
    lines.push(Line {
        what: "   greatest memory",
        ours: peak,
        measure: "MiB",
        beside: None,
        budget: Some(128.0),
    });
    stop.cancel();
    end.cancel();
}

/// The same creations by a bare loop, one after another, each noted in SQLite.
async fn bare_writing(base: &str, records: usize) -> Duration {
    let (http, token) = logged_in(base).await;
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("floor.db")).expect("a database");
    connection
        .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE record (id INTEGER PRIMARY KEY, body TEXT)")
        .expect("a table");
    let began = Instant::now();
    for number in 1..=records {
        let body = json!({ "code": format!("I/{number}"), "title": format!("Nhiệm vụ {number}"), "state": "doing", "progress": 40,
            "note": format!("Đã thực hiện {number} phần việc") });
        let sent = http
            .post(format!("{base}/items"))
            .bearer_auth(&token)
            .json(&body)
            .send()
            .await;
        let answer: Value = sent.expect("an answer").json().await.expect("JSON");
        if number % 50 == 1 {
            connection.execute_batch("BEGIN").expect("begun");
        }
        connection
            .execute(
                "INSERT INTO record (body) VALUES (?1)",
                [answer.to_string()],
            )
            .expect("a row");
        if number % 50 == 0 || number == records {
            connection.execute_batch("COMMIT").expect("committed");
        }
    }
    began.elapsed()
}

fn workbooks(records: usize, lines: &mut Vec<Line>) {
    let node = Node(tempfile::tempdir().expect("a folder"));
    node.run(&[
        "init",
        "--unit",
        "BO",
        "--level",
        "ministry",
        "--name",
        "Bộ mẫu",
    ]);
    let file = node.0.path().join("plan.xlsx");
    std::fs::write(&file, sheets::plan_xlsx(records).expect("a workbook")).expect("a file");
    let (said, took, _) = node.measured(&[
        "import",
        file.to_str().expect("a path"),
        "--as",
        "tasks",
        "--dry-run",
    ]);
    assert_eq!(said["created"], records, "{}", said["created"]);
    lines.push(Line {
        what: "A4 a workbook of as many rows, read as a trial",
        ours: took.as_secs_f64(),
        measure: "s",
        beside: None,
        budget: Some(10.0),
    });
    // The system ends the reading process when it asks for more.
    let limits = Limits {
        memory_bytes: 256 << 20,
        ..Limits::default()
    };
    let parser = Parser::Program(PROGRAM.into());
    parser
        .parse(&file, None, &limits)
        .expect("read within its limit");
    lines.push(Line {
        what: "   memory with which its reading process ends well",
        ours: limits.memory_bytes as f64 / f64::from(1 << 20),
        measure: "MiB",
        beside: None,
        budget: Some(256.0),
    });
    let bomb = node.0.path().join("bomb.xlsx");
    let bytes = sheets::bomb().expect("a workbook");
    let size = bytes.len() as f64 / 1024.0;
    std::fs::write(&bomb, bytes).expect("a file");
    let began = Instant::now();
    let refused = parser.parse(&bomb, None, &limits);
    let took = began.elapsed();
    assert!(
        matches!(
            refused,
            Err(SheetError::TooLarge { .. }
                | SheetError::Damaged { .. }
                | SheetError::Worker { .. }
                | SheetError::Refused { .. })
        ),
        "{refused:?}"
    );
    lines.push(Line {
        what: "A5 a bomb, refused",
        ours: took.as_secs_f64(),
        measure: "s",
        beside: None,
        budget: Some(2.0),
    });
    lines.push(Line {
        what: "   its size",
        ours: size,
        measure: "KiB",
        beside: None,
        budget: None,
    });
}
