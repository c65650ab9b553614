//! Units, indicators and reports from a table: for `import FILE --as units|indicators|reports`.
//!
//! Invariant: a row is taken whole or refused whole, with file, row, column and what was found. Figures are kept as
//! reported; what does not add up is remarked and never corrected.

mod fields;

use std::collections::HashMap;

use nqsync_core::calendar::{Period, fold};
use serde::{Deserialize, Serialize};

use self::fields::{Indicator, Report, Unit};
use super::{
    header::{Header, Schema},
    names::{is_blank, squeeze},
    number::{self, NumberStyle, parse_number_as},
    remark::{Remark, RemarkCode, Severity},
    table::{CellKind, Row, Table},
};

/// The rows of a table that were taken, and everything remarkable about the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records<T> {
    /// The rows taken, in the order of the sheet.
    pub rows: Vec<T>,
    /// The remarks in the order of the sheet; a row with a refusal is not among `rows`.
    pub remarks: Vec<Remark>,
}

/// An org unit as a table lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRow {
    /// The row of the sheet.
    pub row: u32,
    /// The unit's code, as text: `00123` is not 123.
    pub code: String,
    /// The full name.
    pub name: String,
    /// The short name; may be empty.
    pub short_name: String,
    /// The code of the unit above; empty for the root.
    pub parent: String,
    /// The level or kind as written.
    pub level: String,
    /// Other names it goes by.
    pub aliases: Vec<String>,
}

/// An indicator with its target or its figures, as a table lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorRow {
    /// The row of the sheet.
    pub row: u32,
    /// Group or section.
    pub group: String,
    /// Code or number; may be empty.
    pub code: String,
    /// The indicator's name.
    pub name: String,
    /// Unit of measure.
    pub unit: String,
    /// `cumulative`, `discrete`, or as written; may be empty.
    pub kind: String,
    /// `=`, `>=`, `<=`, `>` or `<`; empty where none is given.
    pub comparator: String,
    /// The target as a decimal.
    pub target: Option<String>,
    /// The value, or the numerator of a ratio, as a decimal.
    pub numerator: Option<String>,
    /// The denominator of a ratio, as a decimal.
    pub denominator: Option<String>,
    /// The percent as stated, as a decimal; never corrected.
    pub stated_percent: Option<String>,
    /// The period or day the figure speaks of, as written.
    pub as_of: String,
    /// The period, where that text names one.
    pub period: Option<Period>,
    /// A note.
    pub note: String,
}

/// A progress report as a table lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// The row of the sheet.
    pub row: u32,
    /// The task's number or id, as written.
    pub task: String,
    /// The reporting unit's code or name, as written; may be empty.
    pub unit: String,
    /// The period, where the table has one.
    pub period: Option<Period>,
    /// `not_started`, `in_progress`, `completed`, `awaiting_correction`, `continuing` or `cancelled`.
    pub status: Option<String>,
    /// Percent done, as a decimal from 0 to 100.
    pub percent: Option<String>,
    /// Numerator of a measurable task.
    pub numerator: Option<String>,
    /// Denominator of a measurable task.
    pub denominator: Option<String>,
    /// What was achieved.
    pub result: String,
    /// What stands in the way.
    pub difficulties: String,
    /// What comes next.
    pub next_steps: String,
}

/// Reads org units. A code that occurred before in the file refuses its row.
pub fn read_units(table: &Table) -> Records<UnitRow> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    read(table, &fields::UNITS, |row| {
        let code = row.required(Unit::Code)?;
        let name = row.required(Unit::Name)?;
        if let Some(first) = seen.get(&code) {
            let found = format!("{code} is also in row {first}");
            return Err(row.refusal(Unit::Code, RemarkCode::DuplicateCode, &found));
        }
        seen.insert(code.clone(), row.row.number);
        let aliases = row.text(Unit::Aliases);
        let aliases = aliases
            .split([';', '\n', '|'])
            .map(squeeze)
            .filter(|alias| !alias.is_empty())
            .collect();
        Ok(UnitRow {
            row: row.row.number,
            code,
            name,
            short_name: row.line(Unit::ShortName),
            parent: row.line(Unit::Parent),
            level: row.line(Unit::Level),
            aliases,
        })
    })
}

/// Reads indicators: their definitions, their figures, or both.
pub fn read_indicators(table: &Table) -> Records<IndicatorRow> {
    read(table, &fields::INDICATORS, |row| {
        let name = row.required(Indicator::Name)?;
        let (numerator, denominator) = row.ratio(Indicator::Numerator, Indicator::Denominator)?;
        let stated_percent = row.number(Indicator::StatedPercent, NumberStyle::Plain)?;
        row.check_percent(
            Indicator::StatedPercent,
            &numerator,
            &denominator,
            &stated_percent,
        );
        let (comparator, target) = row.target()?;
        let as_of = row.line(Indicator::AsOf);
        let kind = row.line(Indicator::Kind);
        let kind = match fold(&kind).as_str() {
            "cumulative" | "luy ke" | "cong don" => "cumulative".to_owned(),
            "discrete" | "trong ky" | "roi rac" => "discrete".to_owned(),
            _ => kind,
        };
        Ok(IndicatorRow {
            row: row.row.number,
            group: row.line(Indicator::Group),
            code: row.line(Indicator::Code),
            name,
            unit: row.line(Indicator::Unit),
            kind,
            comparator,
            target,
            numerator,
            denominator,
            stated_percent,
            period: as_of.parse().ok(),
            as_of,
            note: row.text(Indicator::Note).to_owned(),
        })
    })
}

/// Reads progress reports. A percent outside 0 to 100 refuses its row, as does a status nobody knows.
pub fn read_reports(table: &Table) -> Records<ReportRow> {
    read(table, &fields::REPORTS, |row| {
        let task = row.required(Report::Task)?;
        let written = row.line(Report::Period);
        let period = match written.as_str() {
            "" => None,
            text => {
                let period = text.parse::<Period>();
                Some(
                    period
                        .map_err(|_| row.refusal(Report::Period, RemarkCode::PeriodUnread, text))?,
                )
            }
        };
        let written = row.line(Report::Status);
        let status = if is_blank(&written) {
            row.remark(
                Report::Status,
                RemarkCode::EmptyStatus,
                Severity::Missing,
                "",
            );
            None
        } else {
            let status = parse_status(&written);
            Some(
                status
                    .ok_or_else(|| row.refusal(Report::Status, RemarkCode::StatusUnread, &written))?
                    .to_owned(),
            )
        };
        let percent = row.number(Report::Percent, NumberStyle::Plain)?;
        if let Some(percent) = &percent
            && (percent.starts_with('-')
                || number::compare(percent, "100").is_none_or(|order| order.is_gt()))
        {
            return Err(row.refusal(Report::Percent, RemarkCode::OutOfRange, percent));
        }
        let (numerator, denominator) = row.ratio(Report::Numerator, Report::Denominator)?;
        Ok(ReportRow {
            row: row.row.number,
            task,
            unit: row.line(Report::Unit),
            period,
            status,
            percent,
            numerator,
            denominator,
            result: row.text(Report::Result).to_owned(),
            difficulties: row.text(Report::Difficulties).to_owned(),
            next_steps: row.text(Report::NextSteps).to_owned(),
        })
    })
}

/// The status a text names, in Vietnamese or in the program's own words. Late or on time is not part of a status: it
/// follows from the deadline.
pub fn parse_status(text: &str) -> Option<&'static str> {
    const STATUSES: [(&str, &str); 29] = [
        // Longer and negated phrases first: "chưa hoàn thành" contains "hoàn thành".
        ("not_started", "not_started"),
        ("not started", "not_started"),
        ("chua thuc hien", "not_started"),
        ("chua trien khai", "not_started"),
        ("chua bat dau", "not_started"),
        ("awaiting", "awaiting_correction"),
        ("cho hoan thien", "awaiting_correction"),
        ("hoan thien lai", "awaiting_correction"),
        ("bo sung minh chung", "awaiting_correction"),
        ("chua hoan thanh", "in_progress"),
        ("chua xong", "in_progress"),
        ("khong thuc hien", "cancelled"),
        ("dung thuc hien", "cancelled"),
        ("cancel", "cancelled"),
        ("huy", "cancelled"),
        ("continuing", "continuing"),
        ("tiep tuc", "continuing"),
        ("thuong xuyen", "continuing"),
        ("in_progress", "in_progress"),
        ("in progress", "in_progress"),
        ("dang ", "in_progress"),
        ("sap hoan thanh", "in_progress"),
        ("co ban hoan thanh", "in_progress"),
        ("completed", "completed"),
        ("done", "completed"),
        ("hoan thanh", "completed"),
        ("da thuc hien", "completed"),
        ("da xong", "completed"),
        ("tre han", "in_progress"),
    ];
    let folded = fold(text);
    STATUSES
        .iter()
        .find(|(phrase, _)| folded.contains(phrase))
        .map(|(_, status)| *status)
}

/// Whether the table's header is that of units, indicators or reports.
pub(super) fn is_recognised(table: &Table) -> bool {
    Header::find(table, &fields::UNITS).is_some()
        || Header::find(table, &fields::INDICATORS).is_some()
        || Header::find(table, &fields::REPORTS).is_some()
}

fn read<F: Copy + PartialEq, T>(
    table: &Table,
    schema: &Schema<'_, F>,
    mut take: impl FnMut(&mut Reader<'_, F>) -> Result<T, Remark>,
) -> Records<T> {
    let Some(header) = Header::find(table, schema) else {
        let mut remarks = table.remarks.clone();
        let found = table
            .rows
            .first()
            .map_or("", |row| row.cells[0].1.text.as_str());
        remarks.push(Remark::new(
            &table.file,
            RemarkCode::NoHeader,
            Severity::Refused,
            found,
        ));
        return Records {
            rows: Vec::new(),
            remarks,
        };
    };
    let mut remarks = header.remarks(table);
    let mut rows = Vec::new();
    for row in &table.rows[header.body..] {
        let mut reader = Reader {
            file: &table.file,
            header: &header,
            row,
            remarks: &mut remarks,
        };
        match take(&mut reader) {
            Ok(taken) => rows.push(taken),
            Err(refusal) => remarks.push(refusal),
        }
    }
    remarks.sort_by_key(|remark| remark.row);
    Records { rows, remarks }
}

/// One row being read by a schema.
struct Reader<'a, F> {
    file: &'a str,
    header: &'a Header<F>,
    row: &'a Row,
    remarks: &'a mut Vec<Remark>,
}

impl<F: Copy + PartialEq> Reader<'_, F> {
    fn text(&self, field: F) -> &str {
        self.header.text(self.row, field)
    }

    fn line(&self, field: F) -> String {
        squeeze(self.text(field))
    }

    fn required(&self, field: F) -> Result<String, Remark> {
        match self.line(field) {
            text if text.is_empty() => {
                let found = self
                    .row
                    .cells
                    .first()
                    .map_or("", |(_, cell)| cell.text.as_str());
                Err(self.refusal(field, RemarkCode::EmptyCell, found))
            }
            text => Ok(text),
        }
    }

    fn placed(&self, field: F, code: RemarkCode, severity: Severity, found: &str) -> Remark {
        let remark = Remark::new(self.file, code, severity, found).at(self.row.number);
        match self.header.heading(field) {
            Some(heading) => remark.in_column(heading),
            None => remark,
        }
    }

    fn refusal(&self, field: F, code: RemarkCode, found: &str) -> Remark {
        self.placed(field, code, Severity::Refused, found)
    }

    fn remark(&mut self, field: F, code: RemarkCode, severity: Severity, found: &str) {
        let remark = self.placed(field, code, severity, found);
        self.remarks.push(remark);
    }

    /// A number in a cell; none where the cell is blank. `style` is how one point with three digits after it is meant.
    fn number(&mut self, field: F, style: NumberStyle) -> Result<Option<String>, Remark> {
        let cell = self
            .header
            .column(field)
            .and_then(|column| self.row.cell(column));
        let Some(cell) = cell.filter(|cell| !is_blank(&cell.text)) else {
            return Ok(None);
        };
        let (text, kind) = (cell.text.clone(), cell.kind);
        self.parse(
            field,
            &text,
            if kind == CellKind::Number {
                NumberStyle::Plain
            } else {
                style
            },
            kind,
        )
        .map(Some)
    }

    fn parse(
        &mut self,
        field: F,
        text: &str,
        style: NumberStyle,
        kind: CellKind,
    ) -> Result<String, Remark> {
        let number = parse_number_as(text, style)
            .map_err(|_| self.refusal(field, RemarkCode::NotANumber, text))?;
        if kind == CellKind::Text && number::is_ambiguous(text) {
            let found = format!("{text}, read as {number}");
            self.remark(field, RemarkCode::AmbiguousNumber, Severity::Note, &found);
        }
        Ok(number)
    }

    /// Numerator and denominator from their own cells, or both from one cell such as `2.274.905/2.581.336`.
    fn ratio(&mut self, above: F, below: F) -> Result<(Option<String>, Option<String>), Remark> {
        let both = self.line(above);
        let (numerator, denominator) = match both.split_once('/') {
            Some((n, d)) if !is_blank(&both) => {
                // A person looks for the whole of what stands in the cell, such as 12/3/2026.
                let whole = self.refusal(above, RemarkCode::NotANumber, &both);
                let mut part = |text: &str| {
                    let read = self.parse(above, text, NumberStyle::Vietnamese, CellKind::Text);
                    read.map_err(|_| whole.clone())
                };
                (Some(part(n)?), Some(part(d)?))
            }
            _ => (
                self.number(above, NumberStyle::Vietnamese)?,
                self.number(below, NumberStyle::Vietnamese)?,
            ),
        };
        if let Some(d) = &denominator {
            if number::compare(d, "0").is_some_and(|order| order.is_eq()) {
                return Err(self.refusal(below, RemarkCode::ZeroDenominator, d));
            }
            if d.starts_with('-') {
                return Err(self.refusal(below, RemarkCode::OutOfRange, d));
            }
            if let Some(n) = &numerator
                && number::compare(n, d).is_some_and(|order| order.is_gt())
            {
                let found = format!("{n}/{d}");
                self.remark(
                    above,
                    RemarkCode::NumeratorAboveDenominator,
                    Severity::Note,
                    &found,
                );
            }
        }
        Ok((numerator, denominator))
    }

    /// Remarks a stated percent that is not numerator over denominator, rounded to the decimals stated.
    fn check_percent(
        &mut self,
        field: F,
        n: &Option<String>,
        d: &Option<String>,
        stated: &Option<String>,
    ) {
        let (Some(n), Some(d), Some(stated)) = (n, d, stated) else {
            return;
        };
        let decimals = stated
            .split_once('.')
            .map_or(0, |(_, fraction)| fraction.len());
        let Some((cut, rounded)) = number::percent_of(n, d, decimals) else {
            return;
        };
        if rounded != *stated {
            let how = if cut == *stated {
                ", cut off instead of rounded"
            } else {
                ""
            };
            let found = format!("stated {stated} %, {n}/{d} is {rounded} %{how}");
            self.remark(field, RemarkCode::PercentDiffers, Severity::Note, &found);
        }
    }
}

impl Reader<'_, Indicator> {
    /// Comparator and target, from their own cells or from one such as `≥ 80 %`.
    fn target(&mut self) -> Result<(String, Option<String>), Remark> {
        let written = self.line(Indicator::Comparator);
        let mut comparator = match fields::comparator(&written) {
            Some((comparator, "")) => comparator.to_owned(),
            _ if is_blank(&written) => String::new(),
            _ => {
                return Err(self.refusal(
                    Indicator::Comparator,
                    RemarkCode::ComparatorUnread,
                    &written,
                ));
            }
        };
        let cell = self
            .header
            .column(Indicator::Target)
            .and_then(|column| self.row.cell(column));
        let Some(cell) = cell.filter(|cell| !is_blank(&cell.text)) else {
            return Ok((comparator, None));
        };
        let (text, kind) = (fold(&cell.text), cell.kind);
        let bare = match fields::comparator(&text) {
            Some((found, rest)) => {
                if comparator.is_empty() {
                    comparator = found.to_owned();
                }
                rest
            }
            None => text.as_str(),
        };
        if !bare.starts_with(|c: char| c.is_ascii_digit()) {
            let found = cell.text.clone();
            self.remark(
                Indicator::Target,
                RemarkCode::TargetIsText,
                Severity::Note,
                &found,
            );
            return Ok((comparator, None));
        }
        self.parse(Indicator::Target, bare, NumberStyle::Plain, kind)
            .map(|target| (comparator, Some(target)))
    }
}

#[cfg(test)]
mod tests;
