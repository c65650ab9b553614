//! What an installation does to this machine: dpkg, systemd, and the journal of its steps.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nqsync_core::fleet::{End, Journal, Move, Seen, Way};

use crate::clock::Clock;
use crate::trust::files::{self, Existing, FileError, Secrecy};

/// Where packages and the journal are kept; root's alone.
pub const HOME: &str = "/var/lib/nqsync-upgrade";
/// The unit that is restarted.
const UNIT: &str = "nqsync.service";
/// Name of the program that began an installation, in the folder; nqsync-upgrade.service goes on with it.
const KEPT: &str = "nqsync";
/// Beginning of the names of backups that are made before the format of the store changes.
const FORMAT: &str = "format-";
/// The program that the package installs.
const PROGRAM: &str = "/usr/bin/nqsync";
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a service has to stay up to be called healthy.
const STEADY: Duration = Duration::from_secs(10);
/// Longest reason that is kept.
const MAX_REASON: usize = 2000;

/// The machine, and how its service is asked.
pub struct Machine<'a> {
    /// Folder of the packages and the journal.
    pub home: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The version of the service that answers and finds its store whole; `None` while there is none.
    pub answers: &'a dyn Fn() -> Option<String>,
}

/// Runs a program; `Err` with what it said.
fn run(program: &str, args: &[&str], settings: &[(&str, &str)]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args).envs(settings.iter().copied());
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let mut told = said + &String::from_utf8_lossy(&output.stderr);
    // The end tells why.
    if let Some((from, _)) = told.char_indices().rev().nth(MAX_REASON) {
        told = told.split_off(from);
    }
    Err(format!("{program} ({}): {}", output.status, told.trim()))
}

/// Version of the package, when it is wholly installed.
pub fn installed() -> Option<String> {
    let format = "${db:Status-Status} ${Version}";
    let said = run("dpkg-query", &["-W", "-f", format, "nqsync"], &[]).ok()?;
    said.strip_prefix("installed ").map(|v| v.trim().to_owned())
}

/// Whether dpkg takes one version for later than another.
pub fn is_later(version: &str, than: &str) -> bool {
    run("dpkg", &["--compare-versions", version, "gt", than], &[]).is_ok()
}

/// What a package says it is: name, version, architecture; `None` when dpkg cannot read it.
pub fn says(deb: &Path) -> Option<(String, String, String)> {
    let field = |name: &str| {
        let said = run("dpkg-deb", &["-f", deb.to_str()?, name], &[]).ok()?;
        Some(said.trim().to_owned())
    };
    Some((field("Package")?, field("Version")?, field("Architecture")?))
}

/// Whether a package of that architecture can be installed here.
pub fn fits(architecture: &str) -> bool {
    run("dpkg", &["--print-architecture"], &[]).is_ok_and(|here| here.trim() == architecture)
}

impl Machine<'_> {
    /// Where the package of a version is kept.
    pub fn package(&self, version: &str) -> PathBuf {
        // An epoch's colon and nothing else of a version means something in a path.
        self.home
            .join(format!("nqsync_{}.deb", version.replace([':', '/'], "%")))
    }

    /// The journal of the last installation, or of the one that goes on.
    pub fn journal(&self) -> Option<Journal> {
        let text = fs::read(self.home.join("journal.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Notes a step; it is on disk when this returns.
    pub fn note(&self, journal: &Journal) -> Result<(), FileError> {
        let text = serde_json::to_vec_pretty(journal).unwrap_or_default();
        let file = self.home.join("journal.json");
        files::write(&file, &text, Secrecy::Public, Existing::Replace)
    }

    /// Goes through an installation until it is over; `told` hears of each step.
    pub fn carry_out(
        &self,
        mut journal: Journal,
        told: &mut dyn FnMut(Move),
    ) -> Result<Journal, FileError> {
        let mut last = None;
        let mut since = Instant::now();
        loop {
            let seen = self.look(&journal, since);
            let next = journal.next(&seen);
            if last != Some(next) {
                told(next);
                last = Some(next);
            }
            match next {
                Move::Install => {
                    journal.tries += 1;
                    self.note(&journal)?;
                    if let Err(reason) = self.dpkg(&journal.to, &[]) {
                        journal.failed = true;
                        journal.reason = Some(reason);
                    }
                }
                Move::Wait => {
                    thread::sleep(PAUSE);
                    // Nobody started it since the power came back: it was started by hand before.
                    if state() == "inactive" {
                        start();
                    }
                    continue;
                }
                Move::TurnBack => {
                    let reason = format!("{} did not become healthy", journal.to);
                    journal.reason.get_or_insert(reason);
                    journal.turn_back();
                }
                Move::PutBack => {
                    journal.tries += 1;
                    self.note(&journal)?;
                    stop();
                    // Its backup would be made by the program that goes.
                    let settings = [("NQSYNC_DOWNGRADE", "1"), ("NQSYNC_NO_BACKUP", "1")];
                    if let Err(reason) = self.dpkg(&journal.from, &settings) {
                        journal.reason = Some(reason);
                    }
                    start();
                }
                Move::Restore => {
                    stop();
                    match self.restore(&journal) {
                        Ok(()) => journal.restored = true,
                        Err(reason) => {
                            journal.reason = Some(reason);
                            journal.end = Some(End::Stuck);
                        }
                    }
                    // Noted before anybody writes into it: it is not put back a second time.
                    self.note(&journal)?;
                    start();
                }
                Move::Finish(end) => {
                    journal.end = Some(end);
                    self.note(&journal)?;
                    self.tidy();
                    return Ok(journal);
                }
            }
            since = Instant::now();
            self.note(&journal)?;
        }
    }

    /// Keeps the program that begins an installation: after a power cut the installed one may be the one that fails.
    pub fn keep_program(&self) -> std::io::Result<()> {
        let (draft, kept) = (self.home.join("nqsync.draft"), self.home.join(KEPT));
        fs::copy("/proc/self/exe", &draft)?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o700))?;
        File::open(&draft)?.sync_all()?;
        fs::rename(&draft, &kept)?;
        File::open(&self.home)?.sync_all()
    }

    /// Leaves the journal and the package of the installed version, which is what the next one goes back to.
    fn tidy(&self) {
        let stays = installed().map(|version| self.package(&version));
        let Ok(entries) = fs::read_dir(&self.home) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let of_ours = path.extension().is_some_and(|e| e == "deb" || e == "draft")
                || path.file_name().is_some_and(|name| name == KEPT);
            if of_ours && Some(&path) != stays.as_ref() {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn look(&self, journal: &Journal, since: Instant) -> Seen {
        let installed = installed();
        let wanted = match journal.way {
            Way::Forward => &journal.to,
            Way::Back => &journal.from,
        };
        Seen {
            healthy: installed.as_ref() == Some(wanted) && self.is_healthy(wanted),
            given_up: state() == "failed",
            migrated: self.before_format(&journal.backups).is_some(),
            waited: since.elapsed(),
            installed,
        }
    }

    /// A service that falls over and is started again is not healthy, however often it answers.
    fn is_healthy(&self, version: &str) -> bool {
        // The program knows nothing of the package's revision.
        let program = version.rsplit_once('-').map_or(version, |(v, _)| v);
        let process = main_process();
        let answers = || (self.answers)().as_deref() == Some(program);
        if process.is_none() || !answers() {
            return false;
        }
        thread::sleep(STEADY);
        main_process() == process && answers()
    }

    fn dpkg(&self, version: &str, settings: &[(&str, &str)]) -> Result<(), String> {
        let mut settings = settings.to_vec();
        settings.push(("DEBIAN_FRONTEND", "noninteractive"));
        let deb = self.package(version);
        let deb = deb.to_str().unwrap_or_default();
        // A cut may have left another package half configured; that is none of ours to mend.
        run("dpkg", &["--force-confold", "-i", deb], &settings).map(drop)
    }

    /// Names of the backups that a program made before it changed the format of the store.
    pub fn format_backups(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data.join("backups")) else {
            return Vec::new();
        };
        let made = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let whole = entry.path().join("manifest.json").exists();
            (name.starts_with(FORMAT) && whole).then_some(name)
        };
        entries.flatten().filter_map(made).collect()
    }

    /// The one that was made since those were there. Of several, that of the lowest format: a later one was made of a store that
    /// had been changed already.
    fn before_format(&self, known: &[String]) -> Option<PathBuf> {
        let format = |name: &String| -> Option<u32> {
            let number = name.strip_prefix(FORMAT)?.split('-').next()?;
            number.parse().ok()
        };
        let made = self.format_backups().into_iter();
        let made = made.filter(|name| !known.contains(name) && format(name).is_some());
        let first = made.min_by_key(|name| (format(name), name.clone()))?;
        Some(self.data.join("backups").join(first))
    }

    fn restore(&self, journal: &Journal) -> Result<(), String> {
        let from = self.before_format(&journal.backups);
        let from = from.ok_or("the backup is not there")?;
        let (from, config) = (
            from.display().to_string(),
            self.config.display().to_string(),
        );
        let verb = ["restore", &from, "--replace", "--config", &config];
        let args = [&["-u", "nqsync", "--", PROGRAM][..], &verb[..]].concat();
        run("runuser", &args, &[]).map(drop)
    }
}

fn stop() {
    // A unit that is not loaded is stopped as well.
    let _ = run("systemctl", &["stop", UNIT], &[]);
}

/// Starts the service anew, also one that systemd has given up; how it does is seen afterwards.
fn start() {
    let _ = run("systemctl", &["reset-failed", UNIT], &[]);
    if let Err(reason) = run("systemctl", &["start", "--no-block", UNIT], &[]) {
        tracing::warn!(reason, "the service does not start");
    }
}

/// What systemd calls the state of the service: `active`, `activating`, `failed`, `inactive` …
fn state() -> String {
    let args = ["show", "--property", "ActiveState", "--value", UNIT];
    let said = run("systemctl", &args, &[]).unwrap_or_default();
    said.trim().to_owned()
}

/// The process of the service, while systemd calls it active.
fn main_process() -> Option<String> {
    if state() != "active" {
        return None;
    }
    let args = ["show", "--property", "MainPID", "--value", UNIT];
    let said = run("systemctl", &args, &[]).ok()?;
    let process = said.trim();
    (process != "0").then(|| process.to_owned())
}

/// Keeps a second installation out.
pub fn lock(home: &Path) -> std::io::Result<Option<File>> {
    files::make_private_folder(home)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(home.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The present time, milliseconds since 1970.
pub fn now_ms() -> i64 {
    Clock::system().now_ms()
}
