//! The sample tables under `examples/data` say what their readers understand.

use std::collections::HashSet;
use std::path::Path;

use nqsync::sheet::{
    Limits, PlanSheet, RemarkCode, Severity, Table, read_plan, read_workbook, records,
};
use nqsync_core::model::folded;

fn table(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/data")
        .join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    read_workbook(name, &bytes, None, &Limits::default()).expect("a table")
}

fn units() -> HashSet<String> {
    let read = records::read_units(&table("units.csv"));
    assert!(
        read.remarks.iter().all(|r| r.severity != Severity::Refused),
        "{:?}",
        read.remarks
    );
    assert_eq!(read.rows.len(), 13);
    read.rows
        .iter()
        .flat_map(|unit| {
            std::iter::once(&unit.code)
                .chain(std::iter::once(&unit.name))
                .chain(&unit.aliases)
        })
        .map(|name| folded(name))
        .collect()
}

fn plan(name: &str, known: &HashSet<String>) -> PlanSheet {
    read_plan(&table(name), &|text| known.contains(&folded(text)))
}

#[test]
fn every_sample_plan_reads_without_a_refused_row_and_every_unit_in_it_is_known() {
    let known = units();
    for (name, tasks) in [
        ("ministry-plan.csv", 8),
        ("province-66-plan.csv", 12),
        ("province-75-plan.csv", 12),
    ] {
        let plan = plan(name, &known);
        let bad: Vec<_> = plan
            .remarks
            .iter()
            .filter(|r| r.severity != Severity::Note)
            .filter(|r| r.code != RemarkCode::SeveralLeads)
            .collect();
        assert!(bad.is_empty(), "{name}: {bad:#?}");
        assert_eq!(plan.rows.len(), tasks, "{name}");
        for row in &plan.rows {
            let names = row.lead_names.iter().chain(&row.coordinating_names);
            for unit in names {
                assert!(
                    known.contains(&folded(unit)),
                    "{name} row {}: {unit}",
                    row.row
                );
            }
            assert!(!row.lead_names.is_empty() && !row.deliverable.is_empty());
            assert!(!row.group_code.is_empty() && !row.group_title.is_empty());
        }
    }
}

#[test]
fn no_two_tasks_of_a_sample_plan_share_a_row_key() {
    let known = units();
    for name in [
        "ministry-plan.csv",
        "province-66-plan.csv",
        "province-75-plan.csv",
    ] {
        let plan = plan(name, &known);
        let keys: HashSet<_> = plan.rows.iter().map(|row| &row.row_key).collect();
        assert_eq!(keys.len(), plan.rows.len(), "{name}");
    }
}
