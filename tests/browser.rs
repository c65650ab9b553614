//! The console in a real browser: each page, and the five jobs of the day, done by pressing and typing.
//!
//! What was seen is kept in `target/screens`. With `NQSYNC_AXE` naming the accessibility checker's script, every page is
//! checked by it.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use support::console::{CONSOLE, PASSWORD, add_user, console};
use support::machine::{Machine, until};
use support::pair::Pair;
use support::webdriver::Chromium;

struct Seen<'a> {
    browser: &'a Chromium,
    folder: PathBuf,
    checker: Option<String>,
}

impl Seen<'_> {
    /// Looks at the page that is open: it fits the screen of a small computer and of a phone, and the checker finds nothing.
    fn look(&self, name: &str) {
        for (width, size) in [(1280, "wide"), (390, "phone")] {
            let file = self.folder.join(format!("{name}-{size}.png"));
            self.browser.keep(&file, width);
            let beyond = self
                .browser
                .script("return document.documentElement.scrollWidth - innerWidth");
            assert!(
                beyond.as_i64() <= Some(0),
                "{name} at {width} goes {beyond} beyond the edge"
            );
        }
        self.browser.resize(1280, 800);
        let Some(checker) = &self.checker else { return };
        self.browser.script(checker);
        let found = self.browser.async_script(
            "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] })
             .then(r => done(r.violations.map(v => [v.id, v.nodes.map(n => n.html).slice(0, 3)])), e => done(String(e)))",
        );
        assert_eq!(found, serde_json::json!([]), "{name}");
    }
}

/// A system to train on, which ends with the test.
struct Tracker(Child);

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it; answers it and its address.
fn tracker(machine: &Machine) -> (Tracker, String) {
    let mut command = machine.command(&["adapter", "simulate", "tracker"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stderr.take().expect("its words")).lines();
    let url = lines.map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("http.base_url=")?;
        rest.split_whitespace().next().map(str::to_owned)
    });
    (Tracker(child), url.expect("it says where"))
}

fn log_in(browser: &Chromium, url: &str) {
    browser.open(&format!("{url}/login"));
    browser.fill("#name", "an");
    browser.fill("#password", PASSWORD);
    browser.press("button.primary");
    browser.shows("Hôm nay");
}

#[test]
fn the_five_jobs_of_the_day_are_done_in_a_browser_and_every_page_is_readable() {
    let Some(browser) = Chromium::start() else {
        return;
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../screens");
    std::fs::create_dir_all(&folder).expect("a folder");
    let checker = std::env::var_os("NQSYNC_AXE");
    let seen = Seen {
        browser: &browser,
        folder,
        checker: checker.map(|path| std::fs::read_to_string(path).expect("the checker")),
    };
    let mut pair = Pair::new();
    pair.stop_all();
    pair.above = Some(pair.ministry.serve_with(&[CONSOLE]));
    pair.serve_below(&[CONSOLE]);
    let [above, below] = [&pair.ministry, &pair.commune].map(|machine| {
        add_user(machine, "an", "administrator");
        console(machine).trim_end_matches('/').to_owned()
    });
    let period = pair.commune.run(&["period", "list", "--json"]).json()["period"].clone();
    let period = period.as_str().expect("a period").to_owned();
    let report = format!("/tasks/{}/reports/24001/{period}", pair.task);

    // Report progress with evidence.
    browser.open(&format!("{below}/login"));
    seen.look("login");
    log_in(&browser, &below);
    browser.open(&format!("{below}/tasks"));
    browser.press("main table a");
    seen.look("task");
    browser.press("main a.button.primary");
    let file = pair.commune.at("biên bản.txt");
    std::fs::write(&file, "Biên bản bàn giao\n").expect("written");
    browser.fill("#file", file.to_str().expect("text"));
    browser.press("form[enctype] button");
    browser.shows("Đã lưu tệp");
    browser.choose("#status", "completed");
    browser.fill("#percent", "100");
    browser.fill("#result", "Đã bàn giao cho tổ công nghệ số cộng đồng");
    seen.look("report");
    browser.press("button[name=submit]");
    browser.shows("Đã gửi báo cáo");

    // Verify evidence.
    log_in(&browser, &above);
    browser.open(&format!("{above}/evidence"));
    until("the file has come", || {
        browser.open(&format!("{above}/evidence"));
        browser.text().contains("biên bản.txt").then_some(())
    });
    seen.look("evidence");
    browser.press("button[value=accept]");
    browser.shows("Đã công nhận");

    // Resolve a conflict: two windows saved the same report.
    log_in(&browser, &below);
    let line = ["report", "show", &pair.task, "--json"];
    let token = pair.commune.run(&line).expect(0).json()["token"].clone();
    for result in ["Bàn giao 20 bộ", "Bàn giao 21 bộ"] {
        let token = token.as_str().expect("a token");
        let line = [
            "report", "set", &pair.task, "--result", result, "--token", token,
        ];
        pair.commune.run(&line).expect(0);
    }
    browser.open(&format!("{below}/conflicts"));
    seen.look("conflicts");
    browser.press("main table a");
    browser.shows("Bàn giao 20 bộ");
    seen.look("conflict");
    browser.fill("#reason", "đếm lại");
    browser.press("button[name=take]");
    browser.shows("Không có mâu thuẫn");
    browser.open(&format!("{below}{report}"));
    browser.press("button[name=submit]");
    browser.shows("Đã gửi báo cáo");

    // Close a period: submitted below, accepted and closed above.
    browser.open(&format!("{below}/periods"));
    seen.look("periods");
    browser.press("main form.card button");
    browser.shows("Cấp trên sẽ được báo");
    log_in(&browser, &above);
    browser.open(&format!("{above}/periods/{period}/24001"));
    browser.wait_for("Chấp nhận");
    seen.look("period");
    browser.press("button[value=accept]");
    browser.shows("Đã quyết định");
    browser.press("button[value=close]");
    browser.shows("Đã quyết định");

    // Connect another system: chosen, asked about, tried, exchanged, and left to run by itself.
    let (_tracker, address) = tracker(&pair.commune);
    log_in(&browser, &below);
    browser.open(&format!("{below}/adapters"));
    seen.look("adapters");
    browser.press("main a.button.primary");
    browser.shows("Chọn hệ thống");
    seen.look("connect");
    browser.press("main a[href$='=tracker']");
    browser.fill("#name", "tap-huan");
    browser.fill("[name='key:http.base_url']", &address);
    browser.fill("[name='key:http.auth.user']", "demo");
    browser.fill("[name='secret:password']", "demo");
    seen.look("connect-tracker");
    browser.press("form.card button.primary");
    browser.shows("Đã lưu kết nối");
    browser.press("button[value=check]");
    browser.shows("Sẽ thay đổi gì");
    seen.look("adapter");
    browser.press("button[value=run]");
    browser.shows("Đã trao đổi");
    browser.press("button[value=enable]");
    browser.shows("Tắt chạy tự động");
    browser.press("main a[href$=settings]");
    browser.shows("để trống thì giữ nguyên");
    seen.look("adapter-settings");

    for (url, side) in [(&below, "commune"), (&above, "ministry")] {
        log_in(&browser, url);
        for page in [
            "",
            "tasks",
            "tasks/new",
            "rollup",
            "rollup?by=unit",
            "warnings",
            "calendar",
            "scores",
            "tree",
            "desk",
            "node",
            "sync",
            "audit",
            "users",
            "password",
        ] {
            browser.open(&format!("{url}/{page}"));
            let name = page.replace(['/', '?', '='], "-");
            let name = if name.is_empty() { "today" } else { &name };
            seen.look(&format!("{side}-{name}"));
        }
    }
}
