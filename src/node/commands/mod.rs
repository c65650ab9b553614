//! The verbs of the contract. Reading verbs run on one snapshot of the store, writing verbs in one transaction,
//! together with their audit entry and the answer a retry would get.

use nqsync_core::model::{Tree, UnitId};
use rusqlite::Connection;
use serde_json::Value;

use super::write::Acting;
use super::{Node, Refusal};
use crate::api::{Answer, Command, Exit, Failure, Lang, Outcome, Request};
use crate::store::{Tx, audit, queries};

/// A sentence for people: catalogue key and arguments.
pub type Note = (&'static str, Vec<(&'static str, String)>);

/// What a verb answers, before its notes are put into the request's language.
#[derive(Debug)]
pub struct Said {
    /// Exit code.
    pub exit: Exit,
    /// What `--json` prints.
    pub data: Value,
    /// Sentences for people.
    pub notes: Vec<Note>,
}

impl Said {
    /// Done, with data.
    pub fn done(data: Value) -> Said {
        Said {
            exit: Exit::Done,
            data,
            notes: Vec::new(),
        }
    }

    /// Adds a sentence.
    pub fn note(
        mut self,
        key: &'static str,
        args: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Said {
        self.notes.push((key, args.into_iter().collect()));
        self
    }
}

/// A reading verb's surroundings.
pub struct Reading<'a> {
    /// The node.
    pub node: &'a Node,
    /// One snapshot of its store.
    pub connection: &'a Connection,
    /// The unit tree in it.
    pub tree: Tree,
    /// The unit this node was set up for.
    pub home: UnitId,
    /// Now.
    pub now_ms: i64,
    /// What was asked.
    pub request: &'a Request,
}

/// A writing verb's surroundings.
pub struct Writing<'a, 't> {
    /// The node.
    pub node: &'a Node,
    /// The transaction.
    pub tx: &'a mut Tx<'t>,
    /// Now.
    pub now_ms: i64,
    /// What was asked.
    pub request: &'a Request,
}

impl Writing<'_, '_> {
    /// The unit named with `--for`, else `default`, else the unit this node was set up for.
    pub fn acting(&self, default: Option<UnitId>) -> Result<Acting, Refusal> {
        let home = self.tx.unit()?;
        let unit = match &self.request.acting_for {
            Some(text) => resolve(&self.tx.tree(), text, home)?,
            None => default.unwrap_or(home),
        };
        Ok(Acting {
            unit,
            person: self.request.person.clone(),
            now_ms: self.now_ms,
        })
    }
}

/// The unit that was typed.
pub fn resolve(tree: &Tree, text: &str, near: UnitId) -> Result<UnitId, Refusal> {
    use nqsync_core::model::TreeError;
    match tree.resolve(text, Some(near)) {
        Ok(unit) => Ok(unit.id),
        Err(TreeError::Unknown(text)) => Err(Refusal::usage("unknown-unit", [("unit", text)])),
        Err(TreeError::Ambiguous { text, paths }) => Err(Refusal::usage(
            "ambiguous-unit",
            [("unit", text), ("paths", paths.join(", "))],
        )),
    }
}

/// Carries a verb out.
pub async fn execute(node: &Node, request: Request) -> Outcome {
    let lang = request.lang;
    let (worker, request_id) = (node.clone(), request.request_id.clone());
    let result = if request.command.writes() {
        let store = node.store.clone();
        store.write(move |tx| write(&worker, tx, &request)).await
    } else {
        let store = node.store.clone();
        store
            .read(move |connection| {
                read(&worker, connection, &request).map(|said| speak(lang, said))
            })
            .await
    };
    result.map_err(|refusal: Refusal| {
        tracing::info!(request = %request_id, code = refusal.code, "refused a command");
        refuse(lang, refusal)
    })
}

fn write(node: &Node, tx: &mut Tx<'_>, request: &Request) -> Result<Answer, Refusal> {
    if let Some(earlier) = tx.earlier_answer(&request.request_id)? {
        return serde_json::from_str(&earlier)
            .map_err(|e| Refusal::with(Exit::Failed, "store", [("detail", e.to_string())]));
    }
    let now_ms = node.clock.now_ms();
    let said = write_verb(&mut Writing {
        node,
        tx,
        now_ms,
        request,
    })?;
    let answer = speak(request.lang, said);
    let verb = serde_json::to_value(&request.command).ok();
    let verb = verb
        .as_ref()
        .and_then(|v| v["verb"].as_str())
        .unwrap_or_default();
    let subject = answer.data["id"].as_str().unwrap_or_default();
    let detail = serde_json::json!({ "request": request.request_id, "exit": answer.exit });
    audit::append(
        tx,
        &audit::Act {
            at: now_ms,
            actor: &request.person,
            act: verb,
            subject,
            detail,
        },
    )?;
    let kept = serde_json::to_string(&answer).unwrap_or_default();
    tx.keep_answer(&request.request_id, &kept, now_ms)?;
    Ok(answer)
}

fn read(node: &Node, connection: &Connection, request: &Request) -> Result<Said, Refusal> {
    let tree = queries::load_tree(connection)?;
    let home = queries::meta(connection, "unit")?.and_then(|text| text.parse().ok());
    let home = home.ok_or_else(|| {
        Refusal::with(
            Exit::NotInitialised,
            "not-initialised",
            [("detail", String::new())],
        )
    })?;
    let now_ms = node.clock.now_ms();
    read_verb(&Reading {
        node,
        connection,
        tree,
        home,
        now_ms,
        request,
    })
}

fn read_verb(on: &Reading<'_>) -> Result<Said, Refusal> {
    match &on.request.command {
        _ => Err(unknown_verb(on.request)),
    }
}

fn write_verb(on: &mut Writing<'_, '_>) -> Result<Said, Refusal> {
    match &on.request.command {
        _ => Err(unknown_verb(on.request)),
    }
}

/// A verb that this build does not answer in this way.
fn unknown_verb(request: &Request) -> Refusal {
    let verb = format!("{:?}", std::mem::discriminant::<Command>(&request.command));
    Refusal::with(Exit::Failed, "unknown-verb", [("verb", verb)])
}

fn speak(lang: Lang, said: Said) -> Answer {
    let notes = said
        .notes
        .iter()
        .map(|(key, args)| sentence(lang, key, args))
        .collect();
    Answer {
        exit: said.exit,
        data: said.data,
        notes,
    }
}

/// A refusal in the request's language.
pub fn refuse(lang: Lang, refusal: Refusal) -> Failure {
    let message = sentence(lang, &format!("err-{}", refusal.code), &refusal.args);
    let data = refusal
        .args
        .iter()
        .map(|(k, v)| ((*k).to_owned(), Value::String(v.clone())))
        .collect();
    Failure {
        exit: refusal.exit,
        code: refusal.code.replace('-', "_"),
        message,
        data: Value::Object(data),
    }
}

fn sentence(lang: Lang, key: &str, args: &[(&'static str, String)]) -> String {
    let args: Vec<(&str, &str)> = args
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    crate::text::text(lang, key, &args)
}
