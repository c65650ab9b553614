//! A month of a province, from assignment to the closed consolidation, at five real services: once by the forms of the
//! console, once by commands only. Both ways end in the same workbooks.
//!
//! Left out of the comparison: the moments at which something was done (the hour and minute of the cells that show one),
//! because the two months are two. Nothing else is: no id of a record stands in a workbook.

mod support;

use std::fs;

use serde_json::Value;
use support::browser::Browser;
use support::console::{CONSOLE, add_user, logged_in};
use support::machine::{Machine, SOON, Service, until};

/// The places, from the top.
const MINISTRY: usize = 0;
const PROVINCE: usize = 1;
const COMMUNES: [usize; 3] = [2, 3, 4];
const UNITS: [&str; 5] = ["BO", "79", "26734", "26737", "26740"];

/// Five machines with their services.
struct Machines {
    all: Vec<Machine>,
    period: String,
    _running: Vec<Service>,
}

impl Machines {
    fn new() -> Machines {
        let open = ["sync.debounce_ms=10", CONSOLE];
        let quick = [&SOON[..], &open].concat();
        let ministry = Machine::ministry(UNITS[MINISTRY]);
        let mut running = vec![ministry.serve_with(&open)];
        let province = Machine::child(&ministry, UNITS[PROVINCE], "province");
        let below = |above: &Machine| format!("upstream.url=https://{}", above.address());
        let up = below(&ministry);
        running.push(province.serve_with(&[&quick[..], &[&up]].concat()));
        let mut all = vec![ministry, province];
        for commune in COMMUNES {
            let machine = Machine::child(&all[PROVINCE], UNITS[commune], "commune");
            let up = below(&all[PROVINCE]);
            running.push(machine.serve_with(&[&quick[..], &[&up]].concat()));
            all.push(machine);
        }
        let list = all[PROVINCE].run(&["period", "list", "--json"]).expect(0);
        let period = list.json()["period"].as_str().expect("a period").to_owned();
        Machines {
            all,
            period,
            _running: running,
        }
    }

    /// What a verb shows at a place.
    fn json(&self, at: usize, line: &[&str]) -> Value {
        let ran = self.all[at].run(&[line, &["--json"]].concat());
        match ran.code {
            0 => ran.json(),
            _ => Value::Null,
        }
    }

    /// Waits until a task is known.
    fn arrives(&self, at: usize, task: &str) {
        until(task, || {
            (!self.json(at, &["task", "show", task]).is_null()).then_some(())
        });
    }

    /// A field of a report, as a place shows it.
    fn report(&self, at: usize, task: &str, unit: usize, field: &str) -> Value {
        let line = ["report", "show", task, "--unit", UNITS[unit]];
        self.json(at, &line)[field].clone()
    }

    fn reads(&self, at: usize, task: &str, unit: usize, field: &str, value: &str) {
        until(&format!("{task} {field} {value}"), || {
            (self.report(at, task, unit, field) == value).then_some(())
        });
    }

    /// Waits until the period of a unit stands so.
    fn stands(&self, at: usize, unit: usize, state: &str) {
        let line = ["period", "show", UNITS[unit]];
        until(&format!("{} {state}", UNITS[unit]), || {
            (self.json(at, &line)["state"] == state).then_some(())
        });
    }
}

/// The deeds of a month, done in one way or another.
trait Hands {
    fn machines(&self) -> &Machines;
    fn assign(&self, at: usize, task: &[(&str, &str)]);
    fn report(&self, at: usize, task: &str, values: &[(&str, &str)], submit: bool);
    /// Two people fill in the same field, neither having seen what the other did.
    fn write_at_once(&self, at: usize, task: &str, results: [&str; 2]);
    /// Settles the only conflict there is.
    fn settle(&self, at: usize, take: &str);
    fn attach(&self, at: usize, task: &str, name: &str, bytes: &[u8]);
    fn judge(&self, at: usize, task: &str, unit: usize, verdict: &str, reason: &str);
    fn submit_period(&self, at: usize);
    fn decide(&self, at: usize, unit: usize, step: &str, reason: &str);
    fn workbook(&self, at: usize) -> Vec<u8>;
}

/// By the forms of the console.
struct ByConsole {
    machines: Machines,
    browsers: Vec<Browser>,
}

impl ByConsole {
    fn new() -> ByConsole {
        let machines = Machines::new();
        let logged = machines.all.iter().map(|machine| {
            // The same name as the commands'.
            add_user(machine, "lan", "administrator");
            logged_in(machine, "lan", "vi")
        });
        ByConsole {
            browsers: logged.collect(),
            machines,
        }
    }

    fn path(&self, task: &str, unit: usize) -> String {
        let task = task.replace('/', "%2F");
        format!(
            "/tasks/{task}/reports/{}/{}",
            UNITS[unit], self.machines.period
        )
    }

    #[track_caller]
    fn send(&self, at: usize, path: &str, fields: &[(&str, &str)]) {
        let page = self.browsers[at].post_and_look(path, fields);
        // What the form came to stands first.
        let flashes = page.flashes();
        let done = flashes
            .first()
            .is_some_and(|flash| flash.starts_with("done"));
        assert!(done, "{path}: {flashes:?}");
    }
}

impl Hands for ByConsole {
    fn machines(&self) -> &Machines {
        &self.machines
    }

    fn assign(&self, at: usize, task: &[(&str, &str)]) {
        self.send(at, "/tasks/new", task);
    }

    fn report(&self, at: usize, task: &str, values: &[(&str, &str)], submit: bool) {
        let path = self.path(task, at);
        let shown = self.browsers[at].get(&path).expect(200);
        let token = shown.hidden("token");
        let mut fields = values.to_vec();
        fields.push(("token", &token));
        if submit {
            fields.push(("submit", "1"));
        }
        self.send(at, &path, &fields);
    }

    fn write_at_once(&self, at: usize, task: &str, results: [&str; 2]) {
        let path = self.path(task, at);
        let token = self.browsers[at].get(&path).expect(200).hidden("token");
        for result in results {
            self.send(at, &path, &[("result", result), ("token", &token)]);
        }
    }

    fn settle(&self, at: usize, take: &str) {
        let list = self.browsers[at].get("/conflicts").expect(200).text;
        let (_, rest) = list.split_once("href=\"/conflicts/").expect("a conflict");
        let id = rest.split('"').next().expect("an id");
        self.send(
            at,
            &format!("/conflicts/{id}"),
            &[("take", take), ("reason", "số đúng")],
        );
    }

    fn attach(&self, at: usize, task: &str, name: &str, bytes: &[u8]) {
        let path = format!("{}/evidence", self.path(task, at));
        self.browsers[at].upload(&path, name, bytes).expect(303);
    }

    fn judge(&self, at: usize, task: &str, unit: usize, verdict: &str, reason: &str) {
        let path = format!("{}/verdict", self.path(task, unit));
        self.send(at, &path, &[("verdict", verdict), ("reason", reason)]);
    }

    fn submit_period(&self, at: usize) {
        self.send(at, "/periods", &[("period", &self.machines.period)]);
    }

    fn decide(&self, at: usize, unit: usize, step: &str, reason: &str) {
        let path = format!("/periods/{}/{}", self.machines.period, UNITS[unit]);
        self.send(at, &path, &[("step", step), ("reason", reason)]);
    }

    fn workbook(&self, at: usize) -> Vec<u8> {
        let browser = &self.browsers[at];
        let path = format!("/workbook?period={}", self.machines.period);
        browser.bytes(browser.request(reqwest::Method::GET, &path))
    }
}

/// By commands.
struct ByCommands(Machines);

impl ByCommands {
    #[track_caller]
    fn run(&self, at: usize, line: &[&str]) -> Value {
        self.0.all[at]
            .run(&[line, &["--json"]].concat())
            .expect(0)
            .json()
    }

    /// Fields as flags.
    fn flags<'f>(fields: &[(&'f str, &'f str)]) -> Vec<String> {
        let flags = fields.iter().flat_map(|(name, value)| {
            [format!("--{}", name.replace('_', "-")), (*value).to_owned()]
        });
        flags.collect()
    }

    #[track_caller]
    fn with_flags(&self, at: usize, line: &[&str], fields: &[(&str, &str)]) -> Value {
        let flags = Self::flags(fields);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.run(at, &[line, &flags].concat())
    }
}

impl Hands for ByCommands {
    fn machines(&self) -> &Machines {
        &self.0
    }

    fn assign(&self, at: usize, task: &[(&str, &str)]) {
        self.with_flags(at, &["task", "add"], task);
    }

    fn report(&self, at: usize, task: &str, values: &[(&str, &str)], submit: bool) {
        let mut line = vec!["report", "set", task];
        if submit {
            line.push("--submit");
        }
        self.with_flags(at, &line, values);
    }

    fn write_at_once(&self, at: usize, task: &str, results: [&str; 2]) {
        let shown = self.run(at, &["report", "show", task]);
        let token = shown["token"].as_str().expect("a mark");
        for result in results {
            self.run(
                at,
                &["report", "set", task, "--result", result, "--token", token],
            );
        }
    }

    fn settle(&self, at: usize, take: &str) {
        let list = self.run(at, &["conflict", "list"]);
        let id = list["items"][0]["id"].as_str().expect("a conflict");
        let line = [
            "conflict",
            "resolve",
            id,
            "--take",
            take,
            "--reason",
            "số đúng",
        ];
        self.run(at, &line);
    }

    fn attach(&self, at: usize, task: &str, name: &str, bytes: &[u8]) {
        let file = self.0.all[at].at(name);
        fs::write(&file, bytes).expect("room");
        self.run(at, &["evidence", "add", task, file.to_str().expect("text")]);
    }

    fn judge(&self, at: usize, task: &str, unit: usize, verdict: &str, reason: &str) {
        let line = [
            "evidence",
            verdict,
            task,
            "--unit",
            UNITS[unit],
            "--reason",
            reason,
        ];
        self.run(at, &line);
    }

    fn submit_period(&self, at: usize) {
        self.run(at, &["period", "submit", "--period", &self.0.period]);
    }

    fn decide(&self, at: usize, unit: usize, step: &str, reason: &str) {
        let when = ["--period", &self.0.period, "--reason", reason];
        self.run(at, &[&["period", step, UNITS[unit]][..], &when].concat());
    }

    fn workbook(&self, at: usize) -> Vec<u8> {
        let machine = &self.0.all[at];
        let file = machine.at("thang.xlsx");
        let path = file.to_str().expect("text");
        let line = [
            "--lang",
            "vi",
            "workbook",
            path,
            "--period",
            &self.0.period,
            "--overwrite",
        ];
        machine.run(&line).expect(0);
        fs::read(&file).expect("it was written")
    }
}

/// The whole month.
fn month(hands: &dyn Hands) {
    let machines = hands.machines();
    let [first, second, third] = COMMUNES;
    let task = |group: &'static str, number: &'static str, title: &'static str, lead: usize| {
        [
            ("group", group),
            ("number", number),
            ("title", title),
            ("lead", UNITS[lead]),
            ("deadline", "31/12/2099"),
            ("deliverable", "Biên bản"),
            ("kpi", "3 máy"),
        ]
    };
    hands.assign(MINISTRY, &task("I", "1", "Nối mạng toàn tỉnh", PROVINCE));
    hands.assign(MINISTRY, &task("I", "2", "Tập huấn cán bộ", first));
    for (number, lead) in [("1", first), ("2", second), ("3", third)] {
        hands.assign(PROVINCE, &task("III", number, "Lắp máy trạm", lead));
    }
    for (at, task) in [
        (PROVINCE, "I/1"),
        (first, "I/2"),
        (first, "III/1"),
        (second, "III/2"),
        (third, "III/3"),
    ] {
        machines.arrives(at, task);
    }

    // Done, sent back with a reason, mended, accepted.
    hands.attach(first, "III/1", "bien-ban.txt", b"chua co dau");
    let done = [
        ("status", "completed"),
        ("percent", "100"),
        ("result", "Đã lắp 3 máy"),
    ];
    hands.report(first, "III/1", &done, true);
    machines.reads(PROVINCE, "III/1", first, "result", "Đã lắp 3 máy");
    until("the file waits for its verdict", || {
        let waits = machines.report(PROVINCE, "III/1", first, "to_verify") == true;
        let files = machines.json(PROVINCE, &["evidence", "list", "--task", "III/1"]);
        (waits && files["items"][0]["state"] == "present").then_some(())
    });
    hands.judge(PROVINCE, "III/1", first, "reject", "thiếu con dấu");
    machines.reads(first, "III/1", first, "status", "awaiting_correction");
    hands.attach(first, "III/1", "bien-ban-2.txt", "có dấu".as_bytes());
    hands.report(first, "III/1", &[("result", "Đã lắp 3 máy, có dấu")], true);
    machines.reads(PROVINCE, "III/1", first, "result", "Đã lắp 3 máy, có dấu");
    until("both files are there", || {
        let files = machines.json(PROVINCE, &["evidence", "list", "--task", "III/1"]);
        let files = files["items"].as_array().cloned().unwrap_or_default();
        let whole = files.len() == 2 && files.iter().all(|file| file["state"] == "present");
        let waits = machines.report(PROVINCE, "III/1", first, "to_verify") == true;
        (whole && waits).then_some(())
    });
    hands.judge(PROVINCE, "III/1", first, "accept", "đủ");

    // Two write at once; one of them was right.
    hands.report(
        second,
        "III/2",
        &[
            ("status", "in_progress"),
            ("percent", "60"),
            ("result", "trước"),
        ],
        false,
    );
    hands.write_at_once(second, "III/2", ["lắp 1 máy", "lắp 2 máy"]);
    hands.settle(second, "2");
    let settled = machines.report(second, "III/2", second, "result");
    hands.report(second, "III/2", &[("difficulties", "thiếu dây")], true);

    hands.report(
        third,
        "III/3",
        &[
            ("status", "in_progress"),
            ("percent", "30"),
            ("result", "lắp 1 máy"),
        ],
        true,
    );
    hands.report(
        first,
        "I/2",
        &[
            ("status", "continuing"),
            ("percent", "50"),
            ("result", "một lớp"),
        ],
        true,
    );
    hands.report(
        PROVINCE,
        "I/1",
        &[
            ("status", "in_progress"),
            ("percent", "40"),
            ("result", "4 xã"),
        ],
        true,
    );

    // The communes say that all is in; one is asked for a correction.
    for commune in COMMUNES {
        hands.submit_period(commune);
        machines.stands(PROVINCE, commune, "submitted");
    }
    machines.reads(PROVINCE, "III/3", third, "percent", "30");
    hands.decide(PROVINCE, third, "return", "III/3 chưa khớp biên bản");
    machines.stands(third, third, "returned");
    hands.report(
        third,
        "III/3",
        &[("percent", "45"), ("result", "lắp 1 máy, nối mạng")],
        true,
    );
    hands.submit_period(third);
    machines.reads(PROVINCE, "III/3", third, "percent", "45");
    machines.stands(PROVINCE, third, "submitted");
    for commune in COMMUNES {
        hands.decide(PROVINCE, commune, "accept", "đúng");
    }

    // The province consolidates; what was accepted is closed.
    machines.reads(
        PROVINCE,
        "III/2",
        second,
        "result",
        settled.as_str().expect("text"),
    );
    hands.submit_period(PROVINCE);
    machines.stands(MINISTRY, PROVINCE, "submitted");
    hands.decide(MINISTRY, PROVINCE, "accept", "");
    for commune in COMMUNES {
        hands.decide(PROVINCE, commune, "close", "");
        machines.stands(commune, commune, "locked");
    }
    hands.decide(MINISTRY, PROVINCE, "close", "");
    machines.stands(PROVINCE, PROVINCE, "locked");
}

/// What stands in a workbook, cell by cell.
fn cells(bytes: &[u8]) -> Vec<String> {
    use calamine::Reader;
    let mut book: calamine::Xlsx<_> =
        calamine::Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
    let sheets = book.worksheets();
    let cells = sheets.iter().flat_map(|(name, range)| {
        let name = name.clone();
        range.used_cells().map(move |(row, column, cell)| {
            format!("{name} {row} {column} {}", without_hours(&cell.to_string()))
        })
    });
    cells.collect()
}

/// A text without the hours and minutes in it.
fn without_hours(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let digit = |at: Option<usize>| {
        at.and_then(|at| chars.get(at))
            .is_some_and(char::is_ascii_digit)
    };
    let is_hour = |n: usize| {
        let near = |mark: usize| {
            chars.get(mark) == Some(&':') && digit(mark.checked_sub(1)) && digit(Some(mark + 1))
        };
        chars[n].is_ascii_digit() && (n.saturating_sub(2)..=n + 2).any(near)
    };
    (0..chars.len())
        .map(|n| if is_hour(n) { '·' } else { chars[n] })
        .collect()
}

#[test]
fn a_month_by_hand_and_a_month_by_commands_end_in_the_same_workbooks() {
    let (by_hand, by_commands) = std::thread::scope(|scope| {
        let by_hand = scope.spawn(|| {
            let hands = ByConsole::new();
            month(&hands);
            hands
        });
        let hands = ByCommands(Machines::new());
        month(&hands);
        (by_hand.join().expect("a month"), hands)
    });
    for at in [PROVINCE, MINISTRY] {
        // What is still under way between the levels comes; that both ways end alike is what is asked.
        let mut last = (Vec::new(), Vec::new());
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while std::time::Instant::now() < end {
            last = (
                cells(&by_hand.workbook(at)),
                cells(&by_commands.workbook(at)),
            );
            if last.0 == last.1 && is_whole(at, &last.0) {
                break;
            }
        }
        let (one, other) = last;
        assert_eq!(one, other);
        assert!(is_whole(at, &one), "{one:#?}");
    }
}

/// Whether everything that the month came to stands in it.
fn is_whole(at: usize, cells: &[String]) -> bool {
    let known = |text: &str| cells.iter().any(|cell| cell.contains(text));
    let all = match at {
        MINISTRY => [
            "Nối mạng toàn tỉnh",
            "Tập huấn cán bộ",
            "4 xã",
            "một lớp",
            "đã khóa",
        ],
        _ => [
            "Đã lắp 3 máy, có dấu",
            "lắp 1 máy, nối mạng",
            "thiếu dây",
            "một lớp",
            "đã khóa",
        ],
    };
    all.into_iter().all(known)
}
