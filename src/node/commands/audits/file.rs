//! An audit in a file for whoever inspects it: `audit export`, and `audit verify FILE`, which needs no node.
//!
//! Lines of JSON. The first says whose it is, each further one is an entry, the last one holds the hash of all before it and
//! what neighbours signed, and is signed with the node's own key. So a changed byte shows in its line, and a missing end as
//! such.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use nqsync_core::model::NodeId;
use nqsync_core::protocol::{AuditHead, Countersigned, hex, unhex};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::api::{Answer, Exit, Request};
use crate::node::commands::nodes::this;
use crate::node::commands::shared::time;
use crate::node::commands::{Reading, Said, speak};
use crate::node::{Refusal, witness as words};
use crate::store::witness::{self, Whose};
use crate::store::{StoreError, audit, links};
use crate::trust::identity::{NODE_KEY, NodeKey};
use crate::trust::pin::Pin;
use crate::trust::signature;

/// Format of the file.
const FORMAT: u32 = 1;
/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// What stands before the signature in the last line.
const SIGNATURE: &str = r#","signature":""#;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    nqsync_audit: u32,
    node: NodeId,
    unit: String,
    exported_at: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    number: i64,
    at: i64,
    actor: String,
    act: String,
    subject: String,
    detail: String,
    hash: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: i64,
    head: String,
    header_sha256: String,
    sha256: String,
    countersigned: Vec<Seen>,
    key: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    witness: NodeId,
    number: i64,
    hash: String,
    at: i64,
    key: String,
    signature: String,
}

/// `audit export`: writes the whole audit to a new file.
pub fn export(on: &Reading<'_>, to: &str) -> Result<Said, Refusal> {
    let unwritable = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "file-exists",
            _ => "file-unwritable",
        };
        let args = [("path", to.to_owned()), ("detail", error.to_string())];
        Refusal::usage(code, args)
    };
    let key = NodeKey::load(&on.node.store.dir().join(NODE_KEY))
        .map_err(|error| Refusal::usage("audit-key", [("detail", error.to_string())]))?;
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(unwritable)?;
    let written = write(on, &key, file);
    if written.is_err() {
        // The write's own error is what the person has to know.
        let _ = std::fs::remove_file(to);
    }
    let entries = match written {
        Ok(entries) => entries,
        Err(Failed::Disk(error)) => return Err(unwritable(error)),
        Err(Failed::Store(error)) => return Err(error.into()),
    };
    let data = json!({ "written_to": to, "entries": entries, "key": key.pin().to_string() });
    Ok(Said::done(data).note("note-audit-exported", [("entries", entries.to_string())]))
}

enum Failed {
    Disk(std::io::Error),
    Store(StoreError),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Failed::Disk(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed::Store(error)
    }
}

fn text<T: Serialize>(value: &T) -> String {
    // Texts and numbers only: nothing in them can fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn write(on: &Reading<'_>, key: &NodeKey, file: File) -> Result<i64, Failed> {
    let node = this(on.connection)?
        .ok_or_else(|| StoreError::NotInitialised("this directory".to_owned()))?;
    let header = text(&Header {
        nqsync_audit: FORMAT,
        node,
        unit: on.tree.code(on.home),
        exported_at: time(on.now_ms),
    }) + "\n";
    let mut sum = Sha256::new();
    let mut out = BufWriter::new(file);
    out.write_all(header.as_bytes())?;
    sum.update(header.as_bytes());
    audit::each(on.connection, |entry, hash| {
        let line = text(&Line {
            number: entry.number,
            at: entry.at,
            actor: entry.actor,
            act: entry.act,
            subject: entry.subject,
            detail: entry.detail,
            hash: hex(&hash),
        }) + "\n";
        sum.update(line.as_bytes());
        Ok::<_, Failed>(out.write_all(line.as_bytes())?)
    })?;
    let mut countersigned = Vec::new();
    for sight in witness::all(on.connection, Whose::Ours)? {
        let witness = links::row(on.connection, sight.link)?.node;
        if let Some((key, signature)) = &sight.signed {
            countersigned.push(Seen {
                witness,
                number: sight.entry.number,
                hash: hex(&sight.entry.hash),
                at: sight.at,
                key: hex(key),
                signature: hex(signature),
            });
        }
    }
    let head = witness::head(on.connection)?;
    let body = text(&End {
        end: head.number,
        head: words::head(head).hash,
        header_sha256: hex(&Sha256::digest(header.as_bytes())),
        sha256: hex(&sum.finalize()),
        countersigned,
        key: hex(&signature::public(key)),
    });
    let by = signature::sign(key, &body).unwrap_or_default();
    let body = body.strip_suffix('}').unwrap_or(&body);
    writeln!(out, "{body}{SIGNATURE}{}\"}}", hex(&by))?;
    let file = out
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(head.number)
}

/// What an exported audit shows.
#[derive(Debug, Default)]
struct Checked {
    node: Option<NodeId>,
    unit: String,
    exported_at: String,
    entries: i64,
    countersigned: usize,
    key: String,
    /// Line and what is wrong there.
    wrong: Option<(u64, &'static str)>,
}

/// Answers what a file shows; it asks no node.
pub fn checked(request: &Request, path: &str) -> Result<Answer, Refusal> {
    let unreadable = |error: std::io::Error| {
        let args = [("path", path.to_owned()), ("detail", error.to_string())];
        Refusal::usage("file-unreadable", args)
    };
    let file = File::open(Path::new(path)).map_err(unreadable)?;
    let checked = check(BufReader::new(file)).map_err(unreadable)?;
    let mut said = Said::done(json!({
        "ok": checked.wrong.is_none(),
        "node": checked.node,
        "unit": checked.unit,
        "exported_at": checked.exported_at,
        "entries": checked.entries,
        "countersigned": checked.countersigned,
        "key": checked.key,
        "line": checked.wrong.map(|(line, _)| line),
        "how": checked.wrong.map(|(_, how)| how),
    }));
    match checked.wrong {
        None => {
            let args = [
                ("entries", checked.entries.to_string()),
                ("key", checked.key),
            ];
            said = said.note("note-audit-file-whole", args);
        }
        Some((line, how)) => {
            let key = match how {
                "cut" => "note-audit-file-cut",
                _ => "note-audit-file-broken",
            };
            let args = [
                ("line", line.to_string()),
                ("entries", checked.entries.to_string()),
            ];
            said = said.note(key, args);
            said.exit = Exit::Degraded;
        }
    }
    Ok(speak(request.lang, said))
}

fn check(mut input: impl BufRead) -> std::io::Result<Checked> {
    let mut found = Checked::default();
    let (mut sum, mut header_sum) = (Sha256::new(), None);
    let mut before = [0; 32];
    let mut hashes: Vec<[u8; 32]> = Vec::new();
    for line in 1.. {
        let mut raw = Vec::new();
        input.by_ref().take(MAX_LINE).read_until(b'\n', &mut raw)?;
        let Some(text) = raw
            .strip_suffix(b"\n")
            .and_then(|raw| std::str::from_utf8(raw).ok())
        else {
            let how = if raw.is_empty() { "cut" } else { "changed" };
            found.wrong = Some((line, how));
            return Ok(found);
        };
        if line == 1 {
            match serde_json::from_str::<Header>(text) {
                Ok(header) if header.nqsync_audit == FORMAT => {
                    found.node = Some(header.node);
                    found.unit = header.unit;
                    found.exported_at = header.exported_at;
                }
                _ => {
                    found.wrong = Some((1, "changed"));
                    return Ok(found);
                }
            }
            header_sum = Some(Sha256::digest(&raw));
        } else if text.starts_with(r#"{"end":"#) {
            let header_sum = hex(&header_sum.unwrap_or_default());
            let sums = (header_sum, hex(&sum.finalize()));
            found.wrong = check_end(text, &sums, &hashes, &mut found).map(|at| match at {
                At::First => (1, "changed"),
                At::Last => (line, "changed"),
            });
            let mut rest = [0; 1];
            if found.wrong.is_none() && input.read(&mut rest)? > 0 {
                found.wrong = Some((line + 1, "changed"));
            }
            return Ok(found);
        } else {
            match check_entry(text, hashes.len() as i64 + 1, &before) {
                Some(hash) => before = hash,
                None => {
                    found.wrong = Some((line, "changed"));
                    return Ok(found);
                }
            }
            hashes.push(before);
            found.entries = hashes.len() as i64;
        }
        sum.update(&raw);
    }
    Ok(found)
}

/// The hash of an entry that is what was written, byte for byte, and follows the one before it.
fn check_entry(raw: &str, number: i64, before: &[u8; 32]) -> Option<[u8; 32]> {
    let line: Line = serde_json::from_str(raw).ok()?;
    let fields = [line.actor.as_str(), &line.act, &line.subject, &line.detail];
    let hash = audit::link(before, line.at, fields);
    (line.number == number && line.hash == hex(&hash) && text(&line) == raw).then_some(hash)
}

enum At {
    First,
    Last,
}

fn check_end(
    raw: &str,
    (header_sum, sum): &(String, String),
    hashes: &[[u8; 32]],
    found: &mut Checked,
) -> Option<At> {
    let split = raw
        .strip_suffix("\"}")
        .and_then(|raw| raw.rsplit_once(SIGNATURE));
    let Some((body, spelled)) = split else {
        return Some(At::Last);
    };
    let body = format!("{body}}}");
    let parts = serde_json::from_str::<End>(&body).ok().zip(unhex(spelled));
    let Some((end, by)) = parts else {
        return Some(At::Last);
    };
    let key = unhex(&end.key).unwrap_or_default();
    if !signature::is_true(&key, &body, &by) || hex(&by) != spelled {
        return Some(At::Last);
    }
    found.key = Pin::of_spki(&key).to_string();
    if end.header_sha256 != *header_sum {
        return Some(At::First);
    }
    let last = hashes.last().copied().unwrap_or_default();
    if end.sha256 != *sum || end.head != hex(&last) || end.end != hashes.len() as i64 {
        return Some(At::Last);
    }
    let own = found.node?;
    for seen in &end.countersigned {
        let head = AuditHead {
            number: seen.number,
            hash: seen.hash.clone(),
        };
        let text = Countersigned::text(seen.witness, own, &head, seen.at);
        let signed = unhex(&seen.key).zip(unhex(&seen.signature));
        let is_true = signed.is_some_and(|(key, by)| signature::is_true(&key, &text, &by));
        let place = usize::try_from(seen.number)
            .ok()
            .and_then(|number| number.checked_sub(1));
        let ours = place
            .and_then(|place| hashes.get(place))
            .map(|hash| hex(hash));
        if !is_true || (seen.number > 0 && ours.as_ref() != Some(&seen.hash)) {
            return Some(At::Last);
        }
    }
    found.countersigned = end.countersigned.len();
    None
}
