//! What a node serves: the accept loop with its limits, and the routes behind it.

pub mod accept;
pub mod connections;
pub mod link;
mod sending;
