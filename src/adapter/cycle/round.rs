//! Who is who, what differs, and what is to be done about it: pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nqsync_core::model::values::FileRef;
use nqsync_core::sync::Token;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::compare::{Base, Open, Rule, Steps, compare, set, value};
use super::mine::{ByKey, Mine};
use super::packed::Packed;
use super::report::{Difference, Report, Side};
use super::theirs::Theirs;
use crate::adapter::ours::{self, About, Fields};
use crate::adapter::profile::{Direction, Field, Stream, StreamKind};
use crate::api::Lang;
use crate::store::adapters::{Begun, Shadow};
use crate::text::text;

/// The expression of a profile whose system has no place for our keys: records are known by their ids alone.
const NO_KEYS: &str = "null";

/// What is remembered of a stream when a run begins.
#[derive(Default)]
pub struct Memory {
    /// What both sides had, by key.
    pub shadows: BTreeMap<String, Packed<Shadow>>,
    /// Keys by the outside's id.
    pub keys_by_id: HashMap<String, String>,
    /// Writes that were begun and not read back, by key.
    pub outbox: BTreeMap<String, Begun>,
}

/// A record with something to be done.
#[derive(Serialize, Deserialize)]
pub struct Todo {
    /// Our natural key.
    pub key: String,
    /// Our side; `None`: to be begun here.
    pub mine: Option<Mine>,
    /// Their side; `None`: to be created there, or not listed because it did not change.
    pub theirs: Option<Theirs>,
    /// What both sides had.
    pub shadow: Option<Shadow>,
    /// What is to be done.
    pub steps: Steps,
    /// Values of both sides, as compared.
    pub values: (Fields, Fields),
    /// The idempotency key of the same write, begun before.
    pub tried: Option<String>,
}

/// What a round found to be done.
pub struct Work {
    /// Records with something to be done.
    pub todo: Vec<Packed<Todo>>,
    /// Shadows that changed without anything to be done.
    pub settled: Vec<Packed<Shadow>>,
    /// Keys of the writes that were asked about.
    pub doubtful: BTreeSet<String>,
    /// The evidence files of our records, by key, where files are handed over.
    pub files: Vec<(String, FileRef)>,
}

/// One run over one stream.
pub struct Round<'r> {
    stream: &'r Stream,
    rules: Vec<Rule>,
    mine: ByKey,
    memory: Memory,
    report: &'r mut Report,
    lang: Lang,
    now_ms: i64,
    todo: BTreeMap<String, Packed<Todo>>,
    /// Shadows that changed without anything to be done.
    settled: BTreeMap<String, Packed<Shadow>>,
    ids_by_key: HashMap<String, String>,
    raw_by_id: HashMap<String, u64>,
    ambiguous: BTreeSet<String>,
}

impl<'r> Round<'r> {
    /// Begins with our side and what is remembered.
    pub fn new(
        stream: &'r Stream,
        mine: ByKey,
        memory: Memory,
        report: &'r mut Report,
        (lang, now_ms): (Lang, i64),
    ) -> Round<'r> {
        Round {
            stream,
            rules: rules(stream),
            mine,
            memory,
            report,
            lang,
            now_ms,
            todo: BTreeMap::new(),
            settled: BTreeMap::new(),
            ids_by_key: HashMap::new(),
            raw_by_id: HashMap::new(),
            ambiguous: BTreeSet::new(),
        }
    }

    /// What the run did so far.
    pub fn report(&mut self) -> &mut Report {
        self.report
    }

    /// What is remembered.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Of the records that both sides should know: how many there are, and how many were listed.
    pub fn known_and_seen(&self) -> (usize, usize) {
        let known = self.memory.shadows.iter().filter(|(key, shadow)| {
            self.mine.contains_key(*key) && shadow.open().missing_since.is_none()
        });
        let known: Vec<&String> = known.map(|(key, _)| key).collect();
        let seen = known
            .iter()
            .filter(|key| self.ids_by_key.contains_key(**key))
            .count();
        (known.len(), seen)
    }

    /// Known records that would change here, and there.
    pub fn changes(&self) -> (usize, usize) {
        let (mut here, mut there) = (0, 0);
        let all = self.todo.values().map(|todo| todo.open());
        for todo in all.filter(|todo| todo.shadow.is_some()) {
            here += usize::from(todo.steps.changes_here());
            there += usize::from(!todo.steps.push.is_empty());
        }
        (here, there)
    }

    /// The evidence files of our records, by key.
    fn files(&self) -> Vec<(String, FileRef)> {
        let of = |(key, mine): (&String, &Packed<Mine>)| {
            let files = mine.open().files.into_iter();
            files.map(|file| (key.clone(), file)).collect::<Vec<_>>()
        };
        self.mine.iter().flat_map(of).collect()
    }

    /// What is to be done, and nothing else: the rest of the round is given back before the writing begins.
    pub fn end(self) -> Work {
        Work {
            files: match self.stream.files {
                true => self.files(),
                false => Vec::new(),
            },
            doubtful: self.memory.outbox.into_keys().collect(),
            todo: self.todo.into_values().collect(),
            settled: self.settled.into_values().collect(),
        }
    }

    /// One outside record finds the one of ours that it belongs to.
    pub fn meet(&mut self, theirs: Theirs) {
        let known = self.memory.keys_by_id.get(&theirs.id).cloned();
        let by_id = self.stream.key.theirs.trim() == NO_KEYS;
        let key = match (&theirs.key, known) {
            (Some(key), _) => key.clone(),
            (None, Some(known)) if by_id => known,
            (None, Some(known)) => return self.key_gone(known, theirs),
            (None, None) => {
                self.report.foreign += 1;
                return;
            }
        };
        self.report.came_from_here(&key);
        // A page that moved while it was listed shows a record twice; the later one is the newer.
        let content = fingerprint(&theirs.raw);
        if self.raw_by_id.insert(theirs.id.clone(), content) == Some(content) {
            return;
        }
        let before = self.ids_by_key.insert(key.clone(), theirs.id.clone());
        let other = before.is_some_and(|id| id != theirs.id);
        if other || self.ambiguous.contains(&key) {
            self.forget(&key);
            let said = text(self.lang, "adapter-twice-there", &[("key", &key)]);
            if self.ambiguous.insert(key.clone()) {
                self.report.problem(&key, "twice_there", said, self.now_ms);
            }
            return;
        }
        self.forget(&key);
        let ours = self.mine.get(&key).map(Packed::open);
        if ours.is_none() && !begins_here(self.stream) {
            self.report.foreign += 1;
            return;
        }
        self.judge(key, ours, Some(theirs));
    }

    /// A record that carried our key and carries none: somebody took it out, or the id was given to a record that has nothing to
    /// do with ours. Its values are not taken, and ours are not written over it.
    fn key_gone(&mut self, key: String, theirs: Theirs) {
        if self.ids_by_key.contains_key(&key) {
            self.report.foreign += 1;
            return;
        }
        let args = [("key", key.as_str()), ("id", &theirs.id)];
        let said = text(self.lang, "adapter-key-gone", &args);
        self.report.problem(&key, "key_gone", said, self.now_ms);
        self.forget(&key);
        self.ids_by_key.insert(key, theirs.id);
    }

    fn forget(&mut self, key: &str) {
        self.todo.remove(key);
        self.settled.remove(key);
    }

    /// Our records that were not listed: unchanged there, missing there, or to be created.
    pub fn not_listed(&mut self, full: bool) {
        let keys: Vec<String> = self.mine.keys().cloned().collect();
        for key in keys {
            if self.ids_by_key.contains_key(&key) {
                continue;
            }
            let ours = self.mine.get(&key).map(Packed::open);
            match self.memory.shadows.get(&key).map(Packed::open) {
                Some(shadow) if full || shadow.missing_since.is_some() => self.missing(key, shadow),
                Some(_) => self.judge(key, ours, None),
                None if self.stream.write.create.is_some() => {
                    let creation = ours.map(|ours| self.creation(key.clone(), ours));
                    self.todo
                        .extend(creation.map(|todo| (key, Packed::new(&todo))));
                }
                None => {}
            }
        }
    }

    fn missing(&mut self, key: String, shadow: Shadow) {
        let since = shadow.missing_since.unwrap_or(self.now_ms);
        let said = text(
            self.lang,
            "adapter-missing",
            &[("key", &key), ("id", &shadow.id)],
        );
        self.report.missing += 1;
        self.report.problem(&key, "missing_there", said, since);
        if shadow.missing_since.is_none() {
            let missing_since = Some(since);
            let shadow = Shadow {
                missing_since,
                ..shadow
            };
            self.settled.insert(key, Packed::new(&shadow));
        }
    }

    fn creation(&self, key: String, ours: Mine) -> Todo {
        let given = self
            .rules
            .iter()
            .filter(|rule| rule.direction != Direction::In);
        let given = given.map(|rule| {
            (
                rule.name.clone(),
                value(&ours.fields, &rule.name).to_owned(),
            )
        });
        let push = given.filter(|(_, text)| !text.is_empty()).collect();
        Todo {
            steps: Steps {
                push,
                ..Steps::default()
            },
            values: (ours.fields.clone(), Fields::new()),
            mine: Some(ours),
            theirs: None,
            shadow: None,
            tried: self
                .memory
                .outbox
                .get(&key)
                .map(|begun| begun.tried.clone()),
            key,
        }
    }

    /// Compares both sides of one record.
    fn judge(&mut self, key: String, mine: Option<Mine>, theirs: Option<Theirs>) {
        let shadow = self.memory.shadows.get(&key).map(Packed::open);
        let begun = self.memory.outbox.get(&key);
        let base = shadow.as_ref().map(|shadow| Base {
            ours: shadow.ours.clone(),
            theirs: shadow.theirs.clone(),
        });
        let there = match (&theirs, &shadow) {
            // What was agreed holds until nothing waits there any more: what we wrote shows only once it is approved.
            (Some(theirs), Some(shadow)) if theirs.waits.is_some() => shadow.theirs.clone(),
            (Some(theirs), _) => theirs.fields.clone(),
            // Not listed, because it did not change there.
            (None, shadow) => shadow
                .as_ref()
                .map(|s| s.theirs.clone())
                .unwrap_or_default(),
        };
        let base = echo(base, begun, &there);
        let here = match (&mine, &base) {
            // A report that nobody began in this period says nothing yet; the last one's values are not taken back.
            (Some(mine), Some(base)) if !mine.begun => unbegun(mine, base, self.stream),
            (mine, _) => mine.as_ref().map(|m| m.fields.clone()).unwrap_or_default(),
        };
        let waiting = mine
            .as_ref()
            .map(|m| m.undecided.clone())
            .unwrap_or_default();
        let rules = match mine.as_ref().is_none_or(|mine| mine.owned) {
            true => self.rules.clone(),
            false => proposed_only(&self.rules),
        };
        let open = Open {
            undecided: &waiting,
            drafts: mine.as_ref().map(|mine| &mine.drafts),
        };
        let first = self.stream.first;
        let mut steps = compare(&rules, base.as_ref(), &here, &there, first, open);
        if self.stream.write.update.is_none() {
            steps.push.clear();
        }
        let theirs = theirs.map(|theirs| match steps.push.is_empty() {
            true => Theirs {
                raw: Value::Null,
                ..theirs
            },
            false => theirs,
        });
        let todo = Todo {
            key: key.clone(),
            mine,
            theirs,
            shadow,
            steps,
            values: (here, there),
            tried: begun.map(|begun| begun.tried.clone()),
        };
        for (name, theirs) in &todo.steps.kept {
            let args = [("field", name.as_str()), ("theirs", theirs)];
            let said = text(self.lang, "adapter-kept", &args);
            self.report
                .problem(&todo.key, "edited_there", said, self.now_ms);
        }
        self.tell_what_was_not_taken(&todo);
        self.tell_what_was_not_submitted(&todo);
        if todo.steps.is_nothing() {
            self.report.unchanged += usize::from(todo.steps.is_quiet());
            let agreed = todo.agreed(&rules, self.stream.kind);
            let same = todo
                .shadow
                .as_ref()
                .is_some_and(|before| same(before, &agreed));
            if !same {
                let agreed_at = self.now_ms;
                let shadow = Shadow {
                    agreed_at,
                    ..agreed
                };
                self.settled.insert(key, Packed::new(&shadow));
            }
        } else {
            self.todo.insert(key, Packed::new(&todo));
        }
    }

    /// What came from there and could not be submitted here is told for as long as it stands in the draft alone: rollups do
    /// not count it, and the run that brought it is soon not the last one any more.
    fn tell_what_was_not_submitted(&mut self, todo: &Todo) {
        let Some(mine) = todo.mine.as_ref().filter(|_| self.stream.submit) else {
            return;
        };
        let About::Report { task, .. } = &mine.about else {
            return;
        };
        // A run that writes here tries to submit, and tells what became of it.
        if todo.steps.changes_here() {
            return;
        }
        let came = |name: &str, draft: &str| {
            let rule = self.rules.iter().find(|rule| rule.name == name);
            // An open conflict is told by itself.
            rule.is_some_and(|rule| matches!(rule.direction, Direction::Both | Direction::In))
                && !mine.undecided.iter().any(|undecided| undecided == name)
                && value(&todo.values.1, name) == draft
        };
        let waiting: Vec<&str> = mine
            .drafts
            .iter()
            .filter(|(name, draft)| came(name, draft))
            .map(|(name, _)| name.as_str())
            .collect();
        if !waiting.is_empty() {
            let (fields, task) = (waiting.join(", "), task.to_string());
            let args = [("fields", fields.as_str()), ("task", task.as_str())];
            let said = text(self.lang, "adapter-not-submitted", &args);
            self.report
                .problem(&todo.key, "not_submitted", said, self.now_ms);
        }
    }

    /// What we wrote and the outside made something else of is written once and told for as long as it differs.
    fn tell_what_was_not_taken(&mut self, todo: &Todo) {
        let (Some(mine), Some(shadow)) = (&todo.mine, &todo.shadow) else {
            return;
        };
        let (ours, theirs) = (&todo.values.0, &todo.values.1);
        let stays = self.rules.iter().find(|rule| {
            let name = rule.name.as_str();
            rule.readable
                && matches!(rule.direction, Direction::Both | Direction::Out)
                && !mine.drafts.contains_key(name)
                && !mine.undecided.contains(&rule.name)
                && !todo.steps.touches(name)
                && value(ours, name) != value(theirs, name)
                && value(&shadow.ours, name) == value(ours, name)
        });
        if let Some(rule) = stays.filter(|_| !self.report.waiting.contains_key(&todo.key)) {
            let name = rule.name.as_str();
            let args = [
                ("field", name),
                ("ours", value(ours, name)),
                ("theirs", value(theirs, name)),
            ];
            let said = text(self.lang, "adapter-not-taken", &args);
            self.report.waits(&todo.key, Some(&said));
        }
    }

    /// Counts what would be done.
    pub fn foretell(&mut self) {
        for todo in self.todo.values().map(Packed::open) {
            let (steps, known) = (&todo.steps, todo.theirs.is_some() || todo.shadow.is_some());
            let report = &mut self.report;
            report.pulled += usize::from(steps.changes_here());
            report.conflicts += steps.conflict.len();
            report.proposed += steps.propose.len();
            report.created += usize::from(!known);
            report.pushed += usize::from(known && !steps.push.is_empty());
        }
    }

    /// Lists what differs, for people.
    pub fn tell_differences(&mut self) {
        for todo in self.todo.values().map(Packed::open) {
            let sides = [
                (Side::There, &todo.steps.push),
                (Side::Here, &todo.steps.pull),
                (Side::Conflict, &todo.steps.conflict),
                (Side::Proposal, &todo.steps.propose),
            ];
            let exists = todo.theirs.is_some() || todo.shadow.is_some();
            for (side, fields) in sides {
                for name in fields.keys() {
                    self.report.differs(Difference {
                        stream: self.stream.name.clone(),
                        key: todo.key.clone(),
                        field: name.clone(),
                        side,
                        ours: value(&todo.values.0, name).to_owned(),
                        theirs: exists.then(|| value(&todo.values.1, name).to_owned()),
                    });
                }
            }
        }
    }
}

impl Todo {
    /// The shadow as far as both sides agree already: fields with a step still to be done stay as they were.
    pub fn agreed(&self, rules: &[Rule], kind: StreamKind) -> Shadow {
        let mut shadow = self.shadow.clone().unwrap_or_default();
        shadow.key.clone_from(&self.key);
        if let Some(theirs) = &self.theirs {
            shadow.id.clone_from(&theirs.id);
            shadow.version.clone_from(&theirs.version);
            shadow.missing_since = None;
        }
        let waiting = self
            .mine
            .as_ref()
            .map(|mine| mine.undecided.clone())
            .unwrap_or_default();
        for rule in rules {
            let name = rule.name.as_str();
            if self.steps.touches(name) || waiting.contains(&rule.name) {
                continue;
            }
            set(&mut shadow.ours, name, value(&self.values.0, name));
            set(&mut shadow.theirs, name, value(&self.values.1, name));
        }
        if let Some(mine) = &self.mine {
            let apart = [mine.apart.clone(), self.unsettled(kind)].concat();
            saw(&mut shadow, mine.record, &mine.token, &apart);
        }
        shadow
    }

    /// Registers of fields that one side has not heard of yet.
    pub fn unsettled(&self, kind: StreamKind) -> Vec<String> {
        let steps = &self.steps;
        let open = [&steps.push, &steps.conflict, &steps.propose, &steps.kept];
        let names = open.into_iter().flat_map(|fields| fields.keys());
        let registers = names.filter_map(|name| ours::register_of(kind, name));
        registers.map(str::to_owned).collect()
    }
}

/// Notes the state of our record that both sides have seen. Registers set apart hold what one side alone knows: they stay at
/// what was seen before, so that nothing written on that ground ever replaces it.
pub fn saw(shadow: &mut Shadow, record: Uuid, token: &str, apart: &[String]) {
    let read = |text: &str| text.parse::<Token>().unwrap_or_default();
    // Dots are counted per record: a token of another period's report says nothing about this one.
    let before = match shadow.record == Some(record) {
        true => read(&shadow.token),
        false => Token::default(),
    };
    let mut now = read(token);
    for register in apart {
        match before.seen.get(register) {
            Some(context) => now.seen.insert(register.clone(), context.clone()),
            None => now.seen.remove(register),
        };
    }
    shadow.record = Some(record);
    shadow.token = now.to_string();
}

/// Whether nothing changed that matters. A token alone is no news: other fields of our record change all the time.
fn same(before: &Shadow, now: &Shadow) -> bool {
    let (token, agreed_at) = (before.token.clone(), before.agreed_at);
    *before
        == Shadow {
            token,
            agreed_at,
            ..now.clone()
        }
}

/// What the comparison needs to know of the stream's fields.
pub fn rules(stream: &Stream) -> Vec<Rule> {
    let rule = |(name, field): (&String, &Field)| Rule {
        name: name.clone(),
        direction: field.direction,
        readable: field.theirs.is_some(),
    };
    stream.fields.iter().map(rule).collect()
}

/// The same fields for a record of somebody else: what is changed there can only be proposed.
fn proposed_only(rules: &[Rule]) -> Vec<Rule> {
    let propose = |rule: &Rule| match rule.direction {
        Direction::Both | Direction::In => Rule {
            direction: Direction::Propose,
            ..rule.clone()
        },
        Direction::Out | Direction::Offer | Direction::Propose => rule.clone(),
    };
    rules.iter().map(propose).collect()
}

/// Whether outside records that we do not have are begun here.
fn begins_here(stream: &Stream) -> bool {
    matches!(stream.kind, StreamKind::Tasks | StreamKind::Directives)
        && stream.fields.values().any(|field| {
            matches!(field.direction, Direction::Both | Direction::In) && field.theirs.is_some()
        })
}

/// What we wrote and find there is no edit of anybody: it counts as agreed.
fn echo(base: Option<Base>, begun: Option<&Begun>, there: &Fields) -> Option<Base> {
    let Some(begun) = begun else { return base };
    let mut base = base.unwrap_or_default();
    for (name, written) in &begun.fields {
        if value(there, name) == written {
            set(&mut base.ours, name, written);
            set(&mut base.theirs, name, written);
        }
    }
    Some(base)
}

/// Our fields as far as they are known for a report not begun: own fields as last agreed, computed ones as they are.
fn unbegun(mine: &Mine, base: &Base, stream: &Stream) -> Fields {
    let mut fields = mine.fields.clone();
    for (name, rule) in &stream.fields {
        if rule.ours.is_none() {
            set(&mut fields, name, value(&base.ours, name));
        }
    }
    fields
}

/// Tells two contents of one record apart without keeping either.
fn fingerprint(raw: &Value) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    raw.to_string().hash(&mut hasher);
    hasher.finish()
}
