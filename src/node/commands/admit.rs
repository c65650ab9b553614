//! `node admit`: enrols a node whose request came as a file, and answers with one.

use std::path::Path;

use nqsync_core::protocol::enrolment::{Answered, Asked, FORM, MAX_REQUEST};
use nqsync_core::protocol::hex;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Said, answer};
use crate::api::{Answer, Exit, Request};
use crate::node::bundle::medium;
use crate::node::enrolment::{self, AdmitError};
use crate::node::{Node, Refusal};
use crate::store::{StoreError, queries};
use crate::trust::authority::Authority;
use crate::trust::files::{self, Existing, Secrecy};
use crate::trust::signature;

/// Enrols the node; files are read and written outside the writer thread.
pub async fn carry_out(
    node: &Node,
    request: &Request,
    from: &str,
    to: &str,
) -> Result<Answer, Refusal> {
    let (worker, from, to) = (node.clone(), from.to_owned(), to.to_owned());
    let done = tokio::task::spawn_blocking(move || admit(&worker, &from, &to));
    let said = done
        .await
        .unwrap_or_else(|error| Err(StoreError::Panicked(error.to_string()).into()))?;
    let (worker, request) = (node.clone(), request.clone());
    node.store
        .write(move |tx| answer(tx, &request, said, "node_admit", worker.clock.now_ms()))
        .await
}

fn admit(node: &Node, from: &str, to: &str) -> Result<Said, Refusal> {
    let refused = |detail: String| {
        let args = [("path", from.to_owned()), ("detail", detail)];
        Refusal::usage("not-admitted", args)
    };
    let raw =
        medium::read_file(Path::new(from), MAX_REQUEST).map_err(|e| refused(e.to_string()))?;
    let asked: Asked = serde_json::from_slice(&raw)
        .map_err(|_| refused("it is no request to be enrolled, or it is cut".to_owned()))?;
    let authority = Authority::load(&node.store.dir().join("keys"))
        .map_err(|_| Refusal::usage("no-listen", []))?;
    if Path::new(to).symlink_metadata().is_ok() {
        let args = [("path", to.to_owned()), ("detail", String::new())];
        return Err(Refusal::usage("file-exists", args));
    }
    let enrolled = match enrolment::admit_file(node, &authority, &asked) {
        Ok(enrolled) => enrolled,
        Err(AdmitError::Store(error)) => return Err(error.into()),
        Err(AdmitError::Token(error)) => {
            let args = [("path", from.to_owned()), ("detail", error.to_string())];
            return Err(Refusal::with(Exit::Authentication, "not-admitted", args));
        }
        Err(AdmitError::Request(what)) => return Err(refused(what)),
    };
    let damaged = |error: serde_json::Error| StoreError::Damaged(error.to_string());
    let text = serde_json::to_string(&enrolled).map_err(damaged)?;
    let by = signature::sign(authority.key(), &Answered::text(asked.node, &text));
    let answered = Answered {
        nqsync_enrolled: FORM,
        enrolled: RawValue::from_string(text).map_err(damaged)?,
        key: hex(&signature::public(authority.key())),
        signature: hex(&by.unwrap_or_default()),
    };
    let text = serde_json::to_vec(&answered).map_err(damaged)?;
    files::write(Path::new(to), &text, Secrecy::Public, Existing::Keep)
        .map_err(|error| refused(error.to_string()))?;
    let unit = node.store.read_blocking(|c| {
        let tree = queries::load_tree(c)?;
        Ok::<_, StoreError>(tree.code(enrolled.unit))
    })?;
    let data = json!({ "node": asked.node, "unit": unit, "written_to": to });
    Ok(Said::done(data).note("note-admitted", [("unit", unit), ("path", to.to_owned())]))
}
