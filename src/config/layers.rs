//! Collects what was written in the file, the environment and the flags, each value with where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

use super::check::{self, Misfit};
use super::keys::{self, KEYS, Key, SECTIONS, nearest};
use super::problem::{Fault, Place, Problem};

/// One value that was written, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// In its one stored form: sizes in bytes, paths absolute.
    pub value: Value,
    /// Where it was written.
    pub place: Place,
}

/// A key of the table by section and name.
pub type KeyId = (&'static str, &'static str);

/// What all layers say together. A later layer replaces what an earlier one said.
#[derive(Default)]
pub struct Layers {
    pub values: BTreeMap<KeyId, Written>,
    /// Sections that are written, be it only their header, and where first.
    pub sections: BTreeMap<&'static str, Place>,
    pub problems: Vec<Problem>,
    /// Keys that were written but did not fit: they are not missing.
    pub refused: BTreeSet<KeyId>,
}

impl Layers {
    /// Reads the file's text.
    pub fn add_file(&mut self, file: &Path, text: &str) {
        let source = Source { file, text };
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut broken = BTreeSet::new();
        for error in &errors {
            let problem = source.syntax(error);
            // What follows from the first mistake of a line is not worth a message of its own.
            if let Place::File { line, .. } = problem.place
                && broken.insert(line)
            {
                self.problems.push(problem);
            }
        }
        let before = self.problems.len();
        for (section, body) in document.get_ref() {
            self.section(&source, section, body);
        }
        // A line that could not be read leaves a half value behind, and below a header that could not be read keys seem to
        // stand in no section: that is not worth a second message.
        let follows = |p: &Problem| {
            (!broken.is_empty() && p.fault == Fault::UnknownSection)
                || matches!(p.place, Place::File { line, .. } if broken.contains(&line))
        };
        let mut later = self.problems.split_off(before);
        later.retain(|p| !follows(p));
        self.problems.extend(later);
        self.problems.sort_by_key(|p| match p.place {
            Place::File { line, column, .. } => (line, column),
            _ => (usize::MAX, 0),
        });
    }

    fn section(
        &mut self,
        source: &Source<'_>,
        name: &Spanned<toml::de::DeString<'_>>,
        body: &Spanned<DeValue<'_>>,
    ) {
        let written = name.get_ref().as_ref();
        let Some((section, _)) = SECTIONS.iter().find(|(s, _)| *s == written) else {
            self.problems.push(unknown_section(
                source.place(name.span()),
                written,
                body.get_ref(),
            ));
            return;
        };
        self.sections.insert(section, source.place(name.span()));
        let Some(table) = body.get_ref().as_table() else {
            self.problems.push(Problem {
                place: source.place(body.span()),
                key: written.into(),
                fault: Fault::WrongType,
                found: Some(source.slice(body.span())),
                message: "is not a section".into(),
                expected: format!("write [{written}] and its keys below"),
            });
            return;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match keys::find(section, name) {
                None => self
                    .problems
                    .push(unknown_key(source.place(key.span()), section, name)),
                Some(known) => {
                    let checked =
                        check::check(known, &plain(value.get_ref()), &source.slice(value.span()));
                    self.take(known, checked, source.place(value.span()));
                }
            }
        }
    }

    /// Reads the environment. Variables that are none of ours are left alone; one that nearly is, is a mistake.
    pub fn add_env(&mut self, env: impl Iterator<Item = (String, String)>) {
        let mut env: Vec<_> = env
            .filter(|(name, value)| name.starts_with("NQSYNC_") && !value.is_empty())
            .collect();
        env.sort();
        for (variable, text) in env {
            let place = Place::Env {
                variable: variable.clone(),
            };
            if let Some(key) = KEYS.iter().find(|k| k.variable() == variable) {
                self.take_text(key, &text, place);
            } else if let Some(problem) = unknown_variable(&variable, place) {
                self.problems.push(problem);
            }
        }
    }

    /// Reads the flags: `section.key` and its value.
    pub fn add_overrides(&mut self, overrides: &[(String, String)]) {
        for (path, text) in overrides {
            let place = Place::Flag {
                flag: format!("--set {path}"),
            };
            let (section, name) = path.split_once('.').unwrap_or((path, ""));
            match keys::find(section, name) {
                Some(key) => self.take_text(key, text, place),
                None if keys::is_section(section) => {
                    self.problems.push(unknown_key(place, section, name))
                }
                None => self.problems.push(unknown_path(place, path)),
            }
        }
    }

    fn take_text(&mut self, key: &'static Key, text: &str, place: Place) {
        let written = check::quoted(text);
        let checked =
            check::value_of_text(key, text).and_then(|value| check::check(key, &value, &written));
        self.take(key, checked, place);
    }

    fn take(&mut self, key: &'static Key, checked: Result<Value, Misfit>, place: Place) {
        let id = (key.section, key.name);
        self.sections
            .entry(key.section)
            .or_insert_with(|| place.clone());
        match checked {
            Ok(value) => {
                self.values.insert(id, Written { value, place });
            }
            Err(misfit) => {
                self.refused.insert(id);
                self.problems.push(Problem {
                    place,
                    key: key.path(),
                    fault: misfit.fault,
                    found: Some(misfit.found).filter(|f| !f.is_empty()),
                    message: misfit.message,
                    expected: misfit.expected,
                });
            }
        }
    }
}

/// The text of the file, to turn spans into lines.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let (line, column) = self.position(span.start);
        Place::File {
            file: self.file.to_owned(),
            line,
            column,
        }
    }

    /// Line and column of a byte, both from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// What was written there, on one line and cut short.
    fn slice(&self, span: Range<usize>) -> String {
        const LONGEST: usize = 120;
        let text = self.text.get(span).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let short: String = line
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST)
            .collect();
        if short.len() < text.len() {
            short + "…"
        } else {
            short
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or(0..0);
        let (line, _) = self.position(span.start);
        let text = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        let writes_unit = text
            .strip_prefix("unit")
            .is_some_and(|rest| rest.trim_start().starts_with('='));
        Problem {
            place: self.place(span),
            key: if writes_unit {
                "node.unit".into()
            } else {
                String::new()
            },
            fault: Fault::Syntax,
            found: None,
            message: format!(
                "cannot be read as TOML: {}",
                error.message().replace('\n', " ")
            ),
            expected: match writes_unit {
                true => "a unit code is text: write it in quotes, unit = \"00123\"".into(),
                false => String::new(),
            },
        }
    }
}

/// The value without its spans. What no TOML value can be (a number out of range, what the parser left of half a time) is
/// put as something that no key takes.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) if time.date.is_none() && time.time.is_none() => {
            Value::Float(f64::NAN)
        }
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| plain(item.get_ref())).collect())
        }
        DeValue::Table(table) => Value::Table(
            table
                .iter()
                .map(|(k, v)| (k.get_ref().to_string(), plain(v.get_ref())))
                .collect(),
        ),
    }
}

fn unknown_section(place: Place, name: &str, body: &DeValue<'_>) -> Problem {
    // A key above the first section header is a common slip: say where it belongs.
    let expected = if let Some(key) = KEYS
        .iter()
        .find(|k| k.name == name && body.as_table().is_none())
    {
        format!("{name} belongs under [{}]", key.section)
    } else if let Some(near) = nearest(name, SECTIONS.iter().map(|(s, _)| *s)) {
        format!("did you mean [{near}]?")
    } else {
        let list: Vec<_> = SECTIONS.iter().map(|(s, _)| format!("[{s}]")).collect();
        format!("sections are {}", list.join(", "))
    };
    let message = "is not known".into();
    Problem {
        place,
        key: name.into(),
        fault: Fault::UnknownSection,
        found: None,
        message,
        expected,
    }
}

fn unknown_key(place: Place, section: &str, name: &str) -> Problem {
    let in_section = || KEYS.iter().filter(|k| k.section == section).map(|k| k.name);
    let looks_secret = ["password", "token", "secret", "credential"]
        .iter()
        .any(|w| name.contains(w));
    let expected = if looks_secret {
        "secrets never stand in this file; they come from files or systemd credentials".to_owned()
    } else if let Some(near) =
        nearest(name, in_section()).or_else(|| same_but_unit(name, in_section()))
    {
        format!("did you mean {section}.{near}?")
    } else if let Some(elsewhere) = KEYS.iter().find(|k| k.name == name) {
        format!("{name} belongs under [{}]", elsewhere.section)
    } else {
        format!(
            "keys of [{section}] are {}",
            in_section().collect::<Vec<_>>().join(", ")
        )
    };
    let key = format!("{section}.{name}");
    Problem {
        place,
        key,
        fault: Fault::UnknownKey,
        found: None,
        message: "is not known".into(),
        expected,
    }
}

/// `debounce_s` for `debounce_ms`, or `batch_mb` for `batch_bytes`: the right key with another unit.
fn same_but_unit<'a>(name: &str, mut candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let stem = |n: &str| {
        n.rsplit_once('_')
            .map_or_else(|| n.to_owned(), |(stem, _)| stem.to_owned())
    };
    candidates.find(|c| stem(c) == stem(name) || stem(c) == name)
}

fn unknown_variable(variable: &str, place: Place) -> Option<Problem> {
    let names: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let near = nearest(variable, names.iter().map(String::as_str))
        .filter(|n| strsim::levenshtein(n, variable) <= 2);
    let in_section = SECTIONS
        .iter()
        .find(|(section, _)| variable.starts_with(&format!("NQSYNC_{}_", section.to_uppercase())));
    let expected = match (near, in_section) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, Some((section, _))) => {
            let names: Vec<_> = KEYS
                .iter()
                .filter(|k| k.section == *section)
                .map(|k| k.variable())
                .collect();
            format!("known are {}", names.join(", "))
        }
        (None, None) => return None,
    };
    let message = "stands for no key".into();
    Some(Problem {
        place,
        key: String::new(),
        fault: Fault::UnknownKey,
        found: None,
        message,
        expected,
    })
}

fn unknown_path(place: Place, path: &str) -> Problem {
    let paths: Vec<String> = KEYS.iter().map(Key::path).collect();
    let expected = match nearest(path, paths.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "write section.key=value, such as sync.debounce_ms=500".into(),
    };
    let message = "is not known".into();
    Problem {
        place,
        key: path.into(),
        fault: Fault::UnknownKey,
        found: None,
        message,
        expected,
    }
}
