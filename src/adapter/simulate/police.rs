//! The police tracker's side of two folders: it imports what it is given, and exports a report as its people would.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use crate::sheet::{Limits, read_workbook};

/// Columns of its import form, in this order.
pub const IMPORT_FORM: [&str; 5] = [
    "Tên nhiệm vụ",
    "Mã ĐV chủ trì",
    "Ngày bắt đầu",
    "Ngày kết thúc",
    "Đơn vị thực hiện",
];
/// Row of its headings in an export, from 0, below a title and a block of filters.
const HEAD: u32 = 7;

/// A mission as it keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mission {
    /// Code of the lead unit.
    pub lead: String,
    /// Its end, as dd/mm/yyyy.
    pub due: String,
    /// Its status, in its words.
    pub status: String,
    /// Texts by month, 1 to 12.
    pub months: BTreeMap<u8, String>,
    /// How often it was imported.
    pub imports: usize,
}

/// The tracker beside two folders, `out` (what it is given) and `in` (what it gives).
#[derive(Debug)]
pub struct Police {
    given: PathBuf,
    gives: PathBuf,
    year: i16,
    missions: BTreeMap<String, Mission>,
    exports: usize,
}

impl Police {
    /// An empty tracker.
    pub fn new(given: &Path, gives: &Path, year: i16) -> Police {
        Police {
            given: given.to_owned(),
            gives: gives.to_owned(),
            year,
            missions: BTreeMap::new(),
            exports: 0,
        }
    }

    /// Its missions by name.
    pub fn missions(&self) -> &BTreeMap<String, Mission> {
        &self.missions
    }

    /// Its people enter something.
    pub fn enter(&mut self, name: &str, status: &str, month: u8, text: &str) {
        let mission = self.missions.entry(name.to_owned()).or_default();
        mission.status = status.to_owned();
        mission.months.insert(month, text.to_owned());
    }

    /// Imports every workbook it was given, and takes it away. Answers how many rows there were; a workbook that is
    /// not its import form is an error.
    pub fn import(&mut self) -> io::Result<usize> {
        let mut rows = 0;
        let mut files: Vec<PathBuf> = fs::read_dir(&self.given)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "xlsx"))
            .collect();
        files.sort();
        for file in files {
            rows += self.import_one(&file)?;
            fs::remove_file(&file)?;
        }
        Ok(rows)
    }

    fn import_one(&mut self, file: &Path) -> io::Result<usize> {
        let name = file.display().to_string();
        let table = read_workbook(&name, &fs::read(file)?, None, &Limits::default());
        let table = table.map_err(io::Error::other)?;
        let mut rows = table.rows.iter();
        let head: Vec<&str> = rows
            .next()
            .map(|row| {
                row.cells
                    .iter()
                    .map(|(_, cell)| cell.text.as_str())
                    .collect()
            })
            .unwrap_or_default();
        if head != IMPORT_FORM {
            return Err(io::Error::other(format!(
                "{name}: the columns are {head:?}"
            )));
        }
        let mut count = 0;
        for row in rows {
            let text = |column| {
                row.cell(column)
                    .map(|cell| cell.text.clone())
                    .unwrap_or_default()
            };
            let mission = self.missions.entry(text(0)).or_default();
            mission.lead = text(1);
            mission.due = text(3);
            mission.imports += 1;
            if mission.status.is_empty() {
                mission.status = "Chưa thực hiện".to_owned();
            }
            count += 1;
        }
        Ok(count)
    }

    /// Exports a report of all missions, as its people would, with two rows of headings.
    pub fn export(&mut self) -> io::Result<PathBuf> {
        self.exports += 1;
        let bytes = self.report().map_err(io::Error::other)?;
        let path = self.gives.join(format!("bao-cao-{}.xlsx", self.exports));
        crate::adapter::folder::write_whole(&path, &bytes)?;
        Ok(path)
    }

    fn report(&self) -> Result<Vec<u8>, XlsxError> {
        let mut book = Workbook::new();
        let (sheet, plain) = (book.add_worksheet(), Format::new());
        sheet.merge_range(0, 0, 0, 15, "BÁO CÁO KẾT QUẢ THỰC HIỆN NHIỆM VỤ", &plain)?;
        for (row, text) in (2..).zip(["Đơn vị: Tất cả", "Trạng thái: Tất cả", "Người xuất: admin"])
        {
            sheet.write_string(row, 0, text)?;
        }
        for (column, text) in (0..).zip(["STT", "Tên nhiệm vụ", "Đơn vị chủ trì", "Trạng thái"])
        {
            sheet.merge_range(HEAD, column, HEAD + 1, column, text, &plain)?;
        }
        let year = format!("Năm {}", self.year);
        sheet.merge_range(HEAD, 4, HEAD, 15, &year, &plain)?;
        for month in 1..=12 {
            sheet.write_string(HEAD + 1, 3 + month, format!("Tháng {month}"))?;
        }
        let mut row = HEAD + 2;
        for (number, (name, mission)) in (1..).zip(&self.missions) {
            sheet.write_number(row, 0, f64::from(number))?;
            sheet.write_string(row, 1, name)?;
            sheet.write_string(row, 2, &mission.lead)?;
            sheet.write_string(row, 3, &mission.status)?;
            for (month, text) in &mission.months {
                sheet.write_string(row, 3 + u16::from(*month), text)?;
            }
            row += 1;
        }
        sheet.write_string(row + 2, 12, "NGƯỜI LẬP BIỂU")?;
        sheet.write_string(row + 3, 12, "(Ký, ghi rõ họ tên)")?;
        book.save_to_buffer()
    }
}
