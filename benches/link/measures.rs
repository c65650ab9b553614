//! W1 to W5.

use std::time::{Duration, Instant};

use nqsync_core::protocol::ZSTD_LEVEL;
use serde_json::Value;
use tokio::task::JoinSet;

use super::data::{Dice, Report};
use super::nodes::{Service, cpu_of, open, upstream};
use super::relay::Passed;
use super::world::{CROWD, Of, Round, World, write_reports};

/// Records changed in W2.
pub const CHANGED: usize = 1_000;
/// Changes of one small child in W4.
pub const CROWD_CHANGES: usize = 200;
/// Changes measured in W3.
pub const SINGLE: usize = 200;
/// Rounds without news over which W5 is averaged: processor time is counted in steps of 10 ms.
const QUIET: u32 = 100;
/// How long a service rests before its idle memory is read.
const REST: Duration = Duration::from_secs(2);

/// One transfer of a child that is a real process.
pub struct Transfer {
    /// From the opening of the line to the last acknowledgement.
    pub time: Duration,
    /// Bytes on the wire until then.
    pub passed: Passed,
    /// Greatest memory of the child, in KiB.
    pub child_kib: u64,
    /// Greatest memory of the parent, in KiB.
    pub parent_kib: u64,
}

/// Starts the child behind a closed line, opens it, and waits until the parent has acknowledged `records`: each
/// acknowledgement says that a batch is on the parent's disk.
fn transfer(world: &World, parent: &Service, round: &Round, records: usize) -> Transfer {
    world.relay.set_open(false);
    let child = Service::start(&round.child);
    let mut lines = child.sync();
    world.relay.reset();
    let began = Instant::now();
    world.relay.set_open(true);
    let mut done = None;
    let mut last = Value::Null;
    for line in lines.by_ref() {
        if done.is_none()
            && line["event"] == "progress"
            && line["done"].as_u64() >= Some(records as u64)
        {
            done = Some((began.elapsed(), world.relay.passed()));
        }
        last = line;
    }
    assert_eq!(last["data"]["agree"], true, "after the transfer: {last}");
    let (time, passed) = done.expect("every record acknowledged");
    let transfer = Transfer {
        time,
        passed,
        child_kib: child.memory_kib("VmHWM"),
        parent_kib: parent.memory_kib("VmHWM"),
    };
    child.stop();
    transfer
}

/// What one round over the large child showed.
pub struct Loaded {
    pub first_load: Transfer,
    pub changes: Transfer,
    /// zstd of the plain changed records in one frame.
    pub changes_base: usize,
    /// Memory of the child's service at rest with everything loaded, in KiB.
    pub idle_kib: u64,
    pub quiet: Quiet,
}

/// A round with nothing changed on an open connection.
pub struct Quiet {
    pub requests: f64,
    pub bytes: f64,
    pub time: Duration,
    pub parent_cpu: Duration,
    pub child_cpu: Duration,
}

/// W1, W2 and W5, one after the other.
pub async fn loaded(world: &World) -> Loaded {
    let round = world.round(Of::Loaded);
    let parent = Service::start(&round.parent);
    let first_load = transfer(world, &parent, &round, world.records);
    let changed = change(world, &round).await;
    let changes = transfer(world, &parent, &round, changed.len());
    let idle_kib = idle(&round);
    let quiet = quiet(world, &parent, &round).await;
    parent.stop();
    let plain: Vec<String> = changed
        .iter()
        .map(|number| {
            let report = Report::numbered(*number, 1, world.tasks.len());
            report.plain(world.unit, world.issuer, &world.tasks)
        })
        .collect();
    let frame = zstd::bulk::compress(plain.join("\n").as_bytes(), ZSTD_LEVEL);
    Loaded {
        first_load,
        changes,
        changes_base: frame.expect("a frame").len(),
        idle_kib,
        quiet,
    }
}

/// Changes records all over the child's store while its service rests.
async fn change(world: &World, round: &Round) -> Vec<usize> {
    let mut dice = Dice::new(7, 7);
    let mut numbers = std::collections::BTreeSet::new();
    while numbers.len() < CHANGED.min(world.records) {
        numbers.insert((dice.next() % world.records as u64) as usize);
    }
    let node = open(&round.child);
    write_reports(
        &node,
        world.unit,
        world.issuer,
        &world.tasks,
        numbers.iter().copied(),
        1,
    )
    .await;
    node.store.close();
    numbers.into_iter().collect()
}

fn idle(round: &Round) -> u64 {
    let child = Service::start(&round.child);
    child.settle();
    std::thread::sleep(REST);
    let idle = child.memory_kib("VmRSS");
    child.stop();
    idle
}

async fn quiet(world: &World, parent: &Service, round: &Round) -> Quiet {
    let node = open(&round.child);
    let url = format!("https://127.0.0.1:{}", world.relay.port);
    let way = upstream(&round.child, &node, &url).await;
    way.open().await.expect("a session");
    assert_eq!(way.compare().await.expect("a round"), Some(true));
    world.relay.reset();
    let (parent_before, child_before, began) = (parent.cpu(), cpu_of("self"), Instant::now());
    for _ in 0..QUIET {
        assert_eq!(way.compare().await.expect("a round"), Some(true));
    }
    let (time, passed) = (began.elapsed(), world.relay.passed());
    let quiet = Quiet {
        requests: passed.turns as f64 / f64::from(QUIET),
        bytes: passed.bytes() as f64 / f64::from(QUIET),
        time: time / QUIET,
        parent_cpu: (parent.cpu() - parent_before) / QUIET,
        child_cpu: (cpu_of("self") - child_before) / QUIET,
    };
    node.store.close();
    quiet
}

/// W3 over two tiers: from the command to write a value until parent and child both have it settled on disk.
pub async fn single(world: &World) -> Vec<Duration> {
    let round = world.round(Of::Empty);
    let parent = Service::start(&round.parent);
    let node = open(&round.child);
    let way = upstream(&round.child, &node, &world.parent_url()).await;
    way.open().await.expect("a session");
    let mut times = Vec::with_capacity(SINGLE);
    for version in 0..=SINGLE {
        let began = Instant::now();
        write_reports(
            &node,
            world.unit,
            world.issuer,
            &world.tasks,
            [0],
            version as u64,
        )
        .await;
        way.push().await.expect("a push");
        times.push(began.elapsed());
    }
    assert_eq!(way.compare().await.expect("a round"), Some(true));
    node.store.close();
    parent.stop();
    // The first one connects.
    times.remove(0);
    times.sort_unstable();
    times
}

/// W4: what the small children's storm took.
pub struct Storm {
    pub time: Duration,
    pub parent_kib: u64,
    /// How often a child was asked to come back later.
    pub put_off: usize,
}

/// W4: children in this process, each with its own store and connection; the parent is a real process.
pub async fn storm(world: &World) -> Storm {
    let round = world.round(Of::Crowd);
    let parent = Service::start(&round.parent);
    let mut ways = Vec::with_capacity(CROWD);
    for (index, unit) in world.crowd.iter().enumerate() {
        let dir = round.child.join(index.to_string());
        let node = open(&dir);
        write_reports(
            &node,
            *unit,
            world.issuer,
            &world.crowd_tasks,
            0..CROWD_CHANGES,
            0,
        )
        .await;
        let way = upstream(&dir, &node, &world.parent_url()).await;
        ways.push((node, way));
    }
    let began = Instant::now();
    let mut children = JoinSet::new();
    for (node, way) in ways {
        children.spawn(async move {
            let mut put_off = 0;
            loop {
                let sent = match way.open().await {
                    Ok(_) => way.push().await,
                    Err(error) => Err(error),
                };
                let Err(error) = sent else { break };
                put_off += 1;
                let pause = error
                    .retry_after()
                    .unwrap_or_else(|| panic!("a push failed: {error}"));
                tokio::time::sleep(pause).await;
            }
            (node, way, put_off)
        });
    }
    let done = children.join_all().await;
    let time = began.elapsed();
    for (node, way, _) in &done {
        let agrees = way.compare().await.expect("a round");
        assert_ne!(agrees, Some(false), "parent and child differ");
        assert_eq!(way.progress().borrow().sent, CROWD_CHANGES as u64);
        node.store.close();
    }
    let parent_kib = parent.memory_kib("VmHWM");
    parent.stop();
    Storm {
        time,
        parent_kib,
        put_off: done.iter().map(|(_, _, put_off)| put_off).sum(),
    }
}
