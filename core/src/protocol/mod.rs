//! Every message between two nodes.
