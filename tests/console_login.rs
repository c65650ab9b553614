//! Who comes into the console: logins, sessions, roles, users, and what every answer carries.

mod support;

use std::io::Write;

use support::browser::Browser;
use support::console::{CONSOLE, PASSWORD, add_user, console, logged_in, pair, period};
use support::machine::Machine;
use support::pair::Pair;

#[test]
fn nobody_sees_or_does_anything_without_a_login_and_every_answer_is_locked_down() {
    let pair = pair();
    let browser = Browser::at(&console(&pair.commune));
    for path in ["/", "/tasks", "/users", "/evidence/x/file", "/nothing"] {
        let seen = browser.get(path).expect(303);
        assert!(seen.to.expect("the login").starts_with("/login"), "{path}");
    }
    let task = format!("/tasks/{}/edit", pair.task);
    let form = [("form", ""), ("title", "chiếm")];
    let seen = browser.send(browser.request(reqwest::Method::POST, &task).form(&form));
    assert_eq!(seen.expect(303).to.as_deref(), Some("/login"));

    let login = browser.get("/login").expect(200);
    let policy = login.headers["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(login.headers["x-content-type-options"], "nosniff");
    assert_eq!(login.headers["cache-control"], "no-store");

    // A page of somebody else, whose name was bent to this machine.
    let bent = browser
        .request(reqwest::Method::GET, "/login")
        .header("host", "evil.example");
    browser.send(bent).expect(421);

    let mut browser = browser;
    let seen = browser.login("an", PASSWORD, "vi").expect(303);
    let cookie = seen.headers["set-cookie"].to_str().expect("text");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    // A form that another site made: no token, another session's token, or the browser says where it comes from.
    let other = logged_in(&pair.commune, "an", "vi").form_token();
    for token in ["", "x", &other] {
        let form = [("form", token), ("lang", "en")];
        let sent = browser
            .request(reqwest::Method::POST, "/language")
            .form(&form);
        browser.send(sent).expect(403);
    }
    let token = browser.form_token();
    let form = [("form", token.as_str()), ("lang", "en")];
    let sent = browser
        .request(reqwest::Method::POST, "/language")
        .form(&form);
    browser
        .send(sent.header("sec-fetch-site", "cross-site"))
        .expect(403);
    assert!(
        browser.get("/").text.contains("lang=\"vi\""),
        "nothing was changed"
    );

    // Who logs in again has one login, not two.
    let former = browser.cookie.clone();
    browser.login("an", PASSWORD, "vi").expect(303);
    let now = std::mem::replace(&mut browser.cookie, former);
    browser.get("/").expect(303);
    browser.cookie = now;
    browser.get("/").expect(200);

    let out = browser.post("/logout", &[]).expect(303);
    let forget = out.headers["clear-site-data"].to_str().expect("text");
    assert!(forget.contains("\"cache\""), "{forget}");
    browser.get("/").expect(303);
}

#[test]
fn behind_tls_the_cookie_and_the_name_are_bound_to_it() {
    let pair = pair();
    let browser = Browser::at(&console(&pair.commune));
    let form = [("name", "an"), ("password", PASSWORD)];
    let over_tls = browser
        .request(reqwest::Method::POST, "/login")
        .header("x-forwarded-proto", "https")
        .form(&form);
    let seen = browser.send(over_tls).expect(303);
    let cookie = seen.headers["set-cookie"].to_str().expect("text");
    assert!(
        cookie.starts_with("__Host-nqsync=") && cookie.contains("Secure"),
        "{cookie}"
    );
    let tls_only = seen.headers["strict-transport-security"].to_str();
    assert_eq!(tls_only.expect("text"), "max-age=31536000");
    let (sent, _) = cookie.split_once(';').expect("attributes");
    for (proto, status) in [("https", 200), ("http", 303)] {
        let request = browser
            .request(reqwest::Method::GET, "/")
            .header("x-forwarded-proto", proto)
            .header("cookie", sent);
        browser.send(request).expect(status);
    }
}

#[test]
fn wrong_passwords_cost_time_and_are_kept_in_the_audit() {
    let pair = pair();
    let mut browser = Browser::at(&console(&pair.commune));
    for _ in 0..5 {
        browser
            .login("an", "không phải mật khẩu này", "vi")
            .expect(401);
    }
    let seen = browser
        .login("an", "không phải mật khẩu này", "vi")
        .expect(429);
    assert_eq!(seen.headers["retry-after"], "1");
    browser.login("an", PASSWORD, "vi").expect(429);
    // Nobody learns which names exist.
    browser
        .login("ai-day", "không phải mật khẩu này", "vi")
        .expect(401);
    let refused = ["audit", "show", "--act", "login.refused", "--json"];
    let audit = pair.commune.run(&refused).expect(0).json();
    assert_eq!(audit["total"], 6, "{audit}");
    assert!(
        !audit.to_string().contains("mật khẩu"),
        "no password is kept"
    );
}

#[test]
fn wrong_passwords_at_the_same_moment_are_not_all_tried() {
    let pair = pair();
    let url = console(&pair.commune) + "login";
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let statuses = runtime.block_on(async {
        let client = reqwest::Client::new();
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..100 {
            let password = format!("không phải mật khẩu {n}");
            let form = [("name", "an"), ("password", &password)];
            let sent = client.post(&url).form(&form).send();
            tries.spawn(async move { sent.await.expect("an answer").status().as_u16() });
        }
        tries.join_all().await
    });
    let of = |status: u16| statuses.iter().filter(|s| **s == status).count();
    // After a second one more may be tried, and a slow machine takes that long.
    assert!((5..=8).contains(&of(401)), "{statuses:?}");
    assert_eq!(of(401) + of(429) + of(503), 100, "{statuses:?}");
}

#[test]
fn a_role_opens_what_it_covers_and_nothing_else() {
    let pair = pair();
    for role in ["viewer", "officer", "operator"] {
        add_user(&pair.commune, role, role);
    }
    let period = period(&pair);
    let report = format!("/tasks/{}/reports/24001/{period}", pair.task);
    let draft = [("status", "in_progress"), ("percent", "10")];
    let new = [
        ("name", "moi"),
        ("role", "administrator"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    for (name, writes, operates) in [
        ("viewer", false, false),
        ("officer", true, false),
        ("operator", true, true),
    ] {
        let browser = logged_in(&pair.commune, name, "en");
        browser.get("/tasks").expect(200);
        browser
            .post(&report, &draft)
            .expect(if writes { 303 } else { 403 });
        let seen = browser.post_and_look("/sync", &[]);
        let refused = seen.text.contains("somebody with more rights");
        assert_eq!(refused, !operates, "{name}");
        browser.get("/users").expect(403);
        let seen = browser.post("/users", &new).expect(303);
        let seen = browser.send(browser.request(reqwest::Method::GET, &seen.to.expect("a page")));
        assert!(seen.text.contains("somebody with more rights"), "{name}");
        let upload = browser.upload(&format!("{report}/evidence"), "a.txt", b"x");
        let seen = browser.get(&upload.expect(303).to.expect("a page"));
        assert_eq!(
            seen.text.contains("somebody with more rights"),
            !writes,
            "{name}"
        );
    }
    let users = pair.commune.run(&["user", "list", "--json"]).json();
    assert_eq!(users["total"], 4, "nobody was added: {users}");
    for (name, verbs) in [
        (
            "viewer",
            &[
                "evidence_add",
                "user_list",
                "user_add",
                "user_list",
                "sync",
                "report_set",
            ][..],
        ),
        ("officer", &["user_list", "user_add", "user_list", "sync"]),
        ("operator", &["user_list", "user_add", "user_list"]),
    ] {
        let refused = [
            "audit",
            "show",
            "--act",
            "role.refused",
            "--actor",
            name,
            "--json",
        ];
        let refused = pair.commune.run(&refused).expect(0).json();
        let items = refused["items"].as_array().expect("entries");
        let noted: Vec<_> = items.iter().map(|item| &item["detail"]["verb"]).collect();
        assert_eq!(noted, verbs, "{refused}");
    }
}

#[test]
fn a_user_who_is_changed_or_taken_away_is_logged_out_at_once() {
    let pair = pair();
    add_user(&pair.commune, "binh", "officer");
    let browser = logged_in(&pair.commune, "binh", "vi");
    browser.get("/tasks").expect(200);
    pair.commune
        .run(&["user", "role", "binh", "viewer"])
        .expect(0);
    browser.get("/tasks").expect(303);
    let browser = logged_in(&pair.commune, "binh", "vi");
    browser.get("/tasks").expect(200);
    pair.commune.run(&["user", "remove", "binh"]).expect(0);
    browser.get("/tasks").expect(303);
    let ran = pair
        .commune
        .run(&["user", "remove", "an", "--json"])
        .expect(0);
    assert_eq!(ran.json()["name"], "an", "the last of all may go");
}

#[test]
fn the_last_administrator_stays_while_there_are_others() {
    let pair = pair();
    add_user(&pair.commune, "binh", "officer");
    for line in [
        &["user", "remove", "an", "--json"][..],
        &["user", "role", "an", "viewer", "--json"],
    ] {
        let ran = pair.commune.run(line).expect(2);
        assert_eq!(ran.failure(), "user_last_administrator");
    }
    let ran = pair.commune.run(&[
        "user",
        "add",
        "An Nguyễn",
        "--role",
        "viewer",
        "--password-file",
        "/dev/null",
    ]);
    assert_eq!(ran.expect(2).out, "");
}

#[test]
fn somebody_changes_their_own_password_and_must_know_the_old_one() {
    let pair = pair();
    add_user(&pair.commune, "binh", "viewer");
    let mut browser = logged_in(&pair.commune, "binh", "en");
    let new = "một đàn cò trắng bay quanh";
    let form = |old| [("old", old), ("password", new), ("again", new)];
    let seen = browser.post_and_look("/password", &form("không nhớ nữa rồi"));
    assert!(
        seen.flashes()[0].starts_with("failed"),
        "{:?}",
        seen.flashes()
    );
    let refused = ["audit", "show", "--act", "login.refused", "--json"];
    let audit = pair.commune.run(&refused).expect(0).json();
    assert_eq!(audit["total"], 1, "{audit}");
    assert_eq!(audit["items"][0]["actor"], "binh", "{audit}");
    let seen = browser.post("/password", &form(PASSWORD)).expect(303);
    assert_eq!(seen.to.as_deref(), Some("/login"));
    browser.get("/").expect(303);
    browser.login("binh", PASSWORD, "en").expect(401);
    browser.login("binh", new, "en").expect(303);
}

#[test]
fn whoever_has_a_session_cannot_guess_its_password() {
    let pair = pair();
    let mut browser = logged_in(&pair.commune, "an", "en");
    let new = "một đàn cò trắng bay quanh";
    let form = |old| [("old", old), ("password", new), ("again", new)];
    let token = browser.form_token();
    for n in 0..6 {
        let old = if n < 5 {
            "không nhớ nữa rồi"
        } else {
            PASSWORD
        };
        let sent = [&[("form", token.as_str())][..], &form(old)].concat();
        let request = browser.request(reqwest::Method::POST, "/password");
        browser.send(request.form(&sent)).expect(303);
    }
    // One wait holds for all places where this password is typed.
    let cookie = browser.cookie.clone();
    browser.login("an", PASSWORD, "en").expect(429);
    browser.cookie = cookie;
    let told = browser.get("/password").expect(200).flashes();
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(
        told[..5].iter().all(|told| told.contains("is wrong")),
        "{told:?}"
    );
    assert!(told[5].contains("Too many wrong passwords"), "{told:?}");
    let refused = ["audit", "show", "--act", "login.refused", "--json"];
    let audit = pair.commune.run(&refused).expect(0).json();
    assert_eq!(audit["total"], 5, "{audit}");
}

#[test]
fn j4_two_persons_agree_at_the_console_and_on_the_command_line_also_of_a_stopped_node() {
    let mut pair = Pair::new();
    pair.stop_all();
    let acts = ("NQSYNC_APPROVAL_ACTS", "revocation; release");
    pair.ministry
        .env
        .push((acts.0.to_owned(), acts.1.to_owned()));
    pair.above = Some(pair.ministry.serve_with(&[CONSOLE]));
    pair.serve_below(&[]);
    for (name, role) in [("an", "administrator"), ("binh", "approver")] {
        add_user(&pair.ministry, name, role);
    }
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{PASSWORD}").expect("written");
    let file = file.path().to_str().expect("text");
    let as_user = |name: &str, line: &[&str]| {
        let login = ["--login", name, "--login-file", file, "--json"];
        pair.ministry.run(&[line, &login[..]].concat())
    };
    let revoke = ["node", "revoke", "24001", "--reason", "stolen"];
    let ran = pair.ministry.run(&[&revoke[..], &["--json"]].concat());
    assert_eq!(ran.expect(12).failure(), "approval_who");
    assert_eq!(as_user("chi", &revoke).expect(12).failure(), "login_wrong");
    assert_eq!(as_user("binh", &revoke).expect(12).failure(), "not_allowed");
    let refused = ["audit", "show", "--act", "role.refused", "--json"];
    let refused = pair.ministry.run(&refused).expect(0).json();
    assert_eq!(refused["items"][0]["actor"], "binh", "{refused}");
    assert_eq!(refused["items"][0]["subject"], "command line", "{refused}");
    let asked = as_user("an", &revoke).expect(7).json();
    let number = asked["approval"].to_string();
    assert_eq!(pair.listed()["revoked_at"], serde_json::Value::Null);
    let own = as_user("an", &["approval", "approve", &number]);
    assert_eq!(own.expect(12).failure(), "approval_same_person");

    let own = logged_in(&pair.ministry, "an", "en");
    let page = format!("/approvals/{number}");
    assert!(
        !own.get(&page).expect(200).text.contains("name=\"do\""),
        "no button for oneself"
    );
    let seen = own.post_and_look(&page, &[("do", "approve")]);
    assert!(
        seen.flashes()[0].starts_with("failed"),
        "{:?}",
        seen.flashes()
    );
    let other = logged_in(&pair.ministry, "binh", "en");
    assert!(
        other.get("/").expect(200).text.contains(&page),
        "it stands on today"
    );
    let seen = other.get(&page).expect(200);
    assert!(seen.text.contains("stolen") && seen.text.contains("value=\"approve\""));
    let seen = other.post_and_look(&page, &[("do", "approve"), ("reason", "by telephone")]);
    assert!(
        seen.flashes()[0].starts_with("done"),
        "{:?}",
        seen.flashes()
    );
    assert_ne!(pair.listed()["revoked_at"], serde_json::Value::Null);
    pair.commune.run(&["sync", "--wait"]).expect(6);
    let over = other.get(&page).expect(200);
    assert!(!over.text.contains("value=\"approve\"") && over.text.contains("by telephone"));

    // The same with no service, and the other way round.
    pair.above.take().expect("it runs").stop();
    let undo = [&revoke[..], &["--undo"]].concat();
    let asked = as_user("an", &undo).expect(7).json();
    let number = asked["approval"].to_string();
    let said = pair
        .ministry
        .run(&["approval", "approve", &number, "--json"]);
    assert_eq!(said.expect(12).failure(), "approval_login");
    let list = pair
        .ministry
        .run(&["approval", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (&list["items"][0]["state"], &list["total"]),
        (&"open".into(), &2.into())
    );
    as_user("binh", &["approval", "approve", &number]).expect(0);
    assert_eq!(pair.listed()["revoked_at"], serde_json::Value::Null);
    let audit = ["audit", "show", "--act", "node_revoke", "--json"];
    let audit = pair.ministry.run(&audit).expect(0).json();
    for entry in audit["items"].as_array().expect("entries") {
        let persons = (&entry["actor"], &entry["detail"]["approved_by"]);
        assert_eq!(persons, (&"an".into(), &"binh".into()), "{audit}");
    }
    assert_eq!(audit["total"], 2);
}

#[test]
fn users_are_listed_before_a_node_is_enrolled() {
    let commune = Machine::new();
    let init = ["init", "--unit", "24001", "--level", "commune"];
    commune.run(&init).expect(0);
    add_user(&commune, "an", "administrator");
    let users = commune.run(&["user", "list", "--json"]).expect(0).json();
    assert_eq!(users["items"][0]["name"], "an");
}
