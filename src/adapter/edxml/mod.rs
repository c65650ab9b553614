//! The engine `edxml`: a gateway of the national document exchange. Directives come in, each acknowledged once it is on disk
//! here; reports go out as documents with a workbook attached (a stream with `[stream.workbook]`).

mod document;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use self::document::Report;
pub use self::document::{Party, read};
use super::engine::{
    Engine, EngineError, Lists, Page, Position, Remembered, Span, Upload, Write, Written,
};
use super::engines::Open;
use super::http::{Http, Method};
use super::mapping::Mapper;
use super::profile::Stream;
use crate::node::Node;
use crate::store::adapters;

/// Documents fetched in one page.
const PAGE: usize = 50;
/// Ids of documents that are remembered as taken.
const REMEMBERED: usize = 20_000;
/// What a workbook is.
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// `[edxml]`: who we are on the exchange, and how reports are addressed. The gateway is reached as `[http]` says.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Our id on the exchange, such as `000.00.01.H19`.
    pub organisation: String,
    /// Our name.
    pub name: String,
    /// Recipients of reports: their ids with their names.
    #[serde(default)]
    pub to: BTreeMap<String, String>,
    /// Number of a report; `{unit}` and `{period}` are filled in, here and below.
    #[serde(default)]
    pub number: String,
    /// Notation after the number, such as `BC-UBND`.
    #[serde(default)]
    pub notation: String,
    /// Kind of the document.
    #[serde(default = "kind")]
    pub kind: String,
    /// Subject of a report; `{name}` is filled in too.
    #[serde(default)]
    pub subject: String,
    /// Paths of the requests, below `http.base_url`.
    #[serde(default)]
    pub paths: Paths,
}

fn kind() -> String {
    "Báo cáo".to_owned()
}

/// Paths of the requests.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// Documents that wait for us.
    pub received: String,
    /// Documents that we sent.
    pub sent: String,
    /// One document.
    pub document: String,
    /// Sending one.
    pub new: String,
    /// Telling that one was received.
    pub status: String,
}

impl Default for Paths {
    fn default() -> Self {
        Paths {
            received: "edocs/getReceivedEdocList".to_owned(),
            sent: "edocs/getSentEdocList".to_owned(),
            document: "edocs/getEdoc".to_owned(),
            new: "edocs/newedoc".to_owned(),
            status: "edocs/status/update".to_owned(),
        }
    }
}

/// The gateway.
pub struct Edxml {
    http: Http,
    settings: Settings,
    node: Node,
    adapter: String,
    /// Documents taken in earlier runs, by stream.
    taken: BTreeSet<String>,
    waiting: Vec<String>,
    read: Vec<Value>,
}

impl Edxml {
    /// Prepares everything; nothing is sent but the question for addresses.
    pub async fn open(open: &Open<'_>, mapper: Mapper) -> Result<Edxml, EngineError> {
        let Some(settings) = open.loaded.profile.edxml.clone() else {
            let text = "engine = \"edxml\" needs a table [edxml]".to_owned();
            return Err(EngineError::NotAllowed(text));
        };
        Ok(Edxml {
            http: Http::open(open, mapper).await?,
            settings,
            node: open.node.clone(),
            adapter: open.name.to_owned(),
            taken: BTreeSet::new(),
            waiting: Vec::new(),
            read: Vec::new(),
        })
    }

    /// Sends a workbook as a document, unless the exchange has it already. Answers the exchange's id for it.
    pub async fn send(&mut self, workbook: &Workbook<'_>) -> Result<String, EngineError> {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, workbook.content.as_bytes()).to_string();
        if workbook.in_doubt {
            let path = self.settings.paths.sent.clone();
            let sent = self.ask(Method::Get, &path, "edoc", &[], None).await?;
            let same =
                |item: &&Value| text_of(item, &["documentId", "document_id"]) == Some(id.as_str());
            if let Some(item) = listed(&sent).iter().find(same) {
                return Ok(text_of(item, &["docId", "id"]).unwrap_or(&id).to_owned());
            }
        }
        let filled = |text: &str| (workbook.filled)(text);
        let to = self.settings.to.iter().map(|(id, name)| Party {
            id: id.clone(),
            name: name.clone(),
        });
        let to: Vec<Party> = to.collect();
        let xml = document::write(&Report {
            id: id.clone(),
            from: &self.us(),
            to: &to,
            code: (
                &filled(&self.settings.number),
                &filled(&self.settings.notation),
            ),
            kind: &self.settings.kind,
            subject: &filled(&self.settings.subject),
            at: self.node.clock.now_ms(),
            zone: &self.node.settings.zone,
            file: workbook.file,
            file_type: XLSX,
            bytes: workbook.bytes,
        });
        let ids: Vec<&str> = to.iter().map(|to| to.id.as_str()).collect();
        let headers = [
            ("from", self.settings.organisation.clone()),
            ("to", ids.join(",")),
        ];
        let path = self.settings.paths.new.clone();
        let answer = self
            .ask(Method::Post, &path, "edoc", &headers, Some(xml))
            .await?;
        let named =
            text_of(&answer, &["docId"]).or_else(|| text_of(&answer["data"], &["docId", "id"]));
        Ok(named.unwrap_or(&id).to_owned())
    }

    fn us(&self) -> Party {
        Party {
            id: self.settings.organisation.clone(),
            name: self.settings.name.clone(),
        }
    }

    /// One request with our id, and what its answer says. A status other than OK is an error.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        kind: &str,
        headers: &[(&str, String)],
        body: Option<String>,
    ) -> Result<Value, EngineError> {
        let own = [
            ("organizationId", self.settings.organisation.clone()),
            ("servicetype", "eDoc".to_owned()),
            ("messagetype", kind.to_owned()),
            ("content-type", "application/xml".to_owned()),
        ];
        let headers = own.iter().chain(headers);
        let headers: BTreeMap<String, String> = headers
            .map(|(name, text)| ((*name).to_owned(), text.clone()))
            .collect();
        let writes = body.is_some();
        let query = BTreeMap::new();
        let bytes = self
            .http
            .exchange(method, path, &query, &headers, body)
            .await?;
        if bytes.trim_ascii_start().starts_with(b"<?xml")
            || bytes.trim_ascii_start().starts_with(b"<ed")
        {
            let text = String::from_utf8(bytes);
            let text = text.map_err(|e| EngineError::Unexpected(format!("{path}: {e}")))?;
            return Ok(json!({ "data": text }));
        }
        let answer: Value = serde_json::from_slice(&bytes).map_err(|e| {
            EngineError::Unexpected(format!("{path}: is neither JSON nor edXML: {e}"))
        })?;
        let status = answer["status"].as_str().unwrap_or("OK");
        if status.eq_ignore_ascii_case("ok") || status.eq_ignore_ascii_case("success") {
            return Ok(answer);
        }
        let why = text_of(&answer, &["errorDesc", "error_desc", "message"]).unwrap_or_default();
        let text = format!("{path}: answers {status}: {why}");
        Err(match writes {
            true => EngineError::Refused(text),
            false => EngineError::Unexpected(text),
        })
    }

    /// One document, with the gateway's id for it.
    async fn document(&mut self, id: &str) -> Result<Result<Value, String>, EngineError> {
        let path = self.settings.paths.document.clone();
        let headers = [("docId", id.to_owned())];
        let answer = self.ask(Method::Get, &path, "edoc", &headers, None).await?;
        let given = match &answer["data"] {
            Value::String(text) => text.clone(),
            other => text_of(other, &["data", "content"])
                .unwrap_or_default()
                .to_owned(),
        };
        let xml = match given.trim_start().starts_with('<') {
            true => Ok(given),
            false => STANDARD
                .decode(given.trim())
                .map_err(|e| e.to_string())
                .and_then(|bytes| String::from_utf8(bytes).map_err(|e| e.to_string())),
        };
        Ok(xml
            .and_then(|xml| document::read(&xml))
            .map(|mut document| {
                document["id"] = json!(id);
                document
            }))
    }

    /// Ids of the documents that earlier runs took.
    async fn remember(&mut self, stream: &Stream) -> Result<(), EngineError> {
        let (adapter, name) = (self.adapter.clone(), taken(stream));
        let store = &self.node.store;
        let kept = store.read(move |connection| adapters::state(connection, &adapter, &name));
        let kept: Option<BTreeSet<String>> = kept.await.map_err(unstored)?;
        self.taken = kept.unwrap_or_default();
        Ok(())
    }
}

/// A workbook to be sent.
pub struct Workbook<'w> {
    /// Name of the file.
    pub file: &'w str,
    /// The file.
    pub bytes: &'w [u8],
    /// What tells its content apart.
    pub content: &'w str,
    /// Whether it may have been sent already.
    pub in_doubt: bool,
    /// Fills the placeholders of a text.
    pub filled: &'w (dyn Fn(&str) -> String + Sync),
}

fn taken(stream: &Stream) -> String {
    format!("taken.{}", stream.name)
}

fn unstored(error: crate::store::StoreError) -> EngineError {
    EngineError::Unreachable {
        message: error.to_string(),
        retry_after: None,
    }
}

/// The items of a list, wherever the gateway puts them.
fn listed(answer: &Value) -> &[Value] {
    let data = &answer["data"];
    let items = data.as_array().or_else(|| data["items"].as_array());
    items.map(Vec::as_slice).unwrap_or_default()
}

/// The first of these members that is a text.
fn text_of<'v>(value: &'v Value, names: &[&str]) -> Option<&'v str> {
    names.iter().find_map(|name| value[*name].as_str())
}

impl Engine for Edxml {
    fn lists(&self, _: &Stream) -> Lists {
        Lists::News
    }

    async fn list(
        &mut self,
        stream: &Stream,
        _: &Span,
        from: &Position,
    ) -> Result<Page, EngineError> {
        if from.0.is_none() {
            self.remember(stream).await?;
            let path = self.settings.paths.received.clone();
            let answer = self.ask(Method::Get, &path, "edoc", &[], None).await?;
            let ids = listed(&answer)
                .iter()
                .filter_map(|item| text_of(item, &["docId", "id"]));
            let new = ids
                .filter(|id| !self.taken.contains(*id))
                .map(str::to_owned);
            self.waiting = new.collect();
            self.waiting.reverse();
        }
        let mut page = Page {
            clock_ms: Some(self.node.clock.now_ms()),
            ..Page::default()
        };
        while page.records.len() + page.refused.len() < PAGE {
            let Some(id) = self.waiting.pop() else {
                return Ok(page);
            };
            match self.document(&id).await? {
                Ok(document) => {
                    self.read.push(document.clone());
                    page.records.push(document);
                }
                Err(why) => page.refused.push((id, why)),
            }
        }
        page.next = Some(Position(Some(json!(self.waiting.len()))));
        Ok(page)
    }

    async fn fetch(&mut self, _: &Stream, id: &str) -> Result<Option<Value>, EngineError> {
        self.document(id).await.map(Result::ok)
    }

    async fn lookup(&mut self, _: &Stream, _: &str) -> Result<Option<Vec<Value>>, EngineError> {
        Ok(Some(Vec::new()))
    }

    async fn write_one(&mut self, stream: &Stream, _: &Write) -> Result<Written, EngineError> {
        let text = format!(
            "stream {}: documents of others are not changed",
            stream.name
        );
        Err(EngineError::Refused(text))
    }

    async fn upload(
        &mut self,
        stream: &Stream,
        _: &str,
        _: &Upload,
    ) -> Result<Option<String>, EngineError> {
        let text = format!("stream {}: files travel inside documents", stream.name);
        Err(EngineError::Refused(text))
    }

    /// Everything that was read is on disk: it is remembered first and acknowledged then, so that a crash in between costs
    /// an acknowledgement and never a directive.
    async fn done(&mut self, stream: &Stream, _: &[Remembered]) -> Result<(), EngineError> {
        let read = std::mem::take(&mut self.read);
        if read.is_empty() {
            return Ok(());
        }
        let ids = read.iter().filter_map(|document| document["id"].as_str());
        self.taken.extend(ids.map(str::to_owned));
        while self.taken.len() > REMEMBERED {
            self.taken.pop_first();
        }
        let (adapter, name, all) = (self.adapter.clone(), taken(stream), self.taken.clone());
        let store = &self.node.store;
        let kept = store
            .write(move |tx| adapters::set_state(tx.connection(), &adapter, &name, Some(&all)));
        kept.await.map_err(unstored)?;
        for document in &read {
            let (at, zone) = (self.node.clock.now_ms(), &self.node.settings.zone);
            let xml = document::received(document, &self.us(), at, zone);
            let id = document["id"].as_str().unwrap_or_default().to_owned();
            let path = self.settings.paths.status.clone();
            let told = self
                .ask(Method::Post, &path, "status", &[("docId", id)], Some(xml))
                .await;
            if let Err(error) = told {
                // The directive is here; the sender only does not see it yet.
                tracing::warn!(%error, "a document could not be acknowledged");
            }
        }
        Ok(())
    }
}
