//! The reporting calendar, asked on every day of a year, against dates counted without it.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use nqsync_core::calendar::{
    Answered, Came, Duty, Period, Reminders, Term, around, builtin_regimes, terms,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// A last day, the period it belongs to, and the instants of both deadlines in UTC.
type Expected = (Date, String, String, Option<String>);

/// What `domain.md` §3 says about the days around 2026, counted by hand: in Viet Nam a day begins at 17:00 UTC.
fn expected(regime: &str) -> Vec<Expected> {
    let ten = |year: i16, month: i8, period: &str| {
        (
            date(year, month, 10),
            period.to_owned(),
            format!("{year}-{month:02}-10T17:00:00Z"),
            Some(format!("{year}-{month:02}-14T17:00:00Z")),
        )
    };
    match regime {
        "weekly" => {
            // 1 January 2026 is a Thursday, of week 1; the year has 53 weeks.
            let first = date(2025, 12, 25);
            (0..56)
                .map(|n| {
                    let day = first + (7 * n).days();
                    let period = match n {
                        0 => "2025-W52".to_owned(),
                        1..=53 => format!("2026-W{n:02}"),
                        _ => format!("2027-W{:02}", n - 53),
                    };
                    (day, period, format!("{day}T03:00:00Z"), None)
                })
                .collect()
        }
        "monthly" => {
            let mut all = vec![ten(2025, 12, "2025-11"), ten(2026, 1, "2025-12")];
            all.extend((2..=12).map(|m| ten(2026, m, &format!("2026-{:02}", m - 1))));
            all.push(ten(2027, 1, "2026-12"));
            all
        }
        "quarterly" => vec![
            ten(2025, 10, "2025-Q3"),
            ten(2026, 1, "2025-Q4"),
            ten(2026, 4, "2026-Q1"),
            ten(2026, 7, "2026-Q2"),
            ten(2026, 10, "2026-Q3"),
            ten(2027, 1, "2026-Q4"),
        ],
        "half_yearly" => vec![
            ten(2025, 7, "2025-H1"),
            ten(2026, 1, "2025-H2"),
            ten(2026, 7, "2026-H1"),
            ten(2027, 1, "2026-H2"),
        ],
        "nine_months" => vec![
            ten(2025, 10, "2025-9M"),
            ten(2026, 10, "2026-9M"),
            ten(2027, 10, "2027-9M"),
        ],
        "yearly" => vec![
            ten(2025, 1, "2024"),
            ten(2026, 1, "2025"),
            ten(2027, 1, "2026"),
        ],
        "ward_monthly" => {
            let months = (2025, 12)..=(2025, 12);
            let mut all: Vec<(i16, i8)> = vec![*months.start()];
            all.extend((1..=12).map(|m| (2026, m)));
            all.push((2027, 1));
            all.into_iter()
                .map(|(y, m)| {
                    let due = format!("{y}-{m:02}-19T17:00:00Z");
                    (date(y, m, 19), format!("{y}-{m:02}"), due, None)
                })
                .collect()
        }
        "yearly_december" => [2025, 2026, 2027]
            .map(|y| {
                let due = format!("{y}-12-09T17:00:00Z");
                (date(y, 12, 9), y.to_string(), due, None)
            })
            .to_vec(),
        other => panic!("{other} is not in the table"),
    }
}

fn days_of_2026() -> impl Iterator<Item = Date> {
    (0..365).map(|n| date(2026, 1, 1) + n.days())
}

fn shown(term: &Term) -> Expected {
    let consolidation = term.consolidation.map(|at| at.to_string());
    (
        term.last_day,
        term.period.to_string(),
        term.due.to_string(),
        consolidation,
    )
}

#[test]
fn every_day_of_2026_has_the_deadline_before_it_and_the_one_to_come() {
    for regime in builtin_regimes() {
        let table = expected(&regime.name);
        for day in days_of_2026() {
            let (before, next) = around(&regime, day);
            let last = table.iter().rfind(|row| row.0 < day).expect("in the table");
            let coming = table.iter().find(|row| row.0 >= day).expect("in the table");
            let name = &regime.name;
            assert_eq!(
                before.as_ref().map(shown).as_ref(),
                Some(last),
                "{name} before {day}"
            );
            assert_eq!(
                next.as_ref().map(shown).as_ref(),
                Some(coming),
                "{name} from {day}"
            );
            let today = terms(&regime, day, day);
            let due_today = table.iter().filter(|row| row.0 == day);
            let found: Vec<Expected> = today.iter().map(shown).collect();
            assert_eq!(
                found,
                due_today.cloned().collect::<Vec<_>>(),
                "{name} on {day}"
            );
        }
        let year = terms(&regime, date(2026, 1, 1), date(2026, 12, 31));
        let in_year = table.iter().filter(|row| row.0.year() == 2026);
        assert_eq!(year.len(), in_year.count(), "{}", regime.name);
    }
}

#[test]
fn around_every_deadline_of_2026_the_last_instant_is_in_time_and_the_next_is_not() {
    let waits = Came {
        expected: 3,
        received: 2,
        on_time: 2,
    };
    for regime in builtin_regimes() {
        for (day, period, due, _) in expected(&regime.name) {
            let term = Term::of(&regime, period.parse().expect("a period"));
            assert_eq!(term.last_day, day, "{} {period}", regime.name);
            let at: Timestamp = due.parse().expect("an instant");
            let ms = |n: i64| at + Span::new().milliseconds(n);
            let judged = |now| waits.judged(term.due, now);
            for now in [ms(-86_400_000), ms(-1), at] {
                assert_eq!(
                    judged(now),
                    Answered::Open,
                    "{} {period} {now}",
                    regime.name
                );
            }
            for now in [ms(1), ms(86_400_000)] {
                assert_eq!(
                    judged(now),
                    Answered::Missing,
                    "{} {period} {now}",
                    regime.name
                );
            }
        }
    }
}

#[test]
fn what_came_is_judged_by_what_is_missing_and_then_by_what_was_late() {
    let now: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
    let (past, future) = (now - 1.hour(), now + 1.hour());
    let table = [
        ((0, 0, 0), Answered::NothingDue, Answered::NothingDue),
        ((4, 4, 4), Answered::OnTime, Answered::OnTime),
        ((4, 4, 3), Answered::Late, Answered::Late),
        ((4, 3, 3), Answered::Open, Answered::Missing),
        ((4, 3, 0), Answered::Open, Answered::Missing),
    ];
    for ((expected, received, on_time), before, after) in table {
        let came = Came {
            expected,
            received,
            on_time,
        };
        assert_eq!(came.judged(future, now), before, "{came:?}");
        assert_eq!(came.judged(past, now), after, "{came:?}");
        assert_eq!(came.missing() + came.on_time + came.late(), expected);
    }
}

#[test]
fn leap_days_and_short_months_neither_shift_nor_swallow_a_deadline() {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let last_day = |text: &str, period: &str| {
        let regime = Duty::parse(text, &zone).unwrap().regime;
        Term::of(&regime, period.parse().unwrap()).last_day
    };
    // Before the 30th: a February without a 30th ends on the day before its last.
    assert_eq!(last_day("x: month before 30", "2028-02"), date(2028, 2, 28));
    assert_eq!(last_day("x: month before 30", "2027-02"), date(2027, 2, 27));
    assert_eq!(
        last_day("x: month before 30 after", "2028-01"),
        date(2028, 2, 28)
    );
    assert_eq!(
        last_day("x: month before 1 after", "2028-02"),
        date(2028, 2, 29)
    );
    assert_eq!(last_day("monthly", "2028-02"), date(2028, 3, 10));
    assert_eq!(last_day("weekly", "2028-W09"), date(2028, 3, 2));
    assert_eq!(last_day("weekly", "2026-W53"), date(2026, 12, 31));
    assert_eq!(last_day("weekly", "2027-W01"), date(2027, 1, 7));
}

#[test]
fn a_zone_with_summer_time_keeps_the_hour_people_read() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let weekly = Duty::parse("weekly", &zone).unwrap().regime;
    let due = |period: &str| Term::of(&weekly, period.parse().unwrap()).due.to_string();
    assert_eq!(due("2026-W13"), "2026-03-26T09:00:00Z");
    assert_eq!(due("2026-W14"), "2026-04-02T08:00:00Z");
}

#[test]
fn reminders_come_into_force_one_after_the_other_on_every_day_of_2026() {
    let reminders = Reminders {
        before: vec![3, 1, 0],
        after: vec![1, 5],
    };
    let table = [
        (-4, None),
        (-3, Some(-3)),
        (-2, Some(-3)),
        (-1, Some(-1)),
        (0, Some(0)),
        (1, Some(1)),
        (4, Some(1)),
        (5, Some(5)),
        (40, Some(5)),
    ];
    for last_day in days_of_2026() {
        for (away, stage) in table {
            let today = last_day + away.days();
            assert_eq!(
                reminders.in_force(last_day, today),
                stage,
                "{last_day} {today}"
            );
        }
    }
    assert_eq!(
        Reminders::default().in_force(date(2026, 1, 1), date(2026, 1, 9)),
        None
    );
}

fn any_duty() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["month", "quarter", "half", "nine_months", "year"]);
    let built_in = prop::sample::select(builtin_regimes());
    let day = 1..=31i8;
    prop_oneof![
        built_in.prop_map(|regime| regime.name),
        (kind.clone(), day.clone()).prop_map(|(kind, day)| format!("x: {kind} before {day}")),
        (kind, day).prop_map(|(kind, day)| format!("x: {kind} before {day} after")),
        (0..24, 0..60).prop_map(|(h, m)| format!("x: week friday {h:02}:{m:02}")),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 400, rng_seed: RngSeed::Fixed(20261128), ..Config::default() })]

    #[test]
    fn the_terms_of_a_stretch_are_those_met_day_by_day(
        text in any_duty(),
        zone in prop::sample::select(vec!["Asia/Ho_Chi_Minh", "Europe/Berlin", "America/Sao_Paulo", "UTC"]),
        year in 2018..2034i16,
        start in 0..366i64,
        length in 0..800i64,
    ) {
        let zone = TimeZone::get(zone).unwrap();
        let regime = Duty::parse(&text, &zone).unwrap().regime;
        let from = date(year, 1, 1) + start.days();
        let to = from + length.days();
        let all = terms(&regime, from, to);
        prop_assert!(all.windows(2).all(|pair| pair[0].due < pair[1].due
            && pair[0].period.next() == pair[1].period));
        // Walking from deadline to deadline meets the same ones, none twice and none left out.
        let mut walked: Vec<Term> = Vec::new();
        let mut day = from;
        while let (_, Some(next)) = around(&regime, day) {
            if next.last_day > to {
                break;
            }
            day = next.last_day + 1.day();
            walked.push(next);
        }
        prop_assert_eq!(&all, &walked);
        for term in &all {
            let of_day = around(&regime, term.last_day).1;
            prop_assert_eq!(of_day.as_ref(), Some(term));
            let passed = around(&regime, term.last_day + 1.day()).0;
            prop_assert_eq!(passed.as_ref(), Some(term));
            let period: Period = term.period;
            prop_assert!(period.start() <= term.last_day + 1.day());
        }
    }
}
