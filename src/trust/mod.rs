//! Who is who: keys, certificates, enrolment tokens and the TLS rules between two nodes.
//!
//! Trust is the pinned key. A parent keeps the list of its children's keys, a child keeps the key of its
//! parent, and certificates only carry those keys through TLS. So a wrong date on a certificate warns and
//! never refuses: commune servers wake up in 2010 or in 2079, and a dead clock battery must not cut a line.
//!
//! Deliberately absent: public certificate authorities, revocation lists and anything that has to be online
//! to decide. Taking a key off the list and closing its connections is the whole of revocation.

pub mod authority;
pub mod certificate;
pub mod files;
pub mod identity;
pub mod password;
pub mod pin;
pub mod renewal;
pub mod sealing;
pub mod signature;
pub mod succession;
pub mod tls;
pub mod token;
pub mod vault;
mod verifier;
