//! When the next scheduled exchange is due.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::RngExt;

use crate::config::CronRule;

/// The pause until the earliest of the rules, with up to `jitter` added so that a whole province does not call in the
/// same second; `None` without rules.
pub fn pause(
    rules: &[CronRule],
    now_ms: i64,
    zone: &TimeZone,
    jitter: Duration,
) -> Option<Duration> {
    let now = Timestamp::from_millisecond(now_ms)
        .ok()?
        .to_zoned(zone.clone());
    let next = rules
        .iter()
        .filter_map(|rule| rule.cron().find_next_occurrence(&now, false).ok())
        .min()?;
    let wait_ms = (next.timestamp().as_millisecond() - now_ms).max(0) as u64;
    let spread_ms = match jitter.as_millis() as u64 {
        0 => 0,
        most => rand::rng().random_range(0..=most),
    };
    Some(Duration::from_millis(wait_ms + spread_ms))
}
