//! `fleet`: a version of this program that goes from a parent to its children.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use nqsync_core::fleet::{End, Journal, Move, OFFER};
use serde_json::{Value, json};

use super::connect::{Backend, Service};
use super::list::{col, listed};
use super::output::{Output, say};
use super::screen::{Screen, at};
use super::{Caller, absolute, failure, put};
use crate::api::{Answer, Command, Exit, Failure, Request};
use crate::config::Loaded;
use crate::fleet::machine::{self, HOME, Machine};
use crate::fleet::package::{self, PackageError};
use crate::fleet::permission::{self, Permission};
use crate::store::{blobs, queries};
use crate::t;
use crate::trust::identity::{NODE_KEY, NodeKey};

/// Verbs of `fleet`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// Offer a package to the nodes below; it is signed with this node's key
    ///
    /// It goes to them as a document does, after everything else. A node installs it when its own administrator has allowed that in
    /// upgrade.toml, at the hour named there. Offer the version that runs there now as well: it is what a node goes back to.
    #[command(
        disable_version_flag = true,
        after_help = "Examples:\n  nqsync fleet offer nqsync_0.2.1-1_amd64.deb --version 0.2.1-1\n  nqsync fleet offer nqsync_0.2.1-1_amd64.deb --version 0.2.1-1 --unit 24001    one commune first"
    )]
    Offer {
        /// The package
        file: PathBuf,
        /// Its version, as the package says it; so that nobody offers another file than is meant
        #[arg(long, value_name = "VERSION")]
        version: String,
        /// Units it goes to; several with ; or by repeating [default: every unit directly below]
        #[arg(long = "unit", value_name = "UNIT", value_delimiter = ';')]
        units: Vec<String>,
    },
    /// Show what is offered here, what is allowed, and how the last installation ended
    #[command(
        after_help = "Example:\n  nqsync fleet show --json | jq -r .key     for upgrade.toml of the nodes below"
    )]
    Show,
    /// Install what the node above offers; as root, from nqsync-upgrade.timer
    ///
    /// Nothing is done unless /etc/nqsync/upgrade.toml names the parent's key, and outside of the hour there. The package is checked
    /// against that key and has to be later than the one installed. It makes its backup as at any upgrade. A version that does not
    /// become healthy is taken back, with the store as it was before its format changed. Cut at any step, it goes on at the next call.
    #[command(
        after_help = "Examples:\n  nqsync fleet install\n  nqsync fleet install --now     without waiting for the hour"
    )]
    Install {
        /// Also outside of the hour
        #[arg(long)]
        now: bool,
        /// Also a version that was taken back before
        #[arg(long)]
        again: bool,
    },
}

pub(super) fn run(verb: Verb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    match verb {
        Verb::Offer {
            file,
            version,
            units,
        } => offer(&file, version, units, caller, out),
        Verb::Show => show(caller, out),
        Verb::Install { now, again } => install(now, again, caller, out),
    }
}

/// `nqsync-package 0.2.1-1`.
fn number(version: &str) -> String {
    format!("{OFFER} {version}")
}

fn offer(
    file: &Path,
    version: String,
    units: Vec<String>,
    caller: &Caller,
    out: &Output,
) -> Result<Exit, Failure> {
    let lang = caller.lang;
    let loaded = caller.place.load()?;
    let data = &loaded.config.node.data_dir;
    let other = |found: String| {
        let (file, version) = (file.display().to_string(), version.clone());
        let message = t!(
            lang,
            "err-fleet-file",
            file = file,
            version = version,
            found = found
        );
        failure(Exit::Usage, "fleet_file", message)
    };
    match machine::says(file) {
        Some((name, found, _)) if name == "nqsync" && found == version => {}
        Some((name, found, _)) => return Err(other(format!("{name} {found}"))),
        None => return Err(other("?".to_owned())),
    }
    let units = match units.is_empty() {
        true => children(&loaded, caller)?,
        false => units,
    };
    let key =
        NodeKey::load(&data.join(NODE_KEY)).map_err(|error| failed(caller, &error.to_string()))?;
    // Beside the data, where a service without a view of anything else can read it.
    let signed = data.join(format!("offer-{}", uuid::Uuid::new_v4()));
    let label = package::sign(file, &version, &key, &signed);
    let done = label
        .map_err(|error| failed(caller, &error.to_string()))
        .and_then(|_| {
            let command = Command::DirectiveAdd {
                number: number(&version),
                date: None,
                kind: Some(OFFER.to_owned()),
                summary: t!(lang, "fleet-summary", version = version),
                units,
                file: Some(absolute(&signed, lang)?),
            };
            put(command, caller)
        });
    let _ = fs::remove_file(&signed);
    let answer = done?;
    out.answer(&answer, |data| super::directive::show(data, &out.screen));
    Ok(answer.exit)
}

/// Codes of the units directly below.
fn children(loaded: &Loaded, caller: &Caller) -> Result<Vec<String>, Failure> {
    let unit = loaded.config.node.unit.clone();
    let shown = put(Command::UnitShow { unit }, caller)?;
    let children = shown.data["children"].as_array().into_iter().flatten();
    Ok(children
        .filter_map(|code| code.as_str().map(str::to_owned))
        .collect())
}

fn failed(caller: &Caller, reason: &str) -> Failure {
    let message = t!(caller.lang, "err-fleet-failed", reason = reason);
    failure(Exit::Failed, "fleet_failed", message)
}

/// The permission of this machine.
fn permission(loaded: &Loaded, caller: &Caller) -> Result<Option<Permission>, Failure> {
    let file = loaded.file.with_file_name(permission::FILE);
    permission::read(&file).map_err(|reason| {
        let file = file.display().to_string();
        let message = t!(
            caller.lang,
            "err-fleet-permission",
            file = file,
            reason = reason
        );
        failure(Exit::Configuration, "fleet_permission", message)
    })
}

fn show(caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let loaded = caller.place.load()?;
    let data = &loaded.config.node.data_dir;
    let key = NodeKey::load(&data.join(NODE_KEY)).map_err(|e| failed(caller, &e.to_string()))?;
    let above = queries::meta_on_disk(data, "upstream_pin").unwrap_or_default();
    let allowed = permission(&loaded, caller)?;
    let last = machine(&loaded, &|| None).journal();
    let answer = put(Command::DirectiveList, caller)?;
    let offers: Vec<Value> = offers(&answer.data)
        .map(|item| {
            let version = item["number"].as_str().and_then(|n| n.split(' ').next_back());
            json!({ "version": version, "issuer": item["issuer"], "at": item["at"], "here": item["file_present"] })
        })
        .collect();
    let answer = Answer {
        exit: Exit::Done,
        data: json!({
            "key": key.pin().to_string(),
            "parent_key": above,
            "allowed_key": allowed.as_ref().map(|a| a.parent_key.to_string()),
            "hour": allowed.as_ref().map(|a| a.hour),
            "installed": machine::installed(),
            "last": last,
            "total": offers.len(),
            "items": offers,
        }),
        notes: Vec::new(),
    };
    out.answer(&answer, |data| shown(data, &out.screen));
    Ok(answer.exit)
}

fn shown(data: &Value, screen: &Screen) -> String {
    let facts = screen.facts(&[
        ("label-fleet-key", screen.plain(at(data, "key"))),
        ("label-fleet-parent", screen.plain(at(data, "parent_key"))),
        ("label-fleet-allowed", screen.plain(at(data, "allowed_key"))),
        ("label-fleet-installed", screen.plain(at(data, "installed"))),
        ("label-fleet-last", screen.plain(at(data, "last.to"))),
        (
            "label-state",
            screen.word("word-fleet-", at(data, "last.end")),
        ),
        ("label-reason", screen.plain(at(data, "last.reason"))),
    ]);
    let columns = [
        col("label-version", |o, s| s.plain(at(o, "version"))),
        col("label-issuer", |o, s| s.plain(at(o, "issuer"))),
        col("label-date", |o, s| s.time(at(o, "at"))),
    ];
    format!("{facts}\n{}", listed(data, screen, None, &columns))
}

/// The documents that carry packages.
fn offers(data: &Value) -> impl Iterator<Item = &Value> {
    let items = data["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    items.iter().filter(|item| item["kind"] == OFFER)
}

fn machine<'a>(loaded: &Loaded, answers: &'a dyn Fn() -> Option<String>) -> Machine<'a> {
    Machine {
        home: HOME.into(),
        config: loaded.file.clone(),
        data: loaded.config.node.data_dir.clone(),
        answers,
    }
}

/// Puts a verb to the running service and to nothing else: root must not open the store of another user.
fn asked(command: Command, caller: &Caller) -> Option<Value> {
    let service = Service::connect(&caller.place).ok()??;
    let request = Request {
        request_id: uuid::Uuid::new_v4().to_string(),
        lang: caller.lang,
        person: caller.person.clone(),
        acting_for: None,
        asker: Default::default(),
        command,
    };
    Backend::Service(service)
        .execute(request)
        .ok()
        .map(|answer| answer.data)
}

/// Version of the service, when it says of itself that its store is whole.
fn healthy_version(caller: &Caller) -> Option<String> {
    let status = asked(Command::Status, caller)?;
    let problems = status["problems"].as_array()?;
    let damaged = problems.iter().any(|p| p["code"] == "damaged");
    let version = status["version"].as_str()?.to_owned();
    (!damaged).then_some(version)
}

fn install(now: bool, again: bool, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let lang = caller.lang;
    if !rustix::process::geteuid().is_root() {
        return Err(failure(
            Exit::Usage,
            "fleet_root",
            t!(lang, "err-fleet-root"),
        ));
    }
    let loaded = caller.place.load()?;
    let answers = || healthy_version(caller);
    let machine = machine(&loaded, &answers);
    let locked = machine::lock(&machine.home).map_err(|e| failed(caller, &e.to_string()))?;
    let Some(_lock) = locked else {
        return Err(failure(
            Exit::Locked,
            "fleet_locked",
            t!(lang, "err-fleet-locked"),
        ));
    };
    let before = machine.journal();
    let journal = match before.clone().filter(|journal| journal.end.is_none()) {
        Some(unfinished) => unfinished,
        None => match chosen(&machine, &loaded, (now, again), before, caller)? {
            Some(journal) => journal,
            None => return Ok(Exit::Done),
        },
    };
    let mut told = |step: Move| {
        if step != Move::Wait {
            let (from, to) = (journal.from.as_str(), journal.to.as_str());
            say(&match step {
                Move::Install => t!(lang, "fleet-step-install", version = to),
                Move::PutBack => t!(lang, "fleet-step-back", version = from),
                Move::Restore => t!(lang, "fleet-step-restore"),
                _ => return,
            });
        }
    };
    let ended = machine.carry_out(journal.clone(), &mut told);
    let ended = ended.map_err(|error| failed(caller, &error.to_string()))?;
    let good = ended.end == Some(End::Done);
    let answer = Answer {
        exit: if good { Exit::Done } else { Exit::Degraded },
        data: json!({ "from": ended.from, "to": ended.to, "end": ended.end, "reason": ended.reason }),
        notes: Vec::new(),
    };
    out.answer(&answer, |data| {
        out.screen.facts(&[
            ("label-version", out.screen.plain(at(data, "to"))),
            (
                "label-state",
                out.screen.word("word-fleet-", at(data, "end")),
            ),
            ("label-reason", out.screen.plain(at(data, "reason"))),
        ])
    });
    Ok(answer.exit)
}

/// The installation that is due, with both packages checked and in root's own folder; `None` when there is none.
fn chosen(
    machine: &Machine<'_>,
    loaded: &Loaded,
    (now, again): (bool, bool),
    before: Option<Journal>,
    caller: &Caller,
) -> Result<Option<Journal>, Failure> {
    let lang = caller.lang;
    let Some(allowed) = permission(loaded, caller)? else {
        say(&t!(lang, "fleet-not-allowed"));
        return Ok(None);
    };
    let zone = loaded.config.node.time_zone.clone();
    let instant = Timestamp::from_millisecond(machine::now_ms()).unwrap_or_default();
    if !now && instant.to_zoned(zone).hour() != allowed.hour {
        return Ok(None);
    }
    let refused = |code: &str, message: String| failure(Exit::Failed, code, message);
    let installed = machine::installed()
        .ok_or_else(|| refused("fleet_no_package", t!(lang, "err-fleet-no-package")))?;
    let documents = asked(Command::DirectiveList, caller)
        .ok_or_else(|| refused("fleet_no_service", t!(lang, "err-fleet-no-service")))?;
    let mut newest: Option<(String, PathBuf)> = None;
    let mut former: Option<PathBuf> = None;
    for item in offers(&documents) {
        let hash = item["file"]["sha256"].as_str().and_then(blobs::parse_hex);
        let Some(hash) = hash.filter(|_| item["file_present"] == true) else {
            continue;
        };
        let file = blobs::path(&machine.data, &hash);
        let label = match package::label(&file, allowed.parent_key) {
            Ok(label) => label,
            // Anybody above may send a document; one that is not signed by the key that root named is no offer.
            Err(error) => {
                say(&t!(
                    lang,
                    "fleet-passed-over",
                    number = item["number"].as_str().unwrap_or("?"),
                    reason = error
                ));
                continue;
            }
        };
        if label.version == installed {
            former = Some(file);
        } else if machine::is_later(&label.version, &installed)
            && newest
                .as_ref()
                .is_none_or(|(known, _)| machine::is_later(&label.version, known))
        {
            newest = Some((label.version, file));
        }
    }
    let Some((version, file)) = newest else {
        say(&t!(lang, "fleet-nothing", version = installed));
        return Ok(None);
    };
    let taken_back = |journal: &Journal| {
        journal.to == version && matches!(journal.end, Some(End::WentBack | End::Stuck))
    };
    if !again && before.as_ref().is_some_and(taken_back) {
        say(&t!(lang, "fleet-taken-back", version = version));
        return Ok(None);
    }
    take(machine, &version, &file, &allowed, caller)?;
    if !machine.package(&installed).exists() {
        let former = former.ok_or_else(|| {
            let to = machine.package(&installed).display().to_string();
            refused(
                "fleet_no_way_back",
                t!(
                    lang,
                    "err-fleet-no-way-back",
                    version = installed,
                    file = to
                ),
            )
        })?;
        take(machine, &installed, &former, &allowed, caller)?;
    }
    let kept = machine.keep_program();
    kept.map_err(|error| failed(caller, &error.to_string()))?;
    let (now_ms, backups) = (machine::now_ms(), machine.format_backups());
    Ok(Some(Journal::new(installed, version, now_ms, backups)))
}

/// Brings an offered package into root's folder; from there on nobody else can change it.
fn take(
    machine: &Machine<'_>,
    version: &str,
    file: &Path,
    allowed: &Permission,
    caller: &Caller,
) -> Result<(), Failure> {
    let to = machine.package(version);
    let bad = |reason: String| {
        let _ = fs::remove_file(&to);
        let message = t!(
            caller.lang,
            "err-fleet-package",
            version = version,
            reason = reason
        );
        failure(Exit::Authentication, "fleet_package", message)
    };
    let label = package::unpack(file, allowed.parent_key, &to)
        .map_err(|error: PackageError| bad(error.to_string()))?;
    match machine::says(&to) {
        Some((name, found, architecture))
            if name == "nqsync" && found == version && label.version == version =>
        {
            if machine::fits(&architecture) {
                Ok(())
            } else {
                Err(bad(architecture))
            }
        }
        Some((name, found, _)) => Err(bad(format!("{name} {found}"))),
        None => Err(bad("dpkg-deb".to_owned())),
    }
}
