use super::*;
use crate::sheet::{Limits, read_workbook};

fn table(text: &str) -> Table {
    read_workbook("so-lieu.csv", text.as_bytes(), None, &Limits::default()).unwrap()
}

fn refused<T>(records: &Records<T>) -> Vec<(Option<u32>, RemarkCode, String)> {
    let refused = records
        .remarks
        .iter()
        .filter(|remark| remark.severity == Severity::Refused);
    refused
        .map(|remark| {
            (
                remark.row,
                remark.code,
                remark.column.clone().unwrap_or_default(),
            )
        })
        .collect()
}

fn has<T>(records: &Records<T>, row: u32, code: RemarkCode) -> bool {
    records
        .remarks
        .iter()
        .any(|remark| remark.row == Some(row) && remark.code == code)
}

#[test]
fn units_keep_codes_as_text_and_refuse_repeats() {
    let units = read_units(&table(
        "Mã đơn vị;Tên đơn vị;Tên viết tắt;Đơn vị cấp trên;Cấp;Tên khác\n\
         00123;Xã Mẫu;;T01;xã;Mẫu | UBND xã Mẫu\n00123;Xã Khác;;T01;xã;\n00124;;;T01;xã;\nT01;Tỉnh Mẫu;TM;;tỉnh;\n",
    ));
    let codes: Vec<_> = units
        .rows
        .iter()
        .map(|unit| (unit.code.as_str(), unit.parent.as_str()))
        .collect();
    assert_eq!(codes, [("00123", "T01"), ("T01", "")]);
    assert_eq!(units.rows[0].aliases, ["Mẫu", "UBND xã Mẫu"]);
    let expected = [
        (Some(3), RemarkCode::DuplicateCode, "Mã đơn vị".to_owned()),
        (Some(4), RemarkCode::EmptyCell, "Tên đơn vị".to_owned()),
    ];
    assert_eq!(refused(&units), expected);
}

#[test]
fn figures_are_kept_as_reported_and_remarked_where_they_do_not_add_up() {
    let read = read_indicators(&table(
        "Chỉ tiêu\tTử số\tMẫu số\tTỷ lệ\tKỳ báo cáo\n\
         Cắt bớt\t2.274.905\t2.581.336\t88,12 %\tTháng 3/2026\n\
         Vượt\t2.576\t2.567\t100\t\nĐúng\t1.764\t1.764\t100%\t\nGộp\t1.000/4.000\t\t25\t\n\
         Không\t5\t0\t\t\nChữ\tnhiều\t9\t\t\n",
    ));
    let figures: Vec<_> = read
        .rows
        .iter()
        .map(|row| (row.numerator.as_deref(), row.denominator.as_deref()))
        .collect();
    assert_eq!(figures[0], (Some("2274905"), Some("2581336")));
    assert_eq!(figures[3], (Some("1000"), Some("4000")));
    assert_eq!(read.rows[0].stated_percent.as_deref(), Some("88.12"));
    assert_eq!(
        read.rows[0]
            .period
            .map(|period| period.to_string())
            .as_deref(),
        Some("2026-03")
    );
    assert!(
        has(&read, 2, RemarkCode::PercentDiffers) && !has(&read, 4, RemarkCode::PercentDiffers)
    );
    assert!(
        has(&read, 3, RemarkCode::NumeratorAboveDenominator)
            && has(&read, 3, RemarkCode::AmbiguousNumber)
    );
    let expected = [
        (Some(6), RemarkCode::ZeroDenominator, "Mẫu số".to_owned()),
        (Some(7), RemarkCode::NotANumber, "Tử số".to_owned()),
    ];
    assert_eq!(refused(&read), expected);
}

#[test]
fn targets_come_with_or_without_their_comparator() {
    let read = read_indicators(&table(
        "indicator_name,comparator,target_value,unit\nA,>=,80,%\nB,,≥ 75 %,%\nC,,Tối thiểu 60%,%\nD,,theo tỉnh,text\nE,~,1,%\n",
    ));
    let targets: Vec<_> = read
        .rows
        .iter()
        .map(|row| (row.comparator.as_str(), row.target.as_deref()))
        .collect();
    assert_eq!(
        targets,
        [
            (">=", Some("80")),
            (">=", Some("75")),
            (">=", Some("60")),
            ("", None)
        ]
    );
    assert!(has(&read, 5, RemarkCode::TargetIsText));
    assert_eq!(
        refused(&read),
        [(
            Some(6),
            RemarkCode::ComparatorUnread,
            "comparator".to_owned()
        )]
    );
}

#[test]
fn a_report_with_a_bad_value_is_refused_and_the_others_are_taken() {
    let read = read_reports(&table(
        "Mã nhiệm vụ,Đơn vị,Kỳ báo cáo,Trạng thái,Tỷ lệ hoàn thành,Tử số,Mẫu số,Kết quả,Khó khăn,Kế hoạch tiếp theo\n\
         1.1,X01,Tháng 3/2026,Hoàn thành đúng hạn,100%,48,48,Xong,,\n1.2,X01,2026-03,Đang thực hiện trễ hạn,101,,,,,\n\
         1.3,X01,2026-03,,-1,,,,,\n1.4,X01,2026-13,Hoàn thành,,,,,,\n1.5,X01,2026-03,Lơ lửng,,,,,,\n\
         1.6,X01,2026-03,,\"62,5\",,,Một phần,Thiếu người,Bổ sung\n",
    ));
    let taken: Vec<_> = read
        .rows
        .iter()
        .map(|row| {
            (
                row.task.as_str(),
                row.status.as_deref(),
                row.percent.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        taken,
        [
            ("1.1", Some("completed"), Some("100")),
            ("1.6", None, Some("62.5"))
        ]
    );
    assert_eq!(read.rows[1].next_steps, "Bổ sung");
    let codes: Vec<_> = refused(&read)
        .into_iter()
        .map(|(row, code, _)| (row.unwrap(), code))
        .collect();
    let expected = [
        (3, RemarkCode::OutOfRange),
        (4, RemarkCode::OutOfRange),
        (5, RemarkCode::PeriodUnread),
        (6, RemarkCode::StatusUnread),
    ];
    assert_eq!(codes, expected);
    assert!(has(&read, 7, RemarkCode::EmptyStatus));
}

#[test]
fn status_texts_of_the_field_are_understood() {
    for (text, status) in [
        ("Chưa thực hiện", "not_started"),
        ("Đang thực hiện trễ hạn", "in_progress"),
        ("chưa hoàn thành", "in_progress"),
        ("Hoàn thành đúng hạn", "completed"),
        ("ĐÃ HOÀN THÀNH", "completed"),
        ("Chờ hoàn thiện", "awaiting_correction"),
        ("Tiếp tục thực hiện", "continuing"),
        ("Đã hủy", "cancelled"),
        ("in_progress", "in_progress"),
    ] {
        assert_eq!(parse_status(text), Some(status), "{text}");
    }
    assert_eq!(parse_status("?"), None);
}
