//! One function for each target. None may panic, whatever the bytes; what is read must come back the same.

use std::path::Path;

use nqsync::adapter::{edxml as documents, profile as profiles};
use nqsync::config as configuration;
use nqsync::node::receive;
use nqsync::sheet::{Limits, read_plan, read_workbook, records, replica};
use nqsync::trust::{certificate, token};
use nqsync_core::protocol::bundle::{Manifest, envelope, frame};
use nqsync_core::protocol::{
    Ack, Agreement, EnrolRequest, Enrolled, Hello, Line, Mark, PROTOCOL, Pull, Refused, Welcome,
    parse_line, render_record, unhex,
};
use nqsync_core::protocol::{deposit, roster};
use nqsync_core::sync::{Edit, Record};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a target does with its input.
pub type Body = fn(&[u8]);

/// The targets by name.
pub const TARGETS: &[(&str, Body)] = &[
    ("batch", batch),
    ("record", record),
    ("session", session),
    ("plan_import", plan_import),
    ("config", config),
    ("profile", profile),
    ("edxml", edxml),
    ("workbook", workbook),
    ("bundle", bundle),
    ("credentials", credentials),
];

/// Largest batch and record that the target unpacks, in bytes.
const BATCH: usize = 1 << 20;
const RECORD: usize = 64 << 10;

/// A body as it comes from the line, and the same bytes as the text inside one.
pub fn batch(data: &[u8]) {
    let unpacked = |body: &[u8]| receive::decode(body, BATCH, RECORD).map(|lines| lines.len());
    // Refused or not: both are fine.
    let _ = unpacked(data);
    let Ok(packed) = zstd::bulk::compress(data, 1) else {
        return;
    };
    if let Ok(lines) = unpacked(&packed) {
        let text = std::str::from_utf8(data).expect("a batch that was read is text");
        assert_eq!(lines, text.lines().filter(|line| !line.is_empty()).count());
    }
}

/// One line of a batch, and one edit.
pub fn record(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(edit) = Edit::parse(text) {
        assert_eq!(edit.raw(), text, "an edit keeps its bytes");
    }
    let Ok(Line::Record(record)) = parse_line(text) else {
        return;
    };
    let again = match parse_line(&render_record(&record)) {
        Ok(Line::Record(again)) => again,
        other => panic!("a record that was read is not read again: {other:?}"),
    };
    assert_eq!(again.digest(), record.digest());
    let mut joined: Record = record.clone();
    let replaced = joined.join(&again).expect("the same record");
    assert!(!replaced.changed, "joined with itself");
    for name in record.registers() {
        for write in record.register(name).siblings {
            // Taken in, a value can be shown.
            assert_eq!(write.json().is_null(), write.is_empty(), "{text}");
        }
    }
    let _ = (record.token(), record.extent(), record.conflicts());
}

/// Every message of a session.
pub fn session(data: &[u8]) {
    fn message<T: DeserializeOwned + Serialize>(data: &[u8]) -> Option<T> {
        let read: T = serde_json::from_slice(data).ok()?;
        let written = serde_json::to_vec(&read).expect("a message that was read");
        let again: T = serde_json::from_slice(&written).expect("read again");
        let twice = serde_json::to_vec(&again).expect("written again");
        assert_eq!(written, twice);
        Some(read)
    }
    if let Some(hello) = message::<Hello>(data) {
        let _ = PROTOCOL.common(hello.protocol);
        let _ = Mark::standing(&hello.up, &hello.down);
        let _ = (unhex(&hello.up.hash), unhex(&hello.down.before));
    }
    message::<Welcome>(data);
    message::<Pull>(data);
    message::<Ack>(data);
    message::<Agreement>(data);
    message::<Refused>(data);
    message::<EnrolRequest>(data);
    message::<Enrolled>(data);
    message::<roster::Keep>(data);
    message::<deposit::Fetch>(data);
    message::<deposit::Deposits>(data);
    if let Some(names) = deposit::parse_names(data) {
        assert_eq!(deposit::render_names(&names), data);
    }
    if let Some(pieces) = deposit::pieces(data) {
        let mut again = Vec::new();
        for piece in pieces {
            deposit::put_piece(&mut again, piece);
        }
        assert_eq!(again, data);
    }
    if let Some(head) = deposit::Head::parse(data) {
        assert_eq!(head.render(), data);
    }
}

/// A CSV file as every kind of import reads it.
pub fn plan_import(data: &[u8]) {
    let limits = Limits {
        file_bytes: 1 << 20,
        rows: 2_000,
        cells: 20_000,
        ..Limits::default()
    };
    let Ok(table) = read_workbook("plan.csv", data, None, &limits) else {
        return;
    };
    assert!(table.rows.len() <= limits.rows);
    let plan = read_plan(&table, &|name| name.len() % 2 == 0);
    assert!(plan.rows.len() <= table.rows.len());
    let _ = records::read_units(&table);
    let _ = records::read_indicators(&table);
    let _ = records::read_reports(&table);
    let _ = replica::returned(&table);
}

/// An Excel workbook: the archive, its XML, its cells.
pub fn workbook(data: &[u8]) {
    let limits = Limits {
        file_bytes: 1 << 20,
        rows: 2_000,
        cells: 20_000,
        ..Limits::default()
    };
    match read_workbook("plan.xlsx", data, None, &limits) {
        Ok(table) => assert!(table.rows.len() <= limits.rows),
        Err(refused) => assert!(refused.to_string().contains("plan.xlsx"), "{refused}"),
    }
}

/// The envelope of a bundle, and the manifest inside it.
pub fn bundle(data: &[u8]) {
    if let Ok(framed) = frame(data) {
        let envelope = envelope(&framed.signed, &framed.signature);
        assert_eq!(envelope.as_bytes(), data, "an envelope has one spelling");
        if let Ok(header) = framed.header() {
            assert!(header.before.number < header.number && !header.segments.is_empty());
        }
    }
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(data) {
        let written = serde_json::to_vec(&manifest).expect("a manifest that was read");
        serde_json::from_slice::<Manifest>(&written).expect("read again");
    }
}

/// What is carried by people to let a node in: a token, and certificates.
pub fn credentials(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        match token::parse(text) {
            Ok(token) => assert!(!format!("{token:?}").is_empty()),
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
    if let Some(chain) = certificate::parse_chain(data) {
        assert!(chain.iter().all(|der| certificate::read(der).is_some()));
    }
    let _ = certificate::read(&CertificateDer::from(data));
}

/// A configuration: read, or told what is wrong with it.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let path = Path::new("config.toml");
    let read = |text: &str| configuration::read(path, text, std::iter::empty(), &[]);
    match read(text) {
        Ok(loaded) => {
            let shown = configuration::show(&loaded, true, false).text;
            assert!(read(&shown).is_ok(), "what is shown loads again:\n{shown}");
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

/// A profile of another system: read, or told what is wrong with it.
pub fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(problems) = profiles::parse(text) {
        assert!(!problems.is_empty(), "a refusal says why");
    }
}

/// A document of the exchange.
pub fn edxml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(why) = documents::read(text) {
        assert!(!why.is_empty(), "a refusal says why");
    }
}
