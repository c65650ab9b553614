//! Kinds of records, and the name of one record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Every kind of record that two nodes exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names are the domain's own; `Facts` documents each.
pub enum Kind {
    Unit,
    Task,
    Report,
    Evidence,
    Verdict,
    Arrival,
    Proposal,
    Decision,
    Indicator,
    Figure,
    Directive,
    Period,
    Rollup,
}

/// Which records go first over a line. Files have a lane of their own, after these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Org units: everything else is judged by the tree they make.
    Units,
    /// Tasks, directives, and what answers people: decisions, verdicts, proposals, period states.
    Assignments,
    /// Reports, evidence metadata, indicator values, rollups.
    Reports,
}

/// The name of one record: kind and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind.
    pub kind: Kind,
    /// UUIDv5 where a natural key exists, UUIDv7 otherwise.
    pub id: Uuid,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 13] = [
        Kind::Unit,
        Kind::Task,
        Kind::Report,
        Kind::Evidence,
        Kind::Verdict,
        Kind::Arrival,
        Kind::Proposal,
        Kind::Decision,
        Kind::Indicator,
        Kind::Figure,
        Kind::Directive,
        Kind::Period,
        Kind::Rollup,
    ];

    /// The name on the wire, in SQL and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Unit => "unit",
            Kind::Task => "task",
            Kind::Report => "report",
            Kind::Evidence => "evidence",
            Kind::Verdict => "verdict",
            Kind::Arrival => "arrival",
            Kind::Proposal => "proposal",
            Kind::Decision => "decision",
            Kind::Indicator => "indicator",
            Kind::Figure => "figure",
            Kind::Directive => "directive",
            Kind::Period => "period",
            Kind::Rollup => "rollup",
        }
    }

    /// The number stored in SQL; never reused for another kind.
    pub fn number(self) -> u8 {
        Kind::ALL
            .iter()
            .position(|kind| *kind == self)
            .unwrap_or_default() as u8
    }

    /// The kind with that number.
    pub fn from_number(number: i64) -> Option<Kind> {
        usize::try_from(number)
            .ok()
            .and_then(|index| Kind::ALL.get(index).copied())
    }

    /// The lane it travels in.
    pub fn lane(self) -> Lane {
        match self {
            Kind::Unit => Lane::Units,
            Kind::Report | Kind::Evidence | Kind::Figure | Kind::Rollup | Kind::Arrival => {
                Lane::Reports
            }
            _ => Lane::Assignments,
        }
    }

    /// Kinds whose later write simply replaces the earlier one: a rollup is computed, nobody's words are lost.
    pub fn later_replaces_earlier(self) -> bool {
        matches!(self, Kind::Rollup | Kind::Arrival)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("unknown kind of record {text:?}"))
    }
}
