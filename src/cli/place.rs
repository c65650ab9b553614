//! Which node is meant: its configuration, and what overrides it.

use std::path::PathBuf;

use nqsync_core::model::Classification;

use super::failure;
use crate::api::{Exit, Failure, Lang};
use crate::config::{self, ConfigErrors, Loaded};
use crate::node::Refusal;
use crate::node::commands::{refuse, secrecy};
use crate::t;

/// Folder of the stores above *none*, below the data directory.
pub const LEVELS: &str = "levels";

/// Which node is meant.
#[derive(Clone, Debug)]
pub struct Place {
    /// `--config`, or `config.toml` in `--dir`; `None`: by `NQSYNC_CONFIG`, else the usual place.
    pub config: Option<PathBuf>,
    /// `--set key=value`, in order.
    pub set: Vec<(String, String)>,
    /// Language of messages.
    pub lang: Lang,
}

impl Place {
    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        let variable = std::env::var("NQSYNC_CONFIG").ok();
        config::path(self.config.as_deref(), variable.as_deref())
    }

    /// The store of a level of secrecy, which is a node's store with a configuration of its own; whether this computer may hold
    /// it is decided here. It need not be there yet.
    pub fn at(&self, level: Classification) -> Result<Place, Failure> {
        let here = || Ok(self.clone());
        if level == Classification::None {
            return here();
        }
        // What is overridden is meant for the store of that level, and is no way around this computer's profile.
        let base = Place {
            set: Vec::new(),
            ..self.clone()
        };
        let node = base.load()?.config.node;
        if node.classification == level {
            return here();
        }
        if node.classification > Classification::None {
            let args = [
                ("level", level.to_string()),
                ("word", level.word().to_owned()),
                ("own", node.classification.to_string()),
            ];
            return Err(refuse(self.lang, Refusal::usage("other-level", args)));
        }
        if !level.may_pass(node.ceiling) {
            return Err(refuse(self.lang, secrecy::above(level, node.ceiling)));
        }
        let dir = node.data_dir.join(LEVELS).join(level.word());
        Ok(Place {
            config: Some(dir.join("config.toml")),
            ..self.clone()
        })
    }

    /// Reads and checks the configuration: no file is exit 10, anything wrong in it is exit 78 with every problem.
    pub fn load(&self) -> Result<Loaded, Failure> {
        // A variable that is no text cannot be one of ours.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let file = self.file();
        config::load(&file, std::env::vars_os().filter_map(text), &self.set)
            .map_err(|e| self.refused(&e))
    }

    fn refused(&self, errors: &ConfigErrors) -> Failure {
        let (exit, code, message) = if errors.file_missing {
            let message = t!(self.lang, "err-no-config", file = self.file().display());
            (Exit::NotInitialised, "not_initialised", message)
        } else {
            (
                Exit::Configuration,
                "configuration",
                t!(self.lang, "err-config", problems = errors),
            )
        };
        let data = serde_json::to_value(errors).unwrap_or_default();
        Failure {
            data,
            ..failure(exit, code, message)
        }
    }
}
