//! The simulator must notice when a promise is broken on purpose. Only with the cargo feature `faults`.
#![cfg(feature = "faults")]

#[allow(dead_code)] // The example and the other tests use the rest.
#[path = "../examples/simulate/sim/mod.rs"]
mod sim;

use nqsync::faults::{Canary, throw};
use sim::Options;
use sim::faults::Fault;
use sim::world::World;

async fn broken(canary: Option<Canary>, seed: u64, faults: &[Fault]) -> Vec<String> {
    throw(None);
    let options = Options {
        seed,
        nodes: 6,
        days: 40,
        faults: faults.to_vec(),
        trace: false,
    };
    let world = World::new(&options).await;
    throw(canary);
    let outcome = sim::chaos::live(world).await;
    throw(None);
    outcome.broken
}

/// One after the other: a switch is thrown for the whole process.
#[tokio::test]
async fn canaries_are_noticed_by_the_simulator() {
    // What a neighbour does not have is taken for deleted, as a merge without contexts would.
    assert_eq!(
        broken(None, 1, &[Fault::Restore]).await,
        Vec::<String>::new()
    );
    let words = broken(Some(Canary::DeleteByAbsence), 1, &[Fault::Restore]).await;
    assert!(words.iter().any(|words| words.contains("I1")), "{words:?}");
}
