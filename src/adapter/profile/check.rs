//! What keys and types alone do not show: names that point to nothing, keys that contradict each other.

use std::collections::BTreeSet;

use jiff::civil::Date;
use nqsync_core::model::values::Status;
use serde_json::{Value, json};

use super::spots::Spots;
use super::{Direction, EngineKind, Field, MappingTest, Problem, Profile, Stream, StreamKind};
use crate::adapter::ours::{own_fields, register_of};
use crate::config::keys::nearest;

/// The format this program reads.
const FORMAT: u32 = 1;
/// Named ways to write a date; anything else is a pattern with `%`.
pub const DATES: [&str; 5] = ["dd/mm/yyyy", "iso", "month", "epoch", "epoch_ms"];
/// Ways to write a number.
pub const NUMBERS: [&str; 2] = ["plain", "vietnamese"];

/// Everything that is wrong with a profile whose keys and types are right.
pub fn check(profile: &Profile, spots: &Spots) -> Vec<Problem> {
    let mut checks = Checks {
        spots,
        found: Vec::new(),
    };
    if profile.format != FORMAT {
        let message = format!("is {}; this program reads format {FORMAT}", profile.format);
        checks.add(&["format"], "format".into(), message);
    }
    for (key, share) in [
        ("share", profile.brake.share),
        ("shrink", profile.brake.shrink),
    ] {
        if !(0.0..=1.0).contains(&share) {
            let message = format!("is {share}; a share is 0 to 1");
            checks.add(&["brake", key], format!("brake.{key}"), message);
        }
    }
    for (key, message) in profile.email.iter().flat_map(|email| email.check()) {
        checks.add(&["email", key], format!("email.{key}"), message);
    }
    if let Some((key, message)) = profile.http.as_ref().and_then(|http| http.check()) {
        checks.add(&["http", key], format!("http.{key}"), message.to_owned());
    }
    if profile.streams.is_empty() {
        let message = "is missing: without a [[stream]] nothing is exchanged";
        checks.add(&[], "stream".into(), message.into());
    }
    let mut names = BTreeSet::new();
    for (number, stream) in profile.streams.iter().enumerate() {
        let number = number.to_string();
        if !names.insert(stream.name.as_str()) {
            let message = "stands twice; each stream has a name of its own";
            let path = ["stream", &number, "name"];
            checks.add(&path, format!("stream.{}", stream.name), message.into());
        }
        checks.stream(profile, stream, &number);
    }
    let maps = profile
        .streams
        .iter()
        .any(|stream| stream.workbook.is_none());
    if profile.enabled && maps && profile.tests.is_empty() {
        let message =
            "is true, but there is no [[test]]; write one, and see it pass by nqsync adapter test";
        checks.add(&["enabled"], "enabled".into(), message.into());
    }
    let mut tests = BTreeSet::new();
    for (number, test) in profile.tests.iter().enumerate() {
        let number = number.to_string();
        if !tests.insert(test.name.as_str()) {
            let message = "stands twice; each test has a name of its own";
            let path = ["test", &number, "name"];
            checks.add(&path, format!("test.{}", test.name), message.into());
        }
        checks.test(test, &names, &number);
    }
    checks.found
}

/// Collects problems with the lines they are in.
struct Checks<'s> {
    spots: &'s Spots,
    found: Vec<Problem>,
}

impl Checks<'_> {
    fn add(&mut self, path: &[&str], key: String, message: String) {
        let line = self.spots.line(path);
        self.found.push(Problem { line, key, message });
    }

    fn stream(&mut self, profile: &Profile, stream: &Stream, number: &str) {
        let add = |checks: &mut Self, rest: &[&str], message: &str| {
            let path: Vec<&str> = ["stream", number].iter().chain(rest).copied().collect();
            let key = format!("stream.{}.{}", stream.name, rest.join("."));
            checks.add(&path, key, message.to_owned());
        };
        if !is_name(&stream.name) {
            let message = "is a word of letters, digits, - and _";
            add(self, &["name"], message);
        }
        if stream.workbook.is_some() {
            for (key, message) in of_workbook(profile, stream) {
                add(self, &[key], message);
            }
            return;
        }
        if profile.engine == EngineKind::Email {
            add(
                self,
                &["workbook"],
                "is missing: by mail only whole workbooks go out; write [stream.workbook]",
            );
        }
        for (rest, jq) in [
            (&["key", "ours"], &stream.key.ours),
            (&["key", "theirs"], &stream.key.theirs),
        ] {
            if jq.trim().is_empty() {
                add(self, rest, "is empty; write jq that gives the key");
            }
        }
        if stream.fields.is_empty() {
            add(self, &["fields"], "is empty; name at least one field");
        }
        for (key, message) in stream.tabular.iter().flat_map(|tabular| tabular.check()) {
            let path: Vec<&str> = ["tabular"].into_iter().chain(key.split('.')).collect();
            add(self, &path, &message);
        }
        for (name, field) in &stream.fields {
            for (key, message) in of_field(profile, stream, name, field) {
                match key {
                    "" => add(self, &["fields", name], &message),
                    key => add(self, &["fields", name, key], &message),
                }
            }
        }
    }

    fn test(&mut self, test: &MappingTest, streams: &BTreeSet<&str>, number: &str) {
        let mut add = |key: &str, message: String| {
            let path = ["test", number, key];
            self.add(&path, format!("test.{}.{key}", test.name), message);
        };
        if !streams.contains(test.stream.as_str()) {
            let known: Vec<&str> = streams.iter().copied().collect();
            let message = format!("is \"{}\"; there are {}", test.stream, known.join(", "));
            add("stream", message);
        }
        match (&test.theirs, &test.ours) {
            (None, None) => add("theirs", "is missing; write theirs or ours".into()),
            (Some(_), Some(_)) => {
                add("ours", "stands beside theirs; make two tests of it".into());
            }
            _ => {}
        }
        for (key, text) in [
            ("theirs", test.theirs.as_deref()),
            ("ours", test.ours.as_deref()),
            ("expect", Some(test.expect.as_str())),
        ] {
            if let Some(Err(error)) = text.map(serde_json::from_str::<Value>) {
                add(key, format!("is no JSON: {error}"));
            }
        }
    }
}

/// What is wrong with a stream of workbooks: the key, and the message.
fn of_workbook(profile: &Profile, stream: &Stream) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let carries = [EngineKind::Tabular, EngineKind::Email, EngineKind::Edxml];
    if !carries.contains(&profile.engine) {
        found.push((
            "workbook",
            "needs engine = \"tabular\", \"email\" or \"edxml\"",
        ));
    }
    let kinds = [
        StreamKind::Progress,
        StreamKind::Tasks,
        StreamKind::Indicators,
    ];
    if !kinds.contains(&stream.kind) {
        found.push((
            "kind",
            "has no workbook; write progress, tasks or indicators",
        ));
    }
    if !stream.fields.is_empty() {
        found.push((
            "fields",
            "stands beside workbook, which has all fields; take it away",
        ));
    }
    if stream.tabular.is_some() {
        found.push((
            "tabular",
            "stands beside workbook; a stream is one or the other",
        ));
    }
    found
}

/// What is wrong with a field: the key, and the message.
fn of_field(
    profile: &Profile,
    stream: &Stream,
    name: &str,
    field: &Field,
) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let own = register_of(stream.kind, name).is_some();
    if !own && field.ours.is_none() {
        let known: Vec<&str> = own_fields(stream.kind)
            .iter()
            .map(|(name, _)| *name)
            .collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("own fields are {}", known.join(", ")),
        };
        let message = format!(
            "is no field of a stream of kind {}; {hint} What is computed from others needs the key `ours`",
            word(stream.kind)
        );
        found.push(("", message));
    }
    let writes_here = matches!(field.direction, Direction::Both | Direction::In);
    if field.ours.is_some() && writes_here {
        let message =
            "is computed and cannot be written here; write direction = \"out\" or \"propose\"";
        found.push(("ours", message.into()));
    }
    let outwards = matches!(field.direction, Direction::Out | Direction::Offer);
    if stream.kind == StreamKind::Texts && !outwards {
        let message = "belongs to a stream of texts, which only go out; write direction = \"offer\" or \"out\"";
        found.push(("direction", message.into()));
    }
    if field.direction == Direction::Propose {
        let wishable = crate::node::commands::fields::Field::parse(name).is_ok();
        if stream.kind != StreamKind::Progress || !wishable {
            let message = "cannot be \"propose\" here; only fields of a task can, in a stream of kind progress";
            found.push(("direction", message.into()));
        }
    }
    if field.theirs.is_none() && field.direction != Direction::Out {
        let message =
            "has no `theirs`, so that its value there cannot be read; write direction = \"out\"";
        found.push(("", message.into()));
    }
    found.extend(of_conversion(profile, stream, name, field));
    found
}

fn of_conversion(
    profile: &Profile,
    stream: &Stream,
    name: &str,
    field: &Field,
) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let given = [
        ("dictionary", field.dictionary.is_some()),
        ("date", field.date.is_some()),
        ("number", field.number.is_some()),
        ("html", field.html),
        ("units", field.units),
    ];
    let given: Vec<&'static str> = given
        .iter()
        .filter(|(_, on)| *on)
        .map(|(key, _)| *key)
        .collect();
    if let [first, second, ..] = given[..] {
        found.push((
            second,
            format!("stands beside {first}; a field has one notation"),
        ));
    }
    match field
        .dictionary
        .as_ref()
        .map(|name| (name, profile.dictionary.get(name)))
    {
        Some((named, None)) => {
            let known: Vec<&str> = profile.dictionary.keys().map(String::as_str).collect();
            let hint = match nearest(named, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if known.is_empty() => format!("there is none; write [dictionary.{named}]"),
                None => format!("there are {}", known.join(", ")),
            };
            found.push((
                "dictionary",
                format!("names \"{named}\", which is not there; {hint}"),
            ));
        }
        Some((named, Some(words))) if name == "status" && stream.kind == StreamKind::Progress => {
            for (theirs, ours) in &words.0 {
                if serde_json::from_value::<Status>(json!(ours)).is_err() {
                    found.push(("dictionary", format!(
                        "names \"{named}\", in which \"{theirs}\" = \"{ours}\" is no status of ours; those are {}",
                        statuses().join(", ")
                    )));
                }
            }
        }
        _ => {}
    }
    if let Some(date) = field.date.as_deref().filter(|date| !DATES.contains(date)) {
        let message = match date.contains('%') {
            false => Some(String::new()),
            true => unreadable_pattern(date),
        };
        if let Some(why) = message {
            let known = DATES.join(", ");
            found.push(("date", format!(
                "is \"{date}\"{why}; write one of {known}, or a strftime pattern such as \"%d-%m-%Y\""
            )));
        }
    }
    if let Some(number) = field
        .number
        .as_deref()
        .filter(|number| !NUMBERS.contains(number))
    {
        let known = NUMBERS.join(" or ");
        found.push(("number", format!("is \"{number}\"; write {known}")));
    }
    found
}

/// Why a pattern cannot carry a day there and back.
fn unreadable_pattern(pattern: &str) -> Option<String> {
    let day = Date::constant(2026, 3, 14);
    let written = jiff::fmt::strtime::format(pattern, day);
    match written.map(|text| Date::strptime(pattern, &text)) {
        Ok(Ok(read)) if read == day => None,
        Ok(Ok(_)) => Some(", which does not tell day, month and year".to_owned()),
        Ok(Err(error)) | Err(error) => Some(format!(", which cannot be read back: {error}")),
    }
}

/// The words of a report's status.
pub fn statuses() -> Vec<String> {
    let all = [
        Status::NotStarted,
        Status::InProgress,
        Status::AwaitingCorrection,
        Status::Continuing,
        Status::Completed,
        Status::Cancelled,
    ];
    all.iter()
        .filter_map(|status| json!(status).as_str().map(str::to_owned))
        .collect()
}

fn word(kind: StreamKind) -> String {
    json!(kind).as_str().unwrap_or_default().to_owned()
}

fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(good)
}
