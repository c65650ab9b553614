//! The pure layers of nqsync: what people talk about, how two nodes come to agree, and what they say to
//! each other.
//!
//! Nothing in this crate touches the network, the disk or the clock; time is an argument. Each module uses
//! only the ones above it:
//!
//! 1. [`model`]: kinds of records, their immutable facts, typed values, the unit tree; [`calendar`]: reporting
//!    periods and deadlines as people write them.
//! 2. [`sync`]: stamps, registers, the join, scope and digests; [`rollup`]: counts with their coverage; [`protocol`]:
//!    every message between two nodes; [`period`]: where a unit's reporting period stands; [`scoring`]: shares of work to
//!    points and places; [`fleet`]: how a signed package of this program is installed and taken back.

pub mod calendar;
#[cfg(feature = "faults")]
pub mod faults;
pub mod fleet;
pub mod model;
pub mod period;
pub mod protocol;
pub mod rollup;
pub mod scoring;
pub mod sync;
