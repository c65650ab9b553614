use serde_json::{Value, json};

use crate::api::{Answer, Command, Exit, ImportKind, TaskFields};
use crate::node::commands::desk::Desk;

fn row(row: u32, key: &str, number: &str, title: &str, lead: &str) -> Value {
    let leads: Vec<&str> = Some(lead).filter(|l| !l.is_empty()).into_iter().collect();
    json!({
        "row": row, "row_key": key, "group_code": "I", "group_title": "Nhóm", "number": number,
        "title": title, "subtask": "", "deliverable": "Báo cáo", "kpi": "", "lead_text": lead,
        "lead_names": leads, "coordinating_text": "", "coordinating_names": [],
        "deadline": { "text": "30/06/2026", "kind": "date", "due": "2026-06-30" },
        "programme": "", "person": "", "authority": "",
    })
}

fn import(kind: ImportKind, rows: Value, dry_run: bool) -> Command {
    Command::Import {
        kind,
        source: "plan.xlsx".to_owned(),
        table: rows,
        dry_run,
    }
}

fn plan(rows: &[Value]) -> Value {
    json!({ "rows": rows, "remarks": [] })
}

fn counts(answer: &Answer) -> [u64; 4] {
    ["created", "updated", "unchanged", "refused"]
        .map(|name| answer.data[name].as_u64().unwrap_or(99))
}

async fn tasks(desk: &Desk) -> Vec<Value> {
    let list = Command::TaskList {
        unit: None,
        group: None,
        issuer: None,
        unresolved: false,
        period: None,
        narrowed: Default::default(),
    };
    desk.ok(list).await.data["items"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn importing_twice_changes_nothing_and_a_dry_run_writes_nothing() {
    let desk = Desk::new().await;
    let rows = plan(&[row(5, "a", "1", "Một", "79"), row(6, "b", "1", "Hai", "66")]);
    let dry = desk.ok(import(ImportKind::Tasks, rows.clone(), true)).await;
    assert_eq!((dry.exit, counts(&dry)), (Exit::Done, [2, 0, 0, 0]));
    assert_eq!(tasks(&desk).await.len(), 0);
    let first = desk
        .ok(import(ImportKind::Tasks, rows.clone(), false))
        .await;
    assert_eq!(counts(&first), [2, 0, 0, 0]);
    // Two rows share a number: two tasks.
    let before = tasks(&desk).await;
    assert_eq!(before.len(), 2);
    let again = desk.ok(import(ImportKind::Tasks, rows, false)).await;
    assert_eq!(counts(&again), [0, 0, 2, 0]);
    assert_eq!(tasks(&desk).await, before);
}

#[tokio::test]
async fn of_a_changed_row_only_what_the_file_changed_is_written() {
    let desk = Desk::new().await;
    desk.ok(import(
        ImportKind::Tasks,
        plan(&[row(5, "a", "1", "Một", "79")]),
        false,
    ))
    .await;
    let id = tasks(&desk).await[0]["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let fields = TaskFields {
        kpi: Some("100 hồ sơ".to_owned()),
        lead: Some(vec!["66".to_owned()]),
        ..Default::default()
    };
    desk.ok(Command::TaskUpdate {
        task: id,
        fields,
        token: None,
    })
    .await;
    let changed = desk
        .ok(import(
            ImportKind::Tasks,
            plan(&[row(9, "a", "1", "Một, sửa", "79")]),
            false,
        ))
        .await;
    assert_eq!(counts(&changed), [0, 1, 0, 0]);
    let task = tasks(&desk).await.remove(0);
    // The lead was changed here and not in the file: it stays.
    assert_eq!(
        (&task["title"], &task["lead"]),
        (&json!("Một, sửa"), &json!(["66"]))
    );
}

#[tokio::test]
async fn an_unknown_or_empty_lead_is_imported_unresolved_and_no_unit_invented() {
    let desk = Desk::new().await;
    let rows = plan(&[
        row(5, "a", "1", "Một", "Sở Lạ"),
        row(6, "b", "2", "Hai", ""),
    ]);
    let answer = desk.ok(import(ImportKind::Tasks, rows, false)).await;
    assert_eq!((answer.exit, counts(&answer)), (Exit::Done, [2, 0, 0, 0]));
    let remark = &answer.data["remarks"][0];
    assert_eq!(
        (&remark["row"], &remark["code"], &remark["found"]),
        (&json!(5), &json!("unknown_lead"), &json!("Sở Lạ"))
    );
    assert_eq!(answer.data["items"][0]["lead_unresolved"], json!(["Sở Lạ"]));
    let units = desk.ok(Command::UnitList { under: None }).await.data;
    assert_eq!(units["total"], 5);
    // A unit of that name that is added later is linked.
    let add = Command::UnitAdd {
        code: "SL".to_owned(),
        name: "Sở lạ".to_owned(),
        level: Some("department".to_owned()),
        parent: None,
        aliases: vec![],
    };
    assert_eq!(desk.ok(add).await.data["linked_tasks"], 1);
}

fn unit(row: u32, code: &str, name: &str, parent: &str, level: &str) -> Value {
    json!({
        "row": row, "code": code, "name": name, "short_name": "", "parent": parent, "level": level, "aliases": [],
    })
}

#[tokio::test]
async fn units_are_imported_parents_first_and_bad_rows_cost_only_themselves() {
    let desk = Desk::new().await;
    let rows = json!({ "remarks": [], "rows": [
        unit(2, "31001", "Phường Hồng Bàng", "31", "Phường"),
        unit(3, "31", "Thành phố Hải Phòng", "", "tỉnh"),
        unit(4, "VP", "Văn phòng", "31001", "Phòng"),
        unit(5, "00199", "Xã ở tỉnh khác", "66", "Xã"),
        unit(6, "X", "Không rõ trực thuộc", "nowhere", ""),
        unit(7, "Y", "Vòng tròn", "Z", ""),
        unit(8, "Z", "Vòng tròn", "Y", ""),
        unit(9, "79", "Thành phố Hồ Chí Minh", "", ""),
        unit(10, "00123", "Trùng mã", "79", ""),
    ]});
    let dry = desk.ok(import(ImportKind::Units, rows.clone(), true)).await;
    let answer = desk
        .ok(import(ImportKind::Units, rows.clone(), false))
        .await;
    assert_eq!(dry.data["remarks"], answer.data["remarks"]);
    assert_eq!((answer.exit, counts(&answer)), (Exit::Partly, [3, 0, 1, 5]));
    let codes: Vec<&str> = answer.data["remarks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|r| r["code"].as_str())
        .collect();
    let expected = [
        "unit_elsewhere",
        "unknown_unit",
        "parent_refused",
        "parent_refused",
        "duplicate_code",
    ];
    assert_eq!(codes, expected);
    let office = desk
        .ok(Command::UnitShow {
            unit: "31001/VP".to_owned(),
        })
        .await
        .data;
    assert_eq!(
        (&office["path"], &office["level"]),
        (&json!("MIN/31/31001/VP"), &json!("department"))
    );
    let again = desk.ok(import(ImportKind::Units, rows, false)).await;
    assert_eq!(counts(&again), [0, 0, 4, 5]);
}

#[tokio::test]
async fn reports_are_imported_as_drafts() {
    let desk = Desk::new().await;
    desk.task(&["79"]).await;
    let report = |row: u32, task: &str, unit: &str, percent: &str| {
        json!({
            "row": row, "task": task, "unit": unit, "period": "2026-03", "status": "in_progress", "percent": percent,
            "numerator": "1.234", "denominator": "2", "result": "", "difficulties": "", "next_steps": "",
        })
    };
    let rows = json!({ "remarks": [], "rows": [
        report(2, "1.1", "79", "40"),
        report(3, "II/1.1", "27001", "40"),
        report(4, "9.9", "79", "40"),
    ]});
    let answer = desk
        .ok(import(ImportKind::Reports, rows.clone(), false))
        .await;
    assert_eq!((answer.exit, counts(&answer)), (Exit::Partly, [1, 0, 0, 2]));
    let list = Command::ReportList {
        task: None,
        unit: None,
        period: None,
    };
    let held = desk.ok(list).await.data;
    assert_eq!(held["total"], 1);
    // A table's number is read already: its point is a decimal point.
    assert_eq!(
        (
            &held["items"][0]["numerator"],
            &held["items"][0]["submitted"]
        ),
        (&json!("1.234"), &json!(false))
    );
    let again = desk.ok(import(ImportKind::Reports, rows, false)).await;
    assert_eq!(counts(&again), [0, 0, 1, 2]);
}

#[tokio::test]
async fn indicators_are_defined_once_and_their_figures_follow() {
    let desk = Desk::new().await;
    let rows = |numerator: &str| {
        json!({ "remarks": [], "rows": [{
            "row": 2, "group": "", "code": "CT1", "name": "Hồ sơ trực tuyến", "unit": "%", "kind": "",
            "comparator": ">=", "target": "80", "numerator": numerator, "denominator": "200",
            "stated_percent": null, "as_of": "2026-03", "period": "2026-03", "note": "",
        }]})
    };
    let first = desk
        .ok(import(ImportKind::Indicators, rows("100"), false))
        .await;
    assert_eq!(counts(&first), [1, 0, 0, 0]);
    assert_eq!(
        counts(
            &desk
                .ok(import(ImportKind::Indicators, rows("100"), false))
                .await
        ),
        [0, 0, 1, 0]
    );
    assert_eq!(
        counts(
            &desk
                .ok(import(ImportKind::Indicators, rows("120"), false))
                .await
        ),
        [0, 1, 0, 0]
    );
}

#[tokio::test]
async fn a_table_without_a_usable_row_is_wrong_usage_and_says_why() {
    let desk = Desk::new().await;
    let header = json!({ "rows": [], "remarks": [
        { "file": "plan.xlsx", "code": "no_header", "found": "x", "severity": "refused" },
    ]});
    let answer = desk.ok(import(ImportKind::Tasks, header, false)).await;
    assert_eq!(answer.exit, Exit::Usage);
    assert_eq!(answer.data["remarks"][0]["code"], "no_header");
    let broken = desk
        .no(import(ImportKind::Tasks, json!({ "rows": 5 }), false))
        .await;
    assert_eq!(broken.code, "table_unreadable");
}
