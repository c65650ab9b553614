//! Mappings: jq expressions of a profile, run on other people's records in a process of their own.
//!
//! One long-lived child compiles every expression of a profile and answers input by input. An expression that loops,
//! recurses without end or is hungry for memory ends the child: the input it was at gets the error, a fresh child goes on
//! with the next. Nothing but JSON passes between the two.

mod mapper;
mod program;
mod worker;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use mapper::Mapper;
pub use worker::{WORKER_ARGUMENT, worker_main};

/// Expressions by name, by set: one set is evaluated on one input at once.
pub type Programs = BTreeMap<String, BTreeMap<String, String>>;

/// Longest text of an input or an error that a message shows, in characters.
pub const LONGEST_SHOWN: usize = 200;

/// What the mapping process may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapLimits {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// CPU time for one input, in seconds.
    pub cpu_s: u64,
    /// Time until the answer to one input, in seconds, on a machine that is busy with other things.
    pub wall_s: u64,
    /// Longest answer to one input, in bytes.
    pub answer_bytes: u64,
}

impl Default for MapLimits {
    fn default() -> Self {
        MapLimits {
            memory_bytes: 256 << 20,
            cpu_s: 3,
            wall_s: 30,
            answer_bytes: 8 << 20,
        }
    }
}

/// An expression that is no jq.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{set}.{name}: {message}, at line {line}, column {column} of `{}`", shortened(.expression, LONGEST_SHOWN))]
pub struct Misread {
    /// Its set.
    pub set: String,
    /// Its name.
    pub name: String,
    /// The expression.
    pub expression: String,
    /// Line inside it, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Why something was not mapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Expressions that are no jq: all of them.
    #[error("{}", lines(.0))]
    Misread(Vec<Misread>),
    /// One expression has no value for one input.
    #[error(
        "{set}.{}: {message}; expression: `{}`; input: {input}",
        name.as_deref().unwrap_or("?"),
        shortened(expression.as_deref().unwrap_or("?"), LONGEST_SHOWN)
    )]
    Failed {
        /// The set.
        set: String,
        /// The expression's name; unknown where the process ended before it could tell.
        name: Option<String>,
        /// The expression.
        expression: Option<String>,
        /// The input, on one line and cut short.
        input: String,
        /// What happened.
        message: String,
    },
    /// The set was not among the programs that the mapper was started with.
    #[error("there is no set of expressions named {0}")]
    NoSuchSet(String),
    /// The mapping process could not do its work, whatever the input.
    #[error("the mapping process {0}")]
    Worker(String),
    /// Too many inputs ended the mapping process, one after another.
    #[error("the mapping process had to be started {deaths} times and was given up; last: {last}")]
    GaveUp {
        /// How often it ended.
        deaths: usize,
        /// The last error.
        last: Box<MapError>,
    },
}

fn lines(misread: &[Misread]) -> String {
    let lines: Vec<String> = misread.iter().map(Misread::to_string).collect();
    lines.join("\n")
}

/// A value for a message: on one line, at most [`LONGEST_SHOWN`] characters.
pub fn shown(value: &Value) -> String {
    shortened(&value.to_string(), LONGEST_SHOWN)
}

/// Text on one line and not longer than `most` characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let mut characters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_broken_text_is_shown_short_and_on_one_line() {
        assert_eq!(shortened("một\nhai\tba", 20), "một hai ba");
        assert_eq!(shortened("đường dài", 5), "đường…");
        assert_eq!(shortened("đường", 5), "đường");
    }
}
