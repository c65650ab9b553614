//! Seals: how a node that lost its own writes knows them again when a child brings them back.
//!
//! A child may not write for the units above it, so what it says of them is refused. After a restore from an old copy
//! a parent lacks writes of its own that its children still hold. The seal is a keyed hash that only the writing node
//! can make and check; it travels inside the edit, as its last member, and means nothing to anybody else:
//!
//! ```json
//! {"i":"7Q…","n":3,…,"w":{…},"seal":"kZ0Yq3b8S1WcT2dQx5r7Ag"}
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::edit::Edit;
use super::record::Record;
use crate::model::{Facts, Key};

/// Bytes of a seal: half of an HMAC-SHA-256.
const BYTES: usize = 16;
/// What stands between an edit and its seal.
const BEFORE: &str = r#","seal":""#;
/// What stands behind it.
const AFTER: &str = r#""}"#;

/// The secret of one node, kept in its store and in every backup of it.
#[derive(Clone, Copy)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// A key of these bytes, which must come from a good source of chance.
    pub fn new(bytes: [u8; 32]) -> SealKey {
        SealKey(bytes)
    }

    /// Reads what [`SealKey::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<SealKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(SealKey(bytes.try_into().ok()?))
    }

    /// The key as it is stored.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// An unsealed edit with the seal put in.
    pub(super) fn seal(self, key: Key, facts: &Facts, unsealed: &str) -> String {
        let seal = self.mac(key, facts, unsealed).finalize().into_bytes();
        let body = unsealed.strip_suffix('}').unwrap_or(unsealed);
        let seal = URL_SAFE_NO_PAD.encode(&seal[..BYTES]);
        format!("{body}{BEFORE}{seal}{AFTER}")
    }

    /// Whether an edit of this record was sealed with this key.
    pub fn made(self, record: &Record, edit: &Edit) -> bool {
        let Some((unsealed, seal)) = split(edit.raw()) else {
            return false;
        };
        let mac = self.mac(record.key(), record.facts(), &unsealed);
        mac.verify_truncated_left(&seal).is_ok()
    }

    /// Each part stands behind its length, so that no two records share a text.
    fn mac(self, key: Key, facts: &Facts, unsealed: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        let facts = facts.to_json();
        let parts = [
            key.kind.as_str().as_bytes(),
            key.id.as_bytes(),
            facts.as_bytes(),
            unsealed.as_bytes(),
        ];
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// Whether an edit's text ends like a sealed one.
pub(super) fn is_there(raw: &str) -> bool {
    split(raw).is_some()
}

/// An edit's text as it was before it was sealed, and the seal.
fn split(raw: &str) -> Option<(String, [u8; BYTES])> {
    let (body, seal) = raw.strip_suffix(AFTER)?.rsplit_once(BEFORE)?;
    let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
    Some((format!("{body}}}"), seal.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::model::UnitId;
    use crate::sync::{Author, Incarnation};

    fn unit(number: u128) -> UnitId {
        UnitId(Uuid::from_u128(number))
    }

    fn sealed(key: Option<SealKey>, owner: UnitId, id: u128, value: &str) -> Record {
        let facts = Facts::Unit { owner };
        let mut record = Record::begin(facts.clone(), facts.key(Uuid::from_u128(id)));
        let author = Author {
            incarnation: Incarnation([7; 16]),
            unit: owner,
            name: "somebody",
            seal: key,
        };
        let values = BTreeMap::from([("name".to_owned(), json!(value))]);
        record.write(author, 5, values, None).expect("a write");
        record
    }

    proptest! {
        #[test]
        fn a_seal_holds_for_its_own_record_text_and_key_only(
            key in any::<[u8; 32]>(),
            value in ".{0,40}",
            at in any::<prop::sample::Index>(),
        ) {
            let key = SealKey::new(key);
            let record = sealed(Some(key), unit(1), 10, &value);
            let edit = &record.edits()[0];
            prop_assert!(key.made(&record, edit));
            let again = Edit::parse(edit.raw()).expect("readable");
            prop_assert!(key.made(&record, &again), "the seal survives the wire");

            let mut other = key.0;
            other[at.index(32)] ^= 1;
            prop_assert!(!SealKey::new(other).made(&record, edit), "another key");
            prop_assert!(!key.made(&sealed(None, unit(1), 11, &value), edit), "another record");
            prop_assert!(!key.made(&sealed(None, unit(2), 10, &value), edit), "other facts");
            prop_assert!(!key.made(&record, &sealed(None, unit(1), 10, &value).edits()[0]), "no seal");
            prop_assert_eq!(SealKey::from_text(&key.to_text()).map(|k| k.0), Some(key.0));

            // Any other text that is still an edit.
            let place = at.index(edit.raw().len());
            let forged: String = edit.raw().char_indices()
                .map(|(i, c)| if i == place && c.is_ascii_digit() { '4' } else { c }).collect();
            if forged != edit.raw() && let Ok(forged) = Edit::parse(&forged) {
                prop_assert!(!key.made(&record, &forged), "a changed text");
            }
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", SealKey::new([3; 32])), "SealKey(…)");
    }
}
