//! Bundles: what two nodes say to each other on a medium, where no line may join them.
//!
//! A bundle is an envelope and numbered segments. The envelope is signed and readable, so that a station can tell what it
//! has in its hand; each segment is sealed for the recipient, and the envelope holds its SHA-256. The first segment is the
//! [`Manifest`], the greeting of a session; the others are batches as on the line, and pieces of files.
//!
//! Several bundles may be under way and any of them may be lost. So a bundle says which earlier one its contents follow
//! upon ([`Header::base`]): everything that was not answered for since is in it. A receiver that has that one misses
//! nothing, whatever became of those in between.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::succession::Succession;
use super::{AuditShown, Countersigned, SetAside, Versions, hex, unhex};
use crate::model::{Classification, NodeId};
use crate::sync::Incarnation;

/// First line of every envelope.
pub const MARK: &str = "nqsync bundle 1";
/// Longest envelope, in bytes.
pub const MAX_ENVELOPE: usize = 8 << 20;
/// Most segments of a bundle.
pub const MAX_SEGMENTS: usize = 60_000;
/// What sealing adds to a segment: the encapsulated key and the tag, in bytes.
pub const SEAL_BYTES: u64 = 65 + 16;
/// Greatest number of a bundle: every reader of JSON has it exact.
pub const MAX_NUMBER: u64 = 1 << 53;
/// Longest manifest, in bytes.
pub const MAX_MANIFEST: u64 = 64 << 20;
/// Bytes of a file in one segment.
pub const FILE_PIECE: u64 = 8 << 20;

/// A place in the bundles of one direction: a number and the hash of that bundle's envelope, 64 hex digits; zero and empty
/// before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// Number of the bundle.
    pub number: u64,
    /// Hash of its envelope.
    pub hash: String,
}

/// One sealed segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its length, in bytes.
    pub bytes: u64,
    /// Its SHA-256, 64 hex digits.
    pub sha256: String,
}

/// What an envelope says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Who made it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// Pin of the key it is sealed for, 64 hex digits.
    pub to_key: String,
    /// Its number, counted from 1 by its issuer for this recipient.
    pub number: u64,
    /// The bundle that it was made after; number zero before the first.
    pub before: At,
    /// The bundle that its contents follow upon; number zero: it holds everything.
    pub base: At,
    /// When it was made, by its issuer's clock: milliseconds since 1970.
    pub made_at: i64,
    /// When it may be taken in no more.
    pub expires_at: i64,
    /// The highest level of secrecy it may hold.
    pub ceiling: Classification,
    /// Whether its issuer expects a receipt; `false` where nothing can come back.
    pub answer: bool,
    /// Its segments, in order.
    pub segments: Vec<Segment>,
}

/// An envelope of which only the frame was read: who claims to have signed it, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// Pin of the key that is said to have signed.
    pub key: [u8; 32],
    /// The signature, DER.
    pub signature: Vec<u8>,
    /// What is signed.
    pub signed: String,
    /// The header, not read yet.
    header: &'a str,
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the frame of an envelope.
    #[error("this is no envelope of a bundle")]
    Frame,
    /// An envelope of another version.
    #[error("this envelope is of another version than 1; upgrade this node")]
    Version,
    /// Signed, and yet not a header.
    #[error("the header of the envelope cannot be read: {0}")]
    Header(String),
}

impl Header {
    /// What is signed: the mark, the signing key's pin, and the header.
    pub fn signed_text(&self, key: &[u8; 32]) -> Result<String, serde_json::Error> {
        let header = serde_json::to_string(self)?;
        Ok(signed_text(&hex(key), &header))
    }
}

fn signed_text(key: &str, header: &str) -> String {
    format!("{MARK}\nfrom {key}\n{header}\n")
}

/// Puts the signature into a signed text, which makes it an envelope.
pub fn envelope(signed: &str, signature: &[u8]) -> String {
    let mut lines = signed.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (mark, key, header) = (line(), line(), line());
    format!("{mark}\n{key}\nsignature {}\n{header}", hex(signature))
}

/// The hash of a bundle: over what is signed, because a signature can be made in many ways.
pub fn hash(signed: &str) -> String {
    hex(&Sha256::digest(signed.as_bytes()))
}

/// Reads the frame of an envelope and nothing behind it. The header may be read once the signature is proved.
pub fn frame(raw: &[u8]) -> Result<Framed<'_>, EnvelopeError> {
    let text = std::str::from_utf8(raw).map_err(|_| EnvelopeError::Frame)?;
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (mark, key, signature, header) = (line(), line(), line(), line());
    if mark != MARK {
        let version = mark.strip_prefix("nqsync bundle ").unwrap_or_default();
        let newer = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        return Err(match newer {
            true => EnvelopeError::Version,
            false => EnvelopeError::Frame,
        });
    }
    let lower = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let digits = |line: &str, name: &str| {
        let digits = line.strip_prefix(name)?.strip_prefix(' ')?;
        unhex(digits).filter(|_| lower(digits))
    };
    let key = digits(key, "from").and_then(|key| <[u8; 32]>::try_from(key).ok());
    let header = header.strip_suffix('\n').filter(|h| !h.contains('\n'));
    match (key, digits(signature, "signature"), header) {
        (Some(key), Some(signature), Some(header)) => Ok(Framed {
            key,
            signature,
            signed: signed_text(&hex(&key), header),
            header,
        }),
        _ => Err(EnvelopeError::Frame),
    }
}

impl Framed<'_> {
    /// The header, for whoever has proved the signature.
    pub fn header(&self) -> Result<Header, EnvelopeError> {
        let header: Header = serde_json::from_str(self.header)
            .map_err(|error| EnvelopeError::Header(error.to_string()))?;
        let odd = |what: &str| Err(EnvelopeError::Header(what.to_owned()));
        let counted = 1..=MAX_NUMBER;
        if !counted.contains(&header.number) || header.before.number >= header.number {
            return odd("its number does not follow the one before");
        }
        if header.base.number > header.before.number {
            return odd("it follows upon a bundle that was not made yet");
        }
        if header.segments.is_empty() || header.segments.len() > MAX_SEGMENTS {
            return odd("the number of its segments is out of bounds");
        }
        Ok(header)
    }

    /// The hash of the bundle.
    pub fn hash(&self) -> String {
        hash(&self.signed)
    }
}

/// The first segment: the greeting of a session on a medium.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Versions of the protocol that the issuer speaks; batches are of the newest.
    pub protocol: Versions,
    /// The program's version, for people.
    pub version: String,
    /// The latest openings of the issuer's store, newest first.
    pub chain: Vec<Incarnation>,
    /// What each further segment holds.
    pub contents: Vec<Content>,
    /// The newest bundle of the recipient that the issuer has taken in.
    #[serde(default)]
    pub taken: At,
    /// The newest bundle of the issuer for which it has heard an answer.
    #[serde(default)]
    pub heard: At,
    /// The issuer's answers to bundles of the recipient.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// Files, by SHA-256 as hex digits, that the recipient has to bring: also such as it had brought before.
    #[serde(default)]
    pub wanted: Vec<String>,
    /// The issuer's audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditShown>,
    /// A parent's signature under the end of its child's audit that it has seen last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countersigned: Option<Countersigned>,
    /// How the authorities of a parent followed each other, where its child has not shown that it knows the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<Succession>,
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A batch of records: zstd of lines, as on the line.
    Batch,
    /// A piece of a file.
    Piece {
        /// SHA-256 of the whole file, hex digits.
        file: String,
        /// Length of the whole file, in bytes.
        size: u64,
        /// Where the piece begins.
        offset: u64,
    },
}

/// The answer to a bundle: its contents are on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which bundle.
    pub at: At,
    /// Records set aside, each with its reason; everything else was joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
    /// How many lines could not even be read.
    #[serde(default)]
    pub unreadable: u32,
    /// Files that are whole there now, by SHA-256 as hex digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// What a receiver remembers of one issuer's bundles.
pub trait Memory {
    /// The bundle that was taken in last.
    fn tip(&self) -> At;
    /// Whether the bundle of this number and hash was taken in, on any branch.
    fn has_taken(&self, at: &At) -> bool;
    /// Whether any bundle of this number was taken in.
    fn has_any(&self, number: u64) -> bool;
    /// The bundle that the one of this number, when taken in, said it was made after.
    fn before(&self, number: u64) -> Option<At>;
}

/// What a bundle means to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is to be taken in. The numbers from here to the one before it never came; what they held is in it.
    Take {
        /// First number that never came.
        missing_from: u64,
    },
    /// It was taken in before: nothing to do.
    Repeat,
    /// One that a later bundle has replaced: nothing to do.
    Late,
    /// It builds on bundles that did not come yet.
    Waits {
        /// The bundle it follows upon.
        base: u64,
    },
    /// Its issuer's disk went back: the two do not remember the same past.
    Torn,
}

/// Judges a bundle by what was taken in before.
pub fn standing(memory: &impl Memory, header: &Header, hash: &str) -> Standing {
    let at = At {
        number: header.number,
        hash: hash.to_owned(),
    };
    if memory.has_taken(&at) {
        return Standing::Repeat;
    }
    let (before, number, tip) = (&header.before, header.number, memory.tip());
    let other_past =
        before.number > 0 && memory.has_any(before.number) && !memory.has_taken(before);
    let other_future = memory
        .before(number + 1)
        .is_some_and(|said| said.number == number && said != at);
    // What goes on from where we stand is of our past, also when the issuer went back before that.
    let torn = *before != tip && (memory.has_any(number) || other_past || other_future);
    if !torn && number <= tip.number {
        return Standing::Late;
    }
    if header.base.number > 0 && !memory.has_taken(&header.base) {
        return Standing::Waits {
            base: header.base.number,
        };
    }
    match torn {
        true => Standing::Torn,
        false => Standing::Take {
            missing_from: tip.number + 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;

    fn header(number: u64, base: u64) -> Header {
        let at = |number: u64| match number {
            0 => At::default(),
            number => At {
                number,
                hash: format!("h{number}"),
            },
        };
        Header {
            from: NodeId(Uuid::from_u128(1)),
            to: NodeId(Uuid::from_u128(2)),
            to_key: hex(&[7; 32]),
            number,
            before: at(number - 1),
            base: at(base),
            made_at: 1_775_000_000_000,
            expires_at: 1_777_000_000_000,
            ceiling: Classification::None,
            answer: true,
            segments: vec![Segment {
                bytes: 100,
                sha256: hex(&[9; 32]),
            }],
        }
    }

    fn enveloped(header: &Header) -> String {
        let signed = header.signed_text(&[3; 32]).expect("plain values");
        envelope(&signed, b"signature")
    }

    #[test]
    fn an_envelope_is_read_back_and_its_signed_text_is_what_was_signed() {
        let header = header(4, 2);
        let raw = enveloped(&header);
        let framed = frame(raw.as_bytes()).expect("an envelope");
        assert_eq!(framed.key, [3; 32]);
        assert_eq!(framed.signature, b"signature");
        assert_eq!(framed.signed, header.signed_text(&[3; 32]).expect("plain"));
        assert_eq!(framed.header(), Ok(header));
        assert_eq!(framed.hash(), hash(&framed.signed));
    }

    #[test]
    fn ib3_no_changed_byte_of_an_envelope_leaves_what_is_signed_as_it_was() {
        let raw = enveloped(&header(4, 2)).into_bytes();
        let whole = frame(&raw).expect("an envelope");
        for at in 0..raw.len() {
            for bit in [1u8, 0x20, 0x80] {
                let mut changed = raw.clone();
                changed[at] ^= bit;
                if let Ok(found) = frame(&changed) {
                    let same = found.signed == whole.signed && found.signature == whole.signature;
                    assert!(!same, "byte {at}");
                }
            }
        }
        for length in 0..raw.len() {
            assert!(frame(&raw[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_header_that_contradicts_itself_is_refused_even_when_signed() {
        let mut odd = vec![header(4, 2); 5];
        odd[0].number = 0;
        odd[1].before.number = 4;
        odd[2].base.number = 4;
        odd[3].segments.clear();
        odd[4].number = u64::MAX;
        for header in odd {
            let raw = enveloped(&header);
            let read = frame(raw.as_bytes()).expect("a frame").header();
            assert!(matches!(read, Err(EnvelopeError::Header(_))), "{header:?}");
        }
        let newer = enveloped(&header(1, 0)).replace("bundle 1", "bundle 2");
        assert_eq!(frame(newer.as_bytes()).err(), Some(EnvelopeError::Version));
    }

    /// What was taken in: by number and hash, what it was made after.
    #[derive(Default)]
    struct Taken {
        tip: At,
        all: BTreeMap<(u64, String), At>,
    }

    impl Taken {
        fn of(headers: &[&Header]) -> Taken {
            let mut taken = Taken::default();
            for header in headers {
                taken.take(header, &format!("h{}", header.number));
            }
            taken
        }

        fn take(&mut self, header: &Header, hash: &str) {
            self.tip = At {
                number: header.number,
                hash: hash.to_owned(),
            };
            self.all
                .insert((header.number, hash.to_owned()), header.before.clone());
        }
    }

    impl Memory for Taken {
        fn tip(&self) -> At {
            self.tip.clone()
        }

        fn has_taken(&self, at: &At) -> bool {
            self.all.contains_key(&(at.number, at.hash.clone()))
        }

        fn has_any(&self, number: u64) -> bool {
            self.all.keys().any(|(known, _)| *known == number)
        }

        fn before(&self, number: u64) -> Option<At> {
            let mut found = self.all.iter().filter(|((known, _), _)| *known == number);
            found.next_back().map(|(_, before)| before.clone())
        }
    }

    #[test]
    fn ib2_a_gap_is_named_and_only_a_bundle_that_builds_on_it_waits() {
        let taken = Taken::of(&[&header(1, 0)]);
        let whole = standing(&taken, &header(4, 1), "h4");
        assert_eq!(whole, Standing::Take { missing_from: 2 });
        let all = standing(&taken, &header(4, 0), "h4");
        assert_eq!(all, Standing::Take { missing_from: 2 });
        let building = standing(&taken, &header(4, 3), "h4");
        assert_eq!(building, Standing::Waits { base: 3 });
        let next = standing(&taken, &header(2, 1), "h2");
        assert_eq!(next, Standing::Take { missing_from: 2 });
        // What was missed comes after all, when its contents are here already.
        let taken = Taken::of(&[&header(1, 0), &header(4, 1)]);
        assert_eq!(standing(&taken, &header(3, 1), "h3"), Standing::Late);
        assert_eq!(standing(&taken, &header(2, 1), "h2"), Standing::Late);
    }

    #[test]
    fn ib4_an_old_bundle_is_known_by_its_hash_and_another_one_under_its_number_is_another_past() {
        let mut taken = Taken::of(&[&header(1, 0), &header(2, 0), &header(3, 2)]);
        for number in 1..=3 {
            let again = standing(&taken, &header(number, 0), &format!("h{number}"));
            assert_eq!(again, Standing::Repeat);
        }
        // The issuer went back to the disk of before its second bundle, and made another one.
        let other = header(2, 1);
        assert_eq!(standing(&taken, &other, "other"), Standing::Torn);
        taken.take(&other, "other");
        assert_eq!(standing(&taken, &header(2, 0), "h2"), Standing::Repeat);
        let mut next = header(3, 2);
        next.before.hash = "other".to_owned();
        next.base.hash = "other".to_owned();
        let goes_on = standing(&taken, &next, "after the other");
        assert_eq!(goes_on, Standing::Take { missing_from: 3 });
        // A bundle of a past that nobody knows, built on what never came, is not taken in on trust.
        let mut strange = header(3, 2);
        strange.before.hash = "strange".to_owned();
        strange.base.hash = "strange".to_owned();
        let judged = standing(&taken, &strange, "strange 3");
        assert_eq!(judged, Standing::Waits { base: 2 });
    }
}
