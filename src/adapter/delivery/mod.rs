//! Streams with `[stream.workbook]`: whole workbooks of ours go out, by folder or by mail, and come back edited.
//!
//! A workbook goes out when what it says has changed since the last one. One that comes back is taken cell by cell, each
//! compared with what the cell said when it went out. By mail there is no way back.

mod mail;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::mail::{Letter, Protection, Settings as MailSettings};
use super::cycle::{Report, RunError, scope_of};
use super::edxml::{Edxml, Workbook};
use super::engine::EngineError;
use super::engines::Open;
use super::folder::{Fate, Incoming, write_whole};
use super::mapping::Mapper;
use super::profile::{Stream, StreamKind};
use super::tabular;
use super::workbook::grid::Grid;
use super::workbook::{self, Asked, Taking};
use crate::api::{Command, Exit, Failure, ImportKind, Request, adapter_author};
use crate::sheet::{Limits, replica};
use crate::store::adapters;
use crate::text::text;

/// Deliveries that are remembered of a stream.
const REMEMBERED: usize = 50;
/// Memory of the process that reads a file, in bytes.
const READER_MEMORY: u64 = 256 << 20;

/// `[stream.workbook]`: a workbook with the records of the stream, in the layout of `nqsync export`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamSettings {
    /// Its name; `{unit}` and `{period}` are filled in. The ending says whether it is XLSX or CSV.
    #[serde(default = "file_name")]
    pub file: String,
    /// Which of the files that arrive are looked at; `*` stands for anything.
    #[serde(default = "any_table")]
    pub files: Vec<String>,
}

fn file_name() -> String {
    "nqsync-{unit}-{period}.xlsx".to_owned()
}

fn any_table() -> Vec<String> {
    vec!["*.xlsx".to_owned(), "*.csv".to_owned()]
}

/// One workbook that went out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Name of the file.
    pub file: String,
    /// What tells its content apart.
    pub content: String,
    /// Rows in it.
    pub rows: usize,
    /// Where it went: a folder, or the recipients.
    pub to: String,
    /// What the other side said to it; `None`: it is not known whether it arrived.
    pub receipt: Option<String>,
}

/// Name of a stream's journal among what the adapter keeps.
pub fn journal(stream: &str) -> String {
    format!("delivered.{stream}")
}

/// Exchanges the workbooks of a stream once.
pub async fn exchange(
    open: &Open<'_>,
    mapper: &Mapper,
    stream: &Stream,
    report: &mut Report,
) -> Result<(), RunError> {
    let Some(settings) = &stream.workbook else {
        return Ok(());
    };
    let delivery = Delivery {
        open,
        mapper,
        stream,
        settings,
    };
    if let Some(folders) = &open.loaded.profile.tabular {
        delivery.take_in(folders, report).await?;
    }
    delivery.hand_out(report).await
}

struct Delivery<'d> {
    open: &'d Open<'d>,
    mapper: &'d Mapper,
    stream: &'d Stream,
    settings: &'d StreamSettings,
}

impl Delivery<'_> {
    fn request(&self) -> Request {
        Request {
            request_id: String::new(),
            lang: self.open.lang,
            person: adapter_author(self.open.name),
            asker: Default::default(),
            acting_for: None,
            command: Command::Status,
        }
    }

    fn said(&self, key: &str, args: &[(&str, &str)]) -> String {
        text(self.open.lang, key, args)
    }

    // --- in ---

    async fn take_in(
        &self,
        folders: &tabular::Settings,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let dir = self.open.node.store.dir().join(&folders.incoming);
        let unusable = |error: std::io::Error| unusable(&dir, &error);
        let settle = Duration::from_secs(folders.settle_s);
        let incoming = Incoming::open(&dir, settle).map_err(unusable)?;
        let ms = u64::try_from(self.open.node.clock.now_ms()).unwrap_or_default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        for file in incoming
            .arrived(&self.settings.files, now)
            .map_err(unusable)?
        {
            let (fate, said) = self.take(&file, report).await?;
            if !self.open.mode.trial {
                incoming.put_away(&file, fate, &said).map_err(unusable)?;
            }
        }
        Ok(())
    }

    /// One file: what becomes of it, and what lies beside it then.
    async fn take(&self, file: &Path, report: &mut Report) -> Result<(Fate, String), RunError> {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let at = self.open.node.clock.now_ms();
        let (parser, path) = (self.open.node.settings.parser(), file.to_owned());
        let limits = Limits {
            memory_bytes: READER_MEMORY,
            ..Limits::at(self.open.node.store.level())
        };
        let parsing = tokio::task::spawn_blocking(move || parser.parse(&path, None, &limits));
        let table = match parsing.await {
            Ok(Ok(table)) => Ok(table),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let returned = table.and_then(|table| {
            replica::returned(&table).ok_or_else(|| self.said("adapter-not-own", &[]))
        });
        let returned = match returned {
            Ok(returned) => returned,
            Err(why) => {
                report.problem(&name, "unreadable", why.clone(), at);
                return Ok((Fate::Rejected, format!("{why}\n")));
            }
        };
        report.listed += returned.edited.len() + returned.unchanged;
        report.unchanged += returned.unchanged;
        let taking = Taking {
            node: self.open.node.clone(),
            lang: self.open.lang,
            person: adapter_author(self.open.name),
            acting_for: None,
            trial: self.open.mode.trial,
            submit: self.stream.submit,
            units: Some(Arc::new(self.units()?)),
        };
        let answer = match workbook::take_back(taking, &name, returned).await {
            Ok(answer) => answer,
            Err(failure) => return Err(failed(failure)),
        };
        let count = |key: &str| answer.data[key].as_u64().unwrap_or_default() as usize;
        report.pulled += count("edited");
        report.conflicts += count("conflict");
        let mut lines = vec![self.said(
            "cli-returned-summary",
            &[
                ("source", &name),
                ("rows", &count("rows").to_string()),
                ("edited", &count("edited").to_string()),
                ("same", &count("same").to_string()),
                ("conflict", &count("conflict").to_string()),
                ("refused", &count("refused").to_string()),
            ],
        )];
        for item in answer.data["items"].as_array().into_iter().flatten() {
            let line = self.line(item);
            if item["outcome"] == "refused" || item["note"].is_string() {
                report.problem(&name, "refused_here", line.clone(), at);
            }
            lines.push(line);
        }
        let fine = answer.exit == Exit::Done && count("conflict") == 0;
        let fate = if fine { Fate::Processed } else { Fate::InDoubt };
        Ok((fate, lines.join("\n") + "\n"))
    }

    fn line(&self, item: &Value) -> String {
        let shown = |key: &str| match &item[key] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let outcome = self.said(&format!("word-cell-{}", shown("outcome")), &[]);
        let why = [shown("reason"), shown("note")].join(" ");
        let line = format!(
            "{} {}: {outcome}: {} | {} {why}",
            shown("row"),
            shown("field"),
            shown("here"),
            shown("cell")
        );
        line.trim_end().to_owned()
    }

    /// Codes of the units that a workbook of this stream may speak for.
    fn units(&self) -> Result<HashSet<String>, RunError> {
        let scope = scope_of(self.open.node, &self.open.loaded.profile, self.stream)?;
        let shown = self.open.node.store.shown();
        let below = match scope.subtree {
            true => shown.tree.subtree(scope.unit),
            false => vec![scope.unit],
        };
        Ok(below
            .into_iter()
            .map(|unit| shown.tree.code(unit))
            .collect())
    }

    // --- out ---

    async fn hand_out(&self, report: &mut Report) -> Result<(), RunError> {
        let scope = scope_of(self.open.node, &self.open.loaded.profile, self.stream)?;
        let shown = self.open.node.store.shown();
        let code = shown.tree.code(scope.unit);
        let unit_name = shown.tree.get(scope.unit).map(|unit| unit.name.clone());
        let period = scope.period.to_string();
        let asked = Asked {
            kind: kind_of(self.stream),
            unit: Some(&code),
            period: Some(&period),
            subtree: scope.subtree,
        };
        let answer = workbook::export(self.open.node, &self.request(), &asked).await;
        let data = answer.map_err(failed)?.data;
        let grid = Grid::of(&data, self.open.lang);
        let mut journal = self.journal().await?;
        let content = grid.fingerprint();
        let last = journal.last().cloned();
        let unchanged = last
            .as_ref()
            .is_some_and(|last| last.content == content && last.receipt.is_some());
        if grid.rows() == 0 || unchanged {
            report.unchanged += grid.rows();
            return Ok(());
        }
        report.pushed += 1;
        if self.open.mode.trial {
            return Ok(());
        }
        let filled = |text: &str| {
            text.replace("{unit}", &code)
                .replace("{name}", unit_name.as_deref().unwrap_or(&code))
                .replace("{period}", &period)
        };
        let file = filled(&self.settings.file);
        let bytes = match file.ends_with(".csv") {
            true => grid.csv().map_err(|e| e.to_string()),
            false => grid.xlsx().map_err(|e| e.to_string()),
        };
        let bytes = bytes.map_err(EngineError::Unexpected)?;
        let mut delivered = Delivered {
            at: self.open.node.clock.now_ms(),
            file: file.clone(),
            content,
            rows: grid.rows(),
            to: String::new(),
            receipt: None,
        };
        // What was begun and not answered is sent again under the same id: twice is better than never.
        let in_doubt = last.is_some_and(|last| last.content == delivered.content);
        if in_doubt {
            journal.pop();
        }
        delivered.to = self.recipients();
        journal.push(delivered);
        self.keep(&journal).await?;
        let parcel = Parcel {
            file: &file,
            bytes,
            in_doubt,
            filled: &filled,
        };
        let content = journal
            .last()
            .map(|sent| sent.content.clone())
            .unwrap_or_default();
        match self.carry(parcel, &content).await {
            Ok(receipt) => {
                if let Some(sent) = journal.last_mut() {
                    sent.receipt = Some(receipt);
                }
                self.keep(&journal).await
            }
            Err(error) => {
                if cannot_have_arrived(&error) {
                    journal.pop();
                    self.keep(&journal).await?;
                } else {
                    report.in_doubt += 1;
                }
                report.pushed -= 1;
                Err(error.into())
            }
        }
    }

    /// Where it goes, for people.
    fn recipients(&self) -> String {
        let profile = &self.open.loaded.profile;
        if let Some(mail) = &profile.email {
            return mail.to.join(", ");
        }
        if let Some(edxml) = &profile.edxml {
            let names: Vec<&str> = edxml.to.values().map(String::as_str).collect();
            return names.join(", ");
        }
        let folder = profile
            .tabular
            .as_ref()
            .map(|folders| folders.outgoing.display().to_string());
        folder.unwrap_or_default()
    }

    /// Hands a workbook over. Answers the other side's receipt.
    async fn carry(&self, parcel: Parcel<'_>, content: &str) -> Result<String, EngineError> {
        let profile = &self.open.loaded.profile;
        let Parcel {
            file,
            bytes,
            in_doubt,
            filled,
        } = parcel;
        if let Some(mail) = &profile.email {
            let letter = Letter {
                subject: filled(&mail.subject),
                text: filled(&mail.text),
                attachment: Some((file, bytes)),
                id: format!("<{}.{content}@nqsync.invalid>", self.stream.name),
            };
            return mail.send(&self.open.loaded.file, letter).await;
        }
        if profile.edxml.is_some() {
            let mut gateway = Edxml::open(self.open, self.mapper.clone()).await?;
            let workbook = Workbook {
                file,
                bytes: &bytes,
                content,
                in_doubt,
                filled,
            };
            return gateway.send(&workbook).await;
        }
        let Some(folders) = &profile.tabular else {
            let text =
                "a stream with [stream.workbook] needs [tabular], [email] or [edxml]".to_owned();
            return Err(EngineError::NotAllowed(text));
        };
        let dir = self.open.node.store.dir().join(&folders.outgoing);
        let put = std::fs::create_dir_all(&dir).and_then(|()| write_whole(&dir.join(file), &bytes));
        put.map_err(|error| unusable(&dir, &error))?;
        Ok(file.to_owned())
    }

    async fn journal(&self) -> Result<Vec<Delivered>, RunError> {
        let (adapter, name) = (self.open.name.to_owned(), journal(&self.stream.name));
        let store = &self.open.node.store;
        let kept = store.read(move |connection| adapters::state(connection, &adapter, &name));
        Ok(kept.await?.unwrap_or_default())
    }

    async fn keep(&self, all: &[Delivered]) -> Result<(), RunError> {
        let (adapter, name) = (self.open.name.to_owned(), journal(&self.stream.name));
        let latest = all[all.len().saturating_sub(REMEMBERED)..].to_vec();
        let store = &self.open.node.store;
        let kept = store
            .write(move |tx| adapters::set_state(tx.connection(), &adapter, &name, Some(&latest)));
        Ok(kept.await?)
    }
}

fn kind_of(stream: &Stream) -> ImportKind {
    match stream.kind {
        StreamKind::Tasks => ImportKind::Tasks,
        StreamKind::Indicators => ImportKind::Indicators,
        StreamKind::Progress | StreamKind::Texts | StreamKind::Directives => ImportKind::Reports,
    }
}

/// A workbook on its way.
struct Parcel<'p> {
    file: &'p str,
    bytes: Vec<u8>,
    in_doubt: bool,
    filled: &'p (dyn Fn(&str) -> String + Sync),
}

/// Whether the other side cannot have taken what ended in this error.
fn cannot_have_arrived(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Authentication(_) | EngineError::Refused(_) | EngineError::NotAllowed(_)
    )
}

fn failed(failure: Failure) -> RunError {
    EngineError::Unexpected(failure.message).into()
}

fn unusable(path: &Path, error: &std::io::Error) -> EngineError {
    EngineError::Unreachable {
        message: format!("{}: {error}", path.display()),
        retry_after: None,
    }
}
