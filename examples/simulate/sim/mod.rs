//! The seeded simulator: whole nodes with real stores, in one process, on virtual time, over a network that loses,
//! doubles and delays, on machines that crash, go back to an old copy of their disk and have wrong clocks.
//!
//! Everything that decides is production code: the session of `link::Upstream`, the endpoints of `server::link`, the
//! verbs of `node::commands`. Here are only the network between them, the people, the faults, and oracles that judge the
//! end state without calling what they judge.

pub mod chaos;
pub mod country;
pub mod enrolment;
pub mod faults;
pub mod inspect;
pub mod ledger;
pub mod net;
pub mod oracles;
pub mod people;
pub mod place;
pub mod reference;
pub mod rollups;
pub mod world;

use std::collections::BTreeMap;

use faults::Fault;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all random choices come from.
    pub seed: u64,
    /// Nodes: one ministry, some provinces, communes below them.
    pub nodes: usize,
    /// Days on which people work and faults happen.
    pub days: u32,
    /// Which faults happen.
    pub faults: Vec<Fault>,
    /// Print every step.
    pub trace: bool,
}

/// What a run ended with.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not be, in words; empty when all invariants hold.
    pub broken: Vec<String>,
    /// Hash over every step and its outcome, and nothing that is drawn from the system's randomness.
    pub trace: String,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Requests sent.
    pub messages: u64,
    /// Verbs carried out.
    pub writes: u64,
    /// Edits that people were told are kept, and that only an old copy of a disk took away again.
    pub lost_with_disk: u64,
    /// Records set aside at the end, with their reason.
    pub set_aside: u64,
}

impl Options {
    /// The command that runs this again.
    pub fn command(&self) -> String {
        let faults: Vec<&str> = self.faults.iter().map(|fault| fault.name()).collect();
        format!(
            "cargo run --release --example simulate -- --seed {} --nodes {} --days {} --faults {}",
            self.seed,
            self.nodes,
            self.days,
            if faults.is_empty() {
                "none".to_owned()
            } else {
                faults.join(",")
            }
        )
    }
}

/// Simulates, and judges the end.
pub async fn run(options: &Options) -> Outcome {
    chaos::run(options).await
}
