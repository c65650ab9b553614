//! A run is cut between every two steps, before and after the outside carried a step out; the next run finds no record
//! twice and none lost. Every shipped profile that has a simulator goes through it.

mod support;

use support::outside::{Back, Bench, CASES, Case, case};
use support::stopping::run_until;

/// Changes here, one there, one on both sides, and a new item.
async fn bench_with_work(case: Case) -> Bench {
    let bench = Bench::new(case, 3).await;
    if case.begins_there {
        bench.run_well().await;
    }
    for number in 1..=3 {
        bench.set(number, &format!("1{number}")).await;
    }
    bench.run_well().await;
    bench.approve();
    bench.set(1, "41").await;
    bench.edit(2, "62");
    bench.set(3, "43").await;
    if case.back == Back::Arrives {
        bench.edit(3, "63");
    }
    bench.begin(4).await;
    if !case.begins_there {
        bench.set(4, "44").await;
    }
    bench
}

async fn assert_all_is_there(bench: &Bench, said: &str) {
    let Case {
        back, begins_there, ..
    } = bench.case;
    let (second, third, conflicts) = match back {
        Back::Arrives => ("62", "63", 1),
        Back::Undone => ("12", "43", 0),
        Back::Kept => ("62", "43", 0),
    };
    let fourth = if begins_there { "" } else { "44" };
    for (number, expected) in [(1, "41"), (2, second), (3, third), (4, fourth)] {
        assert_eq!(bench.there(number), [expected], "item {number}, {said}");
    }
    let here = if back == Back::Arrives { "62" } else { "12" };
    assert_eq!(bench.here(2).await, here, "{said}");
    assert_eq!(bench.count_here().await, (4, conflicts), "{said}");
}

/// Cuts a run at every step it has.
async fn cut_everywhere(name: &str) {
    for after in [false, true] {
        let mut step = 1;
        loop {
            let bench = bench_with_work(case(name)).await;
            let node = &bench.place.node;
            let reached = run_until(node, name, step, after).await;
            let said = format!("{name}, step {step}, after {after}");
            bench.run().await;
            bench.approve();
            assert_all_is_there(&bench, &said).await;
            bench.assert_rest(&said).await;
            if !reached {
                break;
            }
            step += 1;
        }
        assert!(
            step > 2,
            "{name}: a listing and a write at least, was {step}"
        );
    }
}

/// One test for each profile, so that they run side by side.
macro_rules! cut_everywhere {
    ($($test:ident: $name:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($name),*];

        $(#[tokio::test]
        async fn $test() {
            cut_everywhere($name).await;
        })*
    };
}

cut_everywhere! {
    the_ioc_cut_at_any_step_loses_nothing_and_doubles_nothing: "ioc",
    leadership_tasks_cut_at_any_step_lose_nothing_and_double_nothing: "leadership-tasks",
    lgsp_cut_at_any_step_loses_nothing_and_doubles_nothing: "lgsp",
    national_reporting_cut_at_any_step_loses_nothing_and_doubles_nothing: "national-reporting",
    the_resolution_tracker_cut_at_any_step_loses_nothing_and_doubles_nothing: "resolution-tracker",
    statistics_cut_at_any_step_lose_nothing_and_double_nothing: "statistics",
    theodoinq_cut_at_any_step_loses_nothing_and_doubles_nothing: "theodoinq",
    the_tracker_cut_at_any_step_loses_nothing_and_doubles_nothing: "tracker",
}

#[test]
fn every_profile_with_a_simulator_is_cut() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(TESTED, cases);
}
