use nqsync_core::model::{Facts, NodeId, UnitId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::fixture::{COMMUNE, Fixture, NOW, OFFICE, PROVINCE, unit};
use crate::api::{Command, Exit};
use crate::node::Refusal;
use crate::store::nodes::{self as rows, NodeRow};
use crate::store::quarantine::{self, Item};
use crate::store::{LinkId, Role, Tx, links};
use crate::trust::pin::Pin;

fn write<T: Send + 'static>(
    fixture: &Fixture,
    job: impl FnOnce(&mut Tx<'_>) -> T + Send + 'static,
) -> T {
    let done = fixture
        .node
        .store
        .write_blocking(move |tx| Ok::<T, Refusal>(job(tx)));
    done.expect("a write")
}

/// The commune's node, enrolled and with a link.
fn enrol(fixture: &Fixture) -> LinkId {
    write(fixture, |tx| {
        let node = NodeId(Uuid::from_u128(103));
        let row = NodeRow {
            node,
            unit: unit(COMMUNE),
            pin: [1; 32],
            certificate: String::new(),
            enrolled_at: NOW,
            revoked_at: None,
            reason: None,
            next_pin: None,
            key_asked: false,
            keys_before: 0,
            decisions: 0,
        };
        rows::insert(tx.connection(), &row).expect("a node");
        let link = links::ensure(tx.connection(), node, Role::Downstream).expect("a link");
        tx.tree_has_changed();
        link
    })
}

fn set_aside(fixture: &Fixture, link: LinkId, incoming: bool, record: Uuid, body: &'static str) {
    write(fixture, move |tx| {
        let item = Item {
            item: 0,
            incoming,
            link,
            kind: "report".into(),
            record,
            digest: None,
            code: "not_assigned".into(),
            reason: "the task was never assigned".into(),
            body: Some(body.to_owned()),
            at: NOW,
            to_parent: false,
            task: None,
        };
        quarantine::put(tx.connection(), &item).expect("set aside");
    });
}

fn token(unit: &str, expires_s: u64) -> Command {
    Command::NodeToken {
        unit: unit.into(),
        expires_s,
        url: None,
    }
}

#[test]
fn a_token_is_given_only_for_units_below_that_are_served_here_and_when_this_node_listens() {
    let fixture = Fixture::new();
    assert_eq!(fixture.refused(token("79.VP", 3600)), "no_listen");
    write(&fixture, |tx| {
        tx.set_meta("listen_url", "https://tinh-79:7443")
            .expect("a fact");
        tx.set_meta("ca_pin", &Pin::of_spki(b"ca").to_string())
            .expect("a fact");
    });
    let made = fixture.ask_once("token-1", token("79.VP", 3600));
    let kept = write(&fixture, |tx| tx.earlier_answer("token-1").expect("read"));
    assert_eq!(kept, None, "the secret is nowhere on disk");
    assert_eq!(made["url"], "https://tinh-79:7443");
    let read =
        crate::trust::token::parse(made["token"].as_str().expect("a text")).expect("a token");
    assert_eq!(
        (read.unit.as_str(), read.parent),
        ("79.VP", Pin::of_spki(b"ca"))
    );
    let kept = write(&fixture, move |tx| {
        rows::token(tx.connection(), &read.secret.hash()).expect("read")
    });
    assert_eq!(kept.expect("kept").unit, unit(OFFICE));
    assert_eq!(fixture.refused(token("79", 3600)), "unit_not_below");
    assert_eq!(fixture.refused(token("BNV", 3600)), "unit_not_below");
    assert_eq!(
        fixture.refused(token("00123", 3600)),
        "unit_served_elsewhere"
    );
    assert_eq!(fixture.refused(token("79.VP", 1)), "bad_token_life");
    assert_eq!(
        fixture.data(Command::NodeList)["tokens"][0]["unit"],
        "79.VP"
    );
}

#[test]
fn a_node_is_cut_off_and_taken_back() {
    let fixture = Fixture::new();
    enrol(&fixture);
    let revoke = |undo| Command::NodeRevoke {
        node: "00123".into(),
        reason: "stolen".into(),
        undo,
    };
    assert_eq!(
        fixture.data(Command::NodeShow {
            node: "00123".into()
        })["state"],
        "never"
    );
    assert_eq!(fixture.data(revoke(false))["state"], "revoked");
    assert_eq!(
        fixture.data(Command::NodeList)["items"][0]["reason"],
        "stolen"
    );
    assert_eq!(fixture.data(revoke(true))["state"], "never");
    assert_eq!(
        fixture.refused(Command::NodeShow {
            node: "00456".into()
        }),
        "no_such_node"
    );
}

#[test]
fn what_was_set_aside_is_listed_shown_offered_again_or_dropped() {
    let fixture = Fixture::new();
    let link = enrol(&fixture);
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    set_aside(&fixture, link, false, task, "{\"k\":\"task\"}");
    set_aside(&fixture, link, true, Uuid::from_u128(77), "not a record");
    let items = fixture.data(Command::QuarantineList);
    assert_eq!(items["items"][0]["peer"], "00123");
    assert_eq!(
        fixture.data(Command::QuarantineShow { item: 1 })["body"]["k"],
        "task"
    );
    assert_eq!(
        fixture.data(Command::QuarantineShow { item: 2 })["body"],
        "not a record"
    );
    assert_eq!(
        fixture.data(Command::QuarantineRetry { item: 1 })["result"],
        "offered"
    );
    let again = fixture
        .ask(Command::QuarantineRetry { item: 2 })
        .expect("an answer");
    assert_eq!(
        (again.exit, &again.data["result"]),
        (Exit::Partly, &json!("refused"))
    );
    let dropping = |reason: &str| Command::QuarantineDrop {
        item: 2,
        reason: reason.into(),
    };
    assert_eq!(fixture.refused(dropping(" ")), "reason_needed");
    assert_eq!(fixture.data(dropping("damaged"))["dropped"], true);
    assert_eq!(fixture.data(Command::QuarantineList)["items"], json!([]));
    assert_eq!(fixture.refused(dropping("damaged")), "no_such_item");
}

#[test]
fn status_is_healthy_only_when_nothing_is_wrong() {
    let fixture = Fixture::new();
    let well = fixture.ask(Command::Status).expect("an answer");
    assert_eq!(well.data["problems"], json!([]));
    assert_eq!(
        (well.exit, &well.data["healthy"]),
        (Exit::Done, &json!(true))
    );
    assert_eq!(well.data["unit"]["code"], "79");
    let link = enrol(&fixture);
    set_aside(&fixture, link, true, Uuid::from_u128(77), "x");
    write(&fixture, |tx| {
        let node = NodeId(Uuid::from_u128(101));
        let up = links::ensure(tx.connection(), node, Role::Upstream).expect("a link");
        links::note_failure(tx.connection(), up, NOW, "cannot reach it", false).expect("noted");
        tx.tree_has_changed();
    });
    let ill = fixture.ask(Command::Status).expect("an answer");
    assert_eq!(ill.exit, Exit::Degraded);
    let codes: Vec<&Value> = ill.data["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| &p["code"])
        .collect();
    assert_eq!(codes, ["upstream_down", "quarantine", "service_stopped"]);
    assert_eq!(ill.data["upstream"]["error"], "cannot reach it");
}

#[test]
fn a_disk_with_less_room_than_the_configuration_wants_is_a_problem() {
    let mut fixture = Fixture::new();
    fixture.node.settings.min_free_bytes = u64::MAX;
    let status = fixture.ask(Command::Status).expect("an answer");
    assert_eq!(status.exit, Exit::Degraded);
    assert_eq!(status.data["problems"][0]["code"], "disk_nearly_full");
}

#[test]
fn a_preview_tells_what_would_go_and_what_stays() {
    let fixture = Fixture::new();
    enrol(&fixture);
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.task(PROVINCE, 2, "I", &[OFFICE]);
    let preview = fixture.data(Command::SyncPreview);
    let records = preview["records"].as_array().expect("a list");
    let tasks = records.iter().filter(|r| r["kind"] == "task").count();
    assert_eq!(tasks, 1, "{preview:#}");
    let unit_lanes: Vec<&Value> = records
        .iter()
        .filter(|r| r["kind"] == "unit")
        .map(|r| &r["lane"])
        .collect();
    assert_eq!(json!(unit_lanes.len()), preview["counts"]["units"]);
    assert!(!unit_lanes.is_empty() && unit_lanes.iter().all(|lane| *lane == "units"));
    assert!(preview["bytes"].as_u64() > Some(0));
    assert_eq!(
        preview["withheld"],
        json!([{ "reason": "one_side_only", "count": 1 }])
    );
}

fn define(code: &str, aggregation: &str, units: &[&str]) -> Command {
    Command::IndicatorDefine {
        code: code.into(),
        name: "Online services".into(),
        measure: Some("%".into()),
        over_time: "cumulative".into(),
        aggregation: aggregation.into(),
        comparator: Some(">=".into()),
        target: Some("80".into()),
        units: units.iter().map(|unit| (*unit).to_owned()).collect(),
    }
}

fn set(unit: &str, parts: [Option<&str>; 3]) -> Command {
    let [value, numerator, denominator] = parts.map(|part| part.map(str::to_owned));
    Command::IndicatorSet {
        indicator: "DVC".into(),
        unit: Some(unit.into()),
        period: Some("2026-03".into()),
        value,
        numerator,
        denominator,
        token: None,
    }
}

#[test]
fn an_indicator_adds_parts_and_wholes_and_never_averages_percents() {
    let fixture = Fixture::new();
    let defined = fixture.data(define("DVC", "ratio_of_sums", &["79.VP", "00123"]));
    fixture.data(set("79.VP", [None, Some("90"), Some("100")]));
    let id: Uuid = defined["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    let facts = Facts::Figure {
        unit: unit(COMMUNE),
        definer: unit(PROVINCE),
        indicator: id,
        period: "2026-03".into(),
    };
    let figures = json!({ "numerator": "1", "denominator": "900" });
    fixture.put(unit(COMMUNE), facts, Uuid::nil(), &[("figures", figures)]);
    let listed = fixture.data(Command::IndicatorList {
        period: Some("2026-03".into()),
        unit: None,
    });
    let item = &listed["items"][0];
    assert_eq!(item["total"]["value"], "9.1");
    assert_eq!(
        (&item["reached"], &item["total"]["complete"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(item["values"][0]["ratio"], "90");
    assert_eq!(item["values"][0]["reached"], true);
    let one = fixture.data(Command::IndicatorList {
        period: Some("2026-03".into()),
        unit: Some("79.VP".into()),
    });
    assert_eq!(one["items"][0]["total"]["value"], "90");
}

#[test]
fn figures_that_cannot_be_are_refused_and_odd_ones_are_remarked() {
    let fixture = Fixture::new();
    assert_eq!(
        fixture.refused(define("DVC", "average", &["79.VP"])),
        "bad_choice"
    );
    assert_eq!(
        fixture.refused(define("DVC", "sum", &[])),
        "indicator_needs_units"
    );
    assert_eq!(
        fixture.refused(define("DVC", "sum", &["BNV"])),
        "unit_not_below"
    );
    fixture.data(define("DVC", "sum", &["79.VP"]));
    assert_eq!(
        fixture.refused(define("DVC", "sum", &["79.VP"])),
        "indicator_exists"
    );
    assert_eq!(
        fixture.refused(set("79.VP", [None, Some("1"), Some("0")])),
        "zero_denominator"
    );
    assert_eq!(
        fixture.refused(set("79.VP", [None, Some("1"), None])),
        "figures_incomplete"
    );
    assert_eq!(
        fixture.refused(set("79.VP", [None, None, None])),
        "figures_empty"
    );
    assert_eq!(
        fixture.refused(set("79.VP", [Some("abc"), None, None])),
        "bad_number"
    );
    assert_eq!(
        fixture.refused(set("79", [Some("1"), None, None])),
        "indicator_not_assigned"
    );
    assert_eq!(
        fixture.refused(set("99999", [Some("1"), None, None])),
        "unknown_unit"
    );
    let odd = fixture
        .ask(set("79.VP", [None, Some("2.274.905"), Some("2.000.000")]))
        .expect("an answer");
    assert_eq!(
        odd.data["remarks"][0]["remark"],
        "numerator_above_denominator"
    );
    assert_eq!(
        (&odd.data["numerator"], odd.notes.len()),
        (&json!("2274905"), 1)
    );
}

#[test]
fn a_directive_is_listed_and_found_by_its_number() {
    let fixture = Fixture::new();
    let add = |number: &str, date: &str| Command::DirectiveAdd {
        number: number.into(),
        date: Some(date.into()),
        kind: Some("Quyết định".into()),
        summary: "Plan".into(),
        units: vec!["00123".into()],
        file: None,
    };
    let added = fixture.data(add("12/QĐ", "15/3/2026"));
    assert_eq!(
        (&added["date"], &added["units"]),
        (&json!("2026-03-15"), &json!(["00123"]))
    );
    assert_eq!(
        fixture.refused(add("12/QĐ", "15/3/2026")),
        "directive_exists"
    );
    assert_eq!(fixture.refused(add("13/QĐ", "31/2/2026")), "bad_day");
    let shown = fixture.data(Command::DirectiveShow {
        directive: "12/QĐ".into(),
    });
    assert_eq!(shown["id"], added["id"]);
    assert_eq!(
        fixture.data(Command::DirectiveList)["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let nobody: Option<UnitId> = None;
    assert_eq!(shown["file"], json!(nobody));
}

#[test]
fn every_list_says_how_many_it_holds() {
    let fixture = Fixture::new();
    let lists = [
        Command::ConflictList,
        Command::DirectiveList,
        Command::QuarantineList,
        Command::NodeList,
        Command::ProposalList { open_only: false },
        Command::IndicatorList {
            period: None,
            unit: None,
        },
    ];
    for list in lists {
        assert_eq!(fixture.data(list.clone())["total"], 0, "{list:?}");
    }
}
