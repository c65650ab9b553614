//! Cells of CSV files that a spreadsheet program would compute: they go out as texts and come back as they were. Pure.
//!
//! A workbook says which of its cells are formulas; a CSV file cannot, so that whatever begins with a sign of one is taken for one.

use std::borrow::Cow;

use super::table::Table;

/// The sign before a cell of a CSV file that a spreadsheet program would otherwise compute (OWASP ASVS 1.2.10).
const INERT: char = '\'';

/// Whether a spreadsheet program computes what begins like this, or would once the sign is taken off.
fn is_active(text: &str) -> bool {
    let bare = text.trim_start_matches(INERT);
    bare.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
        && !is_number(bare)
}

/// A number with a sign is a number to everybody who reads the file, and would be a text with an apostrophe before it.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = digits.strip_suffix('%').unwrap_or(digits);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
}

/// A cell of a CSV file as a spreadsheet program shows it and does not run it.
pub fn inert(text: &str) -> Cow<'_, str> {
    if is_active(text) {
        format!("{INERT}{text}").into()
    } else {
        text.into()
    }
}

/// The text of a cell that comes back, without the sign that [`inert`] put before it.
pub fn plain(text: &str) -> &str {
    text.strip_prefix(INERT)
        .filter(|rest| is_active(rest))
        .unwrap_or(text)
}

/// A table that was read, with the texts that its CSV file meant; the cells of a workbook are what they say.
pub fn plain_cells(mut table: Table) -> Table {
    if table.sheet.is_none() {
        let cells = table.rows.iter_mut().flat_map(|row| &mut row.cells);
        for (_, cell) in cells {
            if let Some(rest) = Some(plain(&cell.text)).filter(|rest| rest.len() < cell.text.len())
            {
                cell.text = rest.to_owned();
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_sign_stays_a_number_and_what_only_begins_like_one_does_not() {
        for text in ["-5", "+5", "-1.234,5", "-12%", "5", "a=b", ""] {
            assert_eq!(inert(text), text);
            assert_eq!(plain(text), text);
        }
        for text in [
            "-5+cmd|' /C calc'!A0",
            "--5",
            "-",
            "+84 912",
            "-5%%",
            "-=5",
            "=5",
        ] {
            assert_eq!(inert(text), format!("'{text}"));
            assert_eq!(plain(&inert(text)), text);
        }
    }
}
