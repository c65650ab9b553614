//! The workbook that an office files for a period: title block, who signs, and one sheet each for the consolidated
//! table with its chart, the tasks, the progress reports, the indicators, and who has reported.
//!
//! It is made from the answers of verbs, so the command line and the console make the same one. It is for reading; what is
//! to come back is `export`.

mod layout;

use rust_xlsxwriter::{Workbook, XlsxError};
use serde_json::{Value, json};

use crate::api::{Command, Narrowed, RollupBy};
use crate::t;
use crate::text::shown::Shown;
use layout::{Cell, Column, Kind, Paper, Share};

/// The verbs whose answers it is made from, in the order of [`Sources`]. `unit`: with all below it; `None`: everything
/// this node sees.
pub fn questions(period: Option<&str>, unit: Option<&str>) -> [Command; 7] {
    let (period, unit) = (period.map(str::to_owned), unit.map(str::to_owned));
    [
        Command::Status,
        Command::RollupShow {
            period: period.clone(),
            unit: unit.clone(),
            by: RollupBy::Group,
            recompute: false,
            version: None,
        },
        Command::TaskList {
            unit: unit.clone(),
            group: None,
            issuer: None,
            unresolved: false,
            period: period.clone(),
            narrowed: Narrowed::default(),
        },
        Command::ReportList {
            task: None,
            unit: unit.clone(),
            period: period.clone(),
        },
        Command::IndicatorList {
            period: period.clone(),
            unit: unit.clone(),
        },
        Command::PeriodList {
            unit: unit.clone(),
            period: period.clone(),
        },
        Command::ScoreShow { period, unit },
    ]
}

/// Answers to [`questions`].
pub struct Sources {
    /// `status`: whose workbook it is.
    pub status: Value,
    /// `rollup show --by group`.
    pub rollup: Value,
    /// `task list`.
    pub tasks: Value,
    /// `report list`.
    pub reports: Value,
    /// `indicator list`.
    pub indicators: Value,
    /// `period list`.
    pub periods: Value,
    /// `score show`.
    pub scores: Value,
}

impl From<[Value; 7]> for Sources {
    fn from(answers: [Value; 7]) -> Sources {
        let [status, rollup, tasks, reports, indicators, periods, scores] = answers;
        Sources {
            status,
            rollup,
            tasks,
            reports,
            indicators,
            periods,
            scores,
        }
    }
}

impl Sources {
    /// The reporting period it is of.
    pub fn period(&self) -> &str {
        self.rollup["period"].as_str().unwrap_or_default()
    }

    /// A name for the file: unit and period.
    pub fn file_name(&self) -> String {
        let unit = self.status["unit"]["code"].as_str().unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let unit: String = unit.chars().map(plain).collect();
        format!("{unit}-{}.xlsx", self.period())
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

/// Makes it. `now`: RFC 3339, as of when the answers are.
pub fn workbook(sources: &Sources, now: &str, shown: &Shown) -> Result<Workbook, XlsxError> {
    let maker = Maker {
        sources,
        now,
        shown,
    };
    let mut book = Workbook::new();
    for paper in [
        maker.consolidated(),
        maker.tasks(),
        maker.progress(),
        maker.indicators(),
        maker.reported(),
        maker.scores(),
    ] {
        layout::write(&mut book, &paper)?;
    }
    Ok(book)
}

struct Maker<'a> {
    sources: &'a Sources,
    now: &'a str,
    shown: &'a Shown,
}

fn items<'v>(list: &'v Value, name: &str) -> &'v [Value] {
    list[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Maker<'_> {
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
        let columns = vec![
            self.column("label-number", 8.0, Kind::Text),
            self.column("label-title", 34.0, Kind::Text),
            self.column("label-subtask", 34.0, Kind::Text),
            self.column("label-deliverable", 24.0, Kind::Text),
            self.column("label-kpi", 20.0, Kind::Text),
            self.column("label-lead", 18.0, Kind::Text),
            self.column("label-coordinating", 22.0, Kind::Text),
            self.column("label-deadline", 14.0, Kind::Text),
            self.column("label-state", 18.0, Kind::Text),
        ];
        let text = |value: &Value| Cell::Text(self.shown.plain(value));
        let units = |task: &Value, part: &str| {
            let both =
                [part, &format!("{part}_unresolved")].map(|name| self.shown.plain(&task[name]));
            let known: Vec<String> = both.into_iter().filter(|text| !text.is_empty()).collect();
            Cell::Text(known.join(", "))
        };
        let rows = items(&self.sources.tasks, "items").iter().map(|task| {
            let section = self.shown.plain(&task["group"]);
            let number = self.shown.plain(&task["number"]);
            let both = [section, number]
                .into_iter()
                .filter(|part| !part.is_empty());
            vec![
                Cell::Text(both.collect::<Vec<_>>().join("/")),
                text(&task["title"]),
                text(&task["subtask"]),
                text(&task["deliverable"]),
                text(&task["kpi"]),
                units(task, "lead"),
                units(task, "coordinating"),
                text(&task["deadline"]["text"]),
                Cell::Text(self.shown.word("word-status-", &task["status"])),
            ]
        });
        self.paper(
            ["book-tasks-sheet", "book-tasks-title"],
            columns,
            rows.collect(),
        )
    }

    fn progress(&self) -> Paper {
        let columns = vec![
            self.column("label-task", 40.0, Kind::Text),
            self.column("label-unit", 16.0, Kind::Text),
            self.column("label-state", 18.0, Kind::Text),
            self.column("label-percent", 8.0, Kind::Number),
            self.column("label-result", 40.0, Kind::Text),
            self.column("label-difficulties", 28.0, Kind::Text),
            self.column("label-next-steps", 28.0, Kind::Text),
            self.column("label-evidence", 9.0, Kind::Number),
            self.column("label-submitted", 16.0, Kind::Text),
        ];
        let text = |value: &Value| Cell::Text(self.shown.plain(value));
        let rows = items(&self.sources.reports, "items").iter().map(|report| {
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
        });
        self.paper(
            ["book-progress-sheet", "book-progress-title"],
            columns,
            rows.collect(),
        )
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
        self.paper(
            ["book-scores-sheet", "book-scores-title"],
            columns,
            rows.collect(),
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
            ["book-reported-sheet", "book-reported-title"],
            columns,
            rows.collect(),
        )
    }
}

#[cfg(test)]
mod tests;
