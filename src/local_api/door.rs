//! Who asks: by the socket or by a token; and requests that come from a page of somebody else.

use std::sync::{Arc, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;

use super::problem::{Problem, of_store};
use super::{LocalApi, Way};
use crate::api::{Duty, Lang, Role};
use crate::node::commands::tokens::hash;
use crate::node::login;
use crate::node::tries::NOTED_IN_A_MINUTE;
use crate::store::StoreError;
use crate::store::tokens::{self, TokenRow};
use crate::t;

/// What the audit calls this door.
const SUBJECT: &str = "api";
/// What a person at the socket is called, unless they say it.
const NOBODY: &str = "local";
/// The header by which those at the socket say who they are.
pub const PERSON: &str = "nqsync-person";
/// Longest name.
const NAME_CHARS: usize = 64;

/// Somebody who may come in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As the audit and records have it.
    pub person: String,
    /// What they may do.
    pub role: Role,
    /// Language of what is said to them.
    pub lang: Lang,
    /// The token's name, and the hash of its secret; `None` at the socket.
    pub token: Option<(String, [u8; 32])>,
}

impl Caller {
    /// Refuses what their role does not cover; `verb` is what the audit then says they asked for.
    pub async fn must(
        &self,
        api: &LocalApi,
        duty: Duty,
        verb: impl FnOnce() -> String + Send,
    ) -> Result<(), Problem> {
        if self.role.may(duty) {
            return Ok(());
        }
        let (logins, node) = (&api.service.logins, &api.service.node);
        let (verb, person) = (verb(), &self.person);
        logins.not_covered(node, person, &verb, SUBJECT).await;
        let role = crate::text::word(self.lang, "word-role-", self.role.as_str());
        let detail = t!(
            self.lang,
            "api-not-allowed",
            role = role.unwrap_or_default()
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "not_allowed", detail))
    }
}

/// The language of `Accept-Language`: Vietnamese unless English is liked better.
pub fn lang(headers: &HeaderMap) -> Lang {
    let liked = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut best = (0.0, Lang::Vi);
    for part in liked.split(',') {
        let (name, weight) = part.split_once(";q=").unwrap_or((part, "1"));
        let weight: f32 = weight.trim().parse().unwrap_or(0.0);
        let name = name.trim().to_ascii_lowercase();
        let lang = match name.split('-').next() {
            Some("en") => Lang::En,
            Some("vi") => Lang::Vi,
            _ => continue,
        };
        if weight > best.0 {
            best = (weight, lang);
        }
    }
    best.1
}

/// Turns away what a page of another site may have sent, says the language, and keeps answers out of caches.
pub async fn guard(State(api): State<Arc<LocalApi>>, request: Request, next: Next) -> Response {
    let lang = lang(request.headers());
    let mut response = match foreign(&api, &request, lang) {
        Some(problem) => problem.response(lang),
        None => next.run(request).await,
    };
    let spoken = match lang {
        Lang::Vi => "vi",
        Lang::En => "en",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(spoken));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A name that is not ours is a page whose address was bent to this machine (DNS rebinding); an origin is any page at all.
fn foreign(api: &LocalApi, request: &Request, lang: Lang) -> Option<Problem> {
    let Way::Loopback(hosts) = &api.way else {
        return None;
    };
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if !hosts.contains(&name.to_ascii_lowercase()) {
        let detail = t!(lang, "api-other-host");
        return Some(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "other_host",
            detail,
        ));
    }
    request.headers().contains_key(header::ORIGIN).then(|| {
        let detail = t!(lang, "api-from-a-page");
        Problem::new(StatusCode::FORBIDDEN, "from_a_page", detail)
    })
}

/// Who asks.
pub async fn caller(api: &LocalApi, headers: &HeaderMap) -> Result<Caller, Problem> {
    let lang = lang(headers);
    if matches!(api.way, Way::Socket) {
        let said = headers.get(PERSON).and_then(|name| name.to_str().ok());
        let said: String = said.unwrap_or(NOBODY).chars().take(NAME_CHARS).collect();
        return Ok(Caller {
            person: said,
            role: Role::Administrator,
            lang,
            token: None,
        });
    }
    let secret = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, secret)| secret.trim().to_owned());
    let Some(secret) = secret else {
        return Err(refused(api, lang, "-").await);
    };
    let known = of_secret(api, &secret).await;
    match known.map_err(|error| of_store(lang, error))? {
        Some(row) if row.is_good(api.now_ms()) => match Role::named(&row.role) {
            Some(role) => Ok(Caller {
                person: format!("token:{}", row.name),
                role,
                lang,
                token: Some((row.name, row.hash)),
            }),
            None => Err(refused(api, lang, &row.name).await),
        },
        Some(row) => Err(refused(api, lang, &row.name).await),
        None => Err(refused(api, lang, "-").await),
    }
}

async fn of_secret(api: &LocalApi, secret: &str) -> Result<Option<TokenRow>, StoreError> {
    let hash = hash(secret);
    let store = &api.service.node.store;
    store.read(move |c| tokens::hashed(c, &hash)).await
}

/// Whether somebody who came in is still welcome: a token may have been taken back, also by another one of its name.
pub async fn is_welcome(api: &LocalApi, caller: &Caller) -> Result<bool, StoreError> {
    let Some((name, hash)) = caller.token.clone() else {
        return Ok(true);
    };
    let store = &api.service.node.store;
    let row = store.read(move |c| tokens::named(c, &name)).await?;
    Ok(row.is_some_and(|row| is_still(&row, &hash, api.now_ms())))
}

/// Whether the token of a name is the one that somebody came in with, and good.
fn is_still(row: &TokenRow, hash: &[u8; 32], now_ms: i64) -> bool {
    row.hash == *hash && row.is_good(now_ms)
}

/// A try that is refused. `name`: of a token that was good once.
async fn refused(api: &LocalApi, lang: Lang, name: &str) -> Problem {
    let (count, left_s) = count(api);
    // A good token is let in all the same.
    if count > NOTED_IN_A_MINUTE {
        let detail = t!(lang, "api-too-many-tries", seconds = left_s);
        return Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", detail)
            .with(header::RETRY_AFTER, HeaderValue::from(left_s));
    }
    let node = &api.service.node;
    login::note(node, name, "token.refused", SUBJECT, json!({})).await;
    let detail = t!(lang, "api-no-token");
    Problem::new(StatusCode::UNAUTHORIZED, "no_token", detail)
        .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// Counts a refused try. Answers how many there were in this minute, and how many seconds of it are left.
fn count(api: &LocalApi) -> (u32, u64) {
    let now_ms = api.now_ms();
    // A panic while holding it leaves whole values behind.
    let mut refused = api.refused.lock().unwrap_or_else(PoisonError::into_inner);
    let left_ms = 60_000 - now_ms.rem_euclid(60_000);
    let left_s = left_ms.unsigned_abs().div_ceil(1000);
    (refused.count(now_ms), left_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_liked_best() {
        for (accept, expected) in [
            ("", Lang::Vi),
            ("fr", Lang::Vi),
            ("en", Lang::En),
            ("en-GB,vi;q=0.5", Lang::En),
            ("en;q=0.5, vi-VN", Lang::Vi),
            ("vi;q=0.2,en;q=0.9", Lang::En),
            ("en;q=x", Lang::Vi),
        ] {
            let value = HeaderValue::from_str(accept).expect("a value");
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, value)]);
            assert_eq!(lang(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn another_token_of_the_same_name_keeps_nothing_open() {
        let row = |hash| TokenRow {
            name: "may".to_owned(),
            hash,
            role: "viewer".to_owned(),
            added_at: 0,
            expires_at: 10,
            revoked_at: None,
        };
        assert!(is_still(&row([1; 32]), &[1; 32], 9));
        assert!(!is_still(&row([2; 32]), &[1; 32], 9), "made again");
        assert!(!is_still(&row([1; 32]), &[1; 32], 10), "it ended");
    }
}
