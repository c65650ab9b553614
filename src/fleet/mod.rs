//! Packages that a parent offers to its children: signing one, and installing one as root.
//!
//! The service neither installs nor is asked whether it may be done: it is reached from the network. Root reads its own
//! permission, which names the key that has to have signed, copies the offered file to a folder of its own, and checks
//! that copy.

pub mod machine;
pub mod package;
pub mod permission;
