//! A plan's annex, as a table, to task rows: for `import FILE --as tasks`.
//!
//! Invariant: every row below the header is a task, or a remark says why it is none. Empty cells are remarked and
//! never filled by guessing; only a number and a general task continue from the row above, as annexes print them.

mod checks;
mod shape;

use std::collections::HashMap;

use nqsync_core::calendar::{Deadline, fold, parse_deadline};
use nqsync_core::protocol::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::shape::{Shape, shape_of, signature_start};
use super::{
    header::{Header, Schema},
    names::{is_blank, split_names, squeeze},
    remark::{Remark, RemarkCode, Severity},
    table::{Row, Table},
};

/// What the columns of a plan mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    GroupCode,
    GroupTitle,
    Number,
    Title,
    Subtask,
    Deliverable,
    Kpi,
    Lead,
    Coordinating,
    Deadline,
    Programme,
    Person,
    Authority,
}

/// The headings of plans, folded: the seven columns of the annexes, those of a provincial tracker's workbook, and the
/// names programs use.
pub(super) const SCHEMA: Schema<'_, Field> = Schema {
    whole: &[
        (
            Field::GroupCode,
            &["section", "muc", "nhom", "ma nhom", "group", "group code"],
        ),
        (
            Field::GroupTitle,
            &[
                "section title",
                "ten nhom",
                "nhom nhiem vu",
                "linh vuc",
                "group title",
            ],
        ),
        (
            Field::Number,
            &[
                "stt",
                "tt",
                "so tt",
                "so thu tu",
                "so",
                "ma",
                "ma so",
                "ma nhiem vu",
                "so hieu",
                "task no",
                "no",
                "number",
            ],
        ),
        (
            Field::Title,
            &[
                "general task",
                "task",
                "title",
                "nhiem vu",
                "nhiem vu chung",
                "ten nhiem vu",
            ],
        ),
        (
            Field::Subtask,
            &["subtask", "sub task", "nhiem vu cu the", "nhiem vu con"],
        ),
        (Field::Deliverable, &["deliverable", "san pham"]),
        (Field::Kpi, &["kpi", "chi tieu"]),
        (Field::Lead, &["lead unit", "lead", "chu tri"]),
        (
            Field::Coordinating,
            &["coordinating units", "coordinating", "phoi hop"],
        ),
        (
            Field::Deadline,
            &["deadline text", "deadline", "thoi han", "tien do"],
        ),
        (
            Field::Programme,
            &["programme", "program", "chuong trinh", "de an"],
        ),
        (Field::Person, &["person"]),
        (Field::Authority, &["authority", "tham quyen"]),
    ],
    part: &[
        (Field::Subtask, "nhiem vu cu the"),
        (Field::Subtask, "nhiem vu con"),
        (Field::Subtask, "nhiem vu thanh phan"),
        (Field::Subtask, "nhiem vu chi tiet"),
        (Field::Subtask, "cong viec cu the"),
        (Field::Subtask, "noi dung cu the"),
        (Field::GroupTitle, "nhom nhiem vu"),
        (Field::Person, "nguoi phu trach"),
        (Field::Person, "nguoi thuc hien"),
        (Field::Person, "nguoi chiu trach nhiem"),
        (Field::Person, "can bo phu trach"),
        (Field::Person, "lanh dao phu trach"),
        (Field::Person, "lanh dao chi dao"),
        (Field::Authority, "tham quyen"),
        (Field::Authority, "cap phe duyet"),
        (Field::Lead, "chu tri"),
        (Field::Coordinating, "phoi hop"),
        (Field::Lead, "don vi thuc hien"),
        (Field::Coordinating, "don vi thuc hien"),
        (Field::Lead, "co quan thuc hien"),
        (Field::Lead, "lead"),
        (Field::Deliverable, "san pham"),
        (Field::Deliverable, "ket qua dau ra"),
        (Field::Kpi, "kpi"),
        (Field::Kpi, "chi tieu"),
        (Field::Kpi, "dinh luong"),
        (Field::Deadline, "thoi han"),
        (Field::Deadline, "thoi gian"),
        (Field::Deadline, "tien do"),
        (Field::Deadline, "ngay ket thuc"),
        (Field::Deadline, "han hoan thanh"),
        (Field::Deadline, "hoan thanh"),
        (Field::Programme, "chuong trinh"),
        (Field::Title, "nhiem vu"),
        (Field::Title, "cong viec"),
        (Field::Title, "noi dung"),
        (Field::Subtask, "noi dung"),
        (Field::Deliverable, "ket qua"),
    ],
    enough: |fields| {
        fields.len() >= 3 && (fields.contains(&Field::Title) || fields.contains(&Field::Subtask))
    },
};

/// One task as a plan writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    /// The row of the sheet.
    pub row: u32,
    /// What the row is known by when the file is imported again: not its number alone, which may repeat.
    pub row_key: String,
    /// The group's code, such as `II`; empty if it has none.
    pub group_code: String,
    /// The group's title.
    pub group_title: String,
    /// The task's number as written, such as `1.1`; empty if it has none.
    pub number: String,
    /// The general task.
    pub title: String,
    /// The sub-task.
    pub subtask: String,
    /// The mandatory deliverable.
    pub deliverable: String,
    /// The quantitative result asked for.
    pub kpi: String,
    /// The lead units as written.
    pub lead_text: String,
    /// The lead units' names, one by one, not yet resolved.
    pub lead_names: Vec<String>,
    /// The coordinating units as written.
    pub coordinating_text: String,
    /// The coordinating units' names, one by one, not yet resolved.
    pub coordinating_names: Vec<String>,
    /// The deadline.
    pub deadline: Deadline,
    /// The programme the task belongs to.
    pub programme: String,
    /// The person responsible.
    pub person: String,
    /// Who decides.
    pub authority: String,
}

/// The tasks of a plan, and everything remarkable about the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSheet {
    /// The tasks in the order of the sheet.
    pub rows: Vec<PlanRow>,
    /// The remarks in the order of the sheet, those on the file first.
    pub remarks: Vec<Remark>,
}

/// Reads the tasks of a plan. `known` says whether a text names a unit; it decides where commas separate.
pub fn read_plan(table: &Table, known: &dyn Fn(&str) -> bool) -> PlanSheet {
    let Some(header) = Header::find(table, &SCHEMA) else {
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
        return PlanSheet {
            rows: Vec::new(),
            remarks,
        };
    };
    let remarks = header.remarks(table);
    let mut reader = Reader {
        file: &table.file,
        header,
        known,
        remarks,
        rows: Vec::new(),
        above: Above::default(),
    };
    reader.read(table);
    let Reader {
        header,
        mut rows,
        mut remarks,
        ..
    } = reader;
    add_row_keys(&table.file, &mut rows, &mut remarks);
    remarks.extend(checks::numbering(
        &table.file,
        header.heading(Field::Number),
        &rows,
    ));
    remarks.extend(checks::spellings(&table.file, &header, &rows));
    remarks.sort_by_key(|remark| remark.row);
    PlanSheet { rows, remarks }
}

/// What a row may continue from the rows above it.
#[derive(Default)]
struct Above {
    group_code: String,
    group_title: String,
    number: String,
    title: String,
    /// The number of a row that only headed the sub-tasks below it.
    heading: Option<String>,
}

struct Reader<'a> {
    file: &'a str,
    header: Header<Field>,
    known: &'a dyn Fn(&str) -> bool,
    remarks: Vec<Remark>,
    rows: Vec<PlanRow>,
    above: Above,
}

impl Reader<'_> {
    fn read(&mut self, table: &Table) {
        let body = &table.rows[self.header.body..];
        let end = signature_start(&self.header, body);
        for (at, row) in body[..end].iter().enumerate() {
            match shape_of(&self.header, row, body[..end].get(at + 1)) {
                Shape::Skipped(found) => self.note(RemarkCode::SkippedRow, row, &found),
                Shape::Stray(found) => {
                    let remark =
                        Remark::new(self.file, RemarkCode::StrayCell, Severity::Missing, found);
                    self.remarks.push(remark.at(row.number));
                }
                Shape::Section { code, title } => {
                    self.note(
                        RemarkCode::SectionRow,
                        row,
                        &squeeze(&format!("{code} {title}")),
                    );
                    self.above = Above {
                        group_code: code,
                        group_title: title,
                        ..Above::default()
                    };
                }
                Shape::Heading { number, title } => {
                    self.note(RemarkCode::HeadingRow, row, &format!("{number} {title}"));
                    self.above.heading = Some(number.clone());
                    self.above.number = number;
                    self.above.title = title;
                }
                Shape::Task => self.task(row),
            }
        }
        if let Some(first) = body.get(end) {
            let text = first
                .own_cells()
                .map(|(_, cell)| cell.text.as_str())
                .collect::<Vec<_>>()
                .join(" | ");
            let found = format!("{} rows from: {text}", body.len() - end);
            self.note(RemarkCode::SkippedSignature, first, &found);
        }
    }

    fn task(&mut self, row: &Row) {
        let (number, title, subtask) = self.identity(row);
        if title.is_empty() && subtask.is_empty() {
            let found = row.cells.first().map_or("", |(_, cell)| cell.text.as_str());
            let remark = Remark::new(self.file, RemarkCode::EmptyTitle, Severity::Refused, found)
                .at(row.number);
            self.remarks
                .push(remark.in_column(self.header.heading(Field::Title).unwrap_or_default()));
            return;
        }
        for (field, own) in [
            (Field::GroupCode, &mut self.above.group_code),
            (Field::GroupTitle, &mut self.above.group_title),
        ] {
            let written = squeeze(self.header.text(row, field));
            if !written.is_empty() {
                *own = written;
            }
        }
        let text = |field| squeeze_lines(self.header.text(row, field));
        let names = |field| {
            let written = self.header.text(row, field);
            if is_blank(written) {
                Vec::new()
            } else {
                split_names(written, self.known)
            }
        };
        let deadline = self.header.text(row, Field::Deadline);
        let task = PlanRow {
            row: row.number,
            row_key: String::new(),
            group_code: self.above.group_code.clone(),
            group_title: self.above.group_title.clone(),
            number: number.clone(),
            title: title.clone(),
            subtask,
            deliverable: text(Field::Deliverable),
            kpi: text(Field::Kpi),
            lead_text: text(Field::Lead),
            lead_names: names(Field::Lead),
            coordinating_text: text(Field::Coordinating),
            coordinating_names: names(Field::Coordinating),
            deadline: parse_deadline(deadline),
            programme: text(Field::Programme),
            person: text(Field::Person),
            authority: text(Field::Authority),
        };
        self.remarks
            .extend(checks::cells(self.file, &self.header, &task, self.known));
        self.above.number = number;
        self.above.title = title;
        self.rows.push(task);
    }

    /// Number, general task and sub-task of a row, with what continues from above.
    fn identity(&mut self, row: &Row) -> (String, String, String) {
        let mut number = shape::number(self.header.text(row, Field::Number));
        let mut title = squeeze_lines(self.header.text(row, Field::Title));
        let mut subtask = squeeze_lines(self.header.text(row, Field::Subtask));
        if self.header.column(Field::Number).is_none()
            && let Some((leading, rest)) = shape::leading_number(&title)
        {
            (number, title) = (leading, rest);
        }
        let parent = number.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        let under_heading = parent.is_some() && parent == self.above.heading;
        let beside = parent.is_some()
            && parent.as_deref() == self.above.number.rsplit_once('.').map(|(p, _)| p);
        if number.is_empty() && title.is_empty() && !self.above.title.is_empty() {
            number.clone_from(&self.above.number);
            title.clone_from(&self.above.title);
            self.note(RemarkCode::ContinuedCell, row, &format!("{number} {title}"));
        } else if title.is_empty() && (under_heading || beside) {
            title.clone_from(&self.above.title);
            self.note(RemarkCode::ContinuedCell, row, &title);
        } else if under_heading && subtask.is_empty() && title != self.above.title {
            subtask = std::mem::replace(&mut title, self.above.title.clone());
        }
        if !under_heading {
            self.above.heading = None;
        }
        (number, title, subtask)
    }

    fn note(&mut self, code: RemarkCode, row: &Row, found: &str) {
        self.remarks
            .push(Remark::new(self.file, code, Severity::Note, found).at(row.number));
    }
}

/// The text with single spaces, its line breaks kept: they separate points of a list.
fn squeeze_lines(text: &str) -> String {
    text.lines()
        .map(squeeze)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Gives each row its key: a hash of what identifies it, and an ordinal where rows are equal in all of that.
fn add_row_keys(file: &str, rows: &mut [PlanRow], remarks: &mut Vec<Remark>) {
    let mut seen: HashMap<String, (u32, u32)> = HashMap::new();
    for row in rows {
        let group = if row.group_code.is_empty() {
            &row.group_title
        } else {
            &row.group_code
        };
        let parts = [group, &row.number, &row.title, &row.subtask].map(|part| fold(part));
        let hash = Sha256::digest(parts.join("\u{1f}").as_bytes());
        let key = hex(&hash[..12]);
        let (times, first) = seen.entry(key.clone()).or_insert((0, row.row));
        *times += 1;
        row.row_key = if *times == 1 {
            key
        } else {
            format!("{key}-{times}")
        };
        if *times > 1 {
            let found = format!("same group, number and text as row {first}");
            remarks.push(
                Remark::new(file, RemarkCode::IdenticalRow, Severity::Note, found).at(row.row),
            );
        }
    }
}

#[cfg(test)]
mod tests;
