//! The local API of real services: every example of its page, who may come in, what a program may rely on, and events.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::machine::until;
use support::programs::{API, Listener, Office, over_socket};
use support::schema::Checker;

/// Where the page says that everything is.
const SHOWN: (&str, &str) = ("127.0.0.1:7482", "/var/lib/nqsync/control.sock");

/// An example of the page: what is typed, and the status it says is answered.
struct Example {
    line: usize,
    text: String,
    status: Option<u16>,
}

fn examples() -> Vec<Example> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let page = fs::read_to_string(page).expect("the page");
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(said) = line.strip_prefix("```sh") else {
            continue;
        };
        let text = lines.by_ref().map(|(_, line)| line);
        let text: Vec<&str> = text.take_while(|line| *line != "```").collect();
        found.push(Example {
            line: number + 1,
            text: text.join("\n"),
            status: said.trim().parse().ok(),
        });
    }
    found
}

/// What an example sent and was answered.
struct Exchange {
    method: String,
    path: String,
    status: u16,
    etag: Option<String>,
    body: Vec<u8>,
}

/// Runs an example as a person would; `curl` is the real one, and also tells what it did.
fn run(office: &Office, example: &Example, variables: &BTreeMap<&str, String>) -> Exchange {
    let socket = office.machine.at("control.sock");
    let text = example.text.replace(SHOWN.0, &office.address());
    let text = text.replace(SHOWN.1, socket.to_str().expect("text"));
    let told = r"%{stderr}told %{method} %{http_code} %{url_effective} %header{etag}\n";
    let script = format!("curl() {{ command curl -sS -w '{told}' \"$@\"; }}\n{text}\n");
    let Output { stdout, stderr, .. } = Command::new("sh")
        .arg("-c")
        .arg(&script)
        .envs(variables)
        .current_dir(office.machine.path())
        .output()
        .expect("a shell");
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    let told = stderr.lines().find_map(|line| line.strip_prefix("told "));
    let told = told.unwrap_or_else(|| panic!("line {}: {stderr}", example.line));
    let mut told = told.split(' ');
    let mut next = || told.next().unwrap_or_default().to_owned();
    let (method, status, url) = (next(), next(), next());
    let (_, rest) = url.split_once("://").expect("an address");
    let (_, path) = rest.split_once('/').expect("a path");
    Exchange {
        method,
        path: format!("/{path}"),
        status: status.parse().expect("a status"),
        etag: Some(next()).filter(|etag| !etag.is_empty()),
        body: stdout,
    }
}

/// The description of what was asked.
fn described<'d>(document: &'d Value, exchange: &Exchange) -> (&'d str, &'d Value) {
    let path = exchange.path.split('?').next().unwrap_or_default();
    let asked: Vec<&str> = path.split('/').collect();
    let fits = |described: &str| {
        let described: Vec<&str> = described.split('/').collect();
        described.len() == asked.len()
            && described
                .iter()
                .zip(&asked)
                .all(|(part, asked)| part.starts_with('{') || part == asked)
    };
    let paths = document["paths"].as_object().expect("paths");
    let found = paths.iter().find(|(path, _)| fits(path));
    let (path, found) = found.unwrap_or_else(|| panic!("{path} is not described"));
    let method = exchange.method.to_lowercase();
    let operation = found.get(&method);
    let operation = operation.unwrap_or_else(|| panic!("{method} {path} is not described"));
    (
        operation["operationId"].as_str().expect("a name"),
        operation,
    )
}

/// Holds an answer against its description.
fn check(document: &Value, example: &Example, exchange: &Exchange) -> String {
    let checker = Checker { document };
    let (id, operation) = described(document, exchange);
    let responses = &operation["responses"];
    let response = match responses.get(exchange.status.to_string()) {
        Some(response) => response,
        None => &responses["default"],
    };
    let response = match response.get("$ref") {
        Some(reference) => checker.at(reference),
        None => response,
    };
    let content = response["content"].as_object().expect("content");
    for (kind, content) in content.iter().filter(|(kind, _)| kind.ends_with("json")) {
        let text = String::from_utf8_lossy(&exchange.body);
        let value: Value = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("line {}: {e}: {text}", example.line));
        let faults = checker.faults(&content["schema"], &value);
        assert!(
            faults.is_empty(),
            "line {} ({kind}): {faults:#?} in {value:#}",
            example.line
        );
    }
    id.to_owned()
}

#[test]
fn every_example_of_the_page_is_answered_as_the_description_says() {
    let office = Office::new();
    office.conflict();
    fs::write(
        office.machine.at("bien-ban.pdf"),
        b"%PDF-1.4 bi\xc3\xaan b\xe1\xba\xa3n",
    )
    .expect("room");
    let document = office
        .ask("GET /openapi.json", None, &[], None)
        .expect(200)
        .json();
    let mut variables = BTreeMap::from([("TOKEN", office.token("vi-du", "administrator"))]);
    let mut seen = BTreeSet::new();
    for example in examples() {
        let exchange = run(&office, &example, &variables);
        let body = String::from_utf8_lossy(&exchange.body);
        match example.status {
            Some(status) => assert_eq!(exchange.status, status, "line {}: {body}", example.line),
            None => assert!(
                (200..300).contains(&exchange.status),
                "line {}: {} {body}",
                example.line,
                exchange.status
            ),
        }
        seen.insert(check(&document, &example, &exchange));
        let said: Value = serde_json::from_str(&body).unwrap_or_default();
        let id = [&said["items"][0]["id"], &said["data"]["id"], &said["id"]];
        let id = id.iter().find_map(|id| id.as_str()).map(str::to_owned);
        let next = said["next"].as_str().map(str::to_owned);
        for (name, value) in [("ID", id), ("NEXT", next), ("ETAG", exchange.etag)] {
            if let Some(value) = value {
                variables.insert(name, value);
            }
        }
    }
    let sent = fs::read(office.machine.at("bien-ban.pdf")).expect("a file");
    let back = fs::read(office.machine.at("nhan-ve.pdf")).expect("it was fetched");
    assert_eq!(sent, back);
    let all = operations(&document);
    let all: BTreeSet<&str> = all.iter().map(|(_, _, id)| id.as_str()).collect();
    let seen: BTreeSet<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, all, "every kind of request has its example");
}

/// Method, path and name of everything that is described.
fn operations(document: &Value) -> Vec<(String, String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").clone();
        let path = path.clone();
        methods.into_iter().map(move |(method, operation)| {
            let id = operation["operationId"]
                .as_str()
                .expect("a name")
                .to_owned();
            (method.to_uppercase(), path.clone(), id)
        })
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn the_description_is_sound_and_every_request_in_it_is_answered() {
    let office = Office::new();
    let document = office
        .ask("GET /openapi.json", None, &[], None)
        .expect(200)
        .json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    references(&document, &document);
    let all = operations(&document);
    let names: BTreeSet<&String> = all.iter().map(|(_, _, id)| id).collect();
    assert_eq!(names.len(), all.len(), "every name stands once");
    assert!(all.len() > 35, "{}", all.len());
    let checker = Checker {
        document: &document,
    };
    for (method, path, id) in &all {
        let operation = &document["paths"][path][method.to_lowercase()];
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let in_path: BTreeSet<String> = parameters
            .iter()
            .filter(|p| p["in"] == "path" && p["required"] == true)
            .map(|p| p["name"].as_str().expect("a name").to_owned())
            .collect();
        let wanted = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let wanted: BTreeSet<String> = wanted.map(str::to_owned).collect();
        assert_eq!(in_path, wanted, "{path}");
        let mut seen = BTreeSet::new();
        for parameter in &parameters {
            let parameter = match parameter.get("$ref") {
                Some(reference) => checker.at(reference),
                None => parameter,
            };
            let name = parameter["name"].as_str().expect("a name").to_owned();
            assert!(parameter["schema"].is_object(), "{id} {name}");
            assert!(seen.insert(name), "{id}: {parameter}");
        }
        assert!(
            operation["responses"].is_object() && operation["summary"].is_string(),
            "{id}"
        );
        if id == "get_document" {
            continue;
        }
        // Whatever else it says, there is something at this address.
        let path = path.replace(['{', '}'], "");
        let socket = over_socket(&office, &format!("{method} {path}"));
        assert!(
            ![404, 405].contains(&socket.0) || socket.1["code"] != "no_operation",
            "{id}: {socket:?}"
        );
    }
}

/// Every reference leads somewhere.
fn references(document: &Value, value: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref") {
                Checker { document }.at(reference);
            }
            fields
                .values()
                .for_each(|value| references(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| references(document, value)),
        _ => {}
    }
}

#[test]
fn only_a_good_token_opens_the_door_and_only_as_far_as_its_role_goes() {
    let office = Office::new();
    let tasks = "GET /v1/tasks";
    let refused = office.ask(tasks, None, &[], None).expect(401);
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let said = refused.json();
    assert_eq!(
        (&said["status"], &said["code"]),
        (&401.into(), &"no_token".into())
    );
    assert!(
        said["detail"]
            .as_str()
            .expect("text")
            .contains("mã truy cập"),
        "{said}"
    );
    let english = office.ask(tasks, Some("nqsync_x"), &[("accept-language", "en")], None);
    let english = english.expect(401);
    assert_eq!(english.headers["content-language"], "en");
    assert!(
        english.text.contains("The token is missing"),
        "{}",
        english.text
    );

    let viewer = office.token("xem", "viewer");
    office.ask(tasks, Some(&viewer), &[], None).expect(200);
    let task = json!({ "title": "Việc", "lead": ["24001"] });
    let denied = office.ask("POST /v1/tasks", Some(&viewer), &[], Some(task.clone()));
    assert_eq!(denied.expect(403).json()["code"], "not_allowed");
    let file = "POST /v1/tasks/III%2F11/reports/24001/2026-11/evidence?name=a.txt";
    office
        .ask(file, Some(&viewer), &[], Some(task.clone()))
        .expect(403);
    let officer = office.token("can-bo", "officer");
    office
        .ask("POST /v1/tasks", Some(&officer), &[], Some(task))
        .expect(201);
    let take = json!({ "take": 1 });
    let denied = office.ask(
        "POST /v1/conflicts/x/resolve",
        Some(&officer),
        &[],
        Some(take),
    );
    assert_eq!(denied.expect(403).json()["code"], "not_allowed");
    let line = ["audit", "show", "--actor", "token:can-bo", "--json"];
    let history = office.machine.run(&line).expect(0);
    let history = history.json();
    let items = history["items"].as_array().expect("entries");
    let acts: Vec<_> = items.iter().map(|item| &item["act"]).collect();
    assert_eq!(acts, ["role.refused", "task_add"], "{history}");
    let line = ["audit", "show", "--actor", "token:xem", "--json"];
    let refused = office.machine.run(&line).expect(0).json();
    let verbs = ["evidence_add", "task_add"].map(|verb| json!({ "verb": verb }));
    for (item, verb) in refused["items"]
        .as_array()
        .expect("entries")
        .iter()
        .zip(verbs)
    {
        assert_eq!(
            (&item["act"], &item["subject"], &item["detail"]),
            (&json!("role.refused"), &json!("api"), &verb)
        );
    }
    assert_eq!(refused["total"], 2, "{refused}");

    // Another page, another name for this machine.
    let origin = [("origin", "http://127.0.0.1:7482")];
    assert_eq!(
        office
            .ask(tasks, Some(&viewer), &origin, None)
            .expect(403)
            .json()["code"],
        "from_a_page"
    );
    let host = [("host", "evil.example")];
    office.ask(tasks, Some(&viewer), &host, None).expect(421);

    // Taken back, it is one of nobody.
    office.machine.run(&["token", "revoke", "xem"]).expect(0);
    office.ask(tasks, Some(&viewer), &[], None).expect(401);
    let listed = office
        .machine
        .run(&["token", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(listed["items"][1]["state"], "revoked", "{listed}");
    let again = ["token", "new", "can-bo", "--role", "viewer", "--json"];
    assert_eq!(
        office.machine.run(&again).expect(2).failure(),
        "token_exists"
    );
    let store = fs::read(office.machine.at("store.db")).expect("a store");
    let wal = fs::read(office.machine.at("store.db-wal")).unwrap_or_default();
    let bytes = [store, wal].concat();
    let secret = officer.as_bytes();
    assert!(
        !bytes.windows(secret.len()).any(|part| part == secret),
        "a secret is on the disk"
    );

    // Whoever guesses is told to wait; whoever knows is not.
    let statuses: Vec<u16> = (0..40)
        .map(|_| office.ask(tasks, Some("nqsync_guess"), &[], None).status)
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    office.ask(tasks, Some(&officer), &[], None).expect(200);
    let refused = office.machine.run(&[
        "audit",
        "show",
        "--act",
        "token.refused",
        "--limit",
        "200",
        "--json",
    ]);
    let count = refused.expect(0).json()["items"]
        .as_array()
        .map_or(0, Vec::len);
    assert!((20..=45).contains(&count), "{count}");
    let elsewhere = ["config", "check", "--set", "api.address=0.0.0.0:7482"];
    assert!(
        office
            .machine
            .run(&elsewhere)
            .expect(78)
            .err
            .contains("api.address")
    );
}

#[test]
fn a_write_is_done_once_and_only_on_what_was_read() {
    let office = Office::new();
    let token = office.token("can-bo", "officer");
    let token = Some(token.as_str());
    let task = json!({ "title": "Một lần", "group": "IV", "number": "1", "lead": ["24001"] });
    let key = [("idempotency-key", "k1")];
    let first = office
        .ask("POST /v1/tasks", token, &key, Some(task.clone()))
        .expect(201)
        .json();
    let again = office
        .ask("POST /v1/tasks", token, &key, Some(task.clone()))
        .expect(201)
        .json();
    assert_eq!(first, again);
    let other = json!({ "title": "Việc khác", "lead": ["24001"] });
    let refused = office
        .ask("POST /v1/tasks", token, &key, Some(other.clone()))
        .expect(422);
    assert_eq!(refused.json()["code"], "other_request");
    // A key is its owner's: another token's is another one.
    let second = office.token("khac", "officer");
    office
        .ask("POST /v1/tasks", Some(&second), &key, Some(other))
        .expect(201);
    let found = office
        .ask("GET /v1/tasks?text=mot+lan", token, &[], None)
        .expect(200)
        .json();
    assert_eq!(found["total"], 1, "{found}");

    let shown = office
        .ask("GET /v1/tasks/IV%2F1", token, &[], None)
        .expect(200);
    let etag = shown.headers["etag"].to_str().expect("text").to_owned();
    let based = [
        ("if-match", etag.as_str()),
        ("idempotency-key", "mot-lan-nua"),
    ];
    let change = |kpi: &str| Some(json!({ "kpi": kpi }));
    let changed = office
        .ask("PATCH /v1/tasks/IV%2F1", token, &based, change("1"))
        .expect(200);
    // The answer was lost on the way: its own write is no reason to refuse the repetition.
    office
        .ask("PATCH /v1/tasks/IV%2F1", token, &based, change("1"))
        .expect(200);
    let based = &based[..1];
    assert_ne!(changed.headers["etag"].to_str().expect("text"), etag);
    office
        .ask("PATCH /v1/tasks/IV%2F1", token, based, change("2"))
        .expect(412);
    // A mark that nobody looks at is refused rather than passed over.
    office
        .ask("GET /v1/tasks/IV%2F1", token, based, None)
        .expect(400);
    let stands = office.ask("GET /v1/tasks/IV%2F1", token, &[], None).json();
    assert_eq!(stands["kpi"], "1");
    assert_eq!(stands["conflicts"], json!([]));
    let any = [("if-match", "*")];
    let report = "PATCH /v1/tasks/IV%2F1/reports/24001/2026-11";
    let draft = Some(json!({ "result": "bắt đầu" }));
    office.ask(report, token, &any, draft.clone()).expect(412);
    office.ask(report, token, &[], draft).expect(200);

    // What is not understood is refused, never passed over.
    let bad = |line: &str, body: Value| office.ask(line, token, &[], Some(body)).expect(400).json();
    assert_eq!(
        bad("POST /v1/tasks", json!({ "titel": "x" }))["code"],
        "unknown_name"
    );
    assert_eq!(
        bad("POST /v1/tasks", json!({ "title": 7 }))["code"],
        "bad_body"
    );
    assert_eq!(
        bad("POST /v1/tasks?unit=24001", json!({}))["code"],
        "unknown_name"
    );
    assert_eq!(bad(report, json!({ "percent": "140" }))["status"], 400);
    let text = [("content-type", "text/plain")];
    office
        .ask(
            "POST /v1/tasks",
            token,
            &text,
            Some(json!({ "title": "x" })),
        )
        .expect(415);
    let large = json!({ "title": "x".repeat(300_000) });
    office
        .ask("POST /v1/tasks", token, &[], Some(large))
        .expect(413);
    office.ask("DELETE /v1/tasks", token, &[], None).expect(405);
    office.ask("GET /v1/nothing", token, &[], None).expect(404);
    assert_eq!(
        office
            .ask("GET /v1/tasks?limit=0", token, &[], None)
            .expect(400)
            .json()["code"],
        "bad_query"
    );
}

#[test]
fn of_two_requests_under_one_key_at_the_same_moment_one_is_carried_out() {
    let office = Office::new();
    let token = office.token("hai", "officer");
    for round in 0..20 {
        let key = format!("cung-luc-{round}");
        let ask = |title: &str| {
            let task = json!({ "title": title, "lead": ["24001"] });
            let key = [("idempotency-key", key.as_str())];
            let seen = office.ask("POST /v1/tasks", Some(&token), &key, Some(task));
            seen.status
        };
        let mut both = std::thread::scope(|threads| {
            let other = threads.spawn(|| ask("Việc một"));
            [ask("Việc hai"), other.join().expect("an answer")]
        });
        both.sort_unstable();
        assert_eq!(both, [201, 422], "round {round}");
    }
}

#[test]
fn a_list_is_read_in_parts_without_gaps_while_it_changes() {
    let office = Office::new();
    let token = office.token("can-bo", "officer");
    let token = Some(token.as_str());
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let line = format!("GET /v1/tasks?limit=2{cursor}");
        let part = office.ask(&line, token, &[], None).expect(200).json();
        let items = part["items"].as_array().expect("items");
        assert!(items.len() <= 2);
        ids.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().expect("an id").to_owned()),
        );
        let Some(next) = part["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
        // One comes before what is still to be read, in the order of plans.
        if ids.len() == 2 {
            let task = json!({ "group": "I", "number": "1", "title": "Chen", "lead": ["24001"] });
            office
                .ask("POST /v1/tasks", token, &[], Some(task))
                .expect(201);
        }
    }
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (5, 5));
    let all = office
        .machine
        .run(&["task", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(all["total"], 5);
}

/// What is told next of a report: figures are computed anew whenever there is time for it, and are told as well.
fn of_a_report(listener: &mut Listener) -> Option<(String, Value)> {
    loop {
        let told = listener.next()?;
        if told.1["kind"] != "rollup" {
            return Some(told);
        }
    }
}

#[test]
fn what_changes_is_told_as_it_happens_and_nothing_is_missed_over_a_restart() {
    let mut office = Office::new();
    let token = office.token("nghe", "viewer");
    let mut listener = Listener::new(&office, &token, None);
    let (word, _) = listener.next().expect("a beginning");
    assert_eq!(word, "ready");
    let set = |office: &Office, result: &str| {
        let line = [
            "report", "set", "III/11", "--unit", "24001", "--for", "24001",
        ];
        let rest = [
            "--result",
            result,
            "--percent",
            "30",
            "--status",
            "in_progress",
        ];
        office.machine.run(&[&line[..], &rest].concat()).expect(0);
    };
    set(&office, "một");
    let (word, told) = of_a_report(&mut listener).expect("a change");
    assert_eq!(
        (word.as_str(), &told["kind"], &told["unit"]),
        ("change", &"report".into(), &"24001".into())
    );
    assert_eq!(told["fields"], json!(["progress", "result"]));
    assert!(
        !told.to_string().contains("một"),
        "values are not told: {told}"
    );
    let document = office.ask("GET /openapi.json", None, &[], None).json();
    let schema =
        &document["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"];
    let faults = Checker {
        document: &document,
    }
    .faults(&schema["x-data-schema"], &told);
    assert!(faults.is_empty(), "{faults:?}");
    let line = [
        "report", "set", "III/11", "--unit", "24001", "--for", "24001", "--result", "hai",
    ];
    office.machine.run(&line).expect(0);
    let (_, told) = of_a_report(&mut listener).expect("a change");
    assert_eq!(told["fields"], json!(["result"]));
    let cursor = told["cursor"].as_str().expect("a cursor").to_owned();

    // While nobody listens, and the service is another one.
    office.service.take().expect("it runs").stop();
    assert!(
        of_a_report(&mut listener).is_none(),
        "the service ends what is listened to"
    );
    set(&office, "ba");
    office.service = Some(office.machine.serve_with(&[API]));
    let mut listener = Listener::new(&office, &token, Some(&cursor));
    assert_eq!(listener.next().expect("a beginning").0, "ready");
    let (_, told) = of_a_report(&mut listener).expect("what happened meanwhile");
    assert_eq!(told["fields"], json!(["result"]), "{told}");

    // A place of another history: all must be read anew.
    let strange = cursor.replace('-', "-1");
    let mut other = Listener::new(&office, &token, Some(&strange));
    assert_eq!(other.next().expect("a beginning").0, "reset");

    office.machine.run(&["token", "revoke", "nghe"]).expect(0);
    until("what is listened to ends with the token", || {
        listener.next().is_none().then_some(())
    });
}
