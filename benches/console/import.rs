//! An import of a month's reports, beside a loop that puts the same rows into a bare SQLite table.

use std::fmt::Write as _;
use std::time::Instant;

use nqsync::api::{Command, ImportKind};
use nqsync::sheet::records::{Records, ReportRow};
use rusqlite::Connection;
use serde_json::json;

use crate::province::{Province, code};

pub async fn measure(province: &Province, out: &mut String) {
    let size = province.size;
    let period = province.period.next();
    let mut rows = Vec::new();
    for commune in 0..size.communes {
        for task in 0..size.tasks {
            rows.push(ReportRow {
                row: rows.len() as u32 + 2,
                task: format!("{}", task + 1),
                unit: code(commune),
                period: Some(period),
                status: Some("in_progress".to_owned()),
                percent: Some("40".to_owned()),
                numerator: None,
                denominator: None,
                result: "Đã rà soát và nhập dữ liệu của các thôn".to_owned(),
                difficulties: String::new(),
                next_steps: String::new(),
            });
        }
    }
    let count = rows.len();
    let bare = bare(province, &rows);
    let table = json!(Records {
        rows,
        remarks: Vec::new(),
    });
    let import = |dry_run| Command::Import {
        kind: ImportKind::Reports,
        source: "thang.xlsx".to_owned(),
        table: table.clone(),
        dry_run,
    };
    let _ = writeln!(
        out,
        "\n{:<44} {:>9} {:>9} {:>9}",
        "import of reports", "s", "us a row", "to bare"
    );
    for (name, dry_run) in [
        ("read and planned", true),
        ("imported", false),
        ("the same again", false),
    ] {
        let began = Instant::now();
        let answer = province.ask(import(dry_run)).await;
        let took = began.elapsed().as_secs_f64();
        assert_eq!(answer["refused"], 0, "{}", answer["remarks"][0]);
        line(out, name, took, count, bare);
    }
    line(
        out,
        "SQLite: the same rows into a bare table",
        bare,
        count,
        bare,
    );
}

fn line(out: &mut String, name: &str, took: f64, count: usize, bare: f64) {
    let row = took / count as f64 * 1e6;
    eprintln!("{name:<44} {took:>9.2} {row:>9.1} {:>9.1}", took / bare);
    let _ = writeln!(
        out,
        "{name:<44} {took:>9.2} {row:>9.1} {:>9.1}",
        took / bare
    );
}

fn bare(province: &Province, rows: &[ReportRow]) -> f64 {
    let mut connection = Connection::open(province.dir.path().join("bare.db")).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE row (task TEXT, unit TEXT, period TEXT, body TEXT, PRIMARY KEY (task, unit, period)) STRICT",
        )
        .expect("a table");
    let began = Instant::now();
    let transaction = connection.transaction().expect("a transaction");
    for row in rows {
        let body = serde_json::to_string(row).expect("plain values");
        let period = row.period.map(|period| period.to_string());
        transaction
            .prepare_cached("INSERT INTO row VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute((&row.task, &row.unit, period, body)))
            .expect("a row");
    }
    transaction.commit().expect("a commit");
    began.elapsed().as_secs_f64()
}
