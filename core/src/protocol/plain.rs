//! JSON that every reader understands alike, and this one to its last value.
//!
//! What is passed on untouched is kept as text, and a text can be well-formed JSON without meaning anything: nested
//! deeper than readers go, half of a surrogate pair, a number beyond all ranges, one key twice. Whoever took such a
//! value would show nothing, or another value than the next node. It is refused where it comes in.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Fails with the place and the reason when a text is not JSON that can be read to its last value.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str(text).map(|Plain| ())
}

/// Any value, read and not kept.
struct Plain;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        while items.next_element::<Plain>()?.is_some() {}
        Ok(Plain)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Plain, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = pairs.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format!("the key {name:?} is there twice")));
            }
            pairs.next_value::<Plain>()?;
            names.insert(name);
        }
        Ok(Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn g4_what_cannot_be_read_to_its_last_value_is_refused_with_its_place() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (text, words) in [
            (deep.as_str(), "recursion limit"),
            (r#"{"a":{"b":1,"b":2}}"#, "the key \"b\" is there twice"),
            (r#"{"a":1,"\u0061":2}"#, "the key \"a\" is there twice"),
            (r#"{"a":NaN}"#, "expected value"),
            (r#"{"a":1e999}"#, "out of range"),
            (r#"["\ud800"]"#, "hex escape"),
            ("[\"\u{0}\"]", "control character"),
        ] {
            let refused = check(text).expect_err(words).to_string();
            assert!(refused.contains(words), "{refused}");
        }
        for text in [
            r#"{"a":[1,-2,0.5,true,null,"\ud83d\ude00 \u0000"],"b":{"a":1}}"#,
            "\"x\"",
        ] {
            check(text).expect(text);
        }
    }
}
