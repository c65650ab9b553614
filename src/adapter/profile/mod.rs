//! Profiles: what an administrator writes about an outside system.

mod model;

pub use model::*;
