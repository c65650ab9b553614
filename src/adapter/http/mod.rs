//! The engine `http`: any system that holds JSON records behind a web interface.

mod auth;
pub(super) mod client;
mod listing;
pub(super) mod settings;
mod upload;

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, DATE};
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use self::auth::Login;
use self::client::{Again, Answer, Client};
pub use self::settings::Method;
use self::settings::{Call, Envelope};
pub use self::settings::{Settings, StreamSettings};
use super::convert::unit_outward;
use super::engine::{Engine, EngineError, Lists, Page, Position, Span, Upload, Write, Written};
use super::engines::Open;
use super::mapping::{Mapper, Programs};
use super::profile::{Profile, Stream};
use crate::node::commands::resolve;

/// What fills the placeholders of a request.
type Vars = BTreeMap<&'static str, String>;

/// The engine.
pub struct Http {
    settings: Settings,
    client: Client,
    login: Login,
    mapper: Mapper,
    listing: listing::Seen,
    /// The unit that is acted for, by their code, and the period: they fill placeholders of every request.
    place: Vars,
}

/// What a request is sent for.
struct Purpose<'p> {
    stream: &'p Stream,
    /// Name of the call: `list`, `get`, …
    name: &'static str,
    method: Method,
    again: Again,
}

/// An answer that was judged good, as JSON.
struct Good {
    json: Value,
    answer: Answer,
}

/// The expressions that the engine needs besides the mappings.
pub fn programs(profile: &Profile) -> Programs {
    let mut programs = Programs::new();
    let mut add = |name: String, jq: &Option<String>| {
        if let Some(jq) = jq {
            programs.insert(name, [("jq".to_owned(), jq.clone())].into());
        }
    };
    if let Some(settings) = &profile.http {
        let Envelope { ok, error, expired } = &settings.envelope;
        for (name, jq) in [
            ("http.ok", ok),
            ("http.error", error),
            ("http.expired", expired),
        ] {
            add(name.to_owned(), jq);
        }
    }
    for stream in &profile.streams {
        let Some(http) = &stream.http else { continue };
        let mut call = |name: &str, call: Option<&Call>| {
            let Some(call) = call else { return };
            add(format!("{}.http.{name}.body", stream.name), &call.body);
            add(
                format!("{}.http.{name}.records", stream.name),
                &call.records,
            );
            add(format!("{}.http.{name}.id", stream.name), &call.id);
        };
        call("list", Some(&http.list));
        call("get", http.get.as_ref());
        call("lookup", http.lookup.as_ref());
        call("create", http.create.as_ref());
        call("update", http.update.as_ref());
        call(
            "attach",
            http.upload
                .as_ref()
                .and_then(|upload| upload.attach.as_ref()),
        );
        add(format!("{}.http.next", stream.name), &http.paging.next);
        add(format!("{}.http.total", stream.name), &http.paging.total);
        if let Some(upload) = &http.upload {
            add(format!("{}.http.upload.body", stream.name), &upload.body);
            add(format!("{}.http.upload.token", stream.name), &upload.token);
        }
    }
    if let Some(settings) = &profile.http {
        programs.extend(auth::programs(&settings.auth));
    }
    programs
}

impl Http {
    /// Prepares everything; nothing is sent but the question for addresses.
    pub async fn open(open: &Open<'_>, mapper: Mapper) -> Result<Http, EngineError> {
        let Open { node, loaded, .. } = open;
        let profile = &loaded.profile;
        let Some(settings) = profile.http.clone() else {
            let text = "engine = \"http\" needs a table [http] with base_url".to_owned();
            return Err(EngineError::NotAllowed(text));
        };
        let mut client = Client::open(&settings, &loaded.file).await?;
        let login = Login::new(&settings.auth, &loaded.file, &mut client)?;
        let shown = node.store.shown();
        let unit = shown.unit.and_then(|home| match &profile.unit {
            Some(text) => resolve(&shown.tree, text, home).ok(),
            None => Some(home),
        });
        let unit = unit.map(|unit| unit_outward(profile, &shown.tree.code(unit)));
        let period = node.current_period().to_string();
        Ok(Http {
            place: Vars::from([("unit", unit.unwrap_or_default()), ("period", period)]),
            settings,
            client,
            login,
            mapper,
            listing: listing::Seen::default(),
        })
    }

    /// One request with its body as it is, logged in; the answer's bytes. For engines that hold whole documents.
    pub async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        query: &BTreeMap<String, String>,
        headers: &BTreeMap<String, String>,
        body: Option<String>,
    ) -> Result<Vec<u8>, EngineError> {
        let again = match method {
            Method::Get => Again::Free,
            _ => Again::NotCarriedOut,
        };
        let mut renewed = false;
        loop {
            self.login.ensure(&mut self.client, &self.mapper).await?;
            let mut request = self
                .client
                .request(method, self.client.url(path)?)
                .query(query);
            for (name, text) in self.settings.headers.iter().chain(headers) {
                request = request.header(name, text);
            }
            if let Some(body) = &body {
                if !headers.contains_key(CONTENT_TYPE.as_str()) {
                    request = request.header(CONTENT_TYPE, "application/json");
                }
                request = request.body(body.clone());
            }
            let answer = self.client.send(self.login.sign(request), again).await?;
            let status = answer.status;
            if status.is_success() {
                return Ok(answer.body);
            }
            let text = format!(
                "{}: answers {status}: {}",
                answer.at,
                self.client.excerpt(&answer.body)
            );
            let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if denied && self.login.can_renew() && !renewed {
                self.login.forget();
                renewed = true;
                continue;
            }
            return Err(match (denied, again) {
                (true, _) => EngineError::Authentication(text),
                (false, Again::Free) => EngineError::Unexpected(text),
                (false, Again::NotCarriedOut) => EngineError::Refused(text),
            });
        }
    }

    fn of(stream: &Stream) -> Result<&StreamSettings, EngineError> {
        stream.http.as_ref().ok_or_else(|| {
            EngineError::NotAllowed(format!(
                "stream {} needs a table [stream.http]",
                stream.name
            ))
        })
    }

    /// Sends one call, logged in; once more with a fresh login where the old one ran out.
    async fn call(
        &mut self,
        purpose: &Purpose<'_>,
        call: &Call,
        vars: &Vars,
        extra: Extra<'_>,
    ) -> Result<Good, EngineError> {
        let mut filling = self.place.clone();
        filling.extend(vars.clone());
        let vars = &filling;
        let body = self.body(purpose, call, vars, extra.body).await?;
        let mut renewed = false;
        loop {
            self.login.ensure(&mut self.client, &self.mapper).await?;
            let url = match &extra.url {
                Some(url) => url.clone(),
                None => self.client.url(&filled(&call.path, vars, true))?,
            };
            let mut request = self
                .client
                .request(call.method.unwrap_or(purpose.method), url);
            if extra.url.is_none() {
                let query = call
                    .query
                    .iter()
                    .map(|(name, text)| (name.as_str(), filled(text, vars, false)));
                let query: Vec<_> = query
                    .chain(extra.query.iter().map(|(n, t)| (n.as_str(), t.clone())))
                    .collect();
                request = request.query(&query);
            }
            for (name, text) in self.settings.headers.iter().chain(&call.headers) {
                request = request.header(name, filled(text, vars, false));
            }
            for (name, text) in &extra.headers {
                request = request.header(*name, text);
            }
            request = match &body {
                Some(body) if call.form => request.form(&flat(body)),
                Some(body) => request.json(body),
                None => request,
            };
            let answer = self
                .client
                .send(self.login.sign(request), purpose.again)
                .await?;
            match self.judge(purpose, answer).await {
                Err(EngineError::Authentication(_)) if self.login.can_renew() && !renewed => {
                    self.login.forget();
                    renewed = true;
                }
                other => return other,
            }
        }
    }

    async fn body(
        &self,
        purpose: &Purpose<'_>,
        call: &Call,
        vars: &Vars,
        body: Option<&Value>,
    ) -> Result<Option<Value>, EngineError> {
        if call.body.is_none() {
            return Ok(body.cloned());
        }
        let mut input = json!(vars);
        if let Some(body) = body {
            input["body"] = body.clone();
        }
        let set = format!("{}.http.{}.body", purpose.stream.name, purpose.name);
        self.select(&set, input).await.map(Some)
    }

    /// Whether an answer is good: by its status, and by what an envelope says inside.
    async fn judge(&self, purpose: &Purpose<'_>, answer: Answer) -> Result<Good, EngineError> {
        let shown = || self.client.excerpt(&answer.body);
        let (at, status) = (&answer.at, answer.status);
        match status {
            StatusCode::UNAUTHORIZED => {
                return Err(EngineError::Authentication(format!(
                    "{at}: answers {status}: {}",
                    shown()
                )));
            }
            StatusCode::FORBIDDEN if purpose.again == Again::Free => {
                return Err(EngineError::Authentication(format!(
                    "{at}: answers {status}: {}",
                    shown()
                )));
            }
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
                return Err(EngineError::Moved(format!(
                    "{at}: answers {status}: {}",
                    shown()
                )));
            }
            StatusCode::NOT_FOUND | StatusCode::GONE if purpose.name == "get" => {
                return Ok(Good {
                    json: Value::Null,
                    answer,
                });
            }
            status if !status.is_success() => {
                let text = format!("{at}: answers {status}: {}", shown());
                return Err(match purpose.again {
                    Again::Free => EngineError::Unexpected(text),
                    Again::NotCarriedOut => EngineError::Refused(text),
                });
            }
            _ => {}
        }
        let json = answer.json(&self.client)?;
        self.judge_envelope(purpose, &answer, &json).await?;
        Ok(Good { json, answer })
    }

    async fn judge_envelope(
        &self,
        purpose: &Purpose<'_>,
        answer: &Answer,
        json: &Value,
    ) -> Result<(), EngineError> {
        let envelope = &self.settings.envelope;
        if envelope.ok.is_none() || truth(&self.select("http.ok", json.clone()).await?) {
            return Ok(());
        }
        let told = match &envelope.error {
            Some(_) => self.select("http.error", json.clone()).await.ok(),
            None => None,
        };
        let told = told.map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        });
        let told = told.unwrap_or_else(|| json.to_string());
        let text = format!("{}: {}", answer.at, self.client.excerpt(told.as_bytes()));
        if envelope.expired.is_some() && truth(&self.select("http.expired", json.clone()).await?) {
            return Err(EngineError::Authentication(text));
        }
        Err(match purpose.again {
            Again::Free => EngineError::Unexpected(text),
            Again::NotCarriedOut => EngineError::Refused(text),
        })
    }

    /// One value by an expression of the profile.
    async fn select(&self, set: &str, input: Value) -> Result<Value, EngineError> {
        let value = self.mapper.one(set, input).await;
        value.map_err(|error| EngineError::Unexpected(self.client.clean(&error.to_string())))
    }

    /// The records of an answer: by the call's expression, else the answer itself.
    async fn records(
        &self,
        purpose: &Purpose<'_>,
        call: &Call,
        json: Value,
    ) -> Result<Vec<Value>, EngineError> {
        let selected = match &call.records {
            Some(_) => {
                let set = format!("{}.http.{}.records", purpose.stream.name, purpose.name);
                self.select(&set, json).await?
            }
            None => json,
        };
        match selected {
            Value::Array(records) => Ok(records),
            Value::Null => Ok(Vec::new()),
            record @ Value::Object(_) if purpose.name != "list" => Ok(vec![record]),
            other => {
                let shown = self.client.excerpt(other.to_string().as_bytes());
                Err(EngineError::Unexpected(format!(
                    "stream {}: {} gives no list of records but {shown}; see `records` of [stream.http.{}]",
                    purpose.stream.name, purpose.name, purpose.name
                )))
            }
        }
    }

    /// What an answer to a write tells: the record, its id, or nothing.
    async fn written(
        &self,
        purpose: &Purpose<'_>,
        call: &Call,
        write: &Write,
        json: Value,
    ) -> Result<Written, EngineError> {
        let id = match &call.id {
            Some(_) => {
                let set = format!("{}.http.{}.id", purpose.stream.name, purpose.name);
                let id = self.select(&set, json.clone()).await?;
                id.as_str()
                    .map(str::to_owned)
                    .or_else(|| id.as_i64().map(|n| n.to_string()))
            }
            None => None,
        };
        let record = match call.records {
            Some(_) => self.records(purpose, call, json).await?.pop(),
            // Without an expression the answer is not relied on: the record is fetched again.
            None => None,
        };
        Ok(Written {
            id: id.or_else(|| write.id.clone()),
            record,
        })
    }
}

/// What a single request has besides its call.
#[derive(Default)]
struct Extra<'e> {
    body: Option<&'e Value>,
    query: Vec<(String, String)>,
    headers: Vec<(&'e str, String)>,
    /// A whole address, in place of the call's path and query.
    url: Option<Url>,
}

impl Engine for Http {
    fn lists(&self, stream: &Stream) -> Lists {
        let http = stream.http.as_ref();
        match http.is_some_and(|http| http.changed_since.is_some()) {
            true => Lists::Changes,
            false => Lists::Everything,
        }
    }

    async fn list(
        &mut self,
        stream: &Stream,
        span: &Span,
        from: &Position,
    ) -> Result<Page, EngineError> {
        let http = Self::of(stream)?;
        let asked = listing::asked(http, span, from)?;
        if from.0.is_none() {
            self.listing = listing::Seen::default();
        }
        let purpose = Purpose {
            stream,
            name: "list",
            method: Method::Get,
            again: Again::Free,
        };
        let extra = Extra {
            query: asked.query.clone(),
            url: match &asked.link {
                Some(link) => Some(self.client.link(link)?),
                None => None,
            },
            ..Extra::default()
        };
        let good = self.call(&purpose, &http.list, &asked.vars, extra).await?;
        let clock_ms = good
            .answer
            .headers
            .get(DATE)
            .and_then(|date| listing::clock(date.to_str().ok()?));
        let next = match http.paging.next {
            Some(_) => {
                let set = format!("{}.http.next", stream.name);
                Some(self.select(&set, good.json.clone()).await?)
            }
            None => None,
        };
        let total = match (&http.paging.total, &http.paging.total_header) {
            (Some(_), _) => {
                let set = format!("{}.http.total", stream.name);
                self.select(&set, good.json.clone()).await?.as_u64()
            }
            (None, Some(header)) => {
                let value = good
                    .answer
                    .headers
                    .get(header)
                    .and_then(|value| value.to_str().ok());
                value.and_then(|value| value.trim().parse().ok())
            }
            (None, None) => None,
        };
        let linked = listing::linked(&good.answer.headers);
        let records = self.records(&purpose, &http.list, good.json).await?;
        let limits = &self.settings.limits;
        let next = self
            .listing
            .next(http, limits, &asked, &records, next, linked, total)?;
        Ok(Page {
            records,
            next,
            total,
            clock_ms,
            ..Page::default()
        })
    }

    async fn fetch(&mut self, stream: &Stream, id: &str) -> Result<Option<Value>, EngineError> {
        let http = Self::of(stream)?;
        let Some(call) = &http.get else {
            return Ok(None);
        };
        let purpose = Purpose {
            stream,
            name: "get",
            method: Method::Get,
            again: Again::Free,
        };
        let vars = Vars::from([("id", id.to_owned())]);
        let good = self.call(&purpose, call, &vars, Extra::default()).await?;
        if !good.answer.status.is_success() {
            return Ok(None);
        }
        Ok(self.records(&purpose, call, good.json).await?.pop())
    }

    async fn lookup(
        &mut self,
        stream: &Stream,
        key: &str,
    ) -> Result<Option<Vec<Value>>, EngineError> {
        let http = Self::of(stream)?;
        let Some(call) = &http.lookup else {
            return Ok(None);
        };
        let purpose = Purpose {
            stream,
            name: "lookup",
            method: Method::Get,
            again: Again::Free,
        };
        let vars = Vars::from([("key", key.to_owned())]);
        let good = self.call(&purpose, call, &vars, Extra::default()).await?;
        self.records(&purpose, call, good.json).await.map(Some)
    }

    async fn write_one(&mut self, stream: &Stream, write: &Write) -> Result<Written, EngineError> {
        let http = Self::of(stream)?;
        let (call, name, method) = match &write.id {
            None => (&http.create, "create", Method::Post),
            Some(_) => (&http.update, "update", Method::Put),
        };
        let call = call.as_ref().ok_or_else(|| {
            EngineError::NotAllowed(format!(
                "stream {} needs a table [stream.http.{name}]",
                stream.name
            ))
        })?;
        let purpose = Purpose {
            stream,
            name,
            method,
            again: Again::NotCarriedOut,
        };
        let mut vars = Vars::from([("key", write.key.clone())]);
        vars.extend(write.id.clone().map(|id| ("id", id)));
        let mut extra = Extra::default();
        if let Some(header) = &http.idempotency_header {
            extra.headers.push((header, write.idempotency_key.clone()));
        }
        if let Some((header, version)) = http.version_header.as_ref().zip(write.version.as_ref()) {
            extra.headers.push((header, version.clone()));
        }
        extra.body = Some(&write.body);
        let good = self.call(&purpose, call, &vars, extra).await?;
        self.written(&purpose, call, write, good.json).await
    }

    async fn upload(
        &mut self,
        stream: &Stream,
        id: &str,
        file: &Upload,
    ) -> Result<Option<String>, EngineError> {
        self.upload_file(stream, id, file).await
    }
}

/// A template with its placeholders filled in. In a path every value is one segment, whatever characters it has; a value
/// that looks like a placeholder stays what it is.
fn filled(template: &str, vars: &Vars, path: bool) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let named = after
            .split_once('}')
            .and_then(|(name, rest)| Some((vars.get(name)?, rest)));
        match named {
            Some((value, after)) => {
                text.push_str(&if path { segment(value) } else { value.clone() });
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

fn segment(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
    let escape = |byte: u8| match plain(byte) {
        true => (byte as char).to_string(),
        false => format!("%{byte:02X}"),
    };
    value.bytes().map(escape).collect()
}

/// A JSON object as the pairs of a form.
fn flat(body: &Value) -> Vec<(String, String)> {
    let pair = |(name, value): (&String, &Value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), text)
    };
    let pairs = body.as_object().into_iter().flatten();
    pairs
        .filter(|(_, value)| !value.is_null())
        .map(pair)
        .collect()
}

fn truth(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fills_its_place_once_and_never_another() {
        let vars = Vars::from([("id", "a/b".to_owned()), ("key", "{id}".to_owned())]);
        assert_eq!(
            filled("/x/{id}/{key}/{other}", &vars, true),
            "/x/a%2Fb/%7Bid%7D/{other}"
        );
        assert_eq!(filled("{key}", &vars, false), "{id}");
    }
}
