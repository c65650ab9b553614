//! Directive documents that tasks rest on.

use std::collections::BTreeMap;

use nqsync_core::model::values::FileRef;
use nqsync_core::model::{Facts, Kind, Tree};
use nqsync_core::sync::{Record, scope};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::fields::to_json;
use super::shared::{self, needed, saved, text};
use super::{Reading, Said, Writing};
use crate::api::Command;
use crate::node::{Refusal, write};
use crate::store::{StoreError, Stored, blobs, records};

/// Directives held here, the newest first.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let mut found = records::of_kind(on.connection, Kind::Directive)?;
    found.retain(|stored| !stored.record.is_deleted());
    found.sort_by_key(|stored| std::cmp::Reverse((text(&stored.record, "date"), stored.rec)));
    let items: Vec<Value> = found
        .iter()
        .map(|stored| item(on.connection, &on.tree, &stored.record))
        .collect::<Result<_, StoreError>>()?;
    Ok(Said::done(super::views::listed(items)))
}

/// One directive, by its id, a unique beginning of it, or its number.
pub fn show(on: &Reading<'_>, typed: &str) -> Result<Said, Refusal> {
    let stored = find(on.connection, typed)?;
    Ok(Said::done(item(on.connection, &on.tree, &stored.record)?))
}

fn find(connection: &Connection, typed: &str) -> Result<Stored, Refusal> {
    let mut found = records::of_kind(connection, Kind::Directive)?;
    found.retain(|stored| text(&stored.record, "number") == typed.trim());
    if found.len() == 1 {
        return Ok(found.swap_remove(0));
    }
    shared::require(connection, Kind::Directive, typed)
}

fn item(connection: &Connection, tree: &Tree, record: &Record) -> Result<Value, StoreError> {
    let file = record.shown("file");
    let hash = file
        .as_ref()
        .and_then(|file| blobs::parse_hex(file["sha256"].as_str()?));
    let present = match hash {
        Some(hash) => blobs::state(connection, &hash)?.is_some_and(|(_, present)| present),
        None => false,
    };
    let units = scope::assigned(record);
    Ok(json!({
        "id": record.key().id,
        "number": text(record, "number"),
        "date": record.shown("date"),
        "kind": record.shown("kind"),
        "summary": text(record, "summary"),
        "issuer": record.facts().owner().map(|unit| tree.code(unit)),
        "units": units.iter().map(|unit| tree.code(*unit)).collect::<Vec<_>>(),
        "file": file,
        "file_present": present,
        "at": shared::written_at(record),
    }))
}

/// A new directive. Its file was taken into the store before the transaction; here only its name is written.
pub fn add(on: &mut Writing<'_, '_>, command: &Command) -> Result<Said, Refusal> {
    let Command::DirectiveAdd {
        number,
        date,
        kind,
        summary,
        units,
        ..
    } = command
    else {
        return Err(super::unknown_verb(on.request));
    };
    let acting = on.acting(None)?;
    let number = needed("directive-needs-number", Some(number))?;
    let summary = needed("directive-needs-summary", Some(summary))?;
    let taken = records::of_kind(on.tx.connection(), Kind::Directive)?
        .iter()
        .any(|other| {
            other.record.facts().owner() == Some(acting.unit)
                && !other.record.is_deleted()
                && text(&other.record, "number") == number
        });
    if taken {
        return Err(Refusal::usage("directive-exists", [("number", number)]));
    }
    let tree = on.tx.tree();
    let assigned = shared::units(&tree, units, acting.unit)?;
    if let Some(outside) = assigned
        .iter()
        .find(|unit| !tree.ever_directs(acting.unit, **unit))
    {
        let home = ("home", tree.code(acting.unit));
        return Err(Refusal::usage(
            "unit-not-below",
            [("unit", tree.code(*outside)), home],
        ));
    }
    let mut values: BTreeMap<String, Value> = [
        ("number".to_owned(), json!(number)),
        ("summary".to_owned(), json!(summary)),
        ("assigned".to_owned(), json!({ "units": assigned })),
    ]
    .into();
    if let Some(date) = date {
        values.insert("date".to_owned(), json!(shared::day(date)?));
    }
    if let Some(kind) = kind {
        values.insert("kind".to_owned(), json!(kind.trim()));
    }
    if let Some(file) = on.file {
        let named = FileRef {
            name: file.name.clone(),
            size: file.size,
            sha256: blobs::hex(&file.id),
        };
        blobs::note(on.tx.connection(), &file.id, file.size, true, on.now_ms)?;
        values.insert("file".to_owned(), to_json(&named)?);
    }
    let facts = Facts::Directive {
        issuer: acting.unit,
    };
    let written = write::create(on.tx, &acting, facts, values, None)?;
    saved(on, &written, None)?;
    let data = item(on.tx.connection(), &tree, &written.record)?;
    Ok(Said::done(data).note("note-directive-added", [("number", number)]))
}
