//! What people talk about: kinds of records, the facts they are born with, typed values, and the unit tree.

mod classification;
mod facts;
mod ids;
mod kind;
mod loops;
mod tree;
pub mod values;

pub use classification::Classification;
pub use facts::{Facts, FactsError, PeriodStage};
pub use ids::{NodeId, UnitId};
pub use kind::{Key, Kind, Lane};
pub use tree::{Tree, TreeError, UnitInfo, folded};
