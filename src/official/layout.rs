//! How such a paper looks: A4 landscape, the block of Decree 30/2020/NĐ-CP above, a table with borders whose head is
//! repeated on every page, the signers below.

use rust_xlsxwriter::{
    Chart, ChartType, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};
use serde_json::Value;

/// A4.
const A4: u8 = 9;
/// Height of one line of text, in points.
const LINE: f64 = 16.0;
/// Most lines that a row is made high for.
const MOST_LINES: usize = 24;
/// Rows of the block above the table.
const BLOCK_ROWS: u32 = 7;

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, to the left, broken into lines.
    Text,
    /// Numbers, to the right.
    Number,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    pub head: String,
    /// A heading over this column and its neighbours with the same one.
    pub group: Option<String>,
    /// In characters.
    pub width: f64,
    pub kind: Kind,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Number(f64),
    Empty,
}

impl Cell {
    /// A number; text that is none stays text, so that nothing is lost.
    pub fn number(value: &Value) -> Cell {
        match value {
            Value::Number(number) => number.as_f64().map_or(Cell::Empty, Cell::Number),
            Value::String(text) => match text.parse() {
                Ok(number) => Cell::Number(number),
                Err(_) => Cell::Text(text.clone()),
            },
            _ => Cell::Empty,
        }
    }

    /// A count; one that is absent is 0.
    pub fn count(value: &Value) -> Cell {
        Cell::Number(value.as_f64().unwrap_or(0.0))
    }
}

/// A chart of the parts of a whole.
pub struct Share {
    pub title: String,
    pub parts: Vec<(String, f64)>,
}

/// One sheet.
pub struct Paper {
    pub sheet: String,
    pub title: String,
    /// Who issues it.
    pub body: String,
    /// The state and its motto.
    pub state: [String; 2],
    pub period: String,
    pub as_of: String,
    pub signers: [String; 2],
    /// The word before a page's number.
    pub page: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// So many rows are written later, in the place of one that is made here.
    pub later: usize,
    pub total: Option<Vec<Cell>>,
    pub share: Option<Share>,
}

/// Where rows are to be written later.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The first of them, from 0.
    pub row: u32,
}

/// Adds a sheet. Answers where its later rows belong.
pub fn write(book: &mut Workbook, paper: &Paper) -> Result<Option<Place>, XlsxError> {
    let font = Format::new()
        .set_font_name("Times New Roman")
        .set_font_size(12);
    let last_column = column(paper.columns.len().saturating_sub(1));
    let sheet = book.add_worksheet();
    sheet.set_name(&paper.sheet)?;
    for (index, head) in paper.columns.iter().enumerate() {
        sheet.set_column_width(column(index), head.width)?;
    }
    block(sheet, paper, &font, last_column)?;
    let head_rows = head(sheet, paper, &font)?;
    let first = BLOCK_ROWS + head_rows;
    let mut row = first;
    for cells in &paper.rows {
        line(sheet, paper, row, cells, &font)?;
        row += 1;
    }
    let place = (paper.later > 0).then_some(Place { row });
    if place.is_some() {
        // One cell of each kind, so that the library gives each format its number.
        let kinds = [
            Cell::Text(String::new()),
            Cell::Number(1.0),
            Cell::Number(0.5),
        ];
        line(sheet, paper, row, &kinds, &font)?;
        row = row.saturating_add(u32::try_from(paper.later).unwrap_or(u32::MAX));
    }
    if let Some(total) = &paper.total {
        line(sheet, paper, row, total, &font.clone().set_bold())?;
        row += 1;
    }
    signers(sheet, paper, &font, row + 1, last_column)?;
    if let Some(share) = &paper.share {
        chart(sheet, paper, share, row + 8)?;
    }
    sheet
        .set_landscape()
        .set_paper_size(A4)
        .set_print_fit_to_pages(1, 0)
        .set_print_center_horizontally(true)
        .set_margins(0.6, 0.4, 0.6, 0.6, 0.3, 0.3)
        .set_footer(format!("&R{} &P/&N", paper.page));
    sheet.set_repeat_rows(BLOCK_ROWS, first - 1)?;
    sheet.set_freeze_panes(first, 0)?;
    Ok(place)
}

/// Excel has at most 16,384 columns; a paper has a dozen.
fn column(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

fn block(sheet: &mut Worksheet, paper: &Paper, font: &Format, last: u16) -> Result<(), XlsxError> {
    let centre = font.clone().set_align(FormatAlign::Center);
    let bold = centre.clone().set_bold();
    let half = last / 2;
    let body = paper.body.to_uppercase();
    merged(sheet, 0, (0, half), &body, &bold)?;
    merged(sheet, 0, (half + 1, last), &paper.state[0], &bold)?;
    merged(sheet, 1, (half + 1, last), &paper.state[1], &bold)?;
    let title = bold.clone().set_font_size(14);
    merged(sheet, 3, (0, last), &paper.title, &title)?;
    merged(sheet, 4, (0, last), &paper.period, &bold)?;
    let italic = centre.set_italic();
    merged(sheet, 5, (0, last), &paper.as_of, &italic)
}

fn merged(
    sheet: &mut Worksheet,
    row: u32,
    (from, to): (u16, u16),
    text: &str,
    format: &Format,
) -> Result<(), XlsxError> {
    match from < to {
        true => sheet.merge_range(row, from, row, to, text, format)?,
        false => sheet.write_string_with_format(row, from, text, format)?,
    };
    Ok(())
}

/// One row of headings, or two where columns stand under a common one. Answers how many.
fn head(sheet: &mut Worksheet, paper: &Paper, font: &Format) -> Result<u32, XlsxError> {
    let format = font
        .clone()
        .set_bold()
        .set_border(FormatBorder::Thin)
        .set_text_wrap()
        .set_align(FormatAlign::Center)
        .set_align(FormatAlign::VerticalCenter);
    let (top, columns) = (BLOCK_ROWS, &paper.columns);
    // Bold takes more room, and words are not broken.
    let needed = columns.iter().map(|c| lines(&c.head, c.width - 3.0));
    let height = LINE * needed.max().unwrap_or(1) as f64;
    if columns.iter().all(|column| column.group.is_none()) {
        for (index, head) in columns.iter().enumerate() {
            sheet.write_string_with_format(top, column(index), &head.head, &format)?;
        }
        sheet.set_row_height(top, height)?;
        return Ok(1);
    }
    let mut index = 0;
    while index < columns.len() {
        let Some(group) = &columns[index].group else {
            let (at, text) = (column(index), &columns[index].head);
            sheet.merge_range(top, at, top + 1, at, text, &format)?;
            index += 1;
            continue;
        };
        let same = columns[index..]
            .iter()
            .take_while(|column| column.group.as_ref() == Some(group))
            .count();
        let (from, to) = (column(index), column(index + same - 1));
        merged(sheet, top, (from, to), group, &format)?;
        for (offset, head) in columns[index..index + same].iter().enumerate() {
            let at = column(index + offset);
            sheet.write_string_with_format(top + 1, at, &head.head, &format)?;
        }
        index += same;
    }
    sheet.set_row_height(top + 1, height)?;
    Ok(2)
}

fn line(
    sheet: &mut Worksheet,
    paper: &Paper,
    row: u32,
    cells: &[Cell],
    font: &Format,
) -> Result<(), XlsxError> {
    let boxed = font
        .clone()
        .set_border(FormatBorder::Thin)
        .set_align(FormatAlign::Top);
    // Excel shows the marks between thousands of the reader's own language.
    let number = boxed.clone().set_num_format("#,##0.##;-#,##0.##");
    let whole = boxed.clone().set_num_format("#,##0");
    let text = boxed.clone().set_text_wrap();
    sheet.set_row_height(row, height(cells, &paper.columns))?;
    for (index, (cell, head)) in cells.iter().zip(&paper.columns).enumerate() {
        let at = column(index);
        match cell {
            // Always a string: what looks like a formula is none.
            Cell::Text(words) => sheet.write_string_with_format(row, at, words, &text)?,
            Cell::Number(value) if value.fract() == 0.0 => {
                sheet.write_number_with_format(row, at, *value, &whole)?
            }
            Cell::Number(value) => sheet.write_number_with_format(row, at, *value, &number)?,
            Cell::Empty if head.kind == Kind::Number => sheet.write_blank(row, at, &whole)?,
            Cell::Empty => sheet.write_blank(row, at, &text)?,
        };
    }
    Ok(())
}

/// How high a row is, so that all of its texts are seen.
pub fn height(cells: &[Cell], columns: &[Column]) -> f64 {
    let texts = cells.iter().zip(columns).map(|(cell, head)| match cell {
        Cell::Text(words) => lines(words, head.width),
        _ => 1,
    });
    LINE * texts.max().unwrap_or(1) as f64
}

/// Lines that a text takes in a column, as programs show it that do not measure a row by themselves.
fn lines(text: &str, width: f64) -> usize {
    let fit = (width.max(2.0) - 1.0) as usize;
    let needed = |line: &str| line.chars().count().div_ceil(fit.max(1)).max(1);
    let all: usize = text.split('\n').map(needed).sum();
    all.clamp(1, MOST_LINES)
}

fn signers(
    sheet: &mut Worksheet,
    paper: &Paper,
    font: &Format,
    row: u32,
    last: u16,
) -> Result<(), XlsxError> {
    let format = font.clone().set_bold().set_align(FormatAlign::Center);
    let half = last / 2;
    merged(sheet, row, (0, half), &paper.signers[0], &format)?;
    merged(sheet, row, (half + 1, last), &paper.signers[1], &format)
}

/// The chart and, beside it, the numbers that it shows.
fn chart(sheet: &mut Worksheet, paper: &Paper, share: &Share, row: u32) -> Result<(), XlsxError> {
    if share.parts.is_empty() {
        return Ok(());
    }
    for (offset, (name, count)) in (0..).zip(&share.parts) {
        sheet.write_string(row + offset, 0, name)?;
        sheet.write_number(row + offset, 1, *count)?;
    }
    let last = row + u32::try_from(share.parts.len()).unwrap_or(1) - 1;
    let mut chart = Chart::new(ChartType::Bar);
    chart
        .add_series()
        .set_categories((paper.sheet.as_str(), row, 0, last, 0))
        .set_values((paper.sheet.as_str(), row, 1, last, 1));
    chart.title().set_name(&share.title);
    chart.legend().set_hidden();
    sheet.insert_chart(row, 2, &chart)?;
    Ok(())
}
