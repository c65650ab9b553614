//! Connecting an outside system by answering questions: what a template, or a profile that is there, asks a person, and
//! writing the answers down. Whatever else a profile says stays what its template says, and no answer names a program.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::profile;
use super::run::{is_name, may_open};
use super::template::{self, Draft, Question, SecretFile, TEMPLATES};
use crate::api::{Answer, Exit, Lang, Outcome, Request, Secret};
use crate::node::{Node, Refusal, commands};
use crate::store::{StoreError, audit};
use crate::text;
use crate::trust::files::{self, Existing, FileError, Secrecy};

/// The key under which the service runs an adapter by itself.
const ENABLED: &str = "enabled";
/// Keys that say where a secret goes: with another address it has to be given again.
const ADDRESSES: [&str; 3] = ["base_url", "host", "token_url"];
/// Keys for which a template has nothing but an example.
const OWN: [&str; 11] = [
    "base_url",
    "host",
    "user",
    "from",
    "to",
    "organisation",
    "name",
    "partner_code",
    "partner_code_cus",
    "client_id",
    "grant_id",
];
/// Keys that name a folder; through the console it is one of the data directory.
const FOLDERS: [&str; 2] = ["incoming", "outgoing"];

/// One at a time: what is asked, what is there and what is written belong together.
static SAVING: Mutex<()> = Mutex::const_new(());

/// What is known of a system that is to be connected, or is.
pub struct Answers<'a> {
    /// Name of the adapter.
    pub name: &'a str,
    /// Begins a new profile from it; `None`: changes the one that is there.
    pub template: Option<&'a str>,
    /// By the path of their key.
    pub keys: &'a BTreeMap<String, String>,
    /// By the ending of their file. An empty one leaves what is there.
    pub secrets: &'a BTreeMap<String, Secret>,
    /// Whether the service runs it by itself; `None`: as it is.
    pub enabled: Option<bool>,
}

/// The templates, each with what people call its system.
pub fn templates() -> Outcome {
    let items = TEMPLATES.iter().filter_map(|template| {
        let profile = profile::parse(template.text).ok()?;
        Some(json!({ "name": template.name, "title": profile.title }))
    });
    Ok(done(commands::views::listed(items.collect())))
}

/// What is asked of a system that is to be connected. The unit is first of all the one that this node serves.
pub fn template(node: &Node, lang: Lang, template: &str) -> Outcome {
    let refuse = |refusal| commands::refuse(lang, refusal);
    let mut draft = begun(template, template).map_err(refuse)?;
    let shown = node.store.shown();
    let own = shown.unit.and_then(|unit| shown.tree.get(unit));
    if let (Some(own), Some(_)) = (own, draft.get("unit")) {
        draft
            .set("unit", &own.code)
            .map_err(|error| refuse(unfit(&error.path, &error.why)))?;
    }
    let mut form = form(&draft, template, lang);
    form["template"] = template.into();
    for question in form["questions"].as_array_mut().into_iter().flatten() {
        if is(&OWN, question["key"].as_str().unwrap_or_default()) {
            question["example"] = question["value"].take();
            question["required"] = true.into();
        }
    }
    for secret in form["secrets"].as_array_mut().into_iter().flatten() {
        secret["required"] = true.into();
    }
    Ok(done(form))
}

/// The same of an adapter that is there, with what was answered.
pub fn settings(node: &Node, lang: Lang, name: &str) -> Outcome {
    let refuse = |refusal| commands::refuse(lang, refusal);
    let file = file_of(node, name).map_err(refuse)?;
    let draft = kept(name, &file).map_err(refuse)?;
    let mut form = form(&draft, name, lang);
    form["file"] = file.display().to_string().into();
    for secret in form["secrets"].as_array_mut().into_iter().flatten() {
        let ending = secret["ending"].as_str().unwrap_or_default();
        secret["is_there"] = secret_file(&file, name, ending).exists().into();
    }
    Ok(done(form))
}

fn form(draft: &Draft, name: &str, lang: Lang) -> Value {
    let questions: Vec<Value> = asked(draft)
        .map(|q| json!({ "key": q.path, "label": label(lang, &q.path, &q.text), "value": q.default }))
        .collect();
    let secrets: Vec<Value> = secrets(draft, name)
        .map(|secret| {
            let label = label(lang, &secret.key, &secret.key);
            json!({ "ending": secret.ending, "label": label, "is_there": false })
        })
        .collect();
    json!({ "name": name, "title": draft.get("title"), "questions": questions, "secrets": secrets })
}

/// What a key is called. One that no shipped template asks for is called what its profile calls it.
fn label(lang: Lang, key: &str, own: &str) -> String {
    text::word(lang, "word-adapter-ask-", last(key)).unwrap_or_else(|| own.to_owned())
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn is(kind: &[&str], key: &str) -> bool {
    kind.contains(&last(key))
}

/// Writes answers down: the secrets first, because a profile that is there may run.
pub async fn set(node: &Node, request: &Request, answers: &Answers<'_>) -> Outcome {
    let refuse = |refusal| commands::refuse(request.lang, refusal);
    let _alone = SAVING.lock().await;
    let (profile, file) = checked(node, request.lang, answers).map_err(refuse)?;
    // Who did it is known also where the rest of it fails.
    note(node, request, answers)
        .await
        .map_err(|error| refuse(Refusal::from(error)))?;
    let secrets: Vec<(PathBuf, String)> = given(answers)
        .map(|(ending, secret)| {
            let path = secret_file(&file, answers.name, ending);
            (path, secret.reveal().to_owned())
        })
        .collect();
    let path = file.clone();
    let existing = match answers.template {
        Some(_) => Existing::Keep,
        None => Existing::Replace,
    };
    let written = tokio::task::spawn_blocking(move || {
        let written = |path: &Path, text: &str, secrecy, existing| {
            files::write(path, text.as_bytes(), secrecy, existing)
                .map_err(|error| unwritten(path, &error))
        };
        for (path, secret) in &secrets {
            written(path, secret, Secrecy::Private, Existing::Replace)?;
        }
        written(&path, &profile, Secrecy::Public, existing)
    });
    let panicked = |error: tokio::task::JoinError| StoreError::Panicked(error.to_string());
    written
        .await
        .unwrap_or_else(|error| Err(panicked(error).into()))
        .map_err(refuse)?;
    Ok(done(json!({ "name": answers.name, "file": file })))
}

/// Who answered what; of the answers themselves only where secrets go from now on.
async fn note(node: &Node, request: &Request, answers: &Answers<'_>) -> Result<(), StoreError> {
    let addresses: BTreeMap<_, _> = answers
        .keys
        .iter()
        .filter(|(key, _)| is(&ADDRESSES, key))
        .collect();
    let detail = json!({
        "template": answers.template, "enabled": answers.enabled, "addresses": addresses,
        "keys": answers.keys.keys().collect::<Vec<_>>(),
        "secrets": given(answers).map(|(ending, _)| ending).collect::<Vec<_>>(),
    });
    let (at, name) = (node.clock.now_ms(), answers.name.to_owned());
    let person = request.person.clone();
    let noted = node.store.write(move |tx| {
        let act = audit::Act {
            at,
            actor: &person,
            act: "adapter.set",
            subject: &name,
            detail,
        };
        audit::append(tx, &act)
    });
    noted.await
}

fn given<'a>(answers: &'a Answers<'_>) -> impl Iterator<Item = (&'a String, &'a Secret)> {
    let all = answers.secrets.iter();
    all.filter(|(_, secret)| !secret.reveal().is_empty())
}

/// The new text of the profile and its file; nothing is written yet.
fn checked(node: &Node, lang: Lang, answers: &Answers<'_>) -> Result<(String, PathBuf), Refusal> {
    let file = file_of(node, answers.name)?;
    let mut draft = match answers.template {
        Some(_) if file.exists() => {
            let path = ("path", file.display().to_string());
            return Err(Refusal::usage("adapter-there", [path]));
        }
        Some(template) => begun(template, answers.name)?,
        None => kept(answers.name, &file)?,
    };
    let before = draft.clone();
    answer(&mut draft, lang, answers)?;
    let is_new = answers.template.is_some();
    let moved =
        |(key, _): (&String, &String)| is(&ADDRESSES, key) && draft.get(key) != before.get(key);
    let anew = is_new || answers.keys.iter().any(moved);
    for secret in secrets(&draft, answers.name) {
        let path = secret_file(&file, answers.name, &secret.ending);
        let is_given = given(answers).any(|(ending, _)| *ending == secret.ending);
        let is_typed = is_new || !answers.keys.is_empty();
        if is_typed && !is_given && (anew || !path.exists()) {
            let label = label(lang, &secret.key, &secret.key);
            return Err(Refusal::usage("adapter-secret-needed", [("label", label)]));
        }
    }
    let text = draft.text();
    let profile = profile::parse(&text).map_err(|problems| {
        let problem = problems.into_iter().next();
        problem.map_or_else(|| unfit("", ""), |p| unfit(&p.key, &p.message))
    })?;
    may_open(node, answers.name, profile.ceiling.into())?;
    let shown = node.store.shown();
    let is_known = |unit: &String| shown.tree.resolve(unit, shown.unit).is_ok();
    match answers.keys.get("unit") {
        Some(unit) if !is_known(unit) => {
            Err(Refusal::usage("adapter-unit", [("unit", unit.clone())]))
        }
        _ => Ok((text, file)),
    }
}

/// Sets what was asked for, and nothing else.
fn answer(draft: &mut Draft, lang: Lang, answers: &Answers<'_>) -> Result<(), Refusal> {
    let questions: Vec<Question> = asked(draft).collect();
    let is_open = |key: &&String| questions.iter().any(|question| question.path == **key);
    let is_secret = |ending: &&String| secrets(draft, answers.name).any(|s| s.ending == **ending);
    let unasked = answers.keys.keys().find(|key| !is_open(key));
    let unasked = unasked.or_else(|| answers.secrets.keys().find(|ending| !is_secret(ending)));
    if let Some(key) = unasked {
        return Err(Refusal::usage("adapter-unasked", [("key", key.clone())]));
    }
    for question in &questions {
        let called = || [("label", label(lang, &question.path, &question.text))];
        let typed = answers.keys.get(&question.path);
        let is_missing = typed.is_none_or(String::is_empty);
        if answers.template.is_some() && is(&OWN, &question.path) && is_missing {
            return Err(Refusal::usage("adapter-needed", called()));
        }
        let Some(typed) = typed else { continue };
        draft
            .set(&question.path, typed)
            .map_err(|error| unfit(&error.path, &error.why))?;
        let set = draft.get(&question.path).unwrap_or_default();
        // A profile is read line by line for what it asks: no answer begins a line.
        if set.chars().any(char::is_control) {
            return Err(Refusal::usage("adapter-one-line", called()));
        }
        // Whoever has the machine may have named another place in the file.
        let is_moved = is(&FOLDERS, &question.path) && set != question.default;
        let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if is_moved && !Path::new(&set).components().all(is_inside) {
            return Err(Refusal::usage("adapter-folder", called()));
        }
    }
    match answers.enabled {
        Some(enabled) => draft
            .set(ENABLED, &enabled.to_string())
            .map_err(|error| unfit(&error.path, &error.why)),
        None => Ok(()),
    }
}

fn file_of(node: &Node, name: &str) -> Result<PathBuf, Refusal> {
    match is_name(name) {
        true => Ok(node.settings.adapters_dir.join(format!("{name}.toml"))),
        false => Err(Refusal::usage("adapter-name", [("name", name.to_owned())])),
    }
}

fn secret_file(profile: &Path, name: &str, ending: &str) -> PathBuf {
    profile.with_file_name(format!("{name}.{ending}"))
}

/// The secrets that lie beside the profile, and nowhere else.
fn secrets(draft: &Draft, name: &str) -> impl Iterator<Item = SecretFile> {
    let all = draft.secrets(name).into_iter();
    all.filter(|secret| is_name(&secret.ending))
}

/// A profile that is begun.
fn begun(template: &str, name: &str) -> Result<Draft, Refusal> {
    let unknown = || Refusal::usage("adapter-template", [("template", template.to_owned())]);
    let found = template::find(template).ok_or_else(unknown)?;
    Draft::begin(found, name).map_err(|error| unfit(&error.path, &error.why))
}

/// The profile of an adapter that is there.
fn kept(name: &str, file: &Path) -> Result<Draft, Refusal> {
    let text = std::fs::read_to_string(file).map_err(|_| {
        let path = ("path", file.display().to_string());
        Refusal::usage("adapter-unknown", [("name", name.to_owned()), path])
    })?;
    Draft::of(name, &text).map_err(|error| unfit(&error.path, &error.why))
}

/// The questions that are answered here: a secret has a field of its own, and which program runs is for whoever has the
/// machine.
fn asked(draft: &Draft) -> impl Iterator<Item = Question> {
    let of_a_person = |question: &Question| {
        !question.is_secret && question.path.split('.').next() != Some("process")
    };
    draft.questions().into_iter().filter(of_a_person)
}

fn unfit(key: &str, why: &str) -> Refusal {
    let args = [("key", key.to_owned()), ("reason", why.to_owned())];
    Refusal::usage("adapter-answer", args)
}

fn unwritten(path: &Path, error: &FileError) -> Refusal {
    let reason = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let args = [("path", path.display().to_string()), ("reason", reason)];
    Refusal::with(Exit::Failed, "adapter-write", args)
}

fn done(data: Value) -> Answer {
    Answer {
        exit: Exit::Done,
        data,
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_template_and_each_of_its_questions_has_words_in_both_languages() {
        for template in TEMPLATES {
            let draft =
                begun(template.name, template.name).unwrap_or_else(|_| panic!("{}", template.name));
            let keys = asked(&draft).map(|question| last(&question.path).to_owned());
            let secrets = secrets(&draft, template.name).map(|secret| secret.key);
            let all: Vec<String> = keys.chain(secrets).collect();
            assert!(!all.is_empty(), "{}", template.name);
            for lang in [Lang::Vi, Lang::En] {
                let told = text::word(lang, "word-adapter-template-", template.name);
                assert!(told.is_some(), "{}", template.name);
                for key in &all {
                    let label = text::word(lang, "word-adapter-ask-", key);
                    assert!(label.is_some(), "{}: {key}", template.name);
                }
            }
        }
    }
}
