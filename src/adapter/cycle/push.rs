//! What changed here, written there: noted first, sent, read back, struck out.

use std::collections::BTreeMap;

use nqsync_core::protocol::hex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::compare::{Rule, set, value};
use super::mapped::{Body, body_input};
use super::mine::Mine;
use super::packed::Packed;
use super::report::Report;
use super::round::{Todo, saw};
use super::theirs::Theirs;
use super::{Cycle, RunError};

use crate::adapter::engine::{Engine, EngineError, Write, Written};
use crate::adapter::ours::Fields;
use crate::adapter::profile::{Stream, StreamKind};
use crate::store::Tx;
use crate::store::adapters::{self, Begun, Shadow};

/// A write on its way.
struct Outgoing {
    todo: Todo,
    mine: Mine,
    /// The fields that are written, with our values.
    fields: Fields,
    write: Write,
}

/// Writes that are no longer open.
#[derive(Default)]
struct Ended {
    /// What both sides have after those that were carried out.
    agreed: Vec<Shadow>,
    /// Keys of those that were not.
    undone: Vec<String>,
}

/// Whether a write that ended in this error was certainly not carried out.
fn cannot_have_arrived(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Authentication(_) | EngineError::NotAllowed(_)
    )
}

impl<E: Engine> Cycle<'_, E> {
    /// Writes there what changed here. Answers whether all of it was sent.
    pub(super) async fn push(
        &mut self,
        stream: &Stream,
        rules: &[Rule],
        todo: Vec<Packed<Todo>>,
        report: &mut Report,
    ) -> Result<bool, RunError> {
        let mut todo = todo.into_iter().peekable();
        while todo.peek().is_some() {
            let part = todo.by_ref().take(self.engine.at_once());
            let part: Vec<Todo> = part.map(|todo| todo.open()).collect();
            let outgoing = self.prepare(stream, part, report).await?;
            self.note(stream, &outgoing).await?;
            let writes: Vec<Write> = outgoing.iter().map(|out| out.write.clone()).collect();
            let results = self.engine.write(stream, &writes).await;
            let mut ended = Ended::default();
            let all = self
                .answered(stream, rules, outgoing, results, &mut ended, report)
                .await;
            self.end(stream, ended).await?;
            all?;
        }
        Ok(true)
    }

    /// What became of each write. `ended` is to be noted, also when an error ends the run.
    async fn answered(
        &mut self,
        stream: &Stream,
        rules: &[Rule],
        outgoing: Vec<Outgoing>,
        results: Vec<Result<Written, EngineError>>,
        ended: &mut Ended,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let (mut results, mut stopped) = (results.into_iter(), None);
        for out in outgoing {
            match results.next() {
                Some(Ok(written)) => {
                    let shadow = self.written(stream, rules, out, written, report).await?;
                    ended.agreed.extend(shadow);
                }
                Some(Err(error)) if error.ends_the_run() => {
                    if cannot_have_arrived(&error) {
                        ended.undone.push(out.todo.key);
                    } else {
                        report.in_doubt += 1;
                    }
                    stopped = Some(error);
                }
                Some(Err(error)) => {
                    let code = match &error {
                        EngineError::Moved(_) => "moved",
                        _ => "refused_there",
                    };
                    report.problem(&out.todo.key, code, error.to_string(), self.now_ms());
                    ended.undone.push(out.todo.key);
                }
                // Never sent.
                None => ended.undone.push(out.todo.key),
            }
        }
        stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Bodies from the state that our records have now.
    async fn prepare(
        &mut self,
        stream: &Stream,
        todo: Vec<Todo>,
        report: &mut Report,
    ) -> Result<Vec<Outgoing>, RunError> {
        let mut outgoing = Vec::new();
        for todo in todo {
            let Some(before) = &todo.mine else { continue };
            let Some((mine, context)) = self.reload(stream, before.about.clone()).await? else {
                continue;
            };
            let fields = pushed(&todo, &mine);
            if fields.is_empty() && !todo.creates() {
                continue;
            }
            let key = todo.key.clone();
            let Some(todo) = self.refreshed(stream, todo, report).await? else {
                continue;
            };
            match self.body(stream, &todo, &mine, &fields, context).await? {
                Ok(body) => outgoing.push(self.outgoing(stream, todo, mine, fields, body)),
                Err(text) => report.problem(&key, "mapping_body", text, self.now_ms()),
            }
        }
        Ok(outgoing)
    }

    /// The record as it is there right now, where the profile asks for it; `None`: it moved since it was listed, or is gone,
    /// and the next run compares again.
    async fn refreshed(
        &mut self,
        stream: &Stream,
        todo: Todo,
        report: &mut Report,
    ) -> Result<Option<Todo>, RunError> {
        let Some(id) = todo.id().filter(|_| stream.write.fresh) else {
            return Ok(Some(todo));
        };
        let raw = self.engine.fetch(stream, &id).await?;
        let now = self
            .understand(stream, raw.into_iter().collect(), report)
            .await?
            .pop();
        let same = now.as_ref().is_some_and(|now| now.fields == todo.values.1);
        if !same {
            let text = self.say("adapter-moved", &[("key", &todo.key)]);
            report.problem(&todo.key, "moved", text, self.now_ms());
            return Ok(None);
        }
        Ok(Some(Todo {
            theirs: now,
            ..todo
        }))
    }

    fn outgoing(
        &self,
        stream: &Stream,
        todo: Todo,
        mine: Mine,
        fields: Fields,
        body: Value,
    ) -> Outgoing {
        let id = todo.id();
        let agreed_at = todo.shadow.as_ref().map_or(0, |shadow| shadow.agreed_at);
        let tried = todo.tried.clone().unwrap_or_else(|| {
            idempotency_key(&[
                self.name,
                &stream.name,
                &todo.key,
                &agreed_at.to_string(),
                &body.to_string(),
            ])
        });
        let version = match (&todo.theirs, &todo.shadow) {
            (Some(theirs), _) => theirs.version.clone(),
            (None, shadow) => shadow.as_ref().and_then(|shadow| shadow.version.clone()),
        };
        let write = Write {
            key: todo.key.clone(),
            id,
            body,
            idempotency_key: tried,
            version,
        };
        Outgoing {
            todo,
            mine,
            fields,
            write,
        }
    }

    async fn body(
        &mut self,
        stream: &Stream,
        todo: &Todo,
        mine: &Mine,
        changed: &Fields,
        context: Value,
    ) -> Result<Result<Value, String>, RunError> {
        let part = if todo.creates() { "create" } else { "update" };
        let body = Body {
            key: &todo.key,
            id: todo.id(),
            fields: &mine.fields,
            changed,
        };
        let zone = &self.node.settings.zone;
        let mut input = match body_input(stream, self.profile, zone, context, body) {
            Ok(input) => input,
            Err(error) => return Ok(Err(format!("{}: {error}", todo.key))),
        };
        input["external"] = match (&todo.theirs, todo.id()) {
            (Some(theirs), _) => theirs.raw.clone(),
            (None, Some(id))
                if stream
                    .write
                    .update
                    .as_deref()
                    .is_some_and(|jq| jq.contains("external")) =>
            {
                self.engine.fetch(stream, &id).await?.unwrap_or_default()
            }
            _ => Value::Null,
        };
        let mapped = self.mapper.one(&super::set(stream, part), input).await;
        Ok(mapped.map_err(|error| error.to_string()))
    }

    async fn note(&self, stream: &Stream, outgoing: &[Outgoing]) -> Result<(), RunError> {
        let at = self.now_ms();
        let begun: Vec<Begun> = outgoing
            .iter()
            .map(|out| Begun {
                key: out.todo.key.clone(),
                id: out.write.id.clone(),
                tried: out.write.idempotency_key.clone(),
                fields: out.fields.clone(),
                at,
            })
            .collect();
        self.keep(stream, move |tx, of| {
            begun
                .iter()
                .try_for_each(|begun| adapters::begin_write(tx.connection(), of, begun))
        })
        .await
    }

    /// A write that was answered: read back and compared. Answers what both sides have now; `None`: it is not known yet.
    async fn written(
        &mut self,
        stream: &Stream,
        rules: &[Rule],
        out: Outgoing,
        written: Written,
        report: &mut Report,
    ) -> Result<Option<Shadow>, RunError> {
        let key = out.todo.key.clone();
        let created = out.todo.creates();
        let id = written.id.clone().or_else(|| out.todo.id());
        let raw = match (written.record, &id) {
            (Some(record), _) => vec![record],
            (None, Some(id)) => self.engine.fetch(stream, id).await?.into_iter().collect(),
            (None, None) => self.engine.lookup(stream, &key).await?.unwrap_or_default(),
        };
        let back = self.understand(stream, raw, report).await?.pop();
        let Some(id) = back.as_ref().map(|theirs| theirs.id.clone()).or(id) else {
            // Not told and not found: the row stays in the outbox, and the next listing tells.
            report.in_doubt += 1;
            return Ok(None);
        };
        if created {
            report.created += 1;
        } else {
            report.pushed += 1;
        }
        self.compare_back(stream, &out, back.as_ref(), report);
        let told = (stream.kind, self.now_ms());
        Ok(Some(shadow_after(rules, out, id, back, told)))
    }

    /// A field that reads back otherwise was not taken, or was changed by the outside: people must know.
    fn compare_back(
        &self,
        stream: &Stream,
        out: &Outgoing,
        back: Option<&Theirs>,
        report: &mut Report,
    ) {
        // What waits for somebody there is told as such, and reads back as it was before.
        let Some(back) = back.filter(|back| back.waits.is_none()) else {
            return;
        };
        for (name, ours) in &out.fields {
            let readable = stream
                .fields
                .get(name)
                .is_some_and(|field| field.theirs.is_some());
            let there = value(&back.fields, name);
            if readable && there != ours {
                let args = [("field", name.as_str()), ("ours", ours), ("theirs", there)];
                let text = self.say("adapter-not-taken", &args);
                report.problem(&out.todo.key, "not_taken", text, self.now_ms());
            }
        }
    }

    /// Notes what became of writes, all in one transaction.
    async fn end(&self, stream: &Stream, ended: Ended) -> Result<(), RunError> {
        self.keep(stream, move |tx, of| {
            for shadow in &ended.agreed {
                adapters::save_shadow(tx.connection(), of, shadow)?;
                adapters::end_write(tx.connection(), of, &shadow.key)?;
            }
            let mut undone = ended.undone.iter();
            undone.try_for_each(|key| adapters::end_write(tx.connection(), of, key))
        })
        .await
    }

    /// Writes into the adapter's own tables.
    pub(super) async fn keep<F>(&self, stream: &Stream, job: F) -> Result<(), RunError>
    where
        F: FnOnce(&mut Tx<'_>, adapters::Of<'_>) -> Result<(), crate::store::StoreError>
            + Send
            + 'static,
    {
        let (adapter, name) = (self.name.to_owned(), stream.name.clone());
        let written = self.node.store.write(move |tx| {
            let of = adapters::Of {
                adapter: &adapter,
                stream: &name,
            };
            job(tx, of)
        });
        Ok(written.await?)
    }
}

impl Todo {
    /// Whether the record is not there yet.
    fn creates(&self) -> bool {
        self.theirs.is_none() && self.shadow.is_none()
    }

    /// The outside's id, once there is one.
    fn id(&self) -> Option<String> {
        let known = || self.shadow.as_ref().map(|shadow| shadow.id.clone());
        self.theirs
            .as_ref()
            .map(|theirs| theirs.id.clone())
            .or_else(known)
    }
}

/// The fields to be written, as our record has them now: somebody may have gone on editing meanwhile. A field that
/// came into conflict waits.
fn pushed(todo: &Todo, mine: &Mine) -> Fields {
    let names = todo
        .steps
        .push
        .keys()
        .filter(|name| !mine.undecided.contains(name));
    let now = |name: &String| match mine.begun {
        true => value(&mine.fields, name).to_owned(),
        false => value(&todo.values.0, name).to_owned(),
    };
    names.map(|name| (name.clone(), now(name))).collect()
}

/// What both sides have after a write that was read back.
fn shadow_after(
    rules: &[Rule],
    out: Outgoing,
    id: String,
    back: Option<Theirs>,
    (kind, now_ms): (StreamKind, i64),
) -> Shadow {
    let mut shadow = out.todo.agreed(rules, kind);
    // What waits for an approval there counts as agreed: once it shows, it is no edit of anybody.
    let shows = back.as_ref().filter(|theirs| theirs.waits.is_none());
    for (name, ours) in &out.fields {
        let there = shows.map(|theirs| value(&theirs.fields, name));
        let readable = rules.iter().any(|rule| rule.name == *name && rule.readable);
        set(&mut shadow.ours, name, ours);
        set(
            &mut shadow.theirs,
            name,
            there.filter(|_| readable).unwrap_or(ours),
        );
    }
    if out.todo.creates() {
        // What the outside filled in by itself at the birth of the record is no edit of anybody.
        let known: BTreeMap<_, _> = back.iter().flat_map(|theirs| &theirs.fields).collect();
        for (name, there) in known {
            set(&mut shadow.theirs, name, there);
        }
    }
    saw(
        &mut shadow,
        out.mine.record,
        &out.mine.token,
        &out.mine.apart,
    );
    Shadow {
        id,
        version: back.and_then(|theirs| theirs.version),
        agreed_at: now_ms,
        missing_since: None,
        ..shadow
    }
}

/// The same for every try of the same write, another one for every other.
fn idempotency_key(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize()[..16])
}
