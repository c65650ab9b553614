//! Enrolments and revocations of a node, as it has its parent keep them, so that it has them back after its disk was lost.
//!
//! The text is signed by the node's own authority: the parent can keep it and can give an older one back, and can put nothing
//! into it. What is given back is joined with what is there, so an older one takes nothing away.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::hex;
use crate::model::{NodeId, UnitId};

/// Most bytes of a roster: some thousand children.
pub const MAX_ROSTER: usize = 4 << 20;

/// One child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The child.
    pub node: NodeId,
    /// The unit that it was enrolled for.
    pub unit: UnitId,
    /// When, in milliseconds since 1970.
    pub enrolled_at: i64,
    /// Its key.
    pub key: KeyState,
    /// Whether it was cut off.
    pub revocation: Revocation,
}

/// A child's key, with the number of keys that it had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// How many keys it had before this one.
    pub number: i64,
    /// Fingerprint, as hexadecimal digits.
    pub pin: String,
    /// Certificate, PEM.
    pub certificate: String,
}

/// Whether a child is cut off, with how often that was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// How often a person decided about it.
    pub number: i64,
    /// Since when it is cut off, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// Why, as the person wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A roster as it is kept: its text, and the signature of the node's authority under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The entries, as JSON. Who keeps it does not look into it.
    pub text: String,
    /// Public key of the authority, as SubjectPublicKeyInfo in hexadecimal digits.
    pub key: String,
    /// Its signature under [`signed_text`], in hexadecimal digits.
    pub signature: String,
}

/// A child has a roster kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keep {
    /// What it takes the place of: the [`hash`] of the one that the child has taken in. Empty for none.
    pub replaces: String,
    /// The roster.
    pub roster: Roster,
}

/// Answer to a roster that was kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The [`hash`] of what is kept now.
    pub hash: String,
}

/// What is signed: a roster of one node is no other one's.
pub fn signed_text(node: NodeId, text: &str) -> String {
    format!("nqsync roster 1\n{node}\n{text}")
}

/// By which a roster is known: SHA-256 of its text, as hexadecimal digits.
pub fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// The text of entries; equal entries give equal text, in whatever order they come.
pub fn render(entries: &[Entry]) -> String {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.node);
    serde_json::to_string(&sorted).unwrap_or_default()
}

/// The entries of a text.
pub fn parse(text: &str) -> Result<Vec<Entry>, serde_json::Error> {
    serde_json::from_str(text)
}

/// One child as both remember it. A later key is the key. Of two memories of decisions the longer one holds, but for this: who
/// is cut off here stays so. After a disk went back the decision here may be the last one, however many are remembered
/// above; letting in again is one word, taking back a theft is none.
pub fn join(ours: &Entry, kept: &Entry) -> Entry {
    let key = match kept.key.number > ours.key.number {
        true => &kept.key,
        false => &ours.key,
    };
    let (mine, theirs) = (&ours.revocation, &kept.revocation);
    let longer = theirs.number > mine.number;
    let revocation = match (mine.at, theirs.at) {
        (Some(_), None) => Revocation {
            number: mine.number.max(theirs.number),
            ..mine.clone()
        },
        (None, Some(_)) if theirs.number == mine.number => theirs.clone(),
        _ if longer => theirs.clone(),
        _ => mine.clone(),
    };
    Entry {
        key: key.clone(),
        revocation,
        ..ours.clone()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(node: u128, keys: i64, pin: &str, decided: i64, at: Option<i64>) -> Entry {
        Entry {
            node: NodeId(Uuid::from_u128(node)),
            unit: UnitId(Uuid::from_u128(9)),
            enrolled_at: 5,
            key: KeyState {
                number: keys,
                pin: pin.to_owned(),
                certificate: format!("certificate of {pin}"),
            },
            revocation: Revocation {
                number: decided,
                at,
                reason: at.map(|_| "stolen".to_owned()),
            },
        }
    }

    #[test]
    fn a_text_is_the_same_in_any_order_and_reads_back() {
        let (one, two) = (entry(1, 0, "aa", 0, None), entry(2, 1, "bb", 1, Some(7)));
        let text = render(&[two.clone(), one.clone()]);
        assert_eq!(text, render(&[one.clone(), two.clone()]));
        assert_eq!(parse(&text).expect("entries"), [one, two]);
        assert_ne!(hash(&text), hash(&render(&[])));
    }

    #[test]
    fn what_a_newer_version_says_of_a_child_does_not_hide_the_child() {
        let mut newer = serde_json::to_value(entry(1, 0, "aa", 0, None)).expect("JSON");
        newer["colour"] = "red".into();
        newer["revocation"]["by"] = "An".into();
        let text = serde_json::json!([newer]).to_string();
        assert_eq!(parse(&text).expect("entries"), [entry(1, 0, "aa", 0, None)]);
    }

    #[test]
    fn the_later_key_and_the_later_decision_hold_and_of_equal_ones_the_one_that_cuts_off() {
        let old = entry(1, 1, "aa", 1, None);
        for (kept, pin, at) in [
            (entry(1, 2, "bb", 1, None), "bb", None),
            (entry(1, 0, "bb", 1, None), "aa", None),
            (entry(1, 1, "bb", 1, None), "aa", None),
            (entry(1, 1, "aa", 2, Some(7)), "aa", Some(7)),
            (entry(1, 1, "aa", 0, Some(7)), "aa", None),
            (entry(1, 1, "aa", 1, Some(7)), "aa", Some(7)),
            (entry(1, 2, "bb", 0, Some(7)), "bb", None),
        ] {
            let joined = join(&old, &kept);
            assert_eq!(
                (joined.key.pin.as_str(), joined.revocation.at),
                (pin, at),
                "{kept:?}"
            );
        }
        let cut_off = entry(1, 1, "aa", 1, Some(7));
        let let_in = entry(1, 1, "aa", 2, None);
        // It may have been cut off here a moment ago, on a disk that had gone back.
        let joined = join(&cut_off, &let_in);
        assert_eq!(
            (joined.revocation.number, joined.revocation.at),
            (2, Some(7))
        );
        assert_eq!(join(&joined, &let_in), joined, "once is enough");
        assert_eq!(join(&let_in, &cut_off).revocation.at, None);
        assert_eq!(
            join(&cut_off, &entry(1, 1, "aa", 1, None)).revocation.at,
            Some(7)
        );
    }

    #[test]
    fn joining_again_changes_nothing() {
        let all = [
            entry(1, 0, "aa", 0, None),
            entry(1, 1, "bb", 1, Some(7)),
            entry(1, 1, "cc", 1, None),
            entry(1, 2, "dd", 2, None),
        ];
        for ours in &all {
            for kept in &all {
                let joined = join(ours, kept);
                assert_eq!(join(&joined, kept), joined, "{ours:?} {kept:?}");
                assert_eq!(join(&joined, &joined), joined);
            }
        }
    }
}
