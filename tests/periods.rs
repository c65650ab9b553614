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
