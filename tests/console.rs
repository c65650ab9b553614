//! The console of real services: every page in both languages, and the day's work done by its forms.

mod support;

use std::os::unix::fs::PermissionsExt;

use support::browser::Browser;
use support::console::{CONSOLE, add_user, logged_in, pair, period};
use support::machine::until;
use support::pair::Pair;

#[test]
fn every_page_opens_in_both_languages_and_shows_no_missing_sentence() {
    let pair = pair();
    pair.passes("một nửa");
    let period = period(&pair);
    let report = format!("/tasks/{}/reports/24001/{period}", pair.task);
    for (machine, lang) in [
        (&pair.commune, "vi"),
        (&pair.commune, "en"),
        (&pair.ministry, "vi"),
        (&pair.ministry, "en"),
    ] {
        let browser = logged_in(machine, "an", lang);
        for path in [
            "/",
            "/tree",
            "/tasks",
            "/tasks?text=viec&status=not_reported&page=1",
            "/tasks/new",
            &format!("/tasks/{}", pair.task),
            &format!("/tasks/{}/edit", pair.task),
            &report,
            "/evidence",
            "/conflicts",
            "/rollup",
            "/rollup?by=unit",
            "/rollup?by=issuer",
            "/warnings?all=1&kind=overdue",
            "/calendar",
            "/scores",
            "/calendar?from=2026-01-01&to=2026-12-31",
            "/periods",
            &format!("/periods/{period}/24001"),
            "/adapters",
            "/connect",
            "/connect?template=tracker",
            "/connect?template=lgsp",
            "/node",
            "/sync",
            "/desk",
            "/audit",
            "/audit?verify=1",
            "/users",
            "/password",
        ] {
            let page = browser.get(path).expect(200);
            assert!(
                page.text.contains(&format!("<html lang=\"{lang}\">")),
                "{path}"
            );
            for key in ["console-", "label-", "word-", "err-"] {
                let shown = page
                    .text
                    .split('>')
                    .filter_map(|part| part.split('<').next());
                for text in shown {
                    assert!(!text.contains(key), "{path} {lang}: {text}");
                }
            }
        }
        assert!(
            browser
                .get("/nothing")
                .expect(404)
                .text
                .contains("class=\"flash failed\"")
        );
    }
}

#[test]
fn a_commune_reports_with_evidence_and_the_level_above_sends_it_back() {
    let pair = pair();
    let period = period(&pair);
    let path = format!("/tasks/{}/reports/24001/{period}", pair.task);
    let below = logged_in(&pair.commune, "an", "en");
    let done = [
        ("status", "completed"),
        ("percent", "100"),
        ("result", "Đã xong\nhai dòng"),
        ("submit", "1"),
    ];
    // What was typed is still there when it is refused.
    let refused = below.post(&path, &done).expect(400);
    assert!(
        refused.text.contains("without evidence"),
        "{:?}",
        refused.flashes()
    );
    assert!(refused.text.contains("Đã xong\nhai dòng"));

    let name = "../../bien ban <b>\u{202e}.pdf";
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    below
        .upload(&format!("{path}/evidence"), name, &bytes)
        .expect(303);
    let page = below.get(&path).expect(200);
    assert!(page.text.contains("bien ban &lt;b&gt;"), "the name is data");
    assert!(!page.text.contains("bien ban <b>"));
    let incoming = pair.commune.at("incoming").read_dir().map(Iterator::count);
    assert_eq!(incoming.unwrap_or(0), 0, "nothing is left of the upload");

    let token = page.hidden("token");
    let again = [&done[..], &[("token", token.as_str())]].concat();
    let seen = below.post_and_look(&path, &again);
    assert!(
        seen.flashes().iter().any(|f| f.starts_with("done")),
        "{:?}",
        seen.flashes()
    );

    // At the level above: the file is whole, and a verdict without a reason is refused.
    let above = logged_in(&pair.ministry, "an", "en");
    let desk = until("the report waits with its file", || {
        let desk = above.get("/evidence").expect(200);
        desk.text.contains("/file\"").then_some(desk)
    });
    let (_, rest) = desk.text.split_once("href=\"/evidence/").expect("a link");
    let id = rest.split('/').next().expect("an id");
    let file = above.get(&format!("/evidence/{id}/file")).expect(200);
    assert_eq!(file.headers["content-type"], "application/pdf");
    assert!(
        file.headers["content-disposition"]
            .to_str()
            .expect("text")
            .contains("%3Cb%3E")
    );
    let verdict = format!("{path}/verdict");
    let seen = above.post_and_look(&verdict, &[("verdict", "reject")]);
    assert!(
        seen.flashes()[0].starts_with("failed"),
        "{:?}",
        seen.flashes()
    );
    let reject = [
        ("verdict", "reject"),
        ("reason", "thiếu con dấu"),
        ("back", "evidence"),
    ];
    let seen = above.post_and_look(&verdict, &reject);
    assert!(
        seen.text.contains("Nothing waits to be verified"),
        "{:?}",
        seen.flashes()
    );

    // The commune reads why.
    until("the reason is shown", || {
        let page = below.get(&path).expect(200);
        page.text.contains("thiếu con dấu").then_some(())
    });
    let today = below.get("/").expect(200);
    assert!(
        today
            .text
            .contains("class=\"todo\"><a href=\"#returned\"><strong>1")
    );
}

#[test]
fn a_task_is_issued_changed_and_withdrawn_by_its_forms() {
    let pair = pair();
    let above = logged_in(&pair.ministry, "an", "en");
    let new = [
        ("group", "III"),
        ("number", "7"),
        ("title", "Lắp máy"),
        ("deadline", "Quý IV/2026"),
        ("lead", "24001\r\n"),
        ("kpi", "3 máy"),
    ];
    let refused = above.post(
        "/tasks/new",
        &[&new[..3], &[("deadline", "31/02/2026")]].concat(),
    );
    assert!(
        refused
            .expect(400)
            .text
            .contains("value=\"31&#x2f;02&#x2f;2026\"")
    );
    let page = above.post_and_look("/tasks/new", &new);
    assert!(page.text.contains("Lắp máy"));
    let (_, rest) = page.text.split_once("href=\"/tasks/").expect("a link");
    let id = rest.split('/').next().expect("an id").to_owned();
    let edit = format!("/tasks/{id}/edit");
    let token = above.get(&edit).expect(200).hidden("token");
    let change = [&new[..], &[("kpi", ""), ("token", token.as_str())]].concat();
    let change: Vec<_> = change
        .into_iter()
        .filter(|f| *f != ("kpi", "3 máy"))
        .collect();
    above.post_and_look(&edit, &change);
    let line = ["task", "show", &id, "--json"];
    let task = pair.ministry.run(&line).expect(0).json();
    assert_eq!(
        (&task["kpi"], &task["title"]),
        (&"".into(), &"Lắp máy".into())
    );
    let page = above.post_and_look(&format!("/tasks/{id}/withdraw"), &[("reason", "trùng")]);
    assert!(page.text.contains("Withdrawn. trùng"));
}

#[test]
fn a_conflict_is_settled_with_one_press() {
    let pair = pair();
    pair.passes("trước");
    // Two forms that were opened at the same time.
    let period = period(&pair);
    let path = format!("/tasks/{}/reports/24001/{period}", pair.task);
    let browser = logged_in(&pair.commune, "an", "en");
    let token = browser.get(&path).expect(200).hidden("token");
    for result in ["một", "hai"] {
        let form = [("result", result), ("token", token.as_str())];
        browser.post(&path, &form).expect(303);
    }
    let list = browser.get("/conflicts").expect(200);
    let (_, rest) = list
        .text
        .split_once("href=\"/conflicts/")
        .expect("one conflict");
    let id = rest.split('"').next().expect("an id").to_owned();
    let shown = browser.get(&format!("/conflicts/{id}")).expect(200);
    for value in ["một", "hai", "trước"] {
        assert!(shown.text.contains(value), "{value}");
    }
    let take = [("take", "2"), ("reason", "số đúng")];
    let page = browser.post_and_look(&format!("/conflicts/{id}"), &take);
    assert!(page.text.contains("No conflicts."));
    let conflicts = pair.commune.run(&["conflict", "list", "--json"]).json();
    assert_eq!(conflicts["total"], 0);
}

#[test]
fn a_period_is_submitted_accepted_and_closed_and_an_exchange_is_watched() {
    let pair = pair();
    pair.passes("xong");
    let period = period(&pair);
    let below = logged_in(&pair.commune, "an", "en");
    let submitted = below.post_and_look("/periods", &[("period", &period)]);
    assert!(
        submitted.flashes()[0].starts_with("done"),
        "{:?}",
        submitted.flashes()
    );
    below.post("/sync", &[]).expect(303);
    until("the exchange ends", || {
        let page = below.get("/sync").expect(200);
        page.text.contains("Both sides hold the same").then_some(())
    });
    let above = logged_in(&pair.ministry, "an", "en");
    let path = format!("/periods/{period}/24001");
    until("it can be accepted", || {
        above
            .get(&path)
            .expect(200)
            .text
            .contains("value=\"accept\"")
            .then_some(())
    });
    for step in ["accept", "close"] {
        let page = above.post_and_look(&path, &[("step", step)]);
        assert!(
            page.flashes()[0].starts_with("done"),
            "{step}: {:?}",
            page.flashes()
        );
    }
    until("the commune is locked", || {
        let page = below.get(&path).expect(200);
        page.text.contains("s-locked").then_some(())
    });
}

#[test]
fn the_workbook_of_a_period_is_the_same_from_the_console_and_by_the_verb() {
    let pair = pair();
    pair.passes("đã lắp 3 máy");
    let line = [
        "report",
        "set",
        &pair.task,
        "--status",
        "in_progress",
        "--percent",
        "50",
        "--submit",
    ];
    pair.commune.run(&line).expect(0);
    let period = period(&pair);
    let submitted = ["report", "list", "--json"];
    until("it is submitted above", || {
        let list = pair.ministry.run(&submitted).json();
        (list["items"][0]["submitted"] == true).then_some(())
    });
    let browser = logged_in(&pair.ministry, "an", "vi");
    let request = browser.request(reqwest::Method::GET, &format!("/workbook?period={period}"));
    let seen = browser.bytes(request);
    let file = pair.ministry.at("b.xlsx");
    let path = file.to_str().expect("text");
    let line = ["--lang", "vi", "workbook", path, "--period", &period];
    pair.ministry.run(&line).expect(0);
    let by_verb = std::fs::read(&file).expect("written");
    let (one, other) = (cells(&seen), cells(&by_verb));
    assert_eq!(one, other);
    let known = |text: &str| one.iter().any(|cell| cell.contains(text));
    assert!(known("đã lắp 3 máy") && known("BIỂU TỔNG HỢP"), "{one:?}");
    assert!(pair.ministry.run(&line).expect(2).err.contains("b.xlsx"));
    let error = browser.get("/workbook?period=2026-77").expect(400);
    assert!(error.text.contains("class=\"flash failed\""));
}

/// What stands in a workbook; the moments at which its sheets were made are left out.
fn cells(bytes: &[u8]) -> Vec<String> {
    use calamine::Reader;
    let mut book: calamine::Xlsx<_> =
        calamine::Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
    let sheets = book.worksheets();
    let cells = sheets.iter().flat_map(|(name, range)| {
        let name = name.clone();
        range
            .used_cells()
            .map(move |(row, column, cell)| format!("{name} {row} {column} {cell}"))
    });
    let as_of = ["Số liệu đến", "Danh sách đến"];
    cells
        .filter(|cell| !as_of.iter().any(|words| cell.contains(words)))
        .collect()
}

#[test]
fn figures_and_health_are_served_without_a_login() {
    let pair = Pair::new();
    pair.passes("xong");
    let mut pair = pair;
    pair.stop_below();
    pair.serve_below(&["metrics.address=127.0.0.1:0"]);
    let log = std::fs::read_to_string(pair.commune.at("log")).expect("a log");
    let (_, rest) = log
        .rsplit_once("the figures are open url=")
        .expect("it says where");
    let url = rest
        .split_whitespace()
        .next()
        .expect("an address")
        .trim_end_matches("/metrics");
    let collector = Browser::at(url);
    assert_eq!(collector.get("/healthz").expect(200).text, "ok\n");
    assert_eq!(collector.get("/readyz").expect(200).text, "ready\n");
    until("the parent was met", || {
        let seen = collector.get("/metrics").expect(200);
        assert!(seen.text.ends_with("# EOF\n"), "{}", seen.text);
        seen.text.contains("nqsync_upstream_up 1.0").then_some(())
    });
    let refused = pair
        .commune
        .run(&["config", "check", "--set", "metrics.address=0.0.0.0:7481"]);
    assert!(refused.expect(78).err.contains("metrics.address"));
}

#[test]
fn what_comes_late_into_a_closed_period_waits_until_somebody_restates_it() {
    let mut pair = pair();
    let submit = |result: &str, percent: &str| {
        let line = [
            "report",
            "set",
            &pair.task,
            "--status",
            "in_progress",
            "--percent",
            percent,
        ];
        let rest = ["--result", result, "--submit"];
        pair.commune.run(&[&line[..], &rest].concat()).expect(0);
    };
    submit("đúng hạn", "40");
    pair.arrives("đúng hạn");
    let period = period(&pair);
    let above = logged_in(&pair.ministry, "an", "en");
    let path = format!("/periods/{period}/24001");
    // The commune is away while the period is closed, and goes on.
    pair.below.take().expect("it runs").stop();
    above.post_and_look(&path, &[("step", "close")]);
    let done = [
        "report",
        "set",
        &pair.task,
        "--status",
        "continuing",
        "--result",
        "đến muộn",
        "--submit",
    ];
    pair.commune.run(&done).expect(0);
    pair.serve_below(&[CONSOLE]);
    pair.arrives("đến muộn");
    let page = until("it is told as late", || {
        let page = above.get(&path).expect(200);
        page.text.contains("value=\"restate\"").then_some(page)
    });
    assert!(page.text.contains("id=\"restate\""), "with a reason");
    let page = above.post_and_look(
        &path,
        &[("step", "restate"), ("reason", "báo cáo đến muộn")],
    );
    assert!(
        page.flashes()[0].starts_with("done"),
        "{:?}",
        page.flashes()
    );
    assert!(page.text.contains("Version 2") && page.text.contains("báo cáo đến muộn"));
    let rollup = above
        .get(&format!("/rollup?period={period}&version=1"))
        .expect(200);
    assert!(
        rollup.text.contains("version=2"),
        "the newer one is a press away"
    );
    assert!(
        rollup.text.contains("<dl class=\"shares\">"),
        "progress beside the days that are over"
    );
}

#[test]
fn many_warnings_are_shown_a_page_at_a_time() {
    let pair = pair();
    let plan = pair.ministry.at("plan.csv");
    let mut text = "STT,Nhiệm vụ,Chủ trì,Thời hạn\n".to_owned();
    for number in 1..=60 {
        text += &format!("{number},Việc {number},24001,15/01/2026\n");
    }
    std::fs::write(&plan, text).expect("a plan");
    let line = ["import", plan.to_str().expect("text"), "--as", "tasks"];
    pair.ministry.run(&line).expect(0);
    let browser = logged_in(&pair.ministry, "an", "en");
    let first = until("the warnings", || {
        let page = browser.get("/warnings?kind=overdue").expect(200);
        page.text.contains("rel=\"next\"").then_some(page)
    });
    let second = browser.get("/warnings?kind=overdue&page=2").expect(200);
    let cards = |text: &str| text.matches("<article class=\"card\">").count();
    assert_eq!((cards(&first.text), cards(&second.text)), (50, 10));
    assert!(
        first.text.contains("warnings?kind=overdue&amp;page=2"),
        "{}",
        first.text
    );
}

/// The answers of somebody who connects the tracker to train on.
const TRACKER: [(&str, &str); 6] = [
    ("template", "tracker"),
    ("name", "demo"),
    ("key:unit", "24001"),
    ("key:http.base_url", "http://127.0.0.1:9"),
    ("key:http.auth.user", "lan"),
    ("secret:password", "bí mật của tôi"),
];

/// The same with another answer.
fn with<'a>(field: &str, value: &'a str) -> [(&'static str, &'a str); 6] {
    TRACKER.map(|(name, given)| (name, if name == field { value } else { given }))
}

#[test]
fn another_system_is_connected_by_a_form_and_its_secret_is_shown_to_nobody() {
    let pair = pair();
    let at = |file: &str| pair.commune.at("adapters.d").join(file);
    let kept = |file: &str| std::fs::read_to_string(at(file)).expect("a file");
    let browser = logged_in(&pair.commune, "an", "en");
    browser.post("/connect", &TRACKER).expect(303);
    let again = browser.post("/connect", &TRACKER).expect(400);
    assert!(again.text.contains("is there already"), "{}", again.text);
    assert_eq!(kept("demo.password"), "bí mật của tôi");
    let mode = std::fs::metadata(at("demo.password")).expect("a secret");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    pair.commune.run(&["adapter", "test", "demo"]).expect(0);

    let settings = browser.get("/adapters/demo/settings").expect(200);
    assert!(settings.text.contains("127.0.0.1:9") && !settings.text.contains("bí mật"));
    let change = |fields: &[(&str, &str)]| browser.post("/adapters/demo/settings", fields);
    // What is kept goes to no other address than the one that it was entered for.
    let moved = ("key:http.base_url", "http://127.0.0.1:10");
    let refused = change(&[moved, ("secret:password", "")]).expect(400);
    assert!(refused.text.contains("Please enter"), "{}", refused.text);
    change(&[moved, ("secret:password", " một mật khẩu khác ")]).expect(303);
    change(&[("key:http.auth.user", "hoa"), ("secret:password", "")]).expect(303);
    assert_eq!(kept("demo.password"), " một mật khẩu khác ");
    browser
        .post("/adapters/demo", &[("do", "enable")])
        .expect(303);
    let profile = kept("demo.toml");
    for part in [
        "http://127.0.0.1:10",
        "\"hoa\"",
        "enabled = true",
        "demo.password",
    ] {
        assert!(profile.contains(part), "{part}: {profile}");
    }
    let audit = pair.commune.run(&["audit", "show", "--json"]).expect(0).out;
    assert!(audit.contains("adapter.set") && audit.contains("127.0.0.1:10"));
    for text in [profile.as_str(), audit.as_str()] {
        assert!(
            !text.contains("bí mật") && !text.contains("một mật khẩu"),
            "{text}"
        );
    }

    // A folder that the file names stays where it is; another one is in the data directory.
    let drop = [
        ("template", "excel-drop"),
        ("name", "drop"),
        ("key:unit", "24001"),
        ("key:tabular.incoming", "drop/in"),
    ];
    browser.post("/connect", &drop).expect(303);
    std::fs::write(
        at("drop.toml"),
        kept("drop.toml").replace("\"drop/in\"", "\"/srv/in\""),
    )
    .expect("written");
    let folder = |name| browser.post("/adapters/drop/settings", &[("key:tabular.incoming", name)]);
    folder("/srv/in").expect(303);
    folder("/srv/other").expect(400);

    // A profile that has become unfit stays on the list, with the way to its settings.
    let unfit = profile.replace("kind = \"progress\"", "kind = \"x\"");
    std::fs::write(at("demo.toml"), unfit).expect("written");
    let list = browser.get("/adapters").expect(200);
    assert!(
        list.text.contains("/adapters/demo/settings"),
        "{}",
        list.text
    );
    browser.get("/adapters/demo/settings").expect(200);
}

#[test]
fn only_what_is_asked_can_be_answered_and_only_by_an_administrator() {
    let pair = pair();
    let browser = logged_in(&pair.commune, "an", "en");
    let refused = |fields: &[(&str, &str)], told: &str| {
        let page = browser.post("/connect", fields).expect(400);
        assert!(page.text.contains(told), "{told}: {}", page.text);
        assert!(!page.text.contains("bí mật"), "{told}");
        let mut kept = std::fs::read_dir(pair.commune.at("adapters.d"))
            .into_iter()
            .flatten();
        assert!(kept.next().is_none(), "{told}");
    };
    for (field, value, told) in [
        ("name", "a b", "cannot be the name"),
        ("name", "../x", "cannot be the name"),
        ("template", "nothing", "no template"),
        ("key:unit", "99999", "no unit 99999"),
        ("key:http.base_url", "nowhere", "http.base_url"),
        ("key:http.base_url", "", "Still missing"),
        ("secret:password", "", "Please enter"),
        // A profile is read line by line for what it asks.
        (
            "key:http.auth.user",
            "x\n#? q\nprocess = 1",
            "one line only",
        ),
        (
            "key:http.auth.user",
            "\"x\\n#? q\\nprocess = 1\"",
            "one line only",
        ),
    ] {
        refused(&with(field, value), told);
    }
    // Neither where a secret lies nor what runs.
    for key in [
        "key:http.auth.password.file",
        "key:http.auth.password",
        "key:process.command",
        "key:enabled",
        "key:engine",
        "secret:../x",
    ] {
        refused(&[&TRACKER[..], &[(key, "x")]].concat(), "is not asked for");
    }
    let folder = [
        ("template", "nq57"),
        ("name", "demo"),
        ("key:tabular.incoming", "../../adapters.d"),
    ];
    refused(&folder, "folder of the data directory");

    add_user(&pair.commune, "binh", "operator");
    let operator = logged_in(&pair.commune, "binh", "en");
    let list = operator.get("/adapters").expect(200);
    assert!(!list.text.contains("/connect"));
    operator.get("/connect").expect(403);
    operator.get("/connect?template=tracker").expect(403);
    operator.post("/connect", &TRACKER).expect(403);
    assert!(!pair.commune.at("adapters.d/demo.toml").exists());
}
