//! One request at a time, within limits: allowed hosts only, no redirects, every stage with its deadline.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Certificate, Identity, Proxy, RequestBuilder, Response, StatusCode, Url, redirect};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use super::settings::{Limits, Method, Settings};
use crate::adapter::engine::EngineError;
use crate::adapter::secret::Plain;
use crate::link::backoff::Backoff;

/// Longest time that the outside may ask us to wait within a run; for a longer one the run ends and comes back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Most characters of an answer that an error shows.
const SHOWN: usize = 200;

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Reading: any number of times.
    Free,
    /// Writing: only when it cannot have been carried out.
    NotCarriedOut,
}

/// What came back: status, headers and the body, within limits.
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Path of the request, for messages.
    pub at: String,
}

/// The connection to one outside system.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    allowed: HashSet<(String, u16)>,
    limits: Limits,
    secrets: Vec<Plain>,
    next_at: Option<Instant>,
}

impl Client {
    /// Resolves the hosts once and prepares everything; nothing is sent.
    pub async fn open(settings: &Settings, profile: &Path) -> Result<Client, EngineError> {
        let not_allowed = |what: String| EngineError::NotAllowed(what);
        let base = Url::parse(&settings.base_url)
            .map_err(|e| not_allowed(format!("base_url {}: {e}", settings.base_url)))?;
        // Whoever made these settings, from whatever file: nothing goes out in the clear that does not say so.
        if let Some((key, why)) = settings.check() {
            return Err(not_allowed(format!("{key} {why}")));
        }
        let mut allowed = HashSet::from([place(&base)?]);
        for host in &settings.hosts {
            let url = Url::parse(&format!("{}://{host}", base.scheme()));
            allowed.insert(place(
                &url.map_err(|e| not_allowed(format!("hosts {host}: {e}")))?,
            )?);
        }
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(settings.limits.connect_timeout_s))
            .read_timeout(Duration::from_secs(settings.limits.idle_timeout_s))
            .timeout(Duration::from_secs(settings.limits.request_timeout_s));
        let ours = concat!("nqsync/", env!("CARGO_PKG_VERSION"));
        let name = settings.user_agent.as_deref().unwrap_or(ours);
        if !name.is_empty() {
            builder = builder.user_agent(name);
        }
        builder = match &settings.proxy {
            Some(proxy) => {
                builder.proxy(Proxy::all(proxy).map_err(|e| not_allowed(format!("proxy: {e}")))?)
            }
            None => builder.no_proxy(),
        };
        for (host, port) in &allowed {
            let found = resolve(host, *port, settings.proxy.is_some()).await?;
            if !found.is_empty() {
                builder = builder.resolve_to_addrs(host, &found);
            }
        }
        let beside = profile.parent().unwrap_or_else(|| Path::new("."));
        if let Some(file) = &settings.ca_file {
            let pem = read(&beside.join(file))?;
            let roots = Certificate::from_pem_bundle(&pem);
            builder =
                builder.tls_certs_only(roots.map_err(|e| not_allowed(format!("ca_file: {e}")))?);
        }
        if let Some(file) = &settings.client_certificate {
            let identity = Identity::from_pem(&read(&beside.join(file))?);
            builder = builder
                .identity(identity.map_err(|e| not_allowed(format!("client_certificate: {e}")))?);
        }
        Ok(Client {
            http: builder.build().map_err(|e| not_allowed(e.to_string()))?,
            base,
            allowed,
            limits: settings.limits.clone(),
            secrets: Vec::new(),
            next_at: None,
        })
    }

    /// A secret that must not be seen in errors, whoever echoes it.
    pub fn hide(&mut self, secret: Plain) {
        self.secrets.push(secret);
    }

    /// An address: a path below the base, or a whole one at an allowed host.
    pub fn url(&self, path: &str) -> Result<Url, EngineError> {
        let whole = path.starts_with("http://") || path.starts_with("https://");
        let text = match whole {
            true => path.to_owned(),
            false => {
                let base = self.base.as_str().trim_end_matches('/');
                format!("{base}/{}", path.trim_start_matches('/'))
            }
        };
        let url = Url::parse(&text);
        self.allow(url.map_err(|e| EngineError::NotAllowed(format!("{path}: {e}")))?)
    }

    /// An address that an answer gave, whole or relative.
    pub fn link(&self, link: &str) -> Result<Url, EngineError> {
        let url = self.base.join(link);
        self.allow(url.map_err(|e| EngineError::Unexpected(format!("{link}: {e}")))?)
    }

    fn allow(&self, url: Url) -> Result<Url, EngineError> {
        let (host, port) = place(&url)?;
        if url.scheme() != self.base.scheme() || !self.allowed.contains(&(host.clone(), port)) {
            let what = format!(
                "{host}:{port} is not one of the allowed hosts; if it belongs to the system, add it to http.hosts"
            );
            return Err(EngineError::NotAllowed(what));
        }
        Ok(url)
    }

    /// A request to be built on.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
        };
        self.http.request(method, url)
    }

    /// Sends a request until it is answered, as often as is allowed. Any status is an answer, but those that say "not now".
    pub async fn send(
        &mut self,
        request: RequestBuilder,
        again: Again,
    ) -> Result<Answer, EngineError> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(20));
        let mut tries = self.limits.tries.max(1);
        loop {
            tries -= 1;
            let Some(copy) = request.try_clone() else {
                return self.once(request).await.map_err(|(error, _)| error);
            };
            match self.once(copy).await {
                Ok(answer) => return Ok(answer),
                Err((
                    EngineError::Unreachable {
                        message,
                        retry_after,
                    },
                    carried_out,
                )) => {
                    let may = again == Again::Free || !carried_out;
                    let pause = backoff.next(retry_after);
                    if tries == 0 || !may || pause > LONGEST_WAIT {
                        return Err(EngineError::Unreachable {
                            message,
                            retry_after,
                        });
                    }
                    tokio::time::sleep(pause).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Sends a request once. The flag of an error: whether it may have been carried out.
    async fn once(&mut self, request: RequestBuilder) -> Result<Answer, (EngineError, bool)> {
        self.keep_rate().await;
        let (client, request) = request.build_split();
        let request =
            request.map_err(|e| (EngineError::NotAllowed(self.clean(&e.to_string())), false))?;
        let at = format!("{} {}", request.method(), request.url().path());
        let response = client.execute(request).await;
        let response = response.map_err(|error| {
            let not_sent = error.is_connect();
            (
                unreachable(format!("{at}: {}", self.clean(&said(&error)))),
                !not_sent,
            )
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() {
            let text = format!(
                "{at}: redirects elsewhere, which is not followed; write the final address into the profile"
            );
            return Err((EngineError::NotAllowed(text), false));
        }
        if matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504) {
            let retry_after = headers
                .get(RETRY_AFTER)
                .and_then(|value| wait_asked(value.to_str().ok()?));
            let message = format!("{at}: answers {status}");
            let carried_out = !matches!(status.as_u16(), 429 | 503);
            return Err((
                EngineError::Unreachable {
                    message,
                    retry_after,
                },
                carried_out,
            ));
        }
        let body = self
            .body(response, &at)
            .await
            .map_err(|error| (error, true))?;
        if status.is_server_error() {
            let shown = self.excerpt(&body);
            return Err((
                unreachable(format!("{at}: answers {status}: {shown}")),
                true,
            ));
        }
        Ok(Answer {
            status,
            headers,
            body,
            at,
        })
    }

    /// The body, no more than allowed.
    async fn body(&self, mut response: Response, at: &str) -> Result<Vec<u8>, EngineError> {
        let most = self.limits.answer_bytes as usize;
        let too_much = || EngineError::Limit(format!("{at}: answers with more than {most} bytes"));
        if response
            .content_length()
            .is_some_and(|length| length > most as u64)
        {
            return Err(too_much());
        }
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|e| unreachable(format!("{at}: {}", said(&e))))? {
                Some(chunk) if body.len() + chunk.len() > most => return Err(too_much()),
                Some(chunk) => body.extend_from_slice(&chunk),
                None => return Ok(body),
            }
        }
    }

    async fn keep_rate(&mut self) {
        if self.limits.requests_per_second <= 0.0 {
            return;
        }
        let pause = Duration::from_secs_f64(1.0 / self.limits.requests_per_second);
        let now = Instant::now();
        let at = self.next_at.map_or(now, |at| at.max(now));
        self.next_at = Some(at + pause);
        sleep_until(at).await;
    }

    /// The beginning of an answer, fit to be shown.
    pub fn excerpt(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body);
        let words = self
            .clean(&text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let words: String = words.chars().filter(|c| !c.is_control()).collect();
        words.chars().take(SHOWN).collect()
    }

    /// A text without the secrets that somebody may have echoed in it.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self
            .secrets
            .iter()
            .map(Plain::reveal)
            .filter(|s| s.len() >= 4)
        {
            text = text.replace(secret, "***");
        }
        text
    }
}

impl Answer {
    /// The body as JSON. Something else is said to be what it is.
    pub fn json(&self, client: &Client) -> Result<Value, EngineError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|_| {
            let kind = self
                .headers
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok());
            let kind = kind.unwrap_or("something without a type");
            let shown = client.excerpt(&self.body);
            EngineError::Unexpected(format!(
                "{}: answers {kind} instead of JSON: {shown}",
                self.at
            ))
        })
    }
}

/// A failure that trying again may help.
pub fn unreachable(message: String) -> EngineError {
    EngineError::Unreachable {
        message,
        retry_after: None,
    }
}

/// What a failed request says, down to its cause and without its address: the query may hold a key.
fn said(error: &reqwest::Error) -> String {
    let what = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "took too long",
        (_, true) => "cannot be connected to",
        _ => "was cut",
    };
    let mut cause = std::error::Error::source(error);
    let mut last = String::new();
    while let Some(error) = cause {
        last = format!(": {error}");
        cause = error.source();
    }
    format!("{what}{last}")
}

/// Host and port of an address.
fn place(url: &Url) -> Result<(String, u16), EngineError> {
    let known = matches!(url.scheme(), "http" | "https");
    let place = url
        .host_str()
        .zip(url.port_or_known_default())
        .filter(|_| known);
    let place = place.map(|(host, port)| (host.to_owned(), port));
    place.ok_or_else(|| EngineError::NotAllowed(format!("{url} is no address of a web server")))
}

/// Addresses of a host, asked once. A name that leads into this machine or to its metadata service is refused; who means
/// this machine writes `localhost` or the number.
async fn resolve(host: &str, port: u16, proxied: bool) -> Result<Vec<SocketAddr>, EngineError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if proxied || bare.parse::<IpAddr>().is_ok() {
        return Ok(Vec::new());
    }
    let asked = timeout(
        Duration::from_secs(10),
        tokio::net::lookup_host((bare, port)),
    )
    .await;
    let found: Vec<SocketAddr> = match asked {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(unreachable(format!("{host}: {error}"))),
        Err(_) => {
            return Err(unreachable(format!(
                "{host}: its address is not found in time"
            )));
        }
    };
    if host != "localhost" && found.iter().any(|address| is_inward(address.ip())) {
        let what = format!("{host} leads to an address inside this machine; it is not talked to");
        return Err(EngineError::NotAllowed(what));
    }
    Ok(found)
}

fn is_inward(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    }
}

/// `Retry-After`: seconds, or an HTTP date, which only says "later" to a machine whose clock may be off.
fn wait_asked(text: &str) -> Option<Duration> {
    match text.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(LONGEST_WAIT),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|e| EngineError::NotAllowed(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h3_addresses_inside_this_machine_are_known_in_all_their_forms() {
        for inward in [
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_inward(inward.parse().expect("an address")), "{inward}");
        }
        for outward in ["10.1.2.3", "192.168.1.1", "203.0.113.7", "2001:db8::1"] {
            assert!(
                !is_inward(outward.parse().expect("an address")),
                "{outward}"
            );
        }
    }
}
