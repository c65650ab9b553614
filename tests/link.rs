//! Real nodes in one process, over real TLS on loopback: what passes a link, and what does not.

mod support;

use nqsync::node::{Refusal, receive};
use nqsync::store::links;
use nqsync::store::records::{self, Flags};
use nqsync_core::model::{Facts, Kind};
use nqsync_core::protocol::{Line, parse_line, render_record};
use serde_json::json;
use support::promises::{self, idle};
use support::raw::{Raw, authored};
use support::world::{World, progress, report_facts, units};
use support::{Place, values};
use uuid::Uuid;

type Tested = Result<(), String>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_comes_down_and_its_report_climbs_to_the_issuer_and_no_further() -> Tested {
    let world = World::new().await;
    let (ministry, province) = (&world.ministry, &world.province);
    let (commune, other) = (&world.commune, &world.other);
    let task = world.task().await;
    commune.sync().await;
    other.sync().await;
    assert!(commune.holds(task).await, "the assignment reached its unit");
    assert!(!other.holds(task).await, "and nobody else");

    let report = world.report(task, 40).await;
    let moved = commune.sync().await;
    assert_eq!(moved.agrees, Some(true));
    assert!(province.holds(report).await);
    province.sync().await;
    other.sync().await;
    assert!(!ministry.holds(report).await, "detail ends at the issuer");
    assert!(!other.holds(report).await);
    assert_eq!(province.digest(report).await, commune.digest(report).await);
    assert_eq!(
        ministry.count(Kind::Unit).await,
        commune.count(Kind::Unit).await
    );
    idle(commune, province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_edits_of_one_register_are_kept_until_one_write_resolves_them_everywhere() -> Tested {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let unit = commune.unit();
    let task = world.task().await;
    commune.sync().await;
    // Both places create the report: its natural key makes it one record.
    let report = world.report(task, 40).await;
    let facts = world.report_facts(task);
    let same = province
        .create(unit, facts, values([("progress", progress(60))]))
        .await;
    assert_eq!(report, same);
    let both = commune.sync().await;
    assert_eq!(both.agrees, Some(true));
    for place in [commune, province] {
        let stored = place.stored(report).await;
        assert_eq!(stored.record.register("progress").siblings.len(), 2);
        assert!(stored.flags.has(Flags::CONFLICT));
    }
    let resolved = commune
        .set(report, unit, [("progress", progress(55))], None)
        .await;
    resolved.expect("resolved");
    commune.sync().await;
    for place in [commune, province] {
        let stored = place.stored(report).await;
        assert_eq!(stored.record.shown("progress"), Some(progress(55)));
        assert_eq!(stored.record.register("progress").siblings.len(), 1);
        assert!(!stored.flags.has(Flags::CONFLICT));
        let rec = stored.rec;
        let history = place
            .node
            .store
            .read(move |c| records::history(c, rec))
            .await;
        let mut kept: Vec<_> = history
            .expect("a read")
            .iter()
            .map(|edit| edit.writes()[0].json())
            .collect();
        kept.sort_by_key(ToString::to_string);
        assert_eq!(kept, [progress(40), progress(60)], "both stay to be seen");
    }
    assert_eq!(commune.digest(report).await, province.digest(report).await);
    idle(commune, province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_different_registers_merge_without_a_conflict() {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let unit = commune.unit();
    let task = world.task().await;
    commune.sync().await;
    let report = world.report(task, 40).await;
    commune.sync().await;
    let one = commune
        .set(report, unit, [("progress", progress(70))], None)
        .await;
    let two = province
        .set(report, unit, [("result", json!("Đã xong phần một"))], None)
        .await;
    assert!(one.is_ok() && two.is_ok());
    commune.sync().await;
    for place in [commune, province] {
        let stored = place.stored(report).await;
        assert!(!stored.flags.has(Flags::CONFLICT));
        assert_eq!(stored.record.shown("progress"), Some(progress(70)));
        assert_eq!(
            stored.record.shown("result"),
            Some(json!("Đã xong phần một"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_saved_after_a_change_arrived_makes_a_conflict() -> Tested {
    promises::a_stale_form_makes_a_conflict().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_round_moves_nothing() -> Tested {
    promises::an_idle_round_moves_nothing().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_in_the_middle_of_a_batch_is_set_aside_on_both_sides() -> Tested {
    promises::a_bad_record_is_set_aside_on_both_sides().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_state_is_sent_again_only_when_it_changed_or_somebody_retries() -> Tested {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let unit = commune.unit();
    let unknown = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_00ff);
    let report = world.report(unknown, 10).await;
    let first = commune.sync().await;
    assert_eq!(
        (first.report.set_aside_there, first.agrees),
        (1, Some(true))
    );
    idle(commune, province).await?;

    // Changed: it goes again, and is set aside again.
    let changed = commune
        .set(report, unit, [("progress", progress(20))], None)
        .await;
    changed.expect("written");
    let second = commune.sync().await;
    assert_eq!(
        (second.report.set_aside_there, second.agrees),
        (1, Some(true))
    );
    assert_eq!(
        province.set_aside().await.len(),
        1,
        "in the old one's place"
    );
    idle(commune, province).await?;

    // A person offers it again: once more, and no further.
    let link = commune.link_to(province).await.link;
    let rec = commune.stored(report).await.rec;
    let offered = commune
        .node
        .store
        .write(move |tx| links::offer_again(tx.connection(), link, rec))
        .await;
    offered.expect("offered");
    assert_eq!(commune.sync().await.report.set_aside_there, 1);
    idle(commune, province).await?;

    // The reason goes away (the task comes under this id), and a person at the province retries.
    let task = authored(
        0xff,
        Facts::Task {
            issuer: province.unit(),
            parent: None,
        },
        province.unit(),
        values([("lead", units("24001", &[unit]))]),
    );
    assert_eq!(task.key().id, unknown);
    let saved = province
        .node
        .store
        .write(move |tx| tx.save(&task, None, &[], None, support::START_MS))
        .await;
    saved.expect("saved");
    let item = province.set_aside().await.remove(0);
    let node = province.node.clone();
    let taken = province
        .node
        .store
        .write(move |tx| receive::retry(&node, tx, &item))
        .await;
    assert!(taken.expect("tried"), "taken now");
    assert!(province.holds(report).await && province.set_aside().await.is_empty());
    let after = commune.sync().await;
    assert_eq!(after.agrees, Some(true));
    assert!(
        commune.set_aside().await.is_empty(),
        "the child heard of it"
    );
    assert_eq!(commune.digest(report).await, province.digest(report).await);
    idle(commune, province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_the_child_sets_aside_does_not_come_again() -> Tested {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    // The child has another record under the id the parent will use: it cannot join what comes down.
    let facts = Facts::Task {
        issuer: commune.unit(),
        parent: None,
    };
    let twin = authored(5, facts, commune.unit(), values([("title", json!("Khác"))]));
    let facts = Facts::Task {
        issuer: province.unit(),
        parent: None,
    };
    let lead = values([("lead", units("24001", &[commune.unit()]))]);
    let task = authored(5, facts, province.unit(), lead);
    let id = task.key().id;
    for (place, record) in [(commune, twin), (province, task)] {
        let saved = place
            .node
            .store
            .write(move |tx| tx.save(&record, None, &[], None, support::START_MS));
        saved.await.expect("saved");
    }
    let moved = commune.sync().await;
    assert_eq!(moved.report.set_aside_here, 1);
    assert_eq!(moved.agrees, Some(true), "apart from the one set aside");
    let (here, there) = (commune.set_aside().await, province.set_aside().await);
    assert!(
        here.iter()
            .any(|i| i.record == id && i.incoming && i.code == "other_facts")
    );
    assert!(
        there
            .iter()
            .any(|i| i.record == id && !i.incoming && i.code == "other_facts")
    );
    idle(commune, province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_tell_the_commune_and_the_ministry_how_far_a_record_got() -> Tested {
    let world = World::new().await;
    let (ministry, province) = (&world.ministry, &world.province);
    let (commune, other) = (&world.commune, &world.other);
    let task = world.task_of(ministry, commune.unit(), &[]).await;
    province.sync().await;
    commune.sync().await;
    assert!(
        province.holds(task).await,
        "who stands on the path holds what passes"
    );
    assert!(commune.holds(task).await);
    province.sync().await;
    let extent = ministry.stored(task).await.record.extent();
    let receipts = ministry.receipts(task).await;
    let arrived = receipts.iter().find(|(unit, _)| *unit == commune.unit());
    assert!(arrived.is_some_and(|(_, held)| held.covers(&extent)));

    let facts = report_facts(commune.unit(), ministry.unit(), task);
    let report = commune
        .create(commune.unit(), facts, values([("progress", progress(5))]))
        .await;
    commune.sync().await;
    assert!(
        commune.receipts(report).await.is_empty(),
        "not at its issuer yet"
    );
    province.sync().await;
    commune.sync().await;
    let extent = commune.stored(report).await.record.extent();
    let receipts = commune.receipts(report).await;
    let arrived = receipts.iter().find(|(unit, _)| *unit == ministry.unit());
    assert!(arrived.is_some_and(|(_, held)| held.covers(&extent)));
    assert!(ministry.holds(report).await && !other.holds(report).await);
    world.settle().await;
    idle(commune, province).await?;
    idle(province, ministry).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_reaches_the_owner_and_no_other_commune() {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let task = world.task().await;
    commune.sync().await;
    let refused = commune
        .set(
            task,
            commune.unit(),
            [("deadline", json!({ "text": "2027" }))],
            None,
        )
        .await;
    assert!(matches!(
        refused,
        Err(Refusal {
            code: "not-owner",
            ..
        })
    ));
    let facts = Facts::Proposal {
        proposer: commune.unit(),
        owner: province.unit(),
        target_kind: Kind::Task,
        target: task,
        register: "deadline".into(),
    };
    let wish = values([(
        "wish",
        json!({ "value": { "text": "2027" }, "reason": "lũ" }),
    )]);
    let proposal = commune.create(commune.unit(), facts, wish).await;
    world.settle().await;
    assert!(province.holds(proposal).await);
    assert!(!world.other.holds(proposal).await && !world.ministry.holds(proposal).await);
    let facts = Facts::Decision {
        decider: province.unit(),
        proposer: commune.unit(),
        proposal,
    };
    let decided = values([("decision", json!({ "accepted": false, "reason": "không" }))]);
    let decision = province.create(province.unit(), facts, decided).await;
    world.settle().await;
    assert!(commune.holds(decision).await && !world.other.holds(decision).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_taken_off_a_task_keeps_a_read_only_copy_and_its_unsent_report_still_arrives()
-> Tested {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let (unit, home) = (commune.unit(), province.unit());
    let task = world.task_of(province, world.other.unit(), &[unit]).await;
    world.settle().await;
    let report = world.report(task, 30).await;
    let taken_off = province
        .set(task, home, [("coordinating", units("", &[]))], None)
        .await;
    taken_off.expect("written");
    // The commune hears that it is off the task before its report goes up.
    let upstream = commune.upstream.as_ref().expect("a child");
    upstream.open().await.expect("open");
    while upstream.pull(0).await.expect("a pull") {}
    let stored = commune.stored(task).await;
    assert!(stored.flags.has(Flags::LEFT), "read-only from now on");
    let late = commune.sync().await;
    assert_eq!((late.report.sent, late.report.set_aside_there), (1, 0));
    assert_eq!(late.agrees, Some(true));
    assert!(province.holds(report).await && province.set_aside().await.is_empty());
    idle(commune, province).await?;
    // What happens to the task now is none of the commune's business.
    let renamed = province
        .set(task, home, [("title", json!("Tên mới"))], None)
        .await;
    renamed.expect("written");
    assert_eq!(commune.sync().await.report.received, 0);
    // Coming back in starts anew.
    let back = province
        .set(
            task,
            home,
            [("coordinating", units("24001", &[unit]))],
            None,
        )
        .await;
    back.expect("written");
    assert_eq!(commune.sync().await.agrees, Some(true));
    let again = commune.stored(task).await;
    assert!(!again.flags.has(Flags::LEFT));
    assert_eq!(again.record.shown("title"), Some(json!("Tên mới")));
    idle(commune, province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_leaves_a_province_leaves_its_communes_too() -> Tested {
    let world = World::new().await;
    let (ministry, province, commune) = (&world.ministry, &world.province, &world.commune);
    let task = world.task_of(ministry, commune.unit(), &[]).await;
    province.sync().await;
    commune.sync().await;
    let moved = ministry
        .set(
            task,
            ministry.unit(),
            [("lead", units("BO", &[ministry.unit()]))],
            None,
        )
        .await;
    moved.expect("written");
    world.settle().await;
    for place in [province, commune] {
        assert!(place.stored(task).await.flags.has(Flags::LEFT));
    }
    assert_eq!(province.sync().await.agrees, Some(true));
    assert_eq!(commune.sync().await.agrees, Some(true));
    idle(commune, province).await?;
    idle(province, ministry).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_what_a_newer_peer_adds_to_a_record_passes_two_hops_byte_for_byte() {
    let world = World::new().await;
    let (ministry, province, commune) = (&world.ministry, &world.province, &world.commune);
    let task = world.task_of(ministry, commune.unit(), &[]).await;
    world.settle().await;
    let facts = report_facts(commune.unit(), ministry.unit(), task);
    let record = authored(
        3,
        facts,
        commune.unit(),
        values([("progress", progress(5))]),
    );
    let id = record.key().id;
    let newer = render_record(&record)
        .replacen(r#""period":"#, r#""mùa": {"x":[1, 2.50]} ,"period":"#, 1)
        .replacen(r#""by":"#, r#""nền":  null,"by":"#, 1)
        .replacen(r#""v":"#, r#""chữ ký":"z","v":"#, 1)
        .replacen(r#""k":"#, r#""ngoài":true,"k":"#, 1);
    let mut raw = Raw::of(commune).await;
    raw.open().await;
    assert_eq!(
        raw.push_one(newer.clone()).await,
        None,
        "an older node takes it"
    );
    province.sync().await;
    for place in [province, ministry] {
        let kept = render_record(&place.stored(id).await.record);
        assert_eq!(kept, newer.replacen(r#""ngoài":true,"#, "", 1));
    }
    assert_eq!(ministry.digest(id).await, province.digest(id).await);

    // The same downwards.
    let facts = Facts::Task {
        issuer: ministry.unit(),
        parent: None,
    };
    let lead = values([("lead", units("24001", &[commune.unit()]))]);
    let task = authored(4, facts, ministry.unit(), lead);
    let newer = render_record(&task)
        .replacen(r#""issuer":"#, r#""mùa":[0.10],"issuer":"#, 1)
        .replacen(r#""v":"#, r#""chữ ký":"z","v":"#, 1);
    let Ok(Line::Record(newer_task)) = parse_line(&newer) else {
        panic!("a readable record")
    };
    let saved = ministry
        .node
        .store
        .write(move |tx| tx.save(&newer_task, None, &[], None, support::START_MS));
    saved.await.expect("saved");
    province.sync().await;
    commune.sync().await;
    let kept = render_record(&commune.stored(task.key().id).await.record);
    assert_eq!(kept, newer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_far_from_the_unit_cannot_act_for_it() {
    let ministry = Place::ministry("BO").await;
    let unit = ministry.add_unit("66", "province", None).await;
    let province = Place::child(&ministry, "66", unit).await;
    let facts = Facts::Task {
        issuer: ministry.unit(),
        parent: None,
    };
    let refused = province
        .try_create(ministry.unit(), facts, values([]))
        .await;
    assert!(refused.is_err());
}
