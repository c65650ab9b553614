//! Duties: a regime as a node's configuration names or describes it, and for whom it is in force.
//!
//! Written `monthly`, `weekly for 26548 26550`, or in full
//! `ward: month before 20`, `police: month before 11 after, consolidated before 15 after`, `staff: week thursday 10:00`.
//! `before 20` ends with the 19th of the period's own last month, `before 11 after` with the 10th of the month after it.

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::regime::{DueRule, Regime, builtin_regimes};
use super::{Period, PeriodKind};

/// A regime in force, and who has to report by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    /// How often, and until when.
    pub regime: Regime,
    /// Codes of the units it holds for, with all units below them; empty: everybody.
    pub units: Vec<String>,
}

/// A text that describes no duty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DutyError {
    /// No built-in regime has that name.
    #[error("\"{0}\" is no built-in regime")]
    UnknownName(String),
    /// A name that cannot stand in a list or a key.
    #[error("\"{0}\" cannot be a name: small letters, digits and _ only")]
    BadName(String),
    /// A description under the name of a built-in regime.
    #[error("\"{0}\" is the name of a built-in regime; give yours another")]
    TakenName(String),
    /// Not one of the kinds.
    #[error("\"{0}\" is no kind of period (week, month, quarter, half, nine_months or year)")]
    BadKind(String),
    /// A day or time nobody can meet.
    #[error("\"{0}\" is no deadline")]
    BadRule(String),
    /// A week has no day of the month, and a month has no weekday of its own.
    #[error("\"{0}\" does not fit that kind of period")]
    UnfitRule(String),
    /// `for` without anybody.
    #[error("names nobody after \"for\"")]
    Nobody,
}

/// What a duty looks like, for messages.
pub const EXPECTED_DUTY: &str = "a built-in regime (weekly, monthly, quarterly, half_yearly, nine_months, yearly, \
    ward_monthly, yearly_december), or NAME: KIND and a deadline such as \"ward: month before 20\", \
    \"police: month before 11 after, consolidated before 15 after\", \"staff: week thursday 10:00\"; \
    behind it \"for CODE CODE\" where it holds for some units only";

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

impl Duty {
    /// Reads a duty. Days begin and end in `zone`.
    ///
    /// # Errors
    /// [`DutyError`], with the part that cannot be read.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Duty, DutyError> {
        let (what, whom) = match text.split_once(" for ") {
            Some((what, whom)) => (what, Some(whom)),
            None => (text.trim_end().strip_suffix(" for").unwrap_or(text), None),
        };
        let units: Vec<String> = whom
            .unwrap_or_default()
            .split([' ', ','])
            .filter(|code| !code.is_empty())
            .map(str::to_owned)
            .collect();
        if units.is_empty() && what.len() != text.len() {
            return Err(DutyError::Nobody);
        }
        let mut regime = match what.split_once(':') {
            Some((name, rules)) if !name.trim().contains(' ') => own(name.trim(), rules)?,
            _ => built_in(what.trim())
                .ok_or_else(|| DutyError::UnknownName(what.trim().to_owned()))?,
        };
        regime.zone = zone.clone();
        Ok(Duty { regime, units })
    }

    /// The duty of a node whose configuration names none: the built-in regime of its kind of period, for everybody.
    pub fn usual(kind: PeriodKind, zone: &TimeZone) -> Option<Duty> {
        let mut regime = builtin_regimes().into_iter().find(|r| r.kind == kind)?;
        regime.zone = zone.clone();
        Some(Duty {
            regime,
            units: Vec::new(),
        })
    }
}

fn built_in(name: &str) -> Option<Regime> {
    builtin_regimes().into_iter().find(|r| r.name == name)
}

fn own(name: &str, rules: &str) -> Result<Regime, DutyError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return Err(DutyError::BadName(name.to_owned()));
    }
    if built_in(name).is_some() {
        return Err(DutyError::TakenName(name.to_owned()));
    }
    let (due, consolidated) = match rules.split_once(',') {
        Some((due, rest)) => (due.trim(), Some(rest.trim())),
        None => (rules.trim(), None),
    };
    let (kind, due) = due.split_once(' ').unwrap_or((due, ""));
    let kind: PeriodKind =
        serde_json::from_value(kind.into()).map_err(|_| DutyError::BadKind(kind.to_owned()))?;
    let units_due = rule(due, kind)?;
    let consolidation_due = consolidated
        .map(|text| match text.strip_prefix("consolidated ") {
            Some(text) => rule(text, kind),
            None => Err(DutyError::BadRule(text.to_owned())),
        })
        .transpose()?;
    Ok(Regime {
        name: name.to_owned(),
        kind,
        units_due,
        consolidation_due,
        zone: TimeZone::UTC,
    })
}

fn rule(text: &str, kind: PeriodKind) -> Result<DueRule, DutyError> {
    let bad = || DutyError::BadRule(text.trim().to_owned());
    let words: Vec<&str> = text.split_whitespace().collect();
    let day = |text: &str| {
        let day = text.parse::<i8>().ok();
        day.filter(|day| (1..=31).contains(day)).ok_or_else(bad)
    };
    let read = match words[..] {
        ["before", number] => DueRule::BeforeDayWithin { day: day(number)? },
        ["before", number, "after"] => DueRule::BeforeDayAfter { day: day(number)? },
        [weekday, at] => {
            let index = WEEKDAYS.iter().position(|known| *known == weekday);
            let weekday = index.and_then(|i| i8::try_from(i).ok()).ok_or_else(bad)? + 1;
            let at: Time = at.parse().map_err(|_| bad())?;
            DueRule::Weekday { weekday, at }
        }
        _ => return Err(bad()),
    };
    let by_weekday = matches!(read, DueRule::Weekday { .. });
    if by_weekday != (kind == PeriodKind::Week) {
        return Err(DutyError::UnfitRule(text.trim().to_owned()));
    }
    Ok(read)
}

/// The deadline of a period by the first of these duties of its kind, else by the built-in regime.
pub fn due_of(duties: &[Duty], period: &Period) -> Option<jiff::Timestamp> {
    let of_kind = duties.iter().map(|duty| &duty.regime);
    let configured = of_kind.clone().find(|regime| regime.kind == period.kind());
    match configured {
        Some(regime) => Some(super::deadline_of(regime, period)),
        None => builtin_regimes()
            .iter()
            .find(|regime| regime.kind == period.kind())
            .map(|regime| super::deadline_of(regime, period)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Ho_Chi_Minh").unwrap()
    }

    fn duty(text: &str) -> Result<Duty, DutyError> {
        Duty::parse(text, &zone())
    }

    #[test]
    fn a_built_in_regime_is_named_and_may_hold_for_some_units_only() {
        for regime in builtin_regimes() {
            let found = duty(&regime.name).unwrap();
            assert_eq!((found.regime, found.units.len()), (regime, 0));
        }
        let some = duty("weekly for 26548, 26550").unwrap();
        assert_eq!(some.units, ["26548", "26550"]);
        assert_eq!(some.regime.kind, PeriodKind::Week);
    }

    #[test]
    fn the_built_in_regimes_can_be_described_in_full() {
        let same = [
            ("weekly", "x: week thursday 10:00"),
            (
                "monthly",
                "x: month before 11 after, consolidated before 15 after",
            ),
            (
                "nine_months",
                "x: nine_months before 11 after, consolidated before 15 after",
            ),
            ("ward_monthly", "x: month before 20"),
            ("yearly_december", "x: year before 10 for 26548"),
        ];
        for (name, text) in same {
            let described = duty(text).expect(text).regime;
            let known = Regime {
                name: "x".to_owned(),
                ..built_in(name).unwrap()
            };
            assert_eq!(described, known, "{text}");
        }
    }

    #[test]
    fn the_zone_is_the_nodes() {
        let utc = Duty::parse("weekly", &TimeZone::UTC).unwrap();
        let period: Period = "2026-W12".parse().unwrap();
        let due = crate::calendar::deadline_of(&utc.regime, &period);
        assert_eq!(due.to_string(), "2026-03-19T10:00:00Z");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let wrong = [
            ("fortnightly", DutyError::UnknownName("fortnightly".into())),
            (
                "Xã A: month before 20",
                DutyError::UnknownName("Xã A: month before 20".into()),
            ),
            ("Ward: month before 20", DutyError::BadName("Ward".into())),
            (
                "monthly: month before 20",
                DutyError::TakenName("monthly".into()),
            ),
            ("ward: moon before 20", DutyError::BadKind("moon".into())),
            ("ward: month", DutyError::BadRule("".into())),
            (
                "ward: month before 32",
                DutyError::BadRule("before 32".into()),
            ),
            (
                "ward: month before 0 after",
                DutyError::BadRule("before 0 after".into()),
            ),
            (
                "staff: week thursday 25:00",
                DutyError::BadRule("thursday 25:00".into()),
            ),
            (
                "staff: week before 3",
                DutyError::UnfitRule("before 3".into()),
            ),
            (
                "staff: month friday 10:00",
                DutyError::UnfitRule("friday 10:00".into()),
            ),
            (
                "ward: month before 20, then before 25",
                DutyError::BadRule("then before 25".into()),
            ),
            ("monthly for ", DutyError::Nobody),
            ("monthly for", DutyError::Nobody),
        ];
        for (text, error) in wrong {
            assert_eq!(duty(text), Err(error), "{text}");
        }
    }

    #[test]
    fn without_configuration_the_built_in_regime_of_the_kind_of_period_is_in_force() {
        let usual = |kind| Duty::usual(kind, &zone()).map(|duty| duty.regime.name);
        assert_eq!(usual(PeriodKind::Month).as_deref(), Some("monthly"));
        assert_eq!(usual(PeriodKind::Week).as_deref(), Some("weekly"));
        assert_eq!(usual(PeriodKind::Year).as_deref(), Some("yearly"));
    }

    #[test]
    fn a_configured_regime_sets_the_deadline_of_its_kind_and_of_no_other() {
        let duties = [duty("ward_monthly").unwrap()];
        let due = |period: &str| {
            due_of(&duties, &period.parse().unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(due("2026-03"), "2026-03-19T17:00:00Z");
        assert_eq!(due("2026-Q1"), "2026-04-10T17:00:00Z");
    }
}
