//! A workbook that comes back: every row carries what it was made from, so that exactly the cells that somebody edited
//! are taken, whatever happened to the records meanwhile. Pure.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nqsync_core::protocol::hex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::inert::plain;
use super::table::Table;

/// Stands in the row that names the fields, above the rows' marks.
pub const MARK: &str = "nqsync-1";

/// What a row was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// Which record, in the words of whoever made the workbook.
    pub about: Value,
    /// Its token then.
    pub token: String,
    /// A short hash of each editable cell as it was written, by field.
    pub cells: BTreeMap<String, String>,
}

/// The cells of one row that were edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edited {
    /// Number of the row, as a spreadsheet program shows it.
    pub row: u32,
    /// What the row was made from.
    pub base: Base,
    /// The new texts by field; an emptied cell is an empty text.
    pub cells: BTreeMap<String, String>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Returned {
    /// Rows with edits.
    pub edited: Vec<Edited>,
    /// Rows without.
    pub unchanged: usize,
    /// Rows that cannot be traced to a record: added, or their mark was damaged.
    pub untraced: Vec<u32>,
    /// Fields whose column is gone.
    pub lost_columns: Vec<String>,
}

impl Base {
    /// The text of the mark.
    pub fn mark(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn read(mark: &str) -> Option<Base> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(mark.trim()).ok()?).ok()
    }
}

/// The hash by which an unedited cell is known. Line ends and spaces at the ends of lines do not matter: spreadsheet
/// programs change them.
pub fn hash(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let text = lines.join("\n");
    let digest = Sha256::digest(text.trim().as_bytes());
    hex(&digest[..6])
}

/// What was edited in a table that this program wrote; `None`: it is another table.
pub fn returned(table: &Table) -> Option<Returned> {
    let is_mark = |text: &str| text == MARK;
    let (at, names) = table
        .rows
        .iter()
        .enumerate()
        .find(|(_, row)| row.cells.iter().any(|(_, cell)| is_mark(&cell.text)))?;
    let marks = names
        .cells
        .iter()
        .find(|(_, cell)| is_mark(&cell.text))
        .map(|(at, _)| *at)?;
    let columns = names.cells.iter().filter(|(column, _)| *column != marks);
    let columns: Vec<(u32, String)> = columns
        .map(|(column, cell)| (*column, cell.text.clone()))
        .collect();
    let mut found = Returned::default();
    let mut lost = BTreeSet::new();
    // The row below the names is the heading that people read.
    for row in table.rows.iter().skip(at + 2) {
        let Some(base) = row.cell(marks).and_then(|cell| Base::read(&cell.text)) else {
            let filled = columns
                .iter()
                .filter(|(column, _)| row.cell(*column).is_some())
                .count();
            // A signature or a remark below the table is no row of it.
            if filled > 1 {
                found.untraced.push(row.number);
            }
            continue;
        };
        let mut cells = BTreeMap::new();
        for (field, before) in &base.cells {
            let Some((column, _)) = columns.iter().find(|(_, name)| name == field) else {
                lost.insert(field.clone());
                continue;
            };
            let text = row
                .cell(*column)
                .map(|cell| cell.text.as_str())
                .unwrap_or_default();
            // A spreadsheet program may have taken the sign off, or a person typed it: both spellings are as it was.
            if hash(text) != *before && hash(plain(text)) != *before {
                cells.insert(field.clone(), plain(text).to_owned());
            }
        }
        if cells.is_empty() {
            found.unchanged += 1;
        } else {
            let row = row.number;
            found.edited.push(Edited { row, base, cells });
        }
    }
    found.lost_columns = lost.into_iter().collect();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::inert::inert;
    use crate::sheet::{Limits, read_workbook};

    fn base(cells: &[(&str, &str)]) -> Base {
        let cells = cells
            .iter()
            .map(|(field, text)| ((*field).to_owned(), hash(text)));
        Base {
            about: Value::from("x"),
            token: "t".to_owned(),
            cells: cells.collect(),
        }
    }

    fn read(text: &str) -> Returned {
        let table =
            read_workbook("a.csv", text.as_bytes(), None, &Limits::default()).expect("a table");
        returned(&table).expect("one of ours")
    }

    #[test]
    fn exactly_the_edited_cells_come_back_also_when_rows_and_columns_moved() {
        let (one, two) = (
            base(&[("percent", "40"), ("result", "a")]),
            base(&[("percent", "50"), ("result", "b")]),
        );
        let text = format!(
            "Báo cáo,,\nresult,percent,{MARK}\nKết quả,%,x\nb,60,{}\na,40,{}\n",
            two.mark(),
            one.mark()
        );
        let found = read(&text);
        assert_eq!((found.unchanged, found.edited.len()), (1, 1));
        assert_eq!(found.edited[0].base, two);
        assert_eq!(
            found.edited[0].cells,
            BTreeMap::from([("percent".to_owned(), "60".to_owned())])
        );
    }

    #[test]
    fn an_emptied_cell_is_an_edit_a_lost_column_is_not_and_an_added_row_is_told() {
        let one = base(&[("percent", "40"), ("result", "a"), ("status", "x")]);
        let text = format!(
            "percent,status,{MARK}\n%,S,x\n,x,{}\n70,mới,\nNgười lập,,\n",
            one.mark()
        );
        let found = read(&text);
        assert_eq!(
            found.edited[0].cells,
            BTreeMap::from([("percent".to_owned(), String::new())])
        );
        assert_eq!(found.lost_columns, ["result"]);
        assert_eq!(found.untraced.len(), 1);
    }

    #[test]
    fn g11_what_a_spreadsheet_would_run_goes_out_inert_and_comes_back_as_it_was() {
        let texts = [
            "=HYPERLINK(\"http://x\")",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "'=1",
            "''-1",
            "＝1",
            "'quoted'",
            "a=b",
        ];
        for text in texts {
            let sent = inert(text);
            let first = sent.chars().next().expect("not empty");
            let is_number = matches!(text, "+1" | "-1");
            assert!(
                is_number || !matches!(first, '=' | '+' | '-' | '@' | '\t' | '＝'),
                "{sent}"
            );
            assert_eq!(plain(&sent), text);
            let base = base(&[("percent", "40"), ("result", text)]);
            for cell in [sent.as_ref(), text] {
                let mut writer = csv::Writer::from_writer(Vec::new());
                let rows = [
                    ["percent", "result", MARK],
                    ["%", "R", "x"],
                    ["50", cell, &base.mark()],
                ];
                for row in rows {
                    writer.write_record(row).expect("in memory");
                }
                let bytes = writer.into_inner().expect("in memory");
                let found = read(std::str::from_utf8(&bytes).expect("text"));
                let edited = &found.edited[0].cells;
                assert_eq!(edited.keys().collect::<Vec<_>>(), ["percent"], "{cell:?}");
            }
        }
        // An edited cell loses the sign that a spreadsheet program needs, not the one that is a part of the text.
        let base = base(&[("result", "a")]);
        for (cell, taken) in [("'=2", "=2"), ("'quoted'", "'quoted'"), ("=2", "=2")] {
            let found = read(&format!("result,{MARK}\nR,x\n{cell},{}\n", base.mark()));
            assert_eq!(found.edited[0].cells["result"], taken);
        }
    }

    #[test]
    fn a_table_of_somebody_else_is_not_taken_for_ours() {
        let table =
            read_workbook("a.csv", b"a,b\n1,2\n", None, &Limits::default()).expect("a table");
        assert_eq!(returned(&table), None);
    }
}
