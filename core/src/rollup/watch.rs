//! When warnings change by themselves: a day passes, and nobody wrote anything.
//!
//! Whoever keeps warnings beside the records looks at a task again when something about it was written, or on the day
//! named here; no day needs a look at everything.

use jiff::ToSpan;
use jiff::civil::Date;

use super::fold::{GroupInput, list_warnings};
use super::input::TaskFacts;

/// The first day after [`GroupInput::evaluated_on`] on which the warnings about these tasks may be others than on that
/// day, though nothing was written; `None` when no day changes them. They do not change before it.
///
/// Reports count up to the end of [`GroupInput::period`]: who passes a longer one later has to look then anyway.
pub fn next_change(input: &GroupInput<'_>) -> Option<Date> {
    let live = input.tasks.iter().filter(|task| task.is_live());
    live.filter_map(|task| next_of(input, task)).min()
}

fn next_of(input: &GroupInput<'_>, task: &TaskFacts) -> Option<Date> {
    let due = task.due?;
    let today = input.evaluated_on;
    let warned = |on: Date| {
        list_warnings(&GroupInput {
            evaluated_on: on,
            tasks: std::slice::from_ref(task),
            ..*input
        })
    };
    let overdue_on = due.checked_add(1.day()).ok().filter(|day| *day > today)?;
    // Up to the due day more and more units fall behind and none catches up, so the first change is found by halves.
    let now = warned(today);
    let (mut same, mut other) = (today, overdue_on);
    while same.saturating_add(1.day()) < other {
        let half = (other - same).get_days() / 2;
        let middle = same.saturating_add(half.days());
        if warned(middle) == now {
            same = middle;
        } else {
            other = middle;
        }
    }
    Some(other)
}
