//! Canaries: switches that break one promise on purpose, so that the tests can show that they would notice.
//!
//! Compiled only with the cargo feature `faults`, which no release has. One switch is thrown at a time, for the whole
//! process.

use std::sync::atomic::{AtomicU8, Ordering};

/// A promise to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// Answer a write before it is on disk, and then lose it.
    AckBeforeCommit = 1,
    /// Drop a record that cannot be taken without telling anybody.
    SilentReject,
    /// Write as if the author of a form had seen everything that is there now.
    ForgetSeen,
    /// Send back what a peer has just sent.
    Echo,
    /// Take whatever a child sends.
    TrustEverybody,
    /// Let every mass change through.
    NoBrake,
    /// Commit without waiting for the disk (`synchronous=NORMAL`).
    NoSync,
    /// Take the mean of percents instead of the percent of the sums.
    AveragePercents,
    /// Number the writes of an opening from one again.
    ReuseDot,
    /// Send every record over every link.
    SendEverything,
    /// Take what a peer does not have for deleted.
    DeleteByAbsence,
    /// Let the later clock win over a concurrent write.
    ClockDecides,
    /// Let what is above a ceiling into the bytes for others.
    LeakyCeiling,
    /// Take in what is above a ceiling.
    BlindCeiling,
}

static THROWN: AtomicU8 = AtomicU8::new(0);

/// Throws a switch; `None` puts everything right again.
pub fn throw(canary: Option<Canary>) {
    THROWN.store(canary.map_or(0, |canary| canary as u8), Ordering::SeqCst);
}

/// Whether this switch is thrown.
pub fn thrown(canary: Canary) -> bool {
    THROWN.load(Ordering::SeqCst) == canary as u8
}
