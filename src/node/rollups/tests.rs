use nqsync_core::model::Facts;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Recount, recount};
use crate::api::{Command, Exit, RollupBy};
use crate::node::commands::fixture::{
    COMMUNE, Fixture, HERE, MINISTRY, OFFICE, PROVINCE, WARD, unit,
};
use crate::store::queries;

fn proof(fixture: &Fixture) -> Recount {
    let today = fixture.node.today();
    let node = nqsync_core::model::NodeId(Uuid::from_u128(HERE));
    let found = fixture.node.store.read_blocking(move |c| {
        let tree = queries::load_tree(c)?;
        recount(c, &tree, node, None, today)
    });
    found.expect("counted")
}

fn show(fixture: &Fixture, period: &str, unit: Option<&str>, by: RollupBy) -> Value {
    fixture.data(Command::RollupShow {
        period: Some(period.to_owned()),
        unit: unit.map(str::to_owned),
        by,
        recompute: true,
        version: None,
    })
}

#[test]
fn counting_step_by_step_gives_what_counting_from_scratch_gives() {
    let fixture = Fixture::new();
    let first = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let second = fixture.task(PROVINCE, 2, "I", &[WARD]);
    let third = fixture.task(PROVINCE, 3, "II", &[COMMUNE, WARD]);
    fixture.recompute();
    assert!(proof(&fixture).same);
    fixture.report(first, PROVINCE, COMMUNE, "2026-02", "in_progress");
    fixture.recompute();
    fixture.report(second, PROVINCE, WARD, "2026-03", "completed");
    fixture.report(third, PROVINCE, WARD, "2026-03", "completed");
    fixture.recompute();
    let found = proof(&fixture);
    assert!(found.same, "{found:?}");
    // Two groups, each for February and March: a period is there for all groups or for none.
    assert_eq!((found.compared, found.pending), (4, 0));
    let shown = show(&fixture, "2026-03", None, RollupBy::Group);
    assert_eq!(shown["tasks"]["total"], 3);
    assert_eq!(shown["assignments"]["total"], 4);
    assert_eq!(shown["coverage"]["reports_received"], 2);
    assert_eq!(shown["recomputed"]["same"], true);
    assert_eq!(shown["rows"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_task_that_moves_to_another_group_is_counted_once() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.recompute();
    let facts = Facts::Task {
        issuer: unit(PROVINCE),
        parent: None,
    };
    fixture.put(
        unit(PROVINCE),
        facts,
        task,
        &[("group", json!({ "code": "II", "title": "" }))],
    );
    fixture.recompute();
    let shown = show(&fixture, "2026-03", None, RollupBy::Group);
    assert_eq!(shown["tasks"]["total"], 1);
    assert!(proof(&fixture).same);
}

#[test]
fn a_rollup_that_returns_without_its_tasks_is_counted_anew() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.recompute();
    let facts = |group: &str| Facts::Rollup {
        issuer: unit(PROVINCE),
        period: "2026-03".to_owned(),
        group: group.to_owned(),
    };
    let id = facts("I").natural_id().expect("a natural key");
    let counted = fixture.record(id).shown("rollup").expect("counted");
    // The level above still has the rollup of a group whose tasks went with an old copy of the disk.
    fixture.put(unit(PROVINCE), facts("II"), id, &[("rollup", counted)]);
    fixture.recompute();
    assert!(proof(&fixture).same, "{:?}", proof(&fixture));
    let shown = show(&fixture, "2026-03", None, RollupBy::Group);
    assert_eq!(shown["tasks"]["total"], 1);
}

#[test]
fn nothing_is_written_when_the_counts_stay_the_same() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.recompute();
    let before = rollup_digest(&fixture, "I");
    let facts = Facts::Task {
        issuer: unit(PROVINCE),
        parent: None,
    };
    fixture.put(
        unit(PROVINCE),
        facts,
        task,
        &[("title", json!("Another title"))],
    );
    assert!(fixture.recompute() > 0);
    assert_eq!(rollup_digest(&fixture, "I"), before);
}

fn rollup_digest(fixture: &Fixture, group: &str) -> nqsync_core::sync::Digest {
    let facts = Facts::Rollup {
        issuer: unit(PROVINCE),
        period: "2026-03".into(),
        group: group.into(),
    };
    fixture
        .record(facts.natural_id().expect("natural"))
        .digest()
}

#[test]
fn withdrawn_tasks_are_in_no_count_and_counting_comes_to_rest() {
    let fixture = Fixture::new();
    for number in [1, 2] {
        let task = fixture.task(PROVINCE, number, &number.to_string(), &[COMMUNE]);
        let facts = Facts::Task {
            issuer: unit(PROVINCE),
            parent: None,
        };
        let withdrawn = json!({ "withdrawn": true, "reason": "x" });
        fixture.put(unit(PROVINCE), facts, task, &[("withdrawn", withdrawn)]);
    }
    fixture.recompute();
    assert_eq!(
        show(&fixture, "2026-03", None, RollupBy::Group)["tasks"]["total"],
        0
    );
}

#[test]
fn a_new_day_counts_again_and_an_overdue_task_becomes_late() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.recompute();
    assert_eq!(
        show(&fixture, "2026-03", None, RollupBy::Group)["tasks"]["late"],
        0
    );
    fixture.wait_ms(20 * 24 * 3600 * 1000);
    let node = fixture.node.clone();
    fixture
        .node
        .store
        .write_blocking(move |tx| super::touch_all(&node, tx))
        .expect("marked");
    fixture.recompute();
    assert!(proof(&fixture).same);
    // April is the new current period; March stays judged as of its last day, which was the due day itself.
    assert_eq!(
        show(&fixture, "2026-04", None, RollupBy::Group)["tasks"]["late"],
        1
    );
    assert_eq!(
        show(&fixture, "2026-03", None, RollupBy::Group)["tasks"]["late"],
        0
    );
}

#[test]
fn a_rollup_that_was_tampered_with_is_found() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    fixture.recompute();
    let facts = Facts::Rollup {
        issuer: unit(PROVINCE),
        period: "2026-03".into(),
        group: "I".into(),
    };
    let mut value = fixture
        .record(facts.natural_id().expect("natural"))
        .shown("rollup")
        .expect("a value");
    value["tasks"]["total"] = json!(7);
    fixture.put(unit(PROVINCE), facts, Uuid::nil(), &[("rollup", value)]);
    let unmarked = fixture.node.store.write_blocking(|tx| {
        let marks = queries::dirty(tx.connection())?;
        let mut marks = marks.iter();
        marks.try_for_each(|mark| queries::clear_dirty(tx.connection(), mark))
    });
    unmarked.expect("as if nobody had noticed");
    let answer = fixture
        .ask(Command::RollupShow {
            period: None,
            unit: None,
            by: RollupBy::Group,
            recompute: true,
            version: None,
        })
        .expect("an answer");
    assert_eq!(answer.exit, Exit::Failed);
    assert_eq!(
        answer.data["recomputed"]["differences"][0]["counted"]["tasks"]["total"],
        1
    );
}

#[test]
fn what_passes_through_is_shown_apart_and_what_came_from_below_is_counted() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE, OFFICE]);
    fixture.task(MINISTRY, 2, "I", &[COMMUNE]);
    fixture.recompute();
    let own = fixture.record(
        Facts::Rollup {
            issuer: unit(PROVINCE),
            period: "2026-03".into(),
            group: "I".into(),
        }
        .natural_id()
        .expect("natural"),
    );
    let below = Facts::Rollup {
        issuer: unit(WARD),
        period: "2026-03".into(),
        group: "X".into(),
    };
    fixture.put(
        unit(WARD),
        below,
        Uuid::nil(),
        &[("rollup", own.shown("rollup").expect("a value"))],
    );
    let shown = show(&fixture, "2026-03", None, RollupBy::Issuer);
    assert_eq!(shown["tasks"]["total"], 2, "{shown:#}");
    let issuers = shown["issuers"].as_array().expect("a list");
    let of = |code: &str| {
        issuers
            .iter()
            .find(|item| item["issuer"] == code)
            .expect("an issuer")
    };
    assert_eq!(of("BNV")["held_on_path"], true);
    assert_eq!(of("BNV")["assignments"]["total"], 1);
    assert_eq!(
        (&of("79")["own"], &of("00456")["own"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(of("00456")["level"], "commune");
    // One unit's part: its own issue as a whole, the others' as far as it carries them out.
    let commune = show(&fixture, "2026-03", Some("00123"), RollupBy::Unit);
    assert_eq!(commune["tasks"]["total"], 1);
    assert_eq!(commune["assignments"]["total"], 1);
    assert_eq!(commune["rows"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_period_nobody_counted_is_counted_when_it_is_asked_for() {
    let fixture = Fixture::new();
    fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let shown = show(&fixture, "2026-01", None, RollupBy::Group);
    assert_eq!(shown["tasks"]["by_status"]["not_reported"], 1);
    assert_eq!(shown["coverage"]["complete"], false);
    assert_eq!(shown["evaluated_on"], "2026-01-31");
}

#[test]
fn what_a_newer_version_wrote_is_named_and_nothing_counts_as_complete() {
    let fixture = Fixture::new();
    let task = fixture.task(PROVINCE, 1, "I", &[COMMUNE]);
    let facts = Facts::Report {
        unit: unit(COMMUNE),
        issuer: unit(PROVINCE),
        task,
        period: "2026-03".into(),
    };
    let newer = json!({ "hash": "c", "submitted_at": 5, "values": {}, "evidence": [],
        "progress": { "status": "suspended" } });
    fixture.put(unit(COMMUNE), facts, Uuid::nil(), &[("submission", newer)]);
    fixture.recompute();
    let shown = show(&fixture, "2026-03", None, RollupBy::Group);
    let left = &shown["not_counted"][0];
    assert_eq!(
        (
            &left["issuer"],
            &left["group"],
            &left["reason"],
            &left["records"]
        ),
        (&json!("79"), &json!("I"), &json!("unknown_form"), &json!(1))
    );
    assert_eq!(shown["coverage"]["complete"], false);
    assert_eq!(shown["recomputed"]["same"], true);
}
