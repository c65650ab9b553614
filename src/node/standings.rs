//! Where the work of units on tasks stands, kept beside the records so that a page reads what it shows.
//!
//! Invariants: what is kept follows from the records held here and from the unit tree of the day, and from nothing else; [`compare`]
//! derives it anew. A change marks the work it is about in its own transaction; marks are taken soon after, and until then whoever
//! asks has the marked work derived on the spot, so that nobody is ever shown what stood before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use nqsync_core::model::values::{Assigned, FileRef, Progress, Submission};
use nqsync_core::model::{Facts, Kind, Tree, UnitId};
use nqsync_core::rollup::{
    After, Derived, Due, GroupInput, PeriodSpan, TaskFacts, read_task, steps,
};
use nqsync_core::sync::Record;
use rusqlite::Connection;
use uuid::Uuid;

use super::Node;
use super::commands::views::{hashes, maybe, values_now};
use super::rollups::Inputs;
use crate::store::records::{self, Flags};
use crate::store::standings::{self, Kept, Pair, Place, Stood, Wait};
use crate::store::{StoreError, Stored, Tx, blobs, queries};

/// Works derived in one job of the writer, so that people's writes do not wait long behind a first load.
const WORKS_PER_JOB: usize = 512;
/// Works that a verb derives itself, so that a node without a service keeps up with what people type.
pub const WORKS_PER_VERB: usize = 32;

/// Marks the work that a saved record is about. `before` is the record before the save.
pub fn touched(tx: &Tx<'_>, record: &Record, before: Option<&Record>) -> Result<(), StoreError> {
    let connection = tx.connection();
    match record.facts() {
        Facts::Report { task, unit, .. } | Facts::Evidence { task, unit, .. } => {
            standings::mark(connection, *task, *unit)
        }
        Facts::Verdict { report, unit, .. } | Facts::Arrival { report, unit, .. } => {
            // Without the report there is nothing to judge yet; it marks its work itself when it comes.
            match crate::store::groups::about_and_period(connection, *report)? {
                Some((task, _)) => standings::mark(connection, task, *unit),
                None => Ok(()),
            }
        }
        Facts::Task { .. } => {
            let due = |record: &Record| read_task(record).and_then(|task| task.due);
            match before {
                // A report on a task that is not known yet waits until it is.
                Some(before) if due(before) != due(record) => {
                    standings::mark_task(connection, record.key().id)
                }
                _ => Ok(()),
            }
        }
        Facts::Unit { .. } => {
            let same = |name: &str| record.shown(name) == before.and_then(|b| b.shown(name));
            match same("parent") && same("succession") {
                true => Ok(()),
                // Whose verdict counts follows from who is above whom.
                false => standings::mark_all(connection),
            }
        }
        _ => Ok(()),
    }
}

/// Marks all work: from today on units stand elsewhere, and whose verdict counts follows from who is above whom.
pub fn units_moved(tx: &Tx<'_>) -> Result<(), StoreError> {
    standings::mark_all(tx.connection())
}

/// Derives some of what is marked; its commit calls for the next. Writes nothing where nothing is.
pub async fn refresh(node: &Node) -> Result<(), StoreError> {
    if !node.store.read(standings::any_marked).await? {
        return Ok(());
    }
    node.store
        .write(|tx| settle(tx, WORKS_PER_JOB).map(drop))
        .await
}

/// Derives what is marked, at most `limit` works. Answers how many.
pub fn settle(tx: &Tx<'_>, limit: usize) -> Result<usize, StoreError> {
    let (connection, tree) = (tx.connection(), tx.tree());
    let works = standings::take_marks(connection, limit)?;
    let mut reader = Reader::new(connection, &tree);
    for of in &works {
        standings::replace(connection, *of, &reader.derive(*of)?)?;
        for (file, record) in reader.files(*of)? {
            standings::note_file(connection, &file, record)?;
        }
    }
    Ok(works.len())
}

/// Where what is kept differs from what follows from the records, after everything marked was derived: works by task and
/// unit. It reads every report.
pub fn compare(connection: &Connection, tree: &Tree) -> Result<Vec<Pair>, StoreError> {
    let marked: HashSet<Pair> = standings::marked(connection)?.into_iter().collect();
    let mut kept: BTreeMap<Pair, Vec<Kept>> = BTreeMap::new();
    for row in standings::all(connection, None)? {
        kept.entry((row.task, row.unit)).or_default().push(row);
    }
    let mut reader = Reader::new(connection, tree);
    let mut works: BTreeSet<Pair> = standings::works(connection)?.into_iter().collect();
    works.extend(kept.keys());
    let mut differ = Vec::new();
    for of in works.into_iter().filter(|of| !marked.contains(of)) {
        if reader.derive(of)? != kept.remove(&of).unwrap_or_default() {
            differ.push(of);
        }
    }
    Ok(differ)
}

/// What stands of one work, the earliest report first: as it is kept, or derived now where it is marked.
pub fn work(connection: &Connection, tree: &Tree, of: Pair) -> Result<Vec<Kept>, StoreError> {
    match standings::is_marked(connection, of)? {
        true => Reader::new(connection, tree).derive(of),
        false => standings::of_work(connection, of),
    }
}

/// What stands, as of the snapshot that is read.
pub struct Standings<'a> {
    connection: &'a Connection,
    /// Work that is marked, derived now.
    fresh: BTreeMap<Pair, Vec<Kept>>,
}

impl<'a> Standings<'a> {
    /// What stands now.
    pub fn of(connection: &'a Connection, tree: &Tree) -> Result<Standings<'a>, StoreError> {
        let mut reader = Reader::new(connection, tree);
        let mut fresh = BTreeMap::new();
        for of in standings::marked(connection)? {
            fresh.insert(of, reader.derive(of)?);
        }
        Ok(Standings { connection, fresh })
    }

    /// The same for whoever asks about one task only.
    pub fn of_tasks(
        connection: &'a Connection,
        tree: &Tree,
        task: Uuid,
    ) -> Result<Standings<'a>, StoreError> {
        let mut reader = Reader::new(connection, tree);
        let mut fresh = BTreeMap::new();
        for of in standings::marked_of(connection, task)? {
            fresh.insert(of, reader.derive(of)?);
        }
        Ok(Standings { connection, fresh })
    }

    fn fresh(&self) -> impl Iterator<Item = &Kept> {
        self.fresh.values().flatten()
    }

    /// The states of the work on a task at the end of a day, as if the due day had not come; `None`: by the latest reports.
    pub fn states(
        &self,
        task: Uuid,
        day: Option<Date>,
    ) -> Result<HashMap<UnitId, Derived>, StoreError> {
        let found = standings::states(self.connection, task, day)?;
        let mut states: HashMap<UnitId, Derived> = found.into_iter().collect();
        let of_task = (task, UnitId(Uuid::nil()))..=(task, UnitId(Uuid::max()));
        for ((_, unit), rows) in self.fresh.range(of_task) {
            let tells = |row: &&Kept| match day {
                Some(day) => row.tells(day),
                None => row.until.is_none(),
            };
            match rows.iter().find(tells) {
                Some(row) => states.insert(*unit, row.after.derived),
                None => states.remove(unit),
            };
        }
        Ok(states)
    }

    /// Where all work stands at the end of a period.
    pub fn of_period(&self, span: &PeriodSpan) -> Result<OfPeriod, StoreError> {
        let mut found = standings::stood(self.connection, span.start, span.end)?;
        if !self.fresh.is_empty() {
            found.retain(|stood| !self.fresh.contains_key(&stood.of));
            let fresh = self.fresh().filter(|row| row.tells(span.end));
            found.extend(fresh.map(|row| row.stood(span.start)));
        }
        found.sort_unstable_by_key(|stood| stood.of);
        let mut finished = self.finished_before(span)?;
        finished.sort_unstable();
        Ok(OfPeriod {
            span: span.clone(),
            stood: found,
            finished,
        })
    }

    /// The work that was finished before a period began.
    fn finished_before(&self, span: &PeriodSpan) -> Result<Vec<Pair>, StoreError> {
        let mut found = standings::finished(self.connection, span.start)?;
        if self.fresh.is_empty() {
            return Ok(found);
        }
        found.retain(|of| !self.fresh.contains_key(of));
        let before = |row: &&Kept| {
            row.after.derived.is_finished()
                && row.after.ends < span.start
                && row.until.is_none_or(|until| until >= span.start)
        };
        found.extend(self.fresh().filter(before).map(|row| (row.task, row.unit)));
        Ok(found)
    }

    /// The submitted versions of the reports of exactly this period.
    pub fn versions(&self, span: &PeriodSpan) -> Result<Vec<(Pair, Uuid, String)>, StoreError> {
        let mut found = standings::versions(self.connection, span.start, span.end)?;
        found.retain(|(of, ..)| !self.fresh.contains_key(of));
        let of_period = |row: &&Kept| (row.after.starts, row.after.ends) == (span.start, span.end);
        found.extend(self.fresh().filter(of_period).map(|row| {
            let after = &row.after;
            ((row.task, row.unit), after.report, after.hash.clone())
        }));
        Ok(found)
    }

    /// The reports that wait, in the order of their periods.
    pub fn waiting(&self, wait: Wait) -> Result<Vec<Place>, StoreError> {
        let mut found = standings::waiting(self.connection, wait)?;
        if self.fresh.is_empty() {
            return Ok(found);
        }
        found.retain(|place| !self.fresh.contains_key(&(place.task, place.unit)));
        found.extend(standings::waiting_among(self.fresh(), wait));
        found.sort_unstable();
        Ok(found)
    }
}

/// Where all work stands at the end of one period. Lists in the order of their pairs: they are smaller than maps and sooner
/// made.
pub struct OfPeriod {
    span: PeriodSpan,
    stood: Vec<Stood>,
    finished: Vec<Pair>,
}

impl OfPeriod {
    /// Every unit the task is given to, with where it stands (`None`: it never reported), and whether its report was due and
    /// came.
    pub fn of(&self, task: &TaskFacts) -> Vec<(UnitId, Option<Stood>, Due)> {
        let stood = about(&self.stood, task.id, |stood| stood.of);
        let finished = about(&self.finished, task.id, |of| *of);
        let each = assigned(task).into_iter();
        each.map(|unit| {
            let of = (task.id, unit);
            let stood = stood
                .binary_search_by_key(&of, |stood| stood.of)
                .ok()
                .map(|at| stood[at]);
            let is_finished = finished.binary_search(&of).is_ok();
            let came = stood.is_some_and(|stood| stood.came);
            (unit, stood, Due::of(task, self.span.end, is_finished, came))
        })
        .collect()
    }
}

/// The part of a list in the order of pairs that is about a task.
fn about<T>(list: &[T], task: Uuid, of: impl Fn(&T) -> Pair) -> &[T] {
    let begin = list.partition_point(|one| of(one).0 < task);
    let count = list[begin..].partition_point(|one| of(one).0 == task);
    &list[begin..begin + count]
}

/// The units a task is given to, each once: the leads first.
pub fn assigned(task: &TaskFacts) -> Vec<UnitId> {
    let mut seen = HashSet::new();
    let units = task.lead.units.iter().chain(&task.coordinating.units);
    units.copied().filter(|unit| seen.insert(*unit)).collect()
}

/// Reads the tasks held here that are carried out, as counting needs them, one after the other. What was taken from all who
/// report by way of this node is carried out elsewhere.
pub fn each_live_task(
    connection: &Connection,
    mut each: impl FnMut(TaskFacts) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let today = queries::today(connection)?;
    records::each_of_kind(connection, Kind::Task, |stored| {
        let here = !stored.flags.has(Flags::LEFT);
        match read_task(&stored.record).filter(|task| here && task.is_live()) {
            Some(mut task) => {
                task.doubt_clock(today);
                each(task)
            }
            None => Ok(()),
        }
    })
}

/// Reads records and derives from them.
struct Reader<'a> {
    connection: &'a Connection,
    tree: &'a Tree,
    tasks: HashMap<Uuid, Option<TaskFacts>>,
}

impl<'a> Reader<'a> {
    fn new(connection: &'a Connection, tree: &'a Tree) -> Reader<'a> {
        Reader {
            connection,
            tree,
            tasks: HashMap::new(),
        }
    }

    /// The task as its reports are judged by it. Also a unit that is no longer assigned, or whose task is gone, sees what its
    /// own report says.
    fn task(&mut self, of: Pair) -> Result<TaskFacts, StoreError> {
        if !self.tasks.contains_key(&of.0) {
            let stored = records::load(self.connection, of.0)?;
            let facts = stored.and_then(|stored| read_task(&stored.record));
            self.tasks.insert(of.0, facts);
        }
        let known = self.tasks.get(&of.0).and_then(Option::as_ref);
        Ok(TaskFacts {
            id: of.0,
            issuer: known.map_or(of.1, |task| task.issuer),
            parent: None,
            group: String::new(),
            lead: Assigned::default(),
            coordinating: Assigned::default(),
            due: known.and_then(|task| task.due),
            deadline_kind: String::new(),
            issued: None,
            withdrawn: false,
            deleted: false,
            unread: false,
        })
    }

    fn derive(&mut self, of: Pair) -> Result<Vec<Kept>, StoreError> {
        let task = self.task(of)?;
        let reports = records::about_by(self.connection, Kind::Report, of.0, of.1)?;
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let evidence = self.evidence(of)?;
        let inputs = Inputs::of_work(self.connection, self.tree, task, &reports)?;
        let always = PeriodSpan {
            name: String::new(),
            start: Date::MIN,
            end: Date::MAX,
        };
        let found = inputs.ask(&always, Date::MAX, |input: &GroupInput<'_>| steps(input));
        let after: Vec<After> = found.into_values().flatten().collect();
        let mut rows = Vec::new();
        for (at, step) in after.iter().enumerate() {
            // A report says where the work stood at the end of its period, by whatever report.
            let by_then = after.iter().rfind(|other| other.ends == step.ends);
            let mut waits = Vec::new();
            if by_then.is_some_and(|then| then.evidence_pending) {
                waits.push(Wait::Verdict);
            }
            if by_then.is_some_and(|then| then.derived == Derived::AwaitingCorrection) {
                waits.push(Wait::Correction);
            }
            let report = reports.iter().find(|r| r.record.key().id == step.report);
            if report.is_some_and(|report| draft_differs(&report.record, &evidence)) {
                waits.push(Wait::Submission);
            }
            rows.push(Kept {
                task: of.0,
                unit: of.1,
                after: step.clone(),
                until: after.get(at + 1).map(|next| next.ends),
                waits,
            });
        }
        Ok(rows)
    }

    fn evidence(&self, of: Pair) -> Result<Vec<Stored>, StoreError> {
        let mut found = records::about_by(self.connection, Kind::Evidence, of.0, of.1)?;
        found.retain(|stored| !stored.record.is_deleted());
        Ok(found)
    }

    /// The files that the evidence of a work names.
    fn files(&self, of: Pair) -> Result<Vec<(blobs::BlobId, Uuid)>, StoreError> {
        let named = |stored: &Stored| {
            let file: FileRef = maybe(&stored.record, "file")?;
            Some((blobs::parse_hex(&file.sha256)?, stored.record.key().id))
        };
        Ok(self.evidence(of)?.iter().filter_map(named).collect())
    }
}

/// Whether a report's draft differs from the version that was submitted last. `evidence`: all live evidence of the work.
pub fn draft_differs(report: &Record, evidence: &[Stored]) -> bool {
    let Some(version) = maybe::<Submission>(report, "submission") else {
        return false;
    };
    let progress: Option<Progress> = maybe(report, "progress");
    let period = report.facts().period();
    let of_period = evidence
        .iter()
        .filter(|s| s.record.facts().period() == period);
    let of_period: Vec<Stored> = of_period.cloned().collect();
    Some(&version.progress) != progress.as_ref()
        || version.values != values_now(report)
        || version.evidence != hashes(&of_period)
}
