//! Passwords and tokens: never in a profile, always beside it.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest secret, in bytes.
const LARGEST: usize = 64 << 10;

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// In a file that nobody else may read; relative to the profile.
    File(PathBuf),
    /// In a credential that systemd hands to the service (`LoadCredential=`).
    Credential(String),
    /// In an environment variable.
    Env(String),
}

/// A secret that was read. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain(String);

impl Plain {
    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Plain {
    fn from(text: String) -> Plain {
        Plain(text)
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Plain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl Secret {
    /// Reads it. `profile`: the file that names it.
    pub fn read(&self, profile: &Path) -> Result<Plain, String> {
        let text = match self {
            Secret::File(path) => {
                let beside = profile.parent().unwrap_or_else(|| Path::new("."));
                private(&beside.join(path))?
            }
            Secret::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    format!("the credential {name} is not there: the service manager gave none; add LoadCredential={name}:FILE to the unit")
                })?;
                // The service manager has seen to it that nobody else reads them.
                read(&Path::new(&folder).join(name))?
            }
            Secret::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set"))?,
        };
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        if text.is_empty() {
            return Err("the secret is empty".to_owned());
        }
        Ok(Plain(text))
    }
}

fn private(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| format!("{shown}: {e}"))?;
    if meta.mode() & 0o077 != 0 {
        return Err(format!(
            "{shown} can be read by others; run: chmod 600 {shown}"
        ));
    }
    read(path)
}

fn read(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    match text.len() > LARGEST {
        true => Err(format!(
            "{} holds more than {LARGEST} bytes",
            path.display()
        )),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_refused_and_none_is_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "geheim\n").expect("a file");
        let secret = Secret::File("token".into());
        let profile = folder.path().join("p.toml");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("a mode");
        assert!(secret.read(&profile).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        let plain = secret.read(&profile).expect("a secret");
        assert_eq!(plain.reveal(), "geheim");
        assert_eq!(format!("{plain:?}"), "***");
    }
}
