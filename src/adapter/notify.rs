//! `notify.toml`: how people are told of warnings and reminders, by mail and by a webhook.
//!
//! The file stands beside the configuration, with secrets in files beside it, as adapters' profiles do. A webhook gets
//! one `POST` of JSON for each message, whose header `Idempotency-Key` is the same at every try.

use std::path::{Path, PathBuf};

use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::de::DeTable;

use super::delivery::{Letter, MailSettings};
use super::engine::EngineError;
use super::http::client::{Again, Client};
use super::http::settings::{Limits, Method, Settings, is_near};
use super::profile::shape;
use super::secret::Secret;
use crate::api::Lang;
use crate::node::notices::{Telling, name_of};
use crate::store::notices::Notice;

/// The channel of the mail.
pub const MAIL: &str = "email";
/// The channel of the webhook.
pub const WEBHOOK: &str = "webhook";
/// A webhook answers with little.
const ANSWER_BYTES: u64 = 1 << 20;
/// A whole request, in seconds.
const REQUEST_S: u64 = 60;

/// The file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Language of subjects and texts: `vi` or `en`.
    #[serde(default)]
    pub lang: Lang,
    /// The hour of the day, in `node.time_zone`, before which nobody is told.
    #[serde(default = "morning")]
    #[schemars(range(min = 0, max = 23))]
    pub from_hour: i8,
    /// By mail; its `text` is not used.
    pub email: Option<MailSettings>,
    /// By a webhook.
    pub webhook: Option<Webhook>,
}

/// `[webhook]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to, `https://…`; `http://` only to this machine.
    pub url: String,
    /// A token, sent as `Authorization: Bearer …`.
    pub token: Option<Secret>,
    /// Certificates (PEM) that alone are trusted, beside the file.
    pub ca_file: Option<PathBuf>,
}

fn morning() -> i8 {
    7
}

impl Channels {
    /// Reads the file; `None` where there is none: nobody is to be told.
    ///
    /// # Errors
    /// What is wrong with it, with the line or the key.
    pub fn load(path: &Path) -> Result<Option<Channels>, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                let file = path.display();
                return Err(format!("{file} is not UTF-8 text; save it again as UTF-8"));
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let channels = Self::read(&text).map_err(|why| format!("{name}: {why}"))?;
        let mut wrong = Vec::new();
        if let Some(mail) = &channels.email {
            let found = mail.check().into_iter();
            wrong.extend(found.map(|(key, message)| format!("email.{key} {message}")));
        }
        if let Some(webhook) = &channels.webhook {
            wrong.extend(webhook.check());
        }
        match wrong.is_empty() {
            true => Ok(Some(channels)),
            false => Err(format!("{name}: {}", wrong.join("; "))),
        }
    }

    /// Held against its schema first: serde would name no key, and repeat a password that stands where a file belongs.
    fn read(text: &str) -> Result<Channels, String> {
        let (document, errors) = DeTable::parse_recoverable(text);
        if let Some(error) = errors.first() {
            return Err(one_line(error, text));
        }
        let schema = schemars::schema_for!(Channels).to_value();
        let found = shape::check(document.get_ref(), text, &schema);
        if !found.is_empty() {
            let told = found.iter();
            let told = told.map(|p| format!("line {}: {}: {}", p.line, p.key, p.message));
            return Err(told.collect::<Vec<_>>().join("; "));
        }
        toml::from_str(text).map_err(|error| one_line(&error, text))
    }

    /// The channels that are set up.
    pub fn names(&self) -> Vec<&'static str> {
        let mail = self.email.as_ref().map(|_| MAIL);
        let webhook = self.webhook.as_ref().map(|_| WEBHOOK);
        mail.into_iter().chain(webhook).collect()
    }

    /// How a channel tells.
    pub fn telling(&self) -> Telling {
        let subject = self.email.as_ref().map(|mail| mail.subject.clone());
        Telling {
            lang: self.lang,
            from_hour: self.from_hour,
            subject: subject.unwrap_or_else(|| "{unit}".to_owned()),
        }
    }

    /// Sends a message by its channel; answers what the other side said. `file`: where these settings stand.
    pub async fn send(
        &self,
        file: &Path,
        notice: &Notice,
        node: &str,
    ) -> Result<String, EngineError> {
        let name = name_of(notice, node);
        match (notice.channel.as_str(), &self.email, &self.webhook) {
            (MAIL, Some(mail), _) => {
                let letter = Letter {
                    subject: notice.subject.clone(),
                    text: notice.text.clone(),
                    attachment: None,
                    id: format!("<{name}@nqsync.invalid>"),
                };
                mail.send(file, letter).await
            }
            (WEBHOOK, _, Some(webhook)) => webhook.send(file, notice, &name).await,
            (channel, ..) => Err(EngineError::NotAllowed(format!("{channel} is not set up"))),
        }
    }
}

/// What is wrong, with its line, in one line.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().map(|span| &text[..span.start.min(text.len())]);
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    let message = error.message().split_whitespace().collect::<Vec<_>>();
    format!("line {line}: {}", message.join(" "))
}

impl Webhook {
    fn check(&self) -> Option<String> {
        let url = Url::parse(&self.url).ok();
        let protected =
            |url: &Url| url.scheme() == "https" || url.scheme() == "http" && is_near(url);
        if !url.as_ref().is_some_and(protected) {
            let why =
                "webhook.url must begin with https://; http:// is allowed to this machine only";
            return Some(why.to_owned());
        }
        let named = |url: &Url| !url.username().is_empty() || url.password().is_some();
        url.as_ref().is_some_and(named).then(|| {
            "webhook.url holds a login, where everybody reads it; take it away and write token"
                .to_owned()
        })
    }

    async fn send(&self, file: &Path, notice: &Notice, name: &str) -> Result<String, EngineError> {
        let settings = Settings {
            base_url: self.url.clone(),
            insecure: false,
            hosts: Vec::new(),
            headers: Default::default(),
            user_agent: None,
            auth: Default::default(),
            envelope: Default::default(),
            ca_file: self.ca_file.clone(),
            client_certificate: None,
            proxy: None,
            limits: Limits {
                request_timeout_s: REQUEST_S,
                answer_bytes: ANSWER_BYTES,
                // The ledger tries again, also after a restart.
                tries: 1,
                ..Limits::default()
            },
        };
        let mut client = Client::open(&settings, file).await?;
        let url = client.url(&self.url)?;
        let mut request = client
            .request(Method::Post, url)
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", name)
            .body(notice.entries.clone());
        if let Some(token) = &self.token {
            let plain = token.read(file).map_err(EngineError::Authentication)?;
            request = request.bearer_auth(plain.reveal());
            client.hide(plain);
        }
        let answer = client.send(request, Again::NotCarriedOut).await?;
        let status = answer.status;
        if status.is_success() {
            return Ok(status.to_string());
        }
        let text = format!(
            "{}: answers {status}: {}",
            answer.at,
            client.excerpt(&answer.body)
        );
        Err(match status.as_u16() {
            401 | 403 => EngineError::Authentication(text),
            _ => EngineError::Refused(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Option<Channels>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("notify.toml");
        std::fs::write(&file, text).unwrap();
        Channels::load(&file)
    }

    const EMAIL: &str = "[email]\nhost = \"mail.example.vn\"\nfrom = \"a@example.vn\"\nto = [\"b@example.vn\"]\n\
        subject = \"Cảnh báo {unit}\"\n";

    #[test]
    fn without_a_file_nobody_is_told_and_the_sample_is_one() {
        assert!(
            Channels::load(Path::new("nowhere/notify.toml"))
                .unwrap()
                .is_none()
        );
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/notify.toml");
        let channels = Channels::load(&sample).unwrap().expect("a file");
        assert_eq!(channels.names(), [MAIL, WEBHOOK]);
        assert_eq!(load(EMAIL).unwrap().expect("a file").from_hour, 7);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_or_key_and_no_secret() {
        for (text, part) in [
            (
                "lang = \"fr\"\n".to_owned(),
                "notify.toml: line 1: lang: is \"fr\"; allowed are \"vi\", \"en\"",
            ),
            (
                format!("{EMAIL}sender = 1\n"),
                "notify.toml: line 6: email.sender: is not known",
            ),
            (
                format!("from_hour = 24\n{EMAIL}"),
                "line 1: from_hour: is 24; the most is 23",
            ),
            (
                EMAIL.replace("b@example.vn", "b"),
                "email.to is \"b\", which is no address",
            ),
            (format!("{EMAIL}tls = \"none\"\n"), "email.tls is \"none\""),
            (
                "[webhook]\nurl = \"http://chat.example.vn/x\"\n".to_owned(),
                "webhook.url must begin with https://",
            ),
            (
                "[webhook]\nurl = \"http://localhost.example.vn/x\"\n".to_owned(),
                "webhook.url must begin with https://",
            ),
            (
                "[webhook]\nurl = \"http://localhost:1@chat.example.vn/x\"\n".to_owned(),
                "webhook.url must begin with https://",
            ),
            (
                "[webhook]\nurl = \"https://me:hush@chat.example.vn/x\"\n".to_owned(),
                "webhook.url holds a login",
            ),
        ] {
            let error = load(&text).unwrap_err();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        assert!(load("[webhook]\nurl = \"http://localhost:8080/x\"\n").is_ok());
    }
}
