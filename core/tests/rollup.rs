//! Rollups: the examples people check by hand, and a recount written a second time.

#[path = "rollup/inputs.rs"]
mod inputs;
#[path = "rollup/recount.rs"]
mod recount;

use inputs::*;
use jiff::civil::date;
use nqsync_core::model::values::{OrgLevel, Status};
use nqsync_core::rollup::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use uuid::Uuid;

fn lines(counts: &Counts) -> Vec<(&str, u32)> {
    let lines = counts.by_status.iter();
    lines.map(|(name, count)| (name.as_str(), *count)).collect()
}

fn thirty_six() -> Inputs {
    let mut inputs = Inputs::default();
    for number in 0..36 {
        let status = if number < 33 {
            Status::Completed
        } else {
            Status::Continuing
        };
        inputs.add(task(number, &[number % 6], &[]), number % 6, status);
    }
    inputs.arrivals = inputs.reports.iter().map(|r| arrival(r, 0)).collect();
    inputs.verdicts = inputs
        .reports
        .iter()
        .map(|r| verdict(r, ISSUER, true))
        .collect();
    inputs
}

#[test]
fn thirty_six_tasks_are_thirty_three_completed_and_three_continuing() {
    let rollup = thirty_six().march();
    assert_eq!(rollup.tasks.total, 36);
    assert_eq!(
        lines(&rollup.tasks),
        [("completed_on_time", 33), ("continuing", 3)]
    );
    assert_eq!(rollup.assignments, rollup.tasks);
    let coverage = Coverage {
        units_reported: 6,
        units_expected: 6,
        reports_received: 36,
        reports_expected: 36,
        complete: true,
    };
    assert_eq!(rollup.coverage, coverage);
    assert_eq!((rollup.tasks.on_time, rollup.tasks.late), (33, 0));
    assert_eq!((rollup.provisional, rollup.evidence_pending), (0, 0));
}

#[test]
fn a_withdrawn_report_leaves_a_line_of_its_own_and_a_gap_in_the_coverage() {
    let mut inputs = thirty_six();
    inputs.reports[4].submission = None;
    let rollup = inputs.march();
    assert_eq!(
        lines(&rollup.tasks),
        [
            ("completed_on_time", 32),
            ("continuing", 3),
            ("not_reported", 1)
        ]
    );
    let coverage = Coverage {
        units_reported: 5,
        units_expected: 6,
        reports_received: 35,
        reports_expected: 36,
        complete: false,
    };
    assert_eq!(rollup.coverage, coverage);
    assert_eq!(rollup.warnings.overdue, 1);
}

#[test]
fn a_task_of_one_department_and_102_communes_is_one_task_and_103_assignments() {
    let communes: Vec<u8> = (1..=102).collect();
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0], &communes), 0, Status::InProgress);
    let rollup = inputs.fold(3, date(2026, 3, 25));
    assert_eq!(lines(&rollup.tasks), [("in_progress", 1)]);
    assert_eq!(
        lines(&rollup.assignments),
        [("in_progress", 1), ("not_reported", 102)]
    );
    assert_eq!(rollup.assignments.total, 103);
    assert_eq!(
        (
            rollup.coverage.units_reported,
            rollup.coverage.units_expected
        ),
        (1, 103)
    );
}

#[test]
fn a_unit_that_leads_and_coordinates_is_one_assignment() {
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0, 1], &[1, 2]), 0, Status::InProgress);
    assert_eq!(inputs.march().assignments.total, 3);
}

#[test]
fn of_several_leads_the_least_advanced_counts_and_a_cancelled_part_hides_nobody() {
    let mut inputs = Inputs::default();
    let shared = task(0, &[0, 1, 2], &[]);
    inputs
        .reports
        .push(report(&shared, 0, 3, Status::Completed));
    inputs
        .reports
        .push(report(&shared, 1, 3, Status::Continuing));
    inputs.add(shared, 2, Status::Cancelled);
    assert_eq!(lines(&inputs.march().tasks), [("continuing", 1)]);
    inputs.reports.remove(0);
    assert_eq!(lines(&inputs.march().tasks), [("not_reported", 1)]);
    assert!(Derived::ALL.is_sorted());
}

#[test]
fn a_task_whose_lead_is_unknown_is_a_line_of_its_own_and_coverage_is_not_complete() {
    let mut inputs = Inputs::default();
    let mut half_known = task(1, &[1], &[]);
    half_known.lead.unresolved.push("Tổ công tác".to_owned());
    inputs.add(half_known, 1, Status::Completed);
    inputs.tasks.push(task(2, &[], &[]));
    let rollup = inputs.march();
    assert_eq!(lines(&rollup.tasks), [(UNRESOLVED_LEAD, 2)]);
    assert_eq!((rollup.tasks.total, rollup.unresolved_lead), (2, 2));
    assert_eq!(
        (rollup.assignments.total, rollup.coverage.complete),
        (1, false)
    );
}

#[test]
fn withdrawn_and_deleted_tasks_are_not_counted() {
    let mut inputs = thirty_six();
    inputs.tasks[0].withdrawn = true;
    inputs.tasks[1].deleted = true;
    let rollup = inputs.march();
    assert_eq!(
        (rollup.tasks.total, rollup.coverage.reports_expected),
        (34, 34)
    );
}

#[test]
fn rejected_evidence_sends_a_completed_task_back_until_it_is_submitted_again() {
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0], &[]), 0, Status::Completed);
    let pending = inputs.march();
    assert_eq!((pending.evidence_pending, pending.provisional), (1, 1));

    inputs.verdicts = vec![verdict(&inputs.reports[0], ISSUER, false)];
    let rejected = inputs.march();
    assert_eq!(lines(&rejected.tasks), [("awaiting_correction", 1)]);
    assert_eq!(
        (rejected.warnings.insufficient, rejected.evidence_pending),
        (1, 0)
    );

    inputs.reports[0].submission.as_mut().unwrap().hash = "another version".to_owned();
    let again = inputs.march();
    assert_eq!(lines(&again.tasks), [("completed_on_time", 1)]);
    assert_eq!(
        (again.warnings.insufficient, again.evidence_pending),
        (0, 1)
    );
}

#[test]
fn the_issuers_verdict_prevails_over_another_reviewers() {
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0], &[]), 0, Status::Completed);
    let of = &inputs.reports[0];
    inputs.verdicts = vec![verdict(of, PROVINCE, false), verdict(of, ISSUER, true)];
    assert_eq!(lines(&inputs.march().tasks), [("completed_on_time", 1)]);
    inputs.verdicts.pop();
    assert_eq!(lines(&inputs.march().tasks), [("awaiting_correction", 1)]);
}

#[test]
fn nobody_else_judges_a_report_not_even_its_author() {
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0], &[]), 0, Status::Completed);
    let of = &inputs.reports[0];
    let mut mistaken = verdict(of, ISSUER, false);
    mistaken.unit = unit(1);
    inputs.verdicts = vec![
        verdict(of, unit(0), true),
        verdict(of, unit(1), false),
        mistaken,
    ];
    let rollup = inputs.march();
    assert_eq!(lines(&rollup.tasks), [("completed_on_time", 1)]);
    assert_eq!(
        (rollup.evidence_pending, rollup.warnings.insufficient),
        (1, 0)
    );
}

#[test]
fn on_time_is_judged_by_the_receivers_clock_to_the_end_of_the_due_day_in_viet_nam() {
    // The last millisecond of 31 March 2026 in Viet Nam.
    let last_ms = 1_774_976_399_999;
    let with = |submitted_at, ahead: Option<i64>| {
        let mut inputs = Inputs::default();
        inputs.add(task(0, &[0], &[]), 0, Status::Completed);
        inputs.reports[0].submission.as_mut().unwrap().submitted_at = submitted_at;
        inputs.arrivals = ahead
            .map(|ms| arrival(&inputs.reports[0], ms))
            .into_iter()
            .collect();
        let rollup = inputs.march();
        let line = rollup.tasks.by_status.into_keys().next().unwrap();
        (line, rollup.provisional)
    };
    let on_time = "completed_on_time".to_owned();
    let late = "completed_late".to_owned();
    assert_eq!(with(last_ms, Some(0)), (on_time.clone(), 0));
    assert_eq!(with(last_ms + 1, Some(0)), (late.clone(), 0));
    assert_eq!(with(last_ms + 1, None), (late.clone(), 1));
    // A clock an hour ahead told a late hour; one an hour behind hid it.
    assert_eq!(with(last_ms + 1, Some(3_600_000)), (on_time, 0));
    assert_eq!(with(last_ms - 1_000, Some(-3_600_000)), (late.clone(), 0));
    assert_eq!(with(i64::MAX, Some(i64::MIN)), (late, 0));
}

#[test]
fn what_was_completed_in_time_stays_so_in_later_periods_and_is_not_expected_again() {
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0], &[]), 0, Status::Completed);
    let april = inputs.fold(4, date(2026, 5, 2));
    assert_eq!(lines(&april.tasks), [("completed_on_time", 1)]);
    assert_eq!(
        (april.coverage.reports_expected, april.coverage.complete),
        (0, true)
    );

    let mut again = report(&inputs.tasks[0], 0, 4, Status::Completed);
    again.submission.as_mut().unwrap().submitted_at += 40 * 86_400_000;
    inputs.reports.push(again);
    let repeated = inputs.fold(4, date(2026, 5, 2));
    assert_eq!(lines(&repeated.tasks), [("completed_on_time", 1)]);
    assert_eq!(
        (
            repeated.coverage.reports_received,
            repeated.coverage.reports_expected
        ),
        (1, 1)
    );
}

#[test]
fn other_states_carry_over_and_coverage_says_that_nothing_new_came() {
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0], &[]), 0, Status::InProgress);
    let april = inputs.fold(4, date(2026, 4, 20));
    assert_eq!(lines(&april.tasks), [("in_progress_late", 1)]);
    assert_eq!(
        (
            april.coverage.reports_received,
            april.coverage.reports_expected
        ),
        (0, 1)
    );
    assert_eq!((april.warnings.overdue, april.tasks.late), (1, 1));
    let february = inputs.fold(2, date(2026, 3, 1));
    assert_eq!(lines(&february.tasks), [("not_reported", 1)]);
}

#[test]
fn a_task_reported_on_request_is_expected_only_where_a_report_came() {
    let mut inputs = Inputs::default();
    let mut asked = task(0, &[0, 1], &[]);
    (asked.deadline_kind, asked.due) = ("on_request".to_owned(), None);
    inputs.add(asked, 0, Status::InProgress);
    let rollup = inputs.march();
    assert_eq!(
        (
            rollup.coverage.reports_received,
            rollup.coverage.reports_expected
        ),
        (1, 1)
    );
    assert!(rollup.coverage.complete);
    assert_eq!(rollup.units[&unit(1)], UnitCoverage::default());
}

#[test]
fn nobody_owes_a_report_of_a_period_that_was_over_when_the_task_was_given() {
    let expected = |issued, period: i8| {
        let mut inputs = Inputs::default();
        inputs.tasks.push(task(1, &[1], &[]));
        inputs.tasks[0].issued = issued;
        let coverage = inputs.fold(period, date(2026, 4, 1)).coverage;
        (coverage.reports_expected, coverage.complete)
    };
    let given = Some(date(2026, 3, 31));
    assert_eq!(expected(given, 2), (0, true));
    assert_eq!(expected(given, 3), (1, false), "given on its last day");
    assert_eq!(expected(None, 1), (1, false), "nobody knows when");
    let mut late = Inputs::default();
    late.add(task(1, &[1], &[]), 1, Status::InProgress);
    late.tasks[0].issued = Some(date(2026, 5, 1));
    assert_eq!(
        late.march().coverage.reports_expected,
        1,
        "what came counts"
    );
}

#[test]
fn less_than_half_of_where_the_calendar_says_is_a_warning() {
    let behind = |percent: Option<&str>, status, on| {
        let mut inputs = Inputs::default();
        let mut yearly = task(0, &[0], &[]);
        yearly.due = Some(date(2026, 12, 31));
        inputs.add(yearly, 0, status);
        let submission = inputs.reports[0].submission.as_mut().unwrap();
        submission.progress.percent = percent.map(str::to_owned);
        inputs.fold(12, on).warnings.behind
    };
    // Half of the year: 182 of 364 days, so at least 25 % is asked for.
    let middle = date(2026, 7, 2);
    assert_eq!(behind(Some("25"), Status::InProgress, middle), 0);
    assert_eq!(behind(Some("24.99"), Status::InProgress, middle), 1);
    assert_eq!(behind(None, Status::InProgress, middle), 0);
    assert_eq!(behind(None, Status::NotStarted, middle), 1);
    assert_eq!(behind(Some("0"), Status::Continuing, middle), 0);
    assert_eq!(behind(Some("a lot"), Status::InProgress, middle), 0);
    assert_eq!(behind(Some("0"), Status::InProgress, date(2025, 12, 1)), 0);
    // Past the due day it is overdue, which says more.
    assert_eq!(behind(Some("0"), Status::InProgress, date(2027, 1, 1)), 0);
}

#[test]
fn a_coordinating_units_warning_is_listed_and_not_counted_on_the_task() {
    let mut inputs = Inputs::default();
    inputs.add(task(0, &[0], &[1]), 0, Status::Completed);
    let warnings = inputs.with(&month(3), date(2026, 4, 1), list_warnings);
    let overdue = Warning {
        task: inputs.tasks[0].id,
        unit: Some(unit(1)),
        kind: WarningKind::Overdue,
    };
    assert_eq!(warnings, [overdue]);
    assert_eq!(inputs.march().warnings, Warnings::default());
}

#[test]
fn totals_keep_issuer_levels_apart_and_a_unit_of_two_groups_is_one_unit() {
    let (a, mut b) = (thirty_six().march(), thirty_six());
    b.reports[4].submission = None;
    let b = b.march();
    let totals = add(&[
        (OrgLevel::Ministry, &a),
        (OrgLevel::Province, &a),
        (OrgLevel::Province, &b),
    ]);
    assert_eq!(totals.by_level[&OrgLevel::Ministry].total, a);
    let province = &totals.by_level[&OrgLevel::Province];
    assert_eq!((province.rollups, province.total.tasks.total), (2, 72));
    let coverage = Coverage {
        units_reported: 5,
        units_expected: 6,
        reports_received: 71,
        reports_expected: 72,
        complete: false,
    };
    assert_eq!(province.total.coverage, coverage);
    assert_eq!(
        totals,
        add(&[
            (OrgLevel::Province, &b),
            (OrgLevel::Province, &a),
            (OrgLevel::Ministry, &a)
        ])
    );
}

#[test]
fn a_rollup_reads_back_from_its_own_bytes() {
    let rollup = thirty_six().march();
    let bytes = serde_json::to_string(&rollup).unwrap();
    assert_eq!(serde_json::from_str::<GroupRollup>(&bytes).unwrap(), rollup);
}

proptest! {
    #![proptest_config(Config { cases: 3_000, rng_seed: RngSeed::Fixed(20_261_122), ..Config::default() })]

    #[test]
    fn a_rollup_equals_a_recount_and_has_the_same_bytes_in_any_order(
        inputs in any_inputs(),
        seed: u64,
        period in 1i8..6,
        on in 0i32..150,
    ) {
        let day = date(2026, 1, 1) + jiff::Span::new().days(on);
        let rollup = inputs.fold(period, day);
        let mut shuffled = inputs.clone();
        let mix = |id: &[u8]| Uuid::new_v5(&Uuid::from_u64_pair(seed, 0), id);
        shuffled.tasks.sort_by_key(|t| mix(t.id.as_bytes()));
        shuffled.reports.sort_by_key(|r| mix(r.id.as_bytes()));
        shuffled.verdicts.sort_by_key(|v| mix(format!("{v:?}").as_bytes()));
        shuffled.arrivals.sort_by_key(|a| mix(a.submission.as_bytes()));
        let bytes = |r: &GroupRollup| serde_json::to_string(r).expect("plain values");
        prop_assert_eq!(bytes(&rollup), bytes(&shuffled.fold(period, day)));
        let mut parts = Counting::on(day);
        for task in &shuffled.tasks {
            let mut part = Inputs { tasks: vec![task.clone()], ..shuffled.clone() };
            part.reports.retain(|report| report.task == task.id);
            part.verdicts.retain(|v| part.reports.iter().any(|report| report.id == v.report));
            part.with(&month(period), day, |input| parts.add(input));
        }
        prop_assert_eq!(bytes(&rollup), bytes(&parts.done()));

        let again = inputs.with(&month(period), day, recount::recount);
        prop_assert_eq!(&rollup.tasks.by_status, &again.tasks);
        prop_assert_eq!(&rollup.assignments.by_status, &again.assignments);
        prop_assert_eq!(rollup.tasks.by_status.values().sum::<u32>(), rollup.tasks.total);
        let (received, expected) = (rollup.coverage.reports_received, rollup.coverage.reports_expected);
        prop_assert_eq!((received, expected), (again.received, again.expected));
        prop_assert_eq!(rollup.coverage.units_reported, again.units_reported);
    }

    #[test]
    fn what_is_kept_after_each_version_tells_what_a_fold_of_any_period_derives(
        inputs in any_inputs(),
        period in 1i8..6,
        on in 0i32..150,
    ) {
        let day = date(2026, 1, 1) + jiff::Span::new().days(on);
        let span = month(period);
        let always = PeriodSpan { end: jiff::civil::Date::MAX, ..span.clone() };
        let kept = inputs.with(&always, day, steps);
        let derived = inputs.with(&span, day, derive_all);
        for ((task, unit), (standing, due)) in derived {
            let task = inputs.tasks.iter().find(|t| t.id == task).expect("a task");
            let none = Vec::new();
            let all = kept.get(&(task.id, unit)).unwrap_or(&none);
            let before = all.partition_point(|step| step.ends < span.start);
            let by = all.partition_point(|step| step.ends <= span.end);
            let finished = before > 0 && all[before - 1].derived.is_finished();
            prop_assert_eq!(due, Due::of(task, span.end, finished, by > before));
            let told = all[..by].last().map(|step| step.on(task.due, day));
            prop_assert_eq!(standing, told.unwrap_or(Standing::silent(task.due, day)));
        }
    }

    #[test]
    fn groups_added_for_showing_count_what_one_fold_over_all_of_them_counts(
        inputs in any_inputs(),
        split in 0u8..16,
    ) {
        let mut left = inputs.clone();
        let mut right = inputs.clone();
        left.tasks.retain(|t| split & (1 << (t.id.as_u128() - 0x200)) != 0);
        right.tasks.retain(|t| split & (1 << (t.id.as_u128() - 0x200)) == 0);
        let (left, right) = (left.march(), right.march());
        let totals = add(&[(OrgLevel::Province, &left), (OrgLevel::Province, &right)]);
        prop_assert_eq!(&totals.by_level[&OrgLevel::Province].total, &inputs.march());
    }
}

/// A lead's progress on a task that is due at the end of March.
fn at_percent(percent: &str) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add(task(1, &[1], &[]), 1, Status::InProgress);
    let submission = inputs.reports[0].submission.as_mut().unwrap();
    submission.progress.percent = Some(percent.to_owned());
    inputs
}

#[test]
fn a_task_that_falls_behind_does_so_on_one_day_and_is_overdue_the_day_after_its_last() {
    let next = |percent, on| at_percent(percent).with(&month(3), on, next_change);
    // Due on 31 March, counted from 1 January: of 89 days, 36 are 40.4 %, half of it 20.2 %.
    assert_eq!(next("20", date(2026, 1, 1)), Some(date(2026, 2, 6)));
    assert_eq!(next("20", date(2026, 2, 5)), Some(date(2026, 2, 6)));
    // Behind already; then overdue.
    assert_eq!(next("20", date(2026, 2, 6)), Some(date(2026, 4, 1)));
    assert_eq!(next("50", date(2026, 1, 1)), Some(date(2026, 4, 1)));
    assert_eq!(next("50", date(2026, 3, 31)), Some(date(2026, 4, 1)));
    assert_eq!(next("50", date(2026, 4, 1)), None);
    let mut open_end = at_percent("1");
    open_end.tasks[0].due = None;
    assert_eq!(
        open_end.with(&month(3), date(2026, 1, 1), next_change),
        None
    );
}

proptest! {
    #![proptest_config(Config { cases: 200, rng_seed: RngSeed::Fixed(20261129), ..Config::default() })]

    /// Looked at on every day of the year, warnings change on days that were foretold, and on no other.
    #[test]
    fn warnings_change_on_no_day_that_was_not_foretold(
        mut inputs in any_inputs(),
        percents in prop::collection::vec(prop::option::of(0u8..101), 24),
        dues in prop::collection::vec(0i64..400, 4),
    ) {
        use jiff::ToSpan;
        for (task, days) in inputs.tasks.iter_mut().zip(dues) {
            task.due = task.due.map(|_| date(2026, 1, 1) + days.days());
        }
        for (report, percent) in inputs.reports.iter_mut().zip(percents) {
            if let Some(submission) = &mut report.submission {
                submission.progress.percent = percent.map(|p| p.to_string());
            }
        }
        let mut day = date(2025, 12, 25);
        let mut foretold = inputs.with(&month(6), day, next_change);
        let mut warned = inputs.with(&month(6), day, list_warnings);
        while day < date(2027, 3, 1) {
            day = day.saturating_add(1.day());
            let now = inputs.with(&month(6), day, list_warnings);
            match foretold {
                Some(next) if next == day => {
                    foretold = inputs.with(&month(6), day, next_change);
                }
                next => {
                    prop_assert!(next.is_none_or(|next| next > day), "{next:?} was passed by on {day}");
                    prop_assert_eq!(&now, &warned, "changed on {}, foretold was {:?}", day, next);
                }
            }
            warned = now;
        }
    }
}
