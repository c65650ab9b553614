//! Where a unit's reporting period stands: what may follow what, and that both sides see the same.

use nqsync_core::model::{Facts, PeriodStage, UnitId};
use nqsync_core::period::{STATE, Standing, State, Step, standing};
use nqsync_core::sync::{Author, Incarnation, Record};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use uuid::Uuid;

const UNIT: UnitId = UnitId(Uuid::from_u128(4));
const ABOVE: UnitId = UnitId(Uuid::from_u128(2));
const STEPS: [Step; 5] = [
    Step::Submit,
    Step::Accept,
    Step::Return,
    Step::Close,
    Step::Reopen,
];

/// Both records, as one place holds them.
#[derive(Clone)]
struct Held {
    submission: Record,
    review: Record,
    submitted: u32,
}

fn blank(stage: PeriodStage) -> Record {
    let facts = Facts::Period {
        unit: UNIT,
        reviewer: ABOVE,
        period: "2026-03".to_owned(),
        stage,
    };
    Record::begin(facts.clone(), facts.key(Uuid::nil()))
}

impl Held {
    fn new() -> Held {
        Held {
            submission: blank(PeriodStage::Submission),
            review: blank(PeriodStage::Review),
            submitted: 0,
        }
    }

    fn standing(&self) -> Standing {
        standing(Some(&self.submission), Some(&self.review))
    }

    fn take(&mut self, step: Step, place: u8) {
        let now = self.standing();
        let value = match step.decision() {
            None => {
                self.submitted += 1;
                json!({ "state": "submitted", "version": format!("{place}.{}", self.submitted) })
            }
            Some(decided) => {
                let version = now.submitted.map(|value| value.version);
                json!({ "state": decided, "version": version.unwrap_or_default() })
            }
        };
        let (record, unit) = match step.is_by_unit() {
            true => (&mut self.submission, UNIT),
            false => (&mut self.review, ABOVE),
        };
        let by = Author {
            incarnation: Incarnation([place; 16]),
            unit,
            name: "an officer",
            seal: None,
        };
        record
            .write(by, 0, [(STATE.to_owned(), value)].into(), None)
            .expect("a write");
    }

    fn join(&mut self, other: &Held) {
        self.submission.join(&other.submission).expect("one record");
        self.review.join(&other.review).expect("one record");
    }
}

fn reached(step: Step) -> State {
    match step {
        Step::Submit => State::Submitted,
        Step::Accept => State::Accepted,
        Step::Return => State::Returned,
        Step::Close => State::Locked,
        Step::Reopen => State::Reopened,
    }
}

proptest! {
    /// Every step that is allowed leads where it says, and none that is not is offered.
    #[test]
    fn an_allowed_step_leads_to_its_state(steps in prop::collection::vec(select(&STEPS[..]), 0..30)) {
        let mut held = Held::new();
        for step in steps {
            let before = held.standing().state;
            if !before.allows(step) {
                continue;
            }
            held.take(step, 1);
            let after = held.standing();
            prop_assert_eq!(after.state, reached(step), "{:?} after {:?}", step, before);
            prop_assert!(!after.in_conflict);
        }
    }

    /// Two places go on apart: in whatever order they hear of each other they see the same, and what both hold to be
    /// closed stays closed.
    #[test]
    fn both_sides_see_the_same_and_a_closing_holds(
        common in prop::collection::vec(select(&STEPS[..]), 0..6),
        here in prop::collection::vec(select(&STEPS[..]), 0..6),
        there in prop::collection::vec(select(&STEPS[..]), 0..6),
    ) {
        let mut held = Held::new();
        let walk = |held: &mut Held, steps: &[Step], place| {
            for step in steps {
                if held.standing().state.allows(*step) {
                    held.take(*step, place);
                }
            }
        };
        walk(&mut held, &common, 1);
        let (mut a, mut b) = (held.clone(), held);
        walk(&mut a, &here, 2);
        walk(&mut b, &there, 3);
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.join(&b);
        ba.join(&a);
        prop_assert_eq!(ab.standing(), ba.standing());
        let both_closed = [&a, &b].iter().all(|held| held.standing().state == State::Locked);
        prop_assert!(!both_closed || ab.standing().state == State::Locked);
    }
}

#[test]
fn a_decision_about_another_version_counts_as_none() {
    let mut held = Held::new();
    held.take(Step::Submit, 1);
    held.take(Step::Accept, 1);
    assert_eq!(held.standing().state, State::Accepted);
    held.take(Step::Submit, 1);
    assert_eq!(held.standing().state, State::Submitted);
    held.take(Step::Return, 1);
    held.take(Step::Submit, 1);
    held.take(Step::Accept, 1);
    held.take(Step::Close, 1);
    // What arrives after the closing does not open it.
    held.take(Step::Submit, 1);
    assert_eq!(held.standing().state, State::Locked);
}

#[test]
fn of_parallel_decisions_one_that_closes_holds_until_somebody_settles_it() {
    let mut held = Held::new();
    held.take(Step::Submit, 1);
    let (mut a, mut b) = (held.clone(), held);
    a.take(Step::Accept, 2);
    a.take(Step::Close, 2);
    // The other place decides last, so its value is the one shown.
    for step in [Step::Return, Step::Accept, Step::Return] {
        b.take(step, 3);
    }
    a.join(&b);
    let seen = a.standing();
    assert_eq!((seen.state, seen.in_conflict), (State::Locked, true));
    a.take(Step::Return, 2);
    let settled = a.standing();
    assert_eq!(
        (settled.state, settled.in_conflict),
        (State::Returned, false)
    );
}

#[test]
fn a_closing_with_nothing_but_its_state_closes() {
    let mut review = blank(PeriodStage::Review);
    let by = Author {
        incarnation: Incarnation([1; 16]),
        unit: ABOVE,
        name: "an officer",
        seal: None,
    };
    let value = json!({ "state": "locked" });
    review
        .write(by, 0, [(STATE.to_owned(), value)].into(), None)
        .expect("a write");
    assert_eq!(standing(None, Some(&review)).state, State::Locked);
}
