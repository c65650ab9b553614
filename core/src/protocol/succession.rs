//! A parent that took a new authority says so on the word of the old one: who trusts the old one trusts the new one by it.

use serde::{Deserialize, Serialize};

use crate::model::NodeId;

/// Most successions that are followed or kept; at one a year they last a lifetime.
pub const MAX_SUCCESSIONS: usize = 64;

/// One succession. Keys are SubjectPublicKeyInfo in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    /// The authority before.
    pub old: String,
    /// The one that follows.
    pub new: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Signature of the old one under [`Succession::text`], in hexadecimal digits.
    pub signature: String,
}

impl Succession {
    /// What the old authority of a node signs.
    pub fn text(node: NodeId, old: &str, new: &str, at: i64) -> String {
        format!("nqsync authority 1\n{node}\n{old}\n{new}\n{at}\n")
    }
}
