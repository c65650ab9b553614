//! What a node serves: the accept loops with their limits, and the routes behind them.

pub mod accept;
pub mod connections;
pub mod link;
pub mod local;
mod sending;
