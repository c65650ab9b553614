//! The other verbs of the contract.

use super::{Reading, Said, Writing, unknown_verb};
use crate::node::Refusal;

/// Reading verbs.
pub fn read_verb(on: &Reading<'_>) -> Result<Said, Refusal> {
    Err(unknown_verb(on.request))
}

/// Writing verbs.
pub fn write_verb(on: &mut Writing<'_, '_>) -> Result<Said, Refusal> {
    Err(unknown_verb(on.request))
}
