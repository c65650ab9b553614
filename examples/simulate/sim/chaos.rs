//! The days: people work, nodes exchange, things go wrong. Then everything is mended, and the oracles look.

use std::sync::atomic::Ordering;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::faults::Fault;
use super::net::{Cut, Doom, Rates};
use super::world::World;
use super::{Options, Outcome, oracles, people};

const YEAR_MS: i64 = 365 * 86_400_000;

/// Runs one seed.
pub async fn run(options: &Options) -> Outcome {
    run_at(options, Rates::default()).await
}

/// Runs one seed on a line as bad as that.
pub async fn run_at(options: &Options, rates: Rates) -> Outcome {
    let world = World::new(options).await;
    world.net.set_rates(rates);
    live(world).await
}

/// Lets the days of a world pass, and judges it.
pub async fn live(mut world: World) -> Outcome {
    let options = world.options.clone();
    let mut rng = StdRng::seed_from_u64(options.seed);
    world.net.rage(true);
    for day in 1..=options.days {
        world.day = day;
        world.sun.rise(day);
        world.net.set_day(day);
        let late = world.net.deliver_late(false).await;
        if late > 0 {
            world.step(format_args!("{late} late requests arrived"));
        }
        for at in 0..world.places.len() {
            machine(&mut world, at, &mut rng).await;
        }
        for at in 0..world.places.len() {
            if is_on(&world, at) {
                world.places[at].wake().await;
                for _ in 0..rng.random_range(0..3) {
                    people::work(&mut world, at, &mut rng).await;
                }
                world.places[at].count().await;
            }
        }
        if day % 7 == 0 {
            world.release().await;
        }
        for _ in 1..world.places.len() {
            let child = rng.random_range(1..world.places.len());
            exchange(&mut world, child, &mut rng).await;
        }
    }
    finish(world).await
}

/// Mends everything, lets it come to rest and judges it.
pub async fn finish(mut world: World) -> Outcome {
    mend(&mut world).await;
    judge(&mut world).await;
    outcome(world)
}

fn is_on(world: &World, at: usize) -> bool {
    world.places[at].away_until <= world.day
}

fn strikes(world: &World, rng: &mut StdRng, fault: Fault, chance: f64) -> bool {
    // Drawn in any case, so that leaving out one kind of fault changes little else.
    rng.random_bool(chance) && world.options.faults.contains(&fault)
}

/// What happens to one machine and its line on one day.
async fn machine(world: &mut World, at: usize, rng: &mut StdRng) {
    let day = world.day;
    if world.places[at].away_until == day {
        let port = world.places[at].port();
        world.net.plug(at, port);
        world.step(format_args!("{at} is back"));
    }
    if world.places[at].cut_until == day {
        world.net.cut(at, None);
    }
    if world.places[at].clock_until == day {
        world.places[at].ahead_ms.store(0, Ordering::SeqCst);
    }
    if !is_on(world, at) {
        return;
    }
    if strikes(world, rng, Fault::Away, 0.003) {
        let days = rng.random_range(20..400);
        world.places[at].away_until = day + days;
        world.net.plug(at, None);
        world.happened(Fault::Away);
        world.step(format_args!("{at} is off for {days} days"));
        return;
    }
    if strikes(world, rng, Fault::Partition, 0.015) && world.places[at].parent.is_some() {
        let days = rng.random_range(1..30);
        let cut = if rng.random_bool(0.5) {
            Cut::Both
        } else {
            Cut::Answers
        };
        world.places[at].cut_until = day + days;
        world.net.cut(at, Some(cut));
        world.happened(Fault::Partition);
        world.step(format_args!("{at} has {cut:?} cut for {days} days"));
    }
    if strikes(world, rng, Fault::Clock, 0.02) {
        let now = world.sun.now_ms();
        let ahead = match rng.random_range(0..5) {
            0 => 10 * YEAR_MS,
            // An empty battery: the clock begins at 1970 anew.
            1 => 1_000 - now,
            2 => -3_600_000,
            3 => rng.random_range(-90..90) * 86_400_000,
            _ => rng.random_range(-60_000..60_000),
        };
        world.places[at].ahead_ms.store(ahead, Ordering::SeqCst);
        world.places[at].clock_until = day + rng.random_range(1..15);
        world.happened(Fault::Clock);
        world.step(format_args!("{at} has a clock {} s ahead", ahead / 1000));
    }
    if strikes(world, rng, Fault::Crash, 0.03) {
        world.happened(Fault::Crash);
        world.step(format_args!("{at} crashed"));
        world.crash(at).await;
    }
    if strikes(world, rng, Fault::Restore, 0.01) {
        let oldest = world.places[at].backups.len().saturating_sub(3);
        let backup = rng.random_range(oldest..world.places[at].backups.len());
        world.happened(Fault::Restore);
        world.restore(at, backup).await;
        world.step(format_args!("{at} went back to copy {backup}"));
    }
    if world.options.faults.contains(&Fault::Restore) && rng.random_bool(0.04) {
        world.places[at].back_up();
    }
}

async fn exchange(world: &mut World, child: usize, rng: &mut StdRng) {
    let dies = strikes(world, rng, Fault::Crash, 0.04);
    let who = if rng.random_bool(0.5) {
        Doom::Parent
    } else {
        Doom::Child
    };
    let message = rng.random_range(0..6);
    if !is_on(world, child) {
        return;
    }
    world.net.doom(dies.then_some((message, who)));
    world.session(child).await;
    world.net.doom(None);
}

/// All faults end: lines carry both ways, clocks are right, everybody is there.
async fn mend(world: &mut World) {
    world.net.rage(false);
    world.day += 1;
    world.sun.rise(world.day);
    for at in 0..world.places.len() {
        world.net.cut(at, None);
        let was_off = world.places[at].away_until > world.day;
        let place = &mut world.places[at];
        place.away_until = 0;
        place.ahead_ms.store(0, Ordering::SeqCst);
        if was_off {
            let port = world.places[at].port();
            world.net.plug(at, port);
        }
    }
    for place in &world.places {
        place.wake().await;
    }
    let late = world.net.deliver_late(true).await;
    world.step(format_args!("mended; {late} late requests arrived"));
    if !world.rest().await {
        world.accuse("I13: the nodes do not come to rest".to_owned());
    }
}

async fn judge(world: &mut World) {
    let before = oracles::judge(world).await;
    world.send_everything_again().await;
    if !world.rest().await {
        world.accuse("I13: sending everything again does not come to an end".to_owned());
    }
    oracles::check_nothing_moved(world, &before).await;
}

fn outcome(world: World) -> Outcome {
    let (messages, of_messages) = world.net.counts();
    let mut faults = world.faults.clone();
    faults.extend(of_messages);
    Outcome {
        trace: world.trace(),
        faults,
        messages,
        writes: world.writes,
        lost_with_disk: world.lost_with_disk,
        set_aside: world.set_aside_at_end,
        broken: world.broken,
    }
}
