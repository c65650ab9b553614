//! Indicators: figures as they are written, and how they add up.

use jiff::civil::date;
use nqsync_core::model::values::{
    Aggregation, Figures, IndicatorDefinition, OrgLevel, OverTime, Succession, SuccessionKind,
};
use nqsync_core::model::{Tree, UnitId, UnitInfo};
use nqsync_core::rollup::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use uuid::Uuid;

fn unit(number: u8) -> UnitId {
    UnitId(Uuid::from_u128(u128::from(number)))
}

fn span(name: &str) -> PeriodSpan {
    let (first, months) = match name {
        "2026-Q1" => (1, 3),
        month => (month[5..].parse().unwrap(), 1),
    };
    PeriodSpan {
        name: name.to_owned(),
        start: date(2026, first, 1),
        end: date(2026, first + months - 1, 1).last_of_month(),
    }
}

/// Value, numerator and denominator; an empty text is an absent one.
fn figures([value, numerator, denominator]: [&str; 3]) -> Figures {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Figures {
        value: given(value),
        numerator: given(numerator),
        denominator: given(denominator),
    }
}

fn of(by: u8, period: &str, written: [&str; 3]) -> FigureFacts {
    FigureFacts {
        unit: unit(by),
        period: span(period),
        figures: figures(written),
    }
}

fn total(over_time: OverTime, aggregation: Aggregation, facts: &[FigureFacts]) -> IndicatorTotal {
    let definition = IndicatorDefinition {
        code: "DVC".to_owned(),
        name: "x".to_owned(),
        measure: "%".to_owned(),
        over_time,
        aggregation,
    };
    aggregate(&definition, facts, &[unit(1), unit(2)], &Tree::default()).unwrap()
}

fn value(over_time: OverTime, aggregation: Aggregation, facts: &[FigureFacts]) -> Option<String> {
    total(over_time, aggregation, facts).value
}

#[test]
fn ratios_add_numerators_and_denominators_and_never_average_percents() {
    let facts = [
        of(1, "2026-03", ["50", "1", "2"]),
        of(2, "2026-03", ["100", "98", "98"]),
    ];
    let total = total(OverTime::Cumulative, Aggregation::RatioOfSums, &facts);
    assert_eq!(total.numerator.as_deref(), Some("99"));
    assert_eq!(total.denominator.as_deref(), Some("100"));
    assert_eq!(total.value.as_deref(), Some("99"));
    assert!(total.complete && total.remarks.is_empty());
}

#[test]
fn each_aggregation_does_what_its_name_says() {
    let facts = [
        of(1, "2026-01", ["10", "", "4"]),
        of(1, "2026-02", ["0.1", "", "1"]),
        of(2, "2026-02", ["0.2", "", "3"]),
    ];
    let (discrete, cumulative) = (OverTime::Discrete, OverTime::Cumulative);
    let expected = [
        (discrete, Aggregation::Sum, "10.3"),
        (cumulative, Aggregation::Sum, "0.3"),
        (discrete, Aggregation::Min, "0.1"),
        (discrete, Aggregation::Max, "10"),
        (cumulative, Aggregation::Max, "0.2"),
        (discrete, Aggregation::Latest, "0.2"),
        (cumulative, Aggregation::WeightedMean, "0.175"),
        (discrete, Aggregation::WeightedMean, "5.0875"),
    ];
    for (over_time, aggregation, text) in expected {
        assert_eq!(
            value(over_time, aggregation, &facts).as_deref(),
            Some(text),
            "{over_time:?} {aggregation:?}"
        );
    }
}

#[test]
fn a_stated_percent_that_is_not_the_computed_one_is_a_remark_and_changes_nothing() {
    let remarks = |written| remark_figures(&figures(written));
    let computed = |text: &str| text.to_owned();
    assert_eq!(remarks(["66.67", "2", "3"]), []);
    assert_eq!(
        remarks(["66.66", "2", "3"]),
        [RemarkKind::CutOff {
            computed: computed("66.6667")
        }]
    );
    assert_eq!(remarks(["67", "2", "3"]), []);
    assert_eq!(
        remarks(["68", "2", "3"]),
        [RemarkKind::Differs {
            computed: computed("66.6667")
        }]
    );
    // The count itself may be stated as the value.
    assert_eq!(remarks(["2274905", "2274905", "2581336"]), []);
    assert_eq!(
        remarks(["", "2576", "2567"]),
        [RemarkKind::NumeratorAboveDenominator]
    );
    assert_eq!(remarks(["1", "2", "0"]), [RemarkKind::ZeroDenominator]);
    let found = "1.234.567".to_owned();
    assert_eq!(
        remarks(["", "1.234.567", "2"]),
        [RemarkKind::Unreadable { found }]
    );

    let facts = [of(1, "2026-03", ["68", "2", "3"])];
    let total = total(OverTime::Cumulative, Aggregation::Latest, &facts);
    assert_eq!(total.value.as_deref(), Some("68"));
}

#[test]
fn a_unit_whose_figure_cannot_be_used_is_not_covered() {
    let facts = [
        of(1, "2026-02", ["", "1", "2"]),
        of(1, "2026-03", ["", "1", "0"]),
        of(2, "2026-03", ["", "3", "4"]),
        of(9, "2026-03", ["", "1", "4"]),
    ];
    let total = total(OverTime::Cumulative, Aggregation::RatioOfSums, &facts);
    assert_eq!(total.value.as_deref(), Some("50"));
    assert_eq!(
        (total.units_reported, total.units_expected, total.complete),
        (1, 2, false)
    );
    let kinds: Vec<&RemarkKind> = total.remarks.iter().map(|r| &r.kind).collect();
    let expected = [
        RemarkKind::ZeroDenominator,
        RemarkKind::Incomplete,
        RemarkKind::NotExpected,
    ];
    assert_eq!(kinds, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_quarter_and_its_months_are_not_added_together() {
    let facts = [
        of(1, "2026-01", ["5", "", ""]),
        of(1, "2026-Q1", ["20", "", ""]),
        of(1, "2026-04", ["7", "", ""]),
        of(2, "2026-01", ["1", "", ""]),
    ];
    let total = total(OverTime::Discrete, Aggregation::Sum, &facts);
    assert_eq!(total.value.as_deref(), Some("28"));
    assert_eq!(total.remarks.len(), 1);
    assert_eq!(total.remarks[0].kind, RemarkKind::InWiderPeriod);
}

#[test]
fn no_figures_give_no_total_and_no_division_by_zero() {
    let nothing = total(OverTime::Cumulative, Aggregation::RatioOfSums, &[]);
    assert_eq!((nothing.value, nothing.complete), (None, false));
    let cancelling = [
        of(1, "2026-03", ["", "1", "2"]),
        of(2, "2026-03", ["", "1", "-2"]),
    ];
    assert_eq!(
        value(OverTime::Cumulative, Aggregation::RatioOfSums, &cancelling),
        None
    );
}

#[test]
fn a_total_that_does_not_fit_is_refused_and_not_rounded() {
    let definition = IndicatorDefinition {
        code: String::new(),
        name: String::new(),
        measure: String::new(),
        over_time: OverTime::Cumulative,
        aggregation: Aggregation::WeightedMean,
    };
    let great = "999999999999999999.999999999";
    let facts = [of(1, "2026-03", [great, "", great])];
    assert_eq!(
        aggregate(&definition, &facts, &[], &Tree::default()),
        Err(Overflow)
    );
}

/// Units 1 and 2 are continued by unit 3 from 15 February 2026 on.
fn merged() -> Tree {
    Tree::new((1..=3).map(|number| UnitInfo {
        id: unit(number),
        owner: unit(9),
        code: format!("U{number}"),
        name: String::new(),
        level: OrgLevel::Commune,
        parent: Some(unit(9)),
        served_by: None,
        aliases: Vec::new(),
        served_before: Vec::new(),
        succession: (number < 3).then(|| Succession {
            kind: SuccessionKind::Merge,
            from: date(2026, 2, 15),
            successors: vec![unit(3)],
            heir: Some(unit(3)),
        }),
        heir: None,
        places: Vec::new(),
        placed: None,
        undone: None,
    }))
}

fn after_merge(over_time: OverTime, facts: &[FigureFacts]) -> IndicatorTotal {
    let definition = IndicatorDefinition {
        code: "DVC".to_owned(),
        name: String::new(),
        measure: String::new(),
        over_time,
        aggregation: Aggregation::Sum,
    };
    aggregate(&definition, facts, &[unit(1), unit(2)], &merged()).unwrap()
}

#[test]
fn a_successors_value_replaces_those_before_it_in_a_period_that_ends_after_the_change() {
    let facts = [
        of(1, "2026-01", ["10", "", ""]),
        of(2, "2026-01", ["20", "", ""]),
        of(1, "2026-02", ["3", "", ""]),
        of(2, "2026-02", ["4", "", ""]),
        of(3, "2026-02", ["8", "", ""]),
        of(3, "2026-03", ["9", "", ""]),
    ];
    // January was both units' own; of February the successor speaks for both; March is its own: 10 + 20 + 8 + 9.
    let discrete = after_merge(OverTime::Discrete, &facts);
    assert_eq!(discrete.value.as_deref(), Some("47"));
    let kinds: Vec<_> = discrete
        .remarks
        .iter()
        .map(|r| (r.unit, r.period.as_str(), &r.kind))
        .collect();
    let replaced = RemarkKind::ReplacedBySuccessor { by: unit(3) };
    assert_eq!(
        kinds,
        [
            (unit(1), "2026-02", &replaced),
            (unit(2), "2026-02", &replaced)
        ]
    );
    assert!(discrete.complete);
    // So far means of all three; what the successor says last stands for them.
    assert_eq!(
        after_merge(OverTime::Cumulative, &facts).value.as_deref(),
        Some("9")
    );
    // Before the change nothing is replaced, and a successor that is silent replaces nothing.
    assert_eq!(
        after_merge(OverTime::Cumulative, &facts[..2])
            .value
            .as_deref(),
        Some("30")
    );
    assert_eq!(
        after_merge(OverTime::Discrete, &facts[..4])
            .value
            .as_deref(),
        Some("37")
    );
}

#[test]
fn a_successors_value_of_a_period_before_the_change_replaces_nothing() {
    let facts = [
        of(1, "2026-01", ["10", "", ""]),
        of(3, "2026-01", ["5", "", ""]),
    ];
    let total = after_merge(OverTime::Discrete, &facts);
    assert_eq!(
        (total.value.as_deref(), total.units_reported),
        (Some("15"), 1)
    );
}

#[test]
fn what_is_expected_of_units_that_are_gone_their_successor_answers() {
    let total = after_merge(OverTime::Discrete, &[of(3, "2026-03", ["9", "", ""])]);
    assert_eq!(
        (total.units_reported, total.units_expected, total.complete),
        (2, 2, true)
    );
    assert!(total.remarks.is_empty(), "{:?}", total.remarks);
}

proptest! {
    #![proptest_config(Config { cases: 1_000, rng_seed: RngSeed::Fixed(20_261_122), ..Config::default() })]

    #[test]
    fn totals_do_not_depend_on_order_and_sums_are_exact(
        drawn in prop::collection::btree_map((0u8..5, 1u8..6), (-999i64..9_999, 1i64..99), 0..12),
        turn in 0usize..12,
    ) {
        let fact = |((by, period), (value, whole)): (&(u8, u8), &(i64, i64))| {
            let hundredths = format!("{}{}.{:02}", if *value < 0 { "-" } else { "" }, value.abs() / 100, value.abs() % 100);
            of(*by, &format!("2026-{period:02}"), [&hundredths, &value.to_string(), &whole.to_string()])
        };
        let facts: Vec<FigureFacts> = drawn.iter().map(fact).collect();
        let mut turned = facts.clone();
        turned.rotate_left(turn.min(facts.len()));
        for aggregation in [
            Aggregation::Sum, Aggregation::RatioOfSums, Aggregation::Latest,
            Aggregation::Min, Aggregation::Max, Aggregation::WeightedMean,
        ] {
            for over_time in [OverTime::Discrete, OverTime::Cumulative] {
                let one = total(over_time, aggregation, &facts);
                prop_assert_eq!(&one, &total(over_time, aggregation, &turned));
                let bytes = serde_json::to_string(&one).expect("plain values");
                prop_assert_eq!(serde_json::from_str::<IndicatorTotal>(&bytes).expect("its own bytes"), one);
            }
        }
        let sum: i64 = drawn.values().map(|(value, _)| value).sum();
        let exact = value(OverTime::Discrete, Aggregation::Sum, &facts);
        let hundredfold = exact.map(|text| {
            let number: Decimal = text.parse().expect("a decimal number");
            number.checked_mul(Decimal::from(100)).expect("small").to_string()
        });
        prop_assert_eq!(hundredfold, (!drawn.is_empty()).then(|| sum.to_string()));
    }
}
