//! `rollup show`: this node's own counts and those received from below, with whose they are.
//!
//! What is held here only on its way to others is shown apart, as *held on the path*, and is in no sum.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use nqsync_core::model::{Facts, Tree, UnitId};
use nqsync_core::rollup::{AsOf, Counts, Coverage, GroupRollup, NotCounted, PeriodSpan};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::assignments::{Assignment, Assignments};
use super::nodes;
use super::shared::{self, time};
use super::{Reading, Said};
use crate::api::{Exit, RollupBy};
use crate::node::Refusal;
use crate::node::rollups::closed::is_closed;
use crate::node::rollups::load::{count_for, each_task, sum};
use crate::node::rollups::{self, Before};
use crate::store::{StoreError, closings, groups};

/// One issuer's group, as it is shown.
struct Part {
    issuer: UnitId,
    group: String,
    rollup: GroupRollup,
    on_path: bool,
}

/// A rollup from elsewhere that is in no sum, because it cannot be read by the rules known here.
struct Left {
    issuer: UnitId,
    group: String,
    reason: NotCounted,
}

/// What is asked for.
struct Question<'a> {
    on: &'a Reading<'a>,
    span: PeriodSpan,
    today: Date,
    /// Only what is issued, or carried out, at or below this unit.
    under: Option<UnitId>,
    /// What came after closings.
    before: Before,
    /// What an earlier version had; asked for by number.
    former: HashMap<(UnitId, String), Option<GroupRollup>>,
}

/// Answers `rollup show`.
pub fn show(
    on: &Reading<'_>,
    period: Option<&str>,
    unit: Option<&str>,
    by: RollupBy,
    recompute: bool,
    version: Option<u32>,
) -> Result<Said, Refusal> {
    let wanted = shared::period(on.node, period)?;
    let name = wanted.to_string();
    let latest = closings::version(on.connection, &name)?;
    let former = match version {
        None => HashMap::new(),
        Some(_) if unit.is_some() || by == RollupBy::Unit => {
            return Err(Refusal::usage("rollup-version-whole", []));
        }
        Some(n) if !(1..=latest).contains(&n) => {
            let args = [
                ("version", n.to_string()),
                ("latest", latest.to_string()),
                ("period", name),
            ];
            return Err(Refusal::usage("rollup-no-version", args));
        }
        Some(n) => closings::former(on.connection, &name, n)?,
    };
    let under = unit
        .map(|text| super::resolve(&on.tree, text, on.home))
        .transpose()?;
    let question = Question {
        on,
        span: rollups::span_of(&wanted),
        today: on.node.today(),
        under,
        before: Before::of(on.connection, &name, None)?,
        former,
    };
    let (parts, left) = question.parts()?;
    let counted: Vec<&Part> = parts.iter().filter(|part| !part.on_path).collect();
    let mut total = question.total(&counted);
    let all_in = total.coverage.complete;
    total.coverage.complete &= left.is_empty();
    let rows = match by {
        RollupBy::Group => question.by_group(&counted)?,
        RollupBy::Issuer => question.by_issuer(&counted),
        RollupBy::Unit => question.by_unit(&counted)?,
    };
    let recount = recompute.then(|| question.recount()).transpose()?;
    let same = recount
        .as_ref()
        .is_none_or(|found| found["same"] == json!(true));
    let mut data = shown(&total);
    data["period"] = json!(question.span.name);
    data["evaluated_on"] = json!(total.evaluated_on);
    data["by"] = json!(by);
    data["rows"] = json!(rows);
    data["issuers"] = json!(question.issuers(&parts, &left));
    data["not_counted"] = json!(question.not_counted(&left, &counted));
    data["recomputed"] = json!(recount);
    data["version"] = json!(version.unwrap_or(latest));
    data["latest_version"] = json!(latest);
    let late = closings::count_all(on.connection, Some(&name))?;
    let mut closed = false;
    for issuer in groups::issuers(on.connection)? {
        closed |= question.is_own(issuer) && question.closed(issuer)?;
    }
    data["closed"] = json!(closed);
    data["late"] = json!(late);
    let mut said = Said::done(data);
    if version.is_some_and(|n| n < latest) {
        let args = [
            ("version", version.unwrap_or(latest).to_string()),
            ("latest", latest.to_string()),
        ];
        said = said.note("note-rollup-earlier-version", args);
    } else if late > 0 {
        let args = [("late", late.to_string()), ("period", name)];
        said = said.note("note-rollup-late", args);
    }
    if !same {
        said = said.note("note-rollup-differs", []);
        said.exit = Exit::Failed;
    }
    if !left.is_empty() {
        said = said.note("note-rollup-not-counted", [("n", left.len().to_string())]);
    }
    if total.not_read > 0 {
        let args = [("n", total.not_read.to_string())];
        said = said.note("note-rollup-not-read", args);
    }
    if !all_in {
        let count = |n: u32| n.to_string();
        said = said.note(
            "note-rollup-incomplete",
            [
                ("reported", count(total.coverage.units_reported)),
                ("expected", count(total.coverage.units_expected)),
            ],
        );
    }
    Ok(said)
}

impl Question<'_> {
    fn connection(&self) -> &Connection {
        self.on.connection
    }

    fn tree(&self) -> &Tree {
        &self.on.tree
    }

    fn within(&self, unit: UnitId) -> bool {
        self.under
            .is_none_or(|above| self.tree().is_within(unit, above))
    }

    fn is_own(&self, issuer: UnitId) -> bool {
        self.tree().server_of(issuer) == self.tree().server_of(self.on.home)
    }

    fn closed(&self, issuer: UnitId) -> Result<bool, StoreError> {
        is_closed(
            self.connection(),
            self.tree(),
            issuer,
            &self.span.name,
            None,
        )
    }

    fn evaluated_on(&self) -> Date {
        rollups::evaluated_on(&self.span, self.today)
    }

    /// What is counted or shown, and what came from elsewhere and cannot be.
    fn parts(&self) -> Result<(Vec<Part>, Vec<Left>), StoreError> {
        let (mut parts, left) = self.received()?;
        for issuer in groups::issuers(self.connection())? {
            let below = self.tree().is_within(issuer, self.on.home);
            if !self.is_own(issuer) && below {
                // Counted where it is served; its rollup is among those received.
                continue;
            }
            let mut names: BTreeSet<String> = groups::of_issuer(self.connection(), issuer)?
                .into_iter()
                .collect();
            if self.is_own(issuer) {
                // A group whose tasks have all moved to others is still in closed figures.
                names.extend(rollups::groups_in(
                    self.connection(),
                    issuer,
                    &self.span.name,
                )?);
            }
            let closed = self.is_own(issuer) && self.closed(issuer)?;
            for group in names {
                let on_path = !self.is_own(issuer);
                let rollup = self.held((issuer, &group), on_path, closed)?;
                if rollup.assignments.total > 0 || rollup.tasks.total > 0 {
                    parts.push(Part {
                        issuer,
                        group,
                        rollup,
                        on_path,
                    });
                }
            }
        }
        for ((issuer, group), rollup) in &self.former {
            parts.retain(|part| (part.issuer, &part.group) != (*issuer, group));
            parts.extend(rollup.iter().map(|rollup| Part {
                issuer: *issuer,
                group: group.clone(),
                rollup: rollup.clone(),
                on_path: false,
            }));
        }
        parts.sort_by(|a, b| (a.on_path, a.issuer, &a.group).cmp(&(b.on_path, b.issuer, &b.group)));
        Ok((parts, left))
    }

    /// A group whose tasks are held here.
    fn held(
        &self,
        (issuer, group): (UnitId, &str),
        on_path: bool,
        closed: bool,
    ) -> Result<GroupRollup, StoreError> {
        if !on_path && self.within(issuer) {
            return rollups::present(
                self.connection(),
                self.tree(),
                (issuer, group),
                &self.span,
                self.today,
                closed,
            );
        }
        // Of a task on the path only the part of this branch is known here.
        let among = |unit: UnitId| {
            self.within(unit) && (!on_path || self.tree().is_within(unit, self.on.home))
        };
        count_for(
            self.connection(),
            self.tree(),
            (issuer, group),
            &self.before,
            (&self.span, self.evaluated_on()),
            &among,
        )
    }

    /// What other nodes counted and sent. None is passed over in silence: a total that lacks a commune looks like one
    /// in which that commune has no tasks.
    fn received(&self) -> Result<(Vec<Part>, Vec<Left>), StoreError> {
        let (mut parts, mut left) = (Vec::new(), Vec::new());
        for stored in groups::rollups(self.connection(), &self.span.name)? {
            let Facts::Rollup { issuer, group, .. } = stored.record.facts() else {
                continue;
            };
            let (issuer, group) = (*issuer, group.clone());
            if self.is_own(issuer) || !self.within(issuer) {
                continue;
            }
            let Some(counted) = self.before.counted(&stored.record) else {
                continue;
            };
            match rollups::read(counted) {
                Ok(rollup) => parts.push(Part {
                    issuer,
                    group,
                    rollup,
                    on_path: false,
                }),
                Err(reason) => left.push(Left {
                    issuer,
                    group,
                    reason,
                }),
            }
        }
        Ok((parts, left))
    }

    fn total(&self, parts: &[&Part]) -> GroupRollup {
        sum(parts.iter().map(|part| &part.rollup))
            .unwrap_or_else(|| GroupRollup::empty(self.evaluated_on()))
    }

    fn by_group(&self, parts: &[&Part]) -> Result<Vec<Value>, Refusal> {
        let mut rows = Vec::new();
        for part in parts {
            let title = groups::title(self.connection(), part.issuer, &part.group)?;
            rows.push(self.row(&part.group, &title, part.issuer, &part.rollup));
        }
        Ok(rows)
    }

    fn by_issuer(&self, parts: &[&Part]) -> Vec<Value> {
        let mut rows = Vec::new();
        for (issuer, total) in self.totals(parts) {
            let name = self.name(issuer);
            rows.push(self.row(&self.tree().code(issuer), &name, issuer, &total));
        }
        rows
    }

    fn totals(&self, parts: &[&Part]) -> Vec<(UnitId, GroupRollup)> {
        let mut by_issuer: BTreeMap<UnitId, Vec<&GroupRollup>> = BTreeMap::new();
        for part in parts {
            by_issuer.entry(part.issuer).or_default().push(&part.rollup);
        }
        let mut totals: Vec<(UnitId, GroupRollup)> = by_issuer
            .into_iter()
            .filter_map(|(issuer, rollups)| Some((issuer, sum(rollups)?)))
            .collect();
        totals.sort_by_key(|(issuer, _)| self.tree().path(*issuer));
        totals
    }

    /// Units by the tasks of each issuer. Of issuers below only the coverage of their units is known here.
    fn by_unit(&self, parts: &[&Part]) -> Result<Vec<Value>, Refusal> {
        let mut units: BTreeMap<(UnitId, UnitId), Unit> = BTreeMap::new();
        let counted = Assignments::of(
            self.connection(),
            self.tree(),
            &self.span,
            self.evaluated_on(),
            &self.before,
        )?;
        for part in parts {
            if self.is_own(part.issuer) {
                self.add_assignments(part, &counted, &mut units)?;
            } else {
                for (unit, found) in &part.rollup.units {
                    let row = units.entry((part.issuer, *unit)).or_default();
                    row.received += found.received;
                    row.expected += found.expected;
                }
            }
            for (unit, found) in &part.rollup.units {
                if let Some(row) = units.get_mut(&(part.issuer, *unit)) {
                    row.note(found.as_of);
                }
            }
        }
        units.retain(|(_, unit), _| self.within(*unit));
        let mut rows: Vec<((UnitId, UnitId), Unit)> = units.into_iter().collect();
        rows.sort_by_key(|((issuer, unit), _)| {
            (self.tree().path(*issuer), self.tree().path(*unit))
        });
        let row = |((issuer, unit), row): &((UnitId, UnitId), Unit)| {
            json!({
                "key": self.tree().code(*unit),
                "label": self.name(*unit),
                "issuer": self.tree().code(*issuer),
                "tasks": row.tasks,
                "assignments": row.assignments,
                "coverage": row.coverage(),
                "as_of": as_of(&row.as_of),
            })
        };
        Ok(rows.iter().map(row).collect())
    }

    fn add_assignments(
        &self,
        part: &Part,
        counted: &Assignments<'_>,
        units: &mut BTreeMap<(UnitId, UnitId), Unit>,
    ) -> Result<(), StoreError> {
        each_task(self.connection(), part.issuer, &part.group, |task| {
            for one in counted.of_task(task)? {
                let row = units.entry((part.issuer, one.unit)).or_default();
                row.received += u32::from(one.due.received);
                row.expected += u32::from(one.due.expected);
                count(&mut row.assignments, &one);
                if one.leads {
                    count(&mut row.tasks, &one);
                }
            }
            Ok(())
        })
    }

    fn row(&self, key: &str, label: &str, issuer: UnitId, rollup: &GroupRollup) -> Value {
        let mut row = shown(rollup);
        row["key"] = json!(key);
        row["label"] = json!(label);
        row["issuer"] = json!(self.tree().code(issuer));
        row
    }

    fn name(&self, unit: UnitId) -> String {
        self.tree()
            .get(unit)
            .map(|info| info.name.clone())
            .unwrap_or_default()
    }

    /// Whose numbers these are: levels of government are never mixed without being shown apart.
    fn issuers(&self, parts: &[Part], left: &[Left]) -> Vec<Value> {
        let mut all = Vec::new();
        for on_path in [false, true] {
            let these: Vec<&Part> = parts
                .iter()
                .filter(|part| part.on_path == on_path)
                .collect();
            for (issuer, mut total) in self.totals(&these) {
                total.coverage.complete &= on_path || left.iter().all(|left| left.issuer != issuer);
                let mut item = shown(&total);
                item["issuer"] = json!(self.tree().code(issuer));
                item["name"] = json!(self.name(issuer));
                item["level"] = json!(self.tree().get(issuer).map(|unit| unit.level));
                item["own"] = json!(self.is_own(issuer));
                item["held_on_path"] = json!(on_path);
                item["evaluated_on"] = json!(total.evaluated_on);
                all.push(item);
            }
        }
        all
    }

    /// Whose rollups are in no number here, and why.
    fn not_counted(&self, left: &[Left], counted: &[&Part]) -> Vec<Value> {
        let item = |issuer: UnitId, group: &str, reason: &str| {
            json!({
                "issuer": self.tree().code(issuer),
                "name": self.name(issuer),
                "level": self.tree().get(issuer).map(|unit| unit.level),
                "group": group,
                "reason": reason,
            })
        };
        let left = left.iter().map(|left| {
            let mut item = item(left.issuer, &left.group, left.reason.as_str());
            item["version"] = json!(left.reason.version());
            item
        });
        // Tasks and reports of a group that is counted, each as if nothing stood where nobody here can read.
        let unread = counted.iter().filter(|part| part.rollup.not_read > 0);
        let unread = unread.map(|part| {
            let mut item = item(part.issuer, &part.group, "unknown_form");
            item["records"] = json!(part.rollup.not_read);
            item
        });
        left.chain(unread).collect()
    }

    fn recount(&self) -> Result<Value, Refusal> {
        let Some(node) = nodes::this(self.connection())? else {
            return Ok(Value::Null);
        };
        let found = rollups::recount(
            self.connection(),
            self.tree(),
            node,
            Some(&self.span),
            self.today,
        )?;
        Ok(json!(found))
    }
}

#[derive(Default)]
struct Unit {
    tasks: Counts,
    assignments: Counts,
    received: u32,
    expected: u32,
    as_of: AsOf,
}

impl Unit {
    /// When the unit's latest report of a group was submitted, ms since 1970.
    fn note(&mut self, at: Option<i64>) {
        let Some(at) = at else { return };
        let AsOf { oldest, newest } = &mut self.as_of;
        *oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
        *newest = (*newest).max(Some(at));
    }

    fn coverage(&self) -> Coverage {
        let complete = self.received >= self.expected;
        Coverage {
            units_reported: u32::from(self.expected > 0 && complete),
            units_expected: u32::from(self.expected > 0),
            reports_received: self.received,
            reports_expected: self.expected,
            complete,
        }
    }
}

/// Counts one assignment as [`GroupRollup`] does.
fn count(counts: &mut Counts, one: &Assignment) {
    counts.total += 1;
    let status = one.derived.as_str().to_owned();
    *counts.by_status.entry(status).or_default() += 1;
    counts.late += u32::from(one.late);
    counts.on_time += u32::from(one.on_time());
}

fn shown(rollup: &GroupRollup) -> Value {
    json!({
        "tasks": rollup.tasks,
        "assignments": rollup.assignments,
        "unresolved_lead": rollup.unresolved_lead,
        "coverage": rollup.coverage,
        "warnings": rollup.warnings,
        "evidence_pending": rollup.evidence_pending,
        "provisional": rollup.provisional,
        "in_conflict": rollup.in_conflict,
        "as_of": as_of(&rollup.as_of),
    })
}

fn as_of(from: &AsOf) -> Value {
    json!({ "oldest": from.oldest.map(time), "newest": from.newest.map(time) })
}
