//! Hybrid logical clock: an order over the writes of one record, made on machines whose clocks disagree.
//!
//! Invariant: the stamps one author puts into one record only grow. The wall clock is an argument and is never
//! read here. A stamp decides which of several concurrent values is *shown*, never which one survives, so a
//! dead clock battery cannot lose anybody's work.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bits of a stamp below the milliseconds: a counter for writes inside one millisecond.
const LOGICAL_BITS: u32 = 16;

/// A moment as one author's clock told it: milliseconds since 1970 in the upper 48 bits, a counter below.
/// Written as 16 lowercase hexadecimal digits, so that text order is time order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The stamp for a new write: the own clock, or just after the greatest stamp already in the record.
    pub fn next(now_ms: i64, greatest_seen: Option<Stamp>) -> Stamp {
        let max_ms = (u64::MAX >> LOGICAL_BITS) as i64;
        let own = (now_ms.clamp(0, max_ms) as u64) << LOGICAL_BITS;
        match greatest_seen {
            Some(Stamp(seen)) => Stamp(own.max(seen.saturating_add(1))),
            None => Stamp(own),
        }
    }

    /// Milliseconds since 1970, as the author's clock told them.
    pub fn millis(self) -> i64 {
        (self.0 >> LOGICAL_BITS) as i64
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Stamp {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Stamp)
    }
}

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_back_does_not_order_a_write_before_what_it_has_seen() {
        let ahead = Stamp::next(4_000_000_000_000, None);
        let after = Stamp::next(1_000, Some(ahead));
        assert!(after > ahead);
        assert_eq!(after.millis(), ahead.millis());
    }

    #[test]
    fn c4_a_frozen_clock_still_gives_growing_stamps_for_a_million_writes() {
        let mut last = None;
        for _ in 0..(1 << 20) {
            let next = Stamp::next(1_763_000_000_000, last);
            assert!(Some(next) > last);
            last = Some(next);
        }
    }

    #[test]
    fn text_order_is_time_order() {
        let (a, b) = (Stamp::next(9, None), Stamp::next(10, None));
        assert!(a.to_string() < b.to_string());
        assert_eq!(a.to_string().parse::<Stamp>(), Ok(a));
    }
}
