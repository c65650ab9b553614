//! CSV bytes to a table. The encoding is never guessed; the separator is, and what was chosen is said.

use super::{
    remark::{Remark, RemarkCode, Severity},
    table::{Builder, CellKind, Limits, SheetError, Table},
};

/// How many lines are looked at to find the separator.
const SAMPLED_LINES: usize = 200;

pub(super) fn read(name: &str, bytes: &[u8], limits: &Limits) -> Result<Table, SheetError> {
    let (text, encoding) = decode(name, bytes)?;
    let separator = separator(&text);
    let shown = if separator == b'\t' {
        "TAB".to_owned()
    } else {
        char::from(separator).to_string()
    };
    let mut builder = Builder::new(name, limits);
    let read_as = format!("CSV, {encoding}, separator {shown}");
    builder.remark(Remark::new(
        name,
        RemarkCode::ReadAs,
        Severity::Note,
        read_as,
    ));
    read_rows(name, &text, separator, &mut builder)?;
    Ok(builder.finish(None))
}

fn read_rows(
    name: &str,
    text: &str,
    separator: u8,
    builder: &mut Builder<'_>,
) -> Result<(), SheetError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut number = 0_u32;
    let mut lines = 0;
    loop {
        let at = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        let more = reader.read_record(&mut record);
        if !more.map_err(|error| damaged(name, &error))? || builder.is_full() {
            break;
        }
        // The reader passes over blank lines; a spreadsheet program counts them.
        number = number.saturating_add(1 + blank_lines_at(text.as_bytes(), at));
        for (column, field) in (0_u32..).zip(&record) {
            builder.cell(number, column, field, CellKind::Text);
        }
        lines = record.iter().map(|field| field.matches('\n').count()).sum();
    }
    // A quote left open swallows the rest of the file into one cell: that row cannot be trusted.
    if lines > 0 && text.matches('"').count() % 2 == 1 {
        let found = format!("{lines} lines after a quotation mark that is never closed");
        builder
            .remark(Remark::new(name, RemarkCode::OpenQuote, Severity::Refused, found).at(number));
        builder.refuse(number);
    }
    Ok(())
}

fn blank_lines_at(bytes: &[u8], at: usize) -> u32 {
    let ended_by_cr = at > 0 && bytes.get(at - 1) == Some(&b'\r');
    let mut rest = bytes.get(at..).unwrap_or_default();
    if ended_by_cr && rest.first() == Some(&b'\n') {
        rest = &rest[1..];
    }
    let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let (mut returns, mut feeds) = (0_u32, 0_u32);
    for byte in breaks {
        if *byte == b'\r' {
            returns += 1
        } else {
            feeds += 1
        }
    }
    returns.max(feeds)
}

fn damaged(name: &str, error: &csv::Error) -> SheetError {
    SheetError::Damaged {
        file: name.to_owned(),
        detail: error.to_string(),
    }
}

/// UTF-8, with or without a byte order mark, or UTF-16 with one. Anything else is refused where it stops being UTF-8.
fn decode<'a>(
    name: &str,
    bytes: &'a [u8],
) -> Result<(std::borrow::Cow<'a, str>, &'static str), SheetError> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => Ok((utf16(name, rest, u16::from_le_bytes)?.into(), "UTF-16")),
        [0xfe, 0xff, rest @ ..] => Ok((utf16(name, rest, u16::from_be_bytes)?.into(), "UTF-16")),
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok((utf8(name, rest, 3)?.into(), "UTF-8")),
        bytes => Ok((utf8(name, bytes, 0)?.into(), "UTF-8")),
    }
}

fn utf8<'a>(name: &str, bytes: &'a [u8], skipped: usize) -> Result<&'a str, SheetError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        SheetError::Encoding {
            file: name.to_owned(),
            line,
            offset: at + skipped,
            byte: bytes[at],
        }
    })
}

fn utf16(name: &str, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, SheetError> {
    let damaged = |detail: String| SheetError::Damaged {
        file: name.to_owned(),
        detail,
    };
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return Err(damaged(
            "UTF-16 text with an odd number of bytes".to_owned(),
        ));
    };
    let mut text = String::with_capacity(pairs.len());
    for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        text.push(decoded.map_err(|error| {
            let line = text.matches('\n').count() + 1;
            damaged(format!(
                "line {line}: half a UTF-16 character, 0x{:04x}",
                error.unpaired_surrogate()
            ))
        })?);
    }
    Ok(text)
}

/// What the separators of a line count at most when no other line has as many: less than two lines of three columns.
const LONE_LINE: usize = 3;

/// What a separator is worth in the first line that is divided at all: headers are whole where rows are ragged.
const FIRST_DIVIDED: usize = 3;

/// The separator that divides the most lines into the same number of cells, the first divided line counting most.
fn separator(text: &str) -> u8 {
    // Of equals the last is taken, hence the comma stands last.
    let candidates = [b'\t', b';', b','];
    let counts =
        candidates.map(|separator| separators_per_record(text, separator).collect::<Vec<_>>());
    let lines = counts.iter().map(Vec::len).max().unwrap_or(0);
    let of = |counts: &[usize], line: usize| counts.get(line).copied().unwrap_or(0);
    let first = (0..lines).find(|line| counts.iter().any(|counts| of(counts, *line) >= 2));
    // No row has more cells than the head: units listed in one cell of every row must not outvote it.
    let widest = first.and_then(|line| counts.iter().map(|counts| of(counts, line)).max());
    let widest = widest.unwrap_or(usize::MAX);
    let score = |counts: &[usize]| {
        let mut same = std::collections::BTreeMap::<usize, usize>::new();
        for count in counts.iter().filter(|count| **count > 0) {
            *same.entry(*count).or_default() += 1;
        }
        // A count that no other line shares says little: one cell that lists a hundred units must not outvote the
        // header.
        let weight = |(count, lines): (usize, usize)| match lines {
            1 => count.min(LONE_LINE),
            lines => count.min(widest) * lines,
        };
        let agreed = same.into_iter().map(weight).max().unwrap_or(0);
        agreed + first.map_or(0, |line| FIRST_DIVIDED * of(counts, line))
    };
    let best = (0..candidates.len()).max_by_key(|index| score(&counts[*index]));
    best.map_or(b',', |index| candidates[index])
}

/// How often a separator stands outside quotes in each of the first lines.
fn separators_per_record(text: &str, separator: u8) -> impl Iterator<Item = usize> {
    let mut counts = vec![0];
    let mut quoted = false;
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                if counts.len() == SAMPLED_LINES {
                    break;
                }
                counts.push(0);
            }
            byte if byte == separator && !quoted => {
                *counts.last_mut().expect("begun with one") += 1
            }
            _ => {}
        }
    }
    counts.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::read_workbook;

    fn table(bytes: &[u8]) -> Table {
        read_workbook("plan.csv", bytes, None, &Limits::default()).expect("a readable table")
    }

    fn texts(table: &Table) -> Vec<(u32, Vec<&str>)> {
        table
            .rows
            .iter()
            .map(|row| {
                (
                    row.number,
                    row.cells.iter().map(|(_, c)| c.text.as_str()).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn one_cell_that_lists_a_hundred_units_does_not_change_the_separator() {
        let units = vec!["24001"; 100].join("; ");
        let text = format!("STT,Nhiệm vụ,Đơn vị\n1,Kiểm tra,{units}\n");
        assert_eq!(separator(&text), b',');
    }

    #[test]
    fn cells_that_list_units_in_every_row_do_not_change_the_separator() {
        for (units, comma, semicolon) in [(3, ',', ';'), (169, ',', ';'), (169, ';', ',')] {
            let list = vec!["24001"; units].join(&format!("{semicolon} "));
            let cells = |cells: &[&str]| cells.join(&comma.to_string()) + "\n";
            let mut text = cells(&[
                "STT",
                "Nhiệm vụ",
                "Đơn vị chủ trì",
                "Đơn vị phối hợp",
                "Thời hạn",
            ]);
            text += &cells(&["I", "Nhóm 1", "", "", ""]);
            for number in 1..=30 {
                text += &cells(&[
                    &number.to_string(),
                    "Kiểm tra",
                    "24002",
                    &list,
                    "31/12/2026",
                ]);
            }
            assert_eq!(char::from(separator(&text)), comma, "{units} units");
        }
    }

    #[test]
    fn separators_and_encodings_give_the_same_table() {
        let plain = "STT;Nhiệm vụ;Đơn vị\n1;Xây dựng, vận hành;Phòng A\n2;Kiểm tra, báo cáo, rà soát;Phòng B\n";
        let expected = texts(&table(plain.as_bytes()))
            .iter()
            .map(|(n, c)| (*n, c.join("|")))
            .collect::<Vec<_>>();
        assert_eq!(expected[1], (2, "1|Xây dựng, vận hành|Phòng A".to_owned()));
        let tabs = plain.replace(';', "\t");
        let commas = "STT,Nhiệm vụ,Đơn vị\r\n1,\"Xây dựng, vận hành\",Phòng A\r\n2,\"Kiểm tra, báo cáo, rà soát\",Phòng B";
        let utf16: Vec<u8> = [0xfeff]
            .into_iter()
            .chain(plain.encode_utf16())
            .flat_map(|unit: u16| unit.to_be_bytes())
            .collect();
        for bytes in [
            tabs.as_bytes(),
            commas.as_bytes(),
            format!("\u{feff}{plain}").as_bytes(),
            &utf16,
        ] {
            let table = table(bytes);
            let read = texts(&table)
                .iter()
                .map(|(n, c)| (*n, c.join("|")))
                .collect::<Vec<_>>();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn rows_are_numbered_as_a_spreadsheet_shows_them() {
        for ending in ["\n", "\r\n"] {
            let text = ["a,b", "", "1,\"hai", "dòng\"", "", "", "3,c"].join(ending);
            let table = table(text.as_bytes());
            assert_eq!(
                table.rows.iter().map(|row| row.number).collect::<Vec<_>>(),
                [1, 3, 6]
            );
        }
    }

    #[test]
    fn another_encoding_is_refused_where_it_shows() {
        let windows_1258 = b"STT,Nhi\xeam v\xf4\n";
        let refusal = read_workbook("plan.csv", windows_1258, None, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains("plan.csv, line 1: byte 7 (0xea) is not UTF-8"),
            "{refusal}"
        );
        let halved = [0xff, 0xfe, 0x00, 0xd8, 0x41, 0x00];
        assert!(matches!(
            decode("plan.csv", &halved),
            Err(SheetError::Damaged { .. })
        ));
    }

    #[test]
    fn a_quote_left_open_refuses_the_row_it_swallowed_the_rest_into() {
        let table = table("a,b\n1,x\n2,\"y\n3,z\n".as_bytes());
        assert_eq!(table.rows.len(), 2);
        let remark = table
            .remarks
            .iter()
            .find(|remark| remark.code == RemarkCode::OpenQuote)
            .unwrap();
        assert_eq!((remark.row, remark.severity), (Some(3), Severity::Refused));
    }

    #[test]
    fn decomposed_text_is_composed_with_a_remark() {
        let table = table("a\nPho\u{300}ng\n".as_bytes());
        assert_eq!(table.rows[1].cells[0].1.text, "Phòng");
        assert!(
            table
                .remarks
                .iter()
                .any(|remark| remark.code == RemarkCode::NfdText && remark.row == Some(2))
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_table_or_an_error(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            for name in ["plan.csv", "plan.xlsx"] {
                // Either answer will do; what must not happen is a panic.
                let _ = read_workbook(name, &bytes, None, &Limits::default());
            }
        }
    }
}
