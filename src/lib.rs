//! nqsync: the reporting levels of a government, agreeing over bad lines.

pub mod api;
pub mod server;
pub mod trust;
