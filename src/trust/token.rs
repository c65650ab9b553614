//! The one-time enrolment token: what an administrator carries from a parent to a new child.
//!
//! It holds the parent's pin, so the child knows whom it talks to before it sends anything, and a secret that
//! the parent recognises by its hash. Everything here is a value; storing and the clock are the caller's.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pin::Pin;

/// What every token of this form begins with.
pub const TOKEN_PREFIX: &str = "nq1.";
/// Longest token that is looked at, in bytes; real ones have about 300.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;

const TOKEN_VERSION: u8 = 1;

/// The random part of a token. Never shown or logged except inside the token itself.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret([u8; 32]);

impl TokenSecret {
    /// A secret as it was sent: 43 characters of base64url.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The form in which the child sends it.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the parent keeps, and looks the token up by.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

/// What a token says to the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Code of the unit the child will serve.
    pub unit: String,
    /// Where the parent is reached, if the administrator gave it.
    pub url: Option<String>,
    /// The parent's authority.
    pub parent: Pin,
    /// The one-time secret.
    pub secret: TokenSecret,
    /// When the parent stops accepting it, by the parent's clock.
    pub expires_at: Timestamp,
}

/// What the parent keeps of a token. The secret cannot be recovered from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Code of the unit it was made for.
    pub unit: String,
    /// When it stops being accepted.
    pub expires_at: Timestamp,
    /// When and by which key it was used.
    pub used: Option<TokenUse>,
}

/// The one use of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// When, by the parent's clock.
    pub at: Timestamp,
    /// Pin of the key that was enrolled with it.
    pub by: Pin,
}

/// A token that is good, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// First use: enrol, and save [`TokenUse`] in the same transaction.
    First,
    /// The same key asks again: its answer was lost on the line. Answer again; nothing new is enrolled.
    Again,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No such token was made here, or it was withdrawn.
    #[error(
        "this token is not known here; ask the administrator of the upstream node for a new one"
    )]
    Unknown,
    /// Its time is over.
    #[error(
        "this token expired at {expires_at}; ask the administrator of the upstream node for a new one"
    )]
    Expired {
        /// When.
        expires_at: Timestamp,
    },
    /// Another key was enrolled with it.
    #[error(
        "this token was used at {used_at} with another key; if that was not you, tell the administrator at once"
    )]
    Used {
        /// When.
        used_at: Timestamp,
    },
}

/// Why a text cannot be read as a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenTextError {
    /// It does not look like a token.
    #[error("this is not an enrolment token: a token begins with \"{TOKEN_PREFIX}\"")]
    NotAToken,
    /// It begins like a token and then goes wrong.
    #[error("the enrolment token is incomplete or mistyped ({0}); copy it again as a whole")]
    Damaged(&'static str),
    /// It was made by a newer nqsync.
    #[error(
        "the enrolment token has form {found}, this node reads form {TOKEN_VERSION}; upgrade this node"
    )]
    Version {
        /// Its form.
        found: u8,
    },
}

/// The JSON inside a token.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u8,
    unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    ca_pin: Pin,
    secret: String,
    expires_at: Timestamp,
}

/// Make a token: the text to hand over, and what the parent keeps.
pub fn mint(
    rng: &mut impl CryptoRng,
    unit: &str,
    url: Option<&str>,
    parent: Pin,
    expires_at: Timestamp,
) -> (String, TokenRecord) {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    let secret = TokenSecret(bytes);
    let wire = Wire {
        v: TOKEN_VERSION,
        unit: unit.to_owned(),
        url: url.map(str::to_owned),
        ca_pin: parent,
        secret: secret.reveal(),
        expires_at,
    };
    let json = serde_json::to_vec(&wire).expect("a struct of texts is always JSON");
    let text = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(json));
    (
        text,
        TokenRecord {
            hash: secret.hash(),
            unit: unit.to_owned(),
            expires_at,
            used: None,
        },
    )
}

/// Read a token as it was pasted: white space and line breaks inside it do not matter.
pub fn parse(text: &str) -> Result<Token, TokenTextError> {
    if text.len() > MAX_TOKEN_BYTES {
        return Err(match text.trim_start().starts_with(TOKEN_PREFIX) {
            true => TokenTextError::Damaged("it is longer than any token"),
            false => TokenTextError::NotAToken,
        });
    }
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let body = compact
        .strip_prefix(TOKEN_PREFIX)
        .ok_or(TokenTextError::NotAToken)?;
    let json = URL_SAFE_NO_PAD
        .decode(body.trim_end_matches('='))
        .map_err(|_| TokenTextError::Damaged("characters that no token has, or some missing"))?;
    let cut = TokenTextError::Damaged("a part is missing");
    let value: serde_json::Value = serde_json::from_slice(&json).map_err(|_| cut.clone())?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(v) if v == u64::from(TOKEN_VERSION) => {}
        Some(v) => {
            return Err(TokenTextError::Version {
                found: u8::try_from(v).unwrap_or(u8::MAX),
            });
        }
        None => return Err(cut),
    }
    let wire: Wire = serde_json::from_value(value).map_err(|_| cut)?;
    let secret =
        TokenSecret::parse(&wire.secret).ok_or(TokenTextError::Damaged("its secret is cut"))?;
    Ok(Token {
        unit: wire.unit,
        url: wire.url,
        parent: wire.ca_pin,
        secret,
        expires_at: wire.expires_at,
    })
}

/// Whether the parent accepts the token, of whose secret this is the SHA-256, from the child that holds `key`.
///
/// A used token still answers the key it was used by: on a bad line the reply to an enrolment gets lost, and a
/// child that then needs a new token from an administrator is the usual reason for a visit.
pub fn check(
    record: &TokenRecord,
    presented: &[u8; 32],
    key: Pin,
    now: Timestamp,
) -> Result<Grant, TokenError> {
    if verify_slices_are_equal(&record.hash, presented).is_err() {
        return Err(TokenError::Unknown);
    }
    match record.used {
        Some(used) if used.by != key => Err(TokenError::Used { used_at: used.at }),
        _ if now >= record.expires_at => Err(TokenError::Expired {
            expires_at: record.expires_at,
        }),
        Some(_) => Ok(Grant::Again),
        None => Ok(Grant::First),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn minted() -> (String, TokenRecord) {
        let url = Some("https://tinh-79:7443");
        mint(
            &mut rand::rng(),
            "00123",
            url,
            Pin::of_spki(b"ca"),
            at("2026-11-23T00:00:00Z"),
        )
    }

    #[test]
    fn a_token_tells_the_child_whom_to_trust_and_survives_line_breaks() {
        let (text, record) = minted();
        let wrapped = format!("  {}\r\n {}\n", &text[..50], &text[50..]);
        let token = parse(&wrapped).expect("read");
        assert_eq!(token.unit, "00123");
        assert_eq!(token.url.as_deref(), Some("https://tinh-79:7443"));
        assert_eq!(token.parent, Pin::of_spki(b"ca"));
        assert_eq!(token.secret.hash(), record.hash);
        assert!(!format!("{token:?} {record:?}").contains(&token.secret.reveal()));
    }

    #[test]
    fn a_token_is_accepted_once_and_only_in_time() {
        let (text, mut record) = minted();
        let secret = parse(&text).expect("read").secret;
        let (child, thief) = (Pin::of_spki(b"child"), Pin::of_spki(b"thief"));
        let (early, late) = (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"));
        assert_eq!(
            check(&record, &secret.hash(), child, early),
            Ok(Grant::First)
        );
        let expired = TokenError::Expired { expires_at: late };
        assert_eq!(check(&record, &secret.hash(), child, late), Err(expired));
        assert_eq!(
            check(&record, &TokenSecret([7; 32]).hash(), child, early),
            Err(TokenError::Unknown)
        );
        record.used = Some(TokenUse {
            at: early,
            by: child,
        });
        assert_eq!(
            check(&record, &secret.hash(), thief, early),
            Err(TokenError::Used { used_at: early })
        );
        assert_eq!(
            check(&record, &secret.hash(), child, early),
            Ok(Grant::Again)
        );
        assert_eq!(check(&record, &secret.hash(), child, late), Err(expired));
    }

    #[test]
    fn a_text_that_is_no_whole_token_says_what_is_wrong() {
        let (text, _) = minted();
        assert_eq!(parse("hello"), Err(TokenTextError::NotAToken));
        let twice = TokenTextError::Damaged("it is longer than any token");
        assert_eq!(parse(&"nq1.".repeat(2000)), Err(twice));
        for cut in 4..text.len() {
            assert!(
                matches!(parse(&text[..cut]), Err(TokenTextError::Damaged(_))),
                "cut at {cut}"
            );
        }
        let newer = format!(
            "{TOKEN_PREFIX}{}",
            URL_SAFE_NO_PAD.encode(r#"{"v":2,"shape":"new"}"#)
        );
        assert_eq!(parse(&newer), Err(TokenTextError::Version { found: 2 }));
    }
}
