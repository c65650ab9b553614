//! How much is known of the person behind a request.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Role;

/// Who asks, as far as this is proved. A name alone proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// Whoever may open the control socket or the store; the name is what they say of themselves.
    #[default]
    Local,
    /// Says to be the user of the request's name, and gives this for it. The node looks whether it is true.
    Password(Secret),
    /// A user of this node with this role, whose password was checked here. Nobody can say this over a socket.
    #[serde(skip)]
    Known(Role),
}

impl Asker {
    /// Whether there is something to be told to the node that executes: what was proved here is not, because it has to be
    /// proved there; nor does it stay in a request that is kept.
    pub(super) fn says_nothing(&self) -> bool {
        !matches!(self, Asker::Password(_))
    }

    /// The role of somebody who proved who they are.
    pub fn role(&self) -> Option<Role> {
        match self {
            Asker::Known(role) => Some(*role),
            Asker::Local | Asker::Password(_) => None,
        }
    }
}

/// A password on its way to the node that checks it; it shows itself nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// As it was typed.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// For the one who checks it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Command, Lang, Request};

    fn request(asker: Asker) -> Request {
        Request {
            request_id: "r1".to_owned(),
            lang: Lang::En,
            person: "binh".to_owned(),
            asker,
            acting_for: None,
            command: Command::Status,
        }
    }

    #[test]
    fn what_was_proved_here_is_neither_sent_nor_believed_when_it_comes() {
        let said = serde_json::to_value(request(Asker::Known(Role::Administrator))).expect("JSON");
        assert_eq!(said.get("asker"), None, "{said}");
        let mut forged = said;
        for word in [
            serde_json::json!({ "known": "administrator" }),
            serde_json::json!("known"),
        ] {
            forged["asker"] = word;
            assert!(serde_json::from_value::<Request>(forged.clone()).is_err());
        }
    }

    #[test]
    fn a_password_goes_to_the_node_and_is_shown_nowhere() {
        let secret = Secret::new("ba con vịt xoè".to_owned());
        let asked = request(Asker::Password(secret));
        assert!(!format!("{asked:?}").contains("vịt"), "{asked:?}");
        let text = serde_json::to_string(&asked).expect("JSON");
        let came: Request = serde_json::from_str(&text).expect("a request");
        assert_eq!(came.asker, asked.asker);
        assert_eq!(came.asker.role(), None, "not before it was checked");
    }
}
