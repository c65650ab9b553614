//! The engine `document`: an outline that is read and written as a whole, with the texts of many units in each row.
//!
//! Just before it is written it is read again and merged again, so that what people entered on the page meanwhile is kept; after
//! it was written it is read back as proof.

mod outline;
mod parts;
mod settings;

use nqsync_core::calendar::fold;
use serde_json::{Value, json};

use self::outline::Outline;
pub use self::settings::{RowName, Settings};
use super::engine::{Engine, EngineError, Page, Position, Span, Upload, Write, Written};
use super::engines::Open;
use super::http::{Http, Method};
use super::mapping::Mapper;
use super::profile::Stream;

/// A unit as the outline knows it.
#[derive(Clone, Debug)]
struct Unit {
    code: String,
    name: String,
}

/// The engine.
pub struct Document {
    http: Http,
    settings: Settings,
    units: Vec<Unit>,
    /// Names of all units, folded: any of them begins another part.
    names: Vec<String>,
    period: String,
    read: Option<Outline>,
}

impl Document {
    /// Prepares everything; nothing is sent but the question for addresses.
    pub async fn open(open: &Open<'_>, mapper: Mapper) -> Result<Document, EngineError> {
        let Some(settings) = open.loaded.profile.document.clone() else {
            let text = "engine = \"document\" needs a table [document]".to_owned();
            return Err(EngineError::NotAllowed(text));
        };
        let shown = open.node.store.shown();
        let units = shown.tree.iter().map(|unit| Unit {
            code: unit.code.clone(),
            name: unit.name.clone(),
        });
        let units: Vec<Unit> = units.collect();
        Ok(Document {
            http: Http::open(open, mapper).await?,
            settings,
            names: units.iter().map(|unit| fold(&unit.name)).collect(),
            units,
            period: open.node.current_period().to_string(),
            read: None,
        })
    }

    async fn get(&mut self) -> Result<Outline, EngineError> {
        let Settings {
            path,
            query,
            headers,
            ..
        } = &self.settings;
        let body = self
            .http
            .exchange(Method::Get, path, query, headers, None)
            .await?;
        let read = Outline::parse(&body);
        read.map_err(|e| EngineError::Unexpected(format!("{path}: is no outline: {e}")))
    }

    async fn put(&mut self, outline: &Outline) -> Result<(), EngineError> {
        let Settings {
            path,
            query,
            headers,
            ..
        } = &self.settings;
        let body = Some(outline.body());
        self.http
            .exchange(Method::Put, path, query, headers, body)
            .await
            .map(drop)
    }

    fn known(&self) -> impl Fn(&str) -> bool + '_ {
        |name| self.names.contains(&fold(name))
    }

    /// A unit's texts in every row.
    fn record(&self, outline: &Outline, unit: &Unit) -> Result<Value, EngineError> {
        let mut record =
            json!({ "id": unit.code, "unit": unit.code, "name": unit.name, "period": self.period });
        for (field, row) in &self.settings.rows {
            let text = outline.text(row, &unit.name, &self.known());
            record[field] = json!(text.map_err(EngineError::Unexpected)?);
        }
        Ok(record)
    }

    fn records(&self, outline: &Outline) -> Result<Vec<Value>, EngineError> {
        self.units
            .iter()
            .map(|unit| self.record(outline, unit))
            .collect()
    }

    /// Puts every write into an outline. A text that moved since it was listed is not overwritten.
    fn merge(&self, before: &Outline, now: &mut Outline, write: &Write) -> Result<(), EngineError> {
        let id = write.id.as_deref().unwrap_or_default();
        let Some(unit) = self.units.iter().find(|unit| unit.code == id) else {
            return Err(EngineError::Refused(format!("there is no unit {id}")));
        };
        let known = self.known();
        for (field, row) in &self.settings.rows {
            let Some(text) = write.body[field].as_str() else {
                continue;
            };
            let text_in = |outline: &Outline| {
                outline
                    .text(row, &unit.name, &known)
                    .map_err(EngineError::Unexpected)
            };
            if text_in(before)? != text_in(now)? {
                let text = format!(
                    "{}: {field} was edited on the page just now; it is compared again",
                    unit.name
                );
                return Err(EngineError::Moved(text));
            }
            now.put(row, &unit.name, text, &known)
                .map_err(EngineError::Unexpected)?;
        }
        Ok(())
    }

    async fn write_all(
        &mut self,
        writes: &[Write],
    ) -> Result<Vec<Result<Written, EngineError>>, EngineError> {
        let before = match self.read.take() {
            Some(read) => read,
            None => self.get().await?,
        };
        let mut now = self.get().await?;
        let merged: Vec<_> = writes
            .iter()
            .map(|write| self.merge(&before, &mut now, write))
            .collect();
        self.put(&now).await?;
        let back = self.get().await?;
        let written = writes.iter().zip(merged).map(|(write, merged)| {
            merged?;
            let unit = self
                .units
                .iter()
                .find(|unit| Some(&unit.code) == write.id.as_ref());
            let record = unit.map(|unit| self.record(&back, unit)).transpose()?;
            Ok(Written {
                id: write.id.clone(),
                record,
            })
        });
        let written = written.collect();
        self.read = Some(back);
        Ok(written)
    }
}

impl Engine for Document {
    async fn list(&mut self, _: &Stream, _: &Span, _: &Position) -> Result<Page, EngineError> {
        let outline = self.get().await?;
        let records = self.records(&outline)?;
        self.read = Some(outline);
        Ok(Page {
            total: Some(records.len() as u64),
            records,
            ..Page::default()
        })
    }

    async fn fetch(&mut self, _: &Stream, id: &str) -> Result<Option<Value>, EngineError> {
        let outline = self.get().await?;
        let unit = self.units.iter().find(|unit| unit.code == id);
        unit.map(|unit| self.record(&outline, unit)).transpose()
    }

    async fn lookup(&mut self, _: &Stream, _: &str) -> Result<Option<Vec<Value>>, EngineError> {
        Ok(None)
    }

    async fn write_one(&mut self, _: &Stream, write: &Write) -> Result<Written, EngineError> {
        let mut results = self.write_all(std::slice::from_ref(write)).await?;
        let none = || EngineError::Unexpected("nothing was written".to_owned());
        results.pop().unwrap_or_else(|| Err(none()))
    }

    async fn write(&mut self, _: &Stream, writes: &[Write]) -> Vec<Result<Written, EngineError>> {
        match self.write_all(writes).await {
            Ok(results) => results,
            // Whether the document was taken is not known, or it was not sent: the same for all of them.
            Err(error) => writes.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn upload(
        &mut self,
        _: &Stream,
        _: &str,
        file: &Upload,
    ) -> Result<Option<String>, EngineError> {
        Err(EngineError::Refused(format!(
            "an outline takes no files: {}",
            file.name
        )))
    }
}
