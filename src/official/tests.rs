//! The workbook, read back by another library.

use calamine::{Data, Reader, Xlsx};
use jiff::tz::TimeZone;

use super::*;
use crate::api::Lang;

fn shown() -> Shown {
    Shown {
        lang: Lang::Vi,
        zone: TimeZone::get("Asia/Ho_Chi_Minh").expect("bundled"),
    }
}

fn sources() -> Sources {
    let row = |key: &str, total: u64, done: u64| {
        json!({ "key": key, "label": "Hạ tầng", "tasks": { "total": total, "late": 1,
            "by_status": { "completed_on_time": done, "in_progress": total - done } },
            "coverage": { "reports_received": 2, "reports_expected": 3, "complete": false } })
    };
    let mut rollup = row("", 36, 33);
    rollup["period"] = json!("2026-03");
    rollup["rows"] = json!([row("I", 20, 18), row("II", 16, 15)]);
    Sources {
        status: json!({ "unit": { "code": "66/a", "name": "Tỉnh Trường Lâm" } }),
        rollup,
        tasks: json!({ "items": [{ "group": "I", "number": "2", "title": "=1+1", "subtask": "", "deliverable": "Biên bản",
            "kpi": "", "lead": ["24001"], "lead_unresolved": ["Phòng lạ"], "coordinating": [],
            "coordinating_unresolved": [], "deadline": { "text": "Tháng 3/2026" }, "status": "in_progress" }] }),
        reports: json!({ "items": [{ "task_title": "I/2", "unit": "24001", "status": "in_progress", "percent": "88.12",
            "result": "Đã\nxong", "difficulties": "", "next_steps": "", "evidence": 1,
            "submitted_at": "2026-03-10T01:00:00Z" }] }),
        indicators: json!({ "items": [{ "code": "CT1", "name": "Tỷ lệ", "measure": "%", "values": [
            { "unit": "24001", "numerator": "2274905", "denominator": "2581336", "value": null }] }] }),
        periods: json!({ "items": [{ "unit": "24001", "unit_name": "Xã Suối Mây", "state": "submitted", "expected": 3,
            "received": 2, "on_time": 2, "submitted_at": null }] }),
        scores: json!({ "criteria": { "criterion": [{ "code": "1", "title": "Nhiệm vụ đúng hạn" }] }, "items": [
            { "unit": "24001", "unit_name": "Xã Suối Mây", "rank": 1, "points": "36.5", "most": "40", "percent": "91.25",
                "grade": "Hoàn thành xuất sắc", "lines": [{ "points": "36.5", "reached": 73, "of": 80 }] },
            { "unit": "24002", "unit_name": "Xã Đồi Chè", "rank": null, "points": null, "most": null, "percent": null,
                "grade": null, "lines": [{ "points": null, "reached": 0, "of": 0 }] }] }),
    }
}

fn read() -> Vec<(String, Vec<Vec<Data>>)> {
    let mut book = workbook(&sources(), "2026-03-11T02:00:00Z", &shown()).expect("made");
    let bytes = book.save_to_buffer().expect("in memory");
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
        assert!(
            texts
                .iter()
                .any(|text| text.contains("11/03/2026 09:00") && text.contains("2")),
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
    assert_eq!(sources().file_name(), "66-a-2026-03.xlsx");
}
