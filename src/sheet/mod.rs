//! Excel and CSV bytes to tables, and tables to plan rows and records, with what was not understood, cell by cell.
//!
//! Files come from outside and are read in two steps. [`Parser`] has bytes turned into a [`Table`] by a process of its own
//! with limits on memory and time; [`plan`] and [`records`] then read the table in the caller's process.
//!
//! Invariant: a bad cell costs its row and nothing else. The row is refused with file, row, column and what was found.
//! Absent on purpose: guessing of encodings, `.xls`, and any resolution of unit names. No unit is invented here.

mod csv_table;
pub mod fill;
mod guard;
mod header;
pub mod inert;
pub mod layout;
mod names;
mod number;
mod parser;
pub mod plan;
pub mod records;
mod remark;
pub mod replica;
mod secrecy;
mod table;
pub mod worker;
mod xlsx;

pub use names::split_names;
pub use number::{NumberError, NumberStyle, parse_number, parse_number_as};
pub use parser::Parser;
pub use plan::{PlanRow, PlanSheet, read_plan};
pub use remark::{Remark, RemarkCode, Severity};
pub use table::{Cell, CellKind, Limits, Row, SheetError, Table, column_letters, read_workbook};
pub use worker::{WORKER_ARGUMENT, worker_main};
