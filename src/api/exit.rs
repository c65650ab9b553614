//! Exit codes of the command contract.

use serde::{Deserialize, Serialize};

/// How a process ends; scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Done, healthy.
    Done,
    /// Failed.
    Failed,
    /// Wrong usage or bad input; nothing was done.
    Usage,
    /// Done, but some records were refused or quarantined.
    Partly,
    /// Degraded (`status`, `doctor`).
    Degraded,
    /// Peer or tracker unreachable; trying again may help.
    Unreachable,
    /// Refused for good by the peer or tracker.
    Refused,
    /// A person must decide.
    PersonNeeded,
    /// This directory holds no initialised node.
    NotInitialised,
    /// Another instance holds the store.
    Locked,
    /// Authentication failed.
    Authentication,
    /// Configuration invalid.
    Configuration,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Partly => 3,
            Exit::Degraded => 4,
            Exit::Unreachable => 5,
            Exit::Refused => 6,
            Exit::PersonNeeded => 7,
            Exit::NotInitialised => 10,
            Exit::Locked => 11,
            Exit::Authentication => 12,
            Exit::Configuration => 78,
            Exit::Interrupted => 130,
        }
    }
}
