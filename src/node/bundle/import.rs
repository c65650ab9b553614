//! Taking bundles in: first everything is proved, then segment by segment is joined, one transaction each.
//!
//! A bundle that is cut, changed, for somebody else or from nobody we know is refused whole. One that was cut off in the
//! middle of being taken in goes on where it stopped when it is given again.

use std::io::Read;
use std::path::Path;

use nqsync_core::model::Classification;
use nqsync_core::protocol::bundle::{
    At, FILE_PIECE, Header, MAX_ENVELOPE, MAX_MANIFEST, Manifest, Memory, SEAL_BYTES, Standing,
    frame, standing,
};
use nqsync_core::protocol::{PROTOCOL, hex};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::medium::{self, Bundle};
use super::peer::{Peer, own_key};
use super::taking::Taking;
use super::{BundleError, seal_info};
use crate::node::Node;
use crate::store::bundles::{self, Came, Remembered, State};
use crate::store::{LinkId, StoreError, audit};
use crate::trust::pin::Pin;
use crate::trust::{sealing, signature};

/// Numbers of bundles that never came, named at most.
const NAMED: usize = 100;

/// An envelope that is what its issuer signed.
#[derive(Debug)]
pub struct Proved {
    /// Who made it.
    pub peer: Peer,
    /// What it says.
    pub header: Header,
    /// Its number and hash.
    pub at: At,
    bundle: Bundle,
}

/// What became of one bundle on a medium.
#[derive(Debug)]
pub struct Looked {
    /// Its name on the medium.
    pub name: String,
    /// Its issuer's link and its number, where that is proved.
    pub from: Option<(LinkId, u64)>,
    /// The rest.
    pub outcome: Outcome,
}

/// How taking a bundle in ended.
#[derive(Debug)]
pub enum Outcome {
    /// It is in.
    Taken(Taken),
    /// It was in before.
    Repeat,
    /// A later one had replaced it.
    Late,
    /// It builds on one that did not come; these numbers are missing.
    Waits(Vec<u64>),
    /// This node made it.
    Own,
    /// Nothing of it was taken in, or no more of it.
    Refused(BundleError),
}

/// What a bundle brought.
#[derive(Debug, Default)]
#[allow(missing_docs)] // The names say it.
pub struct Taken {
    pub lines: usize,
    pub changed: usize,
    pub set_aside: usize,
    pub files: usize,
    pub answers: usize,
    pub missing: Vec<u64>,
    pub torn: bool,
}

/// Takes in every bundle in a folder, or the one that it is, in the order of their numbers. `expired`: also what is out of
/// date, because a person knows that a clock is wrong.
pub fn import(
    node: &Node,
    folder: &Path,
    person: &str,
    expired: bool,
) -> Result<Vec<Looked>, BundleError> {
    let mut looked = Vec::new();
    let mut proved = Vec::new();
    for (name, path) in medium::bundles(folder)? {
        match prove(node, &path) {
            Ok(envelope) => proved.push((name, envelope)),
            // It only says so: whoever signs with a key of ours needs no proof to be passed over.
            Err(BundleError::Own) => looked.push(Looked {
                name,
                from: None,
                outcome: Outcome::Own,
            }),
            Err(error) => looked.push(refused(node, name, None, error, person)?),
        }
    }
    proved.sort_by_key(|(_, envelope)| (envelope.peer.link, envelope.at.number));
    for (name, envelope) in proved {
        let from = Some((envelope.peer.link, envelope.at.number));
        let outcome = take(node, &envelope, person, expired);
        looked.push(match outcome {
            Ok(outcome) => Looked {
                name,
                from,
                outcome,
            },
            Err(error) => refused(node, name, Some(&envelope), error, person)?,
        });
    }
    Ok(looked)
}

/// Reads an envelope and proves who signed it and that it is for us.
pub fn prove(node: &Node, folder: &Path) -> Result<Proved, BundleError> {
    let bundle = Bundle::open(folder)?;
    let raw = bundle.read(0, MAX_ENVELOPE as u64)?;
    let framed = frame(&raw)?;
    let pin = Pin::from_bytes(framed.key);
    let dir = node.store.dir().to_owned();
    let mut peer = node.store.read_blocking(|c| Peer::by_pin(c, &dir, &pin))?;
    if !signature::is_true(&peer.public, &framed.signed, &framed.signature) {
        return Err(BundleError::Signature);
    }
    let header = framed.header()?;
    if header.from != peer.node {
        return Err(BundleError::OtherIssuer {
            said: header.from,
            by_key: peer.node,
        });
    }
    if header.to != peer.own {
        return Err(BundleError::OtherRecipient(header.to));
    }
    if !peer.hold(&dir, &header.to_key) {
        return Err(BundleError::OtherKey(header.to_key));
    }
    let at = At {
        number: header.number,
        hash: framed.hash(),
    };
    Ok(Proved {
        peer,
        header,
        at,
        bundle,
    })
}

fn refused(
    node: &Node,
    name: String,
    envelope: Option<&Proved>,
    error: BundleError,
    person: &str,
) -> Result<Looked, BundleError> {
    if let BundleError::Store(error) = error {
        return Err(error.into());
    }
    tracing::warn!(bundle = %name, code = error.code(), %error, "refused a bundle");
    let detail = json!({ "code": error.code(), "number": envelope.map(|e| e.at.number),
        "hash": envelope.map(|e| &e.at.hash) });
    let subject = envelope.map(|e| e.peer.node.to_string());
    note(
        node,
        person,
        "bundle.refused",
        subject.unwrap_or_default(),
        detail,
    )?;
    Ok(Looked {
        name,
        from: envelope.map(|e| (e.peer.link, e.at.number)),
        outcome: Outcome::Refused(error),
    })
}

fn note(
    node: &Node,
    person: &str,
    act: &'static str,
    subject: String,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    let (actor, at) = (person.to_owned(), node.clock.now_ms());
    node.store.write_blocking(move |tx| {
        let act = audit::Act {
            at,
            actor: &actor,
            act,
            subject: &subject,
            detail,
        };
        audit::append(tx, &act)
    })
}

impl Proved {
    /// How it stands to what was taken in before.
    pub fn standing(&self, remembered: &Remembered) -> Standing {
        standing(remembered, &self.header, &self.at.hash)
    }

    pub(super) fn row(&self, state: State, now_ms: i64) -> Came {
        Came {
            link: self.peer.link,
            at: self.at.clone(),
            before: self.header.before.clone(),
            base: self.header.base.number,
            state: state.as_str().to_owned(),
            segments: 0,
            came_at: now_ms,
            head: None,
            answer: None,
            tip: false,
        }
    }

    fn may_be_taken(
        &self,
        now_ms: i64,
        expired: bool,
        level: Classification,
    ) -> Result<(), BundleError> {
        let time = |ms: i64| {
            let at = jiff::Timestamp::from_millisecond(ms);
            at.unwrap_or_default().to_string()
        };
        if self.header.expires_at < now_ms && !expired {
            return Err(BundleError::Expired {
                until: time(self.header.expires_at),
                now: time(now_ms),
            });
        }
        match self.header.ceiling.may_come_in(level) {
            true => Ok(()),
            false => Err(BundleError::AboveCeiling),
        }
    }

    /// Whether every segment is what was signed, before any of them is opened.
    pub fn check_segments(&self, node: &Node) -> Result<(), BundleError> {
        check_segments(&self.bundle, &self.header, node)
    }

    /// Reads, proves again and opens one segment: the medium may be another one by now.
    pub(super) fn open(&self, number: usize) -> Result<Vec<u8>, BundleError> {
        let segment = &self.header.segments[number - 1];
        let sealed = self.bundle.read(number, segment.bytes)?;
        if hex(&Sha256::digest(&sealed)) != segment.sha256 {
            let what = "its bytes were changed".to_owned();
            return Err(BundleError::Segment { number, what });
        }
        let from = Pin::of_spki(&self.peer.public);
        let info = seal_info(
            &from,
            &self.header.to_key,
            self.at.number,
            &self.header.before.hash,
        );
        let aad = number.to_string();
        sealing::open(&self.peer.key, &info, aad.as_bytes(), &sealed)
            .ok_or(BundleError::Seal(number))
    }

    fn manifest(&self) -> Result<Manifest, BundleError> {
        let plain = self.open(1)?;
        let unreadable = |what: String| BundleError::Segment { number: 1, what };
        let manifest: Manifest =
            serde_json::from_slice(&plain).map_err(|e| unreadable(e.to_string()))?;
        if PROTOCOL.common(manifest.protocol).is_none() {
            return Err(BundleError::Version {
                oldest: manifest.protocol.oldest,
                newest: manifest.protocol.newest,
            });
        }
        if manifest.contents.len() + 1 != self.header.segments.len() {
            let what = "it does not list the segments that are there";
            return Err(unreadable(what.to_owned()));
        }
        Ok(manifest)
    }
}

fn take(
    node: &Node,
    envelope: &Proved,
    person: &str,
    expired: bool,
) -> Result<Outcome, BundleError> {
    let link = envelope.peer.link;
    let remembered = node.store.read_blocking(|c| Remembered::load(c, link))?;
    let now_ms = node.clock.now_ms();
    let stands = envelope.standing(&remembered);
    let peer = envelope.peer.node.to_string();
    let detail = json!({ "number": envelope.at.number, "hash": envelope.at.hash });
    let from = match &stands {
        Standing::Repeat => {
            note(node, person, "bundle.repeated", peer, detail)?;
            return Ok(Outcome::Repeat);
        }
        Standing::Late => {
            let row = envelope.row(State::Late, now_ms);
            node.store
                .write_blocking(move |tx| bundles::put(tx.connection(), &row))?;
            note(node, person, "bundle.late", peer, detail)?;
            return Ok(Outcome::Late);
        }
        Standing::Waits { .. } | Standing::Torn => remembered.tip().number + 1,
        Standing::Take { missing_from } => *missing_from,
    };
    let mut missing = remembered.missing_before(from, envelope.at.number, NAMED);
    if let Standing::Waits { base } = stands {
        if missing.is_empty() {
            // Of another past, under a number that was taken: the one it builds on is what is not known here.
            missing.push(base);
        }
        let row = envelope.row(State::Waits, now_ms);
        node.store
            .write_blocking(move |tx| bundles::put(tx.connection(), &row))?;
        let detail = json!({ "number": envelope.at.number, "hash": envelope.at.hash, "base": base,
            "missing": missing });
        note(node, person, "bundle.waits", peer, detail)?;
        return Ok(Outcome::Waits(missing));
    }
    envelope.may_be_taken(now_ms, expired, node.store.level())?;
    envelope.check_segments(node)?;
    let manifest = envelope.manifest()?;
    let begun = remembered.find(&envelope.at).cloned();
    let mut taking = Taking {
        node,
        envelope,
        row: begun.filter(|row| row.state == State::Begun.as_str()),
        taken: Taken {
            missing,
            torn: stands == Standing::Torn,
            ..Taken::default()
        },
    };
    let tip = remembered.find(&remembered.tip()).cloned();
    taking.greet(&manifest, tip)?;
    taking.segments(&manifest)?;
    taking.conclude(&manifest, person)?;
    Ok(Outcome::Taken(taking.taken))
}

/// The header of a bundle that this node made, when all of it is on the medium.
pub fn own(node: &Node, folder: &Path) -> Result<Header, BundleError> {
    let bundle = Bundle::open(folder)?;
    let raw = bundle.read(0, MAX_ENVELOPE as u64)?;
    let framed = frame(&raw)?;
    let pin = Pin::from_bytes(framed.key);
    let key = own_key(node.store.dir(), &pin).ok_or(BundleError::UnknownIssuer(pin))?;
    if !signature::is_true(&signature::public(&key), &framed.signed, &framed.signature) {
        return Err(BundleError::Signature);
    }
    let header = framed.header()?;
    check_segments(&bundle, &header, node)?;
    Ok(header)
}

fn check_segments(bundle: &Bundle, header: &Header, node: &Node) -> Result<(), BundleError> {
    let max_batch = node.settings.max_batch_bytes as u64;
    let most = max_batch.max(FILE_PIECE).max(MAX_MANIFEST) + SEAL_BYTES;
    for (index, segment) in header.segments.iter().enumerate() {
        let number = index + 1;
        let wrong = |what: String| BundleError::Segment { number, what };
        if segment.bytes > most {
            return Err(wrong(format!("it may have at most {most} bytes")));
        }
        let (file, length) = bundle.file(number)?;
        if length != segment.bytes {
            let said = segment.bytes;
            return Err(wrong(format!("it has {length} bytes instead of {said}")));
        }
        let found = sha256_of(file.take(segment.bytes));
        let found = found.map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        if found != segment.sha256 {
            return Err(wrong("its bytes were changed".to_owned()));
        }
    }
    Ok(())
}

fn sha256_of(mut file: impl Read) -> std::io::Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}
