//! Real nodes in one process, over real TLS on loopback: what passes a link, and what does not.

mod support;

use nqsync_core::model::{Facts, Kind};
use serde_json::json;
use support::{Place, values};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_comes_down_and_its_report_climbs_to_the_issuer_and_no_further() {
    let ministry = Place::ministry("BO").await;
    let province_unit = ministry.add_unit("66", "province", None).await;
    let province = Place::child(&ministry, "66", province_unit).await;
    let commune_unit = province.add_unit("24001", "commune", None).await;
    let other_unit = province.add_unit("24002", "commune", None).await;
    let commune = Place::child(&province, "24001", commune_unit).await;
    let other = Place::child(&province, "24002", other_unit).await;

    let task = province
        .create(
            province_unit,
            Facts::Task {
                issuer: province_unit,
                parent: None,
            },
            values([
                ("title", json!("Số hoá hồ sơ")),
                ("lead", json!({ "text": "24001", "units": [commune_unit] })),
            ]),
        )
        .await;
    commune.sync().await;
    other.sync().await;
    assert!(commune.holds(task).await, "the assignment reached its unit");
    assert!(!other.holds(task).await, "and nobody else");

    let report = commune
        .create(
            commune_unit,
            Facts::Report {
                unit: commune_unit,
                issuer: province_unit,
                task,
                period: "2026-03".into(),
            },
            values([(
                "progress",
                json!({ "status": "in_progress", "percent": "40" }),
            )]),
        )
        .await;
    let moved = commune.sync().await;
    assert_eq!(moved.agrees, Some(true));
    assert!(province.holds(report).await);
    province.sync().await;
    other.sync().await;
    assert!(!ministry.holds(report).await, "detail ends at the issuer");
    assert!(!other.holds(report).await);
    assert_eq!(province.digest(report).await, commune.digest(report).await);

    let idle = commune.sync().await;
    assert_eq!(
        (idle.report.sent, idle.report.received),
        (0, 0),
        "no ping-pong"
    );
    assert_eq!(
        ministry.count(Kind::Unit).await,
        commune.count(Kind::Unit).await
    );
}
