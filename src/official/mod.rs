//! The workbook that an office files for a period: title block, who signs, and one sheet each for the consolidated
//! table with its chart, the tasks, the progress reports, the indicators, and who has reported.
//!
//! It is made from the answers of verbs, while it goes out; so the command line and the console make the same one. It is for reading; what is
//! to come back is `export`.

mod layout;
mod stream;

use std::io::{self, Write};

use rust_xlsxwriter::{Workbook, XlsxError};
use serde_json::{Value, json};
use uuid::Uuid;
use zip::result::ZipError;

use crate::api::{Command, Failure, LongList, RollupBy};
use crate::t;
use crate::text::shown::Shown;
use layout::{Cell, Column, Kind, Paper, Place, Share};
use stream::Outgoing;

/// Items of a long list that are asked for at a time.
const TOGETHER: usize = 500;
/// The sheet of tasks; it and the next one, of progress reports, are written while their rows are asked for.
const TASKS: usize = 2;

/// Why there is no workbook.
#[derive(Debug)]
pub enum Problem {
    /// A verb was refused.
    Refused(Failure),
    /// It cannot be made, or not be written.
    Made(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        Problem::Refused(failure)
    }
}

impl From<XlsxError> for Problem {
    fn from(error: XlsxError) -> Problem {
        Problem::Made(error.to_string())
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        Problem::Made(error.to_string())
    }
}

impl From<ZipError> for Problem {
    fn from(error: ZipError) -> Problem {
        Problem::Made(error.to_string())
    }
}

/// The verbs that say whose workbook it is and whether there is one at all: `status` and `rollup show`. `unit`: with all
/// below it; `None`: everything this node sees.
pub fn first(period: Option<&str>, unit: Option<&str>) -> [Command; 2] {
    let rollup = Command::RollupShow {
        period: period.map(str::to_owned),
        unit: unit.map(str::to_owned),
        by: RollupBy::Group,
        recompute: false,
        version: None,
    };
    [Command::Status, rollup]
}

/// A workbook of which the first answers are there.
pub struct Begun {
    unit: Option<String>,
    sources: Sources,
}

/// The answers that short tables are made from, and the ids of the rows of long ones.
#[derive(Default)]
struct Sources {
    status: Value,
    rollup: Value,
    indicators: Value,
    periods: Value,
    scores: Value,
    tasks: Vec<Uuid>,
    reports: Vec<Uuid>,
}

impl Sources {
    fn period(&self) -> &str {
        self.rollup["period"].as_str().unwrap_or_default()
    }
}

/// Where the rows of long tables belong, by the number of their sheet.
type Places = Vec<(usize, Place)>;

/// Asks a verb for its data.
pub type Ask<'a> = dyn FnMut(Command) -> Result<Value, Failure> + 'a;

impl Begun {
    /// From the answers to [`first`].
    pub fn of(status: Value, rollup: Value, unit: Option<&str>) -> Begun {
        Begun {
            unit: unit.map(str::to_owned),
            sources: Sources {
                status,
                rollup,
                ..Sources::default()
            },
        }
    }

    /// The reporting period it is of.
    pub fn period(&self) -> &str {
        self.sources.period()
    }

    /// Whether everything that was expected is in it.
    pub fn is_complete(&self) -> bool {
        self.sources.rollup["coverage"]["complete"] == true
    }

    /// A name for the file: unit and period.
    pub fn file_name(&self) -> String {
        let code = &self.sources.status["unit"]["code"];
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let unit: String = code
            .as_str()
            .unwrap_or_default()
            .chars()
            .map(plain)
            .collect();
        format!("{unit}-{}.xlsx", self.period())
    }

    /// Asks for the rest and writes it all. `now`: RFC 3339, as of when the answers are.
    ///
    /// # Errors
    /// What was written until then is no workbook.
    pub fn write(
        mut self,
        ask: &mut Ask<'_>,
        now: &str,
        shown: &Shown,
        out: impl Write,
    ) -> Result<(), Problem> {
        let mut outgoing = Outgoing::to(out);
        let (sketch, _) = Maker::of(&self.sources, now, shown).book()?;
        outgoing.begin(&sketch)?;
        let period = self.period().to_owned();
        self.ask(ask, &period)?;
        let maker = Maker::of(&self.sources, now, shown);
        let (book, places) = maker.book()?;
        let (tasks, reports) = (maker.task_columns(), maker.report_columns());
        outgoing.send(&book, &places, |sheet, table| {
            let (list, ids) = match sheet {
                TASKS => (LongList::Tasks, &self.sources.tasks),
                _ => (LongList::Reports, &self.sources.reports),
            };
            for some in ids.chunks(TOGETHER) {
                let answer = ask(Command::LongItems {
                    list,
                    period: period.clone(),
                    ids: some.to_vec(),
                })?;
                for item in items(&answer, "items") {
                    match list {
                        LongList::Tasks => table.add(&tasks, &maker.task_cells(item)),
                        LongList::Reports => table.add(&reports, &maker.report_cells(item)),
                    }?;
                }
            }
            Ok(())
        })
    }

    fn ask(&mut self, ask: &mut Ask<'_>, period: &str) -> Result<(), Problem> {
        let (asked, unit) = (Some(period.to_owned()), self.unit.clone());
        self.sources.indicators = ask(Command::IndicatorList {
            period: asked.clone(),
            unit: unit.clone(),
        })?;
        self.sources.periods = ask(Command::PeriodList {
            period: asked.clone(),
            unit: unit.clone(),
        })?;
        let scores = ask(Command::ScoreShow {
            period: asked,
            unit: unit.clone(),
        });
        // Criteria that cannot be used are said in their sheet; the rest of the papers does not wait for them.
        self.sources.scores =
            scores.unwrap_or_else(|failure| json!({ "refused": failure.message }));
        let mut ids = |list| -> Result<Vec<Uuid>, Problem> {
            let answer = ask(Command::LongIds {
                list,
                period: period.to_owned(),
                unit: unit.clone(),
            })?;
            serde_json::from_value(answer["ids"].clone())
                .map_err(|error| Problem::Made(error.to_string()))
        };
        self.sources.tasks = ids(LongList::Tasks)?;
        self.sources.reports = ids(LongList::Reports)?;
        Ok(())
    }
}

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

struct Maker<'a> {
    sources: &'a Sources,
    now: &'a str,
    shown: &'a Shown,
}

fn items<'v>(list: &'v Value, name: &str) -> &'v [Value] {
    list[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

impl<'a> Maker<'a> {
    fn of(sources: &'a Sources, now: &'a str, shown: &'a Shown) -> Maker<'a> {
        Maker {
            sources,
            now,
            shown,
        }
    }

    /// The workbook without the rows of long tables, and where they belong.
    fn book(&self) -> Result<(Vec<u8>, Places), XlsxError> {
        let mut book = Workbook::new();
        let mut places = Vec::new();
        let papers = [
            self.consolidated(),
            self.tasks(),
            self.progress(),
            self.indicators(),
            self.reported(),
            self.scores(),
        ];
        for (sheet, paper) in (1..).zip(&papers) {
            places.extend(layout::write(&mut book, paper)?.map(|place| (sheet, place)));
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
        let as_of = self.shown.time(&json!(self.now));
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
            as_of: t!(
                self.shown.lang,
                "book-as-of",
                at = as_of,
                coverage = complete
            ),
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
            ..self.paper(names, self.task_columns(), Vec::new())
        }
    }

    fn task_columns(&self) -> Vec<Column> {
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

    fn task_cells(&self, task: &Value) -> Vec<Cell> {
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
            ..self.paper(names, self.report_columns(), Vec::new())
        }
    }

    fn report_columns(&self) -> Vec<Column> {
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

    fn report_cells(&self, report: &Value) -> Vec<Cell> {
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
        self.paper(["book-scores-sheet", "book-scores-title"], columns, rows)
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
            ["book-reported-sheet", "book-reported-title"],
            columns,
            rows.collect(),
        )
    }
}

#[cfg(test)]
mod tests;
