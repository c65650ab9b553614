//! Profiles: what an administrator writes about an outside system.

mod check;
mod model;

use std::fmt;
use std::path::{Path, PathBuf};

pub use model::*;

/// A profile that can be used, and where it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The profile.
    pub profile: Profile,
    /// Its file.
    pub file: PathBuf,
}

/// One mistake in a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The key, such as `stream.progress.fields.status.dictionary`.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// Everything that is wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileErrors {
    /// The file.
    pub file: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ProfileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if problem.line > 0 {
                write!(f, ":{}", problem.line)?;
            }
            write!(f, ": ")?;
            if !problem.key.is_empty() {
                write!(f, "{}: ", problem.key)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProfileErrors {}

/// Reads and checks a profile.
pub fn load(file: &Path) -> Result<Loaded, ProfileErrors> {
    let whole = |message: String| ProfileErrors {
        file: file.to_owned(),
        problems: vec![Problem {
            line: 0,
            key: String::new(),
            message,
        }],
    };
    let text = std::fs::read_to_string(file).map_err(|e| whole(format!("cannot be read: {e}")))?;
    match parse(&text) {
        Ok(profile) => Ok(Loaded {
            profile,
            file: file.to_owned(),
        }),
        Err(problems) => Err(ProfileErrors {
            file: file.to_owned(),
            problems,
        }),
    }
}

/// A profile from its text, or everything that is wrong with it.
pub fn parse(text: &str) -> Result<Profile, Vec<Problem>> {
    let profile: Profile = toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| check::line_of(text, span.start));
        vec![Problem {
            line,
            key: String::new(),
            message: error.message().to_owned(),
        }]
    })?;
    let problems = check::check(&profile, text);
    if problems.is_empty() {
        Ok(profile)
    } else {
        Err(problems)
    }
}

/// The JSON schema of the format, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Profile).to_value()
}
