use unicode_normalization::UnicodeNormalization;

use super::{DeadlineKind as Kind, DeadlineRemark as Remark, *};

fn reading(text: &str) -> (Kind, Option<String>, Option<Remark>) {
    let deadline = parse_deadline(text);
    assert_eq!(deadline.text, text);
    (
        deadline.kind,
        deadline.due.map(|due| due.to_string()),
        deadline.remark,
    )
}

fn check(cases: &[(&str, Kind, &str, Option<Remark>)]) {
    for (text, kind, due, remark) in cases {
        let due = (!due.is_empty()).then(|| (*due).to_owned());
        assert_eq!(reading(text), (*kind, due.clone(), *remark), "{text}");
        let decomposed: String = text.nfd().collect();
        assert_eq!(
            reading(&decomposed),
            (*kind, due, *remark),
            "decomposed {text}"
        );
    }
}

#[test]
fn one_day_is_read_in_every_usual_spelling() {
    check(&[
        ("15/03/2026", Kind::Date, "2026-03-15", None),
        ("15-03-2026", Kind::Date, "2026-03-15", None),
        ("15.3.2026", Kind::Date, "2026-03-15", None),
        (" 15 / 3 / 2026 ", Kind::Date, "2026-03-15", None),
        ("2026-03-15", Kind::Date, "2026-03-15", None),
        ("trước ngày 15/3/2026", Kind::Date, "2026-03-15", None),
        (
            "Hoàn thành trước ngày 15 tháng 3 năm 2026.",
            Kind::Date,
            "2026-03-15",
            None,
        ),
    ]);
}

#[test]
fn a_period_is_due_on_its_last_day() {
    check(&[
        ("Tháng 3/2026", Kind::Month, "2026-03-31", None),
        ("THÁNG 03 năm 2026", Kind::Month, "2026-03-31", None),
        ("T3/2026", Kind::Month, "2026-03-31", None),
        ("03/2026", Kind::Month, "2026-03-31", None),
        ("trong tháng 2/2028", Kind::Month, "2028-02-29", None),
        ("Quý II/2026", Kind::Quarter, "2026-06-30", None),
        ("Quý 2/2026", Kind::Quarter, "2026-06-30", None),
        ("quý II năm 2026", Kind::Quarter, "2026-06-30", None),
        ("Quí IV - 2026", Kind::Quarter, "2026-12-31", None),
        ("6 tháng đầu năm 2026", Kind::Half, "2026-06-30", None),
        ("06 tháng cuối năm 2026", Kind::Half, "2026-12-31", None),
        ("9 tháng năm 2026", Kind::Quarter, "2026-09-30", None),
        ("Năm 2026", Kind::Year, "2026-12-31", None),
        ("2026", Kind::Year, "2026-12-31", None),
        ("Trong  năm 2026", Kind::Year, "2026-12-31", None),
        ("Giai đoạn 2026 - 2030", Kind::Year, "2030-12-31", None),
    ]);
}

#[test]
fn work_without_an_end_has_no_day() {
    check(&[
        ("Thường xuyên", Kind::Continuous, "", None),
        ("Nhiệm vụ thường xuyên", Kind::Continuous, "", None),
        ("Hằng năm", Kind::Continuous, "", None),
        ("Hàng tháng", Kind::Continuous, "", None),
        ("Theo yêu cầu của cấp trên", Kind::OnRequest, "", None),
        (
            "Thường xuyên, sơ kết trước 30/6/2026",
            Kind::Continuous,
            "",
            Some(Remark::ExtraText),
        ),
    ]);
}

#[test]
fn phased_work_is_due_at_the_end_of_the_year_named() {
    check(&[
        (
            "Phân kỳ năm 2026 theo Quyết định số 12-QĐ/XX",
            Kind::Phased,
            "2026-12-31",
            None,
        ),
        ("Theo phân kỳ", Kind::Phased, "", None),
    ]);
}

#[test]
fn a_condition_or_a_second_date_is_remarked() {
    check(&[
        (
            "Năm 2026 (hoàn thành phê duyệt)",
            Kind::Year,
            "2026-12-31",
            Some(Remark::ExtraText),
        ),
        (
            "Quý I/2026 xong đề án, triển khai năm 2027",
            Kind::Quarter,
            "2026-03-31",
            Some(Remark::SeveralDates),
        ),
        (
            "Quý I, II/2026",
            Kind::Quarter,
            "2026-03-31",
            Some(Remark::SeveralDates),
        ),
        (
            "Tháng 3/2026 và tháng 9/2026",
            Kind::Month,
            "2026-03-31",
            Some(Remark::SeveralDates),
        ),
        (
            "Từ 05/01/2026 đến 20/02/2026",
            Kind::Date,
            "2026-02-20",
            Some(Remark::SeveralDates),
        ),
    ]);
}

#[test]
fn what_does_not_exist_or_says_nothing_stays_unread() {
    check(&[
        ("31/02/2026", Kind::Unread, "", Some(Remark::NoSuchDate)),
        ("Tháng 13/2026", Kind::Unread, "", Some(Remark::NoSuchDate)),
        ("Quý V/2026", Kind::Unread, "", Some(Remark::NoSuchDate)),
        (
            "sớm nhất có thể",
            Kind::Unread,
            "",
            Some(Remark::NotUnderstood),
        ),
        ("15/3/26", Kind::Unread, "", Some(Remark::NotUnderstood)),
        ("", Kind::Unread, "", Some(Remark::Missing)),
        (" - ", Kind::Unread, "", Some(Remark::Missing)),
    ]);
}

#[test]
fn stored_form_is_stable() {
    let json = serde_json::to_value(parse_deadline("Quý I/2026")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"text": "Quý I/2026", "kind": "quarter", "due": "2026-03-31"})
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_kept_and_never_breaks_the_reader(
        text in "([0-9]{1,5}|[/ .,-]|ngày|tháng|quý|năm|6 tháng|đầu|từ|đến|I|IV|T|[a-zà-ỹ]{1,6}|phân kỳ){0,12}",
    ) {
        proptest::prop_assert_eq!(parse_deadline(&text).text, text.clone());
        if let Ok(period) = text.parse::<crate::calendar::Period>() {
            proptest::prop_assert_eq!(period.to_string().parse(), Ok(period));
        }
    }
}
