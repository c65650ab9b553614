//! Workbooks made to burst their reader: each is refused or read within its limits, by a process of its own whose memory is
//! limited as well.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use nqsync::sheet::{Limits, Parser, SheetError, Table};
use rust_xlsxwriter::Workbook;
use zip::write::SimpleFileOptions;

/// Reads bytes as the program does, with the limits that it has.
fn parse(name: &str, bytes: &[u8], limits: &Limits) -> Result<Table, SheetError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a written file");
    let parser = Parser::Program(env!("CARGO_BIN_EXE_nqsync").into());
    let begin = Instant::now();
    let table = parser.parse(&path, None, limits);
    let allowed = Duration::from_secs(limits.wall_s + 5);
    assert!(begin.elapsed() < allowed, "{name}: {:?}", begin.elapsed());
    table
}

fn refusal(name: &str, bytes: &[u8]) -> String {
    let refused = parse(name, bytes, &Limits::default()).expect_err("a bomb");
    refused.to_string()
}

/// The parts of a workbook, for a sheet's XML.
fn parts(sheet: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = |name: &str, xml: &str| (name.to_owned(), xml.as_bytes().to_vec());
    vec![
        text(
            "[Content_Types].xml",
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#,
        ),
        text(
            "_rels/.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
        ),
        text(
            "xl/workbook.xml",
            r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>"#,
        ),
        text(
            "xl/_rels/workbook.xml.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
        ),
        ("xl/worksheets/sheet1.xml".to_owned(), sheet.to_vec()),
    ]
}

fn archive(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(name.as_str(), SimpleFileOptions::default())
            .expect("a part");
        zip.write_all(bytes).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}

/// A sheet's XML around its rows and what follows them.
fn sheet(rows: &str, after: &str) -> Vec<u8> {
    format!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData>{after}</worksheet>"#
    )
    .into_bytes()
}

#[test]
fn h2_half_a_megabyte_that_unpacks_to_half_a_gigabyte_is_refused() {
    // The same inline cell again and again, with a long run of one letter: nothing is packed smaller.
    let text = "x".repeat(30_000);
    let cell = format!(r#"<c r="A1" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let rows = format!(r#"<row r="1">{}</row>"#, cell.repeat(16_000));
    let bytes = archive(&parts(&sheet(&rows, "")));
    drop(rows);
    assert!(bytes.len() < 600_000, "{} bytes", bytes.len());
    let said = refusal("ratio.xlsx", &bytes);
    assert!(said.contains("unpacked size"), "{said}");
    // The same with a size that the archive lies about.
    let mut lying = bytes;
    let declared =
        |at: usize| u32::from_le_bytes([lying[at], lying[at + 1], lying[at + 2], lying[at + 3]]);
    let large: Vec<usize> = (0..lying.len() - 4)
        .filter(|at| declared(*at) > 400_000_000 && declared(*at) < 600_000_000)
        .filter(|at| lying[..*at].ends_with(&lying[*at - 4..*at]))
        .filter(|at| {
            *at > 28
                && (lying[at - 22..].starts_with(b"PK")
                    || lying[at - 24..].starts_with(b"PK\x01\x02"))
        })
        .collect();
    assert!(!large.is_empty(), "the archive states the size");
    for at in large {
        lying[at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
    }
    let said = refusal("lying.xlsx", &lying);
    assert!(
        said.contains("unpacked size") || said.contains("damaged"),
        "{said}"
    );
}

#[test]
fn h2_thousands_of_parts_are_refused_before_any_is_read() {
    let mut all = parts(&sheet("", ""));
    all.extend((0..20_000).map(|n| (format!("xl/media/{n}.xml"), Vec::new())));
    let said = refusal("parts.xlsx", &archive(&all));
    assert!(said.contains("number of parts"), "{said}");
}

#[test]
fn h2_an_archive_in_an_archive_and_entities_are_not_followed() {
    let inner = archive(&[("zeros".to_owned(), vec![0; 64 << 20])]);
    let mut all = parts(&sheet(
        r#"<row r="1"><c r="A1" t="inlineStr"><is><t>STT</t></is></c></row>"#,
        "",
    ));
    all.push(("xl/embeddings/inner.zip".to_owned(), inner));
    let table = parse("nested.xlsx", &archive(&all), &Limits::default()).expect("read");
    assert_eq!(table.rows.len(), 1);
    let mut lol = String::from(r#"<!DOCTYPE x [<!ENTITY a0 "lollollollol">"#);
    for n in 1..20 {
        let before = format!("&a{};", n - 1).repeat(10);
        lol.push_str(&format!(r#"<!ENTITY a{n} "{before}">"#));
    }
    lol.push_str("]>");
    let body = sheet(
        r#"<row r="1"><c r="A1" t="inlineStr"><is><t>&a19;</t></is></c></row>"#,
        "",
    );
    let xml = [lol.into_bytes(), body].concat();
    // Refused, or read without what the entity stands for.
    if let Ok(table) = parse("entities.xlsx", &archive(&parts(&xml)), &Limits::default()) {
        let longest = table
            .rows
            .iter()
            .flat_map(|row| &row.cells)
            .map(|(_, cell)| cell.text.len());
        assert!(longest.max().unwrap_or_default() < 1000);
    }
}

#[test]
fn h2_one_cell_in_the_last_corner_costs_one_cell() {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write(0, 0, "STT").expect("a cell");
    sheet.write(1_048_575, 16_383, "xa").expect("XFD1048576");
    let bytes = workbook.save_to_buffer().expect("a workbook");
    let limits = Limits {
        memory_bytes: 96 << 20,
        ..Limits::default()
    };
    let table = parse("corner.xlsx", &bytes, &limits).expect("read in little memory");
    let cells: Vec<(u32, u32)> = table
        .rows
        .iter()
        .flat_map(|row| row.cells.iter().map(|(column, _)| (row.number, *column)))
        .collect();
    assert_eq!(cells, [(1, 0), (1_048_576, 16_383)]);
}

#[test]
fn h2_millions_of_tiny_cells_are_read_up_to_the_limit_and_told() {
    // Without references: each follows the one before.
    let row = format!("<row>{}</row>", "<c><v>1</v></c>".repeat(1_000));
    let bytes = archive(&parts(&sheet(&row.repeat(2_000), "")));
    let limits = Limits {
        cells: 200_000,
        ..Limits::default()
    };
    // The small file has a large ratio, and may be refused for that; what is read stays below the limit.
    match parse("cells.xlsx", &bytes, &limits) {
        Ok(table) => {
            let cells: usize = table.rows.iter().map(|row| row.cells.len()).sum();
            assert!(cells <= limits.cells, "{cells}");
            let told = table
                .remarks
                .iter()
                .any(|r| r.found.contains("200000 cells"));
            assert!(told, "{:?}", table.remarks);
        }
        Err(refused) => assert!(refused.to_string().contains("cells.xlsx"), "{refused}"),
    }
    // Above the limit of memory, the worker ends and the program does not.
    let short = Limits {
        memory_bytes: 40 << 20,
        ..Limits::default()
    };
    let refused = parse("cells.xlsx", &bytes, &short).expect_err("too little memory");
    assert!(matches!(refused, SheetError::Worker { .. }), "{refused}");
}

#[test]
fn h2_merged_areas_over_the_whole_sheet_cost_nothing() {
    let one = r#"<mergeCells count="1"><mergeCell ref="A1:XFD1048576"/></mergeCells>"#;
    let row = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>STT</t></is></c></row>"#;
    let bytes = archive(&parts(&sheet(row, one)));
    let table = parse("merged.xlsx", &bytes, &Limits::default()).expect("read");
    assert_eq!(table.rows.len(), 1);
    // Very many of them, each over everything.
    let areas = r#"<mergeCell ref="A1:XFD1048576"/>"#.repeat(100_000);
    let merged = format!(r#"<mergeCells count="100000">{areas}</mergeCells>"#);
    let rows: String = (1..=500)
        .map(|n| format!(r#"<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>"#))
        .collect();
    let bytes = archive(&parts(&sheet(&rows, &merged)));
    let table = parse("areas.xlsx", &bytes, &Limits::default()).expect("read");
    assert!(table.rows.len() <= 500);
    let cells: usize = table.rows.iter().map(|row| row.cells.len()).sum();
    assert!(cells <= 500 * 66, "{cells}");
}
