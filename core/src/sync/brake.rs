//! The mass-change brake: how much of a subtree may be taken away or overwritten before a person is asked.
//!
//! Plain functions over counts and records. Whoever exchanges records (a link, a person's verb, an adapter) counts what
//! it is about to lose with [`loss`] and asks [`holds`]; what happens to the records held is the caller's part.
//! Nothing here ever decides that something is lost: a held record waits, and everything else goes on.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{LIFE, Record};
use crate::calendar::Period;
use crate::model::Kind;

/// Reports and figures are meant to be written again and again while their period is reported on. This many days after
/// its last day a change of them is a change of history.
pub const SETTLED_AFTER_DAYS: i64 = 45;

/// Registers that say that something was taken back. Filling one takes the record away, emptying it brings it back.
const TAKEN_BACK: [&str; 2] = [LIFE, "withdrawn"];
/// Registers that only explain another one.
const EXPLAINS: [&str; 1] = ["withdrawn_reason"];

/// How much may go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fewer changes than this are never held.
    pub at_least: u64,
    /// Greatest share of the subtree's records that may be taken away, in percent.
    pub removed_percent: u64,
    /// Greatest share that may be overwritten, in percent.
    pub overwritten_percent: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            at_least: 20,
            removed_percent: 20,
            overwritten_percent: 50,
        }
    }
}

/// What an exchange would lose, and of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records taken away.
    pub removed: u64,
    /// Records overwritten.
    pub overwritten: u64,
    /// Records the subtree has.
    pub of: u64,
}

/// What a record loses with its next state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// It is deleted or taken back, or one of its values is emptied.
    Removed,
    /// A value that should stand still is replaced by another.
    Overwritten,
}

/// What a register showed before and shows after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Before.
    pub before: Value,
    /// After.
    pub after: Value,
}

impl Tally {
    /// One more of that kind.
    pub fn count(&mut self, loss: Loss) {
        match loss {
            Loss::Removed => self.removed += 1,
            Loss::Overwritten => self.overwritten += 1,
        }
    }

    /// Records that lose something.
    pub fn losses(&self) -> u64 {
        self.removed + self.overwritten
    }
}

/// Whether a person is asked first.
pub fn holds(limits: &Limits, tally: &Tally) -> bool {
    if tally.losses() < limits.at_least {
        return false;
    }
    let above = |n: u64, percent: u64| {
        // A record written several times counts several times, so that even a share above the whole is possible: all
        // of it may go when that is what the limit says.
        n > 0 && percent < 100 && u128::from(n) * 100 > u128::from(percent) * u128::from(tally.of)
    };
    above(tally.removed, limits.removed_percent)
        // Whatever is taken away is overwritten too: half removed and half overwritten is not half as bad.
        || above(tally.losses(), limits.overwritten_percent)
}

/// Which of the losses that are about to come in are too many within one window of time, as [`holds`] says of their sum.
/// `before` came already. Each counts when it was written, not when it comes: who was away for a year is brought what
/// others changed day by day, and that is no mass change. Moments in milliseconds since 1970, in any order.
pub fn too_many(
    limits: &Limits,
    of: u64,
    window_ms: i64,
    before: &[(i64, Tally)],
    coming: &[(i64, Loss)],
) -> Vec<bool> {
    let one = |loss: Loss| {
        let mut tally = Tally::default();
        tally.count(loss);
        tally
    };
    let came = before.iter().map(|(at, tally)| (*at, None, *tally));
    let comes = coming.iter().enumerate();
    let comes = comes.map(|(place, (at, loss))| (*at, Some(place), one(*loss)));
    let mut all: Vec<(i64, Option<usize>, Tally)> = came.chain(comes).collect();
    all.sort_by_key(|(at, place, _)| (*at, *place));
    let mut found = vec![false; coming.len()];
    let mut within = Tally {
        of,
        ..Tally::default()
    };
    let (mut first, mut marked) = (0, 0);
    for last in 0..all.len() {
        let (now, _, tally) = all[last];
        within.removed += tally.removed;
        within.overwritten += tally.overwritten;
        while all[first].0 < now.saturating_sub(window_ms) {
            within.removed -= all[first].2.removed;
            within.overwritten -= all[first].2.overwritten;
            first += 1;
        }
        if holds(limits, &within) {
            for (_, place, _) in &all[first.max(marked)..=last] {
                place.iter().for_each(|place| found[*place] = true);
            }
            marked = last + 1;
        }
    }
    found
}

/// What a record loses when `after` takes the place of `before`; `None` when it loses nothing that should stand still.
/// A value that stays beside another one, in conflict, is not lost.
pub fn loss(before: &Record, after: &Record, today: Date) -> Option<Loss> {
    let kind = before.key().kind;
    if kind.later_replaces_earlier() || before.digest() == after.digest() {
        return None;
    }
    let mut found = None;
    for name in after.registers() {
        if EXPLAINS.contains(&name) {
            continue;
        }
        let (was, is) = (before.shown(name), after.shown(name));
        let lost = match (TAKEN_BACK.contains(&name), &was, &is) {
            (true, None, Some(_)) => Some(Loss::Removed),
            (true, _, _) => None,
            (false, Some(_), None) => Some(Loss::Removed),
            (false, Some(was), Some(is)) if was != is && !stays(after, name, was) => {
                stands_still(before, today).then_some(Loss::Overwritten)
            }
            _ => None,
        };
        // Of both, the removal is the greater loss; it comes first.
        found = found.into_iter().chain(lost).min();
    }
    found
}

/// Whether a value is still there beside the one that is shown.
fn stays(record: &Record, register: &str, value: &Value) -> bool {
    let siblings = record.register(register).siblings;
    siblings.iter().any(|write| write.json() == *value)
}

/// Whether the values of a record are meant to stay as they are. The tree of units is not: it changes by a
/// reorganisation, all at once, and everything else waits for it.
fn stands_still(record: &Record, today: Date) -> bool {
    match record.key().kind {
        Kind::Task | Kind::Indicator | Kind::Directive | Kind::Verdict | Kind::Decision => true,
        Kind::Report | Kind::Evidence | Kind::Figure => {
            let period = record.facts().period().and_then(|p| p.parse().ok());
            period.is_some_and(|period: Period| {
                let settled = period.end().checked_add(SETTLED_AFTER_DAYS.days());
                settled.is_ok_and(|day| day < today)
            })
        }
        Kind::Unit | Kind::Arrival | Kind::Proposal | Kind::Period | Kind::Rollup => false,
    }
}

/// The registers that show something else than before: what an undo has to put back.
pub fn changes(before: &Record, after: &Record) -> BTreeMap<String, Change> {
    let names = after.registers().map(str::to_owned);
    names
        .filter_map(|name| {
            let value = |record: &Record| record.shown(&name).unwrap_or_default();
            let change = Change {
                before: value(before),
                after: value(after),
            };
            (change.before != change.after).then_some((name, change))
        })
        .collect()
}

/// The values that undo a change: those of the registers that still show what the change left. What somebody wrote
/// since then stays; its names come second.
pub fn undo(
    changes: &BTreeMap<String, Change>,
    now: &Record,
) -> (BTreeMap<String, Value>, Vec<String>) {
    let mut values = BTreeMap::new();
    let mut since = Vec::new();
    for (name, change) in changes {
        if now.shown(name).unwrap_or_default() == change.after {
            values.insert(name.clone(), change.before.clone());
        } else {
            since.push(name.clone());
        }
    }
    (values, since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_whole_holds_nothing_however_often_one_record_was_written() {
        let tally = Tally {
            removed: 0,
            overwritten: 40,
            of: 16,
        };
        let all = Limits {
            overwritten_percent: 100,
            ..Limits::default()
        };
        assert!(!holds(&all, &tally));
        assert!(holds(&Limits::default(), &tally));
    }
}
