//! What is due when: the terms of a regime around a day, how what came is judged, and when a person is reminded.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Period;
use super::regime::{Regime, consolidation_of, deadline_of};

/// One period of a regime with its deadlines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The period reported on.
    pub period: Period,
    /// The instant by which units must have sent.
    pub due: Timestamp,
    /// The last day on which something sent can be in time, in the regime's zone: "before the 11th" is the 10th.
    pub last_day: Date,
    /// When the province consolidates, where the regime says so.
    pub consolidation: Option<Timestamp>,
}

/// Reports expected of a unit, and those that came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Came {
    /// Expected.
    pub expected: u32,
    /// Received, at whatever time.
    pub received: u32,
    /// Received by the deadline.
    pub on_time: u32,
}

/// How a unit stands with a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// Nothing was expected of it.
    NothingDue,
    /// All came in time.
    OnTime,
    /// All came, some of them late.
    Late,
    /// Something has still to come, and there is time.
    Open,
    /// Something did not come, and the time is over.
    Missing,
}

/// Days on which people are reminded, counted from the last day of a term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reminders {
    /// Days before; 0 is the last day itself.
    pub before: Vec<u16>,
    /// Days after.
    pub after: Vec<u16>,
}

impl Term {
    /// The term of a period.
    pub fn of(regime: &Regime, period: Period) -> Term {
        let due = deadline_of(regime, &period);
        // Midnight belongs to the day that begins with it, on which nothing can be in time any more.
        let last = due
            .checked_sub(SignedDuration::from_nanos(1))
            .unwrap_or(due);
        Term {
            period,
            due,
            last_day: last.to_zoned(regime.zone.clone()).date(),
            consolidation: consolidation_of(regime, &period),
        }
    }
}

/// The terms whose last day lies from `from` to `to`, the earliest first.
pub fn terms(regime: &Regime, from: Date, to: Date) -> Vec<Term> {
    let mut found = Vec::new();
    // A deadline lies in its period or in the month after it, so no earlier one can still be meant.
    let mut period = Period::containing(regime.kind, from).previous().previous();
    loop {
        let term = Term::of(regime, period);
        let next = period.next();
        if term.last_day > to {
            return found;
        }
        if term.last_day >= from {
            found.push(term);
        }
        if next == period {
            return found;
        }
        period = next;
    }
}

/// The term whose last day was the latest before `day`, and the one whose last day is the next, `day` included.
pub fn around(regime: &Regime, day: Date) -> (Option<Term>, Option<Term>) {
    let mut before = None;
    let mut period = Period::containing(regime.kind, day).previous().previous();
    loop {
        let term = Term::of(regime, period);
        if term.last_day >= day {
            return (before, Some(term));
        }
        before = Some(term);
        let next = period.next();
        if next == period {
            return (before, None);
        }
        period = next;
    }
}

impl Came {
    /// Expected and not received.
    pub fn missing(&self) -> u32 {
        self.expected.saturating_sub(self.received)
    }

    /// Received after the deadline.
    pub fn late(&self) -> u32 {
        self.received.saturating_sub(self.on_time)
    }

    /// How the unit stands at `now`. What comes at the instant of the deadline is in time.
    pub fn judged(&self, due: Timestamp, now: Timestamp) -> Answered {
        match (self.missing(), self.late()) {
            _ if self.expected == 0 => Answered::NothingDue,
            (0, 0) => Answered::OnTime,
            (0, _) => Answered::Late,
            _ if now <= due => Answered::Open,
            _ => Answered::Missing,
        }
    }
}

impl Reminders {
    /// The reminder in force on `today` for a term with this last day: the latest whose day has come, as days from the
    /// last day. Whoever was away on the day itself is reminded once, by the latest, and not once for each missed.
    pub fn in_force(&self, last_day: Date, today: Date) -> Option<i32> {
        let away = (today - last_day).get_days();
        let before = self.before.iter().map(|days| -i32::from(*days));
        let after = self.after.iter().map(|days| i32::from(*days));
        before.chain(after).filter(|offset| *offset <= away).max()
    }
}
