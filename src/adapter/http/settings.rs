//! The `[http]` tables of a profile.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adapter::secret::Secret;

/// `[http]`: the system as a whole.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Beginning of every address, such as `https://tracker.example/api/v1`.
    pub base_url: String,
    /// Whether an `http://` address elsewhere than on this machine is meant: logins and data then go readable over the net.
    #[serde(default)]
    pub insecure: bool,
    /// Further hosts that may be talked to, as `host` or `host:port`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The header `User-Agent`; default: this program and its version. Empty: none.
    pub user_agent: Option<String>,
    /// How to log in.
    #[serde(default)]
    pub auth: Auth,
    /// How errors are told inside answers.
    #[serde(default)]
    pub envelope: Envelope,
    /// Certificates (PEM) that alone are trusted; otherwise those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Client certificate with its key (PEM).
    pub client_certificate: Option<PathBuf>,
    /// Address of a proxy.
    pub proxy: Option<String>,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
}

impl Settings {
    /// What is wrong with the address: its key, and why. It is not repeated: a login may stand in it.
    pub fn check(&self) -> Option<(&'static str, &'static str)> {
        let url = Url::parse(&self.base_url);
        if self.insecure && url.as_ref().is_ok_and(|url| url.scheme() == "https") {
            let message = "stands beside an https:// address, which is never readable on the way; take it away";
            return Some(("insecure", message));
        }
        let message = match url {
            Err(_) => "is no address; write https://host/path",
            Ok(url) if !matches!(url.scheme(), "https" | "http") => {
                "does not begin with https:// or http://; write https://host/path"
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "holds a login, where everybody reads it; take it away and write it under auth"
            }
            Ok(url) if !self.insecure && self.is_readable_on_the_way(&url) => {
                "sends logins and data over the net where everybody on the way reads and changes them; write https://, \
                 or insecure = true below it where the system has nothing else"
            }
            Ok(_) => return None,
        };
        Some(("base_url", message))
    }

    /// Whether the profile means what others can read on the way. `doctor` tells it as long as it is so.
    pub fn is_open(&self) -> bool {
        let url = Url::parse(&self.base_url);
        url.is_ok_and(|url| self.is_readable_on_the_way(&url))
    }

    /// A proxy is elsewhere, wherever the system is, and further hosts are asked by the scheme of the first one.
    fn is_readable_on_the_way(&self, url: &Url) -> bool {
        let near = |host: &String| Url::parse(&format!("http://{host}")).is_ok_and(|u| is_near(&u));
        let all_near = is_near(url) && self.proxy.is_none() && self.hosts.iter().all(near);
        url.scheme() == "http" && !all_near
    }
}

/// Whether an address is on this machine, by what it says: a name is believed only if it is `localhost`.
pub fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let number: Option<IpAddr> = bare.parse().ok();
    host == "localhost" || number.is_some_and(|address| address.to_canonical().is_loopback())
}

/// `[http.limits]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Until the connection stands, in seconds.
    pub connect_timeout_s: u64,
    /// Longest silence in an answer, in seconds.
    pub idle_timeout_s: u64,
    /// A whole request, in seconds.
    pub request_timeout_s: u64,
    /// Largest answer, in bytes.
    pub answer_bytes: u64,
    /// Most records in one page.
    pub page_rows: usize,
    /// Most pages of one listing.
    pub pages: usize,
    /// Requests per second; 0: no limit.
    pub requests_per_second: f64,
    /// Tries of one request that the system could not answer just now.
    pub tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect_timeout_s: 10,
            idle_timeout_s: 30,
            request_timeout_s: 120,
            answer_bytes: 32 << 20,
            page_rows: 10_000,
            pages: 10_000,
            requests_per_second: 0.0,
            tries: 4,
        }
    }
}

/// `[http.auth]`: who we are.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Nobody.
    #[default]
    None,
    /// A token in the header `Authorization`.
    Bearer {
        /// The token.
        token: Secret,
        /// What stands before it.
        #[serde(default = "bearer")]
        prefix: String,
    },
    /// Name and password with every request.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// The key.
        key: Secret,
        /// Name of the header.
        header: Option<String>,
        /// Name of the query parameter.
        query: Option<String>,
    },
    /// A login that answers a token or sets a cookie.
    Login {
        /// Path or address.
        path: String,
        /// Name of the user.
        user: String,
        /// The password.
        password: Secret,
        /// Body, jq on `{user, password}`; default: just these.
        body: Option<String>,
        /// Whether the body is a form and not JSON.
        #[serde(default)]
        form: bool,
        /// jq on the answer: the token. Absent: the answer sets a cookie.
        token: Option<String>,
        /// Header that carries the token.
        #[serde(default = "authorization")]
        header: String,
        /// What stands before the token.
        #[serde(default = "bearer")]
        prefix: String,
    },
    /// OAuth 2 client credentials (RFC 6749, 4.4).
    Oauth2 {
        /// Address of the token endpoint.
        token_url: String,
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: Secret,
        /// Scope.
        scope: Option<String>,
    },
    /// The token scheme of provincial integration platforms.
    Lgsp {
        /// Path or address of the token endpoint.
        token_url: String,
        /// AccessKey.
        access_key: Secret,
        /// SecretKey.
        secret_key: Secret,
        /// AppName.
        app_name: String,
        /// PartnerCode.
        partner_code: String,
        /// PartnerCodeCus.
        partner_code_cus: String,
    },
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

fn authorization() -> String {
    "Authorization".to_owned()
}

/// `[http.envelope]`: systems that answer 200 with an error inside.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Envelope {
    /// jq on every answer: whether it is a good one.
    pub ok: Option<String>,
    /// jq on an answer that is not: what it says.
    pub error: Option<String>,
    /// jq on an answer that is not: whether the login has run out.
    pub expired: Option<String>,
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // The names say it.
pub enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
}

/// One kind of request. `{id}`, `{key}`, `{page}`, `{offset}`, `{limit}`, `{cursor}`, `{since}`, `{unit}` and `{period}` in
/// path, query and headers are filled in.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// Method; the default follows from what it is for.
    pub method: Option<Method>,
    /// Path below `base_url`, or an address at an allowed host.
    pub path: String,
    /// Query.
    pub query: BTreeMap<String, String>,
    /// Headers of this request alone.
    pub headers: BTreeMap<String, String>,
    /// Body, jq on `{id, key, page, offset, limit, cursor, since, unit, period}` and, for writes, `body`.
    pub body: Option<String>,
    /// Whether the body is a form and not JSON.
    pub form: bool,
    /// jq on the answer: the records of a list, the record of anything else. Default `.`; for writes: what the answer says.
    pub records: Option<String>,
    /// jq on the answer of a creation: the new record's id, where the record itself is not in the answer.
    pub id: Option<String>,
}

/// `[stream.http]`: one stream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamSettings {
    /// Lists the records.
    pub list: Call,
    /// How a listing is divided.
    #[serde(default)]
    pub paging: Paging,
    /// How changes alone are listed.
    pub changed_since: Option<ChangedSince>,
    /// Fetches one record.
    pub get: Option<Call>,
    /// Finds records by our key.
    pub lookup: Option<Call>,
    /// Creates a record.
    pub create: Option<Call>,
    /// Changes a record.
    pub update: Option<Call>,
    /// Hands a file over.
    pub upload: Option<Upload>,
    /// Header for the idempotency key.
    pub idempotency_header: Option<String>,
    /// Header for the version that a change is based on, such as `If-Match`.
    pub version_header: Option<String>,
}

/// `[stream.http.paging]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paging {
    /// How.
    pub kind: PagingKind,
    /// Records asked for at once.
    pub limit: Option<usize>,
    /// Number of the first page.
    pub first: Option<u64>,
    /// Query parameter of the page, offset or cursor. Absent: placeholders alone are used.
    pub parameter: Option<String>,
    /// Query parameter of the limit.
    pub limit_parameter: Option<String>,
    /// jq on the answer: the next cursor or link; null: none.
    pub next: Option<String>,
    /// jq on the answer: how many records the listing has. It is compared with those that came.
    pub total: Option<String>,
    /// Header that tells how many records the listing has.
    pub total_header: Option<String>,
}

/// How a listing is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PagingKind {
    /// Not at all.
    #[default]
    None,
    /// By numbered pages.
    Page,
    /// By the number of records before.
    Offset,
    /// By a cursor in the answer.
    Cursor,
    /// By a link in the answer or in its header `Link`.
    Link,
}

/// `[stream.http.changed_since]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedSince {
    /// Query parameter. `{since}` can be used instead, in path, query or body.
    pub parameter: Option<String>,
    /// How the instant is written: `iso`, `epoch`, `epoch_ms` or a pattern with `%`, in UTC.
    #[serde(default = "iso")]
    pub format: String,
    /// Seconds before the last listing from which on changes are asked for again.
    #[serde(default = "overlap")]
    pub overlap_s: u64,
}

fn iso() -> String {
    "iso".to_owned()
}

fn overlap() -> u64 {
    300
}

/// `[stream.http.upload]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// How the bytes travel.
    pub kind: UploadKind,
    /// Method; default POST.
    pub method: Option<Method>,
    /// Path. `{name}`, `{sha256}` and `{size}` are filled in too.
    pub path: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body, jq on `{id, key, name, size, sha256, base64}`, for `base64`.
    pub body: Option<String>,
    /// Name of the part, where it is multipart.
    #[serde(default = "file_part")]
    pub part: String,
    /// Further parts.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// jq on the answer: what the system calls the file.
    pub token: Option<String>,
    /// A second request that attaches the file; its body and placeholders know `token`.
    pub attach: Option<Call>,
}

/// How the bytes of a file travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadKind {
    /// As a part of a form.
    Multipart,
    /// As the body.
    Raw,
    /// Inside JSON.
    Base64,
}

fn file_part() -> String {
    "file".to_owned()
}
