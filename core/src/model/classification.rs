//! Levels of secrecy, and the one question that every way out of a node asks of a record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calendar::fold;

/// A level of secrecy (*độ mật*), as the law on the protection of state secrets names them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// Not classified.
    #[default]
    None,
    /// *Mật*.
    Confidential,
    /// *Tối mật*.
    Secret,
    /// *Tuyệt mật*.
    TopSecret,
}

impl Classification {
    /// Every level above *none*, from the least to the most.
    pub const ABOVE_NONE: [Classification; 3] = [
        Classification::Confidential,
        Classification::Secret,
        Classification::TopSecret,
    ];

    /// Its word in configurations, facts and names of folders.
    pub fn word(self) -> &'static str {
        match self {
            Classification::None => "none",
            Classification::Confidential => "confidential",
            Classification::Secret => "secret",
            Classification::TopSecret => "top_secret",
        }
    }

    /// The level that a record's facts state. A record without one is not classified; a word that this version does not
    /// know may mean anything, so it counts as the highest.
    pub fn of_facts(facts_raw: &str) -> Classification {
        let facts: Option<Value> = serde_json::from_str(facts_raw).ok();
        match facts.as_ref().map(|facts| &facts["classification"]) {
            None => Classification::TopSecret,
            Some(Value::Null) => Classification::None,
            Some(stated) => {
                Classification::deserialize(stated).unwrap_or(Classification::TopSecret)
            }
        }
    }

    /// The level that people name: in words of either language, or by the letter of the stamp (A, B, C). Nothing at all is no
    /// level; `None` is a word that names none.
    pub fn named(text: &str) -> Option<Classification> {
        // As it stands in configurations.
        if let Ok(level) = text.parse() {
            return Some(level);
        }
        Some(match fold(text).as_str() {
            "" | "none" | "unclassified" | "khong" | "khong mat" | "thuong" | "binh thuong"
            | "cong khai" => Classification::None,
            "mat" | "c" | "confidential" => Classification::Confidential,
            "toi mat" | "b" | "secret" => Classification::Secret,
            "tuyet mat" | "a" | "top secret" => Classification::TopSecret,
            _ => return None,
        })
    }

    /// Whether a way with this ceiling may carry a record of this level.
    pub fn may_pass(self, ceiling: Classification) -> bool {
        self <= ceiling
    }

    /// The same where bytes are made for somebody else.
    pub fn may_leave(self, ceiling: Classification) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::thrown(crate::faults::Canary::LeakyCeiling) {
            return true;
        }
        self.may_pass(ceiling)
    }

    /// The same where bytes of somebody else are read: the other side may be broken, or lie.
    pub fn may_come_in(self, ceiling: Classification) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::thrown(crate::faults::Canary::BlindCeiling) {
            return true;
        }
        self.may_pass(ceiling)
    }
}

impl FromStr for Classification {
    type Err = String;

    /// The word of [`Classification::word`], and nothing else.
    fn from_str(word: &str) -> Result<Classification, String> {
        [Classification::None]
            .into_iter()
            .chain(Classification::ABOVE_NONE)
            .find(|level| level.word() == word)
            .ok_or_else(|| format!("{word:?} is no level of secrecy"))
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Classification::None => "none",
            Classification::Confidential => "Mật",
            Classification::Secret => "Tối mật",
            Classification::TopSecret => "Tuyệt mật",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_from_the_facts_and_an_unknown_one_is_the_highest() {
        let of = Classification::of_facts;
        assert_eq!(of(r#"{"issuer":"x"}"#), Classification::None);
        assert_eq!(of(r#"{"classification":null}"#), Classification::None);
        assert_eq!(of(r#"{"classification":"none"}"#), Classification::None);
        assert_eq!(of(r#"{"classification":"secret"}"#), Classification::Secret);
        for strange in [
            r#"{"classification":"cosmic"}"#,
            r#"{"classification":0}"#,
            "{",
        ] {
            assert_eq!(of(strange), Classification::TopSecret, "{strange}");
        }
    }

    #[test]
    fn a_level_is_known_by_its_words_and_its_letter() {
        use Classification::{Confidential, None as Open, Secret, TopSecret};
        for (text, level) in [
            ("", Some(Open)),
            (" Không ", Some(Open)),
            ("MẬT", Some(Confidential)),
            ("Tối  mật", Some(Secret)),
            ("tuyệt mật", Some(TopSecret)),
            ("Top Secret", Some(TopSecret)),
            ("A", Some(TopSecret)),
            ("top_secret", Some(TopSecret)),
            ("mật độ", None),
        ] {
            assert_eq!(Classification::named(text), level, "{text}");
        }
    }

    #[test]
    fn a_way_carries_its_own_level_and_those_below_out_and_in() {
        use Classification::{Confidential, None, Secret, TopSecret};
        for may in [
            Classification::may_pass,
            Classification::may_leave,
            Classification::may_come_in,
        ] {
            assert!(may(None, None) && may(Confidential, Secret));
            assert!(!may(Confidential, None) && !may(TopSecret, Secret));
        }
    }
}
