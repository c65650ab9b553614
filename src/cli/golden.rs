//! What people see, from sample data at 80 columns.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::screen::{Screen, Shown};
use super::*;

/// 80 columns, Vietnamese, the office's zone.
pub(super) fn screen() -> Screen {
    screen_in(Lang::Vi)
}

/// The same in a language.
pub(super) fn screen_in(lang: Lang) -> Screen {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("the zones are bundled");
    Screen {
        shown: Shown { lang, zone },
        width: 80,
        ruled: false,
    }
}

/// The example that must come out right: 36 = 33 + 3.
pub(super) fn rollup() -> Value {
    let counts = |total: i64, on_time: i64, late: i64, continuing: i64| {
        json!({ "total": total, "on_time": on_time, "late": late, "by_status":
            { "completed_on_time": on_time, "completed_late": late, "continuing": continuing } })
    };
    let coverage = json!({ "units_reported": 8, "units_expected": 9, "reports_received": 39, "reports_expected": 41,
        "complete": false });
    json!({
        "period": "2026-03", "evaluated_on": "2026-04-11",
        "as_of": { "oldest": "2026-04-01T02:00:00Z", "newest": "2026-04-10T09:30:00Z" },
        "coverage": coverage, "tasks": counts(36, 31, 2, 3), "assignments": { "total": 41 },
        "unresolved_lead": 1, "warnings": { "overdue": 2, "behind": 0, "insufficient": 1 }, "evidence_pending": 4,
        "rows": [
            { "key": "I", "label": "Hoàn thiện thể chế, chính sách", "issuer": "75", "tasks": counts(12, 12, 0, 0) },
            { "key": "II", "label": "Phát triển hạ tầng số và dữ liệu dùng chung của tỉnh", "issuer": "75",
              "tasks": counts(24, 19, 2, 3) },
        ],
        "issuers": [
            { "issuer": "75", "level": "province", "tasks": { "total": 30 }, "coverage": coverage },
            { "issuer": "TW", "level": "ministry", "tasks": { "total": 6 }, "coverage": coverage },
        ],
        "recomputed": { "same": true, "differences": [] },
    })
}

fn task_item(n: u32) -> Value {
    json!({ "id": format!("0192f3c8-8a1b-7c3d-9e00-0000000000{n:02}"), "group": "III", "group_title": "Chuyển đổi số",
        "number": n.to_string(), "title": "Số hoá toàn bộ hồ sơ còn hiệu lực của các xã, phường, đặc khu trên địa bàn",
        "subtask": "Giai đoạn 1", "lead": ["PV01"], "lead_unresolved": ["Phòng Tham mưu (cũ)"], "coordinating": ["26548"],
        "deadline": { "text": "Quý II/2026", "kind": "quarter", "due": "2026-06-30" }, "issuer": "75",
        "status": "in_progress_late", "missing": ["person", "time"], "withdrawn": false })
}

fn report_item() -> Value {
    json!({ "id": "5f0c1111-2222-5333-8444-555566667777", "task": "0192f3c8", "task_title": "Số hoá toàn bộ hồ sơ",
        "unit": "26548", "period": "2026-03", "status": "completed_on_time", "stated_status": "completed",
        "percent": "100", "numerator": "2274905", "denominator": "2581336", "submitted": true,
        "submitted_at": "2026-04-02T03:04:00Z", "late": true, "draft_changed": true, "evidence": 2,
        "conflicts": ["progress"], "receipt": "accepted_upstream", "remark": null })
}

fn history() -> Value {
    json!([{ "register": "deadline", "value": { "text": "Quý II/2026", "kind": "quarter" }, "by": "lan", "unit": "75",
        "at": 1775000000000_i64, "current": true }])
}

fn status_data() -> Value {
    json!({ "node": "0192f3c8-8a1b-7c3d-9e00-000000000001", "unit": { "code": "75", "name": "Tỉnh Đồng Nai" },
        "level": "province", "version": "0.1.0", "data_dir": "/var/lib/nqsync", "running": true, "records": 12345,
        "upstream": { "url": "https://10.1.2.3:7457", "state": "down", "last_success_at": "2026-11-22T01:00:00Z",
            "last_attempt_at": "2026-11-22T02:00:00Z", "next_attempt_at": "2026-11-22T02:00:05Z",
            "error": "cannot connect: connection refused", "pending_up": 12, "pending_down": null, "quarantined_up": 1,
            "clock_offset_ms": -1200, "protocol": 1 },
        "downstream": [{ "node": "0192f3c8-8a1b-7c3d-9e00-000000000002", "unit": "26548", "state": "ok",
            "last_contact_at": "2026-11-22T02:00:00Z", "pending": 3, "quarantined": 0, "version": "0.1.0",
            "clock_offset_ms": 15 }],
        "conflicts": 1, "quarantine": 0, "proposals_open": 2,
        "blobs": { "present": 10, "missing": 1, "pending_up": 2, "bytes": 123456789 },
        "receipts": { "stored": 5, "accepted_upstream": 4, "reached_issuer": 3 },
        "disk": { "free_bytes": 1_000_000_000_u64, "total_bytes": 9_000_000_000_u64 },
        "backup": { "deposited": false, "note": null },
        "problems": [{ "code": "upstream_down", "since": "2026-11-22T01:00:10Z",
            "message": "Mất kết nối với cấp trên từ 08:00; sẽ tự thử lại, không mất dữ liệu." }],
        "healthy": false })
}

/// Every view with data that fills it.
fn views() -> Vec<(&'static str, View, Value)> {
    let list = |item: Value| json!({ "items": [item], "total": 1 });
    let mut task = task_item(1);
    task["deliverable"] = "Báo cáo kết quả".into();
    task["reports"] = json!([report_item()]);
    task["receipts"] =
        json!([{ "unit": "26548", "stage": "reached_issuer", "at": "2026-04-02T03:04:00Z" }]);
    task["history"] = history();
    task["token"] = "eyJ0b2tlbiI6Im9wYXF1ZSJ9".repeat(6).into();
    let mut report = report_item();
    report["result"] = "Đã số hoá\nđợt 1".into();
    report["verdicts"] = json!([{ "reviewer": "75", "accepted": false, "reason": "Thiếu chữ ký", "at": 1775000000000_i64 }]);
    report["arrival"] = json!({ "received_at": "2026-04-02T03:05:00Z" });
    report["history"] = history();
    let conflict = json!({ "id": "report:5f0c1111-2222-5333-8444-555566667777:progress", "kind": "report",
        "register": "progress", "title": "Số hoá toàn bộ hồ sơ", "unit": "26548", "values": 2,
        "since": "2026-04-02T03:05:00Z", "base": { "status": "not_started" }, "siblings": [
            { "n": 1, "value": { "status": "completed", "percent": "100" }, "by": "lan", "unit": "26548", "at": "2026-04-02T03:05:00Z" },
            { "n": 2, "value": { "status": "in_progress", "percent": "60" }, "by": "huy", "unit": "26548", "at": "2026-04-02T03:06:00Z" }] });
    let node = json!({ "node": "0192f3c8-8a1b-7c3d-9e00-000000000002", "unit": "26548", "name": "Phường Trấn Biên",
        "enrolled_at": "2026-01-02T03:04:00Z", "last_contact_at": "2026-04-02T03:04:00Z", "version": "0.1.0",
        "state": "active", "pin": "a".repeat(64), "clock_offset_ms": -86_400_123, "pending": 4,
        "certificate_until": "2026-07-02T03:04:00Z" });
    let waits = json!({ "node": node["node"], "unit": "26548", "pin": "b".repeat(64), "state": "waits",
        "since": "2026-04-02T03:04:00Z" });
    let nodes = json!({ "total": 1, "items": [node.clone()], "waiting": [waits] });
    let unit = json!({ "id": "0192f3c8-8a1b-7c3d-9e00-000000000009", "code": "26548", "name": "Phường Trấn Biên",
        "level": "commune", "parent": "75", "path": ["TW", "75", "26548"], "served_by": node["node"],
        "aliases": ["Trấn Biên", "P. Trấn Biên"] });
    let proposal = json!({ "id": "0192f3c8-8a1b-7c3d-9e00-000000000010", "target_title": "Số hoá toàn bộ hồ sơ",
        "field": "deadline", "value": { "text": "30/06/2026" }, "base": { "text": "31/03/2026" },
        "reason": "Thiên tai kéo dài", "proposer": "26548", "owner": "75", "state": "rejected",
        "decision_reason": "Thời hạn do Bộ ấn định", "at": "2026-04-02T03:04:00Z" });
    let quarantined = json!({ "item": 1007, "direction": "in", "peer": node["node"], "kind": "report",
        "record": "5f0c1111-2222-5333-8444-555566667777", "code": "not_assigned",
        "reason": "Báo cáo cho nhiệm vụ chưa từng được giao", "at": "2026-04-02T03:04:00Z", "body": { "a": "\u{1b}[31m" } });
    let evidence = json!({ "id": "0192f3c8-8a1b-7c3d-9e00-000000000011", "name": "bao-cao-ky-so-thang-3.pdf",
        "size": 1234567, "sha256": "b".repeat(64), "unit": "26548", "task": "0192f3c8", "period": "2026-03",
        "state": "pending", "added_at": "2026-04-02T03:04:00Z", "note": null });
    let indicator = json!({ "code": "CT01", "name": "Tỷ lệ hồ sơ được số hoá", "comparator": ">=", "target": "80",
        "measure": "%", "values": [{ "unit": "26548", "period": "2026-03", "value": "88.12", "numerator": "2274905",
        "denominator": "2581336" }] });
    let directive = json!({ "id": "0192f3c8-8a1b-7c3d-9e00-000000000012", "number": "12/CT-UBND", "date": "2026-03-15",
        "kind": "Chỉ thị", "summary": "Về việc đẩy mạnh số hoá hồ sơ, giấy tờ trên địa bàn toàn tỉnh", "issuer": "75",
        "units": ["26548"], "file": { "name": "ct12.pdf" } });
    let import = json!({ "source": "ke-hoach.xlsx", "kind": "tasks", "rows": 2, "created": 1, "updated": 0,
        "unchanged": 0, "refused": 1, "dry_run": true,
        "items": [{ "row": 14, "number": "1", "group": "I", "action": "created", "lead": ["PV01"],
            "lead_unresolved": ["Sở X"], "deadline": { "text": "Quý II/2026", "due": "2026-06-30" } }],
        "remarks": [{ "row": 15, "column": "Thời hạn", "code": "bad_date", "severity": "missing", "found": "31/02/2026",
            "message": "Ngày 31/02/2026 không tồn tại; giữ nguyên văn, chưa có hạn." }] });
    vec![
        ("status", status::show, status_data()),
        ("rollup", rollup::show, rollup()),
        (
            "bundle export",
            bundle::made,
            json!({ "made": true, "to": "75", "number": 12, "folder": "/media/usb/nqsync-58453938-a3301a1f-000012",
                "records": 41, "files": 3, "answers": 1, "bytes": 1234567, "expires_at": "2026-05-02T03:04:00Z" }),
        ),
        (
            "bundle import",
            bundle::taken,
            json!({ "total": 2, "items": [
                { "number": 12, "from": "26548", "outcome": "taken", "records": 41, "files": 3, "answers": 1,
                    "missing": [10, 11] },
                { "bundle": "nqsync-58453938-a3301a1f-000013", "from": "", "number": null, "outcome": "refused" }] }),
        ),
        (
            "bundle show",
            bundle::show,
            json!({ "total": 1, "items": [{ "direction": "in", "peer": "26548", "number": 12,
                "at": "2026-04-02T03:04:00Z", "outcome": "waits" }] }),
        ),
        (
            "calendar show",
            calendar::show,
            json!({ "total": 1, "items": [{ "regime": "ward_monthly", "period": "2026-03", "due": "2026-03-19T17:00:00Z",
                "last_day": "2026-03-19", "expected": 12345, "received": 12340, "on_time": 12000, "missing": 5, "state": "missing", "units": [
                    { "unit": "26548", "unit_name": "Phường Trấn Biên", "expected": 12, "received": 7, "on_time": 7,
                        "missing": 5, "state": "missing" }] }] }),
        ),
        (
            "score show",
            score::show,
            json!({ "period": "2026-03", "criteria": { "title": "Bộ tiêu chí mẫu", "criterion": [
                { "code": "1", "title": "Nhiệm vụ đúng hạn" }, { "code": "2", "title": "Minh chứng được chấp nhận" }] },
                "items": [
                    { "unit": "26548", "unit_name": "Phường Trấn Biên", "rank": 1, "points": "50.66", "most": "60",
                        "percent": "84.44", "grade": "Hoàn thành tốt", "lines": [
                            { "code": "1", "reached": 9, "of": 10, "points": "32", "most": "40" },
                            { "code": "2", "reached": 14, "of": 15, "points": "18.66", "most": "20" }] },
                    { "unit": "26550", "unit_name": "Xã Đại Phước", "rank": null, "points": null, "most": null,
                        "percent": null, "grade": null, "lines": [
                            { "code": "1", "reached": 0, "of": 0, "points": null, "most": "40" },
                            { "code": "2", "reached": 0, "of": 0, "points": null, "most": "20" }] }] }),
        ),
        (
            "warning list",
            warning::list,
            json!({ "total": 2, "items": [
                { "warning": 1234, "kind": "overdue", "unit": "26548", "task_title": "III/12 Số hoá toàn bộ hồ sơ",
                    "due": "2026-03-31", "raised_at": "2026-03-31T17:00:00Z", "silenced": false },
                { "warning": 1235, "kind": "insufficient", "unit": "26548", "task_title": "III/12 Số hoá toàn bộ hồ sơ",
                    "due": "2026-03-31", "raised_at": "2026-03-31T17:00:00Z", "silenced": true,
                    "silenced_by": "Nguyễn Thị Lan", "until": "2026-04-30" }] }),
        ),
        (
            "warning show",
            output::written,
            json!({ "warning": 1235, "kind": "behind", "unit": "26548", "task_title": "III/12 Số hoá toàn bộ hồ sơ",
                "raised_at": "2026-03-31T17:00:00Z", "silenced_by": "Lan", "until": "2026-04-30", "reason": "57/CV" }),
        ),
        (
            "calendar today",
            calendar::today,
            json!({ "date": "2026-03-19", "reminders": [{ "regime": "ward_monthly", "period": "2026-03",
                "due": "2026-03-19T17:00:00Z", "last_day": "2026-03-19", "missing": 5, "units_owing": 102,
                "owing": [{ "unit": "26548" }, { "unit": "26550" }] }],
                "next": [{ "regime": "weekly", "period": "2026-W12", "due": "2026-03-19T03:00:00Z", "days_left": 0 }] }),
        ),
        (
            "task list",
            task::list,
            json!({ "items": [task_item(1), task_item(2)], "total": 2 }),
        ),
        ("task show", task::show, task),
        ("report list", report::list, list(report_item())),
        ("report show", report::show, report),
        ("conflict list", conflict::list, list(conflict.clone())),
        ("conflict show", conflict::show, conflict),
        ("node list", node::list, nodes),
        ("node show", node::show, node),
        ("unit list", unit::list, list(unit.clone())),
        ("unit show", unit::show, unit),
        ("proposal list", proposal::list, list(proposal)),
        (
            "quarantine list",
            quarantine::list,
            list(quarantined.clone()),
        ),
        ("quarantine show", quarantine::show, quarantined),
        ("evidence list", evidence::list, list(evidence)),
        ("indicator list", indicator::list, list(indicator)),
        ("directive list", directive::list, list(directive.clone())),
        ("directive show", directive::show, directive),
        ("import", import::show, import),
        (
            "sync preview",
            sync::preview,
            json!({ "records": [{ "kind": "evidence", "id": "5f0c1111-2222-5333-8444-555566667777", "lane": "assignments",
                "bytes": 204_800, "to": "26548" }], "counts": { "assignments": 2 }, "bytes": 1, "receipts": 1,
                "withheld": [{ "reason": "quarantined_at_peer", "count": 1 }, { "reason": "left_scope", "count": 2 }],
                "blobs": { "count": 1, "bytes": 3 } }),
        ),
        (
            "sync",
            sync::show,
            json!({ "sent": 3, "received": 1, "bytes_up": 4567, "bytes_down": 0, "agree": true }),
        ),
    ]
}

/// Columns a text takes, without the marks that colour it.
fn columns(line: &str) -> usize {
    let plain = line
        .replace("\x1b[1;31m", "")
        .replace("\x1b[32m", "")
        .replace("\x1b[0m", "");
    assert!(!plain.contains('\x1b'), "{plain:?}");
    // Composed Vietnamese letters take one column each.
    plain.chars().count()
}

#[test]
fn no_view_is_wider_than_80_columns_with_and_without_lines() {
    for lang in [Lang::Vi, Lang::En] {
        for ruled in [false, true] {
            let screen = Screen {
                ruled,
                ..screen_in(lang)
            };
            for (name, view, data) in views() {
                let text = view(&data, &screen);
                if std::env::var_os("NQSYNC_SHOW").is_some() {
                    println!("--- {name} {lang:?} {ruled}\n{text}");
                }
                for line in text.lines() {
                    assert!(columns(line) <= 80, "{name} {lang:?}: {line}");
                    assert!(
                        !line.contains("label-") && !line.contains("word-"),
                        "{name}: a key shows in {line}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_empty_answer_of_a_newer_or_older_node_breaks_no_view() {
    for (name, view, _) in views() {
        for data in [
            json!({}),
            Value::Null,
            json!({ "items": [null, 1, {}], "rows": [null], "upstream": 7 }),
        ] {
            assert!(view(&data, &screen()).len() < 10_000, "{name}");
        }
    }
}

#[test]
fn a_rollup_looks_like_what_a_standing_office_prints() {
    let expected = include_str!("golden_rollup.txt");
    assert_eq!(rollup::show(&rollup(), &screen()), expected);
}

#[test]
fn data_cannot_steer_the_terminal() {
    let mut item = task_item(1);
    item["title"] = "xin\u{1b}[2J chào\u{202e}cba\r\nhai".into();
    let text = task::list(&json!({ "items": [item], "total": 1 }), &screen());
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text:?}");
    assert!(text.contains("\\u{1b}"), "{text}");
}

#[test]
fn text_is_shown_composed() {
    assert_eq!(screen::clean("Tra\u{302}\u{301}n"), "Trấn");
}

#[test]
fn times_dates_and_numbers_are_written_as_people_here_write_them() {
    let screen = screen();
    assert_eq!(
        screen.time(&json!("2026-11-22T05:44:36Z")),
        "22/11/2026 12:44"
    );
    assert_eq!(screen.time(&json!(0)), "01/01/1970 08:00");
    assert_eq!(screen.time(&json!("2026-03-15")), "15/03/2026");
    assert_eq!(screen.time(&json!("thường xuyên")), "thường xuyên");
    assert_eq!(screen.count(-1234567), "-1.234.567");
    assert_eq!(screen.bytes(&json!(1536)), "1,5 KiB");
    assert_eq!(screen_in(Lang::En).count(1000), "1,000");
}

#[test]
fn tasks_are_named_by_group_and_number_unless_two_share_it() {
    let tasks = [task_item(1), task_item(2)];
    assert_eq!(task::refs(&tasks), ["III/1", "III/2"]);
    let mut twin = task_item(2);
    twin["number"] = "1".into();
    let refs = task::refs(&[task_item(1), twin]);
    assert_eq!(
        refs,
        [
            "0192f3c8-8a1b-7c3d-9e00-000000000001",
            "0192f3c8-8a1b-7c3d-9e00-000000000002"
        ]
    );
}
