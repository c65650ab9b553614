//! Who somebody is that comes with a name and a password, over the control socket or on a stopped node.

use serde_json::json;

use super::commands::refuse;
use super::{Node, Refusal};
use crate::api::{Asker, Duty, Exit, Failure, Request, Role, roles};
use crate::store::{StoreError, audit, users};
use crate::trust::password;

/// Checks the password that comes with a request. What comes without one is left as it is: it was proved already (the
/// console), or it is only said.
pub async fn prove(node: &Node, mut request: Request) -> Result<Request, Failure> {
    let Asker::Password(secret) = &request.asker else {
        return Ok(request);
    };
    let (lang, typed) = (request.lang, secret.reveal().to_owned());
    request.asker = Asker::Local;
    match check(node, &request, typed).await {
        Ok(role) => {
            request.asker = Asker::Known(role);
            Ok(request)
        }
        Err(refusal) => Err(refuse(lang, refusal)),
    }
}

async fn check(node: &Node, request: &Request, typed: String) -> Result<Role, Refusal> {
    let name = request.person.clone();
    let user = node.store.read(move |c| users::one(c, &name)).await?;
    let checked = tokio::task::spawn_blocking(move || {
        let secret = user.as_ref().map(|user| user.secret.as_str());
        let right = password::matches(secret, &typed);
        user.filter(|_| right)
    });
    let user = checked
        .await
        .map_err(|error| StoreError::Panicked(error.to_string()))?;
    let Some(role) = user.and_then(|user| Role::named(&user.role)) else {
        note_refused(node, request).await?;
        return Err(Refusal::with(Exit::Authentication, "login-wrong", []));
    };
    // Who stands at the machine may name its files; for the rest a user is bound by the role.
    let duty = roles::duty(&request.command);
    if !role.may(duty) && duty != Duty::Host {
        let role = ("role", role.as_str().to_owned());
        return Err(Refusal::with(Exit::Authentication, "not-allowed", [role]));
    }
    Ok(role)
}

async fn note_refused(node: &Node, request: &Request) -> Result<(), StoreError> {
    let (at, name) = (node.clock.now_ms(), request.person.clone());
    node.store
        .write(move |tx| {
            let act = audit::Act {
                at,
                actor: &name,
                act: "login.refused",
                subject: "command line",
                detail: json!({}),
            };
            audit::append(tx, &act)
        })
        .await
}
