//! How two nodes come to agree.
//!
//! A record is a set of *registers*; a register holds one or more *siblings*, each the work of one author who
//! had not seen the others. Writes travel inside immutable [`Edit`]s: one edit is what one author did to one
//! record at one moment, kept byte for byte. [`Record::join`] is the union of edits minus what a *present* write has
//! seen; it is commutative, associative and idempotent.
//!
//! Deliberately absent: any comparison of wall clocks to decide what survives. Stamps only choose which
//! sibling is shown.

pub mod authority;
pub mod brake;
pub mod context;
pub mod edit;
pub mod hlc;
pub mod record;
pub mod scope;
pub mod seal;

pub use context::{Context, Dot, Incarnation, Token};
pub use edit::{Edit, EditDraft, EditError, Write};
pub use hlc::Stamp;
pub use record::{Author, Digest, LIFE, RESOLVED, Record, RecordError, RegisterView, Replaced};
pub use seal::SealKey;
