//! Reporting periods: the stretch of days one report speaks about.

use std::{cmp::Ordering, fmt, str::FromStr};

use jiff::civil::{Date, ISOWeekDate, Weekday, date};
use serde::{Deserialize, Serialize};

use super::words::{Token, roman, tokens};

/// Years a period may lie in. Wide enough for any plan, and far from the ends of what dates can express.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2999;

/// The length of a reporting period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodKind {
    /// An ISO week, Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
    /// A quarter.
    Quarter,
    /// January to June, or July to December.
    Half,
    /// January to September: a report of its own in the calendar of the field.
    NineMonths,
    /// A calendar year.
    Year,
}

/// One reporting period, written `2026-W12`, `2026-03`, `2026-Q1`, `2026-H1`, `2026-9M` or `2026`.
///
/// Periods are ordered by their first day, then by their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    year: i16,
    kind: PeriodKind,
    part: i8,
}

/// A text that names no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read \"{found}\" as a reporting period; write 2026-W12 (week), 2026-03 (month), 2026-Q1 (quarter), \
     2026-H1 (6 months), 2026-9M (9 months) or 2026 (year)"
)]
pub struct PeriodError {
    /// What was found, shortened.
    pub found: String,
}

impl Period {
    /// The period of `kind` that contains `date`.
    ///
    /// For nine months it is the one of that year also from October on: no other period of the kind lies nearer.
    pub fn containing(kind: PeriodKind, date: Date) -> Self {
        let month = date.month();
        let (year, part) = match kind {
            PeriodKind::Week => {
                let week = date.iso_week_date();
                (week.year(), week.week())
            }
            PeriodKind::Month => (date.year(), month),
            PeriodKind::Quarter => (date.year(), (month - 1) / 3 + 1),
            PeriodKind::Half => (date.year(), (month - 1) / 6 + 1),
            PeriodKind::NineMonths | PeriodKind::Year => (date.year(), 1),
        };
        if YEARS.contains(&year) {
            return Self { year, kind, part };
        }
        let year = year.clamp(*YEARS.start(), *YEARS.end());
        Self {
            year,
            kind,
            part: 1,
        }
    }

    /// How long the period is.
    pub fn kind(&self) -> PeriodKind {
        self.kind
    }

    /// The year the period is written with: for a week the ISO year.
    pub fn year(&self) -> i16 {
        self.year
    }

    /// The first day.
    pub fn start(&self) -> Date {
        match self.kind {
            PeriodKind::Week => self.monday(),
            PeriodKind::Month => date(self.year, self.part, 1),
            PeriodKind::Quarter => date(self.year, self.part * 3 - 2, 1),
            PeriodKind::Half => date(self.year, self.part * 6 - 5, 1),
            PeriodKind::NineMonths | PeriodKind::Year => date(self.year, 1, 1),
        }
    }

    /// The last day, itself part of the period.
    pub fn end(&self) -> Date {
        match self.kind {
            PeriodKind::Week => self.monday().saturating_add(jiff::Span::new().days(6)),
            PeriodKind::Month => self.start().last_of_month(),
            PeriodKind::Quarter => date(self.year, self.part * 3, 1).last_of_month(),
            PeriodKind::Half => date(self.year, self.part * 6, 1).last_of_month(),
            PeriodKind::NineMonths => date(self.year, 9, 30),
            PeriodKind::Year => date(self.year, 12, 31),
        }
    }

    /// The period of the same kind that follows; the last one that can be written is followed by itself.
    #[must_use]
    pub fn next(&self) -> Self {
        if self.kind == PeriodKind::NineMonths {
            return Self {
                year: (self.year + 1).min(*YEARS.end()),
                ..*self
            };
        }
        match Self::containing(
            self.kind,
            self.end().saturating_add(jiff::Span::new().days(1)),
        ) {
            after if after > *self => after,
            _ => *self,
        }
    }

    /// The period of the same kind before this one; the first one that can be written is preceded by itself.
    #[must_use]
    pub fn previous(&self) -> Self {
        if self.kind == PeriodKind::NineMonths {
            return Self {
                year: (self.year - 1).max(*YEARS.start()),
                ..*self
            };
        }
        match Self::containing(
            self.kind,
            self.start().saturating_sub(jiff::Span::new().days(1)),
        ) {
            before if before < *self => before,
            _ => *self,
        }
    }

    /// Whether every day of `other` lies in this period.
    pub fn contains(&self, other: &Self) -> bool {
        self.start() <= other.start() && other.end() <= self.end()
    }

    fn new(kind: PeriodKind, year: u32, part: u32) -> Option<Self> {
        let year = i16::try_from(year)
            .ok()
            .filter(|year| YEARS.contains(year))?;
        let part = i8::try_from(part).ok()?;
        let most = match kind {
            PeriodKind::Week => {
                ISOWeekDate::new(year, part, Weekday::Monday).ok()?;
                53
            }
            PeriodKind::Month => 12,
            PeriodKind::Quarter => 4,
            PeriodKind::Half => 2,
            PeriodKind::NineMonths | PeriodKind::Year => 1,
        };
        (1..=most)
            .contains(&part)
            .then_some(Self { year, kind, part })
    }

    fn monday(&self) -> Date {
        ISOWeekDate::new(self.year, self.part, Weekday::Monday)
            .expect("a week is only built after its number was checked against its year")
            .date()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, part, .. } = self;
        match self.kind {
            PeriodKind::Week => write!(f, "{year}-W{part:02}"),
            PeriodKind::Month => write!(f, "{year}-{part:02}"),
            PeriodKind::Quarter => write!(f, "{year}-Q{part}"),
            PeriodKind::Half => write!(f, "{year}-H{part}"),
            PeriodKind::NineMonths => write!(f, "{year}-9M"),
            PeriodKind::Year => write!(f, "{year}"),
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        parse(&tokens(text)).ok_or_else(|| PeriodError {
            found: text.chars().take(60).collect(),
        })
    }
}

impl Ord for Period {
    fn cmp(&self, other: &Self) -> Ordering {
        self.start()
            .cmp(&other.start())
            .then(self.kind.cmp(&other.kind))
    }
}

impl PartialOrd for Period {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The canonical spellings and the Vietnamese ones (`Tháng 3/2026`, `Quý I/2026`, `6 tháng đầu năm 2026`, …).
fn parse(tokens: &[Token]) -> Option<Period> {
    use Token::{Mark, Number, Word};
    let named =
        |word: &Token, names: &[&str]| matches!(word, Word(w) if names.contains(&w.as_str()));
    match tokens {
        [Number(year, 4)] => Period::new(PeriodKind::Year, *year, 1),
        [Number(year, 4), Mark('-'), Number(month, 1 | 2)] => {
            Period::new(PeriodKind::Month, *year, *month)
        }
        [Number(year, 4), Mark('-'), Number(9, 1), Word(m)] if m == "m" => {
            Period::new(PeriodKind::NineMonths, *year, 1)
        }
        [
            Number(year, 4),
            Mark('-'),
            Word(letter),
            Number(part, 1 | 2),
        ] => {
            let kind = match letter.as_str() {
                "w" => PeriodKind::Week,
                "m" => PeriodKind::Month,
                "q" => PeriodKind::Quarter,
                "h" => PeriodKind::Half,
                _ => return None,
            };
            Period::new(kind, *year, *part)
        }
        [year_word, Number(year, 4)] if named(year_word, &["nam"]) => {
            Period::new(PeriodKind::Year, *year, 1)
        }
        [Number(months, 1 | 2), month_word, rest @ ..] if named(month_word, &["thang"]) => {
            let (second, rest) = match rest {
                [Word(w), rest @ ..] if w == "dau" => (false, rest),
                [Word(w), rest @ ..] if w == "cuoi" => (true, rest),
                rest => (false, rest),
            };
            let year = year_after(rest)?;
            match (months, second) {
                (6, second) => Period::new(PeriodKind::Half, year, 1 + u32::from(second)),
                (9, false) => Period::new(PeriodKind::NineMonths, year, 1),
                _ => None,
            }
        }
        [word, part, rest @ ..] => {
            let kind = match word {
                w if named(w, &["tuan"]) => PeriodKind::Week,
                w if named(w, &["thang", "t"]) => PeriodKind::Month,
                w if named(w, &["quy", "qui", "q"]) => PeriodKind::Quarter,
                _ => return None,
            };
            let part = match part {
                Number(part, 1 | 2) => *part,
                Word(numeral) if kind == PeriodKind::Quarter => roman(numeral)?,
                _ => return None,
            };
            Period::new(kind, year_after(rest)?, part)
        }
        _ => None,
    }
}

/// A year at the end, after `/`, `-`, `.` or the word for year.
fn year_after(tokens: &[Token]) -> Option<u32> {
    match tokens {
        [Token::Number(year, 4)] | [Token::Mark('/' | '-' | '.'), Token::Number(year, 4)] => {
            Some(*year)
        }
        [Token::Word(word), Token::Number(year, 4)] if word == "nam" => Some(*year),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> Period {
        text.parse().expect(text)
    }

    #[test]
    fn canonical_spellings_survive_a_round_trip() {
        for text in [
            "2026-W12", "2026-W53", "2026-03", "2026-Q1", "2026-H2", "2026-9M", "2026",
        ] {
            assert_eq!(period(text).to_string(), text);
            let json = serde_json::to_string(&period(text)).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Period>(&json).unwrap(), period(text));
        }
    }

    #[test]
    fn spellings_of_the_field_are_understood() {
        for (written, canonical) in [
            ("Tháng 3/2026", "2026-03"),
            ("tháng 03 năm 2026", "2026-03"),
            ("2026-M03", "2026-03"),
            ("Quý I/2026", "2026-Q1"),
            ("QUÝ 4 năm 2026", "2026-Q4"),
            ("Tuần 12/2026", "2026-W12"),
            ("Năm 2026", "2026"),
            ("6 tháng 2026", "2026-H1"),
            ("6 tháng đầu năm 2026", "2026-H1"),
            ("6 tháng cuối năm 2026", "2026-H2"),
            ("9 tháng 2026", "2026-9M"),
            ("2026-w1", "2026-W01"),
        ] {
            assert_eq!(period(written).to_string(), canonical, "{written}");
        }
    }

    #[test]
    fn what_names_no_period_is_refused_with_what_is_allowed() {
        for text in [
            "",
            "2026-13",
            "2026-W54",
            "2025-W53",
            "2026-Q5",
            "2026-H3",
            "2026-6M",
            "Quý V/2026",
            "26-03",
        ] {
            let refusal = text.parse::<Period>().expect_err(text).to_string();
            assert!(
                refusal.contains(&format!("\"{text}\"")) && refusal.contains("2026-W12"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn first_and_last_days_follow_the_calendar() {
        let days = |text| {
            (
                period(text).start().to_string(),
                period(text).end().to_string(),
            )
        };
        assert_eq!(days("2026-W01"), ("2025-12-29".into(), "2026-01-04".into()));
        assert_eq!(days("2028-02"), ("2028-02-01".into(), "2028-02-29".into()));
        assert_eq!(days("2026-Q2"), ("2026-04-01".into(), "2026-06-30".into()));
        assert_eq!(days("2026-H2"), ("2026-07-01".into(), "2026-12-31".into()));
        assert_eq!(days("2026-9M"), ("2026-01-01".into(), "2026-09-30".into()));
    }

    #[test]
    fn neighbours_are_inverse_and_leave_no_day_out() {
        for text in ["2026-W53", "2026-12", "2026-Q4", "2026-H2", "2026"] {
            let this = period(text);
            assert_eq!(this.next().previous(), this);
            assert_eq!(this.end().tomorrow().unwrap(), this.next().start());
        }
        assert_eq!(period("2026-9M").next(), period("2027-9M"));
        assert_eq!(period("2999-12").next(), period("2999-12"));
    }

    #[test]
    fn a_date_falls_into_one_period_of_each_kind() {
        let day = date(2027, 1, 1);
        assert_eq!(
            Period::containing(PeriodKind::Week, day),
            period("2026-W53")
        );
        assert_eq!(
            Period::containing(PeriodKind::Quarter, day),
            period("2027-Q1")
        );
        assert_eq!(
            Period::containing(PeriodKind::NineMonths, date(2026, 11, 2)),
            period("2026-9M")
        );
    }

    #[test]
    fn order_is_by_first_day_then_length_and_containment_by_days() {
        let mut periods = [
            "2026", "2026-Q1", "2026-01", "2025-12", "2026-9M", "2026-02",
        ]
        .map(period);
        periods.sort();
        let sorted: Vec<_> = periods.iter().map(Period::to_string).collect();
        assert_eq!(
            sorted,
            [
                "2025-12", "2026-01", "2026-Q1", "2026-9M", "2026", "2026-02"
            ]
        );
        assert!(period("2026-Q1").contains(&period("2026-03")));
        assert!(!period("2026-03").contains(&period("2026-W14")));
    }
}
