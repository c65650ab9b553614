//! What a fold needs to know of each record, and how it is read from one.

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::model::values::{Assigned, Group, Received, Submission, VerdictValue};
use crate::model::{Facts, Tree, UnitId};
use crate::sync::Record;

/// A reporting period as its name and its first and last day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeriodSpan {
    /// Canonical text, such as `2026-03`.
    pub name: String,
    /// First day.
    pub start: Date,
    /// Last day.
    pub end: Date,
}

/// A task, as far as counting needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFacts {
    /// The record's id.
    pub id: Uuid,
    /// Who gave it.
    pub issuer: UnitId,
    /// The task it is a part of.
    pub parent: Option<Uuid>,
    /// Code of its group, else its title, else the programme, else empty: the key that rollups go by.
    pub group: String,
    /// Who carries it out.
    pub lead: Assigned,
    /// Who helps.
    pub coordinating: Assigned,
    /// Last day, where the deadline names one.
    pub due: Option<Date>,
    /// Kind of the deadline, such as `on_request`; empty when there is none.
    pub deadline_kind: String,
    /// The day on which it was given, in the zone of the reporting regimes; `None` where nothing trustworthy says so: then
    /// its reports are expected of every period, and nobody is let off by a wrong clock.
    pub issued: Option<Date>,
    /// Taken back by its issuer.
    pub withdrawn: bool,
    /// Deleted by its issuer.
    pub deleted: bool,
    /// Something counting needs is written in a form that is not known here, as a newer version may write it.
    pub unread: bool,
}

/// A report, as far as counting needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFacts {
    /// The record's id.
    pub id: Uuid,
    /// The task it is about.
    pub task: Uuid,
    /// Who reports.
    pub unit: UnitId,
    /// What period it is for.
    pub period: PeriodSpan,
    /// The submitted version that is shown; absent before the first one, and when it was withdrawn.
    pub submission: Option<Submission>,
    /// Whether two places submitted different versions without knowing of each other.
    pub submissions_in_conflict: bool,
    /// Deleted by its unit.
    pub deleted: bool,
    /// A version was submitted, in a form that is not known here.
    pub unread: bool,
}

/// A verdict, as far as counting needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictFacts {
    /// The report judged.
    pub report: Uuid,
    /// Hash of the version judged; for any other version this verdict says nothing.
    pub submission: String,
    /// Whose report.
    pub unit: UnitId,
    /// Who judged.
    pub reviewer: UnitId,
    /// Whether the reviewer stands above the unit. A verdict of anybody else but the task's issuer does not count.
    pub from_above: bool,
    /// Accepted or rejected.
    pub accepted: bool,
    /// Why.
    pub reason: String,
}

/// When a submission came in at the first level above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivalFacts {
    /// Hash of the submission.
    pub submission: String,
    /// Whose submission.
    pub unit: UnitId,
    /// By the receiver's clock, milliseconds since 1970.
    pub at: i64,
    /// How far the sender's clock was ahead, in milliseconds.
    pub sender_ahead_ms: i64,
}

impl TaskFacts {
    /// A day of issue that is still to come was told by a clock that runs ahead. A day is allowed for: between two
    /// machines it may be midnight.
    pub fn doubt_clock(&mut self, today: Date) {
        let tomorrow = today.tomorrow().unwrap_or(today);
        self.issued = self.issued.filter(|issued| *issued <= tomorrow);
    }

    /// Whether it is counted at all.
    pub fn is_live(&self) -> bool {
        !self.withdrawn && !self.deleted
    }

    /// Whether it is clear who carries it out. One unknown name is enough for *no*: the least advanced of several
    /// leads decides, and of that one nothing is known.
    pub fn has_resolved_lead(&self) -> bool {
        !self.lead.units.is_empty() && self.lead.unresolved.is_empty()
    }
}

/// Reads a task; `None` for other kinds. A register that does not fit its type counts as empty, and is not passed over in
/// silence: the task is then `unread`.
pub fn read_task(record: &Record) -> Option<TaskFacts> {
    let Facts::Task { issuer, parent } = record.facts() else {
        return None;
    };
    let mut unread = false;
    let group: Group = said(record, "group", &mut unread);
    let programme: String = said(record, "programme", &mut unread);
    let key = [&group.code, &group.title, &programme]
        .into_iter()
        .map(|text| text.trim())
        .find(|text| !text.is_empty());
    let deadline: Deadline = said(record, "deadline", &mut unread);
    let lead: Assigned = said(record, "lead", &mut unread);
    let coordinating: Assigned = said(record, "coordinating", &mut unread);
    let due = deadline.due.as_str().and_then(|text| text.parse().ok());
    Some(TaskFacts {
        id: record.key().id,
        issuer: *issuer,
        parent: *parent,
        group: key.unwrap_or_default().to_owned(),
        lead,
        coordinating,
        due,
        deadline_kind: deadline.kind,
        issued: issued(record, due),
        withdrawn: record.shown("withdrawn").is_some(),
        deleted: record.is_deleted(),
        unread,
    })
}

/// When a task was given, as far as that can be believed: the moment in its id, or that of an edit which is older. Both are
/// of the issuer's clock. One that was behind makes reports expected of too many periods, which does no harm; what names
/// a day after the task's own due day comes from a clock that was ahead, and says nothing.
fn issued(record: &Record, due: Option<Date>) -> Option<Date> {
    let born = record.key().id.get_timestamp()?.to_unix().0;
    let born = i64::try_from(born).ok()?.checked_mul(1000)?;
    let edits = record.edits().iter().map(|edit| edit.stamp.millis());
    let earliest = edits.chain([born]).min()?;
    let at = jiff::Timestamp::from_millisecond(earliest).ok()?;
    let day = at.in_tz(super::status::ZONE).ok()?.date();
    due.is_none_or(|due| day <= due).then_some(day)
}

/// Reads a report; `None` for other kinds and for a period that `span_of` cannot place in the calendar.
pub fn read_report(
    record: &Record,
    span_of: impl Fn(&str) -> Option<PeriodSpan>,
) -> Option<ReportFacts> {
    let Facts::Report {
        unit, task, period, ..
    } = record.facts()
    else {
        return None;
    };
    let siblings = record.register("submission").siblings;
    let different = |pair: &[&crate::sync::Write]| !pair[0].same_value(pair[1]);
    Some(ReportFacts {
        id: record.key().id,
        task: *task,
        unit: *unit,
        period: span_of(period)?,
        submission: typed(record, "submission"),
        submissions_in_conflict: siblings.windows(2).any(different),
        deleted: record.is_deleted(),
        unread: is_unread::<Submission>(record, "submission"),
    })
}

/// Reads a verdict; `None` for other kinds and for one that was taken back.
pub fn read_verdict(record: &Record, tree: &Tree) -> Option<VerdictFacts> {
    let Facts::Verdict {
        reviewer,
        unit,
        report,
        submission,
        ..
    } = record.facts()
    else {
        return None;
    };
    let verdict: VerdictValue = typed(record, "verdict")?;
    Some(VerdictFacts {
        report: *report,
        submission: submission.clone(),
        unit: *unit,
        reviewer: *reviewer,
        from_above: reviewer != unit && tree.is_within(*unit, *reviewer),
        accepted: verdict.accepted,
        reason: verdict.reason,
    })
}

/// Reads an arrival; `None` for other kinds. Of several notes the earliest counts.
pub fn read_arrival(record: &Record) -> Option<ArrivalFacts> {
    let Facts::Arrival {
        submission, unit, ..
    } = record.facts()
    else {
        return None;
    };
    let notes = record.register("received").siblings;
    let read = |json: Value| serde_json::from_value::<Received>(json).ok();
    let earliest = notes
        .iter()
        .filter_map(|write| read(write.json()))
        .min_by_key(|note| (note.at, note.sender_ahead_ms, note.node))?;
    Some(ArrivalFacts {
        submission: submission.clone(),
        unit: *unit,
        at: earliest.at,
        sender_ahead_ms: earliest.sender_ahead_ms,
    })
}

/// The parts of a `deadline` register that counting needs; the due day is read leniently.
#[derive(Default, Deserialize)]
struct Deadline {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    due: Value,
}

fn typed<T: DeserializeOwned>(record: &Record, register: &str) -> Option<T> {
    serde_json::from_value(record.shown(register)?).ok()
}

/// A register in its type, read once: a task that is given to hundreds of units is long. What does not fit counts as empty,
/// and is noted.
fn said<T: DeserializeOwned + Default>(record: &Record, register: &str, unread: &mut bool) -> T {
    let siblings = record.register(register).siblings;
    let Some(write) = siblings.first().filter(|write| !write.is_empty()) else {
        return T::default();
    };
    serde_json::from_str(write.value.get()).unwrap_or_else(|_| {
        *unread = true;
        T::default()
    })
}

/// Whether a register says something that cannot be read here. Emptied it says nothing.
fn is_unread<T: DeserializeOwned>(record: &Record, register: &str) -> bool {
    let value = record.shown(register).filter(|value| !value.is_null());
    value.is_some_and(|value| serde_json::from_value::<T>(value).is_err())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::sync::{Author, Incarnation};

    const UNIT: UnitId = UnitId(Uuid::from_u128(7));

    fn record(facts: Facts, values: Value) -> Record {
        let key = facts.key(Uuid::from_u128(1));
        let mut record = Record::begin(facts, key);
        write(&mut record, 1, values);
        record
    }

    fn write(record: &mut Record, incarnation: u8, values: Value) {
        let by = Author {
            incarnation: Incarnation([incarnation; 16]),
            unit: UNIT,
            name: "an officer",
            seal: None,
        };
        let values: BTreeMap<String, Value> = serde_json::from_value(values).unwrap();
        record.write(by, 0, values, None).unwrap();
    }

    #[test]
    fn a_task_is_read_from_its_registers_and_what_does_not_fit_counts_as_empty() {
        let facts = || Facts::Task {
            issuer: UNIT,
            parent: None,
        };
        let values = json!({
            "group": { "code": " III ", "title": "x" },
            "lead": { "text": "A", "units": [UNIT] },
            "deadline": { "text": "15/03/2026", "kind": "date", "due": "2026-03-15" },
            "withdrawn": null,
        });
        let task = read_task(&record(facts(), values)).unwrap();
        assert_eq!(
            (task.group.as_str(), task.lead.units.as_slice()),
            ("III", &[UNIT][..])
        );
        assert_eq!(task.due, Some(jiff::civil::date(2026, 3, 15)));
        assert!(task.is_live() && task.has_resolved_lead() && !task.unread);

        let values = json!({
            "group": 3, "programme": "57", "lead": "A", "deadline": { "kind": "date", "due": "31/02/2026" },
            "withdrawn": { "reason": "given twice" },
        });
        let task = read_task(&record(facts(), values)).unwrap();
        assert_eq!((task.group.as_str(), task.due), ("57", None));
        assert!(!task.is_live() && !task.has_resolved_lead() && task.unread);
    }

    #[test]
    fn when_a_task_was_given_is_told_by_its_id_and_its_edits_and_a_clock_ahead_tells_nothing() {
        let of = |born: &str, edited: &str, due: &str| {
            let ms = |day: &str| {
                let day: Date = day.parse().unwrap();
                let noon = day.at(12, 0, 0, 0).in_tz("Asia/Ho_Chi_Minh").unwrap();
                noon.timestamp().as_millisecond()
            };
            let seconds = (ms(born) / 1000) as u64;
            let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0));
            let facts = Facts::Task {
                issuer: UNIT,
                parent: None,
            };
            let key = facts.key(id);
            let mut record = Record::begin(facts, key);
            let by = Author {
                incarnation: Incarnation([1; 16]),
                unit: UNIT,
                name: "an officer",
                seal: None,
            };
            let values = json!({ "deadline": { "text": "", "kind": "date", "due": due } });
            let values: BTreeMap<String, Value> = serde_json::from_value(values).unwrap();
            record.write(by, ms(edited), values, None).unwrap();
            let mut task = read_task(&record).unwrap();
            task.doubt_clock("2026-06-15".parse().unwrap());
            task.issued.map(|day| day.to_string())
        };
        let march = Some("2026-03-02".to_owned());
        assert_eq!(of("2026-03-02", "2026-05-01", "2026-12-31"), march);
        assert_eq!(
            of("2026-05-01", "2026-03-02", "2026-12-31"),
            march,
            "an older edit"
        );
        assert_eq!(
            of("2026-03-02", "2026-03-02", "2026-02-28"),
            None,
            "after its own due day"
        );
        assert_eq!(
            of("2026-06-17", "2026-06-17", "2026-12-31"),
            None,
            "still to come"
        );
        assert!(of("2026-06-16", "2026-06-16", "2026-12-31").is_some());
        assert!(
            of("2010-01-01", "2010-01-01", "2026-12-31").is_some_and(|day| day.starts_with("2010"))
        );
        let facts = Facts::Task {
            issuer: UNIT,
            parent: None,
        };
        let unknown = read_task(&record(facts, json!({ "title": "x" }))).unwrap();
        assert_eq!(unknown.issued, None, "an id that tells no time");
    }

    #[test]
    fn a_report_says_whether_two_places_submitted_different_versions() {
        let facts = Facts::Report {
            unit: UNIT,
            issuer: UNIT,
            task: Uuid::from_u128(2),
            period: "2026-03".to_owned(),
        };
        let version = |hash: &str| {
            json!({ "submission": { "hash": hash, "submitted_at": 5, "values": {}, "evidence": [],
                "progress": { "status": "completed" } } })
        };
        let span_of = |name: &str| {
            Some(PeriodSpan {
                name: name.to_owned(),
                start: jiff::civil::date(2026, 3, 1),
                end: jiff::civil::date(2026, 3, 31),
            })
        };
        let blank = Record::begin(facts.clone(), facts.key(Uuid::nil()));
        let (mut here, mut there) = (blank.clone(), blank);
        write(&mut here, 1, version("a"));
        write(&mut there, 2, version("b"));
        assert!(!read_report(&here, span_of).unwrap().submissions_in_conflict);
        here.join(&there).unwrap();
        let report = read_report(&here, span_of).unwrap();
        assert!(report.submissions_in_conflict && report.submission.is_some());
        assert_eq!(read_report(&here, |_| None), None);

        write(&mut here, 1, json!({ "submission": null }));
        let withdrawn = read_report(&here, span_of).unwrap();
        assert_eq!(
            (withdrawn.submission, withdrawn.submissions_in_conflict),
            (None, false)
        );
        assert!(!withdrawn.unread);
        // A status that only a newer version knows.
        let newer = json!({ "hash": "c", "submitted_at": 5, "values": {}, "evidence": [],
            "progress": { "status": "suspended" } });
        write(&mut here, 1, json!({ "submission": newer }));
        let newer = read_report(&here, span_of).unwrap();
        assert!(newer.submission.is_none() && newer.unread);
    }

    #[test]
    fn of_several_notes_of_an_arrival_the_earliest_counts() {
        let facts = Facts::Arrival {
            unit: UNIT,
            issuer: UNIT,
            report: Uuid::nil(),
            submission: "a".to_owned(),
        };
        let note = |at: i64| json!({ "received": { "at": at, "sender_ahead_ms": at, "node": Uuid::nil() } });
        let blank = Record::begin(facts.clone(), facts.key(Uuid::nil()));
        let (mut here, mut there) = (blank.clone(), blank);
        write(&mut here, 1, note(20));
        write(&mut there, 2, note(10));
        here.join(&there).unwrap();
        assert_eq!(read_arrival(&here).unwrap().at, 10);
    }

    #[test]
    fn a_verdict_that_was_taken_back_is_none() {
        let facts = Facts::Verdict {
            reviewer: UNIT,
            unit: UNIT,
            issuer: UNIT,
            report: Uuid::nil(),
            submission: "a".to_owned(),
        };
        let mut verdict = record(
            facts,
            json!({ "verdict": { "accepted": false, "reason": "blurred" } }),
        );
        assert_eq!(
            read_verdict(&verdict, &Tree::default()).map(|v| (v.accepted, v.from_above)),
            Some((false, false))
        );
        write(&mut verdict, 1, json!({ "verdict": null }));
        assert_eq!(read_verdict(&verdict, &Tree::default()), None);
    }
}
