//! What stands in each sheet: title block, columns and rows from the answers of verbs.

use rust_xlsxwriter::{Workbook, XlsxError};
use serde_json::{Value, json};

use super::layout::{self, Cell, Column, Kind, Paper, Share};
use super::{Places, SHEETS, Sheet, Sources};
use crate::t;
use crate::text::shown::Shown;

/// States in the order of the columns.
const STATES: [&str; 9] = [
    "completed_on_time",
    "completed_late",
    "continuing",
    "in_progress",
    "in_progress_late",
    "awaiting_correction",
    "not_started",
    "not_reported",
    "cancelled",
];

/// Makes the sheets.
pub(super) struct Maker<'a> {
    sources: &'a Sources,
    shown: &'a Shown,
}

pub(super) fn items<'v>(list: &'v Value, name: &str) -> &'v [Value] {
    list[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

impl<'a> Maker<'a> {
    pub(super) fn of(sources: &'a Sources, shown: &'a Shown) -> Maker<'a> {
        Maker { sources, shown }
    }

    /// The workbook without the rows of long tables, and where they belong.
    pub(super) fn book(&self) -> Result<(Vec<u8>, Places), XlsxError> {
        let mut book = Workbook::new();
        let mut places = Vec::new();
        for (number, sheet) in (1..).zip(SHEETS) {
            let paper = match sheet {
                Sheet::Consolidated => self.consolidated(),
                Sheet::Tasks => self.tasks(),
                Sheet::Progress => self.progress(),
                Sheet::Indicators => self.indicators(),
                Sheet::Reported => self.reported(),
                Sheet::Scores => self.scores(),
            };
            places.extend(layout::write(&mut book, &paper)?.map(|place| (number, place)));
        }
        Ok((book.save_to_buffer()?, places))
    }

    fn label(&self, key: &str) -> String {
        self.shown.label(key)
    }

    fn column(&self, key: &str, width: f64, kind: Kind) -> Column {
        Column {
            head: self.label(key),
            group: None,
            width,
            kind,
        }
    }

    /// The block above and below every table.
    fn paper(
        &self,
        of: Sheet,
        [sheet, title]: [&str; 2],
        columns: Vec<Column>,
        rows: Vec<Vec<Cell>>,
    ) -> Paper {
        let rollup = &self.sources.rollup;
        let coverage = t!(
            self.shown.lang,
            "book-coverage",
            received = self.shown.plain(&rollup["coverage"]["reports_received"]),
            expected = self.shown.plain(&rollup["coverage"]["reports_expected"])
        );
        let complete = match rollup["coverage"]["complete"] == true {
            true => coverage,
            false => format!("{coverage} {}", self.label("book-not-complete")),
        };
        let at = self.sources.at.get(&of);
        let at = at.map_or_else(String::new, |at| self.shown.second(&json!(at)));
        let lang = self.shown.lang;
        let as_of = match of.list() {
            None => t!(lang, "book-as-of", at = at, coverage = complete),
            Some(_) => t!(lang, "book-as-of-rows", at = at, coverage = complete),
        };
        Paper {
            sheet: self.label(sheet),
            title: self.label(title),
            body: self.shown.plain(&self.sources.status["unit"]["name"]),
            state: [self.label("book-state"), self.label("book-motto")],
            period: t!(
                self.shown.lang,
                "book-period",
                period = self.sources.period()
            ),
            as_of,
            signers: [self.label("book-maker"), self.label("book-head")],
            page: self.label("book-page"),
            columns,
            rows,
            later: 0,
            total: None,
            share: None,
        }
    }

    fn consolidated(&self) -> Paper {
        let number = |key: &str| Column {
            group: Some(self.label("label-state")),
            ..self.column(key, 11.0, Kind::Number)
        };
        let mut columns = vec![
            self.column("label-group", 42.0, Kind::Text),
            self.column("book-tasks", 10.0, Kind::Number),
        ];
        columns.extend(
            STATES.map(|state| number(&format!("word-status-{}", state.replace('_', "-")))),
        );
        columns.push(self.column("book-late", 9.0, Kind::Number));
        columns.push(self.column("book-received", 14.0, Kind::Text));
        let rollup = &self.sources.rollup;
        let line = |label: String, row: &Value| {
            let tasks = &row["tasks"];
            let mut cells = vec![Cell::Text(label), Cell::number(&tasks["total"])];
            cells.extend(STATES.map(|state| Cell::count(&tasks["by_status"][state])));
            cells.push(Cell::number(&tasks["late"]));
            let coverage = &row["coverage"];
            cells.push(Cell::Text(format!(
                "{} / {}",
                self.shown.plain(&coverage["reports_received"]),
                self.shown.plain(&coverage["reports_expected"])
            )));
            cells
        };
        let name = |row: &Value| {
            let (key, label) = (
                self.shown.plain(&row["key"]),
                self.shown.plain(&row["label"]),
            );
            match key.is_empty() && label.is_empty() {
                true => self.label("console-no-group"),
                false => format!("{key} {label}").trim().to_owned(),
            }
        };
        let rows = items(rollup, "rows").iter().map(|row| line(name(row), row));
        let mut paper = self.paper(
            Sheet::Consolidated,
            ["book-annex-sheet", "book-annex-title"],
            columns,
            rows.collect(),
        );
        paper.total = Some(line(self.label("book-total"), rollup));
        let by_status = &rollup["tasks"]["by_status"];
        let known = STATES
            .iter()
            .filter(|state| by_status[**state].as_u64() > Some(0));
        paper.share = Some(Share {
            title: self.label("book-share"),
            parts: known
                .map(|state| {
                    let word = self.shown.word("word-status-", &json!(state));
                    (word, by_status[*state].as_f64().unwrap_or(0.0))
                })
                .collect(),
        });
        paper
    }

    fn tasks(&self) -> Paper {
        let names = ["book-tasks-sheet", "book-tasks-title"];
        Paper {
            later: self.sources.tasks.len(),
            ..self.paper(Sheet::Tasks, names, self.task_columns(), Vec::new())
        }
    }

    pub(super) fn task_columns(&self) -> Vec<Column> {
        vec![
            self.column("label-number", 8.0, Kind::Text),
            self.column("label-title", 34.0, Kind::Text),
            self.column("label-subtask", 34.0, Kind::Text),
            self.column("label-deliverable", 24.0, Kind::Text),
            self.column("label-kpi", 20.0, Kind::Text),
            self.column("label-lead", 18.0, Kind::Text),
            self.column("label-coordinating", 22.0, Kind::Text),
            self.column("label-deadline", 14.0, Kind::Text),
            self.column("label-state", 18.0, Kind::Text),
        ]
    }

    pub(super) fn task_cells(&self, task: &Value) -> Vec<Cell> {
        let text = |value: &Value| Cell::Text(self.shown.plain(value));
        let units = |part: &str| {
            let both =
                [part, &format!("{part}_unresolved")].map(|name| self.shown.plain(&task[name]));
            let known: Vec<String> = both.into_iter().filter(|text| !text.is_empty()).collect();
            Cell::Text(known.join(", "))
        };
        let both = ["group", "number"].map(|name| self.shown.plain(&task[name]));
        let both: Vec<String> = both.into_iter().filter(|part| !part.is_empty()).collect();
        vec![
            Cell::Text(both.join("/")),
            text(&task["title"]),
            text(&task["subtask"]),
            text(&task["deliverable"]),
            text(&task["kpi"]),
            units("lead"),
            units("coordinating"),
            text(&task["deadline"]["text"]),
            Cell::Text(self.shown.word("word-status-", &task["status"])),
        ]
    }

    fn progress(&self) -> Paper {
        let names = ["book-progress-sheet", "book-progress-title"];
        Paper {
            later: self.sources.reports.len(),
            ..self.paper(Sheet::Progress, names, self.report_columns(), Vec::new())
        }
    }

    pub(super) fn report_columns(&self) -> Vec<Column> {
        vec![
            self.column("label-task", 40.0, Kind::Text),
            self.column("label-unit", 16.0, Kind::Text),
            self.column("label-state", 18.0, Kind::Text),
            self.column("label-percent", 8.0, Kind::Number),
            self.column("label-result", 40.0, Kind::Text),
            self.column("label-difficulties", 28.0, Kind::Text),
            self.column("label-next-steps", 28.0, Kind::Text),
            self.column("label-evidence", 9.0, Kind::Number),
            self.column("label-submitted", 16.0, Kind::Text),
        ]
    }

    pub(super) fn report_cells(&self, report: &Value) -> Vec<Cell> {
        let text = |value: &Value| Cell::Text(self.shown.plain(value));
        vec![
            text(&report["task_title"]),
            text(&report["unit"]),
            Cell::Text(self.shown.word("word-status-", &report["status"])),
            Cell::number(&report["percent"]),
            text(&report["result"]),
            text(&report["difficulties"]),
            text(&report["next_steps"]),
            Cell::number(&report["evidence"]),
            Cell::Text(self.shown.time(&report["submitted_at"])),
        ]
    }

    fn indicators(&self) -> Paper {
        let columns = vec![
            self.column("label-code", 12.0, Kind::Text),
            self.column("label-name", 48.0, Kind::Text),
            self.column("label-measure", 12.0, Kind::Text),
            self.column("label-unit", 18.0, Kind::Text),
            self.column("label-numerator", 14.0, Kind::Number),
            self.column("label-denominator", 14.0, Kind::Number),
            self.column("label-value", 14.0, Kind::Number),
        ];
        let mut rows = Vec::new();
        for indicator in items(&self.sources.indicators, "items") {
            let text = |value: &Value| Cell::Text(self.shown.plain(value));
            for value in items(indicator, "values") {
                rows.push(vec![
                    text(&indicator["code"]),
                    text(&indicator["name"]),
                    text(&indicator["measure"]),
                    text(&value["unit"]),
                    Cell::number(&value["numerator"]),
                    Cell::number(&value["denominator"]),
                    Cell::number(&value["value"]),
                ]);
            }
        }
        self.paper(
            Sheet::Indicators,
            ["book-indicators-sheet", "book-indicators-title"],
            columns,
            rows,
        )
    }

    fn scores(&self) -> Paper {
        let mut columns = vec![
            self.column("label-rank", 7.0, Kind::Number),
            self.column("label-code", 12.0, Kind::Text),
            self.column("label-unit", 40.0, Kind::Text),
        ];
        let criteria = items(&self.sources.scores["criteria"], "criterion");
        columns.extend(criteria.iter().map(|one| Column {
            head: self.shown.plain(&one["title"]),
            group: Some(self.label("label-criterion")),
            width: 16.0,
            kind: Kind::Text,
        }));
        columns.extend([
            self.column("label-points", 10.0, Kind::Number),
            self.column("label-of-most", 10.0, Kind::Number),
            self.column("label-percent", 10.0, Kind::Number),
            self.column("label-grade", 24.0, Kind::Text),
        ]);
        let rows = items(&self.sources.scores, "items").iter().map(|unit| {
            let mut cells = vec![
                Cell::number(&unit["rank"]),
                Cell::Text(self.shown.plain(&unit["unit"])),
                Cell::Text(self.shown.plain(&unit["unit_name"])),
            ];
            // Points with what they were given for: 9 of 10.
            cells.extend(items(unit, "lines").iter().map(|line| {
                Cell::Text(match line["points"].is_null() {
                    true => self.label("score-no-basis"),
                    false => format!(
                        "{} ({}/{})",
                        self.shown.decimal(&line["points"]),
                        self.shown.plain(&line["reached"]),
                        self.shown.plain(&line["of"])
                    ),
                })
            }));
            cells.extend(["points", "most", "percent"].map(|name| Cell::number(&unit[name])));
            cells.push(Cell::Text(match unit["rank"].is_null() {
                true => self.label("score-no-basis"),
                false => self.shown.plain(&unit["grade"]),
            }));
            cells
        });
        let mut rows: Vec<Vec<Cell>> = rows.collect();
        let refused = &self.sources.scores["refused"];
        if !refused.is_null() {
            rows.push(vec![
                Cell::Empty,
                Cell::Empty,
                Cell::Text(self.shown.plain(refused)),
            ]);
        }
        self.paper(
            Sheet::Scores,
            ["book-scores-sheet", "book-scores-title"],
            columns,
            rows,
        )
    }

    fn reported(&self) -> Paper {
        let columns = vec![
            self.column("label-code", 12.0, Kind::Text),
            self.column("label-unit", 44.0, Kind::Text),
            self.column("label-state", 18.0, Kind::Text),
            self.column("label-period-expected", 12.0, Kind::Number),
            self.column("label-received", 12.0, Kind::Number),
            self.column("label-period-on-time", 12.0, Kind::Number),
            self.column("label-submitted", 18.0, Kind::Text),
        ];
        let rows = items(&self.sources.periods, "items").iter().map(|unit| {
            vec![
                Cell::Text(self.shown.plain(&unit["unit"])),
                Cell::Text(self.shown.plain(&unit["unit_name"])),
                Cell::Text(self.shown.word("word-period-", &unit["state"])),
                Cell::number(&unit["expected"]),
                Cell::number(&unit["received"]),
                Cell::number(&unit["on_time"]),
                Cell::Text(self.shown.time(&unit["submitted_at"])),
            ]
        });
        self.paper(
            Sheet::Reported,
            ["book-reported-sheet", "book-reported-title"],
            columns,
            rows.collect(),
        )
    }
}
