//! `node rotate-authority`: this node certifies with another key from now on, on the word of the one before.

use jiff::Timestamp;
use serde_json::json;

use super::shared::needed;
use super::{Said, Writing};
use crate::api::Exit;
use crate::node::Refusal;
use crate::store::{audit, nodes};
use crate::trust::authority::{Authority, CA_CERTIFICATE_FILE};

/// Takes a new authority. The files are changed first, in one step: cut before the commit, the service finds it at its next
/// start, and says so in the audit.
pub fn rotate(on: &mut Writing<'_, '_>, reason: &str) -> Result<Said, Refusal> {
    let reason = needed("reason-needed", Some(reason))?;
    let keys = on.node.store.dir().join("keys");
    if !keys.join(CA_CERTIFICATE_FILE).exists() {
        return Err(Refusal::usage("no-listen", []));
    }
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::with(Exit::Failed, "authority", [("detail", error.to_string())])
    };
    let now = Timestamp::from_millisecond(on.now_ms).map_err(|e| failed(&e))?;
    let before = Authority::load(&keys).map_err(|e| failed(&e))?.pin();
    let authority = Authority::rotate(&keys, on.tx.node()?, now).map_err(|e| failed(&e))?;
    let pin = authority.pin().to_string();
    on.tx.set_meta("ca_pin", &pin)?;
    // The running service looks at its authority again when the list of those it certified does.
    on.tx.tree_has_changed();
    let act = audit::Act {
        at: on.now_ms,
        actor: &on.request.person,
        act: "authority.rotated",
        subject: &pin,
        detail: json!({ "before": before.to_string(), "reason": reason }),
    };
    audit::append(on.tx, &act)?;
    let children = nodes::all(on.tx.connection())?;
    let children = children.iter().filter(|row| row.revoked_at.is_none());
    let children = children.count();
    let data = json!({
        "id": pin,
        "authority_pin": pin,
        "before": before,
        "children": children,
        "reason": reason,
    });
    let count = ("count", children.to_string());
    Ok(Said::done(data).note("note-authority-rotated", [count]))
}
