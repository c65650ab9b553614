//! Adding up the values of an indicator, over periods and over units, as its definition says. Percents are never
//! averaged, stated values never corrected: what does not fit is a remark.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::decimal::Decimal;
use super::input::PeriodSpan;
use crate::model::values::{Aggregation, Figures, IndicatorDefinition, OverTime};
use crate::model::{Tree, UnitId};

/// One unit's value in one period; there is one record, so one value, per unit and period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureFacts {
    /// Whose.
    pub unit: UnitId,
    /// When.
    pub period: PeriodSpan,
    /// As reported.
    pub figures: Figures,
}

/// What the values come to, with whose values are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorTotal {
    /// The total; for a ratio of sums, the percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Sum of the numerators, for a ratio of sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerator: Option<String>,
    /// Sum of the denominators, for a ratio of sums and a weighted mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denominator: Option<String>,
    /// Expected units whose value is in the total.
    pub units_reported: u32,
    /// Expected units.
    pub units_expected: u32,
    /// Every expected unit is in.
    pub complete: bool,
    /// What a person should know, sorted.
    pub remarks: Vec<Remark>,
}

/// Something to know about one value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remark {
    /// Whose value.
    pub unit: UnitId,
    /// Of which period.
    pub period: String,
    /// What.
    #[serde(flatten)]
    pub kind: RemarkKind,
}

/// Kinds of remarks. None of them changes a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "remark", rename_all = "snake_case")]
pub enum RemarkKind {
    /// Not a decimal number, or too long; left out of totals that need it.
    Unreadable {
        /// The text.
        found: String,
    },
    /// A whole of 0; left out of ratios.
    ZeroDenominator,
    /// The part exceeds the whole. That happens, and it counts as reported.
    NumeratorAboveDenominator,
    /// The stated percent is the computed one cut off instead of rounded, as official tables often have it.
    CutOff {
        /// The percent computed from numerator and denominator.
        computed: String,
    },
    /// The stated percent is not the one computed.
    Differs {
        /// The percent computed from numerator and denominator.
        computed: String,
    },
    /// What the aggregation needs is missing or cannot be used; the unit is not in the total.
    Incomplete,
    /// Not added, because a wider period of the same unit contains it.
    InWiderPeriod,
    /// Not added, because the unit was continued by another within the period, whose value stands for both.
    ReplacedBySuccessor {
        /// The successor that reported.
        by: UnitId,
    },
    /// Counted, though nobody expected it of this unit.
    NotExpected,
}

/// A total with more digits than can be kept exactly; never rounded in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the total has more digits than can be kept exactly; look for a figure typed wrongly")]
pub struct Overflow;

/// Digits after the point of computed percents and means.
const PLACES: u32 = 4;

/// Adds up an indicator's values. `expected` are the units that had to report; figures may come in any order. For a
/// period that ends after a unit was continued by another, the successor's value replaces the unit's own.
pub fn aggregate(
    definition: &IndicatorDefinition,
    figures: &[FigureFacts],
    expected: &[UnitId],
    tree: &Tree,
) -> Result<IndicatorTotal, Overflow> {
    let expected: BTreeSet<UnitId> = expected.iter().copied().collect();
    let continued: BTreeMap<UnitId, Vec<(UnitId, Date)>> = figures
        .iter()
        .map(|facts| facts.unit)
        .chain(expected.iter().copied())
        .map(|unit| (unit, tree.successors(unit)))
        .collect();
    let continues: BTreeSet<UnitId> = expected
        .iter()
        .flat_map(|unit| &continued[unit])
        .map(|(successor, _)| *successor)
        .collect();
    let mut remarks = Vec::new();
    let mut remark = |facts: &FigureFacts, kind| {
        remarks.push(Remark {
            unit: facts.unit,
            period: facts.period.name.clone(),
            kind,
        });
    };
    let mut reported = BTreeSet::new();
    let mut chosen = Vec::new();
    let mut of_unit: BTreeMap<UnitId, Vec<&FigureFacts>> = BTreeMap::new();
    for facts in figures {
        of_unit.entry(facts.unit).or_default().push(facts);
    }
    for facts in figures {
        let successors = &continued[&facts.unit];
        if let Some(by) = replaced_by(definition.over_time, facts, successors, figures) {
            reported.insert(facts.unit);
            remark(facts, RemarkKind::ReplacedBySuccessor { by });
            continue;
        }
        if !is_chosen(definition.over_time, facts, &of_unit[&facts.unit]) {
            if definition.over_time == OverTime::Discrete {
                remark(facts, RemarkKind::InWiderPeriod);
            }
            continue;
        }
        for kind in remark_figures(&facts.figures) {
            remark(facts, kind);
        }
        if !expected.contains(&facts.unit) && !continues.contains(&facts.unit) {
            remark(facts, RemarkKind::NotExpected);
        }
        match Terms::of(&facts.figures, definition.aggregation) {
            Some(terms) => {
                reported.insert(facts.unit);
                chosen.push((facts, terms));
            }
            None => remark(facts, RemarkKind::Incomplete),
        }
    }
    // What is expected of a unit that is gone, its successor answers.
    let answered = |unit: &&UnitId| {
        let mut successors = continued[*unit].iter();
        successors.any(|(successor, from)| {
            let mut chosen = chosen.iter();
            chosen.any(|(facts, _)| facts.unit == *successor && facts.period.end >= *from)
        })
    };
    reported.extend(expected.iter().filter(answered));
    chosen.sort_by_key(|(facts, _)| (recency(facts), facts.unit));
    let terms: Vec<Terms> = chosen.into_iter().map(|(_, terms)| terms).collect();
    remarks.sort();
    Ok(IndicatorTotal {
        units_reported: reported.intersection(&expected).count() as u32,
        units_expected: expected.len() as u32,
        complete: expected.is_subset(&reported),
        remarks,
        ..combine(definition.aggregation, &terms).ok_or(Overflow)?
    })
}

/// What there is to know about one set of figures by itself.
pub fn remark_figures(figures: &Figures) -> Vec<RemarkKind> {
    let mut remarks = Vec::new();
    let mut read = |text: &Option<String>| {
        let text = text.as_deref()?;
        let parsed = text.parse::<Decimal>().ok();
        if parsed.is_none() {
            let found = text.chars().take(40).collect();
            remarks.push(RemarkKind::Unreadable { found });
        }
        parsed
    };
    let stated = read(&figures.value);
    let (numerator, denominator) = (read(&figures.numerator), read(&figures.denominator));
    let (Some(numerator), Some(denominator)) = (numerator, denominator) else {
        return remarks;
    };
    if denominator.is_zero() {
        remarks.push(RemarkKind::ZeroDenominator);
        return remarks;
    }
    if numerator.checked_cmp(denominator) == Some(Ordering::Greater) {
        remarks.push(RemarkKind::NumeratorAboveDenominator);
    }
    // The stated value may also be the count itself; only a percent can differ from the computed one.
    if let Some(stated) = stated.filter(|stated| *stated != numerator) {
        remarks.extend(remark_percent(stated, numerator, denominator));
    }
    remarks
}

fn remark_percent(stated: Decimal, numerator: Decimal, denominator: Decimal) -> Option<RemarkKind> {
    let hundredfold = numerator.checked_mul(Decimal::from(100))?;
    let (cut, rounded) = hundredfold.checked_div(denominator, stated.scale())?;
    let computed = percent(numerator, denominator)?.to_string();
    // Written with fewer digits than two, a percent is still meant as one of two: 88,10 is read as 88,1.
    let (cut_2, rounded_2) = hundredfold.checked_div(denominator, 2)?;
    if stated == rounded || stated == rounded_2 {
        None
    } else if stated == cut || stated == cut_2 {
        Some(RemarkKind::CutOff { computed })
    } else {
        Some(RemarkKind::Differs { computed })
    }
}

/// The numbers one value brings into the total.
struct Terms {
    value: Decimal,
    numerator: Decimal,
    denominator: Decimal,
}

impl Terms {
    /// What the aggregation needs, if it is all there; what it does not need is 0.
    fn of(figures: &Figures, aggregation: Aggregation) -> Option<Terms> {
        let read = |text: &Option<String>| text.as_deref()?.parse::<Decimal>().ok();
        let whole = || read(&figures.denominator).filter(|d| !d.is_zero());
        let none = Decimal::from(0);
        Some(match aggregation {
            Aggregation::RatioOfSums => Terms {
                value: none,
                numerator: read(&figures.numerator)?,
                denominator: whole()?,
            },
            Aggregation::WeightedMean => Terms {
                value: read(&figures.value)?,
                numerator: none,
                denominator: whole()?,
            },
            Aggregation::Sum | Aggregation::Latest | Aggregation::Min | Aggregation::Max => Terms {
                value: read(&figures.value)?,
                numerator: none,
                denominator: none,
            },
        })
    }
}

/// How late a value is: by the end of its period, and of two that end together the shorter one.
fn recency(facts: &FigureFacts) -> (jiff::civil::Date, jiff::civil::Date, &str) {
    let PeriodSpan { name, start, end } = &facts.period;
    (*end, *start, name)
}

/// Whether a value takes part: of a cumulative indicator each unit's latest one, of a discrete one every value that
/// no wider period of the same unit contains.
fn is_chosen(over_time: OverTime, facts: &FigureFacts, of_unit: &[&FigureFacts]) -> bool {
    let mut others = of_unit.iter();
    match over_time {
        OverTime::Cumulative => !others.any(|other| recency(other) > recency(facts)),
        OverTime::Discrete => !others.any(|other| {
            let (inner, outer) = (&facts.period, &other.period);
            let wider = outer.start < inner.start || outer.end > inner.end;
            wider && outer.start <= inner.start && inner.end <= outer.end
        }),
    }
}

/// The successor whose value stands for this one too. A cumulative value speaks of everything so far, so any later one
/// of the successor does; a discrete one only of its own period.
fn replaced_by(
    over_time: OverTime,
    facts: &FigureFacts,
    successors: &[(UnitId, Date)],
    figures: &[FigureFacts],
) -> Option<UnitId> {
    let covers = |other: &FigureFacts| match over_time {
        OverTime::Cumulative => other.period.end >= facts.period.end,
        OverTime::Discrete => {
            other.period.start <= facts.period.start && other.period.end >= facts.period.end
        }
    };
    let stands = |(successor, from): &&(UnitId, Date)| {
        let mut theirs = figures.iter().filter(|other| other.unit == *successor);
        theirs.any(|other| other.period.end >= *from && covers(other))
    };
    successors.iter().find(stands).map(|(unit, _)| *unit)
}

/// The total of the terms, the most recent last; `None` when the digits run out.
fn combine(aggregation: Aggregation, terms: &[Terms]) -> Option<IndicatorTotal> {
    let mut total = IndicatorTotal::default();
    if terms.is_empty() {
        return Some(total);
    }
    let sum = |of: fn(&Terms) -> Option<Decimal>| {
        let mut terms = terms.iter();
        terms.try_fold(Decimal::from(0), |sum, term| sum.checked_add(of(term)?))
    };
    let extreme = |wanted| {
        let mut values = terms.iter().map(|t| t.value);
        let first = values.next()?;
        values.try_fold(first, |best, value| {
            Some(if value.checked_cmp(best)? == wanted {
                value
            } else {
                best
            })
        })
    };
    total.value = match aggregation {
        Aggregation::Sum => Some(sum(|t| Some(t.value))?),
        Aggregation::Latest => terms.last().map(|t| t.value),
        Aggregation::Min => Some(extreme(Ordering::Less)?),
        Aggregation::Max => Some(extreme(Ordering::Greater)?),
        Aggregation::RatioOfSums => {
            let numerator = sum(|t| Some(t.numerator))?;
            let denominator = sum(|t| Some(t.denominator))?;
            total.numerator = Some(numerator.to_string());
            total.denominator = Some(denominator.to_string());
            #[cfg(feature = "faults")]
            let (numerator, denominator) =
                match crate::faults::thrown(crate::faults::Canary::AveragePercents) {
                    true => (
                        sum(|t| Some(t.numerator.checked_div(t.denominator, PLACES)?.1))?,
                        Decimal::from(terms.len() as i64),
                    ),
                    false => (numerator, denominator),
                };
            quotient(denominator, |d| percent(numerator, d))?
        }
        Aggregation::WeightedMean => {
            let weighted = sum(|t| t.value.checked_mul(t.denominator))?;
            let weights = sum(|t| Some(t.denominator))?;
            total.denominator = Some(weights.to_string());
            quotient(weights, |w| Some(weighted.checked_div(w, PLACES)?.1))?
        }
    }
    .map(|value| value.to_string());
    Some(total)
}

/// A quotient that does not exist (denominators that cancel out) is no overflow.
fn quotient(
    by: Decimal,
    divide: impl FnOnce(Decimal) -> Option<Decimal>,
) -> Option<Option<Decimal>> {
    if by.is_zero() {
        return Some(None);
    }
    divide(by).map(Some)
}

fn percent(numerator: Decimal, denominator: Decimal) -> Option<Decimal> {
    let hundredfold = numerator.checked_mul(Decimal::from(100))?;
    Some(hundredfold.checked_div(denominator, PLACES)?.1)
}
