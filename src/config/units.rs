//! Values with a unit, as they stand in the configuration.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Units of size, largest first. Only binary ones: what "MB" means is read differently by different people.
const UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A number of bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Size(pub u64);

impl Size {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Reads `"4 MiB"`, `"512 KiB"`, `"100 B"` or a plain number of bytes.
    pub fn parse(text: &str) -> Result<Size, String> {
        let text = text.trim();
        let split = text
            .find(|c: char| !(c.is_ascii_digit() || c == '_'))
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let number: u64 = digits
            .replace('_', "")
            .parse()
            .map_err(|_| EXPECTED_SIZE.to_owned())?;
        let unit = unit.trim();
        if unit.is_empty() {
            return Ok(Size(number));
        }
        match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => number
                .checked_mul(*factor)
                .map(Size)
                .ok_or_else(|| EXPECTED_SIZE.to_owned()),
            None => Err(meant_unit(number, unit)),
        }
    }
}

/// What a size looks like.
pub const EXPECTED_SIZE: &str =
    "a number of bytes, or text with the unit B, KiB, MiB or GiB such as \"4 MiB\"";

fn meant_unit(number: u64, unit: &str) -> String {
    let meant = match unit.chars().next().map(|c| c.to_ascii_uppercase()) {
        Some('K') => "KiB",
        Some('M') => "MiB",
        Some('G') => "GiB",
        _ => return EXPECTED_SIZE.to_owned(),
    };
    format!("the units B, KiB, MiB and GiB: write \"{number} {meant}\"")
}

impl fmt::Display for Size {
    /// In the largest unit that leaves a whole number, so that no digit is lost.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match unit {
            Some((name, factor)) => write!(f, "{} {name}", self.0 / factor),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// A length of time, written in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "f64")]
pub struct Seconds(#[schemars(with = "f64")] pub Duration);

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        Duration::try_from_secs_f64(seconds)
            .map(Seconds)
            .map_err(|e| e.to_string())
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Duration {
        seconds.0
    }
}

/// A length of time, written in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(from = "u64")]
pub struct Millis(#[schemars(with = "u64")] pub Duration);

impl From<u64> for Millis {
    fn from(millis: u64) -> Self {
        Millis(Duration::from_millis(millis))
    }
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Duration {
        millis.0
    }
}

/// One cron expression, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct CronRule {
    text: String,
    cron: croner::Cron,
}

impl CronRule {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The expression, ready to compute times from.
    pub fn cron(&self) -> &croner::Cron {
        &self.cron
    }
}

impl TryFrom<String> for CronRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let cron = text.parse::<croner::Cron>().map_err(|e| e.to_string())?;
        // The 30th of February is well-formed, and nobody who writes it means never.
        let begin = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
        if cron.find_next_occurrence(&begin, false).is_err() {
            return Err("there is no such day, so it would never come".to_owned());
        }
        Ok(CronRule { text, cron })
    }
}

impl PartialEq for CronRule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_units_only() {
        assert_eq!(Size::parse("4 MiB"), Ok(Size(4 << 20)));
        assert_eq!(Size::parse("512KiB"), Ok(Size(512 << 10)));
        assert_eq!(Size::parse("16_000"), Ok(Size(16_000)));
        assert!(Size::parse("4 MB").unwrap_err().contains("\"4 MiB\""));
        assert!(Size::parse("-1").is_err());
        assert!(Size::parse("").is_err());
        assert!(Size::parse("99999999999 GiB").is_err());
    }

    #[test]
    fn a_size_is_shown_without_losing_a_byte() {
        for bytes in [0, 1, 1023, 1024, 1025, 4 << 20, (4 << 20) + 1, 3 << 30] {
            assert_eq!(
                Size::parse(&Size(bytes).to_string()),
                Ok(Size(bytes)),
                "{bytes}"
            );
        }
    }
}
