//! Use cases: here the pure core and the store meet, and nowhere else.
//!
//! `write` puts an owner's values into a record; `receive` takes a peer's batch in; `offer` prepares one for a peer;
//! `commands` answers the verbs of the contract.

pub mod commands;
pub mod enrolment;
pub mod files;
pub mod offer;
pub mod receive;
pub mod refusal;
pub mod rollups;
pub mod session;
pub mod write;

use jiff::civil::Date;
use jiff::tz::TimeZone;

pub use refusal::Refusal;

use crate::clock::Clock;
use crate::store::Store;

/// One node: its store, its clock and what its configuration says.
#[derive(Clone)]
pub struct Node {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// Settings.
    pub settings: Settings,
}

/// What use cases need of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether this is the running service, and not a verb on the store of a stopped one.
    pub service: bool,
    /// Zone of periods and deadlines.
    pub zone: TimeZone,
    /// Largest evidence file, in bytes.
    pub max_blob_bytes: u64,
    /// Largest record on the wire, in bytes.
    pub max_record_bytes: usize,
    /// Most records in one batch.
    pub batch_records: usize,
    /// Most bytes in one batch before compression.
    pub batch_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            service: false,
            zone: TimeZone::get("Asia/Ho_Chi_Minh").unwrap_or(TimeZone::UTC),
            max_blob_bytes: 2 << 30,
            max_record_bytes: 1 << 20,
            batch_records: 2_000,
            batch_bytes: 4 << 20,
        }
    }
}

impl Node {
    /// Today, in the zone of periods and deadlines.
    pub fn today(&self) -> Date {
        self.clock.today(&self.settings.zone)
    }
}
