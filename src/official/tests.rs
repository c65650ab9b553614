//! The workbook, read back by another library.

use calamine::{Data, Reader, Xlsx};
use jiff::tz::TimeZone;

use super::*;
use crate::api::{Exit, Lang};

fn shown() -> Shown {
    Shown {
        lang: Lang::Vi,
        zone: TimeZone::get("Asia/Ho_Chi_Minh").expect("bundled"),
    }
}

fn answers(command: &Command) -> Value {
    let row = |key: &str, total: u64, done: u64| {
        json!({ "key": key, "label": "Hạ tầng", "tasks": { "total": total, "late": 1,
            "by_status": { "completed_on_time": done, "in_progress": total - done } },
            "coverage": { "reports_received": 2, "reports_expected": 3, "complete": false } })
    };
    let mut rollup = row("", 36, 33);
    rollup["rows"] = json!([row("I", 20, 18), row("II", 16, 15)]);
    match command {
        Command::Status => json!({ "unit": { "code": "66/a", "name": "Tỉnh Trường Lâm" } }),
        Command::RollupShow { .. } => rollup,
        Command::LongIds { .. } => json!({ "ids": [Uuid::nil()] }),
        Command::LongItems {
            list: LongList::Tasks,
            ..
        } => {
            json!({ "items": [{ "group": "I", "number": "2", "title": "=1+1", "subtask": "", "deliverable": "Biên bản",
            "kpi": "", "lead": ["24001"], "lead_unresolved": ["Phòng lạ"], "coordinating": [],
            "coordinating_unresolved": [], "deadline": { "text": "Tháng 3/2026" }, "status": "in_progress" }] })
        }
        Command::LongItems { .. } => {
            json!({ "items": [{ "task_title": "I/2", "unit": "24001", "status": "in_progress", "percent": "88.12",
            "result": "Đã\nxong", "difficulties": "", "next_steps": "", "evidence": 1,
            "submitted_at": "2026-03-10T01:00:00Z" }] })
        }
        Command::IndicatorList { .. } => {
            json!({ "period": "2026-03", "items": [{ "code": "CT1", "name": "Tỷ lệ", "measure": "%", "values": [
            { "unit": "24001", "numerator": "2274905", "denominator": "2581336", "value": null }] }] })
        }
        Command::PeriodList { .. } => {
            json!({ "items": [{ "unit": "24001", "unit_name": "Xã Suối Mây", "state": "submitted", "expected": 3,
            "received": 2, "on_time": 2, "submitted_at": null }] })
        }
        Command::ScoreShow { .. } => {
            json!({ "criteria": { "criterion": [{ "code": "1", "title": "Nhiệm vụ đúng hạn" }] }, "items": [
            { "unit": "24001", "unit_name": "Xã Suối Mây", "rank": 1, "points": "36.5", "most": "40", "percent": "91.25",
                "grade": "Hoàn thành xuất sắc", "lines": [{ "points": "36.5", "reached": 73, "of": 80 }] },
            { "unit": "24002", "unit_name": "Xã Đồi Chè", "rank": null, "points": null, "most": null, "percent": null,
                "grade": null, "lines": [{ "points": null, "reached": 0, "of": 0 }] }] })
        }
        other => panic!("{other:?}"),
    }
}

fn begun() -> Begun {
    let [status, indicators] = first(None, None).map(|command| answers(&command));
    Begun::of(status, indicators, None, "2026-03-11T02:00:00Z")
}

/// Every look at the clock is a second after the one before.
fn ticking() -> impl Fn() -> String {
    let seconds = std::cell::Cell::new(0);
    move || {
        seconds.set(seconds.get() + 1);
        format!("2026-03-11T02:00:{:02}Z", seconds.get())
    }
}

fn made(ask: &mut Ask<'_>) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let complete = begun().write(ask, &ticking(), &shown(), &mut bytes)?;
    assert!(!complete, "two of three reports");
    Ok(bytes)
}

fn read() -> Vec<(String, Vec<Vec<Data>>)> {
    let bytes = made(&mut |command| Ok(answers(&command))).expect("made");
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
    let sheets = book.worksheets().into_iter();
    sheets
        .map(|(name, range)| (name, range.rows().map(<[Data]>::to_vec).collect()))
        .collect()
}

fn has(rows: &[Vec<Data>], text: &str) -> bool {
    rows.iter()
        .flatten()
        .any(|cell| matches!(cell, Data::String(found) if found == text))
}

#[test]
fn every_sheet_says_whose_it_is_which_period_and_what_is_missing() {
    let sheets = read();
    assert_eq!(sheets.len(), 6);
    for (name, rows) in &sheets {
        assert!(has(rows, "TỈNH TRƯỜNG LÂM"), "{name}");
        let texts: Vec<String> = rows.iter().flatten().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains("2026-03")), "{name}");
        let as_of = texts.iter().find(|text| text.contains("11/03/2026 09:00"));
        assert!(
            as_of.is_some_and(|text| text.contains("2 trên 3")),
            "{name}"
        );
        assert!(
            texts
                .iter()
                .any(|text| text.contains(&shown().label("book-not-complete"))),
            "{name}"
        );
    }
}

#[test]
fn each_sheet_says_as_of_when_it_was_asked_for() {
    // Indicators first; then the rollup, units, scores, and the ids of tasks and reports.
    let seconds = ["01", "04", "05", "00", "02", "03"];
    for ((name, rows), second) in read().iter().zip(seconds) {
        let texts: Vec<String> = rows.iter().flatten().map(ToString::to_string).collect();
        let at = format!("11/03/2026 09:00:{second}");
        assert!(texts.iter().any(|text| text.contains(&at)), "{name}: {at}");
        let in_parts = texts
            .iter()
            .any(|text| text.contains("mỗi dòng lấy sau đó"));
        assert_eq!(in_parts, ["04", "05"].contains(&second), "{name}");
    }
}

#[test]
fn numbers_are_numbers_that_add_up_and_text_is_never_a_formula() {
    let sheets = read();
    let annex = &sheets[0].1;
    let totals: Vec<f64> = annex
        .iter()
        .filter_map(|row| match row.get(1) {
            Some(Data::Float(total)) => Some(*total),
            _ => None,
        })
        .collect();
    assert_eq!(&totals[..3], [20.0, 16.0, 36.0], "{totals:?}");
    let tasks = &sheets[1].1;
    assert!(has(tasks, "=1+1") && has(tasks, "24001, Phòng lạ") && has(tasks, "I/2"));
    let progress = &sheets[2].1;
    assert!(
        progress
            .iter()
            .flatten()
            .any(|cell| *cell == Data::Float(88.12))
    );
    assert!(has(progress, "10/03/2026 08:00"));
    let indicators = &sheets[3].1;
    assert!(
        indicators
            .iter()
            .flatten()
            .any(|cell| *cell == Data::Float(2_274_905.0))
    );
    assert!(has(&sheets[4].1, "Xã Suối Mây"));
    let scores = &sheets[5].1;
    assert!(has(scores, "36,5 (73/80)") && has(scores, "Hoàn thành xuất sắc"));
    assert!(
        scores
            .iter()
            .flatten()
            .any(|cell| *cell == Data::Float(91.25))
    );
    let nothing = scores.iter().find(|row| {
        row.iter()
            .any(|cell| *cell == Data::String("Xã Đồi Chè".to_owned()))
    });
    assert!(
        nothing.is_some_and(|row| has(std::slice::from_ref(row), &shown().label("score-no-basis")))
    );
}

#[test]
fn the_file_is_named_by_unit_and_period() {
    assert_eq!(begun().file_name(), "66-a-2026-03.xlsx");
}

/// Answers with so many tasks, each asked for by its id.
fn many(count: u128) -> impl FnMut(Command) -> Result<Value, Failure> {
    move |command| {
        Ok(match &command {
            Command::LongIds {
                list: LongList::Tasks,
                ..
            } => json!({ "ids": (1..=count).map(Uuid::from_u128).collect::<Vec<_>>() }),
            Command::LongItems {
                list: LongList::Tasks,
                ids,
                ..
            } => {
                assert!(ids.len() <= TOGETHER);
                let item = |id: &Uuid| json!({ "group": "II", "number": id.as_u128().to_string(), "title": "a < b & _x000D_" });
                json!({ "items": ids.iter().map(item).collect::<Vec<_>>() })
            }
            other => answers(other),
        })
    }
}

#[test]
fn a_long_table_is_asked_for_in_parts_and_has_every_row_in_its_place() {
    let count = 2 * TOGETHER + 3;
    let bytes = made(&mut many(count as u128)).expect("made");
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
    let (_, tasks) = book.worksheets().swap_remove(Sheet::Tasks as usize);
    let rows: Vec<&[Data]> = tasks.rows().collect();
    let first = rows
        .iter()
        .position(|row| row[0] == Data::String("II/1".to_owned()))
        .expect("the first task");
    for at in 0..count {
        let row = rows[first + at];
        assert_eq!(row[0], Data::String(format!("II/{}", at + 1)));
        assert_eq!(row[1], Data::String("a < b & _x000D_".to_owned()));
    }
    let after: Vec<Vec<Data>> = rows[first + count..]
        .iter()
        .map(|row| row.to_vec())
        .collect();
    assert!(has(&after, &shown().label("book-maker")));
}

/// Hands out what was written once it is flushed, as a line does.
#[derive(Default)]
struct Line {
    held: Vec<u8>,
    out: std::rc::Rc<std::cell::Cell<usize>>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.set(self.out.get() + self.held.len());
        self.held.clear();
        Ok(())
    }
}

#[test]
fn the_first_bytes_are_out_before_anything_is_counted() {
    let line = Line::default();
    let out = line.out.clone();
    let mut ask = |command: Command| {
        assert!(out.get() > 0, "{command:?}");
        Ok(answers(&command))
    };
    let made = begun().write(&mut ask, &ticking(), &shown(), line);
    made.expect("made");
}

#[test]
fn what_is_refused_on_the_way_leaves_no_whole_workbook() {
    let mut others = many(2_000);
    let mut asked = 0;
    let mut ask = |command: Command| {
        asked += u32::from(matches!(command, Command::LongItems { .. }));
        match asked {
            0..=2 => others(command),
            _ => Err(Failure {
                exit: Exit::Failed,
                code: "damaged".to_owned(),
                message: "no".to_owned(),
                data: Value::Null,
            }),
        }
    };
    let mut bytes = Vec::new();
    let made = begun().write(&mut ask, &ticking(), &shown(), &mut bytes);
    assert!(matches!(made, Err(Problem::Refused(_))));
    assert!(!bytes.is_empty() && Xlsx::new(std::io::Cursor::new(bytes)).is_err());
}

#[test]
fn criteria_that_cannot_be_used_are_said_in_their_sheet_and_the_other_papers_are_there() {
    let mut ask = |command: Command| match command {
        Command::ScoreShow { .. } => Err(Failure {
            exit: Exit::Configuration,
            code: "bad_criteria".to_owned(),
            message: "scoring.toml: line 3".to_owned(),
            data: Value::Null,
        }),
        other => Ok(answers(&other)),
    };
    let bytes = made(&mut ask).expect("made");
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
    let (_, scores) = book.worksheets().swap_remove(5);
    let rows: Vec<Vec<Data>> = scores.rows().map(<[Data]>::to_vec).collect();
    assert!(has(&rows, "scoring.toml: line 3"));
}
