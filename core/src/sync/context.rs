//! Dots, and what an author had seen.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One opening of a store for writing: a random 128-bit number, so that no restored or copied disk can ever
/// issue a dot that exists already. Written as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub [u8; 16]);

/// The name of one write: which opening made it, and its number among that opening's writes to this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The opening of the store that made the write.
    pub incarnation: Incarnation,
    /// Counts from 1 within one record, so that nobody can infer how busy the rest of a store is.
    pub counter: u32,
}

/// A set of dots, written as the greatest counter per incarnation.
///
/// That short form is exact for a record: whoever holds a write of an incarnation also held, in the same state,
/// every earlier write of it to that record, or something that had seen it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Context(BTreeMap<Incarnation, u32>);

/// What a form, an API reply or a workbook row was based on: one context per register. Opaque to its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// The record that was shown. Dots are counted per record: of another record the token says nothing. `None` where
    /// nothing was shown, and in tokens of 0.1.
    pub of: Option<Uuid>,
    /// What was shown, by register.
    pub seen: BTreeMap<String, Context>,
}

/// A token as it is handed out.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Handed {
    Of {
        of: Uuid,
        seen: BTreeMap<String, Context>,
    },
    Seen(BTreeMap<String, Context>),
}

/// A token or incarnation that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {what} {found:?}; hand back exactly what nqsync gave out")]
pub struct ContextError {
    what: &'static str,
    found: String,
}

impl Context {
    /// Whether the dot is among those seen.
    pub fn contains(&self, dot: Dot) -> bool {
        self.0
            .get(&dot.incarnation)
            .is_some_and(|greatest| dot.counter <= *greatest)
    }

    /// Adds one dot.
    pub fn insert(&mut self, dot: Dot) {
        let greatest = self.0.entry(dot.incarnation).or_default();
        *greatest = dot.counter.max(*greatest);
    }

    /// Adds everything another context has seen.
    pub fn extend(&mut self, other: &Context) {
        for (incarnation, counter) in &other.0 {
            self.insert(Dot {
                incarnation: *incarnation,
                counter: *counter,
            });
        }
    }

    /// Whether everything `other` has seen is seen here too.
    pub fn covers(&self, other: &Context) -> bool {
        other.0.iter().all(|(incarnation, counter)| {
            self.contains(Dot {
                incarnation: *incarnation,
                counter: *counter,
            })
        })
    }

    /// The greatest counter seen of one incarnation; 0 when none.
    pub fn greatest(&self, incarnation: Incarnation) -> u32 {
        self.0.get(&incarnation).copied().unwrap_or(0)
    }

    /// True when nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of incarnations named; watched, because it grows with every opening that wrote to the register.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The incarnations named.
    pub fn incarnations(&self) -> impl Iterator<Item = Incarnation> + '_ {
        self.0.keys().copied()
    }
}

impl FromIterator<Dot> for Context {
    fn from_iter<T: IntoIterator<Item = Dot>>(dots: T) -> Self {
        let mut context = Context::default();
        dots.into_iter().for_each(|dot| context.insert(dot));
        context
    }
}

impl Token {
    /// The context its holder was shown of one register; empty when the register had no value then.
    pub fn of(&self, register: &str) -> Context {
        self.seen.get(register).cloned().unwrap_or_default()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen.clone();
        let handed = match self.of {
            Some(of) => Handed::Of { of, seen },
            None => Handed::Seen(seen),
        };
        let json = serde_json::to_vec(&handed).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Token {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        URL_SAFE_NO_PAD
            .decode(text.trim())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .map(|handed| match handed {
                Handed::Of { of, seen } => Token { of: Some(of), seen },
                Handed::Seen(seen) => Token { of: None, seen },
            })
            .ok_or_else(|| ContextError {
                what: "token",
                found: text.chars().take(40).collect(),
            })
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Incarnation {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Incarnation(bytes)),
            _ => Err(ContextError {
                what: "incarnation",
                found: text.chars().take(40).collect(),
            }),
        }
    }
}

impl Serialize for Incarnation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Incarnation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
