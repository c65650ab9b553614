//! Which engine a profile asks for.

use serde_json::Value;

use super::cycle::Mode;
use super::document::Document;
use super::edxml::Edxml;
use super::engine::{
    Engine, EngineError, Lists, Page, Position, Remembered, Span, Upload, Write, Written,
};
use super::http::{self, Http};
use super::mapping::{Mapper, Programs};
use super::process::Process;
use super::profile::{EngineKind, Loaded, Profile, Stream};
use super::tabular::Tabular;
use crate::api::Lang;
use crate::node::Node;

/// What an engine is opened with.
#[derive(Clone, Copy)]
pub struct Open<'a> {
    /// The node.
    pub node: &'a Node,
    /// Name of the adapter.
    pub name: &'a str,
    /// Its profile.
    pub loaded: &'a Loaded,
    /// How the run is meant.
    pub mode: Mode,
    /// Language of messages.
    pub lang: Lang,
}

/// One of the engines that hold records with ids.
pub enum AnyEngine {
    /// JSON over HTTP.
    Http(Box<Http>),
    /// An outline as a whole.
    Document(Box<Document>),
    /// A program of somebody else.
    Process(Box<Process>),
    /// Tables in drop folders.
    Tabular(Box<Tabular>),
    /// A gateway of the document exchange.
    Edxml(Box<Edxml>),
}

/// Expressions that the engine itself needs, besides the streams' mappings.
pub fn programs(profile: &Profile) -> Programs {
    http::programs(profile)
}

/// Opens the engine that the profile asks for.
pub async fn open(open: &Open<'_>, mapper: Mapper) -> Result<AnyEngine, EngineError> {
    match open.loaded.profile.engine {
        EngineKind::Http => {
            let engine = Http::open(open, mapper).await?;
            Ok(AnyEngine::Http(Box::new(engine)))
        }
        EngineKind::Document => {
            let engine = Document::open(open, mapper).await?;
            Ok(AnyEngine::Document(Box::new(engine)))
        }
        EngineKind::Process => {
            let engine = Process::open(open).await?;
            Ok(AnyEngine::Process(Box::new(engine)))
        }
        EngineKind::Edxml => {
            let engine = Edxml::open(open, mapper).await?;
            Ok(AnyEngine::Edxml(Box::new(engine)))
        }
        EngineKind::Email => {
            let text = "a mailbox holds no records; write [stream.workbook]".to_owned();
            Err(EngineError::NotAllowed(text))
        }
        EngineKind::Tabular => {
            let engine = Tabular::open(open).await?;
            Ok(AnyEngine::Tabular(Box::new(engine)))
        }
    }
}

impl Engine for AnyEngine {
    fn lists(&self, stream: &Stream) -> Lists {
        match self {
            AnyEngine::Http(engine) => engine.lists(stream),
            AnyEngine::Document(engine) => engine.lists(stream),
            AnyEngine::Process(engine) => engine.lists(stream),
            AnyEngine::Tabular(engine) => engine.lists(stream),
            AnyEngine::Edxml(engine) => engine.lists(stream),
        }
    }

    fn at_once(&self) -> usize {
        match self {
            AnyEngine::Http(engine) => engine.at_once(),
            AnyEngine::Document(engine) => engine.at_once(),
            AnyEngine::Process(engine) => engine.at_once(),
            AnyEngine::Tabular(engine) => engine.at_once(),
            AnyEngine::Edxml(engine) => engine.at_once(),
        }
    }

    async fn list(
        &mut self,
        stream: &Stream,
        span: &Span,
        from: &Position,
    ) -> Result<Page, EngineError> {
        match self {
            AnyEngine::Http(engine) => engine.list(stream, span, from).await,
            AnyEngine::Document(engine) => engine.list(stream, span, from).await,
            AnyEngine::Process(engine) => engine.list(stream, span, from).await,
            AnyEngine::Tabular(engine) => engine.list(stream, span, from).await,
            AnyEngine::Edxml(engine) => engine.list(stream, span, from).await,
        }
    }

    async fn fetch(&mut self, stream: &Stream, id: &str) -> Result<Option<Value>, EngineError> {
        match self {
            AnyEngine::Http(engine) => engine.fetch(stream, id).await,
            AnyEngine::Document(engine) => engine.fetch(stream, id).await,
            AnyEngine::Process(engine) => engine.fetch(stream, id).await,
            AnyEngine::Tabular(engine) => engine.fetch(stream, id).await,
            AnyEngine::Edxml(engine) => engine.fetch(stream, id).await,
        }
    }

    async fn lookup(
        &mut self,
        stream: &Stream,
        key: &str,
    ) -> Result<Option<Vec<Value>>, EngineError> {
        match self {
            AnyEngine::Http(engine) => engine.lookup(stream, key).await,
            AnyEngine::Document(engine) => engine.lookup(stream, key).await,
            AnyEngine::Process(engine) => engine.lookup(stream, key).await,
            AnyEngine::Tabular(engine) => engine.lookup(stream, key).await,
            AnyEngine::Edxml(engine) => engine.lookup(stream, key).await,
        }
    }

    async fn write_one(&mut self, stream: &Stream, write: &Write) -> Result<Written, EngineError> {
        match self {
            AnyEngine::Http(engine) => engine.write_one(stream, write).await,
            AnyEngine::Document(engine) => engine.write_one(stream, write).await,
            AnyEngine::Process(engine) => engine.write_one(stream, write).await,
            AnyEngine::Tabular(engine) => engine.write_one(stream, write).await,
            AnyEngine::Edxml(engine) => engine.write_one(stream, write).await,
        }
    }

    async fn write(
        &mut self,
        stream: &Stream,
        writes: &[Write],
    ) -> Vec<Result<Written, EngineError>> {
        match self {
            AnyEngine::Http(engine) => engine.write(stream, writes).await,
            AnyEngine::Document(engine) => engine.write(stream, writes).await,
            AnyEngine::Process(engine) => engine.write(stream, writes).await,
            AnyEngine::Tabular(engine) => engine.write(stream, writes).await,
            AnyEngine::Edxml(engine) => engine.write(stream, writes).await,
        }
    }

    async fn upload(
        &mut self,
        stream: &Stream,
        id: &str,
        file: &Upload,
    ) -> Result<Option<String>, EngineError> {
        match self {
            AnyEngine::Http(engine) => engine.upload(stream, id, file).await,
            AnyEngine::Document(engine) => engine.upload(stream, id, file).await,
            AnyEngine::Process(engine) => engine.upload(stream, id, file).await,
            AnyEngine::Tabular(engine) => engine.upload(stream, id, file).await,
            AnyEngine::Edxml(engine) => engine.upload(stream, id, file).await,
        }
    }

    async fn done(&mut self, stream: &Stream, met: &[Remembered]) -> Result<(), EngineError> {
        match self {
            AnyEngine::Http(engine) => engine.done(stream, met).await,
            AnyEngine::Document(engine) => engine.done(stream, met).await,
            AnyEngine::Process(engine) => engine.done(stream, met).await,
            AnyEngine::Tabular(engine) => engine.done(stream, met).await,
            AnyEngine::Edxml(engine) => engine.done(stream, met).await,
        }
    }
}
