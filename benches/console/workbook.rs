//! The workbook of a long list of tasks, downloaded from the service itself: how soon its first byte comes, and what the
//! process held at most since it started. The store is made by another process, this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nqsync::clock::Clock;
use nqsync::node::Refusal;
use nqsync::node::write::{self, Acting};
use nqsync::store::{Store, StoreOptions};
use nqsync_core::model::Facts;
use serde_json::{Value, json};

/// Tasks in one transaction.
const TOGETHER: usize = 5_000;
/// The first byte has to be there within this.
const FIRST_BYTE: Duration = Duration::from_secs(1);
/// MiB that the service must not reach.
const MOST_MIB: u64 = 128;
const PASSWORD: &str = "ba con vịt xoè ra hai cái cánh";

/// A running service, which ends with the measurement.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn measure(rows: usize, out: &mut String) {
    let dir = tempfile::Builder::new()
        .prefix("workbook")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder");
    run(dir.path(), &["init", "--unit", "BO", "--level", "ministry"]);
    plant(dir.path(), rows).await;
    let password = dir.path().join("password");
    std::fs::write(&password, PASSWORD).expect("written");
    let password = password.to_str().expect("text");
    let add = ["user", "add", "an", "--role", "administrator"];
    run(
        dir.path(),
        &[&add[..], &["--password-file", password]].concat(),
    );
    let service = program(dir.path(), &["run", "--set", "console.address=127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let service = Service(service.expect("it starts"));
    let base = console(dir.path()).await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let fields = [("name", "an"), ("password", PASSWORD), ("lang", "vi")];
    let login = client.post(format!("{base}login")).form(&fields).send();
    let login = login.await.expect("an answer");
    let cookie = login.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let _ = writeln!(
        out,
        "{:<28} {:>12} {:>9} {:>11} {:>9}",
        format!("workbook of {rows} tasks"),
        "first byte s",
        "all s",
        "bytes",
        "peak MiB"
    );
    let none = Duration::ZERO;
    row(out, "before", none, none, 0, peak_mib(&service));
    let mut slowest = none;
    for time in ["first", "again"] {
        let began = Instant::now();
        let get = client.get(format!("{base}workbook"));
        let mut answer = get
            .header("cookie", &cookie)
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        let mut first = None;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.expect("more of it") {
            first.get_or_insert_with(|| began.elapsed());
            bytes += chunk.len();
        }
        let first = first.expect("a byte");
        slowest = slowest.max(first);
        row(out, time, first, began.elapsed(), bytes, peak_mib(&service));
    }
    let verdict = |reached| if reached { "reached" } else { "NOT REACHED" };
    let (first, most) = (FIRST_BYTE.as_secs(), MOST_MIB);
    let (soon, small) = (slowest < FIRST_BYTE, peak_mib(&service) < MOST_MIB);
    for (what, reached) in [
        (format!("first byte below {first} s"), soon),
        (format!("service below {most} MiB"), small),
    ] {
        let _ = writeln!(out, "{what:<28} {}", verdict(reached));
    }
}

/// The most memory that the service held since it started.
fn peak_mib(of: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", of.0.id()));
    let status = status.expect("its state");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a number").div_ceil(1024)
}

fn row(out: &mut String, name: &str, first: Duration, all: Duration, bytes: usize, peak: u64) {
    let (first, all) = (first.as_secs_f64(), all.as_secs_f64());
    let line = format!("{name:<28} {first:>12.2} {all:>9.2} {bytes:>11} {peak:>9}");
    eprintln!("{line}");
    let _ = writeln!(out, "{line}");
}

fn program(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nqsync"));
    command.args(args).arg("--dir").arg(dir);
    command
}

fn run(dir: &Path, args: &[&str]) -> Value {
    let output = program(dir, args)
        .arg("--json")
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Where the pages are, once the service says so.
async fn console(dir: &Path) -> String {
    for _ in 0..600 {
        let output = program(dir, &["status", "--json"])
            .output()
            .expect("it starts");
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if let Some(address) = status["console"].as_str() {
            return address.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the service says no address")
}

async fn plant(dir: &Path, rows: usize) {
    let options = StoreOptions::new(dir);
    let store = Store::open(&options).expect("a store");
    let now_ms = Clock::system().now_ms();
    let numbers: Vec<usize> = (1..=rows).collect();
    for some in numbers.chunks(TOGETHER) {
        let some = some.to_vec();
        let saved = store.write(move |tx| {
            let issuer = tx.unit()?;
            for number in some {
                let acting = Acting {
                    unit: issuer,
                    person: "cán bộ".to_owned(),
                    now_ms,
                };
                let facts = Facts::Task {
                    issuer,
                    parent: None,
                };
                let due = format!("2026-{:02}-15", 1 + number % 12);
                let values = BTreeMap::from([
                    (
                        "group".to_owned(),
                        json!({ "code": "II", "title": "Hạ tầng số và dữ liệu" }),
                    ),
                    ("number".to_owned(), json!(number.to_string())),
                    (
                        "title".to_owned(),
                        json!(format!(
                            "Số hóa hồ sơ, kết quả giải quyết thủ tục hành chính, phần {number}"
                        )),
                    ),
                    (
                        "deliverable".to_owned(),
                        json!("Báo cáo kết quả kèm biên bản nghiệm thu"),
                    ),
                    (
                        "lead".to_owned(),
                        json!({ "text": "BO", "units": [issuer] }),
                    ),
                    (
                        "deadline".to_owned(),
                        json!({ "text": due, "kind": "date", "due": due }),
                    ),
                ]);
                let written = write::create(tx, &acting, facts, values, None)?;
                nqsync::node::rollups::touched(tx, &written.record, None)?;
            }
            Ok::<_, Refusal>(())
        });
        saved.await.expect("saved");
    }
}
