//! The engine `tabular`: tables of another system in a drop folder, and tables for it in another.
//!
//! Files that arrive tell what is new and never what is gone. They are parsed in a process of its own, and moved away once
//! everything in them is written here; after a crash in between they are read again, which changes nothing. What is
//! written goes into one workbook for each run.

mod handed;
mod settings;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::handed::{Handed, Journal, Row};
pub use self::settings::{ColumnSettings, Settings, StreamSettings};
use super::engine::{
    Engine, EngineError, Lists, Page, Position, Remembered, Span, Upload, Write, Written,
};
use super::engines::Open;
use super::folder::{Fate, Incoming};
use super::profile::Stream;
use crate::api::Lang;
use crate::node::Node;
use crate::sheet::layout::{self, Rows};
use crate::sheet::{Limits, Remark, Severity, Table, fill, inert, replica};
use crate::text::text;

/// Memory of the process that reads a file, in bytes.
const READER_MEMORY: u64 = 256 << 20;

/// The engine.
pub struct Tabular {
    node: Node,
    lang: Lang,
    settings: Settings,
    /// Folder of the profile, for templates.
    beside: PathBuf,
    /// Folder of the adapter's own notes.
    own: PathBuf,
    incoming: Incoming,
    outgoing: PathBuf,
    /// Files that wait, by stream, in the order in which they are listed.
    waiting: HashMap<String, Vec<PathBuf>>,
    read: Vec<Read>,
    trial: bool,
}

/// A file that was read in this run.
struct Read {
    file: PathBuf,
    stream: String,
    /// Why nothing of it could be read.
    rejected: Option<String>,
    remarks: Vec<Remark>,
    rows: usize,
}

impl Tabular {
    /// Makes the folders, and finishes what a crash left open.
    pub async fn open(open: &Open<'_>) -> Result<Tabular, EngineError> {
        let Some(settings) = open.loaded.profile.tabular.clone() else {
            let text = "engine = \"tabular\" needs a table [tabular]".to_owned();
            return Err(EngineError::NotAllowed(text));
        };
        let data = open.node.store.dir();
        let own = data.join("adapters").join(open.name);
        let (incoming, outgoing) = (data.join(&settings.incoming), data.join(&settings.outgoing));
        let settle = Duration::from_secs(settings.settle_s);
        let engine = Tabular {
            incoming: Incoming::open(&incoming, settle).map_err(|e| unusable(&incoming, &e))?,
            node: open.node.clone(),
            lang: open.lang,
            beside: open
                .loaded
                .file
                .parent()
                .unwrap_or(Path::new("."))
                .to_owned(),
            own,
            outgoing,
            settings,
            waiting: HashMap::new(),
            read: Vec::new(),
            trial: open.mode.trial,
        };
        if !engine.trial {
            for stream in &open.loaded.profile.streams {
                let journal = engine.journal(stream)?;
                journal
                    .finish(&engine.outgoing)
                    .map_err(|e| unusable(&engine.outgoing, &e))?;
            }
        }
        Ok(engine)
    }

    fn journal(&self, stream: &Stream) -> Result<Journal, EngineError> {
        Journal::open(&self.own, &stream.name).map_err(|e| unusable(&self.own, &e))
    }

    fn now(&self) -> SystemTime {
        let ms = u64::try_from(self.node.clock.now_ms()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// A file as rows; what cannot be read is told with the file and costs nothing else.
    async fn read_file(&self, settings: &StreamSettings, file: &Path) -> Result<Rows, String> {
        let (parser, path) = (self.node.settings.parser(), file.to_owned());
        let wanted = settings.sheet.clone();
        let limits = Limits {
            memory_bytes: READER_MEMORY,
            ..Limits::at(self.node.store.level())
        };
        let parsing =
            tokio::task::spawn_blocking(move || parser.parse(&path, wanted.as_deref(), &limits));
        let table: Table = match parsing.await {
            Ok(parsed) => parsed.map_err(|error| error.to_string())?,
            Err(error) => return Err(error.to_string()),
        };
        if replica::returned(&table).is_some() {
            return Err(text(self.lang, "adapter-own-workbook", &[]));
        }
        let table = inert::plain_cells(table);
        let year = self.node.today().year();
        layout::read(&table, &settings.layout(), year)
            .map_err(|wanted| text(self.lang, "adapter-no-header", &[("columns", &wanted)]))
    }

    /// The record of a row of ours, as it will be when it comes back.
    fn record(settings: &StreamSettings, body: &Value) -> Value {
        let mut record = body.clone();
        let keys = settings.columns.iter().filter(|column| column.key);
        let id: Vec<String> = keys
            .map(|column| fill::shown(&body[&column.name]))
            .collect();
        record["id"] = json!(id.join("|"));
        record
    }

    fn workbook(&self, settings: &StreamSettings, rows: &[&Value]) -> Result<Vec<u8>, String> {
        let sheet_name = settings.sheet.as_deref();
        if let Some(template) = &settings.template {
            let path = self.beside.join(template);
            let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let name = template.display().to_string();
            return fill::fill(&name, &bytes, sheet_name, &settings.layout(), rows);
        }
        if settings.out.ends_with(".csv") {
            return write::csv(&settings.columns, rows).map_err(|e| e.to_string());
        }
        write::xlsx(sheet_name, &settings.columns, rows).map_err(|e| e.to_string())
    }

    /// A name that no other workbook of ours has, and that sorts by time.
    fn file_name(&self, settings: &StreamSettings, writes: &[Write]) -> String {
        let shown = self.node.store.shown();
        let unit = shown
            .unit
            .map(|unit| shown.tree.code(unit))
            .unwrap_or_default();
        let named = settings
            .out
            .replace("{period}", &self.node.current_period().to_string())
            .replace("{unit}", &unit);
        let (stem, ending) = named.rsplit_once('.').unwrap_or((&named, "xlsx"));
        let mut hasher = Sha256::new();
        for write in writes {
            hasher.update(write.idempotency_key.as_bytes());
        }
        let hash = hasher.finalize();
        let at = jiff::Timestamp::from_millisecond(self.node.clock.now_ms()).unwrap_or_default();
        let at = at.to_zoned(self.node.settings.zone.clone());
        format!(
            "{stem}-{}-{:02x}{:02x}{:02x}.{ending}",
            at.strftime("%Y%m%d-%H%M%S"),
            hash[0],
            hash[1],
            hash[2]
        )
    }

    fn hand_over(&self, stream: &Stream, writes: &[Write]) -> Result<Vec<Written>, EngineError> {
        let settings = settings_of(stream)?;
        let bodies: Vec<&Value> = writes.iter().map(|write| &write.body).collect();
        let bytes = self
            .workbook(settings, &bodies)
            .map_err(EngineError::Unexpected)?;
        let rows = writes.iter().map(|write| Row {
            key: write.key.clone(),
            record: Self::record(settings, &write.body),
        });
        let handed = Handed {
            file: self.file_name(settings, writes),
            published: false,
            rows: rows.collect(),
        };
        let journal = self.journal(stream)?;
        journal
            .hand_over(&self.outgoing, &handed, &bytes)
            .map_err(|e| unusable(&self.outgoing, &e))?;
        let written = handed.rows.into_iter().map(|row| Written {
            id: row.record["id"].as_str().map(str::to_owned),
            record: Some(row.record),
        });
        Ok(written.collect())
    }

    /// Rows of the workbook that was handed over last.
    fn handed(
        &self,
        stream: &Stream,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<Vec<Value>, EngineError> {
        let last = self.journal(stream)?.last();
        let last = last.map_err(|e| unusable(&self.own, &e))?;
        let rows = last.map(|handed| handed.rows).unwrap_or_default();
        let found = rows.into_iter().filter(wanted).map(|row| row.record);
        Ok(found.collect())
    }

    /// What lies beside a file that was taken, for the people who dropped it.
    fn report(&self, read: &Read, met: &[&Remembered]) -> String {
        let mut said = String::new();
        let mut line = |text: String| {
            said.push_str(&text);
            said.push('\n');
        };
        let rows = read.rows.to_string();
        line(text(self.lang, "adapter-file-rows", &[("rows", &rows)]));
        let taken = read
            .remarks
            .iter()
            .filter(|r| r.severity != Severity::Refused);
        for remark in taken {
            line(self.remarked(remark));
        }
        for met in met {
            line(met.text.clone());
        }
        said
    }

    fn remarked(&self, remark: &Remark) -> String {
        let code = json!(remark.code)
            .as_str()
            .unwrap_or_default()
            .replace('_', "-");
        let said = text(
            self.lang,
            &format!("word-remark-{code}"),
            &[("found", &remark.found)],
        );
        let row = remark.row.map(|row| row.to_string()).unwrap_or_default();
        let column = remark.column.clone().unwrap_or_default();
        let place = [row, column].join(" ");
        match place.trim() {
            "" => said,
            place => format!("{place}: {said}"),
        }
    }
}

fn settings_of(stream: &Stream) -> Result<&StreamSettings, EngineError> {
    let missing =
        || EngineError::NotAllowed(format!("stream {} has no [stream.tabular]", stream.name));
    stream.tabular.as_ref().ok_or_else(missing)
}

fn unusable(path: &Path, error: &std::io::Error) -> EngineError {
    EngineError::Unreachable {
        message: format!("{}: {error}", path.display()),
        retry_after: None,
    }
}

fn name_of(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl Engine for Tabular {
    fn lists(&self, _: &Stream) -> Lists {
        Lists::News
    }

    fn at_once(&self) -> usize {
        usize::MAX
    }

    async fn list(
        &mut self,
        stream: &Stream,
        _: &Span,
        from: &Position,
    ) -> Result<Page, EngineError> {
        let settings = settings_of(stream)?;
        let at = from.0.as_ref().and_then(Value::as_u64).unwrap_or_default() as usize;
        if at == 0 {
            let arrived = self.incoming.arrived(&settings.files, self.now());
            let arrived = arrived.map_err(|e| unusable(&self.settings.incoming, &e))?;
            self.waiting.insert(stream.name.clone(), arrived);
        }
        let waiting = self
            .waiting
            .get(&stream.name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(file) = waiting.get(at).cloned() else {
            return Ok(Page::default());
        };
        let next = (at + 1 < waiting.len()).then(|| Position(Some(json!(at + 1))));
        let (rows, rejected) = match self.read_file(settings, &file).await {
            Ok(rows) => (rows, None),
            Err(why) => (Rows::default(), Some(why)),
        };
        let name = name_of(&file);
        let unread = rejected.iter().map(|why| (name.clone(), why.clone()));
        let refused = rows
            .remarks
            .iter()
            .filter(|r| r.severity == Severity::Refused);
        let refused = refused.map(|remark| (name.clone(), self.remarked(remark)));
        let refused = unread.chain(refused).collect();
        self.read.push(Read {
            file,
            stream: stream.name.clone(),
            rejected,
            rows: rows.records.len(),
            remarks: rows.remarks,
        });
        Ok(Page {
            records: rows.records,
            refused,
            source: Some(name),
            next,
            clock_ms: Some(self.node.clock.now_ms()),
            ..Page::default()
        })
    }

    async fn fetch(&mut self, stream: &Stream, id: &str) -> Result<Option<Value>, EngineError> {
        let found = self.handed(stream, |row| row.record["id"] == id)?;
        Ok(found.into_iter().next())
    }

    async fn lookup(
        &mut self,
        stream: &Stream,
        key: &str,
    ) -> Result<Option<Vec<Value>>, EngineError> {
        self.handed(stream, |row| row.key == key).map(Some)
    }

    async fn write_one(&mut self, stream: &Stream, write: &Write) -> Result<Written, EngineError> {
        let mut written = self.hand_over(stream, std::slice::from_ref(write))?;
        Ok(written.pop().unwrap_or_default())
    }

    async fn write(
        &mut self,
        stream: &Stream,
        writes: &[Write],
    ) -> Vec<Result<Written, EngineError>> {
        if writes.is_empty() {
            return Vec::new();
        }
        match self.hand_over(stream, writes) {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    }

    async fn upload(
        &mut self,
        stream: &Stream,
        _: &str,
        _: &Upload,
    ) -> Result<Option<String>, EngineError> {
        let text = format!("stream {}: a table holds no files", stream.name);
        Err(EngineError::Refused(text))
    }

    async fn done(&mut self, stream: &Stream, met: &[Remembered]) -> Result<(), EngineError> {
        for read in std::mem::take(&mut self.read) {
            if read.stream != stream.name {
                self.read.push(read);
                continue;
            }
            let name = name_of(&read.file);
            let of_file: Vec<&Remembered> = met
                .iter()
                .filter(|met| met.source.as_ref() == Some(&name))
                .collect();
            let refused = read.remarks.iter().any(|r| r.severity == Severity::Refused);
            let fate = match &read.rejected {
                Some(_) => Fate::Rejected,
                None if refused || of_file.iter().any(|met| met.open) => Fate::InDoubt,
                None => Fate::Processed,
            };
            let report = self.report(&read, &of_file);
            let moved = self.incoming.put_away(&read.file, fate, &report);
            let moved = moved.map_err(|e| unusable(&read.file, &e))?;
            tracing::info!(file = %moved.display(), rows = read.rows, "a file was taken");
        }
        Ok(())
    }
}
