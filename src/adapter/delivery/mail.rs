//! `[email]`: a letter by mail, with a workbook or without.

use std::path::Path;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::adapter::engine::EngineError;
use crate::adapter::secret::Secret;
use crate::link::upstream::chain_of;

/// What a workbook is for mail programs.
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// `[email]`: the mail server, and who writes to whom.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the mail server.
    pub host: String,
    /// Its port; absent: 587 for `starttls`, 465 for `tls`.
    pub port: Option<u16>,
    /// How the line is protected.
    #[serde(default)]
    pub tls: Protection,
    /// Certificates (PEM) that alone are trusted, beside the profile.
    pub ca_file: Option<std::path::PathBuf>,
    /// Name to log in with; absent: no login.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The sender, such as `"UBND xã A <bc@a.example.vn>"`.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// Who gets a copy.
    #[serde(default)]
    pub cc: Vec<String>,
    /// The subject; `{unit}`, `{name}` and `{period}` are filled in.
    pub subject: String,
    /// The text above the attachment; filled in the same way.
    #[serde(default)]
    pub text: String,
    /// Until the server has taken the whole message, in seconds.
    #[serde(default = "timeout")]
    pub timeout_s: u64,
}

/// How the line to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Begun in the clear, protected before anything is said.
    #[default]
    Starttls,
    /// Protected from the first byte.
    Tls,
    /// Not at all; only to this machine.
    None,
}

fn timeout() -> u64 {
    120
}

/// One message.
pub struct Letter<'l> {
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// A workbook that goes with it: its name and its bytes.
    pub attachment: Option<(&'l str, Vec<u8>)>,
    /// The same for every try of the same message, so that a second copy is known as one.
    pub id: String,
}

impl Settings {
    /// What is wrong with addresses and protection: the key, and the message.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let given = [
            ("from", vec![&self.from]),
            ("to", self.to.iter().collect()),
            ("cc", self.cc.iter().collect()),
        ];
        for (key, addresses) in given {
            for address in addresses {
                if let Err(error) = address.parse::<Mailbox>() {
                    found.push((
                        key,
                        format!("is \"{address}\", which is no address: {error}"),
                    ));
                }
            }
        }
        if self.to.is_empty() {
            found.push(("to", "is empty; name at least one recipient".to_owned()));
        }
        let near = matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if self.tls == Protection::None && !near {
            let message =
                "is \"none\", which is allowed to this machine only; write \"starttls\" or \"tls\"";
            found.push(("tls", message.to_owned()));
        }
        if self.user.is_some() != self.password.is_some() {
            found.push((
                "user",
                "and password stand together or not at all".to_owned(),
            ));
        }
        found
    }

    /// Sends a message. Answers what the server said. `profile`: the file that names secrets and certificates.
    pub async fn send(&self, profile: &Path, letter: Letter<'_>) -> Result<String, EngineError> {
        let message = self.message(letter)?;
        let (transport, secret) = self.transport(profile)?;
        let hidden = |text: String| match &secret {
            Some(secret) => text.replace(secret, "***"),
            None => text,
        };
        let place = format!("{}:{}", self.host, self.port());
        // The library's own time limit covers the connection only.
        let limit = Duration::from_secs(self.timeout_s);
        let Ok(sent) = tokio::time::timeout(limit, transport.send(message)).await else {
            return Err(EngineError::Unreachable {
                message: format!("{place}: no answer within {} s", self.timeout_s),
                retry_after: None,
            });
        };
        match sent {
            Ok(response) => {
                let lines: Vec<&str> = response.message().collect();
                Ok(hidden(format!("{} {}", response.code(), lines.join(" "))))
            }
            Err(error) => {
                let text = hidden(format!("{place}: {}", chain_of(&error)));
                Err(match error.status().map(|code| code.to_string()) {
                    Some(code) if matches!(code.as_str(), "530" | "534" | "535" | "538") => {
                        EngineError::Authentication(text)
                    }
                    Some(_) if error.is_permanent() => EngineError::Refused(text),
                    _ => EngineError::Unreachable {
                        message: text,
                        retry_after: None,
                    },
                })
            }
        }
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Protection::Starttls => 587,
            Protection::Tls => 465,
            Protection::None => 25,
        })
    }

    fn message(&self, letter: Letter<'_>) -> Result<Message, EngineError> {
        let unfit = |error: String| EngineError::NotAllowed(format!("the message: {error}"));
        let mailbox = |text: &String| {
            text.parse::<Mailbox>()
                .map_err(|e| unfit(format!("{text}: {e}")))
        };
        let mut builder = Message::builder()
            .from(mailbox(&self.from)?)
            .subject(letter.subject)
            .message_id(Some(letter.id));
        for to in &self.to {
            builder = builder.to(mailbox(to)?);
        }
        for cc in &self.cc {
            builder = builder.cc(mailbox(cc)?);
        }
        let text = SinglePart::plain(letter.text);
        let Some((file, workbook)) = letter.attachment else {
            return builder.singlepart(text).map_err(|e| unfit(e.to_string()));
        };
        let kind = match file.ends_with(".csv") {
            true => ContentType::parse("text/csv; charset=utf-8"),
            false => ContentType::parse(XLSX),
        };
        let kind = kind.map_err(|e| unfit(e.to_string()))?;
        let attached = Attachment::new(file.to_owned()).body(workbook, kind);
        let parts = MultiPart::mixed().singlepart(text).singlepart(attached);
        builder.multipart(parts).map_err(|e| unfit(e.to_string()))
    }

    fn transport(
        &self,
        profile: &Path,
    ) -> Result<(AsyncSmtpTransport<Tokio1Executor>, Option<String>), EngineError> {
        let unfit = |error: String| EngineError::NotAllowed(format!("[email] {error}"));
        let parameters = || -> Result<TlsParameters, EngineError> {
            let mut builder = TlsParameters::builder(self.host.clone());
            if let Some(file) = &self.ca_file {
                let path = profile.parent().unwrap_or(Path::new(".")).join(file);
                let pem =
                    std::fs::read(&path).map_err(|e| unfit(format!("{}: {e}", path.display())))?;
                let certificate = Certificate::from_pem(&pem)
                    .map_err(|e| unfit(format!("{}: {e}", path.display())))?;
                builder = builder
                    .certificate_store(CertificateStore::None)
                    .add_root_certificate(certificate);
            }
            builder.build_rustls().map_err(|e| unfit(e.to_string()))
        };
        let tls = match self.tls {
            Protection::Starttls => Tls::Required(parameters()?),
            Protection::Tls => Tls::Wrapper(parameters()?),
            Protection::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port())
            .tls(tls)
            .timeout(Some(Duration::from_secs(self.timeout_s)));
        let mut secret = None;
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let plain = password
                .read(profile)
                .map_err(EngineError::Authentication)?;
            builder =
                builder.credentials(Credentials::new(user.clone(), plain.reveal().to_owned()));
            secret = Some(plain.reveal().to_owned());
        }
        Ok((builder.build(), secret))
    }
}
