//! Connecting an outside system by answering questions: what a template, or a profile that is there, asks a person, and
//! writing the answers down. Whatever else a profile says stays what its template says, and no answer names a program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::profile;
use super::run::is_name;
use super::template::{self, Draft, Question, TEMPLATES};
use crate::api::{Answer, Exit, Lang, Outcome, Request, Secret};
use crate::node::{Node, Refusal, commands};
use crate::store::{StoreError, audit};
use crate::text;
use crate::trust::files::{self, Existing, FileError, Secrecy};

/// The key under which the service runs an adapter by itself.
const ENABLED: &str = "enabled";

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
            .map_err(|error| refuse(unfit(&error)))?;
    }
    let mut form = form(&draft, template, lang);
    form["template"] = template.into();
    Ok(done(form))
}

/// The same of an adapter that is there, with what was answered.
pub fn settings(node: &Node, lang: Lang, name: &str) -> Outcome {
    let refuse = |refusal| commands::refuse(lang, refusal);
    let file = file_of(node, name).map_err(refuse)?;
    let draft = kept(name, &file).map_err(refuse)?;
    let mut form = form(&draft, name, lang);
    for secret in form["secrets"].as_array_mut().into_iter().flatten() {
        let ending = secret["ending"].as_str().unwrap_or_default();
        secret["is_there"] = secret_file(&file, name, ending).exists().into();
    }
    Ok(done(form))
}

fn form(draft: &Draft, name: &str, lang: Lang) -> Value {
    // A key that no shipped template asks for is called what its profile calls it.
    let label = |key: &str, own: &str| {
        let last = key.rsplit('.').next().unwrap_or(key);
        text::word(lang, "word-adapter-ask-", last).unwrap_or_else(|| own.to_owned())
    };
    let questions: Vec<Value> = asked(draft)
        .map(|q| json!({ "key": q.path, "label": label(&q.path, &q.text), "value": q.default }))
        .collect();
    let secrets: Vec<Value> = draft
        .secrets(name)
        .into_iter()
        .map(|secret| {
            let label = label(&secret.key, &secret.key);
            json!({ "ending": secret.ending, "label": label, "is_there": false })
        })
        .collect();
    json!({ "name": name, "title": draft.get("title"), "questions": questions, "secrets": secrets })
}

/// Writes answers down: the secrets first, so that a profile never names one that is not there.
pub async fn set(node: &Node, request: &Request, answers: &Answers<'_>) -> Outcome {
    let refuse = |refusal| commands::refuse(request.lang, refusal);
    let (profile, file) = checked(node, answers).map_err(refuse)?;
    let given = answers
        .secrets
        .iter()
        .filter(|(_, secret)| !secret.reveal().is_empty());
    let mut all: Vec<(PathBuf, String)> = given
        .map(|(ending, secret)| {
            let path = secret_file(&file, answers.name, ending);
            (path, secret.reveal().to_owned())
        })
        .collect();
    all.push((file.clone(), profile));
    let written = tokio::task::spawn_blocking(move || {
        all.iter().try_for_each(|(path, text)| {
            files::write(path, text.as_bytes(), Secrecy::Private, Existing::Replace)
                .map_err(|error| unwritten(path, &error))
        })
    });
    let panicked = |error: tokio::task::JoinError| StoreError::Panicked(error.to_string());
    written
        .await
        .unwrap_or_else(|error| Err(panicked(error).into()))
        .map_err(refuse)?;
    let (at, person) = (node.clock.now_ms(), request.person.clone());
    let name = answers.name.to_owned();
    let detail = json!({
        "template": answers.template, "enabled": answers.enabled,
        "keys": answers.keys.keys().collect::<Vec<_>>(),
    });
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
    noted
        .await
        .map_err(|error: StoreError| refuse(Refusal::from(error)))?;
    Ok(done(json!({ "name": answers.name, "file": file })))
}

/// The new text of the profile and its file; nothing is written yet.
fn checked(node: &Node, answers: &Answers<'_>) -> Result<(String, PathBuf), Refusal> {
    let file = file_of(node, answers.name)?;
    let mut draft = match answers.template {
        Some(_) if file.exists() => {
            let path = ("path", file.display().to_string());
            return Err(Refusal::usage("adapter-there", [path]));
        }
        Some(template) => begun(template, answers.name)?,
        None => kept(answers.name, &file)?,
    };
    let open: Vec<String> = asked(&draft).map(|question| question.path).collect();
    let secrets = draft.secrets(answers.name);
    let is_secret = |name: &String| secrets.iter().any(|secret| secret.ending == *name);
    let unasked = answers.keys.keys().find(|key| !open.contains(key));
    let unasked = unasked.or_else(|| answers.secrets.keys().find(|name| !is_secret(name)));
    if let Some(key) = unasked {
        return Err(unfit(&format!("{key} is not asked for")));
    }
    let enabled = answers.enabled.map(|on| (ENABLED, on.to_string()));
    let keys = answers
        .keys
        .iter()
        .map(|(key, text)| (key.as_str(), text.clone()));
    for (key, text) in keys.chain(enabled) {
        draft.set(key, &text).map_err(|error| unfit(&error))?;
    }
    let text = draft.text();
    let profile = profile::parse(&text).map_err(|problems| {
        let lines = problems.iter();
        let lines = lines.map(|problem| format!("{}: {}", problem.key, problem.message));
        unfit(&lines.collect::<Vec<_>>().join("\n"))
    })?;
    let shown = node.store.shown();
    match &profile.unit {
        Some(unit) if shown.tree.resolve(unit, shown.unit).is_err() => {
            Err(Refusal::usage("adapter-unit", [("unit", unit.clone())]))
        }
        _ => Ok((text, file)),
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

/// A profile that is begun.
fn begun(template: &str, name: &str) -> Result<Draft, Refusal> {
    let unknown = || Refusal::usage("adapter-template", [("template", template.to_owned())]);
    let found = template::find(template).ok_or_else(unknown)?;
    Draft::begin(found, name).map_err(|error| unfit(&error))
}

/// The profile of an adapter that is there.
fn kept(name: &str, file: &Path) -> Result<Draft, Refusal> {
    let text = std::fs::read_to_string(file).map_err(|_| {
        let path = ("path", file.display().to_string());
        Refusal::usage("adapter-unknown", [("name", name.to_owned()), path])
    })?;
    Draft::of(name, &text).map_err(|error| unfit(&error))
}

/// The questions that are answered here: a secret has a field of its own, and which program runs is for whoever has the
/// machine.
fn asked(draft: &Draft) -> impl Iterator<Item = Question> {
    let of_a_person = |question: &Question| {
        !question.is_secret && question.path.split('.').next() != Some("process")
    };
    draft.questions().into_iter().filter(of_a_person)
}

fn unfit(reason: &impl ToString) -> Refusal {
    Refusal::usage("adapter-answer", [("reason", reason.to_string())])
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
            let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
            let keys = asked(&draft).map(|question| last(&question.path));
            let secrets = draft
                .secrets(template.name)
                .into_iter()
                .map(|secret| secret.key);
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
