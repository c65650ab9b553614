//! Three levels on loopback, from sample data to the ministry's rollup: real processes, real certificates.

use std::path::Path;

use crate::api::{Lang, Outcome};

/// Runs the demonstration.
pub fn run(_lang: Lang, _keep: Option<&Path>, _serve: bool, _say: &mut dyn FnMut(&str)) -> Outcome {
    unimplemented!()
}
