//! The seeded simulator, short: a few seeds with every kind of fault. Long runs are `examples/simulate`, which runs the
//! very same code; `docs/reliability.md` tells how.

#[allow(dead_code)] // The example uses the rest.
#[path = "../examples/simulate/sim/mod.rs"]
mod sim;

use sim::country::Size;
use sim::faults::Fault;
use sim::net::Rates;
use sim::{Options, Outcome};

fn simulate(seed: u64, nodes: usize, days: u32, faults: &[Fault]) -> Outcome {
    simulate_at(seed, nodes, days, faults, Rates::default())
}

fn simulate_at(seed: u64, nodes: usize, days: u32, faults: &[Fault], rates: Rates) -> Outcome {
    let options = Options {
        seed,
        nodes,
        days,
        faults: faults.to_vec(),
        trace: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(sim::chaos::run_at(&options, rates));
    let command = options.command();
    assert!(
        outcome.broken.is_empty(),
        "{command}\n{}",
        outcome.broken.join("\n")
    );
    assert!(outcome.writes > 0, "nobody did anything: {command}");
    for fault in faults {
        println!("{}: {:?}", fault.name(), outcome.faults.get(fault.name()));
    }
    outcome
}

/// Seeds that broke something once.
const FOUND: [(u64, usize, u32, &[Fault]); 2] = [
    // A rollup that came back from above to a node whose tasks were gone was never counted again.
    (4, 6, 40, &[Fault::Restore]),
    // A form that was opened for one period and handed in for another replaced what its author had not seen, and what that
    // had replaced came back.
    (1091, 6, 40, &Fault::ALL),
];

#[test]
fn seeds_that_broke_something_once_hold() {
    for (seed, nodes, days, faults) in FOUND {
        simulate(seed, nodes, days, faults);
    }
}

/// The ministry went back to before it gave a task that had been taken since from everybody who had it.
#[test]
fn a_long_seed_that_broke_something_once_holds() {
    simulate(313, 9, 150, &Fault::ALL);
}

#[test]
fn without_faults_everything_arrives_and_agrees() {
    let outcome = simulate(1, 5, 20, &[]);
    assert_eq!((outcome.set_aside, outcome.lost_with_disk), (0, 0));
}

#[test]
fn with_all_faults_nothing_acknowledged_is_lost() {
    for seed in 1..=3 {
        simulate(seed, 6, 30, &Fault::ALL);
    }
}

/// The whole country is `--country 34 --nodes 3356` of the example.
#[test]
fn a_small_country_holds_what_everybody_was_told_and_agrees_on_every_link() {
    let size = Size {
        provinces: 3,
        communes: 10,
        days: 2,
        seed: 1,
        seeds: 2,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let seen = runtime.block_on(sim::country::run(size));
    assert!(seen.broken.is_empty(), "{}", seen.broken.join("\n"));
    assert!(seen.reports >= 20, "{} reports", seen.reports);
    assert_eq!((seen.reports + seen.away, seen.agreeing), (40, 26));
}

#[test]
fn one_seed_is_one_story() {
    let traces: Vec<String> = (0..2)
        .map(|_| simulate(7, 5, 20, &Fault::ALL).trace)
        .collect();
    assert_eq!(traces[0], traces[1]);
}

#[test]
fn b3_a_third_lost_half_doubled_and_much_of_it_late_ends_like_a_good_line() {
    let rates = Rates {
        loss: 0.3,
        dup: 0.5,
        delay: 0.3,
    };
    for seed in [31, 32] {
        let faults = [Fault::Loss, Fault::Dup, Fault::Delay];
        let outcome = simulate_at(seed, 5, 20, &faults, rates);
        assert_eq!((outcome.set_aside, outcome.lost_with_disk), (0, 0));
        assert!(outcome.faults["loss"] > 20 && outcome.faults["dup"] > 50);
    }
}

#[test]
fn b7_every_message_twice_and_most_of_them_once_more_days_later_change_nothing() {
    let rates = Rates {
        loss: 0.0,
        dup: 1.0,
        delay: 0.7,
    };
    let outcome = simulate_at(71, 5, 25, &[Fault::Dup, Fault::Delay], rates);
    assert_eq!((outcome.set_aside, outcome.lost_with_disk), (0, 0));
    assert!(outcome.faults["delay"] > 50);
}
