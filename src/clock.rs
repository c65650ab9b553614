//! The one place where the wall clock is read. Everything else gets the time from here, so that tests can put any
//! clock in, ten years ahead or dead.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A source of the current time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[allow(clippy::disallowed_methods)] // The one exempt reading of the wall clock.
    pub fn system() -> Clock {
        Clock(Arc::new(|| Timestamp::now().as_millisecond()))
    }

    /// A clock that a test drives.
    pub fn from_fn(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now_ms))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        (self.0)()
    }

    /// Today's date in a zone.
    pub fn today(&self, zone: &TimeZone) -> Date {
        date_of(self.now_ms(), zone)
    }
}

/// The date of an instant in a zone; instants no calendar holds become its first day.
pub fn date_of(ms: i64, zone: &TimeZone) -> Date {
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(zone.clone())
        .date()
}
