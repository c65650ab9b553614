//! Rollups: from tasks, their reports, verdicts and arrivals to counts that state their coverage.
//!
//! Invariant: a rollup follows from the *set* of its inputs and the day it is evaluated on; it has the same bytes in
//! whatever order they come. A task is counted once, by whoever serves its issuer; rollups of others are added
//! only for showing, and never across issuer levels. Deliberately absent: any clock, and live registers of a
//! report: only what was submitted counts.

mod compare;
mod count;
mod decimal;
mod fold;
mod indicator;
mod input;
mod shown;
mod status;
mod watch;

pub use compare::{Moved, compare, compare_totals};
pub use count::{
    AsOf, Counts, Coverage, GroupRollup, NotCounted, RULES, UNRESOLVED_LEAD, UnitCoverage, Warnings,
};
pub use decimal::Decimal;
pub use fold::{
    Counting, Due, GroupInput, Warning, WarningKind, derive_all, fold, list_warnings, steps,
};
pub use indicator::{
    FigureFacts, IndicatorTotal, Overflow, Remark, RemarkKind, aggregate, remark_figures,
};
pub use input::{
    ArrivalFacts, PeriodSpan, ReportFacts, TaskFacts, VerdictFacts, read_arrival, read_report,
    read_task, read_verdict,
};
pub use shown::{LevelTotal, ShownTotals, add};
pub use status::{After, Derived, Standing};
pub use watch::next_change;
