//! The examples in `docs/protocol.md` are computed again, so that the document cannot drift from the program.

use nqsync_core::model::{Facts, Key, Kind};
use nqsync_core::protocol::{
    Ack, Agreement, EnrolRequest, Enrolled, Hello, Line, Pull, Refused, Welcome, bundle, enrolment,
    parse_line, render_record, running_hash, unhex,
};
use nqsync_core::sync::{Edit, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const PAGE: &str = include_str!("../../docs/protocol.md");

/// The fenced block with this name, after `json` or `text`.
fn block(name: &str) -> &'static str {
    let named = |line: &str| {
        line.strip_prefix("```")
            .and_then(|info| info.split_once(' '))
            .is_some_and(|(_, found)| found == name)
    };
    let start = PAGE
        .lines()
        .find(|line| named(line))
        .unwrap_or_else(|| panic!("no block {name:?} in docs/protocol.md"));
    let at = start.as_ptr() as usize - PAGE.as_ptr() as usize + start.len() + 1;
    let body = &PAGE[at..];
    body[..body.find("\n```").expect("an end")].trim()
}

fn record(name: &str) -> Record {
    match parse_line(block(name)) {
        Ok(Line::Record(record)) => record,
        other => panic!("{name}: {other:?}"),
    }
}

fn survives<T: Serialize + DeserializeOwned>(name: &str) {
    let shown: Value = serde_json::from_str(block(name)).expect(name);
    let read: T = serde_json::from_str(block(name)).expect(name);
    assert_eq!(serde_json::to_value(read).expect(name), shown, "{name}");
}

#[test]
fn every_message_shown_is_read_and_written_back_the_same() {
    survives::<Refused>("refused");
    survives::<Hello>("hello");
    survives::<Welcome>("welcome");
    survives::<Ack>("ack");
    survives::<Pull>("pull");
    survives::<Agreement>("agreement");
    survives::<EnrolRequest>("enrol");
    let enrolled: Enrolled = serde_json::from_str(block("enrolled")).expect("an enrolment");
    let units = enrolled.units.iter().map(|line| parse_line(line.get()));
    assert_eq!(units.filter(Result::is_ok).count(), 1);
}

#[test]
fn the_records_shown_have_the_digests_shown() {
    for (name, digest) in [("task", "task-digest"), ("report", "report-digest")] {
        let record = record(name);
        assert_eq!(render_record(&record), block(name));
        assert_eq!(record.digest().to_string(), block(digest), "{name}");
    }
    let number = |name: &str| u128::from_str_radix(block(name), 16).expect("32 digits");
    let sum = number("task-digest") ^ number("report-digest");
    assert!(block("agreement").contains(&format!("{sum:032x}")));
}

#[test]
fn the_worked_example_joins_as_told_in_every_order() {
    let told = record("report");
    let single = |name: &str| {
        let edit = Edit::parse(block(name)).expect(name);
        Record::new(told.key(), told.facts_raw(), vec![edit]).expect(name)
    };
    let names = ["edit-hoa", "edit-minh", "edit-settling"];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut joined = single(names[order[0]]);
        for next in &order[1..] {
            joined.join(&single(names[*next])).expect("one record");
        }
        assert_eq!(render_record(&joined), block("report"), "{order:?}");
        assert!(joined.conflicts().is_empty());
    }
    let mut conflicting = single("edit-hoa");
    conflicting.join(&single("edit-minh")).expect("one record");
    assert_eq!(conflicting.conflicts(), ["progress"]);
    assert_eq!(
        conflicting.digest().to_string(),
        block("digest-in-conflict")
    );
}

#[test]
fn the_natural_ids_shown_follow_from_the_facts_shown() {
    let mut kinds = Vec::new();
    for line in block("natural-ids").lines() {
        let (kind, rest) = line.split_once(' ').expect("kind, facts, id");
        let (facts, id) = rest.rsplit_once(' ').expect("kind, facts, id");
        let kind: Kind = kind.parse().expect("a kind");
        let id: Uuid = id.parse().expect("an id");
        let read = Facts::parse(Key { kind, id }, facts).expect("facts that fit the id");
        assert_eq!(read.natural_id(), Some(id));
        kinds.push(kind);
    }
    assert_eq!(kinds.len(), 8, "every kind with a natural key: {kinds:?}");
}

#[test]
fn the_running_hash_shown_is_that_of_the_frame_shown() {
    let frame = unhex(&block("batch-frame").replace('\n', "")).expect("hexadecimal digits");
    let after = running_hash(&[0], 1, &frame);
    assert_eq!(nqsync_core::protocol::hex(&after), block("batch-hash"));
    for line in block("batch-lines").lines() {
        assert!(matches!(
            parse_line(line),
            Ok(Line::Left(_) | Line::Receipt(_))
        ));
    }
}

#[test]
fn the_request_shown_is_proved_by_the_token_shown() {
    survives::<enrolment::Asked>("enrolment-request");
    let asked: enrolment::Asked =
        serde_json::from_str(block("enrolment-request")).expect("a request");
    assert!(asked.is_under(&Sha256::digest([1; 32]).into()));
}

#[test]
fn the_header_of_a_bundle_shown_is_one() {
    let header: bundle::Header = serde_json::from_str(block("bundle-header")).expect("a header");
    assert_eq!(
        serde_json::to_string(&header).expect("json"),
        block("bundle-header")
    );
    let signed = header.signed_text(&[3; 32]).expect("json");
    let text = bundle::envelope(&signed, b"by");
    let framed = bundle::frame(text.as_bytes()).expect("an envelope");
    assert_eq!(framed.header(), Ok(header));
    let first_words = |text: &str| -> Vec<String> {
        let words = text.lines().map(|line| line.split([' ', '{']).next());
        words.flatten().map(str::to_owned).collect()
    };
    let shown = first_words(&block("envelope").replace("HEADER", "{"));
    assert_eq!(first_words(&text), shown);
}

#[test]
fn every_kind_has_its_row_in_every_table_of_the_page() {
    for kind in Kind::ALL {
        let rows = PAGE
            .lines()
            .filter(|line| line.starts_with('|') && line.contains(&format!("`{kind}`")));
        assert!(rows.count() >= 3, "{kind}: facts, registers, ends");
    }
}
