//! Who somebody is that comes with a name and a password: at the console, over the control socket or on a stopped node.
//!
//! Invariant: every password that is typed is looked at here, so that whoever guesses waits wherever they try.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::commands::refuse;
use super::tries::{Minute, NOTED_IN_A_MINUTE, Tries};
use super::{Node, Refusal};
use crate::api::{Asker, Duty, Exit, Failure, Request, Role, roles};
use crate::store::users::UserRow;
use crate::store::{StoreError, audit, users};
use crate::trust::password::Line;

/// As much as is looked at of a name that a stranger types; no user has a longer one.
const NAME_CHARS: usize = 64;
/// When somebody may come again who found too many others waiting, in seconds.
pub const BUSY_S: u64 = 5;

/// What the audit calls the command line.
const AT_THE_MACHINE: &str = "command line";

/// The logins of one service.
#[derive(Debug, Default)]
pub struct Logins {
    tries: Tries,
    not_covered: Mutex<Minute>,
    /// Where it hashes passwords.
    pub line: Line,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Name and password do not belong together.
    Wrong,
    /// There were too many wrong passwords for this name; this one was not looked at.
    Wait {
        /// When the next one will be.
        seconds: u64,
    },
    /// Too many passwords wait to be looked at.
    Busy,
}

impl Logins {
    /// The user, if the password is theirs. `subject` is what the audit says of where it was typed.
    pub async fn check(
        &self,
        node: &Node,
        subject: &'static str,
        name: &str,
        typed: String,
    ) -> Result<Result<UserRow, Refused>, StoreError> {
        let Some(place) = self.line.enter() else {
            return Ok(Err(Refused::Busy));
        };
        let name: String = name.chars().take(NAME_CHARS).collect();
        let asked = name.clone();
        let user = node.store.read(move |c| users::one(c, &asked)).await?;
        if let Err(seconds) = self.tries.begin(&name, node.clock.now_ms()) {
            return Ok(Err(Refused::Wait { seconds }));
        }
        let secret = user.as_ref().map(|user| user.secret.clone());
        let right = place.matches(secret, typed).await;
        let right = right.map_err(|error| StoreError::Panicked(error.to_string()))?;
        let Some(user) = user.filter(|_| right) else {
            if self.tries.wrong(node.clock.now_ms()) {
                note(node, &name, "login.refused", subject, json!({})).await;
            }
            return Ok(Err(Refused::Wrong));
        };
        self.tries.right(&name);
        Ok(Ok(user))
    }

    /// Keeps in the audit that somebody asked for what their role does not cover. `verb` is what they asked for, `subject`
    /// where.
    pub async fn not_covered(&self, node: &Node, name: &str, verb: &str, subject: &'static str) {
        let count = {
            // A panic while holding it leaves whole values behind.
            let refused = self.not_covered.lock();
            let mut refused = refused.unwrap_or_else(PoisonError::into_inner);
            refused.count(node.clock.now_ms())
        };
        if count <= NOTED_IN_A_MINUTE {
            note(node, name, "role.refused", subject, json!({ "verb": verb })).await;
        }
    }
}

/// Checks the password that comes with a request. What comes without one is left as it is: it was proved already (the
/// console), or it is only said.
pub async fn prove(node: &Node, logins: &Logins, mut request: Request) -> Result<Request, Failure> {
    let Asker::Password(secret) = &request.asker else {
        return Ok(request);
    };
    let (lang, typed) = (request.lang, secret.reveal().to_owned());
    request.asker = Asker::Local;
    match role(node, logins, &request, typed).await {
        Ok(role) => {
            request.asker = Asker::Known(role);
            Ok(request)
        }
        Err(refusal) => Err(refuse(lang, refusal)),
    }
}

async fn role(
    node: &Node,
    logins: &Logins,
    request: &Request,
    typed: String,
) -> Result<Role, Refusal> {
    let checked = logins.check(node, AT_THE_MACHINE, &request.person, typed);
    let user = checked.await?.map_err(|refused| match refused {
        Refused::Wrong => Refusal::with(Exit::Authentication, "login-wrong", []),
        Refused::Wait { seconds } => {
            let seconds = ("seconds", seconds.to_string());
            Refusal::with(Exit::Authentication, "login-wait", [seconds])
        }
        Refused::Busy => Refusal::with(Exit::Failed, "login-busy", []),
    })?;
    let Some(role) = Role::named(&user.role) else {
        return Err(Refusal::with(Exit::Authentication, "login-wrong", []));
    };
    // Who stands at the machine may name its files; for the rest a user is bound by the role.
    let duty = roles::duty(&request.command);
    if !role.may(duty) && duty != Duty::Host {
        let verb = request.command.verb();
        let noted = logins.not_covered(node, &user.name, &verb, AT_THE_MACHINE);
        noted.await;
        let role = ("role", role.as_str().to_owned());
        return Err(Refusal::with(Exit::Authentication, "not-allowed", [role]));
    }
    Ok(role)
}

/// Keeps in the audit that somebody came, went or was refused.
pub async fn note(
    node: &Node,
    name: &str,
    act: &'static str,
    subject: &'static str,
    detail: Value,
) {
    let (at, name) = (node.clock.now_ms(), name.to_owned());
    let noted = node.store.write(move |tx| {
        let act = audit::Act {
            at,
            actor: &name,
            act,
            subject,
            detail,
        };
        audit::append(tx, &act)
    });
    if let Err(error) = noted.await {
        tracing::warn!(%error, act, "a login could not be noted in the audit");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::node::commands::fixture::{Fixture, NOW};
    use crate::trust::password;

    const PASSWORD: &str = "một con vịt xoè ra";

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        let user = UserRow {
            name: "an".to_owned(),
            role: "viewer".to_owned(),
            secret: password::hash("an", PASSWORD).expect("a hash"),
            added_at: NOW,
            changed_at: NOW,
            hands: Vec::new(),
        };
        let put = fixture
            .node
            .store
            .write_blocking(move |tx| users::put(tx.connection(), &user));
        put.expect("a user");
        fixture
    }

    fn noted(fixture: &Fixture) -> i64 {
        let sql = "SELECT count(*) FROM audit WHERE act = 'login.refused'";
        let noted = fixture.node.store.read_blocking(|connection| {
            Ok::<_, StoreError>(connection.query_row(sql, [], |row| row.get(0))?)
        });
        noted.expect("counted")
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Runtime::new().expect("a runtime")
    }

    #[test]
    fn of_many_tries_at_the_same_moment_five_are_looked_at() {
        let (fixture, runtime) = (fixture(), runtime());
        let logins = Arc::new(Logins::default());
        let refused = runtime.block_on(async {
            let mut tries = JoinSet::new();
            for n in 0..30 {
                let (node, logins) = (fixture.node.clone(), logins.clone());
                tries.spawn(async move {
                    let typed = format!("không phải mật khẩu {n}");
                    let checked = logins.check(&node, "console", "an", typed).await;
                    checked.expect("read").expect_err("a wrong password")
                });
            }
            tries.join_all().await
        });
        let wrong = refused.iter().filter(|r| **r == Refused::Wrong).count();
        let wait = Refused::Wait { seconds: 1 };
        let waits = refused.iter().filter(|r| **r == wait).count();
        assert_eq!((wrong, waits, noted(&fixture)), (5, 25, 5));
        // The right one waits like the others, wherever it is typed.
        let checked = logins.check(&fixture.node, "command line", "an", PASSWORD.to_owned());
        let checked = runtime.block_on(checked);
        assert_eq!(checked.expect("read").err(), Some(wait));
    }

    #[test]
    fn right_passwords_never_wait_and_end_the_wait_of_those_before() {
        let (fixture, runtime) = (fixture(), runtime());
        let logins = Logins::default();
        let check = |typed: &str| {
            let checked = logins.check(&fixture.node, "console", "an", typed.to_owned());
            let checked = runtime.block_on(checked).expect("read");
            checked.map(|user| user.name)
        };
        for _ in 0..3 {
            for _ in 0..4 {
                assert_eq!(check("không phải"), Err(Refused::Wrong));
            }
            assert_eq!(check(PASSWORD), Ok("an".to_owned()));
        }
    }
}
