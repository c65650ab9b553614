//! Reporting periods, deadlines as people write them, and what is due when.
//!
//! Everything here is a value: dates are civil dates, the zone belongs to the regime, and the clock is never read, so
//! that a simulated province lives through a year of reporting in a second.
//!
//! Invariant: the text of a deadline is kept byte for byte. What was understood stands beside it and never replaces it.
//! Absent on purpose: public holidays. The regimes of the field name fixed days and do not move them.

mod agenda;
mod deadline;
mod duty;
mod period;
mod regime;
mod words;

pub use agenda::{Answered, Came, Reminders, Term, around, terms};
pub use deadline::{Deadline, DeadlineKind, DeadlineRemark, parse_deadline};
pub use duty::{Duty, DutyError, EXPECTED_DUTY, due_of};
pub use period::{Period, PeriodError, PeriodKind};
pub use regime::{DueRule, Regime, builtin_regimes, consolidation_of, deadline_of};
pub use words::{fold, roman};
