use serde_json::json;

use crate::api::{Command, Exit, TaskFields};
use crate::node::commands::desk::Desk;

fn add(code: &str, parent: Option<&str>, level: Option<&str>) -> Command {
    Command::UnitAdd {
        code: code.to_owned(),
        name: format!("Đơn vị {code}"),
        level: level.map(str::to_owned),
        parent: parent.map(str::to_owned),
        aliases: vec![],
    }
}

#[tokio::test]
async fn a_unit_is_added_under_the_home_unit_one_level_below() {
    let desk = Desk::new().await;
    let unit = desk.ok(add("31", None, None)).await.data;
    assert_eq!(unit["level"], "province");
    assert_eq!(unit["path"], "MIN/31");
    let commune = desk.ok(add("11111", Some("31"), None)).await.data;
    assert_eq!(
        (&commune["level"], &commune["parent"]),
        (&json!("commune"), &json!("31"))
    );
    let listed = desk
        .ok(Command::UnitList {
            under: Some("31".to_owned()),
        })
        .await
        .data;
    assert_eq!(listed["total"], 2);
}

#[tokio::test]
async fn a_code_that_exists_is_refused_but_every_unit_may_have_its_own_office() {
    let desk = Desk::new().await;
    let refused = desk.no(add("79", None, None)).await;
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Usage, "duplicate_code")
    );
    desk.ok(add("VP", Some("79"), Some("department"))).await;
    desk.ok(add("VP", Some("27001"), Some("department"))).await;
    assert_eq!(
        desk.no(add("VP", Some("79"), Some("department")))
            .await
            .code,
        "duplicate_code"
    );
}

#[tokio::test]
async fn bad_codes_levels_and_unknown_parents_are_refused() {
    let desk = Desk::new().await;
    assert_eq!(desk.no(add("a/b", None, None)).await.code, "bad_code");
    assert_eq!(desk.no(add(" ", None, None)).await.code, "bad_code");
    assert_eq!(
        desk.no(add("31", None, Some("galaxy"))).await.code,
        "bad_level"
    );
    assert_eq!(
        desk.no(add("31", Some("27001"), Some("province")))
            .await
            .code,
        "level_order"
    );
    assert_eq!(
        desk.no(add("31", Some("nowhere"), None)).await.code,
        "unknown_unit"
    );
}

#[tokio::test]
async fn a_unit_whose_parent_is_served_elsewhere_is_not_added_here() {
    let desk = Desk::new().await;
    assert_eq!(
        desk.no(add("00124", Some("66"), None)).await.code,
        "unit_elsewhere"
    );
}

#[tokio::test]
async fn renaming_keeps_the_id_and_refuses_a_taken_code() {
    let desk = Desk::new().await;
    let before = desk
        .ok(Command::UnitShow {
            unit: "79".to_owned(),
        })
        .await
        .data;
    let rename = |code: &str| Command::UnitRename {
        unit: before["id"].as_str().unwrap_or_default().to_owned(),
        code: Some(code.to_owned()),
        name: None,
    };
    let after = desk.ok(rename("HCM")).await.data;
    assert_eq!(
        (&after["id"], &after["code"]),
        (&before["id"], &json!("HCM"))
    );
    assert_eq!(desk.no(rename("66")).await.code, "duplicate_code");
}

#[tokio::test]
async fn an_alias_links_the_tasks_that_waited_for_the_name() {
    let desk = Desk::new().await;
    // The accents of the task are decomposed, those of the alias composed.
    let fields = TaskFields {
        title: Some("Số hóa".to_owned()),
        lead: Some(vec!["Sở No\u{302}\u{323}i vụ".to_owned()]),
        ..TaskFields::default()
    };
    let task = desk.ok(Command::TaskAdd { fields }).await;
    assert_eq!(task.data["status"], "unresolved_lead");
    assert_eq!(task.data["lead_unresolved"], json!(["Sở Nội vụ"]));
    assert!(!task.notes.is_empty());
    let alias = |alias: &str| Command::UnitAlias {
        unit: "79".to_owned(),
        alias: alias.to_owned(),
    };
    let unit = desk.ok(alias("SỞ NỘI VỤ")).await.data;
    assert_eq!(unit["linked_tasks"], 1);
    let id = task.data["id"].as_str().unwrap_or_default().to_owned();
    let shown = desk.ok(Command::TaskShow { task: id }).await.data;
    assert_eq!(
        (&shown["lead"], &shown["lead_unresolved"]),
        (&json!(["79"]), &json!([]))
    );
    // A name that means another unit already would make every mention ambiguous.
    assert_eq!(desk.no(alias("Xã Ea Kao")).await.code, "alias_taken");
}
