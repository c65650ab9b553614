//! Scoring units (*chấm điểm, xếp loại*): from shares of their work to points, a grade and a place.
//!
//! Invariants: a score follows from the criteria and the unit's own shares; the order in which units are given changes
//! nothing; a greater share never costs a point or a place. What has no basis is no zero: it takes its weight out of what
//! could be reached, and is said. All sums are of whole numbers, and what does not come out even is cut off, as official
//! tables do.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::UnitId;

/// What a criterion looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Of the unit's work that is on time or late: on time.
    TasksOnTime,
    /// Of the work that a reviewer accepted as completed, or sent back: accepted.
    EvidenceAccepted,
    /// Of the indicators with a target that are expected of the unit: reached.
    IndicatorsReached,
    /// Of the reports that came, or should have come by now: received by the deadline.
    ReportsOnTime,
}

impl Measure {
    /// All of them.
    pub const ALL: [Measure; 4] = [
        Measure::TasksOnTime,
        Measure::EvidenceAccepted,
        Measure::IndicatorsReached,
        Measure::ReportsOnTime,
    ];

    /// The name in JSON and in the file of criteria.
    pub fn as_str(self) -> &'static str {
        match self {
            Measure::TasksOnTime => "tasks_on_time",
            Measure::EvidenceAccepted => "evidence_accepted",
            Measure::IndicatorsReached => "indicators_reached",
            Measure::ReportsOnTime => "reports_on_time",
        }
    }
}

/// One line of the list of criteria.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// Its number in the province's own list.
    pub code: String,
    /// What people read.
    pub title: String,
    /// What it looks at.
    pub measure: Measure,
    /// Points for all of it.
    pub weight: u32,
    /// Up to this percent there is no point.
    #[serde(default)]
    pub none_up_to: u32,
    /// From this percent on there are all points; between the two they grow evenly.
    #[serde(default = "whole")]
    pub all_from: u32,
}

fn whole() -> u32 {
    100
}

/// A classification, for scores from a percent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grade {
    /// What people read.
    pub title: String,
    /// The least percent of the points that could be reached.
    pub from: u32,
}

/// The criteria of a province.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// What they are called, with their legal basis.
    pub title: String,
    /// The lines.
    #[serde(rename = "criterion")]
    pub criteria: Vec<Criterion>,
    /// The classifications.
    #[serde(rename = "grade", default)]
    pub grades: Vec<Grade>,
}

/// Why criteria cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nothing to score by.
    #[error("there is no [[criterion]]")]
    Empty,
    /// Two lines of one code.
    #[error("the code {0:?} stands twice")]
    Twice(String),
    /// A weight that counts for nothing, or is beyond any list.
    #[error("criterion {0:?}: weight must be from 1 to {MOST_WEIGHT}")]
    Weight(String),
    /// Thresholds that are none.
    #[error("criterion {0:?}: none_up_to must be below all_from, and all_from at most 100")]
    Thresholds(String),
    /// Grades of one percent.
    #[error("grade {0:?}: from must be at most 100, and another than that of the other grades")]
    Grade(String),
}

/// Greatest weight of a criterion.
pub const MOST_WEIGHT: u32 = 10_000;

impl Criteria {
    /// Looks for what would score nobody, or nobody would understand.
    ///
    /// # Errors
    /// The first line that cannot be used.
    pub fn check(&self) -> Result<(), Unfit> {
        if self.criteria.is_empty() {
            return Err(Unfit::Empty);
        }
        for (at, one) in self.criteria.iter().enumerate() {
            if self.criteria[..at]
                .iter()
                .any(|other| other.code == one.code)
            {
                return Err(Unfit::Twice(one.code.clone()));
            }
            if !(1..=MOST_WEIGHT).contains(&one.weight) {
                return Err(Unfit::Weight(one.code.clone()));
            }
            if one.none_up_to >= one.all_from || one.all_from > 100 {
                return Err(Unfit::Thresholds(one.code.clone()));
            }
        }
        for (at, one) in self.grades.iter().enumerate() {
            let others = &self.grades[..at];
            if one.from > 100 || others.iter().any(|other| other.from == one.from) {
                return Err(Unfit::Grade(one.title.clone()));
            }
        }
        Ok(())
    }
}

/// How much of something was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Reached.
    pub reached: u32,
    /// Of so many; none: there is no basis.
    pub of: u32,
}

impl Share {
    /// Counts one, reached or not.
    pub fn count(&mut self, reached: bool) {
        self.of = self.of.saturating_add(1);
        self.reached = self.reached.saturating_add(u32::from(reached));
    }
}

/// A unit's shares.
pub type Shares = BTreeMap<Measure, Share>;

/// One criterion of a unit's score, with the numbers behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The criterion's code.
    pub code: String,
    /// What was reached, of what.
    pub share: Share,
    /// Points in hundredths; `None`: there is no basis.
    pub points: Option<u64>,
    /// Points for all of it, in hundredths.
    pub most: u64,
}

/// A unit's score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Whose.
    pub unit: UnitId,
    /// By criterion, in the order of the list.
    pub lines: Vec<Line>,
    /// Points in hundredths.
    pub points: u64,
    /// What could be reached where there is a basis, in hundredths.
    pub most: u64,
    /// Points of what could be reached, in hundredths of a percent, cut off; `None`: there is no basis at all.
    pub percent: Option<u64>,
    /// The classification.
    pub grade: Option<String>,
    /// The place: units with equal scores share it, and the next one counts them. `None`: there is no basis.
    pub rank: Option<u32>,
}

/// Scores units and ranks them: the best first, equals by their id, and last those without any basis.
pub fn score(criteria: &Criteria, units: &BTreeMap<UnitId, Shares>) -> Vec<Score> {
    let each = units.iter();
    let mut scores: Vec<Score> = each.map(|(unit, of)| one(criteria, *unit, of)).collect();
    scores.sort_by_key(|score| (Reverse(score.percent), score.unit));
    let mut last: Option<(Option<u64>, u32)> = None;
    for (at, score) in scores.iter_mut().enumerate() {
        if score.percent.is_none() {
            break;
        }
        let place = match last {
            Some((percent, rank)) if percent == score.percent => rank,
            _ => at as u32 + 1,
        };
        score.rank = Some(place);
        last = Some((score.percent, place));
    }
    scores
}

fn one(criteria: &Criteria, unit: UnitId, shares: &Shares) -> Score {
    let lines: Vec<Line> = criteria
        .criteria
        .iter()
        .map(|criterion| {
            let share = shares.get(&criterion.measure).copied().unwrap_or_default();
            Line {
                code: criterion.code.clone(),
                share,
                points: points(criterion, share),
                most: u64::from(criterion.weight) * 100,
            }
        })
        .collect();
    let counted = lines.iter().filter(|line| line.points.is_some());
    let most: u64 = counted.clone().map(|line| line.most).sum();
    let points: u64 = counted.filter_map(|line| line.points).sum();
    let percent = (points * 10_000).checked_div(most);
    let fitting = criteria.grades.iter();
    let grade = percent.and_then(|percent| {
        let reached = fitting.filter(|grade| u64::from(grade.from) * 100 <= percent);
        reached.max_by_key(|grade| grade.from)
    });
    Score {
        unit,
        lines,
        points,
        most,
        percent,
        grade: grade.map(|grade| grade.title.clone()),
        rank: None,
    }
}

/// Points in hundredths. `(reached / of − none) / (all − none)` of the weight, without dividing twice.
fn points(criterion: &Criterion, share: Share) -> Option<u64> {
    if share.of == 0 {
        return None;
    }
    let (of, reached) = (u64::from(share.of), u64::from(share.reached.min(share.of)));
    let (none, all) = (
        u64::from(criterion.none_up_to),
        u64::from(criterion.all_from),
    );
    let span = of * all.saturating_sub(none).max(1);
    let above = (reached * 100).saturating_sub(none * of).min(span);
    Some(u64::from(criterion.weight) * 100 * above / span)
}
