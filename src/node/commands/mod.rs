//! The verbs of the contract. Reading verbs run on one snapshot of the store, writing verbs in one transaction,
//! together with their audit entry and the answer a retry would get.

pub mod admit;
pub mod adopt;
pub mod approvals;
mod assignments;
pub mod audits;
pub mod authority;
pub mod backup;
pub mod bundles;
pub mod calendar;
pub mod clones;
pub mod conflicts;
#[cfg(test)]
mod desk;
pub mod directives;
pub mod evidence;
pub mod fields;
#[cfg(test)]
pub(crate) mod fixture;
pub mod holds;
pub mod import;
pub mod indicators;
mod long_lists;
pub mod nodes;
pub mod periods;
pub mod proposals;
pub mod quarantine;
pub mod refs;
pub mod reports;
pub mod restate;
pub mod rollup;
pub mod scores;
#[cfg(test)]
mod scores_tests;
pub mod secrecy;
mod shared;
#[cfg(test)]
mod standings_tests;
pub mod status;
pub mod succession;
pub mod tasks;
pub mod tokens;
pub mod units;
pub mod users;
pub(crate) mod verbs;
pub mod verify;
pub mod views;
pub mod waiting;
pub mod warnings;

use std::collections::BTreeMap;
use std::path::Path;

use nqsync_core::model::{Facts, NodeId, Tree, UnitId};
use nqsync_core::sync::{Record, Token};
use rusqlite::Connection;
use serde_json::Value;

use self::views::View;
use super::write::{self, Acting};
use super::{Node, Refusal, brake, files, recovery, rollups, standings};
use crate::api::{Answer, Command, Exit, Failure, Lang, Outcome, Request};
use crate::store::blobs::{self, BlobId};
use crate::store::{StoreError, Stored, Tx, audit, queries};

/// Values by register.
pub type Values = BTreeMap<String, Value>;

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
    /// This node.
    pub here: NodeId,
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
    /// The file the verb names, copied into the store before the transaction began.
    pub file: Option<&'a TakenFile>,
}

/// A file of this machine whose bytes are in the store already. No record names it yet.
#[derive(Clone, Debug)]
pub struct TakenFile {
    /// SHA-256 of the bytes.
    pub id: BlobId,
    /// Length in bytes.
    pub size: u64,
    /// The last part of its path: data to show, never a path again.
    pub name: String,
}

/// A record after a verb wrote into it.
#[derive(Debug)]
pub struct Saved {
    /// Its present state.
    pub stored: Stored,
    /// Whether it is a new record.
    pub created: bool,
    /// Whether anything was written: values equal to those shown are not.
    pub changed: bool,
}

impl Reading<'_> {
    /// What listings need.
    pub fn view(&self) -> View<'_> {
        View {
            connection: self.connection,
            tree: &self.tree,
            home: self.home,
            here: self.here,
            zone: &self.node.settings.zone,
            period: self.node.settings.period,
            duties: &self.node.settings.duties,
            now_ms: self.now_ms,
            lang: self.request.lang,
        }
    }

    /// The unit named with `--for`, else the unit this node was set up for.
    pub fn asking(&self) -> Result<UnitId, Refusal> {
        match &self.request.acting_for {
            Some(text) => resolve(&self.tree, text, self.home),
            None => Ok(self.home),
        }
    }
}

impl Writing<'_, '_> {
    /// What listings need, on the state this transaction has reached. `tree` is [`Tx::tree`].
    pub fn view<'v>(&'v self, tree: &'v Tree) -> Result<View<'v>, Refusal> {
        Ok(View {
            connection: self.tx.connection(),
            tree,
            home: self.tx.unit()?,
            here: self.tx.node()?,
            zone: &self.node.settings.zone,
            period: self.node.settings.period,
            duties: &self.node.settings.duties,
            now_ms: self.now_ms,
            lang: self.request.lang,
        })
    }

    /// For whom a record of `owner` is written: `--for` when given; the owner when this node itself serves it. Writing
    /// for a unit that another node serves has to be said.
    pub fn acting_as(&self, owner: UnitId) -> Result<Acting, Refusal> {
        // Who continues a unit answers for it, under the ids of the unit as it was first named.
        let owner = self.tx.tree().present(owner);
        let unsaid = self.request.acting_for.is_none() && !self.tx.serves(owner);
        if unsaid && self.tx.tree().is_within(owner, self.tx.unit()?) {
            return Err(Refusal::usage(
                "needs-for",
                [("unit", self.tx.tree().code(owner))],
            ));
        }
        self.acting(self.tx.serves(owner).then_some(owner))
    }

    /// Begins a record, or adds to the one its natural key names.
    pub fn begin(
        &mut self,
        acting: &Acting,
        facts: Facts,
        values: Values,
    ) -> Result<Saved, Refusal> {
        let known = facts.natural_id().map(|id| self.tx.load(id)).transpose()?;
        if let Some(stored) = known.flatten() {
            return self.change(acting, stored, values, None);
        }
        let drawn = self.tx.chance().id_at(self.now_ms);
        self.begin_as(acting, facts, drawn, values)
    }

    /// Begins a record under an id that was drawn before.
    pub fn begin_as(
        &mut self,
        acting: &Acting,
        facts: Facts,
        drawn: uuid::Uuid,
        values: Values,
    ) -> Result<Saved, Refusal> {
        let mut values = values;
        values.retain(|_, value| !value.is_null());
        let written = write::create_as(self.tx, acting, facts, drawn, values, None)?;
        self.follow_up(&written.record, None, written.rec)?;
        Ok(Saved {
            stored: self.reload(&written.record)?,
            created: written.created,
            changed: true,
        })
    }

    /// Writes those of the values that differ from what is shown, and those that settle a conflict.
    pub fn change(
        &mut self,
        acting: &Acting,
        stored: Stored,
        mut values: Values,
        token: Option<&Token>,
    ) -> Result<Saved, Refusal> {
        let conflicts = stored.record.conflicts();
        values.retain(|name, value| {
            conflicts.contains(&name.as_str())
                || stored.record.shown(name).unwrap_or_default() != *value
        });
        if values.is_empty() {
            return Ok(Saved {
                stored,
                created: false,
                changed: false,
            });
        }
        let before = stored.record.clone();
        let written = write::update(self.tx, acting, stored, values, token)?;
        self.follow_up(&written.record, Some(&before), written.rec)?;
        Ok(Saved {
            stored: self.reload(&written.record)?,
            created: false,
            changed: true,
        })
    }

    /// What every write leaves behind besides the record: rollup groups to count anew, files to be sent.
    fn follow_up(
        &mut self,
        record: &Record,
        before: Option<&Record>,
        rec: crate::store::Rec,
    ) -> Result<(), Refusal> {
        rollups::touched(self.tx, record, before)?;
        files::follow(self.tx, None, rec, record, self.now_ms)?;
        Ok(())
    }

    fn reload(&self, record: &Record) -> Result<Stored, Refusal> {
        let id = record.key().id;
        let found = self.tx.load(id)?;
        found.ok_or_else(|| StoreError::Damaged(format!("record {id} is gone")).into())
    }

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

/// The token that a form or `show` gave out.
pub fn token(text: Option<&str>) -> Result<Option<Token>, Refusal> {
    text.map(str::parse)
        .transpose()
        .map_err(|error: nqsync_core::sync::context::ContextError| {
            Refusal::usage("bad-token", [("detail", error.to_string())])
        })
}

/// Carries a verb out.
pub async fn execute(node: &Node, request: Request) -> Outcome {
    let lang = request.lang;
    let request_id = request.request_id.clone();
    let result = if let Command::Backup { to } = &request.command {
        backup::make(node, &request, to.clone()).await
    } else if let Command::NodeAdmit {
        request: from,
        answer: to,
    } = &request.command
    {
        admit::carry_out(node, &request, from, to).await
    } else if let Command::BundleExport { .. } | Command::BundleImport { .. } = &request.command {
        bundles::carry_out(node, &request).await
    } else if let Command::Verify { local, repair } = request.command {
        verify::here(node, local, repair)
            .await
            .map(|said| speak(lang, said))
    } else if request.command.writes() {
        match named_file(node, &request).await {
            Ok(file) => carry_out(node, request.clone(), file).await,
            Err(refusal) => Err(refusal),
        }
    } else {
        read_out(node, &request).await
    };
    if let Err(refusal) = &result
        && secrecy::FORBIDDEN.contains(&refusal.code)
    {
        noted(node, &request, &request.command.verb(), refusal.code).await;
    }
    result.map_err(|refusal: Refusal| {
        tracing::info!(request = %request_id, code = refusal.code, "refused a command");
        refuse(lang, refusal)
    })
}

/// Answers a verb that changes nothing. What leaves the node as a whole has its entry in the audit.
async fn read_out(node: &Node, request: &Request) -> Result<Answer, Refusal> {
    let (worker, asked) = (node.clone(), request.clone());
    let answer = node
        .store
        .read(move |connection| {
            read(&worker, connection, &asked).map(|said| speak(asked.lang, said))
        })
        .await;
    let left = match &request.command {
        Command::Export { .. } | Command::AuditExport { .. } => Some(request.command.verb()),
        Command::LongIds { .. } => Some("workbook".to_owned()),
        _ => None,
    };
    if let (Ok(_), Some(act)) = (&answer, left) {
        noted(node, request, &act, "").await;
    }
    answer
}

/// Writes into the audit what changed nothing else. On a disk that takes no more, reading goes on, and the log tells.
async fn noted(node: &Node, request: &Request, act: &str, refused: &'static str) {
    let (asked, act, now_ms) = (request.clone(), act.to_owned(), node.clock.now_ms());
    let written = node.store.write(move |tx| {
        let mut detail = serde_json::json!({ "request": asked.request_id });
        if !refused.is_empty() {
            detail["refused"] = refused.replace('-', "_").into();
        }
        audit::append(
            tx,
            &audit::Act {
                at: now_ms,
                actor: &asked.person,
                act: &act,
                subject: "",
                detail,
            },
        )
    });
    if let Err(error) = written.await {
        tracing::error!(%error, "cannot note in the audit what was done");
    }
}

/// Carries out a verb that takes in a file whose bytes are in the store already, as an upload's are. The path in the
/// verb is not looked at.
pub async fn execute_with_file(node: &Node, request: Request, file: TakenFile) -> Outcome {
    let lang = request.lang;
    let done = carry_out(node, request, Some(file)).await;
    done.map_err(|refusal| refuse(lang, refusal))
}

async fn named_file(node: &Node, request: &Request) -> Result<Option<TakenFile>, Refusal> {
    match file_named(&request.command) {
        Some(path) => take_in(node, request, path.to_owned()).await,
        None => Ok(None),
    }
}

async fn carry_out(
    node: &Node,
    request: Request,
    file: Option<TakenFile>,
) -> Result<Answer, Refusal> {
    let worker = node.clone();
    let asked = request.clone();
    let done = node
        .store
        .write(move |tx| write(&worker, tx, &asked, file.as_ref()))
        .await;
    match done {
        Ok(answer) => Ok(answer),
        Err(Unfinished::Refused(refusal)) => Err(refusal),
        // Nothing of it is done; what was asked waits for a person.
        Err(Unfinished::Stopped(stopped)) => {
            let worker = node.clone();
            node.store
                .write(move |tx| {
                    let now_ms = worker.clock.now_ms();
                    let said = holds::begin(
                        &mut Writing {
                            node: &worker,
                            tx,
                            now_ms,
                            request: &request,
                            file: None,
                        },
                        &stopped,
                    )?;
                    answer(tx, &request, said, "hold", now_ms)
                })
                .await
        }
    }
}

/// Why a verb's transaction was rolled back.
enum Unfinished {
    Refused(Refusal),
    /// It would delete or overwrite too much at once.
    Stopped(brake::Stopped),
}

impl From<StoreError> for Unfinished {
    fn from(error: StoreError) -> Self {
        Unfinished::Refused(error.into())
    }
}

impl From<Refusal> for Unfinished {
    fn from(refusal: Refusal) -> Self {
        Unfinished::Refused(refusal)
    }
}

/// The file a verb asks to be taken in.
fn file_named(command: &Command) -> Option<&str> {
    match command {
        Command::EvidenceAdd { path, .. } => Some(path),
        Command::DirectiveAdd { file, .. } => file.as_deref(),
        _ => None,
    }
}

/// Copies the file into the store, outside the writer thread: a large one must not delay anybody's commit. What would
/// be refused anyway is refused before; a request that was carried out already needs no file.
async fn take_in(
    node: &Node,
    request: &Request,
    path: String,
) -> Result<Option<TakenFile>, Refusal> {
    let (worker, asked) = (node.clone(), request.clone());
    let done: bool = node
        .store
        .read(move |connection| {
            if queries::earlier_answer(connection, &asked.request_id)?.is_some() {
                return Ok::<_, Refusal>(true);
            }
            if let Command::EvidenceAdd { report, .. } = &asked.command {
                evidence::check_add(&surroundings(&worker, connection, &asked)?, report)?;
            }
            Ok(false)
        })
        .await?;
    if done {
        return Ok(None);
    }
    let (dir, limit) = (node.store.dir().to_owned(), node.settings.max_blob_bytes);
    let copied = tokio::task::spawn_blocking(move || {
        let source = Path::new(&path);
        match std::fs::metadata(source) {
            Err(error) => {
                let args = [("path", path.clone()), ("detail", error.to_string())];
                return Err(Refusal::usage("file-unreadable", args));
            }
            // Saved half-way, or named by mistake: it proves nothing.
            Ok(found) if found.is_file() && found.len() == 0 => {
                return Err(Refusal::usage("file-empty", [("path", path.clone())]));
            }
            Ok(_) => {}
        }
        let (id, size) = blobs::take_in(&dir, source, limit)?;
        let name = source
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(TakenFile { id, size, name })
    });
    let copied = copied
        .await
        .unwrap_or_else(|error| Err(StoreError::Panicked(error.to_string()).into()));
    copied.map(Some)
}

fn write(
    node: &Node,
    tx: &mut Tx<'_>,
    request: &Request,
    file: Option<&TakenFile>,
) -> Result<Answer, Unfinished> {
    if let Some(earlier) = tx.earlier_answer(&request.request_id)? {
        return serde_json::from_str(&earlier)
            .map_err(|e| Refusal::with(Exit::Failed, "store", [("detail", e.to_string())]).into());
    }
    if request.command.authors() {
        recovery::may_write(tx.connection())?;
    }
    let now_ms = node.clock.now_ms();
    let mut on = Writing {
        node,
        tx,
        now_ms,
        request,
        file,
    };
    if let Some(said) = approvals::ask(&mut on)? {
        return Ok(answer(tx, request, said, "approval_ask", now_ms)?);
    }
    let said = verbs::write_verb(&mut on)?;
    brake::of_verb(node, tx)?.map_err(Unfinished::Stopped)?;
    standings::settle(tx, standings::WORKS_PER_VERB)?;
    Ok(answer(tx, request, said, &request.command.verb(), now_ms)?)
}

/// Puts the answer into words, writes down what was done, and keeps the answer for a retry.
fn answer(
    tx: &mut Tx<'_>,
    request: &Request,
    said: Said,
    verb: &str,
    now_ms: i64,
) -> Result<Answer, Refusal> {
    let answer = speak(request.lang, said);
    let subject = answer.data["id"].as_str().unwrap_or_default();
    let mut detail = serde_json::json!({ "request": request.request_id, "exit": answer.exit });
    // Of an act of two persons: which one it is, and who they are.
    for key in ["approval", "act", "asked_by", "decided_by", "reason"] {
        if let Some(value) = answer
            .data
            .get(key)
            .filter(|_| answer.data.get("approval").is_some())
        {
            detail[key] = value.clone();
        }
    }
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
    // A token's secret is nowhere on disk. A retry makes another one, and the first of an enrolment expires unused; of the
    // local API's it is told that there is one of this name already.
    if !matches!(
        request.command,
        Command::NodeToken { .. } | Command::TokenNew { .. }
    ) {
        let kept = serde_json::to_string(&answer).unwrap_or_default();
        tx.keep_answer(&request.request_id, &kept, now_ms)?;
    }
    Ok(answer)
}

fn read(node: &Node, connection: &Connection, request: &Request) -> Result<Said, Refusal> {
    if let Command::UserList = request.command {
        // Users are there before a node is enrolled and knows its unit.
        return users::list(connection);
    }
    verbs::read_verb(&surroundings(node, connection, request)?)
}

/// What a reading verb is answered from; the request says in which language and for whom.
pub(crate) fn surroundings<'a>(
    node: &'a Node,
    connection: &'a Connection,
    request: &'a Request,
) -> Result<Reading<'a>, Refusal> {
    let home = queries::meta(connection, "unit")?.and_then(|text| text.parse().ok());
    let here = queries::meta(connection, "node")?.and_then(|text| text.parse().ok());
    Ok(Reading {
        node,
        connection,
        tree: queries::load_tree(connection)?,
        home: home.ok_or(StoreError::NotEnrolled)?,
        here: here.ok_or(StoreError::NotEnrolled)?,
        now_ms: node.clock.now_ms(),
        request,
    })
}

/// A verb that this build does not answer in this way.
pub(crate) fn unknown_verb(request: &Request) -> Refusal {
    let verb = format!("{:?}", std::mem::discriminant::<Command>(&request.command));
    Refusal::with(Exit::Failed, "unknown-verb", [("verb", verb)])
}

/// What a verb carried out elsewhere came to, in the request's language.
pub fn told(lang: Lang, said: Result<Said, Refusal>) -> Outcome {
    said.map(|said| speak(lang, said))
        .map_err(|refusal| refuse(lang, refusal))
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

pub(crate) fn sentence(lang: Lang, key: &str, args: &[(&'static str, String)]) -> String {
    let args: Vec<(&str, &str)> = args
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    crate::text::text(lang, key, &args)
}
