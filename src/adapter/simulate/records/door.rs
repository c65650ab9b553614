//! How a system to train on lets people in.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde_json::{Value, json};

use super::System;

/// Header of the provincial integration platforms.
const LGSP: &str = "lgspaccesstoken";
/// What that header must hold.
const LGSP_FIELDS: [&str; 5] = [
    "AccessKey",
    "SecretKey",
    "AppName",
    "PartnerCode",
    "PartnerCodeCus",
];

/// How requests say who sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The secret in this header, after this prefix.
    Key(&'static str, &'static str),
    /// `POST /login` with name and password as JSON answers a bearer token.
    Token,
    /// `POST /login` with name and password as a form sets a cookie.
    Cookie,
    /// `POST /oauth/token`: OAuth 2 client credentials.
    Oauth2,
    /// `POST /token`: the scheme of the provincial integration platforms.
    Lgsp,
}

impl Auth {
    /// Where one logs in.
    pub(super) fn path(self) -> Option<&'static str> {
        match self {
            Auth::Key(..) => None,
            Auth::Token | Auth::Cookie => Some("/login"),
            Auth::Oauth2 => Some("/oauth/token"),
            Auth::Lgsp => Some("/token"),
        }
    }
}

impl System {
    /// What belongs into the secret files of its profile: ending of the file, and content.
    pub fn secrets(&self) -> Vec<(&'static str, &'static str)> {
        let files: &[&str] = match self.auth {
            Auth::Key(..) => &["key"],
            Auth::Token | Auth::Cookie => &["password"],
            Auth::Oauth2 => &["secret"],
            Auth::Lgsp => &["access", "secret"],
        };
        files.iter().map(|ending| (*ending, self.secret)).collect()
    }

    /// Who logs in; `None`: the system does not know them by this name and secret.
    pub(super) fn identified(&self, headers: &HeaderMap, body: &[u8]) -> Option<&'static str> {
        let (user, secret) = match self.auth {
            Auth::Key(..) => return None,
            Auth::Token => {
                let given: Value = serde_json::from_slice(body).ok()?;
                (text(&given["user"])?, text(&given["password"])?)
            }
            Auth::Cookie => {
                let mut given = form(headers, body)?;
                (given.remove("username")?, given.remove("password")?)
            }
            Auth::Oauth2 => {
                credentials(headers, body)?;
                let sent = header_of(headers, "authorization")?.strip_prefix("Basic ")?;
                let pair = String::from_utf8(STANDARD.decode(sent).ok()?).ok()?;
                let (user, secret) = pair.split_once(':')?;
                (user.to_owned(), secret.to_owned())
            }
            Auth::Lgsp => {
                credentials(headers, body)?;
                let user = self.users.first()?;
                ((*user).to_owned(), self.platform_secret(headers)?)
            }
        };
        let known = self.users.iter().find(|name| **name == user)?;
        (secret == self.secret).then_some(*known)
    }

    /// The secret in the platform's header, where it is whole: exactly its five fields, both keys the same secret.
    fn platform_secret(&self, headers: &HeaderMap) -> Option<String> {
        let sent = STANDARD.decode(header_of(headers, LGSP)?).ok()?;
        let sent: BTreeMap<String, String> = serde_json::from_slice(&sent).ok()?;
        let whole = sent.len() == LGSP_FIELDS.len()
            && LGSP_FIELDS
                .iter()
                .all(|name| sent.get(*name).is_some_and(|text| !text.is_empty()));
        let secret = sent.get("AccessKey").filter(|_| whole)?;
        (sent.get("SecretKey") == Some(secret)).then(|| secret.clone())
    }

    /// What a request shows that a login gave it; `None`: nothing, or not all that is needed.
    pub(super) fn shown<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        match self.auth {
            Auth::Key(name, prefix) => header_of(headers, name)?.strip_prefix(prefix),
            Auth::Token | Auth::Oauth2 => {
                header_of(headers, "authorization")?.strip_prefix("Bearer ")
            }
            Auth::Cookie => {
                let mut cookies = header_of(headers, "cookie")?.split("; ");
                cookies.find_map(|cookie| cookie.strip_prefix("session="))
            }
            Auth::Lgsp => {
                let known = self.platform_secret(headers).as_deref() == Some(self.secret);
                let token = header_of(headers, "authorization")?.strip_prefix("Bearer ");
                token.filter(|_| known)
            }
        }
    }

    /// The answer to a login that was right.
    pub(super) fn welcome(&self, token: &str) -> Response {
        match self.auth {
            Auth::Cookie => {
                let cookie = format!("session={token}; Path=/; HttpOnly");
                (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
            }
            Auth::Oauth2 | Auth::Lgsp => {
                Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }))
                    .into_response()
            }
            _ => Json(json!({ "data": { "token": token } })).into_response(),
        }
    }
}

/// Whether a token is asked for by client credentials, as a form.
fn credentials(headers: &HeaderMap, body: &[u8]) -> Option<()> {
    let given = form(headers, body)?;
    (given.get("grant_type").map(String::as_str) == Some("client_credentials")).then_some(())
}

/// A form; `None`: the body is sent as something else.
pub(super) fn form(headers: &HeaderMap, body: &[u8]) -> Option<BTreeMap<String, String>> {
    let kind = header_of(headers, "content-type")?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let url = Url::parse(&format!("http://form/?{text}")).ok()?;
    Some(url.query_pairs().into_owned().collect())
}

/// A header as text.
pub(super) fn header_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
