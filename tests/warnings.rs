//! Red warnings on three levels: each node sees those of the work whose reports pass it, from the records it holds.

mod support;

use nqsync::api::{Command, ReportFields, ReportRef, TaskFields};
use nqsync::node::warnings;
use serde_json::Value;
use support::Place;
use support::world::World;

/// The warnings of a node, after it has looked: unit, kind, and whether it is silenced.
async fn warned(place: &Place) -> Vec<(String, String, bool)> {
    loop {
        warnings::refresh(&place.node).await.expect("looked at");
        let list = Command::WarningList {
            unit: None,
            kind: None,
            all: false,
            offset: 0,
            limit: None,
        };
        let data = place.data(list).await;
        if data["pending"] == false {
            let items = data["items"].as_array().expect("a list");
            return items.iter().map(told).collect();
        }
    }
}

fn told(item: &Value) -> (String, String, bool) {
    let text = |name: &str| item[name].as_str().expect("a text").to_owned();
    (text("unit"), text("kind"), item["silenced"] == true)
}

fn overdue(unit: &str) -> (String, String, bool) {
    (unit.to_owned(), "overdue".to_owned(), false)
}

#[tokio::test]
async fn the_level_above_sees_the_warnings_of_its_subtree_whatever_is_silenced_below() {
    let world = World::new().await;
    let fields = TaskFields {
        title: Some("Số hoá hồ sơ".into()),
        lead: Some(vec!["24001".into()]),
        coordinating: Some(vec!["24002".into()]),
        deadline: Some("01/03/2026".into()),
        ..TaskFields::default()
    };
    let task = world.province.data(Command::TaskAdd { fields }).await;
    world.settle().await;
    let both = [overdue("24001"), overdue("24002")];
    assert_eq!(warned(&world.province).await, both);
    assert_eq!(warned(&world.commune).await, [overdue("24001")]);
    assert_eq!(warned(&world.other).await, [overdue("24002")]);
    assert_eq!(
        warned(&world.ministry).await,
        [],
        "the task is the province's"
    );

    let silence = Command::WarningSilence {
        warnings: vec![1],
        reason: "a new deadline was asked for".into(),
        until: "2026-04-30".into(),
    };
    world.commune.data(silence).await;
    assert!(warned(&world.commune).await[0].2);
    world.settle().await;
    assert_eq!(warned(&world.province).await, both);

    let report = Command::ReportSet {
        report: ReportRef {
            task: task["id"].as_str().expect("an id").into(),
            unit: None,
            period: None,
        },
        fields: ReportFields {
            status: Some("continuing".into()),
            percent: Some("40".into()),
            ..ReportFields::default()
        },
        token: None,
        submit: true,
    };
    world.commune.data(report).await;
    assert_eq!(warned(&world.commune).await, []);
    assert_eq!(warned(&world.province).await, both, "it has not come yet");
    world.settle().await;
    assert_eq!(warned(&world.province).await, [overdue("24002")]);
}
