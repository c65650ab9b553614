//! The workbook that an office files for a period: title block, who signs, and one sheet each for the consolidated
//! table with its chart, the tasks, the progress reports, the indicators, and who has reported.
//!
//! It is made from the answers of verbs, while it goes out; so the command line and the console make the same one. The verbs
//! are asked one after the other, and a reader may be slow: no snapshot is held for all of them, each sheet says as of when
//! it is. It is for reading; what is to come back is `export`.

mod layout;
mod papers;
mod stream;

use std::collections::BTreeMap;
use std::io::{self, Write};

use rust_xlsxwriter::XlsxError;
use serde_json::{Value, json};
use uuid::Uuid;
use zip::result::ZipError;

use crate::api::{Command, Failure, LongList, RollupBy};
use crate::text::shown::Shown;
use layout::Place;
use papers::{Maker, items};
use stream::Outgoing;

/// Items of a long list that are asked for at a time.
const TOGETHER: usize = 500;
/// The sheets in their order.
const SHEETS: [Sheet; 6] = [
    Sheet::Consolidated,
    Sheet::Tasks,
    Sheet::Progress,
    Sheet::Indicators,
    Sheet::Reported,
    Sheet::Scores,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sheet {
    Consolidated,
    Tasks,
    Progress,
    Indicators,
    Reported,
    Scores,
}

impl Sheet {
    /// The list whose items are its rows, where it is written while they are asked for.
    fn list(self) -> Option<LongList> {
        match self {
            Sheet::Tasks => Some(LongList::Tasks),
            Sheet::Progress => Some(LongList::Reports),
            _ => None,
        }
    }
}

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

/// The verbs that say whose workbook it is and whether there is one at all: `status` and `indicator list`. Neither counts:
/// who waits sees the download begin. `unit`: with all below it; `None`: everything this node sees.
pub fn first(period: Option<&str>, unit: Option<&str>) -> [Command; 2] {
    let indicators = Command::IndicatorList {
        period: period.map(str::to_owned),
        unit: unit.map(str::to_owned),
    };
    [Command::Status, indicators]
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
    /// When what each sheet is made from was asked for, RFC 3339.
    at: BTreeMap<Sheet, String>,
}

impl Sources {
    fn period(&self) -> &str {
        self.indicators["period"].as_str().unwrap_or_default()
    }
}

/// Where the rows of long tables belong, by the number of their sheet, from 1.
type Places = Vec<(usize, Place)>;

/// Asks a verb for its data.
pub type Ask<'a> = dyn FnMut(Command) -> Result<Value, Failure> + 'a;

impl Begun {
    /// From the answers to [`first`]. `at`: RFC 3339, when they were asked for.
    pub fn of(status: Value, indicators: Value, unit: Option<&str>, at: &str) -> Begun {
        Begun {
            unit: unit.map(str::to_owned),
            sources: Sources {
                status,
                indicators,
                at: [(Sheet::Indicators, at.to_owned())].into(),
                ..Sources::default()
            },
        }
    }

    /// The reporting period it is of.
    pub fn period(&self) -> &str {
        self.sources.period()
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

    /// Asks for the rest and writes it all; answers whether everything that was expected is in it. `now`: tells the time,
    /// RFC 3339.
    ///
    /// # Errors
    /// What was written until then is no workbook.
    pub fn write(
        mut self,
        ask: &mut Ask<'_>,
        now: &dyn Fn() -> String,
        shown: &Shown,
        out: impl Write,
    ) -> Result<bool, Problem> {
        let outgoing = Outgoing::begin(out)?;
        let period = self.period().to_owned();
        self.ask(ask, &period, now)?;
        let maker = Maker::of(&self.sources, shown);
        let (book, places) = maker.book()?;
        let (tasks, reports) = (maker.task_columns(), maker.report_columns());
        outgoing.send(&book, &places, |number, table| {
            let sheet = SHEETS.get(number - 1).copied();
            let Some(list) = sheet.and_then(Sheet::list) else {
                return Ok(());
            };
            let ids = match list {
                LongList::Tasks => &self.sources.tasks,
                LongList::Reports => &self.sources.reports,
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
        })?;
        Ok(self.sources.rollup["coverage"]["complete"] == true)
    }

    fn ask(
        &mut self,
        ask: &mut Ask<'_>,
        period: &str,
        now: &dyn Fn() -> String,
    ) -> Result<(), Problem> {
        let (asked, unit) = (Some(period.to_owned()), self.unit.clone());
        let sources = &mut self.sources;
        let mut of = |sheet, command| {
            sources.at.insert(sheet, now());
            ask(command)
        };
        sources.rollup = of(
            Sheet::Consolidated,
            Command::RollupShow {
                period: asked.clone(),
                unit: unit.clone(),
                by: RollupBy::Group,
                recompute: false,
                version: None,
            },
        )?;
        sources.periods = of(
            Sheet::Reported,
            Command::PeriodList {
                period: asked.clone(),
                unit: unit.clone(),
            },
        )?;
        let scores = of(
            Sheet::Scores,
            Command::ScoreShow {
                period: asked,
                unit: unit.clone(),
            },
        );
        // Criteria that cannot be used are said in their sheet; the rest of the papers does not wait for them.
        sources.scores = scores.unwrap_or_else(|failure| json!({ "refused": failure.message }));
        let mut ids = |sheet, list| -> Result<Vec<Uuid>, Problem> {
            let mut answer = of(
                sheet,
                Command::LongIds {
                    list,
                    period: period.to_owned(),
                    unit: unit.clone(),
                },
            )?;
            serde_json::from_value(answer["ids"].take())
                .map_err(|error| Problem::Made(error.to_string()))
        };
        sources.tasks = ids(Sheet::Tasks, LongList::Tasks)?;
        sources.reports = ids(Sheet::Progress, LongList::Reports)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
