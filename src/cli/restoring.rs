//! `restore`: a backup in the place of the store. What is sealed is opened inside the data directory and goes from there.

use std::path::Path;

use serde_json::json;

use super::failure;
use super::place::Place;
use super::wiring::{runtime, stored, write_config};
use crate::api::{Answer, Exit, Failure, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::comeback::{self, ComebackError, Wanted};
use crate::daemon::{DaemonError, setup};
use crate::node::Refusal;
use crate::node::commands::{self, refuse};
use crate::node::sealed::{self, Opened, SealedError, Work};
use crate::store::restore::{self, Order, Restored};
use crate::store::{Store, StoreError, audit, backup, blobs};
use crate::t;
use crate::trust::files::make_private_folder;
use crate::trust::identity::NodeKey;

/// Has the last word over a store before it takes the place of the old one.
type Finish<'a> = dyn Fn(&Path) -> Result<(), StoreError> + 'a;

/// Puts a backup in the place of the store. On a new machine the configuration comes from the backup too.
pub fn restore(
    place: &Place,
    from: &Path,
    key: Option<&NodeKey>,
    replace: bool,
    person: &str,
) -> Outcome {
    let refused = |refusal: Refusal| refuse(place.lang, refusal);
    let opened = opened(from, key).map_err(refused)?;
    let file = place.file();
    let brought = !file.exists();
    if brought {
        let manifest = match &opened {
            None => backup::manifest(from).map_err(|e| refused(e.into()))?,
            Some(opened) => manifest_of(opened, from).map_err(refused)?,
        };
        // Before anything of it is written here: its own configuration says what another computer was.
        place.may_hold(manifest.classification)?;
        match &opened {
            None => bring_settings(place, from, &file)?,
            Some(opened) => {
                let beside = file.parent().unwrap_or(Path::new("."));
                let settings = |path: &str| path.starts_with(backup::SETTINGS);
                let work = unsealed(opened, from, beside, &settings);
                let work = work.map_err(|e| refused(e.into()))?;
                bring_settings(place, work.path(), &file)?;
            }
        }
    }
    let done = place.load().and_then(|loaded| {
        let config = &loaded.config;
        let as_it_is = |_: &Path| Ok(());
        let Some(opened) = &opened else {
            return restore_into(place, config, (from, from), replace, (person, &as_it_is));
        };
        // Before anything of it becomes readable in that directory.
        let manifest = manifest_of(opened, from).map_err(refused)?;
        restore::fits_level(&manifest, config.node.classification)
            .map_err(|e| refused(e.into()))?;
        let work = unsealed(opened, from, &config.node.data_dir, &|_| true);
        let work = work.map_err(|e| refused(e.into()))?;
        let folders = (work.path(), from);
        restore_into(place, config, folders, replace, (person, &as_it_is))
    });
    done.inspect_err(|_| {
        if brought {
            // A configuration whose store did not come must not stand in the way of the next try.
            let _ = std::fs::remove_file(&file);
        }
    })
}

/// Puts the backup that a lost machine of this unit deposited at the parent in the place of the store, under the name of this
/// machine.
pub fn from_parent(
    place: &Place,
    key: &NodeKey,
    wanted: Wanted,
    person: &str,
    say: &mut (dyn FnMut(usize, usize) + Send),
) -> Outcome {
    let refused = |refusal: Refusal| refuse(place.lang, refusal);
    let config = place.load()?.config;
    let dir = &config.node.data_dir;
    if restore::resume(dir).map_err(|e| stored(place, e))? {
        comeback::forget_fetched(dir).map_err(|e| stored(place, e))?;
        return Ok(Answer {
            exit: Exit::Done,
            data: json!({ "dir": dir, "unit": config.node.unit, "resumed": true }),
            notes: vec![t!(place.lang, "note-restored-waits")],
        });
    }
    let clock = Clock::system();
    let fetched = runtime(place)?.block_on(comeback::fetch(&config, &clock, key, wanted, say));
    let fetched = fetched.map_err(|error| not_back(place, error))?;
    let folder = &fetched.folder;
    let opened = sealed::open_folder(folder, key).map_err(|e| refused(e.into()))?;
    let work = unsealed(&opened, folder, dir, &|_| true).map_err(|e| refused(e.into()))?;
    let under_our_name =
        |staged: &Path| comeback::settle(&config, &clock, &fetched, staged, person);
    let folders = (work.path(), folder.as_path());
    let answer = restore_into(place, &config, folders, true, (person, &under_our_name));
    let mut answer = answer?;
    answer.data["from_node"] = json!(fetched.deposit.node);
    let at = jiff::Timestamp::from_millisecond(fetched.deposit.at).ok();
    answer.data["deposited_at"] = json!(at.map(|at| at.to_string()));
    comeback::forget_fetched(dir).map_err(|e| stored(place, e))?;
    Ok(answer)
}

fn not_back(place: &Place, error: ComebackError) -> Failure {
    let refusal = match error {
        ComebackError::NotEnrolled => Refusal::usage("comeback-not-enrolled", []),
        ComebackError::Unsent(count) => {
            Refusal::usage("comeback-unsent", [("count", count.to_string())])
        }
        ComebackError::None(held) => {
            let held: Vec<String> = held.iter().map(|one| one.node.to_string()).collect();
            Refusal::usage("comeback-none", [("held", held.join(", "))])
        }
        ComebackError::Sealed(error) => error.into(),
        ComebackError::Link(error) => {
            let exit = match error.is_transient() {
                true => Exit::Unreachable,
                false => Exit::Refused,
            };
            Refusal::with(exit, "comeback-line", [("detail", error.to_string())])
        }
        ComebackError::Local(DaemonError::Store(error)) => error.into(),
        ComebackError::Local(error) => {
            let detail = ("detail", error.to_string());
            Refusal::with(Exit::Failed, "comeback-line", [detail])
        }
    };
    refuse(place.lang, refusal)
}

/// Opens a backup that is sealed.
fn opened(from: &Path, key: Option<&NodeKey>) -> Result<Option<Opened>, Refusal> {
    let path = from.display().to_string();
    match (sealed::is_sealed(from), key) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(Refusal::usage("not-sealed", [("path", path)])),
        (true, Some(key)) => Ok(Some(sealed::open_folder(from, key)?)),
        (true, None) => {
            let key = sealed::sealed_for(from)?.to_string();
            Err(SealedError::NoKey { path, key }.into())
        }
    }
}

/// What a sealed backup says of itself.
fn manifest_of(opened: &Opened, from: &Path) -> Result<backup::Manifest, Refusal> {
    let manifest = sealed::manifest(opened, &mut |name| sealed::folder_piece(from, name));
    manifest.map_err(Refusal::from)
}

/// What was sealed, readable in a folder inside `dir`.
fn unsealed(
    opened: &Opened,
    from: &Path,
    dir: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Work, SealedError> {
    let work = Work::begin(dir)?;
    let mut fetch = |name: &_| sealed::folder_piece(from, name);
    opened.write_out(work.path(), wanted, &mut fetch)?;
    Ok(work)
}

fn restore_into(
    place: &Place,
    config: &Config,
    (from, shown): (&Path, &Path),
    replace: bool,
    (person, finish): (&str, &Finish<'_>),
) -> Outcome {
    let clock = Clock::system();
    let now_ms = clock.now_ms();
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let order = Order {
        from: from.to_owned(),
        dir: config.node.data_dir.clone(),
        unit: config.node.unit.clone(),
        level: config.node.classification,
        replace,
        now_ms,
        stamp: now.strftime("%Y%m%dT%H%M%SZ").to_string(),
    };
    let restored =
        restore::restore_with(&order, finish).map_err(|e| refuse(place.lang, e.into()))?;
    // Opened once, so that success is not said of a store that does not open.
    let store = Store::open(&setup::store_options(config)).map_err(|e| stored(place, e))?;
    let (actor, made_at) = (person.to_owned(), restored.manifest.made_at.clone());
    let noted = store.write_blocking(move |tx| {
        let act = audit::Act {
            at: now_ms,
            actor: &actor,
            act: "store.restored",
            subject: &made_at,
            detail: json!({}),
        };
        audit::append(tx, &act)
    });
    store.close();
    noted.map_err(|e: StoreError| stored(place, e))?;
    Ok(restored_answer(place, shown, &order, &restored))
}

fn restored_answer(place: &Place, shown: &Path, order: &Order, restored: &Restored) -> Answer {
    let mut data = commands::backup::facts(&restored.manifest, &shown.display().to_string());
    data["dir"] = json!(order.dir);
    data["aside"] = json!(restored.aside);
    data["waits_for_parent"] = json!(restored.waits);
    let elsewhere = &restored.manifest.elsewhere;
    let missing = restored.missing.iter().map(blobs::hex);
    let missing: Vec<String> = missing.filter(|id| !elsewhere.contains(id)).collect();
    data["missing_files"] = json!(missing);
    let mut notes = vec![if restored.waits {
        t!(place.lang, "note-restored-waits")
    } else {
        t!(place.lang, "note-restored-top")
    }];
    if !elsewhere.is_empty() {
        let count = elsewhere.len();
        notes.push(t!(place.lang, "note-restored-elsewhere", count = count));
    }
    let exit = if missing.is_empty() {
        Exit::Done
    } else {
        notes.push(t!(place.lang, "note-backup-files", count = missing.len()));
        Exit::Partly
    };
    Answer { exit, data, notes }
}

/// The configuration and the profiles of a backup, where there are none.
fn bring_settings(place: &Place, from: &Path, file: &Path) -> Result<(), Failure> {
    let kept = from.join(backup::SETTINGS);
    let beside = file.parent().unwrap_or(Path::new("."));
    let cannot = |e: std::io::Error| {
        let message = t!(
            place.lang,
            "err-cannot-write",
            path = file.display(),
            reason = e
        );
        failure(Exit::Failed, "cannot_write", message)
    };
    let text = std::fs::read_to_string(kept.join("config.toml")).map_err(|_| {
        let message = t!(place.lang, "err-no-config", file = file.display());
        failure(Exit::NotInitialised, "not_initialised", message)
    })?;
    make_private_folder(beside).map_err(cannot)?;
    write_config(file, &text).map_err(cannot)?;
    let Ok(profiles) = std::fs::read_dir(kept.join("adapters.d")) else {
        return Ok(());
    };
    let folder = beside.join("adapters.d");
    make_private_folder(&folder).map_err(cannot)?;
    for profile in profiles.flatten() {
        let target = folder.join(profile.file_name());
        if !target.exists() {
            std::fs::copy(profile.path(), target).map_err(cannot)?;
        }
    }
    Ok(())
}
