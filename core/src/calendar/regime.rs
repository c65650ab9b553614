//! Reporting regimes: how often units report, and until when.

use jiff::{
    Span, Timestamp,
    civil::{Date, Time, time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use super::{Period, PeriodKind};

/// When something is due, seen from its period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueRule {
    /// On a day of the week the period starts in (1 is Monday), at a time of day.
    Weekday {
        /// 1 (Monday) to 7 (Sunday).
        weekday: i8,
        /// The time of day.
        at: Time,
    },
    /// Before this day of the month after the period begins: "before the 11th" ends with the 10th.
    BeforeDayAfter {
        /// The day that is already too late.
        day: i8,
    },
    /// Before this day of the period's own last month begins.
    BeforeDayWithin {
        /// The day that is already too late.
        day: i8,
    },
}

/// A duty to report: how often, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regime {
    /// A stable code; its wording for people is in the message catalogue.
    pub name: String,
    /// The length of the periods reported on.
    pub kind: PeriodKind,
    /// When units must have sent.
    pub units_due: DueRule,
    /// When the province consolidates, where the regime says so.
    pub consolidation_due: Option<DueRule>,
    /// The zone in which days begin and end.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub zone: TimeZone,
}

/// The regimes known from the field. Configuration may add others.
pub fn builtin_regimes() -> Vec<Regime> {
    let zone =
        TimeZone::get("Asia/Ho_Chi_Minh").expect("the zone database is compiled into the program");
    let regime = |name: &str, kind, units_due, consolidation_due| Regime {
        name: name.to_owned(),
        kind,
        units_due,
        consolidation_due,
        zone: zone.clone(),
    };
    let provincial = |name, kind| {
        regime(
            name,
            kind,
            DueRule::BeforeDayAfter { day: 11 },
            Some(DueRule::BeforeDayAfter { day: 15 }),
        )
    };
    vec![
        regime(
            "weekly",
            PeriodKind::Week,
            DueRule::Weekday {
                weekday: 4,
                at: time(10, 0, 0, 0),
            },
            None,
        ),
        provincial("monthly", PeriodKind::Month),
        provincial("quarterly", PeriodKind::Quarter),
        provincial("half_yearly", PeriodKind::Half),
        provincial("nine_months", PeriodKind::NineMonths),
        provincial("yearly", PeriodKind::Year),
        regime(
            "ward_monthly",
            PeriodKind::Month,
            DueRule::BeforeDayWithin { day: 20 },
            None,
        ),
        regime(
            "yearly_december",
            PeriodKind::Year,
            DueRule::BeforeDayWithin { day: 10 },
            None,
        ),
    ]
}

/// The instant by which units must have sent their report on `period`; a report sent at that instant is in time.
pub fn deadline_of(regime: &Regime, period: &Period) -> Timestamp {
    instant(&regime.units_due, period, &regime.zone)
}

/// The instant by which the province consolidates `period`, where the regime sets one.
pub fn consolidation_of(regime: &Regime, period: &Period) -> Option<Timestamp> {
    regime
        .consolidation_due
        .as_ref()
        .map(|rule| instant(rule, period, &regime.zone))
}

fn instant(rule: &DueRule, period: &Period, zone: &TimeZone) -> Timestamp {
    let (day, at) = match *rule {
        DueRule::Weekday { weekday, at } => {
            let from_monday = period.start().weekday().to_monday_zero_offset();
            let monday = period.start().saturating_sub(Span::new().days(from_monday));
            (
                monday.saturating_add(Span::new().days(weekday.clamp(1, 7) - 1)),
                at,
            )
        }
        DueRule::BeforeDayAfter { day } => (
            day_of_month(period.end().saturating_add(Span::new().days(1)), day),
            Time::midnight(),
        ),
        DueRule::BeforeDayWithin { day } => (day_of_month(period.end(), day), Time::midnight()),
    };
    day.to_datetime(at)
        .to_zoned(zone.clone())
        .expect("years of periods are far from the ends of what an instant can express")
        .timestamp()
}

/// The day `day` of the month of `date`; the last one where the month is shorter.
fn day_of_month(date: Date, day: i8) -> Date {
    let day = day.clamp(1, date.days_in_month());
    date.first_of_month()
        .saturating_add(Span::new().days(day - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(regime: &str, period: &str) -> (String, Option<String>) {
        let regime = builtin_regimes()
            .into_iter()
            .find(|r| r.name == regime)
            .expect(regime);
        let period: Period = period.parse().expect(period);
        assert_eq!(period.kind(), regime.kind);
        (
            deadline_of(&regime, &period).to_string(),
            consolidation_of(&regime, &period).map(|t| t.to_string()),
        )
    }

    #[test]
    fn weekly_reports_are_due_on_thursday_at_ten_in_viet_nam() {
        assert_eq!(
            due("weekly", "2026-W12"),
            ("2026-03-19T03:00:00Z".into(), None)
        );
    }

    #[test]
    fn provincial_reports_are_due_before_the_eleventh_after_the_period() {
        let expected = (
            "2026-04-10T17:00:00Z".to_owned(),
            Some("2026-04-14T17:00:00Z".to_owned()),
        );
        assert_eq!(due("monthly", "2026-03"), expected);
        assert_eq!(due("quarterly", "2026-Q1"), expected);
        assert_eq!(due("half_yearly", "2026-H1").0, "2026-07-10T17:00:00Z");
        assert_eq!(due("nine_months", "2026-9M").0, "2026-10-10T17:00:00Z");
        assert_eq!(due("yearly", "2026").0, "2027-01-10T17:00:00Z");
    }

    #[test]
    fn ward_and_december_reports_are_due_within_the_period() {
        assert_eq!(due("ward_monthly", "2026-03").0, "2026-03-19T17:00:00Z");
        assert_eq!(due("yearly_december", "2026").0, "2026-12-09T17:00:00Z");
    }

    #[test]
    fn a_regime_keeps_its_zone_through_json() {
        for regime in builtin_regimes() {
            let json = serde_json::to_string(&regime).unwrap();
            assert!(json.contains("Asia/Ho_Chi_Minh"), "{json}");
            assert_eq!(serde_json::from_str::<Regime>(&json).unwrap(), regime);
        }
    }
}
