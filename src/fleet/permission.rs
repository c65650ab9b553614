//! What root allows in `upgrade.toml`, beside the configuration: nothing, unless it names a key.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;

use crate::trust::pin::Pin;

/// Name of the file.
pub const FILE: &str = "upgrade.toml";

/// The file. The package's own scripts read `keep_backups` as well.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upgrade {
    #[serde(rename = "keep_backups")]
    _keep_backups: Option<u32>,
    fleet: Option<Permission>,
}

/// Whose packages are installed, and when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// Fingerprint of the key that signs.
    pub parent_key: Pin,
    /// Hour of the day, in the zone of the node.
    #[serde(default = "two")]
    pub hour: i8,
}

fn two() -> i8 {
    2
}

/// Reads the permission; `None`: nothing is allowed. A file that others than root can write is no word of root.
pub fn read(path: &Path) -> Result<Option<Permission>, String> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let found = parse(&text)?;
    if found.is_some() && (meta.uid() != 0 || meta.mode() & 0o022 != 0) {
        return Err("others than root can write it: chown root, chmod 644".to_owned());
    }
    Ok(found)
}

fn parse(text: &str) -> Result<Option<Permission>, String> {
    let read: Upgrade = toml::from_str(text).map_err(|error| error.to_string())?;
    match read.fleet {
        Some(fleet) if !(0..24).contains(&fleet.hour) => Err("fleet.hour: 0 to 23".to_owned()),
        fleet => Ok(fleet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_that_is_not_written() {
        let shipped = include_str!("../../config/upgrade.toml");
        assert!(parse(shipped).expect("the sample is valid").is_none());
        let key = "ab".repeat(32);
        let allowed = parse(&format!("[fleet]\nparent_key = \"{key}\"\n"));
        let allowed = allowed.expect("valid").expect("allowed");
        assert_eq!(
            (allowed.parent_key.to_string(), allowed.hour),
            (key.clone(), 2)
        );
        assert!(parse("[fleet]\nhour = 2\n").is_err(), "no key");
        assert!(parse(&format!("[fleet]\nparent_key = \"{key}\"\nhour = 24\n")).is_err());
        assert!(parse(&format!("[fleet]\nparent_key = \"{key}\"\nkey = 1\n")).is_err());
    }
}
