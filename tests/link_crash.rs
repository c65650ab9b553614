//! What a lost answer, a crash, or an old copy of a disk costs: a resend, and never a write.

mod support;

use nqsync::store::queries;
use nqsync_core::protocol::render_record;
use nqsync_core::sync::{Author, Incarnation, SealKey};
use serde_json::json;
use std::collections::HashSet;
use support::promises::{self, idle};
use support::raw::Raw;
use support::world::{World, progress, report_facts, units};
use support::{Place, values};
use uuid::Uuid;

type Tested = Result<(), String>;

/// Dots of a record, as (opening, counter).
async fn dots(place: &Place, id: Uuid) -> Vec<(Incarnation, u32)> {
    let stored = place.stored(id).await;
    let edits = stored.record.edits().iter();
    edits
        .flat_map(|edit| edit.writes())
        .map(|write| (write.dot.incarnation, write.dot.counter))
        .collect()
}

async fn chain(place: &Place) -> Vec<Incarnation> {
    let read = place.node.store.read(|c| queries::chain(c, 64)).await;
    read.expect("a read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_restart() -> Tested {
    promises::acknowledged_writes_are_on_disk().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_a4_a_lost_acknowledgement_costs_a_resend_and_changes_nothing() -> Tested {
    let world = World::new().await;
    let (province, commune) = (&world.province, &world.commune);
    let task = world.task().await;
    commune.sync().await;
    let report = world.report(task, 40).await;
    // The batch is applied, and the child never hears of it: the same line goes by hand.
    let mut raw = Raw::of(commune).await;
    raw.open().await;
    let line = nqsync_core::protocol::render_record(&commune.stored(report).await.record);
    let ack = raw.push(std::slice::from_ref(&line)).await;
    assert!(ack.set_aside.is_empty());
    let after = province.digest(report).await;
    let again = commune.sync().await;
    assert_eq!((again.report.sent, again.agrees), (1, Some(true)));
    assert_eq!(province.digest(report).await, after, "twice is once");
    assert_eq!(province.link_to(commune).await.forks, 0);
    idle(commune, province).await?;

    // Downwards: the batch is taken, its acknowledgement lost with the process.
    let moved = province
        .set(task, province.unit(), [("title", json!("Mới"))], None)
        .await;
    moved.expect("written");
    let upstream = commune.upstream.as_ref().expect("a child");
    upstream.open().await.expect("open");
    assert!(upstream.pull(0).await.expect("a batch"));
    let digest = commune.digest(task).await;
    let mut world = world;
    world.commune.shut().await;
    world.commune.start().await;
    let (province, commune) = (&world.province, &world.commune);
    assert_eq!(commune.sync().await.agrees, Some(true));
    assert_eq!(commune.digest(task).await, digest);
    assert_eq!(province.link_to(commune).await.forks, 0);
    idle(commune, province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_of_either_side_both_go_on_in_a_new_incarnation() -> Tested {
    let mut world = World::new().await;
    let task = world.task().await;
    world.commune.sync().await;
    let report = world.report(task, 10).await;
    world.commune.shut().await;
    world.commune.start().await;
    let unit = world.commune.unit();
    let more = world
        .commune
        .set(report, unit, [("result", json!("Sau khi khởi động"))], None)
        .await;
    more.expect("written");
    let openings = chain(&world.commune).await;
    assert_ne!(openings[0], openings[1], "a new opening at the first write");
    world.province.shut().await;
    let cut = world.commune.try_sync().await;
    assert!(cut.is_err_and(|error| error.is_transient()));
    world.province.start().await;
    world.commune.find(&world.province).await;
    world.other.find(&world.province).await;
    assert_eq!(world.commune.sync().await.agrees, Some(true));
    assert_eq!(
        world.province.digest(report).await,
        world.commune.digest(report).await
    );
    assert_eq!(world.province.link_to(&world.commune).await.forks, 0);
    world.settle().await;
    idle(&world.commune, &world.province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_an_old_copy_of_a_childs_disk_gets_its_lost_writes_back_and_reuses_no_dot() -> Tested {
    let mut world = World::new().await;
    let ministry_task = world
        .task_of(&world.ministry, world.commune.unit(), &[])
        .await;
    let task = world.task().await;
    world.settle().await;
    let unit = world.commune.unit();
    let report = world.report(task, 10).await;
    world.settle().await;
    world.commune.shut().await;
    let copy = world.commune.copy();
    world.commune.start().await;

    // Work after the copy: a change, a new report, and receipts for it from the ministry.
    let changed = world
        .commune
        .set(report, unit, [("progress", progress(80))], None)
        .await;
    changed.expect("written");
    let facts = report_facts(unit, world.ministry.unit(), ministry_task);
    let lost = world
        .commune
        .create(unit, facts, values([("progress", progress(90))]))
        .await;
    world.settle().await;
    assert!(!world.commune.receipts(lost).await.is_empty());
    let before: HashSet<_> = dots(&world.province, report).await.into_iter().collect();
    world.commune.shut().await;
    world.commune.put_back(&copy);
    world.commune.start().await;
    assert!(!world.commune.holds(lost).await, "the disk is old");

    // Offline work on the old disk, then the line.
    let offline = world
        .commune
        .set(report, unit, [("result", json!("Viết trên đĩa cũ"))], None)
        .await;
    offline.expect("written");
    let fresh = dots(&world.commune, report).await;
    let own = chain(&world.commune).await[0];
    assert!(fresh.iter().any(|(incarnation, _)| *incarnation == own));
    assert!(
        before.iter().all(|(incarnation, _)| *incarnation != own),
        "no dot is used twice"
    );
    let back = world.commune.sync().await;
    assert_eq!(back.agrees, Some(true), "{back:?}");
    world.settle().await;
    assert!(
        world.province.link_to(&world.commune).await.forks > 0,
        "and somebody is told"
    );
    assert!(world.commune.set_aside().await.is_empty());
    assert!(world.province.set_aside().await.is_empty());
    let stored = world.commune.stored(report).await.record;
    assert_eq!(
        stored.shown("progress"),
        Some(progress(80)),
        "the lost write is back"
    );
    assert_eq!(stored.shown("result"), Some(json!("Viết trên đĩa cũ")));
    assert!(stored.conflicts().is_empty());
    let extent = world.commune.stored(lost).await.record.extent();
    let receipts = world.commune.receipts(lost).await;
    let told = receipts
        .iter()
        .any(|(by, held)| *by == world.ministry.unit() && held.covers(&extent));
    assert!(told, "and that it reached its issuer");
    for id in [report, lost] {
        assert_eq!(
            world.commune.digest(id).await,
            world.province.digest(id).await
        );
    }
    idle(&world.commune, &world.province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_parents_disk_is_filled_again_from_both_sides() -> Tested {
    let mut world = World::new().await;
    world.settle().await;
    world.province.shut().await;
    let copy = world.province.copy();
    world.province.start().await;
    world.commune.find(&world.province).await;
    world.other.find(&world.province).await;

    // After the copy: a task from above, a report on it from below.
    let task = world
        .task_of(&world.ministry, world.commune.unit(), &[])
        .await;
    world.settle().await;
    let facts = report_facts(world.commune.unit(), world.ministry.unit(), task);
    let report = world
        .commune
        .create(
            world.commune.unit(),
            facts,
            values([("progress", progress(15))]),
        )
        .await;
    world.settle().await;
    let digest = world.ministry.digest(report).await;
    assert!(digest.is_some());
    world.province.shut().await;
    world.province.put_back(&copy);
    world.province.start().await;
    assert!(!world.province.holds(report).await && !world.province.holds(task).await);
    world.commune.find(&world.province).await;
    world.other.find(&world.province).await;

    // Dots from above are pulled first; then the children bring the rest.
    assert_eq!(world.province.sync().await.agrees, Some(true));
    world.settle().await;
    assert_eq!(world.province.digest(report).await, digest);
    assert_eq!(world.commune.digest(report).await, digest);
    assert_eq!(world.commune.sync().await.agrees, Some(true));
    assert_eq!(world.province.sync().await.agrees, Some(true));
    assert!(world.province.set_aside().await.is_empty());
    idle(&world.commune, &world.province).await?;
    idle(&world.province, &world.ministry).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2_a_parent_on_an_old_disk_takes_its_own_lost_writes_back_from_a_child() -> Tested {
    let mut world = World::new().await;
    let changed = world.task().await;
    world.settle().await;
    world.province.shut().await;
    let copy = world.province.copy();
    world.province.start().await;
    world.commune.find(&world.province).await;
    let unit = world.province.unit();
    let retitled = [("title", json!("Tên mới"))];
    let write = world.province.set(changed, unit, retitled, None);
    write.await.expect("written");
    let lost = world.task().await;
    world.commune.sync().await;
    let report = world.report(lost, 5).await;
    world.commune.sync().await;
    let mut digests = Vec::new();
    for id in [changed, lost, report] {
        digests.push((id, world.province.digest(id).await.expect("held")));
    }

    world.province.shut().await;
    world.province.put_back(&copy);
    world.province.start().await;
    assert!(!world.province.holds(lost).await);
    world.commune.find(&world.province).await;
    let moved = world.commune.sync().await;
    assert_eq!(
        (moved.report.set_aside_there, moved.agrees),
        (0, Some(true))
    );
    for (id, digest) in digests {
        assert_eq!(world.province.digest(id).await, Some(digest));
    }
    assert!(world.province.set_aside().await.is_empty());

    // What it writes now follows on what it had written.
    let again = [("title", json!("Tên sau cùng"))];
    let write = world.province.set(changed, unit, again, None);
    write.await.expect("written");
    world.commune.sync().await;
    let shown = world.commune.stored(changed).await.record;
    assert_eq!(shown.shown("title"), Some(json!("Tên sau cùng")));
    assert!(shown.conflicts().is_empty());
    idle(&world.commune, &world.province).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2_what_a_parent_did_not_seal_is_not_believed_from_below() -> Tested {
    let world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    let (unit, true_one) = (
        world.province.unit(),
        world.province.stored(task).await.record,
    );
    let digest = world.province.digest(task).await;
    let mut raw = Raw::of(&world.commune).await;
    raw.open().await;
    let by_hand = |seal| {
        let mut forged = true_one.clone();
        let author = Author {
            incarnation: Incarnation([9; 16]),
            unit,
            name: "by hand",
            seal,
        };
        let title = values([("title", json!("Đã sửa"))]);
        forged
            .write(author, support::START_MS, title, None)
            .expect("writable");
        forged
    };
    let sealed_by_another = by_hand(Some(SealKey::new([3; 32])));
    // The seal of a true edit under another text, and an own text beside a true edit.
    let text = render_record(&true_one).replace(r#""n":1"#, r#""n":7"#);
    assert_ne!(text, render_record(&true_one), "the text has a number");
    for forged in [
        render_record(&by_hand(None)),
        render_record(&sealed_by_another),
        text,
    ] {
        assert_eq!(raw.push_one(forged).await.as_deref(), Some("not_theirs"));
    }
    assert_eq!(world.province.digest(task).await, digest);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_any_order_of_seeded_cuts_and_restarts_everybody_ends_with_the_same() -> Tested {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    let mut world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    let unit = world.commune.unit();
    let report = world.report(task, 0).await;
    let mut rng = StdRng::seed_from_u64(20_260_322);
    for step in 0..40u32 {
        match rng.random_range(0..8) {
            0 | 1 => {
                let value = progress(step);
                let set = world.commune.set(report, unit, [("progress", value)], None);
                set.await.expect("written");
            }
            2 if world.province.holds(report).await => {
                let value = json!(format!("bước {step}"));
                let set = world.province.set(report, unit, [("result", value)], None);
                set.await.expect("written");
            }
            3 => {
                let home = world.province.unit();
                let lead = units(&format!("bước {step}"), &[unit]);
                let set = world.province.set(task, home, [("lead", lead)], None);
                set.await.expect("written");
            }
            4 => {
                world.commune.shut().await;
                world.commune.start().await;
            }
            5 => {
                world.province.shut().await;
                world.province.start().await;
                world.commune.find(&world.province).await;
            }
            6 => {
                // A session that ends after the pull, its acknowledgement unsaid.
                let upstream = world.commune.upstream.as_ref().expect("a child");
                upstream.open().await.expect("open");
                upstream.pull(0).await.expect("a pull");
            }
            _ => {
                world.commune.sync().await;
            }
        }
    }
    assert_eq!(world.commune.sync().await.agrees, Some(true));
    for id in [task, report] {
        assert_eq!(
            world.commune.digest(id).await,
            world.province.digest(id).await
        );
    }
    assert_eq!(world.province.link_to(&world.commune).await.forks, 0);
    idle(&world.commune, &world.province).await
}
