//! What a row below the header is: a task, the title of a group, a heading, or nothing.

use nqsync_core::calendar::{fold, roman};

use super::Field;
use crate::sheet::{
    header::Header,
    names::{is_blank, squeeze},
    table::Row,
};

/// A row that spans this many columns by a merged cell is a title.
const WIDE: usize = 3;

/// The fields that make a row a task.
const TASK_FIELDS: [Field; 5] = [
    Field::Number,
    Field::Title,
    Field::Subtask,
    Field::Deliverable,
    Field::Kpi,
];

pub(super) enum Shape {
    Task,
    Section {
        code: String,
        title: String,
    },
    Heading {
        number: String,
        title: String,
    },
    Skipped(String),
    /// Units or a deadline without a task they could belong to.
    Stray(String),
}

/// What a row is, seen together with the row after it.
pub(super) fn shape_of(header: &Header<Field>, row: &Row, next: Option<&Row>) -> Shape {
    let own: Vec<_> = row.own_cells().collect();
    if is_column_numbers(row) {
        return Shape::Skipped("column numbers".to_owned());
    }
    if own.iter().all(|(_, cell)| is_blank(&cell.text)) {
        return Shape::Skipped("no text".to_owned());
    }
    if !header.columns().any(|column| row.cell(column).is_some()) {
        return Shape::Skipped("text only in columns without a meaning".to_owned());
    }
    if let [(column, cell)] = own.as_slice()
        && header.column(Field::GroupCode).is_none()
    {
        let wide = row.cells.len() >= WIDE && row.cells.iter().all(|(_, c)| c.text == cell.text);
        return alone(header, *column, &cell.text, wide);
    }
    if !names_a_task(header, row) {
        let text: Vec<_> = own.iter().map(|(_, cell)| cell.text.as_str()).collect();
        return Shape::Stray(text.join(" | "));
    }
    let number_text = header.text(row, Field::Number);
    if filled(header, row) > 0 {
        return Shape::Task;
    }
    let title = [Field::Title, Field::Subtask].map(|field| squeeze(header.text(row, field)));
    let title = title
        .into_iter()
        .find(|title| !title.is_empty())
        .unwrap_or_default();
    if let Some(code) = group_code(number_text)
        && !title.is_empty()
    {
        return Shape::Section { code, title };
    }
    let number = number(number_text);
    let heads_next = next.is_some_and(|next| {
        let below = self::number(header.text(next, Field::Number));
        !number.is_empty() && below.starts_with(&format!("{number}."))
    });
    if heads_next && !title.is_empty() {
        Shape::Heading { number, title }
    } else {
        Shape::Task
    }
}

/// A row with one cell: a title over all columns, a group, a continued sub-task, or a bare number.
fn alone(header: &Header<Field>, column: u32, text: &str, wide: bool) -> Shape {
    let text = squeeze(text);
    let is = |field| header.column(field) == Some(column);
    if let Some((code, title)) = section(&text) {
        return Shape::Section { code, title };
    }
    if wide {
        let (code, title) = leading_number(&text).unwrap_or((String::new(), text));
        return Shape::Section { code, title };
    }
    if is(Field::Number) {
        return match number(&text) {
            bare if !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || c == '.') => {
                Shape::Skipped(format!("only the number {bare}"))
            }
            _ => Shape::Section {
                code: String::new(),
                title: text,
            },
        };
    }
    let numbered = header.column(Field::Number).is_some();
    if is(Field::Title) && numbered {
        Shape::Section {
            code: String::new(),
            title: text,
        }
    } else if TASK_FIELDS.into_iter().any(is) {
        Shape::Task
    } else {
        Shape::Stray(text)
    }
}

/// "II. Hoàn thiện thể chế" or "A - Nhiệm vụ chung": a numeral or capital letter, a mark, a title.
fn section(text: &str) -> Option<(String, String)> {
    const DASHES: [char; 2] = ['-', '–'];
    let end = text.find(|c: char| !c.is_ascii_uppercase())?;
    let code = group_code(&text[..end])?;
    let rest = &text[end..];
    // A dash counts only with a space before it: "V-League" is a word.
    let marked = rest.starts_with(['.', ')', ':'])
        || rest.trim_start().starts_with(DASHES) && rest.starts_with(' ');
    let title = rest.trim_start_matches(|c: char| {
        c == ' ' || ['.', ')', ':'].contains(&c) || DASHES.contains(&c)
    });
    (marked && !title.is_empty()).then(|| (code, title.to_owned()))
}

/// A Roman numeral or one capital letter, as groups are numbered.
fn group_code(text: &str) -> Option<String> {
    let code = text.trim().trim_end_matches(['.', ')', ':', '/']);
    let letter = code.len() == 1 && code.chars().all(|c| c.is_ascii_uppercase());
    let numeral = code.chars().all(|c| c.is_ascii_uppercase()) && roman(code).is_some();
    (letter || numeral).then(|| code.to_owned())
}

/// A task's number without the mark after it.
pub(super) fn number(text: &str) -> String {
    let text = squeeze(text);
    if is_blank(&text) {
        String::new()
    } else {
        text.trim_end_matches(['.', ')', ':']).to_owned()
    }
}

/// "1.2. Xây dựng …" as number and text.
pub(super) fn leading_number(text: &str) -> Option<(String, String)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ')')?;
    let (number, rest) = text.split_at(end);
    let plain = number.trim_end_matches(['.', ')']);
    let sound = plain
        .split('.')
        .all(|part| (1..=3).contains(&part.len()) && !part.contains(')'));
    // Without a mark after it a number opens a sentence: "100 cán bộ …".
    let marked = plain.len() < number.len() || plain.contains('.');
    let rest = rest.trim_start_matches([':', '-', '–', ' ', '\n']);
    (sound && marked && !rest.is_empty()).then(|| (plain.to_owned(), rest.to_owned()))
}

/// Whether a row has text of its own that makes it a task, or continues one by a merged number or title. A unit or a
/// deadline alone does not: it is a list spilling over, or part of a signature.
fn names_a_task(header: &Header<Field>, row: &Row) -> bool {
    TASK_FIELDS
        .into_iter()
        .any(|field| !is_blank(header.text(row, field)))
}

/// How many cells of a row say something beyond number and text of the task.
fn filled(header: &Header<Field>, row: &Row) -> usize {
    [
        Field::Deliverable,
        Field::Kpi,
        Field::Lead,
        Field::Coordinating,
        Field::Deadline,
    ]
    .into_iter()
    .filter(|field| {
        let cell = header.column(*field).and_then(|column| row.cell(column));
        cell.is_some_and(|cell| !cell.continued && !is_blank(&cell.text))
    })
    .count()
}

/// The row of "(1) (2) (3) …" below many headers.
fn is_column_numbers(row: &Row) -> bool {
    let numbers: Vec<u32> = row
        .own_cells()
        .map_while(|(_, cell)| {
            cell.text
                .trim_matches(['(', ')', '[', ']', ' '])
                .parse()
                .ok()
        })
        .collect();
    numbers.len() >= 3
        && numbers.len() == row.own_cells().count()
        && numbers[0] <= 1
        && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Index of the first row of the trailing signature block; the number of rows where there is none.
///
/// It begins with a phrase of such blocks and contains nothing after it that looks like a task.
pub(super) fn signature_start(header: &Header<Field>, body: &[Row]) -> usize {
    let looks_like_task = |row: &Row| {
        let numbered =
            number(header.text(row, Field::Number)).starts_with(|c: char| c.is_ascii_digit());
        let texts = [Field::Title, Field::Subtask]
            .into_iter()
            .filter(|f| !header.text(row, *f).is_empty())
            .count();
        (numbered && texts > 0) || filled(header, row) + texts >= 3
    };
    let last_task = body
        .iter()
        .rposition(looks_like_task)
        .map_or(0, |at| at + 1);
    (last_task..body.len())
        .find(|at| opens_signature(&body[*at]))
        .unwrap_or(body.len())
}

fn opens_signature(row: &Row) -> bool {
    const OPENINGS: [&str; 26] = [
        "noi nhan",
        "tm.",
        "tm ",
        "t/m",
        "kt.",
        "kt ",
        "tl.",
        "tl ",
        "tuq.",
        "q. ",
        "thu truong",
        "chu tich",
        "bi thu",
        "pho chu tich",
        "truong phong",
        "truong ban",
        "nguoi lap",
        "nguoi tong hop",
        "xac nhan",
        "phe duyet",
        "(da ky)",
        "ky ten",
        "luu:",
        "ghi chu",
        "tong cong",
        "(ky",
    ];
    row.own_cells().any(|(_, cell)| {
        let text = fold(&cell.text);
        let dated = text.find("ngay ").is_some_and(|at| {
            let rest = &text[at..];
            rest.contains(" thang ") && rest.contains(" nam ")
        });
        dated || OPENINGS.iter().any(|opening| text.starts_with(opening))
    })
}
