//! Use cases: here the pure core and the store meet, and nowhere else.
//!
//! `write` puts an owner's values into a record; `receive` takes a peer's batch in; `offer` prepares one for a peer;
//! `commands` answers the verbs of the contract.

pub mod brake;
pub mod branches;
pub mod bundle;
pub mod commands;
pub mod deposit;
pub mod enrolment;
pub mod files;
pub mod health;
pub mod homecoming;
pub mod login;
pub mod notices;
pub mod offer;
pub mod parents;
pub mod receive;
pub mod recovery;
pub mod refusal;
pub mod reminders;
pub mod renewal;
pub mod rollups;
pub mod roster;
pub mod scoring;
pub mod sealed;
pub mod session;
pub mod standings;
pub mod tries;
pub mod waiting;
pub mod warnings;
pub mod witness;
pub mod write;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use nqsync_core::calendar::{Duty, Period, PeriodKind, Reminders};
use nqsync_core::model::Classification;
use nqsync_core::sync::brake::Limits;

pub use refusal::Refusal;

use crate::api::Act;
use crate::clock::Clock;
use crate::sheet::Parser;
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
    /// The highest level of secrecy that this computer may hold, each level in a store of its own; *none* where it is joined
    /// to a network.
    pub ceiling: Classification,
    /// Whether the parent is reached by bundles alone.
    pub carried: bool,
    /// Zone of periods and deadlines.
    pub zone: TimeZone,
    /// Kind of period meant where none is named.
    pub period: PeriodKind,
    /// The regimes by which reports are due here.
    pub duties: Vec<Duty>,
    /// Days on which people are reminded of a deadline.
    pub reminders: Reminders,
    /// Largest evidence file, in bytes.
    pub max_blob_bytes: u64,
    /// Largest record on the wire, in bytes.
    pub max_record_bytes: usize,
    /// Most records in one batch.
    pub batch_records: usize,
    /// Most bytes in one batch before compression.
    pub batch_bytes: usize,
    /// Most bytes in one batch received, packed or unpacked.
    pub max_batch_bytes: usize,
    /// Bytes in one piece of a file.
    pub file_piece_bytes: usize,
    /// Most bytes of files per second to and from the parent; 0 for no limit.
    pub bandwidth_bytes_per_s: u64,
    /// Less free disk than this is a problem.
    pub min_free_bytes: u64,
    /// How often a sealed backup is deposited at the parent, in milliseconds; 0: never.
    pub deposit_interval_ms: i64,
    /// Most bytes of backups that a downstream node may deposit here; 0: it may not.
    pub deposit_quota_bytes: u64,
    /// How much may be deleted or overwritten at once.
    pub brake: Limits,
    /// Exchanges within this time count as one, in milliseconds.
    pub brake_window_ms: i64,
    /// The acts that need a second person here.
    pub approval_acts: BTreeSet<Act>,
    /// How long an act waits for its second person, in milliseconds.
    pub approval_lasts_ms: i64,
    /// Folder of the adapters' profiles.
    pub adapters_dir: PathBuf,
    /// The file that says how people are told of warnings and reminders; none where a node has no file of its own.
    pub notify_file: Option<PathBuf>,
    /// The file of the criteria by which units are scored; the sample holds where there is none.
    pub scoring_file: Option<PathBuf>,
    /// The configuration file; none where a node has no file of its own.
    pub config_file: Option<PathBuf>,
    /// File that names this machine.
    pub machine_id_file: PathBuf,
    /// This program, to start its own helping processes from.
    pub program: PathBuf,
    /// Where the service listens that reads tables from outside; none: a child started from this program does.
    pub parse_socket: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap_or(TimeZone::UTC);
        Settings {
            service: false,
            ceiling: Classification::None,
            carried: false,
            period: PeriodKind::Month,
            duties: Duty::usual(PeriodKind::Month, &zone).into_iter().collect(),
            reminders: Reminders::default(),
            zone,
            max_blob_bytes: 2 << 30,
            max_record_bytes: 1 << 20,
            batch_records: 2_000,
            batch_bytes: 4 << 20,
            max_batch_bytes: 16 << 20,
            file_piece_bytes: 512 << 10,
            bandwidth_bytes_per_s: 0,
            min_free_bytes: 256 << 20,
            deposit_interval_ms: 86_400_000,
            deposit_quota_bytes: 2 << 30,
            brake: Limits::default(),
            brake_window_ms: 3_600_000,
            approval_acts: BTreeSet::new(),
            approval_lasts_ms: 7 * 86_400_000,
            adapters_dir: PathBuf::from("adapters.d"),
            notify_file: None,
            scoring_file: None,
            config_file: None,
            machine_id_file: PathBuf::from("/etc/machine-id"),
            program: PathBuf::from("nqsync"),
            parse_socket: None,
        }
    }
}

impl Settings {
    /// Who reads tables from outside.
    pub fn parser(&self) -> Parser {
        Parser::of(self.parse_socket.as_deref(), &self.program)
    }
}

impl Node {
    /// Today, in the zone of periods and deadlines.
    pub fn today(&self) -> Date {
        self.clock.today(&self.settings.zone)
    }

    /// The period meant where none is named.
    pub fn current_period(&self) -> Period {
        Period::containing(self.settings.period, self.today())
    }
}
