//! The floor: what SQLite alone takes for the same records, in the same run on the same disk.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::data::{Dice, Report, TASKS};

const BATCH: usize = 1_000;

/// One thread, `synchronous=FULL`, batches of 1,000, default checkpoint: 14 columns under a text uuid v4, one index,
/// one change log.
pub fn load(dir: &Path, records: usize) -> Duration {
    let rows: Vec<(String, String, Report)> = (0..records)
        .map(|index| {
            let mut dice = Dice::new(1, index as u64);
            let report = Report::numbered(index, 0, TASKS);
            (
                dice.uuid().to_string(),
                Dice::new(3, report.task as u64).uuid().to_string(),
                report,
            )
        })
        .collect();
    let (unit, issuer) = (
        Dice::new(4, 0).uuid().to_string(),
        Dice::new(4, 1).uuid().to_string(),
    );
    let connection = Connection::open(dir.join("floor.db")).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE report (id TEXT PRIMARY KEY, task TEXT NOT NULL, unit TEXT NOT NULL, issuer TEXT NOT NULL,
                 period TEXT NOT NULL, status TEXT NOT NULL, percent TEXT NOT NULL, result TEXT NOT NULL,
                 difficulties TEXT NOT NULL, next_steps TEXT NOT NULL, by TEXT NOT NULL, at INTEGER NOT NULL,
                 version INTEGER NOT NULL, deleted INTEGER NOT NULL);
             CREATE INDEX report_by_task ON report (task, period);
             CREATE TABLE change (number INTEGER PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL);",
        )
        .expect("its tables");
    let began = Instant::now();
    for batch in rows.chunks(BATCH) {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begin");
        for (id, task, row) in batch {
            upsert(&connection, [id, task, &unit, &issuer], row);
        }
        connection.execute_batch("COMMIT").expect("commit");
    }
    began.elapsed()
}

fn upsert(connection: &Connection, ids: [&String; 4], row: &Report) {
    let [id, task, unit, issuer] = ids;
    connection
        .prepare_cached(
            "INSERT INTO report VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, 0)
             ON CONFLICT (id) DO UPDATE SET status = ?6, percent = ?7, result = ?8, difficulties = ?9,
                 next_steps = ?10, by = ?11, at = ?12, version = version + 1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                task,
                unit,
                issuer,
                row.period,
                row.status,
                row.percent,
                row.result,
                row.difficulties,
                row.next_steps,
                super::PERSON,
                1_774_148_400_000_i64
            ])
        })
        .expect("an upsert");
    connection
        .prepare_cached("INSERT INTO change (id, version) VALUES (?1, 1)")
        .and_then(|mut statement| statement.execute([id]))
        .expect("a change");
}

/// The median time of one small append with its sync, on the same disk: what no durable commit can be faster than.
pub fn sync_time(dir: &Path) -> Duration {
    use std::io::Write;
    let mut file = std::fs::File::create(dir.join("sync.dat")).expect("a file");
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[7; 4096])
                .and_then(|()| file.sync_data())
                .expect("a sync");
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
