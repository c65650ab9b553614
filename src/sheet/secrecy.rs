//! Marks of secrecy in a table. What carries one above *none* is left out here, in the process that parses, so that it comes
//! into no store, no log and no answer.
//!
//! Two marks are known: a column that states the level of each row, and the stamp that an official document carries above its
//! text. Free text cannot be judged by a program; that stays with the person who types it.

use nqsync_core::calendar::fold;
use nqsync_core::model::Classification;

use super::remark::{Remark, RemarkCode, Severity};
use super::table::{Row, SheetError, Table, column_letters};

/// Rows in which the stamp and the header are looked for: title blocks of official tables are shorter.
const HEAD_ROWS: usize = 30;
/// Most cells of a row that is a stamp and not data.
const STAMP_CELLS: usize = 3;
/// Headings of a column of levels, folded.
const HEADINGS: &[&str] = &[
    "do mat",
    "muc do mat",
    "cap do mat",
    "classification",
    "secrecy",
];

/// Takes out the rows that state another level than that of the store, and leaves a remark for each; refuses a file that is
/// stamped as a whole with another one. What states none is of the store's level.
pub(super) fn withhold(table: &mut Table, own: Classification) -> Result<(), SheetError> {
    let heading = heading(table);
    let above = heading
        .map_or(table.rows.len(), |(row, _)| row)
        .min(HEAD_ROWS);
    let other = |level: &Classification| *level != own;
    if let Some(level) = table.rows[..above].iter().filter_map(stamp).find(other) {
        return Err(SheetError::Classified {
            file: table.file.clone(),
            level,
        });
    }
    let Some((header, column)) = heading else {
        return Ok(());
    };
    let mut withheld = Vec::new();
    for row in &table.rows[header + 1..] {
        let text = row.cell(column).map_or("", |cell| cell.text.as_str());
        let blank = text.trim().is_empty();
        if !blank && Classification::named(text) != Some(own) {
            withheld.push((row.number, text.to_owned()));
        }
    }
    let is_withheld = |number: u32| withheld.binary_search_by_key(&number, |(n, _)| *n).is_ok();
    table.rows.retain(|row| !is_withheld(row.number));
    // They may quote the row.
    table
        .remarks
        .retain(|remark| !remark.row.is_some_and(is_withheld));
    for (number, level) in withheld {
        let remark = Remark::new(
            &table.file,
            RemarkCode::Classified,
            Severity::Refused,
            &level,
        );
        let remark = remark.at(number).in_column(column_letters(column));
        table.remarks.push(remark);
    }
    Ok(())
}

/// Where a column of levels is headed: index of the row, and the column.
fn heading(table: &Table) -> Option<(usize, u32)> {
    let head = table.rows.iter().take(HEAD_ROWS).enumerate();
    head.flat_map(|(at, row)| {
        row.cells
            .iter()
            .map(move |(column, cell)| (at, *column, cell))
    })
    .filter(|(_, _, cell)| HEADINGS.contains(&fold(&cell.text).as_str()))
    // Of a heading merged over two rows the lower one is next to the data.
    .max_by_key(|(at, column, _)| (*at, std::cmp::Reverse(*column)))
    .map(|(at, column, _)| (at, column))
}

/// The level that a row of the title block is stamped with: in capitals and alone in its cell, or after its name.
fn stamp(row: &Row) -> Option<Classification> {
    if row.own_cells().count() > STAMP_CELLS {
        return None;
    }
    let levels = row.own_cells().filter_map(|(_, cell)| {
        let text = cell.text.as_str();
        let stated = match text.split_once(':') {
            Some((name, level)) if HEADINGS.contains(&fold(name).as_str()) => level,
            Some(_) => return None,
            None if text.chars().any(char::is_lowercase) || text.chars().count() < 3 => {
                return None;
            }
            None => text,
        };
        Classification::named(stated).filter(|level| *level > Classification::None)
    });
    levels.max()
}

#[cfg(test)]
mod tests {
    use super::super::table::{Limits, read_workbook};
    use super::*;

    fn read(text: &str) -> Result<Table, SheetError> {
        read_at(Classification::None, text)
    }

    fn read_at(level: Classification, text: &str) -> Result<Table, SheetError> {
        read_workbook("ke-hoach.csv", text.as_bytes(), None, &Limits::at(level))
    }

    #[test]
    fn for_the_store_of_a_level_its_own_rows_and_those_that_state_none_are_read() {
        let rows = "STT,Nhiệm vụ,Độ mật\n1,Việc thường,\n2,Việc kín,Mật\n3,Việc nữa,Tối mật\n4,Việc hở,Không\n";
        let table = read_at(Classification::Confidential, rows).expect("read");
        let left: Vec<u32> = table.rows.iter().map(|row| row.number).collect();
        assert_eq!(left, [1, 2, 3]);
        let stamped = |stamp: &str| {
            let text = format!("{stamp},,\n{rows}");
            read_at(Classification::Confidential, &text).is_ok()
        };
        assert!(stamped("MẬT") && !stamped("TỐI MẬT") && !stamped("MẬT,TUYỆT MẬT"));
    }

    #[test]
    fn a_row_that_states_a_level_is_left_out_with_all_that_quotes_it() {
        let table = read(
            "STT,Nhiệm vụ,Độ mật\n1,Việc thường,\n2,Việc kín,Mật\n3,Việc khác,Không\n4,Việc nữa,TỐI MẬT\n5,Việc lạ,đặc biệt\n",
        )
        .expect("read");
        let left: Vec<u32> = table.rows.iter().map(|row| row.number).collect();
        assert_eq!(left, [1, 2, 4]);
        let told: Vec<(Option<u32>, &str)> = table
            .remarks
            .iter()
            .filter(|remark| remark.code == RemarkCode::Classified)
            .map(|remark| (remark.row, remark.found.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (Some(3), "Mật"),
                (Some(5), "TỐI MẬT"),
                (Some(6), "đặc biệt")
            ]
        );
        let all = serde_json::to_string(&table).expect("JSON");
        for content in ["Việc kín", "Việc nữa", "Việc lạ"] {
            assert!(!all.contains(content), "{all}");
        }
    }

    #[test]
    fn a_stamped_document_is_refused_whole_and_ordinary_words_are_no_stamp() {
        for stamped in [
            "MẬT,,\nKẾ HOẠCH,,\nSTT,Nhiệm vụ,Chủ trì\n1,Việc,PV01\n",
            "UBND TỈNH,TUYỆT MẬT\nSTT,Nhiệm vụ,Chủ trì\n1,Việc,PV01\n",
            "Độ mật: Tối mật\nSTT,Nhiệm vụ,Chủ trì\n1,Việc,PV01\n",
        ] {
            let refused = read(stamped).expect_err("refused").to_string();
            assert!(
                refused.contains("ke-hoach.csv") && !refused.contains("Việc"),
                "{refused}"
            );
        }
        for ordinary in [
            "Mật độ dân số,\nSTT,Nhiệm vụ,Chủ trì\n1,Việc,PV01\n",
            "Độ mật: Không\nSTT,Nhiệm vụ,Chủ trì\n1,Việc,PV01\n",
            "STT,Nhiệm vụ,Chủ trì,Ghi chú\nA,Bảo mật,B,C\n1,Việc,PV01,MẬT ONG\n",
        ] {
            let table = read(ordinary).expect("read");
            assert!(
                !table
                    .remarks
                    .iter()
                    .any(|r| r.code == RemarkCode::Classified),
                "{table:?}"
            );
        }
    }
}
