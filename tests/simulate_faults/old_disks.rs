//! Disks that go back to an old copy, and nodes that were away for years.

use nqsync::api::{Command, ReportRef, TaskFields};
use nqsync::store::blobs;
use serde_json::json;
use uuid::Uuid;

use super::sim::net::Cut;
use super::sim::oracles::disk;
use super::sim::reference::shown;
use super::sim::world::{Ended, World};
use super::{exchanged, has_problem, held, holds, id, later, report, result_at, task, world};

/// A task goes to another unit, and leaves those who had it.
async fn give(world: &mut World, issuer: usize, task: Uuid, to: &str) {
    let fields = TaskFields {
        lead: Some(vec![to.to_owned()]),
        ..TaskFields::default()
    };
    let command = Command::TaskUpdate {
        task: task.to_string(),
        fields,
        token: None,
    };
    world
        .write(issuer, None, &[task], command)
        .await
        .expect("given to the other");
}

async fn is_left(world: &World, at: usize, task: Uuid) -> bool {
    disk(world, at).await[&task].left
}

#[tokio::test]
async fn e3_a_child_and_its_parent_on_old_disks_come_to_what_either_still_has() {
    let mut world = world(2).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(task(&mut world, 0, 1).await);
    }
    exchanged(&mut world, 1).await;
    let first = report(&mut world, 1, tasks[0], "trong cả hai bản")
        .await
        .expect("written");
    exchanged(&mut world, 1).await;
    let childs = world.back_up(1);
    let second = report(&mut world, 1, tasks[1], "chỉ ở trên")
        .await
        .expect("written");
    exchanged(&mut world, 1).await;
    let parents = world.back_up(0);
    let third = report(&mut world, 1, tasks[2], "không đâu cả")
        .await
        .expect("written");
    exchanged(&mut world, 1).await;
    world.restore(1, childs).await;
    world.restore(0, parents).await;
    assert_eq!(world.lost_with_disk, 1, "nobody has the third");
    exchanged(&mut world, 1).await;
    for at in 0..2 {
        assert_eq!(
            result_at(&world, at, first).await,
            json!("trong cả hai bản")
        );
        assert_eq!(result_at(&world, at, second).await, json!("chỉ ở trên"));
        assert_eq!(held(&world, at, third).await, None);
    }
    assert!(
        has_problem(&mut world, 0, "restored_or_cloned").await
            || has_problem(&mut world, 1, "restored_or_cloned").await
    );
    holds(world).await;
}

#[tokio::test]
async fn e2_a_task_that_only_a_commune_still_has_comes_back_to_the_ministry_that_lost_it() {
    // The ministry, its province, and a commune of that.
    let mut world = world(3).await;
    let known = task(&mut world, 0, 2).await;
    exchanged(&mut world, 1).await;
    exchanged(&mut world, 2).await;
    let (ministrys, provinces) = (world.back_up(0), world.back_up(1));
    let lost = task(&mut world, 0, 2).await;
    exchanged(&mut world, 1).await;
    exchanged(&mut world, 2).await;
    let report_on_it = report(&mut world, 2, lost, "đã làm")
        .await
        .expect("written");
    world.restore(0, ministrys).await;
    world.restore(1, provinces).await;
    for at in 0..2 {
        assert!(held(&world, at, known).await.is_some() && held(&world, at, lost).await.is_none());
    }
    assert_eq!(world.lost_with_disk, 0, "the commune has it");

    // The province cannot tell whether the ministry ever wrote that. It asks.
    exchanged(&mut world, 2).await;
    assert!(held(&world, 1, lost).await.is_none());
    assert!(!world.set_aside(1).await.is_empty());
    assert!(has_problem(&mut world, 1, "quarantine").await);
    for _ in 0..3 {
        exchanged(&mut world, 1).await;
        exchanged(&mut world, 2).await;
    }
    for at in 0..3 {
        assert!(held(&world, at, lost).await.is_some(), "node {at}");
        assert_eq!(result_at(&world, at, report_on_it).await, json!("đã làm"));
        assert!(world.set_aside(at).await.is_empty(), "node {at}");
    }
    holds(world).await;
}

#[tokio::test]
async fn e4_a_machine_rolled_back_by_a_single_batch_gets_back_what_it_lost() {
    for who in [1, 0] {
        let mut world = world(2).await;
        let task = task(&mut world, 0, 1).await;
        exchanged(&mut world, 1).await;
        let written = report(&mut world, 1, task, "trước").await.expect("written");
        exchanged(&mut world, 1).await;
        // Taken while the machine runs: what follows is written under the same opening of the store.
        let snapshot = world.back_up(who);
        report(&mut world, 1, task, "sau").await.expect("written");
        exchanged(&mut world, 1).await;
        world.restore(who, snapshot).await;
        assert_eq!(result_at(&world, who, written).await, json!("trước"));
        exchanged(&mut world, 1).await;
        for at in 0..2 {
            assert_eq!(
                result_at(&world, at, written).await,
                json!("sau"),
                "rolled back: {who}"
            );
        }
        let mut told = 0;
        for at in 0..2 {
            told += u32::from(has_problem(&mut world, at, "restored_or_cloned").await);
        }
        assert!(told > 0, "and somebody is told");
        assert_eq!(world.lost_with_disk, 0);
        holds(world).await;
    }
}

#[tokio::test]
async fn e10_a_node_that_was_off_for_years_brings_its_work_and_nothing_that_was_deleted() {
    let mut world = world(3).await;
    let kept = task(&mut world, 1, 2).await;
    let withdrawn = task(&mut world, 1, 2).await;
    assert!(world.rest().await);
    report(&mut world, 2, kept, "đã có").await.expect("written");
    let path = world.file();
    let reference = |task: Uuid, unit: Option<String>| ReportRef {
        task: task.to_string(),
        unit,
        period: Some("2026-03".to_owned()),
    };
    let command = Command::EvidenceAdd {
        report: reference(kept, None),
        path,
        note: None,
    };
    let data = world.write(2, None, &[], command).await.expect("evidence");
    let evidence: Uuid = data["evidence"]
        .as_str()
        .or(data["id"].as_str())
        .expect("an id")
        .parse()
        .expect("an id");
    assert!(world.rest().await);
    // Off the line, with work of its own; meanwhile two things are taken back above.
    let offline = report(&mut world, 2, kept, "viết khi vắng")
        .await
        .expect("written");
    let code = world.places[2].code.clone();
    let remove = Command::EvidenceRemove {
        evidence: evidence.to_string(),
        reason: "nhầm".to_owned(),
    };
    world
        .write(1, Some(code), &[evidence], remove)
        .await
        .expect("deleted above");
    let withdraw = Command::TaskWithdraw {
        task: withdrawn.to_string(),
        reason: "thôi".to_owned(),
    };
    world
        .write(1, None, &[withdrawn], withdraw)
        .await
        .expect("withdrawn above");
    for _ in 0..3 {
        later(&mut world, 365);
        assert!(matches!(world.session(1).await, Ended::Done(..)));
        for at in 0..2 {
            world.places[at].wake().await;
        }
    }
    exchanged(&mut world, 2).await;
    for at in 1..3 {
        assert_eq!(result_at(&world, at, offline).await, json!("viết khi vắng"));
        let life = shown(&held(&world, at, evidence).await.expect("a stub"), "life");
        assert_eq!(life["deleted"], true, "node {at}");
        let task = held(&world, at, withdrawn).await.expect("a task");
        assert!(!shown(&task, "withdrawn").is_null(), "node {at}");
    }
    holds(world).await;
}

#[tokio::test]
async fn e1_a_child_on_an_old_disk_hears_again_that_a_task_is_no_longer_its_own() {
    let mut world = world(4).await;
    let (province, first, second) = (1, 2, 3);
    let task = task(&mut world, province, first).await;
    assert!(world.rest().await);
    let backup = world.back_up(first);
    let code = world.places[second].code.clone();
    give(&mut world, province, task, &code).await;
    exchanged(&mut world, first).await;
    assert!(is_left(&world, first, task).await, "read-only now");
    world.restore(first, backup).await;
    assert!(!is_left(&world, first, task).await, "the disk is old");
    exchanged(&mut world, first).await;
    assert!(is_left(&world, first, task).await);
    holds(world).await;
}

#[tokio::test]
async fn a_file_whose_record_came_back_from_above_is_still_fetched_from_below() {
    let mut world = world(3).await;
    let (ministry, province, commune) = (0, 1, 2);
    let task = task(&mut world, ministry, commune).await;
    assert!(world.rest().await);
    report(&mut world, commune, task, "có tệp")
        .await
        .expect("written");
    let backups = [world.back_up(ministry), world.back_up(province)];
    let path = world.file();
    let bytes = std::fs::read(&path).expect("a file");
    let command = Command::EvidenceAdd {
        report: ReportRef {
            task: task.to_string(),
            unit: None,
            period: Some("2026-03".to_owned()),
        },
        path,
        note: None,
    };
    let data = world.write(commune, None, &[], command).await;
    let evidence = id(&data.expect("evidence"));
    assert!(world.rest().await);
    // The record comes back from above, where the file is; then the file is lost there.
    world.restore(province, backups[1]).await;
    exchanged(&mut world, province).await;
    assert!(disk(&world, province).await.contains_key(&evidence));
    let name: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&bytes).into();
    let on_the_way = blobs::path(&world.places[province].dir(), &name);
    assert!(!on_the_way.exists());
    exchanged(&mut world, commune).await;
    assert!(on_the_way.exists(), "fetched from below");
    world.restore(ministry, backups[0]).await;
    assert!(world.rest().await);
    let found = std::fs::read(blobs::path(&world.places[ministry].dir(), &name));
    assert_eq!(found.expect("the file"), bytes);
    holds(world).await;
}

#[tokio::test]
async fn a_parent_on_an_old_disk_still_tells_a_child_that_a_task_is_no_longer_its_own() {
    let mut world = world(4).await;
    let (ministry, province, first, second) = (0, 1, 2, 3);
    let backup = world.back_up(province);
    let task = task(&mut world, ministry, first).await;
    assert!(world.rest().await);
    world.net.cut(first, Some(Cut::Both));
    let code = world.places[second].code.clone();
    give(&mut world, ministry, task, &code).await;
    exchanged(&mut world, province).await;
    // What it gets back from above never was the first commune's, as far as this disk knows.
    world.restore(province, backup).await;
    exchanged(&mut world, province).await;
    world.net.cut(first, None);
    exchanged(&mut world, first).await;
    assert!(is_left(&world, first, task).await);
    holds(world).await;
}

#[tokio::test]
async fn e2_a_task_that_was_taken_from_all_who_still_have_it_comes_back_to_its_issuer() {
    for lost_at_province in [false, true] {
        let mut world = world(3).await;
        let (ministry, province, commune) = (0, 1, 2);
        task(&mut world, ministry, commune).await;
        assert!(world.rest().await);
        let ministrys = world.back_up(ministry);
        let provinces = world.back_up(province);
        let lost = task(&mut world, ministry, commune).await;
        assert!(world.rest().await);
        give(&mut world, ministry, lost, "BO").await;
        assert!(world.rest().await);
        assert!(is_left(&world, province, lost).await && is_left(&world, commune, lost).await);
        world.restore(ministry, ministrys).await;
        if lost_at_province {
            world.restore(province, provinces).await;
            assert!(held(&world, province, lost).await.is_none());
        }
        assert!(held(&world, ministry, lost).await.is_none());
        assert_eq!(
            world.lost_with_disk, 1,
            "that it was taken away, and no more"
        );
        assert!(world.rest().await);
        for at in [ministry, province, commune] {
            let record = disk(&world, at).await.remove(&lost).expect("a task");
            assert!(!record.left, "node {at}: nobody knows that it was taken");
            assert!(world.set_aside(at).await.is_empty(), "node {at}");
        }
        report(&mut world, commune, lost, "làm tiếp")
            .await
            .expect("it is the commune's again");
        holds(world).await;
    }
}

#[tokio::test]
async fn e1_a_task_that_was_taken_stays_taken_where_its_issuer_still_knows_it() {
    // Each disk in turn goes back to a copy on which the task was taken already, and shows what it holds of it.
    for who in 0..3 {
        let mut world = world(3).await;
        let given = task(&mut world, 0, 2).await;
        assert!(world.rest().await);
        give(&mut world, 0, given, "BO").await;
        assert!(world.rest().await);
        let backup = world.back_up(who);
        let other = task(&mut world, 0, 2).await;
        assert!(world.rest().await);
        world.restore(who, backup).await;
        assert!(world.rest().await);
        assert!(is_left(&world, 1, given).await && is_left(&world, 2, given).await);
        assert!(!is_left(&world, 0, given).await);
        assert!(held(&world, who, other).await.is_some(), "exchanged anew");
        let alarmed = has_problem(&mut world, 0, "restored_or_cloned").await;
        assert_eq!(
            alarmed,
            who != 2,
            "a commune on an old disk is no matter of the ministry"
        );
        for at in 0..3 {
            assert!(world.set_aside(at).await.is_empty(), "node {at}");
        }
        holds(world).await;
    }
}

#[tokio::test]
async fn e2_a_child_hears_that_a_task_was_taken_from_it_though_the_node_between_lost_the_task() {
    let mut world = world(3).await;
    let (ministry, province, commune) = (0, 1, 2);
    let before = world.back_up(province);
    let given = task(&mut world, ministry, commune).await;
    assert!(world.rest().await);
    world.net.cut(commune, Some(Cut::Both));
    give(&mut world, ministry, given, "BO").await;
    exchanged(&mut world, province).await;
    // The ministry says once more that the task left, to a province that does not know it any more.
    world.restore(province, before).await;
    exchanged(&mut world, province).await;
    exchanged(&mut world, province).await;
    world.net.cut(commune, None);
    exchanged(&mut world, commune).await;
    assert_eq!(
        world.set_aside(province).await.len(),
        1,
        "not the commune's to bring"
    );
    assert!(world.rest().await);
    assert!(is_left(&world, commune, given).await);
    for at in 0..3 {
        assert!(world.set_aside(at).await.is_empty(), "node {at}");
    }
    holds(world).await;
}

#[tokio::test]
async fn e2_a_task_that_is_taken_before_all_was_exchanged_anew_is_told_to_have_left() {
    let mut world = world(3).await;
    let (ministry, province, commune) = (0, 1, 2);
    let before = world.back_up(province);
    let given = task(&mut world, ministry, commune).await;
    assert!(world.rest().await);
    world.restore(province, before).await;
    // They meet, and the line breaks before the task comes again.
    world.net.cut_after(province, 1);
    assert!(matches!(world.session(province).await, Ended::Cut(_)));
    assert!(held(&world, province, given).await.is_none());
    world.net.cut(province, None);
    give(&mut world, ministry, given, "BO").await;
    exchanged(&mut world, commune).await;
    assert!(world.rest().await);
    assert!(is_left(&world, commune, given).await);
    for at in 0..3 {
        assert!(world.set_aside(at).await.is_empty(), "node {at}");
    }
    holds(world).await;
}
