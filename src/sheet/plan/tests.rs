use proptest::prelude::*;
use rust_xlsxwriter::{Format, Workbook};

use super::*;
use crate::sheet::{Limits, read_workbook};

const UNITS: [&str; 4] = [
    "Phòng Thuế",
    "Phòng Chợ, Đường và Cầu",
    "Văn phòng",
    "Đội Đèn",
];

fn known(name: &str) -> bool {
    UNITS.contains(&name)
}

fn csv(text: &str) -> PlanSheet {
    read_plan(
        &read_workbook("plan.csv", text.as_bytes(), None, &Limits::default()).unwrap(),
        &known,
    )
}

fn xlsx(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> PlanSheet {
    let mut workbook = Workbook::new();
    fill(workbook.add_worksheet());
    let bytes = workbook.save_to_buffer().unwrap();
    read_plan(
        &read_workbook("plan.xlsx", &bytes, None, &Limits::default()).unwrap(),
        &known,
    )
}

fn write(sheet: &mut rust_xlsxwriter::Worksheet, row: u32, cells: &[&str]) {
    for (column, text) in (0..).zip(cells).filter(|(_, text)| !text.is_empty()) {
        sheet.write_string(row, column, *text).unwrap();
    }
}

fn rows_with(plan: &PlanSheet, code: RemarkCode) -> Vec<u32> {
    plan.remarks
        .iter()
        .filter(|remark| remark.code == code)
        .filter_map(|remark| remark.row)
        .collect()
}

fn numbers(plan: &PlanSheet) -> Vec<String> {
    plan.rows
        .iter()
        .map(|row| format!("{} {}", row.group_code, row.number))
        .collect()
}

const MACHINE: &str = "section,section_title,task_no,general_task,subtask,deliverable,kpi,lead_unit,coordinating_units,\
                       deadline_text\n";

#[test]
fn a_machine_written_plan_is_read_with_all_its_irregularities() {
    let plan = csv(&format!(
        "{MACHINE}\
         III,Hạ tầng,1,Lắp đèn,Lắp đèn đường,Báo cáo,100%,Đội Đèn,\"Phòng Chợ, Đường và Cầu\",Quý I/2026\n\
         III,Hạ tầng,1,Sửa cầu,Sửa cầu gỗ,Báo cáo,,,,31/02/2026\n\
         V,Dữ liệu,4,Làm sạch,Đợt một,Báo cáo,90%,Phòng Thuế; Văn phòng,Tổ lạ,Năm 2026 (xong bước một)\n\
         V,Dữ liệu,6,Số hóa,Đợt một,,90%,Văn phòng,Đội Đèn,Phân kỳ năm 2026\n\
         V,Dữ liệu,6,Số hóa,Đợt hai,Báo cáo,90%,Văn phòng,ĐỘI Đèn,Thường xuyên\n"
    ));
    assert_eq!(numbers(&plan), ["III 1", "III 1", "V 4", "V 6", "V 6"]);
    for (code, rows) in [
        (RemarkCode::DuplicateNumber, vec![3]),
        (RemarkCode::SharedNumber, vec![6]),
        (RemarkCode::NumberGap, vec![4, 4, 4, 5]),
        (RemarkCode::EmptyLead, vec![3]),
        (RemarkCode::EmptyKpi, vec![3]),
        (RemarkCode::EmptyCoordinating, vec![3]),
        (RemarkCode::EmptyDeliverable, vec![5]),
        (RemarkCode::SeveralLeads, vec![4]),
        (RemarkCode::UnknownCoordinating, vec![4, 6]),
        (RemarkCode::SpellingVariant, vec![6]),
        (RemarkCode::DeadlineNoSuchDate, vec![3]),
        (RemarkCode::DeadlineExtraText, vec![4]),
        (RemarkCode::PhasedDeadline, vec![5]),
        (RemarkCode::ContinuousDeadline, vec![6]),
    ] {
        assert_eq!(rows_with(&plan, code), rows, "{code:?}");
    }
    assert_eq!(plan.rows[0].coordinating_names, ["Phòng Chợ, Đường và Cầu"]);
    assert_eq!(plan.rows[2].lead_names, ["Phòng Thuế", "Văn phòng"]);
    let gap = plan
        .remarks
        .iter()
        .rfind(|remark| remark.code == RemarkCode::NumberGap)
        .unwrap();
    assert_eq!(
        (gap.found.as_str(), gap.column.as_deref()),
        ("group V has no number 5", Some("task_no"))
    );
}

#[test]
fn an_annex_with_titles_two_header_rows_groups_and_signature_is_read() {
    let plan = xlsx(|sheet| {
        let plain = Format::new();
        sheet
            .merge_range(
                0,
                0,
                0,
                7,
                "PHỤ LỤC: NHIỆM VỤ NĂM 2026 CỦA PHƯỜNG MẪU",
                &plain,
            )
            .unwrap();
        write(sheet, 3, &["", "", "", "", "", "Đơn vị thực hiện"]);
        for (column, heading) in [
            (0, "TT"),
            (1, "Nhiệm vụ chung"),
            (2, "Nhiệm vụ cụ thể"),
            (3, "SẢN PHẨM bắt buộc"),
        ] {
            sheet
                .merge_range(3, column, 4, column, heading, &plain)
                .unwrap();
        }
        sheet
            .merge_range(3, 4, 4, 4, "KPI định lượng", &plain)
            .unwrap();
        sheet
            .merge_range(3, 5, 3, 6, "Đơn vị thực hiện", &plain)
            .unwrap();
        write(sheet, 4, &["", "", "", "", "", "Chủ trì", "Phối  hợp"]);
        sheet
            .merge_range(3, 7, 4, 7, "Thời hạn hoàn thành", &plain)
            .unwrap();
        write(
            sheet,
            5,
            &["(1)", "(2)", "(3)", "(4)", "(5)", "(6)", "(7)", "(8)"],
        );
        sheet
            .merge_range(6, 0, 6, 7, "I. Nâng cao nhận thức", &plain)
            .unwrap();
        write(
            sheet,
            7,
            &[
                "1",
                "Mở lớp",
                "Lớp một",
                "Báo cáo",
                "5 lớp",
                "Văn phòng",
                "Đội Đèn",
                "15/03/2026",
            ],
        );
        write(
            sheet,
            8,
            &[
                "",
                "",
                "Lớp hai",
                "Báo cáo",
                "6 lớp",
                "Phòng Thuế",
                "Đội Đèn",
                "Quý II/2026",
            ],
        );
        write(sheet, 9, &["II", "Hoàn thiện thể chế"]);
        write(sheet, 10, &["1.", "Ban hành quy chế"]);
        write(
            sheet,
            11,
            &[
                "1.1",
                "",
                "Dự thảo",
                "Dự thảo",
                "1",
                "Văn phòng",
                "Đội Đèn",
                "Tháng 3/2026",
            ],
        );
        write(
            sheet,
            12,
            &[
                "1.2",
                "",
                "Ban hành",
                "Quy chế",
                "1",
                "Văn phòng",
                "Đội Đèn",
                "Tháng 6/2026",
            ],
        );
        write(
            sheet,
            14,
            &["", "", "", "", "", "Mẫu, ngày 05 tháng 01 năm 2026"],
        );
        write(sheet, 15, &["", "Nơi nhận:", "", "", "", "TM. ỦY BAN"]);
        write(sheet, 16, &["", "- Lưu: VT", "", "", "", "Người Ký"]);
    });
    assert_eq!(
        numbers(&plan),
        ["I 1", "I 1", "II 1.1", "II 1.2"],
        "{:#?}",
        plan.remarks
    );
    assert_eq!(plan.rows[1].title, "Mở lớp");
    assert_eq!(
        (plan.rows[1].subtask.as_str(), plan.rows[1].row),
        ("Lớp hai", 9)
    );
    assert_eq!(
        (
            plan.rows[3].title.as_str(),
            plan.rows[3].group_title.as_str()
        ),
        ("Ban hành quy chế", "Hoàn thiện thể chế")
    );
    assert_eq!(
        (
            plan.rows[0].lead_text.as_str(),
            plan.rows[0].coordinating_text.as_str()
        ),
        ("Văn phòng", "Đội Đèn")
    );
    assert_eq!(rows_with(&plan, RemarkCode::SectionRow), [7, 10]);
    assert_eq!(rows_with(&plan, RemarkCode::HeadingRow), [11]);
    assert_eq!(rows_with(&plan, RemarkCode::SkippedSignature), [15]);
    assert!(
        !plan
            .remarks
            .iter()
            .any(|remark| remark.severity == Severity::Refused)
    );
}

#[test]
fn merged_numbers_and_titles_continue_and_real_dates_are_read() {
    let plan = xlsx(|sheet| {
        write(
            sheet,
            0,
            &[
                "STT",
                "Nhiệm vụ",
                "Nội dung công việc",
                "Đơn vị chủ trì",
                "Thời hạn",
            ],
        );
        sheet.merge_range(1, 0, 2, 0, "1", &Format::new()).unwrap();
        sheet
            .merge_range(1, 1, 2, 1, "Xây cầu", &Format::new())
            .unwrap();
        write(sheet, 1, &["", "", "Móng", "Đội Đèn"]);
        write(sheet, 2, &["", "", "Mặt cầu", "Đội Đèn"]);
        sheet.write_string(1, 0, "1").unwrap();
        sheet.write_string(1, 1, "Xây cầu").unwrap();
        let date = Format::new().set_num_format("dd/mm/yyyy");
        sheet.write_number_with_format(1, 4, 46_096, &date).unwrap();
        sheet.write_string(2, 4, "Tháng 6/2026").unwrap();
    });
    let read: Vec<_> = plan
        .rows
        .iter()
        .map(|row| {
            (
                row.number.as_str(),
                row.title.as_str(),
                row.subtask.as_str(),
            )
        })
        .collect();
    assert_eq!(
        read,
        [("1", "Xây cầu", "Móng"), ("1", "Xây cầu", "Mặt cầu")]
    );
    assert_eq!(plan.rows[0].deadline.due.unwrap().to_string(), "2026-03-15");
}

#[test]
fn a_trackers_workbook_has_other_headings() {
    let plan = csv(
        "DANH SÁCH NHIỆM VỤ\nLọc:,2026\n\nTên nhiệm vụ,Mã ĐV chủ trì,Ngày bắt đầu,Ngày kết thúc,Đơn vị thực hiện\n\
                    Lắp đèn,Đội Đèn,01/01/2026,30/06/2026,\"Phòng Thuế,Văn phòng\"\n",
    );
    let row = &plan.rows[0];
    assert_eq!((row.lead_names.len(), row.coordinating_names.len()), (1, 2));
    assert_eq!(row.deadline.due.unwrap().to_string(), "2026-06-30");
    assert_eq!(rows_with(&plan, RemarkCode::UnknownColumn), [4]);
    assert_eq!(row.row, 5);
}

#[test]
fn row_keys_survive_new_rows_and_spelling_and_tell_equal_rows_apart() {
    let one = "I,Nhóm,1,Làm A,Phần 1,,,,,\n";
    let first = csv(&format!("{MACHINE}{one}{one}"));
    let second = csv(&format!(
        "{MACHINE}I,Nhóm,1,Làm B,,,,,,\nI,Nhóm,1,LÀM  A,Phần 1,x,,,,\n"
    ));
    assert_eq!(first.rows[0].row_key, second.rows[1].row_key);
    assert_eq!(
        first.rows[1].row_key,
        format!("{}-2", first.rows[0].row_key)
    );
    assert_eq!(rows_with(&first, RemarkCode::IdenticalRow), [3]);
}

#[test]
fn an_oversized_cell_refuses_its_row_under_its_heading() {
    let plan = csv(&format!(
        "{MACHINE}I,N,1,Làm A,,,{},,,\nI,N,2,Làm B,,,,,,\n",
        "x".repeat(10 << 20)
    ));
    assert_eq!(numbers(&plan), ["I 2"]);
    let refused = plan
        .remarks
        .iter()
        .find(|remark| remark.severity == Severity::Refused)
        .unwrap();
    assert_eq!(
        (refused.row, refused.column.as_deref()),
        (Some(2), Some("kpi"))
    );
    assert!(refused.found.len() < 200);
}

#[test]
fn a_table_without_a_header_is_refused_as_a_whole() {
    let plan = csv("một,hai\nba,bốn\n");
    assert!(plan.rows.is_empty());
    assert_eq!(
        plan.remarks
            .last()
            .map(|remark| (remark.code, remark.severity)),
        Some((RemarkCode::NoHeader, Severity::Refused))
    );
}

#[test]
fn a_row_with_neither_task_nor_sub_task_is_refused_and_others_go_on() {
    let plan = csv(&format!(
        "{MACHINE}I,N,1,,,Báo cáo,x,Đội Đèn,,2026\nI,N,2,Làm,,,,,,\n"
    ));
    assert_eq!(numbers(&plan), ["I 2"]);
    assert_eq!(rows_with(&plan, RemarkCode::EmptyTitle), [2]);
}

#[test]
fn cells_that_belong_to_no_task_are_remarked_and_make_none() {
    let plan = xlsx(|sheet| {
        write(
            sheet,
            0,
            &[
                "STT",
                "Nhiệm vụ",
                "Đơn vị chủ trì",
                "Đơn vị phối hợp",
                "Thời hạn",
            ],
        );
        write(sheet, 1, &["1", "Xây cầu", "Đội Đèn", "Phòng Thuế", "2026"]);
        write(sheet, 2, &["", "", "", "Văn phòng"]);
        write(sheet, 3, &["2", "Lắp đèn", "Đội Đèn", "Phòng Thuế", "2026"]);
        sheet.write_string(1_048_575, 16_383, "góc").unwrap();
    });
    assert_eq!(numbers(&plan), [" 1", " 2"]);
    assert_eq!(rows_with(&plan, RemarkCode::StrayCell), [3]);
    assert_eq!(rows_with(&plan, RemarkCode::SkippedRow), [1_048_576]);
}

#[test]
fn a_number_written_before_the_task_is_taken_where_there_is_no_number_column() {
    let plan = csv(
        "Mã và nhiệm vụ chung (1);Nhiệm vụ cụ thể (2);Đơn vị chủ trì (5);Thời hạn (7)\n\
         1.1. Xây cầu;Móng;Đội Đèn;2026\n100 lớp học;;Đội Đèn;2026\n",
    );
    let read: Vec<_> = plan
        .rows
        .iter()
        .map(|row| (row.number.as_str(), row.title.as_str()))
        .collect();
    assert_eq!(read, [("1.1", "Xây cầu"), ("", "100 lớp học")]);
}

proptest! {
    #[test]
    fn every_row_below_the_header_is_a_task_or_has_a_remark(
        cells in prop::collection::vec(
            prop::collection::vec(
                prop::sample::select(vec![
                    "", "1", "1.1", "II", "A. Nhóm", "Lắp đèn", "TM. ỦY BAN", "(1)", "(2)", "-", "Quý I/2026", "31/02/2026",
                    "Đội Đèn; Tổ lạ", "Phòng Thuế, Văn phòng", "4294967295", "\u{301}", "\"",
                ]),
                1..8,
            ),
            0..8,
        ),
    ) {
        let mut text = "STT\tNhiệm vụ\tSản phẩm\tKPI\tChủ trì\tPhối hợp\tThời hạn\n".to_owned();
        for row in &cells {
            text.push_str(&row.join("\t"));
            text.push('\n');
        }
        let table = read_workbook("plan.csv", text.as_bytes(), None, &Limits::default()).unwrap();
        let plan = read_plan(&table, &known);
        let signature = rows_with(&plan, RemarkCode::SkippedSignature).first().copied().unwrap_or(u32::MAX);
        for row in table.rows.iter().skip(1).filter(|row| row.number < signature) {
            let taken = plan.rows.iter().any(|task| task.row == row.number);
            let said = plan.remarks.iter().any(|remark| remark.row == Some(row.number));
            prop_assert!(taken || said, "row {} of {:?} left no trace", row.number, text);
        }
        let keys: std::collections::BTreeSet<_> = plan.rows.iter().map(|row| &row.row_key).collect();
        prop_assert_eq!(keys.len(), plan.rows.len());
    }
}

#[test]
fn a_title_right_above_the_header_is_no_part_of_it() {
    let plan = csv("KẾ HOẠCH NĂM,,,\n\
         Phụ lục nhiệm vụ,,,\n\
         STT,Nhiệm vụ,Sản phẩm,Đơn vị chủ trì\n\
         I,Hạ tầng,,\n\
         1,Lắp đèn,Báo cáo,Đội Đèn\n");
    assert_eq!(numbers(&plan), ["I 1"]);
    assert_eq!(plan.rows[0].group_title, "Hạ tầng");
}
