//! Every message between two nodes, once, for both ends. `docs/protocol.md` describes the same in words.
//!
//! The child begins everything: `open` compares identities and positions, `push` carries a batch up, `pull` asks for
//! a batch down and acknowledges the one before (it may wait for news), `blob` moves files. A batch is NDJSON in one
//! zstd frame; its lines are [`Line`]s.

pub mod bundle;
pub mod deposit;
pub mod enrolment;
mod plain;
pub mod roster;
pub mod succession;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use self::succession::Succession;
use crate::model::{Key, Kind, NodeId, UnitId};
use crate::sync::{Context, Edit, Incarnation, Record, RecordError};

/// Protocol versions this program speaks: the greatest both sides have in common is used.
pub const PROTOCOL: Versions = Versions {
    oldest: 1,
    newest: 1,
};

/// Where the endpoints of the link live.
pub const PREFIX: &str = "/link/v1";

/// Header with the name of a session, on every request after `open`.
pub const SESSION_HEADER: &str = "nq-session";
/// Header with the newest opening of the sender's store, on a batch up: it may be drawn after `open`.
pub const HEAD_HEADER: &str = "nq-head";
/// Header with a batch's number.
pub const BATCH_HEADER: &str = "nq-batch";
/// Header with the running hash before a batch, as hexadecimal digits.
pub const BEFORE_HEADER: &str = "nq-before";
/// Header with the position in a file, in bytes.
pub const OFFSET_HEADER: &str = "upload-offset";
/// Header with the whole length of a file, in bytes.
pub const LENGTH_HEADER: &str = "upload-length";

/// Most incarnations of a chain that a greeting names.
pub const CHAIN_SHOWN: u32 = 64;
/// Longest that a pull may be asked to wait, in seconds.
pub const MAX_WAIT_S: u64 = 55;
/// Most bytes in one piece of a file.
pub const MAX_FILE_PIECE: usize = 4 << 20;
/// Most bytes a greeting or an answer without records may have.
pub const MAX_SMALL_BODY: usize = 256 * 1024;
/// Most bytes of a request to enrol. It comes from anybody, many at a time, and holds a token and one certificate request.
pub const MAX_ENROL_BODY: usize = 16 * 1024;
/// Greatest window a zstd frame may ask for, as a power of two: 8 MiB.
pub const MAX_WINDOW_LOG: u32 = 23;
/// Most lines of a batch.
pub const MAX_BATCH_LINES: usize = 100_000;
/// Compression of batches: the level at which a modest CPU keeps up with a leased line.
pub const ZSTD_LEVEL: i32 = 3;

/// A range of protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Oldest spoken.
    pub oldest: u16,
    /// Newest spoken.
    pub newest: u16,
}

impl Versions {
    /// The greatest version both speak.
    pub fn common(self, other: Versions) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// A position in one direction's batches. Hashes are hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Number of the last batch; 0 before the first.
    pub batch: u64,
    /// Running hash after it.
    pub hash: String,
    /// Running hash before it.
    pub before: String,
}

/// What two remembered positions of one direction say about each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Both remember the same.
    Same,
    /// The receiver took one batch more than the sender knows: an acknowledgement was lost.
    AckLost,
    /// One of them forgot or lived another life: compare everything.
    Torn,
}

impl Mark {
    /// Compares the sender's memory of a direction with the receiver's.
    pub fn standing(sender: &Mark, receiver: &Mark) -> Standing {
        if sender.batch == receiver.batch && sender.hash == receiver.hash {
            Standing::Same
        } else if Some(receiver.batch) == sender.batch.checked_add(1)
            && receiver.before == sender.hash
        {
            Standing::AckLost
        } else {
            Standing::Torn
        }
    }
}

/// The running hash after a batch: SHA-256 over the hash before, the batch's number and its compressed bytes.
pub fn running_hash(before: &[u8], batch: u64, body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update((before.len() as u64).to_be_bytes());
    hasher.update(before);
    hasher.update(batch.to_be_bytes());
    hasher.update(body);
    hasher.finalize().into()
}

/// The child's greeting: `POST open`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Versions spoken.
    pub protocol: Versions,
    /// The program's version, for people.
    pub version: String,
    /// Who calls; must be the node of the certificate.
    pub node: NodeId,
    /// The child's clock, milliseconds since 1970.
    pub clock_ms: i64,
    /// The latest openings of the child's store, newest first.
    pub chain: Vec<Incarnation>,
    /// Batches sent up, as the child remembers.
    pub up: Mark,
    /// Batches received from above, as the child remembers.
    pub down: Mark,
    /// What the parent's last refusal asked to be said back; empty for nothing. Absent: the child does not know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<String>,
    /// The child's audit. Absent: the child does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditShown>,
    /// Fingerprint of the parent's authority that the child has pinned. Absent: the child follows no new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// The end of an audit, or one entry in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the entry; 0 before the first.
    pub number: i64,
    /// Its hash, 64 hex digits.
    pub hash: String,
}

/// What a node shows of its audit at a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditShown {
    /// Its end.
    pub head: AuditHead,
    /// Entries that the receiver has seen before, as they are now.
    #[serde(default)]
    pub again: Vec<AuditHead>,
    /// The entry of the receiver's audit that was seen last, to be shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i64>,
}

/// The parent's signature under the end of a child's audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Countersigned {
    /// What it saw.
    pub head: AuditHead,
    /// When, by its clock: milliseconds since 1970.
    pub at: i64,
    /// Its public key (SubjectPublicKeyInfo, DER), hex.
    pub key: String,
    /// ECDSA P-256 with SHA-256 over [`Countersigned::text`], DER, hex.
    pub signature: String,
}

impl Countersigned {
    /// What is signed: who saw whose audit end where, and when.
    pub fn text(witness: NodeId, of: NodeId, head: &AuditHead, at: i64) -> String {
        format!(
            "nqsync audit head 1\nwitness {witness}\nof {of}\nnumber {}\nhash {}\nat {at}\n",
            head.number, head.hash
        )
    }
}

/// The parent's answer to a greeting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The version to use.
    pub protocol: u16,
    /// The program's version, for people.
    pub version: String,
    /// Who answers.
    pub node: NodeId,
    /// The parent's clock, milliseconds since 1970.
    pub clock_ms: i64,
    /// The latest openings of the parent's store, newest first.
    pub chain: Vec<Incarnation>,
    /// Where the child's batches go on.
    pub up: Mark,
    /// Where the parent's batches go on.
    pub down: Mark,
    /// The two do not remember the same past: each offers everything in scope again.
    pub torn: bool,
    /// What the parent takes.
    pub limits: Limits,
    /// Name of this session; every later request of it carries it, so that a session that another one has replaced ends.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Files, by SHA-256 as hexadecimal digits, that the child has to bring: also such as it had brought before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<String>,
    /// The parent's audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditShown>,
    /// The parent's signature under the child's audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countersigned: Option<Countersigned>,
    /// The child's certificate is to be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew: Option<Renew>,
    /// By which the child's own list of children is known that the parent keeps for it; empty when it keeps none yet.
    /// Absent: the parent does not know of such lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roster: Option<String>,
    /// How the parent's authorities followed each other, where the child has not pinned the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<Succession>,
}

/// What a child is to have renewed. The parent judges: its clock is the one that is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renew {
    /// The certificate, for the key it has: a third of its lifetime has passed.
    Certificate,
    /// The key too: a person asks for it.
    Key,
}

/// A child asks for a new certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// Certificate request, PEM: proof that the child holds the key.
    pub csr: String,
}

/// The new certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Renewed {
    /// PEM.
    pub certificate: String,
}

/// Limits a receiver states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most bytes of one line.
    pub record_bytes: usize,
    /// Most bytes of a batch after decompression.
    pub batch_bytes: usize,
    /// Most bytes of one file.
    pub blob_bytes: u64,
}

/// Bytes that an acknowledgement has for each record of its batch, should all of them be set aside.
pub const SET_ASIDE_BYTES: usize = 1_024;
/// Bytes of a reason in an acknowledgement; the rest of a longer one stays with the receiver.
pub const MAX_REASON_BYTES: usize = 400;

/// A record the receiver set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Which record.
    pub id: Uuid,
    /// Stable code of the reason.
    pub code: String,
    /// The reason for people.
    pub reason: String,
}

impl SetAside {
    /// The same with a reason that fits into an acknowledgement.
    pub fn shortened(mut self) -> SetAside {
        if self.reason.len() > MAX_REASON_BYTES {
            let most = self
                .reason
                .floor_char_boundary(MAX_REASON_BYTES - '…'.len_utf8());
            self.reason.truncate(most);
            self.reason.push('…');
        }
        self
    }
}

/// The answer to a batch: it is on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ack {
    /// The position after the batch.
    pub mark: Mark,
    /// Records set aside, each with its reason; everything else was joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
    /// How many lines could not even be read.
    #[serde(default)]
    pub unreadable: u32,
}

/// `POST pull`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pull {
    /// Acknowledges the batch before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Ack>,
    /// How long to wait for news, in seconds.
    #[serde(default)]
    pub wait_s: u64,
}

/// `POST agree`: count and order-independent digest over the records both sides should hold alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Number of records compared.
    pub count: u64,
    /// Their digests, combined, as hexadecimal digits.
    pub sum: String,
    /// Whether something is still waiting to be sent, so that a difference means nothing yet.
    pub pending: bool,
}

/// `POST agree`, both ways: what is held, and how the audit ends after what was exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agree {
    /// What is held.
    #[serde(flatten)]
    pub holds: Agreement,
    /// The sender's audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditShown>,
    /// The parent's signature under the child's audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countersigned: Option<Countersigned>,
}

/// Asks what the other side of a link holds: `POST compare`. Without `bucket`: a digest per bucket; with it: the records of
/// that bucket; with `offer`: offers these records again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Compare {
    /// The records whose id ends with this byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u8>,
    /// Records to be offered again, at most [`MAX_OFFERED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offer: Vec<Uuid>,
}

/// Records that one `compare` may ask to be offered again.
pub const MAX_OFFERED: usize = 2_000;

/// What a side of a link holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Holdings {
    /// Per bucket that is not empty: which, how many records, and the XOR of their digests as hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<(u8, u64, String)>,
    /// The records of one bucket: id, kind, digest as hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<(Uuid, String, String)>,
}

/// `POST enrol`, without a certificate: the token buys one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The secret part of the token.
    pub secret: String,
    /// The child's node id.
    pub node: NodeId,
    /// Certificate signing request, PEM.
    pub csr: String,
}

/// The parent's answer to an enrolment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enrolled {
    /// The child's certificate, PEM.
    pub certificate: String,
    /// The parent.
    pub parent: NodeId,
    /// Key of the parent's authority (SubjectPublicKeyInfo, DER), hex: the one whose pin the token carries. Bundles for the
    /// parent are sealed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The unit the child now serves.
    pub unit: UnitId,
    /// The records of the units, so that the child knows its place: lines as in a batch.
    pub units: Vec<Box<RawValue>>,
}

/// Every refusal between nodes: an HTTP status with this body.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Stable code: `unknown_node`, `revoked`, `version`, `busy`, `too_large`, `unreadable`, `position`, `token`, …
    pub code: String,
    /// For people.
    pub message: String,
    /// When trying again makes sense, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// What the next greeting is to say back, so that it is known to be no late one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<String>,
}

impl Refused {
    /// A refusal that trying again will not change.
    pub fn new(code: &str, message: impl Into<String>) -> Refused {
        Refused {
            code: code.to_owned(),
            message: message.into(),
            retry_after_s: None,
            echo: None,
        }
    }
}

/// One line of a batch.
#[derive(Clone, Debug)]
pub enum Line {
    /// A record's present state, whole.
    Record(Record),
    /// A state that the sender does not believe itself: a node below it brought it as the work of a unit above. If its
    /// author knows its own seal on it, it is work that was lost.
    Brought(Record),
    /// A record left the receiver's scope; no content.
    Left(Key),
    /// The node serving `unit` holds a record up to `extent`.
    Receipt(Receipt),
}

/// How far a record got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which record.
    pub id: Uuid,
    /// Whose node holds it.
    pub unit: UnitId,
    /// The greatest counter per incarnation it holds.
    pub extent: Context,
    /// Since when, by that node's clock: milliseconds since 1970.
    pub at: i64,
}

/// Why a line cannot be taken as it is; with as much of its name as could be read.
#[derive(Debug)]
pub struct BadLine {
    /// The kind it claims, as text.
    pub kind: String,
    /// The record it claims to be.
    pub id: Option<Uuid>,
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub reason: String,
}

#[derive(Deserialize)]
struct LineIn<'a> {
    #[serde(default)]
    k: Option<String>,
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(borrow, default)]
    f: Option<&'a RawValue>,
    #[serde(borrow, default)]
    e: Vec<&'a RawValue>,
    #[serde(default)]
    left: bool,
    #[serde(default)]
    brought: bool,
    #[serde(default)]
    receipt: Option<Receipt>,
}

/// Writes a record as a line, without the line break.
pub fn render_record(record: &Record) -> String {
    let mut line = String::with_capacity(
        128 + record.facts_raw().len()
            + record
                .edits()
                .iter()
                .map(|e| e.raw().len() + 1)
                .sum::<usize>(),
    );
    // The parts are JSON texts already and are joined as they are: their bytes are what is hashed.
    line.push_str(r#"{"k":""#);
    line.push_str(record.key().kind.as_str());
    line.push_str(r#"","id":""#);
    line.push_str(&record.key().id.to_string());
    line.push_str(r#"","f":"#);
    line.push_str(record.facts_raw());
    line.push_str(r#","e":["#);
    for (index, edit) in record.edits().iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        line.push_str(edit.raw());
    }
    line.push_str("]}");
    line
}

/// Writes the announcement that a record left the receiver's scope.
pub fn render_left(key: Key) -> String {
    format!(r#"{{"k":"{}","id":"{}","left":true}}"#, key.kind, key.id)
}

/// Marks a record's line, as it was received, as one that is only passed on for its author to look at.
pub fn render_brought(line: &str) -> String {
    const MARK: &str = r#"{"brought":true,"#;
    match line.strip_prefix('{') {
        Some(rest) if !line.starts_with(MARK) => format!("{MARK}{rest}"),
        _ => line.to_owned(),
    }
}

/// Writes a receipt as a line.
pub fn render_receipt(receipt: &Receipt) -> Result<String, serde_json::Error> {
    Ok(format!(
        r#"{{"receipt":{}}}"#,
        serde_json::to_string(receipt)?
    ))
}

/// Reads one line.
pub fn parse_line(text: &str) -> Result<Line, BadLine> {
    let line: LineIn<'_> = serde_json::from_str(text).map_err(|error| BadLine {
        kind: String::new(),
        id: None,
        code: "unreadable",
        reason: format!("not a line of the protocol: {error}"),
    })?;
    if let Some(receipt) = line.receipt {
        return Ok(Line::Receipt(receipt));
    }
    let named = line.k.clone().unwrap_or_default();
    let bad = |code, reason: String| BadLine {
        kind: named.clone(),
        id: line.id,
        code,
        reason,
    };
    let id = line
        .id
        .ok_or_else(|| bad("unreadable", "a record without id".to_owned()))?;
    let kind: Kind = named.parse().map_err(|reason: String| {
        bad(
            "unknown_kind",
            format!("{reason}; a newer program may know it, upgrade this node"),
        )
    })?;
    let key = Key { kind, id };
    if line.left {
        return Ok(Line::Left(key));
    }
    let facts = line
        .f
        .ok_or_else(|| bad("unreadable", "a record without facts".to_owned()))?;
    for text in line.e.iter().chain([&facts]) {
        plain::check(text.get()).map_err(|error| bad("unreadable", error.to_string()))?;
    }
    let edits: Result<Vec<Edit>, _> = line.e.iter().map(|raw| Edit::parse(raw.get())).collect();
    let edits = edits.map_err(|error| bad("unreadable", error.to_string()))?;
    match Record::new(key, facts.get(), edits) {
        Ok(record) if line.brought => Ok(Line::Brought(record)),
        Ok(record) => Ok(Line::Record(record)),
        Err(error @ RecordError::Facts(_)) => Err(bad("facts", error.to_string())),
        Err(error) => Err(bad("unreadable", error.to_string())),
    }
}

/// Bytes as lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Reads what [`hex`] writes, and no other spelling of it: what is signed or compared as text has one.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER.decode(text.as_bytes()).ok()
}
