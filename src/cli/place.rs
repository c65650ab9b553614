//! Which node is meant: its configuration, and what overrides it.

use std::path::{Path, PathBuf};

use nqsync_core::model::Classification;

use super::failure;
use crate::api::{Act, Exit, Failure, Lang};
use crate::config::{self, Config, ConfigErrors, Loaded};
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
    /// Of a store above *none*: the configuration of the node that holds it, and the level; `None` at a node's own store.
    pub held_by: Option<(PathBuf, Classification)>,
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
        if level == Classification::None {
            return Ok(self.clone());
        }
        // What is overridden is meant for the store of that level.
        let base = Place {
            set: Vec::new(),
            ..self.clone()
        };
        let node = base.load()?.config.node;
        let dir = node.data_dir.join(LEVELS).join(level.word());
        let place = Place {
            config: Some(dir.join("config.toml")),
            held_by: Some((base.file(), level)),
            ..self.clone()
        };
        place.may_hold(level)?;
        Ok(place)
    }

    /// Reads and checks the configuration: no file is exit 10, anything wrong in it is exit 78 with every problem.
    pub fn load(&self) -> Result<Loaded, Failure> {
        // A variable that is no text cannot be one of ours.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let file = self.file();
        let variables = std::env::vars_os().filter_map(text);
        let loaded = config::load(&file, variables, &self.set);
        let loaded = loaded.map_err(|e| self.refused(&file, &e))?;
        self.may_hold(loaded.config.node.classification)?;
        Ok(loaded)
    }

    /// Refuses a level above *none* unless the configuration of the node that holds the store allows it now. What the store's own
    /// configuration says of the computer was written when it was made, perhaps on another one; variables and overrides are no
    /// way around the file either.
    pub fn may_hold(&self, level: Classification) -> Result<(), Failure> {
        if level == Classification::None {
            return Ok(());
        }
        let held_by = self.held_by.as_ref().filter(|(_, held)| *held == level);
        let Some((base, _)) = held_by else {
            let args = [
                ("level", level.to_string()),
                ("word", level.word().to_owned()),
            ];
            return Err(refuse(self.lang, Refusal::usage("level-by-itself", args)));
        };
        let ceiling = self.as_written(base)?.node.ceiling;
        match level.may_pass(ceiling) {
            true => Ok(()),
            false => Err(refuse(self.lang, secrecy::above(level, ceiling))),
        }
    }

    /// Whether the configuration of this node wants two persons before a level that its ceiling was raised to gets a store.
    pub fn wants_two_for_a_level(&self) -> Result<bool, Failure> {
        let written = self.as_written(&self.file())?;
        Ok(written.approval.acts.contains(&Act::Ceiling))
    }

    /// A configuration as its file has it, whatever variables and overrides say.
    fn as_written(&self, file: &Path) -> Result<Config, Failure> {
        let loaded = config::load(file, std::iter::empty(), &[]);
        Ok(loaded.map_err(|e| self.refused(file, &e))?.config)
    }

    fn refused(&self, file: &Path, errors: &ConfigErrors) -> Failure {
        let (exit, code, message) = if errors.file_missing {
            let message = t!(self.lang, "err-no-config", file = file.display());
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
