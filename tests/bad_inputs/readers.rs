//! How each kind of input is read, as the program reads it: in English, with the folder of the test left out.

use std::path::Path;

use nqsync::adapter::notify::Channels;
use nqsync::adapter::{edxml, profile};
use nqsync::api::Lang;
use nqsync::config;
use nqsync::node::receive;
use nqsync::sheet::{Limits, Parser, Remark, Severity, Table, read_plan, records};
use nqsync::text;
use nqsync::trust::{certificate, token};
use nqsync_core::protocol::bundle::{EnvelopeError, Manifest, frame};
use nqsync_core::protocol::enrolment::{Answered, Asked};
use nqsync_core::protocol::{
    Ack, Agree, Compare, EnrolRequest, Hello, Pull, RenewRequest, parse_line,
};
use nqsync_core::sync::Edit;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::case::Case;

/// What became of an input.
#[derive(Debug, Default)]
pub struct Seen {
    /// The codes of all that was refused; empty: everything was taken.
    pub codes: Vec<String>,
    /// What was said.
    pub said: String,
    /// How many rows or lines were taken.
    pub kept: usize,
}

impl Seen {
    fn taken(kept: usize) -> Seen {
        Seen {
            kept,
            ..Seen::default()
        }
    }

    fn refused(code: &str, said: impl ToString) -> Seen {
        Seen {
            codes: vec![code.to_owned()],
            said: said.to_string(),
            kept: 0,
        }
    }
}

/// Reads a case.
pub type Reader = fn(&Case) -> Seen;

/// What is read in this process.
pub const PLAIN: &[(&str, Reader)] = &[
    ("config", configuration),
    ("variables", variables),
    ("schedules", schedules),
    ("regimes", regimes),
    ("profiles", profiles),
    ("notify", notify),
    ("batches", batches),
    ("records", lines),
    ("edits", edits),
    ("sessions", sessions),
    ("tokens", tokens),
    ("certificates", certificates),
    ("bundles", bundles),
    ("edxml", documents),
];

/// What a process of its own reads.
pub const TABLES: &[(&str, Reader)] = &[
    ("plans", plans),
    ("reports", reports),
    ("units", units),
    ("indicators", indicators),
];

/// The name of a value of a plain enumeration, as the program prints it.
fn name(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("a plain value");
    value.as_str().expect("a word").to_owned()
}

fn at<T>(folder: &tempfile::TempDir, file: &str, bytes: &[u8], read: impl Fn(&Path) -> T) -> T {
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).expect("room");
    read(&path)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn configured(
    bytes: &[u8],
    env: Vec<(String, String)>,
    set: &[(String, String)],
) -> Result<config::Loaded, Seen> {
    let folder = folder();
    let loaded = at(&folder, "config.toml", bytes, |path| {
        config::load(path, env.clone().into_iter(), set)
    });
    loaded.map_err(|errors| Seen {
        codes: errors.problems.iter().map(|p| name(p.fault)).collect(),
        said: errors
            .to_string()
            .replace(&format!("{}/", folder.path().display()), ""),
        kept: 0,
    })
}

fn configuration(case: &Case) -> Seen {
    let loaded = configured(&case.bytes, Vec::new(), &[]);
    loaded.map_or_else(|seen| seen, |_| Seen::taken(1))
}

/// Lines `NAME=VALUE` of the environment and `--set KEY=VALUE` of the command line, over a good file.
fn variables(case: &Case) -> Seen {
    let text = std::str::from_utf8(&case.bytes).expect("text");
    let (mut env, mut set) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let pair = |text: &str| {
            let (name, value) = text.split_once('=').expect("a pair");
            (name.to_owned(), value.to_owned())
        };
        match line.strip_prefix("--set ") {
            Some(rest) => set.push(pair(rest)),
            None => env.push(pair(line)),
        }
    }
    let good = b"[node]\nunit = \"00123\"\nlevel = \"commune\"\n";
    let loaded = configured(good, env, &set);
    loaded.map_or_else(|seen| seen, |_| Seen::taken(1))
}

fn in_a_list(case: &Case, key: &str) -> Seen {
    let text = std::str::from_utf8(&case.bytes).expect("text");
    let (section, _) = key.split_once('.').expect("a key");
    let (_, key) = key.split_once('.').expect("a key");
    let items: Vec<&str> = text.lines().collect();
    let list = toml::Value::from(items);
    let file =
        format!("[node]\nunit = \"00123\"\nlevel = \"commune\"\n[{section}]\n{key} = {list}\n");
    let loaded = configured(file.as_bytes(), Vec::new(), &[]);
    loaded.map_or_else(|seen| seen, |_| Seen::taken(1))
}

/// A cron expression a line.
fn schedules(case: &Case) -> Seen {
    in_a_list(case, "sync.schedule")
}

/// A regime a line.
fn regimes(case: &Case) -> Seen {
    in_a_list(case, "reporting.regimes")
}

/// The codes are the keys.
fn profiles(case: &Case) -> Seen {
    let folder = folder();
    match at(&folder, "tracker.toml", &case.bytes, profile::load) {
        Ok(_) => Seen::taken(1),
        Err(errors) => Seen {
            codes: errors
                .problems
                .iter()
                .map(|problem| match problem.key.as_str() {
                    "" => "file".to_owned(),
                    key => key.to_owned(),
                })
                .collect(),
            said: errors
                .to_string()
                .replace(&format!("{}/", folder.path().display()), ""),
            kept: 0,
        },
    }
}

fn notify(case: &Case) -> Seen {
    let folder = folder();
    match at(&folder, "notify.toml", &case.bytes, Channels::load) {
        Ok(Some(_)) => Seen::taken(1),
        Ok(None) => unreachable!("the file is there"),
        Err(why) => Seen::refused(
            "refused",
            why.replace(&format!("{}/", folder.path().display()), ""),
        ),
    }
}

/// A table as `import` reads it: by a process of its own.
pub fn table(file: &str, sheet: Option<&str>, bytes: &[u8]) -> Result<Table, Seen> {
    let folder = folder();
    let parser = Parser::Program(env!("CARGO_BIN_EXE_nqsync").into());
    let table = at(&folder, file, bytes, |path| {
        parser.parse(path, sheet, &Limits::default())
    });
    table.map_err(|error| Seen::refused("cannot_read", error))
}

/// What was refused of a table, in the words that `import` shows beside file, row and column.
fn refusals(remarks: &[Remark], kept: usize) -> Seen {
    let mut seen = Seen::taken(kept);
    for remark in remarks.iter().filter(|r| r.severity == Severity::Refused) {
        let code = name(remark.code);
        let key = format!("word-remark-{}", code.replace('_', "-"));
        let words = |lang| text::text(lang, &key, &[("found", &remark.found)]);
        for lang in [Lang::Vi, Lang::En] {
            assert_ne!(words(lang), key, "a sentence in both languages");
        }
        seen.codes.push(code);
        seen.said += &remark.file;
        seen.said += &remark
            .row
            .map_or_else(String::new, |row| format!(", row {row}"));
        seen.said += &remark
            .column
            .as_ref()
            .map_or_else(String::new, |column| format!(", column {column}"));
        seen.said += &format!(": {}\n", words(Lang::En));
    }
    seen
}

/// The rows of a table as one of the kinds of import takes them.
pub fn rows(kind: &str, table: &Table) -> Seen {
    let known = |name: &str| name.starts_with("Phòng");
    match kind {
        "plans" => {
            let read = read_plan(table, &known);
            refusals(&read.remarks, read.rows.len())
        }
        "reports" => {
            let read = records::read_reports(table);
            refusals(&read.remarks, read.rows.len())
        }
        "units" => {
            let read = records::read_units(table);
            refusals(&read.remarks, read.rows.len())
        }
        "indicators" => {
            let read = records::read_indicators(table);
            refusals(&read.remarks, read.rows.len())
        }
        other => panic!("there is no kind {other}"),
    }
}

fn csv(kind: &str, case: &Case) -> Seen {
    let file = match case.more("file") {
        "" => "bang.csv",
        file => file,
    };
    match table(file, None, &case.bytes) {
        Ok(table) => rows(kind, &table),
        Err(seen) => seen,
    }
}

fn plans(case: &Case) -> Seen {
    csv("plans", case)
}

fn reports(case: &Case) -> Seen {
    csv("reports", case)
}

fn units(case: &Case) -> Seen {
    csv("units", case)
}

fn indicators(case: &Case) -> Seen {
    csv("indicators", case)
}

const BATCH: usize = 1 << 20;
const RECORD: usize = 64 << 10;

/// The body of a batch as it comes from the line.
fn batches(case: &Case) -> Seen {
    let packed = match case.more("packed") {
        "" => case.bytes.clone(),
        _ => zstd::bulk::compress(&case.bytes, 1).expect("in memory"),
    };
    match receive::decode(&packed, BATCH, RECORD) {
        Ok(lines) => Seen::taken(lines.len()),
        Err(refused) => Seen::refused(&refused.code, refused.message),
    }
}

/// Lines of a batch: each by itself.
fn lines(case: &Case) -> Seen {
    let text = std::str::from_utf8(&case.bytes).expect("text");
    let mut seen = Seen::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match parse_line(line) {
            Ok(_) => seen.kept += 1,
            Err(bad) => {
                seen.codes.push(bad.code.to_owned());
                let id = bad.id.map_or_else(String::new, |id| id.to_string());
                seen.said += &format!("{} {id}: {}\n", bad.kind, bad.reason);
            }
        }
    }
    seen
}

fn edits(case: &Case) -> Seen {
    match Edit::parse(std::str::from_utf8(&case.bytes).expect("text").trim()) {
        Ok(_) => Seen::taken(1),
        Err(error) => Seen::refused("unreadable", error),
    }
}

/// A message of a session; which one stands in `message`.
fn sessions(case: &Case) -> Seen {
    fn read<T: DeserializeOwned>(case: &Case) -> Seen {
        match serde_json::from_slice::<T>(&case.bytes) {
            Ok(_) => Seen::taken(1),
            Err(error) => Seen::refused("unreadable", error),
        }
    }
    match case.more("message") {
        "open" => read::<Hello>(case),
        "pull" => read::<Pull>(case),
        "ack" => read::<Ack>(case),
        "agree" => read::<Agree>(case),
        "compare" => read::<Compare>(case),
        "enrol" => read::<EnrolRequest>(case),
        "renew" => read::<RenewRequest>(case),
        "asked" => read::<Asked>(case),
        "answered" => read::<Answered>(case),
        "manifest" => read::<Manifest>(case),
        other => panic!("there is no message {other}"),
    }
}

fn tokens(case: &Case) -> Seen {
    use token::TokenTextError::{Damaged, NotAToken, Version};
    // What it says is packed by the test, so that it can be read here.
    let text = match case.more("inside") {
        "" => String::from_utf8(case.bytes.clone()).expect("text"),
        _ => {
            use base64::Engine as _;
            let inside = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&case.bytes);
            format!("{}{inside}", token::TOKEN_PREFIX)
        }
    };
    match token::parse(&text) {
        Ok(_) => Seen::taken(1),
        Err(error) => {
            let code = match &error {
                NotAToken => "not_a_token",
                Damaged(_) => "damaged",
                Version { .. } => "version",
            };
            Seen::refused(code, error)
        }
    }
}

fn certificates(case: &Case) -> Seen {
    let folder = folder();
    match at(&folder, "ca.pem", &case.bytes, certificate::load_chain) {
        Ok(chain) => Seen::taken(chain.len()),
        Err(error) => Seen::refused("damaged", error),
    }
}

/// The envelope of a bundle.
fn bundles(case: &Case) -> Seen {
    let read = frame(&case.bytes).and_then(|framed| framed.header());
    match read {
        Ok(_) => Seen::taken(1),
        Err(error) => {
            let code = match &error {
                EnvelopeError::Frame => "frame",
                EnvelopeError::Version => "version",
                EnvelopeError::Header(_) => "header",
            };
            Seen::refused(code, error)
        }
    }
}

fn documents(case: &Case) -> Seen {
    match edxml::read(&String::from_utf8_lossy(&case.bytes)) {
        Ok(_) => Seen::taken(1),
        Err(why) => Seen::refused("refused", why),
    }
}
