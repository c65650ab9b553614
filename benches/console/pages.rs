//! Every page, asked for by HTTP.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use nqsync::api::{Command, Role};
use nqsync::config;
use nqsync::console;
use nqsync::daemon::service::Service;
use nqsync::trust::password;
use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::province::{Province, code};

const PASSWORD: &str = "ba con vịt xoè ra hai cái cánh";
/// How often each page is asked for; the first time is not counted.
const TIMES: usize = 7;

pub async fn measure(province: &Province, out: &mut String) {
    let secret = password::hash("an", PASSWORD).expect("a password");
    let add = Command::UserAdd {
        name: "an".to_owned(),
        role: Role::Administrator,
        secret,
    };
    province.ask(add).await;
    let config = config::Console {
        address: "127.0.0.1:0".to_owned(),
        names: Vec::new(),
        idle_logout_s: config::Seconds(Duration::from_secs(3600)),
    };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let service = Service::new(&province.node, None);
    let zone = province.node.settings.zone.clone();
    let address = console::start(service, &config, &zone, &stop, &tasks);
    let base = format!("http://{}", address.await.expect("a console"));
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let fields = [("name", "an"), ("password", PASSWORD), ("lang", "vi")];
    let login = client.post(format!("{base}/login")).form(&fields).send();
    let login = login.await.expect("an answer");
    let cookie = login.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();

    let _ = writeln!(
        out,
        "{:<44} {:>9} {:>9} {:>9}",
        "page", "median ms", "worst ms", "bytes"
    );
    for path in paths(province) {
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..=TIMES {
            let began = Instant::now();
            let request = client
                .get(format!("{base}{path}"))
                .header("cookie", &cookie);
            let answer = request.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            bytes = answer.bytes().await.expect("a page").len();
            took.push(began.elapsed());
        }
        row(out, &path, &mut took[1..], bytes);
    }
    floor(province, out);
    stop.cancel();
}

fn paths(province: &Province) -> Vec<String> {
    let (period, task) = (province.period, province.tasks[7]);
    let before = period.previous();
    let unit = code(3);
    [
        "/".to_owned(),
        "/tree".to_owned(),
        "/tasks".to_owned(),
        "/tasks?page=4".to_owned(),
        format!("/tasks?period={before}&status=in_progress_late"),
        "/tasks?text=so+hoa&status=not_reported".to_owned(),
        format!("/tasks?unit={unit}"),
        "/tasks/new".to_owned(),
        format!("/tasks/{task}"),
        format!("/tasks/{task}?period={before}"),
        format!("/tasks/{task}/edit"),
        format!("/tasks/{task}/reports/{unit}/{period}"),
        "/evidence".to_owned(),
        "/evidence?page=9".to_owned(),
        "/conflicts".to_owned(),
        "/rollup".to_owned(),
        "/rollup?by=unit".to_owned(),
        "/rollup?by=issuer".to_owned(),
        format!("/rollup?unit={unit}"),
        format!("/rollup?period={before}&by=unit"),
        "/scores".to_owned(),
        "/calendar".to_owned(),
        "/warnings".to_owned(),
        "/warnings?all=1&kind=overdue".to_owned(),
        "/periods".to_owned(),
        format!("/periods?period={before}"),
        format!("/periods/{period}/{unit}"),
        "/adapters".to_owned(),
        "/node".to_owned(),
        "/sync".to_owned(),
        "/desk".to_owned(),
        "/audit".to_owned(),
        "/users".to_owned(),
    ]
    .into()
}

fn row(out: &mut String, name: &str, took: &mut [Duration], bytes: usize) {
    took.sort_unstable();
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let (median, worst) = (ms(took[took.len() / 2]), ms(took[took.len() - 1]));
    let short = match name.char_indices().nth(43) {
        Some((at, _)) => &name[..at],
        None => name,
    };
    eprintln!("{short:<44} {median:>9.1} {worst:>9.1} {bytes:>9}");
    let _ = writeln!(out, "{short:<44} {median:>9.1} {worst:>9.1} {bytes:>9}");
}

/// What SQLite alone takes for the rows that the larger pages are about.
fn floor(province: &Province, out: &mut String) {
    let path = province.dir.path().join("store/store.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).expect("the store");
    let period = province.period.to_string();
    let questions = [
        (
            "SQLite: all reports of the period",
            "SELECT edits FROM record WHERE kind = 2 AND period = ?1",
        ),
        (
            "SQLite: their rows in `standing`",
            "SELECT task, unit, at FROM standing WHERE ends BETWEEN ?1 || '-01' AND ?1 || '-31'",
        ),
        (
            "SQLite: every report",
            "SELECT edits FROM record WHERE kind = 2 AND ?1 <> ''",
        ),
    ];
    for (name, sql) in questions {
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..TIMES {
            let began = Instant::now();
            let mut statement = connection.prepare(sql).expect("a question");
            let mut rows = statement.query([&period]).expect("rows");
            bytes = 0;
            while let Some(row) = rows.next().expect("a row") {
                bytes += row
                    .get_ref(0)
                    .map_or(0, |value| value.as_bytes().map_or(0, <[u8]>::len));
            }
            took.push(began.elapsed());
        }
        row(out, name, &mut took, bytes);
    }
}
