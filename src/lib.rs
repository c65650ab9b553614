//! nqsync
