//! What is missing or unusual in a plan's rows.

use std::collections::{BTreeMap, BTreeSet};

use nqsync_core::calendar::{DeadlineKind, DeadlineRemark, fold};

use super::{Field, PlanRow};
use crate::sheet::{
    header::Header,
    names::is_blank,
    remark::{Remark, RemarkCode, Severity},
};

/// Remarks on the cells of one row.
pub(super) fn cells(
    file: &str,
    header: &Header<Field>,
    task: &PlanRow,
    known: &dyn Fn(&str) -> bool,
) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut remark = |field, code, severity, found: &str| {
        let remark = Remark::new(file, code, severity, found).at(task.row);
        remarks.push(match header.heading(field) {
            Some(heading) => remark.in_column(heading),
            None => remark,
        });
    };
    for (field, text, code, severity) in [
        (
            Field::Number,
            &task.number,
            RemarkCode::EmptyNumber,
            Severity::Missing,
        ),
        (
            Field::Deliverable,
            &task.deliverable,
            RemarkCode::EmptyDeliverable,
            Severity::Missing,
        ),
        (
            Field::Kpi,
            &task.kpi,
            RemarkCode::EmptyKpi,
            Severity::Missing,
        ),
        (
            Field::Lead,
            &task.lead_text,
            RemarkCode::EmptyLead,
            Severity::Missing,
        ),
        (
            Field::Coordinating,
            &task.coordinating_text,
            RemarkCode::EmptyCoordinating,
            Severity::Note,
        ),
    ] {
        if is_blank(text) {
            remark(field, code, severity, text);
        }
    }
    if task.lead_names.len() > 1 {
        remark(
            Field::Lead,
            RemarkCode::SeveralLeads,
            Severity::Note,
            &task.lead_names.join("; "),
        );
    }
    for name in task.lead_names.iter().filter(|name| !known(name)) {
        remark(
            Field::Lead,
            RemarkCode::UnknownLead,
            Severity::Missing,
            name,
        );
    }
    for name in task.coordinating_names.iter().filter(|name| !known(name)) {
        remark(
            Field::Coordinating,
            RemarkCode::UnknownCoordinating,
            Severity::Note,
            name,
        );
    }
    let by_kind = match task.deadline.kind {
        DeadlineKind::Phased => Some(RemarkCode::PhasedDeadline),
        DeadlineKind::Continuous => Some(RemarkCode::ContinuousDeadline),
        DeadlineKind::OnRequest => Some(RemarkCode::OnRequestDeadline),
        _ => None,
    };
    let by_remark = task.deadline.remark.map(|remark| match remark {
        DeadlineRemark::Missing => (RemarkCode::EmptyDeadline, Severity::Missing),
        DeadlineRemark::NotUnderstood => (RemarkCode::DeadlineUnread, Severity::Missing),
        DeadlineRemark::NoSuchDate => (RemarkCode::DeadlineNoSuchDate, Severity::Missing),
        DeadlineRemark::ExtraText => (RemarkCode::DeadlineExtraText, Severity::Note),
        DeadlineRemark::SeveralDates => (RemarkCode::DeadlineSeveralDates, Severity::Note),
    });
    for (code, severity) in by_kind
        .map(|code| (code, Severity::Note))
        .into_iter()
        .chain(by_remark)
    {
        remark(Field::Deadline, code, severity, &task.deadline.text);
    }
    remarks
}

/// Remarks on unit names that differ from an earlier one only in case, accents or spaces.
pub(super) fn spellings(file: &str, header: &Header<Field>, rows: &[PlanRow]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut first_seen: BTreeMap<String, (&str, u32)> = BTreeMap::new();
    for row in rows {
        let leads = row.lead_names.iter().map(|name| (Field::Lead, name));
        let others = row
            .coordinating_names
            .iter()
            .map(|name| (Field::Coordinating, name));
        for (field, name) in leads.chain(others) {
            let (first, at) = *first_seen.entry(fold(name)).or_insert((name, row.row));
            if first != name {
                let found = format!("{name}; row {at} writes {first}");
                let remark = Remark::new(file, RemarkCode::SpellingVariant, Severity::Note, found);
                let heading = header.heading(field).unwrap_or_default();
                remarks.push(remark.at(row.row).in_column(heading));
            }
        }
    }
    remarks
}

/// Remarks on numbers that repeat within a group or are left out of it.
pub(super) fn numbering(file: &str, heading: Option<&str>, rows: &[PlanRow]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut remark = |row: u32, code, severity, found: String| {
        let remark = Remark::new(file, code, severity, found).at(row);
        remarks.push(match heading {
            Some(heading) => remark.in_column(heading),
            None => remark,
        });
    };
    let mut groups: BTreeMap<(String, String), Vec<&PlanRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.number.is_empty()) {
        groups
            .entry((row.group_code.clone(), fold(&row.group_title)))
            .or_default()
            .push(row);
    }
    for ((code, title), rows) in groups {
        let group = [code, title].into_iter().find(|name| !name.is_empty());
        let group = group.map_or_else(|| "the plan".to_owned(), |name| format!("group {name}"));
        let mut first_with: BTreeMap<&str, &PlanRow> = BTreeMap::new();
        for row in &rows {
            let first = *first_with.entry(&row.number).or_insert(row);
            if first.row == row.row {
                continue;
            }
            let found = format!(
                "number {} of {group} is also in row {}",
                row.number, first.row
            );
            if fold(&first.title) == fold(&row.title) {
                remark(row.row, RemarkCode::SharedNumber, Severity::Note, found);
            } else {
                remark(row.row, RemarkCode::DuplicateNumber, Severity::Note, found);
            }
        }
        for (row, missing) in gaps(&rows) {
            let found = format!("{group} has no number {missing}");
            remark(row, RemarkCode::NumberGap, Severity::Note, found);
        }
    }
    remarks
}

/// The numbers left out at each level (`5`, `1.3`), with the row that follows the gap.
fn gaps(rows: &[&PlanRow]) -> Vec<(u32, String)> {
    /// A larger gap is another way of numbering, such as by year.
    const LARGEST: u32 = 20;
    let mut levels: BTreeMap<String, BTreeMap<u32, u32>> = BTreeMap::new();
    for row in rows {
        let parts: Option<Vec<u32>> = row
            .number
            .split('.')
            .map(|part| part.parse().ok())
            .collect();
        let mut prefix = String::new();
        for part in parts.unwrap_or_default() {
            levels
                .entry(prefix.clone())
                .or_default()
                .entry(part)
                .or_insert(row.row);
            prefix.push_str(&format!("{part}."));
        }
    }
    let mut found = BTreeSet::new();
    for (prefix, numbers) in levels {
        let mut expected = 1;
        for (number, row) in numbers {
            if number - expected.min(number) <= LARGEST {
                found.extend((expected..number).map(|missing| (row, format!("{prefix}{missing}"))));
            }
            expected = number.saturating_add(1);
        }
    }
    found.into_iter().collect()
}
