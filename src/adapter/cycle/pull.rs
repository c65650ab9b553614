//! What changed there, written here: record by record, each with its shadow in one transaction.

use nqsync_core::sync::Token;
use serde_json::json;
use tokio::task::JoinSet;

use super::compare::{Rule, after_pull, set, value};
use super::mine::{Sent, apart, sent};
use super::packed::Packed;
use super::report::Report;
use super::round::{Todo, saw};
use super::{Cycle, RunError};
use crate::adapter::engine::Engine;
use crate::adapter::ours::{self, About, Change, Fields, Scope};
use crate::adapter::profile::{Sends, Stream, StreamKind};
use crate::adapter::run::{may_bring, may_open};
use crate::api::{Lang, adapter_author};
use crate::node::commands::{Writing, refuse};
use crate::node::{Node, Refusal};
use crate::store::adapters::{self, Shadow};
use crate::store::{StoreError, Tx, audit};

/// Jobs given to the writer at once: they share its commits.
const AT_ONCE: usize = 128;

/// Everything a writing job needs to know.
#[derive(Clone)]
struct Pull {
    node: Node,
    adapter: String,
    unit: Option<String>,
    stream: String,
    kind: StreamKind,
    sends: Sends,
    submit: bool,
    scope: Scope,
    rules: Vec<Rule>,
    lang: Lang,
}

/// What became of one record.
struct Pulled {
    todo: Todo,
    outcome: Result<Taken, Refusal>,
}

struct Taken {
    shadow: Shadow,
    not_submitted: Option<String>,
    proposed: usize,
    not_proposed: Vec<String>,
}

impl<E: Engine> Cycle<'_, E> {
    /// Writes here what changed there, and answers what is still to be written there.
    pub(super) async fn pull(
        &self,
        stream: &Stream,
        rules: &[Rule],
        todo: Vec<Packed<Todo>>,
        report: &mut Report,
    ) -> Result<Vec<Packed<Todo>>, RunError> {
        let pull = Pull {
            node: self.node.clone(),
            adapter: self.name.to_owned(),
            unit: self.profile.unit.clone(),
            stream: stream.name.clone(),
            kind: stream.kind,
            sends: stream.sends,
            submit: stream.submit,
            scope: self.scope(stream)?,
            rules: rules.to_vec(),
            lang: self.lang,
        };
        let (mut pushes, mut jobs) = (Vec::new(), JoinSet::new());
        for packed in todo {
            let todo = packed.open();
            if !todo.steps.changes_here() {
                // A record of ours that says nothing yet is not created there either.
                pushes.extend((!todo.steps.push.is_empty()).then_some(packed));
                continue;
            }
            if jobs.len() >= AT_ONCE {
                self.pulled(jobs.join_next().await, &mut pushes, report)?;
            }
            let pull = pull.clone();
            jobs.spawn(async move { pull.carry_out(todo).await });
        }
        while !jobs.is_empty() {
            self.pulled(jobs.join_next().await, &mut pushes, report)?;
        }
        Ok(pushes)
    }

    fn pulled(
        &self,
        joined: Option<Result<Result<Pulled, StoreError>, tokio::task::JoinError>>,
        pushes: &mut Vec<Packed<Todo>>,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let Some(joined) = joined else { return Ok(()) };
        let panicked = |e: tokio::task::JoinError| StoreError::Panicked(e.to_string());
        let Pulled { mut todo, outcome } = joined.map_err(panicked)??;
        let (key, now) = (todo.key.clone(), self.now_ms());
        match outcome {
            Ok(taken) => {
                report.pulled +=
                    usize::from(!(todo.steps.pull.is_empty() && todo.steps.conflict.is_empty()));
                report.conflicts += todo.steps.conflict.len();
                report.proposed += taken.proposed;
                for (code, text) in taken
                    .not_submitted
                    .into_iter()
                    .map(|t| ("not_submitted", t))
                    .chain(taken.not_proposed.into_iter().map(|t| ("not_proposed", t)))
                {
                    report.problem(&key, code, text, now);
                }
                if !todo.steps.push.is_empty() {
                    todo.shadow = Some(taken.shadow);
                    pushes.push(Packed::new(&todo));
                }
            }
            Err(refusal) => {
                let failure = refuse(self.lang, refusal);
                report.problem(&key, &failure.code, failure.message, now);
            }
        }
        Ok(())
    }
}

impl Pull {
    async fn carry_out(self, todo: Todo) -> Result<Pulled, StoreError> {
        let store = self.node.store.clone();
        // The job hands the record back whatever happens: a refusal costs this record and not the run.
        let (keep, kept) = tokio::sync::oneshot::channel();
        let outcome = store
            .write(move |tx| {
                let outcome = self.take(tx, &todo);
                // Nobody waits when the run was ended meanwhile.
                let _ = keep.send(todo);
                outcome
            })
            .await;
        let todo = kept.await.map_err(|_| StoreError::Stopped)?;
        Ok(Pulled { todo, outcome })
    }

    fn take(&self, tx: &mut Tx<'_>, todo: &Todo) -> Result<Taken, Refusal> {
        let steps = &todo.steps;
        let mut about = todo.mine.as_ref().map(|mine| mine.about.clone());
        let (mut not_submitted, mut not_proposed, mut proposed) = (None, Vec::new(), 0);
        for (fields, token) in [
            (
                &steps.pull,
                todo.mine.as_ref().map(|mine| mine.token.clone()),
            ),
            (&steps.conflict, self.agreed_token(todo)),
        ] {
            if fields.is_empty() {
                continue;
            }
            let mut change = self.change(todo, about.clone(), fields.clone(), token);
            if change.submit && drafted(todo) {
                // What a person has not ended yet is not submitted in his name.
                change.submit = false;
                not_submitted = Some(crate::text::text(self.lang, "adapter-draft-waits", &[]));
            }
            // Asked again where something of theirs becomes a record of this store.
            may_open(&self.node, &self.adapter, self.scope.ceiling)?;
            may_bring(&self.node, &self.adapter, self.scope.ceiling)?;
            let applied = ours::apply(&self.node, tx, &change, self.lang)?;
            not_submitted = applied.not_submitted.or(not_submitted);
            about = Some(match change.about {
                About::Task(_) => About::Task(Some(applied.record)),
                About::Directive(_) => About::Directive(Some(applied.record)),
                other => other,
            });
        }
        for (field, text) in &steps.propose {
            let fields = Fields::from([(field.clone(), text.clone())]);
            let change = self.change(todo, about.clone(), fields, None);
            let reason =
                crate::text::text(self.lang, "adapter-proposal", &[("adapter", &self.adapter)]);
            match ours::propose(&self.node, tx, &change, self.lang, &reason) {
                Ok(()) => proposed += 1,
                Err(refusal) => not_proposed.push(refuse(self.lang, refusal).message),
            }
        }
        let shadow = self.shadow_after(tx, todo, about)?;
        let of = adapters::Of {
            adapter: &self.adapter,
            stream: &self.stream,
        };
        adapters::save_shadow(tx.connection(), of, &shadow)?;
        let names: Vec<&String> = steps.pull.keys().chain(steps.conflict.keys()).collect();
        audit::append(
            tx,
            &audit::Act {
                at: self.node.clock.now_ms(),
                actor: &adapter_author(&self.adapter),
                act: "adapter.pulled",
                subject: &shadow.record.map(|id| id.to_string()).unwrap_or_default(),
                detail: json!({ "stream": self.stream, "fields": names }),
            },
        )?;
        Ok(Taken {
            shadow,
            not_submitted,
            proposed,
            not_proposed,
        })
    }

    /// The state that both sides saw last. Dots are counted per record: a token of another period's report says nothing
    /// about this one.
    fn agreed_token(&self, todo: &Todo) -> Option<String> {
        let record = todo.mine.as_ref().map(|mine| mine.record);
        let known = todo
            .shadow
            .as_ref()
            .filter(|shadow| shadow.record == record);
        let token = known
            .map(|shadow| shadow.token.clone())
            .filter(|t| !t.is_empty());
        Some(token.unwrap_or_else(|| Token::default().to_string()))
    }

    fn change(
        &self,
        todo: &Todo,
        about: Option<About>,
        fields: Fields,
        token: Option<String>,
    ) -> Change {
        let new = match self.kind {
            StreamKind::Directives => About::Directive(None),
            _ => About::Task(None),
        };
        let unit = todo.mine.as_ref().and_then(|mine| mine.unit.clone());
        Change {
            about: about.unwrap_or(new),
            fields,
            token: token.filter(|token| !token.is_empty()),
            submit: self.submit,
            acting_for: unit.or_else(|| self.unit.clone()),
            author: adapter_author(&self.adapter),
        }
    }

    /// What both sides have after the writing: our values are read back, because our own verbs may write them another way.
    fn shadow_after(
        &self,
        tx: &mut Tx<'_>,
        todo: &Todo,
        about: Option<About>,
    ) -> Result<Shadow, Refusal> {
        let request = super::asking(self.lang);
        let tree = tx.tree();
        let writing = Writing {
            node: &self.node,
            tx,
            now_ms: self.node.clock.now_ms(),
            request: &request,
            file: None,
        };
        let now = match &about {
            Some(about) => ours::load_one(&writing.view(&tree)?, &self.scope, about)?,
            None => None,
        };
        let now = now.map(|ours| sent(self.sends, ours));
        let mut shadow = todo.agreed(&self.rules, self.kind);
        let mut base = super::compare::Base {
            ours: std::mem::take(&mut shadow.ours),
            theirs: std::mem::take(&mut shadow.theirs),
        };
        let steps = &todo.steps;
        for (name, theirs) in &steps.pull {
            let written = now.as_ref().map(|now| value(&now.ours.fields, name));
            set(&mut base.ours, name, written.unwrap_or(theirs));
            set(&mut base.theirs, name, theirs);
        }
        for (name, theirs) in &steps.conflict {
            after_pull(&mut base, name, theirs);
        }
        for (name, theirs) in &steps.propose {
            set(&mut base.ours, name, value(&todo.values.0, name));
            set(&mut base.theirs, name, theirs);
        }
        if let Some(Sent { ours, drafts }) = now {
            let drafted = apart(self.kind, &ours.undecided, &drafts);
            let apart = [drafted, todo.unsettled(self.kind)].concat();
            saw(&mut shadow, ours.record, &ours.token, &apart);
        }
        Ok(Shadow {
            ours: base.ours,
            theirs: base.theirs,
            agreed_at: self.node.clock.now_ms(),
            ..shadow
        })
    }
}

/// Whether a person's draft stands in our record beside what is written now.
fn drafted(todo: &Todo) -> bool {
    let agreed = todo.shadow.as_ref().map(|shadow| &shadow.theirs);
    let of_a_person = |(name, draft): (&String, &String)| {
        let theirs = agreed.map(|theirs| value(theirs, name)).unwrap_or_default();
        draft != theirs && !todo.steps.pull.contains_key(name)
    };
    let drafts = todo.mine.as_ref().map(|mine| &mine.drafts);
    drafts.is_some_and(|drafts| drafts.iter().any(of_a_person))
}
