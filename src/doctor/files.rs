//! The data directory, the keys in it, and the clock.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{Access, access};

use super::Doctor;
use crate::config::Level;
use crate::trust::authority::{Authority, CA_CERTIFICATE_FILE};
use crate::trust::identity::{NODE_KEY, NodeKey};
use crate::trust::{certificate, renewal};

/// No installation is older than this version of the program.
const EARLIEST: &str = "2026-11-01T00:00:00Z";
/// Where systemd-timesyncd says that the clock was set by a time server.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// It is there where timesyncd runs at all.
const TIMESYNC: &str = "/run/systemd/timesync";

impl Doctor<'_> {
    pub(super) fn data_dir(&mut self) {
        let dir = self.config.node.data_dir.clone();
        let shown = dir.display().to_string();
        let dir_arg = ("dir", shown.as_str());
        let Ok(metadata) = fs::metadata(&dir) else {
            return self.fault("data_dir", "dir-missing", &[dir_arg]);
        };
        if !dir.join("store.db").exists() {
            return self.fault("data_dir", "not-initialised", &[dir_arg]);
        }
        let needed = Access::WRITE_OK | Access::EXEC_OK;
        if let Err(error) = access(&dir, needed) {
            let owner = metadata.uid().to_string();
            let here = rustix::process::geteuid().as_raw().to_string();
            let args = [
                dir_arg,
                ("reason", &error.to_string()),
                ("owner", &owner),
                ("here", &here),
            ];
            return self.fault("data_dir", "dir-not-writable", &args);
        }
        if let Ok(found) = rustix::fs::statvfs(&dir)
            && found.f_files > 0
            && found.f_favail == 0
        {
            return self.fault("data_dir", "no-inodes", &[dir_arg]);
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let mode = format!("{mode:04o}");
            return self.warn(
                "data_dir",
                "dir-open-to-others",
                &[dir_arg, ("mode", &mode)],
            );
        }
        self.well("data_dir", "doctor-dir-ok", &[dir_arg]);
    }

    pub(super) fn keys(&mut self) {
        let dir = self.config.node.data_dir.clone();
        let path = dir.join(NODE_KEY);
        let shown = path.display().to_string();
        if !path.exists() {
            return self.fault("keys", "key-missing", &[("file", &shown)]);
        }
        if let Err(error) = NodeKey::load(&path) {
            return self.fault("keys", "key-unusable", &[("reason", &error.to_string())]);
        }
        if self.config.listen.is_some() && !self.authority(&dir.join("keys")) {
            return;
        }
        match renewal::looked_at(&dir) {
            Ok(None) if self.config.node.level == Level::Ministry => {}
            Ok(None) => {
                let unit = self.config.node.unit.clone();
                return self.fault("keys", "not-enrolled", &[("unit", &unit)]);
            }
            Err(error) => {
                return self.fault("keys", "key-unusable", &[("reason", &error.to_string())]);
            }
            Ok(Some((chain, _))) => {
                let facts = certificate::read(&chain[0]);
                let remark = facts.and_then(|facts| facts.date_remark(self.now()));
                if let Some(remark) = remark {
                    let remark = remark.to_string();
                    return self.warn("keys", "certificate-dates", &[("remark", &remark)]);
                }
            }
        }
        self.well("keys", "doctor-keys-ok", &[]);
    }

    fn authority(&mut self, keys: &Path) -> bool {
        // Before the first start there is none; the service makes it.
        if !keys.join(CA_CERTIFICATE_FILE).exists() {
            return true;
        }
        match Authority::load(keys) {
            Ok(_) => true,
            Err(error) => {
                self.fault("keys", "key-unusable", &[("reason", &error.to_string())]);
                false
            }
        }
    }

    pub(super) fn clock(&mut self) {
        let now = self.now();
        let shown = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        if EARLIEST
            .parse()
            .is_ok_and(|earliest: Timestamp| now < earliest)
        {
            return self.fault("clock", "clock-in-the-past", &[("now", &shown)]);
        }
        if Path::new(TIMESYNC).exists() && !Path::new(SYNCHRONISED).exists() {
            return self.warn("clock", "clock-not-synchronised", &[("now", &shown)]);
        }
        self.well("clock", "doctor-clock-ok", &[("now", &shown)]);
    }
}
