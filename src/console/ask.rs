//! A logged-in person's requests to the node: by role, in their name, in their language.

use serde_json::Value;
use uuid::Uuid;

use super::Console;
use super::door::SUBJECT;
use super::session::Flash;
use crate::api::{
    Answer, Asker, Command, Duty, Exit, Failure, Lang, Outcome, Request, Role, roles,
};
use crate::node::commands::TakenFile;
use crate::text;
use crate::text::shown::Shown;

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct Person {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Language and zone of their pages.
    pub shown: Shown,
    /// The browser's token, for what the next page says.
    pub token: String,
    /// What their forms must carry.
    pub form_token: String,
}

impl Person {
    /// Language of their pages.
    pub fn lang(&self) -> Lang {
        self.shown.lang
    }

    /// Whether they may do what belongs to the duty.
    pub fn may(&self, duty: Duty) -> bool {
        self.role.may(duty)
    }

    /// A request of theirs to the node.
    pub fn request(&self, command: Command) -> Request {
        Request {
            request_id: Uuid::new_v4().to_string(),
            lang: self.lang(),
            person: self.name.clone(),
            asker: Asker::Known(self.role),
            acting_for: None,
            command,
        }
    }

    fn not_allowed(&self) -> Failure {
        let role = text::word(self.lang(), "word-role-", self.role.as_str()).unwrap_or_default();
        Failure {
            exit: Exit::Authentication,
            code: "not_allowed".to_owned(),
            message: text::text(self.lang(), "console-not-allowed", &[("role", &role)]),
            data: Value::Null,
        }
    }
}

impl Console {
    /// The refusal of what the role of somebody does not cover; it stands in the audit under the name of the verb.
    pub async fn not_covered(&self, person: &Person, verb: &str) -> Failure {
        let (logins, node) = (&self.service.logins, &self.service.node);
        logins.not_covered(node, &person.name, verb, SUBJECT).await;
        person.not_allowed()
    }

    /// Carries a verb out for somebody, if their role covers it.
    pub async fn ask(&self, person: &Person, command: Command) -> Outcome {
        self.ask_for(person, None, command).await
    }

    /// The data of a verb that only reads.
    pub async fn read(&self, person: &Person, command: Command) -> Result<Value, Failure> {
        self.ask(person, command).await.map(|answer| answer.data)
    }

    /// Carries out a verb for another unit than the one this node was set up for.
    pub async fn ask_for(&self, person: &Person, unit: Option<&str>, command: Command) -> Outcome {
        if !person.may(roles::duty(&command)) {
            return Err(self.not_covered(person, &command.verb()).await);
        }
        let mut request = person.request(command);
        request.acting_for = unit.map(str::to_owned);
        self.service.execute(request).await
    }

    /// Carries out a verb about the person's own login, which needs no role.
    pub async fn ask_own(&self, person: &Person, command: Command) -> Outcome {
        self.service.execute(person.request(command)).await
    }

    /// Carries out a verb that takes in a file that was uploaded.
    pub async fn ask_with(
        &self,
        person: &Person,
        unit: Option<&str>,
        command: Command,
        file: TakenFile,
    ) -> Outcome {
        if !person.may(Duty::Work) {
            return Err(self.not_covered(person, &command.verb()).await);
        }
        let mut request = person.request(command);
        request.acting_for = unit.map(str::to_owned);
        crate::node::commands::execute_with_file(&self.service.node, request, file).await
    }

    /// What the next page says of an outcome. `done`: the sentence where the verb has none of its own.
    pub fn tell(&self, person: &Person, outcome: &Outcome, done: &str) {
        let flashes = match outcome {
            Ok(answer) => told(person, answer, done),
            Err(failure) => vec![Flash {
                kind: "failed",
                text: failure.message.clone(),
            }],
        };
        for flash in flashes {
            self.sessions.tell(&person.token, flash);
        }
    }
}

fn told(person: &Person, answer: &Answer, done: &str) -> Vec<Flash> {
    let kind = match answer.exit {
        Exit::Done => "done",
        _ => "partly",
    };
    let own = match kind {
        "done" => Some(text::text(person.lang(), done, &[])),
        _ => None,
    };
    let texts = own.into_iter().chain(answer.notes.iter().cloned());
    texts.map(|text| Flash { kind, text }).collect()
}
