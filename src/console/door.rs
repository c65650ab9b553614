//! Who comes in: names of the console, sessions, login and logout, and what every answer carries.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use cookie::{Cookie, SameSite};
use reqwest::Url;
use serde_json::json;

use super::Console;
use super::ask::Person;
use super::form::{Asked, Fields, Sent};
use super::session::{LONGEST, Session};
use crate::api::{Lang, Role};
use crate::node::login::{self, BUSY_S, Refused};
use crate::store::{StoreError, users};
use crate::t;

/// What the audit says of where somebody came.
pub const SUBJECT: &str = "console";
/// The cookie of a session, and its name where it was given over TLS: by that prefix a browser takes it from this very host only.
const COOKIE: &str = "nqsync";
const COOKIE_OVER_TLS: &str = "__Host-nqsync";
/// After one answer over TLS a browser asks this name no other way, for a year.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// What a browser forgets of these pages with the logout.
const FORGET: HeaderValue = HeaderValue::from_static("\"cache\", \"cookies\", \"storage\"");
/// Headers of every answer. Nothing is loaded from elsewhere, nothing is framed, nothing stays in a cache.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Whether two secrets are equal, in a time that tells nothing of where they differ.
pub fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Refuses other sites' requests and adds the headers. A name that is not ours is a page of somebody else whose address
/// was bent to this machine (DNS rebinding).
pub async fn guard(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let over_tls = is_behind_tls(request.headers());
    let mut response = match refusal(&console, &request) {
        Some(status) => (status, "this address is not the console's\n").into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    if over_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
    for (name, value) in HEADERS {
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

fn refusal(console: &Console, request: &Request) -> Option<StatusCode> {
    let host = request.headers().get(header::HOST)?.to_str().ok();
    let named = host.is_some_and(|host| {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            match port.bytes().all(|b| b.is_ascii_digit()) {
                true => name,
                false => host,
            }
        });
        let name = name.trim_start_matches('[').trim_end_matches(']');
        console.hosts.contains(&name.to_lowercase())
    });
    if !named {
        return Some(StatusCode::MISDIRECTED_REQUEST);
    }
    let from = request.headers().get("sec-fetch-site");
    let from = from.and_then(|from| from.to_str().ok());
    let foreign = matches!(from, Some("cross-site" | "same-site"));
    (foreign && request.method() != Method::GET).then_some(StatusCode::FORBIDDEN)
}

fn token_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == cookie_name(is_behind_tls(headers)))
        .map(|cookie| cookie.value().to_owned())
}

/// Whether a web server in front of the console says that it was asked over TLS.
fn is_behind_tls(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto.as_bytes() == b"https")
}

fn cookie_name(over_tls: bool) -> &'static str {
    if over_tls { COOKIE_OVER_TLS } else { COOKIE }
}

fn session_cookie(token: &str, secure: bool, lasts: cookie::time::Duration) -> String {
    Cookie::build((cookie_name(secure), token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(lasts)
        .build()
        .to_string()
}

impl FromRequestParts<Arc<Console>> for Person {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Response> {
        match logged_in(console, &parts.headers).await {
            Ok(Some(person)) => Ok(person),
            Ok(None) => Err(to_login(parts)),
            Err(error) => {
                tracing::error!(%error, "the users cannot be read");
                Err(StatusCode::SERVICE_UNAVAILABLE.into_response())
            }
        }
    }
}

/// After the login the reader goes on where they wanted to; a form that was sent is not sent again.
fn to_login(parts: &Parts) -> Response {
    let wanted = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let next = match parts.method == Method::GET && wanted != "/" {
        true => {
            let next: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
            format!("?next={next}")
        }
        false => String::new(),
    };
    Redirect::to(&format!("/login{next}")).into_response()
}

async fn logged_in(console: &Console, headers: &HeaderMap) -> Result<Option<Person>, StoreError> {
    let Some(token) = token_of(headers) else {
        return Ok(None);
    };
    let Some(session) = console.sessions.of(&token, console.now_ms()) else {
        return Ok(None);
    };
    let Session {
        user: name,
        form_token,
        lang,
        user_changed_at,
        ..
    } = session;
    let asked = name.clone();
    let read = move |connection: &rusqlite::Connection| users::one(connection, &asked);
    let user = console.service.node.store.read(read).await?;
    // A user who was taken away, or given another role or password, is logged out everywhere.
    let role = user
        .filter(|user| user.changed_at == user_changed_at)
        .and_then(|user| Role::named(&user.role));
    let Some(role) = role else {
        console.sessions.end(&token);
        return Ok(None);
    };
    Ok(Some(Person {
        name,
        role,
        shown: console.shown(lang),
        token,
        form_token,
    }))
}

/// The answer to a form that no page of this session made: most often one that stood open over a restart.
pub fn foreign_form(console: &Console, person: &Person) -> Response {
    tracing::warn!(
        user = person.name,
        "refused a form that no page of this session made"
    );
    let message = t!(person.lang(), "console-foreign-form");
    let data = json!({ "message": message, "bare": true });
    let mut response = console.pages.page(person.lang(), "problem.html", &data);
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Vietnamese unless the reader asked for English.
fn lang_named(fields: &Fields) -> Lang {
    match fields.get("lang") {
        Some("en") => Lang::En,
        _ => Lang::Vi,
    }
}

/// An address inside the console, and nothing else: no other site, no trick with slashes.
fn inside(next: Option<&str>) -> &str {
    let plain = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            // A browser takes `\` for `/`, and leaves tabs and ends of line out before it reads: `/<TAB>/` is `//` to it.
            && !next.contains(|c: char| c == '\\' || c.is_control())
            && !next.starts_with("/login")
            && stays(next)
    };
    next.filter(plain).unwrap_or("/")
}

/// Whether the standard that browsers follow reads this as an address of the page's own host. It is asked beside our own
/// rules, so that what those overlook is refused too.
fn stays(next: &str) -> bool {
    let Ok(here) = Url::parse("http://console.invalid/login") else {
        return false;
    };
    here.join(next)
        .is_ok_and(|there| there.origin() == here.origin())
}

/// The login page.
pub async fn login_page(State(console): State<Arc<Console>>, Asked(fields): Asked) -> Response {
    login_again(&console, lang_named(&fields), &fields, "").await
}

async fn login_again(console: &Console, lang: Lang, fields: &Fields, error: &str) -> Response {
    let read = |connection: &rusqlite::Connection| users::all(connection);
    let nobody = console.service.node.store.read(read).await;
    let data = json!({
        "bare": true,
        "next": inside(fields.get("next")),
        "name": fields.get("name").unwrap_or_default(),
        "error": error,
        "nobody": nobody.is_ok_and(|users| users.is_empty()),
    });
    console.pages.page(lang, "login.html", &data)
}

/// Lets somebody in.
pub async fn login(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let fields = Fields::parse(&body);
    let lang = lang_named(&fields);
    let name = fields.get("name").unwrap_or_default();
    let password = fields.raw("password").unwrap_or_default().to_owned();
    let service = &console.service;
    let checked = service
        .logins
        .check(&service.node, SUBJECT, name, password)
        .await;
    match checked {
        Ok(Ok(user)) => {
            if let Some(former) = token_of(&headers) {
                console.sessions.end(&former);
            }
            let (name, now_ms) = (&user.name, console.now_ms());
            let token = console.sessions.begin(name, user.changed_at, lang, now_ms);
            login::note(&service.node, name, "login", SUBJECT, json!({})).await;
            let lasts = cookie::time::Duration::seconds(LONGEST.as_secs() as i64);
            let cookie = session_cookie(&token, is_behind_tls(&headers), lasts);
            let next = Redirect::to(inside(fields.get("next")));
            ([(header::SET_COOKIE, cookie)], next).into_response()
        }
        Ok(Err(refused)) => {
            let message = why_refused(lang, refused);
            let page = login_again(&console, lang, &fields, &message).await;
            let (status, retry_s) = match refused {
                Refused::Wrong => return (StatusCode::UNAUTHORIZED, page).into_response(),
                Refused::Wait { seconds } => (StatusCode::TOO_MANY_REQUESTS, seconds),
                Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, BUSY_S),
            };
            let retry = [(header::RETRY_AFTER, HeaderValue::from(retry_s))];
            (status, retry, page).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the users cannot be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Why a password was not taken, for people.
pub fn why_refused(lang: Lang, refused: Refused) -> String {
    match refused {
        Refused::Wrong => t!(lang, "console-login-wrong"),
        Refused::Wait { seconds } => t!(lang, "console-login-wait", seconds = seconds),
        Refused::Busy => t!(lang, "console-login-busy"),
    }
}

/// Logs out.
pub async fn logout(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    console.sessions.end(&sent.person.token);
    let node = &console.service.node;
    login::note(node, &sent.person.name, "logout", SUBJECT, json!({})).await;
    let cookie = session_cookie("", is_behind_tls(&headers), cookie::time::Duration::ZERO);
    let mut response = ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response();
    response.headers_mut().insert("clear-site-data", FORGET);
    response
}

/// Another language for this login.
pub async fn language(State(console): State<Arc<Console>>, sent: Sent) -> Response {
    console
        .sessions
        .speak(&sent.person.token, lang_named(&sent.fields));
    Redirect::to(inside(sent.fields.get("next"))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_login_nobody_is_led_to_another_site() {
        for bad in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "evil",
            "",
            "/a\r\nLocation: //evil",
            "/\t/evil.example/x",
            "\t//evil.example",
            "/\u{1}/evil.example",
            "/a\u{7f}",
            "/\u{85}/evil.example",
            "/login?next=/login",
        ] {
            assert_eq!(inside(Some(bad)), "/", "{bad:?}");
        }
        let typed = Fields::parse(b"next=/%09/evil.example/x");
        assert_eq!(inside(typed.get("next")), "/");
        assert!(!stays("/\t/evil.example/x") && !stays("//evil.example"));
        assert_eq!(inside(Some("/tasks?unit=24001")), "/tasks?unit=24001");
        assert_eq!(inside(None), "/");
    }
}
