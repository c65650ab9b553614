//! What is wrong with a configuration: every problem at once, each with its place and what is allowed instead.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Place {
    /// In the file; the first line and column are 1.
    File {
        /// The file.
        file: PathBuf,
        /// Line.
        line: usize,
        /// Column, in characters.
        column: usize,
    },
    /// In an environment variable.
    Env {
        /// Its name.
        variable: String,
    },
    /// In a flag of the command line, as it was typed.
    Flag {
        /// The whole flag.
        flag: String,
    },
    /// Nowhere: the built-in default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, line, .. } => write!(f, "{}:{line}", file.display()),
            Place::Env { variable } => f.write_str(variable),
            Place::Flag { flag } => f.write_str(flag),
            Place::Default => f.write_str("default"),
        }
    }
}

/// Which kind of problem it is, for programs and for translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Fault {
    Unreadable,
    Syntax,
    UnknownSection,
    UnknownKey,
    Missing,
    WrongType,
    WrongUnit,
    OutOfRange,
    NotAllowed,
    BadUrl,
    BadAddress,
    BadPath,
    BadSchedule,
    Contradiction,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// `section.key`, or empty where no key is meant.
    pub key: String,
    /// Which kind.
    pub fault: Fault,
    /// What was found, as it was written. Passwords in it are masked.
    pub found: Option<String>,
    /// What is wrong with it.
    pub message: String,
    /// What is allowed, or what to do.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.place)?;
        for part in [Some(&self.key), self.found.as_ref(), Some(&self.message)]
            .into_iter()
            .flatten()
        {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        if self.expected.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.expected)
        }
    }
}

/// All problems of one configuration, in the order of the file, then environment and flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigErrors {
    /// At least one.
    pub problems: Vec<Problem>,
    /// The file that was to be read is not there: this node is not initialised.
    pub file_missing: bool,
}

impl ConfigErrors {
    pub(super) fn missing(file: &Path) -> Self {
        let place = Place::File {
            file: file.to_owned(),
            line: 1,
            column: 1,
        };
        let problem = Problem {
            place,
            key: String::new(),
            fault: Fault::Unreadable,
            found: None,
            message: "there is no such file".into(),
            expected: "run `nqsync init`, or name another file by --config or NQSYNC_CONFIG".into(),
        };
        ConfigErrors {
            problems: vec![problem],
            file_missing: true,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
