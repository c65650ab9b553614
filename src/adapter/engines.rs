//! Which engine a profile asks for.

use serde_json::Value;

use super::cycle::Mode;
use super::engine::{Engine, EngineError, Page, Position, Span, Upload, Write, Written};
use super::mapping::{Mapper, Programs};
use super::profile::{Loaded, Profile, Stream};
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
pub enum AnyEngine {}

/// Expressions that the engine itself needs, besides the streams' mappings.
pub fn programs(profile: &Profile) -> Programs {
    let _ = profile;
    Programs::new()
}

/// Opens the engine that the profile asks for.
pub fn open(open: &Open<'_>, mapper: Mapper) -> Result<AnyEngine, EngineError> {
    let _ = mapper;
    let kind = open.loaded.profile.engine;
    Err(EngineError::NotAllowed(format!("{kind:?}")))
}

impl Engine for AnyEngine {
    fn lists_changes(&self, _stream: &Stream) -> bool {
        match *self {}
    }

    async fn list(&mut self, _: &Stream, _: &Span, _: &Position) -> Result<Page, EngineError> {
        match *self {}
    }

    async fn fetch(&mut self, _: &Stream, _: &str) -> Result<Option<Value>, EngineError> {
        match *self {}
    }

    async fn lookup(&mut self, _: &Stream, _: &str) -> Result<Option<Vec<Value>>, EngineError> {
        match *self {}
    }

    async fn write(&mut self, _: &Stream, _: &[Write]) -> Vec<Result<Written, EngineError>> {
        match *self {}
    }

    async fn upload(
        &mut self,
        _: &Stream,
        _: &str,
        _: &Upload,
    ) -> Result<Option<String>, EngineError> {
        match *self {}
    }
}
