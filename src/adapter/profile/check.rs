//! What the types alone do not see: names that point to nothing, keys that contradict each other.

use std::collections::BTreeSet;

use super::{Direction, Problem, Profile, Stream, StreamKind};
use crate::adapter::ours::register_of;

/// The format this program reads.
const FORMAT: u32 = 1;
/// Named ways to write a date; anything else is a pattern with `%`.
const DATES: [&str; 4] = ["dd/mm/yyyy", "iso", "month", "epoch"];

/// The line, from 1, that a byte is in.
pub fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

/// Collects problems with the lines they are in.
struct Checks<'t> {
    text: &'t str,
    found: Vec<Problem>,
}

impl Checks<'_> {
    /// `word`: a text that stands in the line that is meant.
    fn add(&mut self, key: String, word: &str, message: String) {
        let quoted = self.text.find(&format!("\"{word}\""));
        let at = quoted.or_else(|| self.text.find(word));
        let line = at.map_or(0, |byte| line_of(self.text, byte));
        self.found.push(Problem { line, key, message });
    }
}

/// Everything that is wrong with a profile whose types are right.
pub fn check(profile: &Profile, text: &str) -> Vec<Problem> {
    let mut checks = Checks {
        text,
        found: Vec::new(),
    };
    if profile.format != FORMAT {
        let message = format!("is {}; this program reads format {FORMAT}", profile.format);
        checks.add("format".into(), "format", message);
    }
    for (key, share) in [
        ("share", profile.brake.share),
        ("shrink", profile.brake.shrink),
    ] {
        if !(0.0..=1.0).contains(&share) {
            checks.add(
                format!("brake.{key}"),
                key,
                format!("is {share}; a share is 0 to 1"),
            );
        }
    }
    let mut names = BTreeSet::new();
    for stream in &profile.streams {
        if !names.insert(&stream.name) {
            let key = format!("stream.{}", stream.name);
            checks.add(
                key,
                &stream.name,
                "stands twice; each stream has a name of its own".into(),
            );
        }
        check_stream(profile, stream, &mut checks);
    }
    for test in &profile.tests {
        let key = format!("test.{}", test.name);
        if !names.contains(&test.stream) {
            let message = format!("names the stream {}, which is not there", test.stream);
            checks.add(key.clone(), &test.name, message);
        }
        if test.theirs.is_some() == test.ours.is_some() {
            checks.add(key, &test.name, "needs either theirs or ours".into());
        }
    }
    checks.found
}

fn check_stream(profile: &Profile, stream: &Stream, checks: &mut Checks<'_>) {
    for (name, field) in &stream.fields {
        let key = |part: &str| format!("stream.{}.fields.{name}{part}", stream.name);
        let own = register_of(stream.kind, name).is_some();
        let proposed = field.direction == Direction::Propose;
        if !own && field.ours.is_none() {
            let known: Vec<&str> = crate::adapter::ours::own_fields(stream.kind)
                .iter()
                .map(|(name, _)| *name)
                .collect();
            let message = format!(
                "is none of the stream's own fields ({}); say by `ours` where its value comes from",
                known.join(", ")
            );
            checks.add(key(""), name, message);
        }
        if field.ours.is_some() && matches!(field.direction, Direction::Both | Direction::In) {
            let message = "is computed by `ours` and cannot be written here; say direction = \"out\" or \"propose\"";
            checks.add(key(".direction"), name, message.into());
        }
        let wishable = || crate::node::commands::fields::Field::parse(name).is_ok();
        if proposed && (stream.kind != StreamKind::Progress || !wishable()) {
            let message =
                "cannot be proposed; only fields of a task can, in a stream of kind progress"
                    .to_owned();
            checks.add(key(".direction"), name, message);
        }
        if field.theirs.is_none() && field.direction != Direction::Out {
            let message =
                "has no `theirs`, so what is there cannot be read; say direction = \"out\"";
            checks.add(key(".theirs"), name, message.into());
        }
        if let Some(dictionary) = field
            .dictionary
            .as_ref()
            .filter(|d| !profile.dictionary.contains_key(*d))
        {
            let known: Vec<&str> = profile.dictionary.keys().map(String::as_str).collect();
            let message = format!(
                "names {dictionary}, which is not there; there are: {}",
                known.join(", ")
            );
            checks.add(key(".dictionary"), dictionary, message);
        }
        if let Some(date) = field
            .date
            .as_ref()
            .filter(|d| !DATES.contains(&d.as_str()) && !d.contains('%'))
        {
            let message = format!(
                "is \"{date}\"; write one of {} or a pattern with %",
                DATES.join(", ")
            );
            checks.add(key(".date"), date, message);
        }
        if let Some(number) = field
            .number
            .as_ref()
            .filter(|n| !["plain", "vietnamese"].contains(&n.as_str()))
        {
            let message = format!("is \"{number}\"; write plain or vietnamese");
            checks.add(key(".number"), number, message);
        }
    }
}
