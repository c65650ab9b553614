//! The three-way comparison of one record: pure, field by field.
//!
//! The base is what both sides had when they last agreed, kept apart for each side: an outside system may well
//! store something else than it was given (shortened, other spaces), and that is no edit of a person.

use super::super::ours::Fields;
use crate::adapter::profile::Direction;

/// What both sides had when they last agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Our values then.
    pub ours: Fields,
    /// Theirs, in our notation.
    pub theirs: Fields,
}

/// What the comparison needs to know of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Our name of it.
    pub name: String,
    /// Which way it travels.
    pub direction: Direction,
    /// Whether the outside record tells its value.
    pub readable: bool,
}

/// Whose value counts where both sides have one and never agreed before.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum First {
    /// A person decides: both values become a conflict.
    #[default]
    Ask,
    /// Ours is written there.
    Ours,
    /// Theirs is written here.
    Theirs,
}

/// What is to be done about one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Steps {
    /// Fields to be written there, with our value.
    pub push: Fields,
    /// Fields to be written here, with their value, based on what we have now.
    pub pull: Fields,
    /// Fields changed on both sides: their value is written here beside ours, based on the last agreement.
    pub conflict: Fields,
    /// Fields that are not ours to change: their value becomes a proposal to the owner.
    pub propose: Fields,
    /// Offered fields that people edited there, with their value: kept as it is.
    pub kept: Fields,
    /// Fields that are written there once the draft that stands in them here is submitted, with our value.
    pub later: Fields,
}

impl Steps {
    /// Whether both sides say the same, or said so already.
    pub fn is_nothing(&self) -> bool {
        self.push.is_empty() && !self.changes_here()
    }

    /// Whether nothing is to be done and nothing to be told.
    pub fn is_quiet(&self) -> bool {
        self.is_nothing() && self.kept.is_empty()
    }

    /// Whether something is to be done about a field.
    pub fn touches(&self, name: &str) -> bool {
        let all = [
            &self.push,
            &self.pull,
            &self.conflict,
            &self.propose,
            &self.kept,
            &self.later,
        ];
        all.iter().any(|fields| fields.contains_key(name))
    }

    /// Whether something is written here.
    pub fn changes_here(&self) -> bool {
        !(self.pull.is_empty() && self.conflict.is_empty() && self.propose.is_empty())
    }
}

/// What people here have begun and not ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open<'o> {
    /// Fields in an open conflict; they wait for the person and go nowhere.
    pub undecided: &'o [String],
    /// Fields that hold a draft, with its value. Nothing is written over it, and nothing goes out in its place.
    pub drafts: Option<&'o Fields>,
}

impl Open<'_> {
    /// What a person drafted here, unless it is what the outside said last.
    fn draft(&self, name: &str, base: Option<&Base>) -> Option<&str> {
        let draft = self.drafts?.get(name)?.as_str();
        base.is_none_or(|base| value(&base.theirs, name) != draft)
            .then_some(draft)
    }
}

/// Compares one record.
pub fn compare(
    rules: &[Rule],
    base: Option<&Base>,
    ours: &Fields,
    theirs: &Fields,
    first: First,
    open: Open<'_>,
) -> Steps {
    let mut steps = Steps::default();
    for rule in rules {
        let name = rule.name.as_str();
        let (mine, other) = (value(ours, name), value(theirs, name));
        let into = match base {
            None => unmet(rule, mine, other, first),
            Some(base) => met(rule, base, mine, other),
        };
        let waits = open.undecided.iter().any(|waits| waits == name);
        let drafted = open.draft(name, base).is_some_and(|draft| draft != other);
        let asks = base.is_some() || first != First::Theirs;
        let (fields, text) = match into {
            Into::Nothing => continue,
            Into::Push if waits => continue,
            // An older version must not go over what was agreed or decided since.
            Into::Push if open.drafts.is_some_and(|all| all.contains_key(name)) => {
                (&mut steps.later, mine)
            }
            Into::Push => (&mut steps.push, mine),
            // Whoever edited there had not seen the draft here.
            Into::Pull if drafted && asks => (&mut steps.conflict, other),
            // Beside a conflict that is open already a new outside value is one more voice, never the decision.
            Into::Pull if waits => (&mut steps.conflict, other),
            Into::Pull => (&mut steps.pull, other),
            Into::Conflict => (&mut steps.conflict, other),
            Into::Propose => (&mut steps.propose, other),
            Into::Keep => (&mut steps.kept, other),
        };
        fields.insert(rule.name.clone(), text.to_owned());
    }
    steps
}

/// What a field becomes in the base once its step is done. After a conflict, theirs counts as agreed on both sides: a
/// decision for our value then differs from it and is written there, one for theirs does not.
pub fn after_pull(base: &mut Base, name: &str, theirs: &str) {
    set(&mut base.ours, name, theirs);
    set(&mut base.theirs, name, theirs);
}

/// Puts a value; an empty one is no entry, so that equal states are equal maps.
pub fn set(fields: &mut Fields, name: &str, text: &str) {
    if text.is_empty() {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), text.to_owned());
    }
}

/// The value of a field; empty where there is none.
pub fn value<'f>(fields: &'f Fields, name: &str) -> &'f str {
    fields.get(name).map(String::as_str).unwrap_or_default()
}

enum Into {
    Nothing,
    Push,
    Pull,
    Conflict,
    Propose,
    Keep,
}

fn unmet(rule: &Rule, ours: &str, theirs: &str, first: First) -> Into {
    if !rule.readable {
        return if rule.direction == Direction::In || ours.is_empty() {
            Into::Nothing
        } else {
            Into::Push
        };
    }
    if ours == theirs {
        return Into::Nothing;
    }
    match rule.direction {
        Direction::Out | Direction::Propose => Into::Push,
        Direction::Offer if theirs.is_empty() => Into::Push,
        Direction::Offer => Into::Keep,
        Direction::In if theirs.is_empty() => Into::Nothing,
        Direction::In => Into::Pull,
        Direction::Both if theirs.is_empty() => Into::Push,
        Direction::Both if ours.is_empty() => Into::Pull,
        Direction::Both => match first {
            First::Ask => Into::Conflict,
            First::Ours => Into::Push,
            First::Theirs => Into::Pull,
        },
    }
}

fn met(rule: &Rule, base: &Base, ours: &str, theirs: &str) -> Into {
    let here = ours != value(&base.ours, &rule.name);
    let there = rule.readable && theirs != value(&base.theirs, &rule.name);
    if rule.readable && ours == theirs {
        return Into::Nothing;
    }
    match (rule.direction, here, there) {
        (_, false, false) => Into::Nothing,
        (Direction::In, _, false) => Into::Nothing,
        (Direction::In, _, true) => Into::Pull,
        (Direction::Out, _, _) => Into::Push,
        (Direction::Offer, true, false) => Into::Push,
        (Direction::Offer, _, true) => Into::Keep,
        (Direction::Propose, true, _) => Into::Push,
        (Direction::Propose, false, true) => Into::Propose,
        (Direction::Both, true, false) => Into::Push,
        (Direction::Both, false, true) => Into::Pull,
        (Direction::Both, true, true) => Into::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn rule(name: &str, direction: Direction) -> Rule {
        Rule {
            name: name.to_owned(),
            direction,
            readable: true,
        }
    }

    fn steps(direction: Direction, base: Option<(&str, &str)>, ours: &str, theirs: &str) -> Steps {
        let base = base.map(|(ours, theirs)| Base {
            ours: fields(&[("f", ours)]),
            theirs: fields(&[("f", theirs)]),
        });
        compare(
            &[rule("f", direction)],
            base.as_ref(),
            &fields(&[("f", ours)]),
            &fields(&[("f", theirs)]),
            First::Ask,
            Open::default(),
        )
    }

    #[test]
    fn a_change_on_one_side_goes_to_the_other() {
        let here = steps(Direction::Both, Some(("a", "a")), "b", "a");
        assert_eq!((here.push, here.pull.len()), (fields(&[("f", "b")]), 0));
        let there = steps(Direction::Both, Some(("a", "a")), "a", "b");
        assert_eq!((there.pull, there.push.len()), (fields(&[("f", "b")]), 0));
    }

    #[test]
    fn changes_on_both_sides_are_a_conflict_unless_they_are_equal() {
        let both = steps(Direction::Both, Some(("a", "a")), "b", "c");
        assert_eq!(both.conflict, fields(&[("f", "c")]));
        assert!(both.push.is_empty() && both.pull.is_empty());
        assert!(steps(Direction::Both, Some(("a", "a")), "b", "b").is_nothing());
    }

    #[test]
    fn what_the_outside_made_of_our_value_is_no_edit() {
        assert!(steps(Direction::Both, Some(("dài", "d")), "dài", "d").is_nothing());
    }

    #[test]
    fn emptying_a_field_is_a_change_too() {
        let here = steps(Direction::Both, Some(("a", "a")), "", "a");
        assert_eq!(here.push.get("f").map(String::as_str), Some(""));
        let there = steps(Direction::Both, Some(("a", "a")), "a", "");
        assert_eq!(there.pull.get("f").map(String::as_str), Some(""));
    }

    #[test]
    fn at_the_first_meeting_an_empty_side_takes_the_other_and_two_values_ask_a_person() {
        assert_eq!(
            steps(Direction::Both, None, "a", "").push,
            fields(&[("f", "a")])
        );
        assert_eq!(
            steps(Direction::Both, None, "", "a").pull,
            fields(&[("f", "a")])
        );
        assert_eq!(
            steps(Direction::Both, None, "a", "b").conflict,
            fields(&[("f", "b")])
        );
    }

    #[test]
    fn what_is_not_theirs_to_change_is_put_back_or_proposed() {
        assert_eq!(
            steps(Direction::Out, Some(("a", "a")), "a", "b").push,
            fields(&[("f", "a")])
        );
        let proposed = steps(Direction::Propose, Some(("a", "a")), "a", "b");
        assert_eq!(proposed.propose, fields(&[("f", "b")]));
        assert!(proposed.push.is_empty());
    }

    #[test]
    fn what_is_only_offered_never_overwrites_an_edit() {
        assert_eq!(
            steps(Direction::Offer, Some(("a", "a")), "b", "a").push,
            fields(&[("f", "b")])
        );
        for base in [Some(("a", "a")), None] {
            let edited = steps(Direction::Offer, base, "b", "c");
            assert_eq!((edited.push.len(), edited.kept), (0, fields(&[("f", "c")])));
        }
    }

    #[test]
    fn a_field_in_conflict_waits_for_its_person() {
        let base = Base {
            ours: fields(&[("f", "a")]),
            theirs: fields(&[("f", "a")]),
        };
        let (rules, ours) = ([rule("f", Direction::Both)], fields(&[("f", "b")]));
        let theirs = fields(&[("f", "a")]);
        let undecided = ["f".to_owned()];
        let open = Open {
            undecided: &undecided,
            drafts: None,
        };
        let waiting = compare(&rules, Some(&base), &ours, &theirs, First::Ask, open);
        assert!(waiting.is_nothing());
        let theirs = fields(&[("f", "c")]);
        let more = compare(
            &rules,
            Some(&base),
            &fields(&[("f", "a")]),
            &theirs,
            First::Ask,
            open,
        );
        assert_eq!(more.conflict, fields(&[("f", "c")]));
    }

    #[test]
    fn a_draft_goes_nowhere_and_nothing_is_written_over_it() {
        let base = Base {
            ours: fields(&[("f", "a")]),
            theirs: fields(&[("f", "a")]),
        };
        let rules = [rule("f", Direction::Both)];
        let drafted = |draft: &str, ours: &str, theirs: &str, base: &Base| {
            let (drafts, ours, theirs) = (
                fields(&[("f", draft)]),
                fields(&[("f", ours)]),
                fields(&[("f", theirs)]),
            );
            let open = Open {
                undecided: &[],
                drafts: Some(&drafts),
            };
            compare(&rules, Some(base), &ours, &theirs, First::Ask, open)
        };
        assert!(drafted("b", "a", "a", &base).is_quiet());
        assert_eq!(
            drafted("b", "a", "c", &base).conflict,
            fields(&[("f", "c")])
        );
        assert!(
            drafted("c", "a", "c", &base).conflict.is_empty(),
            "both say the same"
        );
        let later = drafted("b", "x", "a", &base);
        assert!(later.is_nothing() && later.touches("f"), "{later:?}");
        // What the outside said last and nobody submitted yet is no draft of a person.
        let base = Base {
            theirs: fields(&[("f", "b")]),
            ..base
        };
        assert_eq!(drafted("b", "a", "c", &base).pull, fields(&[("f", "c")]));
    }

    #[test]
    fn a_decision_for_ours_is_written_there_and_one_for_theirs_is_not() {
        let mut base = Base {
            ours: fields(&[("f", "a")]),
            theirs: fields(&[("f", "a")]),
        };
        after_pull(&mut base, "f", "c");
        let rules = [rule("f", Direction::Both)];
        let decide = |ours: &str| {
            let (ours, theirs) = (fields(&[("f", ours)]), fields(&[("f", "c")]));
            compare(
                &rules,
                Some(&base),
                &ours,
                &theirs,
                First::Ask,
                Open::default(),
            )
        };
        assert!(decide("c").is_nothing());
        assert_eq!(decide("b").push, fields(&[("f", "b")]));
        assert_eq!(
            decide("a").push,
            fields(&[("f", "a")]),
            "also a decision for the oldest value"
        );
    }

    proptest! {
        /// Each side's change arrives, or both are kept; done once, it is done: the next comparison is idle.
        #[test]
        fn steps_lead_to_rest(base in "[abc]?", ours in "[abc]?", theirs in "[abc]?", known in any::<bool>()) {
            let rules = [rule("f", Direction::Both)];
            let mut at = known.then(|| Base { ours: fields(&[("f", &base)]), theirs: fields(&[("f", &base)]) });
            let (mut mine, mut other) = (fields(&[("f", &ours)]), fields(&[("f", &theirs)]));
            let steps = compare(&rules, at.as_ref(), &mine, &other, First::Ask, Open::default());
            for (name, text) in &steps.push {
                set(&mut other, name, text);
            }
            for (name, text) in &steps.pull {
                set(&mut mine, name, text);
            }
            let kept = steps.conflict.get("f").cloned();
            prop_assert!(kept.is_none() || kept.as_deref() == Some(&theirs), "the outside value is kept beside ours");
            let next = at.get_or_insert_with(Base::default);
            next.ours = mine.clone();
            next.theirs = other.clone();
            for (name, text) in &steps.conflict {
                after_pull(next, name, text);
            }
            let undecided: Vec<String> = steps.conflict.keys().cloned().collect();
            let open = Open { undecided: &undecided, drafts: None };
            let again = compare(&rules, at.as_ref(), &mine, &other, First::Ask, open);
            prop_assert!(again.is_nothing(), "{again:?}");
        }
    }
}
