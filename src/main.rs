//! nqsync
fn main() {}
