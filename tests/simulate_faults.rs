//! One fault at a time on the nodes of the simulator: what must come of it, step by step. Afterwards the same judges look as
//! after a seeded run.

#[allow(dead_code)] // The example and the seeded runs use the rest.
#[path = "../examples/simulate/sim/mod.rs"]
mod sim;

#[path = "simulate_faults/growth.rs"]
mod growth;
#[path = "simulate_faults/old_disks.rs"]
mod old_disks;

use std::sync::atomic::Ordering;

use nqsync::api::{Command, ReportFields, ReportRef, TaskFields};
use serde_json::{Value, json};
use sim::faults::Fault;
use sim::net::Cut;
use sim::oracles::disk;
use sim::reference::{Write, present, shown};
use sim::world::{Ended, World};
use sim::{Options, Outcome};
use uuid::Uuid;

/// Nodes that know each other, with nothing wrong yet.
async fn world(nodes: usize) -> World {
    let options = Options {
        seed: 1,
        nodes,
        days: 0,
        faults: vec![Fault::Restore],
        trace: false,
    };
    World::new(&options).await
}

/// The world after everything is mended, with nothing broken.
async fn holds(world: World) -> Outcome {
    let outcome = sim::chaos::finish(world).await;
    assert!(outcome.broken.is_empty(), "{}", outcome.broken.join("\n"));
    outcome
}

const AGREED: Option<bool> = Some(true);

async fn exchanged(world: &mut World, child: usize) -> u64 {
    match world.session(child).await {
        Ended::Done(moved, agrees) => {
            assert_eq!(agrees, AGREED, "{:?}", world.differences(child).await);
            moved
        }
        other => panic!("the session of {child} ended as {other:?}"),
    }
}

/// A task of one node for another.
async fn task(world: &mut World, issuer: usize, lead: usize) -> Uuid {
    let fields = TaskFields {
        group: Some("I".to_owned()),
        title: Some("Số hoá hồ sơ".to_owned()),
        lead: Some(vec![world.places[lead].code.clone()]),
        ..TaskFields::default()
    };
    let data = world
        .write(issuer, None, &[], Command::TaskAdd { fields })
        .await;
    id(&data.expect("a task"))
}

fn id(data: &Value) -> Uuid {
    data["id"].as_str().expect("an id").parse().expect("an id")
}

/// A report on a task, with what was achieved.
async fn report(world: &mut World, at: usize, task: Uuid, result: &str) -> Result<Uuid, String> {
    report_for(world, at, None, task, result).await
}

async fn report_for(
    world: &mut World,
    at: usize,
    unit: Option<String>,
    task: Uuid,
    result: &str,
) -> Result<Uuid, String> {
    let command = Command::ReportSet {
        report: ReportRef {
            task: task.to_string(),
            unit: unit.clone(),
            period: Some("2026-03".to_owned()),
        },
        fields: ReportFields {
            status: Some("in_progress".to_owned()),
            result: Some(result.to_owned()),
            ..ReportFields::default()
        },
        token: None,
        submit: false,
    };
    let data = world.write(at, unit, &[], command).await;
    data.map(|data| id(&data))
}

/// What is on a disk of a record.
async fn held(world: &World, at: usize, record: Uuid) -> Option<Vec<Write>> {
    let disk = disk(world, at).await;
    let held = disk.get(&record)?;
    Some(present(held.edits.iter().map(String::as_str)))
}

async fn result_at(world: &World, at: usize, record: Uuid) -> Value {
    let held = held(world, at, record).await;
    shown(&held.expect("held here"), "result")
}

fn stamp_of(writes: &[Write], register: &str) -> String {
    let stamps = writes.iter().filter(|write| write.register == register);
    stamps
        .map(|write| write.stamp.clone())
        .max()
        .expect("a write")
}

async fn has_problem(world: &mut World, at: usize, code: &str) -> bool {
    let status = world
        .ask(at, None, Command::Status)
        .await
        .expect("a status");
    let problems = status.data["problems"].as_array().expect("a list");
    problems.iter().any(|problem| problem["code"] == code)
}

/// Some days later, everywhere.
fn later(world: &mut World, days: u32) {
    world.day += days;
    world.sun.rise(world.day);
    world.net.set_day(world.day);
}

#[tokio::test]
async fn b1_no_line_for_a_minute_a_month_or_four_hundred_days_ends_in_one_exchange() {
    let mut world = world(2).await;
    let task = task(&mut world, 0, 1).await;
    exchanged(&mut world, 1).await;
    for days in [0, 30, 400] {
        world.net.cut(1, Some(Cut::Both));
        let mut last = Uuid::nil();
        for part in 0..5 {
            later(&mut world, days / 5);
            last = report(&mut world, 1, task, &format!("{days} {part}"))
                .await
                .expect("work goes on");
            let fields = TaskFields {
                kpi: Some(format!("{days} {part}")),
                ..TaskFields::default()
            };
            let update = Command::TaskUpdate {
                task: task.to_string(),
                fields,
                token: None,
            };
            world
                .write(0, None, &[task], update)
                .await
                .expect("above as well");
            assert!(matches!(world.session(1).await, Ended::Cut("unreachable")));
        }
        world.net.cut(1, None);
        exchanged(&mut world, 1).await;
        assert_eq!(result_at(&world, 0, last).await, json!(format!("{days} 4")));
        assert_eq!(exchanged(&mut world, 1).await, 0, "once is enough");
    }
    holds(world).await;
}

#[tokio::test]
async fn b2_acknowledgements_that_never_return_double_nothing_and_pile_nothing_up() {
    let mut world = world(2).await;
    let task = task(&mut world, 0, 1).await;
    exchanged(&mut world, 1).await;
    let written = report(&mut world, 1, task, "một chiều")
        .await
        .expect("written");
    let before = world.positions(1).await;
    let audited = world.audited(0).await;
    let upstream = world.places[1].upstream.clone().expect("a child");
    for day in 0..30 {
        later(&mut world, 1);
        world.net.cut(1, None);
        if day == 0 {
            upstream.open().await.expect("still whole");
        }
        world.net.cut(1, Some(Cut::Answers));
        assert!(upstream.push().await.is_err(), "nobody answers");
    }
    let after = world.positions(1).await;
    assert_eq!(after[1].0, before[1].0 + 1, "taken once");
    assert_eq!(after[0], before[0], "and not known to be");
    assert_eq!(
        world.audited(0).await,
        audited + 1,
        "thirty tries are one entry"
    );
    assert_eq!(result_at(&world, 0, written).await, json!("một chiều"));
    assert!(
        has_problem(&mut world, 0, "downstream_down").await,
        "and somebody is told"
    );
    drop(upstream);
    world.net.cut(1, None);
    exchanged(&mut world, 1).await;
    holds(world).await;
}

#[tokio::test]
async fn b12_a_parent_that_was_off_for_a_month_hears_everything_from_each_child_in_one_exchange() {
    let mut world = world(6).await;
    let children: Vec<usize> = (2..6).collect();
    let mut tasks = Vec::new();
    for child in &children {
        tasks.push(task(&mut world, 1, *child).await);
    }
    assert!(world.rest().await);
    world.net.plug(1, None);
    let mut reports = Vec::new();
    for part in 0..10 {
        later(&mut world, 3);
        for (child, task) in children.iter().zip(&tasks) {
            let written = report(&mut world, *child, *task, &format!("{child} {part}")).await;
            reports.push(written.expect("work goes on"));
            assert!(matches!(
                world.session(*child).await,
                Ended::Cut("unreachable")
            ));
        }
    }
    let port = world.places[1].port();
    world.net.plug(1, port);
    for child in &children {
        exchanged(&mut world, *child).await;
    }
    for (child, written) in children.iter().zip(&reports) {
        assert_eq!(
            result_at(&world, 1, *written).await,
            json!(format!("{child} 9"))
        );
    }
    holds(world).await;
}

#[tokio::test]
async fn b13_a_line_that_comes_and_goes_brings_each_time_a_part_across() {
    let mut world = world(2).await;
    let mut reports = Vec::new();
    for _ in 0..30 {
        let given = task(&mut world, 0, 1).await;
        reports.push(given);
    }
    exchanged(&mut world, 1).await;
    for task in reports.clone() {
        report(&mut world, 1, task, "từng phần")
            .await
            .expect("written");
    }
    // Enough for a greeting and two batches; then the line is gone.
    let mut windows = 0;
    let mut taken = world.positions(1).await[1].0;
    loop {
        windows += 1;
        assert!(windows < 30, "it comes to an end");
        world.net.cut(1, None);
        world.net.cut_after(1, 3);
        let done = matches!(world.session(1).await, Ended::Done(_, AGREED));
        let now = world.positions(1).await[1].0;
        assert!(
            done || now > taken,
            "window {windows} brought nothing across"
        );
        taken = now;
        if done || world.due(1).await == 0 {
            break;
        }
    }
    assert!(windows > 3, "the line was cut often enough: {windows}");
    world.net.cut(1, None);
    exchanged(&mut world, 1).await;
    holds(world).await;
}

#[tokio::test]
async fn c1_a_child_ten_years_ahead_writes_is_told_of_and_wins_again_when_its_clock_is_right() {
    let mut world = world(2).await;
    let task = task(&mut world, 0, 1).await;
    exchanged(&mut world, 1).await;
    let ten_years = 3650 * 86_400_000;
    world.places[1].ahead_ms.store(ten_years, Ordering::SeqCst);
    let written = report(&mut world, 1, task, "năm 2036")
        .await
        .expect("accepted");
    exchanged(&mut world, 1).await;
    assert!(
        has_problem(&mut world, 0, "clock_off").await,
        "the parent warns"
    );
    let ahead = world.clock_ahead_ms(0, 1).await;
    assert!(
        (ahead - ten_years).abs() < 60_000,
        "and keeps the offset: {ahead}"
    );
    let sane = stamp_of(&held(&world, 0, task).await.expect("a task"), "title");
    let now = format!("{:016x}", (world.sun.now_ms() as u64) << 16);
    assert!(sane < now, "no other record's stamps moved");
    world.places[1].ahead_ms.store(0, Ordering::SeqCst);
    report(&mut world, 1, task, "đúng giờ")
        .await
        .expect("written");
    exchanged(&mut world, 1).await;
    for at in 0..2 {
        assert_eq!(result_at(&world, at, written).await, json!("đúng giờ"));
    }
    assert!(
        !has_problem(&mut world, 0, "clock_off").await,
        "and it is over"
    );
    holds(world).await;
}

#[tokio::test]
async fn c2_an_empty_battery_puts_no_write_before_an_earlier_one() {
    let mut world = world(2).await;
    let task = task(&mut world, 0, 1).await;
    exchanged(&mut world, 1).await;
    let first = report(&mut world, 1, task, "trước").await.expect("written");
    for year in [1970, 2000] {
        let now = world.sun.now_ms();
        let clock = if year == 1970 { 1_000 } else { 946_684_800_000 };
        world.places[1]
            .ahead_ms
            .store(clock - now, Ordering::SeqCst);
        let before = stamp_of(&held(&world, 1, first).await.expect("held"), "result");
        world.crash(1).await;
        let result = format!("năm {year}");
        let written = report(&mut world, 1, task, &result).await.expect("written");
        let after = stamp_of(&held(&world, 1, written).await.expect("held"), "result");
        assert!(after > before);
        exchanged(&mut world, 1).await;
        for at in 0..2 {
            assert_eq!(result_at(&world, at, written).await, json!(result));
        }
    }
    holds(world).await;
}

#[tokio::test]
async fn c3_a_clock_that_steps_back_or_to_and_fro_keeps_the_order_of_the_writes() {
    let mut world = world(2).await;
    let task = task(&mut world, 0, 1).await;
    exchanged(&mut world, 1).await;
    let mut before = String::new();
    for (turn, ahead) in [0, -3_600_000, 60_000, -60_000, 60_000, -60_000]
        .into_iter()
        .enumerate()
    {
        world.places[1].ahead_ms.store(ahead, Ordering::SeqCst);
        let result = format!("lần {turn}");
        let written = report(&mut world, 1, task, &result).await.expect("written");
        let after = stamp_of(&held(&world, 1, written).await.expect("held"), "result");
        assert!(after > before, "turn {turn}: {after} after {before}");
        before = after;
        exchanged(&mut world, 1).await;
        for at in 0..2 {
            assert_eq!(result_at(&world, at, written).await, json!(result));
        }
    }
    holds(world).await;
}

#[tokio::test]
async fn c7_two_edits_of_one_field_in_the_same_tick_show_the_same_winner_and_keep_the_loser() {
    let mut world = world(2).await;
    let task = task(&mut world, 0, 1).await;
    exchanged(&mut world, 1).await;
    let written = report(&mut world, 1, task, "chung").await.expect("written");
    exchanged(&mut world, 1).await;
    world.sun.stand_still(true);
    let code = world.places[1].code.clone();
    report(&mut world, 1, task, "ở dưới")
        .await
        .expect("written");
    let above = report_for(&mut world, 0, Some(code), task, "ở trên").await;
    assert_eq!(above, Ok(written));
    let stamps = [
        stamp_of(&held(&world, 0, written).await.expect("held"), "result"),
        stamp_of(&held(&world, 1, written).await.expect("held"), "result"),
    ];
    assert_eq!(stamps[0], stamps[1], "the very same tick");
    world.sun.stand_still(false);
    exchanged(&mut world, 1).await;
    let mut winners = Vec::new();
    for at in 0..2 {
        let report = ReportRef {
            task: task.to_string(),
            unit: Some(world.places[1].code.clone()),
            period: Some("2026-03".to_owned()),
        };
        let data = world
            .ask(at, None, Command::ReportShow { report })
            .await
            .expect("a report")
            .data;
        let siblings = held(&world, at, written).await.expect("held");
        assert_eq!(
            siblings.iter().filter(|w| w.register == "result").count(),
            2,
            "both are kept"
        );
        winners.push(data["result"].clone());
    }
    assert!(winners[0].is_string(), "{winners:?}");
    assert_eq!(winners[0], winners[1]);
    holds(world).await;
}
