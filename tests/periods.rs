//! Reporting periods between real services: submitted below, returned, corrected, accepted and closed above.

mod support;

use serde_json::{Value, json};
use support::machine::{Machine, ran};

const PERIOD: [&str; 3] = ["--period", "2026-03", "--json"];

fn asked(machine: &Machine, verb: &[&str]) -> Value {
    let args: Vec<&str> = verb.iter().chain(&PERIOD).copied().collect();
    machine.run(&args).expect(0).json()
}

fn report(machine: &Machine, percent: &str) -> Value {
    let verb = ["report", "set", "III/12", "--status", "in_progress"];
    let more = ["--percent", percent, "--submit"];
    asked(machine, &[verb.as_slice(), more.as_slice()].concat())
}

/// What the parent lists of the commune.
fn listed(parent: &Machine) -> Value {
    let list = asked(parent, &["period", "list", "--unit", "24001"]);
    list["items"][0].clone()
}

fn with_task() -> (Machine, Machine, support::machine::Service) {
    let parent = Machine::ministry("BO");
    let above = parent.serve();
    let commune = Machine::child(&parent, "24001", "commune");
    let task = [
        "task", "add", "--title", "Việc", "--lead", "24001", "--group", "III", "--number", "12",
    ];
    parent.run(&task).expect(0);
    (parent, commune, above)
}

#[test]
fn a_period_goes_from_submitted_to_closed_between_two_services() {
    let (parent, commune, above) = with_task();
    let below = commune.serve();
    let exchange = || drop(commune.run(&["sync", "--wait"]).expect(0));
    exchange();
    report(&commune, "40");
    let sent = asked(&commune, &["period", "submit"]);
    assert_eq!(
        (&sent["state"], &sent["received"]),
        (&json!("submitted"), &json!(1))
    );
    exchange();
    let seen = listed(&parent);
    assert_eq!(
        (&seen["state"], &seen["submission"]),
        (&json!("submitted"), &sent["submission"])
    );

    let reason = [
        "period",
        "return",
        "24001",
        "--reason",
        "III/12 does not add up",
    ];
    asked(&parent, &reason);
    exchange();
    let back = asked(&commune, &["period", "show"]);
    assert_eq!(
        (&back["state"], &back["reason"]),
        (&json!("returned"), &json!("III/12 does not add up"))
    );
    report(&commune, "45");
    asked(&commune, &["period", "submit"]);
    exchange();
    assert_eq!(listed(&parent)["state"], "submitted");
    asked(&parent, &["period", "accept", "24001"]);
    exchange();
    assert_eq!(asked(&commune, &["period", "show"])["state"], "accepted");
    // The unit corrects once more, and has not heard yet that the period is closed.
    below.stop();
    asked(&parent, &["period", "close", "--all"]);
    report(&commune, "50");
    let below = commune.serve();
    exchange();
    let closed = listed(&parent);
    assert_eq!(
        (&closed["state"], &closed["changed_since"]),
        (&json!("locked"), &json!(1))
    );
    let late = asked(&parent, &["period", "show", "24001"]);
    let change = &late["changes"][0];
    assert!(
        change["from"].is_string() && change["to"].is_string() && change["from"] != change["to"],
        "{late}"
    );
    assert_eq!(
        parent
            .run(&["quarantine", "list", "--json"])
            .expect(0)
            .json()["total"],
        0
    );
    let refused = commune.run(&[
        "report",
        "set",
        "III/12",
        "--period",
        "2026-03",
        "--percent",
        "60",
    ]);
    assert_eq!(refused.code, 2, "{refused:?}");

    asked(
        &parent,
        &["period", "reopen", "24001", "--reason", "wrong annex"],
    );
    exchange();
    report(&commune, "60");
    let shown = asked(&commune, &["period", "show"]);
    let states: Vec<&Value> = shown["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|h| &h["state"])
        .collect();
    assert_eq!(
        states,
        [
            "submitted",
            "returned",
            "submitted",
            "accepted",
            "locked",
            "reopened"
        ]
    );
    below.stop();
    above.stop();
}

fn number<'a>(moved: &'a Value, whose: (&str, &str), name: &str) -> &'a Value {
    let mut lines = moved.as_array().into_iter().flatten();
    lines
        .find(|line| line[whose.0] == whose.1 && line["number"] == name)
        .unwrap_or(&Value::Null)
}

/// What a rollup counts, without what it says about versions.
fn counts(rollup: &Value) -> Value {
    let names = [
        "tasks",
        "assignments",
        "coverage",
        "rows",
        "issuers",
        "as_of",
    ];
    names.iter().map(|name| rollup[*name].clone()).collect()
}

#[test]
fn a_correction_after_the_closing_goes_up_as_a_restatement_at_each_level() {
    let ministry = Machine::ministry("BO");
    let top = ministry.serve();
    let province = Machine::child(&ministry, "66", "province");
    let middle = province.serve();
    let sync = |machine: &Machine| drop(machine.run(&["sync", "--wait"]).expect(0));
    sync(&province);
    let commune = Machine::child(&province, "24001", "commune");
    let task = [
        "task", "add", "--title", "Việc", "--lead", "24001", "--group", "III", "--number", "12",
    ];
    province.run(&task).expect(0);
    let define = ["indicator", "define", "CT1", "Hồ sơ số", "--unit", "24001"];
    province.run(&define).expect(0);
    let below = commune.serve();
    sync(&commune);
    let correct = |status: &str, value: &str| {
        let set = ["report", "set", "III/12", "--status", status, "--submit"];
        asked(&commune, &set);
        asked(&commune, &["indicator", "set", "CT1", "--value", value]);
    };
    correct("not_started", "10");
    sync(&commune);
    // From here on without a line: it does not hear of the closing.
    below.stop();
    asked(&province, &["period", "close", "24001"]);
    sync(&province);
    asked(&ministry, &["period", "close", "66"]);
    let rollup = |machine: &Machine| asked(machine, &["rollup", "show"]);
    let first = [&province, &ministry].map(rollup);
    assert_eq!(first[0]["tasks"]["by_status"], json!({ "not_started": 1 }));
    assert_eq!(counts(&first[0])["tasks"], counts(&first[1])["tasks"]);

    // The commune corrects both; a file carries it, and is read twice.
    correct("in_progress", "12");
    let medium = tempfile::tempdir().expect("room");
    let folder = medium.path().to_str().expect("text");
    commune.run(&["bundle", "export", folder]).expect(0);
    province.run(&["bundle", "import", folder]).expect(0);
    let waiting = asked(&province, &["period", "show", "24001"]);
    province.run(&["bundle", "import", folder]).expect(0);
    assert_eq!(asked(&province, &["period", "show", "24001"]), waiting);
    assert_eq!(
        waiting["late"].as_array().map(Vec::len),
        Some(2),
        "{waiting:#}"
    );
    let moved = &waiting["would_move"];
    let line = number(moved, ("issuer", "66"), "tasks.by_status.in_progress");
    assert_eq!((&line["old"], &line["new"]), (&Value::Null, &json!(1)));
    let line = number(moved, ("indicator", "CT1"), "value");
    assert_eq!((&line["old"], &line["new"]), (&json!("10"), &json!("12")));
    let total = || asked(&province, &["indicator", "list"])["items"][0]["total"]["value"].clone();
    assert_eq!(total(), "10");
    assert_eq!(counts(&rollup(&province)), counts(&first[0]));
    let listed = asked(&province, &["period", "list", "--unit", "24001"]);
    assert_eq!(listed["items"][0]["late"], 2);
    sync(&province);
    assert_eq!(counts(&rollup(&ministry)), counts(&first[1]));

    let restate = ["period", "restate", "2026-03", "--unit", "24001"];
    let preview = province.run(&[&restate[..], &["--preview", "--json"]].concat());
    assert_eq!(&preview.expect(0).json()["moved"], moved);
    assert_eq!(total(), "10");
    let why = ["--reason", "annex 2 was wrong", "--json"];
    let done = province.run(&[&restate[..], &why].concat()).expect(0);
    assert_eq!(done.json()["version"], 2);
    assert_eq!(total(), "12");
    assert_eq!(
        rollup(&province)["tasks"]["by_status"],
        json!({ "in_progress": 1 })
    );

    // The ministry sees the new version, what it says, and what it would do to its own figures; none has moved yet.
    sync(&province);
    let seen = asked(&ministry, &["period", "show", "66"]);
    let told = &seen["versions_below"][0];
    assert_eq!(
        (
            &told["issuer"],
            &told["version"],
            &told["reason"],
            &told["taken_in"]
        ),
        (
            &json!("66"),
            &json!(2),
            &json!("annex 2 was wrong"),
            &json!(false)
        )
    );
    let line = number(
        &told["moved"],
        ("issuer", "66"),
        "tasks.by_status.not_started",
    );
    assert_eq!((&line["old"], &line["new"]), (&json!(1), &Value::Null));
    let line = number(
        &seen["would_move"],
        ("issuer", "66"),
        "tasks.by_status.in_progress",
    );
    assert_eq!((&line["group"], &line["new"]), (&json!("III"), &json!(1)));
    assert_eq!(counts(&rollup(&ministry)), counts(&first[1]));
    let restate = ["period", "restate", "2026-03", "--unit", "66", "--json"];
    let why = ["--reason", "version 2 of 66"];
    ministry.run(&[&restate[..], &why].concat()).expect(0);
    assert_eq!(
        rollup(&ministry)["tasks"]["by_status"],
        json!({ "in_progress": 1 })
    );
    let seen = asked(&ministry, &["period", "show", "66"]);
    let version = &seen["versions"][0];
    assert_eq!(
        (&version["version"], &version["reason"]),
        (&json!(2), &json!("version 2 of 66"))
    );
    assert_eq!(
        (&seen["versions_below"][0]["taken_in"], &seen["late"]),
        (&json!(true), &json!([]))
    );

    for (machine, first) in [(&province, &first[0]), (&ministry, &first[1])] {
        let earlier = asked(machine, &["rollup", "show", "--version", "1"]);
        assert_eq!(counts(&earlier), counts(first));
    }
    // The commune hears of it.
    let below = commune.serve();
    sync(&commune);
    let heard = asked(&commune, &["period", "show"]);
    assert_eq!(
        (&heard["state"], &heard["reason"]),
        (&json!("locked"), &json!("annex 2 was wrong"))
    );
    for service in [below, middle, top] {
        service.stop();
    }
}

/// Kiritimati and Honolulu never have the same date.
#[test]
fn c5_in_whatever_time_zone_a_node_stands_days_are_those_of_the_calendar_and_data_is_in_utc() {
    let (parent, commune, above) = with_task();
    let below = commune.serve();
    commune.run(&["sync", "--wait"]).expect(0);
    below.stop();
    above.stop();
    let in_zone = |zone: &str, machine: &Machine, args: &[&str]| {
        let mut command = machine.command(args);
        command.env("TZ", zone);
        ran(command).expect(0).json()
    };
    let zones = ["Pacific/Kiritimati", "Pacific/Honolulu"];
    let submit = ["period", "submit", "--period", "2026-03", "--json"];
    let sent = in_zone(zones[0], &commune, &submit);
    let set = [
        "report",
        "set",
        "III/12",
        "--status",
        "in_progress",
        "--submit",
        "--json",
    ];
    let reports = zones.map(|zone| in_zone(zone, &commune, &set));
    assert_eq!(reports[0]["period"], reports[1]["period"]);
    assert_eq!(reports[0]["id"], reports[1]["id"]);
    for name in ["since", "due", "submitted_at"] {
        let text = sent[name].as_str().unwrap_or_default();
        assert!(text.ends_with('Z'), "{name}: {sent}");
    }
    assert_eq!(sent["due"], "2026-04-10T17:00:00Z");
    let wide = ["rollup", "show", "--period", "2999", "--json"];
    let days = zones.map(|zone| in_zone(zone, &parent, &wide)["evaluated_on"].clone());
    assert!(days[0].is_string());
    // Only midnight in Viet Nam, between the two commands, may come between them.
    let again = in_zone(zones[0], &parent, &wide)["evaluated_on"].clone();
    assert!(days[0] == days[1] || again == days[1], "{days:?}");
}
