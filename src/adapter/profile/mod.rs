//! Profiles: what an administrator writes about an outside system.

mod check;
mod model;
pub(in crate::adapter) mod shape;
mod spots;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::claims::Clash;
use super::mapping::{LONGEST_SHOWN, Misread, shortened};
use crate::config::CronRule;

pub use model::*;

use spots::{Spots, line_of};

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

/// Whether every unit of ours that the profile names is one; `is_unit` knows codes, names and aliases.
pub fn units_known(loaded: &Loaded, is_unit: &dyn Fn(&str) -> bool) -> Result<(), ProfileErrors> {
    let profile = &loaded.profile;
    let acting = profile.unit.iter().map(|ours| (vec!["unit"], ours));
    let mapped = profile
        .units
        .iter()
        .map(|(theirs, ours)| (vec!["units", theirs.as_str()], ours));
    let unknown: Vec<_> = acting
        .chain(mapped)
        .filter(|(_, ours)| !is_unit(ours))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let spots = spots(loaded);
    let problem = |(path, ours): &(Vec<&str>, &String)| Problem {
        line: spots.line(path),
        key: path.join("."),
        message: format!(
            "is \"{ours}\", which is no unit here; nqsync unit list shows those that are"
        ),
    };
    Err(ProfileErrors {
        file: loaded.file.clone(),
        problems: unknown.iter().map(problem).collect(),
    })
}

/// Fields that another adapter decides too, with their lines in the profile.
pub fn claimed(loaded: &Loaded, clashes: &[Clash]) -> Result<(), ProfileErrors> {
    if clashes.is_empty() {
        return Ok(());
    }
    let spots = spots(loaded);
    let problem = |clash: &Clash| {
        let streams = &loaded.profile.streams;
        let number = streams.iter().position(|s| s.name == clash.stream);
        let number = number.unwrap_or_default().to_string();
        Problem {
            line: spots.line(&["stream", &number, "fields", &clash.field]),
            key: format!("stream.{}.fields.{}", clash.stream, clash.field),
            message: format!(
                "is decided by the adapter {} too, and one of them only reads it (direction = \"in\"); give one of them direction = \"out\", or take the field away",
                clash.other
            ),
        }
    };
    Err(ProfileErrors {
        file: loaded.file.clone(),
        problems: clashes.iter().map(problem).collect(),
    })
}

/// Expressions that are no jq, with their lines in the profile.
pub fn misread(loaded: &Loaded, misread: &[Misread]) -> ProfileErrors {
    let spots = spots(loaded);
    let problem = |misread: &Misread| {
        let path = path_of(&loaded.profile, misread);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Problem {
            line: spots.line(&path) + misread.line - 1,
            key: format!("{}.{}", misread.set, misread.name),
            message: format!(
                "{}, at column {} of `{}`",
                misread.message,
                misread.column,
                shortened(&misread.expression, LONGEST_SHOWN)
            ),
        }
    };
    ProfileErrors {
        file: loaded.file.clone(),
        problems: misread.iter().map(problem).collect(),
    }
}

/// The lines of a profile that was read before; of a file that has gone meanwhile there are none.
fn spots(loaded: &Loaded) -> Spots {
    let text = std::fs::read_to_string(&loaded.file).unwrap_or_default();
    let (document, _) = DeTable::parse_recoverable(&text);
    Spots::of(document.get_ref(), &text)
}

/// Where an expression stands in the profile, as far as that is known.
fn path_of(profile: &Profile, misread: &Misread) -> Vec<String> {
    let parts: Vec<&str> = misread.set.split('.').collect();
    let number = profile.streams.iter().position(|s| s.name == parts[0]);
    let (Some(number), [_, parts @ ..]) = (number, &parts[..]) else {
        return parts.into_iter().map(str::to_owned).collect();
    };
    let number = number.to_string();
    let mut path = vec!["stream", &number];
    match (parts, misread.name.strip_prefix("fields.")) {
        (["theirs" | "ours"], Some(field)) => path.extend(["fields", field, parts[0]]),
        (["theirs" | "ours"], None) if misread.name == "key" => path.extend(["key", parts[0]]),
        (["theirs" | "ours"], None) => path.push(&misread.name),
        (["create" | "update"], _) => path.extend(["write", parts[0]]),
        _ => path.extend(parts),
    }
    path.into_iter().map(str::to_owned).collect()
}

/// A profile from its text, or everything that is wrong with it.
pub fn parse(text: &str) -> Result<Profile, Vec<Problem>> {
    let problem = |error: &toml::de::Error| Problem {
        line: error.span().map_or(0, |span| line_of(text, span.start)),
        key: String::new(),
        message: error.message().replace('\n', " "),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What the rest of the file says is not known after that, nor what else is wrong in a line.
        let mut told: Vec<Problem> = errors.iter().map(problem).collect();
        told.dedup_by_key(|problem| problem.line);
        return Err(told);
    }
    let in_order = |mut problems: Vec<Problem>| {
        problems.sort_by_key(|problem| problem.line);
        problems
    };
    let mut misshapen = shape::check(document.get_ref(), text, &schema());
    misshapen.extend(unread_rules(document.get_ref(), text));
    if !misshapen.is_empty() {
        return Err(in_order(misshapen));
    }
    // Values that have the right type and yet mean nothing.
    let profile: Profile = toml::from_str(text).map_err(|error| vec![problem(&error)])?;
    let problems = check::check(&profile, &Spots::of(document.get_ref(), text));
    if problems.is_empty() {
        Ok(profile)
    } else {
        Err(in_order(problems))
    }
}

/// The cron expressions that are none. serde would name neither the key nor the expression.
fn unread_rules(document: &DeTable<'_>, text: &str) -> Vec<Problem> {
    fn entry<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t Spanned<DeValue<'d>>> {
        let found = table.iter().find(|(key, _)| key.get_ref().as_ref() == name);
        found.map(|(_, value)| value)
    }
    let schedule = entry(document, "schedule").and_then(|value| value.get_ref().as_table());
    let rules = schedule.and_then(|table| entry(table, "cron")?.get_ref().as_array());
    let unread = |rule: &Spanned<DeValue<'_>>| {
        let written = rule.get_ref().as_str()?;
        let why = CronRule::try_from(written.to_owned()).err()?;
        Some(Problem {
            line: line_of(text, rule.span().start),
            key: "schedule.cron".to_owned(),
            message: format!(
                "\"{}\" is not a cron expression ({}); write one such as \"*/30 * * * *\"",
                shortened(written, LONGEST_SHOWN),
                why.trim_end_matches('.')
            ),
        })
    };
    rules.into_iter().flatten().filter_map(unread).collect()
}

/// The JSON schema of the format, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Profile).to_value()
}
