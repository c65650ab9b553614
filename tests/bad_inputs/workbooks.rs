//! Workbooks that somebody hands in, made here: each with its verdict.

use std::io::{Cursor, Read, Write};

use rust_xlsxwriter::{Format, Formula, Workbook, Worksheet};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::case::Case;
use super::readers::{Seen, rows, table};

/// A workbook, the kind of rows in it, and what has to be said of it.
struct Book {
    name: &'static str,
    kind: &'static str,
    bytes: Vec<u8>,
    sheet: Option<&'static str>,
    verdict: &'static [&'static str],
    says: &'static [&'static str],
    keeps: usize,
}

const REPORTS: [&str; 4] = [
    "Mã nhiệm vụ",
    "Kỳ báo cáo",
    "Trạng thái",
    "Tỷ lệ hoàn thành",
];

fn header(sheet: &mut Worksheet, row: u32) {
    for (column, heading) in (0..).zip(REPORTS) {
        sheet.write(row, column, heading).expect("a cell");
    }
}

fn good_row(sheet: &mut Worksheet, row: u32) {
    for (column, text) in (0..).zip(["III/1", "2026-03", "Đang thực hiện"]) {
        sheet.write(row, column, text).expect("a cell");
    }
    sheet.write(row, 3, 40).expect("a cell");
}

/// Reports with a good row in row 2 and what `fill` writes below it.
fn reports(fill: impl Fn(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook
        .add_worksheet()
        .set_name("Báo cáo")
        .expect("a name");
    header(sheet, 0);
    good_row(sheet, 1);
    good_row(sheet, 2);
    fill(sheet);
    workbook.save_to_buffer().expect("in memory")
}

/// The parts of a workbook again, each as `change` leaves it; `None`: left out.
fn rezipped(bytes: &[u8], change: impl Fn(&str, String) -> Option<String>) -> Vec<u8> {
    let mut from = ZipArchive::new(Cursor::new(bytes)).expect("a workbook");
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..from.len() {
        let mut part = from.by_index(index).expect("a part");
        let name = part.name().expect("a name").into_owned();
        let mut text = String::new();
        part.read_to_string(&mut text).expect("XML");
        if let Some(changed) = change(&name, text) {
            to.start_file(name, SimpleFileOptions::default())
                .expect("a part");
            to.write_all(changed.as_bytes()).expect("in memory");
        }
    }
    to.finish().expect("in memory").into_inner()
}

fn without(part: &'static str) -> Vec<u8> {
    rezipped(&reports(|_| {}), |name, text| {
        (name != part).then_some(text)
    })
}

fn replaced(part: &'static str, by: impl Fn(String) -> String) -> Vec<u8> {
    rezipped(&reports(|_| {}), |name, text| {
        Some(if name == part { by(text) } else { text })
    })
}

const SHEET: &str = "xl/worksheets/sheet1.xml";

fn books() -> Vec<Book> {
    let whole = |name, bytes: Vec<u8>, says| Book {
        name,
        kind: "reports",
        bytes,
        sheet: None,
        verdict: &["cannot_read"],
        says,
        keeps: 0,
    };
    let row = |name, verdict, says, bytes: Vec<u8>| Book {
        name,
        kind: "reports",
        bytes,
        sheet: None,
        verdict,
        says,
        keeps: 1,
    };
    let good = || reports(|_| {});
    let half = good().len() / 2;
    vec![
        whole(
            "nothing",
            Vec::new(),
            &["bang.xlsx is damaged or cut off", "save it again"],
        ),
        whole(
            "cut-in-the-middle",
            good()[..half].to_vec(),
            &["bang.xlsx is damaged or cut off"],
        ),
        whole(
            "without-its-end",
            good()[..good().len() - 30].to_vec(),
            &["bang.xlsx is damaged or cut off"],
        ),
        whole(
            "old-excel-under-the-new-name",
            [
                &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1][..],
                &[0; 600],
            ]
            .concat(),
            &["bang.xlsx is damaged or cut off"],
        ),
        whole(
            "an-archive-of-something-else",
            rezipped(&good(), |name, text| {
                name.starts_with("docProps").then_some(text)
            }),
            &["bang.xlsx is damaged or cut off"],
        ),
        whole(
            "without-its-sheet",
            without(SHEET),
            &["bang.xlsx is damaged or cut off"],
        ),
        whole(
            "without-its-list-of-sheets",
            without("xl/workbook.xml"),
            &["bang.xlsx is damaged or cut off"],
        ),
        whole(
            "with-half-a-sheet",
            replaced(SHEET, |xml| xml[..xml.len() / 2].to_owned()),
            &["bang.xlsx is damaged or cut off"],
        ),
        whole(
            "with-words-for-a-sheet",
            replaced(SHEET, |_| "xin chào".to_owned()),
            &["bang.xlsx"],
        ),
        whole(
            "with-a-cell-beyond-all-columns",
            replaced(SHEET, |xml| xml.replace("r=\"A2\"", "r=\"ZZZZZZZZ2\"")),
            &["bang.xlsx", "damaged"],
        ),
        whole(
            "with-a-text-that-is-not-there",
            replaced(SHEET, |xml| xml.replace("<v>0</v>", "<v>4000000000</v>")),
            &["bang.xlsx"],
        ),
        whole(
            "of-a-thousandfold",
            replaced("docProps/app.xml", |_| " ".repeat(200 << 20)),
            &["bang.xlsx", "unpacked size", "allowed are"],
        ),
        whole(
            "stamped-as-a-state-secret",
            reports(|sheet| {
                sheet.write(0, 4, "x").expect("a cell");
                sheet.write(0, 0, "TỐI MẬT").expect("a cell");
                for column in 1..5 {
                    sheet
                        .write_blank(0, column, &Format::new())
                        .expect("a cell");
                }
            }),
            &["bang.xlsx", "stamped", "Law 117/2025/QH15"],
        ),
        whole(
            "without-any-cell",
            {
                let mut empty = Workbook::new();
                empty.add_worksheet();
                empty.save_to_buffer().expect("in memory")
            },
            &["bang.xlsx has no rows"],
        ),
        Book {
            sheet: Some("Phụ lục 9"),
            ..whole(
                "without-the-sheet-asked-for",
                good(),
                &["bang.xlsx has no sheet \"Phụ lục 9\"", "it has \"Báo cáo\""],
            )
        },
        Book {
            verdict: &["no_header"],
            ..whole(
                "with-a-header-in-pictures",
                {
                    let mut other = Workbook::new();
                    other.add_worksheet().write(0, 0, "(ảnh)").expect("a cell");
                    other.save_to_buffer().expect("in memory")
                },
                &["bang.xlsx", "(ảnh)"],
            )
        },
        row(
            "percent-above-100",
            &["out_of_range"],
            &["bang.xlsx, row 3", "Tỷ lệ hoàn thành", "140", "0 to 100"],
            reports(|sheet| {
                sheet.write(2, 3, 140).expect("a cell");
            }),
        ),
        row(
            "percent-format-above-100",
            &["out_of_range"],
            &["bang.xlsx, row 3", "150", "0 to 100"],
            reports(|sheet| {
                let percent = Format::new().set_num_format("0%");
                sheet
                    .write_number_with_format(2, 3, 1.5, &percent)
                    .expect("a cell");
            }),
        ),
        row(
            "percent-as-a-date",
            &["not_a_number"],
            &["bang.xlsx, row 3", "Tỷ lệ hoàn thành", "15/03/2026"],
            reports(|sheet| {
                let date = Format::new().set_num_format("dd/mm/yyyy");
                sheet
                    .write_number_with_format(2, 3, 46_096, &date)
                    .expect("a cell");
            }),
        ),
        row(
            "percent-of-a-formula-with-text",
            &["not_a_number"],
            &["bang.xlsx, row 3", "Tỷ lệ hoàn thành", "không rõ"],
            reports(|sheet| {
                sheet
                    .write_formula(
                        2,
                        3,
                        Formula::new("=VLOOKUP(1,A:B,2)").set_result("không rõ"),
                    )
                    .expect("a cell");
            }),
        ),
        row(
            "percent-as-true",
            &["not_a_number"],
            &["bang.xlsx, row 3", "true"],
            reports(|sheet| {
                sheet.write_boolean(2, 3, true).expect("a cell");
            }),
        ),
        row(
            "task-number-that-became-a-day",
            &["empty_cell"],
            &["bang.xlsx, row 3", "Mã nhiệm vụ"],
            reports(|sheet| {
                sheet.write_blank(2, 0, &Format::new()).expect("a cell");
                sheet.write(2, 0, " ").expect("a cell");
            }),
        ),
        row(
            "period-as-a-number",
            &["period_unread"],
            &["bang.xlsx, row 3", "Kỳ báo cáo", "46096", "2026-03"],
            reports(|sheet| {
                sheet.write(2, 1, 46_096).expect("a cell");
            }),
        ),
        row(
            "period-as-a-day",
            &["period_unread"],
            &["bang.xlsx, row 3", "Kỳ báo cáo", "15/03/2026", "2026-03"],
            reports(|sheet| {
                let date = Format::new().set_num_format("mm/yyyy");
                sheet
                    .write_number_with_format(2, 1, 46_096, &date)
                    .expect("a cell");
            }),
        ),
        row(
            "status-unknown-in-a-hidden-row",
            &["status_unread"],
            &["bang.xlsx, row 3", "Trạng thái", "chưa rõ"],
            reports(|sheet| {
                sheet.write(2, 2, "chưa rõ").expect("a cell");
                sheet.set_row_hidden(2).expect("a row");
            }),
        ),
        row(
            "merged-downwards-over-the-status",
            &["status_unread", "status_unread"],
            &["bang.xlsx, row 3", "Trạng thái", "gộp"],
            {
                let mut workbook = Workbook::new();
                let sheet = workbook.add_worksheet();
                header(sheet, 0);
                good_row(sheet, 1);
                good_row(sheet, 2);
                good_row(sheet, 3);
                sheet
                    .merge_range(2, 2, 3, 2, "gộp", &Format::new())
                    .expect("an area");

                workbook.save_to_buffer().expect("in memory")
            },
        ),
        row(
            "one-secret-row",
            &["classified"],
            &["bang.xlsx, row 3", "Mật", "Law 117/2025/QH15"],
            reports(|sheet| {
                sheet.write(0, 4, "Độ mật").expect("a cell");
                sheet.write(2, 4, "Mật").expect("a cell");
            }),
        ),
        row(
            "letters-beyond-any-cell",
            &["cell_too_large"],
            &["bang.xlsx, row 3", "column", "bytes, at most 131072"],
            rezipped(
                &reports(|sheet| {
                    sheet.write(2, 2, "DÀI").expect("a cell");
                }),
                |name, text| {
                    Some(if name == "xl/sharedStrings.xml" {
                        text.replace("DÀI", &"x".repeat(140_000))
                    } else {
                        text
                    })
                },
            ),
        ),
    ]
}

/// How many there are.
pub fn count() -> usize {
    books().len()
}

/// Reads them all; what was seen, beside what had to be.
pub fn seen() -> Vec<(Case, Seen)> {
    let read = |book: Book| {
        let seen = match table("bang.xlsx", book.sheet, &book.bytes) {
            Ok(table) => rows(book.kind, &table),
            Err(seen) => seen,
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let case = Case {
            name: book.name.to_owned(),
            verdict: Some(words(book.verdict)),
            says: words(book.says),
            keeps: Some(book.keeps),
            bytes: book.bytes,
            more: Default::default(),
        };
        (case, seen)
    };
    books().into_iter().map(read).collect()
}

/// The workbook that they are made from is taken.
pub fn good() -> Seen {
    let table = table("bang.xlsx", None, &reports(|_| {})).expect("a good workbook");
    rows("reports", &table)
}
