//! `adopt`: a person says what became of this store.

use serde_json::json;

use super::{Said, Writing};
use crate::api::Adopt;
use crate::node::{Refusal, recovery};

/// Carries `adopt` out.
pub fn adopt(on: &mut Writing<'_, '_>, how: Adopt) -> Result<Said, Refusal> {
    match how {
        Adopt::Alone => alone(on),
        Adopt::Moved => moved(on),
    }
}

/// No parent will come: what it may still hold of our own writes is given up for now.
fn alone(on: &mut Writing<'_, '_>) -> Result<Said, Refusal> {
    if !recovery::waits(on.tx.connection())? {
        return Err(Refusal::usage("nothing-to-adopt", []));
    }
    let person = on.request.person.clone();
    recovery::open(on.tx, &person, "store.opened_alone", on.now_ms)?;
    Ok(Said::done(json!({ "adopted": "alone" })).note("note-adopted-alone", []))
}

/// The old machine is off, so that this one may go on.
fn moved(on: &mut Writing<'_, '_>) -> Result<Said, Refusal> {
    let person = on.request.person.clone();
    if !recovery::settle_here(on.tx, &person, on.now_ms)? {
        return Err(Refusal::usage("not-moved", []));
    }
    Ok(Said::done(json!({ "adopted": "moved" })).note("note-adopted-moved", []))
}
