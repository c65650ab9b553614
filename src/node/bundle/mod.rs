//! Bundles: a session with a neighbour on a medium, where no line may join the two.
//!
//! What a bundle holds is prepared, judged and joined by the same code as a batch on the line, under the authority of the
//! key that signed it. Only the cursor is another one: several bundles may be under way, so each is numbered, and a
//! receipt names the one that it answers for (see [`nqsync_core::protocol::bundle`]).
//!
//! A bundle has the level of secrecy of the store it is made from, and goes into a store of that level or of a higher one only.
//! That is checked where it is made and again, envelope and records, where it is taken in.
//!
//! Nothing on a medium is believed: names are numbers, only regular files are opened, and of an envelope nothing but its
//! frame is read before its signature is proved.

pub mod export;
pub mod import;
pub mod medium;
pub mod peer;
mod taking;

use nqsync_core::model::NodeId;
use nqsync_core::protocol::bundle::{EnvelopeError, MARK};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use self::medium::MediumError;
use crate::node::offer::Contents;
use crate::store::StoreError;
use crate::trust::pin::Pin;

/// Fact of the store: the key of the parent's authority, as hex digits. Its pin is the one this node was enrolled with.
pub const UPSTREAM_KEY: &str = "upstream_key";

/// How long the answer to a bundle may take before `status` says so: a courier comes weekly in the quietest places.
pub const ANSWER_DUE_MS: i64 = 8 * 86_400_000;

/// One bundle is made or taken in at a time: its number and place follow from those before.
pub(super) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What a receipt for a bundle answers for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Records, receipts and what was shown to the parent.
    pub records: Contents,
    /// Files, by SHA-256 as hex digits.
    pub files: Vec<String>,
}

/// Why a bundle is not taken in, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The medium cannot be read or written, or holds something else.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// Not an envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// One that this node made: it was left on the medium on the way back.
    #[error("this node made it")]
    Own,
    /// Signed by a key that no neighbour has.
    #[error(
        "signed by the key {0}, which is of no neighbour of this node, or of one that was revoked"
    )]
    UnknownIssuer(Pin),
    /// The signature is not of the key it names.
    #[error("the envelope was changed, or not signed by the key it names")]
    Signature,
    /// It names another node than its key's as its issuer.
    #[error("it says that it is from node {said}, but its key is of {by_key}")]
    OtherIssuer {
        /// The node it names.
        said: NodeId,
        /// The node whose key signed.
        by_key: NodeId,
    },
    /// It is for somebody else.
    #[error("it is for node {0}")]
    OtherRecipient(NodeId),
    /// It is for this node, and sealed for a key that it does not have.
    #[error("it is sealed for the key {0}, which this node does not have")]
    OtherKey(String),
    /// It may be taken in no more.
    #[error("it was to be taken in until {until}; the clock here says {now}")]
    Expired {
        /// When it expired.
        until: String,
        /// Now.
        now: String,
    },
    /// It may hold what this node may not.
    #[error("it may hold what is above the level of secrecy of this node")]
    AboveCeiling,
    /// A segment is not what the envelope says.
    #[error("segment {number} is not what the envelope says: {what}")]
    Segment {
        /// Which.
        number: usize,
        /// What is wrong.
        what: String,
    },
    /// The seal does not open.
    #[error("segment {0} does not open with the key of this node")]
    Seal(usize),
    /// Its issuer speaks another version of the protocol.
    #[error("its issuer speaks protocol {oldest} to {newest}; upgrade the older of both")]
    Version {
        /// Oldest spoken there.
        oldest: u16,
        /// Newest spoken there.
        newest: u16,
    },
    /// The key of a neighbour, or our own for it, is not here.
    #[error("{0}")]
    NoKey(String),
    /// More than a bundle may hold.
    #[error("it would have more than {0} segments")]
    TooLarge(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BundleError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            BundleError::Medium(error) => error.code(),
            BundleError::Envelope(EnvelopeError::Version) | BundleError::Version { .. } => {
                "version"
            }
            BundleError::Envelope(_) => "no_envelope",
            BundleError::Own => "own",
            BundleError::UnknownIssuer(_) => "unknown_issuer",
            BundleError::Signature => "signature",
            BundleError::OtherIssuer { .. } => "other_issuer",
            BundleError::OtherRecipient(_) => "other_recipient",
            BundleError::OtherKey(_) => "other_key",
            BundleError::Expired { .. } => "expired",
            BundleError::AboveCeiling => "above_ceiling",
            BundleError::Segment { .. } => "damaged",
            BundleError::Seal(_) => "seal",
            BundleError::NoKey(_) => "no_key",
            BundleError::TooLarge(_) => "too_large",
            BundleError::Store(_) => "store",
        }
    }
}

/// What is bound into every seal of a bundle: between whom it goes, and where it stands.
pub(super) fn seal_info(from: &Pin, to: &str, number: u64, before: &str) -> Vec<u8> {
    format!("{MARK}\nfrom {from}\nto {to}\nnumber {number}\nafter {before}\n").into_bytes()
}
