//! nqsync: the reporting levels of a government, agreeing over bad lines.

pub mod adapter;
pub mod api;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod fleet;
pub mod link;
pub mod local_api;
pub mod node;
pub mod official;
mod process;
pub mod server;
pub mod sheet;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod trust;

#[cfg(feature = "faults")]
pub use nqsync_core::faults;
