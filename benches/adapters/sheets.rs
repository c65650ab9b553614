//! Tables to read: a plan, its reports, and a workbook made to exhaust whoever reads it.

use std::io::{Cursor, Write};

use rust_xlsxwriter::{Workbook, XlsxError};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Bytes of the bomb's sheet once it is unpacked.
const UNPACKED: usize = 480 << 20;

/// A plan with so many tasks of group I.
pub fn plan(tasks: usize) -> String {
    let mut text = String::from("Nhóm,STT,Nhiệm vụ,Đơn vị chủ trì\n");
    for number in 1..=tasks {
        text += &format!("I,{number},Nhiệm vụ {number},BO\n");
    }
    text
}

/// A report on each of them.
pub fn reports(tasks: usize) -> String {
    let mut text = String::from("task,unit,status,percent,result\n");
    for number in 1..=tasks {
        text += &format!("I/{number},BO,in_progress,40,Đã thực hiện {number} phần việc\n");
    }
    text
}

/// The plan as a workbook with seven columns.
pub fn plan_xlsx(tasks: usize) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let head = [
        "STT",
        "Nhiệm vụ",
        "Sản phẩm",
        "Kết quả",
        "Đơn vị chủ trì",
        "Đơn vị phối hợp",
        "Thời hạn",
    ];
    for (at, heading) in (0..).zip(head) {
        sheet.write_string(0, at, heading)?;
    }
    for row in 1..=tasks as u32 {
        sheet.write_number(row, 0, f64::from(row))?;
        sheet.write_string(
            row,
            1,
            format!("Nhiệm vụ {row}: xây dựng và triển khai nội dung theo kế hoạch"),
        )?;
        sheet.write_string(row, 2, format!("Báo cáo {row}"))?;
        sheet.write_string(row, 3, "100%")?;
        sheet.write_string(row, 4, "BO")?;
        sheet.write_string(row, 5, "Các đơn vị liên quan")?;
        sheet.write_string(row, 6, "31/12/2026")?;
    }
    book.save_to_buffer()
}

/// A small workbook whose sheet unpacks to half a gigabyte.
pub fn bomb() -> zip::result::ZipResult<Vec<u8>> {
    let plain = empty().map_err(std::io::Error::other)?;
    let mut archive = ZipArchive::new(Cursor::new(plain))?;
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at)?;
        if entry.name()?.ends_with("sheet1.xml") {
            continue;
        }
        out.raw_copy_file(entry)?;
    }
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    out.start_file("xl/worksheets/sheet1.xml", options)?;
    out.write_all(b"<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>")?;
    // Long runs of one letter: nothing is packed smaller.
    let text = "A".repeat(30_000);
    let row = format!(r#"<row r="1"><c r="A1" t="inlineStr"><is><t>{text}</t></is></c></row>"#);
    for _ in 0..UNPACKED / row.len() {
        out.write_all(row.as_bytes())?;
    }
    out.write_all(b"</sheetData></worksheet>")?;
    Ok(out.finish()?.into_inner())
}

/// A workbook with one empty sheet.
fn empty() -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    book.add_worksheet();
    book.save_to_buffer()
}
