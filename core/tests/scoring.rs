//! Scores of units: what people check by hand, and what holds for any criteria and any shares.

use std::collections::BTreeMap;

use nqsync_core::model::UnitId;
use nqsync_core::scoring::{Criteria, Criterion, Grade, Measure, Share, Shares, Unfit, score};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use uuid::Uuid;

fn unit(number: u128) -> UnitId {
    UnitId(Uuid::from_u128(number))
}

fn criterion(code: &str, measure: Measure, weight: u32) -> Criterion {
    Criterion {
        code: code.to_owned(),
        title: String::new(),
        measure,
        weight,
        none_up_to: 0,
        all_from: 100,
    }
}

fn criteria() -> Criteria {
    let grade = |title: &str, from| Grade {
        title: title.to_owned(),
        from,
    };
    Criteria {
        title: "a list".to_owned(),
        criteria: vec![
            criterion("1", Measure::TasksOnTime, 40),
            criterion("2", Measure::EvidenceAccepted, 20),
            criterion("3", Measure::IndicatorsReached, 20),
            criterion("4", Measure::ReportsOnTime, 20),
        ],
        grades: vec![grade("good", 80), grade("excellent", 90), grade("weak", 0)],
    }
}

fn shares(of: [(u32, u32); 4]) -> Shares {
    let pairs = Measure::ALL.into_iter().zip(of);
    pairs
        .map(|(measure, (reached, of))| (measure, Share { reached, of }))
        .collect()
}

#[test]
fn every_point_has_its_numbers_and_what_has_no_basis_is_no_zero() {
    let units = BTreeMap::from([
        (unit(1), shares([(9, 10), (3, 3), (0, 0), (2, 3)])),
        (unit(2), shares([(0, 0); 4])),
        (unit(3), shares([(0, 10), (0, 0), (0, 0), (0, 0)])),
    ]);
    let scores = score(&criteria(), &units);
    let first = &scores[0];
    let points: Vec<Option<u64>> = first.lines.iter().map(|line| line.points).collect();
    // 2/3 of 20 points is 13.333…, cut off.
    assert_eq!(points, [Some(3600), Some(2000), None, Some(1333)]);
    assert_eq!((first.points, first.most), (6933, 8000));
    assert_eq!((first.percent, first.rank), (Some(8666), Some(1)));
    assert_eq!(first.grade.as_deref(), Some("good"));
    let zero = &scores[1];
    assert_eq!(
        (zero.unit, zero.percent, zero.rank),
        (unit(3), Some(0), Some(2))
    );
    assert_eq!(zero.grade.as_deref(), Some("weak"));
    let nothing = &scores[2];
    assert_eq!(
        (nothing.unit, nothing.percent, nothing.rank),
        (unit(2), None, None)
    );
    assert_eq!(nothing.grade, None);
}

#[test]
fn between_its_thresholds_a_criterion_grows_evenly() {
    let mut criteria = criteria();
    criteria.criteria.truncate(1);
    criteria.criteria[0].none_up_to = 50;
    criteria.criteria[0].all_from = 90;
    for (reached, points) in [(0, 0), (50, 0), (70, 2000), (90, 4000), (100, 4000)] {
        let units = BTreeMap::from([(unit(1), shares([(reached, 100), (0, 0), (0, 0), (0, 0)]))]);
        assert_eq!(score(&criteria, &units)[0].points, points, "{reached}");
    }
}

#[test]
fn equal_units_share_a_place_and_the_next_one_counts_them() {
    let of = |reached| shares([(reached, 10), (0, 0), (0, 0), (0, 0)]);
    let units = BTreeMap::from([
        (unit(4), of(5)),
        (unit(3), of(8)),
        (unit(2), of(8)),
        (unit(1), of(9)),
    ]);
    let places: Vec<(UnitId, Option<u32>)> = score(&criteria(), &units)
        .iter()
        .map(|score| (score.unit, score.rank))
        .collect();
    let place = |number, rank| (unit(number), Some(rank));
    assert_eq!(places, [place(1, 1), place(2, 2), place(3, 2), place(4, 4)]);
}

#[test]
fn criteria_that_would_score_nobody_are_refused() {
    assert_eq!(criteria().check(), Ok(()));
    let with = |change: fn(&mut Criteria)| {
        let mut changed = criteria();
        change(&mut changed);
        changed.check()
    };
    assert_eq!(with(|c| c.criteria.clear()), Err(Unfit::Empty));
    assert_eq!(
        with(|c| c.criteria[1].code = "1".into()),
        Err(Unfit::Twice("1".into()))
    );
    assert_eq!(
        with(|c| c.criteria[0].weight = 0),
        Err(Unfit::Weight("1".into()))
    );
    assert_eq!(
        with(|c| c.criteria[0].none_up_to = 100),
        Err(Unfit::Thresholds("1".into()))
    );
    assert_eq!(
        with(|c| c.criteria[0].all_from = 101),
        Err(Unfit::Thresholds("1".into()))
    );
    assert_eq!(
        with(|c| c.grades[2].from = 90),
        Err(Unfit::Grade("weak".into()))
    );
}

prop_compose! {
    fn any_criteria()(
        lines in prop::collection::vec((0usize..4, 1u32..50, 0u32..60, 1u32..40), 1..6),
        grades in prop::collection::btree_set(0u32..=100, 0..5),
    ) -> Criteria {
        let criteria = lines.into_iter().enumerate().map(|(number, (measure, weight, none, more))| Criterion {
            none_up_to: none,
            all_from: none + more,
            ..criterion(&number.to_string(), Measure::ALL[measure], weight)
        });
        Criteria {
            title: String::new(),
            criteria: criteria.collect(),
            grades: grades.into_iter().map(|from| Grade { title: from.to_string(), from }).collect(),
        }
    }
}

fn any_shares() -> impl Strategy<Value = Shares> {
    let share = (0u32..9).prop_flat_map(|of| (0..=of, Just(of)));
    [share.clone(), share.clone(), share.clone(), share].prop_map(shares)
}

proptest! {
    #![proptest_config(Config { rng_seed: RngSeed::Fixed(20_261_128), ..Config::default() })]

    #[test]
    fn a_score_is_its_units_own_and_places_follow_from_scores_alone(
        criteria in any_criteria(),
        units in prop::collection::vec(any_shares(), 1..8),
        turn in 0usize..8,
    ) {
        prop_assert_eq!(criteria.check(), Ok(()));
        let count = units.len();
        let all: BTreeMap<UnitId, Shares> =
            units.iter().enumerate().map(|(n, s)| (unit(n as u128), s.clone())).collect();
        // The same units under other ids: every score goes with its unit, and so does every place.
        let turned: BTreeMap<UnitId, Shares> = units
            .iter()
            .enumerate()
            .map(|(n, s)| (unit(((n + turn) % count) as u128), s.clone()))
            .collect();
        let (scores, other) = (score(&criteria, &all), score(&criteria, &turned));
        for (n, of) in units.iter().enumerate() {
            let find = |scores: &[nqsync_core::scoring::Score], id: usize| {
                let found = scores.iter().find(|s| s.unit == unit(id as u128));
                found.expect("a score").clone()
            };
            let (one, same) = (find(&scores, n), find(&other, (n + turn) % count));
            prop_assert_eq!((&one.lines, one.percent, one.rank), (&same.lines, same.percent, same.rank));
            let alone = score(&criteria, &BTreeMap::from([(unit(n as u128), of.clone())]));
            prop_assert_eq!(&alone[0].lines, &one.lines);
            prop_assert!(one.points <= one.most);
            let better = scores.iter().filter(|s| s.percent > one.percent).count() as u32;
            prop_assert_eq!(one.rank, one.percent.map(|_| better + 1));
        }
    }

    #[test]
    fn more_of_a_share_costs_no_point_and_no_place(
        criteria in any_criteria(),
        units in prop::collection::vec(any_shares(), 1..6),
        which in 0usize..4,
    ) {
        let mut all: BTreeMap<UnitId, Shares> =
            units.into_iter().enumerate().map(|(n, s)| (unit(n as u128), s)).collect();
        let of = |scores: Vec<nqsync_core::scoring::Score>| {
            scores.into_iter().find(|s| s.unit == unit(0)).expect("a score")
        };
        let before = of(score(&criteria, &all));
        let share = all.get_mut(&unit(0)).expect("shares").get_mut(&Measure::ALL[which]).expect("a share");
        share.reached = (share.reached + 1).min(share.of);
        let after = of(score(&criteria, &all));
        prop_assert!(after.points >= before.points);
        prop_assert!(after.percent >= before.percent);
        prop_assert!(after.rank <= before.rank);
    }
}
