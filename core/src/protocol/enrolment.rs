//! Enrolment where no line joins the two nodes: a request and its answer as files.
//!
//! The request carries no secret, only a proof made with the token's: whoever copies it on the way can do nothing with it.
//! The answer is signed by the parent's authority, whose pin stands in the token.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{hex, unhex};
use crate::model::NodeId;

/// Form of both files.
pub const FORM: u32 = 1;
/// Longest request, in bytes.
pub const MAX_REQUEST: u64 = 64 << 10;
/// Longest answer, in bytes: it holds the tree of units.
pub const MAX_ANSWER: u64 = 64 << 20;

/// A child's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The form of the file.
    pub nqsync_enrolment: u32,
    /// Code of the unit the child is set up for.
    pub unit: String,
    /// The child's node id.
    pub node: NodeId,
    /// Certificate signing request, PEM.
    pub csr: String,
    /// HMAC-SHA-256 over [`Asked::text`], hex, under the SHA-256 of the token's secret.
    pub proof: String,
}

impl Asked {
    /// A request under a token, of whose secret this is the SHA-256.
    pub fn new(unit: String, node: NodeId, csr: String, secret_sha256: &[u8; 32]) -> Asked {
        let mut asked = Asked {
            nqsync_enrolment: FORM,
            unit,
            node,
            csr,
            proof: String::new(),
        };
        asked.proof = hex(&asked.mac(secret_sha256).finalize().into_bytes());
        asked
    }

    /// What is proved: which node with which key serves which unit.
    pub fn text(&self) -> String {
        let csr = hex(&Sha256::digest(self.csr.as_bytes()));
        format!(
            "nqsync enrolment {FORM}\nunit {}\nnode {}\ncsr {csr}\n",
            self.unit, self.node
        )
    }

    fn mac(&self, secret_sha256: &[u8; 32]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret_sha256).expect("HMAC takes keys of any length");
        mac.update(self.text().as_bytes());
        mac
    }

    /// Whether whoever made it holds this token.
    pub fn is_under(&self, secret_sha256: &[u8; 32]) -> bool {
        let proof = unhex(&self.proof).unwrap_or_default();
        self.mac(secret_sha256).verify_slice(&proof).is_ok()
    }
}

/// The parent's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// The form of the file.
    pub nqsync_enrolled: u32,
    /// An `Enrolled`, in the bytes that are signed.
    pub enrolled: Box<RawValue>,
    /// Key of the parent's authority (SubjectPublicKeyInfo, DER), hex.
    pub key: String,
    /// ECDSA P-256 with SHA-256 over [`Answered::text`], DER, hex.
    pub signature: String,
}

impl Answered {
    /// What is signed: for whom, and what.
    pub fn text(node: NodeId, enrolled: &str) -> String {
        let sum = hex(&Sha256::digest(enrolled.as_bytes()));
        format!("nqsync enrolled {FORM}\nfor {node}\nsha256 {sum}\n")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_request_is_proved_by_its_token_alone_and_for_what_it_says() {
        let node = NodeId(Uuid::from_u128(1));
        let asked = Asked::new("24001".to_owned(), node, "csr".to_owned(), &[7; 32]);
        assert!(asked.is_under(&[7; 32]) && !asked.is_under(&[8; 32]));
        let mut others = vec![asked.clone(); 4];
        others[0].unit = "24002".to_owned();
        others[1].node = NodeId(Uuid::from_u128(2));
        others[2].csr = "another".to_owned();
        others[3].proof.pop();
        assert!(others.iter().all(|other| !other.is_under(&[7; 32])));
    }
}
