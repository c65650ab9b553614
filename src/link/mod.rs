//! The child's end of a link: it always dials, so a commune needs no open port.

pub mod backoff;
pub mod pace;
pub mod transport;
pub mod upstream;

pub use upstream::{LinkError, Report, Upstream};
